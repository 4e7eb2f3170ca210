"""Photon packets through tetrahedra: who is whose neighbour, and what lies beyond the outer facets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from thermal.domain import FACES, SURFACE, MeshDomain, facet_keys, sides
from thermal.engines import tetra_kernels as kernels
from thermal.engines.facet_grid import FacetGrid
from thermal.engines.graph import Index
from thermal.engines.locate import Locator
from thermal.engines.photons import in_batches, optics_of, stacked
from thermal.flight import Flight, Packets, Turbid
from thermal.units import Array

Small = npt.NDArray[np.int32]


def trace(
    domain: MeshDomain, cells: Index, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int
) -> Flight:
    """See :meth:`thermal.engine.Engine.trace`; ``cells`` (m, 4) are positively oriented.

    The border named ``surface``, or where there is none all that is not named like a face of a window, meets air;
    faces of a window meet more of the same or what ``turbid`` says; other borders let no light out.
    """
    points, every = domain.points, sides(cells)
    neighbour, owner = joined(every, len(cells), len(points))
    outer = every[owner[:, 1] * len(cells) + owner[:, 0]]
    borders = [name for name in FACES if name in domain.boundaries]
    border = _entries(domain, borders, outer)
    beyond = {**turbid.outside, **dict.fromkeys(turbid.mirrors, kernels.MIRROR)}
    outside = np.array([*(beyond.get(name, 0.0) for name in borders), 1.0, kernels.MIRROR])
    planes, bins = _planes(points[every], len(cells)), FacetGrid.of(points[outer]).bins
    optics, locator = optics_of(turbid, len(cells)), Locator(points, cells)

    def fly(wave: Sequence[Packets], first: int, paths: Array, totals: Array) -> None:
        starts, directions, weights, specular = stacked(wave)
        cell, _, found = locator.find(starts.reshape(-1, 3))
        held = np.where(found, cell, -1).astype(np.int32).reshape(weights.shape)
        kernels.fly(
            planes, neighbour, border, bins, owner, optics, outside, starts, directions, held, weights, specular, first,
            seed, paths, totals,
        )  # fmt: skip

    return in_batches(fly, borders, np.asarray(turbid.absorption), launch, batches)


def joined(every: Index, cells: int, size: int) -> tuple[Small, Small]:
    """Cell beyond each face (m, 4), minus one minus the outer facet where there is none, and cell and face (f, 2) of
    the outer facets; ``every`` (4 m, 3) as :func:`thermal.domain.sides` has them, of nodes below ``size``."""
    key = facet_keys(every, size)
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    one, other = order[:-1][same], order[1:][same]
    beyond = np.full(len(every), -1, np.int64)
    beyond[one], beyond[other] = other % cells, one % cells
    alone = np.ones(len(every), np.bool_)
    alone[one] = alone[other] = False
    outer = np.flatnonzero(alone)
    beyond[outer] = -1 - np.arange(len(outer))
    owner = np.stack([outer % cells, outer // cells], axis=1)
    return np.ascontiguousarray(beyond.reshape(4, cells).T.astype(np.int32)), owner.astype(np.int32)


def _entries(domain: MeshDomain, borders: Sequence[str], outer: Index) -> Small:
    """Entry of the totals (f,) that each outer facet belongs to: a named border, the skin, or none, which is closed."""
    size = len(domain.points)
    skin, closed = len(borders), len(borders) + 1
    key = facet_keys(outer, size)
    entry = np.full(len(outer), closed if SURFACE in domain.boundaries else skin, np.int32)
    for number, name in [(skin, SURFACE), *enumerate(borders)]:
        if name in domain.boundaries:
            entry[np.isin(key, facet_keys(domain.boundaries[name], size))] = number
    return entry


def _planes(corners: Array, cells: int) -> Array:
    """(m, 4, 4) outward unit normal and offset of the faces, whose corners (4 m, 3, 3) m turn outward."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    offset = np.einsum("fa,fa->f", normal, corners[:, 0])
    return np.ascontiguousarray(np.concatenate([normal, offset[:, None]], axis=1).reshape(4, cells, 4).swapaxes(0, 1))
