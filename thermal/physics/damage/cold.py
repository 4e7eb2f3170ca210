"""Cold: the lethal isotherm, and repeated freezing above it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from thermal import library
from thermal.physics.damage.law import Sense, Unbound, share_above
from thermal.units import Array, Spec, quantity

LethalCold = Annotated[float, *quantity("degC", ge=-200, le=0)]
UNHURT = 1e3
"""degC that stands for a freeze that has not happened."""
PER_SECOND = 0.05
"""K by which a second that lacks to the time at temperature counts, where the border of the zone is interpolated: cells
some 10 K warmer than the isotherm lack a time of minutes."""


class Repeated(Spec):
    """Tissue that is frozen more than once dies at a milder temperature, if each time it is held long enough in all."""

    temperature: LethalCold = -20.0
    """that it must reach in each freeze; -20 degC is the usual lower bound (A. A. Gage, J. Baust, Cryobiology 37 (1998)
    171-186, doi:10.1006/cryo.1998.2115)"""
    freezes: Annotated[int, Field(ge=2, le=10)] = 2
    """number of freezes, between which it must warm to ``thaw``"""
    thaw: Annotated[float, *quantity("degC", ge=-200, le=20)] = -10.0
    """above which a freeze has ended: ice of tissue begins to melt and its crystals grow together; 0 degC asks for a
    complete thaw, which the middle of an ice ball does not see within the minutes of a passive one (a choice)"""
    hold: Annotated[float, *quantity("s", ge=0, le=1e5)] = 0.0
    """time at or below it that it takes, over all freezes"""

    @model_validator(mode="after")
    def _warmer(self) -> Self:
        if self.thaw <= self.temperature:
            raise ValueError(
                f"thaw = {self.thaw:g} degC is not above temperature = {self.temperature:g} degC, which the tissue "
                "must reach again in the next freeze; write e.g. -10 degC"
            )
        return self


class Cryo(Unbound):
    """Cold: tissue is dead where it was once at or below the lethal isotherm; with ``repeated``, also where it froze
    deep and often enough."""

    kind: ClassVar[str] = "cryo"
    sense: ClassVar[Sense] = "cold"
    unit: ClassVar[str] = "degC"
    long_name: ClassVar[str] = "lowest temperature"
    measure_unit: ClassVar[str] = "K"

    lethal_temperature: LethalCold = -40.0
    """lethal isotherm; -40 degC is certain in one freeze, -20 degC the usual lower bound (Gage, Baust 1998)"""
    repeated: Repeated | None = None
    """a milder temperature that kills in several freezes"""

    @model_validator(mode="after")
    def _milder(self) -> Self:
        if self.repeated is not None and self.repeated.temperature <= self.lethal_temperature:
            raise ValueError(
                f"repeated.temperature = {self.repeated.temperature:g} degC is not above lethal_temperature = "
                f"{self.lethal_temperature:g} degC, which kills in one freeze; write e.g. -20 degC"
            )
        return self

    @property
    def level(self) -> float:
        """Minus the lethal temperature."""
        return -self.lethal_temperature

    def initial(self, n: int) -> Array:
        """Nothing yet measured: infinity, (n,).

        With ``repeated`` (n, 3 + freezes): lowest temperature, time at or below the milder one, lowest temperature of
        the present freeze, and those of the deepest past freezes, deepest first.
        """
        if self.repeated is None:
            return np.full(n, np.inf)
        value = np.full((n, 3 + self.repeated.freezes), UNHURT)
        value[:, 0], value[:, 1] = np.inf, 0.0
        return value

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Lowest temperature so far, and the freezes so far."""
        lower = np.minimum(start, end)
        if self.repeated is None:
            return np.asarray(np.minimum(value, lower, out=lower)) if bool((lower < value).any()) else value
        thaw = self.repeated.thaw
        frozen = np.flatnonzero((lower < thaw) | (value[:, 2] < UNHURT))
        if not frozen.size and not bool((lower < value[:, 0]).any()):
            return value
        after = value.copy()
        after[:, 0] = np.minimum(value[:, 0], lower)
        first, last = start[frozen], end[frozen]
        mild = self.repeated.temperature
        below = (first <= mild) & (last <= mild)
        after[frozen, 1] += step * np.where(below, 1.0, share_above(-first, -last, -mild))
        after[frozen, 2] = np.where(lower[frozen] < thaw, np.minimum(after[frozen, 2], lower[frozen]), after[frozen, 2])
        thawed = frozen[(last > thaw) & (after[frozen, 2] < UNHURT)]
        after[thawed, 3:] = np.sort(after[thawed, 2:], axis=1)[:, :-1]
        after[thawed, 2] = UNHURT
        return after

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """Minus the lowest temperature: how far below 0 degC the tissue was, K; or what as many K deeper did to it."""
        if self.repeated is None:
            return np.asarray(-value)
        often = np.sort(value[:, 2:], axis=1)[:, self.repeated.freezes - 1]
        missing = np.maximum(self.repeated.hold - value[:, 1], 0.0)
        beyond = np.minimum(self.repeated.temperature - often, np.where(missing > 0.0, -PER_SECOND * missing, np.inf))
        return np.asarray(np.maximum(-value[:, 0], self.level + beyond))

    def shown(self, value: Array) -> Array:
        """Lowest temperature, degC."""
        return value if self.repeated is None else np.asarray(value[:, 0])

    def carried(self, shown: Array) -> Array:
        """The lowest temperature; freezes of another day are not counted with those of today."""
        if self.repeated is None:
            return shown
        value = self.initial(len(shown))
        value[:, 0] = shown
        return value

    def survival(self, value: Array) -> Array:
        """None of the cells where the rule is met, all elsewhere."""
        return (self.measure(value, value, 0.0) < self.level).astype(np.float64)

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []
