"""Write ``reference.json``: temperatures at the probes of the tetrahedra, converged in time.

    .bench/scikit-fem/bin/python benchmarks/reference.py 27 57 99

The semi-discrete system with lumped volumes, assembled by scikit-fem, by Crank-Nicolson with steps of 2.5 and 1.25 s
and Richardson's extrapolation, solved to 1e-12.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import entry
import works
from peer_skfem import assemble
from scipy_heat import jacobi, solved

PAGE = Path(__file__).parent / "reference.json"


def converged(cells: int) -> dict[str, list[float]]:
    """Temperature rise in K at each probe and observed time."""
    problem = assemble(works.tetrahedra(cells), cells, lumped=True)
    diagonal = problem.mass.diagonal()

    def solver(step: float) -> Callable[[works.Array, works.Array], works.Array]:
        matrix = (problem.matrix + problem.mass * (2.0 / step)).tocsr()
        inverse = jacobi(matrix)
        return lambda rhs, guess: solved(matrix, rhs, guess, 1e-12, inverse)[0]

    def found(step: float) -> works.Array:
        march = entry.CrankNicolson(lambda u: diagonal * u, problem.load, solver)
        return np.array(march.march(entry.schedule(str(step)), lambda u: u[problem.places]))

    coarse, fine = found(2.5), found(1.25)
    print(f"{cells}: steps of 2.5 and 1.25 s differ by {np.abs(coarse - fine).max():.2e} K", flush=True)
    best = fine + (fine - coarse) / 3.0
    return {f"{time:g}": values.tolist() for time, values in zip(works.OBSERVED, best, strict=True)}


def main() -> None:
    """The sizes asked for, beside those that are there."""
    known = json.loads(PAGE.read_text())["tetrahedra"] if PAGE.is_file() else {}
    for cells in map(int, sys.argv[1:]):
        known[str(cells)] = converged(cells)
        PAGE.write_text(json.dumps({"tetrahedra": known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
