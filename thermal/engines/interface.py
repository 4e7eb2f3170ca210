"""Where an interface between two materials cuts voxels: what the edges of the grid conduct there.

The mean of a voxel's shares is right for flow along an interface and wrong for flow across it, where resistances add
up. A tensor of the voxel mends little of that on seven points, whose edges see no mixed derivatives. But an edge can
carry the exact resistance of the straight line between its nodes: flow across a plane interface of any slope is then
exact, as ``k du/dx`` does not jump along the line. Flow along the interface wants the mean over the face between the
nodes instead. So each edge carries the mean, over a part of that face, of what the lines parallel to it conduct: the
whole face where the edge runs along the interface, the line alone where it runs across. What it then lacks for the flow
along the interface is handed on to the next edge in the better material, where it hardly matters for the flow across.

The interface near an edge is taken for a plane. Its normal is the gradient of the coefficient over the voxels around
(D. L. Youngs, in Numerical Methods for Fluid Dynamics, Academic Press 1982, 273-285), and it leaves the shares that the
four voxels of the edge have together. Where these hold more than two materials, or a layer thinner than voxels, all is
taken for layers: in series as far as the edge runs across, in parallel as far as it runs along. A thin layer that
conducts less than both of its sides is in series on every edge that does not run along it: then each way through it has
its resistance, and what flows through along the three axes adds up rightly, as the squared cosines of its normal do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thermal.domain import CutEdges, VoxelDomain
from thermal.engines.arrays import Index
from thermal.engines.interface_kernels import ALIKE, lines
from thermal.units import Array, Mask

UNLIKE = 1e-9
"""Relative difference below which shares and factors are the same."""


def cut_edges(domain: VoxelDomain, values: Mapping[str, float]) -> CutEdges | None:
    """Edges beside voxels that hold regions of different ``values`` (> 0); None where no voxel does."""
    present = [(values[region], share) for region, share in domain.shares.items()]
    if not present or max(v for v, _ in present) <= ALIKE * min(v for v, _ in present):
        return None
    least, most = np.full(domain.cell_shape, np.inf), np.zeros(domain.cell_shape)
    for value, share in present:
        there = share.reshape(domain.cell_shape) > UNLIKE
        np.minimum(least, value, out=least, where=there)
        np.maximum(most, value, out=most, where=there)
    solid = domain.solid.reshape(domain.cell_shape)
    cut = solid & (most > ALIKE * least)
    if not cut.any():
        return None
    mean, resistivity = np.zeros(domain.cell_shape), np.zeros(domain.cell_shape)
    for value, share in present:
        mean += value * share.reshape(domain.cell_shape)
        resistivity += share.reshape(domain.cell_shape) / value
    widths = domain.widths
    strides = np.array([domain.shape[1] * domain.shape[2], domain.shape[2], 1])
    nodes, factors = [], []
    for axis in range(3):
        order = (axis, *(a for a in range(3) if a != axis))
        k, inverse, low, high, body = (
            np.ascontiguousarray(np.transpose(a, order)) for a in (mean, resistivity, least, most, solid)
        )
        edges = _edges_near(np.transpose(cut, order))
        x, y, z = (widths[a] for a in order)
        found = np.empty((len(edges), 5))
        lines(0, len(edges), k, inverse, low, high, body, x, y, z, edges, found)
        conducts = _handed_on(found, edges, k.shape)
        factors_here = np.divide(conducts, found[:, 0], out=np.ones(len(edges)), where=found[:, 0] > 0.0)
        unlike = np.abs(factors_here - 1.0) > UNLIKE
        first = edges[unlike] @ strides[list(order)]
        nodes.append(np.stack([first, first + strides[axis]], axis=1))
        factors.append(factors_here[unlike])
    every = np.concatenate(nodes)
    in_order = np.lexsort(every.T[::-1])
    return CutEdges(every[in_order], np.concatenate(factors)[in_order])


def _edges_near(cut: Mask) -> Index:
    """Edges (e, 3) along the first axis that have one of the cells ``cut`` among their four, and those that go on from
    them; the first node of each, in order."""
    count, rows, columns = cut.shape
    beside = np.zeros((count, rows + 1, columns + 1), dtype=bool)
    for j in (0, 1):
        for m in (0, 1):
            beside[:, j : j + rows, m : m + columns] |= cut
    near = beside.copy()
    near[1:] |= beside[:-1]
    near[:-1] |= beside[1:]
    return np.argwhere(near)


def _handed_on(found: Array, edges: Index, cells: tuple[int, ...]) -> Array:
    """(e,) what each edge conducts when the next one in the better material has taken over flow along the interface.

    ``found``: of :func:`lines`. Both together keep the resistance that they have in series, and get the conductance in
    parallel that all their parts have.
    """
    mean, line, side_by_side, better, across = found.T
    conducts: Array = line.copy()
    count, rows, columns = cells[0], cells[1] + 1, cells[2] + 1
    giving = np.flatnonzero((better != 0.0) & (side_by_side > (1.0 + UNLIKE) * line))
    next_ = edges[giving, 0] + better[giving].astype(np.int64)
    giving = giving[(next_ >= 0) & (next_ < count)]
    numbers = np.ravel_multi_index(tuple(edges.T), (count, rows, columns))
    taking = np.searchsorted(numbers, numbers[giving] + better[giving].astype(np.int64) * rows * columns)
    giving, taking = giving[mean[taking] > 0.0], taking[mean[taking] > 0.0]
    own, other = line[giving], line[taking]
    sum_, more = own + other, across[giving] * (side_by_side[giving] - own)
    both = sum_ + more
    apart = both * ((own - other) ** 2 / sum_ + more)  # (larger - smaller)^2, never negative by round-off
    larger = 0.5 * (both + np.sqrt(apart))
    conducts[giving] += (both - larger) - own
    np.add.at(conducts, taking, larger - other)
    return conducts
