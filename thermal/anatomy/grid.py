"""The axes of a voxel window: uniform, or graded around a box of finer voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator

from thermal.anatomy.built import OtherGrid
from thermal.errors import CaseError
from thermal.machine import free_memory
from thermal.units import Array, Length, Point, Spec, quantity

CELL_LIMIT = 60_000_000
"""Cells beyond which a grid is refused: one float64 field of that size takes 0.5 GB."""
CELL_BYTES = 600.0
"""Memory of a run for each voxel, from peaks of 390 (magnetic, 0.5 M nodes) to 550 (gold with its light, 0.3 M)."""


def _spread(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value, value, value)


Lengths = Annotated[
    tuple[Length, Length, Length],
    BeforeValidator(_spread, json_schema_input_type=Length | tuple[Length, Length, Length]),
]
"""One length for all three axes, or three; m."""
NOTHING = 1e-6
"""Voxels by which a box must reach into the window to be more than beside it."""
STEEPEST = 3.0
Growth = Annotated[float, *quantity("", ge=1.01, le=STEEPEST)]

Axes = tuple[Array, Array, Array]


class Refine(Spec):
    """A box of finer voxels; outside it the spacing grows geometrically to the base size.

    Neighbouring spacings differ at most by the factor ``growth``, except where the box ends nearer to the window border
    than a cell or two: there the last cells take up what is left and may be smaller.
    """

    centre: Point
    """centre of the box"""
    size: Lengths
    """edges of the box: one length or three"""
    voxel_size: Lengths
    """edges of the voxels inside the box: one length or three"""
    growth: Growth = 1.2
    """largest ratio of neighbouring spacings outside the box"""


@dataclass(frozen=True)
class Window:
    """A box in metres: ``lower`` corner and ``size``, with the wanted ``voxel_size`` and an optional finer box."""

    lower: tuple[float, float, float]
    size: tuple[float, float, float]
    voxel_size: tuple[float, float, float]
    refine: Refine | None = None


def _ramp(length: float, fine: float, base: float, growth: float) -> Array:
    """Spacings from the box outwards that sum to ``length``: from ``fine``, times at most ``growth``, at most ``base``.

    The number of cells is the smallest that reaches the border; the growth is then lowered until they end on it.
    """
    if length < 0.5 * fine:
        return np.empty(0)
    rising = max(1, math.ceil(math.log(base / fine) / math.log(growth)))
    first = np.minimum(base, fine * growth ** np.arange(1, rising + 1))
    reached = np.cumsum(first)
    count = (
        int(np.searchsorted(reached, length * (1 - 1e-9))) + 1
        if reached[-1] >= length * (1 - 1e-9)
        else rising + math.ceil((length - float(reached[-1])) / base - 1e-9)
    )
    powers = np.arange(1, count + 1)

    def spacings(rate: float) -> Array:
        graded: Array = np.minimum(base, fine * np.exp(np.minimum(powers * math.log(rate), 700)))
        return graded

    low, high = 0.2, growth
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if spacings(middle).sum() < length else (low, middle)
    steps = spacings(high)
    scaled: Array = steps * (length / steps.sum())
    return scaled


def _spacings(lower: float, upper: float, base: float, fine: tuple[float, float, float, float] | None) -> Array:
    """Spacings along one axis; ``fine`` = (from, to, spacing, growth) of the finer box, already inside the window."""
    if fine is None:
        count = max(1, round((upper - lower) / base))
        return np.full(count, (upper - lower) / count)
    start, end, spacing, growth = fine
    start = lower if start - lower < 0.5 * spacing else start
    end = upper if upper - end < 0.5 * spacing else end
    count = max(1, math.ceil((end - start) / spacing - 1e-9))
    step = (end - start) / count
    ramps = [_ramp(length, step, max(base, step), growth) for length in (start - lower, upper - end)]
    return np.concatenate([ramps[0][::-1], np.full(count, step), ramps[1]])


def _estimate(size: float, base: float, fine: tuple[float, float, float, float] | None) -> float:
    """Upper estimate of the number of cells along an axis, found without making them."""
    if fine is None:
        return max(1.0, size / base)
    start, end, spacing, growth = fine
    graded = 2 * math.log(max(base / spacing, 1.0)) / math.log(growth)
    return (end - start) / spacing + max(0.0, size - (end - start)) / base + graded


def make_axes(window: Window, place: str = "anatomy") -> tuple[Axes, tuple[str, ...]]:
    """Node coordinates along x, y, z (m) and notes on what was adapted. The window's ends are met exactly.

    Without refinement the voxel size is adapted so that a whole number of voxels fills the window. Raises ``CaseError``
    for a refinement that is not finer or lies outside, and for more than ``CELL_LIMIT`` cells.
    """
    lower, size, base = (np.asarray(part) for part in (window.lower, window.size, window.voxel_size))
    upper = lower + size
    fine = _fine_boxes(window, place)
    if any(base > size * (1 + 1e-9)):
        raise CaseError(
            f"{place}.voxel_size: {_mm(base)} does not fit into a window of {_mm(size)}; give a smaller voxel size"
        )
    total = math.prod(_estimate(float(size[a]), float(base[a]), fine[a]) for a in range(3))
    if total > CELL_LIMIT:
        factor = (total / CELL_LIMIT) ** (1 / 3)
        key, edges, remedy = "voxel_size", base, f"or [{place}.refine] to have small voxels only where they are needed"
        if window.refine is not None:
            key, edges, remedy = "refine.voxel_size", np.asarray(window.refine.voxel_size), "or a smaller box"
        raise CaseError(
            f"{place}.{key}: a window of {_mm(size)} would have about {total:.3g} voxels, more than the limit of "
            f"{CELL_LIMIT / 1e6:.0f} million; use voxels {factor:.2g} times larger ({_mm(edges * factor)}), a smaller "
            f"window, {remedy}"
        )
    axes, notes = [], []
    for a, name in enumerate("xyz"):
        spacing = _spacings(float(lower[a]), float(upper[a]), float(base[a]), fine[a])
        nodes = lower[a] + np.concatenate([[0.0], np.cumsum(spacing)])
        nodes[-1] = upper[a]
        axes.append(nodes)
        if fine[a] is None and abs(spacing[0] / base[a] - 1) > 1e-6:
            notes.append(
                f"voxel size along {name} adapted from {base[a] * 1e3:.4g} mm to {spacing[0] * 1e3:.4g} mm so that "
                f"{len(spacing)} voxels fill the window of {size[a] * 1e3:.6g} mm"
            )
    cells = math.prod(len(axis) - 1 for axis in axes)
    _check_memory(cells, place)
    return (axes[0], axes[1], axes[2]), tuple(notes)


def _check_memory(cells: int, place: str) -> None:
    """Raises ``CaseError`` when there is not the memory that a run on so many cells takes."""
    needed, free = CELL_BYTES * cells, free_memory()
    if free is not None and needed > free:
        factor = (needed / free) ** (1 / 3)
        raise CaseError(
            f"{place}.voxel_size: {cells:,} voxels need about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            f"are free here; use voxels {1.05 * factor:.2g} times larger, a smaller window, or [{place}.refine] to "
            "have small voxels only where they are needed"
        )


def _fine_boxes(window: Window, place: str) -> list[tuple[float, float, float, float] | None]:
    refine = window.refine
    if refine is None:
        return [None, None, None]
    fine: list[tuple[float, float, float, float] | None] = []
    for a, name in enumerate("xyz"):
        lower, upper = window.lower[a], window.lower[a] + window.size[a]
        start, end = (refine.centre[a] + side * refine.size[a] / 2 for side in (-1, 1))
        if refine.voxel_size[a] >= window.voxel_size[a] * (1 + 1e-9):
            raise CaseError(
                f"{place}.refine.voxel_size: {refine.voxel_size[a] * 1e3:g} mm along {name} is not finer than "
                f"{place}.voxel_size ({window.voxel_size[a] * 1e3:g} mm); give a smaller size"
            )
        voxel = refine.voxel_size[a]
        if min(end, upper) - max(start, lower) <= NOTHING * voxel:
            raise CaseError(
                f"{place}.refine: the box from {start * 1e3:g} to {end * 1e3:g} mm along {name} lies outside the "
                f"window ({lower * 1e3:g} to {upper * 1e3:g} mm); move refine.centre"
            )
        fine.append((*_a_voxel(max(start, lower), min(end, upper), voxel, (lower, upper)), voxel, refine.growth))
    return fine


def _a_voxel(start: float, end: float, voxel: float, window: tuple[float, float]) -> tuple[float, float]:
    """A box that is at least one ``voxel`` wide, in the ``window``: cells thinner than asked for would only cost."""
    if end - start >= voxel:
        return start, end
    middle = min(max(0.5 * (start + end), window[0] + 0.5 * voxel), window[1] - 0.5 * voxel)
    return max(middle - 0.5 * voxel, window[0]), min(middle + 0.5 * voxel, window[1])


RATIOS = np.arange(1.5, 2.001, 0.01)
"""Ratios of spacings that are tried for a coarser grid."""
FEW_CELLS = 4
"""Axes with fewer cells (of problems in one or two dimensions) stay as they are."""


def coarser(axes: Axes, voxel_size: tuple[float, float, float], refine: Refine | None) -> OtherGrid:
    """The grid of ``axes`` 1.5 to 2 times coarser, in the refined box and outside it; the ratio is the least of the
    axes whose spacing changes.

    Of the ratios that the window allows, the one that differs least between the axes; the parity of the cell counts is
    kept, so that what lies on a node or in the middle of a cell still does. Refined grids grow faster by the same
    power. Raises ``CaseError`` when no axis has enough cells.
    """
    lower = (float(axes[0][0]), float(axes[1][0]), float(axes[2][0]))
    size = (float(np.ptp(axes[0])), float(np.ptp(axes[1])), float(np.ptp(axes[2])))
    boxes = _fine_boxes(Window(lower, size, voxel_size, refine), "anatomy")
    extents = [(lower[a], lower[a] + size[a]) if box is None else box[:2] for a, box in enumerate(boxes)]
    counts = [
        round(np.count_nonzero((middle > start) & (middle < end)))
        for (start, end), middle in zip(extents, (0.5 * (axis[1:] + axis[:-1]) for axis in axes), strict=True)
    ]
    changing = [a for a in range(3) if counts[a] >= FEW_CELLS]
    if not changing:
        raise CaseError(
            f"numerics.error_estimate: a grid of {' x '.join(map(str, counts))} voxels cannot be made coarser; use "
            "smaller voxels"
        )
    tried = [[_fewer(count, ratio) if count >= FEW_CELLS else count for count in counts] for ratio in RATIOS]
    ratios = np.array([[counts[a] / fewer[a] for a in changing] for fewer in tried])
    least = ratios.min(axis=1)
    unlike = np.round(np.ptp(ratios, axis=1), 6)
    best = int(np.lexsort((np.abs(least - RATIOS[0]), least < RATIOS[0] - 1e-9, unlike))[0])
    fewer, each = tried[best], [counts[a] / tried[best][a] for a in range(3)]
    wide = [(extents[a][1] - extents[a][0]) / fewer[a] for a in range(3)]
    base, box = (wide[0], wide[1], wide[2]), None
    if refine is not None:
        growth = min(refine.growth ** float(ratios[best].min()), STEEPEST)
        box = refine.model_copy(update={"voxel_size": base, "growth": growth})
        x, y, z = (max(min(voxel_size[a] * each[a], size[a]), wide[a] * (1 + 1e-6)) for a in range(3))
        base = (x, y, z)
    made, _ = make_axes(Window(lower, size, base, box))
    middles = [0.5 * (start + end) for start, end in extents]
    achieved = [_spacing_at(made[a], middles[a]) / _spacing_at(axes[a], middles[a]) for a in changing]
    text = " x ".join(f"{1e3 * edge:.3g}" for edge in wide) + " mm" + (" in the refined box" if box else "")
    return OtherGrid(
        min(achieved), {"voxel_size": base} | ({} if box is None else {"refine": box}), f"voxels of {text}"
    )


def _spacing_at(axis: Array, place: float) -> float:
    return float(np.diff(axis)[np.clip(np.searchsorted(axis, place) - 1, 0, len(axis) - 2)])


def _fewer(count: int, ratio: float) -> int:
    """The number nearest to ``count / ratio`` with the parity of ``count``."""
    odd = count % 2
    return max(2 - odd, 2 * round((count / ratio - odd) / 2) + odd)


def cell_volumes(axes: Sequence[Array]) -> Array:
    """Volumes of all cells, m3, (cells,) in C order."""
    x, y, z = (np.diff(axis) for axis in axes)
    product: Array = x[:, None, None] * y[None, :, None] * z[None, None, :]
    return product.ravel()


def _mm(values: Array) -> str:
    return " x ".join(f"{value * 1e3:.4g}" for value in values) + " mm"
