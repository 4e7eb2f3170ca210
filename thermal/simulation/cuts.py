"""Whether the part of the body that is simulated is large enough: what left it where the body is cut."""

from __future__ import annotations

import numpy as np

from thermal.assemble import cut_nodes
from thermal.case import Case
from thermal.heat import BUDGET
from thermal.march import Progress
from thermal.physics.bioheat import Bioheat
from thermal.units import Array

LEAST_SHARE = 0.1
"""Share of the heat of a treatment that may leave through the cuts: around a lesion of 6 mm in liver, a tenth makes the
zone 1 % smaller, a fifth 5 %, two fifths 16 %; without perfusion, half of it makes temperatures a fifth too low."""


def small_windows(case: Case, bioheat: Bioheat, initial: Array, last: Progress) -> tuple[str, ...]:
    """What to say of cuts through the body, kept at their ``initial`` temperature (n,), that took much of the heat.

    The ledger has the heat of all held nodes. Those of the cuts have a part in it by what would flow into them with all
    tissue at its highest temperature of the run at once, or its lowest where probes drew heat.
    """
    lines = dict(zip(BUDGET, last.energy, strict=True))
    treatment = float(max(lines["source"], lines["probes"], key=abs))
    if (
        treatment == 0.0
        or abs(lines["held"]) <= LEAST_SHARE * abs(treatment)
        or any(part.holds for part in case.heating.acting)
    ):
        return ()
    engine, held = bioheat.engine, bioheat.surroundings.held.mask
    change = np.where(held, 0.0, (last.hottest if treatment > 0.0 else last.coldest) - initial)
    taken = np.where(held, np.abs(engine.conductance(bioheat.cells.at_37)(change)), 0.0)
    everywhere, through = float(taken.sum()), float(taken[cut_nodes(case, engine)].sum())
    share = abs(lines["held"] / treatment) * (through / everywhere if everywhere > 0.0 else 0.0)
    if share <= LEAST_SHARE:
        return ()
    moved = "of the heat of the treatment left" if treatment > 0.0 else "of the heat that the probes drew came in"
    return (
        f"boundaries: {100.0 * share:.0f} % {moved} where the body is cut, which keeps its initial temperature: the "
        "zone is smaller than in the whole body; make the window (or the mesh) larger, or say in [boundaries] what is "
        "there",
    )
