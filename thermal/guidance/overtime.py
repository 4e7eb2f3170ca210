"""How long a treatment under control may go on: what is watched need not end by the clock of the plan."""

from __future__ import annotations

from typing import Any

from thermal.case import Case


def planned_end(case: Case) -> float:
    """s, at which the heating of a case ends by its own clock."""

    def last(part: Any) -> list[float]:
        parts = getattr(part, "parts", None)
        if parts:
            return [end for each in parts for end in last(each)]
        on = getattr(part, "on", None)
        return [on[-1][1]] if on else [case.bioheat.duration]

    return float(min(max(last(case.heating)), case.bioheat.duration))


def prolonged(case: Case, factor: float) -> Case:
    """The case whose heating may last ``factor`` times as long: what is on last is on for longer, and as much is
    simulated after it as before."""
    end = planned_end(case)
    more = (factor - 1.0) * end

    def longer(part: Any) -> Any:
        if getattr(part, "parts", None):
            return part.model_copy(update={"parts": tuple(longer(each) for each in part.parts)})
        on = getattr(part, "on", None)
        if not on or on[-1][1] < end:
            return part
        return part.model_copy(update={"on": (*on[:-1], (on[-1][0], on[-1][1] + more))})

    bioheat = case.bioheat.model_copy(update={"duration": case.bioheat.duration + more})
    made = case.model_copy(update={"bioheat": bioheat, "heating": longer(case.heating)})
    return made.with_origin(case.origin) if case.origin is not None else made
