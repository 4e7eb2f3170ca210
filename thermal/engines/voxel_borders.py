"""Borders of a voxel grid: the six faces of its window, and the skin of the body in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from thermal.domain import FACES, SURFACE, VoxelDomain
from thermal.errors import unknown
from thermal.units import Array

SKIN_SMOOTHING = 1.0
"""Standard deviation in voxels of the smoothing that gives the skin its normal."""


@dataclass(frozen=True)
class Borders(Mapping[str, Array]):
    """Lumped areas (n,) of the six faces, m2, made when one is asked for, and of the skin."""

    domain: VoxelDomain

    def __getitem__(self, name: str) -> Array:
        if name == SURFACE:
            return self._skin
        if name not in FACES:
            raise unknown("boundary", name, self)
        number = FACES.index(name)
        return self._face(number // 2, -(number % 2))

    def __iter__(self) -> Iterator[str]:
        return iter((*FACES, SURFACE))

    def __len__(self) -> int:
        return len(FACES) + 1

    def _face(self, axis: int, end: int) -> Array:
        """The first (0) or last (-1) face of the window across an axis."""
        solid = np.moveaxis(self.domain.solid.reshape(self.domain.cell_shape), axis, 0)
        across = [self.domain.widths[a] for a in range(3) if a != axis]
        lumped = np.zeros(self.domain.shape)
        np.moveaxis(lumped, axis, 0)[end] = _to_corners(across[0][:, None] * across[1][None, :] * solid[end])
        return lumped.ravel()

    @cached_property
    def _skin(self) -> Array:
        """The border between tissue and void.

        The faces of the voxels are stairs, by half too large for a ball. Each counts by the cosine between its own
        normal and that of the body, the gradient of the smoothed voxels: right for planes of any slope and for balls to
        2 %; the edges of a box lose about half a voxel each.
        """
        solid = self.domain.solid.reshape(self.domain.cell_shape)
        count = int(np.prod(self.domain.shape))
        if solid.all():
            return np.zeros(count)
        from scipy.ndimage import gaussian_filter

        smooth = gaussian_filter(solid.astype(np.float64), SKIN_SMOOTHING, mode="nearest")
        normal = [
            np.gradient(smooth, centre, axis=axis) if len(centre) > 1 else np.zeros_like(smooth)
            for axis, centre in enumerate(self.domain.centres())
        ]
        numbers = np.arange(count).reshape(self.domain.shape)
        nodes, lumped = [], []
        for axis in range(3):
            order = (axis, *(a for a in range(3) if a != axis))
            moved, at = np.transpose(solid, order), np.transpose(numbers, order)
            i, j, k = np.nonzero(moved[1:] != moved[:-1])
            slopes = [np.transpose(normal[a], order) for a in order]
            parts = np.stack([slope[i, j, k] + slope[i + 1, j, k] for slope in slopes])
            cosine = np.abs(parts[0]) / np.maximum(np.linalg.norm(parts, axis=0), 1e-300)
            area = self.domain.widths[order[1]][j] * self.domain.widths[order[2]][k] * cosine
            nodes += [at[i + 1, j + dj, k + dk] for dj in (0, 1) for dk in (0, 1)]
            lumped += [0.25 * area] * 4
        return np.bincount(np.concatenate(nodes), np.concatenate(lumped), count).astype(float)


def _to_corners(face: Array) -> Array:
    """A quarter of each face to its four corners, (a, b) -> (a+1, b+1)."""
    corners = np.zeros((face.shape[0] + 1, face.shape[1] + 1))
    for i in (0, 1):
        for j in (0, 1):
            corners[i : i + face.shape[0], j : j + face.shape[1]] += 0.25 * face
    return corners
