"""Microwave heating: the empirical pattern keeps its power, has the limits of points and lines, and dries tissue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scenes import MM, at, cube, scene

from thermal.domain import Line
from thermal.errors import CaseError
from thermal.physics.heating.microwave import Absorbed, Microwave
from thermal.physics.heating.pattern import LinePattern

ANTENNA = {
    "entry": ["0 mm", "0 mm", "40 mm"],
    "tip": ["0.3 mm", "0.2 mm", "-10 mm"],
    "radius": "0.9 mm",
    "active_length": "20 mm",
}


def microwave(**changes: Any) -> Microwave:
    return Microwave.model_validate({"kind": "microwave", "power": "60 W", "antenna": ANTENNA, **changes})


def line(length: float = 20 * MM, radius: float = 0.9 * MM) -> Line:
    return Line((0.0, 0.0, -0.5 * length), (0.0, 0.0, 0.5 * length), radius)


def test_far_away_it_is_a_point() -> None:
    """At 80 mm a line of 1 mm is a point: 2 a exp(-2 a r) / 4 pi r^2 to (L/r)^2 = 2e-4."""
    pattern = LinePattern.of(line(1 * MM, 0.01 * MM), 20.0)
    r = np.array([30 * MM, 80 * MM])
    found = pattern.density(np.column_stack([r, 0 * r, 0 * r]))
    np.testing.assert_allclose(found, 40.0 * np.exp(-40.0 * r) / (4 * np.pi * r**2), rtol=2e-3)


def test_density_is_the_sum_over_radiators() -> None:
    """Against 20000 points along the line, beside it, beyond its end and close to it."""
    pattern = LinePattern(line(), 48.0, 1.0)
    points = np.array([[3e-3, 0, 0], [1e-3, 0, 9e-3], [2e-3, 1e-3, 14e-3], [0, 30e-3, -5e-3]])
    s = (np.arange(20000) + 0.5) / 20000 * 20e-3 - 10e-3
    rho = np.sqrt(points[:, :1] ** 2 + points[:, 1:2] ** 2 + (points[:, 2:] - s) ** 2)
    exact = np.mean(96.0 * np.exp(-96.0 * rho) / (4 * np.pi * rho**2), axis=1)
    np.testing.assert_allclose(pattern.density(points), exact, rtol=1e-5)


@pytest.mark.parametrize(("spacing", "shift"), [(1.5 * MM, 0.0), (2.0 * MM, 0.3), (1.0 * MM, 0.5)])
def test_power_is_kept_on_any_grid(spacing: float, shift: float) -> None:
    """All but exp(-9) of it lies in the window; quadrature near the antenna costs up to 1.5 %."""
    engine = cube(24 * MM, spacing, shift=shift)
    power = LinePattern.of(line(10 * MM), 240.0).nodal(engine)
    assert power.min() >= 0.0
    assert power.sum() == pytest.approx(1.0, rel=0.015)


def test_share_outside_of_the_body_is_scaled_up() -> None:
    """A long line absorbs pi a R of its power within a small radius R, to first order in a R = 0.005."""
    pattern = LinePattern.of(line(200 * MM, 0.1 * MM), 48.0)
    assert 1.0 - 1.0 / pattern.scale == pytest.approx(np.pi * 48.0 * 0.1 * MM, rel=0.02)


def test_what_falls_beyond_the_window_is_said() -> None:
    source = microwave().prepare(scene(cube(16 * MM, 2 * MM), None))
    assert source.summary["heating.share_within"].value < 0.9
    assert any("enlarge the window" in warning for warning in source.warnings)


def test_dry_tissue_hands_its_power_on() -> None:
    engine = cube(40 * MM, 2 * MM)
    source = microwave(efficiency=0.7).prepare(scene(engine))
    wet = source.drive(at(engine, 0.0), 1.0).power
    density, unit = source.fields["absorbed_power"]
    assert (density * engine.volume, unit) == (pytest.approx(wet), "W/m^3")
    hot = np.where(np.linalg.norm(engine.points, axis=1) < 5 * MM, 130.0, 60.0)
    drive = source.drive(at(engine, 0.0, hot), 1.0)
    assert drive.power.sum() == pytest.approx(wet.sum(), rel=1e-12)
    ratio = drive.power / wet
    assert ratio[hot > 100].max() == pytest.approx(0.1 * ratio[hot < 100].min(), rel=1e-9)
    assert drive.readings["power"].value == pytest.approx(wet.sum(), rel=1e-12)
    assert Absorbed(wet, 0.1).power(np.full(wet.shape, 99.0)) is wet
    drying = Absorbed(np.ones(3), 0.1).power(np.array([60.0, 102.5, 101.25]))  # smoothly: 1/2 and 5/32 of the way
    assert drying / drying[0] == pytest.approx([1.0, 1.0 - 0.9 * 0.5, 1.0 - 0.9 * 5.0 / 32.0], rel=1e-12)


def test_two_antennas_add_and_are_switched() -> None:
    engine = cube(30 * MM, 3 * MM)
    other = {**ANTENNA, "entry": ["12 mm", "0 mm", "30 mm"], "tip": ["12 mm", "0 mm", "-10 mm"]}
    both = microwave(antenna=[ANTENNA, other], on=[["0 s", "60 s"]]).prepare(scene(engine))
    alone = [
        microwave(antenna=one).prepare(scene(engine)).drive(at(engine, 0.0), 1.0).power for one in (ANTENNA, other)
    ]
    np.testing.assert_allclose(both.drive(at(engine, 0.0), 1.0).power, sum(alone), rtol=1e-12)
    assert not both.drive(at(engine, 61.0), 1.0).power.any()
    assert both.events == (60.0,)


def test_coolant_runs_along_the_shaft() -> None:
    """The film's conductance is h times the wall's area along the cooled length, and ends with the last interval."""
    engine = cube(30 * MM, 2 * MM)
    cooling = {"temperature": "20 degC", "heat_transfer": "3000 W/m^2/K", "length": "30 mm"}
    source = microwave(cooling=cooling, on=[["0 s", "60 s"]]).prepare(scene(engine))
    (contact,) = source.drive(at(engine, 0.0), 1.0).contacts
    film = np.asarray(contact.film)
    assert film[np.isfinite(film)].sum() == pytest.approx(3000 * 2 * np.pi * 0.9 * MM * 30 * MM, rel=1e-9)
    assert engine.points[contact.factor > 0][:, 2].max() > 15 * MM
    assert not source.drive(at(engine, 61.0), 1.0).contacts


def test_impossible_antennas() -> None:
    engine = cube(20 * MM, 2 * MM)
    away = {**ANTENNA, "entry": ["0 mm", "0 mm", "80 mm"], "tip": ["0 mm", "0 mm", "40 mm"]}
    with pytest.raises(CaseError, match=r"heating.antenna: the active part leaves the domain"):
        microwave(antenna=away).prepare(scene(engine))
    cooling = {"temperature": "20 degC", "length": "70 mm"}
    with pytest.raises(CaseError, match=r"heating.cooling.length: 70 mm is longer than the way"):
        microwave(cooling=cooling).prepare(scene(engine))
    with pytest.raises(ValidationError, match="attenuation"):
        microwave(attenuation="0 1/m")
