"""Where a second treatment would cover what the first left: the zone that one makes, moved about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.engine import Engine
from thermal.units import Array
from thermal.zone import Extent

STEPS, FINEST = 10, 1e-3
"""Steps across a zone in which it is moved at first, and the smallest, m; then by a fourth of that around the best."""
MOST = 3
"""Treatments that are suggested at most."""
ENOUGH = 0.999
"""Share of what was left from which it counts as covered."""
FEW_POINTS, MOST_POINTS = 100, 400
"""Points of what was left that places are judged by, at first and then."""
BLOCK = 500_000
"""Points looked up at once."""


@dataclass(frozen=True)
class Step:
    """One more treatment like the planned one, ``shift`` (3,) m from it; ``covers`` is the share of what was left that
    this step and those before it cover."""

    shift: Array
    covers: float


def suggest(engine: Engine, zone: Extent, left: npt.NDArray[np.intp]) -> tuple[Step, ...]:
    """Steps that cover the nodes ``left`` with zones like ``zone``, greedily; none where nothing is left or made."""
    weight = engine.volume[left]
    own = engine.points[np.flatnonzero(zone.measure >= zone.level)]
    if not len(left) or not len(own):
        return ()
    middle = own.mean(axis=0)
    reach = 0.5 * float(np.ptp(own, axis=0).max())
    still = np.ones(len(left), dtype=bool)
    steps: list[Step] = []
    while len(steps) < MOST and weight[still].sum() > (1.0 - ENOUGH) * weight.sum():
        shift, covered = _best(engine, zone, left[still], middle, reach)
        if not covered.any():
            break
        still[np.flatnonzero(still)[covered]] = False
        steps.append(Step(shift, float(1.0 - weight[still].sum() / weight.sum())))
    return tuple(steps)


def _best(
    engine: Engine, zone: Extent, left: npt.NDArray[np.intp], middle: Array, reach: float
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The shift that covers most of the nodes ``left``, among equals the one deepest in the zone; which it covers."""
    points, weight = engine.points[left], engine.volume[left]
    low, high = points.min(axis=0) - middle - reach, points.max(axis=0) - middle + reach
    step = max(FINEST, 2.0 * reach / STEPS)
    shift = 0.5 * (low + high)
    for size, ends, most in (
        (step, (low, high), FEW_POINTS),
        (0.25 * step, None, MOST_POINTS),
    ):
        lower, upper = ends if ends is not None else (shift - step, shift + step)
        axes = [np.arange(np.ceil(a / size), np.floor(b / size) + 1) * size for a, b in zip(lower, upper, strict=True)]
        tried = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).T
        some = slice(None, None, max(1, len(points) // most))
        shift = tried[_judge(engine, zone, points[some], weight[some], tried)]
    return shift, _inside(engine, zone, points - shift) >= zone.level


def _judge(engine: Engine, zone: Extent, points: Array, weight: Array, tried: Array) -> int:
    """Which of the shifts ``tried`` (s, 3) covers most of the points, and among equals lies deepest."""
    covers, depth = np.zeros(len(tried)), np.zeros(len(tried))
    for part in np.array_split(np.arange(len(tried)), max(1, len(tried) * len(points) // BLOCK)):
        at = (points[None] - tried[part][:, None]).reshape(-1, 3)
        value = _inside(engine, zone, at).reshape(len(part), len(points))
        covers[part] = (value >= zone.level) @ weight
        depth[part] = value.min(axis=1)
    return int(np.lexsort((depth, covers))[-1])


def _inside(engine: Engine, zone: Extent, at: Array) -> Array:
    """(q,) the zone's measure at points, lowest beyond the domain."""
    lower, upper = engine.bounds
    within = np.all((at >= lower) & (at <= upper), axis=1)
    found = np.full(len(at), float(zone.measure.min()))
    if within.any():
        held = np.flatnonzero(within)
        held = held[engine.holds(at[held])]
        found[held] = engine.sample(zone.measure, at[held])
    return found
