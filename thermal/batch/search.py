"""A sweep that looks for something: the priors' values whose runs come nearest to what is wanted.

Optimisation ("cover the tumour and 5 mm around it, and hurt as little else as can be") and inverse problems ("which
perfusion explains this thermometer") are the same search with other goals. Points come from differential evolution
(R. Storn, K. Price, J. Global Optim. 11 (1997) 341-359, as in SciPy) in the unit cube of the priors' quantiles. A seed
gives the same points every time, and each is a run named by its content: the same command goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thermal.batch.folder import Outcome
from thermal.batch.members import Named
from thermal.batch.sweep import Goal, Search, Sweep
from thermal.errors import CaseError
from thermal.store.files import write_json, write_text
from thermal.units import Array, parse

FOUND = "search.json"
FAILED = 1e12
"""Cost of a run that failed."""
Run = Callable[[Array], Sequence[tuple[Named, Outcome | None]]]
"""Runs points (k, d) of the unit cube."""


@dataclass(frozen=True)
class Tried:
    """One run of the search: what each goal costs, and the sum."""

    named: Named
    outcome: Outcome
    terms: Mapping[str, float]

    @property
    def cost(self) -> float:
        """Sum over the goals; :data:`FAILED` for a run that failed."""
        return sum(self.terms.values()) if self.terms else FAILED


def seek(sweep: Sweep, search: Search, run: Run) -> list[Tried]:
    """All runs of the search, the best first."""
    from scipy.optimize import differential_evolution

    tried: dict[str, Tried] = {}

    def costs(points: Array) -> Array:
        found = []
        for named, outcome in run(np.atleast_2d(points.T)):
            if outcome is None:
                found.append(FAILED)
                continue
            done = Tried(named, outcome, terms(search.goals, outcome.summary) if outcome.status == "done" else {})
            tried[named.name] = done
            found.append(done.cost)
        return np.array(found)

    dimensions = len(sweep.priors)
    size = population(search, dimensions)
    try:
        differential_evolution(
            costs,
            [(0.0, 1.0)] * dimensions,
            init=start(search, dimensions),
            maxiter=search.count // size - 1,
            rng=np.random.default_rng(search.seed),
            updating="deferred",
            vectorized=True,
            polish=False,
            tol=0.0,
        )
    except RuntimeError as error:
        if isinstance(error.__context__, CaseError):  # SciPy gives every error of costs() its own words
            raise error.__context__ from None
        raise
    return sorted(tried.values(), key=lambda entry: entry.cost)


def population(search: Search, dimensions: int) -> int:
    """Points of a generation: a quarter of the runs, between five and ten a prior."""
    return min(max(search.count // 4, 5 * dimensions, 5), 10 * dimensions + 5)


def start(search: Search, dimensions: int) -> Array:
    """The first generation (k, d). Raises ``CaseError`` where the runs do not suffice for a second."""
    from scipy.stats import qmc

    size = population(search, dimensions)
    if search.count < 2 * size:
        raise CaseError(
            f"search.count: found {search.count}; expected at least {2 * size}, two generations for as many priors"
        )
    return np.asarray(qmc.LatinHypercube(dimensions, rng=np.random.default_rng(search.seed)).random(size))


def terms(goals: Mapping[str, Goal], summary: Mapping[str, Any]) -> dict[str, float]:
    """Key of the summary -> the square of how far it is from its goal. Raises ``CaseError`` for a goal that is none."""
    found = {}
    for key, goal in goals.items():
        entry = summary.get(key)
        if entry is None or not isinstance(entry["value"], (int, float)):
            known = ", ".join(name for name, e in summary.items() if isinstance(e["value"], float))
            raise CaseError(f"search.goals.{key}: the summary has no such number; it has {known}")
        found[key] = miss(goal, float(entry["value"]), str(entry["unit"]), key) ** 2
    return found


def miss(goal: Goal, value: float, unit: str, key: str) -> float:
    """How far a value (SI, degC) is from a goal, in units of what counts as near. Raises ``CaseError``."""

    def number(given: str | float, of: str) -> float:
        return parse(given, of) if isinstance(given, str) else float(given)

    try:
        within = number(goal.within, "K" if unit == "degC" else unit)
        short = 0.0 if goal.at_least is None else max(number(goal.at_least, unit) - value, 0.0)
        beyond = 0.0 if goal.at_most is None else max(value - number(goal.at_most, unit), 0.0)
        off = 0.0 if goal.equal is None else abs(value - number(goal.equal, unit))
    except ValueError as error:
        raise CaseError(f"search.goals.{key}: {error}") from None
    if not within > 0.0:
        raise CaseError(f"search.goals.{key}.within: found {goal.within}; expected more than nothing")
    return (short + beyond + off) / within


def write_found(sweep: Sweep, tried: Sequence[Tried], folder: Path) -> list[Path]:
    """Write what was found, the best first: ``search.json``, and ``report.md`` for people."""
    rows = [
        {"run": entry.named.name, "cost": entry.cost, "set": dict(entry.named.member.varied), "terms": entry.terms}
        for entry in tried
    ]
    meaning = "cost: sum over the goals of the square of the miss over what counts as near"
    write_json(folder / FOUND, {"best": rows[0] if rows else None, "runs": rows, "note": meaning})
    names = list(tried[0].named.member.varied) if tried else []
    lines = [f"# {sweep.title or sweep.name}", "", f"{len(tried)} runs; {meaning}. The best ones:", ""]
    lines += [f"| {' | '.join(['run', 'cost', *names])} |", f"|{' --- |' * (2 + len(names))}"]
    for entry in tried[:10]:
        values = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in entry.named.member.varied.values()]
        lines.append(f"| {' | '.join([entry.named.name, f'{entry.cost:.4g}', *values])} |")
    write_text(folder / "report.md", "\n".join([*lines, "", "For research, not for clinical decisions."]) + "\n")
    return [folder / FOUND, folder / "report.md"]
