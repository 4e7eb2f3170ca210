"""Transport on the engines: the edges of the part of the domain that particles have reached, and the march on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from thermal.carriage import Cargo, Carriage
from thermal.engines import carrying
from thermal.engines.carrying import Index, Unsigned
from thermal.units import Array, Mask

DRY = 1e-9
"""Concentration over the highest one at which a node at the rim of a region counts as reached: the region then
grows."""


@dataclass(frozen=True)
class Edges:
    """Edges of a region, each once, with node numbers in the region.

    ``flow`` (e,) m3/s of fluid from ``up`` to ``down``, not negative; ``exchange`` (e,) m3/s of its diffusion.
    """

    up: Unsigned
    down: Unsigned
    flow: Array
    exchange: Array

    @staticmethod
    def directed(i: Index, j: Index, flux: Array, exchange: Array) -> Edges:
        """From signed fluxes i -> j; edges on which nothing happens are left out."""
        alive = (flux != 0.0) | (exchange != 0.0)
        i, j, flux = i[alive], j[alive], flux[alive]
        forward = flux >= 0.0
        up, down = np.where(forward, i, j), np.where(forward, j, i)
        return Edges(up.astype(np.uint32), down.astype(np.uint32), np.abs(flux), exchange[alive])


class Region(Protocol):
    """A part of the domain with the edges inside it."""

    @property
    def nodes(self) -> Index | slice:
        """Nodes (k,) of the domain, in the order of the region."""
        ...

    @property
    def points(self) -> Array:
        """(k, 3) m."""
        ...

    @property
    def rim(self) -> Mask:
        """(k,) nodes beyond which the domain goes on."""
        ...

    def edges(self) -> Edges:
        """The edges between its nodes."""
        ...

    def grown(self, reached: Mask) -> Region:
        """A larger region, as particles have ``reached`` (k,) nodes of the rim."""
        ...


@dataclass
class Streams:
    """See :class:`thermal.carriage.Transport`. ``first``: the region that holds all ``starts`` (n,)."""

    carriage: Carriage
    count_outflow: Callable[[], Array]
    uphill_share: float
    first: Callable[[Mask], Region]
    _march: _March | None = None

    @property
    def outflow(self) -> Array:
        """See :class:`thermal.carriage.Transport`."""
        return self.count_outflow()

    def advance(self, cargo: Cargo, step: float) -> None:
        """See :meth:`thermal.carriage.Transport.advance`."""
        if self._march is None:
            carriage = self.carriage
            brings = carriage.inflow * carriage.inlet > 0.0
            starts = (cargo.concentration > 0) | (cargo.stuck > 0) | (brings & ~carriage.fixed)
            if not starts.any():
                return
            self._march = _March(carriage, self.first(starts))
        while not self._march.advance(cargo, step):
            self._march = _March(self.carriage, self._march.grown())


class _March:
    """The march on one region."""

    def __init__(self, carriage: Carriage, region: Region) -> None:
        self._region = region
        nodes, whole = region.nodes, carriage
        speed = whole.speed
        self._capacity = np.ascontiguousarray(whole.capacity[nodes])
        self._inflow = speed * whole.inflow[nodes]
        self._inlet = whole.inlet[nodes] / speed
        self._leaving = speed * whole.leaving[nodes]
        self._fixed = np.ascontiguousarray(whole.fixed[nodes])
        self._loss, self._sticking = whole.loss[nodes], whole.sticking[nodes]
        self._room = np.ascontiguousarray(whole.room[nodes])
        self._loosening = whole.loosening
        edges = region.edges()
        if np.any((edges.flow > 0.0) & (self._capacity[edges.up] <= 0.0)):
            raise ValueError("fluid crosses nodes without pore volume; give every tissue it crosses a porosity above 0")
        flow = speed * edges.flow
        points = region.points
        exchange = edges.exchange
        if whole.dispersivity > 0.0:
            length = np.linalg.norm(points[edges.down] - points[edges.up], axis=1)
            exchange = exchange + whole.dispersivity * flow / length
        self._graph = (edges.up, edges.down, flow, exchange)
        self._start, self._edge = carrying.neighbourhood(edges.up, edges.down, len(self._capacity))
        self._behind, self._ratio = np.empty(len(flow), np.int32), np.empty(len(flow), np.float32)
        carrying.continuations(edges.up, edges.down, flow, points, self._start, self._edge, self._behind, self._ratio)
        self._pace = np.zeros(len(self._capacity))
        carrying.pace(*self._graph, self._inflow, self._leaving, self._capacity, self._pace)
        self._reached: Mask = np.zeros(len(self._capacity), dtype=bool)

    def grown(self) -> Region:
        """The region that the last, refused step asks for."""
        return self._region.grown(self._reached)

    def advance(self, cargo: Cargo, step: float) -> bool:
        """Do the step unless particles come to the rim; whether it was done."""
        nodes = self._region.nodes
        c, stuck, left, lost = (np.array(a[nodes]) for a in (cargo.concentration, cargo.stuck, cargo.left, cargo.lost))
        level = np.empty(len(c), np.int64)
        carrying.levels_of(self._pace, step, self._fixed, level)
        finest = int(level.max(initial=0))
        of_edge = carrying.edge_levels(*self._graph[:2], level)
        half = 0.5 * step / 2.0**level
        held = carrying.carry(
            *self._graph, self._start, self._edge, self._behind, self._ratio, self._pace, level,
            *carrying.listed(level, finest + 1), *carrying.listed(of_edge, finest + 1),
            self._capacity, self._inflow, self._inlet, self._leaving, self._fixed,
            self._sticking * half, -np.expm1(-self._loss * half), -np.expm1(-self._loosening * half),
            self._room, step, c, stuck, left, lost,
        )  # fmt: skip
        self._reached = self._region.rim & (c > DRY * float(c.max(initial=0.0)))
        if self._reached.any():
            return False
        cargo.concentration[nodes], cargo.stuck[nodes] = c, stuck
        cargo.left[nodes], cargo.lost[nodes] = left, lost
        cargo.held += held
        return True


Offset = tuple[int, int, int]


def pairs(size: Sequence[int], offset: Offset) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of a grid of this size to the first and to the second of all pairs of nodes ``offset`` apart."""
    low = tuple(
        slice(max(0, -part), max(0, -part, length - max(0, part))) for length, part in zip(size, offset, strict=True)
    )
    high = tuple(slice(s.start + part, s.stop + part) for s, part in zip(low, offset, strict=True))
    return low, high


MARGIN = 5
"""Layers of nodes around what is reached that a region begins with."""
GROWTH = 0.12
"""Part of its width by which a region grows where its rim is reached."""


@dataclass(frozen=True)
class Box:
    """A box of a voxel grid: nodes ``lower`` to ``upper`` (exclusive) along each axis."""

    grid: VoxelFlow
    lower: tuple[int, int, int]
    upper: tuple[int, int, int]

    @cached_property
    def nodes(self) -> Index:
        """Nodes of the box in C order."""
        along = [np.arange(a, b) for a, b in zip(self.lower, self.upper, strict=True)]
        i, j, k = np.ix_(*along)
        _, ny, nz = self.grid.shape
        return np.asarray((i * ny + j) * nz + k).ravel()

    @cached_property
    def points(self) -> Array:
        """(k, 3) m."""
        along = [axis[a:b] for axis, a, b in zip(self.grid.axes, self.lower, self.upper, strict=True)]
        return np.stack([a.ravel() for a in np.meshgrid(*along, indexing="ij")], axis=1)

    @cached_property
    def rim(self) -> Mask:
        """Its outer layer, but where the grid ends there too."""
        size = [b - a for a, b in zip(self.lower, self.upper, strict=True)]
        rim = np.zeros(size, dtype=bool)
        for axis in range(3):
            moved = np.moveaxis(rim, axis, 0)
            if self.lower[axis] > 0:
                moved[0] = True
            if self.upper[axis] < self.grid.shape[axis]:
                moved[-1] = True
        return rim.ravel()

    def edges(self) -> Edges:
        """The links of the grid with both ends in the box."""
        size = [b - a for a, b in zip(self.lower, self.upper, strict=True)]
        numbers = np.arange(len(self.nodes)).reshape(size)
        box = tuple(slice(a, b) for a, b in zip(self.lower, self.upper, strict=True))
        pressure = self.grid.pressure.reshape(self.grid.shape)[box]
        parts = []
        for offset in {**self.grid.conductances, **self.grid.diffusion}:
            low, high = pairs(size, offset)
            if numbers[low].size == 0:
                continue
            here = tuple(slice(s.start + a, s.stop + a) for s, a in zip(low, self.lower, strict=True))
            g, spread = self.grid.conductances.get(offset), self.grid.diffusion.get(offset)
            flux = np.zeros(numbers[low].shape) if g is None else g[here] * (pressure[low] - pressure[high])
            exchange = np.zeros_like(flux) if spread is None else np.ascontiguousarray(spread[here])
            parts.append(Edges.directed(numbers[low].ravel(), numbers[high].ravel(), flux.ravel(), exchange.ravel()))
        names = ("up", "down", "flow", "exchange")
        return Edges(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def grown(self, reached: Mask) -> Box:
        """Wider on the sides that are reached."""
        size = [b - a for a, b in zip(self.lower, self.upper, strict=True)]
        there = reached.reshape(size)
        lower, upper = list(self.lower), list(self.upper)
        for axis in range(3):
            more = max(MARGIN, int(GROWTH * size[axis]))
            moved = np.moveaxis(there, axis, 0)
            if moved[0].any():
                lower[axis] = max(0, lower[axis] - more)
            if moved[-1].any():
                upper[axis] = min(self.grid.shape[axis], upper[axis] + more)
        return Box(self.grid, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))


@dataclass(frozen=True)
class VoxelFlow:
    """The flow on a voxel grid: pressure (n,), and by offset the conductances of the links between nodes that far apart
    and those of the diffusion, at the first node of each."""

    axes: tuple[Array, Array, Array]
    pressure: Array
    conductances: Mapping[Offset, Array]
    diffusion: Mapping[Offset, Array]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Nodes along each axis."""
        x, y, z = self.axes
        return len(x), len(y), len(z)

    def outflow(self) -> Array:
        """(n,) volume flow that leaves each node along its links, m3/s."""
        out, pressure = np.zeros(self.shape), self.pressure.reshape(self.shape)
        for offset, g in self.conductances.items():
            low, high = pairs(self.shape, offset)
            flux = g[low] * (pressure[low] - pressure[high])
            out[low] += np.maximum(flux, 0.0)
            out[high] += np.maximum(-flux, 0.0)
        return out.ravel()

    def around(self, starts: Mask) -> Box:
        """The box of these nodes (n,) with its margin."""
        there = starts.reshape(self.shape)
        lower, upper = [], []
        for axis in range(3):
            along = np.flatnonzero(there.any(axis=tuple(a for a in range(3) if a != axis)))
            lower.append(max(0, int(along[0]) - MARGIN))
            upper.append(min(self.shape[axis], int(along[-1]) + 1 + MARGIN))
        return Box(self, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))


@dataclass(frozen=True)
class WholeGraph:
    """The whole of a mesh, whose nodes know no box."""

    points: Array
    all_edges: Edges

    @property
    def nodes(self) -> slice:
        """All."""
        return slice(None)

    @property
    def rim(self) -> Mask:
        """None."""
        return np.zeros(len(self.points), dtype=bool)

    def edges(self) -> Edges:
        """All."""
        return self.all_edges

    def grown(self, reached: Mask) -> WholeGraph:
        """Itself."""
        return self
