"""Light in tissue: diffusion approximation with partial-current borders, fibres, and beams through the surface.

``-div(D grad phi) + mu_a phi = S`` with ``D = 1 / (3 (mu_a + mu_s'))``; at the border the outward flux is
``phi / (2 A)`` with ``A = (1 + r_d) / (1 - r_d)`` and ``r_d = -1.440/n^2 + 0.710/n + 0.668 + 0.0636 n`` (W. G. Egan,
T. W. Hilgeman, Optical Properties of Inhomogeneous Materials, 1979; R. A. J. Groenhuis et al., Appl. Opt. 22 (1983)
2456; sources unverified).

A beam is followed ray by ray until its first collision: it fades with ``mu_t' = mu_a + mu_s'``, the share
``mu_a / mu_t'`` is absorbed where it collides, the rest is the diffuse source. Every watt is absorbed, leaves, or was
reflected at entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import model_validator

from thermal.domain import FACES, SURFACE, Ball, Line, Probe
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.scene import Device, probe_line
from thermal.units import Array, Fraction, Irradiance, Length, Number, Point, Power, Spec

LONGEST_FREE_PATH = 1.0
"""m; keeps D finite where the tissue table has neither absorption nor scattering."""
CLOSED = 1e-12
"""Relative residual of the fluence with which the power balance closes to round-off."""
STEPS_PER_CELL = 3
RAYS_PER_CELL = 12
FEWEST_RAYS, MOST_RAYS = 400, 20_000
FADED = 1e-8
"""Share of a ray's power below which it is followed no further (and counted as escaped)."""
STEPS_AT_ONCE = 48
GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))


def border_factor(refractive_index: float) -> float:
    """A of the partial-current condition for tissue of this index against air."""
    n = refractive_index
    reflected = -1.440 / n**2 + 0.710 / n + 0.668 + 0.0636 * n
    return (1.0 + reflected) / (1.0 - reflected)


def specular_reflection(refractive_index: float) -> float:
    """Fresnel reflection at normal incidence from air."""
    return ((refractive_index - 1.0) / (refractive_index + 1.0)) ** 2


@dataclass(frozen=True)
class Medium:
    """Coefficients in 1/m: absorption by tissue and by particles at nodes (n,), reduced scattering at cells (m,)."""

    tissue_absorption: Array
    particle_absorption: Array
    scattering: Array

    @property
    def absorption(self) -> Array:
        """(n,) of tissue and particles."""
        return self.tissue_absorption + self.particle_absorption

    def attenuation(self, engine: Engine) -> Array:
        """mu_a + mu_s' at cells, (m,)."""
        return np.maximum(engine.to_cells(self.absorption) + self.scattering, 1.0 / LONGEST_FREE_PATH)

    def effective_attenuation(self, engine: Engine) -> Array:
        """mu_eff = sqrt(3 mu_a (mu_a + mu_s')) at cells, (m,)."""
        return np.sqrt(3.0 * engine.to_cells(self.absorption) * self.attenuation(engine))


@dataclass(frozen=True)
class Emission:
    """What a source hands to the tissue before the first scattering.

    ``diffuse`` (n,) W: source of scattered light; ``absorbed`` (n,) W: absorbed on the way; ``fluence`` (n,) W/m2: of
    the unscattered light; ``reflected`` and ``escaped`` W: turned back at entry, and not caught by the tissue;
    ``entry_faces``: faces of the window through which light came in.
    """

    diffuse: Array
    absorbed: Array
    fluence: Array
    reflected: float = 0.0
    escaped: float = 0.0
    entry_faces: frozenset[str] = frozenset()


class LightSource(Protocol):
    """A fibre or a beam."""

    def emit(self, engine: Engine, medium: Medium, power: float, refractive_index: float) -> Emission:
        """First collisions of ``power`` W. Raises ``CaseError`` when the light misses the tissue."""
        ...

    def device(self, name: str, where: str) -> Device:
        """The source as a device; ``where`` is its key in the case file."""
        ...


class Fibre(Spec):
    """An optical fibre from ``entry`` to ``tip``: a point source at its tip, or a diffuser that ends there."""

    entry: Point
    """where it enters; gives its direction"""
    tip: Point
    """end of the fibre: centre of a point source, or end of the diffuser"""
    radius: Length = 0.3e-3
    """of the emitting surface"""
    diffuser: Length | None = None
    """length of a diffusing tip; a point source when absent"""
    power: Power | None = None
    """of this fibre; by default ``heating.power``"""

    @model_validator(mode="after")
    def _fits(self) -> Fibre:
        inserted = float(np.linalg.norm(np.subtract(self.entry, self.tip)))
        if not inserted > 0.0:
            raise ValueError("entry and tip of the fibre are the same point; move entry back along the fibre")
        if self.diffuser is not None and self.diffuser > inserted * (1.0 + 1e-9):
            raise ValueError(
                f"diffuser = {1e3 * self.diffuser:.4g} mm is longer than the way from entry to tip, "
                f"{1e3 * inserted:.4g} mm; move entry back along the fibre or shorten the diffuser"
            )
        return self

    def outlets(self, spacing: float) -> Array:
        """Points (q, 3) m on the fibre's surface that emit equal power, a sixteenth of ``spacing`` apart along it."""
        tip = np.asarray(self.tip)
        back = np.subtract(self.entry, self.tip) / np.linalg.norm(np.subtract(self.entry, self.tip))
        if self.diffuser is None:
            count = 64
            height = 1.0 - 2.0 * (np.arange(count) + 0.5) / count
            ring, angle, axial = np.sqrt(1.0 - height**2), GOLDEN_ANGLE * np.arange(count), self.radius * height
        else:
            count = 4 * int(np.ceil(4.0 * self.diffuser / spacing))
            axial = (np.arange(count) + 0.5) / count * self.diffuser
            ring, angle = np.ones(count), GOLDEN_ANGLE * np.arange(count)
        across, aside = _normals(back)
        radial = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * aside
        return np.asarray(tip + axial[:, None] * back + self.radius * ring[:, None] * radial)

    def emit(self, engine: Engine, medium: Medium, power: float, refractive_index: float) -> Emission:
        """Isotropic source spread evenly over the outlets. Raises ``CaseError`` when any lies outside the tissue."""
        try:
            outlets = self.outlets(engine.spacing(self.tip))
            diffuse = engine.deposit(np.full(len(outlets), power / len(outlets)), outlets)
        except ValueError as error:
            raise CaseError(
                f"heating.fibre: it emits outside the domain: {error}; move it or enlarge the window"
            ) from None
        lost = power - float(np.sum(diffuse))
        if lost > 1e-9 * power:
            raise CaseError(
                f"heating.fibre: {100 * lost / power:.1f} % of its light starts outside the tissue; move the tip deeper"
            )
        nothing = np.zeros_like(diffuse)
        return Emission(diffuse, nothing, nothing)

    def device(self, name: str, where: str) -> Device:
        """The fibre with the part that emits; ``where`` is its key in the case file."""
        active: Probe = Ball(self.tip, self.radius)
        if self.diffuser is not None:
            active = probe_line(self.entry, self.tip, self.diffuser, self.radius)
        return Device("fibre", name, Line(self.entry, self.tip, self.radius), active, f"{where}.tip")


def _top_hat(share: Array) -> Array:
    return np.sqrt(share)


def _gaussian(share: Array) -> Array:
    return np.sqrt(-0.5 * np.log1p(-share))


_PROFILES: Mapping[str, Callable[[Array], Array]] = {"top-hat": _top_hat, "gaussian": _gaussian}
"""Radius, in half diameters, inside which a share of the power lies."""
_PEAKS: Mapping[str, float] = {"top-hat": 1.0, "gaussian": 0.5}
"""Power over irradiance on the axis and area of the disc of the given diameter."""


class Beam(Spec):
    """A collimated beam from outside the body that meets the surface along ``direction`` and is not refracted.

    ``position`` lies on the axis, on the surface or before it. ``diameter``: whole width of a top-hat, 1/e2 width of a
    Gaussian. ``power``, or the ``irradiance`` on the axis; by default ``heating.power``. ``specular``: share reflected
    at entry; by default Fresnel's at normal incidence.
    """

    position: Point
    """a point on the axis, on the surface or before it"""
    direction: tuple[Number, Number, Number]
    """of propagation; any length"""
    diameter: Length
    """whole width of a top-hat, 1/e2 width of a Gaussian"""
    profile: Literal["top-hat", "gaussian"] = "top-hat"
    """across the beam"""
    power: Power | None = None
    """of this beam; by default heating.power"""
    irradiance: Irradiance | None = None
    """on the axis, instead of a power"""
    specular: Fraction | None = None
    """share reflected at entry; by default Fresnel's at normal incidence"""

    @model_validator(mode="after")
    def _is_whole(self) -> Beam:
        if not np.linalg.norm(self.direction) > 0.0:
            raise ValueError("direction = [0, 0, 0] is none; write e.g. [0, 0, -1]")
        if self.power is not None and self.irradiance is not None:
            raise ValueError("give the beam's power or its irradiance, not both")
        return self

    @property
    def own_power(self) -> float | None:
        """W, if the beam says it."""
        if self.irradiance is None:
            return self.power
        return self.irradiance * _PEAKS[self.profile] * 0.25 * np.pi * self.diameter**2

    def emit(self, engine: Engine, medium: Medium, power: float, refractive_index: float) -> Emission:
        """Follow the rays to their first collisions. Raises ``CaseError`` when no ray meets tissue."""
        direction = np.asarray(self.direction) / np.linalg.norm(self.direction)
        specular = specular_reflection(refractive_index) if self.specular is None else self.specular
        edge = float(np.min(engine.cell_size[engine.cell_size > 0]))
        count = int(np.clip(RAYS_PER_CELL * (self.diameter / edge) ** 2, FEWEST_RAYS, MOST_RAYS))
        radii = 0.5 * self.diameter * _PROFILES[self.profile]((np.arange(count) + 0.5) / count)
        angles = GOLDEN_ANGLE * np.arange(count)  # Vogel's spiral: equal power for each point
        across, aside = _normals(direction)
        starts = self.position + (radii * np.cos(angles))[:, None] * across + (radii * np.sin(angles))[:, None] * aside
        entering = np.full(count, power * (1.0 - specular) / count)
        emission = _follow(engine, medium, starts, direction, entering, edge / STEPS_PER_CELL)
        if not np.any(emission.absorbed + emission.diffuse > 0.0):
            raise CaseError("heating.beam: it misses the tissue; check position and direction (patient RAS)")
        return Emission(
            emission.diffuse,
            emission.absorbed,
            emission.fluence,
            power * specular,
            power * (1.0 - specular) - float(np.sum(emission.absorbed) + np.sum(emission.diffuse)),
            emission.entry_faces,
        )

    def device(self, name: str, where: str) -> Device:
        """The last three centimetres before ``position``; light that misses the tissue is found by :meth:`emit`."""
        direction = np.asarray(self.direction) / np.linalg.norm(self.direction)
        start = np.asarray(self.position) - 0.03 * direction
        return Device("beam", name, Line(tuple(start.tolist()), self.position, 0.5 * self.diameter))


def _normals(direction: Array) -> tuple[Array, Array]:
    """Two unit vectors at right angles to ``direction`` (3,) and to each other."""
    across = np.cross(direction, np.eye(3)[int(np.argmin(np.abs(direction)))])
    across /= np.linalg.norm(across)
    return across, np.cross(direction, across)


def _follow(engine: Engine, medium: Medium, starts: Array, direction: Array, power: Array, step: float) -> Emission:
    """Attenuate parallel rays (r,) through ``starts`` (r, 3), coming from outside the domain, in steps of ``step`` m.

    A step counts as in tissue when its middle is. Its collisions are deposited at their centroid (in the middle, where
    the centroid has left the body), so power is conserved step by step.
    """
    lower, upper = engine.bounds
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (lower - starts) / direction, (upper - starts) / direction
    inside = (starts >= lower) & (starts <= upper)
    parallel = direction == 0.0
    near = np.where(parallel, np.where(inside, -np.inf, np.inf), np.minimum(one, other))
    far = np.where(parallel, np.where(inside, np.inf, -np.inf), np.maximum(one, other))
    enter, leave = near.max(axis=1), far.min(axis=1)
    side = near.argmax(axis=1) * 2 + (direction[near.argmax(axis=1)] < 0)

    scattering = engine.to_nodes(medium.scattering)
    absorbed, diffuse, path = (np.zeros_like(engine.volume) for _ in range(3))
    left = power.copy()
    faces: set[str] = set()
    rays = np.flatnonzero(leave > enter)
    done = 0
    while len(rays):
        offsets = (done + np.arange(STEPS_AT_ONCE + 1)) * step
        begin = enter[rays, None] + offsets[:-1]
        length = np.clip(leave[rays, None] - begin, 0.0, step)
        middle = starts[rays, None] + (begin + 0.5 * length)[:, :, None] * direction
        points = np.clip(middle, lower, upper).reshape(-1, 3)
        solid = engine.holds(points) & (length.ravel() > 0.0)
        mu_a, mu_s = np.zeros(len(points)), np.zeros(len(points))
        mu_a[solid] = engine.sample(medium.absorption, points[solid])
        mu_s[solid] = engine.sample(scattering, points[solid])
        depth = ((mu_a + mu_s) * length.ravel()).reshape(length.shape)
        after = left[rays, None] * np.exp(-np.cumsum(depth, axis=1))
        before = np.concatenate([left[rays, None], after[:, :-1]], axis=1)
        thick = np.maximum(depth, 1e-12)
        collided = before * -np.expm1(-depth)
        # centroid of exp(-mu s) on the step, and mean power on it
        centroid = np.where(depth > 1e-4, 1.0 / thick - 1.0 / np.expm1(thick), 0.5 - depth / 12.0)
        mean = np.where(depth > 1e-12, collided / thick, before)
        at = np.clip(starts[rays, None] + (begin + centroid * length)[:, :, None] * direction, lower, upper)
        at = at.reshape(-1, 3)[solid]
        at = np.where(engine.holds(at)[:, None], at, points[solid])
        hit, share = collided.ravel()[solid], (mu_a / np.maximum(mu_a + mu_s, 1e-300))[solid]
        absorbed += engine.deposit(hit * share, at)
        diffuse += engine.deposit(hit * (1.0 - share), at)
        path += engine.deposit((mean * length).ravel()[solid], at)
        if done == 0:
            faces.update(FACES[index] for index in np.unique(side[rays[solid.reshape(length.shape)[:, 0]]]))
        left[rays] = after[:, -1]
        done += STEPS_AT_ONCE
        rays = rays[(left[rays] > FADED * power[rays]) & (enter[rays] + done * step < leave[rays])]
    fluence = np.divide(path, engine.volume, out=np.zeros_like(path), where=engine.volume > 0)
    return Emission(diffuse, absorbed, fluence, entry_faces=frozenset(faces & set(engine.areas)))


@dataclass(frozen=True)
class Light:
    """A solved light field: fluence rate (n,) W/m2, power absorbed by tissue and particles (n,) W, the rest in W."""

    fluence: Array
    absorbed_tissue: Array
    absorbed_particles: Array
    power: float
    escaped: float
    reflected: float

    @property
    def absorbed(self) -> Array:
        """(n,) W in all."""
        return self.absorbed_tissue + self.absorbed_particles

    @property
    def balance_error(self) -> float:
        """Power that is unaccounted for, relative to the power of the sources."""
        kept = float(np.sum(self.absorbed_tissue) + np.sum(self.absorbed_particles))
        return (self.power - kept - self.escaped - self.reflected) / self.power


def border_factors(engine: Engine, refractive_index: float, air: frozenset[str]) -> dict[str, float]:
    """A of each border: the skin and the faces in ``air`` meet air; other faces let light out into more tissue."""
    outside = border_factor(refractive_index)
    factors = {name: outside if name in air else 1.0 for name in FACES if name in engine.areas}
    return factors | ({SURFACE: outside} if SURFACE in engine.areas else {})


def solve_light(
    engine: Engine,
    medium: Medium,
    emissions: Sequence[Emission],
    power: float,
    borders: Mapping[str, float],
    tolerance: float = CLOSED,
) -> Light:
    """Fluence of ``emissions`` that carry ``power`` W; ``borders``: boundary -> A, no flux through all others.

    ``tolerance``: relative residual; the power balance closes as well as that.

    Raises :class:`~thermal.engine.NotConvergedError`.
    """
    nothing = np.zeros_like(engine.volume)
    source = sum((emission.diffuse for emission in emissions), nothing)
    ballistic = sum((emission.absorbed for emission in emissions), nothing)
    leak = sum((engine.areas[name] / (2.0 * factor) for name, factor in borders.items()), nothing)
    absorption = medium.absorption
    operator = engine.conductance(1.0 / (3.0 * medium.attenuation(engine)))
    diffuse = engine.solve(operator, absorption * engine.volume + leak, source, tolerance=tolerance)
    by_particles = np.divide(
        medium.particle_absorption, absorption, out=np.zeros_like(absorption), where=absorption > 0
    )
    absorbed = absorption * engine.volume * diffuse + ballistic
    return Light(
        fluence=diffuse + sum((emission.fluence for emission in emissions), nothing),
        absorbed_tissue=absorbed * (1.0 - by_particles),
        absorbed_particles=absorbed * by_particles,
        power=power,
        escaped=float(leak @ diffuse) + sum(emission.escaped for emission in emissions),
        reflected=sum(emission.reflected for emission in emissions),
    )


def one_or_many(value: Any) -> Any:
    """Accept one table where a list of tables is expected."""
    return (value,) if isinstance(value, (dict, Spec)) else value
