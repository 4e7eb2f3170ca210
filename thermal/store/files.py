"""Files that are either whole or absent: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thermal.errors import CaseError

_MARK = ".unfinished"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A scratch path with the same endings to write to; becomes ``path`` when the block ends, vanishes when it fails.

    What the system refuses is raised with the file that was to be written.
    """
    scratch = path.with_name(f".{os.getpid()}{_MARK}-{path.name}")
    try:
        yield scratch
        _sync(scratch)
        os.replace(scratch, path)
        _sync(path.parent)
    except OSError as error:
        error.add_note(f"while {path} was written")
        raise
    finally:
        scratch.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove scratch files that a killed process left behind."""
    for path in folder.glob(f".*{_MARK}*"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def json_safe(value: Any) -> Any:
    """Plain JSON: numbers that are not finite become ``null``, numpy scalars and arrays become plain."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_safe(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically; see :func:`json_safe`."""
    write_text(path, json.dumps(json_safe(data), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, remedy: str = "run the case again with --force") -> dict[str, Any]:
    """Read a JSON object. Raises ``CaseError`` that says what to do when it is missing or damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CaseError(f"{path}: is missing; {remedy}") from None
    except (OSError, ValueError, RecursionError) as error:  # the last one for brackets by the thousand
        raise CaseError(f"{path}: is damaged ({error}); {remedy}") from None
    if not isinstance(data, dict):
        raise CaseError(f"{path}: is damaged (no JSON object); {remedy}")
    return data
