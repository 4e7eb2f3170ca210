"""Particles carried through the pores, and every place they can end up in.

``d(R phi c)/dt + div(f v c) = div(phi D grad c) - phi (k_s + k_u + k_w) c + s c_in`` with porosity phi, pore
concentration c, retardation R, fluid velocity v (per area of tissue), hindrance f, infusate s of concentration c_in,
and the rates of sticking, of uptake by cells and of washing out into vessels. How the flow carries:
:mod:`thermal.carriage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thermal.carriage import Cargo, Carriage
from thermal.engine import Engine, Operator
from thermal.errors import CaseError
from thermal.physics.delivery.outcome import even, per_volume
from thermal.physics.scene import Held, Reading
from thermal.units import Array

ROWS = 60
"""Rows of the history for each stage, and the fewest steps of it."""
MOST_DIFFUSION_STEPS = 100_000
LEAST_PORES = 0.05
"""Share of their volume to which pores may shrink: what is squeezed out of linear theory beyond it is none."""
DIFFUSION_SHARE = 0.4
"""Share of a node's content that diffusion may exchange in a step."""


@dataclass(frozen=True)
class Fate:
    """What tissue does with particles, at the nodes (n,).

    ``pores`` m3; ``sticking`` 1/s of the mobile ones while tissue is clean, and ``filtering`` of them per m of their
    way, up to ``room`` kg; ``uptake`` by cells and ``washout`` into vessels, 1/s of the mobile ones; ``loosening`` 1/s
    of what sticks; ``retardation``: mobile and
    bound over mobile, where both are in balance; ``hindrance``: speed of the particles over that of the fluid.
    """

    pores: Array
    sticking: Array
    room: Array
    uptake: Array
    washout: Array
    filtering: float = 0.0
    loosening: float = 0.0
    retardation: float = 1.0
    hindrance: float = 1.0
    dispersivity: float = 0.0


@dataclass(frozen=True)
class Stage:
    """A steady flow for ``duration`` s.

    ``port_pressure`` Pa in the needle; ``injected`` (n,) m3/s at the ports with ``concentration`` kg/m3; ``entering``
    (n,) m3/s of other fluid from outside and from vessels; ``leaving`` (n,) m3/s through the boundary and ``drained``
    (n,) m3/s into lymph, both with particles; ``speed`` gives (n,) m/s of the fluid in the pores; ``stored`` (n,)
    m3/s of fluid by which pores grow (or, negative, shrink). ``leak``: kg/s that never enter the tissue because
    they run back along the needle.
    """

    duration: float
    operator: Operator
    pressure: Array
    port_pressure: float
    injected: Array
    concentration: float
    entering: Array
    leaving: Array
    drained: Array
    speed: Callable[[], Array]
    stored: Array
    leak: float = 0.0
    rows: int = ROWS


@dataclass(frozen=True)
class _Ways:
    """Where fluid leaves in a stage: at ``nodes`` (k,), and the shares (k,) of it that go through the boundary and into
    lymph; what remains fills pores that grow."""

    nodes: npt.NDArray[np.int64]
    leaving: Array
    drained: Array

    @staticmethod
    def of(stage: Stage, swells: bool) -> _Ways:
        open_nodes = (stage.leaving > 0) | (stage.drained > 0)
        if swells:
            open_nodes |= stage.stored > 0
        nodes = np.flatnonzero(open_nodes)
        leaving, drained = stage.leaving[nodes], stage.drained[nodes]
        out = leaving + drained + np.maximum(stage.stored[nodes], 0.0)
        return _Ways(nodes, leaving / out, drained / out)

    def at(self, left: Array) -> Array:
        """(k,) of a nodal field (n,)."""
        return np.asarray(left[self.nodes])


class Journey:
    """The particles from the first stage to the last, with their ledger."""

    def __init__(self, engine: Engine, fate: Fate, diffusion: Operator | None, held: Held) -> None:
        """``diffusion``: conductance of porosity times diffusivity. ``held``: prescribed pore concentrations."""
        self.time = self.infused = self.leaked = 0.0
        self.escaped, self.drained = 0.0, 0.0
        self.fate = fate
        self._engine, self._diffusion = engine, diffusion
        self._fixed = held.mask & (fate.pores > 0)
        self._rates = fate.uptake if not fate.washout.any() else fate.uptake + fate.washout
        self.cargo = Cargo.empty(len(fate.pores))
        self.cargo.concentration[self._fixed] = held.value[self._fixed]
        self.cargo.held = float(fate.retardation * fate.pores @ self.cargo.concentration)

    def follow(self, stage: Stage) -> Iterator[float]:
        """Carry the particles through a stage; yields the time after each step, s."""
        self._check_diffusion(stage.duration)
        cargo, swells = self.cargo, bool(stage.stored.any())
        transport = self._engine.transport(
            stage.operator, stage.pressure, self._carriage(stage, swells), self._diffusion
        )
        ways = _Ways.of(stage, swells)
        pooled = -stage.duration * np.maximum(-stage.stored, 0.0) * cargo.concentration if swells else None
        into = float(np.sum(stage.injected)) * stage.concentration
        done, first = 0.0, self._first_step(stage)
        while done < stage.duration:
            left = stage.duration - done
            step = min(left, max(first, 0.5 * done), stage.duration / stage.rows)
            before = ways.at(cargo.left)
            transport.advance(cargo, step)
            gone = ways.at(cargo.left) - before
            self.escaped += float(gone @ ways.leaving)
            self.drained += float(gone @ ways.drained)
            if pooled is not None:
                pooled[ways.nodes] += gone * (1.0 - ways.leaving - ways.drained)
            done = stage.duration if step == left else done + step
            self.infused += step * (into + stage.leak)
            self.leaked += step * stage.leak
            if done == stage.duration and pooled is not None:
                self._swell(stage.duration * stage.stored, pooled)
            yield self.time + done
        self.time += stage.duration

    def _carriage(self, stage: Stage, swells: bool) -> Carriage:
        """What moves the particles in this stage. Pores that shrink give their fluid to the flow, those that grow take
        it."""
        fate = self.fate
        carried = stage.injected * stage.concentration
        inflow, out = stage.injected + stage.entering, stage.leaving + stage.drained
        if swells:
            squeezed = np.maximum(-stage.stored, 0.0)
            carried += squeezed * self.cargo.concentration
            inflow += squeezed
            out += np.maximum(stage.stored, 0.0)
        sticking = fate.sticking
        if fate.filtering > 0.0:
            sticking = sticking + fate.filtering * fate.hindrance * stage.speed()
        return Carriage(
            capacity=fate.retardation * fate.pores,
            inflow=inflow,
            inlet=np.divide(carried, inflow, out=carried, where=inflow > 0),
            leaving=out,
            loss=self._rates / fate.retardation,
            fixed=self._fixed,
            sticking=sticking if fate.retardation == 1.0 else sticking / fate.retardation,
            room=fate.room,
            loosening=fate.loosening,
            speed=fate.hindrance,
            dispersivity=fate.dispersivity,
        )

    def _swell(self, more: Array, pooled: Array) -> None:
        """Pores have grown by ``more`` (n,) m3 of fluid that holds ``pooled`` (n,) kg: both mix with what was there."""
        fate, cargo = self.fate, self.cargo
        mass = fate.retardation * fate.pores * cargo.concentration + pooled
        self.fate = replace(fate, pores=np.maximum(fate.pores + more, LEAST_PORES * fate.pores))
        full = fate.retardation * self.fate.pores
        mixed = np.divide(mass, full, out=np.zeros_like(mass), where=full > 0)
        cargo.held += float(np.sum((full * cargo.concentration - mass)[self._fixed]))
        cargo.concentration[:] = np.where(self._fixed, cargo.concentration, np.maximum(mixed, 0.0))

    def _first_step(self, stage: Stage) -> float:
        """Time in which half of the pores at the ports is filled."""
        flow = float(np.sum(stage.injected))
        if flow <= 0.0:
            return stage.duration / ROWS
        return 0.5 * float(np.max(self.fate.pores[stage.injected > 0])) / flow

    def _check_diffusion(self, duration: float) -> None:
        if self._diffusion is None:
            return
        fastest = float(np.max(per_volume(self._diffusion.diagonal, self.fate.retardation * self.fate.pores)))
        steps = duration * fastest / DIFFUSION_SHARE
        if steps > MOST_DIFFUSION_STEPS:
            raise CaseError(
                f"delivery.diffusivity: {steps:.3g} steps would be needed to follow the diffusion for {duration:g} s "
                "on this grid; particles of 10 to 100 nm diffuse at 1e-12 to 1e-11 m^2/s: check the value or coarsen "
                "the grid"
            )

    @property
    def tissue_mass(self) -> Array:
        """(n,) kg in the tissue: mobile, bound, stuck and in cells."""
        inside = self.fate.retardation * self.fate.pores * self.cargo.concentration
        return inside + self.cargo.stuck + self.taken_up

    @property
    def taken_up(self) -> Array:
        """(n,) kg in cells."""
        if not self._rates.any():
            return even(0.0, self.cargo.lost)
        share = np.divide(self.fate.uptake, self._rates, out=np.zeros_like(self._rates), where=self._rates > 0)
        return self.cargo.lost * share

    def ledger(self) -> dict[str, float]:
        """Every place where particles are, kg; what was put in is ``infused`` and ``supplied_at_boundary``."""
        pores = float(self.fate.pores @ self.cargo.concentration)
        cells = float(np.sum(self.taken_up))
        return {
            "infused": self.infused,
            "supplied_at_boundary": self.cargo.held,
            "mobile": pores,
            "bound": (self.fate.retardation - 1.0) * pores,
            "deposited": float(np.sum(self.cargo.stuck)),
            "taken_up": cells,
            "cleared": float(np.sum(self.cargo.lost)) - cells + self.drained,
            "leaked_back": self.leaked,
            "escaped": self.escaped,
        }

    def readings(self) -> dict[str, Reading]:
        """The ledger under ``dose.``, and what is missing in it."""
        lines = self.ledger()
        put_in = lines["infused"] + abs(lines["supplied_at_boundary"])
        found = sum(value for name, value in lines.items() if name not in ("infused", "supplied_at_boundary"))
        gap = abs(lines["infused"] + lines["supplied_at_boundary"] - found)
        return {
            **{f"dose.{name}": Reading(value, "kg") for name, value in lines.items()},
            "ledger.mass_error": Reading(gap / put_in if put_in > 0 else 0.0, ""),
        }
