"""Where points lie in a voxel grid: cell, place in it, and the nodes that a trilinear function takes from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from thermal.domain import VoxelDomain
from thermal.units import Array, Mask

BORDER = 1e-9
"""Share of a cell's edge (of the window's, at its faces) within which a point counts as on the border (round-off)."""


@dataclass(frozen=True)
class VoxelPlaces:
    """Of one grid."""

    domain: VoxelDomain

    def in_window(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie in the window, give or take round-off."""
        lower, upper = (np.array([axis[end] for axis in self.domain.axes]) for end in (0, -1))
        slack = BORDER * (upper - lower)
        return np.asarray(((at >= lower - slack) & (at <= upper + slack)).all(axis=1))

    def between(self, lower: Array, upper: Array) -> npt.NDArray[np.int64]:
        """Nodes (k,) in C order of the box between two corners (3,) m."""
        along = [
            np.flatnonzero((axis >= low) & (axis <= high))
            for axis, low, high in zip(self.domain.axes, lower, upper, strict=True)
        ]
        return np.asarray(np.ravel_multi_index(np.ix_(*along), self.domain.shape)).ravel()

    def of_nodes(self, nodes: npt.NDArray[np.int64]) -> Array:
        """(k, 3) m of nodes (k,), without the points of all."""
        at = np.unravel_index(nodes, self.domain.shape)
        return np.stack([axis[along] for axis, along in zip(self.domain.axes, at, strict=True)], axis=1)

    def locate(self, at: Array) -> tuple[list[npt.NDArray[np.int64]], list[Array]]:
        """Cell index and position in the cell (0..1) along each axis, for points (q, 3)."""
        cells, fractions = [], []
        for name, axis, coordinate in zip("xyz", self.domain.axes, np.asarray(at, dtype=float).T, strict=True):
            slack = BORDER * (axis[-1] - axis[0])
            outside = ~((coordinate >= axis[0] - slack) & (coordinate <= axis[-1] + slack))
            if outside.any():
                raise ValueError(
                    f"{name} = {1e3 * coordinate[outside][0]:.4g} mm lies outside the window, which spans "
                    f"{1e3 * axis[0]:.4g} to {1e3 * axis[-1]:.4g} mm"
                )
            cell = np.clip(np.searchsorted(axis, coordinate, side="right") - 1, 0, len(axis) - 2)
            cells.append(cell)
            fractions.append(np.clip((coordinate - axis[cell]) / (axis[cell + 1] - axis[cell]), 0.0, 1.0))
        return cells, fractions

    def in_body(self, at: Array) -> tuple[list[npt.NDArray[np.int64]], list[Array], Mask]:
        """As :meth:`locate`, and whether the cell is inside the body (q,); on a border one that is, is taken."""
        cells, fractions = self.locate(at)
        solid = self.domain.solid.reshape(self.domain.cell_shape)
        inside = solid[tuple(cells)]
        aside = [np.where(f < BORDER, -1, np.where(f > 1.0 - BORDER, 1, 0)) for f in fractions]
        stray = np.flatnonzero(~inside & np.any(aside, axis=0))
        for across in list(product((0, 1), repeat=3))[1:]:
            steps = [
                np.clip(cell[stray] + on * step[stray], 0, count - 1) - cell[stray]
                for cell, step, on, count in zip(cells, aside, across, solid.shape, strict=True)
            ]
            found = solid[tuple(cell[stray] + step for cell, step in zip(cells, steps, strict=True))]
            for cell, fraction, step in zip(cells, fractions, steps, strict=True):
                moved = np.flatnonzero(found & (step != 0))
                cell[stray[moved]] += step[moved]
                fraction[stray[moved]] = np.where(step[moved] < 0, 1.0, 0.0)
            inside[stray[found]] = True
            stray = stray[~found]
        return cells, fractions, inside

    def _corners(
        self, cells: list[npt.NDArray[np.int64]], fractions: list[Array]
    ) -> tuple[npt.NDArray[np.int64], Array]:
        """Node numbers (q, 8) and trilinear weights (q, 8)."""
        (i, j, k), (a, b, c) = cells, fractions
        _, ny, nz = self.domain.shape
        nodes, weights = [], []
        for di, wa in ((0, 1 - a), (1, a)):
            for dj, wb in ((0, 1 - b), (1, b)):
                for dk, wc in ((0, 1 - c), (1, c)):
                    nodes.append(((i + di) * ny + j + dj) * nz + k + dk)
                    weights.append(wa * wb * wc)
        return np.stack(nodes, axis=1), np.stack(weights, axis=1)

    def interpolation(self, at: Array) -> tuple[npt.NDArray[np.int64], Array]:
        """Nodes (q, 8) and trilinear weights (q, 8) of points (q, 3). Raises ``ValueError`` outside the window."""
        return self._corners(*self.locate(at))

    def deposition(self, at: Array) -> tuple[npt.NDArray[np.int64], Array]:
        """As :meth:`interpolation`, without weight outside the body; any points will do."""
        within = self.in_window(at)
        cells, fractions, inside = self.in_body(np.asarray(at)[within])
        nodes, weights = np.zeros((len(within), 8), np.int64), np.zeros((len(within), 8))
        nodes[within], weights[within] = self._corners(cells, fractions)
        weights[within] *= inside[:, None]
        return nodes, weights
