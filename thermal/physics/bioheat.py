"""The Pennes bioheat equation with the volumetric enthalpy as its state.

``dH/dt = div(k(T) grad T) + w rho_b c_b (T_a - T) + q``, T = T(H) (H. H. Pennes, J. Appl. Physiol. 1 (1948) 93-122;
enthalpy form: V. Voller, M. Cross, Int. J. Heat Mass Transfer 24 (1981) 545-556). With the enthalpy as state no latent
heat is lost whatever the step, and every nonlinearity is evaluated where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from thermal.engine import Engine, Operator, inner
from thermal.physics.scene import Contact, Drive, Held
from thermal.units import Array, Mask

Nodes = npt.NDArray[np.intp]

BODY_TEMPERATURE = 37.0  # degC, at which tissue properties are tabulated; the zero of the enthalpy
BOILING = 100.0  # degC, water at atmospheric pressure
LEAST = 0.05  # share of the conductivity at 37 degC that a negative slope leaves at least
BUDGET = ("source", "perfusion", "boundary", "probes", "held")
"""Lines of the energy ledger, W in :meth:`Bioheat.rates` and J when integrated; positive into the tissue."""


@dataclass(frozen=True)
class PhaseChange:
    """Temperatures between which latent heat is taken up, degC, and the heat itself (n,) J/m3."""

    start: float
    end: float
    latent: Array


@dataclass(frozen=True)
class Enthalpy:
    """Piecewise-linear relation between volumetric enthalpy (J/m3, zero at 37 degC) and temperature (degC) of nodes.

    ``knots``: increasing temperatures (k,); ``levels``: (k, n) enthalpy there; two equal knots make a jump (a sharp
    phase change). ``below`` and ``above`` (n,): capacities J/m3/K outside the knots; ``capacity`` (n,) in between,
    where tissue is unfrozen and below boiling.
    """

    capacity: Array
    knots: tuple[float, ...] = ()
    levels: tuple[Array, ...] = ()
    below: Array | None = None
    above: Array | None = None

    @staticmethod
    def build(
        capacity: Array,
        freezing: PhaseChange | None = None,
        frozen_capacity: Array | None = None,
        boiling: PhaseChange | None = None,
    ) -> Enthalpy:
        """Relation for tissue that may freeze and may boil; arrays (n,)."""
        knots: list[float] = []
        levels: list[Array] = []
        below = above = capacity
        if freezing is not None:
            assert frozen_capacity is not None
            liquid = capacity * (freezing.end - BODY_TEMPERATURE)
            mean = 0.5 * (capacity + frozen_capacity)
            knots += [freezing.start, freezing.end]
            levels += [liquid - freezing.latent - mean * (freezing.end - freezing.start), liquid]
            below = frozen_capacity
        if boiling is not None:
            liquid = capacity * (boiling.start - BODY_TEMPERATURE)
            knots += [boiling.start, boiling.end]
            levels += [liquid, liquid + boiling.latent + capacity * (boiling.end - boiling.start)]
        return Enthalpy(capacity, tuple(knots), tuple(levels), below, above)

    def temperature(self, enthalpy: Array) -> Array:
        """Temperature, (n,) degC."""
        result = enthalpy / self.capacity
        result += BODY_TEMPERATURE
        if self._within_knots(result):
            return result
        changed = np.flatnonzero((result < self.coldest_liquid) | (result > self.hottest_liquid))
        result[changed] = self._piecewise(enthalpy[changed], changed)
        return result

    @property
    def coldest_liquid(self) -> float:
        """Liquidus, degC; minus infinity where nothing freezes."""
        return max((knot for knot in self.knots if knot < BODY_TEMPERATURE), default=-np.inf)

    @property
    def hottest_liquid(self) -> float:
        """Where boiling starts, degC; infinity where nothing boils."""
        return min((knot for knot in self.knots if knot > BODY_TEMPERATURE), default=np.inf)

    def _within_knots(self, temperature: Array) -> bool:
        return not self.knots or bool(
            temperature.min() >= self.coldest_liquid and temperature.max() <= self.hottest_liquid
        )

    def _piecewise(self, enthalpy: Array, nodes: Nodes) -> Array:
        """Temperature of a selection of the nodes through all knots."""
        assert self.below is not None
        assert self.above is not None
        levels = [level[nodes] for level in self.levels]
        result = self.knots[0] + np.minimum(enthalpy - levels[0], 0.0) / self.below[nodes]
        for index in range(len(self.knots) - 1):
            width = levels[index + 1] - levels[index]
            rise = self.knots[index + 1] - self.knots[index]
            if rise > 0.0:
                result += np.clip(enthalpy - levels[index], 0.0, width) * (rise / width)
        result += np.maximum(enthalpy - levels[-1], 0.0) / self.above[nodes]
        return np.asarray(result)

    def take(self, nodes: Nodes) -> Enthalpy:
        """The same relation at a selection of the nodes."""
        below, above = (None if side is None else side[nodes] for side in (self.below, self.above))
        return Enthalpy(self.capacity[nodes], self.knots, tuple(level[nodes] for level in self.levels), below, above)

    def plain(self, enthalpy: Array) -> bool:
        """Whether every node is unfrozen and below boiling."""
        return self._within_knots(BODY_TEMPERATURE + enthalpy / self.capacity)

    def enthalpy(self, temperature: Array) -> Array:
        """Enthalpy, (n,) J/m3; at a sharp phase change the warmer phase."""
        if not self.knots:
            return np.asarray(self.capacity * (temperature - BODY_TEMPERATURE))
        assert self.below is not None
        assert self.above is not None
        result = self.levels[0] + np.minimum(temperature - self.knots[0], 0.0) * self.below
        for index in range(len(self.knots) - 1):
            width = self.levels[index + 1] - self.levels[index]
            rise = self.knots[index + 1] - self.knots[index]
            above = temperature - self.knots[index]
            reached = np.clip(above / rise, 0.0, 1.0) if rise > 0.0 else (above >= 0.0) * 1.0
            result = result + width * reached
        result += np.maximum(temperature - self.knots[-1], 0.0) * self.above
        return np.asarray(result)

    def smallest_capacity(self) -> Array:
        """(n,) J/m3/K, for the spectral bound."""
        smallest = self.capacity
        for other in (self.below, self.above):
            if other is not None:
                smallest = np.minimum(smallest, other)
        return smallest


@dataclass(frozen=True)
class Conductivity:
    """Thermal conductivity ``k37 (1 + slope (T - 37))`` up to 100 degC, going over to ``frozen`` in the freezing range.

    Arrays are (m,) at cells or (n,) at nodes; ``frozen`` is None where nothing may freeze.
    """

    at_37: Array
    slope: Array
    frozen: Array | None = None
    solidus: float = 0.0
    liquidus: float = 0.0

    def constant(self, temperature: Array) -> bool:
        """Whether every value is the one at 37 degC."""
        warm = self.frozen is None or bool(np.all(temperature > self.liquidus))
        return warm and not self.rises

    @cached_property
    def rises(self) -> bool:
        """Whether the conductivity of unfrozen tissue depends on the temperature anywhere."""
        return bool(np.any(self.slope))

    def take(self, nodes: Nodes) -> Conductivity:
        """The same relation at a selection of the nodes."""
        frozen = None if self.frozen is None else self.frozen[nodes]
        return Conductivity(self.at_37[nodes], self.slope[nodes], frozen, self.solidus, self.liquidus)

    def __call__(self, temperature: Array) -> Array:
        """W/m/K at ``temperature`` (degC)."""
        if self.rises:
            warm = np.minimum(temperature, BOILING)
            value = np.maximum(self.at_37 * (1.0 + self.slope * (warm - BODY_TEMPERATURE)), LEAST * self.at_37)
        else:
            value = self.at_37.copy()
        if self.frozen is not None:
            cold = np.flatnonzero(temperature < self.liquidus)
            width = self.liquidus - self.solidus
            ice = np.clip((self.liquidus - temperature[cold]) / width, 0.0, 1.0) if width > 0.0 else 1.0
            value[cold] += ice * (self.frozen[cold] - value[cold])
        return np.asarray(value)


@dataclass(frozen=True)
class Surroundings:
    """What the tissue exchanges heat with besides blood and probes.

    ``film`` (n,) W/K towards outside temperatures, ``load`` (n,) W: film times the outside temperature (degC) plus
    prescribed flux. ``held``: nodes at a prescribed temperature.
    """

    film: Array
    load: Array
    held: Held


@dataclass(frozen=True)
class Bioheat:
    """Right-hand side of the bioheat equation on one engine.

    ``perfusion`` (n,) W/K: ``w rho_b c_b`` times the nodal volume of living tissue at full flow.
    """

    engine: Engine
    heat: Enthalpy
    cells: Conductivity
    nodes: Conductivity
    perfusion: Array
    arterial_temperature: float
    metabolic: Array
    surroundings: Surroundings

    @property
    def freezes(self) -> bool:
        """Whether tissue may freeze in this problem."""
        return self.cells.frozen is not None

    @cached_property
    def heat_capacity_bound(self) -> Array:
        """(n,) J/K, the smallest that each node can have."""
        return self.engine.volume * self.heat.smallest_capacity()

    @cached_property
    def _warm_operator(self) -> Operator:
        return self.engine.conductance(self.cells.at_37)

    def operator(self, temperature: Array) -> Operator:
        """Conductance operator at ``temperature`` (n,)."""
        if self.cells.constant(temperature):
            return self._warm_operator
        return self.cold_operator(temperature)

    def cold_operator(self, temperature: Array) -> Operator:
        """The same where the conductivity is known not to be that at 37 degC everywhere."""
        return self.engine.conductance(self.cells(self.engine.to_cells(temperature)))

    def touch(self, contact: Contact) -> Touch:
        """A probe's contact, reduced to the nodes that it touches."""
        nodes = np.flatnonzero(contact.factor)
        film = np.broadcast_to(np.asarray(contact.film, dtype=float), contact.factor.shape)[nodes]
        return Touch(nodes, contact.factor[nodes], film, contact.temperature, self.nodes.take(nodes))

    def balance(self, operator: Operator, drive: Drive, living: Array, free: Mask) -> Balance:
        """The heat balance of one step; ``living`` (n,) is the remaining share of the perfusion."""
        weight = free.astype(np.float64)
        blood = self.perfusion * living * weight
        film = self.surroundings.film * weight
        source = drive.power + self.metabolic
        border = self.surroundings.load * weight
        return Balance(
            bioheat=self,
            operator=operator,
            touches=tuple(self.touch(contact) for contact in drive.contacts),
            free=weight,
            kept=np.flatnonzero(~free),
            blood=blood,
            film=film if film.any() else None,
            sink=blood + film,
            load=source * weight + border + blood * self.arterial_temperature,
            source=float(source.sum()),
            full_blood=float(blood.sum()),
            full_border=float(border.sum()),
        )


@dataclass(frozen=True)
class Touch:
    """A probe at the nodes that it touches (t,): shape ``factor`` m, coolant ``film`` W/K, tissue ``conductivity``."""

    nodes: Nodes
    factor: Array
    film: Array
    temperature: float
    conductivity: Conductivity

    def conductance(self, temperature: Array) -> Array:
        """(t,) W/K between each node, at ``temperature`` (t,), and the probe's coolant or wall."""
        bare = self.factor * self.conductivity(temperature)
        return np.asarray(bare / (1.0 + bare / self.film))


@dataclass(frozen=True)
class Balance:
    """Heat flows of one step, with everything that does not depend on the temperature summed up beforehand.

    ``operator`` holds for the whole step unless there is ice, whose front moves within it. ``free`` (n,) is 1 where the
    temperature is free and 0 at the nodes ``kept``, where ``blood``, ``film``, ``sink`` (n,) W/K and ``load`` W are
    zero. ``source``: W of all sources; ``full_blood`` W/K and ``full_border`` W: sums over the free nodes.
    """

    bioheat: Bioheat
    operator: Operator
    touches: tuple[Touch, ...]
    free: Array
    kept: Nodes
    blood: Array
    film: Array | None
    sink: Array
    load: Array
    source: float
    full_blood: float
    full_border: float

    def flow(self, temperature: Array) -> tuple[Array, Array]:
        """Heat flow into each free node (n,) W, and its sums by line of :data:`BUDGET` (5,) W."""
        bioheat = self.bioheat
        cold = bioheat.freezes and bool(temperature.min() <= bioheat.cells.liquidus)
        flow = (bioheat.cold_operator(temperature) if cold else self.operator)(temperature)
        flow += self.sink * temperature
        np.subtract(self.load, flow, out=flow)
        flow[self.kept] = 0.0
        blood = bioheat.arterial_temperature * self.full_blood - inner(self.blood, temperature)
        if cold:
            frozen = np.flatnonzero(temperature <= bioheat.cells.liquidus)
            stopped = self.blood[frozen] * (bioheat.arterial_temperature - temperature[frozen])
            flow[frozen] -= stopped
            blood -= float(stopped.sum())
        border = self.full_border - (inner(self.film, temperature) if self.film is not None else 0.0)
        probes = 0.0
        for touch in self.touches:
            near = temperature[touch.nodes]
            heat = touch.conductance(near) * (touch.temperature - near) * self.free[touch.nodes]
            flow[touch.nodes] += heat
            probes += float(heat.sum())
        lines = np.array([self.source, blood, border, probes, 0.0])
        lines[4] = float(flow.sum()) - lines.sum()
        return flow, lines

    def fastest_rate(self, temperature: Array, free: Mask) -> float:
        """Upper bound of the decay rates of the linearised equation, 1/s (Gershgorin)."""
        total = self.operator.bound + self.sink
        for touch in self.touches:
            total[touch.nodes] += touch.conductance(temperature[touch.nodes])
        rate = np.divide(total, self.bioheat.heat_capacity_bound, out=np.zeros_like(total), where=free)
        return float(rate.max(initial=0.0))
