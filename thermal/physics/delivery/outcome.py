"""What a delivery kind is given, and what it leaves behind.

*Bulk* concentration is mass per volume of tissue; *pore* concentration is mass per volume of the fluid in its pores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.scene import Device, Held, Reading
from thermal.physics.tissue import Tissues
from thermal.units import Array

Progress = Callable[[float], None]
"""Called with the finished share of the work, 0 to 1."""


def silent(_done: float) -> None:
    """A progress report for nobody."""


ReadImage = Callable[[str, str, float], tuple[Array, float, float]]
"""From a file, the key that names it and a floor (kg/m3): bulk concentrations (n,) kg/m3 of what lies above the floor,
its mass in the body, and that of what lies below, kg."""


@runtime_checkable
class Imaged(Protocol):
    """A way of delivery that may read images."""

    @property
    def images(self) -> tuple[tuple[str, str], ...]:
        """Each file, and the key that names it."""
        ...


def _no_images(name: str, place: str, floor: float) -> tuple[Array, float, float]:
    raise CaseError(f'{place} = "{name}": no images can be read here')


@dataclass(frozen=True)
class Site:
    """All that a delivery kind may look at.

    ``tumour`` is the name of the region that is the target, or empty. ``pressure`` (Pa) and ``concentration`` (kg per
    m3 of pore fluid) are what ``[boundaries]`` prescribes; ``image`` reads a map from a file.
    """

    engine: Engine
    tissues: Tissues
    tumour: str
    pressure: Held
    concentration: Held
    image: ReadImage = _no_images

    @property
    def tumour_volume(self) -> Array:
        """(n,) lumped volume of the tumour, m3; zero everywhere when there is none."""
        if self.tumour not in self.engine.volumes:
            return np.zeros_like(self.engine.volume)
        return self.engine.volumes[self.tumour]


@dataclass(frozen=True)
class Delivered:
    """Particles where the delivery left them.

    ``bulk`` (n,) kg per m3 of tissue, mobile and deposited together. ``readings``: dose and mass ledger.
    ``fields``: more nodal fields with their units. ``history``: readings over time, each row with ``time``.
    """

    bulk: Array
    readings: Mapping[str, Reading]
    fields: Mapping[str, tuple[Array, str]] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    history: tuple[Mapping[str, Reading], ...] = ()
    warnings: tuple[str, ...] = ()
    perfusion: Array | None = None
    """(n,) factor by which it changed the perfusion; None: not at all"""


class Delivery(Protocol):
    """A delivery kind: a frozen specification."""

    @property
    def kind(self) -> str:
        """Name in the case file."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """What it places, known before anything is solved."""
        ...

    @property
    def makes(self) -> tuple[str, ...]:
        """Fields it makes, which probes may record."""
        ...

    @property
    def time(self) -> float:
        """How long it takes before the heating can begin, s."""
        ...

    def check(self, tissues: Tissues) -> None:
        """Look at what the anatomy must have for it, at no cost. Raises ``CaseError`` with all that it lacks."""
        ...

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Where the particles end up. Raises ``CaseError`` for impossible input."""
        ...


def region_volume(engine: Engine, region: str, where: str) -> Array:
    """(n,) lumped volume of a region, m3. Raises ``CaseError`` naming the key ``where`` for an unknown or empty one."""
    if region not in engine.volumes:
        known = ", ".join(sorted(engine.volumes))
        raise CaseError(f'{where} = "{region}": there is no such region; the anatomy has {known}')
    volume = engine.volumes[region]
    if not np.any(volume > 0):
        raise CaseError(f'{where} = "{region}": the region is empty; refine the grid or move the window')
    return volume


def even(value: float, like: Array) -> Array:
    """``value`` at every node, (n,), for reading alone: it takes no memory."""
    return np.broadcast_to(np.float64(value), like.shape)


def per_volume(amount: Array, volume: Array) -> Array:
    """``amount / volume`` (n,), zero outside the body."""
    return np.divide(amount, volume, out=np.zeros_like(amount), where=volume > 0)
