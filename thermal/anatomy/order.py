"""Numbering along a Hilbert curve: what lies near in space lies near in memory.

J. Skilling, Programming the Hilbert curve, AIP Conf. Proc. 707 (2004) 381-387, doi:10.1063/1.1751381.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thermal.units import Array

BITS = 16
"""Steps of the curve along each direction: two to this power."""


def along_curve(points: Array) -> npt.NDArray[np.int64]:
    """Order (n,) of points (n, 2 or 3) along a Hilbert curve through the cube around them."""
    extent = float(np.ptp(points, axis=0).max()) or 1.0
    place = ((points - points.min(axis=0)) / extent * (2**BITS - 1)).astype(np.uint64).T
    axes = [np.ascontiguousarray(axis) for axis in place]
    for power in range(BITS - 1, 0, -1):
        bit = np.uint64(1 << power)
        below = bit - np.uint64(1)
        for axis in range(len(axes)):
            high = (axes[axis] & bit) != 0
            swap = np.where(high, np.uint64(0), (axes[0] ^ axes[axis]) & below)
            axes[0] = axes[0] ^ np.where(high, below, swap)
            axes[axis] = axes[axis] ^ swap if axis else axes[0]
    for axis in range(1, len(axes)):
        axes[axis] = axes[axis] ^ axes[axis - 1]
    flip = np.zeros_like(axes[0])
    for power in range(BITS - 1, 0, -1):
        bit = np.uint64(1 << power)
        flip = np.where((axes[-1] & bit) != 0, flip ^ (bit - np.uint64(1)), flip)
    key = np.zeros_like(flip)
    for power in range(BITS - 1, -1, -1):
        for values in axes:
            key = (key << np.uint64(1)) | (((values ^ flip) >> np.uint64(power)) & np.uint64(1))
    return np.argsort(key, kind="stable")
