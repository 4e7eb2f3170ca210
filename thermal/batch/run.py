"""A batch from start to end: what is finished is left alone, what fails stops nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

from thermal.batch.folder import BatchFolder, Outcome
from thermal.batch.members import Named, expand, named
from thermal.batch.pools import DaskPool, LocalPool, MakePool, Pool, SlurmPool
from thermal.batch.statistics import write_statistics
from thermal.batch.sweep import Sweep, load_sweep
from thermal.batch.work import Task
from thermal.case.load import shown
from thermal.errors import CaseError
from thermal.progress import Report
from thermal.store.files import write_text

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
    report("reading cases", 0.0)
    members = named(expand(sweep), shown(sweep.path))
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
    unique = {member.name: member for member in members}
    outcomes = {name: outcome for name in unique if (outcome := folder.finished(name)) is not None}
    reused = len(outcomes)
    todo = [
        Task(member, folder.path.resolve(), sweep.keep, folder.broken(name))
        for name, member in unique.items()
        if name not in outcomes
    ]
    try:
        if todo:
            _work(todo, pool, outcomes, lambda: _tell(members, outcomes, folder, len(unique), reused, report))
    finally:
        files = folder.write_index(members, outcomes)
    report("statistics", 0.0)
    files += write_statistics(sweep, members, outcomes, folder.path)
    return Batch(folder.path, members, outcomes, reused, tuple(files))


def _tell(
    members: Sequence[Named],
    outcomes: Mapping[str, Outcome],
    folder: BatchFolder,
    total: int,
    reused: int,
    report: Report,
) -> None:
    """Say how far it is, and write the index now and then."""
    failed = sum(outcome.status == "failed" for outcome in outcomes.values())
    words = (
        f"runs ({total}{f', {reused} of them done before' if reused else ''}{f', {failed} failed' if failed else ''})"
    )
    report(words, len(outcomes) / total)
    if len(outcomes) % PATIENCE == 0:
        folder.write_index(members, outcomes)


def _work(todo: Sequence[Task], make: MakePool, outcomes: dict[str, Outcome], tell: Callable[[], None]) -> None:
    """Do all tasks; every outcome goes to ``outcomes`` as it comes."""
    pool = make()
    waiting, tries = deque(todo), dict.fromkeys((task.named.name for task in todo), 0)
    running: dict[Future[Outcome], Task] = {}
    try:
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
                outcomes[outcome.name] = outcome
                tell()
    finally:
        pool.close()


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
