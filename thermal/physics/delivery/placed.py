"""Deliveries whose outcome is stated: nothing, or a uniform concentration."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from thermal.physics.delivery.dose import dose_readings
from thermal.physics.delivery.outcome import Delivered, Progress, Site, per_volume, region_volume, silent
from thermal.physics.scene import Device, Reading
from thermal.physics.tissue import Tissues
from thermal.units import Array, Concentration, Spec


class NoDelivery(Spec):
    """No particles."""

    devices: ClassVar[tuple[Device, ...]] = ()
    time: ClassVar[float] = 0.0
    makes: ClassVar[tuple[str, ...]] = ()
    kind: Literal["none"] = "none"

    def check(self, tissues: Tissues) -> None:
        """Nothing is needed."""

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Zero everywhere."""
        return Delivered(np.zeros_like(site.engine.volume), {})


class Uniform(Spec):
    """A uniform bulk concentration, as if mixed in by hand."""

    devices: ClassVar[tuple[Device, ...]] = ()
    time: ClassVar[float] = 0.0
    makes: ClassVar[tuple[str, ...]] = ("concentration",)
    kind: Literal["uniform"]
    concentration: Concentration
    """mass of particles per volume of tissue"""
    region: str | None = None
    """region that holds it; everywhere when absent"""
    threshold: Concentration | None = None
    """concentration in tissue from which the tumour counts as covered (dose.tumour_coverage)"""

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for an unknown region."""
        if self.region is not None:
            region_volume(tissues.engine, self.region, "delivery.region")

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Concentration times the region's volume, at the nodes. Raises ``CaseError`` for an unknown region."""
        volume = (
            site.engine.volume if self.region is None else region_volume(site.engine, self.region, "delivery.region")
        )
        mass = self.concentration * volume
        return _placed(site, mass, self.region, float(np.sum(mass)), self.threshold)


def _placed(site: Site, mass: Array, region: str | None, given: float, threshold: float | None) -> Delivered:
    """Particles put into one region: a node on its border holds them all on the region's side."""
    volume = site.engine.volume
    in_tumour = mass if region == site.tumour else np.zeros_like(mass)
    if region is None:
        in_tumour = mass * per_volume(site.tumour_volume, volume)
    by_region = None if region is None else {region: given}
    readings = dose_readings(site, mass, in_tumour, given, threshold, by_region)
    return Delivered(per_volume(mass, volume), {**readings, "ledger.mass_error": Reading(0.0, "")})
