"""The body of a needle: steel that no fluid crosses, that holds no particles and that no blood perfuses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from thermal.domain import Probe, ends
from thermal.engine import Engine
from thermal.units import Array, Mask

SAMPLES = 6
"""Points along each edge of a cell at which it is asked whether it lies in a needle."""


def open_share(engine: Engine, bodies: Iterable[Probe]) -> Array:
    """(m,) share of each cell that no cylinder or ball takes; cells are cubes of their volume around their middle."""
    centres = np.stack([engine.to_cells(np.ascontiguousarray(along)) for along in engine.points.T], axis=1)
    size = engine.cell_size
    shares = np.ones(len(size))
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    for body in bodies:
        near = np.flatnonzero(_distance(centres, body) < body.radius + size)
        taken = np.zeros(len(near))
        for offset in offsets:
            taken += _inside(centres[near] + offset * size[near, None], body)
        shares[near] = np.maximum(shares[near] - taken / len(offsets), 0.0)
    return shares


def _along(at: Array, body: Probe) -> tuple[Array, Array, float]:
    """Place (q,) of points along the axis from its start, m; their distance (q,) from the axis; its length. A ball has
    no length, and all points are beside its centre."""
    start, end = (np.asarray(place) for place in ends(body))
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / (length or 1.0)
    place = (at - start) @ axis
    return place, np.asarray(np.linalg.norm(at - start - place[:, None] * axis, axis=1)), length


def _distance(at: Array, body: Probe) -> Array:
    place, away, length = _along(at, body)
    beyond = np.maximum(np.maximum(-place, place - length), 0.0)
    return np.asarray(np.hypot(away, beyond))


def _inside(at: Array, body: Probe) -> Mask:
    place, away, length = _along(at, body)
    return np.asarray((away < body.radius) & (place >= 0.0) & (place <= length))
