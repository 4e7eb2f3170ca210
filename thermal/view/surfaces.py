"""Closed surfaces of regions, of what lies above a level, and of devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvista as pv

from thermal.domain import AxisymmetricDomain, Domain, VoxelDomain
from thermal.physics.scene import Device
from thermal.units import Array
from thermal.view.cells import MM, body_nodes
from thermal.view.grids import grid
from thermal.view.swept import swept_above, swept_surface

_BLUR = 0.6
"""Standard deviation of the blurring of stairs, in cells."""
_REACH = 4.0
"""Standard deviations to which it is followed."""
_BLURRED = 4
"""Cells that it may reach."""


def region_surface(domain: Domain, share: Array) -> Any:
    """Closed surface of a region from its share of each cell (m,), as ``pyvista.PolyData`` in mm (may be empty)."""
    if isinstance(domain, AxisymmetricDomain):
        return swept_surface(domain.points * MM, domain.cells[share >= 0.5])
    if not isinstance(domain, VoxelDomain):
        part = grid(domain).extract_cells(np.flatnonzero(share >= 0.5))
        if part.n_cells == 0:
            return pv.PolyData()
        return _oriented(_shell(part).smooth_taubin(n_iter=20))
    # Contour between the cell centres; a rim of empty cells closes what touches the faces of the window.
    # Vessels thinner than a voxel nowhere fill half a cell: follow them at half of what they reach.
    values = share.reshape(domain.cell_shape)
    box = _box(values > 0.0, _BLURRED)
    if box is None:
        return pv.PolyData()
    values = np.pad(np.asarray(values[box], dtype=float), 1)
    level = 0.5 * min(1.0, float(values.max()))
    centres = [_rimmed(axis[part.start : part.stop + 1]) * MM for axis, part in zip(domain.axes, box, strict=True)]
    cells = pv.RectilinearGrid(*centres)
    stairs = bool(((values == 0.0) | (values == 1.0)).all())  # a labelled image: smooth the stairs, keep the volume
    cells["share"] = values.ravel(order="F")
    if stairs:
        cells["share"] = _blurred(cells, "share")
    surface = cells.contour([level], scalars="share")
    return surface.smooth_taubin(n_iter=20, pass_band=0.15) if stairs and surface.n_points else surface


def _blurred(cells: Any, name: str) -> Any:
    """Values of a grid after a Gaussian; VTK's own, since SciPy's takes a third of a second to import."""
    plain = pv.ImageData(dimensions=cells.dimensions)
    plain[name] = cells[name]
    return plain.gaussian_smooth(scalars=name, std_dev=_BLUR, radius_factor=_REACH)[name]


def _box(mask: Any, room: int) -> tuple[slice, slice, slice] | None:
    """The box around what a mask (a, b, c) holds, with ``room`` entries around it where there are any."""
    parts = []
    for axis, length in enumerate(mask.shape):
        places = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        if not len(places):
            return None
        parts.append(slice(max(0, int(places[0]) - room), min(length, int(places[-1]) + 1 + room)))
    x, y, z = parts
    return x, y, z


def _rimmed(axis: Array) -> Array:
    """Cell centres with one more on either side, just outside the window."""
    centres = 0.5 * (axis[1:] + axis[:-1])
    first, last = axis[0] - 1e-3 * (axis[1] - axis[0]), axis[-1] + 1e-3 * (axis[-1] - axis[-2])
    return np.concatenate([[2 * first - centres[0]], centres, [2 * last - centres[-1]]])


def level_surface(domain: Domain, values: Array, level: float) -> Any:
    """Closed surface of ``values`` (n,) at or above ``level``, as ``pyvista.PolyData`` in mm (may be empty)."""
    if not isinstance(domain, VoxelDomain):
        inside = np.where(body_nodes(domain), values, level - 1.0)
        if not np.any(inside >= level):
            return pv.PolyData()
        mesh = grid(domain)
        mesh["u"] = inside
        if isinstance(domain, AxisymmetricDomain):
            return _oriented(swept_above(mesh, level))
        return _oriented(_shell(mesh.clip_scalar(scalars="u", invert=False, value=level)))
    body = body_nodes(domain).reshape(domain.shape)
    whole = values.reshape(domain.shape)
    box = _box((whole >= level) & body, 1)
    if box is None:
        return pv.PolyData()
    part = np.where(body[box], whole[box], level - 1.0)
    below = float(min(part.min(), level - abs(level) - 1.0))
    kept = [axis[at] for axis, at in zip(domain.axes, box, strict=True)]
    axes = [np.concatenate([[a[0] - 1e-4 * (a[1] - a[0])], a, [a[-1] + 1e-4 * (a[-1] - a[-2])]]) for a in kept]
    mesh = pv.RectilinearGrid(*(axis * MM for axis in axes))
    mesh["u"] = np.pad(part, 1, constant_values=below).ravel(order="F")
    return mesh.contour([level], scalars="u")


def _shell(mesh: Any) -> Any:
    """Outer triangles; ``clean`` joins the points that clipping doubles where nodes lie exactly on the level."""
    surface = mesh.extract_surface(algorithm="dataset_surface").triangulate()
    surface.clear_data()
    return surface.clean(tolerance=1e-6)


def _oriented(surface: Any) -> Any:
    """The closed surface with all triangles facing outwards."""
    return surface.compute_normals(
        cell_normals=False, split_vertices=False, consistent_normals=True, auto_orient_normals=True
    )


def device_surface(device: Device) -> Any:
    """A tube with closed ends, in mm."""
    start, end = np.asarray(device.shape.start) * MM, np.asarray(device.shape.end) * MM
    radius = max(device.shape.radius * MM, 0.35)  # thinner would be lost in the picture
    length = float(np.linalg.norm(end - start))
    if length <= 0.0:
        return pv.Sphere(radius=max(radius, 1.0), center=start)
    if device.kind == "coil":  # the axis and radius of a loop
        return pv.Disc(center=0.5 * (start + end), inner=0.97 * radius, outer=radius, normal=end - start, c_res=96)
    return pv.Line(start, end).tube(radius=radius, n_sides=24, capping=True)
