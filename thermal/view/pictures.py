"""The two pictures of every run: ``overview.png`` in 3-D and ``slices.png`` through the tumour."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from thermal.store import Run
from thermal.store.files import read_json
from thermal.store.names import RESOLVED, SUMMARY
from thermal.view.camera import frame, photograph
from thermal.view.rendering import rendering_problem
from thermal.view.scene import Layer, Stage, run_stage
from thermal.view.sheet import FAINT, handles, headline, in_legend_order, save, sheet, show_image
from thermal.view.slices import draw_slices

logger = logging.getLogger(__name__)


def draw(target: Run | Path | str, stage: Stage | None = None) -> list[Path]:
    """Draw the pictures of a run into its folder and return their paths.

    ``stage``: its scene, where that was built already. A folder need not be marked as done yet: fields, summary and
    resolved case are enough. Raises ``CaseError`` when one of these is missing or damaged.

    Where nothing can be rendered, the 3-D picture is left out and the reason is logged as a warning: ask
    :func:`thermal.view.rendering.rendering_problem` for it.
    """
    run = target if isinstance(target, Run) else unfinished_run(Path(target))
    drawn = []
    problem = rendering_problem()
    if problem is None:
        drawn.append(draw_stage(stage or run_stage(run), run.folder / "overview.png", headline(run.summary)))
    else:
        logger.warning("no 3-D picture: %s", problem)
    drawn.append(draw_slices(run, run.folder / "slices.png"))
    return drawn


def unfinished_run(folder: Path) -> Run:
    """A run whose results stand but which is perhaps not marked as done yet."""
    return Run(folder, summary=read_json(folder / SUMMARY), resolved=read_json(folder / RESOLVED))


def draw_stage(stage: Stage, path: Path, numbers: list[tuple[str, str]] | None = None, *, whole: bool = False) -> Path:
    """One sheet with the 3-D picture of what was treated, the window with its organs as an inset, legend, ``numbers``.

    ``whole``: the other way round, the window in the large picture (for anatomies before treatment).
    Raises ``RenderingError`` where nothing can be rendered.
    """
    width, height, left = 12.5, 8.2, 8.3  # inches: sheet, and width of the main picture
    top, low = height - 0.62, 0.36
    close, wide = frame([stage.focus]), frame([stage.bounds], room=1.05)
    camera, other = (wide, close) if whole else (close, wide)
    main = photograph(stage, camera, (int(_DPI * left), int(_DPI * (top - low))), roles=_ROLES[whole], window=whole)
    small = photograph(stage, other, (300, 300), roles=_ROLES[not whole], window=not whole, finer=2 if whole else 1)
    with sheet(width, height, title=stage.title or "Untitled case") as figure:
        axes = figure.add_axes((0.2 / width, low / height, left / width, (top - low) / height))
        show_image(axes, main, camera)
        side = left + 0.45
        inset = figure.add_axes((side / width, (top - 2.75) / height, 2.75 / width, 2.75 / height))
        show_image(inset, small, other, scale_bar=whole, compass=0.0)
        size = " × ".join(f"{extent:.0f}" for extent in np.ptp(stage.bounds, axis=1))
        figure.text(
            side / width,
            (top - 2.9) / height,
            "tumour" if whole else f"whole window, {size} mm",
            size=9,
            color=FAINT,
            va="top",
        )
        below = top - 3.35
        legend = figure.legend(
            handles=handles(_legend_layers(stage, _LEGEND_LINES - len(numbers or []))),
            loc="upper left",
            bbox_to_anchor=((side - 0.05) / width, below / height),
            frameon=False,
            fontsize=10.5,
            borderpad=0.0,
            borderaxespad=0.0,
            handlelength=1.3,
        )
        _write_numbers(figure, legend, side, width, height, numbers or [])
        lower, upper = stage.bounds[:, 0], stage.bounds[:, 1]
        spans = ", ".join(f"{n} {a:.0f} to {b:.0f}" for n, a, b in zip("xyz", lower, upper, strict=True))
        note = f"patient coordinates in mm (x to the right R, y to the front A, z to the head S): {spans}"
        figure.text(0.2 / width, 0.17 / height, note, size=9, color=FAINT, va="center")
        return save(figure, path, _DPI)


_ROLES = {
    False: ("tumour", "zone", "particles", "vessel", "device"),
    True: ("tumour", "zone", "vessel", "organ", "device"),
}
"""What is drawn close up, and in a picture of the whole window."""
_LEGEND_LINES = 15
_DPI = 110


def _legend_layers(stage: Stage, lines: int) -> list[Layer]:
    """The layers for the legend: everything treated, and as many of the largest organs as there is room for."""
    ordered = in_legend_order(stage.layers)
    treated = [layer for layer in ordered if layer.role != "organ"]
    return treated + [layer for layer in ordered if layer.role == "organ"][: max(0, lines - len(treated))]


def _write_numbers(
    figure: Any, legend: Any, side: float, width: float, height: float, numbers: list[tuple[str, str]]
) -> None:
    y = legend.get_window_extent(figure.canvas.get_renderer()).y0 / figure.dpi - 0.35
    for name, value in numbers:
        figure.text(side / width, y / height, name, size=10.5, va="center", color=FAINT)
        figure.text((width - 0.25) / width, y / height, value, size=11.5, va="center", ha="right", weight="bold")
        y -= 0.27
