"""The payload of a carrier, as a case or the library describes it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from thermal.engine import Operator
from thermal.physics.drug.fate import Drug
from thermal.physics.drug.release import Release
from thermal.units import Array, Diffusivity, Fraction, Rate, Spec, quantity

Exposure = Annotated[float, *quantity("kg*s/m^3", gt=0, le=1e12)]


class DrugPayload(Spec):
    """A drug, a nucleic acid or an inhibitor in or on the particles.

    It is followed from the start of the bioheat on: released at a rate of the local temperature, then taken up by cells
    or cleared, both at first order, while it diffuses. What went on during the delivery is not followed: ``free_share``
    stands for it.
    """

    drug: str
    """what it is, for tables"""
    loading: Annotated[float, *quantity("", ge=0, le=100)]
    """mass of drug per mass of what the particles' concentration weighs"""
    release: Release | None = None
    """rate at which it leaves the carrier; it stays there when absent"""
    free_share: Fraction = 0.0
    """share that is free when the bioheat begins; 1: a drug without a carrier"""
    uptake: Rate = 0.0
    """rate at which cells take up what is free"""
    clearance: Rate = 0.0
    """rate at which blood carries off what is free, at full perfusion; embolisation and coagulation lower both alike"""
    diffusivity: Diffusivity = 0.0
    """of what is free, in tissue; 0: it stays where it was released"""
    lethal_exposure: Exposure | None = None
    """time integral of the free concentration that leaves 1/e of the cells alive (log-linear kill), per volume of
    tissue; no kill is computed when absent"""

    def bind(
        self,
        carriers: Array,
        volume: Array,
        tumour: Array,
        perfusion: Array | None = None,
        diffusion: Operator | None = None,
    ) -> Drug:
        """The drug in tissue with (n,) kg/m3 of carriers.

        ``volume`` and ``tumour``: (n,) m3 of the nodes and of their part in the tumour. ``perfusion``: (n,) factor by
        which an embolisation changed it, None for none. ``diffusion``: conductance of the diffusivity, None for none.
        """
        nodes = np.flatnonzero(((carriers > 0.0) | (diffusion is not None)) & (volume > 0.0))
        left = np.ones(len(nodes)) if perfusion is None else perfusion[nodes]
        return Drug(
            release=self.release,
            free_share=self.free_share,
            uptake=self.uptake,
            clearance=self.clearance * left,
            lethal_exposure=self.lethal_exposure,
            nodes=nodes,
            size=len(volume),
            loaded=self.loading * carriers[nodes],
            volume=volume[nodes],
            tumour=tumour[nodes],
            diffusion=diffusion,
        )
