"""A source around another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thermal.library import Sourced
from thermal.physics.scene import Device, Finer, Reading, Source
from thermal.units import Array


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
