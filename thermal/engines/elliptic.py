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


@dataclass(frozen=True)
class GraphSolver:
    """``(K + diag(diagonal)) u = rhs``, prepared but for ``rhs`` and values: :class:`thermal.engine.Solver`.

    ``active`` (n,) nodes inside the body; of them, ``held`` (n,) have prescribed values. ``main`` (n,) is the diagonal
    of the system. Where ``precondition`` fails to converge in :data:`QUICK` iterations, and where there is none, the
    diagonal serves.
    """

    operator: Operator
    diagonal: Array
    active: Mask
    held: Mask
    prepare: Prepare
    main: Array
    free: Mask
    precondition: Apply | None

    @staticmethod
    def of(operator: Operator, diagonal: Array, active: Mask, fixed: Mask | None, prepare: Prepare) -> GraphSolver:
        """``fixed`` (n,) nodes with prescribed values."""
        held = np.zeros_like(active) if fixed is None else active & fixed
        main = operator.diagonal + diagonal
        free = active & ~held & (main > 0.0)
        return GraphSolver(operator, diagonal, active, held, prepare, main, free, prepare(operator, diagonal, free))

    def adapted(self, operator: Operator, diagonal: Array) -> GraphSolver:
        """See :meth:`thermal.engine.Solver.adapted`."""
        main = operator.diagonal + diagonal
        if np.array_equal(self.free, self.active & ~self.held & (main > 0.0)):
            return replace(self, operator=operator, diagonal=diagonal, main=main)
        return GraphSolver.of(operator, diagonal, self.active, self.held, self.prepare)

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """See :meth:`thermal.engine.Solver.solve`.

        When nothing holds the level of the solution (no fixed node, zero ``diagonal``), the solution of zero mean is
        returned, provided that the sources balance. Raises :class:`~thermal.engine.NotConvergedError`.
        """
        held = np.zeros_like(rhs) if values is None else np.where(self.held, values, 0.0)
        load = np.where(self.free, rhs - self.operator(held) if held.any() else rhs, 0.0)
        start = None if guess is None else np.where(self.free, guess, 0.0)
        level_is_free = not (self.held.any() or np.any(self.diagonal[self.free] > 0.0))
        null = self.free.astype(np.float64) if level_is_free else None
        if self.precondition is not None:
            try:
                solution, _ = conjugate_gradients(
                    self._apply, load, self.precondition, start, tolerance, QUICK, null=null
                )
                return solution + held
            except NotConvergedError:
                _log.debug("the preconditioner did not serve; going on with the diagonal")
        inverse = np.divide(1.0, self.main, out=np.zeros_like(self.main), where=self.free)
        solution, _ = conjugate_gradients(
            self._apply, load, lambda residual: residual * inverse, start, tolerance, PATIENT, null=null
        )
        return solution + held

    def near(self, residual: Array) -> Array:
        """About the solution (n,), by one cycle of the preconditioner: linear, symmetric and positive."""
        if self.precondition is not None:
            return self.precondition(residual)
        return np.divide(residual, self.main, out=np.zeros_like(residual), where=self.free)

    def _apply(self, u: Array) -> Array:
        image = self.operator(u)
        fused.finish(0, len(image), image, self.diagonal, u, self.free)
        return image
