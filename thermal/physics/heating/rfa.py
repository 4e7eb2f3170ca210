"""Radiofrequency ablation: quasi-static potential around one thin electrode, Joule heat, control of the generator.

``div(sigma(T) grad phi) = 0`` with root-mean-square potentials, ``q = sigma |grad phi|^2`` (M. Trujillo, E. Berjano,
Int. J. Hyperthermia 29 (2013) 590-597, doi:10.3109/02656736.2013.807438). The electrode enters through the same
sub-grid conductance as a cryoprobe.

Discrete power balance. With sub-grid conductances ``g_i`` between the electrode (at V) and the nodes, the edge form of
the Joule heat (see ``Operator.dissipation``) plus ``g_i (V - phi_i)^2`` sums to ``V I``. Half of each term belongs to
either end of its edge, so half of the sub-grid part belongs to the electrode's wall. If the wall is insulated that half
flows back into the node. If it is cooled, it enters at the wall between coolant and tissue and returns in the share
G / (G + film). For a wall at fixed temperature, constant sigma and k, and both electrodes at T0, the steady temperature
is then ``T0 + sigma phi (V - phi) / 2k`` at every node exactly: the classical relation of temperature and potential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from thermal.domain import CutEdges
from thermal.engine import Engine, Operator, Solver
from thermal.errors import CaseError
from thermal.physics.far_field import held_or_far
from thermal.physics.heating.applicator import Applicator, contact_factor, device
from thermal.physics.heating.schedule import Switched
from thermal.physics.scene import Contact, Device, Drive, Held, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array, Current, HeatTransfer, Power, Spec, Temperature, Voltage

RESOLVE_ABOVE = 0.02
"""Relative change of the conductivity of any cell after which the potential is solved again."""
PREPARE_ABOVE = 2.0
"""Factor by which the conductivity of any cell has changed when the solver is prepared anew. A solver kept that long
takes at most 1.4 times the iterations, and preparing one costs as much as several."""
FIRST_TOLERANCE = 1e-8
"""Of the first potential, on the residual; the power, quadratic in its error, is much better."""
TOLERANCE = 1e-6
"""Of the later ones, which start from the one before."""
BOILING = 100.0
"""degC, at which tissue begins to dry and to lose its conductivity."""
DRY = 105.0
"""degC, at which it has lost it. A sharper drop makes the coupled problem oscillate."""
DRY_SHARE = 1e-2
"""Share of the conductivity at 100 degC that is left in dry tissue. Unverified: the literature uses 1e-2 to 1e-4."""
BODY = 37.0
"""degC, at which electrical conductivities are tabulated."""


@dataclass(frozen=True)
class ElectricalConductivity:
    """sigma(T), S/m: linear between 0 and 100 degC, then falling smoothly (log-cubic) to its dry value.

    ``at_body`` S/m at 37 degC and ``rise`` S/m/K, of cells (m,) or nodes (n,).
    """

    at_body: Array
    rise: Array

    def take(self, places: npt.NDArray[np.intp]) -> ElectricalConductivity:
        """The same relation at a selection of the places."""
        return ElectricalConductivity(self.at_body[places], self.rise[places])

    def __call__(self, temperature: Array) -> Array:
        """S/m at the temperature of the places, degC."""
        wet = self.at_body + self.rise * (np.clip(temperature, 0.0, BOILING) - BODY)
        dried = np.clip((temperature - BOILING) / (DRY - BOILING), 0.0, 1.0)
        return np.asarray(np.maximum(wet, DRY_SHARE * self.at_body) * DRY_SHARE ** (dried**2 * (3.0 - 2.0 * dried)))


class Cooling(Spec):
    """Coolant inside the electrode; without ``heat_transfer`` the electrode's wall is at the coolant's temperature."""

    temperature: Temperature
    """of the coolant"""
    heat_transfer: HeatTransfer | None = None
    """film coefficient between the electrode's outer wall and the coolant"""


class Rfa(Switched):
    """One electrode driven by a generator.

    ``power`` (held by scaling the voltage, within ``max_voltage`` and ``max_current``, both rms) or ``voltage``. The
    return electrode is where ``[boundaries]`` sets the potential to 0 V; by default all faces of the window.
    ``cooling`` runs during the ``on`` intervals, through the pauses of pulses.

    Without ``electrode`` the boundaries alone set the potential: between two values, scaled to ``power`` or ``voltage``
    if given.
    """

    kind: Literal["rfa"]
    electrode: Applicator | None = None
    """needle {entry, tip, radius, active_length} or ball {centre, radius}"""
    power: Power | None = None
    """mean power that the generator holds"""
    voltage: Voltage | None = None
    """root-mean-square voltage instead of a power"""
    max_voltage: Voltage | None = None
    """rms limit of a generator with power control"""
    max_current: Current | None = None
    """rms limit of a generator with power control"""
    cooling: Cooling | None = None
    """coolant inside the electrode; an electrode without it is insulated against heat"""

    @model_validator(mode="after")
    def _one_control(self) -> Rfa:
        if self.power is not None and self.voltage is not None:
            raise ValueError('give either power = "30 W" or voltage = "20 V", not both')
        if self.electrode is not None and self.power is None and self.voltage is None:
            raise ValueError('the generator has no setting; give power = "30 W" or voltage = "20 V"')
        if self.power is None and (self.max_voltage is not None or self.max_current is not None):
            raise ValueError("max_voltage and max_current limit a generator with power control; give power")
        if self.electrode is None and self.cooling is not None:
            raise ValueError("cooling needs an electrode")
        return self

    @property
    def devices(self) -> tuple[Device, ...]:
        """The electrode, if there is one."""
        if self.electrode is None:
            return ()
        return (device("electrode", "electrode", self.electrode, "heating.electrode"),)

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region has no electrical conductivity."""
        tissues.require(("electrical_conductivity",), 'heating.kind = "rfa"')

    def prepare(self, scene: Scene) -> RfaSource:
        """First solution at the initial temperature. Raises ``CaseError`` for impossible input."""
        engine, tissues = scene.engine, scene.tissues
        slopes = {name: tissue.electrical_conductivity_slope for name, tissue in tissues.by_region.items()}
        at_body = tissues.cells("electrical_conductivity", 'heating.kind = "rfa"')
        rises = {
            name: (slopes[name] or 0.0) * (tissue.electrical_conductivity or 0.0)
            for name, tissue in tissues.by_region.items()
        }
        factor = np.zeros_like(engine.volume)
        contact = None
        if self.electrode is not None:
            factor = contact_factor(engine, self.electrode, "heating.electrode")
            if self.cooling is not None:
                contact = _coolant(self.cooling, factor, self.electrode.wall_area)
        ground, span = self._ground(engine, scene.grounded)
        source = RfaSource(
            self, engine, ElectricalConductivity(at_body, tissues.mix_cells(rises)),
            tissues.cuts("electrical_conductivity", 'heating.kind = "rfa"'),
            ElectricalConductivity(
                tissues.nodes("electrical_conductivity", 'heating.kind = "rfa"'), tissues.mix_nodes(rises)
            ),
            tissues.nodes("conductivity", 'heating.kind = "rfa"'), factor, contact, ground, span,
            self.switch_times(scene.duration), self.devices,
            tuple(
                f"tissues.{name}.electrical_conductivity_slope is not given: its electrical conductivity does not "
                "change with temperature below 100 degC"
                for name, slope in sorted(slopes.items()) if slope is None
            ),
        )  # fmt: skip
        source.solve(scene.initial_temperature, cooled=False)
        source.summary = {"heating.initial_impedance": Reading(source.impedance, "ohm")}
        return source

    def _ground(self, engine: Engine, grounded: Held) -> tuple[Held, float]:
        """Prescribed potentials per volt between the electrodes, and the voltage that the boundaries ask for."""
        held = held_or_far(engine, grounded)
        values = held.value[held.mask]
        if values.size == 0:
            raise CaseError('heating: nothing is grounded; set potential = "0 V" on a boundary')
        span = float(np.ptp(values))
        if self.electrode is not None:
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
        return Held(held.mask, held.value / span), span

    def rms_voltage(self, impedance: float, span: float) -> float:
        """Voltage that the generator sets against ``impedance`` (ohm)."""
        if self.power is None:
            return self.voltage if self.voltage is not None else span
        limits = (
            float(np.sqrt(self.power * impedance)),
            np.inf if self.max_voltage is None else self.max_voltage,
            np.inf if self.max_current is None else self.max_current * impedance,
        )
        return min(limits)


def _coolant(cooling: Cooling, factor: Array, area: float) -> Contact:
    if cooling.heat_transfer is None:
        return Contact(factor, cooling.temperature)
    film = cooling.heat_transfer * area * factor / np.sum(factor)
    return Contact(factor, cooling.temperature, np.where(factor > 0, film, np.inf))


def _changed(new: Array, old: Array) -> bool:
    return bool(np.max(np.abs(new - old) - RESOLVE_ABOVE * old) > 0.0)


@dataclass(frozen=True)
class _Prepared:
    """A solver, and the conductivity (m,) S/m and the electrode's conductance (n,) S that it was prepared for."""

    sigma: Array
    link: Array
    solver: Solver

    @staticmethod
    def of(engine: Engine, operator: Operator, sigma: Array, link: Array, ground: Held) -> _Prepared:
        return _Prepared(sigma, link, engine.solver(operator, link, fixed=ground.mask))

    def serves(self, sigma: Array, link: Array) -> bool:
        """Whether nothing has changed by more than :data:`PREPARE_ABOVE`."""
        return all(
            bool(np.all(new <= PREPARE_ABOVE * old) and np.all(old <= PREPARE_ABOVE * new))
            for new, old in ((sigma, self.sigma), (link, self.link))
        )


@dataclass
class RfaSource:
    """The potential for 1 V between the electrodes, kept until the conductivity has changed by more than 2 %."""

    spec: Rfa
    engine: Engine
    conductivity: ElectricalConductivity
    cuts: CutEdges | None
    node_conductivity: ElectricalConductivity
    thermal_conductivity: Array
    factor: Array
    coolant: Contact | None
    ground: Held
    span: float
    events: tuple[float, ...]
    devices: tuple[Device, ...]
    warnings: tuple[str, ...]
    summary: Mapping[str, Reading] = field(default_factory=dict)
    _sigma: Array | None = None
    _link: Array = field(default_factory=lambda: np.zeros(0))
    _potential: Array | None = None
    _prepared: _Prepared | None = None
    _volume_heat: Array = field(default_factory=lambda: np.zeros(0))
    _wall_heat: Array = field(default_factory=lambda: np.zeros(0))
    _conductance: float = 0.0
    _voltage: float = 0.0

    @property
    def impedance(self) -> float:
        """Voltage over current, ohm."""
        return 1.0 / self._conductance

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Potential (V rms) and absorbed power (W/m3) as they acted last."""
        assert self._potential is not None
        power = self._voltage**2 * (self._volume_heat + self._wall_heat)
        volume = self.engine.volume
        density = np.divide(power, volume, out=np.zeros_like(power), where=volume > 0)
        return {"potential": (self._voltage * self._potential, "V"), "absorbed_power": (density, "W/m^3")}

    def solve(self, temperature: Array, *, cooled: bool = True) -> None:
        """Bring the potential up to date with the temperature (n,) degC, if the conductivity has changed enough."""
        sigma = self.conductivity(self.engine.to_cells(temperature))
        link = self.link(temperature, cooled)
        if self._sigma is not None and not (_changed(sigma, self._sigma) or _changed(link, self._link)):
            return
        operator = self.engine.conductance(sigma, self.cuts)
        if self._prepared is None or not self._prepared.serves(sigma, link):
            self._prepared = _Prepared.of(self.engine, operator, sigma, link, self.ground)
        potential = self._prepared.solver.adapted(operator, link).solve(
            link, values=self.ground.value, guess=self._potential,
            tolerance=FIRST_TOLERANCE if self._potential is None else TOLERANCE,
        )  # fmt: skip
        self._settle(sigma, link, operator, potential)

    def link(self, temperature: Array, cooled: bool) -> Array:
        """Conductance (n,) S between the electrode's wall and each node, at the mean of their temperatures.

        Taken at the node's own temperature, a cooled electrode on coarse voxels would have a tenth too little
        resistance: the tissue at its wall, which the current must cross first, is as cold as the wall.
        """
        near = np.flatnonzero(self.factor)
        wall = temperature[near]
        if cooled and self.coolant is not None:
            back = np.broadcast_to(np.asarray(self._share_returned()), self.factor.shape)[near]
            wall = self.coolant.temperature * (1.0 - back) + wall * back
        link = np.zeros_like(self.factor)
        sigma = self.node_conductivity.take(near)(0.5 * (temperature[near] + wall))
        link[near] = sigma * self.factor[near]
        return link

    def _settle(self, sigma: Array, link: Array, operator: Operator, potential: Array) -> None:
        """Joule heat per square volt; the conductance is its sum, so voltage times current is the heat to round-off."""
        self._sigma, self._link, self._potential = sigma, link, potential
        self._volume_heat = operator.dissipation(potential)
        self._wall_heat = link * (1.0 - potential) ** 2
        self._conductance = float(np.sum(self._volume_heat) + np.sum(self._wall_heat))

    def drive(self, state: State, step: float) -> Drive:
        """What acts from ``state.time`` to ``state.time + step``: Joule heat and coolant."""
        middle = state.time + 0.5 * step
        contacts = () if self.coolant is None or not self.spec.is_enabled(middle) else (self.coolant,)
        if not self.spec.is_on(middle):
            return Drive(np.zeros_like(self.engine.volume), contacts, readings=self._readings(0.0, 0.0))
        self.solve(state.temperature)
        self._voltage = self.spec.rms_voltage(self.impedance, self.span)
        power = self._volume_heat + self._wall_heat
        if contacts:
            power = power - 0.5 * self._wall_heat * (1.0 - self._share_returned())
        power = self._voltage**2 * power
        directly = self._voltage**2 * self._conductance - float(np.sum(power))
        return Drive(power, contacts, readings=self._readings(self._voltage, directly))

    def _share_returned(self) -> Array | float:
        """(n,) share of the wall's own heat that goes to the tissue, the rest going to the coolant."""
        assert self.coolant is not None
        tissue = self.thermal_conductivity * self.factor
        return np.divide(tissue, tissue + self.coolant.film)

    def _readings(self, voltage: float, directly: float) -> dict[str, Reading]:
        return {
            "power": Reading(voltage**2 * self._conductance, "W"),
            "voltage": Reading(voltage, "V"),
            "current": Reading(voltage * self._conductance, "A"),
            "impedance": Reading(self.impedance, "ohm"),
            "coolant_power": Reading(directly, "W"),
        }

    def memory(self) -> Mapping[str, Array]:
        """Conductivity and potential of the last solution, the last voltage, and what the solver was prepared for."""
        assert self._sigma is not None
        assert self._potential is not None
        assert self._prepared is not None
        return {
            "prepared_conductivity": self._prepared.sigma.copy(),
            "prepared_link": self._prepared.link.copy(),
            "conductivity": self._sigma.copy(),
            "link": self._link.copy(),
            "potential": self._potential.copy(),
            "voltage": np.array([self._voltage]),
        }

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Go on from what :meth:`memory` gave, bit for bit."""
        self._voltage = float(memory["voltage"][0])
        sigma = np.asarray(memory["conductivity"])
        link, potential = np.asarray(memory["link"]), np.asarray(memory["potential"])
        before, linked = np.asarray(memory["prepared_conductivity"]), np.asarray(memory["prepared_link"])
        operator = self.engine.conductance(before, self.cuts)
        self._prepared = _Prepared.of(self.engine, operator, before, linked, self.ground)
        self._settle(sigma, link, self.engine.conductance(sigma, self.cuts), potential)
