"""The end of a run: the zone judged, the fields and the summary written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thermal.march import Progress
from thermal.physics.scene import Device, Reading
from thermal.simulation.cuts import small_windows
from thermal.simulation.outcome import judge
from thermal.simulation.preparation import Prepared
from thermal.simulation.results import doubts, probe_readings, summarise
from thermal.simulation.verdicts import hear
from thermal.simulation.young_ice import young_ice
from thermal.store import Field, Fields, RunFolder
from thermal.zone import measure_zone


def conclude(prepared: Prepared, run: RunFolder, last: Progress, wall: float) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Judge the zone and write fields; returns the summary, and warnings that the result gives rise to."""
    case, engine = prepared.case, prepared.engine
    laws = prepared.loop.laws
    law = laws[case.zone_law.kind]
    extent = prepared.zone(last)
    zone = measure_zone(engine, *extent, prepared.anatomy.tumour)
    static = _static_fields(prepared, last)
    static["zone"] = Field(
        extent.measure, law.measure_unit, f"ablated where at or above {law.level:g}, by the law {law.kind}"
    )
    outcome = judge(case, prepared.anatomy, engine, extent, last, lambda: prepared.loop.bioheat.nodes)
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
    if prepared.earlier is not None:
        before = prepared.earlier.readings(engine, law, extent.measure, prepared.anatomy.tumour)
        summary |= {name: (reading.value, reading.unit) for name, reading in before.items()}
    summary |= {**judged, **_drug_readings(prepared, last)}
    late = (
        *doubts(case, prepared.tissues, last),
        *small_windows(case, prepared.loop.bioheat, prepared.initial, last),
        *young_ice(case, engine, last),
    )
    return summary, late


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
    for name, (values, unit) in prepared.drug_fields(last).items():
        fields[name] = Field(values, unit)
    return fields


def _drug_readings(prepared: Prepared, last: Progress) -> Mapping[str, Reading]:
    """What became of what the particles carry."""
    drug, engine, tumour = prepared.loop.drug, prepared.engine, prepared.anatomy.tumour or ""
    if drug is None or last.drug is None:
        return {}
    return drug.readings(last.drug, float(np.sum(engine.volumes[tumour])) if tumour in engine.volumes else 0.0)


def _devices(prepared: Prepared) -> tuple[Device, ...]:
    return (*prepared.delivered.devices, *prepared.source.devices)
