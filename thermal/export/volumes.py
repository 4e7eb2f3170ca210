"""Fields on an even grid, as NIfTI for image viewers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thermal.domain import AxisymmetricDomain, VoxelDomain
from thermal.export.names import file_name
from thermal.store import Run
from thermal.store.files import atomic, write_text
from thermal.units import Array
from thermal.view.cells import MM, box, cellwise, nodal, region_index
from thermal.view.grids import grid, sample
from thermal.view.treated import zone_values

_MOST_VOXELS = 16_000_000  # of an exported volume; finer grids are thinned to this


def write_nifti(run: Run, folder: Path) -> Path:
    """Write volumes on an even grid of the finest voxel size: one NIfTI file a static field, and ``temperature`` (4-D).

    Also ``ablation_zone`` (1 inside), ``ablation_zone_over_time`` (4-D) where it was kept, ``tumour`` (share of the
    voxel) and ``times.json`` (s). Outside the body is 0. The affine is in mm, RAS. Grids of more than 16 million voxels
    are thinned.
    """
    import nibabel as nib

    image, valid = _even_grid(run)
    shape = image.dimensions
    affine = np.diag([*image.spacing, 1.0])
    affine[:3, 3] = image.origin
    source = grid(run.domain)

    def save(name: str, values: npt.NDArray[Any], kind: type = np.float32) -> None:
        volume = nib.Nifti1Image(values.astype(kind), affine)
        volume.header.set_xyzt_units("mm", "sec")
        volume.set_sform(affine, code=1)
        volume.set_qform(affine, code=1)
        with atomic(folder / f"{file_name(name)}.nii") as scratch:
            nib.save(volume, scratch)

    def volume_of(values: Mapping[str, Array], cells: Mapping[str, Array]) -> dict[str, Array]:
        source.clear_data()
        for name, nodes in values.items():
            source.point_data[name] = nodal(run.domain, nodes)
        for name, share in cells.items():
            source.cell_data[name] = cellwise(run.domain, share)
        sampled = sample(run.domain, source, image.points)
        return {
            name: np.where(valid, np.asarray(sampled.point_data[name], dtype=float), 0.0).reshape(shape, order="F")
            for name in (*values, *cells)
        }

    def inside_of(above: Array) -> npt.NDArray[np.bool_]:
        inside = volume_of({"u": above}, {})["u"] >= 0.0
        return np.asarray(np.where(valid.reshape(shape, order="F"), inside, False))

    for name, field in run.static.items():
        save(name, volume_of({name: np.asarray(field.values, dtype=float)}, {})[name])
    zone = zone_values(run)
    if zone is not None:
        save("ablation_zone", inside_of(zone[0] - zone[1]), np.uint8)
    if run.tumour in run.domain.shares:
        save("tumour", volume_of({}, {"t": np.asarray(run.domain.shares[run.tumour], dtype=float)})["t"])
    if len(run.times):
        frames = [volume_of({"t": run.temperature(i)}, {})["t"].astype(np.float32) for i in range(len(run.times))]
        save("temperature", np.stack(frames, axis=-1))
        if zone is not None and run.fields.frames.grows:
            measures = [(run.zone(i), zone[1]) for i in range(len(run.times))]
            grown = [inside_of(m - level) for m, level in measures if m is not None]
            save("ablation_zone_over_time", np.stack(grown, axis=-1), np.uint8)
        write_text(folder / "times.json", json.dumps({"unit": "s", "times": run.times.tolist()}) + "\n")
    return folder


def _even_grid(run: Run) -> tuple[Any, npt.NDArray[np.bool_]]:
    """Voxel centres as the points of an even grid in mm, and which of them lie in the body (Fortran order)."""
    import pyvista as pv

    source = grid(run.domain)
    bounds = box(run.domain)
    size = np.ptp(bounds, axis=1)
    if isinstance(run.domain, VoxelDomain):
        spacing = min(float(np.diff(axis).min()) for axis in run.domain.axes) * MM
    elif isinstance(run.domain, AxisymmetricDomain):  # one pixel of the half-plane a node on average
        spacing = float(np.sqrt(0.5 * size[0] * size[2] / len(run.domain.points)))
    else:  # one voxel a node on average
        spacing = float((np.prod(size) / len(run.domain.points)) ** (1.0 / 3.0))
    spacing = max(spacing, float((np.prod(size) / _MOST_VOXELS) ** (1.0 / 3.0)))
    counts = np.maximum(np.rint(size / spacing).astype(int), 1)
    steps = size / counts
    image = pv.ImageData(
        dimensions=tuple(counts.tolist()), spacing=tuple(steps), origin=tuple(bounds[:, 0] + 0.5 * steps)
    )
    _, region = region_index(run.domain)
    source.cell_data["region"] = cellwise(run.domain, region).astype(float)
    sampled = sample(run.domain, source, image.points)
    inside = np.asarray(sampled["vtkValidPointMask"]).astype(bool) & (np.asarray(sampled["region"]) >= 0.0)
    return image, inside
