"""Run folders: written so that a killed run can go on, read by view, export and compare."""

from thermal.store.checkpoint import Checkpoint
from thermal.store.fields import Field, Fields, FrameFiles, KeptFrames
from thermal.store.folder import COARSE, RunFolder, input_hashes
from thermal.store.history import History
from thermal.store.read import Run, is_run, read_run

__all__ = [
    "COARSE",
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
