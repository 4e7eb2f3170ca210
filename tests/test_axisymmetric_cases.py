"""Analytic problems on axisymmetric meshes, through case files: a mesh goes in, numbers come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import catalogue_reference as theory
import half_planes as half
import numpy as np
import pytest
from catalogue_reference import REFERENCE
from catalogue_runs import MM, closes, rise, rise_at
from conftest import CATALOGUE, RunCase
from scipy.integrate import solve_bvp
from scripts import script
from test_catalogue import TISSUE as FREEZING

from thermal import load_case, simulate
from thermal.domain import AxisymmetricDomain
from thermal.errors import CaseError
from thermal.export import export_run
from thermal.store import Run
from thermal.units import Array
from thermal.view.cells import box
from thermal.view.grids import grid, sample
from thermal.view.slices import draw_slices
from thermal.view.surfaces import region_surface
from thermal.view.swept import scattered
from thermal.view.treated import zone_surface

TISSUE = """density = "1060 kg/m^3"
heat_capacity = "3600 J/kg/K"
conductivity = "0.5 W/m/K"
perfusion = "6.4e-3 1/s"
"""


def graded(start: float, fine: float, end: float, step: float, growth: float) -> Array:
    """Places from ``start`` in steps that grow beyond ``fine``, the last of them ``end``."""
    places, h = [start], step
    while places[-1] < end:
        h = step if places[-1] < fine else h * growth
        places.append(places[-1] + h)
    beyond = np.array(places) > fine
    places = np.array(places)
    places[beyond] = fine + (places[beyond] - fine) * (end - fine) / (places[-1] - fine)
    return places


def probes(**places: Sequence[float]) -> str:
    """``[probes]`` of points in mm."""
    return "\n".join(f"[probes.{name}]\nposition = {[f'{x} mm' for x in at]}" for name, at in places.items())


def case(folder: Path, text: str, tumour: str = "") -> Path:
    """A case file over ``linear.toml`` on ``half.msh`` in the same folder."""
    head = f'schema_version = 1\nextends = "{CATALOGUE / "linear.toml"}"\ntitle = "axisymmetric"\n[anatomy]\n'
    head += 'kind = "mesh"\nfile = "half.msh"\nlength_unit = "mm"\nhalf_plane = "xy"\n'
    path = folder / "case.toml"
    path.write_text(head + (f'tumour = "{tumour}"\n' if tumour else "") + text)
    return path


def run(folder: Path, text: str, tumour: str = "") -> Run:
    """Run :func:`case`."""
    return simulate(load_case(case(folder, text, tumour)), folder / "run")


def everywhere(r: Array, z: Array) -> Array:
    return r >= 0.0


def beyond(radius: float) -> half.Part:
    return lambda r, z: np.hypot(r, z) > radius


def within(radius: float) -> half.Part:
    return lambda r, z: np.hypot(r, z) < radius


# ------------------------------------------------------------------------------------------------- bioheat

HEATED_BALL = f"""
[tissues.tumour]
{TISSUE}
[tissues.liver]
{TISSUE}
[heating]
kind = "prescribed"
sources = [{{ shape = "region", region = "tumour", density = "5e5 W/m^3" }}]
[bioheat]
duration = "800 s"
[boundaries.outside]
kind = "fixed"
temperature = "37 degC"
[damage]
laws = ["cem43"]
[zone]
law = "cem43"
{probes(r00=(0, 0, 0), r05=(5, 0, 0), r10=(0, 6, 8), r15=(0, 0, 15), r20=(12, 16, 0))}
"""


@pytest.fixture(scope="module")
def heated_ball(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """PEN-03 as a half-disc, with r along x and z along y, and an "axis" that Gmsh users like to name."""
    folder = tmp_path_factory.mktemp("heated_ball")
    points, triangles = half.disc(graded(0.0, 12 * MM, 45 * MM, 1 * MM, 1.15), 36)
    boundaries = {"outside": beyond(44.9 * MM), "axis": lambda r, z: r < 1e-9}
    half.write(folder / "half.msh", points, triangles, {"tumour": within(10 * MM), "liver": everywhere}, boundaries)
    return run(folder, HEATED_BALL, "tumour")


@pytest.mark.parametrize("probe", ["r00", "r05", "r10", "r15", "r20"])
def test_pen03_heated_ball(heated_ball: Run, probe: str) -> None:
    """1 % of the largest rise, on cells of a tenth of the radius; the polygon of 36 sides lacks 0.4 % of the heat."""
    expected = theory.heated_ball(REFERENCE, 5e5, 10 * MM, float(probe[1:]) * MM)
    assert rise(heated_ball, probe) == pytest.approx(expected, abs=0.01 * 12.56)
    closes(heated_ball)


def test_pen03_agrees_with_tetrahedra(heated_ball: Run, run_case: RunCase, tmp_path: Path) -> None:
    """Tetrahedra of a seventh of the radius, whose error dominates: 2 % of the largest rise."""
    ball = tmp_path / "ball.msh"
    script("make_ball_mesh").write(ball, 10.0, 45.0, 3, (0.0, 0.0, 0.0))
    solid = run_case("pen03_mesh", f"anatomy.file={ball}", 'damage.laws=["cem43"]', "zone.law=cem43")
    for probe in ("r00", "r05", "r10", "r15", "r20"):
        assert rise(heated_ball, probe) == pytest.approx(rise(solid, probe), abs=0.02 * 12.56)
    assert heated_ball.value("heating.power") == pytest.approx(solid.value("heating.power"), rel=5e-3)
    for key in ("zone.volume", "zone.tumour_volume", "zone.healthy_volume"):
        assert heated_ball.value(key) == pytest.approx(solid.value(key), rel=0.06)
    for key in ("zone.longest_diameter", "zone.shortest_diameter", "zone.sphericity"):
        assert heated_ball.value(key) == pytest.approx(solid.value(key), rel=0.02)
    assert heated_ball.value("zone.minimum_margin") == pytest.approx(solid.value("zone.minimum_margin"), abs=0.3 * MM)


def test_the_axis_is_no_border(heated_ball: Run) -> None:
    """Though it has a name in the file, and though the zone lies on it."""
    domain = heated_ball.domain
    assert isinstance(domain, AxisymmetricDomain)
    assert set(domain.boundaries) == {"surface", "outside"}
    assert heated_ball.value("zone.volume") > 0.0
    assert not heated_ball.value("zone.touches_boundary")


def test_pictures_show_the_whole_body(heated_ball: Run, tmp_path: Path) -> None:
    domain = heated_ball.domain
    tumour = region_surface(domain, domain.shares["tumour"])
    assert tumour.volume * 1e-9 == pytest.approx(heated_ball.value("zone.tumour_volume"), rel=5e-3)
    zone = zone_surface(heated_ball)
    assert zone.volume * 1e-9 == pytest.approx(heated_ball.value("zone.volume"), rel=5e-3)
    assert tumour.is_manifold
    assert zone.is_manifold
    np.testing.assert_allclose(box(domain), [[-45, 45]] * 3, rtol=1e-6)
    mesh = grid(domain)
    mesh["u"] = mesh.points[:, 0] - 2.0 * mesh.points[:, 2]
    at = np.array([[3.0, -4.0, 1.0], [-7.0, 0.0, -20.0], [0.0, 0.0, 3.3], [40.0, 40.0, 0.0]])
    found = sample(domain, mesh, at)
    np.testing.assert_array_equal(found["vtkValidPointMask"], [1, 1, 1, 0])
    np.testing.assert_allclose(found["u"][:3], [3.0, 47.0, -6.6], atol=1e-5)
    assert draw_slices(heated_ball, tmp_path / "slices.png").stat().st_size > 20_000


def test_dots_fill_a_ring_evenly() -> None:
    points, triangles = half.rectangle(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    domain = half.engine(points, triangles).domain
    cells = np.repeat([0, 1], [1, 2])  # in proportion to their volumes, 1/3 and 2/3
    if domain.points[domain.cells[0], 0].sum() > 1:
        cells = 1 - cells
    dots = scattered(domain, np.repeat(cells, 20_000), np.random.default_rng(0))
    r = np.hypot(dots[:, 0], dots[:, 1])
    # of 60 000 places: mean of r^2 1/2 with a standard error of 0.0012, of z 1/2 likewise, of x 0 with 0.002
    assert np.mean(r**2) == pytest.approx(0.5, abs=0.005)
    assert np.mean(dots[:, 2]) == pytest.approx(0.5, abs=0.005)
    assert np.mean(dots[:, 0]) == pytest.approx(0.0, abs=0.008)


@pytest.mark.parametrize(("form", "text"), [("pvd", "series.pvd"), ("nifti", "tumour.nii")])
def test_export(heated_ball: Run, tmp_path: Path, form: str, text: str) -> None:
    out = export_run(heated_ball.folder, form, tmp_path)
    assert (tmp_path / text).is_file()
    if form == "nifti":
        import nibabel

        image = nibabel.load(out / "tumour.nii")
        volume = float(np.asarray(image.dataobj).sum()) * float(np.prod(image.header.get_zooms()[:3])) * 1e-9
        assert volume == pytest.approx(heated_ball.value("zone.tumour_volume"), rel=0.02)


def shell(folder: Path, inner: float, outer: float) -> None:
    points, triangles = half.disc(graded(inner, inner, outer, 0.15 * inner, 1.12), 48)
    boundaries = {"ball": within(1.01 * inner), "outside": beyond(0.99 * outer)}
    half.write(folder / "half.msh", points, triangles, {"tissue": everywhere}, boundaries)


def test_pen10_hot_ball(tmp_path: Path) -> None:
    """The ball is a hole in the mesh; steps of a seventh of its radius at its wall: 1 %."""
    shell(tmp_path, 1.5 * MM, 60 * MM)
    found = run(
        tmp_path,
        f'[tissues.tissue]\n{TISSUE}[boundaries.ball]\nkind = "fixed"\ntemperature = "97 degC"\n[boundaries.outside]\n'
        'kind = "fixed"\ntemperature = "37 degC"\n[bioheat]\nduration = "900 s"\n[output]\nevery = "10 s"\n'
        + probes(r05=(3, 0, 4), r10=(0, 10, 0)),
    )
    assert rise(found, "r05") == pytest.approx(theory.hot_ball(REFERENCE, 60.0, 1.5 * MM, 5 * MM), rel=0.01)
    assert rise(found, "r10") == pytest.approx(theory.hot_ball(REFERENCE, 60.0, 1.5 * MM, 10 * MM), rel=0.02)
    for time in (60.0, 300.0):
        expected = theory.hot_ball_transient(REFERENCE, 60.0, 1.5 * MM, 5 * MM, time)
        assert rise_at(found, "r05", time) == pytest.approx(expected, rel=0.02)
    power = (found.history["energy.held"][-1] - found.history["energy.held"][-2]) / np.diff(found.history.time)[-1]
    # steps of a seventh of the radius at the wall: 1 % of its flow
    assert power == pytest.approx(theory.hot_ball_power(REFERENCE, 60.0, 1.5 * MM), rel=0.01)
    closes(found)


def tube(folder: Path, r: Array, z: Array) -> None:
    points, triangles = half.rectangle(r, z)
    boundaries: dict[str, half.Part] = {
        "wall": lambda a, b: np.isclose(a, r[-1]),
        "wire": lambda a, b: np.isclose(a, r[0]) & (a > 0),
        "top": lambda a, b: np.isclose(b, z[-1]),
        "bottom": lambda a, b: np.isclose(b, z[0]),
    }
    half.write(folder / "half.msh", points, triangles, {"tissue": everywhere}, boundaries)


def test_pen10_hot_cylinder(tmp_path: Path) -> None:
    tube(tmp_path, graded(1 * MM, 1 * MM, 40 * MM, 0.1 * MM, 1.1), np.array([0.0, 0.5, 1.0]) * MM)
    found = run(
        tmp_path,
        f'[tissues.tissue]\n{TISSUE}[boundaries.wire]\nkind = "fixed"\ntemperature = "47 degC"\n'
        '[boundaries.surface]\nkind = "insulated"\n[bioheat]\nduration = "900 s"\n'
        + probes(r02=(2, 0, 0.5), r05=(3, 4, 0.2), r10=(0, 10, 1)),
    )
    for probe, r in (("r02", 2 * MM), ("r05", 5 * MM), ("r10", 10 * MM)):
        expected = 10.0 * theory.hot_cylinder(REFERENCE, 1.0, 1 * MM, r)
        assert rise(found, probe) == pytest.approx(expected, rel=0.01)
    closes(found)


@pytest.mark.parametrize("heated", [True, False])
def test_pen01_and_pen02_as_a_disc(tmp_path: Path, heated: bool) -> None:
    """One dimension along the axis, on any radius: (m h)^2 / 24 = 5e-4 of the rise."""
    tube(tmp_path, np.linspace(0, 2, 5) * MM, np.linspace(0, 30, 61) * MM)
    walls = '[boundaries.bottom]\nkind = "fixed"\ntemperature = "37 degC"\n[boundaries.wall]\nkind = "insulated"\n'
    walls += '[boundaries.top]\nkind = "insulated"\n[heating]\nkind = "prescribed"\nsources = [{ shape = "region", '
    walls += 'region = "tissue", density = "1e5 W/m^3" }]\n'
    if not heated:
        walls = '[boundaries.bottom]\nkind = "fixed"\ntemperature = "47 degC"\n[boundaries.wall]\nkind = "insulated"\n'
        walls += '[boundaries.top]\nkind = "fixed"\ntemperature = "37 degC"\n'
    places = {"a": (0, 0, 5), "b": (1.2, 0, 10), "c": (0, 1.9, 15)}
    text = f'[tissues.tissue]\n{TISSUE}{walls}[bioheat]\nduration = "2000 s"\n' + probes(**places)
    found = run(tmp_path, text)
    for name, (_, _, z) in places.items():
        exact = theory.heated_slab(REFERENCE, 1e5, 30 * MM, z * MM)
        if not heated:
            exact = theory.hot_wall_slab(REFERENCE, 10.0, 30 * MM, z * MM)
        assert rise(found, name) == pytest.approx(exact, rel=2e-3)
    closes(found)


def test_ste04_line_sink(tmp_path: Path) -> None:
    """The whole plane around the line, where voxels need a quarter. The front jumps from node to node: half a cell of
    0.25 mm is 1.4 % of it."""
    tube(tmp_path, graded(0.0, 12 * MM, 60 * MM, 0.25 * MM, 1.2), np.array([0.0, 0.5, 1.0]) * MM)
    text = (CATALOGUE / "ste04.toml").read_text().partition("[tissues.tissue]")[2]
    text = text.replace("-75 mW", "-300 mW").replace("# a quarter of", "# all of")
    found = run(tmp_path, '[boundaries.surface]\nkind = "insulated"\n[tissues.tissue]' + text)
    exact = theory.LineSink(FREEZING, 300.0)
    front = np.sqrt(found.value("zone.volume") / (np.pi * 1e-3))
    assert front == pytest.approx(exact.front(600.0), rel=0.02)
    for probe, r, tolerance in (("r02", 2 * MM, 1.0), ("r06", 6 * MM, 0.3), ("r15", 15 * MM, 0.3)):
        assert found.value(f"probe.{probe}.temperature") == pytest.approx(exact.temperature(r, 600.0), abs=tolerance)
    closes(found)


def test_films_fluxes_ice_and_steam_close_the_ledger(tmp_path: Path) -> None:
    """Every line of the budget at once on a ring of triangles: 1e-10 of what was put in."""
    tube(tmp_path, np.linspace(0, 12, 13) * MM, np.linspace(0, 12, 13) * MM)
    found = run(
        tmp_path,
        '[tissues.tissue]\nmaterial = "liver"\n[bioheat]\nduration = "120 s"\nfreezing = {}\nvaporisation = {}\n'
        "perfusion_stops = true\n"
        '[boundaries.wall]\nkind = "convective"\ncoefficient = "50 W/m^2/K"\ntemperature = "20 degC"\n'
        '[boundaries.top]\nkind = "flux"\nflux = "2e3 W/m^2"\n'
        '[boundaries.bottom]\nkind = "fixed"\ntemperature = "-40 degC"\n'
        '[heating]\nkind = "prescribed"\nsources = [{ shape = "sphere", centre = ["0 mm", "0 mm", "9 mm"], '
        'radius = "2 mm", density = "3e7 W/m^3" }]\n' + probes(hot=(0, 0, 9), cold=(6, 0, 1)),
    )
    assert found.value("peak_temperature") > 99.0
    assert found.value("probe.cold.temperature") < -10.0
    assert abs(found.value("ledger.energy_error")) < 1e-10


# --------------------------------------------------------------------------------------- probes, light, fluid


def test_rf01_concentric_spheres(tmp_path: Path) -> None:
    """A sub-grid ball electrode on cells of a sixth of its radius: 1 % of the resistance, 3 % of the power density."""
    points, triangles = half.round_disc(graded(0.0, 12 * MM, 50 * MM, 0.25 * MM, 1.15))
    half.write(tmp_path / "half.msh", points, triangles, {"tissue": everywhere}, {"outside": beyond(49.9 * MM)})
    found = run(
        tmp_path,
        f'[tissues.tissue]\n{TISSUE}electrical_conductivity = "0.33 S/m"\nelectrical_conductivity_slope = "0 1/K"\n'
        '[boundaries.outside]\nkind = "fixed"\ntemperature = "37 degC"\npotential = "0 V"\n'
        '[heating]\nkind = "rfa"\nvoltage = "20 V"\n'
        'electrode = { centre = ["0 mm", "0 mm", "0 mm"], radius = "1.5 mm" }\n[bioheat]\nduration = "1 s"\n'
        '[probes.r05]\nposition = ["3 mm", "4 mm", "0 mm"]\nfields = ["absorbed_power", "potential"]\n'
        '[probes.r10]\nposition = ["6 mm", "0 mm", "8 mm"]\nfields = ["absorbed_power", "potential"]\n',
    )
    exact = theory.sphere_resistance(0.33, 1.5 * MM, 50 * MM)
    assert found.value("heating.initial_impedance") == pytest.approx(exact, rel=0.01)
    for name, r in (("r05", 5 * MM), ("r10", 10 * MM)):
        density = theory.sphere_joule(0.33, 20.0, 1.5 * MM, 50 * MM, r)
        assert found.value(f"probe.{name}.absorbed_power") == pytest.approx(density, rel=0.03)


def test_rf03_conductivity_that_rises(tmp_path: Path) -> None:
    """Both electrodes at 37 degC: k ln(1 + b T) / (b sigma) = phi (V - phi) / 2, so that the resistance falls to V over
    the integral of exp(b sigma phi (V - phi) / 2k). A conductance that is kept until the
    conductivity has changed by 2 % would leave it 1 % too high."""
    shell(tmp_path, 2 * MM, 12 * MM)
    sigma, slope, voltage, k = 0.27, 0.015, 15.0, 0.5
    light = TISSUE.replace("3600 J", "36 J").replace("6.4e-3", "0")
    found = run(
        tmp_path,
        f'[tissues.tissue]\n{light}electrical_conductivity = "{sigma} S/m"\n'
        f'electrical_conductivity_slope = "{slope} 1/K"\n'
        '[boundaries.ball]\nkind = "fixed"\ntemperature = "37 degC"\npotential = "1 V"\n'
        '[boundaries.outside]\nkind = "fixed"\ntemperature = "37 degC"\npotential = "0 V"\n'
        f'[heating]\nkind = "rfa"\nvoltage = "{voltage} V"\n[bioheat]\nduration = "8 s"\n',
    )
    phi = np.linspace(0.0, voltage, 4001)
    falls = voltage / np.trapezoid(np.exp(slope * sigma * phi * (voltage - phi) / (2 * k)), phi)
    assert found.history["impedance"][-1] / found.value("heating.initial_impedance") == pytest.approx(falls, rel=2e-3)
    hottest = (np.exp(slope * sigma * voltage**2 / (8 * k)) - 1.0) / slope
    assert found.value("peak_temperature") - 37.0 == pytest.approx(hottest, rel=0.01)
    assert abs(found.value("ledger.energy_error")) < 1e-11


def test_rf05_no_blood_in_an_electrode(tmp_path: Path) -> None:
    """An insulated ball electrode in perfused tissue, at rest, on cells of a quarter of its radius. With blood flowing
    inside it tissue was 8 % too cold at its wall and 3 % (of the rise there) half a radius away, on any grid."""
    radius, outer, sigma, k, blood, voltage = 2 * MM, 24 * MM, 0.28, 0.47, 0.008, 14.0
    joule = sigma * (voltage / (1 / radius - 1 / outer)) ** 2  # times r^-4, W/m3

    def slopes(r: Array, y: Array) -> Array:
        return np.array([y[1], (blood * 4.18e6 * y[0] - joule / r**4) / k - 2 * y[1] / r])

    r = np.geomspace(radius, outer, 400)
    exact = solve_bvp(slopes, lambda a, b: np.array([a[1], b[0]]), r, np.zeros((2, 400)), tol=1e-4, max_nodes=100_000)
    assert exact.success
    wall = exact.sol(radius)[0]
    points, triangles = half.round_disc(graded(0.0, 8 * MM, outer, 0.5 * MM, 1.2))
    half.write(tmp_path / "half.msh", points, triangles, {"tissue": everywhere}, {"outside": beyond(23.9 * MM)})
    warm = TISSUE.replace("0.5 W", f"{k} W").replace("6.4e-3", f"{blood}").replace("3600 J", "36 J")
    found = run(
        tmp_path,
        f'[tissues.tissue]\n{warm}electrical_conductivity = "{sigma} S/m"\nelectrical_conductivity_slope = "0 1/K"\n'
        '[boundaries.outside]\nkind = "fixed"\ntemperature = "37 degC"\npotential = "0 V"\n'
        f'[heating]\nkind = "rfa"\nvoltage = "{voltage} V"\n'
        'electrode = { centre = ["0 mm", "0 mm", "0 mm"], radius = "2 mm" }\n[bioheat]\nduration = "30 s"\n'
        + probes(r3=(3, 0, 0), r5=(0, 3, 4)),
    )
    assert found.value("peak_temperature") - 37 == pytest.approx(wall, rel=0.02)
    for name, at in (("r3", 3 * MM), ("r5", 5 * MM)):
        assert rise(found, name) == pytest.approx(exact.sol(at)[0], abs=0.008 * wall)
    assert found.value("ledger.energy_error") < 1e-11


def test_inf01_port_pressure(tmp_path: Path) -> None:
    points, triangles = half.round_disc(graded(0.0, 5 * MM, 40 * MM, 0.5 * MM, 1.2))
    half.write(tmp_path / "half.msh", points, triangles, {"tissue": everywhere}, {"outside": beyond(39.9 * MM)})
    text = (CATALOGUE / "inf01.toml").read_text()
    text = text[text.index("[particles]") :]
    found = run(
        tmp_path,
        f'[tissues.tissue]\n{TISSUE}porosity = 0.2\nhydraulic_conductivity = "1e-12 m^2/Pa/s"\n'
        f'[boundaries.outside]\nkind = "fixed"\ntemperature = "37 degC"\npressure = "0 Pa"\n{text}',
    )
    flow = 5e-9 / 60.0
    assert found.value("delivery.port_pressure") == pytest.approx(
        theory.port_pressure(flow, 1e-12, 0.2 * MM, 40 * MM), rel=0.01
    )
    assert found.value("probe.r04.pressure") == pytest.approx(
        theory.port_pressure(flow, 1e-12, 4 * MM, 40 * MM), rel=0.02
    )
    assert abs(found.value("ledger.mass_error")) < 1e-9


def test_lgt01_point_source(tmp_path: Path) -> None:
    """Fluence a few free paths from the tip, on cells of 0.5 mm against 1/mu_eff = 5.7 mm: 2 %."""
    points, triangles = half.round_disc(graded(0.0, 12 * MM, 60 * MM, 0.5 * MM, 1.15))
    half.write(tmp_path / "half.msh", points, triangles, {"tissue": everywhere}, {"outside": beyond(59.9 * MM)})
    optics = 'optics = [{ wavelength = "808 nm", absorption = "0.1 1/cm", reduced_scattering = "10 1/cm" }]\n'
    text = (CATALOGUE / "lgt01.toml").read_text()
    found = run(tmp_path, f"[tissues.tissue]\n{TISSUE}{optics}{text[text.index('[heating]') :]}")
    for probe, r in (("r10", 10 * MM), ("r20", 20 * MM)):
        assert found.value(f"probe.{probe}.fluence") == pytest.approx(
            theory.point_fluence(10.0, 1000.0, 1.0, r), rel=0.02
        )
    assert found.value("light.balance_error") == pytest.approx(0.0, abs=1e-9)


# --------------------------------------------------------------------------------------------------- bad input

SIDEWAYS: list[tuple[str, str]] = [
    (
        '[heating]\nkind = "rfa"\nvoltage = "20 V"\nelectrode = { entry = ["3 mm", "0 mm", "9 mm"], '
        'tip = ["3 mm", "0 mm", "2 mm"], radius = "0.5 mm", active_length = "4 mm" }\n',
        r"heating\.electrode\.tip: electrode does not lie along the axis",
    ),
    (
        '[heating]\nkind = "prescribed"\nsources = [{ shape = "gaussian", centre = ["2 mm", "0 mm", "5 mm"], '
        'sigma = "3 mm", peak = "1e5 W/m^3" }]\n',
        r"heating\.sources\[0\]: it is not round about the axis",
    ),
    (
        '[heating]\nkind = "prescribed"\nsources = [{ shape = "box", centre = ["0 mm", "0 mm", "5 mm"], '
        'size = ["3 mm", "3 mm", "3 mm"], density = "1e5 W/m^3" }]\n',
        r"heating\.sources\[0\]: it is not round about the axis",
    ),
    ('[boundaries.axis]\nkind = "fixed"\ntemperature = "37 degC"\n', r"boundaries\.axis: names no boundary"),
]


@pytest.mark.parametrize(("text", "message"), SIDEWAYS)
def test_what_is_not_round_is_refused(tmp_path: Path, text: str, message: str) -> None:
    points, triangles = half.rectangle(np.linspace(0, 12, 13) * MM, np.linspace(0, 12, 13) * MM)
    boundaries: dict[str, Callable[[Array, Array], Any]] = {"axis": lambda r, z: r < 1e-9}
    half.write(tmp_path / "half.msh", points, triangles, {"tissue": everywhere}, boundaries)
    tissue = f'[tissues.tissue]\n{TISSUE}electrical_conductivity = "0.33 S/m"\n'
    with pytest.raises(CaseError, match=message):
        run(tmp_path, tissue + '[bioheat]\nduration = "1 s"\n' + text)
