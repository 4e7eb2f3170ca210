"""Chemical ablation: dead where an agent was concentrated enough for long enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from thermal import library
from thermal.physics.damage.law import Sense
from thermal.units import Array, Spec, quantity

FACTOR = 1e3
"""Of the lethal concentration, to either side, within which the border of the zone is interpolated."""


class Chemical(Spec):
    """What the delivery left in the tissue kills where its concentration stays at or above ``lethal_concentration`` for
    ``hold``. It fades at the rate ``washout``; what flows on after the delivery is not followed.

    The concentration is mass per volume of tissue (the run's field ``concentration``).
    """

    kind: ClassVar[str] = "chemical"
    sense: ClassVar[Sense] = "chemical"
    unit: ClassVar[str] = "kg/m^3"
    long_name: ClassVar[str] = "concentration that lasted as long as it takes to kill"
    measure_unit: ClassVar[str] = "1"

    lethal_concentration: Annotated[float, *quantity("kg/m^3", gt=0, le=3e4)] = 60.0
    """mass per volume of tissue that kills when it lasts. The default is that of ethanol: some 40 % of the tissue fluid
    by volume with a fifth of the tissue open to it. Unverified"""
    hold: Annotated[float, *quantity("s", ge=0, le=1e6)] = 60.0
    """time for which it must last. Unverified"""
    washout: Annotated[float, *quantity("1/s", ge=0, le=1e3)] = 0.0
    """rate at which blood carries it away, e.g. the perfusion"""

    @property
    def level(self) -> float:
        """The lethal concentration over itself, in logarithms."""
        return 0.0

    def bind(self, concentration: Array) -> Steeped:
        """The law in tissue with (n,) kg/m3 of the agent."""
        return Steeped(self, concentration)

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []


@dataclass(frozen=True)
class Steeped:
    """The chemical law in tissue with an agent, ``concentration`` (n,) kg/m3 when the bioheat begins.

    Its value is the concentration that has lasted for ``hold`` so far: none before that time, and then what it was that
    time ago, at its highest.
    """

    spec: Chemical
    concentration: Array
    kind: ClassVar[str] = Chemical.kind
    sense: ClassVar[Sense] = Chemical.sense
    unit: ClassVar[str] = Chemical.unit
    long_name: ClassVar[str] = Chemical.long_name
    measure_unit: ClassVar[str] = Chemical.measure_unit

    @property
    def level(self) -> float:
        """That of the law."""
        return self.spec.level

    def bind(self, concentration: Array) -> Steeped:
        """The same law in tissue with another content."""
        return self.spec.bind(concentration)

    def initial(self, n: int) -> Array:
        """Time gone by, s, (n,); the same everywhere."""
        return np.zeros(n)

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Time goes by."""
        return value + step

    def lasting(self, value: Array) -> Array:
        """(n,) kg/m3 that lasted for ``hold``: as it fades, what was left at the end of the first ``hold``."""
        left = self.concentration * np.exp(-self.spec.washout * self.spec.hold)
        return np.where(value >= self.spec.hold * (1.0 - 1e-9), left, 0.0)

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """ln(lasting concentration / lethal concentration), within a factor of 1000."""
        return np.asarray(np.log(np.clip(self.lasting(value) / self.spec.lethal_concentration, 1.0 / FACTOR, FACTOR)))

    def shown(self, value: Array) -> Array:
        """kg/m3 that lasted."""
        return self.lasting(value)

    def carried(self, shown: Array) -> Array:
        """The time begins anew: what is left of the agent is in the concentration."""
        return self.initial(len(shown))

    def survival(self, value: Array) -> Array:
        """None of the cells where the rule is met, all elsewhere."""
        return (self.lasting(value) < self.spec.lethal_concentration).astype(np.float64)

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []
