"""Amounts that fill a shape, handed to the nodes: a lattice of points, fine enough and no finer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thermal.engine import Engine
from thermal.units import Array

PER_CELL = 3
"""Points per cell edge for shapes with sharp borders."""
SMALLEST_PARTS = 8
"""Small cubes across a shape, at least."""
MOST_POINTS = 2e7
"""Points above which one per cell must do."""
CHUNK = 500_000
"""Points handed to the engine at a time."""


def finest(engine: Engine, at: Array) -> float:
    """Smallest cell size (m) met at the points (q, 3); points outside the domain are ignored unless all are."""
    sizes, message = [], ""
    for point in at:
        try:
            sizes.append(engine.spacing((float(point[0]), float(point[1]), float(point[2]))))
        except ValueError as error:
            message = str(error)
    if not sizes:
        raise ValueError(f"centre: the source lies outside the domain: {message}; move it inside")
    return min(sizes)


def deposit(engine: Engine, amount: Array, at: Array, edges: Array | float = 0.0) -> Array:
    """``Engine.deposit`` without what lies beyond the bounding box of the nodes, which is lost.

    ``at`` (q, 3) m are the middles of small boxes with ``edges`` (q, 3) m or one for all, in which the ``amount`` is
    spread evenly: of one that the bounding box cuts, the part within it counts, in that part's middle.
    """
    lower, upper = engine.bounds
    half = 0.5 * np.broadcast_to(edges, at.shape)
    low, high = np.maximum(at - half, lower), np.minimum(at + half, upper)
    within = np.all(low <= high, axis=1)
    low, high, half = low[within], high[within], half[within]
    part = np.divide(high - low, 2.0 * half, out=np.ones_like(half), where=half > 0.0).prod(axis=1)
    return engine.deposit(amount[within] * part, 0.5 * (low + high))


def within_bounds(engine: Engine, start: Array, end: Array) -> tuple[float, float]:
    """From where to where a line from ``start`` to ``end`` (3,) lies in the bounding box of the nodes, in shares of it;
    both are 0 where it does not."""
    along = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = np.sort((np.asarray(engine.bounds) - start) / along, axis=0)
    goes = along != 0.0
    first, last = np.max(crossed[0, goes], initial=0.0), np.min(crossed[1, goes], initial=1.0)
    return (float(first), float(last)) if first < last else (0.0, 0.0)


def lattice_edge(cell: float, size: float) -> float:
    """Edge of the small cubes, m: an integer part of the ``cell``, for shapes as large as ``size`` and as small."""
    parts = PER_CELL if (PER_CELL * size / cell) ** 3 < MOST_POINTS else 1
    return cell / max(parts, int(np.ceil(SMALLEST_PARTS * cell / size)))


def ball_lattice(radius: float, edge: float) -> Iterator[tuple[Array, Array]]:
    """Centres (q, 3) of the cubes that touch a ball around the origin, slab by slab, and their shares of it (q,).

    On the border the sphere is taken for its tangent plane and the cube for a slab as thick as it is along the normal.
    """
    count = int(np.ceil(radius / edge)) + 1
    axis = (np.arange(-count, count) + 0.5) * edge
    y, z = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    for part in np.array_split(axis, max(1, len(axis) * len(y) // CHUNK)):
        points = np.column_stack([np.repeat(part, len(y)), np.tile(y, len(part)), np.tile(z, len(part))])
        distance = np.linalg.norm(points, axis=1)
        thickness = edge * np.abs(points).sum(axis=1) / distance
        shares = np.clip(0.5 + (radius - distance) / thickness, 0.0, 1.0)
        touched = shares > 0.0
        yield points[touched], shares[touched]
