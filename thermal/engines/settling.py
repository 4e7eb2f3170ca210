"""Displacement and pressure at once: the equations of one implicit step of consolidation.

``A u = s B^T p`` and ``s B u + (K + D) p = f``, with ``s^2`` the weight of what pores take up. With the sign of the
first row turned they are symmetric with a positive and a negative block, which a factorisation takes in any order of
the unknowns (R. J. Vanderbei, SIAM J. Optim. 5 (1995) 100, doi:10.1137/0805005, unverified), and minimal residuals
with a positive preconditioner: a cycle of multigrid for the displacements, and for the pressures each node giving way
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import LinearOperator, minres, splu

from thermal.engine import NotConvergedError
from thermal.engines.graph import GraphOperator
from thermal.units import Array, Mask

ITERATIONS, ROUNDS = 1000, 10
"""Of one round, and rounds that start anew from the residual."""

Solve = Callable[[Array], Array]


@dataclass(frozen=True)
class Settling:
    """Prepared but for the right-hand side. The unknowns are displacements (k,), then pressures at the nodes that are
    ``free`` (n,), in units of ``scale`` (k + f,); ``invert`` solves for them to a relative residual."""

    scale: Array
    free: Mask
    invert: Callable[[Array, float], Array]

    @staticmethod
    def direct(
        stiffness: Any, coupling: Any, operator: GraphOperator, diagonal: Array, weight: float, free: Mask
    ) -> Settling:
        """By a factorisation: ``stiffness`` A (k, k), ``coupling`` B (n, k), ``operator`` K and ``diagonal`` D (n,)."""
        system, scale = _system(stiffness, coupling, operator, diagonal, weight, free)
        factors = splu(
            sparse.csc_matrix(system),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

        def invert(rhs: Array, _tolerance: float) -> Array:
            found = np.asarray(factors.solve(rhs))
            return np.asarray(found + factors.solve(rhs - system @ found))

        return Settling(scale, free, invert)

    @staticmethod
    def iterative(
        stiffness: Any,
        coupling: Any,
        operator: GraphOperator,
        diagonal: Array,
        weight: float,
        free: Mask,
        cycle: Solve,
        local: Solve,
    ) -> Settling:
        """By minimal residuals with ``cycle`` (k,) -> (k,) for the displacements and ``local`` (n,) -> (n,) for the
        pressures. Solves raise :class:`~thermal.engine.NotConvergedError`."""
        system, scale = _system(stiffness, coupling, operator, diagonal, weight, free)
        size, nodes = stiffness.shape[0], np.flatnonzero(free)

        def near(residual: Array) -> Array:
            whole = residual / scale
            pressed = np.zeros(len(free))
            pressed[nodes] = whole[size:]
            return np.concatenate([cycle(whole[:size]), local(pressed)[nodes]]) / scale

        preconditioner = LinearOperator(system.shape, matvec=near, dtype=float)

        def invert(rhs: Array, tolerance: float) -> Array:
            found: Array = np.zeros_like(rhs)
            left = rhs
            size = norm = float(np.linalg.norm(rhs))
            for _ in range(ROUNDS):
                share = 0.1 * tolerance * size / norm
                found = found + minres(system, left, M=preconditioner, rtol=share, maxiter=ITERATIONS)[0]
                left = rhs - system @ found
                norm = float(np.linalg.norm(left))
                if norm <= tolerance * size:
                    return found
            raise NotConvergedError(
                f"displacement and pressure together: the residual stays at {norm / size:.1e} of the right-hand side, "
                f"{tolerance:.1e} was asked for; mend thin cells, or lessen the contrast of the moduli"
            )

        return Settling(scale, free, invert)

    def __call__(self, rhs: Array, tolerance: float) -> Array:
        """(n,) Pa, zero where the pressure is held; ``tolerance`` of the residual, relative."""
        out = np.zeros_like(rhs)
        if rhs[self.free].any():
            first = len(self.scale) - np.count_nonzero(self.free)
            load = np.zeros_like(self.scale)
            load[first:] = -self.scale[first:] * rhs[self.free]
            out[self.free] = (self.scale * self.invert(load, tolerance))[first:]
        return out


def _system(
    stiffness: Any, coupling: Any, operator: GraphOperator, diagonal: Array, weight: float, free: Mask
) -> tuple[Any, Array]:
    """The matrix with a diagonal of ones, and the scale that makes it so."""
    nodes = np.flatnonzero(free)
    across = -np.sqrt(weight) * sparse.csr_matrix(coupling)[nodes]
    pressures = -sparse.csr_matrix(operator.matrix(diagonal))[nodes][:, nodes]
    whole = sparse.block_array([[stiffness, across.T], [across, pressures]], format="csr")
    scale = np.abs(whole.diagonal()) ** -0.5
    weights = sparse.diags_array(scale)
    return sparse.csr_matrix(weights @ whole @ weights), scale
