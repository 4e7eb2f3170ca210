"""Steady fields by PETSc: conjugate gradients with its algebraic multigrid (GAMG), to the true residual.

What is elliptic.py and linear.py to the serial engines: the same elimination of held nodes, the same meaning of the
tolerance and the same refusals.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from thermal.engine import NotConvergedError
from thermal.engines.distribution import Distribution, PETSc
from thermal.engines.islands import Floating, Index, alone, join_edges, settle, stranded, stranded_error
from thermal.engines.local_rows import LocalOperator
from thermal.units import Array, Mask

QUICK = 80
"""Iterations granted to multigrid; more than this only where coefficients defeat it."""
PATIENT = 20_000
"""Iterations granted to the diagonal."""
PASSES = 6
"""Largest number of corrections of the true residual."""
MOST_NULL = 20
"""Parts of the body without a level that PETSc is told of; of more, means are taken from the corrections alone."""

_log = logging.getLogger("thermal")


@dataclass(frozen=True)
class System:
    """``(K + diag(diagonal)) u = rhs`` at the ``free`` owned nodes; all arrays (owned,)."""

    distribution: Distribution
    operator: LocalOperator
    diagonal: Array
    free: Mask

    def apply(self, u: Array) -> Array:
        """``(K + diag(diagonal)) u`` at free nodes."""
        return (self.operator(self.distribution.with_ghosts(u)) + self.diagonal * u) * self.free

    def inner(self, a: Array, b: Array) -> float:
        """Inner product over all ranks."""
        return float(self.distribution.add(np.dot(a, b)))

    def norm(self, a: Array) -> float:
        """Euclidean norm over all ranks."""
        return float(np.sqrt(self.inner(a, a)))

    def matrix(self) -> PETSc.Mat:
        """The rows of this rank, with ones on the diagonal of the nodes that are not free and nothing beside them."""
        owned, cells, spread = self.distribution.owned, self.operator.cells, self.distribution
        everywhere = spread.with_ghosts(self.free.astype(float)) > 0.0
        row = np.repeat(np.arange(owned), np.diff(cells.start))
        beside = everywhere[row] & everywhere[cells.neighbour]
        rows = np.concatenate([np.arange(owned), row[beside]])
        local = np.concatenate([np.arange(owned), cells.neighbour[beside]]).astype(np.int32)
        main = np.where(self.free, self.operator.diagonal + self.diagonal, 1.0)
        values = np.concatenate([main, -self.operator.values[beside]])
        columns = spread.node_map.local_to_global(local)
        order = np.lexsort((columns, rows))
        start = np.searchsorted(rows[order], np.arange(owned + 1))
        size = (owned, spread.node_map.size_global)
        csr = (start.astype(PETSc.IntType), columns[order].astype(PETSc.IntType), values[order])
        matrix = PETSc.Mat().createAIJ((size, size), csr=csr, comm=spread.comm)
        matrix.setOption(PETSc.Mat.Option.SPD, True)
        return matrix


def solve(
    distribution: Distribution,
    operator: LocalOperator,
    diagonal: Array,
    rhs: Array,
    *,
    active: Mask,
    fixed: Mask | None = None,
    values: Array | None = None,
    guess: Array | None = None,
    tolerance: float = 1e-9,
) -> Array:
    """Solve on the ``active`` nodes with ``u = values`` where ``fixed``; all arrays (owned,).

    Raises :class:`~thermal.engine.NotConvergedError`, also where sources do not balance on a part of the body whose
    level nothing holds, and ``ValueError`` for a load on nodes that have no equation; on every rank.
    """
    free = active & (operator.diagonal + diagonal > 0)
    held = np.zeros_like(rhs)
    if fixed is not None and values is not None:
        free &= ~fixed
        held[fixed & active] = values[fixed & active]
    _refuse_stranded(distribution, rhs, np.flatnonzero(~free if fixed is None else ~(free | fixed)))
    system = System(distribution, operator, diagonal, free)
    load = np.where(free, rhs - operator(distribution.with_ghosts(held)), 0.0)
    level = free & (diagonal > 0)
    if fixed is not None:
        level |= fixed & active
    floating = _floating(distribution, operator, free, level)
    size = system.norm(load)
    if not np.isfinite(size):
        raise NotConvergedError("the right-hand side of a linear solve is not finite; look for NaN in the sources")
    if size == 0.0:
        return held
    if floating is not None:
        floating.check(load, tolerance)
        load = load - floating.level(load)
    start = np.zeros_like(rhs) if guess is None else np.where(free, guess, 0.0)
    return held + _refine(system, load, size, start, floating, tolerance)


def _refuse_stranded(distribution: Distribution, rhs: Array, idle: Index) -> None:
    """Raise ``ValueError`` for a load (owned,) on ``idle`` nodes, which have no equation."""
    largest = distribution.maximum(float(np.abs(rhs).max(initial=0.0)))
    there = stranded(rhs, idle, largest)
    count = int(distribution.add(float(there.size)))
    if count:
        numbers = distribution.nodes[there]
        first = int(distribution.minimum(float(numbers.min(initial=distribution.size))))
        load = float(distribution.add(float(rhs[there][numbers == first].sum())))
        raise stranded_error(count, distribution.size, first, load)


def _floating(distribution: Distribution, operator: LocalOperator, free: Mask, level: Mask) -> Floating | None:
    """Parts of the body whose level nothing holds: those without a node of ``level`` (owned,)."""
    if not distribution.add(float(np.any(free & ~level))):
        return None
    owned, cells = distribution.owned, operator.cells
    row = np.repeat(np.arange(owned), np.diff(cells.start))
    local = alone(len(distribution.nodes))
    join_edges(np.stack([row, cells.neighbour.astype(np.int64)], axis=1), operator.values, local)
    settle(local)
    name = distribution.nodes.astype(float)  # of the island of each node: the first node of all ranks
    while True:
        first = np.full(len(name), np.inf)
        np.minimum.at(first, local, name)
        known = distribution.with_ghosts(first[local][:owned])
        after = np.minimum(first[local], known)
        if not distribution.add(float(np.any(after != name))):
            break
        name = after
    name = name[:owned]
    held = np.unique(np.concatenate(distribution.comm.allgather(np.unique(name[level]))))
    without = free & ~np.isin(name, held)
    names = np.unique(np.concatenate(distribution.comm.allgather(np.unique(name[without]))))
    if len(names) == 0:
        return None
    number = np.where(without, np.searchsorted(names, name), len(names))
    size = distribution.add(np.bincount(number, minlength=len(names) + 1)[:-1].astype(float))
    return Floating(number, size, names.astype(np.int64), distribution.add)


def _refine(system: System, load: Array, size: float, u: Array, floating: Floating | None, tolerance: float) -> Array:
    """Correct ``u`` until the true residual is at most ``tolerance * size``."""
    matrix = system.matrix()
    solver = PETSc.KSP().create(comm=system.distribution.comm)
    given, found = matrix.createVecs()
    null = None
    try:
        if floating is not None and len(floating.size) <= MOST_NULL:
            constants = [matrix.createVecRight() for _ in floating.size]
            for number, constant in enumerate(constants):
                constant.setArray((floating.number == number) / np.sqrt(floating.size[number]))
            null = PETSc.NullSpace().create(vectors=constants, comm=system.distribution.comm)
            matrix.setNullSpace(null)
        solver.setOperators(matrix)
        solver.setType(PETSc.KSP.Type.CG)
        solver.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        solver.getPC().setType(PETSc.PC.Type.GAMG)
        previous = np.inf
        for _ in range(PASSES):
            if floating is not None:
                u = u - floating.level(u)
            residual = load - system.apply(u)
            norm = system.norm(residual)
            if norm <= tolerance * size:
                return u
            if not np.isfinite(norm):
                raise NotConvergedError(
                    "the operator or the guess of a linear solve is not finite; check the coefficients"
                )
            if norm >= 0.5 * previous:
                break
            previous = norm
            given.setArray(residual)
            _iterate(solver, given, found, 0.5 * tolerance * size / norm)
            u = u + np.where(system.free, found.getArray(readonly=True), 0.0)
        raise NotConvergedError(
            f"the residual stays at {norm / size:.1e} of the right-hand side by round-off, {tolerance:.1e} was asked "
            "for; loosen the tolerance above that or lessen the coefficients' contrast"
        )
    finally:
        for thing in (solver, given, found, matrix, null):
            if thing is not None:
                thing.destroy()


def _iterate(solver: PETSc.KSP, given: PETSc.Vec, found: PETSc.Vec, tolerance: float) -> None:
    """Solve to ``tolerance`` of the norm of ``given``, as iterated: by multigrid, else patiently."""
    tolerance = max(tolerance, 1e-14)
    solver.setTolerances(rtol=tolerance, atol=0.0, max_it=QUICK)
    solver.solve(given, found)
    if solver.getConvergedReason() > 0:
        return
    _log.debug("multigrid did not serve; going on with the diagonal")
    solver.getPC().setType(PETSc.PC.Type.JACOBI)
    solver.setTolerances(rtol=tolerance, atol=0.0, max_it=PATIENT)
    solver.solve(given, found)
    if solver.getConvergedReason() <= 0:
        raise NotConvergedError(
            f"conjugate gradients reached {solver.getResidualNorm() / given.norm():.1e} of the residual in "
            f"{solver.getIterationNumber()} iterations, {tolerance:.1e} was asked for; use a milder contrast of "
            "coefficients, and check that they are positive and finite"
        )
