"""Pictures: the geometry behind them against analytic shapes, and what is on them."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from sample_run import CENTRE, CLOUD_RADIUS, HALF, TIMES, TUMOUR_RADIUS, ellipsoid_volume, write_sample

from thermal.case import load_case
from thermal.domain import Line
from thermal.errors import CaseError
from thermal.physics.scene import Device
from thermal.store import Run, read_run
from thermal.view import RenderingError, draw, interactive, rendering, rendering_problem, show, style
from thermal.view.camera import Image, frame, photograph
from thermal.view.cells import cellwise, nodal, node_places, region_index
from thermal.view.grids import grid
from thermal.view.grids import sample as sample_grid
from thermal.view.planes import PLANES, Cut, sample
from thermal.view.scene import Layer, anatomy_stage, run_stage
from thermal.view.slices import peak_frame
from thermal.view.surfaces import level_surface, region_surface
from thermal.view.treated import particle_dots, zone_surface

AXES = (0.014, 0.011, 0.012)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("view") / "run", zone_axes=AXES)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(folder)


@pytest.fixture
def can_render() -> None:
    problem = rendering_problem()
    if problem is not None:
        pytest.skip(problem)


def share_of(image: Image, colour: str, tolerance: int = 40) -> float:
    """Share of the pixels that are close to a colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return float(np.mean(np.abs(np.asarray(image)[..., :3].astype(int) - wanted).max(axis=-1) < tolerance))


def read_png(path: Path) -> Image:
    return np.rint(255 * matplotlib.image.imread(path)[..., :3]).astype(np.uint8)


# --- geometry


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_zone_surface_encloses_the_ellipsoid(tmp_path: Path, kind: str) -> None:
    run = read_run(write_sample(tmp_path / "run", kind=kind, zone_axes=AXES))
    surface = zone_surface(run)
    assert surface.n_open_edges == 0
    # linear interpolation on cells of 2 mm loses a shell of some h^2/(8 r), 1.2 % of the volume
    assert surface.volume / 1e9 == pytest.approx(ellipsoid_volume(AXES), rel=0.025)
    assert np.ptp(np.reshape(surface.bounds, (3, 2)), axis=1) == pytest.approx(2e3 * np.array(AXES), rel=0.01)
    assert surface.center == pytest.approx(CENTRE * 1e3, abs=0.1)


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_tumour_surface_encloses_the_sphere(tmp_path: Path, kind: str) -> None:
    run = read_run(write_sample(tmp_path / "run", kind=kind))
    surface = region_surface(run.domain, run.domain.shares["tumour"])
    assert surface.n_open_edges == 0
    assert surface.volume / 1e9 == pytest.approx(ellipsoid_volume((TUMOUR_RADIUS,) * 3), rel=0.06)


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_a_zone_that_fills_the_window_is_closed_by_its_faces(tmp_path: Path, kind: str) -> None:
    run = read_run(write_sample(tmp_path / "run", kind=kind))
    surface = level_surface(run.domain, np.ones(grid(run.domain).n_points), 0.5)
    depth = 2 * HALF - (
        0.004 if kind == "voxel" else 0.0
    )  # the voxel sample has air in front; its border is half a cell
    assert surface.n_open_edges == 0
    assert surface.volume / 1e9 == pytest.approx((2 * HALF) ** 2 * depth, rel=0.025)


def test_nothing_destroyed_is_an_empty_surface(run: Run) -> None:
    assert level_surface(run.domain, np.zeros(grid(run.domain).n_points), 0.5).n_cells == 0


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_dots_spread_like_the_particles(tmp_path: Path, kind: str) -> None:
    run = read_run(write_sample(tmp_path / "run", kind=kind))
    dots = particle_dots(run, 4000)
    # c = c0 exp(-ln2 r^2/R^2) has <r^2> = 3 R^2 / (2 ln 2); 4000 dots give it to 1.3 % and the cells of 2 mm add 1.5 %
    mean_square = np.mean(np.sum((dots - CENTRE * 1e3) ** 2, axis=1))
    assert mean_square == pytest.approx(1.5 * (CLOUD_RADIUS * 1e3) ** 2 / np.log(2.0), rel=0.06)
    assert np.array_equal(dots, particle_dots(run, 4000))  # no ambient randomness


def test_no_dots_without_particles(tmp_path: Path) -> None:
    run = read_run(write_sample(tmp_path / "run", particles=False))
    assert len(particle_dots(run)) == 0
    assert not run_stage(run).of("particles")


def test_stage_tells_vessels_organs_and_devices_apart(run: Run) -> None:
    stage = run_stage(run)
    assert [layer.label for layer in stage.of("vessel")] == ["hepatic vein"]
    assert stage.of("vessel")[0].colour == style.VEIN
    assert [layer.label for layer in stage.of("organ")] == ["liver", "spleen"]
    assert [layer.label for layer in stage.of("device")] == ["needle"]
    assert "Arrhenius" in stage.of("zone")[0].label
    assert stage.of("tumour")[0].label == "tumour (4.23 ml)"
    assert stage.bounds == pytest.approx(1e3 * (CENTRE[:, None] + np.array([-HALF, HALF])), abs=1e-3)


def test_tumour_outside_the_zone_is_a_layer_of_its_own(tmp_path: Path) -> None:
    covered = run_stage(read_run(write_sample(tmp_path / "a", zone_axes=(0.013, 0.013, 0.013))))
    assert [layer.colour for layer in covered.of("tumour")] == [style.TUMOUR]
    partly = run_stage(read_run(write_sample(tmp_path / "b", zone_axes=(0.013, 0.007, 0.013))))
    assert [layer.colour for layer in partly.of("tumour")] == [style.TUMOUR, style.UNCOVERED]
    outside = partly.of("tumour")[1].surface.points / 1e3 - CENTRE
    inside = np.linalg.norm(outside / [0.013, 0.007, 0.013], axis=1) < 0.96
    assert not inside.any()


def test_held_regions_are_vessels_whatever_their_name(run: Run) -> None:
    class Built:
        domain = run.domain
        tumour = "tumour"

    plain = anatomy_stage(Built(), title="x")
    held = anatomy_stage(Built(), title="x", held=["spleen"])
    assert "spleen" in [layer.label for layer in plain.of("organ")]
    assert "spleen" in [layer.label for layer in held.of("vessel")]


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (37.0, 42.0, (37.0, 45.0, "inferno")),
        (36.9, 99.0, (37.0, 100.0, "inferno")),
        (-35.0, 37.0, (-40.0, 37.0, "bone_r")),
        (-180.0, 37.0, (-200.0, 37.0, "bone_r")),
        (0.0, 1.0, (0.0, 45.0, "inferno")),
    ],
)
def test_temperature_scales_come_from_a_short_list(
    lowest: float, highest: float, expected: tuple[float, float, str]
) -> None:
    scale = style.temperature_scale(lowest, highest)
    assert (scale.low, scale.high, scale.colours) == expected


@pytest.mark.parametrize(("share", "text"), [(1.0, "100.0"), (1.0 - 1e-12, "100.0"), (0.9996, "99.9"), (0.5, "50.0")])
def test_coverage_is_never_rounded_up_to_the_whole(share: float, text: str) -> None:
    assert style.percent(share) == text


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_radiological_directions(tmp_path: Path, kind: str) -> None:
    run = read_run(write_sample(tmp_path / "run", kind=kind))
    places = dict(zip("xyz", node_places(run.domain).T, strict=True))
    letters = {"R": ("x", 1), "L": ("x", -1), "A": ("y", 1), "P": ("y", -1), "S": ("z", 1), "I": ("z", -1)}
    for plane in PLANES:
        sampled = sample(run.domain, Cut(plane, CENTRE * 1e3, 10.0), places)
        edges = ((slice(None), 0), (slice(None), -1), (0, slice(None)), (-1, slice(None)))
        for letter, edge in zip(plane.edges, edges, strict=True):
            name, sign = letters[letter]
            middle = CENTRE["xyz".index(name)] * 1e3
            assert sampled[name][edge].mean() - middle == pytest.approx(sign * 10.0, abs=1e-4), plane.name


def test_a_slice_agrees_with_the_grid_of_vtk(run: Run) -> None:
    places = node_places(run.domain)
    field = np.sin(0.1 * places[:, 0]) * np.cos(0.2 * places[:, 1]) + 0.01 * places[:, 2] ** 2
    _, region = region_index(run.domain)
    mesh = grid(run.domain)
    mesh.point_data["field"] = nodal(run.domain, field)
    mesh.cell_data["region"] = cellwise(run.domain, region).astype(float)
    for plane in PLANES:
        cut = Cut(plane, CENTRE * 1e3 + 0.3, 1.2e3 * HALF)
        ours = sample(run.domain, cut, {"field": field}, {"region": region})
        theirs = sample_grid(run.domain, mesh, cut.points().reshape(-1, 3))
        valid = np.asarray(theirs["vtkValidPointMask"]).astype(bool).reshape(ours["field"].shape)
        assert np.array_equal(valid, np.isfinite(ours["field"]))
        for name in ("field", "region"):
            expected = np.asarray(theirs[name]).reshape(valid.shape)
            assert np.abs(ours[name] - expected)[valid].max() < 1e-4  # points of the grid are float32


def test_camera_stands_in_front_with_the_patients_right_on_its_left() -> None:
    right, up = frame([np.array([[-10.0, 10.0]] * 3)]).axes()
    assert right @ [1, 0, 0] < -0.5
    assert up @ [0, 0, 1] > 0.8
    assert abs(right @ up) < 1e-12


def test_peak_frame(tmp_path: Path, run: Run) -> None:
    assert peak_frame(run) == len(TIMES) - 1
    assert peak_frame(read_run(write_sample(tmp_path / "cold", cold=True, law="cryo"))) == len(TIMES) - 1


# --- without rendering


def test_slices_need_no_rendering_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_sample(tmp_path / "run")
    monkeypatch.setattr("thermal.view.pictures.rendering_problem", lambda: "no library libEGL; apt-get install libegl1")
    with caplog.at_level(logging.WARNING):
        drawn = draw(folder)
    assert [path.name for path in drawn] == ["slices.png"]
    assert "libegl1" in caplog.text
    assert not list(folder.glob(".*"))  # no half-written files
    image = read_png(folder / "slices.png")
    assert share_of(image, style.ZONE) > 5e-4
    assert share_of(image, style.TUMOUR) > 5e-4


def test_slices_show_the_ct_the_right_way_round(tmp_path: Path) -> None:
    values = np.full((20, 20, 20), -160.0)
    values[10:] = 240.0  # bright in the patient's right half
    affine = np.diag([0.006, 0.006, 0.006, 1.0])
    affine[:3, 3] = CENTRE - 0.057
    folder = write_sample(tmp_path / "run", background=(values, affine))
    run = read_run(folder)
    assert run.background is not None
    from thermal.view.slices import draw_slices

    image = read_png(draw_slices(run, tmp_path / "s.png"))
    height, width = image.shape[:2]
    row = image[int(0.22 * height), : int(0.33 * width)].mean(axis=-1)  # across the axial picture, above the outlines
    assert row[int(0.06 * width)] > 230  # R is on the left of the picture
    assert row[int(0.26 * width)] < 25


def test_probe_explains_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -11, "", "( 2.2s) [7F]vtkEGL:150 WARN| libEGL not found\nno libOSMesa\n")

    rendering._probe.cache_clear()
    monkeypatch.setattr(rendering.subprocess, "run", broken)
    try:
        problem = rendering_problem()
        with pytest.raises(RenderingError, match="apt-get install"):
            rendering.require_rendering()
    finally:
        rendering._probe.cache_clear()
    assert problem is not None
    assert "(libEGL not found)" in problem
    assert "OSMesa" not in problem  # the VTK wheel cannot use it, so it is no advice
    assert "libegl1" in problem


def test_probe_gives_up_on_a_hanging_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def hanging(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        raise subprocess.TimeoutExpired("python", 120)

    rendering._probe.cache_clear()
    monkeypatch.setattr(rendering.subprocess, "run", hanging)
    try:
        assert "two minutes" in str(rendering_problem())
    finally:
        rendering._probe.cache_clear()


def test_no_display_is_said_clearly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(rendering.sys, "platform", "linux")
    with pytest.raises(RenderingError, match="--screenshot"):
        show(folder)


@pytest.mark.render
@pytest.mark.usefixtures("can_render")
def test_show_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="no run folder"):
        show(tmp_path, tmp_path / "x.png")


# --- rendering


@pytest.mark.render
@pytest.mark.usefixtures("can_render")
def test_overview_shows_everything(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run", zone_axes=AXES)
    assert [path.name for path in draw(folder)] == ["overview.png", "slices.png"]
    image = read_png(folder / "overview.png")
    assert image.shape[0] > 800
    assert share_of(image, "#ffffff", 3) < 0.9
    assert share_of(image, style.PARTICLES) > 1e-3
    assert share_of(image, style.ZONE) > 1e-4  # outline and legend
    assert share_of(image, style.VEIN) > 1e-2
    assert not list(folder.glob(".*"))


@pytest.mark.render
@pytest.mark.usefixtures("can_render")
def test_scale_and_side_in_the_picture(run: Run) -> None:
    stage = run_stage(run)
    camera = frame([stage.focus])
    image = photograph(stage, camera, (400, 400), roles=["vessel"])
    columns = np.flatnonzero((image[200] < 250).any(axis=-1))
    width = (columns[-1] - columns[0] + 1) * 2 * camera.half_height / 400
    assert width == pytest.approx(8.0, abs=0.8)  # diameter of the vein in mm, on voxels of 2 mm
    assert columns.min() > 200  # the vein lies on the patient's left: right half of the picture
    assert (photograph(stage, camera, (60, 60), roles=[]) == 255).all()


@pytest.mark.render
@pytest.mark.usefixtures("can_render")
def test_screenshot_of_a_run(folder: Path, tmp_path: Path) -> None:
    path = show(folder, tmp_path / "deep" / "shot.png")
    assert path is not None
    assert share_of(read_png(path), style.VEIN) > 1e-2


CASE = """\
schema_version = 1
title = "Case before treatment"
[anatomy]
kind = "phantom"
size = "40 mm"
voxel_size = "2 mm"
background = "liver"
tumour = "tumour"
[[anatomy.shapes]]
region = "tumour"
shape = "sphere"
centre = ["0 mm", "0 mm", "0 mm"]
radius = "8 mm"
[[anatomy.shapes]]
region = "big_vessel"
shape = "cylinder"
start = ["14 mm", "0 mm", "-20 mm"]
end = ["14 mm", "0 mm", "20 mm"]
radius = "3 mm"
[tissues.big_vessel]
material = "blood"
temperature = "37 degC"
[bioheat]
duration = "1 min"
"""


@pytest.mark.render
@pytest.mark.usefixtures("can_render")
def test_a_case_is_shown_before_it_is_solved(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text(CASE)
    fibre = Device("fibre", "fibre", Line((0.0, 0.03, 0.0), (0.0, 0.0, 0.0), 0.0005))
    case = load_case(file)
    stage = interactive.case_stage(case, [fibre])
    assert {layer.role for layer in stage.layers} == {"tumour", "vessel", "device"}
    path = show(case, tmp_path / "case.png", devices=[fibre])
    assert path is not None
    image = read_png(path)
    assert share_of(image, style.TUMOUR, 60) > 5e-3
    assert share_of(image, style.DEVICES["fibre"], 60) > 2e-4


def test_layers_are_frozen(run: Run) -> None:
    layer = run_stage(run).layers[0]
    assert isinstance(layer, Layer)
    with pytest.raises(AttributeError):
        layer.colour = "red"  # type: ignore[misc]


@pytest.mark.render
def test_the_window_of_a_case_names_what_it_shows(run: Run, can_render: None) -> None:
    """Layers, their legend, the sides of the patient and the scope; the tumour is to be seen."""
    plotter = interactive.build_window(run_stage(run), off_screen=True)
    try:
        corners = [actor for actor in plotter.actors.values() if hasattr(actor, "GetText")]
        said = {actor.GetText(corner) for actor in corners for corner in range(4)}
        assert plotter.legend is not None
        picture = plotter.screenshot(None, return_img=True)
    finally:
        plotter.close()
    assert {style.RESEARCH_NOTE, run.title} <= said
    assert share_of(picture, "#ffffff") < 0.9
    assert len({tuple(pixel) for pixel in picture.reshape(-1, 3)[::97].tolist()}) > 20  # shaded, not a flat page
