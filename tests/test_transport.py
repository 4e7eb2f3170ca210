"""Transport on the engines: conservation and bounds on any edge graph, order of convergence, local steps, kinetics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import test_mesh_engine as meshes
import test_voxel_engine as voxels
from carriages import cargo, carriage

from thermal.carriage import Transport
from thermal.domain import AxisymmetricDomain, MeshDomain, VoxelDomain
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.units import Array, Mask


def half_plane(n: int = 8) -> AxisymmetricEngine:
    """Shaken triangles of a half-plane of unit radius and height."""
    from scipy.spatial import Delaunay

    rng = np.random.default_rng(3)
    r, z = (a.ravel() for a in np.meshgrid(*[np.linspace(0.0, 1.0, n + 1)] * 2, indexing="ij"))
    inner = (r > 0) & (r < 1) & (z > 0) & (z < 1)
    r[inner] += rng.uniform(-0.4, 0.4, inner.sum()) / n
    z[inner] += rng.uniform(-0.4, 0.4, inner.sum()) / n
    cells = Delaunay(np.stack([r, z], axis=1)).simplices.astype(np.int64)
    sides = np.stack([r, z], axis=1)[cells]
    area = np.abs(np.linalg.det(sides[:, 1:] - sides[:, :1]))
    return AxisymmetricEngine(
        AxisymmetricDomain(np.stack([r, 0 * r, z], axis=1), cells[area > 1e-9], {"all": np.ones(sum(area > 1e-9))}, {})
    )


def border(engine: Any) -> Mask:
    """Nodes through which fluid leaves."""
    if isinstance(engine, VoxelEngine):
        return voxels.shell(engine)
    return np.asarray(engine.areas["surface"] > 0)


def from_inside(engine: Any, k: Array | None = None) -> tuple[Any, Array, Array, Array]:
    """Operator, pressure, injection and what leaves (n,) of a unit source near the middle, zero pressure outside."""
    operator = engine.conductance(np.ones(len(engine.cell_volume)) if k is None else k)
    zero = np.zeros_like(engine.volume)
    middle = 0.5 * (engine.points.min(axis=0) + engine.points.max(axis=0))
    inner = np.where(border(engine), np.inf, np.linalg.norm(engine.points - middle, axis=1))
    inflow = zero.copy()
    inflow[np.argmin(inner)] = 1.0
    pressure = engine.solve(operator, zero, inflow, fixed=border(engine), values=zero, tolerance=1e-13)
    return operator, pressure, inflow, np.where(border(engine), inflow - operator(pressure), 0.0)


GRAPHS = {
    "voxels of noise": lambda: (engine := voxels.grid(voxels.uniform(9)), voxels.noise(engine, 1.5)),
    "tetrahedra": lambda: (MeshEngine(MeshDomain(*meshes.cube(6), {})), None),
    "poor tetrahedra": lambda: (meshes.jittered(7), None),
    "half-plane": lambda: (half_plane(), None),
}


@pytest.mark.parametrize("diffusivity", [0.0, 0.3])
@pytest.mark.parametrize("graph", GRAPHS)
def test_conserves_and_stays_in_bounds(graph: str, diffusivity: float) -> None:
    """Whatever the edges are: nothing is lost, nothing negative, nothing above the infusate; some diffusion as well."""
    engine, k = GRAPHS[graph]()
    operator, pressure, inflow, crossing = from_inside(engine, k)
    capacity = 0.2 * engine.volume
    leaving, entering = np.maximum(crossing, 0.0), np.maximum(-crossing, 0.0)
    problem = carriage(
        capacity, inflow=inflow + entering, inlet=2.5 * inflow, leaving=leaving, dispersivity=0.05 * (diffusivity > 0)
    )
    spread = engine.conductance(np.full(len(engine.cell_volume), diffusivity)) if diffusivity else None
    transport = engine.transport(operator, pressure, problem, spread)
    there = cargo(np.zeros_like(capacity))
    whole = 0.6 * capacity.sum()
    given = 0.0
    for step in (0.01 * whole, 0.2 * whole, 0.79 * whole):
        transport.advance(there, step)
        given += 2.5 * step
        c = there.concentration
        assert capacity @ c + there.left.sum() == pytest.approx(given, rel=1e-13)
        assert c.min() >= 0.0
        assert c.max() <= 2.5 * (1 + 1e-9)  # the residual of the pressure, 1e-13 of the flow, over the smallest node's
    assert there.left.sum() > 0.0
    filled = cargo(np.full_like(capacity, 2.5))
    full = carriage(capacity, inflow=inflow + entering, inlet=2.5 * (inflow + entering > 0), leaving=leaving)
    engine.transport(operator, pressure, full, spread).advance(filled, 0.3 * whole)
    np.testing.assert_allclose(filled.concentration[capacity > 0], 2.5, rtol=1e-8)  # the constant is a solution


def test_uphill_flux_is_counted() -> None:
    good, poor = MeshEngine(MeshDomain(*meshes.cube(6), {})), meshes.jittered(7)
    for engine, low, high in ((good, -1.0, 1e-12), (poor, 0.1, 0.5)):
        operator, pressure, *_ = from_inside(engine)
        share = engine.transport(operator, pressure, carriage(engine.volume)).uphill_share
        assert low < share < high


def channel(cells: int, dispersivity: float = 0.0) -> tuple[Transport, Array, Array]:
    """Fluid at unit speed along x through a bar of unit length: transport, x and capacity."""
    x = np.linspace(0.0, 1.0, cells + 1)
    across = np.linspace(0.0, 1.0, 3)
    engine = VoxelEngine(VoxelDomain((x, across, across), {"all": np.ones(4 * cells)}, np.ones(4 * cells, bool)))
    at = engine.points[:, 0]
    operator = engine.conductance(np.ones(4 * cells))
    through = operator(-at)
    problem = carriage(
        engine.volume,
        inflow=np.where(at == 0, -operator(at), 0.0),
        leaving=np.where(at == 1, operator(at), 0.0),
        dispersivity=dispersivity,
    )
    assert abs(through).max() > 0
    return engine.transport(operator, -at, problem), at, engine.volume


@pytest.mark.parametrize("dispersivity", [0.0, 0.004])
def test_second_order_where_smooth(dispersivity: float) -> None:
    """A Gaussian pulse moves by a fifth of the length; halving the cells divides the error by four."""
    errors = []
    for cells in (50, 100, 200):
        transport, x, volume = channel(cells, dispersivity)
        there = cargo(np.exp(-0.5 * ((x - 0.4) / 0.06) ** 2))
        transport.advance(there, 0.2)
        wide = np.hypot(0.06, np.sqrt(2 * dispersivity * 0.2))
        exact = 0.06 / wide * np.exp(-0.5 * ((x - 0.6) / wide) ** 2)
        errors.append(volume @ abs(there.concentration - exact))
    assert errors[0] / errors[1] > 3.4
    assert errors[1] / errors[2] > 3.4


def test_a_front_stays_within_few_cells() -> None:
    """A jump that has crossed 60 cells is still three cells wide (10 to 90 %); upwind transport would take 19."""
    transport, x, _ = channel(100)
    there = cargo(np.where(x < 0.2, 1.0, 0.0))
    transport.advance(there, 0.6)
    middle = np.isclose(there.concentration, there.concentration)
    at, c = x[middle][::9], there.concentration[middle][::9]
    width = 100 * (np.interp(-0.1, -c, at) - np.interp(-0.9, -c, at))
    assert width < 3.5


def test_a_step_of_the_whole_equals_many_small_ones() -> None:
    """Local steps follow from the flow; cutting the whole only moves where they begin."""
    engine = voxels.grid(voxels.uniform(9))
    operator, pressure, inflow, leaving = from_inside(engine)
    problem = carriage(0.2 * engine.volume, inflow=inflow, inlet=inflow, leaving=leaving)
    found, mass = [], []
    for parts in (1, 64):
        transport = engine.transport(operator, pressure, problem)
        there = cargo(np.zeros_like(inflow))
        for _ in range(parts):
            transport.advance(there, 0.01 / parts)
        found.append(there.concentration)
        mass.append(0.2 * engine.volume @ there.concentration + there.left.sum())
    assert np.abs(found[0] - found[1]).max() < 0.08  # the front, one cell wide, moved by a part of a cell
    assert mass == pytest.approx([0.01, 0.01], rel=1e-13)


def test_turned_anatomy_gives_turned_transport() -> None:
    engine = voxels.grid(voxels.UNEVEN)
    turned = voxels.grid((voxels.UNEVEN[1], -voxels.UNEVEN[0][::-1], voxels.UNEVEN[2]))
    k = voxels.noise(engine, 1.0).reshape(engine.domain.cell_shape)
    injected = np.zeros(engine.domain.shape)
    injected[2, 2, 3] = 1.0

    def carried(on: VoxelEngine, k: Array, injected: Array) -> Array:
        operator = on.conductance(k.ravel())
        zero, load = np.zeros(on.volume.size), injected.ravel()
        pressure = on.solve(operator, zero, load, fixed=voxels.shell(on), values=zero, tolerance=1e-13)
        leaving = np.where(voxels.shell(on), load - operator(pressure), 0.0)
        there = cargo(zero)
        problem = carriage(0.2 * on.volume, inflow=load, inlet=load, leaving=leaving)
        on.transport(operator, pressure, problem).advance(there, 4.0)
        return there.concentration.reshape(on.domain.shape)

    expected = carried(engine, k, injected)
    assert expected.max() > 0.5
    np.testing.assert_allclose(
        carried(turned, voxels._turn(k), voxels._turn(injected)), voxels._turn(expected), atol=1e-9
    )


def test_kinetics_alone() -> None:
    """Without flow: exponential removal; sticking that stops when the room is full; what sticks comes off again."""
    engine = voxels.grid(voxels.uniform(2))
    operator = engine.conductance(np.ones(8))
    n = engine.volume.size
    still = np.zeros(n)

    def after(step: float, **changes: Any) -> Any:
        there = cargo(np.ones(n))
        problem = carriage(engine.volume, **changes)
        for _ in range(200):
            engine.transport(operator, still, problem).advance(there, step / 200)
        return there

    lost = after(3.0, loss=still + 0.5)
    np.testing.assert_allclose(lost.concentration, np.exp(-1.5), rtol=1e-12)
    np.testing.assert_allclose(lost.lost, engine.volume * (1 - np.exp(-1.5)), rtol=1e-12)

    # a room for half of what is there: ds/dt = k (2 - s) (1 - s), so s = 2 (1 - e) / (2 - e) with e = exp(-k t)
    there = cargo(np.full(n, 2.0))
    problem = carriage(engine.volume, sticking=still + 1.0, room=engine.volume)
    for _ in range(200):
        engine.transport(operator, still, problem).advance(there, 0.01)
    rest = np.exp(-2.0)
    np.testing.assert_allclose(there.stuck / engine.volume, 2 * (1 - rest) / (2 - rest), rtol=1e-9)
    assert (there.stuck <= engine.volume).all()

    balance = after(40.0, sticking=still + 0.3, loosening=0.1)
    np.testing.assert_allclose(balance.stuck / engine.volume, 0.75, rtol=5e-4)  # split: rates times step, 0.1, squared


def test_nodes_without_pores_are_refused() -> None:
    engine = voxels.grid(voxels.uniform(4))
    operator, pressure, inflow, _ = from_inside(engine)
    transport = engine.transport(operator, pressure, carriage(0 * engine.volume, inflow=inflow, inlet=inflow))
    with pytest.raises(ValueError, match="without pore volume"):
        transport.advance(cargo(inflow), 1.0)
