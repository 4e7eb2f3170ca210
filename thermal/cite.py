"""Whom to cite for a run: the methods that it used and the sources of its numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from thermal.library import OWN
from thermal.store import Run


@dataclass(frozen=True)
class Citation:
    """One source: ``what`` it was used for, and how many of the ``numbers`` taken from it are ``unverified``."""

    text: str
    what: tuple[str, ...]
    numbers: int = 0
    unverified: int = 0


def citations(run: Run) -> tuple[list[Citation], list[Citation]]:
    """The methods of a run, and the sources of its numbers, the most used first."""
    methods: dict[str, list[str]] = {}
    for entry in tomllib.loads((resources.files("thermal") / "data" / "methods.toml").read_text(encoding="utf-8"))[
        "method"
    ]:
        if all(_holds(run, key, value) for key, value in entry.get("when", {}).items()):
            methods.setdefault(entry["cite"], []).append(entry["what"])
    sources: dict[str, list[Mapping[str, Any]]] = {}
    for number in run.resolved.get("library", {}).get("numbers", []):
        if number["source"] != OWN:
            sources.setdefault(number["source"], []).append(number)
    found = [
        Citation(text, tuple(_beginnings(numbers)), len(numbers), sum(bool(number["unverified"]) for number in numbers))
        for text, numbers in sources.items()
    ]
    return (
        [Citation(text, tuple(dict.fromkeys(what))) for text, what in methods.items()],
        sorted(found, key=lambda citation: -citation.numbers),
    )


def _holds(run: Run, key: str, wanted: str) -> bool:
    """Whether the resolved case, or the summary, has ``wanted`` at ``key``."""
    place: Any = run.resolved
    for part in key.split("."):
        place = place.get(part) if isinstance(place, Mapping) else None
    if place is None and key in run.summary:
        place = run.value(key)
    if wanted == "*":
        return place not in (None, [], {})
    return isinstance(place, str) and (place == wanted or (wanted.endswith("*") and place.startswith(wanted[:-1])))


def _beginnings(numbers: list[Mapping[str, Any]]) -> list[str]:
    """The parts of the case that the numbers belong to."""
    return list(dict.fromkeys(".".join(str(number["key"]).split(".")[:2]) for number in numbers))
