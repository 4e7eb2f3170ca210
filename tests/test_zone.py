"""The ablation zone against balls and ellipsoids, on voxels and on tetrahedra."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skfem

from thermal.domain import MeshDomain, VoxelDomain
from thermal.engine import Engine, Surface
from thermal.engines.marching import voxel_inside
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.zone import Distance, Extent, Zone, compare_zones, measure_zone

Vector = tuple[float, float, float]
MM = 1e-3


def ball(points: np.ndarray, centre: Vector, radius: float) -> np.ndarray:
    """Signed distance to a ball's surface, positive inside."""
    return radius - np.linalg.norm(points - centre, axis=1)


def window(
    n: int, centre: Vector, radius: float, half: float = 30 * MM, void_above: float | None = None
) -> VoxelEngine:
    """A graded window of n^3 voxels of liver with a ball of tumour; void above a height z if given."""
    s = np.linspace(-1, 1, n + 1)
    axes = (half * s, half * (0.9 * s + 0.1 * s**3), half * s)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    tumour = voxel_inside(axes, ball(points, centre, radius), 0.0)
    solid = np.ones(n**3, bool)
    if void_above is not None:
        solid = np.tile(0.5 * (axes[2][1:] + axes[2][:-1]) < void_above, n * n)
    return VoxelEngine(VoxelDomain(axes, {"liver": 1 - tumour, "tumour": tumour}, solid))


def volume_of(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3


def test_eccentric_ball() -> None:
    """Zone of 18 mm around the origin, tumour of 8 mm at 5 mm from it: the margin is 18 - 5 - 8 = 5 mm."""
    centre = (3 * MM, 4 * MM, 0.0)
    engine = window(48, centre, 8 * MM)
    h = 1.3 * MM
    zone = measure_zone(engine, ball(engine.points, (0, 0, 0), 18 * MM), 0.0, "tumour")
    assert zone.volume == pytest.approx(volume_of(18 * MM), rel=1.1 * (h / (18 * MM)) ** 2)
    assert zone.equivalent_diameter == pytest.approx(36 * MM, rel=0.002)
    assert zone.principal_diameters == pytest.approx((36 * MM,) * 3, rel=0.005)
    assert zone.surface_area == pytest.approx(4 * np.pi * (18 * MM) ** 2, rel=0.005)
    assert zone.sphericity == pytest.approx(1.0, abs=0.005)
    assert zone.sphericity < 1.0
    assert zone.minimum_margin == pytest.approx(5 * MM, abs=0.15 * MM)  # h^2 (1/R_zone + 1/R_tumour) / 2
    assert zone.tumour_coverage == pytest.approx(1.0, abs=1e-12)
    assert zone.residual_volume == pytest.approx(0.0, abs=1e-12 * zone.volume)
    assert zone.tumour_volume == pytest.approx(volume_of(8 * MM), rel=0.02)
    assert zone.healthy_volume == pytest.approx(zone.volume - zone.tumour_volume, rel=1e-12)
    assert zone.lost["liver"] == pytest.approx(zone.healthy_volume, rel=1e-12)
    assert not zone.touches_boundary


def test_uncovered_tumour_has_a_negative_margin() -> None:
    """Zone of 10 mm, tumour of 8 mm at 12 mm: its far side is 12 + 8 - 10 = 10 mm outside."""
    engine = window(40, (12 * MM, 0, 0), 8 * MM)
    zone = measure_zone(engine, ball(engine.points, (0, 0, 0), 10 * MM), 0.0, "tumour")
    assert zone.minimum_margin == pytest.approx(-10 * MM, abs=0.2 * MM)
    # lens of two balls: pi (r+R-d)^2 (d^2 + 2dr - 3r^2 + 2dR + 6rR - 3R^2) / (12 d)
    d, r, R = 12 * MM, 8 * MM, 10 * MM
    lens = np.pi * (r + R - d) ** 2 * (d**2 + 2 * d * r - 3 * r**2 + 2 * d * R + 6 * r * R - 3 * R**2) / (12 * d)
    assert zone.tumour_coverage == pytest.approx(lens / volume_of(r), rel=0.03)
    assert zone.residual_volume == pytest.approx(volume_of(r) - lens, rel=0.03)
    assert zone.lost["tumour"] + zone.lost["liver"] == pytest.approx(zone.volume, rel=1e-12)


def test_second_order() -> None:
    errors = []
    d, r, R = 7 * MM, 9 * MM, 14 * MM  # the tumour sticks out of the zone
    lens = np.pi * (r + R - d) ** 2 * (d**2 + 2 * d * r - 3 * r**2 + 2 * d * R + 6 * r * R - 3 * R**2) / (12 * d)
    for n in (16, 32, 64):
        engine = window(n, (d, 0.3 * MM, 0), r, half=22 * MM)
        zone = measure_zone(engine, ball(engine.points, (0, 0.3 * MM, 0), R), 0.0, "tumour")
        assert zone.minimum_margin is not None
        errors.append(
            [
                zone.volume / volume_of(R) - 1,
                zone.surface_area / (4 * np.pi * R**2) - 1,
                zone.lost["tumour"] / lens - 1,
                (zone.minimum_margin - (R - d - r)) / R,
            ]
        )
    orders = np.log2(np.abs(np.array(errors)[0] / np.array(errors)[2])) / 2
    assert np.all(orders > 1.6), (errors, orders)  # two halvings; single ones scatter with the grid's place
    assert np.all(np.abs(errors[-1]) < [0.003, 0.003, 0.006, 0.006])


def test_zone_with_the_border_of_the_tumour_covers_it() -> None:
    """Both borders in the same cells: a product of shares would lose a sixth of every border cell (4 % here)."""
    centre, radius = (0.4 * MM, 0, 0), 12 * MM
    engine = window(32, centre, radius)
    zone = measure_zone(engine, ball(engine.points, centre, radius), 0.0, "tumour")
    assert zone.tumour_coverage == pytest.approx(1.0, abs=0.002)
    assert zone.minimum_margin == pytest.approx(0.0, abs=0.2 * MM)
    assert zone.healthy_volume == pytest.approx(0.0, abs=0.005 * zone.volume)
    # the complement faces the other way and shares only its border with the tumour
    rest = measure_zone(engine, -ball(engine.points, centre, radius), 0.0, "tumour")
    assert rest.tumour_coverage == pytest.approx(0.0, abs=0.002)
    assert rest.touches_boundary


def test_ellipsoid() -> None:
    engine = window(40, (0, 0, 0), 5 * MM)
    turn = np.linalg.qr(np.array([[1.0, 0.4, 0.1], [0.3, 1.0, 0.5], [0.2, 0.1, 1.0]]))[0]
    axes = np.array([22.0, 14.0, 9.0]) * MM
    u = 1 - np.linalg.norm(engine.points @ turn / axes, axis=1)
    zone = measure_zone(engine, u, 0.0, "tumour")
    assert zone.principal_diameters == pytest.approx(2 * axes, rel=0.01)
    assert zone.volume == pytest.approx(4 / 3 * np.pi * axes.prod(), rel=0.02)
    # Thomsen's formula for the area of an ellipsoid, within 1.1 %
    p = 1.6075
    a, b, c = axes
    area = 4 * np.pi * (((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3) ** (1 / p)
    assert zone.surface_area == pytest.approx(area, rel=0.02)
    assert zone.sphericity == pytest.approx(np.cbrt(36 * np.pi * zone.volume**2) / area, rel=0.02)
    assert zone.minimum_margin == pytest.approx(4 * MM, abs=0.25 * MM)  # shortest half-axis minus the tumour


def test_empty_zone_is_the_limit_of_a_shrinking_one() -> None:
    engine = window(30, (6 * MM, 0, 0), 5 * MM)
    u = ball(engine.points, (0, 0, 0), 0.0)
    small = measure_zone(engine, u, -2.2 * MM, "tumour")
    none = measure_zone(engine, u, 1.0, "tumour")
    assert none.volume == 0
    assert none.surface_area == 0
    assert none.sphericity is None
    assert none.principal_diameters == (0, 0, 0)
    assert none.tumour_coverage == 0
    assert none.residual_volume == none.tumour_volume
    # a surface half-way through 2 mm voxels sinks h^2 / (2 R) = 0.4 mm into a tumour of 5 mm
    assert none.minimum_margin == pytest.approx(-11 * MM, abs=0.5 * MM)
    assert small.minimum_margin == pytest.approx(none.minimum_margin + 2.2 * MM, abs=0.5 * MM)
    flat = measure_zone(engine, np.zeros(len(u)), 1.0, "tumour")  # no peak at all: the middle of the body
    assert flat.minimum_margin == pytest.approx(none.minimum_margin, abs=1e-6 * MM)
    assert "zone.sphericity" not in none.as_readings()


def test_without_a_tumour() -> None:
    engine = window(16, (0, 0, 0), 5 * MM)
    zone = measure_zone(engine, ball(engine.points, (0, 0, 0), 12 * MM), 0.0, None)
    assert zone.tumour_volume is None
    assert zone.minimum_margin is None
    assert set(zone.lost) == {"liver", "tumour"}
    assert zone.lost["tumour"] > 0


def test_gap_inside_the_tumour_shows_in_the_margin() -> None:
    """A vessel keeps a ball of 3 mm in the middle of the tumour alive: the margin cannot be positive."""
    engine = window(48, (0, 0, 0), 10 * MM)
    u = np.minimum(ball(engine.points, (0, 0, 0), 20 * MM), -ball(engine.points, (0, 0, 0), 3 * MM))
    zone = measure_zone(engine, u, 0.0, "tumour")
    assert zone.minimum_margin == pytest.approx(-3 * MM, abs=0.5 * MM)  # deepest node of the gap
    assert zone.residual_volume == pytest.approx(volume_of(3 * MM), rel=0.15)


def test_zone_at_the_faces_is_flagged() -> None:
    engine = window(16, (0, 0, 0), 5 * MM, half=15 * MM)
    assert not measure_zone(engine, ball(engine.points, (0, 0, 0), 13 * MM), 0.0, "tumour").touches_boundary
    assert measure_zone(engine, ball(engine.points, (5 * MM, 0, 0), 13 * MM), 0.0, "tumour").touches_boundary


def test_void_outside_the_body_does_not_count() -> None:
    """Tumour under the skin: neither the air above it nor what its nodes hold enters any figure."""
    engine = window(30, (0, 0, 5 * MM), 8 * MM, void_above=7.9 * MM)
    u = ball(engine.points, (0, 0, 5 * MM), 13 * MM)
    cold = np.where(engine.volume > 0, u, -1.0)
    zone, same = (measure_zone(engine, field, 0.0, "tumour") for field in (u, cold))
    assert zone == same
    assert zone.minimum_margin == pytest.approx(5 * MM, abs=0.3 * MM)
    assert zone.tumour_coverage == pytest.approx(1.0, abs=1e-12)
    assert not zone.touches_boundary


def test_readings_are_flat_numbers_with_units() -> None:
    engine = window(16, (0, 0, 0), 8 * MM)
    rows = measure_zone(engine, ball(engine.points, (0, 0, 0), 14 * MM), 0.0, "tumour").as_readings()
    assert rows["zone.volume"][1] == "m^3"
    assert rows["zone.minimum_margin"][1] == "m"
    assert rows["zone.lost.tumour"][0] == pytest.approx(rows["zone.tumour_volume"][0], rel=1e-9)
    assert rows["zone.touches_boundary"] == (0.0, "")
    json.dumps({name: value for name, (value, _) in rows.items()}, allow_nan=False)


def test_bad_fields_are_refused() -> None:
    engine = window(8, (0, 0, 0), 10 * MM)
    u = ball(engine.points, (0, 0, 0), 14 * MM)
    u[5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        measure_zone(engine, u, 0.0, "tumour")
    with pytest.raises(KeyError):
        measure_zone(engine, np.nan_to_num(u), 0.0, "spleen")


def test_tetrahedra_agree_with_voxels() -> None:
    n, centre, radius = 24, (4 * MM, 0.0, 0.0), 8 * MM
    mesh = skfem.MeshTet.init_tensor(*([np.linspace(-30 * MM, 30 * MM, n + 1)] * 3))
    points, cells = mesh.p.T.copy(), mesh.t.T.astype(np.int64)
    whole = MeshEngine(MeshDomain(points, cells, {}))
    share = whole.inside(ball(points, centre, radius), 0.0)
    engine: Engine = MeshEngine(MeshDomain(points, cells, {"tumour": share, "liver": 1 - share}))
    results: list[Zone] = []
    for each in (engine, window(n, centre, radius)):
        results.append(measure_zone(each, ball(each.points, (0, 0, 0), 17 * MM), 0.0, "tumour"))
    on_mesh, on_voxels = results
    assert on_mesh.minimum_margin == pytest.approx(5 * MM, abs=0.6 * MM)
    assert on_mesh.volume == pytest.approx(on_voxels.volume, rel=0.02)
    assert on_mesh.surface_area == pytest.approx(on_voxels.surface_area, rel=0.02)
    assert on_mesh.principal_diameters == pytest.approx(on_voxels.principal_diameters, rel=0.02)
    assert on_mesh.tumour_coverage == pytest.approx(1.0, abs=1e-12)
    assert not on_mesh.touches_boundary


def test_zones_of_two_runs() -> None:
    """Balls of 14 and 10 mm, 2 mm apart: Hausdorff distance 6 mm; concentric ones are 4 mm apart everywhere."""
    engine = window(48, (0, 0, 0), 5 * MM)
    large = Extent(ball(engine.points, (0, 0, 0), 14 * MM), 0.0)
    small = Extent(50 + 3 * ball(engine.points, (2 * MM, 0, 0), 10 * MM), 50.0)
    concentric = Extent(ball(engine.points, (0, 0, 0), 0.0), -10 * MM)
    apart = compare_zones(engine, large, small)
    assert apart.hausdorff_distance == pytest.approx(6 * MM, abs=0.15 * MM)
    assert apart.dice == pytest.approx(2 * 10**3 / (10**3 + 14**3), rel=0.01)
    assert compare_zones(engine, large, concentric).mean_surface_distance == pytest.approx(4 * MM, abs=0.1 * MM)
    itself = compare_zones(engine, large, large)
    assert itself.dice == pytest.approx(1.0, abs=1e-12)
    assert itself.hausdorff_distance == pytest.approx(0.0, abs=1e-12)
    nothing = Extent(large.measure, 1.0)
    assert compare_zones(engine, large, nothing).dice == 0
    assert compare_zones(engine, large, nothing).hausdorff_distance is None
    assert compare_zones(engine, nothing, nothing).dice == 1


def test_distance_is_exact() -> None:
    """Random triangles of very different size against dense sampling from below and from above."""
    triangle = Surface(np.array([[0.0, 0, 0], [4, 0, 0], [0, 3, 0]]), np.array([[0, 1, 2]]))
    at = np.array([[1.0, 1, 2], [-3, -4, 0], [2, -1.5, 2], [4, 3, 0], [4, 3, 1], [0, 0, 0]])
    expected = [2, 5, 2.5, 12 / 5, np.hypot(12 / 5, 1), 0]  # face, corner, edge, hypotenuse, the same from above, on it
    np.testing.assert_allclose(Distance(triangle)(at), expected, atol=1e-14)
    # many small triangles crowd around the foot of the point, which lies in a large one
    rng = np.random.default_rng(0)
    crowd = np.array([0.5, 0.5, 0.0]) + rng.normal(size=(60, 3)) * [0.01, 0.01, 0.001] + [0.05, 0, 0]
    points = np.vstack([triangle.points, crowd])
    surface = Surface(points, np.vstack([triangle.triangles, 3 + np.arange(60).reshape(20, 3)]))
    assert Distance(surface)(np.array([[0.5, 0.5, 0.001]]))[0] == pytest.approx(0.001, rel=1e-12)


def test_extremes_equal_the_full_search() -> None:
    engine = window(24, (0, 0, 0), 5 * MM)
    surface = engine.isosurface(ball(engine.points, (1 * MM, 2 * MM, 0), 12 * MM), 0.0)
    distance = Distance(surface)
    at = np.random.default_rng(1).uniform(-6 * MM, 6 * MM, (5000, 3))
    every = distance(at)
    assert distance.least(at) == every.min()
    assert distance.greatest(at) == every.max()
    exact = np.abs(ball(at, (1 * MM, 2 * MM, 0), 12 * MM))
    np.testing.assert_allclose(every, exact, atol=(2.5 * MM) ** 2 / (2 * 12 * MM))  # facets sink below the ball
