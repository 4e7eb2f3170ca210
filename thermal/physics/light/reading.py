"""Fluence between nodes: what falls off like an exponential is not interpolated linearly."""

from __future__ import annotations

import numpy as np

from thermal.engine import Engine
from thermal.units import Array

LOGARITHM = 1e-3
"""Exponent below which the mean of powers is that of logarithms."""


def fluence_at(engine: Engine, fluence: Array, fading: Array, at: Array) -> float:
    """Fluence rate at a point (3,) m of a nodal field (n,); ``fading``: mu_eff at nodes (n,), 1/m.

    Of diffuse light ``lap phi = mu_eff^2 phi``, so that ``phi^p`` has no curvature on average where
    ``p = 1 - (mu_eff / g)^2`` with ``g = |grad ln phi|``: what is interpolated linearly is the logarithm where light
    fades as exp(-mu_eff x), as under a broad beam, and the fluence itself near a point, where it falls as 1/r.
    """
    shares = engine.deposit(np.ones(1), at[None])
    nodes = np.flatnonzero(shares)
    values, weights = fluence[nodes], shares[nodes]
    if len(nodes) == 1 or np.min(values) <= 0.0:
        return float(weights @ values)
    offsets = engine.points[nodes] - weights @ engine.points[nodes]
    largest = float(np.max(values))
    logarithms = np.log(values / largest)
    slope, *_ = np.linalg.lstsq(np.column_stack([offsets, np.ones(len(nodes))]), logarithms, rcond=None)
    squared = float(slope[:3] @ slope[:3])
    fades = float(weights @ fading[nodes]) ** 2
    power = 1.0 - fades / squared if squared > fades else 0.0
    if power < LOGARITHM:
        return largest * float(np.exp(weights @ logarithms))
    return largest * float(np.exp(np.log(weights @ np.exp(power * logarithms)) / power))
