"""Radiofrequency heating: resistance, the exact relation of potential and temperature, power balance, control."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scenes import MM, at, ball, cube, nothing_held, on_faces, scene, tissues

from thermal.domain import Line
from thermal.engines.linear import conjugate_gradients
from thermal.engines.voxel import VoxelEngine
from thermal.errors import CaseError
from thermal.physics.heating.electrodes import within_reach
from thermal.physics.heating.potential import TOLERANCE, ElectricalConductivity
from thermal.physics.heating.rfa import Rfa, RfaSource
from thermal.physics.scene import Held

BALL = {"centre": ["0 mm", "0 mm", "0 mm"], "radius": "1.5 mm"}
NEEDLE = {
    "entry": ["0 mm", "0 mm", "40 mm"],
    "tip": ["0 mm", "0 mm", "-10 mm"],
    "radius": "0.75 mm",
    "active_length": "20 mm",
}


def rfa(**changes: Any) -> Rfa:
    return Rfa.model_validate({"kind": "rfa", "electrode": BALL, **changes})


def outer_sphere(engine: VoxelEngine, radius: float) -> Held:
    mask = np.linalg.norm(engine.points, axis=1) >= radius
    return Held(mask, np.zeros(mask.shape))


@pytest.mark.parametrize("shift", [0.0, 0.35])
def test_concentric_spheres(shift: float) -> None:
    """RF-01 scaled to b = 24 mm: R = (1/a - 1/b) / 4 pi sigma; SAR = sigma (V R'/r^2)^2 away from the electrode."""
    engine = cube(25 * MM, 1 * MM, shift=shift)
    source = rfa(voltage="20 V").prepare(scene(engine, grounded=outer_sphere(engine, 24 * MM)))
    exact = (1 / 0.0015 - 1 / 0.024) / (4 * np.pi * 0.33)
    readings = source.drive(at(engine, 0.0), 1.0).readings
    assert readings["impedance"].value == pytest.approx(exact, rel=0.01)
    assert readings["current"].value == pytest.approx(20 / exact, rel=0.01)
    density, _ = source.fields["absorbed_power"]
    directions = np.random.default_rng(1).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for radius, tolerance in ((5 * MM, 0.08), (10 * MM, 0.02)):  # the edge form adds about 1.8 (h/r)^2
        sar = 0.33 * (20 / exact / (4 * np.pi * 0.33 * radius**2)) ** 2
        assert engine.sample(density, radius * directions).mean() == pytest.approx(sar, rel=tolerance)


@pytest.mark.parametrize("gap", [2.0, 3.0])
def test_saline_nearer_than_the_nodes_that_an_electrode_meets(gap: float) -> None:
    """A ball beside a plane that conducts a thousand times better: the sum over its images (bispherical coordinates).
    3 % at a third of a voxel between them; were its nodes met through saline, 98 % would be missing."""
    engine = cube(25 * MM, 1 * MM, {"pool": lambda x: x[:, 2] < -gap * MM})
    tissue = tissues(engine, {"pool": {"electrical_conductivity": "330 S/m"}})
    source = rfa(voltage="20 V").prepare(scene(engine, tissue, grounded=outer_sphere(engine, 24 * MM)))
    place = np.arccosh(gap / 1.5)
    images = np.sinh(place) * np.sum(1.0 / np.sinh(place * np.arange(1, 100)))
    assert source.impedance == pytest.approx(1.0 / (4 * np.pi * 0.33 * 1.5 * MM * images), rel=0.03)


def test_shell_of_bone_thinner_than_the_nodes_that_an_electrode_meets() -> None:
    """Shells in series, to a tenth on voxels of half their radius; met through the tissue beyond, 40 % are missing."""
    engine = cube(26 * MM, 2 * MM, {"bone": ball(5 * MM)})
    tissue = tissues(engine, {"bone": {"electrical_conductivity": "0.033 S/m"}})
    source = rfa(voltage="20 V").prepare(scene(engine, tissue, grounded=outer_sphere(engine, 24 * MM)))
    exact = (200 - 1 / 0.0015) / (4 * np.pi * -0.033) + (200 - 1 / 0.024) / (4 * np.pi * 0.33)
    assert source.impedance == pytest.approx(exact, rel=0.1)


def test_a_needle_that_crosses_a_border_meets_either_side_as_it_did() -> None:
    """Tissue on each side of a border across the needle is met by the nodes on that side."""
    engine = cube(20 * MM, 2 * MM, {"bone": lambda x: x[:, 2] < 0.0})
    conductivity = np.where(engine.shares["bone"] > 0.5, 0.00033, 0.33)
    needle = Line((0.0, 0.0, 8 * MM), (0.0, 0.0, -8 * MM), 0.75 * MM)
    nodes = np.flatnonzero(engine.contact(needle))
    np.testing.assert_array_equal(
        within_reach(engine, needle, nodes, conductivity), engine.to_nodes(conductivity)[nodes]
    )


@pytest.mark.parametrize("cooling", [None, "wall", "film"])
@pytest.mark.parametrize("electrode", [BALL, NEEDLE])
def test_heat_is_voltage_times_current(cooling: str | None, electrode: dict[str, Any]) -> None:
    engine = cube(20 * MM, 2 * MM)
    film = {"film": {"heat_transfer": "3000 W/m^2/K"}}.get(cooling or "", {})
    more = {"cooling": {"temperature": "10 degC", **film}} if cooling else {}
    source = rfa(electrode=electrode, power="30 W", **more).prepare(scene(engine))
    drive = source.drive(at(engine, 0.0), 1.0)
    value = {name: reading.value for name, reading in drive.readings.items()}
    assert value["power"] == pytest.approx(30.0, rel=1e-12)
    assert value["voltage"] * value["current"] == pytest.approx(30.0, rel=1e-12)
    assert value["voltage"] / value["current"] == pytest.approx(value["impedance"], rel=1e-12)
    assert drive.power.sum() + value["coolant_power"] == pytest.approx(30.0, rel=1e-12)
    assert drive.power.min() >= 0.0
    assert (value["coolant_power"] > 0.01) == (cooling is not None)
    assert bool(drive.contacts) == (cooling is not None)


def test_wall_heat_splits_between_coolant_and_tissue() -> None:
    """Half of g (V - phi)^2 enters at the wall: film / (film + k factor) of it goes to the coolant."""
    engine = cube(20 * MM, 2 * MM)
    cooling = {"temperature": "10 degC", "heat_transfer": "3000 W/m^2/K"}
    source = rfa(electrode=NEEDLE, voltage="20 V", cooling=cooling).prepare(scene(engine))
    drive = source.drive(at(engine, 0.0), 1.0)
    (contact,) = drive.contacts
    touched = contact.factor > 0
    film, factor = np.asarray(contact.film)[touched], contact.factor[touched]
    assert contact.temperature == 10.0
    assert film.sum() == pytest.approx(3000 * 2 * np.pi * 0.75 * MM * 20 * MM, rel=1e-12)
    drop = 20 - source.fields["potential"][0][touched]
    directly = 0.5 * 0.33 * factor * drop**2 * film / (film + 0.5 * factor)
    assert drive.readings["coolant_power"].value == pytest.approx(directly.sum(), rel=1e-9)


def test_current_is_what_reaches_the_ground() -> None:
    """The current from the dissipated power equals the flow into the grounded nodes to the solver's tolerance."""
    engine = cube(20 * MM, 2 * MM)
    source = rfa(voltage="10 V").prepare(scene(engine))
    current = source.drive(at(engine, 0.0), 1.0).readings["current"].value
    potential, _ = source.fields["potential"]
    operator = engine.conductance(np.full(engine.cell_volume.shape, 0.33))
    grounded = on_faces(engine).mask
    assert -operator(potential)[grounded].sum() == pytest.approx(current, rel=1e-6)


def test_potential_gives_the_temperature_at_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """RF-02: T - 37 = sigma phi (V - phi) / 2k, node by node, with the sub-grid electrode; Tmax = sigma V^2 / 8k."""
    monkeypatch.setattr("thermal.physics.heating.potential.TOLERANCE", 1e-12)
    engine = cube(20 * MM, 1 * MM, shift=0.2)
    ground = outer_sphere(engine, 19 * MM)
    spec = rfa(voltage="20 V", cooling={"temperature": "37 degC"})
    source = spec.prepare(scene(engine, grounded=ground))
    drive = source.drive(at(engine, 0.0), 1.0)
    (contact,) = drive.contacts
    conductance = 0.5 * contact.factor
    rise = engine.solve(
        engine.conductance(np.full(engine.cell_volume.shape, 0.5)), conductance, drive.power,
        fixed=ground.mask, values=np.zeros(engine.volume.shape), tolerance=1e-12,
    )  # fmt: skip
    potential, _ = source.fields["potential"]
    predicted = 0.33 / (2 * 0.5) * potential * (20 - potential)
    highest = 0.33 * 20**2 / (8 * 0.5)
    np.testing.assert_allclose(rise, predicted, atol=1e-8 * highest)
    assert rise.max() <= highest * (1 + 1e-6)
    assert rise.max() == pytest.approx(highest, rel=0.02)


def test_needle_resistance() -> None:
    """RF-07 for a true cylinder: (ln(l/r) - 1 + ln 2) / 2 pi sigma l, a tenth below the spheroid that it encloses."""
    engine = cube(60 * MM, 3 * MM)
    source = rfa(electrode=NEEDLE, voltage="1 V").prepare(scene(engine, grounded=spheroid_ground(engine)))
    focus = np.sqrt(0.01**2 - 0.00075**2)
    beyond = np.arctanh(focus / np.hypot(0.055, focus)) / (4 * np.pi * 0.33 * focus)
    spheroid = np.arctanh(focus / 0.01) / (4 * np.pi * 0.33 * focus)
    cylinder = (np.log(20 / 0.75) - 1 + np.log(2)) / (2 * np.pi * 0.33 * 0.02)
    assert spheroid == pytest.approx(79.367, rel=1e-3)
    assert source.impedance == pytest.approx(cylinder - beyond, rel=0.02)
    assert source.impedance < 0.95 * (spheroid - beyond)


def spheroid_ground(engine: VoxelEngine) -> Held:
    """Nodes outside an equipotential of the needle with equatorial radius 55 mm."""
    focus2 = 0.01**2 - 0.00075**2
    x, y, z = engine.points.T
    mask = (x**2 + y**2) / 0.055**2 + z**2 / (0.055**2 + focus2) >= 1
    return Held(mask, np.zeros(mask.shape))


def test_conductivity_rises_then_falls() -> None:
    sigma = ElectricalConductivity(np.full(6, 0.33), np.full(6, 0.33 * 0.02))
    values = sigma(np.array([37.0, 87.0, 100.0, 102.5, 105.0, 130.0]))
    np.testing.assert_allclose(values[:3], [0.33, 0.66, 0.33 * 2.26], rtol=1e-12)
    np.testing.assert_allclose(values[3:], 0.33 * 2.26 * np.array([0.1, 0.01, 0.01]), rtol=1e-12)
    frozen = sigma(np.full(6, -150.0))
    assert (frozen > 0).all()


def test_effective_resistance_with_temperature_dependence() -> None:
    """Uniformly heated tissue conducts 1 + s (T - 37) times better."""
    engine = cube(10 * MM, 2 * MM)
    properties = tissues(engine, electrical_conductivity_slope="0.02 1/K")
    source = rfa(voltage="20 V").prepare(scene(engine, properties))
    cold = source.drive(at(engine, 0.0), 1.0).readings["impedance"].value
    warm = source.drive(at(engine, 1.0, 62.0), 1.0).readings["impedance"].value
    assert warm == pytest.approx(cold / 1.5, rel=1e-7)
    assert (
        source.drive(at(engine, 2.0, 62.1), 1.0).readings["impedance"].value == warm
    )  # too little change to solve again


@pytest.mark.parametrize(
    ("limits", "limiting"),
    [({}, "power"), ({"max_voltage": "12 V"}, "voltage"), ({"max_current": "0.1 A"}, "current")],
)
def test_generator_keeps_its_limits(limits: dict[str, str], limiting: str) -> None:
    engine = cube(12 * MM, 2 * MM)
    source = rfa(power="5 W", **limits).prepare(scene(engine))
    readings = source.drive(at(engine, 0.0), 1.0).readings
    expected = {"power": 5.0, "voltage": 12.0, "current": 0.1}
    assert readings[limiting].value == pytest.approx(expected[limiting], rel=1e-12)
    assert readings["power"].value <= 5.0 * (1 + 1e-12)


def test_cooling_runs_through_pauses_but_not_after() -> None:
    engine = cube(12 * MM, 3 * MM)
    spec = rfa(
        power="5 W",
        cooling={"temperature": "10 degC"},
        on=[["0 s", "60 s"]],
        pulses={"period": "20 s", "width": "15 s"},
    )
    source = spec.prepare(scene(engine, duration=100.0))
    assert source.events == (15.0, 20.0, 35.0, 40.0, 55.0, 60.0)
    pause = source.drive(at(engine, 16.0), 1.0)
    assert not pause.power.any()
    assert pause.readings["power"].value == 0.0
    assert pause.contacts
    after = source.drive(at(engine, 60.0), 1.0)
    assert not after.power.any()
    assert not after.contacts


def test_resumed_source_goes_on_bit_for_bit() -> None:
    engine = cube(12 * MM, 2 * MM)
    properties = tissues(engine, electrical_conductivity_slope="0.02 1/K")

    def fresh() -> RfaSource:
        return rfa(power="5 W").prepare(scene(engine, properties))

    def heat(step: int) -> np.ndarray:
        return 37.0 + 4.0 * step * np.exp(-np.sum(engine.points**2, axis=1) / (2 * (4 * MM) ** 2))

    through, before, after = fresh(), fresh(), fresh()
    for step in range(4):
        through.drive(at(engine, step, heat(step)), 1.0)
        before.drive(at(engine, step, heat(step)), 1.0)
    after.recall(before.memory())
    for step in range(4, 7):
        one = through.drive(at(engine, step, heat(step)), 1.0)
        two = after.drive(at(engine, step, heat(step)), 1.0)
        np.testing.assert_array_equal(one.power, two.power)
        assert one.readings == two.readings
    np.testing.assert_array_equal(through.fields["potential"][0], after.fields["potential"][0])


def test_loose_solves_give_the_heat_of_tight_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tissue heats up at the needle until it dries: heat, over all nodes, to 2e-3 of that of solves to 1e-10, a
    tenth of the change that is let pass without a solve; impedance, quadratic in the error, to 2e-6. Guesses that go on
    as the potential went save iterations."""
    engine = cube(16 * MM, 1.6 * MM)
    properties = tissues(engine, electrical_conductivity_slope="0.015 1/K")
    counts: list[int] = []

    def counted(*arguments: Any, **more: Any) -> tuple[np.ndarray, int]:
        found = conjugate_gradients(*arguments, **more)
        counts.append(found[1])
        return found

    def heats(tolerance: float, *, foresees: bool = True) -> list[np.ndarray]:
        monkeypatch.setattr("thermal.physics.heating.potential.TOLERANCE", tolerance)
        source = rfa(electrode=NEEDLE, power="40 W").prepare(scene(engine, properties))
        found = []
        for step in range(12):
            near = np.hypot(*engine.points[:, :2].T) ** 2 + np.maximum(np.abs(engine.points[:, 2]) - 10 * MM, 0.0) ** 2
            heat = 37.0 + (6.0 * step) * np.exp(-near / (2 * (4 * MM) ** 2))
            if not foresees:
                source.circuit._turn = None
            drive = source.drive(at(engine, step, heat), 1.0)
            found.append(np.append(drive.power, 40.0 * drive.readings["impedance"].value))
        return found

    monkeypatch.setattr("thermal.engines.elliptic.conjugate_gradients", counted)
    tight = heats(1e-10)
    counts.clear()
    loose = heats(TOLERANCE)
    foreseeing = sum(counts)
    counts.clear()
    heats(TOLERANCE, foresees=False)
    assert foreseeing < sum(counts)
    for one, other in zip(loose, tight, strict=True):
        assert np.abs(one - other)[:-1].sum() < 2e-3 * other[:-1].sum()
        assert one[-1] == pytest.approx(other[-1], rel=2e-6)


def test_plates_without_an_electrode() -> None:
    """A block between plates: R = L / sigma A, uniform heat; voltage from the boundaries or scaled to a power."""
    engine = cube(10 * MM, 2 * MM)
    z = engine.points[:, 2]
    ends = np.abs(z) > 9.9 * MM
    plates = Held(ends, np.where(z > 0, 15.0, 5.0))
    source = Rfa.model_validate({"kind": "rfa"}).prepare(scene(engine, grounded=plates))
    readings = source.drive(at(engine, 0.0), 1.0).readings
    assert readings["impedance"].value == pytest.approx(0.02 / (0.33 * 0.02**2), rel=1e-7)
    assert readings["voltage"].value == 10.0
    potential, _ = source.fields["potential"]
    np.testing.assert_allclose(potential[ends], plates.value[ends], rtol=1e-12)
    density, _ = source.fields["absorbed_power"]
    np.testing.assert_allclose(density, 0.33 * 500.0**2, rtol=1e-6)
    driven = Rfa.model_validate({"kind": "rfa", "power": "3 W"}).prepare(scene(engine, grounded=plates))
    assert driven.drive(at(engine, 0.0), 1.0).power.sum() == pytest.approx(3.0, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "no setting"),
        ({"power": "5 W", "voltage": "20 V"}, "not both"),
        ({"voltage": "20 V", "max_current": "1 A"}, "power control"),
        ({"electrode": None, "power": "5 W", "cooling": {"temperature": "10 degC"}}, "cooling needs an electrode"),
    ],
)
def test_senseless_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rfa(**changes)


def test_impossible_circuits_are_refused() -> None:
    engine = cube(6 * MM, 2 * MM)
    live = on_faces(engine, 5.0)
    with pytest.raises(CaseError, match="must be 0 V"):
        rfa(voltage="20 V").prepare(scene(engine, grounded=live))
    with pytest.raises(CaseError, match="no current can flow"):
        Rfa.model_validate({"kind": "rfa"}).prepare(scene(engine, grounded=live))
    with pytest.raises(CaseError, match=r"heating\.electrode"):
        rfa(voltage="20 V", electrode={"centre": ["50 mm", "0 mm", "0 mm"], "radius": "1 mm"}).prepare(scene(engine))


@pytest.mark.parametrize(("slope", "at"), [(-0.02, "87"), (0.03, "3.67"), (0.02, ""), (-0.015, "")])
def test_slopes_that_use_up_the_conductivity_are_said(slope: float, at: str) -> None:
    """Between 0 and 100 degC, where it is linear."""
    engine = cube(6 * MM, 2 * MM)
    source = rfa(voltage="20 V").prepare(scene(engine, tissues(engine, electrical_conductivity_slope=f"{slope} 1/K")))
    said = [warning for warning in source.warnings if f"{slope:g} 1/K uses up the conductivity at {at} degC" in warning]
    assert len(said) == bool(at)
    assert len(source.warnings) == bool(at)


def test_missing_slope_is_said_and_missing_conductivity_refused() -> None:
    engine = cube(6 * MM, 2 * MM)
    source = rfa(voltage="20 V").prepare(scene(engine, tissues(engine, electrical_conductivity_slope=None)))
    assert any("electrical_conductivity_slope is not given" in warning for warning in source.warnings)
    with pytest.raises(CaseError, match=r"tissues\.tissue\.electrical_conductivity"):
        rfa(voltage="20 V").prepare(scene(engine, tissues(engine, electrical_conductivity=None)))
    assert not nothing_held(engine).mask.any()
