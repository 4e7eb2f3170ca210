"""The needle as a body: flow goes around it, particles are not in it."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import MM, cube, site, tissues
from test_delivery import infusion

from thermal.domain import Line
from thermal.errors import CaseError
from thermal.physics.delivery.flow import Medium
from thermal.physics.delivery.shaft import open_share
from thermal.physics.scene import Held


def test_volume_of_a_shaft() -> None:
    engine = cube(6 * MM, 0.5 * MM)
    share = open_share(engine, [Line((-9 * MM, 0.2 * MM, 0.1 * MM), (3 * MM, 0.2 * MM, 0.1 * MM), 1 * MM)])
    taken = float((1 - share) @ engine.cell_volume)
    assert taken == pytest.approx(np.pi * MM**2 * 9 * MM, rel=0.02)  # points 0.08 mm apart


def test_flow_past_a_needle() -> None:
    """p = x (1 + R^2 / (x^2 + y^2)) around a cylinder that lets nothing through, four voxels to its radius."""
    engine = cube(4 * MM, 0.25 * MM)
    tissue = tissues(engine)
    x, y, _ = engine.points.T
    aside = np.maximum(x**2 + y**2, MM**2)
    exact = x * (1 + MM**2 / aside)
    border = np.any(np.abs(engine.points) > 4 * MM - 1e-9, axis=1)
    medium = Medium.of(engine, tissue, Held(border, np.where(border, exact, 0.0)), 0.0, "test")
    shaft = Line((0.0, 0.0, -5 * MM), (0.0, 0.0, 5 * MM), 1 * MM)
    found = medium.around(open_share(engine, [shaft])).at_rest().pressure
    near = ~border & (np.hypot(x, y) > 1.4 * MM)
    assert np.abs(found - exact)[near].max() < 0.04 * MM  # without the needle: up to 0.7 MM
    assert np.abs(medium.at_rest().pressure - exact)[near].max() > 0.2 * MM


def test_infusion_from_a_needle_with_a_body() -> None:
    engine = cube(8 * MM, 0.5 * MM)
    plain = infusion(duration="5 min", port_radius="0.5 mm").deliver(site(engine))
    found = infusion(duration="5 min", port_radius="0.5 mm", shaft_radius="1.2 mm", diffusivity="1e-11 m^2/s").deliver(
        site(engine)
    )
    x, y, z = engine.points.T
    inside = (np.hypot(x, y) < 0.4 * MM) & (z > 1.2 * MM)
    pore, _ = found.fields["pore_concentration"]
    assert plain.fields["pore_concentration"][0][inside].max() > 5.0
    assert pore[inside].max() == 0.0
    assert pore.min() >= 0.0
    assert pore.max() <= 10.0 * (1 + 1e-6)
    assert found.readings["ledger.mass_error"].value < 1e-12
    mass = found.bulk * engine.volume
    assert mass @ z < plain.bulk * engine.volume @ z - 0.1 * MM * mass.sum()  # further ahead of the tip
    pressures = [one.readings["delivery.port_pressure"].value for one in (plain, found)]
    assert pressures[0] < pressures[1] < 2 * pressures[0]


def test_what_a_shaft_refuses() -> None:
    with pytest.raises(ValueError, match="not withdrawn"):
        infusion(shaft_radius="1 mm", backflow={"needle_radius": "1 mm", "shear_modulus": "5 kPa"})
    with pytest.raises(CaseError, match="no way into the tissue"):
        infusion(shaft_radius="9 mm", port_radius="0.1 mm", side_ports=["4 mm"], end_port=False).deliver(
            site(cube(8 * MM, 1 * MM))
        )
