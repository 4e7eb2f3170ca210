"""What programs may hand to an engine and must not: it is refused in words, never counted with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from engine_problems import cube, tetrahedra

from thermal import simulate
from thermal.domain import AxisymmetricDomain, MeshDomain
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.errors import CaseError
from thermal.units import Array

GRID, MESH = cube(3, 1e-3), tetrahedra()
RISING = GRID.axes[0]
HALF_PLANE = AxisymmetricDomain(
    np.array([[0.0, 0, 0], [1e-2, 0, 0], [0, 0, 1e-2], [1e-2, 0, 1e-2]]), np.array([[0, 1, 2], [1, 3, 2]]), {}
)
CORNER = np.array([[0, 1, len(MESH.points) + 5]])


def changed(values: Array, value: float, place: Any = 3) -> Array:
    found = values.copy()
    found[place] = value
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": (RISING[::-1], RISING, RISING)}, r"the axis x of the grid .* that rise: \[0.0015, 0.0005"),
        ({"axes": (RISING, changed(RISING, RISING[2]), RISING)}, "the axis y"),
        ({"axes": (RISING, RISING, changed(RISING, np.nan))}, "the axis z"),
        ({"axes": (RISING[:1], RISING, RISING)}, "two or more"),
        ({"axes": (RISING[:-1], RISING, RISING)}, r"solid has the shape \(27,\), which does not fit 18 cells"),
        ({"shares": {"liver": np.ones(26)}}, r"the region liver have the shape \(26,\), which does not fit 27"),
        ({"shares": {"liver": changed(np.ones(27), np.nan)}}, "liver has a share .* cell 3 with nan"),
        ({"shares": {"liver": changed(np.ones(27), -1.0)}}, "in 1 of 27 cells, the first is cell 3 with -1"),
    ],
)
def test_no_grid(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _ = VoxelEngine(replace(GRID, **change)).volumes["liver" if "shares" in change else "tissue"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": changed(MESH.cells, 10_000, (3, 0))}, r"nodes that do not exist, 1 of .* number 3 with \[10000, "),
        ({"cells": changed(MESH.cells, -1, (3, 0))}, "there are nodes 0 to 512"),
        (
            {"cells": np.vstack([MESH.cells, MESH.cells[7:8, ::-1]])},
            "1 of 2059 cells occur twice, the first is cell 2058",
        ),
        ({"cells": MESH.cells[:0]}, "has no cells"),
        ({"cells": MESH.cells[:, :3]}, "whole numbers of 4 nodes"),
        ({"cells": MESH.cells.astype(float)}, "the type float64"),
        ({"points": MESH.points[:, :2]}, "three coordinates"),
        ({"points": changed(MESH.points, np.nan, (30, 0))}, "have no volume, or corners that are not finite"),
        ({"boundaries": {"west": CORNER}}, "the facets of the boundary west name nodes that do not exist"),
        ({"shares": {"liver": np.full(len(MESH.cells), 2.0)}}, "the region liver has a share"),
    ],
)
def test_no_mesh(change: dict[str, Any], words: str) -> None:
    domain = replace(MESH, shares={}, boundaries={}) if "cells" in change else MESH
    engine = MeshEngine(replace(domain, **change))
    with pytest.raises(ValueError, match=words):
        _ = engine.volume, engine.areas, engine.volumes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": HALF_PLANE.points - np.array([1e-3, 0, 0])}, "beyond the axis"),
        ({"points": HALF_PLANE.points + np.array([0, 1e-3, 0])}, "off the plane"),
        ({"points": changed(HALF_PLANE.points, np.nan, (2, 2))}, "corners that are not finite"),
        ({"cells": np.array([[0, 1, 2], [2, 1, 0]])}, "occur twice"),
        ({"boundaries": {"west": np.array([[0, 4]])}}, "boundary west"),
    ],
)
def test_no_half_plane(change: dict[str, Any], words: str) -> None:
    engine = AxisymmetricEngine(replace(HALF_PLANE, **change))
    with pytest.raises(ValueError, match=words):
        _ = engine.volume, engine.areas


def engines() -> dict[str, VoxelEngine | MeshEngine]:
    return {"voxels": VoxelEngine(GRID), "tetrahedra": MeshEngine(MESH)}


ISOTROPIC = np.array([1.0, 1, 1, 0, 0, 0])


@pytest.mark.parametrize("kind", ["voxels", "tetrahedra"])
@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (changed(ISOTROPIC, np.nan, 0), r"1 of \d+ cells have a tensor .* cell 3 with \[nan, "),
        (changed(ISOTROPIC, np.inf, 4), "infinite"),
        (changed(ISOTROPIC, -1.0, 1), "principal values"),
        (changed(ISOTROPIC, 5.0, 3), "principal values"),
        (changed(changed(changed(ISOTROPIC, -0.9, 3), -0.9, 4), -0.9, 5), "principal values"),
        (ISOTROPIC[:3], "give six numbers a cell"),
    ],
)
def test_tensors_that_do_not_conduct(kind: str, tensor: Array, words: str) -> None:
    engine = engines()[kind]
    tensors = np.tile(ISOTROPIC[: len(tensor)], (len(engine.cell_volume), 1))
    tensors[3] = tensor
    with pytest.raises(ValueError, match=words):
        engine.tensor_conductance(tensors)


Ask = Callable[[Any, Any, Array], object]


@pytest.mark.parametrize("kind", ["voxels", "tetrahedra"])
@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda e, k, u: k(u[:-1]), "shape|size"),
        (lambda e, k, u: e.solve(k, changed(u, -1.0), 0 * u), "diagonal .* negative, .* node 3 with -1"),
        (lambda e, k, u: e.solve(k, changed(u, np.nan), u), "node 3 with nan"),
        (lambda e, k, u: e.solve(k, u[:-1], u), "the diagonal of a linear solve has the shape"),
        (lambda e, k, u: e.solve(k, u, u[:1]), r"the right-hand side of a linear solve has the shape \(1,\)"),
        (lambda e, k, u: e.solve(k, u, u, guess=u[:2]), "the guess of a linear solve"),
        (lambda e, k, u: e.solve(k, u, u, fixed=u[:5] > 0, values=u), "mask of prescribed nodes"),
        (lambda e, k, u: e.solve(k, u, u, fixed=u > 0, values=u[:5]), "the prescribed values of a linear solve"),
        (lambda e, k, u: e.solve(k, u, u, tolerance=0.0), "the tolerance of a linear solve is 0"),
        (lambda e, k, u: e.solve(k, u, u, tolerance=np.nan), "above zero and below one"),
    ],
)
def test_solves_of_no_system(kind: str, ask: Ask, words: str) -> None:
    engine = engines()[kind]
    operator = engine.conductance(np.ones(len(engine.cell_volume)))
    with pytest.raises(ValueError, match=words):
        ask(engine, operator, 1e3 * engine.volume)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "no value for the regions tissue"),
        ({"tissue": -1.0}, "region tissue is -1"),
        ({"tissue": np.nan}, "above zero"),
    ],
)
def test_values_of_no_interface(values: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VoxelEngine(GRID).cut_edges(values)


@pytest.mark.parametrize("spacing", [0.0, -1e-3, np.nan])
def test_windows_of_no_spacing(spacing: float) -> None:
    with pytest.raises(ValueError, match="a spacing above zero"):
        VoxelEngine(GRID).window_nodes(np.full(3, -1e-3), np.full(3, 1e-3), spacing)


def test_what_is_sound_is_taken() -> None:
    VoxelEngine(GRID).window_nodes(np.zeros(3), np.zeros(3), 1e-3)
    flat = np.tile([1.0, 1.0, 0.0, 0.0, 0.0, 1.0], (len(MESH.cells), 1))  # conducts along x + y alone
    assert MeshEngine(MESH).tensor_conductance(flat)(MESH.points[:, 2].copy()) == pytest.approx(0.0, abs=1e-15)
    twin = np.array([[0, 1, 2, 3], [0, 1, 2, 4]])
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1], [np.nan, 0, 0]])
    assert MeshEngine(MeshDomain(points, twin, {})).volume.sum() == pytest.approx(1.0 / 3.0)


def test_a_path_is_no_case() -> None:
    with pytest.raises(CaseError, match=r"expected a case, found str 'gold\.toml'; read its file first"):
        simulate("gold.toml")  # type: ignore[arg-type]
