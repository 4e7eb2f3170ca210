"""When a treatment may end: the target is destroyed, by a model or by the dose that images tell of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from thermal.case.guided import Control
from thermal.errors import CaseError
from thermal.guidance.steered import Twin
from thermal.guidance.thermometer import Image, Thermometer
from thermal.physics.damage import Law
from thermal.simulation import Prepared
from thermal.units import Array, Mask
from thermal.zone.target import Target

NEARLY = 0.99
"""Share of the voxels of the target that must be destroyed: voxels on its border are partly beside it."""
BODY = 37.0
"""degC, taken where an image shows nothing."""


@dataclass(frozen=True)
class Goal:
    """What is to be destroyed, and the law that says so."""

    target: Target
    law: Law

    @staticmethod
    def of(prepared: Prepared, control: Control) -> Goal | None:
        """None where the case ends by the clock. Raises ``CaseError`` where there is no tumour."""
        if control.cover is None:
            return None
        tumour, case = prepared.anatomy.tumour, prepared.case
        if tumour is None:
            raise CaseError("control.cover: the anatomy names no tumour that could be covered; give anatomy.tumour")
        vessels = [name for name, entry in case.tissues.items() if entry.temperature is not None]
        target = Target.of(prepared.engine, tumour, control.cover, vessels)
        return Goal(target, prepared.loop.laws[case.zone_law.kind])

    def reached(self, twin: Twin) -> bool:
        """Whether all of it is destroyed in a model."""
        now, law = twin.progress, self.law
        measure = law.measure(now.state.damage[law.kind], now.hottest, now.state.time)
        return self.target.covered(twin.loop.bioheat.engine, measure, law.level)


@dataclass
class Dose:
    """Damage on voxels by the temperatures that images show, one after another."""

    goal: Goal
    voxels: Mask
    """those of the target that thermometry can read"""
    damage: Array = field(init=False)
    hottest: Array = field(init=False)
    last: Image | None = None

    @staticmethod
    def of(goal: Goal, thermometer: Thermometer) -> Dose:
        """Of a target."""
        share = thermometer.way.density(goal.target.inside.astype(float))
        return Dose(goal, (share >= 0.5 * thermometer.body) & thermometer.reliable & (thermometer.body > 0.5))

    def __post_init__(self) -> None:
        count = int(self.voxels.sum())
        self.damage = self.goal.law.initial(count)
        self.hottest = np.full(count, BODY)

    def memory(self) -> dict[str, Array]:
        """What was seen so far."""
        last = {} if self.last is None else {"dose.last": self.last.values, "dose.time": np.array(self.last.taken)}
        return {"dose.damage": self.damage, "dose.hottest": self.hottest, **last}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        self.damage, self.hottest = memory["dose.damage"], memory["dose.hottest"]
        if "dose.last" in memory:
            self.last = Image(float(memory["dose.time"]), memory["dose.last"])

    def add(self, image: Image) -> bool:
        """Take in an image; whether the target is destroyed by what was seen so far."""
        now = np.nan_to_num(image.values[self.voxels], nan=BODY)
        if self.last is not None and image.taken > self.last.taken:
            before = np.nan_to_num(self.last.values[self.voxels], nan=BODY)
            step = image.taken - self.last.taken
            self.damage = self.goal.law.accumulate(self.damage, before, now, step)
        self.hottest = np.maximum(self.hottest, now)
        self.last = image
        measure = self.goal.law.measure(self.damage, self.hottest, image.taken)
        return bool(np.mean(measure >= self.goal.law.level) >= NEARLY)
