"""Fields of a run on the voxels of an image: the mean over each voxel, so that what is seen is what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thermal.anatomy import Anatomy
from thermal.anatomy.data import resolve
from thermal.anatomy.volume import Volume, read_volume
from thermal.assemble import make_engine
from thermal.domain import Domain, VoxelDomain
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.units import Array

MOST_VOXELS = 50_000_000
PARTS = 3
"""Points along each edge of a voxel, where cells are no boxes."""


@dataclass(frozen=True)
class Grid:
    """Voxels on the patient's axes (RAS): ``lower`` corner of the first (3,) m, ``spacing`` (3,) m, ``shape``."""

    lower: Array
    spacing: Array
    shape: tuple[int, int, int]

    @property
    def affine(self) -> Array:
        """(4, 4) from voxel index (centre of the voxel) to RAS metres."""
        affine = np.diag([*self.spacing, 1.0])
        affine[:3, 3] = self.lower + 0.5 * self.spacing
        return affine

    @property
    def voxel_volume(self) -> float:
        """m3."""
        return float(np.prod(self.spacing))

    def edges(self, axis: int) -> Array:
        """(k + 1,) m, borders of the voxels along an axis."""
        return np.asarray(self.lower[axis] + self.spacing[axis] * np.arange(self.shape[axis] + 1))

    def volume(self, values: npt.NDArray[Any]) -> Volume:
        """Values (shape) as an image."""
        return Volume(values, self.affine, Path())

    @property
    def centres(self) -> Array:
        """(3, a, b, c) m."""
        return np.stack(np.meshgrid(*(0.5 * (e[1:] + e[:-1]) for e in map(self.edges, range(3))), indexing="ij"))


def grid_over(engine: Engine, spacing: float | None) -> Grid:
    """Voxels that hold the whole domain; ``spacing`` in m, that of the smallest cells by default.

    Raises ``CaseError`` where there would be too many.
    """
    lower, upper = engine.bounds
    step = float(engine.cell_size[engine.cell_size > 0].min()) if spacing is None else spacing
    shape = np.maximum(np.ceil((upper - lower) / step - 1e-6).astype(int), 1)
    if np.prod(shape.astype(float)) > MOST_VOXELS:
        raise CaseError(f"--voxel: {step * 1e3:g} mm makes {np.prod(shape.astype(float)):.2g} voxels; use larger ones")
    spare = 0.5 * (shape * step - (upper - lower))
    a, b, c = shape.tolist()
    return Grid(lower - spare, np.full(3, step), (a, b, c))


class Onto(Protocol):
    """From nodes to voxels."""

    def density(self, per_volume: Array) -> Array:
        """What nodal (n,) amounts per volume of tissue come to per volume of each voxel, (a, b, c)."""
        ...


@dataclass(frozen=True)
class Boxes:
    """Voxels onto voxels: each node's amount lies in its box, and each voxel gets the share that it overlaps.

    The sum of all amounts is kept to round-off where the grid holds the domain.
    """

    domain: VoxelDomain
    grid: Grid
    volume: Array
    """(n,) m3 of the nodes"""

    @cached_property
    def _shares(self) -> tuple[Array, ...]:
        """Along each axis (voxels, nodes): share of a node's box in a voxel."""
        found = []
        for axis, nodes in enumerate(self.domain.axes):
            middles = 0.5 * (nodes[1:] + nodes[:-1])
            walls = np.concatenate([nodes[:1], middles, nodes[-1:]])
            edges = self.grid.edges(axis)
            common = np.minimum(edges[1:, None], walls[1:]) - np.maximum(edges[:-1, None], walls[:-1])
            found.append(np.maximum(common, 0.0) / np.diff(walls))
        return tuple(found)

    def density(self, per_volume: Array) -> Array:
        """See :class:`Onto`."""
        amount = (per_volume * self.volume).reshape(self.domain.shape)
        x, y, z = self._shares
        spread = np.einsum("ai,ijk->ajk", x, amount)
        spread = np.einsum("bj,ajk->abk", y, spread)
        return np.asarray(np.einsum("ck,abk->abc", z, spread) / self.grid.voxel_volume)


@dataclass(frozen=True)
class Points:
    """Any mesh onto voxels: the mean over 27 points in each voxel; those outside the body hold nothing."""

    engine: Engine
    grid: Grid

    def density(self, per_volume: Array) -> Array:
        """See :class:`Onto`."""
        centres = self.grid.centres.reshape(3, -1).T
        total = np.zeros(len(centres))
        for part in np.ndindex(PARTS, PARTS, PARTS):
            at = centres + ((np.array(part) + 0.5) / PARTS - 0.5) * self.grid.spacing
            inside = self.engine.holds(at)
            total[inside] += self.engine.sample(per_volume, at[inside])
        return (total / PARTS**3).reshape(self.grid.shape)


def onto(engine: Engine, domain: Domain, grid: Grid) -> Onto:
    """The way from the nodes of a domain to the voxels of a grid."""
    return Boxes(domain, grid, engine.volume) if isinstance(domain, VoxelDomain) else Points(engine, grid)


def mean_of(way: Onto, values: Array, body: Array) -> Array:
    """Mean of a nodal field (n,) over the tissue in each voxel, NaN without any; ``body``: its share (a, b, c)."""
    total = way.density(values)
    return np.asarray(np.divide(total, body, out=np.full(body.shape, np.nan), where=body > 1e-9))


def engine_of(domain: Domain, tumour: str) -> Engine:
    """The engine of a stored domain."""
    return make_engine(Anatomy(domain, tumour or None, {}))


def image_reader(engine: Engine, folder: Path) -> Callable[[str, str, float], tuple[Array, float, float]]:
    """What reads maps of the concentration (mg/ml) for a delivery; ``folder``: that of the case file."""

    def read(name: str, place: str, floor: float) -> tuple[Array, float, float]:
        image = read_volume(resolve(name, folder, place), place)
        values = image.values.astype(float)
        if np.isinf(values).any():
            raise CaseError(f'{place} = "{name}": {np.isinf(values).sum()} of its voxels are infinite; mend the image')
        values = np.nan_to_num(values)  # what is no number was not seen
        above = values >= max(floor, np.finfo(float).tiny)
        bulk, total = to_nodes(engine, replace(image, values=np.where(above, values, 0.0)))
        _, below = to_nodes(engine, replace(image, values=np.where(above, 0.0, values)))
        return bulk, total, below

    return read


def to_nodes(engine: Engine, image: Volume) -> tuple[Array, float]:
    """A measured amount per volume at the nodes (n,), and its total in the body.

    Each voxel is cut into parts no larger than a third of a cell, which are handed to the nodes around them; a constant
    stays one, and the total over the nodes is that over the parts inside the body to round-off.
    """
    cell = float(engine.cell_size[engine.cell_size > 0].min())
    counts = np.clip(np.ceil(3.0 * image.spacing / cell).astype(int), 1, 12)
    lower, upper = engine.bounds
    part = image.crop(image.box(lower, upper))
    index = np.indices(part.values.shape).reshape(3, -1).T
    values = part.values.astype(float).ravel()
    piece = part.voxel_volume / float(np.prod(counts))
    amount, room, total = np.zeros_like(engine.volume), np.zeros_like(engine.volume), 0.0
    for offset in np.ndindex(*counts):
        at = (index + (np.array(offset) + 0.5) / counts - 0.5) @ part.affine[:3, :3].T + part.affine[:3, 3]
        inside = np.all((at >= lower) & (at <= upper), axis=1)
        inside[inside] = engine.holds(at[inside])
        amount += engine.deposit(piece * values[inside], at[inside])
        room += engine.deposit(np.full(int(inside.sum()), piece), at[inside])
        total += piece * float(values[inside].sum())
    found = np.divide(amount, room, out=np.zeros_like(amount), where=room > 0.0)
    found[engine.volume <= 0.0] = 0.0
    held = float(found @ engine.volume)
    return (found * (total / held) if held != 0.0 else found), total
