"""The kinds of controllers. Each looks at the *room*: the smallest distance in K of what is seen to its limit.

The two simple ones know nothing but the room. The third knows a model: it asks how the room would shrink without and
with full power over its horizon, and lets through what the limits allow.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from thermal.units import Array, Duration, PositiveFraction, Spec, TemperatureStep, quantity

Memory = tuple[float, float, float]
"""What a simple controller keeps from one look to the next: level, integral, last room."""
FRESH: Memory = (0.0, 0.0, np.nan)


class BangBang(Spec):
    """On until the limit is near, off until the tissue has cooled by the band."""

    kind: Literal["bang_bang"]
    band: TemperatureStep = 3.0
    """room that must be there before it is switched on again"""
    start: PositiveFraction = 0.1
    """share of the power of the case until an image shows how fast that warms; no level is let through later that
    could pass a limit before the next look"""

    def level(self, memory: Memory, room: float, step: float, most: float) -> Memory:
        """Level after a look that found ``room`` K, ``step`` s after the one before."""
        on = room > 0.0 and (memory[0] > 0.0 or room >= self.band or np.isnan(memory[2]))
        return (most if on else 0.0, 0.0, room)


class Pid(Spec):
    """Proportional, integral and derivative action on the room, with the integral held where the level is at an end."""

    kind: Literal["pid"]
    gain: Annotated[float, *quantity("1/K", gt=0, le=100)] = 0.1
    """level for each K of room"""
    integral_time: Duration = 60.0
    """in which a lasting room changes the level as much as the gain does at once"""
    derivative_time: Annotated[float, *quantity("s", ge=0, le=1e4)] = 5.0
    """how far ahead the change of the room is carried"""
    start: PositiveFraction = 0.1
    """share of the power of the case until an image shows how fast that warms; no level is let through later that
    could pass a limit before the next look"""

    def level(self, memory: Memory, room: float, step: float, most: float) -> Memory:
        """Level after a look that found ``room`` K, ``step`` s after the one before."""
        _, integral, last = memory
        slope = 0.0 if np.isnan(last) else (room - last) / step
        grown = integral + self.gain * step / self.integral_time * room
        wanted = self.gain * (room + self.derivative_time * slope) + grown
        if 0.0 < wanted < most:
            integral = grown
        level = float(np.clip(self.gain * (room + self.derivative_time * slope) + integral, 0.0, most))
        return (level, integral, room)


class Predictive(Spec):
    """Looks ahead with a model whose perfusion and absorption are estimated from what was seen so far."""

    kind: Literal["predictive"]
    horizon: Duration = 20.0
    """how far ahead the limits must hold"""
    learn: tuple[Duration, ...] = Field(default=(60.0, 180.0, 420.0))
    """times at which perfusion and absorption are estimated afresh"""
    members: Annotated[int, Field(ge=8, le=1000)] = 100
    """of the ensemble, which looks at a quadratic through 18 runs of the model"""
    start: PositiveFraction = 0.5
    """share of the power of the case that is let through at most until the first estimate"""
    sure: Annotated[float, *quantity("", ge=0.5, lt=1)] = 0.9
    """the limits are kept, and the treatment ends when control.cover is reached, for this share of what is held for
    possible"""


def allowed(without: Array, full: Array, limit: Array, most: float) -> float:
    """The largest level, at most ``most``, at which no temperature passes its limit, all (k,) degC.

    ``without``: predicted with no power, ``full``: with level one. In between and beyond, the temperature is linear in
    the level, as it is for power that does not depend on temperature. Zero where a limit is passed without power.
    """
    gain = full - without
    warmed = gain > 1e-6
    if not warmed.any():
        return most
    room = (limit - without)[warmed] / gain[warmed]
    return float(np.clip(room.min(), 0.0, most))
