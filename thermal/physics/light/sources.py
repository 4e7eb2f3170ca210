"""Where light starts: fibres in the tissue and beams from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from pydantic import model_validator

from thermal.domain import Ball, Line, Probe
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.light.border import Border, refraction
from thermal.physics.light.medium import Medium
from thermal.physics.light.mirrors import Mirrors
from thermal.physics.light.rays import Emission, Rays, finest_edge, follow, refract
from thermal.physics.near_field import near_field
from thermal.physics.scene import Device, probe_line
from thermal.units import Array, Fraction, Irradiance, Length, Number, Point, PositiveFraction, Power, Spec

RAYS_PER_CELL = 12
FEWEST_RAYS, MOST_RAYS = 400, 20_000
FIBRE_RAYS = 4096
SHARP = 0.6
"""Radius in cells of the ball that stands for the end of a fibre: with a larger one the light is a percent too strong,
as less of it is absorbed within."""
GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))
BEFORE = 20.0
"""m before its position at which a beam starts: outside any domain."""
LATTICE = 1.1673039782614187 ** -np.arange(1.0, 5.0)
"""Steps of an evenly spread sequence of points in four dimensions: powers of the inverse of the root of x^5 = x + 1
(M. Roberts, The unreasonable effectiveness of quasirandom sequences, 2018)."""


class LightSource(Protocol):
    """A fibre or a beam."""

    def launch(self, chosen: Array, refractive_index: float) -> tuple[Array, Array]:
        """Starts (p, 3) m and directions (p, 3) of equal parts of its light, for points ``chosen`` (p, 4) of the unit
        cube: evenly spread points give an even sample, random points a random one."""
        ...

    def emit(self, engine: Engine, medium: Medium, power: float, border: Border) -> Emission:
        """``power`` W as the diffusion approximation has it. Raises ``CaseError`` when it misses the tissue."""
        ...

    def first_collisions(self, engine: Engine, medium: Medium, power: float, border: Border) -> Emission:
        """``power`` W followed to its first, forward-peaked collision. Raises ``CaseError`` likewise."""
        ...

    def turned_back(self, refractive_index: float) -> float | None:
        """Share reflected at entry, where it is prescribed; ``None``: Fresnel's law decides."""
        ...

    def distance(self, points: Array) -> Array:
        """(q,) m of points (q, 3) from where its light starts in the tissue; infinite where it comes from outside."""
        ...

    def device(self, name: str, where: str) -> Device:
        """The source as a device; ``where`` is its key in the case file."""
        ...


class Fibre(Spec):
    """An optical fibre from ``entry`` to ``tip``: a source at its tip, or a diffuser that ends there.

    Without ``numerical_aperture`` the tip shines evenly in all directions; with it, as a bare cut fibre, into the cone
    of the aperture ahead.
    """

    entry: Point
    """where it enters; gives its direction"""
    tip: Point
    """end of the fibre: centre of a point source, or end of the diffuser"""
    radius: Length = 0.3e-3
    """of the emitting surface"""
    diffuser: Length | None = None
    """length of a diffusing tip; a point source when absent"""
    numerical_aperture: PositiveFraction | None = None
    """of a bare cut fibre, which shines ahead into a cone; even in all directions when absent"""
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
        if self.diffuser is not None and self.numerical_aperture is not None:
            raise ValueError("a fibre has a diffuser or a numerical_aperture (a bare cut end), not both; delete one")
        return self

    @property
    def _back(self) -> Array:
        """Unit vector from the tip back along the fibre."""
        back = np.subtract(self.entry, self.tip)
        return np.asarray(back / np.linalg.norm(back))

    def outlets(self, spacing: float) -> Array:
        """Points (q, 3) m on the fibre's surface that emit equal power, a sixteenth of ``spacing`` apart along it."""
        back = self._back
        if self.diffuser is None:
            count = 64
            height = 1.0 - 2.0 * (np.arange(count) + 0.5) / count
            ring, angle, axial = np.sqrt(1.0 - height**2), GOLDEN_ANGLE * np.arange(count), self.radius * height
        else:
            count = 4 * int(np.ceil(4.0 * self.diffuser / spacing))
            axial = (np.arange(count) + 0.5) / count * self.diffuser
            ring, angle = np.ones(count), GOLDEN_ANGLE * np.arange(count)
        return np.asarray(self.tip + axial[:, None] * back + self.radius * ring[:, None] * _circle(back, angle))

    def launch(self, chosen: Array, refractive_index: float) -> tuple[Array, Array]:
        """See :meth:`LightSource.launch`: outwards from the ball or the diffuser's wall, or ahead into the cone."""
        one, two, three, four = chosen.T
        back = self._back
        if self.numerical_aperture is not None:
            start = self.tip + self.radius * np.sqrt(one)[:, None] * _circle(back, 2.0 * np.pi * two)
            widest = np.sqrt(1.0 - min(self.numerical_aperture / refractive_index, 1.0) ** 2)
            cosine = 1.0 - three * (1.0 - widest)
            sine = np.sqrt(1.0 - cosine**2)
            return start, sine[:, None] * _circle(back, 2.0 * np.pi * four) - cosine[:, None] * back
        if self.diffuser is None:
            height = 1.0 - 2.0 * one
            outward = np.sqrt(1.0 - height**2)[:, None] * _circle(back, 2.0 * np.pi * two) + height[:, None] * back
            start = self.tip + self.radius * outward
        else:
            outward = _circle(back, 2.0 * np.pi * two)
            start = self.tip + (self.diffuser * one)[:, None] * back + self.radius * outward
        height = 1.0 - 2.0 * three
        direction = np.sqrt(1.0 - height**2)[:, None] * _circle(back, 2.0 * np.pi * four) + height[:, None] * back
        inward = np.sum(direction * outward, axis=1, keepdims=True)
        return start, direction - 2.0 * np.minimum(inward, 0.0) * outward

    def turned_back(self, refractive_index: float) -> float | None:
        """Nothing: the tip is in the tissue."""
        return 0.0

    def emit(self, engine: Engine, medium: Medium, power: float, border: Border) -> Emission:
        """Isotropic source spread evenly over the outlets; that of a bare end lies one free path ahead of it.

        Raises ``CaseError`` when any outlet lies outside the tissue.
        """
        if self.numerical_aperture is not None:
            return self._ahead(engine, medium, power, border, np.zeros_like(medium.anisotropy))
        outlets = self._placed(engine, border)
        diffuse = power * self._shares(engine, medium, outlets)
        nothing = np.zeros_like(diffuse)
        return Emission(diffuse, nothing, nothing)

    def _shares(self, engine: Engine, medium: Medium, outlets: Array) -> Array:
        """(n,) of the light that the ``outlets`` (q, 3) m give."""
        near = None
        if self.diffuser is None:
            fading = medium.effective_attenuation(engine)
            near = near_field(engine, np.asarray(self.tip), SHARP, self.radius, fading)
        return engine.deposit(np.full(len(outlets), 1.0 / len(outlets)), outlets) if near is None else near

    def first_collisions(self, engine: Engine, medium: Medium, power: float, border: Border) -> Emission:
        """See :meth:`LightSource.first_collisions`."""
        return self._ahead(engine, medium, power, border, medium.anisotropy)

    def _ahead(self, engine: Engine, medium: Medium, power: float, border: Border, forward: Array) -> Emission:
        self._placed(engine, border)
        start, direction = self.launch(_evenly_spread(FIBRE_RAYS), border.refractive_index)
        parts = np.full(FIBRE_RAYS, power / FIBRE_RAYS)
        return follow(engine, medium, Rays(start, direction), parts, forward, border.mirrors)

    def _placed(self, engine: Engine, border: Border) -> Array:
        """The outlets, all of which lie in the tissue."""
        try:
            outlets, _ = Mirrors.of(engine, border.mirrors).fold(self.outlets(engine.spacing(self.tip)))
            within = engine.holds(outlets)
            engine.sample(engine.volume, outlets)
        except ValueError as error:
            raise CaseError(
                f"heating.fibre: it emits outside the domain: {error}; move it or enlarge the window"
            ) from None
        lost = 1.0 - float(np.mean(within))
        if lost > 0.0:
            raise CaseError(
                f"heating.fibre: {100 * lost:.1f} % of its light starts outside the tissue; move the tip deeper"
            )
        return outlets

    def distance(self, points: Array) -> Array:
        """See :meth:`LightSource.distance`: from the ball at the tip, the end, or the diffuser."""
        offset = points - np.asarray(self.tip)
        along = np.clip(offset @ self._back, 0.0, self.diffuser or 0.0)
        away = np.linalg.norm(offset - along[:, None] * self._back, axis=1)
        return np.asarray(np.maximum(away - self.radius, 0.0))

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
_INSIDE: Mapping[str, Callable[[float], float]] = {
    "top-hat": lambda radius: radius**2,
    "gaussian": lambda radius: -float(np.expm1(-2.0 * radius**2)),
}
"""Share of the power inside a radius in half diameters: the inverse of that."""
_PEAKS: Mapping[str, float] = {"top-hat": 1.0, "gaussian": 0.5}
"""Power over irradiance on the axis and area of the disc of the given diameter."""


class Beam(Spec):
    """A collimated beam from outside the body that meets the surface along ``direction``.

    ``position`` lies on the axis, on the surface or before it. ``diameter``: whole width of a top-hat, 1/e2 width of a
    Gaussian. ``power``, or the ``irradiance`` on the axis; by default ``heating.power``. ``specular``: share reflected
    at entry; by default Fresnel's. It is refracted at faces of the window; at a skin within the window it goes straight
    on, reflected as if upright, but for the photons of a Monte Carlo run.
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
    """share reflected at entry; by default Fresnel's, for unpolarised light at the angle at which it meets a face of
    the window, else at normal incidence"""

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

    @property
    def _along(self) -> Array:
        return np.asarray(np.asarray(self.direction) / np.linalg.norm(self.direction))

    def launch(self, chosen: Array, refractive_index: float) -> tuple[Array, Array]:
        """See :meth:`LightSource.launch`: from far outside, parallel to the axis."""
        along = self._along
        radii = 0.5 * self.diameter * _PROFILES[self.profile](chosen[:, 0])
        start = self.position - BEFORE * along + radii[:, None] * _circle(along, 2.0 * np.pi * chosen[:, 1])
        return start, np.tile(along, (len(chosen), 1))

    def turned_back(self, refractive_index: float) -> float | None:
        """``specular``, if given."""
        return self.specular

    def emit(self, engine: Engine, medium: Medium, power: float, border: Border) -> Emission:
        """Follow the rays to their first collisions. Raises ``CaseError`` when no ray meets tissue."""
        return self._entered(engine, medium, power, border, np.zeros_like(medium.anisotropy))

    def first_collisions(self, engine: Engine, medium: Medium, power: float, border: Border) -> Emission:
        """See :meth:`LightSource.first_collisions`."""
        return self._entered(engine, medium, power, border, medium.anisotropy)

    def _entered(self, engine: Engine, medium: Medium, power: float, border: Border, forward: Array) -> Emission:
        width, share = self._within_reach(Mirrors.of(engine, border.mirrors))
        count = int(np.clip(RAYS_PER_CELL * (width / finest_edge(engine)) ** 2, FEWEST_RAYS, MOST_RAYS))
        chosen = _vogel(count) * np.array([share, 1.0, 1.0, 1.0])
        start, direction = self.launch(chosen, border.refractive_index)
        rays, specular = refract(engine, Rays(start, direction), border.refractive_index, border.mirrors)
        reflected = specular if self.specular is None else np.full(count, self.specular)
        found = follow(engine, medium, rays, share * power / count * (1.0 - reflected), forward, border.mirrors)
        if not np.any(found.absorbed + found.diffuse > 0.0):
            raise CaseError("heating.beam: it misses the tissue; check position and direction (patient RAS)")
        beyond = (1.0 - share) * power
        turned = (
            float(refraction(np.ones(1), border.refractive_index)[1][0]) if self.specular is None else self.specular
        )
        return replace(
            found,
            reflected=share * power * float(np.mean(reflected)) + beyond * turned,
            escaped=found.escaped + beyond * (1.0 - turned),
        )

    def _within_reach(self, glass: Mirrors) -> tuple[float, float]:
        """Width in m of the disc around the axis in which rays can meet the window, where that is narrower than the
        beam, and the share of the power in it: rays beyond need not be followed."""
        corners = np.stack(np.meshgrid(*np.stack(glass.box, axis=1), indexing="ij"), axis=-1).reshape(-1, 3)
        away = float(np.max(np.linalg.norm(np.cross(corners - self.position, self._along), axis=1)))
        if 2.0 * away >= self.diameter:
            return self.diameter, 1.0
        return 2.0 * away, _INSIDE[self.profile](2.0 * away / self.diameter)

    def distance(self, points: Array) -> Array:
        """Infinite: it is followed to its first collisions."""
        return np.full(len(points), np.inf)

    def device(self, name: str, where: str) -> Device:
        """The last three centimetres before ``position``; light that misses the tissue is found by :meth:`emit`."""
        start = np.asarray(self.position) - 0.03 * self._along
        return Device("beam", name, Line(tuple(start.tolist()), self.position, 0.5 * self.diameter))


def _evenly_spread(count: int) -> Array:
    """Points (count, 4) of the unit cube."""
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * LATTICE) % 1.0)


def _vogel(count: int) -> Array:
    """Points (count, 4) that put equal power on each point of Vogel's spiral."""
    spiral = np.arange(count) * (GOLDEN_ANGLE / (2.0 * np.pi)) % 1.0
    return np.stack([(np.arange(count) + 0.5) / count, spiral, spiral, spiral], axis=1)


def _circle(axis: Array, angle: Array) -> Array:
    """Unit vectors (q, 3) at right angles to ``axis`` (3,), turned around it by ``angle`` (q,)."""
    across = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    across /= np.linalg.norm(across)
    return np.asarray(np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * np.cross(axis, across))
