"""Vortex discs: torque of a field on a moment, and what it kills."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thermal.case import load_case
from thermal.comparison.limits import what_limited
from thermal.physics.particles import VortexDisc, carrier
from thermal.simulation import simulate

ROOT = Path(__file__).parent.parent
MU0 = 4e-7 * np.pi
"""H/m, to 1e-9 of today's value."""


def disc(**changes: object) -> VortexDisc:
    table = {
        "kind": "vortex_disc", "diameter": "1 um", "thickness": "60 nm", "density": "8700 kg/m^3",
        "saturation_magnetisation": "800 kA/m", "susceptibility": "16", **changes,
    }  # fmt: skip
    return VortexDisc.model_validate(table)


@pytest.mark.parametrize("tilt", [0.0, 30.0, 45.0, 90.0])
def test_torque_is_moment_times_field_times_sine(tilt: float) -> None:
    """m = V chi H cos a below saturation, V Ms above; torque m B sin a."""
    found = disc(tilt=f"{tilt} deg")
    volume, a = np.pi / 4 * 1e-12 * 60e-9, np.radians(tilt)
    field = np.array([1e3, 7.2e3, 1e6])
    moment = volume * np.minimum(16 * field * np.cos(a), 800e3)
    assert found.moment(field) == pytest.approx(moment, rel=1e-12)
    assert found.torque(field) == pytest.approx(moment * MU0 * field * np.sin(a), rel=1e-8, abs=1e-40)


def test_mass_counts_the_coating() -> None:
    assert disc(coating_thickness="5 nm").mass == pytest.approx(np.pi / 4e12 * (60e-9 * 8700 + 10e-9 * 19300))


def test_nine_millitesla_pull_with_tens_of_piconewtons() -> None:
    found = carrier("vortex_disc")
    assert isinstance(found, VortexDisc)
    assert 1e-11 < found.torque(np.array([7.2e3]))[0] / found.diameter < 1e-10
    assert found.doubts(7.2e3, 20.0) == ()
    assert "100 Hz" in found.doubts(7.2e3, 1e5)[0]
    assert "saturated" in found.doubts(1e5, 20.0)[0]


@pytest.mark.parametrize(("on", "exposed"), [('[["0 s", "10 min"]]', 600.0), ('[["1 min", "2 min"]]', 60.0)])
def test_discs_kill_without_heat(on: str, exposed: float, tmp_path: Path) -> None:
    """First order in the time of exposure where there are enough discs; half of the time with pulses half as long."""
    options = ("anatomy.voxel_size=6 mm", "output.pictures=false", f"heating.on={on}")
    run = simulate(load_case(ROOT / "cases/carriers/vortex_disc.toml", options), tmp_path / "run")
    assert run.value("heating.power") == 0.0
    assert run.value("mechanical.exposure_time") == exposed
    static = run.fields.static
    there = static["concentration"].values
    killed = static["mechanically_killed"].values
    assert killed[there >= 5e-3] == pytest.approx(1 - np.exp(-3.84e-3 * exposed), rel=1e-12)
    assert not killed[there < 5e-3].any()
    assert 0 < run.value("mechanical.killed.tumour") < killed.max()
    assert "they do not heat" in what_limited(run)
    torque = carrier("vortex_disc").torque(np.array([7.2e3]))[0]
    assert run.value("mechanical.maximum_torque") == pytest.approx(torque, rel=1e-12)


def test_time_in_the_field_counts_pulses(tmp_path: Path) -> None:
    options = (
        "anatomy.voxel_size=10 mm", "output.pictures=false", 'heating.pulses={period="20 s", width="5 s"}',
        'delivery={kind="uniform", concentration="1 mg/ml"}',
    )  # fmt: skip
    run = simulate(load_case(ROOT / "cases/carriers/vortex_disc.toml", options), tmp_path / "run")
    assert run.value("mechanical.exposure_time") == pytest.approx(150.0, rel=1e-12)
