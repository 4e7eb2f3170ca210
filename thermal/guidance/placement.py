"""Where the devices of a case lie, moved and turned as one, and how strong it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thermal.case import Case
from thermal.errors import CaseError
from thermal.physics.delivery.protocol import Place
from thermal.units import Array, Spec


@dataclass(frozen=True)
class Site:
    """A further place of infusion: ``offset`` (3,) m from the aim, ``skin`` m from there to the skin."""

    offset: Array
    skin: float


@dataclass(frozen=True)
class Placement:
    """The devices of a case moved as one body: ``aim`` (3,) m is where the middle of the tumour was, ``direction`` (3,)
    points outward along the needle, ``power`` is over that of the case, ``skin`` m from aim to skin along it; ``time``
    is over the heating of the case, ``factors`` those of its numbers, ``sites`` further places of infusion."""

    aim: Array
    direction: Array
    power: float
    skin: float
    time: float = 1.0
    factors: Mapping[str, float] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()


def devices(part: Any) -> list[Spec]:
    """The parts of a case that have an entry and a tip, in order."""
    found: list[Spec] = []
    if isinstance(part, Spec):
        fields = type(part).model_fields
        if "entry" in fields and "tip" in fields and part.entry is not None:  # type: ignore[attr-defined]
            found.append(part)
        for name in fields:
            found += devices(getattr(part, name))
    elif isinstance(part, tuple):
        for item in part:
            found += devices(item)
    return found


def own_direction(case: Case) -> Array:
    """Outward direction (3,) of the first device. Raises ``CaseError`` where there is none."""
    placed = [*devices(case.heating), *devices(case.delivery)]
    if not placed:
        raise CaseError("plan: the case has no device with an entry and a tip that could be placed")
    along = np.subtract(placed[0].entry, placed[0].tip)  # type: ignore[attr-defined]
    unit: Array = along / np.linalg.norm(along)
    return unit


def tips_from(case: Case, middle: Array) -> Array:
    """(k, 3) m, the tips of all devices of a case from a point: they may lie beside it, and deeper."""
    placed = [*devices(case.heating), *devices(case.delivery)]
    return np.array([np.subtract(device.tip, middle) for device in placed]).reshape(-1, 3)  # type: ignore[attr-defined]


def turned(start: Array, end: Array) -> Array:
    """The rotation (3, 3) that takes one unit vector to another by the shortest way."""
    axis, cosine = np.cross(start, end), float(start @ end)
    if cosine < -1.0 + 1e-12:
        other = np.eye(3)[int(np.argmin(np.abs(start)))]
        axis = np.cross(start, other)
        axis /= np.linalg.norm(axis)
        return 2.0 * np.outer(axis, axis) - np.eye(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1.0 + cosine))


def place(case: Case, middle: Array, where: Placement) -> Case:
    """The case with its devices and its power as ``where`` says; ``middle`` (3,) m is that of the tumour."""
    rotation = turned(own_direction(case), where.direction)

    def tip(point: Any) -> tuple[float, float, float]:
        moved = where.aim + rotation @ (np.asarray(point) - middle)
        return (float(moved[0]), float(moved[1]), float(moved[2]))

    def entry(start: Any) -> tuple[float, float, float]:
        moved = np.asarray(tip(start))
        along = where.skin - float((moved - where.aim) @ where.direction)
        out = moved + where.direction * max(along, 1e-3)
        return (float(out[0]), float(out[1]), float(out[2]))

    def moved(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(moved(item) for item in part)
        if not isinstance(part, Spec):
            return part
        fields = type(part).model_fields
        changes: dict[str, Any] = {}
        for name in fields:
            value = getattr(part, name)
            if isinstance(value, (Spec, tuple)) and (new := moved(value)) is not value:
                changes[name] = new
        if "entry" in fields and "tip" in fields and part.entry is not None:  # type: ignore[attr-defined]
            changes |= {"entry": entry(part.tip), "tip": tip(part.tip)}  # type: ignore[attr-defined]
        return part.model_copy(update=changes) if changes else part

    heating, longer = _longer(_stronger(moved(case.heating), where.power), where.time)
    bioheat = case.bioheat.model_copy(update={"duration": case.bioheat.duration + longer})
    delivery = moved(case.delivery)
    if where.sites:
        delivery = delivery.model_copy(update={"sites": (*delivery.sites, *_places(where))})
    made = case.model_copy(update={"heating": heating, "delivery": delivery, "bioheat": bioheat})
    return made.with_origin(case.origin) if case.origin is not None else made


def _places(where: Placement) -> tuple[Place, ...]:
    def point(at: Array) -> tuple[float, float, float]:
        return (float(at[0]), float(at[1]), float(at[2]))

    tips = [where.aim + site.offset for site in where.sites]
    return tuple(
        Place.model_construct(entry=point(tip + site.skin * where.direction), tip=point(tip), protocol=None)
        for tip, site in zip(tips, where.sites, strict=True)
    )


def _longer(heating: Any, factor: float) -> tuple[Any, float]:
    """The heating with its times of power times ``factor``, and by how many s it ends later."""
    on = getattr(heating, "on", None)
    if factor == 1.0 or not on:
        return heating, 0.0
    changed = tuple((factor * start, factor * end) for start, end in on)
    return heating.model_copy(update={"on": changed}), (factor - 1.0) * max(end for _, end in on)


def _stronger(heating: Any, factor: float) -> Any:
    """The heating with its power times ``factor``: a magnetic field heats with the square of its amplitude."""
    for name, by in (("power", factor), ("amplitude", float(np.sqrt(factor)))):
        if isinstance(value := getattr(heating, name, None), float):
            return heating.model_copy(update={name: value * by})
    return heating
