"""Mesh engine: parity with scikit-fem, exact identities, order of convergence, robust transport and location."""

from __future__ import annotations

import tracemalloc
from functools import lru_cache

import numpy as np
import pytest
import skfem
from scipy.spatial import Delaunay
from skfem.models.poisson import laplace

from thermal.domain import SURFACE, Ball, Line, MeshDomain, facets
from thermal.engine import Engine, NotConvergedError
from thermal.engines.graph import LANES
from thermal.engines.mesh import MeshEngine
from thermal.engines.mesh_edges import number_edges
from thermal.engines.spectrum import fastest_mode
from thermal.enthalpy import Conductivity, Enthalpy
from thermal.heat import HeatProblem


def cube(n: int, size: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Structured tetrahedra of a cube centred on zero, n cells a side."""
    mesh = skfem.MeshTet.init_tensor(*([np.linspace(-size / 2, size / 2, n + 1)] * 3))
    return np.ascontiguousarray(mesh.p.T), np.ascontiguousarray(mesh.t.T).astype(np.int64)


@lru_cache(maxsize=4)
def jittered(n: int, seed: int = 0, scale: float = 1.0) -> MeshEngine:
    """A poor mesh of a cube: Delaunay of a shaken grid, with a third of its conductances negative."""
    rng = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*([np.linspace(-0.5, 0.5, n + 1)] * 3), indexing="ij"), axis=-1).reshape(-1, 3)
    inner = np.abs(points) < 0.5 - 1e-9  # nodes on faces and edges move along these
    points[inner] += rng.uniform(-0.35, 0.35, inner.sum()) / n
    cells = Delaunay(points).simplices.astype(np.int64)
    corners = points[cells]
    volume = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6
    cells = cells[volume > 1e-9 / n**3]  # Delaunay also makes cells of four nodes on one face
    share = (points[cells].mean(axis=1)[:, 0] > 0).astype(float)
    west = MeshEngine(MeshDomain(points, cells, {})).mesh.facets.T.astype(np.int64)
    west = west[(points[west][:, :, 0] < -0.5 + 1e-9).all(axis=1)]
    return MeshEngine(MeshDomain(points * scale, cells, {"right": share, "left": 1 - share}, {"west": west}))


def test_satisfies_the_contract() -> None:
    engine: Engine = jittered(4)
    assert engine.window(np.zeros(3), np.ones(3), 0.1).engine is engine


def test_stiffness_equals_scikit_fem() -> None:
    engine = jittered(6)
    k = 10.0 ** np.random.default_rng(1).uniform(-2, 2, len(engine.cells))
    basis = skfem.Basis(skfem.MeshTet(engine.points.T, engine.cells.T), skfem.ElementTetP1())

    @skfem.BilinearForm
    def form(u, v, w):  # type: ignore[no-untyped-def]
        return w.k * laplace.form(u, v, w)

    expected = form.assemble(basis, k=np.broadcast_to(k[:, None], basis.dx.shape)).toarray()
    operator = engine.conductance(k)
    found = np.stack([operator(unit) for unit in np.eye(len(engine.points))], axis=1)
    assert np.abs(found - expected).max() < 1e-13 * np.abs(expected).max()
    # the stored matrix and the diagonal say the same
    np.testing.assert_allclose(operator.matrix(np.zeros(len(expected))).toarray(), found, atol=1e-13 * found.max())
    np.testing.assert_allclose(operator.diagonal, np.diag(expected), rtol=1e-11)
    # lumped volume: the integral of each basis function
    ones = skfem.LinearForm(lambda v, w: v).assemble(basis)
    np.testing.assert_allclose(engine.volume, ones, rtol=1e-13)


def test_unit_coefficient_to_round_off() -> None:
    points, cells = cube(5)
    engine = MeshEngine(MeshDomain(points, cells, {"a": np.ones(len(cells))}))
    basis = skfem.Basis(skfem.MeshTet(points.T, cells.T), skfem.ElementTetP1())
    expected = laplace.assemble(basis).toarray()
    found = engine.conductance(np.ones(len(cells))).matrix(np.zeros(len(points))).toarray()
    assert np.abs(found - expected).max() < 1e-14 * np.abs(expected).max()


def test_operator_identities() -> None:
    engine = jittered(6)
    rng = np.random.default_rng(2)
    k = 10.0 ** rng.uniform(-1, 1, len(engine.cells))
    operator = engine.conductance(k)
    u, v = rng.normal(size=(2, len(engine.points)))
    scale = operator.diagonal.max()
    assert not operator(np.full(len(u), 37.0)).any()  # exactly: differences of equals
    assert abs(operator(u).sum()) < 1e-12 * scale
    assert v @ operator(u) == pytest.approx(u @ operator(v), rel=1e-11)
    assert operator.dissipation(u).sum() == pytest.approx(u @ operator(u), rel=1e-12)
    # a level of 1000 V must not spoil the heat: the edge form sees differences only
    np.testing.assert_allclose(operator.dissipation(u + 1000), operator.dissipation(u), atol=1e-9 * scale)


def test_rows_hold_every_edge_twice() -> None:
    """Each slot names a node of its row and an edge between the two; padding names the node itself and no edge."""
    graph = jittered(14).graph
    rows = graph.rows
    width = np.diff(rows.start)
    assert (width % LANES == 0).all()
    lane = np.arange(len(rows.edge)) % LANES
    part = np.repeat(np.arange(len(width)), width)
    row = np.minimum(part * LANES + lane, graph.size - 1)
    node = rows.node[row].astype(np.int64)
    real = rows.edge < len(graph.edges)
    ends = np.sort(np.stack([node[real], rows.neighbour[real].astype(np.int64)], axis=1), axis=1)
    np.testing.assert_array_equal(ends, graph.edges[rows.edge[real]])
    assert (np.bincount(rows.edge[real], minlength=len(graph.edges)) == 2).all()
    np.testing.assert_array_equal(rows.neighbour[~real], node[~real])
    assert np.sort(rows.node).tolist() == list(range(graph.size))
    assert (~real).mean() < 0.05


def test_single_precision_follows_double() -> None:
    engine = jittered(14)
    operator = engine.conductance(10.0 ** np.random.default_rng(0).uniform(-1, 1, len(engine.cells)))
    u = np.random.default_rng(1).normal(size=len(engine.points))
    for method in (operator, operator.dissipation):
        single = method(u.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, method(u), atol=1e-6 * np.abs(method(u)).max())
    assert not operator(np.full(len(u), 37.1, np.float32)).any()


def test_edges_are_those_of_scikit_fem() -> None:
    engine = jittered(6)
    edges, of_cell = number_edges(engine.cells, len(engine.points))
    np.testing.assert_array_equal(
        edges, np.sort(engine.mesh.edges.T, axis=1)[np.lexsort(np.sort(engine.mesh.edges.T)[:, ::-1].T)]
    )
    pairs = np.array([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
    np.testing.assert_array_equal(edges[of_cell], np.sort(engine.cells[:, pairs], axis=2))
    border = engine.mesh.facets[:, engine.mesh.boundary_facets()].T
    found = facets(engine.cells)
    assert {tuple(sorted(f)) for f in found.outer.tolist()} == {tuple(sorted(f)) for f in border.tolist()}
    assert not len(found.crowded)


def test_spectral_bound_holds_where_twice_the_diagonal_does_not() -> None:
    engine = jittered(7)
    operator = engine.conductance(np.ones(len(engine.cells)))
    assert (operator.conductance < 0).mean() > 0.2  # the mesh is as poor as it should be
    scaled = operator.matrix(np.zeros(len(engine.points))).toarray()
    weights = (np.ones(len(engine.points)), np.random.default_rng(3).uniform(0.01, 1.0, len(engine.points)))
    for bound in (operator.bound, 4 * operator.diagonal, *map(operator.bound_by, weights)):
        root = 1 / np.sqrt(bound)
        assert np.linalg.eigvalsh(root[:, None] * scaled * root).max() <= 1 + 1e-12
    good = MeshEngine(MeshDomain(*cube(3), {}))
    clean = good.conductance(np.ones(len(good.cells)))
    np.testing.assert_allclose(clean.bound, 2 * clean.diagonal, rtol=1e-12)


def test_weights_of_the_fastest_mode_save_stages() -> None:
    """The bound of the rates stays above the fastest, and comes nearer to it than to Gershgorin's."""
    engine = jittered(7)
    cells, nodes = np.ones(len(engine.cells)), np.ones(len(engine.points))
    capacity = 3e6 * (1.0 + engine.points[:, 0] / np.ptp(engine.points[:, 0]))
    problem = HeatProblem(
        Enthalpy(),
        capacity * engine.volume,
        Conductivity(cells, 0 * cells),
        37.0,
        0 * nodes,
        0 * nodes,
        1e4 * engine.volume,
    )
    operator = engine.conductance(cells)
    inverse = 1.0 / (capacity * engine.volume)
    root = np.sqrt(inverse)
    fastest = np.linalg.eigvalsh(root[:, None] * operator.matrix(problem.perfusion).toarray() * root).max()
    plain = float(np.max(inverse * (operator.bound + problem.perfusion)))
    weight = fastest_mode(engine, operator, problem)
    assert weight is not None
    sharp = float(np.max(inverse * (operator.bound_by(weight) + problem.perfusion)))
    assert fastest < sharp < 0.5 * (plain + fastest)


def test_volumes_areas_and_means() -> None:
    engine = jittered(5, scale=0.02)
    assert engine.volume.sum() == pytest.approx(0.02**3, rel=1e-9)
    np.testing.assert_allclose(sum(engine.volumes.values()), engine.volume, rtol=1e-13)
    assert engine.areas[SURFACE].sum() == pytest.approx(6 * 0.02**2, rel=1e-9)
    assert engine.areas["west"].sum() == pytest.approx(0.02**2, rel=1e-9)
    assert engine.areas["west"][engine.points[:, 0] > -0.0099].sum() == 0
    k = np.random.default_rng(0).random(len(engine.cells))
    assert engine.to_nodes(k) @ engine.volume == pytest.approx(k @ engine.cell_volume, rel=1e-13)
    np.testing.assert_allclose(engine.to_nodes(np.ones(len(k))), 1.0, rtol=1e-13)
    np.testing.assert_allclose(engine.to_cells(engine.points[:, 1]), engine.points[engine.cells].mean(axis=1)[:, 1])


def test_inverted_cells_are_turned_and_flat_ones_refused() -> None:
    points, cells = cube(2)
    mirrored = cells.copy()
    mirrored[::2] = mirrored[::2][:, [1, 0, 2, 3]]
    engine = MeshEngine(MeshDomain(points, mirrored, {}))
    assert (engine.cell_volume > 0).all()
    np.testing.assert_allclose(engine.volume, MeshEngine(MeshDomain(points, cells, {})).volume)
    flat = np.vstack([cells, [[0, 1, 2, 2]]])
    with pytest.raises(ValueError, match=r"1 of \d+ tetrahedra have no volume"):
        _ = MeshEngine(MeshDomain(points, flat, {})).volume


def test_patch_a_linear_field_is_exact() -> None:
    engine = jittered(6)
    exact = engine.points @ [1.0, -2.0, 3.0] + 5
    border = engine.areas[SURFACE] > 0
    k = engine.conductance(np.ones(len(engine.cells)))
    zero = np.zeros(len(exact))
    u = engine.solve(k, zero, zero, fixed=border, values=exact, tolerance=1e-12)
    np.testing.assert_allclose(u, exact, atol=1e-9)
    assert not border.all()


def test_steady_problem_is_second_order() -> None:
    """-lap u + u = f with u = product of cosines, whose normal derivative vanishes on the cube's faces."""
    errors = []
    for n in (6, 12, 24):
        points, cells = cube(n)
        engine = MeshEngine(MeshDomain(points, cells, {}))
        exact = np.prod(np.cos(np.pi * (points + 0.5)), axis=1)
        load = (3 * np.pi**2 + 1) * exact * engine.volume
        u = engine.solve(engine.conductance(np.ones(len(cells))), engine.volume, load, tolerance=1e-10)
        errors.append(np.sqrt((u - exact) ** 2 @ engine.volume))
    assert np.log2(errors[1] / errors[2]) > 1.85, errors
    assert np.log2(errors[0] / errors[1]) > 1.7, errors


def test_spherical_sector_is_second_order() -> None:
    """Between concentric spheres u = 1/r - 1, also in a sector with insulated sides; the flow is its solid angle."""
    errors = []
    for n in (5, 10, 20):
        points, cells = cube(n)
        r, theta, phi = (points + 0.5).T * [[0.5], [np.pi / 2], [np.pi / 2]] + [[0.5], [np.pi / 4], [0.0]]
        points = np.stack([r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)], axis=1)
        engine = MeshEngine(MeshDomain(points, cells, {}))
        zero = np.zeros(len(points))
        operator = engine.conductance(np.ones(len(cells)))
        inner = r < 0.5 + 1e-9
        fixed = inner | (r > 1 - 1e-9)
        u = engine.solve(operator, zero, zero, fixed=fixed, values=inner.astype(float))
        flow = operator(u)[inner].sum() / (np.pi / np.sqrt(2)) - 1
        errors.append([np.sqrt((u - 1 / r + 1) ** 2 @ engine.volume), abs(flow)])
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all(orders > 1.85), (errors, orders)


def test_solve_with_high_contrast_and_without_a_level() -> None:
    engine = jittered(8)
    rng = np.random.default_rng(4)
    k = engine.conductance(np.where(engine.shares["right"] > 0, 1000.0, 1.0))
    source = rng.normal(size=len(engine.points))
    source -= source.mean()
    zero = np.zeros_like(source)
    u = engine.solve(k, zero, source, tolerance=1e-9)
    assert np.linalg.norm(k(u) - source) <= 1.01e-9 * np.linalg.norm(source)
    assert abs(u.mean()) < 1e-9 * np.abs(u).max()
    with pytest.raises(NotConvergedError, match="do not balance"):
        engine.solve(k, zero, source + 1.0)
    # strongly diagonal: solved without multigrid, to the same tolerance
    strong = 10 * k.diagonal
    u = engine.solve(k, strong, source)
    assert np.linalg.norm(k(u) + strong * u - source) <= 1.01e-9 * np.linalg.norm(source)


def test_solves_are_the_same_to_the_last_bit() -> None:
    """As a run that goes on from a checkpoint must be: what prepares them draws no random vectors."""
    engine = jittered(7)
    rng = np.random.default_rng(8)
    operator = engine.conductance(10 ** rng.uniform(-1, 1, len(engine.cells)))
    nothing, load = np.zeros(len(engine.volume)), rng.normal(size=len(engine.volume)) * engine.volume
    held = engine.points[:, 0] < 1e-9
    one, other = (engine.solver(operator, nothing, fixed=held).solve(load) for _ in range(2))
    assert np.abs(one).max() > 0
    np.testing.assert_array_equal(one, other)


def test_points_without_cells_are_left_alone() -> None:
    points, cells = cube(3)
    engine = MeshEngine(MeshDomain(np.vstack([points, [[9.0, 9.0, 9.0]]]), cells, {}))
    fixed = engine.areas[SURFACE] > 0
    n = len(engine.points)
    assert engine.volume[-1] == 0
    u = engine.solve(
        engine.conductance(np.ones(len(cells))), np.zeros(n), engine.volume, fixed=fixed, values=np.ones(n)
    )
    assert np.isfinite(u).all()
    assert u.max() > 1


def test_sample_is_exact_for_linear_fields_and_deposit_its_adjoint() -> None:
    engine = jittered(7)
    rng = np.random.default_rng(5)
    at = rng.uniform(-0.49, 0.49, (4000, 3))
    # corners, nodes, edge midpoints, and points on the border count too
    at = np.vstack([at, engine.points, engine.points[operator_edges(engine)].mean(axis=1), [[0.5, 0.5, 0.5]]])
    _, _, found = engine._locator.find(at)
    assert found.all()
    np.testing.assert_allclose(engine.sample(engine.points @ [1.0, 2.0, -3.0], at), at @ [1, 2, -3], atol=1e-9)
    u, amount = rng.normal(size=len(engine.points)), rng.normal(size=len(at))
    assert engine.deposit(amount, at) @ u == pytest.approx(amount @ engine.sample(u, at), rel=1e-12)
    assert engine.deposit(np.ones(len(at)), at).sum() == pytest.approx(len(at), rel=1e-13)
    assert engine.deposit(np.ones(len(at)), at).min() >= 0


def operator_edges(engine: MeshEngine) -> np.ndarray:
    return engine.graph.edges


def test_location_survives_cells_of_very_different_size() -> None:
    """A needle-like refinement: cells from 1 to 0.001; the nearest centroids belong to the wrong cells."""
    rng = np.random.default_rng(6)
    fine = rng.normal(size=(3000, 3)) * np.geomspace(1e-3, 0.1, 3000)[:, None]
    coarse = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * rng.uniform(1.1, 1.3, (8, 1))
    points = np.vstack([fine[(np.abs(fine) < 0.5).all(axis=1)], coarse])
    cells = Delaunay(points).simplices.astype(np.int64)
    engine = MeshEngine(MeshDomain(points, cells, {}))
    at = rng.uniform(-1, 1, (3000, 3)) * np.geomspace(1e-3, 1, 3000)[:, None]
    np.testing.assert_allclose(engine.sample(points @ [3.0, 1, 2], at), at @ [3, 1, 2], atol=1e-9)


def test_points_in_long_thin_cells_are_found_without_trying_all_of_these() -> None:
    """Thousands of cells 40 times longer than thick: trying all within their length took half a gigabyte."""
    axis = np.concatenate([[-40.0, -20.0], np.arange(-2.0, 2.5, 0.5), [20.0, 40.0]])
    mesh = skfem.MeshTet.init_tensor(axis, axis, axis)
    engine = MeshEngine(MeshDomain(mesh.p.T.copy(), mesh.t.T.astype(np.int64), {"t": np.ones(mesh.t.shape[1])}))
    at = np.random.default_rng(2).uniform(-10.0, 10.0, (500, 3))
    engine.sample(engine.points[:, 0], at[:1])
    tracemalloc.start()
    found = engine.sample(engine.points @ [1.0, -2.0, 3.0], at)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, at @ [1.0, -2.0, 3.0], atol=1e-9)
    assert peak < 60e6
    assert not engine.holds(at + 60.0).any()


def test_outside_is_an_error_or_dropped() -> None:
    engine = MeshEngine(MeshDomain(*cube(3, 0.03), {}))
    outside = np.array([[0.0, 0.0, 0.0], [0.02, 0.0, 0.0]])
    with pytest.raises(ValueError, match=r"\(20, 0, 0\) mm lies outside the mesh"):
        engine.sample(engine.volume, outside)
    with pytest.raises(ValueError, match="outside the mesh"):
        engine.spacing((0.0, 0.0, 1.0))
    assert engine.deposit(np.ones(2), outside).sum() == pytest.approx(1.0)
    assert engine.spacing((0.001, 0.002, 0.0015)) == pytest.approx(0.01 * np.sqrt(3), rel=1e-12)


def test_zone_of_a_ball() -> None:
    engine = MeshEngine(MeshDomain(*cube(20), {}))
    u = -np.linalg.norm(engine.points - 0.013, axis=1)
    volume = engine.inside(u, -0.3) @ engine.cell_volume
    assert volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.03)  # 1.1 (h/R)^2
    surface = engine.isosurface(u, -0.3)
    a, b, c = (surface.points[surface.triangles[:, i]] for i in range(3))
    assert np.einsum("ij,ij->", a, np.cross(b, c)) / 6 == pytest.approx(volume, rel=1e-12)


def test_surfaces_do_not_hang_on_the_order_of_corners() -> None:
    """Where four edges are cut two triangles can lie in two ways, and means over corners differ by 1e-3 with them."""
    engine, rng = jittered(6), np.random.default_rng(3)
    u = rng.normal(size=len(engine.points))
    mixed = np.stack([rng.permutation(cell) for cell in rng.permutation(engine.cells)])
    found = []
    for cells in (engine.cells, mixed):
        surface = MeshEngine(MeshDomain(engine.points, cells, {})).isosurface(u, 0.1)
        first = surface.triangles.argmin(axis=1)[:, None]
        turned = np.take_along_axis(surface.triangles, (first + np.arange(3)) % 3, axis=1)
        found.append((surface.points, {tuple(corners) for corners in turned.tolist()}))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-12)
    assert found[1][1] == found[0][1]


@pytest.mark.parametrize("probe", [Ball((0.0, 0.0, 0.0), 0.02), Line((0.0, 0.0, -0.2), (0.0, 0.0, 0.2), 0.01)])
def test_thin_probes_meet_the_mesh(probe: Ball | Line) -> None:
    engine = jittered(8)
    weights, resistance = engine.spread(probe)
    assert weights.sum() == pytest.approx(1.0, rel=1e-12)
    assert weights @ engine.points == pytest.approx([0, 0, 0], abs=0.02)
    assert resistance > 0
    assert engine.contact(probe).sum() > 0
    with pytest.raises(ValueError, match="outside the mesh"):
        engine.spread(Ball((7.0, 0.0, 0.0), 0.02))
