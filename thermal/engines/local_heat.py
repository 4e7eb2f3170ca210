"""Stages of the heat march on the rows of one process: one pass over memory a stage, one exchange of ghosts before it.

What :func:`thermal.engines.operator_heat.by_operator` does in plain NumPy. The ledger is summed up on each process
through all stages and added up over the processes once a step: its recurrence is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba as nb
import numpy as np

from thermal.engine import Operator
from thermal.engines.compiled import compiled
from thermal.engines.distributed_operator import DolfinxOperator
from thermal.engines.distribution import Distribution
from thermal.engines.local_rows import Index, LocalCells, Short
from thermal.engines.moving import Driven
from thermal.engines.operator_heat import Step
from thermal.enthalpy import Conductivity
from thermal.heat import HeatProblem
from thermal.scheme import Scheme, Stage
from thermal.units import Array

Run = Callable[[Stage, float, Any, Any], Array]
"""One stage: from its weights and the share of the step that is over where it begins, on both increments, to this
process's part of the lines (5,) W that are not known beforehand."""
SOURCE = np.array([1.0, 0.0, 0.0, 0.0, -1.0])
"""The lines known beforehand of 1 W of sources: the last is what is left when the others are taken from the flow."""
CHUNK = 2048
"""Rows that are summed up one after the other, so that sums do not depend on the number of threads."""


@compiled
def _linear_stage(
    start: Index,
    neighbour: Short,
    values: Array,
    sink: Array,
    inverse: Array,
    first: Array,
    here: Array,
    before: Array,
    mu: float,
    nu: float,
    now: float,
    begun: float,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now (A here) / C + begun first``; ``first`` K/s.

    ``sums``: heat into free nodes, W, and what of it the sink took, both beyond those of the start of the step.
    """
    for chunk in nb.prange(len(sums)):
        flow, lost = 0.0, 0.0
        for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(sink))):
            u, q = here[i], 0.0
            for slot in range(start[i], start[i + 1]):
                q += values[slot] * (here[neighbour[slot]] - u)
            taken = sink[i] * u
            q -= taken
            w = inverse[i]
            before[i] = mu * u + nu * before[i] + now * (w * q) + begun * first[i]
            flow += q if w > 0.0 else 0.0
            lost += taken
        sums[chunk, 0], sums[chunk, 1] = flow, lost


@compiled
def _phase_stage(
    start: Index,
    neighbour: Short,
    values: Array,
    temperature: Array,
    steady: Array,
    blood: Array,
    sink: Array,
    arterial: float,
    liquidus: float,
    inverse: Array,
    first: Array,
    here: Array,
    before: Array,
    mu: float,
    nu: float,
    now: float,
    begun: float,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now F(T) / C + begun first``; ``sums``: heat into free nodes, from blood, W."""
    for chunk in nb.prange(len(sums)):
        flow, bled = 0.0, 0.0
        for i in range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(sink))):
            u, q, w = temperature[i], 0.0, inverse[i]
            for slot in range(start[i], start[i + 1]):
                q += values[slot] * (temperature[neighbour[slot]] - u)
            from_blood = blood[i] * (arterial - u) if u > liquidus else 0.0
            total = (q if w > 0.0 else 0.0) + steady[i] - sink[i] * u + from_blood
            before[i] = mu * here[i] + nu * before[i] + now * (w * total) + begun * first[i]
            flow += total
            bled += from_blood
        sums[chunk, 0], sums[chunk, 1] = flow, bled


@dataclass(frozen=True)
class RowStages:
    """Stages on the rows of ``cells``, this process's part of a ``distribution``."""

    distribution: Distribution
    cells: LocalCells
    problem: HeatProblem

    @cached_property
    def _conductivity(self) -> Conductivity:
        """That of the problem's cells, ghosts included."""
        given = self.problem.cells
        at_37, slope = (self.distribution.cells_with_ghosts(k).copy() for k in (given.at_37, given.slope))
        frozen = None if given.frozen is None else self.distribution.cells_with_ghosts(given.frozen).copy()
        return Conductivity(at_37, slope, frozen, given.solidus, given.liquidus)

    @cached_property
    def _buffers(self) -> tuple[Any, Any, Any]:
        """Two increments and a temperature, with ghosts."""
        return self.distribution.vector(), self.distribution.vector(), self.distribution.vector()

    def __call__(
        self, step: Step, first: Array, first_lines: Array, length: float, scheme: Scheme, plain: bool
    ) -> tuple[Array, Array]:
        """See :data:`thermal.engines.operator_heat.Stages`."""
        owned = self.distribution.owned
        here, before, _ = self._buffers
        rate = step.rate(first, length)
        here.array[:owned] = scheme.first * length * rate
        before.array[:owned] = 0.0
        sums = np.empty((-(-owned // CHUNK), 2))
        if plain:
            run, known = self._linear(step, rate, length, sums), first_lines
        else:
            run, known = self._phases(step, rate, length, sums), step.source * SOURCE

        def one(stage: Stage, share: float) -> Array:
            nonlocal here, before
            mine = run(stage, share, here, before)
            here, before = before, here
            return np.concatenate([known, mine])

        flows = map(one, scheme.later, scheme.shares)
        lines = scheme.integrate(np.concatenate([first_lines, np.zeros(5)]), length, flows)
        return here.array[:owned].copy(), lines[:5] + self.distribution.add(lines[5:])

    def _linear(self, step: Step, rate: Array, length: float, sums: Array) -> Run:
        """A stage without ice or vapour: the equation is linear in the increments."""
        cells, values = self.cells, _values(step.operator)
        touches = list(zip(step.action.touches, step.conductances, strict=True))
        sink = step.blood + step.film
        for touch, conductance in touches:
            sink[touch.nodes] += conductance
        filmed = np.flatnonzero(step.film)
        driven = [Driven(touch.nodes, g * touch.change) for touch, g in touches if touch.change != 0.0]

        def run(stage: Stage, share: float, here: Any, before: Any) -> Array:
            here.scatter_forward()
            u: Array = here.array
            taken = sum(float(np.sum(g * u[touch.nodes])) for touch, g in touches)
            by_film = float(np.sum(step.film[filmed] * u[filmed]))
            now, begun = stage.now * length, (stage.now + stage.start) * length
            rows = cells.start, cells.neighbour, values
            _linear_stage(*rows, sink, step.inverse, rate, u, before.array, stage.mu, stage.nu, now, begun, sums)
            flow, lost = sums.sum(axis=0)
            given = sum(probe.add(share, now, step.inverse, before.array) for probe in driven) - taken
            return np.array([0.0, by_film + taken - lost, -by_film, given, flow + lost])

        return run

    def _phases(self, step: Step, rate: Array, length: float, sums: Array) -> Run:
        """A stage with ice or vapour: flows at the temperature of the increments."""
        cells, owned = self.cells, self.distribution.owned
        relation, liquidus = self.problem.relation, self.problem.relation.liquid[0]
        kept = np.flatnonzero(~step.action.free)
        warm = self.distribution.cells_with_ghosts(step.warm).copy()
        warm_values = _values(step.operator)
        bordering = float(step.border.sum())
        filmed = np.flatnonzero(step.film)
        v = step.state.take_content(relation)

        def run(stage: Stage, share: float, here: Any, before: Any) -> Array:
            ghosted = self._buffers[2]
            ghosted.array[:owned] = relation.temperature(v + here.array[:owned])
            ghosted.array[kept] = step.state.temperature[kept]
            ghosted.array[step.moving.nodes] = step.moving.at(share)
            ghosted.scatter_forward()
            t: Array = ghosted.array
            values = warm_values
            if self._conductivity.frozen is not None and float(t.min()) < liquidus:
                cuts = self.problem.cuts
                edges = None if cuts is None else cuts.with_ice(t[cuts.unfrozen.nodes])
                values = cells.conductance(self._conductivity.with_ice(warm, cells.to_cells(t)), edges).values
            steady, sink, probes = step.power + step.border, step.film.copy(), 0.0
            for touch, g in zip(step.touches(share), step.touching(t, share), strict=True):
                steady[touch.nodes] += g * touch.temperature
                sink[touch.nodes] += g
                probes += float(np.sum(g * (touch.temperature - t[touch.nodes])))
            now, begun = stage.now * length, stage.start * length
            rows = cells.start, cells.neighbour, values, t, steady, step.blood, sink
            weights = stage.mu, stage.nu, now, begun
            levels = self.problem.arterial_temperature, liquidus
            _phase_stage(*rows, *levels, step.inverse, rate, here.array, before.array, *weights, sums)
            flow, bled = sums.sum(axis=0)
            border = bordering - float(np.sum(step.film[filmed] * t[filmed]))
            return np.array([0.0, bled, border, probes, flow - bled - border - probes])

        return run


def _values(operator: Operator) -> Array:
    """Conductances of the slots of the rows."""
    assert isinstance(operator, DolfinxOperator)
    return operator.local.values
