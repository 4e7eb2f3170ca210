"""Particles that are there for what they carry."""

from __future__ import annotations

from typing import Literal

from thermal.physics.drug import DrugPayload
from thermal.physics.particles.base import BaseCarrier
from thermal.physics.particles.conversion import MassOptics


class DrugCarrier(BaseCarrier):
    """A carrier of a drug that light passes and no field heats: micelles, liposomes, silica, or the drug alone.

    Of lipid, polymer or silica, some 100 nm wide and a few mg/ml dense, it adds nothing that matters to the absorption
    and the scattering of tissue: light is computed as without it.
    """

    kind: Literal["drug_carrier"] = "drug_carrier"
    mass_of: str
    """what the mass concentration weighs: "lipid", "polymer" ..."""
    payload: DrugPayload
    """the drug"""

    @property
    def absorbs_light(self) -> bool:
        """Known: nothing."""
        return True

    def mass_optics(self, wavelength: float, medium_index: float | None = None) -> MassOptics:
        """None of any."""
        return MassOptics(0.0, 0.0, 0.0, 0.0)
