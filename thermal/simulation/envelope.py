"""What two runs of one case leave open: where zone and peak come to when the fields of one move as far as both differ.

Two grids can agree by luck in a total, where errors of either sign cancel, while their fields do not agree at all. So
the difference is taken node by node, on the coarser grid, for only its nodes are free of what interpolates between
them. No node has less than the mean over the cells around it: where differences change sign they vanish, errors do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermal.engine import Engine
from thermal.imaging.grid import engine_of
from thermal.store import Run
from thermal.units import Array, Real
from thermal.zone import Extent, measure_zone

AT_ONCE = 200_000
"""Points that are looked up together, in some 50 MB."""


@dataclass(frozen=True)
class Found:
    """What a run came to on its grid: its zone, the highest temperature ``hottest`` (n,) degC of each node, and the
    region of the tumour."""

    engine: Engine
    zone: Extent
    hottest: Real
    tumour: str | None

    @staticmethod
    def stored(run: Run, engine: Engine | None = None) -> Found:
        """That of a finished run; ``engine``: that of its domain, where there is one."""
        zone = Extent(run.static[run.zone_field].values, run.zone_level)
        hottest = run.static["highest_temperature"].values
        return Found(engine or engine_of(run.domain, run.tumour), zone, hottest, run.tumour or None)


def extremes(own: Found, other: Found, times: float) -> tuple[Mapping[str, float], ...]:
    """Entries of the summary when the fields of ``own`` lie higher, and lower, by so many ``times`` their difference
    from those of ``other`` at every node."""
    coarse, fine = (own, other) if len(own.engine.volume) <= len(other.engine.volume) else (other, own)

    def apart(ours: Real, finer: Real) -> Array:
        """(n,) at the nodes of ``own``, from a field on either grid."""
        grid = coarse.engine
        off = np.where(grid.volume > 0.0, _at(fine.engine, finer, grid.points) - ours, 0.0)
        off = np.abs(np.nan_to_num(off))
        off = np.maximum(off, grid.to_nodes(grid.to_cells(off)))
        return off if coarse is own else np.nan_to_num(_at(grid, off, own.engine.points))

    by = times * apart(coarse.zone.measure, fine.zone.measure)
    hotter = times * apart(coarse.hottest, fine.hottest)
    tissue = own.engine.volume > 0.0
    found = []
    for way in (1.0, -1.0):
        zone = measure_zone(own.engine, own.zone.measure + way * by, own.zone.level, own.tumour).as_readings()
        peak = float((own.hottest + way * hotter)[tissue].max())
        found.append({"peak_temperature": peak, **{key: value for key, (value, _) in zone.items()}})
    return tuple(found)


def _at(engine: Engine, values: Real, points: Array) -> Array:
    """A nodal field (n,) at points (q, 3); NaN outside the body."""
    known = np.where(engine.volume > 0.0, values, 0.0).astype(float)
    found = np.full(len(points), np.nan)
    for start in range(0, len(points), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        held = engine.holds(points[part])
        found[part][held] = engine.sample(known, points[part][held])
    return found
