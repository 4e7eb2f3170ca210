"""Time integration of the bioheat equation: an iterator of states.

Stabilised explicit steps (:mod:`thermal.engines.legendre`) done by the engine; this loop chooses them. They land on
every event; their size follows the local error, an estimate of B. P. Sommeijer, L. F. Shampine, J. G. Verwer,
J. Comput. Appl. Math. 88 (1998) 315-326. Damage is accumulated from every step. The lines of the energy ledger went
through the same recurrence as the field, so the ledger closes to round-off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from thermal.engines.legendre import stage_count
from thermal.heat import BUDGET, HeatState, HeatStepper, Nodes, Precision, Rates, Stepped
from thermal.physics.bioheat import Bioheat
from thermal.physics.damage import Law
from thermal.physics.scene import Drive, Held, Source, State
from thermal.units import Array, Mask

SMALLEST_STEP = 1e-6  # s; a run that would need less has lost its footing
GROWTH = 2.0  # largest ratio of successive steps in smooth regimes
FRONT_GROWTH = 1.5  # the same while there is ice or vapour: error estimates see each node's change of phase as an error
FRONT_STEP = 10.0  # s; largest step while there is ice or vapour
SHARP_STEP = 5.0  # s; the same where latent heat is taken up within less than SHARP: beyond, fronts begin to flutter
SHARP = 2.0  # K
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
    precision: Precision = "double"
    """of the increments within a step"""


@dataclass(frozen=True)
class Progress:
    """Everything that the loop needs to go on from here, bit for bit.

    The loop works on the arrays of ``state.temperature``, ``v``, ``coldest`` and ``hottest`` in place: what is to
    outlive the next step must be copied (:meth:`copy`).
    """

    state: State
    v: Array
    """(n,) K, the state of :mod:`thermal.heat`"""
    coldest: Array
    """(n,) lowest temperature so far, degC"""
    hottest: Array
    """(n,) highest temperature so far, degC"""
    energy: Array
    """(5,) J, lines of :data:`thermal.heat.BUDGET`"""
    throughput: float
    """J, sum of the absolute values of what went through the lines"""
    stored: float
    """J gained by the free nodes since the start"""
    step: float
    """s, proposed next step; zero asks for a fresh start"""
    earlier: Array | None = None
    """(n,) degC at the start of the last step; None before the first, and where nothing depends on it"""
    last_step: float = 0.0
    """s, from ``earlier`` to now"""
    steps: int = 0
    stages: int = 0
    drive: Drive | None = None
    """what acted during the last step"""

    def copy(self) -> Progress:
        """The same with arrays of its own."""
        state = replace(self.state, temperature=self.state.temperature.copy())
        return replace(self, state=state, v=self.v.copy(), coldest=self.coldest.copy(), hottest=self.hottest.copy())

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
            State(0.0, temperature.copy(), damage),
            self.bioheat.heat.content(temperature),
            temperature.copy(),
            temperature.copy(),
            np.zeros(len(BUDGET)),
            0.0,
            0.0,
            0.0,
        )

    def march(self, progress: Progress) -> Iterator[Progress]:
        """Yield the state after every step until ``duration``; start from :meth:`start` or a stored state.

        Works on the arrays of ``progress`` in place.
        """
        marks, jumps = _marks(self.stops, self.source.events, self.duration)
        while progress.state.time < self.duration:
            target = float(marks[np.searchsorted(marks, progress.state.time + SMALLEST_STEP, side="right")])
            progress = self._step(progress, target, target in jumps)
            yield progress

    @cached_property
    def _stepper(self) -> HeatStepper:
        return self.bioheat.stepper(self.control.precision)

    @cached_property
    def _solid(self) -> Mask:
        return self.bioheat.engine.volume > 0

    def _living(self, progress: Progress, ahead: float) -> Array | None:
        """(n,) share of the perfusion that is left ``ahead`` s from now: exp(-Omega), none where tissue has frozen.

        None for all of it.
        """
        if self.perfusion_stops is None:
            return None
        now, damage = progress.state.temperature, progress.state.damage[self.perfusion_stops]
        law = self.laws[self.perfusion_stops]
        foreseen = (
            law.accumulate(damage, now, _foreseen(progress, ahead), ahead) if progress.earlier is not None else damage
        )
        living = np.ones_like(foreseen)
        hurt = np.flatnonzero(foreseen)
        living[hurt] = np.exp(-np.minimum(foreseen[hurt], 700.0))
        liquidus = self.bioheat.heat.liquid[0]
        if np.isfinite(liquidus):
            living *= progress.coldest > liquidus
        return living

    def _begin(self, progress: Progress, drive: Drive, ahead: float) -> tuple[Rates, Nodes]:
        """Take up a step whose middle is ``ahead`` s away; also returns the nodes held at a temperature during it."""
        held, free = self._holding(drive, progress.state.time + ahead)
        kept = np.flatnonzero(held.mask)
        state = HeatState(progress.v, progress.state.temperature, progress.coldest, progress.hottest)
        if not np.array_equal(state.temperature[kept], held.value[kept]):
            state.temperature[kept] = held.value[kept]
            state.v[kept] = self.bioheat.heat.take(kept).content(held.value[kept])
        action = self.bioheat.action(drive, self._living(progress, ahead), free)

        def middle() -> Array:
            return np.where(free, _foreseen(progress, ahead), state.temperature)

        return self._stepper.begin(state, middle, action), kept

    def _step(self, progress: Progress, target: float, at_event: bool) -> Progress:
        now = progress.state.time
        proposal = progress.step if progress.step > 0.0 else self._fresh_step(progress, target - now)
        step, lands = _fit(min(proposal, self.control.max_step), target - now)
        drive = self.source.drive(progress.state, step)
        earlier = progress.state.temperature.copy() if self._looks_back or drive.contacts else None
        rates, kept = self._begin(progress, drive, 0.5 * step)
        stages = stage_count(step * rates.decay)
        try:
            stepped = self._stepper.advance(step, stages)
        except FloatingPointError as error:
            place = f"at {now + step:g} s with a step of {step:g} s and {stages} stages"
            raise FloatingPointError(f"{error} {place}") from None
        temperature = progress.state.temperature
        if drive.held is not None:
            temperature[kept] = self._holding(drive, now + step)[0].value[kept]
            progress.coldest[kept] = np.minimum(progress.coldest[kept], temperature[kept])
            progress.hottest[kept] = np.maximum(progress.hottest[kept], temperature[kept])
        if earlier is not None:
            earlier[kept] = self._holding(drive, now)[0].value[kept]
        damage = {
            name: law.accumulate(progress.state.damage[name], earlier, temperature, step)
            for name, law in self.laws.items()
            if earlier is not None
        }
        ends = lands and at_event
        return Progress(
            State(target if lands else now + step, temperature, damage),
            progress.v,
            progress.coldest,
            progress.hottest,
            progress.energy + stepped.lines,
            progress.throughput + float(np.abs(stepped.lines).sum()),
            progress.stored + stepped.stored,
            0.0 if ends else self._next_step(step, proposal, stepped, temperature),
            earlier,
            step,
            progress.steps + 1,
            progress.stages + stages,
            drive,
        )

    @property
    def _looks_back(self) -> bool:
        """Whether anything but probes depends on the temperature at the start of a step."""
        return bool(self.laws) or self.bioheat.cells.rises

    def _holding(self, drive: Drive, time: float) -> tuple[Held, Mask]:
        """Nodes whose temperature is prescribed at ``time``, and those that are free."""
        always = self.bioheat.surroundings.held
        if drive.held is None:
            return always, self._solid & ~always.mask
        now = drive.held(time)
        mask = now.mask | always.mask
        return Held(mask, np.where(now.mask, now.value, always.value)), self._solid & ~mask

    def _fresh_step(self, progress: Progress, left: float) -> float:
        """First step after a jump: the fastest node moves by a few tolerances."""
        if self.control.first_step is not None:
            return self.control.first_step
        drive = self.source.drive(progress.state, min(self.control.max_step, left))
        rates, _ = self._begin(progress, drive, 0.0)
        slowest = 4.0 / max(rates.decay, 1e-12)
        moving = 5.0 * self.control.tolerance / rates.heating if rates.heating > 0 else self.control.max_step
        if drive.held is not None:  # a ramp begins at rest: nothing moves yet, but will
            moving = min(moving, slowest)
        return float(max(min(moving, self.control.max_step), 1e-3 * slowest, SMALLEST_STEP))

    def _next_step(self, step: float, proposal: float, stepped: Stepped, temperature: Array) -> float:
        """Proposal for the next step from the local error estimate."""
        if stepped.error is None:
            return min(max(step * FRONT_GROWTH, proposal), self._front_step(temperature), self.control.max_step)
        factor = SAFETY * (self.control.tolerance / max(stepped.error, 1e-30)) ** (1.0 / 3.0)
        wanted = step * float(np.clip(factor, 0.2, GROWTH))
        if factor >= 1.0 and step < proposal:  # the step was cut short by a target, not by its error
            wanted = max(wanted, proposal)
        return max(min(wanted, self.control.max_step), SMALLEST_STEP)

    def _front_step(self, temperature: Array) -> float:
        """Largest step (s) beside the fronts that there are."""
        engine, heat = self.bioheat.engine, self.bioheat.heat
        ice, steam = heat.freezing, heat.boiling
        widths = [np.inf]
        if ice is not None and engine.minimum(temperature) <= ice.liquidus:
            widths.append(ice.liquidus - ice.solidus)
        if steam is not None and engine.maximum(temperature) >= steam.start:
            widths.append(steam.end - steam.start)
        return SHARP_STEP if min(widths) < SHARP else FRONT_STEP


def _foreseen(progress: Progress, ahead: float) -> Array:
    """(n,) degC ahead of now (s), if the temperature goes on as in the last step; as it is after an event."""
    now = progress.state.temperature
    if progress.earlier is None or progress.step == 0.0:
        return now
    return np.asarray(now + (ahead / progress.last_step) * (now - progress.earlier))


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
