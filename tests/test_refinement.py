"""Meshes with divided cells: sizes, regions, borders and shape are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import CATALOGUE
from scipy.spatial import Delaunay
from scripts import script

from thermal import load_case, simulation
from thermal.anatomy.mesh_checks import are_sides, signed_sizes
from thermal.anatomy.refinement import children, divided
from thermal.domain import AxisymmetricDomain, MeshDomain
from thermal.errors import CaseError

Index = npt.NDArray[np.int64]


def scattered(dimension: int) -> tuple[npt.NDArray[np.float64], Index]:
    """Cells between random points of the unit cube (of the plane y = 0), with slivers."""
    chance = np.random.default_rng(4)
    flat = np.concatenate([np.stack(np.meshgrid(*[[0.0, 1.0]] * dimension), -1).reshape(-1, dimension),
                           chance.random((60, dimension))])  # fmt: skip
    cells = Delaunay(flat).simplices.astype(np.int64)
    points = flat if dimension == 3 else np.insert(flat, 1, 0.0, axis=1)
    inverted = signed_sizes(points, cells) < 0.0
    cells[inverted, :2] = cells[inverted, 1::-1]
    return points, cells[signed_sizes(points, cells) > 1e-9]


def outer_sides(cells: Index) -> Index:
    """Facets that belong to one cell alone."""
    corners = cells.shape[1]
    every = np.sort(np.concatenate([np.delete(cells, corner, axis=1) for corner in range(corners)]), axis=1)
    found, count = np.unique(every, axis=0, return_counts=True)
    assert count.max() <= 2  # conforming
    return found[count == 1]


@pytest.mark.parametrize("dimension", [2, 3])
def test_parts_have_equal_sizes_fit_together_and_keep_the_border(dimension: int) -> None:
    points, cells = scattered(dimension)
    border = outer_sides(cells)
    parts = divided(points, cells, {"border": border})
    size = signed_sizes(parts.points, parts.cells)
    eighth = signed_sizes(points, cells)[parts.parent] / children(dimension + 1)
    assert len(parts.cells) == children(dimension + 1) * len(cells)
    assert size == pytest.approx(eighth, rel=1e-6)
    assert np.array_equal(parts.points[: len(points)], points)
    assert len(np.unique(parts.cells)) == len(parts.points)
    sides = np.unique(np.sort(parts.facets["border"], axis=1), axis=0)
    assert np.array_equal(sides, outer_sides(parts.cells))
    assert len(sides) == len(parts.facets["border"])
    assert are_sides(parts.facets["border"], parts.cells).all()


def quality(points: npt.NDArray[np.float64], cells: Index) -> float:
    """Volume of the worst cell over the cube of its longest edge."""
    edges = np.stack([np.linalg.norm(points[cells[:, i]] - points[cells[:, j]], axis=1)
                      for i in range(4) for j in range(i)])  # fmt: skip
    return float((signed_sizes(points, cells) / edges.max(axis=0) ** 3).min())


def test_shape_is_kept_however_often_cells_are_divided_and_however_they_lie() -> None:
    """Split along a diagonal that is not the shortest, cells of a turned mesh come out worse each time."""
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.3, 0.3, 2.0]])
    worst = []
    for turn in range(3):
        at, cells = np.roll(points, turn, axis=1), np.array([[0, 1, 2, 3]])
        first = quality(at, cells)
        for _ in range(4):
            parts = divided(at, cells, {})
            at, cells = parts.points, parts.cells
        worst.append(quality(at, cells) / first)
    assert worst == pytest.approx(worst[:1] * 3)
    assert worst[0] > 0.5


def prepared(folder: Path, *options: str) -> simulation.Prepared:
    mesh = folder / "ball.msh"
    script("make_ball_mesh").write(mesh, 10.0, 45.0, 1, (0.0, 0.0, 0.0))
    case = load_case(CATALOGUE / "pen03_mesh.toml", [f"anatomy.file={mesh}", *options])
    return simulation.prepare(case, lambda stage, share: None)


def test_a_case_may_divide_the_cells_of_its_mesh(tmp_path: Path) -> None:
    once, twice = (prepared(tmp_path, f"anatomy.refinements={times}").anatomy for times in (0, 2))
    assert isinstance(once.domain, MeshDomain)
    assert isinstance(twice.domain, MeshDomain)
    assert len(twice.domain.cells) == 64 * len(once.domain.cells)
    sizes, parts = (signed_sizes(domain.points, domain.cells) for domain in (once.domain, twice.domain))
    for region, share in once.domain.shares.items():
        assert twice.domain.shares[region] @ parts == pytest.approx(share @ sizes, rel=1e-12)
    for name, sides in once.domain.boundaries.items():
        assert len(twice.domain.boundaries[name]) == 16 * len(sides)
    assert any("divided into 64" in note for note in twice.notes)


def test_more_cells_than_fit_are_refused_before_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermal.anatomy.refinement.free_memory", lambda: 1e7)
    with pytest.raises(CaseError, match=r"anatomy\.refinements = 2: \d+ cells divided 2 times are .* use fewer"):
        prepared(tmp_path, "anatomy.refinements=2")


def test_a_half_plane_stays_on_its_axis(tmp_path: Path) -> None:
    mesh = tmp_path / "half.msh"
    script("make_half_plane").write(mesh, 10.0, 45.0, 2.5)
    probes = [f"probes.{name}.position=[0 mm, 0 mm, {z} mm]" for name, z in (("r10", 10), ("r15", 15))]
    options = [f"anatomy.file={mesh}", "anatomy.half_plane=xy", "anatomy.refinements=1", *probes]
    case = load_case(CATALOGUE / "pen03_mesh.toml", options)
    domain = simulation.prepare(case, lambda stage, share: None).anatomy.domain
    assert isinstance(domain, AxisymmetricDomain)
    assert (domain.points[:, 0] >= 0.0).all()
