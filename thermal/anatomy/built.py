"""What every kind of anatomy builds, and the names it may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator

from thermal.domain import SURFACE, VOID, Domain
from thermal.units import Array

__all__ = ["DOUBT", "VOID", "Anatomy", "OtherGrid", "RegionName"]

DOUBT = "warning: "
"""How a note begins that says what may make the result another than the user thinks."""


def _usable(name: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,79}", name) is None:
        raise ValueError(f'"{name}" cannot name a region; use letters, digits, _ and -, beginning with a letter')
    if name in (SURFACE, "faces"):
        raise ValueError(f'"{name}" is the name of a boundary; choose another name for the region')
    return name


RegionName = Annotated[str, AfterValidator(_usable)]
"""Letters, digits, ``_`` and ``-``, beginning with a letter."""


@dataclass(frozen=True)
class OtherGrid:
    """The same anatomy on a grid whose spacings are ``ratio`` times those of another: what its table of the case has
    instead (``changes``), and the grid in words."""

    ratio: float
    changes: Mapping[str, Any]
    words: str


@dataclass(frozen=True)
class Anatomy:
    """An anatomy after discretisation.

    ``tumour``: name of the target region, if any. ``materials``: region -> tissue of the library that it is made of,
    for every region of the domain. ``background``: image values (3-D) and the 4x4 affine from voxel index to m, for
    slices. ``notes``: what was resampled, assumed and left out, with volumes, some of them warnings (:data:`DOUBT`).
    ``sources``: (path, SHA-256) of each file
    read. ``absent``: regions that this anatomy can name but that have no volume in the window (so that a tissue entry
    for one of them is no mistake).
    """

    domain: Domain
    tumour: str | None
    materials: Mapping[str, str]
    background: tuple[Array, Array] | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    absent: frozenset[str] = field(default_factory=frozenset)
    named_at: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """region -> key of the case file that names it, where one does"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "materials", MappingProxyType(dict(self.materials)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes that every run must state."""
        return tuple(note.removeprefix(DOUBT) for note in self.notes if note.startswith(DOUBT))
