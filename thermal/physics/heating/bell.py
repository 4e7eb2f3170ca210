"""How much of a Gaussian lies in the body."""

from __future__ import annotations

import math

import numpy as np

from thermal.domain import SURFACE
from thermal.engine import Engine
from thermal.units import Array

FARTHEST = 6.0
"""Standard deviations beyond which a Gaussian has less than a ten-millionth of its integral."""
ACROSS = 9
"""Points along an axis on which it is uniform, at which the body is looked for."""


def integral_inside(engine: Engine, centre: Array, sigma: Array) -> float | None:
    """m3, of ``exp(-sum((x - centre)^2 / (2 sigma^2)))`` over the box around the body; any ``sigma`` (3,) m may be inf.

    None where the body does not fill that box as far as the Gaussian goes.
    """
    lower, upper = engine.bounds
    low, high = np.maximum(lower, centre - FARTHEST * sigma), np.minimum(upper, centre + FARTHEST * sigma)
    if np.any(low >= high):
        return None
    if not _is_box(engine) and (_borders(engine, centre, sigma) or not _holds(engine, centre, sigma, low, high)):
        return None
    return math.prod(_along(*side) for side in zip(lower - centre, upper - centre, sigma, strict=True))


def _is_box(engine: Engine) -> bool:
    """Whether the body fills the box around it."""
    lower, upper = engine.bounds
    return math.isclose(engine.total(engine.volume), float(np.prod(upper - lower)), rel_tol=1e-9)


def _borders(engine: Engine, centre: Array, sigma: Array) -> bool:
    """Whether the body ends anywhere within the Gaussian but on the faces of the box around it."""
    lower, upper = engine.bounds
    nodes = engine.points[engine.areas[SURFACE] > 0.0] if SURFACE in engine.areas else np.zeros((0, 3))
    slack = 1e-9 * (upper - lower)
    within = np.all((nodes > lower + slack) & (nodes < upper - slack), axis=1)
    return bool(np.any(np.sum(((nodes[within] - centre) / sigma) ** 2, axis=1) <= FARTHEST**2))


def _holds(engine: Engine, centre: Array, sigma: Array, low: Array, high: Array) -> bool:
    """Whether the body holds places all over the Gaussian between ``low`` and ``high`` (3,) m."""
    sides = zip(low, high, sigma, strict=True)
    axes = [np.linspace(a, b, ACROSS if np.isinf(s) else 2 + int((b - a) / s)) for a, b, s in sides]
    at = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return bool(engine.holds(at[np.sum(((at - centre) / sigma) ** 2, axis=1) <= FARTHEST**2]).all())


def _along(start: float, end: float, sigma: float) -> float:
    """m, the integral along one axis from ``start`` to ``end``."""
    if math.isinf(sigma):
        return end - start
    scale = math.sqrt(2.0) * sigma
    return 0.5 * math.sqrt(math.pi) * scale * (math.erf(end / scale) - math.erf(start / scale))
