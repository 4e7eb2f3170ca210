"""What the benchmark uses of ``thermal`` below the level of whole cases: all in one place, to follow the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import works
from thermal.curve import along_curve, by_lowest_node
from thermal.domain import MeshDomain, VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.engines.voxel_operator import VoxelOperator
from thermal.enthalpy import Conductivity, Enthalpy
from thermal.heat import WORKING, HeatState, Precision
from thermal.march import Control, Loop, Progress
from thermal.physics.bioheat import Bioheat, Surroundings
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Drive, Held

if TYPE_CHECKING:
    from thermal.engines.mesh import MeshEngine

WORD: dict[Precision, int] = {"single": 4, "double": 8}
"""Bytes of a number in the working precision of the time loop."""
VOXEL_WORDS = 5
"""Words a node that one stage on voxels must move in one tissue: it reads sink, first rate and the last two increments,
and writes the next one over the older of them; conductivity and capacity it takes once for a row."""
GRAPH_WORDS, INDEX_BYTES = 6, 2
"""The same on a mesh, but for the conductivity; and of every neighbour of a node an index besides a conductance."""


def voxel_engine(cells: int) -> VoxelEngine:
    """The regular cube of the works."""
    axis = np.linspace(-works.HALF_WIDTH, works.HALF_WIDTH, cells + 1)
    inside = np.ones(cells**3, dtype=bool)
    return VoxelEngine(
        VoxelDomain((axis, axis.copy(), axis.copy()), {"tissue": np.broadcast_to(1.0, cells**3)}, inside)
    )


def in_order(given: works.Tetrahedra) -> works.Tetrahedra:
    """Nodes and cells numbered along a Hilbert curve, as a case's mesh is."""
    order = along_curve(given.points)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    cells = number[given.cells]
    turn = by_lowest_node(cells, len(order))
    of_cells = (given.conductivity[turn], given.capacity[turn], given.blood[turn])
    return works.Tetrahedra(
        given.points[order], cells.take(turn, axis=0), *of_cells, given.held[order], number[given.probes]
    )


def mesh_engine(given: works.Tetrahedra) -> MeshEngine:
    """The tetrahedra of the works."""
    from thermal.engines.mesh import MeshEngine  # which voxels do not load either when a case is run

    return MeshEngine(MeshDomain(given.points, given.cells, {"tissue": np.ones(len(given.cells))}))


@dataclass(frozen=True)
class Heat:
    """A heat problem that is ready to march; temperatures above the blood's."""

    loop: Loop
    nodes: int
    stage_bytes: int
    """what one stage must move at the least, however it is written"""

    def march(self) -> Iterator[Progress]:
        """States after every step."""
        return self.loop.march(self.loop.start(np.full(self.nodes, 37.0)))

    def observe(self, places: Any) -> tuple[list[list[float]], Progress]:
        """Temperature rise at ``places`` at the observed times, and the last state."""
        seen = []
        for progress in self.march():
            for moment, wanted in self.loop.moments(progress):
                if wanted:
                    seen.append((moment.state.temperature[places] - 37.0).tolist())
        return seen, progress

    def stages(self, count: int) -> Callable[[], object]:
        """A function that does one step of ``count`` stages and nothing around it.

        Every node is heated by at least a thousandth of the largest power: no stage can leave out a part of the grid
        where nothing changes, so the bytes of :attr:`stage_bytes` are all moved; and none meets the numbers below the
        normal range that the source's far tail makes in single precision, which would time the processor instead.
        """
        bioheat, start = self.loop.bioheat, self.loop.start(np.full(self.nodes, 37.0))
        power = self.loop.source.drive(start.state, 1.0).power
        drive = Drive(np.maximum(power, 1e-3 * power.max()))
        free = (bioheat.engine.volume > 0) & ~bioheat.surroundings.held.mask
        stepper = bioheat.stepper(self.loop.control.precision)
        state = HeatState(start.state.temperature, start.lowest, start.highest)
        rates = stepper.begin(state, lambda: state.temperature, bioheat.action(drive, None, free))
        few = 1.0 / rates.decay  # a step that any number of stages keeps stable
        return lambda: stepper.advance(few, count)


def heat(
    engine: VoxelEngine | MeshEngine,
    conductivity: works.Array,
    capacity: works.Array,
    blood: works.Array,
    held: Any,
    tolerance: float,
    max_step: float,
    precision: Precision,
    steady: bool,
) -> Heat:
    """The Gaussian source in tissue with cell numbers (m,) W/m/K, J/m3/K and W/m3/K, held at 37 degC where ``held``.

    Not ``steady``: by ordinary steps, as if the source might change with the temperature.
    """
    nodes = len(engine.volume)
    nothing = np.broadcast_to(0.0, nodes)
    bioheat = Bioheat(
        engine,
        Enthalpy(),
        lambda: engine.to_nodes(capacity) * engine.volume,
        Conductivity(conductivity, np.broadcast_to(0.0, conductivity.shape)),
        lambda: Conductivity(engine.to_nodes(conductivity), nothing),
        (engine.to_nodes(blood) * engine.volume).astype(WORKING[precision]),
        37.0,
        nothing,
        Surroundings(nothing, nothing, Held(held, np.broadcast_to(37.0, nodes))),
    )
    power = _power(engine)
    loop = Loop(
        bioheat,
        PlainSource(lambda state, step: Drive(power, steady=steady)),
        {},
        Control(tolerance=tolerance, max_step=max_step, precision=precision),
        works.DURATION,
        None,
        works.OBSERVED,
    )
    if isinstance(engine, VoxelEngine):
        stage_bytes = VOXEL_WORDS * WORD[precision] * nodes
    else:
        slots = 2 * len(engine.graph.edges)
        stage_bytes = WORD[precision] * GRAPH_WORDS * nodes + (WORD[precision] + INDEX_BYTES) * slots
    return Heat(loop, nodes, stage_bytes)


def _power(engine: VoxelEngine | MeshEngine) -> works.Array:
    """(n,) W of the source at the nodes; on voxels plane by plane, as all points together outweigh three fields."""
    power = engine.volume.copy()
    if not isinstance(engine, VoxelEngine):
        return power * works.source(engine.points)
    xs, ys, zs = engine.domain.axes
    for x, plane in zip(xs, power.reshape(len(xs), -1), strict=True):
        plane *= works.source(np.stack(np.meshgrid(x, ys, zs, indexing="ij"), -1).reshape(-1, 3))
    return power


class CountedOperator(VoxelOperator):
    """A voxel operator that counts how often it is applied."""

    applications = 0

    def __call__(self, u: works.Array) -> works.Array:
        """K u."""
        CountedOperator.applications += 1
        return super().__call__(u)

    def within(self, diagonal: works.Array, free: Any) -> Callable[[works.Array], works.Array]:
        """K u + diagonal u on the free nodes."""
        apply = super().within(diagonal, free)

        def counted(u: works.Array) -> works.Array:
            CountedOperator.applications += 1
            return apply(u)

        return counted


def counted(operator: VoxelOperator) -> CountedOperator:
    """The same operator, counting from zero."""
    CountedOperator.applications = 0
    return CountedOperator(operator.gx, operator.gy, operator.gz, operator.shape)
