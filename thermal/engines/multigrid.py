"""Black-box multigrid on tensor-product grids: the preconditioner of the voxel engine's steady solves.

A symmetric V(1,1) cycle in single precision that visits middle levels twice. Transfers follow the coefficients and
coarse operators are Galerkin products (:mod:`thermal.engines.blackbox`), so inclusions, needles and noise of any ratio
cost few iterations more than a uniform medium. A coarse grid merges pairs of neighbouring cells, and only those that
together are not wider than the cells of its level should be: from level to level these double, beginning with the
narrowest cell of all. So flat cells grow into cubes first, on graded grids as on uniform anisotropic ones:
semi-coarsening, place by place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thermal.engines import blackbox, fused, stencils
from thermal.engines.blackbox import CENTRE, Flags
from thermal.engines.stencils import Grid, Index
from thermal.units import Array, Mask

FEWEST_CELLS = 3
"""Along an axis that is coarsened no more."""
WIDEST = 1.2
"""Width of a merged cell over the nominal width of its level."""
MOST_NODES = 0.7
"""Nodes of a coarse grid over those of the finer one; where merging gains less, the width is doubled once more."""
TWICE = (2, 3)
"""Levels, the finest being 0, on which a cycle is done twice over: well conducting inclusions of a few cells are where
coarse operators are poorest, and up there a cycle is cheap. From 26 iterations to 15 on the worst medium tried."""
NULL = 1e-13
"""Eigenvalue of the coarsest operator, its diagonal scaled to one, that counts as zero (round-off of 64 unknowns)."""

Axes = tuple[Array, Array, Array]


@dataclass(frozen=True)
class _Axis:
    """One axis of a pair of grids, indices on padded grids."""

    fine: Index
    """of each coarse node: its fine node"""
    coarse: Index
    """of each fine node: the coarse node at it or before it"""
    between: Flags
    """of each fine node: whether it lies between two coarse ones"""

    @staticmethod
    def of(kept: Index, size: int) -> _Axis:
        """``kept``: the fine nodes, of ``size``, that are coarse ones; first and last among them."""
        fine = np.concatenate([[0], kept + 1, [size + 1]])
        nodes = np.arange(size + 2)
        coarse = np.searchsorted(fine, nodes, side="right") - 1
        return _Axis(fine, coarse, fine[coarse] != nodes)


@dataclass(frozen=True)
class _Down:
    """The way to the next coarser grid."""

    x: _Axis
    y: _Axis
    z: _Axis
    w: Grid

    def restrict(self, fine: Grid, coarse: Grid) -> None:
        blackbox.restrict(1, len(coarse) - 1, self.w, self.x.fine, self.y.fine, self.z.fine, fine, coarse)

    def prolong(self, coarse: Grid, fine: Grid) -> None:
        x, y = self.x, self.y
        blackbox.prolong(1, len(fine) - 1, self.w, x.coarse, y.coarse, self.z.fine, x.between, y.between, coarse, fine)


class _Level:
    """One grid: its operator, its smoother and room for a cycle."""

    def __init__(self, g: Grid, offsets: Index, s: Grid) -> None:
        self.g, self.offsets, self.s = g, offsets, s
        self.pivot, self.rhs, self.u, self.left = (np.zeros(s.shape, s.dtype) for _ in range(4))
        stencils.factor(1, len(s) - 1, g, offsets, s, self.pivot)
        self._turns = stencils.turns(len(s) - 2)

    def smooth_forwards(self, *, fresh: bool) -> None:
        """One sweep on ``u``, or on zero if it is ``fresh``."""
        odd, even, between = self._turns
        self._smooth(odd, even, False, fresh)
        self._smooth(np.zeros_like(between), between, False, fresh)

    def smooth_backwards(self) -> None:
        """The same sweep in the opposite order."""
        odd, even, between = self._turns
        self._smooth(np.zeros_like(between), between, True, False)
        self._smooth(even, odd, True, False)

    def _smooth(self, first: Index, second: Index, backwards: bool, fresh: bool) -> None:
        stencils.smooth(
            0, len(first), first, second, self.g, self.offsets, self.pivot, self.rhs, self.u, backwards, fresh
        )

    def coarsened(self, kept: tuple[Index, Index, Index]) -> tuple[_Down, _Level]:
        """Transfers to the grid of the ``kept`` nodes, and its Galerkin operator."""
        x, y, z = (_Axis.of(nodes, size - 2) for nodes, size in zip(kept, self.s.shape, strict=True))
        shape = (len(x.fine), len(y.fine), len(z.fine))
        down = _Down(x, y, z, np.zeros((27, *shape), self.s.dtype))
        solved = self.pivot[np.ix_(x.fine[1:-1], y.fine[1:-1], z.fine[1:-1])] > 0
        down.w[CENTRE, 1:-1, 1:-1, 1:-1] = solved
        lost = self.u
        for order in (1, 2, 3):
            blackbox.interpolate(
                1, len(lost) - 1, self.g, self.offsets, self.s, x.coarse, y.coarse, z.coarse,
                x.between, y.between, z.between, order, down.w, lost,
            )  # fmt: skip
        coarse = np.zeros((len(stencils.ALL), *shape), self.s.dtype)
        blackbox.galerkin(1, shape[0] - 1, self.g, self.offsets, self.s, x.fine, y.fine, z.fine, down.w, coarse)
        # row sums of the coarse operator, without cancellation: W 1 = 1 - lost, so W' A W 1 = W' (s - A lost)
        held = np.zeros(shape, self.s.dtype)
        stencils.residual(1, len(self.u) - 1, self.g, self.offsets, self.s, self.s, lost, self.left)
        down.restrict(self.left, held)
        return down, _Level(coarse, stencils.ALL, held)

    def inverse(self) -> Array:
        """(n, n) pseudo-inverse, for a grid of a few nodes."""
        inner = (slice(1, -1),) * 3
        numbers = np.full(self.s.shape, -1)
        numbers[inner] = np.arange(self.s[inner].size).reshape(self.s[inner].shape)
        matrix = np.diag(self.s[inner].ravel().astype(np.float64))
        for along, offset in zip(self.g, self.offsets, strict=True):
            here = np.argwhere((along != 0.0) & (numbers >= 0))
            value = along[tuple(here.T)].astype(np.float64)
            one, other = numbers[tuple(here.T)], numbers[tuple((here + offset).T)]
            for row, column, sign in ((one, other, -1), (other, one, -1), (one, one, 1), (other, other, 1)):
                np.add.at(matrix, (row, column), sign * value)
        main = np.sqrt(np.maximum(np.diag(matrix), 0.0))
        scale = np.divide(1.0, main, out=np.zeros_like(main), where=main > 0)
        scaling = np.outer(scale, scale)
        return np.asarray(np.linalg.pinv(matrix * scaling, rcond=NULL, hermitian=True) * scaling)


def _kept(axis: Array, width: float) -> Index:
    """Nodes left when neighbouring cells are merged in pairs, where they are not wider than ``width`` together."""
    last = len(axis) - 1
    if last <= FEWEST_CELLS:
        return np.arange(last + 1)
    kept = [0]
    while kept[-1] < last:
        node = kept[-1]
        pair = node + 2 <= last and axis[node + 2] - axis[node] <= width
        kept.append(node + 2 if pair else node + 1)
    return np.array(kept)


def _kept_from_the_end(axis: Array, width: float) -> Index:
    """As :func:`_kept`, paired from the other end."""
    return (len(axis) - 1 - _kept(-axis[::-1], width))[::-1]


def _merged(axes: Axes, width: float, depth: int) -> tuple[tuple[Index, Index, Index], float]:
    """The nodes kept by the next grid of nominal ``width`` or more, and the width that it took.

    Pairs are counted from alternate ends, so that a cell left over is merged one level later and stays no thin slice.
    """
    nodes = np.prod([float(len(axis)) for axis in axes])
    span = max(float(axis[-1] - axis[0]) for axis in axes)
    keep = _kept_from_the_end if depth % 2 else _kept
    while True:
        kept = (keep(axes[0], WIDEST * width), keep(axes[1], WIDEST * width), keep(axes[2], WIDEST * width))
        if width > span or np.prod([float(len(nodes)) for nodes in kept]) <= MOST_NODES * nodes:
            return kept, width
        width *= 2.0


class Multigrid:
    """A cycle for ``(K + diag) u = r`` on the free nodes of a voxel grid; call it on a residual (n,)."""

    def __init__(self, axes: Axes, conductances: tuple[Array, Array, Array], diagonal: Array, free: Mask) -> None:
        """``conductances`` of the edges along x, y, z; ``diagonal`` (n,) added to K, ``free`` (n,) nodes solved for."""
        self._shape = (len(axes[0]), len(axes[1]), len(axes[2]))
        extra, mask = diagonal.reshape(self._shape), free.reshape(self._shape)
        largest = max(float(np.max(values, initial=0.0)) for values in (*conductances, extra))
        self._scale = 1.0 / largest if largest > 0.0 else 1.0  # conductances in SI may be too small for float32
        padded = (self._shape[0] + 2, self._shape[1] + 2, self._shape[2] + 2)
        g, s = np.zeros((3, *padded), np.float32), np.zeros(padded, np.float32)
        stencils.load(0, self._shape[0], *conductances, extra, mask, self._scale, g, s)
        self._levels = [_Level(g, stencils.SEVEN, s)]
        self._down: list[_Down] = []
        width = 2.0 * min(float(np.diff(axis).min()) for axis in axes)
        while any(len(axis) - 1 > FEWEST_CELLS for axis in axes):
            kept, width = _merged(axes, width, len(self._down))
            width *= 2.0
            down, level = self._levels[-1].coarsened(kept)
            self._down.append(down)
            self._levels.append(level)
            axes = (axes[0][kept[0]], axes[1][kept[1]], axes[2][kept[2]])
        self._coarsest = self._levels[-1].inverse()
        self._result = np.empty(self._shape, np.float32)

    def __call__(self, residual: Array) -> Any:
        """Approximate solution of one cycle from zero, (n,) -> (n,) float32; the next call overwrites it."""
        top = self._levels[0]
        size = float(np.sqrt(fused.dot(residual, residual)))
        if size == 0.0:
            self._result[...] = 0.0
            return self._result.ravel()
        stencils.enter(0, self._shape[0], residual.reshape(self._shape), 1.0 / size, top.rhs)
        self._cycle(0)
        stencils.leave(0, self._shape[0], top.u, size * self._scale, self._result)
        return self._result.ravel()

    def _cycle(self, depth: int) -> None:
        """Solve the level for its ``rhs``, roughly: ``u`` from nothing."""
        level = self._levels[depth]
        if depth == len(self._down):
            inner = level.u[1:-1, 1:-1, 1:-1]
            inner[...] = (self._coarsest @ level.rhs[1:-1, 1:-1, 1:-1].ravel()).reshape(inner.shape)
            return
        down, below = self._down[depth], self._levels[depth + 1]
        for again in range(2 if depth in TWICE else 1):
            level.smooth_forwards(fresh=not again)
            stencils.residual(1, len(level.u) - 1, level.g, level.offsets, level.s, level.rhs, level.u, level.left)
            down.restrict(level.left, below.rhs)
            self._cycle(depth + 1)
            down.prolong(below.u, level.u)
            level.smooth_backwards()
