"""A domain spread over the ranks of an MPI run: which nodes and cells are here, who else needs them, sums over all.

DOLFINx makes the mesh, partitions it and carries values between ranks. Besides its own cells each rank keeps a copy
(ghosts) of every cell that touches one of its nodes, so that all which belongs to an owned node is summed up where the
node is: ghosts are brought up to date before, and nothing is sent back after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse
from mpi4py import MPI

# isort: split
# the libraries of DOLFINx and PETSc find MPI only after mpi4py has loaded it
import basix.ufl
import dolfinx
from petsc4py import PETSc

from thermal.domain import CutEdges
from thermal.engine import NotConvergedError
from thermal.units import Array, Mask

__all__ = ["MPI", "Distribution", "PETSc", "distribute"]

Index = npt.NDArray[np.int64]
"""An array of indices."""

KINDS = {
    3: ("triangle", [0, 1, 2]),
    4: ("tetrahedron", [0, 1, 2, 3]),
    8: ("hexahedron", [0, 4, 2, 6, 1, 5, 3, 7]),
}
"""Number of corners -> what Basix calls such a cell, and in which order it takes them."""


@dataclass(frozen=True)
class Distribution:
    """Nodes and cells of one rank: first those that it owns, then its ghosts.

    ``nodes``, ``cells``: their numbers in the domain. ``corners`` (c, k): local nodes of each local cell, in the order
    of the domain's own list. ``size``, ``cell_count``: nodes and cells of the whole domain. ``mesh``: the
    ``dolfinx.mesh.Mesh`` whose geometry and topology are numbered in the same way.
    """

    mesh: Any
    nodes: Index
    cells: Index
    corners: Index
    size: int
    cell_count: int

    @property
    def comm(self) -> Any:
        """The communicator of all ranks."""
        return self.mesh.comm

    @property
    def node_map(self) -> Any:
        """``dolfinx.common.IndexMap`` of the nodes."""
        return self.mesh.geometry.index_map()

    @property
    def cell_map(self) -> Any:
        """``dolfinx.common.IndexMap`` of the cells."""
        return self.mesh.topology.index_map(self.mesh.topology.dim)

    @cached_property
    def owned(self) -> int:
        """Number of nodes that this rank owns."""
        return int(self.node_map.size_local)

    @cached_property
    def owned_cells(self) -> int:
        """Number of cells that this rank owns."""
        return int(self.cell_map.size_local)

    @cached_property
    def in_cells(self) -> Index:
        """Points of the domain that belong to a cell, on any rank."""
        return np.sort(self._node_order[1])

    @cached_property
    def places(self) -> Index:
        """(size,) where each node of the domain is among those that this rank owns; -1 for those of others."""
        places = np.full(self.size, -1, dtype=np.int64)
        places[self.nodes[: self.owned]] = np.arange(self.owned)
        return places

    def take_edges(self, whole: CutEdges) -> CutEdges:
        """Those edges (in the numbering of the domain) that end at a node of this rank, in its own numbering."""
        places = np.full(self.size, -1, dtype=np.int64)
        places[self.nodes] = np.arange(len(self.nodes))
        ends = np.sort(places[whole.nodes], axis=1)
        here = np.flatnonzero((ends[:, 0] >= 0) & (ends[:, 0] < self.owned))
        here = here[np.lexsort(ends[here].T[::-1])]
        return CutEdges(ends[here], whole.factors[here])

    def vector(self) -> Any:
        """A ``dolfinx.la.Vector`` of all local nodes, zero; ``scatter_forward`` brings its ghosts up to date."""
        return dolfinx.la.vector(self.node_map, 1)

    @cached_property
    def _node_buffer(self) -> Any:
        return self.vector()

    @cached_property
    def _cell_buffer(self) -> Any:
        return dolfinx.la.vector(self.cell_map, 1)

    def with_ghosts(self, u: Array) -> Array:
        """Values at the owned nodes, followed by those that other ranks have at the ghosts. Valid until the next call.

        Takes part on every rank. Raises ``ValueError`` for another number of values.
        """
        return _spread(self._node_buffer, self.owned, u)

    def to_owners(self, amount: Array) -> Array:
        """Add what each rank has at its nodes, ghosts included (n,), up at the ranks that own them, (owned,)."""
        everything = self._node_buffer.array
        everything[:] = amount
        self._node_buffer.scatter_reverse(dolfinx.la.InsertMode.add)
        return np.array(everything[: self.owned])

    def cells_with_ghosts(self, k: Array) -> Array:
        """The same for cells."""
        return _spread(self._cell_buffer, self.owned_cells, k)

    def add(self, part: Any) -> Any:
        """Sum over the ranks of a number or of an array of the same shape everywhere; equal on all to the last bit."""
        return np.sum(self._all(part), axis=0)

    def maximum(self, part: float) -> float:
        """Largest over the ranks."""
        return float(np.max(self._all(part)))

    def minimum(self, part: float) -> float:
        """Smallest over the ranks."""
        return float(np.min(self._all(part)))

    def refuse(self, check: Callable[..., None], gather: Callable[[Array], Array], *parts: Array | Mask) -> None:
        """Raise on every rank what ``check`` raises for what is here of some arrays, if it does so on any.

        What a process alone would say: ``check`` is asked of the whole arrays then, which ``gather`` puts together of
        the ``parts``. Where parts do not fit each other, what the first rank with such parts says.
        """
        said, fit = "", True
        try:
            check(*parts)
        except (ValueError, NotConvergedError) as error:
            said, fit = str(error), len({np.shape(part) for part in parts}) == 1
        if not self.add(float(bool(said))):
            return
        if self.add(float(not fit)):
            raise ValueError(next(words for words in self.comm.allgather("" if fit else said) if words))
        check(*(gather(np.asarray(part, dtype=float)).astype(np.asarray(part).dtype) for part in parts))

    def _all(self, part: Any) -> Array:
        mine = np.ascontiguousarray(part, dtype=float)
        everyone = np.empty((self.comm.size, *np.shape(part)))
        self.comm.Allgather(mine, everyone)
        return everyone

    def gather(self, u: Array) -> Array:
        """Values of all nodes in the numbering of the domain, (owned,) -> (size,) on every rank.

        Zero at points that belong to no cell.
        """
        return self._gather(u, self._node_order, self.size)

    def gather_cells(self, k: Array) -> Array:
        """The same for cells, (owned_cells,) -> (cell_count,)."""
        return self._gather(k, self._cell_order, self.cell_count)

    @cached_property
    def _node_order(self) -> tuple[Index, Index]:
        return self._order(self.nodes[: self.owned])

    @cached_property
    def _cell_order(self) -> tuple[Index, Index]:
        return self._order(self.cells[: self.owned_cells])

    def _order(self, mine: Index) -> tuple[Index, Index]:
        """Number of values on each rank, and the domain's numbers of all of them, one rank after the other."""
        everyone = self.comm.allgather(mine)
        return np.array([len(numbers) for numbers in everyone]), np.concatenate(everyone)

    def _gather(self, values: Array, order: tuple[Index, Index], size: int) -> Array:
        counts, numbers = order
        received = np.empty(len(numbers))
        self.comm.Allgatherv(np.ascontiguousarray(values, dtype=float), (received, counts))
        whole = np.zeros(size)
        whole[numbers] = received
        return whole


def _spread(buffer: Any, count: int, values: Array) -> Array:
    if np.shape(values) != (count,):
        raise ValueError(
            f"a field of shape {np.shape(values)} does not fit the {count} nodes or cells of this rank; give each one "
            "number"
        )
    everything: Array = buffer.array
    everything[:count] = values
    buffer.scatter_forward()
    return everything


def distribute(points: Array, cells: Index, comm: Any = None) -> Distribution:
    """Spread a mesh over the ranks of ``comm`` (all ranks by default); each calls this with the whole mesh.

    ``points`` (n, 3) m; ``cells`` (m, 3) triangles, (m, 4) tetrahedra, or (m, 8) hexahedra with the corners in the
    order of ``4 dx + 2 dy + dz``.
    """
    comm = MPI.COMM_WORLD if comm is None else comm
    count, corner_count = cells.shape
    kind, order = KINDS[corner_count]
    mesh = dolfinx.mesh.create_mesh(
        comm,
        cells[_chunk(count, comm)][:, order],
        basix.ufl.element("Lagrange", kind, 1, shape=(3,)),
        points[_chunk(len(points), comm)],
        None if comm.size == 1 else _touching_nodes(cells),
    )
    geometry, topology = mesh.geometry, mesh.topology
    if comm.allreduce(geometry.index_map().size_local, MPI.MIN) == 0:
        raise ValueError(f"{count} cells on {comm.size} ranks leave some without any; run on fewer (mpirun -n)")
    corners = np.asarray(geometry.dofmaps[0], dtype=np.int64)
    return Distribution(
        mesh,
        np.asarray(geometry.input_global_indices, dtype=np.int64),
        np.asarray(topology.original_cell_index, dtype=np.int64),
        corners[:, np.argsort(order)],
        len(points),
        count,
    )


def _chunk(count: int, comm: Any) -> slice:
    """The part of ``count`` things that this rank hands over."""
    return slice(count * comm.rank // comm.size, count * (comm.rank + 1) // comm.size)


def _touching_nodes(cells: Index) -> Callable[..., Any]:
    """DOLFINx's own partition of the cells, with ghosts wherever a cell of another rank shares a node.

    DOLFINx itself offers ghosts across facets only.
    """
    partition = dolfinx.mesh.create_cell_partitioner(dolfinx.mesh.GhostMode.none, 2)
    count, corner_count = cells.shape

    def partitioner(comm: Any, parts: int, kinds: Any, topology: Any) -> Any:
        mine = np.asarray(partition(comm, parts, kinds, topology).array, dtype=np.int64)
        owner = np.concatenate(comm.allgather(mine))
        every = np.arange(count)
        touches = sparse.csr_array((np.ones(cells.size, np.int32), (np.repeat(every, corner_count), cells.ravel())))
        owned_by = sparse.csr_array((np.ones(count, np.int32), (every, owner)), shape=(count, parts))
        chunk = _chunk(count, comm)
        needed = sparse.coo_array(touches[chunk] @ (touches.T @ owned_by).tocsr())
        cell, rank = needed.coords
        # the owner of a cell comes first among the ranks that get it
        first = np.lexsort((rank, rank != owner[chunk][cell], cell))
        start = np.searchsorted(cell[first], np.arange(chunk.stop - chunk.start + 1))
        destinations = rank[first].astype(np.int32)
        return dolfinx.graph.adjacencylist(destinations, start.astype(np.int32))._cpp_object

    return partitioner
