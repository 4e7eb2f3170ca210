"""The heat march on any engine: Runge-Kutta-Legendre steps by its conductance operator, in double precision.

The same steps as those of the voxel engine's kernels, to round-off. Sums and extremes go through the engine, which may
hold a part of the nodes only: whatever decides between two ways is equal on all processes. The stages are plain NumPy
around the operator, unless the engine brings kernels of its own for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from thermal.engine import Engine, Operator
from thermal.engines.heat_checks import check_action, check_flow, check_problem, check_stages, infinite
from thermal.engines.legendre import legendre
from thermal.engines.moving import Moving
from thermal.engines.spectrum import Fronts, bound
from thermal.heat import Action, Flow, HeatProblem, HeatState, Rates, Stepped, Touch
from thermal.scheme import Scheme, Stage, mean_error
from thermal.units import Array


@dataclass(frozen=True)
class Step:
    """A step that has been taken up: all that its stages need. Arrays (n,) are zero at nodes that are not free."""

    engine: Engine
    problem: HeatProblem
    state: HeatState
    """at the start of the step until its end"""
    action: Action
    moving: Moving
    inverse: Array
    """(n,) K/J of unfrozen tissue"""
    free: Array
    """(n,) one at free nodes"""
    power: Array
    blood: Array
    border: Array
    film: Array
    warm: Array
    """(m,) W/m/K of unfrozen tissue"""
    operator: Operator
    """of ``warm``"""
    conductances: list[Array]
    """(t,) W/K of each probe, at the start"""
    source: float
    """W of all sources, on all processes"""

    def rate(self, first: Array, length: float) -> Array:
        """(n,) K/s at the start of a step of ``length`` s, at which ``first`` (n,) W flow into the free nodes."""
        rate = self.inverse * first
        rate[self.moving.nodes] = self.moving.rate(length)
        return rate

    def touches(self, share: float) -> tuple[Touch, ...]:
        """The probes as they are when a share of the step is over."""
        return tuple(touch.at(share) for touch in self.action.touches)

    def touching(self, temperature: Array, share: float) -> list[Array]:
        """(t,) W/K between each probe and the free nodes it touches, when a share of the step is over."""
        return [t.conductance(temperature[t.nodes]) * self.free[t.nodes] for t in self.touches(share)]

    def operator_with_ice(self, temperature: Array) -> Operator:
        """The operator where unfrozen tissue conducts as at the start of the step and ice is where it is now."""
        cells = self.problem.cells
        if cells.frozen is None:
            return self.operator
        cuts = self.problem.cuts
        edges = None if cuts is None else cuts.with_ice(self.engine.ends(cuts.unfrozen, temperature))
        return self.engine.conductance(cells.with_ice(self.warm, self.engine.to_cells(temperature)), edges)

    def flow(
        self, operator: Operator, conductances: list[Array], temperature: Array, share: float, *, linear: bool = False
    ) -> tuple[Array, Array]:
        """Heat into each free node (n,) W, and the lines of the ledger (5,) W, when a share of the step is over.

        ``linear``: blood flows everywhere, whatever the temperature: that of a stage may be far from any of the step.
        """
        engine, problem = self.engine, self.problem
        flowing = self.blood if linear else np.where(temperature > problem.relation.liquid[0], self.blood, 0.0)
        from_blood = flowing * (problem.arterial_temperature - temperature)
        from_border = self.border - self.film * temperature
        flow = self.free * -operator(temperature) + self.power + from_blood + from_border
        probes = np.zeros(1)
        for touch, conductance in zip(self.touches(share), conductances, strict=True):
            heat = conductance * (touch.temperature - temperature[touch.nodes])
            flow[touch.nodes] += heat
            probes = np.append(probes, heat)
        lines = np.array([self.source, engine.total(from_blood), engine.total(from_border), engine.total(probes), 0.0])
        lines[4] = engine.total(flow) - lines.sum()
        return flow, lines


def _check_everywhere(engine: Engine, check: Callable[[], None]) -> None:
    """Raise ``ValueError`` on all processes where a ``check`` does so on any: others would wait for it."""
    error: ValueError | None = None
    try:
        check()
    except ValueError as found:
        error = found
    if engine.total(np.array([float(error is not None)])) > 0.0:
        raise error or ValueError("what another process was given is no heat problem or step; it says why")


Stages = Callable[[Step, Array, Array, float, Scheme, bool], tuple[Array, Array]]
"""All stages of a step: from the first flow (n,) W and its lines (5,) W, the length of the step (s) and its scheme
to the change of v (n,) K, which tells nothing of nodes that are not free, and the time integral of the lines (5,) J. If
the last argument is true, neither ice nor vapour comes near and nothing depends on the temperature within the step."""


def by_operator(
    step: Step, first: Array, first_lines: Array, length: float, scheme: Scheme, plain: bool
) -> tuple[Array, Array]:
    """See :data:`Stages`."""
    relation, moving, kept = step.problem.relation, step.moving, np.flatnonzero(~step.action.free)
    here = scheme.first * length * step.inverse * first
    before = np.zeros_like(here)
    v = here if plain else step.state.take_content(relation)

    def run(stage: Stage, share: float) -> Array:
        nonlocal here, before
        temperature = step.state.temperature + here if plain else relation.temperature(v + here)
        temperature[kept] = step.state.temperature[kept]
        temperature[moving.nodes] = moving.at(share)
        operator = step.operator if plain else step.operator_with_ice(temperature)
        conductances = step.conductances if plain else step.touching(temperature, share)
        flow, lines = step.flow(operator, conductances, temperature, share, linear=plain)
        flow = length * (stage.now * flow + stage.start * first)
        here, before = stage.mu * here + stage.nu * before + step.inverse * flow, here
        return lines

    lines = scheme.integrate(first_lines, length, map(run, scheme.later, scheme.shares))
    return here, lines


class OperatorStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(
        self, engine: Engine, problem: HeatProblem, run: Stages = by_operator, weight: Array | None = None
    ) -> None:
        """``problem`` on the nodes and cells of ``engine``; ``run`` does the stages.

        ``weight`` (n,) sharpens the bound of the decay rates (:mod:`thermal.engines.spectrum`).
        """
        _check_everywhere(engine, lambda: check_problem(problem, len(engine.volume), engine.cell_volume > 0.0))
        self._engine, self._problem, self._run, self._weight = engine, problem, run, weight
        cells, relation = problem.cells, problem.relation
        self._stiff = relation.stiffness()
        self._rises = engine.maximum(np.abs(cells.slope)) > 0.0
        cuts = problem.cuts
        self._unfrozen = None if cuts is None else cuts.unfrozen
        self._operator = engine.conductance(cells.at_37, self._unfrozen)
        self._fronts = Fronts.of(engine, problem)
        self._frozen_bound: Array | None = None
        """(n,) W/K of what could freeze, all of it frozen"""
        if cells.frozen is not None:
            largest = None if cuts is None else cuts.largest()
            self._frozen_bound = bound(engine.conductance(cells.frozen, largest), weight)

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        engine, problem, temperature = self._engine, self._problem, state.temperature
        _check_everywhere(engine, lambda: check_action(state, action, len(problem.capacity)))
        free = (action.free & (engine.volume > 0)).astype(np.float64)
        liquidus, onset = problem.relation.liquid
        moving = Moving.of(state, action)
        coldest, hottest = engine.minimum(temperature), engine.maximum(temperature)
        if action.held_at_end is not None:
            prescribed = np.where(action.free, temperature, action.held_at_end)
            coldest, hottest = min(coldest, engine.minimum(prescribed)), max(hottest, engine.maximum(prescribed))
        touched = min((touch.coldest for touch in action.touches), default=np.inf)
        self._cold = min(coldest, touched) <= liquidus
        self._plain = not self._cold and hottest <= onset
        foreseen = middle() if self._rises or action.touches else temperature
        warm = problem.cells.unfrozen(engine.to_cells(foreseen)) if self._rises else problem.cells.at_37
        step = Step(
            engine,
            problem,
            state,
            action,
            moving,
            inverse=np.divide(free, self._problem.capacity, out=np.zeros_like(free), where=free > 0),
            free=free,
            power=action.power * free,
            blood=action.blood * free,
            border=problem.border * free,
            film=problem.film * free,
            warm=warm,
            operator=engine.conductance(warm, self._unfrozen) if self._rises else self._operator,
            conductances=[],
            source=engine.total(action.power),
        )
        near = step.touching(foreseen, 0.5) if self._plain else step.touching(temperature, 0.0)
        self._step = step = replace(step, conductances=near)
        operator = step.operator_with_ice(temperature) if self._cold else step.operator
        with np.errstate(invalid="ignore"):  # looked at next
            self._first, self._lines = step.flow(operator, step.conductances, temperature, 0.0)
        check_flow(self._lines, state, action)
        self._at_end: tuple[Array, Array] | None = None
        self._fastest_decay = self._decay(temperature)
        return Rates(self._fastest_decay, self._heating(temperature))

    def _heating(self, temperature: Array) -> float:
        """Largest rate of change of v, with the probes and without them, K/s."""
        step = self._step
        rate = step.inverse * self._first
        largest = np.abs(rate)
        for touch, conductance in zip(step.touches(0.0), step.conductances, strict=True):
            heat = conductance * (touch.temperature - temperature[touch.nodes])
            rate[touch.nodes] -= step.inverse[touch.nodes] * heat
        return self._engine.maximum(np.maximum(largest, np.abs(rate)))

    def _decay(self, temperature: Array) -> float:
        """Upper bound of the decay rates of the linearised equation, 1/s."""
        step = self._step
        blood = np.where(temperature > self._problem.relation.liquid[0], step.blood, 0.0)
        decay = self._fastest(bound(step.operator, self._weight) + blood, step.conductances)
        if not self._cold or self._frozen_bound is None:
            return decay
        decay = max(decay, self._fastest(self._frozen_bound, [touch.frozen() for touch in step.action.touches]))
        if self._fronts is None:
            return decay
        return max(decay, self._fronts.decay(temperature, step.inverse * self._stiff))

    def _fastest(self, within: Array, conductances: list[Array]) -> float:
        """Largest decay rate, 1/s, of nodes that give (n,) W/K to the tissue, and the rest to border and probes."""
        step = self._step
        all_of_it = within + step.film
        for touch, conductance in zip(step.action.touches, conductances, strict=True):
            all_of_it[touch.nodes] += conductance
        return self._engine.maximum(all_of_it * step.inverse * self._stiff)

    def advance(self, step: float, stages: int, bearable: float = np.inf) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        check_stages(step, stages, self._fastest_decay)
        scheme = legendre(stages)
        if self._plain:
            done = self._within_liquid(step, scheme)
            if done is not None:
                return done
            self._plain = False
        change, lines = self._stages(step, scheme, plain=False)
        error = self._front_error(change, step)
        if error > bearable:
            return Stepped(lines, 0.0, 0.0, None, error)
        return Stepped(lines, *self._settle(change), None, error)

    def leap(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """See :meth:`thermal.heat.HeatStepper.leap`."""
        return self._within_liquid(step, scheme, last=last) if self._plain else None

    def _within_liquid(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """A step that meets neither ice nor vapour; None, and the state as before, if it does."""
        engine, (liquidus, onset) = self._engine, self._problem.relation.liquid
        change, lines = self._stages(step, scheme, plain=True)
        liquid = self._step.state.temperature + change
        if not (liquidus < engine.minimum(liquid) and engine.maximum(liquid) < onset):
            return None
        stored, moved = self._settle(change)
        return Stepped(lines, stored, moved, None if last else self._error(change, step))

    def _stages(self, step: float, scheme: Scheme, *, plain: bool) -> tuple[Array, Array]:
        """See :data:`Stages`; the change of v (n,) K of the free nodes, and none of the others."""
        change, lines = self._run(self._step, self._first, self._lines, step, scheme, plain)
        change[self._step.moving.nodes] = 0.0
        return change, lines

    def _settle(self, change: Array) -> tuple[float, float]:
        """Bring the state to the end of the step; returns the heat stored and that moved, J."""
        gained = self._problem.capacity * change
        stored, moved = self._engine.total(gained), self._engine.total(np.abs(gained))
        if not np.isfinite(stored):
            raise infinite(self._step.state, self._step.action)
        state, free = self._step.state, np.flatnonzero(self._step.action.free)
        if self._plain:
            state.temperature[free] += change[free]
            state.content = None
        else:
            v = state.take_content(self._problem.relation)
            v += change
            state.temperature[free] = self._problem.relation.temperature(v)[free]
        self._step.moving.arrive(state, self._problem.relation)
        np.minimum(state.coldest, state.temperature, out=state.coldest)
        np.maximum(state.hottest, state.temperature, out=state.hottest)
        return stored, moved

    def _error(self, change: Array, step: float) -> float:
        """Local error from the flows at both ends of the step, K."""
        self._at_end = self._flow_at_end()
        last, _ = self._at_end
        return self._engine.maximum(np.abs(0.4 * step * self._step.inverse * (self._first + last) - 0.8 * change))

    def _front_error(self, change: Array, length: float) -> float:
        """The same with ice or vapour, before the state is brought there: how far temperatures may be off, root of the
        mean square over the heat moved.

        That is as far as the temperature changes when the error is added to v or taken from it: little where latent
        heat is taken up.
        """
        step, temperature_of = self._step, self._problem.relation.temperature
        v = step.state.take_content(self._problem.relation) + change
        here = temperature_of(v)
        at_end = np.where(step.action.free, here, step.state.temperature)
        at_end[step.moving.nodes] = step.moving.end
        last, _ = step.flow(step.operator_with_ice(at_end), step.touching(at_end, 1.0), at_end, 1.0)
        error = 0.4 * length * step.inverse * (self._first + last) - 0.8 * change
        off = np.maximum(np.abs(temperature_of(v + error) - here), np.abs(temperature_of(v - error) - here))
        moved = self._problem.capacity * np.abs(change)
        return mean_error(self._engine.total(moved * off**2), self._engine.total(moved))

    def _flow_at_end(self) -> tuple[Array, Array]:
        """Heat into each node (n,) W and the lines (5,) W, by the operator of the step."""
        step, temperature = self._step, self._step.state.temperature
        if self._plain:
            return step.flow(step.operator, step.conductances, temperature, 1.0)
        return step.flow(step.operator_with_ice(temperature), step.touching(temperature, 1.0), temperature, 1.0)

    def ends(self) -> tuple[Flow, Flow]:
        """See :meth:`thermal.heat.HeatStepper.ends`: in liquid tissue with what was prescribed during the step."""
        last, lines = self._at_end or self._flow_at_end()
        return Flow(self._step.inverse * self._first, self._lines), Flow(self._step.inverse * last, lines)
