"""Heat sources: one file a kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from thermal.physics.heating.combined import Combined
from thermal.physics.heating.cryo import Cryo
from thermal.physics.heating.magnetic import Magnetic
from thermal.physics.heating.microwave import Microwave
from thermal.physics.heating.photothermal import Photothermal
from thermal.physics.heating.prescribed import NoHeating, Prescribed, PrescribedTemperature
from thermal.physics.heating.rfa import Rfa

HeatingEntry = Annotated[
    Photothermal | Magnetic | Rfa | Cryo | Microwave | Prescribed | PrescribedTemperature | Combined | NoHeating,
    Field(discriminator="kind"),
]
"""What may stand in ``[heating]``."""

__all__ = [
    "Combined",
    "Cryo",
    "HeatingEntry",
    "Magnetic",
    "Microwave",
    "NoHeating",
    "Photothermal",
    "Prescribed",
    "PrescribedTemperature",
    "Rfa",
]
