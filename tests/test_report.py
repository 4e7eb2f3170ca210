"""The report: what it says is what the run says, in one file that needs nothing else and trusts nobody's text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from batches import altered
from sample_run import write_sample

from thermal import load_case, simulate
from thermal.comparison.measures import MEASURES
from thermal.errors import CaseError
from thermal.report import write, write_report
from thermal.report.content import content
from thermal.store import Run, read_run
from thermal.store.files import write_json
from thermal.view import wording
from thermal.view.wording import readable

CASE = altered(
    title='"Warm & <b>round</b> | one"',
    bioheat='{ duration = "90 s" }',
    output='{ every = "30 s" }',
    probes='{ middle = { position = ["0 mm", "0 mm", "0 mm"] } }',
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("report")
    (folder / "warm.toml").write_text(CASE)
    return simulate(load_case(folder / "warm.toml"), folder / "run")


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be rendered."""
    for module in (write, write.turning_scene.__globals__):
        target = module if isinstance(module, dict) else vars(module)
        monkeypatch.setitem(target, "rendering_problem", lambda: "not drawn in this test")


OTHERWISE = {"mechanical.killed.tumour", "dose.tumour_fraction"}
"""Keys that comparisons name by their context."""


class Page(HTMLParser):
    """Pictures without a text, and everything that a page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.silent: list[str] = []
        self.fetched: list[str] = []
        self.pictures = 0
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.first: list[str] = []
        """of each row of a table"""
        self._cells = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self._cells = 0 if tag == "tr" else self._cells + (tag in ("td", "th"))
        if tag == "img":
            self.pictures += 1
            if not (given.get("alt") or "").strip():
                self.silent.append(tag)
        for name in ("src", "href"):
            if (place := given.get(name)) and not place.startswith(("data:", "#")):
                self.fetched.append(place)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._cells = 0

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._cells == 1 and data.strip():
            self.first.append(data.strip())


@pytest.mark.usefixtures("flat")
def test_one_file_that_needs_nothing_else(run: Run, tmp_path: Path) -> None:
    text = write_report([run], tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == []
    assert page.silent == []
    assert page.pictures == 3  # slices, moments, history
    assert "http-equiv" not in text
    assert re.search(r"@media print", text)
    assert "not drawn in this test" in text


@pytest.mark.usefixtures("flat")
def test_it_says_what_the_run_says(run: Run, tmp_path: Path) -> None:
    words = " ".join(Page(write_report([run], tmp_path / "r.html").read_text(encoding="utf-8")).words)
    for key, unit in (("zone.volume", "ml"), ("zone.minimum_margin", "mm"), ("peak_temperature", "°C")):
        name, value, shown = wording.entry(key, run.value(key), run.summary[key]["unit"])
        assert shown == unit
        assert name in words
        assert value in words, key
    numbers = run.resolved["library"]["numbers"]
    unverified = sum(number["unverified"] for number in numbers)
    assert f"{unverified} numbers are marked u: unverified" in words
    assert words.count(" u ") >= unverified > 0
    assert numbers[0]["source"] in words
    assert "middle: temperature" in words
    assert "Not estimated" in words  # no discretisation error was asked for
    assert run.provenance["case_hash"] in words


KEY = re.compile(r"[a-z0-9]\.[a-z]|_")
"""What a key has and words have not."""


@pytest.mark.usefixtures("flat")
def test_rows_are_words(run: Run, tmp_path: Path) -> None:
    """No row of any table begins with a key, in the page as in Markdown."""
    page = Page(write_report([run], tmp_path / "r.html").read_text(encoding="utf-8"))
    lines = write_report([run], tmp_path / "r.md").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert len(page.first) > 60
    assert len(rows) > 60
    numbered = re.compile(r"input anatomy|\[\d")  # files and numbers of sources
    assert [text for text in (*page.first, *rows) if KEY.search(text) and not numbered.search(text)] == []
    assert "Heat brought by blood (negative: carried away)" in page.first
    assert "heating, frequency" in page.first


def test_one_name_for_one_number() -> None:
    """Reports and comparisons call a number the same."""
    single = [measure for measure in MEASURES if len(measure.keys) == 1 and measure.keys[0] not in OTHERWISE]
    assert len(single) > 20
    for measure in single:
        assert wording.said(measure.keys[0]) == measure.name


@pytest.mark.parametrize(
    ("key", "value", "unit", "expected"),
    [
        ("zone.lost.portal_vein", 1e-6, "m^3", ("Lost: portal vein", "1", "ml")),
        ("zone.tumour_coverage", 0.99999, "", ("Tumour covered", "99.9", "%")),
        ("zone.tumour_coverage", 1.0, "", ("Tumour covered", "100.0", "%")),
        ("collateral.liver.lost_share", 2.7e-3, "", ("Lost: liver", "0.27", "%")),
        ("law.cem43.volume", 4e-6, "m^3", ("Zone volume by thermal dose CEM43", "4", "ml")),
        ("isotherm.-20.volume", 4e-6, "m^3", ("Volume that passed -20 °C", "4", "ml")),
        ("part2.light.escaped.x+", 2e-4, "W", ("Part 2: light that left by x+", "0.2", "mW")),
        ("error.zone.volume", 1e-7, "m^3", ("Zone volume, ±", "0.1", "ml")),
        ("probe.edge.temperature", 50.04, "degC", ("edge: temperature", "50.04", "°C")),
        ("heating.maximum_field", 2e4, "A/m", ("Largest field in the window", "20", "kA/m")),
        ("nodes", 531441, "", ("Nodes of the grid", "531441", "")),
        ("delivery.kind", "intra_arterial", "", ("Way of delivery", "intra arterial", "")),
        ("unheard.of_entry", 3.0, "m^2", ("unheard, of entry", "30000", "cm²")),
    ],
)  # fmt: skip
def test_entries_read_out(key: str, value: object, unit: str, expected: tuple[str, str, str]) -> None:
    assert wording.entry(key, value, unit) == expected


@pytest.mark.usefixtures("flat")
def test_texts_of_a_case_are_shown_and_not_obeyed(run: Run, tmp_path: Path) -> None:
    html = write_report([run], tmp_path / "r.html", title="<script>alert(1)</script>").read_text(encoding="utf-8")
    page = Page(html)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "Warm & <b>round</b> | one" in page.words


@pytest.mark.usefixtures("flat")
def test_several_runs_are_compared(tmp_path: Path) -> None:
    runs = [write_sample(tmp_path / name, title=name) for name in ("first", "second")]
    words = " ".join(Page(write_report(runs, tmp_path / "r.html").read_text(encoding="utf-8")).words)
    assert "Comparison of treatments" in words
    assert "first" in words
    assert "second" in words
    moved = write_sample(tmp_path / "moved", title="moved", shift=(0.004, 0.0, 0.0))
    assert "DIFFERENT ANATOMY" in write_report([runs[0], moved], tmp_path / "m.md").read_text(encoding="utf-8")


def test_markdown_and_json(run: Run, tmp_path: Path) -> None:
    text = write_report([run], tmp_path / "r.md").read_text(encoding="utf-8")
    assert "| parameter | value | unit | source | checked |" in text
    rows = [line for line in text.splitlines() if line.startswith("| Zone volume")]
    assert rows
    data = json.loads(write_report([run], tmp_path / "r.json").read_text(encoding="utf-8"))
    assert data["summaries"]["run"]["zone.volume"]["value"] == run.value("zone.volume")
    assert len(data["chapters"][0]["parameters"]) == len(run.resolved["library"]["numbers"])


def test_what_is_no_report_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"\.html, \.md, \.json"):
        write_report([run], tmp_path / "report.pdf")
    with pytest.raises(CaseError, match="nothing given"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(CaseError, match="no such run folder"):
        write_report([tmp_path / "nowhere"], tmp_path / "report.html")
    broken = write_sample(tmp_path / "broken")
    write_json(broken / "status", {"state": "failed", "message": "a reason"})
    with pytest.raises(CaseError, match="not finished"):
        write_report([broken], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (4.1e-8, "m", ("41", "nm")),
        (0.0123, "m", ("12.3", "mm")),
        (0.0, "m", ("0", "mm")),
        (-0.002, "m", ("-2", "mm")),
        (8.0e-10, "m^3/s", ("48", "µl/min")),
        (4.5e-8, "kg", ("45", "µg")),
        (90.0, "s", ("1.5", "min")),
        (3.0, "s", ("3", "s")),
        (None, "m", ("-", "")),
        (float("nan"), "m", ("-", "nm")),
    ],
)
def test_units_for_people(value: float | None, unit: str, expected: tuple[str, str]) -> None:
    assert readable(value, unit)[0] == expected[0]
    assert value != value or readable(value, unit) == expected


def test_a_scene_that_turns(run: Run) -> None:
    pytest.importorskip("trame_vtk")
    from thermal.view.rendering import rendering_problem
    from thermal.view.spin import turning_scene

    if rendering_problem() is not None:
        pytest.skip("nothing can be rendered here")
    page, why = turning_scene(read_run(run.folder))
    assert why == ""
    assert page is not None
    assert "OfflineLocalView.load" in page


def test_zeros_of_organs_that_lost_nothing_are_left_out(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    summary |= {
        f"zone.lost.{name}": {"value": value, "unit": "m^3"} for name, value in (("spleen", 0.0), ("liver", 1e-6))
    }
    write_json(folder / "summary.json", summary)
    (chapter,) = content([read_run(folder)]).chapters
    assert [row for row in chapter.zone if row[0].startswith("Lost")] == [("Lost: liver", "1", "ml")]


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (
            (0.014, 0.011, 0.012),
            ["destroyed the whole tumour", "1.0 mm at its thinnest", "7.7 ml", "3.6 ml of it healthy"],
        ),
        ((0.014, 0.008, 0.012), ["left 20.0 % of the tumour alive", "sticks out of the zone by 2.0 mm"]),
    ],
)
def test_in_short(tmp_path: Path, axes: tuple[float, float, float], words: list[str]) -> None:
    report = content([read_run(write_sample(tmp_path / "run", zone_axes=axes, cells=10))])
    (said,) = report.brief
    for word in words:
        assert word in said
    assert "What limited it - " in said


@pytest.mark.usefixtures("flat")
def test_print_opens_what_is_folded(run: Run, tmp_path: Path) -> None:
    """In a real Chromium: the sources of the numbers are on paper, and nothing is wider than a phone."""
    playwright = pytest.importorskip("playwright.sync_api")
    from test_web import CHROMIUM, FLAGS

    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    path = write_report([run], tmp_path / "report.html")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 390, "height": 844})
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        source = page.locator("#source-1")
        assert not source.is_visible()
        page.emulate_media(media="print")
        assert source.is_visible()
        sheets = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
        assert 2 <= sheets <= 8  # of one small run; with a row a number and its source it was forty
        assert all(url.startswith(("file:", "data:")) for url in fetched)
        browser.close()
