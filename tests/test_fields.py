"""Fields of coils off their axis, pairs and solenoids, and fields from files; heat that follows the temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import pyvista
from scenes import MM, at, cube, scene
from scipy.integrate import quad
from scipy.special import ellipe, ellipk

from thermal.anatomy.vectors import reader
from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.heating.coils import Coil
from thermal.physics.heating.magnetic import Magnetic
from thermal.physics.particles import IronOxide, Measured, Particle, carrier
from thermal.physics.scene import Payload, Scene
from thermal.simulation import check, prepare, simulate
from thermal.store.folder import input_hashes
from thermal.units import Array, Si

RADIUS, CURRENT = 0.05, 100.0


def loop_field(r: float, z: float, radius: float = RADIUS, current: float = CURRENT) -> tuple[float, float]:
    """H_r, H_z in A/m of a loop in the plane z = 0, by elliptic integrals (W. R. Smythe, Static and Dynamic
    Electricity)."""
    outer = (radius + r) ** 2 + z**2
    inner = (radius - r) ** 2 + z**2
    m = 4.0 * radius * r / outer
    k, e = ellipk(m), ellipe(m)
    common = current / (2.0 * np.pi * np.sqrt(outer))
    along = common * (k + (radius**2 - r**2 - z**2) / inner * e)
    across = common * z / r * (-k + (radius**2 + r**2 + z**2) / inner * e)
    return float(across), float(along)


def coil(**changes: Any) -> Coil:
    table = {"centre": ["0 m", "0 m", "0 m"], "axis": [0, 0, 1], "radius": "50 mm", "current": "100 A"}
    return Coil.model_validate({**table, **changes})


@pytest.mark.parametrize(("r", "z"), [(10, 5), (30, -20), (49, 3), (60, 0.1), (80, 40), (200, -90)])
def test_loop_off_its_axis(r: float, z: float) -> None:
    angle = 0.7
    point = np.array([r * np.cos(angle), r * np.sin(angle), z]) * MM
    across, along = loop_field(r * MM, z * MM)
    exact = [across * np.cos(angle), across * np.sin(angle), along]
    np.testing.assert_allclose(coil().field(point[None])[0], exact, rtol=1e-9, atol=1e-9 * abs(along))


@pytest.mark.parametrize(("r", "z"), [(0.001, 0), (10, 20), (20, 24), (40, 10), (30, 60)])
def test_solenoid_off_its_axis(r: float, z: float) -> None:
    """The current sheet as an integral of loops: 25 mm radius, 50 mm long, 5 turns of 200 A."""
    solenoid = coil(radius="25 mm", length="50 mm", turns=5, current="200 A")
    sheet = 5 * 200.0 / 0.05
    breaks = [z * MM] if abs(z) < 25 else None

    def part(which: int) -> float:
        found = quad(
            lambda s: loop_field(r * MM, z * MM - s, 0.025, sheet)[which], -0.025, 0.025, points=breaks, limit=200
        )
        return float(found[0])

    exact = [part(0), part(1)]
    found = solenoid.field(np.array([[r, 0, z]]) * MM)[0]
    np.testing.assert_allclose(found[[0, 2]], exact, rtol=1e-6, atol=1e-6 * abs(exact[1]))


def magnetic(**changes: Any) -> Magnetic:
    return Magnetic.model_validate({"kind": "magnetic", "frequency": "100 kHz", **changes})


def test_shorthands_are_the_coils_that_they_stand_for() -> None:
    shared = {"centre": ["1 mm", "2 mm", "3 mm"], "axis": [0, 1, 1], "radius": "0.1 m", "turns": 3, "current": "10 A"}
    points = np.random.default_rng(1).uniform(-0.03, 0.03, (20, 3))
    half = float(0.05 / np.sqrt(2.0))
    two = [{**shared, "centre": ["1 mm", f"{2e-3 + s * half!r} m", f"{3e-3 + s * half!r} m"]} for s in (-1.0, 1.0)]
    np.testing.assert_allclose(
        magnetic(helmholtz=shared).field_amplitude(points), magnetic(coils=two).field_amplitude(points), rtol=1e-12
    )
    long = {**shared, "length": "80 mm"}
    np.testing.assert_allclose(
        magnetic(solenoid=[long]).field_amplitude(points), magnetic(coils=[long]).field_amplitude(points), rtol=1e-12
    )
    # the pair's field is even to the fourth power of the distance
    pair = magnetic(helmholtz={**shared, "centre": ["0 m", "0 m", "0 m"]})
    near = pair.field_amplitude(np.array([[0, 0, 0], [0, 3e-3, 3e-3], [5e-3, 0, 0]]))
    np.testing.assert_allclose(near, near[0], rtol=1.2 * 144 / 125 * (5e-3 / 0.1) ** 4)
    with pytest.raises(ValueError, match="no direction"):
        magnetic(helmholtz={**shared, "axis": [0, 0, 0]})
    with pytest.raises(ValueError, match="field_map"):
        magnetic(amplitude="1 kA/m", solenoid=long)


# ------------------------------------------------------------------------------------------------ maps


def linear(points: Array) -> Array:
    """A field that linear interpolation has exactly, A/m."""
    x, y, z = points.T
    return np.stack([1e3 + 2e4 * x, 500.0 - 1e4 * z + 3e4 * y, 8e3 + 1e4 * x - 4e4 * y], axis=1)


AXES = [np.linspace(-12e-3, 12e-3, 5), np.array([-12e-3, -3e-3, 1e-3, 12e-3]), np.linspace(-13e-3, 14e-3, 4)]
GRID = np.stack(np.meshgrid(*AXES, indexing="ij"), -1)


def write(path: Path, unit: float = 1.0) -> None:
    """The linear field in a file of the kind that the name says; ``unit`` A/m."""
    values = linear(GRID.reshape(-1, 3)) / unit
    match path.suffix:
        case ".csv":
            rows = np.random.default_rng(0).permutation(np.hstack([GRID.reshape(-1, 3) * 1e3, values]))
            text = "\n".join(",".join(f"{value:.12g}" for value in row) for row in rows)
            path.write_text(f"# from a coil program\nx,y,z,Hx,Hy,Hz\n{text}\n")
        case ".nii" | ".gz":
            even = np.stack(np.meshgrid(*[np.linspace(-12e-3, 12e-3, 7)] * 3, indexing="ij"), -1)
            affine = np.diag([-4.0, 4.0, 4.0, 1.0])  # x runs against the patient's axis, as images often have it
            affine[:3, 3] = 12.0, -12.0, -12.0
            data = linear((even * [-1, 1, 1]).reshape(-1, 3)).reshape(7, 7, 7, 3) / unit
            image = nibabel.Nifti1Image(data, affine)
            image.header.set_xyzt_units("mm")
            nibabel.save(image, path)
        case _:
            grid: Any = pyvista.RectilinearGrid(*(axis * 1e3 for axis in AXES))
            grid = grid.cast_to_unstructured_grid() if path.suffix == ".vtu" else grid
            grid.point_data["field"] = linear(np.asarray(grid.points) * 1e-3) / unit
            grid.point_data["current"] = linear(np.asarray(grid.points) * 1e-3)
            grid.save(path)


@pytest.mark.parametrize("name", ["map.csv", "map.nii.gz", "map.vtu", "map.vtr", "map.vtk"])
def test_maps_of_every_kind(tmp_path: Path, name: str) -> None:
    """Interpolation of a linear field is exact (VTK's readers give single precision for places)."""
    unit, factor = ("kA/m", 1e3) if name.endswith("csv") else ("A/m", 1.0)
    write(tmp_path / name, factor)
    spec = magnetic(
        field_map={"file": name, "unit": unit, "length_unit": "mm", "scale": 1.5}
        | ({"array": "field"} if ".v" in name else {})
    )
    engine = cube(10 * MM, 2 * MM)
    ones = np.ones(engine.volume.shape)
    bare = scene(engine, payload=Payload(ones, specific_absorption_rate=lambda h, f, t: h))
    read = Scene(**{**vars(bare), "read_vectors": reader(tmp_path)})
    source = spec.prepare(read)
    field, _ = source.fields["field_amplitude"]
    np.testing.assert_allclose(field, 1.5 * np.linalg.norm(linear(engine.points), axis=1), rtol=1e-5)
    wide = cube(20 * MM, 4 * MM)
    outside = scene(wide, payload=Payload(np.ones(wide.volume.shape), specific_absorption_rate=lambda h, f, t: h))
    with pytest.raises(CaseError, match=r"field_map\.file.*covers.*% of its nodes outside"):
        spec.prepare(Scene(**{**vars(outside), "read_vectors": reader(tmp_path)}))


def test_map_of_flux_density_adds_to_a_coil(tmp_path: Path) -> None:
    write(tmp_path / "map.csv", 1e-3 / (4e-7 * np.pi))
    engine = cube(10 * MM, 5 * MM)
    turn = {"centre": ["0 m", "0 m", "0 m"], "axis": [1, 0, 1], "radius": "50 mm", "current": "100 A"}
    spec = magnetic(coils=[turn], field_map={"file": "map.csv", "unit": "mT", "length_unit": "mm"})
    bare = scene(engine, payload=Payload(np.ones(engine.volume.shape), specific_absorption_rate=lambda h, f, t: h))
    field, _ = spec.prepare(Scene(**{**vars(bare), "read_vectors": reader(tmp_path)})).fields["field_amplitude"]
    both = linear(engine.points) + Coil.model_validate(turn).field(engine.points)
    np.testing.assert_allclose(field, np.linalg.norm(both, axis=1), rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("map.csv", "x,y,z,H\n0,0,0,1\n", "expected x, y, z and three components"),
        ("map.csv", "x,y,z,Hx,Hy,Hz\n0,0,0,1,1,1\n0,0,1,1,1,1\n1,0,0,1,1,1\n", "no full grid"),
        ("map.csv", "x,y,z,Hx,Hy,Hz\n0,0,zero,1,1,1\n", "cannot be read as a table"),
        ("map.csv", "x,y,z,Hx,Hy,Hz\n0,0,nan,1,1,1\n", "not finite"),
        ("map.csv", "", "has no rows"),
        ("map.csv", "x,y,z,Hx,Hx,Hz\n0,0,0,1,1,1\n", "names the column Hx twice"),
        ("map.dat", "", "unknown kind of file"),
        ("map.nii", "no image", "cannot be read as a NIfTI image"),
    ],
)
def test_files_that_are_no_maps(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CaseError, match=message):
        reader(tmp_path)(name, "heating.field_map.file", 1.0, None)


def test_a_vtk_file_with_two_fields_asks_which(tmp_path: Path) -> None:
    write(tmp_path / "map.vtu")
    with pytest.raises(CaseError, match=r"field_map\.array.*field, current|field_map\.array.*current, field"):
        reader(tmp_path)("map.vtu", "heating.field_map.file", 1.0, None)


CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "20 mm"
voxel_size = "4 mm"
background = "muscle"
[particles]
material = "iron_oxide_16"
[delivery]
kind = "uniform"
concentration = "5 mg/ml"
[heating]
kind = "magnetic"
frequency = "100 kHz"
[heating.field_map]
file = "map.csv"
length_unit = "mm"
[bioheat]
duration = "60 s"
[output]
series = false
pictures = false
"""


GRID_OF_CASE = np.stack(np.meshgrid(*[np.linspace(-10e-3, 10e-3, 6)] * 3, indexing="ij"), -1).reshape(-1, 3)


def test_maps_that_claim_more_than_there_is(tmp_path: Path) -> None:
    """VTK aborts the process that reads such a grid; here that is another one. Nor is room made for such an image."""
    grid = (
        '<?xml version="1.0"?><VTKFile type="ImageData" version="0.1"><ImageData WholeExtent="0 99999 0 99999 0 99999" '
        'Origin="0 0 0" Spacing="1 1 1"><Piece Extent="0 99999 0 99999 0 99999"><PointData Vectors="H"><DataArray '
        'type="Float32" Name="H" NumberOfComponents="3" format="ascii">0</DataArray></PointData></Piece></ImageData>'
        "</VTKFile>"
    )
    (tmp_path / "map.vti").write_text(grid)
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4))
    image.header["dim"][1:4] = 30_000
    (tmp_path / "map.nii").write_bytes(image.header.binaryblock + bytes(4000))
    for name, words in (("map.vti", r"cannot be read by VTK \(.*bad_alloc"), ("map.nii", "has 8\\.1e\\+13 voxels")):
        with pytest.raises(CaseError, match=words):
            reader(tmp_path)(name, "heating.field_map.file", 1.0, None)


def test_a_case_with_a_map(tmp_path: Path) -> None:
    """Beside the case; its hash belongs to the run, and a case that extends it from elsewhere finds it."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "coil.toml").write_text(CASE)
    write(tmp_path / "base" / "map.csv")
    (tmp_path / "case.toml").write_text('schema_version = 1\nextends = "base/coil.toml"\n')
    run = simulate(load_case(tmp_path / "case.toml"), tmp_path / "run")
    assert run.value("heating.maximum_field") == pytest.approx(
        float(np.max(np.linalg.norm(linear(GRID_OF_CASE), axis=1))), rel=1e-6
    )
    assert run.value("heating.power") > 0.0
    before = load_case(tmp_path / "case.toml")
    write(tmp_path / "base" / "map.csv", 2.0)
    with pytest.raises(CaseError, match=r"field_map\.file: the file has changed"):
        simulate(before, tmp_path / "run")


# ------------------------------------------------------------------------------------------------ temperature


def payload_of(particle: IronOxide | Measured, engine: Any) -> Payload:
    known = Particle(particle)
    return Payload(np.ones(engine.volume.shape), specific_absorption_rate=known.specific_absorption_rate)


def test_heat_follows_the_temperature_of_each_node() -> None:
    """A loss that falls by 2 % a kelvin: linear between the temperatures that are looked at, so exact."""
    engine = cube(10 * MM, 5 * MM)
    cooling = Measured(mass_of="iron", intrinsic_loss_power=Si(3e-9), loss_slope=Si(-0.02))
    spec = magnetic(amplitude="10 kA/m", temperature_update="10 s")
    source = spec.prepare(scene(engine, payload=payload_of(cooling, engine)))
    first = 3e-9 * 1e5 * 1e8 * engine.volume
    assert source.events[:2] == (10.0, 20.0)
    np.testing.assert_allclose(source.drive(at(engine, 0.0), 1.0).power, first, rtol=1e-12)
    warm = 37.0 + 500.0 * (engine.points[:, 0] + 10 * MM)
    np.testing.assert_allclose(source.drive(at(engine, 5.0, warm), 1.0).power, first, rtol=1e-12)  # not due yet
    exact = first * (1.0 - 0.02 * (warm - 37.0))
    np.testing.assert_allclose(source.drive(at(engine, 10.0, warm), 1.0).power, exact, rtol=1e-12)
    kept = source.memory()
    np.testing.assert_allclose(source.drive(at(engine, 20.0, 100.0), 1.0).power, 0.0, atol=1e-20)
    source.recall(kept)
    np.testing.assert_allclose(source.drive(at(engine, 15.0), 1.0).power, exact, rtol=1e-12)


def test_relaxation_at_another_temperature() -> None:
    """As the particle that is described for that temperature; Brown's time through the viscosity."""
    free = carrier("iron_oxide_16_fluid").model_copy(update={"viscosity_slope": -0.02})
    assert isinstance(free, IronOxide)
    hot = free.model_copy(update={"temperature": 47.0, "viscosity": free.viscosity * np.exp(-0.2)})
    field = np.array([5e3])
    assert free.specific_absorption_rate(field, 1e5, 47.0) == pytest.approx(hot.specific_absorption_rate(field, 1e5))
    assert free.specific_absorption_rate(field, 1e5, 37.0) == pytest.approx(free.specific_absorption_rate(field, 1e5))


def test_a_curie_temperature_limits_the_heating(tmp_path: Path) -> None:
    """Particles of 45 degC stop there, however strong the field; without it the tissue goes far beyond."""
    (tmp_path / "case.toml").write_text(
        CASE.replace('[heating.field_map]\nfile = "map.csv"\nlength_unit = "mm"\n', "")
        .replace('frequency = "100 kHz"', 'frequency = "100 kHz"\namplitude = "15 kA/m"\ntemperature_update = "5 s"')
        .replace('duration = "60 s"', 'duration = "300 s"')
    )
    limited = simulate(
        load_case(tmp_path / "case.toml", ("particles.curie_temperature=45 degC",)), tmp_path / "limited"
    )
    free = simulate(load_case(tmp_path / "case.toml"), tmp_path / "free")
    assert 40.0 < limited.value("peak_temperature") <= 45.1
    assert free.value("peak_temperature") > 50.0
    assert limited.value("heating.power") < 0.5 * free.value("heating.power")
    with pytest.raises(CaseError, match="is not above temperature"):
        load_case(tmp_path / "case.toml", ("particles.curie_temperature=30 degC",))


def test_prepare_says_where_a_map_is_missing(tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(CASE)
    with pytest.raises(CaseError, match=r"heating\.field_map\.file.*no such file"):
        prepare(load_case(tmp_path / "case.toml"), lambda stage, share: None)
    with pytest.raises(CaseError, match=r"case\.toml:\d+: heating\.field_map\.file.*no such file"):
        check(load_case(tmp_path / "case.toml"))
    name = load_case(tmp_path / "case.toml").heating.field_map.file
    (tmp_path / name).write_text("no map")
    with pytest.raises(CaseError, match=r"heating\.field_map\.file"):
        check(load_case(tmp_path / "case.toml"))


def test_a_map_in_a_part_of_a_combination(tmp_path: Path) -> None:
    """Found from a case that extends it from elsewhere, and among the hashes of the run."""
    (tmp_path / "base").mkdir()
    part = '{ kind = "magnetic", frequency = "100 kHz", field_map = { file = "map.csv", length_unit = "mm" } }'
    other = '{ kind = "magnetic", frequency = "200 kHz", amplitude = "2 kA/m" }'
    start, end = CASE.index("[heating]"), CASE.index("[bioheat]")
    heating = f'[heating]\nkind = "combined"\nparts = [{part}, {other}]\n'
    (tmp_path / "base" / "both.toml").write_text(CASE[:start] + heating + CASE[end:])
    write(tmp_path / "base" / "map.csv")
    (tmp_path / "case.toml").write_text('schema_version = 1\nextends = "base/both.toml"\n')
    case = load_case(tmp_path / "case.toml")
    assert list(input_hashes(case)) == ["heating.parts[0].field_map.file"]
    summary = prepare(case, lambda stage, share: None).source.summary
    assert summary["part1.heating.maximum_field"].value > 2.1e3
    (tmp_path / "base" / "map.csv").unlink()
    with pytest.raises(CaseError, match=r"heating\.parts\[0\]\.field_map\.file"):
        input_hashes(case)
