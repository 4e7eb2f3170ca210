"""Where the devices of a case lie, moved and turned as one, and how strong it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thermal.case import Case
from thermal.errors import CaseError
from thermal.units import Array, Spec


@dataclass(frozen=True)
class Placement:
    """The devices of a case moved as one body: ``aim`` (3,) m is where the middle of the tumour was, ``direction`` (3,)
    points outward along the needle, ``power`` is over that of the case, ``skin`` m from aim to skin along it."""

    aim: Array
    direction: Array
    power: float
    skin: float


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

    heating = _stronger(moved(case.heating), where.power)
    made = case.model_copy(update={"heating": heating, "delivery": moved(case.delivery)})
    return made.with_origin(case.origin) if case.origin is not None else made


def _stronger(heating: Any, factor: float) -> Any:
    """The heating with its power times ``factor``: a magnetic field heats with the square of its amplitude."""
    for name, by in (("power", factor), ("amplitude", float(np.sqrt(factor)))):
        if isinstance(value := getattr(heating, name, None), float):
            return heating.model_copy(update={name: value * by})
    return heating


def table(case: Case) -> dict[str, Any]:
    """Keys of the case -> what the plan sets, for people and for --set: points in mm."""
    found: dict[str, Any] = {}

    def walk(part: Any, key: str) -> None:
        if isinstance(part, tuple):
            for index, item in enumerate(part):
                walk(item, f"{key}.{index}")
        elif isinstance(part, Spec):
            fields = type(part).model_fields
            if "entry" in fields and "tip" in fields and part.entry is not None:  # type: ignore[attr-defined]
                for name in ("entry", "tip"):
                    found[f"{key}.{name}"] = [f"{1e3 * x:.3f} mm" for x in getattr(part, name)]
            for name in fields:
                walk(getattr(part, name), f"{key}.{name}")

    walk(case.delivery, "delivery")
    walk(case.heating, "heating")
    for name, unit in (("power", "W"), ("amplitude", "A/m")):
        if isinstance(value := getattr(case.heating, name, None), float):
            found[f"heating.{name}"] = f"{value:.6g} {unit}"
    return found
