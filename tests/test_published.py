"""Published set-ups: each case is sound; simulated against measured where asked for (slow)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from thermal import load_case, simulate
from thermal.units import parse

PUBLISHED = Path(__file__).parent.parent / "cases" / "published"
BASELINES = PUBLISHED.parent / "baselines"
FOLDERS = sorted(path.parent for path in PUBLISHED.glob("*/case.toml"))


def expectations(folder: Path) -> list[dict[str, Any]]:
    """Rows of ``expected.toml``.

    ``key`` of the summary, measured ``value``, ``tolerance`` (relative) or ``at_most``, ``source``, ``met``. The number
    is that of the run ``with`` overrides; ``above`` a temperature; ``minus`` or ``over`` another number of the run; or
    its ratio to that of the run with the overrides ``changed``.
    """
    rows: list[dict[str, Any]] = tomllib.loads((folder / "expected.toml").read_text(encoding="utf-8"))["expected"]
    return rows


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_published_set_up_is_complete(folder: Path) -> None:
    """Case, expected numbers with their sources, and a page that says whether they are met."""
    case = load_case(folder / "case.toml")
    assert case.title
    page = (folder / "README.md").read_text(encoding="utf-8")
    for row in expectations(folder):
        load_case(folder / "case.toml", (*row.get("with", ()), *row.get("changed", ())))
        assert row["source"]
        assert row.get("at_most") or 0.0 < row["tolerance"] <= 0.35
        assert isinstance(row["met"], bool)
        assert row["value"] in page
    assert "doi" in page.lower() or "pubmed" in page.lower()


def simulated(row: dict[str, Any], numbers: Callable[[Sequence[str]], Mapping[str, Any]]) -> tuple[float, float]:
    """What a row compares, and what was measured; ``numbers`` gives the summary of the run with overrides."""
    summary = numbers(row.get("with", ()))
    found, unit = summary[row["key"]]["value"], summary[row["key"]]["unit"]
    if "above" in row:
        return found - parse(row["above"], "degC"), parse(row["value"], "K")
    if "minus" in row:
        found -= summary[row["minus"]]["value"]
    for other in ("over", "changed"):
        if other in row:
            below = summary[row["over"]] if other == "over" else numbers(row["changed"])[row["key"]]
            return found / below["value"], float(row["value"])
    return found, parse(row["value"], unit)


@pytest.mark.slow
@pytest.mark.timeout(3600)  # up to four treatments of a quarter of an hour each, on machines that may be busy
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_simulated_against_measured(folder: Path, tmp_path: Path) -> None:
    """What is said to be met is; what is said to be missed still is, so that the pages stay true."""
    runs: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def numbers(overrides: Sequence[str]) -> Mapping[str, Any]:
        key = tuple(overrides)
        if key not in runs:
            case = load_case(folder / "case.toml", (*key, "output.series=false", "output.pictures=false"))
            runs[key] = simulate(case, tmp_path / str(len(runs))).summary
        return runs[key]

    for row in expectations(folder):
        found, measured = simulated(row, numbers)
        met = found <= measured if row.get("at_most") else abs(found / measured - 1.0) <= row["tolerance"]
        print(f"{folder.name}: {row['key']} {found:.5g}, measured {measured:.5g}, met {met}")
        assert met == row["met"], (row["key"], found, measured)


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_baseline_reads(path: Path) -> None:
    case = load_case(path)
    assert case.title
    assert case.zone_law.kind in case.damage.laws


def test_the_baselines_are_all_there() -> None:
    named = {"rfa_single", "rfa_cluster", "cryo_single", "cryo_three", "laser_bare", "ethanol", "tae_rfa", "microwave"}
    assert {path.stem for path in BASELINES.glob("*.toml")} == named
