"""Tissue properties of regions, spread over nodes and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import model_validator

from thermal.domain import CutEdges
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.units import (
    Absorption,
    Array,
    Conductivity,
    Density,
    ElectricalConductivity,
    Filtration,
    Fraction,
    HeatCapacity,
    LatentHeat,
    MetabolicHeat,
    PerKelvin,
    Permeability,
    PositiveFraction,
    PositiveNumber,
    PositivePressure,
    Pressure,
    Rate,
    Spec,
    Temperature,
    Wavelength,
    quantity,
)

PoissonRatio = Annotated[float, *quantity("", ge=0, le=0.495)]
SQUARE = 1e-3
"""Cosine up to which two directions count as perpendicular: degrees written with one decimal."""
Number = Annotated[float, *quantity("")]


class HydraulicAnisotropy(Spec):
    """Tissue that conducts fluid better in some directions than in others, as fibres and tracts make it."""

    ratios: tuple[PositiveNumber, PositiveNumber, PositiveNumber]
    """hydraulic conductivity along each direction over hydraulic_conductivity"""
    directions: tuple[tuple[Number, Number, Number], tuple[Number, Number, Number]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    """the first and the second direction, perpendicular to each other, of any length; the third is perpendicular to
    both"""

    @model_validator(mode="after")
    def _perpendicular(self) -> HydraulicAnisotropy:
        first, second = (np.asarray(one) for one in self.directions)
        sizes = np.linalg.norm(first), np.linalg.norm(second)
        if min(sizes) == 0.0:
            raise ValueError("directions: one of them is zero; give two vectors, e.g. [[1, 1, 0], [-1, 1, 0]]")
        cosine = float(first @ second / (sizes[0] * sizes[1]))
        if abs(cosine) > SQUARE:
            raise ValueError(
                f"directions: the two are {np.degrees(np.arccos(np.clip(cosine, -1, 1))):.4g} degrees apart; they "
                "have to be perpendicular, e.g. [[1, 1, 0], [-1, 1, 0]]"
            )
        return self

    @property
    def tensor(self) -> Array:
        """(6,) xx, yy, zz, yz, xz, xy of the ratios."""
        first, second = (np.asarray(one) / np.linalg.norm(one) for one in self.directions)
        second = second - (first @ second) * first
        second = second / np.linalg.norm(second)
        axes = np.stack([first, second, np.cross(first, second)])
        full = axes.T @ np.diag(self.ratios) @ axes
        return np.asarray(full[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])


Anisotropy = Annotated[float, *quantity("", ge=0, le=0.999)]


class Optics(Spec):
    """Optical properties of a tissue at one vacuum wavelength."""

    wavelength: Wavelength
    """vacuum wavelength; data are used within 10 nm of it"""
    absorption: Absorption
    """mu_a, 1/m"""
    reduced_scattering: Absorption
    """mu_s' = mu_s (1 - g), 1/m"""
    anisotropy: Anisotropy = 0.9
    """g, mean cosine of the scattering angle; for models of light that need more than mu_s'"""
    coagulated_absorption: Absorption | None = None
    """mu_a once coagulated, 1/m; unchanged when absent"""
    coagulated_reduced_scattering: Absorption | None = None
    """mu_s' once coagulated, 1/m; unchanged when absent"""

    @property
    def coagulates(self) -> bool:
        """Whether coagulation changes anything."""
        return self.coagulated_absorption is not None or self.coagulated_reduced_scattering is not None

    @property
    def whitened(self) -> tuple[float, float]:
        """mu_a and mu_s' once coagulated, 1/m."""
        return (
            self.absorption if self.coagulated_absorption is None else self.coagulated_absorption,
            self.reduced_scattering
            if self.coagulated_reduced_scattering is None
            else self.coagulated_reduced_scattering,
        )


class Tissue(Spec):
    """Properties of one tissue in SI units; ``None`` where nobody gave a value."""

    density: Density
    heat_capacity: HeatCapacity
    conductivity: Conductivity
    conductivity_slope: PerKelvin = 0.0
    """relative change of the conductivity per kelvin above 37 degC, up to 100 degC"""
    perfusion: Rate = 0.0
    """m3 of blood per m3 of tissue and second"""
    metabolic_heat: MetabolicHeat = 0.0
    frozen_conductivity: Conductivity | None = None
    frozen_heat_capacity: HeatCapacity | None = None
    latent_heat: LatentHeat | None = None
    """of freezing, J per kg of tissue"""
    water_fraction: Fraction | None = None
    """mass fraction of water, for vaporisation"""
    electrical_conductivity: ElectricalConductivity | None = None
    electrical_conductivity_slope: PerKelvin | None = None
    """relative change per kelvin above 37 degC, up to 100 degC"""
    optics: tuple[Optics, ...] = ()
    refractive_index: PositiveNumber | None = None
    porosity: PositiveFraction | None = None
    """pore volume accessible to the infusate per volume of tissue"""
    hydraulic_conductivity: Permeability | None = None
    """Darcy permeability over viscosity, m2/Pa/s"""
    hydraulic_anisotropy: HydraulicAnisotropy | None = None
    shear_modulus: PositivePressure | None = None
    """of the drained skeleton, Pa"""
    poisson_ratio: PoissonRatio | None = None
    """of the drained skeleton"""
    vascular_filtration: Filtration | None = None
    """hydraulic conductivity of vessel walls times their area per tissue volume, 1/Pa/s"""
    vascular_pressure: Pressure | None = None
    """effective pressure that drives fluid out of vessels: hydrostatic less osmotic, Pa"""
    lymphatic_filtration: Filtration | None = None
    """the same of lymphatics, 1/Pa/s"""
    lymphatic_pressure: Pressure | None = None
    """in the lymphatics, Pa"""
    temperature: Temperature | None = None
    """region held at this temperature (large vessels)"""


@dataclass(frozen=True)
class Tissues:
    """The tissues of all regions of a domain.

    ``by_region``: region -> :class:`Tissue`. Cell values are share-weighted means, nodal values volume-weighted means.
    """

    engine: Engine
    by_region: Mapping[str, Tissue]
    freezes: bool = True
    """whether their water freezes in this case"""

    def _values(self, name: str, needed_by: str) -> dict[str, float]:
        values: dict[str, Any] = {region: getattr(tissue, name) for region, tissue in self.by_region.items()}
        lacking = sorted(region for region, value in values.items() if value is None)
        if lacking:
            raise CaseError(
                *(f"tissues.{region}.{name}: needed by {needed_by}, but neither the case nor the library gives it; "
                  f"add {name} to [tissues.{region}]" for region in lacking)
            )  # fmt: skip
        return {region: float(value) for region, value in values.items()}

    def like_around(self, regions: Sequence[str], names: Sequence[str]) -> Tissues:
        """The same, but in properties by ``names``, where they are given, ``regions`` are like what they border on.

        So the cells that the border of a held region cuts conduct as the tissue around it: in the region itself nothing
        changes from place to place. Where it borders on several tissues: their mean by the cells that both share.
        """
        tissues, shares, volume = dict(self.by_region), self.engine.shares, self.engine.cell_volume
        for region in regions:
            common = {
                other: self.engine.total(shares[region] * share * volume)
                for other, share in shares.items()
                if other not in regions
            }
            if (whole := sum(common.values())) > 0.0:
                mine = self.by_region[region]
                near = {other: part / whole for other, part in common.items() if part > 0.0}
                values = {name: [getattr(self.by_region[other], name) for other in near] for name in names}
                mixed = {
                    name: sum(part * value for part, value in zip(near.values(), found, strict=True))
                    for name, found in values.items()
                    if None not in (getattr(mine, name), *found)
                }
                tissues[region] = mine.model_copy(update=mixed)
        return replace(self, by_region=tissues)

    def require(self, names: Sequence[str], needed_by: str) -> None:
        """Raise ``CaseError`` naming every one of the properties that a region lacks."""
        problems: list[str] = []
        for name in names:
            try:
                self._values(name, needed_by)
            except CaseError as error:
                problems += error.problems
        if problems:
            raise CaseError(*problems)

    def mix_cells(self, values: Mapping[str, float]) -> Array:
        """Share-weighted mean of one number a region, (m,)."""
        mixed = np.zeros_like(self.engine.cell_volume)
        for region, share in self.engine.shares.items():
            mixed += values[region] * share
        return mixed

    def mix_nodes(self, values: Mapping[str, float]) -> Array:
        """Volume-weighted mean of one number a region, (n,); zero at nodes outside the body."""
        return self.engine.to_nodes(self.mix_cells(values))

    def cells(self, name: str, needed_by: str) -> Array:
        """A property at cells, (m,). Raises ``CaseError`` where a region lacks it."""
        return self.mix_cells(self._values(name, needed_by))

    def cuts(self, name: str, needed_by: str) -> CutEdges | None:
        """Edges beside cells that hold regions of which a property differs."""
        return self.engine.cut_edges(self._values(name, needed_by))

    def nodes(self, name: str, needed_by: str) -> Array:
        """A property at nodes, (n,). Raises ``CaseError`` where a region lacks it."""
        return self.mix_nodes(self._values(name, needed_by))

    def hydraulic_tensors(self, needed_by: str) -> Array | None:
        """Hydraulic conductivity at cells, (m, 6) xx, yy, zz, yz, xz, xy in m2/Pa/s; None where no region has
        directions of its own."""
        along = {name: tissue.hydraulic_anisotropy for name, tissue in self.by_region.items()}
        if all(one is None for one in along.values()):
            return None
        size = self._values("hydraulic_conductivity", needed_by)
        even = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
        tensors = np.zeros((len(self.engine.cell_volume), 6))
        for region, share in self.engine.shares.items():
            one = along[region]
            tensors += np.outer(share, size[region] * (even if one is None else one.tensor))
        return tensors

    def optics(self, wavelength: float, needed_by: str) -> dict[str, Optics]:
        """Optical properties by region at a vacuum wavelength (m).

        The tabulated wavelength must lie within 10 nm: tissue spectra are too uneven to be interpolated further.
        Raises ``CaseError`` naming every region without data.
        """
        found, problems = {}, []
        for region, tissue in self.by_region.items():
            near = [entry for entry in tissue.optics if abs(entry.wavelength - wavelength) <= 10e-9]
            if not near:
                known = ", ".join(f"{entry.wavelength * 1e9:.0f} nm" for entry in tissue.optics) or "none"
                problems.append(
                    f"tissues.{region}.optics: needed by {needed_by} at {wavelength * 1e9:.0f} nm; known wavelengths: "
                    f'{known}; add optics = [{{wavelength = "{wavelength * 1e9:.0f} nm", absorption = "0.5 1/cm", '
                    f'reduced_scattering = "8 1/cm"}}] to [tissues.{region}]'
                )
                continue
            found[region] = min(near, key=lambda entry: abs(entry.wavelength - wavelength))
        if problems:
            raise CaseError(*problems)
        return found
