"""Where nodes and cells of a domain lie, in patient millimetres, and the order in which pictures want them."""

from __future__ import annotations

from typing import Any

import numpy as np

from thermal.domain import AxisymmetricDomain, Domain, VoxelDomain
from thermal.units import Array, Mask

MM = 1e3  # m -> mm


def box(domain: Domain) -> Array:
    """(3, 2) lower and upper corner of the box around the domain, mm."""
    if isinstance(domain, VoxelDomain):
        return np.array([(axis[0], axis[-1]) for axis in domain.axes]) * MM
    low, high = domain.points.min(axis=0), domain.points.max(axis=0)
    if isinstance(domain, AxisymmetricDomain):
        low, high = np.array([-high[0], -high[0], low[2]]), np.array([high[0], high[0], high[2]])
    return np.stack([low, high], axis=1) * MM


def cell_centres(domain: Domain) -> Array:
    """(m, 3) mm, in the order of the domain's cells; of rings their centres, on the axis."""
    if isinstance(domain, VoxelDomain):
        return np.stack(np.meshgrid(*domain.centres(), indexing="ij"), axis=-1).reshape(-1, 3) * MM
    centres = np.asarray(domain.points[domain.cells].mean(axis=1)) * MM
    return centres * (0.0, 0.0, 1.0) if isinstance(domain, AxisymmetricDomain) else centres


def node_places(domain: Domain) -> Array:
    """(n, 3) mm of the nodes, in the order of nodal fields."""
    if isinstance(domain, VoxelDomain):
        return np.stack(np.meshgrid(*domain.axes, indexing="ij"), axis=-1).reshape(-1, 3) * MM
    return np.asarray(domain.points) * MM


def nodal(domain: Domain, values: Array) -> Array:
    """Nodal values (n,) in the order in which the grid of :func:`grid` has its points."""
    return values.reshape(domain.shape).ravel(order="F") if isinstance(domain, VoxelDomain) else values


def cellwise(domain: Domain, values: Any) -> Any:
    """Cell values (m,) in the order in which the grid of :func:`grid` has its cells."""
    return values.reshape(domain.cell_shape).ravel(order="F") if isinstance(domain, VoxelDomain) else values


def cell_volumes(domain: Domain) -> Array:
    """(m,) m3; zero for cells outside the body."""
    if isinstance(domain, VoxelDomain):
        x, y, z = (np.diff(axis) for axis in domain.axes)
        return np.where(domain.solid, (x[:, None, None] * y[:, None] * z).ravel(), 0.0)
    corners = domain.points[domain.cells]
    if isinstance(domain, AxisymmetricDomain):
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 1]
        return np.asarray(np.pi * np.abs(across) * corners[:, :, 0].mean(axis=1))
    return np.asarray(np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6.0)


def cell_means(domain: Domain, values: Array) -> Array:
    """Mean over the nodes of each cell, (n,) -> (m,)."""
    if not isinstance(domain, VoxelDomain):
        return np.asarray(values[domain.cells].mean(axis=1))
    mean = values.reshape(domain.shape)
    mean = 0.5 * (mean[1:] + mean[:-1])
    mean = 0.5 * (mean[:, 1:] + mean[:, :-1])
    return (0.5 * (mean[:, :, 1:] + mean[:, :, :-1])).ravel()


def body_nodes(domain: Domain) -> Mask:
    """(n,) True at nodes that belong to at least one cell of the body."""
    if not isinstance(domain, VoxelDomain):
        mask = np.zeros(len(domain.points), dtype=bool)
        mask[domain.cells] = True
        return mask
    solid = np.pad(domain.solid.reshape(domain.cell_shape), 1)
    for axis in range(3):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        solid = solid[tuple(here)] | solid[tuple(there)]
    return np.asarray(solid.ravel())


def region_index(domain: Domain) -> tuple[list[str], Any]:
    """Names of the regions, and the index (m,) of the one that has most of each cell; -1 outside the body."""
    names = list(domain.shares)
    cells = len(domain.solid) if isinstance(domain, VoxelDomain) else len(domain.cells)
    index, most = np.full(cells, -1, dtype=np.int16), np.zeros(cells)
    for number, name in enumerate(names):
        larger = domain.shares[name] > most
        index[larger], most[larger] = number, domain.shares[name][larger]
    if isinstance(domain, VoxelDomain):
        index[~domain.solid] = -1
    return names, index
