"""What must fit together in a case: problems between values that are right one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from thermal.case.parts import LawName, Zone
from thermal.case.report import Problem
from thermal.physics.delivery import DeliveryEntry
from thermal.physics.heating import HeatingEntry
from thermal.physics.heating.kind import HeatingKind

MOST_FRAMES = 10_000  # temperature fields kept over time; each has a number a node
MOST_STEPS = 10_000_000  # of the longest allowed; a run takes some milliseconds for each at the least
_LAWS = ("arrhenius", "cem43", "cell_death", "isotherm", "chemical")
"""Fields that a damage law of the same name makes."""
_KINDS: dict[str, tuple[Any, ...]] = {
    table: get_args(get_args(entry)[0]) for table, entry in (("delivery", DeliveryEntry), ("heating", HeatingEntry))
}
"""Table -> the classes of its kinds."""


def makers(field: str) -> tuple[str, tuple[str, ...]]:
    """The table whose kinds make this field, and their names; empty where it comes of something else."""
    for table, kinds in _KINDS.items():
        if names := tuple(_name(kind) for kind in kinds if field in kind.makes):
            return table, names
    return "", ()


def _name(kind: Any) -> str:
    return str(get_args(kind.model_fields["kind"].annotation)[0])


def makes(table: Any, field: str) -> bool:
    """Whether what a table says, or one of its parts, makes this field."""
    return any(field in part.makes for part in getattr(table, "acting", (table,)))


def switched(heating: HeatingKind) -> Iterator[tuple[str, Any]]:
    """Key and table of each part of the heating that may be switched by itself."""
    for index, part in enumerate(heating.acting):
        place = "heating" if part is heating else f"heating.parts[{index}]"
        yield place, part
        yield from (
            (f"{place}.sources[{number}]", source) for number, source in enumerate(getattr(part, "sources", ()))
        )


def zone_law(zone: Zone, heating: HeatingKind) -> LawName:
    """The law that the zone is judged by."""
    return zone.law or ("cryo" if all(part.zone_law == "cryo" for part in heating.acting) else "arrhenius")


def cross_check(parts: Mapping[str, Any]) -> list[Problem]:
    """Problems between values that are right one by one; a part that is absent from ``parts`` is not judged."""
    problems: list[Problem] = []
    heating: Any = parts.get("heating")
    acting: tuple[Any, ...] = () if heating is None else heating.acting
    delivery: Any = parts.get("delivery")
    zone: Any = parts.get("zone")
    damage: Any = parts.get("damage")
    if "particles" in parts and parts["particles"] is None:
        problems += [
            Problem(
                ("heating", "kind"),
                f'found "{part.kind}", which heats only particles, but the case has none; add [particles] with '
                "material = ... (thermal materials lists them) and a [delivery]",
            )
            for part in acting
            if part.heats_only_particles
        ]
        if delivery is not None and delivery.kind != "none":
            problems.append(Problem(
                ("delivery", "kind"),
                f'found "{delivery.kind}", but the case has no particles to deliver; add [particles] with '
                'material = ... (thermal materials lists them) or write delivery.kind = "none"',
            ))  # fmt: skip
    elif None not in (parts.get("particles"), heating, delivery):
        problems += [
            Problem(
                ("heating", "kind"),
                f'found "{part.kind}", which heats only particles, but nothing delivers them; add a [delivery]',
            )
            for part in acting
            if part.heats_only_particles and delivery.kind == "none" and parts.get("earlier") is None
        ]
    if None not in (parts.get("particles"), heating, delivery) and delivery.kind != "none":
        for part in acting:
            problems += _idle_particles(parts["particles"], part)
        pure, given = getattr(parts["particles"], "density", None), getattr(delivery, "concentration", None)
        if pure is not None and isinstance(given, float) and given > pure:
            problems.append(Problem(
                ("delivery", "concentration"),
                f"{given:g} kg/m^3 of {parts['particles'].mass_of} is more than the pure agent has, {pure:g} kg/m^3",
            ))  # fmt: skip
    if "boundaries" in parts and any(part.needs_potentials for part in acting):
        potentials = {entry.potential for entry in parts["boundaries"].values() if entry.potential is not None}
        if len(potentials) < 2:
            problems.append(Problem(
                ("heating",),
                "no current can flow; give heating.electrode, or two [boundaries] with different potentials",
            ))  # fmt: skip
    if None not in (zone, damage) and (zone.law or heating) and (law := zone_law(zone, heating)) not in damage.laws:
        found = f'found "{law}"' if zone.law else f'the default "{law}"'
        problems.append(Problem(
            ("zone", "law"), f"{found} is not among damage.laws ({', '.join(damage.laws)}); add it there or choose one"
        ))  # fmt: skip
    bioheat: Any = parts.get("bioheat")
    if None not in (bioheat, damage) and bioheat.perfusion_law not in (None, *damage.laws):
        problems.append(Problem(
            ("bioheat", "perfusion_law"),
            f'found "{bioheat.perfusion_law}", which is not among damage.laws ({", ".join(damage.laws)}); add it there',
        ))  # fmt: skip
    problems += _too_many(parts)
    for name, probe in (parts.get("probes") or {}).items():
        for index, wanted in enumerate(probe.fields):
            if wanted in _LAWS and damage is not None and wanted not in damage.laws:
                problems.append(Problem(
                    ("probes", name, "fields", index),
                    f'found "{wanted}", which is not among damage.laws ({", ".join(damage.laws)}); add it there',
                ))  # fmt: skip
            if wanted.startswith("drug_") and getattr(parts.get("particles"), "payload", None) is None:
                problems.append(Problem(
                    ("probes", name, "fields", index),
                    f'found "{wanted}", but the particles carry nothing; give [particles.payload], or particles that '
                    'come with one, such as material = "liposome_thermosensitive"',
                ))  # fmt: skip
            if wanted == "emission" and getattr(parts.get("particles"), "kind", "") != "upconversion":
                problems.append(Problem(
                    ("probes", name, "fields", index),
                    'found "emission", but no particles emit light; give particles.material = "upconversion"',
                ))  # fmt: skip
            table, kinds = makers(wanted)
            provider = parts.get(table)
            if provider is not None and not makes(provider, wanted):
                problems.append(Problem(
                    ("probes", name, "fields", index),
                    f'found "{wanted}", which {table}.kind = "{provider.kind}" does not make; it needs {table}.kind = '
                    + " or ".join(f'"{kind}"' for kind in kinds),
                ))  # fmt: skip
    return problems


def _idle_particles(particles: Any, heating: HeatingKind) -> list[Problem]:
    """Delivered particles on which this heating cannot act."""
    able, lack = heating.asks_of_particles or ("", "")
    if not able or getattr(particles, able):
        return []
    return [Problem(
        ("particles", "material" if particles.material is not None else "kind"),
        f'"{particles.material or particles.kind}" has no {lack} properties, which heating.kind = '
        f'"{_name(type(heating))}" needs; choose particles that have (thermal materials lists them), or write '
        'delivery.kind = "none"',
    )]  # fmt: skip


def _too_many(parts: Mapping[str, Any]) -> list[Problem]:
    """Kept fields and steps that no machine could keep or take in the simulated time."""
    bioheat, output, numerics = (parts.get(name) for name in ("bioheat", "output", "numerics"))
    problems = []
    if bioheat is not None and output is not None and bioheat.duration > MOST_FRAMES * output.every:
        problems.append(Problem(
            ("output", "every"),
            f"{output.every:g} s would keep {bioheat.duration / output.every:.2g} temperature fields of the "
            f"{bioheat.duration:g} s simulated, more than {MOST_FRAMES}; write at least "
            f'"{bioheat.duration / MOST_FRAMES:g} s"',
        ))  # fmt: skip
    if bioheat is not None and numerics is not None and bioheat.duration > MOST_STEPS * numerics.max_step:
        problems.append(Problem(
            ("numerics", "max_step"),
            f"{numerics.max_step:g} s would take {bioheat.duration / numerics.max_step:.2g} steps for the "
            f"{bioheat.duration:g} s simulated, more than {MOST_STEPS}; write at least "
            f'"{bioheat.duration / MOST_STEPS:g} s"',
        ))  # fmt: skip
    return problems
