"""Magnetic hyperthermia: iron-oxide particles in an alternating field, uniform or from circular coils.

Field amplitudes are peak values. The field is that of the coils in vacuum: particles and tissue hardly change it.
Coils are computed with magpylib (M. Ortner, L. G. Coliado Bandeira, SoftwareX 11 (2020) 100466): closed forms for the
current loop, and for a solenoid those of the uniformly magnetised cylinder, which carries the same current sheet.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.domain import Line
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.heating.agitation import agitate
from thermal.physics.heating.schedule import Switched
from thermal.physics.heating.source import PlainSource
from thermal.physics.magnetism import ATKINSON_LIMIT, HERGT_LIMIT, eddy_power
from thermal.physics.scene import Device, Drive, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array, Current, FieldStrength, Frequency, Length, Number, Point, Spec

EDDY_CONDUCTIVITY = 0.4
"""S/m, typical of soft tissue, for the estimate of eddy-current heating."""


class Coil(Spec):
    """A circular coil with its axis along ``axis``: ``turns`` at one place, or spread over ``length`` (a solenoid)."""

    centre: Point
    """of the coil, or of the solenoid"""
    axis: tuple[Number, Number, Number]
    """direction of its axis; any length"""
    radius: Length
    """of the turns"""
    turns: Annotated[int, Field(gt=0, le=100_000)] = 1
    """number of turns"""
    current: Current
    """peak current of one turn"""
    length: Length | None = None
    """of a solenoid; absent for turns at one place"""

    @model_validator(mode="after")
    def _has_direction(self) -> Coil:
        if not np.linalg.norm(self.axis) > 0:
            raise ValueError("axis = [0, 0, 0] has no direction; write e.g. [0, 0, 1]")
        return self

    def _direction(self) -> Array:
        axis = np.asarray(self.axis, dtype=float)
        return np.asarray(axis / np.linalg.norm(axis))

    def field(self, points: Array) -> Array:
        """Field strength H (q, 3) A/m at ``points`` (q, 3) m."""
        import magpylib
        from scipy.spatial.transform import Rotation

        turn, _ = Rotation.align_vectors(self._direction()[None, :], [[0.0, 0.0, 1.0]])
        if self.length is None:
            winding = magpylib.current.Circle(diameter=2.0 * self.radius, current=self.current * self.turns)
        else:
            sheet = self.current * self.turns / self.length
            winding = magpylib.magnet.Cylinder(dimension=(2.0 * self.radius, self.length), magnetization=(0, 0, sheet))
        winding.orientation = turn
        winding.position = self.centre
        return np.asarray(np.asarray(winding.getB(points)).reshape(-1, 3) / magpylib.mu_0)

    def distance(self, points: Array) -> Array:
        """Distance (q,) m of ``points`` (q, 3) from the winding."""
        offset = points - np.asarray(self.centre)
        along = offset @ self._direction()
        across = np.linalg.norm(offset - along[:, None] * self._direction(), axis=1)
        return np.asarray(np.hypot(across - self.radius, np.maximum(np.abs(along) - 0.5 * (self.length or 0.0), 0.0)))

    def device(self, name: str) -> Device:
        """A short thick cylinder."""
        half = 0.5 * (self.length or 0.1 * self.radius) * self._direction()
        start, end = np.asarray(self.centre) - half, np.asarray(self.centre) + half
        return Device("coil", name, Line(tuple(start.tolist()), tuple(end.tolist()), self.radius))


class Eddies(Spec):
    """Eddy currents around an axis through the body: each tissue is heated as a cylinder in a uniform field is.

    ``sigma (pi mu0 f H r)^2 / 2`` at the distance r from the axis, with the tissue's electrical conductivity and the
    local amplitude H: exact for a round, even body around the axis of a uniform field, an estimate for any other.
    """

    centre: Point
    """a point on the axis of the body"""
    axis: tuple[Number, Number, Number]
    """direction of the field, which is the axis of the currents"""

    @model_validator(mode="after")
    def _has_direction(self) -> Eddies:
        if not np.linalg.norm(self.axis) > 0:
            raise ValueError("axis = [0, 0, 0] has no direction; write e.g. [0, 0, 1]")
        return self

    def density(self, engine: Engine, conductivity: Array, amplitude: Array, frequency: float) -> Array:
        """W/m3 at nodes (n,) from conductivity (n,) S/m and peak amplitude (n,) A/m."""
        along = np.asarray(self.axis) / np.linalg.norm(self.axis)
        offset = engine.points - np.asarray(self.centre)
        radius = np.linalg.norm(offset - (offset @ along)[:, None] * along, axis=1)
        return eddy_power(conductivity, radius, amplitude, frequency)


class Magnetic(Switched):
    """Magnetic heating of the particles: ``amplitude`` of a uniform field, or ``coils`` in phase whose fields add."""

    kind: Literal["magnetic"]
    frequency: Frequency
    """of the field"""
    amplitude: FieldStrength | None = None
    """peak strength of a uniform field"""
    coils: tuple[Coil, ...] = ()
    """circular coils instead of a uniform field"""
    eddies: Eddies | None = None
    """heat the tissue by eddy currents too; without it a run only says how strong they might be"""

    @model_validator(mode="after")
    def _one_field(self) -> Magnetic:
        if (self.amplitude is None) != bool(self.coils):
            raise ValueError(
                'give either amplitude = "10 kA/m" (uniform, peak) or coils = [{centre = [...], axis = [0, 0, 1], '
                'radius = "50 mm", turns = 5, current = "200 A"}]'
            )
        return self

    @property
    def devices(self) -> tuple[Device, ...]:
        """The coils."""
        return tuple(coil.device(f"coil {index + 1}") for index, coil in enumerate(self.coils))

    def field_amplitude(self, points: Array) -> Array:
        """Peak field strength (q,) A/m at ``points`` (q, 3) m."""
        if self.amplitude is not None:
            return np.full(len(points), self.amplitude)
        return np.asarray(np.linalg.norm(np.sum([coil.field(points) for coil in self.coils], axis=0), axis=1))

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where eddy currents are asked for and a region has no electrical conductivity."""
        if self.eddies is not None:
            tissues.require(("electrical_conductivity",), "heating.eddies")

    def prepare(self, scene: Scene) -> PlainSource:
        """Field map and power. Raises ``CaseError`` without magnetic particles or with a coil inside the tissue."""
        engine, payload = scene.engine, scene.payload
        if payload is None or (payload.specific_absorption_rate is None and payload.agitation is None):
            raise CaseError(
                'heating.kind = "magnetic" needs magnetic particles in the tissue; give [particles] with a magnetic '
                'material (thermal materials lists them) and a [delivery] other than "none"'
            )
        tissue = engine.volume > 0
        points = engine.points[tissue]
        self._check_coils(engine, points)
        amplitude = np.zeros_like(engine.volume)
        amplitude[tissue] = self.field_amplitude(points)
        loaded = payload.concentration > 0
        by_particles = np.zeros_like(amplitude)
        if payload.specific_absorption_rate is not None:
            met = payload.specific_absorption_rate(amplitude[loaded], self.frequency)
            by_particles[loaded] = payload.concentration[loaded] * met
        turned, moved = agitate(engine, payload, amplitude, self.time_on(scene.duration))
        by_eddies = np.zeros_like(amplitude)
        if self.eddies is not None:
            conductivity = scene.tissues.nodes("electrical_conductivity", "heating.eddies")
            by_eddies = self.eddies.density(engine, conductivity, amplitude, self.frequency)
        density = by_particles + by_eddies
        power = density * engine.volume
        total = float(np.sum(power))
        idle = np.zeros_like(power)

        def act(state: State, step: float) -> Drive:
            on = self.is_on(state.time + 0.5 * step)
            return Drive(power if on else idle, readings={"power": Reading(total if on else 0.0, "W")})

        strongest = float(np.max(amplitude))
        on_particles = float(np.max(amplitude, where=loaded, initial=0.0))
        return PlainSource(
            act,
            self.switch_times(scene.duration),
            devices=self.devices,
            fields={"field_amplitude": (amplitude, "A/m"), "absorbed_power": (density, "W/m^3"), **turned},
            summary={
                "heating.power": Reading(total, "W"),
                "heating.power_particles": Reading(float(by_particles @ engine.volume), "W"),
                "heating.power_eddies": Reading(float(by_eddies @ engine.volume), "W"),
                "heating.maximum_field": Reading(strongest, "A/m"),
                "heating.field_frequency_product": Reading(strongest * self.frequency, "A/m/s"),
                **moved,
            },
            warnings=(
                *payload.doubts(on_particles, self.frequency),
                *exposure_warnings(strongest, self.frequency),
                *self._left_out(strongest, points),
            ),
        )

    def _left_out(self, strongest: float, points: Array) -> tuple[str, ...]:
        """What to say about eddy currents that are not computed."""
        if self.eddies is not None:
            return ()
        return (eddy_warning(strongest, self.frequency, 0.5 * float(np.max(np.ptp(points, axis=0)))),)

    def _check_coils(self, engine: Engine, points: Array) -> None:
        problems = []
        for index, coil in enumerate(self.coils):
            distance = coil.distance(points)
            nearest = int(np.argmin(distance))
            x, y, z = (float(c) for c in points[nearest])
            if distance[nearest] < engine.spacing((x, y, z)):
                problems.append(
                    f"heating.coils[{index}]: the winding passes through the tissue near "
                    f"({1e3 * x:.1f}, {1e3 * y:.1f}, {1e3 * z:.1f}) mm, where its field has no bound; "
                    "make its radius larger than the window or move it away"
                )
        if problems:
            raise CaseError(*problems)


def exposure_warnings(amplitude: float, frequency: float) -> tuple[str, ...]:
    """What to say about the product of peak field (A/m) and frequency (Hz)."""
    product = amplitude * frequency
    if product > HERGT_LIMIT:
        return (
            f"H f = {product:.3g} A/m/s exceeds {HERGT_LIMIT:.3g} A/m/s, the limit proposed for small exposed regions "
            "(Hergt and Dutz 2007): eddy currents would overheat healthy tissue",
        )
    if product > ATKINSON_LIMIT:
        return (
            f"H f = {product:.3g} A/m/s exceeds {ATKINSON_LIMIT:.3g} A/m/s, the limit of comfort for a coil around the "
            f"torso (Atkinson et al. 1984), though not {HERGT_LIMIT:.3g} A/m/s for small regions (Hergt, Dutz 2007)",
        )
    return ()


def eddy_warning(amplitude: float, frequency: float, radius: float) -> str:
    """What to say about the eddy currents that are left out."""
    density = float(eddy_power(EDDY_CONDUCTIVITY, radius, amplitude, frequency))
    return (
        f"eddy-current heating is not included; at the rim of a cylinder as wide as the window (radius "
        f"{1e3 * radius:.0f} mm, {EDDY_CONDUCTIVITY:g} S/m) it would be about {density:.3g} W/m3 "
        "(Atkinson et al. 1984), and more in a wider body; [heating.eddies] adds it"
    )
