"""Transfers between grids that follow the coefficients, and the coarse operators they make.

Black-box interpolation (R. E. Alcouffe, A. Brandt, J. E. Dendy, J. W. Painter, SIAM J. Sci. Stat. Comput. 2 (1981)
430-454; J. E. Dendy, J. Comput. Phys. 48 (1982) 366-386): a fine node between coarse ones takes the value that balances
its own equation, summed over the axes along which it is in line with them. Coarse operators are Galerkin products.

Weights are kept by coarse node: ``w`` (27, cx + 2, cy + 2, cz + 2) of the fine nodes at the offsets -1..1 around it, in
C order. Grids and operators are those of :mod:`thermal.engines.stencils`.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled, compiled_part
from thermal.engines.stencils import ALL, Grid, Index

Flags = npt.NDArray[np.bool_]

CENTRE = 13
"""Place of the offset (0, 0, 0) among the 27."""


@compiled_part
def _interpolate_plane(
    i: int, g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, bx: Flags, by: Flags, bz: Flags,
    order: int, w: Grid, lost: Grid,
) -> None:  # fmt: skip
    _, ny, nz = s.shape
    conductance, held, missed, weights = g.reshape(len(g), -1), s.ravel(), lost.ravel(), w.reshape(27, -1)
    _, _, wy, wz = w.shape
    near = np.zeros(27, np.float64)  # conductances summed over the axes along which the node is in line
    a, shifts = int(bx[i]), (offsets[:, 0] * ny + offsets[:, 1]) * nz + offsets[:, 2]
    for j in range(1, ny - 1):
        b = int(by[j])
        for k in range(1, nz - 1):
            c = int(bz[k])
            if a + b + c != order:
                continue
            node = (i * ny + j) * nz + k
            near[:] = 0.0
            for m in range(len(offsets)):
                of = 9 * a * offsets[m, 0] + 3 * b * offsets[m, 1] + c * offsets[m, 2]
                near[CENTRE + of] += conductance[m, node]
                near[CENTRE - of] += conductance[m, node - shifts[m]]
            near[CENTRE] = 0.0
            main = float(held[node])
            missing = main
            for di in range(-a, a + 1):
                for dj in range(-b, b + 1):
                    for dk in range(-c, c + 1):
                        of = CENTRE + 9 * di + 3 * dj + dk
                        towards = max(near[of], 0.0)
                        near[of] = towards
                        main += towards
                        missing += towards * missed[node + (di * ny + dj) * nz + dk]
            if main <= 0.0:
                missed[node] = 1.0
                continue
            missed[node] = missing / main
            for ci in range(-a, a + 1, 2):  # towards each of the coarse corners
                for cj in range(-b, b + 1, 2):
                    for ck in range(-c, c + 1, 2):
                        corner = ((x[i] + (ci > 0)) * wy + y[j] + (cj > 0)) * wz + z[k] + (ck > 0)
                        share = 0.0
                        for ti in range(abs(ci) + 1):  # through each of the neighbours on that side
                            for tj in range(abs(cj) + 1):
                                for tk in range(abs(ck) + 1):
                                    to = 9 * ti * ci + 3 * tj * cj + tk * ck
                                    of = to - 9 * ci - 3 * cj - ck
                                    share += near[CENTRE + to] * weights[CENTRE + of, corner]
                        weights[CENTRE - 9 * ci - 3 * cj - ck, corner] = share / main


@compiled
def interpolate(
    g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, bx: Flags, by: Flags, bz: Flags,
    order: int, w: Grid, lost: Grid,
) -> None:  # fmt: skip
    """Weights of the fine nodes that lie between coarse ones along ``order`` axes; those of lower order must be known.

    Of each fine node, ``x`` is the coarse node at it or before it, ``bx`` whether it lies between two. ``lost`` is what
    the weights of a fine node lack to one. Couplings of the wrong sign, which coarse operators may have, are left out.
    """
    for i in nb.prange(1, s.shape[0] - 1):
        _interpolate_plane(i, g, offsets, s, x, y, z, bx, by, bz, order, w, lost)


@compiled_part
def _galerkin_plane(
    a: int, g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, w: Grid, coarse: Grid
) -> None:
    _, fy, fz = s.shape
    _, _, ny, nz = coarse.shape
    conductance, held, weights = g.reshape(len(g), -1), s.ravel(), w.reshape(27, -1)
    shifts = (offsets[:, 0] * fy + offsets[:, 1]) * fz + offsets[:, 2]
    moves = offsets[:, 0] * 25 + offsets[:, 1] * 5 + offsets[:, 2]
    image = np.empty(125, np.float64)  # A times one column of the interpolation, on the 5 x 5 x 5 nodes it reaches
    for b in range(1, ny - 1):
        for c in range(1, nz - 1):
            node, column = (x[a] * fy + y[b]) * fz + z[c], (a * ny + b) * nz + c
            image[:] = 0.0
            for e in range(27):
                weight = float(weights[e, column])
                if weight == 0.0:
                    continue
                ei, ej, ek = e // 9 - 1, e // 3 % 3 - 1, e % 3 - 1
                at, to = node + (ei * fy + ej) * fz + ek, 62 + ei * 25 + ej * 5 + ek
                main = float(held[at])
                for m in range(len(offsets)):
                    ahead, behind = float(conductance[m, at]), float(conductance[m, at - shifts[m]])
                    main += ahead + behind
                    image[to + moves[m]] -= ahead * weight
                    image[to - moves[m]] -= behind * weight
                image[to] += main * weight
            for m in range(len(ALL)):
                p, q, r = a + ALL[m, 0], b + ALL[m, 1], c + ALL[m, 2]
                oi, oj, ok = x[p] - x[a], y[q] - y[b], z[r] - z[c]
                other, to = (p * ny + q) * nz + r, 62 + oi * 25 + oj * 5 + ok
                total = 0.0
                for ei in range(max(-1, -2 - oi), min(1, 2 - oi) + 1):
                    for ej in range(max(-1, -2 - oj), min(1, 2 - oj) + 1):
                        for ek in range(max(-1, -2 - ok), min(1, 2 - ok) + 1):
                            weight = weights[CENTRE + 9 * ei + 3 * ej + ek, other]
                            total += float(weight) * image[to + ei * 25 + ej * 5 + ek]
                coarse[m, a, b, c] = -total


@compiled
def galerkin(g: Grid, offsets: Index, s: Grid, x: Index, y: Index, z: Index, w: Grid, coarse: Grid) -> None:
    """Conductances (13, ...) of the coarse operator ``W' A W``; ``x`` is the fine node of each coarse one."""
    for a in nb.prange(1, coarse.shape[1] - 1):
        _galerkin_plane(a, g, offsets, s, x, y, z, w, coarse)


@compiled_part
def _restrict_plane(a: int, w: Grid, x: Index, y: Index, z: Index, fine: Grid, coarse: Grid) -> None:
    _, ny, nz = coarse.shape
    for b in range(1, ny - 1):
        row = coarse[a, b]
        for c in range(nz):
            row[c] = 0.0
        for di in range(-1, 2):
            for dj in range(-1, 2):
                of = CENTRE + 9 * di + 3 * dj
                line = fine[x[a] + di, y[b] + dj]
                before, at, after = w[of - 1, a, b], w[of, a, b], w[of + 1, a, b]
                for c in range(1, nz - 1):
                    k = z[c]
                    row[c] += before[c] * line[k - 1] + at[c] * line[k] + after[c] * line[k + 1]


@compiled
def restrict(w: Grid, x: Index, y: Index, z: Index, fine: Grid, coarse: Grid) -> None:
    """``coarse = W' fine``; ``x`` is the fine node of each coarse one."""
    for a in nb.prange(1, coarse.shape[0] - 1):
        _restrict_plane(a, w, x, y, z, fine, coarse)


@compiled_part
def _prolong_plane(
    i: int, w: Grid, x: Index, y: Index, z: Index, bx: Flags, by: Flags, coarse: Grid, fine: Grid
) -> None:
    ny, nz = fine.shape[1], coarse.shape[2]
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


@compiled
def prolong(w: Grid, x: Index, y: Index, z: Index, bx: Flags, by: Flags, coarse: Grid, fine: Grid) -> None:
    """``fine += W coarse``; ``x``, ``y``, ``bx`` and ``by`` as in :func:`interpolate`, ``z`` as in :func:`restrict`."""
    for i in nb.prange(1, fine.shape[0] - 1):
        _prolong_plane(i, w, x, y, z, bx, by, coarse, fine)
