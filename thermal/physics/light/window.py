"""The grid of the light: a window of its own, fine enough for it (spacing <= 1 / (3 mu_eff) where much is absorbed)."""

from __future__ import annotations

import numpy as np

from thermal.engine import Engine, Window
from thermal.physics.light.medium import Medium
from thermal.physics.light.model import Light, absorbed_in_cells
from thermal.units import Array

MOST_NODES = 2_000_000
"""Of the light's window: a few gigabytes and about a minute."""
CELLS_PER_PENETRATION = 3.0
"""Needed grid: 1 / (3 mu_eff)."""
MINOR_SHARE = 0.01
"""Share of the absorbed power that may lie outside the window's fine box, or in cells that are too coarse."""
SLACK = 1.25
"""How much coarser than needed a grid may be before the window is fitted again, or a warning given."""
GROWTH = 1.3


def needed_spacing(engine: Engine, medium: Medium) -> Array:
    """Largest cell edge, m, that resolves the light in each cell, (m,); infinite where nothing absorbs."""
    mu = medium.effective_attenuation(engine)
    return np.divide(1.0 / CELLS_PER_PENETRATION, mu, out=np.full_like(mu, np.inf), where=mu > 0)


def resolution(engine: Engine, medium: Medium, light: Light) -> tuple[float, tuple[Array, Array]]:
    """Spacing that resolves all but a minor share of the absorption, and the box that holds as much of it."""
    share, needed = absorbed_in_cells(engine, light), needed_spacing(engine, medium)
    finest_first = np.argsort(needed)
    spacing = float(needed[finest_first[np.searchsorted(np.cumsum(share[finest_first]), MINOR_SHARE)]])
    densest_first = np.argsort(-np.divide(share, engine.cell_volume, out=share * 0.0, where=engine.cell_volume > 0))
    held = densest_first[: 1 + np.searchsorted(np.cumsum(share[densest_first]), 1.0 - MINOR_SHARE)]
    # the cells' corners, found through the nodes that take part in them
    corners = engine.to_nodes(np.isin(np.arange(len(share)), held).astype(float)) > 0
    points = engine.points[corners]
    return spacing, (points.min(axis=0), points.max(axis=0))


def fit_window(engine: Engine, box: tuple[Array, Array], spacing: float) -> tuple[Window, float]:
    """The finest window over ``box``, down to ``spacing`` m, of at most ``MOST_NODES`` nodes, and its spacing."""
    lower, upper = engine.bounds
    largest = float(np.max(engine.cell_size))
    spacing = min(spacing, 2.0 * largest)

    def count(h: float) -> float:
        margins = np.log1p((GROWTH - 1.0) / h * np.stack([box[0] - lower, upper - box[1]])) / (GROWTH - 1.0)
        return float(np.prod((box[1] - box[0]) / h + margins.sum(axis=0)))

    while count(spacing) > MOST_NODES:
        spacing *= 1.05
    while engine.window_nodes(*box, spacing, GROWTH) > MOST_NODES and spacing < largest:
        spacing *= 1.1
    window = engine.window(*box, spacing, GROWTH)
    return window, _finest_edge(window.engine, box, spacing)


def _finest_edge(engine: Engine, box: tuple[Array, Array], spacing: float) -> float:
    """Largest cell edge in the middle of the window, m: whole parts of a coarse cell may be finer than asked for."""
    middle = 0.5 * (box[0] + box[1])
    try:
        return engine.spacing((float(middle[0]), float(middle[1]), float(middle[2])))
    except ValueError:
        return spacing


def unresolved(engine: Engine, medium: Medium, light: Light, used: float) -> tuple[str, ...]:
    """A statement when much is absorbed in cells that are too coarse; ``used``: spacing of the fine part, m."""
    share, needed = absorbed_in_cells(engine, light), needed_spacing(engine, medium)
    coarse = engine.cell_size > SLACK * needed
    if (lost := float(np.sum(share[coarse]))) <= 5.0 * MINOR_SHARE:
        return ()
    finest = float(np.min(needed[coarse & (share > 0)]))
    return (
        f"the light's grid is too coarse for {100 * lost:.0f} % of the absorbed power: there the cells "
        f"should be {1e3 * finest:.2g} mm or smaller (1 / (3 mu_eff)) and are {1e3 * used:.2g} mm or larger (at "
        f"most {MOST_NODES / 1e6:.2g} million nodes); the heat is spread too widely around the source",
    )
