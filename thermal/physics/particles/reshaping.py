"""Particles that lose their shape, and with it most of what they do to light."""

from __future__ import annotations

from typing import Annotated

from pydantic import model_validator

from thermal.units import Fraction, Spec, Temperature, quantity

Fluence = Annotated[float, *quantity("J/m^2", gt=0, le=1e9)]


class Reshaping(Spec):
    """Above which temperature of the tissue, or which fluence of one pulse, particles lose their shape for good.

    They become spheres of as much metal, or what ``absorption`` and ``scattering`` say. In steady light a particle is
    as hot as the tissue around it, but for millikelvins; in a pulse it is far hotter, hence a threshold of its own.
    """

    temperature: Temperature | None = None
    """of the tissue, from which on they lose their shape at once"""
    pulse_fluence: Fluence | None = None
    """energy per area of one laser pulse from which on they do; needs heating.pulse_rate"""
    absorption: Fraction | None = None
    """share of the absorption that is left; that of spheres when absent"""
    scattering: Fraction | None = None
    """share of the reduced scattering that is left; that of spheres when absent"""

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Reshaping:
        if self.temperature is None and self.pulse_fluence is None:
            raise ValueError('no threshold is given; write temperature = "200 degC" or pulse_fluence = "10 mJ/cm^2"')
        return self


def remaining(
    reshaping: Reshaping | None, whole: tuple[float, float], sphere: tuple[float, float]
) -> tuple[float, float]:
    """Absorption and reduced scattering of what is left: shares of the ``whole``, where they are given, or spheres."""
    shares = (None, None) if reshaping is None else (reshaping.absorption, reshaping.scattering)
    kept = [
        of_sphere if share is None else share * of_whole
        for share, of_whole, of_sphere in zip(shares, whole, sphere, strict=True)
    ]
    return kept[0], kept[1]
