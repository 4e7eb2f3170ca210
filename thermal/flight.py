"""Photon packets between physics and an engine: what they meet, where they start, what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermal.units import Array


@dataclass(frozen=True)
class Turbid:
    """What photons meet: absorption and scattering in 1/m, mean cosine of the scattering angle and refractive index at
    cells (m,), the index beyond the faces of the window that border on something else than more of the same, and the
    faces that are mirrors."""

    absorption: Array
    scattering: Array
    anisotropy: Array
    index: Array
    outside: Mapping[str, float]
    mirrors: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Packets:
    """Photon packets of one batch: starts (p, 3) m, unit directions (p, 3), weights (p,) W, and the share (p,) turned
    back where they first meet the body, negative for Fresnel's."""

    start: Array
    direction: Array
    weight: Array
    specular: Array


@dataclass(frozen=True)
class Flight:
    """Tallies of batches of photon packets, each of which carries the whole power.

    ``path`` (m,) W m: fluence rate times volume, mean over the batches, and its standard error. For each batch (b,) W:
    ``absorbed`` in all, what ``left`` the body through each face of the window or ``left_by_void``, what ``missed`` the
    body, what was ``reflected`` at entry, and what roulette ``gained`` on balance.
    """

    path: Array
    path_error: Array
    absorbed: Array
    left: Mapping[str, Array]
    left_by_void: Array
    missed: Array
    reflected: Array
    gained: Array

    @property
    def escaped(self) -> Array:
        """(b,) W that left the body again or never met it."""
        return np.asarray(sum(self.left.values(), self.left_by_void + self.missed))
