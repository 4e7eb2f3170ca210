"""The pump under control: it gives way where the pressure in the needle would pass its limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thermal.case import Case
from thermal.errors import CaseError
from thermal.physics.delivery.infusion import Infusion
from thermal.simulation import Prepared

TRIES, CLOSE = 8, 1e-3
"""Times that the flow is lessened, since the pressure may not be linear in it, and the relative excess that counts as
none: that of the gauge of a pump."""
PRESSURE = "delivery.port_pressure"


def eased(made: Prepared, limit: float | None, again: Callable[[Case], Prepared]) -> tuple[Prepared, float]:
    """A case made ready with no more pressure in its needles than ``limit`` Pa, and the flow (m3/s) that its pump never
    passes; ``again`` makes it ready once more.

    What would pass the limit is infused more slowly, for as long as the same volume takes. Raises ``CaseError`` for a
    delivery without a pump, and where no flow keeps the limit.
    """
    case, most = made.case, float("inf")
    if limit is None:
        return made, most
    if not isinstance(case.delivery, Infusion):
        raise CaseError(f'control.pressure: delivery.kind = "{case.delivery.kind}" has no pump whose pressure could be '
                        "kept; leave it out, or infuse")  # fmt: skip
    for _ in range(TRIES):
        reached = made.delivered.readings[PRESSURE].value
        if reached <= (1.0 + CLOSE) * limit:
            return made, most
        most = min(most, _largest_flow(case.delivery)) * limit / reached
        made = again(slowed(case, most, limit))
    lowest = f"{most * 6e7:.3g} ml/min"
    raise CaseError(
        f"control.pressure: found {reached:.3g} Pa in the needle at the lowest flow that was tried ({lowest}); "
        f"expected at most {limit:.3g} Pa: heighten it, or use wider ports"
    )


def slowed(case: Case, most: float, limit: float | None) -> Case:
    """The case with no flow above ``most`` m3/s, for as long as the same volume takes, and with no pressure that is
    held above ``limit`` Pa."""

    def changed(part: Any) -> Any:
        """A part with a flow, a pressure or a protocol of its own, slowed."""
        changes: dict[str, Any] = {}
        flow, pressure = getattr(part, "flow", None), getattr(part, "pressure", None)
        if flow is not None and flow > most:
            changes |= {"flow": most, "duration": part.duration * flow / most}
        if pressure is not None and limit is not None and pressure > limit:
            changes["pressure"] = limit
        for name in ("protocol", "sites"):
            if own := getattr(part, name, None):
                changes[name] = tuple(changed(item) for item in own)
        return part.model_copy(update=changes) if changes else part

    made = case.model_copy(update={"delivery": changed(case.delivery)})
    return made.with_origin(case.origin) if case.origin is not None else made


def _largest_flow(delivery: Infusion) -> float:
    """m3/s, of all its steps."""

    def flows(part: Any) -> list[float]:
        own = [getattr(part, "flow", None) or 0.0]
        return own + [flow for name in ("protocol", "sites") for item in getattr(part, name, None) or ()
                      for flow in flows(item)]  # fmt: skip

    return max(flows(delivery))
