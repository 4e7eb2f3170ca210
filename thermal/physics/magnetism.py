"""Magnetic nanoparticles in an alternating field: linear response theory and its limits.

R. E. Rosensweig, J. Magn. Magn. Mater. 252, 370 (2002), doi:10.1016/S0304-8853(02)00706-0. Field strengths are peak
amplitudes in A/m, temperatures degC, everything else SI. All arguments broadcast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from thermal.units import BOLTZMANN, VACUUM_PERMEABILITY, ZERO_CELSIUS, Array

MAGNETITE_DENSITY = 5180.0  # kg/m3, Rosensweig 2002
IRON_SHARE = 0.7236  # kg Fe per kg Fe3O4, 3 * 55.845 / 231.533 from atomic masses
LINEAR_LIMIT = 1.0  # linear response holds for xi below this

ATKINSON_LIMIT = 4.85e8  # A/m/s, H f; Atkinson, Brezovich, Chakraborty, IEEE Trans. Biomed. Eng. 31, 70 (1984)
HERGT_LIMIT = 5e9  # A/m/s, H f; Hergt, Dutz, J. Magn. Magn. Mater. 311, 187 (2007)


class Relaxation(NamedTuple):
    """Relaxation times in s; infinite where the mechanism is blocked."""

    neel: Array
    brown: Array
    effective: Array


class Susceptibility(NamedTuple):
    """Equilibrium susceptibility chi0, its out-of-phase part chi'' at the frequency, and the Langevin argument xi."""

    equilibrium: Array
    loss: Array
    langevin: Array


def _volume(diameter: npt.ArrayLike) -> Array:
    return np.asarray(np.pi / 6.0 * np.asarray(diameter, dtype=np.float64) ** 3)


def relaxation_times(
    diameter: npt.ArrayLike,
    anisotropy: float,
    temperature: float,
    attempt_time: float = 1e-9,
    viscosity: float = np.inf,
    shell_thickness: float = 0.0,
) -> Relaxation:
    """Neel, Brown and combined relaxation times.

    ``diameter`` of the magnetic core (m), ``anisotropy`` K (J/m3), ``viscosity`` of the carrier (Pa s, infinite when
    the particles are immobilised), ``shell_thickness`` of the non-magnetic coating (m).
    tau_N = sqrt(pi)/2 tau0 exp(G)/sqrt(G), G = K V/kT; tau_B = 3 eta V_H/kT; 1/tau = 1/tau_N + 1/tau_B. Computed
    through rates, so exp(G) never overflows.
    """
    thermal_energy = BOLTZMANN * (temperature + ZERO_CELSIUS)
    barrier = anisotropy * _volume(diameter) / thermal_energy
    neel_rate = 2.0 / np.sqrt(np.pi) * np.sqrt(barrier) * np.exp(-barrier) / attempt_time
    hydrodynamic = _volume(np.asarray(diameter, dtype=np.float64) + 2.0 * shell_thickness)
    brown_rate = thermal_energy / (3.0 * viscosity * hydrodynamic)
    with np.errstate(divide="ignore", over="ignore"):
        return Relaxation(*(1.0 / np.asarray(rate) for rate in (neel_rate, brown_rate, neel_rate + brown_rate)))


def langevin_argument(
    diameter: npt.ArrayLike, magnetisation: float, amplitude: npt.ArrayLike, temperature: float
) -> Array:
    """xi = mu0 M_d H V / kT; linear response needs xi < 1."""
    energy = VACUUM_PERMEABILITY * magnetisation * np.asarray(amplitude, dtype=np.float64) * _volume(diameter)
    return np.asarray(energy / (BOLTZMANN * (temperature + ZERO_CELSIUS)))


def susceptibility(
    diameter: npt.ArrayLike,
    magnetisation: float,
    volume_fraction: float,
    amplitude: npt.ArrayLike,
    frequency: float,
    temperature: float,
    relaxation_time: npt.ArrayLike,
) -> Susceptibility:
    """Magnetic susceptibility of a dilute suspension with volume fraction phi of domains of magnetisation M_d (A/m).

    chi_i = mu0 phi M_d^2 V/(3kT), chi0 = chi_i (3/xi)(coth xi - 1/xi), chi'' = chi0 w tau/(1 + (w tau)^2).
    """
    thermal_energy = BOLTZMANN * (temperature + ZERO_CELSIUS)
    initial = VACUUM_PERMEABILITY * volume_fraction * magnetisation**2 * _volume(diameter) / (3.0 * thermal_energy)
    xi = langevin_argument(diameter, magnetisation, amplitude, temperature)
    equilibrium = initial * _langevin_slope(xi)
    tau = np.asarray(relaxation_time, dtype=np.float64)
    rate = 1.0 / tau  # zero for a blocked particle
    omega = 2.0 * np.pi * frequency
    return Susceptibility(equilibrium, equilibrium * omega * rate / (rate**2 + omega**2), xi)


def _langevin_slope(xi: Array) -> Array:
    """3/xi (coth xi - 1/xi), 1 at xi = 0."""
    safe = np.maximum(xi, 0.05)
    exact = 3.0 / safe * (1.0 / np.tanh(safe) - 1.0 / safe)
    return np.asarray(np.where(xi < 0.05, 1.0 - xi**2 / 15.0 + 2.0 * xi**4 / 315.0, exact))


def volumetric_power(loss: npt.ArrayLike, amplitude: npt.ArrayLike, frequency: float) -> Array:
    """P = pi mu0 chi'' f H^2 in W per m3 of suspension."""
    field = np.asarray(amplitude, dtype=np.float64)
    return np.asarray(np.pi * VACUUM_PERMEABILITY * np.asarray(loss) * frequency * field**2)


def specific_loss_power(
    diameter: npt.ArrayLike,
    amplitude: npt.ArrayLike,
    frequency: float,
    temperature: float,
    magnetisation: float,
    anisotropy: float,
    attempt_time: float = 1e-9,
    viscosity: float = np.inf,
    shell_thickness: float = 0.0,
    density: float = MAGNETITE_DENSITY,
) -> Array:
    """W per kg of **magnetite** (not of iron: divide by ``IRON_SHARE`` for W per kg Fe); arguments as above."""
    tau = relaxation_times(diameter, anisotropy, temperature, attempt_time, viscosity, shell_thickness).effective
    chi = susceptibility(diameter, magnetisation, 1.0, amplitude, frequency, temperature, tau)
    return np.asarray(volumetric_power(chi.loss, amplitude, frequency) / density)


def lognormal_diameters(median: float, sigma: float, points: int = 401) -> tuple[Array, Array]:
    """Diameters (points,) and **volume** weights (sum 1) of a log-normal size distribution.

    ``median`` is that of the number distribution; the volume-weighted distribution is log-normal again with its
    median at median exp(3 sigma^2) (Hatch and Choate 1929). Heat is made by mass, so number weights would be wrong. The
    trapezoidal rule over +-7 sigma is spectrally accurate for a Gaussian.
    """
    if sigma == 0:
        return np.array([median]), np.array([1.0])
    z = np.linspace(-7.0, 7.0, points)
    weight = np.exp(-0.5 * z**2)
    return median * np.exp(3.0 * sigma**2 + sigma * z), weight / weight.sum()


def intrinsic_loss_power(specific_power: npt.ArrayLike, amplitude: npt.ArrayLike, frequency: float) -> Array:
    """ILP = SLP / (H^2 f) in H m2/kg; 1 nH m2/kg is 1e-9 of that."""
    return np.asarray(np.asarray(specific_power) / (np.asarray(amplitude, dtype=np.float64) ** 2 * frequency))


def eddy_power(conductivity: npt.ArrayLike, radius: npt.ArrayLike, amplitude: npt.ArrayLike, frequency: float) -> Array:
    """Eddy-current heat in W/m3 at ``radius`` from the axis of a uniform field: sigma (pi mu0 f H r)^2 / 2, H peak."""
    field = np.pi * VACUUM_PERMEABILITY * frequency * np.asarray(amplitude) * np.asarray(radius)
    return np.asarray(np.asarray(conductivity) * field**2 / 2.0)
