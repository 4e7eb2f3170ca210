"""Batches whose processes are killed, whose disk is full and whose files are damaged: nothing is lost or done twice."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from batches import GRID, LONG, HerePool, children, index, until, written

from thermal import run_batch, simulate
from thermal.batch import load_sweep, work
from thermal.batch.members import expand
from thermal.batch.run import DiskFullError
from thermal.crew import Crew

TWO = GRID.replace('["4 mg/ml", "8 mg/ml"]', '["4 mg/ml"]')
THREE = TWO.replace('["10 kA/m", "20 kA/m"]', '["10 kA/m", "15 kA/m", "20 kA/m"]')


def beginnings(out: Path) -> dict[str, list[str]]:
    """Run -> what its log says it began with, "running" or "resuming"."""
    pattern = re.compile(r"INFO thermal \S+, (running|resuming) ")
    return {log.parent.name: pattern.findall(log.read_text()) for log in out.glob("runs/*/log.txt")}


def begun(out: Path) -> list[Path]:
    """Runs amid their steps."""
    return [path.parent for path in out.glob("runs/*/checkpoint*")]


def holder(run: Path) -> int:
    """The process at work in a run folder."""
    return int(json.loads((run / "lock").read_text())["pid"])


def numbers_of(row: dict[str, str]) -> dict[str, float]:
    """What a run came to, but for what differs each time."""
    return {
        key: float(value)
        for key, value in row.items()
        if value and " (" in key and not key.startswith(("wall_time", "peak_memory"))
    }


# --------------------------------------------------------------------------------------------- on this machine


@pytest.mark.parametrize("victim", ["worker", "batch", "asked"])
def test_killed_amid_work(tmp_path: Path, victim: str) -> None:
    """kill -9 of a working process costs nothing but time; when the batch itself is killed, or asked to end, so are its
    processes, and the same command goes on: also at once, while they still write."""
    path = written(tmp_path, TWO, LONG)
    command = [sys.executable, "-m", "thermal", "batch", str(path), "--out", str(tmp_path / "out"), "--quiet"]
    batch = subprocess.Popen(command, start_new_session=True)
    try:
        until(lambda: begun(tmp_path / "out"))
        working = children(batch.pid)
        assert working
        if victim == "worker":
            os.kill(working[0], signal.SIGKILL)
            assert batch.wait(300) == 0
        else:
            os.kill(batch.pid, signal.SIGKILL if victim == "batch" else signal.SIGTERM)
            assert batch.wait(100) == (-signal.SIGKILL if victim == "batch" else 130)
            assert subprocess.run(command, check=False).returncode == 0
            until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in working))
    finally:
        if batch.poll() is None:
            os.killpg(batch.pid, signal.SIGKILL)
    assert [row["status"] for row in index(tmp_path / "out")] == ["done", "done"]
    assert any("resuming" in said for said in beginnings(tmp_path / "out").values())


def test_a_full_disk_stops_the_batch_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermal.batch.run.LocalPool", HerePool)
    calls = []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return simulate(*arguments, **options)

    monkeypatch.setattr(work, "simulate", failing)
    path = written(tmp_path, GRID)
    with pytest.raises(DiskFullError, match="make room"):
        run_batch(path, tmp_path / "out")
    assert [row["status"] for row in index(tmp_path / "out")] == ["done", "waiting", "waiting", "waiting"]
    monkeypatch.setattr(work, "simulate", simulate)
    done = run_batch(path, tmp_path / "out")
    assert (done.reused, len(done.outcomes)) == (1, 4)


SMALL_DISK = """
mount -t tmpfs -o size={small} none "{out}" || exit 77
"{python}" -m thermal batch "{sweep}" --out "{out}" --quiet
first=$?
mount -o remount,size=100m "{out}" || exit 77
"{python}" -m thermal batch "{sweep}" --out "{out}" --quiet || exit 78
cp "{out}/index.csv" "{kept}"
exit $first
"""


@pytest.mark.parametrize("small", ["48k", "400k"])
def test_a_real_disk_that_is_full(tmp_path: Path, small: str) -> None:
    """A file system in memory that has no room for one run, or for all four; given more, the same command ends well."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed: apt-get install util-linux")
    path = written(tmp_path, GRID)
    out = tmp_path / "out"
    out.mkdir()
    script = SMALL_DISK.format(small=small, out=out, python=sys.executable, sweep=path, kept=tmp_path / "index.csv")
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "make room, then the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr
    assert [row["status"] for row in index(tmp_path)] == ["done"] * 4


@pytest.mark.parametrize("damage", ["status", "fields", "checkpoint", "lock"])
def test_remains_that_are_damaged_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """Of a run that was killed before it was sealed: no remains of it stop the batch, nor those of another machine."""
    monkeypatch.setattr("thermal.batch.run.LocalPool", HerePool)
    path = written(tmp_path, TWO)
    run_batch(path, tmp_path / "out")
    before = index(tmp_path / "out")
    run = tmp_path / "out" / "runs" / before[0]["run"]
    (run / "seal.json").unlink()
    if damage == "status":
        (run / "status").write_bytes(b"\0\0\0")
    elif damage == "fields":
        (run / "fields.h5").write_bytes((run / "fields.h5").read_bytes()[:1000])
    elif damage == "checkpoint":
        (run / "status").write_text((run / "status").read_text().replace('"done"', '"running"'))
        (run / "checkpoint.npz").write_bytes(b"half of it")
    else:
        (run / "lock").write_text(json.dumps({"pid": 1, "host": "another.machine", "since": "then"}))
    done = run_batch(path, tmp_path / "out")
    assert done.failed == {}
    assert done.reused == 1
    assert [numbers_of(row) for row in index(tmp_path / "out")] == [numbers_of(row) for row in before]


def _at_work(mark: Path) -> None:
    mark.touch()
    for _ in range(30_000):
        time.sleep(0.01)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_told_to_end_does_not_wait_for_more_work(tmp_path: Path, by: signal.Signals) -> None:
    """An idle process holds the lock of the queue that work comes from, and takes it with it."""
    crew = Crew(2)
    at_work, idle = crew.submit(_at_work, tmp_path / "mark"), crew.submit(os.getpid)
    processes = dict(crew._executor._processes)
    victim = idle.result(100)
    until((tmp_path / "mark").exists)
    time.sleep(0.5)  # until the other waits for more
    os.kill(victim, by)
    with pytest.raises((BrokenProcessPool, KeyboardInterrupt)):
        at_work.result(30)
    until(lambda: not any(process.is_alive() for process in processes.values()), 30.0)
    crew.close()


def test_a_run_that_is_done_again_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted while a damaged run is done again: it is begun anew once, not each time the command is given."""
    monkeypatch.setattr("thermal.batch.run.LocalPool", HerePool)
    path = written(tmp_path, TWO, LONG)
    run_batch(path, tmp_path / "out")
    before = index(tmp_path / "out")
    run = tmp_path / "out" / "runs" / before[0]["run"]
    (run / "summary.json").write_text("{}")

    def interrupted(case: Any, folder: Any, **options: Any) -> Any:
        def report(stage: str, share: float) -> None:
            if stage == "bioheat" and share > 0.9:
                raise RuntimeError("killed")

        return simulate(case, folder, report, **options)

    monkeypatch.setattr(work, "simulate", interrupted)
    assert set(run_batch(path, tmp_path / "out").failed) == {run.name}
    assert set(begun(tmp_path / "out")) == {run}
    monkeypatch.setattr(work, "simulate", simulate)
    assert run_batch(path, tmp_path / "out").failed == {}
    assert "resuming" in beginnings(tmp_path / "out")[run.name]
    assert [numbers_of(row) for row in index(tmp_path / "out")] == [numbers_of(row) for row in before]


def test_a_doubt_of_all_runs_is_heard_once() -> None:
    crew = Crew(1, once=True)
    said = ("97 % of it, within 3e-3 m", "8.5 % of it, within 0.004 m", "97 % of that, within 3e-3 m")
    assert [crew._is_news(words) for words in said] == [True, False, True]
    crew.close()


# --------------------------------------------------------------------------------------------- on a cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two processes that work, each with one thread."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


def test_a_worker_of_a_cluster_is_killed_amid_work(cluster: Any, tmp_path: Path) -> None:
    """The run goes on from its checkpoint in another process, the others are not disturbed, and all numbers are those
    of cases that ran by themselves."""
    path, out, killed = written(tmp_path, THREE, LONG), tmp_path / "out", []

    def kill() -> None:
        until(lambda: [run for run in begun(out) if (run / "lock").exists()])
        run = begun(out)[0]
        killed.append(run.name)
        os.kill(holder(run), signal.SIGKILL)

    murderer = threading.Thread(target=kill)
    murderer.start()
    done = run_batch(path, out, scheduler=cluster.scheduler_address)
    murderer.join()
    assert done.failed == {}
    said = beginnings(out)
    assert said.pop(killed[0]) == ["running", "resuming"]
    assert list(said.values()) == [["running"], ["running"]]
    for row, member in zip(index(out), expand(load_sweep(path)), strict=True):
        alone = simulate(member.load(), tmp_path / "alone" / row["run"])
        for key, value in numbers_of(row).items():
            assert value == pytest.approx(alone.value(key.partition(" ")[0]), rel=1e-9, abs=1e-300), key


def test_the_client_of_a_cluster_is_killed(cluster: Any, tmp_path: Path) -> None:
    """Its workers end what they are at; the same command, given at once, waits for these and does the rest."""
    path, out = written(tmp_path, THREE, LONG), tmp_path / "out"
    command = [sys.executable, "-m", "thermal", "batch", str(path), "--out", str(out), "--quiet"]
    command += ["--scheduler", cluster.scheduler_address]
    client = subprocess.Popen(command)
    try:
        until(lambda: begun(out))
    finally:
        client.kill()
        client.wait()
    done = run_batch(path, out, scheduler=cluster.scheduler_address)
    assert done.failed == {}
    assert set(map(tuple, beginnings(out).values())) == {("running",)}  # none twice
    assert [row["status"] for row in index(out)] == ["done"] * 3
