"""The heat march on meshes: Runge-Kutta-Legendre steps by fused kernels on sliced rows, in single or double precision.

As on voxels, the state is kept in double precision and the flow at the start of a step is computed from it; only the
increments within the step are in the working precision. Steps with ice or vapour go stage by stage through
:class:`thermal.engines.operator_heat.OperatorStepper`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numba as nb
import numpy as np

from thermal.engine import Engine, Operator
from thermal.engines import row_kernels as kernels
from thermal.engines.ahead import Ahead, same_nodes
from thermal.engines.graph import LANES, Graph, GraphOperator
from thermal.engines.heat_checks import check_action, check_flow, check_problem, check_stages, infinite
from thermal.engines.legendre import legendre
from thermal.engines.moving import NOTHING, Driven, Moving
from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.row_kernels import Real
from thermal.engines.row_order import Packed, RowOrder
from thermal.engines.row_phases import RowStages
from thermal.engines.row_stages import GROUP, Groups, linear_stages
from thermal.engines.spectrum import bound, fastest_mode
from thermal.engines.watched import Watched
from thermal.enthalpy import Nodes
from thermal.heat import BUDGET, Action, Flow, HeatProblem, HeatState, HeatStepper, Precision, Rates, Stepped, Touch
from thermal.scheme import Scheme
from thermal.units import Array, Mask

SOURCE, BLOOD, BORDER, PROBES, HELD = range(len(BUDGET))
"""Places of the lines of the ledger."""


@dataclass(frozen=True)
class _Contact:
    """What some free nodes exchange heat with: ``conductance`` (t,) W/K times a temperature beyond, and ``given``, that
    product (t,) W; ``places`` of the nodes among the rows. ``line`` of the ledger."""

    line: int
    places: Nodes
    conductance: Array
    given: Array
    change: float = 0.0
    """K by which the temperature beyond moves in the step; ``given`` is that of its middle"""

    def heat(self, temperature: Array, share: float) -> Array:
        """(t,) W into the nodes, whose rows have this temperature (degC) when a share of the step is over."""
        given = self.given if self.change == 0.0 else self.given + (share - 0.5) * self.change * self.conductance
        return np.asarray(given - self.conductance * temperature[self.places])

    def driven(self) -> Driven:
        """What moves with the temperature beyond."""
        return Driven(self.places, self.change * self.conductance)


class RowStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(self, engine: Engine, graph: Graph, problem: HeatProblem, precision: Precision) -> None:
        """``problem`` on the nodes and cells of ``engine``, which has this ``graph``."""
        check_problem(problem, graph.size, engine.cell_volume > 0.0)
        self._engine, self._problem = engine, problem
        order = self._order = RowOrder(graph, precision)
        self._groups = Groups(order)
        self._solid = problem.capacity > 0.0
        self._stiff = problem.relation.stiffness()
        self._bordering = np.flatnonzero((problem.film != 0.0) | (problem.border != 0.0))
        operator = engine.conductance(problem.cells.at_37)
        assert isinstance(operator, GraphOperator)
        self._weight = fastest_mode(engine, operator, problem)
        self._take(operator)
        self._sink, self._first, self._last, self._here, self._before = (order.zeros() for _ in range(5))
        self._temperature: Array = np.zeros(order.slices * LANES)
        self._free: Mask | None = None
        self._power, self._blood = Packed(), Packed()
        self._ahead: Ahead | None = None
        self._with_phases = OperatorStepper(engine, problem, RowStages(order, problem.capacity), self._weight)
        self._at_work: HeatStepper = self
        self._moving = NOTHING
        self._decay = 0.0

    def _take(self, operator: Operator) -> None:
        """Take up the conductances of a step."""
        assert isinstance(operator, GraphOperator)
        self._values = self._order.values(operator)
        self._bound = self._order.pack(bound(operator, self._weight))

    def _release(self, free: Mask) -> None:
        """Take up which nodes are free."""
        if same_nodes(free, self._free):
            return
        self._free = free
        self._kept = np.flatnonzero(~free)
        capacity = self._problem.capacity
        inverse = np.divide(1.0, capacity, out=np.zeros_like(capacity), where=free & self._solid)
        self._inverse = self._order.pack(inverse)
        self._swiftest = self._order.pack(inverse * self._stiff)

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        check_action(state, action, len(self._solid))
        ahead, self._ahead, self._at_work = self._ahead, None, self
        self._state, self._middle, self._action = state, middle, action
        self._moving = Moving.of(state, action)
        liquidus, onset = liquid = self._problem.relation.liquid
        stays = self._moving.within(liquid)
        if ahead is not None and stays and ahead.serves(state, action, self._kept):
            self._first, self._last = self._last, self._first
            self._lines = ahead.lines
            return Rates(self._decay, ahead.fastest)
        self._release(action.free)
        coldest = min([float(state.temperature.min()), *(touch.coldest for touch in action.touches)])
        if coldest <= liquidus or float(state.temperature.max()) > onset or not stays:
            return self._leave_to_phases()
        cells, engine = self._problem.cells, self._engine
        foreseen = middle() if cells.rises or action.touches else state.temperature
        if cells.rises:
            self._take(engine.conductance(cells.unfrozen(engine.to_cells(foreseen))))
        self._contacts = [self._border(action.free), *(self._touching(touch, foreseen) for touch in action.touches)]
        self._watched = self._beyond()
        self._temperature[: len(self._order.node)] = state.temperature[self._order.node]
        with np.errstate(invalid="ignore"):  # looked at next
            self._lines, fastest = self._flow(self._first, 0.0)
        check_flow(self._lines, state, action)
        return Rates(self._decay, fastest)

    def _beyond(self) -> Watched:
        """The rows of all contacts, and what they lose through the lines of border and probes."""
        places = np.concatenate([contact.places for contact in self._contacts])
        losses = np.zeros((2, len(places)))
        done = 0
        for contact in self._contacts:
            behind = done + len(contact.places)
            losses[int(contact.line == PROBES), done:behind] = contact.conductance
            done = behind
        return Watched(places, losses, GROUP * LANES, self._groups.size)

    def _border(self, free: Mask) -> _Contact:
        nodes, problem = self._bordering[free[self._bordering]], self._problem
        return _Contact(BORDER, self._order.place[nodes], problem.film[nodes], problem.border[nodes])

    def _touching(self, touch: Touch, temperature: Array) -> _Contact:
        conductance = touch.conductance(temperature[touch.nodes]) * self._action.free[touch.nodes]
        given = conductance * touch.temperature
        return _Contact(PROBES, self._order.place[touch.nodes], conductance, given, touch.change)

    def _leave_to_phases(self) -> Rates:
        self._at_work = self._with_phases
        return self._with_phases.begin(self._state, self._middle, self._action)

    def _flow(self, rate: Real, share: float) -> tuple[Array, float]:
        """Fill ``rate`` K/s when a share of the step is over and the sink, take the bound of the decay; the lines of
        the ledger, W, and largest rate."""
        action, order = self._action, self._order
        sums = np.empty((order.slices, 4))
        kernels.first_flow(
            0,
            order.slices,
            order.start,
            order.lowest,
            order.neighbour,
            self._values,
            self._temperature,
            self._power(order, action.power),
            self._blood(order, action.blood),
            self._problem.arterial_temperature,
            self._inverse,
            self._swiftest,
            self._bound,
            rate,
            self._sink,
            sums,
        )
        lines = np.zeros(len(BUDGET))
        flow, lines[BLOOD] = sums[:, 0].sum(), sums[:, 1].sum()
        fastest, self._decay = sums[:, 2].max(initial=0.0), sums[:, 3].max(initial=0.0)
        lines[SOURCE] = self._power.total
        for contact in self._contacts:
            places, heat = contact.places, contact.heat(self._temperature, share)
            rate[places] += heat * self._inverse[places]
            self._sink[places] += contact.conductance
            if contact.line == BORDER and len(
                places
            ):  # always there: how fast nodes would be without it does not count
                fastest = float(np.abs(rate).max())
            fastest = max(fastest, float(np.abs(rate[places]).max(initial=0.0)))
            decay = self._swiftest[places] * (self._bound[places] + self._sink[places])
            self._decay = max(self._decay, float(decay.max(initial=0.0)))
            lines[contact.line] += float(heat.sum())
        lines[HELD] = flow + lines[BORDER] + lines[PROBES] - lines.sum()
        return lines, float(fastest)

    def advance(self, step: float, stages: int, bearable: float = np.inf) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        if self._at_work is not self:
            return self._at_work.advance(step, stages, bearable)
        check_stages(step, stages, self._decay)
        done = self._within_liquid(step, legendre(stages))
        if done is None:
            self._leave_to_phases()
            return self._at_work.advance(step, stages, bearable)
        return done

    def leap(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """See :meth:`thermal.heat.HeatStepper.leap`."""
        return self._within_liquid(step, scheme, last=last) if self._at_work is self else None

    def _within_liquid(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """A step that meets neither ice nor vapour; None, and the state as before, if it does."""
        moving, places = self._moving, self._order.place[self._moving.nodes]
        self._first[places] = moving.rate(step)
        lines = self._march(step, scheme)
        self._first[places] = self._here[places] = 0.0  # what the free nodes do is left
        sums = np.empty((self._order.slices, 4))
        kernels.weigh(0, len(sums), self._order.node, self._state.temperature, self._here, self._problem.capacity, sums)
        stored, size, wanted = float(sums[:, 0].sum()), float(sums[:, 1].sum()), float(lines.sum())
        if not np.isfinite([stored, wanted]).all():
            raise infinite(self._state, self._action)
        liquidus, onset = self._problem.relation.liquid
        if sums[:, 2].min() <= liquidus or sums[:, 3].max() >= onset:
            return None
        share = (wanted - stored) / size if size > 0.0 else 0.0
        state = self._state
        state.content = None
        moving.arrive(state, self._problem.relation)
        arrays = state.temperature, state.coldest, state.hottest, self._temperature
        kernels.add_up(0, len(self._order.node), self._order.node, self._here, share, self._inverse, *arrays)
        return Stepped(lines, stored + share * size, size, None if last else self._error(step))

    def _march(self, step: float, scheme: Scheme) -> Array:
        """All stages; afterwards ``_here`` holds the change of v. Returns the time integral of the lines, J."""
        np.multiply(self._first, self._order.dtype(scheme.first * step), out=self._here)
        self._before.fill(0.0)
        flows = self._flows(scheme, step)
        integral = scheme.integrate(self._lines, step, flows)
        if len(scheme.later) % 2:
            self._here, self._before = self._before, self._here
        return integral

    def _flows(self, scheme: Scheme, step: float) -> Iterator[Array]:
        """Do all stages; gives, for each, the lines of the ledger (W) of the stage before."""
        order, here, before, later = self._order, self._here, self._before, scheme.later
        driven = [contact.driven() for contact in self._contacts if contact.change != 0.0]
        stretches = self._groups.best(nb.get_num_threads())
        weights = np.array([(s.mu, s.nu, s.now * step, (s.now + s.start) * step) for s in later], order.dtype)
        most = 1 if driven else stretches.begin.shape[1]
        for done in range(0, len(later), most):
            group = weights[done : done + most]
            count = len(group)
            seen = self._watched.room(count, order.dtype)
            sums = np.empty((count, 2, order.slices))
            linear_stages(
                stretches.begin,
                stretches.end,
                stretches.border_begin,
                stretches.border_end,
                self._groups.last,
                order.start,
                order.lowest,
                order.neighbour,
                self._values,
                self._sink,
                self._inverse,
                self._first,
                here,
                before,
                group,
                self._watched.places,
                self._watched.first,
                seen,
                sums,
            )
            known = self._lines
            if driven:
                given = sum(probe.add(scheme.shares[done], group[0, 2], self._inverse, before) for probe in driven)
                known = known + given * np.eye(len(BUDGET))[PROBES]
            if count % 2:
                here, before = before, here
            held, lost = sums.sum(axis=2).T
            yield from known - self._watched.lines(held, lost, seen)

    def _error(self, step: float) -> float:
        """Local error from the flows at both ends of the step, K; keeps the later one for the next step."""
        self._last_lines, fastest = self._flow(self._last, 1.0)
        largest = np.empty(self._order.slices)
        kernels.largest_error(0, len(largest), self._here, self._first, self._last, step, largest)
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
