"""Diffusion approximation with partial-current borders.

``-div(D grad phi) + mu_a phi = S`` with ``D = 1 / (3 (mu_a + mu_s'))``; at the border the outward flux is
``phi / (2 A)``. A beam is followed to its first collision: it fades with ``mu_t' = mu_a + mu_s'``, the share
``mu_a / mu_t'`` is absorbed where it collides, the rest is the diffuse source. Every watt is absorbed, leaves, or was
reflected at entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from thermal.engine import Engine
from thermal.physics.fading import fitted
from thermal.physics.light.border import Border, border_factors
from thermal.physics.light.medium import Medium
from thermal.physics.light.model import CLOSED, Lamp, Light, absorbed_in_cells
from thermal.physics.light.nearness import too_near
from thermal.physics.light.rays import Emission
from thermal.units import Array, Spec

DIFFUSIVE_RATIO = 10.0
"""mu_s' / mu_a above which the diffusion approximation is trusted (usual rule of thumb)."""
MINOR_SHARE = 0.01
"""Share of the absorbed power that may lie where it is not."""


class Diffusion(Spec):
    """Diffusion approximation: a fibre is an isotropic source, a beam is followed to its first collision."""

    model: Literal["diffusion"] = "diffusion"

    def solve(
        self, engine: Engine, medium: Medium, lamps: tuple[Lamp, ...], border: Border, tolerance: float = CLOSED
    ) -> Light:
        """See :meth:`~thermal.physics.light.model.LightModel.solve`."""
        emissions = [lamp.source.emit(engine, medium, lamp.power, border) for lamp in lamps]
        return solve_emissions(engine, medium, lamps, border, emissions, tolerance)

    def doubts(self, engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[str, ...]:
        """Where absorption is not small beside scattering, and near fibres."""
        unlike = not_diffusive(engine, medium, light, "tens of percent")
        return (*unlike, *too_near(engine, medium, light, lamps))


def not_diffusive(engine: Engine, medium: Medium, light: Light, off: str) -> tuple[str, ...]:
    """A statement when much is absorbed where diffusion is doubtful; ``off``: by how much the fluence may be wrong."""
    share, absorption = absorbed_in_cells(engine, light), medium.absorption_in_cells(engine)
    beyond = float(np.sum(share[medium.scattering < DIFFUSIVE_RATIO * absorption]))
    if beyond <= MINOR_SHARE:
        return ()
    weights = share * (absorption > 0)
    ratio = float(np.sum(weights * medium.scattering) / max(float(np.sum(weights * absorption)), 1e-300))
    return (
        f"{100 * beyond:.0f} % of the absorbed power lies where mu_s' < {DIFFUSIVE_RATIO:.0f} mu_a (mean mu_s' / "
        f"mu_a where light is absorbed: {ratio:.2g}); there the diffusion approximation is doubtful, and the "
        f'fluence near the source may be off by {off}; compare with heating.light = {{ model = "monte_carlo" }}',
    )


def solve_emissions(
    engine: Engine,
    medium: Medium,
    lamps: tuple[Lamp, ...],
    border: Border,
    emissions: Sequence[Emission],
    tolerance: float,
) -> Light:
    """The light of the lamps' ``emissions``; the faces through which they came in meet air."""
    air = border.air.union(*(emission.entry_faces for emission in emissions))
    borders = border_factors(engine, border, air)
    return solve_light(engine, medium, emissions, sum(lamp.power for lamp in lamps), borders, tolerance, air)


def solve_light(
    engine: Engine,
    medium: Medium,
    emissions: Sequence[Emission],
    power: float,
    borders: Mapping[str, float],
    tolerance: float = CLOSED,
    air: frozenset[str] = frozenset(),
) -> Light:
    """Fluence of ``emissions`` that carry ``power`` W; ``borders``: boundary -> A, no flux through all others.

    ``tolerance``: relative residual; the power balance closes as well as that.

    Raises :class:`~thermal.engine.NotConvergedError`.
    """
    nothing = np.zeros_like(engine.volume)
    source = sum((emission.diffuse for emission in emissions), nothing)
    ballistic = sum((emission.absorbed for emission in emissions), nothing)
    leak = nothing.copy()
    for name, factor in borders.items():
        leak += engine.areas[name] / (2.0 * factor)
    absorption = medium.absorption(engine)
    spread = fitted(medium.effective_attenuation(engine), engine.stencil_edge)
    operator = engine.conductance(spread / (3.0 * medium.attenuation(engine)))
    diffuse = engine.solve(operator, absorption * engine.volume + leak, source, tolerance=tolerance)
    by_particles = particle_share(medium, absorption)
    absorbed = absorption * engine.volume * diffuse + ballistic
    missed = sum(emission.escaped for emission in emissions)
    return Light(
        fluence=diffuse + sum((emission.fluence for emission in emissions), nothing),
        absorbed_tissue=absorbed * (1.0 - by_particles),
        absorbed_particles=absorbed * by_particles,
        power=power,
        escaped=float(leak @ diffuse) + missed,
        reflected=sum(emission.reflected for emission in emissions),
        left={
            name: float(areas @ diffuse) / (2.0 * factor)
            for name, factor in borders.items()
            if (areas := engine.areas[name]).any()
        },
        missed=missed,
        air=air,
    )


def particle_share(medium: Medium, absorption: Array) -> Array:
    """Share of the particles in the absorption (n,)."""
    return np.divide(medium.particle_absorption, absorption, out=np.zeros_like(absorption), where=absorption > 0)
