"""Simplified P3 against exact transport: half-spaces and slabs, a fibre against photons; its border; its books."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from test_delta_p1 import around, ball_engine, column, medium

from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.physics.light import (
    Beam,
    Border,
    DeltaP1,
    Diffusion,
    Fibre,
    Lamp,
    Light,
    LightModel,
    Medium,
    MonteCarlo,
    SimplifiedP3,
)
from thermal.physics.light.sp3 import outflow
from thermal.units import Si

SP3 = SimplifiedP3(model="sp3")
SIDES = frozenset({"x-", "x+", "y-", "y+"})


def test_border_without_reflection_is_marshaks() -> None:
    """Vacuum: 1/2, -1/8, -1/8, 7/24 in closed form."""
    assert outflow(1.0).rows == pytest.approx(np.array([[1 / 2, -1 / 8], [-1 / 8, 7 / 24]]), abs=1e-12)
    # light that is reflected does not leave
    assert 0.0 < outflow(1.4).rows[0, 0] < 0.5


def slab(model: LightModel, optics: tuple[float, float, float], n: float, depth: float, cells: int) -> Light:
    """A broad beam on a slab between air: the column's sides are mirrors."""
    z = np.linspace(0.0, depth, cells + 1)
    engine = column(z)
    width = Si(2.0 * z[1])
    beam = Beam(position=(Si(0), Si(0), Si(0)), direction=(0, 0, 1), diameter=width, specular=((n - 1) / (n + 1)) ** 2)
    return model.solve(engine, medium(engine, *optics), (Lamp(beam, 1.0),), Border(n, frozenset({"z-", "z+"}), SIDES))


def chandrasekhar(albedo: float) -> float:
    """H(1) of isotropic scattering, by iteration of 1 / H(m) = sqrt(1 - a) + a / 2 int m' H(m') / (m + m') dm'."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    m, w = 0.5 * (nodes + 1.0), 0.5 * weights
    h = np.ones_like(m)
    for _ in range(500):
        h = 1.0 / (np.sqrt(1.0 - albedo) + 0.5 * albedo * ((w * m * h) / (m[:, None] + m)).sum(axis=1))
    return float(1.0 / (np.sqrt(1.0 - albedo) + 0.5 * albedo * np.sum(w * m * h / (1.0 + m))))


@pytest.mark.parametrize(("albedo", "close", "far"), [(0.9, 0.01, 0.02), (0.5, 0.025, 0.06)])
def test_half_space_of_chandrasekhar(albedo: float, close: float, far: float) -> None:
    """Normal incidence on isotropic scatterers without a mismatch: R = 1 - sqrt(1 - a) H(1), exact. Simplified P3 is
    off by 0.7 and 2.1 %, diffusion by 2.6 and 7.2 %; cells of a tenth of the free path add 0.1 %."""
    optics = (1000.0 * (1.0 - albedo), 1000.0 * albedo, 0.0)
    exact = 1.0 - np.sqrt(1.0 - albedo) * chandrasekhar(albedo)
    light = slab(SP3, optics, 1.0, 15e-3, 150)
    assert light.left["z-"] == pytest.approx(exact, rel=close)
    assert abs(light.balance_error) < 1e-10
    assert slab(Diffusion(), optics, 1.0, 15e-3, 150).left["z-"] > (1.0 + far) * exact


@pytest.mark.parametrize(
    ("optics", "n", "depth", "exact", "rel"),
    [
        ((1000, 9000, 0.75), 1.0, 0.2e-3, 0.66096, 0.01),  # van de Hulst: LGT-04
        ((50, 1e4, 0.9), 1.37, 5e-3, 0.10671, 0.03),  # adding-doubling: LGT-04
        ((500, 5000, 0.8), 1.37, 3e-3, 0.01463, 0.04),  # photons here, +- 0.4 %: mu_s' = 2 mu_a
    ],
)
def test_transmission_of_slabs(
    optics: tuple[float, float, float], n: float, depth: float, exact: float, rel: float
) -> None:
    """Cells of a tenth of the ballistic free path; delta-P1 is 0.5, 3.6 and 19 % off."""
    mu_a, mu_s, g = optics
    cells = int(np.ceil(10.0 * depth * (mu_a + mu_s * (1.0 - g * g))))
    light = slab(SP3, optics, n, depth, cells)
    assert light.left["z+"] + light.missed == pytest.approx(exact, rel=rel)


def test_half_space_of_giovanelli() -> None:
    """LGT-04 with a mismatch of 1.5, specular part included: 0.26008 by adding-doubling; diffusion has 0.268."""
    light = slab(SP3, (1000.0, 9000.0, 0.0), 1.5, 3e-3, 300)
    assert light.left["z-"] + light.reflected == pytest.approx(0.26008, rel=0.015)


def test_fibre_in_tissue_that_absorbs_as_much_as_it_scatters() -> None:
    """mu_s' = mu_a, g = 0.8: one to three transport paths from the tip, diffusion is off by up to 30 %, simplified P3
    by less than 5 %; photons are good to 1 % and cells of 0.3 mm to 3 %."""
    engine = ball_engine()
    optics = medium(engine, 1000.0, 5000.0, 0.8)
    fibre = Fibre(entry=(Si(0), Si(0), Si(6e-3)), tip=(Si(0), Si(0), Si(0)), radius=Si(0.3e-3))
    lamps, border, radii = (Lamp(fibre, 1.0),), Border(1.0), (0.6e-3, 1.2e-3, 3e-3)
    exact = MonteCarlo(model="monte_carlo", photons=200_000).solve(engine, optics, lamps, border)

    def off(light: Light) -> float:
        return max(abs(around(engine, light.fluence, r) / around(engine, exact.fluence, r) - 1.0) for r in radii)

    assert off(SP3.solve(engine, optics, lamps, border)) < 0.05
    assert off(DeltaP1(model="delta_p1").solve(engine, optics, lamps, border)) > 0.08
    assert off(Diffusion().solve(engine, optics, lamps, border)) > 0.2


def test_books_close_in_a_body_of_many_parts() -> None:
    """Tissue, a dark ball, a clear ball and void, particles in a part, a fibre and an oblique beam, one mirror."""
    axis = np.linspace(-8e-3, 8e-3, 17)
    middle = 0.5 * (axis[1:] + axis[:-1])
    x, y, z = (part.ravel() for part in np.meshgrid(middle, middle, middle, indexing="ij"))
    solid = x**2 + y**2 + z**2 < (8e-3) ** 2
    engine = VoxelEngine(VoxelDomain((axis, axis, axis), MappingProxyType({"tissue": solid * 1.0}), solid))
    dark, clear = np.hypot(x - 3e-3, y) < 2e-3, np.hypot(x + 3e-3, z) < 2e-3
    absorption = np.where(dark, 2000.0, np.where(clear, 1.0, 50.0)) * solid
    scattering = np.where(dark, 500.0, np.where(clear, 10.0, 1000.0)) * solid
    particles = 300.0 * (engine.points[:, 2] > 0.0) * (engine.volume > 0.0)
    optics = Medium(absorption, particles, scattering, 0.8 * solid)
    fibre = Fibre(entry=(Si(0), Si(0), Si(8e-3)), tip=(Si(0), Si(0), Si(2e-3)))
    beam = Beam(position=(Si(-8e-3), Si(2e-3), Si(0)), direction=(1, 0.2, -0.1), diameter=Si(2e-3))
    lamps = (Lamp(fibre, 1.0), Lamp(beam, 0.7))
    light = SP3.solve(engine, optics, lamps, Border(1.4, frozenset(), frozenset({"z-"})))
    assert abs(light.balance_error) < 1e-10
    assert np.sum(light.absorbed_particles) > 0.05
    (doubt,) = SP3.doubts(engine, optics, light, lamps)
    assert "mu_s' < 0.5 mu_a" in doubt
