"""Write ``docs/performance.md`` from ``latest.json``.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"

Row = dict[str, Any]

HEAD = """\
<!-- Written by benchmarks/page.py from benchmarks/latest.json; do not edit. -->

# Performance

Times of this program and of others on the same work, at the same error, from one run on one machine. Absolute times
change from machine to machine and from day to day: only the ratios within a table mean something.

```sh
make bench-env          # environments of the peers in .bench/, a few minutes and gigabytes
make bench              # everything that is installed: writes this page and benchmarks/latest.json
make bench QUICK=1      # small sizes, under three minutes; leaves this page alone

# a part of it, the rest of the tables as they were; --limit S: the longest that one program may take
make bench BENCH="--only gaussian:80 --only gaussian:160 --only gaussian:100 --only gaussian:200"
make bench BENCH="--only tetrahedra:57 --only tetrahedra:99"     # the second needs 12 GB
make bench BENCH="--only smooth --only 'poor inclusions' --only 'good inclusions' --only needle --only noise"
make bench BENCH="--only liver"                                  # needs the body CT (meshes/fetch_body_ct.py)
```

`THERMAL_BENCH` names another place for the environments and meshes than `.bench/`.

Run it on a quiet machine. What is not installed, fails or takes too long has a row that says so.
"""

METHOD = """\
## How it is measured

**Works** are written once, in `benchmarks/works.py`, and every program reads them there.

- *Perfused Gaussian*: a source of standard deviation 5 mm and 5 W/cm³ in perfused tissue at rest, in a cube of
  half-width 40 mm, for 300 s. The error is that of the temperature rise at the centre at 60 s and 300 s (45.314 and
  73.094 K in endless tissue), the larger of both: space and time together.
- *Heterogeneous tetrahedra*: tumour, vessel and fat in liver with 20 % of noise from cell to cell, an irregular mesh
  whose nodes and cells come in random order. Lumped volumes everywhere, so all programs solve the same equations; the
  error is the largest at eight places against a solution converged in time (`benchmarks/reference.py`): of time alone.
- *Elliptic*: a steady field on the regular grid from the same conductances, to a residual of 1e-8. Smooth
  coefficients, 40 inclusions that conduct a thousandth of the rest, and a hard set: 40 inclusions that conduct a
  thousand times as well, a needle of 1e6 with an insulating shaft of 1e-6, noise over three decades.
- *Liver*: `cases/liver/gold.toml`, from image to summary, the second time in one process.

**Peers** are programs that a user of each package might write with care: assembled once; Crank-Nicolson in midpoint
form, which needs no product with the stiffness matrix on the right; conjugate gradients with the diagonal from an
extrapolated guess. Steps (5 s, longer later) and tolerance (1e-6) are the fastest that were found to keep the error
within the limit, as ours are; both stand in `benchmarks/plan.py`. On bricks the peers use vertex quadrature, as we do:
it leaves seven entries of a row out of 27 and makes the mass diagonal, so that they are several times as fast as with
full Q1, which is shown for comparison: with the same steps, and with even steps of 5 s solved to 1e-8, which is what a
first program does. So is PyAMG in place of the diagonal. FiPy cannot assemble once.

**Our steps** are exact in time here, since nothing follows the temperature, and end where the error is looked at
([physics](physics.md#time)). Rows of *ordinary steps* are those of cases in which damage, perfusion, conductivity or
the source follows it.

**Seconds** are those of the march, or of making the preconditioner and solving; the median of up to five repetitions of
short ones. *Set-up* is everything before, from arrays to a solver that is ready; for us with loading of compiled
code, for nobody with loading of libraries.
**Memory** is the largest resident memory of the process (of all ranks) without that of a bare Python with NumPy.
**Ratio** is the time of the fastest peer that is within the limit of error, over that of the row. **Bandwidth** is the
least traffic of a stage (each of its arrays once; in `benchmarks/adapter.py`) over its time, as a share of what a triad
of the same size moves in the same process. It comes out above one where stages share a pass over memory, and a little
since a triad's hardware also reads what it is about to overwrite, which is not counted.
"""


def number(value: float | None, digits: int = 3) -> str:
    """A number for a reader: no more digits than it is worth."""
    if value is None:
        return ""
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text else text


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def of_work(rows: Sequence[Row]) -> str:
    """The table of one work."""
    limit = rows[0]["limit"]
    first = next((row for row in rows if row.get("steps")), {})
    head = [
        "program",
        "seconds",
        "set-up s",
        "ms a step" if first else "iterations",
        "error",
        "memory MB",
        "ratio",
        "bandwidth",
    ]
    lines = []
    for row in rows:
        if row["seconds"] is None:
            lines.append([row["engine"], row["status"], *[""] * (len(head) - 2)])
            continue
        pace = number(1e3 * row["per_step"]) if first else number(row.get("iterations"))
        off = "" if row["error"] <= limit else " (!)"
        share = "" if row["bandwidth_fraction"] is None else f"{row['bandwidth_fraction']:.2f}"
        lines.append(
            [
                row["engine"],
                number(row["seconds"]),
                number(row["setup"]),
                pace,
                f"{row['error']:.2g}{off}",
                number(max(row["peak_memory_mb"], 0.0)),
                number(row["ratio_to_best_peer"], 2),
                share,
            ]
        )
    beyond = any(row["seconds"] is not None and row["error"] > limit for row in rows)
    note = f"\n\n(!): beyond the limit of {limit:.2g}, not counted as a peer." if beyond else ""
    return table(head, lines) + note


def liver(row: Row) -> str:
    """The whole case by phase."""
    if row["seconds"] is None:
        return f"{row['engine']}: {row['status']}."
    phases = table(["phase", "seconds"], [[name, number(seconds)] for name, seconds in row["phases"].items()])
    return (
        f"{number(row['seconds'])} s in all and {number(row['peak_memory_mb'])} MB; while it heats, time runs "
        f"{number(row['times_real_time'])} times as fast as it would. {row['nodes']} nodes, {row['steps']} steps, "
        f"{row['stages']} stages.\n\n{phases}"
    )


def growth(rows: Sequence[Row]) -> str:
    """Time of a node and stage over the sizes of the voxel march."""
    ours = [row for row in rows if row["key"] == "gaussian" and not row["peer"] and row["seconds"] is not None]
    lines = []
    for engine in sorted({row["engine"] for row in ours}):
        of_engine = sorted((row for row in ours if row["engine"] == engine), key=lambda row: row["size"])
        for row in of_engine:
            pace = 1e9 * row["stage_seconds"] / row["nodes"]
            lines.append(
                [
                    engine,
                    f"{row['size'] + 1}^3",
                    number(pace),
                    number(row["triad_gb_per_s"]),
                    number(pace * row["triad_gb_per_s"]),
                ]
            )
    return table(["program", "nodes", "ns a node and stage", "triad GB/s", "bytes at the triad's speed"], lines)


def tables(result: dict[str, Any]) -> str:
    """All tables, a heading for each work."""
    parts = []
    for title, group in groupby(result["rows"], key=lambda row: row["work"]):
        rows = list(group)
        parts.append(
            f"## {title[0].upper()}{title[1:]}\n\n" + (liver(rows[0]) if rows[0]["key"] == "liver" else of_work(rows))
        )
    parts.append("## Growth\n\n" + growth(result["rows"]))
    return "\n\n".join(parts)


def render(result: dict[str, Any]) -> str:
    """The whole page."""
    machine = result["machine"]
    speeds = ", ".join(
        f"{number(value)} GB/s on {name.replace('_', ' ')}" for name, value in result["triad_gb_per_s"].items()
    )
    versions = "; ".join(f"{name}: {version}" for name, version in machine["peers"].items())
    busy = f"load at the start {machine['load']:g}"
    about = (
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gb']:g} GB, {machine['system']}, Python {machine['python']}; {busy}. "
        f"A triad moves {speeds} between arrays that leave the cache. Peers: {versions}."
    )
    return "\n".join([HEAD, about, "", tables(result), "", METHOD])


if __name__ == "__main__":
    PAGE.write_text(render(json.loads((HERE / "latest.json").read_text())), encoding="utf-8")
