"""A serial engine whose steady solves and heat march are done by all MPI ranks together.

The first rank runs the program with arrays of the whole domain, as it would alone; only what takes the time is spread:
each rank of the :class:`~thermal.engines.team.Team` has its part of the domain. The others follow: they receive the
arrays, do the same call on their part, and wait for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from thermal.carriage import Carriage, Transport
from thermal.domain import AxisymmetricDomain, CutEdges, Domain, MeshDomain, VoxelDomain
from thermal.engine import Operator, Skeleton, Window
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.heat_checks import check_action
from thermal.engines.mesh import MeshEngine
from thermal.engines.team import Team
from thermal.engines.voxel import VoxelEngine
from thermal.heat import Action, Flow, HeatProblem, HeatState, Precision, Rates, Stepped
from thermal.scheme import Scheme
from thermal.units import Array, Mask

WHOLE: Mapping[type, Any] = {
    VoxelDomain: VoxelEngine,
    MeshDomain: MeshEngine,
    AxisymmetricDomain: AxisymmetricEngine,
}
"""Kind of domain -> serial engine of the first rank."""


@dataclass(frozen=True)
class SharedOperator:
    """An operator of the first rank with its coefficient of cells and cut edges, by which the others make theirs."""

    serial: Operator
    k: Array
    cuts: CutEdges | None

    @property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node."""
        return self.serial.diagonal

    @property
    def bound(self) -> Array:
        """(n,) bound of the spectrum."""
        return self.serial.bound

    def __call__(self, u: Array) -> Array:
        """K u."""
        return self.serial(u)

    def dissipation(self, u: Array) -> Array:
        """(n,) dissipation of each node."""
        return self.serial.dissipation(u)


@dataclass(frozen=True)
class SharedSolver:
    """See :class:`thermal.engine.Solver`; a solver on every rank, by a ``key``.

    Where the ranks have given it up for others it is made again, for what it was ``prepared`` for and ``linked``.
    """

    team: Team
    number: int
    key: int
    prepared: SharedOperator
    linked: Array
    """(n,) the diagonal then"""
    fixed: Mask | None
    operator: SharedOperator
    diagonal: Array

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """See :meth:`thermal.engine.Solver.solve`: by all ranks."""
        team, operator, before = self.team, self.operator, self.prepared
        if self.key not in team.parts[self.number].solvers:
            team.do("prepare_solver", self.number, self.key, before.k, before.cuts, self.linked, self.fixed)
        given = {name: array for name, array in (("values", values), ("guess", guess)) if array is not None}
        arrays = operator.k, operator.cuts, self.diagonal, rhs
        found: Array = team.do("solve", self.number, self.key, *arrays, tolerance, given)
        return found

    def adapted(self, operator: Operator, diagonal: Array) -> SharedSolver:
        """See :meth:`thermal.engine.Solver.adapted`."""
        assert isinstance(operator, SharedOperator)
        return replace(self, operator=operator, diagonal=diagonal)


@dataclass(frozen=True)
class SharedSkeleton:
    """See :class:`thermal.engine.Skeleton`: that of the serial engine, on the first rank."""

    serial: Skeleton

    def __getattr__(self, name: str) -> Any:
        """What it does with arrays alone."""
        return getattr(self.serial, name)

    def solver(
        self, operator: Operator, diagonal: Array, weight: float, near: Array, fixed: Mask
    ) -> Callable[[Array, float], Array]:
        """See :meth:`thermal.engine.Skeleton.solver`."""
        assert isinstance(operator, SharedOperator)
        return self.serial.solver(operator.serial, diagonal, weight, near, fixed)


class SharedStepper:
    """See :class:`thermal.heat.HeatStepper`."""

    def __init__(self, team: Team, number: int, problem: HeatProblem) -> None:
        """``problem`` of the whole domain."""
        self._team, self._number, self._relation = team, number, problem.relation
        team.do("prepare_march", number, problem)

    def begin(self, state: HeatState, middle: Callable[[], Array], action: Action) -> Rates:
        """See :meth:`thermal.heat.HeatStepper.begin`."""
        check_action(state, action, len(state.temperature))
        self._state = state
        rates: Rates = self._team.do("begin", self._number, state, middle(), action)
        return rates

    def advance(self, step: float, stages: int, bearable: float = np.inf) -> Stepped:
        """See :meth:`thermal.heat.HeatStepper.advance`."""
        stepped, *state = self._team.do("advance", self._number, step, stages, bearable)
        done: Stepped = stepped
        return done if done.front_error > bearable else self._taken(done, *state)

    def leap(self, step: float, scheme: Scheme, *, last: bool = False) -> Stepped | None:
        """See :meth:`thermal.heat.HeatStepper.leap`."""
        done = self._team.do("leap", self._number, step, scheme, last)
        return None if done is None else self._taken(*done)

    def _taken(self, stepped: Stepped, v: Array | None, temperature: Array) -> Stepped:
        """Take over what all ranks have of v, if it is kept, and the temperature (n,)."""
        state, cells = self._state, self._team.parts[self._number].engine.distribution.in_cells
        if v is None:
            state.content = None
        else:
            state.take_content(self._relation)[cells] = v[cells]
        state.temperature[cells] = temperature[cells]
        np.minimum(state.coldest, state.temperature, out=state.coldest)
        np.maximum(state.hottest, state.temperature, out=state.hottest)
        return stepped

    def ends(self) -> tuple[Flow, Flow]:
        """See :meth:`thermal.heat.HeatStepper.ends`."""
        ends: tuple[Flow, Flow] = self._team.do("ends", self._number, self._state.temperature)
        return ends


class SharedEngine:
    """See :class:`thermal.engine.Engine`; made on the first rank, with arrays of the whole domain.

    All but what is written here is that of the serial engine, ``whole``.
    """

    def __init__(self, domain: Domain, team: Team | None = None) -> None:
        """Raises ``ValueError`` for a kind of domain that cannot be spread."""
        self._team = Team.world() if team is None else team
        self._number: int = self._team.do("take_up", domain)
        self._keys = count()
        self.whole = WHOLE[type(domain)](domain)

    def __getattr__(self, name: str) -> Any:
        """What the serial engine does alone."""
        return getattr(self.whole, name)

    def conductance(self, k: Array, cuts: CutEdges | None = None) -> SharedOperator:
        """Operator of the cell coefficient ``k`` (m,), corrected at the edges beside cut cells."""
        return SharedOperator(self.whole.conductance(k, cuts), np.asarray(k, dtype=float), cuts)

    def skeleton(self, shear: Array, lame: Array, loose: Sequence[str], sliding: Sequence[str]) -> SharedSkeleton:
        """That of the serial engine, on the first rank."""
        return SharedSkeleton(self.whole.skeleton(shear, lame, loose, sliding))

    def tensor_conductance(self, k: Array) -> SharedOperator:
        """Raises ``ValueError``: tensors are known to the serial engines."""
        raise ValueError('a tensor that conducts in directions of its own is known to numerics.engine = "serial" alone')

    def solver(self, operator: Operator, diagonal: Array, *, fixed: Mask | None = None) -> SharedSolver:
        """Of all ranks; its multigrid is made at the first solve and kept while few others are made after it."""
        assert isinstance(operator, SharedOperator)
        return SharedSolver(self._team, self._number, next(self._keys), operator, diagonal, fixed, operator, diagonal)

    def solve(
        self,
        operator: Operator,
        diagonal: Array,
        rhs: Array,
        *,
        fixed: Mask | None = None,
        values: Array | None = None,
        guess: Array | None = None,
        tolerance: float = 1e-9,
    ) -> Array:
        """See :meth:`thermal.engine.Engine.solve`: by all ranks."""
        assert isinstance(operator, SharedOperator)
        others = {"fixed": fixed, "values": values, "guess": guess}
        given = {name: array for name, array in others.items() if array is not None}
        arrays = operator.k, operator.cuts, diagonal, rhs
        found: Array = self._team.do("solve", self._number, None, *arrays, tolerance, given)
        return found

    def stepper(self, problem: HeatProblem, precision: Precision) -> SharedStepper:
        """See :meth:`thermal.engine.Engine.stepper`: by all ranks, always in double precision."""
        return SharedStepper(self._team, self._number, problem)

    def transport(
        self, operator: Operator, pressure: Array, carriage: Carriage, diffusion: Operator | None = None
    ) -> Transport:
        """Transport by the edge fluxes of a Darcy solve, on the first rank."""
        assert isinstance(operator, SharedOperator)
        assert diffusion is None or isinstance(diffusion, SharedOperator)
        spread = None if diffusion is None else diffusion.serial
        transport: Transport = self.whole.transport(operator.serial, pressure, carriage, spread)
        return transport

    def window(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> Window:
        """A finer engine, on the first rank."""
        window: Window = self.whole.window(lower, upper, spacing, growth)
        return window

    def window_nodes(self, lower: Array, upper: Array, spacing: float, growth: float = 1.3) -> int:
        """Those of the finer engine on the first rank."""
        return int(self.whole.window_nodes(lower, upper, spacing, growth))
