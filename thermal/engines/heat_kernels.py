"""Compiled kernels of the voxel engine's heat march: one pass over memory a stage.

State arrays are nodes ``(nx, ny, nz)`` in double precision. Work arrays carry a ring of ghosts,
``(nx+2, ny+2, nz+2)``, in the working precision, so that no row asks whether it lies at the border: cell coefficients
``kv (nx+1, ny+1, nz+1)`` (a quarter of conductivity times cell volume) are zero in the ring and nothing flows there.
``rx (nx+1,)`` etc. are the inverse squares of the cells' edges. Sums are gathered by rows, ``sums (nx, ny, .)``, and
added up by the caller, so they do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled_fast
from thermal.heat import BODY_TEMPERATURE, BOILING, LEAST
from thermal.units import Array

Real = npt.NDArray[np.floating[Any]]
"""An array in the working precision."""
Number = np.floating[Any]
"""A number in the working precision: a Python float would pull the arithmetic up to double precision."""


@compiled_fast
def fill_conductivity(temperature: Array, base: Array, slope: Array, rises: bool, kv: Real) -> None:
    """Cell coefficients of unfrozen tissue at the mean temperature (degC) of the cells' nodes.

    The relation is that of :class:`thermal.heat.Conductivity`.
    """
    cx, cy, cz = base.shape
    for i in nb.prange(cx):
        for j in range(cy):
            row, bare = kv[i + 1, j + 1], base[i, j]
            if rises:
                a, b = temperature[i, j], temperature[i, j + 1]
                c, d = temperature[i + 1, j], temperature[i + 1, j + 1]
                steep = slope[i, j]
                for m in range(cz):
                    mean = 0.125 * (a[m] + a[m + 1] + b[m] + b[m + 1] + c[m] + c[m + 1] + d[m] + d[m + 1])
                    rise = 1.0 + steep[m] * (min(mean, BOILING) - BODY_TEMPERATURE)
                    row[m + 1] = bare[m] * max(rise, LEAST)
            else:
                for m in range(cz):
                    row[m + 1] = bare[m]


@compiled_fast
def follow_ice(theta: Real, warm: Real, frozen: Array, solidus: float, liquidus: float, kv: Real) -> None:
    """``kv`` of a stage: ``warm`` where the cell's mean ``theta`` (K above body temperature, as ``solidus``) is above
    the liquidus, going over to ``frozen``."""
    cx, cy, cz = frozen.shape
    width = liquidus - solidus
    for i in nb.prange(1, cx + 1):
        for j in range(1, cy + 1):
            a, b, c, d = theta[i, j], theta[i, j + 1], theta[i + 1, j], theta[i + 1, j + 1]
            row, bare, ice = kv[i, j], warm[i, j], frozen[i - 1, j - 1]
            coldest = np.inf
            for m in range(1, cz + 2):
                coldest = min(coldest, min(min(a[m], b[m]), min(c[m], d[m])))
            for m in range(1, cz + 1):
                row[m] = bare[m]
            if coldest < liquidus:
                for m in range(1, cz + 1):
                    mean = 0.125 * (a[m] + a[m + 1] + b[m] + b[m + 1] + c[m] + c[m + 1] + d[m] + d[m + 1])
                    if mean < liquidus:
                        share = min((liquidus - mean) / width, 1.0) if width > 0.0 else 1.0
                        row[m] = bare[m] + share * (ice[m - 1] - bare[m])


@compiled_fast
def largest_decay(kv: Real, rx: Real, ry: Real, rz: Real, sink: Real, inverse: Real, stiff: Array, rows: Array) -> None:
    """Largest ``(2 sum_j G_ij + sink_i) / C_i`` of each row, 1/s; ``stiff`` (or empty): capacity over the smallest."""
    nx, ny = rows.shape
    nz = inverse.shape[2] - 2
    for i in nb.prange(1, nx + 1):
        for j in range(1, ny + 1):
            k00, k01, k10, k11 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1], kv[i, j]
            s, w = sink[i, j], inverse[i, j]
            found = 0.0
            for m in range(1, nz + 1):
                a00, a01 = k00[m - 1] + k00[m], k01[m - 1] + k01[m]
                a10, a11 = k10[m - 1] + k10[m], k11[m - 1] + k11[m]
                below = (k00[m - 1] + k01[m - 1]) + (k10[m - 1] + k11[m - 1])
                above = (k00[m] + k01[m]) + (k10[m] + k11[m])
                total = rx[i] * (a10 + a11) + rx[i - 1] * (a00 + a01)
                total += ry[j] * (a01 + a11) + ry[j - 1] * (a00 + a10)
                total += rz[m] * above + rz[m - 1] * below
                rate = (2.0 * total + s[m]) * w[m]
                if stiff.size > 0:
                    rate *= stiff[i - 1, j - 1, m - 1]
                found = max(found, rate)
            rows[i - 1, j - 1] = found


@compiled_fast
def first_flow(
    temperature: Array,
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    power: Array,
    blood: Array,
    film: Array,
    border: Array,
    arterial: float,
    liquidus: float,
    inverse: Real,
    first: Real,
    sink: Real,
    sums: Array,
) -> None:
    """Rate of change ``first`` (K/s) of v at the start of a step, and what is lost per kelvin, ``sink`` (W/K).

    ``sums``: heat into free nodes, heat from blood, heat from the border, W; largest rate, K/s.
    """
    nx, ny, nz = temperature.shape
    for i in nb.prange(nx):
        q = np.empty(nz)
        for j in range(ny):
            c = temperature[i, j]
            xm, xp = temperature[max(i - 1, 0), j], temperature[min(i + 1, nx - 1), j]
            ym, yp = temperature[i, max(j - 1, 0)], temperature[i, min(j + 1, ny - 1)]
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
                q[m] += rz[m + 1] * ((k00[m + 1] + k01[m + 1]) + (k10[m + 1] + k11[m + 1])) * (c[m + 1] - c[m])
            w, out, lost = inverse[i + 1, j + 1], first[i + 1, j + 1], sink[i + 1, j + 1]
            p, b, f, e = power[i, j], blood[i, j], film[i, j], border[i, j]
            flow, bled, crossed, fastest = 0.0, 0.0, 0.0, 0.0
            for m in range(nz):
                u = c[m]
                free = 1.0 if w[m + 1] > 0 else 0.0
                flowing = free * (b[m] if u > liquidus else 0.0)
                from_blood = flowing * (arterial - u)
                from_border = free * (e[m] - f[m] * u)
                total = free * (q[m] + p[m]) + from_blood + from_border
                rate = total * w[m + 1]
                out[m + 1] = rate
                lost[m + 1] = flowing + free * f[m]
                flow += total
                bled += from_blood
                crossed += from_border
                fastest = max(fastest, abs(rate))
            row = sums[i, j]
            row[0], row[1], row[2], row[3] = flow, bled, crossed, fastest


@compiled_fast
def linear_stage(
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    sink: Real,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    mu: Number,
    nu: Number,
    now: Number,
    start: Number,
    sums: Array,
) -> None:
    """A stage where neither ice nor vapour is near: the equation is linear in the increments ``here`` and ``before``.

    ``before = mu here + nu before + now (A here) / C + start first``. ``sums``: heat that nodes
    at a prescribed temperature take from their neighbours and heat that the sink takes, W, both beyond those of the
    start of the step.
    """
    nx, ny = sums.shape[0], sums.shape[1]
    nz = here.shape[2] - 2
    for i in nb.prange(1, nx + 1):
        for j in range(1, ny + 1):
            c, xm, xp, ym, yp = here[i, j], here[i - 1, j], here[i + 1, j], here[i, j - 1], here[i, j + 1]
            k00, k01, k10, k11 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1], kv[i, j]
            o, s, w, f = before[i, j], sink[i, j], inverse[i, j], first[i, j]
            x0, x1, y0, y1 = rx[i - 1], rx[i], ry[j - 1], ry[j]
            nothing = kv.dtype.type(0.0)
            held, lost = nothing, nothing
            for m in range(1, nz + 1):
                a00, a01 = k00[m - 1] + k00[m], k01[m - 1] + k01[m]
                a10, a11 = k10[m - 1] + k10[m], k11[m - 1] + k11[m]
                below = (k00[m - 1] + k01[m - 1]) + (k10[m - 1] + k11[m - 1])
                above = (k00[m] + k01[m]) + (k10[m] + k11[m])
                u = c[m]
                q = x1 * (a10 + a11) * (xp[m] - u) + x0 * (a00 + a01) * (xm[m] - u)
                q += y1 * (a01 + a11) * (yp[m] - u) + y0 * (a00 + a10) * (ym[m] - u)
                q += rz[m] * above * (c[m + 1] - u) + rz[m - 1] * below * (c[m - 1] - u)
                taken = s[m] * u
                q -= taken
                o[m] = mu * u + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                lost += taken
            sums[i - 1, j - 1, 0] = held
            sums[i - 1, j - 1, 1] = lost


@compiled_fast
def stage_temperature(
    v: Array,
    change: Real,
    ice_width: Array,
    ice_ratio: Array,
    solidus: float,
    liquidus: float,
    steam_width: Array,
    onset: float,
    dry: float,
    theta: Real,
) -> None:
    """Temperature above body temperature (K) of ``v + change`` by :class:`thermal.heat.Enthalpy`; knots likewise above
    body temperature, widths empty where there is no such phase."""
    nx, ny, nz = v.shape
    freezes, boils = ice_width.size > 0, steam_width.size > 0
    for i in nb.prange(nx):
        for j in range(ny):
            row, added, out = v[i, j], change[i + 1, j + 1], theta[i + 1, j + 1]
            lowest, highest = np.inf, -np.inf
            for m in range(nz):
                value = row[m] + added[m + 1]
                out[m + 1] = value
                lowest, highest = min(lowest, value), max(highest, value)
            if freezes and lowest < liquidus:
                wide, ratio = ice_width[i, j], ice_ratio[i, j]
                for m in range(nz):
                    below = liquidus - (row[m] + added[m + 1])
                    if below > 0.0:
                        mushy = min(below, wide[m]) * ((liquidus - solidus) / wide[m])
                        out[m + 1] = liquidus - mushy - max(below - wide[m], 0.0) / ratio[m]
            if boils and highest > onset:
                wide = steam_width[i, j]
                for m in range(nz):
                    above = (row[m] + added[m + 1]) - onset
                    if above > 0.0:
                        out[m + 1] = onset + min(above, wide[m]) * ((dry - onset) / wide[m]) + max(above - wide[m], 0.0)


@compiled_fast
def phase_stage(
    theta: Real,
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    steady: Real,
    blood: Real,
    sink: Real,
    arterial: Number,
    liquidus: Number,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    mu: Number,
    nu: Number,
    now: Number,
    start: Number,
    sums: Array,
) -> None:
    """A stage with ice or vapour: flows at the temperature ``theta`` (K above body temperature, as ``arterial`` and
    ``liquidus``).

    ``steady`` W is what flows in at body temperature besides blood, ``sink`` W/K what films and probes take per kelvin
    above it; all are zero at nodes that are not free.
    ``before = mu here + nu before + now F(theta) / C + start first``. ``sums``: heat into nodes
    at a prescribed temperature, heat from blood, W.
    """
    nx, ny = sums.shape[0], sums.shape[1]
    nz = here.shape[2] - 2
    for i in nb.prange(1, nx + 1):
        for j in range(1, ny + 1):
            c, xm, xp, ym, yp = theta[i, j], theta[i - 1, j], theta[i + 1, j], theta[i, j - 1], theta[i, j + 1]
            k00, k01, k10, k11 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1], kv[i, j]
            o, h, w, f = before[i, j], here[i, j], inverse[i, j], first[i, j]
            p, b, t = steady[i, j], blood[i, j], sink[i, j]
            x0, x1, y0, y1 = rx[i - 1], rx[i], ry[j - 1], ry[j]
            nothing = kv.dtype.type(0.0)
            held, bled = nothing, nothing
            for m in range(1, nz + 1):
                a00, a01 = k00[m - 1] + k00[m], k01[m - 1] + k01[m]
                a10, a11 = k10[m - 1] + k10[m], k11[m - 1] + k11[m]
                below = (k00[m - 1] + k01[m - 1]) + (k10[m - 1] + k11[m - 1])
                above = (k00[m] + k01[m]) + (k10[m] + k11[m])
                u = c[m]
                q = x1 * (a10 + a11) * (xp[m] - u) + x0 * (a00 + a01) * (xm[m] - u)
                q += y1 * (a01 + a11) * (yp[m] - u) + y0 * (a00 + a10) * (ym[m] - u)
                q += rz[m] * above * (c[m + 1] - u) + rz[m - 1] * below * (c[m - 1] - u)
                from_blood = b[m] * (arterial - u) if u > liquidus else nothing
                q += p[m] - t[m] * u + from_blood
                o[m] = mu * h[m] + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                bled += from_blood
            sums[i - 1, j - 1, 0] = held
            sums[i - 1, j - 1, 1] = bled


@compiled_fast
def weigh(change: Real, capacity: Array, sums: Array) -> None:
    """``sums``: heat stored by the change of v, J, and by its magnitude."""
    nx, ny, nz = capacity.shape
    for i in nb.prange(nx):
        for j in range(ny):
            added, c = change[i + 1, j + 1], capacity[i, j]
            stored, size = 0.0, 0.0
            for m in range(nz):
                stored += c[m] * added[m + 1]
                size += c[m] * abs(added[m + 1])
            sums[i, j, 0], sums[i, j, 1] = stored, size


@compiled_fast
def add_up(v: Array, change: Real, share: float, new: Array, sums: Array) -> None:
    """``new = v + change + share |change|``. ``sums``: lowest and highest ``new``, K."""
    nx, ny, nz = v.shape
    for i in nb.prange(nx):
        for j in range(ny):
            row, added, out = v[i, j], change[i + 1, j + 1], new[i, j]
            lowest, highest = np.inf, -np.inf
            for m in range(nz):
                value = row[m] + (added[m + 1] + share * abs(added[m + 1]))
                out[m] = value
                lowest, highest = min(lowest, value), max(highest, value)
            sums[i, j, 0], sums[i, j, 1] = lowest, highest


@compiled_fast
def largest_error(change: Real, first: Real, last: Real, step: float, rows: Array) -> None:
    """Largest of ``|-0.8 change + 0.4 step (first + last)|`` of each row, K.

    The estimate of B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326.
    """
    nx, ny = rows.shape
    nz = change.shape[2] - 2
    for i in nb.prange(1, nx + 1):
        for j in range(1, ny + 1):
            d, a, b = change[i, j], first[i, j], last[i, j]
            found = 0.0
            for m in range(1, nz + 1):
                found = max(found, abs(0.4 * step * (a[m] + b[m]) - 0.8 * d[m]))
            rows[i - 1, j - 1] = found
