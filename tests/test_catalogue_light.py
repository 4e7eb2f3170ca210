"""The catalogue's light, field and particles through case files: LGT-02, LGT-04, MAG-01..03, PTX-01."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from catalogue_runs import BODY
from conftest import RunCase
from scipy.integrate import quad
from scipy.special import j0

from thermal.physics.light import border_factor

MU_A, MU_S, DEPTH = 10.0, 1000.0, 1.0 / 1010.0  # 1/m, m


def surface_fluence(distance: float) -> float:
    """W/m2 at the surface over a source of a' W one transport path deep: Hankel transform of the half-space's solution
    with the partial-current border, phi(k) = exp(-g z0) / (D g + 1 / 2A), g^2 = k^2 + mu_eff^2."""
    spread, a = 1.0 / (3.0 * (MU_A + MU_S)), border_factor(1.4)

    def integrand(k: float) -> float:
        g = np.sqrt(k**2 + MU_A / spread)
        return float(k / (2.0 * np.pi) * np.exp(-g * DEPTH) / (spread * g + 0.5 / a) * j0(k * distance))

    edges = np.arange(0.0, 2.5e4, np.pi / distance)
    parts = [quad(integrand, low, high)[0] for low, high in pairwise(edges)]
    return MU_S / (MU_A + MU_S) * float(np.sum(parts))


@pytest.mark.parametrize(("probe", "distance"), [("r05", 5e-3), ("r10", 10e-3), ("r20", 20e-3)])
def test_lgt02_surface_of_a_half_space(run_case: RunCase, probe: str, distance: float) -> None:
    """2 %: cells of a half and 1.1 mm beside a source at 1 mm; interpolation far out."""
    assert run_case("lgt02").value(f"probe.{probe}.fluence") == pytest.approx(surface_fluence(distance), rel=0.02)


def test_lgt02_reflectance(run_case: RunCase) -> None:
    """What leaves is a' exp(-mu z0) / (1 + 2 A D mu) = 0.60671; Farrell's image source, another approximation of the
    same border, has 0.614095, and 0.01560 and 0.000724 1/cm2 at 1 and 2 cm, 4 % and 1 % from this one."""
    run = run_case("lgt02")
    mu, spread = np.sqrt(3.0 * MU_A * (MU_A + MU_S)), 1.0 / (3.0 * (MU_A + MU_S))
    exact = MU_S / (MU_A + MU_S) * np.exp(-mu * DEPTH) / (1.0 + 2.0 * border_factor(1.4) * spread * mu)
    assert run.value("light.escaped.z+") == pytest.approx(exact, rel=2e-3)
    assert run.value("light.escaped.z+") == pytest.approx(0.614095, rel=0.015)
    flux = run.value("probe.r20.fluence") / (2.0 * border_factor(1.4)) * 1e-4
    assert flux == pytest.approx(0.00072407, rel=0.02)


def test_lgt02_by_photons(run_case: RunCase) -> None:
    """Photons of the same source, scattering evenly: exact transport, from which the diffusion approximation of a
    source one path below the surface is some percent away; 20,000 of them leave no more than 1 % of chance."""
    photons = 'heating.light={model="monte_carlo", photons=20000}'
    optics = 'wavelength="808 nm", absorption="0.1 1/cm", reduced_scattering="10 1/cm", anisotropy=0'
    even = f"tissues.tissue.optics=[{{{optics}}}]"
    run = run_case("lgt02", photons, even)
    assert run.value("light.standard_error.escaped.z+") < 0.01
    assert run.value("light.escaped.z+") == pytest.approx(run_case("lgt02").value("light.escaped.z+"), rel=0.08)


# ------------------------------------------------------------------------------------------------ magnetic field

OPTIONS = ('heating.on=[["0 s", "1 s"]]', "bioheat.duration=1 s")


def specific_power(run_case: RunCase, **particle: str) -> float:
    """W per g of iron of magnetite as in MAG-02, from the power in the summary and the mass in the tissue."""
    table = {
        "kind": "iron_oxide", "anisotropy": "20 kJ/m^3", "viscosity": "1 mPa*s", "shell_thickness": "2 nm",
        "temperature": "26.85 degC", **particle,
    }  # fmt: skip
    written = ", ".join(f'{key}="{value}"' for key, value in table.items())
    run = run_case("hyperthermia", f"particles={{{written}, immobilised=false}}", *OPTIONS)
    return float(run.value("heating.power_particles") / run.value("dose.in_window") / 1e3)


@pytest.mark.parametrize(("diameter", "oxide"), [(10, 0.33877), (14, 32.603), (16, 106.05), (18, 88.395)])
def test_mag02_clinical_field(run_case: RunCase, diameter: int, oxide: float) -> None:
    """W per g of magnetite over 0.7236 g of iron in it."""
    assert specific_power(run_case, core_diameter=f"{diameter} nm") == pytest.approx(oxide / 0.7236, rel=1e-4)


@pytest.mark.parametrize(("sigma", "oxide"), [(0.05, 44.602), (0.25, 62.991)])
def test_mag03_sizes_are_weighed_by_volume(run_case: RunCase, sigma: float, oxide: float) -> None:
    found = specific_power(run_case, core_diameter="14 nm", diameter_sigma=str(sigma))
    assert found == pytest.approx(oxide / 0.7236, rel=1e-4)


# ---------------------------------------------------------------------------------------------------- experiment


def test_ptx01_nanoshells_under_the_skin(run_case: RunCase) -> None:
    """Hirsch 2003: 37.4 +- 6.6 K in 4 to 6 minutes with shells (25 to 50 K counts), below 10 K without."""
    shells, bare = run_case("ptx01"), run_case("ptx01", "delivery.kind=none")
    assert 25.0 < shells.value("probe.depth.temperature") - BODY < 50.0
    assert 0.0 < bare.value("probe.depth.temperature") - BODY < 10.0
    assert shells.value("light.absorbed_particles") > 3.0 * shells.value("light.absorbed_tissue")
