"""Voxel engine: Q1 with vertex quadrature on a tensor-product grid, matrix-free.

The operator is the 7-point stencil of the design: an M-matrix on any spacing, second order, symmetric under rotations
by 90 degrees. Cells outside the body conduct nothing and hold nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thermal.carriage import Carriage
from thermal.domain import CutEdges, Probe, VoxelDomain
from thermal.engine import Operator, Skeleton, Surface
from thermal.engines import interface, kernels, marching, oblique, photons, probes
from thermal.engines.coefficients import (
    check_amounts,
    check_cells,
    check_coefficient,
    check_diagonal,
    check_field,
    check_tensor,
    check_values,
)
from thermal.engines.elliptic import GraphSolver, on_free_nodes
from thermal.engines.held_border import held_edges
from thermal.engines.linear import Apply
from thermal.engines.multigrid import Multigrid
from thermal.engines.on_demand import OnDemand
from thermal.engines.serial import OneProcess
from thermal.engines.soundness import as_places, check_grid, check_share
from thermal.engines.spectrum import Fronts
from thermal.engines.streams import Streams, VoxelFlow
from thermal.engines.voxel_borders import Borders
from thermal.engines.voxel_heat import VoxelStepper
from thermal.engines.voxel_operator import VoxelOperator, box_laplacian
from thermal.engines.voxel_places import VoxelPlaces
from thermal.errors import unknown
from thermal.flight import Flight, Packets, Turbid
from thermal.heat import HeatProblem, HeatStepper, Precision
from thermal.nodes import region_nodes
from thermal.units import Array, Mask

if TYPE_CHECKING:
    from thermal.engines.voxel_window import VoxelWindow

MOST_CUTS = 6
"""Coefficients of which the edges beside cut voxels are kept, some 10 MB each in a third of a million nodes."""


@dataclass(frozen=True)
class VoxelEngine(OneProcess):
    """See :class:`thermal.engine.Engine`. Nodes and cells are numbered in C order of the grid.

    Raises ``ValueError`` for a domain that is none.
    """

    domain: VoxelDomain

    def __post_init__(self) -> None:
        check_grid(self.domain)

    @cached_property
    def _all_solid(self) -> bool:
        return bool(self.domain.solid.all())

    @property
    def points(self) -> Array:
        """(n, 3) m; made when it is asked for, as it would outweigh three fields."""
        places = np.empty((*self.domain.shape, 3))
        for axis, along in enumerate(np.ix_(*self.domain.axes)):
            places[..., axis] = along
        return places.reshape(-1, 3)

    @property
    def cell_volume(self) -> Array:
        """(m,) m3, zero outside the body; made when it is asked for."""
        hx, hy, hz = self.domain.widths
        volume = (hx[:, None, None] * hy[None, :, None] * hz[None, None, :]).ravel()
        volume *= self.domain.solid
        return np.asarray(volume)

    @cached_property
    def volume(self) -> Array:
        """(n,) lumped volume, m3."""
        return self._gather()

    def let_go(self) -> None:
        """See :meth:`thermal.engine.Engine.let_go`."""
        self.__dict__.pop("volume", None)

    @property
    def _nodes(self) -> int:
        return math.prod(self.domain.shape)

    @property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        return self.domain.shares

    @property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) lumped volume, m3."""
        return OnDemand(tuple(self.domain.shares), self._region_volume)

    def _region_volume(self, name: str) -> Array:
        share = self.domain.shares[name]
        check_share(name, share, len(self.domain.solid))
        return self._gather(share)

    def _gather(self, k: Array | None = None) -> Array:
        """(n,) an eighth of the volume of the cells around each node, times their ``k`` (m,): plane by plane, as few
        things would take as much memory as the products of all cells."""
        hx, hy, hz = self.domain.widths
        solid = self.domain.solid.reshape(self.domain.cell_shape)
        factors = None if k is None else np.asarray(k).reshape(solid.shape)
        nodes = np.zeros(self._nodes)
        planes = nodes.reshape(self.domain.shape)
        for i, width in enumerate(hx):
            if factors is not None and not factors[i].any():
                continue
            part = width * hy[:, None] * hz * solid[i]
            if factors is not None:
                part *= factors[i]
            part *= 0.125
            kernels.add_to_corners(part, planes[i], planes[i + 1])
        return nodes

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Face or ``surface`` -> (n,) lumped area, m2."""
        return Borders(self.domain)

    @cached_property
    def cell_size(self) -> Array:
        """(m,) edge of the cube of equal volume, m; zero outside."""
        return np.cbrt(self.cell_volume)

    @property
    def stencil_edge(self) -> Array:
        """See :attr:`thermal.engine.Engine.stencil_edge`."""
        return self.cell_size

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the window, (3,) m each."""
        low, high = np.array([[axis[0], axis[-1]] for axis in self.domain.axes]).T
        return low, high

    def symmetric(self, probe: Probe) -> bool:
        """True: there is no symmetry to keep."""
        return True

    def orbit(self, at: Array) -> Array:
        """(1, q, 3) the points (q, 3) themselves."""
        return np.asarray(at)[None]

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the window."""
        cells, _ = self._places.locate(as_places(np.asarray(point, dtype=float)))
        return max(float(h[cell[0]]) for h, cell in zip(self.domain.widths, cells, strict=True))

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the window and inside the body, borders included."""
        places = as_places(at)
        within = self._places.in_window(places)
        within[within] = self._places.in_body(places[within])[2]
        return within

    def cut_edges(self, values: Mapping[str, float]) -> CutEdges | None:
        """Edges beside voxels that hold regions of different ``values``; see :mod:`thermal.engines.interface`.

        Found once for the same values: pressure, heat and the next case on this anatomy ask again.
        """
        check_values(values, self.domain.shares)
        key = tuple(sorted(values.items()))
        if key not in self._cuts:
            self._cuts[key] = interface.cut_edges(self.domain, values)
        while len(self._cuts) > MOST_CUTS:
            self._cuts.pop(next(iter(self._cuts)))
        return self._cuts[key]

    @cached_property
    def _cuts(self) -> dict[tuple[tuple[str, float], ...], CutEdges | None]:
        return {}

    def held_edges(self, region: str) -> CutEdges | None:
        """Edges that the border of a held region cuts; see :mod:`thermal.engines.held_border`."""
        if region not in self.domain.shares:
            raise unknown("region", region, self.domain.shares)
        if region not in self._held:
            level = self.domain.levels.get(region)
            self._held[region] = held_edges(self.domain, level, region_nodes(self, region)) if level else None
        return self._held[region]

    @cached_property
    def _held(self) -> dict[str, CutEdges | None]:
        return {}

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> Operator:
        """Operator of the cell coefficient ``k`` (m,), corrected at the edges beside cut cells."""
        check_coefficient(k, len(self.domain.solid), self.domain.solid)
        solid = (k if self._all_solid else np.where(self.domain.solid, k, 0.0)).reshape(self.domain.cell_shape)
        of_edges = kernels.edge_conductances(solid, *self.domain.widths)
        if cuts is not None:
            _, ny, nz = self.domain.shape
            step = cuts.nodes[:, 1] - cuts.nodes[:, 0]
            for g, stride in zip(of_edges, (ny * nz, nz, 1), strict=True):
                along = step == stride
                g[np.unravel_index(cuts.nodes[along, 0], self.domain.shape)] *= cuts.factors[along]
        return VoxelOperator(*of_edges, self.domain.shape)

    def skeleton(self, shear: Array, lame: Array, loose: Sequence[str], sliding: Sequence[str]) -> Skeleton:
        """Raises ``ValueError``: displacements are known on tetrahedra."""
        raise ValueError("displacements are known on tetrahedra alone")

    def tensor_conductance(self, k: Array) -> Operator:
        """Operator of a tensor a cell ``k`` (m, 6): xx, yy, zz, yz, xz, xy; see :mod:`thermal.engines.oblique`."""
        check_tensor(k, len(self.domain.solid), self.domain.solid)
        solid = np.where(self.domain.solid[:, None], k, 0.0)
        along = [
            kernels.edge_conductances(np.ascontiguousarray(solid[:, a]).reshape(self.domain.cell_shape),
                                      *self.domain.widths)[a] for a in range(3)
        ]  # fmt: skip
        return oblique.ObliqueOperator.of(oblique.links(solid, self.domain.widths), (along[0], along[1], along[2]))

    def solver(self, operator: Operator, diagonal: Array, *, fixed: Mask | None = None) -> GraphSolver:
        """Conjugate gradients with multigrid on the free nodes."""
        active = self.volume > 0
        check_diagonal(diagonal, active)
        return GraphSolver.of(operator, diagonal, active, fixed, self._multigrid, _system)

    def _multigrid(self, operator: Operator, diagonal: Array, free: Mask) -> Multigrid:
        assert isinstance(operator, VoxelOperator | oblique.ObliqueOperator)
        along = operator.along if isinstance(operator, VoxelOperator) else operator.main
        return Multigrid(self.domain.axes, along, np.ascontiguousarray(diagonal), free)

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
        return VoxelStepper(self.domain, problem, precision, Fronts.of(self, problem))

    def transport(
        self, operator: Operator, pressure: Array, carriage: Carriage, diffusion: Operator | None = None
    ) -> Streams:
        """See :meth:`thermal.engine.Engine.transport`."""
        assert isinstance(operator, VoxelOperator | oblique.ObliqueOperator)
        assert diffusion is None or isinstance(diffusion, VoxelOperator)
        check_field(pressure, self._nodes)
        flow = VoxelFlow(
            self.domain.axes, pressure, dict(operator.links), {} if diffusion is None else dict(diffusion.links)
        )
        return Streams(carriage, flow.outflow, 0.0, flow.around)

    def trace(self, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
        """See :meth:`thermal.engine.Engine.trace`."""
        return photons.trace(self.domain, turbid, launch, batches, seed)

    def window_nodes(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> int:
        """Number of nodes that :meth:`window` would have."""
        parts = self._parts(lower, upper, spacing, growth)
        return int(np.prod([float(np.sum(along)) + 1.0 for along in parts]))

    def _parts(self, lower: Array, upper: Array, spacing: float, growth: float) -> list[npt.NDArray[np.int64]]:
        """Into how many parts each cell is split, along each axis."""
        if not (0.0 < spacing < np.inf and 1.0 <= growth < np.inf and np.all(np.less_equal(lower, upper))):
            raise ValueError(
                f"no window from {lower} to {upper} m with cells of {spacing:g} m that grow by {growth:g}; give the "
                "lower corner first, a spacing above zero and a growth from one up"
            )
        parts = []
        for axis, low, high in zip(self.domain.axes, lower, upper, strict=True):
            away = np.maximum.reduce([np.zeros(len(axis) - 1), low - axis[1:], axis[:-1] - high])
            count = np.ceil(np.diff(axis) / (spacing + (growth - 1.0) * away) - 1e-9)
            parts.append(np.maximum(count, 1).astype(np.int64))
        return parts

    def window(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> VoxelWindow:
        """Every cell is split into equal parts no larger than ``spacing`` in the box, growing with distance from it."""
        from thermal.engines.voxel_window import VoxelWindow, split  # brings SciPy's matrices, which few runs need

        along = split(self.domain, self._parts(lower, upper, spacing, growth))
        return VoxelWindow(VoxelEngine(along.domain), along.interpolation, along.parents, self.domain.shape)

    def to_cells(self, u: Array) -> Array:
        """Mean of the nodes of each cell, (n,) -> (m,)."""
        check_field(u, self._nodes)
        out = np.empty(self.domain.cell_shape)
        kernels.cell_means(np.asarray(u).reshape(self.domain.shape), out)
        return out.ravel()

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node, (m,) -> (n,)."""
        check_cells(k, len(self.domain.solid))
        mean, volume = self._gather(k), self.volume
        return np.divide(mean, volume, out=mean, where=volume > 0)

    @property
    def _places(self) -> VoxelPlaces:
        return VoxelPlaces(self.domain)

    def interpolation(self, at: Array) -> tuple[npt.NDArray[np.int64], Array]:
        """See :meth:`thermal.engines.voxel_places.VoxelPlaces.interpolation`."""
        return self._places.interpolation(at)

    def deposition(self, at: Array) -> tuple[npt.NDArray[np.int64], Array]:
        """See :meth:`thermal.engines.voxel_places.VoxelPlaces.deposition`."""
        return self._places.deposition(at)

    def sample(self, u: Array, at: Array) -> Array:
        """Trilinear interpolation of nodal ``u`` at points (q, 3). Raises ``ValueError`` outside the window."""
        check_field(u, self._nodes)
        nodes, weights = self.interpolation(as_places(at))
        return np.asarray((np.asarray(u)[nodes] * weights).sum(axis=1))

    def deposit(self, amount: Array, at: Array) -> Array:
        """Adjoint of :meth:`sample`; amounts at points outside the window or the body are dropped."""
        places = as_places(at)
        check_amounts(amount, places)
        nodes, weights = self.deposition(places)
        shared = weights * np.asarray(amount)[:, None]
        return np.asarray(np.bincount(nodes.ravel(), shared.ravel(), minlength=self._nodes), dtype=float)

    def spread(self, probe: Probe) -> tuple[Array, float]:
        """See :meth:`thermal.engine.Engine.spread`."""
        spacing = self.spacing_along(probe)
        nodes = self._places.between(*probes.within_reach(probe, spacing))
        near, resistance = probes.spread(self._places.of_nodes(nodes), self.volume[nodes], spacing, probe)
        return self._scattered(near, nodes), resistance

    def contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.contact`."""
        spacing = self.spacing_along(probe)
        nodes = self._places.between(*probes.within_reach(probe, spacing))
        near = probes.contact(self._places.of_nodes(nodes), self.volume[nodes], spacing, probe)
        return self._scattered(near, nodes)

    def close_contact(self, probe: Probe) -> Array:
        """See :meth:`thermal.engine.Engine.close_contact`."""
        spacing = self.spacing_along(probe)
        nodes = self._places.between(*probes.within_reach(probe, spacing))
        near = probes.close_contact(
            self._places.of_nodes(nodes), self.volume[nodes], spacing, probe, box_laplacian(self.domain, nodes)
        )
        return self._scattered(near, nodes)

    def _scattered(self, values: Array, nodes: npt.NDArray[np.int64]) -> Array:
        """(n,) with values (k,) at nodes (k,), zero elsewhere."""
        out = np.zeros(self._nodes)
        out[nodes] = values
        return out

    def spacing_along(self, probe: Probe) -> Array:
        """(q,) m, the largest edge of the cells that it passes, at places evenly along it."""
        finest = min(float(widths.min()) for widths in self.domain.widths)
        return np.array([self.spacing(point) for point in probes.stations(probe, finest)])

    def inside(self, u: Array, level: float) -> Array:
        """(m,) share of each cell at or above ``level``."""
        check_field(u, self._nodes, level)
        return np.where(self.domain.solid, marching.voxel_inside(self.domain.axes, u, level), 0.0)

    def isosurface(self, u: Array, level: float) -> Surface:
        """Triangles of ``u = level``."""
        check_field(u, self._nodes, level)
        return marching.voxel_surface(self.domain.axes, u, level, self.domain.solid)


def _system(operator: Operator, diagonal: Array, free: Mask) -> Apply:
    """See :data:`thermal.engines.elliptic.System`."""
    if isinstance(operator, VoxelOperator):
        return operator.within(diagonal, free)
    return on_free_nodes(operator, diagonal, free)
