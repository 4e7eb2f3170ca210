"""``thermal`` itself.

python ours.py gaussian CELLS      [--precision double|single] [--tolerance 0.02] [--max_step 10] [--steady 1]
python ours.py tetrahedra CELLS    the same
python ours.py MEDIUM CELLS        elliptic
python ours.py liver 0             the gold case of the liver, from anatomy to summary
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numba as nb
import numpy as np

import adapter
import entry
import triad
import works

WARM_UP = 40
"""Cells along each edge of a first solve that loads or compiles the kernels, those for one core and for all."""
STAGES, TURNS = 20, 5
"""Stages that are timed at once, and how often."""
LIVER = Path(__file__).resolve().parent.parent / "cases" / "liver" / "gold.toml"


def gaussian(options: argparse.Namespace) -> None:
    """The perfused Gaussian on voxels."""
    cells = options.size

    def prepare() -> adapter.Heat:
        engine = adapter.voxel_engine(cells)
        numbers = (np.broadcast_to(value, cells**3) for value in (works.CONDUCTIVITY, works.CAPACITY, works.BLOOD))
        held = np.zeros(engine.domain.shape, dtype=bool)
        for axis in range(3):
            np.moveaxis(held, axis, 0)[[0, -1]] = True
        return adapter.heat(engine, *numbers, held.ravel(), *_control(options))

    setup, problem = entry.timed(prepare)
    _march(options, problem, setup, [(cells + 1) ** 3 // 2])


def tetrahedra(options: argparse.Namespace) -> None:
    """The unstructured mesh."""
    _load_libraries()
    given = works.tetrahedra(options.size)

    def prepare() -> tuple[adapter.Heat, works.Index]:
        mesh = adapter.in_order(given)
        numbers = mesh.conductivity, mesh.capacity, mesh.blood, mesh.held
        return adapter.heat(adapter.mesh_engine(mesh), *numbers, *_control(options)), mesh.probes

    setup, (problem, probes) = entry.timed(prepare)
    _march(options, problem, setup, probes)


def _load_libraries() -> None:
    """What is else loaded when it is needed: no peer's set-up has the loading of its libraries in it either.

    Numba loads its tables of types with the first function that it meets.
    """
    import_module("scipy.sparse.csgraph")
    nb.njit(lambda: None)()


def _control(options: argparse.Namespace) -> tuple[float, float, str, bool]:
    return float(options.tolerance), float(options.max_step), options.precision, options.steady == "1"


def _march(options: argparse.Namespace, problem: adapter.Heat, setup: float, places: object) -> None:
    """A first step to load or compile the kernels and to build what is made on first use; then whole marches.

    Memory is that of one march: what the repetitions keep of each other is no part of it.
    """
    first = problem.march()
    compiled, _ = entry.timed(lambda: next(first))
    for _ in first:
        pass
    memory = entry.peak_memory()
    seconds, (seen, last) = entry.repeated(lambda: problem.observe(places))
    errors = (
        entry.centre_errors([values[0] for values in seen])
        if options.work == "gaussian"
        else entry.probe_errors(options.size, seen)
    )
    entry.finish(
        setup=setup + compiled,
        solve=seconds,
        errors=errors,
        memory=memory,
        steps=last.steps,
        stages=last.stages,
        nodes=problem.nodes,
        stage_seconds=_stage(problem),
        stage_bytes=problem.stage_bytes,
        triad_gb_per_s=triad.bandwidth(problem.stage_bytes),
    )


def _stage(problem: adapter.Heat) -> float:
    """Seconds of one stage: what a long step takes more than a short one, the least of several."""
    short, long = (problem.stages(count) for count in (3, 3 + STAGES))
    pairs = [(entry.timed(long)[0], entry.timed(short)[0]) for _ in range(TURNS)]
    return (min(long for long, _ in pairs) - min(short for _, short in pairs)) / STAGES


def elliptic(options: argparse.Namespace) -> None:
    """A steady field; making the multigrid hierarchy is part of the solve."""
    name, cells = options.work, options.size
    small = adapter.voxel_engine(WARM_UP)
    idle = np.zeros((WARM_UP + 1) ** 3)
    held = works.grounded(WARM_UP)
    small.solve(small.conductance(np.ones(WARM_UP**3)), idle, works.charge(WARM_UP), fixed=held, values=idle)
    k, rhs, fixed = works.medium(name, cells) / cells, works.charge(cells), works.grounded(cells)
    engine = adapter.voxel_engine(cells)
    width = 2.0 * works.HALF_WIDTH / cells
    setup, operator = entry.timed(lambda: adapter.counted(engine.conductance(k / width)))
    nothing = np.zeros(rhs.size)
    seconds, u = entry.timed(lambda: engine.solve(operator, nothing, rhs, fixed=fixed, values=nothing, tolerance=1e-8))
    applications = operator.applications
    left = np.where(fixed, 0.0, rhs - operator(u))
    entry.finish(
        setup=setup,
        solve=[seconds],
        errors={"residual": float(np.linalg.norm(left) / np.linalg.norm(rhs))},
        iterations=applications - 1,  # the residual at the end
        nodes=rhs.size,
    )


def liver(options: argparse.Namespace) -> None:
    """The whole case, twice: the second time is warm. Heating is timed from the first step to the end of the laser."""
    from thermal import load_case, simulate

    case = load_case(LIVER)
    off = case.heating.on[-1][1]
    stamps: list[tuple[float, str, float]] = []

    def stamp(stage: str, share: float) -> None:
        stamps.append((time.perf_counter(), stage, share))

    with tempfile.TemporaryDirectory() as folder:
        for round_ in ("cold", "warm"):
            stamps.clear()
            entry.forget_peak()
            stamp("reading", 0.0)
            run = simulate(load_case(LIVER), Path(folder) / round_, stamp)
            stamp("end", 1.0)
        energy_error, simulated = run.value("ledger.energy_error"), run.value("duration")
        steps, stages, nodes = (run.value(name) for name in ("steps", "stages", "nodes"))
    phases: dict[str, float] = {}
    for (begun, stage, share), (ended, _, _) in pairwise(stamps):
        name = "results" if (stage, share) == ("bioheat", 1.0) else stage
        phases[name] = phases.get(name, 0.0) + ended - begun
    march = [(moment, share * simulated) for moment, stage, share in stamps if stage == "bioheat"]
    first, last = march[0], next(mark for mark in march if mark[1] >= off - 1e-6)
    entry.finish(
        setup=0.0,
        solve=[stamps[-1][0] - stamps[0][0]],
        errors={"energy": energy_error},
        phases={name: round(seconds, 3) for name, seconds in phases.items()},
        times_real_time=(last[1] - first[1]) / (last[0] - first[0]),
        steps=steps,
        stages=stages,
        nodes=nodes,
    )


def main() -> None:
    """One work."""
    options = entry.arguments("precision=double", "tolerance=0.02", "max_step=10", "steady=1")
    {"gaussian": gaussian, "tetrahedra": tetrahedra, "liver": liver}.get(options.work, elliptic)(options)


if __name__ == "__main__":
    main()
