"""Panels over time: what window, browser and movies share, against the analytic content of a sample run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import h5py
import imageio.v2 as imageio
import numpy as np
import pytest
from sample_run import CENTRE, TIMES, TUMOUR_RADIUS, ellipsoid_volume, grown_share, write_sample

from thermal.errors import CaseError
from thermal.store import Run, read_run
from thermal.units import Array
from thermal.view import RenderingError, rendering_problem, style
from thermal.view.cells import node_places
from thermal.view.film import Film
from thermal.view.interactive import show_runs
from thermal.view.movie import write_movie
from thermal.view.painting import Painter
from thermal.view.planes import PLANES, Cut
from thermal.view.player import Player
from thermal.view.scene import LEFT
from thermal.view.treated import margin_surface, zone_surface
from thermal.view.window import Window

AXES = (0.014, 0.011, 0.012)
pytestmark = pytest.mark.render


@pytest.fixture(autouse=True)
def _can_render() -> None:
    if (problem := rendering_problem()) is not None:
        pytest.skip(problem)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("player")
    hot = write_sample(folder / "hot", zone_axes=AXES)
    cold = write_sample(folder / "cold", zone_axes=AXES, cold=True, law="cryo", particles=False, title="Cryoablation")
    return [read_run(hot), read_run(cold)]


@pytest.fixture
def player(runs: list[Run]) -> Iterator[Player]:
    made = Player(runs, off_screen=True, size=(600, 400), slider=True)
    yield made
    made.close()


def exact(place: Array, time: float, rise: float = 40.0) -> float:
    r = np.linalg.norm((place / 1e3 - CENTRE) / AXES)
    return float(37.0 + rise * (1.0 - np.exp(-time / 100.0)) * np.exp(-(r**2)))


@pytest.mark.parametrize("kind", ["voxel", "mesh"])
def test_history_at_a_point(tmp_path: Path, kind: str) -> None:
    film = Film(read_run(write_sample(tmp_path / "run", kind=kind, zone_axes=AXES)))
    place = CENTRE * 1e3 + [4.0, -3.0, 2.0]
    # linear in cells of 2 mm: error of h^2/8 of the second derivative, 2*40/0.011^2 K/m^2, in each of 3 axes
    assert film.at(place) == pytest.approx([exact(place, time) for time in TIMES], abs=1.0)
    assert np.isnan(film.at(CENTRE * 1e3 + 100.0)).all()
    assert [film.index(time) for time in (-1.0, 0.0, 59.0, 60.0, 1e4)] == [0, 0, 0, 1, 4]


def test_one_clock_for_all(player: Player) -> None:
    assert player.times.tolist() == TIMES.tolist()
    player.show_time(130.0)
    assert [panel.shown_time for panel in player.panels] == [120.0, 120.0]
    middle = CENTRE * 1e3
    player.move(middle)
    for panel, rise in zip(player.panels, (40.0, -80.0), strict=True):
        # the centre is a node; frames are float32
        assert panel.readings()["here"] == pytest.approx(exact(middle, 120.0, rise), abs=1e-3)
    assert player.panels[0].readings()["highest"] == pytest.approx(exact(middle, 120.0), abs=1e-3)
    assert player.panels[1].readings()["lowest"] == pytest.approx(exact(middle, 120.0, -80.0), abs=1e-3)
    player.step(1)
    assert player.time == 300.0
    player.step(2)
    assert player.time == 0.0


def test_the_zone_grows_with_the_time_shown(tmp_path: Path) -> None:
    """An ellipsoid that grows: what is drawn at each saved time has its volume, and the tumour is left outside it."""
    run = read_run(write_sample(tmp_path / "run", zone_axes=AXES, grows=True))
    player = Player([run], off_screen=True, size=(500, 400))
    panel = player.panels[0]
    pictures = []
    for time in TIMES[::-1]:
        player.show_time(float(time))
        share = grown_share(time)
        volume = ellipsoid_volume(AXES) * share**3
        assert panel.readings().get("zone", 0.0) == pytest.approx(1e6 * volume, rel=1e-9)
        shown = zone_surface(run, panel.film.index(time))
        # flat facets within cells of h: 2 h^2 / (8 r) of the radius, three times that of the volume
        flat = 0.75 * (0.002 / max(share * min(AXES), 1e-6)) ** 2
        assert 1e-9 * shown.volume == pytest.approx(volume, rel=flat) if share > 0.0 else shown.n_cells == 0
        roles = {layer.label for layer in panel.treated}
        assert (LEFT in roles) == (share * min(AXES) < TUMOUR_RADIUS)
        assert any(layer.role == "zone" for layer in panel.treated) == (share > 0.0)
        pictures.append(player.picture())
        player.colour_margin(True)
        assert panel.coloured == (share > 0.0)
        player.colour_margin(False)
    differ = [np.abs(one.astype(int) - other).max() > 30 for one, other in pairwise(pictures)]
    assert all(differ)
    player.clip(0, True)  # also what comes later is cut open
    player.show_time(float(TIMES[1]))
    assert all(actor.GetMapper().GetClippingPlanes() for actor in panel.actors("zone"))
    assert panel.painter.quantities["damage"].title == "damage"
    player.close()


def test_one_camera_for_all(player: Player) -> None:
    first, second = (player.plotter.renderers[index].camera for index in (0, 1))
    assert first is second or first.position == second.position
    first.azimuth = 20.0
    assert second.position == first.position


def test_the_picture_changes_with_everything_that_is_moved(player: Player) -> None:
    seen = [player.picture()]
    moves = (
        lambda: player.show_time(0.0),
        lambda: player.slice(0, True),
        lambda: player.move(CENTRE * 1e3 + [6.0, 0.0, 0.0]),
        lambda: player.clip(1, True),
        lambda: player.clip(1, False),
        lambda: player.colour_margin(True),
        lambda: player.colour_margin(False),
        lambda: player.show("vessel", False),
        lambda: player.show("organ", True),
        lambda: player.show_quantity("damage"),
        lambda: player.show_quantity("anatomy"),
    )
    for move in moves:
        move()
        seen.append(player.picture())
        assert np.abs(seen[-1].astype(int) - seen[-2]).max() > 30, len(seen)


def test_colours_of_a_slice_are_those_of_the_scale(runs: list[Run]) -> None:
    import matplotlib as mpl

    painter = Painter(runs[0])
    cut = Cut(PLANES[0], CENTRE * 1e3, 20.0, pixels=41)
    colours, body = painter.paint(cut, 600.0, "temperature")
    assert body.all()
    scale = painter.quantities["temperature"]
    value = exact(CENTRE * 1e3, 600.0)
    over = 255 * np.array(mpl.colormaps[scale.colours]((value - scale.low) / (scale.high - scale.low))[:3])
    tumour = [int(style.region_colours(["tumour"], "tumour", ())[0][i : i + 2], 16) for i in (1, 3, 5)]
    # 256 steps of the scale, and the mixture is rounded
    assert colours[20, 20] == pytest.approx(0.15 * np.array(tumour) + 0.85 * over, abs=4)
    cool, _ = painter.paint(cut, 0.0, "temperature")
    assert np.array_equal(cool, painter.paint(cut, 0.0, "anatomy")[0])  # body temperature hides nothing


@pytest.mark.parametrize("measured", [False, True])
def test_margin_is_signed(tmp_path: Path, measured: bool) -> None:
    axes = (0.014, 0.008, 0.012)
    run = read_run(write_sample(tmp_path / "run", zone_axes=axes))
    if measured:  # as a run stores it: m, negative inside, 1 m far away
        depth = np.linalg.norm(node_places(run.domain) / 1e3 - CENTRE, axis=1) - TUMOUR_RADIUS
        with h5py.File(run.folder / "fields.h5", "r+") as file:
            entry = file.create_dataset("static/tumour_distance", data=np.where(depth > 0.01, 1.0, depth))
            entry.attrs.update({"unit": "m", "long_name": "signed distance"})
        run = read_run(run.folder)
    surface = margin_surface(run, zone_surface(run))
    margin = np.asarray(surface["margin"])
    # an ellipsoid around a sphere: the distance along its half axes, to a fraction of the voxels of 2 mm
    assert margin.min() == pytest.approx(-2.0, abs=0.35)
    assert margin.max() == pytest.approx(4.0, abs=0.35)
    across = np.argmax(np.abs(surface.points[:, 1] / 1e3 - CENTRE[1]))
    along = np.argmax(np.abs(surface.points[:, 0] / 1e3 - CENTRE[0]))
    assert margin[across] < -1.5
    assert margin[along] > 3.5


def test_clipping_takes_away_the_side_of_the_plane(player: Player) -> None:
    player.move(CENTRE * 1e3)
    player.clip(0, True)
    actor = player.panels[0]._actors["tumour"][-1]
    plane = actor.GetMapper().GetClippingPlanes().GetItem(0)
    before, behind = (plane.EvaluateFunction(*(CENTRE * 1e3 + [side, 0.0, 0.0])) for side in (5.0, -5.0))
    assert before < 0.0 < behind
    player.clip(0, False)
    assert not actor.GetMapper().GetClippingPlanes().GetNumberOfItems()


def test_keys(player: Player) -> None:
    window = Window(player)
    interactor = player.plotter.iren.interactor

    def press(key: str) -> None:
        interactor.SetKeySym(key)
        interactor.InvokeEvent("KeyPressEvent")

    player.show_time(60.0)
    press("Right")
    assert player.time == 120.0
    assert window._slider.GetRepresentation().GetValue() == pytest.approx(2.0)
    press("Left")
    assert player.time == 60.0
    press("1")
    assert player.slices(0)
    before = player.place.copy()
    press("Up")
    assert player.place - before == pytest.approx([1.0, 0.0, 0.0])
    press("x")
    assert player.clips(0)
    press("m")
    assert player.coloured
    press("t")
    assert not player.shows("tumour")
    press("q")
    assert player.quantity == "damage"
    press("space")
    assert window.playing
    window.beat(0)
    assert player.time == 120.0
    picture = player.picture()
    press("h")
    assert np.abs(player.picture().astype(int) - picture).max() > 100  # help is seen
    slider = window._slider
    slider.GetRepresentation().SetValue(5.0)
    slider.InvokeEvent("InteractionEvent")
    assert player.time == pytest.approx(300.0)


def test_a_point_that_is_picked_lies_on_what_is_seen(player: Player) -> None:
    found: list[Array] = []
    player.when_picked(found.append)
    player.picture()
    interactor = player.plotter.iren.interactor
    renderer = player.plotter.renderers[0]
    renderer.SetWorldPoint(*(CENTRE * 1e3), 1.0)
    renderer.WorldToDisplay()
    x, y, _ = renderer.GetDisplayPoint()
    interactor.SetEventPosition(round(x), round(y))
    interactor.InvokeEvent("RightButtonPressEvent")
    (point,) = found
    r = np.linalg.norm((point / 1e3 - CENTRE) / AXES)
    assert r == pytest.approx(1.0, abs=0.15)  # the border of the zone is the first surface on that ray


@pytest.mark.parametrize("kind", [".gif", ".mp4"])
def test_a_movie_shows_every_saved_time(runs: list[Run], tmp_path: Path, kind: str) -> None:
    if kind == ".mp4":
        pytest.importorskip("imageio_ffmpeg")
    path = write_movie(runs[:1], tmp_path / "deep" / f"movie{kind}", size=(320, 240))
    film = imageio.get_reader(path)
    frames = [np.asarray(frame)[..., :3].astype(int) for frame in film]
    film.close()
    assert len(frames) >= len(TIMES)
    assert frames[0].shape == (240, 320, 3)
    for earlier, later in pairwise(frames[: len(TIMES)]):
        assert np.abs(later - earlier).max() > 50
    assert np.abs(frames[-1] - frames[len(TIMES) - 1]).mean() < 3  # the last moment stays


def test_movies_that_cannot_be(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaseError, match=r"\.mp4 or \.gif"):
        write_movie(runs, tmp_path / "movie.avi")
    monkeypatch.setattr("thermal.view.movie._no_encoder", lambda: "needs: pip install")
    with pytest.raises(RenderingError, match="pip install"):
        write_movie(runs, tmp_path / "movie.mp4")
    monkeypatch.setattr(Run, "times", np.empty(0))
    with pytest.raises(CaseError, match="kept no temperatures"):
        write_movie(runs, tmp_path / "movie.gif")
    assert not list(tmp_path.iterdir())


def test_a_picture_of_several_runs(runs: list[Run], tmp_path: Path) -> None:
    path = show_runs(runs, tmp_path / "both.png")
    assert path is not None
    image = np.asarray(imageio.imread(path))
    assert image.shape == (900, 1280, 3)
    assert image.std() > 10.0


def test_no_display_is_said_before_anything_is_built(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermal.view.interactive.display_problem", lambda: "no display; --screenshot")
    monkeypatch.setattr("thermal.view.interactive.Player", None)
    with pytest.raises(RenderingError, match="--screenshot"):
        show_runs(runs)


def test_runs_that_do_not_lie_in_the_same_place(tmp_path: Path) -> None:
    """A slice that misses the body of a run shows nothing of it, and its history is empty."""
    runs = [
        read_run(write_sample(tmp_path / name, kind=kind, cells=10)) for name, kind in (("a", "voxel"), ("b", "mesh"))
    ]
    player = Player(runs, off_screen=True, size=(400, 300))
    try:
        player.move(CENTRE * 1e3 + [0.0, 0.0, 500.0])
        assert np.isnan(player.panels[0].readings()["here"])
        assert player.picture().std() > 1.0
    finally:
        player.close()
