"""Openings of a needle: which nodes they feed, and what they meet that the grid does not resolve.

A port is finer than the grid, and its flow is smeared over the nodes around it (:meth:`thermal.engine.Engine.spread`).
Where a capsule or the border of a tissue that conducts otherwise lies within that reach, fluid must not be put down
beyond it: the flow goes to the nodes which it finds from the port through tissue like that at the port, each by the
volume it has of such tissue, as beside the border of the body. What those fewer nodes meet more of is taken off the
sub-grid resistance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thermal.domain import Probe, ends
from thermal.engine import Engine, Operator
from thermal.errors import CaseError
from thermal.units import Array, Mask

MOST_SMEARED = 3000
"""Nodes of a port among which distances are taken; of more, every second or third is enough."""
MOST_SCREENED = 600.0
"""Decay lengths from a port to its nodes beyond which nothing gets there, whatever the number."""
SAMPLES = 100
"""Places along half a line at which its potential is taken, closer together at its end."""
LEAST_OPEN = 0.05
"""Share of a port's nodes that a needle has to leave open."""
LEAST_OWN = 0.02
"""Share of a port's nodes that must lie on its side of a border; with fewer the grid knows no side."""
ALIKE = 1.5
"""Factor between the conductivities of tissues up to which they count as one around a port."""
TILTS, CENTRED = 30, 1e-3
"""Rounds in which the weights are centred; distance from the middle over their width."""
MET = 1e-6
"""Tolerance of the potentials that flows meet, which are off by its square: 1e-3 would leave 6e-9 of a port's pressure
to how the engine solves."""
FAR = 4.0
"""Reaches of a port beyond which tissue may end for two flows around it to meet resistances that differ as they do
without end."""


@dataclass(frozen=True)
class Screened:
    """What a port meets among vessels: its sub-grid ``resistance``, 1/m, and the share of its flow that they ``take``
    where it is put down, beside what they take by the pressure there. Less than nothing where the nodes lie within the
    port, in which there are no vessels."""

    resistance: float
    take: float


@dataclass(frozen=True)
class Port:
    """An opening: the ``weights`` (n,) of the nodes it feeds and its sub-grid ``resistance``, 1/m; the ``probe`` it is;
    ``own`` (m,) cells of the tissue around it, None for all."""

    weights: Array
    resistance: float
    probe: Probe
    own: Mask | None = None

    @staticmethod
    def of(engine: Engine, probe: Probe, place: str, room: Array | None) -> Port:
        """``room`` (n,): share of each node that no needle takes. Raises ``CaseError`` naming the key ``place`` for a
        port outside the body or inside a needle."""
        try:
            weights, resistance = engine.spread(probe)
        except ValueError as error:
            raise CaseError(f"{place}: the port lies outside the tissue ({error}); move it into the body") from None
        if room is not None:
            weights = weights * room
            left = float(np.sum(weights))
            if left < LEAST_OPEN:
                raise CaseError(
                    f"{place}: the needle of shaft_radius leaves the port no way into the tissue on this grid; use "
                    "smaller voxels around the tip, or a thinner shaft"
                )
            weights = weights / left
        return Port(weights, resistance, probe)

    def conductivity(self, engine: Engine, permeability: Array) -> float:
        """m2/Pa/s around it, of cells (m,)."""
        if self.own is None:
            return float(self.weights @ engine.to_nodes(permeability))
        own = self.own.astype(float)
        share = engine.to_nodes(own)
        mean = np.divide(engine.to_nodes(permeability * own), share, out=np.zeros_like(share), where=share > 0)
        return float(self.weights @ mean)

    def crosses(self, engine: Engine, permeability: Array) -> bool:
        """Whether tissues that conduct very differently lie within its reach."""
        values = permeability[self._touched(engine, permeability)]
        return bool(values.max(initial=0.0) > ALIKE * values.min(initial=np.inf))

    def kept(
        self, engine: Engine, centre: Sequence[float], permeability: Array, operator: Operator, plain: Operator
    ) -> Port:
        """The port around ``centre`` (3,) m feeding its own side alone; unchanged where the grid knows no side.

        ``operator`` of the cells' conductivity, ``permeability`` (m,), and ``plain`` of an even one of 1 m2/Pa/s.
        """
        touched = self._touched(engine, permeability)
        cells = np.flatnonzero(touched)
        along = [engine.to_cells(np.ascontiguousarray(engine.points[:, axis]))[cells] for axis in range(3)]
        home = cells[np.argmin(np.sum([(x - at) ** 2 for x, at in zip(along, centre, strict=True)], axis=0))]
        low, high = permeability[home] / ALIKE, permeability[home] * ALIKE
        own = touched & (permeability >= low) & (permeability <= high)
        reached = engine.to_nodes((np.arange(len(own)) == home).astype(float)) > 0.0
        while True:
            inside = reached.astype(float)
            through, even = -operator(inside), -plain(inside)
            more = ~reached & (self.weights > 0.0) & (even > 0.0) & (through >= low * even) & (through <= high * even)
            if not more.any():
                break
            reached |= more
        weights = self.weights * reached * engine.to_nodes(own.astype(float))
        left = float(np.sum(weights))
        if left < LEAST_OWN:
            return self
        weights = _centred(engine, weights / left, np.asarray(centre))
        fewer, all_ = _met(engine, plain, np.asarray(centre), (weights, self.weights))
        return replace(self, weights=weights, resistance=self.resistance + all_ - fewer, own=own)

    def _touched(self, engine: Engine, permeability: Array) -> Mask:
        """(m,) cells of tissue that hold one of its nodes."""
        return np.asarray((engine.to_cells((self.weights > 0.0).astype(float)) > 0.0) & (permeability > 0.0))

    def screened(self, engine: Engine, decay: float) -> Screened:
        """What it meets where vessels take up fluid on its way, so that pressure falls like ``exp(-decay r) / r``.

        Wall and nodes that it is smeared over both see less of it, each by its own distances. Far away a flow Q through
        the wall is a larger one from the centre or the axis (:func:`_met_at_wall`), and so is a flow smeared over
        nodes: by the mean of ``sinh(m r) / (m r)`` over their distances from a centre, of ``I_0(m r)`` over those from
        an axis.
        """
        if decay == 0.0:
            return Screened(self.resistance, 0.0)
        near = np.flatnonzero(self.weights)
        start, end = (np.asarray(at) for at in ends(self.probe))
        radius, length = self.probe.radius, float(np.linalg.norm(end - start))
        axis, place = (end - start) / (length or 1.0), engine.points[near] - start
        away = decay * np.linalg.norm(place - (place @ axis)[:, None] * axis, axis=1)
        more = _grown(away, decay * radius, flat=length > 0.0)
        within, wall = _met_at_wall(decay, length, radius)
        passed = within / float(self.weights[near] @ more)

        near = near[:: -(-len(near) // MOST_SMEARED)]
        weights, points = self.weights[near] / float(np.sum(self.weights[near])), engine.points[near]
        smeared = 0.0
        for places in (images := engine.orbit(points)):
            apart = np.linalg.norm(points[:, None] - places[None], axis=2)
            less = np.divide(np.expm1(-decay * apart), apart, out=np.full_like(apart, -decay), where=apart > 0)
            smeared += float(weights @ less @ weights) / len(images)
        alone = _met_at_wall(0.0, length, radius)[1]
        met = alone - self.resistance + smeared / (4.0 * np.pi)  # by the nodes, of a flow of one
        return Screened(within * wall - passed * met, 1.0 - passed)

    def way(self, engine: Engine) -> Array:
        """(n,) m that fluid has come from the wall to each node it is put down at, weighted like it; the grid does not
        see it on that way."""
        near = np.flatnonzero(self.weights)
        start, end = (np.asarray(at) for at in ends(self.probe))
        axis, place = end - start, engine.points[near] - start
        along = np.clip(place @ axis / (float(axis @ axis) or 1.0), 0.0, 1.0)
        out = np.zeros_like(self.weights)
        out[near] = self.weights[near] * (np.linalg.norm(place - along[:, None] * axis, axis=1) - self.probe.radius)
        return out


def _grown(away: Array, wall: float, *, flat: bool) -> Array:
    """(k,) by how much more than one from the centre a flow is at distances ``away`` (k,), all ways round it, or
    around the axis (``flat``): ``sinh(r) / r`` or ``I_0(r)``, over ``exp(wall)``. In decay lengths."""
    if flat:
        bounded = np.minimum(away, MOST_SCREENED)
        return np.asarray(np.i0(bounded) * np.exp(np.minimum(away - wall, MOST_SCREENED) - bounded))
    away = np.maximum(away, 1e-9)
    return np.asarray(0.5 * (np.exp(np.minimum(away - wall, MOST_SCREENED)) - np.exp(-away - wall)) / away)


def _met_at_wall(decay: float, length: float, radius: float) -> tuple[float, float]:
    """The flow S from the centre of a ball (``length`` 0) or evenly from the axis of a cylinder of this ``radius`` and
    ``length``, m, of which a flow of one passes the wall, over ``exp(m a)``; and the mean potential (1/m) on the wall
    of an S of one, times ``exp(m a)``. The rest is what vessels would take inside, where there are none:

    ``1 / S = 1 - m^2 integral(phi)``, with ``phi = exp(-m r) / (4 pi r)`` or its mean over the axis,

    which is ``(1 + m a) exp(-m a)`` of a ball, ``m a K_1(m a)`` of a cylinder without end. Of a cylinder, potential and
    integral are ``integral((l - s) exp(-m R) / R ds) / (2 pi l^2)`` and ``1 / S = (1 - exp(-m l)) / (m l) + m / l
    integral((l - s) exp(-m R) ds)``, s from 0 to l, ``R^2 = a^2 + s^2 = (a cosh t)^2``.
    """
    wall = decay * radius
    if length == 0.0:
        return 1.0 / (1.0 + wall), 1.0 / (4.0 * np.pi * radius)
    end = float(np.arcsinh(length / radius))
    places, parts = np.polynomial.legendre.leggauss(SAMPLES)
    t, parts = 0.5 * end * (places + 1.0), 0.5 * end * parts
    share = parts * (length - radius * np.sinh(t)) / length * np.exp(-wall * (np.cosh(t) - 1.0))
    through_ends = -np.expm1(-decay * length) / (decay * length) if decay > 0.0 else 1.0
    passed = through_ends * np.exp(min(wall, MOST_SCREENED)) + wall * float(share @ np.cosh(t))
    return 1.0 / passed, float(np.sum(share)) / (2.0 * np.pi * length)


def _centred(engine: Engine, weights: Array, centre: Array) -> Array:
    """The weights (n,) tilted, ``w exp(g . x)``, until their mean place is ``centre`` (3,) m, as that of all nodes
    around a port is; as they are where no tilt does that, for all nodes lie on one side of it.

    The far field of a flow beside a border is that of a flow and its image, which depends on the distance between them.
    """
    near = np.flatnonzero(weights)
    place = engine.orbit(engine.points[near]).mean(axis=0) - centre
    place /= float(np.sqrt(weights[near] @ np.sum(place**2, axis=1))) or 1.0
    tilt = np.zeros(3)
    for _ in range(TILTS):
        tilted = place @ tilt
        tilted = weights[near] * np.exp(tilted - tilted.max())
        tilted /= np.sum(tilted)
        mean = tilted @ place
        if np.linalg.norm(mean) <= CENTRED:
            out = np.zeros_like(weights)
            out[near] = tilted
            return out
        spread = (place - mean).T @ (tilted[:, None] * (place - mean))
        step = np.linalg.solve(spread + CENTRED * np.eye(3), mean)
        tilt = tilt - step / max(1.0, float(np.linalg.norm(step)))
    return weights


def _met(engine: Engine, plain: Operator, centre: Array, flows: Sequence[Array]) -> list[float]:
    """Mean potential (1/m) at its own nodes of each of the unit flows (n,) around ``centre`` (3,) m, in even tissue of
    1 m2/Pa/s that ends some way off."""
    away = np.linalg.norm(engine.points - centre, axis=1)
    reach = max(float(away[flow > 0.0].max()) for flow in flows)
    far = away > min(FAR * reach, 0.99 * float(away[engine.volume > 0].max()))
    solver = engine.solver(plain, np.zeros_like(away), fixed=far)
    return [float(flow @ solver.solve(flow, tolerance=MET)) for flow in flows]
