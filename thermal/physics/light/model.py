"""What a model of light is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thermal.engine import Engine, NotConvergedError
from thermal.physics.light.border import Border
from thermal.physics.light.medium import Medium
from thermal.physics.light.sources import LightSource
from thermal.units import Array

CLOSED = 1e-12
"""Relative residual of the fluence with which the power balance closes to round-off."""
OPEN = 1e-3
"""Share of the power that may be missing from the books."""
SIGMAS = 3.0
"""Standard errors that a random balance may be off by."""


@dataclass(frozen=True)
class Lamp:
    """A source with its power in W."""

    source: LightSource
    power: float


@dataclass(frozen=True)
class Light:
    """A solved light field: fluence rate (n,) W/m2, power absorbed by tissue and particles (n,) W, the rest in W.

    ``left``: the part of ``escaped`` through each border of the body; ``missed``: the part that never collided.
    ``air``: faces of the window that meet air. Of a random model the standard errors: ``fluence_error`` (n,) W/m2, and
    of sums in W by name.
    """

    fluence: Array
    absorbed_tissue: Array
    absorbed_particles: Array
    power: float
    escaped: float
    reflected: float
    left: Mapping[str, float]
    missed: float = 0.0
    air: frozenset[str] = frozenset()
    fluence_error: Array | None = None
    errors: tuple[tuple[str, float], ...] = ()

    @property
    def absorbed(self) -> Array:
        """(n,) W in all."""
        return self.absorbed_tissue + self.absorbed_particles

    @property
    def balance_error(self) -> float:
        """Power that is unaccounted for, relative to the power of the sources."""
        kept = float(np.sum(self.absorbed_tissue) + np.sum(self.absorbed_particles))
        return (self.power - kept - self.escaped - self.reflected) / self.power

    def check(self) -> None:
        """Raises ``NotConvergedError`` when the books are open by more than 1e-3 of the power and chance allows."""
        chance = SIGMAS * dict(self.errors).get("balance", 0.0) / self.power
        if not abs(self.balance_error) <= max(OPEN, chance):
            raise NotConvergedError(
                f"heating: of {self.power:.4g} W of light {100 * self.balance_error:.3g} % is missing among what was "
                f"absorbed, escaped and was reflected (allowed: {100 * max(OPEN, chance):.2g} %); "
                "use a finer heating.light_spacing, or more photons"
            )


class LightModel(Protocol):
    """A way to compute the light."""

    def solve(
        self, engine: Engine, medium: Medium, lamps: tuple[Lamp, ...], border: Border, tolerance: float = CLOSED
    ) -> Light:
        """The light of all lamps; ``tolerance``: relative residual of what is solved.

        Raises ``CaseError`` when light misses the tissue, :class:`~thermal.engine.NotConvergedError`.
        """
        ...

    def doubts(self, engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[str, ...]:
        """What to say about the validity of the model here, with numbers."""
        ...


def absorbed_in_cells(engine: Engine, light: Light) -> Array:
    """Share of the absorbed power in each cell, (m,)."""
    density = np.divide(light.absorbed, engine.volume, out=np.zeros_like(light.absorbed), where=engine.volume > 0)
    absorbed = engine.to_cells(density) * engine.cell_volume
    return absorbed / max(float(np.sum(np.abs(absorbed))), 1e-300)
