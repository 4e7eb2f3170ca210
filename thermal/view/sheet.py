"""The sheet around a 3-D image: compass, scale bar, legend, numbers, title and note, set with matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import PIL.Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from thermal.store.files import atomic
from thermal.view import style
from thermal.view.camera import DIRECTIONS, OPPOSITE, Camera, Image
from thermal.view.scene import Layer

INK = "#222222"
FAINT = "#666666"

_SETTINGS: dict[str, Any] = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 12,
}


@contextmanager
def sheet(width: float, height: float, *, title: str = "") -> Iterator[Figure]:
    """A figure of ``width`` x ``height`` inches in the house style, with its title and the research note."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        if title:
            figure.text(0.28 / width, 1 - 0.33 / height, title, size=16, weight="bold", va="center")
        figure.text(1 - 0.25 / width, 0.17 / height, style.RESEARCH_NOTE, size=9, color=FAINT, ha="right", va="center")
        yield figure


def save(figure: Figure, path: Path, dpi: int = 120) -> Path:
    """Write the figure atomically in the format of ``path``'s suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as scratch:
        fast = {"compress_level": 3} if path.suffix.lower() == ".png" else None
        figure.savefig(scratch, dpi=dpi, pil_kwargs=fast)
    return path


def write_picture(image: Image, path: Path) -> Path:
    """Write an image (height, width, 3) in the format of ``path``'s suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as scratch:
        PIL.Image.fromarray(image).save(scratch)
    return path


def show_image(axes: Any, image: Image, camera: Camera, *, scale_bar: bool = True, compass: float = 1.0) -> None:
    """Fill ``axes`` with a 3-D image, a scale bar in mm and the patient's directions, ``compass`` times as large."""
    height, width = image.shape[:2]
    half_width = camera.half_height * width / height
    axes.imshow(image, extent=(-half_width, half_width, -camera.half_height, camera.half_height), aspect="equal")
    axes.set(xticks=[], yticks=[], xlim=(-half_width, half_width), ylim=(-camera.half_height, camera.half_height))
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#d0d0d0")
    if scale_bar:
        draw_scale_bar(axes, half_width, camera.half_height)
    if compass > 0.0:
        _draw_compass(axes, camera, half_width, 0.1 * camera.half_height * compass)


def draw_scale_bar(axes: Any, half_width: float, half_height: float, ink: str = INK) -> None:
    """A bar of a round number of mm at the lower right of axes whose data are mm around zero."""
    length = max(size for size in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0) if size <= max(0.5 * half_width, 1.0))
    right, low = 0.94 * half_width, -0.92 * half_height
    axes.plot([right - length, right], [low, low], color=ink, lw=3, solid_capstyle="butt")
    axes.text(
        right - 0.5 * length, low + 0.03 * half_height, f"{length:g} mm", ha="center", va="bottom", size=10, color=ink
    )


def _draw_compass(axes: Any, camera: Camera, half_width: float, reach: float) -> None:
    """Arrows along the patient's axes as they lie in the picture, each end with its letter."""
    right, up = camera.axes()
    x0, y0 = -half_width + 2.1 * reach, -camera.half_height + 2.1 * reach
    towards = np.asarray(camera.towards)
    for letter, direction in DIRECTIONS.items():
        vector = np.asarray(direction)
        x, y = float(vector @ right), float(vector @ up)
        if np.hypot(x, y) < 0.12:
            continue
        for sign, name in ((1.0, letter), (-1.0, OPPOSITE[letter])):
            near = sign * float(vector @ towards) > -1e-9
            shade = INK if near else FAINT
            tip = (x0 + sign * x * reach, y0 + sign * y * reach)
            axes.annotate(
                "",
                xy=tip,
                xytext=(x0, y0),
                arrowprops={"arrowstyle": "-|>", "color": shade, "lw": 1.4 if near else 0.9},
            )
            away = 1.0 + 0.5 * reach / (reach * float(np.hypot(x, y)))
            axes.text(
                x0 + sign * x * reach * away,
                y0 + sign * y * reach * away,
                name,
                ha="center",
                va="center",
                size=10,
                weight="bold" if near else "normal",
                color=shade,
            )


def handles(layers: Iterable[Layer]) -> list[Any]:
    """Legend handles of layers, one a label."""
    found: dict[str, Any] = {}
    for layer in layers:
        if layer.role == "particles":
            mark: Any = Line2D([], [], ls="", marker="o", ms=5, color=layer.colour, label=layer.label)
        elif layer.role == "device":
            mark = Line2D([], [], lw=4, color=layer.colour, label=layer.label)
        else:
            face = (*to_rgb(layer.colour), max(layer.opacity, 0.3))
            mark = Patch(facecolor=face, edgecolor=layer.colour, linewidth=1.5, label=layer.label)
        found.setdefault(layer.label, mark)
    return list(found.values())


LEGEND_ROLES = ("tumour", "zone", "particles", "device", "vessel", "organ")
"""Order of the legend: what was treated first, surroundings last."""


def in_legend_order(layers: Iterable[Layer]) -> list[Layer]:
    """Layers sorted for a legend."""
    return sorted(layers, key=lambda layer: LEGEND_ROLES.index(layer.role))


def number(summary: Mapping[str, Any], key: str) -> float | None:
    """A number of ``summary.json`` in its SI unit (degC for temperatures), ``None`` when absent or not finite."""
    entry = summary.get(key)
    value = entry.get("value") if isinstance(entry, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        return None
    return float(value)


def word(summary: Mapping[str, Any], key: str) -> str:
    """A text of ``summary.json``, empty when absent."""
    entry = summary.get(key)
    value = entry.get("value") if isinstance(entry, Mapping) else None
    return value if isinstance(value, str) else ""


def headline(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers a reader wants first: ``(name, value with unit)``, only those that the run has."""
    lines: Sequence[tuple[str, str, Callable[[float], str]]] = (
        ("Zone volume", "zone.volume", lambda v: f"{v * 1e6:.2f} ml"),
        ("Tumour covered", "zone.tumour_coverage", lambda v: f"{style.percent(v)} %"),
        ("Smallest margin", "zone.minimum_margin", lambda v: f"{v * 1e3:+.1f} mm"),
        ("Healthy tissue lost", "zone.healthy_volume", lambda v: f"{v * 1e6:.2f} ml"),
        ("Highest temperature", "peak_temperature", lambda v: f"{v:.1f} °C"),
    )
    values = [(name, number(summary, key), form) for name, key, form in lines]
    found = [(name, form(value)) for name, value, form in values if value is not None]
    lowest = number(summary, "lowest_temperature")
    if lowest is not None and lowest < 30.0:
        found.append(("Lowest temperature", f"{lowest:.1f} °C"))
    return found
