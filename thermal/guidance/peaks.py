"""How much hotter it is inside a voxel than an image of its mean can tell, by the model that a plan is made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from thermal.engine import Engine
from thermal.guidance.thermometer import Thermometer
from thermal.imaging.grid import mean_of
from thermal.physics.imaging.thermometry import highest_within
from thermal.units import Array

WARM = 0.5
"""Share of the largest rise from which a voxel may become the hottest (chosen)."""
WITHIN = np.array(list(product((-0.5, 0.0, 0.5), repeat=3)))
"""Places in a voxel that are looked at, in its edges: middle, faces, edges and corners."""


@dataclass
class Peaks:
    """Watches a plan, and says by how much a rise that images show has to be raised where it peaks between voxels.

    A peak as narrow as a voxel loses a third of its rise in the mean, more than interpolation can give back.
    """

    thermometer: Thermometer
    total: Array = field(init=False)
    count: Array = field(init=False)

    def __post_init__(self) -> None:
        self.total, self.count = np.zeros(self.thermometer.grid.shape), np.zeros(self.thermometer.grid.shape)

    @property
    def factor(self) -> Array:
        """(a, b, c) of the rise: the mean over the looks at which a voxel was among the warmest; one for others."""
        return np.divide(self.total, self.count, out=np.ones_like(self.total), where=self.count > 0.0)

    def watch(self, engine: Engine, temperature: Array) -> None:
        """Take in what the plan foresees at a look, (n,) degC."""
        seen = self.thermometer
        mean = np.nan_to_num(mean_of(seen.way, temperature, seen.body))
        rise = highest_within(mean) - seen.base
        warm = np.argwhere(seen.reliable & (rise > WARM * rise.max()) & (rise > 1.0))
        if not len(warm):
            return
        centres = seen.grid.lower + (warm[:, None, :] + 0.5 + WITHIN) * seen.grid.spacing  # (k, 27, 3)
        at = np.clip(centres.reshape(-1, 3), *engine.bounds)
        inside = engine.holds(at)
        values = np.full(len(at), -np.inf)
        values[inside] = engine.sample(temperature, at[inside])
        index = tuple(warm.T)
        true = values.reshape(len(warm), -1).max(axis=1) - seen.base[index]
        self.total[index] += np.maximum(true / rise[index], 1.0)
        self.count[index] += 1.0
