"""Borders of tumour, zone and particles, as lines on a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import box, cell_centres, cell_volumes
from thermal.view.planes import Cut, Plane
from thermal.view.sheet import draw_scale_bar
from thermal.view.surfaces import region_surface
from thermal.view.treated import amount, particle_surfaces, zone_label, zone_surface


@dataclass(frozen=True)
class Outline:
    """A surface whose section is drawn on every slice."""

    label: str
    colour: str
    dashes: str
    surface: Any


def outlines(run: Run) -> list[Outline]:
    """Tumour, zone and particles, at the end."""
    found = []
    share = run.domain.shares.get(run.tumour)
    if share is not None:
        found.append(Outline("tumour", style.TUMOUR, "-", region_surface(run.domain, share)))
    found.append(zone_outline(run))
    field = run.static.get("concentration")
    for (level, surface), dashes in zip(particle_surfaces(run), (":", "--"), strict=False):
        assert field is not None
        size = amount(level * float(np.max(field.values)), field.unit)
        found.append(Outline(f"particles, {level:.0%} of their peak ({size})", style.PARTICLES, dashes, surface))
    return [outline for outline in found if outline.surface.n_cells]


def zone_outline(run: Run, index: int | None = None) -> Outline:
    """The zone, at a saved time or at the end."""
    return Outline(zone_label(run), style.ZONE, "-", zone_surface(run, index))


def centre_of_interest(run: Run) -> Array:
    """(3,) mm: the centre of the tumour's volume, or of the zone, or of the window."""
    share = run.domain.shares.get(run.tumour)
    if share is not None:
        weight = cell_volumes(run.domain) * share
        if weight.sum() > 0.0:
            return np.asarray(weight @ cell_centres(run.domain) / weight.sum())
    zone = zone_surface(run)
    return np.asarray(zone.center if zone.n_cells else box(run.domain).mean(axis=1))


def view_box(run: Run, borders: Sequence[Outline]) -> tuple[Array, float]:
    """Centre (3,) of the slices and half of the side of the square shown, mm."""
    centre = centre_of_interest(run)
    reach = [np.abs(np.reshape(o.surface.bounds, (3, 2)) - centre[:, None]).max() for o in borders]
    bounds = box(run.domain)
    widest = float(np.abs(bounds - centre[:, None]).max())
    return centre, min(widest, max(1.5 * max(reach, default=widest), 12.0))


def finish(axes: Any, cut: Cut, borders: Sequence[Outline], *, ink: str) -> None:
    """Borders, scale bar and the letters of the patient's directions on a slice."""
    plane, centre, half = cut.plane, cut.centre, cut.half
    normal = np.eye(3)[plane.normal]
    for outline in borders:
        section = outline.surface.slice(normal=normal, origin=centre)
        segments = _segments(section, plane, centre)
        for colour, width in (("#ffffffcc", 3.6), (outline.colour, 1.9)):
            axes.add_collection(LineCollection(segments, colors=colour, linewidths=width, linestyles=outline.dashes))
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], aspect="equal")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#c8c8c8")
    draw_scale_bar(axes, half, half, ink)
    left, right, bottom, top = plane.edges
    for letter, x, y in ((left, 0.03, 0.5), (right, 0.97, 0.5), (bottom, 0.5, 0.035), (top, 0.5, 0.965)):
        badge = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75}
        axes.text(x, y, letter, transform=axes.transAxes, ha="center", va="center", size=10, weight="bold", bbox=badge)


def _segments(section: Any, plane: Plane, centre: Array) -> list[Array]:
    """Polylines (k, 2) of a section in the picture's coordinates, mm."""
    if section.n_cells == 0:
        return []
    section = section.strip(max_length=100_000)
    points = section.points
    flat = np.stack(
        [
            plane.across[1] * (points[:, plane.across[0]] - centre[plane.across[0]]),
            plane.up[1] * (points[:, plane.up[0]] - centre[plane.up[0]]),
        ],
        axis=1,
    )
    lines, found, at = section.lines, [], 0
    while at < len(lines):
        count = int(lines[at])
        found.append(flat[lines[at + 1 : at + 1 + count]])
        at += count + 1
    return found
