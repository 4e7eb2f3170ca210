"""Three orthogonal slices through the tumour, with the temperature at its peak and the course in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.lines import Line2D
from scipy import ndimage

from thermal.domain import Domain
from thermal.store import Run
from thermal.store.folder import HISTORY
from thermal.units import Array
from thermal.view import style
from thermal.view.scene import (
    MM,
    amount,
    body_nodes,
    box,
    cell_centres,
    cell_volumes,
    cellwise,
    grid,
    held_regions,
    is_cold,
    nodal,
    particle_surfaces,
    region_index,
    region_surface,
    sample,
    zone_label,
    zone_surface,
)
from thermal.view.sheet import FAINT, INK, draw_scale_bar, save, sheet

CT_WINDOW = (-160.0, 240.0)
"""Hounsfield units from black to white: the usual window for the abdomen (level 40, width 400)."""
_PIXELS = 320
_WIDTH = 13.0  # inches
_LEGEND_COLUMNS = 4


@dataclass(frozen=True)
class Plane:
    """A slice as a radiologist looks at it.

    ``across`` and ``up``: patient axis (0, 1, 2) along the picture and its sign. ``edges``: letters at the left, right,
    bottom and top of the picture.
    """

    name: str
    normal: int
    across: tuple[int, int]
    up: tuple[int, int]
    edges: tuple[str, str, str, str]


PLANES = (
    Plane("Axial, seen from the feet", 2, (0, -1), (1, 1), ("R", "L", "P", "A")),
    Plane("Coronal, seen from the front", 1, (0, -1), (2, 1), ("R", "L", "I", "S")),
    Plane("Sagittal, seen from the left", 0, (1, -1), (2, 1), ("A", "P", "I", "S")),
)


@dataclass(frozen=True)
class Outline:
    """A surface whose section is drawn on every slice."""

    label: str
    colour: str
    dashes: str
    surface: Any


def peak_frame(run: Run) -> int:
    """Index of the saved time at which the temperature is furthest from where it started."""
    body = body_nodes(run.domain)
    extremes = [run.temperature(i)[body] for i in range(len(run.times))]
    values = [float(t.min() if is_cold(run) else -t.max()) for t in extremes]
    return int(np.argmin(values))


def centre_of_interest(run: Run) -> Array:
    """(3,) mm: the centre of the tumour's volume, or of the zone, or of the window."""
    share = run.domain.shares.get(run.tumour)
    if share is not None:
        weight = cell_volumes(run.domain) * share
        if weight.sum() > 0.0:
            return np.asarray(weight @ cell_centres(run.domain) / weight.sum())
    zone = zone_surface(run)
    return np.asarray(zone.center if zone.n_cells else box(run.domain).mean(axis=1))


def draw_slices(run: Run, path: Path) -> Path:
    """Write the sheet of slices of a run; needs no rendering."""
    mesh = grid(run.domain)
    names, index = region_index(run.domain)
    mesh.cell_data["region"] = cellwise(run.domain, index).astype(float)
    mesh.cell_data["body"] = cellwise(run.domain, (index >= 0).astype(float))
    peak = peak_frame(run) if len(run.times) else None
    scale = style.temperature_scale(37.0, 38.0)
    if peak is not None:
        temperature = run.temperature(peak)
        body = temperature[body_nodes(run.domain)]
        scale = style.temperature_scale(float(body.min()), float(body.max()))
        mesh.point_data["temperature"] = nodal(run.domain, temperature)
    borders = outlines(run)
    centre, half = view_box(run, borders)
    course = _course(run)
    samples = [sample_plane(run.domain, mesh, plane, centre, half) for plane in PLANES]
    seen = {names[int(i)] for sampled in samples for i in np.unique(sampled["region"]) if i >= 0}
    marks = _marks([name for name in names if name in seen], run, borders)
    above, below = 1.05 + 0.25 * math.ceil(len(marks) / _LEGEND_COLUMNS), 3.2 if course else 0.45
    height = above + 2 * 3.75 + below
    with sheet(_WIDTH, height, title=run.title or "Untitled case") as figure:
        layout = figure.add_gridspec(
            2,
            4,
            width_ratios=(1, 1, 1, 0.045),
            left=0.28 / _WIDTH,
            right=1 - 0.9 / _WIDTH,
            bottom=below / height,
            top=1 - above / height,
            wspace=0.03,
            hspace=0.03,
        )
        image = None
        for column, (plane, sampled) in enumerate(zip(PLANES, samples, strict=True)):
            upper, lower = (figure.add_subplot(layout[row, column]) for row in (0, 1))
            _draw_regions(upper, run, names, sampled, plane, centre, half)
            upper.set_title(plane.name)
            if peak is not None:
                values = np.ma.masked_where(sampled["body"] < 0.5, sampled["temperature"])
                image = lower.imshow(
                    values, extent=extent(half), origin="lower", cmap=scale.colours, vmin=scale.low, vmax=scale.high
                )
            for axes in (upper, lower):
                finish(axes, plane, centre, half, borders, ink="white" if axes is lower or run.background else INK)
        if image is not None and peak is not None:
            bar = figure.colorbar(image, cax=figure.add_subplot(layout[1, 3]), extend="both")
            bar.set_label(f"temperature at {_clock(run.times[peak])} (°C)")
        figure.legend(
            handles=marks,
            loc="upper left",
            bbox_to_anchor=(0.2 / _WIDTH, 1 - 0.55 / height),
            ncol=min(len(marks), _LEGEND_COLUMNS),
            frameon=False,
            fontsize=10,
            handletextpad=0.5,
            columnspacing=1.6,
        )
        if course:
            place = (0.95 / _WIDTH, 0.85 / height, 8.75 / _WIDTH, 2.0 / height)
            _draw_course(figure.add_axes(place), course, None if peak is None else float(run.times[peak]))
        at = ", ".join(f"{n} = {v:.1f}" for n, v in zip("xyz", centre, strict=True))
        figure.text(
            0.28 / _WIDTH, 0.17 / height, f"slices through {at} mm (patient RAS)", size=9, color=FAINT, va="center"
        )
        return save(figure, path)


def outlines(run: Run) -> list[Outline]:
    """Tumour, zone and particles."""
    found = []
    share = run.domain.shares.get(run.tumour)
    if share is not None:
        found.append(Outline("tumour", style.TUMOUR, "-", region_surface(run.domain, share)))
    found.append(Outline(zone_label(run), style.ZONE, "-", zone_surface(run)))
    field = run.static.get("concentration")
    for (level, surface), dashes in zip(particle_surfaces(run), (":", "--"), strict=False):
        assert field is not None
        size = amount(level * float(np.max(field.values)), field.unit)
        found.append(Outline(f"particles, {level:.0%} of their peak ({size})", style.PARTICLES, dashes, surface))
    return [outline for outline in found if outline.surface.n_cells]


def view_box(run: Run, borders: Sequence[Outline]) -> tuple[Array, float]:
    """Centre (3,) of the slices and half of the side of the square shown, mm."""
    centre = centre_of_interest(run)
    reach = [np.abs(np.reshape(o.surface.bounds, (3, 2)) - centre[:, None]).max() for o in borders]
    bounds = box(run.domain)
    widest = float(np.abs(bounds - centre[:, None]).max())
    return centre, min(widest, max(1.5 * max(reach, default=widest), 12.0))


def sample_plane(domain: Domain, mesh: Any, plane: Plane, centre: Array, half: float) -> dict[str, Array]:
    """Fields on a square of pixels, (rows, columns) from the lower left of the picture; -1 region outside."""
    offsets = np.linspace(-half, half, _PIXELS)
    columns, rows = np.meshgrid(offsets, offsets)
    points = np.tile(centre, (_PIXELS * _PIXELS, 1))
    points[:, plane.across[0]] += plane.across[1] * columns.ravel()
    points[:, plane.up[0]] += plane.up[1] * rows.ravel()
    probed = sample(domain, mesh, points)
    valid = np.asarray(probed["vtkValidPointMask"]).astype(bool)
    result: dict[str, Array] = {}
    for name in probed.point_data:
        values = np.asarray(probed[name], dtype=float)
        outside = -1.0 if name == "region" else 0.0
        result[name] = np.where(valid, values, outside).reshape(_PIXELS, _PIXELS)
    result["points"] = points.reshape(_PIXELS, _PIXELS, 3)
    return result


def extent(half: float) -> tuple[float, float, float, float]:
    """Of a square picture around zero, mm."""
    return (-half, half, -half, half)


def region_colours(names: Sequence[str], tumour: str, held: frozenset[str]) -> list[str]:
    """One pale colour a region: tumour and vessels as in the 3-D picture, organs muted."""
    colours = []
    organs = style.organ_colours(names)
    for name in names:
        colour = style.TUMOUR if name == tumour else style.vessel_colour(name)
        colour = colour or (style.VESSEL if name in held else organs[name])
        red, green, blue = to_rgb(colour)
        colours.append("#" + "".join(f"{round(255 * (0.45 + 0.55 * c)):02x}" for c in (red, green, blue)))
    return colours


def _draw_regions(
    axes: Any, run: Run, names: Sequence[str], sampled: dict[str, Array], plane: Plane, centre: Array, half: float
) -> None:
    if run.background is not None:
        values, affine = run.background
        voxel = np.linalg.inv(affine) @ np.concatenate(
            [sampled["points"].reshape(-1, 3).T / MM, np.ones((1, sampled["points"].size // 3))]
        )
        shades = ndimage.map_coordinates(values, voxel[:3], order=1, mode="constant", cval=-1000.0)
        low, high = CT_WINDOW
        axes.imshow(
            shades.reshape(_PIXELS, _PIXELS), extent=extent(half), origin="lower", cmap="gray", vmin=low, vmax=high
        )
        return
    colours = ["#ffffff", *region_colours(names, run.tumour, held_regions(run.resolved))]
    axes.imshow(
        sampled["region"] + 1.0,
        extent=extent(half),
        origin="lower",
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        interpolation="nearest",
    )


def finish(axes: Any, plane: Plane, centre: Array, half: float, borders: Sequence[Outline], *, ink: str) -> None:
    """Borders, scale bar and the letters of the patient's directions on a slice."""
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


def _marks(seen: Sequence[str], run: Run, outlines: Sequence[Outline]) -> list[Any]:
    """Legend handles: the outlines, then the regions seen on the map."""
    marks = [Line2D([], [], color=o.colour, ls=o.dashes, lw=2.2, label=o.label) for o in outlines]
    if run.background is None:
        names = list(run.domain.shares)
        colours = dict(zip(names, region_colours(names, run.tumour, held_regions(run.resolved)), strict=True))
        for name in seen:
            if name != run.tumour:
                words, colour = style.words(name), colours[name]
                marks.append(Line2D([], [], ls="", marker="s", ms=9, mec="#999999", mew=0.5, color=colour, label=words))
    return marks[:16]


@dataclass(frozen=True)
class Course:
    """Columns of ``history.csv``: ``time`` (k,) s and curves ``name -> (k,)`` by unit."""

    time: Array
    temperatures: dict[str, Array]
    powers: dict[str, Array]


def _course(run: Run) -> Course | None:
    """Temperatures and powers over time, from the history, else the extremes of the saved fields."""
    if (run.folder / HISTORY).exists():
        units, columns = run.history.units, run.history.columns
        dull = "peak_temperature" if is_cold(run) else "lowest_temperature"
        temperatures = {n: v for n, v in columns.items() if units[n] == "degC" and n != dull and np.isfinite(v).any()}
        powers = {n: columns[n] for n in ("power",) if n in columns and np.nansum(np.abs(columns[n])) > 0.0}
        if temperatures and len(run.history.time) > 1:
            return Course(run.history.time, temperatures, powers)
    if len(run.times) < 2:
        return None
    body = body_nodes(run.domain)
    name, extreme = ("lowest_temperature", np.min) if is_cold(run) else ("peak_temperature", np.max)
    return Course(run.times, {name: np.array([extreme(run.temperature(i)[body]) for i in range(len(run.times))])}, {})


def _draw_course(axes: Any, course: Course, peak: float | None) -> None:
    minutes = course.time / 60.0
    curves = [
        axes.plot(minutes, values, color=colour, lw=2, label=_curve_name(name))[0]
        for (name, values), colour in zip(course.temperatures.items(), style.CASES, strict=False)
    ]
    axes.set(xlabel="time (min)", ylabel="temperature (°C)", xlim=(minutes[0], minutes[-1]))
    axes.grid(color="#e6e6e6", lw=0.8)
    if peak is not None:
        curves.append(axes.axvline(peak / 60.0, color=FAINT, lw=1.2, ls=":", label="time of the slices"))
    for name, values in list(course.powers.items())[:1]:
        twin = axes.twinx()
        twin.spines["right"].set_visible(True)
        curves.append(twin.fill_between(minutes, values, color="#999999", alpha=0.2, lw=0, label=_curve_name(name)))
        twin.set_ylabel("power (W)", color=FAINT)
        twin.set_ylim(0.0, 1.15 * float(np.nanmax(np.abs(values))))
        axes.set_zorder(twin.get_zorder() + 1)
        axes.patch.set_visible(False)
    axes.legend(handles=curves, frameon=False, fontsize=10, loc="center left", bbox_to_anchor=(1.08, 0.5))


_CURVES = {
    "peak_temperature": "highest in the tissue",
    "lowest_temperature": "lowest in the tissue",
    "probe_temperature": "wall of the probe",
}


def _curve_name(name: str) -> str:
    short = name.removeprefix("probe.").removesuffix(".temperature")
    return _CURVES.get(name, ("probe " if name.startswith("probe.") else "") + style.words(short))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(float(seconds)), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
