"""Particles that have lost their shape, as tissue grew hot or pulses were strong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.physics.scene import Reshaped
from thermal.units import Array


@dataclass(frozen=True)
class ShapeLoss:
    """Where particles are, ``loaded`` (n,) kg; when they lose their shape; pulses a second, if the light is pulsed."""

    limits: Reshaped
    loaded: Array
    pulse_rate: float | None

    def after(self, lost: Array, fluence: Array, temperature: Array | None) -> Array:
        """(n,) share that has lost its shape: what had, and what now does at these fluence rates (n,) W/m2 and
        temperatures (n,) degC."""
        now = np.zeros(len(lost), dtype=bool)
        if self.limits.temperature is not None and temperature is not None:
            now |= temperature >= self.limits.temperature
        if self.limits.pulse_fluence is not None and self.pulse_rate is not None:
            now |= fluence >= self.limits.pulse_fluence * self.pulse_rate
        return np.where(now & (self.loaded > 0.0), 1.0, lost)

    def share(self, lost: Array) -> float:
        """Of their mass."""
        whole = float(np.sum(self.loaded))
        return float(lost @ self.loaded) / whole if whole > 0.0 else 0.0
