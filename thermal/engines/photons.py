"""Photon packets in batches: every batch on one core, summed in order, so that threads change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numba as nb
import numpy as np

from thermal.domain import FACES, VoxelDomain
from thermal.engines import photon_kernels as voxels
from thermal.flight import Flight, Packets, Turbid
from thermal.units import Array

MOST_TALLIES = 2**30
"""Bytes that the tallies of batches flown at once may take."""

Fly = Callable[[Sequence[Packets], int, Array, Array], None]
"""Flies a few batches, the first packet of which has this number; adds to their paths (b, m) and totals (b, k)."""


def in_batches(
    fly: Fly,
    borders: Sequence[str],
    absorption: Array,
    launch: Callable[[int], Packets],
    batches: int,
) -> Flight:
    """Totals: those of the named ``borders``, left by the skin, missed, reflected, gained at roulette."""
    at_once = max(1, min(nb.get_num_threads(), batches, MOST_TALLIES // (8 * absorption.size)))
    mean, squares = np.zeros(absorption.size), np.zeros(absorption.size)
    totals, absorbed = np.zeros((batches, len(borders) + 4)), np.zeros(batches)
    for start in range(0, batches, at_once):
        wave = [launch(number) for number in range(start, min(start + at_once, batches))]
        paths = np.zeros((len(wave), absorption.size))
        fly(wave, len(wave[0].weight) * start, paths, totals[start : start + len(wave)])
        for number, path in enumerate(paths, start):  # in the order of the batches, whoever flew them
            absorbed[number] = np.sum(path * absorption)
            fresh = path - mean
            mean += fresh / (number + 1)
            squares += fresh * (path - mean)
    skin, missed, reflected, gained = totals[:, len(borders) :].T
    return Flight(
        path=mean,
        path_error=np.sqrt(squares / (batches * (batches - 1))),
        absorbed=absorbed,
        left={name: totals[:, side] for side, name in enumerate(borders)},
        left_by_void=skin,
        missed=missed,
        reflected=reflected,
        gained=gained,
    )


def stacked(wave: Sequence[Packets]) -> tuple[Array, Array, Array, Array]:
    """Starts, directions, weights and specular shares of batches. Raises ``ValueError`` for what are no packets."""
    for packets in wave:
        count = len(packets.weight)
        for what, values, shape in (
            ("starts", packets.start, (count, 3)),
            ("directions", packets.direction, (count, 3)),
            ("weights", packets.weight, (count,)),
            ("specular shares", packets.specular, (count,)),
        ):
            if np.shape(values) != shape or not np.isfinite(np.sum(values)):
                raise ValueError(
                    f"{what} of photon packets have the shape {np.shape(values)}, or are not finite; expected finite "
                    f"ones of the shape {shape}"
                )
    return (
        np.stack([packets.start for packets in wave]),
        np.stack([packets.direction for packets in wave]),
        np.stack([packets.weight for packets in wave]),
        np.stack([packets.specular for packets in wave]),
    )


def optics_of(turbid: Turbid, cells: int) -> Array:
    """(m, 4) absorption, scattering, mean cosine and refractive index of the ``cells``. Raises ``ValueError`` for what
    no tissue has: photons would never end, or fly beyond their arrays."""
    columns = turbid.absorption, turbid.scattering, turbid.anisotropy, turbid.index
    for what, column, least, most in (
        ("absorption (1/m)", turbid.absorption, 0.0, np.inf),
        ("scattering (1/m)", turbid.scattering, 0.0, np.inf),
        ("mean cosine", turbid.anisotropy, -1.0, 1.0),
        ("refractive index", turbid.index, 0.0, np.inf),
    ):
        values = np.asarray(column, dtype=float)
        if values.shape != (cells,):
            raise ValueError(f"the {what} of {values.size} cells does not fit {cells}; give one number a cell")
        bad = np.flatnonzero(~((values >= least) & (values <= most) & np.isfinite(values)))
        if bad.size:
            raise ValueError(
                f"the {what} is out of range in {bad.size} of {cells} cells, the first is cell {bad[0]} with "
                f"{values[bad[0]]:g}; expected {least:g} to {most:g}"
            )
    return np.ascontiguousarray(np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=-1))


def trace(domain: VoxelDomain, turbid: Turbid, launch: Callable[[int], Packets], batches: int, seed: int) -> Flight:
    """See :meth:`thermal.engine.Engine.trace`."""
    shape = domain.cell_shape
    optics = optics_of(turbid, len(domain.solid)).reshape(*shape, -1)
    x, y, z = (np.ascontiguousarray(axis, dtype=np.float64) for axis in domain.axes)
    solid = np.ascontiguousarray(domain.solid).reshape(shape)
    beyond = {**turbid.outside, **dict.fromkeys(turbid.mirrors, voxels.MIRROR)}
    outside = np.array([beyond.get(face, 0.0) for face in FACES])

    def fly(wave: Sequence[Packets], first: int, paths: Array, totals: Array) -> None:
        starts, directions, weights, specular = stacked(wave)
        voxels.fly(
            (x, y, z), solid, optics, outside, starts, directions, weights, specular, first, seed,
            paths.reshape(-1, *shape), totals,
        )  # fmt: skip

    return in_batches(fly, FACES, np.asarray(turbid.absorption), launch, batches)
