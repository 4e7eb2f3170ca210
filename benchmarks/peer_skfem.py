"""scikit-fem with SciPy: Crank-Nicolson, assembled once, conjugate gradients with the diagonal or with PyAMG.

python peer_skfem.py gaussian CELLS      [--steps 5] [--mass lumped|consistent] [--precondition jacobi|pyamg]
python peer_skfem.py tetrahedra CELLS    the same
python peer_skfem.py MEDIUM CELLS        elliptic, conjugate gradients with PyAMG
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sparse
import skfem
from skfem.helpers import dot, grad

import entry
import works
from scipy_heat import SOLVER_OPTIONS, Assembled, amg, march, on_free, solved


def hexahedra(cells: int, lumped: bool) -> tuple[skfem.Basis, works.Array]:
    """Basis of the regular cube, in vertex quadrature where lumped, and its points (n, 3)."""
    axis = np.linspace(-works.HALF_WIDTH, works.HALF_WIDTH, cells + 1)
    mesh = skfem.MeshHex.init_tensor(axis, axis, axis)
    corners = skfem.ElementHex1().doflocs.T
    quadrature = {"quadrature": (corners, np.full(8, 0.125))} if lumped else {"intorder": 2}
    return skfem.Basis(mesh, skfem.ElementHex1(), **quadrature), mesh.p.T


def assemble(given: works.Tetrahedra | None, cells: int, lumped: bool) -> Assembled:
    """Forms on the tetrahedra, or on bricks without them."""
    numbers: list[Any]
    if given is None:
        basis, points = hexahedra(cells, lumped)
        numbers = [np.full((1, 1), value) for value in (works.CONDUCTIVITY, works.CAPACITY, works.BLOOD)]
        held = (np.abs(points) > works.HALF_WIDTH * (1 - 1e-9)).any(axis=1)
        free, probes = np.flatnonzero(~held), np.array([int(np.argmin(np.sum(points**2, axis=1)))])
    else:
        order, number = works.in_order(given.points)
        turn = np.argsort(number[given.cells].min(axis=1), kind="stable")
        points, cells_ = given.points[order], number[given.cells[turn]]
        mesh = skfem.MeshTet(points.T.copy(), cells_.T.copy(), validate=False)
        basis = skfem.Basis(mesh, skfem.ElementTetP1(), intorder=1 if lumped else 2)
        numbers = [a[turn][:, None] for a in (given.conductivity, given.capacity, given.blood)]
        free, probes = np.flatnonzero(~given.held[order]), number[given.probes]
    k, c, b = (np.broadcast_to(a, (basis.nelems, basis.X.shape[-1])) for a in numbers)
    one = np.ones_like(k)
    if lumped:
        shares = skfem.LinearForm(lambda v, w: w.k * v)
        stiffness = skfem.BilinearForm(lambda u, v, w: w.k * dot(grad(u), grad(v))).assemble(basis, k=k)
        matrix = stiffness + sparse.diags(shares.assemble(basis, k=b))
        mass = sparse.diags(shares.assemble(basis, k=c))
        load = shares.assemble(basis, k=one) * works.source(points)
    else:
        form = skfem.BilinearForm(lambda u, v, w: w.k * dot(grad(u), grad(v)) + w.b * u * v)
        product = skfem.BilinearForm(lambda u, v, w: w.c * u * v)
        matrix, mass = form.assemble(basis, k=k, b=b), product.assemble(basis, c=c)
        load = product.assemble(basis, c=one) @ works.source(points)
    return on_free(matrix, mass, load, free, probes, lumped)


def graph(name: str, cells: int) -> tuple[Any, works.Array]:
    """Matrix and right-hand side of a steady field, from the same conductances as everyone."""
    number = np.arange((cells + 1) ** 3).reshape((cells + 1,) * 3)
    pairs = []
    for axis, g in enumerate(works.edges(works.medium(name, cells), cells)):
        low, high = number.take(range(cells), axis), number.take(range(1, cells + 1), axis)
        pairs.append((low.ravel(), high.ravel(), g.ravel()))
    i, j, g = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    off = sparse.coo_matrix((-g, (i, j)), shape=(number.size, number.size)).tocsr()
    off = off + off.T
    matrix = (off - sparse.diags(np.asarray(off.sum(axis=1)).ravel())).tocsr()
    free = np.flatnonzero(~works.grounded(cells))
    return matrix[free][:, free], works.charge(cells)[free]


def elliptic(name: str, cells: int) -> None:
    """A steady field on the regular cube; making the preconditioner is part of the solve."""
    setup, (matrix, rhs) = entry.timed(lambda: graph(name, cells))
    seconds, (x, iterations) = entry.timed(lambda: solved(matrix, rhs, None, 1e-8, amg(matrix)))
    residual = float(np.linalg.norm(rhs - matrix @ x) / np.linalg.norm(rhs))
    entry.finish(
        setup=setup, solve=[seconds], errors={"residual": residual}, iterations=iterations, nodes=(cells + 1) ** 3
    )


def main() -> None:
    """One work."""
    options = entry.arguments(*SOLVER_OPTIONS)
    if options.work in works.MEDIA:
        elliptic(options.work, options.size)
    else:
        march(options, assemble)


if __name__ == "__main__":
    main()
