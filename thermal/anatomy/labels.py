"""Names of the labels of a segmentation, and how voxels without a label are told apart."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from thermal.anatomy.built import VOID
from thermal.anatomy.volume import Box, Volume, Voxels, same_grid, sample_at
from thermal.units import Array, Mask, Spec, quantity

TABLES = ("totalsegmentator", "totalsegmentator_mr")
"""Label tables that come with the package."""
GAS, FAT, BONE, MUSCLE = "gas", "fat", "bone", "muscle"
"""Regions into which CT numbers split what has no label."""
_COARSE = 8_000_000  # voxels on which the outside of the body is found

AttenuationNumber = Annotated[float, *quantity("", ge=-2000, le=10000)]


@dataclass(frozen=True)
class LabelTable:
    """``regions``: label -> region; ``tissues``: region -> tissue of the library."""

    regions: Mapping[int, str]
    tissues: Mapping[str, str]


@lru_cache(maxsize=4)
def shipped_table(name: str) -> LabelTable:
    """One of ``TABLES``, from the package's data."""
    text = (files("thermal") / "data" / f"labels_{name}.toml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, str]] = tomllib.loads(text)["labels"]
    return LabelTable(
        {int(label): entry["region"] for label, entry in entries.items()},
        {entry["region"]: entry["tissue"] for entry in entries.values()},
    )


def label_table(labels: str | Mapping[str, int | tuple[int, ...]]) -> LabelTable:
    """The table that ``anatomy.labels`` means; regions of an own table are tissues of the same name."""
    if isinstance(labels, str):
        return shipped_table(labels)
    regions = {
        label: region
        for region, given in labels.items()
        for label in ((given,) if isinstance(given, int) else given)
    }  # fmt: skip
    return LabelTable(regions, {region: region for region in labels})


class Hounsfield(Spec):
    """CT numbers (HU) that split voxels without a label.

    Below ``air_below``: outside the body, or gas inside it (region ``gas``); then ``fat`` below ``fat_below``,
    ``muscle``, and ``bone`` from ``bone_above``. -30 HU is the usual border between adipose tissue (-190 to -30 HU) and
    muscle (-29 to 150 HU) in body-composition CT: doi:10.1038/s41598-025-96238-6, table 1. -300 and 200 HU are our
    choices, unverified: voxels half-way between air and fat count as fat, calcification as bone; contrast-filled
    vessels without a label also exceed 200 HU.
    """

    air_below: AttenuationNumber = -300.0
    """below this: air outside the body, or gas inside"""
    fat_below: AttenuationNumber = -30.0
    """below this: fat"""
    bone_above: AttenuationNumber = 200.0
    """from this on: bone"""

    @model_validator(mode="after")
    def _ordered(self) -> Hounsfield:
        if not self.air_below < self.fat_below < self.bone_above:
            raise ValueError(
                f"CT numbers must rise: air_below ({self.air_below:g}) < fat_below ({self.fat_below:g}) < bone_above "
                f"({self.bone_above:g})"
            )
        return self

    def split(self, labels: Volume, ct: Volume, box: Box, unlabelled: str) -> tuple[npt.NDArray[np.object_], Mask]:
        """Region names of the voxels of ``labels`` inside ``box``, and which of them have a CT number; only those at
        label 0 mean anything.

        Outside the body is every component of air at label 0 that reaches a lateral side of the image, and every thing
        without any labelled voxel that such air surrounds (couch, clothes). The head and foot sides do not count: there
        the image cuts through lungs and bowel. Voxels without a CT number, as where the CT does not reach, become
        ``unlabelled``.
        """
        part = labels.crop(box)
        values = _on_grid(part, ct if not same_grid(labels, ct) else ct.crop(box))
        step = max(1, int(np.ceil((labels.values.size / _COARSE) ** (1 / 3))))
        air, thing = self._outside(labels, ct, step)
        coarse = np.ix_(*(np.arange(side.start, side.stop) // step for side in box))
        air, thing = air[coarse], thing[coarse]
        names = np.full(values.shape, MUSCLE, dtype=object)
        known = np.isfinite(values)
        names[values >= self.bone_above] = BONE
        names[values < self.fat_below] = FAT
        names[values < self.air_below] = GAS
        names[~known] = unlabelled
        names[(air & (values < self.air_below)) | thing] = VOID
        return names, known

    def _outside(self, labels: Volume, ct: Volume, step: int) -> tuple[Mask, Mask]:
        """Air around the body, and unlabelled things in that air, on every ``step``-th voxel."""
        from scipy.ndimage import binary_dilation, label

        every = (slice(None, None, step),) * 3
        coarse = Volume(labels.values[every], _stretched(labels.affine, step), labels.path)
        matching = Volume(ct.values[every], _stretched(ct.affine, step), ct.path) if same_grid(labels, ct) else ct
        values = _on_grid(coarse, matching)
        unlabelled = coarse.values == 0
        components, _ = label((values < self.air_below) & unlabelled)
        head_to_foot = int(np.argmax(abs(labels.affine[2, :3])))
        lateral = [axis for axis in range(3) if axis != head_to_foot]
        borders = [np.unique(components.take(end, axis=axis)) for axis in lateral for end in (0, -1)]
        reaching = np.setdiff1d(np.concatenate(borders), [0])
        air: Mask = np.isin(components, reaching)
        things, number = label(~air)
        with_label = np.bincount(things[~unlabelled], minlength=number + 1) > 0
        with_label[0] = True
        thing: Mask = ~with_label[things]
        if step > 1:
            air = binary_dilation(air, structure=np.ones((3, 3, 3)))
        return air, thing & unlabelled


def _stretched(affine: Array, step: int) -> Array:
    """The affine of every ``step``-th voxel."""
    stretched = affine.copy()
    stretched[:, :3] *= step
    return stretched


def _on_grid(labels: Volume, ct: Volume) -> Voxels:
    """CT numbers at the voxels of ``labels``; NaN where the CT does not reach."""
    if same_grid(labels, ct):
        return ct.values.astype(np.float32)
    index = np.indices(labels.values.shape, dtype=float)
    places = np.tensordot(labels.affine[:3, :3], index, axes=1) + labels.affine[:3, 3].reshape(3, 1, 1, 1)
    return sample_at(ct, places)
