"""The heat march on voxels: Runge-Kutta-Legendre steps by fused kernels, in single or double precision.

The state is kept in double precision and the flow at the start of a step is computed from it; only the increments
within the step are in the working precision, so that single precision loses digits of a change, never of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from thermal.domain import VoxelDomain
from thermal.engines import heat_kernels as kernels
from thermal.engines.heat_kernels import Real
from thermal.engines.legendre import Stage, first_weight, integrate
from thermal.heat import BODY_TEMPERATURE, Action, HeatProblem, Nodes, Precision, Rates, Stepped, Touch
from thermal.units import Array, Mask

NOTHING = np.zeros((0, 0, 0))
"""Stands for coefficients that a problem does not have."""


class _Padded:
    """Nodes and cells of a grid inside a ring of ghosts, in the working precision."""

    def __init__(self, domain: VoxelDomain, precision: Precision) -> None:
        self.shape = domain.shape
        self.dtype: type[np.floating[Any]] = np.float32 if precision == "single" else np.float64
        self._nodes = tuple(count + 2 for count in self.shape)
        widths = [np.diff(axis) for axis in domain.axes]
        inverse_squares: list[Real] = [np.pad(width**-2.0, 1).astype(self.dtype) for width in widths]
        self.inverse_squares = (inverse_squares[0], inverse_squares[1], inverse_squares[2])
        """of the cells' edges along each axis, 1/m2"""
        quarter = 0.25 * widths[0][:, None, None] * widths[1][None, :, None] * widths[2][None, None, :]
        self._solid_quarter = np.where(domain.solid.reshape(domain.cell_shape), quarter, 0.0)

    def nodes(self) -> Real:
        """Zeros at nodes."""
        return np.zeros(self._nodes, self.dtype)

    def fill(self, u: Array) -> Real:
        """A nodal array (n,) in the ring."""
        padded = self.nodes()
        padded[1:-1, 1:-1, 1:-1] = u.reshape(self.shape)
        return padded

    def cells(self) -> Real:
        """Zeros at cells."""
        return np.zeros(tuple(count - 1 for count in self._nodes), self.dtype)

    def conducting(self, k: Array) -> Array:
        """A quarter of the coefficient (m,) times the volume of each cell, on the grid without a ring."""
        return k.reshape(self._solid_quarter.shape) * self._solid_quarter

    def places(self, nodes: Nodes) -> Nodes:
        """Where nodes lie in a flat padded array."""
        i, j, k = np.unravel_index(nodes, self.shape)
        return np.ravel_multi_index((i + 1, j + 1, k + 1), self._nodes)


class _Contact:
    """A probe on the padded grid."""

    def __init__(self, touch: Touch, grid: _Padded, free: Mask) -> None:
        self.touch = touch
        self.places = grid.places(touch.nodes)
        self.free = free[touch.nodes].astype(np.float64)

    def conductance(self, temperature: Array) -> Array:
        """(t,) W/K to the free nodes it touches, at their ``temperature`` (t,) degC."""
        return self.touch.conductance(temperature) * self.free


class VoxelStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(self, domain: VoxelDomain, volume: Array, problem: HeatProblem, precision: Precision) -> None:
        """``volume`` (n,) m3 lumped."""
        self._problem = problem
        grid = self._grid = _Padded(domain, precision)
        relation, cells = problem.relation, problem.cells
        self._capacity = volume * relation.capacity
        self._solid = volume > 0
        self._base = grid.conducting(cells.at_37)
        self._slope = cells.slope.reshape(self._base.shape) if cells.rises else NOTHING
        self._frozen = NOTHING if cells.frozen is None else grid.conducting(cells.frozen)
        self._film_nodes = np.flatnonzero(problem.film)
        self._film_places = grid.places(self._film_nodes)
        self._stiff = NOTHING
        self._ice_width = self._ice_ratio = self._steam_width = NOTHING
        self._solidus = self._liquidus = -np.inf
        self._onset = self._dry = np.inf
        if (ice := relation.freezing) is not None:
            self._stiff = self._shaped(relation.capacity / relation.smallest_capacity())
            self._ice_width, self._ice_ratio = self._shaped(ice.width), self._shaped(ice.ratio)
            self._solidus, self._liquidus = ice.solidus - BODY_TEMPERATURE, ice.liquidus - BODY_TEMPERATURE
        if (steam := relation.boiling) is not None:
            self._steam_width = self._shaped(steam.width)
            self._onset, self._dry = steam.start - BODY_TEMPERATURE, steam.end - BODY_TEMPERATURE
        self._free = np.zeros(0, np.bool_)
        self._inverse = self._sink = self._first = self._here = self._before = grid.nodes()
        self._warm = grid.cells()
        self._icy = grid.cells() if self._frozen.size else self._warm
        self._theta = grid.nodes()
        self._frozen_decay = self._decay_of_all_frozen()

    def _shaped(self, u: Array) -> Array:
        return u.reshape(self._grid.shape)

    def _decay_of_all_frozen(self) -> float:
        """Largest decay rate of what could freeze, all of it frozen, 1/s."""
        if not self._frozen.size:
            return 0.0
        self._release(self._solid)
        self._icy[1:-1, 1:-1, 1:-1] = self._frozen
        return self._largest_decay(self._icy, self._grid.nodes())

    def _largest_decay(self, kv: Real, sink: Real) -> float:
        rows = np.empty(self._grid.shape[:2])
        kernels.largest_decay(kv, *self._grid.inverse_squares, sink, self._inverse, self._stiff, rows)
        return float(rows.max())

    def _release(self, free: Mask) -> None:
        """Take up which nodes are free."""
        if np.array_equal(free, self._free):
            return
        self._free = free.copy()
        inverse = np.divide(1.0, self._capacity, out=np.zeros_like(self._capacity), where=free & self._solid)
        self._inverse = self._grid.fill(inverse)
        self._sink, self._first, self._here, self._before = (self._grid.nodes() for _ in range(4))

    def begin(self, v: Array, temperature: Array, middle: Array, action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        self._release(action.free)
        self._v, self._temperature, self._action = v, temperature, action
        self._contacts = [_Contact(touch, self._grid, action.free) for touch in action.touches]
        liquidus, onset = self._problem.relation.liquid
        coldest = min([float(temperature.min()), *(touch.temperature for touch in action.touches)])
        self._cold = coldest <= liquidus
        self._plain = not self._cold and float(temperature.max()) <= onset
        cells = self._problem.cells
        kernels.fill_conductivity(self._shaped(middle), self._base, self._slope, cells.rises, self._warm)
        self._conductances = [
            contact.conductance((middle if self._plain else temperature)[contact.touch.nodes])
            for contact in self._contacts
        ]
        if self._cold:
            self._follow_ice(self._grid.fill(temperature - BODY_TEMPERATURE))
        self._lines = self._first_flow(temperature, self._first)
        decay = self._largest_decay(self._warm, self._sink)
        return Rates(max(decay, self._frozen_decay) if self._cold else decay, self._fastest)

    def _follow_ice(self, theta: Real) -> None:
        kernels.follow_ice(theta, self._warm, self._frozen, self._solidus, self._liquidus, self._icy)

    def _first_flow(self, temperature: Array, rate: Real) -> Array:
        """Fill ``rate`` K/s and the sink at a temperature; returns the lines of the ledger, W."""
        problem, action = self._problem, self._action
        sums = np.empty((*self._grid.shape[:2], 4))
        kernels.first_flow(
            self._shaped(temperature),
            self._icy if self._cold else self._warm,
            *self._grid.inverse_squares,
            self._shaped(action.power),
            self._shaped(action.blood),
            self._shaped(problem.film),
            self._shaped(problem.border),
            problem.arterial_temperature,
            problem.relation.liquid[0],
            self._inverse,
            rate,
            self._sink,
            sums,
        )
        self._fastest = float(sums[..., 3].max())
        flow, blood, border = (float(sums[..., index].sum()) for index in range(3))
        probes = 0.0
        for contact, g in zip(self._contacts, self._conductances, strict=True):
            heat = g * (contact.touch.temperature - temperature[contact.touch.nodes])
            rate.ravel()[contact.places] += heat * self._inverse.ravel()[contact.places]
            self._sink.ravel()[contact.places] += g
            self._fastest = max(self._fastest, float(np.abs(rate.ravel()[contact.places]).max(initial=0.0)))
            probes += float(heat.sum())
        source = float(action.power.sum())
        return np.array([source, blood, border, probes, flow + probes - (source + blood + border + probes)])

    def advance(self, step: float, stages: int) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        if self._plain:
            stepped, low, high = self._settled(self._march(step, stages, self._linear_stage))
            liquidus, onset = self._problem.relation.liquid
            if liquidus < low and high < onset:
                return replace(stepped, error=self._error(stepped.temperature, step))
        self._steady()
        stepped, _, _ = self._settled(self._march(step, stages, self._phase_stage))
        return stepped

    def _march(self, step: float, stages: int, run: Callable[[Stage, float], Array]) -> Array:
        """All stages; afterwards ``_here`` holds the change of v. Returns the time integral of the lines, J."""
        self._before.fill(0.0)
        np.multiply(self._first, self._grid.dtype(first_weight(stages) * step), out=self._here)

        def one(stage: Stage) -> Array:
            lines = run(stage, step)
            self._here, self._before = self._before, self._here
            return lines

        return integrate(self._lines, step, stages, one)

    def _linear_stage(self, stage: Stage, step: float) -> Array:
        """A stage without change of phase; returns the lines of the ledger (W) of the stage before."""
        number = self._grid.dtype
        sums = np.empty((*self._grid.shape[:2], 2))
        here = self._here.ravel()
        taken = [float((g * here[c.places]).sum()) for c, g in zip(self._contacts, self._conductances, strict=True)]
        by_film = float((self._problem.film[self._film_nodes] * here[self._film_places]).sum())
        kernels.linear_stage(
            self._warm,
            *self._grid.inverse_squares,
            self._sink,
            self._inverse,
            self._first,
            self._here,
            self._before,
            number(stage.mu),
            number(stage.nu),
            number(stage.now * step),
            number((stage.now + stage.start) * step),
            sums,
        )
        held, lost = float(sums[..., 0].sum()), float(sums[..., 1].sum())
        by_probes = sum(taken)
        beyond = np.array([0.0, lost - by_film - by_probes, by_film, by_probes, held])
        return np.asarray(self._lines - beyond)

    def _steady(self) -> None:
        """Fill the parts of a phase stage that stay the same from stage to stage."""
        problem, action, grid = self._problem, self._action, self._grid
        free = action.free & self._solid
        self._wasted = float(action.power[~free].sum())
        self._border = np.where(free, problem.border - BODY_TEMPERATURE * problem.film, 0.0)
        self._power = grid.fill(np.where(free, action.power, 0.0) + self._border)
        self._blood = grid.fill(np.where(free, action.blood, 0.0))
        self._loss = grid.fill(np.where(free, problem.film, 0.0))

    def _phase_stage(self, stage: Stage, step: float) -> Array:
        """A stage with ice or vapour; returns the lines of the ledger (W) of the stage before."""
        grid, number = self._grid, self._grid.dtype
        theta = self._theta
        kernels.stage_temperature(
            self._shaped(self._v),
            self._here,
            self._ice_width,
            self._ice_ratio,
            self._solidus,
            self._liquidus,
            self._steam_width,
            self._onset,
            self._dry,
            theta,
        )
        if self._frozen.size:
            self._follow_ice(theta)
        steady, sink, probes = self._power, self._loss, 0.0
        if self._contacts:
            steady, sink = steady.copy(), sink.copy()
        for contact in self._contacts:
            near = theta.ravel()[contact.places].astype(np.float64)
            g = contact.conductance(near + BODY_TEMPERATURE)
            offset = contact.touch.temperature - BODY_TEMPERATURE
            steady.ravel()[contact.places] += g * offset
            sink.ravel()[contact.places] += g
            probes += float((g * (offset - near)).sum())
        sums = np.empty((*grid.shape[:2], 2))
        kernels.phase_stage(
            theta,
            self._icy,
            *grid.inverse_squares,
            steady,
            self._blood,
            sink,
            number(self._problem.arterial_temperature - BODY_TEMPERATURE),
            number(self._liquidus),
            self._inverse,
            self._first,
            self._here,
            self._before,
            number(stage.mu),
            number(stage.nu),
            number(stage.now * step),
            number(stage.start * step),
            sums,
        )
        held, blood = float(sums[..., 0].sum()), float(sums[..., 1].sum())
        by_film = self._loss.ravel()[self._film_places] * theta.ravel()[self._film_places]
        border = float(self._border.sum()) - float(by_film.sum(dtype=np.float64))
        return np.array([self._lines[0], blood, border, probes, -held - self._wasted])

    def _settled(self, lines: Array) -> tuple[Stepped, float, float]:
        """The state after all stages, and the lowest and highest temperature that a liquid would have, degC.

        What the rounding of the increments took or gave is handed back in proportion to them, so that single precision
        keeps the balance of energy as double precision does.
        """
        sums = np.empty((*self._grid.shape[:2], 2))
        kernels.weigh(self._here, self._shaped(self._capacity), sums)
        stored, size, wanted = float(sums[..., 0].sum()), float(sums[..., 1].sum()), float(lines.sum())
        if not np.isfinite([stored, wanted]).all():
            raise FloatingPointError("the temperature became infinite")
        share = (wanted - stored) / size if size > 0.0 else 0.0
        v = np.empty_like(self._v)
        kernels.add_up(self._shaped(self._v), self._here, share, self._shaped(v), sums)
        stored += share * size
        low, high = float(sums[..., 0].min()) + BODY_TEMPERATURE, float(sums[..., 1].max()) + BODY_TEMPERATURE
        liquidus, onset = self._problem.relation.liquid
        liquid = liquidus < low and high < onset
        temperature = v + BODY_TEMPERATURE if liquid else self._problem.relation.temperature(v)
        kept = np.flatnonzero(~self._action.free)
        temperature[kept] = self._temperature[kept]
        return Stepped(v, temperature, lines, stored, None), low, high

    def _error(self, temperature: Array, step: float) -> float:
        """Local error from the flows at both ends of the step, K."""
        last = self._grid.nodes()
        self._first_flow(temperature, last)
        rows = np.empty(self._grid.shape[:2])
        kernels.largest_error(self._here, self._first, last, step, rows)
        return float(rows.max())
