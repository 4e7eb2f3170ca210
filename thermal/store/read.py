"""A finished run, as view, export and compare see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from thermal.domain import Domain
from thermal.errors import CaseError, unknown
from thermal.physics.scene import Device
from thermal.store.fields import Field, Fields, read_fields
from thermal.store.files import read_json
from thermal.store.history import History, read_history
from thermal.store.lock import Lock
from thermal.store.names import FIELDS, HISTORY, PROVENANCE, RESOLVED, STATUS, SUMMARY
from thermal.store.ordinary import check_ordinary
from thermal.store.seal import OF_SOME, check_unchanged, sealed
from thermal.units import Array


@dataclass(frozen=True)
class Run:
    """Results of one case; fields and history are read when first asked for."""

    folder: Path
    summary: Mapping[str, Mapping[str, Any]]
    """dotted key -> ``{"value", "unit"}``"""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    seals: Mapping[str, str] = field(default_factory=dict)
    """hashes of the results, as the run wrote them"""

    def value(self, key: str) -> Any:
        """Value of a summary entry in SI (degC for temperatures); ``None`` where there is none."""
        if key not in self.summary:
            raise unknown("entry of the summary", key, self.summary)
        return self.summary[key]["value"]

    @cached_property
    def history(self) -> History:
        """Readings over time."""
        return read_history(self.folder / HISTORY)

    @cached_property
    def fields(self) -> Fields:
        """Everything spatial. Raises ``CaseError`` for a file that is not what the run wrote."""
        check_unchanged(self.folder, self.seals, FIELDS)
        return read_fields(self.folder / FIELDS)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def domain(self) -> Domain:
        """The discretised anatomy."""
        return self.fields.domain

    @property
    def title(self) -> str:
        """Title of the case, else the folder's name."""
        return self.fields.title or self.name

    @property
    def tumour(self) -> str:
        """Region of the tumour, or empty."""
        return self.fields.tumour

    @property
    def zone_field(self) -> str:
        """Static field that defines the ablation zone."""
        return self.fields.zone_field

    @property
    def zone_level(self) -> float:
        """The zone is where the field is at or above this."""
        return self.fields.zone_level

    @property
    def zone_law(self) -> str:
        """Name of the law."""
        return self.fields.zone_law

    @property
    def static(self) -> Mapping[str, Field]:
        """Fields that do not change with time, or stand as they were at the end."""
        return self.fields.static

    @property
    def devices(self) -> tuple[Device, ...]:
        """Needles, fibres, electrodes."""
        return self.fields.devices

    @property
    def times(self) -> Array:
        """(k,) s, of the kept temperature fields."""
        return self.fields.times

    @property
    def background(self) -> tuple[Array, Array] | None:
        """Image values (3-D) and affine (4, 4), if the anatomy was an image."""
        return self.fields.background

    def temperature(self, index: int) -> Array:
        """Temperature at ``times[index]``, (n,) degC."""
        return self.fields.frames.temperature(index)

    def zone(self, index: int) -> Array | None:
        """What the zone is measured by at ``times[index]``, (n,), of the same level; None where it was not kept."""
        return self.fields.frames.zone(index)


def is_run(path: str | Path) -> bool:
    """Whether a path is a run folder, finished or not."""
    return (Path(path) / STATUS).is_file()


def read_run(path: str | Path) -> Run:
    """Read a finished run folder. Raises ``CaseError`` that says what to do when it is none."""
    folder = Path(path)
    if not folder.is_dir():
        raise CaseError(f"{folder}: no such run folder; make one with: thermal run CASE --out {folder}")
    if not is_run(folder):
        raise CaseError(
            f"{folder}: is no run folder (it has no file {STATUS}); make one with: thermal run CASE --out DIR"
        )
    check_ordinary(folder)
    status = read_json(folder / STATUS)
    state = status.get("state")
    if state != "done":
        holder = Lock(folder).held_by()
        if holder:
            raise CaseError(f"{folder}: the run is still being computed, by {holder}; wait until it is done")
        reason = f": {status['message']}" if status.get("message") else ""
        words = "running, but no process is at it: it was killed" if state == "running" else f"{state}{reason}"
        raise CaseError(
            f"{folder}: the run is not finished ({words}); finish it with: thermal run CASE --out {folder} --resume"
        )
    seals = sealed(folder, status)
    check_unchanged(folder, seals, SUMMARY, RESOLVED, HISTORY, PROVENANCE, *OF_SOME)
    summary = read_json(folder / SUMMARY)
    if any(not isinstance(entry, dict) or set(entry) != {"value", "unit"} for entry in summary.values()):
        raise CaseError(f"{folder / SUMMARY}: is damaged; run the case again with --force")
    return Run(
        folder=folder,
        summary=summary,
        resolved=read_json(folder / RESOLVED),
        provenance=read_json(folder / PROVENANCE),
        message=str(status.get("message", "")),
        seals=seals,
    )
