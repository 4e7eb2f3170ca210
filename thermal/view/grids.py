"""Domains as grids of pyvista, and fields taken from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvista as pv

from thermal.domain import AxisymmetricDomain, Domain, VoxelDomain, half_plane
from thermal.units import Array
from thermal.view.cells import MM


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


def section(domain: Domain, mesh: Any, centre: Array) -> Any:
    """Cut through ``mesh``, the :func:`grid` of the domain, across y; of an axisymmetric domain the half-plane."""
    return mesh.copy() if isinstance(domain, AxisymmetricDomain) else mesh.slice(normal="y", origin=centre)
