"""Steady fields by PETSc: conjugate gradients with its algebraic multigrid (GAMG), to the true residual.

What is elliptic.py and linear.py to the serial engines: the same elimination of held nodes, the same meaning of the
tolerance and the same refusals.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from thermal.engine import NotConvergedError
from thermal.engines.coefficients import check_diagonal, check_finite, check_nodal, check_tolerance
from thermal.engines.distribution import Distribution, PETSc
from thermal.engines.islands import Floating, Index, alone, join_edges, settle, stranded, stranded_error
from thermal.engines.local_rows import LocalOperator
from thermal.units import Array, Mask

ALIKE = 1e-11
"""Residual, relative to the load, to which every field is solved, however loose the tolerance, wherever round-off lets
it: multigrid depends on how many ranks there are, and so does what it leaves. Some nine iterations more than for 3e-4
take a third of the time that preparing multigrid takes."""
QUICK = 80
"""Iterations granted to multigrid; more than this only where coefficients defeat it."""
PATIENT = 20_000
"""Iterations granted to the diagonal."""
PASSES = 6
"""Largest number of corrections of the true residual."""
IN_ORDER = "matptap_via", "allatonce"
"""Of PETSc's options, the one by which coarse grids come out the same to the last bit in every run on as many ranks: by
default what other ranks have of a coefficient is added as it comes in, and from three ranks on that is in any order."""
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


@dataclass(frozen=True)
class Pattern:
    """Where the rows of this rank have entries: those of nodes that are not free have a one on the diagonal alone."""

    main: Mask
    """(owned,) nodes with an equation"""
    beside: Mask
    """(slots,) which conductances are entries"""
    order: Index
    """of the entries, the diagonal before what is beside it, along the rows"""
    start: Index
    columns: Index

    @staticmethod
    def of(system: System) -> Pattern:
        """That of a system."""
        owned, cells, spread = system.distribution.owned, system.operator.cells, system.distribution
        everywhere = spread.with_ghosts(system.free.astype(float)) > 0.0
        row = np.repeat(np.arange(owned), np.diff(cells.start))
        beside = everywhere[row] & everywhere[cells.neighbour]
        rows = np.concatenate([np.arange(owned), row[beside]])
        local = np.concatenate([np.arange(owned), cells.neighbour[beside]]).astype(np.int32)
        columns = spread.node_map.local_to_global(local)
        order = np.lexsort((columns, rows))
        start = np.searchsorted(rows[order], np.arange(owned + 1)).astype(PETSc.IntType)
        return Pattern(system.free, beside, order, start, columns[order].astype(PETSc.IntType))

    def matrix(self, system: System) -> PETSc.Mat:
        """The rows of a system with the same free nodes."""
        spread = system.distribution
        main = np.where(self.main, system.operator.diagonal + system.diagonal, 1.0)
        values = np.concatenate([main, -system.operator.values[self.beside]])[self.order]
        size = (spread.owned, spread.node_map.size_global)
        matrix = PETSc.Mat().createAIJ((size, size), csr=(self.start, self.columns, values), comm=spread.comm)
        matrix.setOption(PETSc.Mat.Option.SPD, True)
        return matrix


class Multigrid:
    """Algebraic multigrid made for one system when it is first needed, which serves systems near to it as well.

    All of its methods take part on every rank.
    """

    def __init__(self, system: System) -> None:
        """``system``: the one to make it for."""
        self.system = system
        self._made: tuple[Pattern, PETSc.Mat, PETSc.KSP] | None = None

    def serves(self, system: System) -> bool:
        """Whether the same nodes are free in both, on all ranks."""
        alike = np.array_equal(self.system.free, system.free)
        return system.distribution.minimum(float(alike)) > 0.0

    def take(self, system: System, floating: Floating | None) -> tuple[PETSc.KSP, PETSc.Mat]:
        """Conjugate gradients for a system that it serves, and its matrix, which is the caller's to destroy."""
        if self._made is None:
            self._made = self._make(floating)
        pattern, prepared, solver = self._made
        matrix = pattern.matrix(system)
        _tell_null(matrix, floating)
        solver.setOperators(matrix, prepared)
        return solver, matrix

    def _make(self, floating: Floating | None) -> tuple[Pattern, PETSc.Mat, PETSc.KSP]:
        pattern = Pattern.of(self.system)
        matrix = pattern.matrix(self.system)
        _tell_null(matrix, floating)
        solver = PETSc.KSP().create(comm=self.system.distribution.comm)
        solver.setOperators(matrix)
        solver.setType(PETSc.KSP.Type.CG)
        solver.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        solver.getPC().setType(PETSc.PC.Type.GAMG)
        with _in_order(self.system.distribution.comm.size):
            solver.setUp()
        solver.getPC().setReusePreconditioner(True)
        return pattern, matrix, solver

    def destroy(self) -> None:
        """Give back what PETSc holds."""
        if self._made is not None:
            _, matrix, solver = self._made
            solver.destroy()
            matrix.destroy()
            self._made = None


@contextmanager
def _in_order(ranks: int) -> Iterator[None]:
    """Set :data:`IN_ORDER`, which one rank alone does not know, unless the user has chosen otherwise."""
    options, (name, value) = PETSc.Options(), IN_ORDER
    if ranks == 1 or options.hasName(name):
        yield
        return
    options.setValue(name, value)
    try:
        yield
    finally:
        options.delValue(name)


def _tell_null(matrix: PETSc.Mat, floating: Floating | None) -> None:
    """Tell a matrix of the fields without a level that it gives nothing for."""
    if floating is None or len(floating.size) > MOST_NULL:
        return
    constants = [matrix.createVecRight() for _ in floating.size]
    for number, constant in enumerate(constants):
        constant.setArray((floating.number == number) / np.sqrt(floating.size[number]))
    null = PETSc.NullSpace().create(vectors=constants, comm=matrix.comm)
    matrix.setNullSpace(null)
    null.destroy()


FIXED = "the mask of prescribed nodes"


def check_system(distribution: Distribution, active: Mask, diagonal: Array, given: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` on every rank unless the ``diagonal`` and what else is ``given`` by what it is called, each
    (owned,) or None, make a system at the ``active`` nodes."""
    named = {what: values for what, values in given.items() if values is not None}

    def check(active: Mask, diagonal: Array, *others: Array) -> None:
        check_diagonal(diagonal, active)
        for what, values in zip(named, others, strict=True):
            check_nodal(values, len(active), what)

    distribution.refuse(check, distribution.gather, active, diagonal, *named.values())


def free_nodes(operator: LocalOperator, diagonal: Array, active: Mask, fixed: Mask | None) -> Mask:
    """(owned,) ``active`` nodes with an equation of their own."""
    free = active & (operator.diagonal + diagonal > 0)
    return free if fixed is None else free & ~np.asarray(fixed, dtype=bool)


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
    multigrid: Multigrid | None = None,
) -> Array:
    """Solve on the ``active`` nodes with ``u = values`` where ``fixed``; all arrays (owned,).

    ``multigrid``: of a system near to this one; without, it is made for this one alone.
    Raises :class:`~thermal.engine.NotConvergedError`, also where sources do not balance on a part of the body whose
    level nothing holds, and ``ValueError`` for what is no system and a load on nodes that have no equation; on every
    rank.
    """
    check_tolerance(tolerance)
    given = {"the right-hand side": rhs, "the prescribed values": values, "the guess": guess}
    given = {f"{what} of a linear solve": array for what, array in given.items()}
    check_system(distribution, active, diagonal, {FIXED: fixed, **given})
    fixed = None if fixed is None else np.asarray(fixed, dtype=bool)
    free = free_nodes(operator, diagonal, active, fixed)
    prescribed = np.zeros_like(active) if fixed is None else fixed & active
    used = {
        "the right-hand side": (rhs, active),
        "a prescribed value": (values, prescribed),
        "the guess": (guess, free),
    }
    for what, (array, where) in used.items():
        if array is not None:
            distribution.refuse(partial(check_finite, what=what), distribution.gather, array, where)
    held = np.zeros_like(rhs)
    if fixed is not None and values is not None:
        held[prescribed] = values[prescribed]
    _refuse_stranded(distribution, rhs, np.flatnonzero(~free if fixed is None else ~(free | fixed)))
    system = System(distribution, operator, diagonal, free)
    load = np.where(free, rhs - operator(distribution.with_ghosts(held)), 0.0)
    level = (free & (diagonal > 0)) | prescribed
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
    kept = multigrid is not None and multigrid.serves(system)
    served = multigrid if multigrid is not None and kept else Multigrid(system)
    try:
        return held + _refine(system, served, load, size, start, floating, tolerance)
    finally:
        if not kept:
            served.destroy()


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


def _refine(
    system: System,
    multigrid: Multigrid,
    load: Array,
    size: float,
    u: Array,
    floating: Floating | None,
    tolerance: float,
) -> Array:
    """Correct ``u`` until the true residual is at most :data:`ALIKE` times ``size``, or if that cannot be had,
    ``tolerance`` times it."""
    goal = min(tolerance, ALIKE) * size
    solver, matrix = multigrid.take(system, floating)
    given, found = matrix.createVecs()
    try:
        previous = np.inf
        for _ in range(PASSES):
            if floating is not None:
                u = u - floating.level(u)
            residual = load - system.apply(u)
            norm = system.norm(residual)
            if norm <= goal:
                return u
            if not np.isfinite(norm):
                raise NotConvergedError(
                    "the operator or the guess of a linear solve is not finite; check the coefficients"
                )
            if norm >= 0.5 * previous:
                break
            previous = norm
            given.setArray(residual)
            try:
                _iterate(solver, matrix, given, found, 0.5 * goal / norm)
            except NotConvergedError:
                if goal == tolerance * size:
                    raise
                goal, previous = tolerance * size, np.inf
                continue
            u = u + np.where(system.free, found.getArray(readonly=True), 0.0)
        if norm <= tolerance * size:
            return u
        raise NotConvergedError(
            f"the residual stays at {norm / size:.1e} of the right-hand side by round-off, {tolerance:.1e} was asked "
            "for; loosen the tolerance above that or lessen the coefficients' contrast"
        )
    finally:
        for thing in (given, found, matrix):
            thing.destroy()


def _iterate(solver: PETSc.KSP, matrix: PETSc.Mat, given: PETSc.Vec, found: PETSc.Vec, tolerance: float) -> None:
    """Solve to ``tolerance`` of the norm of ``given``, as iterated: by multigrid, else patiently."""
    tolerance = max(tolerance, 1e-14)
    solver.setTolerances(rtol=tolerance, atol=0.0, max_it=QUICK)
    solver.solve(given, found)
    if solver.getConvergedReason() > 0:
        return
    _log.debug("multigrid did not serve; going on with the diagonal")
    patient = PETSc.KSP().create(comm=matrix.comm)
    try:
        patient.setOperators(matrix)
        patient.setType(PETSc.KSP.Type.CG)
        patient.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        patient.getPC().setType(PETSc.PC.Type.JACOBI)
        patient.setTolerances(rtol=tolerance, atol=0.0, max_it=PATIENT)
        patient.solve(given, found)
        if patient.getConvergedReason() <= 0:
            raise NotConvergedError(
                f"conjugate gradients reached {patient.getResidualNorm() / given.norm():.1e} of the residual in "
                f"{patient.getIterationNumber()} iterations, {tolerance:.1e} was asked for; use a milder contrast of "
                "coefficients, and check that they are positive and finite"
            )
    finally:
        patient.destroy()
