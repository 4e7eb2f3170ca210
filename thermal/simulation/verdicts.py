"""What each damage law of a run says, and where they disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermal.engine import Engine
from thermal.march import Progress
from thermal.physics.damage import Law
from thermal.physics.scene import Reading
from thermal.units import Array
from thermal.zone import Extent, dice


@dataclass(frozen=True)
class Verdicts:
    """``readings`` for the summary, and the share of the laws by which tissue is dead, (n,), 0 or 1 where all agree."""

    readings: Mapping[str, Reading]
    dead_by: Array


def hear(engine: Engine, laws: Mapping[str, Law], judge: str, last: Progress, tumour: str | None) -> Verdicts:
    """Volumes, coverage and survival by every law, and how those of one sense (heat or cold) with ``judge`` disagree.

    ``judge`` is the name of the law that the zone is judged by.
    """
    readings: dict[str, Reading] = {}
    volumes: dict[str, float] = {}
    extents: dict[str, Extent] = {}
    for name, law in laws.items():
        value = last.state.damage[name]
        extent = Extent(law.measure(value, last.hottest, last.state.time), law.level)
        inside = engine.inside(*extent)
        volume = float(inside @ engine.cell_volume)
        readings[f"law.{name}.volume"] = Reading(volume, "m^3")
        if tumour is not None and (target := float(engine.volumes[tumour].sum())) > 0.0:
            living = float(law.survival(value) @ engine.volumes[tumour]) / target
            readings[f"law.{name}.tumour_survival"] = Reading(living, "")
        if law.sense == laws[judge].sense:
            volumes[name], extents[name] = volume, extent
    if len(volumes) > 1:
        readings["laws.volume_spread"] = Reading(max(volumes.values()) - min(volumes.values()), "m^3")
        others = (extent for name, extent in extents.items() if name != judge)
        readings["laws.least_dice"] = Reading(min(dice(engine, extents[judge], other) for other in others), "")
    dead_by = np.mean([measure >= level for measure, level in extents.values()], axis=0)
    return Verdicts(readings, np.asarray(dead_by))
