"""A second process that compiles the heat march on voxels while the first run after an installation prepares.

Compiling takes one core, and a run comes to its march last: what the second process has put on disk by then is found
there. It is a matter of time alone: a run compiles for itself whatever it does not find.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from thermal.domain import VoxelDomain
from thermal.engines import compiled
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, CutConductivity, Enthalpy, PhaseChange
from thermal.heat import Action, HeatProblem, HeatState, Precision

ICE, STEAM = (-8.0, -1.0), (99.0, 100.0)
"""degC of tissue that freezes and boils, about anything: only the kind of numbers matters to a compiler."""


def idle_core() -> bool:
    """Whether a core has nothing to do, so that a second process takes no time from this one."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] < (os.cpu_count() or 1) - 0.5


@contextmanager
def compiling_beside(precision: Precision) -> Iterator[Callable[[], None]]:
    """Gives what starts the second process, if a core is idle; what it has not done at the end is given up."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        if idle_core():
            command = [sys.executable, "-P", "-m", __name__, precision]  # -P: nothing from the current folder
            quiet = subprocess.DEVNULL
            started.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))

    try:
        yield start
    finally:
        for process in started:
            process.terminate()
            process.wait()


def compile_march(precision: Precision) -> None:
    """March a few nodes, with and without interfaces that cut voxels, with blood, films, ice and vapour."""
    compiled.SMALL = 0  # what large grids use
    axis = np.arange(4.0) * 1e-3
    share = np.linspace(0.0, 1.0, 27)
    engine = VoxelEngine(VoxelDomain((axis, axis, axis), {"one": share, "other": 1.0 - share}, np.ones(27, np.bool_)))
    ones, volume = np.ones(64), engine.volume
    relation = Enthalpy.build(4e6 * ones, PhaseChange(*ICE, 2e8 * ones), 2e6 * ones, PhaseChange(*STEAM, 2e8 * ones))
    cells = Conductivity(np.full(27, 0.5), np.full(27, 1e-3), np.full(27, 2.0), *ICE)
    cuts = CutConductivity.of(
        engine.cut_edges({"one": 0.5, "other": 1.0}), engine.cut_edges({"one": 2.0, "other": 4.0}), *ICE
    )
    film = 20.0 * engine.areas["z+"]
    for cut in (cuts, None):
        problem = HeatProblem(relation, 4e6 * volume, cells, 37.0, film, 20.0 * film, 4e4 * volume, cut)
        stepper = engine.stepper(problem, precision)
        for coldest in (36.0, 2.0 * ICE[0]):
            temperature = np.linspace(coldest, 40.0, 64)
            state = HeatState(temperature, temperature.copy(), temperature.copy())
            action = Action(1e5 * volume, 4e4 * volume, np.ones(64, np.bool_))
            stepper.begin(state, temperature.copy, action)
            stepper.advance(0.1, 3)


if __name__ == "__main__":
    compile_march("double" if sys.argv[1:] == ["double"] else "single")
