"""Symmetric stencils of 7 or 27 points on padded grids: the smoother and the residual of the multigrid cycle.

An operator is ``(A u)_i = s_i u_i + sum_j g_ij (u_i - u_j)``: conductances ``g`` (offsets, nx + 2, ny + 2, nz + 2) to
the neighbours ahead, each stored once, and ``s`` (nx + 2, ny + 2, nz + 2), what is left of the diagonal. All grids have
a border of zeros one node wide, so no kernel asks for the end of a row. Differences, not a stored diagonal, keep the
balance of strongly conducting parts in single precision.

Each kernel is a loop over planes around a part that is compiled once for the variants of :func:`compiled`.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled, compiled_part
from thermal.units import Array, Mask

Grid = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

SEVEN = np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)])
"""Offsets ahead (3, 3) of the 7-point stencil; the one along a row comes first."""
ALL = np.array(
    [(0, 0, 1)] + [(i, j, k) for i in (0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) > (0, 0, 1)]
)
"""Offsets ahead (13, 3) of the 27-point stencil."""

LEAST_PIVOT = 1e-5
"""Of a row's elimination, as a share of the diagonal: a row that nothing holds is singular."""


@compiled_part
def _load_plane(
    i: int, gx: Array, gy: Array, gz: Array, extra: Array, free: Mask, scale: float, g: Grid, s: Grid
) -> None:
    nx, ny, nz = free.shape
    for j in range(ny):
        for k in range(nz):
            if not free[i, j, k]:
                continue
            held = extra[i, j, k]
            if i > 0 and not free[i - 1, j, k]:
                held += gx[i - 1, j, k]
            if i < nx - 1:
                if free[i + 1, j, k]:
                    g[2, i + 1, j + 1, k + 1] = gx[i, j, k] * scale
                else:
                    held += gx[i, j, k]
            if j > 0 and not free[i, j - 1, k]:
                held += gy[i, j - 1, k]
            if j < ny - 1:
                if free[i, j + 1, k]:
                    g[1, i + 1, j + 1, k + 1] = gy[i, j, k] * scale
                else:
                    held += gy[i, j, k]
            if k > 0 and not free[i, j, k - 1]:
                held += gz[i, j, k - 1]
            if k < nz - 1:
                if free[i, j, k + 1]:
                    g[0, i + 1, j + 1, k + 1] = gz[i, j, k] * scale
                else:
                    held += gz[i, j, k]
            s[i + 1, j + 1, k + 1] = held * scale


@compiled
def load(gx: Array, gy: Array, gz: Array, extra: Array, free: Mask, scale: float, g: Grid, s: Grid) -> None:
    """Fill the 7-point ``g`` (3, ...) and ``s``, zero before, with the operator times ``scale`` on the free nodes.

    What a free node exchanges with held ones goes to ``s``, like the added diagonal ``extra`` (nx, ny, nz).
    """
    for i in nb.prange(free.shape[0]):
        _load_plane(i, gx, gy, gz, extra, free, scale, g, s)


@compiled_part
def _factor_plane(i: int, g: Grid, offsets: Index, s: Grid, pivot: Grid) -> None:
    _, ny, nz = s.shape
    main = np.empty(nz, np.float64)
    for j in range(1, ny - 1):
        own = s[i, j]
        for k in range(nz):
            main[k] = own[k]
        for m in range(len(offsets)):
            di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
            ahead, behind = g[m, i, j], g[m, i - di, j - dj]
            for k in range(1, nz - 1):
                main[k] += ahead[k] + behind[k - dk]
        row, along = pivot[i, j], g[0, i, j]
        before = 0.0
        for k in range(1, nz - 1):
            left = max(main[k] - before * along[k - 1] * along[k - 1], LEAST_PIVOT * main[k])
            before = 1.0 / left if left > 0.0 else 0.0
            row[k] = before


@compiled
def factor(g: Grid, offsets: Index, s: Grid, pivot: Grid) -> None:
    """Inverse pivots of the elimination along each row; zero where there is nothing to solve."""
    for i in nb.prange(1, s.shape[0] - 1):
        _factor_plane(i, g, offsets, s, pivot)


@compiled_part
def _smooth_plane(i: int, g: Grid, offsets: Index, pivot: Grid, rhs: Grid, u: Grid, backwards: bool) -> None:
    _, ny, nz = u.shape
    for step in range(1, ny - 1):
        j = ny - 1 - step if backwards else step
        row, source = u[i, j, 1:-1], rhs[i, j, 1:-1]
        size = row.size
        for k in range(size):
            row[k] = source[k]
        for m in range(1, len(offsets)):
            di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
            ahead, after = g[m, i, j, 1:-1], u[i + di, j + dj, 1 + dk : nz - 1 + dk]
            behind, before = g[m, i - di, j - dj, 1 - dk : nz - 1 - dk], u[i - di, j - dj, 1 - dk : nz - 1 - dk]
            for k in range(size):
                row[k] += ahead[k] * after[k] + behind[k] * before[k]
        along, inverse = g[0, i, j], pivot[i, j, 1:-1]
        last = row[0] - row[0]
        for k in range(size):
            last = row[k] * inverse[k] + along[k] * inverse[k] * last
            row[k] = last
        for step_back in range(1, size):
            k = size - 1 - step_back
            last = row[k] + along[k + 1] * inverse[k] * last
            row[k] = last


@compiled
def smooth(g: Grid, offsets: Index, pivot: Grid, rhs: Grid, u: Grid, odd: int, backwards: bool) -> None:
    """Gauss-Seidel on every second plane, which do not see each other: exact along each row, row after row."""
    for half in nb.prange((u.shape[0] - 1 - odd) // 2):
        _smooth_plane(2 * half + 1 + odd, g, offsets, pivot, rhs, u, backwards)


@compiled_part
def _residual_plane(i: int, g: Grid, offsets: Index, s: Grid, rhs: Grid, u: Grid, out: Grid) -> None:
    _, ny, nz = u.shape
    for j in range(1, ny - 1):
        row, centre = out[i, j, 1:-1], u[i, j, 1:-1]
        source, held = rhs[i, j, 1:-1], s[i, j, 1:-1]
        for k in range(row.size):
            row[k] = source[k] - held[k] * centre[k]
        for m in range(len(offsets)):
            di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
            ahead, after = g[m, i, j, 1:-1], u[i + di, j + dj, 1 + dk : nz - 1 + dk]
            behind, before = g[m, i - di, j - dj, 1 - dk : nz - 1 - dk], u[i - di, j - dj, 1 - dk : nz - 1 - dk]
            for k in range(row.size):
                row[k] -= ahead[k] * (centre[k] - after[k]) + behind[k] * (centre[k] - before[k])


@compiled
def residual(g: Grid, offsets: Index, s: Grid, rhs: Grid, u: Grid, out: Grid) -> None:
    """``out = rhs - A u``."""
    for i in nb.prange(1, u.shape[0] - 1):
        _residual_plane(i, g, offsets, s, rhs, u, out)
