"""The bioheat equation as an engine marches it: what is known of the tissue, what acts in a step, what comes out.

``d(rho c v)/dt = div(k(T) grad T) + q + b (T_a - T)`` at nodes, T = T(v). The state v is the volumetric enthalpy over
the capacity of unfrozen tissue: kelvin, zero at 37 degC, equal to ``T - 37`` where tissue is neither frozen nor boiling
(enthalpy form: V. Voller, M. Cross, Int. J. Heat Mass Transfer 24 (1981) 545-556). With it no latent heat is lost
whatever the step, and single precision has its digits where they matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from thermal.domain import CutEdges
from thermal.scheme import Scheme
from thermal.units import Array, Mask

Nodes = npt.NDArray[np.intp]
Precision = Literal["single", "double"]

BODY_TEMPERATURE = 37.0
"""degC, at which tissue properties are tabulated; the zero of the enthalpy."""
BOILING = 100.0
"""degC, water at atmospheric pressure."""
LEAST = 0.05
"""Share of the conductivity at 37 degC that a negative slope leaves at least."""
BUDGET = ("source", "perfusion", "boundary", "probes", "held")
"""Lines of the energy ledger, J; positive into the tissue."""


@dataclass(frozen=True)
class PhaseChange:
    """Temperatures between which latent heat is taken up, degC, and the heat itself (n,) J/m3."""

    start: float
    end: float
    latent: Array


@dataclass(frozen=True)
class Freezing:
    """``width`` (n,) K: how far v falls between liquidus and solidus (degC; equal for a sharp front). ``ratio`` (n,):
    capacity of frozen over that of unfrozen tissue."""

    solidus: float
    liquidus: float
    width: Array
    ratio: Array


@dataclass(frozen=True)
class Boiling:
    """``width`` (n,) K: how far v rises between ``start`` and ``end`` (degC)."""

    start: float
    end: float
    width: Array


@dataclass(frozen=True)
class Enthalpy:
    """Relation between v (K) and temperature (degC) of nodes; ``capacity`` (n,) J/m3/K of unfrozen tissue."""

    capacity: Array
    freezing: Freezing | None = None
    boiling: Boiling | None = None

    @staticmethod
    def build(
        capacity: Array,
        freezing: PhaseChange | None = None,
        frozen_capacity: Array | None = None,
        boiling: PhaseChange | None = None,
    ) -> Enthalpy:
        """Relation for tissue that may freeze and may boil; arrays (n,), ``frozen_capacity`` J/m3/K."""
        ice = steam = None
        if freezing is not None:
            assert frozen_capacity is not None
            ratio = frozen_capacity / capacity
            width = freezing.latent / capacity + 0.5 * (1.0 + ratio) * (freezing.end - freezing.start)
            ice = Freezing(freezing.start, freezing.end, width, ratio)
        if boiling is not None:
            width = boiling.latent / capacity + (boiling.end - boiling.start)
            steam = Boiling(boiling.start, boiling.end, width)
        return Enthalpy(capacity, ice, steam)

    @property
    def liquid(self) -> tuple[float, float]:
        """Liquidus and start of boiling, degC; infinite where there is none."""
        return (
            -np.inf if self.freezing is None else self.freezing.liquidus,
            np.inf if self.boiling is None else self.boiling.start,
        )

    def take(self, nodes: Nodes) -> Enthalpy:
        """The same relation at a selection of the nodes."""
        ice, steam = self.freezing, self.boiling
        return Enthalpy(
            self.capacity[nodes],
            None if ice is None else Freezing(ice.solidus, ice.liquidus, ice.width[nodes], ice.ratio[nodes]),
            None if steam is None else Boiling(steam.start, steam.end, steam.width[nodes]),
        )

    def temperature(self, v: Array) -> Array:
        """Temperature, (n,) degC."""
        result = v + BODY_TEMPERATURE
        ice, steam = self.freezing, self.boiling
        if ice is not None and (cold := np.flatnonzero(result < ice.liquidus)).size:
            below = ice.liquidus - result[cold]
            width = ice.width[cold]
            mushy = np.minimum(below, width) * ((ice.liquidus - ice.solidus) / width)
            result[cold] = ice.liquidus - mushy - np.maximum(below - width, 0.0) / ice.ratio[cold]
        if steam is not None and (hot := np.flatnonzero(result > steam.start)).size:
            above = result[hot] - steam.start
            width = steam.width[hot]
            wet = np.minimum(above, width) * ((steam.end - steam.start) / width)
            result[hot] = steam.start + wet + np.maximum(above - width, 0.0)
        return np.asarray(result)

    def content(self, temperature: Array) -> Array:
        """v, (n,) K; at a sharp phase change that of the warmer phase."""
        result = temperature - BODY_TEMPERATURE
        ice, steam = self.freezing, self.boiling
        if ice is not None and (cold := np.flatnonzero(temperature < ice.liquidus)).size:
            range_, below = ice.liquidus - ice.solidus, ice.liquidus - temperature[cold]
            part = np.minimum(below / range_, 1.0) if range_ > 0.0 else 1.0
            frozen = np.maximum(below - range_, 0.0) * ice.ratio[cold]
            result[cold] = ice.liquidus - BODY_TEMPERATURE - ice.width[cold] * part - frozen
        if steam is not None and (hot := np.flatnonzero(temperature > steam.start)).size:
            range_, above = steam.end - steam.start, temperature[hot] - steam.start
            dry = np.maximum(above - range_, 0.0)
            result[hot] = steam.start - BODY_TEMPERATURE + steam.width[hot] * np.minimum(above / range_, 1.0) + dry
        return np.asarray(result)

    def smallest_capacity(self) -> Array:
        """(n,) J/m3/K, for the spectral bound."""
        return self.capacity if self.freezing is None else self.capacity * np.minimum(self.freezing.ratio, 1.0)


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

    @cached_property
    def rises(self) -> bool:
        """Whether the conductivity of unfrozen tissue depends on the temperature anywhere."""
        return bool(np.any(self.slope))

    def take(self, nodes: Nodes) -> Conductivity:
        """The same relation at a selection of the places."""
        frozen = None if self.frozen is None else self.frozen[nodes]
        return Conductivity(self.at_37[nodes], self.slope[nodes], frozen, self.solidus, self.liquidus)

    def __call__(self, temperature: Array) -> Array:
        """W/m/K at ``temperature`` (degC)."""
        return self.with_ice(self.unfrozen(temperature), temperature)

    def mean(self, one: Array, other: Array) -> Array:
        """W/m/K, the mean over all temperatures between ``one`` and ``other`` (degC).

        The bend at 100 degC is left out, and the slope of unfrozen tissue below the liquidus.
        """
        low, high = np.minimum(one, other), np.maximum(one, other)
        if self.frozen is None:
            return self.unfrozen(0.5 * (low + high))
        above, below = np.maximum(low, self.liquidus), np.minimum(high, self.liquidus)
        iceless = self.unfrozen(np.full_like(low, self.liquidus))
        ice = self._ice_to(np.minimum(low, self.liquidus)) - self._ice_to(below)
        warm = np.maximum(high - above, 0.0) * self.unfrozen(0.5 * (above + np.maximum(high, above)))
        cold = np.maximum(below - low, 0.0) * iceless + ice * (self.frozen - iceless)
        span = high - low
        return np.where(span > 1e-9, (warm + cold) / np.maximum(span, 1e-9), self(low))

    def _ice_to(self, temperature: Array) -> Array:
        """K: the share of frozen conductivity, integrated from ``temperature`` (degC) up to the liquidus."""
        below, width = self.liquidus - temperature, self.liquidus - self.solidus
        mushy = np.minimum(below, width)
        return np.asarray(below - mushy + (0.5 * mushy**2 / width if width > 0.0 else 0.0))

    def unfrozen(self, temperature: Array) -> Array:
        """W/m/K at ``temperature`` (degC) if nothing froze."""
        if not self.rises:
            return self.at_37
        rise = np.minimum(temperature, BOILING)
        rise -= BODY_TEMPERATURE
        rise *= self.slope
        rise += 1.0
        np.maximum(rise, LEAST, out=rise)
        rise *= self.at_37
        return rise

    def with_ice(self, unfrozen: Array, temperature: Array) -> Array:
        """W/m/K of tissue whose unfrozen conductivity is given, as far as it is frozen at ``temperature`` (degC)."""
        if self.frozen is None:
            return unfrozen
        value = unfrozen.copy()
        cold = np.flatnonzero(temperature < self.liquidus)
        ice = frozen_share(temperature[cold], self.solidus, self.liquidus)
        value[cold] += ice * (self.frozen[cold] - value[cold])
        return value


def frozen_share(temperature: Array, solidus: float, liquidus: float) -> Array:
    """Share of the way from unfrozen to frozen conductivity, between none at ``liquidus`` and all at ``solidus``."""
    width = liquidus - solidus
    if width > 0.0:
        return np.asarray(np.clip((liquidus - temperature) / width, 0.0, 1.0))
    return np.asarray(temperature < liquidus, dtype=float)


@dataclass(frozen=True)
class CutConductivity:
    """Edges beside cut cells: factors (e,) of ``unfrozen`` tissue and those as ``frozen``, None where nothing freezes.

    Between solidus and liquidus (degC) they go over into each other as the conductivity does, at the mean temperature
    of the edge's nodes.
    """

    unfrozen: CutEdges
    frozen: Array | None = None
    solidus: float = 0.0
    liquidus: float = 0.0

    @staticmethod
    def of(
        unfrozen: CutEdges | None, frozen: CutEdges | None, solidus: float, liquidus: float
    ) -> CutConductivity | None:
        """Both on the same edges; None where there are none of either."""
        every = [edges for edges in (unfrozen, frozen) if edges is not None]
        if not every:
            return None
        nodes = _of_either([edges.nodes for edges in every])
        plain = np.ones(len(nodes))
        warm, cold = (plain if edges is None else edges.at(nodes) for edges in (unfrozen, frozen))
        return CutConductivity(CutEdges(nodes, warm), cold, solidus, liquidus)

    def with_ice(self, ends: Array) -> CutEdges:
        """The edges when the temperature of their ends is ``ends`` (e, 2) degC."""
        if self.frozen is None:
            return self.unfrozen
        ice = frozen_share(ends.mean(axis=1), self.solidus, self.liquidus)
        warm = self.unfrozen.factors
        return replace(self.unfrozen, factors=warm + ice * (self.frozen - warm))

    def take(self, take: Callable[[CutEdges], CutEdges]) -> CutConductivity:
        """The same of a selection of the edges, which ``take`` makes and numbers anew."""
        frozen = None if self.frozen is None else take(replace(self.unfrozen, factors=self.frozen)).factors
        return replace(self, unfrozen=take(self.unfrozen), frozen=frozen)

    def largest(self) -> CutEdges:
        """The larger of both factors of each edge, for the spectral bound of what could freeze."""
        warm = self.unfrozen.factors
        return replace(self.unfrozen, factors=warm if self.frozen is None else np.maximum(warm, self.frozen))


def _of_either(lists: Sequence[Nodes]) -> Nodes:
    """Pairs of nodes (e, 2), sorted, that are in any of the ``lists``."""
    size = max(int(pairs.max(initial=0)) for pairs in lists) + 1
    keys = np.unique(np.concatenate([pairs[:, 0] * size + pairs[:, 1] for pairs in lists]))
    return np.stack(np.divmod(keys, size), axis=1)


@dataclass(frozen=True)
class HeatProblem:
    """What does not change in time. ``film`` (n,) W/K towards outside temperatures, ``border`` (n,) W: film times the
    outside temperature (degC) plus prescribed flux; ``perfusion`` (n,) W/K at full flow. ``cuts``: edges beside cut
    cells, if there are any."""

    relation: Enthalpy
    cells: Conductivity
    arterial_temperature: float
    film: Array
    border: Array
    perfusion: Array
    cuts: CutConductivity | None = None


@dataclass(frozen=True)
class Touch:
    """A probe at the nodes that it touches (t,): shape ``factor`` m, coolant ``film`` W/K, tissue ``conductivity``."""

    nodes: Nodes
    factor: Array
    film: Array
    temperature: float
    conductivity: Conductivity

    def conductance(self, temperature: Array) -> Array:
        """(t,) W/K between each node, at ``temperature`` (t,), and the probe's coolant or wall.

        What lies between wall and node is at all temperatures from one to the other, of which heat sees the mean
        conductivity (G. Kirchhoff): at a cold probe most of it is ice before the node itself begins to freeze.
        """
        wall = temperature + (self.temperature - temperature) / (1.0 + self._bare(self.conductivity(temperature)))
        return self._through(self.conductivity.mean(wall, temperature))

    def frozen(self) -> Array:
        """(t,) W/K when all of the tissue at it is frozen, for the spectral bound."""
        return self._through(self.conductivity(np.full(self.nodes.size, self.conductivity.solidus - 1.0)))

    def _bare(self, conductivity: Array) -> Array:
        """(t,) conductance of the tissue over that of the film."""
        return self.factor * conductivity / self.film

    def _through(self, conductivity: Array) -> Array:
        """(t,) W/K of tissue and film one after the other."""
        return np.asarray(self.factor * conductivity / (1.0 + self._bare(conductivity)))


@dataclass(frozen=True)
class Action:
    """What acts during one step; the same array again means the same values again.

    ``power`` (n,) W of all sources; ``blood`` (n,) W/K: ``w rho_b c_b`` times nodal volume, as far as it still flows
    (frozen tissue has none in any case); ``free`` (n,): nodes whose temperature is not prescribed.
    """

    power: Array
    blood: Array
    free: Mask
    touches: tuple[Touch, ...] = ()


@dataclass(frozen=True)
class HeatState:
    """What a march works on in place, all (n,): v in K, temperature, lowest and highest temperature so far, degC."""

    v: Array
    temperature: Array
    coldest: Array
    hottest: Array


@dataclass(frozen=True)
class Rates:
    """At the start of a step: ``decay`` 1/s bounds the decay rates of the linearised equation; ``heating``
    K/s is the largest rate of change of v of a free node."""

    decay: float
    heating: float


@dataclass(frozen=True)
class Stepped:
    """A step done. ``lines`` (5,) J of :data:`BUDGET`; ``stored`` J gained by the free nodes; ``error`` K: estimate of
    the local error, None where ice or vapour would make every node's change of phase look like one."""

    lines: Array
    stored: float
    error: float | None


@dataclass(frozen=True)
class Flow:
    """How fast things change at one instant: v by ``rate`` (n,) K/s, zero at nodes that are not free; what goes through
    the lines (5,) W of :data:`BUDGET`."""

    rate: Array
    lines: Array


class HeatStepper(Protocol):
    """The bioheat equation on one engine. Holds the arrays of one step between :meth:`begin` and :meth:`advance`."""

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """Take up a step from ``state``, in which nodes that are not free have their prescribed values.

        Conductivity of unfrozen tissue and of probes' contacts is that at ``middle()`` (n,) degC, the temperature
        foreseen in the middle of the step; that of ice follows its front within the step.
        """
        ...

    def advance(self, step: float, stages: int) -> Stepped:
        """One Runge-Kutta-Legendre step of ``step`` s on the state in place; nodes that are not free stay as they are.

        Raises ``FloatingPointError``, the state being as before, when the result is not finite.
        """
        ...

    def leap(self, step: float, scheme: Scheme) -> Stepped | None:
        """One step of ``step`` s by a ``scheme`` for linear equations, on the state in place.

        None, and the state as before, where ice or vapour come in, so that the equation is not linear. What else makes
        it so (coefficients that follow the temperature, probes) is the caller's to know. ``error`` is what a step of
        :meth:`advance` as long as this one would have had. Raises ``FloatingPointError``, the state being as before,
        when the result is not finite.
        """
        ...

    def ends(self) -> tuple[Flow, Flow]:
        """The flows at the start and at the end of the step done last."""
        ...
