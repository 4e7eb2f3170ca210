"""Geometric multigrid on tensor-product grids: the preconditioner of the voxel engine's steady solves.

Vertex-centred V(1,1) cycles with red-black Gauss-Seidel and trilinear transfers (W. L. Briggs, V. E. Henson,
S. F. McCormick, A Multigrid Tutorial, SIAM 2000). Coarse grids keep every second node of each axis (and the last);
coarse coefficients are the volume-weighted means of the merged cells, the simple rule that holds for thin insulators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines import kernels
from thermal.engines.compiled import compiled
from thermal.units import Array, Mask

FEWEST_CELLS = 3  # along any axis of the coarsest grid that is still halved

Axis = tuple[npt.NDArray[np.int64], Array, Array]
"""Of each coarse node: its fine node, and the weights of the fine nodes before and after it."""


@compiled
def _relax(gx: Array, gy: Array, gz: Array, inverse: Array, rhs: Array, u: Array, colour: int) -> None:
    """Gauss-Seidel on the nodes of one colour; ``inverse`` is the inverse diagonal, zero where u is held at zero."""
    nx, ny, nz = u.shape
    for i in nb.prange(nx):
        for j in range(ny):
            for k in range((i + j + colour) % 2, nz, 2):
                flow = rhs[i, j, k]
                if i > 0:
                    flow += gx[i - 1, j, k] * u[i - 1, j, k]
                if i < nx - 1:
                    flow += gx[i, j, k] * u[i + 1, j, k]
                if j > 0:
                    flow += gy[i, j - 1, k] * u[i, j - 1, k]
                if j < ny - 1:
                    flow += gy[i, j, k] * u[i, j + 1, k]
                if k > 0:
                    flow += gz[i, j, k - 1] * u[i, j, k - 1]
                if k < nz - 1:
                    flow += gz[i, j, k] * u[i, j, k + 1]
                u[i, j, k] = flow * inverse[i, j, k]


@compiled
def _restrict(
    fine: Array,
    cx: npt.NDArray[np.int64],
    lx: Array,
    rx: Array,
    cy: npt.NDArray[np.int64],
    ly: Array,
    ry: Array,
    cz: npt.NDArray[np.int64],
    lz: Array,
    rz: Array,
    coarse: Array,
) -> None:
    """Transpose of trilinear interpolation."""
    for a in nb.prange(len(cx)):
        for b in range(len(cy)):
            for c in range(len(cz)):
                gathered = 0.0
                for di in range(-1, 2):
                    wi = lx[a] if di < 0 else rx[a] if di > 0 else 1.0
                    if wi == 0.0:
                        continue
                    for dj in range(-1, 2):
                        wj = ly[b] if dj < 0 else ry[b] if dj > 0 else 1.0
                        if wj == 0.0:
                            continue
                        row = fine[cx[a] + di, cy[b] + dj]
                        line = row[cz[c]]
                        if lz[c] != 0.0:
                            line += lz[c] * row[cz[c] - 1]
                        if rz[c] != 0.0:
                            line += rz[c] * row[cz[c] + 1]
                        gathered += wi * wj * line
                coarse[a, b, c] = gathered


@compiled
def _prolong(
    coarse: Array,
    px: npt.NDArray[np.int64],
    sx: Array,
    py: npt.NDArray[np.int64],
    sy: Array,
    pz: npt.NDArray[np.int64],
    sz: Array,
    free: Mask,
    u: Array,
) -> None:
    """Add the trilinear interpolation of ``coarse``; of each fine node ``p`` is the coarse node before, ``s`` the share
    of the one after."""
    nx, ny, nz = u.shape
    for i in nb.prange(nx):
        for j in range(ny):
            a, b = px[i], py[j]
            a1, b1 = min(a + 1, coarse.shape[0] - 1), min(b + 1, coarse.shape[1] - 1)
            w00, w01 = (1.0 - sx[i]) * (1.0 - sy[j]), (1.0 - sx[i]) * sy[j]
            w10, w11 = sx[i] * (1.0 - sy[j]), sx[i] * sy[j]
            for k in range(nz):
                if not free[i, j, k]:
                    continue
                c = pz[k]
                c1 = min(c + 1, coarse.shape[2] - 1)
                low = w00 * coarse[a, b, c] + w01 * coarse[a, b1, c] + w10 * coarse[a1, b, c] + w11 * coarse[a1, b1, c]
                high = (
                    w00 * coarse[a, b, c1]
                    + w01 * coarse[a, b1, c1]
                    + w10 * coarse[a1, b, c1]
                    + w11 * coarse[a1, b1, c1]
                )
                u[i, j, k] += (1.0 - sz[k]) * low + sz[k] * high


@dataclass(frozen=True)
class _Level:
    """One grid: conductances, inverse diagonal (zero at held nodes), and the way down to the next coarser one."""

    g: tuple[Array, Array, Array]
    diagonal: Array
    inverse: Array
    free: Mask
    down: tuple[Axis, Axis, Axis] | None
    up: tuple[tuple[npt.NDArray[np.int64], Array], ...]

    def solved(self) -> Array:
        """(n, n) pseudo-inverse of the operator on the free nodes of a grid of a few nodes."""
        size = self.free.size
        matrix = np.empty((size, size))
        image = np.empty(self.free.shape)
        for column in range(size):
            unit = np.zeros(size)
            unit[column] = 1.0
            kernels.apply(*self.g, unit.reshape(self.free.shape), image)
            matrix[:, column] = image.ravel() + self.diagonal.ravel() * unit
        among = np.outer(self.free, self.free)
        return np.asarray(np.linalg.pinv(np.where(among, matrix, 0.0), rcond=1e-12, hermitian=True))


def _halved(axis: Array) -> npt.NDArray[np.int64]:
    """Fine nodes kept by the coarse axis: every second one and the last; all of a short axis."""
    last = len(axis) - 1
    if last <= FEWEST_CELLS:
        return np.arange(last + 1)
    kept = np.arange(0, last + 1, 2)
    return kept if kept[-1] == last else np.append(kept, last)


def _transfer(axis: Array, kept: npt.NDArray[np.int64]) -> tuple[Axis, tuple[npt.NDArray[np.int64], Array]]:
    """Weights of restriction and of prolongation along one axis."""
    parent = np.clip(np.searchsorted(kept, np.arange(len(axis)), side="right") - 1, 0, len(kept) - 1)
    after = np.minimum(parent + 1, len(kept) - 1)
    width = axis[kept[after]] - axis[kept[parent]]
    share = np.divide(axis - axis[kept[parent]], width, out=np.zeros(len(axis)), where=width > 0)
    left, right = np.zeros(len(kept)), np.zeros(len(kept))
    for fine in np.setdiff1d(np.arange(len(axis)), kept):
        left[parent[fine] + 1] = share[fine]
        right[parent[fine]] = 1.0 - share[fine]
    return (kept, left, right), (parent, share)


def _merged(k: Array, axes: tuple[Array, Array, Array], kept: tuple[npt.NDArray[np.int64], ...]) -> Array:
    """Volume-weighted mean of the merged cells."""
    for axis in range(3):
        h = np.diff(axes[axis])
        shape = [1, 1, 1]
        shape[axis] = -1
        sums = np.add.reduceat(k * h.reshape(shape), kept[axis][:-1], axis=axis)
        k = sums / np.diff(axes[axis][kept[axis]]).reshape(shape)
    return np.ascontiguousarray(k)


class Multigrid:
    """A V-cycle for ``(K + diag) u = r`` on the free nodes of a voxel grid; call it on a residual (n,)."""

    def __init__(self, axes: tuple[Array, Array, Array], k: Array, diagonal: Array, free: Mask) -> None:
        """``k`` (cells) coefficient, ``diagonal`` (n,) added to K, ``free`` (n,) nodes that are solved for."""
        nodes = (len(axes[0]), len(axes[1]), len(axes[2]))
        self._levels: list[_Level] = []
        k = k.reshape(nodes[0] - 1, nodes[1] - 1, nodes[2] - 1)
        extra, mask = diagonal.reshape(nodes), free.reshape(nodes)
        while True:
            g = kernels.edge_conductances(k, *(np.diff(axis) for axis in axes))
            main = np.empty(mask.shape)
            kernels.diagonal(*g, main)
            main += extra
            mask = mask & (main > 0)
            inverse = np.divide(1.0, main, out=np.zeros_like(main), where=mask)
            kept = tuple(_halved(axis) for axis in axes)
            if all(len(coarse) == len(axis) for coarse, axis in zip(kept, axes, strict=True)):
                self._levels.append(_Level(g, extra, inverse, mask, None, ()))
                self._coarsest = self._levels[-1].solved()
                return
            pairs = [_transfer(axis, coarse) for axis, coarse in zip(axes, kept, strict=True)]
            down = (pairs[0][0], pairs[1][0], pairs[2][0])
            self._levels.append(_Level(g, extra, inverse, mask, down, tuple(pair[1] for pair in pairs)))
            k = _merged(k, axes, kept)
            coarse_extra = np.empty((len(kept[0]), len(kept[1]), len(kept[2])))
            _restrict(np.ascontiguousarray(extra), *down[0], *down[1], *down[2], coarse_extra)
            extra = coarse_extra
            mask = np.ascontiguousarray(mask[np.ix_(*kept)])
            axes = (axes[0][kept[0]], axes[1][kept[1]], axes[2][kept[2]])

    def __call__(self, residual: Array) -> Array:
        """Approximate solution of one V(1,1) cycle from zero, (n,) -> (n,)."""
        return self._cycle(0, residual.reshape(self._levels[0].free.shape)).ravel()

    def _cycle(self, depth: int, rhs: Array) -> Array:
        level = self._levels[depth]
        u = np.zeros_like(rhs)
        if level.down is None:
            return np.asarray(self._coarsest @ rhs.ravel()).reshape(rhs.shape)
        for colour in (0, 1):
            _relax(*level.g, level.inverse, rhs, u, colour)
        left = np.empty_like(rhs)
        kernels.apply(*level.g, u, left)
        left += level.diagonal * u
        np.subtract(rhs, left, out=left)
        left *= level.free
        coarse_rhs = np.empty(self._levels[depth + 1].free.shape)
        _restrict(left, *level.down[0], *level.down[1], *level.down[2], coarse_rhs)
        coarse_rhs *= self._levels[depth + 1].free
        correction = self._cycle(depth + 1, coarse_rhs)
        (px, sx), (py, sy), (pz, sz) = level.up
        _prolong(correction, px, sx, py, sy, pz, sz, level.free, u)
        for colour in (1, 0):
            _relax(*level.g, level.inverse, rhs, u, colour)
        return u
