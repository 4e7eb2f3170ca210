"""Preconditioned conjugate gradients on callables: the one linear solver of every engine.

The update of the direction is the flexible one (Polak-Ribiere), so the preconditioner may change from one iteration
to the next, like a multigrid cycle in float32 or with inner iterations: Y. Notay, Flexible conjugate gradients,
SIAM J. Sci. Comput. 22 (2000) 1444-1460. As ``r_old - r_new = alpha A p``, it costs one more dot product and no memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thermal.engine import NotConvergedError, inner
from thermal.engines import fused
from thermal.units import Array

Apply = Callable[[Array], Array]
"""A linear map (n,) -> (n,); may return a buffer of its own that stays as it is until its next call."""


def conjugate_gradients(
    apply: Apply,
    rhs: Array,
    precondition: Apply | None = None,
    guess: Array | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 500,
    *,
    level: Apply | None = None,
) -> tuple[Array, int]:
    """Solve ``A x = rhs`` for symmetric positive (semi-)definite ``A``; returns ``x`` (n,) and the iterations used.

    Converged means that the true residual, recomputed from ``x``, is at most ``tolerance * |rhs|`` (Euclidean norms).
    A zero right-hand side gives zero at once.

    ``level`` gives the part of an array in the kernel of a singular ``A`` (the mean over the connected nodes of a pure
    Neumann problem): ``x`` is then the solution orthogonal to it (of zero mean). The right-hand side must be in the
    range of ``A``.

    Raises :class:`~thermal.engine.NotConvergedError` with figures and advice; never returns an unconverged vector.
    """
    size = float(np.sqrt(inner(rhs, rhs)))
    if not np.isfinite(size):
        raise NotConvergedError("the right-hand side of a linear solve is not finite; look for NaN in the sources")
    x = np.zeros(rhs.shape) if guess is None else np.array(guess, dtype=float)
    if size == 0.0:
        x[...] = 0.0
        return x, 0
    goal = tolerance * size
    if level is not None:
        unbalanced = level(rhs)
        imbalance = float(np.sqrt(inner(unbalanced, unbalanced)))
        if imbalance > max(goal, 1e-12 * size):
            raise NotConvergedError(
                f"the sources do not balance (their sum is {imbalance / size:.1e} of their norm) and nothing fixes the "
                "level of the solution; hold it somewhere (a fixed boundary) or add an uptake term"
            )
        rhs = rhs - unbalanced

    done = 0
    previous = np.inf
    while True:
        if level is not None:
            x -= level(x)
        residual = rhs.copy() if guess is None and not done else rhs - apply(x)
        norm = float(np.sqrt(inner(residual, residual)))
        if norm <= goal:
            return x, done
        if not np.isfinite(norm):
            raise NotConvergedError("the operator or the guess of a linear solve is not finite; check the coefficients")
        if norm >= 0.5 * previous:
            raise NotConvergedError(
                f"the residual stays at {norm / size:.1e} of the right-hand side by round-off, {tolerance:.1e} was "
                f"asked for ({done} iterations); loosen the tolerance above that or lessen the coefficients' contrast"
            )
        previous = norm if done else np.inf
        done = _sweep(apply, precondition, level, x, residual, goal, size, done, max_iterations)


def _sweep(
    apply: Apply,
    precondition: Apply | None,
    level: Apply | None,
    x: Array,
    residual: Array,
    goal: float,
    size: float,
    done: int,
    max_iterations: int,
) -> int:
    """Iterate on ``x`` in place until the recurred residual meets ``goal``; returns the iterations done so far."""
    direction = image = None
    step, energy = 0.0, 1.0
    norm = float(np.sqrt(inner(residual, residual)))
    while norm > goal:
        if done >= max_iterations:
            raise NotConvergedError(
                f"conjugate gradients reached {norm / size:.1e} of the right-hand side in {done} iterations, "
                f"{goal / size:.1e} was asked for; use a better preconditioner or a milder contrast of coefficients, "
                "or raise max_iterations"
            )
        z = residual if precondition is None else precondition(residual)
        if level is not None:
            z = z - level(z)
        if direction is None or image is None:
            energy, direction = fused.dot(z, residual), z.astype(np.float64)
        else:
            overlap, after = fused.pair(z, image, residual)
            gain, energy = -step * overlap / energy, after
            fused.turn(0, len(direction), direction, gain, z)
        image = apply(direction)
        curvature = fused.dot(direction, image)
        if not (curvature > 0.0 and energy > 0.0):
            culprit = "operator" if energy > 0.0 else "preconditioner"
            raise NotConvergedError(
                f"the {culprit} is not positive definite or not finite (curvature {curvature:.1e}, energy {energy:.1e} "
                f"after {done} iterations, residual {norm / size:.1e}); check that coefficients are positive and "
                "that a pure Neumann problem is held somewhere"
            )
        step = energy / curvature
        norm = float(np.sqrt(fused.advance(x, residual, direction, image, step)))
        done += 1
        if not np.isfinite(norm):
            raise NotConvergedError(f"the residual became {norm} after {done} iterations; check the coefficients")
    return done
