"""Delta-P1 approximation: diffusion beside a ballistic part that keeps going forwards.

The phase function is a forward peak of weight f = g^2 and a slight lean g* = g / (1 + g) for the rest
(delta-Eddington): the ballistic light fades with ``mu_t* = mu_a + mu_s (1 - g^2)``, and the diffuse light has the
source ``mu_s* E - div(q s)`` with the dipole density ``q = g* mu_s* E / (mu_a + mu_s')`` along the direction s; the
flux of both through the border is ``phi / (2 A)``. S. A. Carp, S. A. Prahl, V. Venugopalan, J. Biomed. Opt. 9 (2004)
632, doi:10.1117/1.1695412; written in conservative form, which the borders' condition of that paper is.
"""

from __future__ import annotations

from typing import Literal

from thermal.engine import Engine
from thermal.physics.light.border import Border
from thermal.physics.light.diffusion import not_diffusive, solve_emissions
from thermal.physics.light.medium import Medium
from thermal.physics.light.model import CLOSED, Lamp, Light
from thermal.units import Spec


class DeltaP1(Spec):
    """Delta-P1 approximation: beams and fibres are followed to a first collision that leans forwards.

    Better than diffusion under a beam and within a free path of a fibre.
    """

    model: Literal["delta_p1"]

    def solve(
        self, engine: Engine, medium: Medium, lamps: tuple[Lamp, ...], border: Border, tolerance: float = CLOSED
    ) -> Light:
        """See :meth:`~thermal.physics.light.model.LightModel.solve`."""
        emissions = [lamp.source.first_collisions(engine, medium, lamp.power, border) for lamp in lamps]
        return solve_emissions(engine, medium, lamps, border, emissions, tolerance)

    def doubts(self, engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[str, ...]:
        """Where absorption is not small beside scattering."""
        return not_diffusive(engine, medium, light, "ten percent or more")
