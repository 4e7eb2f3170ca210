"""The heat march where interfaces cut voxels, whose edges conduct more or less than the mean of the voxels says.

The kernels of :mod:`thermal.engines.heat_kernels` know voxels alone. Here they read the conductances of edges instead
of the coefficients of voxels. Those of unfrozen tissue are filled when its conductivity changes; beside ice they are
those of the stage, filled anew where there is or was ice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.engines.arrays import ONE, Box, Number, Real
from thermal.engines.compiled import compiled_shared, compiled_shared_apart, compiled_shared_fast
from thermal.engines.padded import Padded
from thermal.enthalpy import BODY_TEMPERATURE, CutConductivity
from thermal.units import Array

Index = npt.NDArray[np.int64] | npt.NDArray[np.int32]


@compiled_shared_fast
def _fill_edges(
    first: int, end: int, kv: Real, rx: Real, ry: Real, rz: Real, box: Box, gx: Real, gy: Real, gz: Real
) -> None:
    """Conductances of the edges, W/K, that begin in a box of padded nodes, from the coefficients of the cells; of its
    planes from ``first`` to before ``end``."""
    _, ny, nz = kv.shape
    lo, hi = max(box[4], 1), min(box[5], nz)
    for i in range(first, end):
        for j in range(box[2], min(box[3], ny)):
            k11, x, y, z = kv[i, j], gx[i, j], gy[i, j], gz[i, j]
            if j > 0:
                k10 = kv[i, j - 1]
                for m in range(lo, hi):
                    x[m] = rx[i] * ((k10[m - 1] + k10[m]) + (k11[m - 1] + k11[m]))
            if i > 0:
                k01 = kv[i - 1, j]
                for m in range(lo, hi):
                    y[m] = ry[j] * ((k01[m - 1] + k01[m]) + (k11[m - 1] + k11[m]))
            if i > 0 and j > 0:
                k00, k01, k10 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1]
                for m in range(box[4], hi):
                    z[m] = rz[m] * ((k00[m] + k01[m]) + (k10[m] + k11[m]))


@compiled_shared
def _add_cuts(
    first: int,
    last: int,
    rows: Index,
    begin: Index,
    cells: Index,
    squares: Real,
    warm: Real,
    frozen: Real,
    across: Index,
    theta: Real,
    solidus: float,
    liquidus: float,
    kv: Real,
    box: Box,
    g: Real,
) -> None:
    """Add to ``g`` what the cut edges (e,) along one axis that begin in the box conduct beyond the mean of their cells;
    of its planes from ``first`` to before ``last``.

    The edges of a row of padded nodes are ``rows[r]`` to ``rows[r + 1]``. An edge begins at the flat node ``begin`` and
    its first cell is the flat ``cells``; ``across``: from there to the other end of the edge and to the second and the
    third of its four cells. ``theta`` is empty where nothing is frozen.
    """
    ny, nz = g.shape[1], g.shape[2]
    k, t, out = kv.ravel(), theta.ravel(), g.ravel()
    end, one, two = across
    for i in range(first, last):
        for j in range(box[2], box[3]):
            row = i * ny + j
            for edge in range(rows[row], rows[row + 1]):
                node, cell = begin[edge], cells[edge]
                m = node - row * nz
                if box[4] <= m < box[5]:
                    factor = warm[edge]
                    if t.size > 0:
                        below = liquidus - 0.5 * (t[node] + t[node + end])
                        if below > 0.0:
                            ice = min(below / (liquidus - solidus), 1.0) if liquidus > solidus else 1.0
                            factor += ice * (frozen[edge] - factor)
                    around = k[cell] + k[cell + one] + k[cell + two] + k[cell + one + two]
                    out[node] += factor * squares[edge] * around


@compiled_shared_apart
def _linear_stage(
    begin: int,
    end: int,
    gx: Real,
    gy: Real,
    gz: Real,
    sink: Real,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    mu: Number,
    nu: Number,
    now: Number,
    start: Number,
    box: Box,
    sums: Array,
) -> None:
    """One of :func:`thermal.engines.linear_stage.linear_stages`, from the conductances of the edges, on the planes from
    ``begin`` to before ``end``."""
    bounds = box.astype(np.uint64)
    for plane in range(begin, end):
        i = np.uint64(plane)
        for j in range(bounds[2], bounds[3]):
            c, o = here[i, j], before[i, j]
            xm, xp, ym, yp = here[i - ONE, j], here[i + ONE, j], here[i, j - ONE], here[i, j + ONE]
            x0, x1, y0, y1 = gx[i - ONE, j], gx[i, j], gy[i, j - ONE], gy[i, j]
            z, s, w, f = gz[i, j], sink[i, j], inverse[i, j], first[i, j]
            nothing = gx.dtype.type(0.0)
            held, lost = nothing, nothing
            for m in range(bounds[4], bounds[5]):
                lo, hi = m - ONE, m + ONE
                u = c[m]
                q = x1[m] * (xp[m] - u) + x0[m] * (xm[m] - u) + y1[m] * (yp[m] - u) + y0[m] * (ym[m] - u)
                q += z[m] * (c[hi] - u) + z[lo] * (c[lo] - u)
                taken = s[m] * u
                q -= taken
                o[m] = mu * u + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                lost += taken
            sums[0, i - bounds[0], j - bounds[2]] = held
            sums[1, i - bounds[0], j - bounds[2]] = lost


@compiled_shared_apart
def _phase_stage(
    begin: int,
    end: int,
    theta: Real,
    gx: Real,
    gy: Real,
    gz: Real,
    steady: Real,
    blood: Real,
    sink: Real,
    arterial: Number,
    liquidus: Number,
    inverse: Real,
    first: Real,
    here: Real,
    before: Real,
    mu: Number,
    nu: Number,
    now: Number,
    start: Number,
    box: Box,
    sums: Array,
) -> None:
    """:func:`thermal.engines.phase_kernels.phase_stage` from the conductances of the edges, on the planes from
    ``begin`` to before ``end``."""
    bounds = box.astype(np.uint64)
    for plane in range(begin, end):
        i = np.uint64(plane)
        for j in range(bounds[2], bounds[3]):
            c = theta[i, j]
            xm, xp, ym, yp = theta[i - ONE, j], theta[i + ONE, j], theta[i, j - ONE], theta[i, j + ONE]
            x0, x1, y0, y1 = gx[i - ONE, j], gx[i, j], gy[i, j - ONE], gy[i, j]
            z, o, h, w = gz[i, j], before[i, j], here[i, j], inverse[i, j]
            f, p, b, t = first[i, j], steady[i, j], blood[i, j], sink[i, j]
            nothing = gx.dtype.type(0.0)
            held, bled = nothing, nothing
            for m in range(bounds[4], bounds[5]):
                lo, hi = m - ONE, m + ONE
                u = c[m]
                q = x1[m] * (xp[m] - u) + x0[m] * (xm[m] - u) + y1[m] * (yp[m] - u) + y0[m] * (ym[m] - u)
                q += z[m] * (c[hi] - u) + z[lo] * (c[lo] - u)
                from_blood = b[m] * (arterial - u) if u > liquidus else nothing
                q += p[m] - t[m] * u + from_blood
                o[m] = mu * h[m] + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                bled += from_blood
            sums[i - bounds[0], j - bounds[2], 0] = held
            sums[i - bounds[0], j - bounds[2], 1] = bled


@dataclass(frozen=True)
class _Axis:
    """The cut edges along one axis, as :func:`_add_cuts` wants them."""

    rows: Index
    begin: Index
    cells: Index
    squares: Real
    warm: Real
    frozen: Real
    across: Index

    @classmethod
    def of(cls, grid: Padded, cuts: CutConductivity, axis: int) -> _Axis:
        """The edges of ``cuts``, which number the nodes of the domain from the lower end to the upper."""
        ends = np.stack(np.unravel_index(cuts.unfrozen.nodes, grid.shape), axis=2) + 1  # padded (e, 2, 3)
        mine = np.flatnonzero(ends[:, 1, axis] > ends[:, 0, axis])
        shape = tuple(count + 2 for count in grid.shape)
        begin = np.ravel_multi_index(tuple(ends[mine, 0].T), shape)
        order = np.argsort(begin, kind="stable")
        mine, begin, low = mine[order], begin[order], ends[mine[order], 0]
        # padded node i lies between the padded cells i - 1 and i
        others = [other for other in range(3) if other != axis]
        first = low.copy()
        first[:, others] -= 1
        cells = tuple(count - 1 for count in shape)
        strides = [cells[1] * cells[2], cells[2], 1]
        end = [shape[1] * shape[2], shape[2], 1][axis]
        frozen = cuts.unfrozen.factors if cuts.frozen is None else cuts.frozen
        return cls(
            rows=np.searchsorted(begin, np.arange(shape[0] * shape[1] + 1) * shape[2]),
            begin=begin.astype(np.int32),
            cells=np.ravel_multi_index(tuple(first.T), cells).astype(np.int32),
            squares=grid.inverse_squares[axis][low[:, axis]],
            warm=(cuts.unfrozen.factors[mine] - 1.0).astype(grid.dtype),
            frozen=(frozen[mine] - 1.0).astype(grid.dtype),
            across=np.array([end, *(strides[other] for other in others)]),
        )


Edges = tuple[Real, Real, Real]
"""Conductances from each padded node to the next one along the axes, W/K."""


class CutFlows:
    """The edges of one problem; arrays of nodes and cells are those of the padded grid."""

    def __init__(self, grid: Padded, cuts: CutConductivity, whole: Box) -> None:
        """``cuts``: edges in the numbering of the domain; ``whole``: the box of all nodes."""
        self._grid, self._whole = grid, whole
        self._axes = [_Axis.of(grid, cuts, axis) for axis in range(3)]
        self._solidus, self._liquidus = cuts.solidus - BODY_TEMPERATURE, cuts.liquidus - BODY_TEMPERATURE
        self._none = np.zeros((0, 0, 0), grid.dtype)
        self.warm: Edges = (grid.nodes(), grid.nodes(), grid.nodes())
        """of unfrozen tissue"""
        self.icy: Edges = self.warm if cuts.frozen is None else (grid.nodes(), grid.nodes(), grid.nodes())
        """where there may be ice"""

    def fill_warm(self, kv: Real) -> None:
        """Take up the coefficients of unfrozen cells."""
        self._fill(self.warm, kv, self._none, self._whole, [axis.warm for axis in self._axes])

    def thaw(self) -> None:
        """Have the edges with ice conduct as those of unfrozen tissue."""
        if self.icy is not self.warm:
            for edges, warm in zip(self.icy, self.warm, strict=True):
                np.copyto(edges, warm)

    def follow_ice(self, kv: Real, theta: Real, box: Box) -> None:
        """Take up the coefficients of cells, frozen or not, at the temperature ``theta`` (K above body temperature) of
        the nodes of a ``box``."""
        if self.icy is not self.warm:
            self._fill(self.icy, kv, theta, box, [axis.warm for axis in self._axes])

    def freeze(self, kv: Real) -> Edges:
        """The most that edges conduct while tissue with the coefficients ``kv`` freezes."""
        self._fill(self.icy, kv, self._none, self._whole, [np.maximum(axis.warm, axis.frozen) for axis in self._axes])
        return self.icy

    def _fill(self, edges: Edges, kv: Real, theta: Real, box: Box, factors: list[Real]) -> None:
        """Fill the edges of the cells around the nodes of the box."""
        reach = box + np.array([-1, 1] * 3)
        _fill_edges(int(reach[0]), min(int(reach[1]), len(kv)), kv, *self._grid.inverse_squares, reach, *edges)
        levels = self._solidus, self._liquidus
        for a, factor, g in zip(self._axes, factors, edges, strict=True):
            _add_cuts(
                int(reach[0]), int(reach[1]), a.rows, a.begin, a.cells, a.squares, factor, a.frozen, a.across, theta,
                *levels, kv, reach, g,
            )  # fmt: skip

    def linear_stage(self, work: tuple[Real, ...], weights: tuple[Number, ...], box: Box, sums: Array) -> None:
        """One of :func:`thermal.engines.linear_stage.linear_stages`, with the edges of unfrozen tissue.

        ``work``: sink, inverse, first, here, before; ``weights``: mu, nu, now, start.
        """
        sink, inverse, first, here, before = work
        mu, nu, now, start = weights
        _linear_stage(
            int(box[0]), int(box[1]), *self.warm, sink, inverse, first, here, before, mu, nu, now, start, box, sums
        )

    def phase_stage(
        self, theta: Real, work: tuple[Real, ...], weights: tuple[Number, ...], box: Box, sums: Array
    ) -> None:
        """:func:`thermal.engines.phase_kernels.phase_stage` with the edges of tissue at ``theta``.

        ``work``: steady, blood, sink, inverse, first, here, before; ``weights``: arterial, liquidus and those of the
        stage.
        """
        steady, blood, sink, inverse, first, here, before = work
        arterial, liquidus, mu, nu, now, start = weights
        begin, end = int(box[0]), int(box[1])
        _phase_stage(
            begin, end, theta, *self.icy, steady, blood, sink, arterial, liquidus, inverse, first, here, before,
            mu, nu, now, start, box, sums,
        )  # fmt: skip
