"""Comparison: the runs' own numbers in one table, honest warnings, pictures under one camera."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sample_run import TUMOUR_RADIUS, ellipsoid_volume, write_sample
from test_view import read_png, share_of

from thermal import compare as package_compare
from thermal.case import Case
from thermal.comparison import compare, describe, jobs_that_fit, write_comparison
from thermal.comparison.differences import anatomy_differences
from thermal.crew import Crew
from thermal.errors import CaseError
from thermal.store import Run, read_run
from thermal.view import rendering_problem, style
from thermal.view.aside import Aside
from thermal.view.treatment import Treatment

BIG, SMALL = (0.016, 0.015, 0.017), (0.008, 0.009, 0.0095)
CASE = """\
schema_version = 1
title = "{title}"
[anatomy]
kind = "phantom"
size = "20 mm"
voxel_size = "5 mm"
background = "liver"
[bioheat]
duration = "1 min"
"""


@pytest.fixture(autouse=True)
def _no_rendering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the tests marked ``render`` draw in 3-D."""
    if request.node.get_closest_marker("render") is None:
        monkeypatch.setattr("thermal.view.side_by_side.rendering_problem", lambda: "not asked for here")
    elif rendering_problem() is not None:
        pytest.skip(str(rendering_problem()))


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    samples = {
        "gold": {"title": "Gold, 808 nm", "zone_axes": BIG},
        "iron": {"title": "Iron | coil", "zone_axes": SMALL},
        "cryo": {"title": "Cryoablation", "zone_axes": BIG, "cold": True, "law": "cryo", "particles": False},
    }
    return [read_run(write_sample(tmp_path / name, cells=20, **options)) for name, options in samples.items()]


def test_tables_hold_the_numbers_of_the_runs(runs: list[Run], tmp_path: Path) -> None:
    out = tmp_path / "out"
    comparison = write_comparison(runs, out)
    assert [path.name for path in comparison.files] == [
        "comparison.csv", "comparison.json", "comparison.md", "comparison.png"
    ]  # fmt: skip
    rows = list(csv.DictReader((out / "comparison.csv").open()))
    assert [row["run"] for row in rows] == ["gold", "iron", "cryo"]
    assert float(rows[0]["Zone volume (ml)"]) == pytest.approx(1e6 * ellipsoid_volume(BIG), rel=1e-5)
    assert float(rows[1]["Tumour covered (%)"]) == pytest.approx(100 * np.prod(SMALL) / TUMOUR_RADIUS**3, rel=1e-5)
    assert float(rows[1]["Smallest margin (mm)"]) == pytest.approx(-2.0)
    assert float(rows[0]["Particles given (mg)"]) == pytest.approx(2.0)
    assert rows[2]["Particles given (mg)"] == ""
    assert float(rows[2]["Heat into the tissue (kJ)"]) == pytest.approx(-3.0)
    assert float(rows[2]["Lowest temperature (°C)"]) == pytest.approx(37 - 80 * (1 - np.exp(-6)), rel=1e-5)
    assert float(rows[0]["Treatment time (min)"]) == pytest.approx(10.0)
    assert rows[0]["Warnings"] == "1"
    assert [row["modality"] for row in rows] == ["laser + gold nanorod", "laser + gold nanorod", "cryoablation"]
    data = json.loads((out / "comparison.json").read_text())
    assert data["treatments"][1]["measures"]["zone.minimum_margin"] == {"value": pytest.approx(-0.002), "unit": "m"}
    assert style.RESEARCH_NOTE in (out / "comparison.md").read_text()


def test_markdown_is_a_table_and_explains_itself(runs: list[Run], tmp_path: Path) -> None:
    write_comparison(runs, tmp_path / "out")
    text = (tmp_path / "out" / "comparison.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {5}  # also where a title holds a bar
    assert "living tumour" in text
    assert "lethal freezing" in text


def test_plain_text_names_each_treatment_and_what_is_doubtful(runs: list[Run], tmp_path: Path) -> None:
    text = str(write_comparison(runs, tmp_path / "out"))
    for words in ("Gold, 808 nm", "Iron | coil", "Cryoablation", "Tumour covered (%)", "different criteria", "wrote "):
        assert words in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_different_anatomies_are_called_out(tmp_path: Path) -> None:
    def treatment(name: str, shift: float) -> Treatment:
        run = read_run(write_sample(tmp_path / name, cells=20, title=name, shift=(0.0, 0.0, shift)))
        return Treatment(run, name, "laser", "#000000")

    first = treatment("first", 0.0)
    assert anatomy_differences([first, treatment("same", 0.0)]) == []
    moved = anatomy_differences([first, treatment("moved", 0.004)])
    assert len(moved) == 1
    assert "DIFFERENT ANATOMY: in moved the tumour lies 4.0 mm away" in moved[0]


def test_another_grid_of_the_same_anatomy_is_no_difference(tmp_path: Path) -> None:
    coarse, fine, mesh = (
        Treatment(read_run(write_sample(tmp_path / name, **options)), name, "laser", "#000000")
        for name, options in {
            "coarse": {"cells": 24},
            "fine": {"cells": 30},
            "mesh": {"cells": 30, "kind": "mesh"},
        }.items()
    )
    assert anatomy_differences([coarse, fine, mesh]) == []


def test_optional_numbers_may_be_missing(runs: list[Run], tmp_path: Path) -> None:
    kept = {"zone.law", "zone.volume"}
    bare = Run(runs[0].folder, {key: value for key, value in runs[0].summary.items() if key in kept})
    comparison = write_comparison([bare], tmp_path / "out")
    assert [measure.name for measure in comparison.measures] == ["Criterion of death", "Zone volume"]
    assert comparison.treatments[0].modality == "unknown"


def test_figure_shows_tumour_and_healthy_tissue(runs: list[Run], tmp_path: Path) -> None:
    write_comparison(runs, tmp_path / "out")
    image = read_png(tmp_path / "out" / "comparison.png")
    assert share_of(image, style.TUMOUR, 10) > 2e-3
    for colour in style.CASES[:3]:
        assert share_of(image, colour, 10) > 1e-3


# --- running what is not yet run


def runner(ran: list[str], broken: str = "") -> Callable[..., Run]:
    def run_case(case: Case, folder: Path, force: bool, report: Callable[[str, float], None]) -> Run:
        report("bioheat", 0.5)
        ran.append(folder.name)
        if case.title == broken:
            raise RuntimeError("the step became too small")
        return read_run(write_sample(folder, cells=12, title=case.title))

    return run_case


def write_cases(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.toml").write_text(CASE.format(title=f"{folder.name} {name}"))
    return [folder / f"{name}.toml" for name in names]


def test_cases_are_run_into_folders_of_their_own(tmp_path: Path) -> None:
    finished = write_sample(tmp_path / "done", cells=12, title="finished before")
    a, b = write_cases(tmp_path / "x", "gold", "rfa")
    (c,) = write_cases(tmp_path / "y", "gold")
    ran: list[str] = []
    stages: list[str] = []
    result = compare(
        [a, finished, b, str(c)],
        tmp_path / "out",
        run_case=runner(ran),
        progress=lambda stage, share: stages.append(stage),
    )
    assert ran == ["x-gold", "rfa", "y-gold"]
    assert [t.title for t in result.treatments] == ["x gold", "finished before", "x rfa", "y gold"]
    assert "rfa: bioheat" in stages
    assert (tmp_path / "out" / "comparison.csv").exists()


def test_bad_input_is_refused_before_anything_runs(tmp_path: Path) -> None:
    good, bad = write_cases(tmp_path / "x", "good", "bad")
    bad.write_text(bad.read_text().replace("5 mm", "5 W"))
    ran: list[str] = []
    with pytest.raises(CaseError) as error:
        compare([good, bad, tmp_path / "nowhere.toml"], tmp_path / "out", run_case=runner(ran))
    assert ran == []
    assert "5 W" in str(error.value)
    assert "nowhere.toml" in str(error.value)
    with pytest.raises(CaseError, match="nothing given"):
        compare([], tmp_path / "out")


def test_a_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "x", "first", "second", "third")
    ran: list[str] = []
    with pytest.raises(RuntimeError, match="too small") as error:
        compare(cases, tmp_path / "out", run_case=runner(ran, broken="x second"))
    assert ran == ["first", "second", "third"]
    assert any("the others are compared in" in note for note in error.value.__notes__)
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open()))
    assert [row["title"] for row in rows] == ["x first", "x third"]


def test_side_by_side_gives_what_one_after_the_other_gives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two processes at once: the same numbers, progress to the end, warnings heard; a failure stops nobody else."""
    heat = '[heating]\nkind = "prescribed"\n'
    heat += 'sources = [{{ shape = "region", region = "liver", density = "{power} W/m^3" }}]\n'
    cases = []
    for name, power in (("mild", 2e4), ("strong", 2e5), ("third", 4e5)):
        path = tmp_path / f"{name}.toml"
        path.write_text(CASE.format(title=name) + heat.format(power=power) + "[output]\npictures = false\n")
        cases.append(path)
    shares: list[tuple[str, float]] = []
    together = compare(cases, tmp_path / "two", jobs=2, progress=lambda stage, share: shares.append((stage, share)))
    alone = compare(cases, tmp_path / "one")
    for a, b in zip(together.treatments, alone.treatments, strict=True):
        assert a.title == b.title
        assert a.run.value("peak_temperature") == pytest.approx(b.run.value("peak_temperature"), rel=1e-12)
    said = [share for stage, share in shares if stage == "3 runs, 2 at once"]
    assert said[-1] == 1.0
    assert said == sorted(said)
    cases[1].write_text(cases[1].read_text() + '[probes.outside]\nposition = ["1 m", "0 mm", "0 mm"]\n')
    with pytest.raises(CaseError, match="outside") as raised:
        compare(cases, tmp_path / "broken", jobs=2)
    assert any("strong failed; the others are compared" in note for note in raised.value.__notes__)
    assert read_run(tmp_path / "broken" / "third").value("peak_temperature") > 37.0


def test_one_after_the_other_where_processes_cannot_work_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers whose /dev/shm may not be written to."""
    assert 1 <= jobs_that_fit(3) <= 3

    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refused)
    assert jobs_that_fit(3) == 1
    with pytest.raises(CaseError, match="have /dev/shm writable"):
        Crew(2)


def test_the_package_offers_it() -> None:
    assert package_compare is compare


# --- rendering


@pytest.mark.render
def test_zones_under_one_camera(runs: list[Run], tmp_path: Path) -> None:
    comparison = write_comparison(runs[:2], tmp_path / "out")
    assert comparison.files[-1].name == "comparison_3d.png"
    image = read_png(comparison.files[-1])
    height, width = image.shape[:2]
    bands = np.array([[0.1, 0.48], [0.52, 0.9]]) * width
    body = image[int(0.2 * height) : int(0.75 * height)]
    first, second = (body[:, int(a) : int(b)] for a, b in bands)
    # the vein stands at the same height with the same length in both: same camera
    blue = np.array([47, 86, 148])
    rows = [(np.abs(part.astype(int) - blue).max(axis=-1) < 30).any(axis=1) for part in (first, second)]
    assert rows[0].sum() > 0.3 * height
    assert np.mean(rows[0] != rows[1]) < 0.02
    assert share_of(first, style.ZONE, 60) > 1e-3  # outline of the zone around the tumour
    assert share_of(second, style.UNCOVERED, 60) > 20 * share_of(first, style.UNCOVERED, 60)


def test_runs_with_one_title_are_told_apart(tmp_path: Path) -> None:
    runs = [read_run(write_sample(tmp_path / name, title="Same")) for name in ("first", "second")]
    comparison = write_comparison(runs, tmp_path / "out")
    assert [treatment.title for treatment in comparison.treatments] == ["Same (first)", "Same (second)"]


@pytest.mark.render
def test_one_process_draws_the_runs_and_their_comparison(tmp_path: Path) -> None:
    folders = [write_sample(tmp_path / name, title=name, cells=16) for name in ("first", "second")]
    with Aside() as aside:
        for folder in folders:
            aside.draw(folder)
        drawn, problem = aside.compare(describe([read_run(f) for f in folders]), tmp_path)
    assert problem is None
    assert [path.name for path in drawn] == ["comparison.png", "comparison_3d.png"]
    assert all((folder / "overview.png").exists() and (folder / "slices.png").exists() for folder in folders)
    assert all(path.exists() for path in drawn)


@pytest.mark.parametrize("end", ["kill", "refuse"])
def test_what_the_other_process_cannot_draw_is_drawn_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    here: list[Path] = []
    monkeypatch.setattr("thermal.view.pictures.draw", here.append)
    with Aside() as aside:
        aside.draw(tmp_path / "nothing")  # no run: it answers that it could not
        if end == "kill":
            assert aside._process is not None
            aside._process.kill()
            aside.draw(tmp_path / "more")
    assert here == [tmp_path / "nothing", *([tmp_path / "more"] if end == "kill" else [])]
