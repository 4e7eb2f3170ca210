"""``thermal control``: the same patient treated by a plan and by a controller who watches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thermal.batch.members import base_value
from thermal.batch.priors import as_toml, written
from thermal.case import Case, load_case
from thermal.case.guided import Control
from thermal.errors import CaseError
from thermal.guidance.ahead import Ahead, plan_levels
from thermal.guidance.estimate import Estimate
from thermal.guidance.goal import Dose, Goal
from thermal.guidance.learning import FACTORS
from thermal.guidance.overtime import planned_end, prolonged
from thermal.guidance.peaks import Peaks
from thermal.guidance.pilots import Recorded, Simple, most_level
from thermal.guidance.pump import PRESSURE, eased, slowed
from thermal.guidance.steered import steer
from thermal.guidance.thermometer import Thermometer, limits_at
from thermal.physics.control import Predictive
from thermal.progress import Report
from thermal.simulation import Prepared, conclude, follow, prepare
from thermal.simulation.preparation import provenance_table
from thermal.simulation.workshop import Workshop
from thermal.store import Run, RunFolder, read_run
from thermal.store.files import json_safe, read_json, write_json, write_text
from thermal.store.names import PILOT
from thermal.units import Array

HORIZON = 20.0
"""s, of the plan where the controller has none of its own."""


@dataclass(frozen=True)
class Treated:
    """One run: ``excess`` is by how many K the worst place passed its limit (negative: kept)."""

    run: Run
    excess: float
    levels: Array
    times: Array
    """(k + 1,) s, from and until which the levels (k,) held"""

    @property
    def coverage(self) -> float:
        """Share of the tumour that was destroyed."""
        return float(self.run.value("zone.tumour_coverage"))

    @property
    def heated_for(self) -> float:
        """s with any power."""
        return float(np.diff(self.times)[self.levels > 0.0].sum())


@dataclass(frozen=True)
class Controlled:
    """What came of both: by the plan (``open``) and under control (``closed``)."""

    open: Treated
    closed: Treated
    estimates: Mapping[float, Estimate]
    caution: float
    """K that the plan was to keep off every limit"""


def patient_of(case: Case, control: Control, path: Path, overrides: list[str], anatomy: str | None) -> Case:
    """The case of the patient who is really there. Raises ``CaseError`` for keys without a number."""
    changed = []
    for key, factor in control.patient.items():
        value, unit = base_value(case, key)
        changed.append(f"{key}={as_toml(written(value * factor, unit) if unit else value * factor)}")
    return load_case(path, [*overrides, *changed], anatomy)


def _to_be_watched(case: Case, control: Control) -> Case:
    """The case for as long as it may take under control, without what would make a source remember, and without the
    tables that only steer."""
    bioheat = case.bioheat.model_copy(update={"until": None})
    bare = case.model_copy(update={"bioheat": bioheat, "plan": None})
    if case.origin is not None:
        bare = bare.with_origin(case.origin)
    return bare if control.cover is None else prolonged(bare, control.longest)


def control_case(
    path: Path,
    out: Path | None = None,
    *,
    set: list[str] | None = None,
    anatomy: str | None = None,
    progress: Report | None = None,
    force: bool = False,
) -> Controlled:
    """Treat the patient of a case by the plan and under control, into ``out/open`` and ``out/closed``.

    What was interrupted goes on where it stopped, and what is done is not done again, unless ``force`` is set. Raises
    ``CaseError`` for a case without [control], and for a heating whose power cannot be set.
    """
    report: Report = progress or (lambda stage, share: None)
    overrides = list(set or ())
    case = load_case(path, overrides, anatomy)
    control = case.control
    if control is None:
        raise CaseError(f'{path}: has no [control]; add one with controller.kind = "pid" or another')
    folder = out if out is not None else Path("results") / case.name
    real = _to_be_watched(patient_of(case, control, path, overrides, anatomy), control)
    workshop = Workshop(2)

    def ready(one: Case) -> Prepared:
        return prepare(one, report, workshop)

    model, flow = eased(ready(_to_be_watched(case, control)), control.pressure, ready)
    truth = ready(slowed(real, flow, control.pressure))
    watched, _ = eased(truth, control.pressure, ready)
    for source in (model.source, truth.source):
        if source.memory():
            raise CaseError("control: this heating remembers what it did, so a model of it cannot be run beside it; "
                            "leave out what makes it do so (coagulation_update, a generator of its own)")  # fmt: skip
    every, duration = control.every, truth.case.bioheat.duration
    looks = np.arange(0.0, duration - 1e-6, every)
    horizon = control.controller.horizon if isinstance(control.controller, Predictive) else HORIZON
    report("plan", 0.0)
    peaks = Peaks(Thermometer.of(model, control))
    levels = plan_levels(model, control, looks, planned_end(case), horizon, peaks.watch)
    planned = Recorded(levels, looks)
    opened = _treat(truth, planned, looks, folder / "open", control, report, force)
    thermometer = Thermometer.of(watched, control)
    thermometer.sharp = peaks.factor
    pilot = _pilot(model, thermometer, control, looks)
    closed = _treat(watched, pilot, looks, folder / "closed", control, report, force)
    acted, learned = _acted(closed)
    times = np.array([*looks, duration])
    found = Controlled(
        Treated(opened, _excess(truth, control, opened), levels, times),
        Treated(closed, _excess(truth, control, closed), acted, times),
        learned,
        control.caution,
    )
    write_text(folder / "control.json", json.dumps(json_safe(_table(found, looks)), indent=2) + "\n")
    return found


def _pilot(model: Prepared, thermometer: Thermometer, control: Control, looks: Array) -> Simple | Ahead:
    most = most_level(model, control)
    if isinstance(control.controller, Predictive):
        return Ahead(control.controller, thermometer, model, looks, most, Goal.of(model, control))
    goal = Goal.of(model, control)
    dose = None if goal is None else Dose.of(goal, thermometer)
    return Simple(control.controller, thermometer, looks, most, dose)


def _treat(
    truth: Prepared, pilot: Recorded | Simple | Ahead, looks: Array, folder: Path, control: Control, report: Report,
    force: bool,
) -> Run:  # fmt: skip
    """Run one treatment, or go on with it; beside its results lies what the pilot did and learned."""
    with RunFolder.open(folder, truth.case, resume=not force, force=force) as run:
        if not run.finished:
            steered = steer(truth, looks, pilot)
            run.write_resolved(provenance_table(steered))
            last, wall = follow(steered, run, report)
            summary, late = conclude(steered, run, last, wall)
            run.write_summary({**summary, "warnings": ([*steered.warnings, *late], "")})
            learned = getattr(pilot, "estimates", {})
            estimates = [{"time": time, "ensemble": found.ensemble.tolist()} for time, found in learned.items()]
            write_json(run.path / PILOT, {"levels": list(pilot.levels), "estimates": estimates})
            run.finish()
    return read_run(folder)


def _acted(run: Run) -> tuple[Array, dict[float, Estimate]]:
    """What the pilot of a run did at each look, and learned when. Raises ``CaseError`` for a damaged file."""
    path = run.folder / PILOT
    told = read_json(path)
    try:
        levels = np.array(told["levels"], dtype=float)
        learned = {float(each["time"]): np.array(each["ensemble"], dtype=float) for each in told["estimates"]}
    except (KeyError, TypeError, ValueError):
        raise CaseError(f"{path}: is damaged; give the command again with --force") from None
    return levels, {time: Estimate(FACTORS, ensemble) for time, ensemble in learned.items()}


def _excess(truth: Prepared, control: Control, run: Run) -> float:
    """K, by which the true temperature passed a limit anywhere at any time; negative: room that was left."""
    hottest = np.asarray(run.static["highest_temperature"].values)
    solid = truth.engine.volume > 0.0
    return float((hottest - limits_at(truth, control))[solid].max())


_UNITS = {
    "minimum_margin": "m",
    "zone_volume": "m^3",
    "healthy_volume": "m^3",
    "heated_for": "s",
    "peak_temperature": "degC",
    "limit_passed_by": "K",
    "caution": "K",
    "needle_pressure": "Pa",
    "times": "s",
    "levels": "share of the power of the case",
}


def _table(found: Controlled, looks: Array) -> dict[str, Any]:
    def one(treated: Treated) -> dict[str, Any]:
        run = treated.run
        return {
            "tumour_coverage": treated.coverage,
            "minimum_margin": run.value("zone.minimum_margin"),
            "zone_volume": run.value("zone.volume"),
            "peak_temperature": run.value("peak_temperature"),
            "limit_passed_by": treated.excess,
            "healthy_volume": run.value("zone.healthy_volume"),
            **({"needle_pressure": run.value(PRESSURE)} if PRESSURE in run.summary else {}),
            "heated_for": treated.heated_for,
            "levels": treated.levels,
        }

    return {
        "open": one(found.open),
        "closed": one(found.closed),
        "times": looks,
        "caution": found.caution,
        "estimates": [
            {"time": time, **{name: {"median": m, "interval": list(i)} for name, m, i in zip(
                e.names, e.median, e.interval, strict=True)}}
            for time, e in found.estimates.items()
        ],
        "units": _UNITS,
        "note": "For research, not for clinical decisions.",
    }  # fmt: skip
