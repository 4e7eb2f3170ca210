"""The catalogue of analytic problems, through case files: damage, electricity, light, infusion, and all together.

See ``test_catalogue.py``.
"""

from __future__ import annotations

import catalogue_reference as theory
import numpy as np
import pytest
from catalogue_reference import REFERENCE, UNPERFUSED
from catalogue_runs import BODY, MM, crossing, rise, rise_at
from conftest import RunCase

from thermal.engines.voxel import VoxelEngine
from thermal.store import Run

# ---------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("seconds", [43.0, 430.0])
def test_dam02_ramp(run_case: RunCase, seconds: float) -> None:
    """Damage counts from 40 degC, 2e-6 of the catalogue's figure; within a step the law is integrated exactly."""
    run = run_case("dam02", f'heating.schedule=[["0 s", "37 degC"], ["{seconds} s", "80 degC"]]',
                   f"bioheat.duration={seconds} s")  # fmt: skip
    times = np.linspace(0.0, seconds, 200_001)
    expected = theory.arrhenius(times, 37.0 + 43.0 / seconds * times)
    assert expected == pytest.approx(222.728 * seconds / 43.0, rel=1e-5)
    assert min(run.value("probe.centre.arrhenius"), 1000.0) == pytest.approx(min(expected, 1000.0), rel=1e-5)


def test_dam03_ramp(run_case: RunCase) -> None:
    """CEM43 of a ramp from 37 to 50 degC at 0.1 K/s: 30.6568 min."""
    run = run_case("dam02", 'heating.schedule=[["0 s", "37 degC"], ["130 s", "50 degC"]]', "bioheat.duration=130 s")
    assert run.value("probe.centre.cem43") == pytest.approx(30.656800, rel=1e-6)


# ----------------------------------------------------------------------------------------- electricity


def test_rf01_resistance(run_case: RunCase) -> None:
    run = run_case("rf01")
    assert run.value("heating.initial_impedance") == pytest.approx(
        theory.sphere_resistance(0.33, 1.5 * MM, 50 * MM), rel=0.01
    )
    exact = theory.sphere_resistance(0.33, 1.5 * MM, 50 * MM)
    assert run.history["current"][-1] == pytest.approx(20.0 / exact, rel=0.01)
    assert run.history["power"][-1] == pytest.approx(400.0 / exact, rel=0.01)


@pytest.mark.parametrize(("probe", "tolerance"), [("r03", 0.05), ("r05", 0.02), ("r10", 0.02)])
def test_rf01_power_density(run_case: RunCase, probe: str, tolerance: float) -> None:
    """The mean over the cells around a node reads high by up to 3.5 (h/r)^2 on an axis: 2.4 % at 3 mm on 0.25 mm."""
    expected = theory.sphere_joule(0.33, 20.0, 1.5 * MM, 50 * MM, float(probe[1:]) * MM)
    assert run_case("rf01").value(f"probe.{probe}.absorbed_power") == pytest.approx(expected, rel=tolerance)


def test_rf01_between_held_regions(run_case: RunCase) -> None:
    """Without an electrode: two regions at different potentials, eight voxels to the radius of the inner one."""
    run = run_case("rf01_regions")
    expected = theory.sphere_resistance(0.33, 4 * MM, 50 * MM)
    assert run.value("heating.initial_impedance") / 8.0 == pytest.approx(expected, rel=0.004)


def test_rf02_hottest_shell(run_case: RunCase) -> None:
    """T0 + sigma V^2 / (8 k) holds node by node in the scheme; no node lies just where the potential is halved."""
    run = run_case("rf02")
    assert run.value("peak_temperature") == pytest.approx(70.0, abs=0.33)
    assert rise(run, "peak") == pytest.approx(33.0, abs=0.5)


def test_rf03_conductivity_that_rises(run_case: RunCase) -> None:
    """sigma = 0.33 (1 + 0.02 (T - 37)): 83.74 degC and 98.59 ohm, from the boundary value problem.

    The potential is solved again when the conductivity has changed by 2 %, which is the tolerance of the resistance.
    """
    run = run_case(
        "rf02", "tissues.tissue.electrical_conductivity_slope=0.02 1/K", "anatomy.refine.voxel_size=0.7 mm",
        "tissues.outside.electrical_conductivity_slope=0.02 1/K", "anatomy.refine.growth=1.5", "bioheat.duration=60 s",
    )  # fmt: skip
    hottest = 37.0 + (np.exp(0.02 * 0.33 * 20.0**2 / (8.0 * 0.5)) - 1.0) / 0.02
    assert hottest == pytest.approx(83.73962, abs=1e-4)
    assert run.value("peak_temperature") == pytest.approx(hottest, abs=0.02 * (hottest - 37.0))
    assert run.history["impedance"][-1] == pytest.approx(98.58959, rel=0.02)


def test_two_resistors_in_series(run_case: RunCase) -> None:
    """Piecewise linear potential, exact on any grid that has the border on its nodes."""
    run, area = run_case("resistor"), 16e-6
    resistance = (12 * MM / 0.2 + 18 * MM / 0.6) / area
    density = 12.0 / resistance / area
    assert run.value("heating.initial_impedance") == pytest.approx(resistance, rel=1e-5)
    for probe, potential in (("border", 2.0), ("first", 6.0), ("second", -2.0 + density * 10 * MM / 0.6)):
        assert run.value(f"probe.{probe}.potential") == pytest.approx(potential, abs=1e-4)
    for probe, sigma in (("first", 0.2), ("second", 0.6)):
        assert run.value(f"probe.{probe}.absorbed_power") == pytest.approx(density**2 / sigma, rel=1e-4)


@pytest.mark.parametrize(("place", "along"), [(12.37, "x"), (1.31, "y")])
def test_two_resistors_with_their_border_between_nodes(run_case: RunCase, place: float, along: str) -> None:
    """In series and side by side, exact wherever the border lies."""
    shapes = f'[{{shape="layer",region="second",axis="{along}",from="{place} mm"}}]'
    run = run_case("resistor", f"anatomy.shapes={shapes}", 'anatomy.origin=["0 mm", "0 mm", "0 mm"]')
    if along == "x":
        resistance = (place / 0.2 + (30 - place) / 0.6) * MM / 16e-6
    else:
        resistance = 30 * MM / ((place * 0.2 + (4 - place) * 0.6) * MM * 4 * MM)
    assert run.value("heating.initial_impedance") == pytest.approx(resistance, rel=1e-7)
    history = run.history
    assert history["power"][-1] == pytest.approx(12.0**2 / resistance, rel=1e-7)
    assert history["power"][-1] == pytest.approx(history["voltage"][-1] * history["current"][-1], rel=1e-12)


@pytest.mark.parametrize(("disc", "tolerance"), [(1.0, 1e-3), (0.3, 1e-3), (0.01, 7e-3)])
def test_lattice_of_cylinders(run_case: RunCase, disc: float, tolerance: float) -> None:
    """A jump of 10, 3 and 1/10 on 14 voxels of the radius; the mean of the shares has 3.4, 0.9 and 0.5 %."""
    run = run_case("lattice", f"tissues.disc.electrical_conductivity={disc} S/m")
    sigma = 0.1 * theory.lattice_of_discs(disc / 0.1, 0.25 * np.pi * 0.7**2)
    assert run.value("heating.initial_impedance") == pytest.approx(1.0 / (sigma * 0.5 * MM), rel=tolerance)


# ----------------------------------------------------------------------------------------------- light


@pytest.mark.parametrize(("probe", "r"), [("r05", 5 * MM), ("r10", 10 * MM), ("r20", 20 * MM)])
def test_lgt01_point_source(run_case: RunCase, probe: str, r: float) -> None:
    """2 %: the lattice's anisotropy at eight voxels from the source, and interpolation farther out."""
    run = run_case("lgt01")
    assert run.value(f"probe.{probe}.fluence") == pytest.approx(theory.point_fluence(10.0, 1000.0, 1.0, r), rel=0.02)


def test_lgt01_absorbed_power(run_case: RunCase) -> None:
    run = run_case("lgt01")
    field = run.fields.static["absorbed_power"].values
    ball = ball_share(run)
    assert float(field @ ball) == pytest.approx(theory.absorbed_within(10.0, 1000.0, 10 * MM), rel=0.01)
    assert run.value("light.balance_error") == pytest.approx(0.0, abs=1e-9)


def test_two_fibres_add(run_case: RunCase) -> None:
    """2 %: the middle lies on an axis of the lattice with both fibres."""
    run = run_case("two_fibres")
    for probe, place in (("middle", (0.0, 0.0)), ("aside", (3.0, 6.0))):
        expected = sum(
            theory.point_fluence(50.0, 600.0, power, float(np.hypot(place[0] - x, place[1])) * MM)
            for power, x in ((2.0, -8.0), (1.0, 8.0))
        )
        assert run.value(f"probe.{probe}.fluence") == pytest.approx(expected, rel=0.02)


def ball_share(run: Run) -> np.ndarray:
    """(n,) volume of the region ``ball`` at each node."""
    return np.asarray(VoxelEngine(run.domain).volumes["ball"])


# -------------------------------------------------------------------------------------------- infusion


def test_inf01_port_pressure(run_case: RunCase) -> None:
    """The port is finer than the grid; its sub-grid resistance is good to 1 %."""
    run = run_case("inf01")
    flow = 5e-9 / 60.0
    expected = theory.port_pressure(flow, 1e-12, 0.2 * MM, 40 * MM)
    assert run.value("delivery.port_pressure") == pytest.approx(expected, rel=0.01)
    at_4 = theory.port_pressure(flow, 1e-12, 4 * MM, 40 * MM)
    assert run.value("probe.r04.pressure") == pytest.approx(at_4, rel=0.02)


@pytest.mark.parametrize("core", [1e-13, 1e-11])
def test_inf01_port_in_a_core_of_another_permeability(run_case: RunCase, core: float) -> None:
    """Ten voxels of its radius; the mean of the shares has 14 % and 5 % less at 4 mm."""
    run = run_case("inf01_core", f"tissues.core.hydraulic_conductivity={core} m^2/Pa/s")
    flow = 5e-9 / 60.0
    beyond = theory.port_pressure(flow, 1e-12, 5 * MM, 40 * MM)
    within = theory.port_pressure(flow, core, 0.2 * MM, 5 * MM), theory.port_pressure(flow, core, 4 * MM, 5 * MM)
    assert run.value("delivery.port_pressure") == pytest.approx(within[0] + beyond, rel=0.01)
    assert run.value("probe.r04.pressure") == pytest.approx(within[1] + beyond, rel=0.01)
    assert run.value("ledger.mass_error") < 1e-9


def test_inf04_front(run_case: RunCase) -> None:
    run = run_case("inf04")
    expected = theory.infusate_front(3e-9 / 60.0, 0.2, 0.25 * MM, 3600.0)
    assert run.value("delivery.distribution_radius") == pytest.approx(expected, rel=0.03)
    assert run.value("ledger.mass_error") < 1e-9
    assert run.value("dose.infused") == pytest.approx(3e-9 * 60.0 * 10.0, rel=1e-9)
    assert run.value("probe.inside.pore_concentration") == pytest.approx(10.0, rel=0.01)
    assert run.value("probe.inside.concentration") == pytest.approx(2.0, rel=0.01)
    assert run.value("probe.beyond.pore_concentration") < 0.5


# ------------------------------------------------------------------------------------------ composites


@pytest.mark.parametrize(("name", "tissue"), [("e2e01", REFERENCE), ("e2e01_embolised", UNPERFUSED)])
def test_e2e01_iron_in_a_field(run_case: RunCase, name: str, tissue: theory.Tissue) -> None:
    """Particles to power to temperature to damage. 0.4 % of the rise; 0.1 K is 7 % of CEM43, 4 % of Omega."""
    run = run_case(name)
    assert run.value("probe.r00.absorbed_power") == pytest.approx(5e5, rel=1e-6)
    times = np.concatenate([[0.0], np.geomspace(1.0, 1800.0, 400)])
    exact = BODY + np.array([theory.heated_ball_transient(tissue, 5e5, 10 * MM, 0.0, t) if t else 0.0 for t in times])
    for time in (300.0, 600.0, 1800.0):
        assert rise_at(run, "r00", time) + BODY == pytest.approx(np.interp(time, times, exact), abs=0.15)
    fine = np.linspace(0.0, 1800.0, 36_001)
    smooth = np.interp(fine, times, exact)
    dose = np.array([theory.cem43(fine[:n], smooth[:n]) for n in range(20, 36_001, 20)])
    omega = np.array([theory.arrhenius(fine[:n], smooth[:n]) for n in range(20, 36_001, 20)])
    ends = fine[19:36_000:20]
    for column, values, level in (("probe.r00.cem43", dose, 240.0), ("probe.r00.arrhenius", omega, 1.0)):
        expected = float(np.interp(level, values, ends))
        assert crossing(run, column, level, logarithmic=True) == pytest.approx(expected, rel=0.03)
    if tissue is REFERENCE:
        assert run.value("probe.r00.cem43") == pytest.approx(float(dose[-1]), rel=0.07)
        assert run.value("probe.r00.arrhenius") == pytest.approx(float(omega[-1]), rel=0.04)


@pytest.mark.slow
def test_rf01_finer(run_case: RunCase) -> None:
    """The catalogue's tolerances: 0.5 % of the resistance and 2 % of the power density at 3 mm on 0.15 mm voxels."""
    run = run_case("rf01", "anatomy.refine.voxel_size=0.15 mm")
    assert run.value("heating.initial_impedance") == pytest.approx(
        theory.sphere_resistance(0.33, 1.5 * MM, 50 * MM), rel=0.005
    )
    assert run.value("probe.r03.absorbed_power") == pytest.approx(
        theory.sphere_joule(0.33, 20.0, 1.5 * MM, 50 * MM, 3 * MM), rel=0.02
    )
