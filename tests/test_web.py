"""The page of ``thermal view --web`` in a real Chromium: controls move the scene, numbers are those of the files."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from sample_run import CENTRE, TIMES, write_sample

from thermal.store import read_run
from thermal.view import rendering_problem
from thermal.view.cells import body_nodes

pytestmark = pytest.mark.render

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = ("--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE = 120.0  # s, for machines that draw slowly


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("web")
    hot = write_sample(base / "hot", cells=24)
    cold = write_sample(base / "cold", cells=24, cold=True, law="cryo", particles=False, title="Cryoablation")
    return [hot, cold]


@pytest.fixture(scope="module")
def address(folders: list[Path]) -> Iterator[str]:
    pytest.importorskip("trame.app")
    if (problem := rendering_problem()) is not None:
        pytest.skip(problem)
    command = [sys.executable, "-u", "-m", "thermal", "view", *map(str, folders), "--web", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://localhost:\d+/", said)
        assert found, said + process.stdout.read()
        yield found.group()
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        page.set_default_timeout(1e3 * PATIENCE)
        page.goto(address)
        page.wait_for_selector("#scene img, #scene canvas")
        yield page
        browser.close()


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come to pass"
        time.sleep(0.2)


def seen(page: Any, path: Path) -> np.ndarray:
    """The scene as the browser shows it, once it stands still."""
    pictures: list[np.ndarray] = []
    end = time.monotonic() + PATIENCE
    while len(pictures) < 2 or not np.array_equal(pictures[-1], pictures[-2]) or pictures[-1].std() < 5.0:
        assert time.monotonic() < end
        page.locator("#scene").screenshot(path=path)
        pictures.append(np.asarray(PIL.Image.open(path).convert("RGB")).astype(int))
        time.sleep(0.5)
    return pictures[-1]


def reading(page: Any, row: int, what: str) -> str:
    return str(page.locator(f"#readings .value-{what}").nth(row).inner_text())


def test_the_slider_moves_the_scene_and_the_numbers(page: Any, folders: list[Path], tmp_path: Path) -> None:
    runs = [read_run(folder) for folder in folders]
    pictures = []
    for index in (0, 2, 4):
        page.locator("#moment").fill(str(index))
        until(lambda i=index: reading(page, 0, "time") == f"{TIMES[i] / 60.0:.2f} min", "the time")  # type: ignore[misc]
        for row, run in enumerate(runs):
            body = run.temperature(index)[body_nodes(run.domain)]
            assert reading(page, row, "highest") == f"{body.max():.2f} °C"
            assert reading(page, row, "lowest") == f"{body.min():.2f} °C"
        pictures.append(seen(page, tmp_path / "scene.png"))
    for one, other in ((0, 1), (1, 2)):
        assert np.abs(pictures[one] - pictures[other]).max() > 60


def test_the_place_is_read_where_it_is_typed(page: Any, folders: list[Path]) -> None:
    run = read_run(folders[0])
    page.locator("#moment").fill("4")
    node = np.unravel_index(len(run.domain.axes[0]) ** 3 // 2, run.domain.shape)  # type: ignore[union-attr]
    place = [1e3 * axis[i] for axis, i in zip(run.domain.axes, node, strict=True)]  # type: ignore[union-attr]
    for name, value in zip("xyz", place, strict=True):
        page.locator(f"#place-{name}").fill(f"{value:.2f}")
        page.locator(f"#place-{name}").dispatch_event("change")
    expected = run.temperature(4).reshape(run.domain.shape)[node]  # type: ignore[union-attr]
    until(lambda: abs(float(reading(page, 0, "here").split()[0]) - expected) < 0.02, "the temperature at the place")


@pytest.mark.parametrize("control", ["#shown-vessel", "#slices-0", "#clips-1", "#margin"])
def test_switches_change_the_picture(page: Any, tmp_path: Path, control: str) -> None:
    before = seen(page, tmp_path / "before.png")
    page.locator(control).click()
    until(lambda: np.abs(seen(page, tmp_path / "after.png") - before).max() > 60, "a change")
    page.locator(control).click()


def test_play_goes_on_by_itself(page: Any) -> None:
    page.locator("#moment").fill("0")
    until(lambda: reading(page, 0, "time") == "0.00 min", "the beginning")
    page.locator("#play").click()
    until(lambda: reading(page, 0, "time") != "0.00 min", "play")
    page.locator("#play").click()


def test_a_point_is_picked_by_the_right_button(page: Any) -> None:
    box = page.locator("#scene").bounding_box()
    before = [page.locator(f"#place-{name}").input_value() for name in "xyz"]
    page.mouse.click(box["x"] + 0.22 * box["width"], box["y"] + 0.42 * box["height"], button="right")
    until(lambda: [page.locator(f"#place-{name}").input_value() for name in "xyz"] != before, "a new place")
    place = [float(page.locator(f"#place-{name}").input_value()) for name in "xyz"]
    assert np.abs(np.array(place) - 1e3 * CENTRE).max() < 31.0  # within the window


def test_controls_have_names(page: Any) -> None:
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select')].filter(e => !(e.labels && e.labels.length)).map(e => e.id)"
    )
    assert unnamed == []


def test_nobody_else_on_the_network_is_served(address: str) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
        pass
    others = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for other in others - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((other, port), timeout=5.0)


def test_without_trame_it_is_said(monkeypatch: pytest.MonkeyPatch, folders: list[Path]) -> None:
    from thermal.view import RenderingError
    from thermal.view.web import serve

    monkeypatch.setitem(sys.modules, "trame.app", None)
    monkeypatch.setattr("thermal.view.web.rendering_problem", lambda: None)
    with pytest.raises(RenderingError, match=r"thermal\[web\]"):
        serve([read_run(folders[0])])
