"""Where a case puts its devices and probe points, known and checked before anything is solved."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from thermal.case import Case
from thermal.domain import FACES, SURFACE, Line, Probe, ends
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.scene import Device
from thermal.units import Array, Mask

SUB_GRID = ("needle", "electrode", "cryoprobe", "antenna")
"""Kinds of device that meet the tissue through a sub-grid conductance."""
THINNEST, THICKEST = 0.1, 3.0
"""Radius in cells: its conductance was tried for 1/6 to 3, and is exact in the limit of thin probes."""
ON_THE_PLANE = 1e-6
"""m; nearer than that, the axis of a device lies on a face of the window."""
WITHIN = {
    "insulated": "heat passes through it all the same",
    "convective": "it takes heat from the tissue around it and keeps none from passing",
    "flux": "it puts heat into the tissue around it and keeps none from passing",
}
"""Kind of border -> what it does where tissue lies on both of its sides."""
STATIONS = 33
"""Points along the active part of a device that are looked at."""


def devices(case: Case) -> tuple[Device, ...]:
    """Needles, fibres, electrodes, cryoprobes, coils and beams of a case."""
    return (*case.delivery.devices, *case.heating.devices)


def misplaced(case: Case, engine: Engine) -> list[str]:
    """One line for each probe point and each active part of a device that is not wholly in the window and the body."""
    problems = []
    for name, probe in case.probes.items():
        problems += _outside(engine, f"probes.{name}.position", "the point", np.array([probe.position]))
    for device in devices(case):
        if not engine.symmetric(device.active or device.shape):
            problems.append(
                f"{device.place or 'heating'}: {device.name} does not lie along the axis of symmetry (x = 0, y = 0), "
                "as it must on an axisymmetric mesh; put it there, or use voxels or tetrahedra"
            )
            continue
        if device.active is not None:
            problems += _misplaced_part(engine, device, device.place, device.name, device.active)
        for key, part in device.more:
            problems += _misplaced_part(engine, device, key, f"a port of {device.name}", part)
    return problems


def _misplaced_part(engine: Engine, device: Device, key: str, what: str, part: Probe) -> list[str]:
    """What to say of one part of a device, which ``key`` puts where it is."""
    stations = _stations(part)
    return _outside(engine, key, what, stations) or _cut(engine, device, key, what, part.radius, stations)


def _stations(probe: Probe) -> Array:
    """Points (q, 3) m along a probe, its tip first."""
    if not isinstance(probe, Line):
        return np.array([probe.centre])
    start, end = np.asarray(probe.start), np.asarray(probe.end)
    return np.asarray(end + np.linspace(0.0, 1.0, STATIONS)[:, None] * (start - end))


def ill_sized(case: Case, engine: Engine) -> tuple[str, ...]:
    """What to say of devices whose sub-grid conductance was never tried at this ratio of radius to spacing.

    Expects devices that are well placed.
    """
    found = []
    for device in devices(case):
        if device.active is None or device.kind not in SUB_GRID:
            continue
        sizes = engine.spacing_along(device.active)
        radius, widest, finest = device.active.radius, float(sizes.max()), float(sizes.min())
        if radius < THINNEST * widest * (1.0 - 1e-9):
            odd, cell, remedy = "thin", widest, "refine the grid there"
        elif radius > THICKEST * finest * (1.0 + 1e-9):
            odd, cell, remedy = "thick", finest, "give it as a region of the anatomy, held at its value, or coarsen"
        else:
            continue
        found.append(
            f"{device.place}: {device.name} has a radius of {1e3 * radius:.3g} mm on cells of {1e3 * cell:.3g} mm, too "
            f"{odd} for the sub-grid model: it was tried for radii of {THINNEST:.2g} to {THICKEST:g} cells (Thin "
            f"probes on coarse grids, in the page on verification); {remedy}"
        )
    return tuple(found)


def overlapping(case: Case) -> tuple[str, ...]:
    """What to say of devices of one kind of which the smaller lies within the larger for half of its active part."""
    found = []
    for one, other in combinations([device for device in devices(case) if device.kind in SUB_GRID], 2):
        if one.kind != other.kind or one.active is None or other.active is None:
            continue
        parts = sorted((one.active, other.active), key=lambda part: float(np.linalg.norm(np.subtract(*ends(part)))))
        if np.mean(_away(_stations(parts[0]), parts[1]) < one.active.radius + other.active.radius) > 0.5:
            found.append(
                f"{other.place}: {other.name} lies within {one.name}, so the tissue there meets both at once; move it, "
                "or leave one of them out"
            )
    return tuple(found)


def inner_boundaries(case: Case, engine: Engine) -> tuple[str, ...]:
    """What to say of borders for heat that lie, in part or wholly, within the body, as the faces of a mesh may."""
    if FACES[0] in engine.areas:
        return ()
    found = []
    for name, boundary in case.boundaries.items():
        if name not in engine.areas or boundary.kind not in WITHIN:
            continue
        areas = engine.areas[name]
        share = engine.total(np.where(engine.areas[SURFACE] > 0.0, 0.0, areas)) / engine.total(areas)
        if share > 0.0:
            found.append(
                f"boundaries.{name}: {100 * share:.2g} % of its area lies within the body, where "
                f"{WITHIN[boundary.kind]}; name faces of the outer border alone, or hold it at a temperature"
            )
    return tuple(found)


def nothing_free(engine: Engine, held: Mask) -> tuple[str, ...]:
    """What to say where all nodes of the body are ``held`` (n,) at a temperature."""
    body = np.asarray(engine.volume > 0.0, dtype=float)
    if engine.total(np.where(held, 0.0, body)) > 0.0:
        return ()
    return (
        f"boundaries: all {engine.total(body):.0f} nodes of the body have a prescribed temperature, so that nothing "
        'can warm or cool; use smaller cells, or make borders "insulated" (without [boundaries] cuts and the surface '
        "of a mesh keep their temperature)",
    )


def _away(points: Array, probe: Probe) -> Array:
    """(q,) m from points (q, 3) to the axis of a probe."""
    start, end = (np.asarray(place) for place in ends(probe))
    along = end - start
    share = np.clip((points - start) @ along / (float(along @ along) or 1.0), 0.0, 1.0)
    return np.asarray(np.linalg.norm(points - start - share[:, None] * along, axis=1))


def _cut(engine: Engine, device: Device, key: str, what: str, wide: float, stations: Array) -> list[str]:
    """What to say when a face of the window runs through a part of ``wide`` m radius along its length, as in a model of
    one half."""
    radius = wide * (1.0 - 1e-9)
    axis = stations[0] - stations[-1]
    length = float(np.linalg.norm(axis))
    across = radius * np.sqrt(np.maximum(1.0 - (axis / length) ** 2, 0.0) if length > 0.0 else np.ones(3))
    lower, upper = engine.bounds
    cut = np.stack([(stations - across < lower).any(axis=0), (stations + across > upper).any(axis=0)])
    on = np.stack([(np.abs(stations - face) < ON_THE_PLANE).all(axis=0) for face in (lower, upper)])
    mirror = np.reshape([face in device.mirrors for face in FACES], (3, 2)).T
    sides = (cut & ~(on & mirror)).any(axis=0)
    if not sides.any():
        return []
    names = ", ".join("xyz"[axis] for axis in np.flatnonzero(sides))
    return [
        f"{key}: {what} ({2e3 * radius:.3g} mm thick) is cut by a face of the window across {names}; a "
        "device cannot be modelled in halves: enlarge the window so that it lies inside, or, for light, put its axis "
        "on the face and name the face in heating.mirrors"
    ]


def check_places(case: Case, engine: Engine) -> None:
    """Raise ``CaseError`` with all that :func:`misplaced` finds."""
    problems = misplaced(case, engine)
    if problems:
        raise CaseError(*problems)


def _outside(engine: Engine, key: str, what: str, stations: Array) -> list[str]:
    """What to say about the ``stations`` (q, 3), the first of them the tip, that lie outside."""
    held = engine.holds(stations)
    if held.all():
        return []
    x, y, z = (float(value) for value in stations[np.flatnonzero(~held)[0]])
    part = what if len(stations) == 1 else f"the tip of {what}"
    if held[0]:
        part = f"{100 * np.mean(~held):.0f} % of the active part of {what}, e.g. its point at"
    place = f"({1e3 * x:.4g}, {1e3 * y:.4g}, {1e3 * z:.4g}) mm"
    try:
        engine.spacing((x, y, z))
    except ValueError as error:
        return [f"{key}: {part} {place} is outside: {error}; move it inside or enlarge the window"]
    return [f"{key}: {part} {place} lies outside the body; move it into tissue"]
