"""The history of the temperature at one point, drawn under the panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyvista as pv

from thermal.units import Array

_DASHES = ("-", "--", ":", "-.")


class Trace:
    """A curve a run, and a line at the time shown, in the active renderer of a plotter."""

    def __init__(self, plotter: Any, names: Sequence[str], colours: Sequence[str]) -> None:
        self.chart = pv.Chart2D(x_label="time (min)", y_label="temperature (°C)")
        self.chart.background_color = "white"
        self.chart.legend_visible = len(names) > 1
        self._curves = [
            self.chart.line([0.0, 1.0], [37.0, 37.0], color=colour, width=2.5, style=_DASHES[at // 8 % 4], label=name)
            for at, (name, colour) in enumerate(zip(names, colours, strict=True))
        ]
        self._now = self.chart.line([0.0, 0.0], [0.0, 1.0], color="#777777", width=1.5, style="--")
        self._low, self._high = 30.0, 45.0
        plotter.add_chart(self.chart)

    def show(self, histories: Sequence[tuple[Array, Array]], place: Array) -> None:
        """Temperatures (k,) degC at times (k,) s of each run, at ``place`` (3,) mm."""
        seen = [values[np.isfinite(values)] for _, values in histories]
        together = np.concatenate([*seen, [37.0]])
        room = max(1.0, 0.08 * float(np.ptp(together)))
        self._low, self._high = float(together.min()) - room, float(together.max()) + room
        for curve, (times, values) in zip(self._curves, histories, strict=True):
            good = np.isfinite(values)
            curve.visible = bool(good.any())
            if good.any():
                curve.update(np.asarray(times)[good] / 60.0, values[good])
        longest = max((float(times[-1]) for times, _ in histories if len(times)), default=60.0)
        self.chart.x_range = (0.0, max(longest / 60.0, 1e-3))
        self.chart.y_range = (self._low, self._high)
        at = ", ".join(f"{name} {value:.1f}" for name, value in zip("xyz", place, strict=True))
        self.chart.title = f"at {at} mm"

    def mark(self, time: float) -> None:
        """The time (s) that the panels show."""
        self._now.update([time / 60.0] * 2, [self._low, self._high])
