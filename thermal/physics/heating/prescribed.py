"""Heat that is written down instead of computed: power densities, prescribed temperatures, and nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from thermal.domain import Ball, Line, Probe
from thermal.engine import Engine, node_widths
from thermal.errors import CaseError
from thermal.physics.heating.schedule import Ramp, Switched, ramp_breaks, ramp_within
from thermal.physics.heating.source import PlainSource
from thermal.physics.scene import Device, Drive, Held, Reading, Scene, State, region_nodes
from thermal.physics.tissue import Tissues
from thermal.units import Array, Length, Point, PowerDensity, Spec, quantity

QUADRATURE_PER_CELL = 3
"""Quadrature points per cell edge for shapes with sharp borders."""
SMALLEST_PARTS = 8
"""Small cubes across a shape, at least."""
MOST_POINTS = 2e7
"""Quadrature points above which one per cell must do."""
CHUNK = 500_000
"""Quadrature points handed to the engine at a time."""
LOST_SHARE = 1e-3
"""Share of a shape's power that may fall outside the tissue before a warning is given."""
STATIONS = 101
"""Points along a line that are looked at."""
NARROWEST = 0.6
"""Standard deviation of a Gaussian in cells below which its lumped sum is off by over 0.2 % (Poisson summation)."""

THINNEST = 2.0
"""Cells across a source of uniform density below which its shape is lost."""

SignedPower = Annotated[float, *quantity("W", ge=-1e6, le=1e6)]


class _Placed(Switched):
    """What the sources share."""

    def check(self, engine: Engine) -> None:
        """Raises ``ValueError`` that begins with the key when the source cannot lie where it is put."""


class RegionSource(_Placed):
    """Uniform power density over a named region."""

    shape: Literal["region"] = "region"
    region: str
    """that is heated"""
    density: PowerDensity
    """power per volume"""

    @property
    def outline(self) -> Probe | None:
        """None: a region has the symmetry of the anatomy."""
        return None

    def check(self, engine: Engine) -> None:
        """Raises ``ValueError`` for an unknown region."""
        _region_volume(engine, self.region, "region")

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W."""
        return self.density * _region_volume(engine, self.region, "region")

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.density * float(np.sum(_region_volume(engine, self.region, "region")))

    def narrow(self, engine: Engine) -> str | None:
        """What to say when no node of the region is whole: it is then thinner than two to three cells."""
        share = _region_volume(engine, self.region, "heating.sources")
        if bool(np.any((share >= (1.0 - 1e-9) * engine.volume) & (engine.volume > 0.0))):
            return None
        finest = float(node_widths(engine)[share > 0].min())
        return (
            f'region "{self.region}" is thinner than two cells of {1e3 * finest:.3g} mm everywhere, so its power '
            "(exact in all) is spread over more tissue than it heats; refine the grid there"
        )


class SphereSource(_Placed):
    """Uniform power density in a sphere."""

    shape: Literal["sphere"]
    centre: Point
    """of the sphere"""
    radius: Length
    """of the sphere"""
    density: PowerDensity
    """power per volume"""

    @property
    def outline(self) -> Probe | None:
        """What must keep the symmetry of the anatomy."""
        return Ball(self.centre, self.radius)

    def check(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a sphere that lies outside the domain."""
        _finest(engine, self._stations())

    def _stations(self) -> Array:
        """Points (q, 3) m at which its cells are looked up."""
        corners = self.radius / np.sqrt(3.0) * np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(-1, 3)
        poles = self.radius * np.vstack([np.eye(3), -np.eye(3), np.zeros((1, 3))])
        return np.asarray(np.asarray(self.centre) + np.vstack([corners, poles]))

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W: a lattice of small cubes, handed to the nodes by the adjoint of interpolation.

        The cubes divide the cells evenly, so the inside is uniform; those on the border count by their share of the
        sphere and are scaled together such that the power is exact.
        """
        centre = np.asarray(self.centre)
        edge = _lattice_edge(_finest(engine, self._stations()), 2.0 * self.radius)
        inside, border = np.zeros_like(engine.volume), np.zeros_like(engine.volume)
        whole, partial = 0.0, 0.0
        for offsets, shares in _ball_lattice(self.radius, edge):
            full = shares == 1.0
            inside += _deposit(engine, np.full(int(full.sum()), edge**3), centre + offsets[full])
            border += _deposit(engine, edge**3 * shares[~full], centre + offsets[~full])
            whole += edge**3 * float(full.sum())
            partial += edge**3 * float(shares[~full].sum())
        return self.density * (inside + (self._volume - whole) / partial * border)

    @property
    def _volume(self) -> float:
        return 4.0 / 3.0 * np.pi * self.radius**3

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.density * self._volume

    def narrow(self, engine: Engine) -> str | None:
        """What to say when it is thinner than two cells."""
        return _thin(engine, self.centre, 2.0 * self.radius, "a sphere")


class BoxSource(_Placed):
    """Uniform power density in a box along the axes; ``size`` is its three edges."""

    shape: Literal["box"]
    centre: Point
    """of the box"""
    size: tuple[Length, Length, Length]
    """three edges, along x, y and z"""
    density: PowerDensity
    """power per volume"""

    @property
    def outline(self) -> Probe | None:
        """A line across: no box is round."""
        return _across(self.centre)

    def check(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a box that lies outside the domain."""
        _finest(engine, self._stations())

    def _stations(self) -> Array:
        """Points (q, 3) m at which its cells are looked up."""
        corners = np.stack(np.meshgrid(*[[-0.5, 0.0, 0.5]] * 3), axis=-1).reshape(-1, 3)
        return np.asarray(np.asarray(self.centre) + corners * np.asarray(self.size))

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W: a lattice of small boxes, handed to the nodes by the adjoint of interpolation."""
        centre, size = np.asarray(self.centre), np.asarray(self.size)
        edge = _lattice_edge(_finest(engine, self._stations()), float(np.max(size)))
        edges = [
            np.append(np.arange(0.0, s * (1.0 - 1e-9), edge), s) + c - 0.5 * s
            for c, s in zip(centre, size, strict=True)
        ]
        x, y, z = (0.5 * (e[1:] + e[:-1]) for e in edges)
        dx, dy, dz = (np.diff(e) for e in edges)
        plane = np.stack([a.ravel() for a in np.meshgrid(y, z, indexing="ij")], axis=1)
        area = np.outer(dy, dz).ravel()
        power = np.zeros_like(engine.volume)
        for part in np.array_split(np.arange(len(x)), max(1, len(x) * len(plane) // CHUNK)):
            points = np.column_stack([np.repeat(x[part], len(plane)), np.tile(plane, (len(part), 1))])
            power += _deposit(engine, self.density * np.outer(dx[part], area).ravel(), points)
        return power

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.density * float(np.prod(self.size))

    def narrow(self, engine: Engine) -> str | None:
        """What to say when an edge that ends within the tissue is thinner than two cells."""
        lower, upper = engine.points.min(axis=0), engine.points.max(axis=0)
        half = 0.5 * np.asarray(self.size)
        ends = (self.centre - half > lower + 1e-9) | (self.centre + half < upper - 1e-9)
        return _thin(engine, self.centre, float(np.min(2.0 * half[ends], initial=np.inf)), "a box")


class GaussianSource(_Placed):
    """Power density ``peak exp(-sum((x - centre)^2 / (2 sigma^2)))``.

    ``sigma`` is one standard deviation, or three, of which any may be ``"inf"``: uniform along that axis.
    """

    shape: Literal["gaussian"]
    centre: Point
    """where it is strongest"""
    sigma: Length | tuple[Length | Literal["inf"], Length | Literal["inf"], Length | Literal["inf"]]
    """one standard deviation, or three, of which any may be "inf": uniform along that axis"""
    peak: PowerDensity
    """power per volume at the centre"""

    def _sigmas(self) -> Array:
        return np.array([float(s) for s in self.sigma] if isinstance(self.sigma, tuple) else [self.sigma] * 3)

    @property
    def outline(self) -> Probe | None:
        """What must keep the symmetry of the anatomy."""
        x, y, z = self._sigmas()
        return Ball(self.centre, float(z)) if x == y else _across(self.centre)

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W: density at the nodes times their volume, which converges exponentially in sigma / spacing."""
        scaled = (engine.points - np.asarray(self.centre)) / self._sigmas()
        return np.asarray(self.peak * np.exp(-0.5 * np.sum(scaled**2, axis=1)) * engine.volume)

    def whole_power(self, engine: Engine) -> float:
        """Power in the tissue as discretised, W: a Gaussian has no border that could fall outside unnoticed."""
        return float(np.sum(self.nodal_power(engine)))

    def narrow(self, engine: Engine) -> str | None:
        """What to say when the cells at its centre are too wide for the Gaussian."""
        smallest = float(np.min(self._sigmas()))
        try:
            spacing = engine.spacing(self.centre)
        except ValueError:  # its tail reaches in from outside
            return None
        if smallest >= NARROWEST * spacing:
            return None
        return (
            f"a Gaussian source with sigma = {1e3 * smallest:.3g} mm on cells of {1e3 * spacing:.3g} mm: its power is "
            f"off by more than 0.2 % for sigma below {NARROWEST:g} cells; refine the grid there or use a point source"
        )


class PointSource(_Placed):
    """A power at a point; negative: a heat sink."""

    shape: Literal["point"]
    position: Point
    """of the point"""
    power: SignedPower
    """negative: a heat sink"""

    @property
    def outline(self) -> Probe | None:
        """What must keep the symmetry of the anatomy."""
        return Ball(self.position, 0.0)

    def check(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a point outside the body."""
        if not engine.holds(np.array([self.position])).any():
            raise ValueError(
                f"position: {_millimetres(self.position)} lies outside the body or the window; move it inside"
            )

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W."""
        return _deposit(engine, np.array([self.power]), np.asarray(self.position)[None, :])

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.power

    def narrow(self, engine: Engine) -> str | None:
        """Nothing: it is meant to be thinner than a cell."""
        return None


class LineSource(_Placed):
    """A power spread evenly over a straight line; negative: a heat sink."""

    shape: Literal["line"]
    start: Point
    """one end"""
    end: Point
    """the other end"""
    power: SignedPower
    """of the whole line; negative: a heat sink"""

    @property
    def outline(self) -> Probe | None:
        """What must keep the symmetry of the anatomy."""
        return Line(self.start, self.end, 0.0)

    def check(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a line that lies outside the body with its whole length."""
        stations = np.linspace(self.start, self.end, STATIONS)
        if not engine.holds(stations).any():
            raise ValueError(
                f"start: the line from {_millimetres(self.start)} to {_millimetres(self.end)} lies outside the body or "
                "the window; move it inside"
            )

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W."""
        start, along = np.asarray(self.start), np.subtract(self.end, self.start)
        spacing = _finest(engine, start + np.linspace(0, 1, 9)[:, None] * along) / QUADRATURE_PER_CELL
        count = max(1, int(np.ceil(float(np.linalg.norm(along)) / spacing)))
        points = start + ((np.arange(count) + 0.5) / count)[:, None] * along
        return _deposit(engine, np.full(count, self.power / count), points)

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.power

    def narrow(self, engine: Engine) -> str | None:
        """Nothing: it is meant to be thinner than a cell."""
        return None


PrescribedSource = Annotated[
    RegionSource | SphereSource | BoxSource | GaussianSource | PointSource | LineSource, Field(discriminator="shape")
]


class Prescribed(Switched):
    """Heat sources written down in the case; they add up. ``on`` and ``pulses`` here switch all of them together."""

    kind: Literal["prescribed"]
    sources: tuple[PrescribedSource, ...] = Field(min_length=1)
    """they add up"""

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for unknown regions and for points and lines that lie outside the body."""
        problems = []
        for index, source in enumerate(self.sources):
            try:
                source.check(tissues.engine)
            except ValueError as error:
                problems.append(f"heating.sources[{index}].{error}")
        if problems:
            raise CaseError(*problems)

    def prepare(self, scene: Scene) -> PlainSource:
        """Nodal powers of all sources. Raises ``CaseError`` for unknown regions and sources outside the domain."""
        engine, problems, warnings = scene.engine, [], []
        powers: list[Array] = []
        events = set(self.switch_times(scene.duration))
        summary = {}
        for index, source in enumerate(self.sources):
            where = f"heating.sources[{index}]"
            if source.outline is not None and not engine.symmetric(source.outline):
                problems.append(
                    f"{where}: it is not round about the axis of symmetry (x = 0, y = 0), as it must be on an "
                    "axisymmetric mesh; centre it there, or use voxels or tetrahedra"
                )
                continue
            try:
                power = source.nodal_power(engine)
            except ValueError as error:
                problems.append(f"{where}.{error}")
                continue
            powers.append(power)
            events.update(source.switch_times(scene.duration))
            put, whole = float(np.sum(power)), source.whole_power(engine)
            summary[f"heating.sources.{index}.power"] = Reading(put, "W")
            if abs(put - whole) > LOST_SHARE * abs(whole):
                warnings.append(
                    f"{where}: {whole - put:.4g} W of {whole:.4g} W lie outside the tissue and are left out"
                )
            if narrow := source.narrow(engine):
                warnings.append(f"{where}: {narrow}")
        if problems:
            raise CaseError(*problems)
        whole_power = np.sum(powers, axis=0)
        summary["heating.power"] = Reading(float(np.sum(whole_power)), "W")

        def act(state: State, step: float) -> Drive:
            middle = state.time + 0.5 * step
            power = np.zeros_like(engine.volume)
            if self.is_on(middle):
                for source, nodal in zip(self.sources, powers, strict=True):
                    if source.is_on(middle):
                        power += nodal
            return Drive(power, readings={"power": Reading(float(np.sum(power)), "W")})

        density = np.divide(whole_power, engine.volume, out=np.zeros_like(whole_power), where=engine.volume > 0)
        return PlainSource(
            act, tuple(sorted(events)), fields={"absorbed_power": (density, "W/m^3")}, summary=summary,
            warnings=tuple(warnings),
        )  # fmt: skip


class PrescribedTemperature(Spec):
    """A region, or everything, held at a temperature that follows a schedule, linear between its knots.

    A repeated time in ``schedule`` is a jump; before the first knot and after the last the value stays.
    """

    devices: ClassVar[tuple[Device, ...]] = ()
    kind: Literal["temperature"]
    schedule: Ramp
    """knots [time, temperature]"""
    region: str | None = None
    """region that is held; everything when absent"""

    def lasting(self, time: float) -> Self:
        """The same schedule: what is prescribed is left as it is."""
        return self

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for an unknown region."""
        if self.region is not None:
            try:
                _region_volume(tissues.engine, self.region, "heating.region")
            except ValueError as error:
                raise CaseError(str(error)) from None

    def prepare(self, scene: Scene) -> PlainSource:
        """Which nodes are held. Raises ``CaseError`` for an unknown region or one smaller than a cell."""
        engine = scene.engine
        mask = engine.volume > 0
        if self.region is not None:
            try:
                _region_volume(engine, self.region, "heating.region")
            except ValueError as error:
                raise CaseError(str(error)) from None
            mask = region_nodes(engine, self.region)
            if not mask.any():
                raise CaseError(
                    f'heating.region = "{self.region}": it takes no quarter of any node\'s volume, so none can be '
                    "held; refine the grid there"
                )
        idle = np.zeros_like(engine.volume)

        def act(state: State, step: float) -> Drive:
            value = ramp_within(self.schedule, state.time, step)
            reading = Reading(value(state.time + step), "degC")
            return Drive(
                idle,
                held=lambda time: Held(mask, np.full(mask.shape, value(time))),
                readings={"held_temperature": reading},
            )

        events, ticks = ramp_breaks(self.schedule, scene.duration)
        return PlainSource(act, events, ticks=ticks)


class NoHeating(Spec):
    """No heat source."""

    devices: ClassVar[tuple[Device, ...]] = ()
    kind: Literal["none"] = "none"

    def lasting(self, time: float) -> Self:
        """Nothing for as long as one likes."""
        return self

    def check(self, tissues: Tissues) -> None:
        """Nothing is needed."""

    def prepare(self, scene: Scene) -> PlainSource:
        """A source that does nothing."""
        idle = np.zeros_like(scene.engine.volume)
        return PlainSource(lambda _state, _step: Drive(idle))


def _across(centre: tuple[float, float, float]) -> Line:
    """A line through ``centre`` that no axis of symmetry along z holds."""
    x, y, z = centre
    return Line(centre, (x + 1.0, y, z), 0.0)


def _millimetres(point: Point) -> str:
    return f"({', '.join(f'{1e3 * x:.4g}' for x in point)}) mm"


def _region_volume(engine: Engine, region: str, where: str) -> Array:
    if region not in engine.volumes:
        known = ", ".join(sorted(engine.volumes))
        raise ValueError(f'{where}: there is no region "{region}"; the anatomy has {known}')
    return engine.volumes[region]


def _thin(engine: Engine, centre: tuple[float, float, float], thickness: float, what: str) -> str | None:
    """What to say when a source is thinner than two cells at its centre."""
    try:
        spacing = engine.spacing(centre)
    except ValueError:  # it reaches in from outside
        return None
    if thickness >= THINNEST * spacing * (1.0 - 1e-9):
        return None
    return (
        f"{what} {1e3 * thickness:.3g} mm thick on cells of {1e3 * spacing:.3g} mm: below {THINNEST:g} cells its power "
        "(exact in all) is spread over more tissue than it heats; refine the grid there or use a point or line source"
    )


def _finest(engine: Engine, at: Array) -> float:
    """Smallest cell size (m) met at the points (q, 3); points outside the domain are ignored unless all are."""
    sizes, message = [], ""
    for point in at:
        try:
            sizes.append(engine.spacing((float(point[0]), float(point[1]), float(point[2]))))
        except ValueError as error:
            message = str(error)
    if not sizes:
        raise ValueError(f"centre: the source lies outside the domain: {message}; move it inside")
    return min(sizes)


def _deposit(engine: Engine, amount: Array, at: Array) -> Array:
    """``Engine.deposit`` without the points beyond the bounding box of the nodes: their amount is lost."""
    lower, upper = engine.bounds
    within = np.all((at >= lower) & (at <= upper), axis=1)
    return engine.deposit(amount[within], at[within])


def _lattice_edge(cell: float, size: float) -> float:
    """Edge of the small cubes, m: an integer part of the ``cell``, for shapes as large as ``size`` and as small."""
    parts = QUADRATURE_PER_CELL if (QUADRATURE_PER_CELL * size / cell) ** 3 < MOST_POINTS else 1
    return cell / max(parts, int(np.ceil(SMALLEST_PARTS * cell / size)))


def _ball_lattice(radius: float, edge: float) -> Iterator[tuple[Array, Array]]:
    """Centres (q, 3) of the cubes that touch a ball around the origin, slab by slab, and their shares of it (q,).

    On the border the sphere is taken for its tangent plane and the cube for a slab as thick as it is along the normal.
    """
    count = int(np.ceil(radius / edge)) + 1
    axis = (np.arange(-count, count) + 0.5) * edge
    y, z = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    for part in np.array_split(axis, max(1, len(axis) * len(y) // CHUNK)):
        points = np.column_stack([np.repeat(part, len(y)), np.tile(y, len(part)), np.tile(z, len(part))])
        distance = np.linalg.norm(points, axis=1)
        thickness = edge * np.abs(points).sum(axis=1) / distance
        shares = np.clip(0.5 + (radius - distance) / thickness, 0.0, 1.0)
        touched = shares > 0.0
        yield points[touched], shares[touched]
