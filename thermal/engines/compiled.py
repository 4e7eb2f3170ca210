"""How kernels are compiled: once, kept on disk, typed for the reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba as nb

_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compiled over all cores, kept on disk."""
    return cast(_Function, nb.njit(cache=True, parallel=True, fastmath={"contract"})(function))


def compiled_serial(function: _Function) -> _Function:
    """Compiled for one core (ordered sweeps, scatters along edges), kept on disk."""
    return cast(_Function, nb.njit(cache=True)(function))
