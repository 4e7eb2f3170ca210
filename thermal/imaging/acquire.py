"""The images of a finished run: before and after the particles came, or over time while it was heated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from thermal.errors import CaseError
from thermal.imaging.dicom import Series, Study, write_series
from thermal.imaging.nifti import write_nifti
from thermal.imaging.patient import Patient
from thermal.physics.imaging.ct import Ct
from thermal.physics.imaging.mr import Mr
from thermal.physics.imaging.thermometry import Reader, Thermometry, coldest, show
from thermal.physics.imaging.visibility import Visible, in_ct, in_mr, in_projection, in_ultrasound
from thermal.store import Run
from thermal.units import Array, Spec


class Visibility(Spec):
    """Whether the particles would be seen, by each kind of image."""

    modality: Literal["visibility"] = "visibility"
    """kind of image"""
    ct: Ct = Ct()
    """how the CT is taken"""
    mr: Mr = Mr()
    """how the MR image is taken"""


class Emission(Spec):
    """Light of upconversion particles at the end of the run."""

    modality: Literal["emission"] = "emission"
    """kind of image"""


@dataclass(frozen=True)
class Pictures:
    """What was made: ``files``, and ``readings`` for people (text -> value with its unit)."""

    files: tuple[Path, ...]
    readings: Mapping[str, str]


@dataclass(frozen=True)
class Folder:
    """Where images go, and what they share."""

    path: Path
    patient: Patient
    study: Study
    about: Mapping[str, Any]

    def nifti(
        self, name: str, values: npt.NDArray[Any], more: Mapping[str, Any] | None = None, step: float = 0.0
    ) -> Path:
        """Write one image."""
        path = self.path / f"{name}.nii.gz"
        return write_nifti(path, values, self.patient.grid.affine, {**self.about, **(more or {})}, step)

    def dicom(self, name: str, values: Array, series: Series) -> Path:
        """Write one series."""
        return write_series(self.path / name, self.patient.grid, values, self.study, series)


def _ct(how: Ct, to: Folder, seed: int) -> Pictures:
    patient = to.patient
    patient.needs_particles("ct")
    per = how.sensitivity_to(patient.element)
    chance = np.random.default_rng(seed)
    tissue, spacing, files = patient.hounsfield, patient.grid.spacing, []
    tags = {"KVP": f"{how.energy or how.kvp:g}"}
    for number, (name, there) in enumerate((("before", 0.0), ("after", 1.0))):
        image = how.show(tissue, there * patient.concentration, patient.element, spacing, chance)
        more = {"SensitivityPerMgMl": per, "Units": "HU"}
        files.append(to.nifti(name, image, more))
        files.append(to.dicom(f"{name}_dicom", image, Series("CT", f"CT {name} delivery", number + 1, tags)))
    highest = per * float(patient.concentration.max())
    return Pictures(tuple(files), {
        "HU per mg/ml": f"{per:.4g}", "highest enhancement": f"{highest:.4g} HU", "noise": f"{how.noise:g} HU",
        "least concentration seen in a voxel (3 sd)": _amount(3.0 * np.sqrt(2.0) * how.noise / per if per else np.inf),
    })  # fmt: skip


def _mr(how: Mr, to: Folder, seed: int) -> Pictures:
    patient = to.patient
    patient.needs_particles("mr")
    chance, tissue, files = np.random.default_rng(seed), patient.relaxation, []
    for number, (name, there) in enumerate((("before", 0.0), ("after", 1.0))):
        image = how.show(tissue, there * patient.concentration, patient.element, chance)
        more = {"EchoTimes": list(how.echoes), "DecayPerMgMl": how.decay_by(patient.element), "Units": "1"}
        files.append(to.nifti(name, image, more))
        for echo, time in enumerate(how.echoes):
            tags = {"EchoTime": f"{1e3 * time:g}", "MagneticFieldStrength": f"{how.field:g}", "EchoNumbers": echo + 1}
            series = Series("MR", f"MR {name} delivery, echo {echo + 1}", 10 * (number + 1) + echo, tags, 1e-4)
            files.append(to.dicom(f"{name}_dicom/echo{echo + 1}", image[..., echo], series))
    limit = how.lost_above(patient.element, 35.0)
    lost = patient.concentration > limit
    mass = patient.concentration.sum()
    share = float(patient.concentration[lost].sum() / mass) if mass > 0.0 else 0.0
    return Pictures(tuple(files), {
        "R2* per mg/ml": f"{how.decay_by(patient.element):.4g} 1/s",
        "signal is lost above": _amount(limit), "share of the particles where it is lost": f"{share:.1%}",
    })  # fmt: skip


def _thermometry(how: Thermometry, to: Folder, seed: int) -> Pictures:
    patient, run = to.patient, to.patient.run
    if len(run.times) < 2:
        raise CaseError(f"{run.folder}: keeps no temperature over time; run the case with output.series = true")
    rate = Mr(field=how.field).decay_by(patient.element)
    scenery = patient.scenery(rate * patient.concentration * how.echo)
    reliable = scenery.reliable(how.snr)
    start = run.temperature(0)
    hottest = run.static["highest_temperature"].values if "highest_temperature" in run.static else start
    quiet = coldest(np.nan_to_num(patient.mean(hottest - start)), patient.body > 0.5)
    chance = np.random.default_rng(seed)
    base = patient.mean(start)
    times = np.arange(0.0, float(run.times[-1]) + 1e-6, how.period)
    first, reader, shown, phases, truth = None, None, [], [], []
    for time in times:
        rise = np.nan_to_num(patient.mean(_at(run, float(time)) - start))
        image = show(how, scenery, rise, float(time) / 3600.0, chance)
        if reader is None:
            first, reader = image, Reader(how, image, reliable, quiet)
        shown.append(base + reader.read(image))
        phases.append(np.angle(image))
        truth.append(base + rise)
    assert first is not None
    maps = np.stack(shown, axis=-1)
    more = {"Times": times.tolist(), "AvailableTimes": (times + how.lag).tolist(), "Units": "degC"}
    files = [
        to.nifti("temperature", maps.astype(np.float32), more, how.period),
        to.nifti("phase", np.stack(phases, axis=-1).astype(np.float32), {**more, "Units": "rad"}, how.period),
        to.nifti("magnitude", np.abs(first)),
        to.nifti("reliable", reliable),
    ]
    tags = {"EchoTime": f"{1e3 * how.echo:g}", "MagneticFieldStrength": f"{how.field:g}"}
    for index, time in enumerate(times):
        series = Series("MR", f"temperature, degC, {time:g} s", 100 + index, tags, 0.01, float(time))
        files.append(to.dicom(f"temperature_dicom/{index:04d}", maps[..., index], series))
    inside = patient.share(run.tumour) > 0.5 if run.tumour else patient.body > 0.5
    error = (maps - np.stack(truth, axis=-1))[reliable & inside]
    return Pictures(tuple(files), {
        "images": f"{len(times)}, one every {how.period:g} s, {how.lag:g} s late",
        "noise in tissue": f"{how.deviation:.3g} K",
        "error in the tumour where it can be read": f"{_rms(error):.3g} K (rms)",
        "share of the tumour where it fails": f"{1.0 - float(reliable[inside].mean()):.1%}",
        "phase wraps at": f"{np.pi / abs(how.per_kelvin):.3g} K from one image to the next",
    })  # fmt: skip


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


def _at(run: Run, time: float) -> Array:
    """Temperature (n,) at a time, linear between the kept ones."""
    after = int(np.clip(np.searchsorted(run.times, time), 1, len(run.times) - 1))
    start, end = run.times[after - 1 : after + 1]
    share = float(np.clip((time - start) / (end - start), 0.0, 1.0))
    return np.asarray((1.0 - share) * run.temperature(after - 1) + share * run.temperature(after))


def _visibility(how: Visibility, to: Folder, seed: int) -> Pictures:
    patient, run = to.patient, to.patient.run
    patient.needs_particles("visibility")
    inside = patient.share(run.tumour) if run.tumour else (patient.concentration > 0.0).astype(float)
    voxels = float(inside.sum())
    mean = float((inside * patient.concentration).sum() / max(voxels, 1e-9))
    load = float(patient.concentration.sum(axis=1).max() * patient.grid.spacing[1])
    found: dict[str, Visible] = {
        "ct": in_ct(how.ct, patient.element, mean, voxels),
        "mr": in_mr(how.mr, patient.element, mean, 35.0, voxels),
        "x-ray projection": in_projection(patient.element, load),
        "ultrasound": in_ultrasound(patient.element, mean),
    }
    about = {name: {"contrast_over_noise": item.index, "verdict": item.word} for name, item in found.items()}
    path = to.nifti("concentration", patient.concentration, {"Units": "mg/ml", "Visibility": about})
    words = {name: f"{item.index:.3g} ({item.word})" for name, item in found.items()}
    return Pictures((path,), {"mean in the target": f"{mean:.4g} mg/ml", **words})


def _emission(how: Emission, to: Folder, seed: int) -> Pictures:
    patient, run = to.patient, to.patient.run
    if "emission" not in run.static:
        raise CaseError(
            f"{run.folder}: nothing in it emits light; image a run with particles of kind upconversion under light"
        )
    seen = patient.density("emission")
    power = float(seen.sum() * patient.grid.voxel_volume)
    path = to.nifti("emission", seen, {"Units": "W/m^3"})
    return Pictures((path,), {"emitted": f"{power:.4g} W", "largest density": f"{seen.max():.4g} W/m^3"})


def _amount(concentration: float) -> str:
    return f"{concentration:.4g} mg/ml" if np.isfinite(concentration) else "not seen at all"


Scan = Ct | Mr | Thermometry | Visibility | Emission
MODALITIES: Mapping[str, tuple[type[Spec], Callable[[Any, Folder, int], Pictures]]] = {
    "ct": (Ct, _ct),
    "mr": (Mr, _mr),
    "thermometry": (Thermometry, _thermometry),
    "visibility": (Visibility, _visibility),
    "emission": (Emission, _emission),
}
"""Name of ``--modality`` -> how it is taken, and what takes it."""


def image_run(run: Run, how: Scan, out: Path | None = None, *, spacing: float | None = None, seed: int = 1) -> Pictures:
    """Make the images of a finished run into ``out`` (default ``RUN/images/MODALITY``).

    ``spacing`` of the voxels, m; ``seed`` of the noise. Raises ``CaseError`` where there is nothing to see.
    """
    patient = Patient.of(run, spacing)
    target = out if out is not None else run.folder / "images" / how.modality
    target.mkdir(parents=True, exist_ok=True)
    about = {
        "Modality": how.modality, "Element": patient.element, "Acquisition": how.model_dump(), "Seed": seed,
        "Run": run.name, "Note": "Simulated. For research, not for clinical decisions.",
    }  # fmt: skip
    study = Study.of(run.title, f"{run.name} {run.provenance.get('case_hash', '')}")
    return MODALITIES[how.modality][1](how, Folder(target, patient, study, about), seed)
