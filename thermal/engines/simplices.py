"""P1 on simplices with lumped volumes: what tetrahedra and axisymmetric triangles share.

Of the stiffness matrix only the edge conductances are kept, as one sparse map from cell coefficients to edges, so an
operator for new coefficients costs one pass over it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numba as nb
import numpy as np
import scipy.sparse as sparse

from thermal.carriage import Carriage
from thermal.domain import CutEdges, Probe
from thermal.engine import Engine, Operator, Skeleton, Surface
from thermal.engines import probes
from thermal.engines.aggregation import v_cycle
from thermal.engines.coefficients import (
    check_amounts,
    check_cells,
    check_coefficient,
    check_diagonal,
    check_field,
)
from thermal.engines.compiled import compiled, compiled_serial
from thermal.engines.elliptic import GraphSolver
from thermal.engines.graph import Graph, GraphOperator, Index, Unsigned, graph_streams
from thermal.engines.linear import Apply
from thermal.engines.locate import Locator
from thermal.engines.mesh_edges import EdgeMap, number_edges
from thermal.engines.on_demand import Named
from thermal.engines.row_heat import RowStepper
from thermal.engines.serial import OneProcess
from thermal.engines.soundness import as_places, check_share
from thermal.engines.streams import Streams
from thermal.flight import Flight, Packets, Turbid
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
        check_field(u, len(self.engine.volume))
        return u.copy()

    def cells_to_fine(self, k: Array) -> Array:
        """A copy, (m,) -> (m,)."""
        check_cells(k, len(self.engine.cell_volume))
        return k.copy()

    def restrict(self, amount: Array) -> Array:
        """A copy, (n,) -> (n,)."""
        check_field(amount, len(self.engine.volume))
        return amount.copy()


@dataclass(frozen=True)
class SimplexEngine(OneProcess, ABC):
    """See :class:`thermal.engine.Engine`. Cells have one node more than the space they fill has dimensions."""

    @property
    @abstractmethod
    def points(self) -> Array:
        """(n, 3) m."""

    @property
    @abstractmethod
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""

    @property
    @abstractmethod
    def cells(self) -> Index:
        """(m, corners) nodes, all turned the same way."""

    @property
    @abstractmethod
    def cell_volume(self) -> Array:
        """(m,) m3."""

    @property
    @abstractmethod
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) lumped area, m2; always with ``surface``, the whole outer border."""

    @property
    @abstractmethod
    def corner_shares(self) -> Array:
        """(m, corners), or something that broadcasts to it: part of each cell's volume that belongs to each node."""

    @abstractmethod
    def edge_factors(self) -> Array:
        """(m, edges) m: minus the integral of ``grad_a . grad_b`` over each cell, edges as in combinations of nodes."""

    @property
    @abstractmethod
    def _own_points(self) -> Array:
        """(n, d) coordinates in the space that the cells fill, m."""

    @abstractmethod
    def _own(self, at: Array) -> Array:
        """Points (q, 3) in that space, (q, d)."""

    @abstractmethod
    def apart(self) -> Array:
        """(m,) m, how far the nodes of each cell are apart, as the kernels of probes see them."""

    @abstractmethod
    def check_probe(self, probe: Probe) -> None:
        """Raise ``ValueError`` for a probe that the mesh cannot carry."""

    @property
    @abstractmethod
    def cell_size(self) -> Array:
        """(m,) edge of a cube, or of a square of a half-plane, as large as each cell, m."""

    @property
    @abstractmethod
    def stencil_edge(self) -> Array:
        """See :attr:`thermal.engine.Engine.stencil_edge`."""

    @property
    @abstractmethod
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box around the body, (3,) m each."""

    @abstractmethod
    def symmetric(self, probe: Probe) -> bool:
        """Whether something of this shape keeps the symmetry of the domain."""

    @abstractmethod
    def orbit(self, at: Array) -> Array:
        """(k, q, 3) all that points (q, 3) of the domain stand for."""

    @abstractmethod
    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of each cell at or above ``level``."""

    @abstractmethod
    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of ``u = level``."""

    def _gather(self, amount: Array) -> Array:
        """Each cell's amount (m,) shared among its nodes, (n,)."""
        out = np.zeros(len(self.points))
        _hand_out(self.cells, self.corner_shares, np.ascontiguousarray(amount, dtype=float), out)
        return out

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
        for name, share in self.shares.items():
            check_share(name, share, len(self.cells))
        found = {name: self._gather(share * self.cell_volume) for name, share in self.shares.items()}
        return MappingProxyType(Named("region", found))

    @cached_property
    def _numbered(self) -> tuple[Index, Unsigned]:
        return number_edges(self.cells, len(self.points))

    @cached_property
    def graph(self) -> Graph:
        """Edges of the mesh."""
        return Graph(self._numbered[0], len(self.points), self.cells.shape[1])

    @cached_property
    def _edge_map(self) -> EdgeMap:
        edges, of_cell = self._numbered
        return EdgeMap.of(of_cell, self.edge_factors(), len(edges))

    @cached_property
    def _locator(self) -> Locator:
        return Locator(self._own_points, self.cells)

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the mesh."""
        cell, _ = self._find(np.asarray(point, dtype=float)[None, :])
        return float(self._longest(self.cells[cell])[0])

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie in the mesh, its surface included."""
        return self._locator.find(self._own(as_places(at)))[2]

    def cut_edges(self, values: Mapping[str, float]) -> None:
        """None: interfaces lie between cells."""

    def held_edges(self, region: str) -> None:
        """None: borders of regions lie between cells."""

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> GraphOperator:
        """Operator of the cell coefficient ``k`` (m,); no cell is cut."""
        assert cuts is None
        check_coefficient(k, len(self.cells))
        return GraphOperator(self.graph, self._edge_map(k))

    def skeleton(self, shear: Array, lame: Array, loose: Sequence[str], sliding: Sequence[str]) -> Skeleton:
        """Raises ``ValueError``: displacements are known on tetrahedra."""
        raise ValueError("displacements are known on tetrahedra alone")

    def tensor_conductance(self, k: Array) -> GraphOperator:
        """Raises ``ValueError``: tensors are known on voxels and tetrahedra."""
        raise ValueError("a tensor that conducts in directions of its own is known on voxels and tetrahedra alone")

    def solver(self, operator: Operator, diagonal: Array, *, fixed: Mask | None = None) -> GraphSolver:
        """Conjugate gradients with smoothed aggregation (pyamg) on the free nodes."""
        active = self.volume > 0
        check_diagonal(diagonal, active)
        return GraphSolver.of(operator, diagonal, active, fixed, _multigrid)

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
        """See :meth:`thermal.engine.Engine.solve`."""
        solver = self.solver(operator, diagonal, fixed=fixed)
        return solver.solve(rhs, values=values, guess=guess, tolerance=tolerance)

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        """See :meth:`thermal.engine.Engine.stepper`."""
        return RowStepper(self, self.graph, problem, precision)

    def transport(
        self, operator: Operator, pressure: Array, carriage: Carriage, diffusion: Operator | None = None
    ) -> Streams:
        """See :meth:`thermal.engine.Engine.transport`."""
        assert isinstance(operator, GraphOperator)
        assert diffusion is None or isinstance(diffusion, GraphOperator)
        check_field(pressure, len(self.points))
        return graph_streams(operator, pressure, self.points, carriage, diffusion)

    def trace(self, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
        """Raises ``ValueError``: photons are followed through voxels and tetrahedra."""
        raise ValueError("photons are followed through voxels and tetrahedra, not through an axisymmetric mesh")

    def window(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> WholeMesh:
        """The mesh as it is: meshes are not refined, whatever is asked for."""
        return WholeMesh(self)

    def window_nodes(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> int:
        """Those of the mesh."""
        return len(self.volume)

    def to_cells(self, u: Array) -> Array:
        """Mean over each cell of the field that is linear between nodes, (n,) -> (m,)."""
        check_field(u, len(self.points))
        out = np.empty(len(self.cells))
        _means(self.cells, self.corner_shares, np.ascontiguousarray(u, dtype=float), out)
        return out

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (n,)."""
        check_cells(k, len(self.cells))
        volume = self.volume
        return np.divide(self._gather(k * self.cell_volume), volume, out=np.zeros_like(volume), where=volume > 0)

    def _find(self, at: Array) -> tuple[Index, Array]:
        places = as_places(at)
        cell, weights, found = self._locator.find(self._own(places))
        if not found.all():
            x, y, z = 1e3 * places[~found][0]
            raise ValueError(f"the point ({x:.4g}, {y:.4g}, {z:.4g}) mm lies outside the mesh")
        return cell, weights

    def sample(self, u: Array, at: Array) -> Array:
        """Linear interpolation of nodal ``u`` at points (q, 3). Raises ``ValueError`` outside the mesh."""
        check_field(u, len(self.points))
        cell, weights = self._find(at)
        return np.asarray((np.asarray(u)[self.cells[cell]] * weights).sum(axis=1))

    def deposit(self, amount: Array, at: Array) -> Array:
        """Adjoint of :meth:`sample`; amounts at points outside the mesh are dropped."""
        places = as_places(at)
        check_amounts(amount, places)
        cell, weights, found = self._locator.find(self._own(places))
        shared = weights * (np.asarray(amount, dtype=float) * found)[:, None]
        return self._sum(self.cells[cell], shared)

    def spread(self, probe: Probe) -> tuple[Array, float]:
        """See :meth:`thermal.engine.Engine.spread`."""
        self.check_probe(probe)
        return probes.spread(self.points, self.volume, self.spacing_along(probe), probe)

    def contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.contact`."""
        self.check_probe(probe)
        return probes.contact(self.points, self.volume, self.spacing_along(probe), probe)

    def close_contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.close_contact`."""
        self.check_probe(probe)
        laplacian = self.conductance(np.ones(len(self.cells)))
        return probes.close_contact(self.points, self.volume, self.spacing_along(probe), probe, laplacian)

    @cached_property
    def _apart_at_nodes(self) -> Array:
        """(n,) m, the mean of that around each node: kernels are spread over many cells."""
        return self.to_nodes(self.apart())

    def spacing_along(self, probe: Probe) -> Array:
        """(q,) m, how far nodes are apart at places evenly along it; outside the mesh that of the nearest inside."""
        at = np.array(probes.stations(probe, float(self.cell_size.min())))
        cell, weights, found = self._locator.find(self._own(at))
        return probes.everywhere((self._apart_at_nodes[self.cells[cell]] * weights).sum(axis=1), found, probe)

    def _longest(self, cells: Index) -> Array:
        """Longest edge of each of ``cells`` (q, corners), m."""
        corners = self.points[cells]
        return np.asarray(np.linalg.norm(corners[:, :, None] - corners[:, None, :], axis=3).max(axis=(1, 2)))


def _multigrid(operator: Operator, diagonal: Array, free: Mask) -> Apply | None:
    """One V-cycle of smoothed aggregation on the free nodes; None where the diagonal does as well."""
    assert isinstance(operator, GraphOperator)
    if not free.any() or np.all(operator.diagonal[free] <= STRONG_DIAGONAL * diagonal[free]):
        return None
    found = operator.matrix(diagonal)[free][:, free]
    narrow = (found.data, found.indices.astype(np.int32), found.indptr.astype(np.int32))  # pyamg knows no wider ones
    cycle = v_cycle(sparse.csr_matrix(narrow, found.shape))

    def precondition(residual: Array) -> Array:
        out = np.zeros_like(residual)
        out[free] = cycle(residual[free])
        return out

    return precondition


@compiled
def _means(cells: Index, shares: Array, u: Array, out: Array) -> None:
    """``out`` (m,) sum over the corners of each cell of ``shares u``; ``shares`` (m, corners), or one row for all."""
    one = len(shares) == 1
    for cell in nb.prange(len(out)):
        own = nb.uint64(0 if one else cell)
        mean = 0.0
        for corner in range(nb.uint64(cells.shape[1])):
            mean += shares[own, corner] * u[nb.uint64(cells[cell, corner])]
        out[cell] = mean


@compiled_serial
def _hand_out(cells: Index, shares: Array, amount: Array, out: Array) -> None:
    """Add each cell's ``amount`` (m,) to ``out`` (n,) at its corners, by ``shares`` (m, corners) or one row of them."""
    one = len(shares) == 1
    for cell in range(len(amount)):
        for corner in range(cells.shape[1]):
            out[cells[cell, corner]] += amount[cell] * shares[0 if one else cell, corner]
