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
from thermal.store.files import atomic, read_json, write_json, write_text
from thermal.store.lock import Lock
from thermal.store.names import FIELDS
from thermal.store.ordinary import check_ordinary

RUNS, ANATOMIES, INDEX, TABLE = "runs", "anatomies", "index.csv", "index.parquet"
SEAL, ZONE = "seal.json", "zone.npy"
_HOLDS: Mapping[str, frozenset[str]] = {
    "everything": frozenset({FIELDS}),
    "zone": frozenset({ZONE, FIELDS}),
    "summary": frozenset(),
}
"""What a sweep keeps of its runs -> files of which a finished run has one."""
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

    def finished(self, name: str, keep: str) -> Outcome | None:
        """See :func:`finished`."""
        return finished(self.run(name), keep)

    def broken(self, name: str, keep: str) -> bool:
        """Whether a run was finished once and is no longer whole, or was left without what is to be kept of it."""
        return (self.run(name) / SEAL).exists() and self.finished(name, keep) is None

    def write_index(self, members: Sequence[Named], outcomes: Mapping[str, Outcome]) -> list[Path]:
        """``index.csv``: a row a member with what was varied and every number of its summary; where pyarrow is
        installed, ``index.parquet`` with the same columns."""
        columns = _columns(members, outcomes)
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(["" if v is None else v for v in column] for column in columns.values()), strict=True))
        write_text(self.path / INDEX, stream.getvalue())
        table = self.path / TABLE
        if not write_parquet(table, columns):
            table.unlink(missing_ok=True)  # of an earlier batch, and no longer true
            return [self.path / INDEX]
        return [self.path / INDEX, table]


def finished(folder: Path, keep: str) -> Outcome | None:
    """The outcome of a run that is finished, whole and has what is to be kept of it (:data:`_HOLDS`), else None."""
    if not (folder / SEAL).exists():
        return None
    try:
        check_ordinary(folder)
        files = read_json(folder / SEAL)["files"].items()
        whole = all(Path(file).name == file and sha256(folder / file) == digest for file, digest in files)
        wanted = _HOLDS[keep]
        whole = whole and (not wanted or any(file in wanted for file, _ in files))
        return Outcome(folder.name, "done", "", read_json(folder / "summary.json")) if whole else None
    except (CaseError, OSError, KeyError, AttributeError):
        return None


def _columns(members: Sequence[Named], outcomes: Mapping[str, Outcome]) -> dict[str, list[Any]]:
    """Heading -> a value a member, None where it has none."""
    ends = [outcomes.get(named.name, Outcome(named.name, "waiting")) for named in members]
    varied = dict.fromkeys(key for named in members for key in named.member.varied)
    values = [_numbers(outcome.summary) for outcome in ends]
    units = {key: entry["unit"] for found in values for key, entry in found.items()}
    remarks = (
        [named.name for named in members], [end.status for end in ends], [end.message for end in ends],
        [named.member.case.stem for named in members], [named.member.anatomy or "" for named in members],
    )  # fmt: skip
    return {
        **dict(zip(_REMARKS, remarks, strict=True)),
        **{key: [named.member.varied.get(key) for named in members] for key in varied},
        **{
            f"{key} ({unit})" if unit else key: [found[key]["value"] if key in found else None for found in values]
            for key, unit in units.items()
        },
    }


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]]) -> bool:
    """Write a table, if pyarrow is installed; a column is of numbers where all of it are, else of texts."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return False

    def typed(values: Sequence[Any]) -> Any:
        given = [value for value in values if value is not None]
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
            return pyarrow.array([None if value is None else float(value) for value in values], pyarrow.float64())
        return pyarrow.array([None if value is None else str(value) for value in values], pyarrow.string())

    with atomic(path) as scratch:
        parquet.write_table(pyarrow.table({name: typed(values) for name, values in columns.items()}), scratch)
    return True


def seal(folder: Path, files: Iterable[str]) -> None:
    """Declare a run finished, with the hashes of the files that are kept of it."""
    write_json(folder / SEAL, {"files": {name: sha256(folder / name) for name in sorted(files)}})


def _numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    plain = (int, float)
    return {k: e for k, e in summary.items() if isinstance(e["value"], plain) and not isinstance(e["value"], bool)}
