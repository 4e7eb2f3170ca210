"""Magnetic loss beyond linear response: particles bound to tissue as thermally activated two-level systems.

The moment of a bound single-domain particle lies along one sense or the other of its easy axis. A field H at the angle
theta to the axis raises one barrier and lowers the other, ``E = K V (1 -+ h cos theta)^2`` with ``h = H / H_K`` and
``H_K = 2 K / (mu0 M_d)``, and the populations follow the rates over them. The loss is the area of the loop of
magnetisation over one period, averaged over random axes: the two-level approximation of the Stoner-Wohlfarth model,
J. Carrey, B. Mehdaoui, M. Respaud, J. Appl. Phys. 109 (2011) 083921, doi:10.1063/1.3551582. In weak fields it is linear
response with Neel relaxation, in strong ones it saturates. Lengths in m, fields in A/m (peak), temperatures in degC.
"""

from __future__ import annotations

import numpy as np

from thermal.physics.magnetism import relaxation_times
from thermal.units import BOLTZMANN, VACUUM_PERMEABILITY, ZERO_CELSIUS, Array

STEPS = 400
"""In half a period of the field."""
ANGLES = 12
"""Gauss-Legendre points in cos theta."""
FASTEST = 1e12
"""1/s, above which a moment simply follows."""


def loop_loss(
    diameter: float,
    amplitude: Array,
    frequency: float,
    temperature: float,
    magnetisation: float,
    anisotropy: float,
    attempt_time: float,
) -> Array:
    """Loss in W per m3 of bound particles, shape of ``amplitude`` (k,)."""
    thermal = BOLTZMANN * (temperature + ZERO_CELSIUS)
    volume = np.pi / 6.0 * diameter**3
    barrier = anisotropy * volume / thermal
    rest = 0.5 / relaxation_times(diameter, anisotropy, temperature, attempt_time).neel  # rate over either barrier
    cosines, weights = np.polynomial.legendre.leggauss(ANGLES)
    cosines, weights = 0.5 * (cosines + 1.0), 0.5 * weights
    switching = 2.0 * anisotropy / (VACUUM_PERMEABILITY * magnetisation)
    reach = amplitude[:, None] * cosines / switching
    step = 0.5 / frequency / STEPS

    def followed(start: Array) -> tuple[Array, Array]:
        """Reduced moment after half a period, from field up to field down, and the integral of it over the field."""
        moment, area = start, np.zeros_like(start)
        for number in range(STEPS):
            phase = np.pi * (number + 0.5) / STEPS
            h = reach * np.cos(phase)
            up = np.minimum(rest * np.exp(barrier * _lowered(h)), FASTEST)
            down = np.minimum(rest * np.exp(barrier * _lowered(-h)), FASTEST)
            rate = up + down
            level = (up - down) / rate
            fade = np.exp(-rate * step)
            mean = level + (moment - level) * -np.expm1(-rate * step) / (rate * step)
            moment = level + (moment - level) * fade
            area += mean * (np.cos(np.pi * (number + 1) / STEPS) - np.cos(np.pi * number / STEPS))
        return moment, area

    nothing = np.zeros_like(reach)
    end, _ = followed(nothing)
    slope = followed(nothing + 1.0)[0] - end  # the map over half a period is linear; its periodic state is odd
    start = -end / (1.0 + slope)
    _, area = followed(start)
    # the loop's area is -mu0 times the integral of M over H, of which half a period gives half
    work = -2.0 * VACUUM_PERMEABILITY * magnetisation * amplitude[:, None] * cosines * area
    return np.asarray(frequency * (work @ weights))


def _lowered(h: Array) -> Array:
    """1 - (1 - h)^2 of the barrier that h lowers, in parts of K V; no barrier is left beyond h = 1."""
    return 1.0 - np.maximum(1.0 - h, 0.0) ** 2
