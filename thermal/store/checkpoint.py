"""Checkpoints: arrays and a JSON record in one file, with hashes, the previous one kept."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thermal.store.files import atomic
from thermal.units import Array

CURRENT, PREVIOUS = "checkpoint.npz", "checkpoint-previous.npz"
_META = "__meta__"


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on: ``arrays`` by name, bit for bit, and ``meta`` (JSON)."""

    arrays: Mapping[str, Array]
    meta: Mapping[str, Any]


def _digest(array: Array) -> str:
    described = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(described + np.ascontiguousarray(array).tobytes()).hexdigest()


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write atomically; the checkpoint before it is kept until the next one is whole."""
    arrays = {name: np.asarray(array) for name, array in checkpoint.arrays.items()}
    record: dict[str, Any] = {
        "meta": dict(checkpoint.meta),
        "sha256": {name: _digest(array) for name, array in arrays.items()},
    }
    record["seal"] = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    text = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
    current = folder / CURRENT
    with atomic(current) as scratch:
        with scratch.open("wb") as stream:
            np.savez(stream, **{_META: text}, **arrays)  # type: ignore[arg-type]
        if current.exists():
            os.replace(current, folder / PREVIOUS)


def _read(path: Path) -> Checkpoint:
    """Read and verify. Raises ``ValueError`` or ``OSError`` when anything is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is packed, which no run does: it might unfold without end")
        with np.load(path, allow_pickle=False) as stored:
            record = json.loads(stored[_META].tobytes())
            arrays = {name: stored[name] for name in stored.files if name != _META}
    except (zipfile.BadZipFile, KeyError, EOFError, RecursionError, MemoryError, NotImplementedError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if not isinstance(record, dict) or not isinstance(record.get("sha256"), dict):
        raise ValueError("it has no record")
    seal = record.pop("seal", None)
    if seal != hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest():
        raise ValueError("its record does not match its seal")
    wrong = [
        name for name, expected in record["sha256"].items() if name not in arrays or _digest(arrays[name]) != expected
    ]
    if wrong or set(arrays) != set(record["sha256"]):
        raise ValueError(f"hash mismatch of {', '.join(wrong) or 'its arrays'}")
    return Checkpoint(arrays, record["meta"])


def has_checkpoint(folder: Path) -> bool:
    """Whether there is anything to resume from."""
    return any((folder / name).exists() for name in (CURRENT, PREVIOUS))


def load_checkpoint(folder: Path) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The newest whole checkpoint, and a note on each damaged one that was passed over."""
    notes: list[str] = []
    for name in (CURRENT, PREVIOUS):
        try:
            return _read(folder / name), tuple(notes)
        except FileNotFoundError:
            continue
        except (ValueError, OSError) as error:
            notes.append(f"{folder / name} is damaged ({error}) and was passed over")
    return None, tuple(notes)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints."""
    for name in (CURRENT, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
