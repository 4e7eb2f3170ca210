"""Arrhenius kinetics: the law by which coagulation is usually judged."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from thermal import library
from thermal.physics.damage.law import Sense, Unbound, mean_exponential, share_above
from thermal.units import (
    GAS_CONSTANT,
    ZERO_CELSIUS,
    ActivationEnergy,
    Array,
    FrequencyFactor,
    Temperature,
    parse,
    quantity,
)

ARRHENIUS_CAP = 1e3  # Omega beyond which nothing is left to kill
ARRHENIUS_FLOOR = 1e-3  # Omega below which nothing has happened, as far as the border of the zone is concerned
BELOW_BREAK = 4.0
"""Factor per kelvin by which the rate falls below the break: 1/R of CEM43 below 43 degC."""


def arrhenius_rate(temperature: npt.ArrayLike, frequency_factor: float, activation_energy: float) -> Array:
    """dOmega/dt = A exp(-Ea / (R T)) in 1/s at temperatures in degC; A in 1/s, Ea in J/mol. F. C. Henriques (1947)."""
    kelvin = np.asarray(temperature, dtype=np.float64) + ZERO_CELSIUS
    return np.asarray(np.exp(np.log(frequency_factor) - activation_energy / (GAS_CONSTANT * kelvin)))


def arrhenius_ramp(
    T_start: Array, T_end: Array, duration: npt.ArrayLike, frequency_factor: float, activation_energy: float
) -> Array:
    """Omega gathered while T goes linearly from ``T_start`` to ``T_end`` (degC) in ``duration`` s; all broadcast.

    Where ln(rate) changes by less than 1/2: three-point Gauss-Legendre, relative error below 1e-8. Elsewhere exact:
    the integral of exp(-a/T) dT is a [E2(x)/x] from x = a/T_end to a/T_start, a = Ea/R, E2 the exponential integral.
    """
    first, last, lasting = np.broadcast_arrays(
        np.asarray(T_start, dtype=np.float64), np.asarray(T_end, dtype=np.float64), np.asarray(duration)
    )
    a = activation_energy / GAS_CONSTANT
    hottest = np.maximum(first, last) + ZERO_CELSIUS
    coldest = np.minimum(first, last) + ZERO_CELSIUS
    steep = a * (hottest - coldest) / (coldest * hottest) > 0.5
    middle, half = 0.5 * (first + last), 0.5 * (last - first)
    node = half * np.sqrt(0.6)
    total = 8.0 * arrhenius_rate(middle, frequency_factor, activation_energy)
    for temperature in (middle - node, middle + node):
        total = total + 5.0 * arrhenius_rate(temperature, frequency_factor, activation_energy)
    omega = lasting * total / 18.0
    if np.any(steep):
        from scipy.special import expn

        x_hot, x_cold = a / hottest[steep], a / coldest[steep]
        integral = a * (expn(2, x_hot) / x_hot - expn(2, x_cold) / x_cold)
        omega[steep] = lasting[steep] * frequency_factor * integral / (hottest[steep] - coldest[steep])
    return np.asarray(omega)


def fraction_killed(omega: npt.ArrayLike) -> Array:
    """1 - exp(-Omega)."""
    return np.asarray(-np.expm1(-np.asarray(omega, dtype=np.float64)))


class Arrhenius(Unbound):
    """First-order kinetics: dOmega/dt = A exp(-Ea/RT) above the onset; Omega = 1 leaves 37 % of the cells alive.

    Either ``parameters`` or both constants; without any, the set ``jacques_liver``.
    """

    kind: ClassVar[str] = "arrhenius"
    sense: ClassVar[Sense] = "heat"
    unit: ClassVar[str] = "1"
    long_name: ClassVar[str] = "Arrhenius damage"
    measure_unit: ClassVar[str] = "1"

    parameters: str | None = None
    """parameter set of the library; jacques_liver when nothing is given"""
    frequency_factor: FrequencyFactor | None = None
    """A, instead of a set"""
    activation_energy: ActivationEnergy | None = None
    """Ea, instead of a set"""
    onset: Temperature = 40.0
    """damage counts from this temperature on; taken literally, published sets kill tissue at 37 degC"""
    break_temperature: Temperature | None = None
    """below it the rate falls by a factor of 4 per kelvin, as that of CEM43 does below 43 degC, where survival curves
    of cells break (S. A. Sapareto, W. C. Dewey 1984); without it the rate is that of the set down to the onset"""
    threshold: Annotated[float, *quantity("", gt=ARRHENIUS_FLOOR, lt=ARRHENIUS_CAP)] = 1.0
    """Omega from which tissue counts as dead"""

    @model_validator(mode="after")
    def _one_way(self) -> Arrhenius:
        given = (self.frequency_factor is not None) + (self.activation_energy is not None)
        if given == 1 or (given and self.parameters is not None):
            raise ValueError(
                'give either parameters = "jacques_liver" or both frequency_factor and activation_energy; '
                f"known sets: {', '.join(library.names('damage'))}"
            )
        if not given:
            library.entry("damage", self.set_name)
        return self

    @property
    def set_name(self) -> str:
        """Name of the library's parameter set in use; "" for constants of the case."""
        return "" if self.frequency_factor is not None else self.parameters or "jacques_liver"

    @property
    def constants(self) -> tuple[float, float]:
        """A in 1/s and Ea in J/mol."""
        if self.frequency_factor is not None and self.activation_energy is not None:
            return self.frequency_factor, self.activation_energy
        raw = library.values("damage", self.set_name)
        return parse(raw["frequency_factor"], "1/s"), parse(raw["activation_energy"], "J/mol")

    @property
    def level(self) -> float:
        """ln(threshold)."""
        return float(np.log(self.threshold))

    def initial(self, n: int) -> Array:
        """No damage, (n,)."""
        return np.zeros(n)

    def rate(self, temperature: Array) -> Array:
        """1/s at temperatures (k,) degC, whatever the onset."""
        literal = arrhenius_rate(temperature, *self.constants)
        if self.break_temperature is None:
            return literal
        below = float(arrhenius_rate(self.break_temperature, *self.constants)) * BELOW_BREAK ** np.minimum(
            temperature - self.break_temperature, 0.0
        )
        return np.asarray(np.where(temperature >= self.break_temperature, literal, below))

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Omega after the step, (n,), at most 1000; nodes that stay below the onset are not touched."""
        touched = np.flatnonzero((start > self.onset) | (end > self.onset))
        touched = touched[value[touched] < ARRHENIUS_CAP]
        if touched.size == 0:
            return value
        after = value.copy()
        first, last = start[touched], end[touched]
        slow_below = self.break_temperature
        if slow_below is None or slow_below <= self.onset:
            gained = self._literal(first, last, self.onset, share_above(first, last, self.onset) * step)
        else:
            hot = 1.0 - share_above(-first, -last, -slow_below)
            at_break = float(arrhenius_rate(slow_below, *self.constants))
            gained = self._literal(first, last, slow_below, hot * step)
            gained += step * at_break * mean_exponential(first, last, BELOW_BREAK, self.onset, slow_below, slow_below)
        after[touched] = np.minimum(after[touched] + gained, ARRHENIUS_CAP)
        return after

    def _literal(self, first: Array, last: Array, least: float, duration: Array) -> Array:
        """Omega (k,) of the parts of linear ramps above ``least`` degC, which take ``duration`` (k,) s."""
        return arrhenius_ramp(np.maximum(first, least), np.maximum(last, least), duration, *self.constants)

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """ln(Omega) where the onset was passed, carried on below it, kept between ln(1e-3) and ln(1e3).

        Where temperature is linear in space Omega is nearly exponential, so its logarithm is what interpolates well
        between two nodes. In long, mild heating Omega without a break jumps at the onset from above one to zero, and
        the border of the zone is the isotherm of the onset: the measure is therefore at most that of a temperature
        excess, and nodes that stayed below the onset have what they would have gathered at their highest temperature.
        """
        gathered = np.log(
            np.clip(np.where(value > 0.0, value, elapsed * self.rate(hottest)), ARRHENIUS_FLOOR, ARRHENIUS_CAP)
        )
        steepness = self.constants[1] / (GAS_CONSTANT * (self.onset + ZERO_CELSIUS) ** 2)
        return np.asarray(np.minimum(gathered, self.level + steepness * (hottest - self.onset)))

    def shown(self, value: Array) -> Array:
        """Omega."""
        return value

    def survival(self, value: Array) -> Array:
        """exp(-Omega)."""
        living = np.ones_like(value)
        hurt = np.flatnonzero(value != 0.0)
        living[hurt] = np.exp(-np.minimum(value[hurt], 700.0))
        return living

    def sources(self) -> list[library.Sourced]:
        """The constants of the parameter set in use; nothing for constants of the case."""
        return library.sources("damage", self.set_name) if self.set_name else []
