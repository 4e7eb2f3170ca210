"""Exports: read back with other programs' readers and compared with the analytic content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import meshio
import nibabel as nib
import numpy as np
import pytest
import pyvista as pv
from sample_run import CENTRE, HALF, TIMES, TUMOUR_RADIUS, ellipsoid_volume, grown_share, write_sample
from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
from vtkmodules.vtkIOHDF import vtkHDFReader

from thermal.errors import CaseError
from thermal.export import export_run
from thermal.store import read_run
from thermal.store.fields import Fields, KeptFrames, write_fields

AXES = (0.014, 0.011, 0.012)


def exact_temperature(points: np.ndarray, time: float) -> np.ndarray:
    r = np.linalg.norm((points - CENTRE) / AXES, axis=1)
    return 37.0 + 40.0 * (1.0 - np.exp(-time / 100.0)) * np.exp(-(r**2))


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_series_opens_with_its_times(tmp_path: Path, kind: str) -> None:
    path = export_run(write_sample(tmp_path / "run", kind=kind, zone_axes=AXES))
    assert path == tmp_path / "run" / "export" / "series.pvd"
    reader = pv.get_reader(str(path))
    assert reader.time_values == TIMES.tolist()
    for time in TIMES[[0, 2, 4]]:
        reader.set_active_time_value(time)
        mesh = reader.read()[0]
        # float32 of values near 77
        assert np.abs(mesh["temperature"] - exact_temperature(mesh.points, time)).max() < 1e-4
    assert {"concentration", "zone", "inside_zone"} <= set(mesh.point_data.keys())
    depth = 0.056 if kind == "voxel" else 2 * HALF  # four millimetres of air are no cells
    assert mesh.volume == pytest.approx((2 * HALF) ** 2 * depth, rel=1e-5)
    assert np.all(mesh.compute_cell_sizes()["Volume"] > 0.0)
    inside = mesh.point_data_to_cell_data()["inside_zone"] @ mesh.compute_cell_sizes()["Volume"]
    assert inside == pytest.approx(ellipsoid_volume(AXES), rel=0.03)
    assert mesh["tumour_share"] @ mesh.compute_cell_sizes()["Volume"] == pytest.approx(
        ellipsoid_volume((TUMOUR_RADIUS,) * 3), rel=0.02
    )


@pytest.mark.parametrize("format", ["pvd", "vtkhdf"])
def test_the_zone_is_exported_as_it_grows(tmp_path: Path, format: str) -> None:
    path = export_run(write_sample(tmp_path / "run", zone_axes=AXES, grows=True, cells=14), format)
    reader: Any = pv.get_reader(str(path)) if format == "pvd" else vtkHDFReader()
    if format == "vtkhdf":
        reader.SetFileName(str(path))
        reader.UpdateInformation()
    for time in TIMES:
        if format == "pvd":
            reader.set_active_time_value(time)
            mesh = reader.read()[0]
        else:
            reader.UpdateTimeStep(time)
            mesh = pv.wrap(reader.GetOutputDataObject(0))
        r = np.linalg.norm((np.asarray(mesh.points) - CENTRE) / AXES, axis=1)
        assert (
            np.abs(mesh["zone"] - (1.0 - r + grown_share(time))).max() < 2e-5
        )  # half of it is the sample's, whose zone is empty at first
        assert np.array_equal(mesh["inside_zone"] == 1, mesh["zone"] >= 1.0)


def test_the_zone_over_time_is_a_volume(tmp_path: Path) -> None:
    folder = export_run(write_sample(tmp_path / "run", zone_axes=AXES, grows=True), "nifti")
    image = nib.load(folder / "ablation_zone_over_time.nii")
    found = np.asarray(image.dataobj).sum(axis=(0, 1, 2)) * np.prod(image.header.get_zooms()[:3]) * 1e-9
    expected = [ellipsoid_volume(AXES) * grown_share(time) ** 3 for time in TIMES]
    assert found == pytest.approx(expected, abs=0.03 * expected[-1])  # voxels counted whole
    assert np.array_equal(
        np.asarray(image.dataobj)[..., -1], np.asarray(nib.load(folder / "ablation_zone.nii").dataobj)
    )


@pytest.mark.parametrize(("kind", "cell"), [("voxel", "hexahedron"), ("mesh", "tetra")])
def test_another_reader_agrees(tmp_path: Path, kind: str, cell: str) -> None:
    path = export_run(write_sample(tmp_path / "run", kind=kind, zone_axes=AXES, cells=12), out=tmp_path / "out")
    mesh = meshio.read(path.parent / "series_00003.vtu")
    assert list(mesh.cells_dict) == [cell]
    assert np.abs(mesh.point_data["temperature"] - exact_temperature(mesh.points, TIMES[3])).max() < 1e-4
    names = json.loads((path.parent / "regions.json").read_text())
    centres = mesh.points[mesh.cells_dict[cell]].mean(axis=1)
    region = np.array([names[str(index)] for index in mesh.cell_data_dict["region"][cell]])
    distance = np.linalg.norm(centres - CENTRE, axis=1)
    assert np.all(region[distance < TUMOUR_RADIUS - 0.004] == "tumour")
    assert not np.any(region[distance > TUMOUR_RADIUS + 0.004] == "tumour")


def test_hexahedra_are_not_tangled(tmp_path: Path) -> None:
    path = export_run(write_sample(tmp_path / "run", cells=12))
    mesh = meshio.read(path.parent / "series_00000.vtu")
    corners = mesh.points[mesh.cells_dict["hexahedron"]]
    for base, along in (
        (0, (1, 3, 4)),
        (6, (5, 7, 2)),
    ):  # edges at two opposite corners, by the VTK order of a hexahedron
        edges = corners[:, list(along)] - corners[:, [base]]
        lengths = np.linalg.norm(edges, axis=2)
        assert np.abs(np.linalg.det(edges)) == pytest.approx(lengths.prod(axis=1), rel=1e-6)


def test_exporting_again_leaves_no_stale_times(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", cells=8)
    export_run(folder)
    old = read_run(folder).fields
    frames = KeptFrames([old.frames.temperature(0)])
    fewer = Fields(old.domain, old.title, old.tumour, old.zone_field, old.zone_level, old.zone_law, old.static)
    write_fields(folder / "fields.h5", Fields(**{**fewer.__dict__, "times": np.array([5.0]), "frames": frames}))
    path = export_run(folder)
    assert sorted(p.name for p in path.parent.glob("*.vtu")) == ["series_00000.vtu"]
    assert pv.get_reader(str(path)).time_values == [5.0]


def test_a_run_without_series_still_exports_its_static_fields(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", cells=8)
    old = read_run(folder).fields
    bare = Fields(old.domain, old.title, old.tumour, old.zone_field, old.zone_level, old.zone_law, old.static)
    write_fields(folder / "fields.h5", bare)
    mesh = pv.get_reader(str(export_run(folder))).read()[0]
    assert "zone" in mesh.point_data
    assert "temperature" not in mesh.point_data


def test_unknown_formats_and_folders_are_refused(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", cells=8)
    with pytest.raises(CaseError, match=r'"xdmf".*nifti, pvd, stl, vtkhdf'):
        export_run(folder, "xdmf")
    with pytest.raises(CaseError, match="no such run folder"):
        export_run(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_nifti_lies_where_the_patient_does(tmp_path: Path, kind: str) -> None:
    folder = export_run(write_sample(tmp_path / "run", kind=kind, zone_axes=AXES), "nifti", tmp_path / "nii")
    zone = nib.load(folder / "ablation_zone.nii")
    assert nib.aff2axcodes(zone.affine) == ("R", "A", "S")
    inside = np.argwhere(np.asarray(zone.dataobj) == 1)
    middle = nib.affines.apply_affine(zone.affine, inside).mean(axis=0)
    assert middle == pytest.approx(CENTRE * 1e3, abs=0.3)
    voxel = abs(np.linalg.det(zone.affine[:3, :3])) / 1e9
    assert len(inside) * voxel == pytest.approx(ellipsoid_volume(AXES), rel=0.05)
    temperature = nib.load(folder / "temperature.nii")
    assert temperature.shape == (*zone.shape, len(TIMES))
    hottest = np.unravel_index(np.argmax(temperature.dataobj[..., -1]), zone.shape)
    assert nib.affines.apply_affine(zone.affine, hottest) == pytest.approx(CENTRE * 1e3, abs=2.0)
    assert json.loads((folder / "times.json").read_text())["times"] == TIMES.tolist()


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_surfaces_are_closed_and_hold_their_volumes(tmp_path: Path, kind: str) -> None:
    run = write_sample(tmp_path / "run", kind=kind)
    folder = export_run(run, "stl")
    zone = pv.read(folder / "ablation_zone.stl")
    assert zone.is_manifold
    assert zone.volume == pytest.approx(ellipsoid_volume((14.0, 11.0, 12.0)), rel=0.02)
    np.testing.assert_allclose(np.reshape(zone.bounds, (3, 2)).mean(axis=1), 1e3 * CENTRE, atol=0.5)
    tumour = pv.read(folder / "tumour.stl")
    assert tumour.volume == pytest.approx(4 / 3 * np.pi * (1e3 * TUMOUR_RADIUS) ** 3, rel=0.1)  # stairs, smoothed
    assert not list(tmp_path.rglob(".*unfinished*"))


def test_a_table_of_the_nodes(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run")
    path = export_run(folder, "csv")
    run = read_run(folder)
    head = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert head[:3] == ["x (mm)", "y (mm)", "z (mm)"]
    name, field = next(iter(run.static.items()))
    assert head[3] == (f"{name} ({field.unit})" if field.unit else name)
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    assert table.shape[1] == 3 + len(run.static)
    x, y, z = (1e3 * axis for axis in run.domain.axes)
    shape = (len(x), len(y), len(z))
    place = np.unravel_index(np.argmax(field.values), shape)
    row = table[np.argmax(table[:, 3])]
    assert row[3] == pytest.approx(field.values.max(), rel=1e-8)
    assert field.values.reshape(shape)[place] == field.values.max()
    near = np.array([axis[i] for axis, i in zip((x, y, z), place, strict=True)])
    at = np.flatnonzero((np.abs(table[:, :3] - near) < 1e-6).all(axis=1))
    assert table[at, 3] == pytest.approx(field.values.max(), rel=1e-8)


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_one_file_with_all_times(tmp_path: Path, kind: str) -> None:
    path = export_run(write_sample(tmp_path / "run", kind=kind, zone_axes=AXES, cells=14), "vtkhdf")
    assert path == tmp_path / "run" / "export" / "series.vtkhdf"
    reader = vtkHDFReader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    assert reader.GetOutputInformation(0).Get(vtkStreamingDemandDrivenPipeline.TIME_STEPS()) == tuple(TIMES)
    for time in TIMES[[0, 2, 4]]:
        reader.UpdateTimeStep(time)
        mesh = pv.wrap(reader.GetOutputDataObject(0))
        assert np.abs(mesh["temperature"] - exact_temperature(np.asarray(mesh.points), time)).max() < 1e-4
    assert {"concentration", "zone", "inside_zone"} <= set(mesh.point_data.keys())
    assert mesh.n_cells == pv.read(export_run(tmp_path / "run").parent / "series_00000.vtu").n_cells


def test_the_file_of_all_times_is_plain_hdf(tmp_path: Path) -> None:
    """With h5py, by the published layout: the mesh stands there once, the temperature at each time."""
    path = export_run(write_sample(tmp_path / "run", zone_axes=AXES, cells=10), "vtkhdf")
    with h5py.File(path) as file:
        root = file["VTKHDF"]
        assert root.attrs["Type"] == b"UnstructuredGrid"
        steps = root["Steps"]
        assert np.asarray(steps["Values"]).tolist() == TIMES.tolist()
        count = int(root["NumberOfPoints"][0])
        assert len(root["Points"]) == count
        assert len(root["PointData/zone"]) == count
        starts = np.asarray(steps["PointDataOffsets/temperature"])
        for start, time in zip(starts, TIMES, strict=True):
            values = root["PointData/temperature"][start : start + count]
            assert np.abs(values - exact_temperature(np.asarray(root["Points"]), time)).max() < 1e-4


def test_another_program_reads_the_surfaces(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    folder = export_run(write_sample(tmp_path / "run"), "stl")
    zone = trimesh.load_mesh(folder / "ablation_zone.stl")
    assert zone.is_watertight
    assert zone.volume == pytest.approx(ellipsoid_volume((14.0, 11.0, 12.0)), rel=0.02)
    assert zone.center_mass == pytest.approx(1e3 * CENTRE, abs=0.3)
