"""Solved light as a heat source: constant, or solved again as tissue coagulates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thermal.engine import Engine, Window
from thermal.errors import CaseError
from thermal.library import Sourced
from thermal.physics.light import Border, Lamp, Light, LightModel
from thermal.physics.light.turbidity import Turbidity
from thermal.physics.light.window import MINOR_SHARE, unresolved
from thermal.physics.scene import Device, Drive, Reading, State, due_times
from thermal.units import Array

COAGULATION = "arrhenius"
"""Damage law whose integral Omega says what has coagulated: the share 1 - exp(-Omega)."""
NOTICED = 0.01
"""Change of the coagulated share anywhere that makes it worth while to solve the light again."""


class Lamps(Protocol):
    """What the source must know of its specification."""

    @property
    def coagulation_update(self) -> float | None:
        """s between solutions, or never."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """Fibres and beams."""
        ...

    def is_on(self, time: float) -> bool:
        """Whether it shines at ``time`` s."""
        ...

    def switch_times(self, duration: float) -> tuple[float, ...]:
        """Times in s at which it switches."""
        ...


@dataclass(frozen=True)
class Lit:
    """The body in the light of the lamps, on the light's window; ``spacing``: of its fine part, m.

    ``glow``: emitted over absorbed power of the particles at fluence rates (W/m2), where they emit.
    """

    engine: Engine
    window: Window
    turbid: Turbidity
    lamps: tuple[Lamp, ...]
    border: Border
    model: LightModel
    spacing: float
    glow: Callable[[Array], Array] | None = None

    def solve(self, coagulated: Array) -> Light:
        """The light where the share ``coagulated`` (n,) of the tissue has coagulated; its books are closed."""
        grid = self.window.engine
        cells = grid.to_cells(self.window.to_fine(coagulated))
        light = self.model.solve(grid, self.turbid.medium(grid, cells), self.lamps, self.border)
        light.check()
        return light

    def fields(self, light: Light) -> dict[str, tuple[Array, str]]:
        """Fluence, absorbed power, and the fluence's standard error if it has one, at the nodes of the heat grid."""
        engine = self.engine
        solid = engine.volume > 0
        power = self.window.restrict(light.absorbed)
        found = {"absorbed_power": (np.divide(power, engine.volume, out=np.zeros_like(power), where=solid), "W/m^3")}
        for name, values in (("fluence", light.fluence), ("fluence_error", light.fluence_error)):
            if values is not None:
                nodes = np.zeros_like(power)
                nodes[solid] = self.window.engine.sample(values, engine.points[solid])
                found[name] = (nodes, "W/m^2")
        if self.glow is not None:
            emitted = self.window.restrict(self._emitted(light))
            found["emission"] = (np.divide(emitted, engine.volume, out=np.zeros_like(power), where=solid), "W/m^3")
        return found

    def _emitted(self, light: Light) -> Array:
        """W that the particles give back as light, at the nodes of the light's grid."""
        return light.absorbed_particles * (0.0 if self.glow is None else self.glow(light.fluence))

    def books(self, light: Light) -> dict[str, Reading]:
        """The power ledger."""
        return {
            "light.power_in": Reading(light.power, "W"),
            "light.absorbed_tissue": Reading(float(np.sum(light.absorbed_tissue)), "W"),
            "light.absorbed_particles": Reading(float(np.sum(light.absorbed_particles)), "W"),
            "light.escaped": Reading(light.escaped, "W"),
            **{f"light.escaped.{name}": Reading(power, "W") for name, power in light.left.items()},
            "light.reflected": Reading(light.reflected, "W"),
            "light.balance_error": Reading(light.balance_error, ""),
            "light.spacing": Reading(self.spacing, "m"),
            **({} if self.glow is None else {"light.emitted": Reading(float(np.sum(self._emitted(light))), "W")}),
            **{f"light.standard_error.{name}": Reading(error, "W") for name, error in light.errors},
        }

    def doubts(self, light: Light) -> tuple[str, ...]:
        """What to say about resolution, validity and light that never met the tissue."""
        grid = self.window.engine
        medium = self.turbid.medium(grid)
        found = (*unresolved(grid, medium, light, self.spacing), *self.model.doubts(grid, medium, light))
        if light.missed <= MINOR_SHARE * light.power:
            return found
        return (
            *found,
            f"{100 * light.missed / light.power:.0f} % of the light passes by or through the tissue without a "
            "collision; check position, direction and diameter of the beam",
        )


class LightPower:
    """A :class:`~thermal.physics.scene.Source`: the absorbed power of the light of the moment."""

    def __init__(self, lamps: Lamps, lit: Lit, duration: float) -> None:
        self._lamps, self._lit = lamps, lit
        self._coagulated = np.zeros_like(lit.engine.volume)
        self._updates = 0
        self._set(lit.solve(self._coagulated))
        self.devices = lamps.devices
        self.warnings = lit.doubts(self._light)
        self._due = due_times(lamps.coagulation_update, duration)
        self.events = tuple(sorted({*lamps.switch_times(duration), *self._due.tolist()}))
        self.ticks: tuple[float, ...] = ()
        self.library: tuple[Sourced, ...] = ()

    def _set(self, light: Light) -> None:
        self._light = light
        self._power = self._lit.window.restrict(light.absorbed)
        self._idle = np.zeros_like(self._power)
        self._fields: Mapping[str, tuple[Array, str]] | None = None

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Of the light as it was last solved."""
        if self._fields is None:
            self._fields = self._lit.fields(self._light)
        return self._fields

    @property
    def summary(self) -> Mapping[str, Reading]:
        """The power ledger of the light as it was last solved."""
        return self._lit.books(self._light)

    def drive(self, state: State, step: float) -> Drive:
        """The absorbed power while the lamps are on."""
        passed = int(np.searchsorted(self._due, state.time + 1e-6))
        if passed > self._updates:
            self._updates = passed
            self._solve_again(state)
        on = self._lamps.is_on(state.time + 0.5 * step)
        power = self._power if on else self._idle
        readings = {
            "power": Reading(self._light.power if on else 0.0, "W"),
            "absorbed": Reading(float(np.sum(power)), "W"),
        }
        return Drive(power, readings=readings)

    def _solve_again(self, state: State) -> None:
        if COAGULATION not in state.damage:
            raise CaseError(
                f'heating.coagulation_update: "{COAGULATION}" is not among damage.laws, and says what has coagulated; '
                "add it there"
            )
        coagulated = -np.expm1(-state.damage[COAGULATION])
        if np.max(np.abs(coagulated - self._coagulated)) > NOTICED:
            self._coagulated = coagulated
            self._set(self._lit.solve(coagulated))

    def memory(self) -> Mapping[str, Array]:
        """What had coagulated when the light was last solved, and how many times that was due; nothing where it is
        solved once."""
        if not len(self._due):
            return {}
        return {"coagulated": self._coagulated.copy(), "updates": np.array([float(self._updates)])}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Solve the light of then."""
        if not memory:
            return
        self._updates = int(memory["updates"][0])
        self._coagulated = np.asarray(memory["coagulated"])
        self._set(self._lit.solve(self._coagulated))
