"""NIfTI files in patient space (RAS, millimetres), with what is known of how they were taken beside them as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.errors import CaseError
from thermal.store.files import atomic, write_text
from thermal.units import Array

SCANNER = 1
"""Code of a header's transform: coordinates of the scanner."""


def write_nifti(
    path: Path, values: npt.NDArray[Any], affine: Array, about: Mapping[str, Any] | None = None, step: float = 0.0
) -> Path:
    """Write values (a, b, c) or (a, b, c, k); ``affine`` to RAS m, ``step`` s between images of a row.

    ``about`` goes into ``NAME.json``. Numbers are kept as they are.
    """
    import nibabel

    kept = values.astype(np.uint8 if values.dtype == bool else values.dtype)
    scaled = np.diag([1e3, 1e3, 1e3, 1.0]) @ affine
    image = nibabel.Nifti1Image(kept, scaled)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(scaled, SCANNER)
    image.set_qform(scaled, SCANNER)
    if values.ndim == 4 and step > 0.0:
        image.header.set_zooms((*image.header.get_zooms()[:3], step))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as scratch:
        nibabel.save(image, scratch)
    if about is not None:
        write_text(beside(path), json.dumps(about, indent=2) + "\n")
    return path


def beside(path: Path) -> Path:
    """The JSON file of an image: its name with another ending."""
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def read_row(path: Path, place: str) -> tuple[Array, Array]:
    """Values (a, b, c) or (a, b, c, k) and affine to RAS m of a NIfTI file. Raises ``CaseError``."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nibabel.load(path)
        values = np.asarray(image.dataobj, dtype=float)
    except (ImageFileError, OSError, EOFError, ValueError, TypeError) as error:
        raise CaseError(f"{place}: {path} cannot be read as a NIfTI image ({error})") from None
    affine = np.array(image.affine, dtype=float)
    affine[:3] *= 1e-3
    return values, affine


def read_about(path: Path) -> dict[str, Any]:
    """What stands beside an image; empty where nothing does."""
    try:
        found = json.loads(beside(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CaseError(f"{beside(path)}: is no JSON ({error})") from None
    return found if isinstance(found, dict) else {}
