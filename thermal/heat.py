"""The bioheat equation as an engine marches it: what is known of the tissue, what acts in a step, what comes out.

``d(rho c v)/dt = div(k(T) grad T) + q + b (T_a - T)`` at nodes, T = T(v): the state v is that of
:mod:`thermal.enthalpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from thermal.enthalpy import BODY_TEMPERATURE, Conductivity, CutConductivity, Enthalpy, Nodes
from thermal.scheme import Scheme
from thermal.units import Array, Mask, Real

Precision = Literal["single", "double"]

WORKING: Mapping[Precision, type[np.floating[Any]]] = {"single": np.float32, "double": np.float64}
"""Numbers of a precision."""

BUDGET = ("source", "perfusion", "boundary", "probes", "held")
"""Lines of the energy ledger, J; positive into the tissue."""


@dataclass(frozen=True)
class HeatProblem:
    """What does not change in time. ``capacity`` (n,) J/K of the unfrozen tissue of each node. ``film`` (n,) W/K
    towards outside temperatures, ``border`` (n,) W: film times the outside temperature (degC) plus prescribed flux;
    ``perfusion`` (n,) W/K at full flow. ``cuts``: edges beside cut cells, if there are any."""

    relation: Enthalpy
    capacity: Array
    cells: Conductivity
    arterial_temperature: float
    film: Array
    border: Array
    perfusion: Real
    cuts: CutConductivity | None = None

    def without_capacity(self) -> HeatProblem:
        """The same for a stepper that keeps the capacity in a form of its own."""
        return replace(self, capacity=np.zeros(0))


@dataclass(frozen=True)
class Touch:
    """A probe at the nodes that it touches (t,): shape ``factor`` m, coolant ``film`` W/K, tissue ``conductivity``.

    ``temperature`` degC is that in the middle of the step, during which it goes on evenly by ``change`` K.
    """

    nodes: Nodes
    factor: Array
    film: Array
    temperature: float
    conductivity: Conductivity
    change: float = 0.0

    @property
    def coldest(self) -> float:
        """degC that it has in the step."""
        return self.temperature - 0.5 * abs(self.change)

    def at(self, share: float) -> Touch:
        """The same as it is, all along, when a share of the step is over."""
        if self.change == 0.0:
            return self
        return replace(self, temperature=self.temperature + (share - 0.5) * self.change, change=0.0)

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
    (frozen tissue has none in any case); ``free`` (n,): nodes whose temperature is not prescribed. ``held_at_end`` (n,)
    degC: what the others have at the end of the step, to which they go evenly; None where they stay as they are.
    """

    power: Array
    blood: Real
    free: Mask
    touches: tuple[Touch, ...] = ()
    held_at_end: Array | None = None


@dataclass
class HeatState:
    """What a march works on in place, all (n,): temperature, lowest and highest temperature so far, degC; the latter in
    the working precision.

    ``content`` is v in K, kept only while ice or vapour are about: in liquid tissue the temperature tells it.
    """

    temperature: Array
    coldest: Real
    hottest: Real
    content: Array | None = None

    @property
    def v(self) -> Array:
        """(n,) K: what is kept, or that of liquid tissue."""
        return self.temperature - BODY_TEMPERATURE if self.content is None else self.content

    def take_content(self, relation: Enthalpy) -> Array:
        """v (n,) K by the ``relation`` of the tissue, kept from now on."""
        if self.content is None:
            self.content = relation.content(self.temperature)
        return self.content


@dataclass(frozen=True)
class Rates:
    """At the start of a step: ``decay`` 1/s bounds the decay rates of the linearised equation; ``heating``
    K/s is the largest rate of change of v of a free node."""

    decay: float
    heating: float


@dataclass(frozen=True)
class Stepped:
    """A step done. ``lines`` (5,) J of :data:`BUDGET`; ``stored`` J gained by the free nodes, of which some gain and
    others lose: ``moved`` J is the sum of both; ``error`` K: estimate of the largest local error of a node, None where
    ice or vapour would make every node's change of phase look like one. There ``front_error`` K is the estimate: how
    far temperatures may be off, root of the mean square over the heat moved; zero elsewhere."""

    lines: Array
    stored: float
    moved: float
    error: float | None
    front_error: float = 0.0


@dataclass(frozen=True)
class Flow:
    """How fast things change at one instant: v by ``rate`` (n,) K/s, zero at nodes that are not free; what goes through
    the lines (5,) W of :data:`BUDGET`."""

    rate: Array
    lines: Array

    def beside(self, lines: Array) -> Flow:
        """The same with what goes through the ``lines`` (5,) W besides."""
        return replace(self, lines=self.lines + lines)


class HeatStepper(Protocol):
    """The bioheat equation on one engine. Holds the arrays of one step between :meth:`begin` and :meth:`advance`."""

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """Take up a step from ``state``, in which nodes that are not free have what is prescribed at its start.

        Conductivity of unfrozen tissue and of probes' contacts is that at ``middle()`` (n,) degC, the temperature
        foreseen in the middle of the step; that of ice follows its front within the step.
        """
        ...

    def advance(self, step: float, stages: int, bearable: float = np.inf) -> Stepped:
        """One Runge-Kutta-Legendre step of ``step`` s on the state in place; nodes that are not free go as they must.

        Where ``front_error`` is above ``bearable`` K nothing was done, the state being as before: the step is to be
        begun anew and shorter. Raises ``FloatingPointError``, the state being as before, when the result is not finite.
        """
        ...

    def leap(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """One step of ``step`` s by a ``scheme`` for linear equations, on the state in place.

        None, and the state as before, where ice or vapour come in, so that the equation is not linear. What else makes
        it so (coefficients that follow the temperature, probes) is the caller's to know. ``error`` is what a step of
        :meth:`advance` as long as this one would have had; none for the ``last`` step, after which nobody asks.
        Raises ``FloatingPointError``, the state being as before, when the result is not finite.
        """
        ...

    def ends(self) -> tuple[Flow, Flow]:
        """The flows at the start and at the end of the step done last."""
        ...
