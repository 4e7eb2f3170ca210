"""Triangles of the (r, z) half-plane for tests of axisymmetric anatomies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import meshio
import numpy as np

from thermal.domain import AxisymmetricDomain
from thermal.engines.axisymmetric import AxisymmetricEngine
from thermal.units import Array

Part = Callable[[Array, Array], Array]
"""r and z of points -> whether they belong."""


def rectangle(r: Array, z: Array) -> tuple[Array, Array]:
    """Points (n, 2) and triangles (m, 3) of a tensor grid, all cut the same way: nodes have like volumes."""
    points = np.stack([a.ravel() for a in np.meshgrid(r, z, indexing="ij")], axis=1)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(len(r) - 1), np.arange(len(z) - 1), indexing="ij"))
    a, b, c, d = ((i + di) * len(z) + j + dj for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1)))
    return points, np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]).astype(np.int64)


def disc(radii: Array, angles: int) -> tuple[Array, Array]:
    """Half-disc (half-ring, if the first radius is not 0) around the origin: points (n, 2), triangles (m, 3)."""
    theta = np.linspace(0.0, np.pi, angles + 1)
    points, triangles = rectangle(np.arange(len(radii), dtype=float), np.arange(angles + 1.0))
    rho, angle = radii[points[:, 0].astype(int)], theta[points[:, 1].astype(int)]
    place = np.stack([rho * np.sin(angle), rho * np.cos(angle)], axis=1)
    place[(points[:, 1] == 0) | (points[:, 1] == angles), 0] = 0.0
    if radii[0] == 0.0:  # all points of the first arc are one
        triangles = np.where(triangles <= angles, 0, triangles)
        triangles = triangles[
            (triangles[:, 0] != triangles[:, 1])
            & (triangles[:, 1] != triangles[:, 2])
            & (triangles[:, 0] != triangles[:, 2])
        ]
        used, renumbered = np.unique(triangles, return_inverse=True)
        place, triangles = place[used], renumbered.reshape(-1, 3)
    return place, triangles


def round_disc(places: Array) -> tuple[Array, Array]:
    """Half-disc of radius ``places[-1]`` from a grid through ``places`` (from 0 on), almost square in the middle."""
    radius = places[-1]
    points, triangles = rectangle(places, np.concatenate([-places[:0:-1], places]))
    u, v = points.T / radius
    return radius * np.stack([u * np.sqrt(1 - v**2 / 2), v * np.sqrt(1 - u**2 / 2)], axis=1), triangles


def engine(points: Array, triangles: Array, regions: Mapping[str, Part] | None = None) -> AxisymmetricEngine:
    """Engine of points (n, 2); what no region claims by its centroid is ``tissue``."""
    centres = points[triangles].mean(axis=1)
    shares = {name: part(*centres.T).astype(float) for name, part in (regions or {}).items()}
    rest = 1.0 - np.sum(list(shares.values()), axis=0) if shares else np.ones(len(triangles))
    place = np.stack([points[:, 0], np.zeros(len(points)), points[:, 1]], axis=1)
    return AxisymmetricEngine(AxisymmetricDomain(place, triangles.astype(np.int64), {**shares, "tissue": rest}))


def border(triangles: Array) -> Array:
    """Segments (f, 2) of one triangle only."""
    pairs = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    return np.asarray(unique[count == 1])


def write(
    path: Path,
    points: Array,
    triangles: Array,
    regions: Mapping[str, Part],
    boundaries: Mapping[str, Part],
    unit: float = 1e-3,
) -> Path:
    """Write a ``.msh`` with r along x and z along y (points in m, written in ``unit``); the last region is the rest."""
    centres = points[triangles].mean(axis=1)
    number = np.full(len(triangles), len(regions))
    for code, part in reversed(list(enumerate(regions.values(), start=1))):
        number[part(*centres.T).astype(bool)] = code
    segments = border(triangles)
    middles = points[segments].mean(axis=1)
    tag = np.zeros(len(segments), dtype=int)
    for code, part in enumerate(boundaries.values(), start=101):
        tag[part(*middles.T).astype(bool)] = code
    segments, tag = segments[tag > 0], tag[tag > 0]
    names = {name: np.array([code, 2]) for code, name in enumerate(regions, start=1)}
    names |= {name: np.array([code, 1]) for code, name in enumerate(boundaries, start=101)}
    mesh = meshio.Mesh(
        np.column_stack([points / unit, np.zeros(len(points))]),
        [("triangle", triangles), ("line", segments)],
        cell_data={"gmsh:physical": [number, tag], "gmsh:geometrical": [number, tag]},
        field_data=names,
    )
    mesh.write(path, file_format="gmsh22", binary=False)
    return path
