"""Monte Carlo: photons followed through voxels, the reference for all other models.

Henyey-Greenstein scattering, Fresnel reflection and refraction where the body meets air, absorption along the way. What
a packet of photons loses in a cell is absorbed there, so that only roulette opens the books, by chance.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from thermal.domain import SURFACE
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.flight import Flight, Packets, Turbid
from thermal.physics.light.border import Border
from thermal.physics.light.medium import Medium
from thermal.physics.light.mirrors import Mirrors
from thermal.physics.light.model import CLOSED, Lamp, Light, absorbed_in_cells
from thermal.units import Array, Spec

BATCHES = 20
"""Independent parts of the photons, whose scatter gives the standard errors."""
NOISY = 0.1
"""Relative standard error of the fluence, where half of the power is absorbed, above which a run says so."""


class MonteCarlo(Spec):
    """Photons followed one by one: exact but for chance, and slow. The result depends on ``seed``, not on the threads.

    ``fluence_error`` among the fields is the standard error of the fluence, from the scatter of 20 batches.
    """

    model: Literal["monte_carlo"]
    photons: Annotated[int, Field(ge=1_000, le=10**10)] = 1_000_000
    """number of photon packets; the error falls with its root"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """of the random numbers"""

    def solve(
        self, engine: Engine, medium: Medium, lamps: tuple[Lamp, ...], border: Border, tolerance: float = CLOSED
    ) -> Light:
        """See :meth:`~thermal.physics.light.model.LightModel.solve`; nothing is iterated, ``tolerance`` is not used."""
        absorption = medium.absorption_in_cells(engine)
        body = engine.cell_volume > 0
        turbid = Turbid(
            absorption=np.where(body, absorption, 0.0),
            scattering=np.where(body, medium.scattering / (1.0 - medium.anisotropy), 0.0),
            anisotropy=medium.anisotropy,
            index=np.where(body, border.refractive_index, 1.0),
            outside=dict.fromkeys(border.air, 1.0),
            mirrors=border.mirrors,
        )
        powers = np.array([lamp.power for lamp in lamps])
        counts = np.maximum(np.round(powers / powers.sum() * self.photons / BATCHES), 1.0).astype(int)

        glass = Mirrors.of(engine, border.mirrors)

        def launch(batch: int) -> Packets:
            random = np.random.default_rng([self.seed, batch])
            parts = [
                glass.brought(*lamp.source.launch(random.random((count, 4)), border.refractive_index))
                for lamp, count in zip(lamps, counts, strict=True)
            ]
            turned = [lamp.source.turned_back(border.refractive_index) for lamp in lamps]
            return Packets(
                np.concatenate([start for start, _ in parts]),
                np.concatenate([direction for _, direction in parts]),
                np.repeat(powers / counts, counts),
                np.repeat([-1.0 if share is None else share for share in turned], counts),
            )

        try:
            flight = engine.trace(turbid, launch, BATCHES, self.seed)
        except ValueError as error:
            raise CaseError(f'heating.light.model = "monte_carlo": {error}; use these, or model = "sp3"') from None
        return _light(engine, medium, flight, float(powers.sum()), border.air)

    def doubts(self, engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[str, ...]:
        """Where the light is noisy."""
        assert light.fluence_error is not None
        relative = np.divide(
            light.fluence_error, light.fluence, out=np.zeros_like(light.fluence), where=light.fluence > 0
        )
        share = absorbed_in_cells(engine, light)
        noise = float(np.sum(share * engine.to_cells(relative)))
        if noise <= NOISY:
            return ()
        more = self.photons * (noise / NOISY) ** 2
        return (
            f"the fluence has a standard error of {100 * noise:.0f} %, by cell and weighted by the absorbed power, on "
            f"the light's grid; heating.light.photons = {more:.0e} would make it {100 * NOISY:.0f} %",
        )


def _light(engine: Engine, medium: Medium, flight: Flight, power: float, air: frozenset[str]) -> Light:
    """Tallies of cells as nodal fields, a share of each cell to each of its nodes as the lumped volumes have it."""
    volume = engine.cell_volume

    def spread(amount: Array) -> Array:
        density = np.divide(amount, volume, out=np.zeros_like(amount), where=volume > 0)
        return engine.to_nodes(density)

    left = {**flight.left, SURFACE: flight.left_by_void}
    particles = engine.to_cells(medium.particle_absorption)
    tissue = medium.tissue_absorption
    return Light(
        fluence=spread(flight.path),
        absorbed_tissue=spread(flight.path * tissue) * engine.volume,
        absorbed_particles=spread(flight.path * particles) * engine.volume,
        power=power,
        escaped=float(np.mean(flight.escaped)),
        reflected=float(np.mean(flight.reflected)),
        left={name: float(np.mean(batches)) for name, batches in left.items() if engine.areas[name].any()},
        missed=float(np.mean(flight.missed)),
        air=air,
        fluence_error=spread(flight.path_error),
        errors=tuple(
            (name, float(np.std(batches, ddof=1) / np.sqrt(len(batches))))
            for name, batches in (
                ("absorbed", flight.absorbed),
                ("escaped", flight.escaped),
                *((f"escaped.{name}", batches) for name, batches in left.items() if engine.areas[name].any()),
                ("reflected", flight.reflected),
                ("balance", flight.gained),
            )
        ),
    )
