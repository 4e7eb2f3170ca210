"""Voxel engine: parity with scikit-fem, exact identities, orders of convergence, multigrid, windows and transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import skfem
from carriages import carriage
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from skfem.models.poisson import laplace

from thermal.domain import FACES, SURFACE, VoxelDomain
from thermal.engine import Engine, NotConvergedError
from thermal.engines.voxel import VoxelEngine
from thermal.engines.voxel_operator import VoxelOperator
from thermal.units import Array, Mask

Axes = tuple[Array, Array, Array]

UNEVEN: Axes = (
    np.array([-2.0, -1.1, -0.9, 0.4, 1.0, 3.0]),
    np.array([0.0, 0.3, 0.5, 1.7, 2.0]),
    np.array([5.0, 5.1, 5.2, 5.9, 6.5, 8.0, 8.3]),
)


def grid(axes: Axes, shares: Mapping[str, Array] | None = None, solid: Mask | None = None) -> VoxelEngine:
    cells = int(np.prod([len(axis) - 1 for axis in axes]))
    inside = np.ones(cells, dtype=bool) if solid is None else solid
    return VoxelEngine(VoxelDomain(axes, shares or {"all": inside.astype(float)}, inside))


def uniform(n: int, length: float = 1.0) -> Axes:
    axis = np.linspace(0.0, length, n + 1)
    return axis, axis.copy(), axis.copy()


def noise(engine: VoxelEngine, decades: float, seed: int = 0) -> Array:
    return np.asarray(10.0 ** np.random.default_rng(seed).uniform(-decades, decades, len(engine.domain.solid)))


def centres(engine: VoxelEngine) -> Array:
    return np.stack(np.meshgrid(*engine.domain.centres(), indexing="ij"), -1).reshape(-1, 3)


def shell(engine: VoxelEngine) -> Mask:
    """Nodes on the faces of the window."""
    return np.asarray(np.any([engine.areas[face] > 0 for face in FACES], axis=0))


def matrix(operator: VoxelOperator) -> Array:
    size = operator.diagonal.size
    return np.stack([operator(unit) for unit in np.eye(size)], axis=1)


# -------------------------------------------------------------------------------------------- operator


def test_satisfies_the_contract() -> None:
    engine: Engine = grid(UNEVEN)
    assert engine.window(np.zeros(3), np.ones(3), 0.1).engine.volume.sum() == pytest.approx(engine.volume.sum())


@pytest.mark.parametrize("hollow", [False, True])
def test_stiffness_and_mass_equal_scikit_fem_with_vertex_quadrature(hollow: bool) -> None:
    """Random coefficients over four decades on uneven axes, with and without cells outside the body."""
    cells = 5 * 4 * 6
    rng = np.random.default_rng(1)
    solid = rng.random(cells) > 0.3 if hollow else np.ones(cells, dtype=bool)
    engine = grid(UNEVEN, solid=solid)
    k = noise(engine, 2.0)

    mesh = skfem.MeshHex.init_tensor(*UNEVEN)
    corners = np.array([[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)]).T
    basis = skfem.Basis(mesh, skfem.ElementHex1(), quadrature=(corners, np.full(8, 1 / 8)))
    nodes = _match(engine.points, basis.doflocs.T)
    of_cells = _match(centres(engine), mesh.p[:, mesh.t].mean(axis=1).T)

    @skfem.BilinearForm
    def stiffness(u, v, w):  # type: ignore[no-untyped-def]
        return w.k * laplace.form(u, v, w)

    @skfem.BilinearForm
    def mass(u, v, w):  # type: ignore[no-untyped-def]
        return w.k * u * v

    def assembled(form: skfem.BilinearForm, coefficient: Array) -> Array:
        at_points = np.broadcast_to(coefficient[of_cells][:, None], basis.dx.shape)
        return np.asarray(form.assemble(basis, k=at_points).toarray())

    expected = assembled(stiffness, np.where(solid, k, 0.0))
    found = matrix(engine.conductance(k))[np.ix_(nodes, nodes)]
    assert np.abs(found - expected).max() < 1e-13 * np.abs(expected).max()
    lumped = assembled(mass, solid.astype(float))
    assert np.abs(np.diag(engine.volume[nodes]) - lumped).max() < 1e-13 * lumped.max()


def _match(ours: Array, theirs: Array) -> Array:
    """For each of ``theirs`` (q, 3), the index of the same point in ``ours`` (q, 3)."""
    index = {tuple(point): i for i, point in enumerate(ours.round(9).tolist())}
    return np.array([index[tuple(point)] for point in theirs.round(9).tolist()])


def test_operator_identities() -> None:
    engine = grid(UNEVEN)
    operator = engine.conductance(noise(engine, 2.0))
    dense = matrix(operator)
    size = dense.max()
    assert np.abs(dense - dense.T).max() < 1e-15 * size
    assert (dense - np.diag(np.diag(dense)) <= 0).all()  # an M-matrix
    np.testing.assert_allclose(operator.diagonal, np.diag(dense), rtol=1e-14)
    assert not operator(np.full(len(dense), 37.0)).any()  # constants give zero exactly
    u = np.random.default_rng(2).normal(size=len(dense))
    assert operator.dissipation(u).sum() == pytest.approx(u @ dense @ u, rel=1e-13)
    assert (operator.dissipation(u) >= 0).all()
    scaled = dense / np.sqrt(np.outer(operator.bound, operator.bound))
    assert np.linalg.eigvalsh(scaled).max() <= 1.0 + 1e-12


def test_patch_a_linear_field_gives_the_flux_through_the_faces() -> None:
    """K x = k (area of x+ - area of x-) at every node, zero inside: on uneven axes, for each direction."""
    engine = grid(UNEVEN)
    operator = engine.conductance(np.full(len(engine.domain.solid), 0.5))
    for axis in range(3):
        flux = 0.5 * (engine.areas[FACES[2 * axis + 1]] - engine.areas[FACES[2 * axis]])
        np.testing.assert_allclose(operator(engine.points[:, axis]), flux, atol=1e-13 * np.abs(flux).max())


def test_operator_does_not_know_left_from_right() -> None:
    """Turning the grid, the coefficients and the field by 90 degrees turns the result."""
    engine = grid(UNEVEN)
    k = noise(engine, 2.0).reshape(engine.domain.cell_shape)
    u = np.random.default_rng(3).normal(size=engine.domain.shape)
    expected = engine.conductance(k.ravel())(u.ravel()).reshape(u.shape)
    turned = grid((UNEVEN[1], -UNEVEN[0][::-1], UNEVEN[2]))
    found = turned.conductance(_turn(k).ravel())(_turn(u).ravel()).reshape(_turn(u).shape)
    np.testing.assert_allclose(found, _turn(expected), atol=1e-12 * np.abs(expected).max())


def _turn(u: Array) -> Array:
    """By 90 degrees around z."""
    return np.ascontiguousarray(np.rot90(u, -1, axes=(0, 1)))


# -------------------------------------------------------------------------------------------- measures


def test_volumes_and_means() -> None:
    rng = np.random.default_rng(4)
    cells = 5 * 4 * 6
    solid = rng.random(cells) > 0.2
    share = rng.random(cells) * solid
    engine = grid(UNEVEN, {"a": share, "b": solid - share}, solid)
    h = [np.diff(axis) for axis in UNEVEN]
    volume = (h[0][:, None, None] * h[1][:, None] * h[2]).ravel()
    np.testing.assert_allclose(engine.cell_volume, volume * solid, rtol=1e-14)  # widths are rounded alike
    assert engine.volume.sum() == pytest.approx((volume * solid).sum(), rel=1e-14)
    assert engine.volumes["a"].sum() == pytest.approx((volume * share).sum(), rel=1e-14)
    np.testing.assert_allclose(engine.volumes["a"] + engine.volumes["b"], engine.volume, rtol=1e-13, atol=1e-15)
    # a node takes an eighth of each of its cells, so the lumped volume has the same first moments as the cells
    moment = volume * solid @ centres(engine)
    np.testing.assert_allclose(engine.volume @ engine.points, moment, rtol=1e-13)
    # means: a constant stays, and both are each other's adjoint under the volumes
    u, k = rng.normal(size=engine.volume.size), rng.normal(size=cells)
    body = engine.volume > 0
    np.testing.assert_allclose(engine.to_nodes(np.full(cells, 3.0))[body], 3.0, rtol=1e-14)
    np.testing.assert_allclose(engine.to_cells(np.full(body.size, 3.0)), 3.0, rtol=1e-14)
    assert engine.to_nodes(k) * engine.volume @ u == pytest.approx(k * engine.cell_volume @ engine.to_cells(u))
    assert not engine.to_nodes(k)[~body].any()


def test_areas_of_faces() -> None:
    """A box of void that reaches one face."""
    x, _, z = UNEVEN
    solid = np.ones((5, 4, 6), dtype=bool)
    solid[1:3, 1:4, 2:5] = False  # from y = 0.3 to the face y+
    engine = grid(UNEVEN, solid=solid.ravel())
    dx, dz = x[3] - x[1], z[5] - z[2]
    whole = np.array([axis[-1] - axis[0] for axis in UNEVEN])
    sums = {name: float(area.sum()) for name, area in engine.areas.items()}
    assert sums["x-"] == pytest.approx(whole[1] * whole[2], rel=1e-14)
    assert sums["z+"] == pytest.approx(whole[0] * whole[1], rel=1e-14)
    assert sums["y-"] == pytest.approx(whole[0] * whole[2], rel=1e-14)
    assert sums["y+"] == pytest.approx(whole[0] * whole[2] - dx * dz, rel=1e-14)  # no tissue, no face
    assert all((engine.areas[name] >= 0).all() for name in engine.areas)
    assert not engine.areas[SURFACE][engine.volume == 0].any()
    assert not grid(UNEVEN).areas[SURFACE].any()


def test_flat_skin_has_its_area_on_its_own_plane() -> None:
    x, y, z = UNEVEN
    solid = np.ones((5, 4, 6), dtype=bool)
    solid[:, :, 4:] = False
    area = grid(UNEVEN, solid=solid.ravel()).areas[SURFACE]
    assert area.sum() == pytest.approx((x[-1] - x[0]) * (y[-1] - y[0]), rel=1e-13)
    assert area @ grid(UNEVEN).points[:, 2] == pytest.approx(area.sum() * z[4], rel=1e-13)


@pytest.mark.parametrize("slope", [0.0, 0.35, 1.0, 4.0])
def test_sloping_skin_is_not_a_staircase(slope: float) -> None:
    """A plane at any slope: its stairs would be up to 41 % too large."""
    axis = np.linspace(0.0, 60.0, 61)
    engine = grid((axis, axis[:9], axis))
    middle = centres(engine)
    engine = grid((axis, axis[:9], axis), solid=middle[:, 2] < 30.0 + slope * (middle[:, 0] - 30.0) + 0.1)
    inner = np.abs(engine.points - [30.0, 4.0, 30.0]).max(axis=1) < 25.0  # away from the faces, which cut the stairs
    along = 50.0 if slope <= 1.0 else 50.0 / slope
    expected = along * 8.0 * np.hypot(1.0, slope)
    assert engine.areas[SURFACE][inner].sum() == pytest.approx(expected, rel=0.04)


def test_skin_of_a_ball() -> None:
    """Ten voxels to a radius; its stairs are half as large again."""
    axis = np.linspace(-13.0, 13.0, 27)
    ball = np.linalg.norm(centres(grid((axis, axis, axis))) - [0.2, 0.1, 0.0], axis=1) < 10.0
    area = grid((axis, axis, axis), solid=ball).areas[SURFACE]
    assert area.sum() == pytest.approx(4.0 * np.pi * 100.0, rel=0.02)


# -------------------------------------------------------------------------------------- elliptic order


def _alternating(n: int) -> Axes:
    """Cells in the ratio 1 : 3 side by side, at every refinement: as uneven as it gets."""
    base = np.repeat([[1.0, 3.0]], n // 2, axis=0).ravel()
    axis = np.concatenate([[0.0], np.cumsum(base)]) / base.sum()
    return axis, axis.copy(), axis.copy()


def _graded(n: int) -> Axes:
    s = np.linspace(0.0, 1.0, n + 1)
    return s + 0.1 * np.sin(2 * np.pi * s), s**1.3, np.expm1(s) / np.expm1(1.0)


@pytest.mark.parametrize("axes", [uniform, _alternating, _graded], ids=["uniform", "alternating", "graded"])
def test_elliptic_problem_is_second_order(axes: Callable[[int], Axes]) -> None:
    """-div(k grad u) + 3 u = f with k = 1 + x + y z / 2 and u = sin(2x + 0.3) cos(y - 2z), held on all faces."""

    def exact(p: Array) -> Array:
        x, y, z = p.T
        return np.asarray(np.sin(2 * x + 0.3) * np.cos(y - 2 * z))

    def right_side(p: Array) -> Array:
        x, y, z = p.T
        s, c = np.sin(2 * x + 0.3), np.cos(2 * x + 0.3)
        a, b = np.cos(y - 2 * z), np.sin(y - 2 * z)
        k = 1 + x + 0.5 * y * z
        # grad k . grad u = 2 c a + (z/2) (-s b) + (y/2) (2 s b);  laplace u = -(4 + 1 + 4) u
        return np.asarray(9 * k * s * a - (2 * c * a - 0.5 * z * s * b + y * s * b) + 3 * s * a)

    errors = []
    for n in (8, 16, 32):
        engine = grid(axes(n))
        x, y, z = centres(engine).T
        u = exact(engine.points)
        found = engine.solve(
            engine.conductance(1 + x + 0.5 * y * z),
            3 * engine.volume,
            right_side(engine.points) * engine.volume,
            fixed=shell(engine),
            values=u,
            tolerance=1e-10,
        )
        errors.append(float(np.sqrt(engine.volume @ (found - u) ** 2)))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders[-1] > 1.9, (errors, orders)


def test_layers_in_series_are_exact() -> None:
    """Where k jumps at a face of cells a one-dimensional field is exact at the nodes: resistances add up."""
    engine = grid(UNEVEN)
    layers = np.array([1.0, 1e-3, 0.2, 50.0, 1.0])
    k = np.repeat(layers, 4 * 6)
    hot, cold = engine.areas["x+"] > 0, engine.areas["x-"] > 0
    nothing = np.zeros(engine.volume.size)
    u = engine.solve(
        engine.conductance(k), nothing, nothing, fixed=hot | cold, values=hot.astype(float), tolerance=1e-12
    )
    resistance = np.concatenate([[0.0], np.cumsum(np.diff(UNEVEN[0]) / layers)])
    expected = np.repeat(resistance / resistance[-1], 5 * 7)
    np.testing.assert_allclose(u, expected, atol=1e-9)


# ---------------------------------------------------------------------------------------------- solves


def test_solve_of_pure_neumann_has_zero_mean_and_wants_balance() -> None:
    engine = grid(uniform(12))
    operator = engine.conductance(np.ones(12**3))
    nothing = np.zeros(engine.volume.size)
    load = engine.areas["x+"] - engine.areas["x-"]
    u = engine.solve(operator, nothing, load, tolerance=1e-10)
    np.testing.assert_allclose(u, engine.points[:, 0] - 0.5, atol=1e-8)
    with pytest.raises(NotConvergedError, match="do not balance"):
        engine.solve(operator, nothing, engine.areas["x+"])


def test_solve_leaves_nodes_outside_the_body_alone() -> None:
    engine = grid(uniform(10))
    solid = centres(engine)[:, 0] < 0.5
    engine = grid(uniform(10), solid=solid)
    nothing = np.zeros(engine.volume.size)
    hold = engine.points[:, 0] == 0.0
    u = engine.solve(
        engine.conductance(np.ones(1000)), nothing, engine.areas[SURFACE], fixed=hold, values=nothing + 2.0
    )
    assert not u[engine.volume == 0].any()
    np.testing.assert_allclose(u[engine.volume > 0], 2.0 + engine.points[engine.volume > 0, 0], atol=1e-8)


# ------------------------------------------------------------------------------------- windows, points


def test_window_refines_and_conserves() -> None:
    rng = np.random.default_rng(7)
    cells = 5 * 4 * 6
    solid = rng.random(cells) > 0.2
    share = rng.random(cells) * solid
    coarse = grid(UNEVEN, {"a": share, "b": solid - share}, solid)
    lower, upper = np.array([-1.0, 0.4, 5.5]), np.array([0.5, 1.6, 6.0])
    window = coarse.window(lower, upper, 0.11)
    fine = window.engine
    assert isinstance(fine, VoxelEngine)
    assert coarse.window_nodes(lower, upper, 0.11) == len(fine.volume)
    # no cell in the box is larger than asked for, and every coarse node is a fine one
    for axis, old, low, high in zip(fine.domain.axes, UNEVEN, lower, upper, strict=True):
        inside = (axis[:-1] >= low) & (axis[1:] <= high)
        assert np.diff(axis)[inside].max() <= 0.11 * (1 + 1e-9)
        assert np.isin(old, axis).all()
        assert (np.diff(axis) > 0).all()
    # trilinear interpolation: linear fields exactly, all values at the shared nodes
    linear = coarse.points @ np.array([1.0, -2.0, 0.5]) + 3.0
    np.testing.assert_allclose(window.to_fine(linear), fine.points @ np.array([1.0, -2.0, 0.5]) + 3.0, atol=1e-13)
    u = rng.normal(size=coarse.volume.size)
    np.testing.assert_allclose(fine.sample(window.to_fine(u), coarse.points), u, atol=1e-13)
    at = rng.uniform([-2, 0, 5], [3, 2, 8.3], (50, 3))
    on_coarse_cells = coarse.sample(u, fine.points)
    np.testing.assert_allclose(window.to_fine(u), on_coarse_cells, atol=1e-13)
    assert fine.holds(at).tolist() == coarse.holds(at).tolist()
    # amounts come back whole, as the transpose of interpolation
    amount = rng.normal(size=fine.volume.size)
    back = window.restrict(amount)
    assert back.sum() == pytest.approx(amount.sum(), rel=1e-12)
    assert back @ u == pytest.approx(amount @ window.to_fine(u), rel=1e-12)
    # cells: the same tissue in the same place
    k = rng.random(cells)
    assert window.cells_to_fine(k) @ fine.cell_volume == pytest.approx(k @ coarse.cell_volume, rel=1e-13)
    assert fine.volumes["a"].sum() == pytest.approx(coarse.volumes["a"].sum(), rel=1e-13)
    np.testing.assert_allclose(window.restrict(fine.volume), coarse.volume, rtol=1e-12, atol=1e-15)


def test_window_of_huge_spacing_is_the_grid_itself() -> None:
    coarse = grid(UNEVEN)
    window = coarse.window(np.zeros(3), np.ones(3), 100.0)
    u = np.random.default_rng(8).normal(size=coarse.volume.size)
    np.testing.assert_array_equal(window.to_fine(u), u)
    np.testing.assert_array_equal(window.restrict(u), u)


def test_sample_and_deposit_are_adjoint() -> None:
    engine = grid(UNEVEN)
    rng = np.random.default_rng(9)
    at = np.vstack([rng.uniform([-2, 0, 5], [3, 2, 8.3], (60, 3)), engine.points[::7]])  # nodes and borders too
    u, amount = rng.normal(size=engine.volume.size), rng.normal(size=len(at))
    assert engine.deposit(amount, at) @ u == pytest.approx(amount @ engine.sample(u, at), rel=1e-12)
    assert engine.deposit(amount, at).sum() == pytest.approx(amount.sum(), rel=1e-12)
    linear = engine.points @ np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(engine.sample(linear, at), at @ np.array([1.0, -2.0, 0.5]), atol=1e-12)


def test_window_and_body_hold_points() -> None:
    """The body is x < 0.5, its skin and the faces of the window included; what is deposited outside is dropped."""
    engine = grid(uniform(10))
    engine = grid(uniform(10), solid=centres(engine)[:, 0] < 0.5)
    at = np.array(
        [
            [0.25, 0.5, 0.5],  # inside
            [0.0, 0.0, 0.0],  # corner of the window
            [0.5, 0.55, 0.55],  # on the skin
            [0.5, 0.5, 0.5],  # on the skin, at a node
            [0.5 + 1e-13, 1.0, 1.0],  # the same within round-off, on an edge of the window
            [0.51, 0.5, 0.5],  # in the void
            [-0.01, 0.5, 0.5],  # outside the window
            [0.25, 0.5, 1.2],
        ]
    )
    expected = [True] * 5 + [False] * 3
    assert engine.holds(at).tolist() == expected
    assert engine.deposit(np.arange(1.0, 9.0), at).sum() == pytest.approx(15.0)  # 1 + 2 + 3 + 4 + 5
    assert not engine.deposit(np.ones(8), at)[engine.volume == 0].any()
    with pytest.raises(ValueError, match="outside the window"):
        engine.sample(engine.volume, at)
    with pytest.raises(ValueError, match="z = 1200 mm lies outside"):
        engine.spacing((0.25, 0.5, 1.2))
    assert engine.spacing((0.25, 0.5, 0.5)) == pytest.approx(0.1)


@pytest.mark.parametrize("corner", [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_a_point_at_the_corner_of_one_solid_cell_is_held(corner: tuple[int, int, int]) -> None:
    solid = np.zeros((2, 2, 2), dtype=bool)
    solid[corner] = True
    engine = grid(uniform(2), solid=solid.ravel())
    assert engine.holds(np.array([[0.5, 0.5, 0.5]])).all()
    assert engine.deposit(np.array([2.0]), np.array([[0.5, 0.5, 0.5]]))[13] == pytest.approx(2.0)
    beyond = 0.5 + 0.1 * (1 - 2 * np.array([corner]))
    assert not engine.holds(beyond).any()


# ------------------------------------------------------------------------------------------- transport


def flow(engine: VoxelEngine, k: Array) -> tuple[VoxelOperator, Array, Array]:
    """Operator, pressure and injection (n,) of a source in the middle, with zero pressure on the faces."""
    operator = engine.conductance(k)
    injected = engine.deposit(np.array([2.0, 1.0]), np.array([[0.52, 0.47, 0.5], [0.3, 0.6, 0.4]]))
    pressure = engine.solve(
        operator, np.zeros(engine.volume.size), injected,
        fixed=shell(engine), values=np.zeros(engine.volume.size), tolerance=1e-13,
    )  # fmt: skip
    return operator, pressure, injected


def directed(operator: VoxelOperator, pressure: Array) -> sparse.coo_array:
    """Edges from the node of higher to the node of lower pressure, with their flux."""
    numbers = np.arange(pressure.size).reshape(operator.shape)
    p = pressure.reshape(operator.shape)
    rows, columns, values = [], [], []
    for axis, g in enumerate((operator.gx, operator.gy, operator.gz)):
        low = np.moveaxis(numbers, axis, 0)[:-1]
        high = np.moveaxis(numbers, axis, 0)[1:]
        flux = np.moveaxis(-g * np.diff(p, axis=axis), axis, 0)
        rows.append(np.where(flux > 0, low, high).ravel())
        columns.append(np.where(flux > 0, high, low).ravel())
        values.append(np.abs(flux).ravel())
    flux = np.concatenate(values)
    keep = flux > 0
    return sparse.coo_array(
        (flux[keep], (np.concatenate(rows)[keep], np.concatenate(columns)[keep])), shape=(pressure.size,) * 2
    )


def test_flow_has_no_cycles_and_balances() -> None:
    engine = grid(uniform(12))
    operator, pressure, injected = flow(engine, noise(engine, 1.5))
    edges = directed(operator, pressure)
    count, _ = connected_components(edges, directed=True, connection="strong")
    assert count == pressure.size  # every node is its own strong component: no fluid goes in circles
    out, into = np.asarray(edges.sum(axis=1)), np.asarray(edges.sum(axis=0))
    inner = ~shell(engine)
    assert np.abs(out - into - injected)[inner].max() < 1e-11 * injected.sum()
    transport = engine.transport(operator, pressure, carriage(engine.volume))
    np.testing.assert_allclose(transport.outflow, out, rtol=1e-12, atol=1e-15)
