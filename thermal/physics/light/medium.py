"""What light meets: absorption and scattering in the tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.engine import Engine
from thermal.units import Array

LONGEST_FREE_PATH = 1.0
"""m; keeps D finite where the tissue table has neither absorption nor scattering."""


@dataclass(frozen=True)
class Medium:
    """Coefficients in 1/m: absorption by tissue at cells (m,) and by particles at nodes (n,), reduced scattering
    ``mu_s' = mu_s (1 - g)`` and the mean cosine g of the scattering angle at cells (m,)."""

    tissue_absorption: Array
    particle_absorption: Array
    scattering: Array
    anisotropy: Array

    def absorption(self, engine: Engine) -> Array:
        """(n,) of tissue and particles."""
        return engine.to_nodes(self.tissue_absorption) + self.particle_absorption

    def absorption_in_cells(self, engine: Engine) -> Array:
        """(m,) of tissue and particles."""
        return self.tissue_absorption + engine.to_cells(self.particle_absorption)

    def attenuation(self, engine: Engine) -> Array:
        """mu_a + mu_s' at cells, (m,)."""
        return np.maximum(engine.to_cells(self.absorption(engine)) + self.scattering, 1.0 / LONGEST_FREE_PATH)

    def effective_attenuation(self, engine: Engine) -> Array:
        """mu_eff = sqrt(3 mu_a (mu_a + mu_s')) at cells, (m,)."""
        return np.sqrt(3.0 * engine.to_cells(self.absorption(engine)) * self.attenuation(engine))


def mixed_anisotropy(tissue_scattering: Array, tissue_anisotropy: Array, particle_scattering: Array) -> Array:
    """Mean cosine (m,) where particles scatter isotropically with their reduced coefficient, all in cells (m,).

    The unreduced coefficients add, and with their weighted mean cosine the reduced ones add too.
    """
    whole = tissue_scattering / (1.0 - tissue_anisotropy)
    both = whole + particle_scattering
    return np.divide(tissue_anisotropy * whole, both, out=np.zeros_like(both), where=both > 0)
