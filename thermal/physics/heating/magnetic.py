"""Magnetic hyperthermia: iron-oxide particles in an alternating field: uniform, of coils, or of a map from a file.

Field amplitudes are peak values. The field is that in vacuum: particles and tissue hardly change it. Fields of several
sources are in phase and add up as vectors.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, model_validator

from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.heating.agitation import agitate
from thermal.physics.heating.coils import Axis, Coil, Helmholtz, Solenoid
from thermal.physics.heating.field_map import FieldMap
from thermal.physics.heating.magnetised import MagneticPower, Warmed
from thermal.physics.heating.schedule import Switched, one_or_many
from thermal.physics.magnetism import ATKINSON_LIMIT, HERGT_LIMIT, eddy_power
from thermal.physics.scene import Device, Reading, Scene
from thermal.physics.tissue import Tissues
from thermal.sampled import ReadVectors
from thermal.units import Array, Duration, FieldStrength, Frequency, Point, Spec

EDDY_CONDUCTIVITY = 0.4
"""S/m, typical of soft tissue, for the estimate of eddy-current heating."""


class Eddies(Spec):
    """Eddy currents around an axis through the body: each tissue is heated as a cylinder in a uniform field is.

    ``sigma (pi mu0 f H r)^2 / 2`` at the distance r from the axis, with the tissue's electrical conductivity and the
    local amplitude H: exact for a round, even body around the axis of a uniform field, an estimate for any other.
    """

    centre: Point
    """a point on the axis of the body"""
    axis: Axis
    """direction of the field, which is the axis of the currents"""

    def density(self, engine: Engine, conductivity: Array, amplitude: Array, frequency: float) -> Array:
        """W/m3 at nodes (n,) from conductivity (n,) S/m and peak amplitude (n,) A/m."""
        along = np.asarray(self.axis) / np.linalg.norm(self.axis)
        offset = engine.points - np.asarray(self.centre)
        radius = np.linalg.norm(offset - (offset @ along)[:, None] * along, axis=1)
        return eddy_power(conductivity, radius, amplitude, frequency)


Pairs = Annotated[
    tuple[Helmholtz, ...], BeforeValidator(one_or_many, json_schema_input_type=Helmholtz | tuple[Helmholtz, ...])
]
Solenoids = Annotated[
    tuple[Solenoid, ...], BeforeValidator(one_or_many, json_schema_input_type=Solenoid | tuple[Solenoid, ...])
]


class Magnetic(Switched):
    """Magnetic heating of the particles: ``amplitude`` of a uniform field, or ``coils``, ``helmholtz`` pairs,
    ``solenoid`` and ``field_map`` in phase, whose fields add."""

    makes: ClassVar[tuple[str, ...]] = ("field_amplitude", "absorbed_power")
    asks_of_particles: ClassVar[tuple[str, str] | None] = ("feels_field", "magnetic")
    heats_only_particles: ClassVar[bool] = True
    kind: Literal["magnetic"]
    frequency: Frequency
    """of the field"""
    amplitude: FieldStrength | None = None
    """peak strength of a uniform field"""
    coils: tuple[Coil, ...] = ()
    """circular coils instead of a uniform field"""
    helmholtz: Pairs = ()
    """Helmholtz pairs: one table or a list"""
    solenoid: Solenoids = ()
    """solenoids: one table or a list"""
    field_map: FieldMap | None = None
    """peak field from a file"""
    eddies: Eddies | None = None
    """heat the tissue by eddy currents too; without it a run only says how strong they might be"""
    temperature_update: Duration | None = None
    """how often the heat of the particles is computed again at the temperature that the tissue has reached; once and
    for all at the particles' own when absent"""

    @property
    def coldest(self) -> float:
        """See :class:`HeatingKind`."""
        return math.inf

    @model_validator(mode="after")
    def _one_field(self) -> Magnetic:
        if (self.amplitude is None) != bool(self._windings or self.field_map is not None):
            raise ValueError(
                'give either amplitude = "10 kA/m" (uniform, peak) or coils = [{centre = [...], axis = [0, 0, 1], '
                'radius = "50 mm", turns = 5, current = "200 A"}], helmholtz, solenoid or field_map'
            )
        return self

    @property
    def _windings(self) -> tuple[tuple[str, Coil], ...]:
        """Every coil with its key in the case file."""
        single = tuple((f"heating.coils[{index}]", coil) for index, coil in enumerate(self.coils))
        made: tuple[tuple[str, tuple[Helmholtz | Solenoid, ...]], ...] = (
            ("helmholtz", self.helmholtz),
            ("solenoid", self.solenoid),
        )
        return single + tuple(
            (f"heating.{name}" + (f"[{index}]" if len(many) > 1 else ""), coil)
            for name, many in made
            for index, one in enumerate(many)
            for coil in one.coils
        )

    @property
    def devices(self) -> tuple[Device, ...]:
        """The coils."""
        return tuple(coil.device(f"coil {index + 1}") for index, (_, coil) in enumerate(self._windings))

    def field_amplitude(self, points: Array) -> Array:
        """Peak field strength (q,) A/m of a uniform field or of the coils at ``points`` (q, 3) m."""
        if self.amplitude is not None:
            return np.full(len(points), self.amplitude)
        return np.asarray(np.linalg.norm(self._of_coils(points), axis=1))

    def _of_coils(self, points: Array) -> Array:
        return sum((coil.field(points) for _, coil in self._windings), np.zeros((len(points), 3)))

    def _met(self, scene: Scene, points: Array) -> Array:
        """Peak field strength (q,) A/m of all sources."""
        if self.field_map is None:
            return self.field_amplitude(points)
        mapped = self.field_map.field(self.field_map.read(scene.read_vectors), points)
        return np.asarray(np.linalg.norm(self._of_coils(points) + mapped, axis=1))

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where eddy currents are asked for and a region has no electrical conductivity."""
        if self.eddies is not None:
            tissues.require(("electrical_conductivity",), "heating.eddies")

    def check_maps(self, files: ReadVectors, points: Array) -> None:
        """See :class:`~thermal.physics.scene.Mapped`."""
        if self.field_map is not None:
            self.field_map.field(self.field_map.read(files), points)

    def prepare(self, scene: Scene) -> MagneticPower:
        """Field and power.

        Raises ``CaseError`` without magnetic particles, with a coil inside the tissue, or a map that does not cover it.
        """
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
        amplitude[tissue] = self._met(scene, points)
        turned, moved = agitate(engine, payload, amplitude, self.time_on(scene.duration))
        by_eddies = np.zeros_like(amplitude)
        if self.eddies is not None:
            conductivity = scene.tissues.nodes("electrical_conductivity", "heating.eddies")
            by_eddies = self.eddies.density(engine, conductivity, amplitude, self.frequency)
        strongest = float(np.max(amplitude))
        on_particles = float(np.max(amplitude, where=payload.concentration > 0, initial=0.0))
        return MagneticPower(
            self,
            Warmed.of(payload, amplitude, self.frequency),
            engine.volume,
            by_eddies,
            scene.duration,
            fields={"field_amplitude": (amplitude, "A/m"), **turned},
            summary={
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
        for key, coil in self._windings:
            distance = coil.distance(points)
            nearest = int(np.argmin(distance))
            x, y, z = (float(c) for c in points[nearest])
            if distance[nearest] < engine.spacing((x, y, z)):
                problems.append(
                    f"{key}: the winding passes through the tissue near "
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
