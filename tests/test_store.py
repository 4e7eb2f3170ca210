"""Run folders: nothing half written, nothing lost, nothing silently replaced."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from thermal.case import Case, load_case
from thermal.domain import Line, MeshDomain, VoxelDomain
from thermal.errors import CaseError
from thermal.physics.scene import Device, Reading
from thermal.store import Field, Fields, KeptFrames, RunFolder, is_run, read_run
from thermal.store.checkpoint import CURRENT, PREVIOUS, Checkpoint, load_checkpoint, save_checkpoint
from thermal.store.files import atomic, json_safe, read_json, write_json
from thermal.store.history import HistoryFile, read_history
from thermal.store.lock import Lock

CASE = """\
schema_version = 1
title = "box"
[anatomy]
kind = "phantom"
size = "20 mm"
voxel_size = "5 mm"
background = "liver"
[bioheat]
duration = "1 min"
"""


@pytest.fixture
def case(tmp_path: Path) -> Case:
    path = tmp_path / "case.toml"
    path.write_text(CASE)
    return load_case(path)


def other(tmp_path: Path, *overrides: str) -> Case:
    return load_case(tmp_path / "case.toml", overrides)


def voxels() -> VoxelDomain:
    axis = np.linspace(0, 0.01, 3)
    return VoxelDomain((axis, axis, axis), {"liver": np.ones(8), "void space": np.zeros(8)}, np.arange(8) > 0)


def fields(frames: int = 2) -> Fields:
    values = np.arange(27.0)
    return Fields(
        domain=voxels(), title="box", tumour="liver", zone_field="arrhenius", zone_level=0.0, zone_law="arrhenius",
        static={"arrhenius": Field(values, "1", "ln of Omega"), "fluence rate": Field(values * 2, "W/m^2")},
        devices=(Device("needle", "port", Line((0.0, 0.0, 0.0), (0.0, 0.0, 0.01), 0.0005)),),
        times=np.arange(frames) * 30.0, frames=KeptFrames([values + i for i in range(frames)]),
        background=(np.ones((2, 2, 2)), np.eye(4)),
    )  # fmt: skip


def finish(folder: RunFolder) -> None:
    folder.record(0.0, {"peak_temperature": Reading(37.0, "degC")})
    folder.write_summary({"zone.volume": Reading(1e-6, "m^3"), "zone.law": "arrhenius", "bad": (float("nan"), "s")})
    folder.write_fields(fields())
    folder.finish()


def refusal(path: Path, case: Case, *, resume: bool = False, force: bool = False) -> str:
    with pytest.raises(CaseError) as caught:
        RunFolder.open(path, case, resume=resume, force=force)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ files


def test_atomic_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic(path) as scratch:  # noqa: PT012
        scratch.write_text("half")
        _ = 1 / 0
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_process_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    code = """
    import os, pathlib, signal, sys
    from thermal.store.files import atomic
    with atomic(pathlib.Path(sys.argv[1])) as scratch:
        scratch.write_text("half a fi")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "a.json")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_json_is_safe_for_every_reader() -> None:
    data = {
        "nan": float("nan"),
        "inf": np.float64("-inf"),
        "array": np.arange(2),
        "n": np.int64(3),
        "p": Path("x"),
        1: True,
    }
    safe = json_safe(data)
    assert safe == {"nan": None, "inf": None, "array": [0, 1], "n": 3, "p": "x", "1": True}
    json.dumps(safe, allow_nan=False)


@pytest.mark.parametrize("content", ["{", "[]", "", "\x00"])
def test_damaged_json_is_said_to_be_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(CaseError, match=r"a\.json: is damaged .*--force"):
        read_json(tmp_path / "a.json")


# ------------------------------------------------------------------------------------------------ lock


def test_a_second_run_is_refused_and_told_who_is_there(tmp_path: Path, case: Case) -> None:
    with RunFolder.open(tmp_path / "out", case):
        message = refusal(tmp_path / "out", case, force=True)
        assert f"is in use by process {os.getpid()} on " in message
        assert "--out" in message
    assert not (tmp_path / "out" / "lock").exists()


def test_a_lock_of_a_killed_process_breaks_by_itself(tmp_path: Path, case: Case) -> None:
    code = """
    import os, pathlib, signal, sys
    from thermal.store.lock import Lock
    Lock(pathlib.Path(sys.argv[1])).acquire()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(out)], check=False)
    assert (out / "lock").exists()
    RunFolder.open(out, case).close()


def test_a_lock_held_by_a_living_process_holds(tmp_path: Path, case: Case) -> None:
    code = """
    import pathlib, sys, time
    from thermal.store.lock import Lock
    Lock(pathlib.Path(sys.argv[1])).acquire()
    print("held", flush=True)
    time.sleep(60)
    """
    out = tmp_path / "out"
    out.mkdir()
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(out)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            assert f"process {holder.pid} on " in refusal(out, case)
        finally:
            holder.kill()
    RunFolder.open(out, case).close()


def test_a_lock_of_another_machine_is_respected(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": "yesterday"}))
    assert f"process 1 on elsewhere at yesterday; if that process is gone, delete {out / 'lock'}" in refusal(out, case)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_damaged_lock_file_of_nobody_is_taken(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    lock = Lock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()


# ------------------------------------------------------------------------------------------------ states


def test_a_finished_run_of_the_same_case_is_reused(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "deep" / "out"
    with RunFolder.open(out, case) as folder:
        finish(folder)
    for resume in (False, True):
        with RunFolder.open(out, case, resume=resume) as again:
            assert again.finished
    assert read_json(out / "status")["state"] == "done"
    assert not list(out.glob("checkpoint*"))
    assert not (out / "frames").exists()
    with RunFolder.open(out, case, force=True) as forced:
        assert not forced.finished
        assert not (out / "summary.json").exists()


@pytest.mark.parametrize("name", ["summary.json", "resolved.json", "history.csv", "fields.h5", "provenance.json"])
def test_damaged_results_are_not_taken_for_done(tmp_path: Path, case: Case, name: str) -> None:
    with RunFolder.open(tmp_path / "out", case) as folder:
        finish(folder)
    content = bytearray((tmp_path / "out" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "out" / name).write_bytes(content)
    assert f"of its results {name} is damaged or has been changed" in refusal(tmp_path / "out", case)
    with pytest.raises(CaseError, match=rf"{name}: is damaged or has been changed since the run wrote it"):
        read_run(tmp_path / "out").fields  # noqa: B018  # only reading them opens the file
    with RunFolder.open(tmp_path / "out", case, force=True) as folder:
        finish(folder)
    assert RunFolder.open(tmp_path / "out", case).finished


def test_a_finished_run_may_lie_where_nothing_can_be_written(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(_: Lock, *, sole: bool) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with RunFolder.open(tmp_path / "out", case) as folder:
        finish(folder)
    monkeypatch.setattr(Lock, "acquire", read_only)
    assert RunFolder.open(tmp_path / "out", case).finished
    assert "Read-only file system" in refusal(tmp_path / "out", case, force=True)
    assert "Read-only file system" in refusal(tmp_path / "new", case)


def test_a_full_disk_is_called_so(tmp_path: Path, case: Case) -> None:
    with RunFolder.open(tmp_path / "out", case) as folder:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
        try:
            with pytest.raises(OSError, match="too large") as error:  # EFBIG instead of ENOSPC, which needs a disk
                folder.save_frame(0.0, np.zeros(10_000), np.zeros(10_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, before)
        assert error.value.errno == errno.EFBIG
        finish(folder)


def test_another_case_is_refused_and_the_difference_is_named(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    with RunFolder.open(out, case) as folder:
        finish(folder)
    changed = other(tmp_path, "bioheat.duration=2 min", "title=else")
    for resume in (False, True):
        message = refusal(out, changed, resume=resume)
        assert "holds a run of another case" in message
        assert "bioheat.duration: 60 s -> 120 s" in message
        assert "--force" in message
    with RunFolder.open(out, changed, force=True) as folder:
        finish(folder)
    assert read_run(out).resolved["bioheat"]["duration"] == {"value": 120.0, "unit": "s"}


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (KeyboardInterrupt("terminated"), "interrupted", "was interrupted (KeyboardInterrupt: terminated)"),
        (RuntimeError("boom"), "failed", "failed (RuntimeError: boom)"),
    ],
)
def test_an_unfinished_run_needs_a_decision(
    tmp_path: Path, case: Case, error: BaseException, state: str, words: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(type(error)), RunFolder.open(out, case) as folder:  # noqa: PT012
        folder.save_checkpoint({"T": np.arange(3.0)}, {"time": 10.0})
        raise error
    assert read_json(out / "status")["state"] == state
    message = refusal(out, case)
    assert words in message
    assert "--resume" in message
    with RunFolder.open(out, case, resume=True) as folder:
        checkpoint = folder.load_checkpoint()
        assert checkpoint is not None
        assert checkpoint.meta["time"] == 10.0
        assert folder.resuming
    with RunFolder.open(out, case, force=True) as folder:
        assert folder.load_checkpoint() is None
    assert "contradict" in refusal(out, case, resume=True, force=True)


def test_a_failure_is_logged(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError) as caught, RunFolder.open(out, case):  # noqa: PT012
        logging.getLogger("thermal").info("half way")
        raise RuntimeError("boom")
    log = (out / "log.txt").read_text()
    assert "half way" in log
    assert "Traceback" in log
    assert "RuntimeError: boom" in log
    assert caught.value.__notes__ == [f"log: {out / 'log.txt'}"]


def test_refused_input_leaves_no_folder(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    with pytest.raises(CaseError), RunFolder.open(out, case):
        raise CaseError("tissues.liver.optics: none")
    assert not out.exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    for force in (False, True):
        assert 'holds other files ("thesis.tex" ...) and no run' in refusal(out, case, force=force)
    assert sorted(path.name for path in out.iterdir()) == ["thesis.tex"]
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be written to" in refusal(file, case)


def test_force_removes_the_run_and_nothing_else(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    with RunFolder.open(out, case) as folder:
        finish(folder)
    (out / "notes.md").write_text("mine")
    RunFolder.open(out, case, force=True).close()
    assert (out / "notes.md").read_text() == "mine"
    assert not (out / "fields.h5").exists()


def test_changed_input_files_change_the_identity(tmp_path: Path) -> None:
    (tmp_path / "m.msh").write_text("one")
    text = CASE.replace(
        'kind = "phantom"\nsize = "20 mm"\nvoxel_size = "5 mm"\nbackground = "liver"',
        'kind = "mesh"\nfile = "m.msh"',
    )
    (tmp_path / "case.toml").write_text(text)
    case = load_case(tmp_path / "case.toml")
    with RunFolder.open(tmp_path / "out", case) as folder:
        finish(folder)
    (tmp_path / "m.msh").write_text("two")
    assert "anatomy.file: the file has changed" in refusal(tmp_path / "out", case)
    (tmp_path / "m.msh").unlink()
    message = refusal(tmp_path / "out", case)
    assert "case.toml:" in message
    assert "no such file" in message


# ------------------------------------------------------------------------------------------------ checkpoints


def test_checkpoints_are_exact(tmp_path: Path) -> None:
    arrays = {
        "T": np.array([1 / 3, -0.0, np.inf, np.nan]),
        "flags": np.array([True]),
        "n": np.int64(3),
        "a/b": np.empty((0, 3)),
    }
    meta = {"time": 0.1 + 0.2, "rows": [1e-300, 2], "name": "x"}
    save_checkpoint(tmp_path, Checkpoint(arrays, meta))
    found, notes = load_checkpoint(tmp_path)
    assert found is not None
    assert notes == ()
    assert found.meta == meta
    assert set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True) if name != "n" else None
        assert found.arrays[name].dtype == np.asarray(array).dtype


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    for step in (1.0, 2.0):
        save_checkpoint(tmp_path, Checkpoint({"T": np.full(1000, step)}, {"time": step}))
    path = tmp_path / CURRENT
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else b"no archive")
    found, notes = load_checkpoint(tmp_path)
    assert found is not None
    assert found.meta["time"] == 1.0
    assert len(notes) == (0 if damage == "gone" else 1)
    (tmp_path / PREVIOUS).unlink()
    assert load_checkpoint(tmp_path)[0] is None


def test_every_single_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    array = np.arange(8.0)
    save_checkpoint(tmp_path, Checkpoint({"T": array}, {"time": 1.5}))
    path = tmp_path / CURRENT
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        found, _ = load_checkpoint(tmp_path)
        if found is not None:
            np.testing.assert_array_equal(found.arrays["T"], array)
            assert found.meta == {"time": 1.5}


def test_a_process_killed_between_two_checkpoints_can_resume(tmp_path: Path) -> None:
    code = """
    import pathlib, sys
    import numpy as np
    from thermal.store.checkpoint import Checkpoint, save_checkpoint
    print("ready", flush=True)
    for step in range(100000):
        save_checkpoint(pathlib.Path(sys.argv[1]), Checkpoint({"T": np.full(5000, float(step))}, {"time": float(step)}))
    """
    for delay in (0.05, 0.11, 0.17):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            while not (tmp_path / PREVIOUS).exists() and writer.poll() is None:
                time.sleep(0.01)
            time.sleep(delay)
            writer.kill()
        found, _ = load_checkpoint(tmp_path)
        assert found is not None
        np.testing.assert_array_equal(found.arrays["T"], found.meta["time"])


def test_another_version_of_the_program_does_not_resume(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt), RunFolder.open(tmp_path / "out", case) as folder:  # noqa: PT012
        folder.save_checkpoint({}, {"time": 1.0})
        raise KeyboardInterrupt
    monkeypatch.setattr("thermal.store.folder.thermal_version", lambda: "99.0")
    with (
        pytest.raises(CaseError, match=r"cannot be resumed by 99\.0"),
        RunFolder.open(tmp_path / "out", case, resume=True) as folder,
    ):
        folder.load_checkpoint()


# ------------------------------------------------------------------------------------------------ history and frames


def test_history_is_exact_and_grows_columns(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "history.csv")
    file.append(0.0, {"power": Reading(1 / 3, "W")})
    file.append(0.1 + 0.2, {"power": Reading(float("nan"), "W"), "dose [43]": Reading(2.0, "min")})
    found = read_history(tmp_path / "history.csv")
    assert list(found.columns) == ["time", "power", "dose [43]"]
    assert found.units == {"time": "s", "power": "W", "dose [43]": "min"}
    assert found.time[1] == 0.1 + 0.2
    assert found["power"][0] == 1 / 3
    assert np.isnan(found["power"][1])
    assert np.isnan(found["dose [43]"][0])
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header == "time [s],power [W],dose [43] [min]"


def test_an_incomplete_last_line_is_dropped(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "history.csv")
    file.append(1.0, {"power": Reading(2.0, "W")})
    with (tmp_path / "history.csv").open("a") as stream:
        stream.write("2.0,3")
    assert read_history(tmp_path / "history.csv").time.tolist() == [1.0]
    (tmp_path / "history.csv").write_text("time [s],power [W]\n1.0,much\n")
    with pytest.raises(CaseError, match=r"is damaged"):
        read_history(tmp_path / "history.csv")


def test_resuming_rewinds_history_and_frames_to_the_checkpoint(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), RunFolder.open(out, case) as folder:  # noqa: PT012
        assert folder.load_checkpoint() is None
        for now in (0.0, 0.1 + 0.2, 20.0, 30.0):
            folder.record(now, {"peak": Reading(37 + now, "degC")})
            folder.save_frame(now, np.full(4, now), np.full(4, -now))
            if now == 20.0:
                folder.save_checkpoint({"T": np.full(4, now)}, {"time": now})
        raise KeyboardInterrupt
    with RunFolder.open(out, case, resume=True) as folder:
        checkpoint = folder.load_checkpoint()
        assert checkpoint is not None
        assert folder.history().time.tolist() == [0.0, 0.1 + 0.2, 20.0]
        assert folder.frame_times.tolist() == [0.0, 0.1 + 0.2, 20.0]
        folder.record(25.0, {"peak": Reading(1.0, "degC")})
        folder.save_frame(25.0, np.full(4, 25.0), np.full(4, -25.0))
        assert folder.frames.temperature(3).tolist() == [25.0] * 4
        assert len(folder.frames) == 4
    assert read_history(out / "history.csv").time.tolist() == [0.0, 0.1 + 0.2, 20.0, 25.0]


# ------------------------------------------------------------------------------------------------ reading


def test_a_run_reads_back(tmp_path: Path, case: Case) -> None:
    out = tmp_path / "out"
    with RunFolder.open(out, case) as folder:
        finish(folder)
    run = read_run(out)
    assert is_run(out)
    assert run.value("zone.volume") == 1e-6
    assert run.summary["zone.law"] == {"value": "arrhenius", "unit": ""}
    assert run.summary["bad"] == {"value": None, "unit": "s"}
    assert run.history["peak_temperature"].tolist() == [37.0]
    assert (run.title, run.tumour, run.zone_law, run.zone_level) == ("box", "liver", "arrhenius", 0.0)
    assert isinstance(run.domain, VoxelDomain)
    assert run.domain.shares["void space"].sum() == 0
    assert run.domain.solid.tolist() == [False] + [True] * 7
    assert run.static["arrhenius"].long_name == "ln of Omega"
    assert run.static["fluence rate"].unit == "W/m^2"
    assert run.times.tolist() == [0.0, 30.0]
    assert run.temperature(-1)[3] == 4.0
    assert run.devices[0] == fields().devices[0]
    assert run.background is not None
    assert run.provenance["versions"]["numpy"] == np.__version__
    assert set(run.provenance) >= {"started", "ended", "wall_time_s", "peak_memory_bytes", "seeds", "case_hash", "argv"}
    assert (out / "case.toml").read_text() == CASE
    with pytest.raises(IndexError):
        run.temperature(2)
    with pytest.raises(KeyError, match=r"zone\.volume"):
        run.value("zone.volum")


def test_meshes_read_back(tmp_path: Path) -> None:
    from thermal.store.fields import read_fields, write_fields

    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    mesh = MeshDomain(corners, np.array([[0, 1, 2, 3]]), {"liver": np.ones(1)}, {"skin": np.array([[0, 1, 2]])})
    given = Fields(mesh, "t", "", "cem43", 1.0, "cem43", {})
    write_fields(tmp_path / "fields.h5", given)
    found = read_fields(tmp_path / "fields.h5")
    assert isinstance(found.domain, MeshDomain)
    np.testing.assert_array_equal(found.domain.cells, mesh.cells)
    np.testing.assert_array_equal(found.domain.boundaries["skin"], [[0, 1, 2]])
    assert len(found.frames) == 0
    assert found.background is None


def test_runs_that_cannot_be_read_say_why(tmp_path: Path, case: Case) -> None:
    with pytest.raises(CaseError, match="no such run folder"):
        read_run(tmp_path / "none")
    with pytest.raises(CaseError, match="is no run folder"):
        read_run(tmp_path)
    out = tmp_path / "out"
    with RunFolder.open(out, case), pytest.raises(CaseError, match=r"still being computed, by process \d+"):
        read_run(out)
    with RunFolder.open(out, case, force=True) as folder:
        finish(folder)
    h5 = (out / "fields.h5").read_bytes()
    (out / "fields.h5").write_bytes(h5[: len(h5) // 2])
    run = read_run(out)
    with pytest.raises(CaseError, match=r"fields\.h5: is damaged"):
        _ = run.domain
    (out / "fields.h5").unlink()
    with pytest.raises(CaseError, match=r"fields\.h5: is missing"):
        _ = run.domain
    (out / "summary.json").write_text('{"a": 1}')
    with pytest.raises(CaseError, match=r"summary\.json: is damaged"):
        read_run(out)


def test_what_cannot_be_written_names_its_file_and_leaves_nothing(tmp_path: Path) -> None:
    """A disk that is full amid an image: the writer knows no name, and may have begun the scratch file."""

    def write() -> None:
        with atomic(tmp_path / "whole.nii.gz") as scratch:
            assert scratch.name.endswith(".nii.gz")  # by which writers choose what they write
            scratch.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space") as error:
        write()
    assert error.value.__notes__ == [f"while {tmp_path / 'whole.nii.gz'} was written"]
    assert list(tmp_path.iterdir()) == []
