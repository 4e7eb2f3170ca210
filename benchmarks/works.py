"""The works: what every engine solves, written once. NumPy alone, so that it can be imported in every environment.

SI units; ``theta`` is the temperature above the blood's. All bodies are cubes of half-width 40 mm around the origin.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

HALF_WIDTH = 0.04  # m
DURATION = 300.0  # s
OBSERVED = (60.0, 300.0)  # s, when errors are taken

CONDUCTIVITY = 0.5  # W/m/K
CAPACITY = 1060.0 * 3600.0  # J/m3/K
BLOOD = 6.4e-3 * 1000.0 * 4180.0  # W/m3/K
PEAK = 5e6  # W/m3
SIGMA = 0.005  # m


def source(points: Array) -> Array:
    """Power density of the Gaussian source at ``points`` (n, 3), W/m3."""
    return np.asarray(PEAK * np.exp(-0.5 * np.sum(np.square(points), axis=1) / SIGMA**2))


def exact_at_centre(time: float) -> float:
    """Temperature rise at the centre of the source in endless perfused tissue, K.

    Integral over the age ``u`` of the heat of ``Q0/c exp(-b u) (s^2 / (s^2 + 2 a u))^(3/2)``, by Gauss-Legendre
    quadrature of the substituted ``v = sqrt(1 + 2 a u / s^2)``: a Gaussian that spreads and is carried away.
    """
    diffusivity, decay = CONDUCTIVITY / CAPACITY, BLOOD / CAPACITY
    end = np.sqrt(1.0 + 2.0 * diffusivity * time / SIGMA**2)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    v = 1.0 + 0.5 * (end - 1.0) * (nodes + 1.0)
    age = (v**2 - 1.0) * SIGMA**2 / (2.0 * diffusivity)
    integrand = np.exp(-decay * age) / v**2 * SIGMA**2 / diffusivity
    return float(PEAK / CAPACITY * 0.5 * (end - 1.0) * weights @ integrand)


# ------------------------------------------------------------------------------------------- tetrahedra

TUMOUR_RADIUS = 0.012  # m, around the origin
VESSEL = (0.012, 0.003)  # m: axis at y = 0, z = 12 mm along x, and radius
FAT_FROM = 0.022  # m, in z
SKEW = 0.16
"""Largest shift of a node along each axis, in cells; below 1/6 no tetrahedron can turn inside out."""
PROBES = ((0, 0, 0), (6, 0, 0), (0, 0, 9), (0, 0, 12), (-8, 8, 4), (0, 0, 24), (15, -3, 10), (0, -20, 0))
"""Where errors are taken: the nodes nearest to these points, mm."""


@dataclass(frozen=True)
class Tetrahedra:
    """An unstructured mesh with numbers in every cell; ``points`` (n, 3) m, ``cells`` (m, 4).

    ``conductivity`` W/m/K, ``capacity`` J/m3/K, ``blood`` W/m3/K: (m,). ``held`` (n,): nodes at theta = 0.
    ``probes``: numbers of the nodes at which errors are taken.
    """

    points: Array
    cells: Index
    conductivity: Array
    capacity: Array
    blood: Array
    held: npt.NDArray[np.bool_]
    probes: Index


MESHES = Path(os.environ.get("THERMAL_BENCH", Path(__file__).resolve().parent.parent / ".bench")) / "meshes"
"""Where the meshes are kept, as one file a size."""


def tetrahedra(cells: int) -> Tetrahedra:
    """The mesh of :func:`made_tetrahedra` from its file, which is written where it is missing.

    By another process, so that what making it takes is not counted as memory of the program that reads it.
    """
    file = MESHES / f"tetrahedra-{cells}.npz"
    if not file.is_file():
        subprocess.run([sys.executable, __file__, str(cells)], check=True)
    with np.load(file) as arrays:
        return Tetrahedra(**arrays)


def made_tetrahedra(cells: int) -> Tetrahedra:
    """A cube of ``cells``^3 boxes of six tetrahedra each, with shifted nodes and in no order at all.

    Tumour, vessel and fat in liver, each with 20 % of noise from cell to cell: nothing that a solver could take for
    constant. Nodes and cells are numbered at random, as little in order as a mesh generator may leave them; to
    renumber them is a program's own business and part of its set-up.
    """
    rng = np.random.default_rng(7)
    count = cells + 1
    h = 2.0 * HALF_WIDTH / cells
    axis = np.arange(count)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    border = (grid == 0) | (grid == cells)
    points = h * (grid + np.where(border, 0.0, rng.uniform(-SKEW, SKEW, grid.shape))) - HALF_WIDTH
    number = np.arange(count**3).reshape(count, count, count)
    shifts = np.stack(np.meshgrid((0, 1), (0, 1), (0, 1), indexing="ij"), axis=-1).reshape(-1, 3)
    corner = [number[i : i + cells, j : j + cells, k : k + cells].ravel() for i, j, k in shifts]
    ways = ((4, 6), (5, 4), (6, 2), (2, 3), (1, 5), (3, 1))  # from corner 0 to corner 7 along three edges (Kuhn)
    split = np.concatenate([np.stack([corner[0], corner[a], corner[b], corner[7]], axis=1) for a, b in ways])

    centre = points[split].mean(axis=1)
    tumour = np.linalg.norm(centre, axis=1) < TUMOUR_RADIUS
    vessel = np.hypot(centre[:, 1], centre[:, 2] - VESSEL[0]) < VESSEL[1]
    fat = centre[:, 2] > FAT_FROM

    def of_regions(liver: float, in_tumour: float, in_vessel: float, in_fat: float) -> Array:
        value = np.select([vessel, tumour, fat], [in_vessel, in_tumour, in_fat], liver)
        return np.asarray(value * rng.uniform(0.8, 1.2, len(split)))

    conductivity = of_regions(0.52, 0.58, 0.50, 0.21)
    capacity = of_regions(3.8e6, 3.9e6, 3.8e6, 2.1e6)
    blood = of_regions(6.5e4, 1.0e4, 2.0e6, 2.0e3)

    order = rng.permutation(count**3)
    renumbered = np.empty(count**3, dtype=np.int64)
    renumbered[order] = np.arange(count**3)
    shuffled = rng.permutation(len(split))
    points = points[order]
    wanted = 1e-3 * np.array(PROBES)
    probes = np.array([int(np.argmin(np.sum((points - point) ** 2, axis=1))) for point in wanted])
    return Tetrahedra(
        points,
        renumbered[split][shuffled],
        conductivity[shuffled],
        capacity[shuffled],
        blood[shuffled],
        border.any(axis=1)[order],
        probes,
    )


def in_order(points: Array) -> tuple[Index, Index]:
    """Points along a space-filling curve (Morton's): their numbers in that order (n,), and the new number of each (n,).

    For programs whose users would renumber an unstructured mesh themselves; the time that it takes is theirs.
    """
    lower = points.min(axis=0)
    place = ((points - lower) * (1023.0 / (points.max(axis=0) - lower).max())).astype(np.int64)
    key = np.zeros(len(points), dtype=np.int64)
    for bit in range(10):
        for axis in range(3):
            key |= ((place[:, axis] >> bit) & 1) << (3 * bit + axis)
    order = np.argsort(key, kind="stable")
    number = np.empty(len(points), dtype=np.int64)
    number[order] = np.arange(len(points))
    return order, number


# --------------------------------------------------------------------------------------------- elliptic

MEDIA = ("smooth", "poor inclusions", "good inclusions", "needle", "noise")
"""Coefficients of the elliptic work; the last three are the hard set."""


def medium(name: str, cells: int) -> Array:
    """Coefficient of every cell of the unit cube, (cells^3,) in C order.

    ``smooth``: a factor of 10 along waves. ``poor`` and ``good inclusions``: 40 balls of radius 0.08 that conduct a
    thousandth, and a thousand times, of the rest. ``needle``: two cells thick, its lower half at 1e-6 (an insulating
    shaft), its upper half at 1e6 (metal). ``noise``: 10^(-1.5 .. 1.5) from cell to cell.
    """
    middle = (np.arange(cells) + 0.5) / cells
    x, y, z = middle[:, None, None], middle[None, :, None], middle[None, None, :]
    if name == "smooth":
        return np.asarray(10.0 ** (0.5 * np.sin(7 * x) * np.cos(5 * y) * np.sin(6 * z + 1.0))).ravel()
    rng = np.random.default_rng(5)
    if name == "noise":
        return np.asarray(10.0 ** rng.uniform(-1.5, 1.5, cells**3))
    k = np.ones((cells, cells, cells))
    if name == "needle":
        half = cells // 2
        thick = slice(half - 1, half + 1)
        k[thick, thick, half : 3 * cells // 4] = 1e6
        k[thick, thick, :half] = 1e-6
        return k.ravel()
    ratio = {"poor inclusions": 1e-3, "good inclusions": 1e3}[name]
    for a, b, c in rng.random((40, 3)):
        k[(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < 0.08**2] = ratio
    return k.ravel()


def charge(cells: int) -> Array:
    """Right-hand side at the nodes, ((cells + 1)^3,): normal noise, which has parts of every wavelength."""
    load = np.random.default_rng(6).normal(size=(cells + 1, cells + 1, cells + 1)) / cells**3
    load[0] = 0.0
    return load.ravel()


def grounded(cells: int) -> npt.NDArray[np.bool_]:
    """((cells + 1)^3,) nodes held at zero: the face x = 0. Nothing passes through the other five."""
    mask = np.zeros((cells + 1, cells + 1, cells + 1), dtype=bool)
    mask[0] = True
    return mask.ravel()


def edges(k: Array, cells: int) -> tuple[Array, Array, Array]:
    """Conductances of the edges along each axis: Q1 with vertex quadrature, the sum over four cells of ``k h / 4``."""
    of_cells = k.reshape(cells, cells, cells) / (4.0 * cells)
    result = []
    for along in range(3):
        g = of_cells
        for axis in range(3):
            if axis != along:
                pad = [(1, 1) if a == axis else (0, 0) for a in range(3)]
                padded = np.pad(g, pad)
                low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
                high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
                g = padded[low] + padded[high]
        result.append(np.ascontiguousarray(g))
    return result[0], result[1], result[2]


if __name__ == "__main__":
    MESHES.mkdir(parents=True, exist_ok=True)
    for count in map(int, sys.argv[1:]):
        unfinished = MESHES / f"unfinished-{os.getpid()}.npz"
        np.savez(unfinished, **asdict(made_tetrahedra(count)))
        unfinished.replace(MESHES / f"tetrahedra-{count}.npz")
