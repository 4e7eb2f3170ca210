"""The story of one run, on one screen."""

from __future__ import annotations

import logging
import tempfile
import time
from functools import partial
from pathlib import Path

from thermal.case import Case
from thermal.engines.beside import compiling_beside
from thermal.engines.compiled import announced
from thermal.errors import CaseError
from thermal.machine import give_back
from thermal.simulation.accuracy import Companion, companion, estimate
from thermal.simulation.conclusion import conclude
from thermal.simulation.course import follow
from thermal.simulation.envelope import Found, extremes
from thermal.simulation.preparation import Prepared, Report, prepare, provenance_table
from thermal.simulation.workshop import Workshop
from thermal.store import COMPANION, Run, RunFolder, read_run

_log = logging.getLogger("thermal")


def simulate(
    case: Case,
    folder: RunFolder | str | Path | None = None,
    progress: Report | None = None,
    *,
    workshop: Workshop | None = None,
    level: int = logging.WARNING,
) -> Run:
    """Run ``case`` in ``folder`` (a new temporary one by default) and return its results.

    ``workshop``: shares what does not change with the cases run before; ``level``: of the log at which warnings are
    given. A finished folder of the same case is returned
    as it is; an unfinished one is refused (open a ``RunFolder`` with ``resume`` to go on). Raises ``CaseError`` for bad
    input, ``NotConvergedError`` when a solve fails.
    """
    if not isinstance(case, Case):
        raise CaseError(
            f"simulate: expected a case, found {type(case).__name__} {str(case)!r}; read its file first: "
            "simulate(load_case(path))"
        )
    report = progress or (lambda stage, share: None)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="thermal-")) / "run"
    if isinstance(folder, RunFolder):
        _announced(folder, case, report, workshop or Workshop(), level)
        return read_run(folder.path)
    with RunFolder.open(folder, case) as run:
        _announced(run, case, report, workshop or Workshop(), level)
    return read_run(run.path)


def _announced(run: RunFolder, case: Case, report: Report, workshop: Workshop, level: int) -> None:
    """Simulate; the first run after an installation says what it waits for."""
    with compiling_beside(case.numerics.working, case.anatomy.voxels) as start:

        def say() -> None:
            start()
            report("compiling kernels once, up to a minute; later runs find them on disk", 0.0)

        with announced(say):
            _simulate_into(run, case, report, workshop, level)


def _simulate_into(run: RunFolder, case: Case, report: Report, workshop: Workshop, level: int) -> None:
    """The story of one run."""
    if run.finished:
        return
    started = time.perf_counter()
    prepared = prepare(case, report, workshop)
    run.write_resolved(provenance_table(prepared))
    for warning in prepared.warnings:
        _log.log(level, warning)
    preparing = time.perf_counter() - started
    made, other = _run_companion(prepared, run, report) if case.numerics.error_estimate else (None, None)
    started = time.perf_counter()
    last, earlier = follow(prepared, run, report)
    prepared.loop.let_go()
    give_back()
    summary, late = conclude(prepared, run, last, earlier + preparing + time.perf_counter() - started)
    if made is not None and other is not None:
        found = Found(prepared.engine, prepared.zone(last), last.hottest, prepared.anatomy.tumour)
        beside = Found.stored(other, prepared.engine if made.ratio is None else None)
        bands = estimate(summary, made, other.summary, partial(extremes, found, beside))
        late += bands.warnings
        summary |= bands.entries
    for warning in late:
        _log.log(level, warning)
    run.write_summary({**summary, "warnings": ([*prepared.warnings, *late], "")})
    run.finish()


def _run_companion(prepared: Prepared, run: RunFolder, report: Report) -> tuple[Companion, Run]:
    """The run that an error estimate compares with, in a folder of its own within that of ``run``, where it is resumed.

    It comes first: when it is interrupted nothing else needs to be kept.
    """
    made = companion(prepared.case, prepared.anatomy.domain, prepared.source)
    try:
        with RunFolder.open(run.path / COMPANION, made.case, resume=True) as folder:
            _simulate_into(folder, made.case, _prefixed("for the error estimate", report), Workshop(), logging.INFO)
    except CaseError as error:
        remedy = "use another grid, or leave numerics.error_estimate out"
        raise CaseError(
            *(f"numerics.error_estimate: no run with {made.what}: {problem}; {remedy}" for problem in error.problems)
        ) from error
    return made, read_run(run.path / COMPANION)


def _prefixed(words: str, report: Report) -> Report:
    return lambda stage, share: report(f"{words}, {stage}", share)
