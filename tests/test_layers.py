"""Imports only go down, and third-party libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "thermal"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("verification",),
    ("__init__", "doctor"),
    ("report",),
    ("guidance",),
    ("comparison", "batch"),
    ("export", "cite"),
    ("view",),
    ("simulation",),
    ("imaging",),
    ("assemble", "march", "store", "zone"),
    ("case",),
    ("anatomy", "physics", "engines"),
    ("nodes",),
    ("engine",),
    ("heat", "carriage"),
    ("enthalpy", "flight"),
    ("curve", "domain", "library", "sampled", "scheme", "tabular"),
    ("crew",),
    ("units", "errors", "interrupts", "machine", "progress"),
)
"""Modules and subpackages of ``thermal``, the highest first. Each may import only from the lines below its own; those
on one line know nothing of each other."""

HOMES: dict[str, tuple[str, ...]] = {
    "numba": ("engines",),
    "llvmlite": ("engines",),
    "skfem": ("engines",),
    "pyamg": ("engines",),
    "mpi4py": ("engines",),
    "dolfinx": ("engines",),
    "petsc4py": ("engines",),
    "basix": ("engines",),
    "ufl": ("engines",),
    "pyvista": ("anatomy", "view", "export"),
    "vtkmodules": ("view", "export"),
    "matplotlib": ("view",),
    "h5py": ("store", "export"),
    "meshio": ("anatomy",),
    "gmsh": ("anatomy",),
    "pytetwild": ("anatomy",),
    "miepython": ("physics",),
    "magpylib": ("physics",),
    "pint": ("units",),
    "cyclopts": ("cli", "commands"),
    "pydicom": ("anatomy", "imaging"),
    "highdicom": ("anatomy", "imaging"),
    "jinja2": ("report",),
    "SALib": ("batch",),
    "distributed": ("batch",),
    "dask_jobqueue": ("batch",),
    "pyarrow": ("batch",),
}
"""Library -> the only parts that may import it."""
STRANGERS: dict[str, tuple[str, ...]] = {"engines": ("pydantic",), "engine": ("pydantic",), "domain": ("pydantic",)}
"""Part -> libraries that it may not import: case files are none of its business."""


@dataclass(frozen=True)
class Arrow:
    """One import: ``part`` of the package, where it stands, and the full name of what it imports."""

    part: str
    place: str
    target: str

    @property
    def of_thermal(self) -> str | None:
        """The part of ``thermal`` that is imported, if any."""
        first, _, rest = self.target.partition(".")
        return None if first != "thermal" else rest.partition(".")[0] or "__init__"


def arrows(package: Path) -> Iterator[Arrow]:
    """Every import of a package called ``thermal``, also those inside functions and those for type checkers."""
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package)
        part = path.parts[0].removesuffix(".py")
        here = ("thermal", *path.parent.parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                start = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
                module = ".".join(filter(None, [start, node.module]))
                # "from thermal import march" imports the module, "from thermal.march import Loop" a name in it
                targets = [f"thermal.{a.name}" for a in node.names] if module == "thermal" else [module]
            else:
                continue
            for target in targets:
                yield Arrow(part, f"{path}:{node.lineno}", target)


def faults(package: Path) -> list[str]:
    """Every arrow that goes up, sideways or out of bounds."""
    depth = {part: index for index, line in enumerate(LAYERS) for part in line}
    found = []
    for arrow in arrows(package):
        part, wanted = arrow.part, arrow.of_thermal
        library = arrow.target.partition(".")[0]
        if part not in depth:
            found.append(f"{arrow.place}: {part} has no place in LAYERS")
        elif wanted is not None and wanted != part and depth.get(wanted, -1) <= depth[part]:
            found.append(f"{arrow.place}: {part} may not import {wanted}")
        elif part not in HOMES.get(library, (part,)) or library in STRANGERS.get(part, ()):
            found.append(f"{arrow.place}: {part} may not import {library}")
    return found


def test_imports_only_go_down() -> None:
    assert faults(PACKAGE) == []


def test_the_table_names_every_part_once_and_no_other() -> None:
    named = [part for line in LAYERS for part in line]
    assert len(named) == len(set(named))
    there = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(named) == there - {"data", "__pycache__"}


@pytest.mark.parametrize(
    ("place", "line", "fault"),
    [
        ("units.py", "from thermal.domain import Line", "units may not import domain"),
        ("physics/light.py", "from thermal.engines.voxel import VoxelEngine", "physics may not import engines"),
        ("engines/voxel.py", "from thermal.physics import scene", "engines may not import physics"),
        ("engines/voxel.py", "from thermal import physics", "engines may not import physics"),
        ("engines/voxel.py", "from ..physics.scene import Held", "engines may not import physics"),
        ("engines/voxel.py", "def f():\n    import pydantic", "engines may not import pydantic"),
        ("march/loop.py", "if 1:\n    import thermal.simulation", "march may not import simulation"),
        ("physics/tissue.py", "import numba as nb", "physics may not import numba"),
        ("march/loop.py", "from mpi4py import MPI", "march may not import mpi4py"),
        ("simulation/run.py", "import pyvista", "simulation may not import pyvista"),
        ("zone/measure.py", "from thermal import load_case", "zone may not import load_case"),
        ("novelty.py", "import os", "novelty has no place in LAYERS"),
    ],
)
def test_an_arrow_that_goes_up_is_found(tmp_path: Path, place: str, line: str, fault: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("import numpy\nfrom thermal.errors import CaseError\n" * (place != "novelty.py") + line)
    if place == "units.py":
        file.write_text(line)
    assert [problem.partition(": ")[2] for problem in faults(tmp_path)] == [fault]


def test_arrows_that_go_down_are_fine(tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "voxel.py").write_text(
        "import numba\nfrom thermal.engine import Engine\nfrom . import mesh"
    )
    (tmp_path / "cli.py").write_text("import thermal\nfrom thermal import simulation\nimport cyclopts")
    assert faults(tmp_path) == []


def modules_used(package: Path) -> dict[str, set[str]]:
    """Module of ``thermal`` -> modules that it imports when it is itself imported; not for type checkers alone."""
    files = {
        ".".join(("thermal", *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    used: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                wanted = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
                used[name] |= {target for target in wanted if target in files} - {name}
    return used


def cycles(used: dict[str, set[str]]) -> list[str]:
    """Modules that are imported by what they import. A package imports its own modules, and they never it."""
    left = {name: set(targets) for name, targets in used.items()}
    while True:
        free = [name for name, targets in left.items() if not targets & left.keys()]
        if not free:
            return sorted(left)
        for name in free:
            del left[name]


def test_no_module_is_imported_by_what_it_imports() -> None:
    assert cycles(modules_used(PACKAGE)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from thermal.b import x")
    (tmp_path / "b.py").write_text("from thermal import c")
    (tmp_path / "c.py").write_text("from thermal.a import y")
    (tmp_path / "d.py").write_text("import numpy")
    assert cycles(modules_used(tmp_path)) == ["thermal.a", "thermal.b", "thermal.c"]
