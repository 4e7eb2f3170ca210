"""From start to end in time: history, frames and checkpoints are kept on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thermal.errors import CaseError
from thermal.heat import BUDGET
from thermal.interrupts import uninterrupted
from thermal.march import Progress
from thermal.physics.scene import Reading, State
from thermal.simulation.preparation import Prepared, Report
from thermal.simulation.results import probe_readings
from thermal.simulation.until import Endable
from thermal.store import Checkpoint, RunFolder
from thermal.units import Array
from thermal.zone import grown


def follow(prepared: Prepared, run: RunFolder, report: Report) -> tuple[Progress, float]:
    """March to the end, keeping history, frames and checkpoints; returns the last state and earlier wall time (s)."""
    loop, output = prepared.loop, prepared.case.output
    checkpoint = run.load_checkpoint()
    if checkpoint is None:
        start, earlier = prepared.start(), 0.0
        _note(prepared, run, start, kept=True)
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
                    _note(prepared, run, moment, kept=kept)
            now = time.perf_counter()
            if now - saved >= output.checkpoint and progress.state.time < loop.duration:
                run.save_checkpoint(*_freeze(progress, prepared, earlier + now - begun))
                saved = now
            report("bioheat", progress.state.time / loop.duration)
    except KeyboardInterrupt:
        run.save_checkpoint(*_freeze(progress, prepared, earlier + time.perf_counter() - begun))
        raise
    return progress, earlier


def _note(prepared: Prepared, run: RunFolder, moment: Progress, *, kept: bool) -> None:
    """Add a row to the history, and where its fields are to be ``kept`` a frame too, with what the zone has come to."""
    readings: dict[str, Reading] = {}
    if kept and prepared.case.output.series:
        zone = prepared.zone(moment)
        run.save_frame(moment.state.time, moment.state.temperature, zone.measure)
        readings = grown(prepared.engine, zone, prepared.anatomy.tumour)
    _record(prepared, run, moment, readings)


def _record(prepared: Prepared, run: RunFolder, progress: Progress, zone: Mapping[str, Reading]) -> None:
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
        **(prepared.drug_fields(progress) if prepared.probes else {}),
    }
    readings |= {**probe_readings(prepared.probes, fields, prepared.source), **zone}
    if progress.drive is not None:
        readings |= progress.drive.readings
    run.record(progress.state.time, readings)


_ARRAYS = ("lowest", "highest", "energy")
"""Always there."""
_SOMETIMES = ("content", "earlier", "drug")

_NUMBERS = ("throughput", "stored", "step", "last_step", "steps", "stages")


def _freeze(progress: Progress, prepared: Prepared, wall: float) -> tuple[dict[str, Array], dict[str, Any]]:
    arrays = {name: getattr(progress, name) for name in _ARRAYS}
    arrays["temperature"] = progress.state.temperature
    arrays |= {name: value for name in _SOMETIMES if (value := getattr(progress, name)) is not None}
    arrays |= {f"damage.{name}": value for name, value in progress.state.damage.items()}
    arrays |= {f"source.{name}": value for name, value in prepared.source.memory().items()}
    meta = {name: getattr(progress, name) for name in _NUMBERS}
    return arrays, {**meta, "time": progress.state.time, "wall": wall}


def _thaw(checkpoint: Checkpoint, prepared: Prepared) -> tuple[Progress, float]:
    """The state of a checkpoint, and the wall time (s) until then. Raises ``CaseError`` for one that lacks anything."""
    arrays, meta = checkpoint.arrays, checkpoint.meta
    needed = (*_ARRAYS, "temperature", *(f"damage.{name}" for name in prepared.loop.laws))
    lacking = [name for name in needed if name not in arrays]
    lacking += [name for name in (*_NUMBERS, "time", "wall") if name not in meta]
    if lacking:
        raise CaseError(
            f"the checkpoint lacks {', '.join(lacking)}, as another version of the program wrote it; start again with "
            "--force"
        )
    prepared.source.recall(_under("source.", arrays))
    state = State(meta["time"], np.asarray(arrays["temperature"]), _under("damage.", arrays))
    progress = prepared.start()
    values = {name: np.asarray(arrays[name]) for name in _ARRAYS} | {name: meta[name] for name in _NUMBERS}
    values |= {name: np.asarray(arrays[name]) if name in arrays else None for name in _SOMETIMES}
    return replace(progress, state=state, **values), float(meta["wall"])


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): np.asarray(value) for name, value in arrays.items() if name.startswith(prefix)}
