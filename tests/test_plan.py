"""Placement of needles: straight ways around what must not be touched, devices moved as one, and a better plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scenes import tumour_in_liver

from thermal import load_case
from thermal.case.guided import Plan
from thermal.cli import main
from thermal.errors import CaseError
from thermal.guidance.case_file import case_text
from thermal.guidance.choices import Box, tilted
from thermal.guidance.placement import Placement, Site, place, turned
from thermal.guidance.plan import plan_case
from thermal.guidance.reach import Reach
from thermal.guidance.surrogate import search
from thermal.guidance.trajectories import ground_of, sphere
from thermal.simulation.workshop import Workshop

CASE = (
    tumour_in_liver(40, 2, 5)
    + """\
[[anatomy.shapes]]
shape = "box"
region = "bone"
centre = ["35 mm", "20 mm", "20 mm"]
size = ["4 mm", "40 mm", "40 mm"]
[particles]
material = "gold_nanorod_41x10"
[delivery]
kind = "uniform"
region = "tumour"
concentration = "0.02 mg/ml"
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "3 W"
on = [["0 s", "20 s"]]
[heating.fibre]
entry = ["20 mm", "39 mm", "26 mm"]
tip = ["20 mm", "16 mm", "26 mm"]
diffuser = "8 mm"
[bioheat]
duration = "20 s"
[output]
pictures = false
[plan]
margin = "0 mm"
budget = 6
trials = 1
targets = "3 mm"
"""
)


def write(folder: Path, text: str = CASE) -> Path:
    (folder / "case.toml").write_text(text)
    return folder / "case.toml"


def test_ways_keep_clear_of_bone(tmp_path: Path) -> None:
    """A wall of bone from x = 33 mm on: clear ways from the middle end at x < 33 mm less the clearance, at the border
    of the window, and their distance to the wall is that of the end nearer to it."""
    case = load_case(write(tmp_path))
    built, engine = Workshop(1).ground(case)
    ground = ground_of(case, built, engine, ())
    tip = np.array([0.02, 0.02, 0.02])
    found = ground.ways(tip, sphere(200), 0.2, 0.003)
    assert found
    for way in found:
        end = tip + way.length * way.direction
        assert (end < 0.041).all()
        assert (end > -0.001).all()
        assert np.isclose(np.abs(end - 0.02).max(), 0.02, atol=1.5e-3)  # stations are 1 mm apart
        assert end[0] < 0.033 - 0.003 + 2e-3  # a voxel
        nearest = 0.033 - max(end[0], tip[0])
        assert way.clear == pytest.approx(nearest, abs=2e-3)
    assert len(found) < len(ground.ways(tip, sphere(200), 0.2, 0.0)) <= 200
    assert ground.ways(tip, np.array([[1.0, 0.0, 0.0]]), 0.2, 0.003) == []
    assert ground.ways(tip, sphere(200), 0.01, 0.003) == []  # no needle is long enough
    with pytest.raises(CaseError, match="no such region"):
        ground_of(case, built, engine, ("rib",))


@pytest.mark.parametrize("said", ['material = "blood"', 'material = "liver"\ntemperature = "37 degC"'])
def test_a_region_is_what_the_case_says_that_it_is(tmp_path: Path, said: str) -> None:
    """A wall named portal_vein is no tissue of the library: blood, or kept warm by blood, is a vessel all the same."""
    text = CASE.replace('region = "bone"', 'region = "portal_vein"').replace(
        "[particles]", f"[tissues.portal_vein]\n{said}\n[particles]"
    )
    case = load_case(write(tmp_path, text))
    ground = ground_of(case, *Workshop(1).ground(case), ())
    tip, towards = np.array([0.02, 0.02, 0.02]), np.array([[1.0, 0.0, 0.0]])
    assert ground.ways(tip, towards, 0.2, 0.003) == []
    assert len(ground.ways(tip, -towards, 0.2, 0.003)) == 1


def test_no_device_goes_deeper_than_is_clear(tmp_path: Path) -> None:
    """The fibre ends 14 mm beyond the middle: where that points into the wall of bone the way is none, though the
    needle as far as the middle is clear; beside a fibre that ends there all clear ways stay."""
    case = load_case(write(tmp_path))
    plan, own, middle = case.plan, np.array([0.0, 1.0, 0.0]), np.array([0.02, 0.02, 0.02])
    assert plan is not None
    ground = ground_of(case, *Workshop(1).ground(case), ())
    away_from_bone, along = np.array([[-1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])
    for depth, blocked in ((0.0, False), (0.014, True)):
        reach = Reach(plan, ground, own, np.array([[0.0, -depth, 0.0]]), own)
        assert len(reach.ways(middle, along)) == 1
        assert (len(reach.ways(middle, away_from_bone)) == 0) == blocked
    assert len(ground.ways(middle, away_from_bone, plan.depth, plan.clearance)) == 1
    aside = Reach(plan, ground, own, np.array([[0.012, 0.0, 0.0]]), own)
    assert aside.ways(middle, along) == []  # a second needle 12 mm nearer to the wall touches what it must not


def test_rotations() -> None:
    chance = np.random.default_rng(0)
    for _ in range(20):
        one, other = (v / np.linalg.norm(v) for v in chance.standard_normal((2, 3)))
        rotation = turned(one, other)
        assert rotation @ one == pytest.approx(other)
        assert rotation @ rotation.T == pytest.approx(np.eye(3))
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert turned(one, -one) @ one == pytest.approx(-one)


def test_devices_move_as_one(tmp_path: Path) -> None:
    """The case's own placement changes nothing; a turn keeps lengths, and the entry lies on the skin."""
    case = load_case(write(tmp_path))
    middle, own = np.array([0.02, 0.02, 0.02]), np.array([0.0, 1.0, 0.0])
    same = place(case, middle, Placement(middle, own, 1.0, 0.019))
    (fibre,) = same.heating.fibre if isinstance(same.heating.fibre, tuple) else (same.heating.fibre,)
    assert fibre.tip == pytest.approx((0.02, 0.016, 0.026))
    assert fibre.entry == pytest.approx((0.02, 0.039, 0.026))
    moved = place(case, middle, Placement(middle + np.array([0, 0, 0.001]), np.array([0.0, 0.0, 1.0]), 1.5, 0.019))
    (fibre,) = moved.heating.fibre if isinstance(moved.heating.fibre, tuple) else (moved.heating.fibre,)
    assert fibre.tip == pytest.approx((0.02, 0.014, 0.017))  # (0, -4, 6) mm from the middle, turned to (0, -6, -4)
    assert fibre.entry == pytest.approx((0.02, 0.014, 0.040))
    assert moved.heating.power == pytest.approx(4.5)


INFUSED = """
[delivery]
kind = "infusion"
entry = ["20 mm", "39 mm", "20 mm"]
tip = ["20 mm", "20 mm", "20 mm"]
port_radius = "1 mm"
flow = "0.05 ml/min"
duration = "5 min"
concentration = "0.1 mg/ml"
"""


def test_a_planned_case_is_a_file(tmp_path: Path) -> None:
    """What is written is read as the very case that was planned: sites, times and factors."""
    text = CASE[: CASE.index("[delivery]")] + INFUSED + CASE[CASE.index("[heating]") :]
    path = write(tmp_path, text)
    case = load_case(path)
    middle, up = np.array([0.02, 0.02, 0.02]), np.array([0.0, 0.0, 1.0])
    sites = (Site(np.array([0.004, 0.0, 0.0]), 0.02),)
    planned = place(case, middle, Placement(middle, up, 1.5, 0.019, 2.0, {}, sites))
    assert planned.heating.on == ((0.0, 40.0),)
    assert planned.bioheat.duration == 40.0
    assert planned.delivery.sites[0].tip == pytest.approx((0.024, 0.02, 0.02))
    assert planned.delivery.sites[0].entry == pytest.approx((0.024, 0.02, 0.04))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "best.toml").write_text(case_text(planned.resolved(), case.folder, "x", "Planned"))
    again = load_case(tmp_path / "elsewhere" / "best.toml")
    for name in ("anatomy", "delivery", "heating", "bioheat", "particles", "numerics", "output", "damage"):
        assert getattr(again, name) == getattr(planned, name), name


def test_what_a_plan_may_choose() -> None:
    """The start is the case as it is; the ends of the box are the ends of what is given, and fields bound the power."""
    plan = Plan(power=(0.5, 2.0), time=(1.0, 3.0), tilt="30 deg", choose={"delivery.flow": (0.5, 2.0)}, sites=2)
    box = Box(plan)
    assert box.size == len(box.start) == len(box.steps) == 3 + 3 + 2 + 6
    start = box.choice(box.start)
    assert (start.power, start.time, start.factors["delivery.flow"]) == pytest.approx((1.0, 1.0, 1.0))
    assert not start.offset.any()
    assert not start.tilt.any()
    assert np.linalg.norm(start.sites, axis=1) == pytest.approx([0.6 * plan.targets] * 2)
    end = box.choice(np.ones(box.size))
    assert (end.power, end.time, end.factors["delivery.flow"]) == pytest.approx((2.0, 3.0, 2.0))
    assert Box(plan, 1.2).choice(np.ones(box.size)).power == pytest.approx(1.2)
    along = np.array([0.6, 0.0, 0.8])
    turned_by = tilted(along, np.radians([3.0, 4.0]))
    assert np.degrees(np.arccos(turned_by @ along)) == pytest.approx(5.0)
    with pytest.raises(ValueError, match="smaller factor first"):
        Plan(power=(2.0, 0.5))


def test_the_search_finds_a_valley() -> None:
    """A bowl in six dimensions whose bottom lies off every axis: 40 looks come to a twentieth of the start; what is not
    allowed is not looked at, and the same seed takes the same way."""
    bottom = np.array([0.3, -0.4, 0.2, 0.5, -0.1, 0.35])

    def run(seed: int) -> tuple[np.ndarray, np.ndarray]:
        points: list[np.ndarray] = []

        def cost(point: np.ndarray) -> float:
            points.append(point)
            return float(((point - bottom) ** 2 * [1, 2, 1, 3, 1, 1]).sum())

        search(cost, np.zeros(6), np.full(6, 0.5), lambda point: point[0] <= 0.31, 40, seed)
        return np.array(points), np.array([((p - bottom) ** 2 * [1, 2, 1, 3, 1, 1]).sum() for p in points])

    points, values = run(1)
    assert len(points) == 40
    assert (points[:, 0] <= 0.31).all()
    assert np.abs(points).max() <= 1.0
    assert values.min() < 0.05 * values[0]
    np.testing.assert_array_equal(points, run(1)[0])
    np.testing.assert_array_equal(points[0], np.zeros(6))


@pytest.mark.slow
def test_a_plan_beats_a_fibre_beside_the_tumour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fibre lies 6 mm above the middle of the tumour; the search may move it, and goes on where it stopped."""
    path = write(tmp_path)
    found = plan_case(path, tmp_path / "out")
    assert found.best.cost < found.default.cost
    assert found.best.readings["target_coverage"] > found.default.readings["target_coverage"]
    assert len(found.misplaced) == 1
    assert 0.0 <= found.robust["complete"] <= 1.0
    folders = {item.name: (item / "status").stat().st_mtime_ns for item in (tmp_path / "out" / "runs").iterdir()}
    assert main(["plan", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    again = {item.name: (item / "status").stat().st_mtime_ns for item in (tmp_path / "out" / "runs").iterdir()}
    assert again == folders  # nothing was simulated twice
    stored = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert stored["best"]["cost"] == pytest.approx(found.best.cost)
    assert "best" in capsys.readouterr().out


ELECTRODE = """\
[heating]
kind = "rfa"
power = "10 W"
[heating.electrode]
entry = ["20 mm", "39 mm", "26 mm"]
tip = ["20 mm", "16 mm", "26 mm"]
radius = "1 mm"
active_length = "10 mm"
"""


def test_the_command_writes_the_best_case_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An electrode on voxels of 4 mm, three placements besides its own and a misplaced one: each is simulated once."""
    head, tail = CASE[: CASE.index("[particles]")], CASE[CASE.index("[bioheat]") :]
    text = (head + ELECTRODE + tail).replace('voxel_size = "2 mm"', 'voxel_size = "4 mm"')
    path = write(tmp_path, text.replace("budget = 6", "budget = 3"))
    command = ["plan", str(path), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 0
    said = capsys.readouterr().out
    stored = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert stored["best"]["cost"] == min(trial["cost"] for trial in stored["trials"]) <= stored["default"]["cost"]
    assert len(stored["trials"]) == 4  # that of the case and the budget
    assert f"{stored['clear_ways_to_the_middle']} straight ways" in said
    runs = {item.name: (item / "status").stat().st_mtime_ns for item in (tmp_path / "out" / "runs").iterdir()}
    assert len(runs) == 5
    best = load_case(tmp_path / "out" / "best.toml")
    assert (best.heating.kind, best.title) == ("rfa", "case, planned")
    assert main(command) == 0
    assert capsys.readouterr().out == said
    assert {item.name: (item / "status").stat().st_mtime_ns for item in (tmp_path / "out" / "runs").iterdir()} == runs


def test_no_way_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", str(write(tmp_path)), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*command, "--set", "plan.clearance='50 mm'"]) == 2
    assert "no straight way" in capsys.readouterr().err
    bare = write(tmp_path, CASE[: CASE.index("[plan]")])
    assert main(["plan", str(bare), "--out", str(tmp_path / "out"), "--quiet"]) == 2
