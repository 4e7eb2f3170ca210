"""The anatomy after discretisation: where the cells are and how much of each cell belongs to which region.

One representation for images, phantoms and meshes: every cell carries the share of its volume taken by each named
region (shares sum to one). A labelled image gives shares of 0 or 1 away from borders; a sphere gives the exact share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from thermal.units import Array, Mask

FACES = ("x-", "x+", "y-", "y+", "z-", "z+")
"""Names of the six faces of a voxel window."""
SURFACE = "surface"
"""Name of the border between tissue and the void outside the body."""
VOID = "void"
"""Region name of everything outside the body."""


class Level(Protocol):
    """The border of a region, by a field that is zero there."""

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """Negative inside the region and positive outside, in proportion to the distance near the border; NaN where it
        is not known; places and result broadcast, m."""
        ...


@dataclass(frozen=True)
class VoxelDomain:
    """A tensor-product grid of voxels, in metres, in patient RAS orientation.

    ``axes``: three increasing arrays of node coordinates (nx,), (ny,), (nz,).
    ``shares``: region -> (cells,) share of each cell, C order of (nx-1, ny-1, nz-1); they sum to one in solid cells.
    ``solid``: (cells,) False for cells outside the body.
    ``levels``: region -> its border, of regions whose border is known better than by the shares.
    """

    axes: tuple[Array, Array, Array]
    shares: Mapping[str, Array]
    solid: Mask
    levels: Mapping[str, Level] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of nodes along each axis."""
        x, y, z = self.axes
        return len(x), len(y), len(z)

    @property
    def cell_shape(self) -> tuple[int, int, int]:
        """Number of cells along each axis."""
        x, y, z = self.axes
        return len(x) - 1, len(y) - 1, len(z) - 1

    @cached_property
    def widths(self) -> tuple[Array, Array, Array]:
        """Widths of the cells along each axis, m; those of neighbours that are equal but for round-off are equal."""
        x, y, z = self.axes
        return _widths(x), _widths(y), _widths(z)

    def centres(self) -> tuple[Array, Array, Array]:
        """Coordinates of the cell centres along each axis, m."""
        x, y, z = self.axes
        return 0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1]), 0.5 * (z[1:] + z[:-1])


def _widths(axis: Array) -> Array:
    """Differences of neighbours, the mean in their place where they go on unchanged to a part in 1e9."""
    widths = np.diff(axis)
    begin = np.flatnonzero(np.append(True, np.abs(np.diff(widths)) > 1e-9 * widths[1:]))
    count = np.diff(np.append(begin, len(widths)))
    return np.repeat(np.add.reduceat(widths, begin) / count, count)


@dataclass(frozen=True)
class MeshDomain:
    """Tetrahedra with named regions and boundaries.

    ``points``: (n, 3) m. ``cells``: (m, 4) node indices. ``shares``: region -> (m,).
    ``boundaries``: name -> (f, 3) node indices of its triangles; ``"surface"`` is the whole outer border.
    """

    points: Array
    cells: npt.NDArray[np.int64]
    shares: Mapping[str, Array]
    boundaries: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class AxisymmetricDomain:
    """Triangles of a half-plane through the patient's z axis; the body is what they sweep around that axis.

    ``points``: (n, 3) m, each (r, 0, z) with r >= 0. ``cells``: (m, 3) node indices. ``shares``: region -> (m,).
    ``boundaries``: name -> (f, 2) node indices of its segments; ``"surface"`` is the whole outer border, to which
    segments on the axis do not belong.
    """

    points: Array
    cells: npt.NDArray[np.int64]
    shares: Mapping[str, Array]
    boundaries: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class CutEdges:
    """Edges of a grid beside cells that an interface cuts.

    ``nodes``: (e, 2) nodes at the ends, the lower number first, sorted. ``factors``: (e,) what each conducts over what
    it would with the means of its cells.
    """

    nodes: npt.NDArray[np.int64]
    factors: Array

    def at(self, nodes: npt.NDArray[np.int64]) -> Array:
        """(f,) factors of other edges (f, 2), among which these are; one where they are not of these."""
        found = np.ones(len(nodes))
        size = int(nodes.max(initial=0)) + 1
        key = nodes[:, 0] * size + nodes[:, 1]
        found[np.searchsorted(key, self.nodes[:, 0] * size + self.nodes[:, 1])] = self.factors
        return found

    @staticmethod
    def product(*lists: CutEdges | None) -> CutEdges | None:
        """All edges that are in any of the ``lists``, with the product of their factors; None where there are none."""
        every = [edges for edges in lists if edges is not None]
        if len(every) < 2:
            return every[0] if every else None
        nodes = of_either([edges.nodes for edges in every])
        return CutEdges(nodes, np.prod([edges.at(nodes) for edges in every], axis=0))


def of_either(lists: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Pairs of nodes (e, 2), sorted, that are in any of the ``lists``."""
    size = max(int(pairs.max(initial=0)) for pairs in lists) + 1
    keys = np.concatenate([pairs[:, 0] * size + pairs[:, 1] for pairs in lists])
    keys.sort(kind="stable")  # lists in order are merged
    first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return np.stack(np.divmod(keys[first], size), axis=1)


Domain = VoxelDomain | MeshDomain | AxisymmetricDomain


def half_plane(at: Array) -> Array:
    """Points (q, 3) turned around the z axis to (r, 0, z), (q, 3)."""
    at = np.asarray(at, dtype=float)
    turned = np.zeros_like(at)
    turned[..., 0] = np.hypot(at[..., 0], at[..., 1])
    turned[..., 2] = at[..., 2]
    return turned


@dataclass(frozen=True)
class Facets:
    """Facets of simplices: those of one cell only, ``outer`` (f, d), turned outward where cells are positively
    oriented, and those that more than two cells claim, ``crowded`` (c, d)."""

    outer: npt.NDArray[np.int64]
    crowded: npt.NDArray[np.int64]


def sides(cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The facets (f, d) of all cells (m, d + 1), first those without corner 0: outward, as the cells are oriented."""
    # without corner i, the rest in an order of the orientation (-1)^i
    order = {3: [[1, 2], [2, 0], [0, 1]], 4: [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]}[cells.shape[1]]
    return np.concatenate([cells[:, rest] for rest in order])


def facets(cells: npt.NDArray[np.int64]) -> Facets:
    """Border of the cells (m, d + 1)."""
    every = sides(cells)
    key = facet_keys(every, int(cells.max(initial=0)) + 1)
    by_key = np.argsort(key)
    key = key[by_key]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    count = np.diff(np.append(first, len(key)))
    return Facets(every[np.sort(by_key[first[count == 1]])], every[by_key[first[count > 2]]])


def facet_keys(every: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """A number (f,) for each facet (f, d) of nodes below ``size``, the same for any order of its nodes."""
    if every.shape[1] == 2:
        return np.asarray(every.min(axis=1) * size + every.max(axis=1))
    a, b, c = every.T
    low, high = np.minimum(a, b), np.maximum(a, b)
    least, middle, most = np.minimum(low, c), np.maximum(low, np.minimum(high, c)), np.maximum(high, c)
    pair = least * size + middle
    if size > 2_000_000:  # three factors would overflow: number the pairs that occur
        pair = np.unique(pair, return_inverse=True)[1]
    return np.asarray(pair * size + most)


@dataclass(frozen=True)
class Line:
    """A thin cylinder: needle tip, cryoprobe, diffuser. Ends (3,) m, ``radius`` m."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float

    @property
    def length(self) -> float:
        """Length, m."""
        return float(np.linalg.norm(np.subtract(self.end, self.start)))


@dataclass(frozen=True)
class Ball:
    """A small sphere: infusion port, ball electrode, fibre tip. ``centre`` (3,) m, ``radius`` m."""

    centre: tuple[float, float, float]
    radius: float


Probe = Line | Ball


def ends(probe: Probe) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Both ends of a probe, (3,) m; the centre twice for a ball."""
    return (probe.start, probe.end) if isinstance(probe, Line) else (probe.centre, probe.centre)
