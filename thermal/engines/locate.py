"""Which simplex, tetrahedron or triangle, holds a point.

Nearly always it is one of those with the nearest centroids. For the other points every cell that could hold them
is tried: sorted into classes of like size, its centroid lies within the radius of its class from the point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""

NEAREST = 12
SLACK = 1e-9
"""How far outside a cell, in barycentric coordinates, a point still counts as in it (round-off at faces)."""


@dataclass(frozen=True)
class Locator:
    """``points`` (n, d) m and ``cells`` (m, d + 1) nodes."""

    points: Array
    cells: Index

    @cached_property
    def _centroids(self) -> Array:
        total = self.points[self.cells[:, 0]]
        for corner in range(1, self.cells.shape[1]):
            total += self.points[self.cells[:, corner]]
        return np.asarray(total / self.cells.shape[1])

    @cached_property
    def _bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of all cells, (d,) m each."""
        mask = np.zeros(len(self.points), np.bool_)
        mask[self.cells] = True
        used = self.points[mask]
        return used.min(axis=0), used.max(axis=0)

    @cached_property
    def _classes(self) -> list[tuple[Any, Index, float]]:
        """Tree of centroids, cell numbers and largest radius (centroid to corner) of each size class."""
        away = [np.linalg.norm(self.points[corner] - self._centroids, axis=1) for corner in self.cells.T]
        radius = np.max(away, axis=0)
        size = np.ceil(np.log2(radius / radius.max())).astype(int)
        members = [np.flatnonzero(size == value) for value in np.unique(size)]
        return [(_tree(self._centroids[cells]), cells, float(radius[cells].max())) for cells in members]

    @cached_property
    def _tree(self) -> Any:
        return _tree(self._centroids)

    def _weights(self, cell: Index, at: Array) -> Array:
        """Barycentric coordinates (q, d + 1) of points (q, d) in ``cell`` (q,)."""
        corners = self.points[self.cells[cell]]
        rest = np.linalg.solve(np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2), (at - corners[:, 0])[:, :, None])
        return np.concatenate([1.0 - rest.sum(axis=1), rest[:, :, 0]], axis=1)

    def find(self, at: Array) -> tuple[Index, Array, Mask]:
        """Cell (q,), barycentric weights (q, d + 1), in [0, 1] with sum one, and whether points (q, d) were found."""
        at = np.atleast_2d(np.asarray(at, dtype=float))
        cell = np.zeros(len(at), np.int64)
        weights = np.full((len(at), self.cells.shape[1]), 1.0 / self.cells.shape[1])
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

        count = min(NEAREST, len(self.cells))
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


def _tree(places: Array) -> Any:
    """A tree that is quick to build: millions of centroids are rarely asked for more than thousands of points."""
    from scipy.spatial import cKDTree  # slow to import

    return cKDTree(places, balanced_tree=False, compact_nodes=False)
