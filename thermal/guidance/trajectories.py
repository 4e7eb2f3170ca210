"""Straight ways from the skin to a tip that keep clear of bone, vessels, lung and bowel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thermal.anatomy import Anatomy, Image
from thermal.anatomy.data import resolve
from thermal.anatomy.labels import label_table
from thermal.anatomy.volume import Volume, read_volume, sample_at
from thermal.case import Case
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.imaging.grid import grid_over, onto
from thermal.units import Array
from thermal.zone import share_of

FORBIDDEN = ("bone", "bone_cancellous", "cartilage", "blood", "lung", "heart", "colon", "small_bowel", "stomach",
             "gallbladder", "spinal_cord", "esophagus")  # fmt: skip
"""Tissues of the library that a needle must not cross."""
AIR, BONE = -300.0, 200.0
"""HU that tell the body from air, and bone from the rest, where there is a CT."""
STATION = 1e-3
"""m, between the points of a way that are looked at."""


@dataclass(frozen=True)
class Way:
    """From a tip outward: unit ``direction`` (RAS), ``length`` m to the skin, ``clear`` m of what it must not touch."""

    direction: Array
    length: float
    clear: float


@dataclass(frozen=True)
class Ground:
    """What ways go through: ``distance`` (image, m) to what is forbidden, and ``body`` (image, one inside)."""

    distance: Volume
    body: Volume
    ends_at_skin: bool
    """the border of the image is no skin: what leaves the image there is no way; that of a window may be one"""

    def ways(self, tip: Array, directions: Array, depth: float, clearance: float) -> list[Way]:
        """Those of the ``directions`` (k, 3) from ``tip`` (3,) that reach the skin within ``depth`` and stay clear."""
        stations = np.arange(0.0, depth, STATION)
        at = tip[:, None, None] + directions.T[:, :, None] * stations
        seen = sample_at(self.body, at)
        inside = np.nan_to_num(seen) >= 0.5
        away = np.nan_to_num(sample_at(self.distance, at), nan=np.inf)
        found = []
        for way, within, distance, known in zip(directions, inside, away, np.isfinite(seen), strict=True):
            outside = np.flatnonzero(~within)
            if not len(outside) or not within[0]:
                continue
            end = int(outside[0])
            if self.ends_at_skin and not known[end]:
                continue
            clear = float(distance[:end].min())
            if clear >= clearance:
                found.append(Way(way, float(stations[end]), clear))
        return found


def sphere(count: int) -> Array:
    """Directions (k, 3) spread evenly (a Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    height = 1.0 - 2.0 * index / count
    turn = np.pi * (1.0 + np.sqrt(5.0)) * index
    around = np.sqrt(1.0 - height**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=1)


def ground_of(case: Case, anatomy: Anatomy, engine: Engine, avoid: Sequence[str]) -> Ground:
    """Of the whole image where the anatomy is one, else of its window. Raises ``CaseError`` for unknown regions."""
    spec = case.anatomy
    forbidden, body = (
        _of_image(case, spec, avoid) if isinstance(spec, Image) else _of_domain(case, anatomy, engine, avoid)
    )
    from scipy.ndimage import distance_transform_edt

    spacing = forbidden.spacing
    if forbidden.values.any():
        away = distance_transform_edt(~forbidden.values, sampling=spacing) - 0.5 * float(spacing.min())
    else:
        away = np.full(forbidden.values.shape, np.inf)
    return Ground(Volume(np.minimum(away, 1.0), forbidden.affine, forbidden.path), body, isinstance(spec, Image))


def _of_image(case: Case, spec: Image, avoid: Sequence[str]) -> tuple[Volume, Volume]:
    labels = read_volume(resolve(spec.segmentation, case.folder, "anatomy.segmentation"), "anatomy.segmentation")
    table = label_table(spec.labels)
    known = set(table.regions.values())
    if unknown := [name for name in avoid if name not in known]:
        raise CaseError(f"plan.avoid: {', '.join(unknown)}: no such region; the labels have {', '.join(sorted(known))}")
    wanted = [
        number
        for number, region in table.regions.items()
        if region in avoid or _is_forbidden(case, region, table.tissues.get(region, region))
    ]
    forbidden = np.isin(labels.values, wanted)
    inside = labels.values > 0
    if spec.ct is not None:
        ct = read_volume(resolve(spec.ct, case.folder, "anatomy.ct"), "anatomy.ct")
        index = np.indices(labels.values.shape).reshape(3, -1)
        places = labels.affine[:3, :3] @ index + labels.affine[:3, 3:]
        numbers = np.nan_to_num(sample_at(ct, places), nan=-1000.0).reshape(labels.values.shape)
        inside = inside | (numbers >= AIR)
        forbidden = forbidden | ((labels.values == 0) & (numbers >= BONE))
    return _image(labels, forbidden), _image(labels, inside.astype(np.float32))


def _is_forbidden(case: Case, region: str, named: str) -> bool:
    """Whether no needle may cross a region: for its tissue, or because blood keeps its temperature."""
    entry = case.tissues.get(region)
    return case.material_of(region, named) in FORBIDDEN or (entry is not None and entry.temperature is not None)


def _image(like: Volume, values: Array | np.ndarray) -> Volume:
    return Volume(values, like.affine, like.path)


def _of_domain(case: Case, anatomy: Anatomy, engine: Engine, avoid: Sequence[str]) -> tuple[Volume, Volume]:
    grid = grid_over(engine, None)
    way = onto(engine, anatomy.domain, grid)
    if unknown := [name for name in avoid if name not in engine.volumes]:
        raise CaseError(f"plan.avoid: {', '.join(unknown)}: no such region; it has {', '.join(sorted(engine.volumes))}")
    wanted = [r for r, named in anatomy.materials.items() if r in avoid or _is_forbidden(case, r, named)]
    taken = np.zeros(grid.shape)
    for region in wanted:
        taken += way.density(share_of(engine, region))
    body = way.density(np.where(engine.volume > 0.0, 1.0, 0.0))
    return grid.volume(taken >= 0.5), grid.volume(body.astype(np.float32))
