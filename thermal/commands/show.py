"""``thermal view``: a case or runs in a window, a browser, a picture or a movie."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from thermal.commands.options import DONE, FAILED, AnatomyName, Set, placed

if TYPE_CHECKING:
    from thermal.store import Run


def _loaded(folders: Sequence[Path]) -> list[Run]:
    """Runs, with fewer nodes where there are very many.

    Three things that take about a second each go on at once: a process finds out whether drawing works, what the first
    picture needs is read, and what draws is imported.
    """
    from thermal.store import read_run
    from thermal.view.lighter import ready
    from thermal.view.rendering import rendering_problem

    with ThreadPoolExecutor(2) as others:
        runs = [read_run(folder) for folder in folders]  # before anything is started: it says what is wrong with them
        others.submit(rendering_problem)
        read = others.submit(lambda: [ready(run) for run in runs])
        from thermal.view import player  # noqa: F401

        light = read.result()
    for run in light:
        if run.zone_field not in run.static:
            log = logging.getLogger("thermal")
            log.warning("%s: holds no field %r: no ablation zone is shown", run.folder, run.zone_field)
    return light


def view(
    *cases_or_runs: Path,
    screenshot: Annotated[Path | None, Parameter(help="Write a picture instead of opening a window.")] = None,
    movie: Annotated[Path | None, Parameter(help="Write a film of the course in time: .mp4 or .gif.")] = None,
    web: Annotated[bool, Parameter(negative=(), help="Serve the scene to a browser on this machine.")] = False,
    host: Annotated[str, Parameter(help="With --web: the address that listens.")] = "localhost",
    port: Annotated[int, Parameter(help="With --web: its port; 0 takes a free one.")] = 8080,
    set: Set = None,
    anatomy: AnatomyName = None,
) -> int:
    """Show a case before it is solved (anatomy, needles, fibres), or the results of runs, several side by side."""
    from thermal.errors import CaseError

    if not cases_or_runs:
        raise CaseError("view: nothing given; write: thermal view CASE, or: thermal view RUN ...")
    if sum((screenshot is not None, movie is not None, web)) > 1:
        raise CaseError("view: give one of --screenshot, --movie and --web")
    folders = [path for path in cases_or_runs if path.is_dir()]
    if not folders and len(cases_or_runs) == 1 and cases_or_runs[0].suffix == ".toml":
        if movie is not None or web:
            raise CaseError(f"{cases_or_runs[0]}: is a case without a course in time; run it, then view the run")
        from thermal.case import load_case

        case = load_case(cases_or_runs[0], set or (), anatomy)
    else:
        case = None
        if set or anatomy:
            raise CaseError("view: --set and --anatomy change a case; runs are shown as they are")
        runs = _loaded(cases_or_runs)
    from thermal.view import RenderingError

    try:
        with placed(case):
            if case is not None:
                from thermal.view import show

                show(case, screenshot)
            elif movie is not None:
                from thermal.view.movie import write_movie

                write_movie(runs, movie)
            elif web:
                from thermal.view.web import serve

                serve(runs, host=host, port=port)
            else:
                from thermal.view.interactive import show_runs

                show_runs(runs, screenshot)
    except RenderingError as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    if screenshot is not None or movie is not None:
        print(f"wrote {screenshot or movie}")
    return DONE
