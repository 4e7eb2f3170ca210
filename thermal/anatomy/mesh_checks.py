"""What is wrong with a mesh, in words that say what, how many, where the first is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.anatomy.built import DOUBT
from thermal.anatomy.mesh_file import Form, MeshFile
from thermal.domain import facet_keys, facets, sides
from thermal.errors import CaseError
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]

FLAT = 1e-9
"""A cell is flat when its size is less than this share of the like power of its longest edge."""
COINCIDENT = 1e-9
"""Nodes coincide when they are nearer than this share of the mesh's extent."""
WITHIN = 0.02
"""Least of the barycentric coordinates of a point that counts as inside a cell; parts that were meshed one by one may
reach that far into each other where their common border is curved."""
UNEVEN = {2: np.array([0.7, 0.18, 0.12]), 3: np.array([0.7, 0.14, 0.1, 0.06])}
"""Weights of the corners of a triangle or a tetrahedron at a place near one of them that lies on no line of symmetry:
parts on grids of one kind that are shifted against each other do not hide it."""
SMALLEST, LARGEST = 1e-3, 3.0
"""m, extent of a mesh that can be an anatomy."""
MOST_NUMBER = 2**31 - 1
"""Largest number of a region, as Gmsh has them."""
UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6}


def spot(at: Array) -> str:
    """A point (3,) m in words."""
    return "(" + ", ".join(f"{1e3 * value:.4g}" for value in at) + ") mm"


def check_coordinates(file: MeshFile) -> None:
    """Raise ``CaseError`` for coordinates that are not three finite numbers."""
    points = file.points
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not len(points):
        raise CaseError(f"{file.place}: node coordinates must be three finite numbers each; the file has none")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        raise CaseError(
            f"{file.place}: node coordinates must be three finite numbers each; {len(bad)} of {len(points)} nodes have "
            f"NaN or infinity, the first is node {bad[0]} (counted from 0); write the mesh again"
        )


def check_elements(file: MeshFile, form: Form) -> tuple[str, ...]:
    """Notes on quadratic cells. Raises ``CaseError`` for a file without cells, for kinds that would be lost, and for
    nodes that do not exist."""
    counts = file.counts()
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"
    other = sorted(set(counts) - {*form.cells, *form.facets, *form.lower})
    if other:
        kinds = ", ".join(f"{kind} ({counts[kind]})" for kind in other)
        raise CaseError(
            f"{file.place}: elements that are not {form.cell} would be lost: {kinds}; split them into {form.cell} "
            f"first (the file has {listed})"
        )
    cells = file.blocks(form.cells, form.corners)
    if not len(cells.cells):
        hint = "mesh the volumes, not only their surfaces"
        if form.dimension == 2:
            hint = "mesh the surfaces of the half-plane, not only their borders"
        elif counts.get("triangle") or counts.get("triangle6"):
            hint += '; if they are the half-plane of an axisymmetric body, say half_plane = "xy" (r along x, z along y)'
        raise CaseError(f"{file.place}: no {form.cell} (found {listed}); {hint}")
    strange = np.flatnonzero(((cells.cells < 0) | (cells.cells >= len(file.points))).any(axis=1))
    if len(strange):
        raise CaseError(
            f"{file.place}: {len(strange)} {form.cell} refer to nodes that do not exist, the first is number "
            f"{strange[0]} (counted from 0); write the mesh again"
        )
    if cells.quadratic:
        return (f"{cells.quadratic} quadratic {form.cell} are used without their midside nodes: curved sides become "
                "straight",)  # fmt: skip
    return ()


def check_numbers(numbers: Array, cells: int, array: str, form: Form, place: str) -> None:
    """Raise ``CaseError`` where the cell data ``array`` does not give each of the ``cells`` a region's number."""
    remedy = f"write one whole number for each cell ({cells} {form.cell}), or name another array in anatomy.cell_data"
    if len(numbers) != cells:
        raise CaseError(f'{place}: array "{array}" holds {len(numbers)} numbers; {remedy}')
    fit = (np.abs(numbers) <= MOST_NUMBER) & (numbers == np.rint(numbers))  # nothing that is not finite does
    if not fit.all():
        first = int(np.flatnonzero(~fit)[0])
        raise CaseError(
            f'{place}: array "{array}" holds {np.count_nonzero(~fit)} values that are no number of a region, the first '
            f"is {numbers[first]:g} of number {first} (counted from 0); {remedy}"
        )


def check_size(points: Array, place: str, unit: str) -> None:
    """Raise ``CaseError`` for a mesh too large or too small to be an anatomy, and name the unit that would fit."""
    largest = float(np.ptp(points, axis=0).max())
    if SMALLEST <= largest <= LARGEST:
        return
    given = largest / UNITS[unit]
    fitting = [name for name, factor in UNITS.items() if SMALLEST <= given * factor <= LARGEST]
    advice = f"in {' or '.join(fitting)} it would fit: " if fitting else ""
    raise CaseError(
        f'{place}: the mesh is {largest:.3g} m large when its coordinates are read in "{unit}"; {advice}set '
        f"length_unit to the unit of the file ({', '.join(UNITS)})"
    )


def signed_sizes(points: Array, cells: Index) -> Array:
    """Signed volumes m3 of tetrahedra, or areas m2 of triangles (in the plane y = 0), (m,)."""
    first = points[cells[:, 0]]
    sides = [points[cells[:, corner]] - first for corner in range(1, cells.shape[1])]
    if len(sides) == 2:
        return np.asarray(0.5 * (sides[0][:, 0] * sides[1][:, 2] - sides[0][:, 2] * sides[1][:, 0]))
    return np.asarray(np.einsum("ij,ij->i", np.cross(sides[0], sides[1]), sides[2]) / 6.0)


def mend(points: Array, cells: Index, form: Form, place: str) -> tuple[Index, tuple[str, ...]]:
    """Cells of positive size, and notes. Raises ``CaseError`` for flat and repeated ones and coincident nodes."""
    size = signed_sizes(points, cells)
    longest = np.zeros(len(cells))
    for i in range(form.corners):
        for j in range(i):
            away = points[cells[:, i]] - points[cells[:, j]]
            longest = np.maximum(longest, np.einsum("ij,ij->i", away, away))
    flat = np.flatnonzero(np.abs(size) <= FLAT * longest ** (0.5 * form.dimension))
    if len(flat):
        raise CaseError(
            f"{place}: {len(flat)} {form.cell} without {form.bulk}, the first at "
            f"{spot(points[cells[flat[0]]].mean(axis=0))}; remesh or remove them"
        )
    notes: tuple[str, ...] = ()
    inverted = size < 0
    if inverted.any():
        cells = cells.copy()
        cells[inverted, :2] = cells[inverted, 1::-1]
        notes = (f"{DOUBT}{np.count_nonzero(inverted)} {form.cell} were turned inside out and have been reordered",)
    ordered = np.sort(cells, axis=1)
    by_nodes = np.lexsort(ordered.T)
    copies = by_nodes[1:][(ordered[by_nodes[1:]] == ordered[by_nodes[:-1]]).all(axis=1)]
    if len(copies):
        raise CaseError(
            f"{place}: {len(copies)} {form.cell} occur twice, the first at "
            f"{spot(points[cells[copies.min()]].mean(axis=0))}; remove the copies"
        )
    _check_coincident(points, place)
    return cells, notes


def _check_coincident(points: Array, place: str) -> None:
    grid = np.round((points - points.min(axis=0)) / (COINCIDENT * float(np.ptp(points, axis=0).max())))
    by_place = np.lexsort(grid.T)
    same = (grid[by_place[1:]] == grid[by_place[:-1]]).all(axis=1)
    if same.any():
        raise CaseError(
            f"{place}: {int(same.sum())} nodes coincide with others, the first at "
            f"{spot(points[by_place[1:][same].min()])}, so heat could not pass between the parts; merge them "
            "(in Gmsh: Coherence Mesh)"
        )


def check_border(points: Array, cells: Index, form: Form, place: str) -> tuple[Index, tuple[str, ...]]:
    """The outer facets (f, d), and notes. Raises ``CaseError`` where cells fold or overlap or more than two share a
    facet."""
    border = facets(cells)
    if len(border.crowded):
        raise CaseError(
            f"{place}: {len(border.crowded)} faces belong to more than two {form.cell}, the first at "
            f"{spot(points[border.crowded[0]].mean(axis=0))}; cells overlap there: remesh, or remove one of the parts"
        )
    inner = Inner.of(cells)
    folded = inner.facets[inner.folded]
    if len(folded):
        raise CaseError(
            f"{place}: {len(folded)} faces have both of their {form.cell} on the same side, the first at "
            f"{spot(points[folded[0]].mean(axis=0))}; the mesh is tangled and cells overlap there: remesh"
        )
    pieces = _count(len(cells), *inner.cells)
    if pieces == 1:
        return border.outer, ()
    _check_overlap(points, cells, border.outer, form, place)
    first, rest = np.repeat(cells[:, 0], cells.shape[1] - 1), cells[:, 1:].ravel()
    parts = _count(len(points), first, rest)
    notes = []
    if parts > 1:
        notes.append(
            f"{DOUBT}the mesh falls into {parts} parts that do not touch, so no heat passes between them; if it "
            "should, make them share their nodes (in Gmsh: BooleanFragments, Coherence)"
        )
    if pieces > parts:
        notes.append(
            f"{DOUBT}{pieces} parts of the mesh, of which each hangs together by the faces of its {form.cell}, touch "
            "others in single nodes or edges alone; through those passes heat that depends on the size of the cells: "
            "make them share faces, or move them apart"
        )
    return border.outer, tuple(notes)


@dataclass(frozen=True)
class Inner:
    """The ``facets`` (f, d) that two cells share, these ``cells`` (f,) and (f,), and whether both see it from the same
    side: ``folded`` (f,)."""

    facets: Index
    cells: tuple[Index, Index]
    folded: Mask

    @classmethod
    def of(cls, cells: Index) -> Inner:
        """Of cells (m, d + 1) of equal orientation."""
        every = sides(cells)
        turned = np.zeros(len(every), dtype=bool)  # an odd permutation of the nodes in order
        for i in range(every.shape[1]):
            for j in range(i):
                turned ^= every[:, j] > every[:, i]
        key = facet_keys(every, int(cells.max(initial=0)) + 1)
        by_key = np.argsort(key, kind="stable")
        alike = np.flatnonzero(key[by_key[:-1]] == key[by_key[1:]])
        one, other = by_key[alike], by_key[alike + 1]
        return cls(every[one], (one % len(cells), other % len(cells)), turned[one] == turned[other])


def _count(size: int, one: Index, other: Index) -> int:
    """Parts into which ``size`` things fall of which each ``one`` is linked with the ``other``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(size, size))
    return int(connected_components(links, directed=False)[0])


def _check_overlap(points: Array, cells: Index, outer: Index, form: Form, place: str) -> None:
    """Raise ``CaseError`` where the ``outer`` border (f, d) of one part lies within the cells of another.

    Where no cells fold, what is covered twice is bounded by a border that lies inside the body.
    """
    from scipy.spatial import cKDTree

    points = points[:, [0, 2]] if form.dimension == 2 else points
    there = np.flatnonzero(np.isin(cells, outer).any(axis=1))
    inner = [np.roll(UNEVEN[form.dimension], turn) @ points[cells[there]] for turn in range(form.corners)]
    border = np.concatenate([points[outer].mean(axis=1), points[np.unique(outer)]])
    places = np.concatenate([border, *inner])
    own = np.concatenate([np.full(len(border), -1), *[there] * form.corners])
    centre = points[cells].mean(axis=1)
    reach = np.sqrt(np.max([np.sum((points[corner] - centre) ** 2, axis=1) for corner in cells.T], axis=0))
    tree = cKDTree(places)
    near = np.flatnonzero(tree.query_ball_point(centre, reach, return_length=True))
    found = tree.query_ball_point(centre[near], reach[near])
    cell = np.repeat(near, [len(entry) for entry in found])
    at = np.concatenate([np.asarray(entry, dtype=np.int64) for entry in found])
    cell, at = cell[cell != own[at]], at[cell != own[at]]
    corners = points[cells[cell]]
    edges = np.swapaxes(corners[:, 1:] - corners[:, :1], 1, 2)
    rest = np.linalg.solve(edges, (places[at] - corners[:, 0])[:, :, None])[:, :, 0]
    within = np.minimum(rest.min(axis=1), 1.0 - rest.sum(axis=1)) > WITHIN
    if within.any():
        first = places[at[within].min()]
        where = spot(first if form.dimension == 3 else np.array([first[0], 0.0, first[1]]))
        raise CaseError(
            f"{place}: parts of the mesh overlap: {len(np.unique(at[within]))} nodes and cells at its outer border "
            f"lie inside {form.cell} of another part, the first at {where}; what is covered twice would count twice: "
            "cut the parts at each other's border (in Gmsh: BooleanFragments), or remove one"
        )


def are_sides(chosen: Index, cells: Index) -> Mask:
    """(f,) whether facets (f, d) are sides of cells (m, d + 1); those with a node below zero are none."""
    rest = [np.delete(np.arange(cells.shape[1]), corner) for corner in range(cells.shape[1])]
    every = np.concatenate([np.maximum(chosen, 0), *(cells[:, sides] for sides in rest)])
    keys = facet_keys(every, int(cells.max()) + 1)
    return np.asarray((chosen >= 0).all(axis=1) & np.isin(keys[: len(chosen)], keys[len(chosen) :]))


def check_facets(name: str, chosen: Index, strange: Mask, form: Form, place: str, points: Array) -> None:
    """Raise ``CaseError`` for facets (f, d) of a boundary that are no side of a cell, as ``strange`` (f,) says."""
    if strange.any():
        first = chosen[strange][0]
        where = f"at {spot(points[first].mean(axis=0))}" if (first >= 0).all() else "on nodes that belong to no cell"
        raise CaseError(
            f'{place}: {np.count_nonzero(strange)} {form.facet} of boundary "{name}" are not faces of {form.cell}, the '
            f"first {where}; mesh borders and {form.bulk}s together"
        )


def without_orphans(points: Array, cells: Index) -> tuple[Array, Index, Mask]:
    """Points that cells use, the new number of each old one (-1: left out), and which were kept."""
    kept = np.zeros(len(points), dtype=bool)
    kept[cells] = True
    return points[kept], np.where(kept, np.cumsum(kept) - 1, -1), kept
