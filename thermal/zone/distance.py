"""Distances from points to surfaces."""

from __future__ import annotations

import numpy as np

from thermal.engine import Surface
from thermal.engines.triangles import shorten
from thermal.units import Array

FEW, MANY = 12, 48
"""How many triangles with the nearest centroids are tried: at first, and where the first do not settle the matter."""

PROBES = 512
"""Points that are looked at first when only an extreme is wanted."""


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
            shorten(0, len(todo), np.ascontiguousarray(at[todo], dtype=float), self._corners, near, distance)
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


def triangle_areas(surface: Surface) -> Array:
    """(t,) areas of the triangles, m2."""
    a, b, c = (surface.points[surface.triangles[:, corner]] for corner in range(3))
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))
