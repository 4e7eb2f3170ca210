"""What tissue does with particles in its pores, as a case states it."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from thermal.physics.delivery.cargo import Fate
from thermal.physics.delivery.outcome import even, per_volume
from thermal.physics.tissue import Tissues
from thermal.units import Concentration, Diffusivity, Fraction, PositiveFraction, Rate, Spec, quantity


class Kinetics(Spec):
    """Keys of every delivery that carries particles through pores."""

    diffusivity: Diffusivity = 0.0
    """of the particles in the pores; zero: too large to diffuse over a cell"""
    dispersivity: Annotated[float, *quantity("m", ge=0, le=1)] = 0.0
    """length by which uneven pores spread what flows through them: adds dispersivity times speed to the diffusivity"""
    hindrance: PositiveFraction = 1.0
    """speed of the particles over that of the fluid"""
    retardation: Annotated[float, *quantity("", ge=1, le=1e6)] = 1.0
    """particles in the pores over mobile ones among them, when binding and release are in balance"""
    deposition_rate: Rate = 0.0
    """rate at which mobile particles stick to the tissue"""
    filter_coefficient: Annotated[float, *quantity("1/m", ge=0, le=1e6)] = 0.0
    """share of the mobile particles that sticks per length of their way: adds to the rate with their speed"""
    saturation: Concentration | None = None
    """mass of stuck particles per volume of tissue at which no more of them stick; no limit when absent"""
    detachment_rate: Rate = 0.0
    """rate at which stuck particles come off again"""
    uptake_rate: Rate = 0.0
    """rate at which cells take up mobile particles, for good"""
    washout: Fraction = 0.0
    """share of the particles in the pores' fluid that blood would carry off if it came into balance with it: adds
    washout times perfusion over porosity to the rate of clearing; zero: vessel walls hold them back"""

    def fate(self, tissues: Tissues, needed_by: str) -> Fate:
        """The same at the nodes."""
        volume = tissues.engine.volume
        porosity = tissues.nodes("porosity", needed_by)
        room, washout = even(np.inf, volume), even(0.0, volume)
        if self.saturation is not None:
            room = np.where(volume > 0, self.saturation * volume, np.inf)
        if self.washout > 0.0:
            flow = tissues.mix_nodes({name: tissue.perfusion for name, tissue in tissues.by_region.items()})
            washout = self.washout * per_volume(flow, porosity)
        return Fate(
            pores=porosity * volume,
            sticking=even(self.deposition_rate, volume),
            room=room,
            uptake=even(self.uptake_rate, volume),
            washout=washout,
            filtering=self.filter_coefficient,
            loosening=self.detachment_rate,
            retardation=self.retardation,
            hindrance=self.hindrance,
            dispersivity=self.dispersivity,
        )
