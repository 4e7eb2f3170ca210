"""Deliveries whose outcome is stated: nothing, a uniform concentration, or a fraction of an injected dose."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from thermal.errors import CaseError
from thermal.physics.delivery.outcome import Delivered, Progress, Site, dose_readings, per_volume, region_volume, silent
from thermal.physics.scene import Device, Reading
from thermal.physics.tissue import Tissues
from thermal.units import Array, Concentration, Fraction, Mass, Spec

MEDIAN_TUMOUR_FRACTION = 0.007
"""Median share of an injected dose of nanoparticles that reaches a solid tumour: S. Wilhelm et al., Nat. Rev. Mater. 1
(2016) 16014, doi:10.1038/natrevmats.2016.14."""


class NoDelivery(Spec):
    """No particles."""

    devices: ClassVar[tuple[Device, ...]] = ()
    time: ClassVar[float] = 0.0
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
    kind: Literal["uniform"]
    concentration: Concentration
    """mass of particles per volume of tissue"""
    region: str | None = None
    """region that holds it; everywhere when absent"""

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for an unknown region."""
        if self.region is not None:
            region_volume(tissues.engine, self.region, "delivery.region")

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Concentration times the region's volume, at the nodes. Raises ``CaseError`` for an unknown region."""
        volume = (
            site.engine.volume if self.region is None else region_volume(site.engine, self.region, "delivery.region")
        )
        return _placed(site, self.concentration * volume, self.region, float(self.concentration * np.sum(volume)))


class Systemic(Spec):
    """A share of an injected dose, uniform in the tumour; the rest of the dose is elsewhere in the body."""

    devices: ClassVar[tuple[Device, ...]] = ()
    time: ClassVar[float] = 0.0
    kind: Literal["systemic"]
    injected_mass: Mass
    """of particles, in the whole body"""
    fraction: Fraction = MEDIAN_TUMOUR_FRACTION
    """share of the injected mass that reaches the tumour"""
    region: str | None = None
    """region that takes it up; the anatomy's tumour when absent"""

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for an unknown region."""
        if self.region is not None:
            region_volume(tissues.engine, self.region, "delivery.region")

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """The tumour's share, spread evenly over it. Raises ``CaseError`` without a tumour."""
        region = self.region or site.tumour
        if not region:
            raise CaseError('delivery.kind = "systemic" needs a target; name it: region = "..." or anatomy.tumour')
        volume = region_volume(site.engine, region, "delivery.region")
        mass = self.injected_mass * self.fraction * volume / float(np.sum(volume))
        delivered = _placed(site, mass, region, self.injected_mass)
        elsewhere = Reading(self.injected_mass * (1.0 - self.fraction), "kg")
        return Delivered(delivered.bulk, {**delivered.readings, "dose.elsewhere_in_body": elsewhere})


def _placed(site: Site, mass: Array, region: str | None, given: float) -> Delivered:
    """Particles put into one region: a node on its border holds them all on the region's side."""
    volume = site.engine.volume
    in_tumour = mass if region == site.tumour else np.zeros_like(mass)
    if region is None:
        in_tumour = mass * per_volume(site.tumour_volume, volume)
    readings = dose_readings(site, mass, in_tumour, given)
    return Delivered(per_volume(mass, volume), {**readings, "ledger.mass_error": Reading(0.0, "")})
