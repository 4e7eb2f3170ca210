"""Coils and their fields: loops, solenoids, Helmholtz pairs.

Field amplitudes are peak values. Coils are computed with magpylib (M. Ortner, L. G. Coliado Bandeira, SoftwareX 11
(2020) 100466): closed forms for the current loop, and for a solenoid those of the uniformly magnetised cylinder, which
carries the same current sheet.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from thermal.domain import Line
from thermal.physics.scene import Device
from thermal.units import Array, Current, Length, Number, Point, Spec

Turns = Annotated[int, Field(gt=0, le=100_000)]


def _has_direction(axis: tuple[float, float, float]) -> tuple[float, float, float]:
    if not np.linalg.norm(axis) > 0:
        raise ValueError("axis = [0, 0, 0] has no direction; write e.g. [0, 0, 1]")
    return axis


Axis = Annotated[tuple[Number, Number, Number], AfterValidator(_has_direction)]
"""A direction of any length but zero."""


class Coil(Spec):
    """A circular coil with its axis along ``axis``: ``turns`` at one place, or spread over ``length`` (a solenoid)."""

    centre: Point
    """of the coil, or of the solenoid"""
    axis: Axis
    """direction of its axis; any length"""
    radius: Length
    """of the turns"""
    turns: Turns = 1
    """number of turns"""
    current: Current
    """peak current of one turn"""
    length: Length | None = None
    """of a solenoid; absent for turns at one place"""

    @property
    def direction(self) -> Array:
        """Unit vector (3,) along the axis."""
        axis = np.asarray(self.axis, dtype=float)
        return np.asarray(axis / np.linalg.norm(axis))

    def field(self, points: Array) -> Array:
        """Field strength H (q, 3) A/m at ``points`` (q, 3) m."""
        import magpylib
        from scipy.spatial.transform import Rotation

        turn, _ = Rotation.align_vectors(self.direction[None, :], [[0.0, 0.0, 1.0]])
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
        along = offset @ self.direction
        across = np.linalg.norm(offset - along[:, None] * self.direction, axis=1)
        return np.asarray(np.hypot(across - self.radius, np.maximum(np.abs(along) - 0.5 * (self.length or 0.0), 0.0)))

    def device(self, name: str) -> Device:
        """A short thick cylinder."""
        half = 0.5 * (self.length or 0.1 * self.radius) * self.direction
        start, end = np.asarray(self.centre) - half, np.asarray(self.centre) + half
        return Device("coil", name, Line(tuple(start.tolist()), tuple(end.tolist()), self.radius))


class Solenoid(Spec):
    """A solenoid: ``turns`` spread evenly over ``length``; short for one coil with a length."""

    centre: Point
    """its middle"""
    axis: Axis
    """direction of its axis; any length"""
    radius: Length
    """of the turns"""
    length: Length
    """of the winding"""
    turns: Turns
    """number of turns"""
    current: Current
    """peak current of one turn"""

    @property
    def coils(self) -> tuple[Coil, ...]:
        """The one coil that it is."""
        return (Coil.model_construct(**dict(self)),)


class Helmholtz(Spec):
    """A Helmholtz pair: two equal coils on one axis, as far apart as their radius, with currents in the same sense."""

    centre: Point
    """midway between the coils, where the field is most even"""
    axis: Axis
    """direction of the axis; any length"""
    radius: Length
    """of the coils, and their distance"""
    turns: Turns = 1
    """of each coil"""
    current: Current
    """peak current of one turn"""

    @property
    def coils(self) -> tuple[Coil, ...]:
        """Both coils."""
        one = Coil.model_construct(**dict(self))
        half = 0.5 * self.radius * one.direction
        places = [tuple((np.asarray(self.centre) + sense * half).tolist()) for sense in (-1.0, 1.0)]
        return tuple(one.model_copy(update={"centre": place}) for place in places)
