"""What one rank holds of a domain that is spread over several: its cells with a ring of ghosts, as a serial engine.

Two kinds, of a voxel grid and of a tetrahedral mesh. Both say where points lie in the numbering of the whole domain, so
that every rank gets the same answer. Methods that look at the mesh take part on every rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from thermal.domain import MeshDomain, Probe, VoxelDomain
from thermal.engine import Engine
from thermal.engines import probes
from thermal.engines.boxes import Boxes
from thermal.engines.distribution import Distribution, Index, distribute
from thermal.engines.graph import GraphOperator
from thermal.engines.marching import voxel_corners
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.units import Array, Mask


class Cells(Protocol):
    """The scheme on the cells of one rank, ghosts included; as in :class:`thermal.engine.Engine`, without ranks."""

    @property
    def points(self) -> Array:
        """(n, 3) m."""
        ...

    @property
    def tetrahedra(self) -> Index:
        """(m, t, 4) nodes of the tetrahedra that each cell is made of, or cut into."""
        ...

    @property
    def cell_volume(self) -> Array:
        """(m,) m3."""
        ...

    @property
    def shares(self) -> Mapping[str, Array]:
        """Region -> (m,) share of each cell."""
        ...

    @property
    def volume(self) -> Array:
        """(n,) lumped volume, m3; right at owned nodes, like all that is summed up at nodes."""
        ...

    @property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) lumped volume, m3."""
        ...

    def conductance(self, k: Array) -> GraphOperator:
        """Operator of the cell coefficient ``k``."""
        ...

    def to_cells(self, u: Array) -> Array:
        """Mean of the nodes of each cell."""
        ...

    def to_nodes(self, k: Array) -> Array:
        """Volume-weighted mean of the cells around each node."""
        ...


class Part(Protocol):
    """One rank's part of a domain."""

    @property
    def distribution(self) -> Distribution:
        """Where everything is."""
        ...

    @property
    def cells(self) -> Cells:
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

    def interpolation(self, at: Array) -> tuple[Index, Array]:
        """Nodes of the domain (q, k) and weights (q, k) of points (q, 3). Raises ``ValueError`` outside."""
        ...

    def deposition(self, at: Array) -> tuple[Index, Array]:
        """As :meth:`interpolation`, without weight outside the body; any points will do."""
        ...

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the body."""
        ...

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m."""
        ...

    def spacing_along(self, probe: Probe) -> float:
        """Largest edge of the cells along a probe, m."""
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
    def cells(self) -> Boxes:
        """The voxels that are here."""
        domain, here = self.whole.domain, self.distribution.cells
        place = np.unravel_index(self.distribution.nodes, domain.shape)
        points = np.stack([axis[index] for axis, index in zip(domain.axes, place, strict=True)], axis=1)
        shares = {name: share[here] for name, share in domain.shares.items()}
        return Boxes(points, self.distribution.corners, MappingProxyType(shares), domain.solid[here])

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Face or ``surface`` -> (owned,) lumped area, m2."""
        mine = self.distribution.nodes[: self.distribution.owned]
        return MappingProxyType({name: area[mine] for name, area in VoxelEngine(self.whole.domain).areas.items()})

    def interpolation(self, at: Array) -> tuple[Index, Array]:
        """Nodes of the grid (q, 8) and weights (q, 8)."""
        return self.whole.interpolation(at)

    def deposition(self, at: Array) -> tuple[Index, Array]:
        """The same, without weight outside the body."""
        return self.whole.deposition(at)

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie inside the body."""
        return self.whole.holds(at)

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m."""
        return self.whole.spacing(point)

    def spacing_along(self, probe: Probe) -> float:
        """Largest edge of the cells along a probe, m."""
        return self.whole.spacing_along(probe)


@dataclass(frozen=True)
class MeshPart:
    """Part of a tetrahedral mesh. Each rank looks for points in its cells; the first that finds one tells all."""

    whole: MeshEngine
    distribution: Distribution

    @classmethod
    def of(cls, domain: MeshDomain, comm: Any) -> MeshPart:
        """Spread a mesh over the ranks of ``comm``. Raises ``ValueError`` for cells without volume."""
        whole = MeshEngine(domain)
        return cls(whole, distribute(domain.points, whole.cells, comm))

    @cached_property
    def cells(self) -> MeshEngine:
        """The tetrahedra that are here."""
        domain, spread = self.whole.domain, self.distribution
        local = np.full(spread.size, -1, dtype=np.int64)
        local[spread.nodes] = np.arange(len(spread.nodes))
        boundaries = {}
        for name, triangles in domain.boundaries.items():
            here = local[triangles]
            boundaries[name] = here[(here >= 0).all(axis=1) & (here < spread.owned).any(axis=1)]
        shares = {name: share[spread.cells] for name, share in domain.shares.items()}
        return MeshEngine(MeshDomain(domain.points[spread.nodes], spread.corners, shares, boundaries))

    @cached_property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (owned,) lumped area, m2; all faces around an owned node are here."""
        return MappingProxyType({name: area[: self.distribution.owned] for name, area in self.cells.areas.items()})

    def _find(self, at: Array) -> tuple[Index, Array, Array, Mask]:
        """Nodes of the mesh (q, 4), weights (q, 4), largest edge of the cell (q,) m, and whether it was found (q,)."""
        spread = self.distribution
        at = np.atleast_2d(np.asarray(at, dtype=float))
        cell, weights, found = self.cells.locator.find(at)
        finders = np.array(spread.comm.allgather(found))
        mine = found & (finders.argmax(axis=0) == spread.comm.rank)
        nodes = np.where(mine[:, None], spread.nodes[self.cells.cells[cell]], 0)
        longest = np.where(mine, self.cells.longest(cell), 0.0)
        told = spread.add(np.column_stack([nodes, np.where(mine[:, None], weights, 0.0), longest]))
        return told[:, :4].astype(np.int64), told[:, 4:8], told[:, 8], np.asarray(finders.any(axis=0))

    def interpolation(self, at: Array) -> tuple[Index, Array]:
        """Nodes of the mesh (q, 4) and weights (q, 4). Raises ``ValueError`` outside the mesh."""
        nodes, weights, _, found = self._find(at)
        if not found.all():
            x, y, z = 1e3 * np.atleast_2d(at)[~found][0]
            raise ValueError(f"the point ({x:.4g}, {y:.4g}, {z:.4g}) mm lies outside the mesh")
        return nodes, weights

    def deposition(self, at: Array) -> tuple[Index, Array]:
        """The same, without weight outside the mesh."""
        nodes, weights, _, _ = self._find(at)
        return nodes, weights

    def holds(self, at: Array) -> Mask:
        """(q,) whether points (q, 3) lie in the mesh, its surface included."""
        return self._find(at)[3]

    def spacing(self, point: tuple[float, float, float]) -> float:
        """Largest edge of the cell at ``point``, m. Raises ``ValueError`` outside the mesh."""
        return float(self._longest(np.array([point]), f"the point {point}"))

    def spacing_along(self, probe: Probe) -> float:
        """Largest edge of the cells along a probe, m; only the part of it in the mesh counts."""
        return self._longest(np.array(probes.stations(probe)), f"the probe {probe}")

    def _longest(self, at: Array, what: str) -> float:
        _, _, longest, found = self._find(at)
        if not found.any():
            raise ValueError(f"{what} lies outside the mesh")
        return float(longest[found].max())
