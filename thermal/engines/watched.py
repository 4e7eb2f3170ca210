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
        """``losses`` (2, t) W/K of each node through the border and to probes; a block has so many places."""
        order = np.argsort(places, kind="stable")
        self.places, self._losses = places[order].astype(np.int64), losses[:, order]
        self.first = np.searchsorted(self.places, np.arange(blocks + 1) * block).astype(np.int64)

    def room(self, stages: int, real: npt.DTypeLike) -> Real:
        """For what stages see, (stages, t)."""
        return np.zeros((stages, len(self.places)), real)

    def lines(self, held: Array, lost: Array, seen: Real) -> Array:
        """(stages, 5) W of :data:`thermal.heat.BUDGET` that leave tissue beyond those of the start of the step.

        Of each stage (stages,): ``held`` W from nodes at a prescribed temperature, ``lost`` W to all else.
        """
        by_border, by_probes = self._losses @ seen.T
        return np.stack([np.zeros_like(held), lost - by_border - by_probes, by_border, by_probes, held], axis=1)
