"""Uptake that is uneven within a tumour: patches of a length, or a measured map."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from thermal.errors import CaseError
from thermal.physics.delivery.outcome import Site
from thermal.units import Array, Length, Spec, quantity

PLACE = "delivery.heterogeneity"
WAVES = 1000
"""Waves in a random field: its moments are those of a Gaussian one to one in the root of this number."""
BLOCK = 4_000_000
"""Numbers held at once while waves are added up."""


class Heterogeneity(Spec):
    """How uneven the tumour's uptake is: patches by chance, or a map of it. What it takes up in all does not change."""

    variation: Annotated[float, *quantity("", gt=0, le=5)] | None = None
    """coefficient of variation of the uptake in an endless tumour: standard deviation over mean"""
    correlation_length: Length | None = None
    """distance at which two places still have 61 % (exp(-1/2)) of their logarithm's deviation in common: patches of
    high or low uptake are some three times as wide"""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    """of the chance: each gives another tumour, the same one on any grid"""
    map: str | None = None
    """NIfTI file (relative to the case file, or "data:...") of numbers in proportion to which places in the tumour take
    particles up, such as a contrast-enhanced or PET image, instead of chance"""

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Heterogeneity:
        if (self.map is None) == (self.variation is None) or (self.variation is None) != (
            self.correlation_length is None
        ):
            raise ValueError('give variation with correlation_length (e.g. 0.5 and "2 mm"), or map')
        return self

    @property
    def images(self) -> tuple[tuple[str, str], ...]:
        """The map, where it is one, and its key."""
        return () if self.map is None else ((self.map, f"{PLACE}.map"),)

    def factors(self, site: Site) -> Array:
        """(n,) by how much each node takes up more than another, up to a common factor."""
        if self.map is not None:
            return np.maximum(site.image(*self.images[0], 0.0)[0], 0.0)
        assert self.variation is not None
        assert self.correlation_length is not None
        width = float(np.sqrt(np.log1p(self.variation**2)))
        normal = random_field(site.engine.points, self.correlation_length, self.seed)
        return np.asarray(np.exp(width * normal - 0.5 * width**2))


def uneven(heterogeneity: Heterogeneity | None, site: Site, amount: Array) -> Array:
    """``amount`` (n,) of each node of the tumour made uneven, as a share of the whole: (n,) that sums to one.

    Raises ``CaseError`` for a map that holds nothing there.
    """
    if heterogeneity is not None:
        amount = amount * heterogeneity.factors(site)
    total = float(np.sum(amount))
    if total <= 0.0:
        raise CaseError(f"{PLACE}.map: no voxel inside the tumour is above zero; is it in the same space?")
    return amount / total


def random_field(points: Array, length: float, seed: int) -> Array:
    """(n,) values of a Gaussian field of mean zero and variance one at ``points`` (n, 3) m, with the correlation
    ``exp(-d^2 / 2 length^2)``: a sum of waves of random direction, length and phase, which is the same function of
    place on any grid (M. Shinozuka, J. Acoust. Soc. Am. 49 (1971) 357, doi:10.1121/1.1912338, unverified)."""
    chance = np.random.default_rng(seed)
    waves = chance.standard_normal((WAVES, points.shape[1])) / length
    phases = chance.uniform(0.0, 2.0 * np.pi, WAVES)
    found = np.zeros(len(points))
    several = max(1, BLOCK // max(len(points), 1))
    for first in range(0, WAVES, several):
        part = slice(first, first + several)
        found += np.cos(points @ waves[part].T + phases[part]).sum(axis=1)
    return np.asarray(found * np.sqrt(2.0 / WAVES))
