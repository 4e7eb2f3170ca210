"""Compiled flight of photon packets through voxels.

Weights fade along the way (continuous absorption), directions change by Henyey-Greenstein scattering, refractive
indices bend and reflect at the voxels' faces. Each packet draws from a stream of its own, which its number and the seed
fix: xoroshiro128+ (D. Blackman, S. Vigna, ACM Trans. Math. Softw. 47 (2021) 36, doi:10.1145/3460772) seeded by
splitmix64. The scheme is that of L. Wang, S. L. Jacques, L. Zheng, Comput. Methods Programs Biomed. 47 (1995) 131,
doi:10.1016/0169-2607(95)01640-F, on a grid.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from thermal.engines.compiled import compiled, compiled_part
from thermal.units import Array, Mask

FAINT = 1e-2
"""Share of a packet's first weight below which it plays roulette."""
SURVIVORS = 0.1
"""Share of the packets that survive the roulette, with weights as much larger."""
TRAPPED = 100_000
"""Steps after which a packet plays roulette whatever its weight: clear glass would hold it for ever."""
VOID, MISSED, REFLECTED, ROULETTE = 6, 7, 8, 9
"""Entries of the totals behind what left through the body's part of the six faces: left through void, never met the
body, turned back at its first entry, net gain at roulette."""
TOTALS = 10

_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S11, _S27, _S30, _S31 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31)
_S24, _S40, _S16, _S37 = np.uint64(24), np.uint64(40), np.uint64(16), np.uint64(37)
_UNIT = 1.0 / 9007199254740992.0


@compiled_part
def _mixed(z: np.uint64) -> np.uint64:
    """Splitmix64's output of a state."""
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@compiled_part
def _drawn(a: np.uint64, b: np.uint64) -> tuple[float, np.uint64, np.uint64]:
    """A number inside (0, 1) and the stream's next state."""
    number = (float((a + b) >> _S11) + 0.5) * _UNIT
    b ^= a
    return number, ((a << _S24) | (a >> _S40)) ^ b ^ (b << _S16), (b << _S37) | (b >> _S27)


@compiled_part
def reflectance(inside: float, outside: float, cosine: float) -> tuple[float, float]:
    """Fresnel's reflectance of unpolarised light that meets ``outside`` at this cosine, and the cosine beyond."""
    ratio = inside / outside
    sine = ratio * ratio * (1.0 - cosine * cosine)
    if sine >= 1.0:
        return 1.0, 0.0
    beyond = math.sqrt(1.0 - sine)
    across = (inside * cosine - outside * beyond) / (inside * cosine + outside * beyond)
    along = (inside * beyond - outside * cosine) / (inside * beyond + outside * cosine)
    return 0.5 * (across * across + along * along), beyond


@compiled_part
def _path(depth: float, step: float) -> float:
    """Integral of exp(-mu s) over the step, m, for mu * step = ``depth``."""
    if depth < 1e-2:
        return step * (1.0 - 0.5 * depth * (1.0 - depth / 3.0 * (1.0 - 0.25 * depth)))
    return step * (1.0 - math.exp(-depth)) / depth


@compiled_part
def _scatter(u: Array, cosine: float, across: float, aside: float) -> None:
    """Turn the direction by an angle of this cosine, around itself towards (across, aside), a point of the disc."""
    squared = across * across + aside * aside
    scale = math.sqrt(max(0.0, 1.0 - cosine * cosine)) / squared
    # twice the point's angle: evenly spread too, and without a root
    side, lift = (across * across - aside * aside) * scale, 2.0 * across * aside * scale
    ux, uy, uz = u[0], u[1], u[2]
    if abs(uz) > 0.99999:
        u[0], u[1], u[2] = side, lift, math.copysign(cosine, cosine * uz)
        return
    flat = math.sqrt(1.0 - uz * uz)
    vx = (ux * uz * side - uy * lift) / flat + ux * cosine
    vy = (uy * uz * side + ux * lift) / flat + uy * cosine
    vz = uz * cosine - flat * side
    norm = 1.0 / math.sqrt(vx * vx + vy * vy + vz * vz)
    u[0], u[1], u[2] = vx * norm, vy * norm, vz * norm


@compiled_part
def _cell(axis: Array, x: float, u: float) -> int:
    """Number of the interval that holds x and into which u points."""
    before = np.searchsorted(axis, x, "right") if u >= 0.0 else np.searchsorted(axis, x)
    side = int(before) - 1
    return min(max(side, 0), len(axis) - 2)


@compiled_part
def _entry(axes: tuple[Array, Array, Array], x: Array, u: Array) -> tuple[float, int]:
    """Way to the window, and the face through which it is entered: 0, -1 from inside, -1, -1 when missed."""
    near, far, face = 0.0, np.inf, -1
    for axis in range(3):
        low, high = axes[axis][0], axes[axis][-1]
        if u[axis] == 0.0:
            if x[axis] < low or x[axis] > high:
                return -1.0, -1
            continue
        first, last = (low - x[axis]) / u[axis], (high - x[axis]) / u[axis]
        first, last = min(first, last), max(first, last)
        if first > near or (first == 0.0 and face < 0):
            near, face = first, 2 * axis + (0 if u[axis] > 0.0 else 1)
        far = min(far, last)
    if far <= near:
        return -1.0, -1
    return near, face


@compiled_part
def _reach(
    axes: tuple[Array, Array, Array], cell: tuple[int, int, int], x: Array, u: Array, step: float
) -> tuple[float, int]:
    """The part of a step that lies in the cell, and the axis across whose face it leaves; -1 when it ends inside."""
    inside = True
    for axis in range(3):
        end = x[axis] + step * u[axis]
        inside = inside and axes[axis][cell[axis]] <= end <= axes[axis][cell[axis] + 1]
    if inside:
        return step, -1
    nearest, face = np.inf, -1
    for axis in range(3):
        if u[axis] != 0.0:
            way = (axes[axis][cell[axis] + (1 if u[axis] > 0.0 else 0)] - x[axis]) / u[axis]
            if way < nearest:
                nearest, face = way, axis
    return (step, -1) if nearest > step else (max(nearest, 0.0), face)


@compiled_part
def _refract(u: Array, axis: int, ratio: float, beyond: float) -> None:
    """Turn the direction at a face across ``axis``: indices here over there, and the cosine beyond it."""
    forward = u[axis]
    for other in range(3):
        u[other] *= ratio
    u[axis] = math.copysign(beyond, forward)


@compiled_part
def _fly(
    axes: tuple[Array, Array, Array],
    solid: Mask,
    mu_a: Array,
    mu_s: Array,
    cosine: Array,
    index: Array,
    outside: Array,
    x: Array,
    u: Array,
    weight: float,
    specular: float,
    seed: np.uint64,
    path: Array,
    totals: Array,
) -> None:
    """One packet from start to end; adds weight times way to ``path`` and what leaves to ``totals``; moves x and u."""
    a, b = _mixed(seed + _GOLDEN), _mixed(seed + _GOLDEN + _GOLDEN)
    reach, side = _entry(axes, x, u)
    if reach < 0.0:
        totals[MISSED] += weight
        return
    for axis in range(3):
        x[axis] = min(max(x[axis] + reach * u[axis], axes[axis][0]), axes[axis][-1])
    i, j, k = _cell(axes[0], x[0], u[0]), _cell(axes[1], x[1], u[1]), _cell(axes[2], x[2], u[2])
    faint = FAINT * weight
    outer = not solid[i, j, k]  # has not met the body yet
    if side >= 0 and not outer:
        before = outside[side] if outside[side] > 0.0 else index[i, j, k]
        turned, beyond = reflectance(before, index[i, j, k], abs(u[side // 2]))
        turned = turned if specular < 0.0 else specular
        totals[REFLECTED] += turned * weight
        weight *= 1.0 - turned
        _refract(u, side // 2, before / index[i, j, k], beyond)
    number, a, b = _drawn(a, b)
    depth = -math.log(number)  # optical, to the next scattering
    steps = 0
    while True:
        scattering, absorption = mu_s[i, j, k], mu_a[i, j, k]
        step = depth / scattering if scattering > 0.0 else np.inf
        step, axis = _reach(axes, (i, j, k), x, u, step)
        hit = axis < 0
        way = weight * _path(absorption * step, step)
        path[i, j, k] += way
        weight -= absorption * way
        for axle in range(3):
            x[axle] += step * u[axle]
        if hit:
            g = cosine[i, j, k]
            number, a, b = _drawn(a, b)
            turn = 2.0 * number - 1.0
            if g != 0.0:
                part = (1.0 - g * g) / (1.0 + g * turn)
                turn = min(max((1.0 + g * g - part * part) / (2.0 * g), -1.0), 1.0)
            across, aside = 1.0, 1.0
            while across * across + aside * aside > 1.0:
                number, a, b = _drawn(a, b)
                across = 2.0 * number - 1.0
                number, a, b = _drawn(a, b)
                aside = 2.0 * number - 1.0
            _scatter(u, turn, across, aside)
            number, a, b = _drawn(a, b)
            depth = -math.log(number)
        else:
            depth -= scattering * step
            forward = 1 if u[axis] > 0.0 else -1
            x[axis] = axes[axis][(i, j, k)[axis] + (1 if forward > 0 else 0)]
            ni, nj, nk = i, j, k
            if axis == 0:
                ni += forward
            elif axis == 1:
                nj += forward
            else:
                nk += forward
            leaves = min(ni, nj, nk) < 0 or ni >= solid.shape[0] or nj >= solid.shape[1] or nk >= solid.shape[2]
            side = 2 * axis + (1 if forward > 0 else 0)
            body = bool(solid[i, j, k])
            one = other = index[i, j, k]
            if not leaves:
                other = index[ni, nj, nk]
            elif body and outside[side] > 0.0:
                other = outside[side]
            enters = outer and not leaves and solid[ni, nj, nk]
            if one != other or (enters and specular >= 0.0):
                turned, beyond = reflectance(one, other, abs(u[axis]))
                if enters:  # its first entry: a part turns back for good
                    turned = turned if specular < 0.0 else specular
                    totals[REFLECTED] += turned * weight
                    weight *= 1.0 - turned
                else:
                    number, a, b = _drawn(a, b)
                    if number < turned:
                        u[axis] = -u[axis]
                        leaves, ni, nj, nk, other = False, i, j, k, one
                if other != one:
                    _refract(u, axis, one / other, beyond)
            if leaves:
                totals[side if body else (MISSED if outer else VOID)] += weight
                return
            outer = outer and not enters
            i, j, k = ni, nj, nk
        steps += 1
        if weight < faint or steps % TRAPPED == 0:
            number, a, b = _drawn(a, b)
            if number >= SURVIVORS:
                totals[ROULETTE] -= weight
                return
            totals[ROULETTE] += weight * (1.0 / SURVIVORS - 1.0)
            weight /= SURVIVORS


@compiled
def fly(
    axes: tuple[Array, Array, Array],
    solid: Mask,
    mu_a: Array,
    mu_s: Array,
    cosine: Array,
    index: Array,
    outside: Array,
    starts: Array,
    directions: Array,
    weights: Array,
    specular: Array,
    first: int,
    seed: int,
    paths: Array,
    totals: Array,
) -> None:
    """Fly batches of packets, each on one core: starts and directions (b, p, 3), weights and specular (b, p); ``first``
    is the number of the first packet of all. Adds to paths (b, nx, ny, nz) in W m and to totals (b, ``TOTALS``) in W.
    """
    root = _mixed(np.uint64(seed) + _GOLDEN)
    for batch in nb.prange(len(weights)):
        for packet in range(weights.shape[1]):
            own = _mixed(root ^ np.uint64(first + batch * weights.shape[1] + packet))
            _fly(
                axes, solid, mu_a, mu_s, cosine, index, outside, starts[batch, packet], directions[batch, packet],
                weights[batch, packet], specular[batch, packet], own, paths[batch], totals[batch],
            )  # fmt: skip
