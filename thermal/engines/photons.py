"""Photon packets in batches: every batch on one core, summed in order, so that threads change nothing."""

from __future__ import annotations

from collections.abc import Callable

import numba as nb
import numpy as np

from thermal.domain import FACES, VoxelDomain
from thermal.engine import Flight, Packets, Turbid
from thermal.engines import photon_kernels as kernels

MOST_TALLIES = 2**30
"""Bytes that the tallies of batches flown at once may take."""


def trace(domain: VoxelDomain, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
    """See :meth:`thermal.engine.Engine.trace`."""
    shape = domain.cell_shape

    columns = turbid.absorption, turbid.scattering, turbid.anisotropy, turbid.index
    optics = np.ascontiguousarray(np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=-1))
    optics = optics.reshape(*shape, len(columns))
    x, y, z = (np.ascontiguousarray(axis, dtype=np.float64) for axis in domain.axes)
    solid = np.ascontiguousarray(domain.solid).reshape(shape)
    beyond = {**turbid.outside, **dict.fromkeys(turbid.mirrors, kernels.MIRROR)}
    outside = np.array([beyond.get(face, 0.0) for face in FACES])
    at_once = max(1, min(nb.get_num_threads(), batches, MOST_TALLIES // (8 * solid.size)))
    mean, squares = np.zeros(shape), np.zeros(shape)
    totals = np.zeros((batches, kernels.TOTALS))
    absorbed = np.zeros(batches)
    for start in range(0, batches, at_once):
        wave = [launch(number) for number in range(start, min(start + at_once, batches))]
        count = len(wave[0].weight)
        paths = np.zeros((len(wave), *shape))
        kernels.fly(
            (x, y, z), solid, optics, outside,
            np.stack([packets.start for packets in wave]), np.stack([packets.direction for packets in wave]),
            np.stack([packets.weight for packets in wave]), np.stack([packets.specular for packets in wave]),
            count * start, seed, paths, totals[start : start + len(wave)],
        )  # fmt: skip
        for number, path in enumerate(paths, start):  # in the order of the batches, whoever flew them
            absorbed[number] = np.sum(path * optics[..., kernels.ABSORBS])
            fresh = path - mean
            mean += fresh / (number + 1)
            squares += fresh * (path - mean)
    return Flight(
        path=mean.ravel(),
        path_error=np.sqrt(squares / (batches * (batches - 1))).ravel(),
        absorbed=absorbed,
        left={face: totals[:, side] for side, face in enumerate(FACES)},
        left_by_void=totals[:, kernels.VOID],
        missed=totals[:, kernels.MISSED],
        reflected=totals[:, kernels.REFLECTED],
        gained=totals[:, kernels.ROULETTE],
    )
