"""Surfaces and dots of axisymmetric bodies, from their triangles in the half-plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyvista as pv

from thermal.domain import AxisymmetricDomain, facets
from thermal.engines.revolution import revolve
from thermal.units import Array

IN_PLANE = [0, 2]
"""r and z among the coordinates of a point (r, 0, z)."""


def swept_surface(points: Array, triangles: npt.NDArray[np.int64]) -> Any:
    """Closed surface of the body that triangles (m, 3) between points (n, 3), each (r, 0, z), sweep."""
    border = facets(triangles).outer
    border = border[(points[border, 0] > 0.0).any(axis=1)]
    surface = revolve(points[:, IN_PLANE], border)
    if not len(surface.triangles):
        return pv.PolyData()
    return pv.PolyData.from_regular_faces(surface.points, surface.triangles)


def swept_above(mesh: Any, level: float) -> Any:
    """Surface of the body swept by the part of a grid of triangles where its array ``u`` is at or above ``level``."""
    part = mesh.clip_scalar(scalars="u", invert=False, value=level)
    part = part.extract_surface(algorithm="dataset_surface").triangulate().clean(tolerance=1e-6)
    if part.n_cells == 0:
        return pv.PolyData()
    points = np.array(part.points, dtype=float)
    points[:, 0] = np.where(points[:, 0] < 1e-6 * points[:, 0].max(), 0.0, points[:, 0])
    return swept_surface(points, np.asarray(part.regular_faces, dtype=np.int64))


def scattered(domain: AxisymmetricDomain, cells: npt.NDArray[np.int64], random: np.random.Generator) -> Array:
    """A random place (q, 3) m in the ring that each of the ``cells`` (q,) sweeps, even in volume."""
    corners = domain.points[domain.cells[cells]]
    radii = corners[:, :, 0]
    # the density grows with r, which is linear: a mixture of three Dirichlet densities, one a corner
    chosen = (random.random(len(cells))[:, None] > np.cumsum(radii, axis=1) / radii.sum(axis=1, keepdims=True)).sum(
        axis=1
    )
    weights = random.gamma(1.0 + np.eye(3)[np.minimum(chosen, 2)])
    r, _, z = np.einsum("ck,ckd->dc", weights / weights.sum(axis=1, keepdims=True), corners)
    angle = 2.0 * np.pi * random.random(len(cells))
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)
