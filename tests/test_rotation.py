"""Free particles in strong fields: the rotation of fixed moments, against limits and against a march in time."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from thermal.physics.magnetism import langevin_argument, relaxation_times, susceptibility, volumetric_power
from thermal.physics.particles import AnyParticle, IronOxide
from thermal.physics.rotation import turning_loss
from thermal.units import Array

MAGNETISATION = 446e3
ANY: TypeAdapter[object] = TypeAdapter(AnyParticle)
FREE = {
    "kind": "iron_oxide",
    "core_diameter": "25 nm",
    "anisotropy": "20 kJ/m^3",
    "shell_thickness": "5 nm",
    "viscosity": "1 mPa*s",
    "immobilised": False,
}


def loss_at(xi: float, rounds: float, frequency: float = 1e5) -> float:
    """Loss of 20 nm cores in W/m3 at a Langevin argument and a product of angular frequency and Brownian time."""
    field = xi / float(langevin_argument(20e-9, MAGNETISATION, 1.0, 37.0))
    time = rounds / (2.0 * np.pi * frequency)
    return float(turning_loss(np.array([xi]), time, np.array([field]), frequency, MAGNETISATION)[0])


def marched(xi: float, rounds: float, moments: int, steps: int = 600, cycles: int = 6) -> float:
    """Part of the mean cosine that goes as sin(w t): the Fokker-Planck equation in time, by explicit steps."""
    order = np.arange(1, moments + 1)

    def change(phase: float, a: Array) -> Array:
        below, above = np.append(1.0, a[:-1]), np.append(a[1:], 0.0)
        pull = xi * np.cos(phase) * (below - above) / (2 * order + 1)
        return np.asarray(order * (order + 1) / (2.0 * rounds) * (pull - a))

    a, step, late = np.zeros(moments), 2.0 * np.pi / steps, 0.0
    for number in range(cycles * steps):
        phase = number * step
        if number >= (cycles - 1) * steps:
            late += 2.0 / steps * a[0] * np.sin(phase)
        k1 = change(phase, a)
        k2 = change(phase + 0.5 * step, a + 0.5 * step * k1)
        k3 = change(phase + 0.5 * step, a + 0.5 * step * k2)
        k4 = change(phase + step, a + step * k3)
        a = a + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return late


@pytest.mark.parametrize("rounds", [0.1, 1.0, 10.0])
def test_weak_fields_are_linear_response(rounds: float) -> None:
    """xi = 0.02: saturation is of the order of xi^2 / 15 = 3e-5."""
    field = 0.02 / float(langevin_argument(20e-9, MAGNETISATION, 1.0, 37.0))
    chi = susceptibility(20e-9, MAGNETISATION, 1.0, 1e-9, 1e5, 37.0, rounds / (2.0 * np.pi * 1e5))
    assert loss_at(0.02, rounds) == pytest.approx(float(volumetric_power(chi.loss, field, 1e5)), rel=1e-4)


@pytest.mark.parametrize(("xi", "rounds"), [(2.0, 1.0), (6.0, 3.0), (8.0, 1.5)])
def test_strong_fields_against_a_march_in_time(xi: float, rounds: float) -> None:
    """The same equation by Runge-Kutta; a_l beyond l = 14 is below 1e-6 at these fields, transients after five cycles
    below exp(-2 pi 5 / rounds) = 3e-5."""
    field = xi / float(langevin_argument(20e-9, MAGNETISATION, 1.0, 37.0))
    expected = np.pi * 4e-7 * np.pi * 1e5 * MAGNETISATION * field * marched(xi, rounds, 14)
    assert loss_at(xi, rounds) == pytest.approx(expected, rel=1e-4)


def test_slow_strong_fields_saturate() -> None:
    """Moments that follow a slow field lose in proportion to the friction of turning over, and less and less of what
    linear response says; fast fields leave the friction of a moment at rest, whatever their strength."""
    slow = [loss_at(xi, 0.05) / xi**2 for xi in (0.1, 3.0, 30.0)]
    assert slow[0] > 1.5 * slow[1] > 3.0 * slow[2]
    fast = [loss_at(xi, 300.0) / xi**2 for xi in (0.1, 3.0, 30.0)]
    assert fast == pytest.approx([fast[0]] * 3, rel=1e-2)


def test_a_batch_of_free_particles() -> None:
    """Per gram of iron: one size as it stands, a spread as its mean by volume, in weak fields linear response."""
    one = ANY.validate_python({**FREE, "response": "turning"})
    assert isinstance(one, IronOxide)
    field = np.array([0.0, 1e3, 2e4])
    xi = langevin_argument(25e-9, MAGNETISATION, field[1:], 37.0)
    brown = float(relaxation_times(25e-9, 20e3, 37.0, 1e-9, 1e-3, 5e-9).brown)
    expected = turning_loss(xi, brown, field[1:], 1e5, MAGNETISATION) / 5180 / 0.7236
    assert one.specific_absorption_rate(field, 1e5) == pytest.approx([0.0, *expected], rel=1e-12)
    spread = one.model_copy(update={"diameter_sigma": 0.2})
    linear = spread.model_copy(update={"response": "linear"})
    weak = np.array([20.0])
    assert spread.specific_absorption_rate(weak, 1e5) == pytest.approx(
        linear.specific_absorption_rate(weak, 1e5), rel=0.02
    )  # small cores of the batch relax by Neel as well
    many = np.linspace(1e3, 2e4, 60)  # read between 24 fields: a power law, curved by a tenth over their range
    assert one.specific_absorption_rate(many, 1e5)[30] == pytest.approx(
        one.specific_absorption_rate(many[30:31], 1e5)[0], rel=1e-3
    )


def test_doubts_about_turning() -> None:
    turning = ANY.validate_python({**FREE, "response": "turning"})
    assert isinstance(turning, IronOxide)
    assert not turning.doubts(2e4, 1e5)
    assert "solved up to xi = 60" in turning.doubts(1e5, 1e5)[0]
    small = turning.model_copy(update={"core_diameter": 10e-9})
    assert "takes them for fixed" in small.doubts(1e3, 1e5)[0]
    assert '"turning"' in turning.model_copy(update={"response": "linear"}).doubts(2e4, 1e5)[0]
    with pytest.raises(ValidationError, match="immobilised = false"):
        ANY.validate_python({**FREE, "response": "turning", "immobilised": True})
