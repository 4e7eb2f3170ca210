"""Stages of the heat march on the sliced rows of a mesh: one pass over memory a stage.

What :func:`thermal.engines.operator_heat.by_operator` does in plain NumPy, in single or double precision. Work arrays
are in the order of the rows, so that a slice of rows lies side by side; neighbours are renumbered once to match.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engine import Operator
from thermal.engines.compiled import compiled_fast
from thermal.engines.graph import CHUNKS, LANES, GraphOperator, Index, Rows, Unsigned
from thermal.engines.legendre import Stage, first_weight, integrate
from thermal.engines.operator_heat import Step
from thermal.heat import BODY_TEMPERATURE, Precision
from thermal.units import Array

Real = npt.NDArray[np.floating[Any]]
"""An array in the working precision."""
Number = np.floating[Any]


@compiled_fast
def _linear_stage(
    start: Index,
    neighbour: Unsigned,
    values: Real,
    sink: Real,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    mu: Number,
    nu: Number,
    now: Number,
    begun: Number,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now (A here) / C + begun first``; ``first`` K/s.

    ``sums`` of each slice: heat that nodes at a prescribed temperature take from their neighbours and heat that the
    sink takes, W, both beyond those of the start of the step.
    """
    slices = len(start) - 1
    for chunk in nb.prange(CHUNKS):
        q = np.empty(LANES, here.dtype)
        nothing = here.dtype.type(0.0)
        for part in range(chunk * slices // CHUNKS, (chunk + 1) * slices // CHUNKS):
            base = part * LANES
            u, o = here[base : base + LANES], before[base : base + LANES]
            s, w, f = sink[base : base + LANES], inverse[base : base + LANES], first[base : base + LANES]
            q[:] = nothing
            for slot in range(nb.uint64(start[part]), nb.uint64(start[part + 1]), nb.uint64(LANES)):
                for lane in range(nb.uint64(LANES)):
                    q[lane] += values[slot + lane] * (here[neighbour[slot + lane]] - u[lane])
            held, lost = nothing, nothing
            for lane in range(LANES):
                taken = s[lane] * u[lane]
                held += nothing if w[lane] > nothing else q[lane]
                lost += taken
                o[lane] = mu * u[lane] + nu * o[lane] + now * (w[lane] * (q[lane] - taken)) + begun * f[lane]
            sums[part, 0], sums[part, 1] = held, lost


@compiled_fast
def _phase_stage(
    start: Index,
    neighbour: Unsigned,
    values: Real,
    theta: Real,
    steady: Real,
    blood: Real,
    sink: Real,
    arterial: Number,
    liquidus: Number,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    mu: Number,
    nu: Number,
    now: Number,
    begun: Number,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now F(theta) / C + begun first``, theta in K above body temperature as
    ``arterial`` and ``liquidus``.

    ``sums`` of each slice: heat into nodes at a prescribed temperature, heat from blood, W.
    """
    slices = len(start) - 1
    for chunk in nb.prange(CHUNKS):
        q = np.empty(LANES, here.dtype)
        nothing = here.dtype.type(0.0)
        for part in range(chunk * slices // CHUNKS, (chunk + 1) * slices // CHUNKS):
            base = part * LANES
            u, h, o = theta[base : base + LANES], here[base : base + LANES], before[base : base + LANES]
            s, w, f = sink[base : base + LANES], inverse[base : base + LANES], first[base : base + LANES]
            p, b = steady[base : base + LANES], blood[base : base + LANES]
            q[:] = nothing
            for slot in range(nb.uint64(start[part]), nb.uint64(start[part + 1]), nb.uint64(LANES)):
                for lane in range(nb.uint64(LANES)):
                    q[lane] += values[slot + lane] * (theta[neighbour[slot + lane]] - u[lane])
            held, bled = nothing, nothing
            for lane in range(LANES):
                from_blood = b[lane] * (arterial - u[lane]) if u[lane] > liquidus else nothing
                total = q[lane] + p[lane] - s[lane] * u[lane] + from_blood
                held += nothing if w[lane] > nothing else q[lane]
                bled += from_blood
                o[lane] = mu * h[lane] + nu * o[lane] + now * (w[lane] * total) + begun * f[lane]
            sums[part, 0], sums[part, 1] = held, bled


class RowOrder:
    """Arrays in the order of sliced rows, filled up to whole slices, in the working precision."""

    def __init__(self, rows: Rows, precision: Precision) -> None:
        """``rows`` of the graph."""
        self.dtype: type[np.floating[Any]] = np.float32 if precision == "single" else np.float64
        self.start, self.node = rows.start, rows.node
        self.place = np.empty(len(rows.node), np.int64)
        self.place[rows.node] = np.arange(len(rows.node))
        self.neighbour = self.place[rows.neighbour].astype(np.uint32)
        self.slices = len(rows.start) - 1

    def zeros(self) -> Real:
        """Zeros in every row."""
        return np.zeros(self.slices * LANES, self.dtype)

    def pack(self, u: Array) -> Real:
        """A nodal array (n,) in the order of the rows."""
        packed = self.zeros()
        packed[: len(self.node)] = u[self.node]
        return packed

    def unpack(self, rows: Real) -> Array:
        """Back in the order of the nodes, (n,)."""
        return rows[self.place].astype(np.float64)

    def values(self, operator: GraphOperator) -> Real:
        """Conductances in the slots of the rows."""
        return operator.single_values if self.dtype is np.float32 else operator.values


class RowStages:
    """See :data:`thermal.engines.operator_heat.Stages`."""

    def __init__(self, rows: Rows, capacity: Array, precision: Precision) -> None:
        """``capacity`` (n,) J/K of unfrozen tissue."""
        self._order = RowOrder(rows, precision)
        self._capacity = capacity
        self._here, self._before = self._order.zeros(), self._order.zeros()
        self._sums = np.zeros((self._order.slices, 2))

    def __call__(
        self, step: Step, first: Array, first_lines: Array, length: float, stages: int, plain: bool
    ) -> tuple[Array, Array]:
        """All stages; what the rounding of the increments took or gave is handed back in proportion to them."""
        order = self._order
        rate = order.pack(step.inverse * first)
        np.multiply(rate, order.dtype(first_weight(stages) * length), out=self._here)
        self._before.fill(0.0)
        run = self._linear(step, rate, first_lines) if plain else self._phases(step, rate)

        def one(stage: Stage) -> Array:
            lines = run(stage, length)
            self._here, self._before = self._before, self._here
            return lines

        lines = integrate(first_lines, length, stages, one)
        change = order.unpack(self._here)
        size = float(np.sum(self._capacity * np.abs(change)))
        if size > 0.0:
            share = (float(lines.sum()) - float(np.sum(self._capacity * change))) / size
            change += share * np.abs(change)
        return change, lines

    def _linear(self, step: Step, rate: Real, first_lines: Array) -> Callable[[Stage, float], Array]:
        """A stage without ice or vapour: the equation is linear in the increments."""
        order, number = self._order, self._order.dtype
        values = order.values(_graph(step.operator))
        sink = step.blood + step.film
        touches = [
            (order.place[touch.nodes], g) for touch, g in zip(step.action.touches, step.conductances, strict=True)
        ]
        for touch, g in zip(step.action.touches, step.conductances, strict=True):
            sink[touch.nodes] += g
        filmed = np.flatnonzero(step.film)
        places, films = order.place[filmed], step.film[filmed]
        sinks, inverse = order.pack(sink), order.pack(step.inverse)

        def run(stage: Stage, length: float) -> Array:
            here = self._here
            taken = sum(float(np.sum(g * here[place])) for place, g in touches)
            by_film = float(np.sum(films * here[places]))
            _linear_stage(
                order.start,
                order.neighbour,
                values,
                sinks,
                inverse,
                rate,
                here,
                self._before,
                number(stage.mu),
                number(stage.nu),
                number(stage.now * length),
                number((stage.now + stage.start) * length),
                self._sums,
            )
            held, lost = self._sums.sum(axis=0)
            return np.asarray(first_lines - np.array([0.0, lost - by_film - taken, by_film, taken, held]))

        return run

    def _phases(self, step: Step, rate: Real) -> Callable[[Stage, float], Array]:
        """A stage with ice or vapour: flows at the temperature of the increments."""
        order, number, problem = self._order, self._order.dtype, step.problem
        kept = np.flatnonzero(~step.action.free)
        wasted = float(np.sum(step.action.power[kept]))
        border = step.border - BODY_TEMPERATURE * step.film
        bordering, filmed = float(border.sum()), np.flatnonzero(step.film)
        blood, inverse = order.pack(step.blood), order.pack(step.inverse)
        arterial = number(problem.arterial_temperature - BODY_TEMPERATURE)
        liquidus = number(problem.relation.liquid[0] - BODY_TEMPERATURE)

        def run(stage: Stage, length: float) -> Array:
            temperature = problem.relation.temperature(step.state.v + order.unpack(self._here))
            temperature[kept] = step.state.temperature[kept]
            theta = temperature - BODY_TEMPERATURE
            steady, sink, probes = step.power + border, step.film.copy(), 0.0
            for touch, g in zip(step.action.touches, step.touching(temperature), strict=True):
                steady[touch.nodes] += g * (touch.temperature - BODY_TEMPERATURE)
                sink[touch.nodes] += g
                probes += float(np.sum(g * (touch.temperature - temperature[touch.nodes])))
            _phase_stage(
                order.start,
                order.neighbour,
                order.values(_graph(step.operator_with_ice(temperature))),
                order.pack(theta),
                order.pack(steady),
                blood,
                order.pack(sink),
                arterial,
                liquidus,
                inverse,
                rate,
                self._here,
                self._before,
                number(stage.mu),
                number(stage.nu),
                number(stage.now * length),
                number(stage.start * length),
                self._sums,
            )
            held, bled = self._sums.sum(axis=0)
            by_film = float(np.sum(step.film[filmed] * theta[filmed]))
            return np.array([step.source, bled, bordering - by_film, probes, -held - wasted])

        return run


def _graph(operator: Operator) -> GraphOperator:
    assert isinstance(operator, GraphOperator)
    return operator
