"""All MPI ranks of a run, each with its part of a domain; what the first one calls, the others do as well.

Arrays given to a task are of the whole domain, and so are those it returns. Each rank takes what is its own of them,
and has its part of the domain as a :class:`~thermal.engines.dolfinx.DolfinxEngine`.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from thermal.domain import CutEdges, Domain
from thermal.engine import NotConvergedError
from thermal.engines.distributed_operator import DolfinxOperator
from thermal.engines.distribution import MPI
from thermal.engines.dolfinx import DolfinxEngine, KeptSolver
from thermal.heat import Action, Flow, HeatProblem, HeatState, HeatStepper, Rates, Stepped, Touch
from thermal.interrupts import INTERRUPTS, uninterrupted
from thermal.scheme import Scheme
from thermal.units import Array, Mask

ANSWERS = (NotConvergedError, FloatingPointError, ValueError)
"""Errors that say something of the problem: they come up on every rank, and the first one reports them."""
MOST_SOLVERS = 3
"""Solvers kept of a domain; one of two fields in turn, and one beside them."""
DISMISSED = ""


@dataclass
class Part:
    """One rank's part of a domain and of its heat march."""

    engine: DolfinxEngine
    stepper: HeatStepper | None = None
    state: HeatState | None = None
    solvers: dict[int, KeptSolver] = field(default_factory=dict)
    """by the numbers that the first rank gave them, the oldest first"""


@dataclass
class Team:
    """All ranks of a run. What the first one calls by :meth:`do`, the others do as well (:meth:`follow`)."""

    comm: Any
    parts: list[Part] = field(default_factory=list)
    torn: bool = False
    """whether the first rank left a task in its midst, where the others wait for it for ever"""

    @staticmethod
    @lru_cache(maxsize=1)
    def world() -> Team:
        """All processes that ``mpirun`` started; there is one such team."""
        return Team(MPI.COMM_WORLD)

    def do(self, task: str, *given: Any) -> Any:
        """On the first rank: do a task together. Raises ``RuntimeError`` once it has left one that others are at."""
        if self.torn:
            raise RuntimeError("an error met one rank alone, and the others still wait for it amid a task; run again")
        with uninterrupted():
            self.comm.bcast((task, given))
            self.torn = self.comm.size > 1
            try:
                done = getattr(self, task)(*given)
            except ANSWERS:
                self.torn = False
                raise
            self.torn = False
            return done

    def follow(self) -> None:
        """On the other ranks: do every task, until dismissed; interrupts are the first rank's business."""
        for interrupt in INTERRUPTS:
            signal.signal(interrupt, signal.SIG_IGN)
        while True:
            try:
                task, given = self.comm.bcast(None)
                if task == DISMISSED:
                    return
                getattr(self, task)(*given)
            except ANSWERS:
                continue
            except BaseException:
                traceback.print_exc()
                self.comm.Abort(1)

    def dismiss(self) -> None:
        """On the first rank: let the others go; end them, and this one, where they wait amid a task."""
        if self.torn:
            sys.stdout.flush()
            self.comm.Abort(1)
        self.comm.bcast((DISMISSED, ()))

    def take_up(self, domain: Domain) -> int:
        """Spread a domain; returns its number."""
        self.parts.append(Part(DolfinxEngine(domain, self.comm)))
        return len(self.parts) - 1

    def prepare_solver(
        self, number: int, key: int, k: Array, cuts: CutEdges | None, diagonal: Array, fixed: Mask | None
    ) -> None:
        """Make a solver for arrays of the whole domain, to be called by ``key``; the oldest are given up for it."""
        part = self.parts[number]
        engine, solvers = part.engine, part.solvers
        while len(solvers) >= MOST_SOLVERS:
            solvers.pop(next(iter(solvers))).destroy()
        mine = None if fixed is None else engine.take(fixed)
        solvers[key] = engine.solver(self._operator(part, k, cuts), engine.take(diagonal), fixed=mine)

    def solve(
        self,
        number: int,
        key: int | None,
        k: Array,
        cuts: CutEdges | None,
        diagonal: Array,
        rhs: Array,
        tolerance: float,
        others: Mapping[str, Any],
    ) -> Array:
        """A steady solve, by the solver of a ``key`` or one for this time; arrays and result of the whole domain."""
        part = self.parts[number]
        engine = part.engine
        mine = {name: engine.take(values) for name, values in others.items()}
        operator, link, load = self._operator(part, k, cuts), engine.take(diagonal), engine.take(rhs)
        if key is None:
            return engine.gather(engine.solve(operator, link, load, tolerance=tolerance, **mine))
        return engine.gather(part.solvers[key].adapted(operator, link).solve(load, tolerance=tolerance, **mine))

    @staticmethod
    def _operator(part: Part, k: Array, cuts: CutEdges | None) -> DolfinxOperator:
        engine = part.engine
        here = None if cuts is None else engine.distribution.take_edges(cuts)
        return engine.conductance(engine.take_cells(k), here)

    def prepare_march(self, number: int, problem: HeatProblem) -> None:
        """Make the stepper of a problem of the whole domain. Solvers so far, mostly of the delivery, are given up."""
        part, distribution = self.parts[number], self.parts[number].engine.distribution
        while part.solvers:
            part.solvers.popitem()[1].destroy()
        nodes, cells = distribution.nodes[: distribution.owned], distribution.cells[: distribution.owned_cells]
        mine = replace(
            problem,
            relation=problem.relation.take(nodes),
            capacity=problem.capacity[nodes],
            cells=problem.cells.take(cells),
            film=problem.film[nodes],
            border=problem.border[nodes],
            perfusion=problem.perfusion[nodes],
            cuts=None if problem.cuts is None else problem.cuts.take(distribution.take_edges),
        )
        part.stepper = part.engine.stepper(mine, "double")

    def begin(self, number: int, state: HeatState, middle: Array, action: Action) -> Rates:
        """Take up a step, arrays of the whole domain."""
        part = self.parts[number]
        assert part.stepper is not None
        take = part.engine.take
        content = None if state.content is None else take(state.content)
        part.state = HeatState(take(state.temperature), take(state.coldest), take(state.hottest), content)
        touches = tuple(self._touch(part, touch) for touch in action.touches)
        at_end = None if action.held_at_end is None else take(action.held_at_end)
        mine = Action(take(action.power), take(action.blood), take(action.free), touches, at_end)
        return part.stepper.begin(part.state, lambda: take(middle), mine)

    @staticmethod
    def _touch(part: Part, touch: Touch) -> Touch:
        place = part.engine.distribution.places[touch.nodes]
        here = np.flatnonzero(place >= 0)
        conductivity = touch.conductivity.take(here)
        shape = touch.factor[here], touch.film[here]
        return Touch(place[here], *shape, touch.temperature, conductivity, touch.change)

    def advance(self, number: int, step: float, stages: int, bearable: float) -> tuple[Stepped, Array | None, Array]:
        """Do the step; also returns v, if it is kept, and temperature of the whole domain after it."""
        part = self.parts[number]
        assert part.stepper is not None
        assert part.state is not None
        return self._whole(part, part.state, part.stepper.advance(step, stages, bearable))

    def leap(self, number: int, step: float, scheme: Scheme, last: bool) -> tuple[Stepped, Array | None, Array] | None:
        """The same by a scheme for linear equations; None where the equation is not linear."""
        part = self.parts[number]
        assert part.stepper is not None
        assert part.state is not None
        stepped = part.stepper.leap(step, scheme, last=last)
        return None if stepped is None else self._whole(part, part.state, stepped)

    @staticmethod
    def _whole(part: Part, state: HeatState, stepped: Stepped) -> tuple[Stepped, Array | None, Array]:
        content = None if state.content is None else part.engine.gather(state.content)
        return stepped, content, part.engine.gather(state.temperature)

    def ends(self, number: int, temperature: Array) -> tuple[Flow, Flow]:
        """The flows at both ends of the step, which left ``temperature``, in the whole domain."""
        part = self.parts[number]
        assert part.stepper is not None
        assert part.state is not None
        part.state.temperature[:] = part.engine.take(temperature)
        first, last = part.stepper.ends()
        gather = part.engine.gather
        return Flow(gather(first.rate), first.lines), Flow(gather(last.rate), last.lines)
