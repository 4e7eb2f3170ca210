"""The heat march on voxels: Runge-Kutta-Legendre steps by fused kernels, in single or double precision.

The state is kept in double precision and the flow at the start of a step is computed from it; only the increments
within the step are in the working precision, so that single precision loses digits of a change, never of the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from thermal.domain import VoxelDomain
from thermal.engines import heat_kernels as kernels
from thermal.engines.ahead import Ahead, same_nodes
from thermal.engines.arrays import Box, Real
from thermal.engines.cut_heat import Edges
from thermal.engines.heat_checks import check_action, check_flow, check_problem, check_stages, infinite
from thermal.engines.legendre import legendre
from thermal.engines.moving import NOTHING as AT_REST
from thermal.engines.moving import Moving
from thermal.engines.padded import Padded
from thermal.engines.spectrum import Fronts
from thermal.engines.stretches import Stretches
from thermal.engines.voxel_boxes import Contact, box_around, box_of_rows, hull, inside
from thermal.engines.voxel_conductivity import NOTHING, VoxelConductivity
from thermal.engines.voxel_liquid import VoxelLiquid
from thermal.engines.voxel_phases import VoxelPhases
from thermal.enthalpy import Nodes
from thermal.heat import Action, Flow, HeatProblem, HeatState, Precision, Rates, Stepped
from thermal.scheme import FLOW, Scheme
from thermal.units import Array, Mask


@dataclass(frozen=True)
class Weight:
    """Change of a step: heat ``stored`` and ``moved``, J, with the ``share`` of the latter that is handed back; lowest
    and highest temperature after it if all is liquid, degC."""

    stored: float
    moved: float
    share: float
    coldest: float
    hottest: float


NEGLIGIBLE = 1e-7
"""K/s that single precision takes for rest (0.4 mK an hour), so that tissue at rest costs nothing."""


class VoxelStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(
        self, domain: VoxelDomain, problem: HeatProblem, precision: Precision, fronts: Fronts | None = None
    ) -> None:
        """``problem`` on the nodes and cells of ``domain``; ``fronts`` where ice conducts far better than tissue."""
        check_problem(problem, math.prod(domain.shape), domain.solid)
        self._fronts = fronts
        grid = self._grid = Padded(domain, precision)
        relation = problem.relation
        capacity = grid.shaped(problem.capacity)
        self._capacity, self._inverse = Stretches.of(capacity), grid.nodes()
        for inverse, of_plane in zip(self._inverse[1:-1, 1:-1, 1:-1], capacity, strict=True):
            np.divide(1.0, of_plane, out=inverse, where=of_plane > 0.0, casting="same_kind")
        self._problem = problem = problem.without_capacity()
        self._negligible = NEGLIGIBLE if precision == "single" else 0.0
        self._conducting = VoxelConductivity(grid, problem)
        crossed = bool(problem.film.any()) or bool(problem.border.any())
        self._film = grid.shaped(problem.film) if crossed else NOTHING
        self._border_heat = grid.shaped(problem.border) if crossed else NOTHING
        self._source = (problem.film, 0.0)  # the power that was last summed up, and its sum
        self._stiff = NOTHING if relation.freezing is None else grid.shaped(relation.stiffness())
        self._liquid = VoxelLiquid(grid, problem, self._conducting)
        self._phases = VoxelPhases(grid, problem, self._conducting)
        self._sink, self._first, self._here, self._before = (grid.nodes() for _ in range(4))
        self._box = self._used = grid.whole
        """what a step can change; where the two increments may not be zero"""
        self._decay = 0.0
        self._moving, self._moving_places = AT_REST, grid.places(AT_REST.nodes)
        self._free: Mask | None = None
        self._kept: Nodes = np.zeros(0, np.int64)
        self._inverse_kept = np.zeros(0, grid.dtype)
        """one over the capacity of the nodes that are not free, for which the kernels read zero"""
        self._ahead: Ahead | None = None
        """of the end of the last step"""
        self._begun: Ahead | None = None
        """of the start of this one, until it is done"""
        self._frozen_decay = 0.0
        self._frozen_probes: Array | None = None
        """(t,) W/K of all probes together for which that was computed"""

    def _take_frozen_decay(self) -> None:
        """Take up the largest decay rate of all that could freeze, frozen, beside the probes of this step."""
        probes = [contact.touch.frozen() * contact.free for contact in self._contacts]
        together = np.concatenate([np.zeros(0), *probes])
        known = self._frozen_probes
        if not self._conducting.freezes or (known is not None and np.array_equal(together, known)):
            return
        self._frozen_probes = together
        self._sink[1:-1, 1:-1, 1:-1] = self._film if self._film.size else 0.0
        for contact, g in zip(self._contacts, probes, strict=True):
            self._sink.ravel()[contact.places] += g
        self._frozen_decay = self._largest_decay(*self._conducting.frozen())

    def _refuse_no_numbers(self) -> None:
        """Raise ``FloatingPointError`` where tissue is too hot or cold to be liquid and yet changes its phase nowhere:
        what it has is no number."""
        if self._problem.relation.freezing is None and self._problem.relation.boiling is None:
            raise infinite(self._state, self._action)

    def _largest_decay(self, kv: Real, edges: Edges) -> float:
        rows = np.empty(self._grid.shape[:2])
        of_nodes = (self._sink, self._inverse, self._stiff)
        kernels.largest_decay(1, len(rows) + 1, kv, *self._grid.inverse_squares, *edges, *of_nodes, rows)
        return float(rows.max())

    def _release(self, free: Mask) -> None:
        """Take up which nodes are free."""
        if same_nodes(free, self._free):
            return
        inverse = self._inverse.ravel()
        inverse[self._grid.places(self._kept)] = self._inverse_kept
        self._free, self._kept = free, np.flatnonzero(~free)
        places = self._grid.places(self._kept)
        self._inverse_kept = inverse[places]
        inverse[places] = 0.0
        self._runs = self._conducting.runs(self._inverse)
        self._liquid.release(free)
        self._frozen_probes = None  # nodes that come free may be the fastest ones

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        check_action(state, action, math.prod(self._grid.shape))
        moving = self._moving = Moving.of(state, action)
        self._moving_places = self._grid.places(moving.nodes)
        liquidus, onset = self._problem.relation.liquid
        stays = moving.within((liquidus, onset))
        if self._begun is not None and stays and self._begun.serves(state, action, self._kept):
            return Rates(self._decay, self._begun.fastest)
        ahead, self._ahead = self._ahead, None
        if ahead is not None and stays and ahead.serves(state, action, self._kept):
            self._first, self._before = self._before, self._first
            self._state, self._lines, self._extent = state, ahead.lines, self._last_extent
            return Rates(self._decay, ahead.fastest)
        self._release(action.free)
        self._state, self._action = state, action
        self._contacts = [Contact(touch, self._grid, action.free) for touch in action.touches]
        touched = [touch.coldest for touch in action.touches]
        coldest = min([float(state.temperature.min()), moving.coldest, *touched])
        self._cold = coldest <= liquidus
        self._plain = not self._cold and stays and float(state.temperature.max()) <= onset
        if not self._plain:
            self._refuse_no_numbers()
        changing = self._problem.cells.rises
        foreseen = middle() if changing or self._contacts else state.temperature
        if changing:
            self._conducting.thaw(self._grid.shaped(foreseen))
        at, share = (foreseen, 0.5) if self._plain else (state.temperature, 0.0)
        self._conductances = [contact.conductance(at[contact.touch.nodes], share) for contact in self._contacts]
        self._liquid.touch(self._contacts, self._conductances)
        if self._cold:
            self._take_frozen_decay()
            self._phases.take_ice(state.temperature)
        with np.errstate(invalid="ignore"):  # looked at next
            self._lines, self._fastest, self._extent = self._flow(self._first, 0.0, self._cold)
        check_flow(self._lines, state, action)
        self._decay = self._largest_decay(*self._conducting.now(cold=False))
        if self._cold:
            self._decay = max(self._decay, self._frozen_decay)
        if self._cold and self._fronts is not None:
            swiftness = self._problem.relation.stiffness() * self._grid.empty(self._inverse)
            self._decay = max(self._decay, self._fronts.decay(state.temperature, swiftness))
        if not changing:
            held = state.temperature[self._kept]
            self._begun = Ahead(state, action, held, self._lines, self._fastest)
        return Rates(self._decay, self._fastest)

    def _flow(self, rate: Real, share: float, cold: bool) -> tuple[Array, float, Box]:
        """Fill ``rate`` K/s when a share of the step is over and the sink; the lines of the ledger, W, the largest rate
        and the box of all rates.

        ``cold``: there may be ice.
        """
        problem, action, temperature = self._problem, self._action, self._state.temperature
        sums = np.empty((*self._grid.shape[:2], 6))
        cells, edges = self._conducting.now(cold=cold)
        kernels.first_flow(
            0,
            len(sums),
            self._grid.shaped(temperature),
            cells,
            *self._grid.inverse_squares,
            *edges,
            self._grid.shaped(action.power),
            self._grid.shaped(action.blood),
            self._film,
            self._border_heat,
            problem.arterial_temperature,
            problem.relation.liquid[0],
            self._inverse,
            self._negligible,
            rate,
            self._sink,
            sums,
        )
        fastest, extent = float(sums[..., 3].max()), box_of_rows(sums[..., 4], sums[..., 5])
        flow, blood, border = (float(sums[..., index].sum()) for index in range(3))
        probes = 0.0
        for contact, g in zip(self._contacts, self._conductances, strict=True):
            heat = g * (contact.touch.at(share).temperature - temperature[contact.touch.nodes])
            rate.ravel()[contact.places] += heat * self._inverse.ravel()[contact.places]
            self._sink.ravel()[contact.places] += g
            fastest = max(fastest, float(np.abs(rate.ravel()[contact.places]).max(initial=0.0)))
            extent = hull(extent, contact.box)
            probes += float(heat.sum())
        if self._source[0] is not action.power:
            self._source = (action.power, float(action.power.sum()))
        source = self._source[1]
        lines = np.array([source, blood, border, probes, flow - (source + blood + border)])
        return lines, fastest, extent

    def advance(self, step: float, stages: int, bearable: float = np.inf) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        check_stages(step, stages, self._decay)
        scheme = legendre(stages)
        if self._plain:
            done = self._within_liquid(step, scheme)
            if done is not None:
                return done
            self._plain = False
        self._clear()
        self._box = self._used = self._grid.whole
        self._phases.begin(self._action, self._inverse)
        lines = self._march(step, scheme, self._in_phases(scheme, step))
        error = self._front_error(step)
        if error > bearable:
            return Stepped(lines, 0.0, 0.0, None, error)
        self._here.ravel()[self._moving_places] = 0.0
        weight = self._weighed(lines)
        self._phases.add_up(self._state, self._here, weight.share, self._inverse)
        self._moving.arrive(self._state, self._problem.relation)
        return Stepped(lines, weight.stored, weight.moved, None, error)

    def _front_error(self, step: float) -> float:
        """Local error of a step with ice or vapour from the flows at both its ends, K."""
        fields = self._inverse, self._first, self._here, self._before
        v = self._state.take_content(self._problem.relation)
        self._move_on(1.0)
        self._phases.stage(FLOW, 1.0, 1.0, v, fields, self._contacts, self._box)
        return self._phases.error(step, v, fields)

    def _move_on(self, share: float) -> None:
        """Have nodes at a prescribed temperature change as it does until a share of the step is over."""
        moving = self._moving
        if moving.nodes.size:
            relation, v = self._problem.relation, self._state.v
            change = relation.take(moving.nodes).content(moving.at(share)) - v[moving.nodes]
            self._here.ravel()[self._moving_places] = change

    def leap(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """See :meth:`thermal.heat.HeatStepper.leap`."""
        return self._within_liquid(step, scheme, last=last) if self._plain else None

    def _within_liquid(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """A step that meets neither ice nor vapour; None, and the state as before, if it does."""
        self._clear()
        self._box = self._used = self._reached(scheme.stages)
        fields = self._runs, self._sink, self._inverse, self._first, self._here, self._before
        flows = self._liquid.stages(scheme, step, self._lines, fields, self._box)
        first, places = self._first.ravel(), self._moving_places
        first[places] = self._moving.rate(step)
        lines = self._march(step, scheme, flows)
        if len(scheme.later) % 2:
            self._here, self._before = self._before, self._here
        first[places] = self._here.ravel()[places] = 0.0  # what the free nodes do is left
        weight = self._weighed(lines)
        liquidus, onset = self._problem.relation.liquid
        if not (liquidus < weight.coldest and weight.hottest < onset):
            self._refuse_no_numbers()
            return None
        self._add_up(weight.share)
        self._moving.arrive(self._state, self._problem.relation)
        return Stepped(lines, weight.stored, weight.moved, None if last else self._error(step))

    def _clear(self) -> None:
        """Forget the increments of the last step, and the rates at its end."""
        for work in (self._here, self._before):
            work[inside(self._used)] = 0.0

    def _reached(self, stages: int) -> Box:
        """The box of nodes that a step of ``stages`` can change."""
        extent = hull(self._extent, box_around(self._moving.nodes, self._grid))
        if extent[1] == 0:
            return np.array([1, 2, 1, 2, 1, 2])
        reach = np.array([-stages, stages] * 3)
        return np.asarray(np.clip(extent + reach, 1, self._grid.whole[1::2].repeat(2)))

    @property
    def _planes(self) -> tuple[int, int]:
        """Of the box: the first one, and the one after the last."""
        return int(self._box[0]), int(self._box[1])

    def _rows(self, count: int) -> Array:
        """Room for sums of the rows of the box."""
        box = self._box
        return np.empty((box[1] - box[0], box[3] - box[2], count))

    def _march(self, step: float, scheme: Scheme, flows: Iterable[Array]) -> Array:
        """All stages; afterwards ``_here`` holds the change of v. Returns the time integral of the lines, J."""
        self._begun = None
        box = inside(self._box)
        np.multiply(self._first[box], self._grid.dtype(scheme.first * step), out=self._here[box])
        return scheme.integrate(self._lines, step, flows)

    def _in_phases(self, scheme: Scheme, step: float) -> Iterator[Array]:
        """Stages with ice or vapour; gives for each the lines of the ledger (W) of the stage before."""
        v = self._state.take_content(self._problem.relation)
        for stage, share in zip(scheme.later, scheme.shares, strict=False):
            self._move_on(share)
            fields = self._inverse, self._first, self._here, self._before
            beyond_source = self._phases.stage(stage, share, step, v, fields, self._contacts, self._box)
            self._here, self._before = self._before, self._here
            yield np.append(self._lines[0], beyond_source)

    def _weighed(self, lines: Array) -> Weight:
        """What the change of v amounts to. Raises ``FloatingPointError`` if it is not finite.

        What the rounding of the increments took or gave is handed back in proportion to them, so that single precision
        keeps the balance of energy as double precision does.
        """
        sums = self._rows(4)
        start = self._grid.shaped(self._state.temperature)
        kernels.weigh(*self._planes, start, self._here, self._capacity, self._box, sums)
        stored, size, wanted = float(sums[..., 0].sum()), float(sums[..., 1].sum()), float(lines.sum())
        if not np.isfinite([stored, wanted]).all():
            raise infinite(self._state, self._action)
        share = (wanted - stored) / size if size > 0.0 else 0.0
        coldest, hottest = float(sums[..., 2].min()), float(sums[..., 3].max())
        return Weight(stored + share * size, size, share, coldest, hottest)

    def _add_up(self, share: float) -> None:
        """Take over the change of liquid tissue."""
        state = self._state
        extremes = self._grid.shaped(state.coldest), self._grid.shaped(state.hottest)
        temperature = self._grid.shaped(state.temperature)
        kernels.add_up(*self._planes, self._here, share, self._box, temperature, *extremes)
        state.content = None

    def _error(self, step: float) -> float:
        """Local error from the flows at both ends of the step, K; keeps the later one for the next step, in the place
        of the increment before the last."""
        self._last_lines, fastest, self._last_extent = self._flow(self._before, 1.0, False)
        self._used = hull(self._box, self._last_extent)
        rows = self._rows(1)[..., 0]
        number = self._grid.dtype(step)
        kernels.largest_error(*self._planes, self._here, self._first, self._before, number, self._box, rows)
        if not self._problem.cells.rises:
            held = self._state.temperature[self._kept]
            self._ahead = Ahead(self._state, self._action, held, self._last_lines, fastest)
        return float(rows.max())

    def ends(self) -> tuple[Flow, Flow]:
        """See :meth:`thermal.heat.HeatStepper.ends`."""
        if not self._plain:
            self._flow_with_phases()
        empty = self._grid.empty
        return Flow(empty(self._first), self._lines), Flow(empty(self._before), self._last_lines)

    def _flow_with_phases(self) -> None:
        """Flow at the end of a step with ice or vapour, where they are now."""
        temperature = self._state.temperature
        freezes = self._conducting.freezes
        if freezes:
            self._phases.take_ice(temperature)
        self._conductances = [contact.conductance(temperature[contact.touch.nodes], 1.0) for contact in self._contacts]
        self._last_lines, _, _ = self._flow(self._before, 1.0, freezes)
