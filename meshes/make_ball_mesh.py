"""Write a tetrahedral ball: a round tumour in the middle of a round piece of tissue.

    python meshes/make_ball_mesh.py ball.msh [--tumour-radius MM] [--radius MM] [--level N] [--centre X Y Z]

Regions `tumour` and `liver`; boundaries `tumour_border` (between them) and `outside`. A `.msh` carries the names; a
`.vtu` cannot, so its case says `regions = {tumour = 1, liver = 2}`. Coordinates are millimetres: `length_unit = "mm"`.

Nodes lie on concentric spheres, each a subdivided icosahedron (`level` times), whose radii grow so that cells keep
their shape; every prism between two spheres is cut into three tetrahedra. The radii are scaled so that the volumes
inside each sphere, which the flat triangles would make too small, are exact. No mesher is needed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import meshio
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

CENTRE_SHARE = 0.12
"""Radius of the innermost sphere relative to the tumour: below it, tetrahedra meet in the centre."""


def icosphere(level: int) -> tuple[Points, Index]:
    """Unit sphere: points (10 * 4**level + 2, 3) and triangles (20 * 4**level, 3), outward."""
    golden = (1 + 5**0.5) / 2
    rows = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    points = np.array([np.roll(row, shift) for shift in range(3) for row in rows], dtype=float)
    points /= np.linalg.norm(points[0])
    edge = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = (edge > 0) & (edge < 1.2)
    i, j, k = np.nonzero(near[:, :, None] & near[:, None, :] & near[None, :, :])
    triangles = np.stack([i, j, k], axis=1)[(i < j) & (j < k)]
    for _ in range(level):
        edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        middle = points[unique].mean(axis=1)
        middle /= np.linalg.norm(middle, axis=1)[:, None]
        a, b, c = triangles.T
        p, q, r = inverse.reshape(-1, 3).T + len(points)
        triangles = np.concatenate([np.stack(t, axis=1) for t in ((a, p, r), (p, b, q), (r, q, c), (p, q, r))])
        points = np.concatenate([points, middle])
    corners = points[triangles]
    inward = np.einsum("ij,ij->i", np.cross(corners[:, 0], corners[:, 1]), corners[:, 2]) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return points, triangles


def shells(tumour: float, radius: float, step: float) -> Points:
    """Radii of the spheres, one of them the tumour's, spaced in proportion to the radius."""
    inner = np.geomspace(CENTRE_SHARE * tumour, tumour, max(2, round(-np.log(CENTRE_SHARE) / step) + 1))
    outer = np.geomspace(tumour, radius, max(2, round(np.log(radius / tumour) / step) + 1))
    return np.concatenate([inner, outer[1:]])


def ball(tumour: float, radius: float, level: int) -> tuple[Points, Index, Index, Index, Index]:
    """Points, tetrahedra, their region (1 tumour, 2 liver), triangles, their boundary (3 border, 4 outside)."""
    sphere, triangles = icosphere(level)
    count = len(sphere)
    volume = (
        np.einsum("ij,ij->", np.cross(sphere[triangles[:, 0]], sphere[triangles[:, 1]]), sphere[triangles[:, 2]]) / 6
    )
    radii = shells(tumour, radius, step=float(np.sqrt(4 * np.pi / count))) * (4 / 3 * np.pi / volume) ** (1 / 3)
    points = np.concatenate([[[0.0, 0.0, 0.0]], (radii[:, None, None] * sphere).reshape(-1, 3)])
    a, b, c = np.sort(triangles, axis=1).T  # one order on the whole sphere makes the cuts of neighbouring prisms match
    cells = [np.stack([np.zeros_like(a), a + 1, b + 1, c + 1], axis=1)]
    for layer in range(len(radii) - 1):
        low, high = 1 + layer * count, 1 + (layer + 1) * count
        prisms = ((a + low, b + low, c + low, c + high), (a + low, b + low, b + high, c + high),
                  (a + low, a + high, b + high, c + high))  # fmt: skip
        cells += [np.stack(prism, axis=1) for prism in prisms]
    inside = 1 + 3 * int(np.argmin(abs(radii - radii[-1] * tumour / radius)))
    region = np.repeat(np.where(np.arange(len(cells)) < inside, 1, 2), len(triangles))
    tetrahedra = np.concatenate(cells)
    corners = points[tetrahedra]
    sides = [corners[:, i] - corners[:, 0] for i in (1, 2, 3)]
    negative = np.einsum("ij,ij->i", np.cross(sides[0], sides[1]), sides[2]) < 0
    tetrahedra[negative] = tetrahedra[negative][:, [1, 0, 2, 3]]
    border = triangles + 1 + (inside - 1) // 3 * count
    outside = triangles + 1 + (len(radii) - 1) * count
    return points, tetrahedra, region, np.concatenate([border, outside]), np.repeat([3, 4], len(triangles))


def write(path: Path, tumour: float, radius: float, level: int, centre: tuple[float, float, float]) -> None:
    """Write the ball (mm) as `.msh` or `.vtu`."""
    points, tetrahedra, region, triangles, boundary = ball(tumour, radius, level)
    points = points + centre
    if path.suffix == ".vtu":
        mesh = meshio.Mesh(points, [("tetra", tetrahedra)], cell_data={"region": [region]})
        mesh.write(path)
    else:
        tags = [region, boundary]
        names = {"tumour": (1, 3), "liver": (2, 3), "tumour_border": (3, 2), "outside": (4, 2)}
        mesh = meshio.Mesh(points, [("tetra", tetrahedra), ("triangle", triangles)],
                           cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags},
                           field_data={name: np.array(tag) for name, tag in names.items()})  # fmt: skip
        mesh.write(path, file_format="gmsh22", binary=False)
    print(f"{path}: {len(points)} nodes, {len(tetrahedra)} tetrahedra")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help=".msh or .vtu")
    parser.add_argument("--tumour-radius", type=float, default=12.0, metavar="MM")
    parser.add_argument("--radius", type=float, default=40.0, metavar="MM")
    parser.add_argument("--level", type=int, default=3, help="subdivisions of the icosahedron, 0 to 5")
    parser.add_argument(
        "--centre", type=float, nargs=3, default=(0.0, 0.0, 0.0), metavar=("X", "Y", "Z"), help="mm, RAS"
    )
    given = parser.parse_args(arguments)
    if (
        not 0 < given.tumour_radius < given.radius
        or not 0 <= given.level <= 5
        or given.file.suffix not in (".msh", ".vtu")
    ):
        parser.error("needs 0 < tumour radius < radius, level 0 to 5, and a file name ending in .msh or .vtu")
    write(given.file, given.tumour_radius, given.radius, given.level, tuple(given.centre))
    return 0


if __name__ == "__main__":
    sys.exit(main())
