"""The library of sourced parameters: tissues, particles and damage laws.

The data lie beside the code as TOML (``thermal/data/*.toml``). A leaf is a table with a ``source``: either
``{ value = "0.52 W/m/K", source = "itis" }`` or a row of several quantities that belong together
(``{ wavelength = "808 nm", absorption = "0.7 1/cm", source = "..." }``). A table without a source holds leaves of its
own; ``facts`` holds words and numbers for people alone, which the program does not use. ``source`` is a key of the
table ``[sources]`` of the file or the reference itself. ``unverified = true`` marks a number that nobody has yet
compared with the source's own text; ``note`` is for the reader.
"""

from __future__ import annotations

import csv
import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, TypedDict, get_args

import numpy as np
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from thermal.errors import CaseError
from thermal.units import Array

KINDS = ("tissues", "particles", "damage", "generators", "imaging")
_REMARKS = frozenset({"source", "unverified", "note"})
_FOR_PEOPLE = frozenset({"about", "facts"})


OWN = "case"
"""Source of the numbers that the case itself gives."""


class Sourced(TypedDict):
    """One number of the library, or of a case (``source = "case"``), with where it comes from."""

    key: str
    value: float
    unit: str
    source: str
    unverified: bool
    note: str


@cache
def _read(kind: str) -> dict[str, Any]:
    if kind not in KINDS:
        raise ValueError(f'"{kind}" is not a kind of library entry; known: {", ".join(KINDS)}')
    text = (resources.files("thermal") / "data" / f"{kind}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def names(kind: str) -> tuple[str, ...]:
    """Names of all entries of a kind (one of :data:`KINDS`), sorted."""
    return tuple(sorted(name for name in _read(kind) if name != "sources"))


def entry(kind: str, name: str) -> dict[str, Any]:
    """The raw table of an entry. Raises ``CaseError`` with the nearest names when there is none."""
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
        raise CaseError(f'"{name}" is not in the library of {kind}; {hint}')
    table: dict[str, Any] = _read(kind)[name]
    return table


def about(kind: str, name: str) -> str:
    """One line for people on what the entry is."""
    return str(entry(kind, name).get("about", ""))


def values(kind: str, name: str) -> dict[str, Any]:
    """The entry as one would write it in a case file: quantity strings, words, and lists of rows."""
    return {key: _plain(item) for key, item in entry(kind, name).items() if key not in _FOR_PEOPLE}


def facts(kind: str, name: str) -> dict[str, Any]:
    """What else there is to know of an entry, by name: words, or tables of a value with its source."""
    return dict(entry(kind, name).get("facts", {}))


def _plain(item: Any) -> Any:
    if isinstance(item, list):
        return [_plain(row) for row in item]
    if isinstance(item, dict):
        return item["value"] if "value" in item else {k: _plain(v) for k, v in item.items() if k not in _REMARKS}
    return item


def sources(kind: str, name: str) -> list[Sourced]:
    """Every number of an entry with its unit and its source, in the order of the file."""
    return _within(kind, "", {key: item for key, item in entry(kind, name).items() if key not in _FOR_PEOPLE})


def _within(kind: str, prefix: str, table: Mapping[str, Any]) -> list[Sourced]:
    """Every number of a table whose own key is ``prefix``."""
    found: list[Sourced] = []
    for key, item in table.items():
        for row in item if isinstance(item, list) else [item]:
            if isinstance(row, dict):
                found += _numbers(kind, prefix + key, row) if "source" in row else _within(kind, f"{prefix}{key}.", row)
    return found


def source_of(kind: str, row: Mapping[str, Any]) -> str:
    """The reference of a row, in full."""
    reference = str(row["source"])
    return str(_read(kind).get("sources", {}).get(reference, reference))


def _numbers(kind: str, key: str, row: dict[str, Any]) -> list[Sourced]:
    source, unverified, note = source_of(kind, row), bool(row.get("unverified", False)), str(row.get("note", ""))
    if "value" in row:
        quantities = {key: row["value"]}
    else:
        place = f"{key}[{row['wavelength']}]" if "wavelength" in row else key
        quantities = {f"{place}.{k}": v for k, v in row.items() if k not in _REMARKS and k != "wavelength"}
    return [sourced(k, v, source, unverified, note) for k, v in quantities.items()]


def sourced(key: str, text: str, source: str, unverified: bool = False, note: str = "") -> Sourced:
    """A quantity string with its source as a record; the number and the unit stay as written."""
    number, _, unit = str(text).partition(" ")
    return Sourced(key=key, value=float(number), unit=unit, source=source, unverified=unverified, note=note)


def stated(key: str, value: float, model: type[BaseModel], field: str) -> Sourced:
    """The record of a value that the case itself gives for a quantity field of a model, in the field's unit."""
    info = model.model_fields[field]
    unit = next((found for part in (info, info.annotation) if (found := _unit(part)) is not None), "")
    return sourced(key, f"{value!r} {unit}", OWN)


def _unit(part: Any) -> str | None:
    """Unit that a quantity's annotation or field carries, through ``| None``."""
    if isinstance(part, FieldInfo):
        extra = part.json_schema_extra
        return str(extra["unit"]) if isinstance(extra, dict) and "unit" in extra else None
    return next((unit for inner in get_args(part) if (unit := _unit(inner)) is not None), None)


@cache
def table(name: str) -> dict[str, Array]:
    """A numeric table of the library by its column names (``"johnson_christy"``); each column (k,), read-only."""
    text = (resources.files("thermal") / "data" / f"{name}.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(line for line in text.splitlines() if line and not line.startswith("#"))
    columns = np.array(rows, dtype=np.float64).T
    columns.flags.writeable = False
    return dict(zip(header, columns, strict=True))
