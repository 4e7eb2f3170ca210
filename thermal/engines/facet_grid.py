"""Where rays from outside meet the triangles of a surface: bins of a regular grid, walked along the ray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.engines.compiled import compiled_part, compiled_serial
from thermal.engines.graph import Index
from thermal.units import Array

MOST_BINS = 96
"""Along one axis."""
EDGE = 1e-10
"""By how much, in barycentric coordinates, a ray may pass beside a triangle and still meet it: nothing slips through
between two of them."""

Bins = tuple[Array, Array, Index, Index, Array]
"""Lower corner (3,) m, size of a bin (3,) m, numbers of bins (3,) followed by the start of each bin's list, the lists
(k,), and the corners of the triangles (f, 3, 3) m, which turn outward."""


@dataclass(frozen=True)
class FacetGrid:
    """Triangles (f, 3, 3) m, sorted into bins."""

    bins: Bins

    @classmethod
    def of(cls, triangles: Array) -> FacetGrid:
        """Bins about twice as wide as the triangles."""
        lower, upper = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
        slack = 1e-9 * float((upper - lower).max())
        lower, upper = lower - slack, upper + slack
        width = 2.0 * float(np.mean(np.ptp(triangles, axis=1).max(axis=1)))
        counts = np.clip(np.ceil((upper - lower) / width).astype(np.int64), 1, MOST_BINS)
        size = (upper - lower) / counts
        start = np.zeros(int(np.prod(counts)) + 1, np.int64)
        _count(triangles, lower, size, counts, start)
        np.cumsum(start, out=start)
        lists = np.empty(start[-1], np.int64)
        _fill(triangles, lower, size, counts, start[:-1].copy(), lists)
        return cls((lower, size, np.concatenate([counts, start]), lists, np.ascontiguousarray(triangles)))


@compiled_part
def _range(values: Array, low: float, size: float, count: int) -> tuple[int, int]:
    """First and last bin that a triangle reaches along one axis."""
    first = int((min(values[0], values[1], values[2]) - low) / size)
    last = int((max(values[0], values[1], values[2]) - low) / size)
    return min(max(first, 0), count - 1), min(max(last, 0), count - 1)


@compiled_serial
def _count(triangles: Array, lower: Array, size: Array, counts: Index, start: Index) -> None:
    """Number of triangles in each bin, one place further on."""
    for facet in range(len(triangles)):
        i0, i1 = _range(triangles[facet, :, 0], lower[0], size[0], counts[0])
        j0, j1 = _range(triangles[facet, :, 1], lower[1], size[1], counts[1])
        k0, k1 = _range(triangles[facet, :, 2], lower[2], size[2], counts[2])
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                for k in range(k0, k1 + 1):
                    start[(i * counts[1] + j) * counts[2] + k + 1] += 1


@compiled_serial
def _fill(triangles: Array, lower: Array, size: Array, counts: Index, place: Index, lists: Index) -> None:
    """The triangles of each bin, from ``place`` on."""
    for facet in range(len(triangles)):
        i0, i1 = _range(triangles[facet, :, 0], lower[0], size[0], counts[0])
        j0, j1 = _range(triangles[facet, :, 1], lower[1], size[1], counts[1])
        k0, k1 = _range(triangles[facet, :, 2], lower[2], size[2], counts[2])
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                for k in range(k0, k1 + 1):
                    cell = (i * counts[1] + j) * counts[2] + k
                    lists[place[cell]] = facet
                    place[cell] += 1


@compiled_part
def _meets(corner: Array, x: float, y: float, z: float, ux: float, uy: float, uz: float) -> float:
    """Way of a ray to a triangle (3, 3) that it meets from outside (against its normal), infinite beside it.

    T. Moeller, B. Trumbore, J. Graphics Tools 2 (1997) 21.
    """
    ax, ay, az = corner[1, 0] - corner[0, 0], corner[1, 1] - corner[0, 1], corner[1, 2] - corner[0, 2]
    bx, by, bz = corner[2, 0] - corner[0, 0], corner[2, 1] - corner[0, 1], corner[2, 2] - corner[0, 2]
    px, py, pz = uy * bz - uz * by, uz * bx - ux * bz, ux * by - uy * bx
    volume = ax * px + ay * py + az * pz
    if volume <= 0.0:
        return np.inf
    sx, sy, sz = x - corner[0, 0], y - corner[0, 1], z - corner[0, 2]
    first = (sx * px + sy * py + sz * pz) / volume
    qx, qy, qz = sy * az - sz * ay, sz * ax - sx * az, sx * ay - sy * ax
    second = (ux * qx + uy * qy + uz * qz) / volume
    if first < -EDGE or second < -EDGE or first + second > 1.0 + EDGE:
        return np.inf
    return float((bx * qx + by * qy + bz * qz) / volume)


@compiled_part
def first_met(
    bins: Bins, x: float, y: float, z: float, ux: float, uy: float, uz: float, left: int
) -> tuple[float, int]:
    """Way to the first triangle that the ray meets from outside, other than ``left``, and its number; -1 for none."""
    lower, size, table, lists, triangles = bins
    counts, start = table[:3], table[3:]
    near, far = 0.0, np.inf
    for axis in range(3):
        here, forward = (x, ux) if axis == 0 else ((y, uy) if axis == 1 else (z, uz))
        low, high = lower[axis], lower[axis] + counts[axis] * size[axis]
        if forward == 0.0:
            if here < low or here > high:
                return np.inf, -1
        else:
            one, other = (low - here) / forward, (high - here) / forward
            near, far = max(near, min(one, other)), min(far, max(one, other))
    if far < near:
        return np.inf, -1
    i = min(max(int((x + near * ux - lower[0]) / size[0]), 0), counts[0] - 1)
    j = min(max(int((y + near * uy - lower[1]) / size[1]), 0), counts[1] - 1)
    k = min(max(int((z + near * uz - lower[2]) / size[2]), 0), counts[2] - 1)
    best, number = np.inf, -1
    while True:
        cell = (i * counts[1] + j) * counts[2] + k
        for entry in range(start[cell], start[cell + 1]):
            facet = lists[entry]
            if facet != left:
                way = _meets(triangles[facet], x, y, z, ux, uy, uz)
                if 0.0 <= way < best:
                    best, number = way, facet
        # the ways to the faces of this bin
        tx = (lower[0] + (i + (1 if ux > 0.0 else 0)) * size[0] - x) / ux if ux != 0.0 else np.inf
        ty = (lower[1] + (j + (1 if uy > 0.0 else 0)) * size[1] - y) / uy if uy != 0.0 else np.inf
        tz = (lower[2] + (k + (1 if uz > 0.0 else 0)) * size[2] - z) / uz if uz != 0.0 else np.inf
        out = min(tx, ty, tz)
        if best <= out:
            return best, number
        if out == tx:
            i += 1 if ux > 0.0 else -1
        elif out == ty:
            j += 1 if uy > 0.0 else -1
        else:
            k += 1 if uz > 0.0 else -1
        if min(i, j, k) < 0 or i >= counts[0] or j >= counts[1] or k >= counts[2]:
            return best, number
