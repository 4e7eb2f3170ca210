"""Treat until covered, embolisation, a lethal concentration, and what is said to have limited a treatment."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import CATALOGUE, RunCase

from thermal import load_case, simulate
from thermal.comparison.limits import what_limited
from thermal.errors import CaseError
from thermal.physics.damage import Chemical
from thermal.simulation import prepare
from thermal.store import Run
from thermal.zone.target import Target


def covered_at(run: Run) -> float:
    return float(run.value("treatment.covered_at"))


def test_treatment_ends_when_the_tumour_is_covered(run_case: RunCase) -> None:
    """It ends at a look (every 15 s) with a margin of at least zero, stays off, and the run ends 30 s later."""
    run = run_case("until")
    end = covered_at(run)
    assert end / 15.0 == pytest.approx(round(end / 15.0))
    time, power = run.history.time, run.history["power"]
    assert power[(time > 0.0) & (time <= end)].min() == pytest.approx(15.0)
    assert power[time > end + 1e-6].max() == 0.0
    assert time[-1] == pytest.approx(end + 30.0, abs=10.0)  # the last step may reach beyond
    assert run.value("zone.tumour_coverage") == 1.0
    assert "Stopped when the tumour was covered" in what_limited(run)
    assert run.value("ledger.energy_error") < 1e-11


def test_a_margin_takes_longer_and_embolisation_less(run_case: RunCase) -> None:
    """Blood in the tumour keeps it cool: without it the same power covers it sooner; a margin of 3 mm later."""
    plain = covered_at(run_case("until"))
    wide = run_case("until", "bioheat.until.margin=3 mm")
    assert covered_at(wide) > plain
    # between nodes too; the surface 3 mm off a ball of 6 mm is seen in facets of a cell of 2.5 mm, which cut off h^2/8r
    assert wide.value("zone.minimum_margin") > 3e-3 - 1e-4
    assert covered_at(run_case("until", "bioheat.embolisation.tumour=0.1", "bioheat.until.every=1 s")) < plain


def test_embolisation_scales_the_perfusion(run_case: RunCase) -> None:
    """A tenth of the perfusion is the same as a tissue with a tenth of it."""
    factor = run_case("until", "bioheat.embolisation.tumour=0.1")
    other = run_case("until", "tissues.tumour.perfusion=0.00155 1/s")
    assert factor.value("zone.volume") == pytest.approx(other.value("zone.volume"), rel=1e-9)
    with pytest.raises(CaseError, match=r"bioheat\.embolisation\.tumor: names no region"):
        simulate(load_case(CATALOGUE / "until.toml", ("bioheat.embolisation.tumor=0.1",)))


def test_a_target_is_covered_between_its_nodes_too() -> None:
    """A ball of 6 mm on cells of 2.5 mm: a zone that holds all its nodes but ends between them and the border will not
    do, and one without a node is not covered though it holds the surface."""
    prepared = prepare(load_case(CATALOGUE / "until.toml"), lambda stage, share: None)
    target = Target.of(prepared.engine, "tumour", 0.0, ())
    away = np.linalg.norm(prepared.engine.points, axis=1)
    outermost = away[target.inside].max()
    within, beyond = np.where(target.inside, 1.01, 0.0), np.where(away <= outermost + 4e-3, 1.01, 0.0)
    assert not target.covered(prepared.engine, within, 1.0)
    assert target.covered(prepared.engine, beyond, 1.0)
    beyond[np.argmin(away)] = 0.9
    assert not target.covered(prepared.engine, beyond, 1.0)


def test_nothing_to_cover_is_refused() -> None:
    with pytest.raises(CaseError, match="names no tumour"):
        simulate(load_case(CATALOGUE / "rfa_control.toml", ("bioheat.until.margin=1 mm", "heating.power=5 W")))


def test_lethal_concentration_lasts_or_fades() -> None:
    """60 kg/m3 for a minute; with blood carrying away 1 % a second it takes 60 e^0.6 = 109 kg/m3 at first."""
    held = np.array([59.0, 61.0, 108.0, 111.0])
    spec = Chemical.model_validate({"hold": "60 s", "lethal_concentration": "60 mg/ml"})
    steady, fading = spec.bind(held), spec.model_copy(update={"washout": 0.01}).bind(held)
    body = np.full(4, 37.0)
    early = steady.accumulate(steady.initial(4), body, body, 59.0)
    late = steady.accumulate(early, body, body, 1.0)
    assert (steady.measure(early, body, 59.0) >= steady.level).tolist() == [False] * 4
    assert (steady.measure(late, body, 60.0) >= steady.level).tolist() == [False, True, True, True]
    assert (fading.measure(late, body, 60.0) >= fading.level).tolist() == [False, False, False, True]
    assert fading.survival(late).tolist() == [1.0, 1.0, 1.0, 0.0]


def test_no_infusate_is_denser_than_the_agent() -> None:
    with pytest.raises(CaseError, match="more than the pure agent has, 789"):
        load_case(CATALOGUE.parent.parent / "cases/baselines/ethanol.toml", ("delivery.concentration=900 mg/ml",))


def test_what_limits_a_treatment(run_case: RunCase) -> None:
    rolled = run_case("rfa_control", "heating.power=60 W", 'heating.rolloff={rise="10 ohm", pause="15 s"}')
    assert "Tissue dried at the electrode: the generator paused" in what_limited(rolled)
    assert "could have taken more" in what_limited(run_case("rfa_control", "heating.power=5 W"))
    assert "The heat that tissue and blood bring to the ice" in what_limited(run_case("cryo_limited"))
