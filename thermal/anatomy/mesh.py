"""An anatomy from a tetrahedral mesh with named regions and boundaries."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, field_validator

from thermal.anatomy.built import Anatomy, RegionName
from thermal.anatomy.data import resolve, sha256
from thermal.domain import FACES, SURFACE, MeshDomain
from thermal.errors import CaseError
from thermal.units import Array, Spec

_READERS = {".msh": "gmsh", ".vtu": "vtu"}
_UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6}
_KNOWN_DATA = ("gmsh:physical", "region", "regions", "medit:ref", "label", "labels", "material")
"""Cell data looked for, in this order, when ``cell_data`` is not given."""
_FLAT = 1e-9
"""A tetrahedron is flat when its volume is less than this share of the cube of its longest edge."""
_SOLID_ONLY = ("tetra", "tetra10", "triangle", "triangle6", "line", "line3", "vertex")

Index = npt.NDArray[np.int64]


def _tags(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, (list, tuple)) and not value):
        raise ValueError("a region's number is a whole number or a list of them, e.g. 1 or [1, 2]")
    return (value,) if isinstance(value, int) else value


class Mesh(Spec):
    """Tetrahedra from a ``.msh`` (Gmsh) or ``.vtu`` file; coordinates in ``length_unit``, patient RAS.

    Regions are the physical names of the file, or ``regions`` (name -> number or numbers) applied to the cell data
    array ``cell_data``. Triangles with a physical name make a boundary of that name; ``"surface"`` is the whole outer
    border.
    """

    kind: Literal["mesh"]
    file: str
    """.msh or .vtu, relative to the case file, or "data:..." """
    length_unit: Literal["m", "cm", "mm", "um"] = "m"
    """unit of the coordinates in the file"""
    regions: dict[RegionName, Annotated[tuple[int, ...], BeforeValidator(_tags)]] = Field(default_factory=dict)
    """region -> its number or numbers in the file, where the file has no names"""
    cell_data: str | None = None
    """cell data array that holds the numbers (default: gmsh:physical, region, medit:ref, label or material)"""
    tumour: RegionName | None = None
    """region that is the target"""

    @field_validator("regions")
    @classmethod
    def _distinct(cls, regions: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        given = [number for numbers in regions.values() for number in numbers]
        twice = sorted({number for number in given if given.count(number) > 1})
        if twice:
            raise ValueError(f"numbers {twice} are named more than once")
        return regions

    def build(self, base: Path = Path()) -> Anatomy:
        """Read, name and check. ``base``: folder of the case file. Raises ``CaseError``."""
        path = resolve(self.file, base, "anatomy.file")
        raw = _read(path)
        place = f'anatomy.file = "{self.file}"'
        points = np.asarray(raw.points, dtype=float)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise CaseError(
                f"{place}: node coordinates must be three finite numbers each; the file has NaN or infinity"
            )
        _refuse_other_solids(raw, place)
        tetrahedra = _blocks(raw, ("tetra", "tetra10"), 4)
        if not len(tetrahedra.cells):
            kinds = ", ".join(sorted({block.type for block in raw.cells})) or "nothing"
            raise CaseError(f"{place}: no tetrahedra (found {kinds}); mesh the volumes, not only their surfaces")
        names = _names(raw, dimension=3)
        owner, regions = self._owners(raw, tetrahedra, names, place)
        points, cells, triangles, kept = _without_orphans(points * _UNITS[self.length_unit], raw, tetrahedra.cells)
        _check_size(points, place, self.length_unit)
        cells, notes = _checked(points, cells, place)
        if not kept.all():
            notes += (f"{np.count_nonzero(~kept)} nodes that belong to no tetrahedron were left out",)
        boundaries = {SURFACE: _exterior(cells, place), **_boundaries(raw, triangles, cells, place)}
        if self.tumour is not None and self.tumour not in regions:
            raise CaseError(f'anatomy.tumour = "{self.tumour}" is not a region of the mesh: {", ".join(regions)}')
        shares = {name: (owner == code).astype(float) for code, name in enumerate(regions)}
        volume = abs(_volumes(points, cells))
        listed = ", ".join(f"{name} {share @ volume * 1e6:.4g} ml" for name, share in shares.items())
        low, high = points.min(axis=0) * 1e3, points.max(axis=0) * 1e3
        extent = ", ".join(f"{a:.4g} to {b:.4g} mm" for a, b in zip(low, high, strict=True))
        return Anatomy(
            domain=MeshDomain(points, cells, shares, MappingProxyType(boundaries)),
            tumour=self.tumour,
            materials={name: name for name in shares},
            notes=(f"{len(cells)} tetrahedra, {len(points)} nodes; x, y, z: {extent}", *notes, f"volumes: {listed}"),
            sources=((str(path), sha256(path)),),
        )

    def _owners(self, raw: Any, tetrahedra: _Blocks, names: Mapping[int, str], place: str) -> tuple[Index, list[str]]:
        """Index of the region of every tetrahedron (m,), and the names of the regions."""
        array = self.cell_data or next((name for name in _KNOWN_DATA if name in raw.cell_data), None)
        if array is None:
            if len(self.regions) == 1:
                return np.zeros(len(tetrahedra.cells), dtype=np.int64), list(self.regions)
            raise CaseError(
                f"{place}: the cells carry no region numbers; known arrays: {', '.join(raw.cell_data) or 'none'}; name "
                "one in anatomy.cell_data, or give a single region, e.g. regions = {liver = 0}"
            )
        if array not in raw.cell_data:
            raise CaseError(
                f'anatomy.cell_data = "{array}": no such array in the file; it has {", ".join(raw.cell_data) or "none"}'
            )
        numbers = np.concatenate([np.asarray(raw.cell_data[array][block]).ravel() for block in tetrahedra.blocks])
        if len(numbers) != len(tetrahedra.cells) or not (np.isfinite(numbers) & (numbers == np.rint(numbers))).all():
            raise CaseError(f'{place}: array "{array}" must hold one whole number for each cell')
        numbers = numbers.astype(np.int64)
        named = {number: name for name, given in self.regions.items() for number in given} if self.regions else names
        unnamed = sorted(set(np.unique(numbers).tolist()) - set(named))
        if unnamed:
            counts = ", ".join(f"{number} ({np.count_nonzero(numbers == number)} cells)" for number in unnamed)
            raise CaseError(
                f'{place}: region numbers without a name in "{array}": {counts}; give physical names to the volumes, '
                f"or name them in the case, e.g. regions = {{liver = {unnamed[0]}}}"
            )
        present = list(dict.fromkeys(named[number] for number in np.unique(numbers).tolist()))
        lookup = {number: present.index(name) for number, name in named.items() if name in present}
        distinct, inverse = np.unique(numbers, return_inverse=True)
        return np.array([lookup[number] for number in distinct.tolist()])[inverse], present


@dataclass(frozen=True)
class _Blocks:
    """``cells`` (m, k) of all blocks of one type of element, and the ``blocks``' positions in the file."""

    cells: Index
    blocks: tuple[int, ...]


def _read(path: Path) -> Any:
    if path.suffix not in _READERS:
        raise CaseError(
            f'anatomy.file = "{path}": meshes are read from {" or ".join(_READERS)}; convert it with meshio'
        )
    reader = importlib.import_module(f"meshio.{_READERS[path.suffix]}")
    try:
        return reader.read(path)
    except Exception as error:  # meshio's readers raise whatever the parsing trips over
        raise CaseError(
            f'anatomy.file = "{path}": cannot be read as {path.suffix} ({error or type(error).__name__})'
        ) from error


def _refuse_other_solids(raw: Any, place: str) -> None:
    other = sorted({block.type for block in raw.cells} - set(_SOLID_ONLY))
    if other:
        raise CaseError(
            f"{place}: elements that are not tetrahedra would be lost: {', '.join(other)}; split them first"
        )


def _blocks(raw: Any, types: tuple[str, ...], corners: int) -> _Blocks:
    chosen = [number for number, block in enumerate(raw.cells) if block.type in types and len(block.data)]
    parts = [np.asarray(raw.cells[number].data, dtype=np.int64)[:, :corners] for number in chosen]
    return _Blocks(np.concatenate(parts) if parts else np.empty((0, corners), dtype=np.int64), tuple(chosen))


def _names(raw: Any, dimension: int) -> dict[int, str]:
    """Physical number -> name of one dimension."""
    return {int(data[0]): str(name) for name, data in raw.field_data.items() if int(data[1]) == dimension}


def _without_orphans(points: Array, raw: Any, cells: Index) -> tuple[Array, Index, Index, npt.NDArray[np.bool_]]:
    """Points used by tetrahedra; cells and triangles renumbered (-1: a node that was left out); which were kept."""
    kept = np.zeros(len(points), dtype=bool)
    if cells.min() < 0 or cells.max() >= len(points):
        raise CaseError("anatomy.file: tetrahedra refer to nodes that do not exist")
    kept[cells] = True
    renumbered = np.where(kept, np.cumsum(kept) - 1, -1)
    triangles = _blocks(raw, ("triangle", "triangle6"), 3).cells
    return points[kept], renumbered[cells], renumbered[triangles], kept


def _check_size(points: Array, place: str, unit: str) -> None:
    largest = float(np.ptp(points, axis=0).max())
    if not 1e-3 <= largest <= 3.0:
        raise CaseError(
            f'{place}: the mesh is {largest:.3g} m large when its coordinates are read in "{unit}"; set length_unit to '
            f"the unit of the file ({', '.join(_UNITS)})"
        )


def _volumes(points: Array, cells: Index) -> Array:
    """Signed volumes, (m,) m3."""
    a, b, c, d = (points[cells[:, i]] for i in range(4))
    signed: Array = np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6.0
    return signed


def _checked(points: Array, cells: Index, place: str) -> tuple[Index, tuple[str, ...]]:
    """Cells with positive volume. Raises ``CaseError`` for flat and repeated ones and for nodes that coincide."""
    notes: tuple[str, ...] = ()
    volume = _volumes(points, cells)
    corners = points[cells]
    pairs = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    edge = np.max([np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in pairs], axis=0)
    flat = np.flatnonzero(abs(volume) <= _FLAT * edge**3)
    if len(flat):
        where = ", ".join(f"{value * 1e3:.4g}" for value in corners[flat[0]].mean(axis=0))
        raise CaseError(
            f"{place}: {len(flat)} tetrahedra without volume, the first at ({where}) mm; remesh or remove them"
        )
    inverted = volume < 0
    if inverted.any():
        cells = cells.copy()
        cells[inverted] = cells[inverted][:, [1, 0, 2, 3]]
        notes = (f"{np.count_nonzero(inverted)} tetrahedra were turned inside out and have been reordered",)
    ordered = np.sort(cells, axis=1)
    repeated = len(ordered) - len(np.unique(ordered, axis=0))
    if repeated:
        raise CaseError(f"{place}: {repeated} tetrahedra occur twice; remove the copies")
    grid = np.round((points - points.min(axis=0)) / (1e-9 * float(np.ptp(points, axis=0).max()))).astype(np.int64)
    coincident = len(points) - len(np.unique(grid, axis=0))
    if coincident:
        raise CaseError(
            f"{place}: {coincident} nodes coincide with others, so heat could not pass between the parts; merge them "
            "(in Gmsh: Coherence Mesh)"
        )
    return cells, notes


def _exterior(cells: Index, place: str) -> Index:
    """Faces that belong to one tetrahedron only, (f, 3). Raises ``CaseError`` if a face belongs to more than two."""
    faces = np.concatenate([cells[:, [1, 2, 3]], cells[:, [0, 3, 2]], cells[:, [0, 1, 3]], cells[:, [0, 2, 1]]])
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    if count.max() > 2:
        raise CaseError(
            f"{place}: {np.count_nonzero(count > 2)} faces belong to more than two tetrahedra; cells overlap"
        )
    outer: Index = faces[np.sort(first[count == 1])]
    return outer


def _boundaries(raw: Any, triangles: Index, cells: Index, place: str) -> dict[str, Index]:
    """Named triangles, each checked to be a face of a tetrahedron."""
    names = _names(raw, dimension=2)
    blocks = _blocks(raw, ("triangle", "triangle6"), 3).blocks
    if not names or not blocks or "gmsh:physical" not in raw.cell_data:
        return {}
    reserved = sorted({*FACES, "faces"} & set(names.values()))
    if reserved:
        raise CaseError(f"{place}: boundary names {', '.join(reserved)} are reserved for voxel windows; rename them")
    numbers = np.concatenate([np.asarray(raw.cell_data["gmsh:physical"][block]).ravel() for block in blocks])
    faces = np.concatenate([cells[:, [1, 2, 3]], cells[:, [0, 2, 3]], cells[:, [0, 1, 3]], cells[:, [0, 1, 2]]])
    known = _keys(np.sort(faces, axis=1), int(cells.max()) + 1)
    found: dict[str, Index] = {}
    for number, name in names.items():
        chosen = triangles[numbers == number]
        if not len(chosen):
            continue
        strange = (chosen < 0).any(axis=1) | ~np.isin(_keys(np.sort(chosen, axis=1), int(cells.max()) + 1), known)
        if strange.any():
            raise CaseError(
                f'{place}: {np.count_nonzero(strange)} triangles of boundary "{name}" are not faces of tetrahedra; '
                "mesh surfaces and volumes together"
            )
        if name != SURFACE:
            found[name] = chosen
    return found


def _keys(faces: Index, nodes: int) -> Index:
    """One number for each sorted triangle."""
    keys: Index = (faces[:, 0] * nodes + faces[:, 1]) * nodes + faces[:, 2]
    return keys
