"""``history.csv``: one row a recorded instant, columns ``name [unit]``."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thermal.errors import CaseError, unknown
from thermal.physics.scene import Reading
from thermal.store.files import write_text
from thermal.units import Array


@dataclass(frozen=True)
class History:
    """Columns over time: ``columns`` name -> (k,), NaN where there is no value; ``units`` by name; "time" in s."""

    columns: Mapping[str, Array]
    units: Mapping[str, str]

    @property
    def time(self) -> Array:
        """(k,) s."""
        return self.columns["time"]

    def __getitem__(self, name: str) -> Array:
        """A column (k,). Raises ``KeyError`` that says which there are."""
        if name not in self.columns:
            raise unknown("column of the history", name, self.columns)
        return self.columns[name]

    def until(self, time: float) -> History:
        """The rows up to and including ``time``."""
        kept = self.time <= time * (1 + 1e-12)
        return History({name: column[kept] for name, column in self.columns.items()}, self.units)


def read_history(path: Path) -> History:
    """Read a history; an incomplete last line (of a killed run) is left out. Raises ``CaseError`` when damaged."""
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise CaseError(f"{path}: cannot be read ({words}); run the case again with --force") from None
    if not rows or not rows[0] or rows[0][0] != "time [s]":
        raise CaseError(f"{path}: is damaged (no header); run the case again with --force")
    names, units = zip(*(_split(label) for label in rows[0]), strict=True)
    try:
        table = np.array([[float(cell) if cell else math.nan for cell in row] for row in rows[1:]]).reshape(
            -1, len(names)
        )
    except ValueError as error:
        raise CaseError(f"{path}: is damaged ({error}); run the case again with --force") from None
    return History(dict(zip(names, table.T, strict=True)), dict(zip(names, units, strict=True)))


def _split(label: str) -> tuple[str, str]:
    name, _, unit = label.rpartition(" [")
    return (name, unit[:-1]) if name and unit.endswith("]") else (label, "")


def _cell(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else ""


class HistoryFile:
    """Appends rows to ``history.csv``; the file is readable at any moment."""

    def __init__(self, path: Path, start: History | None = None) -> None:
        self.path = path
        self._units: dict[str, str] = {"time": "s"}
        self._rows: list[dict[str, float]] = []
        if start is not None:
            self._units = dict(start.units)
            self._rows = [
                {name: float(column[row]) for name, column in start.columns.items()} for row in range(len(start.time))
            ]
        self._rewrite()

    def append(self, time: float, readings: Mapping[str, Reading]) -> None:
        """Add the row of one instant (``time`` in s). A name met for the first time adds a column."""
        row = {"time": float(time), **{name: float(reading.value) for name, reading in readings.items()}}
        self._rows.append(row)
        new = {name: reading.unit for name, reading in readings.items() if name not in self._units}
        if new:
            self._units |= new
            self._rewrite()
            return
        with self.path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(self._line(row))

    def extend(self, rows: Sequence[Mapping[str, Reading]]) -> None:
        """Add rows that hold their ``time``, all at once."""
        for row in rows:
            self._units |= {name: reading.unit for name, reading in row.items() if name not in self._units}
            self._rows.append({name: reading.value for name, reading in row.items()})
        self._rewrite()

    def digest(self) -> str:
        """SHA-256 of the numbers of all rows so far, whatever columns come later."""
        rows = [
            sorted((name, repr(value)) for name, value in row.items() if math.isfinite(value)) for row in self._rows
        ]
        return hashlib.sha256(repr(rows).encode()).hexdigest()

    def history(self) -> History:
        """All rows so far."""
        columns = {name: np.array([row.get(name, math.nan) for row in self._rows]) for name in self._units}
        return History(columns, dict(self._units))

    def _line(self, row: Mapping[str, float]) -> str:
        return ",".join(_cell(row.get(name, math.nan)) for name in self._units) + "\n"

    def _rewrite(self) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow(f"{name} [{unit}]" for name, unit in self._units.items())
        buffer.writelines(self._line(row) for row in self._rows)
        write_text(self.path, buffer.getvalue())
