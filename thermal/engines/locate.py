"""Which tetrahedron holds a point.

Nearly always it is one of those with the nearest centroids. For the other points every tetrahedron that could hold them
is tried: sorted into classes of like size, its centroid lies within the radius of its class from the point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""

NEAREST = 12
SLACK = 1e-9
"""How far outside a tetrahedron, in barycentric coordinates, a point still counts as in it (round-off at faces)."""


@dataclass(frozen=True)
class Locator:
    """``corners`` (m, 4, 3) m and gradients (m, 4, 3) 1/m of the barycentric coordinates of tetrahedra."""

    corners: Array
    gradients: Array

    @cached_property
    def _centroids(self) -> Array:
        return np.asarray(self.corners.mean(axis=1))

    @cached_property
    def _bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of all, (3,) m each."""
        return self.corners.min(axis=(0, 1)), self.corners.max(axis=(0, 1))

    @cached_property
    def _classes(self) -> list[tuple[Any, Index, float]]:
        """Tree of centroids, cell numbers and largest radius (centroid to corner) of each size class."""
        radius = np.linalg.norm(self.corners - self._centroids[:, None], axis=2).max(axis=1)
        size = np.ceil(np.log2(radius / radius.max())).astype(int)
        members = [np.flatnonzero(size == value) for value in np.unique(size)]
        return [(cKDTree(self._centroids[cells]), cells, float(radius[cells].max())) for cells in members]

    @cached_property
    def _tree(self) -> Any:
        return cKDTree(self._centroids)

    def _weights(self, cell: Index, at: Array) -> Array:
        """Barycentric coordinates (q, 4) of points (q, 3) in ``cell`` (q,)."""
        return np.asarray(0.25 + np.einsum("qij,qj->qi", self.gradients[cell], at - self._centroids[cell]))

    def find(self, at: Array) -> tuple[Index, Array, Mask]:
        """Cell (q,), barycentric weights (q, 4), in [0, 1] with sum one, and whether each point (q, 3) was found."""
        at = np.atleast_2d(np.asarray(at, dtype=float))
        cell = np.zeros(len(at), np.int64)
        weights = np.full((len(at), 4), 0.25)
        lower, upper = self._bounds
        slack = 1e-9 * (upper - lower)
        left = np.flatnonzero(((at >= lower - slack) & (at <= upper + slack)).all(axis=1))
        found = np.zeros(len(at), np.bool_)

        def test(points: Index, cells: Index) -> None:
            trial = self._weights(cells, at[points])
            good = trial.min(axis=1) >= -SLACK
            cell[points[good]] = cells[good]
            weights[points[good]] = trial[good]
            found[points[good]] = True

        count = min(NEAREST, len(self.corners))
        _, near = self._tree.query(at[left], k=np.arange(1, count + 1))
        for column in range(count):
            rest = ~found[left]
            test(left[rest], near[rest, column])
        left = left[~found[left]]
        for tree, cells, radius in self._classes:
            near_lists = tree.query_ball_point(at[left], radius * (1 + 1e-6))
            sizes = np.array([len(entry) for entry in near_lists], np.int64)
            if sizes.sum():
                test(np.repeat(left, sizes), cells[np.concatenate([np.asarray(e, np.int64) for e in near_lists])])
        np.clip(weights, 0.0, 1.0, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        return cell, weights, found
