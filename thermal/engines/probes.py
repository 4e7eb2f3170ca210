"""Thin probes on coarse grids: the sub-grid conductance between a probe and the nodes around it.

A needle of 0.75 mm radius on 2 mm voxels is not a line of fixed nodes: that would act like a radius of 0.2 spacings.
Peaceman's remedy for wells (SPE J. 18:183, 1978, doi:10.2118/6893-PA) is to know which radius the discrete source
stands for and to add the resistance between that radius and the true one. Here the source is smeared over the nodes by
a smooth kernel of finite reach, so the radius it stands for hardly depends on where the probe lies between the nodes.

A point has the kernel ``(1 - rho^2/a^2)^2`` up to its reach ``a = hypot(2.2 spacing, 1.4 radius)``; points along a line
add up to the profile ``(1 - rho^2/a^2)^2.5`` around its axis.

*Prescribed flow* (:func:`spread`): the mean of the field over the kernel per unit flow is the kernel's self-energy;
what lacks to the resistance of the true probe is sub-grid.

*Prescribed value* (:func:`contact`): ``-lap u = g w (u_probe - u)`` is solved in the radius, and g is chosen such that
the far field is that of a probe with the true radius. Nodes only gain a diagonal, so no field leaves the range of its
data.

*On tetrahedra* the spacing is how far nodes are apart (:func:`gaps`), the mean over the cells around; the longest edge
is up to 1.7 times that, and what a kernel reaches in vain is lost to the ice around a probe.

*Along a line* the reach follows the cells that it passes, growing towards longer ones before they are met
(:func:`_reaches`): a part in refined tissue is as thin as the cells there allow, wherever else the line leads.

*Ends of a line*: sources smeared over more than the radius see less of the three-dimensional spreading at the ends.
The self-energy of the finite smeared line against the mean potential on the wall of a uniform finite line (Howe 1914;
Grover, Inductance Calculations) gives the radius of the endless line that acts like the finite one.

An end on the border of the body is none: what no flux crosses mirrors the line, which is as if twice as long, or
endless where both ends are, however thin the body.

*The lattice*: the 7-point Laplacian has the symbol ``k^2 - h^2/12 sum_x k_x^4``, which to first order adds
``kappa h^2/12 integral(f^2)`` to the resistance met by a unit flow density f. kappa is the mean of
``sum_x k_x^4 / k^4`` over the directions of k: 3/5 for a ball, ``3/8 sum_x (1 - t_x^2)^2`` for a line of direction t
(all k normal to it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.domain import Probe, ends
from thermal.units import Array, Mask

REACH_IN_SPACINGS = 2.2
REACH_IN_RADII = 1.4
"""The kernel's reach, chosen on lattices: errors stay below 1 % for spacings from r/3 to 6 r at any place."""
BEYOND_REACH = 1.5
"""Reaches from a probe within which nodes say whether its ends lie on the border of the body."""
FEWEST, MOST = 9, 1000
"""Places along a probe where its spacing is looked up."""
STEEPEST = 2.0
"""By how much the reach of a line changes at most, m, a metre along it"""
LEVEL = 1.25
"""Ratio between one reach and the next of a line whose reach is not the same everywhere"""
SAMPLES_PER_REACH = 8
SHELLS = 600
LEAST_SUPPORT = 0.5
"""share of a kernel, or of what of it lies between the ends of a line through the body, that must lie in the body for
its point to count in full"""
ENDLESS = 100.0
"""length of a line, in reaches, that may be taken for endless"""

Add = Callable[[Any], Any]
"""Sum over the processes of a parallel run of a number or an array of which each has its part."""


def alone(part: Any) -> Any:
    """The sum of a run on one process."""
    return part


@dataclass(frozen=True)
class _Part:
    """The samples of a line that have the same ``reach`` (m), from the longest of their cells, ``spacing`` m: their
    ``portion`` of all and the ``weights`` (n,) of the nodes around them, which sum to that portion inside the body."""

    reach: float
    spacing: float
    portion: float
    weights: Array


def spread(points: Array, volume: Array, spacing: float | Array, probe: Probe, add: Add = alone) -> tuple[Array, float]:
    """Hand a prescribed flow to the nodes around a thin probe.

    ``points`` (n, 3) m, ``volume`` (n,) lumped m3 (zero outside the body), ``spacing`` the largest edge near the probe,
    m, or those at places evenly along it (q,). Returns weights (n,) that sum to one, uniform along a line, and the
    sub-grid resistance in 1/m: value at the probe's wall (for a line: its mean) = weights . u + flow * resistance / k.
    ``add`` sums over the processes of a parallel run, each of which has a part of the nodes.
    Raises ``ValueError`` for a probe outside the body.
    """
    parts = _smear(points, volume, spacing, probe, add)
    weights = np.sum([part.weights for part in parts], axis=0)
    weights /= add(np.sum(weights))
    resistance = 0.0
    for part in parts:
        reach, length = part.reach, _mirrored(points, volume, probe, part.reach, add)
        images = length / (_length(probe) or 1.0) or 1.0  # each takes as much as the line itself
        slenderness = length / reach
        energy, roughness = _self_energy(slenderness)
        lattice = _lattice(probe, _cell(part, volume, add) / reach) * roughness
        own = _alone(slenderness, probe.radius / reach) / reach - (energy + lattice) / reach
        resistance += part.portion * images * own
    return weights, resistance


def contact(points: Array, volume: Array, spacing: float | Array, probe: Probe, add: Add = alone) -> Array:
    """Shape factors (n,) in m of a thin probe at a prescribed value: flow into node i = k_i factor_i (u_probe - u_i).

    Arguments and errors as for :func:`spread`. Parts of a line outside the body exchange nothing.
    """
    factor = np.zeros(len(volume))
    for part in _smear(points, volume, spacing, probe, add):
        reach = part.reach
        lattice = round(_lattice(probe, _cell(part, volume, add) / reach), 6)
        length = _mirrored(points, volume, probe, reach, add) / reach
        strength = _strength(round(length, 6), round(probe.radius / reach, 6), lattice)
        factor += part.weights * (strength * (_length(probe) or reach))
    return factor


def _cell(part: _Part, volume: Array, add: Add) -> float:
    """Edge of the mean cell around a part, m."""
    whole = add(np.sum(part.weights))
    return _edge(add(part.weights @ volume) / whole, part.spacing) if whole > 0.0 else part.spacing


def _smear(points: Array, volume: Array, spacing: float | Array, probe: Probe, add: Add) -> list[_Part]:
    """The parts of a probe, each with the share of the flow that every node takes: one in all inside the body."""
    if not 0.0 < probe.radius < np.inf:
        raise ValueError(f"the probe {probe} has no radius; give a length above zero")
    spacings = np.atleast_1d(np.asarray(spacing, dtype=float))
    reaches = _reaches(probe, spacings)
    start, end = _ends(probe)
    count = int(np.ceil(SAMPLES_PER_REACH * _length(probe) / reaches.min())) or 1
    along = (np.arange(count) + 0.5) / count
    through = _length(probe) > 0.0 and _cut(points, volume, probe, float(reaches.max()), add) == 2
    places = np.linspace(0.0, 1.0, len(spacings))
    of_samples, cells = np.interp(along, places, reaches), np.interp(along, places, spacings)
    steps = np.ceil(np.log(of_samples / reaches.min()) / np.log(LEVEL) - 1e-9)
    parts, touched = [], False
    for step in np.unique(steps):
        mine = steps == step
        reach = min(float(reaches.min() * LEVEL**step), float(reaches.max()))
        least = LEAST_SUPPORT * (_between(probe, along[mine], reach) if through else np.ones(int(mine.sum())))
        weights, some = _weights(points, volume, start, (end - start) * along[mine, None], reach, least, count, add)
        parts.append(_Part(reach, float(cells[mine].max()), float(mine.mean()), weights))
        touched |= some
    if not touched:
        raise ValueError(f"the probe from {start.tolist()} to {end.tolist()} m touches no tissue")
    return parts


def _weights(
    points: Array, volume: Array, start: Array, samples: Array, reach: float, least: Array, count: int, add: Add
) -> tuple[Array, bool]:
    """Share of the flow that each node takes (n,) from ``samples`` (q, 3) m beyond ``start``, which are so many of the
    ``count`` of a probe; and whether any of them touches tissue. Those count in full of whose kernel at least the share
    ``least`` (q,) lies in the body."""
    lower, upper = start + samples.min(axis=0) - reach, start + samples.max(axis=0) + reach
    near = np.flatnonzero(np.all((points > lower) & (points < upper), axis=1) & (volume > 0))
    offset, axis = points[near] - start - samples[0], samples[-1] - samples[0]
    along = np.clip(offset @ axis / (float(axis @ axis) or 1.0), 0.0, 1.0)
    near = near[np.sum((offset - along[:, None] * axis) ** 2, axis=1) < reach**2]
    place = points[near] - start
    # |place - sample|^2 multiplied out, so that the large arrays stay two-dimensional
    squares = np.sum(place**2, axis=1) - 2.0 * samples @ place.T + np.sum(samples**2, axis=1)[:, None]
    kernel = np.maximum(1.0 - squares / reach**2, 0.0) ** 2 * volume[near]
    support = add(np.sum(kernel, axis=1)) / (32.0 * np.pi / 105.0 * reach**3)  # 1 where the kernel lies in the body
    norm = np.maximum(support, least)[:, None] * (count * 32.0 * np.pi / 105.0 * reach**3)
    shares = np.zeros(len(volume))
    shares[near] = np.sum(kernel / norm, axis=0)
    return shares, bool(np.any(support > 0.0))


def gaps(points: Array, cells: npt.NDArray[np.integer[Any]]) -> Array:
    """(m,) m, the longest edge of the shortest tree that joins the corners of each simplex, of ``cells`` (m, corners).

    So far the nodes of a mesh are apart: a cube cut into tetrahedra has them as far apart as before, though its longest
    edge is the diagonal. It is the shortest edge across the split of the corners across which that is longest.
    """
    corners = range(cells.shape[1])
    at = [points[cells[:, corner]] for corner in corners]
    lengths = {pair: np.linalg.norm(at[pair[0]] - at[pair[1]], axis=1) for pair in combinations(corners, 2)}
    widest = np.zeros(len(cells))
    for some in range(1, len(corners) // 2 + 1):
        for part in combinations(corners, some):
            across = [length for pair, length in lengths.items() if (pair[0] in part) != (pair[1] in part)]
            np.maximum(widest, np.minimum.reduce(across), out=widest)
    return widest


def _reach(probe: Probe, spacing: float) -> float:
    """Radius of the kernel, m."""
    return float(np.hypot(REACH_IN_SPACINGS * spacing, REACH_IN_RADII * probe.radius))


def _reaches(probe: Probe, spacings: Array) -> Array:
    """Radius of the kernel at places evenly along a probe, m: as long as the cells (q,) ask for, and nowhere shorter
    than that of another place less the way there, so that no kernel ends in cells much longer than it was made for."""
    wanted = np.hypot(REACH_IN_SPACINGS * spacings, REACH_IN_RADII * probe.radius)
    away = _length(probe) * np.linspace(0.0, 1.0, len(spacings))
    return np.asarray(np.max(wanted - STEEPEST * np.abs(away[:, None] - away), axis=1))


def within_reach(probe: Probe, spacing: float | Array) -> tuple[Array, Array]:
    """Lower and upper corner (3,) m of a box with everything that its weights depend on."""
    reach = BEYOND_REACH * _reach(probe, float(np.max(spacing)))
    start, end = _ends(probe)
    return np.minimum(start, end) - reach, np.maximum(start, end) + reach


def _between(probe: Probe, along: Array, reach: float) -> Array:
    """Share of the kernels of places ``along`` a line (q,) that lies between both of its ends."""
    ahead = np.minimum(_length(probe) / reach * np.stack([along, 1.0 - along]), 1.0)
    return np.asarray(35.0 / 32.0 * np.sum(ahead - ahead**3 + 0.6 * ahead**5 - ahead**7 / 7.0, axis=0))


def _mirrored(points: Array, volume: Array, probe: Probe, reach: float, add: Add) -> float:
    """Length of the line together with its images beyond the ends that lie on the border of the body, m."""
    length = _length(probe)
    if length == 0.0:
        return 0.0
    return (length, 2.0 * length, max(length, ENDLESS * reach))[_cut(points, volume, probe, reach, add)]


def _cut(points: Array, volume: Array, probe: Probe, reach: float, add: Add) -> int:
    """How many ends of a line lie on the border of the body: there the kernel finds less than half as much tissue half
    a reach beyond the end as it does within."""
    length = _length(probe)
    start, end = _ends(probe)
    along = (end - start) / length
    box = np.all(
        (points > np.minimum(start, end) - BEYOND_REACH * reach)
        & (points < np.maximum(start, end) + BEYOND_REACH * reach),
        axis=1,
    )
    near, tissue = points[box], volume[box]

    def support(place: Array) -> float:
        kernel = np.maximum(1.0 - np.sum((near - place) ** 2, axis=1) / reach**2, 0.0) ** 2
        return float(add(kernel @ tissue))

    inwards = min(0.5 * reach, 0.5 * length) * along
    outwards = 0.5 * reach * along
    return sum(
        support(tip + sign * outwards) < 0.5 * support(tip - sign * inwards)
        for tip, sign in ((start, -1.0), (end, 1.0))
    )


def stations(probe: Probe, apart: float = np.inf) -> list[tuple[float, float, float]]:
    """A few points along a probe, where its spacing is looked up; as many as it takes for them to be ``apart`` m."""
    start, end = _ends(probe)
    count = FEWEST - 1 if np.isinf(apart) else max(FEWEST - 1, int(np.ceil(_length(probe) / apart)))
    places = [start + share * (end - start) for share in np.linspace(0.0, 1.0, min(count, MOST) + 1)]
    return [(float(x), float(y), float(z)) for x, y, z in places]


def everywhere(spacings: Array, known: Mask, probe: Probe) -> Array:
    """``spacings`` (q,) m at places evenly along a probe, where they are not ``known`` that of the nearest place.

    Raises ``ValueError`` where none is.
    """
    inside = np.flatnonzero(known)
    if inside.size == 0:
        raise ValueError(f"the probe {probe} lies outside the mesh")
    places = np.arange(len(spacings))
    after = np.clip(np.searchsorted(inside, places), 1, max(inside.size - 1, 1))
    before, after = inside[after - 1], inside[np.minimum(after, inside.size - 1)]
    return np.asarray(spacings[np.where(places - before < after - places, before, after)])


def _ends(probe: Probe) -> tuple[Array, Array]:
    """Both ends of a probe, (3,) m."""
    start, end = ends(probe)
    return np.asarray(start, dtype=float), np.asarray(end, dtype=float)


def _length(probe: Probe) -> float:
    """Length of a line, m; 0 for a ball."""
    start, end = _ends(probe)
    return float(np.linalg.norm(end - start))


def _edge(mean_volume: float, spacing: float) -> float:
    """Edge of the mean cell around a probe, m: the spacing on a uniform grid, less where cells are flat or refined."""
    return min(spacing, float(mean_volume ** (1.0 / 3.0)))


def _lattice(probe: Probe, edge: float) -> float:
    """``kappa h^2 / 12`` with h in units of the reach."""
    start, end = _ends(probe)
    length = _length(probe)
    if length == 0.0:
        return 3.0 / 5.0 * edge**2 / 12.0
    return 3.0 / 8.0 * float(np.sum((1.0 - ((end - start) / length) ** 2) ** 2)) * edge**2 / 12.0


def _alone(length: float, radius: float) -> float:
    """Resistance of the true probe to infinity for a uniform flow: mean potential on the wall of a finite line, or of
    a ball (length 0)."""
    if length == 0.0:
        return 1.0 / (4.0 * np.pi * radius)
    ratio = radius / length
    return float((np.arcsinh(1.0 / ratio) - np.hypot(1.0, ratio) + ratio) / (2.0 * np.pi * length))


@lru_cache(maxsize=256)
def _self_energy(length: float) -> tuple[float, float]:
    """Self-energy of the smeared line of this length (0: a point) in units of the reach, and integral of its square.

    In wave space: the kernel's transform is ``Gamma(9/2) 2^(7/2) J_7/2(k) / k^(7/2)``; the mean of ``sin(kd)/(kd)``
    over all pairs of points of the line is ``2 (x Si(x) + cos x - 1) / x^2`` with x = k length.
    """
    from scipy.special import gamma, jv, sici

    step = 0.01
    wave = (np.arange(6000) + 0.5) * step
    square = (gamma(4.5) * 2.0**3.5 * jv(3.5, wave) / wave**3.5) ** 2
    if length > 0.0:
        x = wave * length
        square *= 2.0 * (x * sici(x)[0] + np.cos(x) - 1.0) / x**2
    scale = step / (2.0 * np.pi**2)
    return float(np.sum(square)) * scale, float(np.sum(square * wave**2)) * scale


def _radial(line: bool) -> tuple[Array, Array, Array]:
    """Shells of the unit reach: volume (per length for a line), kernel share, resistance from centre to next centre."""
    edges = np.linspace(0.0, 1.0, SHELLS + 1)
    centres = np.append(0.5 * (edges[1:] + edges[:-1]), 1.0)
    if line:
        inside = 1.0 - (1.0 - edges**2) ** 3.5
        return np.pi * np.diff(edges**2), np.diff(inside), np.diff(np.log(centres)) / (2.0 * np.pi)
    inside = (35.0 * edges**3 - 42.0 * edges**5 + 15.0 * edges**7) / 8.0
    return 4.0 / 3.0 * np.pi * np.diff(edges**3), np.diff(inside), -np.diff(1.0 / centres) / (4.0 * np.pi)


@lru_cache(maxsize=1024)
def _strength(length: float, radius: float, lattice: float) -> float:
    """Dimensionless strength of the contact that gives the far field of the true probe (lengths in reaches)."""
    from scipy.linalg import solveh_banded

    volume, share, resistance = _radial(length > 0.0)
    conductance = 1.0 / resistance
    lacking = _alone(length, radius) - _self_energy(length)[0]  # what the smeared source at prescribed flow lacks
    wanted = (length or 1.0) * lacking + float(np.cumsum(share) ** 2 @ resistance)  # resistance up to the rim

    def excess(logarithm: float) -> float:
        driver = share * np.exp(logarithm)
        bands = np.zeros((2, SHELLS))
        bands[1] = conductance + driver
        bands[1, 1:] += conductance[:-1]
        bands[0, 1:] = -conductance[:-1]
        flow = driver * (1.0 - solveh_banded(bands, driver))
        total = float(np.sum(flow))
        return 1.0 / total + lattice * float(np.sum(flow**2 / volume)) / total**2 - wanted

    return float(np.exp(_falling_root(excess, np.log(1e-6), np.log(1e6))))


def _falling_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is zero, to round-off, by halving; SciPy's solvers take half a second to import.

    Raises ``ValueError`` where it is not, between ``low`` and ``high``.
    """
    if not function(low) > 0.0 > function(high):
        raise ValueError(f"no strength between exp({low:.3g}) and exp({high:.3g}) acts like the probe")
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if function(middle) > 0.0 else (low, middle)
    return high
