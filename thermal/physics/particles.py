"""Particle kinds: what one kilogram of carrier does to light and in an alternating magnetic field.

Concentrations of a carrier are mass per volume of tissue of ``mass_of``: gold for the plasmonic kinds, **iron** (Fe,
not its oxide) for iron oxide, as clinics dose it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from pydantic import Field, TypeAdapter, model_validator

from thermal import library
from thermal.errors import CaseError
from thermal.physics import magnetism
from thermal.physics.optics import (
    GOLD_DENSITY,
    SILICA_INDEX,
    WATER_INDEX,
    Efficiencies,
    aspect_of_peak,
    gans_rod,
    gold_index,
    mie_coated,
    mie_sphere,
)
from thermal.units import (
    Array,
    Density,
    Duration,
    FieldStrength,
    ParticleSize,
    PositiveFraction,
    PositiveNumber,
    Spec,
    Temperature,
    Viscosity,
    Wavelength,
    quantity,
)

Anisotropy = Annotated[float, *quantity("J/m^3", gt=0, le=1e7)]
MassAbsorption = Annotated[float, *quantity("m^2/kg", ge=0, le=1e7)]
"""mu per mass concentration, 1/m per kg/m3: 10 m2/kg is 0.1 1/cm per mg/ml"""
LossPower = Annotated[float, *quantity("H*m^2/kg", ge=0, le=1)]
"""intrinsic loss power; the usual unit is nH m2/kg"""
Coating = Annotated[float, *quantity("m", ge=0, le=1e-6)]
Damping = Annotated[float, *quantity("", ge=0, le=10)]
Spread = Annotated[float, *quantity("", ge=0, le=0.5)]
LogSpread = Annotated[float, *quantity("", ge=0, le=1.5)]

NEAR = 10e-9  # m; a measured coefficient is used this far from its wavelength, as for tissues


class CrossSections(NamedTuple):
    """Of one particle: absorption and scattering in m2, mean cosine g of the scattering angle, mass of metal in kg."""

    absorption: float
    scattering: float
    asymmetry: float
    mass: float

    def per_mass(self) -> tuple[float, float]:
        """Absorption and reduced scattering coefficients, 1/m per kg/m3."""
        return self.absorption / self.mass, self.scattering * (1.0 - self.asymmetry) / self.mass


class _Carrier(Spec):
    """What every particle kind answers. Here: nothing absorbs light, nothing heats in a magnetic field."""

    material: str | None = None
    """library entry that the values come from"""

    @property
    def absorbs_light(self) -> bool:
        """Whether :meth:`optics` is known."""
        return False

    @property
    def heats_in_field(self) -> bool:
        """Whether :meth:`specific_absorption_rate` is known."""
        return False

    def optics(self, wavelength: float, medium_index: float | None = None) -> tuple[float, float]:
        """Absorption and reduced scattering, 1/m per kg/m3, at a vacuum wavelength (m).

        ``medium_index``: refractive index around the particle, where the kind has one and it is not to be its own.
        Raises ``CaseError`` where unknown.
        """
        raise CaseError(
            "particles: their light absorption is not known; take a gold kind, or a measured one with optics"
        )

    def specific_absorption_rate(self, amplitude: Array, frequency: float) -> Array:
        """W per kg of ``mass_of`` at peak field amplitudes (A/m) and a frequency (Hz); shape of ``amplitude``.

        Raises ``CaseError`` where unknown.
        """
        raise CaseError(
            "particles: they do not heat in a magnetic field; take iron_oxide, or a measured one with "
            "intrinsic_loss_power"
        )

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """Doubts on the validity of the model in a field of this peak amplitude (A/m) and frequency (Hz)."""
        return ()

    def particle(self) -> Particle:
        """What the simulation is told."""
        return Particle(cast("Carrier", self))


class _Gold(_Carrier):
    """What the gold kinds share."""

    medium_index: PositiveNumber = WATER_INDEX
    """refractive index around the particle"""

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "gold"

    @property
    def absorbs_light(self) -> bool:
        """Yes."""
        return True

    def cross_sections(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m)."""
        raise NotImplementedError

    def optics(self, wavelength: float, medium_index: float | None = None) -> tuple[float, float]:
        """Absorption and reduced scattering, 1/m per kg of gold per m3, at a vacuum wavelength (m)."""
        return self.cross_sections(wavelength, medium_index).per_mass()


def _of_sphere(efficiencies: Efficiencies, radius: float, mass: float) -> CrossSections:
    area, scattering = np.pi * radius**2, float(efficiencies.scattering)
    absorption = float(efficiencies.extinction) - scattering
    return CrossSections(area * absorption, area * scattering, float(efficiencies.asymmetry), mass)


class GoldSphere(_Gold):
    """A solid gold sphere (Mie theory)."""

    kind: Literal["gold_sphere"] = "gold_sphere"
    diameter: ParticleSize
    """of the sphere"""

    def cross_sections(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m)."""
        medium, radius = medium_index or self.medium_index, self.diameter / 2.0
        size = 2.0 * np.pi * radius * medium / wavelength
        mass = GOLD_DENSITY * np.pi / 6.0 * self.diameter**3
        return _of_sphere(mie_sphere(gold_index(wavelength) / medium, size), radius, mass)


class GoldShell(_Gold):
    """A gold shell on a dielectric core (Mie theory of the coated sphere)."""

    kind: Literal["gold_shell"] = "gold_shell"
    core_diameter: ParticleSize
    """of the dielectric core"""
    shell_thickness: ParticleSize
    """of the gold shell"""
    core_index: PositiveNumber = SILICA_INDEX
    """refractive index of the core; silica by default"""

    def cross_sections(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m)."""
        medium, core = medium_index or self.medium_index, self.core_diameter / 2.0
        radius = core + self.shell_thickness
        wave = 2.0 * np.pi * medium / wavelength
        found = mie_coated(self.core_index / medium, gold_index(wavelength) / medium, wave * core, wave * radius)
        return _of_sphere(found, radius, GOLD_DENSITY * 4.0 / 3.0 * np.pi * (radius**3 - core**3))


class GoldRod(_Gold):
    """A gold nanorod (Gans' spheroid, random orientation)."""

    kind: Literal["gold_rod"] = "gold_rod"
    length: ParticleSize
    """caps included"""
    diameter: ParticleSize
    """thickness of the rod"""
    plasmon_peak: Wavelength | None = None
    """measured longitudinal peak in ``medium_index``: the spheroid then gets the aspect ratio that peaks there, because
    a rod with round caps peaks 30 to 70 nm to the red of the spheroid of its own dimensions"""
    surface_damping: Damping = 0.0
    """how much electrons scatter at the surface; 0: as in bulk gold, 0.3 to 1 is usual"""
    aspect_spread: Spread = 0.0
    """relative standard deviation of the aspect ratio in the batch; broadens and lowers the peak"""

    @model_validator(mode="after")
    def _longer_than_thick(self) -> GoldRod:
        if self.length < self.diameter:
            raise ValueError(
                f"length {self.length * 1e9:g} nm is less than diameter {self.diameter * 1e9:g} nm; "
                "a rod's length includes its caps"
            )
        return self

    def cross_sections(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Orientation-averaged cross-sections of one mean particle at a vacuum wavelength (m)."""
        medium = medium_index or self.medium_index
        volume = np.pi / 6.0 * self.length * self.diameter**2
        aspect = self.length / self.diameter
        if self.plasmon_peak is not None:
            aspect = aspect_of_peak(self.plasmon_peak, self.medium_index)
        aspects, weights = _normal_aspects(aspect, self.aspect_spread)
        diameters = np.cbrt(6.0 / np.pi * volume / aspects)
        absorption, scattering = gans_rod(aspects * diameters, diameters, wavelength, medium, self.surface_damping)
        return CrossSections(
            float(weights @ absorption), float(weights @ scattering), 0.0, float(GOLD_DENSITY * volume)
        )


def _normal_aspects(mean: float, relative: float, points: int = 121) -> tuple[Array, Array]:
    """Aspect ratios (points,) of a normal distribution cut at the sphere, and weights (sum 1)."""
    if relative == 0:
        return np.array([mean]), np.array([1.0])
    z = np.linspace(-4.0, 4.0, points)
    aspects = mean * (1.0 + relative * z)
    weights = np.exp(-0.5 * z**2) * (aspects >= 1.0)
    return np.maximum(aspects, 1.0), weights / weights.sum()


class IronOxide(_Carrier):
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
    """at which the relaxation times are taken"""

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "iron"

    @property
    def heats_in_field(self) -> bool:
        """Yes."""
        return True

    def oxide_loss_power(self, amplitude: Array, frequency: float) -> Array:
        """W per kg of **oxide**, averaged by volume over the size distribution; shape of ``amplitude`` (A/m, peak)."""
        diameters, weights = magnetism.lognormal_diameters(self.core_diameter, self.diameter_sigma)
        viscosity = np.inf if self.immobilised else self.viscosity
        unique, place = np.unique(np.asarray(amplitude, dtype=np.float64), return_inverse=True)
        total = np.zeros(unique.shape)
        for diameter, weight in zip(diameters, weights, strict=True):
            total += weight * magnetism.specific_loss_power(
                diameter,
                unique,
                frequency,
                self.temperature,
                self.saturation_magnetisation,
                self.anisotropy,
                self.attempt_time,
                viscosity,
                self.shell_thickness,
                self.density,
            )
        return np.asarray(total[place].reshape(np.shape(amplitude)))

    def specific_absorption_rate(self, amplitude: Array, frequency: float) -> Array:
        """W per kg of **iron** at peak field amplitudes (A/m) and a frequency (Hz); shape of ``amplitude``."""
        return self.oxide_loss_power(amplitude, frequency) / self.iron_share

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """A statement when the field (A/m, peak) lies outside linear response."""
        xi = float(
            magnetism.langevin_argument(self.core_diameter, self.saturation_magnetisation, amplitude, self.temperature)
        )
        if xi < magnetism.LINEAR_LIMIT:
            return ()
        return (
            f"linear response theory is used at xi = {xi:.2g}, beyond its limit xi < 1 (Rosensweig 2002): "
            f"heating by {self.core_diameter * 1e9:g} nm cores at {amplitude / 1e3:.3g} kA/m is an estimate",
        )


class MeasuredOptics(Spec):
    """What was measured of a carrier at one vacuum wavelength, per mass concentration."""

    wavelength: Wavelength
    """vacuum wavelength"""
    absorption: MassAbsorption
    """e.g. "30 1/cm/(mg/ml)\""""
    reduced_scattering: MassAbsorption = 0.0
    """mu_s' = mu_s (1 - g), likewise"""


class Measured(_Carrier):
    """A carrier known by measurement: its light absorption per mass, its intrinsic loss power, or both."""

    kind: Literal["measured"] = "measured"
    mass_of: str
    """what the mass concentration and the measured values weigh: "gold", "iron" ..."""
    measured_optics: tuple[MeasuredOptics, ...] = Field(default=(), alias="optics")
    """by wavelength; each is used within 10 nm"""
    intrinsic_loss_power: LossPower | None = None
    """SLP / (H^2 f) with the peak amplitude H, per mass of ``mass_of``, e.g. "3.1 nH*m^2/kg\""""

    @model_validator(mode="after")
    def _knows_something(self) -> Measured:
        if not self.measured_optics and self.intrinsic_loss_power is None:
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
        """Whether an intrinsic loss power was measured."""
        return self.intrinsic_loss_power is not None

    def optics(self, wavelength: float, medium_index: float | None = None) -> tuple[float, float]:
        """The measured coefficients, 1/m per kg/m3, within 10 nm of a measured wavelength (m); else ``CaseError``."""
        near = [row for row in self.measured_optics if abs(row.wavelength - wavelength) <= NEAR]
        if not near:
            known = ", ".join(f"{row.wavelength * 1e9:.0f} nm" for row in self.measured_optics) or "none"
            raise CaseError(
                f"particles.optics: nothing measured within 10 nm of {wavelength * 1e9:.0f} nm; known: {known}; "
                "measure there, or change heating.wavelength"
            )
        best = min(near, key=lambda row: abs(row.wavelength - wavelength))
        return best.absorption, best.reduced_scattering

    def specific_absorption_rate(self, amplitude: Array, frequency: float) -> Array:
        """ILP f H^2 in W per kg of ``mass_of``; shape of ``amplitude`` (A/m, peak)."""
        if self.intrinsic_loss_power is None:
            return super().specific_absorption_rate(amplitude, frequency)
        return np.asarray(self.intrinsic_loss_power * frequency * np.asarray(amplitude, dtype=np.float64) ** 2)


Carrier: TypeAlias = GoldSphere | GoldShell | GoldRod | IronOxide | Measured
AnyParticle: TypeAlias = Annotated[Carrier, Field(discriminator="kind")]
"""Every particle kind, told apart by ``kind``."""
_ANY: TypeAdapter[Carrier] = TypeAdapter(AnyParticle)


def carrier(name: str) -> Carrier:
    """The library's particle of this name. Raises ``CaseError`` with the nearest names when there is none."""
    return _ANY.validate_python({**library.values("particles", name), "material": name})


def cross_sections(particle: GoldSphere | GoldShell | GoldRod, wavelength: float, medium_index: float) -> CrossSections:
    """Cross-sections of one particle at a vacuum wavelength (m) in a medium of real refractive index."""
    return particle.cross_sections(wavelength, medium_index)


@dataclass(frozen=True)
class Particle:
    """A carrier as heat sources see it."""

    carrier: Carrier

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs: "gold", "iron" ..."""
        return self.carrier.mass_of

    @property
    def optics(self) -> Callable[[float], tuple[float, float]] | None:
        """Absorption and reduced scattering, 1/m per kg/m3, at a vacuum wavelength (m); ``None`` where unknown."""
        return self.carrier.optics if self.carrier.absorbs_light else None

    @property
    def specific_absorption_rate(self) -> Callable[[Array, float], Array] | None:
        """W per kg of ``mass_of`` at peak amplitudes (A/m) and a frequency (Hz); ``None`` where it does not heat."""
        return self.carrier.specific_absorption_rate if self.carrier.heats_in_field else None

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """Doubts on the validity of the model in a field of this peak amplitude (A/m) and frequency (Hz)."""
        return self.carrier.doubts(amplitude, frequency)

    def sources(self) -> list[library.Sourced]:
        """The numbers that library and case gave, with their sources; keys under ``particles``.

        Where the case overrides a library value the record is the case's, in SI.
        """
        material = self.carrier.material
        standard = carrier(material) if material is not None else None
        known = library.sources("particles", material) if material is not None else []
        found: list[library.Sourced] = []
        for name, info in type(self.carrier).model_fields.items():
            value = getattr(self.carrier, name)
            if standard is not None and value == getattr(standard, name):
                found += [number for number in known if number["key"].partition("[")[0] == (info.alias or name)]
            elif name in self.carrier.model_fields_set and isinstance(value, float):
                found.append(library.stated(name, value, type(self.carrier), name))
        return [{**number, "key": f"particles.{number['key']}"} for number in found]
