"""What an RF generator does: holds a power, voltage, current or temperature, ramps, pauses at a roll-off, switches.

It looks at the state at the start of each step, and steps land on its ticks (``interval``). From how fast the impedance
changes it foresees how far its power stays where it is and when it will pause, and asks for steps that go no further
and that end with the pause: what it does then hangs on the tissue and not on how long steps are. A step that is looked
at twice is decided alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from thermal.units import Array, Current, Duration, Power, Spec, Temperature, Voltage, quantity

Resistance = Annotated[float, *quantity("ohm", gt=0, le=1e6)]
PowerRate = Annotated[float, *quantity("W/s", gt=0, le=1e6)]
SETTLING = 10.0
"""s, in which temperature control aims to close the gap to its target."""
APPROACH = 0.5
"""Part of the time to a foreseen roll-off that a step may take: the impedance rises ever faster."""
PROMPT = 0.25
"""s, shortest step that is asked for, and how late a roll-off comes at most: 10 ohm take ten times as long."""
CHANGE = 0.02
"""Relative change of the impedance within a step: the heat, which is that of its start, lags behind by half of it."""


class RollOff(Spec):
    """Pause when the impedance has risen: dry tissue at the electrode cools and is wet when power comes back."""

    rise: Resistance = 10.0
    """above the first impedance of the electrode (or group), from which the generator pauses"""
    pause: Duration = 15.0
    """without power after each roll-off"""
    step_down: Annotated[float, *quantity("", gt=0, le=1)] = 1.0
    """factor on what the generator holds after each roll-off"""
    ends_after: Annotated[int, Field(ge=1, le=1000)] | None = None
    """number of the roll-off that ends the treatment, coolant included; none does when absent"""


class Generator(Spec):
    """Settings of a generator.

    It holds ``power`` (by scaling the voltage, within ``max_voltage`` and ``max_current``, all rms), ``voltage`` or
    ``current``; or, with ``target_temperature``, at most ``power``.
    """

    power: Power | None = None
    """mean power that the generator holds; with target_temperature, the most that it gives"""
    voltage: Voltage | None = None
    """root-mean-square voltage instead of a power"""
    current: Current | None = None
    """root-mean-square current instead of a power"""
    max_voltage: Voltage | None = None
    """rms limit of a generator with power or current control"""
    max_current: Current | None = None
    """rms limit of a generator with power control"""
    target_temperature: Temperature | None = None
    """mean temperature of the tissue at the electrodes that the power is controlled by"""
    start_power: Power | None = None
    """power at first, from which it rises at ``ramp``"""
    ramp: PowerRate | None = None
    """rate at which the power rises from start_power to power"""
    rolloff: RollOff | None = None
    """pause when the impedance has risen"""
    switching: Duration | None = None
    """time after which the generator goes on to the next active electrode, at a roll-off at once; one that has dried is
    passed over while its pause lasts. All are driven together when absent"""
    interval: Duration = 5.0
    """ticks at which roll-off, temperature, ramp and switching are looked at"""

    @model_validator(mode="after")
    def _one_control(self) -> Self:
        held = [name for name in ("power", "voltage", "current") if getattr(self, name) is not None]
        if len(held) > 1:
            raise ValueError(
                f'found {" and ".join(held)}; give either power = "30 W", voltage = "20 V" or current, not both'
            )
        if self.power is None and self.max_current is not None:
            raise ValueError("max_current limits a generator with power control; give power")
        if self.voltage is not None and self.max_voltage is not None:
            raise ValueError("max_voltage limits a generator with power control or current; remove it or voltage")
        if not held and self.max_voltage is not None:
            raise ValueError("max_voltage limits a generator with power control; give power")
        for name in ("target_temperature", "start_power"):
            if getattr(self, name) is not None and self.power is None:
                raise ValueError(f'{name} belongs to power control; give the largest power, e.g. power = "100 W"')
        if (self.start_power is None) != (self.ramp is None):
            raise ValueError('a rising power needs both start_power = "30 W" and ramp = "10 W/min"')
        if self.power is not None and self.start_power is not None and self.start_power > self.power:
            raise ValueError(f"start_power = {self.start_power:g} W is above power = {self.power:g} W")
        return self

    @property
    def watches(self) -> bool:
        """Whether it acts on what it sees, or changes with time."""
        return any(part is not None for part in (self.rolloff, self.target_temperature, self.ramp, self.switching))

    def ticks(self, duration: float) -> tuple[float, ...]:
        """Times in (0, ``duration``) at which it looks, s."""
        if not self.watches:
            return ()
        count = int(np.ceil(duration / self.interval - 1e-9))
        return tuple((self.interval * np.arange(1, count)).tolist())

    def at_most(self, on_for: float) -> float:
        """Power (W) that it is set to after ``on_for`` s."""
        assert self.power is not None
        if self.start_power is None or self.ramp is None:
            return self.power
        return min(self.power, self.start_power + self.ramp * on_for)

    def voltage_for(self, impedance: float, power: float, share: float, span: float) -> float:
        """Voltage (rms) against ``impedance`` (ohm); ``power`` W is what power control may give.

        ``share``: what is left after roll-offs. ``span`` V: between boundaries that ask for it.
        """
        if self.voltage is not None:
            return self.voltage * share
        no_limit = float("inf")
        limits = [no_limit if self.max_voltage is None else self.max_voltage]
        if self.current is not None:
            return min(self.current * share * impedance, *limits)
        if self.power is None:
            return span
        limits.append(no_limit if self.max_current is None else self.max_current * impedance)
        return min(float(np.sqrt(max(power * share, 0.0) * impedance)), *limits)


@dataclass
class Operation:
    """A generator at work: what it remembers from tick to tick. Electrodes that take turns count from 0; where all are
    driven together, there is the turn 0 alone."""

    settings: Generator
    turns: int
    """number of electrodes that take turns; one where all are driven together"""
    gain: float
    """K/s at the electrodes per W of power"""
    begun: float
    """s, when it is first switched on"""
    driven: int = 0
    """whose turn it is"""
    ends: float = np.inf
    """s, when that turn ends"""
    first_impedances: dict[int, float] = field(default_factory=dict)
    """ohm, when each was first driven"""
    paused_until: dict[int, float] = field(default_factory=dict)
    """s, of those that have dried"""
    seen: float = -np.inf
    """s, when it looked last"""
    rolloffs: int = 0
    first_rolloff: float = np.inf
    holding: float = 0.0
    """W that keep the temperature, by temperature control's integral"""
    gap: float = 0.0
    """K from the target at the last look"""
    since: float = np.nan
    """s, when the impedance was first looked at after a pause or another electrode's turn"""
    measured: float = np.nan
    """ohm, as it was found last"""
    changed: float = np.nan
    """s, when it was first found to be that"""
    rising: float = 0.0
    """ohm/s"""

    @staticmethod
    def of(settings: Generator, turns: int, begun: float) -> Operation:
        """Before it is switched on at ``begun`` s; ``turns``: the active electrodes."""
        if settings.switching is None:
            return Operation(settings, 1, 1.0, begun)
        return Operation(settings, turns, 1.0, begun, ends=settings.switching)

    @property
    def over(self) -> bool:
        """Whether the roll-off that ends the treatment has come."""
        rolloff = self.settings.rolloff
        return rolloff is not None and rolloff.ends_after is not None and self.rolloffs >= rolloff.ends_after

    def paused(self, time: float, turn: int) -> bool:
        """Whether an electrode gets no power at ``time`` s because it has dried."""
        return time < self.paused_until.get(turn, -np.inf)

    def turn(self, time: float) -> None:
        """Go on to the electrode whose turn it is at ``time`` s."""
        if self.settings.switching is None:
            return
        while time > self.ends - 1e-6:
            self.driven = (self.driven + 1) % self.turns
            self.ends += self.settings.switching
            self._forget()
        if self.paused(time, self.driven):
            self._hand_over(time)

    def _hand_over(self, time: float) -> bool:
        """Go on to the next electrode that has not dried, for a turn from now on; whether there is one."""
        following = [(self.driven + step) % self.turns for step in range(1, self.turns)]
        ready = [turn for turn in following if not self.paused(time, turn)]
        if not ready or self.settings.switching is None:
            return False
        self.driven, self.ends = ready[0], time + self.settings.switching
        self._forget()
        return True

    def _forget(self) -> None:
        """What was measured says nothing of what comes."""
        self.since, self.measured, self.changed, self.rising = np.nan, np.nan, np.nan, 0.0

    def _follow(self, time: float, impedance: float) -> None:
        """Take note of how fast the impedance (ohm) rises; it is only measured anew when tissue has changed enough."""
        if np.isnan(self.measured):
            self.since = time
        elif impedance != self.measured:
            self.rising = (impedance - self.measured) / (time - self.changed)
        else:
            return
        self.measured, self.changed = impedance, time

    def until(self, time: float) -> float:
        """Time in s up to which a step from ``time`` may go: to the end of a turn or of a pause, as far as the
        impedance stays what it is, part of the way to a roll-off, and as long again as it has been watched."""
        if self.over:
            return np.inf
        if self.paused(time, self.driven):
            return min(self.ends, *(end + 1e-6 for end in self.paused_until.values() if end > time))
        lasts, rolloff = time - self.since, self.settings.rolloff
        if self.rising != 0.0:
            lasts = min(lasts, CHANGE * self.measured / abs(self.rising))
        if rolloff is not None and self.rising > 0.0:
            left = self.first_impedances[self.driven] + rolloff.rise - self.measured
            lasts = min(lasts, APPROACH * left / self.rising)
        return min(self.ends, time + max(lasts, PROMPT))

    def look(self, time: float, impedance: float, touched: float) -> bool:
        """Take note of what the meters say at ``time`` s: impedance (ohm), temperature at the electrodes (degC).

        Returns whether another electrode is driven now than the one that was measured.
        """
        first = self.first_impedances.setdefault(self.driven, impedance)
        if time <= self.seen:
            return False
        settings = self.settings
        if settings.target_temperature is not None and settings.power is not None:
            gone = time - self.seen if np.isfinite(self.seen) else 0.0
            self.gap = settings.target_temperature - touched
            reset = 4.0 * SETTLING  # a gap that power answers with a rate of heating then closes without swinging
            gained = self.gap * gone / (self.gain * reset * max(SETTLING, 2.0 * settings.interval))
            # beside its limits the integral does not run away
            self.holding = float(np.clip(self.holding + gained, 0.0, settings.power))
        self.seen = time
        rolloff = settings.rolloff
        if self.paused(time, self.driven):
            return False
        if rolloff is None or impedance <= first + rolloff.rise:
            self._follow(time, impedance)
            return False
        self._forget()
        self.paused_until[self.driven] = time + rolloff.pause - 1e-6
        self.rolloffs += 1
        self.first_rolloff = min(self.first_rolloff, time)
        return not self.over and self._hand_over(time)

    def voltage(self, time: float, step: float, impedance: float, span: float) -> float:
        """Voltage (rms) for ``step`` s from ``time`` s on; zero in a pause."""
        settings = self.settings
        if self.over or self.paused(time, self.driven):
            return 0.0
        power = 0.0
        if settings.power is not None:
            power = settings.at_most(time + 0.5 * step - self.begun)
            if settings.target_temperature is not None:
                wanted = self.holding + self.gap / (self.gain * max(SETTLING, 2.0 * settings.interval))
                power = float(np.clip(wanted, 0.0, power))
        share = settings.rolloff.step_down**self.rolloffs if settings.rolloff is not None else 1.0
        return settings.voltage_for(impedance, power, share, span)

    def memory(self) -> Mapping[str, Array]:
        """All of it."""
        numbers = [self.seen, self.rolloffs, self.first_rolloff, self.holding, self.gap, self.driven, self.ends,
                   self.since, self.measured, self.changed, self.rising]  # fmt: skip
        return {
            "generator": np.array(numbers, dtype=float),
            "first_impedances": _rows(self.first_impedances),
            "paused_until": _rows(self.paused_until),
        }

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Go on from what :meth:`memory` gave."""
        seen, rolloffs, first, holding, gap, driven, ends, *trend = (float(value) for value in memory["generator"])
        self.seen, self.rolloffs, self.first_rolloff = seen, int(rolloffs), first
        self.holding, self.gap, self.driven, self.ends = holding, gap, int(driven), ends
        self.since, self.measured, self.changed, self.rising = trend
        self.first_impedances = {int(turn): float(ohm) for turn, ohm in memory["first_impedances"]}
        self.paused_until = {int(turn): float(time) for turn, time in memory["paused_until"]}


def _rows(of_turns: Mapping[int, float]) -> Array:
    """(k, 2): keys and values."""
    return np.array([[turn, value] for turn, value in of_turns.items()], dtype=float).reshape(-1, 2)
