"""What is no step of the heat march is refused in words on every engine, as are names and fields that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_problems import hexahedra, tetrahedra, triangles
from sample_run import write_sample

from thermal.domain import Ball, Line
from thermal.engine import NotConvergedError
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.mesh import MeshEngine
from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, Enthalpy, PhaseChange
from thermal.flight import Packets, Turbid
from thermal.heat import Action, HeatProblem, HeatState, HeatStepper, Touch
from thermal.store import read_run
from thermal.store.history import History
from thermal.units import Array

ENGINES: dict[str, Any] = {
    "voxels": VoxelEngine(hexahedra()),
    "tetrahedra": MeshEngine(tetrahedra()),
    "triangles": AxisymmetricEngine(triangles()),
}
KINDS = [*ENGINES, "operator"]


def engine_of(kind: str) -> Any:
    return ENGINES["tetrahedra" if kind == "operator" else kind]


def problem_of(engine: Any) -> HeatProblem:
    nothing, cells = np.zeros(len(engine.volume)), np.full(len(engine.cell_volume), 0.5)
    return HeatProblem(
        Enthalpy(), 3.6e6 * engine.volume, Conductivity(cells, 0.0 * cells), 37.0, nothing, nothing, 2e3 * engine.volume
    )


def stepper_of(kind: str, problem: HeatProblem) -> HeatStepper:
    engine = engine_of(kind)
    found: HeatStepper = OperatorStepper(engine, problem) if kind == "operator" else engine.stepper(problem, "double")
    return found


def begun(kind: str, problem: HeatProblem, state: dict[str, Any], action: dict[str, Any]) -> HeatStepper:
    engine, warm = engine_of(kind), np.full(len(problem.capacity), 37.0)
    body = HeatState(**{"temperature": warm.copy(), "coldest": warm.copy(), "hottest": warm.copy()} | state)
    plain = Action(1e5 * engine.volume, problem.perfusion, engine.volume > 0.0)
    stepper = stepper_of(kind, problem)
    stepper.begin(body, lambda: body.temperature, replace(plain, **action))
    return stepper


def spoilt(values: Array, value: float) -> tuple[Array, int]:
    """Values of which one is spoilt, and its place."""
    found, place = np.array(values), int(np.flatnonzero(values)[7])
    found[place] = value
    return found, place


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("what", ["power", "blood", "temperature"])
def test_what_is_no_number_names_its_node(kind: str, value: float, what: str) -> None:
    problem = problem_of(engine_of(kind))
    values, node = spoilt({"temperature": problem.capacity * 0.0 + 37.0}.get(what, problem.perfusion), value)
    state, action = ({what: values}, {}) if what == "temperature" else ({}, {what: values})
    words = {"blood": "perfusion"}.get(what, what)
    with pytest.raises(FloatingPointError, match=f"the {words} is not finite at 1 of .* node {node} with {value:g}"):
        begun(kind, problem, state, action)


Change = Callable[[HeatProblem], dict[str, Any]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: {"capacity": spoilt(p.capacity, np.nan)[0]}, "the heat capacity .* is out of range at 1 of"),
        (lambda p: {"capacity": spoilt(p.capacity, -1.0)[0]}, "the heat capacity .* with -1"),
        (lambda p: {"capacity": p.capacity[:-1]}, "the heat capacity has the shape"),
        (lambda p: {"film": spoilt(p.perfusion, -1.0)[0]}, "the film .* finite and not negative"),
        (lambda p: {"film": p.film[:3]}, "the film has the shape"),
        (lambda p: {"border": spoilt(p.perfusion, np.inf)[0]}, "the flux through the border .* with inf"),
        (lambda p: {"perfusion": spoilt(p.perfusion, -1.0)[0]}, "the perfusion .* with -1"),
        (lambda p: {"perfusion": p.perfusion[:4]}, "the perfusion has the shape"),
        (lambda p: {"arterial_temperature": np.nan}, "the temperature of the blood is nan"),
        (lambda p: {"cells": Conductivity(p.cells.at_37[1:], p.cells.slope)}, "the conductivity has the shape"),
        (
            lambda p: {"cells": Conductivity(p.cells.at_37, p.cells.slope[1:])},
            "the slope of .* has the shape",
        ),
        (lambda p: {"cells": Conductivity(p.cells.at_37, p.cells.slope + np.nan)}, "the slope of the conductivity"),
        (lambda p: {"cells": Conductivity(-p.cells.at_37, p.cells.slope)}, "negative"),
        (lambda p: {"cells": Conductivity(p.cells.at_37 + np.nan, p.cells.slope)}, "nan|NaN"),
    ],
)
def test_problems_that_no_tissue_has(kind: str, change: Change, words: str) -> None:
    problem = problem_of(engine_of(kind))
    with pytest.raises(ValueError, match=words):
        stepper_of(kind, replace(problem, **change(problem)))


@pytest.mark.parametrize("latent", [-1.0, np.nan, np.inf])
def test_latent_heats_that_no_tissue_has(latent: float) -> None:
    capacity, heat = np.full(4, 3.6e6), np.array([2.5e8, latent, 2.5e8, 2.5e8])
    with pytest.raises(ValueError, match=f"1 of 4 nodes have a latent heat of freezing .* node 1 with {latent:g}"):
        Enthalpy.build(capacity, PhaseChange(-8.0, -1.0, heat), 0.5 * capacity)
    with pytest.raises(ValueError, match=r"latent heat of boiling has the shape \(3,\)"):
        Enthalpy.build(capacity, boiling=PhaseChange(99.0, 101.0, heat[1:]))


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_another_mesh(kind: str) -> None:
    problem = problem_of(engine_of(kind))
    nodes = len(problem.capacity)
    for what, values in (("power", np.ones(1)), ("blood", np.ones(5)), ("free", np.ones(nodes + 1, bool))):
        with pytest.raises(ValueError, match="does not fit"):
            begun(kind, problem, {}, {what: values})
    with pytest.raises(ValueError, match="the temperature has the shape"):
        begun(kind, problem, {"temperature": np.full(nodes - 3, 37.0)}, {})
    with pytest.raises(ValueError, match="the temperature is an array of int64; give one of floats"):
        begun(kind, problem, {"temperature": np.full(nodes, 37)}, {})
    with pytest.raises(ValueError, match="free nodes is an array of int64; give one of truth values"):
        begun(kind, problem, {}, {"free": np.arange(nodes)})


ONE = np.ones(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": np.array([10**6])}, "touches nodes 1000000 to 1000000, but there are nodes 0 to"),
        ({"nodes": np.array([-1])}, "touches nodes -1"),
        ({"factor": ONE * np.nan}, "not finite"),
        ({"film": 0.0 * ONE}, "a film that is not above zero"),
        ({"temperature": np.nan}, "a probe of nan degC"),
        ({"film": np.ones(2)}, "give one a node"),
    ],
)
def test_probes_that_are_none(kind: str, change: dict[str, Any], words: str) -> None:
    touch = Touch(np.array([5]), ONE, ONE, 60.0, Conductivity(ONE, 0.0 * ONE))
    with pytest.raises(ValueError, match=words):
        begun(kind, problem_of(engine_of(kind)), {}, {"touches": (replace(touch, **change),)})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("step", "stages", "words"),
    [
        (0.0, 5, "a step of 0 s is none"),
        (-1.0, 5, "finite number above zero"),
        (np.nan, 5, "a step of nan s"),
        (np.inf, 5, "a step of inf s"),
        (1e-3, 1, "1 are no stages"),
        (1e-3, -3, "a whole number from 2 up"),
        (1e-3, 2.5, "2.5 are no stages"),
        (1e4, 3, "3 stages do not keep a step of 10000 s stable"),
    ],
)
def test_steps_that_are_none(kind: str, step: float, stages: Any, words: str) -> None:
    stepper = begun(kind, problem_of(engine_of(kind)), {}, {})
    with pytest.raises(ValueError, match=words):
        stepper.advance(step, stages)


Ask = Callable[[Any, Array, Array], object]
CARRIAGE: Any = None  # never looked at


def conducting(engine: Any) -> Any:
    return engine.conductance(np.ones(len(engine.cell_volume)))


def window(engine: Any) -> Any:
    return engine.window(np.zeros(3), np.full(3, 1e-3), 1e-3)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda e, u, at: e.sample(u[:-1], at), "a field of nodes has the shape"),
        (lambda e, u, at: e.sample(np.append(u, 1.0), at), "does not fit"),
        (lambda e, u, at: e.sample(u, at[:, :2]), r"points of the shape \(2, 2\) are none in space"),
        (lambda e, u, at: e.holds(at[:, :2]), "three coordinates each"),
        (lambda e, u, at: e.sample(u, at * np.nan), "outside"),
        (lambda e, u, at: e.deposit(np.ones(3), at), r"amounts of the shape \(3,\) do not fit 2 points"),
        (lambda e, u, at: e.deposit(np.ones(1), at), "one number a point"),
        (
            lambda e, u, at: e.deposit(np.array([1.0, np.nan]), at),
            "1 of 2 amounts .* number 1 with nan",
        ),
        (lambda e, u, at: e.to_cells(u[:5]), "a field of nodes"),
        (lambda e, u, at: e.to_nodes(np.ones(5)), r"a field of cells has the shape \(5,\)"),
        (lambda e, u, at: e.inside(u[:-1], 0.5), "a field of nodes"),
        (lambda e, u, at: e.inside(u, np.nan), "the level is NaN"),
        (lambda e, u, at: e.isosurface(np.append(u, 1.0), 0.5), "a field of nodes"),
        (lambda e, u, at: e.isosurface(u, np.nan), "the level is NaN"),
        (lambda e, u, at: conducting(e).dissipation(u[:-1]), "what an operator"),
        (lambda e, u, at: window(e).to_fine(u[:-1]), "a field of nodes"),
        (lambda e, u, at: window(e).restrict(u[:3]), "a field of nodes"),
        (lambda e, u, at: window(e).cells_to_fine(u[:3]), "a field of cells"),
        (lambda e, u, at: e.transport(conducting(e), u[:-1], CARRIAGE, None), "a field of nodes"),
        (lambda e, u, at: e.contact(Ball((np.nan, 0.0, 0.0), 1e-3)), "not finite|does not lie on the axis"),
        (lambda e, u, at: e.spread(Line((0.0, 0.0, 0.0), (0.0, 0.0, np.inf), 1e-3)), "an end that is not finite"),
        (lambda e, u, at: e.contact(Ball((0.0, 0.0, 0.0), np.nan)), "has no radius"),
    ],
)
def test_fields_and_places_that_do_not_fit(kind: str, ask: Ask, words: str) -> None:
    engine = ENGINES[kind]
    inner = np.flatnonzero(engine.volume > 0.0)[[0, 5]]
    with pytest.raises(ValueError, match=words):
        ask(engine, np.linspace(0.0, 1.0, len(engine.volume)), engine.points[inner])


@pytest.mark.parametrize("kind", ENGINES)
def test_loads_that_are_no_numbers_name_their_node(kind: str) -> None:
    engine = ENGINES[kind]
    operator = conducting(engine)
    load, node = spoilt(engine.volume, np.nan)
    held = engine.areas["surface"] > 0.0
    with pytest.raises(NotConvergedError, match=f"the right-hand side .* not finite at 1 of .* node {node} with nan"):
        engine.solve(operator, engine.volume, load)
    with pytest.raises(NotConvergedError, match=f"the guess .* node {node} with nan"):
        engine.solve(operator, engine.volume, engine.volume, guess=load)
    values = np.where(held, np.inf, 0.0)
    with pytest.raises(NotConvergedError, match=f"a prescribed value .* node {held.argmax()} with inf"):
        engine.solve(operator, engine.volume, engine.volume, fixed=held, values=values)


@pytest.mark.parametrize("kind", ENGINES)
def test_names_that_are_none_say_which_there_are(kind: str) -> None:
    engine = ENGINES[kind]
    with pytest.raises(KeyError, match=r"livr.* is no region; did you mean liver\? there are: .*liver"):
        engine.volumes["livr"]
    with pytest.raises(KeyError, match=r"is no boundary; there are: .*surface"):
        engine.areas["?"]
    assert "livr" not in engine.volumes
    assert engine.areas.get("?") is None


def test_columns_that_are_none_say_which_there_are() -> None:
    history = History({"time": np.zeros(1), "peak": np.zeros(1)}, {"time": "s", "peak": "degC"})
    with pytest.raises(KeyError, match=r"is no column of the history; did you mean peak\? there are: time, peak"):
        history["peek"]


def test_fields_that_are_none_say_which_there_are(tmp_path: Path) -> None:
    run = read_run(write_sample(tmp_path / "run"))
    with pytest.raises(KeyError, match=r"is no static field; there are: .*zone"):
        run.static["?"]
    with pytest.raises(KeyError, match=r"is no region; did you mean tumour\? there are: .*tumour"):
        run.domain.shares["tumor"]
    with pytest.raises(KeyError, match="is no entry of the summary; there are: "):
        run.value("?")


@pytest.mark.parametrize("kind", ["voxels", "tetrahedra"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"absorption": np.ones(3)}, r"the absorption \(1/m\) of 3 cells does not fit"),
        ({"scattering": np.nan}, "the scattering .* cell 0 with nan; expected 0 to inf"),
        ({"anisotropy": 1.5}, "the mean cosine .* with 1.5; expected -1 to 1"),
        ({"index": -1.0}, "the refractive index is out of range"),
    ],
)
def test_tissue_that_photons_never_leave(kind: str, change: dict[str, Any], words: str) -> None:
    engine = ENGINES[kind]
    ones = np.ones(len(engine.cell_volume))
    given = {name: ones * value if np.ndim(value) == 0 else value for name, value in change.items()}
    turbid = replace(Turbid(100.0 * ones, 1e4 * ones, 0.9 * ones, 1.4 * ones, {}), **given)
    with pytest.raises(ValueError, match=words):
        engine.trace(turbid, lambda number: PACKETS, 2, 1)


PACKETS = Packets(np.zeros((4, 3)), np.tile([0.0, 0.0, 1.0], (4, 1)), np.ones(4), np.zeros(4))


@pytest.mark.parametrize("kind", ["voxels", "tetrahedra"])
@pytest.mark.parametrize(
    "change",
    [{"direction": np.full((4, 3), np.nan)}, {"start": np.zeros((3, 3))}, {"weight": np.ones(4) * np.inf}],
)
def test_packets_that_fly_nowhere(kind: str, change: dict[str, Array]) -> None:
    engine = ENGINES[kind]
    ones = np.ones(len(engine.cell_volume))
    turbid = Turbid(100.0 * ones, 1e4 * ones, 0.9 * ones, 1.4 * ones, {})
    with pytest.raises(ValueError, match="of photon packets have the shape"):
        engine.trace(turbid, lambda number: replace(PACKETS, **change), 2, 1)
