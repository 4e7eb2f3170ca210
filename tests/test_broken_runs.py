"""Run folders that are broken, unfinished or of other versions: every command says so, and none shows a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from batches import GRID, index, written
from sample_run import write_sample

from thermal.cli import main
from thermal.store.lock import Lock
from thermal.view import rendering_problem

Break = Callable[[Path], Any]


def state(word: str, message: str = "") -> Break:
    return lambda folder: (folder / "status").write_text(json.dumps({"state": word, "message": message}))


def inside(change: Callable[[Any], Any]) -> Break:
    def broken(folder: Path) -> None:
        with h5py.File(folder / "fields.h5", "r+") as file:
            change(file)

    return broken


def short_field(file: Any) -> None:
    del file["static/zone"]
    entry = file.create_dataset("static/zone", data=[1.0, 2.0])
    entry.attrs.update({"unit": "", "long_name": "zone"})


def replaced(file: Any, name: str, values: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, data=values)


BROKEN: dict[str, tuple[Break, str]] = {
    "killed": (state("running"), "it was killed.*--resume"),
    "failed": (state("failed", "no convergence"), "failed: no convergence.*--resume"),
    "interrupted": (state("interrupted"), "interrupted.*--resume"),
    "no fields": (lambda f: (f / "fields.h5").unlink(), "fields.h5: is missing.*--force"),
    "other fields": (lambda f: (f / "fields.h5").write_bytes(b"not HDF"), "fields.h5: is damaged.*--force"),
    "half of the fields": (lambda f: os.truncate(f / "fields.h5", 20_000), "fields.h5: is damaged.*truncated"),
    "no summary": (lambda f: (f / "summary.json").unlink(), "summary.json: is missing"),
    "other summary": (lambda f: (f / "summary.json").write_text('{"a": 1}'), "summary.json: is damaged"),
    "no case": (lambda f: (f / "resolved.json").unlink(), "resolved.json: is missing"),
    "empty status": (lambda f: (f / "status").write_text(""), "status: is damaged"),
    "no devices": (inside(lambda h: h.__delitem__("devices")), "is damaged.*devices"),
    "no law": (inside(lambda h: h.attrs.__delitem__("zone_law")), "is damaged.*zone_law"),
    "short field": (inside(short_field), r"is damaged.*static/zone has the shape \(2,\), not \(1331,\)"),
    "newer mesh": (inside(lambda h: h["mesh"].attrs.__setitem__("kind", "octree")), '"octree", not voxel.*newer'),
}
READ_LATE = ("short field",)
"""Seen only when a picture wants the field: where nothing can be drawn, that is said first."""
CRAFTED: dict[str, tuple[Break, str]] = {
    "deep summary": (lambda f: (f / "summary.json").write_text("[" * 100_000), "summary.json: is damaged"),
    "larger than any machine": (
        inside(lambda h: h.create_dataset("static/huge", shape=(10**13,), chunks=(10**6,), dtype="f8")),
        "static/huge has 1e.13 values, more than this machine can hold",
    ),
    "way into another file": (
        inside(lambda h: h["static"].__setitem__("other", h5py.ExternalLink("/tmp/other.h5", "/x"))),
        "other in /static leads elsewhere",
    ),
    "values of another file": (
        inside(lambda h: h.create_dataset("static/passwd", (8,), "u1", external=[("/etc/passwd", 0, 8)])),
        "static/passwd has its values in another file",
    ),
    "circle": (inside(lambda h: h["static"].__setitem__("all", h["/"])), "all in /static stands there twice"),
    "groups without end": (inside(lambda h: h.create_group("a/b/c/d")), "deeper than 3 names"),
    "words for numbers": (inside(lambda h: replaced(h, "static/zone", ["a", "b"])), "static/zone holds object"),
    "axis that turns back": (
        inside(lambda h: replaced(h, "mesh/axes_x", h["mesh/axes_x"][()][::-1])),
        "mesh/axes_x is no axis",
    ),
    "short solid": (inside(lambda h: replaced(h, "mesh/solid", [True])), r"mesh/solid has the shape \(1,\)"),
    "time that is none": (inside(lambda h: replaced(h, "series/time", [float("nan")])), "series/time .*not finite"),
    "devices of another kind": (
        inside(lambda h: h["devices"].attrs.__setitem__("json", '[{"start": 5}]')),
        "is damaged",
    ),
    "flat background": (inside(lambda h: replaced(h, "background/values", [1.0])), "background/values has 1 axes"),
}
"""What no run writes, but somebody may."""
COMMANDS = {
    "view": ("view", "{run}", "--screenshot", "{out}.png"),
    "movie": ("view", "{run}", "--movie", "{out}.gif"),
    "report": ("report", "{run}", "-o", "{out}.html"),
    "export": ("export", "{run}"),
}


def said(capsys: pytest.CaptureFixture[str], run: Path, command: str) -> tuple[int, str]:
    words = [word.format(run=run, out=run.parent / "out") for word in COMMANDS[command]]
    code = main(words)
    return code, capsys.readouterr().err


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "run", cells=10)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_said(run: Path, capsys: pytest.CaptureFixture[str], name: str, command: str) -> None:
    if name in READ_LATE and command in ("view", "movie") and (problem := rendering_problem()) is not None:
        pytest.skip(str(problem))
    damage, words = BROKEN[name]
    damage(run)
    code, error = said(capsys, run, command)
    assert code == 2
    assert re.search(words, error), error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not list(run.parent.glob("out*"))


@pytest.mark.parametrize("name", CRAFTED)
def test_what_no_run_writes_is_not_believed(run: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    damage, words = CRAFTED[name]
    damage(run)
    code, error = said(capsys, run, "export")
    assert code == 2
    assert re.search(words, error), error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", ["case.toml", "fields.h5", "log.txt", "export/series.pvd"])
def test_nothing_in_a_run_folder_leads_elsewhere(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    """Or a report would hold a file of the reader, an export overwrite one, and a pipe be waited for."""
    elsewhere, inside_run = run.parent / "elsewhere", run / name
    elsewhere.write_text("precious")
    inside_run.parent.mkdir(exist_ok=True)
    inside_run.unlink(missing_ok=True)
    if kind == "link":
        inside_run.symlink_to(elsewhere)
    else:
        os.mkfifo(inside_run)
    for command in ("report", "export"):
        code, error = said(capsys, run, command)
        assert code == 2
        assert f"{name}: is a link, a pipe or a device" in error
    assert elsewhere.read_text() == "precious"
    assert not list(run.parent.glob("out*"))


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, words in (("nowhere", "no such run folder"), ("empty", "is no run folder"), ("file", "no such run")):
        code, error = said(capsys, tmp_path / name, command)
        assert code == 2
        assert words in error


@pytest.mark.parametrize("name", ["cells", "boundaries/surface"])
def test_a_mesh_that_names_nodes_that_there_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Which would end the program in another library's compiled code."""
    run = write_sample(tmp_path / "run", kind="mesh", cells=4)

    def damage(file: Any) -> None:
        found = file[f"mesh/{name}"][()] if f"mesh/{name}" in file else [[0, 1, 2]]
        replaced(file, f"mesh/{name}", [[*found[0][:-1], 10**9]])

    inside(damage)(run)
    code, error = said(capsys, run, "export")
    assert code == 2
    assert f"mesh/{name} names nodes that there are not" in error


def test_a_run_that_is_being_computed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state("running")(run)
    lock = Lock(run)
    lock.acquire()
    try:
        code, error = said(capsys, run, "report")
    finally:
        lock.release()
    assert code == 2
    assert f"still being computed, by process {os.getpid()}" in error
    assert Lock(run).held_by() == ""


@pytest.mark.render
def test_a_frame_that_is_missing_is_said_by_what_needs_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if (problem := rendering_problem()) is not None:
        pytest.skip(problem)
    inside(lambda h: h["series/temperature"].__delitem__("00003"))(run)
    assert said(capsys, run, "view")[0] == 0
    code, error = said(capsys, run, "movie")
    assert code == 2
    assert "00003" in error
    assert not list(run.parent.glob("out.gif"))


@pytest.mark.render
def test_a_run_without_its_zone_is_shown_with_a_warning(
    run: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    if (problem := rendering_problem()) is not None:
        pytest.skip(problem)
    inside(lambda h: h["static"].__delitem__("zone"))(run)
    assert said(capsys, run, "view")[0] == 0
    assert "no ablation zone is shown" in caplog.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "nothing given"),
        (("{run}", "--screenshot", "a.png", "--web"), "give one of"),
        (("{run}", "--set", "a.b=1"), "shown as they are"),
        (("{run}", "--movie", "a.avi"), r"\.mp4 or \.gif"),
        (("{run}", "--screenshot", "a.doc"), "is no picture"),
    ],
)
def test_requests_that_make_no_sense(
    run: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    assert main(["view", *(word.format(run=run) for word in words)]) == 2
    assert re.search(expected, capsys.readouterr().err)


def test_nothing_in_the_current_folder_is_imported(tmp_path: Path, run: Path) -> None:
    """Not by the processes that a batch starts either, nor by those that draw: it may be a stranger's run folder."""
    for module in ("json", "multiprocessing", "numpy", "pickle", "pyvista", "thermal"):
        (run / f"{module}.py").write_text("open('imported', 'a').write(__name__)\nraise SystemExit(3)\n")
    script = tmp_path / "thermal_as_installed.py"
    script.write_text(
        "import sys\nfrom thermal.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    sweep = written(tmp_path, GRID.replace('"delivery.concentration" = ["4 mg/ml", "8 mg/ml"]\n', ""))
    for command in (["batch", str(sweep), "--jobs", "2", "--out", str(tmp_path / "batch")], ["report", "."]):
        done = subprocess.run(
            [sys.executable, str(script), *command], cwd=run, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert not (run / "imported").exists()
    assert {row["status"] for row in index(tmp_path / "batch")} == {"done"}
