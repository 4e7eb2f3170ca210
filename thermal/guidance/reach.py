"""How needles reach a tumour: the way that is wanted where all devices find it clear, or the nearest to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.case.guided import Plan
from thermal.guidance.choices import tilted
from thermal.guidance.placement import turned
from thermal.guidance.trajectories import Ground, Way, sphere
from thermal.units import Array


@dataclass
class Reach:
    """Ways to an aim on which every device of a case reaches its tip."""

    plan: Plan
    ground: Ground
    own: Array
    """(3,) direction of the needle of the case, outward"""
    tips: Array
    """(k, 3) m, of all devices of the case from the middle of the tumour"""
    base: Array | None = None
    """(3,) direction of the needle that tilts are from: that of the case where it is clear; None: the shortest way"""

    def way_to(self, aim: Array, tilt: Array) -> Way | None:
        """The way that is wanted where it is clear, else that nearest to it, or the shortest; None: there is none."""
        plan = self.plan
        if plan.given:
            units = np.array(plan.given) / np.linalg.norm(plan.given, axis=1)[:, None]
        else:
            units = sphere(plan.directions)
        wanted = None if self.base is None else tilted(self.base, tilt)
        if wanted is not None and (own := self.ways(aim, wanted[None])):
            return own[0]
        found = self.ways(aim, units)
        if wanted is not None and plan.tilt > 0.0:
            return max(found, key=lambda way: float(way.direction @ wanted), default=None)
        return min(found, key=lambda way: way.length - min(way.clear, 0.02), default=None)

    def ways(self, aim: Array, directions: Array) -> list[Way]:
        """Those of the ``directions`` (k, 3) on which every device reaches its tip: also one that goes deeper than the
        aim, or beside it."""
        plan = self.plan

        def clear(way: Way) -> bool:
            tips = aim + self.tips @ turned(self.own, way.direction).T
            return all(self.ground.ways(tip, way.direction[None], plan.depth, plan.clearance) for tip in tips)

        return [way for way in self.ground.ways(aim, directions, plan.depth, plan.clearance) if clear(way)]
