"""What a heater may do before the next look: a bound on the level from how fast it was seen to warm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.units import Array

SURE = 2.0
"""Standard deviations of the noise that are added to a rise that is seen."""
CLEAR = 8.0
"""Standard deviations of the noise above which a rise tells how fast the heater is (chosen: to an eighth)."""
BACK = 2
"""Images back from the last to which slopes are taken, which halves their noise."""


@dataclass(frozen=True)
class Seen:
    """A temperature image (...) degC with the time it was ``taken`` (s) and the ``dose`` by then: level times s."""

    taken: float
    values: Array
    dose: float


@dataclass
class Governor:
    """Keeps every voxel below its limit until the next look, whatever the controller wants.

    Tissue warms fastest, per level, when the heater comes on: at ``rate`` K/s (the initial slope). A level that is d
    higher for t seconds therefore adds at most rate d t to what the tissue was about to do, which is taken to go on as
    it was seen to. Until a rise is ``CLEAR`` the rate is bounded by what the noise may hide.
    """

    noise: float
    """standard deviation of a temperature, K"""
    limits: Array
    """(...) degC, already lessened by the caution"""
    start: float
    """level until an image shows what the heater does"""
    rate: Array | None = None
    """(...) K/s for a level of one; None: nothing was seen yet"""
    settled: bool = False
    """whether the rate was clear"""

    def watch(self, images: list[Seen]) -> None:
        """Learn how fast the heater is, from all images so far, the first being of tissue that was not heated."""
        first, last = images[0], images[-1]
        if last.dose > 0.0 and not self.settled:
            rise = np.nan_to_num(last.values - first.values)
            self.rate = np.maximum(rise + SURE * self.noise, 0.0) / last.dose
            self.settled = bool(rise.max() >= CLEAR * self.noise)

    def most(self, images: list[Seen], dose: float, least: float, time: float, step: float) -> float:
        """The largest level for ``step`` s from ``time`` (s), by when ``dose`` was given.

        ``least``: smallest level from the image before the last but one until now. Blood and conduction carry off what
        was given all the time, so that only what goes beyond it warms.
        """
        if self.rate is None:
            return self.start
        last, before = images[-1], images[-min(BACK + 1, len(images))]
        span = last.taken - before.taken
        slope = np.nan_to_num(last.values - before.values) / span if span > 0.0 else np.zeros_like(last.values)
        since = time - last.taken
        room = np.nan_to_num(self.limits - last.values, nan=np.inf) - np.maximum(slope, 0.0) * (since + step)
        free = room - self.rate * (dose - last.dose - least * since)
        bound = np.divide(free, self.rate * step, out=np.where(free >= 0.0, np.inf, -np.inf), where=self.rate > 0.0)
        return float(max(bound.min() + least, 0.0))
