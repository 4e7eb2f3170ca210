"""A treatment under control beside the same by its plan: power, the hottest place, coverage, and what was learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thermal.store import Run, read_run
from thermal.store.files import read_json
from thermal.view.sheet import FAINT, INK, save, sheet

PICTURE = "control.png"
"""File of the folder that ``thermal control`` writes into."""
PARTS = {"open": ("by the plan", "#8c8c8c"), "closed": ("controlled", "#0072b2")}
LEARNED = {"perfusion": "#d55e00", "absorption": "#009e73"}


def draw_control(folder: Path) -> Path:
    """Draw ``control.png`` from ``control.json`` and the two runs beside it."""
    table = read_json(folder / "control.json")
    runs = {name: read_run(folder / name) for name in PARTS}
    learned = table["estimates"]
    with sheet(11.0, 10.5 if learned else 8.5, title=f"{runs['closed'].title}: with and without control") as figure:
        rows = figure.subplots(4 if learned else 3, 1, sharex=True)
        figure.subplots_adjust(left=0.09, right=0.8, top=0.92, bottom=0.08, hspace=0.16)
        minutes = np.array(table["times"]) / 60.0
        end = max(float(run.history.time[-1]) for run in runs.values()) / 60.0
        for name, (words, colour) in PARTS.items():
            look = {"color": colour, "lw": 1.8, "label": words}
            levels = np.array(table[name]["levels"])
            rows[0].plot([*minutes, end], [*levels, levels[-1]], drawstyle="steps-post", **look)
            history = runs[name].history
            rows[1].plot(
                history.time / 60.0, history["peak_temperature"], **look | {"label": _room(table[name], words)}
            )
            _draw_coverage(rows[2], runs[name], look)
        highest = runs["closed"].resolved["control"]["highest"]["value"]
        rows[1].axhline(highest, color=INK, lw=1.0, ls="--", label="limit of all tissue")
        rows[0].set_ylabel("power over that\nof the case")
        rows[1].set_ylabel("highest in the\ntissue (°C)")
        rows[2].set_ylabel("tumour covered,\nat most (%)")
        for number, (name, colour) in enumerate(LEARNED.items() if learned else ()):
            _draw_estimates(rows[3], learned, name, colour, 0.1 * number)
        if learned:
            rows[3].axhline(1.0, color=FAINT, lw=1.0, ls=":", label="as planned for")
            rows[3].set_ylabel("estimate over what\nwas planned for")
        for axes in rows:
            axes.grid(color="#e6e6e6", lw=0.8)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, fontsize=10, loc="center left", bbox_to_anchor=(1.02, 0.5))
        rows[-1].set(xlabel="time (min)", xlim=(0.0, end))
        return save(figure, folder / PICTURE)


def _room(treated: dict[str, Any], words: str) -> str:
    """What was left to the nearest limit, which may be that of a region."""
    passed = float(treated["limit_passed_by"])
    return f"{words}:\n{abs(passed):.1f} K {'beyond a limit' if passed > 0.0 else 'left to limits'}"


def _draw_coverage(axes: Any, run: Run, look: dict[str, Any]) -> None:
    name = "zone.tumour_coverage"
    if name not in run.history.columns:
        return
    share = run.history[name]
    known = np.isfinite(share)
    axes.plot(run.history.time[known] / 60.0, 100.0 * share[known], **look)


def _draw_estimates(axes: Any, learned: list[dict[str, Any]], name: str, colour: str, aside: float) -> None:
    """Medians with intervals of 95 %, a little beside each other."""
    time = np.array([each["time"] for each in learned]) / 60.0 + aside
    median = np.array([each[name]["median"] for each in learned])
    low, high = np.array([each[name]["interval"] for each in learned]).T
    axes.errorbar(time, median, [median - low, high - median], fmt="o", ms=4, color=colour, capsize=3,
                  label=f"{name} (95 %)")  # fmt: skip
