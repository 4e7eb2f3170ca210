"""The course of temperatures and power over time, as one plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thermal.store import Run
from thermal.store.names import HISTORY
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import body_nodes
from thermal.view.sheet import FAINT
from thermal.view.treated import is_cold


@dataclass(frozen=True)
class Course:
    """Columns of ``history.csv``: ``time`` (k,) s and curves ``name -> (k,)`` by unit."""

    time: Array
    temperatures: dict[str, Array]
    powers: dict[str, Array]


def read_course(run: Run) -> Course | None:
    """Temperatures and powers over time, from the history, else the extremes of the saved fields."""
    if (run.folder / HISTORY).exists():
        units, columns = run.history.units, run.history.columns
        dull = "peak_temperature" if is_cold(run) else "lowest_temperature"
        temperatures = {n: v for n, v in columns.items() if units[n] == "degC" and n != dull and np.isfinite(v).any()}
        powers = {n: columns[n] for n in ("power",) if n in columns and np.nansum(np.abs(columns[n])) > 0.0}
        if temperatures and len(run.history.time) > 1:
            return Course(run.history.time, temperatures, powers)
    if len(run.times) < 2:
        return None
    body = body_nodes(run.domain)
    name, extreme = ("lowest_temperature", np.min) if is_cold(run) else ("peak_temperature", np.max)
    return Course(run.times, {name: np.array([extreme(run.temperature(i)[body]) for i in range(len(run.times))])}, {})


def draw_course(axes: Any, course: Course, peak: float | None) -> None:
    """Fill ``axes`` with the curves, and mark the time ``peak`` (s) of the slices beside it."""
    minutes = course.time / 60.0
    curves = [
        axes.plot(minutes, values, color=colour, lw=2, label=_curve_name(name))[0]
        for (name, values), colour in zip(course.temperatures.items(), style.CASES, strict=False)
    ]
    axes.set(xlabel="time (min)", ylabel="temperature (°C)", xlim=(minutes[0], minutes[-1]))
    axes.grid(color="#e6e6e6", lw=0.8)
    if peak is not None:
        curves.append(axes.axvline(peak / 60.0, color=FAINT, lw=1.2, ls=":", label="time of the slices"))
    for name, values in list(course.powers.items())[:1]:
        twin = axes.twinx()
        twin.spines["right"].set_visible(True)
        curves.append(twin.fill_between(minutes, values, color="#999999", alpha=0.2, lw=0, label=_curve_name(name)))
        twin.set_ylabel("power (W)", color=FAINT)
        twin.set_ylim(0.0, 1.15 * float(np.nanmax(np.abs(values))))
        axes.set_zorder(twin.get_zorder() + 1)
        axes.patch.set_visible(False)
    axes.legend(handles=curves, frameon=False, fontsize=10, loc="center left", bbox_to_anchor=(1.08, 0.5))


_CURVES = {
    "peak_temperature": "highest in the tissue",
    "lowest_temperature": "lowest in the tissue",
    "probe_temperature": "wall of the probe",
}


def _curve_name(name: str) -> str:
    short = name.removeprefix("probe.").removesuffix(".temperature")
    return _CURVES.get(name, ("probe " if name.startswith("probe.") else "") + style.words(short))
