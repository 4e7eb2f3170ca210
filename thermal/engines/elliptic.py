"""Steady fields on a graph: elimination of held nodes around the shared conjugate-gradient solver."""

from __future__ import annotations

import numpy as np

from thermal.engine import Operator
from thermal.engines.linear import Apply, conjugate_gradients
from thermal.units import Array, Mask


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

    All arrays are (n,). Without a preconditioner the diagonal is used. When nothing holds the level of the solution
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
    solution, _ = conjugate_gradients(
        apply,
        load,
        precondition or jacobi,
        start,
        tolerance,
        max_iterations=20_000,
        null=free.astype(float) if level_is_free else None,
    )
    return solution + held
