"""A finer grid over a part of a voxel grid, and how fields pass between the two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from thermal.domain import VoxelDomain
from thermal.engines.coefficients import check_cells, check_field
from thermal.engines.on_demand import OnDemand
from thermal.units import Array

if TYPE_CHECKING:
    from thermal.engines.voxel import VoxelEngine


Along = tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]
Parents = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


class Split(NamedTuple):
    """A grid with split cells; matrices that interpolate to its planes along each axis; which cell each came from."""

    domain: VoxelDomain
    interpolation: Along
    parents: Parents


def split(domain: VoxelDomain, parts: Sequence[npt.NDArray[np.int64]]) -> Split:
    """``parts``: into how many equal ones each cell is split, along each axis."""
    axes, parents, interpolation = [], [], []
    for axis, counts in zip(domain.axes, parts, strict=True):
        parent = np.repeat(np.arange(len(counts)), counts)
        within = np.concatenate([np.arange(count) / count for count in counts])
        start = np.append(parent, len(counts) - 1)
        share = np.append(within, 1.0)
        axes.append(axis[start] * (1.0 - share) + axis[start + 1] * share)
        parents.append(parent)
        rows = np.arange(len(share))
        entries = np.concatenate([1.0 - share, share]), (np.tile(rows, 2), np.concatenate([start, start + 1]))
        interpolation.append(sparse.csr_array(entries, shape=(len(share), len(axis))))
    pick, cells = np.ix_(*parents), domain.cell_shape
    fine = VoxelDomain(
        (axes[0], axes[1], axes[2]),
        OnDemand(tuple(domain.shares), lambda name: domain.shares[name].reshape(cells)[pick].ravel()),
        domain.solid.reshape(cells)[pick].ravel(),
    )
    return Split(fine, (interpolation[0], interpolation[1], interpolation[2]), (parents[0], parents[1], parents[2]))


@dataclass(frozen=True)
class VoxelWindow:
    """A grid whose cells subdivide the cells of the coarse one."""

    engine: VoxelEngine
    interpolation: Along
    parents: Parents
    coarse_shape: tuple[int, int, int]

    def to_fine(self, u: Array) -> Array:
        """Trilinear interpolation, (n,) -> (nf,)."""
        check_field(u, math.prod(self.coarse_shape))
        return _tensor_apply(self.interpolation, u.reshape(self.coarse_shape)).ravel()

    def cells_to_fine(self, k: Array) -> Array:
        """Each fine cell takes the value of the coarse cell it lies in, (m,) -> (mf,)."""
        cx, cy, cz = self.coarse_shape
        check_cells(k, (cx - 1) * (cy - 1) * (cz - 1))
        return k.reshape(cx - 1, cy - 1, cz - 1)[np.ix_(*self.parents)].ravel()

    def restrict(self, amount: Array) -> Array:
        """Transpose of :meth:`to_fine`, (nf,) -> (n,); conserves the total."""
        check_field(amount, math.prod(self.engine.domain.shape))
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
