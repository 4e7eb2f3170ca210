"""Pictures drawn by another process while this one goes on to the next run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thermal.view.treatment import Treatment

_RUN, _COMPARISON = "run", "comparison"


class Aside:
    """One process that draws run after run, and then all of them side by side, while this one computes.

    It is started when there is first something to draw. Everything is drawn when the block ends without an error: what
    the other process could not draw is drawn here, where what is wrong can be said.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._asked: list[Path] = []

    def draw(self, folder: Path) -> None:
        """Begin to draw a finished run."""
        self._send({_RUN: str(folder)})
        self._asked.append(folder)

    def compare(self, treatments: Sequence[Treatment], folder: Path) -> tuple[list[Path], str | None]:
        """Draw finished runs side by side: the files, and why there is no 3-D picture (``None`` when there is one)."""
        from thermal.view.side_by_side import draw_comparison

        if self._process is None:  # nothing was drawn: no process is warm
            return draw_comparison(treatments, folder)
        plain = [
            {"run": str(t.run.folder), "title": t.title, "modality": t.modality, "colour": t.colour} for t in treatments
        ]
        self._send({_COMPARISON: plain, "folder": str(folder)})
        self._finish()
        answer = self._answer()
        if answer is None:
            return draw_comparison(treatments, folder)
        return [Path(file) for file in answer["files"]], answer["problem"]

    def _send(self, request: Mapping[str, Any]) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it died; there will be no answer

    def _answer(self) -> dict[str, Any] | None:
        """What it says to the oldest question not answered yet; ``None`` when it failed or died."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def _finish(self) -> None:
        """Wait for the runs asked for."""
        from thermal.view.pictures import draw

        while self._asked:
            folder = self._asked.pop(0)
            if self._answer() is None:
                draw(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.communicate()


@dataclass
class _Drawer:
    """The other process: the scenes of the runs that it drew, for the comparison."""

    stages: dict[Path, Any]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        from thermal.view.pictures import draw, unfinished_run
        from thermal.view.scene import run_stage
        from thermal.view.side_by_side import draw_comparison

        if _RUN in request:
            run = unfinished_run(Path(request[_RUN]))
            stage = self.stages[run.folder] = run_stage(run)
            return {"files": list(map(str, draw(run, stage)))}
        treatments = [
            Treatment(unfinished_run(Path(t["run"])), t["title"], t["modality"], t["colour"])
            for t in request[_COMPARISON]
        ]
        files, problem = draw_comparison(treatments, Path(request["folder"]), self.stages)
        return {"files": list(map(str, files)), "problem": problem}


def _serve() -> None:
    """Answer each line of standard input by one line; an answer that could not be given is ``null``."""
    drawer, answers = _Drawer({}), sys.stdout
    sys.stdout = sys.stderr  # nothing but answers goes there
    for line in sys.stdin:
        try:
            answer = drawer.answer(json.loads(line))
        except Exception:  # the process that asked draws it itself, and meets the error where it can be said
            answer = None
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
