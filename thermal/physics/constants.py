"""Optical constants of gold: the library's data set, or one of the user, inline or from a table file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from thermal import library
from thermal.errors import CaseError
from thermal.tabular import read_rows
from thermal.units import PositiveNumber, Spec, Wavelength, quantity

Extinction = Annotated[float, *quantity("", ge=0, le=1e3)]
Locate = Callable[[str, str], Path]
"""The existing file of a name in the case, and the key that names it."""
STANDARD: Literal["johnson_christy"] = "johnson_christy"
COLUMNS = "a line wavelength_nm,n,k and numbers below it"
"""What a table file has to hold."""
_UNITS = {"wavelength_um": 1e-6, "wavelength_nm": 1e-9, "wavelength_m": 1.0}


class Constants(NamedTuple):
    """A data set: refractive index ``n + i k`` at rising vacuum wavelengths in m, all (k,), and where it is from."""

    name: str
    source: str
    wavelength: tuple[float, ...]
    n: tuple[float, ...]
    k: tuple[float, ...]

    def text(self) -> str:
        """The whole table in a line, to be kept with a result."""
        rows = zip(self.wavelength, self.n, self.k, strict=True)
        return "nm n k: " + "; ".join(f"{1e9 * length:.6g} {n:.6g} {k:.6g}" for length, n, k in rows)


def johnson_christy() -> Constants:
    """P. B. Johnson, R. W. Christy, Phys. Rev. B 6 (1972) 4370."""
    data = library.table(STANDARD)
    return Constants(
        STANDARD,
        "P. B. Johnson, R. W. Christy, Phys. Rev. B 6, 4370 (1972), doi:10.1103/PhysRevB.6.4370",
        tuple((data["wavelength_um"] * 1e-6).tolist()),
        tuple(data["n"].tolist()),
        tuple(data["k"].tolist()),
    )


class OpticalConstants(Spec):
    """Refractive index n + ik of the metal at vacuum wavelengths: three lists, or a ``file`` with these columns."""

    name: str
    """of the data set, by which results know it"""
    source: str
    """where the numbers are from"""
    wavelength: tuple[Wavelength, ...] = ()
    """vacuum wavelengths, rising; the index is linear between them and unknown outside"""
    n: tuple[PositiveNumber, ...] = ()
    """real part at each"""
    k: tuple[Extinction, ...] = ()
    """imaginary part at each"""
    file: str | None = None
    """CSV with a line ``wavelength_nm,n,k`` (or ``wavelength_um``) and numbers below it"""

    @model_validator(mode="after")
    def _is_a_table(self) -> OpticalConstants:
        if self.file is not None:
            if self.wavelength or self.n or self.k:
                raise ValueError("give either a file or the lists wavelength, n and k, not both")
            return self
        if len(self.wavelength) < 2 or not len(self.wavelength) == len(self.n) == len(self.k):
            raise ValueError(
                f"wavelength, n and k have {len(self.wavelength)}, {len(self.n)} and {len(self.k)} entries; give as "
                "many of each, two or more, or a file"
            )
        if not np.all(np.diff(self.wavelength) > 0.0):
            raise ValueError("wavelength does not rise from entry to entry; sort the table")
        return self

    def loaded(self, locate: Locate) -> OpticalConstants:
        """The same with the table that its file holds. Raises ``CaseError``."""
        if self.file is None:
            return self
        place = "particles.optical_constants.file"
        path = locate(self.file, place)
        label = f'{place} = "{self.file}"'
        (_, header), *rows = read_rows(path, label, COLUMNS)
        try:
            numbers = np.array([cells for _, cells in rows], dtype=float).T
            columns = dict(zip((word.lower() for word in header), numbers, strict=True))
        except ValueError as error:
            raise CaseError(f"{label}: cannot be read as a table ({error}); expected {COLUMNS}") from None
        unit = next((name for name in _UNITS if name in columns), None)
        if unit is None or not {"n", "k"} <= set(columns):
            raise CaseError(
                f"{label}: columns {', '.join(columns)}; expected wavelength_nm (or wavelength_um), n and k"
            )
        order = np.argsort(columns[unit])
        table = [columns[name][order] for name in (unit, "n", "k")]
        rising = bool(np.all(np.diff(table[0]) > 0.0)) and len(order) > 1
        if not (rising and np.isfinite(table).all() and table[0][0] > 0.0 and table[1].min() > 0.0 <= table[2].min()):
            raise CaseError(f"{label}: expected two or more different wavelengths, n above zero and k not below it")
        lists = dict(zip(("wavelength", "n", "k"), (tuple(column.tolist()) for column in table), strict=True))
        lists["wavelength"] = tuple(length * _UNITS[unit] for length in lists["wavelength"])
        return self.model_copy(update={**lists, "file": None})

    @property
    def table(self) -> Constants:
        """The data set. Raises ``CaseError`` before :meth:`loaded` has read its file."""
        if self.file is not None:
            raise CaseError(f'particles.optical_constants.file = "{self.file}" has not been read')
        return Constants(self.name, self.source, self.wavelength, self.n, self.k)
