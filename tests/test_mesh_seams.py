"""Borders of a mesh that nobody means, and names that its files cannot bear: said before anything is solved."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest

from thermal.anatomy.mesh import Mesh
from thermal.anatomy.mesh_file import TETRAHEDRA
from thermal.anatomy.mesh_seams import seams
from thermal.cli import main
from thermal.domain import facets
from thermal.errors import CaseError
from thermal.units import Array

SIZE, COUNT = 0.012, 4


def block(count: int = COUNT) -> tuple[Array, Any]:
    """A cube of SIZE around the origin, each of its count^3 parts cut into six positively oriented tetrahedra."""
    axis = np.linspace(-SIZE / 2, SIZE / 2, count + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    number = np.arange(len(points)).reshape((count + 1,) * 3)
    cells = []
    for path in permutations(np.eye(3, dtype=int)):
        places = [np.zeros(3, int), path[0], path[0] + path[1], np.ones(3, int)]
        corners = [number[i : count + i, j : count + j, k : count + k].ravel() for i, j, k in places]
        turned = np.linalg.det(path) < 0
        cells.append(np.stack([corners[place] for place in ((0, 2, 1, 3) if turned else (0, 1, 2, 3))], axis=1))
    return points, np.concatenate(cells)


def said(points: Array, cells: Any) -> str:
    return " ".join(seams(points, facets(cells).outer, TETRAHEDRA))


def test_a_sound_block_has_no_seam() -> None:
    points, cells = block()
    assert said(points, cells) == ""
    thin = points * [1.0, 1.0, 1e-4]  # both sides of a sheet are behind each other
    assert said(thin, cells) == ""


@pytest.mark.parametrize("gap", [1e-11, 1e-8, 1e-6])
def test_cracks_are_said(gap: float) -> None:
    points, cells = block()
    middle = (np.abs(points[:, 0]) < 1e-9) & (np.abs(points[:, 1]) < 4e-3) & (np.abs(points[:, 2]) < 4e-3)
    twin = np.arange(len(points))
    twin[middle] = len(points) + np.arange(np.count_nonzero(middle))
    right = points[cells].mean(axis=1)[:, 0] > 0.0
    cells[right] = twin[cells[right]]
    words = said(np.vstack([points, points[middle] + [gap, 0.0, 0.0]]), cells)
    assert "60 triangles of the outer border lie upon others" in words
    assert 'count as "surface"' in words
    assert said(np.vstack([points, points[middle] + [1e-3, 0.0, 0.0]]), cells) == ""  # a gap that is meant


def test_hanging_nodes_are_said() -> None:
    points, cells = block()
    inner = int(np.argmin(np.linalg.norm(points[cells].mean(axis=1), axis=1)))
    a, b, c, d = cells[inner]
    middle = len(points)
    cells = np.vstack([np.delete(cells, inner, axis=0), [[a, middle, c, d], [middle, b, c, d]]])
    words = said(np.vstack([points, 0.5 * (points[a] + points[b])]), cells)
    assert "6 triangles of the outer border lie upon others" in words
    assert "hanging nodes" in words


HALF = {"kind": "mesh", "file": "h.vtu", "half_plane": "xy", "regions": {"liver": 1}}


def half_plane(path: Path, points: Array, cells: Any) -> str:
    meshio.Mesh(points, [("triangle", cells)], cell_data={"region": [np.ones(len(cells), int)]}).write(path / "h.vtu")
    return " ".join(Mesh.model_validate(HALF).build(path).warnings)


def test_half_planes_beside_their_axis_are_said(tmp_path: Path) -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]) * 0.01
    cells = np.array([[0, 1, 2], [0, 2, 3]])
    assert half_plane(tmp_path, square, cells) == ""
    assert "1 segments of the outer border run along the axis at r = 0.01 mm" in half_plane(
        tmp_path, square + np.array([1e-5, 0.0, 0.0]), cells
    )
    assert half_plane(tmp_path, square + np.array([1e-3, 0.0, 0.0]), cells) == ""  # a needle
    centre = np.vstack([square, [[0.5e-2, 0.5e-2, 0.0]]])
    split = np.array([[0, 1, 2], [0, 4, 3], [4, 2, 3]])  # the node in the middle hangs on the first one
    assert "3 segments of the outer border lie upon others" in half_plane(tmp_path, centre, split)


@pytest.mark.parametrize(("unit", "said"), [("m", True), ("cm", False)])
def test_a_body_of_tons_is_said(tmp_path: Path, unit: str, said: bool) -> None:
    points, cells = block(1)
    blocks, data = [("tetra", cells)], {"region": [np.ones(len(cells), int)]}
    meshio.Mesh(100.0 * points, blocks, cell_data=data).write(tmp_path / "a.vtu")
    table = {"kind": "mesh", "file": "a.vtu", "length_unit": unit, "regions": {"liver": 1}}
    words = " ".join(Mesh.model_validate(table).build(tmp_path).warnings)
    assert ('read in "m" the mesh has a volume of 1.73 m3' in words) == said


def named(path: Path, region: str, border: str) -> None:
    points, cells = block(2)
    west = facets(cells).outer
    west = west[np.isclose(points[west][:, :, 0], -SIZE / 2).all(axis=1)]
    tags = [np.ones(len(cells), int), np.full(len(west), 5)]
    names = {region: np.array([1, 3]), border: np.array([5, 2])}
    blocks, data = [("tetra", cells), ("triangle", west)], {"gmsh:physical": tags, "gmsh:geometrical": tags}
    meshio.write(path, meshio.Mesh(points, blocks, cell_data=data, field_data=names), file_format="gmsh22")


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "\x1b[31mred", "n" * 81, " liver", "-1"])
def test_names_that_no_file_of_a_run_can_hold(tmp_path: Path, name: str) -> None:
    """Each once ended a run when its results were written, or read again."""
    for region, border in ((name, "west"), ("liver", name)):
        named(tmp_path / "a.msh", region, border)
        with pytest.raises(CaseError, match=r"the physical group [15] of dimension [32] has the name .* rename it"):
            Mesh.model_validate({"kind": "mesh", "file": "a.msh"}).build(tmp_path)


@pytest.mark.parametrize("name", ["void", "surface", "faces", "x-"])
def test_names_that_no_region_has(tmp_path: Path, name: str) -> None:
    named(tmp_path / "a.msh", name, "west")
    with pytest.raises(CaseError, match=f"no region can have the name {name}"):
        Mesh.model_validate({"kind": "mesh", "file": "a.msh"}).build(tmp_path)


def test_names_of_other_letters_are_good(tmp_path: Path) -> None:
    named(tmp_path / "A.MSH", "Leber, links (größer)", "Haut.1")
    built = Mesh.model_validate({"kind": "mesh", "file": "A.MSH"}).build(tmp_path)
    assert set(built.materials) == {"Leber, links (größer)"}


CASE = """\
schema_version = 1
[anatomy]
kind = "mesh"
file = "a.msh"
[bioheat]
duration = "1 s"
"""
INNER = '[boundaries.west]\nkind = "KIND"\n'


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("insulated", "heat passes through it all the same"),
        ('flux"\nflux = "10 W/m^2', "it puts heat into the tissue"),
        ('convective"\ncoefficient = "10 W/m^2/K"\ntemperature = "20 degC', "keeps none from passing"),
        ('fixed"\ntemperature = "37 degC', None),
    ],
)
def test_borders_within_the_body_are_said(
    kind: str, words: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, cells = block(4)
    every = np.concatenate([np.delete(cells, corner, axis=1) for corner in range(4)])
    middle = np.unique(np.sort(every[np.isclose(points[every][:, :, 0], 0.0).all(axis=1)], axis=1), axis=0)
    tags = [np.ones(len(cells), int), np.full(len(middle), 5)]
    names = {"liver": np.array([1, 3]), "west": np.array([5, 2])}
    blocks, data = [("tetra", cells), ("triangle", middle)], {"gmsh:physical": tags, "gmsh:geometrical": tags}
    meshio.write(tmp_path / "a.msh", meshio.Mesh(points, blocks, cell_data=data, field_data=names), "gmsh22")
    (tmp_path / "a.toml").write_text(CASE + INNER.replace("KIND", kind))
    assert main(["validate", str(tmp_path / "a.toml")]) == 0
    found = capsys.readouterr().out
    assert ("lies within the body" in found) == (words is not None)
    assert words is None or words in found


@pytest.mark.parametrize(("count", "said"), [(1, True), (2, False)])
def test_a_body_that_is_held_everywhere_is_said(
    count: int, said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points, cells = block(count)
    tags = [np.ones(len(cells), int)]
    data, names = {"gmsh:physical": tags, "gmsh:geometrical": tags}, {"liver": np.array([1, 3])}
    mesh = meshio.Mesh(points, [("tetra", cells)], cell_data=data, field_data=names)
    meshio.write(tmp_path / "a.msh", mesh, "gmsh22")
    (tmp_path / "a.toml").write_text(CASE)
    assert main(["validate", str(tmp_path / "a.toml")]) == 0
    assert ("all 8 nodes of the body have a prescribed temperature" in capsys.readouterr().out) == said
