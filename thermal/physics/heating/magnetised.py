"""Heat of magnetic particles as a source: constant, or computed again as the tissue warms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from thermal.library import Sourced
from thermal.physics.scene import Device, Drive, Payload, Reading, State, due_times
from thermal.units import Array

LATTICE = 2.0
"""K between temperatures at which the loss is computed; linear between them. A loss that changes by 3 % a kelvin, and
by a tenth more or less in ten, is then good to 1e-3."""


@dataclass
class Warmed:
    """Loss of the particles in W/m3 at the nodes where there are any (k,), by temperature."""

    payload: Payload
    loaded: npt.NDArray[np.intp]
    amplitude: Array
    frequency: float
    size: int
    known: dict[int, Array] = field(default_factory=dict)

    @classmethod
    def of(cls, payload: Payload, amplitude: Array, frequency: float) -> Warmed:
        """``amplitude`` (n,) A/m, peak."""
        nodes = np.flatnonzero(payload.concentration > 0)
        return cls(payload, nodes, amplitude[nodes], frequency, len(amplitude))

    def density(self, temperature: Array | None) -> Array:
        """(n,) W/m3 where the tissue has ``temperature`` (n,) degC; at the particles' own temperature for none."""
        found = np.zeros(self.size)
        if self.payload.specific_absorption_rate is None or not len(self.loaded):
            return found
        if temperature is None:
            found[self.loaded] = self._loss(None)
            return found
        place = temperature[self.loaded] / LATTICE
        below = np.floor(place).astype(int)
        for step in np.unique(below):
            here = below == step
            share = place[here] - step
            low, high = self._at(int(step)), self._at(int(step) + 1)
            found[self.loaded[here]] = (1.0 - share) * low[here] + share * high[here]
        return found

    def _at(self, step: int) -> Array:
        if step not in self.known:
            self.known[step] = self._loss(step * LATTICE)
        return self.known[step]

    def _loss(self, temperature: float | None) -> Array:
        assert self.payload.specific_absorption_rate is not None
        rate = self.payload.specific_absorption_rate(self.amplitude, self.frequency, temperature)
        return np.asarray(self.payload.concentration[self.loaded] * rate)


class Generator(Protocol):
    """What the source must know of its specification."""

    @property
    def temperature_update(self) -> float | None:
        """s between computations, or never."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """Coils."""
        ...

    def is_on(self, time: float) -> bool:
        """Whether the field is on at ``time`` s."""
        ...

    def switch_times(self, duration: float) -> tuple[float, ...]:
        """Times in s at which it switches."""
        ...


class MagneticPower:
    """A :class:`~thermal.physics.scene.Source`: the heat of particles and eddy currents while the field is on."""

    ticks: tuple[float, ...] = ()
    library: tuple[Sourced, ...] = ()

    def __init__(
        self,
        spec: Generator,
        warmed: Warmed,
        volume: Array,
        eddies: Array,
        duration: float,
        fields: Mapping[str, tuple[Array, str]],
        summary: Mapping[str, Reading],
        warnings: tuple[str, ...],
    ) -> None:
        self._spec, self._warmed, self._volume, self._eddies = spec, warmed, volume, eddies
        self._own_fields, self._own_summary = fields, summary
        self._particles = warmed.density(None)
        self._updates = 0
        self._due = due_times(spec.temperature_update, duration)
        self.devices, self.warnings = spec.devices, warnings
        self.events = tuple(sorted({*spec.switch_times(duration), *self._due.tolist()}))
        self._power()

    def _power(self) -> None:
        self._density = self._particles + self._eddies
        self._on = self._density * self._volume
        self._total = float(np.sum(self._on))

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """The field and the power density of the moment."""
        return {**self._own_fields, "absorbed_power": (self._density, "W/m^3")}

    @property
    def summary(self) -> Mapping[str, Reading]:
        """The power ledger of the moment."""
        return {
            "heating.power": Reading(self._total, "W"),
            "heating.power_particles": Reading(float(self._particles @ self._volume), "W"),
            "heating.power_eddies": Reading(float(self._eddies @ self._volume), "W"),
            **self._own_summary,
        }

    def drive(self, state: State, step: float) -> Drive:
        """The power while the field is on."""
        every = self._spec.temperature_update
        passed = int(np.searchsorted(self._due, state.time + 1e-6))
        if every is not None and (passed > self._updates or (state.time == 0.0 and self._updates == 0)):
            self._updates = passed
            self._particles = self._warmed.density(state.temperature)
            self._power()
        on = self._spec.is_on(state.time + 0.5 * step)
        return Drive(
            self._on if on else np.zeros_like(self._on),
            readings={"power": Reading(self._total if on else 0.0, "W")},
            steady=every is None,
        )

    def memory(self) -> Mapping[str, Array]:
        """The heat of the particles where it changes, and how many times that was due."""
        if self._spec.temperature_update is None:
            return {}
        return {"particles": self._particles.copy(), "updates": np.array([float(self._updates)])}

    def recall(self, memory: Mapping[str, Array]) -> None:
        """The heat of then."""
        if memory:
            self._updates, self._particles = int(memory["updates"][0]), np.asarray(memory["particles"])
            self._power()
