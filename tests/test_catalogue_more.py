"""More analytic problems through case files: other geometries, schedules and starts than those of the catalogue.

As in ``test_catalogue.py``: the cases are in ``tests/catalogue``, a file goes in and a number comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import catalogue_reference as theory
import numpy as np
import pytest
from catalogue_reference import REFERENCE
from catalogue_runs import BODY, MM, closes, rise, rise_at
from conftest import RunCase
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erf, erfc, k0, k1

from thermal import library
from thermal.units import parse

# ------------------------------------------------------------------------------------------ layers


def layered_slab(
    layers: Sequence[tuple[float, float, float, float]], left: tuple[float, float], right: tuple[float, float]
) -> Callable[[float], float]:
    """Temperature over x of layers (thickness, k, w c, q) between two fluids (film, temperature), at rest.

    In each layer a particular solution and two free ones; temperature and flux are continuous.
    """

    def basis(index: int, x: float) -> tuple[np.ndarray, np.ndarray, float, float]:
        _, k, blood, q = layers[index]
        if blood == 0.0:
            return np.array([1.0, x]), np.array([0.0, 1.0]), -q * x**2 / (2 * k), -q * x / k
        m = np.sqrt(blood / k)
        free, slope = np.array([np.cosh(m * x), np.sinh(m * x)]), m * np.array([np.sinh(m * x), np.cosh(m * x)])
        return free, slope, BODY + q / blood, 0.0

    count = len(layers)
    matrix, known = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    free, slope, part, part_slope = basis(0, 0.0)
    matrix[0, :2] = left[0] * free - layers[0][1] * slope
    known[0] = left[0] * (left[1] - part) + layers[0][1] * part_slope
    for index in range(count - 1):
        rows = 2 * index + 1, 2 * index + 2
        for sign, layer, at in ((1.0, index, layers[index][0]), (-1.0, index + 1, 0.0)):
            free, slope, part, part_slope = basis(layer, at)
            matrix[rows[0], 2 * layer : 2 * layer + 2] = sign * free
            matrix[rows[1], 2 * layer : 2 * layer + 2] = sign * layers[layer][1] * slope
            known[rows[0]] -= sign * part
            known[rows[1]] -= sign * layers[layer][1] * part_slope
    free, slope, part, part_slope = basis(count - 1, layers[-1][0])
    matrix[-1, -2:] = right[0] * free + layers[-1][1] * slope
    known[-1] = right[0] * (right[1] - part) - layers[-1][1] * part_slope
    found = np.linalg.solve(matrix, known)

    def temperature(x: float) -> float:
        index = 0
        while index < count - 1 and x > layers[index][0]:
            x -= layers[index][0]
            index += 1
        free, _, part, _ = basis(index, x)
        return float(found[2 * index : 2 * index + 2] @ free + part)

    return temperature


def test_three_layers_between_two_fluids(run_case: RunCase) -> None:
    """Borders on nodes, so only the layer with blood errs: (m h)^2 / 12 = 1e-3 of some 10 K."""
    run = run_case("layers")
    exact = layered_slab(
        [(10 * MM, 0.2, 0.0, 0.0), (8 * MM, 0.6, 26752.0, 5e4), (12 * MM, 1.5, 0.0, 2e4)], (25.0, 20.0), (200.0, 5.0)
    )
    for name in ("x00", "x05", "x10", "x14", "x18", "x30"):
        assert run.value(f"probe.{name}.temperature") == pytest.approx(exact(float(name[1:]) * MM), abs=0.015)
    closes(run)


def test_warm_layer_with_metabolic_heat(run_case: RunCase) -> None:
    """Two steps of 13 K that spread, with their images in the wall; 0.1 % of the step."""
    run, t = run_case("warm_layer"), REFERENCE
    width, left = 2.0 * np.sqrt(t.diffusivity * 120.0), np.exp(-t.decay * 120.0)
    for name in ("x05", "x10", "x15"):
        x = float(name[1:]) * MM
        steps = [erf((20 * MM - s) / width) - erf((10 * MM - s) / width) for s in (x, -x)]
        expected = 6.5 * left * sum(steps) + 1e4 / t.blood * (1.0 - left)
        assert rise(run, name) == pytest.approx(expected, abs=0.013)


# --------------------------------------------------------------------------------------- schedules


def step_answer(t: theory.Tissue, x: float, time: float) -> float:
    """Rise at depth x, ``time`` s after the wall of a perfused half-space was warmed by one kelvin and held."""
    if time <= 0.0:
        return 0.0
    a, b, m = 2.0 * np.sqrt(t.diffusivity * time), np.sqrt(t.decay * time), t.wave
    return float(0.5 * (np.exp(-m * x) * erfc(x / a - b) + np.exp(m * x) * erfc(x / a + b)))


def test_wall_that_follows_a_course(run_case: RunCase) -> None:
    """Ramps and a jump; 0.03 K: two steps' errors, and (h / x)^2 of the kink at the wall."""
    run, t = run_case("ramp"), REFERENCE

    def ramp(x: float, time: float, start: float, end: float, rate: float) -> float:
        return rate * quad(lambda s: step_answer(t, x, time - s), start, min(end, time), epsabs=1e-9, limit=200)[0]

    for name in ("x02", "x05"):
        x = float(name[1:]) * MM
        for time in (60.0, 120.0, 180.0, 240.0):
            expected = ramp(x, time, 0.0, 60.0, 20.0 / 60.0)
            if time > 60.0:
                expected += 5.0 * step_answer(t, x, time - 60.0) + ramp(x, time, 60.0, 150.0, -20.0 / 90.0)
            assert rise_at(run, name, time) == pytest.approx(expected, abs=0.03)


def test_source_that_moves_and_pulses(run_case: RunCase) -> None:
    """0.02 K: the error of one step."""
    run = run_case("train")
    given = ((-6 * MM, ((10.0, 40.0),)), (0.0, ((40.0, 70.0),)), (6 * MM, ((70.0, 73.0), (80.0, 83.0), (90.0, 93.0))))
    for time in (40.0, 70.0, 100.0, 130.0):
        for name, x in (("first", -6 * MM), ("second", 0.0), ("third", 7 * MM)):
            expected = sum(
                theory.gaussian_source(REFERENCE, 2e6, 2 * MM, x - centre, max(time - end, 0.0), time - start, 1)
                for centre, pulses in given
                for start, end in pulses
                if time > start
            )
            assert rise_at(run, name, time) == pytest.approx(expected, abs=0.02)
    closes(run)


# ------------------------------------------------------------------------------- lines, tubes, balls


def test_line_source(run_case: RunCase) -> None:
    """0.6 % four cells from the line (h^2 / 24 of the curvature of a logarithm), 0.2 % farther out; of 1.6 K."""
    run, t = run_case("line_source"), REFERENCE
    for name, share in (("r02", 0.006), ("r05", 0.003), ("r10", 0.003)):
        expected = 5.0 / (2.0 * np.pi * t.conductivity) * k0(t.wave * float(name[1:]) * MM)
        assert rise(run, name) == pytest.approx(expected, rel=0, abs=share * 1.575)


def test_warm_tube(run_case: RunCase) -> None:
    """1 % of the rise at the wall: its stairs on 0.4 mm voxels are off by a tenth of one, and the film takes half."""
    run, t, radius = run_case("tube"), REFERENCE, 4 * MM
    m = t.wave
    scale = 200.0 * 23.0 / (200.0 * k0(m * radius) + t.conductivity * m * k1(m * radius))
    for name, r in (("r05", 4.8), ("r06", 4.0 * np.sqrt(2.0)), ("r10", 10.0)):
        assert rise(run, name) == pytest.approx(scale * k0(m * r * MM), abs=0.01 * scale * k0(m * radius))
    closes(run)


def test_ball_off_the_grid(run_case: RunCase) -> None:
    """A source smeared over a cell lacks h^2 / 12 of its curvature q / k: 0.2 K of 13 K with cells of 1 to 1.2 mm."""
    run = run_case("off_centre")
    for name in ("r00", "r06", "r09"):
        expected = theory.heated_ball_transient(REFERENCE, 1e6, 6 * MM, float(name[1:]) * MM, 120.0)
        assert rise(run, name) == pytest.approx(expected, abs=0.25)
    assert run.value("energy.source") == pytest.approx(1e6 * 4.0 / 3.0 * np.pi * (6 * MM) ** 3 * 120.0, rel=1e-9)


def test_magnetic_heating_of_a_ball(run_case: RunCase) -> None:
    """The source is PEN-03's to round-off, the temperature within 1 %."""
    run = run_case("hyperthermia")
    volume = np.pi / 6.0 * (10 * MM) ** 3  # an eighth
    assert run.value("heating.power") == pytest.approx(5e5 * volume, rel=2e-3)  # the ball's volume on the grid
    for name in ("r00", "r10"):
        expected = theory.heated_ball(REFERENCE, 5e5, 10 * MM, float(name[1:]) * MM)
        assert rise(run, name) == pytest.approx(expected, abs=0.01 * 12.56)


# --------------------------------------------------------------------------------- thawing and damage


def test_thawing_from_a_wall(run_case: RunCase) -> None:
    """The front moves voxel by voxel, as in the Stefan problems: 0.3 K."""
    run = run_case("thaw")
    k_wet, k_ice, c_wet, c_ice, latent, wall, melting, start = 0.5, 2.0, 3.6e6, 1.8e6, 2.5e8, 40.0, -1.0, -20.0
    a_wet, a_ice = k_wet / c_wet, k_ice / c_ice
    ratio = np.sqrt(a_wet / a_ice)

    def balance(s: float) -> float:
        warm = k_wet * (wall - melting) * np.exp(-(s**2)) / erf(s)
        cold = k_ice * (melting - start) * ratio * np.exp(-((s * ratio) ** 2)) / erfc(s * ratio)
        return float(warm - cold - s * latent * np.sqrt(np.pi) * a_wet)

    root = brentq(balance, 1e-4, 3.0)
    for name in ("x02", "x05", "x10", "x20"):
        x = float(name[1:]) * MM
        wet, ice = x / (2.0 * np.sqrt(a_wet * 600.0)), x / (2.0 * np.sqrt(a_ice * 600.0))
        thawed = wall - (wall - melting) * erf(wet) / erf(root)
        frozen = start + (melting - start) * erfc(ice) / erfc(root * ratio)
        assert run.value(f"probe.{name}.temperature") == pytest.approx(thawed if wet < root else frozen, abs=0.3)
    closes(run)


def test_dose_of_a_course(run_case: RunCase) -> None:
    """Linear courses are integrated within the steps: 1e-4."""
    run = run_case("dose")
    times = np.linspace(0.0, 260.0, 1_300_001)
    course = np.interp(times, [0.0, 100.0, 200.0, 260.0], [50.0, 50.0, 60.0, 38.0])
    constants = library.values("damage", "henriques_skin")
    factor = parse(constants["frequency_factor"], "1/s")
    energy = parse(constants["activation_energy"], "J/mol")
    rate = np.where(course >= 40.0, factor * np.exp(-energy / (8.314462618 * (course + 273.15))), 0.0)
    assert run.value("probe.centre.arrhenius") == pytest.approx(float(np.trapezoid(rate, times)), rel=1e-4)
    assert run.value("probe.centre.cem43") == pytest.approx(theory.cem43(times, course), rel=1e-4)
    assert run.value("probe.centre.highest_temperature") == pytest.approx(60.0, abs=1e-9)
