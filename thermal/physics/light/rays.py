"""Rays followed to their first collisions: what of them is absorbed, what becomes diffuse light, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.domain import FACES
from thermal.engine import Engine
from thermal.physics.light.border import refraction
from thermal.physics.light.medium import Medium
from thermal.physics.light.mirrors import Mirrors, slabs
from thermal.units import Array

STEPS_PER_CELL = 3
FADED = 1e-8
"""Share of a ray's power below which it is followed no further (and counted as escaped)."""
STEPS_AT_ONCE = 48
JUST = 1e-6
"""m; so far beyond a border a point lies on one side of it."""


@dataclass(frozen=True)
class Rays:
    """Starts (r, 3) m and unit directions (r, 3). A start outside the domain comes in where it meets it."""

    start: Array
    direction: Array


@dataclass(frozen=True)
class Emission:
    """What a source hands to the tissue before the first scattering.

    ``diffuse`` (n,) W: source of scattered light; ``absorbed`` (n,) W: absorbed on the way; ``fluence`` (n,) W/m2: of
    the unscattered light; ``reflected`` and ``escaped`` W: turned back at entry, and not caught by the tissue;
    ``entry_faces``: faces of the window through which light came in. ``leaning`` (n,) W is the part of ``diffuse`` that
    is due to its lean forwards, ``third`` (n,) W the like of the third moment of the first scattering: each is minus
    the divergence of a moment over the attenuation of its kind, and sums to zero.
    """

    diffuse: Array
    absorbed: Array
    fluence: Array
    reflected: float = 0.0
    escaped: float = 0.0
    entry_faces: frozenset[str] = frozenset()
    leaning: Array | float = 0.0
    third: Array | float = 0.0


def finest_edge(engine: Engine) -> float:
    """Edge of the smallest cell, m."""
    return float(np.min(engine.cell_size[engine.cell_size > 0]))


def refract(
    engine: Engine, rays: Rays, refractive_index: float, mirrors: frozenset[str] = frozenset()
) -> tuple[Rays, Array]:
    """Rays that come from air, bent where they enter tissue through a face of the window, and the share (r,) of each
    that is reflected there; where they enter by a skin within the window, straight on and as if upright."""
    start, direction = rays.start, rays.direction
    glass = Mirrors.of(engine, mirrors)
    near, far = slabs(start, direction, *glass.box)
    enter, across = near.max(axis=1), near.argmax(axis=1)[:, None]
    meets = (enter > 0.0) & (far.min(axis=1) > enter)
    place = start + np.where(meets, enter, 0.0)[:, None] * direction
    cosine = np.abs(np.take_along_axis(direction, across, axis=1)[:, 0])
    just_inside = glass.fold(place + JUST * direction)[0]
    meets[meets] = engine.holds(np.clip(just_inside[meets], *engine.bounds))
    inside, reflected = refraction(np.where(meets, cosine, 1.0), refractive_index)
    bent = direction / refractive_index
    np.put_along_axis(bent, across, inside[:, None] * np.sign(np.take_along_axis(direction, across, axis=1)), axis=1)
    bent = np.where(meets[:, None], bent, direction)
    return Rays(np.where(meets[:, None], place - JUST * bent, start), bent), reflected


def follow(
    engine: Engine, medium: Medium, rays: Rays, power: Array, forward: Array, mirrors: frozenset[str] = frozenset()
) -> Emission:
    """Attenuate rays of ``power`` (r,) W in steps of a third of the finest cell.

    ``forward`` (m,): mean cosine g with which the first scattering is peaked. A share g^2 of it then counts as not
    scattered at all, and the rest leans forwards by g / (1 + g) (the delta-Eddington phase function): the ray fades
    with ``mu_a + mu_s' (1 + g)``, and beside the source of diffuse light there is a dipole along the ray. With g = 0
    the ray fades with ``mu_a + mu_s'`` and scatters evenly. ``mirrors``: faces that are planes of symmetry.

    A step counts as in tissue when its middle is. Its collisions are deposited at their centroid (in the middle, where
    the centroid has left the body), so power is conserved step by step; the dipoles hold no power.
    """
    step = finest_edge(engine) / STEPS_PER_CELL
    lower, upper = engine.bounds
    starts, directions = rays.start, rays.direction
    glass = Mirrors.of(engine, mirrors)
    near, far = slabs(starts, directions, *glass.box)
    enter, leave = np.maximum(near.max(axis=1), 0.0), far.min(axis=1)
    across = near.argmax(axis=1)
    side = across * 2 + (np.take_along_axis(directions, across[:, None], axis=1)[:, 0] < 0)
    from_outside = enter > 0.0

    absorption, scattering = medium.absorption(engine), engine.to_nodes(medium.scattering)
    cosine = engine.to_nodes(forward)
    absorbed, diffuse, leaning, third = (np.zeros_like(engine.volume) for _ in range(4))
    faded, plain = _Passage(engine), _Passage(engine)
    left = power.copy()
    faces: set[str] = set()
    active = np.flatnonzero(leave > enter)
    done = 0
    while len(active):
        offsets = (done + np.arange(STEPS_AT_ONCE)) * step
        begin = enter[active, None] + offsets
        length = np.clip(leave[active, None] - begin, 0.0, step)
        middle = starts[active, None] + (begin + 0.5 * length)[:, :, None] * directions[active, None]
        folded, senses = glass.fold(middle)
        points = np.clip(folded, lower, upper).reshape(-1, 3)
        solid = engine.holds(points) & (length.ravel() > 0.0)
        mu_a, mu_s, g = (np.zeros(len(points)) for _ in range(3))
        for values, field in ((mu_a, absorption), (mu_s, scattering), (g, cosine)):
            values[solid] = engine.sample(field, points[solid])
        transport = (mu_a + mu_s)[solid]
        third_order = (mu_a + mu_s * (1.0 + g + g * g))[solid]
        mu_s *= 1.0 + g
        depth = ((mu_a + mu_s) * length.ravel()).reshape(length.shape)
        after = left[active, None] * np.exp(-np.cumsum(depth, axis=1))
        before = np.concatenate([left[active, None], after[:, :-1]], axis=1)
        thick = np.maximum(depth, 1e-12)
        collided = before * -np.expm1(-depth)
        # centroid of exp(-mu s) on the step, and mean power on it
        centroid = np.where(depth > 1e-4, 1.0 / thick - 1.0 / np.expm1(thick), 0.5 - depth / 12.0)
        mean = np.where(depth > 1e-12, collided / thick, before)

        ways = (begin + centroid * length, begin + length, begin)
        at, end, start = (
            _held(glass, engine, starts[active], directions[active], way, solid, points[solid]) for way in ways
        )
        hit, share = collided.ravel()[solid], (mu_a / np.maximum(mu_a + mu_s, 1e-300))[solid]
        absorbed += engine.deposit(hit * share, at)
        diffuse += engine.deposit(hit * (1.0 - share), at)
        towards = (directions[active, None] * senses).reshape(-1, 3)[solid]
        fading = (mu_a + mu_s)[solid, None] * towards
        faded.add((mean * length).ravel()[solid], at, fading)
        plain.add((power[active, None] * length).ravel()[solid], points[solid], fading)
        lean = mean.ravel()[solid] * mu_s[solid] * (g / (1.0 + g))[solid] / np.maximum(transport, 1e-300)
        if np.any(lean):
            leaning += engine.deposit(lean, end) - engine.deposit(lean, start)
            lean *= -g[solid] * transport / np.maximum(third_order, 1e-300)
            third += engine.deposit(lean, end) - engine.deposit(lean, start)
        if done == 0:
            met = active[solid.reshape(length.shape)[:, 0]]
            faces.update(FACES[index] for index in np.unique(side[met[from_outside[met]]]))
        left[active] = after[:, -1]
        done += STEPS_AT_ONCE
        active = active[(left[active] > FADED * power[active]) & (enter[active] + done * step < leave[active])]
    # the mean over the surroundings of a node, carried to the node: see _Passage
    fluence = np.divide(faded.path, engine.volume, out=np.zeros_like(plain.path), where=engine.volume > 0)
    fluence *= np.exp(0.5 * (faded.depth() + plain.depth()))
    escaped = float(np.sum(power)) - float(np.sum(absorbed) + np.sum(diffuse) + np.sum(leaning))
    entered = frozenset(faces & set(engine.areas))
    return Emission(diffuse + leaning, absorbed, fluence, 0.0, escaped, entered, leaning, third)


class _Passage:
    """Path of light near each node, and how much deeper in optical depth than the node it lies.

    The mean of ``exp(-s)`` over the surroundings of a node differs from its value at the node by ``exp(-s0)``, where s0
    is between the mean of s and that of s weighted with the light that is left: their middle, which is the trapezoidal
    rule for the logarithm of the mean (error of third order in the optical size of a cell, also at a border).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.path = np.zeros_like(engine.volume)
        self._beyond = np.zeros_like(engine.volume)

    def add(self, amount: Array, at: Array, fading: Array) -> None:
        """``amount`` (q,) W m at points (q, 3) m, of rays that fade by ``fading`` (q, 3) 1/m along each axis."""
        engine = self._engine
        self.path += engine.deposit(amount, at)
        self._beyond += engine.deposit(amount * np.einsum("qa,qa->q", fading, at), at)
        for axis in range(3):
            if np.any(fading[:, axis]):
                self._beyond -= engine.points[:, axis] * engine.deposit(amount * fading[:, axis], at)

    def depth(self) -> Array:
        """(n,) mean optical depth beyond the node."""
        return np.divide(self._beyond, self.path, out=np.zeros_like(self.path), where=self.path > 0.0)


def _held(
    glass: Mirrors, engine: Engine, start: Array, direction: Array, way: Array, solid: Array, middle: Array
) -> Array:
    """Points (q, 3) at ``way`` (r, steps) m along the rays, of the steps that are ``solid`` (r * steps,); ``middle``
    (q, 3) where the point lies outside the body."""
    lower, upper = engine.bounds
    found, _ = glass.fold(start[:, None] + way[:, :, None] * direction[:, None])
    found = np.clip(found, lower, upper).reshape(-1, 3)[solid]
    return np.where(engine.holds(found)[:, None], found, middle)
