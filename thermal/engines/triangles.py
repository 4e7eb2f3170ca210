"""Distances of points from triangles."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled_part, compiled_shared
from thermal.units import Array

Index = npt.NDArray[np.int64]

FLAT = 1e-12
"""Square of the sine of a corner below which a triangle is its edges: its plane is lost in round-off."""


@compiled_part
def _squared(p: Array, a: Array, b: Array, c: Array) -> float:
    """Square of the distance of a point from a triangle, all (3,).

    The nearest point lies inside, on an edge or at a corner, as the parameters along two edges say (C. Ericson,
    Real-Time Collision Detection, Morgan Kaufmann 2005, section 5.1.5); a triangle of hardly any area is its edges.
    """
    x, y, z = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    pu, pv = x * ux + y * uy + z * uz, x * vx + y * vy + z * vz
    size = uu * vv - uv * uv
    s, t = vv * pu - uv * pv, uu * pv - uv * pu
    if size > FLAT * uu * vv and s >= 0.0 and t >= 0.0 and s + t <= size:
        s, t = s / size, t / size
        x, y, z = x - s * ux - t * vx, y - s * uy - t * vy, z - s * uz - t * vz
        return float(x * x + y * y + z * z)
    least = _to_segment(x, y, z, ux, uy, uz)
    least = min(least, _to_segment(x, y, z, vx, vy, vz))
    return float(min(least, _to_segment(x - ux, y - uy, z - uz, vx - ux, vy - uy, vz - uz)))


@compiled_part
def _to_segment(x: float, y: float, z: float, ux: float, uy: float, uz: float) -> float:
    """Square of the distance of a point from the segment between the origin and ``u``."""
    length = ux * ux + uy * uy + uz * uz
    t = min(max((x * ux + y * uy + z * uz) / length, 0.0), 1.0) if length > 0.0 else 0.0
    x, y, z = x - t * ux, y - t * uy, z - t * uz
    return x * x + y * y + z * z


@compiled_shared
def shorten(begin: int, end: int, points: Array, corners: Array, near: Index, distance: Array) -> None:
    """Lower ``distance`` (q,) m to that of the ``points`` (q, 3) from the triangles ``near`` (q, k) them; of those from
    ``begin`` to before ``end``.

    ``corners`` (t, 3, 3) m of all triangles.
    """
    for q in range(begin, end):
        least = distance[q] * distance[q]
        for k in range(near.shape[1]):
            triangle = corners[near[q, k]]
            least = min(least, _squared(points[q], triangle[0], triangle[1], triangle[2]))
        distance[q] = math.sqrt(least)
