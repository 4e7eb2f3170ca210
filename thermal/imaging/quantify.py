"""From images before and after an infusion to a map of the concentration, with its uncertainty and the mass in all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thermal.anatomy.dicom import is_dicom, read_dicom, read_headers
from thermal.anatomy.volume import Volume, read_volume, sample_at
from thermal.errors import CaseError
from thermal.imaging.nifti import read_about, read_row, write_nifti
from thermal.physics.imaging import ct, mr
from thermal.physics.imaging.ct import Ct, Measured
from thermal.physics.imaging.mr import Mr
from thermal.units import Array, Mask, Si, Spec

SURE = 3.0
"""Standard deviations from which a voxel is said to hold particles."""


@dataclass(frozen=True)
class Shown:
    """An image that was read, with what stands beside it or in its header."""

    path: Path
    values: Array
    affine: Array
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Quantity:
    """What two images tell of: maps (a, b, c), and totals over ``inside``, kg.

    ``noise`` and ``calibration`` are standard errors of ``mass``; ``lost`` is the volume (m3) in which the
    concentration is only known to be at least that of the map.
    """

    measured: Measured
    partial: Array
    inside: Mask
    affine: Array
    mass: float
    noise: float
    calibration: float
    lost: float
    resampled: bool = False
    """whether the image before was interpolated at the voxels of that after, which blurs borders of tissues"""
    unseen: float = 0.0
    """m3 of the image after that the one before does not show: nothing is known there"""

    @property
    def error(self) -> float:
        """Standard error of the mass, kg."""
        return float(np.hypot(self.noise, self.calibration))

    @property
    def floor(self) -> float:
        """kg/m3 from which a voxel surely holds particles: three standard deviations."""
        known = self.measured.error[np.isfinite(self.measured.error)]
        return SURE * float(np.median(known)) if known.size else float("inf")


def read_shown(path: Path, place: str) -> Shown:
    """Read a NIfTI file (3-D, or 4-D with echoes) or a folder with a DICOM series. Raises ``CaseError``."""
    if not (path.is_file() or path.is_dir()):
        raise CaseError(f"{place}: {path}: no such file or folder; thermal image RUN --modality ct makes images")
    if not is_dicom(path):
        values, affine = read_row(path, place)
        return Shown(path, values, affine, read_about(path))
    values, affine = read_dicom(path, place)
    head = read_headers(path, place)[0]
    about: dict[str, Any] = {"Modality": "ct" if head.get("Modality") == "CT" else "mr"}
    if head.get("KVP"):
        about["Acquisition"] = {"kvp": float(head.KVP)}
    return Shown(path, values, affine, about)


def quantify(
    before: Shown,
    after: Shown,
    *,
    element: str = "",
    noise: float | None = None,
    within: Volume | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Quantity:
    """The concentration that came between two images.

    ``element`` and ``changes`` (keys of the acquisition) stand above what the files say; ``noise``: standard deviation
    of a voxel (HU, or of either channel over the signal of tissue), else that of the acquisition, else estimated.
    ``within``: an image whose voxels above 0 are counted for the mass; all by default. Raises ``CaseError``.
    """
    unseen: Mask = np.zeros(after.values.shape[:3], dtype=bool)
    resampled = not _same_voxels(before, after)
    if resampled:
        before, unseen = _on_voxels_of(after, before)
    changes = dict(changes or {})
    said = changes.pop("modality", after.about.get("Modality", before.about.get("Modality", "ct")))
    modality = str(said)
    if modality not in ("ct", "mr"):
        raise CaseError(f"quantify: found images of modality {modality}; expected ct or mr")
    kinds: Mapping[str, type[Spec]] = {"ct": Ct, "mr": Mr}
    if unknown := [key for key in changes if key not in kinds[modality].model_fields]:
        keys = ", ".join(kinds[modality].model_fields)
        raise CaseError(f"quantify: a {modality} image has no {', '.join(unknown)}; its keys are: {keys}")
    named = element or str(after.about.get("Element", ""))
    taken = {**_taken(before), **_taken(after), **changes}
    measured = (_by_ct if modality == "ct" else _by_mr)(before, after, named, noise, taken)
    if unseen.any():
        measured = replace(
            measured, concentration=np.where(unseen, 0.0, measured.concentration),
            error=np.where(unseen, np.inf, measured.error), failed=measured.failed | unseen,
        )  # fmt: skip
    inside = _inside(within, after, measured.concentration.shape)
    affine = after.affine
    volume = float(abs(np.linalg.det(affine[:3, :3])))
    amount, error = measured.concentration[inside], measured.error[inside]
    mass = float(amount.sum()) * volume
    spread = float(np.sqrt((error[np.isfinite(error)] ** 2).sum())) * volume
    partial = _within_voxel(measured.concentration)
    lost = float((measured.failed & inside & (measured.concentration > 0.0)).sum()) * volume
    return Quantity(
        measured, partial, inside, affine, mass, spread, measured.calibration * abs(mass), lost, resampled,
        float((unseen & inside).sum()) * volume,
    )  # fmt: skip


def _same_voxels(before: Shown, after: Shown) -> bool:
    return before.values.shape == after.values.shape and np.allclose(before.affine, after.affine, atol=1e-5)


def _on_voxels_of(after: Shown, before: Shown) -> tuple[Shown, Mask]:
    """``before`` interpolated linearly at the voxels of ``after``, and where it shows nothing there. Raises
    ``CaseError`` where the two have no place in common, or other echoes."""
    if before.values.shape[3:] != after.values.shape[3:]:
        raise CaseError(f"quantify: {before.path} and {after.path} have not the same number of echoes")
    shape = after.values.shape[:3]
    index = np.indices(shape).reshape(3, -1)
    places = after.affine[:3, :3] @ index + after.affine[:3, 3:]
    rows = before.values.reshape(*before.values.shape[:3], -1)
    values = np.stack([
        sample_at(Volume(row, before.affine, before.path), places).reshape(shape).astype(float)
        for row in np.moveaxis(rows, -1, 0)
    ], axis=-1).reshape(after.values.shape)  # fmt: skip
    unseen = np.isnan(values.reshape(*shape, -1)).any(axis=-1)
    if unseen.all():
        raise CaseError(
            f"quantify: {before.path} and {after.path} have no place in common; check that both are of the same "
            "patient space (NIfTI is RAS, DICOM is LPS), and register one to the other"
        )
    return replace(before, values=values, affine=after.affine), unseen


def _taken(image: Shown) -> dict[str, Any]:
    found = image.about.get("Acquisition", {})
    return {key: value for key, value in found.items() if key != "modality"} if isinstance(found, dict) else {}


def _by_ct(before: Shown, after: Shown, element: str, noise: float | None, taken: Mapping[str, Any]) -> Measured:
    known = {key: value for key, value in taken.items() if key in Ct.model_fields and value is not None}
    if "energy" in known:
        known.pop("kvp", None)
    how = Ct.model_validate(_plain(known))
    per = how.sensitivity_to(element)
    if not per > 0.0:
        raise CaseError(
            f'quantify: CT does not see "{element}"; give --element gold, iron or iodine, or --sensitivity in HU per '
            "mg/ml"
        )
    spread = noise if noise is not None else known.get("noise")
    spread = ct.estimate_noise(before.values, after.values) if spread is None else float(spread)
    # whole numbers are rounded: a twelfth of the step squared
    step = 1.0 if np.array_equal(after.values, np.round(after.values)) and is_dicom(after.path) else 0.0
    return ct.invert(before.values, after.values, per, float(np.hypot(spread, step / np.sqrt(12.0))), how.calibration)


def _by_mr(before: Shown, after: Shown, element: str, noise: float | None, taken: Mapping[str, Any]) -> Measured:
    known = {key: value for key, value in taken.items() if key in Mr.model_fields and value is not None}
    if after.values.ndim != 4 or "echoes" not in known:
        raise CaseError(
            f"quantify: {after.path} is no row of echoes with their times; expected a 4-D NIfTI with a JSON beside it "
            "as thermal image --modality mr writes, or --set echoes=... in s"
        )
    how = Mr.model_validate(_plain(known))
    echoes = np.asarray(how.echoes)
    if after.values.shape[-1] != len(echoes):
        raise CaseError(
            f"quantify: {after.path} holds {after.values.shape[-1]} echoes, but {len(echoes)} times are given"
        )
    per = how.decay_by(element)
    if not per > 0.0:
        raise CaseError(
            f'quantify: MR of the decay sees iron only, and this is "{element}"; give --element iron, or CT'
        )
    spread = 1.0 / how.snr if noise is None else noise
    return mr.invert(before.values, after.values, echoes, per, spread, how.calibration)


def _plain(known: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of a file, which are in SI units, as the schema takes them from Python."""

    def one(value: Any) -> Any:
        return Si(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    return {key: [one(v) for v in value] if isinstance(value, list) else one(value) for key, value in known.items()}


def _inside(within: Volume | None, image: Shown, shape: tuple[int, ...]) -> Mask:
    if within is None:
        return np.ones(shape, dtype=bool)
    index = np.indices(shape).reshape(3, -1)
    places = image.affine[:3, :3] @ index + image.affine[:3, 3:]
    present = Volume((within.values > 0).astype(np.float32), within.affine, within.path)
    found: Mask = np.nan_to_num(sample_at(present, places)).reshape(shape) >= 0.5
    if not found.any():
        raise CaseError(f"--within: {within.path} has no voxel in common with the images")
    return found


def _within_voxel(concentration: Array) -> Array:
    """Standard deviation of the concentration inside each voxel, if it is linear there: what partial volume hides."""
    slopes = np.gradient(concentration) if min(concentration.shape) > 1 else [np.zeros_like(concentration)]
    return np.asarray(np.sqrt(sum(slope**2 for slope in slopes) / 12.0))


def write_quantity(found: Quantity, folder: Path, about: Mapping[str, Any]) -> tuple[Path, ...]:
    """Write the maps (mg/ml): concentration, its error by noise, its spread within voxels, and where it failed."""
    maps = {
        "concentration": found.measured.concentration,
        "uncertainty": np.where(np.isfinite(found.measured.error), found.measured.error, -1.0),
        "partial_volume": found.partial,
        "failed": found.measured.failed,
    }
    notes = {"uncertainty": "standard deviation by noise; -1 where only a lower limit is known"}
    return tuple(
        write_nifti(folder / f"{name}.nii.gz", values, found.affine, {
            **about, "Units": "mg/ml", **({"Remark": notes[name]} if name in notes else {})
        })
        for name, values in maps.items()
    )  # fmt: skip


@dataclass(frozen=True)
class Clearance:
    """An exponential decay of a mass: ``half_life`` s with its standard error (NaN: nothing tells it), and the mass at
    time zero, kg."""

    half_life: float
    error: float
    start: float


def fit_clearance(times: Array, masses: Array, errors: Array) -> Clearance:
    """Fit ``m = m0 exp(-k t)`` to masses (k,) kg at times (k,) s with standard errors (k,); zero errors: all alike,
    as large as the masses scatter, which two scans do not show.

    Raises ``CaseError`` for fewer than two times, and where nothing is cleared.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    if len(times) < 2 or np.ptp(times) <= 0.0 or masses[0] <= 0.0:
        raise CaseError("quantify: a clearance needs scans at two times at least, with particles at the first")
    scale, span = float(masses[0]), float(np.ptp(times))
    weights = errors / scale if np.all(errors > 0.0) else None
    guess = (1.0, -np.log(max(masses[-1] / scale, 1e-3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # no covariance: the error is NaN
        (start, rate), covariance = curve_fit(
            lambda t, m, k: m * np.exp(-k * t), times / span, masses / scale, p0=guess, sigma=weights,
            absolute_sigma=weights is not None,
        )  # fmt: skip
    if rate <= 0.0:
        raise CaseError("quantify: the mass does not fall from scan to scan; nothing is cleared that could be fitted")
    half = float(np.log(2.0) / rate) * span
    deviation = float(np.sqrt(covariance[1, 1])) if np.isfinite(covariance[1, 1]) else np.nan
    return Clearance(half, half * deviation / float(rate), float(start) * scale)


def read_within(path: Path) -> Volume:
    """A mask for :func:`quantify`."""
    return read_volume(path, "--within")
