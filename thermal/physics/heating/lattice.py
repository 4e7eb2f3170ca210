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


def deposit(engine: Engine, amount: Array, at: Array) -> Array:
    """``Engine.deposit`` without the points beyond the bounding box of the nodes: their amount is lost."""
    lower, upper = engine.bounds
    within = np.all((at >= lower) & (at <= upper), axis=1)
    return engine.deposit(amount[within], at[within])


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
