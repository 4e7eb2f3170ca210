"""The heat equation with SciPy's conjugate gradients, for the peers that assemble SciPy matrices."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

import entry
import works

SOLVER_OPTIONS = ("steps=5", "mass=lumped", "precondition=jacobi", "tolerance=1e-8")


@dataclass(frozen=True)
class Assembled:
    """The semi-discrete equation on the free unknowns: ``mass u' + matrix u = load``.

    ``matrix`` and ``mass`` are SciPy's, the mass diagonal where lumped; ``places``: where to observe.
    """

    matrix: Any
    mass: Any
    load: works.Array
    places: works.Index
    lumped: bool


def on_free(
    matrix: Any, mass: Any, load: works.Array, free: works.Index, probes: works.Index, lumped: bool
) -> Assembled:
    """The equation without its held rows, in the order of ``free``."""
    matrix = matrix.tocsr()
    matrix.data[np.abs(matrix.data) < 1e-14 * np.abs(matrix.data).max()] = 0.0
    matrix.eliminate_zeros()
    place = np.full(len(load), -1)
    place[free] = np.arange(len(free))
    # a probe on the border stays at zero: its place is one past the end
    places = np.where(place[probes] < 0, len(free), place[probes])
    return Assembled(matrix[free][:, free], mass.tocsr()[free][:, free], load[free], places, lumped)


def jacobi(matrix: Any) -> LinearOperator:
    """The diagonal."""
    inverse = 1.0 / matrix.diagonal()
    return LinearOperator(matrix.shape, matvec=lambda r: inverse * r, dtype=float)


def amg(matrix: Any) -> LinearOperator:
    """A cycle of smoothed aggregation (PyAMG)."""
    import pyamg

    return pyamg.smoothed_aggregation_solver(matrix).aspreconditioner()


def solved(
    matrix: Any, rhs: works.Array, guess: works.Array | None, tolerance: float, cycle: LinearOperator
) -> tuple[works.Array, int]:
    """Solution and iterations of one linear system."""
    count = 0

    def one_more(_: works.Array) -> None:
        nonlocal count
        count += 1

    x, info = cg(matrix, rhs, x0=guess, rtol=tolerance, atol=0.0, maxiter=2000, M=cycle, callback=one_more)
    if info:
        raise RuntimeError(f"no convergence in {info} iterations")
    return x, count


def march(options: argparse.Namespace, assemble: Callable[[works.Tetrahedra | None, int, bool], Assembled]) -> None:
    """Assemble, march, report."""
    steps = entry.schedule(options.steps)
    make = {"jacobi": jacobi, "pyamg": amg}[options.precondition]
    total = 0
    given = works.tetrahedra(options.size) if options.work == "tetrahedra" else None

    def prepare() -> tuple[Assembled, dict[float, Any]]:
        problem = assemble(given, options.size, options.mass == "lumped")
        matrices = {step: (problem.matrix + problem.mass * (2.0 / step)).tocsr() for step in set(steps)}
        return problem, {step: (matrix, make(matrix)) for step, matrix in matrices.items()}

    def solver(step: float) -> Callable[[works.Array, works.Array], works.Array]:
        matrix, cycle = solvers[step]

        def solve(rhs: works.Array, guess: works.Array) -> works.Array:
            nonlocal total
            x, count = solved(matrix, rhs, guess, float(options.tolerance), cycle)
            total += count
            return x

        return solve

    setup, (problem, solvers) = entry.timed(prepare)
    diagonal = problem.mass.diagonal()
    mass = (lambda u: diagonal * u) if problem.lumped else (lambda u: problem.mass @ u)
    stepper = entry.CrankNicolson(mass, problem.load, solver)
    seconds, seen = entry.repeated(lambda: stepper.march(steps, lambda u: np.append(u, 0.0)[problem.places].tolist()))
    errors = (
        entry.centre_errors([values[0] for values in seen])
        if options.work == "gaussian"
        else entry.probe_errors(options.size, seen)
    )
    entry.finish(
        setup=setup,
        solve=seconds,
        errors=errors,
        steps=len(steps),
        iterations=total // len(seconds),
        nodes=(options.size + 1) ** 3,
    )
