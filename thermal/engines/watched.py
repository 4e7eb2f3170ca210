"""Nodes that exchange heat with something beyond the tissue, as the stages of a step look at them on their way.

Where several stages pass over memory together, what is between the first and the last is nowhere afterwards.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thermal.engines.arrays import Index, Real
from thermal.units import Array


class Watched:
    """``places`` (t,) in a stage's arrays, sorted; those of block ``b`` are from ``first[b]`` to before
    ``first[b + 1]``."""

    def __init__(self, places: Index, losses: Array, block: int, blocks: int) -> None:
        """``losses`` (lines, t) W/K of each node through each line; a block has so many places."""
        order = np.argsort(places, kind="stable")
        self.places, self._losses = places[order].astype(np.int64), losses[:, order]
        self.first = np.searchsorted(self.places, np.arange(blocks + 1) * block).astype(np.int64)

    def room(self, stages: int, real: npt.DTypeLike) -> Real:
        """For what stages see, (stages, t)."""
        return np.zeros((stages, len(self.places)), real)

    def lost(self, seen: Real) -> Array:
        """(lines, stages) W through each line."""
        return np.asarray(self._losses @ seen.T)
