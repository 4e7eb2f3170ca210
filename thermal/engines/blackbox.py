"""Transfers between grids that follow the coefficients, and the coarse operators they make.

Black-box interpolation (R. E. Alcouffe, A. Brandt, J. E. Dendy, J. W. Painter, SIAM J. Sci. Stat. Comput. 2 (1981)
430-454; J. E. Dendy, J. Comput. Phys. 48 (1982) 366-386): a fine node between coarse ones takes the value that balances
its own equation, summed over the axes along which it is in line with them. Coarse operators are Galerkin products.

Weights are kept by coarse node: ``w`` (27, cx + 2, cy + 2, cz + 2) of the fine nodes at the offsets -1..1 around it, in
C order. Grids and operators are those of :mod:`thermal.engines.stencils`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled_inline, compiled_part, compiled_shared
from thermal.engines.stencils import ALL, Grid, Index
from thermal.units import Array

Flags = npt.NDArray[np.bool_]

CENTRE = 13
"""Place of the offset (0, 0, 0) among the 27."""
STRETCH = 32
"""Nodes of a coarse row that are worked on together, so that what they reach stays near the processor."""


@compiled_part
def _interpolate_row(
    i: int, j: int, a: int, b: int, c: int, g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index,
    those: Index, near: Array, w: Grid, lost: Grid,
) -> None:  # fmt: skip
    """The nodes ``those`` of a row, which lie between coarse ones along x, y, z where ``a``, ``b``, ``c`` are one.

    ``near`` (27, nz - 2) is room for the conductances summed over the axes along which a node is in line.
    """
    nz = s.shape[2]
    coupled = np.zeros(27, np.bool_)
    for m in range(len(offsets)):
        di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
        of = 9 * a * di + 3 * b * dj + c * dk
        if of == 0:
            continue
        if not coupled[CENTRE + of]:
            coupled[CENTRE + of] = coupled[CENTRE - of] = True
            near[CENTRE + of] = near[CENTRE - of] = 0.0
        ahead, behind = g[m, i, j, 1:-1], g[m, i - di, j - dj, 1 - dk : nz - 1 - dk]
        there, back = near[CENTRE + of], near[CENTRE - of]
        for k in range(nz - 2):
            there[k] += ahead[k]
        for k in range(nz - 2):
            back[k] += behind[k]
    main = s[i, j, 1:-1].astype(np.float64)
    missing = main.copy()
    for of in range(27):
        if not coupled[of]:
            continue
        di, dj, dk = of // 9 - 1, of // 3 % 3 - 1, of % 3 - 1
        towards, beside = near[of], lost[i + di, j + dj, 1 + dk : nz - 1 + dk]
        for k in range(nz - 2):
            towards[k] = max(towards[k], 0.0)
            main[k] += towards[k]
            missing[k] += towards[k] * beside[k]
    for k in those:
        lost[i, j, k + 1] = missing[k] / main[k] if main[k] > 0.0 else 1.0
    share = np.empty(len(those), np.float64)
    for ci in range(-a, a + 1, 2):  # towards each of the coarse corners
        for cj in range(-b, b + 1, 2):
            for ck in range(-c, c + 1, 2):
                p, q, side = x[i] + (ci > 0), y[j] + (cj > 0), int(ck > 0)
                away = 9 * ci + 3 * cj + ck
                share[:] = 0.0
                for ti in range(abs(ci) + 1):  # through each of the neighbours on that side
                    for tj in range(abs(cj) + 1):
                        for tk in range(abs(ck) + 1):
                            to = 9 * ti * ci + 3 * tj * cj + tk * ck
                            if coupled[CENTRE + to]:
                                towards, known = near[CENTRE + to], w[CENTRE + to - away, p, q]
                                for n in range(len(those)):
                                    share[n] += towards[those[n]] * known[z[those[n] + 1] + side]
                found = w[CENTRE - away, p, q]
                for n in range(len(those)):
                    if main[those[n]] > 0.0:
                        found[z[those[n] + 1] + side] = share[n] / main[those[n]]


@compiled_shared
def interpolate(
    begin: int, end: int, g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, bx: Flags, by: Flags,
    bz: Flags, order: int, w: Grid, lost: Grid,
) -> None:  # fmt: skip
    """Weights of the fine nodes that lie between coarse ones along ``order`` axes; those of lower order must be known.

    Of each fine node, ``x`` is the coarse node at it or before it, ``bx`` whether it lies between two. ``lost`` is what
    the weights of a fine node lack to one. Couplings of the wrong sign, which coarse operators may have, are left out.
    """
    near = np.empty((27, s.shape[2] - 2), np.float64)
    for i in range(begin, end):
        a, between = int(bx[i]), bz[1:-1]
        for j in range(1, s.shape[1] - 1):
            b = int(by[j])
            c = order - a - b
            if c == 0 or c == 1:
                those = np.flatnonzero(between == (c == 1))
                _interpolate_row(i, j, a, b, c, g, offsets, s, x, y, z, those, near, w, lost)


@compiled_inline
def _even(z: Index, first: int, end: int, step: int) -> int:
    """How many coarse nodes, from ``first`` to before ``end``, are ``step`` fine cells apart, each from the next.

    Their fine nodes lie at even steps, so kernels read and write without looking up where. On graded grids some cells
    are merged, and some are not: rows are stretches of steps of two and of one.
    """
    size = 1
    while first + size < end and z[first + size] - z[first + size - 1] == step:
        size += 1
    return size


@compiled_part
def _images(
    a: int, b: int, g: Grid, flat: Grid, offsets: Index, s: Grid, x: Index, y: Index, start: int, step: int, first: int,
    w: Grid, image: Array,
) -> None:  # fmt: skip
    """A times the columns of the interpolation for a stretch of a coarse row, on the 5 x 5 x 5 nodes that each reaches.

    The coarse nodes from ``first`` on, as many as ``image`` has room for, lie ``step`` fine ones apart from ``start``.
    ``flat`` is ``g`` as one row: in it a place before a row is one, too.
    """
    size = image.shape[1]
    _, nx, ny, nz = g.shape
    image[:] = 0.0
    for e in range(27):
        ei, ej, ek = e // 9 - 1, e // 3 % 3 - 1, e % 3 - 1
        weight = w[e, a, b, first : first + size]
        largest = weight[0]
        for c in range(size):
            largest = max(largest, abs(weight[c]))
        if largest == 0:
            continue
        i, j, k, to = x[a] + ei, y[b] + ej, start + ek, 62 + ei * 25 + ej * 5 + ek
        centre, held = image[to], s[i, j, k:]
        for c in range(size):
            centre[c] += held[step * c] * weight[c]
        for m in range(len(offsets)):
            di, dj, dk = offsets[m, 0], offsets[m, 1], offsets[m, 2]
            move = di * 25 + dj * 5 + dk
            ahead, behind = g[m, i, j, k:], flat[((m * nx + i - di) * ny + j - dj) * nz + k - dk :]
            there, back = image[to + move], image[to - move]
            for c in range(size):
                forth, hither = ahead[step * c] * weight[c], behind[step * c] * weight[c]
                there[c] -= forth
                back[c] -= hither
                centre[c] += forth + hither


@compiled_inline
def _overlap(oi: int, oj: int, ok: int, p: int, q: int, r: int, size: int, w: Grid, image: Array, part: Array) -> None:
    """The columns of the coarse nodes ``p, q, r...`` times the ``image``, from which they are ``oi, oj, ok`` away."""
    part[:] = 0.0
    for ei in range(max(-1, -2 - oi), min(1, 2 - oi) + 1):
        for ej in range(max(-1, -2 - oj), min(1, 2 - oj) + 1):
            for ek in range(max(-1, -2 - ok), min(1, 2 - ok) + 1):
                other = w[CENTRE + 9 * ei + 3 * ej + ek, p, q, r : r + size]
                at = image[62 + (oi + ei) * 25 + (oj + ej) * 5 + ok + ek]
                for c in range(size):
                    part[c] += other[c] * at[c]


def galerkin(
    begin: int, end: int, g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, w: Grid, coarse: Grid
) -> None:
    """Conductances (13, ...) of the coarse operator ``W' A W``; ``x`` is the fine node of each coarse one."""
    _galerkin(begin, end, g, g.reshape(-1), offsets, s, x, y, z, w, coarse)


@compiled_shared
def _galerkin(
    begin: int, end: int, g: Grid, flat: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, w: Grid,
    coarse: Grid,
) -> None:  # fmt: skip
    _, _, ny, nz = coarse.shape
    room, apart = np.empty((125, STRETCH), np.float64), np.empty(STRETCH, np.int64)
    total, part = np.empty(STRETCH, np.float64), np.empty(STRETCH, np.float64)
    for a in range(begin, end):
        for b in range(1, ny - 1):
            first: Any = np.int64(1)  # a bare 1 has a type of its own, for which kernels would be compiled once more
            while first < nz - 1:
                step = z[first + 1] - z[first]
                size = _even(z, first, min(first + STRETCH, nz - 1), step)
                image = room[:, :size]
                _images(a, b, g, flat, offsets, s, x, y, z[first], step, first, w, image)
                for m in range(len(ALL)):
                    p, q, r = a + ALL[m, 0], b + ALL[m, 1], first + ALL[m, 2]
                    oi, oj = x[p] - x[a], y[q] - y[b]
                    for c in range(size):
                        apart[c] = z[r + c] - z[first + c]
                    total[:] = 0.0
                    for times in range(1, 2 + abs(ALL[m, 2])):  # neighbours along z are one or two fine cells away
                        ok = times * ALL[m, 2]
                        _overlap(oi, oj, ok, p, q, r, size, w, image, part)
                        for c in range(size):
                            total[c] += part[c] if apart[c] == ok else 0.0
                    for c in range(size):
                        coarse[m, a, b, first + c] = -total[c]
                first += size


@compiled_shared
def restrict(begin: int, end: int, w: Grid, x: Index, y: Index, z: Index, fine: Grid, coarse: Grid) -> None:
    """``coarse = W' fine``; ``x`` is the fine node of each coarse one."""
    _, ny, nz = coarse.shape
    for a in range(begin, end):
        for b in range(1, ny - 1):
            row = coarse[a, b]
            row[:] = 0.0
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    of = CENTRE + 9 * di + 3 * dj
                    line, before, at, after = fine[x[a] + di, y[b] + dj], w[of - 1, a, b], w[of, a, b], w[of + 1, a, b]
                    for c in range(1, nz - 1):
                        k = z[c]
                        row[c] += before[c] * line[k - 1] + at[c] * line[k] + after[c] * line[k + 1]


@compiled_shared
def prolong(
    begin: int, end: int, w: Grid, x: Index, y: Index, z: Index, bx: Flags, by: Flags, coarse: Grid, fine: Grid
) -> None:
    """``fine += W coarse``; ``x``, ``y``, ``bx`` and ``by`` as in :func:`interpolate`, ``z`` as in :func:`restrict`."""
    ny, nz = fine.shape[1], coarse.shape[2]
    for i in range(begin, end):
        for j in range(1, ny - 1):
            line = fine[i, j]
            for ti in range(int(bx[i]) + 1):
                for tj in range(int(by[j]) + 1):
                    a, b = x[i] + ti, y[j] + tj
                    of = CENTRE + 9 * int(bx[i]) * (1 - 2 * ti) + 3 * int(by[j]) * (1 - 2 * tj)
                    row, before, at, after = coarse[a, b], w[of - 1, a, b], w[of, a, b], w[of + 1, a, b]
                    for c in range(1, nz - 1):
                        k, value = z[c], row[c]
                        line[k - 1] += before[c] * value
                        line[k] += at[c] * value
                        line[k + 1] += after[c] * value
