"""The run folder while it is written: who may write, what is kept, and how a run ends."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from thermal.anatomy.data import resolve, sha256
from thermal.case.places import dotted, entries
from thermal.case.schema import FILE_KEYS, Case, case_hash
from thermal.errors import CaseError
from thermal.library import OWN
from thermal.physics.scene import Reading
from thermal.store.checkpoint import Checkpoint, has_checkpoint, load_checkpoint, remove_checkpoints, save_checkpoint
from thermal.store.fields import Fields, write_fields
from thermal.store.files import atomic, read_json, sweep, write_json, write_text
from thermal.store.frames import FrameFiles
from thermal.store.history import History, HistoryFile, read_history
from thermal.store.judge import judge
from thermal.store.lock import Lock
from thermal.store.names import (
    CASE_FILE,
    COMPANION,
    DELIVERY,
    FIELDS,
    FRAMES,
    HISTORY,
    LOG,
    PROVENANCE,
    RESOLVED,
    STATUS,
    SUMMARY,
)  # fmt: skip
from thermal.store.ordinary import check_ordinary
from thermal.store.provenance import describe_machine, now, peak_memory, thermal_version
from thermal.store.seal import OF_SOME, RESULTS
from thermal.units import Array

_OURS = (STATUS, RESOLVED, PROVENANCE, SUMMARY, HISTORY, *OF_SOME, FIELDS, LOG, CASE_FILE, "overview.png", "slices.png")
_log = logging.getLogger("thermal")


def input_hashes(case: Case) -> dict[str, str]:
    """Key -> SHA-256 of every input file that the case names. Raises ``CaseError`` for files that are missing."""
    problems: list[str] = []
    found: dict[str, str] = {}
    resolved = case.resolved()
    for pattern in FILE_KEYS:
        for keys, value in entries(resolved, pattern):
            if isinstance(value, str) and value:
                name = dotted(keys)
                try:
                    found[name] = sha256(resolve(value, case.folder, name))
                except CaseError as error:
                    problems += case.placed(error).problems
    if problems:
        raise CaseError(*problems)
    return found


class RunFolder:
    """A run folder that this process may write to; use it in a ``with`` block.

    ``finished``: the folder holds the finished run of this very case and nothing needs to be done (it is then not
    locked). ``resuming``: go on from :meth:`load_checkpoint`. Leaving the block with an exception records how the run
    ended, and releases the lock.
    """

    def __init__(
        self, path: Path, case: Case, *, finished: bool, resuming: bool, lock: Lock, files: dict[str, str]
    ) -> None:
        self.path = path
        self.case = case
        self.finished = finished
        self.resuming = resuming
        self.input_files = files
        self._lock = lock
        self._started = time.monotonic()
        self._history: HistoryFile | None = None
        self._frames: list[tuple[float, Path, str]] = []  # with their hashes
        self._handler: logging.Handler | None = None
        self._made = False
        self._library: dict[str, tuple[int, str]] = {}

    @classmethod
    def open(
        cls, path: str | Path, case: Case, *, resume: bool = False, force: bool = False, sole: bool = False
    ) -> RunFolder:
        """Prepare ``path`` for a run of ``case``; ``sole``: no other machine can be at work there.

        Raises ``CaseError`` when another process uses the folder, when it holds another case or an unfinished run and
        neither ``resume`` nor ``force`` is given, or when it cannot be written to.
        """
        path = Path(path)
        if resume and force:
            raise CaseError("--resume and --force contradict each other: go on with the run, or start it again?")
        files = input_hashes(case)
        lock = Lock(path)
        if os.path.lexists(path / STATUS):
            check_ordinary(path)
        try:
            made = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
            lock.acquire(sole=sole)
        except OSError as error:
            if not force and os.path.isfile(path / STATUS) and judge(path, case, files, resume=True, force=False)[0]:
                return cls(path, case, finished=True, resuming=False, lock=lock, files=files)  # nothing to be written
            raise CaseError(
                f"{path}: cannot be written to ({error.strerror}); choose another folder with --out"
            ) from None
        try:
            finished, resuming = judge(path, case, files, resume=resume, force=force)
            folder = cls(path, case, finished=finished, resuming=resuming, lock=lock, files=files)
            folder._made = made
            if finished:
                lock.release()
            else:
                folder._begin(anew=not resume)
        except OSError as error:
            lock.release()
            raise CaseError(
                f"{path}: cannot be written to ({error.strerror}); choose another folder with --out"
            ) from None
        except BaseException:
            lock.release()
            raise
        return folder

    def _begin(self, *, anew: bool) -> None:
        sweep(self.path)
        if not self.resuming:
            _clear(self.path)
        if anew:
            shutil.rmtree(self.path / COMPANION, ignore_errors=True)
        self._status("running", "")
        origin = self.case.origin
        write_text(self.path / CASE_FILE, origin.text if origin is not None else "# this case was made in Python\n")
        self.write_resolved({})
        provenance = {
            **describe_machine(),
            "case_hash": case_hash(self.case, self.input_files),
            "case_files": [name for name, _ in origin.files] if origin is not None else [],
            "overrides": list(origin.overrides) if origin is not None else [],
            "input_files": self.input_files,
            "seeds": {},
            "argv": sys.argv,
            "started": now(),
            "resumed": self.resuming,
        }
        write_json(self.path / PROVENANCE, provenance)
        self._handler = logging.FileHandler(self.path / LOG, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._handler.setLevel(logging.INFO)
        _log.addHandler(self._handler)
        _log.setLevel(min(_log.level or logging.INFO, logging.INFO))
        _log.info("thermal %s, %s %s", thermal_version(), "resuming" if self.resuming else "running", self.case.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is not None and not self.finished:
                self._end_early(error)
        finally:
            self.close()

    def _end_early(self, error: BaseException) -> None:
        """Leave a folder that says what happened; refused input leaves no folder, so that the case can be mended."""
        if isinstance(error, CaseError) and not has_checkpoint(self.path):
            _clear(self.path)
            shutil.rmtree(self.path / COMPANION, ignore_errors=True)
            self.close()
            if self._made and not os.listdir(self.path):
                self.path.rmdir()
            return
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
        if not interrupted:
            _log.error("the run failed", exc_info=error)
            error.add_note(f"log: {self.path / LOG}")
        self._status("interrupted" if interrupted else "failed", f"{type(error).__name__}: {error}".rstrip(": "))

    def close(self) -> None:
        """Release the lock and the log."""
        if self._handler is not None:
            _log.removeHandler(self._handler)
            self._handler.close()
            self._handler = None
        self._lock.release()

    def _status(self, state: str, message: str, results: Mapping[str, str] | None = None) -> None:
        write_json(self.path / STATUS, {
            "state": state, "message": message, "time": now(), "version": thermal_version(),
            "case_hash": case_hash(self.case, self.input_files), **({"results": results} if results else {}),
        })  # fmt: skip

    # -------------------------------------------------------------------------------------------- while running

    def file(self, name: str) -> AbstractContextManager[Path]:
        """A scratch path to draw or write to, that becomes ``name`` in the folder when the block ends."""
        return atomic(self.path / name)

    def write_resolved(self, library: Mapping[str, Any]) -> None:
        """Write ``resolved.json``: the case with all defaults, and ``library`` numbers with their sources."""
        write_json(self.path / RESOLVED, {**self.case.resolved(), "library": library, "input_files": self.input_files})
        taken = [number for number in library.get("numbers", ()) if number["source"] != OWN]
        doubtful = sum(bool(number["unverified"]) for number in taken)
        self._library = {"library.numbers": (len(taken), ""), "library.unverified": (doubtful, "")}

    def save_checkpoint(self, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
        """Keep what the run needs to go on; ``meta`` is JSON and must hold ``time`` in s."""
        known = {
            "version": thermal_version(),
            "case_hash": case_hash(self.case, self.input_files),
            "kept": self._kept(),
        }
        save_checkpoint(self.path, Checkpoint(arrays, {**known, **meta}))

    def load_checkpoint(self) -> Checkpoint | None:
        """The checkpoint to go on from, history and frames rewound to it; ``None`` to start at the beginning."""
        checkpoint = None
        if self.resuming:
            checkpoint, notes = load_checkpoint(self.path)
            for note in notes:
                _log.warning(note)
        if checkpoint is None:
            self._rewind(-np.inf)
            return None
        began = checkpoint.meta.get("version", "an unknown version")
        if began != thermal_version():
            raise CaseError(
                f"{self.path}: was begun by thermal {began} and cannot be resumed by {thermal_version()}; start again "
                "with --force"
            )
        if checkpoint.meta.get("case_hash") != case_hash(self.case, self.input_files) or "time" not in checkpoint.meta:
            raise CaseError(
                f"{self.path}: its checkpoint is that of another case, or of another version of the program; start "
                "again with --force"
            )
        self._rewind(float(checkpoint.meta["time"]))
        kept, expected = self._kept(), checkpoint.meta.get("kept", {})
        wrong = [name for name, digest in kept.items() if expected.get(name) != digest]
        if wrong:
            raise CaseError(
                f"{self.path}: {' and '.join(wrong)} of this unfinished run are not what its checkpoint knows of; they "
                "were damaged or changed: start again with --force"
            )
        return checkpoint

    def _kept(self) -> dict[str, str]:
        """Hashes of what lies beside a checkpoint and belongs to it."""
        if self._history is None:
            self._rewind(-np.inf)
        assert self._history is not None
        frames = hashlib.sha256("".join(digest for _, _, digest in self._frames).encode()).hexdigest()
        return {HISTORY: self._history.digest(), FRAMES: frames}

    def _rewind(self, time: float) -> None:
        path = self.path / HISTORY
        start = read_history(path).until(time) if path.exists() and np.isfinite(time) else None
        self._history = HistoryFile(path, start)
        (self.path / FRAMES).mkdir(exist_ok=True)
        self._frames = []
        for frame in sorted((self.path / FRAMES).glob("*.npy")):
            instant = float(frame.stem.partition("_")[2])
            if instant <= time:
                self._frames.append((instant, frame, sha256(frame)))
            else:
                frame.unlink()

    def record(self, time: float, readings: Mapping[str, Reading]) -> None:
        """Add a row to ``history.csv``."""
        if self._history is None:
            self._rewind(-np.inf)
        assert self._history is not None
        self._history.append(time, readings)

    def history(self) -> History:
        """All rows so far."""
        if self._history is None:
            self._rewind(-np.inf)
        assert self._history is not None
        return self._history.history()

    def save_frame(self, time: float, temperature: Array, zone: Array) -> None:
        """Keep the temperature (n,) degC and the measure of the zone (n,) at ``time`` s for ``fields.h5``."""
        if self._history is None:
            self._rewind(-np.inf)
        path = self.path / FRAMES / f"{len(self._frames):05d}_{time!r}.npy"
        whole = io.BytesIO()  # of a file numpy would say that too little was written, and not why
        np.save(whole, np.stack([temperature, zone], dtype=np.float32, casting="same_kind"))
        with atomic(path) as scratch:
            scratch.write_bytes(whole.getbuffer())
        self._frames.append((time, path, hashlib.sha256(whole.getbuffer()).hexdigest()))

    @property
    def frame_times(self) -> Array:
        """(k,) s."""
        return np.array([time for time, _, _ in self._frames])

    @property
    def frames(self) -> FrameFiles:
        """The frames kept so far."""
        return FrameFiles([path for _, path, _ in self._frames])

    # -------------------------------------------------------------------------------------------- at the end

    def write_fields(self, fields: Fields) -> None:
        """Write ``fields.h5``."""
        write_fields(self.path / FIELDS, fields)

    def write_delivery(self, rows: Sequence[Mapping[str, Reading]]) -> None:
        """Write ``delivery.csv``: where the particles were while they were delivered, a row an instant."""
        HistoryFile(self.path / DELIVERY).extend(rows)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write ``summary.json``: dotted key -> ``{"value", "unit"}``; values that are not finite become ``null``.

        Besides ``summary`` it says how many numbers came from the library and how many of them nobody has verified.
        """
        everything = {**summary, **self._library}
        write_json(self.path / SUMMARY, {key: _entry(value) for key, value in everything.items()})

    def finish(self, message: str = "", seeds: Mapping[str, int] | None = None) -> None:
        """Declare the run done; the last thing to be written."""
        provenance = read_json(self.path / PROVENANCE)
        ended = {"ended": now(), "wall_time_s": time.monotonic() - self._started, "peak_memory_bytes": peak_memory()}
        write_json(self.path / PROVENANCE, {**provenance, **ended, "seeds": dict(seeds or {})})
        _log.info("done in %.1f s", time.monotonic() - self._started)
        there = [name for name in (*RESULTS, *OF_SOME) if (self.path / name).exists()]
        self._status("done", message, {name: sha256(self.path / name) for name in there})
        self.finished = True
        remove_checkpoints(self.path)
        shutil.rmtree(self.path / FRAMES, ignore_errors=True)
        self.close()


def _entry(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"value": value["value"], "unit": value["unit"]}
    if hasattr(value, "unit"):
        return {"value": value.value, "unit": value.unit}
    if isinstance(value, tuple):
        return {"value": value[0], "unit": value[1]}
    return {"value": value, "unit": ""}


def _clear(path: Path) -> None:
    """Remove the run that a folder holds, and nothing else."""
    remove_checkpoints(path)
    shutil.rmtree(path / FRAMES, ignore_errors=True)
    for name in _OURS:
        (path / name).unlink(missing_ok=True)
