"""How much of the light is absorbed so near to a fibre that diffusion does not hold there."""

from __future__ import annotations

import numpy as np

from thermal.engine import Engine
from thermal.physics.light.medium import Medium
from thermal.physics.light.model import Lamp, Light, absorbed_in_cells

MUCH = 0.1
"""Share of the absorbed power within a transport path of a fibre above which a run says so."""


def near_fibres(engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[float, float]:
    """Share of the absorbed power within a transport path ``1 / (mu_a + mu_s')`` of the surface of a fibre, and the
    mean of that path there, m."""
    middle = np.stack([engine.to_cells(np.ascontiguousarray(axis)) for axis in engine.points.T], axis=1)
    path = 1.0 / medium.attenuation(engine)
    near = np.any([lamp.source.distance(middle) < path for lamp in lamps], axis=0)
    share = absorbed_in_cells(engine, light) * near
    total = float(np.sum(share))
    return total, float(share @ path) / total if total > 0.0 else 0.0


def too_near(engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[str, ...]:
    """A statement when much is absorbed there."""
    share, path = near_fibres(engine, medium, light, lamps)
    if share <= MUCH:
        return ()
    return (
        f"{100 * share:.0f} % of the absorbed power lies within one transport path 1 / (mu_a + mu_s') = "
        f"{1e3 * path:.2g} mm of a fibre, where diffusion takes light for scattered that is not yet so: the fluence "
        'there may be off by tens of percent; use heating.light = { model = "sp3" } or "monte_carlo"',
    )
