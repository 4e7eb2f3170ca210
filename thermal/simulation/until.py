"""Treat until covered: a source that is switched off when the zone holds the tumour and the wanted margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from thermal.case import Case
from thermal.case.parts import Until
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.march import Progress
from thermal.physics.damage import Law
from thermal.physics.heating.source import SourceAround
from thermal.physics.scene import Drive, Reading, Source, State
from thermal.units import Array
from thermal.zone.target import Target


@dataclass
class Endable(SourceAround):
    """A source that ends when :meth:`covers` finds the target covered."""

    until: Until
    tumour: str
    vessels: tuple[str, ...]
    """regions held at a temperature: nothing there can be destroyed"""
    law: str
    """name of the law that the zone is judged by"""
    duration: float
    ended: float = np.inf
    """s, when it was switched off"""
    _target: Target | None = field(default=None, repr=False)

    @staticmethod
    def of(source: Source, case: Case, tumour: str | None) -> Endable:
        """Raises ``CaseError`` where there is no tumour to cover."""
        assert case.bioheat.until is not None
        if tumour is None:
            raise CaseError("bioheat.until: the anatomy names no tumour that could be covered; give anatomy.tumour")
        vessels = tuple(name for name, entry in case.tissues.items() if entry.temperature is not None)
        return Endable(source, case.bioheat.until, tumour, vessels, case.zone_law.kind, case.bioheat.duration)

    @property
    def finish(self) -> float:
        """s, at which the run ends; infinite while the treatment goes on."""
        return self.ended + self.until.after

    def covers(self, engine: Engine, laws: Mapping[str, Law], progress: Progress) -> bool:
        """Look whether the target has just been covered, at the times for that; if so, nothing acts from now on."""
        time, every = progress.state.time, self.until.every
        if np.isfinite(self.ended) or abs(time / every - round(time / every)) * every > 1e-6:
            return False
        if self._target is None:
            self._target = Target.of(engine, self.tumour, self.until.margin, self.vessels)
        law = laws[self.law]
        measure = law.measure(progress.state.damage[self.law], progress.hottest, time)
        if not self._target.covered(engine, measure, law.level):
            return False
        self.ended = time
        return True

    @property
    def ticks(self) -> tuple[float, ...]:
        """Those of the source, and the times at which is looked."""
        every = self.until.every
        return (*self.source.ticks, *np.arange(every, self.duration, every).tolist())

    @property
    def summary(self) -> Mapping[str, Reading]:
        """Those of the source, and when the target was covered, if it was."""
        found = {} if np.isinf(self.ended) else {"treatment.covered_at": Reading(self.ended, "s")}
        return {**self.source.summary, **found}

    def drive(self, state: State, step: float) -> Drive:
        """What acts from ``state.time`` to ``state.time + step``: nothing after the end."""
        if state.time >= self.ended:
            return Drive(np.zeros_like(state.temperature), readings={"power": Reading(0.0, "W")})
        return self.source.drive(state, step)

    def memory(self) -> Mapping[str, Array]:
        """That of the source, and the end."""
        return {**self.source.memory(), "ended": np.array([self.ended])}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        self.ended = float(memory["ended"][0])
        self.source.recall({name: value for name, value in memory.items() if name != "ended"})
