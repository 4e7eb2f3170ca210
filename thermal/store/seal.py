"""Whether the results of a finished run are those that it wrote: their hashes stand in its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thermal.anatomy.data import sha256
from thermal.errors import CaseError
from thermal.store.names import DELIVERY, FIELDS, HISTORY, PILOT, PROVENANCE, RESOLVED, STATUS, SUMMARY

RESULTS = (SUMMARY, RESOLVED, HISTORY, FIELDS, PROVENANCE)
"""Files that every finished run has, and whose hashes stand in its status."""
OF_SOME = (DELIVERY, PILOT)
"""Those that it may have besides."""


def sealed(folder: Path, status: Mapping[str, Any]) -> Mapping[str, str]:
    """Name -> SHA-256 of the results. Raises ``CaseError`` for a status that is damaged."""
    found = status.get("results", {})
    if not isinstance(found, dict) or not set(found) <= {*RESULTS, *OF_SOME}:
        raise CaseError(f"{folder / STATUS}: is damaged; run the case again with --force")
    return found


def changed(folder: Path, seals: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Those of some results that are there and not as they were written."""
    return [
        name for name in names if name in seals and (folder / name).is_file() and sha256(folder / name) != seals[name]
    ]


def check_unchanged(folder: Path, seals: Mapping[str, str], *names: str) -> None:
    """Raises ``CaseError`` when one of these results is not what the run wrote."""
    for name in changed(folder, seals, names):
        raise CaseError(
            f"{folder / name}: is damaged or has been changed since the run wrote it; run the case again with --force"
        )
