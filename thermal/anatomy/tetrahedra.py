"""From voxels with shares of regions to conforming tetrahedra, a region a label, with the volume of each checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from thermal.anatomy.built import Anatomy
from thermal.anatomy.meshers import Index, Mesher, NoMeshError, Surface, by_gmsh, by_tetwild
from thermal.domain import VoxelDomain
from thermal.errors import CaseError
from thermal.units import Array

SMOOTH = 0.3
"""Voxels by which a border may be smoothed: more makes vessels of few voxels thinner."""
TOTAL, EACH = 0.02, 0.10
"""Largest relative change of the volume of the whole and of one region."""
THIN = 200
"""Voxels below which a region may change by more, which is told."""
ATTEMPTS: tuple[tuple[str, Mesher, float], ...] = (
    ("gmsh", by_gmsh, SMOOTH),
    ("gmsh", by_gmsh, 0.0),
    ("tetwild", by_tetwild, SMOOTH),
)
"""Mesher and smoothing, one after the other until a mesh is sound."""
ROUNDS = 50
"""Times that labels are looked over for contacts along edges."""
DEALS, BALANCE, NEAR = 20, 4, 0.02
"""Times that voxels on borders are dealt out, that a mesh is made, and the relative change of volume that is enough."""

Labels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Tetrahedra:
    """``points`` (n, 3) m, ``cells`` (m, 4) of positive volume, their ``labels`` (m,), and the ``regions`` of labels 1,
    2 ...; ``volumes``: region -> m3 in the voxels and in the mesh; ``tried``: what failed before it."""

    points: Array
    cells: Index
    labels: Index
    regions: tuple[str, ...]
    volumes: Mapping[str, tuple[float, float]]
    mesher: str
    tried: tuple[str, ...]

    def write(self, path: Path) -> Path:
        """Write a ``.msh`` (Gmsh 2.2, metres) with the regions as physical names."""
        import meshio

        numbers = self.labels.astype(np.int32)
        mesh = meshio.Mesh(
            self.points, [("tetra", self.cells)],
            cell_data={"gmsh:physical": [numbers], "gmsh:geometrical": [numbers]},
            field_data={name: np.array([number, 3]) for number, name in enumerate(self.regions, 1)},
        )  # fmt: skip
        meshio.write(path, mesh, file_format="gmsh22", binary=True)
        return path


def fill(anatomy: Anatomy, mesher: str | None = None) -> Tetrahedra:
    """Tetrahedra of an anatomy of voxels; ``mesher`` "gmsh" or "tetwild", by default one after the other.

    Raises ``CaseError`` for voxels that are not cubes all alike, and where no mesher gives a sound mesh.
    """
    domain = anatomy.domain
    if not isinstance(domain, VoxelDomain):
        raise CaseError("anatomy.kind: these are tetrahedra already; give an image or a phantom")
    steps = np.concatenate([np.diff(axis) for axis in domain.axes])
    if np.ptp(steps) > 1e-6 * steps.mean():
        raise CaseError("anatomy.refine: a mesh is made of voxels that are cubes of one size; leave it out")
    edge, regions = float(steps.mean()), tuple(domain.shares)
    low = np.array([axis[0] for axis in domain.axes])
    wanted = {name: float(share.sum()) * edge**3 for name, share in domain.shares.items()}
    tried: list[str] = []
    for name, fills, smooth in ATTEMPTS:
        if mesher not in (None, name):
            continue
        try:
            points, cells, numbers = _balanced(domain, wanted, anatomy.tumour, low, edge, smooth * edge, fills)
            volumes = {r: (wanted[r], v) for r, v in volumes_of(points, cells, numbers, regions).items()}
            check(volumes, anatomy.tumour, edge)
        except NoMeshError as error:
            tried.append(f"{name}, borders smoothed by {smooth:g} voxels: {error}")
            continue
        return Tetrahedra(points, cells, numbers, regions, volumes, name, tuple(tried))
    raise CaseError("no mesher gave a sound mesh: " + "; ".join(tried) + "; use smaller voxels")


def _balanced(
    domain: VoxelDomain, wanted: Mapping[str, float], tumour: str | None, low: Array, edge: float, smooth: float,
    fills: Mesher,
) -> tuple[Array, Index, Index]:  # fmt: skip
    """A mesh whose borders lie, within their voxels, where its volumes are nearest to those ``wanted``, m3.

    Smoothing shrinks what is round; the voxels on borders are dealt out again until that is made up for.
    """
    aims, best, least = np.array(list(wanted.values())), None, np.inf
    goals, judged = aims.copy(), np.array([is_judged(r, size, tumour, edge) for r, size in wanted.items()])
    for _ in range(BALANCE):
        parts, owners = parted(repaired(dominant(domain, goals / edge**3)))
        shape = np.array(parts.shape)

        def part_at(points: Array, parts: Index = parts, shape: Array = shape) -> Index:
            index = np.clip(np.floor((points - low) / edge).astype(int), 0, shape - 1)
            inside = np.all((points >= low) & (points <= low + edge * shape), axis=1)
            return np.where(inside, parts[tuple(index.T)], 0).astype(np.int64)

        try:
            points, cells, part = fills(borders(parts, low, edge, smooth), part_at)
            points, cells = oriented(points, cells)
        except NoMeshError:
            if best is None:
                raise
            break  # the best so far is judged by itself
        numbers = owners[part]
        found = np.array(list(volumes_of(points, cells, numbers, tuple(wanted)).values()))
        off = float(np.max(np.abs(found - aims)[judged] / aims[judged], initial=0.0))
        if off < least:
            best, least = (points, cells, numbers), off
        if off <= NEAR:
            break
        goals = goals * np.clip(aims / np.maximum(found, 1e-3 * aims), 0.7, 1.5)
    assert best is not None
    return best


def dominant(domain: VoxelDomain, goals: Array) -> Labels:
    """(a, b, c) number, from 1 on, of the region that has most of each voxel, 0 outside the body; shares are weighed so
    that regions come near to ``goals`` (r,) voxels, as far as voxels with several regions allow."""
    shares = np.stack(list(domain.shares.values()))
    weight = np.ones(len(goals))
    for _ in range(DEALS):
        most = np.argmax(shares * weight[:, None], axis=0) + 1
        counts = np.bincount(most[domain.solid], minlength=len(goals) + 1)[1:]
        weight *= np.clip(np.sqrt(goals / np.maximum(counts, 1.0)), 0.8, 1.25)
    return np.where(domain.solid, most, 0).astype(np.uint16).reshape(domain.cell_shape)


def repaired(labels: Labels) -> Labels:
    """Labels of which no two voxels touch along an edge alone, where a border would touch itself.

    Contacts are mended one after the other, each by the voxel and label that leave the fewest around it.
    """
    found, chance = labels.copy(), np.random.default_rng(0)
    for _ in range(ROUNDS):
        contacts = [four for axis in range(3) for four in _contacts(found, axis)]
        if not contacts:
            break
        for four in contacts:
            _mend(found, four, chance)
    return found


def _contacts(labels: Labels, axis: int) -> Index:
    """(k, 4, 3) the four voxels around each edge along ``axis`` at which only opposite ones agree."""
    touch = _touch(labels, axis)
    across = np.delete(np.eye(3, dtype=np.int64), axis, axis=0)
    corner = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) @ across
    return np.argwhere(touch)[:, None, :] + corner


def _touch(labels: Labels, axis: int) -> npt.NDArray[np.bool_]:
    """Whether the four voxels around edges along ``axis`` have two opposite ones that agree against both others."""
    first, second = (other for other in range(3) if other != axis)
    turned = np.moveaxis(labels, (first, second), (0, 1))
    a, b, c, d = turned[:-1, :-1], turned[1:, :-1], turned[:-1, 1:], turned[1:, 1:]
    touch = ((a == d) & (b != a) & (c != a)) | ((b == c) & (a != b) & (d != b))
    return np.moveaxis(touch, (0, 1), (first, second))


def _mend(labels: Labels, four: Index, chance: np.random.Generator) -> None:
    """Give one of four voxels (4, 3) the label of another, so that the fewest contacts are left around it."""
    held = labels[tuple(four.T)]
    if not (held[0] == held[3] and held[0] not in held[1:3]) and not (held[1] == held[2] and held[1] not in held[::3]):
        return  # mended with another
    choices = [(tuple(voxel), label) for voxel, own in zip(four, held, strict=True) for label in np.unique(held)
               if label != own]  # fmt: skip
    left = []
    for voxel, label in choices:
        around = tuple(slice(max(at - 1, 0), at + 2) for at in voxel)
        own, labels[voxel] = labels[voxel], label
        left.append(sum(int(_touch(labels[around], axis).sum()) for axis in range(3)))
        labels[voxel] = own
        left[-1] -= sum(int(_touch(labels[around], axis).sum()) for axis in range(3))
    voxel, label = choices[int(np.argmin(np.array(left) + 0.5 * chance.random(len(left))))]
    labels[voxel] = label


def parted(labels: Labels) -> tuple[Index, Index]:
    """Numbers (a, b, c) of the connected parts of regions, from 1 on, and the label of each part (p + 1,), 0 first.

    A mesher knows a volume by the surfaces around it, and two islands of fat in one liver lie between the same labels.
    """
    parts, owners = np.zeros(labels.shape, dtype=np.int64), [0]
    for label in range(1, int(labels.max()) + 1):
        own, count = ndimage.label(labels == label)
        parts[own > 0] = own[own > 0] + len(owners) - 1
        owners += [label] * count
    return parts, np.array(owners, dtype=np.int64)


def borders(labels: Labels | Index, low: Array, edge: float, smooth: float) -> Surface:
    """The surfaces between labels, moved by at most ``smooth`` m: S. F. Frisken, JCGT 11 (2022) 34.

    The faces of the whole box stay flat, and so its edges sharp.
    """
    import pyvista

    padded = np.pad(labels, 1)
    image = pyvista.ImageData(dimensions=padded.shape, spacing=(edge,) * 3, origin=tuple(low - 0.5 * edge))
    image.point_data["label"] = padded.ravel(order="F").astype(np.int32)
    found = image.contour_labels(
        "all", scalars="label", output_mesh_type="triangles", smoothing=smooth > 0.0,
        smoothing_distance=smooth if smooth > 0.0 else None,
    )  # fmt: skip
    triangles = found.faces.reshape(-1, 4)[:, 1:].astype(np.int64)
    sides = np.sort(np.asarray(found.cell_data["boundary_labels"]).astype(np.int64), axis=1)
    moved = np.asarray(found.points, dtype=float)
    corner = np.round((moved - low) / edge)
    moved = np.where((corner == 0) | (corner == np.array(labels.shape)), low + corner * edge, moved)
    points, merged = np.unique(np.round(moved / (1e-4 * edge)), axis=0, return_inverse=True)
    return Surface(points * 1e-4 * edge, merged.ravel()[triangles], sides, edge)


def oriented(points: Array, cells: Index) -> tuple[Array, Index]:
    """Cells of positive volume, without points that none of them uses. Raises :class:`NoMeshError` for flat cells."""
    size = _signed(points, cells)
    if (np.abs(size) < 1e-9 * np.abs(size).mean()).any():
        raise NoMeshError(f"{int((np.abs(size) < 1e-9 * np.abs(size).mean()).sum())} tetrahedra are flat")
    cells = np.where((size < 0.0)[:, None], cells[:, [1, 0, 2, 3]], cells)
    used, numbered = np.unique(cells, return_inverse=True)
    return points[used], numbered.reshape(cells.shape)


def _signed(points: Array, cells: Index) -> Array:
    a, b, c, d = (points[cells[:, corner]] for corner in range(4))
    return np.asarray(np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6.0)


def volumes_of(points: Array, cells: Index, labels: Index, regions: Sequence[str]) -> dict[str, float]:
    """Region -> m3 of its cells."""
    total = np.bincount(labels, weights=_signed(points, cells), minlength=len(regions) + 1)
    return {name: float(total[number]) for number, name in enumerate(regions, 1)}


def is_judged(region: str, size: float, tumour: str | None, edge: float) -> bool:
    """Whether a region of ``size`` m3 must keep its volume: the tumour, and what is not ``THIN``."""
    return region == tumour or size >= THIN * edge**3


def check(volumes: Mapping[str, tuple[float, float]], tumour: str | None, edge: float) -> None:
    """Raises :class:`NoMeshError` where a region was lost or the volume of one or of all is another than before."""
    before, after = (sum(pair[i] for pair in volumes.values()) for i in (0, 1))
    wrong = []
    if abs(after - before) > TOTAL * before:
        wrong.append(f"all regions have {1e6 * after:.4g} ml instead of {1e6 * before:.4g} ml")
    for name, (then, now) in volumes.items():
        if is_judged(name, then, tumour, edge) and abs(now - then) > EACH * then:
            wrong.append(f"{name} has {1e6 * now:.4g} ml instead of {1e6 * then:.4g} ml")
    if wrong:
        raise NoMeshError("; ".join(wrong))
