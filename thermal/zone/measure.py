"""The ablation zone in numbers: volume, cover and margin of the tumour, shape, and what else was lost.

The zone is where a nodal ``measure`` is at or above a ``level`` (damage, dose, depth of cooling), linear between nodes.
The tumour is given by its share of each cell; its surface is where its share of the nodal volumes is one half.
Margins are signed distances from the tumour's surface to that of the zone. The vocabulary is that of M. Ahmed et al.,
Image-guided tumor ablation: standardization of terminology and reporting criteria - a 10-year update, Radiology 273
(2014) 241-260, doi:10.1148/radiol.14132958. Of engines it uses the contract of :mod:`thermal.engine`, and distances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine, Surface
from thermal.physics.scene import Reading
from thermal.units import Array
from thermal.zone.distance import Distance, triangle_areas
from thermal.zone.overlap import Extent, lost_volumes, share_of


@dataclass(frozen=True)
class Zone:
    """Measurements of one ablation zone, in SI units. What does not exist (no tumour, empty zone) is None."""

    volume: float
    """m3"""
    equivalent_diameter: float
    """m, of the ball of equal volume"""
    principal_diameters: tuple[float, float, float]
    """m, longest first: of the ellipsoid with equal second moments"""
    surface_area: float
    """m2; without the parts on the border of the domain"""
    sphericity: float | None
    """area of the ball of equal volume over ``surface_area``: 1 for a ball, less for any other closed surface"""
    touches_boundary: bool
    """the zone reaches the border of the domain: the window is too small and the figures are too"""
    lost: Mapping[str, float]
    """region -> m3 of it inside the zone"""
    tumour_volume: float | None
    """m3"""
    tumour_coverage: float | None
    """share of the tumour inside the zone, 0 to 1: one if the margin is not negative, for nothing is left"""
    residual_volume: float | None
    """m3 of tumour outside the zone; none if the margin is not negative"""
    healthy_volume: float | None
    """m3 of the zone outside the tumour"""
    minimum_margin: float | None
    """m, smallest signed distance from the tumour's surface to the zone's surface: positive inside the zone, negative
    for the most remote tumour outside it. For an empty zone: the limit of a zone that shrinks onto the peak of the
    measure, minus the distance from there to the far side of the tumour"""

    def as_readings(self) -> dict[str, tuple[float, str]]:
        """Flat table: dotted name -> (value, SI unit); what does not exist is left out."""
        rows: dict[str, tuple[float | None, str]] = {
            "zone.volume": (self.volume, "m^3"),
            "zone.equivalent_diameter": (self.equivalent_diameter, "m"),
            "zone.longest_diameter": (self.principal_diameters[0], "m"),
            "zone.middle_diameter": (self.principal_diameters[1], "m"),
            "zone.shortest_diameter": (self.principal_diameters[2], "m"),
            "zone.surface_area": (self.surface_area, "m^2"),
            "zone.sphericity": (self.sphericity, ""),
            "zone.touches_boundary": (float(self.touches_boundary), ""),
            "zone.tumour_volume": (self.tumour_volume, "m^3"),
            "zone.tumour_coverage": (self.tumour_coverage, ""),
            "zone.residual_volume": (self.residual_volume, "m^3"),
            "zone.healthy_volume": (self.healthy_volume, "m^3"),
            "zone.minimum_margin": (self.minimum_margin, "m"),
            **{f"zone.lost.{region}": (volume, "m^3") for region, volume in self.lost.items()},
        }
        return {name: (float(value), unit) for name, (value, unit) in rows.items() if value is not None}


def measure_zone(engine: Engine, measure: Array, level: float, tumour: str | None) -> Zone:
    """Measure the zone ``measure >= level`` (nodal, (n,)) against the region named ``tumour`` (None: there is none).

    Volumes, areas and distances are second order in the spacing. Raises ``ValueError`` for values that are not finite
    inside the body and ``KeyError`` for a region that the engine does not have.
    """
    if not np.isfinite(measure[engine.volume > 0]).all():
        raise ValueError("the field that defines the ablation zone is not finite everywhere in the body")
    inside = engine.inside(measure, level)
    volume = float(inside @ engine.cell_volume)
    surface = engine.isosurface(measure, level)
    area = float(triangle_areas(surface).sum())
    lost = lost_volumes(engine, inside, measure)
    touches = _touches(engine, measure, level)
    target, spared, healthy, margin = (None,) * 4
    if tumour is not None:
        target = float(engine.volumes[tumour].sum())
        margin = _minimum_margin(engine, measure, level, surface, tumour)
        spared = 0.0 if margin is not None and margin >= 0.0 else max(target - lost[tumour], 0.0)
        healthy = max(volume - lost[tumour], 0.0)
    return Zone(
        volume=volume,
        equivalent_diameter=float(np.cbrt(6.0 * volume / np.pi)),
        principal_diameters=_principal_diameters(engine, inside, volume),
        surface_area=area,
        sphericity=float(np.cbrt(36.0 * np.pi * volume**2)) / area if area > 0.0 and not touches else None,
        touches_boundary=touches,
        lost=lost,
        tumour_volume=target,
        tumour_coverage=1.0 - spared / target if spared is not None and target else None,
        residual_volume=spared,
        healthy_volume=healthy,
        minimum_margin=margin,
    )


def grown(engine: Engine, zone: Extent, tumour: str | None) -> dict[str, Reading]:
    """What a zone has come to so far: its volume (m3), and the share of the tumour inside it.

    In cells that the borders of both zone and tumour cross, as much is shared as can be: all of the smaller part.
    """
    inside = engine.inside(*zone) if engine.maximum(zone.measure) >= zone.level else np.zeros(len(engine.cell_volume))
    found = {"zone.volume": Reading(float(inside @ engine.cell_volume), "m^3")}
    if tumour is not None:
        target = engine.shares[tumour]
        covered = float(np.minimum(inside, target) @ engine.cell_volume) / float(target @ engine.cell_volume)
        found["zone.tumour_coverage"] = Reading(covered, "")
    return found


def _touches(engine: Engine, measure: Array, level: float) -> bool:
    """Whether the zone reaches a face of the window (of a mesh: its outer surface)."""
    faces = [face for face in FACES if face in engine.areas] or [SURFACE]
    return any(bool((measure[engine.areas[face] > 0.0] >= level).any()) for face in faces)


def _principal_diameters(engine: Engine, inside: Array, volume: float) -> tuple[float, float, float]:
    """Diameters of the ellipsoid with the second moments of the zone: its half-axis a has the variance a^2/5."""
    if volume <= 0.0:
        return 0.0, 0.0, 0.0
    weight = inside * engine.cell_volume / volume
    cells = np.flatnonzero(weight)
    weight = weight[cells]
    centres = np.stack([engine.to_cells(np.ascontiguousarray(x))[cells] for x in engine.points.T], axis=1)
    places = engine.orbit(centres)
    places -= (weight @ places).mean(axis=0)
    moments = np.einsum("kci,c,kcj->ij", places, weight / len(places), places, optimize=True)
    variances = np.linalg.eigvalsh(moments)[::-1]
    first, second, third = 2.0 * np.sqrt(5.0 * np.maximum(variances, 0.0))
    return float(first), float(second), float(third)


def _minimum_margin(engine: Engine, measure: Array, level: float, surface: Surface, tumour: str) -> float | None:
    """See :attr:`Zone.minimum_margin`. None if the tumour is too small to have a surface on these nodes."""
    share = share_of(engine, tumour)
    border = engine.isosurface(share, 0.5).points
    if not len(border):
        return None
    if not len(surface.triangles):
        return None if bool((measure >= level).any()) else -_farthest_from_peak(engine, measure, border)
    distance = Distance(surface)
    covered = engine.sample(measure, border) >= level
    # a gap in the zone within the tumour counts as well, though the tumour's surface may not see it
    missed = np.concatenate([border[~covered], engine.points[(share >= 0.5) & (measure < level)]])
    return -distance.greatest(missed) if len(missed) else distance.least(border)


def _farthest_from_peak(engine: Engine, measure: Array, border: Array) -> float:
    """Largest distance in m of points from the peak of the measure (the middle of all nodes that share it)."""
    tissue = engine.volume > 0.0
    weight = engine.volume * (tissue & (measure == measure[tissue].max()))
    peak = (weight @ engine.orbit(engine.points)).mean(axis=0) / weight.sum()
    return float(np.linalg.norm(border - peak, axis=1).max())
