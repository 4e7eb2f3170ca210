"""Interfaces that cut voxels: slabs are exact wherever they lie, curved ones converge, whatever the materials.

Lattices of discs have Rayleigh's series, single balls their dipole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from catalogue_reference import lattice_of_discs
from numpy.testing import assert_allclose

from thermal import simulate
from thermal.anatomy.shapes import Cylinder, Layer, Shape, Sphere, paint
from thermal.case import load_case
from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.units import Array

Axes = tuple[Array, Array, Array]


def painted(axes: Axes, shapes: Sequence[Shape]) -> VoxelEngine:
    count = int(np.prod([len(axis) - 1 for axis in axes]))
    return VoxelEngine(VoxelDomain(axes, paint(axes, "host", shapes), np.ones(count, dtype=bool)))


def mixed(engine: VoxelEngine, values: Mapping[str, float]) -> Array:
    return np.asarray(sum(values[region] * share for region, share in engine.shares.items()))


def between_faces(engine: VoxelEngine, values: Mapping[str, float], axis: int, *, cuts: bool = True) -> float:
    """Conductance between the two faces across an axis, the others being insulated."""
    operator = engine.conductance(mixed(engine, values), engine.cut_edges(values) if cuts else None)
    ends = [engine.domain.axes[axis][end] for end in (0, -1)]
    held = np.isin(engine.points[:, axis], ends)
    u = engine.solve(
        operator,
        np.zeros(held.size),
        np.zeros(held.size),
        fixed=held,
        values=np.where(engine.points[:, axis] == ends[1], 1.0, 0.0),
        tolerance=1e-12,
    )
    return float(operator.dissipation(u).sum())


@pytest.mark.parametrize("jump", [2.0, 1e3, 1e-3])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slabs_at_any_place_between_nodes_are_exact_along_and_across(axis: int, jump: float) -> None:
    """On uneven voxels; the two faces of the slab lie in different voxels, or one on a node."""
    rng = np.random.default_rng(3)
    axes = tuple(np.concatenate([[0.0], np.cumsum(rng.uniform(0.7, 1.4, count))]) for count in (6, 5, 6))
    engine_axes = (axes[0], axes[1], axes[2])
    middle = 0.5 * float(axes[axis][2] + axes[axis][3])
    thin = ((middle - 0.1, middle + 0.1), (middle - 0.1, middle + 0.3))  # within one voxel
    size = [float(a[-1]) for a in axes]
    for start, end in ((2.13, 4.51), (3.02, 3.7), (float(axes[axis][2]), 4.4), *thin):
        slab = Layer(region="slab", shape="layer", axis="xyz"[axis], **{"from": f"{start} m", "to": f"{end} m"})
        engine, values = painted(engine_axes, [slab]), {"slab": jump, "host": 1.0}
        for flow in range(3):
            section = float(np.prod(size)) / size[flow]
            part = (end - start) / size[axis]
            mean = 1.0 / (part / jump + 1.0 - part) if flow == axis else part * jump + 1.0 - part
            assert between_faces(engine, values, flow) == pytest.approx(mean * section / size[flow], rel=1e-10)


@pytest.mark.parametrize("jump", [1e-4, 2.0, 1e4])
@pytest.mark.parametrize(("low", "high"), [(3.5, 4.5), (8.5, 9.5), (3.25, 4.75)])
@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.filterwarnings("error")
def test_layers_halved_by_nodes_are_exact(axis: int, low: float, high: float, jump: float) -> None:
    """Two voxels with the same shares, in the middle and at a face, where nothing around tells them apart: the root of
    a difference that is zero but for round-off had left edges uncorrected, a direction of nothing divided by zero."""
    axes = [np.arange(4.0) * 20.0] * 3
    axes[axis] = np.arange(11.0)
    slab = Layer(region="slab", shape="layer", axis="xyz"[axis], **{"from": f"{low} m", "to": f"{high} m"})
    engine = painted((axes[0], axes[1], axes[2]), [slab])
    values = {"host": 1.0, "slab": jump}
    thick = high - low
    for along in range(3):
        length, area = float(axes[along][-1]), float(np.prod([axes[a][-1] for a in range(3) if a != along]))
        k = 10.0 / (10.0 - thick + thick / jump) if along == axis else (10.0 - thick + thick * jump) / 10.0
        assert between_faces(engine, values, along) == pytest.approx(k * area / length, rel=1e-8)


def test_a_mixture_without_a_border_keeps_its_mean() -> None:
    axis = np.arange(4.0)
    engine = VoxelEngine(
        VoxelDomain((axis, axis, axis), {"a": np.full(27, 0.5), "b": np.full(27, 0.5)}, np.ones(27, bool))
    )
    assert between_faces(engine, {"a": 1.0, "b": 10.0}, 0) == pytest.approx(5.5 * 3.0)


def disc(count: int, jump: float, *, cuts: bool = True) -> float:
    """Error of the conductance of a quarter of a disc of radius 0.7 in a unit square."""
    axis = np.linspace(0.0, 1.0, count + 1)
    column = Cylinder(
        region="disc", shape="cylinder", start=("0 m", "0 m", "-1 m"), end=("0 m", "0 m", "1 m"), radius="0.7 m"
    )
    engine = painted((axis, axis.copy(), np.array([0.0, 1.0])), [column])
    found = between_faces(engine, {"disc": jump, "host": 1.0}, 0, cuts=cuts)
    return found / lattice_of_discs(jump, 0.25 * np.pi * 0.49) - 1.0


@pytest.mark.parametrize(
    ("jump", "coarse", "fine"),
    [(2.0, 4e-4, 2e-4), (10.0, 5e-4, 2e-4), (1e3, 0.012, 0.005), (0.1, 7e-3, 4e-3), (1e-3, 0.025, 0.012)],
)
def test_lattices_of_discs(jump: float, coarse: float, fine: float) -> None:
    """Radii of 14 and 28 voxels. The mean of the shares has 3.5 and 1.8 % at a jump of 10, 8.7 and 5 % at 1000.

    Around poor discs nearly all flow runs along the interface, where the mean of the shares is right (0.5 % and less)
    and edges are so on average only: errors of the first order are left. Bounds are half again the error found.
    """
    errors = [abs(disc(count, jump)) for count in (20, 40)]
    assert errors[0] < coarse
    assert errors[1] < fine


@pytest.mark.parametrize("jump", [2.0, 10.0, 1e3])
def test_good_discs_with_the_mean_of_the_shares_are_far_worse(jump: float) -> None:
    """What the correction is for; the factor falls with the jump."""
    assert abs(disc(20, jump)) < 0.2 * abs(disc(20, jump, cuts=False))


def balls(spacing: float, inside: float, centre: tuple[float, float, float]) -> tuple[float, float]:
    """Relative errors in a ball of radius 1 in a host of unit conductivity, within exact values on a box.

    Of the temperature at the centre when it is heated evenly, and of the field in it when it lies in a uniform one.
    """
    half = 2.0
    axis = np.linspace(-half, half, round(2 * half / spacing) + 1)
    x, y, z = (f"{c} m" for c in centre)
    engine = painted((axis, axis.copy(), axis.copy()), [Sphere(region="ball", centre=(x, y, z), radius="1 m")])
    values = {"ball": inside, "host": 1.0}
    operator = engine.conductance(mixed(engine, values), engine.cut_edges(values))
    place = engine.points - centre
    r = np.linalg.norm(place, axis=1)
    held = (np.abs(engine.points) > half - 1e-9).any(axis=1)
    solver = engine.solver(operator, np.zeros(held.size), fixed=held)
    outside = np.maximum(r, 1.0)
    heated = 1.0 / (3.0 * outside) + (1.0 - np.minimum(r, 1.0) ** 2) / (6.0 * inside)
    found = solver.solve(engine.volumes["ball"], values=heated * held, tolerance=1e-10)
    middle = np.flatnonzero(r < 2.0 * spacing)
    hot = float(np.mean(found[middle] / heated[middle])) - 1.0
    along = place @ np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
    moment = (inside - 1.0) / (inside + 2.0)
    field = along * (1.0 - moment / outside**3)
    found = solver.solve(np.zeros(held.size), values=field * held, tolerance=1e-10)
    within = np.flatnonzero(r < 0.5)
    slope = float(found[within] @ along[within] / (along[within] @ along[within])) / (1.0 - moment)
    return hot, slope - 1.0


@pytest.mark.parametrize(("inside", "hot", "field"), [(10.0, 0.0015, 0.004), (0.1, 0.02, 0.012), (1e-3, 0.06, 0.01)])
def test_balls_between_nodes(inside: float, hot: float, field: float) -> None:
    """Radius of 8 voxels at an odd place; the mean of the shares has errors of 5 to 26 %, and 5 to 13 %."""
    found = balls(0.125, inside, (0.03, 0.05, -0.02))
    assert abs(found[0]) < hot
    assert abs(found[1]) < field


def test_heated_poor_ball_converges_faster_than_first_order() -> None:
    """Jumps of 10 and 1000: orders of 1.8 and 1.5 from 4 to 8 voxels in the radius; the mean of the shares has 1.2."""
    for inside, order in ((0.1, 1.6), (1e-3, 1.3)):
        coarse, fine = (abs(balls(h, inside, (0.03, 0.05, -0.02))[0]) for h in (0.25, 0.125))
        assert np.log2(coarse / fine) > order


def test_turned_anatomies_have_turned_edges() -> None:
    """Cyclic change of the axes and a mirror image of one: the same factors to round-off, on uneven voxels.

    Round-off is that of integrals over a thousandth of a voxel, at a jump of five.
    """
    rng = np.random.default_rng(7)
    widths = [rng.uniform(0.08, 0.12, count) for count in (24, 22, 20)]
    middle = np.array([0.11, -0.07, 0.05])

    def factors(order: tuple[int, int, int], mirrored: bool) -> Array:
        """Of the edges along every axis, as three arrays in the original axes."""
        axes = []
        for axis in order:
            steps = np.cumsum(np.concatenate([[0.0], widths[axis]])) - 0.5 * widths[axis].sum()
            axes.append(-steps[::-1] if mirrored and axis == 0 else steps)
        at = middle * ([-1.0, 1.0, 1.0] if mirrored else 1.0)
        x, y, z = (f"{at[axis]:.17g} m" for axis in order)
        engine = painted((axes[0], axes[1], axes[2]), [Sphere(region="ball", centre=(x, y, z), radius="0.71 m")])
        edges = engine.cut_edges({"ball": 0.2, "host": 1.0})
        assert edges is not None
        found = np.ones((3, *engine.domain.shape))
        ends = [np.stack(np.unravel_index(end, engine.domain.shape)) for end in edges.nodes.T]
        along = np.argmax(ends[1] - ends[0], axis=0)
        found[(along, *ends[0])] = edges.factors
        back = np.argsort(order)
        turned = np.stack([np.transpose(found[int(back[axis])], back) for axis in range(3)])
        if mirrored:
            turned = turned[:, ::-1]
            turned[0] = np.roll(turned[0], -1, axis=0)
        return turned

    plain = factors((0, 1, 2), False)
    assert np.abs(plain - 1.0).max() > 0.5
    for order, mirrored in (((1, 2, 0), False), ((2, 0, 1), False), ((1, 0, 2), False), ((0, 1, 2), True)):
        assert_allclose(factors(order, mirrored), plain, rtol=0, atol=1e-12)


def test_nothing_is_corrected_where_no_cell_is_cut() -> None:
    """One material, equal values, faces on the nodes."""
    axis = np.linspace(0.0, 8.0, 9)
    axes = (axis, axis.copy(), axis.copy())
    ball = Sphere(region="ball", centre=("4 m", "4 m", "4 m"), radius="2.3 m")
    slab = Layer(region="slab", shape="layer", axis="y", **{"from": "2 m", "to": "5 m"})
    assert painted(axes, []).cut_edges({"host": 1.0}) is None
    assert painted(axes, [ball]).cut_edges({"ball": 0.5, "host": 0.5}) is None
    assert painted(axes, [slab]).cut_edges({"slab": 0.5, "host": 1.0}) is None


def test_edges_conduct_at_least_the_poorer_and_nothing_twice() -> None:
    """Many small balls, cells of three materials, jumps up to 3e5: positive; no node is stiffer by half than before."""
    rng = np.random.default_rng(5)
    axis = np.linspace(0.0, 8.0, 17)
    names, values = ("one", "two"), {"host": 1.0, "one": 1e-4, "two": 30.0}
    shapes = [
        Sphere(region=names[number % 2], centre=(f"{x} m", f"{y} m", f"{z} m"), radius=f"{r} m")
        for number, (x, y, z, r) in enumerate(rng.uniform((0, 0, 0, 0.15), (8, 8, 8, 1.5), (60, 4)))
    ]
    engine = painted((axis, axis.copy(), axis.copy()), shapes)
    edges = engine.cut_edges(values)
    assert edges is not None
    assert edges.factors.min() > 0.0
    operator, plain = engine.conductance(mixed(engine, values), edges), engine.conductance(mixed(engine, values))
    assert operator.diagonal.max() < 1.5 * plain.diagonal.max()


def behind_a_shell(thickness: float, shell: float, *, cuts: bool = True) -> float:
    """Relative error of the potential within a spherical shell of radius 8 around a unit source, unit voxels."""
    axis = np.linspace(-12.3, 12.7, 26)
    shapes = [
        Sphere(region="shell", centre=("0 m", "0 m", "0 m"), radius=f"{8.0 + thickness} m"),
        Sphere(region="host", centre=("0 m", "0 m", "0 m"), radius="8 m"),
    ]
    engine, values = painted((axis, axis.copy(), axis.copy()), shapes), {"shell": shell, "host": 1.0}
    operator = engine.conductance(mixed(engine, values), engine.cut_edges(values) if cuts else None)
    away = np.linalg.norm(engine.points, axis=1)
    rim = np.any(np.isin(engine.points, axis[[0, -1]]), axis=1)
    source, resistance = np.zeros(away.size), 0.25 / np.pi
    source[np.argmin(away)] = 1.0
    u = engine.solve(operator, 0.0 * source, source, fixed=rim, values=resistance / away.clip(1.0), tolerance=1e-11)
    across = resistance * (1.0 / 8.0 - 1.0 / (8.0 + thickness)) * (1.0 / shell - 1.0)
    within = (away > 4.0) & (away < 5.0)
    return float(np.mean(u[within] / (resistance / away[within] + across))) - 1.0


@pytest.mark.parametrize(("thickness", "error"), [(0.5, 0.04), (1.0, 0.02), (2.0, 0.1)])
def test_thin_shells_hold_back_at_any_slope(thickness: float, error: float) -> None:
    """Eight voxels of radius, a thousandth of the conductivity. Every way through has the layer in series. Two voxels
    are thick enough to be one interface after the other, of first order. With the mean of the shares nothing is held
    back: 97 % are lost, and 80 % and more with layers in parallel where edges run aslant."""
    assert abs(behind_a_shell(thickness, 1e-3)) < error
    assert behind_a_shell(thickness, 1e-3, cuts=False) < -0.95


BOILING = """
schema_version = 1
title = "two tissues that boil"
[anatomy]
kind = "phantom"
size = "10 mm"
voxel_size = "2 mm"
background = "liver"
tumour = "tumour"
shapes = [{ region = "tumour", shape = "layer", axis = "y", to = "0.7 mm" }]
[tissues.liver]
conductivity = "0.1 W/m/K"
[tissues.tumour]
conductivity = "2 W/m/K"
[heating]
kind = "prescribed"
[[heating.sources]]
shape = "region"
region = "liver"
density = "3e7 W/m^3"
[bioheat]
duration = "20 s"
[output]
pictures = false
"""


@pytest.mark.parametrize("precision", ["single", "double"])
def test_cut_voxels_boil_alike_whether_or_not_tissue_could_freeze(tmp_path: Path, precision: str) -> None:
    """Without frozen tissue the edges beside cut voxels had no conductance while there was vapour: runs blew up."""
    fields = []
    for name, freezing in (("on", ""), ("off", 'freezing = "off"\n')):
        text = BOILING.replace("[output]", f'{freezing}[numerics]\nprecision = "{precision}"\n[output]')
        (tmp_path / f"{name}.toml").write_text(text)
        run = simulate(load_case(tmp_path / f"{name}.toml"), tmp_path / name)
        assert run.value("peak_temperature") > 99.0
        assert run.value("lowest_temperature") > 36.9
        fields.append(run.temperature(-1))
    assert_allclose(*fields, atol=0.05)  # stages are counted for what could freeze, so steps differ
