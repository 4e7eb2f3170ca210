"""Absorption around a line of independent radiators in an absorbing medium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.domain import Line
from thermal.engine import Engine
from thermal.units import Array

ANGLES = 16
"""Gauss points over the angle under which the line is seen."""
NEAR = 4.0
"""Cells from the line within which the density is averaged by sub-cell quadrature instead of taken at the nodes."""
PARTS = 4
"""Quadrature points per cell edge there."""


@dataclass(frozen=True)
class LinePattern:
    """Power density per watt around a line, outside of its radius.

    Every point of the line sends out power evenly in all directions, absorbed as ``2 a exp(-2 a rho) / (4 pi rho^2)``
    at the distance rho, ``a`` being the amplitude's attenuation. Along the line the integral is, with the angle theta
    under which its points are seen from the distance r of the axis, ``2 a / (4 pi r L)`` times that of
    ``exp(-2 a r / cos theta)``. The share that would fall within the radius goes to the tissue outside, in proportion.
    """

    line: Line
    attenuation: float
    scale: float
    """over the density without a body: one over the share outside of the radius"""

    @staticmethod
    def of(line: Line, attenuation: float) -> LinePattern:
        """``attenuation`` in 1/m."""
        bare = LinePattern(line, attenuation, 1.0)
        return LinePattern(line, attenuation, 1.0 / (1.0 - bare._within()))

    def _frame(self) -> tuple[Array, Array, float]:
        start, end = np.asarray(self.line.start), np.asarray(self.line.end)
        length = float(np.linalg.norm(end - start))
        return start, (end - start) / length, length

    def away(self, points: Array) -> Array:
        """Ways (q, 3) m from the line to ``points`` (q, 3) m."""
        start, axis, length = self._frame()
        offset = points - start
        return np.asarray(offset - np.clip(offset @ axis, 0.0, length)[:, None] * axis)

    def density(self, points: Array) -> Array:
        """W/m3 per W at ``points`` (q, 3) m outside of the body."""
        start, axis, length = self._frame()
        offset = points - start
        along = offset @ axis
        across = np.linalg.norm(offset - along[:, None] * axis, axis=1)
        return self.scale * self._around(across, along, length)

    def _around(self, across: Array, along: Array, length: float) -> Array:
        """Density without a body at distances (q,) m of the axis and (q,) m along it."""
        r = np.maximum(across, 1e-4 * self.line.radius)
        first, last = np.arctan2(-along, r), np.arctan2(length - along, r)
        nodes, weights = np.polynomial.legendre.leggauss(ANGLES)
        total = np.zeros_like(r)
        for node, weight in zip(nodes, weights, strict=True):
            angle = 0.5 * (first + last) + 0.5 * node * (last - first)
            total += weight * np.exp(-2.0 * self.attenuation * r / np.cos(angle))
        return np.asarray(self.attenuation * 0.5 * (last - first) * total / (2.0 * np.pi * r * length))

    def _within(self) -> float:
        """Share of the power that would be absorbed inside of the body, whose ends are round."""
        _, _, length = self._frame()
        nodes, weights = np.polynomial.legendre.leggauss(48)
        radius, share = self.line.radius, 0.0
        for distance, weight in zip(0.5 * radius * (1.0 + nodes), 0.5 * radius * weights, strict=True):
            reach = float(np.sqrt(radius**2 - distance**2))
            for low, high in ((-reach, 0.0), (0.0, 0.5 * min(reach, length)), (0.5 * min(reach, length), 0.5 * length)):
                z = low + 0.5 * (high - low) * (1.0 + nodes)  # one half of the body, the other is alike
                density = self._around(np.full(z.size, distance), z, length)
                share += 2.0 * weight * 2.0 * np.pi * distance * 0.5 * (high - low) * float(weights @ density)
        return share

    def nodal(self, engine: Engine) -> Array:
        """(n,) W per W: near the line by sub-cell quadrature, where the density is steep; farther off at the nodes."""
        start, axis, length = self._frame()
        middle = start + 0.5 * length * axis
        cell = engine.spacing((float(middle[0]), float(middle[1]), float(middle[2])))
        near = NEAR * cell + self.line.radius

        def nearness(distance: Array) -> Array:
            """One at the line, zero from the distance ``near`` on, smooth."""
            return np.asarray((1.0 - np.clip(distance / near, 0.0, 1.0) ** 2) ** 2)

        power = np.zeros_like(engine.volume)
        tissue = np.flatnonzero(engine.volume > 0)
        points = engine.points[tissue]
        far = 1.0 - nearness(np.linalg.norm(self.away(points), axis=1))
        power[tissue] = self.density(points) * far * engine.volume[tissue]
        edge = cell / PARTS
        lattice = self._lattice(near, edge)
        away = self.away(lattice)
        distance = np.linalg.norm(away, axis=1)
        outside = np.clip(0.5 + (distance - self.line.radius) / edge, 0.0, 1.0)
        moved = 0.5 * edge * (1.0 - outside)  # to the middle of the part that lies outside of the body
        lattice += (moved / distance)[:, None] * away
        distance += moved
        amount = self.density(lattice) * nearness(distance) * outside * edge**3
        lower, upper = engine.bounds
        held = np.all((lattice >= lower) & (lattice <= upper), axis=1) & (amount > 0.0)
        return np.asarray(power + np.where(engine.volume > 0, engine.deposit(amount[held], lattice[held]), 0.0))

    def _lattice(self, near: float, edge: float) -> Array:
        """Centres (q, 3) of cubes around the line, out to the distance ``near``."""
        start, axis, length = self._frame()
        aside = np.eye(3)[np.argmin(np.abs(axis))]
        first = np.cross(axis, aside)
        first /= np.linalg.norm(first)
        half, whole = int(np.ceil(near / edge)), int(np.ceil((length + 2.0 * near) / edge))
        across = (np.arange(-half, half) + 0.5) * edge
        along = 0.5 * length + (np.arange(whole) - 0.5 * whole + 0.5) * edge
        u, v, w = (a.ravel()[:, None] for a in np.meshgrid(across, across, along, indexing="ij"))
        return np.asarray(start + u * first + v * np.cross(axis, first) + w * axis)
