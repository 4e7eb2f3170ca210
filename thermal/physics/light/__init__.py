"""Light in tissue: fibres and beams, and the models that follow their light until it is absorbed or leaves.

Every model shares out the power: absorbed by tissue, absorbed by particles, escaped, reflected at entry.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from thermal.physics.light.border import Border, border_factor, border_factors
from thermal.physics.light.delta_p1 import DeltaP1
from thermal.physics.light.diffusion import Diffusion
from thermal.physics.light.medium import Medium
from thermal.physics.light.model import CLOSED, Lamp, Light, LightModel
from thermal.physics.light.monte_carlo import MonteCarlo
from thermal.physics.light.sources import Beam, Fibre, LightSource
from thermal.physics.light.sp3 import SimplifiedP3

LightEntry = Annotated[Diffusion | DeltaP1 | SimplifiedP3 | MonteCarlo, Field(discriminator="model")]
"""What may stand in ``[heating.light]``."""

__all__ = [
    "CLOSED",
    "Beam",
    "Border",
    "DeltaP1",
    "Diffusion",
    "Fibre",
    "Lamp",
    "Light",
    "LightEntry",
    "LightModel",
    "LightSource",
    "Medium",
    "MonteCarlo",
    "SimplifiedP3",
    "border_factor",
    "border_factors",
]
