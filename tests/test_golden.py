"""Shipped cases give the numbers that somebody reviewed (``tests/golden``); see ``golden_runs.py``.

A change of physics or numerics shows here first. Where it is meant, ``make golden`` renews the numbers and prints the
differences for review; where it is not, it is a fault.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import golden_runs
import pytest
from golden_runs import Golden, file_of, goldens, numbers, read, runnable

from thermal import simulate
from thermal.simulation.workshop import Workshop
from thermal.view.wording import known

ALL = goldens()
QUICK = {
    "baselines-cryo_single", "baselines-ethanol", "baselines-laser_bare", "baselines-rfa_single",
    "carriers-liposome_thermosensitive", "carriers-vortex_disc", "delivery-intra_arterial", "delivery-intravenous",
    "liver-cryo", "liver-gold", "liver-iron", "liver-rfa",
}  # fmt: skip
"""One of each kind; the others are run with the slow tests."""


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    """The phantom is made once for all."""
    return Workshop()


def marked(golden: Golden) -> object:
    return pytest.param(golden, id=golden.name, marks=[] if golden.name in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize("golden", [marked(golden) for golden in ALL])
def test_a_case_gives_its_golden_numbers(golden: Golden, tmp_path: Path, workshop: Workshop) -> None:
    run = simulate(golden.load(), tmp_path / "run", workshop=workshop)
    lines = golden.differences(numbers(run))
    assert lines == [], f"{golden.name}: review, then: make golden CASES={golden.name}"
    assert [key for key in run.summary if known(key) is None] == []  # add them to thermal/view/wording.toml


def test_every_case_has_golden_numbers_and_nothing_else_has() -> None:
    assert {golden.path for golden in ALL} == {file_of(case) for case in runnable()}
    assert {golden.name for golden in ALL} >= QUICK


def test_golden_numbers_are_held_tightly_and_for_a_reason() -> None:
    for golden in ALL:
        assert 0.0 < golden.tolerance <= 5e-3, golden.name
        assert golden.reason, golden.name
        assert {"peak_temperature", "zone.volume", "steps"} <= set(golden.values), golden.name


def test_what_changed_is_said_and_only_the_values_are_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = replace(ALL[0], path=tmp_path / "a.toml", values={"zone.volume": (1e-5, "m^3"), "steps": (100.0, "")})
    found = {"zone.volume": (1.1e-5, "m^3"), "steps": (100.0, ""), "dose.tumour": (1.0, "kg")}
    assert golden.differences(golden.values) == []
    moved, new = golden.differences(found)
    assert moved == "zone.volume: 1e-05 -> 1.1e-05 m^3, +10 % (100 tolerances)"
    assert new == "dose.tumour: new, 1 kg"
    assert golden.differences({}) == ["zone.volume: was 1e-05 m^3, is gone", "steps: was 100 , is gone"]
    assert golden.differences({**found, "steps": (float("nan"), "")})[1].startswith("steps: 100 -> nan")
    assert len(golden.differences({**found, "steps": (102.0, "")})) == 2
    assert len(golden.differences({**found, "steps": (104.0, "")})) == 3
    golden_runs.write(golden, golden.values)
    golden.path.write_text("# my words\n" + golden.path.read_text())
    golden_runs.write(golden, found)
    again = read(golden.path)
    assert golden.path.read_text().startswith("# my words\n# The numbers are renewed")
    assert (again.values, again.case, again.tolerance) == (found, golden.case, golden.tolerance)
