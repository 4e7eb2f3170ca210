"""The quasi-static potential between electrodes, and its Joule heat.

``div(sigma(T) grad phi) = 0`` with root-mean-square potentials, ``q = sigma |grad phi|^2`` (M. Trujillo, E. Berjano,
Int. J. Hyperthermia 29 (2013) 590-597, doi:10.3109/02656736.2013.807438). Electrodes enter through the same sub-grid
conductance as a cryoprobe.

Discrete power balance. With sub-grid conductances ``g_i`` between an electrode (at V) and the nodes, the edge form of
the Joule heat (see ``Operator.dissipation``) plus ``g_i (V - phi_i)^2`` of all electrodes sums to ``V I``. Half of each
term belongs to either end of its edge, so half of the sub-grid part belongs to the electrode's wall. If the wall is
insulated that half flows back into the node. If it is cooled, it enters at the wall between coolant and tissue and
returns in the share G / (G + film). For a wall at fixed temperature, constant sigma and k, and both electrodes at T0,
the steady temperature is then ``T0 + sigma phi (V - phi) / 2k`` at every node exactly: the classical relation of
temperature and potential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thermal.domain import CutEdges
from thermal.engine import Engine, Operator, Solver, inner
from thermal.physics.heating.electrodes import Electrode
from thermal.physics.scene import Held
from thermal.units import Array

RESOLVE_ABOVE = 0.02
"""Relative change of the conductivity of any cell after which the potential is solved again."""
COUNT_ABOVE = 0.002
"""The same after which the conductance is taken anew with the potential that is there. The heat is least for the true
one (Dirichlet), so that power and impedance are off by the square of the change, and not by the change itself."""
PREPARE_ABOVE = 30.0
"""Factor by which the conductivity of any cell has changed when the solver is prepared anew: only what dries or is wet
again changes so much. A solver kept that long takes 1.2 times the iterations; preparing one costs as much as four."""
FIRST_TOLERANCE = 1e-8
"""Of the first potential, on the residual; the power, quadratic in its error, is much better."""
TOLERANCE = 1e-5
"""Of the later ones, which start from those before. Summed over all nodes the heat is then off by some 1e-5: far less
than what :data:`RESOLVE_ABOVE` lets pass. A tolerance of 3e-4 takes less than half of the iterations, a tenth of a run,
but leaves up to 0.05 K at the worst node, which then differs between engines and number of ranks."""
BOILING = 100.0
"""degC, at which tissue begins to dry and to lose its conductivity."""
DRY = 105.0
"""degC, at which it has lost it. A sharper drop makes the coupled problem oscillate."""
DRY_SHARE = 1e-2
"""Share of the conductivity at 100 degC that is left in dry tissue. Unverified: the literature uses 1e-2 to 1e-4."""
BODY = 37.0
"""degC, at which electrical conductivities are tabulated."""


@dataclass(frozen=True)
class ElectricalConductivity:
    """sigma(T), S/m: linear between 0 and 100 degC, then falling smoothly (log-cubic) to its dry value.

    ``at_body`` S/m at 37 degC and ``rise`` S/m/K, of cells (m,) or nodes (n,).
    """

    at_body: Array
    rise: Array

    def take(self, places: npt.NDArray[np.intp]) -> ElectricalConductivity:
        """The same relation at a selection of the places."""
        return ElectricalConductivity(self.at_body[places], self.rise[places])

    def __call__(self, temperature: Array) -> Array:
        """S/m at the temperature of the places, degC."""
        sigma = np.clip(temperature, 0.0, BOILING)
        sigma -= BODY
        sigma *= self.rise
        sigma += self.at_body
        np.maximum(sigma, DRY_SHARE * self.at_body, out=sigma)
        hot = np.flatnonzero(temperature > BOILING)  # powers of every cell would take longer than all the rest
        dried = np.minimum((temperature[hot] - BOILING) / (DRY - BOILING), 1.0)
        sigma[hot] *= DRY_SHARE ** (dried**2 * (3.0 - 2.0 * dried))
        return sigma


def _changed(new: Array, old: Array, by: float) -> bool:
    change = new - old
    np.abs(change, out=change)
    change -= by * old
    return bool(np.max(change, initial=-np.inf) > 0.0)


@dataclass(frozen=True)
class _Prepared:
    """A solver, and the conductivity (m,) S/m and the electrodes' conductance (n,) S that it was prepared for."""

    sigma: Array
    link: Array
    solver: Solver

    @staticmethod
    def of(engine: Engine, operator: Operator, sigma: Array, link: Array, ground: Held) -> _Prepared:
        return _Prepared(sigma, link, engine.solver(operator, link, fixed=ground.mask))

    def serves(self, sigma: Array, link: Array) -> bool:
        """Whether nothing has changed by more than :data:`PREPARE_ABOVE`."""
        return all(
            bool(np.all(new <= PREPARE_ABOVE * old) and np.all(old <= PREPARE_ABOVE * new))
            for new, old in ((sigma, self.sigma), (link, self.link))
        )


@dataclass(frozen=True)
class _Conductors:
    """``sigma`` (m,) S/m, and ``links`` (t,) S of each electrode, zero for one that is not connected."""

    sigma: Array
    links: tuple[Array, ...]

    def differ(self, last: _Conductors, by: float) -> bool:
        """Whether any has changed by more than ``by``, relative to the ``last``."""
        pairs = zip((self.sigma, *self.links), (last.sigma, *last.links), strict=True)
        return any(_changed(new, old, by) for new, old in pairs)


@dataclass(frozen=True)
class _Solution:
    """``potential`` (n,) for 1 V between the sides of the generator, and what it was solved for."""

    conductors: _Conductors
    potential: Array


@dataclass
class Circuit:
    """The potential for 1 V, kept until the conductivity has changed by more than 2 % or the connections have; the
    conductance follows more closely."""

    engine: Engine
    conductivity: ElectricalConductivity
    cuts: CutEdges | None
    node_conductivity: ElectricalConductivity
    electrodes: tuple[Electrode, ...]
    ground: Held
    """prescribed potentials per volt"""
    tolerance: float = TOLERANCE
    """of every potential but the first, which is solved to :data:`FIRST_TOLERANCE` if that is less"""
    volume_heat: Array = field(default_factory=lambda: np.zeros(0))
    """(n,) W per square volt at the last solution, of the tissue between nodes"""
    wall_heats: tuple[Array, ...] = ()
    """(t,) W per square volt likewise, of each electrode's sub-grid part"""
    conductance: float = 0.0
    """S, current per volt"""
    _solution: _Solution | None = None
    _counted: _Conductors | None = None
    """what the conductance was taken with"""
    _scale: float = 1.0
    """of the heat since the solution"""
    _turn: Array | None = None
    """(n,) how the potential changed from the solution before the last to the last"""
    _prepared: _Prepared | None = None

    @property
    def potential(self) -> Array:
        """(n,) for 1 V between the sides of the generator."""
        assert self._solution is not None
        return self._solution.potential

    def solve(self, temperature: Array, connected: tuple[bool, ...], *, cooled: bool = True) -> None:
        """Bring the potential up to date with the temperature (n,) degC, if anything has changed enough."""
        sigma = self.conductivity(self.engine.to_cells(temperature))
        links = tuple(
            self.link(electrode, temperature, cooled) * on
            for electrode, on in zip(self.electrodes, connected, strict=True)
        )
        new, last = _Conductors(sigma, links), self._solution
        if last is not None and not new.differ(last.conductors, RESOLVE_ABOVE):
            if self._counted is not None and new.differ(self._counted, COUNT_ABOVE):
                self._count(new, self._sum(*self._dissipated(new, self.engine.conductance(sigma, self.cuts))))
            return
        operator, link = self.engine.conductance(sigma, self.cuts), self._spread(links)
        if self._prepared is None or not self._prepared.serves(sigma, link):
            self._prepared = _Prepared.of(self.engine, operator, sigma, link, self.ground)
        driven = self._spread(tuple(g * e.active for g, e in zip(links, self.electrodes, strict=True)))
        potential = self._prepared.solver.adapted(operator, link).solve(
            driven, values=self.ground.value, guess=None if last is None else self._foreseen(operator, link, driven),
            tolerance=min(FIRST_TOLERANCE, self.tolerance) if last is None else self.tolerance,
        )  # fmt: skip
        self._turn = None if last is None else potential - last.potential
        self._settle(_Solution(new, potential), operator)

    def _foreseen(self, operator: Operator, link: Array, driven: Array) -> Array:
        """(n,) the last potential, gone on as it went before: so far that least power is dissipated (Dirichlet)."""
        last, turn = self.potential, self._turn
        if turn is None:
            return last
        image = operator(turn) + link * turn
        steepness = inner(turn, image)
        return last + (inner(driven, turn) - inner(last, image)) / steepness * turn if steepness > 0.0 else last

    def link(self, electrode: Electrode, temperature: Array, cooled: bool) -> Array:
        """Conductance (t,) S between the electrode's wall and each node, at the mean of their temperatures.

        Taken at the node's own temperature, a cooled electrode on coarse voxels would have a tenth too little
        resistance: the tissue at its wall, which the current must cross first, is as cold as the wall.
        """
        wall = electrode.wall(temperature, cooled)
        sigma = self.node_conductivity.take(electrode.nodes)(0.5 * (temperature[electrode.nodes] + wall))
        return np.asarray(sigma * electrode.factor)

    def _spread(self, links: tuple[Array, ...]) -> Array:
        """(n,) sum over all electrodes of what they have at the nodes they touch."""
        whole = np.zeros_like(self.engine.volume)
        for electrode, link in zip(self.electrodes, links, strict=True):
            whole[electrode.nodes] += link
        return whole

    def _settle(self, solution: _Solution, operator: Operator) -> None:
        """Joule heat per square volt; the conductance is its sum, so voltage times current is the heat to round-off."""
        self._solution = solution
        self.volume_heat, self.wall_heats = self._dissipated(solution.conductors, operator)
        self._count(solution.conductors, self._sum(self.volume_heat, self.wall_heats))

    def _count(self, conductors: _Conductors, conductance: float) -> None:
        """Scale the heat to what the potential dissipates in other ``conductors``. Its places stay what they are: in
        series with other tissue, what conducts better is heated less, not more."""
        self._counted, self.conductance = conductors, conductance
        self._scale = conductance / self._sum(self.volume_heat, self.wall_heats)

    def _dissipated(self, conductors: _Conductors, operator: Operator) -> tuple[Array, tuple[Array, ...]]:
        potential = self.potential
        walls = tuple(
            link * (float(electrode.active) - potential[electrode.nodes]) ** 2
            for electrode, link in zip(self.electrodes, conductors.links, strict=True)
        )
        return operator.dissipation(potential), walls

    @staticmethod
    def _sum(volume: Array, walls: tuple[Array, ...]) -> float:
        return float(np.sum(volume)) + sum(float(np.sum(heat)) for heat in walls)

    def heat(self, cooled: bool) -> Array:
        """(n,) W per square volt that the tissue gets, all but what goes directly to running coolants."""
        shares = [0.5 + 0.5 * e.returned if cooled else np.ones(e.nodes.size) for e in self.electrodes]
        walls = tuple(heat * share for heat, share in zip(self.wall_heats, shares, strict=True))
        return self._scale * (self.volume_heat + self._spread(walls))

    def memory(self) -> Mapping[str, Array]:
        """Conductivity and potential of the last solution, its turn, what its heat was taken with, and what the solver
        was prepared for."""
        assert self._solution is not None
        assert self._counted is not None
        assert self._prepared is not None
        return {
            "prepared_conductivity": self._prepared.sigma.copy(),
            "prepared_link": self._prepared.link.copy(),
            "conductivity": self._solution.conductors.sigma.copy(),
            "counted_conductivity": self._counted.sigma.copy(),
            "potential": self._solution.potential.copy(),
            **({} if self._turn is None else {"turn": self._turn.copy()}),
            **{f"link_{index}": link.copy() for index, link in enumerate(self._solution.conductors.links)},
            **{f"counted_link_{index}": link.copy() for index, link in enumerate(self._counted.links)},
        }

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Go on from what :meth:`memory` gave, bit for bit."""
        solved, counted = (self._conductors(memory, prefix) for prefix in ("", "counted_"))
        before, linked = np.asarray(memory["prepared_conductivity"]), np.asarray(memory["prepared_link"])
        operator = self.engine.conductance(before, self.cuts)
        self._prepared = _Prepared.of(self.engine, operator, before, linked, self.ground)
        self._turn = np.asarray(memory["turn"]) if "turn" in memory else None
        potential = np.asarray(memory["potential"])
        self._settle(_Solution(solved, potential), self.engine.conductance(solved.sigma, self.cuts))
        self._count(counted, self._sum(*self._dissipated(counted, self.engine.conductance(counted.sigma, self.cuts))))

    def _conductors(self, memory: Mapping[str, Array], prefix: str) -> _Conductors:
        links = tuple(np.asarray(memory[f"{prefix}link_{index}"]) for index in range(len(self.electrodes)))
        return _Conductors(np.asarray(memory[f"{prefix}conductivity"]), links)
