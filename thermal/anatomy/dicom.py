"""DICOM series and segmentations as images: read by highdicom, which checks that slices are whole and even."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thermal.errors import CaseError
from thermal.units import Array

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
_CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
_TO_RAS = np.diag([-1e-3, -1e-3, 1e-3, 1.0])
"""From LPS millimetres to RAS metres."""


def is_dicom(path: Path) -> bool:
    """Whether a path is a folder, or a file that begins like DICOM."""
    if path.is_dir():
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_headers(path: Path, place: str) -> list[Any]:
    """Datasets of a file, or of all DICOM images of a folder; other files there are left out. Raises ``CaseError``."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    found: list[Any] = []
    for file in files:
        try:
            item = dcmread(file)
        except (InvalidDicomError, OSError, EOFError, ValueError):
            continue
        if "PixelData" in item:
            found.append(_completed(item, len(found)))
    if not found:
        raise CaseError(f'{place} = "{path}": no DICOM image in it; give a folder of one series, or a SEG file')
    return found


def _completed(item: Any, number: int) -> Any:
    """The dataset with what removing a patient's name often takes along: the kind of image, and a number of its own."""
    if not item.get("SOPClassUID"):
        item.SOPClassUID = _CLASSES.get(str(item.get("Modality", "")), _CLASSES["CT"])
    if not item.get("SOPInstanceUID"):
        item.SOPInstanceUID = f"2.25.{number + 1}"
    return item


def read_dicom(path: Path, place: str, segment: int | None = None) -> tuple[Array, Array]:
    """Values (a, b, c) and the affine from voxel index to RAS metres of one series, or of one SEG, whose voxels hold
    the number of their segment; of one ``segment`` alone, where it is given, also if others overlap it.

    Raises ``CaseError`` for several series, slices that are missing or uneven, and segments that overlap.
    """
    images = read_headers(path, place)
    segmented = [item for item in images if item.SOPClassUID in (SEGMENTATION, LABELMAP)]
    try:
        return _of_segments(segmented[0], segment) if len(segmented) == len(images) == 1 else _of_series(images)
    except CaseError as error:
        raise CaseError(*(f'{place} = "{path}": {problem}' for problem in error.problems)) from None
    except Exception as error:  # whatever a library finds in a damaged file
        raise CaseError(f'{place} = "{path}": cannot be read as DICOM ({error})') from error


def _of_series(images: Sequence[Any]) -> tuple[Array, Array]:
    import highdicom

    names: dict[str, str] = {}
    for item in images:
        names.setdefault(str(item.SeriesInstanceUID), str(item.get("SeriesDescription", "without a description")))
    if len(names) > 1:
        raise CaseError(f"holds {len(names)} series ({', '.join(names.values())}); give a folder with one of them")
    if len(images) < 2 and "NumberOfFrames" not in images[0]:
        raise CaseError("holds one slice; a volume needs two at least")
    rescaled = all("RescaleSlope" in item for item in images)
    made = highdicom.get_volume_from_series(list(images), apply_modality_transform=rescaled, rtol=0.01)
    return np.asarray(made.array, dtype=float), _TO_RAS @ np.asarray(made.affine, dtype=float)


def _of_segments(image: Any, segment: int | None) -> tuple[Array, Array]:
    import highdicom

    made = highdicom.seg.Segmentation.from_dataset(image)
    numbers = [int(s.SegmentNumber) for s in made.SegmentSequence]
    if segment is not None and segment not in numbers:
        raise CaseError(f"has no segment {segment}; it has {', '.join(map(str, numbers))}")
    chosen = None if segment is None else [segment]
    try:
        volume = made.get_volume(combine_segments=True, segment_numbers=chosen, dtype=np.uint16)
    except RuntimeError as error:
        listed = ", ".join(f"{s.SegmentNumber} {s.SegmentLabel}" for s in made.SegmentSequence)
        raise CaseError(
            f"its segments overlap ({listed}), so a voxel has no one label; choose one of them ({error})"
        ) from None
    return np.asarray(volume.array), _TO_RAS @ np.asarray(volume.affine, dtype=float)
