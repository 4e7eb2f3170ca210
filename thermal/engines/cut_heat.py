"""The heat march where interfaces cut voxels, whose edges conduct more or less than the mean of the voxels says.

The kernels of :mod:`thermal.engines.heat_kernels` know voxels alone. Stages read the conductances of edges instead of
the coefficients of voxels: those of a step, or, beside ice, those of the stage. In the first flow of a step the nodes
beside cut voxels gather the rest of their flow from a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled, compiled_fast, compiled_serial
from thermal.engines.heat_kernels import Box, Number, Real
from thermal.engines.padded import Padded
from thermal.heat import BODY_TEMPERATURE, CutConductivity
from thermal.units import Array

Index = npt.NDArray[np.int64] | npt.NDArray[np.int32]


@compiled
def _excess(
    cells: Index,
    squares: Real,
    warm: Real,
    frozen: Real,
    ends: Index,
    theta: Real,
    solidus: float,
    liquidus: float,
    kv: Real,
    excess: Real,
) -> None:
    """Fill ``excess`` (e,) W/K from the cell coefficients; ``theta`` is empty where nothing is frozen."""
    for edge in nb.prange(len(excess)):
        factor = warm[edge]
        if theta.size > 0:
            below = liquidus - 0.5 * (theta[ends[edge, 0]] + theta[ends[edge, 1]])
            if below > 0.0:
                ice = min(below / (liquidus - solidus), 1.0) if liquidus > solidus else 1.0
                factor += ice * (frozen[edge] - factor)
        around = kv[cells[edge, 0]] + kv[cells[edge, 1]] + kv[cells[edge, 2]] + kv[cells[edge, 3]]
        excess[edge] = factor * squares[edge] * around


@compiled_fast
def _fill_edges(kv: Real, rx: Real, ry: Real, rz: Real, gx: Real, gy: Real, gz: Real) -> None:
    """Conductances of the edges from each padded node to the next one along the axes, W/K."""
    nx, ny, nz = kv.shape
    for i in nb.prange(nx):
        for j in range(ny):
            k11, x, y, z = kv[i, j], gx[i, j], gy[i, j], gz[i, j]
            if j > 0:
                k10 = kv[i, j - 1]
                for m in range(1, nz):
                    x[m] = rx[i] * ((k10[m - 1] + k10[m]) + (k11[m - 1] + k11[m]))
            if i > 0:
                k01 = kv[i - 1, j]
                for m in range(1, nz):
                    y[m] = ry[j] * ((k01[m - 1] + k01[m]) + (k11[m - 1] + k11[m]))
            if i > 0 and j > 0:
                k00, k01, k10 = kv[i - 1, j - 1], kv[i - 1, j], kv[i, j - 1]
                for m in range(nz):
                    z[m] = rz[m] * ((k00[m] + k01[m]) + (k10[m] + k11[m]))


@compiled_fast
def _linear_stage(
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
    """:func:`thermal.engines.heat_kernels.linear_stage` from the conductances of the edges."""
    lo, hi = box[4] - 1, box[5] + 1
    count = box[5] - box[4]
    for i in nb.prange(box[0], box[1]):
        for j in range(box[2], box[3]):
            c, o = here[i, j, lo:hi], before[i, j, lo:hi]
            xm, xp, ym, yp = here[i - 1, j, lo:hi], here[i + 1, j, lo:hi], here[i, j - 1, lo:hi], here[i, j + 1, lo:hi]
            x0, x1, y0, y1 = gx[i - 1, j, lo:hi], gx[i, j, lo:hi], gy[i, j - 1, lo:hi], gy[i, j, lo:hi]
            z, s, w, f = gz[i, j, lo:hi], sink[i, j, lo:hi], inverse[i, j, lo:hi], first[i, j, lo:hi]
            nothing = gx.dtype.type(0.0)
            held, lost = nothing, nothing
            for m in range(1, count + 1):
                u = c[m]
                q = x1[m] * (xp[m] - u) + x0[m] * (xm[m] - u) + y1[m] * (yp[m] - u) + y0[m] * (ym[m] - u)
                q += z[m] * (c[m + 1] - u) + z[m - 1] * (c[m - 1] - u)
                taken = s[m] * u
                q -= taken
                o[m] = mu * u + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                lost += taken
            sums[i - box[0], j - box[2], 0] = held
            sums[i - box[0], j - box[2], 1] = lost


@compiled_fast
def _phase_stage(
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
    """:func:`thermal.engines.heat_kernels.phase_stage` from the conductances of the edges."""
    lo, hi = box[4] - 1, box[5] + 1
    count = box[5] - box[4]
    for i in nb.prange(box[0], box[1]):
        for j in range(box[2], box[3]):
            c = theta[i, j, lo:hi]
            xm, xp, ym, yp = (
                theta[i - 1, j, lo:hi],
                theta[i + 1, j, lo:hi],
                theta[i, j - 1, lo:hi],
                theta[i, j + 1, lo:hi],
            )
            x0, x1, y0, y1 = gx[i - 1, j, lo:hi], gx[i, j, lo:hi], gy[i, j - 1, lo:hi], gy[i, j, lo:hi]
            z, o, h, w = gz[i, j, lo:hi], before[i, j, lo:hi], here[i, j, lo:hi], inverse[i, j, lo:hi]
            f, p, b, t = first[i, j, lo:hi], steady[i, j, lo:hi], blood[i, j, lo:hi], sink[i, j, lo:hi]
            nothing = gx.dtype.type(0.0)
            held, bled = nothing, nothing
            for m in range(1, count + 1):
                u = c[m]
                q = x1[m] * (xp[m] - u) + x0[m] * (xm[m] - u) + y1[m] * (yp[m] - u) + y0[m] * (ym[m] - u)
                q += z[m] * (c[m + 1] - u) + z[m - 1] * (c[m - 1] - u)
                from_blood = b[m] * (arterial - u) if u > liquidus else nothing
                q += p[m] - t[m] * u + from_blood
                o[m] = mu * h[m] + nu * o[m] + now * (w[m] * q) + start * f[m]
                held += nothing if w[m] > nothing else q
                bled += from_blood
            sums[i - box[0], j - box[2], 0] = held
            sums[i - box[0], j - box[2], 1] = bled


@compiled
def _gather(
    start: Index,
    edges: Index,
    nodes: Index,
    at: Index,
    others: Index,
    excess: Real,
    u: Real,
    inverse: Real,
    weight: Number,
    out: Real,
    flows: Array,
) -> None:
    """``out_i += weight / C_i sum_j excess_ij (u_j - u_i)`` at the ``nodes`` (a,), and the sums, ``flows`` (a,) W.

    The edges of node number a are ``edges[start[a]:start[a + 1]]``; ``u`` is taken at ``at`` (a,) and, beyond the
    edges, at ``others``.
    """
    for number in nb.prange(len(nodes)):
        node, here, flow = nodes[number], u[at[number]], 0.0
        for k in range(start[number], start[number + 1]):
            flow += excess[edges[k]] * (u[others[k]] - here)
        flows[number] = flow
        out[node] += weight * (inverse[node] * flow)


@compiled
def _add_at(places: Index, mine: Index, excess: Real, out: Real) -> None:
    """Add to ``out`` at different ``places`` (f,) the ``excess`` (e,) of the edges ``mine`` (f,)."""
    for number in nb.prange(len(places)):
        out[places[number]] += excess[mine[number]]


@compiled_serial
def _add_to_ends(excess: Real, ends: Index, out: Real) -> None:
    """Add twice the ``excess`` of each edge at its ends."""
    for edge in range(len(excess)):
        out[ends[edge, 0]] += 2 * excess[edge]
        out[ends[edge, 1]] += 2 * excess[edge]


@compiled
def _extremes(rate: Real, rows: Index, sums: Array) -> None:
    """Largest rate, first and last node not at rest of some rows (r, 2), into what :func:`first_flow` says of them."""
    for number in nb.prange(len(rows)):
        i, j = rows[number, 0], rows[number, 1]
        row = rate[i + 1, j + 1]
        fastest, first, last = 0.0, len(row) - 1, 0
        for m in range(1, len(row) - 1):
            if row[m] != 0:
                fastest, first, last = max(fastest, abs(row[m])), min(first, m), m
        sums[i, j, 3], sums[i, j, 4], sums[i, j, 5] = fastest, first, last


@dataclass(frozen=True)
class _Around:
    """The edges around each node of a list, in one numbering of the nodes that values are taken at."""

    at: Index
    """(a,) the nodes"""
    others: Index
    """(2 e,) at the other ends of their edges"""


class CutFlows:
    """The list of one problem; arrays of nodes and cells are those of the padded grid."""

    def __init__(self, grid: Padded, cuts: CutConductivity) -> None:
        """``cuts``: edges in the numbering of the domain."""
        self._at = cuts.unfrozen.nodes
        self._ends = np.stack([grid.places(end) for end in self._at.T], axis=1).astype(np.int32)  # read at every stage
        begin = np.stack(np.unravel_index(self._at[:, 0], grid.shape), axis=1)
        along = np.stack(np.unravel_index(self._at[:, 1], grid.shape), axis=1) - begin
        self._grid, self._along = grid, list[tuple[Index, Index]]()
        self._edges = grid.nodes(), grid.nodes(), grid.nodes()
        self._icy_edges = self._edges if cuts.frozen is None else (grid.nodes(), grid.nodes(), grid.nodes())
        # padded node i lies between the padded cells i - 1 and i
        shape = tuple(count + 1 for count in grid.shape)
        self._cells = np.empty((len(begin), 4), np.int32)
        self._squares = np.empty(len(begin), grid.dtype)
        for axis in range(3):
            mine = np.flatnonzero(along[:, axis])
            self._along.append((self._ends[mine, 0], mine))
            for number, (one, two) in enumerate(product((0, 1), repeat=2)):
                cell = begin[mine] + np.insert([one, two], axis, 1)
                self._cells[mine, number] = np.ravel_multi_index(tuple(cell.T), shape)
            self._squares[mine] = grid.inverse_squares[axis][begin[mine, axis] + 1]
        rows = np.zeros(grid.shape[:2], dtype=np.bool_)
        rows.ravel()[self._at.ravel() // grid.shape[2]] = True
        self._rows = np.argwhere(rows)
        self._solidus, self._liquidus = cuts.solidus - BODY_TEMPERATURE, cuts.liquidus - BODY_TEMPERATURE
        frozen = cuts.unfrozen.factors if cuts.frozen is None else cuts.frozen
        self._warm, self._frozen = ((part - 1.0).astype(grid.dtype) for part in (cuts.unfrozen.factors, frozen))
        self._largest = np.maximum(self._warm, self._frozen)
        self._none = np.zeros(0, grid.dtype)
        order = np.argsort(self._ends.T.ravel(), kind="stable")
        self._around = _ordered(self._ends, order), _ordered(self._at, order)
        self._edges_around = np.tile(np.arange(len(begin)), 2)[order]
        first = np.flatnonzero(np.diff(self._ends.T.ravel()[order], prepend=-1))
        self._start = np.append(first, 2 * len(begin))
        self._flows = np.empty(len(first))

    def unfrozen(self, kv: Real) -> Real:
        """(e,) W/K that unfrozen edges conduct beyond the mean of their cells; taken up for the stages without ice."""
        excess = self._of(kv, self._warm, self._none)
        self._fill(self._edges, kv, excess)
        return excess

    def _fill(self, edges: tuple[Real, Real, Real], kv: Real, excess: Real) -> None:
        _fill_edges(kv, *self._grid.inverse_squares, *edges)
        for g, (ends, mine) in zip(edges, self._along, strict=True):
            _add_at(ends, mine, excess, g.ravel())

    def linear_stage(self, work: tuple[Real, ...], weights: tuple[Number, ...], box: Box, sums: Array) -> None:
        """:func:`thermal.engines.heat_kernels.linear_stage` with the edges of unfrozen tissue.

        ``work``: sink, inverse, first, here, before; ``weights``: mu, nu, now, start.
        """
        gx, gy, gz = self._edges
        sink, inverse, first, here, before = work
        mu, nu, now, start = weights
        _linear_stage(gx, gy, gz, sink, inverse, first, here, before, mu, nu, now, start, box, sums)

    def phase_stage(
        self, kv: Real, theta: Real, work: tuple[Real, ...], weights: tuple[Number, ...], box: Box, sums: Array
    ) -> None:
        """:func:`thermal.engines.heat_kernels.phase_stage` with the edges of tissue at ``theta``.

        ``work``: steady, blood, sink, inverse, first, here, before; ``weights``: arterial, liquidus and those of the
        stage.
        """
        if self._icy_edges is not self._edges:
            self._fill(self._icy_edges, kv, self.with_ice(kv, theta))
        gx, gy, gz = self._icy_edges
        steady, blood, sink, inverse, first, here, before = work
        arterial, liquidus, mu, nu, now, start = weights
        _phase_stage(
            theta, gx, gy, gz, steady, blood, sink, arterial, liquidus, inverse, first, here, before,
            mu, nu, now, start, box, sums,
        )  # fmt: skip

    def with_ice(self, kv: Real, theta: Real) -> Real:
        """The same where ice is at the temperature ``theta`` (K above body temperature)."""
        return self._of(kv, self._warm, theta.ravel())

    def largest(self, kv: Real) -> Real:
        """The most that it can be while tissue freezes."""
        return self._of(kv, self._largest, self._none)

    def _of(self, kv: Real, factors: Real, theta: Real) -> Real:
        excess = np.empty_like(self._squares)
        levels = self._solidus, self._liquidus
        _excess(self._cells, self._squares, factors, self._frozen, self._ends, theta, *levels, kv.ravel(), excess)
        return excess

    def first(self, excess: Real, temperature: Array, inverse: Real, rate: Real, sums: Array) -> float:
        """Add to the ``rate`` (K/s) of the first flow at ``temperature`` (n,) and correct ``sums`` in its rows.

        Returns the heat into free nodes, W.
        """
        held = self._add(self._around[1], excess, temperature, inverse, rate.dtype.type(1.0), rate)
        _extremes(rate, self._rows, sums)
        return -held

    def _add(self, around: _Around, excess: Real, u: Real, inverse: Real, weight: Number, out: Real) -> float:
        """Add the flows to ``out``; returns those into nodes that are not free, W."""
        nodes, flat = self._around[0].at, inverse.ravel()
        _gather(
            self._start,
            self._edges_around,
            nodes,
            around.at,
            around.others,
            excess,
            u,
            flat,
            weight,
            out.ravel(),
            self._flows,
        )
        return float(self._flows[flat[nodes] == 0.0].sum())

    def bound(self, excess: Real, sink: Real) -> Real:
        """``sink`` (W/K) with what the edges add to twice the sum of each node's conductances."""
        more = sink.copy()
        _add_to_ends(excess, self._ends, more.ravel())
        return more


def _ordered(ends: Index, order: Index) -> _Around:
    """Both ends (e, 2) of all edges, each with the other end, in an ``order`` that puts those of a node together."""
    ones, others = ends.T.ravel()[order], ends[:, ::-1].T.ravel()[order]
    return _Around(ones[np.flatnonzero(np.diff(ones, prepend=-1))], others)
