"""Treatments side by side: one table, one figure, one 3-D picture.

The numbers are those that each run measured and wrote into its summary; nothing is measured again here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thermal.crew import Crew, possible, tell
from thermal.engines import ranks
from thermal.errors import CaseError
from thermal.limits import what_limited
from thermal.machine import cores, free_memory
from thermal.measures import MEASURES, Measure
from thermal.protocol import Protocol
from thermal.store import Run, RunFolder, read_run
from thermal.store.files import write_json, write_text
from thermal.units import Array
from thermal.view import style
from thermal.view.aside import Aside
from thermal.view.cells import box, cell_centres, cell_volumes
from thermal.view.treatment import Treatment

if TYPE_CHECKING:
    from rich.table import Table

    from thermal.case import Case
    from thermal.workshop import Workshop

Report = Callable[[str, float], None]
"""Called with the stage and the share of it that is done, 0 to 1."""

RunCase = Callable[["Case", Path, bool, Report], Run]
"""Runs a case in a folder (a finished run of the same case is reused unless forced) and returns its results."""

LISTENING = 0.2
"""s between looks at what processes side by side say."""
BIOHEAT, BEFORE_BIOHEAT = "bioheat", 0.2
"""The longest stage of a run, and the share of a run that is over when it begins."""
MEMORY_OF_A_RUN = 1.3e9
"""Bytes that a run of 300 000 nodes may take while its light is computed, which takes most."""
VOLUME_TOLERANCE = 0.02  # relative; the same tumour on two grids of a labelled image differs by less
PLACE_TOLERANCE = 0.5  # mm, of the tumour's centre and of the corners of the window


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    ``treatments``: one a run, in the order given. ``notes``: what makes the comparison doubtful, e.g. different
    anatomies. ``files``: what was written. ``str()`` gives the table as plain text.
    """

    treatments: tuple[Treatment, ...]
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The lines of the table: those that at least one run has."""
        return tuple(m for m in MEASURES if any(m.value(t.run.summary) is not None for t in self.treatments))

    def table(self) -> Table:
        """A rich table: one column a treatment, one line a measure."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title="Comparison of treatments", title_justify="left", pad_edge=False)
        table.add_column("", no_wrap=True)
        for treatment in self.treatments:
            table.add_column(Text(treatment.title), justify="right")
        table.add_row("Modality", *(Text(t.modality) for t in self.treatments))
        for measure in self.measures:
            table.add_row(Text(measure.heading), *(measure.text(t.run.summary) for t in self.treatments))
        return table

    def __str__(self) -> str:
        """The table, the notes and the files, as plain text."""
        from rich.console import Console

        stream = io.StringIO()
        width = 34 + 26 * len(self.treatments)
        Console(file=stream, width=max(width, 60), no_color=True, highlight=False).print(self.table())
        lines = [stream.getvalue().rstrip()]
        lines += [f"{t.title}: {what_limited(t.run)}" for t in self.treatments]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"wrote {path}" for path in self.files]
        return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines())


def compare(
    targets: Sequence[Path | str | Run],
    out: Path | str = Path("results") / "compare",
    *,
    anatomy: str | Path | None = None,
    protocol: Protocol | None = None,
    force: bool = False,
    jobs: int = 1,
    progress: Report | None = None,
    run_case: RunCase | None = None,
) -> Comparison:
    """Compare cases and finished runs; cases that are not done are run first, into ``out/NAME``.

    ``targets``: case files, run folders or runs. ``anatomy``: use this anatomy in place of the one the cases extend.
    ``protocol``: what all cases share, so that the comparison is fair; finished runs keep theirs.
    ``force``: run again what is already done. ``jobs``: cases run at once, in processes of their own (a script that
    asks for them is to be guarded by ``if __name__ == "__main__"``). ``run_case``: how to run one case in this process,
    by default :func:`run_one`.

    All case files are read before anything is run: a bad one raises ``CaseError`` with the problems of all. A run that
    fails does not stop the others; its error is raised at the end, after the comparison of the others was written.
    """
    if not targets:
        raise CaseError("compare: nothing given; give case files or run folders")
    folder = Path(out)
    report: Report = progress or (lambda stage, share: None)
    entries = _load(targets, anatomy)
    if protocol is not None:
        entries = [entry if isinstance(entry, Run) else protocol.of(entry) for entry in entries]
    cases = [entry for entry in entries if not isinstance(entry, Run)]
    todo = dict(zip(_folder_names(cases), cases, strict=True))
    with Aside() as aside:
        if jobs > 1 and len(todo) > 1:
            outcomes = _side_by_side(todo, folder, force, min(jobs, len(todo)), report, aside)
        else:
            outcomes = _in_turn(todo, folder, force, report, aside, run_case)
        failures = [(name, outcome) for name, outcome in outcomes.items() if isinstance(outcome, Exception)]
        ran = iter(outcomes.values())
        every = [entry if isinstance(entry, Run) else next(ran) for entry in entries]
        runs = [entry for entry in every if isinstance(entry, Run)]
        comparison = None
        if runs:
            report("pictures", 0.0)
            comparison = write_comparison(runs, folder, protocol, aside)
    if failures or comparison is None:
        (name, first), *others = failures
        for other, reason in others:
            first.add_note(f"{other} failed too: {reason}")
        first.add_note(f"{name} failed; " + (f"the others are compared in {folder}" if runs else "nothing to compare"))
        raise first
    return comparison


def _in_turn(
    cases: Mapping[str, Case], folder: Path, force: bool, report: Report, aside: Aside, run_case: RunCase | None
) -> dict[str, Run | Exception]:
    """One case after the other in this process: its run, or why there is none."""
    from thermal.workshop import Workshop

    run_next = run_case or partial(run_one, workshop=Workshop(1))
    outcomes: dict[str, Run | Exception] = {}
    for name, case in cases.items():
        try:
            outcomes[name] = run_next(case, folder / name, force, _prefixed(name, report))
            if run_case is None:
                _draw_missing(folder / name, aside)
        except Exception as error:  # raised again by the caller
            outcomes[name] = error
    return outcomes


def _side_by_side(
    cases: Mapping[str, Case], folder: Path, force: bool, jobs: int, report: Report, aside: Aside
) -> dict[str, Run | Exception]:
    """The same, ``jobs`` at once in processes of their own."""
    crew = Crew(jobs)
    share = dict.fromkeys(cases, 0.0)
    outcomes: dict[str, Run | Exception] = {}
    try:
        running = {crew.submit(_run_apart, case, folder / name, force, name): name for name, case in cases.items()}
        while running:
            done = wait(running, timeout=LISTENING, return_when=FIRST_COMPLETED).done
            for name, stage, part in crew.heard():
                share[name] = max(
                    share[name], BEFORE_BIOHEAT + (1.0 - BEFORE_BIOHEAT) * part if stage == BIOHEAT else 0.0
                )
            for future in done:
                name = running.pop(future)
                share[name] = 1.0
                error = future.exception()
                if error is None:
                    outcomes[name] = read_run(folder / name)
                    _draw_missing(folder / name, aside)
                elif isinstance(error, Exception):
                    outcomes[name] = error
                else:
                    raise error
            report(f"{len(cases)} runs, {jobs} at once", sum(share.values()) / len(cases))
    finally:
        crew.close()
    return {name: outcomes[name] for name in cases}


def _run_apart(case: Case, folder: Path, force: bool, name: str) -> None:
    """Run a case in a process of a crew."""
    run_one(case, folder, force, partial(tell, name), _shared_workshop())


@cache
def _shared_workshop() -> Workshop:
    from thermal.workshop import Workshop

    return Workshop(1)


def _draw_missing(folder: Path, aside: Aside) -> None:
    """Have the pictures of a run drawn if there are none."""
    if not (folder / "slices.png").exists():
        aside.draw(folder)


def jobs_that_fit(cases: int) -> int:
    """How many of some cases to run at once on the cores and in the memory that are free."""
    if ranks.place()[1] > 1 or not possible():
        return 1
    room = free_memory()
    fitting = cases if room is None else int(room / MEMORY_OF_A_RUN)
    return max(1, min(cases, cores(), fitting))


def run_one(case: Case, folder: Path, force: bool, report: Report, workshop: Workshop | None = None) -> Run:
    """Run ``case`` in ``folder``: a finished run of it is reused, an unfinished one resumed, ``force`` starts again.

    ``workshop``: keeps the anatomy for the next one.
    """
    from thermal.simulation import simulate

    with RunFolder.open(folder, case, resume=not force, force=force) as prepared:
        return read_run(folder) if prepared.finished else simulate(case, prepared, report, workshop=workshop)


def write_comparison(
    runs: Sequence[Run], out: Path | str, protocol: Protocol | None = None, aside: Aside | None = None
) -> Comparison:
    """Write ``comparison.csv``, ``.json``, ``.md`` (tables), ``comparison.png`` and ``comparison_3d.png`` into ``out``.

    ``aside``: who drew the runs already, and draws the comparison from what it kept of them.
    Where nothing can be rendered, the 3-D picture is left out and a note says why.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    treatments = describe(runs)
    shared = None if protocol is None else protocol.note
    notes = [*anatomy_differences(treatments), *([] if shared is None else [shared]), *_doubts(treatments)]
    files = [folder / f"comparison.{kind}" for kind in ("csv", "json", "md")]
    drawn, problem = (aside or Aside()).compare(treatments, folder)
    files += drawn
    if problem is not None:
        notes.append(f"no 3-D picture: {problem}")
    comparison = Comparison(treatments, tuple(notes), tuple(files))
    write_text(files[0], as_csv(comparison))
    write_json(files[1], as_json(comparison))
    write_text(files[2], as_markdown(comparison))
    return comparison


def describe(runs: Sequence[Run]) -> tuple[Treatment, ...]:
    """Each run with its title, its modality in words and its colour."""
    colours = [style.CASES[index % len(style.CASES)] for index in range(len(runs))]
    return tuple(
        Treatment(run, title, _modality(run), c) for run, title, c in zip(runs, _titles(runs), colours, strict=True)
    )


def as_csv(comparison: Comparison) -> str:
    """One row a treatment, one column a measure; the unit stands in the heading."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["run", "title", "modality", *(measure.heading for measure in comparison.measures)])
    for treatment in comparison.treatments:
        values = [measure.value(treatment.run.summary) for measure in comparison.measures]
        cells = ["" if v is None else v if isinstance(v, str) else f"{v:.6g}" for v in values]
        writer.writerow([treatment.run.name, treatment.title, treatment.modality, *cells])
    return stream.getvalue()


def as_json(comparison: Comparison) -> dict[str, object]:
    """The summaries behind the table in SI units, with the notes."""
    return {
        "treatments": [
            {
                "run": str(t.run.folder),
                "title": t.title,
                "modality": t.modality,
                "limit": what_limited(t.run),
                "measures": {key: t.run.summary[key] for m in MEASURES for key in m.keys if key in t.run.summary},
            }
            for t in comparison.treatments
        ],
        "notes": list(comparison.notes),
        "purpose": style.RESEARCH_NOTE,
    }


def as_markdown(comparison: Comparison) -> str:
    """The table with one column a treatment, what each line means, and the notes."""
    heads = [t.title.replace("|", "/") for t in comparison.treatments]
    lines = [
        "# Comparison of treatments",
        "",
        *([f"> **Note:** {note}" + "\n" for note in comparison.notes]),
        f"|  | {' | '.join(heads)} |",
        f"| --- |{' ---: |' * len(heads)}",
        f"| Modality | {' | '.join(t.modality for t in comparison.treatments)} |",
    ]
    for measure in comparison.measures:
        cells = (measure.text(t.run.summary).replace("|", "/") for t in comparison.treatments)
        lines.append(f"| {measure.heading} | {' | '.join(cells)} |")
    lines += ["", "## What limited them", ""]
    lines += [f"- **{head}**: {what_limited(t.run)}" for head, t in zip(heads, comparison.treatments, strict=True)]
    lines += ["", "## What the lines mean", ""]
    lines += [f"- **{measure.name}**: {measure.meaning}" for measure in comparison.measures]
    lines += ["", "![figure](comparison.png)", "", "![zones in 3-D](comparison_3d.png)", "", style.RESEARCH_NOTE + "."]
    return "\n".join(lines) + "\n"


def anatomy_differences(treatments: Sequence[Treatment]) -> list[str]:
    """Sentences on treatments whose tumour or window is not that of the first; empty when all share one anatomy."""
    notes = []
    first, *others = [(t, *_anatomy_figures(t.run)) for t in treatments]
    for treatment, volume, centre, window in others:
        differing = []
        if abs(volume - first[1]) > VOLUME_TOLERANCE * max(volume, first[1]):
            differing.append(f"the tumour has {volume * 1e6:.2f} ml, not {first[1] * 1e6:.2f} ml")
        elif np.linalg.norm(centre - first[2]) > PLACE_TOLERANCE:
            differing.append(f"the tumour lies {np.linalg.norm(centre - first[2]):.1f} mm away")
        if np.abs(window - first[3]).max() > PLACE_TOLERANCE:
            differing.append("the computed window is another")
        if differing:
            notes.append(
                f"DIFFERENT ANATOMY: in {treatment.title} {' and '.join(differing)} (against {first[0].title}); "
                "the zones of these two must not be compared"
            )
    return notes


def _anatomy_figures(run: Run) -> tuple[float, Array, Array]:
    """Tumour volume (m3), its centre (3,) mm, corners of the window (3, 2) mm."""
    domain = run.domain
    share = domain.shares.get(run.tumour)
    window = box(domain)
    if share is None:
        return 0.0, window.mean(axis=1), window
    weight = cell_volumes(domain) * share
    centres = cell_centres(domain)
    total = float(weight.sum())
    return total, (weight @ centres / total if total > 0.0 else window.mean(axis=1)), window


def _doubts(treatments: Iterable[Treatment]) -> list[str]:
    """What the runs themselves warn of and the reader of the table must know."""
    notes = []
    laws = {t.run.zone_law for t in treatments}
    if len(laws) > 1:
        used = ", ".join(sorted(style.law_words(law) for law in laws))
        notes.append(f"the zones are judged by different criteria of death ({used}), each after its own kind of injury")
    for treatment in treatments:
        touches = treatment.run.summary.get("zone.touches_boundary", {}).get("value")
        if touches:
            notes.append(f"{treatment.title}: the zone reaches the border of the window, so its size is a lower bound")
    return notes


def _load(targets: Sequence[Path | str | Run], anatomy: str | Path | None) -> list[Run | Case]:
    """Runs read and cases parsed. Raises ``CaseError`` with the problems of all."""
    from thermal.case import load_case

    loaded: list[Run | Case] = []
    problems: list[str] = []
    for target in targets:
        try:
            if isinstance(target, Run):
                loaded.append(target)
            elif Path(target).is_dir():
                loaded.append(read_run(target))
            else:
                loaded.append(load_case(target, (), anatomy))
        except CaseError as error:
            problems += error.problems
    if problems:
        raise CaseError(*problems)
    return loaded


def _folder_names(cases: Sequence[Case]) -> list[str]:
    """One folder name a case: its own, with the name of its folder before it where two are alike."""
    names: list[str] = []
    plain = [case.name for case in cases]
    for case in cases:
        name = case.name if plain.count(case.name) == 1 else f"{case.folder.resolve().name}-{case.name}"
        while name in names:
            name += "-again"
        names.append(name)
    return names


def _prefixed(name: str, report: Report) -> Report:
    return lambda stage, share: report(f"{name}: {stage}", share)


def _titles(runs: Sequence[Run]) -> list[str]:
    """One heading a run: its title, with the name of its folder where two are alike."""
    plain = [run.title or run.name for run in runs]
    return [
        title if plain.count(title) == 1 else f"{title} ({run.name})" for run, title in zip(runs, plain, strict=True)
    ]


_MODALITIES = {
    "photothermal": "laser",
    "magnetic": "magnetic field",
    "rfa": "radiofrequency",
    "cryo": "cryoablation",
    "microwave": "microwaves (empirical pattern)",
    "prescribed": "prescribed heat",
    "temperature": "prescribed temperature",
    "none": "no heating",
}


def _modality(run: Run) -> str:
    """What heats or freezes, and with which particles, as the resolved case says."""
    heating = run.resolved.get("heating")
    kind = str(heating.get("kind", "")) if isinstance(heating, dict) else ""
    words = _MODALITIES.get(kind, style.words(kind)) or "unknown"
    particles, delivery = run.resolved.get("particles"), run.resolved.get("delivery")
    delivered = isinstance(delivery, dict) and delivery.get("kind", "none") != "none"
    if isinstance(particles, dict) and delivered:
        material = particles.get("material")
        return f"{words} + {style.words(material) if isinstance(material, str) else 'particles'}"
    return words
