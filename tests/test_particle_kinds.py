"""Batches of sizes, layered and combined particles, measured tables, spectra, hysteresis beyond linear response."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from thermal import cli
from thermal.errors import CaseError
from thermal.physics.hysteresis import loop_loss
from thermal.physics.magnetism import specific_loss_power
from thermal.physics.mie import mie_coated, mie_layered, mie_sphere
from thermal.physics.optics import gold_index
from thermal.physics.particles import (
    AnyParticle,
    GoldMatryoshka,
    GoldOnIronOxide,
    GoldShell,
    GoldSphere,
    IronOxide,
    Measured,
    Particle,
    carrier,
)
from thermal.physics.particles.spectrum import spectrum
from thermal.units import VACUUM_PERMEABILITY, Si

ANY: TypeAdapter[object] = TypeAdapter(AnyParticle)


def test_layers_that_are_alike_are_one() -> None:
    """Splitting a layer, or the core, changes nothing but round-off."""
    core, shell = 1.45 / 1.33, gold_index(808e-9) / 1.33
    coated = mie_coated(core, shell, 0.57, 0.67)
    split = mie_layered((core, core, shell, shell), (0.2, 0.57, 0.6, 0.67))
    assert np.array(split) == pytest.approx(np.array(coated), rel=1e-10)
    solid = mie_layered((1.5 + 1j, 1.5 + 1j, 1.5 + 1j), (2.0, 5.0, 10.0))
    assert float(solid.extinction) == pytest.approx(2.417294528, rel=1e-9)
    assert float(solid.scattering) == pytest.approx(float(mie_sphere(1.5 + 1j, 10.0).scattering), rel=1e-9)


def test_layers_are_in_order() -> None:
    with pytest.raises(ValueError, match="core size <= shell size"):
        mie_layered((1.5, 1.5, 1.5), (0.5, 0.4, 0.6))


def test_matryoshka_limits() -> None:
    """A spacer of the solid's own gold cannot be written, but a core that vanishes leaves the plain shell."""
    hollow = GoldMatryoshka(core_diameter=Si(1e-10), spacer_thickness=Si(55e-9), shell_thickness=Si(10e-9))
    plain = GoldShell(core_diameter=Si(110.1e-9), shell_thickness=Si(10e-9))
    assert hollow.cross_sections(808e-9) == pytest.approx(plain.cross_sections(808e-9), rel=1e-5)


def test_absorbing_share_of_published_particles() -> None:
    """OPT-04: 15 % of the extinction for shells of 150 nm, 77 % for matryoshkas of 90 nm (Ayala-Orozco 2014), at their
    peaks; 10 to 20 % off for optical constants and the batch's geometry."""
    shell = carrier("gold_nanoshell_120_15").cross_sections(808e-9)  # type: ignore[union-attr]
    assert 1.0 - shell.albedo == pytest.approx(0.118, abs=0.001)
    found = spectrum(carrier("gold_nanomatryoshka_88"), list(np.arange(690e-9, 760e-9, 5e-9)))
    best = found.single[int(np.argmax(found.absorption))]
    assert 1.0 - best.albedo == pytest.approx(0.77, rel=0.15)


def test_a_batch_of_spheres_is_a_mean_of_spheres() -> None:
    """Small spheres absorb by their volume, so a spread changes nothing per mass; large ones scatter by its square."""
    narrow, wide = (GoldSphere(diameter=Si(8e-9), diameter_sigma=sigma) for sigma in (0.0, 0.3))
    assert wide.optics(532e-9)[0] == pytest.approx(narrow.optics(532e-9)[0], rel=0.02)
    assert wide.cross_sections(532e-9).mass == pytest.approx(
        narrow.cross_sections(532e-9).mass * np.exp(4.5 * 0.3**2), rel=1e-3
    )
    # <d^6> / <d^3> of a log-normal: exp(13.5 sigma^2)
    assert wide.optics(532e-9)[1] == pytest.approx(narrow.optics(532e-9)[1] * np.exp(13.5 * 0.3**2), rel=0.1)


def test_electrons_scatter_at_the_walls() -> None:
    """Damping widens the shell's band: less at the peak, more on its red side, and nothing in the sum rule's order."""
    bulk, damped = (GoldShell(core_diameter=Si(60e-9), shell_thickness=Si(6e-9), surface_damping=a) for a in (0.0, 1.0))
    wavelengths = list(np.arange(700e-9, 1000e-9, 5e-9))
    one, other = spectrum(bulk, wavelengths), spectrum(damped, wavelengths)
    assert other.absorption.max() < 0.9 * one.absorption.max()
    assert other.absorption[-1] > one.absorption[-1]


BOUND = {"core_diameter": Si(16e-9), "anisotropy": Si(17e3)}


def test_gold_on_iron_oxide_heats_by_both() -> None:
    particle = GoldOnIronOxide(core=IronOxide(**BOUND), shell_thickness=Si(4e-9))
    both = Particle(particle)
    assert both.mass_of == "gold"
    assert both.optics is not None
    assert both.specific_absorption_rate is not None
    # heat per core is the same with and without the gold; only what it is counted by changes
    bare = IronOxide(**BOUND)
    iron, gold = 5180 * 0.7236 * 8**3, 19320 * (12**3 - 8**3)
    field = np.array([0.0, 1e4])
    assert particle.specific_absorption_rate(field, 1e5) * gold == pytest.approx(
        bare.specific_absorption_rate(field, 1e5) * iron, rel=1e-12
    )
    # without a core's absorption and with water inside it is the plain shell
    hollow = GoldOnIronOxide(
        core=IronOxide(**BOUND), shell_thickness=Si(4e-9), core_index=1.45, core_extinction=Si(1e-12)
    )
    shell = GoldShell(core_diameter=Si(16e-9), shell_thickness=Si(4e-9))
    assert hollow.optics(700e-9) == pytest.approx(shell.optics(700e-9), rel=1e-6)


def test_measured_spectrum_between_its_wavelengths() -> None:
    rows = [(700e-9, 1000.0), (740e-9, 2000.0), (808e-9, 3000.0)]
    gold = Measured(
        mass_of="gold",
        optics=[{"wavelength": Si(w), "absorption": Si(a), "reduced_scattering": Si(10.0)} for w, a in rows],
    )  # type: ignore[call-arg]
    assert gold.optics(730e-9) == pytest.approx((1750.0, 10.0))
    assert gold.optics(815e-9)[0] == 3000.0
    with pytest.raises(CaseError, match="700 nm, 740 nm, 808 nm"):
        gold.optics(775e-9)  # 68 nm apart: not interpolated


TABLE = {
    "kind": "measured",
    "mass_of": "iron",
    "specific_loss_power": [
        {"frequency": "100 kHz", "amplitude": "5 kA/m", "power": "10 W/g"},
        {"frequency": "100 kHz", "amplitude": "20 kA/m", "power": "80 W/g"},
    ],
}


def test_measured_losses() -> None:
    """A power law between the fields (here H^1.5), H^2 below, in proportion to a frequency nearby, an error beyond."""
    iron = ANY.validate_python(TABLE)
    assert isinstance(iron, Measured)
    found = iron.specific_absorption_rate(np.array([0.0, 2.5e3, 5e3, 1e4, 2e4]), 1e5) / 1e3
    assert found == pytest.approx([0.0, 2.5, 10.0, 10.0 * 2**1.5, 80.0])
    assert iron.specific_absorption_rate(np.array([5e3]), 1.02e5) == pytest.approx([10.2e3])
    with pytest.raises(CaseError, match="measured up to 20 kA/m"):
        iron.specific_absorption_rate(np.array([3e4]), 1e5)
    with pytest.raises(CaseError, match="within 5 % of 200 kHz"):
        iron.specific_absorption_rate(np.array([1e4]), 2e5)
    with pytest.raises(ValidationError, match="not both"):
        ANY.validate_python({**TABLE, "intrinsic_loss_power": "3 nH*m^2/kg"})


MAGNETITE = (446e3, 17e3, 1e-9)


@pytest.mark.parametrize("diameter", [10e-9, 16e-9, 18e-9])
def test_hysteresis_in_weak_fields_is_linear_response(diameter: float) -> None:
    """xi = 0.05 and below: saturation changes 1e-4, the steps of the loop 1e-5."""
    fields = np.array([10.0, 50.0])
    loop = loop_loss(diameter, fields, 1e5, 37.0, *MAGNETITE) / 5180
    assert loop == pytest.approx(specific_loss_power(diameter, fields, 1e5, 37.0, *MAGNETITE), rel=1e-3)


def test_hysteresis_saturates() -> None:
    """Blocked particles beyond the switching field: a field four times as strong, which by linear response makes 4 to
    16 times the heat, finds only the axes that lie across; no loop exceeds what moment and switching field allow."""
    fields = np.array([5e4, 2e5, 8e5])
    loss = loop_loss(25e-9, fields, 1e5, 37.0, *MAGNETITE)
    switching = 2 * 17e3 / (VACUUM_PERMEABILITY * 446e3)
    most = 4 * VACUUM_PERMEABILITY * 446e3 * switching * 1e5
    assert loss[1] < loss[2] < 1.3 * loss[1]
    assert np.all(loss < most)
    assert loss[2] > 0.2 * most
    # far below the barrier a blocked particle makes no heat, whatever linear response says
    assert loop_loss(25e-9, np.array([1e3]), 1e5, 37.0, *MAGNETITE)[0] < 1e-4 * loss[2]


def test_two_level_iron_oxide() -> None:
    """Both responses per gram of iron agree in weak fields; strong ones saturate, without the linear model's doubt."""
    linear = IronOxide(**BOUND, diameter_sigma=0.02)
    loops = IronOxide(**BOUND, diameter_sigma=0.02, response="two_level")
    weak, strong = np.array([100.0]), np.array([2.5e4])
    assert loops.specific_absorption_rate(weak, 1e5) == pytest.approx(
        linear.specific_absorption_rate(weak, 1e5), rel=0.01
    )
    assert loops.specific_absorption_rate(strong, 1e5)[0] < 0.8 * linear.specific_absorption_rate(strong, 1e5)[0]
    assert "two_level" in linear.doubts(2.5e4, 1e5)[0]
    assert not loops.doubts(2.5e4, 1e5)
    assert "60.7 kA/m" in loops.doubts(4e4, 1e5)[0]  # 2 K / (mu0 M)
    # many amplitudes are read between 96 loops
    field = np.linspace(0.0, 1e4, 300)
    many = loops.specific_absorption_rate(field, 1e5)
    assert many[0] == 0.0
    assert many[299] == pytest.approx(loops.specific_absorption_rate(field[299:], 1e5)[0], rel=1e-3)
    assert many[150] == pytest.approx(loops.specific_absorption_rate(field[150:151], 1e5)[0], rel=1e-3)
    with pytest.raises(ValidationError, match="immobilised = true"):
        IronOxide(**BOUND, response="two_level", immobilised=False)


def test_a_factor_for_interaction() -> None:
    alone, crowded = IronOxide(**BOUND), IronOxide(**BOUND, interaction=0.7)
    field = np.array([1e4])
    assert crowded.specific_absorption_rate(field, 1e5) == pytest.approx(
        0.7 * alone.specific_absorption_rate(field, 1e5)
    )


# ------------------------------------------------------------------------------------------- the command line


def test_particle_prints_the_spectrum_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OPT-03 at 808 nm: 30.58 1/cm per mg/ml, 2.679e-14 m2; the source of the constants beside it."""
    picture = tmp_path / "shell.png"
    asked = ["particle", "gold_nanoshell_110_10", "--spectrum", "--wavelength", "748:868:20 nm", "--out", str(picture)]
    assert cli.main(asked) == 0
    text = capsys.readouterr().out
    row = next(line.split() for line in text.splitlines() if line.strip().startswith("808"))
    assert [float(row[1]), float(row[3])] == pytest.approx([30.58, 26790.0], rel=2e-4)
    assert "Johnson" in text
    assert picture.stat().st_size > 5000
    assert cli.main(["particle", "gold_nanosphere_40", "--wavelength", "532 nm"]) == 0
    row = capsys.readouterr().out.splitlines()[2].split()
    # OPT-02: Qabs 2.65866 and Qsca 0.19738 times the cross-section of 40 nm
    assert [float(row[3]), float(row[4])] == pytest.approx([2.65866 * 400 * np.pi, 0.19738 * 400 * np.pi], rel=2e-4)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["gold_nanorods"], "did you mean gold_nanorod"),
        (["iron_oxide_16"], "no spectrum"),
        (["gold_nanosphere_40", "--wavelength", "1:2 nm"], "from:to:step"),
        (["gold_nanosphere_40", "--wavelength", "50 um"], "1937 nm"),
    ],
)
def test_particle_says_what_is_wrong(asked: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["particle", *asked]) == 2
    assert message in capsys.readouterr().err
