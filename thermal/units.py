"""Quantities: strings with units in the case file, SI floats inside (temperatures in degrees Celsius).

``Annotated`` types such as :data:`Length` are used in every schema; each accepts ``"1.5 mm"`` and yields metres.
The unit registry is imported only when the first string with a unit is met.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Array = npt.NDArray[np.float64]
"""A float64 array; shapes are given where it is used."""
Real = npt.NDArray[np.floating[Any]]
"""An array in single or double precision."""
Mask = npt.NDArray[np.bool_]
"""A boolean array; shapes are given where it is used."""

ZERO_CELSIUS = 273.15  # K, exact by definition of the Celsius scale
GAS_CONSTANT = 8.314462618  # J/mol/K, CODATA 2018 (exact)
BOLTZMANN = 1.380649e-23  # J/K, CODATA 2018 (exact)
VACUUM_PERMEABILITY = 1.25663706212e-6  # H/m, CODATA 2018


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    registry = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    registry.define("percent_of_whole = 0.01 = pct")
    return registry


_QUANTITY = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"  # the number
    r"(?:(?=[\s(%°A-Za-zµμ])(?:(?:\^|\*\*)[-+]?\d(?!\d|\^|\*\*)|\*(?!\*)|[\s/().%°²³A-Za-zµμ_]|(?<![\d.])\d{1,3}(?![\d.]))*)?"
)
"""A number and a product of units. No other arithmetic: ``9**9**9 s`` would keep the registry busy for ever, and it
reads ``1,5 s`` as fifteen."""
_LONGEST = 80  # characters of a quantity; real ones have fewer than twenty
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d")
_PLAIN_POWER = re.compile(r"\b([cdkmun]?m)([23])\b")  # m3, cm2
_NOT_FINITE = re.compile(r"[-+]?(nan|inf|infinity)\b", re.IGNORECASE)


def printable(text: str) -> str:
    """A text as a message may repeat it: shortened, and without what would steer a terminal."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])
    return plain if len(text) <= _LONGEST else plain[: _LONGEST - 4] + "..."


def _check_form(text: str, wanted: str) -> None:
    """Raise ``ValueError`` for what is no number with a product of units."""
    bare = text.strip()
    if _NOT_FINITE.match(bare):
        raise ValueError(f'"{printable(text)}" is not a finite number')
    if len(bare) > _LONGEST or not _QUANTITY.fullmatch(bare):
        comma = " (decimals take a point, not a comma)" if _DECIMAL_COMMA.match(bare) else ""
        raise ValueError(f'"{printable(text)}" cannot be read as a quantity{comma}; write e.g. "{wanted}"')


@lru_cache(maxsize=4096)
def parse(text: str, unit: str) -> float:
    """Value of the quantity ``text`` in ``unit`` (``parse("1.5 mm", "m") == 0.0015``).

    Raises ``ValueError`` that says what was found and what was expected.
    """
    known = common(text, unit)
    if known is not None:
        return known
    import pint

    wanted = example(unit)
    _check_form(text, wanted)
    try:
        plain = text.strip().replace("%", "pct").replace("°C", "degC").replace("µ", "u")
        quantity = _registry().Quantity(_PLAIN_POWER.sub(r"\1^\2", plain))
    except (pint.UndefinedUnitError, pint.DefinitionSyntaxError, pint.OffsetUnitCalculusError) as error:
        raise ValueError(f'"{text}" cannot be read as a quantity ({error}); write e.g. "{wanted}"') from None
    except Exception as error:
        raise ValueError(f'"{text}" cannot be read as a quantity; write e.g. "{wanted}"') from error
    if quantity.unitless and unit != "" and "%" not in text:
        raise ValueError(f'"{text}" has no unit; write e.g. "{wanted}"')
    try:
        value = float(quantity.to(unit if unit else "dimensionless").magnitude)
    except pint.DimensionalityError:
        found = _kind_of(quantity)
        raise ValueError(f'"{text}" is {found}; expected {_KINDS.get(unit, unit)}, e.g. "{wanted}"') from None
    except Exception as error:
        raise ValueError(f'"{text}" cannot be converted to {unit}; write e.g. "{wanted}"') from error
    if not np.isfinite(value):
        raise ValueError(f'"{text}" is not a finite number')
    return value


_NUMBER_AND_UNIT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")
_COMMON: dict[str, dict[str, float]] = {
    "m": {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9},
    "s": {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0},
    "W": {"W": 1.0, "mW": 1e-3, "kW": 1e3},
    "degC": {"degC": 1.0},
    "K": {"K": 1.0, "mK": 1e-3},
    "Pa": {"Pa": 1.0, "kPa": 1e3},
    "V": {"V": 1.0},
    "Hz": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6},
    "A/m": {"A/m": 1.0, "kA/m": 1e3},
    "1/m": {"1/m": 1.0, "1/cm": 1e2, "1/mm": 1e3},
    "1/s": {"1/s": 1.0},
    "1/K": {"1/K": 1.0},
    "kg/m^3": {"kg/m^3": 1.0, "mg/ml": 1.0},
    "m^3/s": {"m^3/s": 1.0, "ml/min": 1e-6 / 60.0, "ul/min": 1e-9 / 60.0},
    "m^3/kg/s": {"ml/min/kg": 1e-6 / 60.0},
    "W/m/K": {"W/m/K": 1.0},
    "J/kg/K": {"J/kg/K": 1.0},
    "J/kg": {"J/kg": 1.0, "kJ/kg": 1e3},
    "J/mol": {"J/mol": 1.0, "kJ/mol": 1e3},
    "J/m^3": {"J/m^3": 1.0, "kJ/m^3": 1e3},
    "W/m^3": {"W/m^3": 1.0, "W/cm^3": 1e6},
    "W/m^2": {"W/m^2": 1.0, "W/cm^2": 1e4},
    "W/m^2/K": {"W/m^2/K": 1.0},
    "S/m": {"S/m": 1.0},
    "m^2/Pa/s": {"m^2/Pa/s": 1.0},
    "m^2/s": {"m^2/s": 1.0},
    "Pa*s": {"Pa*s": 1.0, "mPa*s": 1e-3},
    "": {"": 1.0},
}
"""Unit -> ways of writing it that case files are full of, and their factors: the registry takes half a second."""


def common(text: str, unit: str) -> float | None:
    """The same for the units that are met most, None for all others and for what is no quantity."""
    found = _NUMBER_AND_UNIT.fullmatch(text)
    factor = _COMMON.get(unit, {}).get(found[2]) if found is not None else None
    if found is None or factor is None:
        return None
    value = float(found[1]) * factor
    return value if np.isfinite(value) else None


_EXAMPLES = {
    "m": "1.5 mm", "s": "10 min", "W": "2 W", "degC": "37 degC", "Pa": "1 kPa", "m^3/s": "5 ul/min", "V": "20 V",
    "kg/m^3": "1060 kg/m^3", "W/m/K": "0.5 W/m/K", "J/kg/K": "3600 J/kg/K", "W/m^3": "0.5 W/cm^3", "Hz": "300 kHz",
    "A/m": "10 kA/m", "1/m": "0.5 1/cm", "1/s": "0.0155 1/s", "S/m": "0.33 S/m", "A": "1.5 A", "kg": "1 mg",
    "W/m^2/K": "10 W/m^2/K", "W/m^2": "1 W/cm^2", "m^2/s": "1e-11 m^2/s", "m^2/Pa/s": "1e-12 m^2/Pa/s",
    "J/m^3": "250 MJ/m^3",
    "": "0.2", "m^3": "0.5 ml", "K": "0.01 K", "J/mol": "257.7 kJ/mol", "1/K": "0.02 1/K", "J/kg": "334 kJ/kg",
    "Pa*s": "1 mPa*s", "1/Pa/s": "1.3e-8 1/Pa/s", "1/Pa": "1e-5 1/Pa",
    "kg*s/m^3": "60 ug/ml*min",
}  # fmt: skip


_KINDS = {
    "": "a plain number", "m": "a length", "s": "a time", "kg": "a mass", "degC": "a temperature",
    "K": "a temperature difference", "W": "a power", "Pa": "a pressure", "V": "a voltage", "A": "a current",
    "Hz": "a frequency", "1/s": "a rate", "m^3": "a volume", "m^3/s": "a volume flow",
    "kg/m^3": "a density or concentration", "W/m/K": "a thermal conductivity", "J/kg/K": "a specific heat capacity",
    "J/kg": "a specific heat", "W/m^3": "a power density", "W/m^2": "a power per area",
    "W/m^2/K": "a heat transfer coefficient", "J/m^3": "an energy density", "J/mol": "an energy per amount",
    "A/m": "a field strength", "S/m": "an electrical conductivity", "1/m": "an absorption or scattering coefficient",
    "1/K": "a relative change per kelvin", "m^2/s": "a diffusivity", "m^2/Pa/s": "a hydraulic conductivity",
    "Pa*s": "a viscosity", "1/Pa": "a compressibility", "1/Pa/s": "a filtration rate",
    "m^2/kg": "a cross-section per mass", "H*m^2/kg": "an intrinsic loss power",
    "min": "a time", "m^2": "an area", "J": "an energy", "m/s": "a speed", "N": "a force", "ohm": "a resistance",
    "N*m": "a torque", "deg": "an angle", "kg*s/m^3": "an exposure (concentration times time)",
}  # fmt: skip
"""What is measured in a unit; of units that measure alike, the first names what was found."""


def _kind_of(quantity: Any) -> str:
    """A found quantity in words: "a length", or what it is measured in."""
    for unit, name in _KINDS.items():
        if quantity.check(_registry().get_dimensionality(unit)):
            return name
    return f"measured in {quantity.units}"


def example(unit: str) -> str:
    """A quantity of this unit as one would write it in a case file."""
    return _EXAMPLES.get(unit, f"1 {unit}")


def _number(value: float) -> str:
    """A number as a message may repeat it; whole numbers of thousands of digits cannot even be printed."""
    return repr(value) if isinstance(value, float) or abs(value) < 10**30 else "a number of more than 30 digits"


def quantity(unit: str, **limits: float) -> Any:
    """Field metadata of a quantity: strings become floats in ``unit``; pydantic ``limits`` (gt, ge, lt, le) hold."""

    def convert(value: object) -> object:
        if isinstance(value, str):
            return parse(value, unit)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f'a quantity is a string with a unit; write e.g. "{example(unit)}"')
        if unit and not isinstance(value, Si):
            raise ValueError(f'{_number(value)} has no unit; write e.g. "{example(unit)}"')
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{_number(value)} is out of range") from None

    describe: Any = Field
    return BeforeValidator(convert), describe(json_schema_extra={"unit": unit}, **limits)


class Si(float):
    """A float that is already in the SI unit of the field it is given to (for use from Python, not from files)."""


HUGE = 1e30
Length = Annotated[float, *quantity("m", gt=0, le=10)]
Wavelength = Annotated[float, *quantity("m", ge=1e-7, le=1e-4)]
ParticleSize = Annotated[float, *quantity("m", gt=0, le=1e-5)]
ProbeRadius = Annotated[float, *quantity("m", ge=1e-5, le=0.1)]
Coordinate = Annotated[float, *quantity("m", ge=-10, le=10)]
Duration = Annotated[float, *quantity("s", gt=0, le=1e9)]
Instant = Annotated[float, *quantity("s", ge=0, le=1e9)]
Temperature = Annotated[float, *quantity("degC", ge=-273.15, le=2000)]
TemperatureStep = Annotated[float, *quantity("K", gt=0, le=1000)]
LEAST_TOLERANCE = 1e-9
"""K, of a time step's error: what is less is lost in round-off, and steps would shrink after it without end."""
StepTolerance = Annotated[float, *quantity("K", ge=LEAST_TOLERANCE, le=1000)]
Power = Annotated[float, *quantity("W", gt=0, le=1e6)]
PowerDensity = Annotated[float, *quantity("W/m^3", ge=-1e12, le=1e12)]
MetabolicHeat = Annotated[float, *quantity("W/m^3", ge=0, le=1e12)]
Flux = Annotated[float, *quantity("W/m^2", ge=-1e9, le=1e9)]
Irradiance = Annotated[float, *quantity("W/m^2", gt=0, le=1e9)]
HeatTransfer = Annotated[float, *quantity("W/m^2/K", ge=0, le=1e6)]
Density = Annotated[float, *quantity("kg/m^3", gt=0, le=30000)]
HeatCapacity = Annotated[float, *quantity("J/kg/K", gt=0, le=1e5)]
Conductivity = Annotated[float, *quantity("W/m/K", gt=0, le=1e4)]
PerKelvin = Annotated[float, *quantity("1/K", ge=-1, le=1)]
LatentHeat = Annotated[float, *quantity("J/kg", ge=0, le=1e7)]
Rate = Annotated[float, *quantity("1/s", ge=0, le=1e3)]
ElectricalConductivity = Annotated[float, *quantity("S/m", gt=0, le=1e8)]
Voltage = Annotated[float, *quantity("V", gt=0, le=1e5)]
Potential = Annotated[float, *quantity("V", ge=-1e5, le=1e5)]
Current = Annotated[float, *quantity("A", gt=0, le=1e5)]
Frequency = Annotated[float, *quantity("Hz", gt=0, le=1e12)]
FieldStrength = Annotated[float, *quantity("A/m", gt=0, le=1e7)]
Absorption = Annotated[float, *quantity("1/m", ge=0, le=1e8)]
Concentration = Annotated[float, *quantity("kg/m^3", ge=0, le=3e4)]
Mass = Annotated[float, *quantity("kg", gt=0, le=1)]
Flow = Annotated[float, *quantity("m^3/s", gt=0, le=1)]
Volume = Annotated[float, *quantity("m^3", gt=0, le=1)]
Pressure = Annotated[float, *quantity("Pa", ge=-1e8, le=1e9)]
Permeability = Annotated[float, *quantity("m^2/Pa/s", gt=0, le=1)]
Filtration = Annotated[float, *quantity("1/Pa/s", ge=0, le=1e-3)]
Compliance = Annotated[float, *quantity("1/Pa", ge=-1e-2, le=1e-2)]
PositivePressure = Annotated[float, *quantity("Pa", gt=0, le=1e9)]
Diffusivity = Annotated[float, *quantity("m^2/s", ge=0, le=1)]
Viscosity = Annotated[float, *quantity("Pa*s", gt=0, le=1e6)]
Fraction = Annotated[float, *quantity("", ge=0, le=1)]
PositiveFraction = Annotated[float, *quantity("", gt=0, le=1)]
Number = Annotated[float, *quantity("", ge=-HUGE, le=HUGE)]
PositiveNumber = Annotated[float, *quantity("", gt=0, le=HUGE)]
FrequencyFactor = Annotated[float, *quantity("1/s", gt=0, le=1e200)]
ActivationEnergy = Annotated[float, *quantity("J/mol", gt=0, le=1e8)]

Point = tuple[Coordinate, Coordinate, Coordinate]
"""A point in metres inside; ``["10 mm", "0 mm", "-5 mm"]`` in a case file."""


class Spec(BaseModel):
    """Base of everything a case file may hold: frozen, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=False)
