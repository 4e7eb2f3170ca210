"""Several runs side by side, with one camera and one clock: what the window, the browser and a movie all show."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyvista as pv
import pyvista.plotting  # pyvista itself waits with it until the first plotter
from matplotlib.ticker import MaxNLocator
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkRenderingAnnotation import vtkScalarBarActor
from vtkmodules.vtkRenderingCore import vtkCellPicker

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.camera import Image, aim, blend, frame
from thermal.view.film import Film
from thermal.view.panel import MARGIN_COLOURS, MARGIN_SCALE, Panel
from thermal.view.rendering import require_rendering
from thermal.view.scene import LEFT, Layer
from thermal.view.sheet import in_legend_order
from thermal.view.trace import Trace
from thermal.view.treated import is_cold

_STRIP = 0.3
"""Height of the strip with the history under the panels, as a share of theirs."""
_SLIDER = 0.1
_IN_A_ROW = 3
_TICKS = 5
"""Intervals at most between the numbers on a scale."""
_CLOCK = 16
"""Points at most, of the time in the corner."""


class Player:
    """Panels of runs in one plotter. Who shows it moves it through its methods, and draws the plotter again.

    ``times``: (k,) s, all saved times of all runs. ``place``: (3,) mm, where slices and clipping planes cross and the
    history is read. Raises ``RenderingError`` where nothing can be rendered and no window is wanted.
    """

    def __init__(
        self, runs: Sequence[Run], *, off_screen: bool, size: tuple[int, int] = (1280, 900), slider: bool = False
    ) -> None:
        """``slider``: leave a row for one under the history, the last renderer of the plotter."""
        if off_screen:
            require_rendering()
        rows = -(-len(runs) // _IN_A_ROW)
        columns = -(-len(runs) // rows)
        self.plotter = pv.Plotter(
            off_screen=off_screen,
            window_size=list(size),
            shape=(rows + 1 + slider, columns),
            row_weights=[1.0] * rows + [_STRIP * rows] + [_SLIDER * rows] * slider,
            groups=[(rows + below, slice(None)) for below in range(1 + slider)],
            border_color="#c8c8c8",
        )
        self.plotter.set_background("white", all_renderers=True)
        scales = _scales(runs)
        self.panels: list[Panel] = []
        self._bars: list[Any] = []
        self._clocks: list[Any] = []
        self._renderers: list[Any] = []
        for index, run in enumerate(runs):
            self.plotter.subplot(*divmod(index, columns))
            blend(self.plotter)
            self.panels.append(Panel(self.plotter, run, scale=scales[is_cold(run)]))
            self._renderers.append(self.plotter.renderer)
            self._furnish(index, len(runs), columns)
        self.aim()
        self.times = np.unique(np.concatenate([np.asarray(panel.film.times) for panel in self.panels]))
        self.time = float(self.times[-1]) if len(self.times) else 0.0
        self.place = self.panels[0].place
        self.plotter.subplot(rows, 0)
        colours = [style.CASES[index % len(style.CASES)] for index in range(len(runs))]
        self.trace = Trace(self.plotter, [panel.run.title for panel in self.panels], colours)
        self.move(self.place)
        self.slice(2, True)

    def _furnish(self, index: int, count: int, columns: int) -> None:
        """Title, scale of colours and the research note."""
        title = textwrap.fill(self.panels[index].run.title, 60 // columns, max_lines=2, placeholder="...")
        colour = style.CASES[index % len(style.CASES)] if count > 1 else "black"
        self.plotter.add_text(title, position="upper_left", font_size=11, color=colour)
        self.plotter.add_text(style.RESEARCH_NOTE, position="lower_right", font_size=7, color="grey")
        clock = self.plotter.add_text(" ", position="upper_right", font_size=11, color="black")
        clock.SetMaximumFontSize(_CLOCK)
        clock.GetTextProperty().SetBackgroundColor(1.0, 1.0, 1.0)  # a vessel may lie beneath it
        clock.GetTextProperty().SetBackgroundOpacity(0.75)
        self._clocks.append(clock)
        if index == 0:
            self._explain(count)
        bar = vtkScalarBarActor()
        bar.SetOrientationToHorizontal()
        bar.UnconstrainedFontSizeOn()
        bar.UseCustomLabelsOn()
        bar.SetLabelFormat("%.3g")
        bar.SetPosition(0.03, 0.03)
        bar.SetWidth(0.42)
        bar.SetHeight(0.15)
        bar.SetBarRatio(0.3)
        bar.SetVerticalTitleSeparation(6)
        for text, size in ((bar.GetTitleTextProperty(), 13), (bar.GetLabelTextProperty(), 12)):
            text.SetColor(0.0, 0.0, 0.0)
            text.SetFontSize(size)
            text.ItalicOff()
            text.BoldOff()
            text.ShadowOff()
        self._bars.append(bar)
        self.plotter.renderer.AddViewProp(bar)
        self._scale(index)

    def _explain(self, count: int) -> None:
        """What the colours of the surfaces mean, once for all panels."""
        layers = [layer for panel in self.panels for layer in panel.stage.layers if layer.role != "organ"]
        grows = all(panel.film.grows for panel in self.panels)
        words = {_said(layer, plain=count > 1, grows=grows): layer.colour for layer in in_legend_order(layers)}
        if grows and any(layer.role == "tumour" for layer in layers):  # not at the end perhaps, but before
            words.setdefault(LEFT, style.UNCOVERED)
        if words:
            width, height = (0.22, 0.034 * len(words)) if count == 1 else (0.32, 0.045 * len(words))
            lines = [list(line) for line in words.items()]
            legend = self.plotter.add_legend(
                lines, bcolor="white", border=False, size=(width, height), face="rectangle"
            )
            legend.SetPosition(0.005, 0.9 - height)

    def _scale(self, index: int) -> None:
        """The scale of what slices show, or of the margin."""
        panel, bar = self.panels[index], self._bars[index]
        quantity = panel.painter.quantities[panel.quantity]
        title, low, high, colours = quantity.title, quantity.low, quantity.high, quantity.colours
        if panel.coloured:
            title = "margin (mm)" if panel.film.grows else "margin at the end (mm)"
            (low, high), colours = MARGIN_SCALE, MARGIN_COLOURS
        bar.SetLookupTable(pv.LookupTable(colours, n_values=256, scalar_range=(low, high)))
        bar.SetCustomLabels(numpy_to_vtk(np.array(_round(low, high)), deep=True))
        bar.SetTitle(f"{title}\n ")  # the empty line keeps it off the numbers
        bar.SetVisibility(bool(title))

    def aim(self, towards: Sequence[float] | None = None) -> None:
        """Point the one camera of all panels at what was treated."""
        boxes = [panel.stage.focus for panel in self.panels]
        camera = frame(boxes, room=1.3) if towards is None else frame(boxes, towards, room=1.3)
        for renderer in self._renderers:
            renderer.camera = self._renderers[0].camera
            aim(renderer, camera)

    # --- what is seen

    def show_time(self, time: float) -> None:
        """Show every run as it was at a time (s); one that had ended by then stays as it was."""
        self.time = float(time)
        for panel in self.panels:
            panel.show_time(self.time)
        self._tell()

    def _tell(self) -> None:
        """The time shown, in each panel and in the history."""
        for panel, clock in zip(self.panels, self._clocks, strict=True):
            if len(panel.film):
                over = " (end)" if panel.shown_time >= panel.film.times[-1] else ""
                zone = panel.film.grown(panel.film.index(self.time)).get("zone")
                size = "" if zone is None else f"\nzone {zone:.1f} ml"
                clock.set_text("upper_right", f"{panel.shown_time / 60.0:.1f} min{over}{size}")
        self.trace.mark(self.time)

    def step(self, by: int) -> None:
        """Go to the next or last saved time, from the end to the beginning."""
        if len(self.times):
            here = int(np.searchsorted(self.times, self.time + 1e-6, side="right")) - 1
            self.show_time(float(self.times[(here + by) % len(self.times)]))

    def move(self, place: Array) -> None:
        """Let slices and clipping planes cross at ``place`` (3,) mm, and show its history."""
        self.place = np.asarray(place, dtype=float)
        for panel in self.panels:
            panel.move(self.place)
        histories = [(panel.film.times, panel.film.at(self.place)) for panel in self.panels]
        self.trace.show(histories, self.place)
        self._tell()

    def slice(self, normal: int, seen: bool) -> None:
        """Show or hide the slice across an axis (0, 1, 2 for x, y, z)."""
        for panel in self.panels:
            panel.slice(normal, seen)

    def slices(self, normal: int) -> bool:
        """Whether the slice across an axis is seen."""
        return self.panels[0].slices(normal)

    def clip(self, axis: int, clipped: bool) -> None:
        """Clip surfaces at the plane across an axis, or not."""
        for panel in self.panels:
            panel.clip(axis, clipped)

    def clips(self, axis: int) -> bool:
        """Whether the plane across an axis clips."""
        return self.panels[0].clips(axis)

    def show(self, role: str, seen: bool) -> None:
        """Show or hide tumour, zone, particles, vessels, devices or organs."""
        for panel in self.panels:
            panel.show(role, seen)

    def shows(self, role: str) -> bool:
        """Whether layers with this role are seen."""
        return self.panels[0].shows(role)

    @property
    def quantities(self) -> list[str]:
        """What slices can show, of all runs together."""
        return list(dict.fromkeys(name for panel in self.panels for name in panel.painter.quantities))

    @property
    def quantity(self) -> str:
        """What slices show now."""
        return self.panels[0].quantity

    def show_quantity(self, name: str) -> None:
        """Let the slices show another quantity, in the runs that have it."""
        for index, panel in enumerate(self.panels):
            panel.show_quantity(name)
            self._scale(index)

    @property
    def coloured(self) -> bool:
        """Whether the border of the zone shows the margin."""
        return any(panel.coloured for panel in self.panels)

    def colour_margin(self, coloured: bool) -> None:
        """Colour the border of the zone by its distance from the tumour, or not."""
        for index, panel in enumerate(self.panels):
            panel.colour_margin(coloured)
            self._scale(index)

    def when_picked(self, call: Callable[[Array], None]) -> None:
        """Call with the point (3,) mm on the surface or slice under the mouse when its right button is pressed."""
        interactor = self.plotter.iren.interactor
        picker = vtkCellPicker()
        picker.SetTolerance(0.002)

        def pressed(*_: Any) -> None:
            x, y = interactor.GetEventPosition()
            for renderer in self._renderers:
                if renderer.IsInViewport(x, y) and picker.Pick(x, y, 0.0, renderer):
                    call(np.array(picker.GetPickPosition()))

        interactor.AddObserver("RightButtonPressEvent", pressed, 1.0)

    def picture(self) -> Image:
        """What is seen, (height, width, 3)."""
        self.plotter.render()
        return np.ascontiguousarray(np.asarray(self.plotter.screenshot(None, return_img=True))[..., :3])

    def close(self) -> None:
        """Give back what the plotter holds."""
        self.plotter.close()


def _round(low: float, high: float) -> list[float]:
    """The ends of a scale and round numbers between them, well apart."""
    between = MaxNLocator(_TICKS).tick_values(low, high)
    room = 0.5 * (high - low) / _TICKS
    return [low, *(float(value) for value in between if low + room < value < high - room), high]


def _said(layer: Layer, *, plain: bool, grows: bool) -> str:
    """A line of the legend; a ``plain`` one holds for every panel."""
    general = {"zone": "ablation zone", "particles": "particles", "tumour": "tumour"}
    words = general.get(layer.role, layer.label) if plain and layer.label != LEFT else layer.label
    return words if grows or layer.role != "zone" else f"{words}, at the end"


def _scales(runs: Sequence[Run]) -> dict[bool, style.Scale]:
    """One scale of temperature for all runs that heat, and one for all that freeze."""
    found: dict[bool, style.Scale] = {}
    for run in runs:
        scale, cold = Film(run).scale, is_cold(run)
        other = found.get(cold, scale)
        found[cold] = style.Scale(min(scale.low, other.low), max(scale.high, other.high), scale.colours)
    return found
