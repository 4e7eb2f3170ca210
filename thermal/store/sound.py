"""Whether ``fields.h5`` is what a run writes. Folders come from others: what their file holds is believed of none.

Nothing in it may lead into other files or be larger than the machine, and every array has the shape and the kind of
numbers that its place asks for, so that nobody who reads it has to look again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.errors import CaseError
from thermal.machine import free_memory
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
DEEPEST = 3
"""Names in a path of the file, as in ``series/temperature/00000``."""
NUMBERS = "biuf"
"""Kinds of numpy types that a run writes."""
_DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError)
"""What reading a file that is none raises: h5py and json pass on whatever they trip over."""


@contextmanager
def open_fields(path: Path) -> Iterator[Any]:
    """The open file. Raises ``CaseError`` when it is missing, damaged or lacks something."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise CaseError(f"{path}: is missing; run the case again with --force") from None
    except CaseError:
        raise
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        raise CaseError(f"{path}: is damaged ({said}); run the case again with --force") from None


def check_file(file: Any) -> None:
    """Look at everything in an open file but at values. Raises ``ValueError``."""
    import h5py

    room = free_memory()
    todo, met = [(file["/"], 1)], {file["/"]}
    while todo:
        group, depth = todo.pop()
        if depth > DEEPEST:
            raise ValueError(f"{group.name} lies deeper than {DEEPEST} names")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} in {group.name} leads elsewhere")
            entry = group[name]
            if entry in met:
                raise ValueError(f"{name} in {group.name} stands there twice")
            met.add(entry)
            if isinstance(entry, h5py.Group):
                todo.append((entry, depth + 1))
                continue
            if entry.is_virtual or entry.external:
                raise ValueError(f"{entry.name} has its values in another file")
            if entry.shape is None or entry.dtype.kind not in NUMBERS:
                raise ValueError(f"{entry.name} holds {entry.dtype}, not numbers")
            if room is not None and 8.0 * float(entry.size) > room:
                raise ValueError(f"{entry.name} has {entry.size:.3g} values, more than this machine can hold")


def numbers(entry: Any, *shape: int | None) -> Array:
    """All values of an entry. Raises ``ValueError`` where its shape is another (None: any length) or one not finite."""
    values = np.asarray(_shaped(entry, shape)[()], dtype=float)
    if not np.isfinite(values).all():
        raise ValueError(f"{entry.name} holds values that are not finite")
    return values


def whole(entry: Any, count: int) -> Array:
    """All ``count`` values of an entry, finite or not. Raises ``ValueError`` where there are more or fewer."""
    return np.asarray(_shaped(entry, (count,))[()], dtype=float)


def flags(entry: Any, count: int) -> Mask:
    """All ``count`` truths of an entry. Raises ``ValueError`` where there are more or fewer."""
    return np.asarray(_shaped(entry, (count,))[()], dtype=bool)


def axis(entry: Any) -> Array:
    """(k,) increasing coordinates, two at least. Raises ``ValueError``."""
    found = numbers(entry, None)
    if len(found) < 2 or not np.all(np.diff(found) > 0.0):
        raise ValueError(f"{entry.name} is no axis: its values do not increase")
    return found


def indices(entry: Any, corners: int, count: int) -> Index:
    """(k, ``corners``) indices of ``count`` nodes. Raises ``ValueError`` for one that is none."""
    found = np.asarray(_shaped(entry, (None, corners))[()], dtype=np.int64)
    if found.size and not (found.min() >= 0 and found.max() < count):
        raise ValueError(f"{entry.name} names nodes that there are not")
    return found


def _shaped(entry: Any, shape: tuple[int | None, ...]) -> Any:
    if len(entry.shape) != len(shape) or any(
        asked is not None and asked != found for asked, found in zip(shape, entry.shape, strict=True)
    ):
        words = ", ".join("any" if asked is None else str(asked) for asked in shape)
        raise ValueError(f"{entry.name} has the shape {entry.shape}, not ({words}{',' if len(shape) == 1 else ''})")
    return entry
