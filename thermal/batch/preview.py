"""What a sweep asks for, looked at before anything is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thermal.batch.members import Named, expand, named
from thermal.batch.search import start
from thermal.batch.sweep import Sweep
from thermal.errors import CaseError
from thermal.simulation import Effort, examine
from thermal.simulation.workshop import Workshop

MOST_BUILT = 10
"""Anatomies of a sweep that are built to be looked at; an image of a body takes seconds."""
MOST_SHOWN = 6
"""Values of a key that are shown."""
_KEPT = {
    "everything": "all its files",
    "zone": "its tables and the ablated nodes",
    "summary": "its tables",
}


@dataclass(frozen=True)
class Preview:
    """A sweep that was found sound: how many runs, and what a person should know of them."""

    runs: int
    notes: tuple[str, ...]


def preview(sweep: Sweep) -> Preview:
    """Read all cases of a sweep and build its anatomies. Raises ``CaseError`` with the problems of all."""
    if sweep.search is not None:
        start(sweep.search, len(sweep.priors))
    members = {entry.name: entry for entry in named(expand(sweep), sweep)}
    runs = len(members) if sweep.search is None else sweep.search.count
    of_cases, efforts = _built(sweep, list(members.values()))
    seconds, largest = max(effort.seconds for effort in efforts), max(efforts, key=lambda effort: effort.memory)
    notes = (
        *_varied(sweep),
        f"keeps {_KEPT[sweep.keep]} of each run",
        *of_cases,
        f"all of them: {Effort.duration(runs * seconds)} one after the other, less with --jobs N where there are N "
        f"cores; each takes {largest.gigabytes} of memory",
    )
    return Preview(runs, notes)


def _varied(sweep: Sweep) -> Iterator[str]:
    """What changes from run to run, a line each."""
    if len(sweep.cases) > 1:
        yield f"cases: {', '.join(sweep.cases)}"
    if sweep.anatomies:
        yield f"anatomies: {', '.join(sweep.anatomies)}"
    for key, values in sweep.grid.items():
        some = [str(value) for value in values[:MOST_SHOWN]] + ["..."] * (len(values) > MOST_SHOWN)
        yield f"{key}: {len(values)} value{'s' if len(values) > 1 else ''}, {', '.join(some)}"
    if sweep.rows:
        yield f"rows: {len(sweep.rows)}, which set {', '.join(dict.fromkeys(key for row in sweep.rows for key in row))}"
    for name, prior in sweep.priors.items():
        low, middle, high = prior.at(np.array([0.0, 0.5, 1.0]))
        times = {"factor": " times its value", "shift": " more than its value", None: ""}[prior.relative]
        unit = f" {prior.unit}" if prior.unit else ""
        yield f"{', '.join(prior.keys or (name,))}: {low:.4g} to {high:.4g}{unit}{times}, {middle:.4g} in the middle"
    if sweep.search is not None:
        yield f"looks for: {', '.join(sweep.search.goals)}"


def _built(sweep: Sweep, members: list[Named]) -> tuple[list[str], list[Effort]]:
    """Notes on a run on each anatomy, and what it takes. Raises ``CaseError`` with all problems."""
    first = {(entry.member.case, entry.anatomy): entry for entry in reversed(members)}
    workshop = Workshop(1)
    notes: list[str] = []
    efforts: list[Effort] = []
    problems: dict[str, None] = {}
    for entry in sorted(list(first.values())[::-1][:MOST_BUILT], key=lambda entry: entry.anatomy):
        case = entry.member.load()
        try:
            found = examine(case, workshop)
        except CaseError as error:
            values = ", ".join(f"{key} = {value}" for key, value in entry.member.varied.items())
            for problem in map(sweep.placed, case.placed(error).problems):
                problems[f"{problem} (with {values})" if values else problem] = None
            continue
        where = f" on {entry.member.anatomy}" if entry.member.anatomy else ""
        notes.append(f"{case.name}{where}: {found.effort}")
        notes += [f"{case.name}{where}: {note}" for note in found.notes if note.startswith("warning")]
        efforts.append(found.effort)
    if problems:
        raise CaseError(*problems)
    if len(first) > MOST_BUILT:
        notes.append(f"{len(first)} anatomies, of which the first {MOST_BUILT} were built")
    return notes, efforts
