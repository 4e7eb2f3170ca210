"""What a case asks of a heating kind before anything is solved, with the answers that most of them give."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from thermal.units import Spec


class HeatingKind(Spec):
    """Base of the heating kinds: what each of them is like stands in its own class."""

    makes: ClassVar[tuple[str, ...]] = ()
    """fields it makes, which probes may record"""
    zone_law: ClassVar[Literal["arrhenius", "cryo"]] = "arrhenius"
    """damage law that its zone is judged by where the case says nothing"""
    asks_of_particles: ClassVar[tuple[str, str] | None] = None
    """property that delivered particles must have, and what those that lack it have none of; None if it acts without"""
    heats_only_particles: ClassVar[bool] = False
    """whether it does nothing to tissue without particles"""

    @property
    def acting(self) -> tuple[Any, ...]:
        """The kinds that act: itself, or the parts of a combined one."""
        return (self,)

    @property
    def holds(self) -> tuple[str, ...]:
        """Regions that are held at a temperature for as long as it acts."""
        return ()

    @property
    def coldest(self) -> float:
        """degC below which it draws no tissue: infinite if it only heats, minus infinity if it does not say."""
        return -math.inf

    @property
    def needs_potentials(self) -> bool:
        """Whether current flows only between boundaries of different potential."""
        return False
