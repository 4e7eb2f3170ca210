"""Bounds of the decay rates of heat on meshes, which say how many stages a step needs.

Gershgorin's bound looks at one row at a time. On a regular grid it is sharp; on tetrahedra its worst row, a small node
beside larger ones, asks for up to a third more stages than the fastest mode does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from thermal.domain import CutEdges
from thermal.engine import Engine, Operator
from thermal.heat import HeatProblem
from thermal.units import Array

TURNS = 12
"""In which the weights approach the fastest mode; further ones gain little."""
LEAST = 1e-3
"""Weight of a node in that mode, relative to the largest."""
STEEP = 10.0
"""Jump of the conductivity of freezing tissue from which on its front may be faster than diffusion (water: 4)."""
WIDTH = 5.0
"""K"""


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


class Space(Protocol):
    """What of an engine :class:`Fronts` needs."""

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> Operator:
        """See :meth:`thermal.engine.Engine.conductance`."""
        ...

    def to_cells(self, u: Array) -> Array:
        """See :meth:`thermal.engine.Engine.to_cells`."""
        ...

    def maximum(self, a: Array) -> float:
        """See :meth:`thermal.engine.Engine.maximum`."""
        ...


@dataclass(frozen=True)
class Fronts:
    """How fast a conductivity that jumps where tissue freezes lets things change.

    The flow in a cell through which a front goes follows its conductivity, and that its temperature: beside the decay
    of the linear equation stands ``dk/dT`` times the differences of temperature, which no bound of conductances at any
    temperature contains. It acts on the mean of a cell, the fastest mode of diffusion on differences: the larger of
    both counts, not the sum.
    """

    engine: Space
    largest: Array
    """(m,) W/m/K, frozen or not, whichever is larger"""
    cuts: CutEdges | None
    solidus: float
    liquidus: float

    @staticmethod
    def of(engine: Space, problem: HeatProblem) -> Fronts | None:
        """None where nothing conducts :data:`STEEP` times better or worse once it is frozen."""
        cells, cuts = problem.cells, problem.cuts
        if cells.frozen is None:
            return None
        jump = engine.maximum(_jump(cells.at_37, cells.frozen))
        if cuts is not None and cuts.frozen is not None:
            jump *= engine.maximum(_jump(cuts.unfrozen.factors, cuts.frozen))
        if jump < STEEP:
            return None
        largest = None if cuts is None else cuts.largest()
        return Fronts(engine, np.maximum(cells.frozen, cells.at_37), largest, cells.solidus, cells.liquidus)

    def decay(self, temperature: Array, swiftness: Array) -> float:
        """1/s, at a ``temperature`` (n,) degC; ``swiftness`` (n,) K/J: one over the smallest capacity of free nodes.

        ``sum_j G_ij |T_i - T_j|`` over the width of the freezing range, of the cells that have nodes on both sides, by
        A.-L. Cauchy's inequality. A front much sharper than :data:`WIDTH` flutters by that much at most.
        """
        engine = self.engine
        cold = engine.to_cells((temperature < self.liquidus).astype(float))
        warm = engine.to_cells((temperature > self.solidus).astype(float))
        operator = engine.conductance(np.where((cold > 0.0) & (warm > 0.0), self.largest, 0.0), self.cuts)
        along = np.sqrt(2.0 * operator.diagonal * np.maximum(operator.dissipation(temperature), 0.0))
        return engine.maximum(along * swiftness) / max(self.liquidus - self.solidus, WIDTH)


def _jump(one: Array, other: Array) -> Array:
    """By what factor two conductivities differ, the larger over the smaller; one where either is zero."""
    ratio = np.divide(one, other, out=np.ones_like(one), where=(one > 0.0) & (other > 0.0))
    return np.maximum(ratio, 1.0 / ratio)
