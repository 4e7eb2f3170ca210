"""What no operator can be made of is said, not solved: a node whose row is NaN would silently drop out of a solve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from thermal.engine import NotConvergedError
from thermal.units import Array, Mask, Real

ROUND_OFF = 1e-10
"""Share of its largest entry by which a principal value of a tensor may be below zero."""


def check_coefficient(k: Array, count: int, solid: Mask | None = None) -> None:
    """Raise ``ValueError`` unless ``k`` is one finite number from zero up for each of ``count`` cells.

    Those of cells that are not ``solid`` (m,) do not matter.
    """
    if np.shape(k) != (count,):
        raise ValueError(f"a coefficient of shape {np.shape(k)} does not fit {count} cells; give one number a cell")
    if count and not 0.0 <= float(k.min()) <= float(k.max()) < np.inf:
        bad = np.flatnonzero(~((k >= 0.0) & (k < np.inf)) & (True if solid is None else solid))
        if bad.size:
            raise ValueError(
                f"{bad.size} of {count} cells have a coefficient that is negative, infinite or NaN, the first is cell "
                f"{bad[0]} with {k[bad[0]]:g}; conductivities are finite and not negative"
            )


def check_tensor(k: Array, count: int, solid: Mask | None = None) -> None:
    """Raise ``ValueError`` unless ``k`` (m, 6), as of :meth:`thermal.engine.Engine.tensor_conductance`, is a finite
    tensor without negative principal values for each of ``count`` cells; those not ``solid`` (m,) do not matter."""
    if np.shape(k) != (count, 6):
        raise ValueError(
            f"tensors of shape {np.shape(k)} do not fit {count} cells; give six numbers a cell: xx, yy, zz, yz, xz, xy"
        )
    xx, yy, zz, yz, xz, xy = k.T
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(k).max(axis=1, initial=0.0)
        pairs = ((xx, yy, xy), (yy, zz, yz), (xx, zz, xz))
        whole = xx * yy * zz + 2.0 * yz * xz * xy - xx * yz**2 - yy * xz**2 - zz * xy**2
        fit = (size < np.inf) & (k[:, :3].min(axis=1) >= 0.0) & (whole >= -ROUND_OFF * size**3)
        for one, other, mixed in pairs:
            fit &= one * other - mixed**2 >= -ROUND_OFF * size**2
    bad = np.flatnonzero(~fit & (True if solid is None else solid))
    if bad.size:
        raise ValueError(
            f"{bad.size} of {count} cells have a tensor that is infinite or NaN or not positive, the first is cell "
            f"{bad[0]} with {k[bad[0]].tolist()} (xx, yy, zz, yz, xz, xy); give finite ones without negative principal "
            "values"
        )


def check_diagonal(diagonal: Array, active: Mask) -> None:
    """Raise ``ValueError`` unless what an operator is added to is a finite number from zero up for each of the
    ``active`` nodes (n,)."""
    check_nodal(diagonal, len(active), "the diagonal of a linear solve")
    if float(diagonal.min(initial=0.0)) >= 0.0 and np.isfinite(diagonal.sum()):
        return
    bad = np.flatnonzero(active & ~((diagonal >= 0.0) & (diagonal < np.inf)))
    if bad.size:
        raise ValueError(
            f"the diagonal of a linear solve is negative, infinite or NaN at {bad.size} of {len(diagonal)} nodes, the "
            f"first is node {bad[0]} with {diagonal[bad[0]]:g}; what takes up the field is finite and not negative"
        )


def check_nodal(u: Real | Mask, count: int, what: str) -> None:
    """Raise ``ValueError`` unless ``u`` is one number for each of ``count`` nodes; ``what`` it is."""
    if np.shape(u) != (count,):
        raise ValueError(
            f"{what} has the shape {np.shape(u)}, which does not fit {count} nodes; give one number a node"
        )


def check_cells(k: Array, count: int) -> None:
    """Raise ``ValueError`` unless ``k`` is one number for each of ``count`` cells."""
    if np.shape(k) != (count,):
        raise ValueError(
            f"a field of cells has the shape {np.shape(k)}, which does not fit {count} cells; give one number a cell"
        )


def check_amounts(amount: Array, places: Array) -> None:
    """Raise ``ValueError`` unless there is one ``amount`` (q,) for each of the ``places`` (q, 3)."""
    if np.shape(amount) != (len(places),):
        raise ValueError(
            f"amounts of the shape {np.shape(amount)} do not fit {len(places)} points; give one number a point"
        )
    if not np.isfinite(np.sum(amount)) and (bad := np.flatnonzero(~np.isfinite(amount))).size:
        raise ValueError(
            f"{bad.size} of {len(places)} amounts are not finite, the first is number {bad[0]} with "
            f"{amount[bad[0]]:g}; look for NaN in what is shared among the nodes"
        )


def check_field(u: Array, count: int, level: float = 0.0) -> None:
    """Raise ``ValueError`` unless ``u`` is one number for each of ``count`` nodes, and for a ``level`` that nothing
    lies above or below."""
    check_nodal(u, count, "a field of nodes")
    if np.isnan(level):
        raise ValueError("the level is NaN, which nothing lies above or below; give a number")


def check_finite(u: Array, where: Mask, what: str) -> None:
    """Raise ``NotConvergedError`` unless ``u`` (n,) is finite at all nodes ``where`` (n,); ``what`` it is."""
    if np.isfinite(u.sum()):
        return
    bad = np.flatnonzero(where & ~np.isfinite(u))
    if bad.size:
        raise NotConvergedError(
            f"{what} of a linear solve is not finite at {bad.size} of {len(u)} nodes, the first is node {bad[0]} with "
            f"{u[bad[0]]:g}; look for NaN or infinity in what it is made of"
        )


def check_tolerance(tolerance: float) -> None:
    """Raise ``ValueError`` for what no relative residual can meet, or any does."""
    if not 0.0 < tolerance < 1.0:
        raise ValueError(
            f"the tolerance of a linear solve is {tolerance:g}; it is the residual over the right-hand side: give a "
            "number above zero and below one, e.g. 1e-9"
        )


def check_values(values: Mapping[str, float], regions: Mapping[str, Array]) -> None:
    """Raise ``ValueError`` unless each of the ``regions`` has a value that conducts."""
    missing = [name for name in regions if name not in values]
    if missing:
        raise ValueError(f"no value for the regions {', '.join(missing)}; give one for each region of the domain")
    for name in regions:
        if not 0.0 < values[name] < np.inf:
            raise ValueError(f"the value of the region {name} is {values[name]:g}; give a finite number above zero")
