"""A heat source whose power is set anew at every look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from thermal.errors import CaseError
from thermal.march import Progress
from thermal.physics.heating.source import SourceAround
from thermal.physics.scene import Drive, Reading, State
from thermal.simulation import Prepared
from thermal.units import Array

Pilot = Callable[[float, Array], tuple[float, Mapping[str, Reading]]]
"""From the time (s) and the true temperature (n,), which only a thermometer may look at, to a level and readings."""


@dataclass
class Steered(SourceAround):
    """A source times a level, which ``pilot`` sets at each of ``looks``."""

    looks: Array
    pilot: Pilot
    factor: float = 1.0
    """by which the absorbed power differs from that of the source"""
    level: float = 0.0
    _done: int = 0
    _readings: Mapping[str, Reading] = field(default_factory=dict)

    @property
    def events(self) -> tuple[float, ...]:
        """Those of the source, and the looks."""
        return tuple(sorted({*self.source.events, *self.looks.tolist()}))

    def drive(self, state: State, step: float) -> Drive:
        """The source's power times the level; looks first where a look is due."""
        while self._done < len(self.looks) and state.time >= self.looks[self._done] - 1e-6:
            self._done += 1
            self.level, self._readings = self.pilot(float(self.looks[self._done - 1]), state.temperature)
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
        return Drive(scale * drive.power, readings={**shown, **self._readings})

    def memory(self) -> Mapping[str, Array]:
        """Nothing: what the pilot knows is not kept, so a controlled run is begun anew."""
        return {}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take nothing back."""


def steer(prepared: Prepared, looks: Array, pilot: Pilot) -> Prepared:
    """The same case with its power set by ``pilot``."""
    source = Steered(prepared.source, looks, pilot)
    return replace(prepared, source=source, loop=replace(prepared.loop, source=source))


class Twin:
    """A model of the patient that is marched beside the treatment, with its own perfusion and absorption."""

    def __init__(self, prepared: Prepared, looks: Array, perfusion: float = 1.0, absorption: float = 1.0) -> None:
        self._source = Steered(prepared.source, looks, lambda time, temperature: (self._level, {}), absorption)
        self._level = 0.0
        bioheat = replace(prepared.loop.bioheat, perfusion=perfusion * prepared.loop.bioheat.perfusion)
        self.loop = replace(prepared.loop, bioheat=bioheat, source=self._source, saves=(), ticks=())
        self.progress = self.loop.start(prepared.initial)

    def advance(self, level: float, until: float) -> Array:
        """March on to ``until`` s, which is a look, at a level; the temperature there (n,)."""
        self.progress = self._march(self.progress, level, until)
        return self.progress.state.temperature

    def foresee(self, level: float, until: float) -> Array:
        """The temperature (n,) at ``until`` s, if the level is kept from now on."""
        return self._march(self.progress.copy(), level, until).state.temperature

    def _march(self, progress: Progress, level: float, until: float) -> Progress:
        self._level = level
        if progress.state.time >= until - 1e-6:
            return progress
        self._source._done = int(np.searchsorted(self._source.looks, progress.state.time - 1e-6))
        return next(at for at in self.loop.march(replace(progress, step=0.0)) if at.state.time >= until - 1e-6)
