"""What is no domain is said before an engine counts with it: kernels take the numbers of nodes as they are.

Files are looked at more closely where they are read (:mod:`thermal.anatomy.mesh_checks`); this holds for domains that
are made in Python too, and takes little of the time that an engine needs anyhow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thermal.domain import VoxelDomain
from thermal.units import Array

Index = npt.NDArray[np.int64]
"""An array of indices."""
BEYOND = 1e-9
"""By how much a share may be below zero or above one."""


def check_grid(domain: VoxelDomain) -> None:
    """Raise ``ValueError`` for axes that do not rise, and for ``solid`` of another size than theirs."""
    for name, axis in zip("xyz", domain.axes, strict=True):
        axis = np.asarray(axis)
        if axis.ndim != 1 or len(axis) < 2 or not np.isfinite(axis).all() or not (np.diff(axis) > 0.0).all():
            raise ValueError(
                f"the axis {name} of the grid is no row of two or more finite coordinates that rise: {_shown(axis)}; "
                "give the coordinates of the nodes in metres, each larger than the one before"
            )
    cells = int(np.prod([len(axis) - 1 for axis in domain.axes]))
    if np.shape(domain.solid) != (cells,):
        raise ValueError(
            f"solid has the shape {np.shape(domain.solid)}, which does not fit {cells} cells; give one truth value a "
            "cell, in C order"
        )


def check_mesh(points: Array, cells: Index, corners: int) -> None:
    """Raise ``ValueError`` for ``points`` that are not (n, 3), and for ``cells`` that are not (m, ``corners``), name
    nodes that do not exist, or occur twice."""
    if np.ndim(points) != 2 or np.shape(points)[1] != 3:
        raise ValueError(
            f"the points of a mesh have the shape {np.shape(points)}; give three coordinates each, in metres"
        )
    if not len(cells):
        raise ValueError("the mesh has no cells; give the numbers of the nodes of each cell")
    _check_numbers("the cells of a mesh", cells, corners, len(points))
    mark = _marks(cells)
    in_order = np.sort(mark)
    if (in_order[1:] == in_order[:-1]).any():
        _refuse_copies(cells, mark)


def check_boundary(name: str, facets: Index, corners: int, nodes: int) -> None:
    """Raise ``ValueError`` unless the ``facets`` of a boundary are (f, ``corners``) numbers of its ``nodes``."""
    _check_numbers(f"the facets of the boundary {name}", facets, corners, nodes)


def check_share(name: str, share: Array, cells: int) -> None:
    """Raise ``ValueError`` unless ``share`` is a number from zero to one for each of the ``cells``."""
    if np.shape(share) != (cells,):
        raise ValueError(
            f"the shares of the region {name} have the shape {np.shape(share)}, which does not fit {cells} cells; give "
            "one number a cell"
        )
    if cells and not -BEYOND <= float(np.min(share)) <= float(np.max(share)) <= 1.0 + BEYOND:
        bad = np.flatnonzero(~((share >= -BEYOND) & (share <= 1.0 + BEYOND)))
        raise ValueError(
            f"the region {name} has a share that is no number from 0 to 1 in {bad.size} of {cells} cells, the first is "
            f"cell {bad[0]} with {share[bad[0]]:g}; give the part of each cell that it takes up"
        )


def as_places(at: Array) -> Array:
    """Points (q, 3) m, also of a single one (3,). Raises ``ValueError`` for what are none."""
    places = np.atleast_2d(np.asarray(at, dtype=float))
    if places.ndim != 2 or places.shape[1] != 3:
        raise ValueError(
            f"points of the shape {np.shape(at)} are none in space; give three coordinates each, in metres"
        )
    return places


def _check_numbers(what: str, parts: Index, corners: int, nodes: int) -> None:
    """Raise ``ValueError`` unless ``parts`` of a mesh are (p, ``corners``) numbers of its ``nodes``."""
    if parts.ndim != 2 or parts.shape[1] != corners or not np.issubdtype(parts.dtype, np.integer):
        raise ValueError(
            f"{what} have the shape {parts.shape} and the type {parts.dtype}; give the whole numbers of {corners} "
            "nodes for each, counted from 0"
        )
    if parts.size and not 0 <= int(parts.min()) <= int(parts.max()) < nodes:
        bad = np.flatnonzero(((parts < 0) | (parts >= nodes)).any(axis=1))
        raise ValueError(
            f"{what} name nodes that do not exist, {bad.size} of {len(parts)}, the first is number {bad[0]} with "
            f"{parts[bad[0]].tolist()}; there are nodes 0 to {nodes - 1}"
        )


def _marks(cells: Index) -> npt.NDArray[np.uint64]:
    """(m,) numbers that are equal for cells of equal nodes in any order, and hardly ever for others."""
    mark = np.zeros(len(cells), np.uint64)
    for corner in cells.T:  # a mixture of bits whose sum does not tell the order (S. Vigna's splitmix64)
        mixed = corner.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mark += mixed ^ (mixed >> np.uint64(31))
    return mark


def _refuse_copies(cells: Index, mark: npt.NDArray[np.uint64]) -> None:
    """Raise ``ValueError`` where some of the ``cells`` of equal ``mark`` have the same nodes."""
    by_mark = np.argsort(mark, kind="stable")
    again = np.flatnonzero(mark[by_mark][1:] == mark[by_mark][:-1])
    first, second = by_mark[again], by_mark[again + 1]
    same = (np.sort(cells[first], axis=1) == np.sort(cells[second], axis=1)).all(axis=1)
    if same.any():
        raise ValueError(
            f"{np.count_nonzero(same)} of {len(cells)} cells occur twice, the first is cell {second[same].min()}: what "
            "they hold would count twice; remove the copies"
        )


def _shown(axis: Array) -> str:
    """The beginning of an axis in words."""
    text = ", ".join(f"{value:g}" for value in np.ravel(axis)[:5])
    return f"[{text}{', ...' if axis.size > 5 else ''}]"
