"""The sweep file: which cases, with which values, and what is kept of each run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from thermal.batch.priors import AnyPrior
from thermal.case.load import read_file, shown
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
    priors: dict[str, AnyPrior] = Field(default_factory=dict)
    """by key of the case: distributions to draw from"""
    keep: Literal["everything", "zone", "summary"] = "everything"
    """of each run: all its files; its tables and the ablated nodes; or its tables alone"""
    outcomes: tuple[str, ...] = OUTCOMES
    """entries of the summary that the statistics look at"""
    _path: Path = PrivateAttr(default=Path("sweep.toml"))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.sample is None) != (not self.priors):
            lacking = (
                "[sample] with a method and a count" if self.sample is None else "[priors.KEY] with a distribution"
            )
            raise ValueError(f"priors and sample belong together; add {lacking}")
        return self

    @property
    def path(self) -> Path:
        """The file this was read from."""
        return self._path

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self._path.stem


def load_sweep(path: str | Path) -> Sweep:
    """Read a sweep file. Raises ``CaseError`` with every problem found: ``file:line: key: found; expected; remedy``."""
    start = Path(path)
    file = read_file(start)
    try:
        sweep = Sweep.model_validate(file.layer.data)
    except ValidationError as error:
        reporter = Reporter(Sweep, file.layer, shown(start))
        raise CaseError(*(reporter.line(problem) for problem in reporter.problems(error))) from None
    sweep._path = start
    return sweep
