"""One run of a batch, in a process of its own."""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thermal.batch.folder import ANATOMIES, RUNS, SEAL, ZONE, Outcome, finished, seal
from thermal.batch.members import Named
from thermal.errors import CaseError
from thermal.simulation import simulate
from thermal.simulation.workshop import Workshop
from thermal.store import RunFolder, read_run
from thermal.store.files import atomic
from thermal.store.lock import InUseError
from thermal.store.names import FIELDS, STATUS

TABLES = ("summary.json", "resolved.json", "provenance.json", "history.csv", "case.toml", "status")

_workshop = Workshop(2)
_PAUSE = 1.0
"""s, until it is looked again whether a folder is free."""


@dataclass(frozen=True)
class Task:
    """What a process is asked to do: run ``named`` below ``batch`` and keep ``keep`` of it."""

    named: Named
    batch: Path
    keep: str
    anew: bool
    """whether what its folder holds is broken and must go"""


def run_member(task: Task) -> Outcome:
    """Run one member, or go on with it; never raises but for the end of the process."""
    name = task.named.name
    try:
        return _run(task)
    except KeyboardInterrupt:
        return Outcome(name, "interrupted", "interrupted; the same command goes on with it")
    except CaseError as error:
        return Outcome(name, "full" if _full(error) else "failed", "; ".join(error.problems))
    except OSError as error:
        return Outcome(name, "full" if _full(error) else "failed", f"{type(error).__name__}: {error}")
    except Exception as error:
        return Outcome(name, "failed", f"{type(error).__name__}: {error}".splitlines()[0])


def _full(error: BaseException | None) -> bool:
    """Whether an error means that the disk is full, or came of one that does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


def _run(task: Task) -> Outcome:
    """Begin, go on, or wait for who is at it still: a process whose batch or client was killed may live on."""
    folder = task.batch / RUNS / task.named.name
    said = False
    while True:
        try:
            return _of_remains(task, folder)
        except InUseError as error:
            if not said:
                logging.getLogger("thermal").warning("%s", error)
                said = True
            time.sleep(_PAUSE)
        if (done := finished(folder, task.keep)) is not None:
            return done


def _of_remains(task: Task, folder: Path) -> Outcome:
    """Go on with what is left of an earlier run; where that is damaged, begin again."""
    left = (folder / STATUS).exists()
    try:
        return _simulated(task, folder, anew=task.anew)
    except InUseError:
        raise
    except CaseError as error:
        if task.anew or not left or _full(error):
            raise
    return _simulated(task, folder, anew=True)


def _simulated(task: Task, folder: Path, *, anew: bool) -> Outcome:
    case = task.named.member.load()
    with RunFolder.open(folder, case, resume=not anew, force=anew, sole=True) as run:
        if anew:  # from now on what is there is a beginning to go on with
            (folder / SEAL).unlink(missing_ok=True)
        simulate(case, run, workshop=_workshop)
    result = read_run(folder)
    if task.keep == "everything":
        seal(folder, [*TABLES, FIELDS])
        return Outcome(task.named.name, "done", "", result.summary)
    files = list(TABLES)
    if task.keep == "zone":
        _keep_domain(task.batch / ANATOMIES, task.named.anatomy, folder / FIELDS)
        ablated = result.static[result.zone_field].values >= result.zone_level
        with atomic(folder / ZONE) as scratch:
            np.save(scratch, np.packbits(ablated))
        files.append(ZONE)
    seal(folder, files)
    (folder / FIELDS).unlink()
    return Outcome(task.named.name, "done", "", result.summary)


def _keep_domain(home: Path, anatomy: str, fields: Path) -> None:
    """Keep the fields of the first run on an anatomy, for the domain that all runs on it share."""
    target = home / f"{anatomy}.h5"
    if target.exists():
        return
    home.mkdir(exist_ok=True)
    with atomic(target) as scratch:
        scratch.write_bytes(fields.read_bytes())
