"""Run checks: each run once, however many checks read it."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from thermal.case import Case, load_case
from thermal.engine import NotConvergedError
from thermal.progress import Report
from thermal.simulation import simulate
from thermal.simulation.workshop import Workshop
from thermal.store import Run
from thermal.verification.catalogue import home
from thermal.verification.checks import FAILED, SKIPPED, Check, Finding, Measured, UnavailableError

QUIET = ("output.pictures=false",)
_NOTHING = float("nan")


class Bench:
    """Runs cases in folders below ``folder`` and keeps the results; see :class:`~.checks.Laboratory`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[tuple[str, ...], Run] = {}
        self._workshop = Workshop()

    def catalogue(self, case: str, overrides: tuple[str, ...]) -> Run:
        """A case of the catalogue."""
        return self._run(home("catalogue") / f"{case}.toml", overrides)

    def published(self, folder: str, overrides: tuple[str, ...]) -> Run:
        """The case of a published set-up."""
        return self._run(home("published") / folder / "case.toml", overrides)

    def measured(self, folder: str) -> list[Measured]:
        """What was measured in a published set-up."""
        rows = tomllib.loads((home("published") / folder / "expected.toml").read_text(encoding="utf-8"))["expected"]
        return [Measured.model_validate(row) for row in rows]

    def _run(self, path: Path, overrides: tuple[str, ...]) -> Run:
        key = (str(path), *overrides)
        if key not in self._done:
            case = load_case(path, (*overrides, *QUIET))
            _available(case)
            name = f"{len(self._done):03d}_{path.stem if path.stem != 'case' else path.parent.name}"
            self._done[key] = simulate(case, self._folder / name, workshop=self._workshop)
        return self._done[key]


def _available(case: Case) -> None:
    if case.numerics.engine == "dolfinx" and importlib.util.find_spec("dolfinx") is None:
        raise UnavailableError("DOLFINx is not installed")


def verify(checks: Sequence[Check], folder: Path, report: Report | None = None) -> Iterator[tuple[Check, Finding]]:
    """Run ``checks`` in ``folder``; every line of the table as it comes. A run that fails is a line that fails."""
    bench = Bench(folder)
    for number, check in enumerate(checks):
        if report is not None:
            report(check.name, number / len(checks))
        try:
            found = list(check.findings(bench))
        except UnavailableError as error:
            found = [_without_numbers(check, str(error), SKIPPED)]
        except (NotConvergedError, KeyError, ValueError, OSError) as error:  # bad cases are of the ValueErrors
            found = [_without_numbers(check, str(error).splitlines()[0], FAILED)]
        yield from ((check, finding) for finding in found)


def _without_numbers(check: Check, why: str, verdict: str) -> Finding:
    return Finding(check.name, why, _NOTHING, _NOTHING, _NOTHING, "", verdict, check.source)
