"""Grids, phantoms and meshes."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scripts import script

from thermal import machine
from thermal.anatomy import Anatomy, AnatomyEntry
from thermal.anatomy.data import cache_folder, data_folders, resolve
from thermal.anatomy.grid import CELL_LIMIT, Refine, Window, cell_volumes, make_axes
from thermal.anatomy.phantom import region_volumes
from thermal.curve import along_curve
from thermal.domain import AxisymmetricDomain, MeshDomain, VoxelDomain
from thermal.errors import CaseError
from thermal.machine import free_memory

ROOT = Path(__file__).parent.parent
ENTRY: TypeAdapter[Any] = TypeAdapter(AnatomyEntry)


def build(base: Path = Path(), **table: Any) -> Anatomy:
    anatomy: Anatomy = ENTRY.validate_python(table).build(base)
    return anatomy


def phantom(*shapes: dict[str, Any], **more: Any) -> Anatomy:
    table = {"kind": "phantom", "size": "30 mm", "voxel_size": "1 mm", "background": "liver", "shapes": list(shapes)}
    return build(**(table | more))


def voxels(anatomy: Anatomy) -> VoxelDomain:
    assert isinstance(anatomy.domain, VoxelDomain)
    return anatomy.domain


def volumes(anatomy: Anatomy) -> dict[str, float]:
    """Volumes in mm3."""
    return {name: volume * 1e9 for name, volume in region_volumes(voxels(anatomy)).items()}


def mm(*values: float) -> list[str]:
    return [f"{value} mm" for value in values]


# Grid -----------------------------------------------------------------------------------------------------------


def test_axes_meet_the_window_exactly_and_adapt_the_voxel_size() -> None:
    window = Window((0.01, 0.0, -0.02), (0.1, 0.099, 0.05), (1.5e-3, 1.5e-3, 1e-3))
    axes, notes = make_axes(window)
    assert [len(axis) - 1 for axis in axes] == [67, 66, 50]
    for axis, lower, size in zip(axes, window.lower, window.size, strict=True):
        assert axis[0] == lower
        assert axis[-1] == lower + size
    assert len(notes) == 1
    assert "along x" in notes[0]


@pytest.mark.parametrize("growth", [1.05, 1.2, 1.5, 2.0])
@pytest.mark.parametrize("centre", [0.0, 0.0123, -0.031])
@pytest.mark.parametrize(("fine", "base"), [(2.5e-4, 2e-3), (5e-4, 1.5e-3), (1e-3, 1.1e-3)])
def test_graded_axes(growth: float, centre: float, fine: float, base: float) -> None:
    refine = Refine.model_construct(centre=(centre,) * 3, size=(0.02,) * 3, voxel_size=(fine,) * 3, growth=growth)
    (axis, _, _), _ = make_axes(Window((-0.05,) * 3, (0.1,) * 3, (base,) * 3, refine))
    steps = np.diff(axis)
    assert axis[0] == -0.05
    assert axis[-1] == 0.05
    assert steps.max() <= base * (1 + 1e-9)
    inside = (axis[:-1] >= centre - 0.01 - 1e-12) & (axis[1:] <= centre + 0.01 + 1e-12)
    np.testing.assert_allclose(steps[inside], steps[inside][0], rtol=1e-6)
    assert fine * 0.9 < steps[inside][0] <= fine * (1 + 1e-9)
    ratio = np.maximum(steps[1:] / steps[:-1], steps[:-1] / steps[1:])
    assert ratio.max() <= growth * (1 + 1e-9)


@pytest.mark.parametrize(("centre", "size"), [(0.0, 1e-5), (0.0493, 3e-4), (0.0599, 0.02), (-0.05999, 0.02)])
def test_a_refined_box_is_a_voxel_wide_at_least(centre: float, size: float) -> None:
    """In the window as well, into which it may hardly reach: thinner cells would only cost steps."""
    refine = Refine.model_construct(centre=(centre,) * 3, size=(size,) * 3, voxel_size=(5e-4,) * 3, growth=1.3)
    (axis, _, _), _ = make_axes(Window((-0.05,) * 3, (0.1,) * 3, (2e-3,) * 3, refine))
    assert np.diff(axis).min() > 4e-4


def test_a_box_beside_the_window_is_refused() -> None:
    """It shares a face with it but for round-off, which had made cells of 1e-18 m."""
    refine = Refine.model_construct(centre=(0.015, 0.0, 0.0), size=(0.01,) * 3, voxel_size=(1e-3,) * 3, growth=1.3)
    with pytest.raises(CaseError, match=r"from 10 to 20 mm along x lies outside the window"):
        make_axes(Window((-0.01,) * 3, (0.02,) * 3, (2e-3,) * 3, refine))


def test_refined_box_at_the_border_leaves_no_sliver() -> None:
    refine = Refine.model_construct(centre=(0.0401,) * 3, size=(0.02,) * 3, voxel_size=(5e-4,) * 3, growth=1.3)
    (axis, _, _), _ = make_axes(Window((-0.05,) * 3, (0.1,) * 3, (2e-3,) * 3, refine))
    assert np.diff(axis).min() > 0.4e-3
    assert axis[-1] == 0.05


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"voxel_size": "1 um"}, "2.7e+13 voxels"),
        ({"voxel_size": "40 mm"}, "does not fit"),
        ({"refine": {"centre": mm(0, 0, 0), "size": "5 mm", "voxel_size": "2 mm"}}, "not finer"),
        ({"refine": {"centre": mm(40, 0, 0), "size": "5 mm", "voxel_size": "0.5 mm"}}, "outside the window"),
        (
            {"refine": {"centre": mm(0, 0, 0), "size": "20 mm", "voxel_size": "10 um"}},
            r"refine\.voxel_size: .* limit of 60 million; use voxels .* smaller box",
        ),
    ],
)
def test_grids_that_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=message.replace("+", r"\+")):
        phantom(**table)
    assert CELL_LIMIT == 60_000_000


def test_grids_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window((0.0, 0.0, 0.0), (0.1, 0.1, 0.1), (0.0005, 0.0005, 0.0005))  # 8 million cells
    monkeypatch.setattr("thermal.anatomy.grid.free_memory", lambda: 2e9)
    with pytest.raises(
        CaseError, match=r"need about 4\.8 GB of memory, and 2\.0 GB are free here; use voxels 1\.4 times"
    ):
        make_axes(window)
    monkeypatch.setattr("thermal.anatomy.grid.free_memory", lambda: None)
    axes, _ = make_axes(window)
    assert [len(axis) for axis in axes] == [201, 201, 201]
    monkeypatch.undo()
    if (free := free_memory()) is not None:
        assert 1e8 < free < 1e14


def test_memory_of_containers_and_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("3000000\n")
    assert free_memory() == 2e6
    (tmp_path / "memory.max").write_text("max\n")
    whole = free_memory()
    assert whole is None or whole > 2e6
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (2**40, 2**40))
    assert machine._of_process() is None or machine._of_process() < 2**40


# Phantom --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [(0, 0, 0), (0.31, -0.17, 0.45), (0.5, 0.5, 0.5)])
def test_sphere_volume(centre: tuple[float, float, float]) -> None:
    """A 10 mm sphere on 1 mm voxels to 0.1 %, wherever it sits on the grid."""
    painted = phantom(
        {"region": "tumour", "shape": "sphere", "centre": mm(*centre), "radius": "10 mm"}, tumour="tumour"
    )
    assert volumes(painted)["tumour"] == pytest.approx(4 / 3 * math.pi * 1000, rel=1e-3)
    assert painted.tumour == "tumour"
    np.testing.assert_allclose(sum(voxels(painted).shares.values()), 1.0, rtol=1e-12)


def test_volumes_of_the_other_shapes() -> None:
    ellipsoid = phantom({"region": "a", "shape": "ellipsoid", "centre": mm(1, 2, 0.3), "radii": mm(11, 6, 8)})
    assert volumes(ellipsoid)["a"] == pytest.approx(4 / 3 * math.pi * 11 * 6 * 8, rel=2e-3)
    oblique = {"region": "a", "shape": "cylinder", "start": mm(-6, -4, -5), "end": mm(7, 5, 6), "radius": "4 mm"}
    length = math.sqrt(13**2 + 9**2 + 11**2)
    assert volumes(phantom(oblique))["a"] == pytest.approx(math.pi * 16 * length, rel=5e-3)


def test_faces_on_the_axes_are_exact() -> None:
    """Boxes and layers are cut at their faces, not at sub-cells: exact to round-off."""
    boxed = phantom(
        {"region": "a", "shape": "box", "centre": mm(0.3, 0, -0.21), "size": mm(10.37, 3.3, 0.123)},
        {"region": "b", "shape": "layer", "axis": "x", "from": "12.345 mm"},
    )
    assert volumes(boxed)["a"] == pytest.approx(10.37 * 3.3 * 0.123, rel=1e-9)
    assert volumes(boxed)["b"] == pytest.approx((15 - 12.345) * 900, rel=1e-9)
    between = phantom(
        {"region": "a", "shape": "layer", "axis": "z", "to": "3.3 mm"},
        {"region": "b", "shape": "layer", "axis": "z", "from": "3.3 mm"},
    )
    assert set(volumes(between)) == {"a", "b"}  # nothing of the background shows between abutting layers
    assert volumes(between)["a"] == pytest.approx(18.3 * 900, rel=1e-9)


def test_later_shapes_cover_earlier_ones_inside_a_cell() -> None:
    outer = {"region": "shell", "shape": "sphere", "centre": mm(0, 0, 0), "radius": "10 mm"}
    inner = {"region": "core", "shape": "sphere", "centre": mm(0, 0, 0), "radius": "9.7 mm"}
    both = volumes(phantom(outer, inner))
    core, ball = 4 / 3 * math.pi * 9.7**3, 4 / 3 * math.pi * 1000
    assert both["core"] == pytest.approx(core, rel=1e-3)
    assert both["shell"] == pytest.approx(ball - core, rel=0.02)
    with pytest.raises(CaseError, match='region "core" has no volume'):
        phantom(inner, outer)


def test_origin_gives_the_lower_corner_and_refinement_is_used() -> None:
    table = {"centre": mm(10, 10, 10), "size": "4 mm", "voxel_size": "0.25 mm"}
    painted = voxels(phantom(origin=mm(0, 0, 0), refine=table))
    assert painted.axes[0][0] == 0.0
    assert painted.axes[0][-1] == pytest.approx(0.03, rel=1e-15)
    assert np.diff(painted.axes[1]).min() == pytest.approx(2.5e-4)


def test_void_is_outside_the_body() -> None:
    ball = {"region": "liver", "shape": "sphere", "centre": mm(0, 0, 0), "radius": "12 mm"}
    domain = voxels(phantom(ball, background="void"))
    volume = cell_volumes(domain.axes)
    assert set(domain.shares) == {"liver"}
    np.testing.assert_allclose(domain.shares["liver"][domain.solid], 1.0)
    assert not domain.shares["liver"][~domain.solid].any()
    assert volume[domain.solid].sum() == pytest.approx(4 / 3 * math.pi * 0.012**3, rel=0.01)
    with pytest.raises(CaseError, match="outside the body"):
        phantom(background="void")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"tumour": "tumor"}, "not painted by any shape; regions: liver"),
        ({"shapes": [{"region": "a", "shape": "sphere", "centre": mm(90, 0, 0), "radius": "1 mm"}]}, "has no volume"),
    ],
)
def test_impossible_phantoms(table: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        phantom(**table)


@pytest.mark.parametrize(
    "shape",
    [
        {"region": "a", "shape": "cone", "centre": mm(0, 0, 0)},
        {"region": "a", "shape": "layer", "axis": "x"},
        {"region": "a", "shape": "layer", "axis": "x", "from": "3 mm", "to": "1 mm"},
        {"region": "a", "shape": "cylinder", "start": mm(0, 0, 0), "end": mm(0, 0, 0), "radius": "1 mm"},
        {"region": "surface", "shape": "sphere", "centre": mm(0, 0, 0), "radius": "1 mm"},
        {"region": "a/b", "shape": "sphere", "centre": mm(0, 0, 0), "radius": "1 mm"},
        {"region": "a", "shape": "sphere", "centre": mm(0, 0), "radius": "1 mm"},
        {"region": "a", "shape": "sphere", "centre": mm(0, 0, 0), "radius": 1.0},
    ],
)
def test_misspelt_shapes(shape: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        phantom(shape)


def test_shipped_phantom_has_the_scene_of_the_liver() -> None:
    tables = [tomllib.loads((ROOT / "cases/anatomy" / f"{name}.toml").read_text()) for name in ("phantom", "liver")]
    built = build(**tables[0]["anatomy"])
    assert volumes(built)["tumour"] == pytest.approx(4 / 3 * math.pi * 12**3, rel=1e-3)
    lesion = tables[1]["anatomy"]["tumour"]
    assert {"region": "tumour", "shape": "sphere"} | lesion == tables[0]["anatomy"]["shapes"][-1]
    assert set(tables[0]["tissues"]) <= set(built.materials)


# Mesh -----------------------------------------------------------------------------------------------------------


CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1.0]]) * 0.01
TETRAHEDRA = np.array([[0, 1, 2, 3], [4, 2, 1, 3]])


def write(path: Path, points: Any = CORNERS, cells: Any = TETRAHEDRA, data: Any = None, **more: Any) -> Path:
    blocks = more.pop("blocks", [("tetra", np.asarray(cells))])
    mesh = meshio.Mesh(
        np.asarray(points, dtype=float), blocks, cell_data=data or {"region": [np.array([1, 2])]}, **more
    )
    mesh.write(path)
    return path


NAMED = {"kind": "mesh", "file": "a.vtu", "regions": {"liver": 1, "tumour": 2}}


def test_mesh_regions_and_surface(tmp_path: Path) -> None:
    write(tmp_path / "a.vtu")
    built = build(tmp_path, **NAMED, tumour="tumour")
    domain = built.domain
    assert isinstance(domain, MeshDomain)
    assert {name: share.tolist() for name, share in domain.shares.items()} == {"liver": [1, 0], "tumour": [0, 1]}
    assert domain.boundaries["surface"].shape == (6, 3)
    assert len(built.sources[0][1]) == 64
    corners = domain.points[domain.boundaries["surface"]]
    flux = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.testing.assert_allclose(flux.sum(axis=0), 0, atol=1e-15)  # the outer faces close, all turned outwards


def test_mesh_inverted_and_orphans_are_mended(tmp_path: Path) -> None:
    points = np.vstack([[[9, 9, 9]], CORNERS])
    write(tmp_path / "a.vtu", points=points, cells=TETRAHEDRA[:, [1, 0, 2, 3]] + 1)
    built = build(tmp_path, **NAMED)
    domain = built.domain
    assert isinstance(domain, MeshDomain)
    corners = domain.points[domain.cells]
    sides = corners[:, 1:] - corners[:, :1]
    assert (np.linalg.det(sides) > 0).all()
    assert len(domain.points) == 5
    assert any("reordered" in warning for warning in built.warnings)
    assert any("belong to no tetrahedron" in note for note in built.notes)


SECOND = np.array([[0, 1, 2, 3], [4, 2, 1, 3], [0, 1, 2, 5]])
"""Three tetrahedra; the first and the third share the face 0 1 2."""
CROWD = np.vstack([CORNERS, [[0, 0, -0.01], [0.002, 0.002, -0.02]]])


BAD_MESHES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"cells": [[0, 1, 2, 3], [0, 1, 2, 3]]}, {}, "occur twice"),
    ({"points": CORNERS * [1, 1, 0]}, {}, "without volume"),
    ({"points": CORNERS * [1, np.nan, 1]}, {}, "NaN"),
    ({"points": CORNERS * 1000}, {}, "set length_unit"),
    ({"points": np.vstack([CORNERS, CORNERS[1]]), "cells": [[0, 1, 2, 3], [4, 2, 5, 3]]}, {}, "coincide"),
    ({}, {"regions": {"liver": 1}}, r"without a name in \"region\": 2 \(1 cells\)"),
    ({}, {"cell_data": "organ"}, "no such array"),
    ({}, {"tumour": "lesion"}, "not a region of the mesh: liver, tumour"),
    ({"data": {"region": [np.array([1.0, 2.5])]}}, {}, "whole number for each cell"),
    ({"data": {"other": [np.array([1, 2])]}}, {}, "known arrays: other"),
    ({"blocks": [("triangle", TETRAHEDRA[:, :3])]}, {}, "no tetrahedra"),
    (
        {"blocks": [("tetra", TETRAHEDRA), ("pyramid", [[0, 1, 2, 3, 4]])], "data": {"region": [[1, 2], [3]]}},
        {},
        r"would be lost: pyramid \(1\); split them into tetrahedra first \(the file has 1 pyramid, 2 tetra\)",
    ),
    (
        {"blocks": [("hexahedron", [[0, 1, 2, 3, 4, 0, 1, 2]])], "data": {"region": [[1]]}},
        {},
        r"would be lost: hexahedron \(1\)",
    ),
    ({"blocks": [("triangle", TETRAHEDRA[:, :3])]}, {}, 'half_plane = "xy"'),
    ({"blocks": [("vertex", [[0], [1]])]}, {}, r"no tetrahedra \(found 2 vertex\)"),
    ({"points": CORNERS * [1, np.nan, 1]}, {}, "5 of 5 nodes have NaN or infinity, the first is node 0"),
    ({"points": CORNERS * 1e4}, {}, r'mesh is 100 m large .* in "m"; in cm or mm it would fit'),
    ({"cells": [[0, 1, 2, 3], [0, 1, 2, 3]]}, {}, r"1 tetrahedra occur twice, the first at \(2\.5, 2\.5, 2\.5\) mm"),
    ({"points": CORNERS * [1, 1, 0]}, {}, r"2 tetrahedra without volume, the first at \(2\.5, 2\.5, 0\) mm"),
    (
        {"points": np.vstack([CORNERS, CORNERS[1]]), "cells": [[0, 1, 2, 3], [4, 2, 5, 3]]},
        {},
        r"1 nodes coincide with others, the first at \(10, 0, 0\) mm",
    ),
    (
        {"points": CROWD, "cells": [[0, 1, 2, 3], [0, 1, 2, 5], [0, 1, 2, 6]], "data": {"region": [[1, 1, 2]]}},
        {},
        r"1 faces belong to more than two tetrahedra, the first at \(3\.333, 3\.333, 0\) mm",
    ),
    (
        {"points": np.vstack([CORNERS, [0.003, 0.003, 0.001]]), "cells": [[0, 1, 2, 3], [0, 1, 2, 5]]},
        {},
        r"1 faces have both of their tetrahedra on the same side, the first at \(3\.333, 3\.333, 0\) mm",
    ),
    ({}, {"regions": {"liver": 1, "tumour": 2, "spleen": 9}}, r"no cell of the file has the number 9 \(spleen\)"),
    (
        {"cells": [[0, 1, 2, 3], [4, 2, 1, 8]]},
        {},
        "1 tetrahedra refer to nodes that do not exist, the first is number 1",
    ),
]


@pytest.mark.parametrize(("file", "table", "message"), BAD_MESHES)
def test_meshes_that_are_refused(tmp_path: Path, file: dict[str, Any], table: dict[str, Any], message: str) -> None:
    write(tmp_path / "a.vtu", **file)
    with pytest.raises(CaseError, match=message):
        build(tmp_path, **(NAMED | table))


PARAMETRIC = """$MeshFormat
4.1 0 8
$EndMeshFormat
$Entities
0 0 1 0
1 0 0 0 1 1 0 0 0
$EndEntities
$Nodes
1 1 1 1
2 1 1 1
1
0 0 0 0 0
$EndNodes
"""
"""A node with its parameters on a surface, which meshio does not read."""


def test_meshes_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="no such file"):
        build(tmp_path, **NAMED)
    (tmp_path / "a.vtu").write_text("not xml")
    with pytest.raises(CaseError, match="cannot be read"):
        build(tmp_path, **NAMED)
    (tmp_path / "a.msh").write_text(PARAMETRIC)
    with pytest.raises(CaseError, match=r"let Gmsh write version 4\.1 or 2\.2 without parametric coordinates"):
        build(tmp_path, **(NAMED | {"file": "a.msh"}))
    (tmp_path / "a.stl").write_text("solid")
    with pytest.raises(CaseError, match=r"\.msh or \.vtu"):
        build(tmp_path, **(NAMED | {"file": "a.stl"}))
    with pytest.raises(ValidationError, match="named more than once"):
        build(tmp_path, **(NAMED | {"regions": {"liver": 1, "tumour": [1, 2]}}))


def test_one_region_needs_no_numbers(tmp_path: Path) -> None:
    meshio.Mesh(CORNERS, [("tetra", TETRAHEDRA)]).write(tmp_path / "a.vtu")
    assert set(build(tmp_path, **(NAMED | {"regions": {"liver": 0}})).materials) == {"liver"}


def test_ball_script_writes_names_boundaries_and_exact_volumes(tmp_path: Path) -> None:
    ball = script("make_ball_mesh")
    assert ball.main([str(tmp_path / "ball.msh"), "--level", "1", "--centre", "80", "172", "384"]) == 0
    built = build(tmp_path, kind="mesh", file="ball.msh", length_unit="mm", tumour="tumour")
    domain = built.domain
    assert isinstance(domain, MeshDomain)
    corners = domain.points[domain.cells]
    volume = np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6
    assert domain.shares["tumour"] @ volume == pytest.approx(4 / 3 * math.pi * 0.012**3, rel=1e-9)
    assert volume.sum() == pytest.approx(4 / 3 * math.pi * 0.04**3, rel=1e-9)
    assert set(domain.boundaries) == {"surface", "outside", "tumour_border"}
    assert len(domain.boundaries["outside"]) == len(domain.boundaries["surface"]) == 80
    np.testing.assert_allclose(domain.points.mean(axis=0), [0.08, 0.172, 0.384], atol=1e-6)


def test_named_triangles_must_be_faces(tmp_path: Path) -> None:
    tags = [np.array([1, 1]), np.array([7])]
    mesh = meshio.Mesh(CORNERS, [("tetra", TETRAHEDRA), ("triangle", np.array([[0, 1, 4]]))],
                       cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags},
                       field_data={"liver": np.array([1, 3]), "skin": np.array([7, 2])})  # fmt: skip
    mesh.write(tmp_path / "a.msh", file_format="gmsh22")
    with pytest.raises(CaseError, match='1 triangles of boundary "skin" are not faces'):
        build(tmp_path, kind="mesh", file="a.msh")


def gmsh(
    path: Path, names: list[tuple[str, int, int]], tags: list[int], faces: Any = ((0, 1, 2),), face_tags: Any = (7,)
) -> Path:
    """Two tetrahedra and triangles with physical groups ``names`` (name, number, dimension) as text, names as given."""
    number = [np.array(tags), np.array(face_tags)]
    meshio.Mesh(CORNERS, [("tetra", TETRAHEDRA), ("triangle", np.array(faces))],
                cell_data={"gmsh:physical": number, "gmsh:geometrical": number},
                field_data={"unused": np.array([99, 3])}).write(path, file_format="gmsh22", binary=False)  # fmt: skip
    listed = "\n".join(f'{dimension} {code} "{name}"' for name, code, dimension in names)
    text = path.read_text()
    head, rest = text[: text.index("$PhysicalNames")], text[text.index("$EndPhysicalNames") :]
    path.write_text(f"{head}$PhysicalNames\n{len(names)}\n{listed}\n{rest}")
    return path


MESH = {"kind": "mesh", "file": "a.msh"}


def test_names_of_volumes_and_surfaces(tmp_path: Path) -> None:
    """A surface may have the name of a volume, and a name may stand for two volumes; both are said."""
    gmsh(tmp_path / "a.msh", [("liver", 1, 3), ("liver", 4, 3), ("liver", 7, 2), ("cyst", 5, 3)], [1, 4])
    built = build(tmp_path, **MESH)
    assert set(built.materials) == {"liver"}
    assert isinstance(built.domain, MeshDomain)
    assert len(built.domain.boundaries["liver"]) == 1
    notes = " ".join(built.notes)
    assert 'the name "liver" stands for the numbers 1, 4' in notes
    assert "[boundaries.liver] means the boundary" in notes
    assert 'the region "cyst" has no tetrahedra' in notes


@pytest.mark.parametrize(
    ("instead", "what"),
    [("9", "refers to a node or a part that is not in it"), ("one", "something else stands where a number should")],
)
def test_damaged_elements_are_told_in_words_of_the_file(tmp_path: Path, instead: str, what: str) -> None:
    path = gmsh(tmp_path / "a.msh", [("liver", 1, 3)], [1, 1])
    head, elements, rest = path.read_text().partition("$Elements")
    path.write_text(head + elements + re.sub(r" 1 2 3 4$", f" 1 2 3 {instead}", rest, count=1, flags=re.MULTILINE))
    with pytest.raises(CaseError, match=what) as error:
        build(tmp_path, **MESH)
    assert "axis" not in str(error.value)
    assert "literal" not in str(error.value)


def test_a_number_with_two_names_is_refused(tmp_path: Path) -> None:
    gmsh(tmp_path / "a.msh", [("liver", 1, 3), ("tumour", 1, 3)], [1, 1])
    with pytest.raises(CaseError, match='group 1 has two names, "liver" and "tumour"'):
        build(tmp_path, **MESH)


def test_surfaces_without_a_name_or_triangles_are_said(tmp_path: Path) -> None:
    gmsh(tmp_path / "a.msh", [("liver", 1, 3), ("skin", 8, 2)], [1, 1])
    built = build(tmp_path, **MESH)
    assert isinstance(built.domain, MeshDomain)
    assert set(built.domain.boundaries) == {"surface"}
    notes = " ".join(built.notes)
    assert "1 triangles carry numbers without a name (7) and make no boundary" in notes
    assert 'the boundary "skin" has no triangles and is left out' in notes


def test_triangles_that_a_boundary_names_twice_count_once(tmp_path: Path) -> None:
    """Twice the area would be twice the flux."""
    gmsh(tmp_path / "a.msh", [("liver", 1, 3), ("skin", 7, 2)], [1, 1], faces=[(0, 1, 2), (2, 0, 1)], face_tags=[7, 7])
    built = build(tmp_path, **MESH)
    assert isinstance(built.domain, MeshDomain)
    assert len(built.domain.boundaries["skin"]) == 1
    assert any('1 triangles of boundary "skin" occur more than once' in warning for warning in built.warnings)


def test_boundaries_inside_and_away_from_the_cells(tmp_path: Path) -> None:
    gmsh(tmp_path / "a.msh", [("liver", 1, 3), ("skin", 7, 2)], [1, 1], faces=[(0, 1, 2), (0, 1, 4)], face_tags=[7, 7])
    with pytest.raises(
        CaseError, match=r'1 triangles of boundary "skin" .* the first at \(6\.667, 3\.333, 3\.333\) mm'
    ):
        build(tmp_path, **MESH)


def test_quadratic_tetrahedra_lose_their_midside_nodes(tmp_path: Path) -> None:
    pairs = [(0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3)]
    middles = [CORNERS[[a, b]].mean(axis=0) for a, b in pairs]
    meshio.Mesh(np.vstack([CORNERS[:4], middles]), [("tetra10", [list(range(10))])]).write(tmp_path / "a.vtu")
    built = build(tmp_path, **(NAMED | {"regions": {"liver": 0}}))
    notes = " ".join(built.notes)
    assert "1 quadratic tetrahedra are used without their midside nodes" in notes
    assert "6 nodes that belong to no tetrahedron were left out" in notes


def test_nodes_of_no_cell_are_said(tmp_path: Path) -> None:
    """They may be what is left of cells that are lost."""
    write(tmp_path / "a.vtu", points=np.vstack([CORNERS, 2.0 * CORNERS]))
    assert any("5 nodes that belong to no tetrahedron" in warning for warning in build(tmp_path, **NAMED).warnings)


@pytest.mark.parametrize("number", [np.nan, 1.5, 1e30])
def test_numbers_that_name_no_region_are_shown(tmp_path: Path, number: float) -> None:
    cells = {"region": [np.array([1.0, number])]}
    meshio.Mesh(CORNERS, [("tetra", TETRAHEDRA)], cell_data=cells).write(tmp_path / "a.vtu")
    with pytest.raises(CaseError, match=r'"region" holds 1 values .*; write one whole number for each cell') as raised:
        build(tmp_path, kind="mesh", file="a.vtu", regions={"liver": 1})
    assert f"{number:g} of number 1 (counted" in str(raised.value)


def test_parts_that_do_not_touch_are_said(tmp_path: Path) -> None:
    points = np.vstack([CORNERS[:4], CORNERS[:4] + 0.02])
    write(tmp_path / "a.vtu", points=points, cells=[[0, 1, 2, 3], [4, 5, 6, 7]])
    assert "falls into 2 parts" in " ".join(build(tmp_path, **NAMED).notes)


@pytest.mark.parametrize("other", [[0, 4, 5, 6], [0, 1, 5, 6]])
def test_parts_that_touch_in_a_node_or_an_edge_are_said(tmp_path: Path, other: list[int]) -> None:
    points = np.vstack([CORNERS[:4], -CORNERS[1:4]])
    write(tmp_path / "a.vtu", points=points, cells=[[0, 1, 2, 3], other])
    notes = " ".join(build(tmp_path, **NAMED).notes)
    assert "2 parts of the mesh" in notes
    assert "single nodes or edges" in notes
    assert "do not touch" not in notes


@pytest.mark.parametrize(
    ("more", "cell"),
    [
        (0.2 * CORNERS[:4] + 1e-3, [4, 5, 6, 7]),  # one within the other
        (CORNERS[:4] * 0.8 + 1e-3, [4, 5, 6, 7]),  # some of it outside
        (0.5 * CORNERS[1:4] + 1e-3, [0, 4, 5, 6]),  # with a node in common
    ],
)
def test_parts_that_overlap_are_refused(tmp_path: Path, more: Any, cell: list[int]) -> None:
    write(tmp_path / "a.vtu", points=np.vstack([CORNERS[:4], more]), cells=[[0, 1, 2, 3], cell])
    with pytest.raises(CaseError, match=r"parts of the mesh overlap: \d+ nodes .* tetrahedra of another part"):
        build(tmp_path, **NAMED)


def test_parts_that_overlap_on_a_shifted_grid_are_refused(tmp_path: Path) -> None:
    """Cubes cut alike, moved along the diagonal of all their cells: what nodes of one lie in the other lie on edges."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * 0.01
    cube = np.array([[0, 1, 3, 7], [0, 1, 5, 7], [0, 2, 3, 7], [0, 2, 6, 7], [0, 4, 5, 7], [0, 4, 6, 7]])
    write(tmp_path / "a.vtu", points=np.vstack([corners, corners + 0.00675]), cells=np.vstack([cube, cube + 8]),
          data={"region": [np.repeat([1, 2], 6)]})  # fmt: skip
    with pytest.raises(CaseError, match="parts of the mesh overlap"):
        build(tmp_path, **NAMED)


def test_parts_meshed_one_by_one_may_touch(tmp_path: Path) -> None:
    """Tetrahedra on each other whose faces do not match: no heat passes, but nothing is covered twice."""
    under, over = CORNERS[:4], CORNERS[:4] * [1.0, 1.0, -1.0] * 0.7 + [1e-3, 1e-3, 0.0]
    write(tmp_path / "a.vtu", points=np.vstack([under, over]), cells=[[0, 1, 2, 3], [4, 5, 6, 7]])
    assert "falls into 2 parts" in " ".join(build(tmp_path, **NAMED).notes)


HALF = {"kind": "mesh", "file": "h.vtu", "half_plane": "xy", "regions": {"liver": 1}}
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]]) * 0.01
CUT = np.array([[0, 1, 2], [0, 3, 2]])


def flat(path: Path, points: Any = SQUARE, cells: Any = CUT, kind: str = "triangle") -> None:
    meshio.Mesh(points, [(kind, cells)], cell_data={"region": [np.ones(len(cells), int)]}).write(path)


def test_overlapping_triangles_are_refused(tmp_path: Path) -> None:
    points = np.vstack([SQUARE[:3], SQUARE[:3] * 0.5 + [4e-3, 1e-3, 0.0]])
    flat(tmp_path / "h.vtu", points=points, cells=np.array([[0, 1, 2], [3, 4, 5]]))
    with pytest.raises(CaseError, match=r"overlap: .* triangles of another part, the first at \(\S+, 0, \S+\) mm"):
        build(tmp_path, **HALF)


def test_half_plane_becomes_a_cylinder(tmp_path: Path) -> None:
    flat(tmp_path / "h.vtu")
    built = build(tmp_path, **HALF)
    domain = built.domain
    assert isinstance(domain, AxisymmetricDomain)
    assert len(domain.boundaries["surface"]) == 3  # not the axis
    assert np.ptp(domain.points, axis=0).tolist() == [0.01, 0.0, 0.01]
    assert "3.142 ml" in " ".join(built.notes)
    assert "1 triangles were turned inside out" in " ".join(built.notes)
    flat(tmp_path / "h.vtu", points=SQUARE[:, [0, 2, 1]])
    other = build(tmp_path, **(HALF | {"half_plane": "xz"})).domain
    assert isinstance(other, AxisymmetricDomain)
    np.testing.assert_array_equal(other.points, domain.points)


BAD_HALVES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"points": SQUARE - [0.005, 0, 0]}, {}, r"2 nodes lie beyond the axis \(r < 0\), the first at \(-5, 0, "),
    ({"points": SQUARE}, {"half_plane": "xz"}, r"coordinate y must be the same everywhere, but it spans 10 mm"),
    ({"cells": CUT[[0, 0, 1]]}, {}, "1 triangles occur twice"),
    ({"cells": [[0, 1, 2], [0, 2, 2]]}, {}, "1 triangles without area"),
    (
        {"points": CORNERS[:4], "cells": [[0, 1, 2, 3]], "kind": "tetra"},
        {},
        r"not triangles would be lost: tetra \(1\)",
    ),
    ({"points": SQUARE * 1e4}, {}, "in cm or mm it would fit"),
]


def test_half_plane_script_writes_names_and_exact_volumes(tmp_path: Path) -> None:
    half = script("make_half_plane")
    assert half.main([str(tmp_path / "half.msh"), "--spacing", "1.5"]) == 0
    built = build(tmp_path, kind="mesh", file="half.msh", half_plane="xy", length_unit="mm", tumour="tumour")
    assert isinstance(built.domain, AxisymmetricDomain)
    assert set(built.domain.boundaries) == {"surface", "outside"}
    assert not any("reordered" in note for note in built.notes)
    corners = built.domain.points[built.domain.cells]
    sides = corners[:, 1:] - corners[:, :1]
    volume = np.pi * (sides[:, 0, 0] * sides[:, 1, 2] - sides[:, 0, 2] * sides[:, 1, 0]) * corners[:, :, 0].mean(axis=1)
    assert built.domain.shares["tumour"] @ volume == pytest.approx(4 / 3 * math.pi * 0.012**3, rel=1e-9)
    assert volume.sum() == pytest.approx(4 / 3 * math.pi * 0.05**3, rel=1e-9)


@pytest.mark.parametrize(("file", "table", "message"), BAD_HALVES)
def test_half_planes_that_are_refused(
    tmp_path: Path, file: dict[str, Any], table: dict[str, Any], message: str
) -> None:
    flat(tmp_path / "h.vtu", **file)
    with pytest.raises(CaseError, match=message):
        build(tmp_path, **(HALF | table))


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_curve_visits_neighbours(dimension: int) -> None:
    """On a full grid of a power of two each step of Hilbert's curve goes to a neighbour, and no point is left out."""
    axes = [np.arange(8.0)] * dimension
    points = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
    order = along_curve(np.random.default_rng(0).permutation(points))
    assert sorted(order.tolist()) == list(range(8**dimension))
    walked = np.random.default_rng(0).permutation(points)[order]
    steps = np.abs(np.diff(walked, axis=0)).sum(axis=1)
    assert np.mean(steps == 1) > 0.97  # a cell of the curve is a little more than one of the grid at its far side
    assert steps.max() <= 2


def test_numbering_does_not_show(tmp_path: Path) -> None:
    """The same mesh with its nodes and cells in another order gives the same domain."""
    ball = script("make_ball_mesh")
    points, cells, region, _, _ = ball.ball(12.0, 40.0, 2)
    rng = np.random.default_rng(3)
    place, order = rng.permutation(len(points)), rng.permutation(len(cells))
    number = np.empty_like(place)
    number[place] = np.arange(len(place))
    domains = []
    for name, mesh in (("a", (points, cells, region)), ("b", (points[place], number[cells][order], region[order]))):
        write(tmp_path / f"{name}.vtu", points=mesh[0], cells=mesh[1], data={"region": [mesh[2]]})
        table = {"file": f"{name}.vtu", "length_unit": "mm", "regions": {"tumour": 1, "liver": 2}}
        domains.append(build(tmp_path, **(NAMED | table)).domain)
    one, other = domains
    assert isinstance(one, MeshDomain)
    assert isinstance(other, MeshDomain)
    np.testing.assert_array_equal(one.points, other.points)

    def span(of: Any) -> float:
        """Mean distance in memory of the nodes of a cell."""
        return float(np.ptp(of, axis=1).mean())

    assert span(one.cells) < 0.4 * span(number[cells])


# Files ----------------------------------------------------------------------------------------------------------


def test_data_prefix_looks_in_the_variable_then_in_the_cache(tmp_path: Path) -> None:
    first, cache = tmp_path / "given", tmp_path / "cache" / "thermal"
    first.mkdir()
    cache.mkdir(parents=True)
    environment = {"THERMAL_DATA": str(first), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert data_folders(environment) == (first, cache)
    assert cache_folder({}) == Path.home() / ".cache" / "thermal"
    (cache / "ct.nii").touch()
    assert resolve("data:ct.nii", tmp_path, "anatomy.ct", environment) == cache / "ct.nii"
    (first / "ct.nii").touch()
    assert resolve("data:ct.nii", tmp_path, "anatomy.ct", environment) == first / "ct.nii"
    assert resolve("given/ct.nii", tmp_path, "anatomy.ct", environment) == first / "ct.nii"
    with pytest.raises(CaseError) as error:
        resolve("data:labels.nii", tmp_path, "anatomy.segmentation", environment)
    for part in ("anatomy.segmentation", str(first), str(cache), "meshes/fetch_body_ct.py"):
        assert part in str(error.value)
