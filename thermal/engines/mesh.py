"""Mesh engine: P1 on tetrahedra with lumped volumes, for unstructured meshes with named regions and boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numba as nb
import numpy as np

from thermal.domain import SURFACE, MeshDomain, Probe, facets
from thermal.engine import Skeleton, Surface
from thermal.engines import marching, probes, tetra_photons
from thermal.engines.coefficients import check_coefficient, check_field, check_tensor
from thermal.engines.compiled import compiled
from thermal.engines.graph import GraphOperator, Index
from thermal.engines.on_demand import Named
from thermal.engines.simplices import SimplexEngine
from thermal.engines.soundness import check_boundary, check_mesh
from thermal.flight import Flight, Packets, Turbid
from thermal.units import Array


@dataclass(frozen=True)
class MeshEngine(SimplexEngine):
    """See :class:`thermal.engine.Engine`. Raises ``ValueError`` for cells without volume at first use."""

    domain: MeshDomain

    @property
    def points(self) -> Array:
        """(n, 3) m."""
        return self.domain.points

    @property
    def _own_points(self) -> Array:
        return self.domain.points

    def _own(self, at: Array) -> Array:
        return np.asarray(at, dtype=float)

    def check_probe(self, probe: Probe) -> None:
        """A probe may lie anywhere."""

    def symmetric(self, probe: Probe) -> bool:
        """True: there is no symmetry to keep."""
        return True

    def orbit(self, at: Array) -> Array:
        """(1, q, 3) the points (q, 3) themselves."""
        return np.asarray(at)[None]

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box around the nodes, (3,) m each."""
        return self.points.min(axis=0), self.points.max(axis=0)

    @property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        return self.domain.shares

    @cached_property
    def _turned(self) -> tuple[Index, Array]:
        """Cells (m, 4) turned so that every tetrahedron is positively oriented, and their volumes (m,) m3."""
        check_mesh(self.points, self.domain.cells, 4)
        cells = np.array(self.domain.cells, dtype=np.int64)
        volume, longest = np.empty(len(cells)), np.empty(len(cells))
        _turn(self.points, cells, volume, longest)
        flat = ~(volume > 1e-14 * longest**3)
        if flat.any():
            raise ValueError(
                f"{int(flat.sum())} of {len(flat)} tetrahedra have no volume, or corners that are not finite (the "
                f"first is cell {int(flat.argmax())}); remove or repair them in the mesh generator"
            )
        return cells, volume

    @property
    def cells(self) -> Index:
        """(m, 4) nodes, turned so that every tetrahedron is positively oriented."""
        return self._turned[0]

    @property
    def cell_volume(self) -> Array:
        """(m,) m3."""
        return self._turned[1]

    @cached_property
    def cell_size(self) -> Array:
        """(m,) edge of the cube of equal volume, m."""
        return np.cbrt(self.cell_volume)

    @property
    def stencil_edge(self) -> Array:
        """See :attr:`thermal.engine.Engine.stencil_edge`."""
        return np.cbrt(6.0 * self.cell_volume)

    def apart(self) -> Array:
        """(m,) m, see :func:`thermal.engines.probes.gaps`."""
        return probes.gaps(self.points, self.cells)

    @property
    def corner_shares(self) -> Array:
        """(1, 4) a quarter each."""
        return np.full((1, 4), 0.25)

    @cached_property
    def mesh(self) -> Any:
        """The same mesh as a ``skfem.MeshTet``."""
        import skfem  # slow to import, and heat needs none of it

        return skfem.MeshTet(
            np.ascontiguousarray(self.points.T), np.ascontiguousarray(self.cells.T), validate=False, sort_t=False
        )

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) lumped area, m2; always with ``surface``, the whole outer border."""
        named = dict(self.domain.boundaries)
        if SURFACE not in named:
            named[SURFACE] = facets(self.cells).outer
        areas = {}
        for name, triangles in named.items():
            check_boundary(name, triangles, 3, len(self.points))
            a, b, c = (self.points[triangles[:, corner]] for corner in range(3))
            third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6.0
            areas[name] = self._sum(triangles, np.repeat(third, 3))
        return MappingProxyType(Named("boundary", areas))

    def edge_factors(self) -> Array:
        """(m, 6) m, ``-V grad_a . grad_b``."""
        factors = np.empty((len(self.cells), 6))
        _stiffness(self.points, self.cells, np.array([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]), factors)
        return factors

    def trace(self, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
        """See :meth:`thermal.engine.Engine.trace`."""
        return tetra_photons.trace(self.domain, self.cells, turbid, launch, batches, seed)

    def skeleton(self, shear: Array, lame: Array, loose: Sequence[str], sliding: Sequence[str]) -> Skeleton:
        """See :meth:`thermal.engine.Engine.skeleton`."""
        from thermal.engines.skeleton import MeshSkeleton  # by way of scikit-fem, which is slow to import

        check_coefficient(shear, len(self.cells))
        check_coefficient(lame, len(self.cells))
        borders = dict(self.domain.boundaries)
        borders.setdefault(SURFACE, facets(self.cells).outer)
        _, of_cell = self._numbered
        stored = np.repeat(self.cell_volume / (16.0 * (lame + 2.0 * shear)), 6)
        within = GraphOperator(self.graph, np.bincount(of_cell.ravel(), stored, len(self.graph.edges)).astype(float))
        return MeshSkeleton.of(self, self.mesh, (shear, lame), within, borders, loose, sliding)

    def tensor_conductance(self, k: Array) -> GraphOperator:
        """Operator of a tensor a cell ``k`` (m, 6): xx, yy, zz, yz, xz, xy, by the linear fields of each cell.

        Cells that are not Delaunay in the metric of the tensor give negative conductances, as poor cells do.
        """
        check_tensor(k, len(self.cells))
        factors = np.empty((len(self.cells), 6))
        _stiffness(self.points, self.cells, np.ascontiguousarray(k), factors)
        _, of_cell = self._numbered
        conductance = np.bincount(of_cell.ravel(), factors.ravel(), len(self.graph.edges)).astype(float)
        return GraphOperator(self.graph, conductance)

    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of each cell at or above ``level``."""
        check_field(u, len(self.points), level)
        return marching.tetrahedra_inside(self.cells, u, level)

    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of ``u = level``."""
        check_field(u, len(self.points), level)
        inside = (np.asarray(u) >= level)[self.cells]
        cut = self.cells[inside.any(axis=1) & ~inside.all(axis=1)]
        return marching.tetrahedra_surface(self.points, marching.turned_alike(cut), u, level)


@compiled
def _turn(points: Array, cells: Index, volume: Array, longest: Array) -> None:
    """Turn each tetrahedron so that it is positively oriented; its volume, and the longest edge at its first corner."""
    for cell in nb.prange(len(cells)):
        side = np.empty((3, 3))
        longest[cell] = 0.0
        for corner in range(3):
            square = 0.0
            for axis in range(3):
                side[corner, axis] = points[cells[cell, corner + 1], axis] - points[cells[cell, 0], axis]
                square += side[corner, axis] ** 2
            longest[cell] = max(longest[cell], np.sqrt(square))
        triple = 0.0
        for axis in range(3):
            after, last = (axis + 1) % 3, (axis + 2) % 3
            triple += side[0, axis] * (side[1, after] * side[2, last] - side[1, last] * side[2, after])
        volume[cell] = abs(triple) / 6.0
        if triple < 0.0:
            cells[cell, 2], cells[cell, 3] = cells[cell, 3], cells[cell, 2]


@compiled
def _stiffness(points: Array, cells: Index, k: Array, factors: Array) -> None:
    """``-V grad_a . K grad_b`` of the six edges; gradients are normals of faces over three times the volume.

    ``k``: xx, yy, zz, yz, xz, xy of each cell, or one row for all.
    """
    one = len(k) == 1
    for cell in nb.prange(len(cells)):
        t = k[nb.uint64(0 if one else cell)]
        side, normal = np.empty((3, 3)), np.zeros((4, 3))
        for corner in range(3):
            for axis in range(3):
                side[corner, axis] = points[cells[cell, corner + 1], axis] - points[cells[cell, 0], axis]
        triple = 0.0
        for axis in range(3):
            after, last = (axis + 1) % 3, (axis + 2) % 3
            for corner in range(3):
                b, c = side[(corner + 1) % 3], side[(corner + 2) % 3]
                normal[corner + 1, axis] = b[after] * c[last] - b[last] * c[after]
                normal[0, axis] -= normal[corner + 1, axis]
            triple += side[0, axis] * normal[1, axis]
        edge = 0
        for i in range(3):
            for j in range(i + 1, 4):
                a, b = normal[i], normal[j]
                product = t[0] * a[0] * b[0] + t[1] * a[1] * b[1] + t[2] * a[2] * b[2]
                product += t[3] * (a[1] * b[2] + a[2] * b[1]) + t[4] * (a[0] * b[2] + a[2] * b[0])
                product += t[5] * (a[0] * b[1] + a[1] * b[0])
                factors[cell, edge] = -product / (6.0 * triple)
                edge += 1
