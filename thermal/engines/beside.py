"""A second process that compiles kernels of the voxel engine during the first run after an installation.

Compiling takes one core, and a run comes to its kernels one after the other. The second process finds out what kernels
a run calls by working through one on a few nodes in plain Python, and compiles them from the last to the first: what it
has put on disk is found there, and somewhere in the middle both meet. It is a matter of time alone: a run compiles for
itself whatever it does not find.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numba as nb
import numpy as np

from thermal.carriage import Cargo, Carriage
from thermal.domain import VoxelDomain
from thermal.engines import compiled
from thermal.engines.rehearsal import rehearse
from thermal.engines.triangles import shorten
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, CutConductivity, Enthalpy, PhaseChange
from thermal.heat import WORKING, Action, HeatProblem, HeatState, Precision
from thermal.machine import idle_cores
from thermal.units import Array

ICE, STEAM = (-8.0, -1.0), (99.0, 100.0)
"""degC of tissue that freezes and boils, about anything: only the kind of numbers matters to a compiler."""

CELLS = 4
"""Along each axis of the grid that is worked through: the fewest for which multigrid has a coarser one."""

LOOK = 0.2
"""Seconds for which one looks how many cores are idle."""


def idle_core() -> bool:
    """Whether a core that this process may use has nothing to do, so that a second process takes no time from it."""
    return int(nb.config.NUMBA_NUM_THREADS) > 1 and idle_cores(LOOK) > 1.5  # the one that sleeps here, and another


Voxels = Literal["cut", "whole"]
"""What the heat march of a run is expected to meet first of all: voxels cut by interfaces between unlike tissues?"""


@contextmanager
def compiling_beside(precision: Precision, voxels: Voxels | None) -> Iterator[Callable[[], None]]:
    """Gives what starts the second process, if a core is idle; what it has not done at the end is given up.

    ``voxels``: None for a run on something else, for which nothing is compiled.
    """
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        if voxels is not None and idle_core():
            command = [sys.executable, "-P", "-m", __name__, precision, voxels]  # -P: nothing from the current folder
            quiet = subprocess.DEVNULL
            started.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
            process.wait()


def compile_backwards(precision: Precision, voxels: Voxels) -> None:
    """Compile what a run on large grids calls and is not on disk, from the last to the first until one is there by now.

    From there on the run has compiled everything for itself that it needs.
    """
    compiled.SMALL = 0
    nb.set_num_threads(1)
    missing = [call for call in rehearse(lambda: work_through(precision, voxels)) if not compiled.on_disk(*call)]
    with compiled.undisturbed():
        for kernel, types in reversed(missing):
            if compiled.on_disk(kernel, types):
                break
            kernel.compile(types)


def work_through(precision: Precision, voxels: Voxels) -> None:
    """What a run does, in its order: cut voxels, steady fields, particles, heat, a zone.

    The march that is not expected comes first: what it alone calls is the last to be wanted.
    """
    axis, cells, nodes = np.arange(CELLS + 1.0) * 1e-3, CELLS**3, (CELLS + 1) ** 3
    share = np.linspace(0.0, 1.0, cells)
    regions = {"one": share, "other": 1.0 - share}
    engine = VoxelEngine(VoxelDomain((axis, axis, axis), regions, np.ones(cells, np.bool_)))
    warm, frozen = engine.cut_edges({"one": 0.5, "other": 1.0}), engine.cut_edges({"one": 2.0, "other": 4.0})
    whole, cut = None, CutConductivity.of(warm, frozen, *ICE)
    unexpected, expected = (whole, cut) if voxels == "cut" else (cut, whole)
    _march(engine, nodes, cells, unexpected, precision)
    _carry(engine, np.linspace(1.0, 2.0, cells))
    _march(engine, nodes, cells, expected, precision)
    shorten(0, 1, np.zeros((1, 3)), np.ones((1, 3, 3)), np.zeros((1, 1), np.int64), np.ones(1))


def _carry(engine: VoxelEngine, permeability: Array) -> None:
    """A flow from one corner to a face, and particles on it."""
    operator, volume = engine.conductance(permeability), engine.volume
    outside = engine.areas["z+"] > 0.0
    source = np.zeros_like(volume)
    source[0] = 1.0
    engine.to_cells(volume)
    pressure = engine.solve(operator, 0.0 * volume, source, fixed=outside, tolerance=1e-2)
    leaving = np.where(outside, np.maximum(-operator(pressure), 0.0), 0.0)
    still = np.zeros_like(volume)
    carriage = Carriage(volume, source, source, leaving, still, outside, still, still)
    engine.transport(operator, pressure, carriage).advance(Cargo.empty(len(volume)), 1e-12)


def _march(engine: VoxelEngine, nodes: int, cells: int, cut: CutConductivity | None, precision: Precision) -> None:
    """Two steps each with blood, films and vapour, and with ice."""
    ones, volume = np.ones(nodes), engine.volume
    relation = Enthalpy.build(4e6 * ones, PhaseChange(*ICE, 2e8 * ones), 2e6 * ones, PhaseChange(*STEAM, 2e8 * ones))
    conductivity = Conductivity(np.full(cells, 0.5), np.full(cells, 1e-3), np.full(cells, 2.0), *ICE)
    perfusion = (4e4 * volume).astype(WORKING[precision])
    film = 20.0 * engine.areas["z+"]
    problem = HeatProblem(relation, 4e6 * volume, conductivity, 37.0, film, 20.0 * film, perfusion, cut)
    stepper = engine.stepper(problem, precision)
    for coldest in (36.0, 2.0 * ICE[0]):
        temperature = np.linspace(coldest, 40.0, nodes)
        state = HeatState(temperature, *(temperature.astype(WORKING[precision]) for _ in range(2)))
        action = Action(1e5 * volume, perfusion, np.ones(nodes, np.bool_))
        stepper.begin(state, temperature.copy, action)
        stepper.advance(0.1, 3)


if __name__ == "__main__":
    compile_backwards("double" if "double" in sys.argv else "single", "whole" if "whole" in sys.argv else "cut")
