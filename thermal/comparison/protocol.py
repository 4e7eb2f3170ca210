"""Treatments made comparable: as long as each other, or until all of them have reached the same goal."""

from __future__ import annotations

from dataclasses import dataclass

from thermal.case import Case
from thermal.case.parts import Until
from thermal.errors import CaseError
from thermal.units import Si

AFTER = 120.0
"""s simulated after the end of each treatment."""
LARGEST_MARGIN = 0.01
"""m, the largest margin that can be asked for (as in ``bioheat.until``)."""


@dataclass(frozen=True)
class Protocol:
    """What all treatments of a comparison share.

    ``time``: s of heating or freezing. ``margin``: m around the tumour, until which each is treated by its own
    controller, for ``time`` at most. Either may be None. Raises ``CaseError`` for impossible ones.
    """

    time: float | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.time is not None and not 1.0 <= self.time <= 1e6:
            raise CaseError(f'compare: a protocol time of {self.time:g} s is impossible; write e.g. --time "12 min"')
        if self.margin is not None and not 0.0 <= self.margin <= LARGEST_MARGIN:
            raise CaseError(
                f"compare: a margin of {1e3 * self.margin:g} mm is no goal; choose 0 to {1e3 * LARGEST_MARGIN:g} mm"
            )

    def of(self, case: Case) -> Case:
        """The case under this protocol; one without heating or freezing is left as it is."""
        if case.heating.kind == "none":
            return case
        bioheat, heating = case.bioheat, case.heating
        if self.time is not None:
            heating = heating.lasting(self.time)
            bioheat = bioheat.model_copy(update={"duration": self.time + AFTER})
        if self.margin is not None:
            bioheat = bioheat.model_copy(
                update={"until": Until.model_validate({"margin": Si(self.margin), "after": Si(AFTER)})}
            )
        copy = case.model_copy(update={"heating": heating, "bioheat": bioheat})
        return copy if case.origin is None else copy.with_origin(case.origin)

    @property
    def note(self) -> str | None:
        """What the reader of a comparison must know; None where each treatment had its own protocol."""
        lasting = None if self.time is None else f"{self.time / 60.0:g} min"
        if self.margin is None:
            return None if lasting is None else f"equal protocol time: {lasting} of heating or freezing each"
        goal = f"the same goal: the tumour and {1e3 * self.margin:g} mm of its organ around it"
        return f"{goal}, each by its own controller" + ("" if lasting is None else f", within {lasting} at most")
