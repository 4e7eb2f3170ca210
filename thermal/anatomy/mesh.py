"""An anatomy from a mesh with named regions and boundaries: tetrahedra, or triangles that turn around an axis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, field_validator

from thermal.anatomy.built import DOUBT, VOID, Anatomy, OtherGrid, RegionName
from thermal.anatomy.data import resolve, sha256
from thermal.anatomy.mesh_checks import (
    UNITS,
    are_sides,
    check_border,
    check_coordinates,
    check_elements,
    check_facets,
    check_numbers,
    check_size,
    mend,
    signed_sizes,
    spot,
    without_orphans,
)
from thermal.anatomy.mesh_file import TETRAHEDRA, TRIANGLES, Blocks, Form, MeshFile, read_mesh
from thermal.anatomy.mesh_seams import seams, thin_hole
from thermal.anatomy.refinement import check_room, children, divided
from thermal.curve import along_curve, by_lowest_node
from thermal.domain import FACES, SURFACE, AxisymmetricDomain, Domain, MeshDomain
from thermal.errors import CaseError
from thermal.units import Array, Spec

_KNOWN_DATA = ("gmsh:physical", "region", "regions", "medit:ref", "label", "labels", "material")
"""Cell data looked for, in this order, when ``cell_data`` is not given."""
_PLANES = {"xy": (0, 1, 2), "xz": (0, 2, 1)}
"""Coordinates of the file that are r, z, and none."""
_AXIS = 1e-9
"""Distance from the axis, as a share of the mesh's extent, up to which a node is on it."""
_RESERVED = {*FACES, "faces", SURFACE, VOID}
"""Names that no region may have."""
LARGEST_BODY = 0.5
"""m3, volume of a mesh beyond which its unit of length is doubted."""
MOST_REFINEMENTS = 4
"""Times that cells can be divided: 4096 parts of a tetrahedron."""
_MOST_COMPANION = 16_000_000
"""Cells of the finer mesh beyond which none is made for an error estimate: it would take 7 GB."""

Index = npt.NDArray[np.int64]


def _tags(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, (list, tuple)) and not value):
        raise ValueError("a region's number is a whole number or a list of them, e.g. 1 or [1, 2]")
    return (value,) if isinstance(value, int) else value


class Mesh(Spec):
    """Tetrahedra from a ``.msh`` (Gmsh) or ``.vtu`` file; coordinates in ``length_unit``, patient RAS.

    With ``half_plane`` the file holds triangles of the (r, z) half-plane instead, r >= 0, and the body is what they
    sweep around the patient's z axis: needles, fibres and other devices must then lie on this axis.

    Regions are the physical names of the file, or ``regions`` (name -> number or numbers) applied to the cell data
    array ``cell_data``. Triangles (segments in a half-plane) with a physical name make a boundary of that name;
    ``"surface"`` is the whole outer border.
    """

    voxels: ClassVar[None] = None
    """none: see the other kinds"""
    kind: Literal["mesh"]
    file: str
    """.msh or .vtu, relative to the case file, or "data:..." """
    length_unit: Literal["m", "cm", "mm", "um"] = "m"
    """unit of the coordinates in the file"""
    half_plane: Literal["xy", "xz"] | None = None
    """the file's coordinates that are r and z of an axisymmetric body"""
    regions: dict[
        RegionName,
        Annotated[tuple[int, ...], BeforeValidator(_tags, json_schema_input_type=int | tuple[int, ...])],
    ] = Field(default_factory=dict)
    """region -> its number or numbers in the file, where the file has no names"""
    cell_data: str | None = None
    """cell data array that holds the numbers (default: gmsh:physical, region, medit:ref, label or material)"""
    tumour: RegionName | None = None
    """region that is the target"""
    refinements: Annotated[int, Field(ge=0, le=MOST_REFINEMENTS)] = 0
    """times that every cell is divided into eight (triangles: four) of half the edges"""

    @field_validator("regions")
    @classmethod
    def _distinct(cls, regions: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        given = [number for numbers in regions.values() for number in numbers]
        twice = sorted({number for number in given if given.count(number) > 1})
        if twice:
            raise ValueError(f"numbers {twice} are named more than once")
        return regions

    def other_grid(self, domain: Domain) -> OtherGrid | None:
        """The mesh of ``domain``, which this built, with every cell divided once more; None if that is too large."""
        assert isinstance(domain, MeshDomain | AxisymmetricDomain)
        parts = children(domain.cells.shape[1])
        if self.refinements == MOST_REFINEMENTS or parts * len(domain.cells) > _MOST_COMPANION:
            return None
        return OtherGrid(0.5, {"refinements": self.refinements + 1}, f"every cell divided into {parts}")

    def build(self, base: Path = Path()) -> Anatomy:
        """Read, name and check. ``base``: folder of the case file. Raises ``CaseError``."""
        path = resolve(self.file, base, "anatomy.file")
        place = f'anatomy.file = "{self.file}"'
        file = read_mesh(path, place)
        form = TETRAHEDRA if self.half_plane is None else TRIANGLES
        check_coordinates(file)
        notes = check_elements(file, form)
        blocks = file.blocks(form.cells, form.corners)
        owner, regions, more = self._owners(file, blocks, form)
        notes += more
        points, number, kept = without_orphans(self._points(file, blocks), blocks.cells)
        check_size(points, place, self.length_unit)
        if self.half_plane is not None:
            points = _on_axis(points, place)
        cells, more = mend(points, number[blocks.cells], form, place)
        notes += more
        if not kept.all():
            note = f"{np.count_nonzero(~kept)} nodes that belong to no {_SINGULAR[form.cell]} were left out"
            remedy = f"; if {form.cell} are missing there, write the mesh again with all of them"
            notes += (note if blocks.quadratic else DOUBT + note + remedy,)  # those have nodes on their sides as well
        outer, more = check_border(points, cells, form, place)
        notes += (*more, *seams(points, outer, form))
        named, more = _boundaries(file, form, number, cells, points, regions)
        notes += more
        if self.tumour is not None and self.tumour not in regions:
            raise CaseError(f'anatomy.tumour = "{self.tumour}" is not a region of the mesh: {", ".join(regions)}')
        borders = {SURFACE: outer, **named}
        if self.half_plane is not None:
            borders, more = _off_axis(borders, points)
            notes += (*more, *thin_hole(points, outer))
        if self.refinements:
            check_room(len(cells), self.refinements, form.corners, f"anatomy.refinements = {self.refinements}")
            notes += (f"every cell of the file is divided into {children(form.corners) ** self.refinements}",)
        for _ in range(self.refinements):
            parts = divided(points, cells, borders)
            points, cells, owner, borders = parts.points, parts.cells, owner[parts.parent], dict(parts.facets)
        return self._anatomy(points, cells, owner, regions, borders, notes, form, path)

    def _anatomy(
        self,
        points: Array,
        cells: Index,
        owner: Index,
        regions: list[str],
        boundaries: Mapping[str, Index],
        notes: tuple[str, ...],
        form: Form,
        path: Path,
    ) -> Anatomy:
        """Everything numbered along a Hilbert curve, with the volumes of the regions in a note."""
        order = along_curve(points)
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        points, cells = points[order], number[cells]
        turn = by_lowest_node(cells, len(points))
        cells, owner = cells.take(turn, axis=0), owner[turn]
        shares = {name: (owner == code).astype(float) for code, name in enumerate(regions)}
        borders = {name: number[part] for name, part in boundaries.items()}
        volume = signed_sizes(points, cells)
        domain: MeshDomain | AxisymmetricDomain = MeshDomain(points, cells, shares, borders)
        names, extent = "xyz", [(points[:, axis].min(), points[:, axis].max()) for axis in range(3)]
        if form.dimension == 2:
            volume = volume * 2.0 * np.pi * points[cells, 0].mean(axis=1)
            domain = AxisymmetricDomain(points, cells, shares, borders)
            names, extent = "rz", [extent[0], extent[2]]
        listed = ", ".join(f"{name} {share @ volume * 1e6:.4g} ml" for name, share in shares.items())
        ranges = ", ".join(f"{1e3 * low:.4g} to {1e3 * high:.4g} mm" for low, high in extent)
        if (whole := float(volume.sum())) > LARGEST_BODY:
            notes += (
                f'{DOUBT}with its coordinates read in "{self.length_unit}" the mesh has a volume of {whole:.3g} m3, '
                "more than any body; check length_unit",
            )
        return Anatomy(
            domain=domain,
            tumour=self.tumour,
            materials={name: name for name in shares},
            notes=(
                f"{len(cells)} {form.cell}, {len(points)} nodes; {', '.join(names)}: {ranges}",
                *notes,
                f"volumes: {listed}",
            ),
            sources=((str(path), sha256(path)),),
        )

    def _points(self, file: MeshFile, blocks: Blocks) -> Array:
        """(n, 3) m; of a half-plane (r, 0, z). Raises ``CaseError`` for triangles that leave their plane."""
        points = file.points
        if points.shape[1] == 2:
            points = np.column_stack([points, np.zeros(len(points))])
        points = points * UNITS[self.length_unit]
        if self.half_plane is None:
            return points
        r, z, none = _PLANES[self.half_plane]
        used = np.zeros(len(points), dtype=bool)
        used[blocks.cells] = True
        thickness = float(np.ptp(points[used, none]))
        if thickness > 1e-6 * float(np.ptp(points[used], axis=0).max()):
            raise CaseError(
                f'{file.place}: with half_plane = "{self.half_plane}" the coordinate {"xyz"[none]} must be the same '
                f"everywhere, but it spans {1e3 * thickness:.4g} mm; name the plane that the triangles lie in, or "
                "leave half_plane out for tetrahedra"
            )
        return np.column_stack([points[:, r], np.zeros(len(points)), points[:, z]])

    def _owners(self, file: MeshFile, cells: Blocks, form: Form) -> tuple[Index, list[str], tuple[str, ...]]:
        """Index of the region of every cell (m,), the names of the regions, and notes."""
        place, data = file.place, file.raw.cell_data
        array = self.cell_data or next((name for name in _KNOWN_DATA if name in data), None)
        if array is None:
            if len(self.regions) == 1:
                return np.zeros(len(cells.cells), dtype=np.int64), list(self.regions), ()
            raise CaseError(
                f"{place}: the cells carry no region numbers; known arrays: {', '.join(data) or 'none'}; name "
                "one in anatomy.cell_data, or give a single region, e.g. regions = {liver = 0}"
            )
        if array not in data:
            raise CaseError(
                f'anatomy.cell_data = "{array}": no such array in the file; it has {", ".join(data) or "none"}'
            )
        numbers = file.numbers(array, cells)
        check_numbers(numbers, len(cells.cells), array, form, place)
        numbers = numbers.astype(np.int64)
        named = {number: name for name, given in self.regions.items() for number in given}
        there, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        if named:
            empty = sorted(set(named) - set(there.tolist()))
            if empty:
                raise CaseError(
                    f"anatomy.regions: no cell of the file has the number {', '.join(map(str, empty))} "
                    f'({", ".join(named[number] for number in empty)}) in "{array}"; it has '
                    + ", ".join(f"{number} ({count} cells)" for number, count in zip(there, counts, strict=True))
                )
        if not named:
            named = dict(file.names(form.dimension))
            taken = sorted(_RESERVED & set(named.values()))
            if taken:
                raise CaseError(
                    f"{place}: no region can have the name {', '.join(taken)}, which stands for a border or for what "
                    "lies outside the body; rename it in the mesh generator, or leave those cells out"
                )
        unnamed = {number: count for number, count in zip(there.tolist(), counts, strict=True) if number not in named}
        if unnamed:
            listed = ", ".join(f"{number} ({count} cells)" for number, count in unnamed.items())
            raise CaseError(
                f'{place}: region numbers without a name in "{array}": {listed}; give physical names to the '
                f"{form.bulk}s, or name them in the case, e.g. regions = {{liver = {next(iter(unnamed))}}}"
            )
        present = list(dict.fromkeys(named[number] for number in there.tolist()))
        notes = [
            f'{DOUBT}the region "{name}" has no {form.cell} and is left out'
            for name in dict.fromkeys(named.values()) if name not in present
        ]  # fmt: skip
        if not self.regions:
            for name in present:
                of = [number for number in there.tolist() if named[number] == name]
                if len(of) > 1:
                    notes.append(f'the name "{name}" stands for the numbers {", ".join(map(str, of))}: one region')
        codes = np.array([present.index(named[number]) for number in there.tolist()])
        return codes[inverse], present, tuple(notes)


_SINGULAR = {"tetrahedra": "tetrahedron", "triangles": "triangle"}


def _on_axis(points: Array, place: str) -> Array:
    """Points (n, 3) of a half-plane, those nearly on the axis moved onto it. Raises ``CaseError`` beyond it."""
    r = points[:, 0]
    near = _AXIS * float(np.ptp(points, axis=0).max())
    beyond = np.flatnonzero(r < -near)
    if len(beyond):
        raise CaseError(
            f"{place}: {len(beyond)} nodes lie beyond the axis (r < 0), the first at {spot(points[beyond[0]])} (r, 0, "
            "z); mesh one half-plane only, with r >= 0"
        )
    points = points.copy()
    points[r <= near, 0] = 0.0
    return points


def _off_axis(borders: Mapping[str, Index], points: Array) -> tuple[dict[str, Index], tuple[str, ...]]:
    """Boundaries without the segments (f, 2) that lie on the axis, and notes on those of which nothing is left."""
    kept = {name: part[(points[part, 0] > 0.0).any(axis=1)] for name, part in borders.items()}
    gone = [name for name, part in kept.items() if not len(part)]
    return {name: part for name, part in kept.items() if len(part)}, tuple(
        f'boundary "{name}" lies on the axis of symmetry, which is no border, and is left out' for name in gone
    )


def _boundaries(
    file: MeshFile, form: Form, number: Index, cells: Index, points: Array, regions: list[str]
) -> tuple[dict[str, Index], tuple[str, ...]]:
    """Named facets, each checked to be a side of a cell, and notes."""
    blocks = file.blocks(form.facets, form.dimension)
    if not len(blocks.cells) or "gmsh:physical" not in file.raw.cell_data:
        return {}, ()
    names = file.names(form.dimension - 1)
    reserved = sorted({*FACES, "faces"} & set(names.values()))
    if reserved:
        raise CaseError(
            f"{file.place}: boundary names {', '.join(reserved)} are reserved for voxel windows; rename them"
        )
    tags = file.numbers("gmsh:physical", blocks)
    facets = number[blocks.cells]
    strange = ~are_sides(facets, cells)
    found: dict[str, Index] = {}
    notes = []
    for name in dict.fromkeys(names.values()):
        chosen = np.isin(tags, [n for n, given in names.items() if given == name])
        if not chosen.any():
            notes.append(f'{DOUBT}the boundary "{name}" has no {form.facet} and is left out')
            continue
        check_facets(name, facets[chosen], strange[chosen], form, file.place, points)
        if name in regions:
            notes.append(f'"{name}" names a boundary and a region; [boundaries.{name}] means the boundary')
        first = np.unique(np.sort(facets[chosen], axis=1), axis=0, return_index=True)[1]
        single = facets[chosen][np.sort(first)]
        if name != SURFACE:
            found[name] = single
        if repeated := np.count_nonzero(chosen) - len(single):
            notes.append(f'{DOUBT}{repeated} {form.facet} of boundary "{name}" occur more than once and count once')
    unnamed = sorted(set(tags[~np.isin(tags, list(names))].astype(int).tolist()))
    if unnamed:
        count = int((~np.isin(tags, list(names))).sum())
        notes.append(
            f"{DOUBT}{count} {form.facet} carry numbers without a name ({', '.join(map(str, unnamed))}) and make no "
            "boundary"
        )
    return found, tuple(notes)
