"""Magnetic vortex discs: they turn in a slow alternating field and tear at cells; they are not there to heat."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from thermal.physics.particles.base import BaseCarrier
from thermal.units import (
    VACUUM_PERMEABILITY,
    Array,
    Concentration,
    Density,
    FieldStrength,
    Frequency,
    ParticleSize,
    PositiveNumber,
    quantity,
)

Torque = Annotated[float, *quantity("N*m", gt=0, le=1e-6)]


class VortexDisc(BaseCarrier):
    """A thin soft-magnetic disc whose magnetisation curls: no moment without a field, a large one in it.

    The field's part in the plane magnetises the disc in proportion up to saturation, ``m = V min(chi H cos(tilt),
    Ms)``, and turns it by the torque ``m mu0 H sin(tilt)``. Concentrations are of whole discs.
    """

    kind: Literal["vortex_disc"] = "vortex_disc"
    diameter: ParticleSize
    """of the disc"""
    thickness: ParticleSize
    """of its magnetic layer"""
    coating_thickness: Annotated[float, *quantity("m", ge=0, le=1e-6)] = 0.0
    """of the gold on each of its faces"""
    density: Density
    """of the magnetic layer"""
    coating_density: Density = 19300.0
    """of the coating; gold"""
    saturation_magnetisation: FieldStrength
    """Ms of the magnetic layer"""
    susceptibility: PositiveNumber
    """chi, in the plane, of the whole disc below saturation"""
    tilt: Annotated[float, *quantity("deg", ge=0, le=90)] = 45.0
    """between the field and the plane of the disc"""
    highest_frequency: Frequency = 100.0
    """beyond which the discs are not known to follow the field"""
    kill_rate: Annotated[float, *quantity("1/s", gt=0, le=1e3)] | None = None
    """rate at which cells die in the field; no kill is computed when absent"""
    lethal_torque: Torque = 1e-18
    """torque on a disc from which cells die at that rate; none do below it"""
    lethal_concentration: Concentration = 0.0
    """concentration of discs above which cells die"""

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs."""
        return "discs"

    @property
    def feels_field(self) -> bool:
        """Yes, though it does not heat."""
        return True

    @property
    def volume(self) -> float:
        """Of the magnetic layer, m3."""
        return float(0.25 * np.pi * self.diameter**2 * self.thickness)

    @property
    def mass(self) -> float:
        """Of one disc with its coating, kg."""
        face = 0.25 * np.pi * self.diameter**2
        return float(self.density * self.volume + 2.0 * self.coating_density * face * self.coating_thickness)

    def moment(self, amplitude: Array) -> Array:
        """Magnetic moment of one disc, A m2, in a field of this strength (A/m); shape of ``amplitude``."""
        along = amplitude * np.cos(np.radians(self.tilt))
        return np.asarray(self.volume * np.minimum(self.susceptibility * along, self.saturation_magnetisation))

    def torque(self, amplitude: Array) -> Array:
        """m B sin(tilt) on one disc, N m, at the peak of a field (A/m); shape of ``amplitude``."""
        across = VACUUM_PERMEABILITY * amplitude * np.sin(np.radians(self.tilt))
        return np.asarray(self.moment(amplitude) * across)

    def agitation(self, amplitude: Array, concentration: Array, exposed: float) -> dict[str, tuple[Array, str]]:
        """Fields of what ``exposed`` s of a field of peak ``amplitude`` (n,) A/m do to (n,) kg/m3 of discs."""
        there = concentration > 0.0
        torque = np.where(there, self.torque(amplitude), 0.0)
        found = {
            "disc_density": (concentration / self.mass, "1/m^3"),
            "disc_torque": (torque, "N*m"),
            "disc_force": (torque / self.diameter, "N"),
        }
        if self.kill_rate is not None:
            acts = there & (torque >= self.lethal_torque) & (concentration >= self.lethal_concentration)
            found["mechanically_killed"] = (np.where(acts, -np.expm1(-self.kill_rate * exposed), 0.0), "")
        return found

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """A statement where the field is too fast, or saturates the discs."""
        found = []
        if frequency > self.highest_frequency:
            found.append(
                f"particles: vortex discs in a field of {frequency:g} Hz, beyond the {self.highest_frequency:g} Hz up "
                "to which they are known to follow it (particles.highest_frequency): torque and kill are too large"
            )
        along = amplitude * np.cos(np.radians(self.tilt))
        if self.susceptibility * along > self.saturation_magnetisation:
            found.append(
                f"particles: vortex discs are saturated by {amplitude / 1e3:.3g} kA/m; they lose their vortex and may "
                "keep a moment and clump afterwards"
            )
        return tuple(found)
