"""How far a zone reaches beyond the tumour, and where it does not: what is read off before the needle comes out.

Signed distances are those of :mod:`thermal.zone`. A margin is wanted in the organ that the tumour lies in: beyond its
capsule there is nothing to destroy. The margins *in the organ* therefore leave out the parts of the zone's border that
lie outside of it (subcapsular correction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.engine import Engine, Surface
from thermal.physics.scene import Reading
from thermal.units import Array
from thermal.zone import Distance, Extent, common, share_of, triangle_areas

WANTED = (5e-3, 10e-3)
"""m, margins that guidelines speak of: 5 mm at least, 10 mm for metastases (M. Ahmed et al. 2014)."""
NEAR = 5e-3
"""m, around a vessel, where its blood keeps tissue cool."""
REMOTE = 1.0
"""m, that stands for a distance that nobody asks for."""


@dataclass(frozen=True)
class Margins:
    """``readings`` for the summary; ``tumour_distance`` (n,) m outside the tumour's surface, negative inside."""

    readings: Mapping[str, Reading]
    tumour_distance: Array


def measure_margins(engine: Engine, zone: Extent, tumour: str, others: Sequence[str]) -> Margins | None:
    """Margins of a zone around ``tumour``; None where the tumour is too small to have a surface on this grid.

    ``others``: regions that are no organ around a tumour (vessels held at a temperature).
    """
    share = share_of(engine, tumour)
    border = engine.isosurface(share, 0.5)
    if not len(border.triangles):
        return None
    away = _distance_to(engine, border, share, border)
    host = _host(engine, away, tumour, others)
    readings = _shells(engine, zone, away, tumour, host)
    surface = engine.isosurface(*zone)
    if len(surface.triangles):
        readings |= _on_surface(engine, zone, border, surface, tumour, host)
    return Margins(readings, away)


def target_nodes(engine: Engine, tumour: str, margin: float, others: Sequence[str]) -> npt.NDArray[np.intp]:
    """Nodes of the tumour, and of its organ within ``margin`` (m, at most 10 mm) of it."""
    share = share_of(engine, tumour)
    border = engine.isosurface(share, 0.5)
    if margin <= 0.0 or not len(border.triangles):
        return np.flatnonzero(share >= 0.5)
    away = _distance_to(engine, border, share, border)
    host = _host(engine, away, tumour, others)
    organ = share if host is None else share + share_of(engine, host)
    return np.flatnonzero((away <= margin) & (organ >= 0.5))


def target_surface(engine: Engine, tumour: str, margin: float, others: Sequence[str]) -> Array:
    """(k, 3) m, points of the surface of what :func:`target_nodes` holds: of the tumour, or of the shell around it as
    far as that lies in the organ. A zone that holds nodes and surface covers all of it, between nodes as well; what
    touches one of ``others``, where nothing can be destroyed, is left out.
    """
    share = share_of(engine, tumour)
    border = engine.isosurface(share, 0.5)
    points = border.points
    if margin > 0.0 and len(border.triangles):
        away = _distance_to(engine, border, share, border)
        host = _host(engine, away, tumour, others)
        organ = share if host is None else share + share_of(engine, host)
        points = engine.isosurface(-away, -margin).points
        points = points[engine.sample(organ, points) >= 0.5] if len(points) else points
    if not len(points):
        return np.zeros((0, 3))
    vessels = sum((share_of(engine, name) for name in others), np.zeros_like(share))
    return points[engine.sample(vessels, points) <= 0.0]


def target_cover(
    engine: Engine, zone: Extent, tumour: str, margin: float, others: Sequence[str]
) -> tuple[float, float]:
    """Volume of the tumour with ``margin`` (m, at most 10 mm) in its organ, and of it inside the zone, m3."""
    share = share_of(engine, tumour)
    border = engine.isosurface(share, 0.5)
    if not len(border.triangles):
        part = engine.shares[tumour] * engine.cell_volume
        return float(part.sum()), float(engine.inside(*zone) @ part)
    away = _distance_to(engine, border, share, border)
    return _target(engine, zone, Extent(-away, -margin), tumour, _host(engine, away, tumour, others))


def _distance_to(engine: Engine, border: Surface, share: Array, around: Surface) -> Array:
    """(n,) signed distance to the ``border`` of a region with this ``share``: as far around a surface as the largest
    wanted margin, :data:`REMOTE` beyond."""
    reach = WANTED[-1] + 2.0 * float(engine.cell_size.max())
    lower, upper = around.points.min(axis=0) - reach, around.points.max(axis=0) + reach
    points = engine.points
    near = np.flatnonzero(np.all((points >= lower) & (points <= upper), axis=1))
    away = np.full(share.shape, REMOTE)
    away[near] = Distance(border)(points[near])
    return np.where(share >= 0.5, -away, away)


def _host(engine: Engine, away: Array, tumour: str, others: Sequence[str]) -> str | None:
    """The region that has most of the shell of 5 mm around the tumour."""
    shell = engine.inside(-away, -WANTED[0]) * engine.cell_volume
    volumes = {
        name: float(shell @ part) for name, part in engine.shares.items() if name != tumour and name not in others
    }
    best = max(volumes, key=lambda name: volumes[name], default=None)
    return best if best is not None and volumes[best] > 0.0 else None


def _shells(engine: Engine, zone: Extent, away: Array, tumour: str, host: str | None) -> dict[str, Reading]:
    """Tumour with a margin of 5 and 10 mm within its organ: how much there is, and which share the zone covers."""
    found = {}
    for margin in WANTED:
        volume, covered = _target(engine, zone, Extent(-away, -margin), tumour, host)
        name = f"margin.target_{1e3 * margin:.0f}mm"
        found[f"{name}.volume"] = Reading(volume, "m^3")
        found[f"{name}.coverage"] = Reading(covered / volume if volume > 0.0 else 0.0, "")
    return found


def _target(engine: Engine, zone: Extent, shell: Extent, tumour: str, host: str | None) -> tuple[float, float]:
    """Volume of tumour and organ within a shell, and of it inside the zone, m3."""
    wanted = (engine.shares[tumour] + (engine.shares[host] if host is not None else 0.0)) * engine.cell_volume
    return float(engine.inside(*shell) @ wanted), float(common(engine, zone, shell) @ wanted)


def _on_surface(
    engine: Engine, zone: Extent, border: Surface, surface: Surface, tumour: str, host: str | None
) -> dict[str, Reading]:
    """Statistics over the tumour's surface of the signed distance to the zone's."""
    weight = np.zeros(len(border.points))
    np.add.at(weight, border.triangles.ravel(), np.repeat(triangle_areas(border) / 3.0, 3))
    weight /= weight.sum()
    covered = engine.sample(zone.measure, border.points) >= zone.level
    signed = np.where(covered, 1.0, -1.0) * Distance(surface)(border.points)
    found = {"margin.mean": Reading(float(weight @ signed), "m")}
    for margin in WANTED:
        reached = float(weight @ (signed >= margin))
        found[f"margin.surface_share_{1e3 * margin:.0f}mm"] = Reading(reached, "")
    organ = share_of(engine, tumour) + (share_of(engine, host) if host is not None else 0.0)
    middles = surface.points[surface.triangles].mean(axis=1)
    in_organ = engine.sample(organ, middles) >= 0.5
    if in_organ.all() or not in_organ.any() or not covered.all():
        return found
    living = Distance(Surface(surface.points, surface.triangles[in_organ]))(border.points)
    found["margin.minimum_in_organ"] = Reading(float(living.min()), "m")
    for margin in WANTED:
        reached = float(weight @ (living >= margin))
        found[f"margin.surface_share_in_organ_{1e3 * margin:.0f}mm"] = Reading(reached, "")
    return found


def left_over(engine: Engine, zone: Extent, tumour: str) -> dict[str, Reading]:
    """Where the tumour outside the zone lies: its centroid, and how far that is from the tumour's own, m."""
    part = engine.shares[tumour] * engine.cell_volume
    left = (1.0 - engine.inside(*zone)) * part
    volume = float(left.sum())
    if volume <= 1e-3 * float(part.sum()):
        return {}
    centres = np.stack([engine.to_cells(np.ascontiguousarray(x)) for x in engine.points.T], axis=1)
    middle, whole = (engine.orbit(centres[w > 0]) for w in (left, part))
    residual = (left[left > 0] @ middle).mean(axis=0) / volume
    offset = residual - (part[part > 0] @ whole).mean(axis=0) / float(part.sum())
    found = {f"residual.{axis}": Reading(float(x), "m") for axis, x in zip("xyz", residual, strict=True)}
    return {**found, "residual.offset": Reading(float(np.linalg.norm(offset)), "m")}


def collateral(engine: Engine, zone: Extent, hottest: Array, coldest: Array, tumour: str | None) -> dict[str, Reading]:
    """What happened to each region but the tumour: share lost to the zone, extreme temperatures."""
    inside, found = engine.inside(*zone), {}
    for name, part in engine.shares.items():
        volume = float(part @ engine.cell_volume)
        within = share_of(engine, name) >= 0.5
        if name == tumour or volume <= 0.0 or not within.any():
            continue
        found[f"collateral.{name}.lost_share"] = Reading(float((inside * part) @ engine.cell_volume) / volume, "")
        found[f"collateral.{name}.highest_temperature"] = Reading(float(hottest[within].max()), "degC")
        found[f"collateral.{name}.lowest_temperature"] = Reading(float(coldest[within].min()), "degC")
    return found


def heat_sinks(engine: Engine, zone: Extent, tumour: str | None, vessels: Sequence[str]) -> dict[str, Reading]:
    """What vessels that keep their temperature leave alive: their distance from zone and tumour, tumour left near them.

    ``gap``: smallest distance from the vessel's surface to the zone's, m, zero where they meet.
    """
    surface, inside, found = engine.isosurface(*zone), engine.inside(*zone), {}
    border = None if tumour is None else engine.isosurface(share_of(engine, tumour), 0.5)
    for name in vessels:
        share = share_of(engine, name)
        wall = engine.isosurface(share, 0.5)
        if not len(wall.triangles):
            continue
        distance = Distance(wall)
        if len(surface.triangles):
            meets = bool((engine.sample(zone.measure, wall.points) >= zone.level).any())
            found[f"heat_sink.{name}.gap"] = Reading(0.0 if meets else distance.least(surface.points), "m")
        if tumour is None or border is None or not len(border.triangles):
            continue
        found[f"heat_sink.{name}.tumour_distance"] = Reading(distance.least(border.points), "m")
        away = _distance_to(engine, wall, share, border)
        near = engine.inside(-away, -NEAR) * engine.shares[tumour] * engine.cell_volume
        found[f"heat_sink.{name}.tumour_near"] = Reading(float(near.sum()), "m^3")
        found[f"heat_sink.{name}.tumour_left_near"] = Reading(float((1.0 - inside) @ near), "m^3")
    return found
