"""Numbering along a Hilbert curve: what lies near in space lies near in memory.

J. Skilling, Programming the Hilbert curve, AIP Conf. Proc. 707 (2004) 381-387, doi:10.1063/1.1751381.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thermal.units import Array

Index = npt.NDArray[np.int64]

BITS = 16
"""Steps of the curve along each direction: two to this power, so that a place along an axis is a ``uint16``."""


def along_curve(points: Array) -> Index:
    """Order (n,) of points (n, 2 or 3) along a Hilbert curve through the cube around them."""
    extent = float(np.ptp(points, axis=0).max()) or 1.0
    place = (points - points.min(axis=0)) / extent * (2**BITS - 1)
    axes = [np.ascontiguousarray(axis) for axis in place.astype(np.uint16).T]
    for power in range(BITS - 1, 0, -1):
        bit = np.uint16(1 << power)
        below = np.uint16(bit - 1)
        for axis in range(len(axes)):
            high = below * ((axes[axis] & bit) != 0)
            swap = (axes[0] ^ axes[axis]) & (below ^ high)
            axes[0] = axes[0] ^ high ^ swap
            axes[axis] = axes[axis] ^ swap if axis else axes[0]
    for axis in range(1, len(axes)):
        axes[axis] = axes[axis] ^ axes[axis - 1]
    flip = np.zeros_like(axes[0])
    for power in range(BITS - 1, 0, -1):
        bit = np.uint16(1 << power)
        flip = flip ^ np.uint16(bit - 1) * ((axes[-1] & bit) != 0)
    spread = _spread(len(axes))
    key = np.zeros(len(points), np.uint64)
    for values in axes:
        key = (key << np.uint64(1)) | spread[values ^ flip]
    return np.argsort(key, kind="stable")


def _spread(dimension: int) -> npt.NDArray[np.uint64]:
    """Of every ``uint16``: its bits, ``dimension`` places apart."""
    numbers = np.arange(2**BITS, dtype=np.uint64)
    parts = (((numbers >> np.uint64(bit)) & np.uint64(1)) << np.uint64(dimension * bit) for bit in range(BITS))
    return np.asarray(np.bitwise_or.reduce(list(parts)))


def by_lowest_node(cells: Index, nodes: int) -> Index:
    """Order (m,) of cells (m, corners) by their lowest node; those of the same one stay as they come.

    Counted, not compared: as rows of a sparse matrix, in a fifth of the time of a sort.
    """
    from scipy import sparse  # slow to import, and reading a case needs none of it

    lowest = cells[:, 0]
    for corner in range(1, cells.shape[1]):
        lowest = np.minimum(lowest, cells[:, corner])
    count = len(cells)
    listed = sparse.coo_array((np.ones(count, np.int8), (lowest, np.arange(count))), shape=(nodes, count))
    return np.asarray(listed.tocsr().indices, dtype=np.int64)
