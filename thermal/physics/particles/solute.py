"""What is carried for its chemistry alone."""

from __future__ import annotations

from typing import Literal

from thermal.physics.particles.base import BaseCarrier
from thermal.units import Density


class Solute(BaseCarrier):
    """What neither absorbs light nor heats in a field, such as ethanol: only a chemical damage law looks at it."""

    kind: Literal["solute"] = "solute"
    mass_of: str
    """what the mass concentration weighs: "ethanol" ..."""
    density: Density | None = None
    """of the pure agent, which no infusate can exceed"""
