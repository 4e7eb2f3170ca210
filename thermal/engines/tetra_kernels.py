"""Compiled flight of photon packets through tetrahedra; what happens to them is in ``photon_physics.py``.

Packets walk from cell to cell through their faces. What leaves the body may meet it again elsewhere.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled, compiled_part
from thermal.engines.facet_grid import Bins, first_met
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
from thermal.units import Array

MIRROR = -1.0
"""In place of the refractive index beyond a border that light does not pass."""
MISSED, REFLECTED, ROULETTE = 1, 2, 3
"""Entries of the totals behind that of the skin, which stands behind those of the named borders."""
ABSORBS, SCATTERS, COSINE, INDEX = 0, 1, 2, 3
"""Columns of the optics of a cell."""
Counts = npt.NDArray[np.int32]


@compiled_part
def _fly(
    planes: Array,
    neighbour: Counts,
    border: Counts,
    bins: Bins,
    owner: Counts,
    optics: Array,
    outside: Array,
    start: Array,
    direction: Array,
    cell: int,
    weight: float,
    specular: float,
    seed: np.uint64,
    paths: Array,
    totals: Array,
) -> None:
    """One packet from start to end; adds weight times way to ``paths`` and what leaves to ``totals``.

    ``cell`` holds the start, or is negative when that lies outside.
    """
    a, b = mixed(seed + GOLDEN), mixed(seed + GOLDEN + GOLDEN)
    skin = len(totals) - 4
    x, y, z = start[0], start[1], start[2]
    ux, uy, uz = direction[0], direction[1], direction[2]
    faint = FAINT * weight
    facet, first = -1, cell < 0
    number, a, b = drawn(a, b)
    depth = -math.log(number)  # optical, to the next scattering
    here = 0.0  # weight times way in this cell
    steps, left = 0, -1
    while True:
        if cell < 0:  # outside: to where the body is met, if anywhere
            reach, facet = first_met(bins, x, y, z, ux, uy, uz, facet)
            if facet < 0:
                totals[skin + MISSED if left < 0 else left] += weight
                return
            x += reach * ux
            y += reach * uy
            z += reach * uz
            cell, side = owner[facet, 0], owner[facet, 1]
            there = outside[border[facet]]
            there = there if there > 0.0 else optics[cell, INDEX]
            nx, ny, nz = planes[cell, side, 0], planes[cell, side, 1], planes[cell, side, 2]
            cosine = -(nx * ux + ny * uy + nz * uz)
            turned, beyond = reflectance(there, optics[cell, INDEX], cosine)
            back = False
            if first:
                turned = turned if specular < 0.0 else specular
                totals[skin + REFLECTED] += turned * weight
                weight *= 1.0 - turned
                first = False
            else:
                number, a, b = drawn(a, b)
                back = number < turned
            if back:
                ux, uy, uz = ux + 2.0 * cosine * nx, uy + 2.0 * cosine * ny, uz + 2.0 * cosine * nz
                cell = -1
                continue
            ratio = there / optics[cell, INDEX]
            lean = ratio * cosine - beyond
            ux, uy, uz = ratio * ux + lean * nx, ratio * uy + lean * ny, ratio * uz + lean * nz
        absorption, scattering = optics[cell, ABSORBS], optics[cell, SCATTERS]
        step = depth / scattering if scattering > 0.0 else np.inf
        side = -1
        for face in range(4):
            ahead = planes[cell, face, 0] * ux + planes[cell, face, 1] * uy + planes[cell, face, 2] * uz
            if ahead > 0.0:
                gap = planes[cell, face, 3] - (
                    planes[cell, face, 0] * x + planes[cell, face, 1] * y + planes[cell, face, 2] * z
                )
                if gap < step * ahead:
                    step, side = max(gap, 0.0) / ahead, face
        way = weight * path(absorption * step, step)
        here += way
        weight -= absorption * way
        x += step * ux
        y += step * uy
        z += step * uz
        if side < 0:
            ux, uy, uz, a, b = scattered(ux, uy, uz, optics[cell, COSINE], a, b)
            number, a, b = drawn(a, b)
            depth = -math.log(number)
        else:
            depth -= scattering * step
            target = neighbour[cell, side]
            index = optics[cell, INDEX]
            other = optics[target, INDEX] if target >= 0 else outside[border[-1 - target]]
            back = other == MIRROR
            if back or (other > 0.0 and other != index):
                nx, ny, nz = planes[cell, side, 0], planes[cell, side, 1], planes[cell, side, 2]
                cosine = nx * ux + ny * uy + nz * uz
                beyond = 0.0
                if not back:
                    turned, beyond = reflectance(index, other, cosine)
                    number, a, b = drawn(a, b)
                    back = number < turned
                ratio = 1.0 if back else index / other
                lean = -2.0 * cosine if back else beyond - ratio * cosine
                ux, uy, uz = ratio * ux + lean * nx, ratio * uy + lean * ny, ratio * uz + lean * nz
            if not back:
                paths[cell] += here
                here = 0.0
                if target < 0:
                    facet = -1 - target
                    left = border[facet]
                    if other <= 0.0:  # more of the same beyond: gone for good
                        totals[left] += weight
                        return
                    target = -1
                cell = target
        steps += 1
        if weight < faint or steps % TRAPPED == 0:
            number, a, b = drawn(a, b)
            if number >= SURVIVORS:
                if cell >= 0:
                    paths[cell] += here
                totals[skin + ROULETTE] -= weight
                return
            totals[skin + ROULETTE] += weight * (1.0 / SURVIVORS - 1.0)
            weight /= SURVIVORS


@compiled
def fly(
    planes: Array,
    neighbour: Counts,
    border: Counts,
    bins: Bins,
    owner: Counts,
    optics: Array,
    outside: Array,
    starts: Array,
    directions: Array,
    cells: Counts,
    weights: Array,
    specular: Array,
    first: int,
    seed: int,
    paths: Array,
    totals: Array,
) -> None:
    """Fly batches of packets, each on one core: starts, directions (b, p, 3), their cells, weights, specular (b, p).

    ``planes`` (m, 4, 4): outward unit normal and offset of each face; ``neighbour`` (m, 4): the cell beyond, or minus
    one minus the outer facet; ``border`` (f,): entry of the totals for each outer facet; ``owner`` (f, 2): its cell
    and face; ``outside``: refractive index by entry, 0 for more of the same. Adds to paths (b, m) in W m and to
    totals in W.
    """
    root = mixed(np.uint64(seed) + GOLDEN)
    for batch in nb.prange(len(weights)):
        for packet in range(weights.shape[1]):
            own = mixed(root ^ np.uint64(first + batch * weights.shape[1] + packet))
            _fly(
                planes, neighbour, border, bins, owner, optics, outside, starts[batch, packet],
                directions[batch, packet], cells[batch, packet], weights[batch, packet], specular[batch, packet], own,
                paths[batch], totals[batch],
            )  # fmt: skip
