"""Formulas that no larger test leans on closely enough to notice when they are wrong (``mutation.py`` found them)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogue_runs import MM
from scenes import cube, nothing_held
from scipy.integrate import quad

from thermal import load_case, simulate
from thermal.physics.bioheat import Bioheat
from thermal.physics.damage import Arrhenius, Chemical, Cryo, Repeated, arrhenius_rate
from thermal.physics.far_field import far_nodes, held_or_far
from thermal.physics.heating.schedule import ramp_breaks, ramp_events
from thermal.physics.light.sp3 import outflow
from thermal.physics.optics import depolarisation, gans_rod, gold_index, gold_permittivity
from thermal.physics.scene import Drive, Held
from thermal.units import GAS_CONSTANT, Array, Si

CARRIERS = Path(__file__).parent.parent / "cases" / "carriers"


def test_electrons_that_hit_the_surface_of_gold() -> None:
    """Haiss 2007, by hand at 800 nm: vF = 1.4e6 m/s over 42 nm, and over a chord of 10 nm besides."""
    omega = 2.0 * np.pi * 299_792_458.0 / 800e-9
    bulk = 1.4e6 / 42e-9
    plasma = 9.0 / 6.582119569e-16  # 1/s, of 9 eV
    small = bulk + 0.33 * 1.4e6 / 10e-9
    added = plasma**2 / (omega**2 + 1j * omega * bulk) - plasma**2 / (omega**2 + 1j * omega * small)
    found = gold_permittivity(800e-9, 0.33, 10e-9) - gold_index(800e-9) ** 2
    assert complex(found) == pytest.approx(complex(added), rel=1e-9)
    assert found.imag > 0.5  # it broadens the resonance
    assert complex(gold_permittivity(800e-9)) == complex(gold_index(800e-9) ** 2)


@pytest.mark.parametrize("aspect", [1.0 + 1e-12, 1.5, 4.1])
def test_a_rod_by_its_integrals(aspect: float) -> None:
    """Depolarisation a b^2 / 2 int ds / ((s + a^2)^(3/2) (s + b^2)), the chord 4 V / S with the surface by quadrature,
    and the polarisability of Gans from both; to the error of the quadrature."""
    b, wavelength, index = 5e-9, 780e-9, 1.33
    a = aspect * b

    def thinned(s: float) -> float:  # in units of b^2
        return float((s + aspect**2) ** -1.5 / (s + 1.0))

    along = 0.5 * aspect * quad(thinned, 0.0, np.inf, epsrel=1e-11)[0]
    assert float(depolarisation(aspect)) == pytest.approx(along, rel=1e-8)

    def ring(angle: float) -> float:
        return float(2.0 * np.pi * b * np.sin(angle) * np.hypot(a * np.sin(angle), b * np.cos(angle)))

    volume = 4.0 / 3.0 * np.pi * a * b**2
    chord = 4.0 * volume / quad(ring, 0.0, np.pi, epsrel=1e-11)[0]
    gold, medium = complex(gold_permittivity(wavelength, 0.8, chord)), index**2
    alpha = [volume * (gold - medium) / (medium + share * (gold - medium)) for share in (along, (1.0 - along) / 2.0)]
    wave = 2.0 * np.pi * index / wavelength
    absorption, scattering = gans_rod(2.0 * a, 2.0 * b, wavelength, index, 0.8)
    # square metres are small numbers: without abs=0 anything below 1e-12 would do
    assert absorption == pytest.approx(wave / 3.0 * (alpha[0] + 2.0 * alpha[1]).imag, rel=1e-6, abs=0.0)
    powers = abs(alpha[0]) ** 2 + 2.0 * abs(alpha[1]) ** 2
    assert scattering == pytest.approx(wave**4 / (18.0 * np.pi) * powers, rel=1e-6, abs=0.0)


def test_depolarisation_of_what_is_hardly_a_rod() -> None:
    """1/3 - 2/15 e^2 where the closed form loses its digits; the next term is of order e^4."""
    aspect = np.array([1.0, 1.0 + 1e-7, 1.0 + 4e-7])
    squared = 1.0 - 1.0 / aspect**2
    assert (1.0 / 3.0 - depolarisation(aspect))[1:] / squared[1:] == pytest.approx(2.0 / 15.0, rel=1e-5)


@pytest.mark.parametrize("index", [1.0, 1.37, 1.5])
def test_light_that_leaves_by_marshaks_conditions(index: float) -> None:
    """The moments of the radiance with P1 and P3 over the half-range, each by adaptive quadrature."""
    legendre: list[Any] = [
        lambda m: 1.0, lambda m: m, lambda m: 1.5 * m**2 - 0.5, lambda m: 2.5 * m**3 - 1.5 * m
    ]  # fmt: skip

    def reflectance(m: float) -> float:
        sine = index * np.sqrt(1.0 - m * m)
        if sine >= 1.0:
            return 1.0
        inside, outside = np.arccos(m), np.arcsin(sine)
        if index == 1.0:
            return 0.0
        if inside < 1e-6:
            return float(((index - 1.0) / (index + 1.0)) ** 2)
        across = np.sin(inside - outside) / np.sin(inside + outside)
        along = np.tan(inside - outside) / np.tan(inside + outside)
        return float(0.5 * (across**2 + along**2))

    critical = np.sqrt(1.0 - 1.0 / index**2)
    p, q = 1.7, 0.4
    flows = outflow(index).rows @ np.array([p, q])
    phi = [p - 2.0 / 3.0 * q, flows[0], q / 3.0, flows[1]]

    def radiance(m: float) -> float:
        return sum((n + 0.5) * phi[n] * legendre[n](m) for n in range(4))

    def missing(odd: int, low: float, high: float) -> float:
        def moment(m: float) -> float:
            return float(legendre[odd](m) * (radiance(-m) - reflectance(m) * radiance(m)))

        return float(quad(moment, low, high, epsrel=1e-9)[0])

    for odd in (1, 3):
        assert missing(odd, 0.0, critical) + missing(odd, critical, 1.0) == pytest.approx(0.0, abs=1e-7)


def test_far_away_are_the_faces_of_the_window_and_no_other_border() -> None:
    hole = cube(6 * MM, 1 * MM, solid=lambda p: (np.linalg.norm(p, axis=1) > 2 * MM).astype(float))
    outer = np.abs(hole.points).max(axis=1) > 6 * MM - 1e-9
    assert (hole.areas["surface"] > 0).sum() > 0
    np.testing.assert_array_equal(far_nodes(hole), outer)
    np.testing.assert_array_equal(held_or_far(hole, nothing_held(hole)).mask, outer)
    some = Held(hole.points[:, 0] > 5 * MM, np.ones(hole.volume.shape))
    assert held_or_far(hole, some) is some


def test_who_survives_an_agent() -> None:
    """Everyone where it did not last, nobody where it did, whatever its surplus."""
    spec = Chemical.model_validate({"hold": "60 s", "lethal_concentration": "50 mg/ml"})
    law = spec.bind(np.array([49.0, 50.0, 200.0, 200.0]))
    assert law.survival(np.array([60.0, 60.0, 60.0, 59.0])).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert law.shown(np.array([60.0, 60.0, 60.0, 59.0])).tolist() == [49.0, 50.0, 200.0, 0.0]


def test_how_far_an_agent_is_from_killing() -> None:
    """ln of what lasted over what is lethal, within a factor of 1000, after half of it was washed out."""
    spec = Chemical.model_validate({"hold": "60 s", "lethal_concentration": "50 mg/ml"})
    done = np.full(4, 60.0)
    found = spec.bind(np.array([0.0, 25.0, 200.0, 1e6])).measure(done, done, 60.0)
    assert found == pytest.approx(np.log([1e-3, 0.5, 4.0, 1e3]), rel=1e-12)
    fading = spec.model_copy(update={"washout": np.log(2.0) / 60.0})
    assert fading.bind(np.full(4, 100.0)).measure(done, done, 60.0) == pytest.approx(0.0, abs=1e-12)
    assert spec.level == 0.0


def test_how_far_heat_is_from_killing() -> None:
    """ln Omega; where nothing was gathered what its highest temperature would have; never beyond the onset's lead."""
    law = Arrhenius()
    steepness = law.constants[1] / (GAS_CONSTANT * 313.15**2)
    omega, hottest = np.array([2.0, 0.0, 0.0, 1e9]), np.array([60.0, 39.9, 20.0, 200.0])
    rate = float(arrhenius_rate(39.9, *law.constants))
    found = law.measure(omega, hottest, 200.0)
    assert found == pytest.approx([np.log(2.0), np.log(200.0 * rate), np.log(1e-3), np.log(1e3)], rel=1e-12)
    assert 1e-3 < 200.0 * rate < 0.9
    assert law.measure(omega, hottest, 1e5)[1] == pytest.approx(-0.1 * steepness, rel=1e-9)
    strict = Arrhenius.model_validate({"threshold": 4.6})
    assert strict.level == pytest.approx(np.log(4.6), rel=1e-12)


def test_how_far_repeated_freezes_are_from_killing() -> None:
    """The milder of the freezes that count, and 0.05 K for each second that lacks; or the one deep freeze."""
    law = Cryo(repeated=Repeated(freezes=2, hold=Si(180.0)))

    def row(lowest: float, held: float, *freezes: float) -> Array:
        return law.measure(np.array([[lowest, held, *freezes]]), np.zeros(1), 0.0)

    assert row(-30.0, 180.0, 1e3, -30.0, -25.0) == pytest.approx(40.0 + 5.0)
    assert row(-30.0, 100.0, 1e3, -30.0, -25.0) == pytest.approx(40.0 - 4.0)
    assert row(-30.0, 160.0, -18.0, -30.0, 1e3) == pytest.approx(40.0 - 2.0)
    assert row(-39.0, 0.0, 1e3, -39.0, 1e3) == pytest.approx(39.0)


def test_where_a_schedule_bends() -> None:
    """A step begins afresh where the slope changes by more than half of the steepest, and at jumps; before the first
    knot and after the last the value is steady."""
    knots = ((0.0, 37.0), (10.0, 37.0), (20.0, 47.0), (30.0, 57.0), (40.0, 57.1), (40.0, 60.0), (50.0, 60.0))
    assert ramp_events(((0.0, 37.0), (0.05, 10.0), (5.0, -100.0), (5.0, -90.0), (9.0, 0.0)), 9.0) == (0.05, 5.0)
    assert ramp_breaks(knots, 60.0) == ((10.0, 30.0, 40.0), (20.0, 50.0))
    assert ramp_breaks(knots, 40.0) == ((10.0, 30.0), (20.0,))
    assert ramp_breaks(((1.0, 37.0), (10.0, 37.01)), 20.0) == ((1.0, 10.0), ())
    assert ramp_breaks(((0.0, 37.0), (10.0, 37.01), (20.0, 37.01)), 30.0) == ((10.0,), (20.0,))


def test_what_acts_on_tissue_that_warms_itself_in_part() -> None:
    nothing: Any = None

    def bioheat(metabolic: list[float]) -> Bioheat:
        parts = (nothing, nothing, nothing, nothing, nothing, np.array([1.0, 2.0]), 37.0, np.array(metabolic), nothing)
        return Bioheat(*parts)

    drive, free = Drive(np.array([5.0, 7.0])), np.ones(2, dtype=bool)
    warm, idle = bioheat([0.0, 3.0]), bioheat([0.0, 0.0])
    action = warm.action(drive, np.array([0.5, 0.0]), free)
    assert action.power.tolist() == [5.0, 10.0]
    assert action.blood.tolist() == [0.5, 0.0]
    assert warm.action(drive, None, free).power is action.power
    assert idle.action(drive, None, free).power is drive.power
    assert idle.action(drive, None, free).blood.tolist() == [1.0, 2.0]


def test_what_a_tumour_keeps_of_a_drug(tmp_path: Path) -> None:
    """The share that was released in the tumour, from the fields; coarse, for it is a matter of sums alone."""
    sets = ("anatomy.voxel_size=6 mm", "output.pictures=false", "output.series=false", "bioheat.duration=2 min")
    run = simulate(load_case(CARRIERS / "liposome_thermosensitive.toml", sets, "phantom"), tmp_path / "run")
    released = run.value("drug.tumour_released_fraction")
    assert 0.05 < released < 0.999
    assert run.value("drug.tumour_taken_up") > 0.0
    assert run.value("drug.tumour_taken_up") + run.value("drug.healthy_taken_up") == pytest.approx(
        run.value("drug.taken_up"), rel=1e-9
    )
