"""Consolidation: pressure that builds up and relaxes as elastic tissue takes fluid up, ``S dp/dt = div(K grad p) + s -
...``.

The storage ``S = 1 / (lambda + 2 mu)`` is what fluid a volume of tissue takes up per pressure when it can give way in
one direction, or around a point (K. Terzaghi, 1923; M. A. Biot, J. Appl. Phys. 12 (1941) 155, doi:10.1063/1.1712886,
without the coupling of pressure to shear). Time goes by TR-BDF2 (R. E. Bank et al., IEEE Trans. Electron Devices 32
(1985) 1992), second order and without ringing after a switch; its mean pressure over a step balances fluid to
round-off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from thermal.engine import Operator, Solver
from thermal.physics.delivery.flow import Flow, Medium, solved
from thermal.units import Array

GAMMA = 2.0 - np.sqrt(2.0)
SHARE = 0.5 * GAMMA
"""Of the step in both of its implicit equations."""
EARLY, STEPS = 8, 24
"""Steps in the first tenth of a stage and in the rest."""


@dataclass
class Consolidation:
    """``storage`` (n,) m3/Pa; ``pressure`` (n,) Pa now, changed by :meth:`follow`."""

    medium: Medium
    storage: Array
    pressure: Array
    _solvers: dict[float, tuple[Operator, Solver]] = field(default_factory=dict)

    def follow(self, driven: Flow, duration: float) -> Iterator[tuple[float, Flow, Array]]:
        """Under the ports' flows of ``driven``: step (s), mean flow over it, and fluid stored (n,) m3/s."""
        for count, part in ((EARLY, 0.1 * duration), (STEPS, 0.9 * duration)):
            for _ in range(count):
                step = part / count
                before = self.pressure
                mean = self._advance(driven.injected, step)
                stored = self.storage * (self.pressure - before) / step
                yield step, self.medium.balanced(driven, mean, stored), stored

    def _advance(self, injected: Array, step: float) -> Array:
        """One step; returns the mean pressure (n,) that carried the fluid."""
        medium, held = self.medium, self.medium.held
        operator, solver = self._prepared(step)
        load = injected + medium.sources
        inertia = self.storage / (SHARE * step)
        old = np.where(held.mask, held.value, self.pressure)

        def solve(rhs: Array, guess: Array) -> Array:
            return solved(solver, rhs, held.value, guess)

        rate = load - operator(old) - medium.exchange * old
        half = solve(inertia * old + rate + load, old)
        mixed = (half - (1.0 - GAMMA) ** 2 * old) / (GAMMA * (2.0 - GAMMA))
        self.pressure = solve(inertia * mixed + load, half)
        weight = 0.5 / (2.0 - GAMMA)
        return np.asarray(weight * (old + half) + SHARE * self.pressure)

    def _prepared(self, step: float) -> tuple[Operator, Solver]:
        if step not in self._solvers:
            medium = self.medium
            operator = medium.conductance()
            diagonal = medium.exchange + self.storage / (SHARE * step)
            self._solvers[step] = operator, medium.engine.solver(operator, diagonal, fixed=medium.held.mask)
        return self._solvers[step]
