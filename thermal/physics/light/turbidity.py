"""The body as light meets it: living or coagulated tissue, with particles in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thermal.engine import Engine, Window
from thermal.physics.light.medium import Medium, mixed_anisotropy
from thermal.physics.tissue import Tissues
from thermal.units import Array


@dataclass(frozen=True)
class Turbidity:
    """Coefficients of tissue at cells (m,): absorption and reduced scattering in 1/m, alive and coagulated, and g;
    absorption and reduced scattering of the particles in 1/m per kg/m3, their concentration (n,) kg/m3, their
    coefficients once they have lost their shape, and the part of their absorption that becomes heat before."""

    absorption: Array
    scattering: Array
    coagulated_absorption: Array
    coagulated_scattering: Array
    anisotropy: Array
    per_mass: tuple[float, float]
    concentration: Array
    reshaped: tuple[float, float]
    heat_share: float = 1.0

    @classmethod
    def of(
        cls,
        tissues: Tissues,
        wavelength: float,
        needed_by: str,
        per_mass: tuple[float, float],
        concentration: Array,
        reshaped: tuple[float, float],
        heat_share: float = 1.0,
    ) -> Turbidity:
        """Raises ``CaseError`` where a region has no optical data at the wavelength (m)."""
        known = tissues.optics(wavelength, needed_by)

        def cells(pick: Callable[[str], float]) -> Array:
            return tissues.mix_cells({region: pick(region) for region in known})

        return cls(
            cells(lambda region: known[region].absorption),
            cells(lambda region: known[region].reduced_scattering),
            cells(lambda region: known[region].whitened[0]),
            cells(lambda region: known[region].whitened[1]),
            cells(lambda region: known[region].anisotropy),
            per_mass,
            concentration,
            reshaped,
            heat_share,
        )

    def on(self, window: Window) -> Turbidity:
        """The same on a window's grid."""
        fine = window.cells_to_fine
        return Turbidity(
            fine(self.absorption),
            fine(self.scattering),
            fine(self.coagulated_absorption),
            fine(self.coagulated_scattering),
            fine(self.anisotropy),
            self.per_mass,
            window.to_fine(self.concentration),
            self.reshaped,
            self.heat_share,
        )

    def medium(self, engine: Engine, coagulated: Array | float = 0.0, reshaped: Array | float = 0.0) -> Medium:
        """Where the share ``coagulated`` (m,) of each cell has coagulated, and the share ``reshaped`` (n,) of the
        particles has lost its shape."""
        absorption = self.absorption + coagulated * (self.coagulated_absorption - self.absorption)
        scattering = self.scattering + coagulated * (self.coagulated_scattering - self.scattering)
        return self._with_particles(engine, absorption, scattering, reshaped)

    def unheated(self, reshaped: Array) -> Array:
        """Share (n,) of what the particles absorb that leaves as light of another colour, where the share ``reshaped``
        (n,) of them has lost its shape: what is left of those turns all into heat."""
        whole, after = (1.0 - reshaped) * self.per_mass[0], reshaped * self.reshaped[0]
        return np.divide(
            (1.0 - self.heat_share) * whole, whole + after, out=np.zeros_like(whole), where=whole + after > 0.0
        )

    def densest(self, engine: Engine) -> Medium:
        """The larger of each coefficient, alive or coagulated: what a grid must be fine enough for."""
        absorption = np.maximum(self.absorption, self.coagulated_absorption)
        return self._with_particles(engine, absorption, np.maximum(self.scattering, self.coagulated_scattering))

    def _with_particles(
        self, engine: Engine, absorption: Array, scattering: Array, reshaped: Array | float = 0.0
    ) -> Medium:
        absorbing, diverting = (
            self.concentration * (whole + reshaped * (after - whole))
            for whole, after in zip(self.per_mass, self.reshaped, strict=True)
        )
        by_particles = engine.to_cells(diverting)
        return Medium(
            absorption,
            absorbing,
            scattering + by_particles,
            mixed_anisotropy(scattering, self.anisotropy, by_particles),
        )
