"""The graph equation on an edge list: conductance operator and transport of the mesh engines.

An operator is one number an edge, ``G_ij``; applied row by row as ``sum_j G_ij (u_i - u_j)``, so constants give zero
exactly. Cells that are not Delaunay give some negative ``G_ij``: sums and ledgers hold all the same, but maximum
principles and the sign of nodal dissipation do not.

Rows are stored as sliced ELLPACK (A. Monakov, A. Lokhmotov, A. Avetisyan, HiPEAC 2010,
doi:10.1007/978-3-642-11515-8_10): :data:`LANES` rows side by side, padded to the longest of them, so that the inner
loop runs over rows and becomes vector instructions. Rows are sorted by length within windows of :data:`WINDOW` nodes,
which leaves almost no padding. Indices are unsigned, as numba otherwise tests each for being counted from the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from thermal.carriage import Carriage
from thermal.engines.coefficients import check_nodal
from thermal.engines.compiled import compiled, compiled_serial
from thermal.engines.islands import Labels, alone, join_edges, settle
from thermal.engines.streams import Edges, Streams, WholeGraph
from thermal.units import Array

Index = npt.NDArray[np.int64]
"""An array of indices."""
Unsigned = npt.NDArray[np.unsignedinteger[Any]]
"""An array of indices as the kernels like them."""
Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]

LANES = 32
"""Rows in a slice; 32 measured best on AVX-512 for float64 and float32 (8 and 16 are up to a quarter slower)."""
WINDOW = 1024
"""Nodes among which rows are sorted by length: one percent of padding, and neighbours stay near in memory."""
CHUNKS = 64
"""Parts into which the slices are divided for the threads."""


@compiled
def _differences(start: Index, node: Unsigned, neighbour: Unsigned, values: Values, u: Values, out: Values) -> None:
    """``out_i = sum_j G_ij (u_i - u_j)`` over sliced rows."""
    slices = len(start) - 1
    for chunk in nb.prange(CHUNKS):
        here, there, rest = np.empty(LANES, u.dtype), np.empty(LANES, u.dtype), np.empty(LANES, u.dtype)
        for part in range(chunk * slices // CHUNKS, (chunk + 1) * slices // CHUNKS):
            base = nb.uint64(part * LANES)
            live = min(LANES, len(node) - part * LANES)
            here[:] = 0
            rest[:] = 0
            for lane in range(live):
                here[lane] = u[node[base + nb.uint64(lane)]]
            for slot in range(start[part], start[part + 1], LANES):
                j, g = neighbour[slot : slot + LANES], values[slot : slot + LANES]
                for lane in range(LANES):
                    there[lane] = u[j[lane]]
                for lane in range(LANES):
                    rest[lane] += g[lane] * (here[lane] - there[lane])
            for lane in range(live):
                out[node[base + nb.uint64(lane)]] = rest[lane]


@compiled
def _squares(start: Index, node: Unsigned, neighbour: Unsigned, values: Values, u: Values, out: Values) -> None:
    """``out_i = sum_j G_ij (u_i - u_j)^2 / 2`` over sliced rows."""
    slices = len(start) - 1
    for chunk in nb.prange(CHUNKS):
        here, there, rest = np.empty(LANES, u.dtype), np.empty(LANES, u.dtype), np.empty(LANES, u.dtype)
        for part in range(chunk * slices // CHUNKS, (chunk + 1) * slices // CHUNKS):
            base = nb.uint64(part * LANES)
            live = min(LANES, len(node) - part * LANES)
            here[:] = 0
            rest[:] = 0
            for lane in range(live):
                here[lane] = u[node[base + nb.uint64(lane)]]
            for slot in range(start[part], start[part + 1], LANES):
                j, g = neighbour[slot : slot + LANES], values[slot : slot + LANES]
                for lane in range(LANES):
                    there[lane] = u[j[lane]]
                for lane in range(LANES):
                    rest[lane] += g[lane] * (here[lane] - there[lane]) ** 2
            for lane in range(live):
                out[node[base + nb.uint64(lane)]] = rest[lane] / 2


@compiled
def _sums(start: Index, node: Unsigned, values: Values, whole: Values, positive: Values) -> None:
    """Sum of the values of each row, and of the positive ones alone."""
    for part in nb.prange(len(start) - 1):
        for lane in range(min(LANES, len(node) - part * LANES)):
            both, above = 0.0, 0.0
            for slot in range(start[part] + lane, start[part + 1], LANES):
                value = values[nb.uint64(slot)]
                both += value
                above += max(value, 0.0)
            row = node[nb.uint64(part * LANES + lane)]
            whole[row] = both
            positive[row] = above


@compiled
def _weighted(
    start: Index, node: Unsigned, neighbour: Unsigned, edge: Unsigned, conductance: Array, weight: Array, out: Array
) -> None:
    """``out_i = sum_j max(G_ij, 0) (1 + w_j / w_i)`` over sliced rows; padding has an edge beyond the last."""
    count = nb.uint64(len(conductance))
    for part in nb.prange(len(start) - 1):
        for lane in range(min(LANES, len(node) - part * LANES)):
            whole, weighted = 0.0, 0.0
            for slot in range(start[part] + lane, start[part + 1], LANES):
                here = nb.uint64(edge[nb.uint64(slot)])
                value = max(conductance[here], 0.0) if here < count else 0.0
                whole += value
                weighted += value * weight[neighbour[nb.uint64(slot)]]
            row = node[nb.uint64(part * LANES + lane)]
            out[row] = whole + weighted / weight[row]


@compiled
def _slots(edge: Unsigned, conductance: Array, out: Values) -> None:
    """The conductance of the edge in each slot; padding, with an edge beyond the last, has none."""
    count = nb.uint64(len(conductance))
    for slot in nb.prange(len(out)):
        here = nb.uint64(edge[slot])
        out[slot] = conductance[here] if here < count else 0.0


@compiled_serial
def _fill(edges: Index, slot: Index, neighbour: Unsigned, edge: Unsigned) -> None:
    """Put both directions of every edge into the next free slot of its row; ``slot`` (n,) is the first."""
    for number in range(len(edges)):
        i, j = edges[number, 0], edges[number, 1]
        neighbour[slot[i]], neighbour[slot[j]] = j, i
        edge[slot[i]], edge[slot[j]] = number, number
        slot[i] += LANES
        slot[j] += LANES


@dataclass(frozen=True)
class Rows:
    """The rows of a graph in slices of :data:`LANES`.

    Slot ``start[s] + LANES w + lane`` is the w-th neighbour of the node ``node[LANES s + lane]``. Padding has the node
    itself as its neighbour and an edge beyond the last, so its value is zero and it adds nothing.
    """

    start: Index
    """(slices + 1,) first slot of every slice; the width of slice s is ``(start[s + 1] - start[s]) / LANES``"""
    node: Unsigned
    """(n,) node of every row"""
    neighbour: Unsigned
    """(slots,)"""
    edge: Unsigned
    """(slots,) number of the edge to the neighbour"""

    @classmethod
    def of(cls, edges: Index, size: int, place: Index | None = None) -> Rows:
        """Rows of the graph with these edges (e, 2) on ``size`` nodes, in the order of their numbers or of ``place``
        (n,)."""
        degree = np.bincount(edges.ravel(), minlength=size)
        node = np.lexsort((-degree, (np.arange(size) if place is None else place) // WINDOW))
        slices = -(-size // LANES)
        longest = np.zeros(slices * LANES, np.int64)
        longest[:size] = degree[node]
        start = np.concatenate([[0], np.cumsum(longest.reshape(slices, LANES).max(axis=1, initial=0) * LANES)])
        rows = np.concatenate([node, np.full(slices * LANES - size, node[-1] if size else 0)])
        width = np.diff(start) // LANES
        neighbour = np.repeat(rows.reshape(slices, LANES), width, axis=0).ravel().astype(np.uint32)
        edge = np.full(len(neighbour), len(edges), np.uint32)
        slot = np.empty(size, np.int64)
        slot[node] = np.repeat(start[:-1], LANES)[:size] + np.arange(size) % LANES
        _fill(edges, slot, neighbour, edge)
        return cls(start.astype(np.int64), node.astype(np.uint32), neighbour, edge)

    def values(self, conductance: Array, precision: npt.DTypeLike = np.float64) -> Any:
        """The conductances (e,) in the slots, (slots,)."""
        out = np.empty(len(self.edge), precision)
        _slots(self.edge, conductance, out)
        return out


@dataclass(frozen=True)
class Graph:
    """Nodes and the edges between them.

    ``edges`` (e, 2) node numbers, each edge once; ``size`` nodes; ``corners``: nodes of a cell (for the bound of the
    spectrum).
    """

    edges: Index
    size: int
    corners: int = 4

    @cached_property
    def rows(self) -> Rows:
        """The rows for the kernels."""
        return Rows.of(self.edges, self.size)

    @cached_property
    def _pattern(self) -> tuple[Index, Index, Index]:
        """Row starts (size + 1,), neighbour (2e,) and edge (2e,) of every entry: the pattern of a CSR matrix."""
        i, j = self.edges.T
        places = np.concatenate([i, j]), np.concatenate([j, i])
        entries = sparse.csr_array((np.tile(np.arange(len(i)), 2), places), shape=(self.size, self.size))
        entries.sort_indices()
        return entries.indptr, entries.indices, entries.data

    def matrix(self, conductance: Array, diagonal: Array) -> Any:
        """SciPy CSR matrix with ``-conductance`` (e,) off the diagonal (n,)."""
        start, neighbour, edge = self._pattern
        off = sparse.csr_array((-conductance[edge], neighbour, start), shape=(self.size, self.size))
        return (off + sparse.diags_array(diagonal)).tocsr()


@dataclass(frozen=True)
class GraphOperator:
    """Conductances (e,) of the edges of a graph; see :class:`thermal.engine.Operator`."""

    graph: Graph
    conductance: Array

    @cached_property
    def values(self) -> Array:
        """(slots,) the conductances in the slots of ``graph.rows``."""
        return np.asarray(self.graph.rows.values(self.conductance))

    @cached_property
    def single_values(self) -> npt.NDArray[np.float32]:
        """The same in single precision."""
        return np.asarray(self.graph.rows.values(self.conductance, np.float32))

    @cached_property
    def _row_sums(self) -> tuple[Array, Array]:
        """(n,) sum of the conductances of each node, and of the positive ones."""
        whole, positive = np.empty(self.graph.size), np.empty(self.graph.size)
        rows = self.graph.rows
        _sums(rows.start, rows.node, self.values, whole, positive)
        return whole, positive

    @property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node; positive on any cells, whatever the signs of the edges."""
        return self._row_sums[0]

    @cached_property
    def bound(self) -> Array:
        """(n,) b with ``u . K u <= sum b u^2`` for P1 cells: an upper bound of the spectrum for explicit steps.

        Twice the diagonal where no conductance is negative (Gershgorin). In general the smaller of twice the sum of the
        positive ones and of the diagonal times the number of nodes of a cell: that is the trace of each element matrix
        scaled to unit diagonal.
        """
        return np.minimum(2.0 * self._row_sums[1], self.graph.corners * self._row_sums[0])

    def bound_by(self, weight: Array) -> Array:
        """See :meth:`thermal.engines.spectrum.Weighted.bound_by`."""
        out, rows = np.empty(self.graph.size), self.graph.rows
        _weighted(rows.start, rows.node, rows.neighbour, rows.edge, self.conductance, weight, out)
        return out

    def islands(self) -> Labels:
        """See :class:`thermal.engines.islands.Joined`."""
        label = alone(self.graph.size)
        join_edges(self.graph.edges, self.conductance, label)
        settle(label)
        return label

    def _apply(self, kernel: Any, u: Any) -> Any:
        check_nodal(u, self.graph.size, "what an operator is applied to")
        values = self.single_values if u.dtype == np.float32 else self.values
        out = np.empty(self.graph.size, values.dtype)
        rows = self.graph.rows
        kernel(rows.start, rows.node, rows.neighbour, values, np.ascontiguousarray(u, values.dtype), out)
        return out

    def __call__(self, u: Array) -> Array:
        """K u, (n,) -> (n,), in the precision of ``u``."""
        return np.asarray(self._apply(_differences, u))

    def dissipation(self, u: Array) -> Array:
        """(n,) half of ``G_ij (u_i - u_j)^2`` over the edges of each node; the total equals ``u . K u``.

        On cells that are not Delaunay single nodes may come out negative; the total is right.
        """
        return np.asarray(self._apply(_squares, u))

    def matrix(self, diagonal: Array) -> Any:
        """``K + diag(diagonal)`` as a SciPy CSR matrix."""
        return self.graph.matrix(self.conductance, self.diagonal + diagonal)


def graph_streams(
    operator: GraphOperator, pressure: Array, points: Array, carriage: Carriage, diffusion: GraphOperator | None
) -> Streams:
    """Transport by the fluxes ``G_ij (p_i - p_j)`` between nodes at ``points`` (n, 3) m.

    On cells that are not Delaunay part of the flux runs in closed loops (``uphill_share``), which mixes; the limited
    second-order flux takes most of that back.
    """
    i, j = operator.graph.edges.T
    flux = operator.conductance * (pressure[i] - pressure[j])
    exchange = np.zeros_like(flux) if diffusion is None else diffusion.conductance
    edges = Edges.directed(i, j, flux, exchange)
    size, total = operator.graph.size, float(np.abs(flux).sum())
    uphill = float(np.abs(flux[operator.conductance < 0]).sum()) / total if total > 0 else 0.0
    whole = WholeGraph(points, edges)
    return Streams(
        carriage, lambda: np.bincount(edges.up, edges.flow, size).astype(float), uphill, lambda starts: whole
    )
