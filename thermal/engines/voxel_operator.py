"""The 7-point stencil of the voxel engine as an operator."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thermal.domain import VoxelDomain
from thermal.engines import kernels
from thermal.engines.arrays import Index
from thermal.engines.coefficients import check_nodal
from thermal.engines.islands import Labels, of_grid
from thermal.engines.linear import Apply
from thermal.units import Array, Mask


@dataclass(frozen=True)
class VoxelOperator:
    """Edge conductances along the three axes; see :class:`thermal.engine.Operator`."""

    gx: Array
    gy: Array
    gz: Array
    shape: tuple[int, int, int]

    @property
    def along(self) -> tuple[Array, Array, Array]:
        """The conductances along x, y and z."""
        return self.gx, self.gy, self.gz

    @property
    def links(self) -> Iterator[tuple[tuple[int, int, int], Array]]:
        """The conductances, each with the offset of its second node."""
        yield (1, 0, 0), self.gx
        yield (0, 1, 0), self.gy
        yield (0, 0, 1), self.gz

    @cached_property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node."""
        out = np.empty(self.shape)
        kernels.diagonal(0, self.shape[0], self.gx, self.gy, self.gz, out)
        return out.ravel()

    @property
    def bound(self) -> Array:
        """(n,) b with ``u . K u <= sum b u^2`` (Gershgorin)."""
        return 2.0 * self.diagonal

    def __call__(self, u: Array) -> Array:
        """K u, (n,) -> (n,)."""
        check_nodal(u, math.prod(self.shape), "what an operator is applied to")
        out = np.empty(self.shape)
        kernels.apply(0, self.shape[0], self.gx, self.gy, self.gz, np.ascontiguousarray(u).reshape(self.shape), out)
        return out.ravel()

    def islands(self) -> Labels:
        """See :class:`thermal.engines.islands.Joined`."""
        return of_grid(self.shape, self.links)

    def within(self, diagonal: Array, free: Mask) -> Apply:
        """``K u + diagonal u`` on the free nodes (n,), zero elsewhere; in one pass, into a buffer that the next call
        overwrites."""
        shape, out = self.shape, np.empty(self.shape)
        extra, kept = np.ascontiguousarray(diagonal).reshape(shape), free.reshape(shape)

        def apply(u: Array) -> Array:
            kernels.apply_within(0, shape[0], self.gx, self.gy, self.gz, extra, kept, u.reshape(shape), out)
            return out.ravel()

        return apply

    def dissipation(self, u: Array) -> Array:
        """(n,) half of ``G_ij (u_i - u_j)^2`` over the edges of each node."""
        check_nodal(u, math.prod(self.shape), "what an operator is applied to")
        out = np.empty(self.shape)
        kernels.dissipation(0, self.shape[0], self.gx, self.gy, self.gz, u.reshape(self.shape), out)
        return out.ravel()


def box_laplacian(domain: VoxelDomain, nodes: Index) -> Apply:
    """Operator of unit conductivity on the ``nodes`` (k,) of a box of the grid, for what is zero outside it."""
    ends = [np.array(np.unravel_index(node, domain.shape)) for node in (nodes[0], nodes[-1])]
    count = tuple(ends[1] - ends[0] + 1)
    low, high = np.maximum(ends[0] - 1, 0), np.minimum(ends[1] + 1, np.array(domain.shape) - 1)
    cells = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    solid = np.ascontiguousarray(domain.solid.reshape(domain.cell_shape)[cells], dtype=float)
    widths = (h[along] for h, along in zip(domain.widths, cells, strict=True))
    operator = VoxelOperator(*kernels.edge_conductances(solid, *widths), tuple(high - low + 1))
    inside = tuple(slice(a, a + n) for a, n in zip(ends[0] - low, count, strict=True))

    def laplacian(u: Array) -> Array:
        whole = np.zeros(operator.shape)
        whole[inside] = u.reshape(count)
        return operator(whole.ravel()).reshape(operator.shape)[inside].ravel()

    return laplacian
