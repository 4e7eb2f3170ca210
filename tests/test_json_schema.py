"""The JSON schema that ``thermal schema`` prints admits what the loader admits, and nothing that it refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import CATALOGUE

from thermal import load_case
from thermal.case import case_json_schema
from thermal.case.templates import templates
from thermal.errors import CaseError

ROOT = Path(__file__).parents[1]
ROD = 'material = "gold_nanorod_41x10"'
MINUTE = 'duration = "1 min"'
WHOLE = """
schema_version = 1
[particles]
material = "gold_nanorod_41x10"
[delivery]
kind = "uniform"
region = "tumour"
concentration = "0.05 mg/ml"
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "2 W"
fibre = { entry = ["0 mm", "0 mm", "20 mm"], tip = ["0 mm", "0 mm", "0 mm"] }
[anatomy]
kind = "phantom"
size = "40 mm"
voxel_size = ["2 mm", "2 mm", "4 mm"]
background = "liver"
tumour = "tumour"
shapes = [{ region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "8 mm" }]
[bioheat]
duration = "1 min"
"""

MISTAKES = {
    "no version": ("schema_version = 1", ""),
    "wrong version": ("schema_version = 1", "schema_version = 2"),
    "no duration": (MINUTE, ""),
    "a number without its unit": (MINUTE, "duration = 60"),
    "a text without a unit": (MINUTE, 'duration = "60"'),
    "a decimal comma": (MINUTE, 'duration = "1,5 min"'),
    "unknown table": ("[bioheat]", "[bioheet]\n[bioheat]"),
    "unknown key": (MINUTE, f'{MINUTE}\ndurration = "1 min"'),
    "unknown key beside a material": (ROD, f'{ROD}\nlenght = "1 nm"'),
    "unknown material": ("gold_nanorod_41x10", "gold_nanorod_40x10"),
    "material of another kind": (ROD, f'{ROD}\nkind = "iron_oxide"'),
    "no kind of heating": ('kind = "photothermal"', ""),
    "unknown kind of heating": ('kind = "photothermal"', 'kind = "laser"'),
    "keys of another kind": ('wavelength = "808 nm"', 'wavelength = "808 nm"\nfrequency = "1 kHz"'),
    "no kind of anatomy": ('kind = "phantom"', ""),
    "two of three coordinates": ('tip = ["0 mm", "0 mm", "0 mm"]', 'tip = ["0 mm", "0 mm"]'),
    "two of three voxel sizes": ('["2 mm", "2 mm", "4 mm"]', '["2 mm", "2 mm"]'),
    "a table for a text": ('background = "liver"', "background = { name = 1 }"),
    "unknown shape": ('shape = "sphere"', 'shape = "ball"'),
    "no shape": ('shape = "sphere", ', ""),
    "a list for a table": ("[bioheat]", "[[bioheat]]"),
    "freezing on": (MINUTE, f'{MINUTE}\nfreezing = "on"'),
    "share above one": (MINUTE, f'{MINUTE}\n[tissues.liver]\nwater_fraction = 1.2'),
    "no fields": (MINUTE, f'{MINUTE}\n[probes.a]\nposition = ["0 mm", "0 mm", "0 mm"]\nfields = []'),
}  # fmt: skip

FORMS = {
    "list of fibres": ("fibre = {", "fibre = [{", '"0 mm"] }\n', '"0 mm"] }]\n'),
    "one voxel size": ('["2 mm", "2 mm", "4 mm"]', '"2 mm"'),
    "material with another value": (ROD, f'{ROD}\nmedium_index = 1.35'),
    "material with its kind": (ROD, f'{ROD}\nkind = "gold_rod"'),
    "defined particles": (ROD, 'kind = "gold_sphere"\ndiameter = "40 nm"'),
    "per cent": (MINUTE, f'{MINUTE}\n[tissues.liver]\nwater_fraction = "70 %"'),
    "freezing off": (MINUTE, f'{MINUTE}\nfreezing = "off"'),
    "freezing table": (MINUTE, f'{MINUTE}\nfreezing = {{ solidus = "-5 degC" }}'),
    "initial table": (MINUTE, f'{MINUTE}\ninitial_temperature = {{ tumour = "30 degC" }}'),
    "blood per mass": (MINUTE, f'{MINUTE}\n[tissues.liver]\nperfusion = "860 ml/min/kg"'),
}  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = case_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def changed(pairs: tuple[str, ...]) -> str:
    text = WHOLE
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    return text


def loads(path: Path, text: str) -> bool:
    path.write_text(text, encoding="utf-8")
    try:
        load_case(path)
    except CaseError:
        return False
    return True


@pytest.mark.parametrize("form", [(), *FORMS.values()], ids=["as it stands", *FORMS])
def test_every_form_passes_both(validator: Any, form: tuple[str, ...], tmp_path: Path) -> None:
    assert loads(tmp_path / "case.toml", changed(form))
    assert [error.message for error in validator.iter_errors(tomllib.loads(changed(form)))] == []


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_fail_both(validator: Any, mistake: tuple[str, ...], tmp_path: Path) -> None:
    assert not loads(tmp_path / "case.toml", changed(mistake))
    assert not validator.is_valid(tomllib.loads(changed(mistake)))


def case_files() -> list[Path]:
    """Shipped cases and those of the tests that are whole or extend another."""
    files = [path for folder in (ROOT / "cases" / "liver", CATALOGUE) for path in sorted(folder.glob("*.toml"))]
    return [path for path in files if path.name != "linear.toml"]  # which lacks an anatomy and extends nothing


@pytest.mark.parametrize("path", case_files(), ids=lambda path: path.name)
def test_case_files_pass(validator: Any, path: Path) -> None:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(data)] == []


@pytest.mark.parametrize("name", templates())
def test_templates_pass(validator: Any, name: str) -> None:
    assert [error.message for error in validator.iter_errors(tomllib.loads(templates()[name]))] == []


def test_an_extending_file_is_still_checked(validator: Any) -> None:
    extending = {"extends": "other.toml", "heating": {"power": "2 W"}, "anatomy": {"voxel_size": "2 mm"}}
    assert validator.is_valid(extending)
    assert not validator.is_valid({**extending, "heeting": {}})
    assert not validator.is_valid({**extending, "bioheat": {"duration": 3}})
