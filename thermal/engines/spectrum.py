"""Bounds of the decay rates of heat on meshes, which say how many stages a step needs.

Gershgorin's bound looks at one row at a time. On a regular grid it is sharp; on tetrahedra its worst row, a small node
beside larger ones, asks for up to a third more stages than the fastest mode does.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np

from thermal.engine import Engine, Operator
from thermal.heat import HeatProblem
from thermal.units import Array

TURNS = 12
"""In which the weights approach the fastest mode; further ones gain little."""
LEAST = 1e-3
"""Weight of a node in that mode, relative to the largest."""


class Weighted(Operator, Protocol):
    """An operator whose bound can be sharpened."""

    def bound_by(self, weight: Array) -> Array:
        """(n,) b with ``u . K u <= sum b u^2``, from any positive ``weight`` (n,).

        ``(u_i - u_j)^2 <= (1 + w_j / w_i) u_i^2 + (1 + w_i / w_j) u_j^2``, summed over the positive conductances.
        """
        ...


def fastest_mode(engine: Engine, operator: Weighted, problem: HeatProblem) -> Array | None:
    """(n,) weights that make the bound of the decay rates sharp at full perfusion; None where they do not sharpen it.

    ``operator`` is that at 37 degC. With the weights of the fastest mode the largest of ``(b + sink) / capacity`` is
    the fastest rate itself (L. Collatz's and H. Wielandt's bounds of matrices without negative entries); turns of the
    power method come near. The bound holds by any weights, so they stay when conductivity or perfusion change.
    """
    capacity = problem.capacity / problem.relation.stiffness()
    swiftness = np.divide(1.0, capacity, out=np.zeros_like(capacity), where=capacity > 0.0)
    sink = problem.perfusion + problem.film
    best, least = None, engine.maximum(swiftness * (operator.bound + sink))
    weight = np.ones_like(capacity)
    for _ in range(TURNS):
        decay = swiftness * (operator.bound_by(weight) + sink)
        largest = engine.maximum(decay)
        if largest <= 0.0:
            break
        if largest < least:
            least, best = largest, weight
        weight = np.maximum(weight * np.sqrt(decay / largest), LEAST)
    return best


def bound(operator: Operator, weight: Array | None) -> Array:
    """(n,) bound of the spectrum, W/K, by weights or without."""
    return operator.bound if weight is None else cast(Weighted, operator).bound_by(weight)
