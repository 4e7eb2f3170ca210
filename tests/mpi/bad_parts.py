"""What all ranks hear when the last one hands over what no equation can be made of.

``mpirun -n 3 python -m mpi4py bad_parts.py`` prints, for each thing asked, the list of what the ranks heard, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import engine_problems as problems
import numpy as np
from mpi4py import MPI

from thermal.engines.dolfinx import DolfinxEngine
from thermal.units import Array, Mask

LAST = MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1


def spoilt(values: Array, inside: Mask, value: float) -> Array:
    """The values, on the last rank with another in the body."""
    found = values.copy()
    if LAST:
        found[np.flatnonzero(inside)[7]] = value
    return found


def cut(values: Array) -> Array:
    """The values, on the last rank one less."""
    return values[: len(values) - LAST]


def asked(engine: Any) -> Mapping[str, Callable[[], object]]:
    """What is asked of it."""
    ones, sink = np.ones(len(engine.cell_volume)), 1e4 * engine.volume
    solid, body = engine.cell_volume > 0, engine.volume > 0
    operator = engine.conductance(ones)
    nobody, centre = np.zeros_like(body), np.zeros((1, 3))
    return {
        "coefficient": lambda: engine.conductance(spoilt(ones, solid, np.nan)),
        "coefficients": lambda: engine.conductance(cut(ones)),
        "diagonal": lambda: engine.solve(operator, spoilt(sink, body, np.nan), sink),
        "negative": lambda: engine.solver(operator, spoilt(sink, body, -1.0)),
        "diagonals": lambda: engine.solve(operator, cut(sink), sink),
        "load": lambda: engine.solve(operator, sink, spoilt(sink, body, np.inf)),
        "loads": lambda: engine.solve(operator, sink, cut(sink)),
        "guesses": lambda: engine.solve(operator, sink, sink, guess=cut(sink)),
        "masks": lambda: engine.solve(operator, sink, sink, fixed=nobody[: len(cut(sink))], values=sink),
        "no load": lambda: engine.solve(operator, sink, spoilt(sink, body, np.nan)),
        "no value": lambda: engine.solve(operator, sink, sink, fixed=body, values=spoilt(sink, body, np.nan)),
        "no guess": lambda: engine.solve(operator, sink, sink, guess=spoilt(sink, body, np.nan)),
        "whole numbers": lambda: engine.solve(operator, sink, sink, fixed=nobody.astype(int)),
        "sampled": lambda: engine.sample(cut(sink), centre),
        "no places": lambda: engine.sample(sink, np.zeros((2, 2))),
        "one place": lambda: engine.sample(sink, centre[0]),
        "amounts": lambda: engine.deposit(np.ones(2), centre),
        "no amount": lambda: engine.deposit(np.full(1, np.nan), centre),
        "shares": lambda: engine.inside(cut(sink), 0.0),
        "no level": lambda: engine.inside(sink, np.nan),
        "surfaces": lambda: engine.isosurface(cut(sink), 0.0),
        "too deep": lambda: engine.isosurface(np.stack([sink, sink], axis=1), 0.0),
        "tolerance": lambda: engine.solve(operator, sink, sink, tolerance=0.0),
        "outside": lambda: engine.conductance(np.where(solid, ones, np.nan)),
    }


def heard(ask: Callable[[], object]) -> str:
    """What is raised, or nothing."""
    try:
        ask()
    except (ValueError, RuntimeError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    told = {
        what: MPI.COMM_WORLD.allgather(heard(ask)) for what, ask in asked(DolfinxEngine(problems.hexahedra())).items()
    }
    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(told))
