"""What a point gives, put down such that the field around it is right from a few cells on."""

from __future__ import annotations

import math

import numpy as np

from thermal.domain import FACES
from thermal.engine import Engine
from thermal.physics.fading import fitted
from thermal.physics.lattice import deposit
from thermal.units import Array, Mask

WIDE = 1.0
"""Radius in cells of the ball that stands for a point of heat. A smaller one takes more from the nodes around it at
first: with 1 W on voxels of 1 mm these fall by 0.8 K before heat reaches them."""
LARGEST = 2.0
"""Radius in cells up to which a ball is a point to the grid."""
REACH = 6.0
"""Cells from the point up to which nodes take part. Farther away the grid's own error is below a hundredth."""
DEPTHS = 6.0
"""Penetration depths up to which nodes take part as well where the medium is alike."""
ALIKE = 0.2
"""Relative difference of the rate of fading up to which it is."""
LEAST_REACH = 3.0
"""Cells without a border around the point that it takes; otherwise the power goes to the corners of its cell."""
ON_FACE = 1e-6
"""Cells from a face of the window within which a point lies on it, as in a model cut along its symmetry."""


def point_power(engine: Engine, power: float, at: Array) -> Array:
    """(n,) W, in all ``power`` (W), of a point ``at`` (3,) m: its :func:`near_field`, or, where there is none, the
    corners of its cell; nothing if that lies outside the body."""
    near = near_field(engine, at, WIDE)
    return deposit(engine, np.array([power]), at[None, :]) if near is None else power * near


def near_field(
    engine: Engine, at: Array, least: float, radius: float = 0.0, fading: Array | None = None
) -> Array | None:
    """(n,) shares of what spreads from a small ball around the point ``at`` (3,) m.

    ``radius`` of the ball in m, at ``least`` so many cells. ``fading``: rate in cells, (m,) 1/m, at which what spreads
    fades, the grid's diffusion being :func:`~thermal.physics.fading.fitted` to it; none where it is not lost.

    Given to a node, a point heats 4 and 1 % too much at 3 and 5 cells along the axes of a voxel grid, 7 and 3 % where
    blood lets the field decay over 4.3 cells: differences cannot follow so sharp a field. The leading term of their
    error is ``h^2 (5 (x^4 + y^4 + z^4) / r^4 - 3) / (8 r^2)``. So the nodes get what makes the grid have
    ``exp(-mu r) / (4 pi k r)`` right, the field of a point in an endless medium: its operator applied to that field,
    with a ball in place of the point's own peak.

    None where the point lies outside the body or near a border, or the ball is larger than the cells.
    """
    if not engine.holds(at[None, :]).all():
        return None
    cell = engine.spacing((float(at[0]), float(at[1]), float(at[2])))
    distance = np.linalg.norm(engine.points - at, axis=1)
    clear = _nearest(distance, _border(engine, _faces_at(engine, at, cell))) - cell
    if radius > LARGEST * cell or clear < LEAST_REACH * cell:
        return None
    reach, rate, diffusion = REACH * cell, 0.0, np.ones(len(engine.cell_volume))
    if fading is not None:
        rate = float(engine.sample(engine.to_nodes(fading), at[None, :])[0])
        other = engine.to_nodes((np.abs(fading - rate) > ALIKE * rate).astype(np.float64)) > 0.0
        reach = max(reach, min(DEPTHS / rate if rate > 0.0 else 0.0, _nearest(distance, other) - cell))
        diffusion = fitted(np.full(len(fading), rate), engine.stencil_edge)
    ball = max(radius, least * cell)
    inside = 1.5 - 0.5 * (distance / ball) ** 2
    field = np.exp(-rate * distance) * np.where(distance < ball, inside, ball / np.maximum(distance, ball))
    load = engine.conductance(diffusion)(field) + rate**2 * engine.volume * field
    load = np.where(distance < min(reach, clear), load, 0.0)
    return np.asarray(load / load.sum())


def _nearest(distance: Array, chosen: Mask) -> float:
    return float(distance[chosen].min(initial=math.inf))


def _faces_at(engine: Engine, at: Array, cell: float) -> set[str]:
    """Faces of the window on which the point lies."""
    away = np.abs(np.array(engine.bounds) - at)
    return {name for number, name in enumerate(FACES) if away[number % 2, number // 2] < ON_FACE * cell}


def _border(engine: Engine, sides: set[str]) -> Mask:
    """(n,) whether a node lies on a border through which the field of the point would flow."""
    crossed = np.zeros(len(engine.volume), dtype=bool)
    for name in engine.areas:
        if name not in sides:
            crossed |= engine.areas[name] > 0.0
    return crossed
