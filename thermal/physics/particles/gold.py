"""Gold: spheres, shells and rods."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from thermal.physics.constants import STANDARD, Constants, Locate, OpticalConstants, johnson_christy
from thermal.physics.mie import Efficiencies, mie_coated, mie_layered, mie_sphere
from thermal.physics.optics import (
    GOLD_DENSITY,
    SILICA_INDEX,
    WATER_INDEX,
    aspect_of_peak,
    gans_rod,
    gold_permittivity,
)
from thermal.physics.particles.base import BaseCarrier, CrossSections, gauss_lognormal, lognormal, mean_of
from thermal.physics.particles.conversion import Conversion, MassOptics
from thermal.physics.particles.measured_light import MeasuredOptics, measured_at, undivided
from thermal.physics.particles.reshaping import Reshaping, remaining
from thermal.units import Array, ParticleSize, PositiveNumber, Wavelength, quantity

Damping = Annotated[float, *quantity("", ge=0, le=10)]
Spread = Annotated[float, *quantity("", ge=0, le=0.5)]
LogSpread = Annotated[float, *quantity("", ge=0, le=0.8)]


class Metallic(Conversion, BaseCarrier):
    """A carrier of gold, whose optics are computed from its shape and the optical constants of gold.

    ``photothermal_efficiency`` and ``optics`` are measurements that take the place of what is computed: the first
    splits the computed extinction, the second, with or without an efficiency, is used instead of it.
    """

    optical_constants: Literal["johnson_christy"] | OpticalConstants = STANDARD
    """of gold: P. B. Johnson, R. W. Christy, Phys. Rev. B 6 (1972) 4370, linear between its wavelengths, or your own"""
    measured_optics: tuple[MeasuredOptics, ...] = Field(default=(), alias="optics")
    """measured by wavelength, in place of the computed spectrum, and nothing beside it; as of kind "measured\""""

    @model_validator(mode="after")
    def _divided(self) -> Self:
        undivided(self.measured_optics, self)
        return self

    def computed(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m) by the theory of its shape."""
        raise NotImplementedError

    def cross_sections(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m): computed, or as measurements have them."""
        whole = self.computed(wavelength, medium_index)
        return whole.given(self.mass_optics(wavelength, medium_index)) if self.is_measured else whole

    @property
    def is_measured(self) -> bool:
        """Whether a measurement takes the place of anything computed."""
        return bool(self.measured_optics) or self.photothermal_efficiency is not None

    def mass_optics(self, wavelength: float, medium_index: float | None = None) -> MassOptics:
        """Per mass concentration of gold, at a vacuum wavelength (m); measured ones are those of any medium."""
        if self.measured_optics:
            return measured_at(self.measured_optics, wavelength, self)
        whole = self.computed(wavelength, medium_index)
        found = whole.per_mass()
        return self.split(found.extinction, whole.asymmetry, found)

    @property
    def constants(self) -> Constants:
        """The data set in use."""
        return johnson_christy() if isinstance(self.optical_constants, str) else self.optical_constants.table

    def loaded(self, locate: Locate) -> Self:
        """With the optical constants that a file holds. Raises ``CaseError``."""
        if isinstance(self.optical_constants, str):
            return self
        return self.model_copy(update={"optical_constants": self.optical_constants.loaded(locate)})


class _Gold(Metallic):
    """What the gold kinds share."""

    medium_index: PositiveNumber = WATER_INDEX
    """refractive index around the particle"""
    reshaping: Reshaping | None = None
    """when the particles lose their shape and become spheres of as much gold"""

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "gold"

    @property
    def absorbs_light(self) -> bool:
        """Yes."""
        return True

    def reshaped_optics(self, wavelength: float) -> tuple[float, float]:
        """The same once they have lost their shape."""
        mass = self.computed(wavelength).mass
        radius = np.cbrt(0.75 / np.pi * mass / GOLD_DENSITY)
        index = np.sqrt(gold_permittivity(wavelength, constants=self.constants))
        found = mie_sphere(index / self.medium_index, 2.0 * np.pi * radius * self.medium_index / wavelength)
        sphere = of_sphere(found, float(radius), mass).per_mass()
        return remaining(self.reshaping, self.optics(wavelength), (sphere.absorption, sphere.reduced_scattering))


def of_sphere(efficiencies: Efficiencies, radius: float, mass: float) -> CrossSections:
    """From efficiencies to cross-sections of one particle of outer ``radius`` m and ``mass`` kg of metal."""
    area, scattering = np.pi * radius**2, float(efficiencies.scattering)
    absorption = float(efficiencies.extinction) - scattering
    return CrossSections(area * absorption, area * scattering, float(efficiencies.asymmetry), mass)


def sphere_volume(radius: float) -> float:
    """m3."""
    return 4.0 / 3.0 * np.pi * radius**3


def shell_chord(inner: float, outer: float) -> float:
    """Mean way of an electron between the walls of a shell, 4 V / S, m."""
    return 4.0 / 3.0 * (outer**3 - inner**3) / (outer**2 + inner**2)


class GoldSphere(_Gold):
    """A solid gold sphere (Mie theory)."""

    kind: Literal["gold_sphere"] = "gold_sphere"
    diameter: ParticleSize
    """of the sphere; number median where there is a spread"""
    diameter_sigma: LogSpread = 0.0
    """standard deviation of ln(diameter) in the batch"""
    surface_damping: Damping = 0.0
    """how much electrons scatter at the surface; 0: as in bulk gold, 0.3 to 1 is usual"""

    def computed(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one mean particle at a vacuum wavelength (m): averages over the numbers of a batch."""
        medium = medium_index or self.medium_index
        diameters, weights = lognormal(self.diameter, self.diameter_sigma)
        radii = diameters / 2.0
        gold = np.sqrt(gold_permittivity(wavelength, self.surface_damping, 4.0 / 3.0 * radii, self.constants))
        found = mie_sphere(gold / medium, 2.0 * np.pi * radii * medium / wavelength)
        parts = [
            of_sphere(Efficiencies(*row), float(radius), float(GOLD_DENSITY * sphere_volume(radius)))
            for radius, row in zip(radii, np.transpose(found), strict=True)
        ]
        return mean_of(parts, weights)


class GoldShell(_Gold):
    """A gold shell on a dielectric core (Mie theory of the coated sphere)."""

    kind: Literal["gold_shell"] = "gold_shell"
    core_diameter: ParticleSize
    """of the dielectric core; number median where there is a spread"""
    core_diameter_sigma: LogSpread = 0.0
    """standard deviation of ln(core_diameter) in the batch"""
    shell_thickness: ParticleSize
    """of the gold shell; number median where there is a spread"""
    shell_thickness_sigma: LogSpread = 0.0
    """standard deviation of ln(shell_thickness) in the batch, independent of the core's"""
    core_index: PositiveNumber = SILICA_INDEX
    """refractive index of the core; silica by default"""
    surface_damping: Damping = 0.0
    """how much electrons scatter at the shell's two walls; 0: as in bulk gold, 0.3 to 1 is usual"""

    def computed(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one mean particle at a vacuum wavelength (m): averages over the numbers of a batch."""
        medium = medium_index or self.medium_index
        cores, of_core = gauss_lognormal(self.core_diameter, self.core_diameter_sigma)
        shells, of_shell = gauss_lognormal(self.shell_thickness, self.shell_thickness_sigma)
        parts = [self._one(wavelength, medium, 0.5 * float(core), float(shell)) for core in cores for shell in shells]
        return mean_of(parts, np.outer(of_core, of_shell).ravel())

    def _one(self, wavelength: float, medium: float, core: float, shell: float) -> CrossSections:
        radius = core + shell
        wave = 2.0 * np.pi * medium / wavelength
        gold = np.sqrt(gold_permittivity(wavelength, self.surface_damping, shell_chord(core, radius), self.constants))
        found = mie_coated(self.core_index / medium, gold / medium, wave * core, wave * radius)
        return of_sphere(found, radius, GOLD_DENSITY * (sphere_volume(radius) - sphere_volume(core)))


class GoldMatryoshka(_Gold):
    """A gold core in a dielectric layer in a gold shell (Mie theory of concentric layers)."""

    kind: Literal["gold_matryoshka"] = "gold_matryoshka"
    core_diameter: ParticleSize
    """of the gold core"""
    spacer_thickness: ParticleSize
    """of the dielectric layer around it"""
    shell_thickness: ParticleSize
    """of the outer gold shell"""
    spacer_index: PositiveNumber = SILICA_INDEX
    """refractive index of the layer between; silica by default"""
    surface_damping: Damping = 0.0
    """how much electrons scatter at the surfaces of the gold; 0: as in bulk gold, 0.3 to 1 is usual"""

    def computed(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m)."""
        medium, core = medium_index or self.medium_index, self.core_diameter / 2.0
        inner = core + self.spacer_thickness
        outer = inner + self.shell_thickness
        chords = shell_chord(0.0, core), shell_chord(inner, outer)
        inside, outside = (
            np.sqrt(gold_permittivity(wavelength, self.surface_damping, chord, self.constants)) for chord in chords
        )
        wave = 2.0 * np.pi * medium / wavelength
        indices = (inside / medium, self.spacer_index / medium, outside / medium)
        found = mie_layered(indices, (wave * core, wave * inner, wave * outer))
        metal = sphere_volume(core) + sphere_volume(outer) - sphere_volume(inner)
        return of_sphere(found, outer, GOLD_DENSITY * metal)


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

    def computed(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Orientation-averaged cross-sections of one mean particle at a vacuum wavelength (m)."""
        medium = medium_index or self.medium_index
        volume = np.pi / 6.0 * self.length * self.diameter**2
        aspect = self.length / self.diameter
        if self.plasmon_peak is not None:
            aspect = aspect_of_peak(self.plasmon_peak, self.medium_index, self.constants)
        aspects, weights = _normal_aspects(aspect, self.aspect_spread)
        diameters = np.cbrt(6.0 / np.pi * volume / aspects)
        absorption, scattering = gans_rod(
            aspects * diameters, diameters, wavelength, medium, self.surface_damping, self.constants
        )
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
