"""The heat march on any engine: Runge-Kutta-Legendre steps by its conductance operator, in double precision.

Plain NumPy around the operator. Sums and extremes go through the engine, which may hold a part of the nodes only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thermal.engine import Engine, Operator
from thermal.engines.legendre import Stage, first_weight, integrate
from thermal.heat import Action, HeatProblem, HeatState, Rates, Stepped
from thermal.units import Array


class OperatorStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(self, engine: Engine, problem: HeatProblem) -> None:
        """``problem`` on the nodes and cells of ``engine``."""
        self._engine, self._problem = engine, problem
        self._capacity = engine.volume * problem.relation.capacity
        self._smallest = engine.volume * problem.relation.smallest_capacity()
        self._film = problem.film if engine.maximum(problem.film) > 0.0 else None
        self._at_37: Operator | None = None

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
        foreseen = middle() if problem.cells.rises or action.touches else temperature
        self._unfrozen = problem.cells.at_37
        if problem.cells.rises:
            self._unfrozen = problem.cells.unfrozen(engine.to_cells(foreseen))
        liquidus = problem.relation.liquid[0]
        touched = min((touch.temperature for touch in action.touches), default=np.inf)
        self._cold = min(engine.minimum(temperature), touched) <= liquidus
        self._plain = not self._cold and engine.maximum(temperature) <= problem.relation.liquid[1]
        self._operator = self._warm_operator()
        self._touching = [touch.conductance(foreseen[touch.nodes]) for touch in action.touches]
        self._first, self._lines = self._flow(temperature)
        rate = self._inverse * self._first
        return Rates(self._decay(), engine.maximum(np.abs(rate)))

    def _warm_operator(self) -> Operator:
        if self._problem.cells.rises:
            return self._engine.conductance(self._unfrozen)
        if self._at_37 is None:
            self._at_37 = self._engine.conductance(self._unfrozen)
        return self._at_37

    def _decay(self) -> float:
        """Upper bound of the decay rates of the linearised equation, 1/s (Gershgorin)."""
        engine, problem = self._engine, self._problem
        sink = self._blood if self._film is None else self._blood + self._film
        for touch, g in zip(self._action.touches, self._touching, strict=True):
            sink = sink.copy()
            sink[touch.nodes] += g
        bound = self._operator.bound
        if self._cold and problem.cells.frozen is not None:
            bound = np.maximum(bound, engine.conductance(problem.cells.frozen).bound)
        rate = np.divide(bound + sink, self._smallest, out=np.zeros_like(sink), where=self._weight > 0)
        return engine.maximum(rate)

    def _flow(self, temperature: Array) -> tuple[Array, Array]:
        """Heat into each free node (n,) W, and the lines of the ledger (5,) W."""
        engine, problem = self._engine, self._problem
        icy = self._cold or engine.minimum(temperature) <= problem.relation.liquid[0]
        operator = self._operator
        if icy:
            operator = engine.conductance(problem.cells.with_ice(self._unfrozen, engine.to_cells(temperature)))
        flowing = np.where(temperature > problem.relation.liquid[0], self._blood, 0.0) if icy else self._blood
        from_blood = flowing * (problem.arterial_temperature - temperature)
        from_border = self._border
        if self._film is not None:
            from_border = from_border - self._film * self._weight * temperature
        flow = self._weight * -operator(temperature) + self._power + from_blood + from_border
        probes = np.zeros(1)
        for touch, g in zip(self._action.touches, self._touching, strict=True):
            near = temperature[touch.nodes]
            g = g if self._plain else touch.conductance(near)
            heat = g * (touch.temperature - near) * self._weight[touch.nodes]
            flow[touch.nodes] += heat
            probes = np.append(probes, heat)
        lines = np.array([self._source, engine.total(from_blood), engine.total(from_border), engine.total(probes), 0.0])
        lines[4] = engine.total(flow) - lines.sum()
        return flow, lines

    def advance(self, step: float, stages: int) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        relation, state, kept = self._problem.relation, self._state, np.flatnonzero(~self._action.free)
        here = first_weight(stages) * step * self._inverse * self._first
        before = np.zeros_like(here)

        def temperature_after(change: Array) -> Array:
            temperature = relation.temperature(state.v + change)
            temperature[kept] = state.temperature[kept]
            return temperature

        def run(stage: Stage) -> Array:
            nonlocal here, before
            flow, lines = self._flow(temperature_after(here))
            flow = step * (stage.now * flow + stage.start * self._first)
            here, before = stage.mu * here + stage.nu * before + self._inverse * flow, here
            return lines

        lines = integrate(self._lines, step, stages, run)
        stored = self._engine.total(self._capacity * here)
        if not np.isfinite(stored):
            raise FloatingPointError("the temperature became infinite")
        state.temperature[:] = temperature_after(here)
        state.v[:] += here
        np.minimum(state.coldest, state.temperature, out=state.coldest)
        np.maximum(state.hottest, state.temperature, out=state.hottest)
        return Stepped(lines, stored, self._error(here, step))

    def _error(self, change: Array, step: float) -> float | None:
        """Local error from the flows at both ends of the step, K; None where there is ice or vapour."""
        temperature = self._state.temperature
        liquidus, onset = self._problem.relation.liquid
        if self._cold or self._engine.minimum(temperature) <= liquidus or self._engine.maximum(temperature) >= onset:
            return None
        last, _ = self._flow(temperature)
        return self._engine.maximum(np.abs(0.4 * step * self._inverse * (self._first + last) - 0.8 * change))
