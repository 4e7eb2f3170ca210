"""Memory bandwidth: the triad ``a = b + s c``, in numba, on one and on all threads.

python triad.py memory 0
"""

from __future__ import annotations

import time

import numba as nb
import numpy as np

import entry

BEYOND_CACHE = 600e6
"""Bytes of three arrays that leave every cache of a workstation; a server's large shared one is said in the facts."""
LEAST = 0.2
"""s to spend on one measurement."""


@nb.njit(parallel=True, cache=True)
def _triad(a, b, c, scale):  # type: ignore[no-untyped-def]
    for i in nb.prange(len(a)):
        a[i] = b[i] + scale * c[i]


def bandwidth(size: float, threads: int | None = None) -> float:
    """GB/s at which three float64 arrays of ``size`` bytes together are read and written: the best of many passes.

    Bytes are counted as for a kernel's arrays: every array once, whatever the hardware reads before it writes.
    """
    before = nb.get_num_threads()
    nb.set_num_threads(threads or before)
    count = max(int(size / 24), 1)
    a, b, c = (np.full(count, value) for value in (0.0, 1.0, 2.0))
    _triad(a, b, c, 3.0)
    best, spent = np.inf, 0.0
    while spent < LEAST:
        begun = time.perf_counter()
        _triad(a, b, c, 3.0)
        taken = time.perf_counter() - begun
        best, spent = min(best, taken), spent + taken
    nb.set_num_threads(before)
    return 24e-9 * count / best


if __name__ == "__main__":
    entry.arguments()
    every = nb.get_num_threads()
    found = {f"triad_{threads}_threads": bandwidth(BEYOND_CACHE, threads) for threads in sorted({1, every})}
    entry.finish(setup=0.0, solve=[0.0], errors={"none": 0.0}, **found)
