"""``python -m thermal`` and the command ``thermal``."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys


def main() -> int:
    """Load the command line and run it; Ctrl-C before it is there ends the program at once, without a word.

    Processes that it starts import nothing from the current folder, which may be a run folder of someone else.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from thermal import cli
    from thermal.commands.options import INTERRUPTED
    from thermal.engines import ranks

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = cli.main()
    exec("")  # Python, where an exec() of some library was interrupted, would end by the signal, whatever the code says
    if code == INTERRUPTED and ranks.place()[1] == 1:  # MPI ends in what would be left out
        _leave(code)
    return code


def _leave(code: int) -> None:
    """End the process without taking Python apart: an interrupt may have left the compiler's objects half made, whose
    end is a fault (about one in twenty, when it came while kernels were compiled)."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
