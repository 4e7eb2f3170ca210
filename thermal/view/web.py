"""``thermal view RUN ... --web``: the panels of a player in a browser on this machine.

The server draws; the page has a slider of time, switches and the numbers of the frame that is seen, and sends where the
mouse turns the scene.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import box
from thermal.view.player import Player
from thermal.view.rendering import RenderingError, rendering_problem
from thermal.view.window import BEAT, ROLES

MISSING = 'a page in the browser needs: pip install "thermal[web]"'

_STYLE = """
:root { --ink: #1d1d1d; --accent: #0b5a8a; --line: #d4d4d4; }
html, body, #app { height: 100%; margin: 0; }
.page { height: 100vh; display: flex; flex-direction: column; font: 15px/1.4 system-ui, sans-serif; color: var(--ink); }
.controls { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; align-items: center; padding: .5rem .8rem;
  border-bottom: 1px solid var(--line); }
.controls fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem .7rem; }
.controls legend { float: left; font-weight: 600; margin-right: .4rem; }
.time { flex: 1 1 18rem; display: flex; gap: .6rem; align-items: center; }
.time label { flex: 1; display: flex; gap: .6rem; align-items: center; }
.time input { flex: 1; min-width: 8rem; }
button, select { font: inherit; padding: .15rem .7rem; }
input:focus-visible, button:focus-visible, select:focus-visible { outline: 3px solid var(--accent); }
.scene { flex: 1; min-height: 240px; position: relative; }
table { border-collapse: collapse; margin: .3rem .8rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .1rem .9rem .1rem 0; }
.note { color: #555; padding: .1rem .8rem .4rem; }
"""


def serve(runs: Sequence[Run], *, host: str = "localhost", port: int = 8080) -> None:
    """Serve runs to a browser until interrupted; ``port`` 0 takes a free one, which is printed.

    Raises ``RenderingError`` where nothing can be rendered or trame is not installed.
    """
    problem = rendering_problem()
    if problem is not None:
        raise RenderingError(problem)
    try:
        import trame.app  # noqa: F401
        import trame_vtk  # noqa: F401
    except ImportError:
        raise RenderingError(MISSING) from None
    page = Page(Player(runs, off_screen=True))
    page.server.start(
        host=host, port=port, open_browser=False, show_connection_info=False, disable_logging=True, timeout=0,
        on_ready=lambda: None,
    )  # fmt: skip


class Page:
    """The page of a player, and what happens when its controls move."""

    def __init__(self, player: Player) -> None:
        from trame.app import get_server

        self.player = player
        self.server: Any = get_server("thermal", client_type="vue3")
        self.state, self._view = self.server.state, None
        self._box = box(player.panels[0].run.domain)
        self.state.trame__title = f"thermal - {player.panels[0].run.title}"
        self.state.update({
            "moment": int(np.searchsorted(player.times, player.time)),
            "playing": False,
            "quantity": player.quantity,
            "margin": False,
            "shown": [role for role in ROLES.values() if player.shows(role)],
            "slices": [axis for axis in range(3) if player.slices(axis)],
            "clips": [],
            "place": [round(float(value), 2) for value in player.place],
        })  # fmt: skip
        self._read()
        for names, change in self._changes().items():
            self.state.change(*names)(change)
        self._lay_out()
        player.when_picked(self._picked)
        self.server.controller.on_server_ready.add(self._announce)

    def _announce(self, **_: Any) -> None:
        print(f"open http://localhost:{self.server.port}/ in a browser; Ctrl-C ends", flush=True)

    def _changes(self) -> dict[tuple[str, ...], Callable[..., None]]:
        player = self.player

        def moment(moment: int, **_: Any) -> None:
            if len(player.times):
                player.show_time(float(player.times[int(moment)]))
            self._drawn()

        def seen(shown: list[str], slices: list[int], clips: list[int], **_: Any) -> None:
            for role in ROLES.values():
                player.show(role, role in shown)
            for axis in range(3):
                player.slice(axis, axis in [int(a) for a in slices])
                player.clip(axis, axis in [int(a) for a in clips])
            self._drawn()

        def coloured(quantity: str, margin: bool, **_: Any) -> None:
            player.show_quantity(quantity)
            player.colour_margin(bool(margin))
            self._drawn()

        def place(place: list[Any], **_: Any) -> None:
            player.move(np.clip(np.asarray(place, dtype=float), self._box[:, 0], self._box[:, 1]))
            self._drawn()

        def playing(playing: bool, **_: Any) -> None:
            if playing:
                asyncio.get_event_loop().create_task(self._play())

        return {
            ("moment",): moment, ("shown", "slices", "clips"): seen, ("quantity", "margin"): coloured,
            ("place",): place, ("playing",): playing,
        }  # fmt: skip

    async def _play(self) -> None:
        while self.state.playing:
            with self.state:
                self.state.moment = (int(self.state.moment) + 1) % len(self.player.times)
            await asyncio.sleep(BEAT / 1000.0)

    def _drawn(self) -> None:
        self._read()
        if self._view is not None:
            self.player.plotter.render()
            self._view.update()

    def _read(self) -> None:
        """The numbers under the scene."""
        self.state.clock = f"{self.player.time / 60.0:.2f} min"
        rows = []
        for panel in self.player.panels:
            numbers = panel.readings()
            units = {"zone": "ml", "covered": "%"}
            cells = {
                key: f"{value:.2f} {units.get(key, '°C')}" if np.isfinite(value) else "-"
                for key, value in numbers.items()
            }
            rows.append(
                {
                    "zone": "-",
                    "covered": "-",
                    "title": panel.run.title,
                    "time": f"{panel.shown_time / 60.0:.2f} min",
                    **cells,
                }
            )
        self.state.readings = rows

    def _picked(self, point: Array) -> None:
        with self.state:
            self.state.place = [round(float(value), 2) for value in point]

    def _lay_out(self) -> None:
        from trame.ui.html import DivLayout
        from trame.widgets import client, html
        from trame.widgets import vtk as widgets

        player = self.player
        with DivLayout(self.server):
            client.Style(_STYLE)
            with html.Div(classes="page"):
                with html.Div(classes="controls", role="group", aria_label="Controls"):
                    if len(player.times) > 1:
                        with html.Div(classes="time"):
                            html.Button(
                                "{{ playing ? 'Stop' : 'Play' }}", id="play", click="playing = !playing", type="button"
                            )
                            with html.Label("Time "):
                                html.Input(
                                    id="moment", type="range", min=0, max=len(player.times) - 1, step=1,
                                    v_model_number=("moment",), aria_valuetext=("clock",),
                                )  # fmt: skip
                            html.Output("{{ clock }}", id="clock")
                    self._choices(html, "Show", "shown", {role: _ROLE_WORDS[role] for role in ROLES.values()})
                    self._choices(html, "Slices", "slices", dict(enumerate(("sagittal", "coronal", "axial"))))
                    self._choices(html, "Clip", "clips", dict(enumerate("xyz")))
                    with html.Label("On slices "), html.Select(id="quantity", v_model=("quantity",)):
                        for name in player.quantities:
                            html.Option(name, value=name)
                    with html.Label():
                        html.Input(id="margin", type="checkbox", v_model=("margin",))
                        html.Span(" margin in colour")
                    with html.Fieldset(title="where slices cross and the history is read; right click in the scene"):
                        html.Legend("Place (mm)")
                        for axis, name in enumerate("xyz"):
                            changed = f"i === {axis} ? Number($event.target.value) : v"
                            with html.Label(f"{name} "):
                                html.Input(
                                    id=f"place-{name}", type="number", step=1, style="width: 5.5rem",
                                    value=(f"place[{axis}]",), change=f"place = place.map((v, i) => {changed})",
                                )  # fmt: skip
                with html.Div(classes="scene", id="scene"):
                    self._view = widgets.VtkRemoteView(player.plotter.render_window, ref="view", still_quality=90)
                with html.Table(id="readings"):
                    html.Caption("At the time shown: temperatures of the body and where the slices cross, and the zone")
                    with html.Tr():
                        for head in ("Treatment", "Time", "Lowest", "Highest", "At the place", "Zone", "Of the tumour"):
                            html.Th(head, scope="col")
                    with html.Tr(v_for="row in readings", key=("row.title",)):
                        html.Th("{{ row.title }}", scope="row")
                        for key in ("time", "lowest", "highest", "here", "zone", "covered"):
                            html.Td(f"{{{{ row.{key} }}}}", classes=f"value-{key}")
                html.Div(f"{style.RESEARCH_NOTE}.", classes="note")

    def _choices(self, html: Any, title: str, state: str, words: dict[Any, str]) -> None:
        with html.Fieldset():
            html.Legend(title)
            for value, word in words.items():
                shown = value if isinstance(value, int) else f"'{value}'"
                with html.Label():
                    html.Input(id=f"{state}-{value}", type="checkbox", value=(str(shown),), v_model=(state,))
                    html.Span(f" {word}")


_ROLE_WORDS = {
    "tumour": "tumour", "zone": "ablation zone", "particles": "particles", "vessel": "vessels", "device": "devices",
    "organ": "organs",
}  # fmt: skip
