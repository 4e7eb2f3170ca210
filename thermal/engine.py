"""The contract between physics and space.

Physics sees arrays at nodes ``(n,)`` and cells ``(m,)``; an engine provides geometry, the conductance operator, solves
and sums. Every operator is the graph equation ``V du/dt = sum_j G_ij (u_j - u_i)`` of the lumped scheme, so sums over
nodes telescope and ledgers close to round-off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from thermal.carriage import Carriage, Transport
from thermal.domain import CutEdges, Probe
from thermal.flight import Flight, Packets, Turbid
from thermal.heat import HeatProblem, HeatStepper, Precision
from thermal.units import Array, Mask


class NotConvergedError(RuntimeError):
    """A linear or nonlinear solve missed its tolerance; the message says what to do."""


@dataclass(frozen=True)
class Surface:
    """Triangles of an isosurface: ``points`` (p, 3) m, ``triangles`` (t, 3) indices into points."""

    points: Array
    triangles: npt.NDArray[np.int64]


class Operator(Protocol):
    """Symmetric conductance matrix K of a cell coefficient; ``K @ 1 = 0`` and off-diagonals are ``-G_ij``."""

    @property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node."""
        ...

    @property
    def bound(self) -> Array:
        """(n,) b with ``u . K u <= sum b u^2``: bounds the spectrum for explicit steps."""
        ...

    def __call__(self, u: Array) -> Array:
        """K u, (n,) -> (n,)."""
        ...

    def dissipation(self, u: Array) -> Array:
        """(n,) half of ``G_ij (u_i - u_j)^2`` summed over the edges of each node; the total equals ``u . K u``."""
        ...


class Solver(Protocol):
    """Solves of one system ``(K + diag) u = rhs`` with the same fixed nodes; what can be prepared, is."""

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """u (n,) with ``u = values`` (zero by default) at the fixed nodes; see :meth:`Engine.solve`."""
        ...

    def adapted(self, operator: Operator, diagonal: Array) -> Solver:
        """The solver of changed coefficients, with what was prepared for the present ones.

        Solutions meet the same tolerance. The iterations grow with the root of largest over smallest change: a new
        solver is better where some coefficients have changed by a factor and others not.
        """
        ...


class Skeleton(Protocol):
    """The elastic skeleton of tissue: how it gives way to the pressure of the fluid in its pores.

    Displacements are those under a pore pressure (n,) Pa, none being zero pressure; an opaque array of the engine.
    """

    def displaced(self, pressure: Array) -> Array:
        """The displacements in equilibrium with a pressure (n,)."""
        ...

    def taken_up(self, pressure: Array) -> Array:
        """(n,) m3 by which the pores around each node have grown under a pressure (n,)."""
        ...

    def strain(self, displacement: Array) -> Array:
        """(m,) relative growth of each cell."""
        ...

    def at_nodes(self, displacement: Array) -> Array:
        """(n, 3) m."""
        ...

    def solver(
        self, operator: Operator, diagonal: Array, weight: float, near: Array, fixed: Mask
    ) -> Callable[[Array, float], Array]:
        """Prepare solves of ``(K + diag(diagonal)) p + weight taken_up(p) = rhs`` by ``rhs`` (n,) and a tolerance of
        the residual, relative; p is zero where ``fixed``. ``near`` (n,) is about what the last term would be if each
        node gave way alone."""
        ...


class Window(Protocol):
    """A finer engine over a part of the domain, with transfers between both."""

    engine: Engine

    def to_fine(self, u: Array) -> Array:
        """Interpolate a coarse nodal field, (n,) -> (nf,)."""
        ...

    def cells_to_fine(self, k: Array) -> Array:
        """Inject a coarse cell field, (m,) -> (mf,)."""
        ...

    def restrict(self, amount: Array) -> Array:
        """Hand nodal amounts (W, kg) back to the coarse nodes, (nf,) -> (n,); the total is conserved to round-off."""
        ...


class Engine(Protocol):
    """Geometry, operators and solves of one discretised anatomy."""

    def total(self, a: Array) -> float:
        """Sum of an array over all nodes (cells, or whatever it belongs to), on every process."""
        ...

    def maximum(self, a: Array) -> float:
        """Largest value of an array over all nodes; minus infinity of an empty one."""
        ...

    def minimum(self, a: Array) -> float:
        """Smallest value of an array over all nodes; infinity of an empty one."""
        ...

    @property
    def points(self) -> Array:
        """(n, 3) node coordinates, m; an engine that runs on several processes has here, and in every nodal array, the
        nodes of its own process."""
        ...

    @property
    def volume(self) -> Array:
        """(n,) lumped volume, m3; zero at nodes outside the body."""
        ...

    def let_go(self) -> None:
        """Forget arrays that can be made again: a march needs the memory."""
        ...

    @property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) lumped volume of that region, m3."""
        ...

    @property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) lumped area, m2: the six faces of a window, ``surface``, or the named faces of a mesh."""
        ...

    @property
    def cell_volume(self) -> Array:
        """(m,) cell volumes, m3; zero for cells outside the body."""
        ...

    @property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        ...

    @property
    def cell_size(self) -> Array:
        """(m,) m, edge of a cube (where the domain is axisymmetric: a square) as large as each cell; zero outside."""
        ...

    @property
    def stencil_edge(self) -> Array:
        """(m,) m, edge of the cubes on which differences err as on these cells: a tetrahedron is a sixth of one, a
        triangle half a square; zero outside."""
        ...

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box around the domain, (3,) m each."""
        ...

    def symmetric(self, probe: Probe) -> bool:
        """Whether something of this shape keeps the symmetry of the domain: always in three dimensions, and on the
        axis of an axisymmetric domain."""
        ...

    def orbit(self, at: Array) -> Array:
        """(k, q, 3) all that points (q, 3) of the domain stand for, evenly: themselves in three dimensions, places on
        the ring around the axis of an axisymmetric domain."""
        ...

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the domain."""
        ...

    def spacing_along(self, probe: Probe) -> Array:
        """(q,) m, the spacing of the nodes as the kernel of a thin probe meets it, at places evenly along it."""
        ...

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the window and inside the body, borders included."""
        ...

    def cut_edges(self, values: Mapping[str, float]) -> CutEdges | None:
        """Edges of the grid beside cells that hold regions of different ``values`` (> 0); None where there are none,
        as on every mesh, whose cells belong to one region each."""
        ...

    def held_edges(self, region: str) -> CutEdges | None:
        """Edges between the nodes that stand for a ``region`` (see :func:`region_nodes`) and others, when the region is
        held at a value; None where its border is not known to lie elsewhere than at these nodes, as on every mesh."""
        ...

    def ends(self, edges: CutEdges, u: Array) -> Array:
        """Values (e, 2) of a nodal field at the ends of edges that this engine named."""
        ...

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> Operator:
        """Operator of the cell coefficient ``k`` (m,), the mean of the shares in cells that hold several regions;
        ``cuts`` says how much more or less the edges beside them conduct. Raises ``ValueError`` where one is negative,
        infinite or NaN."""
        ...

    def tensor_conductance(self, k: Array) -> Operator:
        """Operator of a tensor a cell, ``k`` (m, 6): xx, yy, zz, yz, xz, xy.

        Raises ``ValueError`` on an engine that knows no tensors, and for one it cannot take.
        """
        ...

    def skeleton(self, shear: Array, lame: Array, loose: Sequence[str], sliding: Sequence[str]) -> Skeleton:
        """The skeleton of shear moduli and first Lame constants (m,) Pa of the cells.

        The outer surface is held, but where a boundary is ``loose`` or ``sliding``. Raises ``ValueError`` on engines
        that know no displacement, and for boundaries that are unknown or cannot slide.
        """
        ...

    def solver(self, operator: Operator, diagonal: Array, *, fixed: Mask | None = None) -> Solver:
        """Prepare solves of ``(K + diag(diagonal)) u = rhs`` with prescribed values where ``fixed``."""
        ...

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
        """Solve ``(K + diag(diagonal)) u = rhs`` with ``u = values`` where ``fixed``, once; see :meth:`solver`.

        Raises ``NotConvergedError``; ``tolerance`` is on the residual relative to the right-hand side. Parts of the
        body that nothing connects with a prescribed value or a positive diagonal get the solution of zero mean, each by
        itself; sources that do not balance there raise ``NotConvergedError``. A load on a node that conducts nothing,
        takes up nothing and has no prescribed value raises ``ValueError``: it would be lost.
        """
        ...

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        """The bioheat equation on this engine, to be marched in time; ``precision`` of the increments within a step.

        An engine without kernels in single precision works in double precision, whatever is asked for.
        """
        ...

    def transport(
        self, operator: Operator, pressure: Array, carriage: Carriage, diffusion: Operator | None = None
    ) -> Transport:
        """Transport by the edge fluxes of a Darcy solve; ``diffusion`` is the conductance of porosity times
        diffusivity.

        Where an engine runs on several processes, the first one carries the particles.
        """
        ...

    def trace(self, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
        """Fly ``batches`` of photon packets, the packets of each from ``launch(number)``, all alike in number.

        The same on any number of threads. Raises ``ValueError`` on an engine that cannot.
        """
        ...

    def window(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> Window:
        """A finer engine with cells no larger than ``spacing`` in the box (lower, upper), growing outside it."""
        ...

    def window_nodes(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> int:
        """Number of nodes that :meth:`window` would have, before it takes any memory."""
        ...

    def to_cells(self, u: Array) -> Array:
        """Mean of the nodes of each cell, (n,) -> (m,)."""
        ...

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (n,)."""
        ...

    def sample(self, u: Array, at: Array) -> Array:
        """Interpolate nodal ``u`` (n,) at points (q, 3). Raises ``ValueError`` for points outside the domain."""
        ...

    def deposit(self, amount: Array, at: Array) -> Array:
        """Share amounts (q,) at points (q, 3) among the nodes, (n,); adjoint of :meth:`sample`, conserves the total.

        Points outside the body (see :meth:`holds`) are dropped: their amount is lost.
        """
        ...

    def spread(self, probe: Probe) -> tuple[Array, float]:
        """Weights (n,) that sum to one and hand a prescribed flow to the nodes around a thin probe, and the sub-grid
        resistance in 1/m: value at the probe's wall = weights . u + flow * resistance / k."""
        ...

    def contact(self, probe: Probe) -> Array:
        """Sub-grid shape factor (n,) in m of a thin probe: flow into node i = k_i * factor_i * (u_probe - u_i)."""
        ...

    def close_contact(self, probe: Probe) -> Array:
        """(n,) m, the same for what happens close to the probe, as ice does: most of it at the nodes nearest to it."""
        ...

    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of each cell where nodal ``u`` is at or above ``level`` (linear interpolation)."""
        ...

    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of ``u = level``."""
        ...


def inner(a: Array, b: Array) -> float:
    """Sum of ``a_i b_i`` of two nodal arrays.

    Not by BLAS: its threads gain nothing on so little work, and wait for each other where cores are shared.
    """
    return float(np.einsum("i,i", a, b))
