"""The command line. Commands import what they need when they run, so that ``--help`` and ``validate`` are quick."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import App, CycloptsError

from thermal.commands import cases, facts, images, many, meshes, runs, show, treatment, verify
from thermal.commands.options import DONE, FAILED, INTERRUPTED, NOT_CONVERGED, PURPOSE, REFUSED, complain
from thermal.engines import ranks
from thermal.interrupts import interrupt, lose_none

# Threads that wait must not spin: several runs may share the cores, and small vector products gain nothing from them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _version() -> str:
    import thermal

    return str(thermal.__version__)


app = App(
    name="thermal",
    help=f"Simulate nanoparticle-mediated tumour ablation: one case file from anatomy to ablation zone.\n\n{PURPOSE}",
    version=_version,
)

for _command in (
    cases.init, cases.validate, cases.run, many.compare, many.batch, show.view, runs.export, runs.report, runs.cite,
    facts.materials, facts.particle, facts.schema, facts.doctor, verify.verify, images.image, images.quantify,
    treatment.plan, treatment.control, treatment.assess, meshes.mesh,
):  # fmt: skip
    app.command(_command)


WRONG_PLACES = {
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS
}  # fmt: skip
"""What the system says of a path that nobody can read, or write to, there."""


def _explain(error: BaseException) -> int:
    """Say in a line or two what went wrong; the exit code."""
    from thermal.errors import CaseError

    notes = list(getattr(error, "__notes__", ()))
    if isinstance(error, CaseError):
        complain(error)
        return REFUSED
    if isinstance(error, KeyboardInterrupt):
        print("\ninterrupted; " + ("; ".join(notes) or "nothing was left half written"), file=sys.stderr)
        return INTERRUPTED
    from thermal.engine import NotConvergedError  # not sooner: an interrupted import of NumPy cannot be repeated

    in_a_run = any(note.startswith("log: ") for note in notes)
    if isinstance(error, OSError) and error.errno in WRONG_PLACES and error.filename is not None and not in_a_run:
        print(f"error: {_of_system(error)}; check the path, or choose another", file=sys.stderr)
        return REFUSED
    if not in_a_run:
        notes.append(_logged(error))
    words = (_of_system(error) if isinstance(error, OSError) else str(error)).splitlines() or [type(error).__name__]
    if isinstance(error, NotConvergedError):
        print(f"not converged: {words[0]} ({'; '.join(notes)})", file=sys.stderr)
        return NOT_CONVERGED
    name = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    print(f"failed: {name}{words[0]} ({'; '.join(notes)})", file=sys.stderr)
    return FAILED


def _noted(error: BaseException) -> bool:
    """Whether there are notes on it, of the run or the batch that it ended."""
    return bool(getattr(error, "__notes__", ()))


def _logged(error: BaseException) -> str:
    """Write the traceback to a file of its own and say where it is."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="thermal-", suffix=".log", delete=False, encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
    except OSError as full:
        return f"there is no log, for it cannot be written either: {full.strerror}; THERMAL_DEBUG=1 shows more"
    return f"log: {log.name}"


def _of_system(error: OSError) -> str:
    """What the system refuses, and of which file."""
    return f"{error.filename}: {error.strerror}" if error.filename is not None and error.strerror else str(error)


ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run from outside."""


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Let SIGTERM, and SIGHUP unless it is ignored (``nohup``), end a run as Ctrl-C does: resumable.

    Gives those that came, Ctrl-C among them: libraries make an error of their own out of the ``KeyboardInterrupt``.
    """
    heard: list[int] = []

    def end(number: int, frame: Any) -> None:
        heard.append(number)
        interrupt(number, frame, *([] if number == signal.SIGINT else ["terminated"]))

    heeded = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        heeded.append(signal.SIGINT)
    try:
        before = {number: signal.signal(number, end) for number in heeded}
    except ValueError:  # not in the main thread
        yield heard
        return
    hook = lose_none(lambda: heard[-1] if heard else signal.SIGINT)
    try:
        yield heard
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad input, 3 not converged, 130 interrupted.

    Under ``mpirun`` the first rank does so; the others help its engine.
    """
    if ranks.place()[0] > 0:
        return ranks.help_the_first()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.exc_info is None)  # tracebacks belong in the log file
    logging.getLogger("thermal").addHandler(handler)
    heard: list[int] = []
    try:
        with _signals() as heard:
            command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=True)
            return int(command(*bound.args, **bound.kwargs) or DONE)
    except CycloptsError:
        return REFUSED
    except BrokenPipeError:  # the reader of our output has gone, as in: thermal materials | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("THERMAL_DEBUG"):
            raise
        return _explain(KeyboardInterrupt() if heard and not _noted(error) else error)
    finally:
        ranks.dismiss_the_others()
        logging.getLogger("thermal").removeHandler(handler)
