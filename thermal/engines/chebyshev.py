"""Steps of a linear equation that are exact in time: Chebyshev's series of the exponential.

Where ``F(Y_0 + d) = F(Y_0) + A d`` within a step of length h, the increment is ``h phi(h A) F(Y_0)`` with
``phi(z) = (e^z - 1) / z``. On the decay rates of ``-h A``, from 0 to r, a series in Chebyshev polynomials of
``1 + 2 h A / r`` converges faster than any power once it has more than about ``sqrt(r)`` terms (H. Tal-Ezer, SIAM J.
Numer. Anal. 23 (1986) 11-26): a step that is ten times as long costs three times as much, and its error in time is
whatever is asked for. The series is summed by Clenshaw's recurrence (Math. Tables Aids Comput. 9 (1955) 118-120), whose
terms have the form of stages.
"""

from __future__ import annotations

import numpy as np

from thermal.scheme import Scheme, Stage
from thermal.units import Array

IN_HAND = 1.05
"""By how much the decay rates may exceed their bound (what :func:`thermal.engines.legendre.stage_count` allows)."""
DIGITS = 1e-15
"""Smallest error of the series that can be asked for: round-off of its terms."""


def chebyshev(steps_of_decay: float, error: float) -> Scheme:
    """The scheme of a step of ``step * fastest decay rate`` with this ``error``, relative to ``step * largest rate``.

    The weights are scaled so that slow modes, and with them the balance of energy, are met to round-off.
    """
    reach = max(IN_HAND * steps_of_decay, 1e-3)
    weights = _series(reach)
    left = np.append(np.cumsum(np.abs(weights[::-1]))[::-1], 0.0)  # what is left out when a term and the later ones are
    last = max(1, int(np.argmax(left <= max(error, DIGITS))) - 1)
    weights = weights[: last + 1] / weights[: last + 1].sum()
    later = [_stage(2.0, 4.0 / reach, weight) for weight in weights[last - 1 : 0 : -1]]
    return Scheme(float(weights[last]), (*later, _stage(1.0, 2.0 / reach, weights[0])))


def _stage(mu: float, now: float, weight: float) -> Stage:
    return Stage(mu, -1.0, now, float(weight) - now)


def _series(reach: float) -> Array:
    """Chebyshev coefficients of phi on [-reach, 0], as many as have digits."""
    count = 32 + int(8.0 * np.sqrt(reach))
    z = 0.5 * reach * (np.cos(np.pi * (np.arange(count) + 0.5) / count) - 1.0)
    weights: Array = _cosines(np.expm1(z) / z) / count
    weights[0] *= 0.5
    return weights


def _cosines(u: Array) -> Array:
    """Discrete cosine transform ``2 sum_j u_j cos(pi k (j + 1/2) / n)`` of (n,) values, by one of Fourier's of the even
    ones and, backwards, the odd ones among them (J. Makhoul, IEEE Trans. Acoust. Speech Signal Process. 28 (1980)
    27-34): SciPy's would be the only thing that most runs load it for."""
    turned = np.fft.fft(np.concatenate([u[::2], u[1::2][::-1]]))
    return np.asarray(2.0 * (turned * np.exp(-0.5j * np.pi * np.arange(len(u)) / len(u))).real)
