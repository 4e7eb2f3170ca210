"""Packed files that would unfold to more than the machine holds: a file of some megabytes may stand for a terabyte."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any


class TooMuchError(ValueError):
    """What is packed is larger than it may be."""


@contextmanager
def bounded(module: Any, room: float) -> Iterator[None]:
    """Let a ``module`` that unpacks by its names ``zlib`` and ``lzma`` (as meshio's reader of ``.vtu`` does, whatever
    it meets) unpack at most ``room`` bytes in all, and raise :class:`TooMuchError` beyond."""
    left = room

    def within(fresh: Callable[[], Any]) -> Callable[[bytes], bytes]:
        def decompress(data: bytes) -> bytes:
            nonlocal left
            unpacker = fresh()
            found: bytes = unpacker.decompress(data, int(left) + 1)
            left -= len(found)
            if left < 0.0:
                raise TooMuchError(f"what it has packed takes more than {room / 1e6:.3g} MB")
            if not unpacker.eof:
                raise ValueError("a packed part of it ends too early")
            return found

        return decompress

    kept = module.zlib, module.lzma
    module.zlib = SimpleNamespace(decompress=within(zlib.decompressobj))
    module.lzma = SimpleNamespace(decompress=within(lzma.LZMADecompressor))
    try:
        yield
    finally:
        module.zlib, module.lzma = kept
