"""What compiled kernels a piece of work calls, and for which types, found without compiling any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core.dispatcher import Dispatcher

Call = tuple[Any, tuple[Any, ...]]
"""A kernel and the types of its arguments."""


def rehearse(work: Callable[[], None]) -> list[Call]:
    """Do ``work`` with all kernels in plain Python; what would have been compiled for it, in the order of last calls.

    What kernels call is compiled with them and not listed. For a process of its own: no other thread may call a kernel
    meanwhile.
    """
    met: dict[Call, None] = {}
    within = 0

    def instead(kernel: Any, *arguments: Any) -> Callable[..., Any]:
        """What numba calls in place of the kernel that it asks to have compiled."""
        if within == 0:
            call = kernel, tuple(kernel.typeof_pyval(argument) for argument in arguments)
            met.pop(call, None)
            met[call] = None

        def played(*given: Any) -> Any:
            nonlocal within
            within += 1
            try:
                return kernel.py_func(*given)
            finally:
                within -= 1

        return played

    dispatcher: Any = Dispatcher
    compiling = dispatcher._compile_for_args
    dispatcher._compile_for_args = instead
    try:
        work()
    finally:
        dispatcher._compile_for_args = compiling
    return list(met)
