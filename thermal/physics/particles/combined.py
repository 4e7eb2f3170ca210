"""Particles with two functions: an iron-oxide core that heats in a field, in gold that heats in light."""

from __future__ import annotations

from typing import Literal

import numpy as np

from thermal.physics.mie import mie_coated
from thermal.physics.optics import GOLD_DENSITY, WATER_INDEX, gold_permittivity
from thermal.physics.particles.base import CrossSections
from thermal.physics.particles.gold import Damping, Metallic, of_sphere, shell_chord, sphere_volume
from thermal.physics.particles.iron import IronOxide
from thermal.units import Array, ParticleSize, PositiveFraction, PositiveNumber


class GoldOnIronOxide(Metallic):
    """A gold shell on a core of iron oxide; concentrations are of **gold**.

    The shell keeps the core magnetic as it is; what it adds to the hydrodynamic diameter belongs into
    ``core.shell_thickness``, if the core can turn at all.
    """

    kind: Literal["gold_on_iron_oxide"] = "gold_on_iron_oxide"
    core: IronOxide
    """the magnetic core: a table as of kind "iron_oxide\""""
    shell_thickness: ParticleSize
    """of the gold shell"""
    core_index: PositiveNumber = 2.34
    """refractive index of the core; magnetite near 800 nm, from memory (unverified)"""
    core_extinction: PositiveFraction = 0.1
    """imaginary part of the core's refractive index; magnetite near 800 nm, from memory (unverified)"""
    medium_index: PositiveNumber = WATER_INDEX
    """refractive index around the particle"""
    surface_damping: Damping = 0.0
    """how much electrons scatter at the shell's two walls; 0: as in bulk gold, 0.3 to 1 is usual"""

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "gold"

    @property
    def absorbs_light(self) -> bool:
        """Yes."""
        return True

    @property
    def heats_in_field(self) -> bool:
        """Yes."""
        return True

    @property
    def _radii(self) -> tuple[float, float]:
        core = self.core.core_diameter / 2.0
        return core, core + self.shell_thickness

    @property
    def _gold(self) -> float:
        """kg of gold on one particle."""
        core, outer = self._radii
        return float(GOLD_DENSITY * (sphere_volume(outer) - sphere_volume(core)))

    def computed(self, wavelength: float, medium_index: float | None = None) -> CrossSections:
        """Cross-sections of one particle at a vacuum wavelength (m)."""
        medium, (core, outer) = medium_index or self.medium_index, self._radii
        wave = 2.0 * np.pi * medium / wavelength
        gold = np.sqrt(gold_permittivity(wavelength, self.surface_damping, shell_chord(core, outer), self.constants))
        inside = complex(self.core_index, self.core_extinction)
        return of_sphere(mie_coated(inside / medium, gold / medium, wave * core, wave * outer), outer, self._gold)

    def specific_absorption_rate(self, amplitude: Array, frequency: float, temperature: float | None = None) -> Array:
        """W per kg of **gold** at peak field amplitudes (A/m) and a frequency (Hz); shape of ``amplitude``."""
        oxide = self.core.density * sphere_volume(self._radii[0])
        return self.core.oxide_loss_power(amplitude, frequency, temperature) * (oxide / self._gold)

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """Those of the core."""
        return self.core.doubts(amplitude, frequency)
