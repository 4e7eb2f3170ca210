"""Reports as HTML (one file that needs nothing else), Markdown or JSON, by the ending of the name."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from thermal.comparison import describe
from thermal.errors import CaseError
from thermal.report.content import Content, content
from thermal.store import Run, read_run
from thermal.store.files import json_safe, write_text
from thermal.view import RenderingError, rendering_problem, style
from thermal.view.lighter import lighter
from thermal.view.panels import draw_history, draw_moments
from thermal.view.pictures import draw_stage
from thermal.view.scene import run_stage
from thermal.view.sheet import headline, in_legend_order
from thermal.view.side_by_side import draw_figure, draw_zones
from thermal.view.slices import draw_slices
from thermal.view.spin import ROLES, turning_scene


@dataclass(frozen=True)
class Picture:
    """A picture inside the page: a data URL and the text for who cannot see it."""

    source: str
    alt: str


@dataclass(frozen=True)
class Pictures:
    """The pictures of one run; ``scene`` is a page of its own."""

    shown: Sequence[Picture]
    scene: str | None
    key: Sequence[tuple[str, str]]
    """what each colour of the scene means"""
    missing: Sequence[str]
    """what could not be drawn, and why"""


def write_report(targets: Sequence[Run | Path | str], path: Path | str, *, title: str = "") -> Path:
    """Write a report on finished runs to ``path`` (.html, .md or .json) and return the path.

    Raises ``CaseError`` for folders that are no finished runs and for other endings.
    """
    target = Path(path)
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise CaseError(f"{target}: found the ending {target.suffix!r}; a report ends with {', '.join(_WRITERS)}")
    if not targets:
        raise CaseError("report: nothing given; write: thermal report RUN ... -o report.html")
    runs = [entry if isinstance(entry, Run) else read_run(entry) for entry in targets]
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, write(content(runs, title), runs))
    return target


def _as_html(report: Content, runs: Sequence[Run]) -> str:
    pictures = [_pictures(run) for run in runs]
    return _page("page.html", report, runs, pictures=pictures, together=_together(runs) if len(runs) > 1 else None)


def _as_markdown(report: Content, runs: Sequence[Run]) -> str:
    return _page("page.md", report, runs)


def _as_json(report: Content, runs: Sequence[Run]) -> str:
    everything = {
        **asdict(report),
        "summaries": {run.name: dict(run.summary) for run in runs},
        "purpose": style.RESEARCH_NOTE,
    }
    return json.dumps(json_safe(everything), indent=2, ensure_ascii=False) + "\n"


_WRITERS: dict[str, Callable[[Content, Sequence[Run]], str]] = {
    ".html": _as_html,
    ".md": _as_markdown,
    ".json": _as_json,
}


def _page(name: str, report: Content, runs: Sequence[Run], **more: Any) -> str:
    from jinja2 import Environment, StrictUndefined

    text = (resources.files("thermal.report") / name).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=name.endswith(".html"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text).render(report=report, runs=runs, purpose=style.RESEARCH_NOTE, **more)


def _pictures(run: Run) -> Pictures:
    """All pictures of a run, drawn anew."""
    shown, missing = [], []
    run = lighter(run)
    stage = run_stage(run)
    key = list({layer.label: layer.colour for layer in in_legend_order(stage.layers) if layer.role in ROLES}.items())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        problem = rendering_problem()
        if problem is None:
            drawn = draw_stage(stage, folder / "overview.png", headline(run.summary))
            shown.append(_inside(drawn, f"3-D picture of the treatment: {_said(run)}"))
        else:
            missing.append(f"no 3-D picture: {problem}")
        slices = draw_slices(run, folder / "slices.png")
        shown.append(
            _inside(slices, "three slices through the tumour: regions above, temperature below, course under them")
        )
        moments = draw_moments(run, folder / "moments.png")
        if moments is not None:
            shown.append(
                _inside(moments, "the axial slice through the tumour at several times, coloured by temperature")
            )
        history = draw_history(run.history, folder / "history.png")
        if history is not None:
            shown.append(_inside(history, "plots over time of temperatures, power and what else was recorded"))
    scene, why = turning_scene(run, stage)
    return Pictures(shown, scene, key, [*missing, *([why] if why and not missing else [])])


def _said(run: Run) -> str:
    """The picture in numbers."""
    return ", ".join(f"{name} {value}" for name, value in headline(run.summary))


def _together(runs: Sequence[Run]) -> Sequence[Picture]:
    treatments = describe(runs)
    with tempfile.TemporaryDirectory() as scratch:
        figure = draw_figure(treatments, Path(scratch) / "figure.png")
        shown = [
            _inside(figure, "bars: tissue destroyed, tumour covered, smallest margin and size of the zone of each run")
        ]
        try:
            zones = draw_zones(treatments, Path(scratch) / "zones.png")
            shown.append(_inside(zones, "the ablation zones over the tumour side by side, seen by the same camera"))
        except RenderingError:
            pass  # said once a run
    return shown


def _inside(path: Path, alt: str) -> Picture:
    return Picture("data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(), alt)
