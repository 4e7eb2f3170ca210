"""Images on disk: reading, cropping and sampling, with world coordinates in metres, patient RAS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.anatomy.dicom import is_dicom, read_dicom
from thermal.anatomy.grid import Axes
from thermal.errors import CaseError
from thermal.machine import free_memory
from thermal.units import Array

_UNITS = {"unknown": 1e-3, "mm": 1e-3, "meter": 1.0, "micron": 1e-6}
MOST_VOXELS = 2**30  # of an image: a cube of 1024
LONGEST_HEADER = 2**26  # bytes before the voxels, which have to be unpacked to be passed over
SMALLEST, LARGEST = 1e-3, 5.0  # m, extent of an image that can show an anatomy
_BLOCK = 200_000  # points worked on at once

Voxels = npt.NDArray[Any]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Volume:
    """A 3-D image: ``values`` (a, b, c) and the 4x4 ``affine`` from voxel index (centre of the voxel) to RAS metres."""

    values: Voxels
    affine: Array
    path: Path
    doubts: tuple[str, ...] = ()
    """what to say of the header"""

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, m3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def spacing(self) -> Array:
        """Edge lengths of a voxel, (3,) m."""
        return np.array([math.hypot(*column) for column in self.affine[:3, :3].T])

    def to_index(self) -> Array:
        """The 4x4 map from RAS metres to voxel index."""
        return np.linalg.inv(self.affine).astype(np.float64)

    def extent(self) -> tuple[Array, Array]:
        """Lower and upper corner of the box on the axes that encloses the image, outer faces of voxels, (3,) m."""
        ends = np.array([(-0.5, n - 0.5) for n in self.values.shape])
        corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T @ self.affine[:3, :3].T
        corners += self.affine[:3, 3]
        return corners.min(axis=0), corners.max(axis=0)

    def box(self, lower: Array, upper: Array, margin: int = 2) -> Box:
        """Index ranges that hold every voxel touching the world box, with a margin; empty ranges if there is none."""
        corners = np.array(np.meshgrid(*np.transpose([lower, upper]), indexing="ij")).reshape(3, -1)
        inverse = self.to_index()
        index = inverse[:3, :3] @ corners + inverse[:3, 3:]
        low = np.clip(np.floor(index.min(axis=1)).astype(int) - margin, 0, self.values.shape)
        high = np.clip(np.ceil(index.max(axis=1)).astype(int) + margin + 1, low, self.values.shape)
        a, b, c = (slice(int(i), int(j)) for i, j in zip(low, high, strict=True))
        return a, b, c

    def crop(self, box: Box) -> Volume:
        """The part inside the index ranges, at the same place in the world."""
        affine = self.affine.copy()
        affine[:3, 3] = self.affine[:3, :3] @ [part.start for part in box] + self.affine[:3, 3]
        return Volume(self.values[box], affine, self.path)


def read_volume(path: Path, place: str) -> Volume:
    """Read a NIfTI file (any orientation), a folder with a DICOM series or a DICOM SEG. ``place`` names the key of the
    case file in messages.

    Raises ``CaseError`` for files that are not images, not 3-D, without orientation or with a singular one.
    """
    if is_dicom(path):
        return Volume(*read_dicom(path, place), path)
    import nibabel
    from nibabel.imageglobals import LoggingOutputSuppressor

    try:
        with LoggingOutputSuppressor():  # of headers that it mends; what matters of them is checked below
            image = nibabel.load(path)
            check_size(image, f'{place} = "{path}"')
            values: Voxels = np.asanyarray(image.dataobj)
    except CaseError:
        raise
    except Exception as error:  # nibabel raises whatever the reading trips over
        words = str(error) or type(error).__name__
        raise CaseError(f'{place} = "{path}": cannot be read as a NIfTI image ({words})') from error
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise CaseError(
            f'{place} = "{path}": its voxels are of the kind {values.dtype}; expected one real number each: export the '
            "image again as numbers, without colours"
        )
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3 or values.size == 0:
        raise CaseError(f'{place} = "{path}": expected one 3-D image, found shape {values.shape}')
    header = image.header
    if hasattr(header, "get_sform") and int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise CaseError(
            f'{place} = "{path}": the header gives no orientation (sform and qform codes are 0), so left and right are '
            "unknown; export the image again with its patient coordinates"
        )
    affine = np.array(image.affine, dtype=float)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise CaseError(f'{place} = "{path}": the affine of the header is singular or not finite')
    doubts = _two_orientations(header, values.shape, f'{place} = "{path}"')
    affine[:3] *= _unit(header, f'{place} = "{path}"')
    volume = Volume(values, affine, path, doubts)
    largest = float(np.max(volume.spacing * values.shape))
    if not SMALLEST <= largest <= LARGEST:
        raise CaseError(
            f'{place} = "{path}": by its header the image is {largest:.3g} m large, with voxels of '
            f"{' x '.join(f'{1e3 * edge:.3g}' for edge in volume.spacing)} mm; expected {SMALLEST:g} to {LARGEST:g} m: "
            "check the unit of length in the header (xyzt_units) and the affine"
        )
    return volume


def _unit(header: Any, place: str) -> float:
    """Metres of the header's unit of length."""
    try:
        return _UNITS[header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "mm"]
    except KeyError:
        raise CaseError(f"{place}: the header's unit of length is none that NIfTI knows; it is damaged") from None


def check_size(image: Any, place: str, least: int = 4) -> None:
    """Raise ``CaseError`` for more voxels than there can be, before room is made for them: the header may lie.

    ``least``: bytes that a voxel takes in memory at least.
    """
    count = math.prod(int(size) for size in image.shape)
    if count > MOST_VOXELS:
        raise CaseError(f"{place}: has {count:.2g} voxels, more than {MOST_VOXELS:.2g}; crop or resample the image")
    needed, free = float(count) * max(image.get_data_dtype().itemsize, least), free_memory()
    if free is not None and needed > free:
        raise CaseError(
            f"{place}: its voxels take {needed / 1e9:.2g} GB, and {free / 1e9:.2g} GB of memory are free; crop or "
            "resample the image"
        )
    begin = int(getattr(image.dataobj, "offset", 0))
    if begin > LONGEST_HEADER:
        raise CaseError(
            f"{place}: its header puts the voxels {begin:.2g} bytes into the file, more than {LONGEST_HEADER:.2g}; the "
            "file is damaged"
        )


def _two_orientations(header: Any, shape: tuple[int, ...], place: str) -> tuple[str, ...]:
    """What to say where sform and qform, both given, put the corners of an image more than half a voxel apart."""
    if not (hasattr(header, "get_sform") and int(header["sform_code"]) and int(header["qform_code"])):
        return ()
    apart = np.asarray(header.get_sform() - header.get_qform(), dtype=float)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    largest = float(np.linalg.norm(corners @ apart[:3, :3].T + apart[:3, 3], axis=1).max())
    smallest = float(np.min(header.get_zooms()[:3]))
    if not largest > 0.5 * smallest:
        return ()
    return (
        f"{place}: the header gives two orientations, sform and qform, which lie up to {largest / smallest:.3g} voxels "
        "apart; sform is used: check left and right, and that all images lie on one another",
    )


def same_grid(one: Volume, other: Volume) -> bool:
    """Whether two images share shape and affine (to a thousandth of a voxel)."""
    return one.values.shape == other.values.shape and bool(
        np.allclose(one.affine, other.affine, rtol=0, atol=1e-3 * float(one.spacing.min()))
    )


def sample_at(image: Volume, places: Array) -> npt.NDArray[np.float32]:
    """Linear interpolation of an image at world points (3, ...) m; NaN outside its voxels."""
    from scipy.ndimage import map_coordinates

    inverse = image.to_index()
    index = np.tensordot(inverse[:3, :3], places, axes=1)
    index += inverse[:3, 3].reshape(3, *(1,) * (places.ndim - 1))
    limits = np.reshape(image.values.shape, (3, *(1,) * (places.ndim - 1)))
    inside = ((index >= -0.5) & (index <= limits - 0.5)).all(axis=0)
    values: npt.NDArray[np.float32] = map_coordinates(
        image.values.astype(np.float32, copy=False), index, order=1, mode="nearest", output=np.float32
    )
    values[~inside] = np.nan
    return values


def label_shares(codes: Volume, count: int, axes: Axes, outside: int) -> Array:
    """Share of each cell of a tensor grid taken by each of ``count`` codes, (count, cells).

    ``codes``: integers from 0 to count - 1. The share of a code is the linear interpolation of its indicator at the
    centre of the cell, or its mean over sub-cells where cells are larger than voxels: borders are smooth below the
    voxel size and the shares sum to one. Points outside the image get the code ``outside``.
    """
    counts = [len(axis) - 1 for axis in axes]
    widest = [float(np.diff(axis).max()) for axis in axes]
    parts = [int(np.clip(np.ceil(width / float(codes.spacing.min()) - 0.01), 1, 5)) for width in widest]
    shares = np.zeros((count, *counts))
    inverse = codes.to_index()
    flat = codes.values.ravel()
    thickness = max(1, _BLOCK // (counts[1] * counts[2]))
    for start in range(0, counts[0], thickness):
        slab = axes[0][start : start + thickness + 1]
        for offset in np.ndindex(*parts):
            point = [
                axis[:-1] + np.diff(axis) * ((part + 0.5) / of)
                for axis, part, of in zip((slab, *axes[1:]), offset, parts, strict=True)
            ]
            weights = _corner_weights(flat, codes.values.shape, inverse, point, count, outside)
            shares[:, start : start + thickness] += weights.reshape(count, len(slab) - 1, *counts[1:])
    shares /= float(np.prod(parts))
    return shares.reshape(count, -1)


def _corner_weights(
    flat: Voxels, shape: tuple[int, ...], inverse: Array, point: list[Array], count: int, outside: int
) -> Array:
    """Sum of the trilinear weights of each code, (count * n,), at the n points of a small tensor grid."""
    x, y, z = np.ix_(*point)
    beyond = np.zeros((len(point[0]), len(point[1]), len(point[2])), dtype=bool)
    lower, upper, fraction = [], [], []
    for axis, size in enumerate(shape):
        a, b, c, d = inverse[axis]
        index = a * x + b * y + c * z + d
        beyond |= (index < -0.5 - 1e-6) | (index > size - 0.5 + 1e-6)
        index = np.clip(index, 0, size - 1)
        base = np.minimum(index.astype(np.int64), max(size - 2, 0))
        lower.append(base)
        upper.append(np.minimum(base + 1, size - 1))
        fraction.append(index - base)
    n = beyond.size
    place = np.arange(n)
    total = np.zeros(count * n)
    for corner in np.ndindex(2, 2, 2):
        i, j, k = (upper[a] if corner[a] else lower[a] for a in range(3))
        parts = [fraction[a] if corner[a] else 1.0 - fraction[a] for a in range(3)]
        weight = (parts[0] * parts[1] * parts[2]).ravel()
        code = flat[((i * shape[1] + j) * shape[2] + k).ravel()].astype(np.int64)
        code[beyond.ravel()] = outside
        total += np.bincount(code * n + place, weights=weight, minlength=count * n)
    return total


def volumes_in(codes: Volume, count: int, lower: Array, upper: Array) -> Array:
    """Volume of the voxels of each code inside a world box, (count,) m3, before any resampling.

    Voxels that the border of the box cuts count by the share of their 6 x 6 x 6 sub-cells inside.
    """
    matrix, offset = codes.affine[:3, :3], codes.affine[:3, 3]
    index = np.indices(codes.values.shape).reshape(3, -1)
    centres = matrix @ index + offset[:, None]
    reach = 0.5 * abs(matrix).sum(axis=1)[:, None]
    low, high = lower[:, None], upper[:, None]
    whole = ((centres - reach >= low) & (centres + reach <= high)).all(axis=0)
    cut = ~whole & ((centres + reach > low) & (centres - reach < high)).all(axis=0)
    share = whole.astype(float)
    inside = np.zeros(np.count_nonzero(cut))
    for part in np.ndindex(6, 6, 6):
        points = centres[:, cut] + matrix @ ((np.array(part)[:, None] + 0.5) / 6 - 0.5)
        inside += ((points >= low) & (points <= high)).all(axis=0)
    share[cut] = inside / 6**3
    voxels: Array = np.bincount(codes.values.ravel(), weights=share, minlength=count).astype(np.float64)
    return voxels * codes.voxel_volume
