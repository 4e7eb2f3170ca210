"""Where tissue is ablated in which share of the runs: a folder that view and export read like a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from thermal.batch.folder import ANATOMIES, RUNS, ZONE
from thermal.batch.members import Named
from thermal.store import Field, Fields, KeptFrames
from thermal.store.fields import read_fields, write_fields
from thermal.store.files import read_json, write_json, write_text
from thermal.store.names import FIELDS, HISTORY, PROVENANCE, RESOLVED, STATUS, SUMMARY
from thermal.units import Mask

LIKELY = 0.95
"""Share of the runs in which what lies within the drawn border is ablated."""


def write_probability(batch: Path, name: str, members: Sequence[Named], title: str) -> Path | None:
    """Write folder ``name`` with the nodal field ``probability_of_ablation``; None where the anatomies differ.

    Its zone is what is ablated in at least 95 % of the runs.
    """
    if len({named.anatomy for named in members}) > 1:
        return None
    runs = [batch / RUNS / named.name for named in members]
    kept = batch / ANATOMIES / f"{members[0].anatomy}.h5"
    fields = read_fields(kept if kept.exists() else runs[0] / FIELDS)
    nodes = len(next(iter(fields.static.values())).values)
    probability = np.zeros(nodes)
    for run in runs:
        probability += _ablated(run, nodes)
    probability /= len(runs)
    target = batch / name
    target.mkdir(exist_ok=True)
    law = fields.zone_law
    shown = replace(
        fields,
        title=f"Probability of ablation: {title}",
        zone_field="probability_of_ablation",
        zone_level=LIKELY,
        zone_law=f"{law} in {100 * LIKELY:.0f} % of the runs or more",
        static={"probability_of_ablation": Field(probability, "", f"share of {len(runs)} runs that ablate, by {law}")},
        times=np.empty(0),
        frames=KeptFrames(),
    )
    write_fields(target / FIELDS, shown)
    for file in (RESOLVED, PROVENANCE):
        write_json(target / file, read_json(runs[0] / file))
    write_text(target / HISTORY, "time_s\n")
    volume = {"value": None, "unit": "m^3"}
    write_json(target / SUMMARY, {"runs": {"value": len(runs), "unit": ""}, "zone.volume": volume})
    write_json(target / STATUS, {"state": "done", "message": "probability of ablation, made from a batch"})
    return target


def _ablated(run: Path, nodes: int) -> Mask:
    """(n,) nodes that a run ablates."""
    if (run / ZONE).exists():
        return np.unpackbits(np.load(run / ZONE, allow_pickle=False), count=nodes).astype(bool)
    fields: Fields = read_fields(run / FIELDS)
    return np.asarray(fields.static[fields.zone_field].values >= fields.zone_level)
