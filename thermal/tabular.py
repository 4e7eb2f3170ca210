"""Tables in text files that others wrote: rows of cells, or one line about why there are none."""

from __future__ import annotations

import csv
from pathlib import Path

from thermal.errors import CaseError

SEPARATORS = (",", ";", "\t")
LARGEST = 1 << 28
"""Bytes: some four million rows."""

Row = tuple[int, list[str]]
"""Number of a line, from 1, and its cells."""


def read_rows(path: Path, label: str, expected: str, largest: int = LARGEST) -> list[Row]:
    """The lines of a table in UTF-8 with a header, without those that are empty or begin with #.

    Cells are separated by comma, semicolon or tab, as in the header, else by blanks, and stripped. ``label``
    begins messages, ``expected`` says what the file should hold. Raises ``CaseError`` for files that cannot be read,
    are larger than ``largest`` bytes, name a column twice or have no line below their header.
    """
    try:
        if path.exists() and not path.is_file():
            raise CaseError(f"{label}: is no file; expected {expected}")
        size = path.stat().st_size
        if size > largest:
            raise CaseError(f"{label}: has {size} bytes, and may have {largest}; expected {expected}")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip(" ,;\t")]
        numbered = [(number, line) for number, line in numbered if not line.lstrip().startswith("#")]
        if len(numbered) < 2:
            raise CaseError(f"{label}: has no rows; expected {expected}")
        split = next((mark for mark in SEPARATORS if mark in numbered[0][1]), None)
        rows = [(number, _cells(line, split)) for number, line in numbered]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise CaseError(f"{label}: cannot be read as a table ({words}); expected {expected}") from None
    twice = sorted({name for name in rows[0][1] if rows[0][1].count(name) > 1})
    if twice:
        raise CaseError(f"{label}: names the column {twice[0]} twice; expected {expected}")
    return rows


def _cells(line: str, split: str | None) -> list[str]:
    """Each row is one line: a quote that nobody closes ends with it."""
    if split is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=split, skipinitialspace=True))]
