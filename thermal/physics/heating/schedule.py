"""When a source is on, and how a prescribed value changes: schedules shared by the heating kinds.

The time loop lands on every event, so a step never contains a switch and the middle of a step always tells on which
side of it the step lies, whatever the round-off of its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Any, Self

import numpy as np
from pydantic import AfterValidator, model_validator

from thermal.physics.heating.kind import HeatingKind
from thermal.physics.scene import Device
from thermal.physics.tissue import Tissues
from thermal.units import Duration, Instant, Spec, Temperature

MOST_SWITCHES = 100_000
"""More switching times than this are refused: such pulses are meant to be averaged."""
SHORTEST = 1e-5
"""s; the time loop does not tell apart what is much closer, so shorter intervals, pulses and pauses are refused."""


def _ordered(intervals: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if not intervals:
        raise ValueError('no interval is given; write e.g. [["0 s", "10 min"]], or leave it out for always')
    for start, end in intervals:
        if not end > start:
            raise ValueError(
                f"the interval from {start:g} s to {end:g} s is empty; write [start, end] with end > start"
            )
        if end - start < SHORTEST:
            raise ValueError(
                f"the interval of {end - start:g} s at {start:g} s is too short to be followed (the shortest is "
                f"{SHORTEST:g} s); make it longer and the power smaller in proportion"
            )
    for (_, end), (start, _) in pairwise(intervals):
        if start < end:
            raise ValueError(f"an interval starts at {start:g} s, before the previous one ends at {end:g} s")
    return intervals


Intervals = Annotated[tuple[tuple[Instant, Instant], ...], AfterValidator(_ordered)]
"""Times from and to, s, in order: ``[["0 s", "60 s"], ["120 s", "180 s"]]``."""


def one_or_many(value: Any) -> Any:
    """Accept one table where a list of tables is expected."""
    return (value,) if isinstance(value, (dict, Spec)) else value


class Pulses(Spec):
    """A rectangular pulse train that starts with each ``on`` interval."""

    period: Duration
    """time from the start of one pulse to the start of the next"""
    width: Duration
    """time on in each period; must not exceed it"""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width > self.period:
            raise ValueError(
                f"width = {self.width:g} s is longer than period = {self.period:g} s; a pulse must end before the next"
            )
        if self.width < SHORTEST or 0.0 < self.period - self.width < SHORTEST:
            raise ValueError(
                f"pulses of {self.width:g} s every {self.period:g} s are too short to be followed (pulse and pause: at "
                f"least {SHORTEST:g} s each); give the mean power without pulses"
            )
        return self


class Switched(HeatingKind):
    """Base of the specifications that can be switched on and off.

    Without ``on`` the source acts all the time; ``pulses`` chops each interval into a pulse train.
    """

    on: Intervals | None = None
    """intervals [from, to] in which it acts; always when absent"""
    pulses: Pulses | None = None
    """pulse train within the intervals"""

    def lasting(self, time: float) -> Self:
        """The same source, on from the start for ``time`` s."""
        return self.model_copy(update={"on": ((0.0, time),)})

    @property
    def devices(self) -> tuple[Device, ...]:
        """What it places: nothing, unless it says so."""
        return ()

    def check(self, tissues: Tissues) -> None:
        """What the anatomy must have for it: nothing, unless it says so."""

    def is_enabled(self, time: float) -> bool:
        """Whether ``time`` (s) lies in an ``on`` interval, pulses aside."""
        return self.on is None or any(start <= time < end for start, end in self.on)

    def is_on(self, time: float) -> bool:
        """Whether the source acts at ``time`` (s)."""
        if self.pulses is None or not self.is_enabled(time):
            return self.is_enabled(time)
        start = next(start for start, end in self._intervals(np.inf) if start <= time < end)
        phase = (time - start) % self.pulses.period
        return phase < self.pulses.width

    def switch_times(self, duration: float) -> tuple[float, ...]:
        """All times in (0, ``duration``) at which the source switches, s, in order."""
        times: set[float] = set()
        for start, end in self._intervals(duration):
            times.update((start, end))
            if self.pulses is not None and self.pulses.width < self.pulses.period:
                count = int(np.ceil((end - start) / self.pulses.period))
                if count > MOST_SWITCHES:
                    raise ValueError(
                        f"{count} pulses of {self.pulses.period:g} s are too many to follow one by one; "
                        "give the mean power without pulses"
                    )
                for begin in start + self.pulses.period * np.arange(count):
                    times.update((float(begin), min(float(begin) + self.pulses.width, end)))
        return tuple(sorted(time for time in times if 0.0 < time < duration))

    def time_on(self, duration: float) -> float:
        """s within ``duration`` s during which the source acts."""
        times = (0.0, *self.switch_times(duration), duration)
        return float(sum(end - start for start, end in pairwise(times) if self.is_on(0.5 * (start + end))))

    def _intervals(self, duration: float) -> tuple[tuple[float, float], ...]:
        if self.on is None:
            return ((0.0, duration),)
        return tuple((start, min(end, duration)) for start, end in self.on if start < duration)


def _in_order(knots: Sequence[tuple[float, object]]) -> None:
    for (before, _), (after, _) in pairwise(knots):
        if after < before:
            raise ValueError(f"the schedule goes back from {before:g} s to {after:g} s; put its times in order")


def _knots(knots: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if not knots:
        raise ValueError('the schedule is empty; write e.g. [["0 s", "37 degC"], ["60 s", "50 degC"]]')
    _in_order(knots)
    return knots


Ramp = Annotated[tuple[tuple[Instant, Temperature], ...], AfterValidator(_knots)]
"""Temperature over time, linear between its knots, constant outside; a repeated time is a jump."""


KINK = 0.5
"""Change of slope at a knot, over the steepest slope of the schedule, from which the time loop starts afresh there."""


def ramp_breaks(knots: Ramp, duration: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Times of the knots in (0, ``duration``), s: those where the value or its slope jumps, and the others."""
    times, values = (np.array(part) for part in zip(*knots, strict=True))
    widths = np.diff(times)
    inner = np.divide(np.diff(values), widths, out=np.zeros_like(widths), where=widths > 0.0)
    slopes = np.concatenate([[0.0], inner, [0.0]])
    kinks = np.abs(np.diff(slopes)) > KINK * np.abs(slopes).max()
    jumps = np.isin(times, times[1:][widths == 0.0])
    within = (times > 0.0) & (times < duration)
    events = set(times[within & (kinks | jumps)].tolist())
    return tuple(sorted(events)), tuple(sorted(set(times[within].tolist()) - events))


def ramp_turn(knots: Ramp, time: float) -> float:
    """Change of the slope, K/s, at ``time`` (s); none between two knots."""
    if all(abs(knot - time) > 0.5 * SHORTEST for knot, _ in knots):
        return 0.0
    before, after = (ramp_within(knots, time + shift, 0.0) for shift in (-SHORTEST, SHORTEST))
    return abs((after(time + 1.0) - after(time)) - (before(time) - before(time - 1.0)))


def ramp_events(knots: Sequence[tuple[float, object]], duration: float) -> tuple[float, ...]:
    """Times of the knots in (0, ``duration``), s."""
    return tuple(sorted({time for time, _ in knots if 0.0 < time < duration}))


def ramp_within(knots: Sequence[tuple[float, float]], time: float, step: float) -> Callable[[float], float]:
    """The ramp as a linear function on the step from ``time`` to ``time + step`` (s), which holds no knot inside.

    At a jump it gives the limit from inside the step, so the end of one step and the start of the next differ.
    """
    middle = time + 0.5 * step
    after = next((index for index, (knot, _) in enumerate(knots) if knot > middle), len(knots))
    if after in (0, len(knots)):
        constant = knots[0][1] if after == 0 else knots[-1][1]
        return lambda _: constant
    (t0, v0), (t1, v1) = knots[after - 1], knots[after]
    return lambda t: v0 + (v1 - v0) * (t - t0) / (t1 - t0)
