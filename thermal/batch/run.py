"""A batch from start to end: what is finished is left alone, what fails stops nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from thermal.batch.folder import BatchFolder, Outcome
from thermal.batch.members import Named, expand, named
from thermal.batch.pools import DaskPool, LocalPool, MakePool, Pool, SlurmPool
from thermal.batch.search import Tried, seek, start, write_found
from thermal.batch.statistics import write_statistics
from thermal.batch.sweep import Sweep, load_sweep
from thermal.batch.work import Task
from thermal.engines import ranks
from thermal.errors import CaseError
from thermal.progress import Report
from thermal.store.files import write_text
from thermal.units import Array

TRIES = 3
"""Times that a run is begun whose process dies."""
PATIENCE = 20
"""Runs after which the index is written again."""


@dataclass(frozen=True)
class Batch:
    """What became of a sweep."""

    folder: Path
    members: Sequence[Named]
    outcomes: Mapping[str, Outcome]
    """by name of the run"""
    reused: int
    """runs that were finished before"""
    files: tuple[Path, ...]
    tried: Sequence[Tried] = ()
    """of a search, the best first"""

    @property
    def failed(self) -> dict[str, str]:
        """Name of each run that failed -> why."""
        return {name: outcome.message for name, outcome in self.outcomes.items() if outcome.status == "failed"}


class DiskFullError(OSError):
    """There is no room for more results; what is finished is kept."""


def run_batch(
    sweep: Sweep | str | Path,
    out: Path | str | None = None,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    slurm: Mapping[str, str] | None = None,
    progress: Report | None = None,
) -> Batch:
    """Run all members of a sweep in ``out`` (default ``results/NAME``), ``jobs`` at once, on this machine, on a Dask
    ``scheduler``, or as ``slurm`` jobs with these options of ``dask_jobqueue.SLURMCluster``.

    Raises ``CaseError`` before anything is run when the sweep or any of its cases is bad or another batch uses the
    folder, and :class:`DiskFullError` when the disk is full.
    """
    report: Report = progress or (lambda stage, share: None)
    if scheduler is not None and slurm is not None:
        raise CaseError("--scheduler and --slurm contradict each other: the workers of one, or jobs of the other?")
    if not isinstance(sweep, Sweep):
        sweep = load_sweep(sweep)
    if jobs < 1:
        raise CaseError(f"--jobs: found {jobs}; expected at least 1")
    if ranks.place()[1] > 1:
        raise CaseError(
            f"thermal batch: was started on {ranks.place()[1]} ranks, but its runs are processes of their own, which "
            "have none; start it without mpirun (--jobs N for N at once), or each case by mpirun -n N thermal run"
        )
    report("reading cases", 0.0)
    if sweep.search is not None:
        start(sweep.search, len(sweep.priors))  # says what is wrong with it
    members = named(expand(sweep), sweep)
    folder = BatchFolder.open(Path(out) if out is not None else Path("results") / sweep.name)
    try:
        write_text(folder.path / "sweep.toml", sweep.path.read_text(encoding="utf-8"))
        return _run(sweep, members, folder, pool(jobs, scheduler, slurm), report)
    finally:
        folder.lock.release()


def pool(jobs: int, scheduler: str | None, slurm: Mapping[str, str] | None) -> MakePool:
    """Where runs are done."""
    if scheduler is not None:
        return lambda: DaskPool(scheduler)
    if slurm is not None:
        return lambda: SlurmPool(jobs, slurm)
    return lambda: LocalPool(jobs)


def _run(sweep: Sweep, members: Sequence[Named], folder: BatchFolder, pool: MakePool, report: Report) -> Batch:
    total = len({member.name for member in members}) if sweep.search is None else sweep.search.count
    work = _Work(sweep, folder, pool, total, report)
    tried: Sequence[Tried] = ()
    try:
        if sweep.search is None:
            work.do(members)
        else:
            tried = seek(sweep, sweep.search, work.do_points)
    except OSError:
        work.close()
        with suppress(OSError):  # a full disk has no room for the index either
            folder.write_index(work.members, work.outcomes)
        raise
    except BaseException:
        work.close()
        folder.write_index(work.members, work.outcomes)
        raise
    work.close()
    files = folder.write_index(work.members, work.outcomes)
    if sweep.search is not None:
        files += write_found(sweep, tried, folder.path)
    else:
        report("statistics", 0.0)
        files += write_statistics(sweep, work.members, work.outcomes, folder.path)
    return Batch(folder.path, work.members, work.outcomes, work.reused, tuple(files), tried)


class _Work:
    """Runs members, those that are not finished; every outcome goes to ``outcomes`` as it comes."""

    def __init__(self, sweep: Sweep, folder: BatchFolder, make: MakePool, total: int, report: Report) -> None:
        self.members: list[Named] = []
        self.outcomes: dict[str, Outcome] = {}
        self.reused = 0
        self._sweep, self._folder, self._make, self._total, self._report = sweep, folder, make, total, report
        self._pool: Pool | None = None

    def do_points(self, points: Array) -> list[tuple[Named, Outcome | None]]:
        """Run points (k, d) of the unit cube of the priors."""
        members = named(expand(self._sweep, points), self._sweep)
        self.do(members)
        return [(member, self.outcomes.get(member.name)) for member in members]

    def do(self, members: Sequence[Named]) -> None:
        """Run them, or read what they came to before."""
        self.members += members
        unique = {member.name: member for member in members if member.name not in self.outcomes}
        keep = self._sweep.keep
        found = {name: outcome for name in unique if (outcome := self._folder.finished(name, keep)) is not None}
        self.outcomes |= found
        self.reused += len(found)
        todo = [
            Task(member, self._folder.path.resolve(), keep, self._folder.broken(name, keep))
            for name, member in unique.items()
            if name not in found
        ]
        if todo:
            self._pool = self._pool or self._make()
            self._work(todo, self._pool)

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()

    def _tell(self) -> None:
        """Say how far it is, and write the index now and then."""
        failed = sum(outcome.status == "failed" for outcome in self.outcomes.values())
        before = f", {self.reused} of them done before" if self.reused else ""
        self._report(
            f"runs ({self._total}{before}{f', {failed} failed' if failed else ''})",
            min(len(self.outcomes) / self._total, 1.0),
        )
        if len(self.outcomes) % PATIENCE == 0:
            self._folder.write_index(self.members, self.outcomes)

    def _work(self, todo: Sequence[Task], pool: Pool) -> None:
        """Do all tasks."""
        waiting, tries = deque(todo), dict.fromkeys((task.named.name for task in todo), 0)
        running: dict[Future[Outcome], Task] = {}
        while waiting or running:
            while waiting and len(running) < pool.size:
                task = waiting.popleft()
                running[pool.submit(task)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                outcome = _outcome(future, task, pool, tries)
                if outcome is None:
                    waiting.appendleft(task)
                    continue
                if outcome.status == "full":
                    raise DiskFullError(f"{outcome.message}; make room, then the same command goes on")
                self.outcomes[outcome.name] = outcome
                self._tell()


def _outcome(future: Future[Outcome], task: Task, pool: Pool, tries: dict[str, int]) -> Outcome | None:
    """The outcome of a task; None when its process died or was told to end, and the task is to be tried again."""
    error = future.exception()
    if error is None and future.result().status != "interrupted":
        return future.result()
    if error is not None and not pool.is_loss(error):
        raise error
    name = task.named.name
    tries[name] += 1
    if tries[name] < TRIES:
        return None
    return Outcome(
        name, "failed", f"its process died {TRIES} times, killed most likely for want of memory; try fewer --jobs"
    )
