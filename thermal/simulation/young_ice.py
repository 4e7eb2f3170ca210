"""Whether the ice around cryoprobes is thick enough for the cells that carry it."""

from __future__ import annotations

import numpy as np

from thermal.case import Case
from thermal.case.parts import Freezing
from thermal.domain import Probe, ends
from thermal.engine import Engine
from thermal.march import Progress
from thermal.simulation.places import devices

FEWEST_CELLS = 2.0
"""Cells between a probe's axis and the border of its ice, below which a third of a cell may be missing; below one
cell all of it."""


def young_ice(case: Case, engine: Engine, last: Progress) -> tuple[str, ...]:
    """What to say of ice that never grew thicker than a few cells."""
    freezing = case.bioheat.freezing
    probes = [device.active for device in devices(case) if device.kind == "cryoprobe" and device.active is not None]
    if not isinstance(freezing, Freezing) or not probes:
        return ()
    cell = max(float(engine.spacing_along(probe).max()) for probe in probes)
    radius = _radius(float(engine.inside(-last.coldest, -freezing.liquidus) @ engine.cell_volume), probes)
    if radius >= FEWEST_CELLS * cell:
        return ()
    finer = f" to {1e3 * radius / FEWEST_CELLS:.2g} mm" if radius > 0.0 else ""
    return (
        f"heating.probes: ice reaches {1e3 * radius:.2g} mm from the axis of a probe, {radius / cell:.2g} cells of "
        f"{1e3 * cell:.3g} mm: a third of a cell may be missing, and all of what is thinner than a cell; refine the "
        f"grid there{finer}",
    )


def _radius(volume: float, probes: list[Probe]) -> float:
    """m, how thick ice of this volume (m3) is around the axes of all probes, with round ends."""
    length = sum(float(np.linalg.norm(np.subtract(*ends(probe)))) for probe in probes)
    roots = np.roots([4.0 / 3.0 * np.pi * len(probes), np.pi * length, 0.0, -volume])
    return float(np.max(roots.real[np.abs(roots.imag) <= 1e-6 * np.abs(roots)], initial=0.0))
