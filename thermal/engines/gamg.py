"""PETSc's algebraic multigrid (GAMG: smoothed aggregation) as a preconditioner of the shared conjugate gradients."""

from __future__ import annotations

import numpy as np
from petsc4py import PETSc

from thermal.engines.distribution import Distribution
from thermal.engines.graph import GraphOperator
from thermal.engines.linear import Apply
from thermal.units import Array, Mask


def multigrid(distribution: Distribution, operator: GraphOperator, diagonal: Array, free: Mask) -> Apply:
    """One V-cycle for ``K + diag(diagonal)`` on the ``free`` owned nodes; zero at the others.

    ``operator`` is of the rank's nodes with ghosts, its rows at owned nodes complete; ``diagonal``, ``free`` (owned,).
    """
    matrix = _matrix(distribution, operator, diagonal, free)
    cycle = PETSc.PC().create(comm=distribution.comm)
    cycle.setType(PETSc.PC.Type.GAMG)
    cycle.setOperators(matrix)
    cycle.setUp()
    given, found = matrix.createVecs()

    def precondition(residual: Array) -> Array:
        given.setArray(residual)
        cycle.apply(given, found)
        return np.where(free, found.getArray(readonly=True), 0.0)

    return precondition


def _matrix(distribution: Distribution, operator: GraphOperator, diagonal: Array, free: Mask) -> PETSc.Mat:
    """The rows of this rank, with ones on the diagonal of the nodes that are not free and nothing beside them."""
    owned = distribution.owned
    everywhere = distribution.with_ghosts(free.astype(float)) > 0.0
    start, neighbour, edge = operator.graph.rows
    slots = start[owned]
    row, neighbour, edge = np.repeat(np.arange(owned), np.diff(start[: owned + 1])), neighbour[:slots], edge[:slots]
    beside = everywhere[row] & everywhere[neighbour]
    main = np.where(free, operator.diagonal[:owned] + diagonal, 1.0)
    rows = np.concatenate([np.arange(owned), row[beside]])
    columns = np.concatenate([np.arange(owned), neighbour[beside]])
    values = np.concatenate([main, -operator.conductance[edge[beside]]])
    columns = distribution.node_map.local_to_global(columns.astype(np.int32))
    order = np.lexsort((columns, rows))
    first = np.searchsorted(rows[order], np.arange(owned + 1))
    size = (owned, distribution.node_map.size_global)
    csr = (first.astype(PETSc.IntType), columns[order].astype(PETSc.IntType), values[order])
    matrix = PETSc.Mat().createAIJ((size, size), csr=csr, comm=distribution.comm)
    matrix.setOption(PETSc.Mat.Option.SPD, True)
    return matrix
