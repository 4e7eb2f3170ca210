"""Shapes of power densities that are written down: regions, spheres, boxes, Gaussians, points and lines."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from thermal.domain import Ball, Line, Probe
from thermal.engine import Engine
from thermal.nodes import node_widths
from thermal.physics.heating.bell import integral_inside
from thermal.physics.heating.schedule import Switched
from thermal.physics.lattice import CHUNK, PER_CELL, ball_lattice, deposit, finest, lattice_edge, within_bounds
from thermal.physics.near_field import point_power
from thermal.units import Array, Length, Point, PowerDensity, quantity

STATIONS = 101
"""Points along a line that are looked at."""
NARROWEST = 0.6
"""Standard deviation of a Gaussian in cells below which its lumped sum is off by over 0.2 % (Poisson summation)."""
EVEN = 1e-3
"""Share of its power by which the sum of a Gaussian over the nodes may be off where cells are even and narrow."""
LOPSIDED = 0.05
"""Share of its power by which the sum of a Gaussian over the nodes may be off before a warning is given."""

THINNEST = 2.0
"""Cells across a source of uniform density below which its shape is lost."""

SignedPower = Annotated[float, *quantity("W", ge=-1e6, le=1e6)]


class _Placed(Switched):
    """What the sources share."""

    def check_place(self, engine: Engine) -> None:
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

    def check_place(self, engine: Engine) -> None:
        """Raises ``ValueError`` for an unknown region."""
        region_volume(engine, self.region, "region")

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W."""
        return self.density * region_volume(engine, self.region, "region")

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.density * float(np.sum(region_volume(engine, self.region, "region")))

    def narrow(self, engine: Engine) -> str | None:
        """What to say when no node of the region is whole: it is then thinner than two to three cells."""
        share = region_volume(engine, self.region, "heating.sources")
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

    def check_place(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a sphere that lies outside the domain."""
        finest(engine, self._stations())

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
        edge = lattice_edge(finest(engine, self._stations()), 2.0 * self.radius)
        inside, border = np.zeros_like(engine.volume), np.zeros_like(engine.volume)
        whole, partial = 0.0, 0.0
        for offsets, shares in ball_lattice(self.radius, edge):
            full = shares == 1.0
            inside += deposit(engine, np.full(int(full.sum()), edge**3), centre + offsets[full], edge)
            border += deposit(engine, edge**3 * shares[~full], centre + offsets[~full], edge)
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

    def check_place(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a box that lies outside the domain."""
        finest(engine, self._stations())

    def _stations(self) -> Array:
        """Points (q, 3) m at which its cells are looked up."""
        corners = np.stack(np.meshgrid(*[[-0.5, 0.0, 0.5]] * 3), axis=-1).reshape(-1, 3)
        return np.asarray(np.asarray(self.centre) + corners * np.asarray(self.size))

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W: a lattice of small boxes, handed to the nodes by the adjoint of interpolation."""
        centre, size = np.asarray(self.centre), np.asarray(self.size)
        edge = lattice_edge(finest(engine, self._stations()), float(np.max(size)))
        edges = [
            np.append(np.arange(0.0, s * (1.0 - 1e-9), edge), s) + c - 0.5 * s
            for c, s in zip(centre, size, strict=True)
        ]
        x, y, z = (0.5 * (e[1:] + e[:-1]) for e in edges)
        dx, dy, dz = (np.diff(e) for e in edges)
        plane = np.stack([a.ravel() for a in np.meshgrid(y, z, indexing="ij")], axis=1)
        depths = np.stack([a.ravel() for a in np.meshgrid(dy, dz, indexing="ij")], axis=1)
        area = depths.prod(axis=1)
        power = np.zeros_like(engine.volume)
        for part in np.array_split(np.arange(len(x)), max(1, len(x) * len(plane) // CHUNK)):
            amounts = self.density * np.outer(dx[part], area).ravel()
            power += deposit(engine, amounts, _columns(x[part], plane), _columns(dx[part], depths))
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
        """(n,) W: density at the nodes times their volume, scaled such that the power is exact where it is known.

        On even voxels the sum over nodes converges exponentially in sigma / spacing, where cells are uneven as their
        square.
        """
        power, exact = self._at_nodes(engine), self._power_inside(engine)
        summed = float(np.sum(power))
        if exact is None or abs(summed - exact) <= EVEN * abs(exact):
            return power
        if summed == 0.0:  # far narrower than its cell
            return deposit(engine, np.array([exact]), np.asarray(self.centre)[None, :])
        return np.asarray(power * (exact / summed))

    def _at_nodes(self, engine: Engine) -> Array:
        """(n,) W: density at the nodes times their volume."""
        scaled = (engine.points - np.asarray(self.centre)) / self._sigmas()
        return np.asarray(self.peak * np.exp(-0.5 * np.sum(scaled**2, axis=1)) * engine.volume)

    def _power_inside(self, engine: Engine) -> float | None:
        """W, exactly; None where nobody knows."""
        integral = integral_inside(engine, np.asarray(self.centre), self._sigmas())
        return None if integral is None else self.peak * integral

    def whole_power(self, engine: Engine) -> float:
        """Power in the tissue as discretised, W: a Gaussian has no border that could fall outside unnoticed."""
        return float(np.sum(self.nodal_power(engine)))

    def narrow(self, engine: Engine) -> str | None:
        """What to say when the cells at its centre, or around, are too wide for the Gaussian."""
        smallest = float(np.min(self._sigmas()))
        exact = self._power_inside(engine)
        summed = float(np.sum(self._at_nodes(engine)))
        if exact is not None and abs(summed - exact) > LOPSIDED * abs(exact):
            return (
                f"a Gaussian source with sigma = {1e3 * smallest:.3g} mm among cells that are too wide for it: the sum "
                f"over their nodes is {summed:.4g} W, its power is {exact:.4g} W; all of it was scaled to that, which "
                "does not put the heat where it belongs: refine the grid around it"
            )
        try:
            spacing = engine.spacing(self.centre)
        except ValueError:  # its tail reaches in from outside
            return None
        if smallest >= NARROWEST * spacing:
            return None
        return (
            f"a Gaussian source with sigma = {1e3 * smallest:.3g} mm on cells of {1e3 * spacing:.3g} mm: its shape is "
            f"lost for sigma below {NARROWEST:g} cells; refine the grid there or use a point source"
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

    def check_place(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a point outside the body."""
        if not engine.holds(np.array([self.position])).any():
            raise ValueError(
                f"position: {_millimetres(self.position)} lies outside the body or the window; move it inside"
            )

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W."""
        return point_power(engine, self.power, np.asarray(self.position))

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

    def check_place(self, engine: Engine) -> None:
        """Raises ``ValueError`` for a line that lies outside the body with its whole length."""
        stations = np.linspace(self.start, self.end, STATIONS)
        if not engine.holds(stations).any():
            raise ValueError(
                f"start: the line from {_millimetres(self.start)} to {_millimetres(self.end)} lies outside the body or "
                "the window; move it inside"
            )

    def nodal_power(self, engine: Engine) -> Array:
        """(n,) W."""
        ends = np.asarray(self.start), np.asarray(self.end)
        first, last = within_bounds(engine, *ends)
        start, along = ends[0] + first * (ends[1] - ends[0]), (last - first) * (ends[1] - ends[0])
        spacing = finest(engine, start + np.linspace(0, 1, 9)[:, None] * along) / PER_CELL
        count = max(1, int(np.ceil(float(np.linalg.norm(along)) / spacing)))
        points = start + ((np.arange(count) + 0.5) / count)[:, None] * along
        return deposit(engine, np.full(count, (last - first) * self.power / count), points)

    def whole_power(self, engine: Engine) -> float:
        """Power of the undiscretised source, W."""
        return self.power

    def narrow(self, engine: Engine) -> str | None:
        """Nothing: it is meant to be thinner than a cell."""
        return None


PrescribedSource = Annotated[
    RegionSource | SphereSource | BoxSource | GaussianSource | PointSource | LineSource, Field(discriminator="shape")
]


def _columns(x: Array, plane: Array) -> Array:
    """Every ``x`` (p,) beside every row of ``plane`` (q, 2): (p q, 3)."""
    return np.column_stack([np.repeat(x, len(plane)), np.tile(plane, (len(x), 1))])


def _across(centre: tuple[float, float, float]) -> Line:
    """A line through ``centre`` that no axis of symmetry along z holds."""
    x, y, z = centre
    return Line(centre, (x + 1.0, y, z), 0.0)


def _millimetres(point: Point) -> str:
    return f"({', '.join(f'{1e3 * x:.4g}' for x in point)}) mm"


def region_volume(engine: Engine, region: str, where: str) -> Array:
    """(n,) m3 of a region at the nodes. Raises ``ValueError`` that begins with ``where`` for an unknown one."""
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
