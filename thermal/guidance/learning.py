"""What temperature images teach a model: its factors of perfusion and of absorbed power."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.linalg import solve_triangular

from thermal.guidance.estimate import MODEL, Estimate, emulate, estimate
from thermal.guidance.steered import Twin
from thermal.guidance.thermometer import Image, Thermometer
from thermal.imaging.grid import mean_of
from thermal.simulation import Prepared
from thermal.units import Array

SEEN = 300
"""Voxels that an estimate looks at: those that should be warmest."""
FRAMES = 8
"""Images that it looks at, at most."""
STAGES, NARROW = 2, 0.03
"""Times that the model is emulated, first as far as factors are uncertain beforehand, then around what was found, and
the smallest deviation of a logarithm that is still looked across."""
FACTORS = ("perfusion", "absorption")


def learn(
    model: Prepared,
    thermometer: Thermometer,
    looks: Array,
    levels: Array,
    images: list[Image],
    spread: Array,
    members: int,
    seed: int,
) -> Estimate:
    """Factors of perfusion and absorption from images taken while the power followed ``levels``."""
    chosen = [images[i] for i in np.unique(np.linspace(0, len(images) - 1, min(FRAMES, len(images))).astype(int))]
    times = [image.taken for image in chosen]
    nominal = replay(model, thermometer, looks, levels, times, np.ones(2))
    rise = np.where(thermometer.reliable, nominal[-1] - thermometer.base, -np.inf)
    where = np.argsort(rise.ravel())[::-1][:SEEN]
    where = where[np.isfinite(rise.ravel()[where])]
    rises = np.stack([(frame - thermometer.base).ravel()[where] for frame in nominal])
    root = np.linalg.cholesky(spread_of(thermometer.deviation.ravel()[where], thermometer.common, rises))

    def bare(frames: list[Array]) -> Array:
        shown = np.concatenate([frame.ravel()[where] for frame in frames])
        return np.asarray(solve_triangular(root, shown, lower=True))

    def forward(factors: Array) -> Array:
        frames = replay(model, thermometer, looks, levels, times, factors)
        return bare([thermometer.as_read(frame) for frame in frames])

    seen = bare([image.values for image in chosen])

    centre, reach = np.zeros_like(spread), spread
    found = None
    for _ in range(STAGES):
        found = estimate(emulate(forward, centre, reach), seen, np.ones(len(seen)), FACTORS, spread, members, seed)
        centre, reach = np.log(found.median), np.minimum(np.maximum(found.deviation, NARROW), spread)
    assert found is not None
    return found


def spread_of(deviation: Array, common: float, rises: Array) -> Array:
    """(f v, f v) K^2, covariance of what f images show of v voxels, image after image, from rises (f, v) in K.

    ``deviation`` (v,) K is that of each voxel by noise, ``common`` K one that all have together. A temperature is the
    phase of one image less that of the first, whose noise is in all of them: half of the variance is of either.
    """
    count = len(rises)
    images = 0.5 * (np.eye(count) + np.ones((count, count)))
    found = np.kron(images, np.diag(deviation**2) + common**2)
    np.fill_diagonal(found, found.diagonal() + (MODEL * rises.ravel()) ** 2)
    return np.asarray(found)


def replay(
    model: Prepared, thermometer: Thermometer, looks: Array, levels: Array, times: list[float], factors: Array
) -> list[Array]:
    """Temperature images (a, b, c) at ``times``, which are looks, without noise, of a model with other factors."""
    twin = Twin(model, looks, *factors)
    found = []
    for (start, until), level in zip(pairwise(looks[: len(levels) + 1]), levels, strict=False):
        if start >= times[-1]:
            break
        temperature = twin.advance(float(level), float(until))
        if any(abs(until - time) < 1e-6 for time in times):
            found.append(np.nan_to_num(mean_of(thermometer.way, temperature, thermometer.body)))
    return found
