"""What no equation can be made of: refused by engines and by the march, with the place, never solved around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine_problems import hexahedra, tetrahedra
from scipy.spatial import Delaunay

from thermal.domain import AxisymmetricDomain, Ball
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.enthalpy import Conductivity, Enthalpy
from thermal.march import Control
from thermal.physics.bioheat import Bioheat, Surroundings
from thermal.physics.scene import Held
from thermal.units import Array


def rings() -> AxisymmetricDomain:
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    place = np.concatenate([corners, np.random.default_rng(5).random((26, 2))]) * 1e-2
    points = np.stack([place[:, 0], np.zeros(30), place[:, 1]], axis=1)
    cells = Delaunay(place).simplices.astype(np.int64)
    return AxisymmetricDomain(points, cells, {"tissue": np.ones(len(cells))})


ENGINES = {
    "voxels": VoxelEngine(hexahedra()),
    "tetrahedra": MeshEngine(tetrahedra()),
    "rings": AxisymmetricEngine(rings()),
}
BAD = (-1.0, np.nan, np.inf)

of_engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
of_values = pytest.mark.parametrize("value", BAD)


def spoilt(values: Array, inside: Array, value: float) -> tuple[Array, int]:
    """The values with one of them replaced, in the body, and which."""
    at = int(np.flatnonzero(inside)[7])
    out = values.copy()
    out[at] = value
    return out, at


@of_engines
@of_values
def test_operators_need_coefficients(engine: Any, value: float) -> None:
    k, at = spoilt(np.ones(engine.cell_volume.size), engine.cell_volume > 0, value)
    with pytest.raises(ValueError, match=f"the first is cell {at} with"):
        engine.conductance(k)
    with pytest.raises(ValueError, match=r"does not fit"):
        engine.conductance(np.ones(engine.cell_volume.size + 1))


@of_engines
def test_nan_does_not_drop_out_of_a_solve(engine: Any) -> None:
    """Its node would be left out, the others solved, and nobody told."""
    operator = engine.conductance(np.ones(engine.cell_volume.size))
    diagonal, at = spoilt(engine.volume * 1e4, engine.volume > 0, np.nan)
    with pytest.raises(ValueError, match=f"node {at}"):
        engine.solve(operator, diagonal, engine.volume)


@of_engines
@of_values
@pytest.mark.parametrize("what", ["heat capacity", "perfusion", "film", "conductivity"])
def test_marches_need_coefficients(engine: Any, value: float, what: str) -> None:
    nothing, ones = np.zeros(engine.volume.size), np.ones(engine.volume.size)
    values = {"heat capacity": 3.6e6 * ones, "perfusion": nothing, "film": nothing}
    values["conductivity"] = np.ones(engine.cell_volume.size)
    inside = engine.cell_volume if what == "conductivity" else engine.volume
    values[what], at = spoilt(values[what], inside > 0, value)
    k = values["conductivity"]
    around = Surroundings(values["film"], nothing, Held(nothing > 0, nothing))
    problem = Bioheat(
        engine,
        Enthalpy(),
        lambda: values["heat capacity"] * engine.volume,
        Conductivity(k, np.zeros(k.size)),
        lambda: Conductivity(ones, nothing),
        values["perfusion"],
        37.0,
        nothing,
        around,
    )
    with pytest.raises(ValueError, match=rf"^{what}.*number {at} with"):
        problem.stepper("double")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
@pytest.mark.parametrize("name", ["tolerance", "max_step", "first_step"])
def test_steps_need_positive_limits(name: str, value: float) -> None:
    """A march would go on for ever by any of them."""
    with pytest.raises(ValueError, match=f"{name} = .* is not above zero"):
        Control(**{name: value})


def test_a_tolerance_is_above_round_off() -> None:
    """Below, a march of a minute asks for steps of microseconds: 1e-30 K had not ended after a quarter of an hour."""
    assert Control(1e-9).tolerance == 1e-9
    with pytest.raises(ValueError, match=r"1e-10 K is lost in round-off.* at least 1e-09 K"):
        Control(1e-10)


def test_what_is_outside_the_body_does_not_matter() -> None:
    engine = ENGINES["voxels"]
    k = np.where(engine.domain.solid, 1.0, np.nan)
    assert np.isfinite(engine.conductance(k).diagonal).all()


@of_engines
@pytest.mark.parametrize("radius", [0.0, -1e-3, np.nan])
def test_probes_have_a_radius(engine: Any, radius: float) -> None:
    centre = (0.0, 0.0, float(np.median(engine.points[:, 2]))) if engine is ENGINES["rings"] else (1e-3, 1e-3, 1e-3)
    with pytest.raises(ValueError, match=r"no radius"):
        engine.contact(Ball(centre, radius))
