"""How much work a case asks for, judged before time starts (the schema counts steps and kept fields)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.case import Case
from thermal.engine import Engine
from thermal.engines.legendre import stage_count
from thermal.errors import CaseError
from thermal.heat import HeatState
from thermal.march.loop import MOST_STAGES as FORBIDDEN_STAGES
from thermal.physics.bioheat import Bioheat
from thermal.physics.scene import Drive
from thermal.units import Array

MOST_STAGES = 1e4
"""Stages of one step beyond which a warning is given; the shipped cases need 10 to 100."""

BARE, BARE_MEMORY = 5.0, 0.35e9
"""Seconds and bytes of a run on hardly any nodes: imports, library, files, pictures."""
NODE, NODE_MEMORY = 32e-6, 1500.0
"""Seconds and bytes a node takes besides its steps: delivery, light, judging and writing."""
NODE_STEP = 0.14e-6
"""Seconds a node takes in a step: heat, damage, ledgers and, where there is one, a potential."""
SHORT_STEPS = 100
"""Steps that are shorter than the longest: after the start, when sources switch, and where fronts move."""


@dataclass(frozen=True)
class Effort:
    """What a run will take, guessed from its nodes and steps alone.

    Measured by the four cases of ``cases/liver`` on the body CT (314 432 nodes, 215 to 300 steps), in seconds of one
    core of a Xeon: iron 24 s and 0.82 GB, RFA 25 s and 0.82 GB, gold 29 s and 0.88 GB, cryo 26 s and 0.81 GB, for which
    this says 29, 23, 24 and 27 s, and 0.82 GB. What it knows nothing of, such as photons one by one or many electrodes,
    may take several times as long.
    """

    nodes: int
    seconds: float
    memory: float
    """B"""

    @classmethod
    def of(cls, case: Case, engine: Engine) -> Effort:
        """From the number of nodes that have a volume and the steps that are likely."""
        nodes = int(np.count_nonzero(engine.volume > 0.0))
        steps = SHORT_STEPS + case.bioheat.duration / min(case.numerics.max_step, case.bioheat.duration)
        seconds = BARE + nodes * (NODE + NODE_STEP * steps)
        return cls(nodes, seconds, BARE_MEMORY + NODE_MEMORY * nodes)

    @property
    def gigabytes(self) -> str:
        """The memory in words."""
        return f"about {max(self.memory / 1e9, 0.1):.1f} GB"

    @staticmethod
    def duration(seconds: float) -> str:
        """Such a time in words."""
        for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
            if seconds >= 2.0 * length:
                return f"about {seconds / length:.2g} {unit}"
        return f"about {seconds:.2g} s"

    def __str__(self) -> str:
        return (
            f"{self.nodes:,} nodes: a run takes {self.gigabytes} of memory and, by a rough guess, "
            f"{self.duration(self.seconds)} on one core"
        )


def effort_warnings(case: Case, bioheat: Bioheat, temperature: Array) -> tuple[str, ...]:
    """What to say when the longest steps need very many stages, by the spectral bound at (n,) degC (Gershgorin).

    Raises ``CaseError`` where it is more than any step may have.
    """
    volume, held = bioheat.engine.volume, bioheat.surroundings.held.mask
    action = bioheat.action(Drive(np.zeros_like(volume)), None, (volume > 0) & ~held)
    state = HeatState(temperature, temperature, temperature)  # nothing is changed yet
    rates = bioheat.stepper(case.numerics.working).begin(state, lambda: temperature, action)
    longest = min(case.numerics.max_step, case.bioheat.duration)
    stages = stage_count(longest * rates.decay)
    if stages <= MOST_STAGES:
        return ()
    if stages > FORBIDDEN_STAGES:
        short = longest * (0.1 * FORBIDDEN_STAGES / stages) ** 2
        raise CaseError(
            f"numerics.max_step: a step of {longest:g} s would take {stages} stages, more than the {FORBIDDEN_STAGES} "
            f"that a step may have, because heat crosses the smallest cell in {1.0 / rates.decay:.2g} s; use larger "
            "cells, a smaller conductivity or a larger heat capacity where the cells are smallest (look for cells that "
            f'are nearly flat), or max_step = "{short:.1g} s" at the most'
        )
    return (
        f"numerics.max_step: a step of {longest:g} s would take {stages} stages (limit of what is sensible: "
        f"{MOST_STAGES:.0e}), because heat crosses the smallest cell in {1.0 / rates.decay:.2g} s; the run will be "
        "slow: use larger voxels, a smaller conductivity or a larger heat capacity where the cells are smallest",
    )
