"""Light at points: rays of beams wider than the window, and the fluence between nodes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from test_light import engine_of, uniform
from test_mesh_engine import jittered

from thermal.physics.light import Beam, Border
from thermal.physics.light.reading import fluence_at
from thermal.units import Array, Si

MU = 250.0
"""1/m."""


@pytest.mark.parametrize(("profile", "diameter"), [("top-hat", 0.4), ("top-hat", 0.012), ("gaussian", 0.4)])
def test_a_column_in_a_beam_wider_than_itself(profile: Literal["top-hat", "gaussian"], diameter: float) -> None:
    """A column of 2.4 by 2.6 mm takes the irradiance on its face, as evenly as under a beam of its own size; of 20 000
    rays of the whole beam of 400 mm one would meet it. What passes by is on the books."""
    engine = engine_of(np.linspace(-1.2e-3, 1.2e-3, 4), np.linspace(-1.3e-3, 1.3e-3, 3), np.linspace(0, 20e-3, 41))
    beam = Beam(
        position=(Si(0.2e-3), Si(0), Si(-10e-3)), direction=(0, 0, 1), diameter=Si(diameter), profile=profile,
        irradiance=Si(8e3), specular=0.1,
    )  # fmt: skip
    power = beam.own_power
    assert power is not None
    found = beam.emit(engine, uniform(engine, 640.0, 0.0), power, Border(1.0))
    taken = 0.9 * 8e3 * 2.4e-3 * 2.6e-3 * -np.expm1(-640.0 * 20e-3)
    assert found.absorbed.sum() == pytest.approx(taken, rel=0.015)
    assert found.absorbed.sum() + found.escaped + found.reflected == pytest.approx(power, rel=1e-12)
    assert found.reflected == pytest.approx(0.1 * power, rel=1e-12)
    area, absorbed = (a.reshape(engine.domain.shape) for a in (engine.areas["z-"], found.absorbed))
    column = absorbed.sum(axis=2) / area[..., 0]
    assert column == pytest.approx(np.full((4, 3), column.mean()), rel=0.06)


def point_source(away: Array) -> Array:
    return np.asarray(np.exp(-MU * away) / away)


@pytest.mark.parametrize("solid", [False, True])
def test_fluence_between_nodes(solid: bool) -> None:
    """Of exact values at nodes, on cells of a third of 1 / mu_eff: exact under a broad beam, and one to two mean depths
    from a point 0.2 % low on average, where the mean of logarithms is 1.9 % low and that of the fluence 0.7 % high."""
    axis = np.linspace(-6e-3, 6e-3, 10)
    engine = jittered(9, 0, 12e-3) if solid else engine_of(axis, axis, axis)
    fading = np.full(len(engine.points), MU)
    at = np.random.default_rng(1).uniform(-5e-3, 5e-3, (400, 3))
    beam = np.array([fluence_at(engine, np.exp(-MU * engine.points[:, 2]), fading, place) for place in at[:40]])
    np.testing.assert_allclose(beam, np.exp(-MU * at[:40, 2]), rtol=1e-4)
    centre = np.array([0.2e-3, 0.3e-3, -0.1e-3])
    away = np.linalg.norm(at - centre, axis=1)
    at, away = at[(away > 4e-3) & (away < 8e-3)], away[(away > 4e-3) & (away < 8e-3)]
    nodes = point_source(np.linalg.norm(engine.points - centre, axis=1))
    error = np.array([fluence_at(engine, nodes, fading, place) for place in at]) / point_source(away) - 1.0
    assert abs(np.mean(error)) < 0.004
    assert np.sqrt(np.mean(error**2)) < (0.025 if solid else 0.01)
    assert fluence_at(engine, nodes, fading, engine.points[555]) == pytest.approx(nodes[555], rel=1e-9)


def test_no_logarithm_where_a_corner_is_dark() -> None:
    axis = np.linspace(-1e-3, 1e-3, 3)
    engine = engine_of(axis, axis, axis)
    values = np.random.default_rng(2).uniform(1.0, 9.0, len(engine.points))
    fading, at = np.full(len(values), MU), np.array([0.3e-3, 0.4e-3, 0.2e-3])
    assert fluence_at(engine, np.zeros_like(values), fading, at) == 0.0
    values[np.argmin(np.linalg.norm(engine.points - at, axis=1))] = 0.0
    assert fluence_at(engine, values, fading, at) == pytest.approx(engine.sample(values, at[None])[0], rel=1e-14)
