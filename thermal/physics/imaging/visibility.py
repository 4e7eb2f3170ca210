"""Whether an operator would see it: contrast over noise, for each kind of image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal import library
from thermal.physics.imaging.ct import Ct
from thermal.physics.imaging.mr import Mr
from thermal.physics.imaging.xray import ELEMENTS, attenuation, spectrum
from thermal.units import parse

ROSE = 5.0
"""Contrast over noise from which something is seen for certain. A. Rose, J. Opt. Soc. Am. 38, 196 (1948)."""
QUANTUM = 0.01
"""Noise of a projection relative to its brightness (chosen)."""
DENSITY = {"gold": 19300.0, "iron": 5180.0}
"""kg/m3 of what carries the mass: gold, magnetite (whose iron is 72 % of it)."""
IRON_SHARE = 0.7236
TISSUE_DENSITY = 1060.0


@dataclass(frozen=True)
class Visible:
    """``index``: contrast over noise of the place as a whole; seen for certain from :data:`ROSE` on."""

    index: float

    @property
    def word(self) -> str:
        """In words."""
        return "seen" if self.index >= ROSE else "doubtful" if self.index >= 1.0 else "not seen"


def in_ct(how: Ct, element: str, concentration: float, voxels: float) -> Visible:
    """Of a place with a mean concentration (kg/m3) over so many voxels: noise of theirs and of as many beside."""
    contrast = how.sensitivity_to(element) * concentration
    noise = how.noise * np.sqrt(2.0 / max(voxels, 1.0))
    return Visible(float(contrast / noise) if noise > 0.0 else float(np.inf if contrast > 0.0 else 0.0))


def in_mr(how: Mr, element: str, concentration: float, tissue: float, voxels: float) -> Visible:
    """Loss of signal at the echo that shows most of it; ``tissue``: R2* without particles, 1/s."""
    echoes = np.asarray(how.echoes)
    rate = how.decay_by(element) * concentration
    loss = float(np.max(np.exp(-echoes * tissue) * -np.expm1(-echoes * rate)))
    return Visible(loss * how.snr / float(np.sqrt(2.0 / max(voxels, 1.0))))


def in_projection(element: str, load: float, kvp: float = 80.0) -> Visible:
    """In an X-ray projection; ``load``: kg/m2 along the ray."""
    if element not in ELEMENTS:
        return Visible(0.0)
    energy, weight = spectrum(kvp)
    mean = float(weight @ attenuation(element, energy))
    return Visible(float(-np.expm1(-mean * 0.1 * load)) / QUANTUM)


def in_ultrasound(element: str, concentration: float) -> Visible:
    """Change of acoustic impedance over its fluctuation in tissue: particles are far smaller than the wave, so it sees
    the mixture (A. B. Wood: density and compressibility by volume)."""
    sound = library.values("imaging", "sound")
    if element not in DENSITY:
        return Visible(0.0)
    speed, scatter = parse(sound["tissue"], "m/s"), float(sound["scatter"])
    share = concentration / DENSITY[element] / (IRON_SHARE if element == "iron" else 1.0)
    density = (1.0 - share) * TISSUE_DENSITY + share * DENSITY[element]
    soft = 1.0 / (TISSUE_DENSITY * speed**2)
    hard = 1.0 / (DENSITY[element] * parse(sound[element], "m/s") ** 2)
    impedance = float(np.sqrt(density / ((1.0 - share) * soft + share * hard)))
    return Visible(abs(impedance / (TISSUE_DENSITY * speed) - 1.0) / scatter)
