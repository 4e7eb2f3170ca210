"""Fields kept as stretches of equal values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from thermal.engines import heat_kernels
from thermal.engines.stretches import Stretches
from thermal.units import Array


def expanded(stretches: Stretches, shape: tuple[int, ...]) -> Array:
    out = np.full((shape[0] * shape[1], shape[2]), np.nan)
    for row, (first, last) in enumerate(zip(stretches.begins[:-1], stretches.begins[1:], strict=True)):
        start = 0
        for end, value in zip(stretches.ends[first:last], stretches.values[first:last], strict=True):
            out[row, start:end] = value
            start = end
    return out.reshape(shape)


@pytest.mark.parametrize("kinds", [1, 2, 1000])
def test_stretches_hold_every_value(kinds: int) -> None:
    field = np.random.default_rng(kinds).integers(0, kinds, (3, 4, 17)) + 0.5
    stretches = Stretches.of(field)
    assert_array_equal(expanded(stretches, field.shape), field)
    if kinds == 1:
        assert len(stretches.values) == 12


@pytest.mark.parametrize("box", [(1, 5, 1, 6, 1, 23), (2, 4, 3, 4, 5, 9), (1, 2, 1, 2, 1, 2)])
def test_heat_of_a_change_is_that_of_the_capacity_of_every_node(box: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    capacity = np.repeat(rng.uniform(0.5, 2.0, (4, 5, 11)), 2, axis=2)
    start, change = rng.uniform(20.0, 60.0, capacity.shape), np.zeros((6, 7, 24))
    here = np.s_[box[0] : box[1], box[2] : box[3], box[4] : box[5]]
    change[here] = rng.normal(size=change[here].shape)
    sums = np.empty((box[1] - box[0], box[3] - box[2], 4))
    heat_kernels.weigh(box[0], box[1], start, change, Stretches.of(capacity), np.array(box), sums)
    within = tuple(slice(part.start - 1, part.stop - 1) for part in here)
    gained, after = capacity[within] * change[here], start[within] + change[here]
    expected = np.stack([gained.sum(2), np.abs(gained).sum(2), after.min(2), after.max(2)], -1)
    assert_allclose(sums, expected, rtol=1e-13, atol=1e-13)
