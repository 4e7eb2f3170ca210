"""All that is known of a march at one moment, and at moments within a step, so that nothing kept shortens a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from thermal.enthalpy import BODY_TEMPERATURE
from thermal.heat import Flow
from thermal.physics.damage import Law
from thermal.physics.scene import Drive, State
from thermal.units import Array, Real

LIKENESS = 2.0
"""How many times larger the bend at one end of a step may be than that at the other."""

STRETCH = 65536
"""Nodes that are interpolated at once: the many arrays that it takes then outweigh nothing."""


@dataclass(frozen=True)
class Progress:
    """Everything that the time loop needs to go on from here, bit for bit.

    The loop works on the arrays of ``state.temperature``, ``lowest``, ``highest`` and ``content`` in place: what is to
    outlive the next step must be copied (:meth:`copy`).
    """

    state: State
    lowest: Real
    """(n,) lowest temperature so far, degC, in the working precision"""
    highest: Real
    """(n,) highest temperature so far, degC, in the working precision"""
    energy: Array
    """(5,) J, lines of :data:`thermal.heat.BUDGET`"""
    throughput: float
    """J, sum of the absolute values of what went through the lines, or of what nodes gained and lost where that is more
    (a body that nothing enters moves heat as well)"""
    stored: float
    """J gained by the free nodes since the start"""
    step: float
    """s, proposed next step; zero asks for a fresh start"""
    earlier: Array | None = None
    """(n,) degC at the start of the last step; None before the first, and where nothing depends on it"""
    last_step: float = 0.0
    """s, from ``earlier`` to now"""
    steps: int = 0
    stages: int = 0
    drive: Drive | None = None
    """what acted during the last step"""
    span: Span | None = None
    """the last step, where moments within it are asked for"""
    content: Array | None = None
    """(n,) K, as of :class:`thermal.heat.HeatState`"""
    drug: Array | None = None
    """state of :mod:`thermal.physics.drug`, replaced by every step; None where particles carry nothing"""

    def copy(self) -> Progress:
        """The same with arrays of its own."""
        state = replace(self.state, temperature=self.state.temperature.copy())
        content = None if self.content is None else self.content.copy()
        return replace(self, state=state, lowest=self.lowest.copy(), highest=self.highest.copy(), content=content)

    @property
    def coldest(self) -> Array:
        """(n,) lowest temperature so far, degC, in double precision."""
        return self.lowest.astype(np.float64, copy=False)

    @property
    def hottest(self) -> Array:
        """(n,) highest temperature so far, degC, in double precision."""
        return self.highest.astype(np.float64, copy=False)

    @property
    def v(self) -> Array:
        """(n,) K, the state of :mod:`thermal.enthalpy`; that of liquid where the temperature is prescribed."""
        return self.v_of(slice(None))

    def v_of(self, nodes: slice) -> Array:
        """The same of some ``nodes``."""
        return self.state.temperature[nodes] - BODY_TEMPERATURE if self.content is None else self.content[nodes]

    @property
    def open_energy(self) -> float:
        """J stored beyond what went through the lines."""
        return self.stored - float(self.energy.sum())

    @property
    def energy_error(self) -> float:
        """Open energy over all energy put in or moved, dimensionless."""
        return abs(self.open_energy) / self.throughput if self.throughput > 0 else 0.0


@dataclass(frozen=True)
class Span:
    """A step: the moment ``before`` it, with arrays of its own, and the flows at its ends."""

    before: Progress
    first: Flow
    last: Flow

    def share(self, time: float, after: Progress) -> float:
        """Part of the step, which ended with ``after``, that is over at ``time`` s."""
        return (time - self.before.state.time) / after.last_step

    def v(self, share: float, after: Progress) -> Array:
        """(n,) K at a share of the step."""
        step, v = after.last_step, np.empty_like(after.state.temperature)
        for start in range(0, v.size, STRETCH):
            here = slice(start, start + STRETCH)
            rates = step * self.first.rate[here], step * self.last.rate[here]
            v[here] = within(share, self.before.v_of(here), after.v_of(here), *rates)
        return v

    def moment(
        self, time: float, temperature: Array, latest: Progress, after: Progress, laws: Mapping[str, Law]
    ) -> Progress:
        """The moment at ``time`` s, at which nodes have ``temperature`` (n,) degC.

        What only grows or only falls goes on from ``latest``, the moment before this one, and stops short of what it is
        ``after`` the step.
        """
        before, end = self.before, after.state
        share, step = self.share(time, after), after.last_step

        def between(value: Array, one: Array, other: Array) -> Array:
            return np.clip(value, np.minimum(one, other), np.maximum(one, other))

        damage = {
            name: between(
                law.accumulate(before.state.damage[name], before.state.temperature, temperature, share * step),
                latest.state.damage[name],
                end.damage[name],
            )
            for name, law in laws.items()
        }
        energy = within(share, before.energy, after.energy, step * self.first.lines, step * self.last.lines)
        return replace(
            after,
            state=State(time, temperature, damage),
            lowest=np.clip(temperature, after.lowest, latest.lowest),
            highest=np.clip(temperature, latest.highest, after.highest),
            energy=energy,
            stored=float(energy.sum()) + (1.0 - share) * before.open_energy + share * after.open_energy,
        )


def within(share: float, before: Array, after: Array, first: Array, last: Array) -> Array:
    """Value at a ``share`` of a step, (n,), from those ``before`` and ``after`` it.

    ``first`` and ``last``: their rates at both ends, times the step. Hermite's cubic; its error is of third order or
    better in the step. Rates also tell of fast transients that a long, stable step passes over and that would throw a
    cubic far off. In a smooth course the chord differs from the slopes at both ends by nearly the same; where it does
    not, the larger difference is cut to :data:`LIKENESS` times the smaller, and both to nothing where they disagree in
    sign. What is monotone by values and slopes then stays so (slopes up to three times that of the chord, F. N. Fritsch
    and R. E. Carlson, SIAM Journal on Numerical Analysis 17 (1980) 238-246).
    """
    change = after - before
    early, late = first - change, change - last
    agree = early * late > 0.0
    early, late = (
        np.where(agree, np.clip(one, -LIKENESS * np.abs(other), LIKENESS * np.abs(other)), 0.0)
        for one, other in ((early, late), (late, early))
    )
    left = 1.0 - share
    return np.asarray(before + share * (change + left * (left * early + share * late)))
