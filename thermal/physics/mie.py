"""Mie theory: spheres and concentric layers.

Refractive indices are written ``n + ik`` (time factor exp(-i omega t)).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal.units import Array

Complex = npt.NDArray[np.complex128]


class Efficiencies(NamedTuple):
    """Extinction and scattering efficiencies (cross-section over pi r^2), mean cosine g of the scattering angle."""

    extinction: Array
    scattering: Array
    asymmetry: Array


def mie_sphere(index: npt.ArrayLike, size: npt.ArrayLike) -> Efficiencies:
    """Mie efficiencies of a homogeneous sphere.

    ``index``: relative refractive index m = n + ik (particle over medium). ``size``: x = 2 pi r n_medium / wavelength.
    Both broadcast. Bohren and Huffman, Absorption and Scattering of Light by Small Particles (1983), chapter 4;
    computed by miepython, whose own convention is n - ik.
    """
    import miepython

    m, x = np.broadcast_arrays(np.asarray(index, dtype=np.complex128), np.asarray(size, dtype=np.float64))
    extinction, scattering, _, asymmetry = miepython.efficiencies_mx(np.conj(m.ravel()), x.ravel())
    return Efficiencies(
        *(np.asarray(q, dtype=np.float64).reshape(m.shape) for q in (extinction, scattering, asymmetry))
    )


def mie_coated(
    core_index: npt.ArrayLike, shell_index: npt.ArrayLike, core_size: npt.ArrayLike, shell_size: npt.ArrayLike
) -> Efficiencies:
    """Mie efficiencies of a concentrically coated sphere; all arguments broadcast; see :func:`mie_layered`.

    The model is that of Bohren and Huffman, section 8.1.
    """
    return mie_layered((core_index, shell_index), (core_size, shell_size))


def mie_layered(indices: Sequence[npt.ArrayLike], sizes: Sequence[npt.ArrayLike]) -> Efficiencies:
    """Mie efficiencies of concentric layers, from the core outwards; all arguments broadcast.

    Relative indices m = n + ik of the layers and size parameters of their outer radii, 0 < size of each <= the next.
    Only logarithmic derivatives and bounded ratios of Riccati-Bessel functions are recurred, so large absorbing shells
    neither overflow nor lose digits: W. Yang, Appl. Opt. 42, 1710 (2003), doi:10.1364/AO.42.001710.
    """
    count = len(indices)
    given = np.broadcast_arrays(
        *(np.asarray(index, dtype=np.complex128) for index in indices),
        *(np.asarray(size, dtype=np.complex128) for size in sizes),
    )
    m, x = given[:count], [size.real for size in given[count:]]
    if np.any(x[0] <= 0) or any(np.any(outer < inner) for inner, outer in pairwise(x)):
        raise ValueError("a coated sphere needs 0 < core size <= shell size, and so on outwards")
    shape = m[0].shape
    electric, magnetic = _layered_coefficients([index.ravel() for index in m], [size.ravel() for size in x])
    return Efficiencies(*(q.reshape(shape) for q in _sum_efficiencies(electric, magnetic, x[-1].ravel())))


def _layered_coefficients(m: list[Complex], x: list[Array]) -> tuple[Complex, Complex]:
    """Scattering coefficients a_n and b_n, (orders, k), of layers given from the core outwards as (k,) arrays."""
    from scipy.special import spherical_jn, spherical_yn

    outermost = x[-1]
    orders = int(np.max(outermost + 4.05 * np.cbrt(outermost) + 2.0))  # Wiscombe, Appl. Opt. 19, 1505 (1980)
    of_electric = _log_derivatives(m[0] * x[0], orders)
    of_magnetic = of_electric
    for below, here, inside, outside in zip(m, m[1:], x, x[1:], strict=False):
        of_electric, of_magnetic = _through_layer(of_electric, of_magnetic, below, here, inside, outside, orders)
    n = np.arange(orders + 1)[:, None]
    psi = outermost * spherical_jn(n, outermost)
    zeta = psi + 1j * outermost * spherical_yn(n, outermost)
    electric = np.empty((orders, outermost.size), dtype=np.complex128)
    magnetic = np.empty_like(electric)
    for target, surface in ((electric, of_electric / m[-1]), (magnetic, of_magnetic * m[-1])):
        for i in range(1, orders + 1):
            term = surface[i] + i / outermost
            target[i - 1] = (term * psi[i] - psi[i - 1]) / (term * zeta[i] - zeta[i - 1])
    return electric, magnetic


def _through_layer(
    of_electric: Complex,
    of_magnetic: Complex,
    below: Complex,
    here: Complex,
    inside: Array,
    outside: Array,
    orders: int,
) -> tuple[Complex, Complex]:
    """Yang's H_a and H_b, (orders + 1, k), at the outer radius of a layer from those at its inner radius."""
    inner, outer = here * inside, here * outside
    d_inner, e_inner = _log_derivatives(inner, orders), _outgoing_log_derivatives(inner, orders)
    d_outer, e_outer = _log_derivatives(outer, orders), _outgoing_log_derivatives(outer, orders)
    ratio = (  # psi(inner) zeta(outer) / (zeta(inner) psi(outer)), order 0
        np.exp(-2.0 * (outer.imag - inner.imag))
        * (np.exp(-2j * inner.real) - np.exp(-2.0 * inner.imag))
        / (np.exp(-2j * outer.real) - np.exp(-2.0 * outer.imag))
    )
    found = np.zeros_like(of_electric), np.zeros_like(of_magnetic)
    for i in range(1, orders + 1):
        ratio = ratio * (
            (inside / outside) ** 2
            * ((outer * d_outer[i] + i) / (inner * d_inner[i] + i))
            * ((i - outer * e_outer[i - 1]) / (i - inner * e_inner[i - 1]))
        )
        for target, known, ma, mb in ((found[0], of_electric, here, below), (found[1], of_magnetic, below, here)):
            one = ma * known[i] - mb * d_inner[i]
            two = ma * known[i] - mb * e_inner[i]
            target[i] = (two * d_outer[i] - ratio * one * e_outer[i]) / (two - ratio * one)
    return found


def _log_derivatives(z: Complex, orders: int) -> Complex:
    """psi_n'(z) / psi_n(z) for n = 0..orders, (orders + 1, k), by downward recurrence (stable for complex z)."""
    start = int(max(orders, float(np.max(np.abs(z)))) + 32)
    found = np.empty((orders + 1, z.size), dtype=np.complex128)
    current = np.zeros(z.size, dtype=np.complex128)
    for n in range(start, -1, -1):
        if n <= orders:
            found[n] = current
        current = n / z - 1.0 / (current + n / z) if n else current
    return found


def _outgoing_log_derivatives(z: Complex, orders: int) -> Complex:
    """zeta_n'(z) / zeta_n(z) for n = 0..orders, (orders + 1, k), by upward recurrence through psi_n zeta_n."""
    down = _log_derivatives(z, orders)
    found = np.empty_like(down)
    found[0] = 1j
    product = 0.5 * (1.0 - np.exp(2j * z))
    for n in range(1, orders + 1):
        product = product * (n / z - down[n - 1]) * (n / z - found[n - 1])
        found[n] = down[n] + 1j / product
    return found


def _sum_efficiencies(a: Complex, b: Complex, x: Array) -> tuple[Array, Array, Array]:
    n = np.arange(1, a.shape[0] + 1)[:, None]
    extinction = 2.0 / x**2 * np.sum((2 * n + 1) * (a + b).real, axis=0)
    scattering = 2.0 / x**2 * np.sum((2 * n + 1) * (np.abs(a) ** 2 + np.abs(b) ** 2), axis=0)
    m = n[:-1]
    neighbours = (a[:-1] * np.conj(a[1:]) + b[:-1] * np.conj(b[1:])).real
    cosine = np.sum(m * (m + 2) / (m + 1) * neighbours, axis=0)
    cosine = cosine + np.sum((2 * n + 1) / (n * (n + 1)) * (a * np.conj(b)).real, axis=0)
    return extinction, scattering, 4.0 / (x**2 * scattering) * cosine
