"""The window of a player: keys, the slider of time, play, and points that are picked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thermal.units import Array
from thermal.view import style
from thermal.view.cells import box
from thermal.view.player import Player

BEAT = 150
"""ms between the frames of play."""
STEP = 1.0
"""mm, by which a key moves the slices."""
ROLES = {"t": "tumour", "a": "zone", "p": "particles", "v": "vessel", "d": "device", "o": "organ"}
"""Key -> what it shows or hides."""

HELP = """\
space        play or stop
left, right  a saved time back or on
1  2  3      slice across x, y, z
up, down     move the slice or plane used last
x  y  z      clip there, or not
q            what slices show
m            zone coloured by its margin
t  a  p      tumour, ablation zone, particles
v  d  o      vessels, devices, organs
right click  pick a point: its history below
c            camera back to the start
h            this help
Esc          close"""


class Window:
    """Binds a player to its window."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.playing = False
        self._axis = 2
        self._help: Any = None
        plotter = player.plotter
        plotter.reset_key_events()
        for key, press in self._keys().items():
            plotter.add_key_event(key, self._then_draw(press))
        player.when_picked(self._picked)
        self._slider: Any = None
        if len(player.times) > 1:
            plotter.renderers.set_active_renderer(*plotter.renderers.index_to_loc(len(plotter.renderers) - 1))
            self._slider = plotter.add_slider_widget(
                self._slid,
                rng=(0.0, float(player.times[-1]) / 60.0),
                value=player.time / 60.0,
                pointa=(0.04, 0.5),
                pointb=(0.985, 0.5),
                title_height=0.25,
                slider_width=0.35,
                tube_width=0.08,
                fmt="%.1f",
                color="grey",
                interaction_event="always",
            )
            look = self._slider.GetRepresentation()
            look.SetSliderLength(0.012)
            look.SetEndCapLength(0.0)
            look.ShowSliderLabelOff()
            look.GetSliderProperty().SetColor(0.04, 0.35, 0.54)
        player.plotter.subplot(0, 0)
        self._hint = plotter.add_text("h: keys", position="lower_edge", font_size=8, color="grey")

    def run(self) -> None:
        """Open the window; returns when it is closed."""
        plotter = self.player.plotter
        plotter.add_timer_event(max_steps=2**31 - 1, duration=BEAT, callback=self.beat)
        titles = ", ".join(panel.run.title for panel in self.player.panels)
        plotter.show(title=f"thermal - {titles} - {style.RESEARCH_NOTE}")

    def beat(self, _: int) -> None:
        """One tick of the clock while the window is open."""
        if self.playing:
            self.step(1)
            self.player.plotter.render()

    # --- what keys do

    def _keys(self) -> Mapping[str, Callable[[], None]]:
        player = self.player
        keys: dict[str, Callable[[], None]] = {
            "space": self.play,
            "Right": lambda: self.step(1),
            "Left": lambda: self.step(-1),
            "Up": lambda: self.move(STEP),
            "Down": lambda: self.move(-STEP),
            "q": self.next_quantity,
            "m": lambda: player.colour_margin(not player.coloured),
            "c": player.aim,
            "h": self.help,
            "Escape": player.plotter.iren.terminate_app,
        }
        for axis, name in enumerate("xyz"):
            keys[str(axis + 1)] = lambda axis=axis: self.slice(axis)  # type: ignore[misc]
            keys[name] = lambda axis=axis: self.clip(axis)  # type: ignore[misc]
        for key, role in ROLES.items():
            keys[key] = lambda role=role: player.show(role, not player.shows(role))  # type: ignore[misc]
        return keys

    def _then_draw(self, press: Callable[[], None]) -> Callable[[], None]:
        def pressed() -> None:
            press()
            self.player.plotter.render()

        return pressed

    def play(self) -> None:
        """Play, or stop; from the beginning when at the end."""
        self.playing = not self.playing and len(self.player.times) > 1

    def step(self, by: int) -> None:
        """A saved time on or back."""
        self.player.step(by)
        if self._slider is not None:
            self._slider.GetRepresentation().SetValue(self.player.time / 60.0)

    def slice(self, axis: int) -> None:
        """Show or hide a slice, and let the keys move it."""
        self._axis = axis
        self.player.slice(axis, not self.player.slices(axis))

    def clip(self, axis: int) -> None:
        """Clip at a plane or not, and let the keys move it."""
        self._axis = axis
        self.player.clip(axis, not self.player.clips(axis))

    def move(self, by: float) -> None:
        """Move the slice or plane used last, within the body."""
        low, high = box(self.player.panels[0].run.domain)[self._axis]
        place = self.player.place.copy()
        place[self._axis] = np.clip(place[self._axis] + by, low, high)
        self.player.move(place)

    def next_quantity(self) -> None:
        """Let the slices show the next of what there is."""
        names = self.player.quantities
        self.player.show_quantity(names[(names.index(self.player.quantity) + 1) % len(names)])

    def help(self) -> None:
        """Show or hide the keys."""
        plotter = self.player.plotter
        plotter.subplot(0, 0)
        if self._help is None:
            self._help = plotter.add_text(
                HELP, position=(0.02, 0.2), viewport=True, font_size=9, color="black", font="courier"
            )
            self._help.GetTextProperty().SetBackgroundColor(1.0, 1.0, 1.0)
            self._help.GetTextProperty().SetBackgroundOpacity(1.0)
        else:
            plotter.remove_actor(self._help)
            self._help = None

    def _slid(self, minutes: float) -> None:
        self.player.show_time(60.0 * minutes)

    def _picked(self, point: Array) -> None:
        self.player.move(point)
        self.player.plotter.render()
