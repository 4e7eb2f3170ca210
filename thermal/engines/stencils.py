"""Symmetric stencils of 7 or 27 points on padded grids: the smoother and the residual of the multigrid cycle.

An operator is ``(A u)_i = s_i u_i + sum_j g_ij (u_i - u_j)``: conductances ``g`` (offsets, nx + 2, ny + 2, nz + 2) to
the neighbours ahead, each stored once, and ``s`` (nx + 2, ny + 2, nz + 2), what is left of the diagonal. All grids have
a border of zeros one node wide, so no kernel asks for the end of a row, and a plane can be read as one long row.
Differences, not a stored diagonal, keep the balance of strongly conducting parts in single precision.

The smoother is Gauss-Seidel: odd planes, then even ones; in a plane row after row, each solved exactly. The sums over
neighbours that are not visited just before, most of a sweep's work, are taken over long stretches of a plane.

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

STRETCH = 8192
"""Nodes of a plane that are worked on together: many, for loops that are long, and few enough to stay near."""
LEAST_PIVOT = 1e-5
"""Of a row's elimination, as a share of the diagonal: a row that nothing holds is singular."""


@compiled_shared
def load(
    begin: int, end: int, gx: Array, gy: Array, gz: Array, extra: Array, free: Mask, scale: float, g: Grid, s: Grid
) -> None:
    """Fill the 7-point ``g`` and ``s``, zero before, with the operator times ``scale`` on the free nodes.

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
def enter(begin: int, end: int, residual: Array, scale: float, rhs: Grid) -> None:
    """Put ``residual * scale`` (nx, ny, nz) into the padded ``rhs``."""
    _, ny, nz = residual.shape
    for i in range(begin, end):
        for j in range(ny):
            row, to = residual[i, j], rhs[i + 1, j + 1]
            for k in range(nz):
                to[k + 1] = row[k] * scale


@compiled_shared
def leave(begin: int, end: int, u: Grid, scale: float, out: Grid) -> None:
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
    main = np.empty(nz - 2, np.float64)
    for i in range(begin, end):
        for j in range(1, ny - 1):
            held = s[i, j, 1:-1]
            for k in range(nz - 2):
                main[k] = held[k]
            for m in range(len(offsets)):
                di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
                ahead, behind = g[m, i, j, 1:-1], g[m, i - di, j - dj, 1 - dk : nz - 1 - dk]
                for k in range(nz - 2):
                    main[k] += ahead[k] + behind[k]
            row, along = pivot[i, j, 1:-1], g[0, i, j]
            before = 0.0
            for k in range(nz - 2):
                left = max(main[k] - before * along[k] * along[k], LEAST_PIVOT * main[k])
                before = 1.0 / left if left > 0.0 else 0.0
                row[k] = before


@compiled_part
def _gather(
    i: int, start: int, stop: int, nz: int, fresh: bool, beside: bool, backwards: bool, along: Grid, offsets: Index,
    source: Grid, values: Grid, out: Grid,
) -> None:  # fmt: skip
    """``out`` (rows * nz,): what the equations of the rows of plane ``i`` from ``start`` to before ``stop`` have on
    their right, but for the rows visited before them.

    Of a ``fresh`` ``u`` the planes ``beside``, if these were visited, and nothing else.
    """
    first, last = start * nz + 1, stop * nz - 1
    to = out[1 : 1 + last - first]
    right = source[i, first:last]
    for n in range(to.size):
        to[n] = right[n]
    for m in range(1, len(offsets)):
        di, shift = offsets[m, 0], offsets[m, 1] * nz + offsets[m, 2]
        ahead, after = along[m, i, first:last], values[i + di, first + shift : last + shift]
        behind, before = along[m, i - di, first - shift : last - shift], values[i - di, first - shift : last - shift]
        if di == 0 and not fresh:
            if backwards:
                ahead, after = behind, before
            for n in range(to.size):
                to[n] += ahead[n] * after[n]
        if di == 1 and (beside or not fresh):
            for n in range(to.size):
                to[n] += ahead[n] * after[n] + behind[n] * before[n]


@compiled_part
def _follow(i: int, j: int, backwards: bool, g: Grid, u: Grid, row: Grid) -> None:
    """Add to row ``j`` what it gets from the row before it, or behind."""
    before, at = (u[i, j + 1], j) if backwards else (u[i, j - 1], j - 1)
    if len(g) == 3:
        level = g[1, i, at]
        for k in range(1, row.size - 1):
            row[k] += level[k] * before[k]
        return
    left, level, right = g[1, i, at], g[2, i, at], g[3, i, at]
    if backwards:
        for k in range(row.size - 2):
            row[k + 1] += left[k + 1] * before[k] + level[k + 1] * before[k + 1] + right[k + 1] * before[k + 2]
    else:
        for k in range(row.size - 2):
            row[k + 1] += right[k] * before[k] + level[k + 1] * before[k + 1] + left[k + 2] * before[k + 2]


@compiled_part
def _solve_four(planes: Index, j: int, g: Grid, pivot: Grid, right: Grid, u: Grid) -> None:
    """Solve along row ``j`` of four planes at once: each step waits for the one before it, so the processor is given
    four to wait for. ``right`` (4, nz)."""
    a, b, c, d = planes[0], planes[1], planes[2], planes[3]
    a0, a1, a2, a3 = g[0, a, j], g[0, b, j], g[0, c, j], g[0, d, j]
    p0, p1, p2, p3 = pivot[a, j], pivot[b, j], pivot[c, j], pivot[d, j]
    r0, r1, r2, r3 = right[0], right[1], right[2], right[3]
    u0, u1, u2, u3 = u[a, j], u[b, j], u[c, j], u[d, j]
    b0 = b1 = b2 = b3 = u0[0]  # the border: zero
    for k in range(1, r0.size - 1):
        b0 = r0[k] * p0[k] + a0[k - 1] * p0[k] * b0
        b1 = r1[k] * p1[k] + a1[k - 1] * p1[k] * b1
        b2 = r2[k] * p2[k] + a2[k - 1] * p2[k] * b2
        b3 = r3[k] * p3[k] + a3[k - 1] * p3[k] * b3
        u0[k], u1[k], u2[k], u3[k] = b0, b1, b2, b3
    for k in range(r0.size - 3, 0, -1):
        b0 = u0[k] + a0[k] * p0[k] * b0
        b1 = u1[k] + a1[k] * p1[k] * b1
        b2 = u2[k] + a2[k] * p2[k] * b2
        b3 = u3[k] + a3[k] * p3[k] * b3
        u0[k], u1[k], u2[k], u3[k] = b0, b1, b2, b3


@compiled_part
def _relax(
    planes: Index, start: int, stop: int, fresh: bool, beside: bool, backwards: bool, g: Grid, along: Grid,
    offsets: Index, pivot: Grid, source: Grid, u: Grid, values: Grid, room: Grid,
) -> None:  # fmt: skip
    """Solve the rows from ``start`` to before ``stop`` of four planes that do not see each other, in their order."""
    if planes[0] == 0:
        return
    nz = u.shape[2]
    for r in range(4):
        if planes[r] > 0:
            _gather(planes[r], start, stop, nz, fresh, beside, backwards, along, offsets, source, values, room[r])
        else:
            room[r] = 0.0
    for step in range(stop - start):
        j = stop - 1 - step if backwards else start + step
        right = room[:, (j - start) * nz : (j - start + 1) * nz]
        for r in range(4):
            if planes[r] > 0:
                _follow(planes[r], j, backwards, g, u, right[r])
        _solve_four(planes, j, g, pivot, right, u)


def smooth(
    begin: int, end: int, first: Index, second: Index, g: Grid, offsets: Index, pivot: Grid, rhs: Grid, u: Grid,
    backwards: bool, fresh: bool,
) -> None:  # fmt: skip
    """Gauss-Seidel on groups of planes: exact along each row, row after row, in the ``first`` planes of a group and
    then in the ``second``, between them; of both (groups, 4), 0 for none. See :func:`turns` for the whole sweep.

    In strips of rows: the second planes follow a strip behind the first, while what both need is still near.
    Forwards, a first sweep may find ``u`` ``fresh``: it counts as zero, whatever is there.
    """
    flat = _flat(g), offsets, pivot, _flat(rhs), u, _flat(u)
    _smooth(begin, end, first, second, g, *flat, backwards, fresh)


def _flat(grid: Grid) -> Grid:
    """The rows of each plane as one, for loops that take many rows at once; kernels that reshape compile for longer."""
    return grid.reshape(*grid.shape[:-2], -1)


@compiled_shared
def _smooth(
    begin: int, end: int, first: Index, second: Index, g: Grid, along: Grid, offsets: Index, pivot: Grid, source: Grid,
    u: Grid, values: Grid, backwards: bool, fresh: bool,
) -> None:  # fmt: skip
    """:func:`smooth`, with the flat forms of ``g``, the right-hand side and ``u``."""
    _, ny, nz = u.shape
    rows = max(STRETCH // nz, 1)
    strips = -(-(ny - 2) // rows)
    room = np.empty((4, rows * nz), u.dtype)
    for group in range(begin, end):
        for strip in range(strips + 1):
            for turn in range(2):
                start = 1 + (strip - turn) * rows
                stop = min(start + rows, ny - 1)
                if backwards:
                    start, stop = ny - stop, ny - start
                if 0 <= strip - turn < strips:
                    planes = second[group] if turn else first[group]
                    switches = fresh, turn == 1, backwards
                    _relax(planes, start, stop, *switches, g, along, offsets, pivot, source, u, values, room)


def turns(planes: int) -> tuple[Index, Index, Index]:
    """Groups (n, 4) for :func:`smooth` of so many planes: odd ones, which do not see each other, the even ones between
    those of a group, and the even ones between two groups, on which cores would meet.

    Forwards the odd are the first and the even the second, and those between groups wait; backwards all is turned.
    """
    start = 8 * np.arange(-(-planes // 8))[:, None]
    seams = 8 + start[: planes // 8, 0]
    between = np.zeros((-(-len(seams) // 4), 4), np.int64)
    between.flat[: len(seams)] = seams
    odd, even = np.add(start, [1, 3, 5, 7]), np.add(start, [2, 4, 6, planes + 1])
    return np.where(odd <= planes, odd, 0), np.where(even <= planes, even, 0), between


def residual(begin: int, end: int, g: Grid, offsets: Index, s: Grid, rhs: Grid, u: Grid, out: Grid) -> None:
    """``out = rhs - A u``."""
    _residual(begin, end, u.shape[2], _flat(g), offsets, _flat(s), _flat(rhs), _flat(u), _flat(out))


@compiled_shared
def _residual(
    begin: int, end: int, nz: int, along: Grid, offsets: Index, s: Grid, rhs: Grid, values: Grid, out: Grid
) -> None:
    size = values.shape[1]
    for i in range(begin, end):
        found, source, held = out[i], rhs[i], s[i]
        for first in range(nz + 1, size - nz - 1, STRETCH):
            last = min(first + STRETCH, size - nz - 1)
            to, right, own, centre = found[first:last], source[first:last], held[first:last], values[i, first:last]
            for n in range(to.size):
                to[n] = right[n] - own[n] * centre[n]
            for m in range(len(offsets)):
                di, shift = offsets[m, 0], offsets[m, 1] * nz + offsets[m, 2]
                ahead, after = along[m, i, first:last], values[i + di, first + shift : last + shift]
                back = slice(first - shift, last - shift)
                behind, before = along[m, i - di, back], values[i - di, back]
                for n in range(to.size):
                    to[n] -= ahead[n] * (centre[n] - after[n]) + behind[n] * (centre[n] - before[n])
