"""Where on the padded grid something is: boxes of nodes, and the nodes that a probe touches."""

from __future__ import annotations

import numpy as np

from thermal.engines.arrays import Box
from thermal.engines.padded import Padded
from thermal.enthalpy import Nodes
from thermal.heat import Touch
from thermal.units import Array, Mask


class Contact:
    """A probe on the padded grid."""

    def __init__(self, touch: Touch, grid: Padded, free: Mask) -> None:
        """``free`` (n,): nodes whose temperature is not prescribed."""
        self.touch = touch
        self.places = grid.places(touch.nodes)
        self.free = free[touch.nodes].astype(np.float64)
        self.box = box_around(touch.nodes, grid)

    def conductance(self, temperature: Array, share: float) -> Array:
        """(t,) W/K to the free nodes it touches, at their ``temperature`` (t,) degC, when a share of the step is
        over."""
        return self.touch.at(share).conductance(temperature) * self.free


def box_around(nodes: Nodes, grid: Padded) -> Box:
    """The box of some ``nodes``; empty without any."""
    if not nodes.size:
        return np.zeros(6, np.int64)
    i, j, k = (index + 1 for index in np.unravel_index(nodes, grid.shape))
    return np.array([i.min(), i.max() + 1, j.min(), j.max() + 1, k.min(), k.max() + 1])


def box_of_rows(first: Array, last: Array) -> Box:
    """The box of rows (nx, ny) that reach from padded node ``first`` to ``last``; empty where nothing does."""
    rows = np.argwhere(last > 0)
    if not rows.size:
        return np.zeros(6, np.int64)
    (i0, j0), (i1, j1) = rows.min(axis=0) + 1, rows.max(axis=0) + 2
    return np.array([i0, i1, j0, j1, first.min(), last.max() + 1], np.int64)


def box_of(mask: Mask) -> Box:
    """The box of the padded nodes where a mask (nx, ny, nz) holds; empty if nowhere."""
    if not mask.any():
        return np.zeros(6, np.int64)
    places = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return np.array([end for found in places for end in (found[0] + 1, found[-1] + 2)])


def inside(box: Box) -> tuple[slice, slice, slice]:
    """The part of a padded array that a box takes."""
    return slice(box[0], box[1]), slice(box[2], box[3]), slice(box[4], box[5])


def hull(one: Box, other: Box) -> Box:
    """The smallest box around both; an empty one has no end above zero."""
    if one[1] == 0 or other[1] == 0:
        return other if one[1] == 0 else one
    return np.where([True, False] * 3, np.minimum(one, other), np.maximum(one, other))
