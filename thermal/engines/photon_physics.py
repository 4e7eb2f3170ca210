"""What happens to a packet of photons, whatever it flies through: random numbers, scattering, refraction, absorption.

Each packet draws from a stream of its own, which its number and the seed fix: xoroshiro128+ (D. Blackman, S. Vigna,
ACM Trans. Math. Softw. 47 (2021) 36, doi:10.1145/3460772) seeded by splitmix64. Weights fade along the way (continuous
absorption), directions change by Henyey-Greenstein scattering. The scheme is that of L. Wang, S. L. Jacques, L. Zheng,
Comput. Methods Programs Biomed. 47 (1995) 131, doi:10.1016/0169-2607(95)01640-F. Everything is in scalars, which stay
in registers.
"""

from __future__ import annotations

import math

import numpy as np

from thermal.engines.compiled import compiled_part

FAINT = 1e-2
"""Share of a packet's first weight below which it plays roulette."""
SURVIVORS = 0.1
"""Share of the packets that survive the roulette, with weights as much larger."""
TRAPPED = 100_000
"""Steps after which a packet plays roulette whatever its weight: clear glass would hold it for ever."""

_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S11, _S27, _S30, _S31, _S32 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_S24, _S40, _S16, _S37 = np.uint64(24), np.uint64(40), np.uint64(16), np.uint64(37)
_LOWER = np.uint64(0xFFFFFFFF)
_UNIT = 1.0 / 9007199254740992.0
_HALF_UNIT = 1.0 / 2147483648.0


@compiled_part
def mixed(z: np.uint64) -> np.uint64:
    """Splitmix64's output of a state."""
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@compiled_part
def drawn(a: np.uint64, b: np.uint64) -> tuple[float, np.uint64, np.uint64]:
    """A number inside (0, 1) and the stream's next state."""
    number = (float((a + b) >> _S11) + 0.5) * _UNIT
    b ^= a
    return number, ((a << _S24) | (a >> _S40)) ^ b ^ (b << _S16), (b << _S37) | (b >> _S27)


@compiled_part
def on_disc(a: np.uint64, b: np.uint64) -> tuple[float, float, float, np.uint64, np.uint64]:
    """A point evenly spread in the unit disc, the square of its distance (never zero), and the stream's next state."""
    while True:
        both = a + b
        b ^= a
        a, b = ((a << _S24) | (a >> _S40)) ^ b ^ (b << _S16), (b << _S37) | (b >> _S27)
        across = (float(both >> _S32) + 0.5) * _HALF_UNIT - 1.0
        aside = (float(both & _LOWER) + 0.5) * _HALF_UNIT - 1.0
        squared = across * across + aside * aside
        if squared <= 1.0:
            return across, aside, squared, a, b


@compiled_part
def reflectance(inside: float, outside: float, cosine: float) -> tuple[float, float]:
    """Fresnel's reflectance of unpolarised light that meets ``outside`` at this cosine, and the cosine beyond."""
    ratio = inside / outside
    sine = ratio * ratio * (1.0 - cosine * cosine)
    if sine >= 1.0:
        return 1.0, 0.0
    beyond = math.sqrt(1.0 - sine)
    across = (inside * cosine - outside * beyond) / (inside * cosine + outside * beyond)
    along = (inside * beyond - outside * cosine) / (inside * beyond + outside * cosine)
    return 0.5 * (across * across + along * along), beyond


@compiled_part
def path(depth: float, step: float) -> float:
    """Integral of exp(-mu s) over the step, m, for mu * step = ``depth``."""
    if depth < 1e-2:
        return step * (1.0 - 0.5 * depth * (1.0 - depth * (1.0 / 3.0) * (1.0 - 0.25 * depth)))
    return step * (1.0 - math.exp(-depth)) / depth


@compiled_part
def scattered(
    ux: float, uy: float, uz: float, g: float, a: np.uint64, b: np.uint64
) -> tuple[float, float, float, np.uint64, np.uint64]:
    """A direction after scattering with the mean cosine ``g``, and the stream's next state.

    The axes across the old direction are those of T. Duff et al., J. Comput. Graph. Tech. 6 (2017) 1.
    """
    number, a, b = drawn(a, b)
    cosine = 2.0 * number - 1.0
    if g != 0.0:
        part = (1.0 - g * g) / (1.0 + g * cosine)
        cosine = min(max((1.0 + g * g - part * part) / (2.0 * g), -1.0), 1.0)
    across, aside, squared, a, b = on_disc(a, b)
    # twice the point's angle: evenly spread too, and without a root
    scale = math.sqrt(1.0 - cosine * cosine) / squared
    side, lift = (across * across - aside * aside) * scale, 2.0 * across * aside * scale
    sign = math.copysign(1.0, uz)
    slope = -1.0 / (sign + uz)
    skew = ux * uy * slope
    vx = side * (1.0 + sign * ux * ux * slope) + lift * skew + cosine * ux
    vy = side * sign * skew + lift * (sign + uy * uy * slope) + cosine * uy
    vz = cosine * uz - side * sign * ux - lift * uy
    # one step towards unit length: round-off does not add up
    norm = 1.5 - 0.5 * (vx * vx + vy * vy + vz * vz)
    return vx * norm, vy * norm, vz * norm, a, b
