"""Radiofrequency ablation: electrodes, a generator with its control, Joule heat of the quasi-static potential."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from thermal import library
from thermal.domain import CutEdges
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.library import Sourced
from thermal.physics.far_field import held_or_far
from thermal.physics.heating.electrodes import Cooling, Electrode, ElectrodeEntry, devices_of, nothing_grounded
from thermal.physics.heating.generator import Generator, Operation
from thermal.physics.heating.potential import BODY, BOILING, DRY_SHARE, TOLERANCE, Circuit, ElectricalConductivity
from thermal.physics.heating.schedule import Switched
from thermal.physics.scene import Device, Drive, Held, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array


class Rfa(Switched, Generator):
    """Electrodes driven by a generator.

    It holds a ``power``, ``voltage`` or ``current``, or with ``target_temperature`` a temperature; ``protocol`` takes
    settings from the library, which keys beside it override. The return electrode is where ``[boundaries]`` sets the
    potential to 0 V, by default all faces of the window; with an electrode whose ``pole`` is "return" (bipolar) only
    what ``[boundaries]`` says. ``cooling`` runs during the ``on`` intervals, through all pauses.

    Without electrodes the boundaries alone set the potential: between two values, scaled to what the generator holds.
    """

    makes: ClassVar[tuple[str, ...]] = ("potential", "absorbed_power")
    kind: Literal["rfa"]
    protocol: str | None = None
    """settings of a generator by name, from the library"""
    electrode: ElectrodeEntry | None = None
    """the only one: needle {entry, tip, radius, active_length}, ball {centre, radius}, or umbrella of tines"""
    electrodes: Annotated[tuple[ElectrodeEntry, ...], Field(max_length=64)] = ()
    """several instead of one: a cluster, a bipolar pair, or a set that the generator switches through"""
    cooling: Cooling | None = None
    """coolant inside the electrodes; an electrode without it is insulated against heat"""
    potential_tolerance: Annotated[float, Field(ge=1e-14, le=1e-2)] = TOLERANCE
    """residual of the potential when it is solved again, relative to what drives it"""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("protocol"), str):
            return given
        return {**library.values("generators", given["protocol"]), **given}

    @model_validator(mode="after")
    def _electrodes_fit(self) -> Self:
        if self.electrode is not None and self.electrodes:
            raise ValueError("give either electrode, or electrodes for several, not both")
        held = (self.power, self.voltage, self.current)
        if self.all_electrodes and all(setting is None for setting in held):
            raise ValueError('the generator has no setting; give power = "30 W" or voltage = "20 V"')
        if not self.all_electrodes and self.cooling is not None:
            raise ValueError("cooling needs an electrode")
        if self.all_electrodes and all(spec.pole == "return" for spec in self.all_electrodes):
            raise ValueError('every electrode is a "return" electrode; leave the pole of one out, or write "active"')
        if self.switching is not None and self.actives < 2:
            raise ValueError("switching needs at least two active electrodes; add electrodes, or remove switching")
        return self

    @property
    def coldest(self) -> float:
        """The coolant's temperature, degC."""
        return math.inf if self.cooling is None else self.cooling.temperature

    @property
    def all_electrodes(self) -> tuple[ElectrodeEntry, ...]:
        """The electrode or electrodes."""
        return self.electrodes if self.electrode is None else (self.electrode,)

    @property
    def needs_potentials(self) -> bool:
        """Without electrodes."""
        return not self.all_electrodes

    @property
    def actives(self) -> int:
        """Number of electrodes on the active side."""
        return sum(spec.pole == "active" for spec in self.all_electrodes)

    @property
    def bipolar(self) -> bool:
        """Whether the current returns through an electrode."""
        return any(spec.pole == "return" for spec in self.all_electrodes)

    @property
    def places(self) -> tuple[str, ...]:
        """Key of each electrode in the case file."""
        if self.electrode is not None:
            return ("heating.electrode",)
        return tuple(f"heating.electrodes[{index}]" for index in range(len(self.electrodes)))

    @property
    def devices(self) -> tuple[Device, ...]:
        """The electrodes, an umbrella as its tines."""
        if self.electrode is not None:
            return tuple(devices_of(self.electrode, "electrode", self.places[0]))
        return tuple(
            found
            for index, (spec, place) in enumerate(zip(self.electrodes, self.places, strict=True))
            for found in devices_of(spec, f"electrode {index + 1}", place)
        )

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region has no electrical conductivity."""
        tissues.require(("electrical_conductivity",), 'heating.kind = "rfa"')

    def prepare(self, scene: Scene) -> RfaSource:
        """First solution at the initial temperature. Raises ``CaseError`` for impossible input."""
        engine = scene.engine
        ground, span = self._ground(engine, scene.grounded)
        tissues = scene.tissues.like_around(
            ground.regions, ("electrical_conductivity", "electrical_conductivity_slope")
        )
        by = 'heating.kind = "rfa"'
        slopes = {name: tissue.electrical_conductivity_slope for name, tissue in tissues.by_region.items()}
        at_body = tissues.cells("electrical_conductivity", by)
        rises = {
            name: (slopes[name] or 0.0) * (tissue.electrical_conductivity or 0.0)
            for name, tissue in tissues.by_region.items()
        }
        thermal_conductivity = tissues.nodes("conductivity", by)
        electrodes = tuple(
            Electrode.of(spec, engine, self.cooling, thermal_conductivity, at_body, place)
            for spec, place in zip(self.all_electrodes, self.places, strict=True)
        )
        circuit = Circuit(
            engine,
            ElectricalConductivity(at_body, tissues.mix_cells(rises)),
            CutEdges.product(tissues.cuts("electrical_conductivity", by), ground.edges(engine)),
            ElectricalConductivity(tissues.nodes("electrical_conductivity", by), tissues.mix_nodes(rises)),
            electrodes,
            ground,
            self.potential_tolerance,
        )
        warnings = tuple(
            f"tissues.{name}.electrical_conductivity_slope is not given: its electrical conductivity does not "
            "change with temperature below 100 degC"
            for name, slope in sorted(slopes.items())
            if slope is None
        ) + tuple(
            f"tissues.{name}.electrical_conductivity_slope: {slope:g} 1/K uses up the conductivity at "
            f"{BODY - 1.0 / slope:.3g} degC, beyond which {100 * DRY_SHARE:g} % of it are kept: give a slope that "
            f"holds from 0 to {BOILING:g} degC"
            for name, slope in sorted(slopes.items())
            if slope and min(slope * (BOILING - BODY), -slope * BODY) < -1.0
        )
        source = RfaSource(
            self,
            circuit,
            Operation.of(self, self.actives, self.on[0][0] if self.on else 0.0),
            span,
            self.switch_times(scene.duration),
            self.ticks(scene.duration),
            warnings,
            self.devices,
            () if self.protocol is None else tuple(library.sources("generators", self.protocol)),
        )
        circuit.solve(scene.initial_temperature, source.connected, cooled=False)
        source.operation.gain = self._gain(circuit, tissues, by)
        source.first_impedance = source.impedance
        return source

    def _gain(self, circuit: Circuit, tissues: Tissues, by: str) -> float:
        """K/s at the active electrodes per W, at first."""
        heat = circuit.heat(cooled=False) / circuit.conductance
        capacity = tissues.nodes("density", by) * tissues.nodes("heat_capacity", by) * circuit.engine.volume
        rate = np.divide(heat, capacity, out=np.zeros_like(heat), where=capacity > 0.0)
        found = [electrode.touched(rate) for electrode in circuit.electrodes if electrode.active]
        return float(np.mean(found)) if found else 1.0

    def _ground(self, engine: Engine, grounded: Held) -> tuple[Held, float]:
        """Prescribed potentials per volt between the electrodes, and the voltage that the boundaries ask for."""
        if self.bipolar and not grounded.mask.any():
            return nothing_grounded(engine), 0.0
        held = held_or_far(engine, grounded)
        values = held.value[held.mask]
        if values.size == 0:
            raise CaseError('heating: nothing is grounded; set potential = "0 V" on a boundary')
        span = float(np.ptp(values))
        if self.all_electrodes:
            if np.any(values != 0.0):
                raise CaseError(
                    f"boundaries: potentials from {values.min():g} V to {values.max():g} V beside heating.electrode; "
                    "with an electrode every prescribed potential is the return electrode's and must be 0 V"
                )
            return held, 0.0
        if span == 0.0:
            raise CaseError(
                "heating: no current can flow; give heating.electrode, or two boundaries with different potentials"
            )
        return replace(held, value=held.value / span), span


@dataclass
class RfaSource:
    """A circuit and the generator that drives it."""

    spec: Rfa
    circuit: Circuit
    operation: Operation
    span: float
    """V, between the boundaries that ask for it"""
    events: tuple[float, ...]
    ticks: tuple[float, ...]
    warnings: tuple[str, ...]
    devices: tuple[Device, ...]
    library: tuple[Sourced, ...]
    first_impedance: float = 0.0
    _voltage: float = 0.0

    @property
    def impedance(self) -> float:
        """Voltage over current, ohm."""
        return 1.0 / self.circuit.conductance

    @property
    def summary(self) -> Mapping[str, Reading]:
        """First impedance; roll-offs and when the first of them came."""
        found = {"heating.initial_impedance": Reading(self.first_impedance, "ohm")}
        if self.spec.rolloff is not None:
            found["heating.rolloffs"] = Reading(float(self.operation.rolloffs), "")
            if self.operation.rolloffs:
                found["heating.first_rolloff"] = Reading(self.operation.first_rolloff, "s")
        return found

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Potential (V rms) and absorbed power (W/m3) as they acted last."""
        power = self._voltage**2 * self.circuit.heat(cooled=False)
        volume = self.circuit.engine.volume
        density = np.divide(power, volume, out=np.zeros_like(power), where=volume > 0)
        return {"potential": (self._voltage * self.circuit.potential, "V"), "absorbed_power": (density, "W/m^3")}

    @property
    def connected(self) -> tuple[bool, ...]:
        """Which electrodes the generator drives now; return electrodes always are connected."""
        index, found = 0, []
        for electrode in self.circuit.electrodes:
            found.append(not electrode.active or self.spec.switching is None or index == self.operation.driven)
            index += electrode.active
        return tuple(found)

    def drive(self, state: State, step: float) -> Drive:
        """What acts from ``state.time`` to ``state.time + step``: Joule heat and coolant."""
        middle, circuit = state.time + 0.5 * step, self.circuit
        on = self.spec.is_on(middle) and not self.operation.over
        if on:
            self.operation.turn(state.time)
            touched, changed = self._touched(state.temperature), True
            while changed:
                if not self.operation.paused(state.time, self.operation.driven):  # without current nothing is measured
                    circuit.solve(state.temperature, self.connected)
                changed = self.operation.look(state.time, self.impedance, touched)
        coolants = [e.coolant for e in circuit.electrodes if e.coolant is not None]
        contacts = tuple(coolants) if self.spec.is_enabled(middle) and not self.operation.over else ()
        if not on:
            return Drive(np.zeros_like(circuit.engine.volume), contacts, readings=self._readings(0.0, 0.0, state))
        self._voltage = self.operation.voltage(state.time, step, self.impedance, self.span)
        power = self._voltage**2 * circuit.heat(cooled=bool(contacts))
        directly = self._voltage**2 * circuit.conductance - float(np.sum(power))
        readings = self._readings(self._voltage, directly, state)
        return Drive(power, contacts, readings=readings, until=self.operation.until(state.time))

    def _touched(self, temperature: Array) -> float:
        """Mean temperature of the tissue at the active electrodes, degC."""
        found = [electrode.touched(temperature) for electrode in self.circuit.electrodes if electrode.active]
        return float(np.mean(found)) if found else 0.0

    def _readings(self, voltage: float, directly: float, state: State) -> dict[str, Reading]:
        conductance = self.circuit.conductance
        readings = {
            "power": Reading(voltage**2 * conductance, "W"),
            "voltage": Reading(voltage, "V"),
            "current": Reading(voltage * conductance, "A"),
            "impedance": Reading(self.impedance, "ohm"),
            "coolant_power": Reading(directly, "W"),
        }
        if self.circuit.electrodes:
            readings["electrode_temperature"] = Reading(self._touched(state.temperature), "degC")
        if self.spec.switching is not None:
            readings["driven_electrode"] = Reading(1.0 + self.operation.driven, "")
        return readings

    def memory(self) -> Mapping[str, Array]:
        """The circuit, the generator, the last voltage."""
        return {**self.circuit.memory(), **self.operation.memory(), "voltage": np.array([self._voltage])}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Go on from what :meth:`memory` gave, bit for bit."""
        self._voltage = float(memory["voltage"][0])
        self.operation.recall(memory)
        self.circuit.recall(memory)
