"""Marching tetrahedra: the part of each cell above a level, and the surface where the level is crossed.

Exact for linear fields. Voxel cells are cut into the six tetrahedra of Kuhn (paths along the axes from the lower to the
upper corner), which fit together across cells; only cells that the level crosses are cut. Method: A. Doi, A. Koide, An
efficient method of triangulating equi-valued surfaces by using tetrahedral cells, IEICE Trans. E74 (1991) 214-224.

A value equal to the level is inside. Triangles turn outward: their normal points to falling values.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

from thermal.engine import Surface
from thermal.units import Array, Mask

Index = npt.NDArray[np.int64]
"""An array of indices."""


def _parity(order: tuple[int, ...]) -> int:
    """0 for an even permutation, 1 for an odd one."""
    return sum(order[a] > order[b] for a in range(len(order)) for b in range(a + 1, len(order))) % 2


def _cases() -> tuple[Index, Index, Index]:
    """Tables over the 16 patterns of corners inside (bit i = corner i of a positively oriented tetrahedron).

    ``order`` (16, 4): corners, those inside first. ``count`` (16,): number of triangles.
    ``edges`` (16, 2, 3, 2): for every corner of every triangle the (inside, outside) corners of the edge it lies on.
    """
    order = np.zeros((16, 4), np.int64)
    count = np.zeros(16, np.int64)
    edges = np.zeros((16, 2, 3, 2), np.int64)
    for pattern in range(16):
        inside = [i for i in range(4) if pattern >> i & 1]
        outside = [i for i in range(4) if not pattern >> i & 1]
        a, b, c, d = order[pattern] = (*inside, *outside)
        triangles = {
            1: [[(a, b), (a, c), (a, d)]],
            2: [[(a, c), (a, d), (b, d)], [(a, c), (b, d), (b, c)]],
            3: [[(a, d), (b, d), (c, d)]],
        }.get(len(inside), [])
        turned = _parity((int(a), int(b), int(c), int(d)))
        count[pattern] = len(triangles)
        for k, triangle in enumerate(triangles):
            edges[pattern, k] = triangle[::-1] if turned else triangle
    return order, count, edges


_ORDER, _COUNT, _EDGES = _cases()
_WEIGHT = np.array([1, 2, 4, 8])


def _kuhn() -> Index:
    """(6, 4) corners of a voxel (4 dx + 2 dy + dz) of its six positively oriented tetrahedra."""
    step = (4, 2, 1)
    tetrahedra = []
    for path in permutations(range(3)):
        corners = np.cumsum([0, *(step[axis] for axis in path)])
        if _parity(path):
            corners[[1, 2]] = corners[[2, 1]]
        tetrahedra.append(corners)
    return np.array(tetrahedra)


KUHN = _kuhn()
"""(6, 4) corners (4 dx + 2 dy + dz) of the six tetrahedra of a voxel, positively oriented, each a sixth of it."""


def _fraction(above: Array) -> Array:
    """Share of tetrahedra where the linear field ``above`` (t, 4) is not negative, (t,); the level crosses each."""
    pattern = (above >= 0) @ _WEIGHT
    a, b, c, d = np.take_along_axis(above, _ORDER[pattern], axis=1).T
    inside = np.array([0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4])[pattern]
    share = np.empty(len(above))
    one, two, three = inside == 1, inside == 2, inside == 3
    share[one] = _corner(a[one], b[one], c[one], d[one])
    share[three] = 1.0 - _corner(d[three], a[three], b[three], c[three])
    p, q, r, s = a[two], b[two], c[two], d[two]
    pr, ps, qr, qs = p / (p - r), p / (p - s), q / (q - r), q / (q - s)
    # the wedge (p, pr, ps | q, qr, qs) as three tetrahedra: determinants of barycentric coordinates
    share[two] = pr * ps * (1 - qs) + pr * (1 - qr) * qs + qr * qs
    share[inside == 0] = 0.0
    share[inside == 4] = 1.0
    return share


def _corner(tip: Array, a: Array, b: Array, c: Array) -> Array:
    """Share of the corner cut off at the value ``tip``, whose sign differs from the others'."""
    return tip / (tip - a) * (tip / (tip - b)) * (tip / (tip - c))


def _crossings(above: Array) -> tuple[Index, Index]:
    """Tetrahedron (k,) and (inside, outside) corners (k, 3, 2) of the triangles that cut the field ``above`` (t, 4)."""
    pattern = (above >= 0) @ _WEIGHT
    first = np.flatnonzero(_COUNT[pattern] > 0)
    second = np.flatnonzero(_COUNT[pattern] > 1)
    edges = np.concatenate([_EDGES[pattern[first], 0], _EDGES[pattern[second], 1]])
    return np.concatenate([first, second]), edges


def tetrahedra_inside(cells: Index, u: Array, level: float) -> Array:
    """(m,) share of the tetrahedra ``cells`` (m, 4) where nodal ``u`` (n,) is at or above ``level``."""
    inside = (u >= level)[cells]
    share = inside.all(axis=1).astype(float)
    cut = np.flatnonzero(inside.any(axis=1) & (share == 0))
    share[cut] = _fraction(u[cells[cut]] - level)
    return share


def tetrahedra_surface(points: Array, cells: Index, u: Array, level: float) -> Surface:
    """Surface ``u = level`` of nodal ``u`` (n,) in the positively oriented tetrahedra ``cells`` (m, 4).

    Vertices are shared: each lies on one edge of the mesh, or on a node whose value is the level.
    """
    above = u - level
    corner_values = above[cells]
    tetrahedron, local = _crossings(corner_values)
    nodes = cells[tetrahedron[:, None, None], local]
    inner, outer = nodes[..., 0], nodes[..., 1]
    outer = np.where(above[inner] == 0, inner, outer)
    n = len(u)
    key, vertex = np.unique(inner * n + outer, return_inverse=True)
    triangles = vertex.reshape(inner.shape)
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (a != c)]
    used, triangles = np.unique(triangles, return_inverse=True)
    i, j = np.divmod(key[used], n)
    gap = above[i] - above[j]
    t = np.divide(above[i], gap, out=np.zeros(len(i)), where=i != j)[:, None]
    return Surface(points[i] * (1 - t) + points[j] * t, triangles.reshape(-1, 3).astype(np.int64))


def turned_alike(cells: Index) -> Index:
    """Tetrahedra (m, 4) with their lowest node first and the lowest of the others next, oriented as before: where a
    level cuts four edges, which way the two triangles divide them then hangs on the nodes, and not on their order."""
    rows, others = np.arange(len(cells))[:, None], np.arange(3)
    even = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
    found: Index = cells[rows, even[cells.argmin(axis=1)]]
    found[:, 1:] = found[rows, 1 + (found[:, 1:].argmin(axis=1)[:, None] + others) % 3]
    return found


def voxel_corners(shape: tuple[int, int, int], cells: Index) -> Index:
    """(c, 8) nodes (corner 4 dx + 2 dy + dz) of the flat ``cells`` (c,) of a grid of ``shape`` nodes."""
    nx, ny, nz = shape
    i, j, k = np.unravel_index(cells, (nx - 1, ny - 1, nz - 1))
    first = (i * ny + j) * nz + k
    steps = np.array([(dx * ny + dy) * nz + dz for dx in (0, 1) for dy in (0, 1) for dz in (0, 1)], np.int64)
    corners: Index = first[:, None] + steps
    return corners


def _corners_inside(shape: tuple[int, int, int], u: Array, level: float) -> npt.NDArray[np.uint8]:
    """(cells,) number of corners of each voxel at or above the level, 0 to 8."""
    count = (u.reshape(shape) >= level).astype(np.uint8)
    count = count[1:] + count[:-1]
    count = count[:, 1:] + count[:, :-1]
    count = count[:, :, 1:] + count[:, :, :-1]
    return count.ravel()


def _shape(axes: tuple[Array, Array, Array]) -> tuple[int, int, int]:
    return len(axes[0]), len(axes[1]), len(axes[2])


def voxel_inside(axes: tuple[Array, Array, Array], u: Array, level: float) -> Array:
    """(cells,) share of each voxel where nodal ``u`` (n,) is at or above ``level``."""
    shape = _shape(axes)
    count = _corners_inside(shape, u, level)
    share: Array = (count == 8).astype(float)
    cells = np.flatnonzero((count > 0) & (count < 8))
    above = u[voxel_corners(shape, cells)] - level
    share[cells] = _fraction(above[:, KUHN].reshape(-1, 4)).reshape(-1, 6).mean(axis=1)
    return share


def voxel_surface(axes: tuple[Array, Array, Array], u: Array, level: float, solid: Mask | None = None) -> Surface:
    """Surface ``u = level`` of nodal ``u`` (n,), in the ``solid`` (cells,) voxels only if given."""
    shape = _shape(axes)
    count = _corners_inside(shape, u, level)
    crossed = (count > 0) & (count < 8)
    cells = np.flatnonzero(crossed if solid is None else crossed & solid)
    nodes, corners = np.unique(voxel_corners(shape, cells), return_inverse=True)
    i, j, k = np.unravel_index(nodes, shape)
    points = np.stack([axes[0][i], axes[1][j], axes[2][k]], axis=1)
    return tetrahedra_surface(points, corners.reshape(-1, 8)[:, KUHN].reshape(-1, 4), u[nodes], level)
