"""Threads of the compiled kernels.

Intel's TBB hands work to whichever thread is free. With OpenMP every loop waits for all its threads: on cores that are
shared with other programs that is some milliseconds of waiting for each of thousands of loops.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, files
from itertools import pairwise
from queue import SimpleQueue

LIBRARY = "libtbb.so.12"
SHORTLY = 1e-3
"""Seconds between looks whether the others are done, after an interrupt."""


def find_tbb() -> None:
    """Load the library of the package ``tbb``, which lies where the loader does not look; without it numba takes what
    it finds."""
    with suppress(PackageNotFoundError, OSError):
        for file in files("tbb") or ():
            if file.name == LIBRARY:
                ctypes.CDLL(os.path.realpath(file.locate()), mode=ctypes.RTLD_GLOBAL)


Work = Callable[[int, int], object]
Results = list[BaseException | None]
"""The errors of the parts that are done."""


def share_out(work: Work, first: int, end: int, threads: int) -> None:
    """Do ``work(start, stop)`` for all from ``first`` to before ``end``, each of the ``threads`` an equal part.

    ``work`` must let go of the interpreter's lock. An error of any part is raised when all are done, and so is an
    interrupt: a kernel that goes on while the process ends would end it with a fault.
    """
    bounds = [first + (end - first) * number // threads for number in range(threads + 1)]
    results: Results = []
    done: SimpleQueue[None] = SimpleQueue()
    helpers = _helpers(os.getpid())
    while len(helpers) < threads - 1:
        helpers.append(_helper())
    asked = 0
    try:
        for (start, stop), inbox in zip(pairwise(bounds[1:]), helpers, strict=False):
            inbox.put((work, start, stop, results, done))
            asked += 1
        work(bounds[0], bounds[1])
        for _ in range(asked):
            done.get()
    except BaseException:
        while len(results) < asked:
            with suppress(KeyboardInterrupt):
                time.sleep(SHORTLY)
        raise
    for error in results:
        if error is not None:
            raise error


Inbox = SimpleQueue[tuple[Work, int, int, Results, SimpleQueue[None]]]


@lru_cache(maxsize=1)
def _helpers(process: int) -> list[Inbox]:
    """The threads that were started so far, in this process alone, as threads do not survive a fork."""
    return []


def _helper() -> Inbox:
    """Start one. A bare queue hands work over in half the time of a pool of ``concurrent.futures``."""
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_help, args=(inbox,), name="kernels", daemon=True).start()
    return inbox


def _help(inbox: Inbox) -> None:
    while True:
        _do(*inbox.get())


def _do(work: Work, start: int, stop: int, results: Results, done: SimpleQueue[None]) -> None:
    """One part; a function of its own, so that nobody who waits for the next keeps the arrays of this one."""
    error: BaseException | None = None
    try:
        work(start, stop)
    except BaseException as raised:
        error = raised
    results.append(error)
    done.put(None)
