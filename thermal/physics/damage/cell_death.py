"""Three-state cell death: alive, vulnerable, dead."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from thermal import library
from thermal.physics.damage.law import Sense, Unbound, share_above
from thermal.units import Array, Temperature, quantity

PositiveRate = Annotated[float, *quantity("1/s", gt=0, le=1e3)]
Share = Annotated[float, *quantity("", gt=1e-3, lt=0.999)]
PER_STEP = 0.1
"""Largest rate times step of the classical Runge-Kutta steps within a time step; their error is then below 1e-6."""
HOTTEST = 200.0
"""degC beyond which the rate is taken to rise no more; at it cells die within seconds."""
FLOOR = 1e-3
"""Dead share beyond which, from either side, nothing is said of the border of the zone."""


class CellDeath(Unbound):
    """Three states, alive <-> vulnerable -> dead, of which the shares are A, V = 1 - A - D and D.

    dA/dt = -kf A + kb V, dD/dt = kf V, kf = forward_rate e^(T / temperature_scale) (1 - A), T in degC: D. P. O'Neill,
    T. Peng, P. Stiegler, U. Mayrhauser, S. Koestenbauer, K. Tscheliessnigg, S. J. Payne, Ann. Biomed. Eng. 39 (2011)
    570-579, doi:10.1007/s10439-010-0177-1, fitted to cultures of liver cells. Below the onset none become vulnerable,
    and vulnerable cells recover at kb down to the share of tissue at rest: taken literally the model kills at 37 degC.
    """

    kind: ClassVar[str] = "cell_death"
    sense: ClassVar[Sense] = "heat"
    unit: ClassVar[str] = "1"
    long_name: ClassVar[str] = "share of dead cells by the three-state model"
    measure_unit: ClassVar[str] = "1"

    forward_rate: PositiveRate = 3.33e-3
    """of alive cells becoming vulnerable and of vulnerable ones dying, before e^(T/scale) (O'Neill 2011)"""
    recovery_rate: PositiveRate = 7.77e-3
    """kb, of vulnerable cells recovering (O'Neill 2011)"""
    temperature_scale: Annotated[float, *quantity("K", gt=1, le=1e3)] = 40.5
    """in kf = forward_rate e^(T/scale) (1 - A) (O'Neill 2011)"""
    alive_at_rest: Annotated[float, *quantity("", gt=0.5, lt=1)] = 0.99
    """share of living tissue that is alive before anything happens, the rest being vulnerable (O'Neill 2011)"""
    onset: Temperature = 40.0
    """cells become vulnerable and die from this temperature on"""
    threshold: Share = 0.8
    """dead share from which tissue counts as dead (viability below 20 %, O'Neill 2011)"""

    @property
    def level(self) -> float:
        """ln(threshold / (1 - threshold))."""
        return float(np.log(self.threshold / (1.0 - self.threshold)))

    def initial(self, n: int) -> Array:
        """Living tissue at rest, (n, 2): shares alive and dead, each on end in memory."""
        value = np.zeros((n, 2), order="F")
        value[:, 0] = self.alive_at_rest
        return value

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """(n, 2) shares alive and dead after the step; nodes at rest below the onset are not touched."""
        hot = (start > self.onset) | (end > self.onset)
        touched = np.flatnonzero(hot | (value[:, 0] < self.alive_at_rest))
        below = value[touched, 0] < self.alive_at_rest * (1.0 - value[touched, 1])
        touched = touched[hot[touched] | below]
        if touched.size == 0:
            return value
        after = value.copy(order="K")
        alive, dead = after[touched, 0], after[touched, 1]
        first, last = start[touched], end[touched]
        active = share_above(first, last, self.onset) * step
        rising = last > first
        alive = self._recover(alive, dead, np.where(rising, step - active, 0.0))
        alive, dead = self._integrate(alive, dead, np.maximum(first, self.onset), np.maximum(last, self.onset), active)
        after[touched, 0] = self._recover(alive, dead, np.where(rising, 0.0, step - active))
        after[touched, 1] = dead
        return after

    def _recover(self, alive: Array, dead: Array, duration: Array) -> Array:
        """Alive share (k,) after ``duration`` (k,) s below the onset: cells in excess of those at rest recover."""
        rest = self.alive_at_rest * (1.0 - dead)
        return np.where(alive < rest, rest - (rest - alive) * np.exp(-self.recovery_rate * duration), alive)

    def _integrate(self, alive: Array, dead: Array, first: Array, last: Array, duration: Array) -> tuple[Array, Array]:
        """Shares (k,) after linear ramps of ``duration`` (k,) s above the onset, each in as many steps as it needs."""
        fastest = self._forward(np.maximum(first, last)) + self.recovery_rate
        count = np.maximum(np.ceil(duration * fastest / PER_STEP), 1.0)
        alive, dead = alive.copy(), dead.copy()
        for steps in np.unique(count):
            those = np.flatnonzero(count == steps)
            alive[those], dead[those] = self._ramp(
                alive[those], dead[those], first[those], last[those], duration[those], int(steps)
            )
        return alive, dead

    def _forward(self, temperature: Array) -> Array:
        """kf (k,) 1/s at (k,) degC, but for the share that is not alive."""
        return np.asarray(self.forward_rate * np.exp(np.minimum(temperature, HOTTEST) / self.temperature_scale))

    def _ramp(
        self, alive: Array, dead: Array, first: Array, last: Array, duration: Array, count: int
    ) -> tuple[Array, Array]:
        """Shares (k,) after ``count`` classical Runge-Kutta steps along the ramps."""
        h = duration / count

        def slopes(k: Array, a: Array, d: Array) -> tuple[Array, Array]:
            vulnerable, rate = 1.0 - a - d, k * (1.0 - a)
            return -rate * a + self.recovery_rate * vulnerable, rate * vulnerable

        k2 = self._forward(first)
        for index in range(count):
            middle, end = (first + (index + part) / count * (last - first) for part in (0.5, 1.0))
            k0, k1, k2 = k2, self._forward(middle), self._forward(end)
            a1, d1 = slopes(k0, alive, dead)
            a2, d2 = slopes(k1, alive + 0.5 * h * a1, dead + 0.5 * h * d1)
            a3, d3 = slopes(k1, alive + 0.5 * h * a2, dead + 0.5 * h * d2)
            a4, d4 = slopes(k2, alive + h * a3, dead + h * d3)
            alive = alive + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
            dead = dead + h / 6.0 * (d1 + 2.0 * d2 + 2.0 * d3 + d4)
        return np.clip(alive, 0.0, 1.0), np.clip(dead, 0.0, 1.0)

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """ln(D / (1 - D)), D kept between 0.001 and 0.999: of a share, this is what varies evenly in space."""
        dead = np.clip(value[:, 1], FLOOR, 1.0 - FLOOR)
        return np.asarray(np.log(dead / (1.0 - dead)))

    def shown(self, value: Array) -> Array:
        """Dead share."""
        return np.asarray(value[:, 1])

    def carried(self, shown: Array) -> Array:
        """(n, 2): the dead stay dead, and all others are at rest."""
        return np.stack([self.alive_at_rest * (1.0 - shown), shown], axis=1)

    def survival(self, value: Array) -> Array:
        """Share of the cells that are alive or vulnerable: vulnerable ones may recover."""
        return np.asarray(1.0 - value[:, 1])

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []
