"""Photons through tetrahedra: exact slabs, Beer's law, refraction, bodies that light meets twice, and voxels."""

from __future__ import annotations

from types import MappingProxyType

import half_planes
import numba
import numpy as np
import pytest
from test_monte_carlo import BATCHES, SIGMAS, agrees, down, fresnel

from thermal.domain import MeshDomain, VoxelDomain, facets
from thermal.engines.facet_grid import FacetGrid, first_met
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.errors import CaseError
from thermal.flight import Flight, Turbid
from thermal.physics.light import Beam, Border, Fibre, Lamp, Medium, MonteCarlo
from thermal.units import Array, Si

KUHN = [[0, 1, 3, 7], [0, 1, 5, 7], [0, 2, 3, 7], [0, 2, 6, 7], [0, 4, 5, 7], [0, 4, 6, 7]]


def bricks(*axes: Array, solid: Array | None = None, sides: str = "") -> MeshEngine:
    """Six tetrahedra in every brick of a grid; ``sides``: "closed" names the faces across z as the whole surface,
    "window" the others like those of a window."""
    counts = [len(axis) for axis in axes]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    number = np.arange(len(points)).reshape(counts)
    corner = np.stack([number[i : i + counts[0] - 1, j : j + counts[1] - 1, k : k + counts[2] - 1].ravel()
                       for i in (0, 1) for j in (0, 1) for k in (0, 1)], axis=1)  # fmt: skip
    if solid is not None:
        corner = corner[solid]
    cells = corner[:, KUHN].reshape(-1, 4)
    named = {}
    engine = MeshEngine(MeshDomain(points, cells, MappingProxyType({"tissue": np.ones(len(cells))})))
    if sides:
        outer = facets(engine.cells).outer
        z = points[outer][:, :, 2]
        across = np.ptp(z, axis=1) == 0.0
        named["surface"] = outer[across]
        if sides == "window":
            x = points[outer][:, :, 0]
            named["x-"], named["x+"] = outer[(x == axes[0][0]).all(axis=1)], outer[(x == axes[0][-1]).all(axis=1)]
    return MeshEngine(MeshDomain(points, cells, MappingProxyType({"tissue": np.ones(len(cells))}), named))


def turbid(engine: MeshEngine, mu_a: float, mu_s: float, g: float, n: float) -> Turbid:
    cells = np.ones(len(engine.cells))
    return Turbid(mu_a * cells, mu_s * cells, g * cells, n * cells, {})


def test_lgt04_finite_slab() -> None:
    """Between air, with closed sides: as the exact slab without end (R 0.39271, T 0.10671), however the light goes."""
    side = np.linspace(-4e-3, 4e-3, 4)
    engine = bricks(side, side, np.linspace(0.0, 5e-3, 4), sides="closed")
    flight = engine.trace(turbid(engine, 50.0, 1e4, 0.9, 1.37), lambda batch: down(3_000, 0.3e-3), BATCHES, 1)
    assert flight.reflected == pytest.approx((0.37 / 2.37) ** 2, rel=1e-12)
    agrees(flight.left_by_void + flight.reflected, 0.39271 + 0.10671, 1e-5)
    agrees(flight.absorbed, 1.0 - 0.39271 - 0.10671, 1e-5)
    total = flight.absorbed + flight.escaped + flight.reflected - flight.gained
    assert total == pytest.approx(1.0, abs=1e-11)
    # the upper and the lower half: by the same light as voxels have
    axis = np.linspace(0.0, 5e-3, 4)
    wide = np.linspace(-0.5, 0.5, 2)
    box = VoxelEngine(VoxelDomain((wide, wide, axis), MappingProxyType({"tissue": np.ones(3)}), np.ones(3, dtype=bool)))
    cells = np.ones(3)
    layers = box.trace(
        Turbid(50.0 * cells, 1e4 * cells, 0.9 * cells, 1.37 * cells, {"z-": 1.0, "z+": 1.0}),
        lambda batch: down(3_000), BATCHES, 2,
    )  # fmt: skip
    layer = (engine.points[engine.cells].mean(axis=1)[:, 2] // (5e-3 / 3)).astype(int)
    for number in range(3):
        mine = layer == number
        error = np.hypot(np.linalg.norm(flight.path_error[mine]), layers.path_error[number])
        assert np.sum(flight.path[mine]) == pytest.approx(layers.path[number], abs=4.0 * error)


def test_beer_and_snell_through_slanted_faces() -> None:
    """No chance: an oblique beam through the six tetrahedra of each of eight bricks fades with its refracted path."""
    side = np.linspace(-0.5, 0.5, 3)
    engine = bricks(side, side, np.linspace(0.0, 5e-3, 3), sides="window")
    oblique = (np.sin(np.pi / 3), 0.0, np.cos(np.pi / 3))
    optics = turbid(engine, 600.0, 0.0, 0.0, 1.5)
    flight = engine.trace(optics, lambda batch: down(10, 0.1, oblique), BATCHES, 1)
    turned = fresnel(1.0, 1.5, 0.5)
    assert flight.reflected == pytest.approx(turned, rel=1e-12)
    inside = np.sqrt(1.0 - (np.sin(np.pi / 3) / 1.5) ** 2)
    depth = 600.0 * 5e-3 / inside
    once = (1.0 - turned) * (1.0 - np.exp(-depth))
    assert np.all(flight.absorbed > once * (1.0 - 1e-9))
    assert np.mean(flight.absorbed) == pytest.approx(once, rel=0.01)  # and what an inner reflection adds: 9 % of 3 %
    assert flight.left["x+"] == pytest.approx(0.0)


def test_light_of_a_ball_like_that_of_voxels() -> None:
    """A fibre in a box of air-bounded tissue, on both engines; nothing but chance between them."""
    axis = np.linspace(-6e-3, 6e-3, 7)
    mesh = bricks(axis, axis, axis)
    cells = np.ones(6**3)
    grid = VoxelEngine(VoxelDomain((axis, axis, axis), MappingProxyType({"tissue": cells}), cells > 0.0))
    fibre = Fibre(entry=(Si(0), Si(0), Si(6e-3)), tip=(Si(0.5e-3), Si(0), Si(1e-3)), diffuser=Si(3e-3))
    beam = Beam(position=(Si(-6e-3), Si(1e-3), Si(0)), direction=(1, 0, 0.3), diameter=Si(2e-3))
    lamps, model = (Lamp(fibre, 1.0), Lamp(beam, 0.5)), MonteCarlo(model="monte_carlo", photons=30_000)

    def solved(engine: MeshEngine | VoxelEngine, air: frozenset[str]) -> tuple[dict[str, float], dict[str, float]]:
        one = np.ones_like(engine.cell_volume)
        medium = Medium(50.0 * one, 20.0 * (engine.points[:, 2] > 0.0), 500.0 * one, 0.8 * one)
        light = model.solve(engine, medium, lamps, Border(1.4, air))
        assert abs(light.balance_error) * 1.5 < SIGMAS * dict(light.errors)["balance"]
        found = {"absorbed": float(np.sum(light.absorbed)), "escaped": light.escaped, "reflected": light.reflected}
        return found, dict(light.errors)

    faces = frozenset({"x-", "x+", "y-", "y+", "z-", "z+"})
    (one, error), (other, more) = solved(mesh, frozenset()), solved(grid, faces)
    for name, value in one.items():
        assert value == pytest.approx(other[name], abs=4.0 * np.hypot(error[name], more[name]) + 1e-12)


def test_light_leaves_a_body_and_meets_it_again() -> None:
    """Two plates with a gap, as one mesh: Beer's law of both, Fresnel's of four faces."""
    side = np.linspace(-1.0, 1.0, 2)
    engine = bricks(side, side, np.array([0.0, 1e-3, 5e-3, 6e-3]), solid=np.array([True, False, True]))
    flight = engine.trace(turbid(engine, 3000.0, 0.0, 0.0, 1.4), lambda batch: down(20_000, 0.3), BATCHES, 1)
    r, fade = 1.0 / 36.0, np.exp(-3.0)
    first, second = (1 - r) * (1 - fade), (1 - r) ** 3 * fade * (1 - fade)
    agrees(flight.absorbed, first + second, 4 * r * fade)  # what inner reflections and those between the plates add
    upper = engine.points[engine.cells].mean(axis=1)[:, 2] > 3e-3
    far = float(np.sum(flight.path[upper])) * 3000.0
    assert far == pytest.approx(second, rel=0.06)


def test_first_triangle_that_a_ray_meets() -> None:
    """Against all triangles of a shaken box, one by one."""
    axis = np.linspace(0.0, 1.0, 6)
    engine = bricks(axis, axis, axis)
    corners = engine.points[facets(engine.cells).outer]
    corners = corners + 0.02 * np.sin(40.0 * corners[:, :, [1, 2, 0]])  # still closed: a function of the place
    bins = FacetGrid.of(corners).bins
    random = np.random.default_rng(3)
    for _ in range(200):
        start = random.normal(size=3)
        start = 0.5 + 3.0 * start / np.linalg.norm(start)
        target = random.uniform(-0.1, 1.1, 3)
        u = (target - start) / np.linalg.norm(target - start)
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        normal = np.cross(a, b)
        ahead = normal @ u
        with np.errstate(divide="ignore", invalid="ignore"):
            way = np.einsum("fa,fa->f", normal, corners[:, 0] - start) / ahead
            at = start + way[:, None] * u - corners[:, 0]
            inverse = np.linalg.inv(np.stack([a, b, normal], axis=2))
            p, q, _ = np.einsum("fab,fb->fa", inverse, at).T
        met = (ahead < 0.0) & (p >= 0.0) & (q >= 0.0) & (p + q <= 1.0) & (way > 0.0)
        found, number = first_met(bins, *start, *u, -1)
        assert (number >= 0) == bool(met.any())
        if met.any():
            assert found == pytest.approx(way[met].min(), rel=1e-9)


def test_threads_change_nothing() -> None:
    axis = np.linspace(-2e-3, 2e-3, 12)
    engine = bricks(axis, axis, axis)
    before, found = numba.get_num_threads(), list[Flight]()
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            found.append(engine.trace(turbid(engine, 50.0, 2e3, 0.8, 1.4), lambda batch: down(4000), 4, 1))
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(found[0].path, found[1].path)


def test_a_half_plane_has_no_photons() -> None:
    engine = half_planes.engine(*half_planes.rectangle(np.linspace(0.0, 5e-3, 4), np.linspace(-5e-3, 5e-3, 4)))
    one = np.ones(len(engine.cells))
    beam = Beam(position=(Si(0), Si(0), Si(5e-3)), direction=(0, 0, -1), diameter=Si(1e-3))
    with pytest.raises(CaseError, match=r"not through an axisymmetric mesh.*sp3"):
        MonteCarlo(model="monte_carlo").solve(
            engine, Medium(one, np.zeros_like(engine.volume), one, 0.9 * one), (Lamp(beam, 1.0),), Border(1.4)
        )
