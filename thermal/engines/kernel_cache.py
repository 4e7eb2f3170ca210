"""Where compiled kernels are kept: on disk, by numba, but safe for processes that start together.

numba (up to 0.68 at least) numbers the variants of a kernel and does not lock its index. Two processes that compile the
same kernel for other types at the same moment can take the same number, and then one variant is found under the name of
the other: columns of a matrix are read as its rows. Here a variant is named by what it is, and is written before the
index tells of it; what the index loses to another process is compiled once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.serialize import dumps


class Variants(IndexDataCacheFile):  # type: ignore[misc]  # untyped in numba
    """The variants of one kernel, each in a file of its own, and the index that finds them by their types."""

    def save(self, key: Any, data: Any) -> None:
        """Keep a variant. Where nothing can be written (a full disk), it is not kept."""
        name = self._data_name(int.from_bytes(hashlib.sha256(dumps((self._source_stamp, key))).digest()[:8]))
        with suppress(OSError):
            self._save_data(name, data)
            index = self._load_index()
            if index.get(key) != name:
                self._save_index({**index, key: name})

    def load(self, key: Any) -> Any:
        """A variant that was kept, or none, as for files that a loss of power has left empty."""
        try:
            return super().load(key)
        except Exception:  # whatever unpickling says of damaged bytes
            return None

    def _load_index(self) -> dict[Any, str]:
        try:
            found: dict[Any, str] = super()._load_index()
        except Exception:  # likewise; the next variant writes a new one
            return {}
        return found


class _KernelCache(FunctionCache):  # type: ignore[misc]  # untyped in numba
    """numba's, with the variants above."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__(function)
        self._cache_file = Variants(self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp())


def kernel_cache(function: Callable[..., object]) -> Any:
    """For the kernel of ``function``: on disk, or nowhere if no folder can be written (``thermal doctor`` says so)."""
    try:
        return _KernelCache(function)
    except RuntimeError:  # no folder
        return NullCache()
