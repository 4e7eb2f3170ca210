"""What a zone means: margins, tumour left and where, what else was hurt, agreement with a measured zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from thermal.anatomy import Anatomy
from thermal.anatomy.data import resolve
from thermal.anatomy.volume import read_volume, sample_at
from thermal.case import Case
from thermal.case.parts import ReferenceZone
from thermal.engine import Engine
from thermal.enthalpy import Conductivity
from thermal.march import Progress
from thermal.physics.scene import Reading
from thermal.store import Field
from thermal.units import Array
from thermal.zone import Extent, compare_zones
from thermal.zone.margins import collateral, heat_sinks, left_over, measure_margins

ISOTHERMS = (-40.0, -20.0, 0.0, 50.0, 60.0)
"""degC whose largest extent is reported where it was passed."""


@dataclass(frozen=True)
class Outcome:
    """Numbers for the summary and fields to keep."""

    readings: Mapping[str, Reading]
    fields: Mapping[str, Field] = field(default_factory=dict)


def judge(
    case: Case, anatomy: Anatomy, engine: Engine, zone: Extent, last: Progress, conductivity: Callable[[], Conductivity]
) -> Outcome:
    """All of it; ``conductivity`` gives that (n,) of the tissue.

    Raises ``CaseError`` for a reference zone that cannot be read.
    """
    tumour = anatomy.tumour
    vessels = [name for name, entry in case.tissues.items() if entry.temperature is not None and name in engine.shares]
    readings = {
        **_isotherms(engine, last, conductivity),
        **collateral(engine, zone, last.hottest, last.coldest, tumour),
        **heat_sinks(engine, zone, tumour, vessels),
    }
    fields: dict[str, Field] = {}
    if tumour is not None:
        readings |= left_over(engine, zone, tumour)
        if (margins := measure_margins(engine, zone, tumour, vessels)) is not None:
            readings |= margins.readings
            text = "signed distance from the tumour's surface, negative inside; 1 m where it is more than 10 mm"
            fields["tumour_distance"] = Field(margins.tumour_distance, "m", text)
    if case.zone.reference is not None:
        readings |= _agreement(case, engine, zone, case.zone.reference)
    return Outcome(readings, fields)


def _isotherms(engine: Engine, last: Progress, conductivity: Callable[[], Conductivity]) -> dict[str, Reading]:
    """Volume that was once as cold or as hot as each isotherm, m3; those that nothing passed are left out."""
    found = {}
    lowest, highest = float(last.coldest.min()), float(last.hottest.max())
    for level in ISOTHERMS:
        if lowest > level or level > highest:
            continue
        if level > 37.0:
            measure = last.hottest - level
        else:
            reached = np.full_like(last.coldest, level)
            known = conductivity()
            measure = heat_potential(reached, known) - heat_potential(last.coldest, known)
        volume = float(engine.inside(measure, 0.0) @ engine.cell_volume)
        if volume > 0.0:
            found[f"isotherm.{level:g}.volume"] = Reading(volume, "m^3")
            diameter = float(np.cbrt(6.0 * volume / np.pi))
            found[f"isotherm.{level:g}.equivalent_diameter"] = Reading(diameter, "m")
    return found


def heat_potential(temperature: Array, conductivity: Conductivity) -> Array:
    """G. Kirchhoff's potential, the integral of k over that of unfrozen tissue from the liquidus on, (n,) K.

    Temperature bends where ice begins, since ice conducts four times better; its potential goes straight on, and so is
    what interpolates between two nodes. By temperature, balls of ice on 2 mm voxels were 7 % too small.
    """
    if conductivity.frozen is None:
        return temperature
    liquidus, width = conductivity.liquidus, conductivity.liquidus - conductivity.solidus
    better = np.divide(
        conductivity.frozen, conductivity.at_37, out=np.ones_like(temperature), where=conductivity.at_37 > 0
    )
    below = np.maximum(liquidus - temperature, 0.0)
    mushy = np.minimum(below, width)
    bent = 0.5 * mushy**2 / width if width > 0.0 else 0.0
    going_over = mushy + (better - 1.0) * bent
    return np.asarray(np.maximum(temperature - liquidus, 0.0) - going_over - better * (below - mushy))


def _agreement(case: Case, engine: Engine, zone: Extent, reference: ReferenceZone) -> dict[str, Reading]:
    measured = Extent(*reference_measure(case, engine, reference))
    volume = float(engine.inside(*measured) @ engine.cell_volume)
    agreement = compare_zones(engine, zone, measured)
    found = {"reference.volume": Reading(volume, "m^3"), "reference.dice": Reading(agreement.dice, "")}
    if agreement.hausdorff_distance is not None and agreement.mean_surface_distance is not None:
        found["reference.hausdorff_distance"] = Reading(agreement.hausdorff_distance, "m")
        found["reference.mean_surface_distance"] = Reading(agreement.mean_surface_distance, "m")
    return found


def reference_measure(case: Case, engine: Engine, reference: ReferenceZone) -> tuple[Array, float]:
    """Nodal measure (n,) of a measured zone, and its level: share of the mask, or 1 - distance over half-axes."""
    if reference.mask is not None:
        path = resolve(reference.mask, case.folder, "zone.reference.mask")
        image = read_volume(path, "zone.reference.mask")
        present = type(image)((image.values > 0).astype(np.float32), image.affine, image.path)
        return np.nan_to_num(sample_at(present, engine.points.T).astype(np.float64)), 0.5
    assert reference.centre is not None
    assert reference.diameters is not None
    first = np.asarray(reference.axis) / np.linalg.norm(reference.axis)
    second = np.eye(3)[(int(np.argmax(np.abs(first))) + 1) % 3]
    second = second - (second @ first) * first
    second /= np.linalg.norm(second)
    axes = np.stack([first, second, np.cross(first, second)])
    along = (engine.points - np.asarray(reference.centre)) @ axes.T
    return np.asarray(1.0 - np.linalg.norm(along / (0.5 * np.asarray(reference.diameters)), axis=1)), 0.0
