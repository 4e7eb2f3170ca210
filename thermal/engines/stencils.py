"""Symmetric stencils of 7 or 27 points on padded grids: the smoother and the residual of the multigrid cycle.

An operator is ``(A u)_i = s_i u_i + sum_j g_ij (u_i - u_j)``: conductances ``g`` (offsets, nx + 2, ny + 2, nz + 2) to
the neighbours ahead, each stored once, and ``s`` (nx + 2, ny + 2, nz + 2), what is left of the diagonal. All grids have
a border of zeros one node wide, so no kernel asks for the end of a row. Differences, not a stored diagonal, keep the
balance of strongly conducting parts in single precision.

Kernels work on the planes from ``begin`` to before ``end``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled_part, compiled_shared
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


@compiled_shared
def load(
    begin: int, end: int, gx: Array, gy: Array, gz: Array, extra: Array, free: Mask, scale: float, g: Grid, s: Grid
) -> None:
    """Fill the 7-point ``g`` (3, ...) and ``s``, zero before, with the operator times ``scale`` on the free nodes.

    What a free node exchanges with held ones goes to ``s``, like the added diagonal ``extra`` (nx, ny, nz).
    """
    nx, ny, nz = free.shape
    for i in range(begin, end):
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


@compiled_shared
def enter(begin: int, end: int, residual: Array, scale: float, rhs: Grid, u: Grid) -> None:
    """Put ``residual * scale`` (nx, ny, nz) into the padded ``rhs``, and zeros into ``u``."""
    _, ny, nz = residual.shape
    for i in range(begin, end):
        u[i + 1] = 0.0
        for j in range(ny):
            row, to = residual[i, j], rhs[i + 1, j + 1]
            for k in range(nz):
                to[k + 1] = row[k] * scale


@compiled_shared
def leave(begin: int, end: int, u: Grid, scale: float, out: Array) -> None:
    """``out`` (nx, ny, nz): the padded ``u`` times ``scale``."""
    _, ny, nz = out.shape
    for i in range(begin, end):
        for j in range(ny):
            row, to = u[i + 1, j + 1], out[i, j]
            for k in range(nz):
                to[k] = row[k + 1] * scale


@compiled_shared
def factor(begin: int, end: int, g: Grid, offsets: Index, s: Grid, pivot: Grid) -> None:
    """Inverse pivots of the elimination along each row; zero where there is nothing to solve."""
    _, ny, nz = s.shape
    main = np.empty(nz, np.float64)
    for i in range(begin, end):
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


@compiled_part
def _load_row(i: int, j: int, g: Grid, offsets: Index, rhs: Grid, u: Grid) -> None:
    """Put in the place of a row of ``u`` what its own equations have on their right, neighbours in the row apart."""
    nz = u.shape[2]
    row, source = u[i, j, 1:-1], rhs[i, j, 1:-1]
    for k in range(nz - 2):
        row[k] = source[k]
    for m in range(1, len(offsets)):
        di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
        ahead, after = g[m, i, j, 1:-1], u[i + di, j + dj, 1 + dk : nz - 1 + dk]
        behind, before = g[m, i - di, j - dj, 1 - dk : nz - 1 - dk], u[i - di, j - dj, 1 - dk : nz - 1 - dk]
        for k in range(nz - 2):
            row[k] += ahead[k] * after[k] + behind[k] * before[k]


@compiled_part
def _solve_row(along: Grid, inverse: Grid, row: Grid) -> None:
    """Solve along a row, in place."""
    last = row[0] - row[0]
    for k in range(row.size):
        last = row[k] * inverse[k] + along[k] * inverse[k] * last
        row[k] = last
    for k in range(row.size - 2, -1, -1):
        last = row[k] + along[k + 1] * inverse[k] * last
        row[k] = last


@compiled_part
def _solve_four(along: Grid, inverse: Grid, rows: Grid) -> None:
    """Four rows at once (4, n): each step waits for the one before it, so the processor is given four to wait for."""
    a0, a1, a2, a3 = along[0], along[1], along[2], along[3]
    p0, p1, p2, p3 = inverse[0], inverse[1], inverse[2], inverse[3]
    r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    b0 = b1 = b2 = b3 = r0[0] - r0[0]
    for k in range(r0.size):
        b0 = r0[k] * p0[k] + a0[k] * p0[k] * b0
        b1 = r1[k] * p1[k] + a1[k] * p1[k] * b1
        b2 = r2[k] * p2[k] + a2[k] * p2[k] * b2
        b3 = r3[k] * p3[k] + a3[k] * p3[k] * b3
        r0[k], r1[k], r2[k], r3[k] = b0, b1, b2, b3
    for k in range(r0.size - 2, -1, -1):
        b0 = r0[k] + a0[k + 1] * p0[k] * b0
        b1 = r1[k] + a1[k + 1] * p1[k] * b1
        b2 = r2[k] + a2[k + 1] * p2[k] * b2
        b3 = r3[k] + a3[k + 1] * p3[k] * b3
        r0[k], r1[k], r2[k], r3[k] = b0, b1, b2, b3


@compiled_shared
def smooth(
    begin: int, end: int, g: Grid, offsets: Index, pivot: Grid, rhs: Grid, u: Grid, odd: int, backwards: bool
) -> None:
    """Gauss-Seidel on every second plane, which do not see each other: exact along each row, row after row.

    In groups of four such planes, from group ``begin`` to before ``end`` (see :func:`groups`).
    """
    nx, ny, _ = u.shape
    for group in range(begin, end):
        first = 8 * group + 1 + odd
        last = min(first + 8, nx - 1)
        planes = range(first, last, 2)
        for step in range(1, ny - 1):
            j = ny - 1 - step if backwards else step
            for i in planes:
                _load_row(i, j, g, offsets, rhs, u)
            if len(planes) == 4:
                along, inverse, rows = g[0, first:last:2, j], pivot[first:last:2, j, 1:-1], u[first:last:2, j, 1:-1]
                _solve_four(along, inverse, rows)
            else:
                for i in planes:
                    _solve_row(g[0, i, j], pivot[i, j, 1:-1], u[i, j, 1:-1])


def groups(planes: int, odd: int) -> int:
    """Groups that :func:`smooth` has in a padded grid of so many planes."""
    return (planes - odd + 5) // 8


@compiled_shared
def residual(begin: int, end: int, g: Grid, offsets: Index, s: Grid, rhs: Grid, u: Grid, out: Grid) -> None:
    """``out = rhs - A u``."""
    _, ny, nz = u.shape
    for i in range(begin, end):
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
