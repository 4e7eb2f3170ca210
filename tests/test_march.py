"""The time loop: orders in time and space, a closed ledger, events, plateaus, symmetry, damage, resuming."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from engine_problems import hexahedra, tetrahedra

from thermal.domain import FACES, Ball, VoxelDomain
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, Enthalpy, PhaseChange
from thermal.heat import BUDGET, Precision
from thermal.march import Control, Loop, Progress
from thermal.physics.bioheat import Bioheat, Surroundings
from thermal.physics.damage import Arrhenius, Cem43
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Contact, Drive, Held, State
from thermal.units import Array, Mask

CAPACITY = 1060.0 * 3600.0
Axes = tuple[Array, Array, Array]


def cube(n: int, length: float = 0.05) -> VoxelEngine:
    axis = np.linspace(0.0, length, n + 1)
    return grid((axis, axis.copy(), axis.copy()))


def grid(axes: Axes, solid: Mask | None = None) -> VoxelEngine:
    inside = np.ones(int(np.prod([len(axis) - 1 for axis in axes])), dtype=bool) if solid is None else solid
    return VoxelEngine(VoxelDomain(axes, {"tissue": inside.astype(float)}, inside))


def faces(engine: VoxelEngine, *names: str) -> Mask:
    return np.asarray(np.any([engine.areas[name] > 0 for name in names or FACES], axis=0))


def bioheat(
    engine: VoxelEngine | MeshEngine,
    *,
    k: float | Array = 0.5,
    slope: float = 0.0,
    capacity: float | Array = CAPACITY,
    perfusion: float | Array = 0.0,
    held: Mask | None = None,
    at: float = 37.0,
    film: Array | None = None,
    load: Array | None = None,
    freezing: PhaseChange | None = None,
    boiling: PhaseChange | None = None,
    metabolic: float = 0.0,
    frozen: float = 4.0,
) -> Bioheat:
    """One tissue, or arrays: ``k`` (m,) W/m/K, ``capacity`` (n,) J/m3/K, ``perfusion`` (n,) W/m3/K.

    Ice conducts ``frozen`` times better.
    """
    n, m = engine.volume.size, engine.cell_volume.size
    of_cells = np.broadcast_to(np.asarray(k, dtype=float), m).copy()
    of_nodes = np.where(engine.volume > 0, engine.to_nodes(of_cells), 1.0)
    heat = Enthalpy.build(np.full(n, 1.0) * capacity, freezing, np.full(n, 1.9e6), boiling)
    ice = None if freezing is None else (freezing.start, freezing.end)

    def conductivity(at_37: Array) -> Conductivity:
        if ice is None:
            return Conductivity(at_37, np.full(at_37.size, slope))
        return Conductivity(at_37, np.full(at_37.size, slope), frozen * at_37, *ice)

    nothing = np.zeros(n)
    return Bioheat(
        engine,
        heat,
        lambda: capacity * engine.volume,
        conductivity(of_cells),
        lambda: conductivity(of_nodes),
        perfusion * engine.volume,
        37.0,
        metabolic * engine.volume,
        Surroundings(
            nothing if film is None else film,
            nothing if load is None else load,
            Held(nothing > 0 if held is None else held, np.full(n, at)),
        ),
    )


def loop(
    problem: Bioheat,
    power: Callable[[float], Array] | None = None,
    duration: float = 60.0,
    *,
    step: float | None = None,
    events: tuple[float, ...] = (),
    saves: tuple[float, ...] = (),
    act: Callable[[State, float], Drive] | None = None,
    **options: Any,
) -> Loop:
    """With ``step`` all steps are that long; ``power`` (n,) W as a function of time, taken in the middle of a step."""
    idle = np.zeros(problem.engine.volume.size)

    def drive(state: State, length: float) -> Drive:
        return Drive(idle if power is None else power(state.time + 0.5 * length))

    control = Control(max_step=10.0) if step is None else Control(1e9, step, step)
    options = {"laws": {}, "control": control, "perfusion_stops": None, **options}
    return Loop(problem, PlainSource(act or drive, events), duration=duration, saves=saves, **options)


def run(march: Loop, temperature: float | Array = 37.0) -> Progress:
    return states(march, temperature)[-1]


def states(march: Loop, temperature: float | Array = 37.0) -> list[Progress]:
    start = np.broadcast_to(np.asarray(temperature, dtype=float), march.bioheat.engine.volume.shape).copy()
    return [progress.copy() for progress in march.march(march.start(start))]


def orders(errors: Sequence[float]) -> Array:
    """Observed orders of errors at halved steps."""
    return np.array([np.log2(coarse / fine) for coarse, fine in pairwise(errors)])


def l2(engine: VoxelEngine, u: Array) -> float:
    return float(np.sqrt(engine.volume @ u**2 / engine.volume.sum()))


# ------------------------------------------------------------------------------------------------ orders


def test_second_order_in_time() -> None:
    """An eigenvector of the discrete operator under a source sin(w t): what is left is the error of the steps alone."""
    n, length, perfusion, k = 12, 0.05, 8e4, 0.5
    engine = cube(n, length)
    mode = np.prod(np.sin(np.pi * engine.points / length), axis=1)
    eigenvalue = 3.0 * (2.0 * n / length * np.sin(np.pi / (2 * n))) ** 2
    rate, omega, heat = (k * eigenvalue + perfusion) / CAPACITY, 2 * np.pi / 90.0, 2e6
    problem = bioheat(engine, k=k, perfusion=perfusion, held=faces(engine))

    def exact(t: float) -> float:
        forced = heat / CAPACITY / (rate**2 + omega**2)
        ringing = rate * np.sin(omega * t) - omega * np.cos(omega * t) + omega * np.exp(-rate * t)
        return float(10.0 * np.exp(-rate * t) + forced * ringing)

    errors = []
    for step in (10.0, 5.0, 2.5, 1.25):  # three stages each: with more stages the constant would change
        march = loop(problem, lambda t: heat * np.sin(omega * t) * mode * engine.volume, 120.0, step=step)
        last = run(march, 37.0 + 10.0 * mode)
        assert last.steps == round(120 / step)
        assert last.stages == 3 * last.steps
        errors.append(l2(engine, last.state.temperature - 37.0 - exact(120.0) * mode))
    assert np.all(orders(errors) > 1.9), (errors, orders(errors))
    assert errors[-1] < 0.001


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_many_stages_are_second_order_too(slope: float) -> None:
    """5 to 15 stages a step, with a conductivity that rises with temperature, against steps sixteen times smaller."""
    engine = cube(24, 0.012)
    problem = bioheat(engine, slope=slope, held=faces(engine))
    hot = np.exp(-0.5 * np.sum((engine.points - 0.006) ** 2, axis=1) / 0.002**2)
    begin = 37.0 + 40.0 * hot * ~faces(engine)
    reference = run(loop(problem, None, 16.0, step=0.125), begin).state.temperature
    errors, stages = [], []
    for step in (8.0, 4.0, 2.0):
        last = run(loop(problem, None, 16.0, step=step), begin)
        errors.append(l2(engine, last.state.temperature - reference))
        stages.append(last.stages // last.steps)
    assert stages[0] >= 9
    # larger steps do more stages, whose error constant is up to 1.7 times larger; the first step has no trend yet
    assert np.all(orders(errors) > 1.7), (errors, orders(errors), stages)


def test_conductivity_of_the_middle_of_a_step() -> None:
    """While tissue warms steadily, a conductivity taken at the start of each step would be late: first order."""
    axis = np.linspace(0.0, 0.02, 21)
    engine = grid((axis, axis[:2], axis[:2].copy()))
    problem = bioheat(engine, slope=0.02, held=faces(engine, "x-", "x+"))
    power = 2.5e6 * engine.volume

    def found(step: float) -> Array:
        return run(loop(problem, lambda t: power, 60.0, step=step)).state.temperature

    reference = found(0.0625)
    assert reference.max() > 60.0
    errors = [l2(engine, found(step) - reference) for step in (4.0, 2.0, 1.0)]
    assert np.all(orders(errors) > 1.8), (errors, orders(errors))


def test_collapse_of_perfusion_within_a_step() -> None:
    """Blood stops while tissue coagulates: damage is foreseen to the middle of a step, else the blood cools for longer
    and the error is of first order (1.3 K at 10 s here, and unseen by the step control)."""
    axis = np.linspace(0.0, 0.03, 31)
    engine = grid((axis, axis[:2], axis[:2].copy()))
    problem = bioheat(engine, perfusion=6e4, held=faces(engine, "x-", "x+"))
    power = 2.5e6 * np.exp(-0.5 * ((engine.points[:, 0] - 0.015) / 0.004) ** 2) * engine.volume
    laws = {"arrhenius": Arrhenius()}

    def found(**steps: Any) -> Array:
        march = loop(problem, lambda t: power, 120.0, laws=laws, perfusion_stops="arrhenius", **steps)
        last = run(march)
        assert last.state.damage["arrhenius"].max() > 100.0
        return last.state.temperature

    reference = found(step=0.1)
    errors = [float(np.abs(found(step=step) - reference).max()) for step in (10.0, 5.0, 2.5)]
    assert np.all(orders(errors) > 1.8), (errors, orders(errors))
    assert np.abs(found() - reference).max() < 0.1  # with the steps that the default tolerance chooses


def pennes(slope: float) -> tuple[Callable[[Array, float], Array], Callable[[Array, float], Array]]:
    """Manufactured ``T = 37 + 20 S (1 - exp(-t/60))``, S the product of sin(pi x / L), and the source that makes it."""
    length, k, perfusion = 0.05, 0.5, 26752.0
    p = np.pi / length

    def temperature(points: Array, t: float) -> Array:
        return np.asarray(37.0 + 20.0 * (1 - np.exp(-t / 60)) * np.prod(np.sin(p * points), axis=1))

    def source(points: Array, t: float) -> Array:
        sines, cosines = np.sin(p * points), np.cos(p * points)
        mode = np.prod(sines, axis=1)
        gradient = np.stack([cosines[:, a] * mode / np.where(sines[:, a] == 0, 1, sines[:, a]) for a in range(3)])
        size = 20.0 * (1 - np.exp(-t / 60))
        rise = 20.0 / 60.0 * np.exp(-t / 60) * mode
        theta = size * mode
        flow = k * ((1 + slope * theta) * -3 * p**2 * theta + slope * size**2 * p**2 * np.sum(gradient**2, axis=0))
        return np.asarray(CAPACITY * rise - flow + perfusion * theta)

    return temperature, source


def test_manufactured_source_is_the_published_one() -> None:
    """Values derived independently with a computer-algebra system."""
    temperature, source = pennes(0.002)
    points = np.array([[0.025, 0.025, 0.025], [0.0125, 0.020, 0.030]])
    np.testing.assert_allclose(temperature(points[:1], 60.0), 49.6424112, rtol=1e-8)
    np.testing.assert_allclose(temperature(points[1:], 30.0), 42.0331346, rtol=1e-8)
    np.testing.assert_allclose(source(points[:1], 60.0), 882910.748, rtol=1e-8)
    np.testing.assert_allclose(source(points[1:], 30.0), 658073.950, rtol=1e-8)


@pytest.mark.parametrize("slope", [0.0, 0.002], ids=["linear", "k(T)"])
def test_pennes_is_second_order_in_space_and_time(slope: float) -> None:
    """Perfused cube, prescribed source, steps in proportion to the cells; the errors are those of space and time."""
    temperature, source = pennes(slope)
    errors = []
    for n in (8, 16, 32):
        engine = cube(n)
        problem = bioheat(engine, slope=slope, perfusion=26752.0, held=faces(engine))
        march = loop(problem, lambda t, on=engine: source(on.points, t) * on.volume, 60.0, step=40.0 / n)  # type: ignore[misc]
        found = run(march).state.temperature
        errors.append(l2(engine, found - temperature(engine.points, 60.0)))
    assert np.all(orders(errors) > 1.9), (errors, orders(errors))
    assert errors[-1] < 0.01  # of 12.6 K


def test_pennes_is_second_order_in_space_on_uneven_axes() -> None:
    temperature, source = pennes(0.002)
    errors = []
    for n in (8, 16, 32):
        s = np.linspace(0.0, 1.0, n + 1)
        axes = (0.05 * (s + 0.08 * np.sin(2 * np.pi * s)), 0.05 * s**1.2, 0.05 * s)
        engine = grid(axes)
        problem = bioheat(engine, slope=0.002, perfusion=26752.0, held=faces(engine))
        march = loop(problem, lambda t, on=engine: source(on.points, t) * on.volume, 20.0, step=1.0)  # type: ignore[misc]
        errors.append(l2(engine, run(march).state.temperature - temperature(engine.points, 20.0)))
    assert np.all(orders(errors) > 1.9), (errors, orders(errors))


def test_steps_follow_the_tolerance() -> None:
    """A source that is switched off: tighter tolerances give smaller errors and more steps, the default is good."""
    engine = cube(16, 0.03)
    hot = 4e5 * np.exp(-0.5 * np.sum((engine.points - 0.015) ** 2, axis=1) / 0.004**2) * engine.volume * 5
    problem = bioheat(engine, perfusion=4e4, held=faces(engine))
    idle = np.zeros_like(hot)

    def found(tolerance: float) -> tuple[Array, int]:
        control = Control(tolerance, 60.0)
        march = loop(problem, lambda t: hot if t < 60 else idle, 120.0, events=(60.0,), control=control)
        last = run(march)
        return last.state.temperature, last.steps

    reference, _ = found(1e-5)
    assert reference.max() > 39.0
    rough, good, fine = (found(tolerance) for tolerance in (0.2, 0.02, 0.002))
    errors = [float(np.abs(values - reference).max()) for values, _ in (rough, good, fine)]
    assert errors[1] < 0.05
    assert errors[0] > 1.5 * errors[1] > 3.0 * errors[2]
    assert rough[1] < good[1] < fine[1] < 400


# ------------------------------------------------------------------------------------------------ ledger


def everything(engine: VoxelEngine, turned: bool = False, saves: tuple[float, ...] = ()) -> Loop:
    """A bar frozen in one place and boiling in another, with films, fluxes, held nodes, probes, blood and metabolism.

    ``turned``: by 90 degrees around z, so that the bar's x is the engine's y, and its y the engine's -x.
    """
    x, y, z = engine.points.T
    if turned:
        x, y = y, -x
    wall, side, warm = ("y-", "x+", "z+") if turned else ("x-", "y-", "z+")
    n = engine.volume.size
    latent = np.full(n, 2.5e8)
    problem = bioheat(
        engine,
        k=engine.to_cells(0.4 + 10.0 * x),
        slope=0.002,
        capacity=CAPACITY * (1 + 5.0 * x),
        perfusion=np.where(x < 0.015, 4e4, 2e4),
        held=faces(engine, wall),
        at=30.0,
        film=50.0 * engine.areas[side],
        load=50.0 * 20.0 * engine.areas[side] + 3e3 * engine.areas[warm],
        freezing=PhaseChange(-8.0, -1.0, latent),
        boiling=PhaseChange(99.0, 100.0, 5.0 * latent),
        metabolic=700.0,
    )
    factor = engine.contact(Ball((-0.006, 0.006, 0.006) if turned else (0.006, 0.006, 0.006), 1e-3))
    hot = np.exp(-0.5 * ((x - 0.020) ** 2 + (y - 0.006) ** 2 + (z - 0.006) ** 2) / 0.003**2)
    power = 5e7 * hot * engine.volume
    clamp = (x > 0.027) & (z < 0.003)

    def act(state: State, step: float) -> Drive:
        on = state.time + 0.5 * step < 50.0
        return Drive(
            power if on else 0.2 * power,
            (Contact(factor, -150.0, 2e3 * factor), Contact(0.1 * factor, 10.0)),
            lambda time: Held(clamp, np.full(n, 37.0 + 0.1 * time)),
        )

    laws = {"arrhenius": Arrhenius(), "cem43": Cem43()}
    return loop(problem, None, 90.0, events=(50.0,), saves=saves, act=act, laws=laws, perfusion_stops="arrhenius")


def uneven() -> VoxelEngine:
    s = np.linspace(0.0, 1.0, 7)
    axes = (np.linspace(0.0, 0.03, 16), 0.012 * (s + 0.1 * s * (1 - s)), 0.012 * s)
    engine = grid(axes)
    centre = np.stack(np.meshgrid(*engine.domain.centres(), indexing="ij"), -1).reshape(-1, 3)
    return grid(axes, ~((centre[:, 0] > 0.02) & (centre[:, 1] > 0.008) & (centre[:, 2] > 0.008)))


def test_ledger_closes_with_every_line_active() -> None:
    march = everything(uneven())
    history = states(march)
    last = history[-1]
    assert last.coldest.min() < -20.0
    assert last.hottest[march.bioheat.engine.volume > 0].max() > 101.0
    assert last.state.damage["arrhenius"].max() > 1.0  # perfusion collapses
    lines = dict(zip(BUDGET, last.energy, strict=True))
    assert min(abs(value) for value in lines.values()) > 1e-3 * last.throughput, lines
    assert lines["source"] > 0 > lines["probes"]
    for progress in history:
        assert progress.energy_error <= 1e-12
    # what is stored is in the enthalpy of the nodes that were free
    problem = march.bioheat
    drive = march.source.drive(last.state, 1.0)
    assert drive.held is not None
    free = ~problem.surroundings.held.mask & ~drive.held(0.0).mask & (problem.engine.volume > 0)
    begin = problem.heat.content(np.full(free.size, 37.0))
    gained = float((problem.capacity() * (last.v - begin))[free].sum())
    assert last.stored == pytest.approx(gained, abs=1e-12 * last.throughput)
    # the temperature belongs to the enthalpy
    np.testing.assert_allclose(last.state.temperature[free], problem.heat.temperature(last.v)[free], atol=1e-12)


@pytest.mark.parametrize("engine", [cube(4, 0.016), MeshEngine(tetrahedra())], ids=["voxels", "tetrahedra"])
@pytest.mark.parametrize("coldest", [20.0, -30.0], ids=["liquid", "ice"])
def test_a_body_that_nothing_enters_has_a_ledger_too(engine: VoxelEngine | MeshEngine, coldest: float) -> None:
    """Its lines are empty but for round-off, so that is measured by the heat that nodes exchange."""
    problem = bioheat(engine, freezing=PhaseChange(-8.0, -1.0, np.full(engine.volume.size, 2.5e8)))
    start = np.where((engine.points[:, 0] > np.median(engine.points[:, 0])) & (engine.volume > 0), coldest, 60.0)
    last = run(loop(problem), start)
    moved = problem.capacity() * (last.v - problem.heat.content(start))
    assert np.abs(last.energy).max() < 1e-13 * np.abs(moved).sum()
    assert abs(moved.sum()) < 1e-13 * np.abs(moved).sum()
    assert last.energy_error < 1e-13


def test_lines_of_the_ledger_are_what_they_are_called() -> None:
    """In a uniform bath every line is known: source, perfusion and film each act alone."""
    engine = cube(3, 0.03)
    volume, area = float(engine.volume.sum()), 6 * 0.03**2

    def lines(problem: Bioheat, power: float = 0.0, temperature: float = 47.0) -> dict[str, float]:
        march = loop(problem, lambda t: power * engine.volume, 1e-3, step=1e-3)  # too short for temperatures to change
        return dict(zip(BUDGET, run(march, temperature).energy / 1e-3, strict=True))

    nothing = dict.fromkeys(BUDGET, 0.0)

    def check(found: Mapping[str, float], **expected: float) -> None:
        assert found == pytest.approx({**nothing, **expected}, rel=1e-5, abs=1e-9)

    check(lines(bioheat(engine), 1e4), source=1e4 * volume)
    check(lines(bioheat(engine, metabolic=500.0)), source=500 * volume)
    check(lines(bioheat(engine, perfusion=2e4)), perfusion=-2e4 * 10 * volume)
    skin = sum(engine.areas[face] for face in FACES)
    check(lines(bioheat(engine, film=15 * skin, load=15 * 20.0 * skin)), boundary=15 * (20 - 47) * area)
    check(lines(bioheat(engine, load=80.0 * skin)), boundary=80 * area)
    # all nodes held: what the source puts in goes straight to whatever holds them
    everywhere = np.ones(engine.volume.size, dtype=bool)
    check(lines(bioheat(engine, held=everywhere), 1e4), source=1e4 * volume, held=-1e4 * volume)


# ------------------------------------------------------------------------------------------------ events


def test_steps_land_on_events_exactly() -> None:
    engine = cube(4)
    events = (0.1, 3.7, 10.1, 41.0 / 3.0, 59.999)
    seen: list[tuple[float, float]] = []

    def act(state: State, step: float) -> Drive:
        seen.append((state.time, state.time + step))
        return Drive(np.full(engine.volume.size, 1e-3) * (state.time + 0.5 * step < 10.1))

    march = loop(bioheat(engine), None, 60.0, events=events, act=act)
    times = [progress.state.time for progress in states(march)]
    assert set(events) <= set(times)  # to the last bit
    assert times[-1] == 60.0
    assert np.all(np.diff(times) > 0)
    for mark in events:  # no step has a switch inside
        assert not any(start < mark - 1e-9 and mark + 1e-9 < end for start, end in seen)


def test_steps_restart_after_an_event_with_the_chosen_first_step() -> None:
    engine = cube(4)
    control = Control(0.02, 10.0, 0.25)
    march = loop(bioheat(engine), lambda t: 1e5 * engine.volume * (t > 20), 40.0, events=(20.0,), control=control)
    history = states(march)
    times = [0.0, *(progress.state.time for progress in history)]
    assert times[1] == 0.25
    assert times[times.index(20.0) + 1] == pytest.approx(20.25, abs=1e-12)
    assert max(np.diff(times)) > 2.0  # and grow again in between


# ------------------------------------------------------------------------------------------------ invariance


def test_body_temperature_stays() -> None:
    """Perfused, uneven, partly void, films at 37 degC: nothing happens, to round-off."""
    engine = uneven()
    problem = bioheat(
        engine,
        slope=0.002,
        perfusion=4e4,
        held=faces(engine, "x-"),
        film=50.0 * engine.areas["y-"],
        load=50.0 * 37.0 * engine.areas["y-"],
        freezing=PhaseChange(-8.0, -1.0, np.full(engine.volume.size, 2.5e8)),
        boiling=PhaseChange(99.0, 100.0, np.full(engine.volume.size, 1e9)),
    )
    last = run(loop(problem, None, 600.0, laws={"arrhenius": Arrhenius()}, perfusion_stops="arrhenius"))
    np.testing.assert_allclose(last.state.temperature, 37.0, atol=1e-11)
    assert last.state.damage["arrhenius"].max() == 0.0


def test_turning_the_problem_by_90_degrees_turns_the_answer() -> None:
    """All of :func:`everything`, adaptive steps included."""
    engine = uneven()
    x, y, z = engine.domain.axes
    solid = np.rot90(engine.domain.solid.reshape(engine.domain.cell_shape), 1, axes=(0, 1))
    turned = grid((-y[::-1], x.copy(), z.copy()), solid.ravel())
    straight = run(everything(engine)).state
    found = run(everything(turned, turned=True)).state
    for one, other in ((straight.temperature, found.temperature), (straight.damage["cem43"], found.damage["cem43"])):
        expected = np.rot90(one.reshape(engine.domain.shape), 1, axes=(0, 1)).ravel()
        np.testing.assert_allclose(other, expected, rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------------------------------------------ change of phase


def _course(levels: Sequence[tuple[float, float]], time: float) -> float:
    """Temperature of uniform tissue under a uniform source: linear between (time, temperature)."""
    times, temperatures = zip(*levels, strict=True)
    return float(np.interp(time, times, temperatures))


@pytest.mark.parametrize("step", [0.5, 5.0, 17.0, 60.0])
@pytest.mark.parametrize("end", [99.0, 100.0], ids=["sharp", "mushy"])
def test_boiling_plateau_at_any_step(step: float, end: float) -> None:
    """37 to 99 degC in 23.6592 s at 1e7 W/m3, then 169.275 s for the water (published values), then on."""
    engine = cube(2, 0.004)
    capacity, source, latent = 3.816e6, 1e7, 1.69275e9
    boiling = PhaseChange(99.0, end, np.full(engine.volume.size, latent))
    problem = bioheat(engine, capacity=capacity, boiling=boiling, perfusion=0.0)
    onset = 62.0 * capacity / source
    assert onset == pytest.approx(23.6592, abs=1e-4)
    plateau = latent / source
    assert plateau == pytest.approx(169.275, abs=1e-9)
    dry = onset + plateau + (end - 99.0) * capacity / source
    course = [(0.0, 37.0), (onset, 99.0), (dry, end), (dry + 100.0, end + 100.0 * source / capacity)]
    history = states(loop(problem, lambda t: source * engine.volume, 240.0, step=step))
    for progress in history:
        np.testing.assert_allclose(progress.state.temperature, _course(course, progress.state.time), atol=1e-9)
        assert progress.energy_error <= 1e-12
    assert history[-1].state.temperature[0] > end + 50.0


@pytest.mark.parametrize("step", [0.5, 5.0, 17.0, 60.0])
@pytest.mark.parametrize(
    ("solidus", "latent"), [(-1.0, 2.5e8), (-8.0, 2.5e8), (-1.0, 0.0)], ids=["sharp", "mushy", "no latent heat"]
)
def test_freezing_plateau_at_any_step_and_back(step: float, solidus: float, latent: float) -> None:
    """Cooled at 2e6 W/m3 for 400 s (without latent heat 200 s), then warmed until it has thawed: the same plateau both
    ways."""
    engine = cube(2, 0.004)
    sink, ice, half = 2e6, 1.9e6, 400.0 if latent else 200.0
    freezing = PhaseChange(solidus, -1.0, np.full(engine.volume.size, latent))
    problem = bioheat(engine, freezing=freezing)
    onset = 38.0 * CAPACITY / sink
    plateau = (latent + 0.5 * (CAPACITY + ice) * (-1.0 - solidus)) / sink
    cold = solidus - (half - onset - plateau) * sink / ice
    course = [(0.0, 37.0), (onset, -1.0), (onset + plateau, solidus), (half, cold)]
    course += [(2.0 * half - time, temperature) for time, temperature in course[-2::-1]]
    power = sink * engine.volume
    march = loop(problem, lambda t: power if t > half else -power, 2.0 * half, step=step, events=(half,))
    history = states(march)
    assert cold < -30.0
    for progress in history:
        np.testing.assert_allclose(progress.state.temperature, _course(course, progress.state.time), atol=1e-9)
        assert progress.energy_error <= 1e-12


def test_only_a_sink_draws_tissue_below_absolute_zero() -> None:
    """A front that cannot be followed is not marched on in silence; a prescribed sink is what it is, as around a line
    that takes 1 kW/m the temperature falls without end, and the run warns of it."""
    engine = cube(2, 0.004)
    problem = bioheat(engine, freezing=PhaseChange(-8.0, -1.0, np.full(engine.volume.size, 2.5e8)))
    march = loop(problem, lambda t: -2e6 * engine.volume, 1000.0)
    last = run(march)
    plateau = (2.5e8 + 0.5 * (CAPACITY + 1.9e6) * 7.0) / 2e6
    cold = -8.0 - (1000.0 - 38.0 * CAPACITY / 2e6 - plateau) * 2e6 / 1.9e6
    assert cold < -400.0
    np.testing.assert_allclose(last.state.temperature, cold, rtol=1e-9)
    with pytest.raises(FloatingPointError, match="below absolute zero"):
        march._look_for_runaway(1.0, last.state.temperature, 0.0 * engine.volume)


@pytest.mark.parametrize("solidus", [-1.0, -8.0], ids=["sharp", "mushy"])
def test_freezing_front_moves_like_neumanns(solidus: float) -> None:
    """A wall at -150 degC for 600 s. Fronts in mm: 26.911 (sharp); 25.477 and 26.779 (-8 and -1 degC of the range)."""
    axis = np.linspace(0.0, 0.1, 101)
    one = np.array([0.0, 0.001])
    engine = grid((axis, one, one.copy()))
    n = engine.volume.size
    heat = Enthalpy.build(np.full(n, 3.6e6), PhaseChange(solidus, -1.0, np.full(n, 2.5e8)), np.full(n, 1.8e6))
    cells, nodes = (Conductivity(np.full(m, 0.5), np.zeros(m), np.full(m, 2.0), solidus, -1.0) for m in (100, n))
    nothing = np.zeros(n)
    wall = Surroundings(nothing, nothing, Held(faces(engine, "x-"), np.full(n, -150.0)))
    problem = Bioheat(engine, heat, lambda: 3.6e6 * engine.volume, cells, lambda: nodes, nothing, 37.0, nothing, wall)
    last = run(loop(problem, None, 600.0))
    profile = last.state.temperature[::4]
    expected = {-1.0: {-1.0: 26.911}, -8.0: {-8.0: 25.477, -1.0: 26.779}}[solidus]
    for level, front in expected.items():
        index = int(np.flatnonzero(profile <= level + 1e-9)[-1])
        share = (level - profile[index]) / (profile[index + 1] - profile[index])
        assert index + share == pytest.approx(front, abs=0.12)  # mm; prototypes: 0.09 and 0.10 at this spacing
    assert last.coldest.min() >= -150.0 - 1e-6
    assert np.all(np.diff(profile) > -1e-9)  # no wiggles
    assert last.energy_error <= 1e-12


def line(count: int, spacing: float) -> VoxelEngine:
    """A row of voxels along x."""
    one = np.array([0.0, spacing])
    return grid((np.arange(count + 1) * spacing, one, one.copy()))


def off_by(march: Callable[[Control], Loop], fine: float) -> tuple[float, Progress]:
    """Largest error of a node at the end of any step beside the same march in steps of ``fine`` s, and its last state.

    The default control.
    """
    history = states(march(Control()))
    exact = march(Control(1e9, fine, fine))
    there = states(replace(exact, ticks=tuple(progress.state.time for progress in history)))
    times = np.array([progress.state.time for progress in there])
    temperatures = [there[int(np.argmin(np.abs(times - p.state.time)))].state.temperature for p in history]
    errors = [np.abs(p.state.temperature - t).max() for p, t in zip(history, temperatures, strict=True)]
    return float(max(errors)), history[-1]


def test_nodes_that_boil_dry_are_followed() -> None:
    """A hot needle, switched off: nodes come out of boiling one after another. Without an estimate of the error beside
    vapour they were up to 37 K off."""
    engine = line(20, 3e-4)
    n = engine.volume.size
    problem = bioheat(engine, perfusion=4e4, boiling=PhaseChange(100.0, 101.0, np.full(n, 1.69e9)))
    power = 1.2e8 * np.exp(-0.5 * (engine.points[:, 0] / 0.001) ** 2) * engine.volume
    off, last = off_by(lambda c: loop(problem, lambda t: power * (t < 28), 30.0, events=(28.0,), control=c), 0.05)
    assert last.hottest.max() > 150.0
    assert off < 6.0
    assert last.energy_error < 1e-12


def test_a_held_region_that_is_cooled_fast_is_followed() -> None:
    """From 37 to -150 degC in 10 s: steps are short enough for the ramp, without being told of it; 44 K off before."""
    engine = line(30, 5e-4)
    n = engine.volume.size
    problem = bioheat(engine, freezing=PhaseChange(-8.0, -1.0, np.full(n, 2.5e8)))
    mask = faces(engine, "x-")

    def act(state: State, step: float) -> Drive:
        held = np.array([37.0, -150.0])
        return Drive(np.zeros(n), held=lambda time: Held(mask, np.full(n, np.interp(time, [0.0, 10.0], held))))

    off, last = off_by(lambda c: loop(problem, act=act, duration=12.0, events=(10.0,), control=c), 0.05)
    assert off < 8.0
    assert last.coldest.min() == -150.0
    assert last.energy_error < 1e-12


@pytest.mark.parametrize("latent", [0.0, 2.5e8])
def test_ice_that_conducts_a_thousand_times_better_does_not_run_away(latent: float) -> None:
    """The conductivity of a cell follows its temperature within the step, faster than any heat flows: with stages for
    the flow alone nodes got to 600 and -300 degC in the first half second."""
    engine = VoxelEngine(hexahedra())
    freezing = PhaseChange(-2.0, -1.0, np.full(engine.volume.size, latent))
    problem = bioheat(engine, freezing=freezing, frozen=1000.0, held=faces(engine, "x-"))
    contact = Contact(engine.contact(Ball((-3e-3, -2e-3, -1e-3), 3e-3)), -190.0)
    last = run(loop(problem, act=lambda state, step: Drive(0.0 * engine.volume, (contact,)), duration=0.6))
    assert -190.0 < last.coldest.min() < -150.0
    assert last.hottest.max() < 37.01
    assert last.energy_error < 1e-12


def test_perfusion_stops_where_tissue_freezes_and_does_not_come_back() -> None:
    """Thawed tissue that was frozen gets no blood; without the damage law's say it does."""
    engine = cube(2, 0.004)
    freezing = PhaseChange(-8.0, -1.0, np.full(engine.volume.size, 2.5e8))
    problem = bioheat(engine, perfusion=4e4, freezing=freezing)
    idle = np.zeros(engine.volume.size)
    laws = {"arrhenius": Arrhenius()}
    stopped = loop(problem, None, 100.0, laws=laws, perfusion_stops="arrhenius")
    alive = loop(problem, None, 100.0, laws=laws)
    for march, expected in ((stopped, 10.0), (alive, 37.0 - 27.0 * np.exp(-4e4 / CAPACITY * 100.0))):
        begin = march.start(idle + 10.0)
        thawed = replace(begin, lowest=idle - 20.0)
        last = list(march.march(thawed))[-1]
        np.testing.assert_allclose(last.state.temperature, expected, atol=0.02)
    frozen = run(alive, -20.0)  # ice has no flow at all
    np.testing.assert_allclose(frozen.state.temperature, -20.0, atol=1e-12)


# ------------------------------------------------------------------------------------------------ damage, resuming


@dataclass
class Tally:
    """A law that keeps what it is told."""

    told: list[tuple[Array, Array, float]] = field(default_factory=list)

    def initial(self, n: int) -> Array:
        return np.zeros(n)

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        self.told.append((start.copy(), end.copy(), step))
        return value + step


def test_damage_is_accumulated_in_every_step() -> None:
    engine = cube(6, 0.02)
    flash = 2e7 * np.exp(-0.5 * np.sum((engine.points - 0.01) ** 2, axis=1) / 0.003**2) * engine.volume
    tally, dose = Tally(), Cem43()
    march = loop(
        bioheat(engine, perfusion=4e4, held=faces(engine)),
        lambda t: flash * (20.0 < t < 24.0),
        60.0,
        events=(20.0, 24.0),
        laws={"tally": tally, "cem43": dose},
    )
    history = states(march)
    last = history[-1]
    assert len(tally.told) == last.steps == len(history)
    np.testing.assert_allclose(last.state.damage["tally"], 60.0, rtol=1e-13)
    for (_, end, _), (start, _, _) in pairwise(tally.told):
        np.testing.assert_array_equal(start, end)
    again = np.zeros(engine.volume.size)
    for start, end, step in tally.told:
        again = dose.accumulate(again, start, end, step)
    np.testing.assert_array_equal(last.state.damage["cem43"], again)
    assert again.max() > 10.0  # minutes, all of them between the only two states that are kept
    kept = dose.accumulate(
        np.zeros(engine.volume.size), np.full(engine.volume.size, 37.0), last.state.temperature, 60.0
    )
    assert kept.max() < 0.1 * again.max()


def test_extremes_are_of_all_steps() -> None:
    march = everything(uneven())
    history = states(march)
    temperatures = np.array(
        [progress.state.temperature for progress in history] + [np.full(history[0].coldest.size, 37.0)]
    )
    np.testing.assert_array_equal(history[-1].hottest, temperatures.max(axis=0))
    np.testing.assert_array_equal(history[-1].coldest, temperatures.min(axis=0))


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_run_goes_on_bit_for_bit(part: float) -> None:
    """From the numbers alone: a new loop, and no object but arrays and floats of the old state."""
    history = states(everything(uneven()))
    left = history[int(part * len(history))]
    stored = replace(
        left,
        state=State(
            left.state.time, left.state.temperature.copy(), {k: v.copy() for k, v in left.state.damage.items()}
        ),
        content=None if left.content is None else left.content.copy(),
        drive=None,
    )
    resumed = [progress.copy() for progress in everything(uneven()).march(stored)]
    assert len(resumed) == len(history) - int(part * len(history)) - 1
    for one, other in zip(history[-len(resumed) :], resumed, strict=True):
        assert one.state.time == other.state.time
        np.testing.assert_array_equal(one.state.temperature, other.state.temperature)
    one, other = history[-1], resumed[-1]
    for name in (
        "v",
        "coldest",
        "hottest",
        "energy",
        "throughput",
        "stored",
        "step",
        "steps",
        "stages",
        "earlier",
        "last_step",
    ):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name, value in one.state.damage.items():
        np.testing.assert_array_equal(value, other.state.damage[name])


@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_run_whose_steps_begin_with_the_end_of_the_last_goes_on_bit_for_bit(precision: Precision) -> None:
    """Without damage and k(T) a step takes over the flow at the end of the one before; a resumed run computes it."""
    engine = cube(12)
    problem = bioheat(engine, perfusion=2e4, held=faces(engine))
    power = np.where(np.linalg.norm(engine.points - 0.025, axis=1) < 0.01, 1e6, 0.0) * engine.volume

    def march() -> Loop:
        return loop(problem, lambda time: power, 120.0, control=Control(0.02, 10.0, precision=precision))

    history = states(march())
    left = history[len(history) // 2].copy()
    resumed = [progress.copy() for progress in march().march(left)]
    np.testing.assert_array_equal(resumed[-1].state.temperature, history[-1].state.temperature)
    np.testing.assert_array_equal(resumed[-1].energy, history[-1].energy)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["voxels", "tetrahedra"])
def test_temperatures_that_are_no_number_are_refused(kind: str, value: float) -> None:
    engine = cube(4) if kind == "voxels" else MeshEngine(tetrahedra())
    start = np.full(engine.volume.size, 37.0)
    start[7] = value
    with pytest.raises(ValueError, match=r"the temperature at the start is not finite at 1 of \d+ nodes, .* node 7"):
        run(loop(bioheat(engine)), start)
    side = engine.areas["x-" if kind == "voxels" else "west"] > 0.0
    first = int(np.flatnonzero(side)[0])
    with pytest.raises(ValueError, match=f"the prescribed temperature is not finite .* the first is node {first} "):
        run(loop(bioheat(engine, held=side, at=value)))
    march = loop(bioheat(engine))
    begun = march.start(np.full(engine.volume.size, 37.0))
    begun.state.temperature[7] = value  # as no door lets in
    with pytest.raises(FloatingPointError), np.errstate(invalid="ignore"):
        list(march.march(begun))


def test_a_problem_that_blows_up_says_when() -> None:
    engine = cube(2)
    march = loop(bioheat(engine), lambda t: np.full(engine.volume.size, np.nan if t > 5 else 0.0), 20.0, step=2.5)
    with pytest.raises(FloatingPointError, match=r"at 7\.5 s with a step of 2\.5 s"):
        run(march)


@pytest.mark.parametrize("duration", [0.0, -1.0, np.nan, np.inf])
def test_a_march_that_never_ends_or_never_begins_is_refused(duration: float) -> None:
    with pytest.raises(ValueError, match=r"duration = .*: nothing would be marched"):
        loop(bioheat(cube(2)), lambda t: np.zeros(27), duration)


def test_nodes_that_are_released_begin_from_what_was_prescribed_last() -> None:
    """A ramp that is let go at its top: not from what it was in the middle of its last step, 10 K below."""
    engine = cube(6)
    mask = np.prod(np.abs(engine.points - 0.025) < 0.01, axis=1) > 0
    idle = np.zeros(mask.size)

    def act(state: State, step: float) -> Drive:
        if state.time >= 20.0:
            return Drive(idle)
        return Drive(idle, held=lambda time: Held(mask, np.full(mask.size, 37.0 + time)))

    march = loop(bioheat(engine), act=act, duration=20.5, events=(20.0,), control=Control(1e3, 20.0, 20.0))
    for progress in march.march(march.start(np.full(mask.size, 37.0))):
        np.testing.assert_allclose(progress.v, progress.state.temperature - 37.0, atol=1e-12)
    assert progress.state.temperature[mask].min() > 56.0
