"""Steady fields on a graph: elimination of held nodes around the shared conjugate-gradient solver."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from thermal.engine import NotConvergedError, Operator
from thermal.engines import fused
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

    ``active`` (n,) nodes inside the body; of them, ``held`` (n,) have prescribed values. Where ``precondition`` fails
    to converge in :data:`QUICK` iterations, and where there is none, the diagonal serves.
    """

    operator: Operator
    diagonal: Array
    active: Mask
    held: Mask
    prepare: Prepare
    system: System
    free: Mask
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
        held = np.zeros_like(active) if fixed is None else active & fixed
        free = _free(operator, diagonal, active, held)
        return GraphSolver(operator, diagonal, active, held, prepare, system, free, prepare(operator, diagonal, free))

    def adapted(self, operator: Operator, diagonal: Array) -> GraphSolver:
        """See :meth:`thermal.engine.Solver.adapted`."""
        if np.array_equal(self.free, _free(operator, diagonal, self.active, self.held)):
            return replace(self, operator=operator, diagonal=diagonal)
        return GraphSolver.of(operator, diagonal, self.active, self.held, self.prepare, self.system)

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """See :meth:`thermal.engine.Solver.solve`.

        When nothing holds the level of the solution (no fixed node, zero ``diagonal``), the solution of zero mean is
        returned, provided that the sources balance. Raises :class:`~thermal.engine.NotConvergedError`.
        """
        held = None if values is None or not values[self.held].any() else np.where(self.held, values, 0.0)
        load = np.where(self.free, rhs if held is None else rhs - self.operator(held), 0.0)
        start = None if guess is None else np.where(self.free, guess, 0.0)
        level_is_free = not (self.held.any() or np.any((self.diagonal > 0.0) & self.free))
        null = self.free.astype(np.float64) if level_is_free else None
        solution = self._solve(load, start, tolerance, null)
        if held is not None:
            solution += held
        return solution

    def _solve(self, load: Array, start: Array | None, tolerance: float, null: Array | None) -> Array:
        """The solution (n,) on the free nodes, zero elsewhere."""
        apply = self.system(self.operator, self.diagonal, self.free)
        if self.precondition is not None:
            try:
                return conjugate_gradients(apply, load, self.precondition, start, tolerance, QUICK, null=null)[0]
            except NotConvergedError:
                _log.debug("the preconditioner did not serve; going on with the diagonal")
        inverse = self._inverse()
        return conjugate_gradients(apply, load, lambda r: r * inverse, start, tolerance, PATIENT, null=null)[0]

    def _inverse(self) -> Array:
        """(n,) one over the diagonal of the system on the free nodes, zero elsewhere."""
        main = self.operator.diagonal + self.diagonal
        return np.divide(1.0, main, out=np.zeros_like(main), where=self.free)

    def near(self, residual: Array) -> Array:
        """About the solution (n,), by one cycle of the preconditioner: linear, symmetric and positive."""
        return residual * self._inverse() if self.precondition is None else self.precondition(residual)


def _free(operator: Operator, diagonal: Array, active: Mask, held: Mask) -> Mask:
    """(n,) nodes with an equation of their own."""
    return active & ~held & (operator.diagonal + diagonal > 0.0)
