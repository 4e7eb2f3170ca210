"""The needle in the tissue: its ports, and what its track takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.domain import Ball, Line, Probe
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.delivery.backflow import Backflow
from thermal.physics.delivery.flow import Flow, Medium
from thermal.physics.delivery.port import Port
from thermal.units import Array

TRACK_PARTS = 12
"""Parts of the track along which backflow leaks into the tissue."""
WIDEST_CAVITY = 20e-3
"""m"""
CAVITY_ROUNDS = 12
CLOSE = 0.01
"""Relative, to which the pressure in a cavity meets that which opens it."""


@dataclass(frozen=True)
class AtNeedle:
    """What of a flow is told: ``pressure`` Pa in the needle, ``injected`` and ``out`` m3/s into the tissue and at the
    skin, ``port_flows`` (k,) m3/s, lengths in m."""

    pressure: float
    injected: float
    port_flows: Array
    out: float
    backflow: float
    cavity: float


@dataclass(frozen=True)
class Driven:
    """A flow with what happens at the needle: ``out`` m3/s at the skin, lengths in m."""

    flow: Flow
    out: float = 0.0
    backflow: float = 0.0
    cavity: float = 0.0

    @property
    def told(self) -> AtNeedle:
        """The same without its fields."""
        flow = self.flow
        total = float(np.sum(flow.injected))
        return AtNeedle(flow.port_pressure, total, flow.port_flows, self.out, self.backflow, self.cavity)


@dataclass(frozen=True)
class Needle:
    """A needle whose tip lies at ``tip``, entering at ``entry``, m; ``place`` is its key in the case file.

    ``radius``: of its ports; ``length``: of a porous end, zero for an open one; ``side_ports``: m from the tip.
    """

    entry: tuple[float, float, float]
    tip: tuple[float, float, float]
    place: str
    radius: float
    length: float
    end_port: bool
    side_ports: tuple[float, ...]

    def back(self, distance: float) -> tuple[float, float, float]:
        """The point ``distance`` m behind the tip."""
        start, tip = np.asarray(self.entry), np.asarray(self.tip)
        x, y, z = tip + distance * (start - tip) / np.linalg.norm(start - tip)
        return float(x), float(y), float(z)

    @property
    def depth(self) -> float:
        """m from the tip to the entry."""
        return float(np.linalg.norm(np.subtract(self.entry, self.tip)))

    def withdrawn(self, distance: float) -> Needle:
        """The needle drawn back. Raises ``CaseError`` where it leaves the body."""
        if distance >= self.depth:
            raise CaseError(
                f"{self.place}: drawn back by {1e3 * distance:.4g} mm in all, the needle of {1e3 * self.depth:.4g} mm "
                "is out of the body; withdraw less"
            )
        return Needle(
            self.entry, self.back(distance), self.place, self.radius, self.length, self.end_port, self.side_ports
        )

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The openings."""
        end: tuple[Probe, ...] = ()
        if self.end_port:
            end = (Line(self.tip, self.back(self.length), self.radius) if self.length else Ball(self.tip, self.radius),)
        return (*end, *(Ball(self.back(distance), self.radius) for distance in self.side_ports))

    @property
    def behind_tip(self) -> tuple[tuple[str, Probe], ...]:
        """The openings that do not end at the tip, each after the key of the case file that says where."""
        first = len(self.probes) - len(self.side_ports)
        porous = tuple(("delivery.port_length", probe) for probe in self.probes[:first] if isinstance(probe, Line))
        return porous + tuple((f"delivery.side_ports[{n}]", probe) for n, probe in enumerate(self.probes[first:]))

    def shaft(self, radius: float) -> Line:
        """Its body of this radius, m, which ends where the port begins."""
        return Line(self.entry, self.back(self.radius if not self.length else self.length), radius)

    def ports(self, medium: Medium) -> list[Port]:
        """The openings on the grid."""
        return [medium.port(probe, self.place) for probe in self.probes]

    def at_flow(self, medium: Medium, flow: float, backflow: Backflow | None, opening: float | None) -> Driven:
        """``flow`` m3/s through the ports, part of it along the track, or from a cavity that keeps to ``opening``
        Pa."""
        if backflow is not None:
            return self._along_track(medium, flow, backflow)
        found = medium.at_flow(self.ports(medium), flow)
        if opening is None or found.port_pressure <= opening:
            return Driven(found)
        return self._cavity(medium, flow, opening, found)

    def _along_track(self, medium: Medium, flow: float, backflow: Backflow) -> Driven:
        engine = medium.engine
        tip = medium.port(Ball(self.tip, backflow.needle_radius), self.place)
        track = backflow.along(flow, tip.conductivity(engine, medium.permeability), self.depth)
        weights = np.zeros_like(tip.weights)
        for part, share in enumerate(track.shares(TRACK_PARTS)):
            line = Line(
                self.back(part * track.length / TRACK_PARTS),
                self.back((part + 1) * track.length / TRACK_PARTS),
                backflow.needle_radius,
            )
            weights = weights + share * self._held(engine, line, tip.weights)
        whole = Line(self.tip, self.back(track.length), backflow.needle_radius)
        found = medium.at_flow([Port(weights, 0.0, whole)], track.into_tissue)
        return Driven(found.at_port(track.pressure), track.out, track.length)

    def _held(self, engine: Engine, line: Line, otherwise: Array) -> Array:
        """Weights of a part of the track; what of it is out of the tissue goes to the tip."""
        try:
            return engine.spread(line)[0]
        except ValueError:
            return otherwise

    def _cavity(self, medium: Medium, flow: float, opening: float, found: Flow) -> Driven:
        """A ball around the tip, wide enough for the pressure to fall to that which opens tissue."""
        engine = medium.engine
        radius = self.radius
        for _ in range(CAVITY_ROUNDS):
            port = medium.port(Ball(self.tip, radius), self.place)
            found = medium.at_flow([port], flow)
            if abs(found.port_pressure - opening) <= CLOSE * opening:
                return Driven(found, cavity=radius)
            local = port.conductivity(engine, medium.permeability)
            curvature = 1.0 / radius - (found.port_pressure - opening) * 4.0 * np.pi * local / flow
            if curvature <= 1.0 / WIDEST_CAVITY:
                break
            radius = max(1.0 / curvature, 0.5 * radius)
        raise CaseError(
            f"delivery.opening_pressure: no cavity narrower than {1e3 * WIDEST_CAVITY:.3g} mm brings the pressure of "
            f"{found.port_pressure:.3g} Pa down to {opening:.3g} Pa; lower the flow or check hydraulic_conductivity"
        )
