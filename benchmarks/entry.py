"""What every entry shares: its arguments, its clock, its memory, its last line. Standard library and NumPy alone."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import works

ENOUGH = 10.0
"""s; short solves are repeated until they have taken this long together, at most :data:`REPEATS` times."""
REPEATS = 5


def arguments(*options: str) -> argparse.Namespace:
    """``WORK SIZE`` and the options that an entry knows, all texts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("size", type=int)
    for option in options:
        name, _, default = option.partition("=")
        parser.add_argument(f"--{name}", default=default)
    return parser.parse_args()


def schedule(text: str) -> list[float]:
    """Steps in s from ``"5"`` or ``"5:60,10"``: 5 s until 60 s, then 10 s; they land on the observed times."""
    now, steps = 0.0, []
    for part in text.split(","):
        step, _, until = part.partition(":")
        count = round((float(until or works.DURATION) - now) / float(step))
        steps += [float(step)] * count
        now += count * float(step)
    assert abs(now - works.DURATION) < 1e-9
    return steps


def peak_memory() -> float:
    """Largest resident memory of this process so far, MB.

    The kernel's high-water mark of this program alone; ``ru_maxrss`` also counts what the parent held before it.
    """
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def forget_peak() -> None:
    """Let :func:`peak_memory` begin anew: what compiling kernels took is no part of a work."""
    Path("/proc/self/clear_refs").write_text("5")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that ``work`` takes, and what it returns."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def repeated(work: Callable[[], Any]) -> tuple[list[float], Any]:
    """Seconds of each repetition of a solve, and what the last returned."""
    seconds: list[float] = []
    result = None
    while not seconds or (len(seconds) < REPEATS and sum(seconds) < ENOUGH):
        taken, result = timed(work)
        seconds.append(taken)
    return seconds, result


def centre_errors(found: Sequence[float]) -> dict[str, float]:
    """Errors in K at the centre of the perfused Gaussian at the observed times."""
    return {
        f"{time:g} s": value - works.exact_at_centre(time) for time, value in zip(works.OBSERVED, found, strict=True)
    }


def probe_errors(cells: int, found: Sequence[Sequence[float]]) -> dict[str, float]:
    """Largest errors in K at the probes of the tetrahedra at the observed times, against the converged reference."""
    known = json.loads((Path(__file__).parent / "reference.json").read_text())["tetrahedra"][str(cells)]
    return {
        f"{time:g} s": float(np.abs(np.subtract(values, known[f"{time:g}"])).max())
        for time, values in zip(works.OBSERVED, found, strict=True)
    }


def finish(
    *, setup: float, solve: Sequence[float], errors: dict[str, float], memory: float | None = None, **more: Any
) -> None:
    """Print the last line: phases in s, the largest error, peak memory in MB."""
    result = {
        "setup": setup,
        "solve": float(np.median(solve)),
        "repeats": len(solve),
        "errors": errors,
        "error": max(abs(value) for value in errors.values()),
        "memory_mb": peak_memory() if memory is None else memory,
        **more,
    }
    if "steps" in more:
        result["per_step"] = result["solve"] / more["steps"]
    print(json.dumps(result), flush=True)


class CrankNicolson:
    """Midpoint form of Crank-Nicolson on NumPy arrays: ``(2 M / dt + A) m = 2 M u / dt + f``, ``u' = 2 m - u``.

    One matrix, and no product with ``A`` on the right. ``solver(step)`` gives a function of right-hand side and guess.
    """

    def __init__(
        self, mass: Callable[[Any], Any], load: Any, solver: Callable[[float], Callable[[Any, Any], Any]]
    ) -> None:
        self.mass, self.load, self.solver = mass, load, solver

    def march(self, steps: Sequence[float], observe: Callable[[Any], Any]) -> list[Any]:
        """What ``observe`` says at the observed times."""
        u = np.zeros_like(self.load)
        middle = before = u
        now, last, solve, seen = 0.0, 0.0, None, []
        for step in steps:
            if step != last:
                solve, last = self.solver(step), step
                guess = middle
            assert solve is not None
            guess = 2.0 * middle - before
            before, middle = middle, solve(self.mass(u) * (2.0 / step) + self.load, guess)
            u = 2.0 * middle - u
            now += step
            if any(abs(now - time) < 1e-9 for time in works.OBSERVED):
                seen.append(observe(u))
        return seen
