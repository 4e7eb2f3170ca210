"""DOLFINx with PETSc: assembled once, conjugate gradients; ``mpiexec -n 2 python peer_dolfinx.py ...`` for two ranks.

    python peer_dolfinx.py gaussian CELLS      [--steps 5] [--mass lumped|consistent] [--tolerance 1e-8] [--pc jacobi]
    python peer_dolfinx.py tetrahedra CELLS    the same
    python peer_dolfinx.py MEDIUM CELLS        elliptic, PETSc alone: conjugate gradients with GAMG

Crank-Nicolson in its midpoint form, ``(2 M / dt + A) m = 2 M u / dt + f``, ``u' = 2 m - u``: one matrix, no product
with ``A`` on the right, and a guess extrapolated from the last two steps. With ``lumped`` mass by vertex quadrature,
which on bricks leaves seven of the 27 entries of a row: the zeros are dropped.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from mpi4py import MPI  # first: it brings the MPI library that everything else needs

import basix.ufl  # isort: skip
import dolfinx.fem.petsc
import numpy as np
import ufl
from dolfinx import fem, mesh
from petsc4py import PETSc

import entry
import works

COMM = MPI.COMM_WORLD


def finish(setup: float, solve: list[float], errors: dict[str, float], **more: Any) -> None:
    """The last line, by rank 0: the slowest rank's time, the memory of all."""
    memory = COMM.allreduce(entry.peak_memory())
    if COMM.rank == 0:
        entry.finish(setup=setup, solve=solve, errors=errors, memory=memory, ranks=COMM.size, **more)


def seven_points(matrix: PETSc.Mat) -> PETSc.Mat:
    """The same matrix without the zeros of its pattern."""
    first, after = matrix.getOwnershipRange()
    starts, columns, values = matrix.getValuesCSR()
    keep = np.abs(values) > 1e-14 * np.abs(values).max()
    starts = np.concatenate([[0], np.cumsum(keep)])[starts].astype(PETSc.IntType)
    result = PETSc.Mat().createAIJ(
        ((after - first, None), (after - first, None)), csr=(starts, columns[keep], values[keep]), comm=COMM
    )
    matrix.destroy()
    return result


def cube(cells: int) -> tuple[mesh.Mesh, tuple[Any, Any, Any]]:
    """Bricks and their constant numbers."""
    corner = [works.HALF_WIDTH] * 3
    domain = mesh.create_box(COMM, [[-c for c in corner], corner], [cells] * 3, mesh.CellType.hexahedron)
    numbers = (works.CONDUCTIVITY, works.CAPACITY, works.BLOOD)
    return domain, tuple(fem.Constant(domain, value) for value in numbers)


def unstructured(given: works.Tetrahedra) -> tuple[mesh.Mesh, tuple[Any, Any, Any]]:
    """The tetrahedra, each rank handing over its part of the file, and their numbers as functions of the cells."""
    cells, points = (np.array_split(a, COMM.size)[COMM.rank] for a in (given.cells, given.points))
    element = basix.ufl.element("Lagrange", "tetrahedron", 1, shape=(3,))
    domain = mesh.create_mesh(COMM, cells, element, points)
    constant = fem.functionspace(domain, ("DG", 0))
    numbers = []
    for values in (given.conductivity, given.capacity, given.blood):
        function = fem.Function(constant)
        function.x.array[:] = values[domain.topology.original_cell_index]
        numbers.append(function)
    return domain, tuple(numbers)


def assemble(given: works.Tetrahedra | None, cells: int, lumped: bool) -> tuple[Any, ...]:
    """Stiffness with perfusion, mass, load, rows held at zero, (probe, local unknown) pairs of this rank; and the
    space, whose communicator the vectors use and which must outlive them."""
    domain, (conductivity, capacity, blood) = cube(cells) if given is None else unstructured(given)
    space = fem.functionspace(domain, ("Lagrange", 1))
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    rule = {"quadrature_rule": "vertex", "quadrature_degree": 1} if lumped else {"quadrature_degree": 2}
    dx = ufl.dx(metadata=rule)
    domain.topology.create_connectivity(2, 3)
    facets = mesh.exterior_facet_indices(domain.topology)
    held = fem.locate_dofs_topological(space, 2, facets)
    wall = fem.dirichletbc(PETSc.ScalarType(0.0), held, space)
    form = conductivity * ufl.inner(ufl.grad(u), ufl.grad(v)) * dx + blood * u * v * dx
    A = dolfinx.fem.petsc.assemble_matrix(fem.form(form), bcs=[wall])
    A.assemble()
    heat = fem.Function(space)
    points = space.tabulate_dof_coordinates()
    heat.x.array[:] = works.source(points)
    b = dolfinx.fem.petsc.assemble_vector(fem.form(heat * v * dx))
    b.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    if lumped:
        M = dolfinx.fem.petsc.assemble_vector(fem.form(capacity * v * dx))
        M.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        if given is None:
            A = seven_points(A)
    else:
        M = dolfinx.fem.petsc.assemble_matrix(fem.form(capacity * u * v * dx), bcs=[wall])
        M.assemble()
    local = space.dofmap.index_map.size_local
    wanted = np.zeros((1, 3)) if given is None else given.points[given.probes]
    pairs = []
    for probe, point in enumerate(wanted):
        apart = np.sum((points[:local] - point) ** 2, axis=1)
        nearest = int(np.argmin(apart))
        if apart[nearest] < 1e-16:
            pairs.append((probe, nearest))
    return A, M, b, held[held < local], pairs, space


def solver(A: PETSc.Mat, M: PETSc.Mat | PETSc.Vec, held: Any, step: float, options: Any) -> PETSc.KSP:
    """Conjugate gradients for one length of step."""
    matrix = A.copy()
    if isinstance(M, PETSc.Vec):
        shift = M * (2.0 / step)
        shift.array[held] = 0.0
        matrix.setDiagonal(matrix.getDiagonal() + shift)
    else:
        matrix.axpy(2.0 / step, M, PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
    ksp = PETSc.KSP().create(COMM)
    ksp.setOperators(matrix)
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.NATURAL if options.norm == "natural" else PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.getPC().setType(options.pc)
    ksp.setTolerances(rtol=float(options.tolerance), max_it=2000)
    ksp.setInitialGuessNonzero(True)
    ksp.setUp()
    return ksp


def heat(work: str, cells: int, options: Any) -> None:
    """The heat equation in time."""
    steps = entry.schedule(options.steps)
    given = works.tetrahedra(cells) if work == "tetrahedra" else None
    COMM.barrier()

    def prepare() -> tuple[Any, ...]:
        A, M, b, held, pairs, space = assemble(given, cells, options.mass == "lumped")
        b.array[held] = 0.0
        kept = {step: solver(A, M, held, step, options) for step in set(steps)}
        A.destroy()
        return kept, M, b, held, pairs, space

    setup, (kept, M, b, _held, pairs, _space) = entry.timed(prepare)
    u, middle, before, rhs = (b.duplicate() for _ in range(4))
    total = 0

    def march() -> list[list[float]]:
        nonlocal total, u, middle, before
        for vector in (u, middle, before):
            vector.set(0.0)
        now, seen, total = 0.0, [], 0
        for step in steps:
            ksp = kept[step]
            if isinstance(M, PETSc.Vec):
                rhs.pointwiseMult(M, u)
            else:
                M.mult(u, rhs)
            rhs.aypx(2.0 / step, b)
            before.aypx(-1.0, middle)
            before.axpy(1.0, middle)  # 2 middle - before
            ksp.solve(rhs, before)
            assert ksp.getConvergedReason() > 0, ksp.getConvergedReason()
            total += ksp.getIterationNumber()
            middle, before = before, middle
            u.aypx(-1.0, middle)
            u.axpy(1.0, middle)
            now += step
            if any(abs(now - time) < 1e-9 for time in works.OBSERVED):
                mine = [(probe, float(u.array[place])) for probe, place in pairs]
                seen.append([value for _, value in sorted(chain.from_iterable(COMM.allgather(mine)))])
        return seen

    seconds: list[float] = []
    while len(seconds) < entry.REPEATS and (not seconds or COMM.bcast(sum(seconds)) < entry.ENOUGH):
        COMM.barrier()
        taken, seen = entry.timed(march)
        seconds.append(taken)
    errors = (
        entry.centre_errors([values[0] for values in seen]) if work == "gaussian" else entry.probe_errors(cells, seen)
    )
    finish(setup, seconds, errors, steps=len(steps), iterations=total, nodes=u.getSize())


def graph(name: str, cells: int) -> tuple[PETSc.Mat, PETSc.Vec]:
    """The 7-point matrix and right-hand side of a steady field, grounded nodes left out; rows of this rank only."""
    plane = (cells + 1) ** 2
    layers = np.array_split(np.arange(1, cells + 1), COMM.size)[COMM.rank]
    gx, gy, gz = works.edges(works.medium(name, cells), cells)
    low, high = layers[0], layers[-1] + 1
    shape = (high - low, cells + 1, cells + 1)
    number = np.arange((low - 1) * plane, (high - 1) * plane).reshape(shape)
    columns = np.stack(
        [number - plane, number - cells - 1, number - 1, number, number + 1, number + cells + 1, number + plane],
        axis=-1,
    )
    values = np.zeros((*shape, 7))
    values[..., 0] = -gx[low - 1 : high - 1]
    values[: shape[0] - (high == cells + 1), ..., 6] = -gx[low:high]
    values[:, 1:, :, 1] = -gy[low:high]
    values[:, :-1, :, 5] = -gy[low:high]
    values[:, :, 1:, 2] = -gz[low:high]
    values[:, :, :-1, 4] = -gz[low:high]
    values[..., 3] = -values.sum(axis=-1)
    there = values != 0.0
    there[..., 0] &= number >= plane
    starts = np.concatenate([[0], np.cumsum(there.reshape(-1, 7).sum(axis=1))]).astype(PETSc.IntType)
    size = (number.size, plane * cells)
    csr = (starts, columns[there].astype(PETSc.IntType), values[there])
    matrix = PETSc.Mat().createAIJ((size, size), csr=csr, comm=COMM)
    rhs = matrix.createVecRight()
    rhs.array[:] = works.charge(cells).reshape((cells + 1,) * 3)[low:high].ravel()
    return matrix, rhs


def elliptic(name: str, cells: int) -> None:
    """A steady field on the regular cube, from the same conductances as everyone; making the preconditioner is part of
    the solve."""
    COMM.barrier()
    setup, (matrix, rhs) = entry.timed(lambda: graph(name, cells))
    COMM.barrier()

    def solve() -> tuple[PETSc.KSP, PETSc.Vec]:
        ksp = PETSc.KSP().create(COMM)
        ksp.setOperators(matrix)
        ksp.setType("cg")
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ksp.getPC().setType("gamg")
        ksp.setTolerances(rtol=1e-8, max_it=1000)
        x = rhs.duplicate()
        ksp.solve(rhs, x)
        return ksp, x

    seconds, (ksp, x) = entry.timed(solve)
    left = rhs.copy()
    left.axpy(-1.0, matrix * x)
    residual = left.norm() / rhs.norm()
    finish(setup, [seconds], {"residual": residual}, iterations=ksp.getIterationNumber(), nodes=(cells + 1) ** 3)


def main() -> None:
    """One work."""
    options = entry.arguments("steps=5", "mass=lumped", "tolerance=1e-8", "pc=jacobi", "norm=unpreconditioned")
    if options.work in works.MEDIA:
        elliptic(options.work, options.size)
    else:
        heat(options.work, options.size, options)


if __name__ == "__main__":
    main()
