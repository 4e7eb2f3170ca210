"""Steady fields on bodies of parts between which nothing flows, on every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import half_planes
import numpy as np
import pytest
from test_mesh_engine import cube, jittered

from thermal.domain import MeshDomain, VoxelDomain
from thermal.engine import NotConvergedError
from thermal.engines.islands import Joined
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.units import Array

TOLERANCE = 1e-11


def voxels() -> VoxelEngine:
    axes = (np.linspace(0, 1, 5), np.linspace(0, 1, 4), np.linspace(-0.5, 0.5, 13))
    solid = np.ones((4, 3, 12), dtype=bool)
    solid[2:, :, 3] = False
    return VoxelEngine(VoxelDomain(axes, {"all": solid.ravel().astype(float)}, solid.ravel()))


def tetrahedra() -> MeshEngine:
    points, cells = cube(8)
    return MeshEngine(MeshDomain(np.vstack([points, [[9.0, 9.0, 9.0]]]), cells, {}))


def half_plane() -> Any:
    return half_planes.engine(*half_planes.rectangle(np.linspace(0, 0.5, 6), np.linspace(-0.5, 0.5, 13)))


def layered(engine: Any) -> Array:
    """(m,) conductivity of five layers across z: three parts of the body with nothing that conducts between them."""
    z = engine.to_cells(np.ascontiguousarray(engine.points[:, 2]))
    return np.asarray(np.where((np.abs(z + 0.2) < 0.13) | (np.abs(z - 0.2) < 0.13), 0.0, 1.0 + z**2))


def full(k: Array) -> Array:
    """(m, 6) tensors of these conductivities, oblique to the grid."""
    turned = np.array([[1.0, 0.3, 0.0], [0.3, 1.0, 0.2], [0.0, 0.2, 1.0]])
    return np.asarray(k[:, None] * turned[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])


PROBLEMS: dict[str, tuple[Callable[[], Any], Callable[[Any, Array], Any]]] = {
    "voxels": (voxels, lambda engine, k: engine.conductance(k)),
    "tensors on voxels": (voxels, lambda engine, k: engine.tensor_conductance(full(k))),
    "tetrahedra": (tetrahedra, lambda engine, k: engine.conductance(k)),
    "poor tetrahedra": (lambda: jittered(7), lambda engine, k: engine.conductance(k)),
    "half-plane": (half_plane, lambda engine, k: engine.conductance(k)),
}
Problem = tuple[Any, Any, Array, Array]


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    """An engine, its operator, that as a matrix, and for each node the number of its part, -1 for nodes of none."""
    make, conductance = PROBLEMS[request.param]
    engine = make()
    operator = conductance(engine, layered(engine))
    matrix = np.stack([operator(unit) for unit in np.eye(len(engine.volume))], axis=1)
    z = engine.points[:, 2]
    part = np.where(np.diag(matrix) > 0, np.where(z < -0.2, 0, np.where(z < 0.2, 1, 2)), -1)
    return engine, operator, matrix, part


def loads(part: Array, balanced: tuple[int, ...]) -> Array:
    """(n,) random, the sum over each of the parts ``balanced`` being zero."""
    load = np.where(part >= 0, np.random.default_rng(3).normal(size=len(part)), 0.0)
    for number in balanced:
        load[part == number] -= load[part == number].mean()
    return load


def test_operators_tell_what_is_connected(problem: Problem) -> None:
    _, operator, _, part = problem
    assert isinstance(operator, Joined)
    label = operator.islands()
    for number in range(3):
        here = np.flatnonzero(part == number)
        assert len(here) > 15
        assert np.all(label[here] == here[0])
    alone = np.flatnonzero(part < 0)
    assert len(alone) > 0
    np.testing.assert_array_equal(label[alone], alone)


def test_each_part_has_its_own_level(problem: Problem) -> None:
    """One part holds nodes, one takes up fluid at a node, and one does neither: it has the mean zero."""
    engine, operator, matrix, part = problem
    load, fixed, diagonal = loads(part, (1,)), np.zeros(len(part), bool), np.zeros(len(part))
    fixed[np.flatnonzero(part == 0)[:5]] = True
    diagonal[np.flatnonzero(part == 2)[7]] = 0.7
    values, rng = np.where(fixed, 3.0, 0.0), np.random.default_rng(5)
    u = engine.solve(
        operator, diagonal, load, fixed=fixed, values=values, guess=rng.normal(size=len(part)), tolerance=TOLERANCE
    )
    expected = np.where(fixed, 3.0, 0.0)
    free = (part >= 0) & ~fixed
    system = (matrix + np.diag(diagonal))[np.ix_(free, free)]
    expected[free] = np.linalg.pinv(system, rcond=1e-11, hermitian=True) @ (load - matrix @ values)[free]
    np.testing.assert_allclose(u, expected, atol=1e-8 * np.abs(expected).max())
    assert abs(u[part == 1].mean()) < 1e-10


def test_no_part_has_a_level(problem: Problem) -> None:
    engine, operator, matrix, part = problem
    load = loads(part, (0, 1, 2))
    u = engine.solve(operator, 0 * load, load, tolerance=TOLERANCE)
    assert np.linalg.norm(matrix @ u - load) <= 2 * TOLERANCE * np.linalg.norm(load)
    for number in range(3):
        assert abs(u[part == number].mean()) < 1e-10 * np.abs(u).max()


def test_sources_that_balance_in_sum_alone_are_refused(problem: Problem) -> None:
    """As much is put into one part as is taken out of another."""
    engine, operator, _, part = problem
    load = np.where(part == 0, 1.0 / np.sum(part == 0), np.where(part == 2, -1.0 / np.sum(part == 2), 0.0))
    with pytest.raises(NotConvergedError, match=r"do not balance .* on \d+ nodes around node \d+ where nothing fixes"):
        engine.solve(operator, 0 * load, load)


def test_little_put_into_a_part_is_refused_beside_much(problem: Problem) -> None:
    """A residual that is small beside the load of the rest had been taken for an answer."""
    engine, operator, _, part = problem
    load, fixed = 1e9 * (part == 0) + 1.0 * (part == 2), np.zeros(len(part), bool)
    fixed[np.flatnonzero(part == 0)[:5]] = True
    with pytest.raises(NotConvergedError, match=f"on {np.sum(part == 2)} nodes around"):
        engine.solve(operator, 0 * load, load, fixed=fixed, values=0 * load)


def test_nodes_that_conduct_nothing_bear_no_load(problem: Problem) -> None:
    """What was put there had been lost without a word."""
    engine, operator, _, part = problem
    load, fixed = (part == 0).astype(float), np.zeros(len(part), bool)
    fixed[np.flatnonzero(part == 0)[:5]] = True
    idle = np.flatnonzero(part < 0)
    load[idle[[-1, 0]]] = 1e-3
    text = f"2 of {len(part)} nodes carry a load .* the first is node {idle[0]} with 0.001: it cannot go anywhere"
    with pytest.raises(ValueError, match=text):
        engine.solve(operator, 0 * load, load, fixed=fixed, values=0 * load)
    # one that is prescribed may, and one that takes up what comes has an equation
    fixed[idle[0]] = True
    takes = engine.volume * 0.0
    takes[idle[-1]] = 1e-3 * (engine.volume[idle[-1]] > 0)
    if takes.any():
        u = engine.solve(operator, takes, load, fixed=fixed, values=0 * load)
        assert u[idle[-1]] == pytest.approx(1.0)


def test_coefficients_that_vanish_cut_a_part_off() -> None:
    """A solver that is adapted to other coefficients looks anew."""
    engine = voxels()
    nothing, fixed = np.zeros(len(engine.volume)), engine.points[:, 2] == -0.5
    solver = engine.solver(engine.conductance(np.ones(len(engine.cell_volume))), nothing, fixed=fixed)
    far = (engine.points[:, 2] == 0.5).astype(float)
    assert solver.solve(far).max() > 0.0
    with pytest.raises(NotConvergedError, match="do not balance"):
        solver.adapted(engine.conductance(layered(engine)), nothing).solve(far)
