"""Particles and light: Mie, coated spheres, gold, Gans rods, and what a carrier tells heat sources."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy.integrate import trapezoid

from thermal import library
from thermal.errors import CaseError
from thermal.physics import optics
from thermal.physics.mie import mie_coated, mie_sphere
from thermal.physics.optics import depolarisation, gans_rod, gold_index
from thermal.physics.particles import (
    AnyParticle,
    GoldRod,
    GoldShell,
    GoldSphere,
    IronOxide,
    Measured,
    Particle,
    carrier,
    cross_sections,
)
from thermal.units import Si

SPECTRUM = np.arange(400, 1000) * 1e-9  # m, 1 nm apart
WATER = 1.33
ANY = TypeAdapter(AnyParticle)


def sphere(diameter: float, wavelength: np.ndarray | float = SPECTRUM) -> optics.Efficiencies:
    return mie_sphere(gold_index(wavelength) / WATER, np.pi * diameter * WATER / wavelength)


def shell(core: float, gold: float, wavelength: np.ndarray | float = SPECTRUM) -> optics.Efficiencies:
    wave = 2 * np.pi * WATER / np.asarray(wavelength)
    return mie_coated(1.45 / WATER, gold_index(wavelength) / WATER, wave * core / 2, wave * (core / 2 + gold))


# ------------------------------------------------------------------------------------------------ OPT-01: kernels

SPHERES = [  # index, size, Qext, Qsca, g: Bohren and Huffman appendix A; Wiscombe's table as public codes print it
    (1.55, 2 * np.pi * 0.525 / 0.6328, 3.10543, 3.10543, 0.63314),
    (1.5 + 1j, 10.0, 2.417294528, 1.346957826, 0.834694642),
    (1.33 + 1e-5j, 10.0, 2.206592940, 2.206137775, None),
    (10 + 10j, 1.0, 2.532992978, 2.049405007, None),
]


@pytest.mark.parametrize(("index", "size", "extinction", "scattering", "asymmetry"), SPHERES)
def test_mie_of_published_spheres(index, size, extinction, scattering, asymmetry):
    for found in (mie_sphere(index, size), mie_coated(index, index, 0.6 * size, size)):
        assert found.extinction == pytest.approx(extinction, rel=2e-6)
        assert found.scattering == pytest.approx(scattering, rel=2e-6)
        if asymmetry is not None:
            assert found.asymmetry == pytest.approx(asymmetry, rel=1e-5)


def test_coated_sphere_of_bohren_and_huffman():
    """BHCOAT's own example: small core in a large absorbing shell."""
    found = mie_coated(1.59 + 0.66j, 1.409 + 0.1747j, 2 * np.pi * 0.171 / 3, 2 * np.pi * 6.265 / 3)
    assert found.extinction == pytest.approx(2.32803, rel=1e-5)
    assert found.scattering == pytest.approx(1.14341, rel=1e-5)


@pytest.mark.parametrize(("index", "size"), [(1.5 + 1j, 10), (0.156 + 4.974j, 0.4), (1.5 + 5j, 60), (1.5 + 0.1j, 500)])
@pytest.mark.parametrize("core", [0.05, 0.5, 0.999])
def test_core_and_shell_of_one_material_are_a_solid_sphere(index, size, core):
    solid, coated = mie_sphere(index, size), mie_coated(index, index, core * size, size)
    for one, other in zip(solid, coated, strict=True):
        assert one == pytest.approx(float(other), rel=1e-12, abs=1e-14)


def test_an_opaque_shell_hides_its_core():
    """Absorption length of the shell is x/60: whatever is inside, nothing of it is seen."""
    solid = mie_sphere(1.5 + 5j, 100.0)
    hidden = mie_coated(3.0, 1.5 + 5j, 50.0, 100.0)
    assert hidden.extinction == pytest.approx(float(solid.extinction), rel=1e-12)


@pytest.mark.parametrize("index", [1.5 + 1j, 0.117 + 3.74j, 1.33 + 0.01j])
def test_small_spheres_absorb_as_rayleigh_says(index):
    """Q_abs = 4 x Im((m^2 - 1)/(m^2 + 2)); the next term is of order x^2."""
    x = 1e-3
    found = mie_sphere(index, x)
    rayleigh = 4 * x * ((index**2 - 1) / (index**2 + 2)).imag
    assert found.extinction - found.scattering == pytest.approx(rayleigh, rel=2e-5)


def test_absorption_is_positive_in_our_sign_of_the_index():
    assert mie_sphere(1.5 + 0.1j, 3.0).extinction > mie_sphere(1.5 + 0.1j, 3.0).scattering


def test_arguments_broadcast():
    found = mie_coated(1.1, 1.5 + 1j, np.array([0.5, 1.0])[:, None], np.array([2.0, 3.0, 4.0]))
    assert found.extinction.shape == (2, 3)
    assert found.extinction[1, 2] == pytest.approx(float(mie_coated(1.1, 1.5 + 1j, 1.0, 4.0).extinction), rel=1e-9)
    with pytest.raises(ValueError, match="core"):
        mie_coated(1.1, 1.5, 2.0, 1.0)


# ------------------------------------------------------------------------------------------------ gold


@pytest.mark.parametrize(
    ("nanometres", "n", "k"),
    [(495.9, 1.04, 1.833), (892.0, 0.17, 5.663), (532, 0.5439, 2.2309), (808, 0.1560, 4.9741), (1064, 0.2585, 6.9654)],
)
def test_gold_is_johnson_and_christy(nanometres, n, k):
    found = complex(gold_index(nanometres * 1e-9))
    assert found.real == pytest.approx(n, abs=5.1e-5)
    assert found.imag == pytest.approx(k, abs=5.1e-5)


@pytest.mark.parametrize("nanometres", [187.0, 1938.0, float("nan")])
def test_gold_outside_its_table_is_an_error(nanometres):
    with pytest.raises(CaseError, match="188 to 1937 nm"):
        gold_index(np.array([800e-9, nanometres * 1e-9]))


# diameter nm, peak nm, Qext and Qabs at the peak
PEAKS = [(20, 521, 1.3472, 1.3367), (40, 524, 2.9598, 2.7801), (60, 536, 4.8351, 3.8355), (80, 549, 6.4696, 3.6732),
         (100, 570, 6.9234, 2.3637)]  # fmt: skip


@pytest.mark.parametrize(("diameter", "peak", "extinction", "absorption"), PEAKS)
def test_gold_spheres(diameter, peak, extinction, absorption):
    """OPT-02, peaks on a 1 nm grid."""
    found = sphere(diameter * 1e-9)
    at = int(np.argmax(found.extinction))
    assert round(SPECTRUM[at] * 1e9) == peak
    assert found.extinction[at] == pytest.approx(extinction, rel=2e-5)
    assert found.extinction[at] - found.scattering[at] == pytest.approx(absorption, rel=2e-5)


def test_gold_sphere_of_40_nm():
    particle = GoldSphere(diameter=Si(40e-9))
    at_peak = particle.cross_sections(524e-9)
    assert at_peak.absorption == pytest.approx(3.4935e-15, rel=2e-5, abs=0.0)
    green = sphere(40e-9, 532e-9)
    assert [float(green.extinction), float(green.scattering)] == pytest.approx([2.85604, 0.19738], rel=2e-5)
    infrared = sphere(40e-9, 808e-9)
    assert infrared.extinction - infrared.scattering == pytest.approx(0.01728, abs=5e-6)
    # Jain et al. 2006 (doi:10.1021/jp057170o): 2.93e-15 m2; other optical constants, hence 20 %
    assert at_peak.absorption == pytest.approx(2.93e-15, rel=0.2, abs=0.0)
    assert particle.cross_sections(530e-9).mass == pytest.approx(19320 * np.pi / 6 * 40e-9**3)


def test_gold_shell_of_110_and_10_nm():
    """OPT-03, the shells of Hirsch 2003; measured peak 820 nm, tolerance 4 %."""
    found = shell(110e-9, 10e-9)
    at = int(np.argmax(found.extinction))
    assert round(SPECTRUM[at] * 1e9) == 795
    assert SPECTRUM[at] == pytest.approx(820e-9, rel=0.04)
    assert [found.extinction[at], found.extinction[at] - found.scattering[at]] == pytest.approx([10.18, 2.08], abs=5e-3)
    particle = carrier("gold_nanoshell_110_10")
    assert isinstance(particle, GoldShell)
    one = cross_sections(particle, 808e-9, WATER)
    assert one.absorption == pytest.approx(2.679e-14, rel=2e-4, abs=0.0)
    assert one.absorption + one.scattering == pytest.approx(1.311e-13, rel=3e-4, abs=0.0)
    assert one.mass == pytest.approx(8.760e-18, rel=1e-4, abs=0.0)
    absorption, scattering = particle.optics(808e-9)
    assert absorption == pytest.approx(3058, rel=2e-4)  # 30.58 1/cm per mg/ml
    assert scattering == pytest.approx(one.scattering * (1 - one.asymmetry) / one.mass)
    exact = shell(110e-9, 10e-9, 808e-9)
    values = [float(exact.extinction), float(exact.scattering), float(exact.extinction - exact.scattering)]
    assert values == pytest.approx([9.8776, 7.8594, 2.0182], abs=6e-5)


def test_other_gold_shells():
    """OPT-04 and OPT-05."""
    clinical = shell(120e-9, 15e-9, 808e-9)
    assert [float(clinical.extinction), float(clinical.scattering)] == pytest.approx([6.5627, 5.7869], abs=6e-5)
    assert round(SPECTRUM[int(np.argmax(shell(120e-9, 15e-9).extinction))] * 1e9) == 759
    oneal = GoldShell(core_diameter=Si(119e-9), shell_thickness=Si(12e-9))
    assert oneal.optics(808e-9)[0] == pytest.approx(1668, rel=3e-4)


# ------------------------------------------------------------------------------------------------ OPT-06: rods


def test_depolarisation_factors():
    assert depolarisation([2.0, 4.0]) == pytest.approx([0.173564, 0.0754072], abs=6e-7)
    assert depolarisation(1.0) == pytest.approx(1 / 3)
    assert depolarisation(1.0 + 4e-7) == pytest.approx(1 / 3, abs=1e-6)
    near = depolarisation([1.0004, 1.0006])  # series and closed form meet without a step
    assert np.diff(near) == pytest.approx([-2.0e-4 * 4 / 15], rel=0.02)


# length and diameter nm, peak nm, absorption at the peak in 1/cm per mg/ml
RODS = [(40, 10, 769, 433.8), (41, 10, 779, 439.9), (47, 13, 731, None), (45, 15, 672, None)]


@pytest.mark.parametrize(("length", "diameter", "peak", "absorption"), RODS)
def test_gans_rods(length, diameter, peak, absorption):
    found, _ = gans_rod(length * 1e-9, diameter * 1e-9, SPECTRUM)
    at = int(np.argmax(found))
    assert round(SPECTRUM[at] * 1e9) == peak
    if absorption is not None:
        particle = GoldRod(length=Si(length * 1e-9), diameter=Si(diameter * 1e-9))
        assert particle.optics(SPECTRUM[at])[0] == pytest.approx(absorption * 100, rel=2e-4)


def test_gans_rod_values():
    assert np.max(gans_rod(40e-9, 10e-9, SPECTRUM)[0]) == pytest.approx(1.7554e-15, rel=2e-5, abs=0.0)
    for length, absorption in ((40e-9, 74.5), (41e-9, 123.0)):
        assert GoldRod(length=Si(length), diameter=Si(10e-9)).optics(808e-9)[0] == pytest.approx(
            absorption * 100, rel=1e-3
        )


def test_a_round_rod_is_a_small_mie_sphere():
    """Quasi-static limit of Mie theory: deviations of order x^2, which half the diameter quarters. At 532 nm, in gold's
    resonance, they are 2.7 x^2; x^2 = 1e-3 at 4 nm."""
    off = []
    for diameter in (4e-9, 2e-9):
        rod = GoldRod(length=Si(diameter), diameter=Si(diameter)).cross_sections(532e-9)
        mie = GoldSphere(diameter=Si(diameter)).cross_sections(532e-9)
        off.append((rod.absorption / mie.absorption - 1.0, rod.scattering / mie.scattering - 1.0))
    assert off[0] == pytest.approx((0.0, 0.0), abs=3e-3)
    assert off[0] == pytest.approx((4.0 * off[1][0], 4.0 * off[1][1]), rel=0.03)


def test_surface_damping_broadens_and_keeps_the_oscillator_strength():
    bulk, _ = gans_rod(41e-9, 10e-9, SPECTRUM)
    damped, _ = gans_rod(41e-9, 10e-9, SPECTRUM, surface_damping=1.0)
    assert damped.max() < 0.6 * bulk.max()
    frequency = 1 / SPECTRUM  # sum rule: the integral over frequency belongs to the electrons, not to their damping
    band = SPECTRUM > 600e-9
    ratio = trapezoid(damped[band], frequency[band]) / trapezoid(bulk[band], frequency[band])
    assert ratio == pytest.approx(1.0, abs=0.1)


def test_the_batch_peaks_where_it_was_measured():
    """The flagship carrier: peak at 808 nm, band about 100 nm wide, 0.4 to 0.6 of the single rod's peak."""
    rod = carrier("gold_nanorod_41x10")
    assert isinstance(rod, GoldRod)
    spectrum = np.arange(650, 1000, 2) * 1e-9
    absorption = np.array([rod.optics(float(w))[0] for w in spectrum])
    assert spectrum[int(np.argmax(absorption))] == pytest.approx(808e-9, abs=4e-9)
    half = spectrum[absorption > absorption.max() / 2]
    assert half[-1] - half[0] == pytest.approx(100e-9, abs=15e-9)
    assert 0.4 < absorption.max() / 43990 < 0.6
    single = GoldRod(length=Si(41e-9), diameter=Si(10e-9), plasmon_peak=Si(808e-9))
    assert single.optics(808e-9)[0] > absorption.max()
    with pytest.raises(CaseError, match="plasmon_peak"):
        GoldRod(length=Si(41e-9), diameter=Si(10e-9), plasmon_peak=Si(1900e-9)).optics(808e-9)


def test_a_single_particle_does_not_heat_its_surface():
    """OPT-07: 40 nm at 1 W/cm2 in water of 0.6 W/m/K: tens of microkelvins, so only the crowd heats."""
    absorption = GoldSphere(diameter=Si(40e-9)).cross_sections(532e-9).absorption
    rise = absorption * 1e4 / (4 * np.pi * 0.6 * 20e-9)
    assert rise == pytest.approx(2.3e-4, rel=0.1)


# ------------------------------------------------------------------------------------------------ carriers


def test_gold_takes_light_and_no_field():
    particle = Particle(carrier("gold_nanorod_41x10"))
    assert particle.mass_of == "gold"
    assert particle.optics is not None
    assert particle.specific_absorption_rate is None
    with pytest.raises(CaseError, match="magnetic field"):
        particle.carrier.specific_absorption_rate(np.ones(2), 1e5)


def test_iron_takes_the_field_and_no_light():
    particle = Particle(carrier("iron_oxide_16"))
    assert particle.mass_of == "iron"
    assert particle.optics is None
    assert particle.specific_absorption_rate is not None
    with pytest.raises(CaseError, match="light"):
        particle.carrier.optics(808e-9)


def test_the_medium_shifts_the_peak():
    shelled = carrier("gold_nanoshell_110_10")
    assert shelled.optics(808e-9, 1.40) != shelled.optics(808e-9)
    assert shelled.optics(808e-9, 1.33) == shelled.optics(808e-9)


def test_measured_carriers():
    text = {
        "kind": "measured",
        "mass_of": "gold",
        "optics": [{"wavelength": "808 nm", "absorption": "30 1/cm/(mg/ml)", "reduced_scattering": "5 m^2/kg"}],
    }
    gold = ANY.validate_python(text)
    assert isinstance(gold, Measured)
    assert gold.optics(815e-9) == pytest.approx((3000.0, 5.0))
    assert Particle(gold).specific_absorption_rate is None
    with pytest.raises(CaseError, match="808 nm"):
        gold.optics(1064e-9)
    iron = ANY.validate_python({"kind": "measured", "mass_of": "iron", "intrinsic_loss_power": "3.1 nH*m^2/kg"})
    # MAG-05: 31.0 W/g at 10 kA/m and 100 kHz
    assert iron.specific_absorption_rate(np.array([1e4, 0.0]), 1e5) == pytest.approx([31.0e3, 0.0])
    assert Particle(iron).optics is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "gold_rod", "length": "10 nm", "diameter": "20 nm"}, "less than diameter"),
        ({"kind": "gold_sphere", "diameter": "-4 nm"}, "greater than 0"),
        ({"kind": "gold_sphere"}, "diameter"),
        ({"kind": "gold_sphere", "diameter": "4 nm", "length": "3 nm"}, "length"),
        ({"kind": "measured", "mass_of": "gold"}, "nothing is measured"),
        ({"kind": "silver", "diameter": "4 nm"}, "gold_sphere"),
        ({"kind": "iron_oxide", "core_diameter": "16 nm", "anisotropy": "20 kJ"}, "J/m\\^3"),
    ],
)
def test_impossible_particles(table, message):
    with pytest.raises(ValidationError, match=message):
        ANY.validate_python(table)


def test_sources_tell_library_from_case():
    changed = ANY.validate_python(
        {**library.values("particles", "iron_oxide_16"), "material": "iron_oxide_16", "core_diameter": "15 nm"}
    )
    assert isinstance(changed, IronOxide)
    found = {number["key"]: number for number in Particle(changed).sources()}
    assert found["particles.core_diameter"]["source"] == "case"
    assert (found["particles.core_diameter"]["value"], found["particles.core_diameter"]["unit"]) == (
        pytest.approx(15e-9),
        "m",
    )
    assert "Rosensweig" in found["particles.saturation_magnetisation"]["source"]
    assert not found["particles.anisotropy"]["unverified"]
    cluster = ANY.validate_python({**library.values("particles", "magnetic_cluster"), "material": "magnetic_cluster"})
    assert any(number["unverified"] for number in Particle(cluster).sources())
    own = ANY.validate_python({"kind": "gold_rod", "length": "40 nm", "diameter": "10 nm", "plasmon_peak": "800 nm"})
    units = {number["key"]: number["unit"] for number in Particle(own).sources()}
    constants = {"particles.optical_constants": "rows"}
    assert units == {"particles.length": "m", "particles.diameter": "m", "particles.plasmon_peak": "m", **constants}
