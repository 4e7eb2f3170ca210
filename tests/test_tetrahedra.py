"""Tetrahedra from voxels: closed borders, right volumes, and what is done where a mesher fails."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from scenes import tumour_in_liver
from scipy.ndimage import gaussian_filter

from thermal import load_case
from thermal.anatomy import tetrahedra
from thermal.anatomy.meshers import NoMeshError, Surface
from thermal.anatomy.tetrahedra import borders, check, dominant, fill, oriented, parted, repaired
from thermal.cli import main
from thermal.errors import CaseError

CASE = (
    tumour_in_liver(24, 2, 7)
    + """\
[tissues.tumour]
material = "muscle"
[bioheat]
duration = "1 s"
"""
)


def write(folder: Path, text: str = CASE) -> Path:
    (folder / "case.toml").write_text(text)
    return folder / "case.toml"


def test_contacts_along_edges_are_repaired() -> None:
    """Two voxels that touch along an edge: of the four around it no two opposite ones agree against both others."""
    labels = np.ones((6, 6, 6), np.uint16)
    labels[2, 2, 2] = labels[3, 3, 2] = 2
    labels[1, 4, 4] = labels[1, 3, 3] = 3
    noise = np.random.default_rng(0).standard_normal((5, 16, 16, 16))
    blobs = (1 + np.argmax([gaussian_filter(one, 1.5) for one in noise], axis=0)).astype(np.uint16)
    fine = (1 + np.argmax([gaussian_filter(one, 0.7) for one in noise[:, :10, :10, :10]], axis=0)).astype(np.uint16)
    for given in (labels, blobs, fine):
        found = repaired(given)
        for first, second in ((0, 1), (0, 2), (1, 2)):
            turned = np.moveaxis(found, (first, second), (0, 1))
            a, b, c, d = turned[:-1, :-1], turned[1:, :-1], turned[:-1, 1:], turned[1:, 1:]
            assert not ((a == d) & (b != a) & (c != a)).any()
            assert not ((b == c) & (a != b) & (d != b)).any()
    assert (repaired(labels) != labels).sum() <= 3


def test_shares_decide_where_borders_lie(tmp_path: Path) -> None:
    """The voxels of a region are as many as its volume, to half a voxel in what can be dealt out."""
    built = load_case(write(tmp_path)).anatomy.build(tmp_path)
    goals = np.array([share.sum() for share in built.domain.shares.values()])
    counts = np.bincount(dominant(built.domain, goals).ravel())[1:]
    assert counts.sum() == 12**3
    assert counts == pytest.approx(goals, abs=8)  # eight voxels of the ball are alike by symmetry


def test_borders_are_closed_and_lie_between_labels() -> None:
    """Of a cube of 4 voxels in one of 8, without smoothing: areas to round-off, and every edge has an even number of
    triangles on each border."""
    labels = np.ones((8, 8, 8), np.uint16)
    labels[2:6, 2:6, 2:6] = 2
    found = borders(labels, np.zeros(3), 1e-3, 0.0)
    corners = found.points[found.triangles]
    areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    for pair, area in (((0, 1), 6 * 64e-6), ((1, 2), 6 * 16e-6)):
        own = (found.sides == pair).all(axis=1)
        assert areas[own].sum() == pytest.approx(area, rel=1e-3)
        edges = np.sort(found.triangles[own][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()
    assert np.ptp(found.points, axis=0) == pytest.approx([8e-3] * 3, rel=1e-4)


def test_islands_are_volumes_of_their_own(tmp_path: Path) -> None:
    """Two islands between the same labels: connected parts by number, borders that are closed around each, and with
    Gmsh a mesh that holds both."""
    labels = np.ones((9, 9, 9), np.uint16)
    labels[1:4, 1:4, 1:4] = labels[5:8, 5:8, 5:8] = 2
    labels[4, 1, 7] = 3
    parts, owners = parted(labels)
    assert owners.tolist() == [0, 1, 2, 2, 3]
    assert (owners[parts] == labels).all()
    found = borders(parts, np.zeros(3), 1e-3, 0.3e-3)
    for part in range(1, 5):
        own = found.triangles[(found.sides == part).any(axis=1)]
        edges = np.sort(own[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    text = CASE.replace(
        "[tissues.tumour]",
        """\
[[anatomy.shapes]]
region = "tumour"
shape = "sphere"
centre = ["4 mm", "4 mm", "4 mm"]
radius = "3.5 mm"
[tissues.tumour]""",
    )
    built = load_case(write(tmp_path, text)).anatomy.build(tmp_path)
    try:
        importlib.import_module("gmsh")
    except (ImportError, OSError) as error:
        pytest.skip(f"needs the extra mesh: {error}")
    mesh = fill(built, "gmsh")
    assert not mesh.tried
    before, after = mesh.volumes["tumour"]
    assert after == pytest.approx(before, rel=0.1)


def test_volumes_are_checked() -> None:
    check({"liver": (1.0, 1.005), "tumour": (0.01, 0.0105)}, "tumour", 0.05)
    with pytest.raises(NoMeshError, match="tumour has 0 ml"):
        check({"liver": (1.0, 1.01), "tumour": (0.01, 0.0)}, "tumour", 0.05)
    with pytest.raises(NoMeshError, match="all regions"):
        check({"liver": (1.0, 1.05)}, None, 0.05)
    check({"liver": (1.0, 1.0), "vein": (0.01, 0.008)}, None, 0.05)  # 80 voxels: told, not refused
    with pytest.raises(NoMeshError, match="flat"):
        oriented(np.eye(4, 3), np.array([[0, 1, 2, 3], [0, 1, 1, 3]]))


def test_the_next_mesher_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that loses the tumour is not believed; where all fail the message says what each did."""
    built = load_case(write(tmp_path)).anatomy.build(tmp_path)

    def blind(surface: Surface, label_at: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        del label_at
        low, high = surface.points.min(axis=0), surface.points.max(axis=0)
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (high - low) + low
        kuhn = [(0, 1, 3, 7), (0, 1, 5, 7), (0, 2, 3, 7), (0, 2, 6, 7), (0, 4, 5, 7), (0, 4, 6, 7)]
        return corners, np.array(kuhn), np.ones(6, dtype=np.int64)

    monkeypatch.setattr(tetrahedra, "ATTEMPTS", (("gmsh", blind, 0.3),))
    with pytest.raises(CaseError, match=r"no mesher gave a sound mesh.*tumour has 0 ml"):
        fill(built)


@pytest.mark.parametrize("mesher", ["gmsh", pytest.param("tetwild", marks=pytest.mark.slow)])
def test_a_ball_in_a_box(tmp_path: Path, mesher: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Volumes by what was asked, no gap and no overlap (all cells fill the box), and the case runs on the mesh."""
    try:
        importlib.import_module({"gmsh": "gmsh", "tetwild": "pytetwild"}[mesher])
    except (ImportError, OSError) as error:  # Gmsh needs libraries of the system
        pytest.skip(f"needs the extra mesh: {error}")
    path = write(tmp_path)
    assert main(["mesh", str(path), "--out", str(tmp_path / "ball.msh"), "--mesher", mesher]) == 0
    assert "tumour" in capsys.readouterr().out
    case = load_case(tmp_path / "ball.toml")
    built = case.anatomy.build(tmp_path)
    domain = built.domain
    corners = domain.points[domain.cells]
    size = np.einsum("ij,ij->i", np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
                     corners[:, 3] - corners[:, 0]) / 6.0  # fmt: skip
    assert (size > 0.0).all()
    assert size.sum() == pytest.approx(24e-3**3, rel=0.02)
    assert size @ domain.shares["tumour"] == pytest.approx(4.0 / 3.0 * np.pi * 7e-3**3, rel=0.1)
    assert case.tissues["tumour"].material == "muscle"
    assert main(["validate", str(tmp_path / "ball.toml")]) == 0


def test_what_cannot_be_meshed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    fine = "anatomy.refine={centre=['12 mm','12 mm','12 mm'],size='8 mm',voxel_size='1 mm'}"
    assert main(["mesh", str(path), "--set", fine, "--out", str(tmp_path / "a.msh")]) == 2
    assert "cubes of one size" in capsys.readouterr().err
    assert main(["mesh", str(path), "--out", str(tmp_path / "a.vtu")]) == 2
