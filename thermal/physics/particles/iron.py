"""Iron oxide in an alternating magnetic field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import model_validator

from thermal.physics import magnetism
from thermal.physics.hysteresis import loop_loss
from thermal.physics.particles.base import BaseCarrier, gauss_lognormal
from thermal.physics.rotation import STRONGEST, turning_loss
from thermal.units import (
    VACUUM_PERMEABILITY,
    Array,
    Density,
    Duration,
    FieldStrength,
    ParticleSize,
    PerKelvin,
    PositiveFraction,
    PositiveNumber,
    Temperature,
    Viscosity,
    quantity,
)

Anisotropy = Annotated[float, *quantity("J/m^3", gt=0, le=1e7)]
Coating = Annotated[float, *quantity("m", ge=0, le=1e-6)]
MOST_LOOPS, LOOP_SIZES = 96, 61
"""Amplitudes and sizes for which loops are followed; losses between them are interpolated."""
MOST_CYCLES = 24
"""The same for cycles of rotation."""
FIXED = 10.0
"""Neel over Brownian relaxation time from which on a moment counts as fixed in its particle."""
LogSpread = Annotated[float, *quantity("", ge=0, le=1.5)]


class IronOxide(BaseCarrier):
    """A single-domain magnetic oxide core (linear response theory, Rosensweig 2002); concentrations are of iron."""

    kind: Literal["iron_oxide"] = "iron_oxide"
    core_diameter: ParticleSize
    """number median of the magnetic cores"""
    diameter_sigma: LogSpread = 0.0
    """standard deviation of ln(diameter)"""
    saturation_magnetisation: FieldStrength = 446e3
    """of the magnetic domain; magnetite by default"""
    anisotropy: Anisotropy
    """effective anisotropy constant"""
    attempt_time: Duration = 1e-9
    """tau0 of the Neel relaxation"""
    shell_thickness: Coating = 0.0
    """non-magnetic coating, which slows Brownian rotation"""
    viscosity: Viscosity = 1e-3
    """of the carrier liquid"""
    immobilised: bool = True
    """bound to tissue: no Brownian rotation"""
    iron_share: PositiveFraction = magnetism.IRON_SHARE
    """kg Fe per kg of oxide; magnetite by default"""
    density: Density = magnetism.MAGNETITE_DENSITY
    """of the oxide"""
    temperature: Temperature = 37.0
    """for which all values hold; of the relaxation, unless ``heating.temperature_update`` follows the tissue's"""
    viscosity_slope: PerKelvin = 0.0
    """relative change of the viscosity per kelvin, exponential; -0.02 for water. For heating.temperature_update"""
    curie_temperature: Temperature | None = None
    """above which nothing is magnetic: the magnetisation goes as the root of the distance from it (mean field), the
    anisotropy as its square. For heating.temperature_update"""
    response: Literal["linear", "two_level", "turning"] = "linear"
    """to the field: linear response; in strong fields the hysteresis loops of particles that are bound, or the rotation
    of particles that are free, with moments fixed in them; both saturate"""
    interaction: PositiveNumber = 1.0
    """factor on the heat, for particles that heat each other's field away: clustering costs 20 to 50 %"""

    @model_validator(mode="after")
    def _fits(self) -> IronOxide:
        if self.response == "two_level" and not self.immobilised:
            raise ValueError('response = "two_level" is for particles bound to tissue; set immobilised = true')
        if self.response == "turning" and self.immobilised:
            raise ValueError('response = "turning" is for particles that are free to turn; set immobilised = false')
        if self.curie_temperature is not None and not self.curie_temperature > self.temperature:
            raise ValueError(
                f"curie_temperature = {self.curie_temperature:g} degC is not above temperature = {self.temperature:g} "
                "degC, for which saturation_magnetisation holds"
            )
        return self

    def at(self, temperature: float | None) -> IronOxide | None:
        """The same particle at a temperature (degC); itself for none, and ``None`` where it is not magnetic any more.

        Relaxation by the thermal energy, viscosity and magnetisation as they say of themselves, and K as M^2, as
        anisotropy by shape does.
        """
        if temperature is None:
            return self
        share = 1.0
        if self.curie_temperature is not None:
            share = (self.curie_temperature - temperature) / (self.curie_temperature - self.temperature)
            if share <= 0.0:
                return None
        return self.model_copy(
            update={
                "temperature": temperature,
                "viscosity": self.viscosity * float(np.exp(self.viscosity_slope * (temperature - self.temperature))),
                "saturation_magnetisation": self.saturation_magnetisation * float(np.sqrt(share)),
                "anisotropy": self.anisotropy * share,
            }
        )

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "iron"

    @property
    def heats_in_field(self) -> bool:
        """Yes."""
        return True

    def oxide_loss_power(self, amplitude: Array, frequency: float, temperature: float | None = None) -> Array:
        """W per kg of **oxide**, averaged by volume over the size distribution; shape of ``amplitude`` (A/m, peak)."""
        warm = self.at(temperature)
        if warm is None:
            return np.zeros(np.shape(amplitude))
        unique, place = np.unique(np.asarray(amplitude, dtype=np.float64), return_inverse=True)
        loss = self.interaction * _RESPONSES[self.response](warm, unique, frequency)
        return np.asarray(loss[place].reshape(np.shape(amplitude)))

    def specific_absorption_rate(self, amplitude: Array, frequency: float, temperature: float | None = None) -> Array:
        """W per kg of **iron** at peak field amplitudes (A/m) and a frequency (Hz); shape of ``amplitude``."""
        return self.oxide_loss_power(amplitude, frequency, temperature) / self.iron_share

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """A statement when the field (A/m, peak) lies outside the model of the response."""
        return _DOUBTS[self.response](self, amplitude)


def _linear(particle: IronOxide, amplitude: Array, frequency: float) -> Array:
    """W per kg of oxide at amplitudes (k,) A/m by linear response, with Langevin's susceptibility."""
    diameters, weights = magnetism.lognormal_diameters(particle.core_diameter, particle.diameter_sigma)
    total = np.zeros_like(amplitude)
    for diameter, weight in zip(diameters, weights, strict=True):
        total += weight * magnetism.specific_loss_power(
            diameter,
            amplitude,
            frequency,
            particle.temperature,
            particle.saturation_magnetisation,
            particle.anisotropy,
            particle.attempt_time,
            np.inf if particle.immobilised else particle.viscosity,
            particle.shell_thickness,
            particle.density,
        )
    return total


def _two_level(particle: IronOxide, amplitude: Array, frequency: float) -> Array:
    """The same from hysteresis loops; between many amplitudes by a power law."""
    fields = amplitude[amplitude > 0.0]
    if len(fields) > MOST_LOOPS:
        fields = np.geomspace(fields[0], fields[-1], MOST_LOOPS)
    diameters, weights = magnetism.lognormal_diameters(particle.core_diameter, particle.diameter_sigma, LOOP_SIZES)
    loss = np.zeros_like(fields)
    for diameter, weight in zip(diameters, weights, strict=True):
        loss += weight * loop_loss(
            float(diameter),
            fields,
            frequency,
            particle.temperature,
            particle.saturation_magnetisation,
            particle.anisotropy,
            particle.attempt_time,
        )
    return _between(amplitude, fields, loss) / particle.density


def _turning(particle: IronOxide, amplitude: Array, frequency: float) -> Array:
    """The same from the rotation of fixed moments; between many amplitudes by a power law."""
    fields = amplitude[amplitude > 0.0]
    if len(fields) > MOST_CYCLES:
        fields = np.geomspace(fields[0], fields[-1], MOST_CYCLES)
    by_volume = particle.core_diameter * float(np.exp(3.0 * particle.diameter_sigma**2))
    loss = np.zeros_like(fields)
    for diameter, weight in zip(*gauss_lognormal(by_volume, particle.diameter_sigma), strict=True):
        xi = magnetism.langevin_argument(diameter, particle.saturation_magnetisation, fields, particle.temperature)
        brown_time = float(_times(particle, float(diameter)).brown)
        loss += weight * turning_loss(xi, brown_time, fields, frequency, particle.saturation_magnetisation)
    return _between(amplitude, fields, loss) / particle.density


def _between(amplitude: Array, fields: Array, loss: Array) -> Array:
    """Loss at amplitudes (k,) from that at ``fields``, by a power law; none without a field."""
    found = np.zeros_like(amplitude)
    on = amplitude > 0.0
    if np.any(on):
        found[on] = np.exp(np.interp(np.log(amplitude[on]), np.log(fields), np.log(np.maximum(loss, 1e-300))))
    return found


def _times(particle: IronOxide, diameter: float) -> magnetism.Relaxation:
    """Relaxation times of particles with a core of this diameter (m) that are free to turn."""
    return magnetism.relaxation_times(
        diameter,
        particle.anisotropy,
        particle.temperature,
        particle.attempt_time,
        particle.viscosity,
        particle.shell_thickness,
    )


_RESPONSES: Mapping[str, Callable[[IronOxide, Array, float], Array]] = {
    "linear": _linear,
    "two_level": _two_level,
    "turning": _turning,
}


def _beyond_linear(particle: IronOxide, amplitude: float) -> tuple[str, ...]:
    """A statement when the field (A/m, peak) is too strong for linear response."""
    magnetisation, temperature = particle.saturation_magnetisation, particle.temperature
    xi = float(magnetism.langevin_argument(particle.core_diameter, magnetisation, amplitude, temperature))
    if xi < magnetism.LINEAR_LIMIT:
        return ()
    return (
        f"linear response theory is used at xi = {xi:.2g}, beyond its limit xi < 1 (Rosensweig 2002): "
        f"heating by {particle.core_diameter * 1e9:g} nm cores at {amplitude / 1e3:.3g} kA/m is an estimate; "
        f'compare with particles.response = "{"two_level" if particle.immobilised else "turning"}"',
    )


def _beyond_switching(particle: IronOxide, amplitude: float) -> tuple[str, ...]:
    """A statement when the field (A/m, peak) comes near the one that switches every moment at once."""
    field = 2.0 * particle.anisotropy / (VACUUM_PERMEABILITY * particle.saturation_magnetisation)
    if amplitude < 0.5 * field:
        return ()
    return (
        f"two-level loops at {amplitude / 1e3:.3g} kA/m, more than half of the anisotropy field of "
        f"{field / 1e3:.3g} kA/m: in this model axes across the field switch too late, and the heat is overestimated, "
        "in fields beyond the anisotropy field several times",
    )


def _beyond_turning(particle: IronOxide, amplitude: float) -> tuple[str, ...]:
    """Statements when the moments are not fixed, or the field (A/m, peak) is stronger than what is solved."""
    found = []
    times = _times(particle, particle.core_diameter)
    if times.neel < FIXED * times.brown:
        found.append(
            f"the moments of {particle.core_diameter * 1e9:g} nm cores turn by themselves in {float(times.neel):.2g} s "
            f"(Neel), which is not long beside the {float(times.brown):.2g} s in which the particles turn (Brown): "
            'response = "turning" takes them for fixed; particles.response = "linear" has both, for xi < 1'
        )
    magnetisation, temperature = particle.saturation_magnetisation, particle.temperature
    xi = float(magnetism.langevin_argument(particle.core_diameter, magnetisation, amplitude, temperature))
    if xi > STRONGEST:
        found.append(
            f"the rotation of {particle.core_diameter * 1e9:g} nm cores is solved up to xi = {STRONGEST:g}, and the "
            f"field of {amplitude / 1e3:.3g} kA/m has {xi:.3g}: the heat there is an estimate"
        )
    return tuple(found)


_DOUBTS: Mapping[str, Callable[[IronOxide, float], tuple[str, ...]]] = {
    "linear": _beyond_linear,
    "two_level": _beyond_switching,
    "turning": _beyond_turning,
}
