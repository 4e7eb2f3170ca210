"""The sweep file: which cases, with which values, and what is kept of each run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from thermal.batch.priors import AnyPrior
from thermal.case.load import read_file, shown
from thermal.case.places import Keys, Place
from thermal.case.report import Reporter
from thermal.errors import CaseError
from thermal.units import Spec

MOST = 1_000_000
"""Runs that one sweep may ask for."""
OUTCOMES = ("zone.volume", "zone.tumour_coverage", "zone.minimum_margin", "zone.healthy_volume", "peak_temperature")

Values = dict[str, Any]
"""Key of the case (``"heating.power"``) -> value."""


class Sample(Spec):
    """How points are drawn from the priors."""

    method: Literal["latin_hypercube", "sobol", "morris"]
    """"latin_hypercube": spreads; "sobol": shares of the variance that each prior has (Saltelli's design); "morris":
    effects of one change at a time, for screening with few runs"""
    count: Annotated[int, Field(ge=2, le=MOST)]
    """runs at most: "sobol" takes N (d + 2) for d priors, N a power of 2, "morris" N (d + 1)"""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 1
    """of the random numbers: the same seed gives the same points"""


class Coarse(Spec):
    """Run the samples on a coarser grid, and a few of them as the case says too, by which all are corrected."""

    set: Annotated[Values, Field(min_length=1)]
    """key = value of the coarser runs, such as the size of a voxel"""
    fine: Annotated[int, Field(ge=8, le=MOST)]
    """samples that are run both ways"""


class Goal(Spec):
    """What an entry of the summary should be: one of ``equal``, ``at_least`` and ``at_most``, or the last two."""

    equal: str | float | None = None
    """value with unit, e.g. "61 degC" as measured"""
    at_least: str | float | None = None
    """lower limit with unit"""
    at_most: str | float | None = None
    """upper limit with unit; "0 ml" of healthy tissue means as little as can be"""
    within: str | float
    """how far off counts as one, with unit: the error of a measurement, or how much one would give for it"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        limits = self.at_least is not None or self.at_most is not None
        if (self.equal is not None) == limits:
            raise ValueError("a goal is either equal, or at_least and at_most")
        return self


class Search(Spec):
    """Look for the values of the priors whose run is nearest to the goals, in place of ``sample``."""

    count: Annotated[int, Field(ge=2, le=MOST)]
    """runs at most"""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 1
    """of the random numbers: the same seed tries the same points"""
    goals: Annotated[dict[str, Goal], Field(min_length=1)]
    """by entry of the summary: what it should be"""


class Sweep(Spec):
    """A sweep: all ``cases`` on all ``anatomies`` with all values of ``grid``, of ``rows`` and of ``sample``."""

    schema_version: Literal[1]
    """format of this file"""
    title: str = ""
    """one line for tables"""
    cases: Annotated[tuple[str, ...], Field(min_length=1)]
    """case files, relative to this file"""
    anatomies: tuple[str, ...] = ()
    """names or files of anatomies that every case is put on; default: each case's own"""
    set: Values = Field(default_factory=dict)
    """key = value that holds for every run"""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """key = list of values: every combination is run"""
    rows: tuple[Values, ...] = ()
    """tables of key = value that belong together, one run each"""
    sample: Sample | None = None
    """points drawn from the priors"""
    coarse: Coarse | None = None
    """run the samples on a coarser grid, corrected by a few on the fine one"""
    search: Search | None = None
    """look for something instead: an optimum, or what explains a measurement"""
    priors: dict[str, AnyPrior] = Field(default_factory=dict)
    """by key of the case: distributions to draw from"""
    keep: Literal["everything", "zone", "summary"] = "everything"
    """of each run: all its files; its tables and the ablated nodes; or its tables alone"""
    outcomes: tuple[str, ...] = OUTCOMES
    """entries of the summary that the statistics look at"""
    _path: Path = PrivateAttr(default=Path("sweep.toml"))
    _places: dict[Keys, Place] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.sample is not None and self.search is not None:
            raise ValueError("sample and search exclude each other; points are drawn, or looked for")
        if self.coarse is not None and (self.sample is None or self.coarse.fine > self.sample.count):
            raise ValueError("coarse belongs to sample, of whose count it runs some on the fine grid too")
        drawn = self.sample is not None or self.search is not None
        if drawn != bool(self.priors):
            lacking = "[priors.KEY] with a distribution" if drawn else "[sample] with a method and a count, or [search]"
            raise ValueError(f"priors and sample belong together; add {lacking}")
        if self.search is not None and (len(self.cases) > 1 or len(self.anatomies) > 1 or self.grid or self.rows):
            raise ValueError("search looks at one case on one anatomy; leave out what would make several")
        homes: dict[str, str | int] = {}
        for key, home in self._setters():
            if home[0] == "set":
                continue  # for all runs; what varies goes on from there
            if homes.setdefault(key, home[0]) != home[0]:
                raise ValueError(f"{key} is set by {homes[key]} and by {home[0]}; leave it to one of them")
        return self

    def _setters(self) -> Iterator[tuple[str, Keys]]:
        """Every key of the cases that this file sets, and where it does."""
        yield from ((key, ("set", key)) for key in self.set)
        yield from ((key, ("grid", key)) for key in self.grid)
        yield from ((key, ("rows", number, key)) for number, row in enumerate(self.rows) for key in row)
        for name, prior in self.priors.items():
            yield from ((key, ("priors", name)) for key in prior.keys or (name,))

    @property
    def path(self) -> Path:
        """The file this was read from."""
        return self._path

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self._path.stem

    def placed(self, problem: str) -> str:
        """A problem of one of the cases, with the line of this file that sets the key it begins with."""
        if not problem.startswith("--set: "):
            return problem
        told = problem.removeprefix("--set: ")
        for key, keys in self._setters():
            if told.startswith(key) and keys in self._places:
                return f"{self._places[keys]}: {told}"
        return f"{shown(self._path)}: {told}"


def load_sweep(path: str | Path) -> Sweep:
    """Read a sweep file. Raises ``CaseError`` with every problem found: ``file:line: key: found; expected; remedy``."""
    start = Path(path)
    file = read_file(start)
    if not file.is_sweep and (case := file.layer.data.keys() & {"anatomy", "extends"}):
        key = sorted(case)[0]
        raise CaseError(
            f"{file.layer.place((key,))}: {key}: belongs to a case; expected a sweep, with schema_version and cases = "
            f'["{start.name}"]; a single case is run with: thermal run {shown(start)}'
        )
    try:
        sweep = Sweep.model_validate(file.layer.data)
    except ValidationError as error:
        reporter = Reporter(Sweep, file.layer, shown(start))
        raise CaseError(*(reporter.line(problem) for problem in reporter.problems(error))) from None
    sweep._path, sweep._places = start, dict(file.layer.places)
    return sweep
