"""Compiled kernels of the voxel engine's heat march: one pass over memory a stage.

State arrays are nodes ``(nx, ny, nz)`` in double precision. Work arrays carry a ring of ghosts,
``(nx+2, ny+2, nz+2)``, in the working precision, so that no row asks whether it lies at the border: cell coefficients
``kv (nx+1, ny+1, nz+1)`` (a quarter of conductivity times cell volume) are zero in the ring and nothing flows there.
``rx (nx+1,)`` etc. are the inverse squares of the cells' edges. Sums are gathered by rows, ``sums (nx, ny, .)``, and
added up by the caller, so they do not depend on the number of threads. A ``box`` (i0, i1, j0, j1, m0, m1) of padded
nodes, half-open, is where something changes in a step; sums are then of its rows. ``gx``, ``gy``, ``gz`` (nodes) W/K
are the conductances of the edges from each node to the next along the axes, where cut voxels ask for them, else empty
(:mod:`thermal.engines.cut_heat`). What is done once a step works on the planes from ``begin`` to before ``end``.
"""

from __future__ import annotations

import numpy as np

from thermal.engines.arrays import Box, Number, Real
from thermal.engines.compiled import compiled_shared_fast
from thermal.engines.stretches import Stretches
from thermal.enthalpy import BODY_TEMPERATURE, BOILING, LEAST
from thermal.units import Array


@compiled_shared_fast
def fill_conductivity(begin: int, end: int, temperature: Array, base: Array, slope: Array, kv: Real) -> None:
    """Cell coefficients of unfrozen tissue at the mean temperature (degC) of the cells' nodes.

    The relation is that of :class:`thermal.enthalpy.Conductivity`.
    """
    _, cy, cz = base.shape
    for i in range(begin, end):
        for j in range(cy):
            row, bare, steep = kv[i + 1, j + 1], base[i, j], slope[i, j]
            a, b = temperature[i, j], temperature[i, j + 1]
            c, d = temperature[i + 1, j], temperature[i + 1, j + 1]
            for m in range(cz):
                mean = 0.125 * (a[m] + a[m + 1] + b[m] + b[m + 1] + c[m] + c[m + 1] + d[m] + d[m + 1])
                rise = 1.0 + steep[m] * (min(mean, BOILING) - BODY_TEMPERATURE)
                row[m + 1] = bare[m] * max(rise, LEAST)


@compiled_shared_fast
def largest_decay(
    begin: int,
    end: int,
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    gx: Real,
    gy: Real,
    gz: Real,
    sink: Real,
    inverse: Real,
    stiff: Array,
    rows: Array,
) -> None:
    """Largest ``(2 sum_j G_ij + sink_i) / C_i`` of each row, 1/s; ``stiff`` (or empty): capacity over the smallest."""
    ny = rows.shape[1]
    nz = inverse.shape[2] - 2
    for i in range(begin, end):
        rates = np.empty(nz)
        for j in range(1, ny + 1):
            s, w = sink[i, j], inverse[i, j]
            found = 0.0
            if gx.size > 0:
                x0, x1, y0, y1, z = gx[i - 1, j], gx[i, j], gy[i, j - 1], gy[i, j], gz[i, j]
                for m in range(1, nz + 1):
                    total = (x0[m] + x1[m]) + (y0[m] + y1[m]) + (z[m - 1] + z[m])
                    rates[m - 1] = (2.0 * total + s[m]) * w[m]
            else:
                k00, k01, k10, k11 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1], kv[i, j]
                for m in range(1, nz + 1):
                    a00, a01 = k00[m - 1] + k00[m], k01[m - 1] + k01[m]
                    a10, a11 = k10[m - 1] + k10[m], k11[m - 1] + k11[m]
                    below = (k00[m - 1] + k01[m - 1]) + (k10[m - 1] + k11[m - 1])
                    above = (k00[m] + k01[m]) + (k10[m] + k11[m])
                    total = rx[i] * (a10 + a11) + rx[i - 1] * (a00 + a01)
                    total += ry[j] * (a01 + a11) + ry[j - 1] * (a00 + a10)
                    total += rz[m] * above + rz[m - 1] * below
                    rates[m - 1] = (2.0 * total + s[m]) * w[m]
            if stiff.size > 0:
                more = stiff[i - 1, j - 1]
                for m in range(nz):
                    rates[m] *= more[m]
            for m in range(nz):
                found = max(found, rates[m])
            rows[i - 1, j - 1] = found


@compiled_shared_fast
def first_flow(
    begin: int,
    end: int,
    temperature: Array,
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    gx: Real,
    gy: Real,
    gz: Real,
    power: Array,
    blood: Real,
    film: Array,
    border: Array,
    arterial: float,
    liquidus: float,
    inverse: Real,
    negligible: float,
    first: Real,
    sink: Real,
    sums: Array,
) -> None:
    """Rate of change ``first`` (K/s) of v at the start of a step, and what is lost per kelvin, ``sink`` (W/K).

    ``film`` and ``border`` are empty where heat crosses no border. Nodes with rates up to ``negligible`` K/s rest.
    ``sums``: heat into the other free nodes, heat from blood, heat from the border, W; largest rate, K/s; first and
    last padded node of the row that does not rest.
    """
    nx, ny, nz = temperature.shape
    bordered = film.size > 0
    for i in range(begin, end):
        q = np.empty(nz)
        for j in range(ny):
            c = temperature[i, j]
            xm, xp = temperature[max(i - 1, 0), j], temperature[min(i + 1, nx - 1), j]
            ym, yp = temperature[i, max(j - 1, 0)], temperature[i, min(j + 1, ny - 1)]
            if gx.size > 0:
                x0, x1 = gx[i, j + 1, 1:-1], gx[i + 1, j + 1, 1:-1]
                y0, y1, z = gy[i + 1, j, 1:-1], gy[i + 1, j + 1, 1:-1], gz[i + 1, j + 1, 1:-1]
                for m in range(nz):
                    u = c[m]
                    q[m] = x1[m] * (xp[m] - u) + x0[m] * (xm[m] - u) + y1[m] * (yp[m] - u) + y0[m] * (ym[m] - u)
                for m in range(1, nz):
                    q[m] += z[m - 1] * (c[m - 1] - c[m])
                for m in range(nz - 1):
                    q[m] += z[m] * (c[m + 1] - c[m])
            else:
                k00, k01, k10, k11 = kv[i, j], kv[i, j + 1], kv[i + 1, j], kv[i + 1, j + 1]
                for m in range(nz):
                    a00, a01 = k00[m] + k00[m + 1], k01[m] + k01[m + 1]
                    a10, a11 = k10[m] + k10[m + 1], k11[m] + k11[m + 1]
                    u = c[m]
                    along_x = rx[i + 1] * (a10 + a11) * (xp[m] - u) + rx[i] * (a00 + a01) * (xm[m] - u)
                    q[m] = along_x + ry[j + 1] * (a01 + a11) * (yp[m] - u) + ry[j] * (a00 + a10) * (ym[m] - u)
                for m in range(1, nz):
                    q[m] += rz[m] * ((k00[m] + k01[m]) + (k10[m] + k11[m])) * (c[m - 1] - c[m])
                for m in range(nz - 1):
                    above = (k00[m + 1] + k01[m + 1]) + (k10[m + 1] + k11[m + 1])
                    q[m] += rz[m + 1] * above * (c[m + 1] - c[m])
            w, out, lost = inverse[i + 1, j + 1, 1:-1], first[i + 1, j + 1, 1:-1], sink[i + 1, j + 1, 1:-1]
            p, b = power[i, j], blood[i, j]
            flow, bled, crossed, fastest = 0.0, 0.0, 0.0, first.dtype.type(0.0)
            if bordered:
                f, e = film[i, j], border[i, j]
                for m in range(nz):
                    from_border = e[m] - f[m] * c[m] if w[m] > 0 else 0.0
                    q[m] += from_border
                    crossed += from_border
            for m in range(nz):
                u = c[m]
                free = 1.0 if w[m] > 0 else 0.0
                flowing = free * (b[m] if u > liquidus else 0.0)
                from_blood = flowing * (arterial - u)
                total = free * (q[m] + p[m]) + from_blood
                rate = total * w[m]
                moves = abs(rate) > negligible
                out[m] = rate if moves else 0.0
                lost[m] = flowing
                flow += total if moves else 0.0
                bled += from_blood
            if bordered:
                f = film[i, j]
                for m in range(nz):
                    if w[m] > 0:
                        lost[m] += f[m]
            for m in range(nz):
                fastest = max(fastest, abs(out[m]))
            lowest, highest = 1, nz
            while lowest <= nz and out[lowest - 1] == 0:
                lowest += 1
            while highest > 0 and out[highest - 1] == 0:
                highest -= 1
            row = sums[i, j]
            row[0], row[1], row[2], row[3], row[4], row[5] = flow, bled, crossed, fastest, lowest, highest


@compiled_shared_fast
def weigh(begin: int, end: int, start: Array, change: Real, capacity: Stretches, box: Box, sums: Array) -> None:
    """``sums`` of each row: heat stored by a change of v and by its magnitude, J, with the ``capacity`` J/K; lowest and
    highest temperature after it, degC, of liquid tissue that had that of ``start``."""
    lo, hi, ny = box[4] - 1, box[5] - 1, start.shape[1]
    begins, ends, values = capacity
    for i in range(begin, end):
        for j in range(box[2], box[3]):
            row, added = start[i - 1, j - 1], change[i, j, 1:]
            stored, size, lowest, highest = 0.0, 0.0, np.inf, -np.inf
            done = lo
            for stretch in range(begins[(i - 1) * ny + j - 1], begins[(i - 1) * ny + j]):
                until = min(np.int64(ends[stretch]), hi)
                gained, moved = 0.0, 0.0
                for m in range(done, until):
                    d = np.float64(added[m])
                    gained += d
                    moved += abs(d)
                    value = row[m] + d
                    lowest, highest = min(lowest, value), max(highest, value)
                stored += values[stretch] * gained
                size += values[stretch] * moved
                done = max(done, until)
            s = sums[i - box[0], j - box[2]]
            s[0], s[1], s[2], s[3] = stored, size, lowest, highest


@compiled_shared_fast
def add_up(
    begin: int, end: int, change: Real, share: float, box: Box, temperature: Array, coldest: Real, hottest: Real
) -> None:
    """``temperature += change + share |change|`` of liquid tissue in place, and the extremes so far, degC."""
    lo, hi = box[4], box[5]
    for i in range(begin, end):
        for j in range(box[2], box[3]):
            out, added = temperature[i - 1, j - 1, lo - 1 : hi - 1], change[i, j, lo:hi]
            low, high = coldest[i - 1, j - 1, lo - 1 : hi - 1], hottest[i - 1, j - 1, lo - 1 : hi - 1]
            for m in range(hi - lo):
                d = added[m]
                now = out[m] + (d + share * abs(d))
                out[m] = now
                low[m], high[m] = min(low[m], now), max(high[m], now)


@compiled_shared_fast
def largest_error(
    begin: int, end: int, change: Real, first: Real, last: Real, step: Number, box: Box, rows: Array
) -> None:
    """Largest of ``|-0.8 change + 0.4 step (first + last)|`` of each row, K.

    The estimate of B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326.
    """
    lo, hi = box[4], box[5]
    early, late = change.dtype.type(0.4) * step, change.dtype.type(0.8)
    for i in range(begin, end):
        for j in range(box[2], box[3]):
            d, a, b = change[i, j, lo:hi], first[i, j, lo:hi], last[i, j, lo:hi]
            found = change.dtype.type(0.0)
            for m in range(hi - lo):
                found = max(found, abs(early * (a[m] + b[m]) - late * d[m]))
            rows[i - box[0], j - box[2]] = found
