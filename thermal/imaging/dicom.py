"""DICOM series and segmentations in patient space, of images on the patient's axes.

DICOM counts in LPS: x to the patient's left, y to the back. An image here has its first axis to the right (RAS), so
rows are written from right to left and from front to back, and slices from feet to head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.errors import CaseError
from thermal.imaging.grid import Grid
from thermal.store.files import atomic
from thermal.units import Array

CT_STORAGE, MR_STORAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
MAKER, MODEL, SERIAL = "thermal", "thermal simulator", "1"
FIRST_TIME = datetime(2000, 1, 1)
"""Simulated images are of no date: time counts from here."""


@dataclass(frozen=True)
class Series:
    """One series of slices to be written: ``modality`` "CT" or "MR", ``tags`` that all slices get (keyword -> value),
    ``step`` of the stored numbers, and ``moment`` in s."""

    modality: str
    name: str
    number: int
    tags: Mapping[str, Any] = field(default_factory=dict)
    step: float = 1.0
    moment: float = 0.0


@dataclass(frozen=True)
class Study:
    """What the series of one patient and examination share."""

    title: str
    study: str
    frame: str

    @staticmethod
    def of(title: str, key: str) -> Study:
        """A study whose numbers follow from ``key``: the same run is the same study."""
        from pydicom.uid import generate_uid

        return Study(title[:64], generate_uid(entropy_srcs=[key, "study"]), generate_uid(entropy_srcs=[key, "frame"]))

    def series(self, series: Series) -> str:
        """The number of a series."""
        from pydicom.uid import generate_uid

        return str(generate_uid(entropy_srcs=[self.study, series.modality, series.name, str(series.number)]))


def slices(grid: Grid, values: Array, study: Study, series: Series) -> list[Any]:
    """The datasets of a series, feet first, with ``values`` (a, b, c)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    stored = np.round(np.nan_to_num(values) / series.step)
    if np.abs(stored).max(initial=0.0) > 32767:
        raise CaseError(f"{series.name}: values up to {np.abs(values).max():.4g} do not fit 16 bits; write NIfTI")
    # columns run to the left, rows to the back
    pages = stored[::-1, ::-1].transpose(2, 1, 0).astype(np.int16)
    uid = study.series(series)
    first = grid.affine @ [grid.shape[0] - 1, grid.shape[1] - 1, 0, 1]
    at = FIRST_TIME + timedelta(seconds=series.moment)
    found = []
    for index, page in enumerate(pages):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID = CT_STORAGE if series.modality == "CT" else MR_STORAGE
        item.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(index)])
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        item.SpecificCharacterSet = "ISO_IR 192"
        item.ImageType = ["DERIVED", "SECONDARY", "AXIAL"] if series.modality == "CT" else ["DERIVED", "SECONDARY"]
        item.StudyDate = item.SeriesDate = item.AcquisitionDate = item.ContentDate = at.strftime("%Y%m%d")
        item.StudyTime = FIRST_TIME.strftime("%H%M%S.%f")
        item.SeriesTime = item.AcquisitionTime = item.ContentTime = at.strftime("%H%M%S.%f")
        item.AccessionNumber, item.ReferringPhysicianName = "", ""
        item.Modality, item.Manufacturer, item.ManufacturerModelName = series.modality, MAKER, MODEL
        item.StudyDescription, item.SeriesDescription = study.title, series.name[:64]
        item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = (
            "Simulated^",
            study.study[-16:],
            "",
            "",
        )
        item.StudyInstanceUID, item.SeriesInstanceUID, item.StudyID = study.study, uid, "1"
        item.SeriesNumber, item.InstanceNumber, item.AcquisitionNumber = series.number, index + 1, 1
        item.FrameOfReferenceUID, item.PositionReferenceIndicator = study.frame, ""
        item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        place = np.array([-first[0], -first[1], first[2] + index * grid.spacing[2]]) * 1e3
        item.ImagePositionPatient = [_decimal(x) for x in place]
        item.SliceLocation = _decimal(place[2])
        item.SliceThickness = _decimal(1e3 * grid.spacing[2])
        item.PixelSpacing = [_decimal(1e3 * grid.spacing[1]), _decimal(1e3 * grid.spacing[0])]
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.Rows, item.Columns = page.shape
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 1
        item.RescaleIntercept, item.RescaleSlope = "0", _decimal(series.step)
        if series.modality == "CT":
            item.RescaleType = "HU"
        else:
            item.ScanningSequence, item.SequenceVariant, item.ScanOptions, item.MRAcquisitionType = (
                "GR",
                "NONE",
                "",
                "3D",
            )
            item.EchoTrainLength, item.RepetitionTime, item.EchoTime = "1", None, None
        for keyword, value in series.tags.items():
            setattr(item, keyword, value)
        item.PixelData = np.ascontiguousarray(page).tobytes()
        found.append(item)
    return found


def _decimal(value: float) -> str:
    """A number as DICOM writes it, in at most 16 characters."""
    return f"{value:.10g}"[:16]


def write_series(folder: Path, grid: Grid, values: Array, study: Study, series: Series) -> Path:
    """Write a series into a folder, one file a slice, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("slice_*.dcm"):
        stale.unlink()
    for index, item in enumerate(slices(grid, values, study, series)):
        with atomic(folder / f"slice_{index + 1:04d}.dcm") as scratch:
            item.save_as(scratch, enforce_file_format=True)
    return folder


@dataclass(frozen=True)
class Segment:
    """One segment: ``code`` is (value, scheme, meaning) of what it is, ``colour`` the CIELAB (L, a, b) that viewers are
    to show it in."""

    name: str
    inside: npt.NDArray[np.bool_]
    code: tuple[str, str, str]
    colour: tuple[float, float, float] = (75.0, 0.0, 0.0)


YELLOW, RED, BLUE, MAGENTA = (90.0, -5.0, 80.0), (52.0, 72.0, 50.0), (45.0, 20.0, -65.0), (60.0, 85.0, -50.0)
"""CIELAB colours of segments that lie over each other."""
MASS = ("4147007", "SCT", "Mass")
ABLATED = ("449814007", "SCT", "Ablation")


def write_segmentation(
    path: Path, grid: Grid, segments: Sequence[Segment], study: Study, tags: Mapping[str, Any] | None = None
) -> Path:
    """Write a DICOM SEG with binary segments, in the frame of reference of the study's series.

    It refers to a CT series that shows nothing but the place of the voxels; that series is not written.
    """
    import highdicom as hd
    from pydicom.sr.coding import Code

    from thermal.store.provenance import thermal_version

    place = Series("CT", "place of the voxels", 900)
    images = slices(grid, np.zeros(grid.shape), study, place)
    kept = [segment for segment in segments if segment.inside.any()]
    if not kept:
        raise CaseError(f"{path}: nothing to write: every segment is empty")
    pixels = np.stack([s.inside[::-1, ::-1].transpose(2, 1, 0) for s in kept], axis=-1).astype(np.uint8)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=MODEL, version=thermal_version(), family=Code("123109", "DCM", "Manual Processing")
    )
    described = [
        hd.seg.SegmentDescription(
            segment_number=number + 1,
            segment_label=segment.name[:64],
            segmented_property_category=Code("49755003", "SCT", "Morphologically Altered Structure"),
            segmented_property_type=Code(*segment.code),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=hd.color.CIELabColor(*segment.colour),
        )
        for number, segment in enumerate(kept)
    ]
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=study.series(Series("SEG", path.stem, 901)),
        series_number=901,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MODEL,
        software_versions=thermal_version(),
        device_serial_number=SERIAL,
        omit_empty_frames=False,
        series_description=path.stem[:64],
    )
    for keyword, value in (tags or {}).items():
        setattr(made, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as scratch:
        made.save_as(scratch)
    return path
