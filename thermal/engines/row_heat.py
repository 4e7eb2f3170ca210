"""The heat march on meshes: Runge-Kutta-Legendre steps by fused kernels on sliced rows, in single or double precision.

As on voxels, the state is kept in double precision and the flow at the start of a step is computed from it; only the
increments within the step are in the working precision. Steps with ice or vapour go stage by stage through
:class:`thermal.engines.operator_heat.OperatorStepper`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from thermal.engine import Engine, Operator
from thermal.engines import row_kernels as kernels
from thermal.engines.ahead import Ahead
from thermal.engines.graph import LANES, GraphOperator, Rows
from thermal.engines.legendre import Stage, first_weight, integrate
from thermal.engines.operator_heat import OperatorStepper, Step
from thermal.engines.row_kernels import Real
from thermal.engines.spectrum import bound, fastest_mode
from thermal.heat import (
    BODY_TEMPERATURE,
    Action,
    Flow,
    HeatProblem,
    HeatState,
    HeatStepper,
    Precision,
    Rates,
    Stepped,
    Touch,
)
from thermal.units import Array, Mask


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

    def values(self, operator: Operator) -> Real:
        """Conductances in the slots of the rows."""
        assert isinstance(operator, GraphOperator)
        return operator.single_values if self.dtype is np.float32 else operator.values


class _Contact:
    """A probe on the rows, with its conductance (t,) W/K to the free nodes it touches."""

    def __init__(self, touch: Touch, order: RowOrder, temperature: Array, free: Mask) -> None:
        """``temperature`` (n,) degC of the tissue that conducts."""
        self.nodes, self.offset = touch.nodes, touch.temperature
        self.places = order.place[touch.nodes]
        self.conductance = touch.conductance(temperature[touch.nodes]) * free[touch.nodes]


class RowStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(self, engine: Engine, rows: Rows, problem: HeatProblem, precision: Precision) -> None:
        """``problem`` on the nodes and cells of ``engine``, whose graph has these ``rows``."""
        self._engine, self._problem = engine, problem
        order = self._order = RowOrder(rows, precision)
        relation = problem.relation
        self._capacity = engine.volume * relation.capacity
        self._solid = engine.volume > 0
        self._stiff = relation.capacity / relation.smallest_capacity()
        self._film_nodes = np.flatnonzero(problem.film)
        self._film_places = order.place[self._film_nodes]
        operator = engine.conductance(problem.cells.at_37)
        assert isinstance(operator, GraphOperator)
        self._weight = fastest_mode(engine, operator, problem)
        self._take(operator)
        self._sink, self._first, self._last, self._here, self._before = (order.zeros() for _ in range(5))
        self._temperature: Array = np.zeros(order.slices * LANES)
        self._free = np.zeros(0, np.bool_)
        self._source = (problem.film, 0.0)  # the power that was last summed up, and its sum
        self._ahead: Ahead | None = None
        self._with_phases = OperatorStepper(engine, problem, RowStages(order, self._capacity), self._weight)
        self._at_work: HeatStepper = self
        self._decay = 0.0

    def _take(self, operator: Operator) -> None:
        """Take up the conductances of a step."""
        assert isinstance(operator, GraphOperator)
        self._values = self._order.values(operator)
        self._bound = self._order.pack(bound(operator, self._weight))

    def _release(self, free: Mask) -> None:
        """Take up which nodes are free."""
        if np.array_equal(free, self._free):
            return
        self._free = free.copy()
        self._kept = np.flatnonzero(~free)
        inverse = np.divide(1.0, self._capacity, out=np.zeros_like(self._capacity), where=free & self._solid)
        self._inverse = self._order.pack(inverse)
        self._swiftest = self._order.pack(inverse * self._stiff)

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        ahead, self._ahead, self._at_work = self._ahead, None, self
        if ahead is not None and ahead.serves(state, action, self._kept):
            self._first, self._last = self._last, self._first
            self._state, self._lines = state, ahead.lines
            return Rates(self._decay, ahead.fastest)
        self._release(action.free)
        self._state, self._middle, self._action = state, middle, action
        liquidus, onset = self._problem.relation.liquid
        coldest = min([float(state.temperature.min()), *(touch.temperature for touch in action.touches)])
        if coldest <= liquidus or float(state.temperature.max()) > onset:
            return self._leave_to_phases()
        cells, engine = self._problem.cells, self._engine
        foreseen = middle() if cells.rises or action.touches else state.temperature
        if cells.rises:
            self._take(engine.conductance(cells.unfrozen(engine.to_cells(foreseen))))
        self._contacts = [_Contact(touch, self._order, foreseen, action.free) for touch in action.touches]
        self._temperature[: len(self._order.node)] = state.temperature[self._order.node]
        self._lines, fastest = self._flow(self._first)
        return Rates(self._decay, fastest)

    def _leave_to_phases(self) -> Rates:
        self._at_work = self._with_phases
        return self._with_phases.begin(self._state, self._middle, self._action)

    def _flow(self, rate: Real) -> tuple[Array, float]:
        """Fill ``rate`` K/s and the sink, take the bound of the decay; the lines of the ledger, W, and largest rate."""
        problem, action, order = self._problem, self._action, self._order
        sums = np.empty((order.slices, 5))
        kernels.first_flow(
            order.start,
            order.neighbour,
            self._values,
            order.node,
            self._temperature,
            action.power,
            action.blood,
            problem.film,
            problem.border,
            problem.arterial_temperature,
            self._inverse,
            self._swiftest,
            self._bound,
            rate,
            self._sink,
            sums,
        )
        flow, blood, border = sums[:, :3].sum(axis=0)
        fastest, self._decay = sums[:, 3:].max(axis=0, initial=0.0)
        probes = 0.0
        for contact in self._contacts:
            places, g = contact.places, contact.conductance
            heat = g * (contact.offset - self._temperature[places])
            rate[places] += heat * self._inverse[places]
            self._sink[places] += g
            fastest = max(fastest, float(np.abs(rate[places]).max(initial=0.0)))
            decay = self._swiftest[places] * (self._bound[places] + self._sink[places])
            self._decay = max(self._decay, float(decay.max(initial=0.0)))
            probes += float(heat.sum())
        if self._source[0] is not action.power:
            self._source = (action.power, float(action.power.sum()))
        source = self._source[1]
        return np.array([source, blood, border, probes, flow - (source + blood + border)]), float(fastest)

    def advance(self, step: float, stages: int) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        if self._at_work is not self:
            return self._at_work.advance(step, stages)
        lines = self._march(step, stages)
        sums = np.empty((self._order.slices, 4))
        kernels.weigh(self._order.node, self._state.v, self._here, self._capacity, sums)
        stored, size, wanted = float(sums[:, 0].sum()), float(sums[:, 1].sum()), float(lines.sum())
        if not np.isfinite([stored, wanted]).all():
            raise FloatingPointError("the temperature became infinite")
        liquidus, onset = self._problem.relation.liquid
        if sums[:, 2].min() + BODY_TEMPERATURE <= liquidus or sums[:, 3].max() + BODY_TEMPERATURE >= onset:
            self._leave_to_phases()
            return self._at_work.advance(step, stages)
        share = (wanted - stored) / size if size > 0.0 else 0.0
        state = self._state
        arrays = state.v, state.temperature, state.coldest, state.hottest, self._temperature
        kernels.add_up(self._order.node, self._here, share, self._inverse, *arrays)
        return Stepped(lines, stored + share * size, self._error(step))

    def _march(self, step: float, stages: int) -> Array:
        """All stages; afterwards ``_here`` holds the change of v. Returns the time integral of the lines, J."""
        np.multiply(self._first, self._order.dtype(first_weight(stages) * step), out=self._here)
        self._before.fill(0.0)
        sums = np.empty((self._order.slices, 2))

        def one(stage: Stage) -> Array:
            lines = self._stage(stage, step, sums)
            self._here, self._before = self._before, self._here
            return lines

        return integrate(self._lines, step, stages, one)

    def _stage(self, stage: Stage, step: float, sums: Array) -> Array:
        """One stage; returns the lines of the ledger (W) of the stage before."""
        order, here, number = self._order, self._here, self._order.dtype
        by_probes = sum(float((contact.conductance * here[contact.places]).sum()) for contact in self._contacts)
        by_film = float((self._problem.film[self._film_nodes] * here[self._film_places]).sum())
        kernels.linear_stage(
            order.start,
            order.neighbour,
            self._values,
            self._sink,
            self._inverse,
            self._first,
            here,
            self._before,
            number(stage.mu),
            number(stage.nu),
            number(stage.now * step),
            number((stage.now + stage.start) * step),
            sums,
        )
        held, lost = sums.sum(axis=0)
        return np.asarray(self._lines - np.array([0.0, lost - by_film - by_probes, by_film, by_probes, held]))

    def _error(self, step: float) -> float:
        """Local error from the flows at both ends of the step, K; keeps the later one for the next step."""
        self._last_lines, fastest = self._flow(self._last)
        largest = np.empty(self._order.slices)
        kernels.largest_error(self._here, self._first, self._last, step, largest)
        if not self._problem.cells.rises:
            held = self._state.temperature[self._kept]
            self._ahead = Ahead(self._state, self._action, held, self._last_lines, fastest)
        return float(largest.max(initial=0.0))

    def ends(self) -> tuple[Flow, Flow]:
        """See :meth:`thermal.heat.HeatStepper.ends`."""
        if self._at_work is not self:
            return self._at_work.ends()
        unpack = self._order.unpack
        return Flow(unpack(self._first), self._lines), Flow(unpack(self._last), self._last_lines)


class RowStages:
    """Stages with ice or vapour, see :data:`thermal.engines.operator_heat.Stages`."""

    def __init__(self, order: RowOrder, capacity: Array) -> None:
        """``capacity`` (n,) J/K of unfrozen tissue."""
        self._order = order
        self._capacity = capacity
        self._here, self._before = order.zeros(), order.zeros()
        self._sums = np.zeros((order.slices, 2))

    def __call__(
        self, step: Step, first: Array, first_lines: Array, length: float, stages: int, plain: bool
    ) -> tuple[Array, Array]:
        """All stages; what the rounding of the increments took or gave is handed back in proportion to them."""
        order = self._order
        rate = order.pack(step.inverse * first)
        np.multiply(rate, order.dtype(first_weight(stages) * length), out=self._here)
        self._before.fill(0.0)
        run = self._phases(step, rate)

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
            kernels.phase_stage(
                order.start,
                order.neighbour,
                order.values(step.operator_with_ice(temperature)),
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
