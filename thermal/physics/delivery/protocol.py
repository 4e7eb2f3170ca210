"""What the pump does: steps of flow or pressure with pauses, at one place after another."""

from __future__ import annotations

from pydantic import model_validator

from thermal.units import Concentration, Duration, Flow, Length, Point, PositivePressure, Spec


class Step(Spec):
    """One step of a protocol: infusion at a flow or at a pressure, or a pause."""

    duration: Duration
    """of the step"""
    flow: Flow | None = None
    """volume of infusate per time"""
    pressure: PositivePressure | None = None
    """in the needle, instead of a flow; a step with neither is a pause"""
    concentration: Concentration | None = None
    """mass of particles per volume of infusate, where it differs from delivery.concentration"""
    withdraw: Length | None = None
    """how far the needle is drawn back, along itself, before this step"""

    @model_validator(mode="after")
    def _one_control(self) -> Step:
        if self.flow is not None and self.pressure is not None:
            raise ValueError("flow and pressure are both given; the pump holds one of them: delete the other")
        return self


class Place(Spec):
    """Where a needle goes in and where its tip comes to lie."""

    entry: Point
    """where the needle enters the body"""
    tip: Point
    """centre of the port at its end"""
    protocol: tuple[Step, ...] | None = None
    """steps at this place; those of delivery when absent"""

    @model_validator(mode="after")
    def _has_direction(self) -> Place:
        if self.entry == self.tip:
            raise ValueError("entry and tip are the same point; the needle needs a direction")
        return self
