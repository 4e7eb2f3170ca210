"""What no operator can be made of is said, not solved: a node whose row is NaN would silently drop out of a solve."""

from __future__ import annotations

import numpy as np

from thermal.units import Array, Mask


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


def check_diagonal(diagonal: Array, active: Mask) -> None:
    """Raise ``ValueError`` unless what an operator is added to is finite at the ``active`` nodes (n,)."""
    if not np.isfinite(diagonal.sum()) and (bad := np.flatnonzero(active & ~np.isfinite(diagonal))).size:
        raise ValueError(
            f"the diagonal of a linear solve is infinite or NaN at {bad.size} of {len(diagonal)} nodes, the first is "
            f"node {bad[0]}; look for NaN in what takes up the field"
        )
