"""A controller that looks ahead with a model, which it learns to be like the patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import ndimage, stats

from thermal.case.guided import Control
from thermal.engine import Engine
from thermal.guidance.estimate import MODEL, Estimate
from thermal.guidance.goal import Goal
from thermal.guidance.learning import FACTORS, learn
from thermal.guidance.pilots import most_level
from thermal.guidance.steered import Twin
from thermal.guidance.thermometer import Image, Thermometer, limits_at
from thermal.imaging.grid import mean_of
from thermal.physics.control import Predictive
from thermal.physics.control.kinds import allowed
from thermal.simulation import Prepared
from thermal.units import Array, Mask

WARM, NEAREST, RECENT = 0.3, 0.8, 6
"""Share of the way to a limit from which image and model are compared, share of the largest that voxels must have to be
among those, and images over which the noise is averaged (chosen)."""
UNSEEN = 0.25
"""Relative error of the part of a rise that lies between voxels (chosen)."""
DIFFUSIVITY = 1.36e-7
"""m2/s, of liver: 0.52 W/m/K over 1079 kg/m3 and 3540 J/kg/K (IT'IS database 4.1)."""
LEAST = 0.5
"""K, smallest rise of the model that is compared with an image."""
TRIES, NEAR = 6, 0.02
"""Times that the level is looked for, and the relative change at which it is found."""
COLD = np.array([1.0, -1.0])
"""Signs of both: a patient is the harder to heat the better perfused and the less absorbing."""


@dataclass
class Ahead:
    """A controller with a model: learns its perfusion and absorption, and lets through what the limits allow.

    Limits are kept by a model that is easier to heat than a share ``sure`` of all that the last estimate holds for
    possible, in perfusion and in absorption; until there is one, than what is held for possible beforehand. From then
    on what is kept off the limits is no more than what the model may still be wrong by. It ends when the target is
    destroyed in the model and in one that is harder to heat than that share.
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
    hotter: list[tuple[float, float, float]] = field(default_factory=list)
    """rises near the limits that images showed since the last estimate, over those of the model, the variance of that
    by noise, and the share of the rise that is between voxels, where no image shows it"""

    def __post_init__(self) -> None:
        control = self.thermometer.control
        self._limits = limits_at(self.model, control)
        self._shown: dict[float, Array] = {}
        self._full: dict[float, Array] = {}
        self._nearest: dict[float, float] = {}
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
        if image is not None:
            self._compare(image)
        level = 0.0
        if not self.ended:
            level = self._allowed(time)
        if self.controller.learn and not self.estimates:
            level = min(level, self.controller.start)
        room = float("nan") if image is None else self._room(image)
        if room < 0.0:  # beyond a limit by what is seen
            level = 0.0
        self.levels.append(level)
        return level, room

    def _allowed(self, time: float) -> float:
        """The largest level that keeps the limits in the model that is easiest to heat."""
        return look_ahead(self._easiest, self.looks, time, self.controller.horizon, self._kept(), self.most)

    def _kept(self) -> Array:
        """(n,) degC, the limits with what is kept off them.

        Before there is an estimate that is the caution. Afterwards the model that is easiest to heat stands for factors
        that are not known well, and what is left are errors of the model itself, a share of the rise: as much as every
        model may have, and less where images bear it out next to the limits, but for what lies between their voxels;
        also what they show there beyond it.
        """
        control, start = self.thermometer.control, self.model.initial
        if self.controller.learn and not self.estimates:
            return self._limits - control.caution
        rise = np.maximum(self._limits - start, 0.0)
        beyond, error = self._model_error()
        own = np.full_like(rise, control.caution)
        if self.estimates:
            own = np.minimum(stats.norm.ppf(self.controller.sure) * error * rise, own)
        return np.asarray(self._limits - own - rise * (1.0 - 1.0 / (1.0 + max(beyond, 0.0))))

    def _model_error(self) -> tuple[float, float]:
        """By which share of the rise a patient is hotter than the model next to the limits, and the deviation of that.

        Of the noise half of the variance is that of the first image, which is in all of them, and no mean takes away.
        """
        if not self.hotter:
            return 0.0, MODEL
        ratios, variances, between = np.array(self.hotter[-RECENT:]).T
        noise = 0.5 * (1.0 + 1.0 / len(ratios)) * float(variances.mean())
        weight = MODEL**2 / (MODEL**2 + noise)
        known = MODEL * np.sqrt(1.0 - weight)
        return weight * (float(ratios.mean()) - 1.0), float(np.hypot(known, UNSEEN * between[-1]))

    def _compare(self, image: Image) -> None:
        """Note how much hotter an image is than the model where that is nearest to its limits."""
        seen = self.thermometer
        shown = seen.as_read(self._shown[image.taken]) - seen.base
        near = np.where(seen.reliable, shown / np.maximum(seen.limits - seen.base, 1.0), -np.inf)
        if near.max() < WARM:
            return
        critical = near > NEAREST * near.max()
        rise = float(shown[critical].sum())
        noise = float((seen.deviation[critical] ** 2).sum()) + (critical.sum() * seen.common) ** 2
        between = max(1.0 - near.max() / self._nearest[image.taken], 0.0)
        self.hotter.append((float((image.values - seen.base)[critical].sum()) / rise, noise / rise**2, between))

    def _learn(self, time: float) -> None:
        """Estimate the factors from the images that can be seen by now, and put the models where they lead to."""
        control = self.thermometer.control
        images = [image for image in self.thermometer.seen(time) if image.taken > 0.0]
        if not images:
            return
        spread = np.array([control.spread.perfusion, control.spread.absorption])
        self.estimates[time] = learn(self.model, self.thermometer, self.looks, np.array(self.levels), images, spread,
                                     self.controller.members, control.seed + len(self.estimates))  # fmt: skip
        self.hotter = []
        self._follow(time)

    def _follow(self, time: float) -> None:
        """March models with what was learned up to ``time`` (s), under the levels that there were."""
        sure, factors = self.controller.sure, [np.ones(2)]
        if self.estimates:
            latest = self.estimates[max(self.estimates)]
            factors = [latest.median, latest.bound(-COLD, sure), latest.bound(COLD, sure)]
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
        full = self._twins[0].progress.state.temperature
        self._full = {at: self._full[at] for at in kept} | {time: full.copy()}
        solid, start = self.model.engine.volume > 0.0, self.model.initial
        way = (full - start) / np.maximum(self._limits - start, 1.0)
        self._nearest = {at: self._nearest[at] for at in kept} | {time: max(float(way[solid].max()), 1e-6)}

    def _room(self, image: Image) -> float:
        """K, smallest distance to a limit of what an image and the model tell together.

        The model says how hot it is at nodes, where voxels have but means, also across the border of two organs; image
        and model together say by which share of its rise that is wrong.
        """
        seen, start = self.thermometer, self.model.initial
        shown = seen.as_read(self._shown[image.taken]) - seen.base
        warm = seen.reliable & (shown > LEAST)
        share = np.divide(self._likely(image) - seen.base, shown, out=np.ones_like(shown), where=warm)
        at = (self.model.engine.points - seen.grid.lower) / seen.grid.spacing - 0.5
        hot = start + (self._full[image.taken] - start) * ndimage.map_coordinates(share, at.T, order=1, mode="nearest")
        return float((self._limits - hot)[self.model.engine.volume > 0.0].min())

    def _likely(self, image: Image) -> Array:
        """(a, b, c) degC, what an image and the model tell together, each by its error (a Kalman gain, voxel by voxel).

        The model errs by a share of the rise: its own and that of the absorption, which decides how hot the hottest
        becomes; and it errs as smoothly as heat spreads over its horizon, so that what an image shows beyond it is
        taken over as wide a place. The noise of single voxels, of which the largest of many is felt, would switch off a
        treatment that keeps its limits.
        """
        seen, shown = self.thermometer, self.thermometer.as_read(self._shown[image.taken])
        known = seen.control.spread.absorption
        if self.estimates:
            known = float(self.estimates[max(self.estimates)].deviation[FACTORS.index("absorption")])
        width = np.sqrt(2.0 * DIFFUSIVITY * self.controller.horizon) / seen.grid.spacing
        beyond, left = smoothed(image.values - shown, seen.reliable, width)
        model = (MODEL**2 + known**2) * (shown - seen.base) ** 2
        noise = left * seen.deviation**2 + seen.common**2
        gain = np.where(np.isfinite(noise), model / (model + noise), 0.0)
        return np.where(seen.reliable, shown + gain * beyond, np.nan)

    def memory(self) -> Mapping[str, Array]:
        """All that was seen, done and learned; models are marched again from that."""
        return {
            **self.thermometer.memory(), "levels": np.array(self.levels), "ended": np.array(self.ended),
            "learned": np.array(list(self.estimates)), "hotter": np.array(self.hotter).reshape(-1, 3),
            **{f"ensemble.{i}": e.ensemble for i, e in enumerate(self.estimates.values())},
        }  # fmt: skip

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        self.thermometer.recall(memory)
        self.levels, self.ended = memory["levels"].tolist(), bool(memory["ended"])
        self.hotter = [(float(ratio), float(noise), float(between)) for ratio, noise, between in memory["hotter"]]
        learned = enumerate(memory["learned"].tolist())
        self.estimates = {time: Estimate(FACTORS, memory[f"ensemble.{i}"]) for i, time in learned}
        if self.levels:
            self._follow(float(self.looks[len(self.levels) - 1]))


def smoothed(values: Array, known: Mask, width: Array) -> tuple[Array, float]:
    """Values (a, b, c) where they are ``known``, averaged with Gaussian weights of ``width`` (3,) voxels, and by how
    much that lessens the variance of their noise."""
    weight = ndimage.gaussian_filter(known.astype(float), width)
    whole = ndimage.gaussian_filter(np.where(known, values, 0.0), width)
    single = np.zeros([2 * int(np.ceil(4.0 * w)) + 1 for w in width])
    single[tuple(n // 2 for n in single.shape)] = 1.0
    left = float((ndimage.gaussian_filter(single, width) ** 2).sum())
    return np.divide(whole, weight, out=np.zeros_like(whole), where=known), left


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


def plan_levels(
    model: Prepared, control: Control, looks: Array, end: float, horizon: float, watch: Callable[[Engine, Array], None]
) -> Array:
    """The levels that keep the limits on a patient who is as the case says, until ``end`` (s): the open loop.

    ``watch`` is given the temperature (n,) that is foreseen at each look.
    """
    twin = Twin(model, looks)
    limits = limits_at(model, control) - control.caution
    goal, most = Goal.of(model, control), most_level(model, control)
    levels: list[float] = []
    for time, after in pairwise([*looks, model.case.bioheat.duration]):
        if time >= end - 1e-6 or (goal is not None and goal.reached(twin)):
            break
        level = look_ahead(twin, looks, float(time), horizon, limits, most)
        levels.append(level)
        if after <= looks[-1]:
            watch(model.engine, twin.advance(level, float(after)))
    return np.array([*levels, *(0.0 for _ in looks[len(levels) :])])
