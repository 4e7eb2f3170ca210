"""Run folders: written so that a killed run can go on, read by view, export and compare."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from thermal.store.fields import Field, Fields
from thermal.store.frames import FrameFiles, KeptFrames
from thermal.store.history import History
from thermal.store.names import COMPANION
from thermal.store.read import Run, is_run, read_run

if TYPE_CHECKING:
    from thermal.store.checkpoint import Checkpoint as Checkpoint
    from thermal.store.folder import RunFolder as RunFolder
    from thermal.store.folder import input_hashes as input_hashes

_WRITING = {"Checkpoint": "checkpoint", "RunFolder": "folder", "input_hashes": "folder"}

__all__ = [
    "COMPANION",
    "Checkpoint",
    "Field",
    "Fields",
    "FrameFiles",
    "History",
    "KeptFrames",
    "Run",
    "RunFolder",
    "input_hashes",
    "is_run",
    "read_run",
]


def __getattr__(name: str) -> Any:
    """Import on first use: who only reads runs does not wait for all that a case can be made of."""
    if name not in _WRITING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WRITING[name]}"), name)
