"""Kinds of checks: each knows what it runs, and what it must find there.

A check says what to run as (case, overrides); a laboratory runs it, each thing once, and the check reads the results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field

from thermal.store import Run
from thermal.units import Spec, parse

PASSED, FAILED, MISSED, SKIPPED = "pass", "FAIL", "missed, as stated", "not run"


class Laboratory(Protocol):
    """Runs cases for checks."""

    def catalogue(self, case: str, overrides: tuple[str, ...]) -> Run:
        """A case of the catalogue. Raises ``UnavailableError`` where this installation cannot run it."""
        ...

    def published(self, folder: str, overrides: tuple[str, ...]) -> Run:
        """The case of a published set-up."""
        ...

    def measured(self, folder: str) -> list[Measured]:
        """What was measured in a published set-up."""
        ...


class UnavailableError(Exception):
    """What a check needs is not installed here."""


@dataclass(frozen=True)
class Finding:
    """One line of the table: ``unit`` is that of the three numbers."""

    check: str
    read: str
    expected: float
    obtained: float
    tolerance: float
    unit: str
    verdict: str
    source: str

    @property
    def failed(self) -> bool:
        """Whether this speaks against the program."""
        return self.verdict == FAILED


class Measured(Spec):
    """A measured number of a published set-up (``expected.toml``): an entry of the summary, or what is made of it.

    It is the number ``above`` a temperature, ``minus`` or ``over`` another one of the same run, or its ratio to that of
    the run with overrides ``changed``.
    """

    key: str
    """entry of the summary"""
    value: str
    """with its unit"""
    tolerance: float = 0.0
    """relative"""
    at_most: bool = False
    """whether the value is a bound"""
    overrides: tuple[str, ...] = Field(default=(), alias="with")
    """of the run"""
    above: str | None = None
    """a temperature"""
    minus: str | None = None
    """entry of the summary"""
    over: str | None = None
    """entry of the summary"""
    changed: tuple[str, ...] | None = None
    """overrides of another run"""
    source: str
    """where it is published"""
    met: bool
    """whether the simulation comes within the tolerance as of now"""

    def compare(self, laboratory: Laboratory, folder: str) -> tuple[float, float, str]:
        """What was found, what was measured, and the unit of both."""
        run = laboratory.published(folder, self.overrides)
        entry = run.summary[self.key]
        found, unit = float(entry["value"]), str(entry["unit"])
        if self.above is not None:
            return found - parse(self.above, "degC"), parse(self.value, "K"), "K"
        if self.minus is not None:
            found -= float(run.value(self.minus))
        if self.over is not None:
            return found / float(run.value(self.over)), float(self.value), ""
        if self.changed is not None:
            return found / float(laboratory.published(folder, self.changed).value(self.key)), float(self.value), ""
        return found, parse(self.value, unit), unit


class Row(Spec):
    """A number to read from a run."""

    read: str
    """entry of the summary, or with ``at`` a column of the history"""
    at: float | None = None
    """time in s; the run's rows must have it"""
    unit: str
    """that the number must have"""
    tolerance: Annotated[float, Field(ge=0.0)]
    """in the same unit"""

    @property
    def name(self) -> str:
        """What is read, in words."""
        return self.read if self.at is None else f"{self.read} at {self.at:g} s"

    def of(self, run: Run) -> float:
        """The number. Raises ``KeyError`` where the run has none, ``ValueError`` where it is in another unit."""
        if self.at is None:
            entry = run.summary[self.read]
            found, unit = float(entry["value"]), entry["unit"]
        else:
            times = run.history.time
            row = int(np.argmin(np.abs(times - self.at)))
            if not math.isclose(times[row], self.at, rel_tol=1e-9):
                raise ValueError(f"{self.read}: no row at {self.at:g} s")
            found, unit = float(run.history[self.read][row]), run.history.units[self.read]
        if unit != self.unit:
            raise ValueError(f"{self.name}: is in {unit}, not in {self.unit}")
        return found


class Known(Row):
    """A number whose value is known."""

    value: float
    """what it must be"""
    theory: str = ""
    """the expression that gave the value, in terms of ``tests/catalogue_reference.py``"""


class _Check(Spec):
    name: str
    """name in the table"""
    problem: str
    """what is solved, in words"""
    case: str
    """case file of the catalogue, or folder of the published set-up"""
    source: str
    """who says what must come out"""
    reason: str
    """why the tolerance is what it is"""
    quick: bool = True
    """whether it is part of a quick verification"""
    set: tuple[str, ...] = ()
    """overrides, as ``--set`` takes them"""

    def _finding(self, name: str, expected: float, obtained: float, tolerance: float, unit: str) -> Finding:
        good = abs(obtained - expected) <= tolerance  # of what is not a number, nothing is good
        return Finding(self.name, name, expected, obtained, tolerance, unit, PASSED if good else FAILED, self.source)


class Analytic(_Check):
    """Closed forms and quadratures."""

    kind: Literal["analytic"]
    """what must come out is known independently"""
    expected: Annotated[tuple[Known, ...], Field(min_length=1)]
    """numbers and their values"""

    def findings(self, laboratory: Laboratory) -> Iterator[Finding]:
        """A line for each number."""
        run = laboratory.catalogue(self.case, self.set)
        for row in self.expected:
            yield self._finding(row.name, row.value, row.of(run), row.tolerance, row.unit)


class Conservation(Analytic):
    """Ledgers, and totals that are known whatever the grid."""

    kind: Literal["conservation"]  # type: ignore[assignment]
    """what goes in is what is there and what went out"""


class Order(_Check):
    """Refine, and see the error fall."""

    kind: Literal["order"]
    """the order of convergence"""
    vary: str
    """key of the case that is refined"""
    values: Annotated[tuple[str, ...], Field(min_length=3)]
    """its values, each half of the one before"""
    read: str
    """entry of the summary"""
    unit: str
    """of the entry"""
    value: float
    """its exact value"""
    theory: str = ""
    """the expression that gave the value"""
    order: float
    """that the error must fall with, at least"""
    tolerance: float
    """by which the order may fall short"""

    def findings(self, laboratory: Laboratory) -> Iterator[Finding]:
        """A line: the least of the orders between two refinements."""
        row = Row(read=self.read, unit=self.unit, tolerance=0.0)
        runs = [laboratory.catalogue(self.case, (*self.set, f"{self.vary}={value}")) for value in self.values]
        errors = np.array([abs(row.of(run) - self.value) for run in runs])
        obtained = float(np.min(np.log2(errors[:-1] / errors[1:])))
        good = obtained >= self.order - self.tolerance
        name = f"order of the error of {self.read}"
        verdict = PASSED if good else FAILED
        yield Finding(self.name, name, self.order, obtained, self.tolerance, "", verdict, self.source)


class Other(Spec):
    """The run that another is held against."""

    case: str
    """case file of the catalogue"""
    set: tuple[str, ...] = ()
    """overrides"""


class Parity(_Check):
    """Two ways to the same answer."""

    kind: Literal["parity"]
    """two engines, two grids or two descriptions"""
    against: Other
    """the other way"""
    same: Annotated[tuple[Row, ...], Field(min_length=1)]
    """numbers that must agree"""

    def findings(self, laboratory: Laboratory) -> Iterator[Finding]:
        """A line for each number; what the other run has is what is expected."""
        one = laboratory.catalogue(self.case, self.set)
        other = laboratory.catalogue(self.against.case, self.against.set)
        for row in self.same:
            yield self._finding(row.name, row.of(other), row.of(one), row.tolerance, row.unit)


class Published(_Check):
    """What was measured, or computed by others: validation, with its misses."""

    kind: Literal["published"]
    """numbers of a publication"""

    def findings(self, laboratory: Laboratory) -> Iterator[Finding]:
        """A line for each measured number; that a stated miss is one no longer is a failure too."""
        for row in laboratory.measured(self.case):
            found, measured, unit = row.compare(laboratory, self.case)
            allowed = row.tolerance * abs(measured)
            met = found <= measured if row.at_most else abs(found - measured) <= allowed
            verdict = FAILED if met != row.met else PASSED if met else MISSED
            name = f"{row.key}, at most" if row.at_most else row.key
            yield Finding(self.name, name, measured, found, allowed, unit, verdict, row.source)


Check = Annotated[Analytic | Conservation | Order | Parity | Published, Field(discriminator="kind")]
