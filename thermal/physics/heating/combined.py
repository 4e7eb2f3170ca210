"""Several heat sources in one treatment: at once or one after the other, light of two colours, light and field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from thermal.errors import CaseError
from thermal.physics.heating.cryo import Cryo
from thermal.physics.heating.kind import HeatingKind
from thermal.physics.heating.magnetic import Magnetic
from thermal.physics.heating.microwave import Microwave
from thermal.physics.heating.photothermal import Photothermal
from thermal.physics.heating.prescribed import Prescribed, PrescribedTemperature
from thermal.physics.heating.rfa import Rfa
from thermal.physics.scene import Device, Drive, Finer, Held, Mapped, Reading, Scene, Source, State
from thermal.physics.tissue import Tissues
from thermal.sampled import ReadVectors
from thermal.units import Array

Part = Annotated[
    Photothermal | Magnetic | Rfa | Cryo | Microwave | Prescribed | PrescribedTemperature, Field(discriminator="kind")
]
"""What may be combined."""


class Combined(HeatingKind):
    """Heat sources that act together, or one after the other by their own ``on``.

    In history and summary what belongs to a part begins with ``part1.``, ``part2.`` ...; fields of later parts end with
    their number where an earlier part has one of the same name.
    """

    kind: Literal["combined"]
    parts: Annotated[tuple[Part, ...], Field(min_length=2)]
    """the sources, each a table as ``[heating]`` itself"""

    @property
    def acting(self) -> tuple[Part, ...]:
        """The parts."""
        return self.parts

    @property
    def coldest(self) -> float:
        """See :class:`HeatingKind`."""
        return min(part.coldest for part in self.parts)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those of all parts."""
        return tuple(
            replace(
                device,
                name=f"{device.name} of part {number + 1}",
                place=_moved(device.place, number) if device.place else "",
            )
            for number, part in enumerate(self.parts)
            for device in part.devices
        )

    def lasting(self, time: float) -> Self:
        """All parts at once, for ``time`` s."""
        return self.model_copy(update={"parts": tuple(part.lasting(time) for part in self.parts)})

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` with all that the parts lack."""
        self._check_each(lambda part: part.check(tissues))

    def check_maps(self, files: ReadVectors, points: Array) -> None:
        """See :class:`~thermal.physics.scene.Mapped`."""
        self._check_each(lambda part: part.check_maps(files, points) if isinstance(part, Mapped) else None)

    def _check_each(self, look: Callable[[Part], None]) -> None:
        problems: list[str] = []
        for number, part in enumerate(self.parts):
            try:
                look(part)
            except CaseError as error:
                problems += [_moved(problem, number) for problem in error.problems]
        if problems:
            raise CaseError(*problems)

    def prepare(self, scene: Scene) -> CombinedSource:
        """Prepare every part. Raises ``CaseError`` that names the part."""
        sources = []
        for number, part in enumerate(self.parts):
            try:
                sources.append(part.prepare(scene))
            except CaseError as error:
                raise CaseError(*(_moved(problem, number) for problem in error.problems)) from None
        return CombinedSource(sources, self.devices)


def _moved(text: str, number: int) -> str:
    """A problem or a key of ``[heating]`` as one of a part of it."""
    return f"heating.parts[{number}]{text.removeprefix('heating')}" if text.startswith("heating") else text


class CombinedSource:
    """A :class:`~thermal.physics.scene.Source` made of others."""

    def __init__(self, sources: Sequence[Source], devices: tuple[Device, ...]) -> None:
        self._sources = tuple(sources)
        self.devices = devices
        self.events = tuple(sorted({time for source in sources for time in source.events}))
        self.ticks = tuple(sorted({time for source in sources for time in source.ticks}))
        self.library = tuple(number for source in sources for number in source.library)
        self.warnings = tuple(
            f"heating.parts[{number}]: {warning}"
            for number, source in enumerate(sources)
            for warning in source.warnings
        )

    def finer(self, name: str, at: Array) -> float | None:
        """That of the part whose field it is."""
        taken: set[str] = set()
        for number, source in enumerate(self._sources, 1):
            for own in source.fields:
                shown = own if own not in taken else f"{own}_{number}"
                taken.add(shown)
                if shown == name:
                    return source.finer(own, at) if isinstance(source, Finer) else None
        return None

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Of every part; a name that an earlier part has taken gets the part's number."""
        found: dict[str, tuple[Array, str]] = {}
        for number, source in enumerate(self._sources, 1):
            for name, field in source.fields.items():
                found[name if name not in found else f"{name}_{number}"] = field
        return found

    @property
    def summary(self) -> Mapping[str, Reading]:
        """Of every part under ``part1.``, ``part2.`` ..."""
        return _numbered(source.summary for source in self._sources)

    def drive(self, state: State, step: float) -> Drive:
        """All that act."""
        drives = [source.drive(state, step) for source in self._sources]
        power = np.sum([drive.power for drive in drives], axis=0)
        holders = [drive.held for drive in drives if drive.held is not None]
        return Drive(
            power,
            tuple(contact for drive in drives for contact in drive.contacts),
            _together(holders) if holders else None,
            _numbered(drive.readings for drive in drives),
            all(drive.steady for drive in drives),
            min(drive.until for drive in drives),
            max(drive.turn for drive in drives),
        )

    def memory(self) -> Mapping[str, Array]:
        """Of every part."""
        return {f"{n}.{name}": kept for n, source in enumerate(self._sources) for name, kept in source.memory().items()}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Hand back to every part what it gave."""
        for number, source in enumerate(self._sources):
            own = f"{number}."
            source.recall({name.removeprefix(own): kept for name, kept in memory.items() if name.startswith(own)})


def _numbered(tables: Iterable[Mapping[str, Reading]]) -> dict[str, Reading]:
    return {
        f"part{number}.{name}": reading
        for number, readings in enumerate(tables, 1)
        for name, reading in readings.items()
    }


def _together(holders: Sequence[Callable[[float], Held]]) -> Callable[[float], Held]:
    """Nodes that any part holds; where two do, the later one decides."""

    def held(time: float) -> Held:
        found = [holder(time) for holder in holders]
        value = found[0].value
        for other in found[1:]:
            value = np.where(other.mask, other.value, value)
        return Held(np.any([part.mask for part in found], axis=0), value)

    return held
