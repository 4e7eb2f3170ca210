"""Run folders for other programs: PVD + VTU for ParaView, NIfTI for image viewers, STL surfaces, CSV tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from thermal.domain import AxisymmetricDomain, VoxelDomain
from thermal.errors import CaseError
from thermal.store import Run, read_run
from thermal.store.files import atomic, write_text
from thermal.units import Array
from thermal.view.cells import MM, body_nodes, box, cellwise, nodal, node_places, region_index
from thermal.view.grids import grid, sample
from thermal.view.surfaces import region_surface
from thermal.view.treated import zone_surface, zone_values

_MOST_VOXELS = 16_000_000  # of an exported volume; finer grids are thinned to this


def export_run(folder: Path | str, format: str = "pvd", out: Path | str | None = None) -> Path:
    """Write the fields of a finished run for other programs and return the file to open.

    ``format``: ``"pvd"`` (one VTU a saved time, coordinates in m, opened through ``series.pvd``) or ``"nifti"``
    (volumes in patient RAS millimetres; the folder is returned), ``"stl"`` (surfaces of zone and regions, likewise) or
    ``"csv"`` (a table of the nodes). ``out``: where to, by default ``FOLDER/export``.
    Raises ``CaseError`` for an unknown format and for a folder that is not a finished run.
    """
    if format not in FORMATS:
        raise CaseError(f'export: format "{format}" is not known; it is one of {", ".join(sorted(FORMATS))}')
    run = read_run(folder)
    target = Path(out) if out is not None else run.folder / "export"
    target.mkdir(parents=True, exist_ok=True)
    return FORMATS[format](run, target)


def write_pvd(run: Run, folder: Path) -> Path:
    """Write ``series.pvd`` and one VTU a saved time into ``folder``.

    Every VTU has the mesh (m; hexahedra of the body for voxels), ``temperature`` (degC) at its time, ``inside_zone``
    (1 inside the ablation zone), all static fields, ``region`` (the one with most of the cell; the numbers stand in
    ``regions.json``) and the tumour's share of each cell. Units stand in ``fields.json``. The PVD file is written last,
    so it never names a file that is not whole.
    """
    mesh, points = _body_mesh(run)
    for stale in (folder / "series.pvd", *folder.glob("series_*.vtu")):  # of an earlier export
        stale.unlink(missing_ok=True)
    times = run.times if len(run.times) else np.array([0.0])
    names = []
    for index in range(len(times)):
        if len(run.times):
            temperature = nodal(run.domain, run.temperature(index))[points]
            mesh.point_data["temperature"] = temperature.astype(np.float32)
        names.append(f"series_{index:05d}.vtu")
        _write_vtu(mesh, folder / names[-1])
    units = {"temperature": "degC", **{name: field.unit for name, field in run.static.items()}}
    write_text(folder / "fields.json", json.dumps({"units": units, "coordinates": "patient RAS, m"}, indent=2) + "\n")
    regions = {str(index): name for index, name in enumerate(run.domain.shares)}
    write_text(folder / "regions.json", json.dumps(regions, indent=2) + "\n")
    entries = [
        f'    <DataSet timestep="{float(time)!r}" group="" part="0" file={quoteattr(name)}/>'
        for time, name in zip(times, names, strict=True)
    ]
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">',
        "  <Collection>",
        *entries,
        "  </Collection>",
        "</VTKFile>",
    ]
    write_text(folder / "series.pvd", "\n".join(lines) + "\n")
    return folder / "series.pvd"


def _body_mesh(run: Run) -> tuple[Any, npt.NDArray[np.int64]]:
    """The cells of the body as an unstructured grid in m with all that does not change, and its points in the grid."""
    import pyvista as pv

    mesh = grid(run.domain)
    for name, field in run.static.items():
        mesh.point_data[name] = nodal(run.domain, np.asarray(field.values)).astype(np.float32)
    inside = zone_values(run)
    if inside is not None:
        values, level = inside
        zone = np.where(body_nodes(run.domain), values >= level, 0.0)
        mesh.point_data["inside_zone"] = nodal(run.domain, zone).astype(np.uint8)
    names, region = region_index(run.domain)
    mesh.cell_data["region"] = cellwise(run.domain, region)
    if run.tumour in names:
        share = np.asarray(run.domain.shares[run.tumour])
        mesh.cell_data["tumour_share"] = cellwise(run.domain, share).astype(np.float32)
    if not isinstance(run.domain, VoxelDomain):
        mesh.points = mesh.points / MM
        return mesh, np.arange(mesh.n_points)
    voxels = mesh.cast_to_unstructured_grid()
    body = voxels.extract_cells(np.flatnonzero(cellwise(run.domain, run.domain.solid)), pass_point_ids=True)
    points = np.asarray(body.point_data["vtkOriginalPointIds"])
    cells = np.asarray(body.cells).reshape(-1, 9)
    if len(cells) and body.celltypes[0] == pv.CellType.VOXEL:  # corner order of a hexahedron, which all readers know
        cells = cells[:, [0, 1, 2, 4, 3, 5, 6, 8, 7]]
    exact = np.asarray(voxels.points, dtype=float)[points] / MM
    clean = pv.UnstructuredGrid(cells.ravel(), np.full(len(cells), pv.CellType.HEXAHEDRON), exact)
    for source, copy in ((body.point_data, clean.point_data), (body.cell_data, clean.cell_data)):
        for name in source:
            if name not in ("vtkOriginalPointIds", "vtkOriginalCellIds"):
                copy[name] = source[name]
    return clean, points


def _write_vtu(mesh: Any, path: Path) -> None:
    """Appended binary, compressed; readable by ParaView, pyvista and meshio."""
    from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

    with atomic(path) as scratch:
        writer = vtkXMLUnstructuredGridWriter()
        writer.SetFileName(str(scratch))
        writer.SetInputData(mesh)
        writer.SetDataModeToAppended()
        writer.SetCompressorTypeToZLib()
        writer.SetCompressionLevel(1)
        if writer.Write() != 1:
            raise OSError(f"{path}: could not be written; is the disk full?")


def write_nifti(run: Run, folder: Path) -> Path:
    """Write volumes on an even grid of the finest voxel size: one NIfTI file a static field, and ``temperature`` (4-D).

    Also ``ablation_zone`` (1 inside), ``tumour`` (share of the voxel) and ``times.json`` (s). Outside the body is 0.
    The affine is in mm, RAS. Grids of more than 16 million voxels are thinned.
    """
    import nibabel as nib

    image, valid = _even_grid(run)
    shape = image.dimensions
    affine = np.diag([*image.spacing, 1.0])
    affine[:3, 3] = image.origin
    source = grid(run.domain)

    def save(name: str, values: Array, kind: type = np.float32) -> None:
        volume = nib.Nifti1Image(values.astype(kind), affine)
        volume.header.set_xyzt_units("mm", "sec")
        volume.set_sform(affine, code=1)
        volume.set_qform(affine, code=1)
        with atomic(folder / f"{_file_name(name)}.nii") as scratch:
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

    for name, field in run.static.items():
        save(name, volume_of({name: np.asarray(field.values, dtype=float)}, {})[name])
    zone = zone_values(run)
    if zone is not None:
        values, level = zone
        inside = volume_of({"u": values - level}, {})["u"] >= 0.0
        save("ablation_zone", np.where(valid.reshape(shape, order="F"), inside, False), np.uint8)
    if run.tumour in run.domain.shares:
        save("tumour", volume_of({}, {"t": np.asarray(run.domain.shares[run.tumour], dtype=float)})["t"])
    if len(run.times):
        frames = [volume_of({"t": run.temperature(i)}, {})["t"].astype(np.float32) for i in range(len(run.times))]
        save("temperature", np.stack(frames, axis=-1))
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


def write_stl(run: Run, folder: Path) -> Path:
    """Write closed surfaces in patient RAS millimetres: ``ablation_zone.stl`` and a file a region.

    Regions without a surface (of no volume) are left out, and so is a zone in which nothing was destroyed.
    """
    surfaces = {"ablation_zone": zone_surface(run)}
    surfaces |= {name: region_surface(run.domain, np.asarray(share)) for name, share in run.domain.shares.items()}
    for name, surface in surfaces.items():
        path = folder / f"{_file_name(name)}.stl"
        path.unlink(missing_ok=True)
        if surface.n_cells:
            with atomic(path) as scratch:
                surface.triangulate().compute_normals(cell_normals=True, point_normals=False).save(scratch)
    return folder


def write_csv(run: Run, folder: Path) -> Path:
    """Write ``fields.csv``: a row a node of the body with its place (mm, RAS) and every static field."""
    body = np.flatnonzero(body_nodes(run.domain))
    columns = [f"{axis} (mm)" for axis in "xyz"]
    columns += [f"{name} ({field.unit})" if field.unit else name for name, field in run.static.items()]
    values = np.column_stack(
        [node_places(run.domain)[body], *(np.asarray(f.values)[body] for f in run.static.values())]
    )
    with atomic(folder / "fields.csv") as scratch:
        np.savetxt(scratch, values, fmt="%.9g", delimiter=",", header=",".join(columns), comments="")
    return folder / "fields.csv"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)


FORMATS: Mapping[str, Callable[[Run, Path], Path]] = {
    "pvd": write_pvd,
    "nifti": write_nifti,
    "stl": write_stl,
    "csv": write_csv,
}
"""Name in ``thermal export --format`` -> writer."""
