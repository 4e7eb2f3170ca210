"""``thermal view``: the scene in a window, or as a picture file without one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyvista as pv

from thermal.errors import CaseError
from thermal.physics.scene import Device
from thermal.store import Run, read_run
from thermal.view import style
from thermal.view.camera import add_layers, aim, blend, frame
from thermal.view.pictures import draw_stage
from thermal.view.player import Player
from thermal.view.rendering import RenderingError, display_problem, rendering_problem
from thermal.view.scene import Stage, anatomy_stage, run_stage
from thermal.view.sheet import headline, write_picture
from thermal.view.window import Window

if TYPE_CHECKING:
    from thermal.case import Case

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
"""Endings of picture files."""

_log = logging.getLogger("thermal")


def show(
    target: Run | Case | Path | str,
    screenshot: Path | str | None = None,
    devices: Sequence[Device] | None = None,
) -> Path | None:
    """Show a finished run, or a case before anything is solved.

    ``target``: a run, its folder, or a case. ``devices``: those of a case, by default what its delivery and heating
    place; a run knows its own. With ``screenshot`` the picture is written there without a window and its path is
    returned; else a window opens, and the call returns when it is closed. Runs side by side: :func:`show_runs`.

    Raises ``RenderingError`` where there is no display (or, for a screenshot, no rendering), and ``CaseError`` for a
    folder that is not a finished run and for an anatomy that cannot be built.
    """
    shown = read_run(target) if isinstance(target, (str, Path)) else target
    if isinstance(shown, Run):
        return show_runs([shown], screenshot)
    _ready(screenshot)
    stage = case_stage(shown, devices)
    if screenshot is not None:
        return draw_stage(stage, Path(screenshot), [], whole=True)
    plotter = build_window(stage, off_screen=False)
    plotter.show(title=f"thermal - {stage.title} - {style.RESEARCH_NOTE}")
    return None


def show_runs(runs: Sequence[Run], screenshot: Path | str | None = None) -> Path | None:
    """Show finished runs side by side in a window, with linked cameras and one clock.

    With ``screenshot`` a picture is written without a window and its path is returned: of one run its sheet, of several
    the panels. Raises ``RenderingError`` where there is no display (or, for a picture, no rendering).
    """
    _ready(screenshot)
    if screenshot is None:
        Window(Player(runs, off_screen=False, slider=True)).run()
        return None
    if len(runs) == 1:
        return draw_stage(run_stage(runs[0]), Path(screenshot), headline(runs[0].summary))
    player = Player(runs, off_screen=True)
    try:
        return write_picture(player.picture(), Path(screenshot))
    finally:
        player.close()


def _ready(screenshot: Path | str | None) -> None:
    """Refuse what cannot be shown here."""
    if screenshot is not None and Path(screenshot).suffix.lower() not in PICTURES:
        raise CaseError(f"--screenshot {screenshot}: is no picture; the name must end with {', '.join(PICTURES)}")
    problem = display_problem() if screenshot is None else rendering_problem()
    if problem is not None:
        raise RenderingError(problem)


def case_stage(case: Case, devices: Sequence[Device] | None = None) -> Stage:
    """Anatomy and devices of a case, from its file alone; what is misplaced is shown where it is, with a warning.

    Raises ``CaseError`` for an anatomy that cannot be built.
    """
    from thermal.assemble import make_engine  # compiled kernels, for which who shows a run does not wait
    from thermal.simulation import places

    anatomy = case.anatomy.build(case.folder)
    for problem in places.misplaced(case, make_engine(anatomy)):
        _log.warning(problem)
    held = [name for name, tissue in case.tissues.items() if tissue.temperature is not None]
    placed = places.devices(case) if devices is None else devices
    return anatomy_stage(anatomy, placed, title=case.title or case.name, held=held)


def build_window(stage: Stage, *, off_screen: bool) -> Any:
    """The pyvista plotter of a case's stage with legend, axes and rulers in mm.

    The caller shows and closes it.
    """
    plotter = pv.Plotter(off_screen=off_screen, window_size=[1280, 900])
    plotter.background_color = "white"
    add_layers(plotter, stage.layers, labelled=True)
    plotter.enable_anti_aliasing("ssaa")
    blend(plotter)
    if stage.layers:
        plotter.add_legend(bcolor="white", border=False, size=(0.24, 0.035 * len(stage.layers)), face="rectangle")
    plotter.add_text(stage.title or "Untitled case", position="upper_left", font_size=12, color="black")
    plotter.add_text(style.RESEARCH_NOTE, position="lower_right", font_size=8, color="grey")
    labels = ("R", "L", "A", "P", "S", "I")
    plotter.add_orientation_widget(pv.AxesAssemblySymmetric(labels=labels, label_size=24))
    rulers = plotter.show_bounds(
        mesh=pv.Box(stage.bounds.ravel()),
        location="outer",
        xtitle="R (mm)",
        ytitle="A (mm)",
        ztitle="S (mm)",
        color="grey",
        n_xlabels=4,
        n_ylabels=4,
        n_zlabels=4,
        fmt="%.0f",
    )
    rulers.SetScreenSize(4.5)
    aim(plotter.renderer, frame([stage.bounds], room=1.3))
    return plotter
