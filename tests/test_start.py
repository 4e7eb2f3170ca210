"""What a command costs before it does anything: imports, units, compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from thermal.anatomy import Phantom
from thermal.engines import beside
from thermal.units import _COMMON, _registry, common, parse

CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "8 mm"
voxel_size = "2 mm"
background = "liver"
[bioheat]
duration = "1 s"
[output]
pictures = false
"""

SLOW = ("numba", "pint", "scipy", "skfem", "pyamg", "meshio", "magpylib", "matplotlib", "pyvista", "h5py", "nibabel")


def imported(code: str) -> set[str]:
    """Top-level packages that a fresh process has imported after ``code``."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_reading_a_case_import_nothing_slow(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(CASE)
    assert not imported("from thermal.cli import main\nmain(['--help'])") & {*SLOW, "pydantic", "numpy"}
    assert not imported(f"from thermal.case import load_case\nload_case({str(path)!r})") & set(SLOW)


def test_a_run_on_voxels_imports_nothing_for_meshes_or_pictures(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(CASE)
    run = f"from thermal.case import load_case\nfrom thermal import simulation\ncase = load_case({str(path)!r})\n"
    run += "prepared = simulation.prepare(case, lambda stage, share: None)\n"
    run += "next(prepared.loop.march(prepared.loop.start(prepared.initial)))\n"
    found = imported(run) & set(SLOW)
    assert found == {"numba", "scipy"}


@pytest.mark.parametrize("unit", sorted(_COMMON))
def test_units_that_are_read_without_the_registry_are_those_of_the_registry(unit: str) -> None:
    for written in _COMMON[unit]:
        for number in ("1", "-2.5", "+0.07", "1e-3", "4.2E5", "3.", ".5"):
            found = common(f"{number} {written}", unit)
            expected = _registry().Quantity(f"{number} {written}").to(unit or "dimensionless").magnitude
            assert found == pytest.approx(expected, rel=1e-15)  # the registry's own rounding
            assert parse(f"{number} {written}", unit) == found


@pytest.mark.parametrize(
    "text", ["1.5 mm mm", "nan mm", "inf mm", "1e999 mm", "1,5 mm", "1 2 mm", "mm", "", "1.5", "1e mm"]
)
def test_what_is_no_common_quantity_is_left_to_the_registry(text: str) -> None:
    assert common(text, "m") is None


def test_compilation_is_announced_once_and_never_when_warm(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(CASE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    said = []
    for name in ("cold", "warm"):
        command = [sys.executable, "-m", "thermal", "run", str(path), "--out", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        said.append(done.stderr.count("compiling kernels once"))
    assert said == [1, 0]


@pytest.mark.parametrize(("idle", "voxels"), [(True, "cut"), (False, "cut"), (True, None)])
def test_an_idle_core_compiles_beside_until_the_run_ends(
    monkeypatch: pytest.MonkeyPatch, idle: bool, voxels: beside.Voxels | None
) -> None:
    started: list[list[str]] = []
    ended: list[str] = []

    class Process:
        def __init__(self, command: list[str], **streams: int) -> None:
            started.append(command)

        def terminate(self) -> None:
            ended.append("told")

        def wait(self) -> None:
            ended.append("awaited")

    monkeypatch.setattr(beside, "idle_core", lambda: idle)
    monkeypatch.setattr(beside.subprocess, "Popen", Process)
    with beside.compiling_beside("double", voxels) as start:
        assert started == []
        start()
        command = [sys.executable, "-P", "-m", "thermal.engines.beside", "double", voxels]
        assert started == ([command] if idle and voxels else [])
        assert ended == []
    assert ended == (["told", "awaited"] if idle and voxels else [])


BALL = """\
background = "liver"
tumour = "tumour"
[[anatomy.shapes]]
region = "tumour"
shape = "ellipsoid"
centre = ["1.3 mm", "0.7 mm", "-0.1 mm"]
radii = ["6.3 mm", "6.3 mm", "6.3 mm"]"""

SHAPE = {"shape": "sphere", "centre": ["1 mm", "0 mm", "0 mm"], "radius": "2 mm"}


@pytest.mark.parametrize(
    ("regions", "expected"), [((), "whole"), (("tumour", "void"), "whole"), (("fat", "tumour"), "cut")]
)
def test_a_phantom_of_one_tissue_is_not_expected_to_have_cut_voxels(regions: tuple[str, ...], expected: str) -> None:
    shapes = [{**SHAPE, "region": region} for region in regions]
    given = {"kind": "phantom", "size": "8 mm", "voxel_size": "2 mm", "background": "liver", "shapes": shapes}
    assert Phantom.model_validate({**given, "tumour": "tumour"} if "tumour" in regions else given).voxels == expected


TREATMENT = """
[delivery]
kind = "infusion"
entry = ["20 mm", "0 mm", "0 mm"]
tip = ["2 mm", "0 mm", "0 mm"]
port_radius = "1 mm"
flow = "0.1 ml/min"
duration = "10 s"
concentration = "1 mg/ml"
[particles]
material = "gold_nanorod_41x10"
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "5 W"
on = [["0 s", "1 s"]]
[heating.fibre]
entry = ["20 mm", "0 mm", "0 mm"]
tip = ["-4 mm", "0 mm", "0 mm"]
diffuser = "8 mm"
"""

COMPILED = """
import sys
from numba.core import event
from thermal import simulate
from thermal.case import load_case

class Kernels(event.Listener):
    def on_start(self, happening):
        kernel = happening.data["dispatcher"].py_func
        if kernel.__module__.startswith("thermal.") and not kernel.__name__.endswith("_serial"):  # of small arrays
            print("compiled", kernel.__name__)
    def on_end(self, happening):
        pass

event.register("numba:compile", Kernels())
simulate(load_case(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_run_finds_on_disk_what_was_compiled_beside(tmp_path: Path, precision: str) -> None:
    path = tmp_path / "case.toml"
    large = CASE.replace("8 mm", "40 mm").replace("2 mm", "1 mm").replace('background = "liver"', BALL)
    path.write_text(f'{large}{TREATMENT}[numerics]\nprecision = "{precision}"\n')
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-m", "thermal.engines.beside", precision, "whole"], check=True, env=environment)
    run = [sys.executable, "-c", COMPILED, str(path), str(tmp_path / "run")]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == ""
