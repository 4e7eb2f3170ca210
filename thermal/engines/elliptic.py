"""Steady fields on a graph: elimination of held nodes around the shared conjugate-gradient solver."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from thermal.engine import NotConvergedError, Operator
from thermal.engines import fused
from thermal.engines.coefficients import check_finite, check_nodal, check_tolerance
from thermal.engines.islands import Floating, Index, stranded, stranded_error
from thermal.engines.linear import Apply, conjugate_gradients
from thermal.units import Array, Mask

QUICK = 80
"""Iterations granted to a multigrid preconditioner; more than this only where coefficients defeat it."""
PATIENT = 20_000
"""Iterations granted to the diagonal."""

_log = logging.getLogger("thermal")

Prepare = Callable[[Operator, Array, Mask], Apply | None]
"""Makes the preconditioner of ``K + diag`` on the free nodes (n,); None where the diagonal does as well."""
System = Callable[[Operator, Array, Mask], Apply]
"""Makes ``K u + diag u`` on the free nodes (n,), zero elsewhere."""


def on_free_nodes(operator: Operator, diagonal: Array, free: Mask) -> Apply:
    """The :data:`System` of any operator."""

    def apply(u: Array) -> Array:
        image = operator(u)
        fused.finish(0, len(image), image, diagonal, u, free)
        return image

    return apply


@dataclass(frozen=True)
class GraphSolver:
    """``(K + diag(diagonal)) u = rhs``, prepared but for ``rhs`` and values: :class:`thermal.engine.Solver`.

    ``active`` (n,) nodes inside the body; of them, ``held`` (n,) have prescribed values and ``free`` (n,) an equation.
    ``idle``: nodes with neither, inside or not, which may bear no load. Where ``precondition`` fails
    to converge in :data:`QUICK` iterations, and where there is none, the diagonal serves.
    """

    operator: Operator
    diagonal: Array
    active: Mask
    fixed: Mask
    prepare: Prepare
    system: System
    free: Mask
    idle: Index
    precondition: Apply | None

    @staticmethod
    def of(
        operator: Operator,
        diagonal: Array,
        active: Mask,
        fixed: Mask | None,
        prepare: Prepare,
        system: System = on_free_nodes,
    ) -> GraphSolver:
        """``fixed`` (n,) nodes with prescribed values."""
        if fixed is None:
            fixed = np.zeros_like(active)
        check_nodal(fixed, len(active), "the mask of prescribed nodes")
        fixed = np.asarray(fixed, dtype=bool)
        free = _free(operator, diagonal, active, fixed)
        idle = np.flatnonzero(~(free | fixed))
        ready = prepare(operator, diagonal, free)
        return GraphSolver(operator, diagonal, active, fixed, prepare, system, free, idle, ready)

    @cached_property
    def held(self) -> Mask:
        """(n,) nodes inside the body with prescribed values."""
        return self.active & self.fixed

    def adapted(self, operator: Operator, diagonal: Array) -> GraphSolver:
        """See :meth:`thermal.engine.Solver.adapted`."""
        if np.array_equal(self.free, _free(operator, diagonal, self.active, self.fixed)):
            return replace(self, operator=operator, diagonal=diagonal)
        return GraphSolver.of(operator, diagonal, self.active, self.fixed, self.prepare, self.system)

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """See :meth:`thermal.engine.Solver.solve`.

        Raises :class:`~thermal.engine.NotConvergedError`, also where sources do not balance on a part of the body whose
        level nothing holds, and ``ValueError`` for a load on nodes that have no equation.
        """
        check_tolerance(tolerance)
        check_nodal(rhs, len(self.active), "the right-hand side of a linear solve")
        for what, given in (("the prescribed values", values), ("the guess", guess)):
            if given is not None:
                check_nodal(given, len(self.active), f"{what} of a linear solve")
        check_finite(rhs, self.active, "the right-hand side")
        if values is not None:
            check_finite(values, self.held, "a prescribed value")
        if guess is not None:
            check_finite(guess, self.free, "the guess")
        self._refuse_stranded(rhs)
        held = None if values is None or not values[self.held].any() else np.where(self.held, values, 0.0)
        load = np.where(self.free, rhs if held is None else rhs - self.operator(held), 0.0)
        start = None if guess is None else np.where(self.free, guess, 0.0)
        if self.floating is not None:
            self.floating.check(load, tolerance)
        solution = self._solve(load, start, tolerance)
        if held is not None:
            solution += held
        return solution

    @cached_property
    def floating(self) -> Floating | None:
        """Parts of the body whose level nothing holds."""
        return Floating.of(self.operator, self.diagonal, self.free, self.held)

    def _refuse_stranded(self, rhs: Array) -> None:
        """Raise ``ValueError`` for a load (n,) on nodes without an equation: it would go nowhere, and be lost."""
        if not rhs[self.idle].any():
            return
        there = stranded(rhs, self.idle, float(np.abs(rhs).max()))
        if there.size:
            raise stranded_error(there.size, len(rhs), int(there[0]), float(rhs[there[0]]))

    def _solve(self, load: Array, start: Array | None, tolerance: float) -> Array:
        """The solution (n,) on the free nodes, zero elsewhere."""
        level = None if self.floating is None else self.floating.level
        apply = self.system(self.operator, self.diagonal, self.free)
        if self.precondition is not None:
            try:
                return conjugate_gradients(apply, load, self.precondition, start, tolerance, QUICK, level=level)[0]
            except NotConvergedError:
                _log.debug("the preconditioner did not serve; going on with the diagonal")
        inverse = self._inverse()
        return conjugate_gradients(apply, load, lambda r: r * inverse, start, tolerance, PATIENT, level=level)[0]

    def _inverse(self) -> Array:
        """(n,) one over the diagonal of the system on the free nodes, zero elsewhere."""
        main = self.operator.diagonal + self.diagonal
        return np.divide(1.0, main, out=np.zeros_like(main), where=self.free)

    def near(self, residual: Array) -> Array:
        """About the solution (n,), by one cycle of the preconditioner: linear, symmetric and positive."""
        return residual * self._inverse() if self.precondition is None else self.precondition(residual)


def _free(operator: Operator, diagonal: Array, active: Mask, fixed: Mask) -> Mask:
    """(n,) nodes with an equation of their own."""
    return active & ~fixed & (operator.diagonal + diagonal > 0.0)
