"""Runs of alike nodes: a stage with them does what a stage that asks every node does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thermal.domain import VoxelDomain
from thermal.engines.linear_stage import linear_stages, slabs, together
from thermal.engines.voxel_runs import MOST_ODD, SHORTEST, Runs

SHAPE = (7, 6, 95)


def arrays(blocks: int, real: Any, seed: int = 0) -> tuple[Any, ...]:
    """``kv``, inverse squares and inverse capacity of blocks of tissue along the rows, with some held nodes."""
    rng = np.random.default_rng(seed)
    cells = tuple(count - 1 for count in SHAPE)
    kv = np.zeros(tuple(count + 1 for count in SHAPE), real)
    parts = np.sort(rng.integers(0, cells[2], blocks - 1))
    kinds = np.searchsorted(parts, np.arange(cells[2]), side="right")
    kv[1:-1, 1:-1, 1:-1] = rng.uniform(0.2, 0.6, blocks)[kinds]
    kv[3, 3, 40] = 5.0  # a voxel of something else
    inverse = np.zeros(tuple(count + 2 for count in SHAPE), real)
    inverse[1:-1, 1:-1, 1:-1] = 0.1
    inverse[1:-1, 1:-1, 1] = inverse[2, 3, 50] = 0.0
    squares = tuple(np.pad(np.full(count, 1.3 + axis, real), 1) for axis, count in enumerate(cells))
    return kv, squares, inverse


WEIGHTS = [(0.9, -0.4, 0.2, 0.05), (0.8, -0.3, 0.21, 0.04), (0.7, -0.2, 0.19, 0.03), (0.75, -0.25, 0.18, 0.02)]


def stages(weights: list[Any], bounds: Any, box: tuple[int, ...], fields: tuple[Any, ...]) -> tuple[Any, Any]:
    """Stages together on the fields in place; the sums and what was seen of every third node along each axis."""
    kv, squares, runs, sink, inverse, first, here, before = fields
    watch = np.zeros(here.shape, dtype=bool)
    watch[::3, ::3, ::3] = True
    watched = np.flatnonzero(watch)
    places = np.searchsorted(watched, np.arange(len(here) + 1) * here[0].size)
    count = len(weights)
    seen = np.zeros((count, len(watched)), here.dtype)
    sums = np.empty((count, 2, box[1] - box[0], box[3] - box[2]))
    linear_stages(
        kv,
        *squares,
        runs,
        sink,
        inverse,
        first,
        here,
        before,
        np.array(weights, here.dtype),
        bounds,
        np.array(box),
        watched,
        places,
        seen,
        sums,
    )
    return sums, seen


def alike(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("bounds", [(1, 31), (1, 16, 31), (1, 9, 17, 31), (3, 15, 27)])
def test_stages_jointare_stages_one_by_one(count: int, bounds: tuple[int, ...]) -> None:
    """Bit for bit, wherever the slabs end: the same numbers are added in the same order."""
    rng = np.random.default_rng(2)
    shape = (30, 34, 34)  # large enough for all cores
    kv = np.zeros(tuple(size + 1 for size in shape))
    kv[1:-1, 1:-1, 1:-1] = rng.uniform(0.2, 0.6, tuple(size - 1 for size in shape))
    squares = tuple(np.pad(np.full(size - 1, 1.3 + axis), 1) for axis, size in enumerate(shape))
    sink, inverse, first, here, before = (np.zeros(tuple(size + 2 for size in shape)) for _ in range(5))
    box = (bounds[0], bounds[-1], 2, 33, 1, 35)
    for field in (sink, inverse, first):
        field[1:-1, 1:-1, 1:-1] = rng.uniform(0.0, 0.1, shape)
    for field in (here, before):
        field[box[0] : box[1], 2:33, 1:35] = rng.uniform(0.0, 1.0, (box[1] - box[0], 31, 34))
    given = kv, squares, Runs.none(shape, np.float64), sink, inverse, first
    joint = here.copy(), before.copy()
    found = stages(WEIGHTS[:count], np.array(bounds), box, (*given, *joint))
    one, other = here.copy(), before.copy()
    sums, seen = [], []
    for weights in WEIGHTS[:count]:
        alone = stages([weights], np.array([bounds[0], bounds[-1]]), box, (*given, one, other))
        sums.append(alone[0][0])
        seen.append(alone[1][0])
        one, other = other, one
    assert alike(joint if count % 2 == 0 else joint[::-1], (one, other))
    assert alike(found, (np.array(sums), np.array(seen)))


def test_slabs() -> None:
    box = np.array([3, 164, 1, 2, 1, 2])
    assert slabs(box, 2).tolist() == [3, 83, 164]
    assert together(slabs(box, 2)) == 4
    assert together(slabs(box, 4)) == 2
    assert slabs(np.array([5, 7, 1, 2, 1, 2]), 8).tolist() == [5, 6, 7]
    assert together(slabs(np.array([5, 7, 1, 2, 1, 2]), 8)) == 1


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("blocks", [1, 3, 40])
@pytest.mark.parametrize("box", [(1, 8, 1, 7, 1, 96), (2, 6, 2, 5, 2, 95), (3, 5, 3, 4, 40, 49)])
def test_a_stage_with_runs_is_the_stage_without(blocks: int, box: tuple[int, ...], real: Any) -> None:
    kv, squares, inverse = arrays(blocks, real)
    rng = np.random.default_rng(1)
    first, here, before, sink = (np.zeros(inverse.shape, real) for _ in range(4))
    for field in (first, here, before, sink):
        field[1:-1, 1:-1, 1:-1] = rng.uniform(0.0, 1.0, SHAPE)
    done = []
    for runs in (Runs.none(SHAPE, real), Runs.of(kv, squares, inverse)):
        out = before.copy()
        sums, _ = stages(WEIGHTS[:1], np.array(box[:2]), box, (kv, squares, runs, sink, inverse, first, here, out))
        done.append((out, sums))
    (plain, plain_sums), (quick, quick_sums) = done
    room = 20.0 * np.finfo(real).eps
    np.testing.assert_allclose(quick, plain, rtol=0.0, atol=room * float(np.abs(plain).max()))
    np.testing.assert_allclose(quick_sums, plain_sums, rtol=0.0, atol=8.0 * room * float(np.abs(plain_sums).max()))


def test_where_runs_are() -> None:
    kv, squares, inverse = arrays(1, np.float64)
    runs = Runs.of(kv, squares, inverse)
    assert runs.counts[0].max() == 0  # on a face of the grid half of the cells are missing
    assert runs.counts[4, 4] == 1
    assert runs.ends[4, 4, 0].tolist() == [1, 96]
    assert runs.odd[4, 4, : runs.odd_counts[4, 4]].tolist() == [1, 95]
    assert runs.odd[2, 2, : runs.odd_counts[2, 2]].tolist() == [1, 40, 41, 95]  # the voxel of something else
    assert runs.odd[1, 2, : runs.odd_counts[1, 2]].tolist() == [1, 50, 95]  # the held node
    short = kv[:, :, : SHORTEST + 1].copy()
    assert Runs.of(short, squares, inverse[:, :, : SHORTEST + 2].copy()).counts.max() == 0
    assert MOST_ODD < SHORTEST


def test_no_run_where_the_spacing_or_the_coefficients_change() -> None:
    kv, (rx, ry, rz), inverse = arrays(1, np.float64)
    assert Runs.of(kv, (rx, ry, rz * np.linspace(1.0, 2.0, len(rz))), inverse).counts.max() == 0
    unknown = kv.copy()
    unknown[1:-1, 1:-1, 1:-1] = np.nan
    assert Runs.of(unknown, (rx, ry, rz), inverse).counts.max() == 0


def test_widths_are_equal_where_they_differ_by_round_off() -> None:
    regular = np.linspace(-0.04, 0.04, 82)
    graded = np.concatenate([regular, 0.04 + np.cumsum(0.001 * 1.2 ** np.arange(5))])
    domain = VoxelDomain((regular, graded, regular), {}, np.ones(81 * 86 * 81, dtype=bool))
    assert len(np.unique(np.diff(regular))) > 1
    assert len(np.unique(domain.widths[0])) == 1
    assert len(np.unique(domain.widths[1])) == 6
    np.testing.assert_allclose(domain.widths[1], np.diff(graded), rtol=1e-12)


def test_a_run_that_reaches_over_an_odd_first_cell_keeps_its_own_spacing() -> None:
    """A single longer cell before a regular row: the run begins at the face, where the spacing is another one."""
    kv, (rx, ry, rz), inverse = arrays(1, np.float64)
    rz = rz.copy()
    rz[1] *= 0.1
    runs = Runs.of(kv, (rx, ry, rz), inverse)
    assert runs.ends[4, 4, 0].tolist() == [1, 96]
    assert runs.values[4, 4, 0, 2] == rz[3] != rz[1]
    rng = np.random.default_rng(1)
    first, here, before, sink = (np.zeros(inverse.shape) for _ in range(4))
    for field in (first, here, before, sink):
        field[1:-1, 1:-1, 1:-1] = rng.uniform(0.0, 1.0, SHAPE)
    box = (1, 8, 1, 7, 1, 96)
    done = []
    for some in (Runs.none(SHAPE, np.float64), runs):
        out = before.copy()
        stages(WEIGHTS[:1], np.array(box[:2]), box, (kv, (rx, ry, rz), some, sink, inverse, first, here, out))
        done.append(out)
    np.testing.assert_allclose(done[1], done[0], rtol=0.0, atol=1e-14 * float(np.abs(done[0]).max()))


def test_no_run_reaches_to_where_the_coefficients_follow_the_temperature() -> None:
    """A voxel of which nothing is known beforehand ends the run: its nodes would be done with what it was."""
    kv, squares, inverse = arrays(1, np.float64)
    kv[3, 3, 40] = np.nan
    runs = Runs.of(kv, squares, inverse)
    assert runs.counts[2, 2] == 2
    assert runs.ends[2, 2].tolist() == [[1, 40], [42, 96]]
    assert runs.odd[2, 2, : runs.odd_counts[2, 2]].tolist() == [1, 95]
    assert not np.isnan(runs.odd_values).any()
