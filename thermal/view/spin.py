"""The 3-D picture of a run as a page that turns under the mouse, with everything it needs inside.

The scene is described in the words of vtk.js by the serialisers of ``trame-vtk`` and put into its viewer; its server,
which would look for files on the network, is left out.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pyvista as pv

from thermal.store import Run
from thermal.view.camera import aim, frame
from thermal.view.outlines import centre_of_interest
from thermal.view.painting import Painter
from thermal.view.panel import slice_surface
from thermal.view.rendering import rendering_problem, require_rendering
from thermal.view.scene import Stage, run_stage

SLICE_PIXELS = 110
"""Along each side of the slice; each is a square that the page carries with it."""
ROLES = ("tumour", "zone", "particles", "vessel", "device")


def turning_scene(run: Run, stage: Stage | None = None) -> tuple[str | None, str]:
    """HTML of the scene of a run, and why there is none where it cannot be made. ``stage``: if it was built already."""
    problem = rendering_problem()
    if problem is not None:
        return None, problem
    try:
        from trame_vtk.tools.vtksz2html import write_html
    except ImportError:
        return None, 'a scene that turns needs: pip install "thermal[web]"'
    page = io.StringIO()
    write_html(_packed(_described(run, stage or run_stage(run))), page)
    return page.getvalue(), ""


def _described(run: Run, stage: Stage) -> dict[str, Any]:
    """The scene and its arrays."""
    from trame_vtk.modules.vtk import serializers

    require_rendering()
    plotter = pv.Plotter(off_screen=True, window_size=[900, 700])
    plotter.background_color = "white"
    for layer in stage.layers:
        if layer.role in ROLES:
            plotter.add_mesh(
                layer.surface, color=layer.colour, opacity=layer.opacity, point_size=4, show_scalar_bar=False
            )
    painter = Painter(run)
    place, time = centre_of_interest(run), float(run.times[-1]) if len(run.times) else 0.0
    what = next(iter(painter.quantities))
    plane = slice_surface(painter, stage.bounds, place, 2, time, what, SLICE_PIXELS)
    plotter.add_mesh(plane, scalars="colours", rgb=True, lighting=False, show_scalar_bar=False)
    aim(plotter.renderer, frame([stage.focus]))
    plotter.render()
    serializers.initialize_serializers()
    context = serializers.SynchronizationContext()
    context.set_ignore_last_dependencies(True)
    window = plotter.render_window
    scene = serializers.serialize(None, window, serializers.reference_id(window), context, 1)
    camera = plotter.renderer.GetActiveCamera()
    scene["extra"] = {
        "vtkRefId": serializers.reference_id(window),
        "centerOfRotation": camera.GetFocalPoint(),
        "camera": serializers.reference_id(camera),
    }
    arrays = {
        entry["hash"]: {**entry, "content": context.get_cached_data_array(entry["hash"], False)}
        for entry in serializers.extract_array_hash(scene)
    }
    plotter.close()
    return {"hashes": arrays, "scene": scene}


def _packed(description: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.json", json.dumps(description))
    return stream.getvalue()
