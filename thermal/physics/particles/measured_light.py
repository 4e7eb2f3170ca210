"""Measured spectra of carriers: absorption and scattering, or extinction with a photothermal efficiency."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import model_validator

from thermal.errors import CaseError
from thermal.physics.particles.conversion import Conversion, MassOptics
from thermal.units import Wavelength, quantity

MassAbsorption = Annotated[float, *quantity("m^2/kg", ge=0, le=1e7)]
"""mu per mass concentration, 1/m per kg/m3: 10 m2/kg is 0.1 1/cm per mg/ml"""
Cosine = Annotated[float, *quantity("", gt=-1, lt=1)]

NEAR = 10e-9  # m; a measured coefficient is used this far from its wavelength, as for tissues
APART = 50e-9  # m; between measured wavelengths no farther apart than this the spectrum is taken to be linear


class MeasuredOptics(Conversion):
    """What was measured of a carrier at one vacuum wavelength, per mass concentration.

    Either ``absorption``, with ``reduced_scattering`` if that is known, or the ``extinction`` that a spectrophotometer
    shows, with a photothermal efficiency here or of the carrier.
    """

    wavelength: Wavelength
    """vacuum wavelength"""
    absorption: MassAbsorption | None = None
    """e.g. "30 1/cm/(mg/ml)\""""
    reduced_scattering: MassAbsorption = 0.0
    """mu_s' = mu_s (1 - g), likewise"""
    extinction: MassAbsorption | None = None
    """mu_a + mu_s in natural units, light fading as exp(-mu x); e.g. "45 1/cm/(mg/ml)\""""
    optical_density: MassAbsorption | None = None
    """the same in decadic units, as instruments show it, light fading as 10^(-OD x): extinction over ln 10 = 2.303"""
    asymmetry: Cosine = 0.0
    """mean cosine g of the light that the particles scatter; 0 for particles far smaller than the wavelength"""

    @model_validator(mode="after")
    def _one_measurement(self) -> MeasuredOptics:
        ways = (self.absorption, self.extinction, self.optical_density)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                "give one of absorption, extinction (natural, mu_a + mu_s) and optical_density (decadic, per cm), e.g. "
                'extinction = "45 1/cm/(mg/ml)" with photothermal_efficiency = "0.7"'
            )
        if self.absorption is not None and self.photothermal_efficiency is not None:
            raise ValueError(
                "absorption and photothermal_efficiency of one wavelength say the same twice; with the efficiency give "
                "extinction or optical_density"
            )
        if self.absorption is None and self.reduced_scattering > 0.0:
            raise ValueError(
                "reduced_scattering belongs to absorption; of an extinction photothermal_efficiency says what is "
                "scattered, and asymmetry whereto"
            )
        return self

    @property
    def attenuation(self) -> float:
        """The extinction in natural units, 1/m per kg/m3."""
        if self.extinction is not None:
            return self.extinction
        if self.optical_density is not None:
            return self.optical_density * float(np.log(10.0))
        assert self.absorption is not None
        return self.absorption + self.reduced_scattering / (1.0 - self.asymmetry)

    def mass_optics(self, of_carrier: Conversion) -> MassOptics:
        """Split by its own efficiency, else by that of the carrier, else as it stands."""
        conversion: Conversion = of_carrier if self.photothermal_efficiency is None else self
        absorption = self.absorption or 0.0
        stated = MassOptics(absorption, self.reduced_scattering, self.attenuation, absorption)
        return conversion.split(self.attenuation, self.asymmetry, stated)


def undivided(measured: Sequence[MeasuredOptics], of_carrier: Conversion) -> None:
    """Raises ``ValueError`` for an extinction that nothing divides into heat and scattered light."""
    if of_carrier.photothermal_efficiency is not None:
        return
    for number, row in enumerate(measured):
        if row.absorption is None and row.photothermal_efficiency is None:
            raise ValueError(
                f"optics[{number}]: the extinction at {row.wavelength * 1e9:.0f} nm does not say how much of it is "
                'heat; add photothermal_efficiency = "0.7" (heat over extinction, as measured) to the row or to '
                "[particles]"
            )


def measured_at(measured: Sequence[MeasuredOptics], wavelength: float, of_carrier: Conversion) -> MassOptics:
    """Coefficients per mass at a vacuum wavelength (m), linear between wavelengths; ``CaseError`` far from all."""
    rows = sorted(measured, key=lambda row: row.wavelength)
    for low, high in pairwise(rows):
        if low.wavelength <= wavelength <= high.wavelength <= low.wavelength + APART:
            share = (wavelength - low.wavelength) / (high.wavelength - low.wavelength)
            ends = zip(low.mass_optics(of_carrier), high.mass_optics(of_carrier), strict=True)
            return MassOptics(*(one + share * (other - one) for one, other in ends))
    best = min(rows, key=lambda row: abs(row.wavelength - wavelength), default=None)
    if best is None or abs(best.wavelength - wavelength) > NEAR:
        known = ", ".join(f"{row.wavelength * 1e9:.0f} nm" for row in rows) or "none"
        raise CaseError(
            f"particles.optics: nothing measured within 10 nm of {wavelength * 1e9:.0f} nm; known: {known}; "
            "measure there, or change heating.wavelength"
        )
    return best.mass_optics(of_carrier)
