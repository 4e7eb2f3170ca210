"""What a run did, as surfaces and dots: its ablation zone and its particles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyvista as pv

from thermal.domain import AxisymmetricDomain, VoxelDomain
from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import MM, body_nodes, cell_means, cell_volumes
from thermal.view.grids import values_at
from thermal.view.surfaces import level_surface, region_surface
from thermal.view.swept import scattered

PARTICLE_LEVELS = (0.1, 0.5)
"""Shares of the highest concentration at which the outline of the particle cloud is drawn."""
DOTS = 2500
"""Dots that stand for the particles; each is the same share of the mass in the tissue."""


def held_regions(resolved: Mapping[str, Any]) -> frozenset[str]:
    """Regions that a resolved case keeps at a temperature (``[tissues.REGION] temperature``)."""
    tissues = resolved.get("tissues")
    if not isinstance(tissues, Mapping):
        return frozenset()
    return frozenset(n for n, t in tissues.items() if isinstance(t, Mapping) and t.get("temperature") is not None)


def is_cold(run: Run) -> bool:
    """True when the zone was made by freezing."""
    return "cold" in run.zone_field or "cryo" in run.zone_law or "cold" in run.zone_law


def zone_values(run: Run, index: int | None = None) -> tuple[Array, float] | None:
    """Nodal field and level whose upper set is the ablation zone, or ``None`` when the run kept none.

    ``index``: of the saved time; at the end by default, and where the run kept the zone of its end alone.
    """
    field = run.static.get(run.zone_field)
    if field is None:
        return None
    grown = None if index is None else run.zone(index)
    return (np.asarray(field.values, dtype=float) if grown is None else grown), run.zone_level


def zone_surface(run: Run, index: int | None = None) -> Any:
    """Surface of the ablation zone at a saved time, or at the end, in mm; empty when nothing was destroyed."""
    zone = zone_values(run, index)
    return pv.PolyData() if zone is None else level_surface(run.domain, *zone)


def zone_label(run: Run) -> str:
    """The zone's line in a legend, with the criterion that made it."""
    return f"ablation zone ({style.law_words(run.zone_law)})" if run.zone_law else "ablation zone"


def particle_surfaces(run: Run) -> list[tuple[float, Any]]:
    """``(share of the highest concentration, surface in mm)`` of the cloud; empty without particles or when uniform."""
    field = run.static.get("concentration")
    if field is None:
        return []
    values = np.where(body_nodes(run.domain), np.asarray(field.values, dtype=float), 0.0)
    highest = float(values.max(initial=0.0))
    if highest <= 0.0 or np.mean(values > PARTICLE_LEVELS[0] * highest) > 0.9:
        return []
    return [(level, level_surface(run.domain, values, level * highest)) for level in PARTICLE_LEVELS]


def particle_dots(run: Run, count: int = DOTS) -> Array:
    """Points (count, 3) in mm spread like the particles' mass (always the same ones); none without particles."""
    field = run.static.get("concentration")
    if field is None:
        return np.empty((0, 3))
    domain = run.domain
    mass = cell_volumes(domain) * np.maximum(cell_means(domain, np.asarray(field.values, dtype=float)), 0.0)
    if mass.sum() <= 0.0:
        return np.empty((0, 3))
    random = np.random.default_rng(0)
    cells = random.choice(len(mass), size=count, p=mass / mass.sum())
    if isinstance(domain, VoxelDomain):
        place = random.random((count, 3))
        index = np.unravel_index(cells, domain.cell_shape)
        sides = [a[i] + u * (a[i + 1] - a[i]) for a, i, u in zip(domain.axes, index, place.T, strict=True)]
        return np.stack(sides, axis=1) * MM
    if isinstance(domain, AxisymmetricDomain):
        return scattered(domain, cells, random) * MM
    weights = random.dirichlet(np.ones(4), size=count)
    return np.asarray(np.einsum("ck,ckd->cd", weights, domain.points[domain.cells[cells]])) * MM


def amount(value: float, unit: str) -> str:
    """A concentration in the unit that a reader expects."""
    shown = style.unit_words(unit)
    return f"{value:.2g} {shown}" if shown == "mg/ml" else f"{value:.3g} {shown}".strip()


def margin_surface(run: Run, surface: Any) -> Any:
    """The border of the zone with its signed distance from the tumour's surface, the array ``margin`` in mm.

    Negative where the zone ends inside the tumour. ``surface``: of the zone, as from :func:`zone_surface`.
    ``None`` without a zone or a tumour.
    """
    tumour = run.domain.shares.get(run.tumour)
    if surface.n_cells == 0 or tumour is None:
        return None
    measured = surface.copy(deep=False)
    field = run.static.get("tumour_distance")
    if field is None:
        measured = measured.compute_implicit_distance(region_surface(run.domain, tumour))
        measured["margin"] = np.asarray(measured["implicit_distance"])
        return measured
    margin = values_at(run.domain, np.asarray(field.values, dtype=float), np.asarray(surface.points, dtype=float)) * MM
    measured["margin"] = np.nan_to_num(margin)
    return measured
