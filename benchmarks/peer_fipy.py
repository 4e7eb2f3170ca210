"""FiPy on a regular grid of cells: Crank-Nicolson by implicit half steps, its SciPy conjugate gradients.

    python peer_fipy.py gaussian CELLS      [--steps 5] [--tolerance 1e-8]

FiPy holds cell centres: one cell more than asked for where that is even, so that one lies at the centre of the source.
It has no way to assemble once: every step builds the matrix.
"""

from __future__ import annotations

import os
from typing import Any

os.environ["FIPY_SOLVERS"] = "scipy"

import fipy
import numpy as np
from fipy.solvers.scipy import LinearCGSolver
from fipy.solvers.scipy.preconditioners import JacobiPreconditioner

import entry
import works


def build(cells: int) -> tuple[Any, Any, int]:
    """Equation, unknown, and the cell at the centre."""
    count = cells + 1 - cells % 2
    h = 2.0 * works.HALF_WIDTH / count
    mesh = fipy.Grid3D(nx=count, ny=count, nz=count, dx=h, dy=h, dz=h) - np.full((3, 1), works.HALF_WIDTH)
    theta = fipy.CellVariable(mesh=mesh, value=0.0, hasOld=True)
    theta.constrain(0.0, mesh.exteriorFaces)
    points = np.asarray(mesh.cellCenters.value).T
    heat = fipy.CellVariable(mesh=mesh, value=works.source(points))
    equation = fipy.TransientTerm(coeff=works.CAPACITY) == (
        fipy.DiffusionTerm(coeff=works.CONDUCTIVITY) - fipy.ImplicitSourceTerm(coeff=works.BLOOD) + heat
    )
    return equation, theta, int(np.argmin(np.sum(points**2, axis=1)))


def main() -> None:
    """One work."""
    options = entry.arguments("steps=5", "tolerance=1e-8")
    setup, (equation, theta, centre) = entry.timed(lambda: build(options.size))
    steps = entry.schedule(options.steps)
    solver = LinearCGSolver(
        tolerance=float(options.tolerance), criterion="RHS", iterations=2000, precon=JacobiPreconditioner()
    )

    def march() -> list[float]:
        u = np.zeros(theta.value.size)
        middle = before = u
        now, seen = 0.0, []
        for step in steps:
            theta.setValue(u)
            theta.updateOld()
            theta.setValue(2.0 * middle - before)
            equation.solve(var=theta, solver=solver, dt=0.5 * step)
            before, middle = middle, np.array(theta.value)
            u = 2.0 * middle - u
            now += step
            if any(abs(now - time) < 1e-9 for time in works.OBSERVED):
                seen.append(float(u[centre]))
        return seen

    seconds, seen = entry.repeated(march)
    entry.finish(setup=setup, solve=seconds, errors=entry.centre_errors(seen), steps=len(steps), nodes=theta.value.size)


if __name__ == "__main__":
    main()
