"""A controller that looks ahead with a model, which it learns to be like the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import stats
from scipy.linalg import solve_triangular

from thermal.case.guided import Control
from thermal.engine import Engine
from thermal.guidance.estimate import MODEL, Estimate, emulate, estimate
from thermal.guidance.goal import Goal
from thermal.guidance.peaks import Peaks
from thermal.guidance.pilots import most_level
from thermal.guidance.steered import Twin
from thermal.guidance.thermometer import Image, Thermometer, limits_at
from thermal.imaging.grid import mean_of
from thermal.physics.control import Predictive
from thermal.physics.control.kinds import allowed
from thermal.simulation import Prepared
from thermal.units import Array

SEEN = 300
"""Voxels that an estimate looks at: those that should be warmest."""
TRIES, NEAR = 6, 0.02
"""Times that the level is looked for, and the relative change at which it is found."""
FRAMES = 8
"""Images that it looks at, at most."""
STAGES, NARROW = 2, 0.03
"""Times that the model is emulated, first as far as factors are uncertain beforehand, then around what was found, and
the smallest deviation of a logarithm that is still looked across."""
FACTORS = ("perfusion", "absorption")
COLD = np.array([1.0, -1.0])
"""Weights of the logarithms of both: a patient is the harder to heat the better perfused and the less absorbing."""


@dataclass
class Ahead:
    """A controller with a model: learns its perfusion and absorption, and lets through what the limits allow.

    Limits are kept for a share ``sure`` of all that the last estimate holds for possible, by a model that is easier to
    heat than those, and what is held for possible beforehand until there is one. It ends when the target is destroyed
    in the model and in one that is harder to heat than that share.
    """

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
        self._shown: dict[float, Array] = {}
        self._sharp: dict[float, Array] = {}
        self._follow(0.0)

    def look(self, time: float, temperature: Array) -> tuple[float, float]:
        """Take an image, learn from all where that is due, and look ahead."""
        image = self.thermometer.take(time, temperature)
        if self.levels:
            for twin in self._twins:
                twin.advance(self.levels[-1], time)
            self._show(time)
        every, last = self.thermometer.control.every, max(self.controller.learn, default=0.0)
        if any(time - every + 1e-6 < due <= time for due in self.controller.learn):
            self._learn(time)
        if time > last:
            self.thermometer.forget(time - self.thermometer.control.thermometry.lag - every)
        self.ended = self.ended or (self.goal is not None and all(map(self.goal.reached, self._twins)))
        level = 0.0
        if not self.ended:
            level = self._allowed(time)
        if self.controller.learn and not self.estimates:
            level = min(level, self.controller.start)
        room = float("nan")
        if image is not None:
            room = self.thermometer.room(image)
            self.thermometer.sharp = self._sharp[image.taken]  # of the peaks that the model has now
            likely = Image(image.taken, self._likely(image))
            if self.thermometer.room(likely) + self.thermometer.control.caution < 0.0:  # beyond a limit by what is seen
                level = 0.0
        self.levels.append(level)
        return level, room

    def _allowed(self, time: float) -> float:
        """The largest level that the model allows with caution, and the one that is easiest to heat without.

        Before there is an estimate the model is any patient's, and the easiest keeps the caution too.
        """
        horizon, most = self.controller.horizon, self.most
        if self._easiest is self._twins[0] or not self.estimates:
            return look_ahead(self._easiest, self.looks, time, horizon, self._limits, most)
        level = look_ahead(self._twins[0], self.looks, time, horizon, self._limits, most)
        bare = self._limits + self.thermometer.control.caution
        return min(level, look_ahead(self._easiest, self.looks, time, horizon, bare, most))

    def _learn(self, time: float) -> None:
        """Estimate the factors from the images that can be seen by now, and put the models where they lead to."""
        control = self.thermometer.control
        images = [image for image in self.thermometer.seen(time) if image.taken > 0.0]
        if not images:
            return
        spread = np.array([control.spread.perfusion, control.spread.absorption])
        self.estimates[time] = learn(self.model, self.thermometer, self.looks, np.array(self.levels), images, spread,
                                     self.controller.members, control.seed + len(self.estimates))  # fmt: skip
        self._follow(time)

    def _follow(self, time: float) -> None:
        """March models with what was learned up to ``time`` (s), under the levels that there were."""
        sure, factors = self.controller.sure, [np.ones(2)]
        if self.estimates:
            latest = self.estimates[max(self.estimates)]
            factors = [latest.median, latest.member(-COLD, sure), latest.member(COLD, sure)]
        elif self.controller.learn:
            spread = np.array([self.thermometer.control.spread.perfusion, self.thermometer.control.spread.absorption])
            factors.append(np.exp(-COLD * spread * stats.norm.ppf(sure)))
        self._twins = [Twin(self.model, self.looks, *each) for each in factors]
        self._easiest = self._twins[min(1, len(factors) - 1)]
        self._shown = {}
        self._show(0.0)
        ends = [*self.looks[1:], time]
        for twin in self._twins:
            for until, level in zip(ends, self.levels, strict=False):
                if until <= time + 1e-6:
                    twin.advance(level, float(until))
                    if twin is self._twins[0]:
                        self._show(float(until))

    def _show(self, time: float) -> None:
        """Keep what the model has on voxels at ``time`` (s), a look, for the images that are still to be seen."""
        frame = mean_of(self.thermometer.way, self._twins[0].progress.state.temperature, self.thermometer.body)
        control = self.thermometer.control
        kept = {
            at: old for at, old in self._shown.items() if at >= time - control.thermometry.lag - 2.0 * control.every
        }
        self._shown = {**kept, time: np.nan_to_num(frame)}
        peaks = Peaks(self.thermometer)
        peaks.watch(self.model.engine, self._twins[0].progress.state.temperature)
        self._sharp = {at: self._sharp[at] for at in kept} | {time: peaks.factor}

    def _likely(self, image: Image) -> Array:
        """(a, b, c) degC, what an image and the model tell together, each by its error (a Kalman gain, voxel by voxel).

        The model errs by a share of the rise: its own and that of the absorption, which decides how hot the hottest
        becomes. Before anything is learned the image has nearly all the say; the noise of an image alone, of which the
        largest of many voxels is felt, would switch off a treatment that keeps its limits.
        """
        shown = self.thermometer.as_read(self._shown[image.taken])
        known = self.thermometer.control.spread.absorption
        if self.estimates:
            known = float(self.estimates[max(self.estimates)].deviation[FACTORS.index("absorption")])
        model = (MODEL**2 + known**2) * (shown - self.thermometer.base) ** 2
        noise = self.thermometer.deviation**2 + self.thermometer.common**2
        gain = np.where(np.isfinite(noise), model / (model + noise), 0.0)
        return np.asarray(shown + gain * (image.values - shown))

    def memory(self) -> Mapping[str, Array]:
        """All that was seen, done and learned; models are marched again from that."""
        return {
            **self.thermometer.memory(), "levels": np.array(self.levels), "ended": np.array(self.ended),
            "learned": np.array(list(self.estimates)),
            **{f"ensemble.{i}": e.ensemble for i, e in enumerate(self.estimates.values())},
        }  # fmt: skip

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        self.thermometer.recall(memory)
        self.levels, self.ended = memory["levels"].tolist(), bool(memory["ended"])
        learned = enumerate(memory["learned"].tolist())
        self.estimates = {time: Estimate(FACTORS, memory[f"ensemble.{i}"]) for i, time in learned}
        if self.levels:
            self._follow(float(self.looks[len(self.levels) - 1]))


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
    rises = np.stack([(frame - thermometer.base).ravel()[where] for frame in nominal])
    root = np.linalg.cholesky(spread_of(thermometer.deviation.ravel()[where], thermometer.common, rises))

    def bare(frames: list[Array]) -> Array:
        shown = np.concatenate([frame.ravel()[where] for frame in frames])
        return np.asarray(solve_triangular(root, shown, lower=True))

    def forward(factors: Array) -> Array:
        frames = replay(model, thermometer, looks, levels, times, factors)
        return bare([thermometer.as_read(frame) for frame in frames])

    seen = bare([image.values for image in chosen])

    centre, reach = np.zeros_like(spread), spread
    found = None
    for _ in range(STAGES):
        found = estimate(emulate(forward, centre, reach), seen, np.ones(len(seen)), FACTORS, spread, members, seed)
        centre, reach = np.log(found.median), np.minimum(np.maximum(found.deviation, NARROW), spread)
    assert found is not None
    return found


def spread_of(deviation: Array, common: float, rises: Array) -> Array:
    """(f v, f v) K^2, covariance of what f images show of v voxels, image after image, from rises (f, v) in K.

    ``deviation`` (v,) K is that of each voxel by noise, ``common`` K one that all have together. A temperature is the
    phase of one image less that of the first, whose noise is in all of them: half of the variance is of either.
    """
    count = len(rises)
    images = 0.5 * (np.eye(count) + np.ones((count, count)))
    found = np.kron(images, np.diag(deviation**2) + common**2)
    np.fill_diagonal(found, found.diagonal() + (MODEL * rises.ravel()) ** 2)
    return np.asarray(found)


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


def plan_levels(
    model: Prepared, control: Control, looks: Array, horizon: float, watch: Callable[[Engine, Array], None]
) -> Array:
    """The levels that keep the limits on a patient who is as the case says: the open loop.

    ``watch`` is given the temperature (n,) that is foreseen at each look.
    """
    twin = Twin(model, looks)
    limits = limits_at(model, control) - control.caution
    goal, most = Goal.of(model, control), most_level(model, control)
    levels: list[float] = []
    for time, after in pairwise([*looks, model.case.bioheat.duration]):
        if goal is not None and goal.reached(twin):
            break
        level = look_ahead(twin, looks, float(time), horizon, limits, most)
        levels.append(level)
        if after <= looks[-1]:
            watch(model.engine, twin.advance(level, float(after)))
    return np.array([*levels, *(0.0 for _ in looks[len(levels) :])])
