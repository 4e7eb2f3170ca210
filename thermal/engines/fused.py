"""Vector updates of conjugate gradients that read and write each array once.

Sums are taken over blocks of fixed size, so they do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np

from thermal.engines.compiled import compiled_shared
from thermal.units import Array, Mask

BLOCK = 8192
"""Nodes summed at once."""


@compiled_shared
def finish(begin: int, end: int, image: Array, diagonal: Array, u: Array, free: Mask) -> None:
    """``image += diagonal * u`` on the ``free`` nodes, zero elsewhere."""
    for i in range(begin, end):
        image[i] = image[i] + diagonal[i] * u[i] if free[i] else 0.0


@compiled_shared
def _pair_parts(begin: int, end: int, z: Array, image: Array, residual: Array, parts: Array) -> None:
    for block in range(begin, end):
        one, other = 0.0, 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, z.size)):
            one += z[i] * image[i]
            other += z[i] * residual[i]
        parts[block, 0] = one
        parts[block, 1] = other


@compiled_shared
def turn(begin: int, end: int, direction: Array, gain: float, z: Array) -> None:
    """``direction = z + gain * direction``."""
    for i in range(begin, end):
        direction[i] = z[i] + gain * direction[i]


@compiled_shared
def _advance_parts(
    begin: int, end: int, x: Array, residual: Array, direction: Array, image: Array, step: float, parts: Array
) -> None:
    for block in range(begin, end):
        total = 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, x.size)):
            x[i] += step * direction[i]
            left = residual[i] - step * image[i]
            residual[i] = left
            total += left * left
        parts[block, 0] = total


@compiled_shared
def _largest_parts(begin: int, end: int, u: Array, parts: Array) -> None:
    for block in range(begin, end):
        largest = 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, u.size)):
            largest = max(largest, abs(u[i]))
        parts[block, 0] = largest


def _blocks(u: Array, sums: int) -> Array:
    return np.empty((-(-u.size // BLOCK), sums))


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


def largest(u: Array) -> float:
    """Largest absolute value."""
    parts = _blocks(u, 1)
    _largest_parts(0, len(parts), u, parts)
    return float(parts.max(initial=0.0))
