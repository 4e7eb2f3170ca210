"""Compiled flight of photon packets through voxels; what happens to them is in ``photon_physics.py``.

Refractive indices bend and reflect at the voxels' faces.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from thermal.engines.compiled import compiled, compiled_part
from thermal.engines.photon_physics import (
    FAINT,
    GOLDEN,
    SURVIVORS,
    TRAPPED,
    drawn,
    mixed,
    path,
    reflectance,
    scattered,
)
from thermal.units import Array, Mask

VOID, MISSED, REFLECTED, ROULETTE = 6, 7, 8, 9
"""Entries of the totals behind what left through the body's part of the six faces: left through void, never met the
body, turned back at its first entry, net gain at roulette."""
TOTALS = 10
MIRROR = -1.0
"""In place of the refractive index beyond a face that is a plane of symmetry."""
ABSORBS, SCATTERS, COSINE, INDEX = 0, 1, 2, 3
"""Columns of the optics of a cell."""


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
def _inverse(u: float) -> float:
    """1 / u, and zero for none."""
    return 1.0 / u if u != 0.0 else 0.0


@compiled_part
def _to_face(x: float, inverse: float, low: float, high: float) -> float:
    """Way to the face ahead of x between low and high; ``inverse`` of the direction, zero along the faces."""
    if inverse == 0.0:
        return np.inf
    return max(0.0, ((high if inverse > 0.0 else low) - x) * inverse)


@compiled_part
def _fly(
    axes: tuple[Array, Array, Array],
    solid: Mask,
    optics: Array,
    outside: Array,
    start: Array,
    direction: Array,
    weight: float,
    specular: float,
    seed: np.uint64,
    paths: Array,
    totals: Array,
) -> None:
    """One packet from start to end; adds weight times way to ``paths`` and what leaves to ``totals``."""
    a, b = mixed(seed + GOLDEN), mixed(seed + GOLDEN + GOLDEN)
    reach, side = _entry(axes, start, direction)
    if reach < 0.0:
        totals[MISSED] += weight
        return
    ax, ay, az = axes
    ux, uy, uz = direction[0], direction[1], direction[2]
    x = min(max(start[0] + reach * ux, ax[0]), ax[-1])
    y = min(max(start[1] + reach * uy, ay[0]), ay[-1])
    z = min(max(start[2] + reach * uz, az[0]), az[-1])
    i, j, k = _cell(ax, x, ux), _cell(ay, y, uy), _cell(az, z, uz)
    faint = FAINT * weight
    body = bool(solid[i, j, k])
    outer = not body  # has not met the body yet
    index = optics[i, j, k, INDEX]
    if side >= 0 and body:
        before = outside[side] if outside[side] > 0.0 else index
        forward = ux if side < 2 else (uy if side < 4 else uz)
        turned, beyond = reflectance(before, index, abs(forward))
        turned = turned if specular < 0.0 else specular
        totals[REFLECTED] += turned * weight
        weight *= 1.0 - turned
        ratio, beyond = before / index, math.copysign(beyond, forward)
        ux = beyond if side < 2 else ux * ratio
        uy = beyond if 2 <= side < 4 else uy * ratio
        uz = beyond if side >= 4 else uz * ratio
    number, a, b = drawn(a, b)
    depth = -math.log(number)  # optical, to the next scattering
    rx, ry, rz = _inverse(ux), _inverse(uy), _inverse(uz)
    absorption, scattering, g = optics[i, j, k, ABSORBS], optics[i, j, k, SCATTERS], optics[i, j, k, COSINE]
    free = 1.0 / scattering if scattering > 0.0 else np.inf
    x0, x1, y0, y1, z0, z1 = ax[i], ax[i + 1], ay[j], ay[j + 1], az[k], az[k + 1]
    here = 0.0  # weight times way in this cell
    steps = 0
    while True:
        tx, ty, tz = _to_face(x, rx, x0, x1), _to_face(y, ry, y0, y1), _to_face(z, rz, z0, z1)
        face = min(tx, ty, tz)
        step = depth * free
        hit = step <= face
        step = step if hit else face
        way = weight * path(absorption * step, step)
        here += way
        weight -= absorption * way
        x += step * ux
        y += step * uy
        z += step * uz
        if hit:
            ux, uy, uz, a, b = scattered(ux, uy, uz, g, a, b)
            rx, ry, rz = _inverse(ux), _inverse(uy), _inverse(uz)
            number, a, b = drawn(a, b)
            depth = -math.log(number)
        else:
            depth -= scattering * step
            ni, nj, nk = i, j, k
            if face == tx:
                side = 1 if ux > 0.0 else 0
                x = x1 if ux > 0.0 else x0
                ni += 2 * side - 1
                leaves = ni < 0 or ni >= solid.shape[0]
            elif face == ty:
                side = 3 if uy > 0.0 else 2
                y = y1 if uy > 0.0 else y0
                nj += 2 * side - 5
                leaves = nj < 0 or nj >= solid.shape[1]
            else:
                side = 5 if uz > 0.0 else 4
                z = z1 if uz > 0.0 else z0
                nk += 2 * side - 9
                leaves = nk < 0 or nk >= solid.shape[2]
            mirror = leaves and outside[side] == MIRROR
            other = index
            if not leaves:
                other = optics[ni, nj, nk, INDEX]
            elif body and outside[side] > 0.0:
                other = outside[side]
            enters = outer and not leaves and solid[ni, nj, nk]
            if mirror or index != other or (enters and specular >= 0.0):
                forward = ux if side < 2 else (uy if side < 4 else uz)
                turned, beyond = reflectance(index, other, abs(forward))
                back = mirror
                if enters:  # its first entry: a part turns back for good
                    turned = turned if specular < 0.0 else specular
                    totals[REFLECTED] += turned * weight
                    weight *= 1.0 - turned
                elif not mirror:
                    number, a, b = drawn(a, b)
                    back = number < turned
                ratio = 1.0 if back else index / other
                beyond = -forward if back else math.copysign(beyond, forward)
                ux = beyond if side < 2 else ux * ratio
                uy = beyond if 2 <= side < 4 else uy * ratio
                uz = beyond if side >= 4 else uz * ratio
                rx, ry, rz = _inverse(ux), _inverse(uy), _inverse(uz)
                if back:
                    leaves, ni, nj, nk = False, i, j, k
            if leaves:
                paths[i, j, k] += here
                totals[side if body else (MISSED if outer else VOID)] += weight
                return
            outer = outer and not enters
            if ni != i or nj != j or nk != k:
                paths[i, j, k] += here
                here = 0.0
                i, j, k = ni, nj, nk
                body = bool(solid[i, j, k])
                absorption, scattering = optics[i, j, k, ABSORBS], optics[i, j, k, SCATTERS]
                g, index = optics[i, j, k, COSINE], optics[i, j, k, INDEX]
                free = 1.0 / scattering if scattering > 0.0 else np.inf
                x0, x1, y0, y1, z0, z1 = ax[i], ax[i + 1], ay[j], ay[j + 1], az[k], az[k + 1]
        steps += 1
        if weight < faint or steps % TRAPPED == 0:
            number, a, b = drawn(a, b)
            if number >= SURVIVORS:
                paths[i, j, k] += here
                totals[ROULETTE] -= weight
                return
            totals[ROULETTE] += weight * (1.0 / SURVIVORS - 1.0)
            weight /= SURVIVORS


@compiled
def fly(
    axes: tuple[Array, Array, Array],
    solid: Mask,
    optics: Array,
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
    """Fly batches of packets, each on one core: starts and directions (b, p, 3), weights and specular (b, p).

    ``optics`` (nx, ny, nz, 4): absorption and scattering in 1/m, mean cosine, refractive index; ``first``: number of
    the first packet of all. Adds to paths (b, nx, ny, nz) in W m and to totals (b, ``TOTALS``) in W.
    """
    root = mixed(np.uint64(seed) + GOLDEN)
    for batch in nb.prange(len(weights)):
        for packet in range(weights.shape[1]):
            own = mixed(root ^ np.uint64(first + batch * weights.shape[1] + packet))
            _fly(
                axes, solid, optics, outside, starts[batch, packet], directions[batch, packet],
                weights[batch, packet], specular[batch, packet], own, paths[batch], totals[batch],
            )  # fmt: skip
