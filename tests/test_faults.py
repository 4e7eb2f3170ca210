"""What goes wrong around a run: killed at any moment, told to end, a damaged checkpoint, a folder that cannot be
written to, two at once, a clock that jumps. What is resumed ends bit for bit like what was left alone."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from thermal import load_case, simulate
from thermal.case import Case
from thermal.cli import main
from thermal.errors import CaseError
from thermal.store import Run, RunFolder
from thermal.store.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

CASE = """\
schema_version = 1
particles = { material = "iron_oxide_16" }
heating = { kind = "magnetic", frequency = "100 kHz", amplitude = "10 kA/m", on = [["0 s", "50 s"]] }
[delivery]
kind = "infusion"
entry = ["0 mm", "0 mm", "20 mm"]
tip = ["0 mm", "0 mm", "0 mm"]
port_radius = "1 mm"
flow = "0.2 ml/min"
duration = "1 min"
concentration = "60 mg/ml"
[anatomy]
kind = "phantom"
size = "40 mm"
voxel_size = "4 mm"
background = "liver"
tumour = "tumour"
shapes = [{ region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "8 mm" }]
[bioheat]
duration = "80 s"
[probes.middle]
position = ["0 mm", "0 mm", "0 mm"]
[numerics]
max_step = "4 s"
[output]
every = "10 s"
checkpoint = "1 ms"
pictures = false
"""
POINTS = ("stage:anatomy:1", "stage:delivery:2", "stage:bioheat:3", "before:write_fields", "replace:9")
MORE = (
    "stage:heating:1", "stage:bioheat:1", "stage:bioheat:12", "before:save_checkpoint", "after:save_checkpoint",
    "before:save_frame", "after:save_frame", "before:record", "after:record", "after:write_fields",
    "before:write_summary", "after:write_summary", "before:finish", *(f"replace:{n}" for n in range(1, 60, 4)),
)  # fmt: skip
"""Where else a process may die; ``before:record`` is before the first row."""
VOLATILE = ("wall_time", "peak_memory")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = tmp_path_factory.mktemp("case") / "case.toml"
    path.write_text(CASE)
    return load_case(path)


@pytest.fixture(scope="module")
def undisturbed(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return simulate(case, tmp_path_factory.mktemp("undisturbed") / "run")


def killed(case: Case, folder: Path, *points: str) -> list[int]:
    """How the processes ended that died at the points, in the folders 0, 1, ... below ``folder``."""
    assert case.origin is not None
    script = Path(__file__).parent / "kill_points.py"
    command = [sys.executable, str(script), str(case.origin.path), str(folder), *points]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [int(line.split()[-1]) for line in done.stdout.splitlines()]


def resumed(case: Case, folder: Path) -> Run:
    with RunFolder.open(folder, case, resume=True) as run:
        return simulate(case, run)


def assert_same(one: Run, other: Run) -> None:
    """Every number and every field, to the last bit."""
    numbers = [{k: e for k, e in run.summary.items() if k not in VOLATILE} for run in (one, other)]
    assert numbers[0] == numbers[1]
    assert (one.folder / "history.csv").read_bytes() == (other.folder / "history.csv").read_bytes()
    fields = [_datasets(run.folder / "fields.h5") for run in (one, other)]
    assert fields[0].keys() == fields[1].keys()
    for name, values in fields[0].items():
        np.testing.assert_array_equal(values, fields[1][name], err_msg=name)


def _datasets(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".") or "checkpoint" in path.name]


# ------------------------------------------------------------------------------------------------ killed


@pytest.mark.parametrize("points", [POINTS, pytest.param(MORE, marks=pytest.mark.slow)])
def test_killed_at_every_stage(case: Case, undisturbed: Run, tmp_path: Path, points: tuple[str, ...]) -> None:
    assert killed(case, tmp_path, *points) == [-9] * len(points)
    for number in range(len(points)):
        run = resumed(case, tmp_path / str(number))
        assert_same(run, undisturbed)
        assert leftovers(run.folder) == []


@pytest.mark.slow
def test_killed_at_random_moments(case: Case, undisturbed: Run, tmp_path: Path) -> None:
    """Somewhere in a run, in compiled code or between: moments of the clock, other ones every time."""
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    points = [f"seconds:{draw.uniform(0.0, 4.0):.4f}" for _ in range(20)]
    ends = killed(case, tmp_path, *points)
    assert set(ends) <= {-9, 0}, seed
    for number, end in enumerate(ends):
        folder = tmp_path / str(number)
        run = resumed(case, folder) if end == -9 or not (folder / "status").exists() else simulate(case, folder)
        assert_same(run, undisturbed)


def test_killed_again_and_again(case: Case, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost each time is the work since the last checkpoint."""

    class Died(BaseException):
        pass

    reports = itertools.count()

    def report(stage: str, share: float) -> None:
        if stage == "bioheat" and next(reports) % 5 == 4:
            raise Died

    monkeypatch.setattr(RunFolder, "_end_early", lambda run, error: None)  # a killed process says nothing
    deaths = 0
    for _ in range(40):
        try:
            with RunFolder.open(tmp_path / "run", case, resume=True) as run:
                result = simulate(case, run, report)
            break
        except Died:
            deaths += 1
    assert deaths >= 3
    assert_same(result, undisturbed)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_told_to_end(case: Case, undisturbed: Run, tmp_path: Path, name: str) -> None:
    assert killed(case, tmp_path, f"{name}@stage:bioheat:4") == [130]
    assert (tmp_path / "0" / "checkpoint.npz").exists()
    assert '"interrupted"' in (tmp_path / "0" / "status").read_text()
    assert_same(resumed(case, tmp_path / "0"), undisturbed)


# ---------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("damaged", [("checkpoint.npz",), ("checkpoint.npz", "checkpoint-previous.npz")])
def test_damaged_checkpoints_cost_time_alone(
    case: Case, undisturbed: Run, tmp_path: Path, damaged: tuple[str, ...]
) -> None:
    """With one damaged the one before it serves, with both the run begins again; the log says so."""
    killed(case, tmp_path, "stage:bioheat:8")
    folder = tmp_path / "0"
    for name in damaged:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0x40
        (folder / name).write_bytes(bytes(data))
    run = resumed(case, folder)
    assert_same(run, undisturbed)
    assert (folder / "log.txt").read_text().count("is damaged") == len(damaged)


def test_a_checkpoint_of_another_case_is_not_taken(case: Case, tmp_path: Path) -> None:
    killed(case, tmp_path, "stage:bioheat:8")
    assert case.origin is not None
    other = load_case(case.origin.path, ["heating.amplitude=12 kA/m"])
    with pytest.raises(CaseError, match=r"holds a run of another case \(heating\.amplitude"):
        RunFolder.open(tmp_path / "0", other, resume=True)


def test_what_is_moved_from_another_folder_is_not_taken(case: Case, tmp_path: Path) -> None:
    """A checkpoint with the history and the frames that belong to it: all of it is whole, but of a stronger field."""
    assert case.origin is not None
    other = tmp_path / "other.toml"
    other.write_text(CASE.replace("10 kA/m", "12 kA/m"))
    killed(case, tmp_path / "one", "stage:bioheat:8")
    killed(load_case(other), tmp_path / "other", "stage:bioheat:8")
    one, other = (tmp_path / name / "0" for name in ("one", "other"))
    for name in ("checkpoint.npz", "checkpoint-previous.npz", "history.csv"):
        shutil.copy(other / name, one / name)
    shutil.rmtree(one / "frames")
    shutil.copytree(other / "frames", one / "frames")
    with pytest.raises(CaseError, match=r"its checkpoint is that of another case, .* start again with --force"):
        resumed(case, one)
    assert (one / "checkpoint.npz").exists()


def test_checkpoints_of_another_form_are_refused(case: Case, tmp_path: Path) -> None:
    """Whole and of this very case, as another state of the program may have written them."""
    killed(case, tmp_path, "stage:bioheat:8")
    folder = tmp_path / "0"
    whole, _ = load_checkpoint(folder)
    assert whole is not None
    for name in ("version", "case_hash", "time", "stages", "lowest", "temperature", "damage.cem43"):
        arrays, meta = (
            {key: value for key, value in part.items() if key != name} for part in (whole.arrays, whole.meta)
        )
        for _ in range(2):
            save_checkpoint(folder, Checkpoint(arrays, meta))
        with pytest.raises(CaseError, match="start again with --force"):
            resumed(case, folder)


# ------------------------------------------------------------------------------------- folders, clocks, others


def test_a_folder_that_cannot_be_written_to(case: Case, tmp_path: Path) -> None:
    """In a process that is not the superuser, whom no mode of a folder stops."""
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    assert case.origin is not None
    program = (
        "import os, sys\nfrom thermal import load_case\nfrom thermal.errors import CaseError\n"
        "from thermal.store import RunFolder\ncase = load_case(sys.argv[1])\nos.chdir(sys.argv[2])\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: RunFolder.open('run', case)\nexcept CaseError as error: sys.exit(str(error))"
    )
    command = [sys.executable, "-c", program, str(case.origin.path), str(closed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[0]  # coverage, where it is measured, complains of the same below
    assert said == "run: cannot be written to (Permission denied); choose another folder with --out"


def test_two_processes_on_one_folder(case: Case, undisturbed: Run, tmp_path: Path) -> None:
    """The second is refused and told who is there; the first goes on undisturbed."""
    assert case.origin is not None
    command = [sys.executable, "-m", "thermal", "run", str(case.origin.path), "--out", str(tmp_path / "run"), "--quiet",
               "--set", "output.checkpoint=1 h"]  # fmt: skip
    first = subprocess.Popen(command)
    try:
        end = time.monotonic() + 120.0
        while not (tmp_path / "run" / "history.csv").exists():
            assert first.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(first.pid, 19)  # SIGSTOP: it cannot finish before the second comes
        second = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
        forced = subprocess.run([*command, "--force"], capture_output=True, text=True, check=False)
    finally:
        os.kill(first.pid, 18)
        assert first.wait(120) == 0
    for refused in (second, forced):
        assert refused.returncode == 2
        assert f"is in use by process {first.pid}" in refused.stderr
    again = load_case(case.origin.path, ["output.checkpoint=1 h"])
    assert_same(simulate(again, tmp_path / "run"), undisturbed)


def test_a_clock_that_jumps(case: Case, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backwards by a year at every look; a run is resumed in its own past."""
    years = itertools.count(0, -31_557_600)
    real, counter = time.strftime, time.perf_counter
    monkeypatch.setattr(time, "time", lambda: 2e9 + next(years))
    monkeypatch.setattr(time, "strftime", lambda form, *_: real(form, time.gmtime(2e9 + next(years))))
    monkeypatch.setattr(time, "perf_counter", lambda: counter() + next(years))
    killed(case, tmp_path, "stage:bioheat:8")
    for folder in (tmp_path / "0", tmp_path / "new"):
        assert_same(resumed(case, folder), undisturbed)


def test_a_run_that_is_done_stays_done(case: Case, undisturbed: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.origin is not None
    before = {path: path.stat().st_mtime_ns for path in undisturbed.folder.iterdir()}
    for more in ([], ["--resume"]):
        assert main(["run", str(case.origin.path), "--out", str(undisturbed.folder), *more]) == 0
        assert "already done" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in undisturbed.folder.iterdir()} == before


@pytest.mark.parametrize("name", ["history.csv", "frames"])
def test_what_a_checkpoint_builds_on_is_not_believed(case: Case, tmp_path: Path, name: str) -> None:
    """A flipped bit in a frame or a digit of the history would end up in the results."""
    killed(case, tmp_path, "stage:bioheat:9")
    folder = tmp_path / "0"
    path = folder / name if name != "frames" else sorted((folder / name).iterdir())[0]
    whole = path.read_bytes()
    place = whole.rindex(b"37.") + 1 if name != "frames" else len(whole) - 1
    path.write_bytes(whole[: place - 1] + bytes([whole[place - 1] ^ 1]) + whole[place:])
    with pytest.raises(CaseError, match=f"{name} of this unfinished run are not what its checkpoint knows of"):
        resumed(case, folder)


@pytest.mark.parametrize("name", ["log.txt", "history.csv", "frames", "checkpoint.npz", "status", "lock"])
def test_a_run_writes_to_no_link_of_its_folder(case: Case, tmp_path: Path, name: str) -> None:
    """The folder may come from somebody who wishes that this process would write elsewhere."""
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with pytest.raises(KeyboardInterrupt), RunFolder.open(folder, case):
        raise KeyboardInterrupt
    elsewhere.write_text("precious")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(elsewhere)
    for resume in (True, False):
        with pytest.raises(CaseError, match=f"{name}: is a link, a pipe or a device"):
            RunFolder.open(folder, case, resume=resume, force=not resume)
    assert elsewhere.read_text() == "precious"


def test_a_lock_that_is_a_link(case: Case, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(elsewhere)
    with pytest.raises(CaseError, match=r"cannot be written to .*symbolic links"):
        RunFolder.open(tmp_path / "run", case)
    assert elsewhere.read_text() == "precious"


def test_a_folder_whose_name_no_disk_takes(case: Case, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"cannot be written to .File name too long"):
        RunFolder.open(tmp_path / ("n" * 300), case)
