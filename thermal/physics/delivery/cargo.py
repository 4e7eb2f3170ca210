"""Particles carried through the pores: upwind along the edge fluxes of a Darcy solve, diffusion, deposition.

``d(phi c)/dt + div(f v c) = div(phi D grad c) - k phi c + s c_in`` with porosity phi, pore concentration c, fluid
velocity v (per area of tissue), hindrance f, deposition rate k and infusate s of concentration c_in.

The edge fluxes balance at every node, so no mass is lost and no concentration becomes negative. Dividing the balance by
f shows that hindered particles move as if the pores were 1/f times larger and the infusate 1/f times richer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from thermal.engine import Engine, Operator, Transport
from thermal.errors import CaseError
from thermal.physics.delivery.outcome import per_volume
from thermal.physics.scene import Held
from thermal.units import Array

FRONT_CELLS = 0.5
"""Cells that the front may pass in a step."""
MOST_STEPS = 4000
DIFFUSION_SHARE = 0.4
"""Share of the explicit limit that a diffusion step takes; below 1 no concentration turns negative."""
MOST_DIFFUSION_STEPS = 100_000


@dataclass(frozen=True)
class Pores:
    """``volume`` (n,) m3 of pores, ``deposition`` 1/s of the mobile particles."""

    volume: Array
    deposition: float


@dataclass(frozen=True)
class Cargo:
    """The particles at ``time`` s: pore ``concentration`` (n,) kg/m3, ``deposited`` (n,) kg, and sums in kg since the
    start: ``infused``, ``supplied`` by boundaries at a prescribed concentration, ``escaped`` with fluid that left."""

    time: float
    concentration: Array
    deposited: Array
    infused: float
    supplied: float
    escaped: float

    @staticmethod
    def empty(engine: Engine, held: Held, pores: Pores) -> Cargo:
        """No particles but at boundaries of prescribed concentration."""
        nothing = np.zeros_like(engine.volume)
        return Cargo(0.0, nothing, nothing, 0.0, 0.0, 0.0).hold(held, pores)

    def hold(self, held: Held, pores: Pores) -> Cargo:
        """Set the prescribed concentrations and book what that takes."""
        if not held.mask.any():
            return self
        concentration = np.where(held.mask & (pores.volume > 0), held.value, self.concentration)
        supplied = float(pores.volume @ (concentration - self.concentration))
        return replace(self, concentration=concentration, supplied=self.supplied + supplied)

    def rest(self, pores: Pores, diffusion: Operator | None, duration: float, held: Held) -> Cargo:
        """Diffusion and deposition without flow for ``duration`` s."""
        steps = _diffusion_steps(diffusion, pores, duration)
        step = duration / steps
        kept = np.exp(-pores.deposition * step)
        cargo = self
        for _ in range(steps):
            concentration, deposited = cargo.concentration, cargo.deposited
            if diffusion is not None:
                concentration = concentration - step * per_volume(diffusion(concentration), pores.volume)
            if pores.deposition > 0.0:
                deposited = deposited + (1.0 - kept) * pores.volume * concentration
                concentration = kept * concentration
            cargo = replace(cargo, time=cargo.time + step, concentration=concentration, deposited=deposited)
            cargo = cargo.hold(held, pores)
        return cargo


def _diffusion_steps(diffusion: Operator | None, pores: Pores, duration: float) -> int:
    """Explicit steps that keep every concentration positive."""
    if diffusion is None:
        return 1
    fastest = float(np.max(per_volume(diffusion.diagonal, pores.volume)))
    steps = int(np.ceil(duration * fastest / DIFFUSION_SHARE)) or 1
    if steps > MOST_DIFFUSION_STEPS:
        raise CaseError(
            f"delivery.diffusivity: {steps} steps would be needed to follow the diffusion for {duration:g} s on this "
            "grid; particles of 10 to 100 nm diffuse at 1e-12 to 1e-11 m^2/s: check the value or coarsen the grid"
        )
    return steps


@dataclass(frozen=True)
class Stream:
    """Steady flow of the fluid in units in which hindered particles move with it.

    ``injected`` (n,) m3/s at the port; ``entering`` and ``leaving`` (n,) m3/s through the boundaries.
    """

    transport: Transport
    injected: Array
    entering: Array
    leaving: Array
    inlet: Array
    """(n,) kg/m3, scaled: of the infusate, or of the fluid outside where there is no port"""
    concentration: float
    hindrance: float
    held: Held

    @staticmethod
    def through(
        engine: Engine,
        operator: Operator,
        pressure: Array,
        injected: Array,
        concentration: float,
        hindrance: float,
        held: Held,
        outside: Held,
    ) -> Stream:
        """Flow of a pressure solve: ``injected`` (n,) m3/s of an infusate with ``concentration`` kg/m3.

        At nodes of ``held`` pressure the rest of the balance crosses the boundary; what enters there brings the
        concentration ``outside``.
        """
        crossing = np.where(held.mask, injected - operator(pressure), 0.0)
        entering, leaving = np.maximum(-crossing, 0.0), np.maximum(crossing, 0.0)
        brought = np.where(outside.mask, outside.value, 0.0)
        mass = injected * concentration / hindrance + entering * brought
        inlet = np.divide(mass, injected + entering, out=np.zeros_like(mass), where=injected + entering > 0)
        return Stream(
            engine.transport(operator, pressure), injected, entering, leaving, inlet, concentration, hindrance, outside
        )

    def carry(self, cargo: Cargo, pores: Pores, diffusion: Operator | None, duration: float) -> Iterator[Cargo]:
        """The particles after every step until the end of the infusion."""
        capacity = pores.volume / self.hindrance
        depositing = pores.deposition * pores.volume
        sink = self.leaving + depositing / self.hindrance
        inflow = self.injected + self.entering
        residence = np.divide(capacity, self.transport.outflow, out=np.full_like(capacity, np.inf),
                              where=(self.transport.outflow > 0) & (capacity > 0))  # fmt: skip
        full = self.concentration / self.hindrance
        rate = float(np.sum(self.injected)) * self.concentration
        brought = self.hindrance * (inflow * self.inlet - self.injected * full)
        while cargo.time < duration:
            left = duration - cargo.time
            step = min(left, self._front_step(cargo.concentration, full, residence))
            step = max(step, min(left, duration / MOST_STEPS))
            new = self.transport.advance(cargo.concentration, capacity, inflow, self.inlet, sink, step)
            cargo = Cargo(
                duration if step == left else cargo.time + step,
                new,
                cargo.deposited + step * depositing * new,
                cargo.infused + step * rate,
                cargo.supplied + step * float(np.sum(brought)),
                cargo.escaped + step * self.hindrance * float(self.leaving @ new),
            ).hold(self.held, pores)
            if diffusion is not None:
                now = cargo.time
                still = replace(pores, deposition=0.0)
                cargo = replace(cargo.rest(still, diffusion, step, self.held), time=now)
            yield cargo

    def _front_step(self, concentration: Array, full: float, residence: Array) -> float:
        """Time in which the median node at the front is passed by a share of a cell; before that, at the port."""
        front = (concentration > 0.1 * full) & (concentration < 0.9 * full) & np.isfinite(residence)
        if not front.any():
            front = (self.injected > 0) & np.isfinite(residence)
        return FRONT_CELLS * float(np.median(residence[front])) if front.any() else np.inf
