"""Slices as coloured pixels: the image of the anatomy underneath, temperature, damage or particles over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize, to_rgb

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import region_index
from thermal.view.film import Film
from thermal.view.planes import CT_WINDOW, Cut, sample, sample_image
from thermal.view.treated import held_regions, is_cold, zone_values

Pixels = npt.NDArray[np.uint8]
"""(rows, columns, 3) red, green, blue."""
Ground = tuple[Pixels, npt.NDArray[np.bool_]]
"""The anatomy's colours on a cut, and which of its pixels lie in the body."""
_GROUNDS = 9
"""Kept for the next moment."""

HIDING = 6.0
"""K; tissue that was warmed or cooled by this hides the anatomy beneath it."""
_FAINTEST = 0.02
"""Share of the highest concentration below which no particles are shown."""


@dataclass(frozen=True)
class Overlay:
    """What lies over the anatomy on a cut: ``values`` (rows, columns) and how ``strong`` they cover it, 0 to 1."""

    values: Array
    strong: Array


@dataclass(frozen=True)
class Quantity:
    """Something that slices can show: its ``title`` with unit, and its fixed scale from ``low`` to ``high``."""

    title: str
    low: float
    high: float
    colours: str
    on: Callable[[Cut, float], Overlay]
    """of a cut and a time in s"""


class Painter:
    """Colours the slices of a run."""

    def __init__(self, run: Run, film: Film | None = None, scale: style.Scale | None = None) -> None:
        self.run = run
        self.film = film or Film(run)
        self._scale = scale
        self._grounds: dict[tuple[Any, ...], Ground] = {}

    @cached_property
    def quantities(self) -> Mapping[str, Quantity]:
        """What this run can show on its slices, the temperature first where frames were kept."""
        found: dict[str, Quantity] = {}
        if len(self.film):
            scale = self._scale or self.film.scale
            found["temperature"] = Quantity("temperature (°C)", scale.low, scale.high, scale.colours, self._temperature)
        zone = zone_values(self.run)
        if zone is not None:
            low, high = _around(*zone)
            unit = self.run.static[self.run.zone_field].unit
            title = f"{'freezing' if is_cold(self.run) else 'damage'}{'' if self.film.grows else ' at the end'}"
            found["damage"] = Quantity(
                f"{title}{f' ({unit})' if unit not in ('', '1') else ''}", low, high, "cividis", self._damage
            )
        field = self.run.static.get("concentration")
        if field is not None and (most := float(np.max(field.values))) > 0.0:
            found["particles"] = Quantity(
                f"particles ({style.unit_words(field.unit)})", 0.0, most, "viridis", self._particles
            )
        found["anatomy"] = Quantity("", 0.0, 1.0, "gray", self._nothing)
        return found

    @cached_property
    def _rest(self) -> float:
        """degC, of most of the body at the beginning."""
        return float(np.median(self.film.temperature(0)[self.film.body]))

    @cached_property
    def _regions(self) -> tuple[list[str], Array]:
        return region_index(self.run.domain)

    def paint(self, cut: Cut, time: float, quantity: str) -> Ground:
        """Colours of the pixels at a time (s), and which of them lie in the body."""
        what = self.quantities[quantity]
        ground, body = self._ground(cut)
        over = what.on(cut, time)
        norm = Normalize(what.low, what.high, clip=True)
        colours = mpl.colormaps[what.colours](norm(np.nan_to_num(over.values)))[..., :3]
        strong = np.nan_to_num(over.strong)[..., None]
        return np.asarray(np.rint((1.0 - strong) * ground + 255.0 * strong * colours), dtype=np.uint8), body

    def _ground(self, cut: Cut) -> Ground:
        key = (cut.plane.normal, tuple(cut.centre), cut.half, cut.pixels)
        if key not in self._grounds:
            while len(self._grounds) >= _GROUNDS:
                self._grounds.pop(next(iter(self._grounds)))
            self._grounds[key] = self._anatomy(cut)
        return self._grounds[key]

    def _anatomy(self, cut: Cut) -> Ground:
        """The image of the anatomy in grey, else its regions in pale colours."""
        names, index = self._regions
        region = np.nan_to_num(sample(self.run.domain, cut, cells={"r": index})["r"], nan=-1.0).astype(int)
        if self.run.background is not None:
            low, high = CT_WINDOW
            grey = np.clip((sample_image(self.run.background, cut) - low) / (high - low), 0.0, 1.0)
            return np.asarray(255.0 * np.repeat(grey[..., None], 3, axis=-1), dtype=np.uint8), region >= 0
        shades = style.region_colours(names, self.run.tumour, held_regions(self.run.resolved))
        table = np.array([*(to_rgb(shade) for shade in shades), (1.0, 1.0, 1.0)])
        return np.asarray(255.0 * table[region], dtype=np.uint8), region >= 0

    def _temperature(self, cut: Cut, time: float) -> Overlay:
        """Tissue near the temperature that it began with shows what is beneath it."""
        values = sample(self.run.domain, cut, {"t": self.film.temperature(self.film.index(time))})["t"]
        return Overlay(values, 0.85 * np.clip(np.abs(values - self._rest) / HIDING, 0.0, 1.0))

    def _damage(self, cut: Cut, time: float) -> Overlay:
        zone = zone_values(self.run, self.film.index(time) if self.film.grows else None)
        assert zone is not None
        values, level = zone
        low = self.quantities["damage"].low
        found = sample(self.run.domain, cut, {"d": values})["d"]
        return Overlay(found, 0.85 * np.clip((found - low) / (level - low), 0.0, 1.0))

    def _particles(self, cut: Cut, time: float) -> Overlay:
        values = np.asarray(self.run.static["concentration"].values, dtype=float)
        found = sample(self.run.domain, cut, {"c": values})["c"]
        return Overlay(found, np.where(found > _FAINTEST * values.max(), 0.85, 0.0))

    def _nothing(self, cut: Cut, time: float) -> Overlay:
        empty = np.zeros((cut.pixels, cut.pixels))
        return Overlay(empty, empty)


def _around(values: Array, level: float) -> tuple[float, float]:
    """A scale with the level of the zone in its middle."""
    reach = max(level - float(np.min(values)), float(np.max(values)) - level, 1e-9)
    reach = min(reach, 40.0 if level > 10.0 else 3.0)
    return level - reach, level + reach
