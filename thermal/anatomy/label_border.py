"""Where the border of a labelled region lies, between the voxels of its image.

The faces of voxels are stairs; the border that a segmentation stands for runs somewhere between the centres of voxels
inside and outside. Its level is the distance of each centre to the nearest one on the other side, less half a voxel in
that direction, interpolated linearly: planes along the image's axes stay where the faces are, and steps are evened out.
Where voxels are too few to say more than their faces do (:data:`LEAST_DEPTH`), nothing is known of the border.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thermal.anatomy.volume import Volume, sample_at
from thermal.domain import Level
from thermal.units import Array, Mask

LEAST_DEPTH = 1.25
"""Depth of a region, in the longest edges of voxels, below which its border is left unknown. Balls and oblique
cylinders of 2.5 voxels' radius have a quarter to a half of the errors of stairs, those of 1.5 gain nothing for sure."""
MARGIN = 8
"""Voxels around a region of which distances are taken: further than to the nodes beside it on any grid."""


@dataclass(frozen=True)
class LabelBorder:
    """The border of the voxels with a ``code`` in an image: a :class:`thermal.domain.Level`, found when first asked
    for."""

    codes: Volume
    code: int

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """Negative inside, positive outside, m; NaN where nothing is known, and beyond the voxels around the region."""
        places = np.stack(np.broadcast_arrays(x, y, z)).reshape(3, -1)
        found = sample_at(self._distance, places).astype(float)
        return np.asarray(found.reshape(np.broadcast_shapes(x.shape, y.shape, z.shape)))

    @cached_property
    def _distance(self) -> Volume:
        """Of the voxels around the region: m to its border."""
        inside = self.codes.values == self.code
        box = []
        for axis in range(3):
            found = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
            first, last = (int(found[0]), int(found[-1])) if found.size else (0, 0)
            box.append(slice(max(first - MARGIN, 0), last + MARGIN + 1))
        part = Volume(inside, self.codes.affine, self.codes.path).crop((box[0], box[1], box[2]))
        depth = _to_other(part.values, part.spacing)
        if depth.max(initial=0.0) < LEAST_DEPTH * part.spacing.max():
            return Volume(np.full_like(depth, np.nan), part.affine, part.path)
        return Volume(_to_other(~part.values, part.spacing) - depth, part.affine, part.path)


def _to_other(here: Mask, spacing: Array) -> Array:
    """(a, b, c) m from the voxels that are ``here`` to the nearest other one, less half a voxel in that direction; zero
    at others, and far where there are none."""
    from scipy.ndimage import distance_transform_edt

    if here.all():
        return np.full(here.shape, MARGIN * float(spacing.min()))
    distance, nearest = distance_transform_edt(here, sampling=spacing, return_indices=True)
    half = np.zeros(here.shape)
    for axis, edge in enumerate(spacing):
        own = np.arange(here.shape[axis]).reshape(tuple(-1 if a == axis else 1 for a in range(3)))
        half += 0.5 * edge**2 * np.abs(nearest[axis] - own)
    return np.asarray(distance - np.divide(half, distance, out=np.zeros_like(half), where=distance > 0.0))


@dataclass(frozen=True)
class Overlaid:
    """A border over which the ``other`` region was written, by its level; ``joined``: to which it was added."""

    level: Level
    other: Level
    joined: bool

    def __call__(self, x: Array, y: Array, z: Array) -> Array:
        """Negative inside, positive outside, m."""
        level, other = self.level(x, y, z), self.other(x, y, z)
        return np.asarray(np.minimum(level, other) if self.joined else np.maximum(level, -other))


def overlaid(borders: Mapping[str, Level], region: str, other: Level) -> dict[str, Level]:
    """The ``borders`` of regions after a ``region`` was written over them, whose own border is ``other``."""
    found: dict[str, Level] = {name: Overlaid(level, other, name == region) for name, level in borders.items()}
    found.setdefault(region, other)
    return found
