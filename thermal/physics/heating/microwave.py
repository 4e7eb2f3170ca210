"""Microwave ablation by an empirical pattern of absorption: antennas as lines of independent radiators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from thermal.errors import CaseError
from thermal.physics.heating.applicator import Needle, contact_factor, device
from thermal.physics.heating.electrodes import Cooling
from thermal.physics.heating.pattern import LinePattern
from thermal.physics.heating.schedule import Switched, one_or_many
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Contact, Device, Drive, Reading, Scene, State
from thermal.units import Absorption, Array, Fraction, PositiveFraction, Power

LIVER = 48.0
"""1/m, attenuation of a plane wave's amplitude at 2.45 GHz where the relative permittivity is 43.0 and the conductivity
1.69 S/m: liver by S. Gabriel, R. W. Lau, C. Gabriel, Phys. Med. Biol. 41 (1996) 2271 (both values from memory)."""
BOILING, DRY = 100.0, 105.0
"""degC, between which tissue dries and stops to absorb."""
TICK = 2.5
"""s, at least so often it is looked at what has dried."""
LEAST_WITHIN = 0.9
"""Share of the power that lies within the tissue of the window, below which a warning is given."""


class Microwave(Switched):
    """Antennas that heat by an **empirical** pattern: each point of the radiating length sends out power evenly, which
    tissue absorbs on its way as exp(-2 attenuation distance). No field is solved for.

    What has dried (from 100 degC on) absorbs ``dry_absorption`` of that; the rest is absorbed by the tissue around in
    proportion, so that the power stays what it is.
    """

    makes: ClassVar[tuple[str, ...]] = ("absorbed_power",)
    kind: Literal["microwave"]
    power: Power
    """that the generator gives to each antenna"""
    efficiency: PositiveFraction = 1.0
    """share of it that tissue absorbs: what cable and antenna do not lose and what is not reflected"""
    antenna: Annotated[
        tuple[Needle, ...], BeforeValidator(one_or_many, json_schema_input_type=Needle | tuple[Needle, ...])
    ] = Field(min_length=1)
    """one table or a list: {entry, tip, radius, active_length}, of which the active length radiates"""
    attenuation: Annotated[Absorption, Field(gt=0.0)] = LIVER
    """of the wave's amplitude in tissue; liver at 2.45 GHz (about 22 1/m at 915 MHz)"""
    dry_absorption: Fraction = 0.1
    """absorption of dry tissue over that of wet tissue (unverified: dielectric losses fall by some ten times)"""
    cooling: Cooling | None = None
    """coolant inside the antennas; without it they are insulated against heat"""

    @property
    def coldest(self) -> float:
        """The coolant's temperature, degC."""
        return math.inf if self.cooling is None else self.cooling.temperature

    @property
    def places(self) -> tuple[str, ...]:
        """Key of each antenna in the case file."""
        if len(self.antenna) == 1:
            return ("heating.antenna",)
        return tuple(f"heating.antenna[{index}]" for index in range(len(self.antenna)))

    @property
    def devices(self) -> tuple[Device, ...]:
        """The antennas."""
        return tuple(
            device("antenna", f"antenna {index + 1}", antenna, place)
            for index, (antenna, place) in enumerate(zip(self.antenna, self.places, strict=True))
        )

    def prepare(self, scene: Scene) -> PlainSource:
        """The pattern on the nodes. Raises ``CaseError`` for antennas outside of the tissue."""
        engine = scene.engine
        problems: list[str] = []
        contacts: list[Contact] = []
        wet = np.zeros_like(engine.volume)
        for antenna, place in zip(self.antenna, self.places, strict=True):
            try:
                factor = contact_factor(engine, engine.contact, antenna, place)
                if self.cooling is not None:
                    contacts.append(self.cooling.contact(engine, (antenna,), factor, place))
            except CaseError as error:
                problems += error.problems
                continue
            wet += LinePattern.of(antenna.probe, self.attenuation).nodal(engine)
        if problems:
            raise CaseError(*problems)
        wet *= self.efficiency * self.power
        within = float(np.sum(wet)) / (len(self.antenna) * self.efficiency * self.power)
        idle, pattern = np.zeros_like(wet), Absorbed(wet, self.dry_absorption)

        def act(state: State, step: float) -> Drive:
            middle = state.time + 0.5 * step
            running = tuple(contacts) if self.is_enabled(middle) else ()
            power = pattern.power(state.temperature) if self.is_on(middle) else idle
            return Drive(power, running, readings={"power": Reading(float(np.sum(power)), "W")})

        density = np.divide(wet, engine.volume, out=np.zeros_like(wet), where=engine.volume > 0)
        return PlainSource(
            act,
            self.switch_times(scene.duration),
            self.devices,
            {"absorbed_power": (density, "W/m^3")},
            self._books(float(np.sum(wet)), within),
            self._doubts(within),
            tuple(np.arange(TICK, scene.duration, TICK).tolist()),
        )

    def _books(self, absorbed: float, within: float) -> Mapping[str, Reading]:
        return {"heating.power": Reading(absorbed, "W"), "heating.share_within": Reading(within, "")}

    def _doubts(self, within: float) -> tuple[str, ...]:
        if within >= LEAST_WITHIN:
            return ()
        return (
            f"heating: {100.0 * (1.0 - within):.0f} % of the antennas' power is absorbed beyond the tissue of the "
            "window and left out; enlarge the window",
        )


@dataclass(frozen=True)
class Absorbed:
    """Power (n,) W that wet tissue absorbs at each node, and the absorption of ``dry`` tissue over it."""

    wet: Array
    dry: float

    def power(self, temperature: Array) -> Array:
        """(n,) W at (n,) degC, the sum of which is that of wet tissue."""
        if float(np.max(temperature)) <= BOILING:
            return self.wet
        dried = np.clip((temperature - BOILING) / (DRY - BOILING), 0.0, 1.0)
        power = self.wet * (1.0 - (1.0 - self.dry) * dried**2 * (3.0 - 2.0 * dried))
        left = float(np.sum(power))
        return np.asarray(power * (float(np.sum(self.wet)) / left)) if left > 0.0 else power
