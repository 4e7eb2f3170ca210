"""One case from start to end: anatomy, delivery, heating, bioheat with damage, zone, summary."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from thermal.accuracy import Companion, companion, estimate
from thermal.anatomy import Anatomy, vectors
from thermal.anatomy.data import resolve
from thermal.assemble import (
    held_field,
    initial_temperature,
    make_bioheat,
    make_tissues,
    without_volume,
)
from thermal.case import Case
from thermal.effort import effort_warnings
from thermal.engine import Engine
from thermal.engines.compiled import announced
from thermal.errors import CaseError
from thermal.heat import BUDGET, Nodes
from thermal.imaging.grid import image_reader
from thermal.interrupts import uninterrupted
from thermal.library import Sourced
from thermal.march import Control, Loop, Progress
from thermal.outcome import judge
from thermal.physics.delivery import Delivered, Site
from thermal.physics.drug import Drug
from thermal.physics.particles import Particle
from thermal.physics.scene import Device, Mapped, Payload, Reading, Scene, Source, State
from thermal.physics.tissue import Tissues
from thermal.places import check_places, ill_sized
from thermal.results import Spot, doubts, locate_probes, probe_readings, summarise
from thermal.store import COARSE, Checkpoint, Field, Fields, Run, RunFolder, input_hashes, read_run
from thermal.units import Array
from thermal.until import Endable
from thermal.verdicts import hear
from thermal.workshop import Workshop
from thermal.zone import Extent, measure_zone

Report = Callable[[str, float], None]
"""Called with the stage and the share of it that is done (0..1)."""

_log = logging.getLogger("thermal")


@dataclass(frozen=True)
class Prepared:
    """A case ready to be marched in time."""

    case: Case
    anatomy: Anatomy
    engine: Engine
    tissues: Tissues
    delivered: Delivered
    source: Source
    loop: Loop
    initial: Array
    library: list[Sourced]
    warnings: tuple[str, ...]

    @cached_property
    def solid(self) -> Nodes:
        """Nodes that have a volume."""
        return np.flatnonzero(self.engine.volume > 0)

    @cached_property
    def probes(self) -> dict[str, Spot]:
        """The probe points, located."""
        return locate_probes(self.case, self.engine)


def simulate(
    case: Case,
    folder: RunFolder | str | Path | None = None,
    progress: Report | None = None,
    *,
    workshop: Workshop | None = None,
) -> Run:
    """Run ``case`` in ``folder`` (a new temporary one by default) and return its results.

    ``workshop``: shares what does not change with the cases run before. A finished folder of the same case is returned
    as it is; an unfinished one is refused (open a ``RunFolder`` with ``resume`` to go on). Raises ``CaseError`` for bad
    input, ``NotConvergedError`` when a solve fails.
    """
    report = progress or (lambda stage, share: None)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="thermal-")) / "run"
    if isinstance(folder, RunFolder):
        _announced(folder, case, report, workshop or Workshop())
        return read_run(folder.path)
    with RunFolder.open(folder, case) as run:
        _announced(run, case, report, workshop or Workshop())
    return read_run(run.path)


def _announced(run: RunFolder, case: Case, report: Report, workshop: Workshop) -> None:
    """Simulate; the first run after an installation says what it waits for."""
    with announced(lambda text: report(text, 0.0)):
        _simulate_into(run, case, report, workshop)


def _simulate_into(
    run: RunFolder, case: Case, report: Report, workshop: Workshop, level: int = logging.WARNING
) -> None:
    """The story of one run; ``level`` is that of the log at which its warnings are given."""
    if run.finished:
        return
    started = time.perf_counter()
    prepared = prepare(case, report, workshop)
    run.write_resolved(provenance_table(prepared))
    for warning in prepared.warnings:
        _log.log(level, warning)
    preparing = time.perf_counter() - started
    made, coarse = _run_companion(prepared, run, report) if case.numerics.error_estimate else (None, None)
    started = time.perf_counter()
    last, earlier = follow(prepared, run, report)
    summary, late = conclude(prepared, run, last, earlier + preparing + time.perf_counter() - started)
    if made is not None and coarse is not None:
        bands = estimate(summary, made, coarse.summary)
        late += bands.warnings
        summary |= bands.entries
    for warning in late:
        _log.log(level, warning)
    run.write_summary({**summary, "warnings": ([*prepared.warnings, *late], "")})
    run.finish()


def _run_companion(prepared: Prepared, run: RunFolder, report: Report) -> tuple[Companion, Run]:
    """The coarser run of an error estimate, in a folder of its own within that of the run, where it is resumed.

    It comes first: it is soon done, and when it is interrupted nothing else needs to be kept.
    """
    made = companion(prepared.case, prepared.anatomy.domain, prepared.source)
    try:
        with RunFolder.open(run.path / COARSE, made.case, resume=True) as folder:
            _simulate_into(folder, made.case, _prefixed("coarser run", report), Workshop(), logging.INFO)
    except CaseError as error:
        remedy = "use finer voxels, or leave numerics.error_estimate out"
        raise CaseError(
            *(f"numerics.error_estimate: no run with {made.what}: {problem}; {remedy}" for problem in error.problems)
        ) from error
    return made, read_run(run.path / COARSE)


def _prefixed(words: str, report: Report) -> Report:
    return lambda stage, share: report(f"{words}, {stage}", share)


def check(case: Case) -> list[str]:
    """Build the anatomy and look at everything that can be checked without solving.

    Returns notes for the user. Raises ``CaseError`` with all problems that were found.
    """
    anatomy, engine, tissues, _ = build(case)
    initial = initial_temperature(case, tissues)
    make_bioheat(case, tissues, initial)
    check_places(case, engine)
    input_hashes(case)
    if isinstance(case.heating, Mapped):
        case.heating.check_maps(vectors.reader(case.folder), engine.points[engine.volume > 0.0])
    return [*anatomy.notes, *(f"warning: {text}" for text in _early_warnings(case, anatomy, engine))]


def _early_warnings(case: Case, anatomy: Anatomy, engine: Engine) -> tuple[str, ...]:
    """What can be doubted before anything is computed."""
    return (*without_volume(case, anatomy), *ill_sized(case, engine))


def build(case: Case, workshop: Workshop | None = None) -> tuple[Anatomy, Engine, Tissues, list[Sourced]]:
    """Anatomy, engine and tissues of a case."""
    anatomy, engine = (workshop or Workshop()).ground(case)
    tissues, library = make_tissues(case, anatomy, engine)
    return anatomy, engine, tissues, library


def prepare(case: Case, report: Report, workshop: Workshop | None = None) -> Prepared:
    """Everything before time starts: anatomy, particles delivered, heat source prepared."""
    report("anatomy", 0.0)
    workshop = workshop or Workshop()
    anatomy, engine, tissues, library = build(case, workshop)
    check_places(case, engine)
    initial = initial_temperature(case, tissues)
    bioheat = make_bioheat(case, tissues, initial)
    site = Site(
        engine,
        tissues,
        anatomy.tumour or "",
        held_field(case, engine, "pressure"),
        held_field(case, engine, "concentration"),
        image_reader(engine, case.folder),
    )
    delivered = workshop.delivered(case, lambda: case.delivery.deliver(site, lambda share: report("delivery", share)))
    if delivered.perfusion is not None:
        bioheat = replace(bioheat, perfusion=bioheat.perfusion * delivered.perfusion)
    payload, drug = None, None
    if case.particles is not None:
        particle = Particle(case.particles.loaded(lambda name, place: resolve(name, case.folder, place)))
        library += particle.sources()
        payload = Payload(
            delivered.bulk,
            particle.optics,
            particle.specific_absorption_rate,
            particle.agitation,
            particle.emission,
            particle.reshaped,
            particle.doubts,
        )
        drug = _bind_drug(case, tissues, delivered, site.tumour_volume)
    report("heating", 0.0)
    scene = Scene(
        engine,
        tissues,
        payload,
        held_field(case, engine, "potential"),
        case.bioheat.duration,
        initial,
        read_vectors=vectors.reader(case.folder),
    )
    source: Source = case.heating.prepare(scene)
    if case.bioheat.until is not None:
        source = Endable.of(source, case, anatomy.tumour)
    library += source.library
    laws = {name: law.bind(delivered.bulk) for name, law in case.damage.chosen().items()}
    numerics = case.numerics
    for law in laws.values():
        library += law.sources()
    loop = Loop(
        bioheat,
        source,
        laws,
        Control(numerics.temperature_tolerance, numerics.max_step, numerics.first_step, numerics.precision),
        case.bioheat.duration,
        case.perfusion_law,
        output_times(case),
        source.ticks,
        drug,
    )
    early = _early_warnings(case, anatomy, engine)
    warnings = (
        *case.notes(),
        *anatomy.warnings,
        *early,
        *effort_warnings(case, bioheat, initial),
        *delivered.warnings,
        *source.warnings,
    )
    return Prepared(case, anatomy, engine, tissues, delivered, source, loop, initial, library, warnings)


def _bind_drug(case: Case, tissues: Tissues, delivered: Delivered, tumour: Array) -> Drug | None:
    """What the delivered particles carry, if anything; ``tumour`` (n,) m3."""
    load = case.particles.payload if case.particles is not None else None
    if load is None:
        return None
    perfused = tissues.mix_nodes({name: case.bioheat.embolisation.get(name, 1.0) for name in tissues.by_region})
    if delivered.perfusion is not None:
        perfused = perfused * delivered.perfusion
    engine, diffusion = tissues.engine, None
    if load.diffusivity > 0.0:
        diffusion = engine.conductance(tissues.mix_cells(dict.fromkeys(tissues.by_region, load.diffusivity)))
    return load.bind(delivered.bulk, engine.volume, tumour, perfused, diffusion)


def output_times(case: Case) -> tuple[float, ...]:
    """Times in s of the kept temperature fields, the end included."""
    duration, every = case.bioheat.duration, case.output.every
    return (*(every * np.arange(1, int(np.ceil(duration / every - 1e-9)))).tolist(), duration)


def provenance_table(prepared: Prepared) -> Mapping[str, Any]:
    """Library numbers that the run uses, with their sources, and the files that the anatomy was made of."""
    return {
        "numbers": prepared.library,
        "anatomy": {"notes": list(prepared.anatomy.notes), "files": [list(pair) for pair in prepared.anatomy.sources]},
    }


def follow(prepared: Prepared, run: RunFolder, report: Report) -> tuple[Progress, float]:
    """March to the end, keeping history, frames and checkpoints; returns the last state and earlier wall time (s)."""
    loop, output = prepared.loop, prepared.case.output
    checkpoint = run.load_checkpoint()
    if checkpoint is None:
        start, earlier = loop.start(prepared.initial), 0.0
        _record(prepared, run, start)
        if output.series:
            run.save_frame(0.0, start.state.temperature)
    else:
        start, earlier = _thaw(checkpoint, prepared)
    progress = start
    begun = saved = time.perf_counter()
    try:
        states, ending = loop.march(start), prepared.source
        while progress.state.time < min(loop.duration, ending.finish if isinstance(ending, Endable) else np.inf):
            with uninterrupted():  # the march works in place: amid a step there is no state to go on from
                progress = next(states)
                if isinstance(ending, Endable) and ending.covers(prepared.engine, loop.laws, progress):
                    progress = replace(progress, step=0.0)  # the power jumps
                    states = loop.march(progress)
                for moment, kept in loop.moments(progress):
                    _record(prepared, run, moment)
                    if kept and output.series:
                        run.save_frame(moment.state.time, moment.state.temperature)
            now = time.perf_counter()
            if now - saved >= output.checkpoint and progress.state.time < loop.duration:
                run.save_checkpoint(*_freeze(progress, prepared, earlier + now - begun))
                saved = now
            report("bioheat", progress.state.time / loop.duration)
    except KeyboardInterrupt:
        run.save_checkpoint(*_freeze(progress, prepared, earlier + time.perf_counter() - begun))
        raise
    return progress, earlier


def _record(prepared: Prepared, run: RunFolder, progress: Progress) -> None:
    solid, temperature = prepared.solid, progress.state.temperature
    inside = temperature if solid.size == temperature.size else temperature.take(solid)
    readings = {
        "peak_temperature": Reading(float(inside.max()), "degC"),
        "lowest_temperature": Reading(float(inside.min()), "degC"),
        "step": Reading(progress.step, "s"),
        **{f"energy.{line}": Reading(float(value), "J") for line, value in zip(BUDGET, progress.energy, strict=True)},
        "energy.stored": Reading(progress.stored, "J"),
    }
    laws = prepared.loop.laws
    fields = {
        **prepared.delivered.fields,
        **{name: (laws[name].shown(value), laws[name].unit) for name, value in progress.state.damage.items()},
        "temperature": (progress.state.temperature, "degC"),
        "highest_temperature": (progress.hottest, "degC"),
        "lowest_temperature": (progress.coldest, "degC"),
        "concentration": (prepared.delivered.bulk, "kg/m^3"),
        **(_drug_fields(prepared, progress) if prepared.probes else {}),
    }
    readings |= probe_readings(prepared.probes, fields, prepared.source)
    if progress.drive is not None:
        readings |= progress.drive.readings
    run.record(progress.state.time, readings)


_ARRAYS = ("v", "coldest", "hottest", "energy")
_NUMBERS = ("throughput", "stored", "step", "last_step", "steps", "stages")


def _freeze(progress: Progress, prepared: Prepared, wall: float) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays = {name: getattr(progress, name) for name in _ARRAYS}
    arrays["temperature"] = progress.state.temperature
    if progress.earlier is not None:
        arrays["earlier"] = progress.earlier
    if progress.drug is not None:
        arrays["drug"] = progress.drug
    arrays |= {f"damage.{name}": value for name, value in progress.state.damage.items()}
    arrays |= {f"source.{name}": value for name, value in prepared.source.memory().items()}
    meta = {name: getattr(progress, name) for name in _NUMBERS}
    return arrays, {**meta, "time": progress.state.time, "wall": wall}


def _thaw(checkpoint: Checkpoint, prepared: Prepared) -> tuple[Progress, float]:
    arrays, meta = checkpoint.arrays, checkpoint.meta
    prepared.source.recall(_under("source.", arrays))
    state = State(meta["time"], np.asarray(arrays["temperature"]), _under("damage.", arrays))
    progress = prepared.loop.start(prepared.initial)
    values = {name: np.asarray(arrays[name]) for name in _ARRAYS} | {name: meta[name] for name in _NUMBERS}
    earlier = np.asarray(arrays["earlier"]) if "earlier" in arrays else None
    drug = np.asarray(arrays["drug"]) if "drug" in arrays else None
    return replace(progress, state=state, earlier=earlier, drug=drug, **values), float(meta["wall"])


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): np.asarray(value) for name, value in arrays.items() if name.startswith(prefix)}


def conclude(prepared: Prepared, run: RunFolder, last: Progress, wall: float) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Judge the zone and write fields; returns the summary, and warnings that the result gives rise to."""
    case, engine = prepared.case, prepared.engine
    laws = prepared.loop.laws
    law = laws[case.zone_law.kind]
    measure = law.measure(last.state.damage[law.kind], last.hottest, last.state.time)
    zone = measure_zone(engine, measure, law.level, prepared.anatomy.tumour)
    static = _static_fields(prepared, last)
    static["zone"] = Field(measure, law.measure_unit, f"ablated where at or above {law.level:g}, by the law {law.kind}")
    outcome = judge(case, prepared.anatomy, engine, Extent(measure, law.level), last)
    static |= outcome.fields
    verdicts = hear(engine, laws, law.kind, last, prepared.anatomy.tumour)
    static["dead_by"] = Field(verdicts.dead_by, "1", f"share of the laws of {law.sense} by which tissue is dead")
    run.write_fields(
        Fields(
            domain=prepared.anatomy.domain,
            title=case.title or case.name,
            tumour=prepared.anatomy.tumour or "",
            zone_field="zone",
            zone_level=law.level,
            zone_law=law.kind,
            static=static,
            devices=_devices(prepared),
            times=run.frame_times,
            frames=run.frames,
            background=prepared.anatomy.background,
        )
    )
    if prepared.delivered.history:
        run.write_delivery(prepared.delivered.history)
    fields = {name: (field.values, field.unit) for name, field in static.items()}
    judged = {
        name: (reading.value, reading.unit) for name, reading in {**verdicts.readings, **outcome.readings}.items()
    }
    probes = probe_readings(prepared.probes, fields, prepared.source)
    summary = summarise(case, engine, prepared.delivered, prepared.source, last, zone, probes, run.history(), wall)
    summary |= {**judged, **_drug_readings(prepared, last)}
    return summary, doubts(case, prepared.tissues, last)


def _static_fields(prepared: Prepared, last: Progress) -> dict[str, Field]:
    fields = {
        "temperature": Field(last.state.temperature, "degC", "temperature at the end"),
        "concentration": Field(prepared.delivered.bulk, "kg/m^3", "particles per volume of tissue"),
        "highest_temperature": Field(last.hottest, "degC", "highest temperature"),
        "lowest_temperature": Field(last.coldest, "degC", "lowest temperature"),
    }
    for name, law in prepared.loop.laws.items():
        fields[name] = Field(law.shown(last.state.damage[name]), law.unit, law.long_name)
    for name, (values, unit) in {**prepared.delivered.fields, **prepared.source.fields}.items():
        fields[name] = Field(values, unit)
    for name, (values, unit) in _drug_fields(prepared, last).items():
        fields[name] = Field(values, unit)
    return fields


def _drug_fields(prepared: Prepared, progress: Progress) -> dict[str, tuple[Array, str]]:
    """Those of what the particles carry."""
    drug = prepared.loop.drug
    return {} if drug is None or progress.drug is None else drug.fields(progress.drug)


def _drug_readings(prepared: Prepared, last: Progress) -> Mapping[str, Reading]:
    """What became of what the particles carry."""
    drug, engine, tumour = prepared.loop.drug, prepared.engine, prepared.anatomy.tumour or ""
    if drug is None or last.drug is None:
        return {}
    return drug.readings(last.drug, float(np.sum(engine.volumes[tumour])) if tumour in engine.volumes else 0.0)


def _devices(prepared: Prepared) -> tuple[Device, ...]:
    return (*prepared.delivered.devices, *prepared.source.devices)
