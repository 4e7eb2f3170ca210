"""Photothermal efficiency as data: what a measurement says of an extinction, by hand and through case files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from thermal import cli, library, simulate
from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.particles import AnyParticle, Carrier, GoldRod, Particle, carrier
from thermal.simulation import prepare
from thermal.store import Run

CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "40 mm"
voxel_size = "2 mm"
background = "tissue"
[tissues.tissue]
density = "1060 kg/m^3"
heat_capacity = "3600 J/kg/K"
conductivity = "0.5 W/m/K"
optics = [{ wavelength = "808 nm", absorption = "0.2 1/cm", reduced_scattering = "8 1/cm" }]
[particles]
kind = "measured"
mass_of = "gold"
optics = [{ wavelength = "808 nm", extinction = "40 1/cm/(mg/ml)", asymmetry = 0.5 }]
photothermal_efficiency = 0.75
[delivery]
kind = "uniform"
concentration = "0.01 mg/ml"
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "0.5 W"
light_spacing = "0.5 mm"
fibre = { entry = ["0 mm", "0 mm", "20 mm"], tip = ["0 mm", "0 mm", "0 mm"] }
[bioheat]
duration = "4 s"
[output]
series = false
pictures = false
[probes.near]
position = ["6 mm", "0 mm", "-4 mm"]
fields = ["fluence"]
"""


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    file = tmp_path / "case.toml"
    file.write_text(CASE)
    return file


def run_with(file: Path, *changes: str) -> Run:
    return simulate(load_case(file, changes), file.parent / f"run{len(list(file.parent.iterdir()))}")


def test_absorption_is_efficiency_times_extinction(case_file: Path) -> None:
    """0.01 mg/ml of 40 1/cm/(mg/ml) take out 0.4 1/cm: 0.3 to heat, 0.1 scattered with g = 0.5, 0.05 reduced.

    The fluence of a point source with these; cells of h = 0.5 mm lengthen the decay by (mu_eff h)^2 / 24 = 0.13 %, over
    2.6 decay lengths, and the fibre is a sphere instead of a point.
    """
    run = run_with(case_file)
    mu_a, mu_s = 0.2 + 0.3, 8.0 + 0.05
    distance = np.hypot(0.6, 0.4)
    decay, spread = np.sqrt(3.0 * mu_a * (mu_a + mu_s)), 1.0 / (3.0 * (mu_a + mu_s))
    expected = 0.5 * np.exp(-decay * distance) / (4.0 * np.pi * spread * distance) * 1e4
    assert run.value("probe.near.fluence") == pytest.approx(expected, rel=0.01)
    tissue, particles = run.value("light.absorbed_tissue"), run.value("light.absorbed_particles")
    assert particles == pytest.approx(1.5 * tissue, rel=1e-12)  # 0.3 over 0.2 1/cm everywhere
    assert abs(run.value("light.balance_error")) < 1e-9
    assert run.value("energy.source") == pytest.approx(4.0 * (tissue + particles), rel=1e-9)
    assert "light.unheated" not in run.summary


def test_what_neither_warms_nor_scatters_is_lost(case_file: Path) -> None:
    """Of the extinction 0.5 warm and 0.2 scatter: of the 0.8 that are taken up, three eighths leave as other light."""
    run = run_with(case_file, "particles.photothermal_efficiency=0.5", "particles.scattered_share=0.2")
    tissue, particles = run.value("light.absorbed_tissue"), run.value("light.absorbed_particles")
    assert particles == pytest.approx(0.01 * 40 * 0.8 / 0.2 * tissue, rel=1e-12)
    assert run.value("light.unheated") == pytest.approx(0.375 * particles, rel=1e-12)
    books = ("light.absorbed_tissue", "light.absorbed_particles", "light.escaped", "light.reflected")
    assert sum(run.value(name) for name in books) == pytest.approx(0.5, rel=1e-9)
    heat = tissue + 0.625 * particles
    assert run.value("energy.source") == pytest.approx(4.0 * heat, rel=1e-9)


def altered(name: str, **changes: object) -> Carrier:
    """The library's particle with keys changed as a case would."""
    return _ANY.validate_python({**library.values("particles", name), "material": name, **changes})


_ANY: TypeAdapter[Carrier] = TypeAdapter(AnyParticle)


def test_a_measurement_takes_the_place_of_theory() -> None:
    """The computed extinction stays, the split is the measured one; ln 10 between optical density and extinction."""
    extinction = carrier("gold_nanorod").mass_optics(808e-9).extinction
    split = altered("gold_nanorod", photothermal_efficiency=0.6)
    found = split.mass_optics(808e-9)
    assert found == pytest.approx((0.6 * extinction, 0.4 * extinction, extinction, 0.6 * extinction))
    assert found.heat_share == 1.0
    assert isinstance(split, GoldRod)
    assert split.cross_sections(808e-9).albedo == pytest.approx(0.4)
    row = {"wavelength": "808 nm", "optical_density": "20 1/cm/(mg/ml)", "photothermal_efficiency": 0.7}
    own = altered("gold_nanorod", optics=[row], photothermal_efficiency=0.6).mass_optics
    assert own(808e-9).extinction == pytest.approx(2000.0 * np.log(10.0))
    assert own(808e-9).efficiency == pytest.approx(0.7)  # that of the wavelength goes before that of the carrier
    with pytest.raises(CaseError, match="known: 808 nm"):
        own(700e-9)
    # a tabulated split is divided anew: 20 and 5 1/cm/(mg/ml) are an extinction of 25
    assert altered("gold_branched", photothermal_efficiency=0.4).optics(808e-9) == pytest.approx((1000.0, 1500.0))


def test_between_wavelengths_heat_is_linear() -> None:
    rows = [
        {"wavelength": "780 nm", "extinction": "40 1/cm/(mg/ml)", "photothermal_efficiency": 0.5},
        {"wavelength": "820 nm", "extinction": "20 1/cm/(mg/ml)", "photothermal_efficiency": 0.9},
    ]
    found = altered("gold_branched", optics=rows).mass_optics(800e-9)
    assert found == pytest.approx((1900.0, 1100.0, 3000.0, 1900.0))


def test_reshaped_particles_are_those_of_theory(case_file: Path) -> None:
    """Rods that emit an eighth of what they take up, until they melt: spheres turn all into heat again."""
    rods = (
        'particles={material="gold_nanorod", photothermal_efficiency=0.7, scattered_share=0.2, '
        'reshaping={temperature="37.5 degC"}}'
    )
    run = run_with(case_file, rods, "heating.reshaping_update=2 s", "heating.power=5 W")
    lost, absorbed = run.fields.static["reshaped"].values, run.value("light.absorbed_particles")
    assert 0.0 < run.value("light.reshaped_share") < 1.0
    assert set(np.unique(lost)) == {0.0, 1.0}
    assert 0.0 < run.value("light.unheated") < 0.125 * absorbed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("particles.scattered_share=0.3", "more than all of it"),
        ('particles.optics=[{wavelength="808 nm"}]', "give one of absorption"),
        ('particles.optics=[{wavelength="808 nm", absorption="1 1/cm/(mg/ml)", photothermal_efficiency=0.5}]', "twice"),
        ('particles={material="gold_nanorod", scattered_share=0.5}', "without a photothermal_efficiency"),
        ('particles={material="magnetic_cluster", photothermal_efficiency=0.5}', "divides an extinction"),
        ("particles.photothermal_efficiency=1.2", "photothermal_efficiency"),
    ],
)  # fmt: skip
def test_measurements_that_do_not_fit(case_file: Path, change: str, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        load_case(case_file, (change,))


def test_an_extinction_alone_is_not_enough(case_file: Path) -> None:
    case_file.write_text(CASE.replace("photothermal_efficiency = 0.75", ""))
    with pytest.raises(CaseError, match="does not say how much of it is heat"):
        load_case(case_file)


def test_the_table_and_the_numbers_say_so(case_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["particle", "gold_branched"]) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    assert [float(value) for value in row[-2:]] == pytest.approx([25.0, 0.8])  # extinction, and what of it is heat
    assert cli.main(["particle", str(case_file), "--set", "particles.photothermal_efficiency=0.65"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "heat/extinction, measured" in lines[1]
    # 0.65 of 40 1/cm/(mg/ml) heat, the rest is scattered with g = 0.5
    assert [float(value) for value in lines[2].split()] == pytest.approx([808.0, 26.0, 7.0, 40.0, 0.65])
    prepared = prepare(load_case(case_file), lambda what, share: None)
    numbers = {number["key"]: number for number in prepared.library}
    assert numbers["particles.photothermal_efficiency"]["value"] == 0.75
    row_record = numbers["particles.optics[0].extinction"]
    assert row_record["value"] == pytest.approx(4000.0)
    assert row_record["source"] == "case"
    assert Particle(carrier("gold_branched")).heat_share(808e-9) == 1.0
