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

*Close contact* (:func:`close_contact`): ice grows from the probe outwards, and within the reach of a kernel that draws
heat from all nodes at once there is none for too long. Its flow is drawn together, by as much as makes the potential at
the nodes that of a kernel of 0.8 spacings or 4 radii.

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
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.domain import Probe, ends
from thermal.engines import probe_fields as fields
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
DRAWN_IN_SPACINGS = 0.8
DRAWN_IN_RADII = 4.0
"""The reach of the kernel of a held probe that is drawn together. The potential in the middle of it stays below that of
the probe's wall for at least 2.7 radii of a line and 2.2 of a ball."""
LEAST_GAP = 0.5
"""share of the fall of potential from the wall to the middle of a drawn kernel that is left at a node at least"""
LEAST_SUPPORT = 0.5
"""share of a kernel, or of what of it lies between the ends of a line through the body, that must lie in the body for
its point to count in full"""
ENDLESS = 100.0
"""length of a line, in reaches, that may be taken for endless"""

Add = Callable[[Any], Any]
"""Sum over the processes of a parallel run of a number or an array of which each has its part."""
Laplacian = Callable[[Array], Array]
"""What flows out of each node (n,) in a body of unit conductivity with the potentials (n,)."""


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
    samples: Array
    """(q,) places along the line, in its length; those beyond an end on the border of the body are images"""
    share: float
    """of each sample in the flow"""


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
        energy, roughness = fields.self_energy(slenderness)
        lattice = _lattice(probe, _cell(part, volume, add) / reach) * roughness
        own = fields.to_infinity(slenderness, probe.radius / reach) / reach - (energy + lattice) / reach
        resistance += part.portion * images * own
    return weights, resistance


def contact(points: Array, volume: Array, spacing: float | Array, probe: Probe, add: Add = alone) -> Array:
    """Shape factors (n,) in m of a thin probe at a prescribed value: flow into node i = k_i factor_i (u_probe - u_i).

    Arguments and errors as for :func:`spread`. Parts of a line outside the body exchange nothing.
    """
    factor = np.zeros(len(volume))
    for part in _smear(points, volume, spacing, probe, add):
        factor += _smeared(points, volume, probe, part, add)
    return factor


def close_contact(
    points: Array, volume: Array, spacing: float | Array, probe: Probe, laplacian: Laplacian, add: Add = alone
) -> Array:
    """Shape factors (n,) in m like those of :func:`contact`, of kernels that are drawn together."""
    factor = np.zeros(len(volume))
    for part in _smear(points, volume, spacing, probe, add):
        drawn = max(DRAWN_IN_SPACINGS * part.spacing, DRAWN_IN_RADII * probe.radius)
        if drawn < part.reach:
            factor += _drawn(points, volume, probe, part, drawn, laplacian, add)
        else:
            factor += _smeared(points, volume, probe, part, add)
    return factor


def _smeared(points: Array, volume: Array, probe: Probe, part: _Part, add: Add) -> Array:
    """Shape factors (n,) m of a part of a probe."""
    length = _mirrored(points, volume, probe, part.reach, add) / part.reach
    lattice = _lattice(probe, _cell(part, volume, add) / part.reach)
    strength = fields.strength(round(length, 6), round(probe.radius / part.reach, 6), round(lattice, 6))
    return part.weights * (strength * (_length(probe) or part.reach))


def _drawn(
    points: Array, volume: Array, probe: Probe, part: _Part, drawn: float, laplacian: Laplacian, add: Add
) -> Array:
    """Shape factors (n,) m of a part of a probe whose kernel is drawn together to the reach ``drawn`` m.

    The potential of a unit flow from the drawn kernel is that from the wide one plus their difference, which ends where
    the wide one does: with the grid's own Laplacian of it added to the weights, nodes have the potential of the drawn
    kernel, and the rest of the body notices nothing. What each node takes, over the fall of potential from the wall to
    it, is its factor. Nodes at the rim would take a little less than nothing: they take nothing, all others are
    lessened in proportion, and what that makes of the potential at the others is allowed for to first order.
    """
    start, end = _ends(probe)
    line = _length(probe) > 0.0
    near, squares = _squares(points, volume, start, part.samples[:, None] * (end - start), part.reach)
    closer = np.zeros(len(volume))
    closer[near] = part.share * np.sum(fields.of_point(squares, drawn) - fields.of_point(squares, part.reach), axis=0)
    weights = np.where(volume > 0.0, part.weights + laplacian(closer), 0.0)
    along, away = _beside(points, probe)
    lattice = _lattice(probe, _cell(part, volume, add) / part.reach) * (1.0 if line else drawn / part.reach)
    met = fields.above_rim(line, away / drawn) + lattice * fields.density(line, away / part.reach)

    stretches = max(1, int(_length(probe) / part.reach))
    stretch = np.minimum((along * stretches + 1e-9).astype(np.intp), stretches - 1)  # on a border the same everywhere

    def summed(amount: Array) -> Array:
        return np.asarray(add(np.bincount(stretch, amount, stretches)))

    held = np.maximum(weights, 0.0)
    whole, kept = summed(weights), summed(held)
    some = kept > 0.0
    held *= np.divide(np.maximum(whole, 0.0), kept, out=np.zeros(stretches), where=some)[stretch]
    moved = np.divide(summed((held - weights) * met), whole, out=np.zeros(stretches), where=whole > 0.0)
    length = _mirrored(points, volume, probe, part.reach, add) / drawn
    wall = fields.wall(round(length, 6), round(probe.radius / drawn, 6))
    least = LEAST_GAP * (wall - float(fields.above_rim(line, np.zeros(1))[0]))
    gap = np.maximum(wall - met - moved[stretch], least)
    return np.asarray(held / gap * (_length(probe) or drawn))


def _cell(part: _Part, volume: Array, add: Add) -> float:
    """Edge of the mean cell around a part, m."""
    whole = add(np.sum(part.weights))
    return _edge(add(part.weights @ volume) / whole, part.spacing) if whole > 0.0 else part.spacing


def _smear(points: Array, volume: Array, spacing: float | Array, probe: Probe, add: Add) -> list[_Part]:
    """The parts of a probe, each with the share of the flow that every node takes: one in all inside the body."""
    spacings = np.atleast_1d(np.asarray(spacing, dtype=float))
    reaches = _reaches(probe, spacings)
    start, end = _ends(probe)
    count = int(np.ceil(SAMPLES_PER_REACH * _length(probe) / reaches.min())) or 1
    along = (np.arange(count) + 0.5) / count
    line = _length(probe) > 0.0
    through = line and all(_cut(points, volume, probe, float(reaches.max()), add))
    places = np.linspace(0.0, 1.0, len(spacings))
    of_samples, cells = np.interp(along, places, reaches), np.interp(along, places, spacings)
    steps = np.ceil(np.log(of_samples / reaches.min()) / np.log(LEVEL) - 1e-9)
    parts, touched = [], False
    for step in np.unique(steps):
        mine = steps == step
        reach = min(float(reaches.min() * LEVEL**step), float(reaches.max()))
        least = LEAST_SUPPORT * (_between(probe, along[mine], reach) if through else np.ones(int(mine.sum())))
        weights, some = _weights(points, volume, start, (end - start) * along[mine, None], reach, least, count, add)
        samples = along[mine]
        if line:
            beyond = (np.arange(int(np.ceil(reach / _length(probe) * count))) + 0.5) / count
            cut = _cut(points, volume, probe, reach, add)
            before, after = (
                beyond if some and mine[place] else beyond[:0] for some, place in zip(cut, (0, -1), strict=True)
            )
            samples = np.concatenate([-before[::-1], samples, 1.0 + after])
        parts.append(_Part(reach, float(cells[mine].max()), float(mine.mean()), weights, samples, 1.0 / count))
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
    near, squares = _squares(points, volume, start, samples, reach)
    kernel = np.maximum(1.0 - squares / reach**2, 0.0) ** 2 * volume[near]
    support = add(np.sum(kernel, axis=1)) / (32.0 * np.pi / 105.0 * reach**3)  # 1 where the kernel lies in the body
    norm = np.maximum(support, least)[:, None] * (count * 32.0 * np.pi / 105.0 * reach**3)
    shares = np.zeros(len(volume))
    shares[near] = np.sum(kernel / norm, axis=0)
    return shares, bool(np.any(support > 0.0))


def _squares(
    points: Array, volume: Array, start: Array, samples: Array, reach: float
) -> tuple[npt.NDArray[np.intp], Array]:
    """The nodes within ``reach`` of the way along ``samples`` (q, 3) m beyond ``start``, and the squares of their
    distances from each of these, (q, near) m2."""
    lower, upper = start + samples.min(axis=0) - reach, start + samples.max(axis=0) + reach
    near = np.flatnonzero(np.all((points > lower) & (points < upper), axis=1) & (volume > 0))
    offset, axis = points[near] - start - samples[0], samples[-1] - samples[0]
    along = np.clip(offset @ axis / (float(axis @ axis) or 1.0), 0.0, 1.0)
    near = near[np.sum((offset - along[:, None] * axis) ** 2, axis=1) < reach**2]
    place = points[near] - start
    # |place - sample|^2 multiplied out, so that the large arrays stay two-dimensional
    return near, np.sum(place**2, axis=1) - 2.0 * samples @ place.T + np.sum(samples**2, axis=1)[:, None]


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
    return (length, 2.0 * length, max(length, ENDLESS * reach))[sum(_cut(points, volume, probe, reach, add))]


def _cut(points: Array, volume: Array, probe: Probe, reach: float, add: Add) -> tuple[bool, bool]:
    """Whether start and end of a line lie on the border of the body: there the kernel finds less than half as much
    tissue half a reach beyond the end as it does within."""
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
    at_start = support(start - outwards) < 0.5 * support(start + inwards)
    return at_start, support(end + outwards) < 0.5 * support(end - inwards)


def stations(probe: Probe, apart: float = np.inf) -> list[tuple[float, float, float]]:
    """A few points along a probe, where its spacing is looked up; as many as it takes for them to be ``apart`` m."""
    if not 0.0 < probe.radius < np.inf:
        raise ValueError(f"the probe {probe} has no radius; give a length above zero")
    if not np.isfinite(ends(probe)).all():
        raise ValueError(f"the probe {probe} has an end that is not finite; give coordinates in metres")
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


def _beside(points: Array, probe: Probe) -> tuple[Array, Array]:
    """Of points (n, 3): how far along a line they lie, (n,) in its length, and their distance from it, (n,) m."""
    start, end = _ends(probe)
    axis = end - start
    along = np.clip((points - start) @ axis / (float(axis @ axis) or 1.0), 0.0, 1.0)
    return along, np.linalg.norm(points - start - along[:, None] * axis, axis=1)


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
