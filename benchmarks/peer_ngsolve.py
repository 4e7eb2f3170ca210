"""NGSolve: Crank-Nicolson, assembled once, its own conjugate gradients with its own diagonal preconditioner.

python peer_ngsolve.py gaussian CELLS      [--steps 5] [--tolerance 1e-8] [--threads 2]
python peer_ngsolve.py tetrahedra CELLS    the same
"""

from __future__ import annotations

from typing import Any

import ngsolve as ng
import numpy as np
from netgen.meshing import Mesh as NetgenMesh

import entry
import works

CORNERS = [(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)]
LUMPED = {
    ng.HEX: ng.IntegrationRule(CORNERS, [0.125] * 8),
    ng.TET: ng.IntegrationRule([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], [1.0 / 24.0] * 4),
}
"""Vertex quadrature."""


def bricks(cells: int) -> tuple[works.Array, works.Index]:
    """Points and corners of the regular cube."""
    axis = np.linspace(-works.HALF_WIDTH, works.HALF_WIDTH, cells + 1)
    points = np.stack([a.ravel() for a in np.meshgrid(axis, axis, axis, indexing="ij")], axis=1)
    number = np.arange((cells + 1) ** 3).reshape((cells + 1,) * 3)
    ring = ((0, 0), (1, 0), (1, 1), (0, 1))
    ends = [slice(0, cells), slice(1, cells + 1)]
    corners = [number[ends[i], ends[j], ends[k]].ravel() for k in (0, 1) for i, j in ring]
    return points, np.stack(corners, axis=1)


def made_of(points: works.Array, cells: works.Index) -> ng.Mesh:
    """A mesh from arrays."""
    mesh = NetgenMesh(dim=3)
    mesh.AddPoints(np.ascontiguousarray(points))
    mesh.AddRegion("tissue", 3)
    mesh.AddElements(dim=3, index=1, data=np.ascontiguousarray(cells.astype(np.int32)), base=0)
    return ng.Mesh(mesh)


def field(mesh: ng.Mesh, values: works.Array) -> ng.GridFunction:
    """A number in every cell."""
    function = ng.GridFunction(ng.L2(mesh, order=0))
    function.vec.FV().NumPy()[:] = values
    return function


class Problem:
    """What is assembled once."""

    def __init__(self, given: works.Tetrahedra | None, cells: int, options: Any) -> None:
        """Forms, and a solver for every length of step."""
        if given is None:
            points, corners = bricks(cells)
            self.mesh = made_of(points, corners)
            conductivity, capacity, blood = (
                ng.CoefficientFunction(value) for value in (works.CONDUCTIVITY, works.CAPACITY, works.BLOOD)
            )
            held = (np.abs(points) > works.HALF_WIDTH * (1 - 1e-9)).any(axis=1)
            self.probes = [int(np.argmin(np.sum(points**2, axis=1)))]
        else:
            order, number = works.in_order(given.points)
            turn = np.argsort(number[given.cells].min(axis=1), kind="stable")
            points = given.points[order]
            self.mesh = made_of(points, number[given.cells][turn])
            conductivity, capacity, blood = (
                field(self.mesh, a[turn]) for a in (given.conductivity, given.capacity, given.blood)
            )
            held = given.held[order]
            self.probes = number[given.probes].tolist()
        space = ng.H1(self.mesh, order=1)
        free = ng.BitArray((~held).tolist())
        u, v = space.TnT()
        dx = ng.dx(intrules=LUMPED)
        ones = ng.BilinearForm(capacity * u * v * dx, diagonal=True).Assemble()
        self.mass = ones.mat.AsVector().FV().NumPy().copy()
        heat = ng.GridFunction(space)
        heat.vec.FV().NumPy()[:] = works.source(points)
        self.load = ng.LinearForm(heat * v * dx).Assemble().vec
        self.load.FV().NumPy()[held] = 0.0
        self.solvers = {}
        for step in set(entry.schedule(options.steps)):
            form = ng.BilinearForm(
                conductivity * ng.grad(u) * ng.grad(v) * dx + (blood + (2.0 / step) * capacity) * u * v * dx
            )
            form.Assemble()
            matrix = form.mat
            if given is None:
                rows, columns, values = (np.asarray(part) for part in matrix.COO())
                there = np.abs(values) > 1e-14 * np.abs(values).max()
                matrix = ng.la.SparseMatrixd.CreateFromCOO(
                    rows[there], columns[there], values[there], space.ndof, space.ndof
                )
            jacobi = matrix.CreateSmoother(free)
            self.solvers[step] = ng.krylovspace.CGSolver(
                mat=matrix, pre=jacobi, tol=0.0, atol=1.0, maxiter=2000, printrates=False
            )


def main() -> None:
    """One work."""
    options = entry.arguments("steps=5", "tolerance=1e-8", "threads=2")
    ng.SetNumThreads(int(options.threads))
    given = works.tetrahedra(options.size) if options.work == "tetrahedra" else None
    with ng.TaskManager():
        setup, problem = entry.timed(lambda: Problem(given, options.size, options))
        steps = entry.schedule(options.steps)
        total = 0

        def march() -> list[list[float]]:
            nonlocal total
            total, now, seen = 0, 0.0, []
            rhs, scaled, u, middle, before = (problem.load.CreateVector() for _ in range(5))
            for vector in (u, middle, before):
                vector[:] = 0.0
            mass = problem.mass
            for step in steps:
                rhs.FV().NumPy()[:] = mass * u.FV().NumPy() * (2.0 / step)
                rhs.data += problem.load
                before *= -1.0
                before += 2.0 * middle
                solver = problem.solvers[step]
                scaled.data = solver.pre * rhs
                solver.atol = float(options.tolerance) * float(np.sqrt(ng.InnerProduct(rhs, scaled)))
                solver.Solve(rhs=rhs, sol=before, initialize=False)
                total += solver.iterations
                middle, before = before, middle
                u *= -1.0
                u += 2.0 * middle
                now += step
                if any(abs(now - time) < 1e-9 for time in works.OBSERVED):
                    seen.append([float(u[place]) for place in problem.probes])
            return seen

        seconds, seen = entry.repeated(march)
    gaussian = options.work == "gaussian"
    errors = entry.centre_errors([values[0] for values in seen]) if gaussian else entry.probe_errors(options.size, seen)
    entry.finish(setup=setup, solve=seconds, errors=errors, steps=len(steps), iterations=total, nodes=len(problem.mass))


if __name__ == "__main__":
    main()
