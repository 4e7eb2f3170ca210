"""Conduction by a full tensor on voxels, without a negative conductance: edges that follow the tensor.

A symmetric positive tensor D, in units of the voxel's edges, is a sum ``D = sum_k lambda_k e_k e_k^T`` of at most six
integer offsets e_k with ``lambda_k >= 0``: the reduction of E. Selling (J. reine angew. Math. 77 (1874) 143), used so
for anisotropic diffusion by J. Fehrenbach, J.-M. Mirebeau (J. Math. Imaging Vis. 49 (2014) 123,
doi:10.1007/s10851-013-0446-3). A cell of volume V shares ``V lambda_k`` among the pairs of nodes e_k apart whose line
passes it, by the length of it that it holds; so the graph equation is symmetric, conserves, is exact for linear fields
in a uniform medium, and keeps maximum principles for tensors of any ratio and direction. Offsets along the voxel's own
edges and diagonals, which moderate ratios need, stay in the cell and are complete at borders, too. Longer ones are left
out where they would leave the body, and where they cross what hardly conducts (a line's conductance is that of its
parts in series), so a thin capsule is not jumped over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import lcm

import numba as nb
import numpy as np
import numpy.typing as npt

from thermal.engines.compiled import compiled, compiled_serial
from thermal.engines.islands import Labels, of_grid
from thermal.engines.streams import Offset, pairs
from thermal.units import Array

Codes = npt.NDArray[np.int64]

FARTHEST = 20
"""Cells along an axis that an offset may span: ratios of several hundred in the worst direction."""
ROUNDS = 200
SIGHT = 1e-12
"""Share of the trace below which a product of the reduction counts as zero."""
BASE = 2 * FARTHEST + 1


@compiled_serial
def _reduce(d: Array, values: Array, codes: Codes) -> bool:
    """Selling's decomposition of one tensor ``d`` (3, 3): values (6,) and coded offsets (6,); whether it was found."""
    b = np.zeros((4, 3))
    for axis in range(3):
        b[axis, axis] = 1.0
        b[3, axis] = -1.0
    small = SIGHT * (d[0, 0] + d[1, 1] + d[2, 2])
    obtuse = False
    for _ in range(ROUNDS):
        obtuse = True
        for i in range(4):
            for j in range(i + 1, 4):
                overlap = 0.0
                for p in range(3):
                    for q in range(3):
                        overlap += b[i, p] * d[p, q] * b[j, q]
                if obtuse and overlap > small:
                    for other in range(4):
                        if other not in (i, j):
                            b[other] += b[i]
                    b[i] = -b[i]
                    obtuse = False
        if obtuse:
            break
    place = 0
    for i in range(4):
        for j in range(i + 1, 4):
            overlap = 0.0
            for p in range(3):
                for q in range(3):
                    overlap += b[i, p] * d[p, q] * b[j, q]
            first, second = -1, -1
            for other in range(4):
                if other not in (i, j):
                    if first < 0:
                        first = other
                    else:
                        second = other
            code, sign = 0, 0
            for p in range(3):
                q, r = (p + 1) % 3, (p + 2) % 3
                part = int(np.rint(b[first, q] * b[second, r] - b[first, r] * b[second, q]))
                if sign == 0 and part != 0:
                    sign = 1 if part > 0 else -1
                if abs(part) > FARTHEST:
                    obtuse = False
                code = code * BASE + sign * part + FARTHEST
            values[place] = max(-overlap, 0.0)
            codes[place] = code
            place += 1
    return obtuse


@compiled_serial
def _decompose(k: Array, hx: Array, hy: Array, hz: Array, values: Array, codes: Codes) -> int:
    """Of every cell (m, 6) values times its volume, and codes; returns the first cell without any, or -1.

    ``k`` (m, 6): xx, yy, zz, yz, xz, xy; cells where xx is not positive conduct nothing.
    """
    d, cell = np.zeros((3, 3)), 0
    for i in range(len(hx)):
        for j in range(len(hy)):
            for m in range(len(hz)):
                t, volume = k[cell], hx[i] * hy[j] * hz[m]
                if t[0] > 0.0:
                    d[0, 0], d[1, 1], d[2, 2] = t[0] / hx[i] ** 2, t[1] / hy[j] ** 2, t[2] / hz[m] ** 2
                    d[1, 2] = d[2, 1] = t[3] / (hy[j] * hz[m])
                    d[0, 2] = d[2, 0] = t[4] / (hx[i] * hz[m])
                    d[0, 1] = d[1, 0] = t[5] / (hx[i] * hy[j])
                    if not _reduce(d, values[cell], codes[cell]):
                        return cell
                    values[cell] *= volume
                cell += 1
    return -1


def offset_of(code: int) -> Offset:
    """The offset of a code."""
    rest, z = divmod(code, BASE)
    x, y = divmod(rest, BASE)
    return x - FARTHEST, y - FARTHEST, z - FARTHEST


@dataclass(frozen=True)
class Piece:
    """A part of the line between two nodes: its ``share`` of the line, and the cells around it, counted from the cell
    above the first node; they share it evenly."""

    share: float
    cells: tuple[Offset, ...]


def pieces(offset: Offset) -> list[Piece]:
    """The line to the node ``offset`` away, cut where it passes from cell to cell."""
    count = lcm(*(abs(part) for part in offset if part))
    found: list[Piece] = []
    for number in range(count):
        sides = []
        for part in offset:
            place = part * (2 * number + 1) / (2 * count)
            sides.append((-1, 0) if part == 0 else (int(np.floor(place)),))
        cells = tuple((i, j, k) for i, j, k in product(*sides))
        if found and found[-1].cells == cells:
            found[-1] = Piece(found[-1].share + 1.0 / count, cells)
        else:
            found.append(Piece(1.0 / count, cells))
    return found


@dataclass(frozen=True)
class Link:
    """All pairs of nodes ``offset`` apart: ``conductance`` (nx, ny, nz) by the first of them, zero where there is no
    pair."""

    offset: Offset
    conductance: Array


def links(k: Array, spacings: tuple[Array, Array, Array]) -> list[Link]:
    """Links of the tensors ``k`` (m, 6) of cells with these edges. Raises ``ValueError`` for a tensor beyond reach."""
    cells = (len(spacings[0]), len(spacings[1]), len(spacings[2]))
    values, codes = np.zeros((len(k), 6)), np.zeros((len(k), 6), np.int64)
    lost = _decompose(np.ascontiguousarray(k), *spacings, values, codes)
    if lost >= 0:
        raise ValueError(
            f"the tensor {k[lost].tolist()} (xx, yy, zz, yz, xz, xy) is not positive, or so one-sided that its lines "
            f"would have to span more than {FARTHEST} voxels; lower the ratio of its principal values"
        )
    used = values > 0.0
    found = []
    for code in np.unique(codes[used]):
        offset = offset_of(int(code))
        amount = np.where(used & (codes == code), values, 0.0).sum(axis=1).reshape(cells)
        found.append(Link(offset, _gathered(offset, amount, k, spacings)))
    return found


def _gathered(offset: Offset, amount: Array, k: Array, spacings: tuple[Array, Array, Array]) -> Array:
    """(nx, ny, nz) conductances of one offset from the ``amount`` of each cell."""
    nodes = tuple(length + 1 for length in amount.shape)
    total = np.zeros(nodes)
    cut = pieces(offset)
    for piece in cut:
        for cell in piece.cells:
            _add(total, amount, cell, piece.share / len(piece.cells))
    if len(cut) > 1:
        ease = _ease(offset, k, spacings).reshape(amount.shape)
        mean, resistance = np.zeros(nodes), np.zeros(nodes)
        for piece in cut:
            here = np.zeros(nodes)
            for cell in piece.cells:
                _add(here, ease, cell, 1.0 / len(piece.cells))
            mean += piece.share * here
            resistance += np.divide(piece.share, here, out=np.full(nodes, np.inf), where=here > 0.0)
        open_line = np.isfinite(resistance)
        total[open_line] /= (mean * np.where(open_line, resistance, 0.0))[open_line]
        total[~open_line] = 0.0
    there = np.zeros(nodes, dtype=bool)
    there[pairs(nodes, offset)[0]] = True
    return np.where(there, total, 0.0)


def _add(total: Array, cells: Array, shift: Offset, share: float) -> None:
    """Add ``share`` of each cell to the node of which it is the cell ``shift`` on, in place."""
    here, there = [], []
    for length, part in zip(cells.shape, shift, strict=True):
        low, high = max(0, -part), min(length + 1, length - part)
        here.append(slice(low, max(low, high)))
        there.append(slice(low + part, max(low, high) + part))
    total[tuple(here)] += share * cells[tuple(there)]


def _ease(offset: Offset, k: Array, spacings: tuple[Array, Array, Array]) -> Array:
    """(m,) how well each cell conducts along the line: ``1 / (d . K^-1 d)`` up to a factor, d in m."""
    xx, yy, zz, yz, xz, xy = k.T
    hx, hy, hz = (h.reshape([-1 if a == b else 1 for b in range(3)]) for a, h in enumerate(spacings))
    shape = tuple(len(h) for h in spacings)
    dx, dy, dz = (np.broadcast_to(part * h, shape).ravel() for part, h in zip(offset, (hx, hy, hz), strict=True))
    determinant = xx * (yy * zz - yz**2) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    bent = (
        dx**2 * (yy * zz - yz**2) + dy**2 * (xx * zz - xz**2) + dz**2 * (xx * yy - xy**2)
        + 2.0 * (dx * dy * (xz * yz - xy * zz) + dx * dz * (xy * yz - xz * yy) + dy * dz * (xy * xz - xx * yz))
    )  # fmt: skip
    return np.asarray(np.divide(determinant, bent, out=np.zeros_like(bent), where=bent > 0.0))


@compiled
def _apply(offsets: Codes, g: Array, u: Array, out: Array) -> None:
    """``out_i = sum of G_ij (u_i - u_j)`` over the links (l, nx, ny, nz) of each node."""
    nx, ny, nz = u.shape
    for i in nb.prange(nx):
        for j in range(ny):
            row = out[i, j]
            row[:] = 0.0
            for number in range(len(offsets)):
                a, b, c = offsets[number, 0], offsets[number, 1], offsets[number, 2]
                if 0 <= i + a < nx and 0 <= j + b < ny:
                    for m in range(max(0, -c), nz - max(0, c)):
                        row[m] += g[number, i, j, m] * (u[i, j, m] - u[i + a, j + b, m + c])
                if 0 <= i - a < nx and 0 <= j - b < ny:
                    for m in range(max(0, c), nz - max(0, -c)):
                        row[m] += g[number, i - a, j - b, m - c] * (u[i, j, m] - u[i - a, j - b, m - c])


@compiled
def _squares(offsets: Codes, g: Array, u: Array, out: Array) -> None:
    """``out_i = sum of G_ij (u_i - u_j)^2 / 2`` over the links of each node."""
    nx, ny, nz = u.shape
    for i in nb.prange(nx):
        for j in range(ny):
            row = out[i, j]
            row[:] = 0.0
            for number in range(len(offsets)):
                a, b, c = offsets[number, 0], offsets[number, 1], offsets[number, 2]
                if 0 <= i + a < nx and 0 <= j + b < ny:
                    for m in range(max(0, -c), nz - max(0, c)):
                        row[m] += 0.5 * g[number, i, j, m] * (u[i, j, m] - u[i + a, j + b, m + c]) ** 2
                if 0 <= i - a < nx and 0 <= j - b < ny:
                    for m in range(max(0, c), nz - max(0, -c)):
                        row[m] += 0.5 * g[number, i - a, j - b, m - c] * (u[i, j, m] - u[i - a, j - b, m - c]) ** 2


@dataclass(frozen=True)
class ObliqueOperator:
    """Links of a voxel grid; see :class:`thermal.engine.Operator`. ``offsets`` (l, 3), ``conductances`` (l, nx, ny,
    nz); ``main``: conductances along the axes of the tensors' diagonals alone, for preconditioning."""

    offsets: Codes
    conductances: Array
    main: tuple[Array, Array, Array]

    @staticmethod
    def of(found: Sequence[Link], main: tuple[Array, Array, Array]) -> ObliqueOperator:
        """From links, one an offset."""
        offsets = np.array([link.offset for link in found], np.int64).reshape(-1, 3)
        return ObliqueOperator(offsets, np.stack([link.conductance for link in found]), main)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Nodes along each axis."""
        _, nx, ny, nz = self.conductances.shape
        return nx, ny, nz

    @cached_property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node."""
        out = self.conductances.sum(axis=0)
        for offset, g in self.links:
            low, high = pairs(self.shape, offset)
            out[high] += g[low]
        return np.asarray(out.ravel())

    @property
    def links(self) -> Iterator[tuple[Offset, Array]]:
        """Offsets with their conductances."""
        for offset, g in zip(self.offsets, self.conductances, strict=True):
            yield (int(offset[0]), int(offset[1]), int(offset[2])), g

    def islands(self) -> Labels:
        """See :class:`thermal.engines.islands.Joined`."""
        return of_grid(self.shape, ((offset, g[pairs(self.shape, offset)[0]]) for offset, g in self.links))

    @property
    def bound(self) -> Array:
        """(n,) b with ``u . K u <= sum b u^2`` (Gershgorin)."""
        return 2.0 * self.diagonal

    def __call__(self, u: Array) -> Array:
        """K u, (n,) -> (n,)."""
        out = np.empty(self.shape)
        _apply(self.offsets, self.conductances, np.ascontiguousarray(u).reshape(self.shape), out)
        return out.ravel()

    def dissipation(self, u: Array) -> Array:
        """(n,) half of ``G_ij (u_i - u_j)^2`` over the edges of each node."""
        out = np.empty(self.shape)
        _squares(self.offsets, self.conductances, np.ascontiguousarray(u).reshape(self.shape), out)
        return out.ravel()
