"""Upconversion particles: near-infrared light in, a little visible light out for imaging, the rest is heat."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.physics.particles.base import BaseCarrier
from thermal.physics.particles.conversion import Conversion, MassOptics
from thermal.physics.particles.measured_light import MeasuredOptics, measured_at, undivided
from thermal.units import Array, Irradiance, Wavelength, quantity


class Upconversion(BaseCarrier):
    """A crystal with lanthanide ions that absorbs light and gives some of it back at a shorter wavelength.

    Two photons make one: the quantum yield (photons out per photon in, 0.5 at most) grows in proportion to the fluence
    rate I and saturates, ``quantum_yield I / (I + half_yield_at)``. Concentrations are of whole particles.
    """

    kind: Literal["upconversion"] = "upconversion"
    measured_optics: tuple[MeasuredOptics, ...] = Field(alias="optics", min_length=1)
    """absorption and scattering by wavelength of excitation, as of kind "measured\""""
    emission_wavelength: Wavelength
    """of what it gives back, in vacuum"""
    quantum_yield: Annotated[float, *quantity("", gt=0, le=0.5)]
    """photons out per photon absorbed, in strong light"""
    half_yield_at: Irradiance
    """fluence rate at which the yield is half of that"""

    @model_validator(mode="after")
    def _divided(self) -> Upconversion:
        undivided(self.measured_optics, Conversion())
        return self

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "particles"

    @property
    def absorbs_light(self) -> bool:
        """Yes."""
        return True

    def mass_optics(self, wavelength: float, medium_index: float | None = None) -> MassOptics:
        """The measured coefficients near a measured wavelength (m); else ``CaseError``."""
        return measured_at(self.measured_optics, wavelength, Conversion())

    def emitted_share(self, fluence: Array, wavelength: float) -> Array:
        """Emitted over absorbed power where the fluence rate is (n,) W/m2 at the wavelength (m) of excitation, (n,)."""
        photons = self.quantum_yield * fluence / (fluence + self.half_yield_at)
        return np.asarray(photons * wavelength / self.emission_wavelength)
