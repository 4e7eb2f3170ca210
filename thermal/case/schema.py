"""The case: what may stand in a case file, and what must fit together in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, model_validator

from thermal import library
from thermal.anatomy import AnatomyEntry
from thermal.case.describe import complete_or_extending, digest, json_schema, resolved_value
from thermal.case.expected import Expected
from thermal.case.guided import Control, Earlier, Plan
from thermal.case.parts import (
    Bioheat,
    BoundaryEntry,
    DamageTable,
    Law,
    Numerics,
    Output,
    ParticlesEntry,
    ProbeName,
    ProbePoint,
    Zone,
)
from thermal.case.places import Keys, Place
from thermal.case.report import CrossError, Problem
from thermal.errors import CaseError
from thermal.physics.delivery import DeliveryEntry, NoDelivery
from thermal.physics.heating import HeatingEntry, NoHeating
from thermal.physics.materials import TissueEntry
from thermal.physics.particles import AnyParticle
from thermal.units import Spec, printable

SCHEMA_VERSION = 1
LONGEST_TITLE = 200
MOST_FRAMES = 10_000  # temperature fields kept over time; each has a number a node
MOST_STEPS = 10_000_000  # of the longest allowed; a run takes some milliseconds for each at the least
FILE_KEYS: tuple[tuple[str, ...], ...] = (
    ("anatomy", "segmentation"),
    ("anatomy", "ct"),
    ("anatomy", "tumour", "mask"),
    ("anatomy", "file"),
    ("zone", "reference", "mask"),
    ("heating", "field_map", "file"),
    ("heating", "parts", "*", "field_map", "file"),
    ("particles", "optical_constants", "file"),
    ("delivery", "file"),
    ("earlier", "run"),
    ("delivery", "heterogeneity", "map"),
)
"""Keys that name input files, ``*`` for every entry of a list; relative names count from the folder of the file that
holds the key."""


@dataclass(frozen=True)
class Origin:
    """Where a case came from: ``files`` are (name, text) of the ``extends`` chain, nearest first."""

    path: Path
    text: str
    files: tuple[tuple[str, str], ...] = ()
    overrides: tuple[str, ...] = ()
    places: Mapping[Keys, Place] = field(default_factory=dict)


def _one_line(title: str) -> str:
    if not title.isprintable() or len(title) > LONGEST_TITLE:
        raise ValueError(
            f'"{printable(title)}" is no title; write one line of at most {LONGEST_TITLE} characters without tabs or '
            "other control characters"
        )
    return title


class Case(Spec):
    """One case: anatomy, treatment, and how to simulate and judge it."""

    schema_version: Literal[1]
    """format of this file"""
    title: Annotated[str, AfterValidator(_one_line)] = ""
    """one line for pictures and tables"""
    anatomy: AnatomyEntry
    """regions in space: an image, a phantom or a mesh"""
    tissues: dict[str, TissueEntry] = Field(default_factory=dict)
    """properties of regions that differ from the library"""
    particles: ParticlesEntry | None = None
    """the nanoparticles: a library entry or a definition"""
    delivery: DeliveryEntry = NoDelivery(kind="none")
    """how the particles get into the tissue"""
    heating: HeatingEntry = NoHeating(kind="none")
    """what heats or cools the tissue"""
    boundaries: dict[str, BoundaryEntry] = Field(default_factory=dict)
    """by name: a face (x- ... z+), faces (all six), surface (the skin), a boundary of a mesh, or a region"""
    bioheat: Bioheat
    """blood, start and duration"""
    damage: DamageTable = Field(default_factory=DamageTable)
    """laws that turn temperature over time into damage"""
    zone: Zone = Zone()
    """what counts as ablated"""
    probes: dict[ProbeName, ProbePoint] = Field(default_factory=dict)
    """named points whose values are recorded"""
    numerics: Numerics = Numerics()
    """accuracy"""
    output: Output = Output()
    """what is kept"""
    earlier: Earlier | None = None
    """the treatment before this one"""
    control: Control | None = None
    """how the power is controlled by thermometry (``thermal control``; ``thermal run`` goes by the plan)"""
    plan: Plan | None = None
    """what a plan may choose (``thermal plan``)"""
    _origin: Origin | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = cross_check({name: getattr(self, name) for name in type(self).model_fields})
        if problems:
            raise CrossError(problems)
        return self

    @property
    def origin(self) -> Origin | None:
        """The files this case was read from, if any."""
        return self._origin

    @property
    def zone_law(self) -> Law:
        """The law that the ablation zone is judged by."""
        return self.damage.law(_zone_law(self.zone, self.heating))

    @property
    def perfusion_law(self) -> str | None:
        """The law whose killed tissue loses its perfusion; None where it never stops."""
        if not self.bioheat.perfusion_stops:
            return None
        return self.bioheat.perfusion_law or self.damage.perfusion_law

    @property
    def folder(self) -> Path:
        """Folder that names of input files are relative to."""
        return self._origin.path.parent if self._origin is not None else Path()

    @property
    def name(self) -> str:
        """Stem of the case file, else the title, for folders and tables."""
        return self._origin.path.stem if self._origin is not None else self.title or "case"

    def with_origin(self, origin: Origin) -> Case:
        """The same case, knowing where it came from."""
        copy = self.model_copy()
        copy._origin = origin
        return copy

    def place(self, *keys: str | int) -> str:
        """``file:line`` of a key or of the nearest table around it; empty for a case made in Python."""
        places = self._origin.places if self._origin is not None else {}
        for length in range(len(keys), 0, -1):
            if keys[:length] in places:
                return str(places[keys[:length]])
        return str(self._origin.path) if self._origin is not None else ""

    def placed(self, error: CaseError) -> CaseError:
        """The error with ``file:line:`` before each problem that begins with a key of this case."""
        return CaseError(*(self._placed_line(problem) for problem in error.problems))

    def _placed_line(self, problem: str) -> str:
        match = _KEYS.match(problem)
        if self._origin is None or match is None:
            return problem
        keys = tuple(int(part) if part.isdigit() else part.strip('"') for part in _PART.findall(match.group()))
        return f"{self.place(*keys)}: {problem}" if keys[0] in type(self).model_fields else problem

    def notes(self) -> tuple[str, ...]:
        """Statements on parts of the case that play no role in it."""
        notes = []
        if self.particles is not None and self.delivery.kind == "none" and self.earlier is None:
            notes.append('particles: nothing delivers them (delivery.kind = "none"), so they play no part')
        if self.bioheat.perfusion_stops and self.perfusion_law is None:
            notes.append("bioheat.perfusion_stops: perfusion follows the damage by arrhenius, cell_death or cryo, none "
                         "of which is among damage.laws, so it never stops; add one, or write perfusion_stops = false"
                         )  # fmt: skip
        if (on := getattr(self.heating, "on", None)) and all(start >= self.bioheat.duration for start, _ in on):
            notes.append(f"heating.on: begins when the simulation has ended ({self.bioheat.duration:g} s), so nothing "
                         "heats; raise bioheat.duration")  # fmt: skip
        unused = {"potential": "heating", "pressure": "delivery", "concentration": "delivery"}
        for name, boundary in self.boundaries.items():
            for key, table in unused.items():
                kinds = _PROVIDERS[key][1]
                if getattr(boundary, key) is not None and not any(
                    part.kind in kinds for part in _acting(getattr(self, table))
                ):
                    notes.append(f"boundaries.{name}.{key}: no {key} is solved for with {table}.kind = "
                                 f'"{getattr(self, table).kind}", so it plays no part')  # fmt: skip
        return tuple(notes)

    def resolved(self) -> dict[str, Any]:
        """Every value with defaults filled in; quantities are ``{"value", "unit"}`` in SI (temperatures in degC)."""
        plain: dict[str, Any] = resolved_value(Expected(type(self)), self)
        return plain


_KEYS = re.compile(r'[A-Za-z_]\w*(?:\.(?:[\w\-]+|"[^"]+")|\[\d+\])*')
_PART = re.compile(r'"[^"]+"|[\w\-]+')

_PROVIDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "concentration": ("delivery", ("infusion", "uniform", "systemic", "intra_arterial", "image")),
    "pore_concentration": ("delivery", ("infusion",)),
    "deposited_concentration": ("delivery", ("infusion",)),
    "pressure": ("delivery", ("infusion",)),
    "fluence": ("heating", ("photothermal",)),
    "emission": ("heating", ("photothermal",)),
    "potential": ("heating", ("rfa",)),
    "field_amplitude": ("heating", ("magnetic",)),
    "absorbed_power": ("heating", ("prescribed", "photothermal", "magnetic", "rfa", "microwave")),
}
"""Field -> the table and those of its kinds that make this field."""

_LAWS = ("arrhenius", "cem43", "cell_death", "isotherm", "chemical")
"""Fields that a damage law of the same name makes."""

_COLD = ("cryo",)
"""Heating kinds whose zone is judged by the lethal isotherm."""

_NEEDS_PARTICLES = ("magnetic",)
"""Heating kinds that act on nothing but particles."""
_ACTS_ON = {"magnetic": ("feels_field", "magnetic"), "photothermal": ("absorbs_light", "optical")}
"""Heating kind -> what delivered particles must be able to do, and what those that cannot have none of."""
_UNDELIVERED = tuple((kind, "none") for kind in _NEEDS_PARTICLES)


def _acting(table: Any) -> tuple[Any, ...]:
    """The parts of a combined heating, or what stands there alone; nothing for a table that is absent."""
    return () if table is None else tuple(getattr(table, "parts", (table,)))


def _zone_law(zone: Zone, heating: Any) -> str:
    return zone.law or ("cryo" if all(part.kind in _COLD for part in _acting(heating)) else "arrhenius")


def cross_check(parts: Mapping[str, Any]) -> list[Problem]:
    """Problems between values that are right one by one; a part that is absent from ``parts`` is not judged."""
    problems: list[Problem] = []
    heating: Any = parts.get("heating")
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
            for part in _acting(heating)
            if part.kind in _NEEDS_PARTICLES
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
            for part in _acting(heating)
            if (part.kind, delivery.kind) in _UNDELIVERED and parts.get("earlier") is None
        ]
    if None not in (parts.get("particles"), heating, delivery) and delivery.kind != "none":
        for part in _acting(heating):
            problems += _idle_particles(parts["particles"], part.kind)
        pure, given = getattr(parts["particles"], "density", None), getattr(delivery, "concentration", None)
        if pure is not None and isinstance(given, float) and given > pure:
            problems.append(Problem(
                ("delivery", "concentration"),
                f"{given:g} kg/m^3 of {parts['particles'].mass_of} is more than the pure agent has, {pure:g} kg/m^3",
            ))  # fmt: skip
    grounded = [part for part in _acting(heating) if part.kind == "rfa" and not part.all_electrodes]
    if "boundaries" in parts and grounded:
        potentials = {entry.potential for entry in parts["boundaries"].values() if entry.potential is not None}
        if len(potentials) < 2:
            problems.append(Problem(
                ("heating",),
                "no current can flow; give heating.electrode, or two [boundaries] with different potentials",
            ))  # fmt: skip
    if None not in (zone, damage) and (zone.law or heating) and (law := _zone_law(zone, heating)) not in damage.laws:
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
            table, kinds = _PROVIDERS.get(wanted, ("", ()))
            provider = parts.get(table)
            if provider is not None and not any(part.kind in kinds for part in _acting(provider)):
                problems.append(Problem(
                    ("probes", name, "fields", index),
                    f'found "{wanted}", which {table}.kind = "{provider.kind}" does not make; it needs {table}.kind = '
                    + " or ".join(f'"{kind}"' for kind in kinds),
                ))  # fmt: skip
    return problems


def _idle_particles(particles: Any, heating: str) -> list[Problem]:
    """Delivered particles on which this heating cannot act."""
    able, lack = _ACTS_ON.get(heating, ("", ""))
    if not able or getattr(particles, able):
        return []
    return [Problem(
        ("particles", "material" if particles.material is not None else "kind"),
        f'"{particles.material or particles.kind}" has no {lack} properties, which heating.kind = "{heating}" needs; '
        'choose particles that have (thermal materials lists them), or write delivery.kind = "none"',
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
            f'"{bioheat.duration / MOST_STEPS:g} s", or leave it out',
        ))  # fmt: skip
    return problems


def case_json_schema() -> dict[str, Any]:
    """JSON schema of a case file: of a whole case, or of any part of one in a file that extends another."""
    schema = json_schema(Case)
    for kind in _PARTICLE_KINDS:
        _name_or_define(schema["$defs"][kind.__name__], kind)
    return complete_or_extending(schema)


_PARTICLE_KINDS: tuple[type[BaseModel], ...] = get_args(get_args(AnyParticle)[0])


def _name_or_define(definition: dict[str, Any], kind: type[BaseModel]) -> None:
    """Particles are either a library entry (``material``), with whatever it shall have otherwise, or defined."""
    tag = get_args(kind.model_fields["kind"].annotation)[0]
    named = [name for name in library.names("particles") if library.entry("particles", name)["kind"] == tag]
    needed = definition.pop("required", [])
    definition["anyOf"] = [{"required": ["material"]}, {"required": needed}] if named else [{"required": needed}]
    if named:
        definition["properties"]["material"] = {**definition["properties"]["material"], "enum": named}
    else:
        definition["properties"].pop("material")


def case_hash(case: Case, files: Mapping[str, str] | None = None) -> str:
    """Identity of a case: SHA-256 of its resolved content and of the hashes of its input files."""
    return digest({"case": case.resolved(), "files": dict(sorted((files or {}).items()))})
