"""Domains as grids of pyvista, and fields taken from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvista as pv

from thermal.domain import AxisymmetricDomain, Domain, VoxelDomain, half_plane
from thermal.units import Array
from thermal.view.cells import MM

_ROOM = 1e-2
"""Of a cell; surfaces are closed that far outside the window."""


def grid(domain: Domain) -> Any:
    """The domain as a pyvista grid in mm: rectilinear for voxels, unstructured for tetrahedra.

    Of an axisymmetric domain the triangles of its half-plane, at (r, 0, z): see :func:`sample` and :func:`box`.
    """
    if isinstance(domain, VoxelDomain):
        return pv.RectilinearGrid(*(axis * MM for axis in domain.axes))
    count, corners = domain.cells.shape
    kind = {3: pv.CellType.TRIANGLE, 4: pv.CellType.TETRA}[corners]
    cells = np.hstack([np.full((count, 1), corners), domain.cells]).ravel()
    return pv.UnstructuredGrid(cells, np.full(count, kind), domain.points * MM)


def sample(domain: Domain, mesh: Any, at: Array) -> Any:
    """Fields of ``mesh``, the :func:`grid` of the domain, at points (q, 3) mm; ``vtkValidPointMask``: those in it."""
    return pv.PolyData(half_plane(at) if isinstance(domain, AxisymmetricDomain) else at).sample(mesh)


def values_at(domain: Domain, nodal_values: Array, at: Array) -> Array:
    """(q,) of a nodal field (n,) at points (q, 3) mm; NaN outside the domain."""
    if not isinstance(domain, VoxelDomain):
        mesh = grid(domain)
        mesh["u"] = nodal_values
        found = sample(domain, mesh, at)
        return np.where(
            np.asarray(found["vtkValidPointMask"]).astype(bool), np.asarray(found["u"], dtype=float), np.nan
        )
    inside: Any = np.ones(len(at), dtype=bool)
    places = np.empty((3, len(at)), dtype=np.int64)
    shares = np.empty((3, len(at)))
    for k, (axis, x) in enumerate(zip(domain.axes, np.asarray(at, dtype=float).T / MM, strict=True)):
        room = _ROOM * (axis[1] - axis[0])
        inside &= (x >= axis[0] - room) & (x <= axis[-1] + room)
        places[k] = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
        shares[k] = np.clip((x - axis[places[k]]) / (axis[places[k] + 1] - axis[places[k]]), 0.0, 1.0)
    values = nodal_values.reshape(domain.shape)
    found = np.zeros(len(at))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod([share if side else 1.0 - share for share, side in zip(shares, corner, strict=True)], axis=0)
        found += weight * values[tuple(places[k] + corner[k] for k in range(3))]
    return np.where(inside, found, np.nan)


def section(domain: Domain, mesh: Any, centre: Array) -> Any:
    """Cut through ``mesh``, the :func:`grid` of the domain, across y; of an axisymmetric domain the half-plane."""
    return mesh.copy() if isinstance(domain, AxisymmetricDomain) else mesh.slice(normal="y", origin=centre)
