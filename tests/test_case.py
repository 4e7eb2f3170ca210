"""Reading case files: what is accepted, and what is said of what is not."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from thermal.case import Case, case_hash, case_json_schema, load_case
from thermal.case.describe import differences
from thermal.case.expected import Expected
from thermal.case.former import FORMER, Former, remedy
from thermal.case.load import parse_value
from thermal.case.places import Place, dotted, key_lines
from thermal.case.schema import SCHEMA_VERSION
from thermal.errors import CaseError

BASE = """\
schema_version = 1
title = "A warm sphere"

[anatomy]
kind = "phantom"
size = ["40 mm", "40 mm", "40 mm"]
voxel_size = "2 mm"
background = "liver"
tumour = "tumour"
shapes = [
    { region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "8 mm" },
]

[tissues.tumour]
material = "tumour"
conductivity = "0.55 W/m/K"

[heating]
kind = "prescribed"
sources = [{ shape = "region", region = "tumour", density = "1 W/cm^3" }]

[boundaries.faces]
kind = "fixed"
temperature = "37 degC"

[bioheat]
duration = "2 min"

[zone]
law = "arrhenius"

[probes.tip]
position = ["0 mm", "0 mm", "0 mm"]
fields = ["temperature"]

[numerics]
max_step = "5 s"

[output]
every = "30 s"
"""


def write(folder: Path, text: str = BASE, name: str = "case.toml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, *overrides: str, anatomy: str | None = None) -> list[str]:
    with pytest.raises(CaseError) as caught:
        load_case(path, overrides, anatomy)
    return list(caught.value.problems)


def line_of(text: str, marker: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if marker in line)


# ------------------------------------------------------------------------------------------------ good cases


def test_values_are_si_and_defaults_are_filled_in(tmp_path: Path) -> None:
    case = load_case(write(tmp_path))
    assert case.bioheat.duration == 120.0
    assert case.anatomy.size == (0.04, 0.04, 0.04)  # type: ignore[union-attr]
    assert case.probes["tip"].position == (0.0, 0.0, 0.0)
    assert case.bioheat.arterial_temperature == 37.0
    assert case.delivery.kind == "none"
    assert case.name == "case"
    assert case.folder == tmp_path


def test_resolved_is_json_with_units(tmp_path: Path) -> None:
    resolved = load_case(write(tmp_path)).resolved()
    assert json.loads(json.dumps(resolved, allow_nan=False)) == resolved
    assert resolved["bioheat"]["duration"] == {"value": 120.0, "unit": "s"}
    assert resolved["bioheat"]["initial_temperature"] == {"value": 37.0, "unit": "degC"}
    assert resolved["anatomy"]["shapes"][0]["radius"] == {"value": 0.008, "unit": "m"}
    assert resolved["bioheat"]["freezing"]["solidus"] == {"value": -8.0, "unit": "degC"}
    assert resolved["output"]["pictures"] is True


def test_tables_of_initial_temperatures(tmp_path: Path) -> None:
    table = 'duration = "2 min"\ninitial_temperature = { liver = "36 degC" }\nfreezing = "off"'
    case = load_case(write(tmp_path, BASE.replace('duration = "2 min"', table)))
    assert case.bioheat.initial_temperature == {"liver": 36.0}
    assert case.bioheat.freezing == "off"
    assert case.resolved()["bioheat"]["initial_temperature"] == {"liver": {"value": 36.0, "unit": "degC"}}


def test_a_case_is_frozen_and_its_hash_depends_on_content_alone(tmp_path: Path) -> None:
    first = load_case(write(tmp_path))
    rewritten = BASE.replace('"2 min"', '"120 s"').replace("\n\n", "\n# a remark\n")
    assert case_hash(first) == case_hash(load_case(write(tmp_path, rewritten, "other.toml")))
    changed = load_case(write(tmp_path), ["bioheat.duration=121 s"])
    assert case_hash(first) != case_hash(changed)
    assert case_hash(first) != case_hash(first, {"anatomy.ct": "abc"})
    assert list(differences(first.resolved(), changed.resolved())) == ["bioheat.duration: 120 s -> 121 s"]
    with pytest.raises(ValueError, match="frozen"):
        first.title = "other"  # type: ignore[misc]


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
    assert load_case(path).bioheat.duration == 120.0
    path.write_bytes(BASE.replace("max_step", "max_stp").replace("\n", "\r\n").encode())
    (problem,) = problems(path)
    assert f":{line_of(BASE, 'max_step')}: numerics.max_stp" in problem


def test_errors_of_physics_get_their_line(tmp_path: Path) -> None:
    path = write(tmp_path)
    case = load_case(path)
    error = case.placed(
        CaseError("tissues.tumour.optics: needed by ...", "anatomy.shapes.0: has no volume", "memory: x")
    )
    line = line_of(BASE, "[tissues.tumour]")
    assert error.problems[0].endswith(f"case.toml:{line}: tissues.tumour.optics: needed by ...")
    assert f"case.toml:{line_of(BASE, 'shape = ')}: anatomy.shapes.0" in error.problems[1]
    assert error.problems[2] == "memory: x"


# ------------------------------------------------------------------------------------------------ bad cases

BAD = [
    # what, found in BASE, put in its place, marker of the expected line, key, words of the message
    ("misspelt key", "max_step =", "max_stp =", "max_stp", "numerics.max_stp",
     ["unknown key", '"5 s"', 'did you mean "max_step"']),
    ("key from nowhere", "max_step =", "colour =", "colour", "numerics.colour",
     ["unknown key", "valid keys:", "max_step"]),
    ("key of another table", "max_step =", "pictures =", "pictures", "numerics.pictures", ["it belongs in [output]"]),
    ("misspelt table", "[numerics]", "[numeric]", "[numeric]", "numeric", ["unknown key", 'did you mean "numerics"']),
    ("misspelt top key", "title =", "titel =", "titel", "titel", ['did you mean "title"']),
    ("wrong dimension", '"2 min"', '"2 mm"', "2 mm", "bioheat.duration", ['"2 mm"', "expected a time", '"10 min"']),
    ("unknown unit", '"2 min"', '"2 minuits"', "minuits", "bioheat.duration", ['"2 minuits"', '"10 min"']),
    ("no unit in text", '"2 min"', '"120"', '"120"', "bioheat.duration", ['"120" has no unit']),
    ("no unit at all", '"2 min"', "120", "= 120", "bioheat.duration", ["120 has no unit", '"10 min"']),
    ("zero duration", '"2 min"', '"0 s"', '"0 s"', "bioheat.duration", ['"0 s" is out of range', "at least 0.001 s"]),
    ("negative duration", '"2 min"', '"-2 min"', "-2 min", "bioheat.duration", ["out of range", "at least 0.001 s"]),
    ("nan", '"2 min"', "nan", "nan", "bioheat.duration", ["nan"]),
    ("nan as text", '"2 min"', '"nan s"', "nan s", "bioheat.duration", ["nan s"]),
    ("infinite", '"2 min"', '"inf s"', "inf s", "bioheat.duration", ["inf s"]),
    ("empty text", '"2 min"', '""', '= ""', "bioheat.duration", ["quantity"]),
    ("boolean for quantity", '"2 min"', "true", "= true", "bioheat.duration", ["a quantity is a string"]),
    ("list for quantity", '"2 min"', '["2 min"]', '["2 min"]', "bioheat.duration", ["a quantity is a string"]),
    ("table for quantity", '"2 min"', "{ a = 1 }", "{ a = 1 }", "bioheat.duration", ["a quantity is a string"]),
    ("too hot", '"37 degC"', '"5000 degC"', "5000", "boundaries.faces.temperature", ["out of range", "2000 degC"]),
    ("colder than cold", '"37 degC"', '"-300 degC"', "-300", "boundaries.faces.temperature", ["-273.15 degC"]),
    ("text for boolean", 'every = "30 s"', 'pictures = "maybe"', "maybe", "output.pictures", ['"maybe"',
     "true or false"]),
    ("number for text", '"A warm sphere"', "7", "title", "title", ["found 7", "text"]),
    ("date for text", '"A warm sphere"', "2020-01-01", "title", "title", ["2020-01-01", "text"]),
    ("two of three", 'position = ["0 mm", "0 mm", "0 mm"]', 'position = ["0 mm", "0 mm"]', "position",
     "probes.tip.position",
     ["has 2 entries", "expected 3"]),
    ("four of three", 'position = ["0 mm", "0 mm", "0 mm"]', 'position = ["0 mm", "0 mm", "0 mm", "1 mm"]', "position",
     "probes.tip.position", ["has 4 entries", "3"]),
    ("bad coordinate", 'position = ["0 mm", "0 mm", "0 mm"]', 'position = ["0 mm", "0 mm", "0 K"]', "position",
     "probes.tip.position[2]", ['"0 K"', "expected a length"]),
    ("text for a point", 'position = ["0 mm", "0 mm", "0 mm"]', 'position = "origin"', "position",
     "probes.tip.position",
     ['"origin"', "a list"]),
    ("unknown field", '["temperature"]', '["temprature"]', "temprature",
     "probes.tip.fields[0]", ['did you mean "temperature"']),
    ("field nobody makes", '["temperature"]', '["fluence"]', "fluence", "probes.tip.fields[0]", ['"fluence"',
     "photothermal"]),
    ("unknown kind", 'kind = "prescribed"', 'kind = "perscribed"', "perscribed", "heating.kind",
     ['"perscribed"', 'did you mean "prescribed"', "magnetic", "cryo"]),
    ("kind of the wrong type", 'kind = "prescribed"', "kind = 3", "kind = 3", "heating.kind", ["3", "prescribed"]),
    ("no kind", 'kind = "prescribed"\n', "", "[heating]", "heating.kind", ["missing", "prescribed", "rfa"]),
    ("unknown anatomy", 'kind = "phantom"', 'kind = "phantm"', "phantm", "anatomy.kind", ['did you mean "phantom"',
     "mesh"]),
    ("unknown shape", 'shape = "sphere"', 'shape = "ball"', "ball", "anatomy.shapes[0].shape", ['"ball"', "sphere",
     "box"]),
    ("bad radius in a list", '"8 mm"', '"8 s"', "8 s", "anatomy.shapes[0].radius", ['"8 s"', "expected a length"]),
    ("key in a list", "radius =", "raduis =", "raduis", "anatomy.shapes[0].raduis", ['did you mean "radius"']),
    ("one voxel size for three", '"2 mm"', '"2 s"', "2 s", "anatomy.voxel_size", ['"2 s"', "expected a length"]),
    ("list for a text", 'background = "liver"', 'background = ["liver"]', "background", "anatomy.background", ["text"]),
    ("negative conductivity", '"0.55 W/m/K"', '"-0.55 W/m/K"', "-0.55", "tissues.tumour.conductivity",
     ["above 0 W/m/K"]),
    ("tissue as text", "[tissues.tumour]\nmaterial =", "[tissues]\ntumour =", "tumour =", "tissues.tumour", ["table"]),
    ("misspelt tissue key", "conductivity =", "conductivty =", "conductivty", "tissues.tumour.conductivty",
     ['did you mean "conductivity"']),
    ("boundary kind", 'kind = "fixed"', 'kind = "fixd"', "fixd", "boundaries.faces.kind", ['did you mean "fixed"',
     "convective"]),
    ("boundary holds nothing", 'temperature = "37 degC"\n', "", "[boundaries.faces]", "boundaries.faces",
     ["holds nothing"]),
    ("boundary key of another kind", 'temperature = "37 degC"', 'coefficient = "10 W/m^2/K"\ntemperature = "37 degC"',
     "coefficient", "boundaries.faces.coefficient", ["unknown key"]),
    ("boundary lacks a value", 'kind = "fixed"', 'kind = "convective"', "[boundaries.faces]",
     "boundaries.faces.coefficient",
     ["missing", 'add coefficient = "10 W/m^2/K"']),
    ("missing duration", 'duration = "2 min"\n', "", "[bioheat]", "bioheat.duration",
     ["missing", 'add duration = "10 min"']),
    ("freezing upside down", 'duration = "2 min"', 'duration = "2 min"\nfreezing = { solidus = "3 degC" }', "solidus",
     "bioheat.freezing", ["solidus", "liquidus"]),
    ("misspelt off", 'duration = "2 min"', 'duration = "2 min"\nfreezing = "of"', '"of"',
     "bioheat.freezing", ['"off"']),
    ("initial by region", 'duration = "2 min"', 'duration = "2 min"\ninitial_temperature = { liver = "1 m" }', "1 m",
     "bioheat.initial_temperature.liver", ['"1 m"', "degC"]),
    ("zone law", 'law = "arrhenius"', 'law = "arhenius"', "arhenius", "zone.law", ['did you mean "arrhenius"']),
    ("tolerance too loose", 'max_step = "5 s"', "temperature_tolerance = \"2000 K\"", "temperature_tolerance",
     "numerics.temperature_tolerance",
     ["out of range", "1000 K"]),
    ("tolerance too tight", 'max_step = "5 s"', "temperature_tolerance = \"1e-30 K\"", "temperature_tolerance",
     "numerics.temperature_tolerance",
     ["out of range", "at least 1e-09 K"]),
    ("magnetic without particles", BASE[BASE.index('kind = "prescribed"') : BASE.index("[boundaries")],
     'kind = "magnetic"\nfrequency = "100 kHz"\namplitude = "10 kA/m"\n', 'kind = "magnetic"', "heating.kind",
     ["particles", "[particles]"]),
    ("delivery without particles", "[heating]", '[delivery]\nkind = "uniform"\nconcentration = "1 mg/ml"\n[heating]',
     'kind = "uniform"', "delivery.kind", ["no particles"]),
    ("version from the future", "schema_version = 1", "schema_version = 2", "schema_version", "schema_version",
     ["found 2", "reads 1", "newer thermal"]),
    ("version as text", "schema_version = 1", 'schema_version = "1"', "schema_version",
     "schema_version", ['found "1"']),
    ("table twice", "[zone]", "[bioheat]", "[bioheat]", "TOML", ["twice"]),
    ("unquoted quantity", '"2 min"', "2 min", "2 min", "TOML", ['a quantity needs quotes: duration = "2 min"']),
    ("unclosed text", '"A warm sphere"', '"A warm sphere', "A warm", "TOML", ["illegal character"]),
    ("unclosed list", '"0 mm"]\nfields', '"0 mm"\nfields', "fields", "TOML", ["unclosed array"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "marker", "key", "words"), [entry[1:] for entry in BAD], ids=[e[0] for e in BAD]
)
def test_bad_case(tmp_path: Path, old: str, new: str, marker: str, key: str, words: list[str]) -> None:
    assert old in BASE
    text = BASE.replace(old, new, 1)
    path = write(tmp_path, text)
    start = BASE.index(old) + new.index(marker) if marker in new else text.index(marker)
    expected = text[:start].count("\n") + 1
    found = [line for line in problems(path) if f": {key}: " in line or (key == "TOML" and ": no valid TOML: " in line)]
    assert len(found) == 1, problems(path)
    assert found[0].startswith(f"{path}:{expected}: ")
    for word in words:
        assert word in found[0]
    for leak in ("Value error", "Input should", "pydantic", "union_tag", "Traceback", "function-"):
        assert leak not in found[0]


def test_all_problems_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = BASE.replace('"2 min"', '"2 mm"').replace('"arrhenius"', '"cem44"').replace('"8 mm"', '"-8 mm"')
    text = text.replace("max_step", "max_stp").replace('kind = "fixed"', 'kind = "fixt"')
    found = problems(write(tmp_path, text))
    keys = [line.split(": ")[1] for line in found]
    assert keys == [
        "anatomy.shapes[0].radius", "boundaries.faces.kind", "bioheat.duration", "zone.law", "numerics.max_stp",
    ]  # fmt: skip


def test_a_misspelt_required_key_is_reported_once(tmp_path: Path) -> None:
    (found,) = problems(write(tmp_path, BASE.replace("duration =", "duratoin =")))
    assert 'bioheat.duratoin: unknown key (found "2 min"); did you mean "duration"?' in found


def test_missing_tables_are_named(tmp_path: Path) -> None:
    found = problems(write(tmp_path, "schema_version = 1\n"))
    assert len(found) == 2
    assert "anatomy: missing; add a table [anatomy] with kind = one of: image, mesh, phantom" in found[0]
    assert "bioheat: missing; add a table [bioheat]" in found[1]
    assert any("schema_version: missing; add schema_version = 1" in line for line in problems(write(tmp_path, "")))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'title = "caf\xe9"\n', ":1: is not UTF-8"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b"a" + b".a" * 500 + b" = 1\n", "nested too deeply"),
        (b"a = " + b"[" * 40 + b"]" * 40, "nested too deeply"),
        (b"# " + b"x" * 1_100_000, "larger than"),
        (b"\x00\x01\x02", "no valid TOML"),
        (b"a = 1e999999\n", "unknown key"),
    ],
    ids=["latin1", "brackets", "dots", "forty", "huge", "binary", "overflow"],
)
def test_files_that_are_no_cases(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "case.toml"
    path.write_bytes(content)
    assert any(words in line for line in problems(path))
    assert all(str(path) in line for line in problems(path))


def test_absent_file_folder_and_device(tmp_path: Path) -> None:
    write(tmp_path, name="gold.toml")
    assert problems(tmp_path / "glod.toml")[0].endswith(f'no such file; did you mean "{tmp_path / "gold.toml"}"?')
    assert "is a folder" in problems(tmp_path)[0]
    os.mkfifo(tmp_path / "pipe.toml")
    assert "no ordinary file" in problems(tmp_path / "pipe.toml")[0]
    assert "no such file; check the path" in problems(tmp_path / "nowhere" / "case.toml")[0]


# ------------------------------------------------------------------------------------------------ extends

ANATOMY_TABLES = BASE[BASE.index("[anatomy]") : BASE.index("[heating]")]
REST = BASE[BASE.index("[heating]") :]


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """anatomy/box.toml and anatomy/bigbox.toml; liver/treatment.toml extends the first."""
    write(tmp_path, ANATOMY_TABLES, "anatomy/box.toml")
    write(tmp_path, ANATOMY_TABLES.replace("40 mm", "80 mm"), "anatomy/bigbox.toml")
    head = 'schema_version = 1\nextends = "../anatomy/box.toml"\ntitle = "t"\n'
    return write(tmp_path, head + REST, "liver/treatment.toml")


def test_extends_merges_tables_and_replaces_values(family: Path) -> None:
    grandchild = write(
        family.parent, 'extends = "treatment.toml"\n[tissues.tumour]\nconductivity = "0.6 W/m/K"\n', "second.toml"
    )
    case = load_case(grandchild)
    assert case.tissues["tumour"].conductivity == 0.6
    assert case.tissues["tumour"].material == "tumour"
    assert case.title == "t"
    assert case.bioheat.duration == 120.0
    assert case.place("tissues", "tumour", "conductivity").endswith("second.toml:3")
    assert "box.toml:" in case.place("tissues", "tumour", "material")
    assert case.origin is not None
    assert [Path(name).name for name, _ in case.origin.files] == ["second.toml", "treatment.toml", "box.toml"]


def test_problems_name_the_file_they_stand_in(family: Path) -> None:
    base = family.parent.parent / "anatomy" / "box.toml"
    base.write_text(base.read_text().replace('"8 mm"', '"8 s"'))
    family.write_text(family.read_text().replace('"2 min"', '"2 m"'))
    found = problems(family)
    assert any("box.toml:8: anatomy.shapes[0].radius" in line for line in found)
    assert any(f"{family}:{line_of(family.read_text(), '2 m')}: bioheat.duration" in line for line in found)


def test_another_kind_replaces_the_whole_table(family: Path) -> None:
    child = write(family.parent, 'extends = "treatment.toml"\n[heating]\nkind = "none"\n', "control.toml")
    assert load_case(child).heating.kind == "none"
    same = write(family.parent, 'extends = "treatment.toml"\n[heating]\nkind = "prescribed"\n', "same.toml")
    assert load_case(same).heating.kind == "prescribed"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ('"treatment.toml"', "goes round in a circle"),
        ('"../anatomy/bax.toml"', "no such file; did you mean"),
        ('"../anatomy"', "is a folder"),
        ("3", "found 3; expected one file name"),
        ('["a.toml", "b.toml"]', "expected one file name"),
        ('""', "expected one file name"),
    ],
)
def test_bad_extends(family: Path, target: str, words: str) -> None:
    family.write_text(family.read_text().replace('"../anatomy/box.toml"', target))
    (found,) = problems(family)
    assert found.startswith(f"{family}:2: extends: ")
    assert words in found


def test_a_longer_circle(tmp_path: Path) -> None:
    write(tmp_path, 'extends = "b.toml"\n', "a.toml")
    write(tmp_path, 'extends = "c.toml"\n', "b.toml")
    write(tmp_path, 'extends = "a.toml"\n', "c.toml")
    (found,) = problems(tmp_path / "a.toml")
    assert "c.toml:1: extends: goes round in a circle" in found


def test_anatomy_option(family: Path) -> None:
    assert load_case(family, anatomy="bigbox").anatomy.size[0] == 0.08  # type: ignore[union-attr]
    other = family.parent.parent / "anatomy" / "bigbox.toml"
    assert load_case(family, anatomy=str(other)).anatomy.size[0] == 0.08  # type: ignore[union-attr]
    assert 'did you mean "bigbox"' in problems(family, anatomy="bigbx")[0]
    assert "no such file" in problems(family, anatomy="none/there.toml")[0]
    alone = write(family.parent, BASE, "alone.toml")
    assert "extends no anatomy file" in problems(alone, anatomy="bigbox")[0]


def test_input_files_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    image = """
[anatomy]
kind = "image"
segmentation = "labels.nii.gz"
ct = "data:ct.nii.gz"
labels = "totalsegmentator"
voxel_size = "2 mm"
tumour = { mask = "mask.nii.gz" }
"""
    write(tmp_path, image, "anatomy/body.toml")
    head = 'schema_version = 1\nextends = "../anatomy/body.toml"\n'
    path = write(
        tmp_path, head + '[anatomy.tumour]\nmask = "mine.nii.gz"\n[bioheat]\nduration = "1 s"\n', "liver/x.toml"
    )
    anatomy = load_case(path).resolved()["anatomy"]
    assert anatomy["segmentation"] == os.path.join("..", "anatomy", "labels.nii.gz")
    assert anatomy["ct"] == "data:ct.nii.gz"
    assert anatomy["tumour"]["mask"] == "mine.nii.gz"


# ------------------------------------------------------------------------------------------------ --set


def test_set_changes_values_of_every_type(tmp_path: Path) -> None:
    case = load_case(
        write(tmp_path),
        [
            "bioheat.duration=3 min",
            "output.pictures=false",
            "numerics.max_step=7 s",
            'probes."second one".position=[1 mm, 2 mm, 3 mm]',
            "anatomy.shapes.0.radius=5 mm",
            "title=with = sign",
            "zone.law='cem43'",
        ],
    )
    assert case.bioheat.duration == 180.0
    assert case.output.pictures is False
    assert case.numerics.max_step == 7.0
    assert case.probes["second one"].position == (0.001, 0.002, 0.003)
    assert case.anatomy.shapes[0].radius == 0.005  # type: ignore[union-attr]
    assert case.title == "with = sign"
    assert case.zone.law == "cem43"
    assert case.place("bioheat", "duration") == "--set"


def test_set_of_a_kind_comes_first_whatever_the_order(tmp_path: Path) -> None:
    orders = (["heating.sources=[]", "heating.kind=none"], ["heating.kind=none"])
    assert load_case(write(tmp_path), orders[1]).heating.kind == "none"
    assert "heating.sources: unknown key" in problems(tmp_path / "case.toml", *orders[0])[0]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("bioheat.duration=3 mm", '--set: bioheat.duration: "3 mm"'),
        ("bioheat.duratoin=3 s", '--set: bioheat.duratoin: unknown key (found "3 s"); did you mean "duration"?'),
        ("bioheat.duration", "--set: found \"bioheat.duration\"; expected table.key=value"),
        ("=3", "expected table.key=value"),
        ("a b=3", "expected table.key=value"),
        ("bioheat.duration.x=3", "--set: bioheat.duration.x: a value stands where a table is needed"),
        ("anatomy.shapes.7.radius=3 mm", '"7" is no item of anatomy.shapes; valid items: 0 to 0'),
        ("anatomy.shapes.first.radius=3 mm", '"first" is no item of anatomy.shapes'),
        ("schema_version=3", "schema_version"),
    ],
)  # fmt: skip
def test_bad_set(tmp_path: Path, override: str, words: str) -> None:
    found = problems(write(tmp_path), override)
    assert any(words in line for line in found), found


def test_values_of_the_command_line() -> None:
    assert parse_value("2 W") == "2 W"
    assert parse_value("3") == 3
    assert parse_value("[1, 2]") == [1, 2]
    assert parse_value("[1 mm, 2 mm]") == ["1 mm", "2 mm"]
    assert parse_value("1\nother = 2") == "1\nother = 2"
    assert math.isnan(parse_value("nan"))


# ------------------------------------------------------------------------------------------------ places


def test_lines_of_every_kind_of_key() -> None:
    text = """# remark = 1
a = 1 # [not.a.table]
"b c".d = "x # y"
long = \"\"\"
k = 2
\\"\"\" \"\"\"
lit = '''
[no]
'''
[t]
list = [
  1, # one
  { p = 1, q = "]" },
  [ 2,
    3 ],
]
[t.'in ner']
date = 1979-05-27T07:32:00Z
[[array]]
x = 1
[[array]]
x = 2
[array.sub]
y.z = { u.v = 1 }
[[array.more]]
w = 1"""
    lines = key_lines(text)
    expected = {
        ("a",): 2, ("b c", "d"): 3, ("long",): 4, ("lit",): 7, ("t",): 10, ("t", "list"): 11, ("t", "list", 0): 12,
        ("t", "list", 1): 13, ("t", "list", 1, "q"): 13, ("t", "list", 2): 14, ("t", "list", 2, 1): 15,
        ("t", "in ner"): 17, ("t", "in ner", "date"): 18, ("array", 0, "x"): 20, ("array", 1, "x"): 22,
        ("array", 1, "sub"): 23, ("array", 1, "sub", "y", "z", "u", "v"): 24, ("array", 1, "more", 0, "w"): 26,
    }  # fmt: skip
    assert {keys: lines.get(keys) for keys in expected} == expected
    assert ("k",) not in lines
    assert ("no",) not in lines


def test_dotted_and_place() -> None:
    assert dotted(("boundaries", "x+", "kind")) == 'boundaries."x+".kind'
    assert dotted(("a", 0, "b-c")) == "a[0].b-c"
    assert str(Place("f.toml", 3)) == "f.toml:3"
    assert str(Place("--set")) == "--set"


# ------------------------------------------------------------------------------------------------ schema


def test_schema_describes_quantities_and_fields() -> None:
    schema = case_json_schema()
    bioheat = schema["$defs"]["Bioheat"]
    assert bioheat["required"] == ["duration"]
    assert bioheat["additionalProperties"] is False
    duration = bioheat["properties"]["duration"]
    assert duration["type"] == "string"
    assert duration["unit"] == "s"
    assert duration["examples"] == ["10 min"]
    assert duration["description"].startswith("simulated time")
    assert bioheat["properties"]["arterial_temperature"]["default"] == "37 degC"
    assert "extends" in schema["then"]["properties"]
    assert "extends" not in schema["else"]["properties"]
    json.dumps(schema, allow_nan=False)


def test_kinds_that_share_a_class_name_keep_their_descriptions() -> None:
    """Cryo is a heating and a damage law."""
    definitions = case_json_schema()["$defs"]
    described = [node["properties"] for name, node in definitions.items() if name.endswith("Cryo")]
    assert len(described) == 2
    (heating,) = (properties for properties in described if "cycles" in properties)
    (law,) = (properties for properties in described if "lethal_temperature" in properties)
    assert heating["cycles"]["description"].startswith("freezes and thaws")
    assert law["lethal_temperature"]["description"].startswith("lethal isotherm")


def test_every_top_level_table_is_there_and_no_other() -> None:
    first = "schema_version title anatomy tissues particles delivery heating"
    last = "boundaries bioheat damage zone probes numerics output earlier control plan"
    assert list(Case.model_fields) == f"{first} {last}".split()


# ------------------------------------------------------------------------------------------------ older files


def test_a_key_that_is_gone_is_explained(tmp_path: Path) -> None:
    (said,) = problems(write(tmp_path, BASE.replace("[numerics]", "[numerics]\nlinear_tolerance = 1e-8")))
    assert "numerics.linear_tolerance: unknown key" in said
    assert "no such key since schema_version 1, for every solve stops" in said
    assert said.endswith("; remove it")


def test_a_renamed_key_is_called_by_its_new_name() -> None:
    known = (
        Former("heating.laser", "heating.fibre", 2, "as it need not be one"),
        Former("probes.*.at", "probes.*.position", 3, "like every place"),
    )
    expected = "is called heating.fibre since schema_version 2, as it need not be one; write heating.fibre in place of "
    assert remedy(("heating", "laser"), known) == expected + "heating.laser"
    assert str(remedy(("probes", "edge", "at"), known)).endswith(
        "write probes.edge.position in place of probes.edge.at"
    )
    assert remedy(("probes", "at"), known) is None
    assert remedy(("heating", "lasers"), known) is None


def test_former_keys_are_no_keys_and_lead_to_keys() -> None:
    """What was renamed is not read any more, and its new name is."""
    for entry in FORMER:
        table, _, key = entry.was.rpartition(".")
        place = Expected(Case)
        for part in table.split("."):
            place = place.fields()[part]
        assert key not in place.fields()
        if entry.now:
            assert entry.now.rpartition(".")[2] in place.fields()
        assert 1 <= entry.format <= SCHEMA_VERSION


@pytest.mark.parametrize(("version", "said"), [("0", "named one by one"), ("2", "newer thermal")])
def test_other_formats_are_refused(tmp_path: Path, version: str, said: str) -> None:
    (found,) = problems(write(tmp_path, BASE.replace("schema_version = 1", f"schema_version = {version}")))
    assert f"found {version}; this version of thermal reads 1" in found
    assert said in found
