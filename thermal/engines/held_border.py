"""Regions held at a value on voxels: what the edges conduct that their border cuts.

The nodes that stand for such a region are a staircase. A free node beside it would feel its border where a held node
is, up to half a voxel off, and every flow would be wrong in proportion to the voxels. Where the border is known as a
level (zero there, positive outside), a field that is linear in the level changes by f from the border to a free node of
level f, and by f - h from a held node of level h. So the edge between both conducts ``(f - h) / f`` times as much as by
its length: more where the held node lies inside the region, less where it lies outside. Along an edge that the border
cuts, this is the distance to the border (G. H. Shortley, R. Weller, J. Appl. Phys. 9 (1938) 334, unverified) in the
symmetric form of F. Gibou, R. P. Fedkiw, L.-T. Cheng and M. Kang (J. Comput. Phys. 176 (2002) 205,
doi:10.1006/jcph.2001.6977, unverified), whose solutions are of the second order. As held nodes reach half a voxel
beyond a plane border, no edge there conducts more than twice as much, and steps need hardly be shorter.
"""

from __future__ import annotations

import numpy as np

from thermal.domain import CutEdges, Level, VoxelDomain
from thermal.units import Mask

MOST = 2.5
"""The most that an edge conducts over what it would by its length: reached beside corners, vessels of a voxel and faces
of the window, where free nodes may lie nearer to a border than half a voxel. With more, errors are hardly less."""


def held_edges(domain: VoxelDomain, level: Level, held: Mask) -> CutEdges | None:
    """Edges from the nodes ``held`` (n,) for a region to others; ``level`` of its border. None where there are none, or
    nothing is known of the border."""
    inside = held.reshape(domain.shape)
    nodes, factors, known = [], [], False
    for axis in range(3):
        count = domain.shape[axis]
        lower, upper = (np.take(inside, np.arange(begin, begin + count - 1), axis=axis) for begin in (0, 1))
        first = np.argwhere((lower != upper) & _beside(domain.solid.reshape(domain.cell_shape), axis))
        ends = np.stack([first, first + np.eye(3, dtype=np.int64)[axis]], axis=1)  # (e, 2, 3)
        at = level(*(domain.axes[a][ends[..., a]] for a in range(3)))
        upwards = inside[tuple(ends[:, 1].T)]
        free, kept = np.where(upwards, at[:, 0], at[:, 1]), np.where(upwards, at[:, 1], at[:, 0])
        change = free - kept
        known |= not np.isnan(change).all()
        rises = change > 0.0
        nodes.append(np.stack([np.ravel_multi_index(tuple(ends[:, end].T), domain.shape) for end in (0, 1)], axis=1))
        factors.append(np.divide(change, np.maximum(free, change / MOST), out=np.ones(len(change)), where=rises))
    every = np.concatenate(nodes)
    if len(every) == 0 or not known:
        return None
    in_order = np.lexsort(every.T[::-1])
    return CutEdges(every[in_order], np.concatenate(factors)[in_order])


def _beside(solid: Mask, axis: int) -> Mask:
    """Which edges along an axis, by the node that each begins at, have a cell that is ``solid`` among their four."""
    across = np.pad(solid, [(0, 0) if a == axis else (1, 1) for a in range(3)])
    for a in range(3):
        if a != axis:
            count = across.shape[a] - 1
            across = np.take(across, np.arange(count), axis=a) | np.take(across, np.arange(1, count + 1), axis=a)
    return np.asarray(across)
