"""Orthogonal planes through the body as a radiologist looks at them, and fields sampled on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.domain import Domain, VoxelDomain
from thermal.units import Array
from thermal.view.cells import MM

PIXELS = 320
"""Along each side of a slice."""
CT_WINDOW = (-160.0, 240.0)
"""Hounsfield units from black to white: the usual window for the abdomen (level 40, width 400)."""
AIR = -1000.0
"""Hounsfield units outside the image."""


@dataclass(frozen=True)
class Plane:
    """A slice as a radiologist looks at it.

    ``across`` and ``up``: patient axis (0, 1, 2) along the picture and its sign. ``edges``: letters at the left, right,
    bottom and top of the picture.
    """

    name: str
    normal: int
    across: tuple[int, int]
    up: tuple[int, int]
    edges: tuple[str, str, str, str]


PLANES = (
    Plane("Axial, seen from the feet", 2, (0, -1), (1, 1), ("R", "L", "P", "A")),
    Plane("Coronal, seen from the front", 1, (0, -1), (2, 1), ("R", "L", "I", "S")),
    Plane("Sagittal, seen from the left", 0, (1, -1), (2, 1), ("A", "P", "I", "S")),
)


@dataclass(frozen=True)
class Cut:
    """A square of pixels on a plane: ``centre`` (3,) mm and half of its side, mm."""

    plane: Plane
    centre: Array
    half: float
    pixels: int = PIXELS

    def lines(self) -> tuple[Array, Array, Array]:
        """Patient coordinates x, y, z in mm along the square: (pixels,) along two of them, (1,) across the plane."""
        offsets = np.linspace(-self.half, self.half, self.pixels)
        found = [np.array([value]) for value in self.centre]
        for axis, sign in (self.plane.across, self.plane.up):
            found[axis] = self.centre[axis] + sign * offsets
        return found[0], found[1], found[2]

    def points(self) -> Array:
        """(rows, columns, 3) mm from the lower left of the picture."""
        return np.stack([self.picture(line) for line in np.meshgrid(*self.lines(), indexing="ij")], axis=-1)

    def picture(self, block: Any) -> Any:
        """A block over :meth:`lines` (one pixel thick) as rows and columns."""
        flat = np.squeeze(block, axis=self.plane.normal)
        return flat.T if self.plane.across[0] < self.plane.up[0] else flat

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the picture around zero, mm."""
        return (-self.half, self.half, -self.half, self.half)


def sample(
    domain: Domain, cut: Cut, nodal: Mapping[str, Array] | None = None, cells: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Fields on the pixels of a cut: ``nodal`` (n,) each are interpolated, ``cells`` (m,) each taken as they are.

    Outside the domain: NaN.
    """
    if isinstance(domain, VoxelDomain):
        return _of_voxels(domain, cut, nodal or {}, cells or {})
    from thermal.view import grids

    mesh = grids.grid(domain)
    for data, values in ((mesh.point_data, nodal or {}), (mesh.cell_data, cells or {})):
        for name, field in values.items():
            data[name] = np.asarray(field, dtype=float)
    probed = grids.sample(domain, mesh, cut.points().reshape(-1, 3))
    valid = np.asarray(probed["vtkValidPointMask"]).astype(bool)
    shape = (cut.pixels, cut.pixels)
    return {
        name: np.where(valid, np.asarray(probed[name], dtype=float), np.nan).reshape(shape)
        for name in (*(nodal or {}), *(cells or {}))
    }


def _of_voxels(
    domain: VoxelDomain, cut: Cut, nodal: Mapping[str, Array], cells: Mapping[str, Array]
) -> dict[str, Array]:
    """Axis by axis, since the pixels lie along the axes of the grid."""
    lines = [line / MM for line in cut.lines()]
    before = [
        np.clip(np.searchsorted(axis, line, side="right") - 1, 0, len(axis) - 2)
        for axis, line in zip(domain.axes, lines, strict=True)
    ]
    within = [(line >= axis[0]) & (line <= axis[-1]) for axis, line in zip(domain.axes, lines, strict=True)]
    x, y, z = within
    inside = cut.picture(x[:, None, None] & y[:, None] & z)
    order = sorted(range(3), key=lambda axis: len(lines[axis]))  # the thin one first: least work
    found = {}
    for name, field in nodal.items():
        block = field.reshape(domain.shape)
        for axis in order:
            block = _between(block, axis, domain.axes[axis], before[axis], lines[axis])
        found[name] = np.where(inside, cut.picture(block), np.nan)
    for name, field in cells.items():
        block = field.reshape(domain.cell_shape)[np.ix_(*before)]
        found[name] = np.where(inside, cut.picture(block), np.nan)
    return found


def _between(block: Array, axis: int, places: Array, before: npt.NDArray[np.int64], at: Array) -> Array:
    """Linear interpolation along one axis."""
    weight = (at - places[before]) / (places[before + 1] - places[before])
    weight = weight.reshape([-1 if k == axis else 1 for k in range(3)])
    return np.asarray((1.0 - weight) * block.take(before, axis) + weight * block.take(before + 1, axis))


def corners(domain: VoxelDomain, point: Array) -> tuple[npt.NDArray[np.int64], Array]:
    """Nodes (8,) around a point (3,) mm and their weights, trilinear; none outside the domain."""
    nodes: npt.NDArray[np.int64] = np.zeros(1, dtype=np.int64)
    weights: Array = np.ones(1)
    for axis, at in zip(domain.axes, np.asarray(point) / MM, strict=True):
        if not axis[0] <= at <= axis[-1]:
            return np.empty(0, dtype=np.int64), np.empty(0)
        before = int(np.clip(np.searchsorted(axis, at, side="right") - 1, 0, len(axis) - 2))
        share = (at - axis[before]) / (axis[before + 1] - axis[before])
        nodes = (nodes[:, None] * len(axis) + np.array([before, before + 1])).ravel()
        weights = (weights[:, None] * np.array([1.0 - share, share])).ravel()
    return nodes, weights


def sample_image(background: tuple[Array, Array], cut: Cut) -> Array:
    """An image (values and affine from voxel index to m) on the pixels of a cut, (rows, columns)."""
    from scipy import ndimage  # a third of a second, for which who sees no image does not wait

    values, affine = background
    places = cut.points().reshape(-1, 3).T / MM
    voxel = np.linalg.inv(affine) @ np.concatenate([places, np.ones((1, places.shape[1]))])
    shades = ndimage.map_coordinates(values, voxel[:3], order=1, mode="constant", cval=AIR)
    return np.asarray(shades).reshape(cut.pixels, cut.pixels)
