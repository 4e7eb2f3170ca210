"""Compiled kernels of the voxel engine: 7-point Q1 operator with vertex quadrature on a tensor-product grid.

Arrays are three-dimensional and C-ordered: nodes ``(nx, ny, nz)``, cells ``(nx-1, ny-1, nz-1)``, edge conductances
``gx (nx-1, ny, nz)``, ``gy (nx, ny-1, nz)``, ``gz (nx, ny, nz-1)``.
"""

from __future__ import annotations

import numpy as np

from thermal.engines.compiled import compiled_inline, compiled_part, compiled_shared
from thermal.units import Array, Mask

STRETCH = 8192
"""Nodes of a plane that are worked on together, plane after plane, so that neighbours are still near the processor."""


@compiled_part
def _gather_edges(k: Array, hx: Array, hy: Array, hz: Array, gx: Array, gy: Array, gz: Array) -> None:
    """Fill the conductances row by row; two passes over each cell row keep the inner loops free of dependencies."""
    cx, cy, cz = k.shape
    for i in range(cx + 1):
        if i < cx:
            for j in range(cy + 1):
                row = gx[i, j]
                row[:] = 0.0
                for cj in range(max(j - 1, 0), min(j + 1, cy)):
                    a, cells = 0.25 * hy[cj] / hx[i], k[i, cj]
                    for m in range(cz):
                        row[m] += a * hz[m] * cells[m]
                    for m in range(cz):
                        row[m + 1] += a * hz[m] * cells[m]
        for j in range(cy + 1):
            along_y = j < cy
            row_z = gz[i, j]
            row_z[:] = 0.0
            for ci in range(max(i - 1, 0), min(i + 1, cx)):
                for cj in range(max(j - 1, 0), min(j + 1, cy)):
                    a, cells = 0.25 * hx[ci] * hy[cj], k[ci, cj]
                    for m in range(cz):
                        row_z[m] += a / hz[m] * cells[m]
            if along_y:
                row_y = gy[i, j]
                row_y[:] = 0.0
                for ci in range(max(i - 1, 0), min(i + 1, cx)):
                    a, cells = 0.25 * hx[ci] / hy[j], k[ci, j]
                    for m in range(cz):
                        row_y[m] += a * hz[m] * cells[m]
                    for m in range(cz):
                        row_y[m + 1] += a * hz[m] * cells[m]


def edge_conductances(k: Array, hx: Array, hy: Array, hz: Array) -> tuple[Array, Array, Array]:
    """Conductances of the edges: each carries a quarter of ``k volume / h^2`` of the four cells around it."""
    cx, cy, cz = k.shape
    gx, gy, gz = np.empty((cx, cy + 1, cz + 1)), np.empty((cx + 1, cy, cz + 1)), np.empty((cx + 1, cy + 1, cz))
    _gather_edges(k, hx, hy, hz, gx, gy, gz)
    return gx, gy, gz


@compiled_inline
def _to_one(g: Array, centre: Array, other: Array, out: Array) -> None:
    """Add to ``out`` what goes from the nodes ``centre`` to the ``other`` ones."""
    for n in range(out.size):
        out[n] += g[n] * (centre[n] - other[n])


@compiled_inline
def _to_both(g: Array, h: Array, centre: Array, one: Array, other: Array, out: Array) -> None:
    """Add to ``out`` what goes from the nodes ``centre`` to those on two sides."""
    for n in range(out.size):
        out[n] += g[n] * (centre[n] - one[n]) + h[n] * (centre[n] - other[n])


@compiled_part
def _apply_rows(
    i: int, first: int, last: int, ny: int, nz: int, gx: Array, gy: Array, gz: Array, u: Array, out: Array
) -> None:
    """``out`` (rows times nz) of ``K u`` on the rows of plane ``i`` from ``first`` to before ``last``, as one long row
    along the axes across them; the other arrays have a row for each plane."""
    nx = len(u)
    for j in range(first, last):
        row, centre = out[(j - first) * nz : (j - first + 1) * nz], u[i, j * nz : (j + 1) * nz]
        g = gz[i, j * (nz - 1) : (j + 1) * (nz - 1)]
        row[0] = g[0] * (centre[0] - centre[1])
        row[nz - 1] = g[nz - 2] * (centre[nz - 1] - centre[nz - 2])
        for m in range(nz - 2):
            row[m + 1] = g[m] * (centre[m + 1] - centre[m]) + g[m + 1] * (centre[m + 1] - centre[m + 2])
    begin, end = first * nz, last * nz
    values, across = u[i], gy[i]
    centre, before, after = values[begin:end], max(i - 1, 0), min(i + 1, nx - 1)
    g, h = gx[before, begin:end], gx[after - 1, begin:end]
    one, other = u[before, begin:end], u[after, begin:end]
    if 0 < i < nx - 1:
        _to_both(g, h, centre, one, other, out)
    elif i > 0:
        _to_one(g, centre, one, out)
    else:
        _to_one(h, centre, other, out)
    if first == 0:
        _to_one(across[:nz], centre[:nz], values[nz : 2 * nz], out[:nz])
        begin = nz
    if last == ny:
        end -= nz
        _to_one(across[end - nz :], values[end:], values[end - nz : end], out[out.size - nz :])
    inner = out[begin - first * nz : end - first * nz]
    g, h = across[begin - nz : end - nz], across[begin:end]
    _to_both(g, h, values[begin:end], values[begin - nz : end - nz], values[begin + nz : end + nz], inner)


def apply(begin: int, end: int, gx: Array, gy: Array, gz: Array, u: Array, out: Array) -> None:
    """``out = K u``: the sum of ``G_ij (u_i - u_j)`` over the edges of each node."""
    _apply(begin, end, *u.shape[1:], *(a.reshape(len(a), -1) for a in (gx, gy, gz, u, out)))


@compiled_shared
def _apply(begin: int, end: int, ny: int, nz: int, gx: Array, gy: Array, gz: Array, u: Array, out: Array) -> None:
    rows = max(STRETCH // nz, 1)
    for first in range(0, ny, rows):
        last = min(first + rows, ny)
        for i in range(begin, end):
            _apply_rows(i, first, last, ny, nz, gx, gy, gz, u, out[i, first * nz : last * nz])


def apply_within(
    begin: int, end: int, gx: Array, gy: Array, gz: Array, diagonal: Array, free: Mask, u: Array, out: Array
) -> None:
    """``out = K u + diagonal u`` on the ``free`` nodes, zero elsewhere."""
    fields = (a.reshape(len(a), -1) for a in (gx, gy, gz, diagonal, free, u, out))
    _apply_within(begin, end, *u.shape[1:], *fields)


@compiled_shared
def _apply_within(
    begin: int, end: int, ny: int, nz: int, gx: Array, gy: Array, gz: Array, diagonal: Array, free: Mask, u: Array,
    out: Array,
) -> None:  # fmt: skip
    rows = max(STRETCH // nz, 1)
    for first in range(0, ny, rows):
        last = min(first + rows, ny)
        low, high = first * nz, last * nz
        for i in range(begin, end):
            to, centre = out[i, low:high], u[i, low:high]
            extra, kept = diagonal[i, low:high], free[i, low:high]
            _apply_rows(i, first, last, ny, nz, gx, gy, gz, u, to)
            for n in range(to.size):
                to[n] = to[n] + extra[n] * centre[n] if kept[n] else 0.0


@compiled_shared
def dissipation(begin: int, end: int, gx: Array, gy: Array, gz: Array, u: Array, out: Array) -> None:
    """Half of ``G_ij (u_i - u_j)^2`` summed over the edges of each node."""
    nx, ny, nz = u.shape
    for i in range(begin, end):
        for j in range(ny):
            for m in range(nz):
                c = u[i, j, m]
                q = 0.0
                if i > 0:
                    q += gx[i - 1, j, m] * (c - u[i - 1, j, m]) ** 2
                if i < nx - 1:
                    q += gx[i, j, m] * (c - u[i + 1, j, m]) ** 2
                if j > 0:
                    q += gy[i, j - 1, m] * (c - u[i, j - 1, m]) ** 2
                if j < ny - 1:
                    q += gy[i, j, m] * (c - u[i, j + 1, m]) ** 2
                if m > 0:
                    q += gz[i, j, m - 1] * (c - u[i, j, m - 1]) ** 2
                if m < nz - 1:
                    q += gz[i, j, m] * (c - u[i, j, m + 1]) ** 2
                out[i, j, m] = 0.5 * q


@compiled_shared
def diagonal(begin: int, end: int, gx: Array, gy: Array, gz: Array, out: Array) -> None:
    """Sum of the conductances of each node."""
    nx, ny, nz = out.shape
    for i in range(begin, end):
        for j in range(ny):
            row, g = out[i, j], gz[i, j]
            row[:] = 0.0
            for m in range(nz - 1):
                row[m] += g[m]
            for m in range(nz - 1):
                row[m + 1] += g[m]
            for other in range(max(i - 1, 0), min(i + 1, nx - 1)):
                g = gx[other, j]
                for m in range(nz):
                    row[m] += g[m]
            for other in range(max(j - 1, 0), min(j + 1, ny - 1)):
                g = gy[i, other]
                for m in range(nz):
                    row[m] += g[m]


@compiled_part
def cell_means(u: Array, out: Array) -> None:
    """Mean of the eight nodes of each cell."""
    cx, cy, cz = out.shape
    for i in range(cx):
        for j in range(cy):
            a, b, c, d = u[i, j], u[i, j + 1], u[i + 1, j], u[i + 1, j + 1]
            row = out[i, j]
            for m in range(cz):
                row[m] = 0.125 * (a[m] + b[m] + c[m] + d[m] + a[m + 1] + b[m + 1] + c[m + 1] + d[m + 1])


@compiled_part
def add_to_corners(part: Array, lower: Array, upper: Array) -> None:
    """Add a ``part`` of each cell between two planes of nodes, ``lower`` and ``upper``, to its eight corners."""
    rows, last = part.shape[0], part.shape[1]
    for j in range(rows + 1):
        row, other = part[min(j, rows - 1)], part[max(j - 1, 0)]
        inner = 1.0 if 0 < j < rows else 0.0
        below, above = lower[j], upper[j]
        for node, cell in ((0, 0), (last, last - 1)):
            share = row[cell] + inner * other[cell]
            below[node] += share
            above[node] += share
        for m in range(1, last):
            share = row[m - 1] + row[m] + inner * (other[m - 1] + other[m])
            below[m] += share
            above[m] += share
