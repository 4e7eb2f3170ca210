"""Heat that is written down: totals, places, times."""

from __future__ import annotations

from typing import Any

import half_planes
import numpy as np
import pytest
import skfem
from pydantic import TypeAdapter, ValidationError
from scenes import MM, at, ball, cube, scene

from thermal.domain import MeshDomain, VoxelDomain
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.errors import CaseError
from thermal.physics.heating.prescribed import NoHeating, Prescribed, PrescribedTemperature
from thermal.physics.heating.schedule import Pulses, Ramp, Switched, ramp_within
from thermal.physics.scene import Drive, State


def prescribed(*sources: dict[str, Any], **more: Any) -> Prescribed:
    return Prescribed.model_validate({"kind": "prescribed", "sources": sources, **more})


def power(spec: Prescribed, engine: Any, time: float = 1.0) -> np.ndarray:
    return spec.prepare(scene(engine)).drive(at(engine, time), 1.0).power


ORIGIN = ["0 mm", "0 mm", "0 mm"]


@pytest.mark.parametrize("radius", [1.5, 4.0, 7.3])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_sphere_has_its_exact_power_and_inertia(radius: float, spacing: float) -> None:
    """Total to round-off; hat functions add between 0 and h^2/4 an axis to the mean square radius 3/5 R^2."""
    engine = cube(12 * MM, spacing * MM, shift=0.3)
    nodal = power(
        prescribed({"shape": "sphere", "centre": ORIGIN, "radius": f"{radius} mm", "density": "0.5 W/cm^3"}), engine
    )
    exact = 0.5e6 * 4 / 3 * np.pi * (radius * MM) ** 3
    assert nodal.sum() == pytest.approx(exact, rel=1e-12)
    np.testing.assert_allclose(nodal @ engine.points / exact, 0.0, atol=1e-9)
    square = float(nodal @ np.sum(engine.points**2, axis=1)) / exact
    assert 0.0 <= square - 0.6 * (radius * MM) ** 2 <= 0.75 * (spacing * MM) ** 2


def test_sphere_fills_its_inside_uniformly() -> None:
    engine = cube(12 * MM, 1 * MM)
    nodal = power(prescribed({"shape": "sphere", "centre": ORIGIN, "radius": "8 mm", "density": "1e6 W/m^3"}), engine)
    distance = np.linalg.norm(engine.points, axis=1)
    np.testing.assert_allclose((nodal / engine.volume)[distance < 6.2 * MM], 1e6, rtol=1e-9)
    assert not nodal[distance > 9.8 * MM].any()


def test_box_is_exact_where_it_meets_the_grid() -> None:
    engine = cube(6 * MM, 1 * MM)
    size = ["4 mm", "6 mm", "2 mm"]
    nodal = power(prescribed({"shape": "box", "centre": ORIGIN, "size": size, "density": "1e6 W/m^3"}), engine)
    assert nodal.sum() == pytest.approx(1e6 * 48e-9, rel=1e-12)
    x, y, z = np.abs(engine.points).T / MM
    inside = (x < 1.5) & (y < 2.5) & (z < 0.5)
    np.testing.assert_allclose((nodal / engine.volume)[inside], 1e6, rtol=1e-9)
    assert not nodal[(x > 3.5) | (y > 4.5) | (z > 2.5)].any()


def test_region_counts_by_share() -> None:
    engine = cube(6 * MM, 1 * MM, {"tumour": lambda x: np.clip(0.5 - x[:, 0] / (1 * MM), 0, 1)})
    spec = prescribed({"shape": "region", "region": "tumour", "density": "2 W/cm^3"})
    assert power(spec, engine).sum() == pytest.approx(2e6 * engine.volumes["tumour"].sum(), rel=1e-12)
    source = spec.prepare(scene(engine))
    assert source.summary["heating.power"].value == pytest.approx(2e6 * engine.volumes["tumour"].sum())


def test_gaussian_total_and_values() -> None:
    engine = cube(20 * MM, 1 * MM, shift=0.4)
    nodal = power(prescribed({"shape": "gaussian", "centre": ORIGIN, "sigma": "3 mm", "peak": "5e6 W/m^3"}), engine)
    assert nodal.sum() == pytest.approx(5e6 * (2 * np.pi) ** 1.5 * (3 * MM) ** 3, rel=1e-6)  # cut at 6.6 sigma
    r2 = np.sum(engine.points**2, axis=1)
    inner = np.max(np.abs(engine.points), axis=1) < 19 * MM
    np.testing.assert_allclose((nodal / engine.volume)[inner], (5e6 * np.exp(-r2 / (2 * 9e-6)))[inner], rtol=1e-12)


def uneven() -> np.ndarray:
    """Coordinates from -20 to 20 mm, half a millimetre apart in the middle and four at the ends."""
    step = np.concatenate([np.full(4, 0.5), np.linspace(0.6, 4.0, 8)])
    side = np.append(0.0, np.cumsum(step))
    side *= 20.0 * MM / side[-1]
    return np.concatenate([-side[:0:-1], side])


def tetrahedra(axis: np.ndarray) -> MeshEngine:
    mesh = skfem.MeshTet.init_tensor(axis, axis, axis)
    cells = np.ascontiguousarray(mesh.t.T, dtype=np.int64)
    return MeshEngine(MeshDomain(np.ascontiguousarray(mesh.p.T), cells, {"tissue": np.ones(len(cells))}))


def voxels(axis: np.ndarray) -> VoxelEngine:
    count = (len(axis) - 1) ** 3
    return VoxelEngine(VoxelDomain((axis, axis, axis), {"tissue": np.ones(count)}, np.ones(count, dtype=bool)))


@pytest.mark.parametrize("make", [tetrahedra, voxels])
@pytest.mark.parametrize(("sigma", "centre", "part"), [(2.5, 0.0, 1.0), (2.5, 20.0, 0.5), (0.02, 0.21, 1.0)])
def test_gaussian_has_its_exact_power_among_uneven_cells(make: Any, sigma: float, centre: float, part: float) -> None:
    """The sum over nodes alone was 5 and 11 % too much for 2.5 mm, and nothing for a needle's point between nodes."""
    where = ["0.21 mm", "0.2 mm", f"{centre} mm"]
    spec = prescribed({"shape": "gaussian", "centre": where, "sigma": f"{sigma} mm", "peak": "1e6 W/m^3"})
    exact = 1e6 * (2 * np.pi) ** 1.5 * (sigma * MM) ** 3 * part
    assert power(spec, make(uneven())).sum() == pytest.approx(exact, rel=1e-6)


def test_gaussian_on_a_half_plane_has_its_exact_power() -> None:
    axis = uneven()
    engine = half_planes.engine(*half_planes.rectangle(axis[axis >= 0.0], axis))
    spec = prescribed({"shape": "gaussian", "centre": ORIGIN, "sigma": "2.5 mm", "peak": "1e6 W/m^3"})
    assert power(spec, engine).sum() == pytest.approx(1e6 * (2 * np.pi) ** 1.5 * (2.5 * MM) ** 3, rel=1e-6)


def test_gaussian_beside_a_hole_keeps_the_density_at_its_nodes() -> None:
    """What a body that is no box holds of it is not known better than by its nodes."""
    engine = cube(10 * MM, 1 * MM, solid=lambda x: np.linalg.norm(x - [4 * MM, 0, 0], axis=1) > 2 * MM)
    nodal = power(prescribed({"shape": "gaussian", "centre": ORIGIN, "sigma": "3 mm", "peak": "5e6 W/m^3"}), engine)
    r2 = np.sum(engine.points**2, axis=1)
    np.testing.assert_allclose(nodal, 5e6 * np.exp(-r2 / (2 * 9e-6)) * engine.volume, rtol=1e-12)


def test_gaussian_among_cells_too_wide_for_it_is_warned_of() -> None:
    """Fine cells in its middle, far wider ones where most of it lies."""
    axis = np.concatenate([[-40, -20], np.arange(-2.0, 2.5, 0.5), [20, 40]]) * MM
    spec = prescribed({"shape": "gaussian", "centre": ORIGIN, "sigma": "2 mm", "peak": "1e6 W/m^3"})
    source = spec.prepare(scene(tetrahedra(axis)))
    assert any("cells that are too wide for it" in warning for warning in source.warnings)


def test_gaussian_may_be_uniform_along_an_axis() -> None:
    engine = cube(10 * MM, 1 * MM)
    spec = prescribed({"shape": "gaussian", "centre": ORIGIN, "sigma": ["3 mm", "2 mm", "inf"], "peak": "1e6 W/m^3"})
    density = np.divide(power(spec, engine), engine.volume).reshape(engine.domain.shape)
    np.testing.assert_allclose(density, density[:, :, :1].repeat(21, axis=2), rtol=1e-12)
    assert density[13, 12, 0] == pytest.approx(1e6 * np.exp(-0.5 * (1 + 1)), rel=1e-12)


def test_narrow_gaussian_is_warned_of() -> None:
    engine = cube(6 * MM, 1 * MM)
    source = prescribed({"shape": "gaussian", "centre": ORIGIN, "sigma": "0.4 mm", "peak": "1e6 W/m^3"})
    assert any("sigma = 0.4 mm" in warning for warning in source.prepare(scene(engine)).warnings)


def test_point_and_line_put_down_all_their_power() -> None:
    engine = cube(6 * MM, 1 * MM)
    at_point = power(prescribed({"shape": "point", "position": ["0.3 mm", "1 mm", "-2.2 mm"], "power": "1 W"}), engine)
    assert at_point.sum() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(at_point @ engine.points, [0.3 * MM, 1 * MM, -2.2 * MM], atol=1e-12)
    ends = {"start": ["-3 mm", "0 mm", "0.5 mm"], "end": ["3 mm", "1 mm", "0.5 mm"]}
    along = power(prescribed({"shape": "line", **ends, "power": "2 W"}), engine)
    assert along.sum() == pytest.approx(2.0, rel=1e-12)
    np.testing.assert_allclose(along @ engine.points / 2, [0, 0.5 * MM, 0.5 * MM], atol=1e-9)


def test_power_outside_the_tissue_is_reported() -> None:
    engine = cube(6 * MM, 1 * MM)
    spec = prescribed({"shape": "sphere", "centre": ["6 mm", "0 mm", "0 mm"], "radius": "3 mm", "density": "1e6 W/m^3"})
    source = spec.prepare(scene(engine))
    whole = 1e6 * 4 / 3 * np.pi * 27e-9
    assert source.summary["heating.power"].value == pytest.approx(whole / 2, rel=0.01)
    assert any("lie outside the tissue" in warning for warning in source.warnings)


CUT: tuple[tuple[dict[str, Any], float], ...] = (
    ({"shape": "sphere", "centre": ["9 mm", "0 mm", "0 mm"], "radius": "5 mm", "density": "1 W/mm^3"},
     4 / 3 * np.pi * 125 - np.pi * 16 * (15 - 4) / 3),
    ({"shape": "box", "centre": ["9 mm", "0 mm", "-9.1 mm"], "size": ["7 mm", "5 mm", "3.3 mm"], "density": "1 W/mm^3"},
     4.5 * 5 * 2.55),
    ({"shape": "line", "start": ["1 mm", "2 mm", "9 mm"], "end": ["16 mm", "5 mm", "15 mm"], "power": "3 W"}, 3 / 6),
    ({"shape": "line", "start": ["16 mm", "5 mm", "3 mm"], "end": ["-14 mm", "5 mm", "3 mm"], "power": "3 W"}, 2.0),
)  # fmt: skip


@pytest.mark.parametrize(("source", "put"), CUT)
def test_what_a_face_cuts_counts_by_its_part(source: dict[str, Any], put: float) -> None:
    """W: the small cubes of a sphere that a face runs through had counted whole or not at all, which was 7 %."""
    found = power(prescribed(source), cube(10 * MM, 2 * MM))
    assert found.sum() == pytest.approx(put, rel=3e-3)


def test_sources_add_and_switch_apart() -> None:
    engine = cube(4 * MM, 1 * MM)
    first = {"shape": "point", "position": ORIGIN, "power": "1 W", "on": [["0 s", "10 s"]]}
    second = {"shape": "point", "position": ORIGIN, "power": "2 W", "on": [["5 s", "20 s"]]}
    source = prescribed(first, second).prepare(scene(engine, duration=30.0))
    assert source.events == (5.0, 10.0, 20.0)
    totals = [source.drive(at(engine, time), 1.0).power.sum() for time in (0.0, 5.0, 10.0, 20.0)]
    np.testing.assert_allclose(totals, [1, 3, 2, 0], atol=1e-12)


def test_unknown_regions_are_all_named() -> None:
    spec = prescribed(
        {"shape": "region", "region": "liver", "density": "1 W/cm^3"},
        {"shape": "point", "position": ["1 m", "0 m", "0 m"], "power": "1 W"},
        {"shape": "sphere", "centre": ["1 m", "0 m", "0 m"], "radius": "1 mm", "density": "1 W/cm^3"},
        {"shape": "region", "region": "spleen", "density": "1 W/cm^3"},
    )
    with pytest.raises(CaseError) as error:
        spec.prepare(scene(cube(4 * MM, 1 * MM)))
    assert len(error.value.problems) == 3  # a point outside is a loss, a sphere whose grid is unknown an error
    assert "heating.sources[0]" in error.value.problems[0]
    assert "spleen" in error.value.problems[2]


# ------------------------------------------------------------------------------------------------ schedules


def test_pulses_last_as_long_as_they_say() -> None:
    timing = Switched.model_validate(
        {"on": [["1 s", "4 s"], ["6 s", "7.2 s"]], "pulses": {"period": "1 s", "width": "0.25 s"}}
    )
    expected = (1.0, 1.25, 2.0, 2.25, 3.0, 3.25, 4.0, 6.0, 6.25, 7.0, 7.2)
    assert timing.switch_times(100.0) == pytest.approx(expected)
    edges = np.array([0.0, *timing.switch_times(10.0), 10.0])
    on = np.array([timing.is_on(time) for time in 0.5 * (edges[1:] + edges[:-1])])
    assert float(np.diff(edges) @ on) == pytest.approx(3 * 0.25 + 0.25 + 0.2)


def test_pulses_without_intervals_go_on_to_the_end() -> None:
    timing = Switched(pulses=Pulses.model_validate({"period": "10 s", "width": "4 s"}))
    assert timing.switch_times(25.0) == pytest.approx((4.0, 10.0, 14.0, 20.0, 24.0))
    assert timing.is_on(21.0)
    assert not timing.is_on(19.0)


@pytest.mark.parametrize("intervals", [[["5 s", "5 s"]], [["0 s", "5 s"], ["4 s", "6 s"]]])
def test_senseless_intervals_are_refused(intervals: list[list[str]]) -> None:
    with pytest.raises(ValidationError, match="interval"):
        Switched.model_validate({"on": intervals})


def test_ramp_takes_the_limit_from_inside_the_step() -> None:
    knots = TypeAdapter(Ramp).validate_python(
        [["10 s", "37 degC"], ["20 s", "47 degC"], ["20 s", "60 degC"], ["30 s", "40 degC"]]
    )
    assert ramp_within(knots, 0.0, 10.0)(10.0) == 37.0
    assert ramp_within(knots, 15.0, 5.0)(20.0) == pytest.approx(47.0)
    assert ramp_within(knots, 20.0, 5.0)(20.0) == pytest.approx(60.0)
    assert ramp_within(knots, 20.0, 5.0)(25.0) == pytest.approx(50.0)
    assert ramp_within(knots, 30.0, 5.0)(33.0) == 40.0


# ------------------------------------------------------------------------------------------------ temperature


def held_values(drive: Drive, time: float) -> tuple[np.ndarray, np.ndarray]:
    assert drive.held is not None
    held = drive.held(time)
    return held.mask, held.value


def test_whole_domain_follows_the_schedule() -> None:
    engine = cube(3 * MM, 1 * MM)
    spec = PrescribedTemperature.model_validate(
        {"kind": "temperature", "schedule": [["0 s", "37 degC"], ["60 s", "50 degC"]]}
    )
    source = spec.prepare(scene(engine))
    assert source.events == (60.0,)
    drive = source.drive(at(engine, 30.0), 6.0)
    mask, value = held_values(drive, 36.0)
    assert mask.all()
    np.testing.assert_allclose(value, 37 + 13 * 0.6)
    assert not drive.power.any()


def test_only_the_named_region_is_held() -> None:
    engine = cube(6 * MM, 1 * MM, {"vessel": ball(3 * MM)})
    spec = PrescribedTemperature.model_validate(
        {"kind": "temperature", "region": "vessel", "schedule": [["0 s", "60 degC"]]}
    )
    mask, value = held_values(spec.prepare(scene(engine)).drive(at(engine, 0.0), 1.0), 0.5)
    distance = np.linalg.norm(engine.points, axis=1)
    assert mask[distance < 2 * MM].all()
    assert not mask[distance > 4 * MM].any()
    assert (value[mask] == 60).all()


def test_temperature_of_an_unknown_region_is_refused() -> None:
    spec = PrescribedTemperature.model_validate(
        {"kind": "temperature", "region": "vessel", "schedule": [["0 s", "60 degC"]]}
    )
    with pytest.raises(CaseError, match=r"heating\.region"):
        spec.prepare(scene(cube(3 * MM, 1 * MM)))


def test_no_heating_does_nothing() -> None:
    engine = cube(3 * MM, 1 * MM)
    source = NoHeating().prepare(scene(engine))
    drive = source.drive(State(0.0, np.full(engine.volume.shape, 37.0), {}), 10.0)
    assert not drive.power.any()
    assert drive.contacts == ()
    assert drive.held is None
    assert source.events == ()
