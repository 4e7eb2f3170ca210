"""What a case gets that leaves things out, or asks for something odd: never silently a wrong number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from conftest import CATALOGUE, RunCase

from thermal import load_case, simulate
from thermal.errors import CaseError
from thermal.simulation import check
from thermal.store import Run


def test_doubts_about_the_anatomy_are_in_the_run(tmp_path: Path) -> None:
    corners = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10], [10, 10, 10]], dtype=float)
    cells = [[0, 1, 2, 3], [1, 3, 2, 4]]  # the second is inside out
    meshio.vtu.write(
        tmp_path / "two.vtu",
        meshio.Mesh(corners, [("tetra", cells)], cell_data={"region": [np.ones(2, dtype=np.int32)]}),
    )
    (tmp_path / "case.toml").write_text(
        'schema_version = 1\n[anatomy]\nkind = "mesh"\nfile = "two.vtu"\nlength_unit = "mm"\nregions = { liver = 1 }\n'
        '[bioheat]\nduration = "1 s"\n[output]\npictures = false\n'
    )
    assert "inside out" in warnings(simulate(load_case(tmp_path / "case.toml"), tmp_path / "run"))
    assert "WARNING" in (tmp_path / "run" / "log.txt").read_text()


def warnings(run: Run) -> str:
    found: list[Any] = run.value("warnings")
    return " ".join(str(entry) for entry in found)


def region_source(density: str) -> str:
    return f'heating.sources=[{{shape="region", region="tissue", density="{density}"}}]'


# ------------------------------------------------------------------------------- left out of the model


def test_freezing_without_data_is_said(run_case: RunCase) -> None:
    """Tissue without frozen properties cannot freeze; below -1 degC its temperatures are wrong."""
    run = run_case("pen01", region_source("-4e6 W/m^3"), "bioheat.freezing={}", "bioheat.duration=200 s")
    assert run.value("lowest_temperature") < -50.0
    assert "bioheat.freezing" in warnings(run)
    assert "tissues.tissue.latent_heat" in warnings(run)
    off = run_case("pen01", region_source("-4e6 W/m^3"), "bioheat.duration=200 s")  # freezing = "off" is a choice
    assert "freezing" not in warnings(off)


def test_boiling_without_data_is_said(run_case: RunCase) -> None:
    run = run_case("pen01", region_source("1e7 W/m^3"), "bioheat.vaporisation={}", "bioheat.duration=60 s")
    assert run.value("peak_temperature") > 120.0
    assert "tissues.tissue.water_fraction" in warnings(run)
    assert "vaporisation" not in warnings(run_case("pen01"))


def test_impossible_temperatures_are_said(run_case: RunCase) -> None:
    hot = run_case("pen01", region_source("1e9 W/m^3"), "bioheat.duration=10 s")
    assert "chars" in warnings(hot)
    cold = run_case("pen01", region_source("-1e8 W/m^3"), "bioheat.duration=20 s")
    assert cold.value("lowest_temperature") < -273.15
    assert "absolute zero" in warnings(cold)


def test_perfusion_that_never_stops_is_said() -> None:
    case = load_case(
        CATALOGUE / "pen01.toml", ['damage.laws=["cem43"]', "zone.law=cem43", "bioheat.perfusion_stops=true"]
    )
    assert any("perfusion_stops" in note for note in case.notes())


ON = '[["3000 s", "4000 s"]]'
LATER = f'heating.sources=[{{shape="region", region="tissue", density="1 W/m^3", on={ON}}}]'


@pytest.mark.parametrize(("change", "place"), [(f"heating.on={ON}", "heating"), (LATER, "heating.sources[0]")])
def test_heating_after_the_end_is_said(change: str, place: str) -> None:
    case = load_case(CATALOGUE / "pen01.toml", [change])
    assert any(note.startswith(f"{place}.on: begins when") for note in case.notes())


def test_conductivity_that_a_slope_uses_up_is_said(run_case: RunCase) -> None:
    """5 % of it are kept, beyond what the slope holds for; within that nothing is to be said."""
    for slope, said in (("-0.03", True), ("-0.005", False)):
        tissue = f'tissues.tissue.conductivity_slope="{slope} 1/K"'
        run = run_case("pen01", region_source("5e6 W/m^3"), tissue, "bioheat.duration=40 s")
        assert run.value("peak_temperature") > 80.0
        assert ("tissues.tissue.conductivity_slope: -0.03 1/K" in warnings(run)) == said


# ---------------------------------------------------------------------------------------------- timing


def test_shorter_than_a_step(run_case: RunCase) -> None:
    run = run_case("insulated", "bioheat.duration=1 ms")
    assert run.value("energy.source") == pytest.approx(1e-3 * run.value("heating.power"), rel=1e-9)


def test_short_pulses_keep_their_energy(run_case: RunCase) -> None:
    """A hundred pulses of 1 ms: ends of steps differ from the switching times by round-off only."""
    run = run_case("insulated", 'heating.on=[["0 s", "1 s"]]', 'heating.pulses={period="10 ms", width="1 ms"}',
                   "bioheat.duration=2 s")  # fmt: skip
    assert run.value("energy.source") == pytest.approx(0.1 * run.value("heating.power"), rel=1e-9)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('heating.pulses={period="1 s", width="2 s"}', "longer than period"),
        ('heating.pulses={period="1 s", width="1 us"}', "too short"),
        ('heating.on=[["10 s", "10.000001 s"]]', "too short"),
        ("bioheat.duration=1 us", "bioheat.duration"),
    ],
)
def test_what_steps_cannot_follow_is_refused(override: str, said: str) -> None:
    with pytest.raises(CaseError, match=said):
        load_case(CATALOGUE / "insulated.toml", [override])


def test_zero_heating_changes_nothing(run_case: RunCase) -> None:
    run = run_case("pen01", region_source("0 W/m^3"), "bioheat.duration=100 s")
    assert run.value("peak_temperature") == run.value("lowest_temperature") == 37.0
    assert run.value("ledger.energy_error") == 0.0


# ----------------------------------------------------------------------------------------------- space


def test_half_a_device_is_refused() -> None:
    """A port, electrode or probe on a plane of symmetry: its sub-grid part stands for the whole device."""
    half = ['anatomy.origin=["0 mm", "-42 mm", "-42 mm"]', 'anatomy.size=["42 mm", "84 mm", "84 mm"]']
    with pytest.raises(CaseError, match="cut by a face of the window across x"):
        check(load_case(CATALOGUE / "inf01.toml", half))
    check(load_case(CATALOGUE / "inf01.toml"))


def test_a_face_that_is_not_named_keeps_its_temperature(run_case: RunCase) -> None:
    """It is taken for a cut through the body."""
    run = run_case("cut")
    assert run.value("probe.unnamed.temperature") == 37.0
    assert run.value("probe.named.temperature") == pytest.approx(37.0 + 300.0 * 1e5 / (1060 * 3600), rel=1e-3)


def test_probes_on_the_border_are_inside(run_case: RunCase) -> None:
    run = run_case("pen01", 'probes.corner.position=["30 mm", "1 mm", "1 mm"]')
    assert run.value("probe.corner.temperature") == pytest.approx(run.value("probe.c.temperature"), abs=1e-9)


def test_probe_of_a_law_that_is_not_integrated_is_refused() -> None:
    with pytest.raises(CaseError, match=r"damage\.laws"):
        load_case(CATALOGUE / "pen01.toml", ['damage.laws=["arrhenius"]', 'probes.a.fields=["cem43"]'])
