"""Uneven uptake within a tumour: patches by chance, maps, and what scintigraphy says of tumour and liver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydantic import ValidationError
from scenes import MM, ball, cube, site, tissues
from test_routes import REGIONS, entry, value, where

from thermal.errors import CaseError
from thermal.imaging.grid import image_reader
from thermal.physics.delivery.heterogeneity import random_field
from thermal.physics.delivery.outcome import Site

BY_VEIN: dict[str, Any] = {"kind": "systemic", "injected_mass": "100 mg", "threshold": "0.05 mg/ml"}
BY_ARTERY: dict[str, Any] = {"kind": "intra_arterial", "injected_mass": "100 mg"}
PATCHES = {"variation": 0.6, "correlation_length": "2 mm", "seed": 3}


def test_a_random_field_has_the_variance_and_correlation_it_says() -> None:
    """Over 300 fields, whose mean has a standard error of 6 %, at pairs of points at known distances."""
    length = 2 * MM
    points = np.array([[0, 0, 0], [length, 0, 0], [0, 2 * length, 0], [0, 0, 8 * length]])
    drawn = np.array([random_field(points, length, seed) for seed in range(300)])
    together = drawn.T @ drawn / len(drawn)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.2)
    np.testing.assert_allclose(np.diag(together), 1.0, atol=0.25)
    np.testing.assert_allclose(together[0], [1.0, np.exp(-0.5), np.exp(-2.0), 0.0], atol=0.25)


@pytest.mark.parametrize("route", [BY_VEIN, BY_ARTERY])
def test_patches_move_particles_within_the_tumour_alone(route: dict[str, Any]) -> None:
    even = entry(**route).deliver(where())
    patchy = entry(**route, heterogeneity=PATCHES).deliver(where())
    for key in ("dose.tumour", "dose.tumour_fraction", "dose.healthy", "dose.region.liver"):
        assert value(patchy, key) == pytest.approx(value(even, key), rel=1e-12)
    assert patchy.bulk.min() >= 0.0
    assert value(even, "dose.tumour_variation") < 1e-6
    assert 0.3 < value(patchy, "dose.tumour_variation") < 0.9  # 0.6 in a tumour of many patches; this has some twenty
    assert value(patchy, "ledger.mass_error") < 1e-14


def test_a_tumour_of_many_patches_varies_as_asked() -> None:
    regions = {"tumour": lambda x: np.ones(len(x))}
    place = site(cube(20 * MM, 1.25 * MM, regions), tumour="tumour")
    table = {"variation": 0.5, "correlation_length": "2.5 mm"}
    found = entry(**{**BY_VEIN, "organs": {}}, heterogeneity=table).deliver(place)
    assert value(found, "dose.tumour_variation") == pytest.approx(0.5, abs=0.06)  # of 500 patches: 1 / root of 500


def test_the_same_seed_is_the_same_tumour_on_any_grid() -> None:
    def on(spacing: float, seed: int) -> Any:
        engine = cube(8 * MM, spacing, REGIONS)
        place = site(engine, tissues(engine), tumour="tumour")
        found = entry(**{**BY_VEIN, "organs": {}}, heterogeneity={**PATCHES, "seed": seed}).deliver(place)
        at = np.array([[x, y, z] for x in (-2, 0, 2) for y in (-1, 1) for z in (-1, 0, 1)]) * MM
        return engine.sample(found.bulk, at)

    coarse, fine, other = on(1 * MM, 3), on(0.5 * MM, 3), on(1 * MM, 4)
    assert np.corrcoef(coarse, fine)[0, 1] > 0.97
    assert np.corrcoef(coarse, other)[0, 1] < 0.7


def with_map(folder: Path, values: Any) -> Site:
    """A map of voxels of 2 mm around the origin."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -7.0
    nibabel.save(nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), affine), folder / "uptake.nii.gz")
    place = where()
    return Site(place.engine, place.tissues, "tumour", place.pressure, place.concentration,
                image_reader(place.engine, folder))  # fmt: skip


def test_a_map_says_where(tmp_path: Path) -> None:
    """Three times as much in one half: twice that half of the dose stays on the other. The unit of the map is none."""
    values = np.ones((8, 8, 8))
    values[4:] = 3.0
    shares = []
    for factor in (1.0, 250.0):
        place = with_map(tmp_path, factor * values)
        found = entry(**{**BY_VEIN, "organs": {}}, heterogeneity={"map": "uptake.nii.gz"}).deliver(place)
        mass = found.bulk * place.engine.volume
        x = place.engine.points[:, 0]
        shares.append(mass[x > 0.1 * MM].sum() / mass[x < -0.1 * MM].sum())
        assert value(found, "dose.tumour_fraction") == pytest.approx(0.007, rel=1e-12)
    assert shares[0] == pytest.approx(3.0, rel=0.02)  # the nodes in the plane between hold the mean
    assert shares[1] == pytest.approx(shares[0], rel=1e-6)
    values[...] = 0.0
    values[0, 0, 0] = 1.0  # outside the tumour
    with pytest.raises(CaseError, match=r"heterogeneity.map: no voxel inside the tumour"):
        entry(**BY_VEIN, heterogeneity={"map": "uptake.nii.gz"}).deliver(with_map(tmp_path, values))


@pytest.mark.parametrize(
    "table", [{}, {"variation": 0.5}, {"correlation_length": "1 mm"}, {**PATCHES, "map": "a.nii"}, {"variation": -1.0}]
)
def test_tables_that_say_too_little_or_too_much(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"variation"):
        entry(**BY_VEIN, heterogeneity=table)


def test_tumour_to_normal_ratio() -> None:
    """By flow 0.9 * 0.002 to 0.25 * 0.01 1/s; as measured, that of the concentrations, whatever the flow."""
    place = where()
    by_flow = entry(**BY_ARTERY).deliver(place)
    assert value(by_flow, "delivery.tumour_to_normal") == pytest.approx(0.72, rel=1e-9)
    found = entry(**BY_ARTERY, tumour_to_normal=4.0, reflux=0.1, heterogeneity=PATCHES).deliver(place)
    tumour, liver = (float(place.engine.volumes[name].sum()) for name in ("tumour", "liver"))
    ratio = (value(found, "dose.tumour") / tumour) / (value(found, "dose.region.liver") / liver)
    assert ratio == pytest.approx(4.0, rel=1e-9)
    assert value(found, "dose.tumour") + value(found, "dose.region.liver") == pytest.approx(90e-6, rel=1e-12)
    closing = {"embolisation": {"occlusion": 1.0}}
    same = [entry(**BY_ARTERY, **closing, **more).deliver(place) for more in ({}, {"tumour_to_normal": 4.0})]
    np.testing.assert_allclose(same[0].perfusion, same[1].perfusion, rtol=1e-12)


def test_a_region_is_told_what_was_put_into_it() -> None:
    """Nodes on its border do not hand part of it to air or to a neighbour that takes nothing."""
    regions = {**REGIONS, "gas": lambda x: (x[:, 0] > 6 * MM).astype(float)}
    regions["liver"] = lambda x: (1.0 - ball(4 * MM)(x)) * (x[:, 0] <= 6 * MM)
    engine = cube(8 * MM, 1 * MM, regions)
    place = site(engine, tissues(engine, {"liver": {"perfusion": "0.01 1/s"}}), tumour="tumour")
    found = entry(**BY_VEIN).deliver(place)
    assert "dose.region.gas" not in found.readings
    volume = float(engine.volumes["liver"].sum())
    assert value(found, "dose.region.liver") == pytest.approx(60e-6 * volume / 1.5e-3, rel=1e-12)
