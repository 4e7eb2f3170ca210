"""Write an axisymmetric ball: a round tumour in the middle of a round piece of tissue, as triangles of a half-plane.

    python meshes/make_half_plane.py half.msh [--tumour-radius MM] [--radius MM] [--spacing MM]

Regions `tumour` and `liver`; boundary `outside`. r lies along x and z along y, in millimetres: a case says
`half_plane = "xy"` and `length_unit = "mm"`. A needle belongs on the axis, x = y = 0 in patient coordinates.

Inside the tumour a square grid is bent to a half-disc; around it half-rings grow with the radius. The radius of each
arc is scaled so that the ball inside its polygon has the exact volume. No mesher is needed.
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


def bent_grid(count: int) -> tuple[Points, Index, Index]:
    """Half-disc of radius 1 from count x 2 count squares: points (n, 2), triangles (m, 3), nodes of its arc (k,)."""
    across, along = np.linspace(0, 1, count + 1), np.linspace(-1, 1, 2 * count + 1)
    u, v = (a.ravel() for a in np.meshgrid(across, along, indexing="ij"))
    points = np.stack([u * np.sqrt(1 - v**2 / 2), v * np.sqrt(1 - u**2 / 2)], axis=1)
    number = np.arange(len(points)).reshape(count + 1, 2 * count + 1)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]
    falling = np.broadcast_to(np.arange(2 * count) < count, a.shape)  # diagonals that cut off no corner on the arc
    halves = (np.where(falling, [a, b, d], [a, b, c]), np.where(falling, [b, c, d], [a, c, d]))
    triangles = np.concatenate([half.reshape(3, -1).T for half in halves])
    arc = np.concatenate([number[:-1, 0], number[-1, :], number[-2::-1, -1]])
    return points, triangles, arc


def swept(arc: Points) -> float:
    """Volume of the body inside an arc (k, 2) from the lower to the upper end of the axis."""
    (r0, z0), (r1, z1) = arc[:-1].T, arc[1:].T
    return float(np.pi / 3 * ((r0**2 + r0 * r1 + r1**2) * (z1 - z0)).sum())


def half_plane(tumour: float, radius: float, spacing: float) -> tuple[Points, Index, Index, Index]:
    """Points (n, 2), triangles (m, 3), their region (1 tumour, 2 liver), and the segments (k, 2) of the outer arc."""
    inner, triangles, arc = bent_grid(max(4, round(tumour / spacing)))
    unit = inner[arc]
    scale = (4 / 3 * np.pi / swept(unit)) ** (1 / 3)
    layers = max(2, round(np.log(radius / tumour) * (len(arc) - 1) / np.pi))
    radii = np.geomspace(tumour, radius, layers + 1) * scale
    points = np.concatenate([radii[0] * inner, (radii[1:, None, None] * unit).reshape(-1, 2)])
    rings = np.concatenate([arc[None], len(inner) + np.arange(layers * len(arc)).reshape(layers, -1)])
    a, b, c, d = rings[:-1, :-1], rings[:-1, 1:], rings[1:, 1:], rings[1:, :-1]
    outer = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, d, c), (a, c, b))])
    region = np.repeat([1, 2], [len(triangles), len(outer)])
    return points, np.concatenate([triangles, outer]), region, np.stack([rings[-1, :-1], rings[-1, 1:]], axis=1)


def write(path: Path, tumour: float, radius: float, spacing: float) -> None:
    """Write the half-plane (mm) as `.msh`."""
    points, triangles, region, segments = half_plane(tumour, radius, spacing)
    tags = [region, np.full(len(segments), 3)]
    names = {"tumour": (1, 2), "liver": (2, 2), "outside": (3, 1)}
    mesh = meshio.Mesh(np.column_stack([points, np.zeros(len(points))]), [("triangle", triangles), ("line", segments)],
                       cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags},
                       field_data={name: np.array(tag) for name, tag in names.items()})  # fmt: skip
    mesh.write(path, file_format="gmsh22", binary=False)
    print(f"{path}: {len(points)} nodes, {len(triangles)} triangles")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help=".msh")
    parser.add_argument("--tumour-radius", type=float, default=12.0, metavar="MM")
    parser.add_argument("--radius", type=float, default=50.0, metavar="MM")
    parser.add_argument("--spacing", type=float, default=0.5, metavar="MM", help="in the tumour")
    given = parser.parse_args(arguments)
    if not 0 < given.tumour_radius < given.radius or not given.spacing > 0 or given.file.suffix != ".msh":
        parser.error("needs 0 < tumour radius < radius, a spacing above 0, and a file name ending in .msh")
    write(given.file, given.tumour_radius, given.radius, given.spacing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
