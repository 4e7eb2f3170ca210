"""Damage laws: what a temperature history does to tissue.

Every law integrates its own value node by node, exactly (or nearly) for a temperature that is linear in time within a
step, and only from an onset temperature on: taken literally, published Arrhenius sets kill tissue at 37 degC within an
hour. Temperatures are degC.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from thermal import library
from thermal.units import (
    GAS_CONSTANT,
    ZERO_CELSIUS,
    ActivationEnergy,
    Array,
    FrequencyFactor,
    Spec,
    Temperature,
    parse,
    quantity,
)

ARRHENIUS_CAP = 1e3  # Omega beyond which nothing is left to kill
ARRHENIUS_FLOOR = 1e-3  # Omega below which nothing has happened, as far as the border of the zone is concerned
CEM43_CAP = 1e9  # min
DOSE_FLOOR, DOSE_CEILING = 0.25, 2.5e5  # min, a factor of 1000 to either side of the usual threshold
CEM43_ONSET = 39.0  # degC, by the definition of the dose
CEM43_BREAK = 43.0  # degC, where R goes from 0.25 to 0.5


class Law(Protocol):
    """A damage law."""

    @property
    def kind(self) -> str:
        """Name in the case file."""
        ...

    @property
    def unit(self) -> str:
        """Unit of its value."""
        ...

    @property
    def long_name(self) -> str:
        """What its value is, for fields and tables."""
        ...

    @property
    def measure_unit(self) -> str:
        """Unit of :meth:`measure`."""
        ...

    @property
    def level(self) -> float:
        """The zone is where ``measure(value) >= level``."""
        ...

    def initial(self, n: int) -> Array:
        """Value before anything happened, (n,)."""
        ...

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Value after ``step`` s in which the temperature went linearly from ``start`` to ``end`` degC; all (n,).

        ``value`` is left as it is, and handed back itself where nothing changed.
        """
        ...

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """A field whose level set at :attr:`level` is the border of the zone and that interpolates well, (n,).

        ``hottest`` (n,) degC is the highest temperature so far, ``elapsed`` s the time simulated.
        """
        ...

    def sources(self) -> list[library.Sourced]:
        """The library's numbers in use, with their sources."""
        ...


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


def cem43_ramp(T_start: npt.ArrayLike, T_end: npt.ArrayLike, duration: npt.ArrayLike) -> Array:
    """Cumulative equivalent minutes at 43 degC while T goes linearly from ``T_start`` to ``T_end`` in ``duration`` s.

    Exact. CEM43 = integral of R^(43 - T) dt, R = 0.5 from 43 degC on, 0.25 from 39 to 43 degC, nothing below:
    S. A. Sapareto and W. C. Dewey (1984), doi:10.1016/0360-3016(84)90379-1.
    """
    first, last, lasting = np.broadcast_arrays(
        np.asarray(T_start, dtype=np.float64), np.asarray(T_end, dtype=np.float64), np.asarray(duration)
    )
    minutes: Array = np.zeros(first.shape)
    hottest, coldest = np.maximum(first, last), np.minimum(first, last)
    for base, low, high in ((4.0, CEM43_ONSET, CEM43_BREAK), (2.0, CEM43_BREAK, CEM43_BREAK + 900.0)):
        passing = (hottest >= low) & (coldest < high)
        minutes[passing] += _cem43_rate(first[passing], last[passing], base, low, high)
    return np.asarray(minutes * lasting / 60.0)


def _cem43_rate(first: Array, last: Array, base: float, low: float, high: float) -> Array:
    """Mean over a linear ramp (degC) of ``base^(T - 43)`` where T lies from ``low`` to ``high``, (k,)."""
    change = last - first
    steady = np.abs(change) < 1e-9
    middle = 0.5 * (first + last)
    entering, leaving = np.clip(first, low, high), np.clip(last, low, high)
    share = np.where(steady, (middle >= low) & (middle < high), (leaving - entering) / np.where(steady, 1.0, change))
    span = np.abs(leaving - entering)
    decay = np.log(base) * span
    mean = np.where(decay > 1e-12, -np.expm1(-decay) / np.where(decay > 1e-12, decay, 1.0), 1.0)
    return np.asarray(share * base ** (np.maximum(entering, leaving) - CEM43_BREAK) * mean)


def cem43_minutes(times: npt.ArrayLike, temperatures: npt.ArrayLike) -> float:
    """CEM43 in minutes of a history given at ``times`` (k,) s by ``temperatures`` (k,) degC, linear in between."""
    t, T = np.asarray(times, dtype=np.float64), np.asarray(temperatures, dtype=np.float64)
    return float(np.sum(cem43_ramp(T[:-1], T[1:], np.diff(t))))


class Arrhenius(Spec):
    """First-order kinetics: dOmega/dt = A exp(-Ea/RT) above the onset; Omega = 1 leaves 37 % of the cells alive.

    Either ``parameters`` or both constants; without any, the set ``jacques_liver``.
    """

    kind: ClassVar[str] = "arrhenius"
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

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Omega after the step, (n,), at most 1000; nodes that stay below the onset are not touched."""
        touched = np.flatnonzero((start > self.onset) | (end > self.onset))
        touched = touched[value[touched] < ARRHENIUS_CAP]
        if touched.size == 0:
            return value
        after = value.copy()
        first, last = start[touched], end[touched]
        above = np.maximum(first, last) - self.onset
        share = np.minimum(1.0, above / np.maximum(np.abs(last - first), 1e-300))
        gained = arrhenius_ramp(
            np.maximum(first, self.onset), np.maximum(last, self.onset), share * step, *self.constants
        )
        after[touched] = np.minimum(after[touched] + gained, ARRHENIUS_CAP)
        return after

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """ln(Omega) where the onset was passed, carried on below it, kept between ln(1e-3) and ln(1e3).

        Where temperature is linear in space Omega is nearly exponential, so its logarithm is what interpolates well
        between two nodes. In long, mild heating Omega jumps at the onset from above one to zero, and the border of the
        zone is the isotherm of the onset: the measure is therefore at most that of a temperature excess, and nodes that
        stayed below the onset have what they would have gathered at their highest temperature.
        """
        frequency_factor, activation_energy = self.constants
        literal = elapsed * arrhenius_rate(hottest, frequency_factor, activation_energy)
        gathered = np.log(np.clip(np.where(value > 0.0, value, literal), ARRHENIUS_FLOOR, ARRHENIUS_CAP))
        steepness = activation_energy / (GAS_CONSTANT * (self.onset + ZERO_CELSIUS) ** 2)
        return np.asarray(np.minimum(gathered, self.level + steepness * (hottest - self.onset)))

    def sources(self) -> list[library.Sourced]:
        """The constants of the parameter set in use; nothing for constants of the case."""
        return library.sources("damage", self.set_name) if self.set_name else []


class Cem43(Spec):
    """Thermal dose: cumulative equivalent minutes at 43 degC (counts from 39 degC by its definition)."""

    kind: ClassVar[str] = "cem43"
    unit: ClassVar[str] = "min"
    long_name: ClassVar[str] = "cumulative equivalent minutes at 43 degC"
    measure_unit: ClassVar[str] = "K"

    threshold: Annotated[float, *quantity("min", gt=DOSE_FLOOR, lt=DOSE_CEILING)] = 240.0
    """dose from which tissue counts as dead"""

    @property
    def level(self) -> float:
        """log2(threshold / 1 min)."""
        return float(np.log2(self.threshold))

    def initial(self, n: int) -> Array:
        """No dose, (n,)."""
        return np.zeros(n)

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Minutes after the step, (n,), at most 1e9; nodes that stay below 39 degC are not touched."""
        touched = np.flatnonzero((start >= CEM43_ONSET) | (end >= CEM43_ONSET))
        if touched.size == 0:
            return value
        after = value.copy()
        after[touched] = np.minimum(after[touched] + cem43_ramp(start[touched], end[touched], step), CEM43_CAP)
        return after

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """log2(dose / 1 min), kept between 0.25 min and 250 000 min.

        Doubling the dose takes one kelvin more (above 43 degC), so where temperature is linear in space this is too;
        the bounds keep untouched nodes and fully dead ones from pulling the border.
        """
        return np.asarray(np.log2(np.clip(value, DOSE_FLOOR, DOSE_CEILING)))

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []


class Cryo(Spec):
    """Cold: tissue is dead where it was once at or below the lethal isotherm."""

    kind: ClassVar[str] = "cryo"
    unit: ClassVar[str] = "degC"
    long_name: ClassVar[str] = "lowest temperature"
    measure_unit: ClassVar[str] = "K"

    lethal_temperature: Annotated[float, *quantity("degC", ge=-200, le=0)] = -40.0
    """lethal isotherm; -40 degC is certain in one freeze, -20 degC the usual lower bound (Gage, Baust 1998)"""

    @property
    def level(self) -> float:
        """Minus the lethal temperature."""
        return -self.lethal_temperature

    def initial(self, n: int) -> Array:
        """Nothing yet measured: infinity, (n,)."""
        return np.full(n, np.inf)

    def accumulate(self, value: Array, start: Array, end: Array, step: float) -> Array:
        """Lowest temperature so far, (n,)."""
        if not ((end < value) | (start < value)).any():
            return value
        lower = np.minimum(start, end)
        return np.asarray(np.minimum(value, lower, out=lower))

    def measure(self, value: Array, hottest: Array, elapsed: float) -> Array:
        """Minus the lowest temperature: how far below 0 degC the tissue was, K."""
        return np.asarray(-value)

    def sources(self) -> list[library.Sourced]:
        """None: nothing comes from the library."""
        return []
