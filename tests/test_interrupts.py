"""Signals that come at a bad moment: none is lost, and none breaks what others are amid."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from thermal.interrupts import interrupt, lose_none


@contextmanager
def heeded() -> Iterator[None]:
    """Ctrl-C is heard as by the command line."""
    before, hook = signal.signal(signal.SIGINT, interrupt), lose_none(lambda: signal.SIGINT)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, before)


def until_interrupted(begin: Callable[[], object]) -> bool:
    """Whether an interrupt came of it within some seconds."""
    try:
        begin()
        for _ in range(500):
            time.sleep(0.01)
    except KeyboardInterrupt:
        return True
    return False


def call_back() -> None:
    """An error in a call back from C is ignored."""
    ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))()


def end_of_an_object() -> None:
    """So is one in what follows the end of an object."""
    there = set[int]()
    kept = weakref.ref(there, lambda _: signal.raise_signal(signal.SIGINT))
    del there
    assert kept() is None


@pytest.mark.parametrize("moment", [call_back, end_of_an_object])
def test_an_interrupt_that_python_ignores_comes_again(moment: Callable[[], None]) -> None:
    with heeded():
        assert until_interrupted(moment)


def test_the_compiler_is_not_interrupted() -> None:
    """Amid its calls back an error is taken for an answer, and ends in a fault."""
    done: list[str] = []
    compiler: dict[str, Any] = {
        "__name__": "llvmlite.binding.executionengine",
        "done": done,
        "end": signal.raise_signal,
    }
    exec("def get(number):\n    end(number)\n    done.append('answered')\n", compiler)
    with heeded():
        assert until_interrupted(lambda: compiler["get"](signal.SIGINT))
    assert done == ["answered"]


ENDING = """
import atexit, sys
from thermal import __main__ as started, cli

class Torn:
    def __del__(self):
        print("torn down")

kept = Torn()
atexit.register(print, "at exit")
cli.main = lambda: CODE
sys.exit(started.main())
"""


@pytest.mark.parametrize(("code", "said"), [(130, ["at exit"]), (0, ["at exit", "torn down"])])
def test_an_interrupted_process_is_not_taken_apart(code: int, said: list[str]) -> None:
    """What an interrupt left half made within the compiler ended one in twenty by a fault, at its very end."""
    found = subprocess.run(
        [sys.executable, "-c", ENDING.replace("CODE", str(code))], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout.splitlines()) == (code, said), found.stderr
