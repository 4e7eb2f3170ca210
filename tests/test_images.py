"""Labelled images: orientation, resampling, the split by CT numbers, lesions, windows; and the real body CT."""

from __future__ import annotations

import gzip
import math
import tomllib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import TypeAdapter, ValidationError
from scripts import script

from thermal.anatomy import Anatomy, AnatomyEntry
from thermal.anatomy.data import data_folders, sha256
from thermal.anatomy.grid import cell_volumes
from thermal.anatomy.labels import TABLES, shipped_table
from thermal.anatomy.phantom import region_volumes
from thermal.domain import VoxelDomain
from thermal.errors import CaseError
from thermal.units import Array

ROOT = Path(__file__).parent.parent
ENTRY: TypeAdapter[Any] = TypeAdapter(AnatomyEntry)
Values = npt.NDArray[Any]


def mm(*values: float) -> list[str]:
    return [f"{value} mm" for value in values]


def build(base: Path, **table: Any) -> Anatomy:
    anatomy: Anatomy = ENTRY.validate_python(table).build(base)
    return anatomy


def voxels(anatomy: Anatomy) -> VoxelDomain:
    assert isinstance(anatomy.domain, VoxelDomain)
    return anatomy.domain


def volumes(anatomy: Anatomy) -> dict[str, float]:
    """Volumes in ml."""
    return {name: volume * 1e6 for name, volume in region_volumes(voxels(anatomy)).items()}


def centroid(anatomy: Anatomy, region: str) -> Array:
    """Centre of mass of a region, mm."""
    domain = voxels(anatomy)
    weight = domain.shares[region] * cell_volumes(domain.axes)
    places = np.meshgrid(*domain.centres(), indexing="ij")
    return np.array([float(weight @ place.ravel()) for place in places]) / weight.sum() * 1e3


def save(path: Path, values: Values, affine: Array) -> None:
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


# A scene in patient millimetres (RAS): liver, with an off-centre box of spleen that no symmetry hides.
MIDDLE = np.array([40.0, -25.0, 120.0])
SPLEEN = MIDDLE + np.array([9.0, -6.0, 4.5])
HALF = np.array([6.0, 4.5, 9.0])


def scene(affine: Array, shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    index = np.indices(shape).reshape(3, -1)
    world = (affine[:3, :3] @ index + affine[:3, 3:]).T
    labels = np.full(len(world), 5, dtype=np.uint8)
    labels[(abs(world - SPLEEN) < HALF).all(axis=1)] = 1
    return labels.reshape(shape)


def centred(matrix: Values, shape: tuple[int, int, int]) -> Array:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = MIDDLE - matrix @ (np.array(shape) - 1) / 2
    return affine


def turned(degrees: float) -> Array:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


ORIENTATIONS = {
    "RAS": np.diag([1.5, 1.5, 1.5]),
    "LPS": np.diag([-1.5, -1.5, 1.5]),
    "LAS, thick slices": np.diag([-1.0, 1.0, 3.0]),
    "SLP": np.array([[0, -1.5, 0], [0, 0, -1.5], [1.5, 0, 0]]),
    "oblique": turned(20) @ np.diag([1.5, 1.0, 2.0]),
}
LABELS = {"liver": 5, "spleen": 1}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_every_orientation_puts_the_region_at_the_same_place(tmp_path: Path, name: str) -> None:
    matrix = ORIENTATIONS[name]
    reach = np.ceil(95 / np.linalg.norm(matrix, axis=0)).astype(int)
    shape = (int(reach[0]), int(reach[1]), int(reach[2]))
    affine = centred(matrix, shape)
    labels = scene(affine, shape)
    save(tmp_path / "labels.nii.gz", labels, affine)
    built = build(tmp_path, kind="image", segmentation="labels.nii.gz", labels=LABELS, voxel_size="2 mm",
                  window="40 mm", centre=mm(*MIDDLE))  # fmt: skip
    domain = voxels(built)
    assert domain.cell_shape == (20, 20, 20)
    assert domain.solid.all()
    np.testing.assert_allclose(sum(domain.shares.values()), 1.0, rtol=1e-12)
    np.testing.assert_allclose([axis[0] for axis in domain.axes], (MIDDLE - 20) * 1e-3, rtol=1e-12)
    # The voxelised box itself is off by up to half a voxel a side; the middle by less.
    np.testing.assert_allclose(centroid(built, "spleen"), SPLEEN, atol=0.4)
    truth = np.count_nonzero(labels == 1) * abs(np.linalg.det(matrix)) / 1e3
    assert volumes(built)["spleen"] == pytest.approx(truth, rel=0.02)
    assert built.materials == {"liver": "liver", "spleen": "spleen"}
    assert built.sources == ((str(tmp_path / "labels.nii.gz"), sha256(tmp_path / "labels.nii.gz")),)


@pytest.mark.parametrize("voxel", [0.8, 3.0])
def test_resampling_keeps_volumes_on_finer_and_coarser_grids(tmp_path: Path, voxel: float) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))
    labels = scene(affine, (40, 40, 40))
    save(tmp_path / "l.nii", labels, affine)
    built = build(tmp_path, kind="image", segmentation="l.nii", labels=LABELS, voxel_size=f"{voxel} mm",
                  window="48 mm", centre=mm(*MIDDLE))  # fmt: skip
    truth = np.count_nonzero(labels == 1) * 1.5**3 / 1e3
    assert volumes(built)["spleen"] == pytest.approx(truth, rel=0.02)
    share = voxels(built).shares["spleen"]
    assert ((share > 0.01) & (share < 0.99)).any()
    assert any(
        "volumes in the window before -> after" in note and f"spleen {truth:.4g} ->" in note for note in built.notes
    )


def test_units_of_the_header_are_obeyed(tmp_path: Path) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))
    image = nibabel.Nifti1Image(scene(affine, (40, 40, 40)), np.diag([1e-3, 1e-3, 1e-3, 1]) @ affine)
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "l.nii")
    built = build(tmp_path, kind="image", segmentation="l.nii", labels=LABELS, voxel_size="2 mm", window="40 mm",
                  centre=mm(*MIDDLE))  # fmt: skip
    np.testing.assert_allclose(centroid(built, "spleen"), SPLEEN, atol=0.4)


# A body of 60 mm in air on a couch, with an organ, bone, and gas: for the split by CT numbers --------------------


def body() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16], Array]:
    shape, voxel = (40, 40, 30), 2.0
    affine = np.diag([voxel, voxel, voxel, 1.0])
    x, y, _ = np.indices(shape)
    hounsfield = np.full(shape, -1000, dtype=np.int16)
    inside = (x - 20) ** 2 + (y - 20) ** 2 < 15**2
    hounsfield[inside] = -100
    hounsfield[(x - 20) ** 2 + (y - 20) ** 2 < 12**2] = 50
    hounsfield[18:23, 9:12] = 700
    hounsfield[10:14, 18:23, :6] = -900  # gas that reaches the cut at the feet: still inside
    hounsfield[5:35, 1:2] = -150  # couch
    labels = np.zeros(shape, dtype=np.uint8)
    labels[22:29, 17:24, 10:20] = 5
    hounsfield[24:26, 19:21, 12:14] = -900  # gas inside a labelled organ belongs to the organ
    return labels, hounsfield, affine


TABLE = {"kind": "image", "segmentation": "l.nii", "labels": {"liver": 5}, "voxel_size": "2 mm", "window": "200 mm",
         "centre": mm(39, 39, 29)}  # fmt: skip


def test_unlabelled_voxels_are_split_by_ct_number(tmp_path: Path) -> None:
    labels, hounsfield, affine = body()
    save(tmp_path / "l.nii", labels, affine)
    save(tmp_path / "ct.nii", hounsfield, affine)
    built = build(tmp_path, **TABLE, ct="ct.nii")
    truth = {
        "liver": labels == 5,
        "bone": hounsfield == 700,
        "fat": (hounsfield == -100) & (labels == 0),
        "muscle": (hounsfield == 50) & (labels == 0),
        "gas": (np.indices(labels.shape)[2] < 6) & (hounsfield == -900),
    }
    got = volumes(built)
    assert set(got) == set(truth)
    for name, where in truth.items():
        assert got[name] == pytest.approx(np.count_nonzero(where) * 8e-3, rel=1e-9), name  # same grid: exact
    domain = voxels(built)
    assert np.count_nonzero(domain.solid) == sum(np.count_nonzero(where) for where in truth.values())  # no couch
    assert built.materials == {"liver": "liver", "bone": "bone", "fat": "fat", "muscle": "muscle", "gas": "lung"}
    assert built.background is not None
    np.testing.assert_array_equal(built.background[0], hounsfield)
    np.testing.assert_allclose(built.background[1][:3, :3], np.eye(3) * 2e-3)


def test_ct_on_another_grid_and_other_thresholds(tmp_path: Path) -> None:
    labels, hounsfield, affine = body()
    save(tmp_path / "l.nii", labels, affine)
    finer = np.kron(hounsfield, np.ones((2, 2, 2), dtype=np.int16))[::-1]
    flipped = np.array([[-1.0, 0, 0, 78.5], [0, 1, 0, -0.5], [0, 0, 1, -0.5], [0, 0, 0, 1]])
    save(tmp_path / "ct.nii", finer, flipped)
    built = build(tmp_path, **TABLE, ct="ct.nii")
    save(tmp_path / "same.nii", hounsfield, affine)
    same = build(tmp_path, **TABLE, ct="same.nii")
    for name, share in voxels(same).shares.items():
        np.testing.assert_allclose(voxels(built).shares[name], share, atol=1e-6)
    moved = build(tmp_path, **TABLE, ct="ct.nii", hounsfield={"fat_below": -120})
    assert "fat" not in volumes(moved)
    assert volumes(moved)["muscle"] == pytest.approx(volumes(same)["muscle"] + volumes(same)["fat"], rel=1e-6)


def test_without_a_ct_nothing_is_dropped(tmp_path: Path) -> None:
    labels, hounsfield, affine = body()
    save(tmp_path / "l.nii", labels, affine)
    built = build(tmp_path, **TABLE, unlabelled="fat")
    assert voxels(built).solid.all()
    assert set(volumes(built)) == {"liver", "fat"}
    assert sum(volumes(built).values()) == pytest.approx(labels.size * 8e-3)
    assert any("air and fat are not told apart" in note for note in built.notes)
    half = hounsfield[:20]
    save(tmp_path / "half.nii", half, affine)
    part = build(tmp_path, **TABLE, ct="half.nii", unlabelled="water")
    assert volumes(part)["water"] == pytest.approx(np.count_nonzero(labels[20:] == 0) * 8e-3, rel=0.05)


def test_what_a_ct_does_not_know_is_said(tmp_path: Path) -> None:
    labels, hounsfield, affine = body()
    save(tmp_path / "l.nii", labels, affine)

    def doubts(values: npt.NDArray[Any], where: Array = affine) -> str:
        save(tmp_path / "ct.nii", values, where)
        return " ".join(built for built in build(tmp_path, **TABLE, ct="ct.nii").warnings if "anatomy.ct" in built)

    assert doubts(hounsfield) == ""
    assert "49% of the voxels without a label near the window have no CT number" in doubts(hounsfield[:20])
    holes = hounsfield.astype(np.float32)
    holes[:4] = np.nan
    holes[-4:] = np.inf
    assert "20% of the voxels" in doubts(holes)
    assert "check whether an offset (often 1024) is missing" in doubts(hounsfield + 1024)
    far = affine.copy()
    far[:3, 3] += 500.0
    for values, where in ((hounsfield, far), (np.full_like(holes, np.nan), affine)):
        with pytest.raises(CaseError, match=r"it has no number for any voxel without a label near the window"):
            doubts(values, where)


@pytest.mark.parametrize("value", [0.3, -1.0, np.nan, np.inf])
def test_masks_of_more_than_inside_and_outside(tmp_path: Path, value: float) -> None:
    labels, _, affine = body()
    save(tmp_path / "l.nii", labels, affine)
    mask = (labels == 5).astype(np.float32)
    mask[3, 4, 5] = value
    save(tmp_path / "mask.nii", mask, affine)
    table = TABLE | {"tumour": {"mask": "mask.nii"}, "centre": None, "window": "30 mm"}
    if np.isfinite(value):
        assert "1 of 48000 voxels hold numbers below 0 or between 0 and 1" in " ".join(
            build(tmp_path, **table).warnings
        )
        return
    with pytest.raises(CaseError, match=r"1 of 48000 voxels are NaN or infinite, the first is voxel \(3, 4, 5\)"):
        build(tmp_path, **table)


# Lesions and windows --------------------------------------------------------------------------------------------


def test_planted_lesion_overrides_and_has_its_volume(tmp_path: Path) -> None:
    labels, hounsfield, affine = body()
    save(tmp_path / "l.nii", labels, affine)
    save(tmp_path / "ct.nii", hounsfield, affine)
    lesion = {"centre": mm(44, 39, 29), "radius": "7 mm"}
    built = build(tmp_path, **(TABLE | {"voxel_size": "1 mm", "window": "30 mm"}), ct="ct.nii", tumour=lesion)
    assert built.tumour == "tumour"
    assert volumes(built)["tumour"] == pytest.approx(4 / 3 * math.pi * 0.343, rel=1e-3)
    np.testing.assert_allclose(centroid(built, "tumour"), [44, 39, 29], atol=0.01)
    np.testing.assert_allclose(sum(voxels(built).shares.values()), 1.0, rtol=1e-12)
    assert any(note.startswith("tumour of 1.437 ml overrides: liver") for note in built.notes)


def test_lesion_from_a_mask_with_its_own_grid_centres_the_window(tmp_path: Path) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (60, 60, 60))
    save(tmp_path / "l.nii", np.full((60, 60, 60), 5, dtype=np.uint8), affine)
    matrix = np.diag([-1.0, -1.0, 1.0])
    own = np.eye(4)
    own[:3, :3], own[:3, 3] = matrix, SPLEEN - matrix @ [14.5, 14.5, 14.5]
    place = np.indices((30, 30, 30)) - 14.5
    ball = (place**2).sum(axis=0) < 100
    save(tmp_path / "mask.nii", ball.astype(np.float32), own)
    built = build(tmp_path, kind="image", segmentation="l.nii", labels=LABELS, voxel_size="1.5 mm", window="30 mm",
                  tumour={"mask": "mask.nii", "region": "lesion"})  # fmt: skip
    assert built.tumour == "lesion"
    np.testing.assert_allclose(centroid(built, "lesion"), SPLEEN, atol=0.05)
    assert volumes(built)["lesion"] == pytest.approx(np.count_nonzero(ball) / 1e3, rel=0.01)
    np.testing.assert_allclose([axis.mean() * 1e3 for axis in voxels(built).axes], SPLEEN, atol=1e-3)


def test_lesion_that_is_a_label(tmp_path: Path) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))
    save(tmp_path / "l.nii", scene(affine, (40, 40, 40)), affine)
    built = build(tmp_path, kind="image", segmentation="l.nii", labels={"liver": 5, "tumour": [1]}, voxel_size="1.5 mm",
                  window="30 mm", tumour={"region": "tumour"})  # fmt: skip
    assert built.tumour == "tumour"
    np.testing.assert_allclose(centroid(built, "tumour"), SPLEEN, atol=0.8)


def test_lesion_that_is_cut_is_said(tmp_path: Path) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))
    values = scene(affine, (40, 40, 40))
    save(tmp_path / "l.nii", values, affine)
    case = {"kind": "image", "segmentation": "l.nii", "labels": {"liver": 5, "tumour": [1]}, "voxel_size": "1.5 mm",
            "tumour": {"region": "tumour"}}  # fmt: skip
    assert not any("of its" in warning for warning in build(tmp_path, **case, window="40 mm").warnings)
    cut = build(tmp_path, **case, window="9 mm")
    whole = np.count_nonzero(values == 1) * 1.5**3 / 1e3
    assert any(f"of its {whole:.4g} ml are in the window" in warning for warning in cut.warnings)
    assert volumes(cut)["tumour"] < 0.8 * whole

    ends = np.where(np.indices(values.shape)[2] > 35, 1, values)
    save(tmp_path / "l.nii", ends.astype(np.uint8), affine)
    assert any("reaches the end of its image" in warning for warning in build(tmp_path, **case).warnings)


def test_two_orientations_in_one_header_are_said(tmp_path: Path) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))
    image = nibabel.Nifti1Image(scene(affine, (40, 40, 40)), affine)
    other = affine.copy()
    other[:3, 3] += [3.0, -4.0, 0.0]
    for qform, expected in ((affine, 0), (other, 1)):
        image.set_sform(affine, code=1)
        image.set_qform(qform, code=1)
        nibabel.save(image, tmp_path / "l.nii")
        built = build(tmp_path, kind="image", segmentation="l.nii", labels=LABELS, voxel_size="2 mm", window="20 mm",
                      centre=mm(*MIDDLE))  # fmt: skip
        assert (
            sum("two orientations, sform and qform, which lie up to 3.33 voxels" in text for text in built.warnings)
            == expected
        )


def test_window_is_cut_at_the_image_and_says_so(tmp_path: Path) -> None:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))  # 60 mm around MIDDLE
    save(tmp_path / "l.nii", scene(affine, (40, 40, 40)), affine)
    built = build(tmp_path, kind="image", segmentation="l.nii", labels=LABELS, voxel_size="1.5 mm", window="45 mm",
                  centre=mm(*np.add(MIDDLE, (15, 0, 0))))  # fmt: skip
    x, y, _ = voxels(built).axes
    np.testing.assert_allclose([x[0] * 1e3, x[-1] * 1e3], [MIDDLE[0] - 7.5, MIDDLE[0] + 30], rtol=1e-9)
    assert y[-1] - y[0] == pytest.approx(0.045)
    assert voxels(built).solid.all()
    assert any("window cut at x+" in note and "7.5 mm before" in note for note in built.notes)


def test_corners_of_an_oblique_image_are_outside(tmp_path: Path) -> None:
    shape = (40, 40, 40)
    affine = centred(turned(30), shape)
    save(tmp_path / "l.nii", np.full(shape, 5, dtype=np.uint8), affine)
    built = build(tmp_path, kind="image", segmentation="l.nii", labels=LABELS, voxel_size="2 mm", window="200 mm",
                  centre=mm(*MIDDLE))  # fmt: skip
    domain = voxels(built)
    assert cell_volumes(domain.axes)[domain.solid].sum() == pytest.approx(40e-3**3, rel=0.03)


# Errors ---------------------------------------------------------------------------------------------------------


GOOD = {"kind": "image", "segmentation": "l.nii", "labels": LABELS, "voxel_size": "2 mm", "window": "30 mm",
        "centre": mm(*MIDDLE)}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    affine = centred(np.diag([1.5, 1.5, 1.5]), (40, 40, 40))
    labels = scene(affine, (40, 40, 40))
    save(tmp_path / "l.nii", labels, affine)
    save(tmp_path / "fractions.nii", labels + np.float32(0.5), affine)
    holes = labels.astype(np.float32)
    holes[3, 4, 5] = np.nan
    save(tmp_path / "holes.nii", holes, affine)
    save(tmp_path / "colours.nii", np.zeros(labels.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]), affine)
    save(tmp_path / "complex.nii", labels.astype(np.complex64), affine)
    save(tmp_path / "vast.nii", labels, np.diag([1000.0, 1000.0, 1000.0, 1.0]) @ affine)
    save(tmp_path / "negative.nii", labels.astype(np.int16) - 1000, affine)
    save(tmp_path / "four.nii", np.stack([labels, labels], axis=-1), affine)
    save(tmp_path / "empty.nii", np.zeros_like(labels), affine)
    (tmp_path / "text.nii").write_text("no image")
    (tmp_path / "cut.nii.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    far = bytearray((tmp_path / "l.nii").read_bytes())
    far[108:112] = np.float32(4e9).tobytes()  # where the voxels begin, behind what would unfold to 4 GB
    (tmp_path / "far.nii.gz").write_bytes(gzip.compress(bytes(far)))
    unknown = nibabel.Nifti1Image(labels, None)
    nibabel.save(unknown, tmp_path / "nowhere.nii")
    return tmp_path


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"segmentation": "none.nii"}, 'anatomy.segmentation = "none.nii": no such file'),
        ({"segmentation": "text.nii"}, "cannot be read as a NIfTI"),
        ({"segmentation": "cut.nii.gz"}, "cannot be read as a NIfTI"),
        ({"segmentation": "far.nii.gz"}, r"puts the voxels 4e\+09 bytes into the file"),
        ({"segmentation": "fractions.nii"}, r"whole numbers; 64000 of 64000 voxels .*is this the CT"),
        ({"segmentation": "holes.nii"}, r"1 of 64000 voxels hold others, the first is voxel \(3, 4, 5\) with nan"),
        ({"segmentation": "vast.nii"}, "the image is 60 m large, with voxels of .* check the unit of length"),
        ({"segmentation": "colours.nii"}, "one real number each"),
        ({"segmentation": "complex.nii"}, "of the kind complex64"),
        ({"ct": "colours.nii"}, "anatomy.ct .* without colours"),
        ({"segmentation": "negative.nii"}, "labels from -999 to -995"),
        ({"segmentation": "four.nii"}, "one 3-D image, found shape"),
        ({"segmentation": "nowhere.nii"}, "gives no orientation"),
        ({"ct": "data:not/there.nii"}, "fetch_body_ct.py"),
        ({"labels": {"liver": 5}}, r"without a name near the window: 1 \("),
        ({"centre": mm(*(-MIDDLE))}, "outside the image.*LPS"),
        ({"tumour": {"mask": "empty.nii"}, "centre": None}, "no voxel is above 0"),
        ({"tumour": {"region": "tumour"}, "centre": None}, 'labelled "tumour"'),
        ({"tumour": {"region": "splen"}, "centre": None}, "did you mean spleen"),
        ({"tumour": {"region": "tumour"}}, "has no volume in the window"),
        ({"tumour": {"centre": mm(*np.add(MIDDLE, (25, 0, 0))), "radius": "5 mm"}}, "are in the window"),
        ({"tumour": {"mask": "empty.nii"}}, "are in the window"),
        ({"voxel_size": "5 um"}, "limit of 60 million"),
    ],
)
def test_input_that_is_refused(folder: Path, table: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        build(folder, **(GOOD | table))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"labels": "totalsegmenter"}, "is no label table; known: totalsegmentator"),
        ({"labels": {"liver": 5, "spleen": [1, 5]}}, r"\[5\] are named more than once"),
        ({"labels": {}}, "empty"),
        ({"labels": {"liver": []}}, "whole number"),
        ({"hounsfield": {"fat_below": -50}}, "no ct is given"),
        ({"ct": "l.nii", "hounsfield": {"fat_below": -500}}, "must rise"),
        ({"centre": None}, "needs a place"),
        ({"tumour": {"centre": mm(0, 0, 0)}}, "both centre and radius"),
        ({"tumour": {"centre": mm(0, 0, 0), "radius": "1 mm", "mask": "l.nii"}}, "not both"),
        ({"segmentatoin": "l.nii"}, "segmentatoin"),
    ],
)
def test_tables_that_are_refused(folder: Path, table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(folder, **(GOOD | table))


def test_lesion_off_the_body(tmp_path: Path) -> None:
    labels, hounsfield, affine = body()
    save(tmp_path / "l.nii", labels, affine)
    save(tmp_path / "ct.nii", hounsfield, affine)
    with pytest.raises(CaseError, match=r"100% of the lesion lie outside the body"):
        build(tmp_path, **TABLE, ct="ct.nii", tumour={"centre": mm(70, 70, 29), "radius": "4 mm"})


# The shipped tables, the phantom image, and the real data -------------------------------------------------------


def test_label_tables() -> None:
    table = shipped_table("totalsegmentator")
    assert sorted(table.regions) == list(range(1, 118))
    assert len(set(table.regions.values())) == 117
    for label, region in {5: "liver", 52: "aorta", 63: "inferior_vena_cava", 64: "portal_vein_and_splenic_vein",
                          117: "costal_cartilages"}.items():  # fmt: skip
        assert table.regions[label] == region
    assert table.tissues["rib_left_4"] == "bone"
    assert table.tissues["kidney_left"] == "kidney"
    assert sorted(shipped_table("totalsegmentator_mr").regions) == list(range(1, 51))


def test_every_tissue_of_the_tables_is_in_the_library() -> None:
    library = pytest.importorskip("thermal.library", reason="the library is not there")
    known = set(library.names("tissues"))
    for name in TABLES:
        assert set(shipped_table(name).tissues.values()) <= known
    assert {"lung", "fat", "bone", "muscle", "tumour"} <= known


@pytest.mark.parametrize("axes", ["RAS", "LPS"])
def test_image_phantom_script(tmp_path: Path, axes: str) -> None:
    assert script("make_liver_phantom").main(["--to", str(tmp_path), "--voxel-size", "4", "--axes", axes]) == 0
    assert nibabel.aff2axcodes(nibabel.load(tmp_path / "phantom_ct.nii.gz").affine) == tuple(axes)
    built = build(tmp_path, kind="image", segmentation="phantom_labels.nii.gz", ct="phantom_ct.nii.gz",
                  labels="totalsegmentator", voxel_size="4 mm", window="90 mm",
                  tumour={"centre": mm(80, 172, 384), "radius": "12 mm"})  # fmt: skip
    assert volumes(built)["tumour"] == pytest.approx(7.24, rel=0.01)
    assert {"liver", "kidney_right", "portal_vein_and_splenic_vein", "fat", "muscle"} <= set(volumes(built))
    assert built.materials["kidney_right"] == "kidney"
    assert "aorta" in built.absent


def test_fetching_says_in_one_line_that_it_is_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch = script("fetch_body_ct")
    assert fetch.cache_folder() == data_folders()[-1]
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert fetch.main(["--to", str(tmp_path / "here")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip" in said
    assert not (tmp_path / "here").exists()


NEEDED = ("body_ct_3mm.nii.gz", "body_labels_3mm.nii.gz")
DATA = next((path for path in data_folders() if all((path / name).is_file() for name in NEEDED)), None)
real = pytest.mark.skipif(DATA is None, reason="no body CT in $THERMAL_DATA or the cache: meshes/fetch_body_ct.py")


@pytest.mark.realdata
@real
def test_shipped_liver_case() -> None:
    path = ROOT / "cases/anatomy/liver.toml"
    case = tomllib.loads(path.read_text())
    built = build(path.parent, **case["anatomy"])
    domain = voxels(built)
    assert domain.cell_shape == (67, 67, 67)
    assert domain.solid.all()
    assert not any("window cut" in note for note in built.notes)
    np.testing.assert_allclose(sum(domain.shares.values()), 1.0, rtol=1e-9)
    got = volumes(built)
    assert got["tumour"] == pytest.approx(4 / 3 * math.pi * 1.728, rel=1e-3)
    assert any(note == "tumour of 7.238 ml overrides: liver 7.24 ml" for note in built.notes)
    assert set(case["tissues"]) <= set(built.materials) | built.absent
    assert built.materials["inferior_vena_cava"] == "blood"
    # The distance that the case file states: nearest half-portal voxel from the middle of the tumour, in mm.
    places = np.meshgrid(*domain.centres(), indexing="ij")
    far = np.sqrt(sum((p.ravel() - c) ** 2 for p, c in zip(places, (0.080, 0.172, 0.384), strict=True)))
    assert far[domain.shares["portal_vein_and_splenic_vein"] > 0.5].min() * 1e3 == pytest.approx(17.2, abs=1.5)
    assert built.background is not None
    values, affine = built.background
    middle = np.rint(np.linalg.solve(affine, [0.080, 0.172, 0.384, 1.0])[:3]).astype(int)
    around = values[tuple(slice(i - 2, i + 3) for i in middle)]
    assert 30 < around.mean() < 70  # liver, HU: the picture sits where the labels are


@pytest.mark.realdata
@real
def test_whole_liver_keeps_its_volume() -> None:
    """1125.7 ml in the labels (the number of voxels times their volume)."""
    table = {
        "kind": "image",
        "segmentation": f"data:{NEEDED[1]}",
        "ct": f"data:{NEEDED[0]}",
        "labels": "totalsegmentator",
    }
    built = build(ROOT, **table, voxel_size="3 mm", window=mm(230, 210, 150), centre=mm(35, 180, 360))
    assert volumes(built)["liver"] == pytest.approx(1125.68, rel=5e-3)
    assert 0.02 < 1 - voxels(built).solid.mean() < 0.3


@pytest.mark.realdata
@pytest.mark.skipif(
    DATA is None or not (DATA / "abdomen_mr_labels.nii.gz").is_file(), reason="no MR: meshes/fetch_body_ct.py --all"
)
def test_mr_labels_stored_along_lps() -> None:
    built = build(ROOT, kind="image", segmentation="data:abdomen_mr_labels.nii.gz", labels="totalsegmentator_mr",
                  voxel_size="3 mm", window=mm(340, 270, 62), centre=mm(-5, 30, 57.5))  # fmt: skip
    assert volumes(built)["liver"] == pytest.approx(498.96, rel=0.01)
    assert centroid(built, "liver")[0] > centroid(built, "spleen")[0] + 100  # the liver is on the right: +x in RAS
    assert centroid(built, "aorta")[1] < centroid(built, "liver")[1]
