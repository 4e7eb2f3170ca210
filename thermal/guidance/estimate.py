"""Perfusion and absorbed power (dose) from temperature images, by an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from thermal.units import Array

ROUNDS = 4
"""Times that the same data are taken in, each with a fourth of their weight."""
MODEL = 0.02
"""Error of the model relative to the rise of temperature (chosen)."""


@dataclass(frozen=True)
class Estimate:
    """Factors by name: ``median`` and an ``interval`` that holds the true one with 95 %."""

    names: tuple[str, ...]
    ensemble: Array
    """(p, m) logarithms of the factors, a column a member"""

    @property
    def median(self) -> Array:
        """(p,)"""
        return np.asarray(np.exp(self.ensemble.mean(axis=1)))

    @property
    def deviation(self) -> Array:
        """(p,) of the logarithms."""
        return np.asarray(self.ensemble.std(axis=1, ddof=1))

    @property
    def interval(self) -> Array:
        """(p, 2) lower and upper end, wider for small ensembles, whose spread is itself uncertain."""
        reach = float(stats.t.ppf(0.975, self.ensemble.shape[1] - 1)) * self.deviation
        return np.stack([self.median * np.exp(-reach), self.median * np.exp(reach)], axis=1)

    def bound(self, signs: Array, share: float) -> Array:
        """Factors (p,) each as far from the median, upwards or down by ``signs`` (p,), as a ``share`` of all is not:
        what follows from them bounds what is likely, however the factors are tied to each other."""
        reach = float(stats.t.ppf(share, self.ensemble.shape[1] - 1)) * self.deviation
        return np.asarray(self.median * np.exp(signs * reach))

    def text(self) -> str:
        """In a line."""
        parts = zip(self.names, self.median, self.interval, strict=True)
        return ", ".join(f"{name} {value:.3f} ({low:.3f} to {high:.3f})" for name, value, (low, high) in parts)


def estimate(
    forward: Callable[[Array], Array],
    seen: Array,
    error: Array,
    names: Sequence[str],
    spread: Array,
    members: int,
    seed: int,
) -> Estimate:
    """Factors whose logarithms are normal beforehand with standard deviations ``spread`` (p,), from data.

    ``forward``: factors (p,) -> what would be seen (d,); ``seen`` (d,) with standard deviations ``error`` (d,).
    Ensemble smoother with multiple data assimilation: A. A. Emerick, A. C. Reynolds, Comput. Geosci. 55, 3 (2013). The
    first ensemble is spread evenly (Latin hypercube).
    """
    chance = np.random.default_rng(seed)
    share = stats.qmc.LatinHypercube(len(spread), rng=chance).random(members)
    ensemble = spread[:, None] * stats.norm.ppf(share.T)
    for _ in range(ROUNDS):
        shown = np.stack([forward(np.exp(one)) for one in ensemble.T], axis=1)
        noise = np.sqrt(ROUNDS) * chance.standard_normal(shown.shape)
        wrong = (seen[:, None] - shown) / error[:, None] + noise
        root = np.sqrt(members - 1.0)
        spread_shown = (shown - shown.mean(axis=1, keepdims=True)) / error[:, None] / root
        spread_factor = (ensemble - ensemble.mean(axis=1, keepdims=True)) / root
        inner = spread_shown.T @ spread_shown + ROUNDS * np.eye(members)
        ensemble = ensemble + spread_factor @ np.linalg.solve(inner, spread_shown.T @ wrong)
    return Estimate(tuple(names), ensemble)


def emulate(forward: Callable[[Array], Array], centre: Array, reach: Array) -> Callable[[Array], Array]:
    """A quadratic of the logarithms of the factors in place of a costly ``forward``, around ``centre`` (p,).

    It is fitted to a central composite design (G. E. P. Box, K. B. Wilson, J. R. Stat. Soc. B 13 (1951) 1-45): the
    middle, the corners at ``reach`` (p,) and the points on the axes at the square root of p times that.
    """
    count = len(centre)
    corners = np.array(list(product((-1.0, 1.0), repeat=count)))
    axes = np.sqrt(count) * np.concatenate([np.eye(count), -np.eye(count)])
    design = np.concatenate([np.zeros((1, count)), corners, axes])
    values = np.array([forward(np.exp(centre + reach * at)) for at in design])
    fit = np.linalg.lstsq(_quadratic(design), values, rcond=None)[0]
    return lambda factors: np.asarray(_quadratic(((np.log(factors) - centre) / reach)[None])[0] @ fit)


def _quadratic(at: Array) -> Array:
    """(k, q) of all products of up to two of the numbers of points (k, p)."""
    full = np.concatenate([np.ones((len(at), 1)), at], axis=1)
    first, second = np.triu_indices(full.shape[1])
    return np.asarray(full[:, first] * full[:, second])
