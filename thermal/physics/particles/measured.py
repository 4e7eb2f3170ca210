"""Carriers known by measurement."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.errors import CaseError
from thermal.physics.particles.base import BaseCarrier
from thermal.physics.particles.conversion import Conversion, MassOptics
from thermal.physics.particles.measured_light import MeasuredOptics, measured_at, undivided
from thermal.physics.particles.reshaping import Reshaping, remaining
from thermal.units import Array, FieldStrength, Frequency, PerKelvin, Spec, quantity

LossPower = Annotated[float, *quantity("H*m^2/kg", ge=0, le=1)]
"""intrinsic loss power; the usual unit is nH m2/kg"""

SpecificPower = Annotated[float, *quantity("W/kg", gt=0, le=1e9)]

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


class Measured(Conversion, BaseCarrier):
    """A carrier known by measurement: its light absorption per mass, its intrinsic loss power, or both.

    ``photothermal_efficiency`` here is that of every wavelength without its own; it splits absorption and scattering of
    the rows anew.
    """

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
        undivided(self.measured_optics, self)
        if self.photothermal_efficiency is not None and not self.measured_optics:
            raise ValueError(
                "photothermal_efficiency divides an extinction, and none is given; add optics = [{wavelength = "
                '"808 nm", extinction = "45 1/cm/(mg/ml)"}]'
            )
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

    def mass_optics(self, wavelength: float, medium_index: float | None = None) -> MassOptics:
        """The measured coefficients, within 10 nm of a measured wavelength (m); else ``CaseError``."""
        return measured_at(self.measured_optics, wavelength, self)

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
