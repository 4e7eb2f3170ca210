"""The body of a needle: steel that no fluid crosses and that holds no particles."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from thermal.domain import Line
from thermal.engine import Engine
from thermal.units import Array

SAMPLES = 6
"""Points along each edge of a cell at which it is asked whether it lies in a needle."""


def open_share(engine: Engine, shafts: Iterable[Line]) -> Array:
    """(m,) share of each cell that no shaft takes; cells are cubes of their volume around their middle."""
    centres = np.stack([engine.to_cells(np.ascontiguousarray(along)) for along in engine.points.T], axis=1)
    size = engine.cell_size
    shares = np.ones(len(size))
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    offsets = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    for shaft in shafts:
        near = np.flatnonzero(_distance(centres, shaft) < shaft.radius + size)
        taken = np.zeros(len(near))
        for offset in offsets:
            taken += _inside(centres[near] + offset * size[near, None], shaft)
        shares[near] = np.maximum(shares[near] - taken / len(offsets), 0.0)
    return shares


def _along(at: Array, shaft: Line) -> tuple[Array, Array, float]:
    """Place (q,) of points along the axis from its start, m; their distance (q,) from the axis; its length."""
    start, end = np.asarray(shaft.start), np.asarray(shaft.end)
    length = float(np.linalg.norm(end - start))
    axis = (end - start) / length
    place = (at - start) @ axis
    return place, np.asarray(np.linalg.norm(at - start - place[:, None] * axis, axis=1)), length


def _distance(at: Array, shaft: Line) -> Array:
    place, away, length = _along(at, shaft)
    beyond = np.maximum(np.maximum(-place, place - length), 0.0)
    return np.asarray(np.hypot(away, beyond))


def _inside(at: Array, shaft: Line) -> Array:
    place, away, length = _along(at, shaft)
    return np.asarray((away < shaft.radius) & (place > 0.0) & (place < length), dtype=float)
