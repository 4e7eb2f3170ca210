"""Arrays in the order of the sliced rows of a graph."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from thermal.engine import Operator
from thermal.engines.graph import LANES, Graph, GraphOperator, Index, Rows, Unsigned
from thermal.engines.row_kernels import Real
from thermal.heat import WORKING, Precision
from thermal.units import Array


def banded(edges: Index, size: int) -> Index:
    """Place of each node in an order in which all its neighbours are near (E. Cuthill, J. McKee, Proc. 24th ACM
    National Conference (1969) 157-172, reversed), as stages that go over the rows together want it."""
    one, other = edges.T.astype(np.int32)
    ends = np.concatenate([one, other]), np.concatenate([other, one])
    pattern = sparse.csr_array((np.ones(len(ends[0]), np.int8), ends), shape=(size, size))
    place = np.empty(size, np.int64)
    place[reverse_cuthill_mckee(pattern, symmetric_mode=True)] = np.arange(size)
    return place


class RowOrder:
    """Arrays in the order of sliced rows, filled up to whole slices, in the working precision."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        self.dtype = WORKING[precision]
        rows = self._rows = Rows.of(graph.edges, graph.size, banded(graph.edges, graph.size))
        self.start, self.node = rows.start, rows.node
        self.place = np.empty(len(rows.node), np.int64)
        self.place[rows.node] = np.arange(len(rows.node))
        self.slices = len(rows.start) - 1
        neighbour = self.place[rows.neighbour]
        self.lowest, self.highest = (self._over_slices(extreme, neighbour) for extreme in (np.minimum, np.maximum))
        """(slices,) first and last row among the neighbours of each slice"""
        neighbour -= np.repeat(self.lowest, np.diff(self.start))
        self.neighbour: Unsigned = neighbour.astype(np.uint16 if neighbour.max(initial=0) < 2**16 else np.uint32)
        """(slots,) row of the neighbour, from the lowest one of its slice on: half of the memory, and with it a quarter
        of what a stage reads, if the bandwidth allows"""

    def _over_slices(self, extreme: np.ufunc, neighbour: Index) -> Index:
        """Extreme row among the neighbours of each slice; its own where it has none."""
        found, some = np.arange(self.slices) * LANES, np.diff(self.start) > 0
        found[some] = extreme.reduceat(neighbour, self.start[:-1][some])
        return found

    def zeros(self) -> Real:
        """Zeros in every row."""
        return np.zeros(self.slices * LANES, self.dtype)

    def pack(self, u: Array) -> Real:
        """A nodal array (n,) in the order of the rows."""
        packed = self.zeros()
        packed[: len(self.node)] = u[self.node]
        return packed

    def unpack(self, rows: Real) -> Array:
        """Back in the order of the nodes, (n,)."""
        return rows[self.place].astype(np.float64)

    def values(self, operator: Operator) -> Real:
        """Conductances in the slots of the rows."""
        assert isinstance(operator, GraphOperator)
        return np.asarray(self._rows.values(operator.conductance, self.dtype))


class Packed:
    """A nodal array in the order of the rows, kept for as long as the same one is asked for."""

    def __init__(self) -> None:
        self._given: Real = np.zeros(0)
        self.total = 0.0
        self._rows = np.zeros(0)

    def __call__(self, order: RowOrder, given: Real) -> Array:
        """In double precision; ``total`` is its sum."""
        if given is not self._given:
            self._given, self.total = given, float(given.sum())
            self._rows = np.zeros(order.slices * LANES)
            self._rows[: len(order.node)] = given[order.node]
        return self._rows
