"""X-ray attenuation: how many HU a concentration of an element adds, by photon energy or by tube voltage."""

from __future__ import annotations

import numpy as np

from thermal import library
from thermal.units import Array

ELEMENTS = ("iron", "iodine", "gold")
"""What has a column in the library's table of attenuation."""
LOWEST, HIGHEST = 20.0, 150.0
"""keV, ends of that table."""
ALUMINIUM = 0.7
"""cm, inherent and added filtration of the tube; usual value, from memory (unverified)."""
PATIENT = 20.0
"""cm of water that harden the beam before it is measured; size of a body, chosen."""


def attenuation(material: str, energy: Array | float) -> Array:
    """Mass attenuation coefficients in cm2/g at photon energies in keV, log-log between the table's.

    Raises ``ValueError`` for energies beyond the table and for materials without a column.
    """
    table = library.table("attenuation")
    energies = np.asarray(energy, dtype=float)
    if material not in table or material == "energy":
        raise ValueError(f'"{material}" has no attenuation in the library; it has {", ".join(ELEMENTS)} and water')
    if energies.min() < LOWEST or energies.max() > HIGHEST:
        raise ValueError(f"found {energies.min():g} to {energies.max():g} keV; the table goes from 20 to 150 keV")
    found: Array = np.exp(np.interp(np.log(energies), np.log(table["energy"]), np.log(table[material])))
    return found


def sensitivity(material: str, energy: float) -> float:
    """HU per kg/m3 (mg/ml) of an element in a monochromatic image at ``energy`` keV.

    CT numbers are 1000 (mu / mu_water - 1); what the element displaces is left out (0.005 % of gold at 1 mg/ml).
    """
    return float(1000.0 * 1e-3 * attenuation(material, energy) / attenuation("water", energy))


def spectrum(kvp: float, count: int = 400) -> tuple[Array, Array]:
    """Energies (k,) keV and relative weights (k,) of what a detector that integrates energy sees at a tube voltage.

    Bremsstrahlung by Kramers' law, (E0 - E)/E photons per energy, through 7 mm of aluminium and 20 cm of water, times
    E; without characteristic lines. H. A. Kramers, Phil. Mag. 46, 836 (1923).
    """
    if not LOWEST < kvp <= HIGHEST:
        raise ValueError(f"found {kvp:g} kVp; expected more than 20 and at most 150")
    edges = np.linspace(LOWEST, kvp, count + 1)
    energy = 0.5 * (edges[1:] + edges[:-1])
    path = 2.699 * ALUMINIUM * attenuation("aluminium", energy) + PATIENT * attenuation("water", energy)
    weight = (kvp - energy) * np.exp(-path)
    return energy, np.asarray(weight / weight.sum())


def sensitivity_at(material: str, kvp: float) -> float:
    """HU per kg/m3 of an element at a tube voltage: the mean attenuation over the spectrum, over that of water."""
    energy, weight = spectrum(kvp)
    return float(weight @ attenuation(material, energy) / (weight @ attenuation("water", energy)))
