"""Any selection of the voxels of a grid as a list of cells: Q1 with vertex quadrature on an edge list.

The same scheme as the voxel engine, for one rank's cells of a grid that is spread over several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import scipy.sparse as sparse

from thermal.engines.graph import Graph, GraphOperator, Index
from thermal.engines.marching import KUHN
from thermal.units import Array, Mask

_EDGES = np.array([(a, a + step) for step in (4, 2, 1) for a in range(8) if not a & step])
"""(12, 2) corners (4 dx + 2 dy + dz) of the edges of a box: four along x, four along y, four along z."""


@dataclass(frozen=True)
class Boxes:
    """Boxes along the axes. ``points`` (n, 3) m; ``cells`` (m, 8) nodes in the order ``4 dx + 2 dy + dz``.

    ``shares``: region -> (m,). ``solid``: (m,) False for cells outside the body, which conduct and hold nothing.
    """

    points: Array
    cells: Index
    shares: Mapping[str, Array]
    solid: Mask

    @cached_property
    def _sizes(self) -> Array:
        """(m, 3) lengths of the edges, m."""
        return np.asarray(self.points[self.cells[:, 7]] - self.points[self.cells[:, 0]])

    @cached_property
    def cell_volume(self) -> Array:
        """(m,) m3, zero outside the body."""
        return np.where(self.solid, self._sizes.prod(axis=1), 0.0)

    def _gather(self, amount: Array) -> Array:
        """An eighth of each cell's amount (m,) to each of its nodes, (n,)."""
        return np.bincount(self.cells.ravel(), np.repeat(0.125 * amount, 8), len(self.points)).astype(float)

    @cached_property
    def volume(self) -> Array:
        """(n,) lumped volume, m3."""
        return self._gather(self.cell_volume)

    @cached_property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) lumped volume, m3."""
        return MappingProxyType({name: self._gather(share * self.cell_volume) for name, share in self.shares.items()})

    @cached_property
    def _edges(self) -> tuple[Graph, Any]:
        """Edges of the solid cells, and their conductances for unit coefficients (e, m), sparse, in m.

        Each of the four edges of a cell along an axis carries a quarter of the cell: ``V / 4 h^2``.
        """
        count = len(self.points)
        ends = self.cells[:, _EDGES]
        factors = np.repeat(0.25 * self.cell_volume[:, None] / self._sizes**2, 4, axis=1)
        solid = np.flatnonzero(self.solid)
        low, high = np.sort(ends[solid], axis=2).reshape(-1, 2).T
        key, edge = np.unique(low * count + high, return_inverse=True)
        edges = np.stack(np.divmod(key, count), axis=1)
        shape = (len(edges), len(self.cells))
        weights = sparse.csr_array((factors[solid].ravel(), (edge, np.repeat(solid, len(_EDGES)))), shape=shape)
        return Graph(edges, count), weights

    @property
    def graph(self) -> Graph:
        """Edges of the cells inside the body."""
        return self._edges[0]

    def conductance(self, k: Array) -> GraphOperator:
        """Operator of the cell coefficient ``k`` (m,)."""
        graph, weights = self._edges
        return GraphOperator(graph, weights @ np.asarray(k, dtype=float))

    def to_cells(self, u: Array) -> Array:
        """Mean of the nodes of each cell, (n,) -> (m,)."""
        return np.asarray(u[self.cells].mean(axis=1))

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (n,)."""
        volume = self.volume
        return np.divide(self._gather(k * self.cell_volume), volume, out=np.zeros_like(volume), where=volume > 0)

    @cached_property
    def tetrahedra(self) -> Index:
        """(m, 6, 4) nodes of the six tetrahedra of each cell."""
        return np.asarray(self.cells[:, KUHN])
