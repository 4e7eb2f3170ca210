"""What a step of the heat march consists of: stages that each need the flow once.

Every scheme is written for increments ``d`` of the state in a step: ``d_1 = first F(Y_0)`` and
``d_j = mu d_(j-1) + nu d_(j-2) + now F(Y_0 + d_(j-1)) + start F(Y_0)`` from ``d_0 = 0``. Whatever is summed up along
the way (the lines of a ledger) goes through the same recurrence, so it closes to round-off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite, sqrt

import numpy as np

from thermal.units import Array


@dataclass(frozen=True)
class Stage:
    """Coefficients of one stage; ``now`` and ``start`` in units of the step."""

    mu: float
    nu: float
    now: float
    start: float


FLOW = Stage(0.0, 0.0, 1.0, 0.0)
"""No stage of a step: what it makes, of length one, is the rate ``F(Y_0 + d)`` itself."""


@dataclass(frozen=True)
class Scheme:
    """All stages of a step: length of the ``first`` in units of the step, and the ``later`` ones."""

    first: float
    later: tuple[Stage, ...]

    @property
    def stages(self) -> int:
        """How many there are."""
        return 1 + len(self.later)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Of the step that are over after each stage of a Runge-Kutta scheme; all of it after the last."""
        before, here = 0.0, self.first
        found = [here]
        for stage in self.later:
            before, here = here, stage.mu * here + stage.nu * before + stage.now + stage.start
            found.append(here)
        return tuple(found)

    def integrate(self, lines: Array, step: float, flows: Iterable[Array]) -> Array:
        """Time integral of the lines of a ledger over a step, J.

        ``lines`` W are those at its start; ``flows`` gives for each of the later stages, in turn, the lines (W) of the
        stage before, from which it is made.
        """
        before, here = np.zeros_like(lines), self.first * step * lines
        for stage, flowing in zip(self.later, flows, strict=True):
            now = stage.mu * here + stage.nu * before + step * (stage.now * flowing + stage.start * lines)
            before, here = here, now
        return here


def mean_error(square: float, moved: float) -> float:
    """Root of the mean of squared errors over the heat ``moved`` (J), of which ``square`` (K2 J) is the sum.

    Infinite where they are not finite.
    """
    if not isfinite(square) or not isfinite(moved):
        return inf
    return sqrt(square / moved) if moved > 0.0 else 0.0
