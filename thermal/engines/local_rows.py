"""The graph equation on the nodes of one process, whose neighbours may be copies (ghosts) of other processes' nodes.

Voxels, tetrahedra and the triangles of a half-plane alike are cells with a conductance for each of their edges; an
operator is one number an edge, applied row by row at the owned nodes as ``sum_j G_ij (u_i - u_j)``, so constants give
zero exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from types import MappingProxyType

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.domain import CutEdges
from thermal.engines.compiled import compiled, compiled_serial
from thermal.engines.on_demand import Named
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""
Short = npt.NDArray[np.int32]
"""An array of indices as the kernels like them."""

BOX_EDGES = np.array([(a, a + step) for step in (4, 2, 1) for a in range(8) if not a & step])
"""(12, 2) corners (4 dx + 2 dy + dz) of the edges of a box: four along x, four along y, four along z."""
EDGES = {8: BOX_EDGES, 4: np.array([*combinations(range(4), 2)]), 3: np.array([*combinations(range(3), 2)])}
"""Number of corners -> corners (e, 2) of the edges of such a cell."""


@compiled
def _differences(start: Index, neighbour: Short, values: Array, u: Array, out: Array) -> None:
    """``out_i = sum_j G_ij (u_i - u_j)`` at the owned nodes."""
    for i in nb.prange(len(out)):
        here, rest = u[i], 0.0
        for slot in range(start[i], start[i + 1]):
            rest += values[slot] * (here - u[neighbour[slot]])
        out[i] = rest


@compiled
def _squares(start: Index, neighbour: Short, values: Array, u: Array, out: Array) -> None:
    """``out_i = sum_j G_ij (u_i - u_j)^2 / 2`` at the owned nodes."""
    for i in nb.prange(len(out)):
        here, rest = u[i], 0.0
        for slot in range(start[i], start[i + 1]):
            rest += values[slot] * (here - u[neighbour[slot]]) ** 2
        out[i] = 0.5 * rest


@compiled
def _sums(start: Index, values: Array, whole: Array, positive: Array) -> None:
    """Sum of the conductances of each owned node, and of the positive ones alone."""
    for i in nb.prange(len(whole)):
        both, above = 0.0, 0.0
        for slot in range(start[i], start[i + 1]):
            both += values[slot]
            above += max(values[slot], 0.0)
        whole[i], positive[i] = both, above


@compiled
def _weighted(start: Index, neighbour: Short, values: Array, weight: Array, out: Array) -> None:
    """``out_i = sum_j max(G_ij, 0) (1 + w_j / w_i)`` at the owned nodes."""
    for i in nb.prange(len(out)):
        whole, weighted = 0.0, 0.0
        for slot in range(start[i], start[i + 1]):
            value = max(values[slot], 0.0)
            whole += value
            weighted += value * weight[neighbour[slot]]
        out[i] = whole + weighted / weight[i]


@compiled_serial
def _scatter(edges: Short, factors: Array, k: Array, out: Array) -> None:
    """Add the conductances ``factors k`` of the edges of each cell."""
    for cell in range(len(k)):
        for slot in range(edges.shape[1]):
            out[edges[cell, slot]] += factors[cell, slot] * k[cell]


@dataclass(frozen=True)
class LocalOperator:
    """Conductances of the slots of the rows; see :class:`thermal.engine.Operator`, given ``u`` with ghosts."""

    cells: LocalCells
    values: Array
    """(slots,) m times the coefficient"""

    @cached_property
    def _sums(self) -> tuple[Array, Array]:
        whole, positive = np.empty(self.cells.owned), np.empty(self.cells.owned)
        _sums(self.cells.start, self.values, whole, positive)
        return whole, positive

    @property
    def diagonal(self) -> Array:
        """(owned,) sum of the conductances of each node."""
        return self._sums[0]

    @property
    def bound(self) -> Array:
        """(owned,) bound of the spectrum.

        Twice the sum of the positive conductances (Gershgorin), or the diagonal times the number of corners if that is
        less: the matrix of a cell, scaled to unit diagonal, has that trace.
        """
        whole, positive = self._sums
        return np.minimum(2.0 * positive, float(self.cells.cells.shape[1]) * whole)

    def bound_by(self, weight: Array) -> Array:
        """(owned,) another bound, from any positive ``weight``, given with ghosts."""
        out = np.empty(self.cells.owned)
        _weighted(self.cells.start, self.cells.neighbour, self.values, weight, out)
        return out

    def __call__(self, u: Array) -> Array:
        """K u at the owned nodes."""
        out = np.empty(self.cells.owned)
        _differences(self.cells.start, self.cells.neighbour, self.values, u, out)
        return out

    def dissipation(self, u: Array) -> Array:
        """(owned,) half of ``G_ij (u_i - u_j)^2`` over the edges of each node."""
        out = np.empty(self.cells.owned)
        _squares(self.cells.start, self.cells.neighbour, self.values, u, out)
        return out


@dataclass(frozen=True)
class Measures:
    """Of cells: ``volume`` (m,) m3 and ``factors`` (m, e) m, what their edges conduct for unit coefficients, both
    zero outside the body; ``corner_shares`` (m, k), or one row for all: the part of each corner in the volume."""

    volume: Array
    factors: Array
    corner_shares: Array


@dataclass(frozen=True)
class LocalCells:
    """Cells on and around the nodes of one process.

    ``points`` (n, 3) m, the ``owned`` nodes first. ``cells``: (m, 4) tetrahedra, (m, 3) triangles of a half-plane, or
    (m, 8) boxes along the axes with corners in the order ``4 dx + 2 dy + dz``; all that touch an owned node.
    ``shares``: region -> (m,). Cells without volume lie outside the body.
    """

    points: Array
    owned: int
    cells: Index
    shares: Mapping[str, Array]
    measures: Measures

    @property
    def cell_volume(self) -> Array:
        """(m,) m3, zero outside the body."""
        return self.measures.volume

    def _gather(self, amount: Array) -> Array:
        """Each cell's amount (m,) shared among its nodes, (owned,)."""
        parts = amount[:, None] * self.measures.corner_shares
        return np.bincount(self.cells.ravel(), parts.ravel(), len(self.points))[: self.owned].astype(float)

    @cached_property
    def volume(self) -> Array:
        """(owned,) lumped volume, m3."""
        return self._gather(self.cell_volume)

    @cached_property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (owned,) lumped volume, m3."""
        found = {name: self._gather(share * self.cell_volume) for name, share in self.shares.items()}
        return MappingProxyType(Named("region", found))

    @cached_property
    def _edges(self) -> tuple[Index, Short]:
        """Edges (e, 2) of the body at owned nodes, and the edge of each edge of each cell (m, .); ``e`` for none."""
        ends = np.sort(self.cells[:, EDGES[self.cells.shape[1]]], axis=2)
        wanted = (self.cell_volume[:, None] > 0.0) & (ends[:, :, 0] < self.owned)
        low, high = ends[wanted].T
        key, number = np.unique(low * len(self.points) + high, return_inverse=True)
        of_cells = np.full(wanted.shape, len(key), np.int32)
        of_cells[wanted] = number
        return np.stack(np.divmod(key, len(self.points)), axis=1), of_cells

    @cached_property
    def _rows(self) -> tuple[Index, Short, Short]:
        (low, high), numbers = self._edges[0].T, np.arange(len(self._edges[0]))
        back = high < self.owned
        row, column = np.concatenate([low, high[back]]), np.concatenate([high, low[back]])
        order = np.lexsort((column, row))
        start = np.searchsorted(row[order], np.arange(self.owned + 1))
        edge = np.concatenate([numbers, numbers[back]])[order]
        return start.astype(np.int64), column[order].astype(np.int32), edge.astype(np.int32)

    @property
    def start(self) -> Index:
        """(owned + 1,) first slot of each row."""
        return self._rows[0]

    @property
    def neighbour(self) -> Short:
        """(slots,) node at the other end."""
        return self._rows[1]

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> LocalOperator:
        """Operator of the cell coefficient ``k`` (m,), corrected at the edges beside cut cells."""
        edges, of_cells = self._edges
        of_edges = np.zeros(len(edges) + 1)
        _scatter(of_cells, self.measures.factors, np.ascontiguousarray(k, dtype=float), of_edges)
        if cuts is not None:
            of_edges[:-1] *= cuts.at(edges)
        return LocalOperator(self, of_edges[self._rows[2]])

    def to_cells(self, u: Array) -> Array:
        """Mean over each cell of the field that is linear between nodes, (n,) -> (m,)."""
        return np.asarray((u[self.cells] * self.measures.corner_shares).sum(axis=1))

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (owned,)."""
        volume = self.volume
        return np.divide(self._gather(k * self.cell_volume), volume, out=np.zeros_like(volume), where=volume > 0)


def boxes(corners: Array, solid: Mask) -> Measures:
    """Of boxes (m, 8, 3), of which those that are not ``solid`` (m,) conduct and hold nothing: vertex quadrature gives
    each of the four edges along an axis a quarter of the box, ``V / 4 h^2``."""
    sizes = corners[:, 7] - corners[:, 0]
    volume = np.where(solid, np.prod(sizes, axis=1), 0.0)
    return Measures(volume, np.repeat(0.25 * volume[:, None] / sizes**2, 4, axis=1), np.full((1, 8), 0.125))
