"""What a mesh file holds: blocks of elements, numbers, names."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.anatomy.unpacking import TooMuchError, bounded
from thermal.errors import CaseError, one_line
from thermal.machine import free_memory
from thermal.units import Array

Index = npt.NDArray[np.int64]

LARGEST = 4e9
"""Bytes of a mesh file; a mesh of ten million tetrahedra has half a gigabyte."""

LONGEST_NAME = 80
"""Letters of a physical group."""

_log = logging.getLogger("thermal")

READERS = {".msh": "gmsh", ".vtu": "vtu._vtu"}
HINTS = {
    ".msh": ", or of a form that cannot be read: let Gmsh write version 4.1 or 2.2 without parametric coordinates, and "
    'give every part a physical group or do not "save all elements"'
}
"""What to say of files that meshio cannot read: its reader knows neither version 4.0 as Gmsh writes it now, nor
parametric nodes, nor blocks of which only some are in a physical group."""


@dataclass(frozen=True)
class Form:
    """Kind of cells that a mesh is made of: element types of cells and of their facets (the first is linear), the
    dimension of the cells, and words for both."""

    cells: tuple[str, ...]
    facets: tuple[str, ...]
    lower: tuple[str, ...]
    dimension: int
    cell: str
    facet: str
    bulk: str

    @property
    def corners(self) -> int:
        """Nodes of a cell."""
        return self.dimension + 1


TETRAHEDRA = Form(
    ("tetra", "tetra10"), ("triangle", "triangle6"), ("line", "line3", "vertex"), 3, "tetrahedra", "triangles", "volume"
)
TRIANGLES = Form(("triangle", "triangle6"), ("line", "line3"), ("vertex",), 2, "triangles", "segments", "area")


@dataclass(frozen=True)
class Blocks:
    """``cells`` (m, k) of all blocks of one kind of element, the ``blocks``' positions, and how many are quadratic."""

    cells: Index
    blocks: tuple[int, ...]
    quadratic: int


@dataclass(frozen=True)
class MeshFile:
    """A file as read by meshio, and ``place``: what messages call it."""

    raw: Any
    place: str
    physical: tuple[tuple[int, int, str], ...]
    """(dimension, number, name) of the physical groups"""

    @property
    def points(self) -> Array:
        """(n, 2 or 3), in the unit of the file."""
        return np.asarray(self.raw.points, dtype=float)

    def counts(self) -> dict[str, int]:
        """Element type -> how many."""
        found: dict[str, int] = {}
        for block in self.raw.cells:
            found[block.type] = found.get(block.type, 0) + len(block.data)
        return found

    def blocks(self, types: tuple[str, ...], corners: int) -> Blocks:
        """All elements of some types, reduced to their ``corners``."""
        positions = tuple(i for i, block in enumerate(self.raw.cells) if block.type in types)
        parts = [np.asarray(self.raw.cells[i].data, dtype=np.int64)[:, :corners] for i in positions]
        quadratic = sum(len(self.raw.cells[i].data) for i in positions if self.raw.cells[i].type != types[0])
        return Blocks(np.concatenate(parts) if parts else np.empty((0, corners), np.int64), positions, quadratic)

    def numbers(self, array: str, blocks: Blocks) -> Array:
        """Cell data of some blocks, one a cell."""
        parts = [np.asarray(self.raw.cell_data[array][block]).ravel() for block in blocks.blocks]
        return np.concatenate(parts) if parts else np.empty(0)

    def names(self, dimension: int) -> Mapping[int, str]:
        """Number -> name of the physical groups of a dimension. Raises ``CaseError`` for a number with two names, and
        for a name that cannot stand in the files of a run."""
        named: dict[int, str] = {}
        for of, number, name in self.physical:
            if of == dimension and not _usable(name):
                raise CaseError(
                    f'{self.place}: the physical group {number} of dimension {dimension} has the name "{name}", which '
                    f"cannot be used; names begin with a letter, a digit or _, have at most {LONGEST_NAME} letters, "
                    "none of them / or a control character: rename it in the mesh generator"
                )
            if of == dimension and named.setdefault(number, name) != name:
                raise CaseError(
                    f'{self.place}: the physical group {number} has two names, "{named[number]}" and "{name}"; '
                    "keep one of them in the mesh generator"
                )
        return named


def _usable(name: str) -> bool:
    """Whether a region or a boundary can have this name in a case, in tables and in ``fields.h5``."""
    begins = name[:1].isalnum() or name[:1] == "_"
    return begins and name.isprintable() and "/" not in name and name == name.strip() and len(name) <= LONGEST_NAME


def read_mesh(path: Path, place: str) -> MeshFile:
    """Read a ``.msh`` or ``.vtu``. Raises ``CaseError``."""
    kind = path.suffix.lower()
    if kind not in READERS:
        raise CaseError(f'anatomy.file = "{path}": meshes are read from {" or ".join(READERS)}; convert it with meshio')
    reader = importlib.import_module(f"meshio.{READERS[kind]}")
    room = _room(path, place)
    said = io.StringIO()
    unpacking = bounded(reader, room) if hasattr(reader, "zlib") else contextlib.nullcontext()
    try:
        with contextlib.redirect_stderr(said), unpacking:  # meshio prints its warnings
            raw = reader.read(path)
    except TooMuchError as error:
        raise CaseError(f"{place}: {error}; use a coarser mesh") from None
    except Exception as error:  # meshio's readers raise whatever the parsing trips over
        raise CaseError(
            f'anatomy.file = "{path}": cannot be read as {kind} ({_tripped_over(error)}); '
            f"it is damaged, or is another kind of file{HINTS.get(kind, '')}"
        ) from error
    if doubts := one_line(said.getvalue()).strip():
        _log.warning("%s: %s", place, doubts)
    return MeshFile(raw, place, tuple(_physical(path)) if kind == ".msh" else ())


def _tripped_over(error: Exception) -> str:
    """What a reader could not make sense of: its own words, not those of Python or NumPy beneath it."""
    if type(error).__module__.partition(".")[0] in ("meshio", "xml") or isinstance(error, OSError):
        return str(error) or "it is not built as it should be"
    if isinstance(error, (IndexError, KeyError)):
        return "it refers to a node or a part that is not in it"
    return "it ends too early, or something else stands where a number should"


def _room(path: Path, place: str) -> float:
    """Bytes that may be read. Raises ``CaseError`` for a file that the machine cannot hold: reading takes some ten
    times what it has."""
    size, free = path.stat().st_size, free_memory()
    limit = LARGEST if free is None else min(LARGEST, free / 10.0)
    if size > limit:
        raise CaseError(
            f"{place}: has {size / 1e6:.3g} MB, more than the {limit / 1e6:.3g} MB that can be read here; "
            "use a coarser mesh"
        )
    return limit


def _physical(path: Path) -> list[tuple[int, int, str]]:
    """(dimension, number, name) of the physical groups: meshio keeps only one of a surface and a volume that share a
    name."""
    section = re.search(rb"\$PhysicalNames\s+\d+\s*\n(.*?)\$EndPhysicalNames", path.read_bytes(), re.DOTALL)
    if section is None:
        return []
    lines = re.findall(r'^\s*(\d+)\s+(\d+)\s+"([^"\n]*)"', section.group(1).decode("utf-8", "replace"), re.MULTILINE)
    return [(int(dimension), int(number), name) for dimension, number, name in lines]
