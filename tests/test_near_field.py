"""The power of a point: what the grid makes of it, next to it and at borders."""

from __future__ import annotations

from collections.abc import Callable

import half_planes
import numpy as np
import pytest
from engine_problems import cut_into_tetrahedra
from scenes import MM, cube

from thermal.domain import FACES, MeshDomain, VoxelDomain
from thermal.engine import Engine
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.physics.fading import fitted
from thermal.physics.near_field import near_field, point_power


def endless(engine: Engine, at: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Around a point of 1 W in tissue of 1 W/m/K, steady, far borders held at what is there: distance in cells and
    relative error of the rise; ``share`` of the surroundings of the point is in the window."""
    distance = np.linalg.norm(engine.points - at, axis=1)
    exact = 1.0 / (4.0 * np.pi * np.maximum(distance, 1e-9))
    far = np.zeros(len(distance), dtype=bool)
    for name, area in engine.areas.items():
        number = FACES.index(name) if name in FACES else -1
        if number < 0 or abs(at[number // 2] - engine.bounds[number % 2][number // 2]) > 1e-9:
            far |= area > 0.0
    load = point_power(engine, share, at)
    assert load.sum() == pytest.approx(share, rel=1e-12)
    operator = engine.conductance(np.ones(len(engine.cell_volume)))
    found = engine.solve(operator, np.zeros(len(load)), load, fixed=far, values=np.where(far, exact, 0.0))
    return distance / engine.spacing(tuple(at)), found / exact - 1.0


def voxels(axes: tuple[np.ndarray, ...]) -> Engine:
    count = int(np.prod([len(axis) - 1 for axis in axes]))
    return VoxelEngine(VoxelDomain((axes[0], axes[1], axes[2]), {"tissue": np.ones(count)}, np.ones(count, dtype=bool)))


def graded() -> Engine:
    axes = tuple(MM * np.concatenate([np.arange(-8.0, 9.0), [9.3, 11.0, 13.0], [16.0]]) for _ in range(3))
    return voxels(axes)


def flat() -> Engine:
    axes = tuple(MM * step * np.arange(-half, half + 1.0) for step, half in ((0.5, 24), (1.0, 12), (1.5, 9)))
    return voxels(axes)


def shaken() -> Engine:
    axis = MM * np.arange(-11.0, 12.0)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    inner = (np.abs(points) < 10.5 * MM).all(axis=1)
    points[inner] += np.random.default_rng(1).uniform(-0.2, 0.2, (int(inner.sum()), 3)) * MM
    cells = cut_into_tetrahedra((23, 23, 23))
    return MeshEngine(MeshDomain(points, cells, {"tissue": np.ones(len(cells))}))


def disc() -> Engine:
    return half_planes.engine(*half_planes.rectangle(np.linspace(0.0, 12 * MM, 13), np.linspace(-12 * MM, 12 * MM, 25)))


@pytest.mark.parametrize(
    ("made", "at", "share"),
    [
        (lambda: cube(12 * MM, 1 * MM), (0.0, 0.0, 0.0), 1.0),
        (lambda: cube(12 * MM, 1 * MM), (0.5, 0.0, 0.0), 1.0),
        (lambda: cube(12 * MM, 1 * MM), (0.31, 0.17, 0.44), 1.0),
        (lambda: cube(12 * MM, 1 * MM), (-12.0, 0.2, 12.0), 0.25),  # on an edge of the window
        (graded, (0.3, 0.0, 0.4), 1.0),
        (flat, (0.2, 0.3, 0.4), 1.0),
        (shaken, (0.31, 0.17, 0.44), 1.0),
        (disc, (0.0, 0.0, 0.3), 1.0),
    ],
    ids=["node", "edge", "inside", "symmetry", "graded", "flat", "tetrahedra", "disc"],
)
def test_field_of_a_point_is_right_from_three_cells_on(
    made: Callable[[], Engine], at: tuple[float, float, float], share: float
) -> None:
    """Given to the corners of its cell it is off by 2 to 8 % at three cells."""
    cells, error = endless(made(), MM * np.array(at), share)
    assert np.abs(error[(cells > 2.5) & (cells < 6.0)]).max() < 5e-3


@pytest.mark.parametrize("made", [lambda: cube(12 * MM, 1 * MM), flat, shaken], ids=["voxels", "flat", "tetrahedra"])
def test_field_of_a_point_fades_as_it_should(made: Callable[[], Engine]) -> None:
    """Over 3 mm: of what the corners of its cell are given it is 5 to 40 % off. What is left is what the ball of the
    point absorbs too little within, the same everywhere."""
    engine, at = made(), np.array([0.31, 0.17, 0.44]) * MM
    rate = np.full(len(engine.cell_volume), 1.0 / (3.0 * MM))
    load = near_field(engine, at, 0.6, 0.0, rate)
    assert load is not None
    assert load.sum() == pytest.approx(1.0, rel=1e-12)
    operator = engine.conductance(fitted(rate, engine.stencil_edge))
    distance = np.linalg.norm(engine.points - at, axis=1)
    exact = np.exp(-rate[0] * distance) / (4.0 * np.pi * np.maximum(distance, 1e-9))
    far = np.any([area > 0.0 for area in engine.areas.values()], axis=0)
    found = engine.solve(operator, rate[0] ** 2 * engine.volume, load, fixed=far, values=np.where(far, exact, 0.0))
    assert np.abs(found / exact - 1.0)[(distance > 2.0 * MM) & (distance < 7.0 * MM)].max() < 0.012


def test_field_of_a_point_ends_where_the_medium_does() -> None:
    """Beyond six cells it is put down only as far as the field fades alike."""
    engine, at = cube(15 * MM, 1 * MM), np.array([0.31, 0.17, 0.44]) * MM
    middle = np.stack([engine.to_cells(np.ascontiguousarray(axis)) for axis in engine.points.T], axis=1)
    rate = np.where(np.linalg.norm(middle, axis=1) < 9.5 * MM, 300.0, 450.0)
    load = near_field(engine, at, 0.6, 0.0, rate)
    assert load is not None
    reach = np.linalg.norm(engine.points - at, axis=1)[load != 0.0].max()
    assert 6.0 * MM < reach < 9.0 * MM


@pytest.mark.parametrize("fading", [0.01, 0.33, 1.0, 4.0])
def test_fitted_diffusion_fades_exactly_along_a_line(fading: float) -> None:
    """In one dimension, where n_x^4 + n_y^4 + n_z^4 is 1, differences with the factor have exp(-mu x) exactly."""
    rate, edge = np.array([fading * np.sqrt(5.0 / 3.0)]), np.ones(1)
    second = 2.0 * (np.cosh(fading) - 1.0)
    assert fitted(rate, edge)[0] * second == pytest.approx(fading**2, rel=1e-9)
    assert fitted(0.0 * rate, edge)[0] == pytest.approx(1.0, abs=1e-8)
    assert 0.0 <= fitted(1e6 * rate, edge)[0] < 1e-12


def test_a_point_near_a_border_goes_to_the_corners_of_its_cell() -> None:
    engine = cube(6 * MM, 1 * MM)
    at = np.array([0.3, 1.0, -2.2]) * MM
    load = point_power(engine, 1.0, at)
    np.testing.assert_array_equal(load, engine.deposit(np.array([1.0]), at[None, :]))
