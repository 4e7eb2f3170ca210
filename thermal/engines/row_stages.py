"""The stages of the heat march on meshes where neither ice nor vapour is near: linear in the increments ``here`` and
``before`` of the last two stages. Arrays as in :mod:`thermal.engines.row_kernels`.

As on voxels several stages go over the rows together, so that the matrix is read once for all of them (C. Alappat, G.
Hager, O. Schenk, G. Wellein, IEEE Trans. Parallel Distrib. Syst. 34 (2023) 581-597). Rows are in an order in which
neighbours are near, and are worked on in groups: a stage does a group when the one before it has done all its
neighbours. Each core has a stretch of groups; what stages need across the border of two stretches is done last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from thermal.engines.arrays import Index, Number, Real
from thermal.engines.compiled import compiled, compiled_part, compiled_part_apart
from thermal.engines.graph import LANES, Unsigned
from thermal.engines.row_order import RowOrder
from thermal.units import Array

GROUP = 8
"""Slices that are done at once."""
MOST_TOGETHER = 4
"""Stages that go over the rows together."""
MOST_LAST = 0.1
"""Of the work of a core: what is left for the borders, where one core works alone."""


@dataclass(frozen=True)
class Stretches:
    """What each core does of so many stages, and what is left for the borders: groups from ``begin`` to before ``end``,
    (cores, stages) and (borders, stages); as good for fewer stages."""

    begin: Index
    end: Index
    border_begin: Index
    border_end: Index

    @property
    def left(self) -> float:
        """Largest share of the work at a border in the work of a core; infinite if there is not enough of it."""
        if not len(self.border_begin):
            return 0.0
        least = (self.end - self.begin).min()
        most = (self.border_end - self.border_begin).sum(axis=1).max()
        return float(most / (self.end - self.begin).sum(axis=1).min()) if least > 0 else np.inf


class Groups:
    """Groups of the rows in an order, with the first and the last group among the neighbours of each."""

    def __init__(self, order: RowOrder) -> None:
        starts = np.arange(0, order.slices, GROUP)
        self.size = len(starts)
        own = np.arange(self.size)
        first = np.minimum(own, np.minimum.reduceat(order.lowest, starts) // (GROUP * LANES))
        last = np.maximum(own, np.maximum.reduceat(order.highest, starts) // (GROUP * LANES))
        self._first = np.minimum.accumulate(first[::-1])[::-1]
        self.last = np.maximum.accumulate(last)
        """of this group and all before it"""

    def stretches(self, stages: int, cores: int) -> Stretches:
        """For so many ``stages`` on so many ``cores``: each stage stays away from a border by what it needs of the one
        before it."""
        bounds = np.linspace(0, self.size, cores + 1).astype(np.int64)
        begin, end = [bounds[:-1]], [bounds[1:]]
        for _ in range(stages - 1):
            begin.append(np.append(0, np.searchsorted(self._first, begin[-1][1:], side="left")))
            end.append(np.append(np.searchsorted(self.last, end[-1][:-1], side="left"), self.size))
        begins, ends = np.stack(begin, axis=1).astype(np.int64), np.stack(end, axis=1).astype(np.int64)
        return Stretches(begins, ends, ends[:-1].copy(), begins[1:].copy())

    def best(self, cores: int) -> Stretches:
        """For as many stages as pay."""
        cores = max(min(cores, self.size), 1)
        tried = (self.stretches(stages, cores) for stages in range(MOST_TOGETHER, 1, -1))
        return next((found for found in tried if found.left <= MOST_LAST), self.stretches(1, cores))


@compiled_part_apart
def _group(
    begin: int, end: int, start: Index, lowest: Index, neighbour: Unsigned, values: Real, sink: Real, inverse: Real,
    first: Real, here: Real, before: Real, mu: Number, nu: Number, now: Number, begun: Number, q: Real, sums: Array,
) -> None:  # fmt: skip
    """One stage on the slices from ``begin`` to before ``end``: what :func:`linear_stages` says."""
    nothing = here.dtype.type(0.0)
    for part in range(begin, end):
        base = part * LANES
        u, o = here[base : base + LANES], before[base : base + LANES]
        s, w, f = sink[base : base + LANES], inverse[base : base + LANES], first[base : base + LANES]
        near = here[lowest[part] :]
        q[:] = nothing
        for slot in range(start[part], start[part + 1], LANES):
            j, g = neighbour[slot : slot + LANES], values[slot : slot + LANES]
            for lane in range(LANES):
                q[lane] += g[lane] * (near[j[lane]] - u[lane])
        held, lost = nothing, nothing
        for lane in range(LANES):
            taken = s[lane] * u[lane]
            held += nothing if w[lane] > nothing else q[lane]
            lost += taken
            o[lane] = mu * u[lane] + nu * o[lane] + now * (w[lane] * (q[lane] - taken)) + begun * f[lane]
        sums[0, part], sums[1, part] = held, lost


@compiled_part
def _stretch(
    begin: Index, end: Index, last: Index, start: Index, lowest: Index, neighbour: Unsigned, values: Real, sink: Real,
    inverse: Real, first: Real, here: Real, before: Real, weights: Real, watched: Index, places: Index, seen: Real,
    sums: Array,
) -> None:  # fmt: skip
    """All stages on their groups from ``begin`` to before ``end`` (stages or more,), each as far as the one before it
    allows."""
    slices = len(start) - 1
    q = np.empty(LANES, here.dtype)
    fields = (here, before)
    following = begin.copy()
    for turn in range(max(end[0] - begin[0], 1)):
        for number in range(len(weights)):
            own, other = fields[number % 2], fields[1 - number % 2]
            mu, nu, now, begun = weights[number, 0], weights[number, 1], weights[number, 2], weights[number, 3]
            before_it = number - 1
            group = following[number]
            while group < end[number]:
                if number == 0:
                    waits = group > begin[0] + turn
                else:
                    waits = last[group] >= following[before_it] and following[before_it] < end[before_it]
                if waits:
                    break
                for at in range(places[group], places[group + 1]):
                    seen[number, at] = own[watched[at]]
                _group(
                    group * GROUP, min((group + 1) * GROUP, slices), start, lowest, neighbour, values, sink, inverse,
                    first, own, other, mu, nu, now, begun, q, sums[number],
                )  # fmt: skip
                group += 1
            following[number] = group


@compiled
def linear_stages(
    begin: Index,
    end: Index,
    border_begin: Index,
    border_end: Index,
    last: Index,
    start: Index,
    lowest: Index,
    neighbour: Unsigned,
    values: Real,
    sink: Real,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    weights: Real,
    watched: Index,
    places: Index,
    seen: Real,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now (A here) / C + begun first``, again and again, the result being ``here`` the
    next time and the other array ``before``; ``weights`` (stages, 4) of all of them, ``first`` K/s.

    The first four: see :class:`Stretches`; ``last``: see :class:`Groups`. ``watched``: rows, sorted, those of a group
    from ``places[group]`` to before ``places[group + 1]``, of which ``seen`` (stages, t) gets ``here`` of each stage.
    ``sums`` (stages, 2, slices): heat that nodes at a prescribed temperature take from their neighbours and heat that
    the sink takes, W, both beyond those of the start of the step.
    """
    for core in nb.prange(len(begin)):
        _stretch(
            begin[core], end[core], last, start, lowest, neighbour, values, sink, inverse, first, here, before,
            weights, watched, places, seen, sums,
        )  # fmt: skip
    for border in nb.prange(len(border_begin)):
        _stretch(
            border_begin[border], border_end[border], last, start, lowest, neighbour, values, sink, inverse,
            first, here, before, weights, watched, places, seen, sums,
        )  # fmt: skip
