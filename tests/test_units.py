"""Quantities: what is read, and what is said about what cannot be."""

from __future__ import annotations

import pytest

from thermal.units import _EXAMPLES, _KINDS, parse


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.5 mm", "m", 1.5e-3),
        ("37 degC", "degC", 37.0),
        ("37 °C", "degC", 37.0),
        ("310.15 K", "degC", 37.0),
        ("5 ul/min", "m^3/s", 5e-9 / 60),
        ("5 µl/min", "m^3/s", 5e-9 / 60),
        ("12 %", "", 0.12),
        ("0.5 mg/ml", "kg/m^3", 0.5),
        ("1 W/cm^2", "W/m^2", 1e4),
    ],
)
def test_quantities_become_si(text: str, unit: str, value: float) -> None:
    assert parse(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "said"),
    [
        ("1.5 mm", "W", '"1.5 mm" is a length; expected a power, e.g. "2 W"'),
        ("2 W", "m", '"2 W" is a power; expected a length, e.g. "1.5 mm"'),
        ("37 degC", "Pa", '"37 degC" is a temperature; expected a pressure, e.g. "1 kPa"'),
        ("3 min", "degC", '"3 min" is a time; expected a temperature, e.g. "37 degC"'),
        ("300 kHz", "V", '"300 kHz" is a frequency; expected a voltage, e.g. "20 V"'),
        ("2 W/cm^2", "W/m^3", '"2 W/cm^2" is a power per area; expected a power density, e.g. "0.5 W/cm^3"'),
        ("1 mg", "kg/m^3", '"1 mg" is a mass; expected a density or concentration, e.g. "1060 kg/m^3"'),
        ("5 ml", "", '"5 ml" is a volume; expected a plain number, e.g. "0.2"'),
        ("30 %", "W", '"30 %" is a plain number; expected a power, e.g. "2 W"'),
        ("3 kg*m", "W", '"3 kg*m" is measured in kilogram * meter; expected a power, e.g. "2 W"'),
        ("5", "m", '"5" has no unit; write e.g. "1.5 mm"'),
        ("inf m", "m", '"inf m" is not a finite number'),
        ("5 parrots", "m", '"5 parrots" cannot be read as a quantity'),
    ],
)
def test_what_is_said_about_the_rest(text: str, unit: str, said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        parse(text, unit)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("unit", sorted(_EXAMPLES))
def test_every_unit_of_the_case_file_has_a_name_and_an_example_of_its_kind(unit: str) -> None:
    assert unit in _KINDS
    parse(_EXAMPLES[unit], unit) if unit else float(_EXAMPLES[unit])
