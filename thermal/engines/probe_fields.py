"""Fields around thin probes in an even medium: of the true probe, and of the kernels that stand for it on a grid.

Lengths are in reaches of the kernel unless units are given; ``length`` zero means a ball, whose potentials are those of
a unit flow; those of a line are of a unit flow per unit length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from thermal.units import Array

SHELLS = 600


def to_infinity(length: float, radius: float) -> float:
    """Resistance of the true probe to infinity for a uniform flow: mean potential on the wall of a finite line, or of
    a ball (length 0)."""
    if length == 0.0:
        return 1.0 / (4.0 * np.pi * radius)
    ratio = radius / length
    return float((np.arcsinh(1.0 / ratio) - np.hypot(1.0, ratio) + ratio) / (2.0 * np.pi * length))


@lru_cache(maxsize=256)
def self_energy(length: float) -> tuple[float, float]:
    """Self-energy of the smeared line of this length (0: a point) in units of the reach, and integral of its square.

    In wave space: the kernel's transform is ``Gamma(9/2) 2^(7/2) J_7/2(k) / k^(7/2)``; the mean of ``sin(kd)/(kd)``
    over all pairs of points of the line is ``2 (x Si(x) + cos x - 1) / x^2`` with x = k length.
    """
    from scipy.special import gamma, jv, sici

    step = 0.01
    wave = (np.arange(6000) + 0.5) * step
    square = (gamma(4.5) * 2.0**3.5 * jv(3.5, wave) / wave**3.5) ** 2
    if length > 0.0:
        x = wave * length
        square *= 2.0 * (x * sici(x)[0] + np.cos(x) - 1.0) / x**2
    scale = step / (2.0 * np.pi**2)
    return float(np.sum(square)) * scale, float(np.sum(square * wave**2)) * scale


def _radial(line: bool) -> tuple[Array, Array, Array]:
    """Shells of the unit reach: volume (per length for a line), kernel share, resistance from centre to next centre."""
    edges = np.linspace(0.0, 1.0, SHELLS + 1)
    centres = np.append(0.5 * (edges[1:] + edges[:-1]), 1.0)
    if line:
        inside = 1.0 - (1.0 - edges**2) ** 3.5
        return np.pi * np.diff(edges**2), np.diff(inside), np.diff(np.log(centres)) / (2.0 * np.pi)
    inside = (35.0 * edges**3 - 42.0 * edges**5 + 15.0 * edges**7) / 8.0
    return 4.0 / 3.0 * np.pi * np.diff(edges**3), np.diff(inside), -np.diff(1.0 / centres) / (4.0 * np.pi)


@lru_cache(maxsize=1024)
def wall(length: float, radius: float) -> float:
    """Potential of the true probe's wall above that of the rim of a kernel with the same far field."""
    _, share, resistance = _radial(length > 0.0)
    lacking = to_infinity(length, radius) - self_energy(length)[0]  # what the smeared source at prescribed flow lacks
    return (length or 1.0) * lacking + float(np.cumsum(share) ** 2 @ resistance)


def density(line: bool, distance: Array) -> Array:
    """The kernel at these distances."""
    inside = np.maximum(1.0 - distance**2, 0.0)
    return 3.5 / np.pi * inside**2.5 if line else 105.0 / (32.0 * np.pi) * inside**2


def above_rim(line: bool, distance: Array) -> Array:
    """Potential of the smeared probe at these distances above that of its rim; negative beyond it."""
    inside, beyond = np.maximum(1.0 - distance**2, 0.0), np.maximum(distance, 1.0)
    if not line:
        return np.asarray(_risen(inside) + 1.0 / beyond - 1.0) / (4.0 * np.pi)
    root = np.sqrt(inside)
    risen = root**3 / 3.0 + root**5 / 5.0 + root**7 / 7.0 + root - np.log1p(root)
    return np.asarray(risen - np.log(beyond)) / (2.0 * np.pi)


def of_point(squares: Array, reach: float) -> Array:
    """Potential, 1/m, at ``squares`` (m2) of distances from a unit flow smeared by the kernel of this ``reach`` (m)."""
    inside = np.maximum(1.0 - squares / reach**2, 0.0)
    return (1.0 / np.sqrt(np.maximum(squares, reach**2)) + _risen(inside) / reach) / (4.0 * np.pi)


def _risen(inside: Array) -> Array:
    """``integral of F(s)/s^2`` from x to 1, F being the share of a ball's kernel within s; ``inside`` is 1 - x^2."""
    left = 1.0 - inside
    return np.asarray((17.5 * inside - 10.5 * (1.0 - left**2) + 2.5 * (1.0 - left**3)) / 8.0)


@lru_cache(maxsize=1024)
def strength(length: float, radius: float, lattice: float) -> float:
    """Dimensionless strength of the contact that gives the far field of the true probe (lengths in reaches)."""
    from scipy.linalg import solveh_banded

    volume, share, resistance = _radial(length > 0.0)
    conductance = 1.0 / resistance
    wanted = wall(length, radius)

    def excess(logarithm: float) -> float:
        driver = share * np.exp(logarithm)
        bands = np.zeros((2, SHELLS))
        bands[1] = conductance + driver
        bands[1, 1:] += conductance[:-1]
        bands[0, 1:] = -conductance[:-1]
        flow = driver * (1.0 - solveh_banded(bands, driver))
        total = float(np.sum(flow))
        return 1.0 / total + lattice * float(np.sum(flow**2 / volume)) / total**2 - wanted

    return float(np.exp(_falling_root(excess, np.log(1e-6), np.log(1e6))))


def _falling_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function is zero, to round-off, by halving; SciPy's solvers take half a second to import.

    Raises ``ValueError`` where it is not, between ``low`` and ``high``.
    """
    if not function(low) > 0.0 > function(high):
        raise ValueError(f"no strength between exp({low:.3g}) and exp({high:.3g}) acts like the probe")
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if function(middle) > 0.0 else (low, middle)
    return high
