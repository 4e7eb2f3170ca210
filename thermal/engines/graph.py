"""The graph equation on an edge list: conductance operator and upwind transport of the mesh engine.

An operator is one number an edge, ``G_ij``; applied row by row as ``sum_j G_ij (u_i - u_j)``, so constants give zero
exactly. Tetrahedra that are not Delaunay give some negative ``G_ij``: sums and ledgers hold all the same, but maximum
principles and the sign of nodal dissipation do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from thermal.engines.compiled import compiled, compiled_serial
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""

OUTFLOW_PART = 0.95
"""Largest part of a node's fluid that may leave in one explicit sub-step of the transport; below 1 keeps c >= 0."""


@compiled
def _differences(start: Index, neighbour: Index, conductance: Array, u: Array, out: Array) -> None:
    """``out_i = sum_j G_ij (u_i - u_j)`` over the rows of the graph."""
    for i in nb.prange(len(out)):
        here, rest = u[i], 0.0
        for slot in range(start[i], start[i + 1]):
            rest += conductance[slot] * (here - u[neighbour[slot]])
        out[i] = rest


@compiled
def _squares(start: Index, neighbour: Index, conductance: Array, u: Array, out: Array) -> None:
    """``out_i = sum_j G_ij (u_i - u_j)^2 / 2`` over the rows of the graph."""
    for i in nb.prange(len(out)):
        here, rest = u[i], 0.0
        for slot in range(start[i], start[i + 1]):
            rest += conductance[slot] * (here - u[neighbour[slot]]) ** 2
        out[i] = 0.5 * rest


@compiled_serial
def _carry(
    upstream: Index,
    downstream: Index,
    flow: Array,
    capacity: Array,
    supply: Array,
    sink: Array,
    concentration: Array,
    step: float,
    count: int,
) -> None:
    """``count`` explicit upwind steps of ``step`` on ``concentration`` in place; the sink is taken implicitly."""
    gain = np.empty_like(concentration)
    for _ in range(count):
        gain[:] = supply
        for edge in range(len(flow)):
            amount = flow[edge] * concentration[upstream[edge]]
            gain[downstream[edge]] += amount
            gain[upstream[edge]] -= amount
        for i in range(len(gain)):
            if capacity[i] > 0.0:
                concentration[i] = (capacity[i] * concentration[i] + step * gain[i]) / (capacity[i] + step * sink[i])


@dataclass(frozen=True)
class Graph:
    """Nodes and the edges between them. ``edges`` (e, 2) node numbers, each edge once; ``size`` nodes."""

    edges: Index
    size: int

    @cached_property
    def rows(self) -> tuple[Index, Index, Index]:
        """Row starts (size + 1,), neighbour (2e,) and edge (2e,) of every slot: the pattern of a CSR matrix."""
        i, j = self.edges.T
        places = np.concatenate([i, j]), np.concatenate([j, i])
        slots = sparse.csr_array((np.tile(np.arange(len(i)), 2), places), shape=(self.size, self.size))
        slots.sort_indices()
        return slots.indptr.astype(np.int64), slots.indices.astype(np.int64), slots.data.astype(np.int64)


@dataclass(frozen=True)
class GraphOperator:
    """Conductances (e,) of the edges of a graph; see :class:`thermal.engine.Operator`."""

    graph: Graph
    conductance: Array

    @cached_property
    def _slots(self) -> Array:
        return self.conductance[self.graph.rows[2]]

    @cached_property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node; positive on any tetrahedra, whatever the signs of the edges."""
        return self._sum(self.conductance)

    @cached_property
    def bound(self) -> Array:
        """(n,) b with ``u . K u <= sum b u^2`` for P1 tetrahedra: an upper bound of the spectrum for explicit steps.

        Twice the diagonal where no conductance is negative (Gershgorin). In general the smaller of twice the sum of the
        positive ones and of four times the diagonal: each element matrix, scaled to unit diagonal, has the trace 4.
        """
        return np.minimum(2.0 * self._sum(np.maximum(self.conductance, 0.0)), 4.0 * self.diagonal)

    def _sum(self, of_edges: Array) -> Array:
        i, j = self.graph.edges.T
        size = self.graph.size
        both = np.bincount(i, of_edges, size) + np.bincount(j, of_edges, size)
        return both.astype(float)

    def __call__(self, u: Array) -> Array:
        """K u, (n,) -> (n,)."""
        out = np.empty(self.graph.size)
        start, neighbour, _ = self.graph.rows
        _differences(start, neighbour, self._slots, np.ascontiguousarray(u, dtype=float), out)
        return out

    def dissipation(self, u: Array) -> Array:
        """(n,) half of ``G_ij (u_i - u_j)^2`` over the edges of each node; the total equals ``u . K u``.

        On tetrahedra that are not Delaunay single nodes may come out negative; the total is right.
        """
        out = np.empty(self.graph.size)
        start, neighbour, _ = self.graph.rows
        _squares(start, neighbour, self._slots, np.ascontiguousarray(u, dtype=float), out)
        return out

    def matrix(self, diagonal: Array) -> Any:
        """``K + diag(diagonal)`` as a SciPy CSR matrix."""
        start, neighbour, _ = self.graph.rows
        size = self.graph.size
        off = sparse.csr_array((-self._slots, neighbour, start), shape=(size, size))
        return (off + sparse.diags_array(self.diagonal + diagonal)).tocsr()


@dataclass(frozen=True)
class GraphTransport:
    """Explicit upwind transport along edge fluxes; see :class:`thermal.engine.Transport`.

    Conservative and bounded on any mesh. First order, and on tetrahedra that are not Delaunay it also smears:
    ``uphill_share`` of the flux then runs in closed loops.
    """

    upstream: Index
    downstream: Index
    flow: Array
    """(e,) volume flow from upstream to downstream, m3/s, not negative"""
    outflow: Array
    """(n,) m3/s"""
    uphill_share: float
    """part of the total edge flux that runs against the pressure, 0 to 1; above about 0.01 fronts are smeared"""

    @classmethod
    def of(cls, operator: GraphOperator, pressure: Array) -> GraphTransport:
        """Transport by the fluxes ``G_ij (p_i - p_j)``."""
        i, j = operator.graph.edges.T
        flux = operator.conductance * (pressure[i] - pressure[j])
        forward = flux >= 0
        upstream = np.where(forward, i, j)
        flow = np.abs(flux)
        total = float(flow.sum())
        uphill = float(flow[operator.conductance < 0].sum()) / total if total > 0 else 0.0
        outflow = np.bincount(upstream, flow, operator.graph.size).astype(float)
        return cls(upstream, np.where(forward, j, i), flow, outflow, uphill)

    def advance(
        self, concentration: Array, capacity: Array, inflow: Array, inlet: Array, sink: Array, step: float
    ) -> Array:
        """See :meth:`thermal.engine.Transport.advance`; in as many sub-steps as the fastest node needs.

        Raises ``ValueError`` if fluid crosses a node without capacity.
        """
        holds: Mask = capacity > 0
        if np.any((self.outflow > 0) & ~holds):
            raise ValueError("fluid crosses nodes without pore volume; give every tissue it crosses a porosity above 0")
        fastest = float(np.max(self.outflow[holds] / capacity[holds], initial=0.0))
        count = max(1, int(np.ceil(step * fastest / OUTFLOW_PART)))
        new = np.array(concentration, dtype=float)
        supply = np.asarray(inflow * inlet, dtype=float)
        _carry(self.upstream, self.downstream, self.flow, capacity, supply, sink, new, step / count, count)
        return new
