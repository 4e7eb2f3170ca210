"""What one rank holds of a domain that is spread over several: its cells with a ring of ghosts, and where points lie.

Two kinds, of a voxel grid and of a mesh of tetrahedra or of triangles. Every method is called on every rank and gives
the same answer on all, but for nodal arrays, of which each rank has its part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from thermal.domain import AxisymmetricDomain, MeshDomain, Probe, VoxelDomain
from thermal.engine import Engine
from thermal.engines import probes
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.distribution import Distribution, distribute
from thermal.engines.local_rows import LocalCells, Measures, boxes
from thermal.engines.marching import KUHN, tetrahedra_inside, voxel_corners
from thermal.engines.mesh import MeshEngine
from thermal.engines.on_demand import Named
from thermal.engines.simplices import SimplexEngine
from thermal.engines.voxel import VoxelEngine
from thermal.units import Array, Mask


class Part(Protocol):
    """One rank's part of a domain."""

    @property
    def distribution(self) -> Distribution:
        """Where everything is."""
        ...

    @property
    def cells(self) -> LocalCells:
        """Operators and volumes of the cells that are here."""
        ...

    @property
    def whole(self) -> Engine:
        """The serial engine of the whole domain, for what is done once at the end."""
        ...

    @property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (owned,) lumped area, m2."""
        ...

    def sample(self, u: Array, at: Array) -> Array:
        """Interpolate nodal ``u`` (owned,) at points (q, 3). Raises ``ValueError`` for points outside the domain."""
        ...

    def deposit(self, amount: Array, at: Array) -> Array:
        """Share amounts (q,) at points (q, 3) among the nodes, (owned,); those outside the body are dropped."""
        ...

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the body."""
        ...

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m."""
        ...

    def spacing_along(self, probe: Probe) -> Array:
        """(q,) m, how far nodes are apart at places evenly along a probe. Raises ``ValueError`` for one that the domain
        cannot carry."""
        ...

    def inside(self, u: Array, level: float) -> Array:
        """(c,) share of each cell here at or above ``level``, of ``u`` (n,) with ghosts."""
        ...


@dataclass(frozen=True)
class GridPart:
    """Part of a voxel grid. Where points lie is arithmetic on the axes, which every rank has."""

    whole: VoxelEngine
    distribution: Distribution

    @classmethod
    def of(cls, domain: VoxelDomain, comm: Any) -> GridPart:
        """Spread a grid over the ranks of ``comm``."""
        points = np.stack([a.ravel() for a in np.meshgrid(*domain.axes, indexing="ij")], axis=1)
        corners = voxel_corners(domain.shape, np.arange(len(domain.solid)))
        return cls(VoxelEngine(domain), distribute(points, corners, comm))

    @cached_property
    def cells(self) -> LocalCells:
        """The voxels that are here."""
        domain, spread = self.whole.domain, self.distribution
        place = np.unravel_index(spread.nodes, domain.shape)
        points = np.stack([axis[index] for axis, index in zip(domain.axes, place, strict=True)], axis=1)
        shares = MappingProxyType({name: share[spread.cells] for name, share in domain.shares.items()})
        measures = boxes(points[spread.corners], domain.solid[spread.cells])
        return LocalCells(points, spread.owned, spread.corners, shares, measures)

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Face or ``surface`` -> (owned,) lumped area, m2."""
        mine = self.distribution.nodes[: self.distribution.owned]
        areas = VoxelEngine(self.whole.domain).areas
        return MappingProxyType(Named("boundary", {name: area[mine] for name, area in areas.items()}))

    def sample(self, u: Array, at: Array) -> Array:
        """Trilinear interpolation; raises ``ValueError`` outside the window."""
        nodes, weights = self.whole.interpolation(at)
        place = self.distribution.places[nodes]
        return np.asarray(self.distribution.add(np.sum(np.where(place >= 0, u[place] * weights, 0.0), axis=1)))

    def deposit(self, amount: Array, at: Array) -> Array:
        """Adjoint of :meth:`sample`; each rank picks its own nodes."""
        nodes, weights = self.whole.deposition(at)
        place = self.distribution.places[nodes]
        shared = np.where(place >= 0, weights * np.asarray(amount, dtype=float)[:, None], 0.0)
        return np.bincount(np.maximum(place, 0).ravel(), shared.ravel(), self.distribution.owned).astype(float)

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the body."""
        return self.whole.holds(at)

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m."""
        return self.whole.spacing(point)

    def spacing_along(self, probe: Probe) -> Array:
        """(q,) m, the largest edge of the cells that a probe passes, at places evenly along it."""
        return self.whole.spacing_along(probe)

    def inside(self, u: Array, level: float) -> Array:
        """(c,) share of each voxel here at or above ``level``, cut into tetrahedra."""
        tetrahedra = self.distribution.corners[:, KUHN]
        share = tetrahedra_inside(tetrahedra.reshape(-1, 4), u, level).reshape(len(tetrahedra), -1).mean(axis=1)
        return np.where(self.cells.cell_volume > 0.0, share, 0.0)


@dataclass(frozen=True)
class MeshPart:
    """Part of a mesh of tetrahedra, or of triangles of a half-plane.

    Each rank looks for points in its cells; the first that finds one tells all.
    """

    whole: MeshEngine | AxisymmetricEngine
    distribution: Distribution
    make: Callable[..., SimplexEngine]
    """the serial engine of points, cells, shares and boundaries"""

    @classmethod
    def of_tetrahedra(cls, domain: MeshDomain, comm: Any) -> MeshPart:
        """Spread tetrahedra over the ranks of ``comm``. Raises ``ValueError`` for cells without volume."""
        whole = MeshEngine(domain)
        return cls(whole, distribute(whole.points, whole.cells, comm), lambda *given: MeshEngine(MeshDomain(*given)))

    @classmethod
    def of_half_plane(cls, domain: AxisymmetricDomain, comm: Any) -> MeshPart:
        """Spread triangles over the ranks of ``comm``. Raises ``ValueError`` for cells without area."""
        whole = AxisymmetricEngine(domain)
        spread = distribute(whole.points, whole.cells, comm)
        return cls(whole, spread, lambda *given: AxisymmetricEngine(AxisymmetricDomain(*given)))

    @cached_property
    def cells(self) -> LocalCells:
        """The cells that are here."""
        near = self._near
        measures = Measures(near.cell_volume, near.edge_factors(), near.corner_shares)
        return LocalCells(near.points, self.distribution.owned, near.cells, near.shares, measures)

    @cached_property
    def _near(self) -> SimplexEngine:
        """A serial engine of the cells that are here."""
        domain, spread = self.whole.domain, self.distribution
        local = np.full(spread.size, -1, dtype=np.int64)
        local[spread.nodes] = np.arange(len(spread.nodes))
        boundaries = {}
        for name, facets in domain.boundaries.items():
            here = local[facets]
            boundaries[name] = here[(here >= 0).all(axis=1) & (here < spread.owned).any(axis=1)]
        shares = MappingProxyType({name: share[spread.cells] for name, share in domain.shares.items()})
        return self.make(domain.points[spread.nodes], spread.corners, shares, boundaries)

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (owned,) lumped area, m2; all faces around an owned node are here."""
        owned = self.distribution.owned
        return MappingProxyType(Named("boundary", {name: area[:owned] for name, area in self._near.areas.items()}))

    def _finders(self, at: Array) -> tuple[Mask, Mask]:
        """Whether points (q, 3) lie in the mesh, and whether this rank answers for them: the first that has them."""
        spread = self.distribution
        found = np.array(spread.comm.allgather(self._near.holds(np.atleast_2d(np.asarray(at, dtype=float)))))
        held = np.asarray(found.any(axis=0))
        return held, held & (found.argmax(axis=0) == spread.comm.rank)

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie in the mesh, its surface included."""
        return self._finders(at)[0]

    def sample(self, u: Array, at: Array) -> Array:
        """Linear interpolation; raises ``ValueError`` outside the mesh."""
        held, mine = self._finders(at)
        if not held.all():
            raise _outside(np.atleast_2d(at)[~held][0])
        values = np.zeros(len(held))
        values[mine] = self._near.sample(self.distribution.with_ghosts(u), np.atleast_2d(at)[mine])
        return np.asarray(self.distribution.add(values))

    def deposit(self, amount: Array, at: Array) -> Array:
        """Adjoint of :meth:`sample`; amounts at points outside the mesh are dropped."""
        _, mine = self._finders(at)
        given = np.asarray(amount, dtype=float)[mine]
        return self.distribution.to_owners(self._near.deposit(given, np.atleast_2d(at)[mine]))

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the mesh."""
        held, mine = self._finders(np.array([point]))
        if not held.any():
            raise _outside(np.array(point))
        return float(self.distribution.add(np.array([self._near.spacing(point) if mine.any() else 0.0]))[0])

    def spacing_along(self, probe: Probe) -> Array:
        """(q,) m, see :meth:`thermal.engines.simplices.SimplexEngine.spacing_along`."""
        self._near.check_probe(probe)
        finest = self.distribution.minimum(float(np.min(self._near.cell_size, initial=np.inf)))
        at = np.array(probes.stations(probe, finest))
        held, mine = self._finders(at)
        gaps = np.zeros(len(at))
        around = self.distribution.with_ghosts(self.cells.to_nodes(self._near.apart()))
        if mine.any():
            gaps[mine] = self._near.sample(around, at[mine])
        return probes.everywhere(np.asarray(self.distribution.add(gaps)), held, probe)

    def inside(self, u: Array, level: float) -> Array:
        """(c,) share of each cell here at or above ``level``."""
        return self._near.inside(u, level)


def _outside(point: Array) -> ValueError:
    """What to say of a point (3,) m that no rank has."""
    x, y, z = 1e3 * point
    return ValueError(f"the point ({x:.4g}, {y:.4g}, {z:.4g}) mm lies outside the mesh")
