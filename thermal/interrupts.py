"""Ctrl-C, the signal to terminate and the end of the terminal, at a moment when everything is whole."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHORTLY = 0.02
"""Seconds until an interrupt that came at a bad moment comes again."""
FRAGILE = "llvmlite"
"""Calls back from the compiler of the kernels, which takes an error there for an answer and ends in a fault."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Interrupts come after the block.

    In the midst of a time step its arrays are half written; in the midst of a task other ranks would wait for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts are the main thread's
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if waiting:
            signal.raise_signal(waiting[0])


def interrupt(number: int, frame: FrameType | None, *words: str) -> None:
    """What the handler of a signal does: end by a ``KeyboardInterrupt`` what goes on at ``frame``, or let the signal
    come again where that would break something."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == FRAGILE:
            _come_again(number)
            return
        frame = frame.f_back
    raise KeyboardInterrupt(*words)


Hook = Callable[[Any], object]


def lose_none(last: Callable[[], int]) -> Hook:
    """From now on the ``last`` signal that came comes again where Python could but ignore its ``KeyboardInterrupt``: in
    finalisers, in what follows the end of weakly referenced objects, and in calls back from C. Returns the former
    ``sys.unraisablehook``."""
    before = sys.unraisablehook

    def look(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            _come_again(last())
        else:
            before(ignored)

    sys.unraisablehook = look
    return before


def _come_again(number: int) -> None:
    """Send a signal shortly. By a bare thread: those of ``threading`` take locks that the main thread may hold now."""

    def send() -> None:
        time.sleep(SHORTLY)
        os.kill(os.getpid(), number)

    _thread.start_new_thread(send, ())
