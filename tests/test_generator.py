"""Several electrodes, and what a generator does over time: control, roll-off, ramp, switching, protocols by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import RunCase
from pydantic import ValidationError
from scenes import MM, at, cube, nothing_held, scene, tissues

from thermal.engines.voxel import VoxelEngine
from thermal.physics.heating.generator import Operation
from thermal.physics.heating.rfa import Rfa, RfaSource


def ball(x: float, **more: Any) -> dict[str, Any]:
    return {"centre": [f"{x} mm", "0 mm", "0 mm"], "radius": "1.5 mm", **more}


def needle(x: float, y: float, **more: Any) -> dict[str, Any]:
    return {"entry": [f"{x} mm", f"{y} mm", "20 mm"], "tip": [f"{x} mm", f"{y} mm", "-5 mm"], "radius": "0.75 mm",
            "active_length": "10 mm", **more}  # fmt: skip


def rfa(**changes: Any) -> Rfa:
    return Rfa.model_validate({"kind": "rfa", **changes})


def first(source: RfaSource, engine: VoxelEngine, temperature: float = 37.0, time: float = 0.0) -> dict[str, float]:
    """The meters during the step from ``time`` on, all tissue being at one temperature."""
    return {name: reading.value for name, reading in source.drive(at(engine, time, temperature), 1.0).readings.items()}


# ------------------------------------------------------------------------------------- circuits


def test_two_balls_against_each_other() -> None:
    """Bipolar, nothing grounded: R = (1/a - 1/d) / 2 pi sigma, less what the walls of the box keep out (1/b^3)."""
    engine = cube(45 * MM, 1.5 * MM)
    spec = rfa(voltage="20 V", electrodes=[ball(-6), ball(6, pole="return")])
    source = spec.prepare(scene(engine, grounded=nothing_held(engine)))
    exact = (1 / 0.0015 - 1 / 0.012) / (2 * np.pi * 0.33)
    assert first(source, engine)["impedance"] == pytest.approx(exact, rel=0.015)
    potential = source.fields["potential"][0]
    assert potential.min() >= 0.0
    assert potential.max() <= 20.0
    middle = np.abs(engine.points[:, 0]) < 0.1 * MM
    np.testing.assert_allclose(potential[middle], 10.0, atol=1e-4)  # by symmetry; the solver's tolerance


def test_bipolar_heat_is_voltage_times_current() -> None:
    engine = cube(15 * MM, 1.5 * MM)
    spec = rfa(power="12 W", electrodes=[needle(-4, 0), needle(4, 0, pole="return")],
               cooling={"temperature": "10 degC", "heat_transfer": "3000 W/m^2/K"})  # fmt: skip
    source = spec.prepare(scene(engine, grounded=nothing_held(engine)))
    drive = source.drive(at(engine, 0.0), 1.0)
    value = {name: reading.value for name, reading in drive.readings.items()}
    assert value["voltage"] * value["current"] == pytest.approx(12.0, rel=1e-12)
    assert drive.power.sum() + value["coolant_power"] == pytest.approx(12.0, rel=1e-12)
    assert len(drive.contacts) == 2


def test_parallel_electrodes_hinder_each_other() -> None:
    """Balls at one potential: R = (1/a + 1/d) / 8 pi sigma to infinity; here to a far sphere at 30 mm."""
    engine = cube(31 * MM, 1 * MM)
    far = np.linalg.norm(engine.points, axis=1) >= 30 * MM
    ground = nothing_held(engine).__class__(far, np.zeros(far.shape))
    pair = rfa(voltage="1 V", electrodes=[ball(-3), ball(3)]).prepare(scene(engine, grounded=ground))
    exact = ((1 / 0.0015 + 1 / 0.006) / 2 - 1 / 0.030) / (4 * np.pi * 0.33)
    assert first(pair, engine)["impedance"] == pytest.approx(exact, rel=0.015)


def test_one_of_several_is_the_same_as_a_single_one() -> None:
    engine = cube(12 * MM, 2 * MM)
    one = first(rfa(power="5 W", electrode=needle(0, 0)).prepare(scene(engine)), engine)
    same = first(rfa(power="5 W", electrodes=[needle(0, 0)]).prepare(scene(engine)), engine)
    assert one == same


def test_tines_of_an_umbrella() -> None:
    spec = rfa(power="50 W", electrode={"entry": ["0 mm", "0 mm", "40 mm"], "tip": ["0 mm", "0 mm", "5 mm"],
               "tines": 6, "spread": "20 mm", "depth": "10 mm", "radius": "0.3 mm"})  # fmt: skip
    ends = np.array([device.shape.end for device in spec.devices])
    np.testing.assert_allclose(ends[:, 2], -5 * MM, atol=1e-12)
    np.testing.assert_allclose(np.hypot(ends[:, 0], ends[:, 1]), 10 * MM, rtol=1e-12)
    gaps = np.linalg.norm(ends - np.roll(ends, 1, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 10 * MM, rtol=1e-9)  # a regular hexagon
    engine = cube(24 * MM, 2 * MM)
    drive = spec.prepare(scene(engine)).drive(at(engine, 0.0), 1.0)
    assert drive.power.sum() == pytest.approx(50.0, rel=1e-12)
    middle = (drive.power @ engine.points) / 50.0
    np.testing.assert_allclose(middle[:2], 0.0, atol=0.3 * MM)  # six tines, four corners of a voxel


# -------------------------------------------------------------------------------------- control


def test_current_is_held_within_the_voltage() -> None:
    engine = cube(12 * MM, 2 * MM)
    held = first(rfa(current="0.2 A", electrode=needle(0, 0)).prepare(scene(engine)), engine)
    assert held["current"] == pytest.approx(0.2, rel=1e-12)
    limited = first(rfa(current="0.2 A", max_voltage="5 V", electrode=needle(0, 0)).prepare(scene(engine)), engine)
    assert limited["voltage"] == pytest.approx(5.0, rel=1e-12)


def test_power_rises_to_its_setting() -> None:
    engine = cube(12 * MM, 2 * MM)
    source = rfa(interval="2.5 s", power="30 W", start_power="10 W", ramp="10 W/min", on=[["5 s", "5 min"]],
                 electrode=needle(0, 0)).prepare(scene(engine, duration=400.0))  # fmt: skip
    assert source.ticks[:2] == (2.5, 5.0)
    assert source.ticks[-1] == 397.5  # the end of the run is no moment to act
    found = [first(source, engine, time=time)["power"] for time in (0.0, 4.5, 64.5, 124.5, 200.0)]
    assert found == pytest.approx([0.0, 10.0, 20.0, 30.0, 30.0], rel=1e-12)  # of steps of 1 s: in their middle


def test_roll_off_pauses_and_comes_back() -> None:
    """Tissue that dries has a hundred times the resistance: 15 s without power, then 70 % of it."""
    engine = cube(12 * MM, 2 * MM)
    source = rfa(power="30 W", rolloff={"rise": "10 ohm", "pause": "15 s", "step_down": "0.7"}, interval="5 s",
                 electrode=needle(0, 0)).prepare(scene(engine, duration=100.0))  # fmt: skip
    course = [(0.0, 37.0, 30.0), (5.0, 60.0, 30.0), (10.0, 110.0, 0.0), (15.0, 110.0, 0.0), (20.0, 90.0, 0.0),
              (25.0, 90.0, 21.0), (30.0, 110.0, 0.0), (45.0, 90.0, 14.7)]  # fmt: skip
    for time, temperature, power in course:
        again = [first(source, engine, temperature, time)["power"] for _ in range(2)]  # a step may be looked at twice
        assert again == pytest.approx([power, power], rel=1e-12), time
    assert source.summary["heating.rolloffs"].value == 2.0
    assert source.summary["heating.first_rolloff"].value == 10.0
    dried, paused = (
        first(source, engine, temperature, time)["impedance"] for time, temperature in ((50, 110), (55, 37))
    )
    assert paused == dried  # without current nothing is measured, and no potential solved for
    assert first(source, engine, 37.0, 65.0)["impedance"] < dried - 10.0


def test_steps_go_as_far_as_the_impedance_is_known() -> None:
    """By turns: as long as it has been watched; until it has changed by 2 %; half of the way to the roll-off; to the
    end of the pause. What does not change asks for nothing."""
    settings = rfa(power="30 W", rolloff={"rise": "10 ohm", "pause": "12 s"}, electrode=needle(0, 0))
    meter = Operation.of(settings, 1, 0.0)
    course = [(0.0, 60.0, 0.25), (4.0, 60.0, 8.0), (10.0, 60.0, 20.0), (20.0, 63.0, 20.0 + 0.02 * 63.0 / 0.15),
              (21.0, 69.0, 21.0 + 0.25), (24.0, 69.3, 24.0 + 0.5 * 0.7 / 0.1), (28.0, 70.5, 40.0), (32.0, 70.5, 40.0),
              (40.0, 61.0, 40.25), (41.0, 61.0, 42.0)]  # fmt: skip
    for time, impedance, until in course:
        for _ in range(2):  # a step may be looked at twice
            meter.look(time, impedance, 37.0)
            assert meter.until(time) == pytest.approx(until, rel=1e-12), time


def test_the_last_roll_off_ends_the_treatment() -> None:
    """No power and no coolant after the second, though the tissue is wet again."""
    engine = cube(12 * MM, 2 * MM)
    rolloff = {"rise": "10 ohm", "pause": "15 s", "ends_after": 2}
    spec = rfa(power="30 W", rolloff=rolloff, cooling={"temperature": "10 degC"}, electrode=needle(0, 0))
    source = spec.prepare(scene(engine, duration=100.0))
    course = [(0.0, 37.0, 30.0), (5.0, 110.0, 0.0), (20.0, 80.0, 30.0), (25.0, 110.0, 0.0), (40.0, 80.0, 0.0),
              (90.0, 50.0, 0.0)]  # fmt: skip
    for time, temperature, power in course:
        drive = source.drive(at(engine, time, temperature), 1.0)
        assert drive.readings["power"].value == pytest.approx(power, rel=1e-12), time
        assert bool(drive.contacts) == (time <= 20.0)
    assert source.summary["heating.rolloffs"].value == 2.0
    again = spec.prepare(scene(engine, duration=100.0))
    again.recall(source.memory())
    assert again.drive(at(engine, 95.0, 50.0), 1.0).readings["power"].value == 0.0


def test_switching_drives_one_electrode_after_another() -> None:
    engine = cube(14 * MM, 2 * MM)
    spec = rfa(power="10 W", switching="30 s", electrodes=[needle(-5, 0), needle(5, 0)])
    source = spec.prepare(scene(engine, duration=100.0))
    left = engine.points[:, 0] < 0
    for time, share in ((0.0, 1), (29.0, 1), (30.0, 0), (60.0, 1)):
        drive = source.drive(at(engine, time), 1.0)
        assert drive.power.sum() == pytest.approx(10.0, rel=1e-12)
        assert bool(drive.power[left].sum() > 5.0) == bool(share)
        assert drive.readings["driven_electrode"].value == 2.0 - share
    single = first(rfa(power="10 W", electrode=needle(-5, 0)).prepare(scene(engine)), engine)
    assert source.impedance == pytest.approx(single["impedance"], rel=1e-6)


def test_a_roll_off_hands_over_to_the_next_electrode() -> None:
    """The one that dried is passed over while its pause lasts; when both have dried the generator waits."""
    engine = cube(14 * MM, 2 * MM)
    spec = rfa(power="10 W", switching="30 s", rolloff={"rise": "10 ohm", "pause": "45 s"},
               electrodes=[needle(-5, 0), needle(5, 0)])  # fmt: skip
    source = spec.prepare(scene(engine, duration=200.0))
    left = engine.points[:, 0] < 0
    wet, dry = 37.0, 110.0
    course = [(0.0, wet, wet, 1, 10.0), (10.0, dry, wet, 2, 10.0), (30.0, dry, wet, 2, 10.0), (40.0, wet, wet, 2, 10.0),
              (45.0, wet, dry, 2, 0.0), (50.0, wet, dry, 2, 0.0), (55.0, wet, dry, 1, 10.0),
              (85.0, wet, dry, 1, 10.0), (95.0, wet, wet, 1, 10.0), (115.0, wet, wet, 2, 10.0)]  # fmt: skip
    for time, here, there, driven, power in course:
        state = at(engine, time)
        state.temperature[:] = np.where(left, here, there)
        for _ in range(2):  # a step may be looked at twice
            readings = source.drive(state, 1.0).readings
            assert readings["driven_electrode"].value == driven, time
            assert readings["power"].value == pytest.approx(power, rel=1e-12), time
    assert source.summary["heating.rolloffs"].value == 2.0


def test_resumed_generator_goes_on_bit_for_bit() -> None:
    engine = cube(12 * MM, 2 * MM)
    warm = tissues(engine, electrical_conductivity_slope="0.02 1/K")
    spec = rfa(power="30 W", target_temperature="95 degC", rolloff={"rise": "10 ohm"}, switching="20 s",
               electrodes=[needle(-4, 0), needle(4, 0)])  # fmt: skip

    def fresh() -> RfaSource:
        return spec.prepare(scene(engine, warm, duration=100.0))

    through, before, after = fresh(), fresh(), fresh()
    course = [(0.0, 37.0), (2.5, 50.0), (5.0, 108.0), (7.5, 100.0), (20.0, 80.0), (25.0, 85.0), (40.0, 90.0)]
    for time, temperature in course[:4]:
        first(through, engine, temperature, time)
        first(before, engine, temperature, time)
    after.recall(before.memory())
    for time, temperature in course[4:]:
        one, two = (source.drive(at(engine, time, temperature), 1.0) for source in (through, after))
        np.testing.assert_array_equal(one.power, two.power)
        assert one.readings == two.readings
    assert through.summary == after.summary


def test_protocols_by_name() -> None:
    spec = rfa(protocol="cool_tip", electrode=needle(0, 0))
    assert (spec.power, spec.max_current) == (200.0, 2.0)
    assert spec.rolloff is not None
    assert (spec.rolloff.rise, spec.rolloff.pause) == (10.0, 15.0)
    assert rfa(protocol="cool_tip", power="80 W", electrode=needle(0, 0)).power == 80.0
    assert rfa(protocol="rita", electrode=needle(0, 0)).target_temperature == 105.0
    leveen = rfa(protocol="leveen", electrode=needle(0, 0))
    assert leveen.ramp == pytest.approx(1 / 6)
    assert leveen.rolloff is not None
    assert leveen.rolloff.ends_after == 2
    turns = rfa(protocol="switching", electrodes=[needle(-5, 0), needle(5, 0)])
    assert turns.switching == 30.0
    assert turns.rolloff is not None
    assert turns.rolloff.rise == 30.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"power": "5 W", "electrode": needle(0, 0), "electrodes": [needle(0, 0)]}, "either electrode"),
        ({"power": "5 W", "electrodes": [needle(0, 0, pole="return")]}, "every electrode"),
        ({"power": "5 W", "electrode": needle(0, 0), "switching": "10 s"}, "two active"),
        ({"voltage": "5 V", "electrode": needle(0, 0), "target_temperature": "95 degC"}, "belongs to power"),
        ({"power": "5 W", "electrode": needle(0, 0), "ramp": "1 W/s"}, "both start_power"),
        ({"voltage": "5 V", "current": "1 A", "electrode": needle(0, 0)}, "not both"),
        ({"voltage": "5 V", "max_voltage": "9 V", "electrode": needle(0, 0)}, "remove it"),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rfa(**changes)


# ------------------------------------------------------------------------------- through case files


def test_temperature_is_held(run_case: RunCase) -> None:
    """The tissue at the needle reaches 80 degC within two minutes and stays within 1 K; the ledger closes."""
    run = run_case("rfa_control", "heating.target_temperature=80 degC", "heating.power=60 W")
    time, touched = run.history.time, run.history["electrode_temperature"]
    late = time > 150.0
    np.testing.assert_allclose(touched[late], 80.0, atol=1.0)
    assert np.nanmax(touched) < 85.0
    power = run.history["power"]
    assert np.nanmax(power) < 60.0 + 1e-9
    assert power[late].min() > 0.0
    assert run.value("ledger.energy_error") < 1e-11


def test_generator_at_roll_off(run_case: RunCase) -> None:
    """Too much power boils tissue; the generator pauses for 15 s at a time, to the tick."""
    run = run_case("rfa_control", "heating.power=60 W", 'heating.rolloff={rise="10 ohm", pause="15 s"}')
    time, power = run.history.time, run.history["power"]
    off = np.flatnonzero(power[1:] == 0.0) + 1
    assert run.value("heating.rolloffs") >= 2
    assert run.value("peak_temperature") > 99.0
    begin = off[np.diff(off, prepend=-9) > 1]
    finish = off[np.diff(off, append=10**9) > 1]
    lasting = [time[last] - time[start - 1] for start, last in zip(begin, finish, strict=True)]
    whole = np.array(lasting[:-1]) / 15.0  # the last may be cut by the end; again 15 s where tissue is still dry
    np.testing.assert_allclose(whole, np.maximum(np.round(whole), 1.0), atol=1e-4)


def test_roll_offs_hang_on_the_tissue_and_not_on_the_steps(run_case: RunCase) -> None:
    """Twenty times smaller a tolerance changes little (the power that is lost in a step in which all at the needle
    dries at once); pauses last what they are asked to, though they neither begin nor end on ticks."""
    settings = ("heating.power=60 W", 'heating.rolloff={rise="10 ohm", pause="12 s"}', "bioheat.duration=160 s")
    run, finer = (run_case("rfa_control", *settings, f"numerics.temperature_tolerance={t} K") for t in (0.02, 0.001))
    assert run.value("zone.volume") == pytest.approx(finer.value("zone.volume"), rel=3e-3)
    assert run.value("energy.delivered") == pytest.approx(finer.value("energy.delivered"), rel=0.015)
    for one in (run, finer):
        power = np.append(one.history["power"][1:], 1.0) > 0.0  # from each moment on
        begin, finish = (np.flatnonzero(power[:-1] & ~power[1:]) + 1, np.flatnonzero(~power[:-1] & power[1:]) + 1)
        lasting = (one.history.time[finish] - one.history.time[begin])[:-1] / 12.0  # the last is cut by the end
        assert len(lasting) >= 4
        np.testing.assert_allclose(lasting, np.round(lasting), atol=1e-6)
