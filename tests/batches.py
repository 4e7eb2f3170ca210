"""A small case with sweeps of it for tests that run several, and what shows how a batch is getting on."""

from __future__ import annotations

import csv
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from thermal.batch import work
from thermal.batch.folder import Outcome

CASE = """
schema_version = 1
heating = { kind = "magnetic", frequency = "100 kHz", amplitude = "20 kA/m" }
particles = { material = "iron_oxide_16" }
delivery = { kind = "uniform", region = "tumour", concentration = "5 mg/ml" }
bioheat = { duration = "2 min" }
output = { series = false }
[tissues.tumour]
perfusion = "0.004 1/s"
[anatomy]
kind = "phantom"
size = "30 mm"
voxel_size = "3 mm"
background = "liver"
tumour = "tumour"
shapes = [{ region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "8 mm" }]
"""
GRID = """
schema_version = 1
cases = ["ball.toml"]
[grid]
"delivery.concentration" = ["4 mg/ml", "8 mg/ml"]
"heating.amplitude" = ["10 kA/m", "20 kA/m"]
"""


def altered(**lines: str) -> str:
    """The case with other values of these top-level keys, or with keys more; TOML text each."""
    table = {key: f"{key} = {value}" for key, value in lines.items()}
    kept = [table.pop(line.partition(" = ")[0], line) for line in CASE.strip().splitlines()]
    return "\n".join([kept[0], *table.values(), *kept[1:], ""])


LONG = altered(
    bioheat='{ duration = "10 min" }',
    output='{ series = false, checkpoint = "0.2 s" }',
    numerics='{ max_step = "0.2 s" }',
)


def written(folder: Path, sweep: str, case: str = CASE) -> Path:
    (folder / "ball.toml").write_text(case)
    path = folder / "sweep.toml"
    path.write_text(sweep)
    return path


def index(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open() as stream:
        return list(csv.DictReader(stream))


class HerePool:
    """Does tasks in this process."""

    size = 1

    def __init__(self, jobs: int) -> None:
        pass

    def submit(self, task: work.Task) -> Any:
        future: Future[Outcome] = Future()
        future.set_result(work.run_member(task))
        return future

    def is_loss(self, error: BaseException) -> bool:
        return False

    def close(self) -> None:
        pass


def until(found: Any, limit: float = 120.0) -> None:
    end = time.monotonic() + limit
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """Processes that run members: children that have compiled code loaded, so not the resource tracker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(status[1]) == parent and b"spawn_main" in line:
                found.append(int(entry.name))
    return found
