"""What no step of the heat march can be made of is said before it is made: kernels take arrays as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thermal.engines.coefficients import check_nodal
from thermal.engines.legendre import FEWEST_STAGES
from thermal.heat import Action, HeatProblem, HeatState, Touch
from thermal.units import Array, Mask, Real


def check_problem(problem: HeatProblem, nodes: int, solid: Mask) -> None:
    """Raise ``ValueError`` for coefficients that are not one number a node or a cell, or that no tissue has.

    At nodes without capacity, and in cells that are not ``solid`` (m,), they do not matter.
    """
    cells, frozen = len(solid), problem.cells.frozen
    for what, values in (
        ("the heat capacity", problem.capacity),
        ("the film", problem.film),
        ("the flux through the border", problem.border),
        ("the perfusion", problem.perfusion),
    ):
        check_nodal(values, nodes, what)
    conductivities = [("the conductivity", problem.cells.at_37)]
    if frozen is not None:
        conductivities.append(("the frozen conductivity", frozen))
    for what, values in (*conductivities, ("the slope of the conductivity", problem.cells.slope)):
        if np.shape(values) != (cells,):
            raise ValueError(
                f"{what} has the shape {np.shape(values)}, which does not fit {cells} cells; give one number a cell"
            )
    _refuse("the heat capacity (J/K)", problem.capacity, None, "finite and not negative", 0.0)
    body = problem.capacity > 0.0
    _refuse("the film (W/K)", problem.film, body, "finite and not negative", 0.0)
    _refuse("the perfusion (W/K)", problem.perfusion, body, "finite and not negative", 0.0)
    _refuse("the flux through the border (W)", problem.border, body, "finite")
    for what, values in conductivities:
        _refuse(f"{what} (W/m/K)", values, solid, "finite and not negative", 0.0)
    _refuse("the slope of the conductivity (1/K)", problem.cells.slope, solid, "finite")
    for what, phase in (("freezing", problem.relation.freezing), ("boiling", problem.relation.boiling)):
        if phase is not None:
            check_nodal(phase.width, nodes, f"the relation of {what}")
            _refuse(f"the relation of {what} (K)", phase.width, body, "finite and not negative", 0.0)
    if not np.isfinite(problem.arterial_temperature):
        raise ValueError(f"the temperature of the blood is {problem.arterial_temperature} degC; give a finite number")


def _refuse(what: str, values: Real, where: Mask | None, range_: str, least: float = -np.inf) -> None:
    """Raise ``ValueError`` for ``values`` below ``least``, infinite or NaN, as far as ``where`` they matter."""
    low, high = (float(bound) for bound in (values.min(initial=0.0), values.max(initial=0.0)))
    if np.isfinite(low) and low >= least and high < np.inf:
        return
    fit = np.isfinite(values) & (values >= least)
    bad = np.flatnonzero(~fit if where is None else where & ~fit)
    if bad.size:
        raise ValueError(
            f"{what} is out of range at {bad.size} of {len(values)} places, the first is number {bad[0]} with "
            f"{values[bad[0]]:g}; all must be {range_}"
        )


def check_action(state: HeatState, action: Action, nodes: int) -> None:
    """Raise ``ValueError`` for a state or an action that is not one number a node, or that touches nodes that do not
    exist."""
    for what, values in (
        ("the temperature", state.temperature),
        ("the power", action.power),
        ("the perfusion", action.blood),
        ("the mask of free nodes", action.free),
    ):
        check_nodal(values, nodes, what)
        kind, word = (np.bool_, "truth values") if values is action.free else (np.floating, "floats")
        if not np.issubdtype(values.dtype, kind):
            raise ValueError(f"{what} is an array of {values.dtype}; give one of {word}")
    if action.held_at_end is not None:
        check_nodal(action.held_at_end, nodes, "the prescribed temperature at the end of the step")
    for touch in action.touches:
        _check_touch(touch, nodes)


def _check_touch(touch: Touch, nodes: int) -> None:
    """Raise ``ValueError`` for a probe at nodes that do not exist, or of which something is no number."""
    if touch.nodes.size and not 0 <= int(touch.nodes.min()) <= int(touch.nodes.max()) < nodes:
        raise ValueError(
            f"a probe touches nodes {touch.nodes.min()} to {touch.nodes.max()}, but there are nodes 0 to {nodes - 1}"
        )
    sizes = {np.shape(touch.nodes), np.shape(touch.factor), np.shape(touch.film)}
    if len(sizes) > 1:
        raise ValueError(f"a probe touches nodes, and has factors and films, of the shapes {sizes}; give one a node")
    if not (
        np.isfinite([touch.temperature, touch.change]).all()
        and np.isfinite(touch.factor).all()
        and bool((touch.film > 0.0).all())
    ):
        raise ValueError(
            f"a probe of {touch.temperature:g} degC has a temperature or shape factors that are not finite, or a film "
            "that is not above zero"
        )


def check_stages(step: float, stages: int, decay: float) -> None:
    """Raise ``ValueError`` for a ``step`` (s) that is none, and for fewer ``stages`` than keep it stable at a ``decay``
    of at most so much, 1/s."""
    if not 0.0 < step < np.inf:
        raise ValueError(f"a step of {step:g} s is none; give a finite number above zero")
    if stages != int(stages) or stages < FEWEST_STAGES:
        raise ValueError(f"{stages} are no stages of a step; give a whole number from {FEWEST_STAGES} up")
    if stages * stages + stages - 2.0 < 2.0 * step * decay * (1.0 - 1e-9):
        raise ValueError(
            f"{stages} stages do not keep a step of {step:g} s stable where heat decays by up to {decay:.3g}/s: take "
            "as many as thermal.engines.legendre.stage_count says, or a shorter step"
        )


def check_flow(lines: Array, state: HeatState, action: Action) -> None:
    """Raise ``FloatingPointError`` where a step begins with ``lines`` (5,) W of the ledger that are not finite."""
    if not np.isfinite(lines).all():
        raise infinite(state, action)


def infinite(state: HeatState, action: Action) -> FloatingPointError:
    """The error of what became infinite or NaN, with the first node where it did."""
    words = next(_culprits(state, action), "")
    return FloatingPointError(f"the temperature became infinite{words}")


def _culprits(state: HeatState, action: Action) -> Iterator[str]:
    """What is not finite, in words."""
    given = (("the power", action.power), ("the perfusion", action.blood), ("the temperature", state.temperature))
    for what, values in given:
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            yield (
                f": {what} is not finite at {bad.size} of {len(values)} nodes, the first is node {bad[0]} with "
                f"{values[bad[0]]:g}"
            )
