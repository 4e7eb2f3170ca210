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
from thermal.case.cross import cross_check, makes, switched, zone_law
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
from thermal.case.report import CrossError
from thermal.errors import CaseError
from thermal.physics.delivery import DeliveryEntry, NoDelivery
from thermal.physics.heating import HeatingEntry, NoHeating
from thermal.physics.materials import TissueEntry
from thermal.physics.particles import AnyParticle
from thermal.units import Spec, printable

SCHEMA_VERSION = 1
LONGEST_TITLE = 200
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
        return self.damage.law(zone_law(self.zone, self.heating))

    @property
    def perfusion_law(self) -> str | None:
        """The law whose killed tissue loses its perfusion; None where it never stops."""
        if not self.bioheat.perfusion_stops:
            return None
        return self.bioheat.perfusion_law or self.damage.perfusion_law

    def material_of(self, region: str, named: str) -> str:
        """The tissue of the library that a region is made of, which its anatomy takes for ``named``."""
        entry = self.tissues.get(region)
        return named if entry is None or entry.material is None else entry.material

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
        for place, entry in switched(self.heating):
            if (on := getattr(entry, "on", None)) and all(start >= self.bioheat.duration for start, _ in on):
                notes.append(f"{place}.on: begins when the simulation has ended ({self.bioheat.duration:g} s), so it "
                             "never acts; raise bioheat.duration")  # fmt: skip
        unused = {"potential": "heating", "pressure": "delivery", "concentration": "delivery"}
        for name, boundary in self.boundaries.items():
            for key, table in unused.items():
                if getattr(boundary, key) is not None and not makes(getattr(self, table), key):
                    notes.append(f"boundaries.{name}.{key}: no {key} is solved for with {table}.kind = "
                                 f'"{getattr(self, table).kind}", so it plays no part')  # fmt: skip
        return tuple(notes)

    def resolved(self) -> dict[str, Any]:
        """Every value with defaults filled in; quantities are ``{"value", "unit"}`` in SI (temperatures in degC)."""
        plain: dict[str, Any] = resolved_value(Expected(type(self)), self)
        return plain


_KEYS = re.compile(r'[A-Za-z_]\w*(?:\.(?:[\w\-]+|"[^"]+")|\[\d+\])*')
_PART = re.compile(r'"[^"]+"|[\w\-]+')


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
