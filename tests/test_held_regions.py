"""Regions held at a value on voxels: their border lies where the shape says, not where the nodes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from thermal.anatomy.shapes import Box, Cylinder, Layer, Shape, Sphere, borders, paint
from thermal.assemble import make_bioheat
from thermal.case import load_case
from thermal.domain import CutEdges, VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.nodes import region_nodes
from thermal.simulation.preparation import build, prepare
from thermal.units import Array, Mask

MM = 1e-3


def painted(axes: tuple[Array, Array, Array], shapes: tuple[Shape, ...], *, known: bool = True) -> VoxelEngine:
    count = int(np.prod([len(axis) - 1 for axis in axes]))
    levels = borders("host", shapes) if known else {}
    return VoxelEngine(VoxelDomain(axes, paint(axes, "host", shapes), np.ones(count, dtype=bool), levels))


def even(half: float, count: int) -> tuple[Array, Array, Array]:
    axis = np.linspace(-half, half, count + 1)
    return axis, axis.copy(), axis.copy()


def settled(engine: VoxelEngine, region: str, exact: Array, border: Mask) -> tuple[Array, float, Mask]:
    """The field that is one on a region and ``exact`` on a border, what flows out of the region, and free nodes."""
    held = region_nodes(engine, region)
    operator = engine.conductance(np.ones(engine.cell_volume.size), engine.held_edges(region))
    values, nothing = np.where(held, 1.0, exact), np.zeros(held.size)
    u = engine.solve(operator, nothing, nothing, fixed=held | border, values=values, tolerance=1e-12)
    return u, float(operator(u)[held].sum()), ~(held | border)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("place", [2.0, 2.1, 2.45, 2.55, 2.9])
def test_walls_at_any_place_between_nodes_are_exact(axis: int, place: float) -> None:
    """On uneven voxels; staircases are off by up to half a voxel of six."""
    rng = np.random.default_rng(3)
    axes = tuple(np.concatenate([[0.0], np.cumsum(rng.uniform(0.7, 1.4, count))]) for count in (9, 8, 9))
    wall = Layer(region="wall", shape="layer", axis="xyz"[axis], to=f"{place} m")
    engine = painted((axes[0], axes[1], axes[2]), (wall,))
    far = float(axes[axis][-1])
    at = engine.points[:, axis]
    exact = (far - at) / (far - place)
    u, flow, free = settled(engine, "wall", exact, at == far)
    assert_allclose(u[free], exact[free], atol=1e-10)
    section = np.prod([float(a[-1]) for a in axes]) / far
    assert flow == pytest.approx(section / (far - place), rel=1e-10)


@pytest.mark.parametrize("thickness", [0.6, 1.0, 1.7])
def test_plates_thinner_than_voxels_are_held_where_they_lie(thickness: float) -> None:
    """Both of their sides lie between nodes."""
    axis = np.arange(13.0)
    plate = Layer(region="plate", shape="layer", axis="x", **{"from": "6.3 m", "to": f"{6.3 + thickness} m"})
    engine = painted((axis, np.arange(3.0), np.arange(3.0)), (plate,))
    x = engine.points[:, 0]
    exact = np.minimum(np.where(x < 6.3, x / 6.3, (12.0 - x) / (5.7 - thickness)), 1.0)
    u, flow, free = settled(engine, "plate", exact, (x == 0.0) | (x == 12.0))
    assert_allclose(u[free], exact[free], atol=1e-10)
    assert flow == pytest.approx(4.0 * (1.0 / 6.3 + 1.0 / (5.7 - thickness)), rel=1e-10)


def ball(count: int, shift: Array, *, known: bool = True) -> tuple[float, float]:
    """Errors of the flow out of a ball of radius 1 with a potential of 1/r and, relative, of the field beside it."""
    centre = shift * 4.0 / count
    x, y, z = (f"{c} m" for c in centre)
    engine = painted(even(2.0, count), (Sphere(region="ball", centre=(x, y, z), radius="1 m"),), known=known)
    exact = 1.0 / np.maximum(np.linalg.norm(engine.points - centre, axis=1), 1.0)
    u, flow, free = settled(engine, "ball", exact, (np.abs(engine.points) > 2.0 - 1e-9).any(axis=1))
    return flow / (4.0 * np.pi) - 1.0, float(np.abs(u - exact)[free].max())


SHIFTS = np.array([[0.0, 0.0, 0.0], [0.3, -0.2, 0.45], [0.5, 0.1, 0.25]])


def test_balls_converge_in_the_second_order() -> None:
    """Radii of 4 and 8 voxels: 1 and 0.3 % at worst. A staircase has 3 to 5 % and 7 to 10 %, and 2 and 5 %."""
    errors = np.array([[np.abs(ball(count, shift)) for shift in SHIFTS] for count in (16, 32)]).max(axis=1)
    assert_allclose(errors[0] < [0.012, 0.015], True)
    assert_allclose(errors[1] < [0.0035, 0.005], True)
    staircase = np.abs(ball(32, SHIFTS[1], known=False))
    assert (staircase > 5.0 * errors[1]).all()


@pytest.mark.parametrize("direction", [(0.0, 0.0, 1.0), (1.0, 2.0, 3.0)])
def test_cylinders_at_any_slope(direction: tuple[float, float, float]) -> None:
    """The field around a cylinder of 5 voxels, within exact values on a box: 1.5 %; a staircase has 10 %."""
    along = np.array(direction) / np.linalg.norm(direction)
    centre = np.array([0.013, -0.02, 0.031])
    (a, b, c), (d, e, f) = ([f"{x} m" for x in centre + way * 9.0 * along] for way in (-1.0, 1.0))
    vessel = Cylinder(region="vessel", shape="cylinder", start=(a, b, c), end=(d, e, f), radius="0.5 m")
    errors = []
    for known in (True, False):
        engine = painted(even(1.0, 20), (vessel,), known=known)
        place = engine.points - centre
        r = np.sqrt(np.maximum(np.sum(place**2, axis=1) - (place @ along) ** 2, 0.0))
        exact = 1.0 - np.log(np.maximum(r, 0.5) / 0.5)
        u, _, free = settled(engine, "vessel", exact, (np.abs(engine.points) > 1.0 - 1e-9).any(axis=1))
        errors.append(float(np.abs(u - exact)[free].max()))
    assert errors[0] < 0.015
    assert errors[1] > 5.0 * errors[0]


def test_levels_follow_what_is_painted_last() -> None:
    """A vessel that a tumour covers ends there; the void covers nothing; the background is what is left."""
    shapes = (
        Cylinder(
            region="vessel", shape="cylinder", start=("-9 m", "0 m", "0 m"), end=("9 m", "0 m", "0 m"), radius="1 m"
        ),
        Sphere(region="tumour", centre=("0 m", "0 m", "0 m"), radius="2 m"),
        Box(region="void", shape="box", centre=("9 m", "0 m", "0 m"), size=("8 m", "9 m", "9 m")),
    )
    levels = borders("host", shapes)
    x, y, z = np.array([0.0, 2.5, 4.0, 4.0, 4.0]), np.array([0.0, 0.0, 0.9, 1.2, 9.0]), np.zeros(5)
    assert list(levels) == ["host", "vessel", "tumour"]
    assert_allclose(levels["vessel"](x, y, z), [2.0, -0.5, -0.1, 0.2, 8.0])
    assert_allclose(levels["tumour"](x, y, z)[:2], [-2.0, 0.5])
    assert_array_equal(levels["host"](x, y, z) < 0.0, [False, False, False, True, True])


def test_edges_of_several_lists() -> None:
    one = CutEdges(np.array([[0, 1], [1, 2]]), np.array([2.0, 3.0]))
    other = CutEdges(np.array([[1, 2], [1, 5]]), np.array([5.0, 7.0]))
    both = CutEdges.product(one, None, other)
    assert both is not None
    assert_array_equal(both.nodes, [[0, 1], [1, 2], [1, 5]])
    assert_allclose(both.factors, [2.0, 15.0, 7.0])
    assert CutEdges.product(None, other) is other
    assert CutEdges.product(None) is None


# ------------------------------------------------------------------------------------------------ cases


def shell(path: Path, spacing: float, conductivity: float, more: str = "", **changed: str) -> Path:
    """A ball of 4 mm at 38 degC in tissue within a ball of 9.3 mm, beyond which all is at 37 degC; perfused."""
    c = [f"{part * spacing:.6f} mm" for part in (0.3, -0.2, 0.45)]
    text = f"""
schema_version = 1
[anatomy]
kind = "phantom"
size = "{2 * np.ceil(9.3 / spacing + 2) * spacing} mm"
voxel_size = "{spacing} mm"
background = "outside"
shapes = [
  {{ region = "tissue", shape = "sphere", centre = {c}, radius = "9.3 mm" }},
  {{ region = "ball", shape = "sphere", centre = {c}, radius = "4 mm" }},
]
[tissues.tissue]
{PLAIN}
conductivity = "0.5 W/m/K"
perfusion = "0.0064 1/s"
[tissues.outside]
{PLAIN}
conductivity = "0.5 W/m/K"
temperature = "37 degC"
[tissues.ball]
{PLAIN}
conductivity = "{conductivity} W/m/K"
{changed.get("ball", 'temperature = "38 degC"')}
[boundaries.faces]
kind = "insulated"
[bioheat]
duration = "20 s"
arterial_temperature = "37 degC"
initial_temperature = "37 degC"
blood_density = "1000 kg/m^3"
blood_heat_capacity = "3500 J/kg/K"
{more}
[numerics]
temperature_tolerance = "0.0003 K"
"""
    path.write_text(text)
    return path


PLAIN = 'density = "1000 kg/m^3"\nheat_capacity = "3600 J/kg/K"'
"""of tissue in the shell; with blood of 3.5 MJ/m3/K"""


def in_shell(r: Array, time: float) -> tuple[Array, float]:
    """K above 37 degC at ``r`` m in that shell, by the series of u = r T in a slab, and W out of the ball."""
    inner, width, k, c, blood = 4e-3, 5.3e-3, 0.5, 3.6e6, 0.0064 * 3.5e6
    wave = np.sqrt(blood / k)
    x = np.clip(r - inner, 0.0, width)
    modes = np.arange(1, 200)[:, None] * np.pi / width
    size = 2.0 * modes * inner / (width * (modes**2 + wave**2)) * np.exp(-(k * modes**2 + blood) / c * time)
    steady = inner * np.sinh(wave * (width - x)) / np.sinh(wave * width)
    slope = -inner * wave / np.tanh(wave * width) - float(np.sum(size * modes))
    return (steady - np.sum(size * np.sin(modes * x), axis=0)) / r, -4.0 * np.pi * k * (inner * slope - inner)


def marched(path: Path) -> Mapping[str, float]:
    """Largest error of the temperature at a free node, K, and relative error of the heat that the ball gives."""
    prepared = prepare(load_case(path), lambda *_: None)
    *_, last = prepared.loop.march(prepared.start())
    bioheat = prepared.loop.bioheat
    engine, held = bioheat.engine, bioheat.surroundings.held
    temperature = last.state.temperature
    centre = np.array([0.3, -0.2, 0.45]) * float(path.stem) * MM
    rise, heat = in_shell(np.maximum(np.linalg.norm(engine.points - centre, axis=1), 1 * MM), last.state.time)
    ball = held.mask & (held.value > 37.5)
    cuts = None if bioheat.cuts is None else bioheat.cuts.unfrozen
    given = engine.conductance(bioheat.cells.at_37, cuts)(temperature) + bioheat.perfusion * (temperature - 37.0)
    free = ~held.mask & (engine.volume > 0)
    return {
        "temperature": float(np.abs(temperature - 37.0 - rise)[free].max()),
        "heat": float(given[ball].sum()) / heat - 1.0,
    }


def test_heat_between_two_held_regions_in_time(tmp_path: Path) -> None:
    """Background and shape, in series with perfusion: 3 and 1 % of the step at 1 and 0.5 mm, 0.6 and 0.2 % of the heat.

    By the nodes alone it is 24 and 13 % of the step and 5.9 and 3.7 % of the heat.
    """
    coarse, fine = (marched(shell(tmp_path / f"{spacing}.toml", spacing, 20.0)) for spacing in (1.0, 0.5))
    assert coarse["temperature"] < 0.03
    assert fine["temperature"] < 0.012
    assert abs(coarse["heat"]) < 0.008
    assert abs(fine["heat"]) < 0.003


def test_what_a_held_region_is_made_of_does_not_matter(tmp_path: Path) -> None:
    """Steel and air: cells that the border cuts conduct, hold heat and are perfused as the tissue around it."""
    problems = []
    for conductivity in (0.02, 400.0):
        case = load_case(shell(tmp_path / "1.0.toml", 1.0, conductivity))
        _, engine, tissues, _ = build(case)
        problems.append(make_bioheat(case, tissues, np.full(engine.volume.size, 37.0)))
    one, other = problems
    assert_array_equal(one.cells.at_37, other.cells.at_37)
    assert one.cuts is not None
    assert other.cuts is not None
    assert_array_equal(one.cuts.unfrozen.factors, other.cuts.unfrozen.factors)
    assert_allclose(one.cells.at_37, 0.5)
    free = ~one.surroundings.held.mask
    tissue = one.engine.volumes["tissue"]
    assert_allclose(one.capacity()[free], 3.6e6 * tissue[free])
    assert_allclose(one.perfusion[free], 0.0064 * 3.5e6 * tissue[free])
    assert one.capacity().min() > 0.0


def test_regions_held_by_the_heating_are_so_unless_they_may_be_released(tmp_path: Path) -> None:
    """``bioheat.until`` ends the treatment, and the tissue of the region counts from then on."""
    heating = '[heating]\nkind = "temperature"\nregion = "ball"\nschedule = [["0 s", "38 degC"]]\n'
    path = shell(tmp_path / "1.0.toml", 1.0, 20.0, heating, ball="")
    case = load_case(path)
    _, engine, tissues, _ = build(case)
    initial = np.full(engine.volume.size, 37.0)
    kept = make_bioheat(case, tissues, initial)
    other = load_case(shell(path, 1.0, 20.0))
    by_tissue = make_bioheat(other, build(other)[2], initial)
    assert kept.cuts is not None
    assert by_tissue.cuts is not None
    assert_array_equal(kept.cuts.unfrozen.nodes, by_tissue.cuts.unfrozen.nodes)
    assert_array_equal(kept.capacity(), by_tissue.capacity())
    ends = case.model_copy(update={"bioheat": case.bioheat.model_copy(update={"until": object()})})
    released = make_bioheat(ends, tissues, initial)
    assert released.cells.at_37.max() == 20.0
    beside = engine.volumes["ball"] > 0.0
    assert_allclose(released.capacity()[beside], 3.6e6 * engine.volume[beside])


def test_domains_without_levels_keep_their_staircase() -> None:
    """As of images: edges are left as they are."""
    engine = painted(even(2.0, 8), (Sphere(region="ball", centre=("0 m", "0 m", "0 m"), radius="1 m"),))
    assert engine.held_edges("ball") is not None
    assert VoxelEngine(replace(engine.domain, levels={})).held_edges("ball") is None


def test_only_edges_in_the_body_are_named() -> None:
    """Engines that know no others would take one for another."""
    shapes = (Sphere(region="ball", centre=("0 m", "0 m", "0 m"), radius="1 m"),)
    domain = painted(even(2.0, 16), shapes).domain
    engine = VoxelEngine(replace(domain, solid=np.random.default_rng(1).random(domain.solid.size) < 0.5))
    edges = engine.held_edges("ball")
    assert edges is not None
    every = engine.conductance(np.ones(domain.solid.size)).dissipation
    for one in edges.nodes[::50]:
        u = np.zeros(engine.volume.size)
        u[one[0]] = 1.0
        assert every(u)[one[1]] > 0.0
