"""``thermal view``: the scene in a window, or as a picture file without one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyvista as pv

from thermal import places
from thermal.assemble import make_engine
from thermal.case import Case
from thermal.domain import VoxelDomain
from thermal.errors import CaseError
from thermal.physics.scene import Device
from thermal.store import Run, read_run
from thermal.view import style
from thermal.view.camera import add_layers, aim, frame
from thermal.view.cells import body_nodes, nodal
from thermal.view.grids import grid, section
from thermal.view.outlines import centre_of_interest
from thermal.view.pictures import draw_stage
from thermal.view.rendering import RenderingError, display_problem, rendering_problem
from thermal.view.scene import Stage, anatomy_stage, run_stage
from thermal.view.sheet import headline
from thermal.view.treated import is_cold

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
    returned; else a window opens, with a slider of time for a run, and the call returns when it is closed.

    Raises ``RenderingError`` where there is no display (or, for a screenshot, no rendering), and ``CaseError`` for a
    folder that is not a finished run and for an anatomy that cannot be built.
    """
    if screenshot is not None and Path(screenshot).suffix.lower() not in PICTURES:
        raise CaseError(f"--screenshot {screenshot}: is no picture; the name must end with {', '.join(PICTURES)}")
    problem = display_problem() if screenshot is None else rendering_problem()
    if problem is not None:
        raise RenderingError(problem)
    shown = read_run(target) if isinstance(target, (str, Path)) else target
    run = shown if isinstance(shown, Run) else None
    stage = run_stage(shown) if isinstance(shown, Run) else case_stage(shown, devices)
    if screenshot is not None:
        numbers = [] if run is None else headline(run.summary)
        return draw_stage(stage, Path(screenshot), numbers, whole=run is None)
    plotter = build_window(stage, run, off_screen=False)
    plotter.show(title=f"thermal - {stage.title} - {style.RESEARCH_NOTE}")
    return None


def case_stage(case: Case, devices: Sequence[Device] | None = None) -> Stage:
    """Anatomy and devices of a case, from its file alone; what is misplaced is shown where it is, with a warning.

    Raises ``CaseError`` for an anatomy that cannot be built.
    """
    anatomy = case.anatomy.build(case.folder)
    for problem in places.misplaced(case, make_engine(anatomy)):
        _log.warning(problem)
    held = [name for name, tissue in case.tissues.items() if tissue.temperature is not None]
    placed = places.devices(case) if devices is None else devices
    return anatomy_stage(anatomy, placed, title=case.title or case.name, held=held)


def build_window(stage: Stage, run: Run | None, *, off_screen: bool) -> Any:
    """The pyvista plotter of a stage with legend, axes and rulers in mm; with a slider of time when the run has frames.

    The caller shows and closes it.
    """
    plotter = pv.Plotter(off_screen=off_screen, window_size=[1280, 900])
    plotter.background_color = "white"
    add_layers(plotter, stage.layers, labelled=True)
    plotter.enable_depth_peeling(number_of_peels=8)
    plotter.enable_anti_aliasing("ssaa")
    plotter.render_window.SetMultiSamples(0)  # multi-sampling and depth peeling exclude each other
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
    aim(plotter, frame([stage.bounds], room=1.3))
    if run is not None and len(run.times) > 1:
        add_time_slider(plotter, run)
    return plotter


def add_time_slider(plotter: Any, run: Run) -> Any:
    """Put a slice of the temperature through the tumour into the plotter, with a slider over the saved times.

    The colour scale is the same at all times. Returns the slice, whose ``temperature`` (degC) the slider changes.
    """
    body = body_nodes(run.domain)
    frames = range(len(run.times))
    extremes = np.array([[t[body].min(), t[body].max()] for t in map(run.temperature, frames)])
    scale = style.temperature_scale(float(extremes[:, 0].min()), float(extremes[:, 1].max()))
    mesh = grid(run.domain)
    mesh["temperature"] = nodal(run.domain, run.temperature(0))
    if isinstance(run.domain, VoxelDomain):
        mesh = mesh.extract_cells(np.flatnonzero(run.domain.solid.reshape(run.domain.cell_shape).ravel(order="F")))
    centre = centre_of_interest(run)
    plane = section(run.domain, mesh, centre)
    values = [np.array(plane["temperature"])]
    for index in frames[1:]:
        mesh["temperature"] = _on(mesh, run, index)
        values.append(np.array(section(run.domain, mesh, centre)["temperature"]))
    plotter.add_mesh(
        plane,
        scalars="temperature",
        cmap=scale.colours,
        clim=(scale.low, scale.high),
        opacity="linear_r" if is_cold(run) else "linear",  # tissue at body temperature does not hide what is behind
        lighting=False,
        scalar_bar_args={"title": "temperature (°C)", "color": "black", "vertical": True, "position_x": 0.9},
    )

    def move(position: float) -> None:
        index = round(position)
        plane["temperature"][:] = values[index]
        plane.Modified()
        plotter.add_text(f"{run.times[index]:.0f} s", position=(0.47, 0.95), viewport=True, font_size=11, name="time")

    plotter.add_slider_widget(
        move,
        rng=(0, len(run.times) - 1),
        value=len(run.times) - 1,
        title="saved time",
        pointa=(0.3, 0.93),
        pointb=(0.66, 0.93),
        title_height=0.018,
        slider_width=0.02,
        tube_width=0.004,
        fmt="%.0f",
        color="black",
        interaction_event="always",
    )
    move(float(len(run.times) - 1))
    return plane


def _on(mesh: Any, run: Run, index: int) -> Any:
    """Temperature of a frame at the points of ``mesh``, which is all of the grid or its body."""
    values = nodal(run.domain, run.temperature(index))
    return values[mesh["vtkOriginalPointIds"]] if "vtkOriginalPointIds" in mesh.point_data else values
