"""A finer grid over a part of a voxel grid, and how fields pass between the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from thermal.units import Array

if TYPE_CHECKING:
    from thermal.engines.voxel import VoxelEngine


@dataclass(frozen=True)
class VoxelWindow:
    """A grid whose cells subdivide the cells of the coarse one."""

    engine: VoxelEngine
    interpolation: tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]
    parents: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]
    coarse_shape: tuple[int, int, int]

    def to_fine(self, u: Array) -> Array:
        """Trilinear interpolation, (n,) -> (nf,)."""
        return _tensor_apply(self.interpolation, u.reshape(self.coarse_shape)).ravel()

    def cells_to_fine(self, k: Array) -> Array:
        """Each fine cell takes the value of the coarse cell it lies in, (m,) -> (mf,)."""
        cx, cy, cz = self.coarse_shape
        return k.reshape(cx - 1, cy - 1, cz - 1)[np.ix_(*self.parents)].ravel()

    def restrict(self, amount: Array) -> Array:
        """Transpose of :meth:`to_fine`, (nf,) -> (n,); conserves the total."""
        back = tuple(matrix.T.tocsr() for matrix in self.interpolation)
        return _tensor_apply(back, amount.reshape(self.engine.domain.shape)).ravel()


def _tensor_apply(matrices: tuple[sparse.csr_array, ...], u: Array) -> Array:
    """Apply one matrix along each of the three axes."""
    for axis, matrix in enumerate(matrices):
        moved = np.moveaxis(u, axis, 0)
        rest = moved.shape[1:]
        result = matrix @ moved.reshape(moved.shape[0], -1)
        u = np.moveaxis(np.asarray(result).reshape(-1, *rest), 0, axis)
    return np.ascontiguousarray(u)
