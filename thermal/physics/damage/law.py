"""What every damage law has in common."""

from __future__ import annotations

from typing import Literal, Protocol, Self

import numpy as np

from thermal import library
from thermal.units import Array, Spec

Sense = Literal["heat", "cold", "chemical"]
"""What a law answers to; only laws of the same sense can disagree."""


class Law(Protocol):
    """A damage law. Its value is (n,), or (n, k) where it has k numbers a node."""

    @property
    def kind(self) -> str:
        """Name in the case file."""
        ...

    @property
    def sense(self) -> Sense:
        """Whether heat or cold kills by it."""
        ...

    @property
    def unit(self) -> str:
        """Unit of what it shows."""
        ...

    @property
    def long_name(self) -> str:
        """What it shows, for fields and tables."""
        ...

    @property
    def measure_unit(self) -> str:
        """Unit of :meth:`measure`."""
        ...

    @property
    def level(self) -> float:
        """The zone is where ``measure(value) >= level``."""
        ...

    def bind(self, concentration: Array) -> Law:
        """The law in tissue that holds (n,) kg/m3 of what was delivered, which is how a run uses it."""
        ...

    def initial(self, n: int) -> Array:
        """Value before anything happened, (n,) or (n, k)."""
        ...

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Value after ``step`` s in which the temperature (n,) went linearly from ``start`` to ``end`` degC.

        ``value`` is left as it is, and handed back itself where nothing changed.
        """
        ...

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """A field whose level set at :attr:`level` is the border of the zone and that interpolates well, (n,).

        ``hottest`` (n,) degC is the highest temperature so far, ``elapsed`` s the time simulated.
        """
        ...

    def shown(self, value: Array) -> Array:
        """The one number a node that fields, probes and pictures show, (n,)."""
        ...

    def carried(self, shown: Array) -> Array:
        """Value with which another treatment begins, days after one that left (n,) of what :meth:`shown` gives."""
        ...

    def survival(self, value: Array) -> Array:
        """Share of the cells that live, (n,); 0 or 1 by a law that knows only a threshold."""
        ...

    def sources(self) -> list[library.Sourced]:
        """The library's numbers in use, with their sources."""
        ...


class Unbound(Spec):
    """Base of the laws that look at the temperature alone."""

    def bind(self, concentration: Array) -> Self:
        """Itself, whatever the tissue holds."""
        return self

    def carried(self, shown: Array) -> Array:
        """What was shown is all that there is."""
        return shown


def mean_exponential(first: Array, last: Array, base: float, low: float, high: float, reference: float) -> Array:
    """Mean over linear ramps from ``first`` to ``last`` (k,) degC of ``base^(T - reference)`` where low <= T < high.

    Exact; base above 1, all temperatures in degC.
    """
    change = last - first
    steady = np.abs(change) < 1e-9
    middle = 0.5 * (first + last)
    entering, leaving = np.clip(first, low, high), np.clip(last, low, high)
    share = np.where(steady, (middle >= low) & (middle < high), (leaving - entering) / np.where(steady, 1.0, change))
    span = np.abs(leaving - entering)
    decay = np.log(base) * span
    mean = np.where(decay > 1e-12, -np.expm1(-decay) / np.where(decay > 1e-12, decay, 1.0), 1.0)
    return np.asarray(share * base ** (np.maximum(entering, leaving) - reference) * mean)


def share_above(first: Array, last: Array, level: float) -> Array:
    """Share of linear ramps (k,) degC that lies above ``level``; a steady ramp at the level is not above it."""
    above = np.maximum(first, last) - level
    return np.asarray(np.clip(above / np.maximum(np.abs(last - first), 1e-300), 0.0, 1.0))
