"""Thin probes a hand could hold: the needles and ball tips shared by radiofrequency and cryoablation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Discriminator, Tag, model_validator

from thermal.domain import Ball, Line, Probe
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.scene import Device, probe_line
from thermal.units import Array, Length, Point, ProbeRadius, Spec


class Needle(Spec):
    """A straight probe from ``entry`` to ``tip``; its last ``active_length`` works, the rest is insulated."""

    entry: Point
    """where it enters the window or the body; gives its direction"""
    tip: Point
    """the end that is deepest in the tissue"""
    radius: ProbeRadius
    """of its cross-section"""
    active_length: Length
    """length from the tip back that works"""
    end: ClassVar[str] = "tip"
    """key of the point where it ends"""

    @model_validator(mode="after")
    def _fits(self) -> Needle:
        inserted = float(np.linalg.norm(np.subtract(self.entry, self.tip)))
        if self.active_length > inserted * (1.0 + 1e-9):
            raise ValueError(
                f"active_length = {1e3 * self.active_length:.4g} mm is longer than the way from entry to tip, "
                f"{1e3 * inserted:.4g} mm; move the entry point back along the needle or shorten active_length"
            )
        return self

    @property
    def probe(self) -> Line:
        """The working part."""
        return probe_line(self.entry, self.tip, self.active_length, self.radius)

    def reaching(self, length: float) -> Needle:
        """The needle whose working part is ``length`` m long. Raises ``ValueError`` where it is shorter than that."""
        inserted = float(np.linalg.norm(np.subtract(self.entry, self.tip)))
        if length > inserted * (1.0 + 1e-9):
            raise ValueError(f"{1e3 * length:.4g} mm is longer than the way from entry to tip, {1e3 * inserted:.4g} mm")
        return Needle.model_construct(entry=self.entry, tip=self.tip, radius=self.radius, active_length=length)

    @property
    def body(self) -> Line:
        """The whole probe, for pictures."""
        return Line(self.entry, self.tip, self.radius)

    @property
    def wall_area(self) -> float:
        """Area of the working part's side wall, m2 (the tip's end is left out)."""
        return 2.0 * np.pi * self.radius * self.active_length


class BallTip(Spec):
    """A working sphere whose shaft is left out."""

    centre: Point
    """of the working sphere"""
    radius: ProbeRadius
    """of the working sphere"""
    end: ClassVar[str] = "centre"
    """key of the point where it ends"""

    @property
    def probe(self) -> Ball:
        """The working part."""
        return Ball(self.centre, self.radius)

    def reaching(self, length: float) -> Needle:
        """Raises ``ValueError``: its shaft is left out."""
        raise ValueError("a ball has no shaft that could be cooled; leave it out")

    @property
    def body(self) -> Line:
        """The sphere as a line of no length, for pictures."""
        return Line(self.centre, self.centre, self.radius)

    @property
    def wall_area(self) -> float:
        """Area of the sphere, m2."""
        return 4.0 * np.pi * self.radius**2


def _form(value: Any) -> str:
    if isinstance(value, dict):
        return "ball" if "centre" in value else "needle"
    return "ball" if isinstance(value, BallTip) else "needle"


Applicator = Annotated[
    Annotated[Needle, Tag("needle")] | Annotated[BallTip, Tag("ball")],
    Discriminator(_form),
]
"""``{entry, tip, radius, active_length}`` or ``{centre, radius}``."""


def contact_factor(
    engine: Engine, contact: Callable[[Probe], Array], applicator: Needle | BallTip, where: str
) -> Array:
    """Sub-grid shape factor (n,) m of the working part by one of the contacts of the ``engine``.

    Raises ``CaseError`` naming the key ``where`` when the probe leaves the window or touches no tissue.
    """
    try:
        factor = contact(applicator.probe)
    except ValueError as error:
        raise CaseError(f"{where}: the active part leaves the domain: {error}; move it or enlarge the window") from None
    factor = np.where(engine.volume > 0, factor, 0.0)
    if not np.any(factor > 0):
        raise CaseError(f"{where}: the active part touches no tissue; move it into the body")
    return factor


def device(kind: str, name: str, applicator: Needle | BallTip, where: str) -> Device:
    """The applicator as a device; ``where`` is its key in the case file."""
    return Device(kind, name, applicator.body, applicator.probe, f"{where}.{applicator.end}")
