"""The cases of a comparison are run: one after the other, or side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from thermal.crew import Crew, possible, tell
from thermal.engines import ranks
from thermal.machine import cores, free_memory
from thermal.store import Run, RunFolder, read_run
from thermal.view.aside import Aside

if TYPE_CHECKING:
    from thermal.case import Case
    from thermal.simulation.workshop import Workshop

Report = Callable[[str, float], None]
"""Called with the stage and the share of it that is done, 0 to 1."""

RunCase = Callable[["Case", Path, bool, Report], Run]
"""Runs a case in a folder (a finished run of the same case is reused unless forced) and returns its results."""

LISTENING = 0.2
"""s between looks at what processes side by side say."""

BIOHEAT, BEFORE_BIOHEAT = "bioheat", 0.2
"""The longest stage of a run, and the share of a run that is over when it begins."""

MEMORY_OF_A_RUN = 1.3e9
"""Bytes that a run of 300 000 nodes may take while its light is computed, which takes most."""


def in_turn(
    cases: Mapping[str, Case], folder: Path, force: bool, report: Report, aside: Aside, run_case: RunCase | None
) -> dict[str, Run | Exception]:
    """One case after the other in this process: its run, or why there is none."""
    from thermal.simulation.workshop import Workshop

    run_next = run_case or partial(run_one, workshop=Workshop(1))
    outcomes: dict[str, Run | Exception] = {}
    for name, case in cases.items():
        try:
            outcomes[name] = run_next(case, folder / name, force, _prefixed(name, report))
            if run_case is None:
                _draw_missing(folder / name, aside)
        except Exception as error:  # raised again by the caller
            outcomes[name] = error
    return outcomes


def side_by_side(
    cases: Mapping[str, Case], folder: Path, force: bool, jobs: int, report: Report, aside: Aside
) -> dict[str, Run | Exception]:
    """The same, ``jobs`` at once in processes of their own."""
    crew = Crew(jobs)
    share = dict.fromkeys(cases, 0.0)
    outcomes: dict[str, Run | Exception] = {}
    try:
        running = {crew.submit(_run_apart, case, folder / name, force, name): name for name, case in cases.items()}
        while running:
            done = wait(running, timeout=LISTENING, return_when=FIRST_COMPLETED).done
            for name, stage, part in crew.heard():
                share[name] = max(
                    share[name], BEFORE_BIOHEAT + (1.0 - BEFORE_BIOHEAT) * part if stage == BIOHEAT else 0.0
                )
            for future in done:
                name = running.pop(future)
                share[name] = 1.0
                error = future.exception()
                if error is None:
                    outcomes[name] = read_run(folder / name)
                    _draw_missing(folder / name, aside)
                elif isinstance(error, Exception):
                    outcomes[name] = error
                else:
                    raise error
            report(f"{len(cases)} runs, {jobs} at once", sum(share.values()) / len(cases))
    finally:
        crew.close()
    return {name: outcomes[name] for name in cases}


def _run_apart(case: Case, folder: Path, force: bool, name: str) -> None:
    """Run a case in a process of a crew."""
    run_one(case, folder, force, partial(tell, name), _shared_workshop())


@cache
def _shared_workshop() -> Workshop:
    from thermal.simulation.workshop import Workshop

    return Workshop(1)


def _draw_missing(folder: Path, aside: Aside) -> None:
    """Have the pictures of a run drawn if there are none."""
    if not (folder / "slices.png").exists():
        aside.draw(folder)


def jobs_that_fit(cases: int) -> int:
    """How many of some cases to run at once on the cores and in the memory that are free."""
    if ranks.place()[1] > 1 or not possible():
        return 1
    room = free_memory()
    fitting = cases if room is None else int(room / MEMORY_OF_A_RUN)
    return max(1, min(cases, cores(), fitting))


def run_one(case: Case, folder: Path, force: bool, report: Report, workshop: Workshop | None = None) -> Run:
    """Run ``case`` in ``folder``: a finished run of it is reused, an unfinished one resumed, ``force`` starts again.

    ``workshop``: keeps the anatomy for the next one.
    """
    from thermal.simulation import simulate

    with RunFolder.open(folder, case, resume=not force, force=force) as prepared:
        return read_run(folder) if prepared.finished else simulate(case, prepared, report, workshop=workshop)


def _prefixed(name: str, report: Report) -> Report:
    return lambda stage, share: report(f"{name}: {stage}", share)
