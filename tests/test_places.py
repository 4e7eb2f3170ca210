"""Devices and probe points: known from the case alone, and refused outside the window or the body before any solve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thermal import simulation
from thermal.assemble import make_engine
from thermal.case import Case, load_case
from thermal.cli import main
from thermal.domain import Ball, Line
from thermal.errors import CaseError
from thermal.simulation import places
from thermal.simulation.results import locate_probes

CASE = """\
schema_version = 1
title = "Skin at z = 20 mm"
[anatomy]
kind = "phantom"
size = "60 mm"
voxel_size = "5 mm"
background = "liver"
[[anatomy.shapes]]
region = "void"
shape = "box"
centre = ["0 mm", "0 mm", "26 mm"]
size = ["60 mm", "60 mm", "12 mm"]
[bioheat]
duration = "1 s"
"""
NEEDLE = """
[particles]
material = "gold_nanorod_41x10"
[delivery]
kind = "infusion"
entry = ["0 mm", "0 mm", "30 mm"]
tip = ["0 mm", "0 mm", "TIP mm"]
port_radius = "1 mm"
flow = "0.1 ml/min"
duration = "1 min"
concentration = "1 mg/ml"
"""
FIBRE = """
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "2 W"
[heating.fibre]
entry = ["0 mm", "0 mm", "40 mm"]
tip = ["0 mm", "0 mm", "TIP mm"]
"""
DIFFUSER = FIBRE + 'diffuser = "15 mm"\n'
FIBRES = FIBRE.replace("[heating.fibre]", "[[heating.fibre]]").replace("TIP", "0") + (
    '[[heating.fibre]]\nentry = ["9 mm", "0 mm", "40 mm"]\ntip = ["9 mm", "0 mm", "TIP mm"]\n'
)
CRYO = """
[heating]
kind = "cryo"
temperature = "-140 degC"
cycles = [{ freeze = "1 s", thaw = "1 s" }]
probes = [
  { centre = ["0 mm", "0 mm", "0 mm"], radius = "1 mm" },
  { entry = ["0 mm", "0 mm", "40 mm"], tip = ["0 mm", "0 mm", "TIP mm"], radius = "1 mm", active_length = "15 mm" },
]
"""
RFA = """
[heating]
kind = "rfa"
power = "10 W"
[heating.electrode]
entry = ["0 mm", "0 mm", "40 mm"]
tip = ["0 mm", "0 mm", "TIP mm"]
radius = "1 mm"
active_length = "15 mm"
"""
POINT = """
[probes.deep]
position = ["0 mm", "0 mm", "-30 mm"]
[probes.tip]
position = ["0 mm", "0 mm", "TIP mm"]
"""


def load(folder: Path, more: str, tip: float = 0.0) -> Case:
    file = folder / "case.toml"
    file.write_text(CASE + more.replace("TIP", str(tip)))
    return load_case(file)


def found(case: Case) -> list[str]:
    return places.misplaced(case, make_engine(case.anatomy.build(case.folder)))


@pytest.mark.parametrize(
    ("table", "key", "what"),
    [
        (NEEDLE, "delivery.tip", "infusion needle"),
        (FIBRE, "heating.fibre.tip", "fibre 1"),
        (DIFFUSER, "heating.fibre.tip", "the tip of fibre 1"),
        (FIBRES, "heating.fibre[1].tip", "fibre 2"),
        (CRYO, "heating.probes[1].tip", "the tip of cryoprobe 2"),
        (RFA, "heating.electrode.tip", "the tip of electrode"),
        (POINT, "probes.tip.position", "the point"),
    ],
)
def test_tips_outside_are_named_with_their_key(tmp_path: Path, table: str, key: str, what: str) -> None:
    assert found(load(tmp_path, table, -5)) == []
    across = 9 if table is FIBRES else 0
    assert found(load(tmp_path, table, 25)) == [
        f"{key}: {what} ({across}, 0, 25) mm lies outside the body; move it into tissue"
    ]
    (beyond,) = found(load(tmp_path, table, -31))
    assert beyond.startswith(f"{key}: {what}")
    assert "z = -31 mm lies outside the window, which spans -30 to 30 mm" in beyond
    assert beyond.endswith("move it inside or enlarge the window")


@pytest.mark.parametrize(("across", "said"), [(0.0, True), (1.9, True), (2.1, False)])
def test_devices_within_each_other_are_said(tmp_path: Path, across: float, said: bool) -> None:
    """Both would draw their heat; of a pair whose walls do not touch nothing is to be said."""
    case = load(tmp_path, CRYO.replace('centre = ["0 mm"', f'centre = ["{across} mm"'), -5)
    notes = places.overlapping(case)
    assert [note.partition(", so")[0] for note in notes] == said * [
        "heating.probes[1].tip: cryoprobe 2 lies within cryoprobe 1"
    ]
    assert not places.overlapping(load(tmp_path, RFA, -5))


@pytest.mark.parametrize(
    ("more", "key", "what"),
    [
        ('side_ports = ["4 mm", "9 mm"]', "delivery.side_ports[1]", "a port of infusion needle"),
        ('port_length = "9 mm"', "delivery.port_length", "the tip of a port of infusion needle"),
        (
            'side_ports = ["4 mm"]\nsites = [{ entry = ["8 mm", "0 mm", "30 mm"], tip = ["8 mm", "0 mm", "20 mm"] }]',
            "delivery.side_ports[0]",
            "a port of infusion needle 2",
        ),
        (
            'protocol = [{ flow = "1 ul/min", duration = "1 min" }, { duration = "1 s", withdraw = "9 mm" },'
            ' { flow = "1 ul/min", duration = "1 min" }]',
            "delivery.protocol[1].withdraw",
            "a port of infusion needle",
        ),
    ],
)
def test_ports_behind_the_tip_must_lie_in_tissue_before_anything_is_infused(
    tmp_path: Path, more: str, key: str, what: str
) -> None:
    table = NEEDLE + more + "\n"
    if "protocol" in more:
        table = table.replace('flow = "0.1 ml/min"\nduration = "1 min"\n', "")
    assert found(load(tmp_path, table.replace('"20 mm"] }', '"8 mm"] }'), 8)) == []
    (said,) = found(load(tmp_path, table, 15))
    assert said.startswith(f"{key}: {what} (")
    assert ", 24) mm lies outside the body; move it into tissue" in said


def test_a_port_behind_the_tip_is_not_cut_by_a_face(tmp_path: Path) -> None:
    case = load(tmp_path, NEEDLE.replace('"0 mm", "0 mm", ', '"29.5 mm", "0 mm", ') + 'side_ports = ["4 mm"]\n', 0)
    tip, port = found(case)
    assert tip.startswith("delivery.tip: infusion needle (2 mm thick) is cut by a face of the window across x")
    assert port.startswith("delivery.side_ports[0]: a port of infusion needle (2 mm thick) is cut by a face")


@pytest.mark.parametrize("table", [DIFFUSER, CRYO, RFA])
def test_active_parts_must_lie_wholly_in_tissue(tmp_path: Path, table: str) -> None:
    """15 mm that end 10 mm below the skin: a third of it is in the air."""
    assert found(load(tmp_path, table, 4.99)) == []
    (said,) = found(load(tmp_path, table, 10))
    assert "33 % of the active part" in said
    assert "lies outside the body" in said


def test_skin_and_faces_belong_to_the_body(tmp_path: Path) -> None:
    assert found(load(tmp_path, POINT, 20)) == []
    assert found(load(tmp_path, POINT, 20.1)) != []


def test_the_check_of_a_case_lists_all_of_them_with_their_lines(tmp_path: Path) -> None:
    case = load(tmp_path, NEEDLE + FIBRE + POINT, 25)
    with pytest.raises(CaseError) as error:
        simulation.check(case)
    keys = [problem.partition(":")[0] for problem in error.value.problems]
    assert keys == ["probes.tip.position", "delivery.tip", "heating.fibre.tip"]
    lines = (tmp_path / "case.toml").read_text().splitlines()
    for problem in case.placed(error.value).problems:
        _, line, _ = problem.removeprefix(str(tmp_path)).split(":", 2)
        assert "25" in lines[int(line) - 1]


def test_nothing_is_solved_before_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = load(tmp_path, NEEDLE + FIBRE, 25)
    monkeypatch.setattr(type(case.delivery), "deliver", lambda *_: pytest.fail("the infusion was solved"))
    with pytest.raises(CaseError, match=r"delivery\.tip"):
        simulation.prepare(case, lambda stage, share: None)


def test_validate_refuses_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, FIBRE, 25)
    assert main(["validate", str(tmp_path / "case.toml")]) == 2
    assert "heating.fibre.tip: fibre 1 (0, 0, 25) mm lies outside the body" in capsys.readouterr().err


def test_devices_are_known_from_the_case_alone(tmp_path: Path) -> None:
    case = load(tmp_path, NEEDLE + FIBRE, -5)
    needle, fibre = places.devices(case)
    assert (needle.kind, fibre.kind) == ("needle", "fibre")
    assert needle.active == Ball((0.0, 0.0, -0.005), 1e-3)
    assert fibre.shape == Line((0.0, 0.0, 0.04), (0.0, 0.0, -0.005), 0.3e-3)
    (diffuser,) = places.devices(load(tmp_path, DIFFUSER, -5))
    assert isinstance(diffuser.active, Line)
    assert diffuser.active.end == (0.0, 0.0, -0.005)
    np.testing.assert_allclose(diffuser.active.start, (0.0, 0.0, 0.010), atol=1e-12)
    ball, probe = places.devices(load(tmp_path, CRYO, -5))
    assert ball.place == "heating.probes[0].centre"
    assert probe.shape.start == (0.0, 0.0, 0.04)
    assert places.devices(load(tmp_path, "")) == ()


def test_a_run_keeps_the_devices_of_its_case(tmp_path: Path) -> None:
    """What was drawn before is what is drawn after."""
    case = load(tmp_path, CRYO + "[output]\npictures = false\n", -5)
    run = simulation.simulate(case, tmp_path / "run")
    before = [(device.kind, device.name, device.shape) for device in places.devices(case)]
    assert [(device.kind, device.name, device.shape) for device in run.devices] == before
    assert len(before) == 2


def test_coils_and_beams_stay_outside(tmp_path: Path) -> None:
    beam = '[heating]\nkind = "photothermal"\nwavelength = "808 nm"\npower = "1 W"\n[heating.beam]\n'
    beam += 'position = ["0 mm", "0 mm", "50 mm"]\ndirection = [0, 0, -1]\ndiameter = "5 mm"\n'
    case = load(tmp_path, beam)
    assert [device.kind for device in places.devices(case)] == ["beam"]
    assert found(case) == []
    coil = '[particles]\nmaterial = "MATERIAL"\n[delivery]\nkind = "uniform"\nconcentration = "1 mg/ml"\n'
    coil += '[heating]\nkind = "magnetic"\nfrequency = "100 kHz"\ncoils = [{centre = ["0 mm", "0 mm", "0 mm"], '
    coil += 'axis = [0, 0, 1], radius = "80 mm", current = "100 A"}]\n'
    case = load(tmp_path, coil.replace("MATERIAL", _magnetic()))
    assert [device.kind for device in places.devices(case)] == ["coil"]
    assert found(case) == []


def _magnetic() -> str:
    from thermal import library

    return next(n for n in library.names("particles") if library.values("particles", n)["kind"] == "iron_oxide")


def test_a_probe_point_is_located_once_and_reads_what_sampling_gives(tmp_path: Path) -> None:
    """The shares are those of interpolation, summed in another order, hence round-off."""
    path = tmp_path / "case.toml"
    path.write_text(
        'schema_version = 1\n[anatomy]\nkind = "phantom"\nsize = "20 mm"\nvoxel_size = "2.5 mm"\nbackground = "liver"\n'
        '[bioheat]\nduration = "1 s"\n[probes.inside]\nposition = ["1.3 mm", "-2.9 mm", "4.4 mm"]\n'
        '[probes.corner]\nposition = ["10 mm", "10 mm", "-10 mm"]\n'
    )
    case = load_case(path)
    engine = simulation.build(case)[1]
    random = np.random.default_rng(3)
    values = random.uniform(1.0, 90.0, engine.volume.size)
    for name, spot in locate_probes(case, engine).items():
        at = np.array([case.probes[name].position])
        assert spot.read(values) == pytest.approx(engine.sample(values, at)[0], rel=1e-14)
