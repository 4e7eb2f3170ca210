"""What every particle kind answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from thermal.errors import CaseError
from thermal.physics.constants import Locate
from thermal.physics.drug import DrugPayload
from thermal.physics.particles.conversion import MassOptics
from thermal.units import Array, Spec


class CrossSections(NamedTuple):
    """Of one particle: absorption and scattering in m2, mean cosine g of the scattering angle, mass of metal in kg."""

    absorption: float
    scattering: float
    asymmetry: float
    mass: float

    @property
    def albedo(self) -> float:
        """Share of scattering in the extinction."""
        return self.scattering / (self.scattering + self.absorption)

    def per_mass(self) -> MassOptics:
        """Coefficients per mass concentration; all that is absorbed becomes heat."""
        absorption, scattering = self.absorption / self.mass, self.scattering / self.mass
        return MassOptics(absorption, scattering * (1.0 - self.asymmetry), absorption + scattering, absorption)

    def given(self, measured: MassOptics) -> CrossSections:
        """The particle with coefficients per mass that were measured; g as it was."""
        scattering = measured.reduced_scattering / (1.0 - self.asymmetry)
        return self._replace(absorption=measured.absorption * self.mass, scattering=scattering * self.mass)


def mean_of(parts: Sequence[CrossSections], weights: Array) -> CrossSections:
    """The mean particle of a batch: ``weights`` by number, (q,), that sum to one; g is weighted by scattering."""
    absorption, scattering, asymmetry, mass = np.transpose(parts)
    scattered = float(weights @ scattering)
    return CrossSections(
        float(weights @ absorption),
        scattered,
        float(weights @ (scattering * asymmetry)) / scattered,
        float(weights @ mass),
    )


def lognormal(median: float, sigma: float, points: int = 61) -> tuple[Array, Array]:
    """Sizes (points,) and **number** weights (sum 1) of a log-normal distribution, cut at four standard deviations
    beyond the median of its volume."""
    if sigma == 0.0:
        return np.array([median]), np.array([1.0])
    z = np.linspace(-4.0, 4.0 + 3.0 * sigma, points)
    weight = np.exp(-0.5 * z**2)
    return median * np.exp(sigma * z), weight / weight.sum()


def gauss_lognormal(median: float, sigma: float, points: int = 15) -> tuple[Array, Array]:
    """Few sizes and **number** weights (sum 1) of a log-normal distribution, for costly smooth functions: Gauss-Hermite
    quadrature in ln(size)."""
    if sigma == 0.0:
        return np.array([median]), np.array([1.0])
    z, weight = np.polynomial.hermite_e.hermegauss(points)
    return median * np.exp(sigma * z), weight / weight.sum()


class BaseCarrier(Spec):
    """What every particle kind answers. Here: nothing absorbs light, nothing heats in a magnetic field."""

    material: str | None = None
    """library entry that the values come from"""
    payload: DrugPayload | None = None
    """a drug in or on the particles"""

    @property
    def absorbs_light(self) -> bool:
        """Whether :meth:`optics` is known."""
        return False

    @property
    def heats_in_field(self) -> bool:
        """Whether :meth:`specific_absorption_rate` is known."""
        return False

    @property
    def feels_field(self) -> bool:
        """Whether an alternating field does anything to it: heat it, or turn it (``agitation``)."""
        return self.heats_in_field

    def loaded(self, locate: Locate) -> Self:
        """With what its files hold."""
        return self

    def mass_optics(self, wavelength: float, medium_index: float | None = None) -> MassOptics:
        """What they do to light, per mass concentration, at a vacuum wavelength (m).

        ``medium_index``: refractive index around the particle, where the kind has one and it is not to be its own.
        Raises ``CaseError`` where unknown.
        """
        raise CaseError(
            "particles: their light absorption is not known; take a gold kind, or a measured one with optics"
        )

    def optics(self, wavelength: float, medium_index: float | None = None) -> tuple[float, float]:
        """Absorption and reduced scattering, 1/m per kg/m3, at a vacuum wavelength (m)."""
        found = self.mass_optics(wavelength, medium_index)
        return found.absorption, found.reduced_scattering

    def reshaped_optics(self, wavelength: float) -> tuple[float, float]:
        """The same once the particles have lost their shape: unchanged where they have none to lose."""
        return self.optics(wavelength)

    def specific_absorption_rate(self, amplitude: Array, frequency: float, temperature: float | None = None) -> Array:
        """W per kg of ``mass_of`` at peak field amplitudes (A/m) and a frequency (Hz); shape of ``amplitude``.

        ``temperature``: degC; that for which the carrier is described when absent. Raises ``CaseError`` where unknown.
        """
        raise CaseError(
            "particles: they do not heat in a magnetic field; take iron_oxide, or a measured one with "
            "intrinsic_loss_power"
        )

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """Doubts on the validity of the model in a field of this peak amplitude (A/m) and frequency (Hz)."""
        return ()
