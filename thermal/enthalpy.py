"""How the enthalpy, the temperature and the conductivity of tissue hang together, with ice and vapour.

The state of the heat equation, v, is the volumetric enthalpy over the capacity of unfrozen tissue: kelvin, zero at
37 degC, equal to ``T - 37`` where tissue is neither frozen nor boiling (enthalpy form: V. Voller, M. Cross, Int. J.
Heat Mass Transfer 24 (1981) 545-556). With it no latent heat is lost whatever the step, and single precision has its
digits where they matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from thermal.domain import CutEdges, of_either
from thermal.units import Array

Nodes = npt.NDArray[np.intp]

BODY_TEMPERATURE = 37.0
"""degC, at which tissue properties are tabulated; the zero of the enthalpy."""
BOILING = 100.0
"""degC, water at atmospheric pressure."""
NARROWEST = 1e-12
"""K by which v falls at least while tissue freezes: some has no latent heat, and may do so at one temperature."""
LEAST = 0.05
"""Share of the conductivity at 37 degC that a negative slope leaves at least."""


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
    """Relation between v (K) and temperature (degC) of nodes."""

    freezing: Freezing | None = None
    boiling: Boiling | None = None

    @staticmethod
    def build(
        capacity: Array,
        freezing: PhaseChange | None = None,
        frozen_capacity: Array | None = None,
        boiling: PhaseChange | None = None,
    ) -> Enthalpy:
        """Relation for tissue that may freeze and may boil; arrays (n,): ``capacity`` of unfrozen tissue and
        ``frozen_capacity``, J/m3/K. Raises ``ValueError`` for latent heats or capacities that no tissue has."""
        ice = steam = None
        for what, phase in (("freezing", freezing), ("boiling", boiling)):
            if phase is not None:
                _check_latent(what, phase.latent, capacity)
        if freezing is not None:
            assert frozen_capacity is not None
            ratio = frozen_capacity / capacity
            width = freezing.latent / capacity + 0.5 * (1.0 + ratio) * (freezing.end - freezing.start)
            ice = Freezing(freezing.start, freezing.end, np.maximum(width, NARROWEST), ratio)
        if boiling is not None:
            width = boiling.latent / capacity + (boiling.end - boiling.start)
            steam = Boiling(boiling.start, boiling.end, width)
        return Enthalpy(ice, steam)

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

    def stiffness(self) -> Array:
        """Capacity of unfrozen tissue over the smallest that it may have, for the spectral bound: (n,), or (1,) for all
        nodes where nothing freezes."""
        return np.ones(1) if self.freezing is None else 1.0 / np.minimum(self.freezing.ratio, 1.0)


def _check_latent(what: str, latent: Array, capacity: Array) -> None:
    """Raise ``ValueError`` unless latent heat (n,) J/m3 and ``capacity`` (n,) J/m3/K are those of tissue."""
    if latent.shape != capacity.shape:
        raise ValueError(
            f"the latent heat of {what} has the shape {latent.shape}, which does not fit {capacity.size} nodes; give "
            "one number a node"
        )
    bad = np.flatnonzero(~((latent >= 0.0) & (latent < np.inf) & (capacity > 0.0) & (capacity < np.inf)))
    if bad.size:
        raise ValueError(
            f"{bad.size} of {latent.size} nodes have a latent heat of {what} that is negative, infinite or NaN, or no "
            f"heat capacity, the first is node {bad[0]} with {latent[bad[0]]:g} J/m3 and {capacity[bad[0]]:g} J/m3/K"
        )


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
        nodes = of_either([edges.nodes for edges in every])
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
