"""Axisymmetric engine: P1 on triangles of the (r, z) half-plane, every integral taken over the body they sweep.

The axis is the z axis. Nodes stand at (r, 0, z) and for the ring around it; volumes, areas and conductances carry the
weight 2 pi r, integrated exactly, so ledgers are those of the whole body in W and J. The axis is no border: its nodes
have the little volume around them, and no area.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from types import MappingProxyType

import numpy as np

from thermal.domain import SURFACE, AxisymmetricDomain, Line, Probe, facets, half_plane
from thermal.engine import Surface
from thermal.engines import revolution
from thermal.engines.coefficients import check_field
from thermal.engines.graph import Index
from thermal.engines.on_demand import Named
from thermal.engines.simplices import SimplexEngine
from thermal.engines.soundness import check_boundary, check_mesh
from thermal.units import Array

ON_AXIS = 1e-9
"""m from the axis up to which a device counts as on it."""
IN_PLANE = [0, 2]
"""r and z among the coordinates of a point (r, 0, z)."""


@dataclass(frozen=True)
class AxisymmetricEngine(SimplexEngine):
    """See :class:`thermal.engine.Engine`. Points anywhere in space are turned into the half-plane."""

    domain: AxisymmetricDomain

    @property
    def points(self) -> Array:
        """(n, 3) m, each (r, 0, z)."""
        return self.domain.points

    @cached_property
    def _own_points(self) -> Array:
        return np.ascontiguousarray(self.points[:, IN_PLANE])

    def _own(self, at: Array) -> Array:
        return half_plane(np.atleast_2d(at))[:, IN_PLANE]

    def symmetric(self, probe: Probe) -> bool:
        """Whether a probe lies on the axis, so that it looks the same from all sides."""
        ends = (probe.start, probe.end) if isinstance(probe, Line) else (probe.centre,)
        return all(np.hypot(x, y) <= ON_AXIS for x, y, _ in ends)

    def check_probe(self, probe: Probe) -> None:
        """Raise ``ValueError`` for a probe that does not lie on the axis."""
        if not self.symmetric(probe):
            raise ValueError(
                f"the probe {probe} does not lie on the axis of symmetry (x = 0, y = 0), where alone an axisymmetric "
                "mesh can carry it; put it there or use voxels or tetrahedra"
            )

    def orbit(self, at: Array) -> Array:
        """(4, q, 3) four places on the ring of each point (q, 3): their first and second moments are the ring's."""
        r, z = np.hypot(at[:, 0], at[:, 1]), at[:, 2]
        return np.stack([np.stack([c * r, s * r, z], axis=1) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))])

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box around the swept body, (3,) m each."""
        r, z = self._own_points.T
        return np.array([-r.max(), -r.max(), z.min()]), np.array([r.max(), r.max(), z.max()])

    @property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        return self.domain.shares

    @cached_property
    def _turned(self) -> tuple[Index, Array]:
        """Cells (m, 3) turned counter-clockwise in (r, z), and their areas (m,) m2."""
        check_mesh(self.points, self.domain.cells, 3)
        cells = np.array(self.domain.cells, dtype=np.int64)
        off = np.flatnonzero((self.points[cells, 0] < 0.0) | (self.points[cells, 1] != 0.0))
        if off.size:
            x, y, z = self.points[cells.ravel()[off[0]]]
            raise ValueError(
                f"a node of the half-plane lies at ({x:g}, {y:g}, {z:g}) m, beyond the axis or off the plane; give "
                "each as (r, 0, z) with r >= 0"
            )
        area = 0.5 * _cross(*_sides(self._own_points, cells))
        flat = ~(np.abs(area) > 1e-14 * np.square(_sides(self._own_points, cells)).sum(axis=2).max(axis=0))
        if flat.any():
            raise ValueError(
                f"{int(flat.sum())} of {len(flat)} triangles have no area, or corners that are not finite (the first "
                f"is cell {int(flat.argmax())}); remove or repair them in the mesh generator"
            )
        turned = area < 0
        cells[turned] = cells[turned][:, [0, 2, 1]]
        return cells, np.abs(area)

    @property
    def cells(self) -> Index:
        """(m, 3) nodes, counter-clockwise in (r, z)."""
        return self._turned[0]

    @cached_property
    def _radii(self) -> Array:
        """(m, 3) distance of each corner from the axis, m."""
        return np.asarray(self._own_points[self.cells, 0])

    @cached_property
    def cell_volume(self) -> Array:
        """(m,) m3 that each triangle sweeps: 2 pi times its area times the radius of its centroid (Pappus)."""
        return np.asarray(2.0 * np.pi * self._turned[1] * self._radii.mean(axis=1))

    @cached_property
    def cell_size(self) -> Array:
        """(m,) edge of the square of equal area, m."""
        return np.sqrt(self._turned[1])

    @property
    def stencil_edge(self) -> Array:
        """See :attr:`thermal.engine.Engine.stencil_edge`."""
        return np.sqrt(2.0 * self._turned[1])

    def apart(self) -> Array:
        """The longest edge: on the axis kernels meet nodes on one side alone, and that shorter reach leaves 2 %."""
        return self._longest(self.cells)

    @cached_property
    def corner_shares(self) -> Array:
        """(m, 3) the integral of r times each hat function over that of r: ``(r_a + sum r) / (4 sum r)``."""
        total = self._radii.sum(axis=1, keepdims=True)
        return np.asarray((self._radii + total) / (4.0 * total))

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) lumped area of the surface that its segments sweep, m2; always with ``surface``."""
        named = dict(self.domain.boundaries)
        if SURFACE not in named:
            named[SURFACE] = facets(self.cells).outer
        areas = {}
        for name, segments in named.items():
            check_boundary(name, segments, 2, len(self.points))
            ends = self._own_points[segments]
            length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
            first, second = ends[:, 0, 0], ends[:, 1, 0]
            lumped = np.stack([2.0 * first + second, first + 2.0 * second], axis=1) * length[:, None]
            areas[name] = self._sum(segments, np.pi / 3.0 * lumped)
        return MappingProxyType(Named("boundary", areas))

    def edge_factors(self) -> Array:
        """``-V grad_a . grad_b`` with the swept volume V."""
        (r1, z1), (r2, z2) = (side.T for side in _sides(self._own_points, self.cells))
        twice = 2.0 * self._turned[1]
        gradients = [np.stack([z2, -r2]) / twice, np.stack([-z1, r1]) / twice]
        gradients.insert(0, -gradients[0] - gradients[1])
        products = [(gradients[i] * gradients[j]).sum(axis=0) for i, j in combinations(range(3), 2)]
        return np.asarray(-np.stack(products, axis=1) * self.cell_volume[:, None])

    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of the volume that each triangle sweeps at or above ``level``."""
        check_field(u, len(self.points), level)
        return revolution.swept_inside(self._own_points, self.cells, u, level)

    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of the surface that the line ``u = level`` sweeps."""
        check_field(u, len(self.points), level)
        return revolution.revolve(*revolution.contour(self._own_points, self.cells, u, level))


def _sides(points: Array, cells: Index) -> tuple[Array, Array]:
    """Vectors (m, 2) from the first corner of each triangle to the others."""
    a, b, c = points[cells[:, 0]], points[cells[:, 1]], points[cells[:, 2]]
    return b - a, c - a


def _cross(a: Array, b: Array) -> Array:
    """(m,) third component of the product of vectors (m, 2)."""
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
