"""Compiled kernels of the heat march on voxels where there is ice or vapour: enthalpy is the state, temperature and
conductivity follow from it. The arrays are those of :mod:`thermal.engines.heat_kernels`.
"""

from __future__ import annotations

import numpy as np

from thermal.engines.arrays import ONE, Box, Number, Real
from thermal.engines.compiled import compiled_inline, compiled_shared, compiled_shared_apart, compiled_shared_fast
from thermal.enthalpy import BODY_TEMPERATURE
from thermal.units import Array


@compiled_shared_fast
def follow_ice(
    begin: int, end: int, theta: Real, warm: Real, frozen: Array, solidus: float, liquidus: float, box: Box, kv: Real
) -> None:
    """``kv`` of a stage: ``warm`` where the cell's mean ``theta`` (K above body temperature, as ``solidus``) is above
    the liquidus, going over to ``frozen``; at the cells around the nodes of the box, of those on the planes from
    ``begin`` to before ``end``."""
    _, cy, cz = frozen.shape
    width = liquidus - solidus
    lo, hi = max(box[4] - 1, 1), min(box[5], cz + 1)
    count = hi - lo
    for i in range(begin, end):
        for j in range(max(box[2] - 1, 1), min(box[3], cy + 1)):
            a, b = theta[i, j, lo : hi + 1], theta[i, j + 1, lo : hi + 1]
            c, d = theta[i + 1, j, lo : hi + 1], theta[i + 1, j + 1, lo : hi + 1]
            row, bare, ice = kv[i, j, lo:hi], warm[i, j, lo:hi], frozen[i - 1, j - 1, lo - 1 : hi - 1]
            coldest = np.inf
            for m in range(count + 1):
                coldest = min(coldest, min(min(a[m], b[m]), min(c[m], d[m])))
            for m in range(count):
                row[m] = bare[m]
            if coldest < liquidus:
                for m in range(count):
                    mean = 0.125 * (a[m] + a[m + 1] + b[m] + b[m + 1] + c[m] + c[m + 1] + d[m] + d[m + 1])
                    if mean < liquidus:
                        share = min((liquidus - mean) / width, 1.0) if width > 0.0 else 1.0
                        row[m] = bare[m] + share * (ice[m] - bare[m])


@compiled_inline
def _with_ice(v: float, width: float, ratio: float, solidus: float, liquidus: float) -> float:
    """Temperature above that of the body (K) of tissue that freezes over ``width`` K of ``v``, by
    :class:`thermal.enthalpy.Enthalpy`; knots likewise above it. The same where ``v`` is not below the liquidus."""
    if v < liquidus:
        below = liquidus - v
        mushy = min(below, width) * ((liquidus - solidus) / width)
        return liquidus - mushy - max(below - width, 0.0) / ratio
    return v


@compiled_inline
def _with_steam(v: float, width: float, onset: float, dry: float) -> float:
    """The same of tissue that boils over ``width`` K of ``v``: other than ``v`` above the ``onset``."""
    if v > onset:
        above = v - onset
        return onset + min(above, width) * ((dry - onset) / width) + max(above - width, 0.0)
    return v


@compiled_shared_fast
def stage_temperature(
    begin: int,
    end: int,
    v: Array,
    change: Real,
    ice_width: Array,
    ice_ratio: Array,
    solidus: float,
    liquidus: float,
    steam_width: Array,
    onset: float,
    dry: float,
    box: Box,
    theta: Real,
    ice: Box,
) -> None:
    """Temperature above body temperature (K) of ``v + change`` by :class:`thermal.enthalpy.Enthalpy`; knots likewise
    above body temperature, widths empty where there is no such phase; on the planes from ``begin`` to before ``end``
    of the box.

    ``ice``: first and last padded node of each row (nx, ny, 2) of the box that is below the liquidus; the last is 0
    if none is.
    """
    freezes, boils = ice_width.size > 0, steam_width.size > 0
    lo, hi = box[4], box[5]
    count = hi - lo
    for i in range(begin, end):
        for j in range(box[2], box[3]):
            row, added, out = v[i - 1, j - 1, lo - 1 : hi - 1], change[i, j, lo:hi], theta[i, j, lo:hi]
            lowest, highest = np.inf, -np.inf
            for m in range(count):
                value = row[m] + added[m]
                out[m] = value
                lowest, highest = min(lowest, value), max(highest, value)
            first, last = hi, 0
            if freezes and lowest < liquidus:
                wide, ratio = ice_width[i - 1, j - 1, lo - 1 : hi - 1], ice_ratio[i - 1, j - 1, lo - 1 : hi - 1]
                for m in range(count):
                    value = row[m] + added[m]
                    if value < liquidus:
                        first, last = min(first, lo + m), lo + m
                        out[m] = _with_ice(value, wide[m], ratio[m], solidus, liquidus)
            ice[i - box[0], j - box[2], 0], ice[i - box[0], j - box[2], 1] = first, last
            if boils and highest > onset:
                wide = steam_width[i - 1, j - 1, lo - 1 : hi - 1]
                for m in range(count):
                    value = row[m] + added[m]
                    if value > onset:
                        out[m] = _with_steam(value, wide[m], onset, dry)


@compiled_shared_apart
def phase_stage(
    begin: int,
    end: int,
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
    box: Box,
    sums: Array,
) -> None:
    """A stage with ice or vapour: flows at the temperature ``theta`` (K above body temperature, as ``arterial`` and
    ``liquidus``), on the planes from ``begin`` to before ``end`` of the box.

    ``steady`` W is what flows in at body temperature besides blood, ``sink`` W/K what films and probes take per kelvin
    above it; all are zero at nodes that are not free.
    ``before = mu here + nu before + now F(theta) / C + start first``. ``sums``: heat into nodes
    at a prescribed temperature, heat from blood, W.
    """
    bounds = box.astype(np.uint64)
    for plane in range(begin, end):
        i = np.uint64(plane)
        for j in range(bounds[2], bounds[3]):
            c, xm, xp, ym, yp = theta[i, j], theta[i - ONE, j], theta[i + ONE, j], theta[i, j - ONE], theta[i, j + ONE]
            k00, k01, k10, k11 = kv[i - ONE, j - ONE], kv[i - ONE, j], kv[i, j - ONE], kv[i, j]
            o, h, w, f = before[i, j], here[i, j], inverse[i, j], first[i, j]
            p, b, t = steady[i, j], blood[i, j], sink[i, j]
            x0, x1, y0, y1 = rx[i - ONE], rx[i], ry[j - ONE], ry[j]
            nothing = kv.dtype.type(0.0)
            held, bled = nothing, nothing
            for m in range(bounds[4], bounds[5]):
                lo, hi = m - ONE, m + ONE
                a00, a01 = k00[lo] + k00[m], k01[lo] + k01[m]
                a10, a11 = k10[lo] + k10[m], k11[lo] + k11[m]
                below = (k00[lo] + k01[lo]) + (k10[lo] + k11[lo])
                above = (k00[m] + k01[m]) + (k10[m] + k11[m])
                u = c[m]
                q = x1 * (a10 + a11) * (xp[m] - u) + x0 * (a00 + a01) * (xm[m] - u)
                q += y1 * (a01 + a11) * (yp[m] - u) + y0 * (a00 + a10) * (ym[m] - u)
                q += rz[m] * above * (c[hi] - u) + rz[lo] * below * (c[lo] - u)
                from_blood = b[m] * (arterial - u) if u > liquidus else nothing
                q += p[m] - t[m] * u + from_blood
                o[m] = mu * h[m] + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                bled += from_blood
            sums[i - bounds[0], j - bounds[2], 0] = held
            sums[i - bounds[0], j - bounds[2], 1] = bled


@compiled_shared
def phase_error(
    begin: int,
    end: int,
    v: Array,
    inverse: Real,
    first: Real,
    change: Real,
    last: Real,
    step: float,
    ice_width: Array,
    ice_ratio: Array,
    solidus: float,
    liquidus: float,
    steam_width: Array,
    onset: float,
    dry: float,
    sums: Array,
) -> None:
    """``sums``: square of the error (K) times the magnitude of the heat moved (J), and the latter.

    The error of v is that of :func:`thermal.engines.heat_kernels.largest_error`; that of the temperature is as far as
    it changes when the error is added to v or taken from it: little where latent heat is taken up.
    """
    freezes, boils = ice_width.size > 0, steam_width.size > 0
    _, ny, nz = v.shape
    for i in range(begin, end):
        for j in range(ny):
            row, a, d, b = v[i, j], first[i + 1, j + 1], change[i + 1, j + 1], last[i + 1, j + 1]
            w = inverse[i + 1, j + 1]
            square, size = 0.0, 0.0
            for m in range(nz):
                if w[m + 1] == 0 or d[m + 1] == 0:
                    continue
                moved = abs(np.float64(d[m + 1]) / np.float64(w[m + 1]))
                value, off = row[m] + d[m + 1], 0.4 * step * (a[m + 1] + b[m + 1]) - 0.8 * d[m + 1]
                now, more, less = value, value + off, value - off
                if freezes:
                    wide, ratio = ice_width[i, j, m], ice_ratio[i, j, m]
                    now = _with_ice(now, wide, ratio, solidus, liquidus)
                    more = _with_ice(more, wide, ratio, solidus, liquidus)
                    less = _with_ice(less, wide, ratio, solidus, liquidus)
                if boils:
                    wet = steam_width[i, j, m]
                    now = _with_steam(now, wet, onset, dry)
                    more = _with_steam(more, wet, onset, dry)
                    less = _with_steam(less, wet, onset, dry)
                more, less = more - now, less - now
                square += moved * max(more * more, less * less)
                size += moved
            sums[i, j, 0], sums[i, j, 1] = square, size


@compiled_shared
def add_up_phases(
    begin: int,
    end: int,
    v: Array,
    change: Real,
    share: float,
    ice_width: Array,
    ice_ratio: Array,
    solidus: float,
    liquidus: float,
    steam_width: Array,
    onset: float,
    dry: float,
    inverse: Real,
    temperature: Array,
    coldest: Real,
    hottest: Real,
) -> None:
    """:func:`add_up` for tissue that may be frozen or boiling (:func:`stage_temperature`), on the planes from ``begin``
    to before ``end``; nodes that are not free keep their temperature."""
    freezes, boils = ice_width.size > 0, steam_width.size > 0
    _, ny, nz = v.shape
    for i in range(begin, end):
        for j in range(ny):
            row, added, w = v[i, j], change[i + 1, j + 1, 1:-1], inverse[i + 1, j + 1, 1:-1]
            out, low, high = temperature[i, j], coldest[i, j], hottest[i, j]
            for m in range(nz):
                d = added[m]
                value = row[m] + (d + share * abs(d))
                row[m] = value
                if freezes and value < liquidus:
                    value = _with_ice(value, ice_width[i, j, m], ice_ratio[i, j, m], solidus, liquidus)
                if boils and value > onset:
                    value = _with_steam(value, steam_width[i, j, m], onset, dry)
                if w[m] > 0:
                    out[m] = value + BODY_TEMPERATURE
                low[m], high[m] = min(low[m], out[m]), max(high[m], out[m])
