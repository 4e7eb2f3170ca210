"""Consolidation: pressure diffusion against Terzaghi's column, fluid and particles balanced on the way."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import MM, cube, site
from test_delivery import UL_MIN, infusion

from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.physics.delivery.consolidation import Consolidation, Local
from thermal.physics.delivery.flow import Medium
from thermal.physics.scene import Held


def test_terzaghi_column() -> None:
    """INF-08: pressure at the base over the load, and degree of consolidation, at T_v = c_v t / h^2."""
    height, cells, conductivity, storage = 10 * MM, 40, 1e-12, 1e-4
    x, across = np.linspace(0, height, cells + 1), np.linspace(0, 1 * MM, 2)
    engine = VoxelEngine(VoxelDomain((x, across, across), {"tissue": np.ones(cells)}, np.ones(cells, dtype=bool)))
    zero = np.zeros_like(engine.volume)
    drained = Held(engine.points[:, 0] > height * (1 - 1e-9), zero)
    medium = Medium(engine, np.full(cells, conductivity), drained, zero, zero, zero, zero)
    column = Consolidation(medium, Local(medium, storage * engine.volume), np.where(drained.mask, 0.0, 1e3))
    pace = height**2 * storage / conductivity
    base, degree, before = [], [], 0.0
    for now in (0.1, 0.2, 0.5, 1.0):
        for _ in column.follow(medium.at_rest(), (now - before) * pace):
            pass
        before = now
        base.append(column.pressure[0] / 1e3)
        degree.append(1 - engine.volume @ column.pressure / (1e3 * engine.volume.sum()))
    np.testing.assert_allclose(base, [0.949305, 0.772312, 0.370777, 0.107977], atol=1e-3)  # (h / 40)^2 and half a cell
    np.testing.assert_allclose(degree, [0.356823, 0.504088, 0.763950, 0.931260], atol=1.5e-2)  # of load at the drain


def test_pressure_builds_up_and_relaxes() -> None:
    """Around a point source p(r) = p_steady erfc(r / sqrt(4 c t)); the ledger of particles stays closed meanwhile."""
    from scipy.special import erfc

    engine = cube(10 * MM, 1 * MM)
    slow = infusion(flow="3 ul/min", duration="10 min", storage="2e-5 1/Pa")
    found = slow.deliver(site(engine))
    pressure, _ = found.fields["pressure"]
    at = np.array([[3, 0, 0], [0, 4, 0]]) * MM
    diffusivity, radius = 1e-12 / 2e-5, np.array([3.0, 4.0]) * MM
    exact = 3 * UL_MIN / (4 * np.pi * 1e-12 * radius) * erfc(radius / np.sqrt(4 * diffusivity * 600))
    np.testing.assert_allclose(engine.sample(pressure, at), exact, rtol=0.03)
    rising = [row["port_pressure"].value for row in found.history]
    assert rising[0] < 0.9 * rising[-1]
    assert found.readings["ledger.mass_error"].value < 1e-12
    pore, _ = found.fields["pore_concentration"]
    assert pore.min() >= 0.0
    assert pore.max() <= 10.0 * (1 + 1e-6)


def test_pressure_relaxes_in_the_wait() -> None:
    engine = cube(5 * MM, 1 * MM)
    found = infusion(flow="3 ul/min", duration="10 min", storage="2e-5 1/Pa", wait="1 h").deliver(site(engine))
    assert found.fields["pressure"][0].max() < 0.05 * found.readings["delivery.port_pressure"].value
    assert found.readings["ledger.mass_error"].value < 1e-12


def test_storage_without_time_is_the_steady_flow() -> None:
    engine = cube(5 * MM, 1 * MM)
    steady = infusion(duration="10 min").deliver(site(engine))
    quick = infusion(duration="10 min", storage="1e-9 1/Pa").deliver(site(engine))
    np.testing.assert_allclose(quick.fields["pressure"][0], steady.fields["pressure"][0], rtol=1e-6, atol=1e-3)
    assert np.abs(quick.bulk - steady.bulk).max() < 0.15 * steady.bulk.max()  # the front, by where steps begin
    radius = [found.readings["delivery.distribution_radius"].value for found in (quick, steady)]
    assert radius[0] == pytest.approx(radius[1], rel=0.01)
