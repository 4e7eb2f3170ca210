"""Steady fields on a graph: elimination of held nodes around the shared conjugate-gradient solver."""

from __future__ import annotations

import logging

import numpy as np

from thermal.engine import NotConvergedError, Operator
from thermal.engines.linear import Apply, conjugate_gradients
from thermal.units import Array, Mask

QUICK = 80
"""Iterations granted to a multigrid preconditioner; more than this only where coefficients defeat it."""
PATIENT = 20_000
"""Iterations granted to the diagonal."""

_log = logging.getLogger("thermal")


def solve_graph(
    operator: Operator,
    diagonal: Array,
    rhs: Array,
    *,
    active: Mask,
    fixed: Mask | None = None,
    values: Array | None = None,
    guess: Array | None = None,
    tolerance: float = 1e-9,
    precondition: Apply | None = None,
) -> Array:
    """Solve ``(K + diag(diagonal)) u = rhs`` on the ``active`` nodes with ``u = values`` where ``fixed``.

    All arrays are (n,). ``precondition`` maps residuals of the free nodes; where it fails to converge in :data:`QUICK`
    iterations, and where there is none, the diagonal serves. When nothing holds the level of the solution
    (no fixed node, zero ``diagonal``), the solution of zero mean is returned, provided that the sources balance.
    Raises :class:`~thermal.engine.NotConvergedError`.
    """
    free = active.copy()
    held = np.zeros_like(rhs)
    if fixed is not None and values is not None:
        free &= ~fixed
        held[fixed & active] = values[fixed & active]
    main = operator.diagonal + diagonal
    free &= main > 0
    load = np.where(free, rhs - operator(held), 0.0)
    inverse = np.divide(1.0, main, out=np.zeros_like(main), where=free)
    level_is_free = not bool(np.any(held != 0) or np.any(diagonal[free] > 0) or (fixed is not None and fixed.any()))

    def apply(u: Array) -> Array:
        image = operator(u)
        image += diagonal * u
        image *= free
        return image

    def jacobi(residual: Array) -> Array:
        return residual * inverse

    start = None if guess is None else np.where(free, guess, 0.0)
    null = free.astype(float) if level_is_free else None
    if precondition is not None:
        try:
            solution, _ = conjugate_gradients(apply, load, precondition, start, tolerance, QUICK, null=null)
            return solution + held
        except NotConvergedError:
            _log.debug("the preconditioner did not serve; going on with the diagonal")
    solution, _ = conjugate_gradients(apply, load, jacobi, start, tolerance, PATIENT, null=null)
    return solution + held
