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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine, Surface
from thermal.engines.triangles import shorten
from thermal.units import Array

FEW, MANY = 12, 48
"""How many triangles with the nearest centroids are tried: at first, and where the first do not settle the matter."""
PROBES = 512
"""Points that are looked at first when only an extreme is wanted."""


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


class Extent(NamedTuple):
    """A zone before it is measured: nodal ``measure`` (n,) and the ``level`` at or above which it counts."""

    measure: Array
    level: float


@dataclass(frozen=True)
class Agreement:
    """How well two zones agree."""

    dice: float
    """twice the common volume over the sum of both volumes, 0 to 1; 1 for two empty zones"""
    hausdorff_distance: float | None
    """m, largest distance from one surface to the other; None if a zone is empty"""
    mean_surface_distance: float | None
    """m, mean over both surfaces by area of the distance to the other; None if a zone is empty"""


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
    lost = _lost(engine, inside, measure)
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


def compare_zones(engine: Engine, a: Extent, b: Extent) -> Agreement:
    """Agreement of two zones on the same engine."""
    overlap = dice(engine, a, b)
    surfaces = engine.isosurface(*a), engine.isosurface(*b)
    if not all(len(surface.triangles) for surface in surfaces):
        return Agreement(overlap, None, None)
    away = [Distance(surfaces[1])(surfaces[0].points), Distance(surfaces[0])(surfaces[1].points)]
    weights = [triangle_areas(surface) for surface in surfaces]
    means = [distance[surface.triangles].mean(axis=1) for distance, surface in zip(away, surfaces, strict=True)]
    total = sum(float(w @ mean) for w, mean in zip(weights, means, strict=True))
    size = sum(float(w.sum()) for w in weights)
    return Agreement(overlap, float(max(distance.max() for distance in away)), total / size if size > 0.0 else None)


def dice(engine: Engine, a: Extent, b: Extent) -> float:
    """Twice the common volume of two zones over the sum of both volumes, 0 to 1; 1 for two empty zones."""
    inside_a, inside_b = engine.inside(*a), engine.inside(*b)
    volume = engine.cell_volume
    common = inside_a * inside_b
    split = np.flatnonzero((common > 0.0) & (inside_a < 1.0) & (inside_b < 1.0) & (volume > 0.0))
    if len(split):
        gradients = _Gradients(engine, split)
        common[split] = _overlap(inside_a[split], inside_b[split], _cosine(gradients(a.measure), gradients(b.measure)))
    both = float((inside_a + inside_b) @ volume)
    return 2.0 * float(common @ volume) / both if both > 0.0 else 1.0


class Distance:
    """Distance in m to the triangles of ``surface``, which has some.

    Never too small, and exact near the surface. A point d away, d being several times the size r of the triangles, may
    meet a neighbour of its nearest triangle: the distance is then too large by about r^2 / (2 d) at most.
    """

    def __init__(self, surface: Surface) -> None:
        from scipy.spatial import cKDTree

        self._corners = surface.points[surface.triangles]
        centroids = self._corners.mean(axis=1)
        self._size = float(np.linalg.norm(self._corners - centroids[:, None], axis=2).max())
        self._tree = cKDTree(centroids, leafsize=64)
        self._sparse = cKDTree(surface.points[:: max(1, len(surface.points) // PROBES)])

    def __call__(self, at: Array) -> Array:
        """(q,) distances of points ``at`` (q, 3)."""
        nearest = np.full(len(at), np.inf)
        todo = np.arange(len(at))
        for count in (FEW, MANY):
            columns = np.arange(1, min(count, len(self._corners)) + 1)
            away, near = self._tree.query(at[todo], k=columns, workers=-1)
            distance = nearest[todo]
            shorten(np.ascontiguousarray(at[todo], dtype=float), self._corners, near, distance)
            nearest[todo] = distance
            # a triangle that is nearer still has its centroid within this radius
            unsettled = (away[:, -1] < nearest[todo] + self._size) & (nearest[todo] < 5.0 * self._size)
            todo = todo[unsettled]
            if len(columns) == len(self._corners):
                break
        return nearest

    def least(self, at: Array) -> float:
        """Smallest distance of the points ``at`` (q, 3); those that some points rule out are not looked at closely."""
        best = float(self(at[:: max(1, len(at) // PROBES)]).min())
        away, _ = self._tree.query(at, distance_upper_bound=best + self._size, workers=-1)
        return min(best, float(self(at[np.isfinite(away)]).min(initial=np.inf)))

    def greatest(self, at: Array) -> float:
        """Largest distance of the points ``at`` (q, 3); likewise."""
        limit, _ = self._sparse.query(at, workers=-1)
        order = np.argsort(-limit)
        best = float(self(at[order[:PROBES]]).max())
        rest = order[PROBES:]
        return max(best, float(self(at[rest[limit[rest] > best]]).max(initial=0.0)))


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("qi,qi->q", a, b))


def triangle_areas(surface: Surface) -> Array:
    """(t,) areas of the triangles, m2."""
    a, b, c = (surface.points[surface.triangles[:, corner]] for corner in range(3))
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))


def share_of(engine: Engine, region: str) -> Array:
    """(n,) share of a region in the volume of each node."""
    volume = engine.volume
    return np.divide(engine.volumes[region], volume, out=np.zeros_like(volume), where=volume > 0.0)


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


class _Gradients:
    """Mean gradient of nodal fields in some cells from the covariance with their corners; exact for linear fields."""

    def __init__(self, engine: Engine, cells: npt.NDArray[np.int64]) -> None:
        self._engine, self._cells = engine, cells
        self._points = [np.ascontiguousarray(x - x.mean()) for x in engine.points.T]
        self._means = [engine.to_cells(x)[cells] for x in self._points]
        covariance = np.stack(
            [self._with_points(x, mean) for x, mean in zip(self._points, self._means, strict=True)], 1
        )
        self._inverse = np.linalg.pinv(covariance, 1e-12, hermitian=True)  # on a half-plane one direction is missing

    def _with_points(self, u: Array, mean: Array) -> Array:
        """(c, 3) covariance of nodal ``u`` with the coordinates over the corners of each cell."""
        products = [self._engine.to_cells(u * x)[self._cells] for x in self._points]
        return np.stack([product - mean * x for product, x in zip(products, self._means, strict=True)], axis=1)

    def __call__(self, u: Array) -> Array:
        """(c, 3), from nodal (n,)."""
        covariance = self._with_points(u, self._engine.to_cells(u)[self._cells])
        return np.asarray(np.einsum("cij,cj->ci", self._inverse, covariance))


def _cosine(a: Array, b: Array) -> Array:
    """(c,) cosine of the angle between vectors (c, 3); zero where one vanishes."""
    size = np.asarray(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.asarray(np.divide(_dot(a, b), size, out=np.zeros(len(size)), where=size > 0.0))


def _overlap(a: Array, b: Array, cosine: Array) -> Array:
    """(m,) share of each cell common to two parts with the shares ``a`` and ``b``.

    Exact where a share is 0 or 1. Where two borders cross the same cell, it depends on the angle between them: the
    smaller share if they face the same way, the product at right angles, the excess over one if they face each other;
    in between, linear in the cosine. Two zones with the same border so have the volume of either in common.
    """
    product = a * b
    same = np.minimum(a, b) - product
    opposed = np.maximum(a + b - 1.0, 0.0) - product
    return np.asarray(product + np.maximum(cosine, 0.0) * same + np.maximum(-cosine, 0.0) * opposed)


def _lost(engine: Engine, inside: Array, measure: Array) -> dict[str, float]:
    """Region -> volume inside the zone, m3; the sum is the volume of the zone."""
    parts = {region: inside * share for region, share in engine.shares.items()}
    whole = np.max(list(engine.shares.values()), axis=0) >= 1.0
    split = np.flatnonzero((inside > 0.0) & (inside < 1.0) & ~whole & (engine.cell_volume > 0.0))
    if len(split):
        gradients = _Gradients(engine, split)
        slope = gradients(np.where(engine.volume > 0.0, measure, 0.0))
        total = np.zeros(len(split))
        for region, part in parts.items():
            cosine = _cosine(slope, gradients(share_of(engine, region)))
            part[split] = _overlap(inside[split], engine.shares[region][split], cosine)
            total += part[split]
        for part in parts.values():
            part[split] *= inside[split] / total
    return {region: float(part @ engine.cell_volume) for region, part in parts.items()}


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
