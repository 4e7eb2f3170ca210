"""Cryoprobes: their course of temperature and their contact with the tissue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CATALOGUE, RunCase
from pydantic import ValidationError
from scenes import MM, at, cube, scene

from thermal import load_case, simulate
from thermal.errors import CaseError
from thermal.physics.heating.cryo import Cryo
from thermal.physics.scene import Source

NEEDLE = {
    "entry": ["0 mm", "0 mm", "60 mm"],
    "tip": ["0 mm", "0 mm", "-8 mm"],
    "radius": "1 mm",
    "active_length": "16 mm",
}
CYCLES = [{"freeze": "10 min", "thaw": "5 min"}, {"freeze": "8 min", "thaw": "4 min"}]


def cryo(**changes: Any) -> Cryo:
    return Cryo.model_validate({"kind": "cryo", "probes": [NEEDLE], **changes})


def wall(source: Source, engine: Any, time: float, temperature: float = 37.0, step: float = 2.0) -> float | None:
    contacts = source.drive(at(engine, time, temperature), step).contacts
    return contacts[0].temperature if contacts else None


ENGINE = cube(14 * MM, 2 * MM)


def test_cycles_freeze_and_thaw_passively() -> None:
    source = cryo(cycles=CYCLES, temperature="-140 degC").prepare(scene(ENGINE, duration=3600.0))
    assert source.events == (600.0, 900.0, 1380.0, 1620.0)
    assert wall(source, ENGINE, 0.0) == -140.0
    assert wall(source, ENGINE, 598.0) == -140.0
    assert wall(source, ENGINE, 600.0) is None
    assert wall(source, ENGINE, 900.0) == -140.0
    assert wall(source, ENGINE, 1380.0) is None
    assert wall(source, ENGINE, 2000.0) is None
    drive = source.drive(at(ENGINE, 0.0), 2.0)
    assert not drive.power.any()
    assert drive.contacts[0].factor.sum() > 0
    assert source.drive(at(ENGINE, 700.0, 12.0), 2.0).readings["probe_temperature"].value == pytest.approx(12.0)
    assert source.devices[0].kind == "cryoprobe"


def test_cooldown_is_a_ramp_that_never_warms() -> None:
    spec = cryo(cycles=CYCLES, temperature="-143 degC", cooldown="60 s")
    source = spec.prepare(scene(ENGINE, duration=3600.0))
    assert wall(source, ENGINE, 29.0) == pytest.approx(37 - 180 / 2)
    assert wall(source, ENGINE, 100.0) == -143.0
    # the second freeze begins in cold tissue: the ramp from body temperature is capped by it
    assert wall(source, ENGINE, 901.0, -5.0) == pytest.approx(-5.0)
    assert wall(source, ENGINE, 929.0, -5.0) == pytest.approx(37 - 180 / 2)


def test_active_thaw_warms() -> None:
    spec = cryo(cycles=CYCLES, temperature="-140 degC", thaw_temperature="30 degC")
    source = spec.prepare(scene(ENGINE, duration=3600.0))
    assert wall(source, ENGINE, 700.0, -20.0) == 30.0
    assert wall(source, ENGINE, 1700.0, -20.0) is None


def test_schedule_with_ramps_jumps_and_off() -> None:
    knots = [
        ["0 s", "30 degC"],
        ["60 s", "-150 degC"],
        ["600 s", "-150 degC"],
        ["600 s", "off"],
        ["900 s", "-100 degC"],
    ]
    source = cryo(schedule=knots).prepare(scene(ENGINE, duration=1200.0))
    assert source.events == (60.0, 600.0, 900.0)
    assert wall(source, ENGINE, 29.0) == pytest.approx(-60.0)
    assert wall(source, ENGINE, 598.0) == -150.0
    assert wall(source, ENGINE, 600.0) is None
    assert wall(source, ENGINE, 898.0) is None
    assert wall(source, ENGINE, 900.0) == -100.0


def test_passive_before_the_first_knot() -> None:
    source = cryo(schedule=[["60 s", "-100 degC"], ["90 s", "off"]]).prepare(scene(ENGINE))
    assert wall(source, ENGINE, 0.0) is None
    assert wall(source, ENGINE, 70.0) == -100.0
    assert wall(source, ENGINE, 90.0) is None


def test_several_probes_and_balls() -> None:
    ball = {"centre": ["6 mm", "0 mm", "0 mm"], "radius": "1 mm"}
    source = cryo(probes=[NEEDLE, ball], schedule=[["0 s", "-100 degC"]]).prepare(scene(ENGINE))
    contacts = source.drive(at(ENGINE, 0.0), 1.0).contacts
    assert len(contacts) == 2
    middle = [contact.factor @ ENGINE.points / contact.factor.sum() for contact in contacts]
    np.testing.assert_allclose(middle, [[0, 0, 0], [6 * MM, 0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give either cycles"),
        ({"cycles": CYCLES, "schedule": [["0 s", "off"]], "temperature": "-100 degC"}, "give either cycles"),
        ({"cycles": CYCLES}, "temperature of the freezing probe"),
        ({"cycles": CYCLES, "temperature": "-220 degC"}, "greater than or equal to -200"),
        ({"cycles": CYCLES, "temperature": "-100 degC", "cooldown": "9 min"}, "longer than a freeze"),
        ({"schedule": [["9 s", "-10 degC"], ["3 s", "off"]]}, "back in time"),
        ({"schedule": [["9 s", "-10 degC"]], "cooldown": "1 s"}, "belong to cycles"),
        ({"schedule": [["0 s", "-10 degC"]], "probes": []}, "at least 1"),
        ({"schedule": [["0 s", "-10 degC"]], "probes": [{**NEEDLE, "active_length": "80 mm"}]}, "longer than the way"),
    ],
)
def test_senseless_courses_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        cryo(**changes)


def test_every_probe_outside_is_named() -> None:
    lost = {"centre": ["80 mm", "0 mm", "0 mm"], "radius": "1 mm"}
    with pytest.raises(CaseError) as error:
        cryo(probes=[lost, NEEDLE, lost], schedule=[["0 s", "-100 degC"]]).prepare(scene(ENGINE))
    assert [problem.split(":")[0] for problem in error.value.problems] == ["heating.probes[0]", "heating.probes[2]"]


# ------------------------------------------------------------------------------------ limited power


def test_power_is_limited_and_then_the_temperature(run_case: RunCase) -> None:
    """A probe that can draw 4 W draws just that, as at -140 degC it would draw more; one without limit what it can."""
    weak = run_case("cryo_limited")
    drawn = -weak.history["energy.source"] - weak.history["energy.probes"]
    time = weak.history.time
    np.testing.assert_allclose(drawn, 4.0 * time, rtol=1e-9, atol=1e-9)
    assert weak.value("lowest_temperature") > -140.0
    assert weak.value("ledger.energy_error") < 1e-11
    half = run_case("cryo_limited", "heating.duty=0.5")
    assert half.value("isotherm.0.volume") < weak.value("isotherm.0.volume")
    strong = run_case("cryo_limited", "heating.cooling_power=10 kW")
    free = run_case("cryo_limited", "heating.cooling_power=100 kW")
    assert strong.value("isotherm.0.volume") == free.value("isotherm.0.volume") > weak.value("isotherm.0.volume")


def test_a_thick_probe_on_a_fine_grid_is_stable(run_case: RunCase) -> None:
    """Frozen tissue at a probe three cells thick exchanges more heat with it than with its neighbours, which the number
    of stages must know of: without it the coldest node was 100 K colder than the probe (500 K in the end). Nodes that
    freeze at once, within half a kelvin, leave an overshoot of a tenth of the jump (137 K), which dies out."""
    run = run_case(
        "ice_ball", "bioheat.duration=1 min", 'heating.probes=[{centre=["0 mm","0 mm","0 mm"],radius="3 mm"}]'
    )
    assert run.value("lowest_temperature") > -100.0 - 0.15 * 137.0
    assert float(run.history["lowest_temperature"][-1]) > -101.0


def test_duty_needs_a_power() -> None:
    with pytest.raises(ValidationError, match="duty needs the power"):
        Cryo.model_validate({"kind": "cryo", "probes": [NEEDLE], "schedule": [["0 s", "-100 degC"]], "duty": 0.5})


# ------------------------------------------------------------------------------------ graded walls, no freezing


def test_a_graded_wall_is_coldest_at_its_tip() -> None:
    """The parts are the whole probe; their mean rise is half of that at the rear, and grows from the tip back."""
    source = cryo(schedule=[["0 s", "-140 degC"]], rear_rise="80 K").prepare(scene(ENGINE))
    even = cryo(schedule=[["0 s", "-140 degC"]]).prepare(scene(ENGINE))
    contacts = source.drive(at(ENGINE, 1.0), 1.0).contacts
    (whole,) = even.drive(at(ENGINE, 1.0), 1.0).contacts
    np.testing.assert_allclose(np.sum([c.factor for c in contacts], axis=0), whole.factor, rtol=1e-12)
    weights = np.array([c.factor.sum() for c in contacts])
    walls = np.array([c.temperature for c in contacts])
    assert weights @ walls / weights.sum() == pytest.approx(-100.0, abs=2.0)
    tip = np.array([0.0, 0.0, -8 * MM])
    away = [np.average(np.linalg.norm(ENGINE.points - tip, axis=1), weights=c.factor) for c in contacts]
    assert np.all(np.diff(np.array(away)[np.argsort(walls)]) > 0.0)


def test_a_graded_wall_freezes_less_at_its_rear(run_case: RunCase) -> None:
    even = run_case("cryo_limited", "heating.cooling_power=10 kW")
    graded = run_case("cryo_limited", "heating.cooling_power=10 kW", "heating.rear_rise=100 K")
    assert graded.value("isotherm.0.volume") < even.value("isotherm.0.volume")
    assert graded.value("ledger.energy_error") < 1e-11


def test_cold_without_freezing_needs_no_data_on_ice(tmp_path: Path) -> None:
    """With freezing off a probe may cool a tissue of which nothing is known but how it is when it is warm."""
    text = (CATALOGUE / "cryo_limited.toml").read_text(encoding="utf-8")
    for name in ("frozen_conductivity", "frozen_heat_capacity", "latent_heat"):
        text = re.sub(f"{name} = .*\n", "", text)
    path = tmp_path / "case.toml"
    path.write_text(text, encoding="utf-8")
    run = simulate(load_case(path, ("bioheat.freezing=off",)))
    assert run.value("lowest_temperature") < 0.0
    with pytest.raises(CaseError, match=r"tissues.tissue.latent_heat: needed by heating.kind"):
        simulate(load_case(path))
