"""What zones and regions have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal.engine import Engine
from thermal.units import Array
from thermal.zone.distance import Distance, triangle_areas


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
    both = float((inside_a + inside_b) @ engine.cell_volume)
    return 2.0 * float(common(engine, a, b) @ engine.cell_volume) / both if both > 0.0 else 1.0


def common(engine: Engine, a: Extent, b: Extent) -> Array:
    """(m,) share of each cell that lies in both of two zones, by the angle between their borders (:func:`_overlap`)."""
    inside_a, inside_b = engine.inside(*a), engine.inside(*b)
    found = inside_a * inside_b
    split = np.flatnonzero((found > 0.0) & (inside_a < 1.0) & (inside_b < 1.0) & (engine.cell_volume > 0.0))
    if len(split):
        gradients = _Gradients(engine, split)
        found[split] = _overlap(inside_a[split], inside_b[split], _cosine(gradients(a.measure), gradients(b.measure)))
    return found


def share_of(engine: Engine, region: str) -> Array:
    """(n,) share of a region in the volume of each node."""
    volume = engine.volume
    return np.divide(engine.volumes[region], volume, out=np.zeros_like(volume), where=volume > 0.0)


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
    return np.asarray(np.divide(np.einsum("qi,qi->q", a, b), size, out=np.zeros(len(size)), where=size > 0.0))


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


def lost_volumes(engine: Engine, inside: Array, measure: Array) -> dict[str, float]:
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
