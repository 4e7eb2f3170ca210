"""Time integration of the bioheat equation: an iterator of states.

Runge-Kutta-Legendre steps of second order (C. D. Meyer, D. S. Balsara, T. D. Aslam, J. Comput. Phys. 257 (2014)
594-626): ``s`` evaluations for a step that grows like ``s^2``, no linear solver. The lines of the energy ledger go
through the same recurrence as the field, so the ledger closes to round-off. Steps land on every event; their size
follows the error estimate of B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from thermal.engines.vectors import legendre_stage
from thermal.physics.bioheat import BUDGET, Balance, Bioheat, Nodes
from thermal.physics.damage import Law
from thermal.physics.scene import Drive, Held, Source, State
from thermal.units import Array, Mask

SMALLEST_STEP = 1e-6  # s; a run that would need less has lost its footing
GROWTH = 2.0  # largest ratio of successive steps in smooth regimes
FRONT_GROWTH = 1.5  # the same while there is ice or vapour: error estimates see each node's change of phase as an error
FRONT_STEP = 10.0  # s; largest step while there is ice or vapour
SAFETY = 0.8


@dataclass(frozen=True)
class Control:
    """How the time loop chooses its steps."""

    tolerance: float = 0.02
    """K, of the local error of a step"""
    max_step: float = 10.0
    """s"""
    first_step: float | None = None
    """s, after each event; default from the initial heating rate"""


@dataclass(frozen=True)
class Progress:
    """Everything that the loop needs to go on from here, bit for bit."""

    state: State
    enthalpy: Array
    coldest: Array
    """(n,) lowest temperature so far, degC"""
    hottest: Array
    """(n,) highest temperature so far, degC"""
    energy: Array
    """(5,) J, lines of :data:`thermal.physics.bioheat.BUDGET`"""
    throughput: float
    """J, sum of the absolute values of what went through the lines"""
    stored: float
    """J gained by the free nodes since the start"""
    step: float
    """s, proposed next step; zero asks for a fresh start"""
    trend: Array
    """(n,) K/s of the free nodes during the last step, to foresee temperatures in the middle of the next; zero after an
    event"""
    steps: int = 0
    stages: int = 0
    drive: Drive | None = None
    """what acted during the last step"""

    @property
    def energy_error(self) -> float:
        """Open energy over all energy put in, dimensionless."""
        return abs(self.stored - float(self.energy.sum())) / self.throughput if self.throughput > 0 else 0.0


@dataclass(frozen=True)
class Loop:
    """One bioheat problem ready to be marched in time."""

    bioheat: Bioheat
    source: Source
    laws: Mapping[str, Law]
    control: Control
    duration: float
    perfusion_stops: str | None
    """name of the damage law whose killed tissue loses its perfusion; None keeps it"""
    stops: tuple[float, ...] = ()
    """times in s that steps must land on besides the events of the source"""

    def start(self, temperature: Array) -> Progress:
        """The state at time zero, from (n,) degC."""
        damage = {name: law.initial(len(temperature)) for name, law in self.laws.items()}
        return Progress(
            State(0.0, temperature, damage),
            self.bioheat.heat.enthalpy(temperature),
            temperature.copy(),
            temperature.copy(),
            np.zeros(len(BUDGET)),
            0.0,
            0.0,
            0.0,
            np.zeros_like(temperature),
        )

    def march(self, progress: Progress) -> Iterator[Progress]:
        """Yield the state after every step until ``duration``; start from :meth:`start` or a stored state."""
        marks, jumps = _marks(self.stops, self.source.events, self.duration)
        while progress.state.time < self.duration:
            target = float(marks[np.searchsorted(marks, progress.state.time + SMALLEST_STEP, side="right")])
            progress = self._step(progress, target, target in jumps)
            yield progress

    def _living(self, progress: Progress, ahead: float) -> Array:
        """(n,) share of the perfusion that is left ``ahead`` s from now: exp(-Omega), none where tissue has frozen."""
        if self.perfusion_stops is None:
            return np.ones_like(progress.enthalpy)
        now, damage = progress.state.temperature, progress.state.damage[self.perfusion_stops]
        foreseen = self.laws[self.perfusion_stops].accumulate(damage, now, now + ahead * progress.trend, ahead)
        living = np.ones_like(foreseen)
        hurt = np.flatnonzero(foreseen)
        living[hurt] = np.exp(-np.minimum(foreseen[hurt], 700.0))
        if self.bioheat.freezes:
            living *= progress.coldest > self.bioheat.cells.liquidus
        return np.asarray(living)

    def _step(self, progress: Progress, target: float, at_event: bool) -> Progress:
        bioheat, now = self.bioheat, progress.state.time
        proposal = progress.step if progress.step > 0.0 else self._fresh_step(progress, target - now)
        step, lands = _fit(min(proposal, self.control.max_step), target - now)
        living = self._living(progress, 0.5 * step)
        drive = self.source.drive(progress.state, step)
        held, free = self._holding(drive, now + 0.5 * step)
        temperature = progress.state.temperature.copy()
        temperature[held.mask] = held.value[held.mask]
        enthalpy = progress.enthalpy.copy()
        kept = np.flatnonzero(held.mask)
        enthalpy[kept] = bioheat.heat.take(kept).enthalpy(temperature[kept])
        balance = bioheat.balance(bioheat.operator(temperature + 0.5 * step * progress.trend), drive, living, free)
        stages = _stage_count(step * balance.fastest_rate(temperature, free))
        change, lines, first = self._super_step(balance, kept, enthalpy, temperature, step, stages)
        new_enthalpy = enthalpy + change
        new_temperature = bioheat.heat.temperature(new_enthalpy)
        end, _ = self._holding(drive, now + step)
        new_temperature[end.mask] = end.value[end.mask]
        if not np.isfinite(new_temperature).all():
            raise FloatingPointError(
                f"the temperature became infinite at {now + step:g} s with a step of {step:g} s and {stages} stages"
            )
        phases = not bioheat.heat.plain(new_enthalpy)
        next_step = self._next_step(
            step, proposal, lands and at_event, phases, new_temperature, change, first, balance, free
        )
        begin, _ = self._holding(drive, now)
        earlier = np.where(begin.mask, begin.value, progress.state.temperature)
        damage = {
            name: law.accumulate(progress.state.damage[name], earlier, new_temperature, step)
            for name, law in self.laws.items()
        }
        volume = bioheat.engine.volume
        return Progress(
            State(target if lands else now + step, new_temperature, damage),
            new_enthalpy,
            np.minimum(progress.coldest, new_temperature),
            np.maximum(progress.hottest, new_temperature),
            progress.energy + lines,
            progress.throughput + float(np.abs(lines).sum()),
            progress.stored + float(volume @ change),
            next_step,
            np.zeros_like(change) if lands and at_event else free * (new_temperature - temperature) / step,
            progress.steps + 1,
            progress.stages + stages,
            drive,
        )

    def _holding(self, drive: Drive, time: float) -> tuple[Held, Mask]:
        """Nodes whose temperature is prescribed at ``time``, and those that are free."""
        always = self.bioheat.surroundings.held
        solid = self.bioheat.engine.volume > 0
        if drive.held is None:
            return always, solid & ~always.mask
        now = drive.held(time)
        mask = now.mask | always.mask
        return Held(mask, np.where(now.mask, now.value, always.value)), solid & ~mask

    def _fresh_step(self, progress: Progress, left: float) -> float:
        """First step after a jump: the fastest node moves by a few tolerances."""
        if self.control.first_step is not None:
            return self.control.first_step
        drive = self.source.drive(progress.state, min(self.control.max_step, left))
        temperature = progress.state.temperature.copy()
        held, free = self._holding(drive, progress.state.time)
        temperature[held.mask] = held.value[held.mask]
        living = self._living(progress, 0.0)
        balance = self.bioheat.balance(self.bioheat.operator(temperature), drive, living, free)
        flow, _ = balance.flow(temperature)
        speed = self._kelvin(np.abs(flow), free)
        slowest = 4.0 / max(balance.fastest_rate(temperature, free), 1e-12)
        moving = 5.0 * self.control.tolerance / speed if speed > 0 else self.control.max_step
        return float(max(min(moving, self.control.max_step), 1e-3 * slowest, SMALLEST_STEP))

    def _kelvin(self, heat: Array, free: Mask) -> float:
        """Largest nodal temperature change that an amount of heat (n,) J makes, K."""
        capacity = self.bioheat.engine.volume * self.bioheat.heat.capacity
        return float(np.max(heat[free] / capacity[free], initial=0.0))

    def _next_step(
        self,
        step: float,
        proposal: float,
        at_event: bool,
        phases: bool,
        temperature: Array,
        change: Array,
        first: Array,
        balance: Balance,
        free: Mask,
    ) -> float:
        """Proposal for the next step from the local error estimate; zero after an event."""
        if at_event:
            return 0.0
        if phases:
            return min(max(step * FRONT_GROWTH, proposal), FRONT_STEP, self.control.max_step)
        if not free.any():
            return self.control.max_step
        last, _ = balance.flow(temperature)
        volume = self.bioheat.engine.volume
        error = self._kelvin(np.abs(-0.8 * volume * change + 0.4 * step * (first + last)), free)
        factor = SAFETY * (self.control.tolerance / max(error, 1e-30)) ** (1.0 / 3.0)
        wanted = step * float(np.clip(factor, 0.2, GROWTH))
        if factor >= 1.0 and step < proposal:  # the step was cut short by a target, not by its error
            wanted = max(wanted, proposal)
        return max(min(wanted, self.control.max_step), SMALLEST_STEP)

    def _super_step(
        self, balance: Balance, kept: Nodes, enthalpy: Array, temperature: Array, step: float, stages: int
    ) -> tuple[Array, Array, Array]:
        """One RKL2 step: change of enthalpy (n,) J/m3, integrated ledger lines (5,) J, first heat flow (n,) W."""
        heat, volume = self.bioheat.heat, self.bioheat.engine.volume
        inverse = np.divide(1.0, volume, out=np.zeros_like(volume), where=volume > 0)
        first, first_lines = balance.flow(temperature)
        weight = 4.0 / (stages**2 + stages - 2.0)
        mu_1 = step * weight / 3.0
        before, before_lines = np.zeros_like(enthalpy), np.zeros(len(BUDGET))
        here, here_lines = mu_1 * inverse * first, mu_1 * first_lines
        b = [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]
        b += [(j * j + j - 2.0) / (2.0 * j * (j + 1.0)) for j in range(3, stages + 1)]
        for j in range(2, stages + 1):
            mu = (2.0 * j - 1.0) / j * b[j] / b[j - 1]
            nu = -(j - 1.0) / j * b[j] / b[j - 2]
            now = mu * weight * step
            start = -(1.0 - b[j - 1]) * now
            stage_temperature = heat.temperature(enthalpy + here)
            stage_temperature[kept] = temperature[kept]
            flow, lines = balance.flow(stage_temperature)
            legendre_stage(before, here, flow, first, inverse, mu, nu, now, start)
            before, here = here, before
            next_lines = mu * here_lines + nu * before_lines + now * lines + start * first_lines
            before_lines, here_lines = here_lines, next_lines
        return here, here_lines, first


def _stage_count(steps_of_decay: float) -> int:
    """Stages that keep an RKL2 step of ``step * fastest rate`` stable (with 5 % in hand); odd and at least 3."""
    stages = int(np.ceil(0.5 * (np.sqrt(9.0 + 8.0 * 1.05 * steps_of_decay) - 1.0)))
    return max(3, stages + (stages + 1) % 2)


def _fit(proposal: float, left: float) -> tuple[float, bool]:
    """Step not beyond the next target, and whether it lands there; the last two steps before it are made equal."""
    if proposal >= left * (1.0 - 1e-9):
        return left, True
    if proposal > 0.5 * left:
        return 0.5 * left, False
    return proposal, False


def _marks(stops: Sequence[float], events: Sequence[float], duration: float) -> tuple[Array, set[float]]:
    """Sorted times in (0, duration] that steps land on, and those of them at which the drive jumps.

    Times closer than the smallest step are one: an event is taken at the stop next to it, which may differ from it by
    round-off (0.1 s times 600 is not 60 s).
    """
    apart = 2.0 * SMALLEST_STEP
    kept = np.unique([*(time for time in stops if apart < time < duration - apart), duration])
    jumps = np.unique([time for time in events if apart < time < duration])
    after = np.searchsorted(kept, jumps)
    for near in (kept[np.maximum(after - 1, 0)], kept[after]):
        jumps = np.where(np.abs(near - jumps) <= apart, near, jumps)
    return np.union1d(kept, jumps), set(jumps.tolist())
