"""Intratumoral infusion through a needle: Darcy flow, transport in the pores, deposition, diffusion after.

``div(K grad p) = -s`` with the hydraulic conductivity K and the infused volume per tissue volume and time s (Darcy's
law with a source, as in L. T. Baxter, R. K. Jain, Microvasc. Res. 37 (1989) 77-104, unverified). The pressure is
steady: it builds up and relaxes at once when the pump is switched. How the particles ride on the flow: :mod:`.cargo`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import model_validator

from thermal.domain import Ball, Line
from thermal.engine import Engine, Operator, node_widths
from thermal.errors import CaseError
from thermal.physics.delivery.cargo import Cargo, Pores, Stream
from thermal.physics.delivery.outcome import Delivered, Progress, Site, dose_readings, per_volume, silent
from thermal.physics.far_field import held_or_far
from thermal.physics.scene import Device, Held, Reading
from thermal.physics.tissue import Tissues
from thermal.units import (
    Array,
    Concentration,
    Diffusivity,
    Duration,
    Flow,
    Length,
    Point,
    PositiveFraction,
    Rate,
    Spec,
    quantity,
)

OPENING_PRESSURE = 1e5
"""Pa, above which tissue opens or tears rather than lets fluid seep; order of magnitude only, unverified."""
MOST_PECLET = 2.0
"""Speed times cell over diffusivity, above which upwind transport spreads more than diffusion does."""
MOST_SMEAR = 0.15
"""Smearing of the front over its radius from which it is worth a warning: some nine cells to the radius."""
PRESSURE_TOLERANCE = 1e-11
"""Of the pressure solve: its residual is what may lift the concentration above that of the infusate."""


class Infusion(Spec):
    """Constant flow through a port at the needle's tip, then a wait."""

    kind: Literal["infusion"]
    entry: Point
    """where the needle enters, for pictures"""
    tip: Point
    """centre of the port"""
    port_radius: Length
    """radius of the sphere through whose surface the infusate enters the tissue"""
    flow: Flow
    """volume of infusate per time"""
    duration: Duration
    """of the infusion"""
    concentration: Concentration
    """mass of particles per volume of infusate"""
    wait: Annotated[float, *quantity("s", ge=0, le=1e9)] = 0.0
    """time between the end of the infusion and the start of heating, in which particles diffuse and deposit"""
    diffusivity: Diffusivity = 0.0
    """of the particles in the pores; zero: too large to diffuse over a cell"""
    hindrance: PositiveFraction = 1.0
    """speed of the particles over that of the fluid"""
    deposition_rate: Rate = 0.0
    """rate at which mobile particles stick to the tissue"""

    @model_validator(mode="after")
    def _has_direction(self) -> Infusion:
        if self.entry == self.tip:
            raise ValueError("entry and tip are the same point; the needle needs a direction")
        return self

    @property
    def devices(self) -> tuple[Device, ...]:
        """The needle."""
        shape = Line(self.entry, self.tip, self.port_radius)
        return (Device("needle", "infusion needle", shape, Ball(self.tip, self.port_radius), "delivery.tip"),)

    @property
    def time(self) -> float:
        """Infusion and wait, s."""
        return self.duration + self.wait

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region lacks hydraulic conductivity or porosity."""
        tissues.require(("hydraulic_conductivity", "porosity"), 'delivery.kind = "infusion"')

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """Solve the flow, carry the particles, let them diffuse. Raises ``CaseError`` for a tip outside the tissue."""
        engine, tissues = site.engine, site.tissues
        weights, resistance = self._port(engine)
        permeability = tissues.cells("hydraulic_conductivity", 'delivery.kind = "infusion"')
        porosity = tissues.nodes("porosity", 'delivery.kind = "infusion"')
        pores = Pores(porosity * engine.volume, self.deposition_rate)
        needed_by = 'delivery.kind = "infusion"'
        operator = engine.conductance(permeability, tissues.cuts("hydraulic_conductivity", needed_by))
        held = held_or_far(engine, site.pressure)
        held = Held(held.mask & (engine.volume > 0), held.value)
        pressure = self._pressure(engine, operator, weights, held)
        local = float(weights @ engine.to_nodes(permeability))
        port_pressure = float(weights @ pressure) + self.flow * resistance / local

        diffusion = None
        if self.diffusivity > 0.0:
            spread = tissues.cells("porosity", 'delivery.kind = "infusion"') * self.diffusivity
            diffusion = engine.conductance(spread, tissues.cuts("porosity", needed_by))
        injected = weights * self.flow
        stream = Stream.through(
            engine, operator, pressure, injected, self.concentration, self.hindrance, held, site.concentration
        )
        cargo = Cargo.empty(engine, site.concentration, pores)
        history = []
        for carried in stream.carry(cargo, pores, diffusion, self.duration):
            cargo = carried
            progress(cargo.time / (self.duration + self.wait))
            history.append(self._row(cargo, pores, port_pressure))
        reached = self._reach(engine, cargo)
        if self.wait > 0.0:
            cargo = cargo.rest(pores, diffusion, self.wait, site.concentration)
            history.append(self._row(cargo, pores, 0.0))
        progress(1.0)

        mass = pores.volume * cargo.concentration + cargo.deposited
        bulk = per_volume(mass, engine.volume)
        return Delivered(
            bulk,
            {
                **dose_readings(site, mass, bulk * site.tumour_volume, cargo.infused),
                **self._ledger(cargo, pores),
                "delivery.port_pressure": Reading(port_pressure, "Pa"),
                "delivery.infused_volume": Reading(self.flow * self.duration, "m^3"),
                "delivery.distribution_volume": Reading(reached, "m^3"),
                "delivery.distribution_radius": Reading(float(np.cbrt(0.75 * reached / np.pi)), "m"),
                "delivery.steps": Reading(float(len(history)), ""),
            },
            {
                "pore_concentration": (cargo.concentration, "kg/m^3"),
                "deposited_concentration": (per_volume(cargo.deposited, engine.volume), "kg/m^3"),
                "pressure": (pressure, "Pa"),
            },
            self.devices,
            tuple(history),
            (*self._warnings(port_pressure, cargo), *self._smeared(engine, reached, porosity)),
        )

    def _port(self, engine: Engine) -> tuple[Array, float]:
        try:
            return engine.spread(Ball(self.tip, self.port_radius))
        except ValueError as error:
            raise CaseError(
                f"delivery.tip: the port lies outside the tissue ({error}); move it into the body"
            ) from None

    def _pressure(self, engine: Engine, operator: Operator, weights: Array, held: Held) -> Array:
        if not held.mask.any():
            raise CaseError(
                'delivery: no boundary lets fluid out; set pressure = "0 Pa" on a boundary that touches tissue'
            )
        return engine.solve(
            operator, np.zeros_like(weights), self.flow * weights,
            fixed=held.mask, values=held.value, tolerance=PRESSURE_TOLERANCE,
        )  # fmt: skip

    def _reach(self, engine: Engine, cargo: Cargo) -> float:
        """Volume of tissue whose pore fluid is at least half infusate, m3."""
        half = 0.5 * self.concentration / self.hindrance
        if half <= 0.0:
            return 0.0
        return float(engine.inside(cargo.concentration, half) @ engine.cell_volume)

    def _row(self, cargo: Cargo, pores: Pores, port_pressure: float) -> dict[str, Reading]:
        return {
            "time": Reading(cargo.time, "s"),
            "port_pressure": Reading(port_pressure, "Pa"),
            "infused": Reading(cargo.infused, "kg"),
            "mobile": Reading(float(pores.volume @ cargo.concentration), "kg"),
            "deposited": Reading(float(np.sum(cargo.deposited)), "kg"),
            "escaped": Reading(cargo.escaped, "kg"),
        }

    def _ledger(self, cargo: Cargo, pores: Pores) -> dict[str, Reading]:
        mobile, deposited = float(pores.volume @ cargo.concentration), float(np.sum(cargo.deposited))
        put_in = cargo.infused + abs(cargo.supplied)
        gap = cargo.infused + cargo.supplied - mobile - deposited - cargo.escaped
        return {
            "dose.infused": Reading(cargo.infused, "kg"),
            "dose.supplied_at_boundary": Reading(cargo.supplied, "kg"),
            "dose.mobile": Reading(mobile, "kg"),
            "dose.deposited": Reading(deposited, "kg"),
            "dose.escaped": Reading(cargo.escaped, "kg"),
            "ledger.mass_error": Reading(abs(gap) / put_in if put_in > 0 else 0.0, ""),
        }

    def _smeared(self, engine: Engine, reached: float, porosity: Array) -> tuple[str, ...]:
        """What to say when upwind transport smears the front of the infusate.

        Its numerical diffusivity is v h / 2. For a spherical front at R, whose speed falls as 1 / R^2, the variance s
        follows ds/dR = h - 4 s / R, so it becomes h R / 5.
        """
        radius = float(np.cbrt(0.75 * reached / np.pi))
        if radius <= 0.0:
            return ()
        near = np.linalg.norm(engine.points - np.asarray(self.tip), axis=1) <= radius
        near &= engine.volume > 0
        if not near.any():
            return ()
        cell = float(node_widths(engine)[near].mean())
        smear = float(np.sqrt(0.2 * cell * radius))
        speed = self.hindrance * self.flow / (4.0 * np.pi * radius**2 * float(porosity[near].mean()))
        peclet = speed * cell / self.diffusivity if self.diffusivity > 0.0 else np.inf
        if peclet <= MOST_PECLET or smear <= MOST_SMEAR * radius:
            return ()
        size = f"{peclet:.3g}" if np.isfinite(peclet) else "infinite, as nothing diffuses"
        return (
            f"delivery: the cell Peclet number at the front of the infusate is {size} (limit {MOST_PECLET:g}: "
            "S. V. Patankar, Numerical Heat Transfer and Fluid Flow, 1980), so upwind transport on cells of "
            f"{1e3 * cell:.2g} mm smears it by about {1e3 * smear:.2g} mm, {100 * smear / radius:.0f} % of its radius "
            f"of {1e3 * radius:.2g} mm; use smaller voxels around the tip",
        )

    def _warnings(self, port_pressure: float, cargo: Cargo) -> tuple[str, ...]:
        warnings = []
        if port_pressure > OPENING_PRESSURE:
            warnings.append(
                f"the port pressure of {port_pressure:.3g} Pa exceeds about {OPENING_PRESSURE:.0e} Pa: real tissue "
                "opens or tears instead, and fluid runs back along the needle (P. J. Basser, Microvasc. "
                "Res. 44 (1992) 143-165, doi:10.1016/0026-2862(92)90014-P, on tissue that dilates); lower the "
                "flow or check hydraulic_conductivity"
            )
        if cargo.escaped > 0.01 * cargo.infused:
            share = 100.0 * cargo.escaped / cargo.infused
            warnings.append(f"{share:.1f} % of the infused mass left through the boundary; enlarge the window")
        return tuple(warnings)
