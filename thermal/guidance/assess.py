"""After the treatment: the zone that an image shows, against the tumour and against the plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from thermal.anatomy.dicom import is_dicom, read_dicom
from thermal.anatomy.volume import Volume, read_volume, sample_at
from thermal.case.schema import LONGEST_TITLE
from thermal.errors import CaseError
from thermal.guidance.case_file import case_text, moved
from thermal.guidance.next_step import Step, suggest
from thermal.imaging.dicom import ABLATED, BLUE, MAGENTA, MASS, RED, YELLOW, Segment, Study, write_segmentation
from thermal.imaging.grid import to_nodes
from thermal.imaging.nifti import write_nifti
from thermal.imaging.patient import Patient
from thermal.store import Run
from thermal.store.files import json_safe, write_text
from thermal.units import Array
from thermal.zone import Distance, Extent, compare_zones, measure_zone
from thermal.zone.margins import left_over, measure_margins, target_cover, target_nodes

NEXT = "next.toml"
"""File with the case of the next treatment."""
MARGIN = 5e-3
"""m, margin that is wanted by default (M. Ahmed et al. 2014: 5 mm at least)."""
ROUNDED, LEVELS = 4, (0.25, 0.75)
"""Digits of the share of a seen zone at a node, which shall not hang on how a place is written, and the lowest and the
highest share at which its border may lie."""
NEAR = 10e-3
"""m, from the tumour's border, within which the map of margins goes."""


@dataclass(frozen=True)
class Assessment:
    """What a zone means for a tumour. ``readings``: name -> (value, SI unit); ``steps``: what would cover the rest."""

    patient: Patient
    zone: Extent
    planned: Extent
    margin: float
    readings: Mapping[str, tuple[float, str]]
    steps: tuple[Step, ...]

    @property
    def verdict(self) -> str:
        """In a sentence."""
        left, aim = self.readings["residual_tumour"][0], self.readings["target.residual"][0]
        if left <= 0.0 and aim <= 0.0:
            return f"the tumour and {self.margin * 1e3:g} mm around it in its organ are covered"
        what = f"{aim * 1e6:.3g} ml of the tumour with its margin of {self.margin * 1e3:g} mm"
        if left > 0.0:
            what = f"{left * 1e6:.3g} ml of the tumour, and {what}"
        if not self.steps:
            return f"{what} are left, and no zone was planned that could be moved there"
        done = self.steps[-1].covers
        count = "one more treatment" if len(self.steps) == 1 else f"{len(self.steps)} more treatments"
        return f"{what} are left; {count} like the planned one, moved as listed, would cover {done:.1%} of that"

    @cached_property
    def maps(self) -> dict[str, npt.NDArray[Any]]:
        """On voxels: ``zone``, ``planned``, ``tumour`` and ``residual`` (one inside), and ``margin`` in mm."""
        patient = self.patient
        zone = _inside(patient, self.zone)
        tumour = patient.share(patient.run.tumour) >= 0.5
        return {
            "zone": zone,
            "planned": _inside(patient, self.planned),
            "tumour": tumour,
            "residual": tumour & ~zone,
            "margin": self._margins(),
        }

    def _margins(self) -> Array:
        """Signed distance in mm to the border of the zone, positive inside, near the tumour; NaN elsewhere."""
        engine, grid = self.patient.engine, self.patient.grid
        found = np.full(grid.shape, np.nan)
        surface = engine.isosurface(*self.zone)
        tumour = self.patient.share(self.patient.run.tumour)
        near = np.argwhere((tumour > 0.0) & (tumour < 1.0))
        if not len(surface.triangles) or not len(near):
            return found
        at = near * grid.spacing + grid.affine[:3, 3]
        sign = np.where(_value(self.patient, self.zone.measure, at) >= self.zone.level, 1e3, -1e3)
        found[tuple(near.T)] = sign * Distance(surface)(at)
        return found


def _value(patient: Patient, measure: Array, at: Array) -> Array:
    held = patient.engine.holds(at)
    found = np.full(len(at), float(measure.min()))
    found[held] = patient.engine.sample(measure, at[held])
    return found


def _inside(patient: Patient, zone: Extent) -> npt.NDArray[np.bool_]:
    """(a, b, c) voxels whose middle lies in the zone, of those that are tissue."""
    grid = patient.grid
    value = _value(patient, zone.measure, grid.centres.reshape(3, -1).T).reshape(grid.shape)
    return np.asarray((value >= zone.level) & (patient.body >= 0.5))


def read_segmented(path: Path, label: int | None) -> Volume:
    """An image that is one inside: where the label (of a SEG: the segment) is ``label``; without that where its one
    label is, or where shares that it holds instead are one half at least. Raises ``CaseError``, also for several labels
    of which none is chosen.
    """
    if not (path.is_file() or path.is_dir()):
        raise CaseError(f"--against: {path}: no such file or folder")
    volume = Volume(*read_dicom(path, "--against", label), path) if is_dicom(path) else read_volume(path, "--against")
    values = np.nan_to_num(volume.values)
    held = np.unique(values[values > 0.0])
    known = ", ".join(f"{x:g}" for x in held[:20]) or "nothing above 0"
    if label is None and len(held) > 1 and not _are_shares(held):
        raise CaseError(f"--against {volume.path}: holds the labels {known}; say which of them is the zone: --label")
    inside = values >= (0.5 if _are_shares(held) else 1.0) if label is None else values == label
    if not inside.any():
        what = "holds a zone" if label is None else f"has the label {label}"
        raise CaseError(f"--against {volume.path}: no voxel {what}; it holds {known}")
    return Volume(inside.astype(np.float32), volume.affine, volume.path)


def _are_shares(held: Array) -> bool:
    """Whether values above 0 are shares or chances, not labels."""
    return bool(held.size and held.max() <= 1.0)


def assess(run: Run, against: Volume | None = None, margin: float = MARGIN) -> Assessment:
    """Judge the zone of an image (:func:`read_segmented`; by default the run's own) against the run's tumour and zone.

    Raises ``CaseError`` for a run without a tumour, and for an image that does not lie over it.
    """
    patient = Patient.of(run)
    engine, tumour = patient.engine, run.tumour
    if not tumour:
        raise CaseError(f"{run.folder}: its anatomy names no tumour to assess; give anatomy.tumour")
    if not 0.0 <= margin <= NEAR:
        raise CaseError(f"--margin: found {margin * 1e3:g} mm; expected 0 to 10 mm")
    planned = Extent(np.asarray(run.static[run.zone_field].values), run.zone_level)
    zone = planned if against is None else _seen(patient, against)
    vessels = [name for name, entry in (run.resolved.get("tissues") or {}).items() if entry.get("temperature")]
    vessels = [name for name in vessels if name in engine.shares]
    readings = measure_zone(engine, zone.measure, zone.level, tumour).as_readings()
    if (margins := measure_margins(engine, zone, tumour, vessels)) is not None:
        readings |= {name: (r.value, r.unit) for name, r in margins.readings.items()}
    readings |= {name: (r.value, r.unit) for name, r in left_over(engine, zone, tumour).items()}
    if against is not None:
        readings |= _agreement(patient, zone, planned)
    volume, covered = target_cover(engine, zone, tumour, margin, vessels)
    target = target_nodes(engine, tumour, margin, vessels)
    left = target[zone.measure[target] < zone.level]
    readings["residual_tumour"] = (float(readings["zone.residual_volume"][0]), "m^3")
    readings["target.volume"] = (volume, "m^3")
    readings["target.residual"] = (max(volume - covered, 0.0) if len(left) else 0.0, "m^3")
    return Assessment(patient, zone, planned, margin, readings, suggest(engine, planned, left))


def _seen(patient: Patient, image: Volume) -> Extent:
    """The zone of an image on the run's nodes, of the image's own volume in the body: what its voxels smooth off is
    made up for by the level. Raises ``CaseError`` where the two do not meet."""
    engine = patient.engine
    solid = engine.volume > 0.0
    if not np.isfinite(sample_at(image, engine.points[solid].T)).any():
        raise CaseError(
            f"--against {image.path}: lies outside the run's window; check that both are of the same patient space "
            "(NIfTI is RAS, DICOM is LPS)"
        )
    share, volume = to_nodes(engine, _around(image, 2.0 * float(engine.cell_size.max())))
    share = np.round(share, ROUNDED)

    def spare(level: float) -> float:
        return float(engine.inside(share, level) @ engine.cell_volume) - volume

    low, high = LEVELS
    if not share.max() >= high or spare(low) <= 0.0:
        return Extent(share, low)
    return Extent(share, high if spare(high) >= 0.0 else float(brentq(spare, low, high, xtol=1e-3)))


def _around(image: Volume, margin: float) -> Volume:
    """The part of an image that holds all that is above 0, with a margin (m) around it."""
    index = np.argwhere(image.values > 0)
    spare = np.ceil(margin / image.spacing).astype(int) + 1
    low = np.maximum(index.min(axis=0) - spare, 0)
    high = np.minimum(index.max(axis=0) + spare + 1, image.values.shape)
    a, b, c = (slice(int(i), int(j)) for i, j in zip(low, high, strict=True))
    return image.crop((a, b, c))


def _agreement(patient: Patient, zone: Extent, planned: Extent) -> dict[str, tuple[float, str]]:
    agreement = compare_zones(patient.engine, zone, planned)
    found = {"agreement.dice": (agreement.dice, "")}
    if agreement.hausdorff_distance is not None and agreement.mean_surface_distance is not None:
        found["agreement.hausdorff_distance"] = (agreement.hausdorff_distance, "m")
        found["agreement.mean_surface_distance"] = (agreement.mean_surface_distance, "m")
    return found


def write_assessment(found: Assessment, folder: Path) -> tuple[Path, ...]:
    """Write ``assessment.json``, the maps as NIfTI, and ``assessment.dcm`` (DICOM SEG) in patient space."""
    folder.mkdir(parents=True, exist_ok=True)
    patient, run = found.patient, found.patient.run
    table: dict[str, Any] = {
        "readings": {name: {"value": value, "unit": unit} for name, (value, unit) in found.readings.items()},
        "verdict": found.verdict,
        "next_steps": [
            {"shift": step.shift.tolist(), "covers": step.covers, "devices": _moved(run, step)} for step in found.steps
        ],
        "note": "For research, not for clinical decisions.",
    }
    write_text(folder / "assessment.json", json.dumps(json_safe(table), indent=2) + "\n")
    files = [folder / "assessment.json"]
    if found.steps and (text := next_case(run, found.steps[0])):
        write_text(folder / NEXT, text)
        files.append(folder / NEXT)
    for name, values in found.maps.items():
        about = {"Units": "mm"} if name == "margin" else {"Units": "1 inside"}
        files.append(write_nifti(folder / f"{name}.nii.gz", values, patient.grid.affine, about))
    looks = {"tumour": (MASS, YELLOW), "zone": (ABLATED, RED), "planned": (ABLATED, BLUE), "residual": (MASS, MAGENTA)}
    segments = [Segment(name, found.maps[name].astype(bool), *look) for name, look in looks.items()]
    study = Study.of(run.title, f"{run.name} {run.provenance.get('case_hash', '')}")
    files.append(write_segmentation(folder / "assessment.dcm", patient.grid, segments, study))
    return tuple(files)


def next_case(run: Run, step: Step) -> str:
    """A case file of one more treatment that goes on from a run, its devices moved; empty where none has a place."""
    found, count = moved({name: run.resolved[name] for name in ("delivery", "heating")}, step.shift)
    if not count:
        return ""
    kept = 0.0 if found["delivery"]["kind"] == "image" else 1.0  # the image shows all particles that there are
    resolved = {**run.resolved, **found, "earlier": {"run": str(run.folder.resolve()), "kept": kept}}
    files = run.provenance.get("case_files") or ["."]
    remark = f"A treatment after {run.name}, where it covers most of what that left (thermal assess)."
    return case_text(resolved, Path(files[0]).parent, remark, f"{run.title}, next"[:LONGEST_TITLE])


def _moved(run: Run, step: Step) -> list[dict[str, Any]]:
    """Where the devices would lie, patient RAS, m."""
    return [
        {"name": device.name or device.kind, "start": (np.asarray(device.shape.start) + step.shift).tolist(),
         "end": (np.asarray(device.shape.end) + step.shift).tolist()}
        for device in run.devices
    ]  # fmt: skip
