"""Margins within the organ, tumour left over, collateral damage, heat sinks, agreement with a measured zone."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import RunCase
from pydantic import ValidationError
from scenes import MM, Share, cube

from thermal.case.parts import ReferenceZone
from thermal.engines.voxel import VoxelEngine
from thermal.units import Array
from thermal.zone import Extent, measure_zone
from thermal.zone.margins import collateral, heat_sinks, left_over, measure_margins, target_nodes, target_surface

H = 1.0 * MM


def smooth_ball(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Share:
    """Share of each cell within a sphere, from its distance to the surface."""
    return lambda x: np.clip(0.5 + (radius - np.linalg.norm(x - np.asarray(centre), axis=1)) / H, 0.0, 1.0)


def zone(engine: VoxelEngine, radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Extent:
    return Extent(radius - np.linalg.norm(engine.points - np.asarray(centre), axis=1), 0.0)


def ball(radius: float) -> float:
    return 4.0 / 3.0 * np.pi * radius**3


def test_margins_of_concentric_balls() -> None:
    """Tumour of 8 mm, zone of 14 mm: 6 mm everywhere, all of the 5 mm shell, not all of that of 10 mm."""
    engine = cube(22 * MM, H, {"tumour": smooth_ball(8 * MM)})
    found = measure_margins(engine, zone(engine, 14 * MM), "tumour", ())
    assert found is not None
    value = {name: reading.value for name, reading in found.readings.items()}
    assert value["margin.mean"] == pytest.approx(6 * MM, abs=0.1 * MM)
    assert value["margin.surface_share_5mm"] == pytest.approx(1.0)
    assert value["margin.surface_share_10mm"] == 0.0
    assert value["margin.target_5mm.volume"] == pytest.approx(ball(13 * MM), rel=0.015)
    assert value["margin.target_5mm.coverage"] == pytest.approx(1.0, abs=1e-3)
    assert value["margin.target_10mm.coverage"] == pytest.approx((14 / 18) ** 3, rel=0.01)
    assert "margin.minimum_in_organ" not in value  # the whole border lies in the organ
    radius = np.linalg.norm(engine.points, axis=1)
    near = radius < 18 * MM
    np.testing.assert_allclose(
        found.tumour_distance[near], radius[near] - 8 * MM, atol=0.25 * MM
    )  # a quarter of a voxel


@pytest.mark.parametrize("radius", [11.3, 12.6, 13.0, 13.3])
def test_a_target_covered_to_its_border(radius: float) -> None:
    """Where the borders of zone and target cut the same voxels, as much of them is covered as lies in both."""
    engine = cube(16 * MM, 2 * H, {"tumour": smooth_ball(8 * MM)})
    found = measure_margins(engine, zone(engine, radius * MM), "tumour", ())
    assert found is not None
    volume, covered = (found.readings[f"margin.target_5mm.{name}"].value for name in ("volume", "coverage"))
    assert covered == pytest.approx(min(ball(radius * MM) / volume, 1.0), abs=0.02)  # second order: (h / R)^2


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_the_surface_of_a_target(margin: float) -> None:
    """Of a ball: on a sphere, except beside a vessel. Its nodes alone end half a voxel below it."""
    vessel: Share = lambda x: (x[:, 2] > 7 * MM).astype(float)  # noqa: E731
    tumour: Share = lambda x: smooth_ball(8 * MM)(x) * (1.0 - vessel(x))  # noqa: E731
    engine = cube(14 * MM, H, {"tumour": tumour, "vessel": vessel})
    asked = (engine, "tumour", margin * MM, ("vessel",))
    points, radius = target_surface(*asked), (8.0 + margin) * MM
    away = np.linalg.norm(points, axis=1)
    assert points[:, 2].max() < 7 * MM  # nothing of what is cut off by the vessel
    below = points[:, 2] < 0.0
    np.testing.assert_allclose(away[below], radius, atol=0.25 * MM)  # a quarter of a voxel
    assert below.sum() > 0.5 * len(points) > 100
    nodes = engine.points[target_nodes(*asked)]
    assert np.linalg.norm(nodes, axis=1).max() < radius + 0.25 * MM


def test_margin_below_the_capsule() -> None:
    """The liver ends 2 mm above the tumour, the zone 4 mm above it and 7 mm to all other sides: 7 mm are in the organ.

    Zone: ball of 15 mm cut off at z = 12 mm; tumour 8 mm; capsule at z = 10 mm.
    """

    def outside(x: Array) -> Array:
        return np.clip(0.5 + (x[:, 2] - 10 * MM) / H, 0.0, 1.0)

    engine = cube(22 * MM, H, {"tumour": smooth_ball(8 * MM), "fat": outside})
    measure = np.minimum(zone(engine, 15 * MM).measure, 12 * MM - engine.points[:, 2])
    found = measure_margins(engine, Extent(measure, 0.0), "tumour", ())
    assert found is not None
    value = {name: reading.value for name, reading in found.readings.items()}
    assert measure_zone(engine, measure, 0.0, "tumour").minimum_margin == pytest.approx(4 * MM, abs=0.15 * MM)
    assert value["margin.minimum_in_organ"] == pytest.approx(7 * MM, abs=0.15 * MM)
    assert value["margin.surface_share_5mm"] < 0.99
    assert value["margin.surface_share_in_organ_5mm"] == pytest.approx(1.0)
    assert value["margin.target_5mm.coverage"] == pytest.approx(1.0, abs=1e-3)  # the fat is not wanted


def test_coverage_and_margin_say_the_same() -> None:
    """Nothing is left exactly where the smallest margin is not negative, wherever the borders cut the voxels."""
    engine = cube(14 * MM, H, {"tumour": smooth_ball(8 * MM)})
    for radius in np.linspace(7.6, 8.6, 11) * MM:
        found = measure_zone(engine, zone(engine, radius).measure, 0.0, "tumour")
        assert found.minimum_margin is not None
        assert found.tumour_coverage is not None
        assert (found.minimum_margin >= 0.0) == (found.tumour_coverage == 1.0)
        assert (found.residual_volume == 0.0) == (found.tumour_coverage == 1.0)


def test_where_the_tumour_is_left() -> None:
    """A zone that ends at x = 0: half of the tumour is left, its centroid 3/8 of the radius away."""
    engine = cube(14 * MM, H, {"tumour": smooth_ball(8 * MM)})
    found = left_over(engine, Extent(-engine.points[:, 0], 0.0), "tumour")
    assert found["residual.x"].value == pytest.approx(3 * MM, rel=0.02)
    assert found["residual.y"].value == pytest.approx(0.0, abs=0.01 * MM)
    assert found["residual.offset"].value == pytest.approx(3 * MM, rel=0.02)
    assert left_over(engine, zone(engine, 12 * MM), "tumour") == {}


def test_collateral_and_heat_sinks() -> None:
    """A vessel of 3 mm at x = 14 mm beside a zone that stops 1 mm short of it; 2 mm of the tumour are left."""
    vessel = smooth_ball(3 * MM, (14 * MM, 0.0, 0.0))
    engine = cube(20 * MM, H, {"tumour": smooth_ball(9 * MM), "vein": vessel})
    extent = Extent(np.minimum(zone(engine, 12 * MM).measure, 7 * MM - engine.points[:, 0]), 0.0)
    hot = 37.0 + 50.0 * (engine.points[:, 0] < 0)
    found = collateral(engine, extent, hot, np.full(hot.shape, 37.0), "tumour")
    assert found["collateral.vein.lost_share"].value == 0.0
    assert found["collateral.vein.highest_temperature"].value == 37.0
    assert found["collateral.tissue.highest_temperature"].value == 87.0
    assert "collateral.tumour.lost_share" not in found
    sinks = heat_sinks(engine, extent, "tumour", ("vein",))
    assert sinks["heat_sink.vein.gap"].value == pytest.approx(4 * MM, abs=0.2 * MM)
    assert sinks["heat_sink.vein.tumour_distance"].value == pytest.approx(2 * MM, abs=0.2 * MM)
    left = sinks["heat_sink.vein.tumour_left_near"].value
    near = sinks["heat_sink.vein.tumour_near"].value
    cap = np.pi * (2 * MM) ** 2 * (9 - 2 / 3) * MM  # of the tumour beyond x = 7 mm
    assert 0.8 * cap < left < 1.05 * cap
    assert left < near


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "either a mask"),
        ({"mask": "a.nii", "centre": ["0 mm"] * 3, "diameters": ["1 mm"] * 3}, "either a mask"),
        ({"centre": ["0 mm"] * 3}, "both centre and diameters"),
        ({"centre": ["0 mm"] * 3, "diameters": ["1 mm"] * 3, "axis": [0, 0, 0]}, "no direction"),
    ],
)
def test_a_reference_is_one_thing(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ReferenceZone.model_validate(table)


ELLIPSOID = 'zone.reference={centre=["1 mm","0 mm","0 mm"], diameters=["20 mm","16 mm","16 mm"], axis=[0, 0, 2]}'


def test_agreement_with_a_measured_zone(run_case: RunCase, tmp_path: Path) -> None:
    """An ellipsoid, and the same as an image of 0.5 mm, through a case file: the same volume and agreement.

    On 2.5 mm voxels the chords of a ball of 16 mm cut off some 5 % of it.
    """
    drawn = run_case("rfa_control", "heating.power=20 W", ELLIPSOID)
    assert drawn.value("reference.volume") == pytest.approx(np.pi / 6 * 20 * 16 * 16 * MM**3, rel=0.06)
    axis = (np.arange(61) - 30) * 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = ((x - 1) / 8) ** 2 + (y / 8) ** 2 + (z / 10) ** 2 <= 1
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = axis[0]
    image = nibabel.Nifti1Image(inside.astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "measured.nii.gz")
    masked = run_case("rfa_control", "heating.power=20 W", f'zone.reference={{mask="{tmp_path}/measured.nii.gz"}}')
    assert masked.value("reference.volume") == pytest.approx(drawn.value("reference.volume"), rel=0.06)
    for name in ("dice", "hausdorff_distance", "mean_surface_distance"):
        assert masked.value(f"reference.{name}") == pytest.approx(drawn.value(f"reference.{name}"), rel=0.1)
    assert 0.1 < drawn.value("reference.dice") < 1.0
    assert drawn.value("isotherm.50.volume") > drawn.value("isotherm.60.volume") > 0.0
