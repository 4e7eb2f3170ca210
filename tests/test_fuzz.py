"""Generated inputs by the thousand: never a traceback, never a hang, never a silent number, nothing left behind.

A few of each kind run by default, the same ones every time; ``-m slow`` runs more than ten thousand, new ones every
time.
"""

from __future__ import annotations

import gzip
import math
import os
import tomllib
from pathlib import Path
from typing import Any

import meshio
import nibabel
import numpy as np
import pytest
from fuzzing import Tree, answers, changed, damaged, explore, toml, write
from hypothesis import strategies as st
from scripts import script
from test_bad_cases import GOLD, GOOD, HEATING, LASER, RFA

from thermal import load_case, simulate
from thermal.errors import CaseError

IRON = 'particles = { material = "iron_oxide_16" }\ndelivery = { kind = "uniform", concentration = "5 mg/ml" }\n'
FIELD = 'heating = { kind = "magnetic", frequency = "100 kHz", amplitude = "10 kA/m" }'
COLD = (
    'heating = { kind = "cryo", probes = [{ entry = ["0 mm", "0 mm", "12 mm"], tip = ["0 mm", "0 mm", "-6 mm"], '
    'radius = "0.75 mm", active_length = "9 mm" }], temperature = "-120 degC", '
    'cycles = [{ freeze = "1 s", thaw = "1 s" }] }'
)
HELD = 'heating = { kind = "temperature", region = "tumour", schedule = [["0 s", "50 degC"], ["2 s", "60 degC"]] }'
INFUSED = (
    'particles = { material = "iron_oxide_16" }\ndelivery = { kind = "infusion", entry = ["0 mm", "0 mm", "12 mm"], '
    'tip = ["0 mm", "0 mm", "0 mm"], port_radius = "0.5 mm", flow = "5 ul/min", duration = "1 min", '
    'concentration = "5 mg/ml" }\n'
)
EXTRAS = """\
[boundaries.x-]
kind = "convective"
coefficient = "10 W/m^2/K"
temperature = "20 degC"
[damage]
laws = ["arrhenius", "cem43", "cell_death", "isotherm", "cryo"]
[tissues.tumour]
perfusion = "0.002 1/s"
[probes.middle]
position = ["0 mm", "0 mm", "0 mm"]
fields = ["temperature", "cem43"]
[numerics]
max_step = "1 s"
"""
TEXTS = [GOOD.replace(HEATING, heating) + EXTRAS for heating in (HEATING, RFA, GOLD + LASER, IRON + FIELD, COLD, HELD)]
TEXTS.append(GOOD.replace(HEATING, INFUSED + FIELD))
CASES: list[Tree] = [tomllib.loads(text) for text in TEXTS]
SWEEP = """\
schema_version = 1
title = "A sweep"
cases = ["good.toml"]
set = { "bioheat.duration" = "1 s" }
keep = "summary"
outcomes = ["peak_temperature"]
"""
SWEEPS = [
    SWEEP + '[grid]\n"bioheat.duration" = ["1 s", "2 s"]\n"anatomy.shapes.0.radius" = ["5 mm", "6 mm"]\n',
    SWEEP + '[[rows]]\n"bioheat.duration" = "1 s"\n[[rows]]\n"bioheat.duration" = "2 s"\n',
    SWEEP + 'sample = { method = "latin_hypercube", count = 4, seed = 1 }\n[priors.p]\nkeys = ["bioheat.duration"]\n'
    'distribution = "lognormal"\nmedian = 1.0\nspread = 1.3\nrelative = "factor"\nsource = "a test"\n',
    SWEEP + 'sample = { method = "morris", count = 8 }\n[priors."anatomy.shapes.0.radius"]\n'
    'distribution = "uniform"\nlow = "4 mm"\nhigh = "6 mm"\n',
]


def often(quick: int, slow: int) -> Any:
    """How many inputs by default and in the slow run."""
    return pytest.mark.parametrize(
        "count", [quick, pytest.param(slow, marks=[pytest.mark.slow, pytest.mark.timeout(0)])]
    )


def test_what_is_changed_is_good_before(tmp_path: Path) -> None:
    for text in TEXTS:
        assert answers("validate", str(write(tmp_path / "good.toml", text)))[0] == 0
    for text in SWEEPS:
        write(tmp_path / "good.toml", GOOD)
        assert expanded(tmp_path, text) > 1
    assert toml(CASES[0]) != ""
    assert [tomllib.loads(toml(case)) for case in CASES] == CASES


# ------------------------------------------------------------------------------------------------ case files


def unchanged(folder: Path, *names: str) -> None:
    """Nothing else is in the folder."""
    assert sorted(os.listdir(folder)) == sorted(names)


@often(150, 5000)
def test_case_files_of_wrong_content(count: int, tmp_path: Path) -> None:
    def check(tree: Tree) -> None:
        answers("validate", str(write(tmp_path / "case.toml", toml(tree))))
        unchanged(tmp_path, "case.toml")

    explore(count, changed(CASES), check)


@often(60, 1500)
def test_case_files_of_damaged_bytes(count: int, tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        answers("validate", str(write(tmp_path / "case.toml", data)))
        unchanged(tmp_path, "case.toml")

    explore(count, damaged([text.encode() for text in TEXTS]), check)


@often(30, 1000)
def test_settings_on_the_command_line(count: int, tmp_path: Path) -> None:
    path = str(write(tmp_path / "case.toml", TEXTS[0]))
    texts = st.one_of(
        st.text(max_size=30),
        st.builds(lambda key, value: f"{key}={value}", st.sampled_from(
            ["heating.sources.0.density", "bioheat.duration", "anatomy.shapes.0.centre.1", "numerics", "title", "a.b.c"]
        ), st.text(max_size=20)),
    )  # fmt: skip

    def check(text: str) -> None:
        answers("validate", path, f"--set={text}")

    explore(count, texts, check)


SMALL: list[Tree] = [
    {**case, "anatomy": {**case["anatomy"], "size": "20 mm", "voxel_size": "4 mm"}, "output": {"series": False,
     "pictures": False, "every": "1 s"}} for case in CASES
]  # fmt: skip


@often(15, 600)
def test_what_is_accepted_gives_numbers_that_are_numbers(count: int, tmp_path: Path) -> None:
    """A case is refused, or fails loudly, or its numbers are finite and its ledger closes."""
    number = iter(range(10**9))

    def check(tree: Tree) -> None:
        tree = {**tree, "bioheat": {**_table(tree, "bioheat"), "duration": "2 s"}, "output": SMALL[0]["output"]}
        path = write(tmp_path / "case.toml", toml(tree))
        out = tmp_path / f"run{next(number)}"
        code, _ = answers("run", str(path), "--quiet", "--out", str(out), allowed=(0, 2, 3))
        if code == 0:
            sane(out, path)

    explore(count, changed(SMALL, fixed=("output",)), check)


def _table(tree: Tree, key: str) -> Tree:
    found = tree.get(key)
    return found if isinstance(found, dict) else {}


def sane(out: Path, path: Path) -> None:
    """Nothing in the summary that is no number, and no energy from nowhere."""
    from thermal.store import read_run

    run = read_run(out)
    for key, entry in run.summary.items():
        value = entry["value"]
        assert value is None or not isinstance(value, float) or math.isfinite(value), key
    assert run.value("ledger.energy_error") < 1e-9
    for name in ("peak_temperature", "lowest_temperature"):
        assert -273.15 <= run.value(name) < 1e5
    for name in run.history.columns:
        assert np.isfinite(run.history[name][1:]).all(), name  # in the first row a meter has nothing to say yet
    for name, field in run.static.items():
        assert np.isfinite(field.values).all(), name


# ------------------------------------------------------------------------------------------------ sweeps


def expanded(folder: Path, text: str | bytes) -> int:
    from thermal.batch import load_sweep
    from thermal.batch.members import expand, named

    sweep = load_sweep(write(folder / "sweep.toml", text))
    return len(named(expand(sweep)[:8], sweep))


@often(60, 1500)
def test_sweep_files(count: int, tmp_path: Path) -> None:
    write(tmp_path / "good.toml", GOOD)
    trees = [tomllib.loads(text) for text in SWEEPS]

    def check(text: str | bytes) -> None:
        try:
            expanded(tmp_path, text)
        except CaseError as error:
            said = error.problems
        else:
            said = ()
        assert all(line.isprintable() for line in said), said
        unchanged(tmp_path, "good.toml", "sweep.toml")

    whole = changed(trees).map(toml)
    explore(count, st.one_of(whole, whole, damaged([text.encode() for text in SWEEPS])), check)


# ------------------------------------------------------------------------------------------------ images and meshes

IMAGE = """\
schema_version = 1
[anatomy]
kind = "image"
segmentation = "labels.nii{ending}"
labels = {{ liver = 5, spleen = 1 }}
voxel_size = "4 mm"
window = "16 mm"
centre = ["0 mm", "0 mm", "0 mm"]
[bioheat]
duration = "1 s"
"""


@often(60, 1500)
def test_images(count: int, tmp_path: Path) -> None:
    values = np.full((9, 10, 11), 5, np.uint8)
    values[2:4] = 1
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -9.0
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    whole = image.to_bytes()
    for ending, data in (("", whole), (".gz", gzip.compress(whole))):
        write(tmp_path / f"labels.nii{ending}", data)
        case = write(tmp_path / f"case{ending}.toml", IMAGE.format(ending=ending))
        assert answers("validate", str(case))[0] == 0

    def check(change: tuple[bool, bytes]) -> None:
        packed, data = change
        ending = ".gz" if packed else ""
        write(tmp_path / f"labels.nii{ending}", gzip.compress(data, 1) if packed else data)
        answers("validate", str(tmp_path / f"case{ending}.toml"))

    explore(count, st.tuples(st.booleans(), damaged([whole])), check)


@often(15, 400)
def test_packed_images_of_damaged_bytes(count: int, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.full((9, 10, 11), 5, np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    whole = gzip.compress(image.to_bytes())
    case = str(write(tmp_path / "case.toml", IMAGE.format(ending=".gz")))

    def check(data: bytes) -> None:
        write(tmp_path / "labels.nii.gz", data)
        answers("validate", case)

    explore(count, damaged([whole]), check)


MESH = """\
schema_version = 1
[anatomy]
kind = "mesh"
file = "{name}"
length_unit = "mm"
{regions}
{tissues}
[bioheat]
duration = "1 s"
"""
TISSUES = '[tissues.a]\nmaterial = "liver"\n[tissues.b]\nmaterial = "liver"'
NAMED = 'regions = { a = 1, b = 2 }\ncell_data = "region"'


@often(60, 1500)
def test_meshes(count: int, tmp_path: Path) -> None:
    maker = script("make_ball_mesh")
    points, cells, region, _, _ = maker.ball(5.0, 10.0, 0)
    files = {}
    plain = meshio.Mesh(points, [("tetra", cells)], cell_data={"region": [region.astype(int)]})
    tagged = meshio.Mesh(
        points, [("tetra", cells)], cell_data={"gmsh:physical": [region], "gmsh:geometrical": [region]}
    )
    maker.write(tmp_path / "named.msh", 5.0, 10.0, 0, (0.0, 0.0, 0.0))
    meshio.write(tmp_path / "packed.vtu", plain)
    meshio.write(tmp_path / "binary.msh", tagged, file_format="gmsh22", binary=True)
    for name, regions in (
        ("named.msh", 'tumour = "tumour"'),
        ("packed.vtu", NAMED),
        ("binary.msh", NAMED.replace('region"', 'gmsh:physical"')),
    ):
        files[name] = (tmp_path / name).read_bytes()
        tissues = "" if name == "named.msh" else TISSUES
        case = write(tmp_path / f"{name}.toml", MESH.format(name=name, regions=regions, tissues=tissues))
        code, said = answers("validate", str(case))
        assert code == 0, said

    def check(change: tuple[str, bytes]) -> None:
        name, data = change
        write(tmp_path / name, data)
        answers("validate", str(tmp_path / f"{name}.toml"))

    kinds = st.sampled_from(sorted(files))
    explore(count, kinds.flatmap(lambda name: st.tuples(st.just(name), damaged([files[name]]))), check)


# ------------------------------------------------------------------------------------------------ run folders

READERS = (
    ("cite", "{run}"), ("export", "{run}", "--format", "csv"), ("report", "{run}", "--out", "{out}/report.json"),
    ("run", "{case}", "--out", "{run}", "--quiet"), ("run", "{case}", "--out", "{run}", "--quiet", "--resume"),
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case and its finished run."""
    folder = tmp_path_factory.mktemp("finished")
    text = TEXTS[0].replace("pictures = false", 'pictures = false\nevery = "1 s"')
    simulate(load_case(write(folder / "case.toml", text)), folder / "run")
    return folder


@often(40, 1200)
def test_run_folders(count: int, tmp_path: Path, finished: Path) -> None:
    """Whatever a file of a run folder holds, those who read it read it, or say that it is damaged."""
    run = tmp_path / "run"
    run.mkdir()
    whole = {path.name: path.read_bytes() for path in (finished / "run").iterdir() if path.is_file()}

    def check(change: tuple[str, bytes, tuple[str, ...]]) -> None:
        name, data, command = change
        for other, content in whole.items():
            write(run / other, content)
        write(run / name, data)
        words = {"run": run, "case": finished / "case.toml", "out": tmp_path}
        answers(*(word.format(**words) for word in command), allowed=(0, 2))

    def of(name: str) -> st.SearchStrategy[tuple[str, bytes, tuple[str, ...]]]:
        return st.tuples(st.just(name), damaged([whole[name]]), st.sampled_from(READERS))

    names = [name for name in whole if name not in ("log.txt", "lock")]
    explore(count, st.sampled_from(sorted(names)).flatmap(of), check)
