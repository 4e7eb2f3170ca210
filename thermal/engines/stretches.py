"""A nodal field of a voxel grid as stretches of equal values along its rows, in double precision.

What is read once a step, and is the same all through an organ, need not be kept node by node.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal.engines.arrays import Index
from thermal.units import Array


class Stretches(NamedTuple):
    """The stretches of all rows, one after the other."""

    begins: Index
    """(rows + 1,): number of the first stretch of each row, and of them all"""
    ends: npt.NDArray[np.uint32]
    """(s,): the node of the row after the last one of each stretch"""
    values: Array
    """(s,)"""

    @staticmethod
    def of(u: Array) -> Stretches:
        """Of a field at the nodes (nx, ny, nz), whose last axis is along the rows."""
        rows = u.reshape(-1, u.shape[2])
        last = np.ones(rows.shape, np.bool_)
        np.not_equal(rows[:, 1:], rows[:, :-1], out=last[:, :-1])
        places = np.flatnonzero(last)
        begins = np.concatenate([[0], np.cumsum(np.count_nonzero(last, axis=1))])
        return Stretches(begins, (places % u.shape[2] + 1).astype(np.uint32), rows.ravel()[places])
