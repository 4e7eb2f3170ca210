"""Stages of the heat march on meshes with ice or vapour: one pass over the sliced rows a stage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thermal.engines import row_kernels as kernels
from thermal.engines.operator_heat import Step
from thermal.engines.row_kernels import Real
from thermal.engines.row_order import RowOrder
from thermal.enthalpy import BODY_TEMPERATURE
from thermal.scheme import Scheme, Stage
from thermal.units import Array


class RowStages:
    """Stages with ice or vapour, see :data:`thermal.engines.operator_heat.Stages`."""

    def __init__(self, order: RowOrder, capacity: Array) -> None:
        """``capacity`` (n,) J/K of unfrozen tissue."""
        self._order = order
        self._capacity = capacity
        self._here, self._before = order.zeros(), order.zeros()
        self._sums = np.zeros((order.slices, 2))

    def __call__(
        self, step: Step, first: Array, first_lines: Array, length: float, scheme: Scheme, plain: bool
    ) -> tuple[Array, Array]:
        """All stages; what the rounding of the increments took or gave is handed back in proportion to them."""
        order = self._order
        rate = order.pack(step.inverse * first)
        np.multiply(rate, order.dtype(scheme.first * length), out=self._here)
        self._before.fill(0.0)
        run = self._phases(step, rate, length, step.state.take_content(step.problem.relation))

        def one(stage: Stage, share: float) -> Array:
            lines = run(stage, share)
            self._here, self._before = self._before, self._here
            return lines

        lines = scheme.integrate(first_lines, length, map(one, scheme.later, scheme.shares))
        change = order.unpack(self._here)
        change[step.moving.nodes] = 0.0
        size = float(np.sum(self._capacity * np.abs(change)))
        if size > 0.0:
            share = (float(lines.sum()) - float(np.sum(self._capacity * change))) / size
            change += share * np.abs(change)
        return change, lines

    def _phases(self, step: Step, rate: Real, length: float, v: Array) -> Callable[[Stage, float], Array]:
        """A stage with ice or vapour: flows at the temperature of the increments of ``v`` (n,) K, when a share of the
        step of ``length`` s is over."""
        order, number, problem = self._order, self._order.dtype, step.problem
        kept = np.flatnonzero(~step.action.free)
        wasted = float(np.sum(step.action.power[kept]))
        border = step.border - BODY_TEMPERATURE * step.film
        bordering, filmed = float(border.sum()), np.flatnonzero(step.film)
        blood, inverse = order.pack(step.blood), order.pack(step.inverse)
        arterial = number(problem.arterial_temperature - BODY_TEMPERATURE)
        liquidus = number(problem.relation.liquid[0] - BODY_TEMPERATURE)

        def run(stage: Stage, share: float) -> Array:
            temperature = problem.relation.temperature(v + order.unpack(self._here))
            temperature[kept] = step.state.temperature[kept]
            temperature[step.moving.nodes] = step.moving.at(share)
            theta = temperature - BODY_TEMPERATURE
            steady, sink, probes = step.power + border, step.film.copy(), 0.0
            for touch, g in zip(step.touches(share), step.touching(temperature, share), strict=True):
                steady[touch.nodes] += g * (touch.temperature - BODY_TEMPERATURE)
                sink[touch.nodes] += g
                probes += float(np.sum(g * (touch.temperature - temperature[touch.nodes])))
            kernels.phase_stage(
                0,
                len(order.start) - 1,
                order.start,
                order.lowest,
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
            held, bled = self._sums[:, 0].sum(), self._sums[:, 1].sum()
            by_film = float(np.sum(step.film[filmed] * theta[filmed]))
            return np.array([step.source, bled, bordering - by_film, probes, -held - wasted])

        return run
