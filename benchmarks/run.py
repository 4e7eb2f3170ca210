"""Run the benchmark: every program that is installed, each as a child process, and write the table.

python benchmarks/run.py                    everything: benchmarks/latest.json and docs/performance.md
python benchmarks/run.py --quick            small sizes, under three minutes: .bench/quick.json
python benchmarks/run.py --only gaussian:160 --only liver      these works; the rest of latest.json stays
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import environments
import page
import plan
from plan import Engine, Work

HERE = Path(__file__).resolve().parent
LATEST = HERE / "latest.json"
LIMIT = 900.0
"""s that one program may take, set-up and repetitions included."""

Row = dict[str, Any]


def command(engine: Engine, arguments: list[str]) -> list[str]:
    """How an engine is started."""
    ours = engine.environment == plan.OURS
    python = sys.executable if ours else str(environments.python_of(engine.environment))
    before = [str(Path(python).parent / "mpiexec"), "-n", str(engine.ranks)] if engine.ranks > 1 else []
    return [*before, python, str(HERE / engine.script), *arguments]


def child(engine: Engine, arguments: list[str], limit: float) -> Row:
    """Run a program to its end or to the limit of time; its last line, or ``status`` saying what went wrong."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "THERMAL_BENCH": str(environments.HOME),
    }
    process = subprocess.Popen(
        command(engine, arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        start_new_session=True,
        preexec_fn=_first_to_go,
    )
    try:
        out, complaint = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"status": f"over {limit:g} s"}
    if process.returncode:
        killed = process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL, signal.SIGKILL)
        reason = "killed, most likely out of memory" if killed else (complaint.strip() or out).splitlines()[-1]
        return {"status": "failed: " + re.sub(r"/\S*/", "", reason)}
    return {"status": "done", **json.loads(out.strip().splitlines()[-1])}


def _first_to_go() -> None:
    """If memory runs out, the child is ended and nothing else."""
    Path("/proc/self/oom_score_adj").write_text("1000")


def unmeasured(work: Work, engine: Engine) -> Row:
    """A row without figures."""
    names = {"work": work.title, "key": work.key, "size": work.size, "engine": engine.name, "peer": engine.peer}
    figures = {"seconds": None, "peak_memory_mb": None, "error": None, "bandwidth_fraction": None}
    return {**names, **figures, "status": "not measured"}


def measured(work: Work, engine: Engine, bare: dict[str, float], limit: float) -> Row:
    """One row, without its ratio."""
    row = unmeasured(work, engine)
    if engine.peer and not environments.installed(engine.environment):
        return {**row, "status": "not installed"}
    if work.size > engine.largest.get(work.key, work.size):
        return {**row, "status": "left out: takes too long at this size"}
    found = child(engine, [work.key, str(work.size), *work.options(engine)], limit)
    if found["status"] != "done":
        return {**row, **found}
    if engine.environment not in bare:
        bare[engine.environment] = child(Engine("", engine.environment, "bare.py"), ["bare", "0"], limit)["memory_mb"]
    memory = found.pop("memory_mb") - max(engine.ranks, 1) * bare[engine.environment]
    rate = 1e-9 * found["stage_bytes"] / found["stage_seconds"] if "stage_bytes" in found else None
    return {
        **row,
        "seconds": found.pop("solve"),
        "peak_memory_mb": memory,
        "error": found.pop("error"),
        "bandwidth_fraction": rate / found["triad_gb_per_s"] if rate else None,
        **found,
    }


def with_ratios(rows: list[Row], limit: float) -> list[Row]:
    """Rows of one work with ``ratio_to_best_peer``: seconds of the fastest peer that is good enough, over the row's."""
    counted = [row["seconds"] for row in rows if row["peer"] and row["seconds"] and row["error"] <= limit]
    return [
        {
            **row,
            "limit": limit,
            "ratio_to_best_peer": min(counted) / row["seconds"] if counted and row["seconds"] else None,
        }
        for row in rows
    ]


def facts() -> dict[str, Any]:
    """The machine and the programs, without names of hosts or places."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.date.today().isoformat(),
        "processor": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "peers": {
            name: environments.version(name) if environments.installed(name) else "not installed"
            for name in environments.ENVIRONMENTS
        },
    }


def chosen(works: list[Work], only: list[str]) -> list[Work]:
    """The works that were asked for, ``KEY`` or ``KEY:SIZE``."""
    unknown = [name for name in only if not any(name in (work.key, f"{work.key}:{work.size}") for work in works)]
    if unknown:
        there = ", ".join(f"{work.key}:{work.size}" for work in works)
        raise SystemExit(f"no work is called {', '.join(unknown)}; there are {there}")
    return [work for work in works if not only or work.key in only or f"{work.key}:{work.size}" in only]


def main() -> None:
    """Run, write, print."""
    parser = argparse.ArgumentParser(description="Run the benchmark.")
    parser.add_argument("--quick", action="store_true", help="small sizes; the published table stays")
    parser.add_argument("--only", action="append", default=[], metavar="WORK[:SIZE]")
    parser.add_argument("--limit", type=float, default=LIMIT, metavar="S", help="longest time of one program")
    options = parser.parse_args()
    all_works = plan.QUICK if options.quick else plan.FULL
    works = chosen(all_works, options.only)
    target = environments.HOME / "quick.json" if options.quick else LATEST
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The machine is busy (load {load:.1f}): times will be noise.", flush=True)
    result: dict[str, Any] = {"machine": {**facts(), "load": round(load, 2)}, "rows": []}
    triad = child(Engine("", plan.OURS, "triad.py"), ["memory", "0"], options.limit)
    result["triad_gb_per_s"] = {name[6:]: value for name, value in triad.items() if name.startswith("triad_")}
    earlier = json.loads(target.read_text())["rows"] if options.only and target.is_file() else []
    known = {(row["key"], row["size"], row["engine"]): row for row in earlier}
    tables = [
        [known.get((work.key, work.size, e.name), unmeasured(work, e)) for e in work.engines] for work in all_works
    ]
    bare: dict[str, float] = {}
    begun = time.perf_counter()
    for table, work in zip(tables, all_works, strict=True):
        if work not in works:
            continue
        for place, engine in enumerate(work.engines):
            print(f"{time.perf_counter() - begun:6.0f} s  {work.title}: {engine.name} ... ", end="", flush=True)
            table[place] = measured(work, engine, bare, options.limit)
            seconds, error = table[place]["seconds"], table[place]["error"]
            print(table[place]["status"] if seconds is None else f"{seconds:.3g} s, error {error:.2g}", flush=True)
        result["rows"] = [
            row for rows, of in zip(tables, all_works, strict=True) for row in with_ratios(rows, of.limit)
        ]
        publish(result, target, options.quick)
    print(page.tables(json.loads(target.read_text())))


def publish(result: dict[str, Any], target: Path, quick: bool) -> None:
    """Write what there is so far: a work that takes too long, or is interrupted, loses none before it."""
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(_rounded(result), indent=1) + "\n")
    if not quick:
        page.PAGE.write_text(page.render(json.loads(target.read_text())), encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Four digits of every number."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
