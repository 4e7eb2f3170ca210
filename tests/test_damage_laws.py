"""Three-state cell death, lethal temperatures, repeated freezing, the break of Arrhenius kinetics; laws in one run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import CATALOGUE, RunCase
from pydantic import ValidationError
from scipy.integrate import quad, solve_ivp

from thermal import load_case
from thermal.errors import CaseError
from thermal.physics.damage import Arrhenius, CellDeath, Cryo, Isotherm, Law, Repeated, arrhenius_rate
from thermal.units import Array, Si

LIVER = (7.39e39, 2.577e5)  # 1/s, J/mol


def after(law: Law, times: Array | list[float], temperatures: Array | list[float]) -> Array:
    """Value of a law after a piecewise linear history of one node."""
    value = law.initial(1)
    for t0, t1, a, b in zip(times[:-1], times[1:], temperatures[:-1], temperatures[1:], strict=True):
        value = law.accumulate(value, np.array([float(a)]), np.array([float(b)]), float(t1 - t0))
    return np.asarray(value[0])


# ------------------------------------------------------------------------------------- three states

STATES = [
    (50, 0.91152, 0.07739, 0.01109), (60, 0.60989, 0.23301, 0.15710), (70, 0.14403, 0.13781, 0.71817),
    (80, 0.01232, 0.01610, 0.97158),
]  # fmt: skip
TIMES = [(43, 2350.68), (50, 1546.22), (60, 960.10), (70, 641.90), (80, 448.25), (100, 236.42)]


@pytest.mark.parametrize("step", [1.0, 10.0, 60.0])
@pytest.mark.parametrize(("temperature", "alive", "vulnerable", "dead"), STATES)
def test_states_after_ten_minutes(
    temperature: float, alive: float, vulnerable: float, dead: float, step: float
) -> None:
    """DAM-04, to the five digits of the table, whatever the step."""
    times = np.arange(0.0, 600.0 + step, step)
    found = after(CellDeath(), times, np.full(times.size, temperature))
    assert found == pytest.approx([alive, dead], abs=1e-5)
    assert 1.0 - found.sum() == pytest.approx(vulnerable, abs=1.5e-5)


@pytest.mark.parametrize(("temperature", "seconds"), TIMES)
def test_time_until_dead(temperature: float, seconds: float) -> None:
    """DAM-04: the dead share reaches 0.8; the table's hundredth of a second is worth up to 4e-5 of it."""
    times = np.linspace(0.0, seconds, 101)
    law = CellDeath()
    assert after(law, times, np.full(101, temperature))[1] == pytest.approx(0.8, abs=5e-5)


def literal(t: float, y: Array, course: tuple[Array, Array]) -> list[float]:
    a, d = y
    forward = 3.33e-3 * np.exp(np.interp(t, *course) / 40.5) * (1.0 - a)
    return [-forward * a + 7.77e-3 * (1.0 - a - d), forward * (1.0 - a - d)]


def test_a_course_above_the_onset_follows_the_equations() -> None:
    course = (np.array([0.0, 200.0, 300.0, 700.0]), np.array([41.0, 85.0, 85.0, 41.0]))
    exact = solve_ivp(literal, (0.0, 700.0), [0.99, 0.0], args=(course,), rtol=1e-10, atol=1e-12, max_step=1.0).y[:, -1]
    times = np.union1d(np.linspace(0.0, 700.0, 100), course[0])
    assert after(CellDeath(), times, np.interp(times, *course)) == pytest.approx(exact, abs=1e-6)


def test_tissue_below_the_onset_lives_and_recovers() -> None:
    """Literally the model kills at 37 degC; with the onset vulnerable cells recover at kb to the share at rest."""
    law = CellDeath()
    course = (np.array([0.0, 4e4]), np.array([37.0, 37.0]))
    assert solve_ivp(literal, (0.0, 4e4), [0.99, 0.0], args=(course,), max_step=60.0).y[1, -1] > 0.8
    assert after(law, [0.0, 36000.0], [37, 37]).tolist() == [0.99, 0.0]
    warm = after(law, [0, 300], [60, 60])
    cooled = after(law, [0, 300, 300.001, 400], [60, 60, 37, 37])
    resting = 0.99 * (1.0 - warm[1])
    assert cooled[1] == pytest.approx(warm[1], abs=1e-6)
    assert resting - cooled[0] == pytest.approx((resting - warm[0]) * np.exp(-7.77e-3 * 100), rel=1e-3)


def test_passing_the_onset_does_not_depend_on_the_cuts() -> None:
    law, times = CellDeath(), np.array([0.0, 100.0, 200.0])
    many = np.linspace(0.0, 200.0, 1601)
    coarse = after(law, times, [30, 90, 30])
    assert after(law, many, np.interp(many, times, [30, 90, 30])) == pytest.approx(coarse, abs=2e-6)


def test_zone_of_the_three_states() -> None:
    law = CellDeath()
    value = np.array([[0.99, 0.0], [0.1, 0.799], [0.1, 0.801], [0.0, 1.0]])
    measure = law.measure(value, np.zeros(4), 0.0)
    assert (measure >= law.level).tolist() == [False, False, True, True]
    assert np.isfinite(measure).all()
    assert law.survival(value) == pytest.approx([1.0, 0.201, 0.199, 0.0])


# --------------------------------------------------------------------------------- lethal temperatures


def test_isotherm_is_the_highest_temperature() -> None:
    law = Isotherm.model_validate({"lethal_temperature": "54 degC"})
    value = law.accumulate(law.initial(3), np.array([37.0, 60.0, 50.0]), np.array([54.0, 37.0, 53.9]), 1.0)
    assert value == pytest.approx([54.0, 60.0, 53.9])
    assert (law.measure(value, value, 1.0) >= law.level).tolist() == [True, True, False]
    assert law.survival(value).tolist() == [0.0, 0.0, 1.0]


def test_isotherm_that_must_hold() -> None:
    """The time above it counts over all pauses, exactly within ramps."""
    law = Isotherm.model_validate({"lethal_temperature": "50 degC", "hold": "4 min"})
    ramp = [0.0, 100.0, 200.0]
    assert after(law, ramp, [40, 60, 40]) == pytest.approx(100.0)
    value = law.accumulate(np.array([100.0]), np.array([55.0]), np.array([55.0]), 140.0)
    assert (law.measure(value, value, 1.0) >= law.level).all()
    assert (law.measure(0.99 * value, value, 1.0) < law.level).all()
    assert law.unit == "s"


# ----------------------------------------------------------------------------------------------- cold


def freeze(law: Cryo, *cycles: tuple[float, float]) -> bool:
    """Whether freezes to a temperature (degC) for a time (s), each thawed at 20 degC, kill."""
    times, temperatures = [0.0], [37.0]
    for lowest, hold in cycles:
        times += [times[-1] + 1.0, times[-1] + 1.0 + hold, times[-1] + 2.0 + hold]
        temperatures += [lowest, lowest, 20.0]
    value = after(law, times, temperatures)[None] if law.repeated else np.atleast_1d(after(law, times, temperatures))
    return bool((law.measure(value, value, 1.0) >= law.level).all())


def test_repeated_freezing() -> None:
    """-40 degC kills at once, -20 degC in two freezes that hold for three minutes in all."""
    law = Cryo(repeated=Repeated(freezes=2, hold=Si(180.0)))
    assert freeze(law, (-41.0, 1.0))
    assert not freeze(law, (-39.0, 600.0))
    assert freeze(law, (-21.0, 90.0), (-21.0, 90.0))
    assert not freeze(law, (-21.0, 90.0), (-19.0, 900.0))
    assert not freeze(law, (-21.0, 80.0), (-21.0, 80.0))
    assert freeze(law, (-25.0, 100.0), (-19.0, 10.0), (-30.0, 80.0))
    assert not freeze(Cryo(repeated=Repeated(freezes=3)), (-21.0, 90.0), (-21.0, 90.0))
    assert freeze(Cryo(repeated=Repeated(freezes=3)), (-21.0, 90.0), (-21.0, 90.0), (-22.0, 1.0))
    assert not freeze(Cryo(), (-39.0, 90.0), (-39.0, 90.0))


def test_time_in_the_cold_counts_within_ramps() -> None:
    """From 30 degC to -50 degC the last 3/8 of the way lie below -20 degC, back the first; from -20 degC down all."""
    law = Cryo(repeated=Repeated())
    start, end = np.array([30.0, -50.0, -20.0, 0.0]), np.array([-50.0, 30.0, -40.0, -20.0])
    held = law.accumulate(law.initial(4), start, end, 80.0)[:, 1]
    assert held == pytest.approx([30.0, 30.0, 80.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("thaw", [-10.0, 0.0])
def test_a_freeze_ends_where_the_tissue_thaws(thaw: float) -> None:
    """Warming to just below the thaw goes on with the same freeze, just above it ends it."""
    law = Cryo(repeated=Repeated(thaw=Si(thaw)))
    once = after(law, [0, 10, 20, 30, 40, 50], [37, -30, thaw - 1, -30, thaw - 0.1, -30])[None]
    assert (law.measure(once, once, 1.0) < law.level).all()
    twice = after(law, [0, 10, 20, 30], [37, -30, thaw + 0.1, -30])[None]
    assert (law.measure(twice, twice, 1.0) >= law.level).all()


def test_the_middle_of_an_ice_ball_dies_of_the_second_freeze() -> None:
    """What a passive thaw of minutes leaves at -3 degC is as dead as its warmer neighbours that melted."""
    law = Cryo(repeated=Repeated(freezes=2, hold=Si(180.0)))
    for between in (-3.0, 1.0, 20.0):
        value = after(law, [0, 60, 660, 960, 1020, 1620], [37, -30, -30, between, -30, -30])[None]
        assert (law.measure(value, value, 1.0) >= law.level).all()


def test_cold_that_changes_nothing_is_handed_back() -> None:
    law = Cryo(repeated=Repeated())
    body = np.full(3, 37.0)
    value = law.accumulate(law.initial(3), body, body, 1.0)
    assert law.accumulate(value, body, body, 1.0) is value


def test_a_milder_temperature_must_be_milder() -> None:
    with pytest.raises(ValidationError, match="not above lethal_temperature"):
        Cryo.model_validate({"lethal_temperature": "-20 degC", "repeated": {"temperature": "-30 degC"}})
    with pytest.raises(ValidationError, match="thaw = -25 degC is not above temperature = -20 degC"):
        Repeated.model_validate({"thaw": "-25 degC"})


# ---------------------------------------------------------------------------------- the Arrhenius break


@pytest.mark.parametrize("ends", [(37, 60), (60, 37), (41, 42), (42.9, 43.1), (43, 43), (41, 41), (45, 50)])
def test_break_against_quadrature(ends: tuple[float, float]) -> None:
    """Below 43 degC the rate is that at 43 degC over 4 per kelvin, and none below the onset."""
    law = Arrhenius.model_validate({"break_temperature": "43 degC"})

    def rate(s: float) -> float:
        T = ends[0] + s * (ends[1] - ends[0])
        if T < 40.0:
            return 0.0
        return float(arrhenius_rate(T, *LIVER)) if T >= 43 else float(arrhenius_rate(43.0, *LIVER)) * 4.0 ** (T - 43.0)

    kinks = [(T - ends[0]) / (ends[1] - ends[0]) for T in (40.0, 43.0) if ends[0] != ends[1]]
    exact = 100.0 * quad(rate, 0.0, 1.0, points=[s for s in kinks if 0 < s < 1] or None, epsrel=1e-10, limit=200)[0]
    assert after(law, [0, 100], list(ends)) == pytest.approx(exact, rel=1e-6)


def test_break_leaves_hot_tissue_alone_and_smooths_the_border() -> None:
    """DAM-01 from 43 degC up is untouched; half an hour of mild heat makes no jump at 40 degC."""
    smooth, sharp = Arrhenius.model_validate({"break_temperature": "43 degC"}), Arrhenius()
    hot = np.array([43.0, 50.0, 60.0, 70.0])
    assert smooth.accumulate(np.zeros(4), hot, hot, 10.0) == pytest.approx(
        10.0 * arrhenius_rate(hot, *LIVER), rel=1e-12
    )
    mild = np.linspace(39.5, 43.0, 351)
    gentle, abrupt = (np.diff(law.accumulate(np.zeros(351), mild, mild, 1800.0)) for law in (smooth, sharp))
    assert abrupt.max() > 1.0 > 0.06 > gentle.max()


# ----------------------------------------------------------------------------------- through case files

HELD = 'heating.schedule=[["0 s", "37 degC"], ["0 s", "{0} degC"], ["{1} s", "{0} degC"]]'


def test_dam04_through_a_case_file(run_case: RunCase) -> None:
    """Ten minutes at 60 degC: dead share 0.1571; perfusion then follows the living cells."""
    run = run_case("dam02", HELD.format(60, 600), "bioheat.duration=600 s", 'damage.laws=["cell_death"]',
                   'zone.law="cell_death"', 'probes.centre.fields=["cell_death"]')  # fmt: skip
    assert run.value("probe.centre.cell_death") == pytest.approx(0.15710, abs=2e-5)
    assert run.value("zone.volume") == 0.0


def test_laws_that_disagree_in_one_run(run_case: RunCase) -> None:
    """Ten minutes at 55 degC: Arrhenius and CEM43 call the cube dead, three states and the 60 degC isotherm do not."""
    laws = ("arrhenius", "cem43", "cell_death", "isotherm", "cryo")
    run = run_case("dam02", HELD.format(55, 600), "bioheat.duration=600 s", f"damage.laws={json.dumps(laws)}",
                   'probes.centre.fields=["cell_death", "isotherm"]')  # fmt: skip
    volume = (4e-3) ** 3
    found = [run.value(f"law.{law}.volume") / volume for law in laws]
    assert found == pytest.approx([1.0, 1.0, 0.0, 0.0, 0.0])
    assert run.value("laws.volume_spread") == pytest.approx(volume)
    assert run.value("laws.least_dice") == 0.0
    assert run.value("probe.centre.isotherm") == pytest.approx(55.0)
    np.testing.assert_allclose(run.fields.static["dead_by"].values, 0.5)


def test_the_law_of_the_perfusion_can_be_chosen(run_case: RunCase) -> None:
    """With laws that disagree, blood follows the one that is named; it must be in use."""
    laws = 'damage.laws=["arrhenius", "cell_death"]'
    usual = run_case("until", laws)
    same = run_case("until", laws, "bioheat.perfusion_law=arrhenius")
    other = run_case("until", laws, "bioheat.perfusion_law=cell_death")
    assert usual.value("energy.perfusion") == same.value("energy.perfusion")
    assert abs(other.value("energy.perfusion")) > 1.1 * abs(usual.value("energy.perfusion"))
    with pytest.raises(CaseError, match="not among damage"):
        load_case(CATALOGUE / "until.toml", ("bioheat.perfusion_law=cell_death",))


def test_a_zone_bordered_by_the_onset_is_spoken_of(run_case: RunCase) -> None:
    """At 40.5 degC for an hour the liver set says dead; the run says why, and not with the break."""
    held = (HELD.format(40.5, 3600), "bioheat.duration=3600 s")
    sharp = run_case("dam02", *held)
    smooth = run_case("dam02", *held, "damage.arrhenius.break_temperature=43 degC")
    assert sharp.value("zone.volume") > 0.0 == smooth.value("zone.volume")
    assert any("isotherm of the onset" in text for text in sharp.value("warnings"))
    assert not any("isotherm of the onset" in text for text in smooth.value("warnings"))
