"""The parts of a case that are no kinds of physics: boundaries, blood and time, zone, probes, numerics, output."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from thermal import library
from thermal.case.report import CrossError, Problem, show, suggest
from thermal.physics.damage import Arrhenius, CellDeath, Cem43, Chemical, Cryo, Isotherm
from thermal.physics.particles import AnyParticle
from thermal.units import (
    Concentration,
    Density,
    Duration,
    Flux,
    Fraction,
    HeatCapacity,
    HeatTransfer,
    Length,
    Number,
    Point,
    Potential,
    Pressure,
    Spec,
    StepTolerance,
    Temperature,
    printable,
    quantity,
)

SimulatedTime = Annotated[float, *quantity("s", ge=1e-3, le=1e9)]


class _Boundary(Spec):
    potential: Potential | None = None
    """electric potential that the boundary is held at, e.g. "0 V" for the ground pad; when absent no current crosses
    (where no boundary has a potential, the cuts through the body are at 0 V)"""
    pressure: Pressure | None = None
    """interstitial pressure that the boundary is held at; when absent no fluid crosses (where no boundary has a
    pressure, the cuts through the body are at 0 Pa)"""
    concentration: Concentration | None = None
    """particle concentration of tissue fluid at the boundary, kg per m3; nothing crosses by diffusion when absent"""


class FixedBoundary(_Boundary):
    """A boundary held at a temperature, a potential, a pressure or a concentration."""

    kind: Literal["fixed"]
    temperature: Temperature | None = None
    """temperature that the boundary is held at; when absent it is, for heat, as if the case did not name it"""

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if all(value is None for value in (self.temperature, self.potential, self.pressure, self.concentration)):
            raise ValueError(
                'a fixed boundary holds nothing; give it e.g. temperature = "37 degC" or potential = "0 V"'
            )
        return self


class InsulatedBoundary(_Boundary):
    """A boundary that no heat crosses."""

    kind: Literal["insulated"]


class ConvectiveBoundary(_Boundary):
    """A boundary that exchanges heat with a fluid: q = coefficient (temperature - T)."""

    kind: Literal["convective"]
    coefficient: HeatTransfer
    """heat transfer coefficient"""
    temperature: Temperature
    """temperature of the fluid"""


class FluxBoundary(_Boundary):
    """A boundary with a given heat flux into the tissue."""

    kind: Literal["flux"]
    flux: Flux
    """positive into the tissue"""


Boundary = FixedBoundary | InsulatedBoundary | ConvectiveBoundary | FluxBoundary
BoundaryEntry = Annotated[Boundary, Field(discriminator="kind")]


def _table_or_value(value: Any) -> str:
    return "table" if isinstance(value, (dict, Spec)) else "value"


class Freezing(Spec):
    """Temperatures between which tissue water freezes; the latent heat is the tissue's own."""

    solidus: Temperature = -8.0
    """all that can freeze is frozen at and below this temperature"""
    liquidus: Temperature = -1.0
    """nothing is frozen at and above this temperature"""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.solidus > self.liquidus:
            raise ValueError(f"solidus ({self.solidus:g} degC) lies above liquidus ({self.liquidus:g} degC); swap them")
        return self


class Vaporisation(Spec):
    """Temperatures between which tissue water boils off; its mass is the tissue's water fraction."""

    start: Temperature = 99.0
    """boiling begins"""
    end: Temperature = 100.0
    """all water is gone"""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start ({self.start:g} degC) must lie below end ({self.end:g} degC)")
        return self


LawName = Literal["arrhenius", "cem43", "cell_death", "isotherm", "cryo", "chemical"]
PERFUSION_LAWS: tuple[LawName, ...] = ("arrhenius", "cell_death", "cryo")
"""Laws that say which share of the cells lives, hence of the perfusion: the first of them in use rules it. Tissue that
has frozen has none by any of them."""


class Until(Spec):
    """End the treatment when the tumour is covered: the source is then switched off for good."""

    margin: Annotated[float, *quantity("m", ge=0, le=0.01)] = 0.0
    """of the organ around the tumour that must be covered as well"""
    every: Duration = 15.0
    """how often that is looked at"""
    after: Annotated[float, *quantity("s", ge=0, le=1e6)] = 60.0
    """simulated after the end; the run ends at bioheat.duration at the latest"""


class Bioheat(Spec):
    """Pennes bioheat: where the tissue starts, the blood, and how long to simulate."""

    duration: SimulatedTime
    """simulated time"""
    initial_temperature: Annotated[
        Annotated[Temperature, Tag("value")] | Annotated[dict[str, Temperature], Tag("table")],
        Discriminator(_table_or_value),
    ] = 37.0
    """of all tissue, or a table region -> temperature (regions not named start at arterial_temperature)"""
    arterial_temperature: Temperature = 37.0
    """of the blood that perfuses the tissue"""
    blood_density: Density = 1050.0
    """IT'IS tissue database 4.1, blood"""
    blood_heat_capacity: HeatCapacity = 3617.0
    """IT'IS tissue database 4.1, blood"""
    perfusion_stops: bool = True
    """perfusion collapses where tissue is coagulated or has frozen"""
    embolisation: dict[str, Fraction] = Field(default_factory=dict)
    """share of the perfusion that embolisation before the treatment leaves, by region, e.g. tumour = 0.1"""
    until: Until | None = None
    """end the treatment when the tumour is covered"""
    perfusion_law: Literal["arrhenius", "cell_death", "cryo"] | None = None
    """law that says which share of the perfusion lives on; default: the first of arrhenius, cell_death and cryo that is
    among damage.laws"""
    metabolism: bool = True
    """count the metabolic heat of the tissues"""
    freezing: Annotated[
        Annotated[Freezing, Tag("table")] | Annotated[Literal["off"], Tag("value")], Discriminator(_table_or_value)
    ] = Freezing()
    """table, or "off": tissue then never freezes"""
    vaporisation: Annotated[
        Annotated[Vaporisation, Tag("table")] | Annotated[Literal["off"], Tag("value")], Discriminator(_table_or_value)
    ] = Vaporisation()
    """table, or "off": tissue water then never boils"""

    @model_validator(mode="after")
    def _phases_apart(self) -> Self:
        ice, steam = self.freezing, self.vaporisation
        if isinstance(ice, Freezing) and isinstance(steam, Vaporisation) and ice.liquidus > steam.start:
            raise ValueError(
                f"freezing.liquidus ({ice.liquidus:g} degC) lies above vaporisation.start ({steam.start:g} degC), so "
                'that tissue would freeze and boil at once; lower one of them, or set one of the tables to "off"'
            )
        return self


def _once(laws: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({law for law in laws if laws.count(law) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice; name each law once")
    return laws


Law = Arrhenius | Cem43 | CellDeath | Isotherm | Cryo | Chemical


class DamageTable(Spec):
    """Which damage laws are integrated, and their parameters and thresholds."""

    laws: Annotated[tuple[LawName, ...], AfterValidator(_once)] = Field(
        default=("arrhenius", "cem43", "cryo"), min_length=1
    )
    """laws to integrate"""
    arrhenius: Arrhenius = Field(default_factory=Arrhenius)
    """first-order kinetics"""
    cem43: Cem43 = Field(default_factory=Cem43)
    """thermal dose"""
    cell_death: CellDeath = Field(default_factory=CellDeath)
    """three states: alive, vulnerable, dead"""
    isotherm: Isotherm = Field(default_factory=Isotherm)
    """lethal isotherm of heat"""
    cryo: Cryo = Field(default_factory=Cryo)
    """lethal isotherm of cold"""
    chemical: Chemical = Field(default_factory=Chemical)
    """lethal concentration of what was delivered"""

    def law(self, name: str) -> Law:
        """A law with its parameters."""
        found: Law = getattr(self, name)
        return found

    def chosen(self) -> dict[str, Law]:
        """The laws to integrate, by the name in the case file."""
        return {name: self.law(name) for name in self.laws}

    @property
    def perfusion_law(self) -> str | None:
        """The law whose killed tissue loses its perfusion, if one of those in use can say so."""
        return next((name for name in PERFUSION_LAWS if name in self.laws), None)


class ReferenceZone(Spec):
    """A zone that was measured: a ``mask`` file, or an ellipsoid (``centre``, ``diameters``, ``axis``)."""

    mask: str | None = None
    """NIfTI file with its own orientation; every voxel above 0 belongs to the zone"""
    centre: Point | None = None
    """of the ellipsoid, patient RAS"""
    diameters: tuple[Length, Length, Length] | None = None
    """of the ellipsoid, along its axis and across it: the patient's next axes in turn, x after z"""
    axis: tuple[Number, Number, Number] = (1.0, 0.0, 0.0)
    """direction of the first diameter, e.g. that of the needle"""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.centre is None) != (self.diameters is None):
            raise ValueError("an ellipsoid needs both centre and diameters")
        if (self.mask is None) == (self.centre is None):
            raise ValueError("give either a mask, or centre and diameters")
        if not any(self.axis):
            raise ValueError("axis = [0, 0, 0] is no direction; write e.g. [0, 0, 1]")
        return self


class Zone(Spec):
    """What counts as ablated."""

    law: LawName | None = None
    """one of damage.laws; default: cryo when heating.kind is "cryo", else arrhenius; thresholds: in [damage]"""
    reference: ReferenceZone | None = None
    """zone that was measured, to compare with"""


def _from_library(value: Any) -> Any:
    """Fill in the library's values where particles are given as ``material = "name"``; keys beside it override them."""
    if not isinstance(value, dict) or "material" not in value:
        return value
    name = value["material"]
    if not isinstance(name, str):
        raise CrossError([Problem(("material",), f"found {show(name)}; expected the name of a library entry")])
    if name not in (known := library.names("particles")):
        hint = suggest(name, known, "particles")
        raise CrossError([Problem(("material",), f'"{name}" is not in the library of particles; {hint}')])
    entry = library.values("particles", name)
    if value.get("kind", entry["kind"]) != entry["kind"]:
        text = f'found {show(value["kind"])}, but {name} is "{entry["kind"]}"; remove kind, or remove material'
        raise CrossError([Problem(("kind",), text)])
    if "payload" in entry and "payload" in value:
        value = {**value, "payload": _over(entry["payload"], value["payload"])}
    return {**entry, **value}


def _over(standard: Any, given: Any) -> Any:
    """A payload or its release as the case gives it, with what it leaves open from the library's of the same kind."""
    if not isinstance(standard, dict) or not isinstance(given, dict):
        return given
    if given.get("kind", standard.get("kind")) != standard.get("kind"):
        return given
    return {**standard, **{key: _over(standard.get(key), value) for key, value in given.items()}}


ParticlesEntry = Annotated[AnyParticle, BeforeValidator(_from_library)]
"""The ``[particles]`` table: a library entry (``material``), or a definition (``kind`` and its keys)."""


ProbeField = Literal[
    "temperature",
    "highest_temperature",
    "lowest_temperature",
    "arrhenius",
    "cem43",
    "cell_death",
    "isotherm",
    "chemical",
    "concentration",
    "pore_concentration",
    "deposited_concentration",
    "pressure",
    "fluence",
    "potential",
    "field_amplitude",
    "absorbed_power",
    "emission",
    "drug_in_carrier",
    "drug_released",
    "drug_free",
    "drug_taken_up",
    "drug_exposure",
]
"""Fields of a run that a probe can record; those of a delivery, a heating or a damage law need that kind or law."""


def _column_name(name: str) -> str:
    if not _COLUMN.fullmatch(name):
        raise ValueError(f'"{printable(name)}" cannot name a probe; use letters, digits, blanks, _, - and +')
    return name


_COLUMN = re.compile(r"[\w\-+()](?:[\w\-+() ]{0,58}[\w\-+()])?")
ProbeName = Annotated[str, AfterValidator(_column_name)]
"""Of a probe: part of keys in summary.json and of headings in history.csv."""


class ProbePoint(Spec):
    """A named point whose values are recorded over time, like a thermocouple."""

    position: Point
    """patient RAS"""
    fields: tuple[ProbeField, ...] = Field(default=("temperature",), min_length=1)
    """what to record"""


class Numerics(Spec):
    """Accuracy of the solution; the defaults suit every shipped case."""

    temperature_tolerance: StepTolerance = 0.02
    """error allowed in one time step"""
    max_step: Duration = 10.0
    """longest time step"""
    precision: Literal["single", "double"] = "single"
    """of what changes within a time step, of coefficients and of extremes so far; temperature and ledgers are double"""
    engine: Literal["serial", "dolfinx"] = "serial"
    """in one process, or spread over the ranks of ``mpirun`` by DOLFINx (always in double precision)"""
    first_step: Duration | None = None
    """first time step and first after each switch; default: a few tolerances over the first heating rate"""
    error_estimate: bool = False
    """also compute the case on another grid (folder companion/) and state the error of zone and peak temperature"""

    @property
    def working(self) -> Literal["single", "double"]:
        """The precision that the engine knows."""
        return "double" if self.engine == "dolfinx" else self.precision


class Output(Spec):
    """What is kept."""

    every: Duration = 60.0
    """simulated time between kept temperature fields"""
    series: bool = True
    """keep the temperature fields over time, not only the last"""
    pictures: bool = True
    """draw overview.png and slices.png"""
    checkpoint: Duration = 60.0
    """wall time between checkpoints"""
