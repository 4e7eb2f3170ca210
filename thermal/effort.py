"""How much work a case asks for, judged before time starts: numbers of steps, stages and kept fields."""

from __future__ import annotations

import numpy as np

from thermal.case import Case
from thermal.engines.legendre import stage_count
from thermal.errors import CaseError
from thermal.physics.bioheat import Bioheat
from thermal.physics.scene import Drive
from thermal.units import Array

MOST_STEPS = 1e7
"""Steps beyond which a run is refused: hours on the smallest grid, and a history of gigabytes."""
MOST_FIELDS = 1e5
"""Kept temperature fields beyond which a run is refused."""
MOST_STAGES = 1e4
"""Stages of one step beyond which a warning is given; the shipped cases need 10 to 100."""


def check_effort(case: Case) -> None:
    """Raise ``CaseError`` for a case that asks for more steps or kept fields than can be meant."""
    duration, output, numerics = case.bioheat.duration, case.output, case.numerics
    problems = []
    if (fields := duration / output.every) > MOST_FIELDS:
        problems.append(
            f"output.every: {output.every:g} s asks for {fields:.3g} temperature fields in {duration:g} s; the limit "
            f"is {MOST_FIELDS:.0e}: give {duration / MOST_FIELDS:.2g} s or more"
        )
    if (steps := duration / numerics.max_step) > MOST_STEPS:
        problems.append(
            f"numerics.max_step: {numerics.max_step:g} s asks for at least {steps:.3g} steps in {duration:g} s; the "
            f"limit is {MOST_STEPS:.0e}: give {duration / MOST_STEPS:.2g} s or more"
        )
    if problems:
        raise CaseError(*problems)


def effort_warnings(case: Case, bioheat: Bioheat, temperature: Array) -> tuple[str, ...]:
    """What to say when the longest steps need very many stages, by the spectral bound at (n,) degC (Gershgorin)."""
    volume, held = bioheat.engine.volume, bioheat.surroundings.held.mask
    action = bioheat.action(Drive(np.zeros_like(volume)), None, (volume > 0) & ~held)
    rates = bioheat.stepper(case.numerics.precision).begin(
        bioheat.heat.content(temperature), temperature, temperature, action
    )
    longest = min(case.numerics.max_step, case.bioheat.duration)
    stages = stage_count(longest * rates.decay)
    if stages <= MOST_STAGES:
        return ()
    return (
        f"numerics.max_step: a step of {longest:g} s would take {stages} stages (limit of what is sensible: "
        f"{MOST_STAGES:.0e}), because heat crosses the smallest cell in {1.0 / rates.decay:.2g} s; the run will be "
        "slow: use larger voxels, a smaller conductivity or a larger heat capacity where the cells are smallest",
    )
