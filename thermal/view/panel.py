"""One run in one renderer: its surfaces, slices that move, planes that clip, and the moment shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyvista as pv
from vtkmodules.vtkCommonDataModel import vtkPlane
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.camera import add_layers
from thermal.view.film import Film
from thermal.view.outlines import centre_of_interest
from thermal.view.painting import Painter
from thermal.view.planes import PLANES, Cut
from thermal.view.scene import Layer, Stage, run_stage, treated_layers, tumour_layers
from thermal.view.treated import margin_surface

SLICE_PIXELS = 220
"""Along each side of a slice in the 3-D picture."""
SHOWN = frozenset({"tumour", "zone", "particles", "vessel", "device"})
"""Roles that are seen at first; organs would veil them."""
_MOST_GROWN = 150
"""Moments whose zones are kept for the next time they are shown."""
MARGIN_SCALE = (-10.0, 10.0)
"""mm; blue where the zone reaches further than the tumour, red where it does not."""
MARGIN_COLOURS = "coolwarm_r"


class Panel:
    """Draws a run into the renderer of a plotter that is active when the panel is made."""

    def __init__(self, plotter: Any, run: Run, stage: Stage | None = None, scale: style.Scale | None = None) -> None:
        self.run = run
        self.stage = stage or run_stage(run)
        self.film = Film(run)
        self._plotter = plotter
        self.painter = Painter(run, self.film, scale)
        self.quantity = next(iter(self.painter.quantities))
        self.time = float(self.film.times[-1]) if len(self.film) else 0.0
        self.place = np.asarray(centre_of_interest(run), dtype=float)
        """(3,) mm, where the slices cross."""
        self._renderer = plotter.renderer
        self._shown = set(SHOWN)
        self._sliced: set[int] = set()
        self._slices: dict[int, Any] = {}
        self._clips: dict[int, Any] = {}
        self._actors: dict[str, list[Any]] = {}
        self._margin: Any = None
        self._coloured = False
        self._add(self.stage.layers)
        self.treated = self.stage.of("zone") + self.stage.of("tumour")
        """The zone and what it leaves of the tumour, as they are shown."""
        self._grown: dict[int, tuple[Layer, ...]] = {len(self.film) - 1: self.treated}

    def actors(self, role: str) -> Sequence[Any]:
        """What draws the layers with a role."""
        return self._actors.get(role, ())

    # --- what is seen

    def show(self, role: str, seen: bool) -> None:
        """Show or hide all layers with a role."""
        (self._shown.add if seen else self._shown.discard)(role)
        self._update(role)

    def shows(self, role: str) -> bool:
        """Whether layers with this role are seen."""
        return role in self._shown

    def colour_margin(self, coloured: bool) -> None:
        """Colour the border of the zone by its signed distance from the tumour, in place of its plain colour."""
        self._coloured = coloured
        if coloured and self._margin is None:
            zones = [layer for layer in self.treated if layer.role == "zone"]
            surface = margin_surface(self.run, zones[0].surface) if zones else None
            if surface is None:
                return
            table = pv.LookupTable(MARGIN_COLOURS, n_values=256, scalar_range=MARGIN_SCALE)
            surface.set_active_scalars("margin")
            self._margin = _actor(surface, table)
            self._margin.GetProperty().SetAmbient(0.35)
            self._margin.GetProperty().SetDiffuse(0.75)
            self._renderer.AddActor(self._margin)
            self._cut_open([self._margin])
        for role in ("zone", "tumour", "particles"):
            self._update(role)

    @property
    def coloured(self) -> bool:
        """Whether the border of the zone shows the margin now."""
        return self._coloured and self._margin is not None

    def _update(self, role: str) -> None:
        hidden = self.coloured and role in ("zone", "tumour", "particles")
        for actor in self._actors.get(role, ()):
            actor.SetVisibility(role in self._shown and not hidden)
        if self._margin is not None:
            self._margin.SetVisibility(self.coloured and "zone" in self._shown)

    # --- slices

    def slice(self, normal: int, seen: bool) -> None:
        """Show or hide the slice across an axis (0, 1, 2 for x, y, z)."""
        (self._sliced.add if seen else self._sliced.discard)(normal)
        self._paint([normal])

    def slices(self, normal: int) -> bool:
        """Whether the slice across this axis is seen."""
        return normal in self._sliced

    def move(self, place: Array) -> None:
        """Let the slices and clipping planes cross at another place (3,) mm."""
        changed = [axis for axis in range(3) if place[axis] != self.place[axis]]
        self.place = np.asarray(place, dtype=float)
        for axis in changed:
            if axis in self._clips:
                self._clips[axis].SetOrigin(*self.place)
        self._paint(changed)

    def show_time(self, time: float) -> None:
        """Show the last moment saved at or before ``time`` (s)."""
        self.time = time
        if self.film.grows:
            self._grow(self.film.index(time))
        self._paint(range(3))

    def _grow(self, index: int) -> None:
        """Let the zone, and what it leaves of the tumour, be as they were at a saved time."""
        if index not in self._grown:
            while len(self._grown) >= _MOST_GROWN:
                self._grown.pop(next(iter(self._grown)))
            self._grown[index] = treated_layers(self.run, self._tumour, index)
        if self._grown[index] is self.treated:
            return
        self.treated = self._grown[index]
        margins = [] if self._margin is None else [self._margin]
        for actor in (*self._actors.pop("zone", ()), *self._actors.pop("tumour", ()), *margins):
            self._renderer.remove_actor(actor, render=False)
        self._margin = None
        self._add(self.treated)
        if self._coloured:
            self.colour_margin(True)

    @cached_property
    def _tumour(self) -> tuple[Layer, ...]:
        return tumour_layers(self.run)

    def _add(self, layers: Iterable[Layer]) -> None:
        """Put layers into this panel's renderer, whichever is the plotter's active one."""
        renderers = self._plotter.renderers
        active = renderers.active_index
        own = next(place for place, renderer in enumerate(renderers) if renderer is self._renderer)
        renderers.set_active_renderer(*renderers.index_to_loc(own))
        for layer in layers:
            before = set(self._renderer.actors)
            add_layers(self._plotter, [layer])
            added = [actor for name, actor in self._renderer.actors.items() if name not in before]
            self._actors.setdefault(layer.role, []).extend(added)
            self._cut_open(added)
        renderers.set_active_renderer(*renderers.index_to_loc(active))
        for role in self._actors:
            self._update(role)

    def show_quantity(self, name: str) -> None:
        """Let the slices show another quantity, where the run has it."""
        if name in self.painter.quantities:
            self.quantity = name
            self._paint(range(3))

    def _paint(self, normals: Iterable[int]) -> None:
        for normal in normals:
            if normal in self._sliced:
                surface = slice_surface(self.painter, self.stage.bounds, self.place, normal, self.time, self.quantity)
                if normal not in self._slices:
                    self._slices[normal] = _actor(surface)
                    self._slices[normal].GetProperty().LightingOff()
                    self._renderer.AddActor(self._slices[normal])
                self._slices[normal].GetMapper().SetInputData(surface)
            if normal in self._slices:
                self._slices[normal].SetVisibility(normal in self._sliced)

    # --- clipping

    def clip(self, axis: int, clipped: bool) -> None:
        """Take away what lies on the reader's side of the plane across ``axis`` where the slices cross."""
        if clipped and axis not in self._clips:
            plane = vtkPlane()
            plane.SetOrigin(*self.place)
            normal = [0.0, 0.0, 0.0]
            normal[axis] = -1.0
            plane.SetNormal(*normal)
            self._clips[axis] = plane
        elif not clipped:
            self._clips.pop(axis, None)
        self._cut_open(actor for actors in self._actors.values() for actor in actors)
        self._cut_open([self._margin] if self._margin is not None else [])

    def clips(self, axis: int) -> bool:
        """Whether the plane across this axis clips."""
        return axis in self._clips

    def _cut_open(self, actors: Iterable[Any]) -> None:
        for actor in actors:
            actor.GetMapper().RemoveAllClippingPlanes()
            for plane in self._clips.values():
                actor.GetMapper().AddClippingPlane(plane)

    # --- numbers

    @property
    def shown_time(self) -> float:
        """s, of the frame that is seen; NaN where none were kept."""
        return float(self.film.times[self.film.index(self.time)]) if len(self.film) else float("nan")

    def readings(self) -> dict[str, float]:
        """Of the frame that is seen: degC, lowest, highest and where the slices cross; the zone by then, ml and %."""
        if not len(self.film):
            return {}
        index = self.film.index(self.time)
        low, high = self.film.extremes(index)
        here = self.film.value(self.place, index)
        return {"lowest": low, "highest": high, "here": here, **self.film.grown(index)}


def slice_surface(
    painter: Painter, bounds: Array, place: Array, normal: int, time: float, quantity: str, pixels: int = SLICE_PIXELS
) -> Any:
    """A slice across an axis through ``place`` (3,) mm, as squares with the array ``colours``, ``pyvista.PolyData``.

    ``bounds``: (3, 2) mm, what it spans. ``time``: s.
    """
    plane = next(plane for plane in PLANES if plane.normal == normal)
    centre = bounds.mean(axis=1)
    half = 0.5 * float(np.delete(np.ptp(bounds, axis=1), normal).max())
    centre[normal] = place[normal]
    cut = Cut(plane, centre, half * (1.0 - 1.0 / pixels), pixels)
    colours, body = painter.paint(cut, time, quantity)
    return _squares(cut, colours[body], np.argwhere(body))


def _actor(surface: Any, table: Any = None) -> Any:
    """A surface with its active scalars as colours, or through a table of them."""
    mapper, actor = vtkPolyDataMapper(), vtkActor()
    mapper.SetInputData(surface)
    if table is not None:
        mapper.SetLookupTable(table)
        mapper.UseLookupTableScalarRangeOn()
    actor.SetMapper(mapper)
    return actor


def _squares(cut: Cut, colours: Any, places: Any) -> Any:
    """A square a pixel (k, 3 colours) at its row and column (k, 2); none where the body is not."""
    if not len(places):
        return pv.PolyData()
    offsets = np.linspace(-cut.half, cut.half, cut.pixels)
    step = offsets[1] - offsets[0]
    edges = np.append(offsets - 0.5 * step, offsets[-1] + 0.5 * step)
    count = len(edges)
    corners = np.empty((count, count, 3))
    corners[...] = cut.centre
    corners[..., cut.plane.across[0]] += cut.plane.across[1] * edges
    corners[..., cut.plane.up[0]] += cut.plane.up[1] * edges[:, None]
    first = places[:, 0] * count + places[:, 1]
    surface = pv.PolyData.from_regular_faces(
        corners.reshape(-1, 3), np.stack([first, first + 1, first + count + 1, first + count], axis=1)
    )
    surface.cell_data["colours"] = np.ascontiguousarray(colours)
    surface.set_active_scalars("colours", preference="cell")
    return surface
