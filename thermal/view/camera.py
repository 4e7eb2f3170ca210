"""One camera, and a 3-D image through it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvista as pv

from thermal.units import Array
from thermal.view.rendering import require_rendering
from thermal.view.scene import Layer, Stage

Image = npt.NDArray[np.uint8]
"""(height, width, 3) red, green, blue."""

DIRECTIONS = {"R": (1.0, 0.0, 0.0), "A": (0.0, 1.0, 0.0), "S": (0.0, 0.0, 1.0)}
"""Positive axes of patient coordinates: right, anterior, superior; the other ends are L, P, I."""
OPPOSITE = {"R": "L", "A": "P", "S": "I"}

_FROM = (0.62, 1.0, 0.42)  # the reader stands in front of the patient, a little to the right and above
_NARROWEST = 12.0  # mm, half of the smallest height shown


@dataclass(frozen=True)
class Camera:
    """A parallel projection, so one scale bar holds everywhere in the picture.

    ``centre``: (3,) mm. ``towards``: (3,) unit vector from the centre to the reader. ``half_height``: mm.
    """

    centre: tuple[float, float, float]
    towards: tuple[float, float, float]
    half_height: float

    def axes(self) -> tuple[Array, Array]:
        """Unit vectors (3,) to the right and upwards in the picture, in patient coordinates."""
        forward = -np.asarray(self.towards)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return right, np.cross(right, forward)


def frame(boxes: Iterable[Array], towards: Sequence[float] = _FROM, room: float = 1.22) -> Camera:
    """The camera that sees all ``boxes`` ((3, 2) each, mm), with ``room`` around them."""
    stack = np.stack(list(boxes))
    lower, upper = stack[:, :, 0].min(axis=0), stack[:, :, 1].max(axis=0)
    x, y, z = (0.5 * (lower + upper)).tolist()
    half = max(_NARROWEST, room * 0.5 * float(np.linalg.norm(upper - lower)) / 1.2247)
    a, b, c = (np.asarray(towards, dtype=float) / float(np.linalg.norm(towards))).tolist()
    return Camera((x, y, z), (a, b, c), half)


def add_layers(plotter: Any, layers: Iterable[Layer], *, labelled: bool = False, pen: float = 1.0) -> None:
    """Put surfaces into a pyvista plotter; who shows it renders.

    ``labelled`` gives each its line in the plotter's own legend; ``pen`` thickens dots and outlines.
    """
    suppressed, plotter.suppress_rendering = (
        plotter.suppress_rendering,
        True,
    )  # else every surface draws the whole scene
    for layer in layers:
        if layer.role == "particles":
            plotter.add_mesh(
                layer.surface,
                color=layer.colour,
                render_points_as_spheres=True,
                point_size=5 * pen,
                ambient=0.5,
                label=layer.label if labelled else None,
            )
            continue
        if layer.role in ("zone", "tumour"):
            plotter.add_silhouette(layer.surface, color=layer.colour, line_width=2 * pen, decimate=None)
        glossy = {"specular": 0.3, "specular_power": 15} if layer.role in ("device", "vessel") else {}
        plotter.add_mesh(
            layer.surface,
            color=layer.colour,
            opacity=layer.opacity,
            smooth_shading=True,
            split_sharp_edges=layer.role == "device",
            label=layer.label if labelled else None,
            show_scalar_bar=False,
            scalars=None,
            ambient=0.35,
            diffuse=0.75,
            **glossy,
        )
    plotter.suppress_rendering = suppressed


def aim(renderer: Any, camera: Camera) -> None:
    """Point the camera of a renderer."""
    centre, towards = np.asarray(camera.centre), np.asarray(camera.towards)
    renderer.enable_parallel_projection()
    renderer.camera.focal_point = camera.centre
    renderer.camera.position = tuple((centre + 12.0 * camera.half_height * towards).tolist())
    renderer.camera.up = (0.0, 0.0, 1.0)
    renderer.camera.parallel_scale = camera.half_height
    renderer.ResetCameraClippingRange()


def blend(plotter: Any) -> None:
    """Draw translucent surfaces in any order in one pass, by weighted blending.

    Many layers of organs look as with depth peeling, at a third of its work where a processor draws.
    """
    plotter.renderer.SetUseOIT(True)
    plotter.render_window.SetMultiSamples(0)  # multi-sampling and blending without order exclude each other


def photograph(
    stage: Stage,
    camera: Camera,
    size: tuple[int, int],
    *,
    roles: Iterable[str] | None = None,
    window: bool = False,
    finer: int = 2,
) -> Image:
    """Render a stage off-screen to an image of ``size`` (width, height) pixels.

    ``roles``: draw only these. ``window``: also the edges of the computed window. ``finer``: how many times finer the
    image is rendered before it is averaged, which smooths its edges.
    Raises ``RenderingError`` where nothing can be rendered.
    """
    require_rendering()
    wanted = None if roles is None else frozenset(roles)
    width, height = size
    plotter = pv.Plotter(off_screen=True, window_size=[finer * width, finer * height])
    try:
        plotter.background_color = "white"
        shown = (layer for layer in stage.layers if wanted is None or layer.role in wanted)
        add_layers(plotter, shown, pen=float(finer))
        if window:
            plotter.add_mesh(pv.Box(stage.bounds.ravel()), style="wireframe", color="#9a9a9a", line_width=1)
        blend(plotter)
        aim(plotter.renderer, camera)
        image = plotter.screenshot(None, return_img=True)[..., :3]
        blocks = image.reshape(height, finer, width, finer, 3).mean(axis=(1, 3))
        return np.asarray(np.rint(blocks), dtype=np.uint8)
    finally:
        plotter.close()
