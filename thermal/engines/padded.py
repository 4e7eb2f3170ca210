"""Arrays of a voxel grid inside a ring of ghosts, as the kernels of the heat march want them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from thermal.domain import VoxelDomain
from thermal.engines.arrays import Box, Real
from thermal.enthalpy import Nodes
from thermal.heat import WORKING, Precision
from thermal.units import Array

_Number = TypeVar("_Number", bound=np.floating[Any])


class Padded:
    """Nodes and cells of a grid inside a ring of ghosts, in the working precision."""

    def __init__(self, domain: VoxelDomain, precision: Precision) -> None:
        self.shape = domain.shape
        self.dtype = WORKING[precision]
        self._nodes = tuple(count + 2 for count in self.shape)
        widths = domain.widths
        inverse_squares: list[Real] = [np.pad(width**-2.0, 1).astype(self.dtype) for width in widths]
        self.inverse_squares = (inverse_squares[0], inverse_squares[1], inverse_squares[2])
        """of the cells' edges along each axis, 1/m2"""
        self._quarter = 0.25 * widths[0][:, None, None] * widths[1][None, :, None], widths[2]
        self._solid = domain.solid.reshape(domain.cell_shape)

    @property
    def whole(self) -> Box:
        """The box of all nodes."""
        nx, ny, nz = self.shape
        return np.array([1, nx + 1, 1, ny + 1, 1, nz + 1])

    def shaped(self, u: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """A nodal array (n,) on the grid without a ring."""
        return u.reshape(self.shape)

    def nodes(self) -> Real:
        """Zeros at nodes."""
        return np.zeros(self._nodes, self.dtype)

    def fill(self, u: Array) -> Real:
        """A nodal array (n,) in the ring."""
        padded = self.nodes()
        padded[1:-1, 1:-1, 1:-1] = self.shaped(u)
        return padded

    def empty(self, padded: Real) -> Array:
        """The nodal array (n,) in a ring."""
        return padded[1:-1, 1:-1, 1:-1].astype(np.float64).ravel()

    def cells(self) -> Real:
        """Zeros at cells."""
        return np.zeros(tuple(count - 1 for count in self._nodes), self.dtype)

    def conducting(self, k: Array) -> Array:
        """A quarter of the coefficient (m,) times the volume of each cell, on the grid without a ring."""
        across, along = self._quarter
        coefficients = k.reshape(self._solid.shape) * across
        coefficients *= along
        coefficients *= self._solid
        return coefficients

    def places(self, nodes: Nodes) -> Nodes:
        """Where nodes lie in a flat padded array."""
        i, j, k = np.unravel_index(nodes, self.shape)
        return np.ravel_multi_index((i + 1, j + 1, k + 1), self._nodes)
