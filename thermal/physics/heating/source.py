"""A source without history, made of plain parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from thermal.library import Sourced
from thermal.physics.scene import Device, Drive, Finer, Reading, Source, State
from thermal.units import Array


@dataclass(frozen=True)
class PlainSource:
    """A :class:`~thermal.physics.scene.Source` whose drive is a function of state and step alone."""

    act: Callable[[State, float], Drive]
    events: tuple[float, ...] = ()
    devices: tuple[Device, ...] = ()
    fields: Mapping[str, tuple[Array, str]] = field(default_factory=dict)
    summary: Mapping[str, Reading] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    ticks: tuple[float, ...] = ()
    library: tuple[Sourced, ...] = ()

    def drive(self, state: State, step: float) -> Drive:
        """What acts from ``state.time`` to ``state.time + step``."""
        return self.act(state, step)

    def memory(self) -> Mapping[str, Array]:
        """Nothing: the drive depends on the state alone."""
        return {}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take nothing back."""


@dataclass
class SourceAround:
    """A source that changes what another one, ``source``, does; all that it does not change is that one's."""

    source: Source

    @property
    def events(self) -> tuple[float, ...]:
        """Those of the source."""
        return self.source.events

    @property
    def ticks(self) -> tuple[float, ...]:
        """Those of the source."""
        return self.source.ticks

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those of the source."""
        return self.source.devices

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Those of the source."""
        return self.source.fields

    @property
    def summary(self) -> Mapping[str, Reading]:
        """Those of the source."""
        return self.source.summary

    @property
    def library(self) -> tuple[Sourced, ...]:
        """Those of the source."""
        return self.source.library

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the source."""
        return self.source.warnings

    def finer(self, name: str, at: Array) -> float | None:
        """That of the source."""
        return self.source.finer(name, at) if isinstance(self.source, Finer) else None
