"""Heat that is written down instead of computed: power densities, prescribed temperatures, and nothing at all."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from thermal.errors import CaseError
from thermal.nodes import region_nodes
from thermal.physics.heating.kind import HeatingKind
from thermal.physics.heating.schedule import Ramp, Switched, ramp_breaks, ramp_turn, ramp_within
from thermal.physics.heating.shapes import PrescribedSource, region_volume
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Device, Drive, Held, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array

LOST_SHARE = 1e-3
"""Share of a shape's power that may fall outside the tissue before a warning is given."""


class Prescribed(Switched):
    """Heat sources written down in the case; they add up. ``on`` and ``pulses`` here switch all of them together."""

    makes: ClassVar[tuple[str, ...]] = ("absorbed_power",)
    kind: Literal["prescribed"]
    sources: tuple[PrescribedSource, ...] = Field(min_length=1)
    """they add up"""

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for unknown regions and for points and lines that lie outside the body."""
        problems = []
        for index, source in enumerate(self.sources):
            try:
                source.check_place(tissues.engine)
            except ValueError as error:
                problems.append(f"heating.sources[{index}].{error}")
        if problems:
            raise CaseError(*problems)

    def prepare(self, scene: Scene) -> PlainSource:
        """Nodal powers of all sources. Raises ``CaseError`` for unknown regions and sources outside the domain."""
        engine, problems, warnings = scene.engine, [], []
        powers: list[Array] = []
        events = set(self.switch_times(scene.duration))
        summary = {}
        for index, source in enumerate(self.sources):
            where = f"heating.sources[{index}]"
            if source.outline is not None and not engine.symmetric(source.outline):
                problems.append(
                    f"{where}: it is not round about the axis of symmetry (x = 0, y = 0), as it must be on an "
                    "axisymmetric mesh; centre it there, or use voxels or tetrahedra"
                )
                continue
            try:
                power = source.nodal_power(engine)
            except ValueError as error:
                problems.append(f"{where}.{error}")
                continue
            powers.append(power)
            events.update(source.switch_times(scene.duration))
            put, whole = float(np.sum(power)), source.whole_power(engine)
            summary[f"heating.sources.{index}.power"] = Reading(put, "W")
            if abs(put - whole) > LOST_SHARE * abs(whole):
                warnings.append(
                    f"{where}: {whole - put:.4g} W of {whole:.4g} W lie outside the tissue and are left out"
                )
            if narrow := source.narrow(engine):
                warnings.append(f"{where}: {narrow}")
        if problems:
            raise CaseError(*problems)
        whole_power = np.sum(powers, axis=0)
        summary["heating.power"] = Reading(float(np.sum(whole_power)), "W")

        def act(state: State, step: float) -> Drive:
            middle = state.time + 0.5 * step
            power = np.zeros_like(engine.volume)
            if self.is_on(middle):
                for source, nodal in zip(self.sources, powers, strict=True):
                    if source.is_on(middle):
                        power += nodal
            return Drive(power, readings={"power": Reading(float(np.sum(power)), "W")}, steady=True)

        density = np.divide(whole_power, engine.volume, out=np.zeros_like(whole_power), where=engine.volume > 0)
        return PlainSource(
            act, tuple(sorted(events)), fields={"absorbed_power": (density, "W/m^3")}, summary=summary,
            warnings=tuple(warnings),
        )  # fmt: skip


class PrescribedTemperature(HeatingKind):
    """A region, or everything, held at a temperature that follows a schedule, linear between its knots.

    A repeated time in ``schedule`` is a jump; before the first knot and after the last the value stays.
    """

    devices: ClassVar[tuple[Device, ...]] = ()
    kind: Literal["temperature"]
    schedule: Ramp
    """knots [time, temperature]"""
    region: str | None = None
    """region that is held; everything when absent"""

    @property
    def coldest(self) -> float:
        """Of the schedule, degC."""
        return min(temperature for _, temperature in self.schedule)

    @property
    def holds(self) -> tuple[str, ...]:
        """See :class:`HeatingKind`."""
        return () if self.region is None else (self.region,)

    def lasting(self, time: float) -> Self:
        """The same schedule: what is prescribed is left as it is."""
        return self

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for an unknown region."""
        if self.region is not None:
            try:
                region_volume(tissues.engine, self.region, "heating.region")
            except ValueError as error:
                raise CaseError(str(error)) from None

    def prepare(self, scene: Scene) -> PlainSource:
        """Which nodes are held. Raises ``CaseError`` for an unknown region or one smaller than a cell."""
        engine = scene.engine
        mask = engine.volume > 0
        if self.region is not None:
            try:
                region_volume(engine, self.region, "heating.region")
            except ValueError as error:
                raise CaseError(str(error)) from None
            mask = region_nodes(engine, self.region)
            if not mask.any():
                raise CaseError(
                    f'heating.region = "{self.region}": it takes no quarter of any node\'s volume, so none can be '
                    "held; refine the grid there"
                )
        idle = np.zeros_like(engine.volume)

        def act(state: State, step: float) -> Drive:
            value = ramp_within(self.schedule, state.time, step)
            reading = Reading(value(state.time + step), "degC")
            return Drive(
                idle,
                held=lambda time: Held(mask, np.full(mask.shape, value(time))),
                readings={"held_temperature": reading},
                turn=ramp_turn(self.schedule, state.time),
            )

        events, ticks = ramp_breaks(self.schedule, scene.duration)
        return PlainSource(act, events, ticks=ticks)


class NoHeating(HeatingKind):
    """No heat source."""

    devices: ClassVar[tuple[Device, ...]] = ()
    kind: Literal["none"] = "none"

    @property
    def coldest(self) -> float:
        """See :class:`HeatingKind`."""
        return math.inf

    def lasting(self, time: float) -> Self:
        """Nothing for as long as one likes."""
        return self

    def check(self, tissues: Tissues) -> None:
        """Nothing is needed."""

    def prepare(self, scene: Scene) -> PlainSource:
        """A source that does nothing."""
        idle = np.zeros(scene.engine.volume.shape)
        return PlainSource(lambda _state, _step: Drive(idle, steady=True))
