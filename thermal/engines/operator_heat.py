"""The heat march on any engine: Runge-Kutta-Legendre steps by its conductance operator, in double precision.

Plain NumPy around the operator; the same steps as those of the voxel engine's kernels, to round-off. Sums and extremes
go through the engine, which may hold a part of the nodes only: whatever decides between two ways is equal on all
processes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thermal.engine import Engine, Operator
from thermal.engines.legendre import Stage, first_weight, integrate
from thermal.heat import BODY_TEMPERATURE, Action, HeatProblem, Rates, Stepped
from thermal.units import Array


class OperatorStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(self, engine: Engine, problem: HeatProblem) -> None:
        """``problem`` on the nodes and cells of ``engine``."""
        self._engine, self._problem = engine, problem
        cells, relation = problem.cells, problem.relation
        self._capacity = engine.volume * relation.capacity
        self._stiff = relation.capacity / relation.smallest_capacity()
        self._film = problem.film if engine.maximum(problem.film) > 0.0 else None
        self._rises = engine.maximum(np.abs(cells.slope)) > 0.0
        self._operator = engine.conductance(cells.at_37)
        self._frozen_decay = 0.0
        if cells.frozen is not None:
            solid = np.flatnonzero(engine.volume > 0)
            bound = (engine.conductance(cells.frozen).bound * self._stiff)[solid]
            self._frozen_decay = engine.maximum(bound / self._capacity[solid])

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        engine, problem = self._engine, self._problem
        self._state, self._action = state, action
        temperature = state.temperature
        self._weight = (action.free & (engine.volume > 0)).astype(np.float64)
        self._inverse = np.divide(self._weight, self._capacity, out=np.zeros_like(temperature), where=self._weight > 0)
        self._blood = action.blood * self._weight
        self._border = problem.border * self._weight
        self._power = action.power * self._weight
        self._source = engine.total(action.power)
        liquidus, onset = problem.relation.liquid
        touched = min((touch.temperature for touch in action.touches), default=np.inf)
        self._cold = min(engine.minimum(temperature), touched) <= liquidus
        self._plain = not self._cold and engine.maximum(temperature) <= onset
        self._warm = problem.cells.unfrozen(engine.to_cells(middle))
        if self._rises:
            self._operator = engine.conductance(self._warm)
        self._conductances = self._conductances_at(middle if self._plain else temperature)
        operator = self._operator_with_ice(temperature) if self._cold else self._operator
        self._first, self._lines = self._flow(operator, self._conductances, temperature)
        return Rates(self._decay(temperature), self._heating(temperature))

    def _conductances_at(self, temperature: Array) -> list[Array]:
        """(t,) W/K between each probe and the free nodes it touches."""
        return [t.conductance(temperature[t.nodes]) * self._weight[t.nodes] for t in self._action.touches]

    def _operator_with_ice(self, temperature: Array) -> Operator:
        """The operator where unfrozen tissue conducts as at the start of the step and ice is where it is now."""
        cells = self._problem.cells
        if cells.frozen is None:
            return self._operator
        return self._engine.conductance(cells.with_ice(self._warm, self._engine.to_cells(temperature)))

    def _heating(self, temperature: Array) -> float:
        """Largest rate of change of v, with the probes and without them, K/s."""
        rate = self._inverse * self._first
        largest = np.abs(rate)
        for touch, conductance in zip(self._action.touches, self._conductances, strict=True):
            heat = conductance * (touch.temperature - temperature[touch.nodes])
            rate[touch.nodes] -= self._inverse[touch.nodes] * heat
        return self._engine.maximum(np.maximum(largest, np.abs(rate)))

    def _decay(self, temperature: Array) -> float:
        """Upper bound of the decay rates of the linearised equation, 1/s (Gershgorin)."""
        sink = np.where(temperature > self._problem.relation.liquid[0], self._blood, 0.0)
        if self._film is not None:
            sink += self._film * self._weight
        for touch, conductance in zip(self._action.touches, self._conductances, strict=True):
            sink[touch.nodes] += conductance
        decay = self._engine.maximum((self._operator.bound + sink) * self._inverse * self._stiff)
        return max(decay, self._frozen_decay) if self._cold else decay

    def _flow(self, operator: Operator, conductances: list[Array], temperature: Array) -> tuple[Array, Array]:
        """Heat into each free node (n,) W, and the lines of the ledger (5,) W."""
        engine, problem = self._engine, self._problem
        flowing = np.where(temperature > problem.relation.liquid[0], self._blood, 0.0)
        from_blood = flowing * (problem.arterial_temperature - temperature)
        from_border = self._border
        if self._film is not None:
            from_border = from_border - self._film * self._weight * temperature
        flow = self._weight * -operator(temperature) + self._power + from_blood + from_border
        probes = np.zeros(1)
        for touch, conductance in zip(self._action.touches, conductances, strict=True):
            heat = conductance * (touch.temperature - temperature[touch.nodes])
            flow[touch.nodes] += heat
            probes = np.append(probes, heat)
        lines = np.array([self._source, engine.total(from_blood), engine.total(from_border), engine.total(probes), 0.0])
        lines[4] = engine.total(flow) - lines.sum()
        return flow, lines

    def advance(self, step: float, stages: int) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        engine = self._engine
        liquidus, onset = self._problem.relation.liquid
        if self._plain:
            change, lines = self._march(step, stages, plain=True)
            liquid = self._v + change + BODY_TEMPERATURE
            if liquidus < engine.minimum(liquid) and engine.maximum(liquid) < onset:
                stepped = self._settled(change, lines)
                return replace(stepped, error=self._error(stepped.temperature, change, step))
        return self._settled(*self._march(step, stages, plain=False))

    def _march(self, step: float, stages: int, *, plain: bool) -> tuple[Array, Array]:
        """All stages: the change of v (n,) K and the time integral of the lines, J.

        ``plain``: neither ice nor vapour comes near, and nothing depends on the temperature within the step.
        """
        relation, kept = self._problem.relation, np.flatnonzero(~self._action.free)
        here = first_weight(stages) * step * self._inverse * self._first
        before = np.zeros_like(here)

        def temperature_after(change: Array) -> Array:
            temperature = relation.temperature(state.v + change)
            temperature[kept] = state.temperature[kept]
            return temperature

        def run(stage: Stage) -> Array:
            nonlocal here, before
            v = self._v + here
            temperature = v + BODY_TEMPERATURE if plain else relation.temperature(v)
            temperature[kept] = self._temperature[kept]
            operator = self._operator if plain else self._operator_with_ice(temperature)
            conductances = self._conductances if plain else self._conductances_at(temperature)
            flow, lines = self._flow(operator, conductances, temperature)
            flow = step * (stage.now * flow + stage.start * self._first)
            here, before = stage.mu * here + stage.nu * before + self._inverse * flow, here
            return lines

        lines = integrate(self._lines, step, stages, run)
        return here, lines

    def _settled(self, change: Array, lines: Array) -> Stepped:
        """The state after all stages."""
        v = self._v + change
        stored = self._engine.total(self._capacity * change)
        if not np.isfinite(stored):
            raise FloatingPointError("the temperature became infinite")
        temperature = self._problem.relation.temperature(v)
        kept = np.flatnonzero(~self._action.free)
        temperature[kept] = self._temperature[kept]
        return Stepped(v, temperature, lines, stored, None)

    def _error(self, temperature: Array, change: Array, step: float) -> float:
        """Local error from the flows at both ends of the step, K."""
        last, _ = self._flow(self._operator, self._conductances, temperature)
        return self._engine.maximum(np.abs(0.4 * step * self._inverse * (self._first + last) - 0.8 * change))
