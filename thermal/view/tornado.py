"""A tornado plot: what an outcome depends on most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from thermal.store.files import atomic


@dataclass(frozen=True)
class Bar:
    """One bar: the weight of ``name`` and the half width of its interval."""

    name: str
    weight: float
    half_width: float


def draw_tornado(bars: Sequence[Bar], measure: str, path: Path, most: float = math.inf) -> Path:
    """Draw the bars, the longest on top; ``measure``: what they mean, with its unit; ``most``: no weight is larger."""
    ordered = sorted(bars, key=lambda bar: abs(bar.weight))
    figure = Figure(figsize=(7.0, 1.2 + 0.4 * len(ordered)), layout="constrained")
    axes = figure.subplots()
    places = range(len(ordered))
    lines = [
        [bar.weight - max(bar.weight - bar.half_width, -most) for bar in ordered],
        [min(bar.weight + bar.half_width, most) - bar.weight for bar in ordered],
    ]
    axes.barh(places, [bar.weight for bar in ordered], xerr=lines, color="#3b6ea5", capsize=3)
    axes.set_yticks(places, [bar.name for bar in ordered])
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{measure} (lines: 95 % intervals)")
    with atomic(path) as scratch:
        figure.savefig(scratch, dpi=150)
    return path
