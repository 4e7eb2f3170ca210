"""How long the steps of the time loop are: marks that they land on, errors that they follow, fronts that bound them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thermal.heat import Precision
from thermal.units import LEAST_TOLERANCE, Array

SMALLEST_STEP = 1e-6  # s; a run that would need less has lost its footing
APART = 2.0 * SMALLEST_STEP
"""s; times closer than that are one and the same, as they may differ by round-off (0.1 s times 600 is not 60 s)."""
GROWTH = 2.0  # largest ratio of successive steps in smooth regimes
FRONT_GROWTH = 1.5  # the same while there is ice or vapour
FRONT_STEP = 10.0  # s; largest step while there is ice or vapour
FRONT_TOLERANCE = 100.0
"""Tolerances that the error beside fronts may have: at every node that begins or ends to change its phase the estimate
is of the first order in the step, and diffusion wipes out what it sees within a few steps."""
FRONT_BEARABLE = 2.0
"""How many times that a step may have: beyond it is done anew."""
SAFETY = 0.8
FEW = 5.0
"""Tolerances that tissue may move by in the first step after a jump, or be left behind by a wall that turns."""
LONGEST_LEAP = 2e4
"""Longest step that is exact in time, in units of the fastest decay: some 400 stages, so that runs show progress."""
ROUND_OFF: dict[Precision, float] = {"single": 2e-6, "double": 1e-14}
"""What hundreds of stages leave of it in a step, relative to the way it would go at the rate of its start."""


@dataclass(frozen=True)
class Control:
    """How the time loop chooses its steps."""

    tolerance: float = 0.02
    """K, of the local error of a step"""
    max_step: float = 10.0
    """s"""
    first_step: float | None = None
    """s, after each event; default from the initial heating rate"""
    precision: Precision = "double"
    """of the increments within a step"""

    def __post_init__(self) -> None:
        for name in ("tolerance", "max_step", "first_step"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise ValueError(f"{name} = {value:g} is not above zero, so no step could be chosen by it")
        if self.tolerance < LEAST_TOLERANCE:
            raise ValueError(
                f"tolerance = {self.tolerance:g} K is lost in round-off, so no step would be short enough for it; give "
                f"at least {LEAST_TOLERANCE:g} K"
            )

    @property
    def unnoticed(self) -> float:
        """K, error of a step that is exact in time: a tenth of what others may have."""
        return 0.1 * self.tolerance

    @property
    def farthest(self) -> float:
        """K, longest way that such a step may go at the rate of its start: round-off stays a tenth of the tolerance."""
        return 0.1 * self.tolerance / ROUND_OFF[self.precision]

    def after_turn(self, turn: float) -> float:
        """Longest step (s) after prescribed temperatures have begun to move faster or slower by ``turn`` K/s: tissue
        that went on as before would be left behind by a few tolerances."""
        return max(FEW * self.tolerance / turn, SMALLEST_STEP) if turn > 0.0 else math.inf

    def first(self, decay: float, heating: float, ramps: bool) -> float:
        """First step (s) after a jump: the fastest node moves by a few tolerances.

        From the bound of the decay rates (1/s) and the largest rate of change (K/s); ``ramps``: prescribed temperatures
        that begin at rest, so that nothing moves yet, but will.
        """
        if self.first_step is not None:
            return self.first_step
        slowest = 4.0 / max(decay, 1e-12)
        moving = FEW * self.tolerance / heating if heating > 0 else self.max_step
        if ramps:
            moving = min(moving, slowest)
        return max(min(moving, self.max_step), 1e-3 * slowest, SMALLEST_STEP)

    def next(self, step: float, proposal: float, error: float) -> float:
        """Step (s) after one of ``step`` s, of which ``proposal`` had been allowed, with this local ``error`` (K)."""
        factor = SAFETY * (self.tolerance / max(error, 1e-30)) ** (1.0 / 3.0)
        wanted = step * float(np.clip(factor, 0.2, GROWTH))
        if factor >= 1.0 and step < proposal:  # the step was cut short by a target, not by its error
            wanted = max(wanted, proposal)
        return max(min(wanted, self.max_step), SMALLEST_STEP)

    def after_leap(self, step: float, error: float) -> float:
        """Ordinary step (s) after one of ``step`` s that was exact in time, with the ``error`` (K) an ordinary one as
        long would have had: as much shorter as that asks for, be it a thousand times."""
        wanted: float = SAFETY * step * (self.tolerance / max(error, 1e-30)) ** (1.0 / 3.0)
        return max(min(wanted, GROWTH * step, self.max_step), SMALLEST_STEP)

    @property
    def bearable(self) -> float:
        """K, error beside fronts beyond which a step is done anew."""
        return FRONT_BEARABLE * FRONT_TOLERANCE * self.tolerance

    def next_beside_fronts(self, step: float, proposal: float, error: float) -> float:
        """As :meth:`next` while there is ice or vapour; ``error`` is that beside fronts."""
        factor = FRONT_GROWTH ** min(max(self._front_power(error), -4), 1)
        wanted = step * factor
        if factor >= 1.0 and step < proposal:
            wanted = max(wanted, proposal)
        return max(min(wanted, FRONT_STEP, self.max_step), SMALLEST_STEP)

    def again(self, step: float, error: float) -> float:
        """Step (s) to take instead of one of ``step`` s that had an unbearable ``error`` (K) beside fronts."""
        return max(step * FRONT_GROWTH ** min(max(self._front_power(error), -6), -2), SMALLEST_STEP)

    def _front_power(self, error: float) -> int:
        """How many times a step may grow by :data:`FRONT_GROWTH` after this ``error`` (K) beside fronts.

        A whole number: where nodes change their phase the error hangs so much on the step that steps which followed it
        more finely would make two courses of the last digits.
        """
        if not np.isfinite(error):
            return -6
        allowed = FRONT_TOLERANCE * self.tolerance / max(error, 1e-30)
        return math.floor(0.5 * math.log(allowed) / math.log(FRONT_GROWTH))


def fit(proposal: float, left: float) -> tuple[float, bool]:
    """Step not beyond the next target, and whether it lands there; the last two steps before it are made equal."""
    if proposal >= left * (1.0 - 1e-9):
        return left, True
    if proposal > 0.5 * left:
        return 0.5 * left, False
    return proposal, False


def marks(events: Sequence[float], duration: float) -> Array:
    """Sorted times in (0, duration] that steps land on: every event, and the end."""
    return np.unique([*(time for time in events if APART < time < duration - APART), duration])
