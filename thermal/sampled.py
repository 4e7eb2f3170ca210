"""Vector fields given by samples, as anatomies read them from files and physics reads them at points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thermal.units import Array


@dataclass(frozen=True)
class VectorMap:
    """``sample``: points (q, 3) m to vectors (q, 3) in the unit of the file, NaN where it has none; ``about``: what it
    is and what it covers, for messages."""

    sample: Callable[[Array], Array]
    about: str

    def missing(self, points: Array) -> Array:
        """(k, 3) m, those of ``points`` (q, 3) that are not covered."""
        return np.asarray(points[~np.isfinite(self.sample(points)).all(axis=1)])


ReadVectors = Callable[[str, str, float, str | None], VectorMap]
"""Reads a file of the case: its name, the key that names it, metres in one of its units of length, and which array."""
