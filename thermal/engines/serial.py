"""Reductions of an engine that has all its nodes in one process."""

from __future__ import annotations

import numpy as np

from thermal.domain import CutEdges
from thermal.units import Array


class OneProcess:
    """The reductions of :class:`thermal.engine.Engine` on one process, and its values at ends of edges."""

    def let_go(self) -> None:
        """Nothing: what is kept is needed all along."""

    def ends(self, edges: CutEdges, u: Array) -> Array:
        """Values (e, 2) of a nodal field at the ends of edges."""
        return np.asarray(u[edges.nodes])

    def total(self, a: Array) -> float:
        """Sum of an array."""
        return float(np.sum(a))

    def maximum(self, a: Array) -> float:
        """Largest value of an array; minus infinity of an empty one."""
        return float(np.max(a, initial=-np.inf))

    def minimum(self, a: Array) -> float:
        """Smallest value of an array; infinity of an empty one."""
        return float(np.min(a, initial=np.inf))
