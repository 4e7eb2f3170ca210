"""Light and single particles: Mie spheres, coated spheres, gold's refractive index, Gans rods.

Refractive indices are written ``n + ik`` (time factor exp(-i omega t)); wavelengths are vacuum wavelengths in m.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal import library
from thermal.errors import CaseError
from thermal.units import Array

Complex = npt.NDArray[np.complex128]

GOLD_DENSITY = 19320.0  # kg/m3, bulk gold at 20 degC (CRC Handbook)
SILICA_INDEX = 1.45  # fused silica, visible to near infrared (Malitson 1965: 1.4533 at 800 nm)
WATER_INDEX = 1.33

SPEED_OF_LIGHT = 299792458.0  # m/s, exact
GOLD_PLASMA_FREQUENCY = 9.0 / 6.582119569e-16  # 1/s; hbar omega_p = 9.0 eV
GOLD_FERMI_VELOCITY = 1.4e6  # m/s; Haiss et al., Anal. Chem. 79, 4215 (2007), doi:10.1021/ac0702084
GOLD_MEAN_FREE_PATH = 42e-9  # m; same


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
    """Mie efficiencies of a concentrically coated sphere; all arguments broadcast.

    Relative indices m = n + ik of core and shell, size parameters of the core and of the whole sphere
    (0 < core <= shell). Only logarithmic derivatives and bounded ratios of Riccati-Bessel functions are recurred, so
    large absorbing shells neither overflow nor lose digits: W. Yang, Appl. Opt. 42, 1710 (2003),
    doi:10.1364/AO.42.001710, with one layer. The model is that of Bohren and Huffman, section 8.1.
    """
    m1, m2, x1, x2 = np.broadcast_arrays(
        np.asarray(core_index, dtype=np.complex128),
        np.asarray(shell_index, dtype=np.complex128),
        np.asarray(core_size, dtype=np.float64),
        np.asarray(shell_size, dtype=np.float64),
    )
    if np.any(x1 <= 0) or np.any(x2 < x1):
        raise ValueError("a coated sphere needs 0 < core size <= shell size")
    shape = m1.shape
    electric, magnetic = _coated_coefficients(m1.ravel(), m2.ravel(), x1.ravel(), x2.ravel())
    return Efficiencies(*(q.reshape(shape) for q in _sum_efficiencies(electric, magnetic, x2.ravel())))


def _coated_coefficients(m1: Complex, m2: Complex, x1: Array, x2: Array) -> tuple[Complex, Complex]:
    """Scattering coefficients a_n and b_n, (orders, k), of coated spheres given as (k,) arrays."""
    from scipy.special import spherical_jn, spherical_yn

    orders = int(np.max(x2 + 4.05 * np.cbrt(x2) + 2.0))  # Wiscombe, Appl. Opt. 19, 1505 (1980)
    core, inner, outer = m1 * x1, m2 * x1, m2 * x2
    d_core = _log_derivatives(core, orders)
    d_inner, e_inner = _log_derivatives(inner, orders), _outgoing_log_derivatives(inner, orders)
    d_outer, e_outer = _log_derivatives(outer, orders), _outgoing_log_derivatives(outer, orders)

    damping = np.exp(-2.0 * (outer.imag - inner.imag))
    ratio = (  # psi(inner) zeta(outer) / (zeta(inner) psi(outer)), order 0
        damping
        * (np.exp(-2j * inner.real) - np.exp(-2.0 * inner.imag))
        / (np.exp(-2j * outer.real) - np.exp(-2.0 * outer.imag))
    )
    n = np.arange(orders + 1)[:, None]
    psi = x2 * spherical_jn(n, x2)
    zeta = psi + 1j * x2 * spherical_yn(n, x2)
    electric = np.empty((orders, x2.size), dtype=np.complex128)
    magnetic = np.empty_like(electric)
    for i in range(1, orders + 1):
        ratio = ratio * (
            (x1 / x2) ** 2
            * ((outer * d_outer[i] + i) / (inner * d_inner[i] + i))
            * ((i - outer * e_outer[i - 1]) / (i - inner * e_inner[i - 1]))
        )
        for target, ma, mb in ((electric, m2, m1), (magnetic, m1, m2)):
            one = ma * d_core[i] - mb * d_inner[i]
            two = ma * d_core[i] - mb * e_inner[i]
            surface = (two * d_outer[i] - ratio * one * e_outer[i]) / (two - ratio * one)
            term = (surface / m2 if target is electric else surface * m2) + i / x2
            target[i - 1] = (term * psi[i] - psi[i - 1]) / (term * zeta[i] - zeta[i - 1])
    return electric, magnetic


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


def gold_index(wavelength: npt.ArrayLike) -> Complex:
    """Refractive index n + ik of gold at vacuum wavelengths in m; same shape.

    Johnson and Christy (1972) with linear interpolation in wavelength. Raises ``CaseError`` outside 187.9 to 1937 nm.
    """
    asked = np.asarray(wavelength, dtype=np.float64)
    data = library.table("johnson_christy")
    known = data["wavelength_um"] * 1e-6
    if np.any(~((asked >= known[0]) & (asked <= known[-1]))):
        worst = asked.ravel()[np.argmax(~((asked >= known[0]) & (asked <= known[-1])))]
        raise CaseError(
            f"wavelength {worst * 1e9:.0f} nm: optical constants of gold are known from {known[0] * 1e9:.0f} to "
            f"{known[-1] * 1e9:.0f} nm (Johnson and Christy 1972); choose a wavelength in this range"
        )
    found: Complex = np.interp(asked, known, data["n"]) + 1j * np.interp(asked, known, data["k"])
    return found


def gold_permittivity(
    wavelength: npt.ArrayLike, surface_damping: float = 0.0, mean_chord: npt.ArrayLike = np.inf
) -> Complex:
    """Relative permittivity of gold at vacuum wavelengths in m, with electrons scattered at the particle's surface.

    eps = eps_bulk + wp^2/(w^2 + i w g0) - wp^2/(w^2 + i w (g0 + A vF / chord)), A = ``surface_damping`` (0 keeps the
    bulk value, 0.3 to 1 is usual) and chord = 4 V / S in m. Haiss et al. (2007); constants above.
    """
    lengths = np.asarray(wavelength, dtype=np.float64)
    omega = 2.0 * np.pi * SPEED_OF_LIGHT / lengths
    bulk = GOLD_FERMI_VELOCITY / GOLD_MEAN_FREE_PATH
    small = bulk + surface_damping * GOLD_FERMI_VELOCITY / np.asarray(mean_chord, dtype=np.float64)
    drude = GOLD_PLASMA_FREQUENCY**2 / (omega**2 + 1j * omega * bulk)
    permittivity: Complex = (
        gold_index(lengths) ** 2 + drude - GOLD_PLASMA_FREQUENCY**2 / (omega**2 + 1j * omega * small)
    )
    return permittivity


def depolarisation(aspect: npt.ArrayLike) -> Array:
    """Depolarisation factor along the long axis of a prolate spheroid; ``aspect`` = length / diameter >= 1.

    L = (1 - e^2)/e^2 (atanh(e)/e - 1), e^2 = 1 - 1/aspect^2; 1/3 for a sphere. Bohren and Huffman, section 5.3.
    """
    squared = 1.0 - 1.0 / np.asarray(aspect, dtype=np.float64) ** 2
    e = np.sqrt(np.maximum(squared, 1e-6))
    exact = (1.0 - e**2) / e**2 * (np.arctanh(e) / e - 1.0)
    return np.asarray(np.where(squared > 1e-6, exact, 1.0 / 3.0 - 2.0 / 15.0 * squared))


def gans_rod(
    length: npt.ArrayLike,
    diameter: npt.ArrayLike,
    wavelength: npt.ArrayLike,
    medium_index: float = WATER_INDEX,
    surface_damping: float = 0.0,
) -> tuple[Array, Array]:
    """Absorption and scattering cross-sections in m2 of a small gold spheroid, averaged over orientations.

    ``length`` and ``diameter`` (m) and vacuum ``wavelength`` (m) broadcast. R. Gans, Ann. Phys. 342, 881 (1912);
    alpha_i = V (e_p - e_m) / (e_m + L_i (e_p - e_m)), C_abs = k/3 Im sum alpha_i, C_sca = k^4/(18 pi) sum |alpha_i|^2
    with k = 2 pi n_m / wavelength. Quasi-static: rods up to some 20 nm thick. A rod with round caps peaks 30 to 70 nm
    further to the red than the spheroid of the same length and diameter.
    """
    long_axis, short_axis = np.asarray(length, dtype=np.float64), np.asarray(diameter, dtype=np.float64)
    aspect = long_axis / short_axis
    volume = np.pi / 6.0 * long_axis * short_axis**2
    wave = 2.0 * np.pi * medium_index / np.asarray(wavelength, dtype=np.float64)
    gold = gold_permittivity(wavelength, surface_damping, _mean_chord(long_axis, short_axis))
    medium = medium_index**2
    along = depolarisation(aspect)
    absorption, scattering = np.zeros(()), np.zeros(())
    for factor, axes in ((along, 1.0), ((1.0 - along) / 2.0, 2.0)):
        alpha = volume * (gold - medium) / (medium + factor * (gold - medium))
        absorption = absorption + axes * wave / 3.0 * alpha.imag
        scattering = scattering + axes * wave**4 / (18.0 * np.pi) * np.abs(alpha) ** 2
    return absorption, scattering


def _mean_chord(length: Array, diameter: Array) -> Array:
    """4 V / S in m of prolate spheroids."""
    a, b = length / 2.0, diameter / 2.0
    e = np.sqrt(np.maximum(1.0 - (b / a) ** 2, 1e-12))
    surface = 2.0 * np.pi * b**2 * (1.0 + a / b * np.arcsin(e) / e)
    return np.asarray(16.0 / 3.0 * np.pi * a * b**2 / surface)


def gans_peak(aspect: float, medium_index: float = WATER_INDEX) -> float:
    """Vacuum wavelength in m at which a bulk-gold spheroid of this aspect ratio absorbs most (0.5 nm grid)."""
    wavelengths = np.arange(500e-9, 1800e-9, 0.5e-9)
    absorption, _ = gans_rod(aspect * 10e-9, 10e-9, wavelengths, medium_index)
    return float(wavelengths[int(np.argmax(absorption))])


@lru_cache(maxsize=64)
def aspect_of_peak(peak: float, medium_index: float = WATER_INDEX) -> float:
    """Aspect ratio of the spheroid whose longitudinal peak lies at ``peak`` (m): an effective shape for a capped rod.

    Raises ``CaseError`` when no spheroid of aspect ratio 1.5 to 12 peaks there.
    """
    aspects = np.linspace(1.5, 12.0, 211)
    peaks = np.array([gans_peak(float(aspect), medium_index) for aspect in aspects])
    if not peaks[0] < peak < peaks[-1]:
        raise CaseError(
            f"particles.plasmon_peak = {peak * 1e9:.0f} nm: gold rods peak between {peaks[0] * 1e9:.0f} and "
            f"{peaks[-1] * 1e9:.0f} nm in a medium of index {medium_index:g}"
        )
    return float(np.interp(peak, peaks, aspects))
