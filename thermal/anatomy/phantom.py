"""An anatomy of analytic shapes in a box."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from thermal.anatomy.built import VOID, Anatomy, OtherGrid, RegionName
from thermal.anatomy.grid import Axes, Lengths, Refine, Window, cell_volumes, coarser, make_axes
from thermal.anatomy.shapes import Shape, borders, paint
from thermal.domain import Domain, VoxelDomain
from thermal.errors import CaseError
from thermal.units import Array, Mask, Point, Spec


class Phantom(Spec):
    """A box filled with ``background``, over which shapes are painted in order.

    ``origin`` is the lower corner (default: the box is centred on 0). Axes are patient RAS. Cells of which more than
    half is ``"void"`` are outside the body; where void takes less, the cell counts as body and its other shares are
    scaled up to one.
    """

    kind: Literal["phantom"]
    size: Lengths
    """edges of the window: one length or three"""
    voxel_size: Lengths
    """edges of the voxels: one length or three"""
    background: RegionName
    """region that fills the window before the shapes are painted"""
    origin: Point | None = None
    """lower corner of the window (default: the window is centred on 0)"""
    tumour: RegionName | None = None
    """region that is the target"""
    shapes: tuple[Shape, ...] = ()
    """painted in order: later ones cover earlier ones"""
    refine: Refine | None = None
    """a box of finer voxels"""

    @property
    def voxels(self) -> Literal["cut", "whole"]:
        """Of its domain, as heat meets them: whole where all is one tissue but the tumour, which conducts about as its
        organ does."""
        tissues = {self.background, *(shape.region for shape in self.shapes)} - {self.tumour, VOID}
        return "cut" if len(tissues) > 1 else "whole"

    def build(self, base: Path = Path()) -> Anatomy:
        """Discretise. ``base`` is not used: a phantom reads no files. Raises ``CaseError``."""
        x, y, z = self.size
        lower = self.origin if self.origin is not None else (-0.5 * x, -0.5 * y, -0.5 * z)
        window = Window(lower, self.size, self.voxel_size, self.refine)
        axes, notes = make_axes(window)
        regions = list(dict.fromkeys([self.background, *(shape.region for shape in self.shapes)]))
        if self.tumour is not None and self.tumour not in regions:
            raise CaseError(
                f'anatomy.tumour = "{self.tumour}" is not painted by any shape; regions: {", ".join(regions)}'
            )
        painted = paint(axes, self.background, self.shapes)
        problems = [
            f'anatomy.shapes[{number}]: region "{shape.region}" has no volume: its shapes lie outside the window or '
            "under later ones, or are too small for the voxels; move or enlarge it, change the order or delete it"
            for number, shape in enumerate(self.shapes)
            if shape.region not in painted and shape.region != self.background
        ]
        if problems:
            raise CaseError(*problems)
        domain = replace(leave_void(axes, painted), levels=borders(self.background, self.shapes))
        if self.tumour is not None and self.tumour not in domain.shares:
            raise CaseError(f'anatomy.tumour = "{self.tumour}" has no volume inside the body')
        return Anatomy(
            domain=domain,
            tumour=self.tumour,
            materials={region: region for region in domain.shares},
            notes=(*notes, *volume_notes(domain)),
            absent=frozenset(regions) - set(domain.shares) - {VOID},
            named_at={shape.region: f"anatomy.shapes[{number}].region" for number, shape in enumerate(self.shapes)}
            | {self.background: "anatomy.background"},
        )

    def other_grid(self, domain: Domain) -> OtherGrid:
        """The grid of ``domain``, which this built, 1.5 to 2 times coarser."""
        assert isinstance(domain, VoxelDomain)
        return coarser(domain.axes, self.voxel_size, self.refine)


def leave_void(axes: Axes, shares: dict[str, Array]) -> VoxelDomain:
    """A domain without the region ``"void"``: cells more than half void are not solid and have no shares.

    The arrays of ``shares`` are taken over and scaled in place: with many regions a copy would double the memory.
    """
    cells = int(np.prod([len(axis) - 1 for axis in axes]))
    empty = shares.get(VOID)
    solid: Mask = np.ones(cells, dtype=bool) if empty is None else empty <= 0.5
    if not solid.any():
        raise CaseError("anatomy: the whole window is outside the body; move the window or its shapes")
    kept = {name: share for name, share in shares.items() if name != VOID}
    if empty is not None:
        scale = np.divide(1.0, 1.0 - empty, out=np.zeros(cells), where=solid)
        for share in kept.values():
            share *= scale
    kept = {name: share for name, share in kept.items() if share.any()}
    for share in kept.values():
        share.setflags(write=False)
    return VoxelDomain(axes=axes, shares=kept, solid=solid)


def region_volumes(domain: VoxelDomain) -> dict[str, float]:
    """Volume of each region, m3."""
    volume = cell_volumes(domain.axes)
    return {name: float(share @ volume) for name, share in domain.shares.items()}


def volume_notes(domain: VoxelDomain) -> tuple[str, ...]:
    """One line with the volume of each region in ml, and one on what is outside the body."""
    listed = ", ".join(f"{name} {volume * 1e6:.4g} ml" for name, volume in region_volumes(domain).items())
    outside = float(cell_volumes(domain.axes)[~domain.solid].sum())
    return (f"volumes: {listed}", *((f"outside the body: {outside * 1e6:.4g} ml",) if outside else ()))
