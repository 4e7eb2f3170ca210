"""Steps of a linear equation that are exact in time, and where they may not be taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_march import CAPACITY, bioheat, cube, faces, l2, loop, run, states
from test_steppers import Problem

from thermal.engines.chebyshev import chebyshev
from thermal.engines.legendre import stage_count
from thermal.engines.operator_heat import OperatorStepper
from thermal.enthalpy import PhaseChange
from thermal.heat import BUDGET, Action, HeatState, HeatStepper, Precision, Stepped
from thermal.march import Control, Loop
from thermal.physics.damage import Arrhenius
from thermal.physics.scene import Drive
from thermal.scheme import Scheme
from thermal.units import Array


def increment(scheme: Scheme, z: Array) -> Array:
    """What the scheme makes of u' = z u + 1 over a step of one, from rest: (e^z - 1) / z if it is exact."""
    before, here = np.zeros_like(z), np.full_like(z, scheme.first)
    for stage in scheme.later:
        now = stage.mu * here + stage.nu * before + stage.now * (1.0 + z * here) + stage.start
        before, here = here, now
    return here


@pytest.mark.parametrize("reach", [1e-3, 0.3, 10.0, 700.0, 3e4])
@pytest.mark.parametrize("error", [1e-3, 1e-6, 1e-11])
def test_error_is_what_was_asked_for(reach: float, error: float) -> None:
    """Over all decay rates up to the bound; 2 for the scaling of the weights. Slow modes are met to round-off."""
    scheme = chebyshev(reach, error)
    z = -np.linspace(1e-12, reach, 2000)
    assert np.abs(increment(scheme, z) - np.expm1(z) / z).max() < 2.0 * error
    assert increment(scheme, np.zeros(1))[0] == pytest.approx(1.0, abs=1e-12)


def test_stages_grow_like_the_root_of_the_step() -> None:
    """A hundred times the step for ten times the stages, and fewer than ordinary steps of a tenth of it take."""
    few, many = (chebyshev(reach, 1e-6).stages for reach in (100.0, 1e4))
    assert many < 11 * few
    assert many < 10 * stage_count(1e3)


def leap(stepper: HeatStepper, problem: Problem, temperature: Array, length: float) -> tuple[Stepped, HeatState]:
    state = HeatState(temperature.copy(), temperature.copy(), temperature.copy())
    rates = stepper.begin(state, lambda: temperature, Action(problem.power, problem.blood, problem.free))
    stepped = stepper.leap(length, chebyshev(length * rates.decay, 1e-9))
    assert stepped is not None
    return stepped, state


@pytest.mark.parametrize("precision", ["single", "double"])
def test_fused_kernels_leap_as_the_operator_does(precision: Precision) -> None:
    """Films, perfusion, cut voxels and held nodes; double: order of sums alone; single: 2e-6 of a way of some 50 K."""
    problem = Problem(phases=False, slope=0.0)
    start = problem.start(36.0, 60.0)
    fused, found = leap(problem.engine.stepper(problem.problem, precision), problem, start, 40.0)
    plain, expected = leap(OperatorStepper(problem.engine, problem.problem), problem, start, 40.0)
    digits = 1e-11 if precision == "double" else 5e-6
    np.testing.assert_allclose(found.v, expected.v, atol=100.0 * digits)
    np.testing.assert_allclose(fused.lines, plain.lines, atol=digits * np.abs(plain.lines).sum())
    assert fused.stored == pytest.approx(float(fused.lines.sum()), abs=1e-12 * np.abs(plain.lines).sum())


def test_blood_flows_in_stages_colder_than_ice() -> None:
    """What stands in the middle of such a step is no temperature: blood that stopped there would go missing."""
    problem = Problem(slope=0.0)
    problem.blood *= 30.0
    start = problem.start(2.0, 90.0)
    _, found = leap(problem.engine.stepper(problem.problem, "double"), problem, start, 40.0)
    _, expected = leap(OperatorStepper(problem.engine, problem.problem), problem, start, 40.0)
    np.testing.assert_allclose(found.v, expected.v, atol=1e-9)


def steady(problem: Any, power: Array | None = None, **options: Any) -> Loop:
    """A march under constant power without damage."""
    idle = np.zeros(problem.engine.volume.size)
    act = Drive(idle if power is None else power, steady=True)
    return loop(problem, act=lambda _state, _step: act, **options)


def mode() -> tuple[Any, Array, float]:
    """A problem at whose faces 37 degC are held, an eigenvector of it, and its rate of decay, 1/s."""
    n, length, perfusion, k = 12, 0.05, 8e4, 0.5
    engine = cube(n, length)
    shape = np.prod(np.sin(np.pi * engine.points / length), axis=1)
    rate = (k * 3.0 * (2.0 * n / length * np.sin(np.pi / (2 * n))) ** 2 + perfusion) / CAPACITY
    return bioheat(engine, k=k, perfusion=perfusion, held=faces(engine)), shape, rate


def test_one_step_to_the_end_is_exact() -> None:
    """Rise of an eigenvector under constant power over 20 min in one step, and each line of the ledger with it."""
    problem, shape, rate = mode()
    power = 1e6 * shape * problem.engine.volume
    done = states(steady(problem, power, duration=1200.0, control=Control(1e-5, 1e9)))
    final = 1e6 / CAPACITY / rate
    lag = -np.expm1(-rate * 1200.0) / rate
    assert len(done) == 1
    np.testing.assert_allclose(done[0].v, final * shape * -np.expm1(-rate * 1200.0), atol=1e-7 * final)
    heat = dict(zip(BUDGET, done[0].energy, strict=True))
    taken = (
        final
        * (1200.0 - lag)
        * 8e4
        * float(problem.engine.volume[~faces(problem.engine)] @ shape[~faces(problem.engine)])
    )
    assert heat["source"] == pytest.approx(1200.0 * power.sum(), rel=1e-12)
    assert heat["perfusion"] == pytest.approx(-taken, rel=1e-6)
    assert done[0].energy_error < 1e-13


def test_steps_land_on_what_is_to_be_saved() -> None:
    """Within such a step nothing is known: moments that are asked for are ends of steps, and so are events."""
    problem, shape, rate = mode()
    march = steady(problem, duration=900.0, control=Control(1e-5, 1e9), saves=(60.0, 333.3, 900.0), events=(200.0,))
    seen = []
    for progress in march.march(march.start(37.0 + 10.0 * shape)):
        for moment, wanted in march.moments(progress):
            if wanted:
                seen.append((moment.state.time, moment.state.temperature.copy()))
        ended = progress.steps, progress.state.time
    assert ended == (4, 900.0)
    assert [time for time, _ in seen] == [60.0, 333.3, 900.0]
    for time, temperature in seen:
        np.testing.assert_allclose(temperature - 37.0, 10.0 * np.exp(-rate * time) * shape, atol=1e-6)


def test_ordinary_steps_converge_to_it() -> None:
    """Perfused tissue with a film on one face and a jump of conductivity: second order in the ordinary step."""
    engine = cube(10)
    film = 30.0 * engine.areas["z+"]
    k = np.where(np.arange(1000) % 7 > 2, 0.5, 0.2)
    problem = bioheat(engine, k=k, perfusion=5e4, film=film, load=film * 20.0)
    power = 3e5 * engine.volume * (engine.points[:, 0] < 0.02)
    exact = run(steady(problem, power, duration=240.0, control=Control(1e-6, 1e9)))
    errors = []
    for step in (8.0, 4.0, 2.0):
        plain = run(loop(problem, lambda _time: power, duration=240.0, step=step))
        errors.append(l2(engine, plain.v - exact.v))
    assert errors[0] / errors[1] > 3.6
    assert errors[1] / errors[2] > 3.6


def test_ordinary_steps_after_an_exact_one_are_as_short_as_their_error_asks_for() -> None:
    """An error a thousand times too large asks for less than a fifth of the step: such steps erred by 70 to 90
    tolerances. Here all together stay within one (a tenth a step that is exact)."""
    engine = cube(2, 3e-3)
    film = 300.0 * engine.areas["z+"]
    problem = bioheat(engine, perfusion=3e4, film=film, load=film * 20.0)
    start = 37.0 + 20.0 * np.random.default_rng(3).random(engine.volume.size)
    for duration, saves in ((40.0, (3.0,)), (40.0, (3.0, 6.0)), (80.0, (1.0, 5.0, 10.0))):
        exact = run(steady(problem, duration=duration, control=Control(1e-9, 1e9)), start)
        done = run(steady(problem, duration=duration, control=Control(1e-5, 20.0), saves=saves), start)
        np.testing.assert_allclose(done.v, exact.v, atol=1e-5)


def test_longest_step_is_kept_to() -> None:
    """``max_step`` is the user's word."""
    problem, shape, _ = mode()
    assert run(steady(problem, duration=100.0, control=Control(max_step=10.0)), 37.0 + shape).steps == 10


def test_ordinary_steps_are_taken_where_they_are_cheaper() -> None:
    """A slow decay, of which ten seconds are nothing: three stages a step do."""
    problem, shape, _ = mode()
    done = run(steady(problem, duration=100.0, control=Control(max_step=10.0)), 37.0 + 0.1 * shape)
    assert done.stages < 4 * done.steps


def test_ordinary_steps_where_something_follows_the_temperature() -> None:
    """A damage law, a conductivity that rises, a drive that may change: steps as short as their errors ask for."""
    problem, shape, _ = mode()
    options: dict[str, Any] = {"duration": 100.0, "control": Control(0.02, 1e9)}
    power = 1e6 * shape * problem.engine.volume
    assert run(steady(problem, power, **options)).steps == 1
    assert run(steady(problem, power, laws={"arrhenius": Arrhenius()}, **options)).steps > 5
    assert run(steady(bioheat(problem.engine, slope=0.002), power, **options)).steps > 5
    assert run(loop(problem, lambda _time: power, **options)).steps > 5


def test_boiling_is_met_by_ordinary_steps() -> None:
    """A leap that would end beyond the start of boiling is not taken: the march is that of ordinary steps."""
    engine = cube(8)
    steam = PhaseChange(99.0, 101.0, np.full(engine.volume.size, 2e9))
    problem = bioheat(engine, held=faces(engine, "x-"), boiling=steam)
    power = 8e6 * engine.volume
    control = Control(0.02, 10.0)
    leaping = run(steady(problem, power, duration=60.0, control=control))
    plain = run(loop(problem, lambda _time: power, duration=60.0, control=control))
    assert plain.state.temperature.max() > 99.0
    assert leaping.steps > 5
    np.testing.assert_allclose(leaping.state.temperature, plain.state.temperature, atol=0.1)
    assert leaping.energy_error < 1e-12


def test_single_precision_keeps_its_digits_over_a_long_way() -> None:
    """So strong a source for so long that one step would go 3e4 K at the rate of its start: steps are cut."""
    problem, shape, rate = mode()
    power = 4e7 * shape * problem.engine.volume
    control = Control(0.02, 1e9, precision="single")
    done = run(steady(problem, power, duration=3000.0, control=control))
    final = 4e7 / CAPACITY / rate
    assert done.steps > 1
    np.testing.assert_allclose(done.v, final * shape * -np.expm1(-rate * 3000.0), atol=0.02)


def test_state_is_left_alone_when_a_leap_is_refused() -> None:
    """What boils within the step: nothing of the state has changed."""
    problem = Problem(slope=0.0)
    problem.power *= 600.0
    temperature = problem.start(80.0, 90.0)
    for stepper in (
        problem.engine.stepper(problem.problem, "double"),
        OperatorStepper(problem.engine, problem.problem),
    ):
        state = HeatState(temperature.copy(), temperature.copy(), temperature.copy())
        rates = stepper.begin(state, lambda: temperature, Action(problem.power, problem.blood, problem.free))
        assert stepper.leap(60.0, chebyshev(60.0 * rates.decay, 1e-6)) is None
        for array in (state.temperature, state.coldest, state.hottest):
            np.testing.assert_array_equal(array, temperature)
        np.testing.assert_allclose(state.v, temperature - 37.0, rtol=0.0, atol=1e-13)


def test_leaps_are_short_enough_to_hear_of() -> None:
    """However stiff: at most some 500 stages before progress is shown and a checkpoint can be written."""
    engine = cube(8, 1e-3)
    problem = bioheat(engine, held=faces(engine))
    done = states(steady(problem, 1e6 * engine.volume, duration=3600.0, control=Control(1e-3, 1e9)))
    assert len(done) > 3
    assert max(np.diff([0, *(progress.stages for progress in done)])) < 600
