"""What a heat source is given, and what it gives back.

A heating kind (``Prescribed``, ``Photothermal``, ``Rfa`` ...) is a frozen specification whose :meth:`Heating.prepare`
turns a :class:`Scene` into a :class:`Source`. The time loop asks the source for a :class:`Drive` at the start of every
step and lands on its events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np

from thermal.domain import CutEdges, Line, Probe
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.library import Sourced
from thermal.physics.tissue import Tissues
from thermal.sampled import ReadVectors, VectorMap
from thermal.units import Array, Mask


@dataclass(frozen=True)
class Reading:
    """A number with its unit, for the summary and the history."""

    value: float
    unit: str


@dataclass(frozen=True)
class Device:
    """Something a hand could hold, for pictures and reports."""

    kind: str
    """needle, fibre, electrode, cryoprobe, coil or beam"""
    name: str
    shape: Line
    active: Probe | None = None
    """the part that works, which must lie in tissue; None for what stays outside the body"""
    place: str = ""
    """key of the case file that says where ``active`` ends, e.g. ``heating.electrode.tip``"""
    mirrors: frozenset[str] = frozenset()
    """faces of the window that are planes of symmetry for it"""
    more: tuple[tuple[str, Probe], ...] = ()
    """further parts that must lie in tissue, now or later, each after the key that says where: side ports, the ports of
    a needle that is drawn back"""


@dataclass(frozen=True)
class Reshaped:
    """Thresholds above which particles lose their shape, degC of the tissue and J/m2 of a pulse, and absorption and
    reduced scattering afterwards, 1/m per kg/m3, at a vacuum wavelength in m."""

    temperature: float | None
    pulse_fluence: float | None
    optics: Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class Payload:
    """Particles where the delivery left them.

    ``concentration``: (n,) bulk mass concentration of the carrier in tissue, kg per m3 of tissue (pore plus deposited).
    ``optics``: absorption and reduced scattering, in 1/m per kg/m3, at a vacuum wavelength in m.
    ``specific_absorption_rate``: W per kg of carrier as function of field amplitude (A/m, array), frequency (Hz) and
    temperature (degC; the carrier's own for none).
    ``agitation``: what a field of peak amplitudes (n,) A/m does to concentrations (n,) kg/m3 in a time (s) by turning
    particles: fields with their units; ``None`` where it does not.
    ``emission``: emitted over absorbed power at fluence rates (n,) W/m2 of a vacuum wavelength in m.
    ``heat_share``: of what they absorb, the part that becomes heat, at a vacuum wavelength in m.
    ``reshaped``: when and into what they lose their shape; ``None`` where they do not.
    ``doubts``: what to say about the validity of that at an amplitude (A/m) and frequency (Hz).
    """

    concentration: Array
    optics: Callable[[float], tuple[float, float]] | None = None
    specific_absorption_rate: Callable[[Array, float, float | None], Array] | None = None
    agitation: Callable[[Array, Array, float], dict[str, tuple[Array, str]]] | None = None
    emission: Callable[[Array, float], Array] | None = None
    heat_share: Callable[[float], float] = lambda wavelength: 1.0
    reshaped: Reshaped | None = None
    doubts: Callable[[float, float], tuple[str, ...]] = lambda amplitude, frequency: ()


@dataclass(frozen=True)
class Held:
    """Nodes of a field kept at a value: ``mask`` (n,), ``value`` (n,).

    ``regions``: those held as a whole whose border is known better than by their nodes.
    """

    mask: Mask
    value: Array
    regions: tuple[str, ...] = ()

    def edges(self, engine: Engine) -> CutEdges | None:
        """Edges that the borders of the regions cut."""
        return CutEdges.product(*(engine.held_edges(region) for region in self.regions))


def no_files(name: str, place: str, length: float, array: str | None) -> VectorMap:
    """Raises ``CaseError``: a scene without a case has no files."""
    raise CaseError(f'{place} = "{name}": there is no case whose folder it would be in')


@dataclass(frozen=True)
class Scene:
    """All that a heating kind may look at."""

    engine: Engine
    tissues: Tissues
    payload: Payload | None
    grounded: Held
    """nodes with a prescribed electric potential (``[boundaries] potential``)"""
    duration: float
    """simulated time, s"""
    initial_temperature: Array
    """(n,) degC"""
    read_vectors: ReadVectors = no_files
    """reads vector fields from files of the case"""


@dataclass(frozen=True)
class State:
    """The bioheat state at one instant.

    ``temperature``: (n,) degC. ``damage``: law name -> (n,). ``time``: s.
    """

    time: float
    temperature: Array
    damage: Mapping[str, Array]


def due_times(every: float | None, duration: float) -> Array:
    """Times in (0, ``duration``), s, at which something is computed again that is so ``every`` so many seconds."""
    return np.array([] if every is None else every * np.arange(1, int(np.ceil(duration / every - 1e-9))))


@dataclass(frozen=True)
class Contact:
    """Heat exchange with a thin probe through its sub-grid conductance.

    Heat into node i = g_i (temperature - T_i) with g_i = k_i(T) * factor_i, in series with the coolant film
    ``film_i`` (W/K, infinite where there is none): g = 1 / (1/(k factor) + 1/film).
    """

    factor: Array
    """(n,) m, from ``Engine.contact``"""
    temperature: float
    """degC of the coolant or of the probe's wall, in the middle of the step"""
    film: Array | float = np.inf
    change: float = 0.0
    """K by which the temperature goes on, evenly, from the start of the step to its end"""


@dataclass(frozen=True)
class Drive:
    """What acts on the tissue during one step.

    ``power``: (n,) W put into each node. ``contacts``: probes. ``held``: nodes whose temperature is prescribed, as a
    function of time (s) whose mask never changes. ``readings``: instruments for the history (power, impedance ...).
    ``steady``: all of it stays as it is until the source's next event or tick, whatever the temperature does.
    ``until``: time in s beyond which the step must not go, though there is neither event nor tick. ``turn``: K/s by
    which prescribed temperatures move faster or slower from the start of the step on than before.
    """

    power: Array
    contacts: tuple[Contact, ...] = ()
    held: Callable[[float], Held] | None = None
    readings: Mapping[str, Reading] = field(default_factory=dict)
    steady: bool = False
    until: float = np.inf
    turn: float = 0.0


@runtime_checkable
class Mapped(Protocol):
    """A kind of heating that may name files of vectors."""

    def check_maps(self, files: ReadVectors, points: Array) -> None:
        """Raises ``CaseError`` for files that cannot be read or do not reach the ``points`` (q, 3) m of the tissue."""
        ...


@runtime_checkable
class Finer(Protocol):
    """A source some of whose fields are known better than by the nodes of the heat grid."""

    def finer(self, name: str, at: Array) -> float | None:
        """Value of a field at a point (3,) m; ``None`` of one that is linear between the nodes of the heat grid."""
        ...


class Source(Protocol):
    """A prepared heat source."""

    @property
    def events(self) -> tuple[float, ...]:
        """Times in s at which the drive jumps; the time loop lands on each."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """For pictures."""
        ...

    @property
    def fields(self) -> Mapping[str, tuple[Array, str]]:
        """Static nodal fields worth keeping: name -> ((n,) values, unit), e.g. fluence rate, absorbed power."""
        ...

    @property
    def summary(self) -> Mapping[str, Reading]:
        """Scalars for the summary, e.g. the optical power balance."""
        ...

    @property
    def ticks(self) -> tuple[float, ...]:
        """Times in s that steps must land on without anything jumping there, e.g. when a controller looks."""
        ...

    @property
    def library(self) -> tuple[Sourced, ...]:
        """The library's numbers in use, with their sources."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Statements of doubtful validity, with the number, the limit and its source."""
        ...

    def drive(self, state: State, step: float) -> Drive:
        """What acts from ``state.time`` to ``state.time + step``."""
        ...

    def memory(self) -> Mapping[str, Array]:
        """Arrays to restore for a resumed run to go on bit for bit (empty when the source has no history)."""
        ...

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        ...


class Heating(Protocol):
    """A heating kind: a frozen specification."""

    @property
    def kind(self) -> str:
        """Name in the case file."""
        ...

    @property
    def devices(self) -> tuple[Device, ...]:
        """What it places, known before anything is solved."""
        ...

    def lasting(self, time: float) -> Self:
        """The same treatment, heating or freezing for ``time`` s."""
        ...

    def check(self, tissues: Tissues) -> None:
        """Look at what the anatomy must have for it, at no cost. Raises ``CaseError`` with all that it lacks."""
        ...

    def prepare(self, scene: Scene) -> Source:
        """Solve what can be solved before time starts. Raises ``CaseError`` for impossible input."""
        ...


def probe_line(
    entry: tuple[float, float, float], tip: tuple[float, float, float], length: float, radius: float
) -> Line:
    """The active part of a straight probe: ``length`` m back from its tip towards its entry point."""
    tip_array, direction = np.asarray(tip), np.subtract(entry, tip)
    start = tip_array + direction * (length / float(np.linalg.norm(direction)))
    return Line(tuple(start.tolist()), tip, radius)
