"""Dolfinx engine: the voxel and the mesh scheme on one domain spread over the ranks of an MPI run.

DOLFINx partitions the mesh and carries values between ranks, PETSc preconditions the steady solves; the operator is the
compiled one of the edge list. Every nodal array has the nodes that this rank owns, every cell array the cells that it
owns, in an order of its own: :meth:`DolfinxEngine.gather` puts them into that of the domain. All ranks call the same
methods in the same order; what comes back as a number, or belongs to points rather than nodes, is equal on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from thermal.carriage import Carriage, Transport
from thermal.domain import AxisymmetricDomain, CutEdges, Domain, MeshDomain, Probe, VoxelDomain
from thermal.engine import Operator, Skeleton, Surface
from thermal.engines import petsc, probes
from thermal.engines.coefficients import check_amounts, check_coefficient, check_field
from thermal.engines.distributed_operator import DolfinxOperator
from thermal.engines.distribution import Distribution
from thermal.engines.local_heat import RowStages
from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.parts import GridPart, MeshPart, Part
from thermal.engines.simplices import WholeMesh
from thermal.engines.soundness import as_places
from thermal.engines.spectrum import fastest_mode
from thermal.flight import Flight, Packets, Turbid
from thermal.heat import HeatProblem, HeatStepper, Precision
from thermal.units import Array, Mask

Values = TypeVar("Values", bound=npt.NDArray[Any])
"""An array of numbers or of truth values."""
PARTS: Mapping[type, Callable[..., Any]] = {
    VoxelDomain: GridPart.of,
    MeshDomain: MeshPart.of_tetrahedra,
    AxisymmetricDomain: MeshPart.of_half_plane,
}
"""Kind of domain -> how it is spread over a communicator."""


@dataclass(frozen=True)
class DolfinxEngine:
    """See :class:`thermal.engine.Engine`. Made on every rank of ``comm`` (by default all) from the whole domain."""

    domain: Domain
    comm: Any = None

    def __post_init__(self) -> None:
        _ = self.part  # every rank takes part, so not at first use

    @cached_property
    def part(self) -> Part:
        """What is on this rank."""
        part: Part = PARTS[type(self.domain)](self.domain, self.comm)
        return part

    @property
    def distribution(self) -> Distribution:
        """Where nodes and cells are."""
        return self.part.distribution

    @cached_property
    def points(self) -> Array:
        """(n, 3) m."""
        return self.part.cells.points[: self.distribution.owned]

    @property
    def volume(self) -> Array:
        """(n,) lumped volume, m3; zero at nodes outside the body."""
        return self.part.cells.volume

    @property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) lumped volume, m3."""
        return self.part.cells.volumes

    @property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) lumped area, m2."""
        return self.part.areas

    @property
    def cell_volume(self) -> Array:
        """(m,) m3; zero outside the body."""
        return self.part.cells.cell_volume[: self.distribution.owned_cells]

    @cached_property
    def _solid(self) -> Mask:
        """(m,) whether each cell lies inside the body."""
        return self.cell_volume > 0.0

    @cached_property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        owned = self.distribution.owned_cells
        return MappingProxyType({name: share[:owned] for name, share in self.part.cells.shares.items()})

    @cached_property
    def cell_size(self) -> Array:
        """(m,) edge of the cube, or of the square of a half-plane, as large as each cell, m; zero outside the body."""
        return np.asarray(self.take_cells(self.part.whole.cell_size))

    @property
    def stencil_edge(self) -> Array:
        """See :attr:`thermal.engine.Engine.stencil_edge`."""
        return np.asarray(self.take_cells(self.part.whole.stencil_edge))

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box around the body, (3,) m each."""
        return self.part.whole.bounds

    def symmetric(self, probe: Probe) -> bool:
        """Whether something of this shape keeps the symmetry of the domain."""
        return self.part.whole.symmetric(probe)

    def orbit(self, at: Array) -> Array:
        """(k, q, 3) all that points (q, 3) of the domain stand for."""
        return self.part.whole.orbit(at)

    def total(self, a: Array) -> float:
        """Sum of a nodal or cell array over all ranks."""
        return float(self.distribution.add(np.sum(a)))

    def maximum(self, a: Array) -> float:
        """Largest value on any rank; minus infinity where there is none."""
        return self.distribution.maximum(np.max(a, initial=-np.inf))

    def minimum(self, a: Array) -> float:
        """Smallest value on any rank; infinity where there is none."""
        return self.distribution.minimum(np.min(a, initial=np.inf))

    def gather(self, u: Array) -> Array:
        """A nodal array in the numbering of the domain, on every rank; zero at points that belong to no cell."""
        return self.distribution.gather(u)

    def gather_cells(self, k: Array) -> Array:
        """A cell array in the numbering of the domain, on every rank."""
        return self.distribution.gather_cells(k)

    def take(self, whole: Values) -> Values:
        """This rank's part (n,) of a nodal array in the numbering of the domain."""
        return cast(Values, whole[self.distribution.nodes[: self.distribution.owned]])

    def take_cells(self, whole: Values) -> Values:
        """This rank's part (m,) of a cell array in the numbering of the domain."""
        return cast(Values, whole[self.distribution.cells[: self.distribution.owned_cells]])

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the domain."""
        return self.part.spacing(point)

    def spacing_along(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.spacing_along`."""
        return self.part.spacing_along(probe)

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the body, borders included."""
        return self.part.holds(at)

    def cut_edges(self, values: Mapping[str, float]) -> CutEdges | None:
        """Edges here beside voxels that hold regions of different ``values``, in the numbering of this rank's nodes."""
        found = self.part.whole.cut_edges(values)
        return None if found is None else self.distribution.take_edges(found)

    def held_edges(self, region: str) -> CutEdges | None:
        """Edges here that the border of a held region cuts, in the numbering of this rank's nodes."""
        found = self.part.whole.held_edges(region)
        return None if found is None else self.distribution.take_edges(found)

    def let_go(self) -> None:
        """Nothing: what is kept is needed all along."""

    def ends(self, edges: CutEdges, u: Array) -> Array:
        """Values (e, 2) of a nodal field at the ends of edges."""
        return np.asarray(self.distribution.with_ghosts(u)[edges.nodes])

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> DolfinxOperator:
        """Operator of the cell coefficient ``k`` (m,), corrected at the edges beside cut cells."""
        spread, solid = self.distribution, self._solid
        spread.refuse(lambda k, solid: check_coefficient(k, len(solid), solid), spread.gather_cells, k, solid)
        body = k if solid.all() else np.where(solid, k, 0.0)
        return DolfinxOperator(spread, self.part.cells.conductance(spread.cells_with_ghosts(body), cuts))

    def skeleton(self, shear: Array, lame: Array, loose: Sequence[str], sliding: Sequence[str]) -> Skeleton:
        """Raises ``ValueError``: displacements are known on tetrahedra."""
        raise ValueError("displacements are known on tetrahedra alone")

    def tensor_conductance(self, k: Array) -> DolfinxOperator:
        """Raises ``ValueError``: tensors are known to the serial engines."""
        raise ValueError('a tensor that conducts in directions of its own is known to numerics.engine = "serial" alone')

    def solver(self, operator: Operator, diagonal: Array, *, fixed: Mask | None = None) -> KeptSolver:
        """Conjugate gradients with PETSc's algebraic multigrid, which is made at the first solve and kept."""
        assert isinstance(operator, DolfinxOperator)
        active = self.volume > 0
        petsc.check_system(self.distribution, active, diagonal, {petsc.FIXED: fixed})
        free = petsc.free_nodes(operator.local, diagonal, active, fixed)
        multigrid = petsc.Multigrid(petsc.System(self.distribution, operator.local, diagonal, free))
        return KeptSolver(self, operator, diagonal, fixed, multigrid)

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
        multigrid: petsc.Multigrid | None = None,
    ) -> Array:
        """See :meth:`thermal.engine.Engine.solve`: conjugate gradients with PETSc's algebraic multigrid, which may be
        that of a system near to this one."""
        assert isinstance(operator, DolfinxOperator)
        return petsc.solve(
            self.distribution,
            operator.local,
            diagonal,
            rhs,
            active=self.volume > 0,
            fixed=fixed,
            values=values,
            guess=guess,
            tolerance=tolerance,
            multigrid=multigrid,
        )

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        """See :meth:`thermal.engine.Engine.stepper`; always in double precision."""
        weight = None
        if not isinstance(self.domain, VoxelDomain):
            weight = fastest_mode(self, self.conductance(problem.cells.at_37), problem)
        return OperatorStepper(self, problem, RowStages(self.distribution, self.part.cells, problem), weight)

    def transport(
        self, operator: Operator, pressure: Array, carriage: Carriage, diffusion: Operator | None = None
    ) -> Transport:
        """Refused: each node takes its own small steps, which ranks cannot share.

        Raises ``ValueError``.
        """
        raise ValueError(
            "particles are carried by one process: thermal.engines.shared.SharedEngine does that on the first rank"
        )

    def trace(self, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
        """Raises ``ValueError``: photons are followed by one process."""
        raise ValueError("photons are followed by one process, on the voxel or the mesh engine")

    def window(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> WholeMesh:
        """The domain as it is: it is not refined, whatever is asked for."""
        return WholeMesh(self)

    def window_nodes(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> int:
        """Those of this rank."""
        return len(self.volume)

    def to_cells(self, u: Array) -> Array:
        """Mean of the nodes of each cell, (n,) -> (m,)."""
        spread = self.distribution
        return self.part.cells.to_cells(spread.with_ghosts(u))[: spread.owned_cells]

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (n,)."""
        spread = self.distribution
        return self.part.cells.to_nodes(spread.cells_with_ghosts(k))

    def sample(self, u: Array, at: Array) -> Array:
        """Interpolate nodal ``u`` at points (q, 3), equal on every rank. Raises ``ValueError`` outside the domain."""
        self._check_field(u)
        return self.part.sample(u, as_places(at))

    def deposit(self, amount: Array, at: Array) -> Array:
        """Adjoint of :meth:`sample`; every rank gives all points and gets its own nodes. Drops what is outside."""
        places = as_places(at)
        check_amounts(amount, places)
        return self.part.deposit(amount, places)

    def spread(self, probe: Probe) -> tuple[Array, float]:
        """See :meth:`thermal.engine.Engine.spread`."""
        return probes.spread(self.points, self.volume, self.part.spacing_along(probe), probe, self.distribution.add)

    def contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.contact`."""
        return probes.contact(self.points, self.volume, self.part.spacing_along(probe), probe, self.distribution.add)

    def close_contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.close_contact`."""
        spacing, laplacian = self.part.spacing_along(probe), self.conductance(np.ones(len(self.cell_volume)))
        return probes.close_contact(self.points, self.volume, spacing, probe, laplacian, self.distribution.add)

    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of each cell at or above ``level``."""
        self._check_field(u, level)
        spread = self.distribution
        return self.part.inside(spread.with_ghosts(u), level)[: spread.owned_cells]

    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of ``u = level`` of the whole domain, on every rank."""
        self._check_field(u, level)
        return self.part.whole.isosurface(self.gather(u), level)

    def _check_field(self, u: Array, level: float = 0.0) -> None:
        """Raise ``ValueError`` on every rank unless ``u`` is one number for each node, and for a ``level`` of NaN."""
        spread = self.distribution
        spread.refuse(lambda u, body: check_field(u, len(body), level), spread.gather, u, self.volume > 0.0)


@dataclass(frozen=True)
class KeptSolver:
    """See :class:`thermal.engine.Solver`; all ranks call the same. :meth:`destroy` gives back what PETSc holds."""

    engine: DolfinxEngine
    operator: DolfinxOperator
    diagonal: Array
    fixed: Mask | None
    multigrid: petsc.Multigrid

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """See :meth:`thermal.engine.Solver.solve`."""
        return self.engine.solve(
            self.operator,
            self.diagonal,
            rhs,
            fixed=self.fixed,
            values=values,
            guess=guess,
            tolerance=tolerance,
            multigrid=self.multigrid,
        )

    def adapted(self, operator: Operator, diagonal: Array) -> KeptSolver:
        """See :meth:`thermal.engine.Solver.adapted`."""
        assert isinstance(operator, DolfinxOperator)
        return replace(self, operator=operator, diagonal=diagonal)

    def destroy(self) -> None:
        """Do so on every rank."""
        self.multigrid.destroy()
