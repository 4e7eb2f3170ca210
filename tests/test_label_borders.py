"""Borders of labelled regions between the voxels of their image, where they are held at a value."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from thermal.anatomy.image import Image
from thermal.anatomy.label_border import LabelBorder, overlaid
from thermal.anatomy.volume import Volume
from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.nodes import region_nodes
from thermal.units import Array

MM = 1e-3
OBLIQUE = np.array([0.36, 0.48, 0.8])


def away(x: Array, shape: str) -> Array:
    """Distance of places (..., 3) from the middle, or from an axis through it."""
    beside = {"ball": x, "cylinder": x - (x @ OBLIQUE)[..., None] * OBLIQUE, "plane": x[..., :1]}
    return np.asarray(np.linalg.norm(beside[shape], axis=-1))


def anatomy(folder: Path, shape: str, radius: float, voxel: float, image: tuple[float, float, float]) -> VoxelEngine:
    """A shape of ``radius`` m around a point beside the origin, labelled on ``image`` voxels (mm)."""
    count = [round(32 / edge) for edge in image]
    affine = np.diag([*image, 1.0])
    affine[:3, 3] = [0.5 * edge * (1 - n) for edge, n in zip(image, count, strict=True)]
    index = np.stack(np.meshgrid(*[np.arange(n) for n in count], indexing="ij"), axis=-1)
    inside = away((index @ affine[:3, :3] + affine[:3, 3]) * MM - CENTRE, shape) < radius
    nib.save(nib.Nifti1Image(np.where(inside, 2, 1).astype(np.uint8), affine), folder / "labels.nii")
    found = Image(
        kind="image", segmentation="labels.nii", labels={"liver": 1, "vessel": 2}, voxel_size=f"{voxel} mm",
        window="24 mm", centre=["0 mm", "0 mm", "0 mm"],
    ).build(folder)  # fmt: skip
    assert isinstance(found.domain, VoxelDomain)
    return VoxelEngine(found.domain)


CENTRE = np.array([0.21, -0.34, 0.4]) * MM


def errors(engine: VoxelEngine, shape: str, radius: float, *, known: bool) -> tuple[float, float]:
    """Of the field beside a held region, root of the mean square, and of what flows out of it (a ball alone)."""
    r = away(engine.points - CENTRE, shape)
    far = 12 * MM
    r_out = r.clip(radius)
    exact = radius / r_out if shape == "ball" else np.log(far / r_out) / np.log(far / radius)
    held = region_nodes(engine, "vessel")
    border = np.abs(engine.points).max(axis=1) > 0.999 * far
    operator = engine.conductance(np.ones(engine.cell_volume.size), engine.held_edges("vessel") if known else None)
    values, nothing = np.where(border, exact, np.where(held, 1.0, 0.0)), np.zeros(len(r))
    u = engine.solve(operator, nothing, nothing, fixed=held | border, values=values)
    beside = ~(held | border) & (r > radius) & (r < 1.6 * radius)
    flow = float(operator(u)[held & ~border].sum()) / (4 * np.pi * radius) - 1
    return float(np.sqrt(np.mean((u - exact)[beside] ** 2))), flow


@pytest.mark.parametrize(
    ("image", "voxel", "left", "off"),
    [
        ((1.0, 1.0, 1.0), 1.0, 0.3, 0.01),
        ((0.5, 0.5, 0.5), 1.0, 0.3, 0.01),
        ((1.5, 1.5, 1.5), 1.5, 0.6, 0.01),
        ((0.7, 0.7, 1.6), 1.0, 0.4, 0.01),
        ((1.5, 1.5, 1.5), 2.0, 0.7, 0.05),  # two and a half of the grid's own voxels to the radius
    ],
)  # nodes at corners of the image's voxels, at their centres, and at neither
@pytest.mark.parametrize("shape", ["ball", "cylinder"])
def test_borders_between_voxels_are_nearer_than_their_stairs(
    tmp_path: Path, shape: str, image: tuple[float, float, float], voxel: float, left: float, off: float
) -> None:
    engine = anatomy(tmp_path, shape, 5 * MM, voxel, image)
    (stairs, _), (found, flow) = (errors(engine, shape, 5 * MM, known=known) for known in (False, True))
    assert found < left * stairs
    assert shape != "ball" or abs(flow) < off


def test_of_thin_regions_nothing_is_known(tmp_path: Path) -> None:
    assert anatomy(tmp_path, "ball", 1.5 * MM, 1.0, (1.0, 1.0, 1.0)).held_edges("vessel") is None
    assert anatomy(tmp_path, "ball", 2.5 * MM, 1.0, (1.0, 1.0, 2.5)).held_edges("vessel") is None
    assert anatomy(tmp_path, "ball", 2.5 * MM, 1.0, (1.0, 1.0, 1.0)).held_edges("vessel") is not None


def test_planes_along_the_image_stay_at_the_faces_of_its_voxels(tmp_path: Path) -> None:
    """On grids of its own voxels, of other ones, and of long voxels: factors are one where nodes lie on a face."""
    edges = anatomy(tmp_path, "plane", 3 * MM, 1.0, (1.0, 1.0, 1.0)).held_edges("vessel")
    assert edges is not None
    assert_allclose(edges.factors, 1.0, atol=5e-3)  # as if the plate of six voxels had no other side
    border = anatomy(tmp_path, "plane", 5 * MM, 0.8, (2.0, 1.0, 1.0)).domain.levels["vessel"]
    nought = np.zeros(1)  # centres at -3 to 5 mm: faces at -4 and 6 mm
    assert_allclose(border(np.array([-4.0, 6.0]) * MM, nought, nought), 0.0, atol=0.03 * MM)
    assert np.all(border(np.array([-4.5, 6.5]) * MM, nought, nought) > 0.4 * MM)
    assert np.all(border(np.array([-3.5, 5.5]) * MM, nought, nought) < -0.4 * MM)


def test_what_is_planted_takes_the_border_with_it() -> None:
    inside = np.zeros((9, 9, 9), dtype=np.uint8)
    inside[2:7, 2:7, 2:7] = 1
    border = LabelBorder(Volume(inside, np.eye(4), Path("none")), 1)
    x, y, z = (np.array([at]) for at in (5.5, 4.0, 4.0))
    planted = overlaid({"vessel": border, "lesion": border}, "lesion", lambda x, y, z: abs(x - 6.0) - 0.8)
    assert border(x, y, z) < -0.9
    assert planted["vessel"](x, y, z) == pytest.approx(0.3)
    assert_allclose(planted["lesion"](x, y, z), border(x, y, z))
    assert_allclose(overlaid({"vessel": border}, "lesion", border)["lesion"](x, y, z), border(x, y, z))
