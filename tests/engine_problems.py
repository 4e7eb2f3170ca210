"""Small problems that every engine must solve alike: fields and numbers in the numbering of the domain.

Run as a script under ``mpirun`` it solves them on all ranks and writes what comes out into a folder:
``mpirun -n 2 python -m mpi4py engine_problems.py folder``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import Any

import half_planes
import numpy as np
import numpy.typing as npt

from thermal.domain import AxisymmetricDomain, Ball, CutEdges, Domain, Line, MeshDomain, VoxelDomain, facets
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, CutConductivity, Enthalpy, PhaseChange
from thermal.march import Control, Loop
from thermal.physics.bioheat import Bioheat, Surroundings
from thermal.physics.damage import Arrhenius, Cem43
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Contact, Drive, Held, State
from thermal.units import Array

Figures = Mapping[str, Array]

SERIAL: Mapping[type, Callable[..., Any]] = {
    VoxelDomain: VoxelEngine,
    MeshDomain: MeshEngine,
    AxisymmetricDomain: AxisymmetricEngine,
}


class Alone:
    """A serial engine spoken to like one that is spread over ranks."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def gather(self, u: Array) -> Array:
        return u

    gather_cells = take = take_cells = gather


# ------------------------------------------------------------------------------------------------ domains


def hexahedra() -> VoxelDomain:
    """Uneven anisotropic voxels, two mixed regions, holes and a lost corner."""
    rng = np.random.default_rng(1)
    axes = tuple(np.concatenate([[0.0], np.cumsum(rng.uniform(0.8e-3, 2e-3, count))]) - 8e-3 for count in (11, 13, 10))
    shape = tuple(len(axis) - 1 for axis in axes)
    solid = rng.random(shape) > 0.04
    solid[:3, :4, :3] = False
    share = np.clip(rng.normal(0.5, 0.6, solid.size), 0.0, 1.0)
    levels = {"tumour": lambda x, y, z: np.sqrt(x**2 + y**2 + z**2) - 4e-3}
    return VoxelDomain((axes[0], axes[1], axes[2]), {"liver": share, "tumour": 1.0 - share}, solid.ravel(), levels)


def cut_into_tetrahedra(shape: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """Cells (6 m, 4) into which a grid of so many nodes along each axis is cut (H. W. Kuhn)."""
    number, cells = np.arange(np.prod(shape)).reshape(shape), []
    for path in permutations(range(3)):  # along the axes from the lower to the upper corner
        steps = np.cumsum([np.zeros(3, int), *(np.eye(3, dtype=int)[axis] for axis in path)], axis=0)
        corners = [
            number[tuple(slice(s, count - 1 + s) for s, count in zip(step, shape, strict=True))].ravel()
            for step in steps
        ]
        cells.append(np.stack(corners, axis=1))
    return np.concatenate(cells)


def tetrahedra() -> MeshDomain:
    """A shaken grid cut into tetrahedra, a point of no cell, two regions and a named boundary."""
    count, size = 7, 16e-3
    rng = np.random.default_rng(2)
    axis = np.linspace(-0.5 * size, 0.5 * size, count + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    inner = np.abs(points) < 0.49 * size  # nodes on faces and edges move along these
    points[inner] += rng.uniform(-0.2, 0.2, inner.sum()) * size / count
    tets = cut_into_tetrahedra((count + 1,) * 3)
    points = np.vstack([points, [[1.0, 1.0, 1.0]]])
    share = (points[tets].mean(axis=1)[:, 0] > 0).astype(float)
    engine = MeshEngine(MeshDomain(points, tets, {}))
    faces = engine.mesh.facets.T.astype(np.int64)
    west = faces[(np.abs(points[faces][:, :, 0] + 0.5 * size) < 1e-9).all(axis=1)]
    return MeshDomain(points, tets, {"tumour": share, "liver": 1.0 - share}, {"west": west})


def triangles() -> AxisymmetricDomain:
    """A shaken half-plane, a point of no cell, two regions and a named boundary."""
    count, size = 12, 8e-3
    rng = np.random.default_rng(5)
    r, z = np.linspace(0.0, size, count + 1), np.linspace(-size, size, 2 * count + 1)
    plane, cells = half_planes.rectangle(r, z)
    inner = (np.abs(plane) < 0.99 * size) & (plane > [1e-9, -1.0])  # nodes on the border and the axis move along these
    plane[inner] += rng.uniform(-0.2, 0.2, inner.sum()) * size / count
    points = np.column_stack([plane[:, 0], np.zeros(len(plane)), plane[:, 1]])
    points = np.vstack([points, [[1.0, 0.0, 1.0]]])
    outer = facets(cells).outer
    outer = outer[points[outer][:, :, 0].max(axis=1) > 0.0]
    west = outer[(points[outer][:, :, 2] < 1e-9 - size).all(axis=1)]
    share = (points[cells].mean(axis=1)[:, 0] > 0.4 * size).astype(float)
    borders = {"west": west, "surface": outer}
    return AxisymmetricDomain(points, cells, {"tumour": 1.0 - share, "liver": share}, borders)


def cube(count: int, spacing: float) -> VoxelDomain:
    """Plain voxels around the origin."""
    axis = (np.arange(count + 1) - 0.5 * count) * spacing
    return VoxelDomain((axis, axis.copy(), axis.copy()), {"tissue": np.ones(count**3)}, np.ones(count**3, dtype=bool))


# ------------------------------------------------------------------------------------------------ what engines do


def space(engine: Any) -> Iterator[tuple[str, Array]]:
    """Geometry, operators, means, points and surfaces."""
    whole = SERIAL[type(engine.domain)](engine.domain)
    rng = np.random.default_rng(3)
    k, u = 10 ** rng.uniform(-2, 2, len(whole.cell_volume)), rng.normal(size=len(whole.volume))
    u_here, k_here = engine.take(u), engine.take_cells(k)
    yield "volume", engine.gather(engine.volume)
    yield "cell volume", engine.gather_cells(engine.cell_volume)
    for name, area in engine.areas.items():
        yield f"area {name}", engine.gather(area)
    for name, volume in engine.volumes.items():
        yield f"volume {name}", engine.gather(volume)
        yield f"share {name}", engine.gather_cells(engine.shares[name])
    yield "points", engine.gather(engine.points[:, 0]) * (whole.volume > 0)
    inside = np.where(engine.volume > 0, u_here, 0.0)
    yield "extremes", np.array([engine.total(inside), engine.maximum(inside), engine.minimum(inside)])
    cuts = engine.cut_edges({"liver": 1.0, "tumour": 20.0})
    yield "cut", engine.gather(engine.conductance(k_here, cuts)(u_here))
    held_edges = engine.held_edges("tumour")
    yield "held", engine.gather(engine.conductance(k_here, held_edges)(u_here))
    operator = engine.conductance(k_here)
    yield "operator", engine.gather(operator(u_here))
    yield "diagonal", engine.gather(operator.diagonal)
    yield "bound", engine.gather(operator.bound)
    yield "dissipation", engine.gather(operator.dissipation(u_here))
    yield "to cells", engine.gather_cells(engine.to_cells(u_here))
    yield "to nodes", engine.gather(engine.to_nodes(k_here))
    yield "inside", engine.gather_cells(engine.inside(u_here, 0.3))
    yield "isosurface", engine.isosurface(u_here, 0.3).points
    lower, upper = whole.points[whole.volume > 0].min(axis=0), whole.points[whole.volume > 0].max(axis=0)
    at = np.vstack([lower + (upper - lower) * rng.uniform(-0.1, 1.1, (200, 3)), whole.points[whole.volume > 0]])
    held = engine.holds(at)
    yield "holds", held.astype(float)
    yield "sample", engine.sample(u_here, at[held])
    yield "deposit", engine.gather(engine.deposit(rng.random(len(at)), at))
    yield "spacing", np.array([engine.spacing((1e-3, 2e-3, 3e-3))])
    yield "size of cells", engine.gather_cells(engine.cell_size)
    yield "bounds", np.array(engine.bounds)
    yield "orbit", engine.orbit(at[:20])
    ball, line = Ball((1e-3, 2e-3, 0.5e-3), 0.7e-3), Line((0.0, -1e-3, -2e-3), (2e-3, 1e-3, 3e-3), 0.4e-3)
    if not engine.symmetric(ball):
        ball, line = Ball((0.0, 0.0, 0.5e-3), 0.7e-3), Line((0.0, 0.0, -2e-3), (0.0, 0.0, 3e-3), 0.4e-3)
    for name, probe in (("ball", ball), ("line", line)):
        weights, resistance = engine.spread(probe)
        yield f"spread {name}", engine.gather(weights)
        yield f"resistance {name}", np.array([resistance])
        yield f"contact {name}", engine.gather(engine.contact(probe))
        yield f"close contact {name}", engine.gather(engine.close_contact(probe))


def steady(engine: Any) -> Iterator[tuple[str, Array]]:
    """Elliptic solves to 1e-13: held nodes and uptake, held nodes alone, and neither (pure Neumann)."""
    whole = SERIAL[type(engine.domain)](engine.domain)
    rng = np.random.default_rng(4)
    k = engine.take_cells(10 ** rng.uniform(-1, 1, len(whole.cell_volume)))
    load = rng.normal(size=len(whole.volume)) * whole.volume * 1e6
    uptake = whole.volume * 1e5 * rng.random(len(load))
    side = next(name for name in ("x-", "west") if name in whole.areas)
    held, values = whole.areas[side] > 0, whole.points[:, 1] * 1e3
    operator = engine.conductance(k)
    nothing = engine.take(np.zeros_like(load))
    border = {"fixed": engine.take(held), "values": engine.take(values), "tolerance": 1e-13}
    yield "solve with uptake", engine.gather(engine.solve(operator, engine.take(uptake), engine.take(load), **border))
    yield "solve", engine.gather(engine.solve(operator, nothing, engine.take(load), **border))
    anew = [engine.solve(operator, nothing, engine.take(load), **border) for _ in range(6)]
    yield "solved anew", np.array([engine.maximum(np.abs(u - anew[0])) for u in anew])  # the same to the last bit
    cut = engine.conductance(k, engine.cut_edges({"liver": 1.0, "tumour": 20.0}))
    yield "solve cut", engine.gather(engine.solve(cut, nothing, engine.take(load), **border))
    body = whole.volume > 0
    balanced = np.where(body, load, 0.0)
    balanced[body] -= balanced[body].mean()
    yield "pure Neumann", engine.gather(engine.solve(operator, nothing, engine.take(balanced), tolerance=1e-13))
    z = whole.points[:, 2]
    low, high = z[body].min(), z[body].max()
    apart = np.where(np.abs(whole.to_cells(z.copy()) - 0.5 * (low + high)) < 0.2 * (high - low), 0.0, 1.0)
    parts = whole.conductance(apart)
    label, held = parts.islands(), held & (z < 0.5 * (low + high))
    balanced = np.where(parts.diagonal > 0.0, load, 0.0)
    for first in np.unique(label[body]):
        balanced[label == first] -= balanced[label == first].mean()
    border = {"fixed": engine.take(held), "values": engine.take(values), "tolerance": 1e-12}
    parted = engine.conductance(engine.take_cells(apart))
    yield "parts", engine.gather(engine.solve(parted, nothing, engine.take(balanced), **border))
    yield "parts afloat", engine.gather(engine.solve(parted, nothing, engine.take(balanced), tolerance=1e-12))


def _faces(engine: Any) -> tuple[str, str]:
    """Names of a face that is cooled and of one that is held."""
    return ("z+", "x-") if "z+" in engine.areas else ("surface", "west")


def _freezing(engine: Any, held: Held, unfrozen: CutEdges | None, frozen: CutEdges | None) -> Bioheat:
    """Perfused tissue that can freeze, with a cooled skin; ``unfrozen`` and ``frozen``: edges that a border cuts."""
    body = engine.volume > 0
    capacity = np.where(body, engine.to_nodes(3.6e6 + 4e5 * engine.shares["tumour"]), 1.0)
    of_cells = 0.5 + 0.1 * engine.shares["tumour"]
    of_nodes = np.where(body, engine.to_nodes(of_cells), 1.0)
    freezing = PhaseChange(-8.0, -1.0, np.full(body.shape, 2.5e8))
    film = 200.0 * engine.areas[_faces(engine)[0]]
    return Bioheat(
        engine,
        Enthalpy.build(capacity, freezing, 0.5 * capacity),
        lambda: capacity * engine.volume,
        Conductivity(of_cells, np.full(of_cells.shape, 0.002), 4.0 * of_cells, freezing.start, freezing.end),
        lambda: Conductivity(of_nodes, np.full(of_nodes.shape, 0.002), 4.0 * of_nodes, freezing.start, freezing.end),
        4e4 * engine.volumes["liver"],
        37.0,
        500.0 * engine.volume,
        Surroundings(film, 5.0 * film, held),
        CutConductivity.of(unfrozen, frozen, freezing.start, freezing.end),
    )


def march(engine: Any) -> Iterator[tuple[str, Array]]:
    """Perfused tissue that is heated and damaged at one place and frozen at another, with a cooled skin."""
    body, (_, held_face) = engine.volume > 0, _faces(engine)
    ahead, beside = (engine.cut_edges(by) for by in ({"liver": 0.2, "tumour": 1.5}, {"liver": 2.0, "tumour": 0.7}))
    held = Held(engine.areas[held_face] > 0, np.full(body.shape, 37.0))
    problem = _freezing(engine, held, CutEdges.product(ahead, engine.held_edges("tumour")), beside)
    cold, hot = Ball((-3e-3, -2e-3, -1e-3), 3e-3), (3e-3, 2e-3, 1e-3)
    if not engine.symmetric(cold):
        cold, hot = Ball((0.0, 0.0, -4e-3), 2e-3), (0.0, 0.0, 3e-3)
    probe = engine.contact(cold)
    spots = np.random.default_rng(6).normal(hot, 1e-3, (50, 3))
    power = engine.deposit(np.full(50, 0.05), spots)

    def drive(state: State, step: float) -> Drive:
        return Drive(power if state.time < 40.0 else 0.0 * power, (Contact(probe, -190.0),))

    laws = {"arrhenius": Arrhenius(), "cem43": Cem43()}
    loop = Loop(problem, PlainSource(drive, (40.0,)), laws, Control(), 60.0, "arrhenius", (25.0,))
    *_, last = loop.march(loop.start(np.full(body.shape, 37.0)))
    yield "temperature", engine.gather(last.state.temperature * body)
    yield "coldest", engine.gather(last.coldest * body)
    for name, damage in last.state.damage.items():
        yield name, engine.gather(damage)
    yield "energy", np.array([*last.energy, last.stored])
    yield "counts", np.array([last.steps, last.stages], dtype=float)
    yield "energy error", np.array([last.energy_error])


def constant(engine: Any) -> Iterator[tuple[str, Array]]:
    """Perfused tissue under constant power with a cooled skin and nothing that follows the temperature: two leaps."""
    body = engine.volume > 0
    of_cells = 0.5 + 0.3 * engine.shares["tumour"]
    cold_face, held_face = _faces(engine)
    film = 200.0 * engine.areas[cold_face]
    still = np.zeros(of_cells.shape)
    of_nodes = np.where(body, engine.to_nodes(of_cells), 1.0)
    problem = Bioheat(
        engine,
        Enthalpy(),
        lambda: engine.to_nodes(3.6e6 + 4e5 * engine.shares["tumour"]) * engine.volume,
        Conductivity(of_cells, still),
        lambda: Conductivity(of_nodes, np.zeros(of_nodes.shape)),
        4e4 * engine.volumes["liver"],
        37.0,
        500.0 * engine.volume,
        Surroundings(film, 20.0 * film, Held(engine.areas[held_face] > 0, np.full(body.shape, 37.0))),
    )
    act = Drive(2e6 * engine.volumes["tumour"], steady=True)
    loop = Loop(problem, PlainSource(lambda state, step: act), {}, Control(1e-6, 1e3), 90.0, None, (30.0,))
    *_, last = loop.march(loop.start(np.full(body.shape, 37.0)))
    yield "leaped temperature", engine.gather(last.state.temperature * body)
    yield "leaped energy", np.array([*last.energy, last.stored])
    yield "leaps", np.array([last.steps, last.stages], dtype=float)


def walls(engine: Any) -> Iterator[tuple[str, Array]]:
    """Temperatures that move in every step: of a face and a probe, and of a ball that freezes its surroundings."""
    body, (_, held_face) = engine.volume > 0, _faces(engine)
    nothing = np.zeros(body.shape)
    problem = _freezing(engine, Held(nothing > 0.0, nothing), engine.held_edges("tumour"), None)
    face, ball = (engine.areas[held_face] > 0) & body, (np.linalg.norm(engine.points, axis=1) < 3.5e-3) & body

    def held(time: float) -> Held:
        of_ball = float(np.interp(time, [0.0, 12.0, 16.0, 24.0], [37.0, -40.0, -40.0, 20.0]))
        return Held(face | ball, np.where(ball, of_ball, 37.0 + 0.4 * time))

    probe = engine.contact(Ball((0.0, 0.0, -5.5e-3), 1e-3))

    def drive(state: State, step: float) -> Drive:
        middle = 37.0 + 1.5 * (state.time + 0.5 * step)
        return Drive(nothing, (Contact(probe, middle, change=1.5 * step),), held)

    source = PlainSource(drive, (12.0, 16.0, 24.0))
    loop = Loop(problem, source, {"cem43": Cem43()}, Control(), 30.0, None, (2.5, 9.0, 20.0))
    saved = []
    for progress in loop.march(loop.start(np.full(body.shape, 37.0))):
        saved += [moment for moment, wanted in loop.moments(progress) if wanted]
    yield "temperature by walls", engine.gather(progress.state.temperature * body)
    yield "coldest by walls", engine.gather(progress.coldest * body)
    yield "energy by walls", np.array([*progress.energy, progress.stored])
    yield "counts by walls", np.array([progress.steps, progress.stages], dtype=float)
    yield "moments by walls", np.array([engine.gather(moment.state.temperature * body) for moment in saved])
    yield "energy of moments by walls", np.array([moment.energy for moment in saved])


def electrode(engine: Any) -> Iterator[tuple[str, Array]]:
    """Ball (RF-01) and line (RF-06) thinner than the grid at 1 V, the border at the exact potential; in ohm, ohm m."""
    sigma = 0.33
    border = np.any([area > 0 for name, area in engine.areas.items() if name != "surface"], axis=0)
    operator = engine.conductance(np.full(engine.cell_volume.shape, sigma))

    def potential(factor: Array, exact: Array) -> Array:
        return np.asarray(
            engine.solve(operator, sigma * factor, sigma * factor, fixed=border, values=exact, tolerance=1e-12)
        )

    radius, centre = 1.5e-3, np.array([0.31, -0.12, 0.44]) * 1e-3
    distance = np.linalg.norm(engine.points - centre, axis=1)
    factor = engine.contact(Ball(tuple(centre), radius))
    u = potential(factor, radius / np.maximum(distance, radius))
    yield "ball", engine.gather(u)
    yield "ball resistance", np.array([1.0 / engine.total(sigma * factor * (1.0 - u))])

    a, b = 0.75e-3, 30e-3
    low, high = engine.minimum(engine.points[:, 2]), engine.maximum(engine.points[:, 2])
    distance = np.linalg.norm(engine.points[:, :2] - centre[:2], axis=1)
    factor = engine.contact(Line((centre[0], centre[1], low), (centre[0], centre[1], high), a))
    u = potential(factor, 1.0 - np.log(np.maximum(distance, a) / a) / np.log(b / a))
    half = 0.5 * high
    window = np.where(np.abs(engine.points[:, 2]) < half, np.cos(0.5 * np.pi * engine.points[:, 2] / half) ** 2, 0.0)
    yield "line", engine.gather(u)
    yield "line resistance", np.array([1.0 / engine.total(window / half * sigma * factor * (1.0 - u))])


PROBLEMS: Mapping[str, tuple[Callable[[], Domain], tuple[Callable[[Any], Iterator[tuple[str, Array]]], ...]]] = {
    "hexahedra": (hexahedra, (space, steady, march, constant, walls)),
    "tetrahedra": (tetrahedra, (space, steady, march, constant, walls)),
    "triangles": (triangles, (space, steady, march, constant, walls)),
    "electrode": (lambda: cube(24, 1.5e-3), (electrode,)),
}


def solved(problem: str, make: Callable[[Domain], Any]) -> Figures:
    """All figures of a problem by an engine."""
    domain, parts = PROBLEMS[problem]
    engine = make(domain())
    return {name: np.asarray(figure) for part in parts for name, figure in part(engine)}


def by_serial_engine(problem: str) -> Figures:
    """By the voxel or the mesh engine."""
    return solved(problem, lambda domain: Alone(SERIAL[type(domain)](domain)))


if __name__ == "__main__":
    from thermal.engines.dolfinx import DolfinxEngine

    for problem in PROBLEMS:
        engines: list[DolfinxEngine] = []

        def make(domain: Domain, engines: list[DolfinxEngine] = engines) -> DolfinxEngine:
            engines.append(DolfinxEngine(domain))
            return engines[0]

        found = solved(problem, make)
        if engines[0].distribution.comm.rank == 0:
            np.savez(f"{sys.argv[1]}/{problem}.npz", **found)
