"""Published set-ups: each case is sound; simulated against measured where asked for (slow)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from thermal import load_case, simulate
from thermal.units import parse

PUBLISHED = Path(__file__).parent.parent / "cases" / "published"
BASELINES = PUBLISHED.parent / "baselines"
FOLDERS = sorted(path.parent for path in PUBLISHED.glob("*/case.toml"))


def expectations(folder: Path) -> list[dict[str, Any]]:
    """Rows of ``expected.toml``: key of the summary, measured value, tolerance (relative), source, met."""
    rows: list[dict[str, Any]] = tomllib.loads((folder / "expected.toml").read_text(encoding="utf-8"))["expected"]
    return rows


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_published_set_up_is_complete(folder: Path) -> None:
    """Case, expected numbers with their sources, and a page that says whether they are met."""
    case = load_case(folder / "case.toml")
    assert case.title
    page = (folder / "README.md").read_text(encoding="utf-8")
    for row in expectations(folder):
        assert row["source"]
        assert 0.0 < row["tolerance"] <= 0.35
        assert isinstance(row["met"], bool)
        assert row["value"] in page
    assert "doi" in page.lower()


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_simulated_against_measured(folder: Path, tmp_path: Path) -> None:
    """What is said to be met is; what is said to be missed still is, so that the pages stay true."""
    run = simulate(load_case(folder / "case.toml", ("output.series=false", "output.pictures=false")), tmp_path / "run")
    for row in expectations(folder):
        found = run.summary[row["key"]]
        measured = parse(row["value"], found["unit"])
        error = abs(found["value"] / measured - 1.0)
        assert (error <= row["tolerance"]) == row["met"], (row["key"], found["value"], measured)


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_baseline_reads(path: Path) -> None:
    case = load_case(path)
    assert case.title
    assert case.zone_law.kind in case.damage.laws


def test_the_baselines_are_all_there() -> None:
    named = {"rfa_single", "rfa_cluster", "cryo_single", "cryo_three", "laser_bare", "ethanol", "tae_rfa", "microwave"}
    assert {path.stem for path in BASELINES.glob("*.toml")} == named
