"""Threads of the compiled kernels.

Intel's TBB hands work to whichever thread is free. With OpenMP every loop waits for all its threads: on cores that are
shared with other programs that is some milliseconds of waiting for each of thousands of loops.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files

LIBRARY = "libtbb.so.12"


def find_tbb() -> None:
    """Load the library of the package ``tbb``, which lies where the loader does not look; without it numba takes what
    it finds."""
    with suppress(PackageNotFoundError, OSError):
        for file in files("tbb") or ():
            if file.name == LIBRARY:
                ctypes.CDLL(os.path.realpath(file.locate()), mode=ctypes.RTLD_GLOBAL)
