"""Moments within a step: what is kept at requested times costs no step and has the order of the scheme."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_march import CAPACITY, bioheat, cube, everything, faces, loop, orders, states, uneven

from thermal import load_case, simulate
from thermal.enthalpy import BODY_TEMPERATURE, PhaseChange
from thermal.march import Control, Loop, Progress
from thermal.march.moment import within
from thermal.physics.damage import Arrhenius, Cem43, Cryo
from thermal.physics.scene import Drive, Held, State
from thermal.units import Array


def moments(march: Loop, temperature: float | Array = BODY_TEMPERATURE) -> list[tuple[Progress, bool]]:
    """All moments of a march, the ends of steps among them."""
    start = np.broadcast_to(np.asarray(temperature, dtype=float), march.bioheat.engine.volume.shape).copy()
    return [
        (moment.copy(), kept)
        for progress in march.march(march.start(start))
        for moment, kept in march.moments(progress)
    ]


@pytest.mark.parametrize("saves", [(0.1, 7.0, 33.3, 90.0), tuple(np.arange(0.25, 90.1, 0.25))])
def test_moments_cost_no_step_and_change_nothing(saves: tuple[float, ...]) -> None:
    """With ice, steam, probes, damage and clamped nodes: the ends of steps are bit for bit those of a march that keeps
    nothing."""
    plain = states(everything(uneven()))
    found = moments(everything(uneven(), saves=saves))
    times = [moment.state.time for moment, _ in found]
    assert times == sorted(set(times))
    assert [moment.state.time for moment, kept in found if kept] == list(saves)
    ends = {moment.state.time: moment for moment, _ in found}
    for progress in plain:
        other = ends[progress.state.time]
        np.testing.assert_array_equal(progress.state.temperature, other.state.temperature)
        np.testing.assert_array_equal(progress.v, other.v)
        np.testing.assert_array_equal(progress.energy, other.energy)
        for name, value in progress.state.damage.items():
            np.testing.assert_array_equal(value, other.state.damage[name])
    assert plain[-1].steps == found[-1][0].steps


def test_what_only_grows_or_falls_does_so_at_moments_too() -> None:
    engine = uneven()
    march = everything(engine, saves=tuple(np.arange(0.2, 90.0, 0.2)))
    march = Loop(**{**march.__dict__, "laws": {**march.laws, "cryo": Cryo()}})
    solid = engine.volume > 0
    found = [moment for moment, _ in moments(march)]
    for one, other in pairwise(found):
        assert np.all(other.hottest >= one.hottest)
        assert np.all(other.coldest <= one.coldest)
        for name, sign in (("arrhenius", 1), ("cem43", 1), ("cryo", -1)):
            assert np.all(sign * other.state.damage[name] >= sign * one.state.damage[name])
        assert np.all((other.state.temperature <= other.hottest + 0.5)[solid])  # what a cubic may pass the end by
        assert other.energy_error < 1e-12  # as at the ends of steps


def test_moments_of_an_exact_solution_are_of_second_order() -> None:
    """An eigenvector of the discrete operator that decays under a constant source: at all times as accurate as at the
    ends of steps."""
    n, length, perfusion, k = 12, 0.05, 8e4, 0.5
    engine = cube(n, length)
    mode = np.prod(np.sin(np.pi * engine.points / length), axis=1)
    rate = (k * 3.0 * (2.0 * n / length * np.sin(np.pi / (2 * n))) ** 2 + perfusion) / CAPACITY
    problem = bioheat(engine, k=k, perfusion=perfusion, held=faces(engine))
    power = 2e6 * mode * engine.volume

    def worst(step: float) -> tuple[float, float]:
        march = loop(problem, lambda time: power, 96.0, step=step, saves=tuple(np.arange(0.7, 96.0, 0.7)))
        errors: dict[bool, float] = {True: 0.0, False: 0.0}
        for moment, kept in moments(march, BODY_TEMPERATURE + 10.0 * mode):
            level = 2e6 / CAPACITY / rate
            exact = level + (10.0 - level) * np.exp(-rate * moment.state.time)
            error = float(np.abs(moment.state.temperature - BODY_TEMPERATURE - exact * mode).max())
            errors[kept] = max(errors[kept], error)
        return errors[True], errors[False]

    within_steps, at_ends = np.array([worst(step) for step in (16.0, 8.0, 4.0)]).T
    assert np.all(orders(within_steps) > 1.9)
    assert np.all(within_steps < 1.2 * at_ends)


def test_a_cubic_is_exact_and_a_smooth_course_keeps_its_order() -> None:
    """``exp(-t)`` from values and rates of its own: the error of the interpolation alone."""

    def error(step: float, course: Callable[[float], float], rate: Callable[[float], float]) -> float:
        shares = np.linspace(0.0, 1.0, 21)
        at = [np.array([course(0.3 + step * share)]) for share in (0.0, 1.0)]
        slope = [np.array([step * rate(0.3 + step * share)]) for share in (0.0, 1.0)]
        return max(abs(float(within(s, *at, *slope)[0]) - course(0.3 + step * s)) for s in shares)

    steps = (0.4, 0.2, 0.1)
    fading = [error(step, lambda t: float(np.exp(-t)), lambda t: -float(np.exp(-t))) for step in steps]
    assert np.all(orders(fading) > 3.8)  # fourth
    assert error(0.4, lambda t: t * t, lambda t: 2.0 * t) < 1e-15
    bent = [
        error(step, lambda t, c=0.3 + 0.3 * step: (t - c) ** 3, lambda t, c=0.3 + 0.3 * step: 3.0 * (t - c) ** 2)
        for step in steps
    ]
    assert np.all(orders(bent) > 2.9)  # through a point of inflection, where the bends at both ends disagree: third


def test_a_transient_that_a_step_passes_over_does_not_throw_moments_off() -> None:
    """A wall that jumps by 40 K: rates beside it are some hundred times what happens in the step."""
    engine = cube(12, 0.01)
    problem = bioheat(engine, held=faces(engine, "x-"), at=77.0)
    march = loop(problem, None, 40.0, step=20.0, saves=tuple(np.arange(1.0, 40.0)))
    found = [moment.state.temperature for moment, _ in moments(march)]
    assert max(t.max() for t in found) <= 77.0 + 1e-9
    assert min(t.min() for t in found) >= BODY_TEMPERATURE - 0.5  # the long steps themselves undershoot by that much


def test_moments_on_a_plateau_follow_the_enthalpy() -> None:
    """A uniform bath that boils: v grows evenly, temperature has its kinks between ends of steps."""
    engine = cube(2)
    latent = 5e8
    problem = bioheat(engine, boiling=PhaseChange(100.0, 101.0, np.full(engine.volume.size, latent)))
    density = 2e7
    march = loop(problem, lambda time: density * engine.volume, 60.0, step=10.0, saves=tuple(np.arange(0.5, 60.0, 0.5)))
    onset, dry = 63.0 * CAPACITY / density, (64.0 * CAPACITY + latent) / density
    assert 0 < onset < dry < 60.0
    for moment, _ in moments(march):
        time = moment.state.time
        wet = 100.0 + (time - onset) / (dry - onset)
        exact = (
            37.0 + time * density / CAPACITY
            if time < onset
            else wet
            if time < dry
            else 101.0 + (time - dry) * (density / CAPACITY)
        )
        np.testing.assert_allclose(moment.state.temperature, exact, rtol=1e-12)


def test_a_step_does_not_keep_the_ones_before_it() -> None:
    march = loop(bioheat(cube(2)), None, 40.0, step=5.0, saves=tuple(np.arange(1.0, 40.0)))
    for progress in march.march(march.start(np.full(27, 40.0))):
        assert progress.span is not None
        assert progress.span.before.span is None


def test_moments_of_clamped_nodes_are_as_prescribed() -> None:
    engine = cube(4)
    clamp = faces(engine, "x-")
    n = engine.volume.size

    def act(state: State, step: float) -> Drive:
        return Drive(np.zeros(n), held=lambda time: Held(clamp, np.full(n, 37.0 + 0.2 * time)))

    march = loop(bioheat(engine), None, 40.0, act=act, saves=tuple(np.arange(0.7, 40.0, 0.7)), control=Control())
    for moment, _ in moments(march):
        np.testing.assert_allclose(moment.state.temperature[clamp], 37.0 + 0.2 * moment.state.time, rtol=1e-13)


def test_damage_at_moments_is_that_of_finer_steps() -> None:
    """Rising tissue: dose and Omega between ends of steps of 5 s against a march that ends a step there."""
    engine = cube(2)
    power = 1.2e6 * engine.volume
    laws = {"arrhenius": Arrhenius(), "cem43": Cem43()}
    times = tuple(np.arange(1.0, 60.0))
    coarse = [m for m, kept in moments(loop(bioheat(engine), lambda t: power, 60.0, step=5.0, laws=laws, saves=times))]
    fine = {round(p.state.time): p for p in states(loop(bioheat(engine), lambda t: power, 60.0, step=1.0, laws=laws))}
    for moment in coarse:
        for name, value in moment.state.damage.items():  # both are exact for a temperature that rises evenly
            np.testing.assert_allclose(value, fine[round(moment.state.time)].state.damage[name], rtol=1e-7, atol=1e-300)


CASE = Path(__file__).parent / "catalogue" / "pen07_pulse.toml"


def test_a_case_takes_the_same_steps_however_often_it_is_kept(tmp_path: Path) -> None:
    """``output.every`` of 1 s and of 100 s: equal steps and summaries, a field and a row at each time."""
    runs = []
    for every in (1, 100):
        sets = (
            f"output.every={every} s",
            "output.series=true",
            "anatomy.refine.voxel_size=3 mm",
        )
        runs.append(simulate(load_case(CASE, sets), tmp_path / str(every)))
    often, seldom = runs
    for key in ("steps", "stages", "peak_temperature", "zone.volume", "probe.r05.temperature"):
        assert often.value(key) == seldom.value(key), key
    assert often.times.tolist() == np.arange(0.0, 120.5).tolist()
    assert seldom.times.tolist() == [0.0, 100.0, 120.0]
    for name, kept in seldom.static.items():
        np.testing.assert_array_equal(kept.values, often.static[name].values, err_msg=name)
    assert set(np.arange(0.0, 120.5)) <= set(often.history.time.tolist())
    assert set(seldom.history.time.tolist()) <= set(often.history.time.tolist())
    # the zone over time: what the run says at its end, and never smaller than before
    volumes = often.history["zone.volume"]
    kept = np.isin(often.history.time, often.times)
    assert np.array_equal(np.isfinite(volumes), kept)
    assert np.all(np.diff(volumes[kept]) >= 0.0)
    assert volumes[kept][0] == 0.0
    assert volumes[-1] == pytest.approx(often.value("zone.volume"), rel=1e-12)
    last, end = often.zone(-1), often.static[often.zone_field].values
    assert last is not None
    np.testing.assert_array_equal(last.astype(np.float32), end.astype(np.float32))
