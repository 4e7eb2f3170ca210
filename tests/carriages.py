"""Carriages for tests: tissue that does nothing to particles, changed as a test wants it."""

from __future__ import annotations

from typing import Any

import numpy as np

from thermal.carriage import Cargo, Carriage
from thermal.units import Array


def carriage(capacity: Array, **changes: Any) -> Carriage:
    """Pores of ``capacity`` (n,) m3 in which particles only move."""
    zero = np.zeros_like(capacity)
    plain: dict[str, Any] = {
        "inflow": zero,
        "inlet": zero,
        "leaving": zero,
        "loss": zero,
        "fixed": zero > 0,
        "sticking": zero,
        "room": zero + np.inf,
    }
    return Carriage(capacity, **{**plain, **changes})


def cargo(concentration: Array) -> Cargo:
    """Mobile particles alone."""
    found = Cargo.empty(len(concentration))
    found.concentration[:] = concentration
    return found
