"""Carriers known by measurement."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.errors import CaseError
from thermal.physics.particles.base import BaseCarrier
from thermal.physics.particles.reshaping import Reshaping, remaining
from thermal.units import Array, FieldStrength, Frequency, PerKelvin, Spec, Wavelength, quantity

MassAbsorption = Annotated[float, *quantity("m^2/kg", ge=0, le=1e7)]
"""mu per mass concentration, 1/m per kg/m3: 10 m2/kg is 0.1 1/cm per mg/ml"""
LossPower = Annotated[float, *quantity("H*m^2/kg", ge=0, le=1)]
"""intrinsic loss power; the usual unit is nH m2/kg"""

SpecificPower = Annotated[float, *quantity("W/kg", gt=0, le=1e9)]

NEAR = 10e-9  # m; a measured coefficient is used this far from its wavelength, as for tissues
APART = 50e-9  # m; between measured wavelengths no farther apart than this the spectrum is taken to be linear
BODY = 37.0  # degC, for which losses are given
SAME_FREQUENCY = 0.05
"""Share by which a frequency may differ from a measured one; the loss is then taken in proportion."""


class MeasuredLoss(Spec):
    """Specific loss power measured at one field."""

    frequency: Frequency
    """of the field"""
    amplitude: FieldStrength
    """peak strength of the field"""
    power: SpecificPower
    """loss per mass of ``mass_of``, e.g. "75 W/g\""""


class MeasuredOptics(Spec):
    """What was measured of a carrier at one vacuum wavelength, per mass concentration."""

    wavelength: Wavelength
    """vacuum wavelength"""
    absorption: MassAbsorption
    """e.g. "30 1/cm/(mg/ml)\""""
    reduced_scattering: MassAbsorption = 0.0
    """mu_s' = mu_s (1 - g), likewise"""


def measured_at(measured: Sequence[MeasuredOptics], wavelength: float) -> tuple[float, float]:
    """Absorption and reduced scattering, 1/m per kg/m3, at a vacuum wavelength (m); ``CaseError`` far from all."""
    rows = sorted(measured, key=lambda row: row.wavelength)
    for low, high in pairwise(rows):
        if low.wavelength <= wavelength <= high.wavelength <= low.wavelength + APART:
            share = (wavelength - low.wavelength) / (high.wavelength - low.wavelength)
            return (
                low.absorption + share * (high.absorption - low.absorption),
                low.reduced_scattering + share * (high.reduced_scattering - low.reduced_scattering),
            )
    best = min(rows, key=lambda row: abs(row.wavelength - wavelength), default=None)
    if best is None or abs(best.wavelength - wavelength) > NEAR:
        known = ", ".join(f"{row.wavelength * 1e9:.0f} nm" for row in rows) or "none"
        raise CaseError(
            f"particles.optics: nothing measured within 10 nm of {wavelength * 1e9:.0f} nm; known: {known}; "
            "measure there, or change heating.wavelength"
        )
    return best.absorption, best.reduced_scattering


class Measured(BaseCarrier):
    """A carrier known by measurement: its light absorption per mass, its intrinsic loss power, or both."""

    kind: Literal["measured"] = "measured"
    mass_of: str
    """what the mass concentration and the measured values weigh: "gold", "iron" ..."""
    measured_optics: tuple[MeasuredOptics, ...] = Field(default=(), alias="optics")
    """by wavelength; each is used within 10 nm, and linearly between two that are at most 50 nm apart"""
    intrinsic_loss_power: LossPower | None = None
    """SLP / (H^2 f) with the peak amplitude H, per mass of ``mass_of``, e.g. "3.1 nH*m^2/kg\""""
    specific_loss_power: tuple[MeasuredLoss, ...] = ()
    """measured at one field or more, instead of an intrinsic loss power: between amplitudes by a power law, below the
    lowest in proportion to H^2, beyond the highest an error"""
    reshaping: Reshaping | None = None
    """when the particles lose their shape; with the shares of absorption and scattering that are left"""
    loss_slope: PerKelvin = 0.0
    """relative change of the loss per kelvin above 37 degC, down to none; for heating.temperature_update"""

    @model_validator(mode="after")
    def _knows_something(self) -> Measured:
        if self.specific_loss_power and self.intrinsic_loss_power is not None:
            raise ValueError("give intrinsic_loss_power or specific_loss_power, not both")
        left = self.reshaping
        if left is not None and (left.absorption is None or left.scattering is None):
            raise ValueError("reshaping of a measured carrier needs absorption and scattering, the shares left")
        if not self.measured_optics and not self.heats_in_field:
            raise ValueError(
                'nothing is measured; give optics = [{wavelength = "808 nm", absorption = "30 1/cm/(mg/ml)"}] or '
                'intrinsic_loss_power = "3.1 nH*m^2/kg"'
            )
        return self

    @property
    def absorbs_light(self) -> bool:
        """Whether optics were measured."""
        return bool(self.measured_optics)

    @property
    def heats_in_field(self) -> bool:
        """Whether a loss was measured."""
        return self.intrinsic_loss_power is not None or bool(self.specific_loss_power)

    def optics(self, wavelength: float, medium_index: float | None = None) -> tuple[float, float]:
        """The measured coefficients, 1/m per kg/m3, within 10 nm of a measured wavelength (m); else ``CaseError``."""
        return measured_at(self.measured_optics, wavelength)

    def reshaped_optics(self, wavelength: float) -> tuple[float, float]:
        """The same once they have lost their shape."""
        return remaining(self.reshaping, self.optics(wavelength), (0.0, 0.0))

    def specific_absorption_rate(self, amplitude: Array, frequency: float, temperature: float | None = None) -> Array:
        """W per kg of ``mass_of``; shape of ``amplitude`` (A/m, peak): ILP f H^2, or from the measured table."""
        strength = np.asarray(amplitude, dtype=np.float64)
        warmer = 0.0 if temperature is None else temperature - BODY
        factor = max(0.0, 1.0 + self.loss_slope * warmer)
        if self.specific_loss_power:
            return factor * self._tabulated(strength, frequency)
        if self.intrinsic_loss_power is None:
            return super().specific_absorption_rate(amplitude, frequency, temperature)
        return np.asarray(factor * self.intrinsic_loss_power * frequency * strength**2)

    def _tabulated(self, amplitude: Array, frequency: float) -> Array:
        near = [
            row for row in self.specific_loss_power if abs(row.frequency - frequency) <= SAME_FREQUENCY * row.frequency
        ]
        if not near:
            known = ", ".join(f"{row.frequency / 1e3:g} kHz" for row in self.specific_loss_power)
            raise CaseError(
                f"particles.specific_loss_power: nothing measured within 5 % of {frequency / 1e3:g} kHz; known: {known}"
            )
        rows = sorted(near, key=lambda row: row.amplitude)
        fields = np.array([row.amplitude for row in rows])
        powers = np.array([row.power * frequency / row.frequency for row in rows])
        strongest = float(np.max(amplitude, initial=0.0))
        if strongest > fields[-1] * (1.0 + SAME_FREQUENCY):
            raise CaseError(
                f"particles.specific_loss_power: measured up to {fields[-1] / 1e3:g} kA/m, but particles meet "
                f"{strongest / 1e3:.3g} kA/m; measure there, or weaken the field"
            )
        safe = np.maximum(amplitude, 1e-300)
        between = np.exp(np.interp(np.log(safe), np.log(fields), np.log(powers)))
        return np.asarray(np.where(amplitude < fields[0], powers[0] * (amplitude / fields[0]) ** 2, between))
