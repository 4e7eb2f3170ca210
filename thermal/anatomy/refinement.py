"""The cells of a mesh divided into smaller ones of half their edges: tetrahedra into eight, triangles into four.

The octahedron in the middle of a tetrahedron is split along its shortest diagonal, which keeps cells in shape however
often they are divided: S. Zhang, Successive subdivisions of tetrahedra and multigrid methods on tetrahedral meshes,
Houston J. Math. 21 (1995) 541-556.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.anatomy.mesh_checks import signed_sizes
from thermal.errors import CaseError
from thermal.machine import free_memory
from thermal.units import Array

Index = npt.NDArray[np.int64]

CELL_MEMORY = 450.0
"""Bytes of a whole run for each of its tetrahedra (2.6 GB with 5.8 million)."""

_DIAGONALS = (
    ((0, 1), (2, 3), ((0, 2), (1, 2), (1, 3), (0, 3))),
    ((0, 2), (1, 3), ((0, 1), (1, 2), (2, 3), (0, 3))),
    ((0, 3), (1, 2), ((0, 1), (0, 2), (2, 3), (1, 3))),
)
"""Of the octahedron between the middles of a tetrahedron's edges, each named by its two corners: the ends of each
diagonal, and the four other middles in their order around it."""


@dataclass(frozen=True)
class Divided:
    """``points`` (n, 3), those of before first; ``cells`` (m, k) of positive size; ``parent`` (m,): the cell that each
    is a part of; ``facets``: name -> (f, k - 1)."""

    points: Array
    cells: Index
    parent: Index
    facets: Mapping[str, Index]


def children(corners: int) -> int:
    """Parts that a cell with so many corners is divided into."""
    return int(2 ** (corners - 1))


def divided(points: Array, cells: Index, facets: Mapping[str, Index]) -> Divided:
    """Every cell (m, 4) or (m, 3) divided once, and with them ``facets``: name -> (f, 3) or (f, 2) sides of cells."""
    middles = _Middles(points, cells)
    owner = np.arange(len(cells))
    if cells.shape[1] == 3:
        parts, parents = _triangles(cells, middles), [owner] * 4
    else:
        parts, parents = _corners(cells, middles), [owner] * 4
        for chosen, eighths in _octahedra(cells, middles):
            parts, parents = [*parts, *eighths], [*parents, *[owner[chosen]] * 4]
    every = middles.points
    found = np.concatenate(parts)
    inverted = signed_sizes(every, found) < 0.0
    found[inverted, :2] = found[inverted, 1::-1]
    divide = _segments if cells.shape[1] == 3 else _triangles
    sides = {name: np.concatenate(divide(part, middles)) for name, part in facets.items()}
    return Divided(every, found, np.concatenate(parents), sides)


def check_room(cells: int, times: int, corners: int, place: str) -> None:
    """Raise ``CaseError`` where ``cells`` divided so many ``times`` are more than this machine can hold."""
    number, free = cells * children(corners) ** times, free_memory()
    if free is not None and number * CELL_MEMORY > free:
        raise CaseError(
            f"{place}: {cells} cells divided {times} times are {number:.3g}, which take about "
            f"{number * CELL_MEMORY / 1e9:.3g} GB, more than the {free / 1e9:.3g} GB that are free; use fewer "
            "refinements or a coarser mesh"
        )


class _Middles:
    """The nodes in the middle of edges: those of ``points`` (n, 3) come first, then one for each edge of ``cells``."""

    def __init__(self, points: Array, cells: Index) -> None:
        self._size = len(points)
        corners = range(cells.shape[1])
        self._keys = np.unique(np.concatenate([self._key(cells[:, i], cells[:, j]) for j in corners for i in range(j)]))
        low, high = np.divmod(self._keys, self._size)
        self.points = np.concatenate([points, 0.5 * (points[low] + points[high])])

    def _key(self, first: Index, second: Index) -> Index:
        return np.asarray(np.minimum(first, second) * self._size + np.maximum(first, second))

    def __call__(self, cells: Index, first: int, second: int) -> Index:
        """(m,) of the edge between two corners of each of the ``cells``."""
        key = self._key(cells[:, first], cells[:, second])
        return np.asarray(self._size + np.searchsorted(self._keys, key))


def _segments(cells: Index, middles: _Middles) -> list[Index]:
    middle = middles(cells, 0, 1)
    return [np.stack([cells[:, 0], middle], axis=1), np.stack([middle, cells[:, 1]], axis=1)]


def _triangles(cells: Index, middles: _Middles) -> list[Index]:
    a, b, c = cells.T
    ab, bc, ca = middles(cells, 0, 1), middles(cells, 1, 2), middles(cells, 0, 2)
    return [np.stack(part, axis=1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]


def _corners(cells: Index, middles: _Middles) -> list[Index]:
    """The four tetrahedra at the corners."""
    return [
        np.stack([cells[:, i], *(middles(cells, *sorted((i, j))) for j in range(4) if j != i)], axis=1)
        for i in range(4)
    ]


def _octahedra(cells: Index, middles: _Middles) -> list[tuple[Index, list[Index]]]:
    """For each diagonal, the cells in which it is the shortest, and the four tetrahedra around it."""
    lengths = np.stack([
        np.linalg.norm(middles.points[middles(cells, *one)] - middles.points[middles(cells, *other)], axis=1)
        for one, other, _ in _DIAGONALS
    ])  # fmt: skip
    shortest = np.argmin(lengths, axis=0)
    found = []
    for number, (one, other, around) in enumerate(_DIAGONALS):
        chosen = np.flatnonzero(shortest == number)
        own = cells[chosen]
        ends, ring = (middles(own, *one), middles(own, *other)), [middles(own, *edge) for edge in around]
        eighths = [np.stack([*ends, ring[i], ring[(i + 1) % 4]], axis=1) for i in range(4)]
        found.append((chosen, eighths))
    return found
