"""What sets the power: a controller of the case with what it sees, or a plan that sees nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from thermal.case.guided import Control
from thermal.guidance.estimate import MODEL, Estimate, estimate
from thermal.guidance.goal import Dose, Goal
from thermal.guidance.steered import Twin
from thermal.guidance.thermometer import Image, Thermometer, limits_at
from thermal.imaging.grid import mean_of
from thermal.physics.control import BangBang, Pid, Predictive
from thermal.physics.control.kinds import FRESH, Memory, allowed
from thermal.physics.scene import Reading
from thermal.simulation import Prepared
from thermal.units import Array

SEEN = 300
"""Voxels that an estimate looks at: those that should be warmest."""
TRIES, NEAR = 6, 0.02
"""Times that the level is looked for, and the relative change at which it is found."""
FRAMES = 8
"""Images that it looks at, at most."""


@dataclass
class Recorded:
    """Goes by a list of levels, one for each look."""

    levels: Array
    looks: Array

    def __call__(self, time: float, temperature: Array) -> tuple[float, Mapping[str, Reading]]:
        """The level of the look at ``time``."""
        level = float(self.levels[np.argmin(np.abs(self.looks - time))])
        return level, {"control.level": Reading(level, "")}


@dataclass
class Simple:
    """A controller that knows nothing but the room to the nearest limit."""

    controller: BangBang | Pid
    thermometer: Thermometer
    most: float
    dose: Dose | None = None
    """by which the treatment ends; None: by the clock"""
    ended: bool = False
    memory: Memory = FRESH
    levels: list[float] = field(default_factory=list)
    estimates: Mapping[float, Estimate] = field(default_factory=dict)

    def __call__(self, time: float, temperature: Array) -> tuple[float, Mapping[str, Reading]]:
        """Take an image, and act on the newest that is there; no power before the first."""
        image = self.thermometer.take(time, temperature)
        every = self.thermometer.control.every
        room = float("nan")
        if image is not None:
            room = self.thermometer.room(image)
            self.memory = self.controller.level(self.memory, room, every, self.most)
            self.ended = self.ended or (self.dose is not None and self.dose.add(image))
        level = 0.0 if self.ended else self.memory[0]
        self.levels.append(level)
        return level, {"control.level": Reading(level, ""), "control.room": Reading(room, "K")}


@dataclass
class Ahead:
    """A controller with a model: learns its perfusion and absorption, and lets through what the limits allow."""

    controller: Predictive
    thermometer: Thermometer
    model: Prepared
    looks: Array
    most: float
    goal: Goal | None = None
    ended: bool = False
    levels: list[float] = field(default_factory=list)
    estimates: dict[float, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        control = self.thermometer.control
        self._limits = limits_at(self.model, control) - control.caution
        self._twin = Twin(self.model, self.looks)

    def __call__(self, time: float, temperature: Array) -> tuple[float, Mapping[str, Reading]]:
        """Take an image, learn from all where that is due, and look ahead."""
        image = self.thermometer.take(time, temperature)
        if self.levels:
            self._twin.advance(self.levels[-1], time)
        if any(last < due <= time for due in self.controller.learn for last in [self._last(time)]):
            self._learn(time)
        self.ended = self.ended or (self.goal is not None and self.goal.reached(self._twin))
        level = 0.0
        if not self.ended:
            level = look_ahead(self._twin, self.looks, time, self.controller.horizon, self._limits, self.most)
        if self.controller.learn and not self.estimates:
            level = min(level, self.controller.start)
        room = float("nan")
        if image is not None:
            room = self.thermometer.room(image)
            if room + self.thermometer.control.caution < 0.0:  # seen beyond a limit, whatever the model says
                level = 0.0
        self.levels.append(level)
        return level, {"control.level": Reading(level, ""), "control.room": Reading(room, "K")}

    def _last(self, time: float) -> float:
        return time - self.thermometer.control.every + 1e-6

    def _learn(self, time: float) -> None:
        """Estimate the factors from the images that can be seen by now, and put the model where they lead to."""
        control, lag = self.thermometer.control, self.thermometer.control.thermometry.lag
        images = [image for image in self.thermometer.images if image.taken + lag <= time and image.taken > 0.0]
        if not images:
            return
        spread = np.array([control.spread.perfusion, control.spread.absorption])
        found = learn(self.model, self.thermometer, self.looks, np.array(self.levels), images, spread,
                      self.controller.members, control.seed + len(self.estimates))  # fmt: skip
        self.estimates[time] = found
        self._twin = Twin(self.model, self.looks, *found.median)
        for (_, until), level in zip(pairwise([*self.looks[: len(self.levels)], time]), self.levels, strict=True):
            self._twin.advance(level, until)


def look_ahead(twin: Twin, looks: Array, time: float, horizon: float, limits: Array, most: float) -> float:
    """The largest level that keeps the limits (n,) up to the end of the horizon, by the model."""
    ahead = looks[looks > time + 1e-6]
    if not len(ahead):
        return 0.0
    until = float(ahead[min(len(ahead), max(1, round(horizon / (ahead[0] - time)))) - 1])
    solid = np.flatnonzero(twin.loop.bioheat.engine.volume > 0.0)
    without, level = twin.foresee(0.0, until)[solid], most
    for _ in range(TRIES):  # steam and coagulation bend what would be linear: look again with what was found
        full = without + (twin.foresee(level, until)[solid] - without) / level
        found = allowed(without, full, limits[solid], most)
        if found <= 0.0 or abs(found - level) <= NEAR * level:
            return found
        level = found
    return level


def learn(
    model: Prepared,
    thermometer: Thermometer,
    looks: Array,
    levels: Array,
    images: list[Image],
    spread: Array,
    members: int,
    seed: int,
) -> Estimate:
    """Factors of perfusion and absorption from images taken while the power followed ``levels``."""
    chosen = [images[i] for i in np.unique(np.linspace(0, len(images) - 1, min(FRAMES, len(images))).astype(int))]
    times = [image.taken for image in chosen]
    nominal = replay(model, thermometer, looks, levels, times, np.ones(2))
    rise = np.where(thermometer.reliable, nominal[-1] - thermometer.base, -np.inf)
    where = np.argsort(rise.ravel())[::-1][:SEEN]
    where = where[np.isfinite(rise.ravel()[where])]
    seen = np.concatenate([image.values.ravel()[where] for image in chosen])
    expected = np.concatenate([(frame - thermometer.base).ravel()[where] for frame in nominal])
    error = np.hypot(thermometer.control.thermometry.deviation, MODEL * expected)

    def forward(factors: Array) -> Array:
        frames = replay(model, thermometer, looks, levels, times, factors)
        return np.concatenate([frame.ravel()[where] for frame in frames])

    return estimate(forward, seen, error, ("perfusion", "absorption"), spread, members, seed)


def replay(
    model: Prepared, thermometer: Thermometer, looks: Array, levels: Array, times: list[float], factors: Array
) -> list[Array]:
    """Temperature images (a, b, c) at ``times``, which are looks, without noise, of a model with other factors."""
    twin = Twin(model, looks, *factors)
    found = []
    for (start, until), level in zip(pairwise(looks[: len(levels) + 1]), levels, strict=False):
        if start >= times[-1]:
            break
        temperature = twin.advance(float(level), float(until))
        if any(abs(until - time) < 1e-6 for time in times):
            found.append(np.nan_to_num(mean_of(thermometer.way, temperature, thermometer.body)))
    return found


def plan_levels(model: Prepared, control: Control, looks: Array, horizon: float) -> Array:
    """The levels that keep the limits on a patient who is as the case says: the open loop."""
    twin = Twin(model, looks)
    limits = limits_at(model, control) - control.caution
    goal = Goal.of(model, control)
    levels: list[float] = []
    for time, after in pairwise([*looks, model.case.bioheat.duration]):
        if goal is not None and goal.reached(twin):
            break
        level = look_ahead(twin, looks, float(time), horizon, limits, most_level(model, control))
        levels.append(level)
        if after <= looks[-1]:
            twin.advance(level, float(after))
    return np.array([*levels, *(0.0 for _ in looks[len(levels) :])])


def most_level(model: Prepared, control: Control) -> float:
    """The largest level: by the case, and by the limit of amplitude times frequency of a magnetic field."""
    heating, most = model.case.heating, control.most
    amplitude, frequency = getattr(heating, "amplitude", None), getattr(heating, "frequency", None)
    if control.field_limit is None or amplitude is None or frequency is None:
        return most
    return float(min(most, (control.field_limit / (amplitude * frequency)) ** 2))
