"""Pictures of a comparison: bars of the numbers, and the zones over the tumour under one camera."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from thermal.store import Run
from thermal.view import style
from thermal.view.camera import frame, photograph
from thermal.view.rendering import rendering_problem
from thermal.view.scene import Layer, Stage, run_stage
from thermal.view.sheet import FAINT, INK, handles, in_legend_order, number, save, sheet, show_image
from thermal.view.treatment import Treatment

SAFE_MARGIN = 5.0
"""mm. After radiofrequency ablation of 94 colorectal liver metastases, 74 % stayed free of local progression for two
years with a smallest margin of 6 to 10 mm, 46 % with 1 to 5 mm and 26 % with none: X. Wang et al., Margin size is an
independent predictor of local tumor progression after ablation of colon cancer liver metastases, Cardiovasc Intervent
Radiol 36 (2013) 166-175, doi:10.1007/s00270-012-0377-1."""

_TREATED = ("tumour", "zone", "vessel", "device")
_IN_A_ROW = 6
_DPI = 120


def draw_comparison(
    treatments: Sequence[Treatment], folder: Path, stages: Mapping[Path, Stage] | None = None
) -> tuple[list[Path], str | None]:
    """``comparison.png`` and ``comparison_3d.png`` in ``folder``, and why the latter is missing, if it is.

    ``stages``: scenes that were built already, by the folders of the runs.
    """
    files = [draw_figure(treatments, folder / "comparison.png")]
    problem = rendering_problem()
    if problem is None:
        files.append(draw_zones(treatments, folder / "comparison_3d.png", stages))
    return files, problem


def draw_figure(treatments: Sequence[Treatment], path: Path) -> Path:
    """Bars: tissue destroyed, tumour covered, smallest margin, size of the zone. Returns ``path``."""
    rows = len(treatments)
    names = [textwrap.fill(t.title, 22, max_lines=3, placeholder=" ...") for t in treatments]
    panel = 0.62 * rows + 0.75
    height = 0.75 + 2 * (panel + 0.85) + 0.45
    with sheet(12.5, height, title="Comparison of treatments") as figure:
        grid = figure.add_gridspec(
            2, 2, left=0.19, right=0.97, top=1 - 1.05 / height, bottom=1.1 / height, wspace=0.1, hspace=0.95 / panel
        )
        panels = [figure.add_subplot(grid[place]) for place in ((0, 0), (0, 1), (1, 0), (1, 1))]
        for axes, fill in zip(panels, (_volumes, _coverage, _margins, _sizes), strict=True):
            fill(axes, treatments)
            axes.set_ylim(rows - 0.4, -0.6)
            axes.set_yticks(range(rows), names if axes in (panels[0], panels[2]) else [""] * rows)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
            axes.grid(axis="x", color="#ececec")
            axes.set_axisbelow(True)
        for axes in (panels[0], panels[2]):
            for label, treatment in zip(axes.get_yticklabels(), treatments, strict=True):
                label.set_color(treatment.colour)
                label.set_fontweight("bold")
        note = (
            f"Shaded: margins above {SAFE_MARGIN:g} mm. After radiofrequency ablation of liver metastases, 74 % with "
            "6-10 mm against 46 % with 1-5 mm stayed free of local progression for two years\n"
            "(Wang et al. 2013, doi:10.1007/s00270-012-0377-1)."
        )
        figure.text(0.28 / 12.5, 0.5 / height, note, size=9, color=FAINT, va="center")
        return save(figure, path)


def _values(treatments: Sequence[Treatment], key: str, factor: float) -> list[float]:
    found = [number(t.run.summary, key) for t in treatments]
    return [float("nan") if value is None else value * factor for value in found]


def _tumour_volume(run: Run) -> float:
    """ml; from the summary, NaN when it does not say."""
    value = number(run.summary, "zone.tumour_volume")
    return float("nan") if value is None else value * 1e6


def _write_value(axes: Any, value: float, row: int, text: str) -> None:
    """A number beside the end of its bar."""
    if not np.isfinite(value):
        axes.annotate("not known", (0.0, row), xytext=(6, 0), textcoords="offset points", va="center", color=FAINT)
        return
    side = -6 if value < 0.0 else 6
    align = "right" if value < 0.0 else "left"
    place = {"xytext": (side, 0), "textcoords": "offset points", "va": "center", "ha": align}
    axes.annotate(text, (value, row), size=11, bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.6}, **place)


def _volumes(axes: Any, treatments: Sequence[Treatment]) -> None:
    zone, healthy = (_values(treatments, key, 1e6) for key in ("zone.volume", "zone.healthy_volume"))
    inside = [z - (h if np.isfinite(h) else 0.0) for z, h in zip(zone, healthy, strict=True)]
    rows = range(len(treatments))
    axes.barh(rows, np.nan_to_num(inside), 0.56, color=style.TUMOUR, label="tumour")
    axes.barh(rows, np.nan_to_num(healthy), 0.56, left=np.nan_to_num(inside), color="#c9b8a4", label="healthy tissue")
    for row, value in enumerate(zone):
        _write_value(axes, value, row, f"{value:.1f} ml")
    sizes = {round(v, 3) for v in map(_tumour_volume, (t.run for t in treatments)) if np.isfinite(v)}
    if sizes:
        size = max(sizes)
        axes.axvline(size, color=style.TUMOUR, lw=1.4, ls="--", label=f"whole tumour, {size:.1f} ml")
    axes.set_title("Tissue destroyed (ml)", loc="left", pad=26, weight="bold")
    axes.set_xlim(0.0, 1.22 * max([*np.nan_to_num(zone), *sizes, 0.1]))
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncol=3, frameon=False, fontsize=9.5, borderpad=0.2)


def _bars(axes: Any, treatments: Sequence[Treatment], values: Sequence[float], form: Callable[[float], str]) -> None:
    axes.barh(range(len(values)), np.nan_to_num(values), 0.56, color=[t.colour for t in treatments])
    for row, value in enumerate(values):
        _write_value(axes, value, row, form(value) if np.isfinite(value) else "")


def _coverage(axes: Any, treatments: Sequence[Treatment]) -> None:
    _bars(
        axes, treatments, _values(treatments, "zone.tumour_coverage", 100.0), lambda v: f"{style.percent(v / 100.0)} %"
    )
    axes.axvline(100.0, color=INK, lw=1.2, ls="--")
    axes.set_xlim(0.0, 122.0)
    axes.set_xticks(range(0, 101, 20))
    axes.set_title("Tumour covered by the zone (%)", loc="left", pad=26, weight="bold")
    axes.text(0.0, 1.03, "below 100 %: living tumour is left", transform=axes.transAxes, size=9.5, color=FAINT)


def _margins(axes: Any, treatments: Sequence[Treatment]) -> None:
    values = _values(treatments, "zone.minimum_margin", 1e3)
    _bars(axes, treatments, values, lambda v: f"{v:+.1f} mm")
    low, high = min([0.0, *np.nan_to_num(values)]), max([SAFE_MARGIN, *np.nan_to_num(values)])
    room = 0.25 * (high - low)
    axes.set_xlim(low - (room if low < 0.0 else 0.02 * room), high + room)
    axes.axvspan(SAFE_MARGIN, axes.get_xlim()[1], color=style.ZONE, alpha=0.1, lw=0)
    axes.axvline(0.0, color=INK, lw=1.2)
    axes.set_title("Smallest margin around the tumour (mm)", loc="left", pad=26, weight="bold")
    axes.text(0.0, 1.03, "negative: tumour sticks out of the zone", transform=axes.transAxes, size=9.5, color=FAINT)


def _sizes(axes: Any, treatments: Sequence[Treatment]) -> None:
    long, short = (_values(treatments, f"zone.{which}_diameter", 1e3) for which in ("longest", "shortest"))
    for row, (a, b, treatment) in enumerate(zip(short, long, treatments, strict=True)):
        axes.plot([a, b], [row, row], color=treatment.colour, lw=5, solid_capstyle="round")
        _write_value(axes, b, row, f"{a:.0f} to {b:.0f} mm")
    volumes = [v for v in map(_tumour_volume, (t.run for t in treatments)) if np.isfinite(v)]
    if volumes:
        diameter = 10.0 * float(np.cbrt(6.0 * max(volumes) / np.pi))
        axes.axvline(
            diameter, color=style.TUMOUR, lw=1.4, ls="--", label=f"tumour, {diameter:.0f} mm (ball of its volume)"
        )
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), frameon=False, fontsize=9.5, borderpad=0.2)
    finite = [
        value for value in [*long, *short, *(10.0 * np.cbrt(6.0 * np.array(volumes) / np.pi))] if np.isfinite(value)
    ]
    if finite:
        axes.set_xlim(max(0.0, min(finite) - 0.1 * max(finite)), 1.28 * max(finite))
    axes.set_title("Zone, shortest to longest diameter (mm)", loc="left", pad=26, weight="bold")


def draw_zones(treatments: Sequence[Treatment], path: Path, stages: Mapping[Path, Stage] | None = None) -> Path:
    """The zones over the tumour, one panel a treatment, all under the same camera. Returns ``path``.

    ``stages``: scenes that were built already, by the folders of the runs.
    Raises ``RenderingError`` where nothing can be rendered.
    """
    built = [(stages or {}).get(treatment.run.folder) or run_stage(treatment.run) for treatment in treatments]
    camera = frame([_box(stage.of("tumour") + stage.of("zone"), stage.focus) for stage in built], room=1.12)
    columns = min(len(built), _IN_A_ROW)
    lines = -(-len(built) // columns)
    side, gap, above, below = 3.9, 0.18, 0.62, 0.42
    width = columns * (side + gap) + 0.38
    legend = 0.75
    height = 0.62 + lines * (side + above + below) + legend + 0.35
    shown: list[Layer] = []
    with sheet(width, height, title="Ablation zones over the tumour, seen by the same camera") as figure:
        for index, (treatment, stage) in enumerate(zip(treatments, built, strict=True)):
            line, column = divmod(index, columns)
            left = 0.28 + column * (side + gap)
            bottom = height - 0.62 - (line + 1) * (side + above + below) + below
            image = photograph(stage, camera, (int(_DPI * side), int(_DPI * side)), roles=_TREATED)
            axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
            show_image(axes, image, camera, scale_bar=True, compass=1.7 if index == 0 else 0.0)
            title = textwrap.fill(treatment.title, 40, max_lines=2, placeholder=" ...")
            axes.set_title(title, size=11.5, weight="bold", color=treatment.colour, loc="left")
            axes.set_xlabel(_caption(treatment.run), size=10.5, labelpad=6)
            shown += [layer for layer in stage.layers if layer.role in _TREATED]
        figure.legend(
            handles=handles(in_legend_order(_plain_labels(shown))),
            loc="center",
            bbox_to_anchor=(0.5, (legend / 2 + 0.35) / height),
            ncol=max(2, int(width / 2.1)),
            frameon=False,
            fontsize=10,
        )
        return save(figure, path)


def _box(layers: Sequence[Layer], otherwise: Any) -> Any:
    boxes = np.array([np.reshape(layer.surface.bounds, (3, 2)) for layer in layers])
    return np.stack([boxes[:, :, 0].min(0), boxes[:, :, 1].max(0)], axis=1) if len(boxes) else otherwise


def _plain_labels(layers: Sequence[Layer]) -> list[Layer]:
    """The same layers with labels that hold for every panel."""
    words = {style.ZONE: "ablation zone", style.TUMOUR: "tumour inside the zone"}
    return [replace(a, label=words.get(a.colour, a.label)) for a in layers]


def _caption(run: Run) -> str:
    zone, cover, margin = (
        number(run.summary, f"zone.{name}") for name in ("volume", "tumour_coverage", "minimum_margin")
    )
    parts = [
        "" if zone is None else f"zone {zone * 1e6:.1f} ml",
        "" if cover is None else f"covers {style.percent(cover)} %",
        "" if margin is None else f"margin {margin * 1e3:+.1f} mm",
    ]
    return ",  ".join(part for part in parts if part)
