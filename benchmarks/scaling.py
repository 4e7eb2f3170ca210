"""Strong and weak scaling of the heat march of the dolfinx engine, and a model that extrapolates what was measured.

    NUMBA_NUM_THREADS=1 mpirun -n 1 python -m mpi4py benchmarks/scaling.py 96 96 96
    NUMBA_NUM_THREADS=1 mpirun -n 2 python -m mpi4py benchmarks/scaling.py 96 96 96   # strong: the same grid
    NUMBA_NUM_THREADS=1 mpirun -n 2 python -m mpi4py benchmarks/scaling.py 192 96 96  # weak: as much a rank
    python benchmarks/scaling.py --model ONE TWO CELLS    # seconds a step on one and on two ranks

A brick of perfused tissue in voxels of 1 mm, heated by a Gaussian source and damaged by an Arrhenius law. The first
rank prints the stages and the seconds a step, of the slowest rank.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

SPACING = 1e-3  # m
STEP = 1.0  # s
STEPS = 12


def measure(cells: tuple[int, int, int]) -> None:
    """March and print."""
    from mpi4py import MPI

    from thermal.domain import VoxelDomain
    from thermal.engines.dolfinx import DolfinxEngine
    from thermal.enthalpy import Conductivity, Enthalpy
    from thermal.march import Control, Loop
    from thermal.physics.bioheat import Bioheat, Surroundings
    from thermal.physics.damage import Arrhenius
    from thermal.physics.plain import PlainSource
    from thermal.physics.scene import Drive, Held, State

    ranks = MPI.COMM_WORLD
    count = int(np.prod(cells))
    axes = tuple((np.arange(n + 1) - 0.5 * n) * SPACING for n in cells)
    domain = VoxelDomain((axes[0], axes[1], axes[2]), {"tissue": np.ones(count)}, np.ones(count, dtype=bool))
    engine: Any = DolfinxEngine(domain)
    nodes, here = engine.volume, engine.to_cells(engine.volume)
    zero = np.zeros_like(nodes)
    power = 2e6 * nodes * np.exp(-((engine.points / 8e-3) ** 2).sum(axis=1) / 2.0)
    inside, outside = np.full_like(here, 0.5), np.full_like(nodes, 0.5)
    problem = Bioheat(
        engine,
        Enthalpy(),
        lambda: 3.8e6 * nodes,
        Conductivity(inside, np.zeros_like(inside)),
        lambda: Conductivity(outside, zero),
        4e4 * nodes,
        37.0,
        zero,
        Surroundings(zero, zero, Held(zero > 0, zero)),
    )

    def drive(state: State, step: float) -> Drive:
        return Drive(power)

    control = Control(max_step=STEP, first_step=STEP)
    loop = Loop(problem, PlainSource(drive, ()), {"arrhenius": Arrhenius()}, control, STEP * STEPS, "arrhenius")
    begun, first = 0.0, 0
    for last in loop.march(loop.start(np.full_like(nodes, 37.0))):
        if last.steps == 2:  # compiled, and in the cache
            ranks.Barrier()
            begun, first = time.perf_counter(), last.steps
    seconds = ranks.allreduce((time.perf_counter() - begun) / (last.steps - first), op=MPI.MAX)
    peak = engine.maximum(last.state.temperature)
    if ranks.rank == 0:
        grid, stages = " x ".join(map(str, cells)), last.stages / last.steps
        print(f"{ranks.size} ranks, {grid} cells: {seconds:.4f} s a step of {stages:.1f} stages, {peak:.9f} degC")


def model(one: float, two: float, cells: float) -> None:
    """Extrapolate from s a step on one and on two ranks of one machine (strong scaling on ``cells``).

    EXTRAPOLATED, not measured: work that divides, and an exchange whose size goes like the surface of a rank's part,
    (n / p)^(2/3). What two ranks cost beyond half of one is all taken for exchange, though on one machine the larger
    part of it is memory that both share; a network's latency is not in it.
    """
    work = one / cells
    surface = max(two - 0.5 * one, 0.0) / (0.5 * cells) ** (2.0 / 3.0)
    print("EXTRAPOLATED by a model of two numbers; only 1 and 2 ranks were measured")
    print("| ranks | strong: s a step | efficiency | weak: s a step | efficiency |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for ranks in (1, 2, 4, 8, 16, 32, 64):
        exchange = surface if ranks > 1 else 0.0
        strong = work * cells / ranks + exchange * (cells / ranks) ** (2.0 / 3.0)
        weak = one + exchange * cells ** (2.0 / 3.0)
        print(f"| {ranks} | {strong:.4f} | {one / ranks / strong:.0%} | {weak:.4f} | {one / weak:.0%} |")


if __name__ == "__main__":
    if sys.argv[1] == "--model":
        model(*map(float, sys.argv[2:5]))
    else:
        x, y, z = map(int, sys.argv[1:4])
        measure((x, y, z))
