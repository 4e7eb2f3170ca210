"""What the benchmark uses of ``thermal`` below the level of whole cases: all in one place, so that it follows the code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import works
from thermal.domain import MeshDomain, VoxelDomain
from thermal.engine import Engine
from thermal.engines import kernels
from thermal.engines.mesh import MeshEngine
from thermal.engines.vectors import legendre_stage
from thermal.engines.voxel import VoxelEngine, VoxelOperator
from thermal.march import Control, Loop, Progress
from thermal.physics.bioheat import Bioheat, Conductivity, Enthalpy, Surroundings
from thermal.physics.heating.source import PlainSource
from thermal.physics.scene import Drive, Held

PRECISIONS = ("double",)
"""What the time loop can be asked for."""
STAGE_ARRAYS = {"voxel": 11, "mesh": 8}
"""Arrays as long as the nodes that one stage must move at the least, however it is written: enthalpy before, here, first
flow, load, sink, capacity and volume read, the next one written, and on voxels three conductances."""
WORD = {"single": 4, "double": 8}


def voxel_engine(cells: int) -> VoxelEngine:
    """The regular cube of the works."""
    axis = np.linspace(-works.HALF_WIDTH, works.HALF_WIDTH, cells + 1)
    inside = np.ones(cells**3, dtype=bool)
    return VoxelEngine(VoxelDomain((axis, axis.copy(), axis.copy()), {"tissue": inside.astype(float)}, inside))


def mesh_engine(given: works.Tetrahedra) -> MeshEngine:
    """The tetrahedra of the works."""
    cells = given.cells.astype(np.int64)
    return MeshEngine(MeshDomain(given.points, cells, {"tissue": np.ones(len(cells))}))


@dataclass(frozen=True)
class Heat:
    """A heat problem that is ready to march; temperatures above the blood's."""

    loop: Loop
    nodes: int

    def march(self) -> Iterator[Progress]:
        """States after every step."""
        return self.loop.march(self.loop.start(np.full(self.nodes, 37.0)))

    def observe(self, places: Any) -> tuple[list[list[float]], Progress]:
        """Temperature rise at ``places`` at the observed times, and the last state."""
        seen = []
        for progress in self.march():
            if any(abs(progress.state.time - time) < 1e-9 for time in works.OBSERVED):
                seen.append((progress.state.temperature[places] - 37.0).tolist())
        return seen, progress


def heat(
    engine: Engine,
    conductivity: works.Array,
    capacity: works.Array,
    blood: works.Array,
    held: Any,
    tolerance: float,
    max_step: float,
    precision: str,
) -> Heat:
    """The Gaussian source in tissue with cell numbers (m,) W/m/K, J/m3/K and W/m3/K, held at 37 degC where ``held``."""
    if precision not in PRECISIONS:
        raise SystemExit(f"the time loop knows no {precision} precision yet")
    nodes = len(engine.volume)
    nothing = np.zeros(nodes)
    bioheat = Bioheat(
        engine,
        Enthalpy.build(engine.to_nodes(capacity)),
        Conductivity(conductivity, np.zeros_like(conductivity)),
        Conductivity(engine.to_nodes(conductivity), nothing),
        engine.to_nodes(blood) * engine.volume,
        37.0,
        nothing,
        Surroundings(nothing, nothing, Held(held, np.full(nodes, 37.0))),
    )
    power = works.source(engine.points) * engine.volume
    loop = Loop(
        bioheat,
        PlainSource(lambda state, step: Drive(power)),
        {},
        Control(tolerance=tolerance, max_step=max_step),
        works.DURATION,
        None,
        works.OBSERVED,
    )
    return Heat(loop, nodes)


class CountedOperator(VoxelOperator):
    """A voxel operator that counts how often it is applied."""

    applications = 0

    def __call__(self, u: works.Array) -> works.Array:
        """K u."""
        CountedOperator.applications += 1
        return super().__call__(u)


def counted(operator: VoxelOperator) -> CountedOperator:
    """The same operator, counting from zero."""
    CountedOperator.applications = 0
    return CountedOperator(operator.gx, operator.gy, operator.gz, operator.shape, operator.k)


def stage(cells: int) -> Any:
    """One stage of the voxel march on arrays of a cube, as the time loop does it: a function without arguments."""
    engine = voxel_engine(cells)
    operator = engine.conductance(np.full(cells**3, works.CONDUCTIVITY))
    nodes = engine.volume.size
    rng = np.random.default_rng(0)
    before, here, first, inverse = (rng.random(nodes) for _ in range(4))
    flow = np.empty(operator.shape)

    def once() -> None:
        kernels.apply(operator.gx, operator.gy, operator.gz, here.reshape(operator.shape), flow)
        legendre_stage(before, here, flow.reshape(-1), first, inverse, 0.5, 0.5, 1e-9, 1e-9)

    return once
