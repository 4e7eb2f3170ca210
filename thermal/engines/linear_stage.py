"""The stages of the heat march on voxels where neither ice nor vapour is near: linear in the increments ``here`` and
``before`` of the last two stages. Arrays as in :mod:`thermal.engines.heat_kernels`.

Several stages go over the grid together, each a plane behind the one before it, so that memory is read once for all of
them (temporal blocking: M. Wellein, G. Hager, T. Zeiser, M. Wittmann, H. Fehske, Proc. 33rd IEEE COMPSAC (2009)
579-586). Each core has a slab of planes; what stages need across the border of two slabs is done last.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.arrays import ONE, Box, Index, Number, Real
from thermal.engines.compiled import compiled, compiled_part, compiled_part_apart
from thermal.engines.voxel_runs import Runs
from thermal.units import Array

MOST_TOGETHER = 4
"""Stages that go over the grid together: with more, what they work on leaves the cache."""
PLANES = 16
"""Planes of a slab for each of them: what is left for the borders stays below a tenth."""


def slabs(box: Box, threads: int) -> Index:
    """First planes of the slabs of a ``box`` for so many threads, and the plane after the last."""
    return np.linspace(box[0], box[1], max(min(threads, int(box[1] - box[0])), 1) + 1).astype(np.int64)


def together(bounds: Index) -> int:
    """How many stages go over slabs with these ``bounds`` together."""
    narrowest = int(np.diff(bounds).min())
    return min(max(narrowest // PLANES, 1), MOST_TOGETHER)


@compiled_part_apart
def _plane(
    i: np.uint64, kv: Real, rx: Real, ry: Real, rz: Real, runs: Runs, sink: Real, inverse: Real, first: Real,
    here: Real, before: Real, mu: Number, nu: Number, now: Number, start: Number, bounds: npt.NDArray[np.uint64],
    kept: Real, holding: Array, losing: Array,
) -> None:  # fmt: skip
    """One stage on plane ``i``: what :func:`linear_stages` says; ``kept`` is room for the odd nodes of a row."""
    counts, ends, values, odd_counts, odd, odd_values = runs
    nothing = kv.dtype.type(0.0)
    for j in range(bounds[2], bounds[3]):
        c, xm, xp, ym, yp = here[i, j], here[i - ONE, j], here[i + ONE, j], here[i, j - ONE], here[i, j + ONE]
        k00, k01, k10, k11 = kv[i - ONE, j - ONE], kv[i - ONE, j], kv[i, j - ONE], kv[i, j]
        o, s, w, f = before[i, j], sink[i, j], inverse[i, j], first[i, j]
        x0, x1, y0, y1 = rx[i - ONE], rx[i], ry[j - ONE], ry[j]
        held, lost = nothing, nothing
        row, column = i - ONE, j - ONE
        alone = np.uint64(odd_counts[row, column])
        for number in range(alone):
            kept[number] = o[odd[row, column, number]]
        count, done = np.uint64(counts[row, column]), bounds[4]
        for number in range(count + ONE):
            begin, end = bounds[5], bounds[5]
            if number < count:
                begin = min(max(np.uint64(ends[row, column, number, 0]), done), bounds[5])
                end = min(max(np.uint64(ends[row, column, number, 1]), done), bounds[5])
            for m in range(done, begin):
                lo, hi = m - ONE, m + ONE
                a00, a01 = k00[lo] + k00[m], k01[lo] + k01[m]
                a10, a11 = k10[lo] + k10[m], k11[lo] + k11[m]
                below = (k00[lo] + k01[lo]) + (k10[lo] + k11[lo])
                above = (k00[m] + k01[m]) + (k10[m] + k11[m])
                u = c[m]
                q = x1 * (a10 + a11) * (xp[m] - u) + x0 * (a00 + a01) * (xm[m] - u)
                q += y1 * (a01 + a11) * (yp[m] - u) + y0 * (a00 + a10) * (ym[m] - u)
                q += rz[m] * above * (c[hi] - u) + rz[lo] * below * (c[lo] - u)
                taken = s[m] * u
                q -= taken
                o[m] = mu * u + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                lost += taken
            if begin < end:
                around, length = values[row, column, number, 0], now * values[row, column, number, 1]
                gx0, gx1, gy0, gy1 = around * x0, around * x1, around * y0, around * y1
                gz = around * values[row, column, number, 2]
                for m in range(begin, end):
                    u = c[m]
                    q = gx1 * (xp[m] - u) + gx0 * (xm[m] - u)
                    q += gy1 * (yp[m] - u) + gy0 * (ym[m] - u)
                    q += gz * ((c[m + ONE] - u) + (c[m - ONE] - u))
                    taken = s[m] * u
                    o[m] = mu * u + nu * o[m] + length * (q - taken) + start * f[m]
                    lost += taken
            done = end
        for number in range(alone):
            at = np.uint64(odd[row, column, number])
            if bounds[4] <= at < bounds[5]:  # a view of the coefficients would cost more than all the rest
                u = c[at]
                q = odd_values[row, column, number, 0] * (xm[at] - u)
                q += odd_values[row, column, number, 1] * (xp[at] - u)
                q += odd_values[row, column, number, 2] * (ym[at] - u)
                q += odd_values[row, column, number, 3] * (yp[at] - u)
                q += odd_values[row, column, number, 4] * (c[at - ONE] - u)
                q += odd_values[row, column, number, 5] * (c[at + ONE] - u)
                q -= s[at] * u
                rests = odd_values[row, column, number, 6] <= nothing
                o[at] = mu * u + nu * kept[number] + now * (odd_values[row, column, number, 6] * q) + start * f[at]
                held += q if rests else nothing
        holding[j - bounds[2]], losing[j - bounds[2]] = held, lost


@compiled_part
def _wave(
    begin: int, end: int, left: int, right: int, kv: Real, rx: Real, ry: Real, rz: Real, runs: Runs, sink: Real,
    inverse: Real, first: Real, here: Real, before: Real, weights: Real, box: Box, watched: Index, places: Index,
    seen: Real, sums: Array,
) -> None:  # fmt: skip
    """All stages on the planes from ``begin`` to before ``end``, bounds that move by ``left`` and ``right`` from stage
    to stage: a stage on a plane follows when the one before it is done on the next plane."""
    count = len(weights)
    bounds = box.astype(np.uint64)
    kept = np.empty(runs[4].shape[2], here.dtype)
    fields = (here, before)
    for turn in range(begin, end + 2 * count):
        for number in range(count):
            plane = turn - number
            if not begin + left * number <= plane < end + right * number:
                continue
            own, other = fields[number % 2], fields[1 - number % 2]
            flat = own.ravel()
            for at in range(places[plane], places[plane + 1]):
                seen[number, at] = flat[watched[at]]
            mu, nu, now, start = weights[number, 0], weights[number, 1], weights[number, 2], weights[number, 3]
            holding, losing = sums[number, 0, plane - box[0]], sums[number, 1, plane - box[0]]
            _plane(
                np.uint64(plane), kv, rx, ry, rz, runs, sink, inverse, first, own, other, mu, nu, now, start, bounds,
                kept, holding, losing,
            )  # fmt: skip


@compiled
def linear_stages(
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    runs: Runs,
    sink: Real,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    weights: Real,
    bounds: Index,
    box: Box,
    watched: Index,
    places: Index,
    seen: Real,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now (A here) / C + start first`` on the nodes of the ``box``, again and again,
    the result being ``here`` the next time and the other array ``before``; ``weights`` (stages, 4) of all of them.

    ``runs``: of nodes that are alike, where coefficients are taken once. ``bounds``: of the :func:`slabs`. ``watched``:
    flat padded nodes, sorted, those of a plane from ``places[plane]`` to ``places[plane + 1]``, of which ``seen``
    (stages, t) gets ``here`` of each stage. ``sums`` (stages, 2, planes, rows): heat that nodes at a prescribed
    temperature take from their neighbours and heat that the sink takes, W, both beyond those of the start of the step.
    """
    last = len(bounds) - 2
    for slab in nb.prange(last + 1):
        _wave(
            bounds[slab], bounds[slab + 1], int(slab > 0), -int(slab < last), kv, rx, ry, rz, runs, sink, inverse,
            first, here, before, weights, box, watched, places, seen, sums,
        )  # fmt: skip
    for border in nb.prange(last):
        middle = bounds[border + 1]
        _wave(
            middle, middle, -1, 1, kv, rx, ry, rz, runs, sink, inverse, first, here, before, weights, box, watched,
            places, seen, sums,
        )  # fmt: skip
