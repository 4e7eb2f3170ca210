"""CT: what it shows of a concentration, and the concentration that two images tell of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import model_validator

from thermal.physics.imaging.xray import ELEMENTS, sensitivity, sensitivity_at
from thermal.units import Array, Fraction, Mask, Spec, quantity

AIR, HIGHEST = -1024.0, 3071.0
"""HU, ends of the scale of 12 bits."""
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum over standard deviation, of a Gaussian."""


class Ct(Spec):
    """How a CT is taken."""

    modality: Literal["ct"] = "ct"
    """kind of image"""
    kvp: Annotated[float, *quantity("", gt=20, le=150)] = 120.0
    """tube voltage"""
    energy: Annotated[float, *quantity("", ge=20, le=150)] | None = None
    """keV of a monochromatic image, instead of kvp"""
    sensitivity: Annotated[float, *quantity("", gt=0, le=1000)] | None = None
    """HU per mg/ml as calibrated on the scanner; default: computed for kvp or energy"""
    calibration: Fraction = 0.2
    """standard error of the sensitivity relative to it: published ones of gold differ by that much (library, gold)"""
    noise: Annotated[float, *quantity("", ge=0, le=1e4)] = 10.0
    """standard deviation of a voxel, HU"""
    resolution: Annotated[float, *quantity("m", ge=0, le=0.1)] = 0.001
    """full width at half maximum of the point spread"""

    @model_validator(mode="after")
    def _one_beam(self) -> Self:
        if self.energy is not None and "kvp" in self.model_fields_set:
            raise ValueError("kvp and energy are both given; a monochromatic image has no kvp: delete one of them")
        return self

    def sensitivity_to(self, element: str) -> float:
        """HU per kg/m3; zero for what is not seen."""
        if self.sensitivity is not None:
            return self.sensitivity
        if element not in ELEMENTS:
            return 0.0
        return sensitivity(element, self.energy) if self.energy is not None else sensitivity_at(element, self.kvp)

    def show(
        self, tissue: Array, concentration: Array, element: str, spacing: Array, chance: np.random.Generator
    ) -> Array:
        """CT numbers (a, b, c) of ``tissue`` (HU) with a concentration (kg/m3) of ``element`` on voxels of ``spacing``
        (3,) m."""
        from scipy.ndimage import gaussian_filter

        numbers = tissue + self.sensitivity_to(element) * concentration
        numbers = gaussian_filter(numbers, self.resolution / FWHM / spacing, mode="nearest")
        return np.asarray(np.clip(numbers + self.noise * chance.standard_normal(numbers.shape), AIR, HIGHEST))


@dataclass(frozen=True)
class Measured:
    """A concentration that images tell of.

    ``concentration`` (a, b, c) kg/m3, negative where noise makes it so; ``error`` (a, b, c), its standard deviation by
    noise; ``failed`` (a, b, c), where it is only known to be at least that. ``calibration``: relative standard error of
    all values together.
    """

    concentration: Array
    error: Array
    failed: Mask
    calibration: float


def invert(before: Array, after: Array, per: float, noise: float, calibration: float = 0.0) -> Measured:
    """Concentration from CT numbers before and after; ``per``: HU per kg/m3, ``noise`` of a voxel of either, HU.

    Linear, hence without bias for noise of any kind that has none; a voxel at the end of the scale (see
    :data:`HIGHEST`; M. W. Galper et al. 2012 saw the plateau) holds at least what it shows.
    """
    if not per > 0.0:
        raise ValueError("what was given does not show in CT: its sensitivity is zero; give the sensitivity")
    change = (after - before) / per
    return Measured(change, np.full(change.shape, np.sqrt(2.0) * noise / per), after >= HIGHEST, calibration)


def estimate_noise(before: Array, after: Array) -> float:
    """Standard deviation of a voxel of either of two images: from the median of what changed between neighbours, which
    most voxels far from particles rule (J. Immerkaer's idea with a robust mean)."""
    change = after - before
    rough = np.diff(change, axis=0)
    return float(np.median(np.abs(rough - np.median(rough))) / 0.6744897501960817 / 2.0)
