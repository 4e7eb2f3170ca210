"""The plainest heat source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from thermal.library import Sourced
from thermal.physics.scene import Device, Drive, Reading, State
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
