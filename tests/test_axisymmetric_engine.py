"""Axisymmetric engine: exact integrals, order of convergence, level lines, thin probes on the axis."""

from __future__ import annotations

from pathlib import Path

import half_planes as half
import numpy as np
import pytest

from thermal.domain import SURFACE, AxisymmetricDomain, Ball, Line
from thermal.engine import Engine
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.store.fields import Field, Fields, read_fields, write_fields
from thermal.units import Array
from thermal.zone import Extent, compare_zones, measure_zone


def shaken(n: int, h: float, seed: int = 0, share: float = 0.25) -> tuple[Array, Array]:
    """A grid of n x 2n cells of edge h around z = 0 whose inner nodes are moved by a share of h; the axis stays."""
    points, triangles = half.rectangle(np.arange(n + 1) * h, np.arange(-n, n + 1) * h)
    inner = (points[:, 0] > 0) & (points[:, 0] < (n - 0.5) * h) & (np.abs(points[:, 1]) < (n - 0.5) * h)
    points[inner] += np.random.default_rng(seed).uniform(-share, share, (int(inner.sum()), 2)) * h
    return points, triangles


def test_satisfies_the_contract() -> None:
    engine: Engine = half.engine(*shaken(4, 1.0))
    assert engine.window(np.zeros(3), np.ones(3), 0.1).engine is engine
    low, high = engine.bounds
    np.testing.assert_allclose([low, high], [[-4, -4, -4], [4, 4, 4]])


def test_cylinder_is_exact_and_ball_second_order() -> None:
    engine = half.engine(*shaken(6, 0.5), {"ring": lambda r, z: r > 1.5})
    assert engine.volume.sum() == pytest.approx(np.pi * 9 * 6, rel=1e-13)
    assert engine.areas[SURFACE].sum() == pytest.approx(2 * np.pi * 9 + 2 * np.pi * 3 * 6, rel=1e-13)
    np.testing.assert_allclose(sum(engine.volumes.values()), engine.volume, rtol=1e-13)
    on_axis = engine.points[:, 0] == 0
    inner = on_axis & (np.abs(engine.points[:, 2]) < 2.9)
    assert not engine.areas[SURFACE][inner].any()
    assert (engine.volume[on_axis] > 0).all()
    errors = []
    for n in (8, 16, 32):
        ball = half.engine(*half.disc(np.linspace(0, 1, n + 1), 2 * n))
        errors.append([ball.volume.sum() / (4 / 3 * np.pi) - 1, ball.areas[SURFACE].sum() / (4 * np.pi) - 1])
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all(orders > 1.95), orders


def test_lumped_volume_is_the_integral_of_the_hat_function() -> None:
    """Against a rule that is exact for the cubic r times lambda: corners, middles and centroid."""
    engine = half.engine(*shaken(3, 1.0))
    corners = engine.points[engine.cells][:, :, [0, 2]]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    nodes = np.concatenate([np.eye(3), 0.5 * (1 - np.eye(3)), np.full((1, 3), 1 / 3)])
    weights = np.concatenate([np.full(3, 1 / 20), np.full(3, 2 / 15), [9 / 20]])
    radius = np.einsum("qa,ma->mq", nodes, corners[:, :, 0])
    shares = 2 * np.pi * area[:, None] * np.einsum("q,qa,mq->ma", weights, nodes, radius)
    expected = np.bincount(engine.cells.ravel(), shares.ravel(), len(engine.points))
    np.testing.assert_allclose(engine.volume, expected, rtol=1e-13)


def test_operator_identities_and_means() -> None:
    engine = half.engine(*shaken(8, 0.1))
    rng = np.random.default_rng(2)
    operator = engine.conductance(10.0 ** rng.uniform(-1, 1, len(engine.cells)))
    u, v = rng.normal(size=(2, len(engine.points)))
    assert not operator(np.full(len(u), 37.0)).any()
    assert v @ operator(u) == pytest.approx(u @ operator(v), rel=1e-11)
    assert operator.dissipation(u).sum() == pytest.approx(u @ operator(u), rel=1e-12)
    dense = operator.matrix(np.zeros(len(u))).toarray()
    root = 1 / np.sqrt(operator.bound)
    assert np.linalg.eigvalsh(root[:, None] * dense * root).max() <= 1 + 1e-12
    # the mean over a cell is that over the ring that it sweeps
    assert engine.to_cells(u) @ engine.cell_volume == pytest.approx(u @ engine.volume, rel=1e-12)
    k = rng.random(len(engine.cells))
    assert engine.to_nodes(k) @ engine.volume == pytest.approx(k @ engine.cell_volume, rel=1e-13)


def test_manufactured_solution_is_second_order() -> None:
    """-lap u + u = f with u = cos(pi r^2) cos(pi z), whose normal derivative vanishes on a cylinder; shaken nodes."""
    errors = []
    for n in (12, 24, 48):
        points, triangles = shaken(n, 1.0 / n, share=0.2)
        engine = half.engine(points, triangles)
        r, _, z = engine.points.T
        exact = np.cos(np.pi * r**2) * np.cos(np.pi * z)
        radial = -4 * np.pi * np.sin(np.pi * r**2) - 4 * np.pi**2 * r**2 * np.cos(np.pi * r**2)
        load = exact * (1 + np.pi**2) - radial * np.cos(np.pi * z)
        u = engine.solve(
            engine.conductance(np.ones(len(engine.cells))), engine.volume, load * engine.volume, tolerance=1e-11
        )
        errors.append(np.sqrt((u - exact) ** 2 @ engine.volume))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all(orders > 1.85), (errors, orders)


def test_points_all_around_are_the_same() -> None:
    engine = half.engine(*shaken(6, 0.002))
    rng = np.random.default_rng(1)
    angle, r, z = rng.uniform(0, 2 * np.pi, 200), rng.uniform(0, 0.0119, 200), rng.uniform(-0.0119, 0.0119, 200)
    at = np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)
    u = engine.points @ [3.0, 0.0, -1.0]
    np.testing.assert_allclose(engine.sample(u, at), 3 * r - z, atol=1e-12)
    v, amount = rng.normal(size=len(engine.points)), rng.normal(size=200)
    assert engine.deposit(amount, at) @ v == pytest.approx(amount @ engine.sample(v, at), rel=1e-12)
    assert engine.holds(np.array([[0.0, -0.012, 0.0], [0.009, 0.009, 0.0]])).tolist() == [True, False]
    with pytest.raises(ValueError, match=r"\(9, 9, 0\) mm lies outside the mesh"):
        engine.sample(u, np.array([[0.009, 0.009, 0.0]]))
    assert engine.spacing((0.0, 0.004, 0.0)) == pytest.approx(0.002 * np.sqrt(2), rel=0.5)


def test_zone_of_a_ball_and_of_a_ring() -> None:
    """Second order in the spacing: (h / R)^2 = 0.6 %; the surfaces are closed and face outward."""
    engine = half.engine(*shaken(40, 0.025))
    ball = 0.33 - np.linalg.norm(engine.points - [0, 0, 0.1], axis=1)
    zone = measure_zone(engine, ball, 0.0, None)
    assert zone.volume == pytest.approx(4 / 3 * np.pi * 0.33**3, rel=6e-3)
    assert zone.surface_area == pytest.approx(4 * np.pi * 0.33**2, rel=6e-3)
    assert zone.principal_diameters == pytest.approx((0.66,) * 3, rel=6e-3)
    assert zone.sphericity == pytest.approx(1.0, abs=6e-3)
    ring = 0.2 - np.hypot(engine.points[:, 0] - 0.5, engine.points[:, 2])
    zone = measure_zone(engine, ring, 0.0, None)
    assert zone.volume == pytest.approx(2 * np.pi**2 * 0.5 * 0.2**2, rel=0.015)
    for measure in (ball, ring):
        surface = engine.isosurface(measure, 0.0)
        a, b, c = (surface.points[surface.triangles[:, i]] for i in range(3))
        enclosed = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
        assert enclosed == pytest.approx(engine.inside(measure, 0.0) @ engine.cell_volume, rel=2e-3)
        np.testing.assert_allclose(np.cross(b - a, c - a).sum(axis=0), 0, atol=1e-12)
        edges = np.sort(np.concatenate([surface.triangles[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    agreement = compare_zones(engine, Extent(ball, 0.0), Extent(ball, 0.03))
    assert agreement.dice == pytest.approx(2 * 0.3**3 / (0.33**3 + 0.3**3), rel=0.01)
    assert agreement.hausdorff_distance == pytest.approx(0.03, abs=0.003)


def test_share_of_a_linear_field_is_exact() -> None:
    """The part of a cylinder below a slanted cone, by exact integration over z."""
    engine = half.engine(*shaken(5, 0.2))
    u = 0.3 - 0.5 * engine.points[:, 0] - engine.points[:, 2]  # inside where z <= 0.3 - r / 2
    exact = 2 * np.pi * (0.5 * 1.3 - 0.5 / 3)
    assert engine.inside(u, 0.0) @ engine.cell_volume == pytest.approx(exact, rel=1e-12)
    touching = engine.points[:, 2]
    assert engine.inside(touching, -1.0) @ engine.cell_volume == pytest.approx(2 * np.pi, rel=1e-13)


def test_margin_of_an_empty_zone_is_measured_from_the_axis() -> None:
    engine = half.engine(*shaken(20, 0.001), {"tumour": lambda r, z: np.hypot(r, z) < 0.006})
    hot = -np.hypot(engine.points[:, 0] - 0.005, engine.points[:, 2])  # hottest on a ring around the axis
    margin = measure_zone(engine, hot, 1.0, "tumour").minimum_margin
    assert margin == pytest.approx(-0.006, abs=0.0006)  # from the ring's middle, not from one side of it


SPACINGS = (1 / 3, 1 / 2, 1.0, 1.5, 2.0, 3.0, 6.0)
"""in radii of the probe"""
PLACES = (0.0, 0.5, 0.3)
"""of the probe between nodes of the axis, in spacings"""
CELLS = 24


@pytest.mark.parametrize("ratio", SPACINGS)
@pytest.mark.parametrize("close", [False, True])
def test_ball_electrode_and_port(ratio: float, close: bool) -> None:
    """RF-01 and INF-01: 1/(4 pi a) to infinity, at a held potential and at a held flow; 1 % at any place."""
    a = 1.5e-3
    h = ratio * a
    engine = half.engine(*half.rectangle(np.arange(CELLS + 1) * h, np.arange(-CELLS, CELLS + 1) * h))
    operator, border = engine.conductance(np.ones(len(engine.cells))), engine.areas[SURFACE] > 0
    for place in PLACES:
        ball = Ball((0.0, 0.0, place * h), a)
        exact = a / np.maximum(np.linalg.norm(engine.points - ball.centre, axis=1), a)
        factor = (engine.close_contact if close else engine.contact)(ball)
        u = engine.solve(operator, factor, factor, fixed=border, values=exact)
        assert np.sum(factor * (1 - u)) == pytest.approx(4 * np.pi * a, rel=0.01)
        weights, resistance = engine.spread(ball)
        far = exact / (4 * np.pi * a)
        p = engine.solve(operator, 0 * weights, weights, fixed=border, values=far)
        assert weights @ p + resistance == pytest.approx(1 / (4 * np.pi * a), rel=0.01)


@pytest.mark.parametrize("ratio", SPACINGS)
@pytest.mark.parametrize("close", [False, True])
def test_coax_resistance(ratio: float, close: bool) -> None:
    """RF-06: ln(b/a) / 2 pi between a line of 0.75 mm and 30 mm, far from its ends: 1 %."""
    a, b = 0.75e-3, 30e-3
    h = ratio * a
    points, triangles = shaken(CELLS, h)
    engine = half.engine(points, triangles)
    r, _, z = engine.points.T
    factor = (engine.close_contact if close else engine.contact)(Line((0.0, 0.0, -60 * h), (0.0, 0.0, 60 * h), a))
    operator = engine.conductance(np.ones(len(engine.cells)))
    exact = 1 - np.log(np.maximum(r, a) / a) / np.log(b / a)
    u = engine.solve(operator, factor, factor, fixed=np.isclose(r, r.max()), values=exact)
    reach = 0.5 * CELLS * h
    window = np.where(np.abs(z) < reach, np.cos(np.pi * z / (2 * reach)) ** 2, 0.0) / reach
    assert 1 / np.sum(window * factor * (1 - u)) == pytest.approx(np.log(b / a) / (2 * np.pi), rel=0.01)


def finite_line(points: Array, length: float) -> Array:
    """Potential of a unit flow spread evenly over a line along z around the origin."""
    r, _, z = points.T
    distance = np.maximum(r, 1e-3)
    both = np.arcsinh((z + length / 2) / distance) - np.arcsinh((z - length / 2) / distance)
    return np.asarray(both / (4 * np.pi * length))


@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize(("length", "radius", "exact"), [(30e-3, 0.75e-3, 53.720), (20e-3, 0.75e-3, 71.339)])
def test_needle_resistance(length: float, radius: float, exact: float, ratio: float, close: bool) -> None:
    """RF-07 against boundary elements (see ``test_probes.py``): 2.5 %."""
    h = ratio * radius
    count = max(CELLS, int(np.ceil(1.2 * length / h)))
    engine = half.engine(*half.rectangle(np.arange(count + 1) * h, np.arange(-count, count + 1) * h))
    operator, border = engine.conductance(np.ones(len(engine.cells))), engine.areas[SURFACE] > 0
    needle = Line((0.0, 0.0, -length / 2), (0.0, 0.0, length / 2), radius)
    factor = (engine.close_contact if close else engine.contact)(needle)
    zero = np.zeros_like(factor)
    u = engine.solve(operator, factor, factor, fixed=border, values=zero)
    far = engine.solve(operator, factor, zero, fixed=border, values=finite_line(engine.points, length))
    flow = np.sum(factor * (1 - u)) / (1 + np.sum(factor * far))
    assert 1 / (0.33 * flow) == pytest.approx(exact, rel=0.025)


def test_probes_off_the_axis_are_refused() -> None:
    engine = half.engine(*shaken(6, 0.002))
    for probe in (Ball((0.001, 0.0, 0.0), 1e-3), Line((0.0, 0.0, 0.0), (0.0, 0.002, 0.004), 1e-3)):
        assert not engine.symmetric(probe)
        for method in (engine.spread, engine.contact):
            with pytest.raises(ValueError, match="does not lie on the axis of symmetry"):
                method(probe)


def test_turned_and_flat_triangles() -> None:
    points, triangles = shaken(3, 1.0)
    turned = triangles.copy()
    turned[::2] = turned[::2, ::-1]
    np.testing.assert_allclose(half.engine(points, turned).volume, half.engine(points, triangles).volume)
    with pytest.raises(ValueError, match="1 of 37 triangles have no area"):
        _ = half.engine(points, np.vstack([triangles, [[0, 1, 1]]])).volume


def test_domains_read_back(tmp_path: Path) -> None:
    domain = half.engine(*shaken(2, 0.01)).domain
    write_fields(tmp_path / "f.h5", Fields(domain, "t", "", "z", 1.0, "cem43", {"z": Field(domain.points[:, 2], "m")}))
    found = read_fields(tmp_path / "f.h5").domain
    assert isinstance(found, AxisymmetricDomain)
    np.testing.assert_array_equal(found.points, domain.points)
    assert AxisymmetricEngine(found).volume.sum() == pytest.approx(AxisymmetricEngine(domain).volume.sum())
