"""How fast a carrier gives away what it carries: first order, at a rate k(T).

Each kind gives the integral of k over a stretch in which the temperature (degC) goes linearly, exactly.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.physics.damage import arrhenius_ramp
from thermal.units import (
    GAS_CONSTANT,
    ZERO_CELSIUS,
    Array,
    Rate,
    Spec,
    Temperature,
    TemperatureStep,
    quantity,
)

ALIKE = 1e-4
"""Widths of the transition within which a ramp is taken at its middle; the error is of the square of it."""


class ConstantRelease(Spec):
    """The same rate at any temperature."""

    kind: Literal["constant"]
    rate: Rate
    """k"""

    def gathered(self, start: Array, end: Array, step: float) -> Array:
        """Integral of k over ``step`` s, (m,)."""
        return np.full(start.shape, self.rate * step)


class ArrheniusRelease(Spec):
    """k = rate exp(-Ea/R (1/T - 1/T0)): ``rate`` at the temperature ``at``, more where it is warmer."""

    kind: Literal["arrhenius"]
    rate: Annotated[Rate, Field(gt=0)]
    """k at the temperature ``at``"""
    at: Annotated[float, *quantity("degC", ge=0, le=100)] = 37.0
    """T0"""
    activation_energy: Annotated[float, *quantity("J/mol", gt=0, le=1e6)]
    """Ea"""

    def gathered(self, start: Array, end: Array, step: float) -> Array:
        """Integral of k over ``step`` s in which the temperature goes from ``start`` to ``end`` degC; all (m,)."""
        steepness = self.activation_energy / (GAS_CONSTANT * (self.at + ZERO_CELSIUS))
        return arrhenius_ramp(start, end, step, self.rate * float(np.exp(steepness)), self.activation_energy)


class SigmoidRelease(Spec):
    """A transition: k = cold_rate + (hot_rate - cold_rate) / (1 + exp(-(T - midpoint) / width))."""

    kind: Literal["sigmoid"]
    cold_rate: Rate
    """k far below the transition"""
    hot_rate: Rate
    """k far above it"""
    midpoint: Temperature
    """temperature at which k lies half-way between both"""
    width: TemperatureStep
    """from the midpoint to where k has 73 % of its rise"""

    @model_validator(mode="after")
    def _rises(self) -> SigmoidRelease:
        if self.hot_rate < self.cold_rate:
            raise ValueError(
                f"hot_rate ({self.hot_rate:g} 1/s) lies below cold_rate ({self.cold_rate:g} 1/s); swap them"
            )
        return self

    def gathered(self, start: Array, end: Array, step: float) -> Array:
        """Integral of k over ``step`` s in which the temperature goes from ``start`` to ``end`` degC; all (m,)."""
        first, last = (start - self.midpoint) / self.width, (end - self.midpoint) / self.width
        way, middle = last - first, 0.5 * (first + last)
        alike = np.abs(way) < ALIKE
        rise = (np.logaddexp(0.0, last) - np.logaddexp(0.0, first)) / np.where(alike, 1.0, way)
        mean = np.where(alike, np.exp(-np.logaddexp(0.0, -middle)), rise)
        return np.asarray(step * (self.cold_rate + (self.hot_rate - self.cold_rate) * mean))


Release = Annotated[ConstantRelease | ArrheniusRelease | SigmoidRelease, Field(discriminator="kind")]
"""Every way of release, told apart by ``kind``."""
