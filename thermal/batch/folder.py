"""The folder of a batch: one run folder a case named by the hash of its content, an index, and what is finished.

``runs/NAME/seal.json`` is written last and holds the SHA-256 of every file that is kept of a finished run; a run
without a seal, or with a file that is not what its seal says, is not finished. ``index.csv`` is made from the seals.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thermal.anatomy.data import sha256
from thermal.batch.members import Named
from thermal.errors import CaseError
from thermal.store.files import read_json, write_json, write_text
from thermal.store.lock import Lock

RUNS, ANATOMIES, INDEX, SEAL, ZONE = "runs", "anatomies", "index.csv", "seal.json", "zone.npy"
_REMARKS = ("run", "status", "message", "case", "anatomy")


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``status`` is done, failed, interrupted or full (the disk is)."""

    name: str
    status: str
    message: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """dotted key -> ``{"value", "unit"}``"""


@dataclass(frozen=True)
class BatchFolder:
    """A folder that this process alone writes to; :meth:`open` it and close its ``lock``."""

    path: Path
    lock: Lock

    @classmethod
    def open(cls, path: Path) -> BatchFolder:
        """Raises ``CaseError`` when another batch uses the folder, when it cannot be written to or holds a run."""
        try:
            (path / RUNS).mkdir(parents=True, exist_ok=True)
            if (path / "status").exists():
                raise CaseError(f"{path}: holds a single run; choose another folder with --out")
            lock = Lock(path)
            lock.acquire()
        except OSError as error:
            raise CaseError(
                f"{path}: cannot be written to ({error.strerror}); choose another folder with --out"
            ) from None
        return cls(path, lock)

    def run(self, name: str) -> Path:
        """Folder of a run."""
        return self.path / RUNS / name

    def finished(self, name: str) -> Outcome | None:
        """The outcome of a run that is finished and whole, else None."""
        folder = self.run(name)
        if not (folder / SEAL).exists():
            return None
        try:
            seal = read_json(folder / SEAL)
            whole = all(sha256(folder / file) == digest for file, digest in seal["files"].items())
            return Outcome(name, "done", "", read_json(folder / "summary.json")) if whole else None
        except (CaseError, OSError, KeyError, AttributeError):
            return None

    def broken(self, name: str) -> bool:
        """Whether a run was finished once and is no longer whole."""
        return (self.run(name) / SEAL).exists() and self.finished(name) is None

    def write_index(self, members: Sequence[Named], outcomes: Mapping[str, Outcome]) -> Path:
        """``index.csv``: a row a member with what was varied and every number of its summary."""
        varied = list(dict.fromkeys(key for named in members for key in named.member.varied))
        numbers = list(dict.fromkeys(key for outcome in outcomes.values() for key in _numbers(outcome.summary)))
        units = {key: entry["unit"] for o in outcomes.values() for key, entry in _numbers(o.summary).items()}
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        headings = [f"{key} ({units[key]})" if units[key] else key for key in numbers]
        writer.writerow([*_REMARKS, *varied, *headings])
        for named in members:
            member, outcome = named.member, outcomes.get(named.name, Outcome(named.name, "waiting"))
            values = _numbers(outcome.summary)
            writer.writerow(
                [named.name, outcome.status, outcome.message, member.case.stem, member.anatomy or ""]
                + [member.varied.get(key, "") for key in varied]
                + [values[key]["value"] if key in values else "" for key in numbers]
            )
        write_text(self.path / INDEX, stream.getvalue())
        return self.path / INDEX


def seal(folder: Path, files: Iterable[str]) -> None:
    """Declare a run finished, with the hashes of the files that are kept of it."""
    write_json(folder / SEAL, {"files": {name: sha256(folder / name) for name in sorted(files)}})


def _numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    plain = (int, float)
    return {k: e for k, e in summary.items() if isinstance(e["value"], plain) and not isinstance(e["value"], bool)}
