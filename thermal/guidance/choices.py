"""What a plan chooses among: a box from -1 to 1, and what a point of it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from thermal.case.guided import Plan
from thermal.units import Array

FIRST = {"offset": 0.5, "power": 0.25, "time": 0.5, "tilt": 0.5, "factor": 0.5, "site": 0.4}
"""First steps of the search along the axes of the box."""


@dataclass(frozen=True)
class Choice:
    """A point of the box: ``offset`` (3,) m of the aim from the middle of the tumour, ``tilt`` (2,) rad of the needle,
    factors of power, heating time and numbers of the case, and the ``sites`` (k, 3) m from the aim."""

    offset: Array
    power: float
    time: float = 1.0
    tilt: Array = field(default_factory=lambda: np.zeros(2))
    factors: Mapping[str, float] = field(default_factory=dict)
    sites: Array = field(default_factory=lambda: np.zeros((0, 3)))


@dataclass(frozen=True)
class Box:
    """The box of a plan; ``strongest`` is the largest factor of the power that fields may take."""

    plan: Plan
    strongest: float = np.inf

    @property
    def _ranges(self) -> dict[str, tuple[float, float]]:
        low, high = self.plan.power
        found = {"power": (low, max(min(high, self.strongest), low))}
        if self.plan.time[0] < self.plan.time[1]:
            found["time"] = self.plan.time
        return found | {f"factor {key}": ends for key, ends in self.plan.choose.items()}

    @property
    def _tilts(self) -> int:
        return 2 if self.plan.tilt > 0.0 and not self.plan.given else 0

    @property
    def size(self) -> int:
        """Numbers of a point."""
        return 3 + len(self._ranges) + self._tilts + 3 * self.plan.sites

    @property
    def start(self) -> Array:
        """The case as it is, as near as the box has it; further sites lie on a ring around the aim."""
        ranges = [np.interp(1.0, ends, (-1.0, 1.0)) for ends in self._ranges.values()]
        turn = 2.0 * np.pi * np.arange(self.plan.sites) / max(self.plan.sites, 1)
        ring = 0.6 * np.stack([np.zeros_like(turn), np.cos(turn), np.sin(turn)], axis=1)
        return np.concatenate([np.zeros(3), ranges, np.zeros(self._tilts), ring.ravel()])

    @property
    def steps(self) -> Array:
        """First steps along each axis."""
        ranges = [FIRST[name.split(" ")[0]] for name in self._ranges]
        tilts, sites = [FIRST["tilt"]] * self._tilts, [FIRST["site"]] * 3 * self.plan.sites
        return np.array([FIRST["offset"]] * 3 + ranges + tilts + sites)

    def choice(self, point: Array) -> Choice:
        """What a point (d,) means."""
        values = {
            name: float(np.interp(at, (-1.0, 1.0), ends))
            for at, (name, ends) in zip(point[3:], self._ranges.items(), strict=False)
        }
        rest = point[3 + len(values) :]
        tilt = np.radians(self.plan.tilt) * rest[:2] if self._tilts else np.zeros(2)
        factors = {key: values[f"factor {key}"] for key in self.plan.choose}
        sites = self.plan.targets * rest[self._tilts :].reshape(-1, 3)
        time = values.get("time", float(np.clip(1.0, *self.plan.time)))
        return Choice(self.plan.targets * point[:3], values["power"], time, tilt, factors, sites)


def tilted(direction: Array, tilt: Array) -> Array:
    """A unit direction (3,) turned by ``tilt`` (2,) rad about two axes across it."""
    angle = float(np.linalg.norm(tilt))
    if angle == 0.0:
        return direction
    across = np.cross(direction, np.eye(3)[int(np.argmin(np.abs(direction)))])
    across /= np.linalg.norm(across)
    sideways = (tilt[0] * across + tilt[1] * np.cross(direction, across)) / angle
    return np.asarray(np.cos(angle) * direction + np.sin(angle) * sideways)
