"""Run a case and die, at points that are named on the command line, each in a process of its own.

    python kill_points.py CASE.toml FOLDER POINT ...

Below FOLDER each point gets a run folder of its own. Points are ``stage:NAME:N`` (the N-th report of a stage),
``before:METHOD`` and ``after:METHOD`` (of the run folder), ``replace:N`` (the N-th file that would get its final name),
``seconds:S`` (some time after the start). With ``SIGNAL@`` before it a point sends another signal than the one that
cannot be caught. Prints a line a point: how the process ended.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from thermal import load_case, simulation
from thermal.case import Case
from thermal.store import RunFolder, files


def armed(what: str, end: Callable[[], None]) -> Callable[[str, float], None]:
    """Arrange for ``end`` to be called at the point; returns the progress report to run with."""
    kind, _, rest = what.partition(":")
    if kind == "stage":
        name, _, number = rest.partition(":")
        calls = count(1)

        def report(stage: str, share: float) -> None:
            if stage == name and next(calls) == int(number):
                end()

        return report
    if kind in ("before", "after"):
        original = getattr(RunFolder, rest)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            if kind == "before":
                end()
            result = original(*arguments, **options)
            end()
            return result

        setattr(RunFolder, rest, wrapped)
    elif kind == "replace":
        replaced, move = count(1), os.replace

        def counted(source: Any, target: Any) -> None:
            if next(replaced) == int(rest):
                end()
            move(source, target)

        files.os.replace = counted  # type: ignore[attr-defined]
    elif kind == "seconds":
        threading.Thread(target=lambda: (time.sleep(float(rest)), end()), daemon=True).start()
    return lambda stage, share: None


def run_and_die(case: Case, folder: Path, point: str) -> None:
    """In a child process: never returns."""
    name, _, what = point.rpartition("@")
    number = signal.Signals[name] if name else signal.SIGKILL
    code = 0
    try:
        report = armed(what, lambda: os.kill(os.getpid(), number))
        if name:  # as the command line does
            signal.signal(number, signal.default_int_handler)
        with RunFolder.open(folder, case) as run:
            simulation.simulate(case, run, report)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    finally:
        os._exit(code)


def main(case_file: str, folder: str, *points: str) -> None:
    case = load_case(case_file)
    for number, point in enumerate(points):
        pid = os.fork()  # before anything was computed: no thread is alive that a fork would lose
        if pid == 0:
            run_and_die(case, Path(folder) / str(number), point)
        _, status = os.waitpid(pid, 0)
        print(point, -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
