"""Particle kinds: what one kilogram of carrier does to light and in an alternating magnetic field.

Concentrations of a carrier are mass per volume of tissue of ``mass_of``: gold for the plasmonic kinds, **iron** (Fe,
not its oxide) for iron oxide, as clinics dose it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter

from thermal import library
from thermal.physics.constants import Constants
from thermal.physics.particles.base import CrossSections
from thermal.physics.particles.combined import GoldOnIronOxide
from thermal.physics.particles.disc import VortexDisc
from thermal.physics.particles.gold import GoldMatryoshka, GoldRod, GoldShell, GoldSphere, Metallic
from thermal.physics.particles.iron import IronOxide
from thermal.physics.particles.measured import Measured
from thermal.physics.particles.measured_light import MeasuredOptics
from thermal.physics.particles.solute import Solute
from thermal.physics.particles.upconversion import Upconversion
from thermal.physics.particles.vehicle import DrugCarrier
from thermal.physics.scene import Reshaped
from thermal.units import Array, Spec

Carrier: TypeAlias = (
    GoldSphere
    | GoldShell
    | GoldMatryoshka
    | GoldRod
    | GoldOnIronOxide
    | IronOxide
    | Measured
    | Solute
    | DrugCarrier
    | VortexDisc
    | Upconversion
)
AnyParticle: TypeAlias = Annotated[Carrier, Field(discriminator="kind")]
"""Every particle kind, told apart by ``kind``."""
_ANY: TypeAdapter[Carrier] = TypeAdapter(AnyParticle)


def carrier(name: str) -> Carrier:
    """The library's particle of this name. Raises ``CaseError`` with the nearest names when there is none."""
    return _ANY.validate_python({**library.values("particles", name), "material": name})


def cross_sections(particle: GoldSphere | GoldShell | GoldRod, wavelength: float, medium_index: float) -> CrossSections:
    """Cross-sections of one particle at a vacuum wavelength (m) in a medium of real refractive index."""
    return particle.cross_sections(wavelength, medium_index)


@dataclass(frozen=True)
class Particle:
    """A carrier as heat sources see it."""

    carrier: Carrier

    @property
    def mass_of(self) -> str:
        """What the mass concentration weighs: "gold", "iron" ..."""
        return self.carrier.mass_of

    @property
    def optics(self) -> Callable[[float], tuple[float, float]] | None:
        """Absorption and reduced scattering, 1/m per kg/m3, at a vacuum wavelength (m); ``None`` where unknown."""
        return self.carrier.optics if self.carrier.absorbs_light else None

    @property
    def heat_share(self) -> Callable[[float], float]:
        """Of what they absorb at a vacuum wavelength (m), the part that becomes heat: all, unless measured."""
        return lambda wavelength: self.carrier.mass_optics(wavelength).heat_share

    @property
    def specific_absorption_rate(self) -> Callable[[Array, float, float | None], Array] | None:
        """W per kg of ``mass_of`` at peak amplitudes (A/m), a frequency (Hz) and a temperature (degC; its own for
        none); ``None`` where it does not heat."""
        return self.carrier.specific_absorption_rate if self.carrier.heats_in_field else None

    @property
    def agitation(self) -> Callable[[Array, Array, float], dict[str, tuple[Array, str]]] | None:
        """What a time in a field does by turning the particles; ``None`` where it does not."""
        return getattr(self.carrier, "agitation", None)

    @property
    def reshaped(self) -> Reshaped | None:
        """When the particles lose their shape, and their optics then; ``None`` where they do not."""
        limits = getattr(self.carrier, "reshaping", None)
        if limits is None:
            return None
        return Reshaped(limits.temperature, limits.pulse_fluence, self.carrier.reshaped_optics)

    @property
    def emission(self) -> Callable[[Array, float], Array] | None:
        """Emitted over absorbed power at fluence rates (W/m2) and a wavelength (m); ``None`` where nothing is."""
        return getattr(self.carrier, "emitted_share", None)

    def doubts(self, amplitude: float, frequency: float) -> tuple[str, ...]:
        """Doubts on the validity of the model in a field of this peak amplitude (A/m) and frequency (Hz)."""
        return self.carrier.doubts(amplitude, frequency)

    def sources(self) -> list[library.Sourced]:
        """The numbers that library and case gave, with their sources; keys under ``particles``.

        Where the case overrides a library value the record is the case's, in SI.
        """
        material = self.carrier.material
        standard = carrier(material) if material is not None else None
        known = library.sources("particles", material) if material is not None else []
        found = _numbers(self.carrier, standard, known, "")
        if isinstance(self.carrier, Metallic):
            found.append(_record(self.carrier.constants))
        return [{**number, "key": f"particles.{number['key']}"} for number in found]


def _numbers(spec: Spec, standard: object, known: Sequence[library.Sourced], prefix: str) -> list[library.Sourced]:
    """Numbers of a specification, and of those within it, whose keys begin with ``prefix``: the library's where they
    are as in ``standard``, the case's else."""
    found: list[library.Sourced] = []
    for name, info in type(spec).model_fields.items():
        value, key = getattr(spec, name), prefix + (info.alias or name)
        if standard is not None and value == getattr(standard, name, None):
            found += [number for number in known if re.fullmatch(rf"{key}([\[.].*)?", number["key"])]
        elif name in spec.model_fields_set and isinstance(value, float):
            found.append(library.stated(key, value, type(spec), name))
        elif isinstance(value, Spec):
            found += _numbers(value, getattr(standard, name, None), known, f"{key}.")
        elif isinstance(value, tuple):
            for number, row in enumerate(row for row in value if isinstance(row, Spec)):
                found += _numbers(row, None, known, f"{key}[{number}].")
    return found


def _record(constants: Constants) -> library.Sourced:
    """The data set of gold's optical constants, as a record that holds it."""
    return library.Sourced(
        key="optical_constants",
        value=float(len(constants.n)),
        unit="rows",
        source=constants.source,
        unverified=False,
        note=f"{constants.name}: n and k of gold, linear between its wavelengths; {constants.text()}",
    )


__all__ = [
    "AnyParticle",
    "Carrier",
    "CrossSections",
    "DrugCarrier",
    "GoldMatryoshka",
    "GoldOnIronOxide",
    "GoldRod",
    "GoldShell",
    "GoldSphere",
    "IronOxide",
    "Measured",
    "MeasuredOptics",
    "Particle",
    "Solute",
    "Upconversion",
    "VortexDisc",
    "carrier",
    "cross_sections",
]
