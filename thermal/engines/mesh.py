"""Mesh engine: P1 on tetrahedra with lumped volumes, for unstructured meshes with named regions and boundaries.

The geometry (facets, edges, gradients) is scikit-fem's. Of the stiffness matrix only the edge conductances are kept,
as one sparse map from cell coefficients to edges, so an operator for new coefficients costs one product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pyamg
import scipy.sparse as sparse
import skfem

from thermal.domain import SURFACE, MeshDomain, Probe
from thermal.engine import Engine, Operator, Surface
from thermal.engines import marching, probes
from thermal.engines.elliptic import solve_graph
from thermal.engines.graph import Graph, GraphOperator, GraphTransport, Index
from thermal.engines.linear import Apply
from thermal.engines.locate import Locator
from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.serial import OneProcess
from thermal.heat import HeatProblem, HeatStepper, Precision
from thermal.units import Array, Mask

STRONG_DIAGONAL = 10.0
"""Where no row has conductances above this many times its added diagonal, the diagonal alone preconditions well."""


@dataclass
class WholeMesh:
    """The mesh itself as its window: a mesh is not refined here; bring one that is fine where it matters."""

    engine: Engine

    def to_fine(self, u: Array) -> Array:
        """A copy, (n,) -> (n,)."""
        return u.copy()

    def cells_to_fine(self, k: Array) -> Array:
        """A copy, (m,) -> (m,)."""
        return k.copy()

    def restrict(self, amount: Array) -> Array:
        """A copy, (n,) -> (n,)."""
        return amount.copy()


@dataclass(frozen=True)
class MeshEngine(OneProcess):
    """See :class:`thermal.engine.Engine`. Raises ``ValueError`` for cells without volume at first use."""

    domain: MeshDomain

    @property
    def points(self) -> Array:
        """(n, 3) m."""
        return self.domain.points

    @property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        return self.domain.shares

    @cached_property
    def cells(self) -> Index:
        """(m, 4) nodes, turned so that every tetrahedron is positively oriented."""
        corners = self.points[self.domain.cells]
        sides = corners[:, 1:] - corners[:, :1]
        volume = np.linalg.det(sides) / 6.0
        flat = np.abs(volume) <= 1e-14 * np.linalg.norm(sides, axis=2).max(axis=1) ** 3
        if flat.any():
            raise ValueError(
                f"{int(flat.sum())} of {len(flat)} tetrahedra have no volume (the first is cell {int(flat.argmax())}); "
                "remove or repair them in the mesh generator"
            )
        cells = np.array(self.domain.cells, dtype=np.int64)
        turned = volume < 0
        cells[turned] = cells[turned][:, [0, 1, 3, 2]]
        return cells

    @cached_property
    def mesh(self) -> Any:
        """The same mesh as a ``skfem.MeshTet``."""
        return skfem.MeshTet(
            np.ascontiguousarray(self.points.T), np.ascontiguousarray(self.cells.T), validate=False, sort_t=False
        )

    @cached_property
    def _gradients(self) -> Array:
        """(m, 4, 3) gradients of the barycentric coordinates, 1/m."""
        basis = skfem.Basis(self.mesh, skfem.ElementTetP1(), intorder=1)
        return np.stack([np.asarray(basis.basis[a][0].grad)[:, :, 0].T for a in range(4)], axis=1)

    @cached_property
    def cell_volume(self) -> Array:
        """(m,) m3."""
        corners = self.points[self.cells]
        return np.asarray(np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6.0)

    def _gather(self, amount: Array) -> Array:
        """A quarter of each cell's amount (m,) to each of its nodes, (n,)."""
        return self._sum(self.cells, np.repeat(0.25 * amount, 4))

    def _sum(self, nodes: Index, amounts: Array) -> Array:
        """Sum of ``amounts`` at each node, (n,)."""
        return np.bincount(nodes.ravel(), amounts.ravel(), len(self.points)).astype(float)

    @cached_property
    def volume(self) -> Array:
        """(n,) lumped volume, m3; zero at points that belong to no cell."""
        return self._gather(self.cell_volume)

    @cached_property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) lumped volume, m3."""
        volume = self.cell_volume
        return MappingProxyType({name: self._gather(share * volume) for name, share in self.shares.items()})

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) lumped area, m2; always with ``surface``, the whole outer border."""
        facets = {SURFACE: self.mesh.facets[:, self.mesh.boundary_facets()].T, **self.domain.boundaries}
        areas = {}
        for name, triangles in facets.items():
            a, b, c = (self.points[triangles[:, corner]] for corner in range(3))
            third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6.0
            areas[name] = self._sum(triangles, np.repeat(third, 3))
        return MappingProxyType(areas)

    @cached_property
    def graph(self) -> Graph:
        """Edges of the mesh."""
        return Graph(np.ascontiguousarray(self.mesh.edges.T.astype(np.int64)), len(self.points))

    @cached_property
    def _edge_map(self) -> Any:
        """(e, m) sparse: conductance of each edge for unit coefficient in each cell, ``-V grad_a . grad_b``, in m."""
        first, second = np.transpose(self.mesh.elem.refdom.edges)
        gradients = self._gradients
        factors = -np.einsum("mei,mei->em", gradients[:, first], gradients[:, second]) * self.cell_volume
        cells = np.broadcast_to(np.arange(factors.shape[1]), factors.shape)
        shape = (len(self.graph.edges), factors.shape[1])
        return sparse.csr_array((factors.ravel(), (self.mesh.t2e.ravel(), cells.ravel())), shape=shape)

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self.points[self.cells], self._gradients)

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the mesh."""
        cell, _ = self._find(np.asarray(point, dtype=float)[None, :])
        return float(self._longest(cell)[0])

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie in the mesh, its surface included."""
        return self._locator.find(at)[2]

    def conductance(self, k: Array) -> GraphOperator:
        """Operator of the cell coefficient ``k`` (m,)."""
        return GraphOperator(self.graph, self._edge_map @ np.asarray(k, dtype=float))

    def solve(
        self,
        operator: Operator,
        diagonal: Array,
        rhs: Array,
        *,
        fixed: Mask | None = None,
        values: Array | None = None,
        guess: Array | None = None,
        tolerance: float = 1e-9,
    ) -> Array:
        """See :meth:`thermal.engine.Engine.solve`: conjugate gradients with smoothed aggregation (pyamg)."""
        assert isinstance(operator, GraphOperator)
        active = self.volume > 0
        free = active if fixed is None else active & ~fixed
        return solve_graph(
            operator,
            diagonal,
            rhs,
            active=active,
            fixed=fixed,
            values=values,
            guess=guess,
            tolerance=tolerance,
            precondition=_multigrid(operator, diagonal, free & (operator.diagonal + diagonal > 0)),
        )

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        """See :meth:`thermal.engine.Engine.stepper`."""
        return OperatorStepper(self, problem)

    def transport(self, operator: Operator, pressure: Array) -> GraphTransport:
        """Transport by the edge fluxes ``G_ij (p_i - p_j)``; look at its ``uphill_share``."""
        assert isinstance(operator, GraphOperator)
        return GraphTransport.of(operator, pressure)

    def window(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> WholeMesh:
        """The mesh as it is: meshes are not refined, whatever is asked for."""
        return WholeMesh(self)

    def to_cells(self, u: Array) -> Array:
        """Mean of the four nodes of each cell, (n,) -> (m,)."""
        a, b, c, d = self.cells.T
        return np.asarray(0.25 * (u[a] + u[b] + u[c] + u[d]))

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (n,)."""
        volume = self.volume
        return np.divide(self._gather(k * self.cell_volume), volume, out=np.zeros_like(volume), where=volume > 0)

    def _find(self, at: Array) -> tuple[Index, Array]:
        cell, weights, found = self._locator.find(at)
        if not found.all():
            x, y, z = 1e3 * np.atleast_2d(at)[~found][0]
            raise ValueError(f"the point ({x:.4g}, {y:.4g}, {z:.4g}) mm lies outside the mesh")
        return cell, weights

    def sample(self, u: Array, at: Array) -> Array:
        """Linear interpolation of nodal ``u`` at points (q, 3). Raises ``ValueError`` outside the mesh."""
        cell, weights = self._find(at)
        return np.asarray((u[self.cells[cell]] * weights).sum(axis=1))

    def deposit(self, amount: Array, at: Array) -> Array:
        """Adjoint of :meth:`sample`; amounts at points outside the mesh are dropped."""
        cell, weights, found = self._locator.find(at)
        shared = weights * (np.asarray(amount, dtype=float) * found)[:, None]
        return self._sum(self.cells[cell], shared)

    def spread(self, probe: Probe) -> tuple[Array, float]:
        """See :meth:`thermal.engine.Engine.spread`."""
        return probes.spread(self.points, self.volume, self._spacing_along(probe), probe)

    def contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.contact`."""
        return probes.contact(self.points, self.volume, self._spacing_along(probe), probe)

    def _spacing_along(self, probe: Probe) -> float:
        """Largest edge of the cells along a probe, m; only the part of it in the mesh counts."""
        cell, _, found = self._locator.find(np.array(probes.stations(probe)))
        if not found.any():
            raise ValueError(f"the probe {probe} lies outside the mesh")
        return float(self._longest(cell[found]).max())

    def _longest(self, cell: Index) -> Array:
        """Longest edge of each ``cell`` (q,), m."""
        corners = self.points[self.cells[cell]]
        return np.asarray(np.linalg.norm(corners[:, :, None] - corners[:, None, :], axis=3).max(axis=(1, 2)))

    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of each cell at or above ``level``."""
        return marching.tetrahedra_inside(self.cells, u, level)

    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of ``u = level``."""
        return marching.tetrahedra_surface(self.points, self.cells, u, level)


def _multigrid(operator: GraphOperator, diagonal: Array, free: Mask) -> Apply | None:
    """One V-cycle of smoothed aggregation on the free nodes; None where the diagonal does as well."""
    if not free.any() or np.all(operator.diagonal[free] <= STRONG_DIAGONAL * diagonal[free]):
        return None
    matrix = operator.matrix(diagonal)[free][:, free]
    cycle = pyamg.smoothed_aggregation_solver(sparse.csr_matrix(matrix)).aspreconditioner(cycle="V")

    def precondition(residual: Array) -> Array:
        out = np.zeros_like(residual)
        out[free] = cycle.matvec(residual[free])
        return out

    return precondition
