"""Compiled kernels of :mod:`thermal.engines.interface`: planes through voxels, what lines across them conduct, and both
for each edge beside a cut cell.
"""

from __future__ import annotations

import math

import numpy as np

from thermal.engines.arrays import Index
from thermal.engines.compiled import compiled_inline, compiled_part, compiled_shared
from thermal.units import Array, Mask

NARROWING = 12.0
"""Exponent of ``1 - n^2``, n being the part of the normal along the edge, in the share of the face (along each of its
sides) over which lines are averaged. Errors depend little on this exponent and the next ones."""
ALONG = 256.0
"""Exponent of ``1 - n^2`` in how far an edge along the interface has the mean of its four voxels, which is exact for
layers on the axes however thin."""
HANDING = 16.0
"""Exponent in ``1 - n^p``, the part of the flow along the interface that an edge hands on."""
NARROW = 1e-3
"""Part of a line's reach below which lines are taken for alike: integrals between closer places would lose digits."""
THIN = 0.5
"""Gradient of a cell over what it would be if all differences had one sign: below that it holds a layer, or a dot."""
MORE = 0.02
"""Relative difference in series from which there are more than two materials."""
NODES, WEIGHTS = (0.5 * part for part in np.polynomial.legendre.leggauss(5))
"""Gauss points in (-1/2, 1/2) and their weights."""
ALIKE = 1.2
"""Ratio r of coefficients up to which a cell that holds both is not cut: the mean of the shares is then wrong by less
than ``(r - 1)^2 / 4 r``, 0.8 %, of one voxel."""
AT_ONCE = 1024
"""Edges that one core works on at a time."""


@compiled_part
def _filled(alpha: float, a: float, b: float, c: float) -> float:
    """Share of the unit cube below the plane ``a x + b y + c z = alpha``; 0 <= a <= b <= c."""
    share = 0.0
    for p in range(len(NODES)):
        for q in range(len(NODES)):
            rest = alpha - a * (0.5 + NODES[p]) - b * (0.5 + NODES[q])
            share += WEIGHTS[p] * WEIGHTS[q] * min(max(rest / c, 0.0), 1.0)
    return share


@compiled_part
def _level(share: float, one: float, two: float, three: float) -> float:
    """The ``alpha`` at which the plane with these slopes (>= 0, one of them > 0) fills ``share`` of the unit cube."""
    a, c = min(one, two, three), max(one, two, three)
    b = one + two + three - a - c
    low, high = 0.0, a + b + c
    below, above = -share, 1.0 - share
    middle, turn = 0.0, 0
    for _ in range(100):  # false position with Illinois' trick: an end that stays counts half
        middle = (low * above - high * below) / (above - below)
        off = _filled(middle, a, b, c) - share
        if abs(off) <= 1e-15 or high - low <= 1e-15 * c:
            break
        if off < 0.0:
            low, below = middle, off
            above *= 0.5 if turn < 0 else 1.0
            turn = -1
        else:
            high, above = middle, off
            below *= 0.5 if turn > 0 else 1.0
            turn = 1
    return middle


@compiled_part
def _line(depth: float, reach: float, good: float, poor: float) -> float:
    """What a line conducts, ``depth / reach`` of which (between none and all) is ``good``."""
    part = min(max(depth / reach, 0.0), 1.0) if reach > 0.0 else (1.0 if depth > 0.0 else 0.0)
    return 1.0 / (part / good + (1.0 - part) / poor)


@compiled_part
def _primitive(depth: float, reach: float, good: float, poor: float) -> float:
    """Integral of :func:`_line` over depths from zero to ``depth``."""
    if depth <= 0.0:
        return poor * depth
    steep, within = poor / good - 1.0, min(depth, reach)
    mixed = reach * poor / steep * math.log1p(within / reach * steep) if reach > 0.0 else 0.0
    return mixed + good * (depth - within)


@compiled_part
def _mean_line(depth: float, reach: float, one: float, two: float, good: float, poor: float) -> float:
    """Mean of :func:`_line` over a rectangle across which the depth changes by ``one`` and by ``two``."""
    wide, narrow = max(one, two), min(one, two)
    mean = 0.0
    for p in range(len(NODES)):
        at = depth + narrow * NODES[p]
        if wide > NARROW * reach:
            above = _primitive(at + 0.5 * wide, reach, good, poor)
            mean += WEIGHTS[p] * (above - _primitive(at - 0.5 * wide, reach, good, poor)) / wide
        else:
            mean += WEIGHTS[p] * _line(at, reach, good, poor)
    return mean


@compiled_part
def _share_primitive(depth: float, reach: float) -> float:
    """Integral of the share ``depth / reach`` (between none and all) from zero to ``depth``."""
    within = min(max(depth, 0.0), reach)
    return (0.5 * within * within / reach if reach > 0.0 else 0.0) + max(depth - reach, 0.0)


@compiled_part
def _mean_share(depth: float, reach: float, one: float, two: float) -> float:
    """Mean of the good share of lines over the same rectangle as :func:`_mean_line`."""
    wide, narrow = max(one, two), min(one, two)
    mean = 0.0
    for p in range(len(NODES)):
        at = depth + narrow * NODES[p]
        if wide > NARROW * reach:
            above = _share_primitive(at + 0.5 * wide, reach)
            mean += WEIGHTS[p] * (above - _share_primitive(at - 0.5 * wide, reach)) / wide
        else:
            mean += WEIGHTS[p] * min(max(at / reach, 0.0), 1.0)
    return mean


@compiled_inline
def _square(vector: Array) -> float:
    """Of the length of a vector (3,)."""
    square: float = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2]
    return square


@compiled_part
def _at(k: Array, solid: Mask, i: int, j: int, m: int, own: float) -> float:
    """Value of a cell; outside the body ``own`` stands for it."""
    return k[i, j, m] if solid[i, j, m] else own


@compiled_part
def _add_slope(
    k: Array, solid: Mask, x: Array, y: Array, z: Array, i: int, j: int, m: int, slope: Array, swing: Array
) -> float:
    """Add the gradient of ``k`` at a cell to ``slope`` (3,): differences over its neighbours, weighted 1 2 1 across.

    To ``swing`` (3,) add the same with the differences on both sides of the cell taken as positive. Returns the sum of
    what they differ by: above zero where the cell is poorer than those around it.

    ``x, y, z``: edges of the cells along the axes. Beyond the window lies the mirror image.
    """
    own, dip = k[i, j, m], 0.0
    i0, i1, j0, j1 = max(i - 1, 0), min(i + 1, len(x) - 1), max(j - 1, 0), min(j + 1, len(y) - 1)
    m0, m1 = max(m - 1, 0), min(m + 1, len(z) - 1)
    reach = 0.5 * (x[i0] + x[i1]) + x[i], 0.5 * (y[j0] + y[j1]) + y[j], 0.5 * (z[m0] + z[m1]) + z[m]
    for p in range(-1, 2):
        for q in range(-1, 2):
            w = (2.0 - abs(p)) * (2.0 - abs(q)) / 16.0
            ip, jp = min(max(i + p, 0), len(x) - 1), min(max(j + p, 0), len(y) - 1)
            jq, mq = min(max(j + q, 0), len(y) - 1), min(max(m + q, 0), len(z) - 1)
            before, here, after = (
                (
                    _at(k, solid, i0, jp, mq, own),
                    _at(k, solid, ip, j0, mq, own),
                    _at(k, solid, ip, jq, m0, own),
                ),
                (_at(k, solid, i, jp, mq, own), _at(k, solid, ip, j, mq, own), _at(k, solid, ip, jq, m, own)),
                (
                    _at(k, solid, i1, jp, mq, own),
                    _at(k, solid, ip, j1, mq, own),
                    _at(k, solid, ip, jq, m1, own),
                ),
            )
            for axis in range(3):
                slope[axis] += w * (after[axis] - before[axis]) / reach[axis]
                swing[axis] += w * (abs(after[axis] - here[axis]) + abs(here[axis] - before[axis])) / reach[axis]
                dip += w * (after[axis] - 2.0 * here[axis] + before[axis]) / reach[axis]
    return dip


@compiled_part
def _film(least: Array, most: Array, solid: Mask, i: int, j: int, m: int) -> bool:
    """Whether the poorest material of a cell fills none of those around it, so that its other side is near as well."""
    poor = ALIKE * least[i, j, m]
    for p in range(max(i - 1, 0), min(i + 2, least.shape[0])):
        for q in range(max(j - 1, 0), min(j + 2, least.shape[1])):
            for r in range(max(m - 1, 0), min(m + 2, least.shape[2])):
                if solid[p, q, r] and most[p, q, r] <= poor:
                    return False
    return True


@compiled_part
def _some_lines(
    k: Array,
    resistivity: Array,
    least: Array,
    most: Array,
    solid: Mask,
    x: Array,
    y: Array,
    z: Array,
    edges: Index,
    found: Array,
) -> None:
    """See :func:`lines`."""
    slope, swing, of_cell = np.empty(3), np.empty(3), np.empty((2, 3))
    for number in range(len(edges)):
        i, j, m = edges[number]
        for axis in range(3):
            slope[axis] = swing[axis] = 0.0
        volume, mean, inverse, good, poor, dip = 0.0, 0.0, 0.0, 0.0, np.inf, 0.0
        before, behind, below, above = 0.0, 0.0, 0.0, 0.0  # widths of the voxels on either side
        cut = thin = film = False
        for cj in range(max(j - 1, 0), min(j + 1, len(y))):
            for cm in range(max(m - 1, 0), min(m + 1, len(z))):
                if not solid[i, cj, cm]:
                    continue
                part = y[cj] * z[cm]
                volume += part
                mean += part * k[i, cj, cm]
                inverse += part * resistivity[i, cj, cm]
                low, high = least[i, cj, cm], most[i, cj, cm]
                good, poor = max(good, high), min(poor, low)
                if cj < j:
                    before = y[cj]
                else:
                    behind = y[cj]
                if cm < m:
                    below = z[cm]
                else:
                    above = z[cm]
                for axis in range(3):
                    of_cell[0, axis] = of_cell[1, axis] = 0.0
                dip += _add_slope(k, solid, x, y, z, i, cj, cm, of_cell[0], of_cell[1])
                for axis in range(3):
                    slope[axis] += of_cell[0, axis]
                    swing[axis] += of_cell[1, axis]
                if high > ALIKE * low:
                    cut = True
                    thin = thin or _square(of_cell[0]) < THIN**2 * _square(of_cell[1])
                    film = film or _film(least, most, solid, i, cj, cm)
        if volume > 0.0:
            mean, inverse = mean / volume, inverse / volume
        row = found[number]
        row[0], row[1], row[2], row[3], row[4] = mean, mean, mean, 0.0, 0.0
        if not cut:
            continue
        share = (mean - poor) / (good - poor)
        layers = share / good + (1.0 - share) / poor
        if thin or film or abs(layers - inverse) > MORE * inverse:
            if _square(swing) <= 0.0:  # alike all around: a layer may end beside the cells that the edge leads to
                for ci in (i - 1, i + 1):
                    for cj in range(max(j - 1, 0), min(j + 1, len(y))):
                        for cm in range(max(m - 1, 0), min(m + 1, len(z))):
                            if 0 <= ci < len(x) and solid[ci, cj, cm]:
                                dip += _add_slope(k, solid, x, y, z, ci, cj, cm, of_cell[0], swing)
            swings = _square(swing)
            if swings <= 0.0:
                continue  # a mixture without a border
            across = swing[0] ** 2 / swings
            if film or dip > 0.0:
                along = (1.0 - across) ** ALONG
                row[1] = row[2] = 1.0 / (along / mean + (1.0 - along) * inverse)
            else:
                row[1] = row[2] = across / inverse + (1.0 - across) * mean
            continue
        steepness = math.sqrt(_square(slope))
        if steepness <= 0.0:
            continue
        nx, ny, nz = abs(slope[0]) / steepness, abs(slope[1]) / steepness, abs(slope[2]) / steepness
        wy, wz = before + behind, below + above
        alpha = _level(share, nx * x[i], ny * wy, nz * wz)
        # distances along the normal, turned so that the good side begins at the origin: of the edge's line, and of the
        # middle of the part of the face, which lies beside it where voxels on both sides are unlike
        width = (1.0 - nx**2) ** NARROWING
        at_y, at_z = (before if slope[1] < 0.0 else behind), (below if slope[2] < 0.0 else above)
        at_y += 0.25 * width * (wy - 2.0 * at_y)
        at_z += 0.25 * width * (wz - 2.0 * at_z)
        depth, reach = alpha - ny * at_y - nz * at_z, nx * x[i]
        one, two = 0.5 * width * ny * wy, 0.5 * width * nz * wz
        line = _mean_line(depth, reach, one, two, good, poor)
        side_by_side = _mean_share(depth, reach, one, two) * (good - poor) + poor
        apart = (1.0 - nx**2) ** ALONG * (mean - side_by_side)
        row[1] = max(line + apart, min(line, mean))
        row[2] = row[1] + side_by_side - line
        row[3] = 1.0 if slope[0] > 0.0 else -1.0
        row[4] = 1.0 - nx**HANDING


@compiled_shared
def lines(
    begin: int,
    end: int,
    k: Array,
    resistivity: Array,
    least: Array,
    most: Array,
    solid: Mask,
    x: Array,
    y: Array,
    z: Array,
    edges: Index,
    found: Array,
) -> None:
    """What edges along the first axis conduct, before any of it is handed on: ``found`` (e, 5), of those from ``begin``
    to before ``end``.

    Its columns: mean of the four voxels; what the lines conduct; what they would if all of their parts conducted side
    by side; on which side the better material lies (1: that of the larger coordinate, -1: of the smaller, 0: nowhere).

    Cell arrays: arithmetic mean of the coefficient ``k``, mean of its inverse, its ``least`` and ``most`` value; in the
    body (``solid``). ``x, y, z``: edges of the cells along the axes. ``edges`` (e, 3): the node that they begin at.
    """
    for first in range(begin, end, AT_ONCE):
        last = min(first + AT_ONCE, end)
        _some_lines(k, resistivity, least, most, solid, x, y, z, edges[first:last], found[first:last])
