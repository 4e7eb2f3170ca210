"""Optical constants of one's own, shells of many sizes, and particles that lose their shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from thermal import library
from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.particles import GoldRod, GoldShell, GoldSphere, Measured, Particle
from thermal.simulation import simulate
from thermal.store import Run

CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "20 mm"
voxel_size = "2 mm"
background = "tissue"
[tissues.tissue]
density = "1060 kg/m^3"
heat_capacity = "3600 J/kg/K"
conductivity = "0.5 W/m/K"
optics = [{ wavelength = "808 nm", absorption = "0.3 1/cm", reduced_scattering = "8 1/cm" }]
[particles]
kind = "gold_rod"
length = "41 nm"
diameter = "10 nm"
plasmon_peak = "808 nm"
[delivery]
kind = "uniform"
concentration = "0.02 mg/ml"
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "2 W"
light_spacing = "1 mm"
fibre = { entry = ["0 mm", "0 mm", "10 mm"], tip = ["0 mm", "0 mm", "0 mm"] }
[bioheat]
duration = "60 s"
[probes.near]
position = ["5 mm", "0 mm", "0 mm"]
fields = ["fluence"]
[output]
series = false
pictures = false
"""
LIST = {"name": "flat", "source": "made up", "wavelength": ["500 nm", "1000 nm"], "n": [0.2, 0.2], "k": [3.0, 7.0]}


def rod(**changes: Any) -> GoldRod:
    return GoldRod.model_validate({"length": "41 nm", "diameter": "10 nm", **changes})


def test_the_same_table_gives_the_same_particle(tmp_path: Path) -> None:
    """Johnson and Christy's own numbers from a file, in another unit and order, and inline."""
    data = library.table("johnson_christy")
    rows = zip(data["wavelength_um"] * 1e3, data["n"], data["k"], strict=True)
    lines = [f"{length!r},{k!r},{n!r}" for length, n, k in ([float(x) for x in row] for row in rows)]
    (tmp_path / "gold.csv").write_text("\n".join(["# copied", "wavelength_nm, k, n", *reversed(lines)]))
    mine = rod(optical_constants={"name": "copy", "source": "J&C", "file": "gold.csv"})
    with pytest.raises(CaseError, match="has not been read"):
        mine.optics(808e-9)
    read = mine.loaded(lambda name, place: tmp_path / name)
    assert read.optics(808e-9) == pytest.approx(rod().optics(808e-9), rel=1e-12)
    inline = rod(optical_constants={**LIST, "n": [0.1, 0.1]})
    assert inline.optics(808e-9)[0] != pytest.approx(rod(optical_constants=LIST).optics(808e-9)[0], rel=0.1)
    sphere = GoldSphere.model_validate({"diameter": "40 nm", "optical_constants": LIST})
    assert sphere.optics(600e-9)[0] != pytest.approx(GoldSphere.model_validate({"diameter": "40 nm"}).optics(600e-9)[0])
    with pytest.raises(CaseError, match=r"500 to 1000 nm \(flat\)"):
        sphere.optics(400e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": [1.0]}, "2, 2 and 1 entries"),
        ({"wavelength": ["900 nm", "500 nm"]}, "does not rise"),
        ({"file": "gold.csv"}, "not both"),
    ],
)
def test_tables_that_are_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rod(optical_constants={**LIST, **change})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wavelength_nm,n\n500,1\n600,1\n", "expected wavelength_nm"),
        ("wavelength_nm,n,k\n500,one,1\n", "cannot be read"),
        ("wavelength_nm,n,k\n500,1,1\n500,1,1\n", "different wavelengths"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gold.csv").write_text(text)
    mine = rod(optical_constants={"name": "mine", "source": "lab", "file": "gold.csv"})
    with pytest.raises(CaseError, match=message):
        mine.loaded(lambda name, place: tmp_path / name)


def run_of(folder: Path, *options: str) -> Run:
    """A small ball of light in tissue with rods."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.toml").write_text(CASE)
    return simulate(load_case(folder / "case.toml", options), folder / "run")


def test_a_run_keeps_the_table(tmp_path: Path) -> None:
    data = library.table("johnson_christy")
    rows = zip(data["wavelength_um"], data["n"] + 0.01, data["k"], strict=True)
    (tmp_path / "gold.csv").write_text(
        "\n".join(["wavelength_um,n,k", *(f"{x:.4f},{n:.2f},{k:.3f}" for x, n, k in rows)])
    )
    constants = 'particles.optical_constants={name="lab film", source="ellipsometry of ours", file="gold.csv"}'
    run = run_of(tmp_path, constants, "bioheat.duration=1 s")
    assert run.value("light.absorbed_particles") > 0.0
    kept = "".join(file.read_text() for file in (tmp_path / "run").glob("*.json"))
    assert "ellipsometry of ours" in kept
    assert "821.1 0.17 5.083;" in kept
    (tmp_path / "gold.csv").write_text("wavelength_nm,n,k\n500,0.9,1.9\n1000,0.2,6.5\n")
    with pytest.raises(CaseError, match=r"optical_constants\.file: the file has changed"):
        run_of(tmp_path, constants, "bioheat.duration=1 s")


# ------------------------------------------------------------------------------------------------ sizes of shells


def shell(**changes: Any) -> GoldShell:
    return GoldShell.model_validate({"core_diameter": "120 nm", "shell_thickness": "15 nm", **changes})


def test_a_batch_of_shells_is_the_mean_of_its_particles() -> None:
    """Against the trapezoidal rule over both spreads; the mean mass by the moments of log-normal sizes."""
    batch = shell(core_diameter_sigma=0.1, shell_thickness_sigma=0.15).cross_sections(808e-9)
    z = np.linspace(-4.5, 4.5, 28)
    each = [
        shell()
        .model_copy(
            update={
                "core_diameter": 120e-9 * float(np.exp(0.1 * core)),
                "shell_thickness": 15e-9 * float(np.exp(0.15 * layer)),
            }
        )
        .cross_sections(808e-9)
        for core in z
        for layer in z
    ]
    weight = np.exp(-0.5 * np.add.outer(z**2, z**2)).ravel()
    absorption, scattering, cosine, _ = np.transpose(each)
    assert batch.absorption == pytest.approx(np.average(absorption, weights=weight), rel=1e-3)
    assert batch.scattering == pytest.approx(np.average(scattering, weights=weight), rel=1e-3)
    assert batch.asymmetry == pytest.approx(np.average(cosine, weights=weight * scattering), rel=1e-3)
    cores = [120e-9**n * np.exp(0.5 * (n * 0.1) ** 2) for n in range(3)]
    layers = [15e-9**n * np.exp(0.5 * (n * 0.15) ** 2) for n in range(4)]
    volume = np.pi / 6.0 * (6.0 * cores[2] * layers[1] + 12.0 * cores[1] * layers[2] + 8.0 * layers[3])
    assert batch.mass == pytest.approx(19320.0 * volume, rel=1e-9)


def test_a_spread_broadens_and_lowers_the_peak() -> None:
    lengths = np.arange(600e-9, 1000e-9, 20e-9)
    alone, many = shell(), shell(core_diameter_sigma=0.1, shell_thickness_sigma=0.2)
    one, batch = (np.array([carrier.optics(float(x))[1] for x in lengths]) for carrier in (alone, many))
    assert batch.max() < one.max()
    assert np.sum(batch > 0.5 * batch.max()) >= np.sum(one > 0.5 * one.max())


# ------------------------------------------------------------------------------------------------ shape


def test_a_rod_that_melts_is_a_sphere_of_as_much_gold() -> None:
    carrier = rod(reshaping={"temperature": "250 degC"})
    volume = np.pi / 6.0 * 41e-9 * (10e-9) ** 2
    ball = GoldSphere.model_validate({"diameter": "20 nm"}).model_copy(
        update={"diameter": float(np.cbrt(6.0 / np.pi * volume))}
    )
    assert carrier.reshaped_optics(808e-9) == pytest.approx(ball.optics(808e-9), rel=1e-9)
    assert carrier.reshaped_optics(808e-9)[0] < 0.01 * carrier.optics(808e-9)[0]
    shares = rod(reshaping={"temperature": "250 degC", "absorption": 0.3, "scattering": 0.5})
    assert shares.reshaped_optics(808e-9) == pytest.approx(np.multiply([0.3, 0.5], carrier.optics(808e-9)))
    assert Particle(rod()).reshaped is None
    with pytest.raises(ValidationError, match="no threshold"):
        rod(reshaping={})
    with pytest.raises(ValidationError, match="needs absorption and scattering"):
        Measured.model_validate(
            {"mass_of": "gold", "optics": [{"wavelength": "808 nm", "absorption": "20 1/cm/(mg/ml)"}],
             "reshaping": {"temperature": "80 degC"}}
        )  # fmt: skip


def test_particles_lose_their_absorption_where_tissue_grows_hot(tmp_path: Path) -> None:
    kept = run_of(tmp_path / "kept", "particles.reshaping={temperature='400 degC'}")
    lost = run_of(tmp_path / "lost", "particles.reshaping={temperature='60 degC'}")
    assert kept.value("light.reshaped_share") == 0.0
    assert 0.0 < lost.value("light.reshaped_share") < 1.0
    assert lost.value("light.absorbed_particles") < kept.value("light.absorbed_particles")
    assert lost.value("peak_temperature") < kept.value("peak_temperature") - 1.0
    assert abs(lost.value("light.balance_error")) < 1e-9
    reshaped = lost.fields.static["reshaped"].values
    hottest = lost.fields.static["highest_temperature"].values
    assert set(np.unique(reshaped)) == {0.0, 1.0}
    assert np.min(hottest[reshaped > 0]) >= 60.0
    plain = run_of(tmp_path / "plain")
    assert kept.value("light.absorbed_particles") == pytest.approx(plain.value("light.absorbed_particles"), rel=1e-9)


def test_pulses_burn_their_way_in(tmp_path: Path) -> None:
    """A threshold on the fluence of a pulse: light reaches deeper past reshaped particles, and all above it are."""
    threshold = ("particles.reshaping={pulse_fluence='10 J/m^2'}", "bioheat.duration=1 s")
    pulsed = run_of(tmp_path / "pulsed", *threshold, "heating.pulse_rate=1 kHz")
    steady = run_of(tmp_path / "steady", *threshold)
    assert steady.value("light.reshaped_share") == 0.0
    fields = pulsed.fields.static
    reshaped, fluence = fields["reshaped"].values, fields["fluence"].values
    assert reshaped.sum() > 0.0
    assert np.all(reshaped[fluence >= 1e4] == 1.0)
    assert pulsed.value("probe.near.fluence") > 1.05 * steady.value("probe.near.fluence")
