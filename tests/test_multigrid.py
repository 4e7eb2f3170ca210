"""Steady solver of the voxel engine: iterations on hard media, right answers, reuse of what was prepared.

Counts of iterations do not depend on the machine, the threads or (to one) the size. Twelve is the goal for smooth and
poorly conducting media, 25 for the rest; a bound below that is what was found, with two in hand for round-off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from thermal.anatomy.grid import Refine, Window, make_axes
from thermal.domain import FACES, VoxelDomain
from thermal.engine import NotConvergedError
from thermal.engines.linear import conjugate_gradients
from thermal.engines.multigrid import Multigrid
from thermal.engines.voxel import VoxelEngine
from thermal.engines.voxel_operator import VoxelOperator
from thermal.units import Array, Mask

Axes = tuple[Array, Array, Array]

CELLS = 40
"""Along each axis of the problems whose iterations are counted."""


def grid(axes: Axes, solid: Mask | None = None) -> VoxelEngine:
    cells = int(np.prod([len(axis) - 1 for axis in axes]))
    inside = np.ones(cells, dtype=bool) if solid is None else solid.ravel()
    return VoxelEngine(VoxelDomain(axes, {"all": inside.astype(float)}, inside))


def even(x: float = 1.0, y: float = 1.0, z: float = 1.0, cells: int = CELLS) -> Axes:
    unit = np.linspace(0.0, 1.0, cells + 1)
    return x * unit, y * unit, z * unit


def refined() -> Axes:
    """A phantom with finer voxels around the middle, 1:4, as cases ask for it."""
    box = Refine.model_validate({"centre": ["0.5 m"] * 3, "size": "0.2 m", "voxel_size": "10 mm"})
    return make_axes(Window((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.04, 0.04, 0.04), box))[0]


def zoomed() -> Axes:
    """A light window: coarse cells split into equal parts around the middle, 1:6."""
    coarse = grid(even(cells=20))
    engine = coarse.window(np.full(3, 0.4), np.full(3, 0.6), 1.0 / 120.0).engine
    assert isinstance(engine, VoxelEngine)
    return engine.domain.axes


GRIDS: Mapping[str, Axes] = MappingProxyType(
    {
        "cubes": even(),
        "z double": even(z=2.0),
        "x fourfold": even(x=4.0),
        "z fourfold": even(z=4.0),
        "refined": refined(),
        "zoomed": zoomed(),
    }
)


def centres(axes: Axes) -> Array:
    """(cx, cy, cz, 3)"""
    return np.stack(np.meshgrid(*(0.5 * (axis[1:] + axis[:-1]) for axis in axes), indexing="ij"), axis=-1)


def spheres(axes: Axes, ratio: float) -> Array:
    at, rng = centres(axes), np.random.default_rng(5)
    k = np.ones(at.shape[:3])
    for middle in rng.random((40, 3)) * [axis[-1] for axis in axes]:
        k[np.linalg.norm(at - middle, axis=-1) < 0.08] = ratio
    return k


def needle(axes: Axes, along: int) -> Array:
    """Two voxels wide: a shaft of 1e-6 from the border to the middle, then a tip of 1e6."""
    k = np.ones([len(axis) - 1 for axis in axes])
    rows = np.moveaxis(k, along, 0)
    end, (p, q) = rows.shape[0], (size // 2 for size in rows.shape[1:])
    rows[: end // 2, p : p + 2, q : q + 2] = 1e-6
    rows[end // 2 : 5 * end // 8, p : p + 2, q : q + 2] = 1e6
    return k


def noise(axes: Axes, decades: float = 1.5) -> Array:
    shape = [len(axis) - 1 for axis in axes]
    return np.asarray(10.0 ** np.random.default_rng(0).uniform(-decades, decades, shape))


MEDIA: Mapping[str, tuple[Callable[[Axes], Array], int]] = MappingProxyType(
    {
        "uniform": (lambda axes: np.ones([len(axis) - 1 for axis in axes]), 11),
        "poor spheres": (lambda axes: spheres(axes, 1e-3), 11),
        "noise": (noise, 12),
        "needle along x": (lambda axes: needle(axes, 0), 13),
        "needle along z": (lambda axes: needle(axes, 2), 12),
        "good spheres": (lambda axes: spheres(axes, 1e3), 18),
    }
)


def shell(engine: VoxelEngine) -> Mask:
    return np.asarray(np.any([engine.areas[face] > 0 for face in FACES], axis=0))


def iterations(
    engine: VoxelEngine, k: Array, free: Mask | None = None, diagonal: Array | None = None, tolerance: float = 1e-8
) -> int:
    """Of a solve with sources everywhere on the ``free`` nodes; the true residual is asserted."""
    operator = engine.conductance(k.ravel())
    assert isinstance(operator, VoxelOperator)
    free = engine.volume > 0 if free is None else free
    added = np.zeros(free.size) if diagonal is None else diagonal
    rhs = np.random.default_rng(6).normal(size=free.size) * engine.volume * free
    level = None
    if diagonal is None and np.array_equal(free, engine.volume > 0):
        rhs[free] -= rhs[free].mean()

        def level(u: Array) -> Array:
            return np.where(free, u[free].mean(), 0.0)

    def apply(u: Array) -> Array:
        return (operator(u) + added * u) * free

    cycle = Multigrid(engine.domain.axes, (operator.gx, operator.gy, operator.gz), added, free)
    u, count = conjugate_gradients(apply, rhs, cycle, tolerance=tolerance, max_iterations=60, level=level)
    assert np.linalg.norm(apply(u) - rhs) <= tolerance * np.linalg.norm(rhs)
    return count


@pytest.mark.parametrize("axes", GRIDS)
@pytest.mark.parametrize("medium", MEDIA)
def test_hard_media_without_a_fixed_node(axes: str, medium: str) -> None:
    make, limit = MEDIA[medium]
    engine = grid(GRIDS[axes])
    assert iterations(engine, make(GRIDS[axes])) <= limit


@pytest.mark.parametrize(("axes", "limit"), [("cubes", 14), ("x fourfold", 14), ("refined", 14)])
def test_good_spheres_between_cold_walls(axes: str, limit: int) -> None:
    engine = grid(GRIDS[axes])
    assert iterations(engine, spheres(GRIDS[axes], 1e3), ~shell(engine)) <= limit


@pytest.mark.parametrize("medium", ["uniform", "noise"])
def test_iterations_do_not_grow(medium: str) -> None:
    found = [iterations(grid(even(cells=n)), MEDIA[medium][0](even(cells=n))) for n in (16, 31, 33, 64)]
    assert max(found) <= 12


def body(axes: Axes) -> Mask:
    """A ball with a hollow, in air: cells."""
    away = np.linalg.norm(centres(axes) - 0.5, axis=-1)
    return np.asarray((away < 0.45) & (away > 0.1))


def wires(engine: VoxelEngine) -> Mask:
    """Nodes of a vessel three nodes wide and of a probe one node wide."""
    x, y, z = engine.points.T
    vessel = (np.abs(x - 0.3) < 0.03) & (np.abs(y - 0.4) < 0.03)
    probe = (np.abs(y - 0.6) < 0.01) & (np.abs(z - 0.6) < 0.01) & (x > 0.4)
    return np.asarray(vessel | probe)


@pytest.mark.parametrize(("medium", "limit"), [("uniform", 12), ("noise", 14), ("good spheres", 20)])
def test_air_around_the_body_and_nodes_held_inside(medium: str, limit: int) -> None:
    axes = even()
    k = MEDIA[medium][0](axes)
    hollow = grid(axes, body(axes))
    assert wires(hollow)[hollow.volume > 0].sum() > 50
    assert iterations(hollow, k) <= limit
    assert iterations(hollow, k, (hollow.volume > 0) & ~wires(hollow)) <= limit
    solid = grid(axes)
    assert iterations(solid, k, ~wires(solid)) <= limit


@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e2, 1e4, 1e8])
def test_added_diagonal_of_any_size(rate: float) -> None:
    """From almost Neumann to almost local: uptake per volume, and films on the faces that all but hold them."""
    engine = grid(even())
    assert iterations(engine, noise(even()), diagonal=rate * engine.volume) <= 12
    assert iterations(engine, noise(even()), diagonal=rate * engine.areas["z-"]) <= 12


@pytest.mark.parametrize("size", [1e-25, 1e20])
def test_units_do_not_matter(size: float) -> None:
    """Mobilities in SI are 1e-14 and below: single precision must not run out of exponents."""
    axes = even(cells=24)
    assert iterations(grid(axes), size * noise(axes)) == iterations(grid(axes), noise(axes))


def test_cycle_is_symmetric_and_positive() -> None:
    """To the round-off of single precision, with air, held nodes and an odd number of cells."""
    axes = even(cells=15)
    engine = grid(axes, body(axes))
    operator = engine.conductance(noise(axes, 1.0).ravel())
    assert isinstance(operator, VoxelOperator)
    free = (engine.volume > 0) & ~wires(engine)
    cycle = Multigrid(axes, (operator.gx, operator.gy, operator.gz), 0.1 * engine.volume, free)
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, free.size)) * free
    of_a, of_b = cycle(a).copy(), cycle(b).copy()
    assert not of_a[~free].any()
    assert a @ of_a > 0.0
    assert abs(a @ of_b - b @ of_a) <= 1e-5 * np.sqrt((a @ of_a) * (b @ of_b))
    assert not cycle(np.zeros(free.size)).any()


UNEVEN: Axes = (
    np.array([-2.0, -1.1, -0.9, 0.4, 1.0, 3.0, 3.2, 3.3, 4.0]),
    np.array([0.0, 0.3, 0.5, 1.7, 2.0, 2.1]),
    np.array([5.0, 5.1, 5.2, 5.9, 6.5, 8.0, 8.3]),
)


@pytest.mark.parametrize("seed", range(6))
def test_equals_a_direct_solver(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = [len(axis) - 1 for axis in UNEVEN]
    engine = grid(UNEVEN, rng.random(cells) > 0.2)
    operator = engine.conductance(10.0 ** rng.uniform(-2, 2, int(np.prod(cells))))
    n = engine.volume.size
    fixed, values, rhs = rng.random(n) < 0.1, rng.normal(size=n), rng.normal(size=n)
    rhs[engine.volume == 0] = 0.0
    diagonal = rng.random(n) * engine.volume * (rng.random(n) < 0.5)
    u = engine.solve(operator, diagonal, rhs, fixed=fixed, values=values, tolerance=1e-13)
    free = (engine.volume > 0) & ~fixed
    matrix = sparse.csc_array(np.stack([operator(unit) for unit in np.eye(n)], axis=1) + np.diag(diagonal))
    held = np.where(fixed & (engine.volume > 0), values, 0.0)
    expected = held.copy()
    expected[free] = spsolve(matrix[free][:, free], (rhs - matrix @ held)[free])
    np.testing.assert_allclose(u, expected, atol=1e-10 * np.abs(expected).max())


def test_turned_problem_has_the_turned_answer() -> None:
    def turn(a: Array) -> Array:
        return np.ascontiguousarray(np.rot90(a, axes=(0, 2)))

    rng = np.random.default_rng(4)
    axes = UNEVEN
    turned = (-axes[2][::-1], axes[1], axes[0])
    k = noise(axes, 2.0)
    shape = tuple(len(axis) for axis in axes)
    rhs, fixed = rng.normal(size=shape), np.zeros(shape, dtype=bool)
    fixed[1, 2, 1:4] = True
    answers = []
    for on, medium, load, held in ((axes, k, rhs, fixed), (turned, turn(k), turn(rhs), turn(fixed))):
        engine = grid(on)
        nothing = np.zeros(engine.volume.size)
        u = engine.solve(
            engine.conductance(medium.ravel()), nothing, load.ravel(), fixed=held.ravel(), values=nothing + 2.0,
            tolerance=1e-13,
        )  # fmt: skip
        answers.append(u.reshape(load.shape))
    np.testing.assert_allclose(answers[1], turn(answers[0]), atol=1e-10 * np.abs(answers[0]).max())


def test_neumann_problems_want_balance_and_have_zero_mean() -> None:
    axes = even(cells=20)
    engine = grid(axes, body(axes))
    inside = engine.volume > 0
    operator, nothing = engine.conductance(noise(axes).ravel()), np.zeros(inside.size)
    rhs = np.where(inside, engine.points[:, 0] - engine.points[inside, 0].mean(), 0.0)
    u = engine.solve(operator, nothing, rhs, guess=nothing + 5.0, tolerance=1e-10)
    assert abs(u.sum()) <= 1e-10 * np.abs(u).sum()
    assert not u[~inside].any()
    assert np.linalg.norm(operator(u) - rhs) <= 1e-10 * np.linalg.norm(rhs)
    with pytest.raises(NotConvergedError, match="do not balance"):
        engine.solve(operator, nothing, inside.astype(float))
    # a fixed node in the air holds nothing
    outside = np.flatnonzero(~inside)[:1]
    fixed = np.zeros_like(inside)
    fixed[outside] = True
    again = engine.solve(operator, nothing, rhs, fixed=fixed, values=nothing + 3.0, tolerance=1e-10)
    np.testing.assert_allclose(again, u, atol=1e-6 * np.abs(u).max())


def test_solver_serves_many_right_hand_sides_and_small_changes() -> None:
    axes = even(cells=20)
    engine = grid(axes)
    rng = np.random.default_rng(8)
    k, fixed = noise(axes, 1.0).ravel(), shell(engine)
    operator, diagonal = engine.conductance(k), 0.5 * engine.volume
    solver = engine.solver(operator, diagonal, fixed=fixed)
    for _ in range(2):
        rhs, values = rng.normal(size=(2, fixed.size))
        expected = engine.solve(operator, diagonal, rhs, fixed=fixed, values=values, tolerance=1e-11)
        np.testing.assert_array_equal(solver.solve(rhs, values=values, tolerance=1e-11), expected)
    np.testing.assert_array_equal(solver.solve(rhs), solver.solve(rhs, values=np.zeros(fixed.size)))

    warmer = engine.conductance(k * rng.uniform(1.0, 1.5, k.size))
    kept = solver.adapted(warmer, diagonal)
    assert kept.precondition is solver.precondition
    found = kept.solve(rhs, values=values, guess=expected, tolerance=1e-11)
    fresh = engine.solve(warmer, diagonal, rhs, fixed=fixed, values=values, tolerance=1e-11)
    np.testing.assert_allclose(found, fresh, atol=1e-8 * np.abs(fresh).max())
    assert np.abs(fresh - expected).max() > 1e-3 * np.abs(fresh).max()
    # where other nodes have an equation, nothing fits
    cold = np.zeros_like(k)
    cold[: k.size // 2] = k[: k.size // 2]
    assert kept.adapted(engine.conductance(cold), 0.0 * diagonal).precondition is not solver.precondition


def test_a_preconditioner_kept_through_changes_costs_few_iterations() -> None:
    """The change allowed, a factor of two in all, against the same coefficients prepared anew."""
    axes = even()
    k = noise(axes)
    operators = [
        grid(axes).conductance(c.ravel()) for c in (k, k * np.random.default_rng(2).uniform(1.0, 2.0, k.shape))
    ]
    before, after = operators
    assert isinstance(before, VoxelOperator)
    nothing, free = np.zeros(before.diagonal.size), ~shell(grid(axes))
    cycle = Multigrid(axes, (before.gx, before.gy, before.gz), nothing, free)
    _, count = conjugate_gradients(lambda u: after(u) * free, free.astype(float), cycle, tolerance=1e-8)
    assert count <= 14  # 9 prepared anew, times the root of 2
