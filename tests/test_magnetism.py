"""Magnetic particles: linear response theory against the numbers of closed formulas."""

from __future__ import annotations

import numpy as np
import pytest

from thermal.physics import magnetism
from thermal.physics.magnetism import (
    eddy_power,
    intrinsic_loss_power,
    langevin_argument,
    lognormal_diameters,
    relaxation_times,
    specific_loss_power,
    susceptibility,
    volumetric_power,
)
from thermal.physics.particles import IronOxide, carrier
from thermal.units import BOLTZMANN, VACUUM_PERMEABILITY, Si

ROOM = 300.0 - 273.15  # degC
MAGNETITE = 446e3  # A/m


def rosensweig(diameter):
    """MAG-01: magnetite in a hydrocarbon, phi = 0.071, 0.06 T, 300 kHz."""
    field = 0.06 / VACUUM_PERMEABILITY
    tau = relaxation_times(diameter, 23e3, ROOM, 1e-9, 2.35e-3, 2e-9)
    chi = susceptibility(diameter, MAGNETITE, 0.071, field, 300e3, ROOM, tau.effective)
    return tau, chi, volumetric_power(chi.loss, field, 300e3)


def clinical(diameter):
    """MAG-02: 10 kA/m, 100 kHz, in water; W per g of magnetite."""
    return specific_loss_power(diameter, 1e4, 1e5, ROOM, MAGNETITE, 20e3, 1e-9, 1e-3, 2e-9) / 1e3


def test_rosensweig_10_nm():
    tau, chi, power = rosensweig(10e-9)
    assert 23e3 * np.pi / 6 * 1e-24 / (BOLTZMANN * 300) == pytest.approx(2.90751, rel=1e-5)
    assert tau.neel == pytest.approx(9.51703e-9, rel=1e-5)
    assert tau.brown == pytest.approx(2.4455e-6, rel=1e-5)
    assert chi.langevin == pytest.approx(3.38283, rel=1e-5)
    assert chi.equilibrium == pytest.approx(0.46869, rel=1e-5)
    assert chi.loss == pytest.approx(8.37264e-3, rel=1e-5)
    assert power == pytest.approx(2.26061e7, rel=1e-5)


def test_rosensweig_other_sizes():
    tau, chi, power = rosensweig(14e-9)
    assert [tau.neel, tau.brown, tau.effective] == pytest.approx([9.15143e-7, 5.19757e-6, 7.78136e-7], rel=1e-5)
    assert chi.loss == pytest.approx(0.275427, rel=1e-5)
    assert power == pytest.approx(7.43653e8, rel=1e-5)
    assert rosensweig(12e-9)[2] == pytest.approx(1.63446e8, rel=1e-5)
    assert rosensweig(16e-9)[2] == pytest.approx(1.45584e8, rel=1e-5)


def test_rosensweig_optimum():
    diameters = np.linspace(12e-9, 16e-9, 4001)
    power = rosensweig(diameters)[2]
    at = int(np.argmax(power))
    assert diameters[at] == pytest.approx(13.74e-9, abs=5e-12)
    assert power[at] == pytest.approx(7.931e8, rel=1e-4)
    assert power[at] / (0.071 * magnetism.MAGNETITE_DENSITY) == pytest.approx(2156e3, rel=5e-4)


def test_clinical_field():
    diameters = np.array([10, 12, 14, 15, 16, 18]) * 1e-9
    expected = [0.33877, 2.6051, 32.603, 90.337, 106.05, 88.395]
    assert clinical(diameters) == pytest.approx(expected, rel=5e-5)
    loss = intrinsic_loss_power(clinical(diameters) * 1e3, 1e4, 1e5) * 1e9  # nH m2/kg
    assert loss == pytest.approx([0.0339, 0.2605, 3.26, 9.03, 10.6, 8.84], abs=6e-3)


@pytest.mark.parametrize(
    ("sigma", "by_volume", "by_number"),
    [(0.05, 44.602, 40.49), (0.10, 56.266, 45.77), (0.25, 62.991, 44.36), (0.40, 49.920, 39.14)],
)
def test_lognormal_sizes_are_averaged_by_volume(sigma, by_volume, by_number):
    diameters, weights = lognormal_diameters(14e-9, sigma)
    average = float(weights @ clinical(diameters))
    assert weights.sum() == pytest.approx(1.0)
    assert average == pytest.approx(by_volume, rel=2e-5)
    assert average > 1.05 * by_number  # what weighting by number would give
    # the same by brute force from the number distribution
    d = 14e-9 * np.exp(sigma * np.linspace(-9, 9, 4001))
    number = np.exp(-0.5 * np.linspace(-9, 9, 4001) ** 2)
    assert float(np.sum(number * d**3 * clinical(d)) / np.sum(number * d**3)) == pytest.approx(by_volume, rel=2e-5)


def test_nothing_overflows():
    """A 200 nm core has exp(G) beyond any float: Neel is blocked, Brown goes on; without Brown there is no heat."""
    tau = relaxation_times(200e-9, 23e3, ROOM, 1e-9, 1e-3)
    assert np.isinf(tau.neel)
    assert tau.effective == pytest.approx(float(tau.brown))
    assert specific_loss_power(200e-9, 1e4, 1e5, ROOM, MAGNETITE, 23e3) == 0.0
    assert np.isfinite(
        specific_loss_power(200e-9, np.array([0.0, 1e-3, 1e7]), 1e5, ROOM, MAGNETITE, 23e3, 1e-9, 1e-3)
    ).all()


def test_small_fields_are_linear():
    """chi0 -> chi_i: power goes as the square of the field; the series and the closed form meet at xi = 0.05."""
    low = specific_loss_power(10e-9, np.array([1.0, 10.0]), 1e5, ROOM, MAGNETITE, 20e3)
    assert low[1] / low[0] == pytest.approx(100.0, rel=1e-6)
    per_field = float(langevin_argument(16e-9, MAGNETITE, 1.0, ROOM))
    fields = np.array([0.0499999, 0.0500001]) / per_field
    power = specific_loss_power(16e-9, fields, 1e5, ROOM, MAGNETITE, 20e3) / fields**2
    assert power[0] == pytest.approx(power[1], rel=1e-7)


def test_eddy_currents_and_safety_limits():
    radius = np.array([0.15, 0.05])
    low = eddy_power(0.4, radius, magnetism.ATKINSON_LIMIT / 1e5, 1e5)
    high = eddy_power(0.4, radius, magnetism.HERGT_LIMIT / 1e5, 1e5)
    assert low == pytest.approx([16.5e3, 1.833e3], rel=1e-3)
    assert high == pytest.approx([1.753e6, 194.8e3], rel=1e-3)


def test_watts_per_iron_and_per_oxide_are_not_confused():
    particle = IronOxide(core_diameter=Si(15e-9), anisotropy=Si(20e3), immobilised=False, viscosity=Si(1e-3),
                         shell_thickness=Si(2e-9), temperature=Si(ROOM))  # fmt: skip
    fields = np.array([[1e4, 5e3], [0.0, 1e4]])
    oxide = particle.oxide_loss_power(fields, 1e5)
    iron = particle.specific_absorption_rate(fields, 1e5)
    assert oxide[0, 0] == pytest.approx(90.337e3, rel=5e-5)
    assert iron == pytest.approx(oxide / 0.7236)
    assert oxide.shape == fields.shape
    assert oxide[1, 0] == 0.0
    assert oxide[1, 1] == oxide[0, 0]


def test_tissue_stops_brownian_rotation():
    bound, free = carrier("iron_oxide_16"), carrier("iron_oxide_16_fluid")
    field = np.array([1e4])
    assert isinstance(bound, IronOxide)
    assert bound.immobilised
    assert bound.specific_absorption_rate(field, 1e5) < free.specific_absorption_rate(field, 1e5)
    # the order of magnitude of clinical particles: 100 W per g of iron at 10 kA/m and 100 kHz
    assert bound.specific_absorption_rate(field, 1e5) == pytest.approx([100e3], rel=0.1)


def test_linear_response_says_where_it_ends():
    particle = IronOxide(core_diameter=Si(16e-9), anisotropy=Si(20e3))
    assert particle.doubts(1e3, 1e5) == ()
    (doubt,) = particle.doubts(10e3, 1e5)
    assert "xi = 2.8" in doubt
    assert "Rosensweig" in doubt
