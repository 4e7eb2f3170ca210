"""Particles where an image says that they are."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from thermal.physics.delivery.dose import dose_readings
from thermal.physics.delivery.outcome import Delivered, Progress, Site, per_volume, silent
from thermal.physics.scene import Device, Reading
from thermal.physics.tissue import Tissues
from thermal.units import Concentration, Fraction, Spec


class FromImage(Spec):
    """A measured map of the concentration, such as ``thermal quantify`` makes; what lies outside the body is left out.

    The mass in the body is that of the image: the sum over its voxels, cut where the body ends.
    """

    devices: ClassVar[tuple[Device, ...]] = ()
    time: ClassVar[float] = 0.0
    makes: ClassVar[tuple[str, ...]] = ("concentration",)
    kind: Literal["image"]
    file: str
    """NIfTI file of concentrations in mg per ml of tissue, relative to the case file, or "data:..." """
    floor: Concentration = 0.0
    """voxels below hold nothing: take three standard deviations of the noise, as ``thermal quantify`` says"""
    kept: Fraction = 1.0
    """share that is left when the heating begins, where some was cleared since the image"""
    threshold: Concentration | None = None
    """concentration in tissue from which the tumour counts as covered (dose.tumour_coverage)"""

    @property
    def images(self) -> tuple[tuple[str, str], ...]:
        """The map."""
        return ((self.file, "delivery.file"),)

    def check(self, tissues: Tissues) -> None:
        """The file is looked at when it is read."""

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """The map at the nodes. Raises ``CaseError`` for a file that is no image."""
        bulk, total, cut = site.image(self.file, "delivery.file", self.floor)
        mass = self.kept * bulk * site.engine.volume
        in_tumour = mass * per_volume(site.tumour_volume, site.engine.volume)
        given = self.kept * total
        readings = dose_readings(site, mass, in_tumour, given, self.threshold)
        error = abs(float(np.sum(mass)) - given) / given if given > 0.0 else 0.0
        warnings = []
        if given <= 0.0:
            warnings.append(
                "delivery.floor: no voxel of the image inside the body is above it, so nothing was delivered"
            )
        return Delivered(
            self.kept * bulk,
            {**readings, "dose.below_floor": Reading(cut, "kg"), "ledger.mass_error": Reading(error, "")},
            warnings=tuple(warnings),
        )
