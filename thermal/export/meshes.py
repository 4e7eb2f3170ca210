"""The body's cells with their fields over time, for ParaView: PVD with VTU files, or one VTKHDF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import h5py
import numpy as np
import numpy.typing as npt
import pyvista as pv
from vtkmodules.vtkIOHDF import vtkHDFWriter
from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

from thermal.domain import VoxelDomain
from thermal.store import Run
from thermal.store.files import atomic, write_text
from thermal.units import Array
from thermal.view.cells import MM, body_nodes, cellwise, nodal, region_index
from thermal.view.grids import grid
from thermal.view.treated import zone_values


def write_pvd(run: Run, folder: Path) -> Path:
    """Write ``series.pvd`` and one VTU a saved time into ``folder``.

    Every VTU has the mesh (m; hexahedra of the body for voxels); ``temperature`` (degC), what the zone is measured by
    and ``inside_zone`` (1 inside the ablation zone) at its time; all static fields, ``region`` (the one with most of
    the cell; the numbers stand in ``regions.json``) and the tumour's share of each cell. Units stand in
    ``fields.json``. The PVD file is written last, so it never names a file that is not whole.
    """
    mesh, points = _body_mesh(run)
    for stale in (folder / "series.pvd", *folder.glob("series_*.vtu")):  # of an earlier export
        stale.unlink(missing_ok=True)
    times = run.times if len(run.times) else np.array([0.0])
    names = []
    for index in range(len(times)):
        for name, values in (_moment(run, index) if len(run.times) else {}).items():
            mesh.point_data[name] = nodal(run.domain, values)[points]
        names.append(f"series_{index:05d}.vtu")
        _write_vtu(mesh, folder / names[-1])
    _write_words(run, folder)
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


def write_vtkhdf(run: Run, folder: Path) -> Path:
    """Write ``series.vtkhdf``: the mesh and fields of :func:`write_pvd` once, temperature and zone at all times."""
    mesh, points = _body_mesh(run)
    target = folder / "series.vtkhdf"
    with atomic(target) as scratch:
        writer = vtkHDFWriter()
        writer.SetFileName(str(scratch))
        writer.SetCompressionLevel(1)
        writer.SetInputData(mesh)
        if writer.Write() != 1 or not scratch.exists():
            raise OSError(f"{target}: could not be written; is the disk full?")
        if len(run.times):
            _add_steps(run, scratch, points)
    _write_words(run, folder)
    return target


def _add_steps(run: Run, path: Path, points: npt.NDArray[np.int64]) -> None:
    """What changes over time, by the layout of temporal data of VTKHDF: mesh and other fields are those of step 0.

    VTK's own writer would repeat every field at every time.
    """
    steps, count = len(run.times), len(points)
    with h5py.File(path, "r+") as file:
        root = file["VTKHDF"]
        data, changing = root["PointData"], set()
        for index in range(steps):
            for name, values in _moment(run, index).items():
                if name not in changing:
                    data.pop(name, None)
                    shape, chunks = (steps * count,), (max(count, 1),)
                    data.create_dataset(
                        name, shape, values.dtype, chunks=chunks, compression="gzip", compression_opts=1
                    )
                    changing.add(name)
                data[name][index * count : (index + 1) * count] = nodal(run.domain, values)[points]
        group = root.create_group("Steps")
        group.attrs["NSteps"] = steps
        group["Values"] = run.times
        group["NumberOfParts"] = np.ones(steps, dtype=np.int64)
        for name in ("PartOffsets", "PointOffsets", "CellOffsets", "ConnectivityIdOffsets"):
            group[name] = np.zeros(steps, dtype=np.int64)
        for kind in ("PointData", "CellData"):
            for name in root.get(kind, ()):
                group[f"{kind}Offsets/{name}"] = np.arange(steps) * (
                    count if kind == "PointData" and name in changing else 0
                )


def _moment(run: Run, index: int) -> dict[str, npt.NDArray[Any]]:
    """Nodal fields (n,) at a saved time."""
    found: dict[str, npt.NDArray[Any]] = {"temperature": run.temperature(index).astype(np.float32)}
    measure = run.zone(index)
    if measure is not None:
        found[run.zone_field] = measure.astype(np.float32)
        found["inside_zone"] = _inside(run, measure)
    return found


def _inside(run: Run, measure: Array) -> npt.NDArray[Any]:
    """(n,) 1 at nodes inside the zone, else 0."""
    return np.where(body_nodes(run.domain), measure >= run.zone_level, 0.0).astype(np.uint8)


def _write_words(run: Run, folder: Path) -> None:
    """Units of the fields and names of the regions, which the formats have no place for."""
    units = {"temperature": "degC", **{name: field.unit for name, field in run.static.items()}}
    write_text(folder / "fields.json", json.dumps({"units": units, "coordinates": "patient RAS, m"}, indent=2) + "\n")
    regions = {str(index): name for index, name in enumerate(run.domain.shares)}
    write_text(folder / "regions.json", json.dumps(regions, indent=2) + "\n")


def _body_mesh(run: Run) -> tuple[Any, npt.NDArray[np.int64]]:
    """The cells of the body as an unstructured grid in m with all that does not change, and its points in the grid."""
    mesh = grid(run.domain)
    for name, field in run.static.items():
        mesh.point_data[name] = nodal(run.domain, np.asarray(field.values)).astype(np.float32)
    inside = zone_values(run)
    if inside is not None:
        mesh.point_data["inside_zone"] = nodal(run.domain, _inside(run, inside[0]))
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
    with atomic(path) as scratch:
        writer = vtkXMLUnstructuredGridWriter()
        writer.SetFileName(str(scratch))
        writer.SetInputData(mesh)
        writer.SetDataModeToAppended()
        writer.SetCompressorTypeToZLib()
        writer.SetCompressionLevel(1)
        if writer.Write() != 1:
            raise OSError(f"{path}: could not be written; is the disk full?")
