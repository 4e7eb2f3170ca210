"""Analytic shapes and the share of each cell that they cover.

Shapes are painted in order, later ones cover earlier ones. A cell that no surface cuts belongs to one region; a cut
cell is divided into ``SAMPLES`` slices along each axis, and further at every face of a box or layer inside the cell, so
that faces on the axes are exact and curved surfaces are counted by sub-cells; each sub-cell belongs to the last shape
over its centre, which keeps the painter's rule right inside the cell.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, model_validator

from thermal.anatomy.built import VOID, RegionName
from thermal.anatomy.grid import Axes, Lengths
from thermal.errors import CaseError
from thermal.units import Array, Coordinate, Length, Point, Spec

SAMPLES = 8
"""Sub-cells along each axis of a cut cell: a 10 mm sphere on 1 mm voxels is then within 0.05 % of its volume."""
_BLOCK = 2_000_000  # cells, or sub-cells, worked on at once: bounds the memory of temporaries

Index = npt.NDArray[np.int64]


class _Shape(Spec):
    region: RegionName
    """the region that it paints; ``"void"`` is outside the body"""

    @abstractmethod
    def level(self, x: Array, y: Array, z: Array) -> Array:
        """Negative inside, positive outside; never larger in size than the distance to the surface, m."""

    def breaks(self, axis: int) -> tuple[float, ...]:
        """Coordinates of faces perpendicular to an axis, m."""
        return ()


class Sphere(_Shape):
    """All points within ``radius`` of ``centre``."""

    shape: Literal["sphere"] = "sphere"
    centre: Point
    """patient RAS"""
    radius: Length
    """of the sphere"""

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """See :class:`_Shape`."""
        a, b, c = self.centre
        level: Array = np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - self.radius
        return level


class Ellipsoid(_Shape):
    """Semi-axes ``radii`` along x, y, z."""

    shape: Literal["ellipsoid"]
    centre: Point
    """patient RAS"""
    radii: tuple[Length, Length, Length]
    """semi-axes along x, y, z"""

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """See :class:`_Shape`. Scaling by the radii is Lipschitz with 1/min(radii), hence the bound."""
        a, b, c = self.centre
        p, q, r = self.radii
        scaled = np.sqrt(((x - a) / p) ** 2 + ((y - b) / q) ** 2 + ((z - c) / r) ** 2)
        level: Array = (scaled - 1.0) * min(self.radii)
        return level


class Box(_Shape):
    """A box on the axes with edges ``size`` around ``centre``."""

    shape: Literal["box"]
    centre: Point
    """patient RAS"""
    size: Lengths
    """edges: one length or three"""

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """See :class:`_Shape`."""
        sides = [abs(p - c) - 0.5 * s for p, c, s in zip((x, y, z), self.centre, self.size, strict=True)]
        level: Array = np.maximum(np.maximum(sides[0], sides[1]), sides[2])
        return level

    def breaks(self, axis: int) -> tuple[float, ...]:
        """See :class:`_Shape`."""
        return self.centre[axis] - 0.5 * self.size[axis], self.centre[axis] + 0.5 * self.size[axis]


class Cylinder(_Shape):
    """A straight cylinder from ``start`` to ``end`` with flat ends: vessel, needle track, rib."""

    shape: Literal["cylinder"]
    start: Point
    """middle of one end"""
    end: Point
    """middle of the other end"""
    radius: Length
    """of the cylinder"""

    @model_validator(mode="after")
    def _long(self) -> Cylinder:
        if not np.linalg.norm(np.subtract(self.end, self.start)) > 0:
            raise ValueError("start and end of a cylinder must differ")
        return self

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """See :class:`_Shape`."""
        axis = np.subtract(self.end, self.start)
        length = float(np.linalg.norm(axis))
        u, v, w = axis / length
        a, b, c = self.start
        along = (x - a) * u + (y - b) * v + (z - c) * w
        squared = (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 - along**2
        level: Array = np.maximum(np.sqrt(np.maximum(squared, 0.0)) - self.radius, abs(along - length / 2) - length / 2)
        return level


class Layer(_Shape):
    """A slab across the whole window between two coordinates of one axis; without ``from`` or ``to`` a half-space."""

    model_config = ConfigDict(populate_by_name=True)

    shape: Literal["layer"]
    axis: Literal["x", "y", "z"]
    """the axis that the slab is perpendicular to"""
    lower: Coordinate | None = Field(default=None, alias="from")
    """where it begins"""
    upper: Coordinate | None = Field(default=None, alias="to")
    """where it ends"""

    @model_validator(mode="after")
    def _ordered(self) -> Layer:
        if self.lower is None and self.upper is None:
            raise ValueError('a layer needs "from", "to" or both')
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(f'"from" ({self.lower * 1e3:g} mm) must be less than "to" ({self.upper * 1e3:g} mm)')
        return self

    def level(self, x: Array, y: Array, z: Array) -> Array:
        """See :class:`_Shape`."""
        p = (x, y, z)["xyz".index(self.axis)] + 0.0 * (x + y + z)
        below = np.full_like(p, -np.inf) if self.lower is None else self.lower - p
        above = np.full_like(p, -np.inf) if self.upper is None else p - self.upper
        level: Array = np.maximum(below, above)
        return level

    def breaks(self, axis: int) -> tuple[float, ...]:
        """See :class:`_Shape`."""
        return tuple(p for p in (self.lower, self.upper) if p is not None) if "xyz".index(self.axis) == axis else ()


Shape = Annotated[Sphere | Ellipsoid | Box | Cylinder | Layer, Field(discriminator="shape")]


@dataclass(frozen=True)
class Border:
    """The border of a ``region`` among ``shapes`` painted over a ``background``: a :class:`thermal.domain.Level`."""

    region: str
    background: str
    shapes: tuple[_Shape, ...]

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """Negative inside, positive outside, m."""
        level = np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), np.inf)
        level *= -1.0 if self.region == self.background else 1.0
        for shape in self.shapes:
            own = shape.level(x, y, z)
            level = np.minimum(level, own) if shape.region == self.region else np.maximum(level, -own)
        return level


def borders(background: str, shapes: Sequence[_Shape]) -> dict[str, Border]:
    """The border of every region to all others but the void: no tissue lies beyond that one."""
    tissue = tuple(shape for shape in shapes if shape.region != VOID)
    regions = dict.fromkeys([background, *(shape.region for shape in tissue)])
    return {region: Border(region, background, tissue) for region in regions}


def paint(axes: Axes, background: str, shapes: Sequence[_Shape]) -> dict[str, Array]:
    """Share of every cell taken by each region, (cells,) each, regions in order of first appearance; sums to one.

    Regions that end without volume are left out.
    """
    names = list(dict.fromkeys([background, *(shape.region for shape in shapes)]))
    if len(names) > 120:
        raise CaseError(f"anatomy.shapes: {len(names)} regions; at most 120 are possible")
    counts = tuple(len(axis) - 1 for axis in axes)
    shares = {name: np.zeros(counts) for name in names}
    slices = [_sub_cells(axis, [b for shape in shapes for b in shape.breaks(a)]) for a, axis in enumerate(axes)]
    for slab in _slabs(counts):
        owner, cut = _whole_cells((axes[0][slab.start : slab.stop + 1], axes[1], axes[2]), shapes, names)
        for code, name in enumerate(names):
            shares[name][slab] = (owner == code) & ~cut
        _count_sub_cells(slab.start, np.argwhere(cut), slices, shapes, names, shares)
    return {name: share.ravel() for name, share in shares.items() if share.any()}


def coverage(axes: Axes, shape: _Shape) -> Array:
    """Share of every cell covered by one shape, (cells,)."""
    painted = paint(axes, "outside" if shape.region != "outside" else "beyond", [shape])
    empty = np.zeros(int(np.prod([len(axis) - 1 for axis in axes])))
    return painted.get(shape.region, empty)


def _slabs(counts: tuple[int, ...]) -> Iterator[slice]:
    thickness = max(1, _BLOCK // (counts[1] * counts[2]))
    for start in range(0, counts[0], thickness):
        yield slice(start, min(start + thickness, counts[0]))


def _whole_cells(
    axes: Axes, shapes: Sequence[_Shape], names: Sequence[str]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """Owner of each cell by its centre, and which cells a visible surface may cut."""
    centres = np.ix_(*(0.5 * (axis[1:] + axis[:-1]) for axis in axes))
    widths = np.ix_(*(np.diff(axis) for axis in axes))
    x, y, z = centres
    reach = 0.5 * np.sqrt(widths[0] ** 2 + widths[1] ** 2 + widths[2] ** 2) * (1 + 1e-9)
    owner = np.zeros(reach.shape, dtype=np.int8)
    cut = np.zeros(reach.shape, dtype=bool)
    for shape in shapes:
        level = shape.level(x, y, z)
        owner[level < 0] = names.index(shape.region)
        cut &= ~(level < -reach)
        cut |= abs(level) <= reach
    return owner, cut


def _sub_cells(axis: Array, breaks: Sequence[float]) -> tuple[Array, Array]:
    """Centres and relative widths of the slices of every cell along one axis, (cells, slices) each."""
    lower, upper = axis[:-1, None], axis[1:, None]
    inside = sorted({b for b in breaks if axis[0] < b < axis[-1]})
    cell = np.searchsorted(axis, inside, side="right") - 1
    most = int(np.bincount(cell).max()) if inside else 0
    extra = np.repeat(lower, most, axis=1)
    rank = np.zeros(len(axis) - 1, dtype=int)
    for place, coordinate in zip(cell, inside, strict=True):
        extra[place, rank[place]] = coordinate
        rank[place] += 1
    edges = np.sort(np.concatenate([lower + (upper - lower) * np.linspace(0, 1, SAMPLES + 1), extra], axis=1), axis=1)
    return 0.5 * (edges[:, 1:] + edges[:, :-1]), np.diff(edges, axis=1) / (upper - lower)


def _count_sub_cells(
    first: int,
    cells: Index,
    slices: Sequence[tuple[Array, Array]],
    shapes: Sequence[_Shape],
    names: Sequence[str],
    shares: dict[str, Array],
) -> None:
    """Add the shares of the cut ``cells`` (k, 3) of the slab that begins at x index ``first``."""
    samples = int(np.prod([centre.shape[1] for centre, _ in slices]))
    block = max(1, _BLOCK // samples)
    for start in range(0, len(cells), block):
        i, j, k = np.add(cells[start : start + block], (first, 0, 0)).T
        (x, p), (y, q), (z, r) = (
            (centre[at], width[at]) for (centre, width), at in zip(slices, (i, j, k), strict=True)
        )
        x, y, z = x[:, :, None, None], y[:, None, :, None], z[:, None, None, :]
        owner = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=np.int8)
        for shape in shapes:
            owner[shape.level(x, y, z) < 0] = names.index(shape.region)
        for code, name in enumerate(names):
            shares[name][i, j, k] = np.einsum("nijk,ni,nj,nk->n", (owner == code).astype(float), p, q, r, optimize=True)
