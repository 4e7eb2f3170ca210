"""Stages that go over the rows of a mesh together do what they do one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skfem

from thermal.domain import MeshDomain
from thermal.engines.graph import LANES, Graph
from thermal.engines.mesh import MeshEngine
from thermal.engines.row_order import RowOrder, banded
from thermal.engines.row_stages import GROUP, Groups, linear_stages

WEIGHTS = [(0.9, -0.4, 0.2, 0.05), (0.8, -0.3, 0.21, 0.04), (0.7, -0.2, 0.19, 0.03), (0.75, -0.25, 0.18, 0.02)]


@pytest.fixture(scope="module")
def order() -> RowOrder:
    """The rows of a bar of tetrahedra, 9 x 9 x 361 nodes numbered at random."""
    mesh = skfem.MeshTet.init_tensor(np.linspace(0, 1, 9), np.linspace(0, 1, 9), np.linspace(0, 45, 361))
    number = np.random.default_rng(3).permutation(mesh.p.shape[1])
    points = np.empty_like(mesh.p.T)
    points[number] = mesh.p.T
    cells = number[mesh.t.T]
    return RowOrder(MeshEngine(MeshDomain(points, cells, {"tissue": np.ones(len(cells))})).graph, "double")


def reached_groups(order: RowOrder) -> np.ndarray:
    """(slots,) group of the row in each slot."""
    return (order.neighbour + np.repeat(order.lowest, np.diff(order.start))) // (GROUP * LANES)


def test_neighbours_are_near(order: RowOrder) -> None:
    groups = Groups(order)
    rows = np.repeat(np.arange(order.slices), np.diff(order.start)) // GROUP
    near = reached_groups(order)
    for group in range(groups.size):
        of_rows, reached = rows[near == group], near[rows == group]
        assert {group, *of_rows} == {group, *reached}  # whoever is reached reaches back
        assert groups.last[group] >= reached.max()
        assert groups.stretches(1, 1).begin[0, 0] <= reached.min()
    assert (groups.last - np.arange(groups.size)).max() <= 8  # with WINDOW = 1024 rows, four groups, sorted by length


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_stage_has_what_it_needs_of_the_one_before(order: RowOrder, stages: int, cores: int) -> None:
    groups = Groups(order)
    plan = groups.stretches(stages, cores)
    rows = np.repeat(np.arange(order.slices), np.diff(order.start)) // GROUP
    near = reached_groups(order)
    before: list[set[int]] = []
    for stage in range(stages):
        own = [set(range(*ends)) for ends in zip(plan.begin[:, stage], plan.end[:, stage], strict=True)]
        left = [set(range(*ends)) for ends in zip(plan.border_begin[:, stage], plan.border_end[:, stage], strict=True)]
        assert sorted(group for part in own + left for group in part) == list(range(groups.size))
        if stage > 0:
            for part, done in zip(own, before, strict=True):
                assert part
                assert set(near[np.isin(rows, list(part))].tolist()) <= done
        before = own


def test_no_more_stages_than_pay(order: RowOrder) -> None:
    groups = Groups(order)
    assert groups.best(1).begin.shape == (1, 4)
    assert groups.best(10_000).begin.shape == (groups.size, 1)
    assert groups.best(2).left <= 0.1


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_stages_together_are_stages_one_by_one(order: RowOrder, count: int, cores: int) -> None:
    """Bit for bit, whoever does what: the same numbers are added in the same order."""
    rng = np.random.default_rng(1)
    sink, inverse, first, here, before = rng.uniform(0.0, 1.0, (5, order.slices * LANES))
    values = rng.uniform(0.0, 0.02, len(order.neighbour))
    inverse[::7] = 0.0
    groups = Groups(order)
    watched = np.arange(0, order.slices * LANES, 5)
    places = np.searchsorted(watched, np.arange(groups.size + 1) * GROUP * LANES)

    def run(fields: tuple[Any, Any], weights: list[Any], cores: int) -> tuple[Any, Any]:
        plan = groups.stretches(len(weights), cores)
        seen = np.zeros((len(weights), len(watched)))
        sums = np.empty((len(weights), 2, order.slices))
        linear_stages(
            plan.begin,
            plan.end,
            plan.border_begin,
            plan.border_end,
            groups.last,
            order.start,
            order.lowest,
            order.neighbour,
            values,
            sink,
            inverse,
            first,
            *fields,
            np.array(weights),
            watched,
            places,
            seen,
            sums,
        )
        return seen, sums

    joint = here.copy(), before.copy()
    found = run(joint, WEIGHTS[:count], cores)
    alone, seen, sums = (here.copy(), before.copy()), [], []
    for weights in WEIGHTS[:count]:
        one, other = run(alone, [weights], 1)
        alone, seen, sums = alone[::-1], [*seen, one[0]], [*sums, other[0]]
    for one, other in zip((*joint, *found), (*alone[:: (-1) ** count], seen, sums), strict=True):
        assert np.array_equal(one, other)


def test_a_far_neighbour_takes_a_wider_number() -> None:
    """Numbers of two bytes where they do, of four where a node has neighbours everywhere: a star of 70,000 leaves."""
    leaves = np.arange(1, 70_001)
    star = RowOrder(Graph(np.column_stack([np.zeros_like(leaves), leaves]), len(leaves) + 1), "double")
    path = RowOrder(Graph(np.column_stack([leaves - 1, leaves]), len(leaves) + 1), "double")
    assert star.neighbour.dtype == np.uint32
    assert path.neighbour.dtype == np.uint16
    for order in (star, path):
        reached = order.neighbour + np.repeat(order.lowest, np.diff(order.start))
        slices = np.repeat(np.arange(order.slices), np.diff(order.start))
        np.testing.assert_array_equal(order.lowest, [reached[slices == k].min() for k in range(order.slices)])
        np.testing.assert_array_equal(order.highest, [reached[slices == k].max() for k in range(order.slices)])


def test_parts_that_do_not_touch() -> None:
    """Two triangles and a node alone."""
    edges = np.array([[0, 1], [1, 2], [0, 2], [4, 5], [5, 6], [4, 6]])
    assert sorted(banded(edges, 7)) == list(range(7))
    groups = Groups(RowOrder(Graph(edges, 7), "single"))
    assert groups.size == 1
    assert groups.best(2).begin.tolist() == [[0, 0, 0, 0]]
    alone = Groups(RowOrder(Graph(np.zeros((0, 2), np.int64), 3), "single"))
    assert alone.best(2).end.shape == (1, 4)
