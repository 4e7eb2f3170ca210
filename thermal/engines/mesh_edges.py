"""The edges of a mesh of simplices: their numbers, and their conductances from the coefficients of the cells."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numba as nb
import numpy as np

from thermal.engines.compiled import compiled, compiled_serial, compiled_shared
from thermal.engines.graph import Index, Unsigned
from thermal.units import Array


@dataclass(frozen=True)
class EdgeMap:
    """Conductance of each edge for coefficients of the cells: ``sum of factor * coefficient`` over its cells.

    Entries of edge e: ``start[e]`` to ``start[e + 1]`` of ``cell`` (k,) and ``factor`` (k,) m.
    """

    start: Index
    cell: Unsigned
    factor: Array

    @classmethod
    def of(cls, of_cell: Unsigned, factors: Array, count: int) -> EdgeMap:
        """From the edge of every pair of every cell, ``factors`` m of the same shape, and how many edges there are."""
        start = np.zeros(count + 1, np.int64)
        _count_entries(of_cell, start)
        np.cumsum(start, out=start)
        cell, factor = np.empty(of_cell.size, np.uint32), np.empty(of_cell.size)
        _sort_by_edge(0, count, of_cell, factors, start[:-1].copy(), cell, factor)
        return cls(start, cell, factor)

    def __call__(self, k: Array) -> Array:
        """(m,) -> (e,)."""
        out = np.empty(len(self.start) - 1)
        _gather(self.start, self.cell, self.factor, np.ascontiguousarray(k, dtype=float), out)
        return out


def number_edges(cells: Index, size: int) -> tuple[Index, Unsigned]:
    """Edges (e, 2) of simplices (m, corners) on ``size`` nodes, and which of them each cell has (m, pairs).

    Edges are sorted by their lower and then by their upper node; the pairs of a cell come as in ``combinations``.
    """
    pairs = np.array(list(combinations(range(cells.shape[1]), 2)))
    start = np.zeros(size + 1, np.int64)
    _count_pairs(cells, pairs, start)
    np.cumsum(start, out=start)
    upper = np.empty(start[-1], np.uint32)
    _list_pairs(cells, pairs, start[:-1].copy(), upper)
    first = np.zeros(size + 1, np.int64)
    _unite(start, upper, first)
    np.cumsum(first, out=first)
    edges = np.empty((first[-1], 2), np.int64)
    of_cell = np.empty((len(cells), len(pairs)), np.uint32)
    _name_edges(start, upper, first, edges)
    _find_edges(cells, pairs, first, edges[:, 1].astype(np.uint32), of_cell)
    return edges, of_cell


@compiled_serial
def _count_pairs(cells: Index, pairs: Index, start: Index) -> None:
    """Number of pairs whose lower node is i, in ``start[i + 1]``."""
    for cell in range(len(cells)):
        for pair in range(len(pairs)):
            start[min(cells[cell, pairs[pair, 0]], cells[cell, pairs[pair, 1]]) + 1] += 1


@compiled_serial
def _list_pairs(cells: Index, pairs: Index, place: Index, upper: Unsigned) -> None:
    """Upper node of every pair, listed by its lower node from ``place`` (n,) on."""
    for cell in range(len(cells)):
        for pair in range(len(pairs)):
            i, j = cells[cell, pairs[pair, 0]], cells[cell, pairs[pair, 1]]
            low = min(i, j)
            upper[place[low]] = max(i, j)
            place[low] += 1


@compiled
def _unite(start: Index, upper: Unsigned, count: Index) -> None:
    """Sort the upper nodes of each lower one, drop repetitions, and put their number into ``count[i + 1]``."""
    for i in nb.prange(len(start) - 1):
        end = start[i]
        for k in range(start[i], start[i + 1]):
            value = upper[k]
            place = end
            while place > start[i] and upper[place - 1] > value:
                place -= 1
            if place > start[i] and upper[place - 1] == value:
                continue
            for later in range(end, place, -1):
                upper[later] = upper[later - 1]
            upper[place] = value
            end += 1
        count[i + 1] = end - start[i]


@compiled
def _name_edges(start: Index, upper: Unsigned, first: Index, edges: Index) -> None:
    """Write down the edges, those of lower node i from ``first[i]`` on."""
    for i in nb.prange(len(start) - 1):
        for k in range(first[i + 1] - first[i]):
            edges[first[i] + k, 0] = i
            edges[first[i] + k, 1] = upper[start[i] + k]


@compiled
def _find_edges(cells: Index, pairs: Index, first: Index, upper: Unsigned, of_cell: Unsigned) -> None:
    """Number of the edge of every pair of every cell: that of the first edge of its lower node, and of those with a
    lower upper node. Counting a few edges is faster than searching among them."""
    for cell in nb.prange(len(cells)):
        for pair in range(len(pairs)):
            i, j = cells[cell, pairs[pair, 0]], cells[cell, pairs[pair, 1]]
            start, wanted = nb.uint64(first[min(i, j)]), max(i, j)
            number = start
            for k in range(start, nb.uint64(first[min(i, j) + 1])):
                number += nb.uint64(upper[k] < wanted)
            of_cell[cell, pair] = number


@compiled_serial
def _count_entries(of_cell: Unsigned, start: Index) -> None:
    """Entries of each edge e, in ``start[e + 1]``."""
    for number in range(len(of_cell)):
        for pair in range(of_cell.shape[1]):
            start[of_cell[number, pair] + 1] += 1


@compiled_shared
def _sort_by_edge(
    first: int, end: int, of_cell: Unsigned, factors: Array, place: Index, cell: Unsigned, factor: Array
) -> None:
    """Entries of the edge map for the edges from ``first`` to before ``end``, listed by edge from ``place`` (e,) on.

    Every core goes over all pairs: to read them in a row is quick, to put them into their places takes the time.
    """
    for number in range(len(of_cell)):
        for pair in range(of_cell.shape[1]):
            edge = of_cell[number, pair]
            if first <= edge < end:
                cell[place[edge]] = number
                factor[place[edge]] = factors[number, pair]
                place[edge] += 1


@compiled
def _gather(start: Index, cell: Unsigned, factor: Array, k: Array, out: Array) -> None:
    """``out_e = sum factor k[cell]`` over the entries of each edge."""
    for edge in nb.prange(len(out)):
        rest = 0.0
        for entry in range(nb.uint64(start[edge]), nb.uint64(start[edge + 1])):
            rest += factor[entry] * k[cell[entry]]
        out[edge] = rest
