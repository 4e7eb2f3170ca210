"""Ports near capsules and the borders of tissues that conduct otherwise: fluid goes to their own side."""

from __future__ import annotations

from typing import Any

import half_planes
import numpy as np
import pytest
from scenes import MM, cube, on_faces, site, tissues
from scripts import script
from test_cut_edges import painted
from test_delivery import UL_MIN, infusion

from thermal.anatomy.shapes import Sphere
from thermal.domain import MeshDomain
from thermal.engines.mesh import MeshEngine
from thermal.physics.scene import Held
from thermal.units import Array

K = 1e-12
FLOW = 3 * UL_MIN


def beside_a_plane(at: Array, far: float, distance: float, radius: float) -> Array:
    """Pressure (n,) at points (n, 3) of a source at the origin; beyond the plane x = ``distance`` tissue conducts
    ``far``: the flow and its image."""
    away = np.linalg.norm(at, axis=1).clip(radius)
    image = np.linalg.norm(at - np.array([2 * distance, 0, 0]), axis=1).clip(radius)
    near = (1 / away + (K - far) / (K + far) / image) / K
    return np.asarray(FLOW / (4 * np.pi) * np.where(at[:, 0] <= distance, near, 2 / (K + far) / away))


@pytest.mark.parametrize("ratio", [1e-6, 0.1, 10.0, 1e3])
def test_port_a_voxel_from_a_border(ratio: float) -> None:
    """With the kernel on both sides the port has 34 times the pressure at 1e-6, and a fifth of it at 1000."""
    distance, radius = 1 * MM, 0.5 * MM
    engine = cube(8 * MM, 1 * MM, {"far": lambda x: np.where(x[:, 0] > distance, 1.0, 0.0)})
    outside = on_faces(engine, beside_a_plane(engine.points, ratio * K, distance, radius))
    found = infusion(port_radius="0.5 mm", duration="1 s").deliver(
        site(engine, tissues(engine, {"far": {"hydraulic_conductivity": f"{ratio * K} m^2/Pa/s"}}), pressure=outside)
    )
    exact = FLOW / (4 * np.pi * K) * (1 / radius + (1 - ratio) / (1 + ratio) / (2 * distance))
    assert found.readings["delivery.port_pressure"].value == pytest.approx(exact, rel=0.04)
    at = np.array([[-4, 0, 0]]) * MM
    pressure = engine.sample(found.fields["pressure"][0], at)
    assert pressure == pytest.approx(beside_a_plane(at, ratio * K, distance, radius), rel=0.04)


def encapsulated(side: str, conductivity: float) -> Any:
    """Two ports, one in the middle of a ball of 5 mm in a capsule of 1 mm, on voxels of 1 mm."""
    axis = np.linspace(-10.2 * MM, 10.8 * MM, 22)
    shapes = [
        Sphere(region=name, centre=("0 mm", "0 mm", "0 mm"), radius=radius)
        for name, radius in (("capsule", "6 mm"), ("core", "5 mm"))
    ]
    engine = painted((axis, axis.copy(), axis.copy()), shapes)
    tight = {"capsule": {"hydraulic_conductivity": f"{conductivity} m^2/Pa/s"}}
    spec = infusion(port_radius="0.5 mm", side_ports=[side], duration="1 min", entry=["10 mm", "0 mm", "0 mm"])
    return spec.deliver(site(engine, tissues(engine, tight)))


def test_two_ports_in_a_capsule() -> None:
    """Together they have the pressure that drives the flow through the capsule, and what it takes to come there."""
    found = encapsulated("2 mm", 1e-15)
    capsule = FLOW / (4 * np.pi * 1e-15) * (1 / 5 - 1 / 6) / MM
    inside = FLOW / (4 * np.pi * K) * (0.5 / 0.5 + 0.5 / 2 - 1 / 5) / MM  # half of it from each port
    assert found.readings["delivery.port_pressure"].value == pytest.approx(capsule + inside, rel=0.04)
    assert found.readings["ledger.mass_error"].value < 1e-12


@pytest.mark.parametrize("side", ["4 mm", "5.5 mm", "7 mm", "8 mm"])
@pytest.mark.parametrize("conductivity", [1e-14, 1e-17])
def test_ports_on_both_sides_of_a_capsule(side: str, conductivity: float) -> None:
    """Each delivers; one beyond a capsule that is tight takes the flow."""
    found = encapsulated(side, conductivity)
    shares = [found.readings[f"delivery.port_flow.{n}"].value / FLOW for n in (1, 2)]
    assert min(shares) >= 0.0
    assert sum(shares) == pytest.approx(1.0, rel=1e-12)
    if side in ("7 mm", "8 mm"):
        assert shares[1] > (0.99 if conductivity < 1e-16 else 0.6)
    assert found.readings["ledger.mass_error"].value < 1e-12
    assert found.fields["pore_concentration"][0].max() <= 10.0 * (1 + 1e-6)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 1.5), (0.6, 1.2, 1.0)])
def test_port_on_flat_voxels(spacing: tuple[float, float, float]) -> None:
    """INF-01 where voxels are three times as long one way as the other."""
    axes = tuple(np.linspace(-6 * MM, 6 * MM, round(12 / h) + 1) for h in spacing)
    engine = painted((axes[0], axes[1], axes[2]), [])
    far = np.linalg.norm(engine.points, axis=1).clip(1 * MM)
    outside = on_faces(engine, FLOW / (4 * np.pi * K * far))
    found = infusion(port_radius="0.4 mm", duration="1 s", entry=["6 mm", "0 mm", "0 mm"]).deliver(
        site(engine, tissues(engine), pressure=outside)
    )
    exact = FLOW / (4 * np.pi * K * 0.4 * MM)
    assert found.readings["delivery.port_pressure"].value == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("core", [1e-14, 1e-12, 1e-11])
def test_port_in_a_core_of_tetrahedra(core: float) -> None:
    """A ball of 10 mm within one of 40 mm, 1.3 mm at the port: shells in series, retained by its rate alone."""
    points, cells, region, faces, border = script("make_ball_mesh").ball(10 * MM, 40 * MM, 1)
    shares = {name: (region == tag).astype(float) for name, tag in (("core", 1), ("tissue", 2))}
    engine: Any = MeshEngine(MeshDomain(points, cells, shares, {"skin": faces[border == 4]}))
    away = np.linalg.norm(points, axis=1)
    edge, skin = away[faces[border == 3]].mean(), float(away.max())
    held = Held(np.isclose(away, skin), np.zeros(len(away)))
    properties = tissues(engine, {"core": {"hydraulic_conductivity": f"{core} m^2/Pa/s"}})
    spec = infusion(port_radius="2 mm", duration="10 min", entry=["39 mm", "0 mm", "0 mm"], deposition_rate="1e-3 1/s")
    found = spec.deliver(site(engine, properties, pressure=held))
    exact = FLOW / (4 * np.pi) * ((1 / (2 * MM) - 1 / edge) / core + (1 / edge - 1 / skin) / K)
    assert found.readings["delivery.port_pressure"].value == pytest.approx(exact, rel=0.06)  # twenty sides to a shell
    retained = found.readings["dose.deposited"].value / found.readings["dose.infused"].value
    assert retained == pytest.approx(1 - (1 - np.exp(-0.6)) / 0.6, rel=1e-3)
    assert found.readings["ledger.mass_error"].value < 1e-12


@pytest.mark.parametrize("ratio", [1e-6, 0.1, 10.0, 1e3])
def test_port_on_an_axis_from_a_border(ratio: float) -> None:
    """The same on rings, a triangle of half a millimetre from the plane."""
    points, triangles = half_planes.rectangle(np.linspace(0, 8, 17) * MM, np.linspace(-8, 8, 33) * MM)
    engine: Any = half_planes.engine(points, triangles, {"far": lambda _r, z: z > 0.5 * MM})
    rim = (engine.points[:, 0] > 7.99 * MM) | (np.abs(engine.points[:, 2]) > 7.99 * MM)
    turned = engine.points[:, [2, 0, 1]]
    held = Held(rim, beside_a_plane(turned, ratio * K, 0.5 * MM, 0.25 * MM))
    far = {"far": {"hydraulic_conductivity": f"{ratio * K} m^2/Pa/s"}}
    spec = infusion(duration="1 s", entry=["0 mm", "0 mm", "8 mm"])
    found = spec.deliver(site(engine, tissues(engine, far), pressure=held))
    exact = FLOW / (4 * np.pi * K) * (1 / (0.25 * MM) + (1 - ratio) / (1 + ratio) / (1 * MM))
    assert found.readings["delivery.port_pressure"].value == pytest.approx(exact, rel=0.05)
