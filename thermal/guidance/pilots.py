"""What sets the power: a plan that sees nothing, or a controller that knows nothing but what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from thermal.case.guided import Control
from thermal.guidance.estimate import Estimate
from thermal.guidance.goal import Dose
from thermal.guidance.thermometer import Thermometer
from thermal.physics.control import BangBang, Pid
from thermal.physics.control.governor import BACK, Governor, Seen
from thermal.physics.control.kinds import FRESH, Memory
from thermal.simulation import Prepared
from thermal.units import Array


@dataclass
class Recorded:
    """Goes by a list of levels, one for each look."""

    levels: Array
    looks: Array

    def look(self, time: float, temperature: Array) -> tuple[float, float]:
        """The level of the look at ``time``; nothing is seen."""
        return float(self.levels[np.argmin(np.abs(self.looks - time))]), np.nan

    def memory(self) -> Mapping[str, Array]:
        """Nothing: the list says all."""
        return {}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take nothing back."""


@dataclass
class Simple:
    """A controller that knows nothing but the room to the nearest limit, and a governor that keeps its leaps small."""

    controller: BangBang | Pid
    thermometer: Thermometer
    looks: Array
    largest: float
    dose: Dose | None = None
    """by which the treatment ends; None: by the clock"""
    ended: bool = False
    keeps: Memory = FRESH
    levels: list[float] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    """the first image, and the last ones"""
    estimates: Mapping[float, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        control = self.thermometer.control
        self.governor = Governor(
            control.thermometry.deviation,
            self.thermometer.limits - control.caution,
            min(self.controller.start, self.largest),
        )

    def look(self, time: float, temperature: Array) -> tuple[float, float]:
        """Take an image, and act on the newest that is there; no power before the first."""
        image = self.thermometer.take(time, temperature)
        every, room = self.thermometer.control.every, float("nan")
        if image is not None:
            room = self.thermometer.room(image)
            shown = self.thermometer.hottest(image)
            self.seen = [*self.seen[:1], *self.seen[1:][-BACK:], Seen(image.taken, shown, self._given(image.taken))]
            self.governor.watch(self.seen)
            since = self.seen[-min(BACK + 1, len(self.seen))].taken
            least = min(
                (level for level, t in zip(self.levels, self.looks, strict=False) if t + every > since), default=0.0
            )
            most = min(self.governor.most(self.seen, self._given(time), least, time, every), self.largest)
            self.keeps = self.controller.level(self.keeps, room, every, most)
            self.ended = self.ended or (self.dose is not None and self.dose.add(image))
            self.thermometer.forget(image.taken)
        level = 0.0 if self.ended else self.keeps[0]
        self.levels.append(level)
        return level, room

    def _given(self, time: float) -> float:
        """Levels times seconds up to a time."""
        ends = [*self.looks[: len(self.levels)], np.inf]
        spans = (max(min(until, time) - start, 0.0) for start, until in pairwise(ends))
        return float(sum(level * span for level, span in zip(self.levels, spans, strict=True)))

    def memory(self) -> Mapping[str, Array]:
        """All that was seen and done so far."""
        rate = {} if self.governor.rate is None else {"rate": self.governor.rate}
        seen = {f"seen.{i}": np.asarray(one.values) for i, one in enumerate(self.seen)}
        return {
            **self.thermometer.memory(), **({} if self.dose is None else self.dose.memory()), **rate, **seen,
            "seen": np.array([(one.taken, one.dose) for one in self.seen]).reshape(-1, 2),
            "levels": np.array(self.levels), "keeps": np.array(self.keeps),
            "flags": np.array([self.ended, self.governor.settled]),
        }  # fmt: skip

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        self.thermometer.recall(memory)
        if self.dose is not None:
            self.dose.recall(memory)
        self.governor.rate = memory.get("rate")
        self.seen = [Seen(float(t), memory[f"seen.{i}"], float(d)) for i, (t, d) in enumerate(memory["seen"])]
        self.levels = memory["levels"].tolist()
        level, integral, room = memory["keeps"].tolist()
        self.keeps = (level, integral, room)
        self.ended, self.governor.settled = (bool(flag) for flag in memory["flags"])


def most_level(model: Prepared, control: Control) -> float:
    """The largest level: by the case, and by the limit of amplitude times frequency of a magnetic field."""
    heating, most = model.case.heating, control.most
    amplitude, frequency = getattr(heating, "amplitude", None), getattr(heating, "frequency", None)
    if control.field_limit is None or amplitude is None or frequency is None:
        return most
    return float(min(most, (control.field_limit / (amplitude * frequency)) ** 2))
