"""Planes of symmetry: faces of the window behind which the body goes on as its own image.

Light that reaches such a face comes back as that of the image does. What lies beyond it is folded into the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thermal.domain import FACES
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.units import Array

ON_THE_PLANE = 1e-6
"""m; nearer than that, something lies on the plane."""
FAR = 1e3
"""m; longer than any way of light between two mirrors."""


@dataclass(frozen=True)
class Mirrors:
    """The box of the window, ``lower`` and ``upper`` (3,) m, and its ``faces`` that are mirrors."""

    lower: Array
    upper: Array
    faces: frozenset[str] = frozenset()

    @classmethod
    def of(cls, engine: Engine, faces: frozenset[str]) -> Mirrors:
        """Raises ``CaseError`` for a face that the domain does not have."""
        if lacking := sorted(faces - set(engine.areas)):
            known = ", ".join(name for name in FACES if name in engine.areas) or "none"
            raise CaseError(
                f"heating.mirrors: this anatomy has no face {', '.join(lacking)}; its plane faces: {known}; the axis "
                "of an axisymmetric mesh needs no mirror"
            )
        return cls(*engine.bounds, faces)

    def _planes(self) -> Iterator[tuple[int, float, float]]:
        """Axis, place and outward sense of each mirror."""
        for number, face in enumerate(FACES):
            if face in self.faces:
                axis, end = divmod(number, 2)
                yield axis, float((self.lower, self.upper)[end][axis]), 2.0 * end - 1.0

    @property
    def box(self) -> tuple[Array, Array]:
        """The box that the window and its images fill, (3,) m each: without end between two mirrors."""
        lower, upper = self.lower.copy(), self.upper.copy()
        for axis, place, sense in self._planes():
            facing = {FACES[2 * axis], FACES[2 * axis + 1]} <= self.faces
            reach = FAR if facing else self.upper[axis] - self.lower[axis]
            (upper if sense > 0 else lower)[axis] = place + sense * reach
        return lower, upper

    def fold(self, points: Array) -> tuple[Array, Array]:
        """Points (..., 3) m as what they are in the window, and the senses (..., 3) that directions have there."""
        folded, senses = np.array(points, dtype=float), np.ones(np.shape(points))
        for axis in {axis for axis, _, _ in self._planes()}:
            low, high = self.lower[axis], self.upper[axis]
            facing = {FACES[2 * axis], FACES[2 * axis + 1]} <= self.faces
            if facing:
                turns = np.floor((folded[..., axis] - low) / (high - low))
                rest = folded[..., axis] - low - turns * (high - low)
                odd = turns % 2.0 == 1.0
                folded[..., axis] = low + np.where(odd, high - low - rest, rest)
            else:
                place, sense = (low, -1.0) if FACES[2 * axis] in self.faces else (high, 1.0)
                beyond = sense * (folded[..., axis] - place)
                odd = beyond > 0.0
                folded[..., axis] = place - sense * np.abs(beyond)
                folded[..., axis] = np.where(odd, folded[..., axis], points[..., axis])
            senses[..., axis] = np.where(odd, -1.0, 1.0)
        return folded, senses

    def brought(self, start: Array, direction: Array) -> tuple[Array, Array]:
        """Rays (r, 3) from outside, moved up to the window or its images, in the window: (r, 3) m and (r, 3)."""
        if not self.faces:
            return start, direction
        enter, leave = crossing(start, direction, *self.box)
        short = np.where(leave > enter, np.maximum(enter - ON_THE_PLANE, 0.0), 0.0)
        folded, senses = self.fold(start + short[:, None] * direction)
        return folded, direction * senses

    def share(self, points: Array) -> float:
        """Share of a device along points (k, 3) m that is in the window: half for each mirror it lies on."""
        on = [bool(np.all(np.abs(points[:, axis] - place) < ON_THE_PLANE)) for axis, place, _ in self._planes()]
        return float(0.5 ** sum(on))


def crossing(start: Array, direction: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Ways (r,) m after which rays (r, 3) enter and leave a box; entering is 0 inside, after leaving when missed."""
    near, far = slabs(start, direction, lower, upper)
    return np.maximum(near.max(axis=1), 0.0), far.min(axis=1)


def slabs(start: Array, direction: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Ways (r, 3) m after which rays (r, 3) enter and leave the slab between two faces, for each axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (lower - start) / direction, (upper - start) / direction
    inside = (start >= lower) & (start <= upper)
    parallel = direction == 0.0
    near = np.where(parallel, np.where(inside, -np.inf, np.inf), np.minimum(one, other))
    far = np.where(parallel, np.where(inside, np.inf, -np.inf), np.maximum(one, other))
    return near, far
