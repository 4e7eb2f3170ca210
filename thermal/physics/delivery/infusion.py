"""Intratumoral infusion through needles: flow of the fluid, transport of the particles, waiting after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.domain import Ball, CutEdges, Line, Probe
from thermal.engine import Engine
from thermal.physics.delivery.backflow import Backflow
from thermal.physics.delivery.cargo import ROWS, Journey, Stage
from thermal.physics.delivery.consolidation import Consolidation, Coupled, Local
from thermal.physics.delivery.dose import dose_readings
from thermal.physics.delivery.flow import Flow as Steady
from thermal.physics.delivery.flow import Medium
from thermal.physics.delivery.infusion_report import needle_warnings, reach, smeared, supply_warnings
from thermal.physics.delivery.kinetics import Kinetics
from thermal.physics.delivery.needle import AtNeedle, Driven, Needle
from thermal.physics.delivery.outcome import Delivered, Progress, Site, even, per_volume, silent
from thermal.physics.delivery.poroelastic import NEEDED_BY as MODULI_NEEDED_BY
from thermal.physics.delivery.poroelastic import Poroelastic
from thermal.physics.delivery.protocol import Place, Step
from thermal.physics.delivery.shaft import open_share
from thermal.physics.far_field import held_or_far
from thermal.physics.scene import Device, Reading
from thermal.physics.tissue import Tissues
from thermal.units import (
    Array,
    Compliance,
    Concentration,
    Duration,
    Flow,
    Length,
    Point,
    PositivePressure,
    quantity,
)

NEEDED_BY = 'delivery.kind = "infusion"'


@dataclass(frozen=True)
class Visit:
    """One step of the pump at one position of a needle."""

    needle: Needle
    step: Step


class Infusion(Kinetics):
    """Infusion through ports of a needle or catheter, then a wait."""

    makes: ClassVar[tuple[str, ...]] = ("concentration", "pore_concentration", "deposited_concentration", "pressure")
    kind: Literal["infusion"]
    entry: Point
    """where the needle enters the body"""
    tip: Point
    """centre of the port"""
    port_radius: Length
    """radius of the sphere (of the cylinder where port_length is given) through whose surface the infusate enters the
    tissue"""
    port_length: Length | None = None
    """length of a porous end of the needle, from the tip back: a cylinder in place of a sphere"""
    end_port: bool = True
    """whether the needle is open at its end"""
    side_ports: tuple[Length, ...] = ()
    """distances from the tip of more ports along the needle, which share its pressure"""
    flow: Flow | None = None
    """volume of infusate per time"""
    pressure: PositivePressure | None = None
    """in the needle, instead of a flow"""
    duration: Duration | None = None
    """of the infusion"""
    protocol: tuple[Step, ...] | None = Field(default=None, min_length=1)
    """steps of flow or pressure and pauses, instead of one flow or pressure for one duration"""
    sites: tuple[Place, ...] = ()
    """further places, infused one after the other, each by the same protocol unless it has its own"""
    concentration: Concentration
    """mass of particles per volume of infusate"""
    threshold: Concentration | None = None
    """concentration in tissue from which the tumour counts as covered (dose.tumour_coverage)"""
    wait: Annotated[float, *quantity("s", ge=0, le=1e9)] = 0.0
    """time between the end of the infusion and the start of heating, in which particles diffuse and deposit"""
    shaft_radius: Length | None = None
    """outer radius of the needle, whose body fluid does not cross, as long as it lies still; when absent tissue goes on
    where the needle is"""
    backflow: Backflow | None = None
    """infusate may run back along the needle; when absent the needle is tight"""
    opening_pressure: PositivePressure | None = None
    """at which tissue opens around the tip: a cavity grows until the pressure falls to it; when absent it never
    opens"""
    storage: Annotated[float, *quantity("1/Pa", ge=0, le=1)] = 0.0
    """fluid that elastic tissue takes up per volume and pressure, 1 / (lambda + 2 mu): pressure then takes its time to
    build up and to relax; zero: it is there at once"""
    poroelastic: Poroelastic | None = None
    """displacement and pressure together, on tetrahedra; when absent tissue gives way by storage alone"""
    permeability_response: Compliance = 0.0
    """relative change of the hydraulic conductivity by the pressure: K = K0 exp(response * pressure)"""

    @model_validator(mode="after")
    def _is_complete(self) -> Infusion:
        if self.entry == self.tip:
            raise ValueError("entry and tip are the same point; the needle needs a direction")
        if self.protocol is not None:
            given = [name for name in ("flow", "pressure", "duration") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"{' and '.join(given)} beside protocol: the steps hold them; delete one or the other")
        elif (self.flow is None) == (self.pressure is None) or self.duration is None:
            raise ValueError('give flow (or pressure) and duration, or a protocol, e.g. flow = "5 ul/min"')
        if not self.end_port and not self.side_ports:
            raise ValueError("the needle has no opening; give side_ports, or leave end_port out")
        if self.port_length is not None and not self.end_port:
            raise ValueError("port_length describes the open end, which end_port = false closes; delete one of them")
        driven = [step for steps in self._protocols for step in steps]
        if self.backflow is not None:
            if self.side_ports or self.port_length or not self.end_port:
                raise ValueError("backflow is known only along a needle that is open at its end alone")
            if any(step.pressure is not None for step in driven):
                raise ValueError("backflow needs a flow: at a held pressure nobody knows how much runs back")
        if self.opening_pressure is not None and (self.backflow is not None or len(self._openings) != 1):
            raise ValueError("opening_pressure is known only for a single spherical port without backflow")
        if self.shaft_radius is not None and (self.backflow is not None or any(step.withdraw for step in driven)):
            raise ValueError(
                "shaft_radius is known only for needles that are tight and are not withdrawn; leave it out"
            )
        takes_time = "storage" if self.storage > 0.0 else "poroelastic" if self.poroelastic is not None else ""
        if takes_time and any(step.pressure is not None for step in driven):
            raise ValueError(f"{takes_time} is known only with flows; give every step a flow instead of a pressure")
        if self.poroelastic is not None and self.storage > 0.0:
            raise ValueError("storage and poroelastic are two ways to say how tissue gives way; delete one of them")
        if self.poroelastic is not None and self.permeability_response:
            raise ValueError(
                "permeability_response follows the pressure; with poroelastic give poroelastic.strain_response, which "
                "follows the strain"
            )
        if not any(step.flow or step.pressure for step in driven):
            raise ValueError("all steps of the protocol are pauses; give one of them a flow")
        return self

    @property
    def _openings(self) -> tuple[object, ...]:
        return (*((self.port_radius,) if self.end_port else ()), *((1,) if self.port_length else ()), *self.side_ports)

    @property
    def _steps(self) -> tuple[Step, ...]:
        if self.protocol is not None:
            return self.protocol
        assert self.duration is not None
        return (Step.model_construct(duration=self.duration, flow=self.flow, pressure=self.pressure,
                                     concentration=None, withdraw=None),)  # fmt: skip

    @property
    def _protocols(self) -> tuple[tuple[Step, ...], ...]:
        return (self._steps, *(place.protocol or self._steps for place in self.sites))

    @property
    def _needles(self) -> tuple[Needle, ...]:
        own = (self.port_radius, self.port_length or 0.0, self.end_port, self.side_ports)
        first = Needle(self.entry, self.tip, "delivery.tip", *own)
        more = (Needle(p.entry, p.tip, f"delivery.sites[{n}].tip", *own) for n, p in enumerate(self.sites))
        return (first, *more)

    def _visits(self) -> Iterator[Visit]:
        for needle, steps in zip(self._needles, self._protocols, strict=True):
            back = 0.0
            for step in steps:
                back += step.withdraw or 0.0
                yield Visit(needle.withdrawn(back) if back else needle, step)

    @property
    def devices(self) -> tuple[Device, ...]:
        """The needles."""
        return tuple(
            Device(
                "needle",
                "infusion needle" if not self.sites else f"infusion needle {number + 1}",
                Line(needle.entry, needle.tip, self.port_radius),
                Ball(needle.tip, self.port_radius),
                needle.place,
                more=self._openings_later(number, needle),
            )
            for number, needle in enumerate(self._needles)
        )

    def _openings_later(self, number: int, needle: Needle) -> tuple[tuple[str, Probe], ...]:
        """Openings of needle ``number`` but that at its tip, and all of them where it goes on after it was drawn back;
        each once, after the key that puts it there."""
        own = number > 0 and self.sites[number - 1].protocol is not None
        where = f"delivery.sites[{number - 1}].protocol" if own else "delivery.protocol"
        found = {probe: key for key, probe in needle.behind_tip}
        back, last = 0.0, ""
        for order, step in enumerate(self._protocols[number]):
            if step.withdraw:
                back, last = back + step.withdraw, f"{where}[{order}].withdraw"
            if back >= needle.depth:  # which is refused
                break
            if back and (step.flow or step.pressure):
                for probe in needle.withdrawn(back).probes:
                    found.setdefault(probe, last)
        return tuple((key, probe) for probe, key in found.items())

    @property
    def time(self) -> float:
        """Infusion and wait, s."""
        return sum(step.duration for steps in self._protocols for step in steps) + self.wait

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region lacks hydraulic conductivity or porosity, or a needle is drawn out."""
        tissues.require(("hydraulic_conductivity", "porosity"), NEEDED_BY)
        if self.poroelastic is not None:
            tissues.require(("shear_modulus", "poisson_ratio"), MODULI_NEEDED_BY)
        for _ in self._visits():
            pass

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Solve the flow, carry the particles, let them diffuse. Raises ``CaseError`` for a tip outside the tissue."""
        engine, tissues = site.engine, site.tissues
        held = held_or_far(engine, site.pressure)
        medium = Medium.of(engine, tissues, held, self.permeability_response, NEEDED_BY)
        fate = self.fate(tissues, NEEDED_BY)
        if self.shaft_radius is not None:
            share = open_share(engine, (needle.shaft(self.shaft_radius) for needle in self._needles))
            medium = medium.around(share)
            fate = replace(fate, pores=fate.pores * engine.to_nodes(share))
        diffusion = None
        if self.diffusivity > 0.0:
            porous = tissues.like_around(site.concentration.regions, ("porosity",))
            spread = porous.cells("porosity", NEEDED_BY) * self.diffusivity
            if self.shaft_radius is not None:
                spread = spread * share
            cuts = CutEdges.product(porous.cuts("porosity", NEEDED_BY), site.concentration.edges(engine))
            diffusion = engine.conductance(spread, cuts)
        journey = Journey(engine, fate, diffusion, site.concentration)
        history: list[dict[str, Reading]] = []
        settling = None
        yielding: Local | Coupled | None = None
        if self.poroelastic is not None:
            yielding = self.poroelastic.bind(medium, tissues)
        elif self.storage > 0.0:
            yielding = Local(medium, self.storage * engine.volume)
        if yielding is not None:
            settling = Consolidation(medium, yielding, medium.at_rest().pressure)
        told: list[AtNeedle] = []
        volume = 0.0
        known: dict[tuple[object, ...], Driven] = {}
        for visit in self._visits():
            key = (visit.needle, visit.step.flow, visit.step.pressure)
            if key not in known:
                known.clear()
                known[key] = self._drive(medium, visit)
            found = known[key]
            told.append(found.told)
            volume += (told[-1].injected + found.out) * visit.step.duration
            concentration = visit.step.concentration
            if concentration is None:
                concentration = self.concentration
            for stage in self._stages(journey, medium, settling, found, visit.step.duration, concentration):
                self._follow(journey, stage, history, progress)
        full = self.concentration / self.hindrance
        reached = reach(engine, journey.cargo.concentration, full)
        if self.wait > 0.0:
            for stage in self._stages(journey, medium, settling, Driven(medium.at_rest()), self.wait, 0.0):
                self._follow(journey, stage, history, progress)
        progress(1.0)

        mass = journey.tissue_mass
        bulk = per_volume(mass, engine.volume)
        highest = max(told, key=lambda one: one.pressure)
        cargo = journey.cargo
        return Delivered(
            bulk,
            {
                **dose_readings(site, mass, bulk * site.tumour_volume, journey.infused, self.threshold),
                **journey.readings(),
                "delivery.port_pressure": Reading(highest.pressure, "Pa"),
                "delivery.infused_volume": Reading(volume, "m^3"),
                "delivery.distribution_volume": Reading(reached, "m^3"),
                "delivery.distribution_radius": Reading(float(np.cbrt(0.75 * reached / np.pi)), "m"),
                "delivery.steps": Reading(float(len(history)), ""),
                **self._at_needle(told),
            },
            {
                **_moved(engine, settling),
                "pore_concentration": (cargo.concentration, "kg/m^3"),
                "deposited_concentration": (_deposited(cargo.stuck, engine.volume), "kg/m^3"),
                "pressure": (found.flow.pressure if settling is None else settling.pressure, "Pa"),
            },
            self.devices,
            tuple(history),
            (
                *needle_warnings(highest, self.backflow is None and self.opening_pressure is None),
                *supply_warnings(journey),
                *smeared(engine, reached, fate.pores, cargo.concentration, full, volume / self.time, self),
            ),
        )

    def _drive(self, medium: Medium, visit: Visit) -> Driven:
        step, needle = visit.step, visit.needle
        if step.flow is not None:
            return needle.at_flow(medium, step.flow, self.backflow, self.opening_pressure)
        if step.pressure is not None:
            return Driven(medium.at_pressure(needle.ports(medium), step.pressure))
        return Driven(medium.at_rest())

    def _stages(
        self,
        journey: Journey,
        medium: Medium,
        settling: Consolidation | None,
        found: Driven,
        duration: float,
        concentration: float,
    ) -> Iterator[Stage]:
        """One steady stage, or the many in which pressure builds up or relaxes."""
        leak = found.out * concentration
        if settling is None:
            still = even(0.0, found.flow.pressure)
            yield self._stage(journey, medium, found.flow, duration, concentration, leak, still, ROWS)
            return
        for step, flow, stored in settling.follow(found.flow, duration):
            yield self._stage(journey, medium, flow, step, concentration, leak, stored, 1)

    def _stage(
        self,
        journey: Journey,
        medium: Medium,
        flow: Steady,
        duration: float,
        concentration: float,
        leak: float,
        stored: Array,
        rows: int,
    ) -> Stage:
        return Stage(
            duration,
            flow.operator,
            flow.pressure,
            flow.port_pressure,
            flow.injected,
            concentration,
            flow.from_vessels + np.maximum(-flow.through_border, 0.0),
            np.maximum(flow.through_border, 0.0),
            flow.into_lymph,
            lambda: medium.speed(flow, journey.fate.pores),
            stored,
            leak,
            rows,
        )

    def _follow(self, journey: Journey, stage: Stage, history: list[dict[str, Reading]], progress: Progress) -> None:
        for time in journey.follow(stage):
            progress(min(time / self.time, 1.0))
            history.append(
                {
                    "time": Reading(time, "s"),
                    "port_pressure": Reading(stage.port_pressure, "Pa"),
                    **{name: Reading(value, "kg") for name, value in journey.ledger().items()},
                }
            )

    def _at_needle(self, told: list[AtNeedle]) -> dict[str, Reading]:
        found = {}
        if self.backflow is not None:
            found["delivery.backflow_length"] = Reading(max(one.backflow for one in told), "m")
        if self.opening_pressure is not None:
            found["delivery.cavity_radius"] = Reading(max(one.cavity for one in told), "m")
        ports = next(one.port_flows for one in told if len(one.port_flows))
        if len(ports) > 1:
            found |= {f"delivery.port_flow.{n + 1}": Reading(float(q), "m^3/s") for n, q in enumerate(ports)}
        return found


def _deposited(stuck: Array, volume: Array) -> Array:
    """(n,) kg/m3 of what sticks, ``stuck`` (n,) kg."""
    return per_volume(stuck, volume) if stuck.any() else even(0.0, volume)


def _moved(engine: Engine, settling: Consolidation | None) -> dict[str, tuple[Array, str]]:
    """Displacement (n,) m and strain (n,) of the tissue at the end, where they are solved for."""
    if settling is None or not isinstance(settling.yielding, Coupled):
        return {}
    found = settling.yielding
    moved = np.linalg.norm(found.displacement(settling.pressure), axis=1)
    return {
        "displacement": (moved, "m"),
        "volumetric_strain": (engine.to_nodes(found.strain(settling.pressure)), ""),
    }
