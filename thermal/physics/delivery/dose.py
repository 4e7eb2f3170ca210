"""Dose accounting: what of the particles given is where, in the words of a clinician."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thermal.physics.delivery.outcome import Site, per_volume
from thermal.physics.scene import Reading
from thermal.units import Array

NAMED = 1e-9
"""Share of what was given from which a region's part is named."""


def dose_readings(
    site: Site,
    mass: Array,
    mass_in_tumour: Array,
    given: float,
    threshold: float | None = None,
    by_region: Mapping[str, float] | None = None,
) -> dict[str, Reading]:
    """Dose in the window, in its regions and in the tumour.

    ``mass`` (n,) kg at the nodes, ``mass_in_tumour`` (n,) kg of it inside the tumour, ``given`` kg in all,
    ``threshold`` kg/m3 from which tissue counts as covered; ``by_region`` kg, where the delivery knows into which
    region it put what (by the concentration at the nodes when absent). The variation is the standard deviation of the
    concentration over the tumour's volume divided by its mean; percentiles are by volume.
    """
    total = float(np.sum(mass))
    readings = {"dose.given": Reading(given, "kg"), "dose.in_window": Reading(total, "kg")}
    volume = site.tumour_volume
    within = volume > 0
    parts = _by_region(site, mass - mass_in_tumour) if by_region is None else by_region
    readings |= {
        f"dose.region.{name}": Reading(kg, "kg")
        for name, kg in parts.items()
        if name != site.tumour and kg > NAMED * given
    }
    if not within.any():
        return readings
    inside = float(np.sum(mass_in_tumour))
    tissue = float(np.sum(volume)) * site.tissues.by_region[site.tumour].density
    mean = inside / float(np.sum(volume))
    concentration = mass_in_tumour[within] / volume[within]
    spread = float(np.sqrt(np.sum(volume[within] * (concentration - mean) ** 2) / np.sum(volume)))
    share = inside / given if given > 0 else 0.0
    order = np.argsort(concentration)
    filled = np.cumsum(volume[within][order]) / float(np.sum(volume))
    readings |= {
        "dose.tumour": Reading(inside, "kg"),
        "dose.tumour_fraction": Reading(share, ""),
        "dose.tumour_fraction_per_mass": Reading(share / tissue, "1/kg"),
        "dose.tumour_mean_concentration": Reading(mean, "kg/m^3"),
        "dose.tumour_maximum_concentration": Reading(float(np.max(concentration)), "kg/m^3"),
        "dose.tumour_variation": Reading(spread / mean if mean > 0 else 0.0, ""),
        "dose.healthy": Reading(total - inside, "kg"),
    }
    for percent in (10, 50, 90):
        place = min(int(np.searchsorted(filled, percent / 100)), len(order) - 1)
        readings[f"dose.tumour_concentration_p{percent}"] = Reading(float(concentration[order[place]]), "kg/m^3")
    if threshold is not None:
        covered = float(np.sum(volume[within][concentration >= threshold])) / float(np.sum(volume))
        readings["dose.tumour_coverage"] = Reading(covered, "")
    return readings


def _by_region(site: Site, mass: Array) -> dict[str, float]:
    """kg in each region but the tumour, of ``mass`` (n,) kg outside it: by the regions' shares of a node's volume."""
    concentration = per_volume(mass, site.engine.volume - site.tumour_volume)
    return {
        region: float(concentration @ volume) for region, volume in site.engine.volumes.items() if region != site.tumour
    }
