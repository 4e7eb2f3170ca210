"""Nodes at a prescribed temperature that moves while a step lasts, and those beside a probe whose temperature does.

They go evenly from what they have at its start to what they are to have at its end, so each stage finds them where they
are at its own time. A step that holds them at one value has an error of the first order beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.enthalpy import Enthalpy, Nodes
from thermal.heat import Action, HeatState
from thermal.units import Array, Real


@dataclass(frozen=True)
class Moving:
    """``nodes`` (t,) that go from ``start`` (t,) to ``end`` (t,), degC."""

    nodes: Nodes
    start: Array
    end: Array

    @staticmethod
    def of(state: HeatState, action: Action) -> Moving:
        """Those of a step from ``state`` under ``action``; mostly none."""
        if action.held_at_end is None:
            return NOTHING
        nodes = np.flatnonzero(~action.free & (action.held_at_end != state.temperature))
        return Moving(nodes, state.temperature[nodes], action.held_at_end[nodes])

    @property
    def coldest(self) -> float:
        """degC at the end; infinite where nothing moves."""
        return float(self.end.min(initial=np.inf))

    @property
    def hottest(self) -> float:
        """degC at the end; minus infinity where nothing moves."""
        return float(self.end.max(initial=-np.inf))

    def within(self, liquid: tuple[float, float]) -> bool:
        """Whether what moves stays between two temperatures, degC."""
        return liquid[0] < self.coldest and self.hottest <= liquid[1]

    def rate(self, step: float) -> Array:
        """(t,) K/s in a step of ``step`` s."""
        return (self.end - self.start) / step

    def at(self, share: float) -> Array:
        """(t,) degC when a share of the step is over."""
        return self.start + share * (self.end - self.start)

    def arrive(self, state: HeatState, relation: Enthalpy) -> None:
        """Bring them to the end of the step, and what they hold with it."""
        if self.nodes.size:
            state.temperature[self.nodes] = self.end
            if state.content is not None:
                state.content[self.nodes] = relation.take(self.nodes).content(self.end)


@dataclass(frozen=True)
class Driven:
    """Nodes at ``places`` (t,) of a stage's arrays that get ``gain`` (t,) W more from a probe at the end of a step than
    at its start, at the same temperature of their own: by that much its own moves, evenly."""

    places: Nodes
    gain: Array

    def add(self, share: float, weight: float, inverse: Real, change: Real) -> float:
        """To the ``change`` (K) that a stage made where a share of the step was over, by its ``weight`` s, at nodes of
        ``inverse`` capacity; returns the heat, W."""
        change[self.places] += weight * share * inverse[self.places] * self.gain
        return share * float(self.gain.sum())


NOTHING = Moving(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
