"""Gold and light: its refractive index, and rods by Gans' theory.

Refractive indices are written ``n + ik`` (time factor exp(-i omega t)); wavelengths are vacuum wavelengths in m.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from thermal.errors import CaseError
from thermal.physics.constants import Constants, johnson_christy
from thermal.units import Array

Complex = npt.NDArray[np.complex128]

GOLD_DENSITY = 19320.0  # kg/m3, bulk gold at 20 degC (CRC Handbook)
SILICA_INDEX = 1.45  # fused silica, visible to near infrared (Malitson 1965: 1.4533 at 800 nm)
WATER_INDEX = 1.33

SPEED_OF_LIGHT = 299792458.0  # m/s, exact
GOLD_PLASMA_FREQUENCY = 9.0 / 6.582119569e-16  # 1/s; hbar omega_p = 9.0 eV
GOLD_FERMI_VELOCITY = 1.4e6  # m/s; Haiss et al., Anal. Chem. 79, 4215 (2007), doi:10.1021/ac0702084
GOLD_MEAN_FREE_PATH = 42e-9  # m; same


def gold_index(wavelength: npt.ArrayLike, constants: Constants | None = None) -> Complex:
    """Refractive index n + ik of gold at vacuum wavelengths in m; same shape.

    ``constants``: the data set, linear between its wavelengths; Johnson and Christy (1972) by default. Raises
    ``CaseError`` outside its range.
    """
    asked = np.asarray(wavelength, dtype=np.float64)
    data = constants or johnson_christy()
    low, high = data.wavelength[0], data.wavelength[-1]
    if np.any(~((asked >= low) & (asked <= high))):
        worst = asked.ravel()[np.argmax(~((asked >= low) & (asked <= high)))]
        raise CaseError(
            f"wavelength {worst * 1e9:.0f} nm: optical constants of gold are known from {low * 1e9:.0f} to "
            f"{high * 1e9:.0f} nm ({data.name}); choose a wavelength in this range, or give particles.optical_constants"
        )
    found: Complex = np.interp(asked, data.wavelength, data.n) + 1j * np.interp(asked, data.wavelength, data.k)
    return found


def gold_permittivity(
    wavelength: npt.ArrayLike,
    surface_damping: float = 0.0,
    mean_chord: npt.ArrayLike = np.inf,
    constants: Constants | None = None,
) -> Complex:
    """Relative permittivity of gold at vacuum wavelengths in m, with electrons scattered at the particle's surface.

    eps = eps_bulk + wp^2/(w^2 + i w g0) - wp^2/(w^2 + i w (g0 + A vF / chord)), A = ``surface_damping`` (0 keeps the
    bulk value, 0.3 to 1 is usual) and chord = 4 V / S in m. Haiss et al. (2007); constants above. ``constants``: see
    :func:`gold_index`.
    """
    lengths = np.asarray(wavelength, dtype=np.float64)
    omega = 2.0 * np.pi * SPEED_OF_LIGHT / lengths
    bulk = GOLD_FERMI_VELOCITY / GOLD_MEAN_FREE_PATH
    small = bulk + surface_damping * GOLD_FERMI_VELOCITY / np.asarray(mean_chord, dtype=np.float64)
    drude = GOLD_PLASMA_FREQUENCY**2 / (omega**2 + 1j * omega * bulk)
    damped = GOLD_PLASMA_FREQUENCY**2 / (omega**2 + 1j * omega * small)
    permittivity: Complex = gold_index(lengths, constants) ** 2 + drude - damped
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
    constants: Constants | None = None,
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
    gold = gold_permittivity(wavelength, surface_damping, _mean_chord(long_axis, short_axis), constants)
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


def gans_peak(aspect: float, medium_index: float = WATER_INDEX, constants: Constants | None = None) -> float:
    """Vacuum wavelength in m at which a bulk-gold spheroid of this aspect ratio absorbs most (0.5 nm grid)."""
    data = constants or johnson_christy()
    low, high = max(500e-9, data.wavelength[0]), min(1800e-9, data.wavelength[-1])
    wavelengths = low + 0.5e-9 * np.arange(int((high - low) / 0.5e-9) + 1)
    absorption, _ = gans_rod(aspect * 10e-9, 10e-9, wavelengths, medium_index, constants=data)
    return float(wavelengths[int(np.argmax(absorption))])


@lru_cache(maxsize=64)
def aspect_of_peak(peak: float, medium_index: float = WATER_INDEX, constants: Constants | None = None) -> float:
    """Aspect ratio of the spheroid whose longitudinal peak lies at ``peak`` (m): an effective shape for a capped rod.

    Raises ``CaseError`` when no spheroid of aspect ratio 1.5 to 12 peaks there.
    """
    aspects = np.linspace(1.5, 12.0, 211)
    peaks = np.array([gans_peak(float(aspect), medium_index, constants) for aspect in aspects])
    if not peaks[0] < peak < peaks[-1]:
        raise CaseError(
            f"particles.plasmon_peak = {peak * 1e9:.0f} nm: gold rods peak between {peaks[0] * 1e9:.0f} and "
            f"{peaks[-1] * 1e9:.0f} nm in a medium of index {medium_index:g}"
        )
    return float(np.interp(peak, peaks, aspects))
