"""The stage of the heat march on voxels where neither ice nor vapour is near: linear in the increments ``here`` and
``before`` of the last two stages. Arrays as in :mod:`thermal.engines.heat_kernels`.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from thermal.engines.arrays import ONE, Box, Number, Real
from thermal.engines.compiled import compiled_apart
from thermal.engines.voxel_runs import Runs
from thermal.units import Array


@compiled_apart
def linear_stage(
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
    mu: Number,
    nu: Number,
    now: Number,
    start: Number,
    box: Box,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now (A here) / C + start first`` on the nodes of the ``box``.

    ``runs``: of nodes that are alike, where coefficients are taken once. ``sums``: heat that nodes at a prescribed
    temperature take from their neighbours and heat that the sink takes, W, both beyond those of the start of the step.
    """
    bounds = box.astype(np.uint64)
    counts, ends, values, odd_counts, odd, odd_values = runs
    for plane in nb.prange(box[0], box[1]):
        i = np.uint64(plane)
        kept = np.empty(odd.shape[2], here.dtype)
        for j in range(bounds[2], bounds[3]):
            c, xm, xp, ym, yp = here[i, j], here[i - ONE, j], here[i + ONE, j], here[i, j - ONE], here[i, j + ONE]
            k00, k01, k10, k11 = kv[i - ONE, j - ONE], kv[i - ONE, j], kv[i, j - ONE], kv[i, j]
            o, s, w, f = before[i, j], sink[i, j], inverse[i, j], first[i, j]
            x0, x1, y0, y1 = rx[i - ONE], rx[i], ry[j - ONE], ry[j]
            nothing = kv.dtype.type(0.0)
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
            sums[i - bounds[0], j - bounds[2], 0] = held
            sums[i - bounds[0], j - bounds[2], 1] = lost
