"""Solved light as a heat source: constant, or solved again as tissue coagulates and particles lose their shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thermal.engine import Engine, Window
from thermal.errors import CaseError
from thermal.library import Sourced
from thermal.physics.heating.shape_loss import ShapeLoss
from thermal.physics.light import Border, Lamp, Light, LightModel, Medium
from thermal.physics.light.nearness import near_fibres
from thermal.physics.light.reading import fluence_at
from thermal.physics.light.turbidity import Turbidity
from thermal.physics.light.window import MINOR_SHARE, unresolved
from thermal.physics.scene import Device, Drive, Reading, State, due_times
from thermal.units import Array

COAGULATION = "arrhenius"
"""Damage law whose integral Omega says what has coagulated: the share 1 - exp(-Omega)."""
NOTICED = 0.01
"""Change of the coagulated share anywhere that makes it worth while to solve the light again."""
MOST_PULSES = 30
"""Solutions in a row, as light reaches deeper past particles that have lost their shape."""


class Lamps(Protocol):
    """What the source must know of its specification."""

    @property
    def coagulation_update(self) -> float | None:
        """s between solutions as tissue coagulates, or never."""
        ...

    @property
    def reshaping_update(self) -> float:
        """s between looks at particles that may lose their shape."""
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

    ``turbid`` is kept on the heat grid: on the window's it would outweigh the light.
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
    shapes: ShapeLoss | None = None

    def solve(self, coagulated: Array, lost: Array) -> Light:
        """The light where the share ``coagulated`` (n,) of the tissue has coagulated and the share ``lost`` (n,) of the
        particles has lost its shape; its books are closed."""
        light = self.model.solve(self.window.engine, self._changed(coagulated, lost), self.lamps, self.border)
        light.check()
        return light

    def fading(self, coagulated: Array, lost: Array) -> Array:
        """mu_eff of the same at the nodes of the light's grid, 1/m."""
        grid = self.window.engine
        return grid.to_nodes(self._changed(coagulated, lost).effective_attenuation(grid))

    def _changed(self, coagulated: Array, lost: Array) -> Medium:
        cells = self.window.engine.to_cells(self.window.to_fine(coagulated))
        return self._medium(cells, self.window.to_fine(lost))

    def _medium(self, coagulated: Array | float = 0.0, lost: Array | float = 0.0) -> Medium:
        """What the light meets on its grid, at cells (m,) and nodes (n,) of which these shares have changed."""
        return self.turbid.on(self.window).medium(self.window.engine, coagulated, lost)

    def heat(self, light: Light, lost: Array) -> Array:
        """W that warm each node of the heat grid, (n,), where the share ``lost`` (n,) of the particles has lost its
        shape."""
        return self.window.restrict(light.absorbed - self._unheated(light, lost))

    def _unheated(self, light: Light, lost: Array) -> Array:
        """W that particles take up and give back as light of another colour, at the nodes of the light's grid."""
        return light.absorbed_particles * self.turbid.unheated(self.window.to_fine(lost))

    def at_nodes(self, values: Array) -> Array:
        """A field of the light's grid at the nodes of the heat grid, (n,)."""
        nodes, solid = np.zeros_like(self.engine.volume), self.engine.volume > 0
        nodes[solid] = self.window.engine.sample(values, self.engine.points[solid])
        return nodes

    def fields(self, light: Light, lost: Array) -> dict[str, tuple[Array, str]]:
        """Fluence, absorbed power (what of it warms) and, where there is one, the fluence's standard error, at the
        nodes of the heat grid."""
        engine = self.engine
        solid = engine.volume > 0
        power = self.heat(light, lost)
        found = {"absorbed_power": (np.divide(power, engine.volume, out=np.zeros_like(power), where=solid), "W/m^3")}
        for name, values in (("fluence", light.fluence), ("fluence_error", light.fluence_error)):
            if values is not None:
                found[name] = (self.at_nodes(values), "W/m^2")
        if self.glow is not None:
            emitted = self.window.restrict(self._emitted(light))
            found["emission"] = (np.divide(emitted, engine.volume, out=np.zeros_like(power), where=solid), "W/m^3")
        return found

    def _emitted(self, light: Light) -> Array:
        """W that the particles give back as light, at the nodes of the light's grid."""
        return light.absorbed_particles * (0.0 if self.glow is None else self.glow(light.fluence))

    def books(self, light: Light, lost: Array) -> dict[str, Reading]:
        """The power ledger."""
        grid = self.window.engine
        unheated = float(np.sum(self._unheated(light, lost)))
        return {
            "light.power_in": Reading(light.power, "W"),
            "light.absorbed_tissue": Reading(float(np.sum(light.absorbed_tissue)), "W"),
            "light.absorbed_particles": Reading(float(np.sum(light.absorbed_particles)), "W"),
            **({} if unheated == 0.0 else {"light.unheated": Reading(unheated, "W")}),
            "light.escaped": Reading(light.escaped, "W"),
            **{f"light.escaped.{name}": Reading(power, "W") for name, power in light.left.items()},
            "light.reflected": Reading(light.reflected, "W"),
            "light.balance_error": Reading(light.balance_error, ""),
            "light.spacing": Reading(self.spacing, "m"),
            "light.share_near_fibres": Reading(near_fibres(grid, self._medium(), light, self.lamps)[0], ""),
            **({} if self.glow is None else {"light.emitted": Reading(float(np.sum(self._emitted(light))), "W")}),
            **{f"light.standard_error.{name}": Reading(error, "W") for name, error in light.errors},
        }

    def doubts(self, light: Light) -> tuple[str, ...]:
        """What to say about resolution, validity and light that never met the tissue."""
        grid = self.window.engine
        medium = self._medium()
        found = (*unresolved(grid, medium, light, self.spacing), *self.model.doubts(grid, medium, light, self.lamps))
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
        self._lost = np.zeros_like(lit.engine.volume)
        self._updates = 0
        self._set(lit.solve(self._coagulated, self._lost))
        self._shed(None)
        self.devices = lamps.devices
        self.warnings = lit.doubts(self._light)
        whitening = due_times(lamps.coagulation_update, duration)
        shedding = due_times(None if lit.shapes is None else lamps.reshaping_update, duration)
        self._due = np.unique(np.concatenate([whitening, shedding]))
        self.events = tuple(sorted({*lamps.switch_times(duration), *self._due.tolist()}))
        self.ticks: tuple[float, ...] = ()
        self.library: tuple[Sourced, ...] = ()

    def _set(self, light: Light) -> None:
        self._light = light
        self._power = self._lit.heat(light, self._lost)
        self._idle = np.zeros_like(self._power)
        self._fields: Mapping[str, tuple[Array, str]] | None = None
        self._read: dict[bytes, float] = {}
        self._fading: Array | None = None

    def _shed(self, temperature: Array | None) -> None:
        """Solve the light again and again as particles lose their shape, until no more do."""
        if self._lit.shapes is None:
            return
        for _ in range(MOST_PULSES):
            lost = self._lit.shapes.after(self._lost, self._lit.at_nodes(self._light.fluence), temperature)
            if np.array_equal(lost, self._lost):
                return
            self._lost = lost
            self._set(self._lit.solve(self._coagulated, lost))

    def finer(self, name: str, at: Array) -> float | None:
        """Fluence rate between the nodes of the light's grid, as light falls off there."""
        if name != "fluence":
            return None
        place = at.tobytes()
        if place not in self._read:
            if self._fading is None:
                self._fading = self._lit.fading(self._coagulated, self._lost)
            self._read[place] = fluence_at(self._lit.window.engine, self._light.fluence, self._fading, at)
        return self._read[place]

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Of the light as it was last solved."""
        if self._fields is None:
            lost = {} if self._lit.shapes is None else {"reshaped": (self._lost, "")}
            self._fields = {**self._lit.fields(self._light, self._lost), **lost}
        return self._fields

    @property
    def summary(self) -> Mapping[str, Reading]:
        """The power ledger of the light as it was last solved."""
        books = self._lit.books(self._light, self._lost)
        if self._lit.shapes is None:
            return books
        return {**books, "light.reshaped_share": Reading(self._lit.shapes.share(self._lost), "")}

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
        return Drive(power, readings=readings, steady=not len(self._due))

    def _solve_again(self, state: State) -> None:
        if self._lamps.coagulation_update is not None:
            if COAGULATION not in state.damage:
                raise CaseError(
                    f'heating.coagulation_update: "{COAGULATION}" is not among damage.laws, and says what has '
                    "coagulated; add it there"
                )
            coagulated = -np.expm1(-state.damage[COAGULATION])
            if np.max(np.abs(coagulated - self._coagulated)) > NOTICED:
                self._coagulated = coagulated
                self._set(self._lit.solve(coagulated, self._lost))
        self._shed(state.temperature)

    def memory(self) -> Mapping[str, Array]:
        """What had coagulated and been reshaped when the light was last solved, and how many times that was due;
        nothing where it is solved once."""
        if not len(self._due):
            return {}
        return {
            "coagulated": self._coagulated.copy(),
            "reshaped": self._lost.copy(),
            "updates": np.array([float(self._updates)]),
        }

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Solve the light of then."""
        if not memory:
            return
        self._updates = int(memory["updates"][0])
        self._coagulated, self._lost = np.asarray(memory["coagulated"]), np.asarray(memory["reshaped"])
        self._set(self._lit.solve(self._coagulated, self._lost))
