"""Samples on a coarse grid corrected by a few on the fine one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from batches import HerePool, index, written

from thermal import run_batch
from thermal.batch import load_sweep
from thermal.batch.fidelity import correct
from thermal.batch.members import expand
from thermal.errors import CaseError

SWEEP = """
schema_version = 1
cases = ["ball.toml"]
keep = "summary"
sample = { method = "latin_hypercube", count = 14, seed = 2 }
coarse = { set = { "anatomy.voxel_size" = "5 mm" }, fine = 9 }
outcomes = ["peak_temperature", "zone.tumour_coverage"]
[priors.perfusion]
keys = ["tissues.liver.perfusion", "tissues.tumour.perfusion"]
distribution = "lognormal"
median = 1.0
spread = 1.5
relative = "factor"
source = "a test"
[priors.amplitude]
keys = ["heating.amplitude"]
distribution = "uniform"
low = "14 kA/m"
high = "20 kA/m"
source = "a test"
"""


def test_what_is_linear_is_found_exactly() -> None:
    coarse = np.linspace(2.0, 5.0, 30)
    fine = np.where(np.arange(30) < 8, 1.5 * coarse - 0.5, np.nan)
    found = correct(coarse, fine)
    assert found.values == pytest.approx(1.5 * coarse - 0.5, rel=1e-12)
    assert found.error < 1e-12


def test_the_error_is_that_of_leaving_each_out() -> None:
    random = np.random.default_rng(1)
    coarse = random.random(12)
    fine = 2.0 * coarse + 0.1 * random.standard_normal(12)
    misses = []
    for left in range(12):
        others = np.arange(12) != left
        slope, start = np.polyfit(coarse[others], fine[others], 1)
        misses.append(fine[left] - start - slope * coarse[left])
    assert correct(coarse, fine).error == pytest.approx(np.sqrt(np.mean(np.square(misses))), rel=1e-9)


def test_shares_stay_shares_and_constants_constant() -> None:
    coarse = np.array([0.90, 0.95, 1.0, 1.0, 0.2, 1.0])
    found = correct(coarse, np.array([0.93, 1.0, 1.0, 1.0, np.nan, np.nan]))
    assert found.values.max() <= 1.0
    assert correct(np.full(6, 3.0), np.array([4.0, 4.0, 5.0, np.nan, np.nan, np.nan])).values[-1] == pytest.approx(
        13 / 3
    )


def test_a_sweep_on_two_grids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Estimates of samples that were never run on the fine grid are as near to such runs as is stated."""
    monkeypatch.setattr("thermal.batch.run.LocalPool", HerePool)
    done = run_batch(written(tmp_path, SWEEP), tmp_path / "out")
    assert done.failed == {}
    rows = index(tmp_path / "out")
    assert [row["anatomy.voxel_size"] for row in rows] == ["5 mm"] * 14 + [""] * 9
    coarse, fine, estimate = json.loads((tmp_path / "out" / "statistics.json").read_text())["groups"]
    assert (coarse["runs"], fine["runs"], estimate["runs"]) == (14, 9, 14)
    assert "all samples, estimated" in estimate["group"]
    assert "off by" in (tmp_path / "out" / "report.md").read_text()
    key = "peak_temperature"
    assert 0.0 < estimate["errors"][key] < 0.2 * estimate["quantiles"][key]["sd"]
    whole = written(tmp_path, SWEEP.replace("coarse = {", "# {"))
    run_batch(whole, tmp_path / "whole")
    (truth,) = json.loads((tmp_path / "whole" / "statistics.json").read_text())["groups"]
    spread = truth["quantiles"][key]["sd"]
    assert truth["quantiles"][key]["mean"] == pytest.approx(
        estimate["quantiles"][key]["mean"], abs=estimate["errors"][key]
    )
    assert abs(coarse["quantiles"][key]["mean"] - truth["quantiles"][key]["mean"]) > estimate["errors"][key]
    assert spread == pytest.approx(estimate["quantiles"][key]["sd"], abs=2.0 * estimate["errors"][key])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("fine = 9", "fine = 15"), "of whose count it runs some"),
        (("fine = 9", "fine = 7"), "coarse.fine: 7 is out of range; expected at least 8"),
    ],
)
def test_bad_sweeps_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(CaseError, match=words):
        expand(load_sweep(written(tmp_path, SWEEP.replace(*change))))
