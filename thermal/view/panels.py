"""Pictures of a report: the temperature over time in one slice, and the course of what was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thermal.store import History, Run
from thermal.view import style, wording
from thermal.view.cells import body_nodes, region_index
from thermal.view.outlines import Outline, finish, outlines, view_box, zone_outline
from thermal.view.planes import PLANES, Cut, sample
from thermal.view.sheet import FAINT, save, sheet
from thermal.view.slices import show_temperature

MOST = 4
"""Moments shown."""
_WIDTH = 13.0  # inches

UNITS = {
    "degC": "temperature (°C)", "W": "power (W)", "V": "voltage (V)", "A": "current (A)", "ohm": "impedance (ohm)",
    "ml": "ablation zone (ml)", "%": "tumour inside the zone (%)",
}  # fmt: skip
"""Unit of a column of the history -> label of the plot that shows it."""
_ZONE = {"zone.volume": ("ml", 1e6), "zone.tumour_coverage": ("%", 100.0)}
"""Column -> unit in which it is shown, and the factor to it."""


def draw_moments(run: Run, path: Path) -> Path | None:
    """The axial slice through the tumour at up to four moments under one scale; None when no fields were kept."""
    if len(run.times) < 2:
        return None
    chosen = np.unique(np.linspace(0, len(run.times) - 1, MOST + 1).round().astype(int)[1:])
    body = body_nodes(run.domain)
    low, high = np.inf, -np.inf
    for index in chosen:
        inside = run.temperature(int(index))[body]
        low, high = min(low, float(inside.min())), max(high, float(inside.max()))
    scale = style.temperature_scale(low, high)
    _, regions = region_index(run.domain)
    lines, grows = outlines(run), run.fields.frames.grows
    centre, half = view_box(run, lines)
    cut, side = Cut(PLANES[0], centre, half), (_WIDTH - 1.4) / MOST
    height = side + 1.3
    with sheet(_WIDTH, height, title="The axial slice over time") as figure:
        image = None
        for column, index in enumerate(chosen):
            sampled = sample(run.domain, cut, {"temperature": run.temperature(int(index))}, {"region": regions})
            axes = figure.add_axes(
                (0.2 / _WIDTH + column * side / _WIDTH, 0.4 / height, 0.97 * side / _WIDTH, side / height)
            )
            image = show_temperature(axes, cut, sampled["temperature"], sampled["region"], scale)
            finish(axes, cut, _then(run, lines, int(index)) if grows else lines, ink="white")
            axes.set_title(f"{run.times[index] / 60.0:.1f} min")
        assert image is not None
        place = (1.0 - 0.95 / _WIDTH, 0.5 / height, 0.15 / _WIDTH, (side - 0.2) / height)
        figure.colorbar(image, cax=figure.add_axes(place), extend="both").set_label("°C")
        when = "zone by then" if grows else "zone at the end"
        said = f"outlines: tumour, {when}, particles; seen from the feet"
        figure.text(0.2 / _WIDTH, 0.17 / height, said, size=9, color=FAINT, va="center")
        return save(figure, path)


def _then(run: Run, lines: Sequence[Outline], index: int) -> list[Outline]:
    """Outlines with that of the zone as it was at a saved time."""
    zone = zone_outline(run, index)
    others = [line for line in lines if line.label != zone.label]
    return [*others, zone] if zone.surface.n_cells else others


def draw_history(history: History, path: Path) -> Path | None:
    """One plot a unit of what was recorded over time; None when nothing was."""
    groups: dict[str, list[str]] = {}
    for name, unit in history.units.items():
        values = history.columns[name]
        seen = unit in UNITS or name in _ZONE
        if name != "time" and seen and np.isfinite(values).any() and np.nanmax(np.abs(values)) > 0.0:
            groups.setdefault(_ZONE.get(name, (unit, 1.0))[0], []).append(name)
    if not groups or len(history.time) < 2:
        return None
    columns = min(len(groups), 2)
    rows = -(-len(groups) // columns)
    with sheet(_WIDTH, 0.7 + 3.1 * rows) as figure:
        panels = figure.subplots(rows, columns, squeeze=False)
        figure.subplots_adjust(
            left=0.07, right=0.98, bottom=0.24 if rows == 1 else 0.13, top=0.95, hspace=0.35, wspace=0.18
        )
        for axes, (unit, names) in zip(panels.ravel(), groups.items(), strict=False):
            for name, (colour, dashes) in zip(names, _STROKES, strict=False):
                _, factor = _ZONE.get(name, (unit, 1.0))
                known = np.isfinite(history.columns[name])
                times, values = history.time[known] / 60.0, factor * history.columns[name][known]
                axes.plot(times, values, color=colour, ls=dashes, lw=1.8, label=wording.said(name))
            axes.set(xlabel="time (min)", ylabel=UNITS[unit])
            axes.grid(color="#e6e6e6", lw=0.8)
            if len(names) > 1:
                axes.legend(fontsize=9, frameon=False)
        for axes in panels.ravel()[len(groups) :]:
            axes.set_visible(False)
        figure.text(0.01, 0.02, "heating or freezing begins at 0 min", size=9, color=FAINT)
        return save(figure, path)


_STROKES = [(colour, dashes) for dashes in ("-", "--", ":") for colour in style.CASES]
"""Colour and dashes of each curve: no two are told apart by colour alone for long."""
