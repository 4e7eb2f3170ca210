"""A heat source whose power is set anew at every look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from thermal.errors import CaseError
from thermal.march import Progress
from thermal.physics.heating.source import SourceAround
from thermal.physics.scene import Drive, Reading, State
from thermal.simulation import Prepared
from thermal.units import Array


class Pilot(Protocol):
    """What sets the level at every look."""

    def look(self, time: float, temperature: Array) -> tuple[float, float]:
        """From the time (s) and the true temperature (n,), which only a thermometer may look at, to a level, and the
        room that is seen to the nearest limit, K, NaN where nothing is."""
        ...

    def memory(self) -> Mapping[str, Array]:
        """What it needs to go on after an interruption."""
        ...

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        ...


@dataclass
class Steady:
    """Holds the level that it is given."""

    level: float = 0.0

    def look(self, time: float, temperature: Array) -> tuple[float, float]:
        """The level, whatever there is to see."""
        return self.level, np.nan

    def memory(self) -> Mapping[str, Array]:
        """Nothing."""
        return {}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take nothing back."""


@dataclass
class Steered(SourceAround):
    """A source times a level, which ``pilot`` sets at each of ``looks``."""

    looks: Array
    pilot: Pilot
    factor: float = 1.0
    """by which the absorbed power differs from that of the source"""
    level: float = 0.0
    room: float = np.nan
    _done: int = 0

    @property
    def events(self) -> tuple[float, ...]:
        """Those of the source, and the looks."""
        return tuple(sorted({*self.source.events, *self.looks.tolist()}))

    def drive(self, state: State, step: float) -> Drive:
        """The source's power times the level; looks first where a look is due."""
        while self._done < len(self.looks) and state.time >= self.looks[self._done] - 1e-6:
            self._done += 1
            self.level, self.room = self.pilot.look(float(self.looks[self._done - 1]), state.temperature)
        drive = self.source.drive(state, step)
        if drive.contacts or drive.held is not None:
            raise CaseError(
                "control: this heating holds temperatures instead of giving power, so there is no level to set; use "
                "light, a magnetic field or prescribed sources"
            )
        scale = self.level * self.factor
        shown = {
            name: replace(reading, value=reading.value * self.level) if name == "power" else reading
            for name, reading in drive.readings.items()
        }
        readings = {**shown, "control.level": Reading(self.level, ""), "control.room": Reading(self.room, "K")}
        return Drive(scale * drive.power, readings=readings, until=drive.until)

    def memory(self) -> Mapping[str, Array]:
        """What the pilot knows, and what it set."""
        kept = {f"pilot.{name}": value for name, value in self.pilot.memory().items()}
        return {**kept, "set": np.array([self.level, self.room, self._done])}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        kept = {name.removeprefix("pilot."): value for name, value in memory.items() if name.startswith("pilot.")}
        self.pilot.recall(kept)
        self.level, self.room = float(memory["set"][0]), float(memory["set"][1])
        self._done = int(memory["set"][2])


def steer(prepared: Prepared, looks: Array, pilot: Pilot) -> Prepared:
    """The same case with its power set by ``pilot``."""
    source = Steered(prepared.source, looks, pilot)
    return replace(prepared, source=source, loop=replace(prepared.loop, source=source))


class Twin:
    """A model of the patient that is marched beside the treatment, with its own perfusion and absorption."""

    def __init__(self, prepared: Prepared, looks: Array, perfusion: float = 1.0, absorption: float = 1.0) -> None:
        self._pilot = Steady()
        self._source = Steered(prepared.source, looks, self._pilot, absorption)
        bioheat = prepared.loop.bioheat.perfused(perfusion)
        self.loop = replace(prepared.loop, bioheat=bioheat, source=self._source, saves=(), ticks=())
        self.progress = prepared.start()

    def advance(self, level: float, until: float) -> Array:
        """March on to ``until`` s, which is a look, at a level; the temperature there (n,)."""
        self.progress = self._march(self.progress, level, until)
        return self.progress.state.temperature

    def foresee(self, level: float, until: float) -> Array:
        """The temperature (n,) at ``until`` s, if the level is kept from now on."""
        return self._march(self.progress.copy(), level, until).state.temperature

    def _march(self, progress: Progress, level: float, until: float) -> Progress:
        self._pilot.level = level
        if progress.state.time >= until - 1e-6:
            return progress
        self._source._done = int(np.searchsorted(self._source.looks, progress.state.time - 1e-6))
        return next(at for at in self.loop.march(replace(progress, step=0.0)) if at.state.time >= until - 1e-6)
