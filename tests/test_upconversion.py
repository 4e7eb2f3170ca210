"""Upconversion particles: what they absorb heats, what they emit is a share of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.particles import Upconversion, carrier
from thermal.simulation import simulate
from thermal.store import Run

CASE = Path(__file__).parent.parent / "cases" / "carriers" / "upconversion.toml"
COARSE = ("anatomy.voxel_size=8 mm", "output.pictures=false", "bioheat.duration=10 s")


def run_with(folder: Path, *changes: str) -> Run:
    return simulate(load_case(CASE, (*COARSE, *changes)), folder)


def test_share_by_photons() -> None:
    """Half of the yield at the half-yield fluence rate; a photon of 540 nm has 808/540 of the energy of one of 808."""
    found = carrier("upconversion")
    assert isinstance(found, Upconversion)
    share = found.emitted_share(np.array([0.0, 5e5, 1e12]), 808e-9)
    assert share == pytest.approx([0.0, 0.0015 * 808 / 540, 0.003 * 808 / 540], rel=1e-5)


def test_saturated_light_is_a_fixed_share_of_what_is_absorbed(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", "particles.half_yield_at=1e-9 W/m^2", 'probes.edge.fields=["emission"]')
    absorbed = run.value("light.absorbed_particles")
    assert run.value("light.emitted") == pytest.approx(0.003 * 808 / 540 * absorbed, rel=1e-9)
    assert absorbed > 0.0
    emission = run.fields.static["emission"].values
    assert run.value("probe.edge.emission") > 0.0
    assert emission.max() <= run.fields.static["absorbed_power"].values.max()


def test_weak_light_grows_with_the_square_and_heats_as_absorbed(tmp_path: Path) -> None:
    """Far below saturation two photons make one: four times the light from twice the power, and all that is absorbed,
    by tissue and particles, heats."""
    weak = [
        run_with(tmp_path / power, "particles.half_yield_at=1e5 W/cm^2", f"heating.power={power} W")
        for power in ("1", "2")
    ]
    one, two = (run.value("light.emitted") for run in weak)
    assert two == pytest.approx(4.0 * one, rel=1e-3)  # fluence rates of up to 1e6 over 1e9 W/m2
    light = weak[1]
    total = light.value("light.absorbed_tissue") + light.value("light.absorbed_particles")
    assert light.value("energy.source") == pytest.approx(10.0 * total, rel=1e-9)


def test_no_light_from_particles_that_do_not_emit() -> None:
    with pytest.raises(CaseError, match="no particles emit"):
        load_case(CASE.parent / "gold_nanorod.toml", ('probes.edge.fields=["emission"]',))
    with pytest.raises(CaseError, match="1064 nm"):
        carrier("upconversion").optics(1064e-9)
