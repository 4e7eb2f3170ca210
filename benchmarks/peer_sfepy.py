"""sfepy, assembled once, with SciPy's conjugate gradients: Crank-Nicolson.

python peer_sfepy.py gaussian CELLS      [--steps 5] [--tolerance 1e-8]
python peer_sfepy.py tetrahedra CELLS    the same
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from sfepy.base.base import output
from sfepy.discrete import Equation, Equations, FieldVariable, Function, Integral, Material
from sfepy.discrete.fem import FEDomain, Field, Mesh
from sfepy.mesh.mesh_generators import gen_block_mesh
from sfepy.terms import Term

import entry
import works
from scipy_heat import SOLVER_OPTIONS, Assembled, march, on_free

BRICK = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)], dtype=float)


def material(name: str, values: works.Array) -> Material:
    """Numbers at the quadrature points, (cells, points of a cell)."""
    given = {"val": values.reshape(-1, 1, 1).copy()}
    function = Function(name, lambda ts, coors, mode=None, **_: given if mode == "qp" else None)
    return Material(name, function=function)


def assemble(given: works.Tetrahedra | None, cells: int, lumped: bool) -> Assembled:
    """Stiffness from sfepy's terms; volumes are the row sums of its mass terms."""
    assert lumped
    output.set_output(quiet=True)
    if given is None:
        width = 2.0 * works.HALF_WIDTH
        mesh = gen_block_mesh([width] * 3, [cells + 1] * 3, [0.0] * 3, name="cube", verbose=False)
        points = mesh.coors
        numbers = [np.full((1, 1), value) for value in (works.CONDUCTIVITY, works.CAPACITY, works.BLOOD)]
        held = (np.abs(points) > works.HALF_WIDTH * (1 - 1e-9)).any(axis=1)
        probes = np.array([int(np.argmin(np.sum(points**2, axis=1)))])
        rule = Integral("i", order="custom", coors=BRICK, weights=np.full(8, 0.125), bounds=(0, 1))
    else:
        order, number = works.in_order(given.points)
        turn = np.argsort(number[given.cells].min(axis=1), kind="stable")
        points, corners = given.points[order], number[given.cells[turn]].astype(np.int32)
        groups = np.zeros(len(points), dtype=np.int32), [np.zeros(len(corners), dtype=np.int32)]
        mesh = Mesh.from_data("tissue", points, groups[0], [corners], groups[1], ["3_4"])
        numbers = [a[turn][:, None] for a in (given.conductivity, given.capacity, given.blood)]
        held, probes = given.held[order], number[given.probes]
        rule = Integral("i", order=2)
    domain = FEDomain("domain", mesh)
    omega = domain.create_region("Omega", "all")
    field = Field.from_args("theta", np.float64, "scalar", omega, approx_order=1)
    u, v = FieldVariable("u", "unknown", field), FieldVariable("v", "test", field, primary_var_name="u")
    shape = (len(mesh.get_conn(mesh.descs[0])), len(rule.get_qp(mesh.descs[0])[1]))
    k, c, b = (material(name, np.broadcast_to(a, shape)) for name, a in zip("kcb", numbers, strict=True))
    one = Material("one", val=1.0)

    def matrix_of(term: str, material: Material) -> sparse.csr_matrix:
        made = Term.new(f"{term}({material.name}.val, v, u)", rule, omega, u=u, v=v, **{material.name: material})
        equations = Equations([Equation("heat", made)])
        equations.time_update(None)
        equations.init_state()
        graph = equations.create_matrix_graph(shape=(field.n_nod, field.n_nod))
        equations.time_update_materials(None, mode="force")
        return equations.eval_tangent_matrices(np.zeros(field.n_nod), graph)

    stiffness = matrix_of("dw_laplace", k)
    volume, mass, losses = (np.asarray(matrix_of("dw_dot", a).sum(axis=1)).ravel() for a in (one, c, b))
    matrix = stiffness + sparse.diags(losses)
    return on_free(matrix, sparse.diags(mass), volume * works.source(points), np.flatnonzero(~held), probes, lumped)


if __name__ == "__main__":
    march(entry.arguments(*SOLVER_OPTIONS), assemble)
