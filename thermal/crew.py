"""Processes of this machine that work side by side, each with its share of the cores.

A process ends with its parent. Told to end, one at work stops as after Ctrl-C, so that a run leaves a checkpoint; an
idle one just ends, as does the other then: it would wait for its next work behind a lock that an idle one, or one that
was killed, has taken with it. What a process says by :func:`tell`, and what it logs, its parent hears.
"""

from __future__ import annotations

import logging
import logging.handlers
import multiprocessing
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import FrameType
from typing import Any, TypeVar

from thermal.errors import CaseError
from thermal.interrupts import INTERRUPTS, interrupt, lose_none
from thermal.machine import cores

_Result = TypeVar("_Result")
_NUMBER = re.compile(r"[-+]?\d[\d.]*(e[-+]?\d+)?")
_busy = threading.Event()
_told: list[int] = []
"""Signals that told this process to end. No event: its lock could be the one that the signal interrupts."""
_LEAVE = 1.0
"""Seconds that the outcome of its last work has to reach the parent."""
_words: Any = None
"""In a process of a crew: the queue to its parent."""


def possible() -> bool:
    """Whether processes can work side by side here: some containers have no room for their semaphores."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError:
        return False
    return True


class Crew:
    """``size`` processes that do one piece of work after the other. Raises ``CaseError`` where that is not possible."""

    def __init__(self, size: int, *, once: bool = False) -> None:
        """``once``: of what is logged with other numbers again and again, only the first is heard."""
        if not possible():
            raise CaseError(
                "--jobs: processes cannot work side by side here, for their semaphores cannot be made; have /dev/shm "
                "writable; comparisons also run with --jobs 1"
            )
        self.size = size
        self._heard: set[str] | None = set() if once else None
        self._context = multiprocessing.get_context("spawn")  # threads of compiled code do not survive a fork
        self._words = self._context.Queue()
        self._executor = self._made()

    def _made(self) -> ProcessPoolExecutor:
        threads = max(1, cores() // self.size)
        return ProcessPoolExecutor(self.size, self._context, _begin, (threads, self._words))

    def submit(self, work: Callable[..., _Result], *arguments: Any) -> Future[_Result]:
        """Have a process do ``work``, a function of a module, when it is free."""
        try:
            return self._executor.submit(_at_work, work, *arguments)
        except BrokenProcessPool:  # one of the processes was killed, and takes the others with it
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = self._made()
            return self._executor.submit(_at_work, work, *arguments)

    def heard(self) -> Iterator[tuple[Any, ...]]:
        """What the processes have told since; what they logged is logged here."""
        while True:
            try:
                said = self._words.get_nowait()
            except queue.Empty:
                return
            if isinstance(said, logging.LogRecord):
                if self._is_news(said.getMessage()):
                    logging.getLogger(said.name).handle(said)
            else:
                yield said

    def _is_news(self, message: str) -> bool:
        """Whether nothing like it was heard before."""
        if self._heard is None:
            return True
        plain = _NUMBER.sub("#", message)
        known = plain in self._heard
        self._heard.add(plain)
        return not known

    def close(self) -> None:
        """Stop all work; runs amid their steps leave a checkpoint."""
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(60.0)


def tell(*said: Any) -> None:
    """Say something to the parent of this process of a crew."""
    _words.put(said)


def lost(error: BaseException) -> bool:
    """Whether an error of a piece of work means that its process died."""
    return isinstance(error, BrokenProcessPool)


def _at_work(work: Callable[..., _Result], *arguments: Any) -> _Result:
    _busy.set()
    try:
        return work(*arguments)
    finally:
        _busy.clear()


def _begin(threads: int, words: Any) -> None:
    """Set up a process."""
    global _words
    _words = words
    logger = logging.getLogger("thermal")
    handler = logging.handlers.QueueHandler(words)
    handler.addFilter(lambda record: record.exc_info is None)  # tracebacks belong in the log of a run
    logger.addHandler(handler)
    logger.propagate = False
    os.environ["NUMBA_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    for number in INTERRUPTS:
        signal.signal(number, _stop)
    lose_none(lambda: signal.SIGTERM)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent and not _told:
            time.sleep(0.2)
        if not _told:
            os.kill(os.getpid(), signal.SIGTERM)
        while _busy.is_set():
            time.sleep(0.1)
        time.sleep(_LEAVE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _stop(number: int, frame: FrameType | None) -> None:
    _told.append(number)
    if not _busy.is_set():
        os._exit(128 + number)
    interrupt(number, frame, "terminated")
