"""Arrays in the order of the sliced rows of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from thermal.engine import Operator
from thermal.engines.graph import LANES, GraphOperator, Rows
from thermal.engines.row_kernels import Real
from thermal.heat import Precision
from thermal.units import Array


class RowOrder:
    """Arrays in the order of sliced rows, filled up to whole slices, in the working precision."""

    def __init__(self, rows: Rows, precision: Precision) -> None:
        """``rows`` of the graph."""
        self.dtype: type[np.floating[Any]] = np.float32 if precision == "single" else np.float64
        self.start, self.node = rows.start, rows.node
        self.place = np.empty(len(rows.node), np.int64)
        self.place[rows.node] = np.arange(len(rows.node))
        self.neighbour = self.place[rows.neighbour].astype(np.uint32)
        self.slices = len(rows.start) - 1

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
        return operator.single_values if self.dtype is np.float32 else operator.values


class Packed:
    """A nodal array in the order of the rows, kept for as long as the same one is asked for."""

    def __init__(self) -> None:
        self._given, self.total = np.zeros(0), 0.0
        self._rows = np.zeros(0)

    def __call__(self, order: RowOrder, given: Array) -> Array:
        """In double precision; ``total`` is its sum."""
        if given is not self._given:
            self._given, self.total = given, float(given.sum())
            self._rows = np.zeros(order.slices * LANES)
            self._rows[: len(order.node)] = given[order.node]
        return self._rows
