"""Compiled kernels of the heat march on meshes: one pass over the sliced rows of a graph a stage.

Work arrays are in the order of the rows, filled up to whole slices, so that a slice lies side by side; ``neighbour`` is
renumbered to match, from the ``lowest`` one of each slice on. State and coefficients stay at nodes, in double
precision; ``node`` (n,) is that of each row. Sums are gathered by slices and added up by the caller, so they do not
depend on the number of threads.

Unless a compiler is told that no two arrays overlap, what a slot needs of its neighbours is fetched before it is worked
with: in one loop, it must take care that no sum is stored where the next neighbour is read, and does nothing side by
side. What is done once a step works on the
slices (:func:`add_up`: on the rows) from ``begin`` to before ``end``.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled_shared_apart, compiled_shared_fast
from thermal.engines.graph import LANES, Index, Unsigned
from thermal.units import Array

Real = npt.NDArray[np.floating[Any]]
"""An array in the working precision."""
Number = np.floating[Any]
"""A number in the working precision: a Python float would pull the arithmetic up to double precision."""


@compiled_shared_fast
def first_flow(
    begin: int,
    end: int,
    start: Index,
    lowest: Index,
    neighbour: Unsigned,
    values: Real,
    temperature: Array,
    power: Array,
    blood: Array,
    arterial: float,
    inverse: Real,
    swiftest: Real,
    bound: Real,
    rate: Real,
    sink: Real,
    sums: Array,
) -> None:
    """``rate`` K/s and the ``sink`` W/K at ``temperature`` (degC); all in the order of the rows.

    ``bound`` W/K of the conductances; ``swiftest`` K/J: inverse of the smallest capacity, frozen or not. ``sums`` of
    each slice: heat into free nodes and of it from blood, W; largest rate, K/s; largest decay rate, 1/s.
    """
    q, there = np.empty(LANES), np.empty(LANES)
    for part in range(begin, end):
        base = part * LANES
        u, p, b = temperature[base : base + LANES], power[base : base + LANES], blood[base : base + LANES]
        w, swift, g = inverse[base : base + LANES], swiftest[base : base + LANES], bound[base : base + LANES]
        r, s = rate[base : base + LANES], sink[base : base + LANES]
        near = temperature[lowest[part] :]
        q[:] = 0.0
        for slot in range(start[part], start[part + 1], LANES):
            j, c = neighbour[slot : slot + LANES], values[slot : slot + LANES]
            for lane in range(LANES):
                there[lane] = near[j[lane]]
            for lane in range(LANES):
                q[lane] += c[lane] * (there[lane] - u[lane])
        flow, bled, fastest, decay = 0.0, 0.0, 0.0, 0.0
        for lane in range(LANES):
            free = 1.0 if w[lane] > 0.0 else 0.0
            from_blood = free * b[lane] * (arterial - u[lane])
            total = free * (q[lane] + p[lane]) + from_blood
            r[lane] = w[lane] * total
            s[lane] = free * b[lane]
            flow += total
            bled += from_blood
            fastest = max(fastest, abs(w[lane] * total))
            decay = max(decay, swift[lane] * (g[lane] + b[lane]))
        sums[part, 0], sums[part, 1], sums[part, 2], sums[part, 3] = flow, bled, fastest, decay


@compiled_shared_apart
def phase_stage(
    begin: int,
    end: int,
    start: Index,
    lowest: Index,
    neighbour: Unsigned,
    values: Real,
    theta: Real,
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
    begun: Number,
    sums: Array,
) -> None:
    """``before = mu here + nu before + now F(theta) / C + begun first``, theta in K above body temperature as
    ``arterial`` and ``liquidus``; of the slices from ``begin`` to before ``end``.

    ``sums`` of each slice: heat into nodes at a prescribed temperature, heat from blood, W.
    """
    q = np.empty(LANES, here.dtype)
    nothing = here.dtype.type(0.0)
    for part in range(begin, end):
        base = part * LANES
        u, h, o = theta[base : base + LANES], here[base : base + LANES], before[base : base + LANES]
        s, w, f = sink[base : base + LANES], inverse[base : base + LANES], first[base : base + LANES]
        p, b = steady[base : base + LANES], blood[base : base + LANES]
        near = theta[lowest[part] :]
        q[:] = nothing
        for slot in range(start[part], start[part + 1], LANES):
            j, g = neighbour[slot : slot + LANES], values[slot : slot + LANES]
            for lane in range(LANES):
                q[lane] += g[lane] * (near[j[lane]] - u[lane])
        held, bled = nothing, nothing
        for lane in range(LANES):
            from_blood = b[lane] * (arterial - u[lane]) if u[lane] > liquidus else nothing
            total = q[lane] + p[lane] - s[lane] * u[lane] + from_blood
            held += nothing if w[lane] > nothing else q[lane]
            bled += from_blood
            o[lane] = mu * h[lane] + nu * o[lane] + now * (w[lane] * total) + begun * f[lane]
        sums[part, 0], sums[part, 1] = held, bled


@compiled_shared_fast
def weigh(begin: int, end: int, node: Unsigned, start: Array, change: Real, capacity: Array, sums: Array) -> None:
    """``sums`` of each slice of a change of the temperature ``start`` (degC): heat stored and its magnitude, J; lowest
    and highest temperature after it."""
    for part in range(begin, end):
        stored, size, low, high = 0.0, 0.0, np.inf, -np.inf
        for row in range(part * LANES, min((part + 1) * LANES, len(node))):
            i, c = nb.uint64(node[row]), np.float64(change[row])
            heat = capacity[i] * c
            stored += heat
            size += abs(heat)
            low, high = min(low, start[i] + c), max(high, start[i] + c)
        sums[part, 0], sums[part, 1], sums[part, 2], sums[part, 3] = stored, size, low, high


@compiled_shared_fast
def add_up(
    begin: int,
    end: int,
    node: Unsigned,
    change: Real,
    share: float,
    inverse: Real,
    temperature: Array,
    coldest: Real,
    hottest: Real,
    packed: Array,
) -> None:
    """Add the change (K), and a ``share`` of its magnitude, to liquid tissue; ``packed``: temperature by rows, degC."""
    for row in range(begin, end):
        i, c = nb.uint64(node[row]), np.float64(change[row])
        if inverse[row] > 0.0:
            now = temperature[i] + (c + share * abs(c))
            temperature[i] = now
            coldest[i], hottest[i] = min(coldest[i], now), max(hottest[i], now)
        packed[row] = temperature[i]


@compiled_shared_fast
def largest_error(begin: int, end: int, change: Real, first: Real, last: Real, step: float, sums: Array) -> None:
    """``sums`` of each slice: largest ``|0.4 step (first + last) - 0.8 change|``, K."""
    for part in range(begin, end):
        largest = 0.0
        for row in range(part * LANES, (part + 1) * LANES):
            largest = max(largest, abs(0.4 * step * (first[row] + last[row]) - 0.8 * change[row]))
        sums[part] = largest
