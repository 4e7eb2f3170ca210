"""Multigrid on meshes: smoothed aggregation by pyamg (P. Vanek, J. Mandel, M. Brezina, Computing 56 (1996) 179-196)."""

from __future__ import annotations

from typing import Any

from thermal.engines.linear import Apply
from thermal.units import Array

SMOOTHING = ("jacobi", {"weighting": "local"})
"""Each row of the prolongation is damped by its own bound of the spectrum. The default, one estimate for all rows from
random vectors of the process, makes results differ from run to run and takes most of the time of the set-up; on 20
systems of tetrahedra, heterogeneous and with slivers, it also needed 4 to 17 % more iterations."""


def v_cycle(matrix: Any, modes: Array | None = None) -> Apply:
    """One V-cycle of a symmetric sparse matrix (n, n); ``modes`` (n, q): what it resists least, constants if absent."""
    import pyamg  # slow to import, and heat needs none of it

    cycle = pyamg.smoothed_aggregation_solver(matrix, B=modes, smooth=SMOOTHING).aspreconditioner(cycle="V")
    apply: Apply = cycle.matvec
    return apply
