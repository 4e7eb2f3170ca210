"""Progress on a terminal as a bar with the time left, elsewhere as a plain line every tenth."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Report = Callable[[str, float], None]
"""Called with the name of a stage and the share of it that is done, 0 to 1."""


@contextmanager
def progress(label: str, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Report]:
    """A callback that shows progress on ``stream`` (default: standard error)."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        yield lambda stage, share: None
    elif stream.isatty():
        with _bar(label, stream) as report:
            yield report
    else:
        yield PlainLines(label, stream)


@contextmanager
def _bar(label: str, stream: TextIO) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(label, total=1.0)
        current = ""

        def report(stage: str, share: float) -> None:
            nonlocal current
            if stage != current:
                current = stage
                bar.reset(task, description=f"{label}: {stage}", total=1.0)
            bar.update(task, completed=share)

        yield report


class PlainLines:
    """A line at the start of each stage and at every tenth of it, with the time left."""

    def __init__(self, label: str, stream: TextIO) -> None:
        self._label = label
        self._stream = stream
        self._stage = ""
        self._tenths = 0
        self._start = 0.0

    def __call__(self, stage: str, share: float) -> None:
        """Report that ``share`` (0 to 1) of ``stage`` is done."""
        if stage != self._stage:
            self._stage, self._tenths, self._start = stage, 0, time.monotonic()
            self._say(stage)
        tenths = int(share * 10 + 1e-9)
        if tenths > self._tenths:
            self._tenths = tenths
            spent = time.monotonic() - self._start
            left = spent * (1 - share) / share
            self._say(f"{stage} {tenths * 10} %" + (f", about {left:.0f} s left" if share < 1 else f", {spent:.1f} s"))

    def _say(self, text: str) -> None:
        print(f"{self._label}: {text}", file=self._stream, flush=True)
