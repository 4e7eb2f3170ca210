"""Time integration of the bioheat equation: an iterator of states.

Stabilised explicit steps (:mod:`thermal.engines.legendre`) done by the engine; this loop chooses them. They land on
every event; their size follows the local error, an estimate of B. P. Sommeijer, L. F. Shampine, J. G. Verwer,
J. Comput. Appl. Math. 88 (1998) 315-326. Where nothing but heat is marched and nothing depends on the temperature,
steps are exact in time (:mod:`thermal.engines.chebyshev`) and as long as they may be. Damage is accumulated from every
step. The lines of the energy ledger went through the same recurrence as the field, so the ledger closes to round-off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from thermal.engines.chebyshev import chebyshev
from thermal.engines.legendre import stage_count
from thermal.enthalpy import Nodes
from thermal.heat import BUDGET, WORKING, HeatState, HeatStepper, Rates, Stepped
from thermal.march.moment import Progress, Span
from thermal.march.steps import APART, LONGEST_LEAP, SMALLEST_STEP, Control, fit, marks
from thermal.physics.bioheat import Bioheat
from thermal.physics.damage import Law
from thermal.physics.drug import Drug
from thermal.physics.scene import Drive, Held, Source, State
from thermal.units import ZERO_CELSIUS, Array, Mask, Real

Payment = Callable[[float], Array]
"""What nodes at a prescribed temperature exchange themselves when a share of a step is over: lines (5,) W of
:data:`thermal.heat.BUDGET`."""
MOST_STAGES = 1_000_000
"""Of one step: beyond, coefficients or temperatures are out of all reason, and the stages would fill the memory."""

__all__ = ["Control", "Loop", "Progress"]


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
    saves: tuple[float, ...] = ()
    """times in s at which moments are wanted; no step is shortened for them"""
    ticks: tuple[float, ...] = ()
    """times in s that steps land on besides the events of the source, and at which nothing jumps"""
    drug: Drug | None = None
    """what the particles carry"""

    def __post_init__(self) -> None:
        if not 0.0 < self.duration < np.inf:
            raise ValueError(f"duration = {self.duration:g} s: nothing would be marched; give a finite time above zero")
        if self.perfusion_stops is not None and self.perfusion_stops not in self.laws:
            raise ValueError(
                f'perfusion_stops = "{self.perfusion_stops}" is none of the laws: {", ".join(self.laws) or "none"}'
            )

    def start(self, temperature: Array) -> Progress:
        """The state at time zero, from (n,) degC. Raises ``ValueError`` where one is not finite."""
        _check("the temperature at the start", temperature, np.arange(self.bioheat.engine.volume.size))
        damage = {name: law.initial(len(temperature)) for name, law in self.laws.items()}
        engine, heat = self.bioheat.engine, self.bioheat.heat
        working, (liquidus, onset) = WORKING[self.control.precision], heat.liquid
        liquid = liquidus < engine.minimum(temperature) and engine.maximum(temperature) <= onset
        return Progress(
            State(0.0, temperature.copy(), damage),
            temperature.astype(working),
            temperature.astype(working),
            np.zeros(len(BUDGET)),
            0.0,
            0.0,
            0.0,
            content=None if liquid else heat.content(temperature),
            drug=None if self.drug is None else self.drug.initial(),
        )

    def march(self, progress: Progress) -> Iterator[Progress]:
        """Yield the state after every step until ``duration``; start from :meth:`start` or a stored state.

        Works on the arrays of ``progress`` in place.
        """
        targets = marks((*self.source.events, *self.ticks), self.duration)
        jumps = np.asarray(self.source.events)
        while progress.state.time < self.duration:
            target = float(targets[np.searchsorted(targets, progress.state.time + SMALLEST_STEP, side="right")])
            progress = self._step(progress, target, bool(np.any(np.abs(jumps - target) <= APART)))
            yield progress

    def let_go(self) -> None:
        """The march is over: the arrays it worked with are not needed any more."""
        self.__dict__.pop("_stepper", None)
        self.bioheat.let_go()

    def moments(self, progress: Progress) -> Iterator[tuple[Progress, bool]]:
        """The moments of the last step: those of ``saves`` within it, then its end; each with whether it is saved.

        To be taken before the next step.
        """
        end, span = progress.state.time, progress.span
        if span is not None:
            latest = span.before
            for time in self._wanted(latest.state.time, latest.state.time + progress.last_step):
                temperature = self._within(progress, span, time)
                latest = span.moment(time, temperature, latest, progress, self.laws)
                before = span.before.state
                lasting = time - before.time
                drug = self._drug(span.before.drug, before.temperature, temperature, lasting, before.damage)
                latest = replace(latest, drug=drug)
                yield latest, True
        near = np.searchsorted(self._saves, [end - APART, end + APART])
        yield progress, bool(near[0] < near[1])

    def _drug(
        self, state: Array | None, start: Array | None, end: Array, step: float, damage: Mapping[str, Array]
    ) -> Array | None:
        """The drug after ``step`` s from ``start`` to ``end`` (n,) degC, if there is one."""
        if self.drug is None or state is None or start is None:
            return None
        stops = self.perfusion_stops
        perfused = 1.0 if stops is None else self.laws[stops].survival(damage[stops])
        return self.drug.accumulate(state, start, end, step, perfused)

    def _wanted(self, start: float, end: float) -> list[float]:
        """The times of ``saves`` between two ends of steps."""
        first, last = np.searchsorted(self._saves, [start + APART, end - APART])
        return [float(time) for time in self._saves[first:last]]

    def _within(self, progress: Progress, span: Span, time: float) -> Array:
        """(n,) degC at a ``time`` (s) within the last step: of the enthalpy there, or as prescribed."""
        temperature = self.bioheat.heat.temperature(span.v(span.share(time, progress), progress))
        assert progress.drive is not None
        held, _ = self._holding(progress.drive, time)
        kept = np.flatnonzero(held.mask)
        temperature[kept] = held.value[kept]
        return temperature

    @cached_property
    def _saves(self) -> Array:
        return np.unique(self.saves)

    @cached_property
    def _stepper(self) -> HeatStepper:
        return self.bioheat.stepper(self.control.precision)

    @cached_property
    def _ever_free(self) -> Mask:
        """Nodes of the body that nothing holds all along."""
        return np.asarray((self.bioheat.engine.volume > 0) & ~self.bioheat.surroundings.held.mask)

    def _living(self, progress: Progress, ahead: float, foreseen: Callable[[], Array]) -> Array | None:
        """(n,) share of the perfusion that is left ``ahead`` s from now: that of the living cells, none where it froze.

        None for all of it. ``foreseen``: gives the temperature (n,) degC then.
        """
        if self.perfusion_stops is None:
            return None
        now, damage = progress.state.temperature, progress.state.damage[self.perfusion_stops]
        law = self.laws[self.perfusion_stops]
        if progress.earlier is not None:
            damage = law.accumulate(damage, now, foreseen(), ahead)
        living = law.survival(damage)
        liquidus = self.bioheat.heat.liquid[0]
        if np.isfinite(liquidus):
            living *= progress.lowest > liquidus
        return living

    def _begin(self, progress: Progress, drive: Drive, step: float) -> tuple[HeatState, Rates, Nodes, Payment]:
        """Take up a step of ``step`` s; also returns the nodes held at a temperature during it, and what they exchange
        themselves."""
        now, ahead = progress.state.time, 0.5 * step
        held, free = self._holding(drive, now)
        kept = np.flatnonzero(held.mask)
        state = HeatState(progress.state.temperature, progress.lowest, progress.highest, progress.content)
        if not np.array_equal(state.temperature[kept], held.value[kept]):
            self._hold(state, kept, held)
        start, at_end = state.temperature[kept], self._held_at_end(drive, now + step, state.temperature)
        end = start if at_end is None else at_end[kept]

        @cache
        def foreseen() -> Array:
            return _foreseen(progress, ahead)

        def middle() -> Array:
            prescribed = state.temperature if at_end is None else 0.5 * (state.temperature + at_end)
            return np.where(free, foreseen(), prescribed)

        action = self.bioheat.action(drive, self._living(progress, ahead, foreseen), free, at_end)

        def paid(share: float) -> Array:
            return self._paid(kept, start + share * (end - start), action.blood)

        try:
            rates = self._stepper.begin(state, middle, action)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} at {now + step:g} s with a step of {step:g} s") from None
        return state, rates, kept, paid

    def _held_at_end(self, drive: Drive, time: float, temperature: Array) -> Array | None:
        """(n,) degC: what is prescribed at the end of a step, at ``time`` s, elsewhere the ``temperature`` at its
        start; None where nothing that is prescribed may move."""
        if drive.held is None:
            return None
        held, _ = self._holding(drive, time)
        _check("the prescribed temperature", held.value, np.flatnonzero(held.mask))
        return np.where(held.mask, held.value, temperature)

    def _paid(self, kept: Nodes, temperature: Array, blood: Real) -> Array:
        """Lines (5,) W of what the nodes ``kept`` at a prescribed ``temperature`` (t,) degC give to blood (n,) W/K and
        surroundings: whoever holds them pays for it, as for the heat put into them. The flow through a wall would lack
        that of half a cell otherwise."""
        heat, around, total = self.bioheat.heat, self.bioheat.surroundings, self.bioheat.engine.total
        flowing = np.where(temperature > heat.liquid[0], blood[kept], 0.0)
        by_blood = total(flowing * (self.bioheat.arterial_temperature - temperature))
        by_border = total(around.load[kept] - around.film[kept] * temperature)
        return np.array([0.0, by_blood, by_border, 0.0, -by_blood - by_border])

    def _step(self, progress: Progress, target: float, jumps: bool) -> Progress:
        now = progress.state.time
        proposal = progress.step if progress.step > 0.0 else self._fresh_step(progress, target - now)
        step, lands = fit(min(proposal, self.control.max_step), target - now)
        drive = self.source.drive(progress.state, step)
        if (longest := self.control.after_turn(drive.turn)) < step:
            proposal = longest
            step, lands = fit(proposal, target - now)
            drive = self.source.drive(progress.state, step)
        if now + SMALLEST_STEP < drive.until < target - APART:
            target, jumps = drive.until, False
            shorter, lands = fit(min(proposal, self.control.max_step), target - now)
            if shorter < step:
                step = shorter
                drive = self.source.drive(progress.state, step)
        earlier = progress.state.temperature.copy() if self._looks_back or drive.contacts else None
        before = replace(progress.copy(), span=None) if self._wanted(now, now + step) else None
        heat, rates, kept, paid = self._begin(progress, drive, step)
        leap = self._leap(now, target, rates, step) if self._linear(drive) else None
        if leap is None:
            stages = stage_count(step * rates.decay)
            stepped = self._advance(now, step, stages)
            while stepped.front_error > self.control.bearable:
                proposal = self.control.again(step, stepped.front_error)
                step, lands = fit(proposal, target - now)
                drive = self.source.drive(progress.state, step)
                heat, rates, kept, paid = self._begin(progress, drive, step)
                stages += (more := stage_count(step * rates.decay))
                stepped = self._advance(now, step, more)
            if before is not None and not self._wanted(now, now + step):
                before = None
            if stepped.error is None:
                self._look_for_runaway(now + step, progress.state.temperature, drive.power)
            following = self._next_step(step, proposal, stepped)
        else:
            before, (step, lands, stages, stepped) = None, leap
            following = 0.0 if stepped.error is None else self.control.after_leap(step, stepped.error)
        temperature, lines = progress.state.temperature, stepped.lines + step * paid(0.5)
        if drive.held is not None:
            progress.lowest[kept] = np.minimum(progress.lowest[kept], temperature[kept])
            progress.highest[kept] = np.maximum(progress.highest[kept], temperature[kept])
        for start in (earlier, None if before is None else before.state.temperature):
            if start is not None:
                start[kept] = self._holding(drive, now)[0].value[kept]
        damage = {
            name: law.accumulate(progress.state.damage[name], earlier, temperature, step)
            for name, law in self.laws.items()
            if earlier is not None
        }
        at_event = lands and jumps and target < self.duration
        return Progress(
            State(target if lands else now + step, temperature, damage),
            progress.lowest,
            progress.highest,
            progress.energy + lines,
            progress.throughput + max(float(np.abs(lines).sum()), stepped.moved),
            progress.stored + stepped.stored,
            0.0 if at_event else following,
            earlier,
            step,
            progress.steps + 1,
            progress.stages + stages,
            drive,
            None if before is None else self._span(before, paid),
            heat.content,
            self._drug(progress.drug, earlier, temperature, step, damage),
        )

    def _span(self, before: Progress, paid: Payment) -> Span:
        """The step done last, with what nodes held at a temperature ``paid``."""
        first, last = self._stepper.ends()
        return Span(before, first.beside(paid(0.0)), last.beside(paid(1.0)))

    def _advance(self, now: float, step: float, stages: int) -> Stepped:
        if stages > MOST_STAGES:
            raise FloatingPointError(
                f"a step of {step:g} s at {now:g} s would take {stages} stages: the run has run away"
            )
        place = f"at {now + step:g} s with a step of {step:g} s and {stages} stages"
        try:
            stepped = self._stepper.advance(step, stages, self.control.bearable)
        except FloatingPointError as error:
            raise FloatingPointError(f"{error} {place}") from None
        if step <= SMALLEST_STEP and stepped.front_error > self.control.bearable:
            raise FloatingPointError(f"the temperature beside ice or vapour cannot be followed {place}")
        return stepped

    def _look_for_runaway(self, time: float, temperature: Array, power: Array) -> None:
        """Raise ``FloatingPointError`` at a ``temperature`` (n,) degC that no blood, wall or probe draws tissue to; a
        sink (``power``: (n,) W put in) may: around a line the temperature falls without end."""
        coldest = self.bioheat.engine.minimum(temperature)
        if coldest < -ZERO_CELSIUS and self.bioheat.engine.minimum(power) >= 0.0:
            raise FloatingPointError(
                f"the temperature fell to {coldest:g} degC at {time:g} s, below absolute zero: more heat flows out "
                "at a boundary than there is, or tissue freezes within a kelvin without latent heat: give it some, or "
                "a wider range"
            )

    def _linear(self, drive: Drive) -> bool:
        """Whether the equation stays linear until the next target, as far as there is neither ice nor vapour."""
        return drive.steady and not drive.contacts and drive.held is None and not self._looks_back

    def _leap(
        self, now: float, target: float, rates: Rates, ordinary: float
    ) -> tuple[float, bool, int, Stepped] | None:
        """A step of a linear equation, exact in time: its length, whether it lands on ``target``, stages, what it did.

        Not beyond a moment that is to be saved: within such a step it is not known. None where there is ice or vapour,
        or where ``ordinary`` steps (s) get there with fewer stages.
        """
        end = min([target, *self._wanted(now, target)])
        longest = min(
            self.control.max_step,
            self.control.farthest / max(rates.heating, 1e-30),
            LONGEST_LEAP / max(rates.decay, 1e-30),
        )
        step, lands = fit(longest, end - now)
        scheme = chebyshev(step * rates.decay, self.control.unnoticed / max(step * rates.heating, 1e-30))
        if scheme.stages > step / ordinary * stage_count(ordinary * rates.decay):
            return None
        stepped = self._stepper.leap(step, scheme, last=lands and end >= self.duration)
        return None if stepped is None else (step, lands and end == target, scheme.stages, stepped)

    @property
    def _looks_back(self) -> bool:
        """Whether anything but probes depends on the temperature at the start of a step."""
        return bool(self.laws) or self.drug is not None or self.bioheat.cells.rises

    def _hold(self, state: HeatState, kept: Nodes, held: Held) -> None:
        """Bring the nodes ``kept`` to what is prescribed, and what they hold with it: they may be released."""
        _check("the prescribed temperature", held.value, kept)
        state.temperature[kept] = held.value[kept]
        if state.content is not None:
            state.content[kept] = self.bioheat.heat.take(kept).content(held.value[kept])

    def _holding(self, drive: Drive, time: float) -> tuple[Held, Mask]:
        """Nodes whose temperature is prescribed at ``time``, and those that are free."""
        always = self.bioheat.surroundings.held
        if drive.held is None:
            return always, self._ever_free
        now = drive.held(time)
        mask = now.mask | always.mask
        return Held(mask, np.where(now.mask, now.value, always.value)), self._ever_free & ~now.mask

    def _fresh_step(self, progress: Progress, left: float) -> float:
        """First step after a jump."""
        drive = self.source.drive(progress.state, min(self.control.max_step, left))
        _, rates, _, _ = self._begin(progress, drive, 0.0)
        ramps = drive.held is not None or any(contact.change != 0.0 for contact in drive.contacts)
        return self.control.first(rates.decay, rates.heating, ramps)

    def _next_step(self, step: float, proposal: float, stepped: Stepped) -> float:
        """Proposal for the next step from the local error estimate."""
        if stepped.error is None:
            return self.control.next_beside_fronts(step, proposal, stepped.front_error)
        return self.control.next(step, proposal, stepped.error)


def _check(what: str, temperature: Array, nodes: Nodes) -> None:
    """Raise ``ValueError`` unless a ``temperature`` (n,) degC is finite at these ``nodes``."""
    if np.shape(temperature) <= (int(nodes.max(initial=-1)),):
        raise ValueError(f"{what} has the shape {np.shape(temperature)}; give one number for each node, in degC")
    bad = nodes[~np.isfinite(temperature[nodes])]
    if bad.size:
        raise ValueError(
            f"{what} is not finite at {bad.size} of {nodes.size} nodes, the first is node {bad[0]} with "
            f"{temperature[bad[0]]:g}; give a number of degC"
        )


def _foreseen(progress: Progress, ahead: float) -> Array:
    """(n,) degC ahead of now (s), if the temperature goes on as in the last step; as it is after an event."""
    now = progress.state.temperature
    if progress.earlier is None or progress.step == 0.0:
        return now
    return np.asarray(now + (ahead / progress.last_step) * (now - progress.earlier))
