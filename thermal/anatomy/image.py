"""An anatomy from a labelled image: resampled to a window of voxels, nothing dropped."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, field_validator, model_validator

from thermal.anatomy.built import DOUBT, VOID, Anatomy, OtherGrid, RegionName
from thermal.anatomy.data import resolve, sha256
from thermal.anatomy.grid import Axes, Lengths, Refine, Window, cell_volumes, coarser, make_axes
from thermal.anatomy.label_border import LabelBorder, overlaid
from thermal.anatomy.labels import BONE, FAT, GAS, MUSCLE, TABLES, Hounsfield, label_table
from thermal.anatomy.lesion import Lesion, lesion_border, place_lesion, whole_lesion
from thermal.anatomy.phantom import leave_void, volume_notes
from thermal.anatomy.volume import Volume, label_shares, read_volume, volumes_in
from thermal.domain import Domain, Level, VoxelDomain
from thermal.errors import CaseError
from thermal.units import Array, Mask, Point, Spec

VOLUME_TOLERANCE = 0.1
"""Relative change of a region's volume by resampling that is worth a warning."""
UNCOVERED = 0.01
"""Share of the voxels without a label that the CT may leave out."""
_FEW_VOXELS = 8
"""Slivers of a region below this many voxels are listed, but not warned about."""
_SPLIT_TISSUES = {GAS: "lung", FAT: "fat", BONE: "bone", MUSCLE: "muscle"}
"""Library tissue of the regions made by CT numbers. Gas outside labelled organs borders the lungs or bowel: lung tissue
is the nearest entry (little heat capacity, poor conduction)."""


def _whole(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, (list, tuple)) and not value):
        raise ValueError("a label is a whole number or a list of them, e.g. 5 or [63, 64]")
    return (value,) if isinstance(value, int) else value


LabelNumber = Annotated[int, Field(ge=0, le=65535)]
LabelNumbers = Annotated[
    tuple[LabelNumber, ...], BeforeValidator(_whole, json_schema_input_type=LabelNumber | tuple[LabelNumber, ...])
]
"""One label or a list of labels."""


class Image(Spec):
    """A segmentation (NIfTI, any orientation) resampled to voxels on the patient's axes (RAS).

    ``window``: size of the part that is simulated, around ``centre`` (default: the lesion), clipped to the image.
    Label 0 is split by the CT (``hounsfield``), or is ``unlabelled`` tissue where there is no CT.
    """

    voxels: ClassVar[Literal["cut"]] = "cut"
    """of its domain, as heat meets them: borders of organs run through, between tissues as unlike as fat and muscle"""
    kind: Literal["image"]
    segmentation: str
    """NIfTI with whole-number labels: relative to the case file, or "data:..." """
    labels: str | dict[RegionName, LabelNumbers]
    """a table that comes with the package ("totalsegmentator", "totalsegmentator_mr"), or {liver = 5, ...}"""
    voxel_size: Lengths
    """edges of the voxels: one length or three"""
    window: Lengths = (0.1, 0.1, 0.1)
    """edges of the part that is simulated: one length or three"""
    centre: Point | None = None
    """of the window, patient RAS (default: the middle of the lesion)"""
    ct: str | None = None
    """NIfTI with CT numbers, on any grid; splits what has no label"""
    hounsfield: Hounsfield = Hounsfield()
    """CT numbers at which it is split"""
    unlabelled: RegionName = MUSCLE
    """tissue of label 0 where there is no CT"""
    tumour: Lesion | None = None
    """the target"""
    refine: Refine | None = None
    """a box of finer voxels"""

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: str | dict[str, tuple[int, ...]]) -> str | dict[str, tuple[int, ...]]:
        if isinstance(labels, str):
            if labels not in TABLES:
                raise ValueError(
                    f'"{labels}" is no label table; known: {", ".join(TABLES)}; or give {{liver = 5, ...}}'
                )
            return labels
        given = [number for numbers in labels.values() for number in numbers]
        twice = sorted({number for number in given if given.count(number) > 1})
        if twice or not given:
            raise ValueError(f"labels {twice} are named more than once" if given else "the label table is empty")
        return labels

    @model_validator(mode="after")
    def _consistent(self) -> Image:
        if self.ct is None and "hounsfield" in self.model_fields_set:
            raise ValueError("hounsfield splits voxels by a CT, but no ct is given; add ct or remove hounsfield")
        if self.centre is None and self.tumour is None:
            raise ValueError("the window needs a place: give centre, or a lesion in [anatomy.tumour]")
        return self

    def build(self, base: Path = Path()) -> Anatomy:
        """Read, resample and plant. ``base``: folder of the case file. Raises ``CaseError``."""
        sources: list[Path] = []

        def read(name: str, place: str) -> Volume:
            path = resolve(name, base, place)
            sources.append(path)
            return read_volume(path, place)

        segmentation = _whole_labels(read(self.segmentation, "anatomy.segmentation"))
        ct = read(self.ct, "anatomy.ct") if self.ct is not None else None
        table = label_table(self.labels)
        mask = read(self.tumour.mask, "anatomy.tumour.mask") if self.tumour and self.tumour.mask else None
        centre = self._window_centre(segmentation, mask, table.regions)
        window, notes = _clipped(segmentation, centre, self.window)
        notes += tuple(
            DOUBT + doubt for image in (segmentation, ct, mask) if image is not None for doubt in image.doubts
        )
        axes, grid_notes = make_axes(Window(*window, self.voxel_size, self.refine))
        notes += grid_notes
        shares, borders, split_notes = self._resample(segmentation, ct, table.regions, axes)
        notes += split_notes
        if self.tumour is not None:
            notes += place_lesion(self.tumour, mask, axes, shares)
            notes += whole_lesion(self.tumour, mask, segmentation, table.regions, axes)
            planted = lesion_border(self.tumour, mask)
            borders = borders if planted is None else overlaid(borders, self.tumour.region, planted)
        domain = leave_void(axes, shares)
        domain = replace(domain, levels={name: borders[name] for name in domain.shares if name in borders})
        if self.tumour is not None and self.tumour.region not in domain.shares:
            raise CaseError(
                f'anatomy.tumour: region "{self.tumour.region}" has no volume in the window; leave anatomy.centre out '
                "to put the window around it, or move or enlarge the window"
            )
        tissues = {**_SPLIT_TISSUES, **table.tissues}
        return Anatomy(
            domain=domain,
            tumour=self.tumour.region if self.tumour else None,
            materials={region: tissues.get(region, region) for region in domain.shares},
            background=_background(ct, axes),
            notes=(*notes, *volume_notes(domain)),
            sources=tuple((str(path), sha256(path)) for path in sources),
            absent=frozenset({*tissues, self.unlabelled}) - set(domain.shares),
        )

    def other_grid(self, domain: Domain) -> OtherGrid:
        """The grid of ``domain``, which this built, 1.5 to 2 times coarser."""
        assert isinstance(domain, VoxelDomain)
        return coarser(domain.axes, self.voxel_size, self.refine)

    def _window_centre(self, segmentation: Volume, mask: Volume | None, regions: Mapping[int, str]) -> Array:
        """Centre of the window, (3,) m."""
        if self.centre is not None:
            return np.array(self.centre)
        assert self.tumour is not None  # by _consistent
        if self.tumour.centre is not None:
            return np.array(self.tumour.centre)
        if mask is not None:
            holder, inside, place = mask, mask.values > 0, f'anatomy.tumour.mask = "{mask.path}": no voxel is above 0'
        else:
            wanted = [label for label, region in regions.items() if region == self.tumour.region]
            holder, inside = segmentation, np.isin(segmentation.values, wanted)
            place = (
                f'anatomy.tumour: no voxel of the segmentation is labelled "{self.tumour.region}"; '
                f"{_nearest(self.tumour.region, regions)}give a mask, or centre and radius of a lesion to plant"
            )
        if not inside.any():
            raise CaseError(place)
        middle = np.array([index.mean() for index in np.nonzero(inside)])
        centre: Array = holder.affine[:3, :3] @ middle + holder.affine[:3, 3]
        return centre

    def _resample(
        self, segmentation: Volume, ct: Volume | None, regions: Mapping[int, str], axes: Axes
    ) -> tuple[dict[str, Array], Mapping[str, Level], tuple[str, ...]]:
        """Shares by region (``"void"`` among them), their borders, and notes on volumes before and after."""
        lower, upper = (np.array([axis[end] for axis in axes]) for end in (0, -1))
        box = segmentation.box(lower, upper)
        part = segmentation.crop(box)
        if part.values.size == 0:
            raise CaseError("anatomy.centre: the window touches no voxel of the segmentation; move it")
        present = np.unique(part.values)
        unnamed = [int(label) for label in present if int(label) not in regions and label != 0]
        if unnamed:
            voxels = ", ".join(f"{label} ({np.count_nonzero(part.values == label)} voxels)" for label in unnamed)
            raise CaseError(
                f"anatomy.labels: the segmentation has labels without a name near the window: {voxels}; name each, "
                f"e.g. labels = {{..., muscle = {unnamed}}}"
            )
        labelled = [regions[int(label)] for label in present if int(label) in regions]
        names = list(dict.fromkeys([VOID, *labelled, *(_SPLIT_TISSUES if ct is not None else ()), self.unlabelled]))
        lookup = np.zeros(int(present.max()) + 1, dtype=np.uint16)
        lookup[[int(label) for label in present]] = [names.index(regions.get(int(label), VOID)) for label in present]
        codes = lookup[part.values.astype(np.int64)]
        doubts: tuple[str, ...] = ()
        if 0 not in regions:
            bare = part.values == 0
            split = None
            if ct is not None:
                split, known = self.hounsfield.split(segmentation, ct, box, self.unlabelled)
                doubts = _ct_doubts(ct, known[bare], self.unlabelled)
            for code, name in enumerate(names):
                codes[bare & (split == name if split is not None else name == self.unlabelled)] = code
        coded = Volume(codes, part.affine, part.path)
        original = volumes_in(coded, len(names), lower, upper)
        shares = label_shares(coded, len(names), axes, names.index(VOID))
        volumes = shares @ cell_volumes(axes)
        notes = [_how_unlabelled(self, ct, 0 in regions), *doubts]
        for name, before, after in zip(names, original, volumes, strict=True):
            some = before > _FEW_VOXELS * segmentation.voxel_volume
            if some and name != VOID and abs(after / before - 1) > VOLUME_TOLERANCE:
                notes.append(
                    f"{DOUBT}{name} changes from {before * 1e6:.4g} to {after * 1e6:.4g} ml by resampling "
                    f"({after / before - 1:+.0%}); it is about as thin as a voxel"
                )
        pairs = zip(names, original, volumes, strict=True)
        listed = ", ".join(f"{n} {b * 1e6:.4g} -> {a * 1e6:.4g}" for n, b, a in pairs if b > 0 or a > 0)
        notes.append(f"volumes in the window before -> after resampling, ml: {listed}")
        found = {name: share for name, share in zip(names, shares, strict=True) if share.any()}
        return found, {name: LabelBorder(coded, names.index(name)) for name in found}, tuple(notes)


def _whole_labels(volume: Volume) -> Volume:
    """The segmentation with integer labels. Raises ``CaseError`` for fractions, negative numbers or NaN."""
    values = volume.values
    if not np.issubdtype(values.dtype, np.integer):
        with np.errstate(invalid="ignore"):
            whole = np.isfinite(values) & (values == np.rint(values))
        if not whole.all():
            voxel = tuple(int(index) for index in np.argwhere(~whole)[0])
            raise CaseError(
                f'anatomy.segmentation = "{volume.path}": labels must be whole numbers; {np.count_nonzero(~whole)} of '
                f"{values.size} voxels hold others, the first is voxel {voxel} with {values[voxel]:g}; is this the CT? "
                "Else write the labels again as whole numbers"
            )
    if values.min() < 0 or values.max() > 65535:
        raise CaseError(
            f'anatomy.segmentation = "{volume.path}": labels from {values.min():g} to {values.max():g}; expected 0 to '
            "65535; is this the CT?"
        )
    whole_values = values if np.issubdtype(values.dtype, np.integer) else values.astype(np.int32)
    return Volume(whole_values, volume.affine, volume.path, volume.doubts)


_Corner = tuple[float, float, float]


def _clipped(image: Volume, centre: Array, size: _Corner) -> tuple[tuple[_Corner, _Corner], tuple[str, ...]]:
    """Lower corner and size of the window clipped to the image, with a note for each clipped side."""
    start, stop = image.extent()
    if ((centre < start) | (centre > stop)).any():
        raise CaseError(
            f"anatomy: the centre of the window, ({_mm(centre)}), lies outside the image, which reaches from "
            f"({_mm(start)}) to ({_mm(stop)}), patient RAS; check the sign of the coordinates (ITK and DICOM use LPS)"
        )
    wanted_lower, wanted_upper = centre - np.divide(size, 2), centre + np.divide(size, 2)
    lower, upper = np.maximum(wanted_lower, start), np.minimum(wanted_upper, stop)
    notes = [
        f"{DOUBT}window cut at {name}{sign}: the image ends {short * 1e3:.3g} mm before the wanted "
        f"{wanted * 1e3:.4g} mm"
        for sign, shorts, wants in (
            ("-", lower - wanted_lower, wanted_lower),
            ("+", wanted_upper - upper, wanted_upper),
        )
        for name, short, wanted in zip("xyz", shorts, wants, strict=True)
        if short > 1e-9
    ]
    (a, b, c), (p, q, r) = lower.tolist(), (upper - lower).tolist()
    return ((a, b, c), (p, q, r)), tuple(notes)


def _how_unlabelled(image: Image, ct: Volume | None, named: bool) -> str:
    if named:
        return "label 0 has a name in anatomy.labels and is taken as that region"
    if ct is None:
        return f"label 0 is taken as {image.unlabelled} everywhere: without a CT, air and fat are not told apart"
    limits = image.hounsfield
    return (
        f"label 0 split by CT number: air or gas < {limits.air_below:g} HU, fat < {limits.fat_below:g} HU, muscle, "
        f"bone >= {limits.bone_above:g} HU; gas inside the body has the tissue {_SPLIT_TISSUES[GAS]}"
    )


def _ct_doubts(ct: Volume, known: Mask, unlabelled: str) -> tuple[str, ...]:
    """What to say of a CT by which voxels without a label are split, of which some are ``known`` (b,) to it.

    Raises ``CaseError`` where it knows none.
    """
    doubts = []
    if known.size and not known.any():
        raise CaseError(
            f'anatomy.ct = "{ct.path}": it has no number for any voxel without a label near the window: it lies '
            "elsewhere, or holds NaN there; give the CT that the segmentation was made of"
        )
    if known.size and known.mean() < 1.0 - UNCOVERED:
        doubts.append(
            f'{DOUBT}anatomy.ct = "{ct.path}": {1.0 - known.mean():.0%} of the voxels without a label near the window '
            f"have no CT number (it does not reach there, or holds NaN) and are taken as {unlabelled}"
        )
    if float(np.fmin.reduce(ct.values, axis=None)) >= 0.0:
        doubts.append(
            f'{DOUBT}anatomy.ct = "{ct.path}": has no number below 0, as if they were not HU, in which fat and air '
            "are negative; check whether an offset (often 1024) is missing"
        )
    return tuple(doubts)


def _nearest(region: str, regions: Mapping[int, str]) -> str:
    near = difflib.get_close_matches(region, set(regions.values()) - {region}, n=1)
    return f"did you mean {near[0]}? Or " if near else ""


def _background(ct: Volume | None, axes: Axes) -> tuple[Array, Array] | None:
    if ct is None:
        return None
    part = ct.crop(ct.box(np.array([axis[0] for axis in axes]), np.array([axis[-1] for axis in axes])))
    return (part.values.astype(float), part.affine) if part.values.size else None


def _mm(point: Array) -> str:
    return ", ".join(f"{value * 1e3:.4g}" for value in point) + " mm"
