"""Sweeps of the voxel engine's multigrid: what they visit, in which order, and what they solve."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_banded

from thermal.curve import by_lowest_node
from thermal.domain import VoxelDomain
from thermal.engines import stencils
from thermal.engines.multigrid import _Level
from thermal.engines.voxel import VoxelEngine
from thermal.engines.voxel_operator import VoxelOperator
from thermal.units import Array

SHAPES = {"three groups of planes": (19, 6, 11), "strips of rows": (9, 8, 2800)}
"""Nodes without the border; :data:`stencils.STRETCH` nodes are a strip."""


def level(shape: tuple[int, int, int], offsets: stencils.Index) -> _Level:
    """Random conductances between all neighbours, some of them strong, and a little that is held."""
    rng = np.random.default_rng(1)
    padded = tuple(size + 2 for size in shape)
    g, s = np.zeros((len(offsets), *padded), np.float32), np.zeros(padded, np.float32)
    inner = (slice(1, -1),) * 3
    s[inner] = 0.1 * rng.random(shape)
    for m, offset in enumerate(offsets):
        ends = [slice(1 + max(-d, 0), size + 1 - max(d, 0)) for d, size in zip(offset, shape, strict=True)]
        g[m][tuple(ends)] = 10.0 ** rng.uniform(-1, 1, g[m][tuple(ends)].shape)
    made = _Level(g, offsets, s)
    made.rhs[inner] = rng.normal(size=shape)
    return made


def test_every_plane_is_visited_once_and_none_beside_another() -> None:
    for planes in range(1, 41):
        odd, even, between = stencils.turns(planes)
        assert sorted(np.concatenate([part[part > 0] for part in (odd, even, between)])) == list(range(1, planes + 1))
        assert (odd[odd > 0] % 2 == 1).all()
        assert (even[even > 0] % 2 == 0).all()
        # the even ones of a group have both of their neighbours in it, or at the end of the grid
        for group, own in zip(even, odd, strict=True):
            for plane in group[group > 0]:
                assert {plane - 1, plane + 1} - {planes + 1} <= set(own)


@pytest.mark.parametrize("offsets", [stencils.SEVEN, stencils.ALL], ids=["7 points", "27 points"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_sweep_is_gauss_seidel_by_rows(offsets: stencils.Index, shape: tuple[int, int, int]) -> None:
    """Against rows solved one by one in float64, odd planes first: to the round-off of single precision. A sweep on
    what is fresh is one on zero; backwards it is the same in the opposite order."""
    made = level(shape, offsets)
    made.u[1:-1, 1:-1, 1:-1] = np.nan
    u = np.zeros(made.u.shape)
    planes = [*range(1, shape[0] + 1, 2), *range(2, shape[0] + 1, 2)]
    rows = [(i, j) for i in planes for j in range(1, shape[1] + 1)]
    made.smooth_forwards(fresh=True)
    for order, sweep in (
        (rows, lambda: None),
        (rows[::-1], made.smooth_backwards),
        (rows, lambda: made.smooth_forwards(fresh=False)),
    ):
        sweep()
        for i, j in order:
            solve_row(made, u, i, j)
        np.testing.assert_allclose(made.u, u, atol=1e-5 * np.abs(u).max())


def solve_row(made: _Level, u: Array, i: int, j: int) -> None:
    """Exactly, as all other rows are."""
    end = u.shape[2] - 1
    main, right = made.s[i, j, 1:-1].astype(float), made.rhs[i, j, 1:-1].astype(float)
    for g, (di, dj, dk) in zip(made.g.astype(float), made.offsets, strict=True):
        ahead, behind = g[i, j, 1:-1], g[i - di, j - dj, 1 - dk : end - dk]
        main += ahead + behind
        if di or dj:
            right += ahead * u[i + di, j + dj, 1 + dk : end + dk] + behind * u[i - di, j - dj, 1 - dk : end - dk]
    along = -made.g[0, i, j].astype(float)
    u[i, j, 1:-1] = solve_banded((1, 1), np.stack([along[:-2], main, along[1:-1]]), right)


def test_the_system_of_a_field_is_its_operator_on_the_free_nodes() -> None:
    rng = np.random.default_rng(2)
    axes = tuple(np.cumsum(rng.uniform(0.5, 1.0, size)) for size in (2, 7, 12))
    inside = np.ones(6 * 11, dtype=bool)
    engine = VoxelEngine(VoxelDomain((axes[0], axes[1], axes[2]), {"all": inside.astype(float)}, inside))
    operator = engine.conductance(rng.random(inside.size))
    assert isinstance(operator, VoxelOperator)
    u, diagonal, free = rng.normal(size=engine.volume.size), rng.random(engine.volume.size), engine.points[:, 1] > 1.5
    applied = operator.within(diagonal, free)(u)
    np.testing.assert_allclose(applied, np.where(free, operator(u) + diagonal * u, 0.0), atol=1e-13)
    np.testing.assert_allclose(operator(np.ones(u.size)), 0.0, atol=1e-13)
    matrix = np.stack([operator(unit) for unit in np.eye(u.size)], axis=1)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), operator.diagonal, rtol=1e-14)


def test_cells_come_by_their_lowest_node() -> None:
    cells = np.random.default_rng(3).integers(0, 300, (2000, 4))
    np.testing.assert_array_equal(by_lowest_node(cells, 300), np.argsort(cells.min(axis=1), kind="stable"))
