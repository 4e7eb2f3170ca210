"""Runs of nodes along the rows of a voxel grid between which nothing differs: a stage takes their coefficients once.

Most of an organ, and all of a phantom, is one tissue. A stage that fetches four rows of coefficients there spends half
of its time on them. Single nodes that differ (the ends of a row, the border of two tissues) do not end a run: a stage
does them once more, with coefficients of their own, as loops over few nodes cost most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal.engines.arrays import Real
from thermal.engines.compiled import compiled_shared

SHORTEST = 16
"""Nodes of a run: a loop over fewer costs as much to begin as it saves."""
MOST_ODD = 2
"""Nodes in a row that differ and yet do not end a run."""

Numbers = npt.NDArray[np.uint32]


class Runs(NamedTuple):
    """The runs of all rows (nx, ny) of nodes. Nodes are counted on the padded grid."""

    counts: Numbers
    """(nx, ny): how many runs a row has"""
    ends: Numbers
    """(nx, ny, r, 2): first node of a run, and the one after its last"""
    values: Real
    """(nx, ny, r, 3): conductance over the inverse square of the edge, W m/K, inverse capacity, K/J, and the inverse
    square of the edges along the row, 1/m2, which may be another at the first of the nodes that differ"""
    odd_counts: Numbers
    """(nx, ny): how many nodes of a row's runs differ"""
    odd: Numbers
    """(nx, ny, s): which ones"""
    odd_values: Real
    """(nx, ny, s, 7): their conductances to the neighbours before and behind along x, y, z, W/K; inverse capacity"""

    @staticmethod
    def of(kv: Real, squares: tuple[Real, Real, Real], inverse: Real) -> Runs:
        """From the arrays of :mod:`thermal.engines.heat_kernels`; no run reaches to where a coefficient is NaN."""
        rows = inverse.shape[0] - 2, inverse.shape[1] - 2
        most = inverse.shape[2] // SHORTEST + 1
        counts, odd_counts = np.zeros(rows, np.uint32), np.zeros(rows, np.uint32)
        ends, values = np.zeros((*rows, most, 2), np.uint32), np.zeros((*rows, most, 3), kv.dtype)
        _find(1, rows[0] + 1, kv, squares[2], inverse, counts, ends, values)
        most = int(counts.max(initial=0))
        ends, values = ends[:, :, :most].copy(), values[:, :, :most].copy()
        odd = np.zeros((*rows, MOST_ODD * (most + 1)), np.uint32)
        _join(1, rows[0] + 1, kv, counts, ends, odd_counts, odd)
        odd = odd[:, :, : int(odd_counts.max(initial=0))].copy()
        odd_values = np.zeros((*odd.shape, 7), kv.dtype)
        _take_odd(1, rows[0] + 1, kv, *squares, inverse, odd_counts, odd, odd_values)
        return Runs(counts, ends, values, odd_counts, odd, odd_values)

    @staticmethod
    def none(shape: tuple[int, int, int], real: npt.DTypeLike) -> Runs:
        """No run in any row of a grid of nodes."""
        rows = shape[:2]
        none = np.zeros(rows, np.uint32)
        values, odd_values = np.zeros((*rows, 0, 3), real), np.zeros((*rows, 0, 7), real)
        return Runs(none, np.zeros((*rows, 0, 2), np.uint32), values, none, np.zeros((*rows, 0), np.uint32), odd_values)


@compiled_shared
def _find(
    begin: int, end: int, kv: Real, rz: Real, inverse: Real, counts: Numbers, ends: Numbers, values: Real
) -> None:
    """The runs of free nodes with the same conductivity all around and the same capacity."""
    nz = inverse.shape[2] - 2
    for i in range(begin, end):
        for j in range(1, inverse.shape[1] - 1):
            k00, k01, k10, k11 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1], kv[i, j]
            w, found, first = inverse[i, j], 0, 1
            for m in range(1, nz + 2):
                k = k00[m - 1]
                even = m <= nz and w[m] > 0 and rz[m - 1] == rz[m]
                even = even and k == k01[m - 1] and k == k10[m - 1] and k == k11[m - 1]
                even = even and k == k00[m] and k == k01[m] and k == k10[m] and k == k11[m]
                if not (even and w[m] == w[first]):
                    if m - first >= SHORTEST:
                        ends[i - 1, j - 1, found, 0], ends[i - 1, j - 1, found, 1] = first, m
                        values[i - 1, j - 1, found, 0] = k00[first] + k01[first] + k10[first] + k11[first]
                        values[i - 1, j - 1, found, 1] = w[first]
                        values[i - 1, j - 1, found, 2] = rz[first]
                        found += 1
                    first = m if even else m + 1
            counts[i - 1, j - 1] = found


@compiled_shared
def _join(begin: int, end: int, kv: Real, counts: Numbers, ends: Numbers, odd_counts: Numbers, odd: Numbers) -> None:
    """Let runs reach over a few nodes to the next one and to both ends of the row, and note these nodes."""
    last = kv.shape[2]
    for i in range(begin - 1, end - 1):
        for j in range(counts.shape[1]):
            k00, k01, k10, k11 = kv[i, j], kv[i, j + 1], kv[i + 1, j], kv[i + 1, j + 1]
            count, alone = counts[i, j], 0
            for number in range(count + 1):
                behind = ends[i, j, number - 1, 1] if number > 0 else 1
                ahead = ends[i, j, number, 0] if number < count else last
                known = count > 0 and ahead - behind <= MOST_ODD
                for cell in range(behind - 1, ahead):
                    if not known:
                        break
                    known = not np.isnan(k00[cell] + k01[cell] + k10[cell] + k11[cell])
                if known:
                    for node in range(behind, ahead):
                        odd[i, j, alone] = node
                        alone += 1
                    if number > 0:
                        ends[i, j, number - 1, 1] = ahead
                    else:
                        ends[i, j, number, 0] = behind
            odd_counts[i, j] = alone


@compiled_shared
def _take_odd(
    begin: int,
    end: int,
    kv: Real,
    rx: Real,
    ry: Real,
    rz: Real,
    inverse: Real,
    odd_counts: Numbers,
    odd: Numbers,
    odd_values: Real,
) -> None:
    """The coefficients of the nodes that differ."""
    for i in range(begin, end):
        for j in range(1, inverse.shape[1] - 1):
            k00, k01, k10, k11 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1], kv[i, j]
            for number in range(odd_counts[i - 1, j - 1]):
                m, value = odd[i - 1, j - 1, number], odd_values[i - 1, j - 1, number]
                a00, a01, a10, a11 = k00[m - 1] + k00[m], k01[m - 1] + k01[m], k10[m - 1] + k10[m], k11[m - 1] + k11[m]
                value[0], value[1] = rx[i - 1] * (a00 + a01), rx[i] * (a10 + a11)
                value[2], value[3] = ry[j - 1] * (a00 + a10), ry[j] * (a01 + a11)
                value[4] = rz[m - 1] * ((k00[m - 1] + k01[m - 1]) + (k10[m - 1] + k11[m - 1]))
                value[5] = rz[m] * ((k00[m] + k01[m]) + (k10[m] + k11[m]))
                value[6] = inverse[i, j, m]
