"""Three orthogonal slices through the tumour, with the temperature at its peak and the course in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import body_nodes, region_index
from thermal.view.course import draw_course, read_course
from thermal.view.outlines import Outline, finish, outlines, view_box
from thermal.view.planes import CT_WINDOW, PLANES, Cut, sample, sample_image
from thermal.view.sheet import FAINT, INK, save, sheet
from thermal.view.treated import held_regions, is_cold

_WIDTH = 13.0  # inches
_LEGEND_COLUMNS = 4


def peak_frame(run: Run) -> int:
    """Index of the saved time at which the temperature is furthest from where it started."""
    body = body_nodes(run.domain)
    extremes = [run.temperature(i)[body] for i in range(len(run.times))]
    values = [float(t.min() if is_cold(run) else -t.max()) for t in extremes]
    return int(np.argmin(values))


def draw_slices(run: Run, path: Path) -> Path:
    """Write the sheet of slices of a run; needs no rendering."""
    names, index = region_index(run.domain)
    peak = peak_frame(run) if len(run.times) else None
    scale = style.temperature_scale(37.0, 38.0)
    fields = {}
    if peak is not None:
        fields["temperature"] = temperature = run.temperature(peak)
        body = temperature[body_nodes(run.domain)]
        scale = style.temperature_scale(float(body.min()), float(body.max()))
    borders = outlines(run)
    centre, half = view_box(run, borders)
    course = read_course(run)
    cuts = [Cut(plane, centre, half) for plane in PLANES]
    samples = [sample(run.domain, cut, fields, {"region": index}) for cut in cuts]
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
        for column, (cut, sampled) in enumerate(zip(cuts, samples, strict=True)):
            upper, lower = (figure.add_subplot(layout[row, column]) for row in (0, 1))
            _draw_regions(upper, run, names, sampled["region"], cut)
            upper.set_title(cut.plane.name)
            if peak is not None:
                image = show_temperature(lower, cut, sampled["temperature"], sampled["region"], scale)
            for axes in (upper, lower):
                finish(axes, cut, borders, ink="white" if axes is lower or run.background else INK)
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
            draw_course(figure.add_axes(place), course, None if peak is None else float(run.times[peak]))
        at = ", ".join(f"{n} = {v:.1f}" for n, v in zip("xyz", centre, strict=True))
        figure.text(
            0.28 / _WIDTH, 0.17 / height, f"slices through {at} mm (patient RAS)", size=9, color=FAINT, va="center"
        )
        return save(figure, path)


def show_temperature(axes: Any, cut: Cut, temperature: Array, region: Array, scale: style.Scale) -> Any:
    """Temperature of the body on a cut, under a fixed scale; what is outside stays white."""
    values = np.ma.masked_where(~(region >= 0.0), temperature)
    return axes.imshow(values, extent=cut.extent, origin="lower", cmap=scale.colours, vmin=scale.low, vmax=scale.high)


def _draw_regions(axes: Any, run: Run, names: Sequence[str], region: Array, cut: Cut) -> None:
    if run.background is not None:
        low, high = CT_WINDOW
        shades = sample_image(run.background, cut)
        axes.imshow(shades, extent=cut.extent, origin="lower", cmap="gray", vmin=low, vmax=high)
        return
    colours = ["#ffffff", *style.region_colours(names, run.tumour, held_regions(run.resolved))]
    axes.imshow(
        np.nan_to_num(region, nan=-1.0) + 1.0,
        extent=cut.extent,
        origin="lower",
        cmap=ListedColormap(colours),
        vmin=-0.5,
        vmax=len(colours) - 0.5,
        interpolation="nearest",
    )


def _marks(seen: Sequence[str], run: Run, outlines: Sequence[Outline]) -> list[Any]:
    """Legend handles: the outlines, then the regions seen on the map."""
    marks = [Line2D([], [], color=o.colour, ls=o.dashes, lw=2.2, label=o.label) for o in outlines]
    if run.background is None:
        names = list(run.domain.shares)
        colours = dict(zip(names, style.region_colours(names, run.tumour, held_regions(run.resolved)), strict=True))
        for name in seen:
            if name != run.tumour:
                words, colour = style.words(name), colours[name]
                marks.append(Line2D([], [], ls="", marker="s", ms=9, mec="#999999", mew=0.5, color=colour, label=words))
    return marks[:16]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(float(seconds)), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
