"""Two implementations of one step: fused kernels on voxels against plain NumPy around the operator."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from thermal.domain import Ball, VoxelDomain
from thermal.engines.legendre import legendre, stage_count
from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, CutConductivity, Enthalpy, PhaseChange
from thermal.heat import Action, HeatProblem, HeatState, HeatStepper, Precision, Rates, Stepped, Touch
from thermal.units import Array

RNG_SEED = 20260101


def engine() -> VoxelEngine:
    """Uneven axes, three tissues at random, a corner of void."""
    rng = np.random.default_rng(RNG_SEED)
    axes = tuple(np.cumsum(rng.uniform(0.8e-3, 1.6e-3, count)) for count in (9, 11, 13))
    solid = np.ones((8, 10, 12), dtype=bool)
    solid[:3, :4, :5] = False
    return VoxelEngine(VoxelDomain((axes[0], axes[1], axes[2]), {"tissue": solid.ravel() * 1.0}, solid.ravel()))


class Done(NamedTuple):
    rates: Rates
    stepped: Stepped
    state: HeatState


class Problem:
    """A problem with films, blood, a probe, held nodes, and tissue that may freeze and boil."""

    def __init__(self, *, slope: float = 2e-3, phases: bool = True, probe: float = 20.0) -> None:
        self.engine = engine()
        rng = np.random.default_rng(RNG_SEED + 1)
        n, m = self.engine.volume.size, self.engine.domain.solid.size
        at_37 = rng.uniform(0.2, 0.7, m)
        capacity = rng.uniform(3e6, 4e6, n)
        freezing = PhaseChange(-8.0, -1.0, rng.uniform(2e8, 3e8, n)) if phases else None
        boiling = PhaseChange(99.0, 100.0, rng.uniform(1e8, 2e8, n)) if phases else None
        relation = Enthalpy.build(capacity, freezing, rng.uniform(1.6e6, 2e6, n), boiling)

        def conductivity(k: Array) -> Conductivity:
            steep = np.full(k.size, slope)
            return Conductivity(k, steep, 4.0 * k, -8.0, -1.0) if phases else Conductivity(k, steep)

        nodes = conductivity(np.where(self.engine.volume > 0, self.engine.to_nodes(at_37), 1.0))
        film = 20.0 * self.engine.areas["z+"]
        share = rng.random(m)
        mixed = VoxelEngine(replace(self.engine.domain, shares={"one": share, "other": 1.0 - share}))
        frozen = mixed.cut_edges({"one": 2.0, "other": 0.9}) if phases else None
        cuts = CutConductivity.of(mixed.cut_edges({"one": 0.2, "other": 0.7}), frozen, -8.0, -1.0)
        self.problem = HeatProblem(
            relation,
            capacity * self.engine.volume,
            conductivity(at_37),
            36.5,
            film,
            15.0 * film,
            4e4 * self.engine.volume,
            cuts,
        )
        factor = self.engine.contact(Ball((*(0.5 * (a[0] + a[-1]) for a in self.engine.domain.axes),), 0.8e-3))
        near = np.flatnonzero(factor)
        self.touch = Touch(near, factor[near], np.full(near.size, 0.05), probe, nodes.take(near))
        self.free = (self.engine.volume > 0) & ~(self.engine.areas["x-"] > 0)
        self.blood = 4e4 * self.engine.volume * rng.uniform(0.0, 1.0, n)
        self.power = 2e5 * self.engine.volume * rng.uniform(0.0, 1.0, n)

    def start(self, low: float, high: float) -> Array:
        temperature = np.random.default_rng(RNG_SEED + 2).uniform(low, high, self.free.size)
        return np.where(self.engine.volume > 0, temperature, 37.0)

    def step(self, stepper: HeatStepper, temperature: Array, length: float) -> Done:
        state = HeatState(temperature.copy(), temperature.copy(), temperature.copy())
        action = Action(self.power, self.blood, self.free, (self.touch,))
        rates = stepper.begin(state, lambda: temperature, action)
        return Done(rates, stepper.advance(length, stage_count(length * rates.decay)), state)

    def both(self, precision: Precision, temperature: Array, length: float) -> tuple[Done, Done]:
        fused = self.engine.stepper(self.problem, precision)
        return self.step(fused, temperature, length), self.step(
            OperatorStepper(self.engine, self.problem), temperature, length
        )


RANGES = {"warm": (30.0, 80.0), "freezing": (-30.0, 40.0), "boiling": (60.0, 108.0), "all": (-40.0, 110.0)}


@pytest.mark.parametrize("name", RANGES)
def test_fused_kernels_do_the_same_as_the_operator(name: str) -> None:
    """In double precision both differ by the order of the sums alone: 1e-11 of 150 K, 1e-11 of the energy."""
    problem = Problem()
    (rates, fused, state), (expected_rates, plain, expected) = problem.both("double", problem.start(*RANGES[name]), 3.0)
    assert rates.decay == pytest.approx(expected_rates.decay, rel=1e-12) or name != "warm"
    assert rates.heating == pytest.approx(expected_rates.heating, rel=1e-11)
    for name_of_array in ("v", "temperature", "coldest", "hottest"):
        np.testing.assert_allclose(getattr(state, name_of_array), getattr(expected, name_of_array), atol=1e-10)
    scale = float(np.abs(plain.lines).sum())
    np.testing.assert_allclose(fused.lines, plain.lines, atol=1e-11 * scale)
    assert fused.stored == pytest.approx(plain.stored, abs=1e-11 * scale)
    assert (fused.error is None) == (plain.error is None) == (name != "warm")
    if fused.error is not None:
        assert fused.error == pytest.approx(plain.error, rel=1e-9)


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("name", RANGES)
def test_the_ledger_of_a_step_closes(name: str, precision: Precision) -> None:
    """In either precision: the state gains what the lines say. The lines of both differ by the digits of single."""
    problem = Problem()
    (_, fused, state), (_, plain, _) = problem.both(precision, problem.start(*RANGES[name]), 3.0)
    scale = float(np.abs(fused.lines).sum())
    v = problem.problem.relation.content(problem.start(*RANGES[name]))
    gained = float((problem.problem.capacity * (state.v - v))[problem.free].sum())
    assert abs(gained - float(fused.lines.sum())) < 1e-13 * scale
    assert abs(fused.stored - gained) < 1e-13 * scale
    np.testing.assert_allclose(fused.lines, plain.lines, atol=2e-5 * scale if precision == "single" else 1e-11 * scale)


def test_single_precision_loses_digits_of_the_change_alone() -> None:
    """Six digits of a change of some 20 K; none where nothing changes."""
    problem = Problem()
    start = problem.start(36.0, 60.0)
    single, double = (state for *_, state in problem.both("single", start, 2.0))
    change = float(np.abs(double.v - problem.problem.relation.content(start)).max())
    assert change > 5.0
    np.testing.assert_allclose(single.v, double.v, atol=2e-6 * change)


def test_a_probe_colder_than_ice_makes_ice_within_the_step() -> None:
    """No node is frozen at the start of the step: the warm kernels would miss the ice that forms."""
    problem = Problem(probe=-140.0)
    fused, plain = (state for *_, state in problem.both("double", problem.start(0.0, 5.0), 5.0))
    assert plain.temperature.min() < -3.0
    np.testing.assert_allclose(fused.temperature, plain.temperature, atol=1e-10)


def test_a_step_that_runs_into_boiling_is_done_again_with_it() -> None:
    """All liquid at the start, boiling at the end: heat above 99 degC must go into vapour."""
    problem = Problem(slope=0.0)
    problem.power *= 600.0
    fused, plain = (state for *_, state in problem.both("double", problem.start(80.0, 90.0), 2.0))
    assert plain.temperature.max() >= 99.5
    np.testing.assert_allclose(fused.temperature, plain.temperature, atol=1e-9)


@pytest.mark.parametrize("first", [0, 20])
def test_a_thin_layer_whose_conductivity_rises_among_tissue_where_it_does_not(first: int) -> None:
    """Beside a long cell of the row, or in its middle: along such rows coefficients are taken once if they can be."""
    long = np.cumsum([0.0, 3e-3, *[1e-3] * 38])
    short = 1e-3 * np.arange(5)
    domain = VoxelDomain((short, short.copy(), long), {"tissue": np.ones(4 * 4 * 39)}, np.ones(4 * 4 * 39, dtype=bool))
    grid = VoxelEngine(domain)
    slope = np.zeros((4, 4, 39))
    slope[:, :, first] = 0.003
    n, m = grid.volume.size, slope.size
    conductivity = Conductivity(np.full(m, 0.5), slope.ravel())
    problem = HeatProblem(Enthalpy(), 3.6e6 * grid.volume, conductivity, 37.0, np.zeros(n), np.zeros(n), np.zeros(n))
    temperature = np.random.default_rng(RNG_SEED).uniform(30.0, 60.0, n)
    found = []
    for stepper in (grid.stepper(problem, "double"), OperatorStepper(grid, problem)):
        state = HeatState(temperature.copy(), temperature.copy(), temperature.copy())
        nothing = np.zeros(n)
        rates = stepper.begin(state, lambda: temperature, Action(nothing, nothing, grid.volume > 0))
        stepper.advance(2.0, stage_count(2.0 * rates.decay))
        found.append(state.v)
    np.testing.assert_allclose(found[0], found[1], rtol=0.0, atol=1e-11)


def test_nodes_that_come_free_count_for_the_bound_of_frozen_tissue() -> None:
    """The smallest cells, held at first: the bound kept from then would let a step run away."""
    problem = Problem(probe=-100.0)
    stepper, temperature = problem.engine.stepper(problem.problem, "double"), problem.start(-30.0, 40.0)
    decays = []
    for fresh in (stepper, problem.engine.stepper(problem.problem, "double")):
        for held in (True, False) if fresh is stepper else (False,):
            free = problem.free & ~(held & (problem.engine.volume < np.median(problem.engine.volume)))
            state = HeatState(*(temperature.copy() for _ in range(3)))
            rates = fresh.begin(state, lambda: temperature, Action(problem.power, problem.blood, free))
            decays.append(rates.decay)
    assert decays[0] < 0.9 * decays[1]
    assert decays[1] == decays[2]


@pytest.mark.parametrize("temperatures", ["freezing", "boiling", "all"])
def test_a_step_beside_ice_or_vapour_that_cannot_be_borne_is_not_done(temperatures: str) -> None:
    """Everything is as before, and the error by kernels and by operator is the same."""
    problem = Problem()
    temperature = problem.start(*RANGES[temperatures])
    errors = []
    for stepper in (
        problem.engine.stepper(problem.problem, "double"),
        OperatorStepper(problem.engine, problem.problem),
    ):
        v = problem.problem.relation.content(temperature)
        state = HeatState(*(temperature.copy() for _ in range(3)), v.copy())
        action = Action(problem.power, problem.blood, problem.free, (problem.touch,))
        rates = stepper.begin(state, lambda: temperature, action)
        stages = stage_count(5.0 * rates.decay)
        errors.append(stepper.advance(5.0, stages, 1e-3).front_error)
        assert errors[-1] > 1e-3
        np.testing.assert_array_equal(state.v, v)
        for kept in (state.temperature, state.coldest, state.hottest):
            np.testing.assert_array_equal(kept, temperature)
        stepper.begin(state, lambda: temperature, action)
        assert stepper.advance(5.0, stages, 2.0 * errors[-1]).front_error == errors[-1]
        assert np.abs(state.v - v).max() > 0.1
    assert errors[0] == pytest.approx(errors[1], rel=1e-9)


def test_nothing_happens_in_tissue_at_rest() -> None:
    """37 degC with blood of 37 degC is exactly steady in both precisions."""
    problem = Problem(phases=False)
    problem.power[:] = 0.0
    rest = HeatProblem(
        problem.problem.relation,
        problem.problem.capacity,
        problem.problem.cells,
        37.0,
        0.0 * problem.power,
        0.0 * problem.power,
        problem.blood,
    )
    temperature = np.full(problem.free.size, 37.0)
    precisions: tuple[Precision, ...] = ("single", "double")
    for precision in precisions:
        stepper = problem.engine.stepper(rest, precision)
        state = HeatState(temperature.copy(), temperature.copy(), temperature.copy())
        rates = stepper.begin(state, lambda: temperature, Action(problem.power, problem.blood, problem.free))
        stepper.advance(10.0, stage_count(10.0 * rates.decay))
        assert np.array_equal(state.temperature, temperature)


@pytest.mark.parametrize("stages", [3, 5, 9, 21])
def test_stages_are_those_of_a_second_order_scheme(stages: int) -> None:
    """For u' = z u the result is 1 + z + z^2/2 up to third order: differences of the polynomial at zero."""

    def polynomial(z: float) -> float:
        scheme = legendre(stages)
        before, here = 0.0, scheme.first * z
        for stage in scheme.later:
            now = stage.mu * here + stage.nu * before + z * (stage.now * (1.0 + here) + stage.start)
            before, here = here, now
        return 1.0 + here

    z = 1e-3
    assert (polynomial(z) - polynomial(-z)) / (2.0 * z) == pytest.approx(1.0, abs=2e-7)
    assert (polynomial(z) - 2.0 + polynomial(-z)) / z**2 == pytest.approx(1.0, abs=1e-5)
    # stable on the whole interval that it promises
    promised = (stages**2 + stages - 2.0) / 2.0
    assert max(abs(polynomial(-x)) for x in np.linspace(0.0, promised, 400)) <= 1.0 + 1e-12
