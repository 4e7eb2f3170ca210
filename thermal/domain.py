"""The anatomy after discretisation: where the cells are and how much of each cell belongs to which region.

One representation for images, phantoms and meshes: every cell carries the share of its volume taken by each named
region (shares sum to one). A labelled image gives shares of 0 or 1 away from borders; a sphere gives the exact share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from thermal.units import Array, Mask

FACES = ("x-", "x+", "y-", "y+", "z-", "z+")
"""Names of the six faces of a voxel window."""
SURFACE = "surface"
"""Name of the border between tissue and the void outside the body."""


@dataclass(frozen=True)
class VoxelDomain:
    """A tensor-product grid of voxels, in metres, in patient RAS orientation.

    ``axes``: three increasing arrays of node coordinates (nx,), (ny,), (nz,).
    ``shares``: region -> (cells,) share of each cell, C order of (nx-1, ny-1, nz-1); they sum to one in solid cells.
    ``solid``: (cells,) False for cells outside the body.
    """

    axes: tuple[Array, Array, Array]
    shares: Mapping[str, Array]
    solid: Mask

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

    def centres(self) -> tuple[Array, Array, Array]:
        """Coordinates of the cell centres along each axis, m."""
        x, y, z = self.axes
        return 0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1]), 0.5 * (z[1:] + z[:-1])


@dataclass(frozen=True)
class MeshDomain:
    """Tetrahedra with named regions and boundaries.

    ``points``: (n, 3) m. ``cells``: (m, 4) node indices. ``shares``: region -> (m,).
    ``boundaries``: name -> (f, 3) node indices of its triangles; ``"surface"`` is the whole outer border.
    """

    points: Array
    cells: npt.NDArray[np.int64]
    shares: Mapping[str, Array]
    boundaries: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=lambda: MappingProxyType({}))


Domain = VoxelDomain | MeshDomain


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
