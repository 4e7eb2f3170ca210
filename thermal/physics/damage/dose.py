"""Thermal dose: cumulative equivalent minutes at 43 degC."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from thermal import library
from thermal.physics.damage.law import Sense, Unbound, mean_exponential
from thermal.units import Array, quantity

CEM43_CAP = 1e9  # min
DOSE_FLOOR, DOSE_CEILING = 0.25, 2.5e5  # min, a factor of 1000 to either side of the usual threshold
CEM43_ONSET = 39.0  # degC, by the definition of the dose
CEM43_BREAK = 43.0  # degC, where R goes from 0.25 to 0.5


def cem43_ramp(T_start: npt.ArrayLike, T_end: npt.ArrayLike, duration: npt.ArrayLike) -> Array:
    """Cumulative equivalent minutes at 43 degC while T goes linearly from ``T_start`` to ``T_end`` in ``duration`` s.

    Exact. CEM43 = integral of R^(43 - T) dt, R = 0.5 from 43 degC on, 0.25 from 39 to 43 degC, nothing below:
    S. A. Sapareto and W. C. Dewey (1984), doi:10.1016/0360-3016(84)90379-1.
    """
    first, last, lasting = np.broadcast_arrays(
        np.asarray(T_start, dtype=np.float64), np.asarray(T_end, dtype=np.float64), np.asarray(duration)
    )
    minutes: Array = np.zeros(first.shape)
    hottest, coldest = np.maximum(first, last), np.minimum(first, last)
    for base, low, high in ((4.0, CEM43_ONSET, CEM43_BREAK), (2.0, CEM43_BREAK, CEM43_BREAK + 900.0)):
        passing = (hottest >= low) & (coldest < high)
        minutes[passing] += mean_exponential(first[passing], last[passing], base, low, high, CEM43_BREAK)
    return np.asarray(minutes * lasting / 60.0)


def cem43_minutes(times: npt.ArrayLike, temperatures: npt.ArrayLike) -> float:
    """CEM43 in minutes of a history given at ``times`` (k,) s by ``temperatures`` (k,) degC, linear in between."""
    t, T = np.asarray(times, dtype=np.float64), np.asarray(temperatures, dtype=np.float64)
    return float(np.sum(cem43_ramp(T[:-1], T[1:], np.diff(t))))


class Cem43(Unbound):
    """Thermal dose: cumulative equivalent minutes at 43 degC (counts from 39 degC by its definition)."""

    kind: ClassVar[str] = "cem43"
    sense: ClassVar[Sense] = "heat"
    unit: ClassVar[str] = "min"
    long_name: ClassVar[str] = "cumulative equivalent minutes at 43 degC"
    measure_unit: ClassVar[str] = "K"

    threshold: Annotated[float, *quantity("min", gt=DOSE_FLOOR, lt=DOSE_CEILING)] = 240.0
    """dose from which tissue counts as dead"""

    @property
    def level(self) -> float:
        """log2(threshold / 1 min)."""
        return float(np.log2(self.threshold))

    def initial(self, n: int) -> Array:
        """No dose, (n,)."""
        return np.zeros(n)

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Minutes after the step, (n,), at most 1e9; nodes that stay below 39 degC are not touched."""
        touched = np.flatnonzero((start >= CEM43_ONSET) | (end >= CEM43_ONSET))
        if touched.size == 0:
            return value
        after = value.copy()
        after[touched] = np.minimum(after[touched] + cem43_ramp(start[touched], end[touched], step), CEM43_CAP)
        return after

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """log2(dose / 1 min), kept between 0.25 min and 250 000 min.

        Doubling the dose takes one kelvin more (above 43 degC), so where temperature is linear in space this is too;
        the bounds keep untouched nodes and fully dead ones from pulling the border.
        """
        return np.asarray(np.log2(np.clip(value, DOSE_FLOOR, DOSE_CEILING)))

    def shown(self, value: Array) -> Array:
        """Minutes."""
        return value

    def survival(self, value: Array) -> Array:
        """None of the cells from the threshold on, all below it."""
        return (value < self.threshold).astype(np.float64)

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []
