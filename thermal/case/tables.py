"""Tables over time that stand in files of their own: a case names the file, and holds its numbers once it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from thermal.errors import CaseError
from thermal.tabular import read_rows

TABLE_KEYS: tuple[tuple[str, ...], ...] = (("delivery", "measured"),)
"""Keys that may hold the name of a CSV file instead of a table of lists."""
LARGEST_TABLE = 1_000_000
"""Bytes; a table over time has a few kilobytes."""


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
    rows = read_rows(path, f"{place}: {name}", "a line of headings and a line for each time", LARGEST_TABLE)
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
            if cell:
                table[column].append([f"{row[0]} {headings[0][1]}", f"{cell} {unit}"])
    return table


def _heading(cell: str, place: str) -> tuple[str, str]:
    """Name and unit of a column."""
    name, bracket, rest = cell.partition("[")
    if not bracket or not rest.endswith("]"):
        raise CaseError(f'{place}: the heading "{cell}" has no unit; write e.g. "time [h]" or "tumour [mg/ml]"')
    return name.strip(), rest[:-1].strip()
