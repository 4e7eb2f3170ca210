"""What becomes of the light that particles take out of a beam: heat, scattered light, light of another colour."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import model_validator

from thermal.units import Fraction, PositiveFraction, Spec


class MassOptics(NamedTuple):
    """Coefficients per mass concentration, 1/m per kg/m3: ``extinction`` is absorption plus (unreduced) scattering,
    ``heat`` the part of the absorption that warms; the rest of it leaves as light of another colour."""

    absorption: float
    reduced_scattering: float
    extinction: float
    heat: float

    @property
    def heat_share(self) -> float:
        """Of what is absorbed, the part that becomes heat."""
        return self.heat / self.absorption if self.absorption > 0.0 else 1.0

    @property
    def efficiency(self) -> float:
        """Photothermal efficiency: heat over extinction."""
        return self.heat / self.extinction if self.extinction > 0.0 else 0.0


class Conversion(Spec):
    """A measured photothermal efficiency, which says how an extinction is split; empty: nobody measured it."""

    photothermal_efficiency: PositiveFraction | None = None
    """heat over the light taken out of the beam (the extinction), as the heating and cooling of a suspension gives it
    (Roper et al. 2007); the rest is scattered. Measured; takes the place of a computed or tabulated split"""
    scattered_share: Fraction | None = None
    """of the extinction, where that was measured apart; what then neither warms nor is scattered leaves as light of
    another colour, and is lost"""

    @model_validator(mode="after")
    def _adds_up(self) -> Conversion:
        efficiency, scattered = self.photothermal_efficiency, self.scattered_share
        if scattered is None:
            return self
        if efficiency is None:
            raise ValueError(
                "scattered_share stands without a photothermal_efficiency; give both, or absorption and "
                "reduced_scattering of a measured carrier"
            )
        if efficiency + scattered > 1.0 + 1e-12:
            raise ValueError(
                f"photothermal_efficiency = {efficiency:g} and scattered_share = {scattered:g} of the extinction are "
                "more than all of it; their sum is at most 1"
            )
        return self

    def split(self, extinction: float, cosine: float, otherwise: MassOptics) -> MassOptics:
        """The extinction as this measurement divides it, with the mean cosine of scattering; ``otherwise`` without."""
        if self.photothermal_efficiency is None:
            return otherwise
        heat = self.photothermal_efficiency
        absorbed = heat if self.scattered_share is None else 1.0 - self.scattered_share
        return MassOptics(
            extinction * absorbed, extinction * (1.0 - absorbed) * (1.0 - cosine), extinction, extinction * heat
        )
