"""A magnetic field from a file: measured, or computed by another program."""

from __future__ import annotations

from typing import Literal

from thermal.errors import CaseError
from thermal.sampled import ReadVectors, VectorMap
from thermal.units import VACUUM_PERMEABILITY, Array, PositiveNumber, Spec

UNITS = {
    "A/m": 1.0,
    "kA/m": 1e3,
    "T": 1.0 / VACUUM_PERMEABILITY,
    "mT": 1e-3 / VACUUM_PERMEABILITY,
}
"""A/m in one of each; of a flux density, in vacuum."""
LENGTHS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}


class FieldMap(Spec):
    """Vectors of the peak field on a grid or mesh that covers the tissue, interpolated linearly.

    A CSV file with a line ``x,y,z,Hx,Hy,Hz`` and every place of a grid below it; a NIfTI image with three components on
    its last axis, along the patient's axes; or point data of VTK (.vtk, .vti, .vtr, .vts, .vtu).
    """

    file: str
    """.csv, .nii, .nii.gz, .vtk, .vti, .vtr, .vts or .vtu"""
    unit: Literal["A/m", "kA/m", "T", "mT"] = "A/m"
    """of the vectors; a flux density counts as that in vacuum"""
    length_unit: Literal["m", "cm", "mm"] = "m"
    """of the places, in tables and VTK; an image has its own"""
    array: str | None = None
    """name of the vectors where a VTK file has several"""
    scale: PositiveNumber = 1.0
    """factor on the field, e.g. the current over that of the map"""

    def read(self, files: ReadVectors) -> VectorMap:
        """The map, in its own unit. Raises ``CaseError``."""
        return files(self.file, "heating.field_map.file", LENGTHS[self.length_unit], self.array)

    def field(self, vectors: VectorMap, points: Array) -> Array:
        """Field strength H (q, 3) A/m at ``points`` (q, 3) m. Raises ``CaseError`` where the map does not reach."""
        found = vectors.sample(points) * (UNITS[self.unit] * self.scale)
        outside = vectors.missing(points)
        if len(outside):
            x, y, z = 1e3 * outside[0]
            share = 100.0 * len(outside) / len(points)
            raise CaseError(
                f"{vectors.about}, but the tissue has {share:.2g} % of its nodes outside, e.g. "
                f"({x:.4g}, {y:.4g}, {z:.4g}) mm; export a larger map, use a smaller window, or set length_unit"
            )
        return found
