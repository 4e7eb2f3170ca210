"""Whole case files from resolved cases: every value stands there, so that nothing else is needed to run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thermal.anatomy.data import PREFIX
from thermal.batch.priors import as_toml
from thermal.case.describe import as_written
from thermal.case.schema import FILE_KEYS
from thermal.units import Array, parse

LEFT_OUT = ("plan", "control", "library", "input_files")
"""Tables that steer other commands, and what a run folder keeps beside the case."""


def case_text(resolved: Mapping[str, Any], folder: Path, remark: str, title: str) -> str:
    """A case file; ``folder`` is that which the names of its input files are relative to."""
    table = {name: value for name, value in as_written(resolved).items() if name not in LEFT_OUT}
    table["title"] = title
    for keys in FILE_KEYS:
        _absolute(table, keys, folder.resolve())
    plain = [f"{name} = {as_toml(value)}" for name, value in table.items() if not isinstance(value, dict)]
    lines = [f"# {remark}", "# For research, not for clinical decisions.", *plain]
    for name, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *(f'"{key}" = {as_toml(item)}' for key, item in value.items())]
    return "\n".join(lines) + "\n"


def _absolute(part: Any, keys: tuple[str, ...], folder: Path) -> None:
    """Make the file name at ``keys`` hold from anywhere."""
    key, *rest = keys
    if key == "*":
        for item in part if isinstance(part, list) else ():
            _absolute(item, tuple(rest), folder)
    elif isinstance(part, dict) and key in part:
        value = part[key]
        if rest:
            _absolute(value, tuple(rest), folder)
        elif isinstance(value, str) and value and not value.startswith(PREFIX):
            part[key] = str(folder / value)


def moved(resolved: Any, shift: Array) -> tuple[Any, int]:
    """A resolved table with all that has an entry and a tip moved by ``shift`` (3,) m, and how many there were."""
    if isinstance(resolved, Mapping):
        if resolved.get("tip") is not None and resolved.get("entry") is not None:
            points = {name: _point(resolved[name], shift) for name in ("entry", "tip")}
            rest, count = moved({k: v for k, v in resolved.items() if k not in points}, shift)
            return {**rest, **points}, count + 1
        pairs = {key: moved(value, shift) for key, value in resolved.items()}
        return {key: value for key, (value, _) in pairs.items()}, sum(count for _, count in pairs.values())
    if isinstance(resolved, (list, tuple)):
        items = [moved(item, shift) for item in resolved]
        return [item for item, _ in items], sum(count for _, count in items)
    return resolved, 0


def _point(point: Any, shift: Array) -> list[str]:
    at = np.array([parse(text, "m") for text in as_written(point)]) + shift
    return [f"{float(x)!r} m" for x in at]
