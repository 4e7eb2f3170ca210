"""A run over time: its temperature, frames of it in memory as far as they fit, and what its zone had come to."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property

import numpy as np

from thermal.domain import VoxelDomain
from thermal.store import Run
from thermal.store.names import HISTORY
from thermal.units import Array, Mask
from thermal.view import style
from thermal.view.cells import body_nodes
from thermal.view.planes import PLANES, Cut, corners, sample
from thermal.view.sheet import number

KEPT = 500e6
"""Bytes of frames kept."""
_GROWTH = {"zone": ("zone.volume", 1e6), "covered": ("zone.tumour_coverage", 100.0)}


class Film:
    """The saved temperatures of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.times = run.times
        """(k,) s."""
        self._kept: OrderedDict[int, Array] = OrderedDict()

    def __len__(self) -> int:
        return len(self.times)

    def index(self, time: float) -> int:
        """The last frame saved at or before ``time`` (s), the first before all of them."""
        return max(0, int(np.searchsorted(self.times, time + 1e-6, side="right")) - 1)

    def temperature(self, index: int) -> Array:
        """(n,) degC."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        values = self._kept[index] = self.run.temperature(index).astype(np.float32)
        while len(self._kept) > 1 and len(self._kept) * values.nbytes > KEPT:
            self._kept.popitem(last=False)
        return values

    def at(self, point: Array) -> Array:
        """(k,) degC at a point (3,) mm at all saved times; NaN outside the domain."""
        return np.array([self.value(point, index) for index in range(len(self))])

    def value(self, point: Array, index: int) -> float:
        """degC at a point (3,) mm in a frame; NaN outside the domain."""
        domain, place = self.run.domain, np.asarray(point, dtype=float)
        if isinstance(domain, VoxelDomain) and index not in self._kept:  # not all of it is needed
            nodes, weights = corners(domain, place)
            return float(weights @ self.run.fields.frames.at(index, nodes)) if len(nodes) else float("nan")
        spot = Cut(PLANES[0], place, 0.0, pixels=1)
        return float(sample(domain, spot, {"t": self.temperature(index)})["t"].item())

    @property
    def grows(self) -> bool:
        """Whether the ablation zone was kept at all saved times, and not at the end alone."""
        return len(self) > 1 and self.run.fields.frames.grows

    def grown(self, index: int) -> dict[str, float]:
        """Volume of the zone (ml) and share of the tumour in it (%) by then, as far as the history knows them."""
        if not self.grows or not (self.run.folder / HISTORY).exists():
            return {}
        history, found = self.run.history, {}
        for name, (key, factor) in _GROWTH.items():
            rows = np.flatnonzero(np.isfinite(history.columns.get(key, np.empty(0))))
            if len(rows):
                nearest = rows[np.argmin(np.abs(history.time[rows] - self.times[index]))]
                found[name] = factor * float(history[key][nearest])
        return found

    @cached_property
    def body(self) -> Mask:
        """(n,) True at nodes of the body."""
        return body_nodes(self.run.domain)

    def extremes(self, index: int) -> tuple[float, float]:
        """Lowest and highest temperature of the body in a frame, degC."""
        inside = self.temperature(index)[self.body]
        return float(inside.min()), float(inside.max())

    @cached_property
    def scale(self) -> style.Scale:
        """One fixed scale for all frames, from what the run says of its extremes, else from the frames."""
        low, high = (number(self.run.summary, key) for key in ("lowest_temperature", "peak_temperature"))
        if low is None or high is None:
            found = np.array([self.extremes(index) for index in range(len(self))] or [(37.0, 38.0)])
            low, high = float(found[:, 0].min()), float(found[:, 1].max())
        return style.temperature_scale(low, high)
