"""Bad case files of many kinds: exit code 2, every problem with its place, no traceback, nothing made.

Each entry changes a good case; what it says must name the key and what to do. All of it is found by ``thermal
validate``, before anything is solved.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from thermal.cli import REFUSED, main

GOOD = """\
schema_version = 1
title = "Good"
heating = { kind = "prescribed", sources = [{ region = "tumour", shape = "region", density = "1e6 W/m^3" }] }
[anatomy]
kind = "phantom"
size = "24 mm"
voxel_size = "4 mm"
background = "liver"
tumour = "tumour"
shapes = [{ region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "6 mm" }]
[bioheat]
duration = "2 s"
[output]
pictures = false
"""
HEATING = GOOD.splitlines()[2]
GOLD = 'particles = { material = "gold_nanorod_41x10" }\ndelivery = { kind = "uniform", concentration = "10 ug/ml" }\n'
NEEDLE = (
    '{ entry = ["0 mm", "0 mm", "12 mm"], tip = ["0 mm", "0 mm", "-6 mm"], radius = "0.75 mm", active_length = "9 mm" }'
)
RFA = f'heating = {{ kind = "rfa", power = "5 W", electrode = {NEEDLE} }}'
LASER = (
    'heating = { kind = "photothermal", wavelength = "808 nm", power = "1 W", fibre = { entry = ["0 mm", "0 mm", '
    '"12 mm"], tip = ["0 mm", "0 mm", "0 mm"] } }'
)


def probes(name: str) -> str:
    return f'[probes.{name}]\nposition = ["0 mm", "0 mm", "0 mm"]'


# what is written in place of what; words that the message must hold
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown background": ('= "liver"', '= "livver"', (":8: anatomy.background", "did you mean liver")),
    "unknown shape": (
        "shapes = [",
        'shapes = [{ region = "fatt", shape = "layer", axis = "x", to = "-8 mm" }, ',
        (":10: anatomy.shapes[0].region", "did you mean fat"),
    ),
    "decimal comma": ('"2 s"', '"1,5 s"', ("bioheat.duration", "point, not a comma")),
    "arithmetic": ('"2 s"', '"9**9**9**9 s"', ("bioheat.duration", "cannot be read")),
    "power of a power": ('"2 s"', '"2 s**9**9"', ("bioheat.duration", "cannot be read")),
    "sum": ('"2 s"', '"1 s + 1 s"', ("bioheat.duration", "cannot be read")),
    "range": ('"2 s"', '"1-2 s"', ("bioheat.duration", "cannot be read")),
    "a long number": ('"2 s"', f'"{"9" * 100_000} s"', ("bioheat.duration", "cannot be read")),
    "a whole number of thousands of digits": ('"2 s"', "9" * 5000, ("a number cannot be read",)),
    "not a number": ('"2 s"', '"nan s"', ("bioheat.duration", "finite")),
    "infinite": ('"2 s"', '"inf s"', ("bioheat.duration", "finite")),
    "coulomb": ("[output]", '[boundaries.x-]\nkind = "fixed"\ntemperature = "37 C"\n[output]', ("coulomb", "degC")),
    "control characters": ('"2 s"', '"\\u001b[31m2 s"', ("bioheat.duration", "?[31m2 s")),
    "title of two lines": ('"Good"', '"Good\\nand bad"', ("title", "one line")),
    "name of a probe": ("[output]", f'{probes(chr(34) + "a,b" + chr(34))}\n[output]', ("probes", "cannot name")),
    "probe without a name": ("[output]", f'{probes(chr(34) * 2)}\n[output]', ("probes", "cannot name")),
    "region of a source": ('region = "tumour", shape = "region"', 'region = "tumor", shape = "region"',
                           ("heating.sources[0].region", "tumor", "liver, tumour")),
    "unit of a source": ("1e6 W/m^3", "1e6 W", ("heating.sources[0].density", "a power density")),
    "region of a delivery": (HEATING, GOLD.replace("uniform\"", 'uniform", region = "tumor"') + LASER,
                             ("delivery.region", "tumor", "liver, tumour")),
    "region of a temperature": (HEATING, 'heating = { kind = "temperature", region = "x", schedule = [["0 s", '
                                '"50 degC"]] }', ("heating.region", '"x"')),
    "source outside": ('region = "tumour", shape = "region"', 'shape = "box", centre = ["1 m", "0 m", "0 m"], '
                       'size = ["1 mm", "1 mm", "1 mm"]', ("heating.sources[0].centre", "outside")),
    "point outside": (HEATING, 'heating = { kind = "prescribed", sources = [{ shape = "point", position = ["1 m", '
                      '"0 m", "0 m"], power = "1 W" }] }', ("heating.sources[0].position", "(1000, 0, 0) mm")),
    "wavelength without data": (HEATING, LASER.replace("808 nm", "905 nm"), ("tissues.liver.optics", "808 nm")),
    "wavelength of a radio": (HEATING, LASER.replace("808 nm", "808 mm"), ("heating.wavelength", "out of range")),
    "optics twice": ("[output]", '[tissues.liver]\noptics = [{ wavelength = "808 nm", absorption = "1 1/cm", '
                     'reduced_scattering = "9 1/cm" }, { wavelength = "810 nm", absorption = "2 1/cm", '
                     'reduced_scattering = "9 1/cm" }]\n[output]', ("tissues.liver.optics", "ignored")),
    "gold in a magnetic field": (HEATING, GOLD + 'heating = { kind = "magnetic", frequency = "100 kHz", amplitude = '
                                 '"10 kA/m" }', ("particles.material", "no magnetic properties")),
    "iron under light": (HEATING, GOLD.replace("gold_nanorod_41x10", "iron_oxide_16") + LASER,
                         ("particles.material", "no optical properties")),
    "particles of a centimetre": (HEATING, GOLD.replace('material = "gold_nanorod_41x10"', 'kind = "gold_sphere", '
                                  'diameter = "1 cm"') + LASER, ("particles.diameter", "out of range")),
    "power and voltage": (HEATING, RFA.replace('"5 W"', '"5 W", voltage = "20 V"'), ("heating", "not both")),
    "needle of a nanometre": (HEATING, RFA.replace("0.75 mm", "1 nm"), ("heating.electrode.radius", "out of range")),
    "needle out of the body": (HEATING, RFA.replace('"-6 mm"', '"-60 mm"'), ("heating.electrode.tip", "outside")),
    "no electrode": (HEATING, 'heating = { kind = "rfa", power = "5 W" }', ("heating", "no current can flow")),
    "never on": ("1e6 W/m^3\"", '1e6 W/m^3", on = []', ("heating.sources[0].on", "no interval")),
    "boundary without area": ("[output]", '[boundaries.surface]\nkind = "convective"\ncoefficient = "10 W/m^2/K"\n'
                              'temperature = "20 degC"\n[output]', ("boundaries.surface", "no area", "x-, x+")),
    "insulated region": ("[output]", '[boundaries.tumour]\nkind = "insulated"\n[output]',
                         ("boundaries.tumour", "fixed")),
    "unknown boundary": ("[output]", '[boundaries.skin]\nkind = "insulated"\n[output]', ("boundaries.skin", "surface")),
    "a grain of a tumour": ('radius = "6 mm"', 'radius = "1 nm"', ("anatomy.shapes[0]", "too small")),
    "tumour outside": ('"0 mm"], radius = "6 mm"', '"90 mm"], radius = "6 mm"', ("anatomy.shapes[0]", "no volume")),
    "too many voxels": ('voxel_size = "4 mm"', 'voxel_size = "4 um"', ("anatomy.voxel_size", "million")),
    "too many kept fields": ("pictures = false", 'pictures = false\nevery = "1 ns"', ("output.every", "at least")),
    "too many steps": ("[output]", '[numerics]\nmax_step = "1e-12 s"\n[output]', ("numerics.max_step", "at least")),
    "ice that boils": ("[output]", '[bioheat.freezing]\nsolidus = "90 degC"\nliquidus = "99.5 degC"\n[output]',
                       ("bioheat", "freezing.liquidus (99.5 degC)", "vaporisation.start (99 degC)")),
    "a law twice": ("[output]", '[damage]\nlaws = ["arrhenius", "arrhenius"]\n[output]', ("damage.laws", "twice")),
}  # fmt: skip


def complaints(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, list[str]]:
    path = tmp_path / "case.toml"
    path.write_text(text, encoding="utf-8")
    code = main(["validate", str(path)])
    return code, capsys.readouterr().err.splitlines()


def test_the_good_case_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaints(tmp_path, capsys, GOOD) == (0, [])
    for heating in (RFA, GOLD + LASER):
        assert complaints(tmp_path, capsys, GOOD.replace(HEATING, heating)) == (0, [])


@pytest.mark.parametrize("change", CASES.values(), ids=list(CASES))
def test_bad_case(change: tuple[str, str, tuple[str, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, words = change
    assert old in GOOD
    started = time.monotonic()
    code, lines = complaints(tmp_path, capsys, GOOD.replace(old, new, 1))
    assert time.monotonic() - started < 20.0  # a text of 100,000 digits once took three minutes
    assert code == REFUSED
    assert lines
    assert all(line.startswith("error: ") and "case.toml" in line and line.isprintable() for line in lines)
    assert any(all(word in line for word in words) for line in lines), lines
    assert os.listdir(tmp_path) == ["case.toml"]


FILES = {
    "a device that never ends": ("/dev/zero", "is no ordinary file"),
    "a pipe that nobody writes to": ("pipe", "is no ordinary file"),
    "a name that no disk takes": ("n" * 300, "cannot be looked for (File name too long)"),
    "the home of nobody": ("~nobody-of-that-name/labels.nii", "no such file"),
    "a circle of links": ("circle", "no such file"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("key", ["segmentation", "ct", "mesh"])
def test_files_that_are_none(name: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never waited for, and never a failure of the program."""
    file, words = FILES[name]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    nibabel.save(nibabel.Nifti1Image(np.full((9, 9, 9), 5, np.uint8), np.eye(4)), tmp_path / "labels.nii")
    image = 'labels = { liver = 5 }\nvoxel_size = "4 mm"\ncentre = ["4 mm", "4 mm", "4 mm"]'
    tables = {
        "segmentation": f'kind = "image"\nsegmentation = "{file}"\n{image}',
        "ct": f'kind = "image"\nsegmentation = "labels.nii"\nct = "{file}"\n{image}',
        "mesh": f'kind = "mesh"\nfile = "{file}"',
    }
    head, _, rest = GOOD.partition("[anatomy]")
    text = head.replace(HEATING + "\n", "") + f"[anatomy]\n{tables[key]}\n" + rest[rest.index("[bioheat]") :]
    code, lines = complaints(tmp_path, capsys, text)
    assert code == REFUSED
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize("file", ["/dev/zero", "pipe", "n" * 300, "circle"])
def test_cases_that_are_no_files(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    assert main(["validate", str(tmp_path / file)]) == REFUSED
    assert complaints(tmp_path, capsys, f'extends = "{file}"\n')[0] == REFUSED


LARGE = {
    "a key of many parts": ("a." * 200_000 + "b = 1\n", "a key has more than 1000 parts"),
    "letters without end": ("x = 1" + "e" * 300_000 + '"\n', "no valid TOML"),
    "spaces without end": ("x = 1 m" + " " * 300_000 + '"\n', "no valid TOML"),
    "brackets without end": ("x = " + "[" * 300_000 + "\n", "nested too deeply"),
    "keys without end": (GOOD + "".join(f"[k{number}]\n" for number in range(20_000)), "19900 problems more"),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_files_are_refused_at_once(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each once took minutes or hours: work that grew with the square of the length."""
    text, words = LARGE[name]
    started = time.process_time()
    code, lines = complaints(tmp_path, capsys, text)
    assert time.process_time() - started < 10.0
    assert code == REFUSED
    assert any(words in line for line in lines), lines[-1][:200]
    assert len(lines) <= 101
    assert max(map(len, lines)) < 500


def test_a_setting_of_many_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "case.toml").write_text(GOOD, encoding="utf-8")
    started = time.process_time()
    assert main(["validate", str(tmp_path / "case.toml"), "--set", "a." * 60_000 + "b=1"]) == REFUSED
    assert time.process_time() - started < 10.0
    assert "expected table.key=value" in capsys.readouterr().err


def test_a_bad_entry_is_the_only_complaint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list whose entries are wrong is not called empty besides."""
    _, lines = complaints(tmp_path, capsys, GOOD.replace("1e6 W/m^3", "1e6 W"))
    assert len(lines) == 1


def test_everything_that_an_anatomy_lacks_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = (GOLD + LASER).replace('uniform"', 'uniform", region = "tumor"').replace("808 nm", "905 nm")
    _, lines = complaints(tmp_path, capsys, GOOD.replace(HEATING, bad))
    assert len(lines) == 3
    for words in ("delivery.region", "tissues.liver.optics", "tissues.tumour.optics"):
        assert any(words in line for line in lines)


def test_a_finished_run_that_lost_its_results_is_not_called_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, out = tmp_path / "case.toml", tmp_path / "run"
    case.write_text(GOOD, encoding="utf-8")
    assert main(["run", str(case), "--out", str(out), "--quiet"]) == 0
    (out / "fields.h5").unlink()
    capsys.readouterr()
    assert main(["run", str(case), "--out", str(out)]) == REFUSED
    assert "fields.h5 is gone; run it again with --force" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["picture.xyz", "picture"])
def test_view_writes_pictures_only(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = tmp_path / "case.toml"
    case.write_text(GOOD, encoding="utf-8")
    assert main(["view", str(case), "--screenshot", str(tmp_path / name)]) == REFUSED
    assert "must end with .png" in capsys.readouterr().err
