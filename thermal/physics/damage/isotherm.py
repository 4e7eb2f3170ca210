"""Heat by an isotherm: dead where tissue was once that hot, or was so for long enough."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from thermal import library
from thermal.physics.damage.law import Sense, Unbound, share_above
from thermal.units import Array, quantity

SHORTEST, LONGEST = 1e-3, 1e3
"""Times at temperature, over those that kill, between which the border of the zone is interpolated."""


class Isotherm(Unbound):
    """Tissue is dead where it was at or above the lethal temperature, for ``hold`` in all if that is given.

    At 60 degC proteins coagulate at once, at 50 to 52 degC in 4 to 6 min (S. N. Goldberg, G. S. Gazelle, P. R. Mueller,
    AJR 174 (2000) 323-331, doi:10.2214/ajr.174.2.1740323).
    """

    kind: ClassVar[str] = "isotherm"
    sense: ClassVar[Sense] = "heat"
    measure_unit: ClassVar[str] = "1"

    lethal_temperature: Annotated[float, *quantity("degC", gt=39, le=300)] = 60.0
    """of tissue that dies"""
    hold: Annotated[float, *quantity("s", ge=0, le=1e6)] = 0.0
    """time at or above it that it takes, pauses not counted; 0 s: to have reached it is enough"""

    @property
    def unit(self) -> str:
        """Of what is shown."""
        return "s" if self.hold > 0.0 else "degC"

    @property
    def long_name(self) -> str:
        """What is shown."""
        return f"time above {self.lethal_temperature:g} degC" if self.hold > 0.0 else "highest temperature"

    @property
    def level(self) -> float:
        """The lethal temperature, or the logarithm of a time that is the lethal one."""
        return 0.0 if self.hold > 0.0 else self.lethal_temperature

    def initial(self, n: int) -> Array:
        """No time, or nothing yet measured, (n,)."""
        return np.zeros(n) if self.hold > 0.0 else np.full(n, -np.inf)

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Time above the lethal temperature, or the highest temperature so far, (n,)."""
        if self.hold == 0.0:
            return np.asarray(np.maximum(value, np.maximum(start, end)))
        touched = np.flatnonzero((start >= self.lethal_temperature) | (end >= self.lethal_temperature))
        if touched.size == 0:
            return value
        after = value.copy()
        first, last = start[touched], end[touched]
        steady = (first == self.lethal_temperature) & (last == self.lethal_temperature)
        after[touched] += step * np.where(steady, 1.0, share_above(first, last, self.lethal_temperature))
        return after

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """The highest temperature, or ln(time / hold) within a factor of 1000."""
        if self.hold == 0.0:
            return value
        return np.asarray(np.log(np.clip(value / self.hold, SHORTEST, LONGEST)))

    def shown(self, value: Array) -> Array:
        """Time (s), or highest temperature (degC)."""
        return value

    def survival(self, value: Array) -> Array:
        """None of the cells where the threshold is reached, all elsewhere."""
        return (value < (self.hold or self.lethal_temperature)).astype(np.float64)

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []
