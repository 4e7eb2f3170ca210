"""Delivery of particles to tissue: one kind each of placing them, and what it leaves behind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from thermal.physics.delivery.infusion import Infusion
from thermal.physics.delivery.intra_arterial import IntraArterial
from thermal.physics.delivery.measured import FromImage
from thermal.physics.delivery.outcome import Delivered, Delivery, Imaged, Site
from thermal.physics.delivery.placed import NoDelivery, Uniform
from thermal.physics.delivery.systemic import Systemic

DeliveryEntry = Annotated[
    NoDelivery | Uniform | Systemic | IntraArterial | Infusion | FromImage, Field(discriminator="kind")
]
"""What may stand in ``[delivery]``."""

__all__ = [
    "Delivered",
    "Delivery",
    "DeliveryEntry",
    "FromImage",
    "Imaged",
    "Infusion",
    "IntraArterial",
    "NoDelivery",
    "Site",
    "Systemic",
    "Uniform",
]
