"""From a name in the library and what a case says otherwise to the tissue of a region."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from thermal import library
from thermal.errors import CaseError
from thermal.library import Sourced
from thermal.physics.tissue import HydraulicAnisotropy, Optics, PoissonRatio, Tissue
from thermal.units import (
    Conductivity,
    Density,
    ElectricalConductivity,
    Filtration,
    Fraction,
    HeatCapacity,
    LatentHeat,
    MetabolicHeat,
    PerKelvin,
    Permeability,
    PositiveFraction,
    PositiveNumber,
    PositivePressure,
    Pressure,
    Si,
    Spec,
    Temperature,
    common,
    parse,
)

BLOOD_DENSITY = 1050.0  # kg/m3; IT'IS Foundation database of tissue properties, blood
NEAR = 10e-9  # m; optics of the case stand for those of the library this close by (as Tissues.optics looks them up)
NEEDED = ("density", "heat_capacity", "conductivity")
SLOPES = {"conductivity": "conductivity_slope", "electrical_conductivity": "electrical_conductivity_slope"}
MOST_PERFUSION = 1e3
"""1/s"""
_PERFUSIONS = '"0.0155 1/s", "860 ml/min/kg" (of tissue) or "0.5 kg/m^3/s" (of blood)'


def perfusion_rate(text: str, density: float) -> float:
    """Perfusion in m3 of blood per m3 of tissue and second.

    ``text`` in one of three families: a volume rate per volume ("0.0155 1/s"), per mass of tissue ("860 ml/min/kg",
    times ``density`` of the tissue, kg/m3), or a mass rate per volume ("0.5 kg/m^3/s", over 1050 kg/m3 of blood).
    Raises ``ValueError`` for anything else and for negative rates.
    """
    families = (("1/s", 1.0), ("m^3/kg/s", density), ("kg/m^3/s", 1.0 / BLOOD_DENSITY))
    for unit, factor in sorted(families, key=lambda family: common(text, family[0]) is None):
        try:
            rate = parse(text, unit) * factor
        except ValueError:
            continue
        if not 0.0 <= rate <= MOST_PERFUSION:
            raise ValueError(
                f'"{text}" is no possible perfusion; expected at least 0 1/s and at most {MOST_PERFUSION:g} 1/s, e.g. '
                f"{_PERFUSIONS}"
            )
        return rate
    raise ValueError(f'"{text}" is not a perfusion; write {_PERFUSIONS}')


TABLES = ("optics", "hydraulic_anisotropy")
"""Keys that hold more than one number."""


def _perfusion(value: object) -> str:
    text = f"{float(value)!r} 1/s" if isinstance(value, Si) else value
    if not isinstance(text, str):
        raise ValueError(f"{value!r} has no unit; write {_PERFUSIONS}")
    perfusion_rate(text, BLOOD_DENSITY)
    return text


Perfusion = Annotated[str, BeforeValidator(_perfusion), Field(json_schema_extra={"unit": "1/s"})]
"""A perfusion as written; its rate may depend on the tissue's density."""


def _apart(rows: tuple[Optics, ...]) -> tuple[Optics, ...]:
    for before, after in pairwise(sorted(row.wavelength for row in rows)):
        if after - before <= NEAR:
            raise ValueError(
                f"two entries for {before * 1e9:.0f} and {after * 1e9:.0f} nm, of which one would be ignored (each is "
                "used within 10 nm); delete one"
            )
    return rows


class TissueEntry(Spec):
    """What a case says of a region's tissue; whatever it leaves out comes from the library.

    A conductivity given without its slope is constant: the library's slope belongs to the library's value.
    """

    material: str | None = None
    """library entry (``thermal materials`` lists them); default: the tissue that the anatomy names"""
    density: Density | None = None
    """mass per volume"""
    heat_capacity: HeatCapacity | None = None
    """specific heat capacity"""
    conductivity: Conductivity | None = None
    """heat conductivity at 37 degC"""
    conductivity_slope: PerKelvin | None = None
    """relative change of the conductivity per kelvin above 37 degC, up to 100 degC"""
    perfusion: Perfusion | None = None
    """blood flow: "0.0155 1/s", "860 ml/min/kg" of tissue, or "0.5 kg/m^3/s" of blood"""
    metabolic_heat: MetabolicHeat | None = None
    """heat that the living tissue makes by itself"""
    frozen_conductivity: Conductivity | None = None
    """heat conductivity of the frozen tissue"""
    frozen_heat_capacity: HeatCapacity | None = None
    """heat capacity of the frozen tissue"""
    latent_heat: LatentHeat | None = None
    """of freezing, per mass of tissue"""
    water_fraction: Fraction | None = None
    """mass of water per mass of tissue, for vaporisation"""
    electrical_conductivity: ElectricalConductivity | None = None
    """at about 500 kHz and 37 degC"""
    electrical_conductivity_slope: PerKelvin | None = None
    """relative change of the electrical conductivity per kelvin above 37 degC, up to 100 degC"""
    optics: Annotated[tuple[Optics, ...], AfterValidator(_apart)] | None = None
    """absorption and reduced scattering by wavelength; the library's other wavelengths stay"""
    refractive_index: PositiveNumber | None = None
    """for the reflection of light at the skin; 1.4 where nobody gives one"""
    porosity: PositiveFraction | None = None
    """pore volume accessible to the infusate per volume of tissue"""
    hydraulic_conductivity: Permeability | None = None
    """Darcy permeability over viscosity"""
    hydraulic_anisotropy: HydraulicAnisotropy | None = None
    """directions in which fluid flows more easily; none when absent"""
    shear_modulus: PositivePressure | None = None
    """of the drained skeleton, for delivery.poroelastic"""
    poisson_ratio: PoissonRatio | None = None
    """of the drained skeleton, for delivery.poroelastic"""
    vascular_filtration: Filtration | None = None
    """of vessels: hydraulic conductivity of their walls times wall area per tissue volume; none when absent"""
    vascular_pressure: Pressure | None = None
    """effective pressure that drives fluid out of vessels: hydrostatic less osmotic; 0 Pa when absent"""
    lymphatic_filtration: Filtration | None = None
    """the same of lymphatics, which drain fluid with its particles; none when absent"""
    lymphatic_pressure: Pressure | None = None
    """in the lymphatics; 0 Pa when absent"""
    temperature: Temperature | None = None
    """region held at this temperature (large vessels)"""


def resolve_tissue(name: str | None, overrides: Mapping[str, Any]) -> tuple[Tissue, list[Sourced]]:
    """The tissue of the library entry ``name`` with a case's ``overrides``, and the source of each of its numbers.

    ``overrides``: fields of :class:`TissueEntry` but ``material``, as that model holds them (SI floats, perfusion as
    text) or as raw quantity strings. A name that is not in the library will do when the overrides give at least
    density, heat capacity and conductivity. Raises ``CaseError``.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    entry = _entry(given)
    stated = {key: getattr(entry, key) for key in given}
    if name is not None and (name in library.names("tissues") or any(key not in stated for key in NEEDED)):
        raw, sources = library.values("tissues", name), library.sources("tissues", name)
    else:
        raw, sources = {}, []
        lacking = [key for key in NEEDED if key not in stated]
        if lacking:
            raise CaseError(f"no material is named and {', '.join(lacking)} not given; add material or these values")
    dropped = {slope for value, slope in SLOPES.items() if value in stated and slope not in stated}
    library_optics = [
        row for row in raw.pop("optics", ()) if not any(_near(row, own) for own in stated.get("optics", ()))
    ]
    kept = {key: value for key, value in raw.items() if key not in stated and key not in dropped}
    merged = {**kept, **{key: _si(value) for key, value in stated.items() if key not in TABLES}}
    density = stated.get("density") or parse(kept["density"], "kg/m^3")
    if "perfusion" in merged:
        merged["perfusion"] = Si(perfusion_rate(merged["perfusion"], density))
    if "hydraulic_anisotropy" in stated:
        merged["hydraulic_anisotropy"] = stated["hydraulic_anisotropy"]
    merged["optics"] = (*stated.get("optics", ()), *library_optics)
    tissue = Tissue.model_validate(merged)
    rows = {f"optics[{row['wavelength']}]" for row in library_optics}
    used = [s for s in sources if s["key"] in kept or s["key"].rpartition(".")[0] in rows]
    return tissue, used + _own_sources(tissue, stated)


def _entry(given: Mapping[str, Any]) -> TissueEntry:
    try:
        return TissueEntry.model_validate({key: _si(value) for key, value in given.items()})
    except ValidationError as error:
        raise CaseError(
            *(f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        ) from None


def _si(value: Any) -> Any:
    return Si(value) if isinstance(value, float) else value


def _near(row: Mapping[str, str], own: Optics) -> bool:
    return abs(parse(row["wavelength"], "m") - own.wavelength) <= NEAR


def _own_sources(tissue: Tissue, given: Mapping[str, Any]) -> list[Sourced]:
    """Records of the values that the case gave, in SI."""
    found = [library.stated(key, getattr(tissue, key), Tissue, key) for key in given if key not in TABLES]
    if "hydraulic_anisotropy" in given:
        found += [
            library.sourced(f"hydraulic_anisotropy.ratios.{number + 1}", f"{ratio!r}", library.OWN)
            for number, ratio in enumerate(given["hydraulic_anisotropy"].ratios)
        ]
    for row in given.get("optics", ()):
        place = f"optics[{row.wavelength * 1e9:g} nm]"
        found += [
            library.stated(f"{place}.{key}", getattr(row, key), Optics, key)
            for key in sorted(row.model_fields_set - {"wavelength"})
        ]
    return found
