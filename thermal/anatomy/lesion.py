"""The target in a labelled image: planted, masked or labelled; what of it the window and the image hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import model_validator

from thermal.anatomy.built import DOUBT, VOID, RegionName
from thermal.anatomy.grid import Axes, cell_volumes
from thermal.anatomy.label_border import LabelBorder
from thermal.anatomy.shapes import Sphere, coverage
from thermal.anatomy.volume import Volume, label_shares, volumes_in
from thermal.domain import Level
from thermal.errors import CaseError
from thermal.units import Array, Length, Point, Spec

CUT = 0.02
"""Share of the lesion missing from the window from which it is said."""


class Lesion(Spec):
    """The target: a planted sphere (``centre``, ``radius``), a ``mask`` file, or a label named ``region``.

    Coordinates are patient RAS. A planted or masked lesion overrides whatever lies there.
    """

    region: RegionName = "tumour"
    """its name"""
    centre: Point | None = None
    """of a planted sphere, patient RAS"""
    radius: Length | None = None
    """of a planted sphere"""
    mask: str | None = None
    """NIfTI file with its own orientation; every voxel above 0 belongs to the lesion"""

    @model_validator(mode="after")
    def _one_way(self) -> Lesion:
        if (self.centre is None) != (self.radius is None):
            raise ValueError("a planted lesion needs both centre and radius")
        if self.mask is not None and self.centre is not None:
            raise ValueError("give either a mask, or centre and radius, not both")
        return self


@dataclass(frozen=True)
class _Placed:
    """``share`` (cells,) covered by the lesion and its full ``volume`` in m3, in the window or not."""

    share: Array
    volume: float


def _lesion(lesion: Lesion, mask: Volume | None, axes: Axes) -> _Placed | None:
    if mask is not None:
        lower, upper = (np.array([axis[end] for axis in axes]) for end in (0, -1))
        inside = mask.values > 0
        part = Volume(inside, mask.affine, mask.path).crop(mask.box(lower, upper))
        share = np.zeros(int(np.prod([len(axis) - 1 for axis in axes])))
        if part.values.size:
            share = label_shares(part, 2, axes, outside=0)[1]
        return _Placed(share, float(inside.sum()) * mask.voxel_volume)
    if lesion.centre is None or lesion.radius is None:
        return None
    sphere = Sphere.model_construct(region=lesion.region, centre=lesion.centre, radius=lesion.radius)
    return _Placed(coverage(axes, sphere), 4 / 3 * np.pi * lesion.radius**3)


def lesion_border(lesion: Lesion, mask: Volume | None) -> Level | None:
    """The border of a lesion that is planted or a ``mask``; None of one that is a label."""
    if mask is not None:
        return LabelBorder(Volume(mask.values > 0, mask.affine, mask.path), code=1)
    if lesion.centre is None or lesion.radius is None:
        return None
    return Sphere.model_construct(region=lesion.region, centre=lesion.centre, radius=lesion.radius).level


def place_lesion(lesion: Lesion, mask: Volume | None, axes: Axes, shares: dict[str, Array]) -> tuple[str, ...]:
    """Write the lesion over the other shares. Raises ``CaseError`` if it is empty or outside window or body."""
    placed = _lesion(lesion, mask, axes)
    if placed is None:
        return ()
    doubts = () if mask is None else _mask_doubts(mask)
    volume = cell_volumes(axes)
    inside = float(placed.share @ volume)
    if inside < 0.5 * placed.volume or inside <= 0:
        raise CaseError(
            f"anatomy.tumour: only {inside * 1e6:.3g} of {placed.volume * 1e6:.3g} ml of the lesion are in the window; "
            "move or enlarge the window (anatomy.window, anatomy.centre), or check that the lesion is in the image"
        )
    replaced = {name: float((share * placed.share) @ volume) for name, share in shares.items()}
    if replaced.get(VOID, 0.0) > 0.5 * inside:
        raise CaseError(
            f"anatomy.tumour: {replaced[VOID] / inside:.0%} of the lesion lie outside the body; check its coordinates "
            "(patient RAS, mm)"
        )
    for share in shares.values():
        share *= 1.0 - placed.share
    shares[lesion.region] = shares.get(lesion.region, 0.0) + placed.share
    listed = ", ".join(f"{name} {part * 1e6:.3g} ml" for name, part in replaced.items() if part > 1e-3 * inside)
    notes = [f"{lesion.region} of {inside * 1e6:.4g} ml overrides: {listed}"]
    if abs(inside / placed.volume - 1) > 0.02:
        notes.append(
            f"{DOUBT}{lesion.region} has {inside * 1e6:.4g} ml in the window, {placed.volume * 1e6:.4g} ml as given; "
            "it is cut by the window or too small for these voxels"
        )
    return (*notes, *doubts)


def _mask_doubts(mask: Volume) -> tuple[str, ...]:
    """What to say of a mask that holds more than inside and outside. Raises ``CaseError`` for NaN."""
    values = mask.values
    if not np.isfinite(values).all():
        voxel = tuple(int(index) for index in np.argwhere(~np.isfinite(values))[0])
        raise CaseError(
            f'anatomy.tumour.mask = "{mask.path}": {np.count_nonzero(~np.isfinite(values))} of {values.size} voxels '
            f"are NaN or infinite, the first is voxel {voxel}; write 0 outside the lesion and 1 inside"
        )
    graded = (values < 0.0) | ((values > 0.0) & (values < 1.0))
    if not graded.any():
        return ()
    return (
        f'{DOUBT}anatomy.tumour.mask = "{mask.path}": {np.count_nonzero(graded)} of {values.size} voxels hold numbers '
        "below 0 or between 0 and 1, as probabilities or distances do; every voxel above 0 belongs to the lesion: "
        "write a mask of 0 and 1",
    )


def whole_lesion(
    lesion: Lesion, mask: Volume | None, segmentation: Volume, regions: Mapping[int, str], axes: Axes
) -> tuple[str, ...]:
    """Warnings where the lesion of a file is cut: a label by the window, a label or a mask by the end of its image.

    Of a lesion that is cut, volume, coverage and margin are those of the part that is left.
    """
    if lesion.centre is not None:
        return ()
    labels = [label for label, region in regions.items() if region == lesion.region]
    inside = mask.values > 0 if mask is not None else np.isin(segmentation.values, labels)
    holder = segmentation if mask is None else mask
    found, warnings = float(inside.sum()) * holder.voxel_volume, []
    if mask is None:
        lower, upper = (np.array([axis[end] for axis in axes]) for end in (0, -1))
        part = Volume(inside, holder.affine, holder.path).crop(holder.box(lower, upper))
        held = float(volumes_in(part, 2, lower, upper)[1])
        if held < (1.0 - CUT) * found:
            warnings.append(
                f"{DOUBT}{lesion.region}: {held * 1e6:.4g} of its {found * 1e6:.4g} ml are in the window; coverage and "
                "margin are those of this part: enlarge anatomy.window or move anatomy.centre"
            )
    ends = [np.any(np.take(inside, (0, -1), axis=axis)) for axis in range(3)]
    if any(ends):
        warnings.append(
            f'{DOUBT}{lesion.region}: reaches the end of its image "{holder.path}" and may go on beyond it; coverage '
            "and margin are those of the part that is there"
        )
    return tuple(warnings)
