"""Islands: parts of a body between which nothing flows.

A steady field has a level on an island that holds a prescribed value or takes up what flows in (a positive diagonal).
On any other, what is put in must be taken out again, and the field is known but for a constant. A node that conducts to
no other and takes up nothing has no equation at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from thermal.engine import NotConvergedError, Operator, inner
from thermal.engines.compiled import compiled_inline, compiled_serial
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""
Labels = npt.NDArray[np.int32]
"""(n,) for each node the first node of its island."""

Add = Callable[[Any], Any]
"""Sum over the processes of a parallel run of a number or an array of which each has its part."""

BALANCED = 1e-12
"""Sum of what is put into an island, in parts of the norm of all that is put in anywhere, that counts as none."""


@runtime_checkable
class Joined(Protocol):
    """An operator that knows which nodes conduct to each other."""

    def islands(self) -> Labels:
        """(n,) for each node the first one that it is connected with."""
        ...


@compiled_inline
def _first(label: Labels, node: int) -> int:
    """The first node that ``node`` is known to be connected with; the way there is halved for the next who asks."""
    while label[node] != node:
        label[node] = label[label[node]]
        node = label[node]
    return node


@compiled_serial
def join_neighbours(g: Array, start: int, rows: int, columns: int, stride: int, label: Labels) -> None:
    """Join what edges ``g`` (a, b, c) of a grid connect to nodes ``stride`` further on: those of the box from node
    ``start`` on, in planes of ``rows`` times ``columns`` nodes. A ``label`` is an earlier node of the island, or the
    node itself."""
    for i in range(g.shape[0]):
        for j in range(g.shape[1]):
            row = start + (i * rows + j) * columns
            for m in range(g.shape[2]):
                if g[i, j, m] != 0.0:
                    one, other = _first(label, row + m), _first(label, row + m + stride)
                    label[max(one, other)] = min(one, other)


@compiled_serial
def join_edges(edges: Index, g: Array, label: Labels) -> None:
    """Join what ``edges`` (e, 2) with conductances ``g`` (e,) connect; see :func:`join_neighbours`."""
    for edge in range(len(edges)):
        if g[edge] != 0.0:
            one, other = _first(label, edges[edge, 0]), _first(label, edges[edge, 1])
            label[max(one, other)] = min(one, other)


@compiled_serial
def settle(label: Labels) -> None:
    """Let every node name the first one of its island; earlier ones are settled before."""
    for node in range(len(label)):
        label[node] = label[label[node]]


def by_itself(part: Any) -> Any:
    """The sum of a run on one process."""
    return part


def stranded(load: Array, idle: Index, largest: float) -> Index:
    """Those of the ``idle`` nodes that carry some of a ``load`` (n,) of which the ``largest`` is so much."""
    return idle[np.abs(load[idle]) > BALANCED * largest]


def stranded_error(count: int, total: int, first: int, load: float) -> ValueError:
    """What to say of ``count`` of ``total`` nodes, the ``first`` with so much of the ``load``."""
    return ValueError(
        f"{count} of {total} nodes carry a load but conduct to no other node, take up nothing and have no prescribed "
        f"value, the first is node {first} with {load:g}: it cannot go anywhere; let the tissue there conduct, or put "
        "the load into tissue that does"
    )


def alone(count: int) -> Labels:
    """(n,) labels of nodes that are all by themselves."""
    return np.arange(count, dtype=np.int32)


def of_grid(shape: tuple[int, int, int], links: Iterable[tuple[tuple[int, int, int], Array]]) -> Labels:
    """(n,) of a grid of this ``shape`` of nodes; ``links``: offsets between nodes, each with the conductances of all
    pairs so far apart."""
    _, rows, columns = shape
    label = alone(math.prod(shape))
    for (x, y, z), g in links:
        start = (max(-x, 0) * rows + max(-y, 0)) * columns + max(-z, 0)
        join_neighbours(np.ascontiguousarray(g), start, rows, columns, (x * rows + y) * columns + z, label)
    settle(label)
    return label


@dataclass(frozen=True)
class Floating:
    """Islands without a level. ``number`` (n,): which of them a node belongs to, ``len(size)`` for nodes of others;
    ``size`` (k,) nodes of each, and the ``first`` (k,) of them. ``add`` sums over the processes of a parallel run, each
    of which has a part of the nodes."""

    number: Index
    size: Array
    first: Index
    add: Add = by_itself

    @staticmethod
    def of(operator: Operator, diagonal: Array, free: Mask, held: Mask) -> Floating | None:
        """Those of the nodes ``free`` (n,), beside nodes ``held`` (n,); None if there are none."""
        level = held | (free & (diagonal > 0.0))
        if not np.any(free & ~level):
            return None
        assert isinstance(operator, Joined)
        label = operator.islands()
        has_level = np.zeros(len(label), dtype=bool)
        has_level[label[level]] = True
        without = free & ~has_level[label]
        first = np.flatnonzero(without & (label == np.arange(len(label))))
        if len(first) == 0:
            return None
        number = (~without).astype(np.int64)
        if len(first) > 1:
            number[first] = np.arange(len(first))
            number = np.where(without, number[label], len(first))
        return Floating(number, np.bincount(number, minlength=len(first) + 1)[:-1].astype(float), first)

    @cached_property
    def _one(self) -> Array | None:
        """(n,) of the norm 1, a constant on the island if it is one alone: sums take no table then."""
        return (self.number == 0) / np.sqrt(self.size[0]) if len(self.size) == 1 else None

    def level(self, u: Array) -> Array:
        """(n,) mean of ``u`` (n,) over the island of each node; zero at nodes of others."""
        if self._one is not None:
            return np.asarray(self._one * self.add(inner(self._one, u)))
        return np.asarray(np.append(self._sums(u) / self.size, 0.0)[self.number])

    def check(self, load: Array, tolerance: float) -> None:
        """Raise ``NotConvergedError`` unless what is put in (n,) balances on each, to the ``tolerance`` of a solve."""
        left, norm = self._sums(load) / np.sqrt(self.size), np.sqrt(self._sums(load * load))
        allowed = np.maximum(tolerance * norm, BALANCED * float(np.sqrt(self.add(inner(load, load)))))
        if not np.any(np.abs(left) > allowed):
            return
        worst = int(np.argmax(np.abs(left) - allowed))
        raise NotConvergedError(
            f"the sources do not balance (their sum is {abs(left[worst]) / norm[worst]:.1e} of their norm) on "
            f"{self.size[worst]:.0f} nodes around node {self.first[worst]} where nothing fixes the level of the "
            "solution, and nothing flows from there to where something does; hold it somewhere (a fixed boundary) or "
            "add an uptake term"
        )

    def _sums(self, u: Array) -> Array:
        """(k,) sums over the islands."""
        return np.asarray(self.add(np.bincount(self.number, u, len(self.size) + 1)[:-1]), dtype=float)
