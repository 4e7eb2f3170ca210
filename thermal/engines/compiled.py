"""How kernels are compiled: once, kept on disk, typed for the reader."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any, TypeVar, cast

import numba as nb
import numpy as np
from llvmlite.binding import set_option
from numba.core import event
from numba.core.compiler import CompilerBase, DefaultPassBuilder

from thermal.engines.kernel_cache import kernel_cache
from thermal.engines.threads import find_tbb, share_out

find_tbb()
set_option("thermal", "-disable-lsr")  # loop strength reduction: a third of the time of compiling, none of running

_Function = TypeVar("_Function", bound=Callable[..., object])

SMALL = 30_000
"""Array size below which waking the other cores costs more than they save."""


FAST = {"contract", "reassoc", "nsz", "nnan"}
"""Liberties with which loops over sums and extremes vectorise."""


def compiled(function: _Function) -> _Function:
    """Compiled for all cores and for one, kept on disk; small arrays are left to one core."""
    return _both(function, {"contract"})


def compiled_part_apart(function: _Function) -> _Function:
    """As :func:`compiled_part`, with the liberties and the promise of :func:`compiled_shared_apart`."""
    return cast(_Function, _kept(function, fastmath=FAST, pipeline_class=_Apart))


class _Apart(CompilerBase):  # type: ignore[misc]  # untyped in numba
    """numba's own pipeline, told that no two arrays overlap."""

    def define_pipelines(self) -> list[Any]:
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def _both(function: _Function, liberties: set[str], **options: Any) -> _Function:
    many = _kept(function, fastmath=liberties, parallel=True, **options)
    one = _kept(_renamed(function), fastmath=liberties, **options)

    @functools.wraps(function)
    def chosen(*arguments: Any) -> object:
        return (many if _largest(arguments) > SMALL else one)(*arguments)

    return cast(_Function, chosen)


def compiled_shared(function: _Function) -> _Function:
    """Compiled once, for one core; works on the planes from its first argument to before its second, which the cores
    share among them if arrays are large.

    Compiles in a quarter of the time of :func:`compiled` and costs some 25 microseconds more a call: for what is not
    done in hundreds of short stages.
    """
    return _shared(function, {"contract"})


def compiled_shared_fast(function: _Function) -> _Function:
    """The same with sums and extremes taken in any order (always the same one), so that they vectorise."""
    return _shared(function, FAST)


def compiled_shared_apart(function: _Function) -> _Function:
    """As :func:`compiled_shared_fast`, for kernels no array of which that is written overlaps another: the many short
    loops over rows begin without asking whether they do, a tenth of the time of a stage."""
    return _shared(function, FAST, pipeline_class=_Apart)


def _shared(function: _Function, liberties: set[str], **options: Any) -> _Function:
    kernel = _kept(function, fastmath=liberties, nogil=True, **options)

    @functools.wraps(function)
    def shared(first: int, end: int, *arguments: Any) -> None:
        if (size := _largest(arguments)) > SMALL:
            threads = min(nb.get_num_threads(), 1 + size // max(SMALL, 1))
            share_out(lambda start, stop: kernel(start, stop, *arguments), first, end, threads)
        else:
            kernel(first, end, *arguments)

    return cast(_Function, shared)


def _largest(arguments: tuple[Any, ...]) -> int:
    """Size of the largest array among them."""
    return max((argument.size for argument in arguments if isinstance(argument, np.ndarray)), default=0)


def compiled_part(function: _Function) -> _Function:
    """Compiled for one core: what kernels call (once for all their variants; loops over planes compile much faster so),
    and what runs now and then, not in a loop."""
    return cast(_Function, _kept(function, fastmath={"contract"}))


@contextmanager
def announced(say: Callable[[], None]) -> Iterator[None]:
    """Say once, when the first kernel is met that is not on disk yet, that compiling takes its time."""

    with ExitStack() as until_the_end:

        class FirstTime(event.Listener):  # type: ignore[misc]  # untyped in numba
            said = False

            def on_start(self, happening: event.Event) -> None:
                if not self.said:
                    until_the_end.enter_context(undisturbed())
                    say()
                self.said = True

            def on_end(self, happening: event.Event) -> None:
                pass

        with event.install_listener("numba:compile", FirstTime()):
            yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """What is there by now is left out of the interpreter's search for garbage, a tenth of the time of compiling."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def compiled_serial(function: _Function) -> _Function:
    """Compiled for one core (ordered sweeps, scatters along edges), kept on disk."""
    return cast(_Function, _kept(function))


def compiled_inline(function: _Function) -> _Function:
    """A few lines that kernels call, put in their place."""
    return cast(_Function, nb.njit(inline="always")(function))


def _kept(function: Callable[..., object], **options: Any) -> Any:
    """A kernel, kept on disk."""
    kernel = nb.njit(**options)(function)
    kernel._cache = kernel_cache(function)
    return kernel


def on_disk(kernel: Any, types: tuple[Any, ...]) -> bool:
    """Whether a kernel has been compiled for arguments of these types."""
    return kernel._cache.load_overload(types, kernel.targetctx) is not None


def _renamed(function: Callable[..., object]) -> Callable[..., object]:
    """A copy under another name: the cache on disk tells variants apart by name alone."""
    assert isinstance(function, FunctionType)
    copy = FunctionType(function.__code__, function.__globals__, f"{function.__name__}_serial")
    copy.__qualname__ = f"{function.__qualname__}_serial"
    return copy
