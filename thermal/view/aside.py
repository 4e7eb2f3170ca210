"""Pictures drawn by another process while this one goes on to the next run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from thermal.view.pictures import draw

_DRAW = "import sys; from thermal.view.pictures import draw; draw(sys.argv[1])"


class Aside:
    """Draws runs one after the other in a process of its own; all are drawn when the block ends without an error."""

    def __init__(self) -> None:
        self._started: list[tuple[Path, subprocess.Popen[bytes]]] = []

    def draw(self, folder: Path) -> None:
        """Begin to draw a finished run."""
        self._finish()
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([sys.executable, "-c", _DRAW, str(folder)], stdin=quiet, stdout=quiet, stderr=quiet)
        self._started.append((folder, process))

    def _finish(self) -> None:
        while self._started:
            folder, process = self._started.pop()
            if process.wait() != 0:
                draw(folder)  # once more here, where what is wrong can be said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._finish()
        for _, process in self._started:
            process.kill()
            process.wait()
