"""Fused vector updates of the time loop: one pass over memory instead of many."""

from __future__ import annotations

import numba as nb

from thermal.engines.compiled import compiled
from thermal.units import Array


@compiled
def legendre_stage(
    before: Array,
    here: Array,
    flow: Array,
    first: Array,
    inverse: Array,
    mu: float,
    nu: float,
    now: float,
    start: float,
) -> None:
    """``before = mu here + nu before + (now flow + start first) inverse``, all (n,): the next increment of a stage."""
    for i in nb.prange(len(before)):
        before[i] = mu * here[i] + nu * before[i] + (now * flow[i] + start * first[i]) * inverse[i]
