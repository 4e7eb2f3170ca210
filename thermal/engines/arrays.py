"""Names of what kernels work on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.units import Real

Number = np.floating[Any]
"""A number in the working precision: a Python float would pull the arithmetic up to double precision."""
Index = npt.NDArray[np.int64]
"""Numbers of nodes or planes."""
Box = npt.NDArray[np.int64]
"""Padded nodes (i0, i1, j0, j1, m0, m1), half-open."""
ONE = np.uint64(1)
"""The step to the next node in the stages: an unsigned index is never taken from the end, so that none is asked."""

__all__ = ["ONE", "Box", "Index", "Number", "Real"]
