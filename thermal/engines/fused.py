"""Vector updates of conjugate gradients that read and write each array once.

Sums are taken over blocks of fixed size, so they do not depend on the number of threads; within a block in the order
that suits the processor.
"""

from __future__ import annotations

import numpy as np

from thermal.engines.compiled import compiled_shared, compiled_shared_fast
from thermal.units import Array, Mask

BLOCK = 4096
"""Nodes summed at once."""


@compiled_shared
def finish(begin: int, end: int, image: Array, diagonal: Array, u: Array, free: Mask) -> None:
    """``image += diagonal * u`` on the ``free`` nodes, zero elsewhere."""
    row, extra, centre, kept = image[begin:end], diagonal[begin:end], u[begin:end], free[begin:end]
    for i in range(row.size):
        row[i] = row[i] + extra[i] * centre[i] if kept[i] else 0.0


@compiled_shared_fast
def _pair_parts(begin: int, end: int, z: Array, image: Array, residual: Array, parts: Array) -> None:
    for block in range(begin, end):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b, c = z[here], image[here], residual[here]
        one, other = 0.0, 0.0
        for i in range(a.size):
            one += a[i] * b[i]
            other += a[i] * c[i]
        parts[block, 0] = one
        parts[block, 1] = other


@compiled_shared
def turn(begin: int, end: int, direction: Array, gain: float, z: Array) -> None:
    """``direction = z + gain * direction``."""
    way, new = direction[begin:end], z[begin:end]
    for i in range(way.size):
        way[i] = new[i] + gain * way[i]


@compiled_shared_fast
def _advance_parts(
    begin: int, end: int, x: Array, residual: Array, direction: Array, image: Array, step: float, parts: Array
) -> None:
    for block in range(begin, end):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b, c, d = x[here], residual[here], direction[here], image[here]
        total = 0.0
        for i in range(a.size):
            a[i] += step * c[i]
            b[i] -= step * d[i]
        for i in range(b.size):
            total += b[i] * b[i]
        parts[block, 0] = total


@compiled_shared_fast
def _dot_parts(begin: int, end: int, one: Array, other: Array, parts: Array) -> None:
    for block in range(begin, end):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b = one[here], other[here]
        total = 0.0
        for i in range(a.size):
            total += a[i] * b[i]
        parts[block, 0] = total


def _blocks(u: Array, sums: int) -> Array:
    return np.empty((-(-u.size // BLOCK), sums))


def dot(one: Array, other: Array) -> float:
    """``one . other``."""
    parts = _blocks(one, 1)
    _dot_parts(0, len(parts), one, other, parts)
    return float(parts.sum())


def pair(z: Array, image: Array, residual: Array) -> tuple[float, float]:
    """``z . image`` and ``z . residual``."""
    parts = _blocks(z, 2)
    _pair_parts(0, len(parts), z, image, residual, parts)
    one, other = parts.sum(axis=0)
    return float(one), float(other)


def advance(x: Array, residual: Array, direction: Array, image: Array, step: float) -> float:
    """``x += step * direction``, ``residual -= step * image``; returns ``residual . residual``."""
    parts = _blocks(x, 1)
    _advance_parts(0, len(parts), x, residual, direction, image, step, parts)
    return float(parts.sum())
