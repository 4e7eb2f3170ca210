"""The flow at the end of a step, which is that at the start of the next one if nothing else has changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.enthalpy import Nodes
from thermal.heat import Action, HeatState
from thermal.units import Array, Mask


@dataclass(frozen=True)
class Ahead:
    """What is known of the flow at the end of a step from ``state`` under ``action``."""

    state: HeatState
    action: Action
    held: Array
    """prescribed temperatures"""
    lines: Array
    """of the ledger, W"""
    fastest: float
    """largest rate, K/s"""

    def serves(self, state: HeatState, action: Action, kept: Nodes) -> bool:
        """Whether it is what a step from ``state`` under ``action`` begins with."""
        mine = self.action
        return (
            state.temperature is self.state.temperature
            and action.power is mine.power
            and action.blood is mine.blood
            and not action.touches
            and not mine.touches
            and same_nodes(action.free, mine.free)
            and np.array_equal(state.temperature[kept], self.held)
        )


def same_nodes(one: Mask, other: Mask | None) -> bool:
    """Whether two masks (n,) choose the same nodes; most steps have the same one as the step before."""
    return one is other or (other is not None and np.array_equal(one, other))
