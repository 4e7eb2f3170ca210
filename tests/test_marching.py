"""Marching tetrahedra: exact for linear fields, closed and oriented, second order on a sphere."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from thermal.engine import Surface
from thermal.engines import marching

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]


def nodes(axes: Axes) -> np.ndarray:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def cell_volume(axes: Axes) -> np.ndarray:
    x, y, z = (np.diff(a) for a in axes)
    return (x[:, None, None] * y[None, :, None] * z[None, None, :]).ravel()


def area(surface: Surface) -> float:
    a, b, c = (surface.points[surface.triangles[:, i]] for i in range(3))
    return float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


def enclosed(surface: Surface) -> float:
    """Volume by the divergence theorem; positive when triangles turn outward."""
    a, b, c = (surface.points[surface.triangles[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def graded(n: int) -> Axes:
    s = np.linspace(-1, 1, n + 1)
    return s * (1 + 0.2 * s**2), 1.1 * s, s + 0.1 * s**2


def test_kuhn_tetrahedra_fill_the_voxel() -> None:
    corners = np.array(list(product((0.0, 1.0), repeat=3)))
    tets = corners[marching.KUHN]
    volumes = np.linalg.det(tets[:, 1:] - tets[:, :1]) / 6
    np.testing.assert_allclose(volumes, np.full(6, 1 / 6), rtol=1e-15)  # positive: orientation too
    # disjoint: a random point is in exactly one of them
    point = np.array([0.21, 0.57, 0.83])
    weights = np.linalg.solve(np.transpose(tets[:, 1:] - tets[:, :1], (0, 2, 1)), (point - tets[:, 0])[:, :, None])
    assert ((weights[..., 0] >= 0).all(axis=1) & (weights[..., 0].sum(axis=1) <= 1)).sum() == 1


def test_share_of_a_linear_field_is_exact() -> None:
    """Against the convex hull of what is left of each tetrahedron."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 4, 3))
    direction = rng.normal(size=3)
    mirrored = np.linalg.det(points[:, 1:] - points[:, :1]) < 0
    points[mirrored, :2] = points[mirrored, 1::-1]
    values = points @ direction + 0.3
    cells = np.arange(800).reshape(200, 4)
    share = marching.tetrahedra_inside(cells, values.ravel(), 0.1)
    surface = marching.tetrahedra_surface(points.reshape(-1, 3), cells, values.ravel(), 0.1)
    triangles = surface.points[surface.triangles]
    for p, v, found in zip(points, values - 0.1, share, strict=True):
        cuts = [p[i] + (p[j] - p[i]) * v[i] / (v[i] - v[j]) for i in range(4) for j in range(4) if v[i] >= 0 > v[j]]
        left = np.array([*p[v >= 0], *cuts])
        expected = ConvexHull(left).volume / ConvexHull(p).volume if len(left) else 0.0
        assert found == pytest.approx(expected, abs=1e-11)
    assert {0, 1, 2, 3, 4} == set((values >= 0.1).sum(axis=1))  # every pattern was met
    np.testing.assert_allclose(triangles @ direction + 0.3, 0.1, atol=1e-12)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert (normals @ direction < 0).all()  # outward


@pytest.mark.parametrize("level", [-0.31, 0.0, 0.25])
def test_plane_through_voxels_is_exact(level: float) -> None:
    """A plane normal to an axis through a graded grid, also when it runs along the nodes (level 0)."""
    axes = (np.linspace(-1, 1, 9), np.linspace(0, 1, 4) ** 2, np.linspace(0, 2, 5))
    share = marching.voxel_inside(axes, nodes(axes)[:, 0], level)
    assert (share * cell_volume(axes)).sum() == pytest.approx((1 - level) * 2, rel=1e-14)
    surface = marching.voxel_surface(axes, nodes(axes)[:, 0], level)
    assert area(surface) == pytest.approx(2.0, rel=1e-14)
    np.testing.assert_allclose(surface.points[:, 0], level, atol=1e-15)


def test_surface_is_closed_oriented_and_bounds_the_share() -> None:
    """Two blobs on a graded grid: every edge is walked once each way, and the enclosed volume is the sum of shares."""
    axes = graded(14)
    p = nodes(axes)
    u = np.exp(-8 * ((p - [0.4, 0, 0.1]) ** 2).sum(1)) + np.exp(-12 * ((p - [-0.4, -0.1, 0]) ** 2).sum(1))
    surface = marching.voxel_surface(axes, u, 0.35)
    share = marching.voxel_inside(axes, u, 0.35)
    assert enclosed(surface) == pytest.approx((share * cell_volume(axes)).sum(), rel=1e-12)
    walked = np.concatenate([surface.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    forward = {tuple(edge) for edge in walked.tolist()}
    assert len(forward) == len(walked)
    assert all((b, a) in forward for a, b in forward)
    # no vertex twice, none unused
    assert len(np.unique(surface.points.round(12), axis=0)) == len(surface.points)
    assert set(np.unique(surface.triangles)) == set(range(len(surface.points)))


def test_level_on_the_nodes_stays_closed() -> None:
    """Whole-number fields put the surface on nodes and edges: degenerate triangles must go, the rest must close."""
    axes = tuple(np.arange(9.0) for _ in range(3))
    u = 3 - np.abs(nodes(axes) - 4).sum(axis=1)  # an octahedron with its corners and edges on nodes
    surface = marching.voxel_surface(axes, u, 0.0)
    walked = np.concatenate([surface.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    forward = {tuple(edge) for edge in walked.tolist()}
    assert all((b, a) in forward for a, b in forward)
    share = marching.voxel_inside(axes, u, 0.0).sum()
    assert enclosed(surface) == pytest.approx(share, rel=1e-13)
    assert share == pytest.approx(4 / 3 * 27, rel=0.06)  # |x|+|y|+|z| is not linear in every Kuhn tetrahedron


def test_nothing_and_everything() -> None:
    axes = graded(4)
    u = nodes(axes)[:, 0]
    assert not marching.voxel_inside(axes, u, 9.0).any()
    assert (marching.voxel_inside(axes, u, -9.0) == 1).all()
    for level in (9.0, -9.0):
        surface = marching.voxel_surface(axes, u, level)
        assert surface.points.shape == (0, 3)
        assert surface.triangles.shape == (0, 3)


def test_surface_keeps_to_solid_voxels() -> None:
    axes = graded(8)
    p = nodes(axes)
    u = 0.7 - np.linalg.norm(p, axis=1)
    solid = np.arange(8**3) % 8 < 4  # z < 0
    u[p[:, 2] > 0.4] = np.nan  # values outside the body are nobody's business
    surface = marching.voxel_surface(axes, u, 0.0, solid)
    assert np.isfinite(surface.points).all()
    assert surface.points[:, 2].max() <= 0.0
    assert len(surface.triangles) > 50


def test_sphere_is_second_order() -> None:
    radius = 0.63
    errors = []
    for n in (12, 24, 48):
        axes = graded(n)
        u = -np.linalg.norm(nodes(axes) - [0.02, 0.01, -0.03], axis=1)
        volume = (marching.voxel_inside(axes, u, -radius) * cell_volume(axes)).sum()
        surface = marching.voxel_surface(axes, u, -radius)
        errors.append([volume / (4 / 3 * np.pi * radius**3) - 1, area(surface) / (4 * np.pi * radius**2) - 1])
    orders = np.log2(np.abs(np.array(errors[:-1]) / np.array(errors[1:])))
    assert np.all(orders > 1.8), (errors, orders)
    # an edge as long as the voxel's diagonal sinks 3 h^2/(8 R) below the sphere: at most 1.1 (h/R)^2 of the volume
    assert np.all(np.abs(errors[-1]) < 1.1 * (2 / 48 / radius) ** 2)


def test_tetrahedra_equal_voxels() -> None:
    """The generic mesh routines on the Kuhn mesh of a grid give the voxel answer."""
    axes = graded(6)
    p = nodes(axes)
    u = np.cos(2 * p[:, 0]) * np.cos(1.5 * p[:, 1]) - 0.4 * p[:, 2]
    cells = marching.voxel_corners((7, 7, 7), np.arange(216))[:, marching.KUHN]
    share = marching.tetrahedra_inside(cells.reshape(-1, 4), u, 0.5).reshape(-1, 6).mean(axis=1)
    np.testing.assert_allclose(share, marching.voxel_inside(axes, u, 0.5), atol=1e-14)
    mesh = marching.tetrahedra_surface(p, cells.reshape(-1, 4), u, 0.5)
    assert area(mesh) == pytest.approx(area(marching.voxel_surface(axes, u, 0.5)), rel=1e-13)
