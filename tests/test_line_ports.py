"""Ports along a line, and infusate that runs back along a needle, among vessels: as far as without a grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import half_planes
import numpy as np
import pytest
from scenes import MM, cube, site, tissues
from test_delivery import UL_MIN, infusion
from test_infusion import NORMAL, WALL, value

from thermal.physics.delivery.backflow import Backflow
from thermal.physics.delivery.needle import TRACK_PARTS
from thermal.physics.delivery.port import _met_at_wall
from thermal.physics.scene import Held
from thermal.units import Array

DECAY = float(np.sqrt(WALL / NORMAL))
RADIUS, HALF = 0.25 * MM, 1.0 * MM
EDGE = 2.5 * MM


def potential(beside: Array, along: Array, half: float, decay: float = DECAY) -> Array:
    """(k,) 1/m: mean of ``exp(-m r) / 4 pi r`` over a line -half to half, at places ``beside`` and ``along`` it."""
    places, parts = np.polynomial.legendre.leggauss(60)
    low, high = (np.arcsinh((end - along) / beside)[:, None] for end in (-half, half))
    t = 0.5 * (high + low) + 0.5 * (high - low) * places
    return np.asarray(
        (np.exp(-decay * beside[:, None] * np.cosh(t)) * (high - low)) @ parts / (16.0 * np.pi * half)
    )  # fmt: skip


@cache
def taken_within(half: float, radius: float, decay: float) -> float:
    """What vessels would take of a flow of one, evenly from the axis, within a cylinder."""
    places, parts = np.polynomial.legendre.leggauss(20)
    r = 0.5 * radius * (1.0 + places)
    z = half * (1.0 - np.linspace(1.0, 0.0, 201) ** 2)  # closer together at the end
    by_ring = [np.trapezoid(potential(np.full(len(z), at), z, half, decay), z) for at in r]
    return float(2.0 * decay**2 * np.pi * radius * (parts * r) @ np.asarray(by_ring))


def test_a_cylinder_without_end_is_that_of_bessel() -> None:
    from scipy.special import k0, k1

    for decay in (100.0, DECAY, 8000.0):
        wall = decay * RADIUS
        within, met = _met_at_wall(decay, 1000 * MM, RADIUS)
        assert within * np.exp(wall) == pytest.approx(1.0 / (wall * k1(wall)), rel=3e-4)
        expected = k0(wall) / (2 * np.pi * 1000 * MM * wall * k1(wall))
        assert within * met == pytest.approx(expected, rel=3e-3)  # 10 decay lengths to its ends at the least


@pytest.mark.parametrize("decay", [DECAY, 4 * DECAY])
def test_a_flow_from_the_axis_passes_a_short_wall(decay: float) -> None:
    within, _ = _met_at_wall(decay, 2 * HALF, RADIUS)
    left = 1.0 - taken_within(HALF, RADIUS, decay)
    assert within * np.exp(decay * RADIUS) == pytest.approx(1.0 / left, rel=2e-4)


def around(engine: Any) -> tuple[Array, Array]:
    """(n,) distance of the nodes from the z axis, not nearer than the wall of the line on it, and their z."""
    x, y, z = engine.points.T
    return np.maximum(np.hypot(x, y), np.where(np.abs(z) < HALF, RADIUS, 1e-6 * MM)), z


def infused(engine: Any, exact: Array, **changes: Any) -> Any:
    """A needle along z with its tip 1 mm below the origin, in tissue of which the border has the ``exact`` pressure."""
    properties = tissues(engine, hydraulic_conductivity=f"{NORMAL} m^2/Pa/s", vascular_filtration=f"{WALL} 1/Pa/s")
    held = Held(np.abs(engine.points).max(axis=1) > 0.999 * EDGE, exact)
    needle = {"tip": ["0 mm", "0 mm", "-1 mm"], "entry": ["0 mm", "0 mm", "2.3 mm"], "port_radius": "0.25 mm"}
    found = infusion(**{"flow": "1 ul/min", "duration": "1 s", **needle, **changes}).deliver(
        site(engine, properties, pressure=held)
    )
    assert value(found, "ledger.mass_error") < 1e-12
    return found


def missed(engine: Any, found: Any, exact: Array) -> float:
    """Pressure 1.4 mm beside the line, geometric mean over half of its length, over the exact one."""
    angle, z = (a.ravel() for a in np.meshgrid(np.linspace(0, np.pi, 9), np.linspace(-0.5, 0.5, 5) * MM))
    places = np.stack([1.4 * MM * np.cos(angle), 1.4 * MM * np.sin(angle), z], axis=1)
    return float(np.exp(engine.sample(np.log(found.fields["pressure"][0] / exact), places).mean()))


def far_from_a_line(engine: Any) -> tuple[float, float]:
    """Pressure in a port of 2 mm, and 1.4 mm beside it, over the exact ones."""
    exact = UL_MIN / NORMAL * potential(*around(engine), HALF) / (1.0 - taken_within(HALF, RADIUS, DECAY))
    found = infused(engine, exact, port_length="2 mm")
    z = np.linspace(-HALF, HALF, 1001)
    wall = UL_MIN / NORMAL * float(np.trapezoid(potential(np.full(len(z), RADIUS), z, HALF), z)) / (2 * HALF)
    wall /= 1.0 - taken_within(HALF, RADIUS, DECAY)
    return value(found, "delivery.port_pressure") / wall, missed(engine, found, exact)


def test_vessels_take_as_much_beside_a_line_as_without_a_grid() -> None:
    """Of second order, as beside a ball; otherwise there are 9 % too little on any fine grid, in the port 10 %."""
    found = [far_from_a_line(cube(EDGE, spacing * MM)) for spacing in (0.5, 0.25)]
    assert abs(found[0][1] - 1) < 0.03
    assert abs(found[1][1] - 1) < 0.3 * abs(found[0][1] - 1)
    assert all(port == pytest.approx(1.0, abs=0.015) for port, _ in found)


def test_vessels_beside_a_line_on_an_axis() -> None:
    points, triangles = half_planes.rectangle(np.linspace(0, 2.5, 21) * MM, np.linspace(-2.5, 2.5, 41) * MM)
    port, far = far_from_a_line(half_planes.engine(points, triangles))
    assert port == pytest.approx(1.0, abs=0.015)
    assert far == pytest.approx(1.0, abs=0.015)


def test_vessels_beside_infusate_that_runs_back() -> None:
    """The flow along a wetted needle is that of its parts, each evenly along its own length; otherwise 9 % are left."""
    gap = {"needle_radius": "0.25 mm", "shear_modulus": "10 MPa", "viscosity": "1 Pa s"}
    track = Backflow.model_validate(gap).along(UL_MIN, NORMAL, 3.3 * MM)
    assert track.out == 0.0
    half, shares = 0.5 * track.length / TRACK_PARTS, track.shares(TRACK_PARTS)
    for spacing, allowed in ((0.5, 0.03), (0.25, 0.004)):
        engine = cube(EDGE, spacing * MM)
        beside, z = around(engine)
        exact = np.zeros(len(z))
        for part, share in enumerate(shares):
            exact += share * potential(beside, z + HALF - (2 * part + 1) * half, half)
        exact *= UL_MIN / NORMAL / (1.0 - taken_within(0.5 * track.length, RADIUS, DECAY))
        found = infused(engine, exact, backflow=gap)
        assert missed(engine, found, exact) == pytest.approx(1.0, abs=allowed)
