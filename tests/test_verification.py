"""``thermal verify``: the catalogue is right, the quick part passes, and what is wrong is said to be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import catalogue_reference
import numpy as np
import pytest
from scipy.special import k0, k1

from thermal import load_case
from thermal.cli import main
from thermal.store import Run
from thermal.verification import Catalogue, Check, load_catalogue, text, verify
from thermal.verification.catalogue import home
from thermal.verification.checks import FAILED, MISSED, PASSED, SKIPPED, Measured, UnavailableError
from thermal.verification.run import Bench
from thermal.verification.table import row

ROOT = Path(__file__).parent.parent
CATALOGUE = load_catalogue()
WORDS: dict[str, Any] = {
    **vars(catalogue_reference), "np": np, "k0": k0, "k1": k1,
    "WATER": catalogue_reference.Freezing(1000.0, 2.22, 2050.0, 0.556, 4226.0, 3.34e5, 0.0, 10.0),
    "TISSUE": catalogue_reference.Freezing(1000.0, 2.0, 1800.0, 0.5, 3600.0, 2.5e5, -1.0, 37.0),
}  # fmt: skip
"""What an expression of the catalogue may name: nothing of the package."""


def known(check: Check) -> list[tuple[float, str]]:
    rows = getattr(check, "expected", None) or ([check] if check.kind == "order" else [])
    return [(row.value, row.theory) for row in rows]


@pytest.mark.parametrize("check", CATALOGUE.check, ids=lambda check: check.name)
def test_values_are_those_of_the_theory(check: Check) -> None:
    """Nine digits are written."""
    for value, theory in known(check):
        if theory:
            assert value == pytest.approx(float(eval(theory, WORDS)), rel=2e-8, abs=1e-12)
        else:
            assert value in (0.0, 2.0, 6.0, 5e5), "a number that nobody can derive needs its expression"


def test_names_are_names_and_cases_are_read() -> None:
    names = [check.name for check in CATALOGUE.check]
    assert len(set(names)) == len(names) > 40
    assert {check.kind for check in CATALOGUE.check} == {"analytic", "order", "conservation", "parity", "published"}
    for check in CATALOGUE.check:
        if check.kind != "published":
            load_case(home("catalogue") / f"{check.case}.toml", check.set)


@pytest.mark.parametrize("name", ["Series", "DAM-03", "PEN-01", "Order in one dimension", "Energy, insulated"])
def test_a_check_passes(name: str, tmp_path: Path) -> None:
    """Some of every quick kind; continuous integration runs all quick ones by the command itself."""
    lines = list(verify(CATALOGUE.choose([name], False), tmp_path))
    assert {finding.verdict for _, finding in lines} == {PASSED}


@pytest.mark.slow
def test_everything_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--all", "--quiet"]) == 0
    assert FAILED not in capsys.readouterr().out


# ------------------------------------------------------------------------------------------ what must not pass


class Made:
    """A laboratory whose runs have the numbers that a test wants."""

    def __init__(self, *values: float, unit: str = "degC", measured: tuple[Measured, ...] = ()) -> None:
        self._values, self._unit, self._measured = iter(values), unit, list(measured)

    def catalogue(self, case: str, overrides: tuple[str, ...]) -> Run:
        return Run(Path(), {"number": {"value": next(self._values), "unit": self._unit}})

    def published(self, folder: str, overrides: tuple[str, ...]) -> Run:
        return self.catalogue(folder, overrides)

    def measured(self, folder: str) -> list[Measured]:
        return self._measured


COMMON = {"name": "n", "problem": "p", "case": "c", "source": "s", "reason": "r"}
READ = {"read": "number", "unit": "degC", "tolerance": 0.1}


def made(kind: str, **more: Any) -> Check:
    return Catalogue.model_validate({"check": [{**COMMON, "kind": kind, **more}]}).check[0]


@pytest.mark.parametrize(
    ("obtained", "verdict"), [(1.09, PASSED), (0.89, FAILED), (float("nan"), FAILED), (float("inf"), FAILED)]
)
@pytest.mark.parametrize("kind", ["analytic", "conservation"])
def test_a_number_beyond_its_tolerance_fails(kind: str, obtained: float, verdict: str) -> None:
    (finding,) = made(kind, expected=[{**READ, "value": 1.0}]).findings(Made(obtained))
    assert finding.verdict == verdict
    with pytest.raises(ValueError, match="is in K, not in degC"):
        list(made(kind, expected=[{**READ, "value": 1.0}]).findings(Made(1.0, unit="K")))


@pytest.mark.parametrize(("last", "verdict"), [(1.0625, PASSED), (1.125, FAILED), (float("nan"), FAILED)])
def test_an_order_that_is_too_low_fails(last: float, verdict: str) -> None:
    """Errors of 1, 1/4 and 1/16 are of order 2; an eighth at last is of order 1."""
    check = made("order", vary="h", values=["4", "2", "1"], value=1.0, order=2.0, **READ)
    (finding,) = check.findings(Made(2.0, 1.25, last))
    assert finding.verdict == verdict
    assert math.isnan(last) or finding.obtained == pytest.approx(2.0 if verdict == PASSED else 1.0)


@pytest.mark.parametrize(("one", "other", "verdict"), [(1.0, 1.05, PASSED), (1.0, 1.2, FAILED)])
def test_two_ways_that_disagree_fail(one: float, other: float, verdict: str) -> None:
    (finding,) = made("parity", against={"case": "d"}, same=[READ]).findings(Made(one, other))
    assert (finding.verdict, finding.expected, finding.obtained) == (verdict, other, one)


@pytest.mark.parametrize(
    ("obtained", "met", "verdict"),
    [(55.0, True, PASSED), (70.0, False, MISSED), (70.0, True, FAILED), (55.0, False, FAILED)],
)
def test_a_measurement_is_met_or_missed_as_stated(obtained: float, met: bool, verdict: str) -> None:
    measured = Measured(key="number", value="50 degC", tolerance=0.2, source="s", met=met)
    (finding,) = made("published").findings(Made(obtained, measured=(measured,)))
    assert finding.verdict == verdict
    assert finding.failed == (verdict == FAILED)


@pytest.mark.parametrize(
    ("row", "values", "found"),
    [
        ({"value": "9 K", "above": "37 degC"}, (45.0,), 8.0),
        ({"value": "40 degC", "at_most": True}, (39.0,), 39.0),
        ({"value": "0.5", "changed": ["a=1"]}, (20.0, 40.0), 0.5),
        ({"value": "1", "over": "number"}, (20.0,), 1.0),
    ],
)
def test_what_is_made_of_a_number(row: dict[str, Any], values: tuple[float, ...], found: float) -> None:
    measured = Measured.model_validate({"key": "number", "tolerance": 0.2, "source": "s", "met": True, **row})
    (finding,) = made("published").findings(Made(*values, measured=(measured,)))
    assert (finding.verdict, finding.obtained) == (PASSED, found)


def test_what_was_measured_is_read() -> None:
    bench = Bench(Path())
    for folder in home("published").iterdir():
        assert all(row.at_most or 0.0 < row.tolerance <= 0.35 for row in bench.measured(folder.name))


def test_what_cannot_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = made("analytic", expected=[{**READ, "value": 1.0}])
    ((_, finding),) = verify([missing], tmp_path)
    assert finding.verdict == FAILED
    assert "no such file" in finding.read

    def absent(*_: Any) -> Run:
        raise UnavailableError("DOLFINx is not installed")

    monkeypatch.setattr("thermal.verification.run.Bench.catalogue", absent)
    ((check, finding),) = verify([missing], tmp_path)
    assert (finding.verdict, finding.failed) == (SKIPPED, False)
    assert "1 not run" in text([(check, finding)])


# -------------------------------------------------------------------------------------------- command and page


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "page.md"
    assert main(["verify", "Series", "--page", str(written), "--out", str(tmp_path / "runs"), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "3 numbers of 1 checks: 3 pass" in out
    assert "[1] Ohm's law" in out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["000_resistor"]
    assert "| Series | probe.border.potential | 2 V | 0.0001 | " in written.read_text()
    assert main(["verify", "Series", "--out", str(tmp_path / "runs"), "--quiet"]) == 2
    assert main(["verify", "PEN-99"]) == 2
    assert '"PEN-99" is no check; known are' in capsys.readouterr().err
    assert main(["verify", "--list", "published"]) == 0
    assert "littrup_2009_single" in capsys.readouterr().out


def test_the_page_of_the_documentation_is_that_of_the_catalogue() -> None:
    """Every check, with the numbers, tolerances and words that the catalogue has now, and none of it failed."""
    written = (ROOT / "docs" / "verification-results.md").read_text(encoding="utf-8")
    assert FAILED not in written
    for check in CATALOGUE.check:
        if check.kind != "published":  # those are on a page of their own
            assert f"- **{check.name}**: {check.problem}. {check.source}. Tolerance: {check.reason}." in written
        if check.kind in ("analytic", "conservation"):
            for known_row in check.expected:
                cells = known_row.name, known_row.value, known_row.tolerance, known_row.unit
                assert row(check.name, *cells) in written
