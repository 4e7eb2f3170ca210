"""Which simplex, tetrahedron or triangle, holds a point.

Nearly always it is one of those with the nearest centroids. For the other points every cell is tried whose box holds
them: found in a tree of boxes, since long thin cells may have thousands of centroids nearer to a point than their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.curve import along_curve
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""

NEAREST = 12
BRANCHES = 8
"""Boxes in a larger one."""
AT_A_TIME = 4096
"""Points that are looked for in the boxes at once, which bounds the memory."""
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
    def _boxes(self) -> Boxes:
        return Boxes.of(self.points, self.cells, self._centroids)

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
        for some in np.array_split(left, len(left) // AT_A_TIME + 1):
            which, cells = self._boxes.around(at[some])
            test(some[which], cells)
        np.clip(weights, 0.0, 1.0, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        return cell, weights, found


@dataclass(frozen=True)
class Boxes:
    """A tree of boxes around cells: ``order`` (m,) of the cells along a Hilbert curve;
    ``levels`` from the few largest boxes down to those of single cells, lower and upper corners (k, d) m, each box
    around :data:`BRANCHES` of the next level."""

    order: Index
    levels: tuple[tuple[Array, Array], ...]

    @staticmethod
    def of(points: Array, cells: Index, centroids: Array) -> Boxes:
        """Of ``cells`` (m, d + 1) among ``points`` (n, d), with their ``centroids`` (m, d)."""
        order = along_curve(centroids)
        low = high = points[cells[order, 0]]
        for corner in cells[order].T[1:]:
            low, high = np.minimum(low, points[corner]), np.maximum(high, points[corner])
        room = 10.0 * SLACK * (high - low).max(axis=1, keepdims=True)
        levels = [(low - room, high + room)]
        while len(levels[0][0]) > BRANCHES:
            low, high = levels[0]
            first = np.arange(0, len(low), BRANCHES)
            levels.insert(0, (np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)))
        return Boxes(order, tuple(levels))

    def around(self, at: Array) -> tuple[Index, Index]:
        """Every pair of a point, by its number among ``at`` (q, d), and a cell whose box holds it."""
        which = np.repeat(np.arange(len(at)), len(self.levels[0][0]))
        box = np.tile(np.arange(len(self.levels[0][0])), len(at))
        for depth, (low, high) in enumerate(self.levels):
            if depth > 0:
                which = np.repeat(which, BRANCHES)
                box = (box[:, None] * BRANCHES + np.arange(BRANCHES)).ravel()
                which, box = which[box < len(low)], box[box < len(low)]
            held = np.all((at[which] >= low[box]) & (at[which] <= high[box]), axis=1)
            which, box = which[held], box[held]
        return which, self.order[box]


def _tree(places: Array) -> Any:
    """A tree that is quick to build: millions of centroids are rarely asked for more than thousands of points."""
    from scipy.spatial import cKDTree  # slow to import

    return cKDTree(places, balanced_tree=False, compact_nodes=False)
