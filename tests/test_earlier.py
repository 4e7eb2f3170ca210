"""Treatments that follow each other: damage and what is left of particles are carried into the next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scenes import tumour_in_liver

from thermal import load_case, simulate
from thermal.cli import main
from thermal.errors import CaseError
from thermal.guidance.assess import NEXT, assess, write_assessment
from thermal.physics.damage import CellDeath, Cryo, Repeated
from thermal.simulation import prepare
from thermal.store import Run

CASE = (
    tumour_in_liver(36, 3, 8)
    + """\
[particles]
material = "gold_nanorod_41x10"
[delivery]
kind = "uniform"
region = "tumour"
concentration = "0.02 mg/ml"
[heating]
kind = "prescribed"
on = [["0 s", "40 s"]]
[[heating.sources]]
shape = "gaussian"
centre = ["14 mm", "18 mm", "18 mm"]
sigma = "4 mm"
peak = "5 W/cm^3"
[bioheat]
duration = "60 s"
perfusion_stops = false
[damage]
laws = ["arrhenius", "cem43", "cell_death"]
[output]
series = false
pictures = false
"""
)
OTHER_SIDE = "heating.sources.0.centre=['22 mm','18 mm','18 mm']"


def write(folder: Path, text: str = CASE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.toml").write_text(text)
    return folder / "case.toml"


def following(run: Run, *changes: str) -> list[str]:
    return [f"earlier.run={run.folder}", *changes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions")


@pytest.fixture(scope="module")
def first(folder: Path) -> Run:
    return simulate(load_case(write(folder)), folder / "first")


@pytest.fixture(scope="module")
def second(folder: Path, first: Run) -> Run:
    return simulate(
        load_case(folder / "case.toml", following(first, OTHER_SIDE, "earlier.kept=0.5")), folder / "second"
    )


def test_damage_adds_up(folder: Path, first: Run, second: Run) -> None:
    """Omega and CEM43 of both are the sums, to round-off, where they are not at their ends; the zone is at least that
    of either, and what was covered before is told."""
    alone = simulate(load_case(folder / "case.toml", [OTHER_SIDE]), folder / "alone")
    for law, cap in (("arrhenius", 1000.0), ("cem43", 1e9)):
        one, other, both = (np.asarray(run.static[law].values) for run in (first, alone, second))
        free = one + other < 0.9 * cap
        assert (one[free] > 0.0).any()
        np.testing.assert_allclose(both[free], (one + other)[free], rtol=1e-5, atol=1e-9)  # fields are kept in 32 bits
    zone = np.asarray(second.static["zone"].values)
    for run in (first, alone):
        assert (zone[np.asarray(run.static["zone"].values) >= 0.0] > -1e-4).all()
    coverage = [run.value("zone.tumour_coverage") for run in (first, alone, second)]
    assert 0.02 < coverage[0] < 0.9
    assert max(coverage[:2]) < coverage[2]
    assert second.value("earlier.tumour_coverage") == pytest.approx(coverage[0], abs=1e-4)
    assert second.value("earlier.zone_volume") == pytest.approx(first.value("zone.volume"), rel=1e-3)


def test_what_is_left_of_particles_is_added(folder: Path, first: Run, second: Run) -> None:
    before, after = (np.asarray(run.static["concentration"].values) for run in (first, second))
    np.testing.assert_allclose(after, 1.5 * before, rtol=1e-6)
    assert second.value("earlier.particles") == pytest.approx(0.5 * first.value("dose.tumour"), rel=1e-5)
    other = following(first, "particles={material='gold_nanosphere_40'}")
    with pytest.raises(CaseError, match="are others"):
        prepare(load_case(folder / "case.toml", other), lambda stage, share: None)
    prepare(load_case(folder / "case.toml", [*other, "earlier.kept=0"]), lambda stage, share: None)


def test_particles_of_before_are_heated_now(folder: Path, first: Run) -> None:
    """Nothing is delivered, and yet the particles are there."""
    case = load_case(folder / "case.toml", following(first, "delivery={kind='none'}"))
    assert not case.notes()
    found = prepare(case, lambda stage, share: None).delivered
    np.testing.assert_allclose(found.bulk, np.asarray(first.static["concentration"].values), rtol=1e-6)


def test_another_grid_and_another_place(folder: Path, first: Run) -> None:
    """On finer voxels the dead tissue is that of the nearest nodes; where the first run was not, nothing is known."""
    case = load_case(folder / "case.toml", following(first, "anatomy.voxel_size=2 mm"))
    prepared = prepare(case, lambda stage, share: None)
    damage, volume = prepared.start().state.damage["arrhenius"], prepared.engine.volume
    whole = np.asarray(first.static["arrhenius"].values)
    coarse = prepare(load_case(folder / "case.toml"), lambda stage, share: None).engine.volume
    assert volume[damage >= 1.0].sum() == pytest.approx(coarse[whole >= 1.0].sum(), rel=0.15)  # a few dozen nodes
    far = CASE.replace('origin = ["0 mm"', 'origin = ["100 mm"').replace('centre = ["1', 'centre = ["11')
    away = load_case(write(folder / "far", far), following(first))
    with pytest.raises(CaseError, match="outside this anatomy"):
        prepare(away, lambda stage, share: None)
    with pytest.raises(CaseError, match="no such file"):
        prepare(load_case(folder / "case.toml", ["earlier.run='nowhere'"]), lambda stage, share: None)


def test_states_that_show_less_than_they_hold() -> None:
    dead = np.array([0.0, 0.4, 1.0])
    law = CellDeath()
    value = law.carried(dead)
    np.testing.assert_allclose(law.shown(value), dead)
    np.testing.assert_allclose(value[0], law.initial(1)[0])
    assert value[:, 0] == pytest.approx(law.alive_at_rest * (1.0 - dead))
    often = Cryo(repeated=Repeated())
    np.testing.assert_array_equal(often.shown(often.carried(np.array([-30.0, 10.0]))), [-30.0, 10.0])


NEEDLE = CASE.replace(
    '[[heating.sources]]\nshape = "gaussian"\ncentre = ["14 mm", "18 mm", "18 mm"]\nsigma = "4 mm"\npeak = "5 W/cm^3"',
    'wavelength = "808 nm"\npower = "2 W"\n[heating.fibre]\nentry = ["14 mm", "35 mm", "18 mm"]\n'
    'tip = ["14 mm", "14 mm", "18 mm"]\ndiffuser = "8 mm"',
).replace('kind = "prescribed"', 'kind = "photothermal"')


@pytest.mark.slow
def test_the_next_treatment_is_a_case(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fibre 4 mm beside the tumour's middle leaves some of it: what is suggested runs as it is, and covers more."""
    run = simulate(load_case(write(folder / "needle", NEEDLE)), folder / "needle" / "run")
    found = assess(run, margin=0.0)
    assert found.steps
    paths = write_assessment(found, folder / "needle" / "assessment")
    assert folder / "needle" / "assessment" / NEXT in paths
    case = load_case(folder / "needle" / "assessment" / NEXT)
    (fibre,) = case.heating.fibre
    assert fibre.tip == pytest.approx(np.array([0.014, 0.014, 0.018]) + found.steps[0].shift)
    assert main(["run", str(folder / "needle" / "assessment" / NEXT), "--out", str(folder / "needle" / "next")]) == 0
    summary = json.loads((folder / "needle" / "next" / "summary.json").read_text())
    before = run.value("zone.tumour_coverage")
    assert summary["earlier.tumour_coverage"]["value"] == pytest.approx(before, abs=1e-4)
    assert summary["zone.tumour_coverage"]["value"] > before + 0.05
