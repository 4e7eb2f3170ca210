"""Consolidation: pressure that builds up and relaxes as elastic tissue takes up fluid.

``dV/dt = div(K grad p) + s - ...``, where what is taken up, V, is a linear function of the pressure. With a
``storage`` it is local, ``V = S p`` with ``S = 1 / (lambda + 2 mu)``, exact where tissue gives way in one direction or
around a point (K. Terzaghi, 1923). Full theory (M. A. Biot, J. Appl. Phys. 12 (1941) 155, doi:10.1063/1.1712886) lets
the pressure displace the whole skeleton: ``V = S_f p + alpha div u``, where u is in equilibrium with ``alpha grad p``.

Time goes by TR-BDF2 (R. E. Bank et al., IEEE Trans. Electron Devices 32 (1985) 1992), second order and without ringing
after a switch; the mean pressure over a step and what is stored in it balance fluid to round-off. A permeability that
follows pressure or strain is that of the beginning of each step, of first order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from thermal.engine import Operator, Skeleton, Solver
from thermal.physics.delivery.flow import Flow, Medium, limited, solved
from thermal.units import Array

GAMMA = 2.0 - np.sqrt(2.0)
SHARE = 0.5 * GAMMA
"""Of the step in both of its implicit equations."""
COUPLED = 1e-7
"""Tolerance of the coupled solves; fluid balances whatever it is."""
EARLY, STEPS = 8, 24
"""Steps in the first tenth of a stage and in the rest."""


class Yielding(Protocol):
    """What tissue takes up."""

    def solver(self, operator: Operator, exchange: Array, step: float) -> Yielded:
        """Solves with ``V / step + K + exchange``."""
        ...

    def taken_up(self, pressure: Array) -> Array:
        """(n,) m3 at the pressure (n,) Pa."""
        ...

    def change(self, pressure: Array) -> Array | None:
        """(m,) factor of the permeability at the pressure (n,) Pa; None where it does not change."""
        ...


class Yielded(Protocol):
    """Solves of one step."""

    def __call__(self, rhs: Array) -> Array:
        """(n,) Pa, zero where the pressure is held."""
        ...


@dataclass(frozen=True)
class Local:
    """``storage`` (n,) m3/Pa of each node by itself; the permeability follows the pressure as the medium says."""

    medium: Medium
    storage: Array

    def solver(self, operator: Operator, exchange: Array, step: float) -> Yielded:
        """See :class:`Yielding`."""
        medium = self.medium
        prepared: Solver = medium.engine.solver(operator, exchange + self.storage / step, fixed=medium.held.mask)
        zero = np.zeros_like(self.storage)
        return lambda rhs: solved(prepared, rhs, zero)

    def taken_up(self, pressure: Array) -> Array:
        """See :class:`Yielding`."""
        return self.storage * pressure

    def change(self, pressure: Array) -> Array | None:
        """See :class:`Yielding`."""
        return None if self.medium.response == 0.0 else self.medium.change(pressure)


@dataclass(frozen=True)
class Coupled:
    """The skeleton as a whole: ``alpha``, Biot's coefficient; ``fluid`` (n,) m3/Pa that the fluid itself stores;
    ``stiffness`` (n,) Pa, ``lambda + 2 mu`` for preconditioning; ``response`` of the permeability to the strain."""

    medium: Medium
    skeleton: Skeleton
    alpha: float
    fluid: Array
    stiffness: Array
    response: float = 0.0

    def solver(self, operator: Operator, exchange: Array, step: float) -> Yielded:
        """See :class:`Yielding`."""
        medium, held = self.medium, self.medium.held.mask
        weight = self.alpha**2 / step
        prepared = self.skeleton.solver(
            operator, exchange + self.fluid / step, weight, weight * medium.engine.volume / self.stiffness, held
        )
        return lambda rhs: prepared(rhs, COUPLED)

    def taken_up(self, pressure: Array) -> Array:
        """See :class:`Yielding`."""
        return self.fluid * pressure + self.alpha**2 * self.skeleton.taken_up(pressure)

    def displacement(self, pressure: Array) -> Array:
        """(n, 3) m."""
        return self.alpha * self.skeleton.at_nodes(self.skeleton.displaced(pressure))

    def strain(self, pressure: Array) -> Array:
        """(m,) relative growth of each cell."""
        return self.alpha * self.skeleton.strain(self.skeleton.displaced(pressure))

    def change(self, pressure: Array) -> Array | None:
        """See :class:`Yielding`."""
        if self.response == 0.0:
            return None
        return limited(self.response * self.strain(pressure))


@dataclass
class Consolidation:
    """``pressure`` (n,) Pa now, changed by :meth:`follow`."""

    medium: Medium
    yielding: Yielding
    pressure: Array
    _solvers: dict[float, tuple[Operator, Yielded]] = field(default_factory=dict)

    def follow(self, driven: Flow, duration: float) -> Iterator[tuple[float, Flow, Array]]:
        """Under the ports' flows of ``driven``: step (s), mean flow over it, and fluid stored (n,) m3/s."""
        for count, part in ((EARLY, 0.1 * duration), (STEPS, 0.9 * duration)):
            for _ in range(count):
                step = part / count
                change = self.yielding.change(self.pressure)
                operator, mean, stored = self._advance(driven.spreading, step, change)
                yield step, self.medium.balanced(driven, operator, mean, stored, change), stored

    def _advance(self, spreading: Array, step: float, change: Array | None) -> tuple[Operator, Array, Array]:
        """One step; returns the operator, the mean pressure (n,) that carried the fluid, and what was stored."""
        medium, held = self.medium, self.medium.held
        operator, solve = self._prepared(step, change)
        load = spreading + medium.sources
        old = np.where(held.mask, held.value, self.pressure)

        def flow(p: Array) -> Array:
            return operator(p) + medium.exchange * p

        rate = load - flow(old)
        half = solve(2.0 * rate)
        mixed = (2.0 * rate - flow(half)) / (GAMMA * (2.0 - GAMMA))
        more = solve(rate + mixed)
        self.pressure = old + more
        mean = old + half * (0.5 / (2.0 - GAMMA)) + SHARE * more
        stored = load - flow(mean)
        if held.mask.any():
            stored = np.where(held.mask, self.yielding.taken_up(more) / step, stored)
        return operator, mean, stored

    def _prepared(self, step: float, change: Array | None) -> tuple[Operator, Yielded]:
        if change is None and step in self._solvers:
            return self._solvers[step]
        medium = self.medium
        operator = medium.conductance(change)
        found = operator, self.yielding.solver(operator, medium.exchange, SHARE * step)
        if change is None:
            self._solvers[step] = found
        return found
