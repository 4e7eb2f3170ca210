"""Compiled kernels that carry particles along the edges of a graph, each node in its own small steps.

*Space and time.* The flux of an edge is ``f c`` with c halfway along it, linear between its ends and predicted for the
middle of the step by the upwind rate of change, so that it is second order. Its slope is limited against that of the
edge behind it (the monotonised central limiter of B. van Leer, J. Comput. Phys. 23 (1977) 276,
doi:10.1016/0021-9991(77)90095-X), and what it adds to the upwind flux is bounded by the distance of the upstream value
from the lowest (highest) one that flows in there: as no more than :data:`COURANT` of a node's fluid passes in a step,
no value leaves the range of those around it (P. K. Sweby, SIAM Journal on Numerical Analysis 21 (1984) 995,
doi:10.1137/0721062), on any graph.

*Local steps.* The flow is fast at a port and slow at the front. A node of level l takes ``2^l`` steps of the whole; an
edge takes those of its faster end, and the slower one sums up what it is handed (the accounting of S. Osher, R.
Sanders, Math. Comp. 41 (1983) 321, doi:10.1090/S0025-5718-1983-0717689-8), so mass is conserved to round-off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled_inline, compiled_serial
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
Unsigned = npt.NDArray[np.uint32]
Short = npt.NDArray[np.int32]
Single = npt.NDArray[np.float32]

COURANT = 0.45
"""Part of a node's fluid that passes in one of its steps; below one half no value can leave the range around it."""
ALIGNED = 0.7
"""Cosine of the angle between two edges from which the one counts as the continuation of the other."""
FINEST = 40
"""Highest level: steps of a millionth of a millionth of the whole."""


@compiled_serial
def pace(
    up: Unsigned,
    down: Unsigned,
    flow: Array,
    exchange: Array,
    inflow: Array,
    leaving: Array,
    capacity: Array,
    out: Array,
) -> None:
    """(n,) 1/s at which the fluid of each node is replaced, by flow or by exchange with its neighbours."""
    enters = inflow.copy()
    leaves = leaving.copy()
    mixed = np.zeros_like(out)
    for e in range(len(flow)):
        f, k = flow[e], exchange[e]
        leaves[up[e]] += f
        enters[down[e]] += f
        swapped = 2.0 * max(k - 0.5 * f, -k, 0.0)
        mixed[up[e]] += swapped
        mixed[down[e]] += swapped
    for i in range(len(out)):
        if capacity[i] > 0.0:
            out[i] = (max(enters[i], leaves[i]) + mixed[i]) / capacity[i]
        else:
            out[i] = 0.0


@compiled_serial
def levels_of(pace: Array, step: float, fixed: Mask, out: npt.NDArray[np.int64]) -> None:
    """Level (n,) of each node for a whole step of ``step`` s: ``2^level`` steps keep the Courant number."""
    for i in range(len(out)):
        level = 0
        if not fixed[i]:
            part = pace[i] * step / COURANT
            while part > 1.0 and level < FINEST:
                part *= 0.5
                level += 1
        out[i] = level


@compiled_serial
def listed(level: Index, count: int) -> tuple[Index, Index]:
    """Numbers of what has each level, and where those of level l begin (count + 1,)."""
    start = np.zeros(count + 1, np.int64)
    for here in level:
        start[here + 1] += 1
    start = np.cumsum(start)
    place = start.copy()
    order = np.empty(len(level), np.int64)
    for i in range(len(level)):
        order[place[level[i]]] = i
        place[level[i]] += 1
    return order, start


@compiled_serial
def edge_levels(up: Unsigned, down: Unsigned, level: Index) -> Index:
    """Level (e,) of each edge: that of its faster end."""
    out = np.empty(len(up), np.int64)
    for e in range(len(up)):
        out[e] = max(level[up[e]], level[down[e]])
    return out


@compiled_serial
def neighbourhood(up: Unsigned, down: Unsigned, size: int) -> tuple[Index, Unsigned]:
    """Edges of every node: those of node i stand from ``start[i]`` to ``start[i + 1]``."""
    start = np.zeros(size + 1, np.int64)
    for e in range(len(up)):
        start[up[e] + 1] += 1
        start[down[e] + 1] += 1
    start = np.cumsum(start)
    place = start.copy()
    edge = np.empty(start[-1], np.uint32)
    for e in range(len(up)):
        edge[place[up[e]]] = e
        place[up[e]] += 1
        edge[place[down[e]]] = e
        place[down[e]] += 1
    return start, edge


@compiled_serial
def continuations(
    up: Unsigned, down: Unsigned, flow: Array, points: Array, start: Index, edge: Unsigned, behind: Short, ratio: Single
) -> None:
    """Node (e,) behind each edge, from where fluid comes to its upstream end most nearly along it, or -1; and the
    length of the edge over the distance to that node."""
    for e in range(len(up)):
        u, d = up[e], down[e]
        best = ALIGNED
        behind[e], ratio[e] = -1, 0.0
        ax, ay, az = points[d, 0] - points[u, 0], points[d, 1] - points[u, 1], points[d, 2] - points[u, 2]
        length = np.sqrt(ax * ax + ay * ay + az * az)
        if flow[e] <= 0.0:
            continue
        for k in range(start[u], start[u + 1]):
            other = edge[k]
            if down[other] != u or flow[other] <= 0.0:
                continue
            w = up[other]
            bx, by, bz = points[u, 0] - points[w, 0], points[u, 1] - points[w, 1], points[u, 2] - points[w, 2]
            distance = np.sqrt(bx * bx + by * by + bz * bz)
            cosine = (ax * bx + ay * by + az * bz) / (length * distance)
            if cosine > best:
                best, behind[e], ratio[e] = cosine, w, length / distance


@compiled_inline
def _stick(i: int, c: Array, capacity: Array, eager: Array, room: Array, stuck: Array) -> None:
    """Particles of node i stick for half a step: ``dm/dt = -k m r / R`` for m kg that are mobile and r of R kg of room.

    As m and r fall alike, their difference is constant and the solution closed.
    """
    tries, mobile = eager[i], capacity[i] * c[i]
    if tries <= 0.0 or mobile <= 0.0:
        return
    if np.isinf(room[i]):
        rest = mobile * np.exp(-tries)
    else:
        free = max(room[i] - stuck[i], 0.0)
        excess = free - mobile
        if abs(excess) * tries > 1e-9 * room[i]:
            rest = mobile * excess / (excess + free * np.expm1(tries * excess / room[i]))
        else:
            rest = mobile / (1.0 + tries * free / room[i])
    stuck[i] += mobile - rest
    c[i] = rest / capacity[i]


@compiled_inline
def _fade(i: int, c: Array, capacity: Array, fading: Array, lost: Array) -> None:
    """First-order removal at node i for half a step."""
    gone = c[i] * fading[i]
    lost[i] += capacity[i] * gone
    c[i] -= gone


@compiled_inline
def _loosen(i: int, c: Array, capacity: Array, loose: Array, stuck: Array) -> None:
    """What sticks at node i comes off for half a step."""
    freed = stuck[i] * loose[i]
    stuck[i] -= freed
    c[i] += freed / capacity[i]


@compiled_serial
def carry(
    up: Unsigned,
    down: Unsigned,
    flow: Array,
    exchange: Array,
    start: Index,
    edge: Unsigned,
    behind: Short,
    ratio: Single,
    pace: Array,
    level: Index,
    nodes: Index,
    node_start: Index,
    edges: Index,
    edge_start: Index,
    capacity: Array,
    inflow: Array,
    inlet: Array,
    leaving: Array,
    fixed: Mask,
    eager: Array,
    fading: Array,
    loose: Array,
    room: Array,
    step: float,
    c: Array,
    stuck: Array,
    left: Array,
    lost: Array,
) -> float:
    """Carry for ``step`` s in place; returns the kg that fixed nodes gave.

    Of half a step of each node (n,): ``eager``, sticking times its duration; ``fading`` and ``loose``, the share that
    is lost or comes off.
    """
    size = len(c)
    finest = len(node_start) - 2
    parts = 1 << finest
    tick = step / parts
    slope, low, high, gain = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    given = 0.0
    for now in range(parts):
        first = 0
        while now % (1 << (finest - first)) != 0:
            first += 1
        for n in range(node_start[first], node_start[finest + 1]):
            i = nodes[n]
            if not fixed[i] and capacity[i] > 0.0 and (c[i] > 0.0 or stuck[i] > 0.0):
                _loosen(i, c, capacity, loose, stuck)
                _fade(i, c, capacity, fading, lost)
                _stick(i, c, capacity, eager, room, stuck)
        for n in range(node_start[first], node_start[finest + 1]):
            i = nodes[n]
            if fixed[i]:
                slope[i], low[i], high[i] = 0.0, -np.inf, np.inf
                continue
            if capacity[i] <= 0.0:
                continue
            here = c[i]
            rate = inflow[i] * inlet[i] - leaving[i] * here
            least = most = here
            if inflow[i] > 0.0:
                least, most = min(here, inlet[i]), max(here, inlet[i])
            for k in range(start[i], start[i + 1]):
                e = edge[k]
                f = flow[e]
                mixing = max(exchange[e] - 0.5 * f, 0.0)
                enters = down[e] == i
                other = c[up[e]] if enters else c[down[e]]
                rate += (f * other if enters else -f * here) + mixing * (other - here)
                if mixing > 0.0 or f > 0.0:
                    least, most = min(least, other), max(most, other)
            slope[i], low[i], high[i] = rate / capacity[i], least, most
        for m in range(edge_start[first], edge_start[finest + 1]):
            e = edges[m]
            u, d = up[e], down[e]
            cu, cd = c[u], c[d]
            if cu == 0.0 and cd == 0.0:
                continue
            own = max(level[u], level[d])
            length = 1 << (finest - own)
            middle = now + 0.5 * length
            tu = cu + slope[u] * tick * (middle - (now - now % (1 << (finest - level[u]))))
            td = cd + slope[d] * tick * (middle - (now - now % (1 << (finest - level[d]))))
            f, k = flow[e], exchange[e]
            mixing = max(k - 0.5 * f, 0.0)
            base = f * cu + mixing * (cu - cd)
            more = 0.5 * f * (tu + td) + max(k, 0.0) * (tu - td) - base
            if behind[e] >= 0:
                ahead, back = cd - cu, (cu - c[behind[e]]) * ratio[e]
                steeper = 0.0
                if ahead * back > 0.0:
                    steeper = min(2.0 * back / ahead, 0.5 * (1.0 + back / ahead), 2.0)
                more += 0.5 * f * (steeper - 1.0) * ahead * (1.0 - min(pace[u] * tick * length, COURANT))
            slack = mixing * abs(cu - cd)
            above = max(cu, cd) if fixed[u] else max(high[u], cd)
            below = min(cu, cd) if fixed[u] else min(low[u], cd)
            top = slack + f * min(above - cu, cu - low[u])
            bottom = slack + f * min(cu - below, high[u] - cu)
            amount = base + min(max(more, -bottom), top)
            if k < 0.0:  # a negative conductance takes from the lower value and gives to the higher
                if cu < cd:
                    amount -= k * min(cd - cu, 2.0 * min(cu - low[u], high[d] - cd))
                else:
                    amount += k * min(cu - cd, 2.0 * min(cd - low[d], high[u] - cu))
            amount *= tick * length
            gain[u] -= amount
            gain[d] += amount
        last = finest
        while last > 0 and (now + 1) % (1 << (finest - last + 1)) == 0:
            last -= 1
        for own in range(finest, last - 1, -1):
            passed = tick * (1 << (finest - own))
            for n in range(node_start[own], node_start[own + 1]):
                i = nodes[n]
                if fixed[i]:
                    given -= gain[i]
                    gain[i] = 0.0
                    continue
                if capacity[i] <= 0.0:
                    continue
                if gain[i] == 0.0 and inflow[i] == 0.0 and c[i] == 0.0 and stuck[i] == 0.0:
                    continue
                away = passed * leaving[i] * c[i]
                left[i] += away
                c[i] += (gain[i] + passed * inflow[i] * inlet[i] - away) / capacity[i]
                gain[i] = 0.0
                _stick(i, c, capacity, eager, room, stuck)
                _fade(i, c, capacity, fading, lost)
                _loosen(i, c, capacity, loose, stuck)
    return given
