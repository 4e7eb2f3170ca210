"""The smallest value of a costly function in a box, from few values: a surface through all that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thermal.units import Array

REACH = (0.4, 0.2, 0.1, 0.05)
"""Standard deviations of the steps from the best point, one after the other."""
TRUST = (0.5, 0.8, 0.95, 1.0)
"""Weight of what the surface promises against the distance from what is known, one after the other."""
CANDIDATES = 100
"""Points that are looked at, for each dimension."""
APART = 1e-3
"""Distance below which two points are the same."""


def search(
    cost: Callable[[Array], float],
    start: Array,
    steps: Array,
    allowed: Callable[[Array], bool],
    budget: int,
    seed: int,
) -> None:
    """Call ``cost`` at up to ``budget`` points of the box from -1 to 1, (d,) each, that are ``allowed``.

    The first is ``start``, then one for each of the ``steps`` (d,), the step from it along each axis. From then on a
    surface of cubic radial functions with a linear tail goes through all values, cut at their median, and of random
    points around the best that one is taken which it promises most of and which lies far from all others: R. G. Regis,
    C. A. Shoemaker, INFORMS J. Comput. 19 (2007) 497-509, doi:10.1287/ijoc.1060.0182.
    """
    from scipy.interpolate import RBFInterpolator

    chance = np.random.default_rng(seed)
    points: list[Array] = []
    values: list[float] = []

    def look(point: Array) -> None:
        if len(points) < budget:
            points.append(point)
            values.append(cost(point))

    if allowed(start):
        look(start)
    for axis, step in enumerate(steps):
        for sign in (1.0, -1.0):
            moved = start.copy()
            moved[axis] += sign * step
            if abs(moved[axis]) <= 1.0 and allowed(moved):
                look(moved)
                break
    while len(points) < budget:
        turn = len(points) % len(REACH)
        known, cut = np.array(points), np.minimum(values, np.median(values)) if values else np.zeros(0)
        best = known[int(np.argmin(values))] if values else start
        moves = chance.standard_normal((CANDIDATES * len(start), len(start))) * REACH[turn]
        moves *= chance.random(moves.shape) < max(0.5, 2.0 / len(start))
        tried = np.clip(best + moves, -1.0, 1.0)
        if len(points):
            away = np.linalg.norm(tried[:, None] - known, axis=2).min(axis=1)
            tried, away = tried[away > APART], away[away > APART]
        else:
            away = np.ones(len(tried))
        if len(points) > len(start) + 1:
            promised = RBFInterpolator(known, cut, kernel="cubic", degree=1)(tried)
            rank = TRUST[turn] * _share(promised) + (1.0 - TRUST[turn]) * _share(-away)
        else:
            rank = _share(-away)
        found = next((tried[index] for index in np.argsort(rank) if allowed(tried[index])), None)
        if found is None:
            return
        look(found)


def _share(values: Array) -> Array:
    """From 0 for the smallest to 1 for the largest."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
