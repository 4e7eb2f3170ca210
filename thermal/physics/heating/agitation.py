"""Particles that an alternating field turns instead of heating: what a time in the field does."""

from __future__ import annotations

import numpy as np

from thermal.engine import Engine
from thermal.physics.scene import Payload, Reading
from thermal.units import Array

Field = tuple[Array, str]


def agitate(
    engine: Engine, payload: Payload, amplitude: Array, exposed: float
) -> tuple[dict[str, Field], dict[str, Reading]]:
    """Fields and summary of ``exposed`` s in a field of peak ``amplitude`` (n,) A/m; nothing where none are turned."""
    if payload.agitation is None:
        return {}, {}
    fields = payload.agitation(amplitude, payload.concentration, exposed)
    readings = {"mechanical.exposure_time": Reading(exposed, "s")}
    for name in ("torque", "force"):
        values, unit = fields[f"disc_{name}"]
        readings[f"mechanical.maximum_{name}"] = Reading(float(np.max(values)), unit)
    if "mechanically_killed" in fields:
        killed, _ = fields["mechanically_killed"]
        for region, volume in engine.volumes.items():
            if (whole := float(np.sum(volume))) > 0.0:
                readings[f"mechanical.killed.{region}"] = Reading(float(killed @ volume) / whole, "")
    return fields, readings
