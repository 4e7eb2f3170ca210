"""How much work a step of a case asks for, judged before time starts (the schema counts steps and kept fields)."""

from __future__ import annotations

import numpy as np

from thermal.case import Case
from thermal.engines.legendre import stage_count
from thermal.heat import HeatState
from thermal.physics.bioheat import Bioheat
from thermal.physics.scene import Drive
from thermal.units import Array

MOST_STAGES = 1e4
"""Stages of one step beyond which a warning is given; the shipped cases need 10 to 100."""


def effort_warnings(case: Case, bioheat: Bioheat, temperature: Array) -> tuple[str, ...]:
    """What to say when the longest steps need very many stages, by the spectral bound at (n,) degC (Gershgorin)."""
    volume, held = bioheat.engine.volume, bioheat.surroundings.held.mask
    action = bioheat.action(Drive(np.zeros_like(volume)), None, (volume > 0) & ~held)
    state = HeatState(bioheat.heat.content(temperature), *(temperature.copy() for _ in range(3)))
    rates = bioheat.stepper(case.numerics.precision).begin(state, lambda: temperature, action)
    longest = min(case.numerics.max_step, case.bioheat.duration)
    stages = stage_count(longest * rates.decay)
    if stages <= MOST_STAGES:
        return ()
    return (
        f"numerics.max_step: a step of {longest:g} s would take {stages} stages (limit of what is sensible: "
        f"{MOST_STAGES:.0e}), because heat crosses the smallest cell in {1.0 / rates.decay:.2g} s; the run will be "
        "slow: use larger voxels, a smaller conductivity or a larger heat capacity where the cells are smallest",
    )
