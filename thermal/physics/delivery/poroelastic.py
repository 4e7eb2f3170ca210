"""Tissue as an elastic skeleton full of fluid, as a case states it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import model_validator

from thermal.errors import CaseError
from thermal.physics.delivery.consolidation import Coupled
from thermal.physics.delivery.flow import Medium
from thermal.physics.tissue import Tissues
from thermal.units import Array, PositiveFraction, Spec, quantity

NEEDED_BY = "delivery.poroelastic"


class Poroelastic(Spec):
    """Displacement and pressure together (Biot), on tetrahedra; moduli are those of [tissues.NAME]."""

    biot_coefficient: PositiveFraction = 1.0
    """part of the pore pressure that the skeleton feels: 1 for a skeleton of incompressible matter"""
    fluid_storage: Annotated[float, *quantity("1/Pa", ge=0, le=1)] = 0.0
    """fluid that its own compression stores per volume and pressure"""
    strain_response: Annotated[float, *quantity("", ge=-1e4, le=1e4)] = 0.0
    """M: the hydraulic conductivity grows with the relative growth e of the tissue as exp(M e)"""
    free: tuple[str, ...] = ()
    """boundaries that move freely; what is in neither list is held still"""
    sliding: tuple[str, ...] = ()
    """plane boundaries, perpendicular to an axis, that move along themselves: planes of symmetry"""

    @model_validator(mode="after")
    def _distinct(self) -> Poroelastic:
        both = sorted(set(self.free) & set(self.sliding))
        if both:
            raise ValueError(f"{', '.join(both)}: in free and in sliding; a boundary can only be one of them")
        return self

    def bind(self, medium: Medium, tissues: Tissues) -> Coupled:
        """The skeleton. Raises ``CaseError`` on an engine without displacements and where a region has no moduli."""
        engine = medium.engine
        tissues.require(("shear_modulus", "poisson_ratio"), NEEDED_BY)
        regions = tissues.by_region
        shear = {name: tissue.shear_modulus or 0.0 for name, tissue in regions.items()}
        lame = {name: _lame(shear[name], tissue.poisson_ratio or 0.0) for name, tissue in regions.items()}
        try:
            skeleton = engine.skeleton(tissues.mix_cells(shear), tissues.mix_cells(lame), self.free, self.sliding)
        except ValueError as error:
            raise CaseError(
                f'{NEEDED_BY}: {error}; anatomy.kind = "mesh" has tetrahedra, and delivery.storage lets voxels take up '
                "fluid without displacements"
            ) from None
        stiffness = {name: lame[name] + 2.0 * shear[name] for name in regions}
        return Coupled(
            medium,
            skeleton,
            self.biot_coefficient,
            self.fluid_storage * engine.volume,
            _positive(tissues.mix_nodes(stiffness)),
            self.strain_response,
        )


def _lame(shear: float, ratio: float) -> float:
    """First Lame constant, Pa."""
    return 2.0 * shear * ratio / (1.0 - 2.0 * ratio)


def _positive(values: Array) -> Array:
    """One where there is no tissue."""
    return np.where(values > 0.0, values, 1.0)
