"""Write a labelled image and a CT of a body-like phantom, for trying the image path without any download.

    python meshes/make_liver_phantom.py [--to FOLDER] [--voxel-size MM] [--axes RAS] [--seed N]

`phantom_labels.nii.gz` uses the numbers of labels = "totalsegmentator"; fat, muscle, skin and the air around the body
have label 0, as there. `phantom_ct.nii.gz` holds CT numbers with noise. The body stands where
`cases/anatomy/liver.toml` has it: the tumour of that case, (80, 172, 384) mm, lies in the liver of this phantom.
`--axes` chooses the orientation in which the arrays are stored (e.g. LPS); places in the world do not change.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

Grid = list[npt.NDArray[np.float64]]

LOWER = np.array([-160.0, 20.0, 300.0])  # mm, RAS
UPPER = np.array([180.0, 300.0, 430.0])


@dataclass(frozen=True)
class Organ:
    """An ellipsoid (``radii`` mm) or, with ``end``, a round tube of radius ``radii[0]``; CT number in HU."""

    label: int
    attenuation: float
    centre: tuple[float, float, float]
    radii: tuple[float, ...]
    end: tuple[float, float, float] | None = None

    def inside(self, grid: Grid) -> npt.NDArray[np.bool_]:
        if self.end is None:
            level = sum(((p - c) / r) ** 2 for p, c, r in zip(grid, self.centre, self.radii, strict=True))
            return np.asarray(level <= 1.0)
        axis = np.subtract(self.end, self.centre)
        along = sum((p - c) * a for p, c, a in zip(grid, self.centre, axis, strict=True)) / (axis @ axis)
        along = np.clip(along, 0.0, 1.0)
        squared = sum((p - c - along * a) ** 2 for p, c, a in zip(grid, self.centre, axis, strict=True))
        return np.asarray(squared <= self.radii[0] ** 2)


# Painted in order; label 0 is what a segmentation leaves out. CT numbers are round figures for show (unverified).
BODY = (
    Organ(0, -100, (10, 160, 365), (150, 115, 400)),  # skin and fat
    Organ(0, 55, (10, 160, 365), (132, 98, 400)),  # muscle of the wall
    Organ(0, -100, (10, 165, 365), (122, 88, 400)),  # fat inside
    Organ(5, 60, (78, 180, 395), (54, 82, 58)),
    Organ(1, 50, (-85, 130, 400), (25, 40, 35)),
    Organ(2, 35, (58, 118, 335), (26, 26, 45)),
    Organ(3, 35, (-50, 118, 345), (26, 26, 45)),
    Organ(4, 10, (65, 235, 352), (14, 18, 20)),
    Organ(20, 30, (-60, 225, 340), (30, 25, 30)),
    Organ(20, -900, (-60, 235, 345), (18, 12, 18)),  # its gas, inside the label
    Organ(0, -800, (-20, 220, 330), (8, 8, 8)),  # gas without a label
    Organ(52, 45, (-10, 140, 290), (10,), (-10, 140, 440)),
    Organ(63, 45, (18, 150, 290), (11,), (18, 150, 440)),
    Organ(64, 45, (15, 186, 400), (5.5,), (66, 179, 391)),
    Organ(29, 250, (5, 100, 365), (22, 18, 400)),
    *(Organ(112 - n, 400, (105, 70, 330 + 30 * n), (6,), (132, 150, 320 + 30 * n)) for n in range(4)),
)
COUCH = Organ(0, -150, (10, 30, 365), (140, 4, 400))


def make(voxel: float, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """Labels, CT numbers and the affine (mm), stored along RAS."""
    shape = np.ceil((UPPER - LOWER) / voxel).astype(int)
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = LOWER + 0.5 * voxel
    grid: Grid = list(np.ix_(*(affine[a, 3] + voxel * np.arange(shape[a]) for a in range(3))))
    labels = np.zeros(shape, dtype=np.uint8)
    attenuation = np.full(shape, -1000.0)
    for organ in (COUCH, *BODY):
        inside = organ.inside(grid)
        labels[inside], attenuation[inside] = organ.label, organ.attenuation
    noise = np.random.default_rng(seed).normal(0.0, 8.0, labels.shape)
    return labels, np.rint(attenuation + noise).astype(np.int16), affine


def save(values: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], axes: str, path: Path) -> None:
    image = nibabel.Nifti1Image(values, affine)
    now = nibabel.io_orientation(affine)
    image = image.as_reoriented(nibabel.orientations.ornt_transform(now, nibabel.orientations.axcodes2ornt(axes)))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    print(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path(), metavar="FOLDER")
    parser.add_argument("--voxel-size", type=float, default=3.0, metavar="MM")
    parser.add_argument("--axes", default="RAS", help="orientation of the stored arrays")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    given = parser.parse_args(arguments)
    if not 0.5 <= given.voxel_size <= 10:
        parser.error("--voxel-size must be 0.5 to 10 mm")
    if sorted("".join("LR" if c in "LR" else "AP" if c in "AP" else "SI" for c in given.axes)) != sorted("LRAPSI"):
        parser.error("--axes needs one of L R, one of A P and one of S I, e.g. LPS")
    labels, attenuation, affine = make(given.voxel_size, given.seed)
    given.to.mkdir(parents=True, exist_ok=True)
    save(labels, affine, given.axes, given.to / "phantom_labels.nii.gz")
    save(attenuation, affine, given.axes, given.to / "phantom_ct.nii.gz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
