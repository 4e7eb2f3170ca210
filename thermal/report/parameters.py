"""The numbers that runs used, once for all: tissues as a grid, the rest as a list, and their numbered sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thermal.library import OWN
from thermal.store import Run
from thermal.view import style
from thermal.view.wording import plain, spoken

CASE = "given by the case"
"""Source of what the library did not give."""
_TISSUES = "tissues."


@dataclass(frozen=True)
class Number:
    """One number as it is shown: ``source`` is its place in the list of sources, from one on."""

    key: str
    value: str
    unit: str
    source: int
    unverified: bool
    runs: str
    """which of the runs used it, where not all that have such a number do; else empty"""

    @property
    def words(self) -> str:
        """The key as one would say it."""
        return spoken(self.key)

    @property
    def unit_words(self) -> str:
        """The unit as it is printed."""
        return style.raised(self.unit)


@dataclass(frozen=True)
class Parameters:
    """All of them."""

    columns: Sequence[str]
    """headings of the grid of tissues, with units"""
    tissues: Sequence[tuple[str, Sequence[Number | None]]]
    """region -> a number a column"""
    others: Sequence[Number]
    sources: Sequence[str]
    """each with its note"""

    @property
    def listed(self) -> list[Number]:
        """One after the other, without the grid."""
        return [*(number for _, row in self.tissues for number in row if number is not None), *self.others]

    @property
    def unverified(self) -> int:
        """How many of them nobody has compared with the text of their source."""
        return sum(number.unverified for number in self.listed)


def parameters(runs: Sequence[Run], heads: Sequence[str]) -> Parameters:
    """The numbers of all runs, which are called ``heads``."""
    users: dict[tuple[Any, ...], list[str]] = {}
    holders: dict[str, list[str]] = {}
    for run, head in zip(runs, heads, strict=True):
        for entry in run.resolved.get("library", {}).get("numbers", []):
            users.setdefault(_identity(entry), []).append(head)
            holders.setdefault(str(entry["key"]), []).append(head)
    sources: dict[str, int] = {}
    numbers = []
    for identity, used in users.items():
        key, value, unit, source, doubt = identity
        place = sources.setdefault(source, len(sources) + 1)
        some = "" if used == holders[key] else ", ".join(used)
        numbers.append(Number(key, plain(value), unit, place, doubt, some))
    grid = {(n.key.split(".")[1], _heading(n)): n for n in numbers if _in_grid(n)}
    columns = list(dict.fromkeys(heading for _, heading in grid))
    regions = dict.fromkeys(region for region, _ in grid)
    rows = [(style.words(region), [grid.get((region, heading)) for heading in columns]) for region in regions]
    return Parameters(columns, rows, [n for n in numbers if not _in_grid(n)], list(sources))


def _identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    source = CASE if entry["source"] == OWN else str(entry["source"])
    note = f" ({entry['note']})" if entry["note"] else ""
    return str(entry["key"]), float(entry["value"]), str(entry["unit"]), source + note, bool(entry["unverified"])


def _in_grid(number: Number) -> bool:
    return number.key.startswith(_TISSUES) and number.key.count(".") == 2 and not number.runs


def _heading(number: Number) -> str:
    name = style.words(number.key.split(".")[2])
    unit = style.raised(number.unit)
    return f"{name} ({unit})" if unit else name
