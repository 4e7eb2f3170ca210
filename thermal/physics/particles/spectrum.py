"""What a carrier does to light over wavelengths: a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from thermal.errors import CaseError
from thermal.physics.particles import Carrier, CrossSections
from thermal.units import Array


class _Single(Protocol):
    def cross_sections(self, wavelength: float) -> CrossSections: ...


@dataclass(frozen=True)
class Spectrum:
    """By vacuum wavelength (k,) m: ``absorption``, ``reduced_scattering`` and ``extinction`` (k,) in 1/m per kg/m3 of
    ``mass_of``, and the ``efficiency`` (k,) with which the extinction becomes heat; ``given``: that was measured.

    Where the carrier is computed from its shape, also of one particle: cross-sections (k,) m2, g (k,), mass kg.
    """

    wavelength: Array
    absorption: Array
    reduced_scattering: Array
    extinction: Array
    efficiency: Array
    mass_of: str
    given: bool = False
    single: tuple[CrossSections, ...] = ()

    @property
    def peak(self) -> float:
        """Wavelength of the strongest absorption, m."""
        return float(self.wavelength[int(np.argmax(self.absorption))])

    def table(self) -> list[tuple[str, list[float]]]:
        """Columns with their headings, in the units that people use."""
        columns = [
            ("wavelength nm", self.wavelength * 1e9),
            (f"mu_a 1/cm per mg {self.mass_of}/ml", self.absorption / 100.0),
            ("mu_s' likewise", self.reduced_scattering / 100.0),
        ]
        if self.single:
            absorption, scattering, cosine, _ = np.transpose(self.single)
            columns += [
                ("C_abs nm2 ", absorption * 1e18),
                ("C_sca nm2 ", scattering * 1e18),
                (" albedo", scattering / (absorption + scattering)),
                ("        g", cosine),
            ]
        columns += [
            ("mu_ext likewise", self.extinction / 100.0),
            (f"heat/extinction{', measured' if self.given else ''}", self.efficiency),
        ]
        return [(name, [float(value) for value in values]) for name, values in columns]


def spectrum(carrier: Carrier, wavelengths: Sequence[float]) -> Spectrum:
    """The carrier at vacuum wavelengths (m); those that nobody measured are left out.

    Raises ``CaseError`` for a carrier without optics, or when nothing is known at any of them.
    """
    if not carrier.absorbs_light:
        raise CaseError(f'"{carrier.material or carrier.kind}" has no spectrum: its light absorption is not known')
    known, optics = [], []
    problems: tuple[str, ...] = ()
    for wavelength in wavelengths:
        try:
            optics.append(carrier.mass_optics(wavelength))
            known.append(wavelength)
        except CaseError as error:
            problems = error.problems
    if not known:
        raise CaseError(*problems)
    single: tuple[CrossSections, ...] = ()
    if hasattr(carrier, "cross_sections"):
        single = tuple(cast(_Single, carrier).cross_sections(wavelength) for wavelength in known)
    absorption, scattering, extinction = np.transpose([one[:3] for one in optics])
    return Spectrum(
        np.array(known),
        absorption,
        scattering,
        extinction,
        efficiency=np.array([one.efficiency for one in optics]),
        mass_of=carrier.mass_of,
        given=_given(carrier),
        single=single,
    )


def _given(carrier: Carrier) -> bool:
    """Whether a measured photothermal efficiency stands for the carrier or a wavelength of it."""
    tables = (carrier, *getattr(carrier, "measured_optics", ()))
    return any(getattr(table, "photothermal_efficiency", None) is not None for table in tables)
