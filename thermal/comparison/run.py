"""Cases and finished runs are compared: run where they are not done, then written side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thermal.comparison.differences import anatomy_differences, doubts
from thermal.comparison.protocol import Protocol
from thermal.comparison.tables import Comparison, as_csv, as_json, as_markdown
from thermal.comparison.work import Report, RunCase, in_turn, side_by_side
from thermal.errors import CaseError
from thermal.store import Run, read_run
from thermal.store.files import write_json, write_text
from thermal.view import style
from thermal.view.aside import Aside
from thermal.view.treatment import Treatment

if TYPE_CHECKING:
    from thermal.case import Case


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CaseError(
            f"{folder}: cannot be written to ({error.strerror}); choose another folder with --out"
        ) from None
    cases = [entry for entry in entries if not isinstance(entry, Run)]
    todo = dict(zip(_folder_names(cases), cases, strict=True))
    with Aside() as aside:
        if jobs > 1 and len(todo) > 1:
            outcomes = side_by_side(todo, folder, force, min(jobs, len(todo)), report, aside)
        else:
            outcomes = in_turn(todo, folder, force, report, aside, run_case)
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
    notes = [*anatomy_differences(treatments), *([] if shared is None else [shared]), *doubts(treatments)]
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
        given = style.words(material) if isinstance(material, str) else "particles"
        return f"chemical ablation ({given})" if run.zone_law == "chemical" else f"{words} + {given}"
    return words
