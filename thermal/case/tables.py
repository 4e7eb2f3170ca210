"""Tables over time that stand in files of their own: a case names the file, and holds its numbers once it is read."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from thermal.errors import CaseError

TABLE_KEYS: tuple[tuple[str, ...], ...] = (("delivery", "measured"),)
"""Keys that may hold the name of a CSV file instead of a table of lists."""
LARGEST_TABLE = 1_000_000
"""Bytes."""


def with_tables(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``data`` of a case file in ``folder`` with its CSV files read. Raises ``CaseError``."""
    found = dict(data)
    for *outer, last in TABLE_KEYS:
        table: Any = found
        for key in outer:
            inner = table.get(key)
            if not isinstance(inner, dict):
                table = None
                break
            table[key] = table = dict(inner)
        if table is not None and isinstance(table.get(last), str):
            table[last] = read_table(folder / table[last], ".".join((*outer, last)))
    return found


def read_table(path: Path, place: str) -> dict[str, list[list[str]]]:
    """Column -> rows of (time, value) as texts with units; empty cells are left out.

    The first line names the columns with their units, ``time [h],tumour [mg/ml],liver [ug/ml]``.
    """
    name = os.path.relpath(path)
    try:
        if path.exists() and not path.is_file():
            raise CaseError(f"{place}: {name}: is no file; expected a CSV file with time and concentrations")
        if path.stat().st_size > LARGEST_TABLE:
            raise CaseError(
                f"{place}: {name} is larger than {LARGEST_TABLE} bytes; a table over time has a few kilobytes"
            )
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(
            f"{place}: {name} cannot be read ({error}); expected a CSV file with time and concentrations"
        ) from None
    rows = [(number, row) for number, row in enumerate(lines, 1) if any(cell.strip() for cell in row)]
    rows = [(number, row) for number, row in rows if not row[0].lstrip().startswith("#")]
    if len(rows) < 2:
        raise CaseError(f"{place}: {name} has no rows; write a line of headings and a line for each time")
    headings = [_heading(cell, f"{name}:{rows[0][0]}") for cell in rows[0][1]]
    if headings[0][0] != "time":
        raise CaseError(
            f'{name}:{rows[0][0]}: the first column is "{headings[0][0]}"; it has to be "time [h]" or the like'
        )
    table: dict[str, list[list[str]]] = {column: [] for column, _ in headings[1:]}
    for number, row in rows[1:]:
        if len(row) != len(headings):
            raise CaseError(f"{name}:{number}: {len(row)} cells, but the headings are {len(headings)}")
        for (column, unit), cell in zip(headings[1:], row[1:], strict=True):
            if cell.strip():
                table[column].append([f"{row[0].strip()} {headings[0][1]}", f"{cell.strip()} {unit}"])
    return table


def _heading(cell: str, place: str) -> tuple[str, str]:
    """Name and unit of a column."""
    name, bracket, rest = cell.strip().partition("[")
    if not bracket or not rest.endswith("]"):
        raise CaseError(f'{place}: the heading "{cell.strip()}" has no unit; write e.g. "time [h]" or "tumour [mg/ml]"')
    return name.strip(), rest[:-1].strip()
