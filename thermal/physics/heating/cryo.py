"""Cryoablation: thin probes that follow a temperature, or thaw passively."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from thermal.engine import Engine, inner
from thermal.enthalpy import Conductivity, Nodes
from thermal.errors import CaseError
from thermal.physics.heating.applicator import Applicator, BallTip, Needle, contact_factor, device
from thermal.physics.heating.kind import HeatingKind
from thermal.physics.heating.schedule import ramp_events, ramp_within
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Contact, Device, Drive, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array, Duration, Instant, Power, Spec, TemperatureStep, quantity

ProbeTemperature = Annotated[float, *quantity("degC", ge=-200, le=100)]
"""Boiling nitrogen is at -196 degC; a probe colder than -200 degC is a slip of the pen."""

FROZEN = (-8.0, -1.0)
"""degC, between which the conductivity around a probe of limited power goes over to that of frozen tissue."""
TICK = 2.5
"""s, at least so often a probe of limited power is looked at."""

Knot = tuple[float, float | None]
"""Time (s) and temperature (degC); None from there on for a passive probe."""


class Cycle(Spec):
    """One freeze and the thaw after it."""

    freeze: Duration
    """time of the freeze, cool-down included"""
    thaw: Duration
    """time of the thaw after it"""


class Cryo(HeatingKind):
    """Cryoprobes that share one course of temperature, given in one of two ways.

    ``cycles`` of freezing at ``temperature``, reached linearly within ``cooldown``, and thawing: passive, or at
    ``thaw_temperature``. While it cools down a probe never warms the tissue: its temperature is capped by the mean of
    the tissue that it touches. Or ``schedule``: knots of time and temperature, linear in between; ``"off"`` makes the
    probe passive from its time on; a repeated time is a jump.
    """

    zone_law: ClassVar[Literal["arrhenius", "cryo"]] = "cryo"
    kind: Literal["cryo"]
    probes: tuple[Applicator, ...] = Field(min_length=1)
    """each {entry, tip, radius, active_length} or {centre, radius}"""
    temperature: ProbeTemperature | None = None
    """of the freezing probe in cycles"""
    cycles: tuple[Cycle, ...] = ()
    """freezes and thaws, one after another from time zero"""
    rear_rise: TemperatureStep | None = None
    """how much warmer the wall is at the rear of the active length than at its tip, linear in between: gas that expands
    at the tip warms on its way back; evenly cold when absent"""
    cooldown: Annotated[float, *quantity("s", ge=0, le=1e5)] = 0.0
    """time that the probe takes to reach temperature in each cycle"""
    thaw_temperature: ProbeTemperature | None = None
    """of a probe that warms the tissue in the thaws; passive when absent"""
    cooling_power: Power | None = None
    """most heat that each probe can draw; where the tissue would give it more, its wall is warmer than temperature"""
    duty: Annotated[float, *quantity("", gt=0, le=1)] = 1.0
    """share of the time that the gas flows: what is left of cooling_power on average"""
    schedule: tuple[tuple[Instant, ProbeTemperature | Literal["off"]], ...] = ()
    """knots [time, temperature or "off"] instead of cycles"""

    @model_validator(mode="after")
    def _one_course(self) -> Cryo:
        if bool(self.cycles) == bool(self.schedule):
            raise ValueError(
                'give either cycles = [{freeze = "10 min", thaw = "5 min"}, ...] with temperature = "-140 degC", '
                'or schedule = [["0 s", "-140 degC"], ["10 min", "off"]]'
            )
        if self.duty < 1.0 and self.cooling_power is None:
            raise ValueError('duty needs the power at full flow; add cooling_power = "30 W"')
        if self.cycles and self.temperature is None:
            raise ValueError('cycles need the temperature of the freezing probe; add temperature = "-140 degC"')
        if self.schedule and (self.temperature is not None or self.cooldown > 0 or self.thaw_temperature is not None):
            raise ValueError(
                "temperature, cooldown and thaw_temperature belong to cycles; with a schedule write them into it"
            )
        if any(self.cooldown > cycle.freeze for cycle in self.cycles):
            raise ValueError(f"cooldown = {self.cooldown:g} s is longer than a freeze; the probe would never get cold")
        if any(after[0] < before[0] for before, after in zip(self.schedule, self.schedule[1:], strict=False)):
            raise ValueError("the schedule goes back in time; put its times in order")
        return self

    def lasting(self, time: float) -> Self:
        """The same course, of which the last freeze ends ``time`` s after the start or before."""
        if self.schedule:
            before = tuple(knot for knot in self.schedule if knot[0] < time)
            return self.model_copy(update={"schedule": (*before, (time, "off"))})
        cycles, begin = [], 0.0
        for cycle in self.cycles:
            left = time - begin
            if left <= self.cooldown:
                break
            cycles.append(cycle.model_copy(update={"freeze": min(cycle.freeze, left)}))
            begin += cycle.freeze + cycle.thaw
        if not cycles:
            raise CaseError(f"heating.cooldown = {self.cooldown:g} s leaves nothing of a freeze within {time:g} s")
        return self.model_copy(update={"cycles": tuple(cycles)})

    def knots(self, start_temperature: float) -> tuple[Knot, ...]:
        """The course of the probe's temperature; each cool-down of a cycle begins at ``start_temperature`` (degC)."""
        if self.schedule:
            return tuple((time, None if value == "off" else value) for time, value in self.schedule)
        knots: list[Knot] = []
        time = 0.0
        for cycle in self.cycles:
            if self.cooldown > 0:
                knots.append((time, start_temperature))
            knots += [(time + self.cooldown, self.temperature), (time + cycle.freeze, self.temperature)]
            knots += [
                (time + cycle.freeze, self.thaw_temperature),
                (time + cycle.freeze + cycle.thaw, self.thaw_temperature),
            ]
            time += cycle.freeze + cycle.thaw
        return (*knots, (time, None))

    def cooling_down(self, time: float) -> bool:
        """Whether ``time`` (s) lies in the cool-down of a cycle."""
        start = 0.0
        for cycle in self.cycles:
            if start <= time < start + self.cooldown:
                return True
            start += cycle.freeze + cycle.thaw
        return False

    @property
    def devices(self) -> tuple[Device, ...]:
        """The cryoprobes."""
        return tuple(
            device("cryoprobe", f"cryoprobe {i + 1}", probe, f"heating.probes[{i}]")
            for i, probe in enumerate(self.probes)
        )

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region lacks data on freezing, unless freezing is off."""
        if tissues.freezes:
            tissues.require(("frozen_conductivity", "frozen_heat_capacity", "latent_heat"), 'heating.kind = "cryo"')

    def prepare(self, scene: Scene) -> PlainSource:
        """Contact of each probe with the tissue. Raises ``CaseError`` for probes outside the domain."""
        engine = scene.engine
        factors: list[Array] = []
        problems: list[str] = []
        for index, probe in enumerate(self.probes):
            try:
                factors.append(contact_factor(engine, engine.close_contact, probe, f"heating.probes[{index}]"))
            except CaseError as error:
                problems += error.problems
        if problems:
            raise CaseError(*problems)
        near = [np.flatnonzero(factor) for factor in factors]
        graded_walls = [
            Wall.of(probe, factor, scene.engine, self.rear_rise)
            for probe, factor in zip(self.probes, factors, strict=True)
        ]

        def touched_by(temperature: Array) -> list[float]:
            """Mean temperature of the tissue at each probe, degC."""
            return [
                inner(factor[nodes], temperature[nodes]) / float(np.sum(factor[nodes]))
                for factor, nodes in zip(factors, near, strict=True)
            ]

        start = float(np.mean(touched_by(scene.initial_temperature)))
        knots = self.knots(start)
        limits = [self._limit(scene.tissues, factor, nodes) for factor, nodes in zip(factors, near, strict=True)]
        idle = np.zeros_like(scene.engine.volume)

        def act(state: State, step: float) -> Drive:
            touched = touched_by(state.temperature)
            middle = state.time + 0.5 * step
            course = course_within(knots, state.time, step)
            if course is None:
                return Drive(idle, readings={"probe_temperature": Reading(float(np.mean(touched)), "degC")})
            ends = course(state.time), course(state.time + step)
            caps = touched if self.cooling_down(middle) else [math.inf] * len(touched)
            power, contacts, reached = idle, [], []
            for graded, cap, limit in zip(graded_walls, caps, limits, strict=True):
                begin, end = (min(temperature, cap) for temperature in ends)
                wall, change = 0.5 * (begin + end), end - begin
                drawn = None if limit is None else limit.drawn(state.temperature, wall + graded.rise)
                if drawn is None:
                    contacts += [Contact(part, wall + rise, change=change) for part, rise in graded.parts]
                    reached.append(wall)
                else:
                    power = power - drawn.power
                    reached.append(drawn.wall)
            readings = {"probe_temperature": Reading(float(np.mean(reached)), "degC")}
            return Drive(power, contacts=tuple(contacts), readings=readings)

        ticks = () if self.cooling_power is None else tuple(np.arange(TICK, scene.duration, TICK).tolist())
        return PlainSource(act, ramp_events(knots, scene.duration), devices=self.devices, ticks=ticks)

    def _limit(self, tissues: Tissues, factor: Array, nodes: Nodes) -> Limit | None:
        """What limits a probe with the shape ``factor`` (n,) m at ``nodes`` (t,)."""
        if self.cooling_power is None:
            return None
        by = 'heating.kind = "cryo"'
        icy = "frozen_conductivity" if tissues.freezes else "conductivity"
        warm, frozen = (tissues.nodes(name, by)[nodes] for name in ("conductivity", icy))
        conductivity = Conductivity(warm, np.zeros_like(warm), frozen, *FROZEN)
        return Limit(self.duty * self.cooling_power, factor, nodes, conductivity)


STRETCHES = 8
"""Stretches of a graded wall between which its temperature jumps."""


@dataclass(frozen=True)
class Wall:
    """How much warmer a probe's wall is than at its tip: ``rise`` (t,) K at the nodes it touches, and the same as the
    ``parts`` of its shape (n,) m that share a rise."""

    rise: Array
    parts: tuple[tuple[Array, float], ...]

    @staticmethod
    def of(probe: Needle | BallTip, factor: Array, engine: Engine, rear_rise: float | None) -> Wall:
        """``factor`` (n,) m is the probe's shape, ``rear_rise`` K that at its rear; a ball has no rear."""
        nodes = np.flatnonzero(factor)
        if rear_rise is None or not isinstance(probe, Needle):
            return Wall(np.zeros(nodes.size), ((factor, 0.0),))
        tip, rear = np.asarray(probe.tip), np.asarray(probe.probe.start)
        back = (rear - tip) / probe.active_length**2
        place = np.clip((engine.points[nodes] - tip) @ back, 0.0, 1.0)
        rise = rear_rise * np.round(STRETCHES * place) / STRETCHES
        parts = []
        for warmer in np.unique(rise):
            part = np.zeros_like(factor)
            part[nodes[rise == warmer]] = factor[nodes[rise == warmer]]
            parts.append((part, float(warmer)))
        return Wall(rise, tuple(parts))


@dataclass(frozen=True)
class Drawn:
    """Heat drawn from each node, (n,) W, and the temperature of the probe's wall, degC."""

    power: Array
    wall: float


@dataclass(frozen=True)
class Limit:
    """The most that one probe can draw: ``most`` W, its shape ``factor`` (n,) m; ``nodes`` (t,) and the conductivity of
    the tissue there."""

    most: float
    factor: Array
    nodes: Nodes
    conductivity: Conductivity

    def drawn(self, temperature: Array, wall: Array) -> Drawn | None:
        """What it draws from tissue at (n,) degC when a wall at (t,) degC would ask for too much; None if not."""
        near = temperature[self.nodes]
        conductance = self.conductivity.mean(wall, near) * self.factor[self.nodes]
        if float(conductance @ (near - wall)) <= self.most:
            return None
        total = float(np.sum(conductance))
        power = np.zeros_like(self.factor)
        power[self.nodes] = self.most * conductance / total
        return Drawn(power, float(conductance @ near) / total - self.most / total)


def course_within(knots: Sequence[Knot], time: float, step: float) -> Callable[[float], float] | None:
    """Temperature as a function of time (s) within a step that holds no knot inside; None while the probe is passive.

    The last knot at or before the step rules: its value holds when the next one is ``off``; before the first, passive.
    """
    past = [index for index, (knot, _) in enumerate(knots) if knot <= time + 0.5 * step]
    if not past or knots[past[-1]][1] is None:
        return None
    now = (knots[past[-1]][0], knots[past[-1]][1] or 0.0)
    following = knots[past[-1] + 1 : past[-1] + 2]
    ahead = [(knot, value) for knot, value in following if value is not None]
    return ramp_within([now, *ahead], time, step)
