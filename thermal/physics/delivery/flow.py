"""Flow of interstitial fluid: Darcy's law with ports, vessels and lymphatics, and a permeability that may follow
pressure.

``-div(K grad p) = s + L_v (p_e - p) - L_l (p - p_l)`` with the hydraulic conductivity K, the infused volume s, the
filtration L_v of vessels (hydraulic conductivity of their wall times its area per tissue volume) with their effective
pressure p_e, and the same of lymphatics: L. T. Baxter, R. K. Jain, Microvasc. Res. 37 (1989) 77-104,
doi:10.1016/0026-2862(89)90074-5 (unverified). The pressure is steady: it builds up and relaxes at once when the pump is
switched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thermal.domain import Ball, CutEdges, Probe
from thermal.engine import Engine, NotConvergedError, Operator, Solver
from thermal.errors import CaseError
from thermal.physics.delivery.outcome import even, per_volume
from thermal.physics.delivery.port import Port
from thermal.physics.scene import Held
from thermal.physics.tissue import Tissues
from thermal.units import Array

PRESSURE_TOLERANCE = 1e-11
"""Of the pressure solve: its residual is what may lift the concentration above that of the infusate."""
ROUND_OFF = (PRESSURE_TOLERANCE, 1e-9, 1e-7)
"""Tolerances tried in turn: behind a capsule that hardly conducts, pressure is so high that round-off is above the
first."""
SETTLED = 1e-6
"""Change of the port pressure, relative, at which the permeability that follows it counts as found."""
MOST_ROUNDS = 60
WIDEST = 1e3
"""Largest factor by which pressure may change the permeability: beyond it tissue has torn, and no law is known."""


@dataclass(frozen=True)
class Flow:
    """A steady flow: ``pressure`` (n,) Pa by ``operator``, ``port_pressure`` Pa, ``injected`` (n,) m3/s.

    ``port_flows`` (k,) m3/s of each port; ``from_vessels`` and ``into_lymph`` (n,) m3/s; ``through_border`` (n,) m3/s
    outwards at nodes of held pressure.
    """

    operator: Operator
    pressure: Array
    port_pressure: float
    injected: Array
    port_flows: Array
    from_vessels: Array
    into_lymph: Array
    through_border: Array
    drop: float = 0.0
    """Pa between the needle and the nodes around its ports, in tissue at zero pressure"""
    ports: Sequence[Port] = ()
    """those that ``port_flows`` are of"""
    screened: Array | None = None
    """(n,) m3/s that vessels and lymph take of what is injected where it is put down, beside what they take by the
    pressure there; None where there is none"""

    @property
    def spreading(self) -> Array:
        """(n,) m3/s of what is injected that builds up the pressure."""
        return self.injected if self.screened is None else self.injected - self.screened

    def at_port(self, pressure: float) -> Flow:
        """The same with another pressure (Pa) in the needle."""
        total = float(np.sum(self.injected))
        drop = pressure - float(self.injected @ self.pressure) / total if total > 0.0 else 0.0
        return replace(self, port_pressure=pressure, drop=drop)


@dataclass(frozen=True)
class Medium:
    """Tissue as the fluid meets it. Arrays over cells (m,) and nodes (n,).

    ``permeability`` (m,) m2/Pa/s at zero pressure, times ``exp(stiffening p)`` with ``response`` in 1/Pa.
    ``vessels`` and ``lymph`` (n,) m3/Pa/s with ``vascular_pressure`` and ``lymph_pressure`` (n,) Pa.
    """

    engine: Engine
    permeability: Array
    held: Held
    vessels: Array
    vascular_pressure: Array
    lymph: Array
    lymph_pressure: Array
    response: float = 0.0
    cuts: CutEdges | None = None
    """edges beside cells of several regions"""
    tensors: Array | None = None
    """(m, 6) m2/Pa/s: xx, yy, zz, yz, xz, xy of cells that conduct in directions of their own; then ``permeability`` is
    their mean conductivity to a point"""
    open: Array | None = None
    """(m,) share of each cell that no needle takes; None where no needle has a body"""
    room: Array | None = None
    """(n,) the same of each node"""

    def around(self, share: Array) -> Medium:
        """The same where needles leave the ``share`` (m,) of each cell open."""
        tensors = None if self.tensors is None else self.tensors * share[:, None]
        room = self.engine.to_nodes(share)
        return replace(self, permeability=self.permeability * share, tensors=tensors, open=share, room=room)

    @staticmethod
    def of(engine: Engine, tissues: Tissues, held: Held, response: float, needed_by: str) -> Medium:
        """The medium of a case; tissues without vessels or lymphatics have none."""
        tissues = tissues.like_around(held.regions, ("hydraulic_conductivity",))
        by_region = tissues.by_region

        def filtration(name: str, pressure: str) -> tuple[Array, Array]:
            rates = {region: getattr(tissue, name) or 0.0 for region, tissue in by_region.items()}
            drive = {region: rates[region] * (getattr(t, pressure) or 0.0) for region, t in by_region.items()}
            if not any(rates.values()):
                return even(0.0, engine.volume), even(0.0, engine.volume)
            rate, driven = tissues.mix_nodes(rates), tissues.mix_nodes(drive)
            return engine.volume * rate, np.divide(driven, rate, out=np.zeros_like(rate), where=rate > 0)

        tensors = tissues.hydraulic_tensors(needed_by)
        if tensors is None:
            permeability = tissues.cells("hydraulic_conductivity", needed_by)
            cuts = CutEdges.product(tissues.cuts("hydraulic_conductivity", needed_by), held.edges(engine))
        else:
            permeability, cuts = conductivity_to_a_point(tensors), None
        return Medium(
            engine,
            permeability,
            replace(
                held,
                mask=held.mask & (engine.volume > 0),
                value=held.value if held.value.any() else even(0.0, held.value),
            ),
            *filtration("vascular_filtration", "vascular_pressure"),
            *filtration("lymphatic_filtration", "lymphatic_pressure"),
            response,
            cuts,
            tensors,
        )

    def port(self, probe: Probe, place: str) -> Port:
        """A port at ``probe``, named by the key ``place``, that feeds tissue on its side of capsules and borders."""
        found = Port.of(self.engine, probe, place, self.room)
        tissue = self.permeability if self.open is None else per_volume(self.permeability, self.open)
        if not isinstance(probe, Ball) or not found.crosses(self.engine, tissue):
            return found
        share = (tissue > 0.0).astype(float) if self.open is None else self.open
        tensors = None if self.tensors is None else per_volume(self.tensors.T, tissue).T
        plain = replace(self, permeability=share, cuts=None, tensors=tensors)
        return found.kept(self.engine, probe.centre, tissue, self.conductance(), plain.conductance())

    def conductance(self, change: Array | None = None) -> Operator:
        """Operator of Darcy's law, where every cell conducts ``change`` (m,) times as well as at zero pressure.

        Raises ``CaseError`` on an engine that knows no tensors.
        """
        if self.tensors is None:
            permeability = self.permeability if change is None else self.permeability * change
            return self.engine.conductance(permeability, self.cuts)
        tensors = self.tensors if change is None else self.tensors * change[:, None]
        try:
            return self.engine.tensor_conductance(tensors)
        except ValueError as error:
            raise CaseError(f"tissues: hydraulic_anisotropy: {error}") from None

    def speed(self, flow: Flow, pores: Array) -> Array:
        """(n,) m/s of the fluid in the pores: ``|K grad p| / phi``, from sums of squares along the edges.

        Nodes that a port feeds have what the fluid went through from its wall to them besides, so that the way of every
        particle is as long as without a grid.
        """
        engine, tensors = self.engine, self.tensors
        if tensors is None:
            lost = np.maximum(flow.operator.dissipation(flow.pressure), 0.0)
            swept = np.sqrt(engine.to_nodes(self.permeability) * lost * engine.volume)
        else:
            square = engine.tensor_conductance(squared(tensors)).dissipation(flow.pressure)
            swept = np.sqrt(np.maximum(square, 0.0) * engine.volume)
        for port, through in zip(flow.ports, flow.port_flows, strict=True):
            swept += through * port.way(engine)
        return per_volume(np.maximum(swept, 0.0), pores)

    @property
    def exchange(self) -> Array:
        """(n,) m3/Pa/s of fluid that vessels and lymph take up."""
        if not (self.vessels.any() or self.lymph.any()):
            return even(0.0, self.vessels)
        return self.vessels + self.lymph

    @property
    def sources(self) -> Array:
        """(n,) m3/s of fluid that they give at zero pressure."""
        if not self.exchange.any():
            return even(0.0, self.vessels)
        return self.vessels * self.vascular_pressure + self.lymph * self.lymph_pressure

    def at_flow(self, ports: Sequence[Port], flow: float) -> Flow:
        """The ports of one lumen deliver ``flow`` m3/s together, each what its pressure lets through."""
        return self._settle(ports, flow, None)

    def at_pressure(self, ports: Sequence[Port], pressure: float) -> Flow:
        """The ports of one lumen are at ``pressure`` Pa."""
        return self._settle(ports, None, pressure)

    def at_rest(self) -> Flow:
        """No infusion: what boundaries and vessels do alone."""
        return self._settle((), 0.0, None)

    def _settle(self, ports: Sequence[Port], flow: float | None, pressure: float | None) -> Flow:
        found = self._solve(ports, flow, pressure, None)
        if self.response == 0.0:
            return found
        for _ in range(MOST_ROUNDS):
            before = found
            found = self._solve(ports, flow, pressure, self.change(before.pressure))
            scale = max(float(np.abs(found.pressure).max()), 1e-9)
            if float(np.abs(found.pressure - before.pressure).max()) <= SETTLED * scale:
                return found
        raise CaseError(
            f"delivery.permeability_response = {self.response:g} 1/Pa: no pressure is found at which permeability and "
            f"pressure agree (port pressure {before.port_pressure:.4g} and {found.port_pressure:.4g} Pa in turn); "
            "lower the response or the flow"
        )

    def change(self, pressure: Array) -> Array:
        """(m,) factor of the permeability at the pressure (n,) Pa."""
        return limited(self.response * self.engine.to_cells(pressure))

    def _solve(self, ports: Sequence[Port], flow: float | None, pressure: float | None, change: Array | None) -> Flow:
        engine, held = self.engine, self.held
        operator = self.conductance(change)
        permeability = self.permeability if change is None else self.permeability * change
        diagonal = self.exchange
        if not held.mask.any() and not diagonal.any():
            raise CaseError(
                'delivery: no boundary lets fluid out; set pressure = "0 Pa" on a boundary that touches tissue'
            )
        solver = engine.solver(operator, diagonal, fixed=held.mask)
        zero = even(0.0, held.value)
        sources = self.sources
        rest = zero
        if sources.any() or np.any(held.value[held.mask] != 0.0):
            rest = solved(solver, sources, held.value)
        local = [port.conductivity(engine, permeability) for port in ports]
        taken = per_volume(diagonal, engine.volume)
        decays = [float(np.sqrt(port.weights @ taken / k)) for port, k in zip(ports, local, strict=True)]
        among = [port.screened(engine, decay) for port, decay in zip(ports, decays, strict=True)]
        units = [solved(solver, port.weights * (1.0 - met.take), zero) for port, met in zip(ports, among, strict=True)]
        del solver
        matrix = np.array([[float(port.weights @ unit) for unit in units] for port in ports]).reshape(
            len(ports), len(ports)
        )
        matrix += np.diag([met.resistance / k for met, k in zip(among, local, strict=True)])
        before = np.array([float(port.weights @ rest) for port in ports])
        flows, lumen = _share(matrix, before, flow, pressure)
        total, injected, screened = rest, zero, None
        for port, met, unit, part in zip(ports, among, units, flows, strict=True):
            total = total + part * unit
            injected = injected + part * port.weights
            if met.take != 0.0:
                screened = (zero if screened is None else screened) + part * met.take * port.weights
        through = float(np.sum(flows))
        drop = 0.0 if through <= 0.0 else lumen - float(injected @ total) / through
        if change is not None and through > 0.0:
            drop *= self._mean_change(change, injected / through)
        return self._flow(operator, total, lumen, injected, flows, zero, drop, ports, screened)

    def balanced(
        self, driven: Flow, operator: Operator, pressure: Array, stored: Array, change: Array | None = None
    ) -> Flow:
        """The flow of ``driven`` at another ``pressure`` (n,) while tissue takes up ``stored`` (n,) m3/s and conducts
        ``change`` (m,) times as well as at zero pressure.

        The pressure in the needle is what it is at the ports, and what is lost between them and the nodes.
        """
        injected = driven.injected
        total = float(np.sum(injected))
        lumen = driven.port_pressure
        if total > 0.0:
            lost = driven.drop if change is None else driven.drop / self._mean_change(change, injected / total)
            lumen = float(injected @ pressure) / total + lost
        return self._flow(
            operator, pressure, lumen, injected, driven.port_flows, stored, driven.drop, driven.ports, driven.screened
        )

    def _mean_change(self, change: Array, weights: Array) -> float:
        """By how much better the tissue around the ports conducts."""
        before = float(weights @ self.engine.to_nodes(self.permeability))
        return float(weights @ self.engine.to_nodes(self.permeability * change)) / before

    def _flow(
        self,
        operator: Operator,
        pressure: Array,
        lumen: float,
        injected: Array,
        flows: Array,
        stored: Array,
        drop: float,
        ports: Sequence[Port],
        screened: Array | None,
    ) -> Flow:
        border = injected - stored - operator(pressure)
        entering = drained = even(0.0, pressure)
        if self.exchange.any():
            exchanged = self.vessels * (self.vascular_pressure - pressure)
            lymph = self.lymph * (pressure - self.lymph_pressure)
            if screened is not None:
                by_lymph = screened * per_volume(self.lymph, self.exchange)
                exchanged -= screened - by_lymph
                lymph += by_lymph
            border += exchanged - lymph
            entering = np.maximum(exchanged, 0.0) + np.maximum(-lymph, 0.0)
            drained = np.maximum(lymph, 0.0)
        border[~self.held.mask] = 0.0
        return Flow(operator, pressure, lumen, injected, flows, entering, drained, border, drop, ports, screened)


def limited(logarithm: Array) -> Array:
    """``exp`` of it, within :data:`WIDEST` either way."""
    limit = float(np.log(WIDEST))
    return np.asarray(np.exp(np.clip(logarithm, -limit, limit)))


def solved(solver: Solver, load: Array, values: Array, guess: Array | None = None) -> Array:
    """The pressure (n,) under ``load`` (n,) m3/s, as exact as round-off lets it be.

    Raises ``NotConvergedError`` where it is poorer than the last of :data:`ROUND_OFF`.
    """
    *first, last = ROUND_OFF
    for tolerance in first:
        try:
            return solver.solve(load, values=values, guess=guess, tolerance=tolerance)
        except NotConvergedError:
            continue
    return solver.solve(load, values=values, guess=guess, tolerance=last)


def conductivity_to_a_point(tensors: Array) -> Array:
    """(m,) conductivity of the even medium in which a small ball meets the same resistance as in each tensor (m, 6).

    The pressure of a source smeared over a ball is, in wave space, that of an even medium times the mean over all
    directions n of ``1 / (n . K n)``, and so is that of a conducting ball, whose capacity is an ellipsoid's: both are
    Carlson's ``R_F(k2 k3, k3 k1, k1 k2)`` of the principal values k.
    """
    from scipy.special import elliprf

    kinds, which = np.unique(tensors, axis=0, return_inverse=True)
    values = np.linalg.eigvalsh(kinds[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3))
    a, b, c = np.maximum(values, 0.0).T
    alive = values[:, 0] > 0.0
    found = np.zeros(len(kinds))
    found[alive] = 1.0 / elliprf((b * c)[alive], (c * a)[alive], (a * b)[alive])
    return np.asarray(found[which.ravel()])


def squared(tensors: Array) -> Array:
    """(m, 6) the squares of tensors (m, 6)."""
    xx, yy, zz, yz, xz, xy = tensors.T
    return np.stack([
        xx**2 + xy**2 + xz**2, xy**2 + yy**2 + yz**2, xz**2 + yz**2 + zz**2,
        xy * xz + yy * yz + yz * zz, xx * xz + xy * yz + xz * zz, xx * xy + xy * yy + xz * yz,
    ], axis=1)  # fmt: skip


def _share(matrix: Array, before: Array, flow: float | None, pressure: float | None) -> tuple[Array, float]:
    """Flow of each port (m3/s) and the pressure (Pa) in the lumen that they share.

    ``matrix`` (k, k): pressure at each port by a unit flow of each. Raises ``CaseError`` where fluid would be sucked
    in, and where a port meets less pressure of its own than of another, which no tissue does.
    """
    if not len(before):
        return np.zeros(0), 0.0
    each, rest = np.linalg.solve(matrix, np.ones(len(before))), np.linalg.solve(matrix, before)
    lumen = float((flow + rest.sum()) / each.sum()) if flow is not None else float(pressure or 0.0)
    flows = lumen * each - rest
    if np.any(flows < -1e-9 * np.abs(flows).sum()):
        own, others = np.diag(matrix), np.max(matrix - np.diag(np.diag(matrix)), axis=1)
        if np.any(own < others):
            port = int(np.argmin(own - others)) + 1
            raise CaseError(
                f"delivery: port {port} of the needle is smeared over both sides of a layer "
                "that hardly conducts, so that fluid would flow from one port into the other on this grid; use voxels "
                "of less than half the distance between port and layer around the needle, or close that port"
            )
        raise CaseError(
            f"delivery: at {lumen:.4g} Pa in the needle, tissue fluid at {before.max():.4g} Pa would run into a port; "
            "raise the flow or the pressure, or close that port"
        )
    return np.maximum(flows, 0.0), lumen
