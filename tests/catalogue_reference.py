"""Analytic solutions that the catalogue's cases are held against, from closed forms and quadrature.

Written independently of the package: nothing here imports it. SI units; theta is the temperature above the blood's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import erf, erfc, exp1, expi, k0, k1

GAS_CONSTANT = 8.314462618  # J/mol/K


@dataclass(frozen=True)
class Tissue:
    """Homogeneous perfused tissue: conductivity W/m/K, heat capacity J/m3/K, blood W/m3/K."""

    conductivity: float
    capacity: float
    blood: float

    @property
    def diffusivity(self) -> float:
        return self.conductivity / self.capacity

    @property
    def decay(self) -> float:
        """Perfusion rate beta, 1/s."""
        return self.blood / self.capacity

    @property
    def wave(self) -> float:
        """m = sqrt(W / k), 1/m."""
        return float(np.sqrt(self.blood / self.conductivity))


REFERENCE = Tissue(0.5, 1060.0 * 3600.0, 6.4e-3 * 1000.0 * 4180.0)
UNPERFUSED = Tissue(0.5, 1060.0 * 3600.0, 0.0)


# -------------------------------------------------------------------------------------- Pennes, steady


def heated_slab(t: Tissue, source: float, length: float, x: float) -> float:
    """PEN-01: theta(0) = 0, insulated at ``length``."""
    m = t.wave
    return float(source / t.blood * (1.0 - np.cosh(m * (length - x)) / np.cosh(m * length)))


def heated_slab_flux(t: Tissue, source: float, length: float) -> float:
    """Heat out through x = 0, W/m2."""
    return float(source / t.wave * np.tanh(t.wave * length))


def hot_wall_slab(t: Tissue, wall: float, length: float, x: float) -> float:
    """theta(0) = ``wall``, theta(length) = 0."""
    return float(wall * np.sinh(t.wave * (length - x)) / np.sinh(t.wave * length))


def hot_wall_insulated(t: Tissue, wall: float, length: float, x: float) -> float:
    """theta(0) = ``wall``, insulated at ``length``."""
    return float(wall * np.cosh(t.wave * (length - x)) / np.cosh(t.wave * length))


def heated_ball(t: Tissue, source: float, radius: float, r: float) -> float:
    """PEN-03: uniform source in a ball in endless tissue at rest; without blood PEN-04."""
    if t.blood == 0.0:
        inside = source * (3.0 * radius**2 - r**2) / (6.0 * t.conductivity)
        return inside if r < radius else source * radius**3 / (3.0 * t.conductivity * r)
    m = t.wave
    if r < radius:
        near = np.sinh(m * r) / (m * r) if r > 0 else 1.0
        return float(source / t.blood * (1.0 - (1.0 + m * radius) * np.exp(-m * radius) * near))
    return float(source / t.blood * (m * radius * np.cosh(m * radius) - np.sinh(m * radius)) * np.exp(-m * r) / (m * r))


def heated_ball_of_another(inside: float, t: Tissue, source: float, radius: float, r: float) -> float:
    """A ball of conductivity ``inside`` without blood in endless perfused tissue."""
    m = t.wave
    wall = source * radius**2 / (3.0 * t.conductivity * (1.0 + m * radius))
    if r < radius:
        return wall + source * (radius**2 - r**2) / (6.0 * inside)
    return float(wall * radius / r * np.exp(-m * (r - radius)))


def heated_rod_of_another(inside: float, t: Tissue, source: float, radius: float, r: float) -> float:
    """A cylinder of conductivity ``inside`` without blood in endless perfused tissue."""
    m = t.wave
    wall = source * radius * k0(m * radius) / (2.0 * t.conductivity * m * k1(m * radius))
    if r < radius:
        return float(wall + source * (radius**2 - r**2) / (4.0 * inside))
    return float(wall * k0(m * r) / k0(m * radius))


def lattice_of_discs(jump: float, share: float) -> float:
    """Conductivity of a square lattice of cylinders over that of the host: Rayleigh's series, to 1e-4 for small shares
    (W. T. Perrins, D. R. McKenzie, R. C. McPhedran, Proc. R. Soc. Lond. A 369 (1979) 207-225)."""
    t, f = (1.0 + jump) / (1.0 - jump), share
    third = 0.305827 * f**4 * t / (t**2 - 1.402958 * f**8)
    return 1.0 - 2.0 * f / (t + f - third - 0.013362 * f**8 / t)


def hot_ball(t: Tissue, wall: float, radius: float, r: float) -> float:
    """PEN-10: a ball held at ``wall``, at rest."""
    return float(wall * radius / r * np.exp(-t.wave * (r - radius)))


def hot_ball_power(t: Tissue, wall: float, radius: float) -> float:
    """W given to the tissue outside, at rest."""
    return float(4.0 * np.pi * radius * t.conductivity * wall * (1.0 + t.wave * radius))


def hot_ball_transient(t: Tissue, wall: float, radius: float, r: float, time: float) -> float:
    """A ball held at ``wall`` from time zero on: the point-source solution with the distance from its wall."""
    d, a, b, m = r - radius, np.sqrt(t.diffusivity * time), np.sqrt(t.decay * time), t.wave
    return float(
        0.5 * wall * radius / r * (
            np.exp(-m * d) * erfc(d / (2 * a) - b) + np.exp(m * d) * erfc(d / (2 * a) + b)
        )
    )  # fmt: skip


def hot_cylinder(t: Tissue, wall: float, radius: float, r: float) -> float:
    """An endless cylinder held at ``wall``, at rest."""
    return float(wall * k0(t.wave * r) / k0(t.wave * radius))


def hot_cylinder_power(t: Tissue, wall: float, radius: float) -> float:
    """W/m given to the tissue outside, at rest."""
    m = t.wave
    return float(2.0 * np.pi * t.conductivity * wall * m * radius * k1(m * radius) / k0(m * radius))


# ----------------------------------------------------------------------------------- Pennes, transient


def heated_ball_transient(t: Tissue, source: float, radius: float, r: float, time: float) -> float:
    """PEN-05: Green's function of the heat equation integrated over the ball and over time."""

    def share(elapsed: float) -> float:
        """Share of a unit initial temperature in the ball that is left at r."""
        s = np.sqrt(t.diffusivity * elapsed)
        if r < 1e-6 * radius:
            x = radius / (2 * s)
            return float(erf(x) - 2.0 / np.sqrt(np.pi) * x * np.exp(-(x**2)))
        near, far = (radius - r) / (2 * s), (radius + r) / (2 * s)
        return float(0.5 * (erf(far) + erf(near)) - s / (r * np.sqrt(np.pi)) * (np.exp(-(near**2)) - np.exp(-(far**2))))

    rate = source / t.capacity
    value, _ = quad(lambda s: rate * np.exp(-t.decay * s) * share(s), 0.0, time, epsabs=1e-10, epsrel=1e-9, limit=400)
    return float(value)


def point_source(tissue: Tissue, power: float, r: float, time: float) -> float:
    """PEN-06: rise (K) at ``r`` m from a point that gives ``power`` W from the start on, in endless tissue."""
    inward, outward = (
        np.exp(sign * tissue.wave * r)
        * erfc(r / np.sqrt(4.0 * tissue.diffusivity * time) + sign * np.sqrt(tissue.decay * time))
        for sign in (1.0, -1.0)
    )
    return float(power / (8.0 * np.pi * tissue.conductivity * r) * (inward + outward))


def gaussian_source(t: Tissue, peak: float, sigma: float, r: float, start: float, end: float, dimensions: int) -> float:
    """PEN-07 (three dimensions) and PEN-08 (two): rise at r from heat given between ``start`` and ``end`` s ago."""

    def kernel(elapsed: float) -> float:
        width = sigma**2 + 2.0 * t.diffusivity * elapsed
        return float(
            np.exp(-t.decay * elapsed) * (sigma**2 / width) ** (dimensions / 2) * np.exp(-(r**2) / (2.0 * width))
        )

    value, _ = quad(kernel, start, end, epsabs=1e-10, epsrel=1e-10, limit=400)
    return float(peak / t.capacity * value)


def surface_flux(conductivity: float, capacity: float, flux: float, z: float, time: float) -> float:
    """Half-space under a constant flux (Carslaw and Jaeger 2.9): 2 q / k sqrt(a t) ierfc(z / 2 sqrt(a t))."""
    root = np.sqrt(conductivity / capacity * time)
    x = z / (2.0 * root)
    return float(2.0 * flux / conductivity * root * (np.exp(-(x**2)) / np.sqrt(np.pi) - x * erfc(x)))


def slab_between_fluids(
    conductivity: float, length: float, h_left: float, t_left: float, h_right: float, t_right: float, x: float
) -> float:
    """Temperature at x of a slab without source between two fluids, at rest."""
    flux = (t_left - t_right) / (1.0 / h_left + length / conductivity + 1.0 / h_right)
    return t_left - flux * (1.0 / h_left + x / conductivity)


def cooling_ball(biot: float, fourier: float, share: float, terms: int = 60) -> float:
    """(T - T_air) / (T_0 - T_air) in a ball at ``share`` of its radius; 1 - z cot z = Bi (Carslaw and Jaeger 9.4)."""
    total = 0.0
    for n in range(terms):
        z = brentq(lambda z: 1.0 - z / np.tan(z) - biot, n * np.pi + 1e-9, (n + 1) * np.pi - 1e-9)
        weight = 4.0 * (np.sin(z) - z * np.cos(z)) / (2.0 * z - np.sin(2.0 * z))
        total += weight * np.exp(-(z**2) * fourier) * np.sinc(z * share / np.pi)
    return float(total)


# -------------------------------------------------------------------------------------------- freezing


@dataclass(frozen=True)
class Freezing:
    """A substance of one density that freezes at one temperature; initial temperature far away."""

    density: float
    frozen_conductivity: float
    frozen_heat_capacity: float
    conductivity: float
    heat_capacity: float
    latent_heat: float
    melting: float
    initial: float

    @property
    def frozen_diffusivity(self) -> float:
        return self.frozen_conductivity / (self.density * self.frozen_heat_capacity)

    @property
    def diffusivity(self) -> float:
        return self.conductivity / (self.density * self.heat_capacity)


class Neumann:
    """STE-01, 02: freezing from a plane wall (Carslaw and Jaeger 11.2); front at 2 lambda sqrt(a_s t)."""

    def __init__(self, s: Freezing, wall: float) -> None:
        self.s, self.wall = s, wall
        self.ratio = np.sqrt(s.frozen_diffusivity / s.diffusivity)

        def balance(x: float) -> float:
            cold = s.frozen_conductivity * (s.melting - wall) * np.exp(-(x**2)) / erf(x)
            warm = s.conductivity * (s.initial - s.melting) * self.ratio
            warm *= np.exp(-((self.ratio * x) ** 2)) / erfc(self.ratio * x)
            return float(cold - warm - np.sqrt(np.pi) * s.frozen_diffusivity * s.density * s.latent_heat * x)

        self.root = brentq(balance, 1e-6, 5.0, xtol=1e-14)

    def front(self, time: float) -> float:
        return float(2.0 * self.root * np.sqrt(self.s.frozen_diffusivity * time))

    def temperature(self, x: float, time: float) -> float:
        s = self.s
        if x < self.front(time):
            y = x / (2.0 * np.sqrt(s.frozen_diffusivity * time))
            return float(self.wall + (s.melting - self.wall) * erf(y) / erf(self.root))
        y = x / (2.0 * np.sqrt(s.diffusivity * time))
        return float(s.initial - (s.initial - s.melting) * erfc(y) / erfc(self.ratio * self.root))


class LineSink:
    """STE-04: freezing around a line that draws ``sink`` W/m (Carslaw and Jaeger 11.6; Paterson 1952)."""

    def __init__(self, s: Freezing, sink: float) -> None:
        self.s, self.sink = s, sink
        self.ratio = s.frozen_diffusivity / s.diffusivity

        def balance(x: float) -> float:
            cold = sink / (4.0 * np.pi) * np.exp(-(x**2))
            warm = s.conductivity * (s.initial - s.melting) * np.exp(-self.ratio * x**2) / exp1(self.ratio * x**2)
            return float(cold - warm - x**2 * s.frozen_diffusivity * s.density * s.latent_heat)

        self.root = brentq(balance, 1e-6, 5.0, xtol=1e-14)

    def front(self, time: float) -> float:
        return float(2.0 * self.root * np.sqrt(self.s.frozen_diffusivity * time))

    def temperature(self, r: float, time: float) -> float:
        s = self.s
        if r < self.front(time):
            y = r**2 / (4.0 * s.frozen_diffusivity * time)
            return float(
                s.melting + self.sink / (4.0 * np.pi * s.frozen_conductivity) * (expi(-y) - expi(-(self.root**2)))
            )
        y = r**2 / (4.0 * s.diffusivity * time)
        return float(s.initial - (s.initial - s.melting) * exp1(y) / exp1(self.ratio * self.root**2))


class MushyNeumann:
    """Freezing over a range (solidus to liquidus) with constant properties within it: three-zone similarity solution.

    Zones: frozen, mushy (capacity c_m + L / range, conductivity k_m), unfrozen; each an error function of
    x / (2 sqrt(t)), temperatures and fluxes continuous at the solidus and at the liquidus. The package's conductivity
    varies within the mushy zone, so equal conductivities make the two problems the same.
    """

    def __init__(self, s: Freezing, solidus: float, wall: float) -> None:
        assert s.frozen_conductivity == s.conductivity
        k, rho = s.conductivity, s.density
        mushy = 0.5 * (s.heat_capacity + s.frozen_heat_capacity) + s.latent_heat / (s.melting - solidus)
        self.s, self.solidus, self.wall = s, solidus, wall
        self.diffusivities = (
            k / (rho * s.frozen_heat_capacity), k / (rho * mushy), k / (rho * s.heat_capacity)
        )  # fmt: skip

        def slopes(z: float, a: float) -> float:
            """d/dz erf(z / (2 sqrt a))."""
            return float(np.exp(-(z**2) / (4 * a)) / np.sqrt(np.pi * a))

        a1, a2, a3 = self.diffusivities

        def middle(first: float, second: float) -> float:
            width = erf(second / (2 * np.sqrt(a2))) - erf(first / (2 * np.sqrt(a2)))
            return float((s.melting - solidus) / width)

        def liquidus(second: float, first: float) -> float:
            """Mismatch of the fluxes at the liquidus."""
            warm = (s.initial - s.melting) / erfc(second / (2 * np.sqrt(a3)))
            return middle(first, second) * slopes(second, a2) - warm * slopes(second, a3)

        def second_of(first: float) -> float:
            return float(brentq(liquidus, first * (1.0 + 1e-9), first + 20.0 * np.sqrt(a2), args=(first,), xtol=1e-16))

        def solidus_mismatch(first: float) -> float:
            frozen = (solidus - wall) / erf(first / (2 * np.sqrt(a1)))
            return frozen * slopes(first, a1) - middle(first, second_of(first)) * slopes(first, a2)

        guess = Neumann(s, wall).front(1.0)
        self.first = float(brentq(solidus_mismatch, 0.2 * guess, 1.2 * guess, xtol=1e-16))
        self.second = second_of(self.first)

    def temperature(self, x: float, time: float) -> float:
        s, z = self.s, x / np.sqrt(time)
        a1, a2, a3 = (2.0 * np.sqrt(a) for a in self.diffusivities)
        if z < self.first:
            return float(self.wall + (self.solidus - self.wall) * erf(z / a1) / erf(self.first / a1))
        if z < self.second:
            low, high = erf(self.first / a2), erf(self.second / a2)
            return float(self.solidus + (s.melting - self.solidus) * (erf(z / a2) - low) / (high - low))
        return float(s.initial - (s.initial - s.melting) * erfc(z / a3) / erfc(self.second / a3))


# ----------------------------------------------------------------------------------------- electricity


def sphere_resistance(conductivity: float, inner: float, outer: float) -> float:
    """RF-01: between concentric spheres, ohm."""
    return float((1.0 / inner - 1.0 / outer) / (4.0 * np.pi * conductivity))


def sphere_joule(conductivity: float, voltage: float, inner: float, outer: float, r: float) -> float:
    """Power density between them, W/m3."""
    field = voltage / (1.0 / inner - 1.0 / outer) / r**2
    return float(conductivity * field**2)


# ----------------------------------------------------------------------------------------------- light


def diffusion_optics(absorption: float, scattering: float) -> tuple[float, float]:
    """D (m) and mu_eff (1/m) of the diffusion approximation."""
    diffusion = 1.0 / (3.0 * (absorption + scattering))
    return diffusion, float(np.sqrt(absorption / diffusion))


def point_fluence(absorption: float, scattering: float, power: float, r: float) -> float:
    """LGT-01: W/m2 at r from a point source in an endless medium."""
    diffusion, mu = diffusion_optics(absorption, scattering)
    return float(power * np.exp(-mu * r) / (4.0 * np.pi * diffusion * r))


def absorbed_within(absorption: float, scattering: float, radius: float) -> float:
    """Share of the power of a point source that is absorbed within ``radius``."""
    mu = diffusion_optics(absorption, scattering)[1]
    return float(1.0 - (1.0 + mu * radius) * np.exp(-mu * radius))


# -------------------------------------------------------------------------------------------- infusion


def port_pressure(flow: float, permeability: float, inner: float, outer: float) -> float:
    """INF-01: Pa at a spherical port when the pressure is zero at ``outer``."""
    return float(flow / (4.0 * np.pi * permeability) * (1.0 / inner - 1.0 / outer))


def infusate_front(flow: float, porosity: float, port: float, time: float) -> float:
    """INF-04: radius of the ball whose pores hold the infused volume, around the port."""
    return float(np.cbrt(port**3 + 3.0 * flow * time / (4.0 * np.pi * porosity)))


# ---------------------------------------------------------------------------------------------- damage

JACQUES = (7.39e39, 2.577e5)
"""A in 1/s and Ea in J/mol of liver."""


def arrhenius(times: np.ndarray, temperatures: np.ndarray, onset: float = 40.0) -> float:
    """Omega of a finely sampled history above an onset temperature (trapezoidal rule)."""
    factor, energy = JACQUES
    rate = np.where(temperatures >= onset, factor * np.exp(-energy / (GAS_CONSTANT * (temperatures + 273.15))), 0.0)
    return float(np.trapezoid(rate, times))


def cem43(times: np.ndarray, temperatures: np.ndarray) -> float:
    """Minutes at 43 degC of a finely sampled history (trapezoidal rule)."""
    base = np.where(temperatures >= 43.0, 0.5, 0.25)
    rate = np.where(temperatures >= 39.0, base ** (43.0 - temperatures), 0.0)
    return float(np.trapezoid(rate, times) / 60.0)
