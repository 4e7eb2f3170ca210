"""Delivery through a catheter in a feeding artery: who is fed by it, what stays on the first pass, what it closes.

Particles follow the arterial blood: a node takes them by its perfusion times the part of it that is arterial. What is
not extracted on the first pass goes on into the body; what runs back past the catheter's tip goes to other territory.
Occlusion takes away arterial flow and leaves the portal part: in the liver arteries bring some 90 % of a carcinoma's
blood and 25 % of the healthy tissue's (Kim and Larson, as cited in reviews of chemoembolisation).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from thermal.errors import CaseError
from thermal.physics.delivery.dose import dose_readings
from thermal.physics.delivery.heterogeneity import Heterogeneity, uneven
from thermal.physics.delivery.outcome import Delivered, Progress, Site, per_volume, region_volume, silent
from thermal.physics.scene import Device, Reading
from thermal.physics.tissue import Tissues
from thermal.units import Array, Concentration, Duration, Fraction, Length, Mass, Point, Spec, quantity

TUMOUR_ARTERIAL, HOST_ARTERIAL = 0.9, 0.25
"""Parts of the perfusion that are arterial in hepatocellular carcinoma and in healthy liver (Kim and Larson)."""


class Territory(Spec):
    """What the artery feeds, where it is less than the regions as a whole."""

    centre: Point
    """of a ball"""
    radius: Length
    """of the ball"""


class Embolisation(Spec):
    """The artery is closed with what is delivered."""

    occlusion: Fraction = 1.0
    """share of the arterial flow that is stopped"""
    full_dose: Concentration | None = None
    """concentration of the agent in tissue at which that share is reached; less closes less, in proportion. When absent
    the whole territory is closed"""
    recanalisation: Duration | None = None
    """time in which half of the flow has come back; never when absent"""


class IntraArterial(Spec):
    """Injection through a catheter into the artery that feeds the tumour."""

    devices: ClassVar[tuple[Device, ...]] = ()
    makes: ClassVar[tuple[str, ...]] = ("concentration",)
    kind: Literal["intra_arterial"]
    injected_mass: Mass
    """of particles"""
    regions: tuple[str, ...] = Field(default=(), max_length=100)
    """regions that the artery feeds beside the tumour; all perfused ones when absent"""
    territory: Territory | None = None
    """part of these regions that the artery feeds; all of them when absent"""
    tumour_arterial: Fraction = TUMOUR_ARTERIAL
    """part of the tumour's perfusion that is arterial"""
    host_arterial: Fraction = HOST_ARTERIAL
    """the same of the other regions"""
    tumour_to_normal: Annotated[float, *quantity("", gt=0, le=100)] | None = None
    """particles that come to a volume of the tumour over those that come to one of the other tissue it feeds, as
    scintigraphy of labelled albumin shows; by their arterial flow when absent"""
    heterogeneity: Heterogeneity | None = None
    """patches or a map of the tumour's uptake; by its flow alone when absent"""
    tumour_extraction: Fraction = 1.0
    """share of the particles that stays in the tumour on the first pass; 1: they are caught in its vessels"""
    host_extraction: Fraction = 1.0
    """the same of the other regions"""
    reflux: Fraction = 0.0
    """share of the dose that runs back past the catheter's tip into other territory"""
    duration: Duration = 600.0
    """of the injection"""
    wait: Duration | None = None
    """time from its end to the heating; none when absent"""
    embolisation: Embolisation | None = None
    """what is closed; nothing when absent"""
    threshold: Concentration | None = None
    """concentration in tissue from which the tumour counts as covered (dose.tumour_coverage)"""

    @property
    def time(self) -> float:
        """Injection and wait, s."""
        return self.duration + (self.wait or 0.0)

    @property
    def images(self) -> tuple[tuple[str, str], ...]:
        """A map of the uptake."""
        return () if self.heterogeneity is None else self.heterogeneity.images

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for unknown regions."""
        for name in self.regions:
            region_volume(tissues.engine, name, "delivery.regions")

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Particles by arterial flow. Raises ``CaseError`` where nothing is fed."""
        engine, tissues = site.engine, site.tissues
        fed = np.ones_like(engine.volume)
        if self.territory is not None:
            away = np.linalg.norm(engine.points - np.asarray(self.territory.centre), axis=1)
            fed = (away <= self.territory.radius).astype(float)
        names = [name for name in engine.volumes if name == site.tumour or not self.regions or name in self.regions]
        all_flow = np.zeros_like(fed)
        for name, tissue in tissues.by_region.items():
            all_flow += tissue.perfusion * engine.volumes[name]
        streams = {
            name: (self.tumour_arterial if name == site.tumour else self.host_arterial)
            * tissues.by_region[name].perfusion
            * fed
            * engine.volumes[name]
            for name in names
        }
        closed = np.sum([np.zeros_like(fed), *streams.values()], axis=0)
        arterial = float(np.sum(closed))
        if arterial <= 0.0:
            raise CaseError(
                'delivery.kind = "intra_arterial": the artery feeds no perfused tissue in the window; check territory, '
                "regions, and the perfusion of the tissues"
            )
        ratio = self._weigh(site, streams, fed)
        total = float(np.sum([np.sum(stream) for stream in streams.values()]))
        mass, in_tumour, by_region = np.zeros_like(fed), np.zeros_like(fed), {}
        entering = self.injected_mass * (1.0 - self.reflux)
        for name, stream in streams.items():
            mine = name == site.tumour
            kept = (self.tumour_extraction if mine else self.host_extraction) * (entering / total) * stream
            by_region[name] = float(np.sum(kept))
            mass += kept
            in_tumour += kept if mine else 0.0
        extracted = float(np.sum(mass))
        progress(1.0)
        bulk = per_volume(mass, engine.volume)
        gap = self.injected_mass * (1.0 - self.reflux) - (entering - extracted) - float(bulk @ engine.volume)
        readings = {
            **dose_readings(site, mass, in_tumour, self.injected_mass, self.threshold, by_region),
            "dose.refluxed": Reading(self.injected_mass * self.reflux, "kg"),
            "dose.systemic_spill": Reading(entering - extracted, "kg"),
            "delivery.arterial_flow": Reading(arterial, "m^3/s"),
            **({} if ratio is None else {"delivery.tumour_to_normal": Reading(ratio, "")}),
            "ledger.mass_error": Reading(abs(gap) / self.injected_mass, ""),
        }
        if self.embolisation is None:
            return Delivered(bulk, readings)
        factor = 1.0 - per_volume(closed, all_flow) * self._stopped(self.embolisation, bulk)
        readings["delivery.perfusion_left"] = Reading(
            float(np.sum(factor * all_flow * fed)) / float(np.sum(all_flow * fed)), ""
        )
        return Delivered(bulk, readings, {"perfusion_factor": (factor, "")}, perfusion=factor)

    def _weigh(self, site: Site, streams: dict[str, Array], fed: Array) -> float | None:
        """Change the tumour's part of ``streams`` (n,) by region to what is known of it; returns its concentration over
        that of the others on arrival, None where there is only one of the two."""
        own = streams.get(site.tumour)
        if own is None or not own.any():
            return None
        volumes = site.engine.volumes
        others = [name for name in streams if name != site.tumour and streams[name].any()]
        flow = float(np.sum(own))
        streams[site.tumour] = flow * uneven(self.heterogeneity, site, own)
        room = float(np.sum([np.sum(fed * volumes[name]) for name in others]))
        if room <= 0.0:
            return None
        normal = float(np.sum([np.sum(streams[name]) for name in others])) / room
        ratio = flow / float(np.sum(fed * volumes[site.tumour])) / normal
        if self.tumour_to_normal is None:
            return ratio
        streams[site.tumour] = streams[site.tumour] * (self.tumour_to_normal / ratio)
        return self.tumour_to_normal

    def _stopped(self, given: Embolisation, bulk: Array) -> Array:
        """(n,) share of the arterial flow that is stopped when the heating begins."""
        stopped = np.full_like(bulk, given.occlusion)
        if given.full_dose is not None:
            stopped = given.occlusion * np.minimum(bulk / given.full_dose, 1.0) if given.full_dose > 0 else stopped
        if given.recanalisation is not None:
            stopped = stopped * 0.5 ** ((self.wait or 0.0) / given.recanalisation)
        return stopped
