"""Commands about a case: write one, check it, run it, show it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from thermal.commands.options import (
    DONE,
    REFUSED,
    AnatomyName,
    EngineName,
    ErrorEstimate,
    Force,
    Out,
    Quiet,
    Resume,
    Set,
    complain,
    placed,
)
from thermal.commands.summary import summarise
from thermal.engines import ranks

if TYPE_CHECKING:
    from thermal.case import Case
    from thermal.store import Run


def init(*names: Annotated[str, Parameter(help="[TEMPLATE] FILE")]) -> int:
    """Write a commented case file to start from: thermal init [TEMPLATE] FILE. Without arguments, list templates."""
    from thermal.case.templates import DEFAULT, templates
    from thermal.errors import CaseError

    known = templates()
    if not names:
        print("templates (thermal init TEMPLATE FILE.toml):")
        for name, text in known.items():
            print(f"  {name:<14} {text.splitlines()[0].lstrip('# ')}")
        return DONE
    if len(names) > 2:
        raise CaseError(f"init: found {len(names)} names; expected thermal init [TEMPLATE] FILE")
    template = names[0] if len(names) == 2 or names[0] in known else DEFAULT
    target = Path(names[1] if len(names) == 2 else f"{template}.toml" if names[0] in known else names[0])
    if template not in known:
        from thermal.case.report import suggest

        raise CaseError(f'init: "{template}" is no template; {suggest(template, known, "templates")}')
    try:
        with target.open("x", encoding="utf-8") as stream:
            stream.write(known[template])
    except FileExistsError:
        raise CaseError(f"init: {target} exists and is left as it is; choose another name or delete it") from None
    except OSError as error:
        raise CaseError(f"init: {target} cannot be written ({error.strerror}); choose another place") from None
    print(f"wrote {target}; next: thermal run {target}")
    return DONE


def validate(*cases: Path, set: Set = None, anatomy: AnatomyName = None) -> int:
    """Check case and sweep files and everything that can be checked without solving; every problem at once. Says what
    a run will take of time and memory."""
    from thermal.case.load import read_file
    from thermal.errors import CaseError, one_line

    if not cases:
        raise CaseError("validate: no case given; write: thermal validate CASE.toml ...")
    bad = 0
    for path in cases:
        try:
            if read_file(path).is_sweep:
                what, notes = _sweep_notes(path, set, anatomy)
            else:
                what, notes = "valid", _case_notes(path, set, anatomy)
        except CaseError as error:
            bad += 1
            complain(error)
        else:
            print(one_line(f"{path}: {what}"))
            for note in notes:
                print(f"  note: {one_line(note)}")
    if bad and len(cases) > 1:
        print(f"{bad} of {len(cases)} files have problems", file=sys.stderr)
    return REFUSED if bad else DONE


def _case_notes(path: Path, set: Sequence[str] | None, anatomy: str | None) -> list[str]:
    from thermal.case import load_case

    case = load_case(path, set or (), anatomy)
    from thermal import simulation  # imported only once the file itself is right: it takes seconds

    with placed(case):
        return [*case.notes(), *simulation.check(case)]


def _sweep_notes(path: Path, set: Sequence[str] | None, anatomy: str | None) -> tuple[str, list[str]]:
    """What the sweep is, and notes on it."""
    from thermal.batch.preview import preview
    from thermal.batch.sweep import load_sweep
    from thermal.errors import CaseError

    if set or anatomy is not None:
        raise CaseError(
            f"{path}: is a sweep, which --set and --anatomy do not change; write set = {{ ... }} and anatomies = [...] "
            "into it"
        )
    found = preview(load_sweep(path))
    return f"valid sweep of {found.runs} run{'s' if found.runs > 1 else ''}", list(found.notes)


def _idle_ranks(case: Case) -> tuple[str, ...]:
    """What to say of several ranks, of which a serial engine leaves all but the first without work."""
    count = ranks.place()[1]
    if count == 1 or case.numerics.engine != "serial":
        return ()
    return (f'{count} ranks were started, but numerics.engine = "serial" works on one; add --engine dolfinx',)


def run(
    case: Path,
    /,
    *,
    out: Out = None,
    set: Set = None,
    anatomy: AnatomyName = None,
    engine: EngineName = None,
    error_estimate: ErrorEstimate = False,
    resume: Resume = False,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Simulate one case into a run folder (default: results/NAME)."""
    from thermal.case import load_case

    if engine is not None:
        set = [*(set or ()), f"numerics.engine={engine}"]
    if error_estimate:
        set = [*(set or ()), "numerics.error_estimate=true"]
    loaded = load_case(case, set or (), anatomy)
    folder_path = out if out is not None else Path("results") / loaded.name
    from thermal.progress import progress
    from thermal.store import RunFolder, read_run

    for note in (*loaded.notes(), *_idle_ranks(loaded)):
        print(f"note: {note}", file=sys.stderr)
    with RunFolder.open(folder_path, loaded, resume=resume, force=force) as folder:
        if folder.finished:
            print(f"{folder_path}: this case is already done; to run it again use --force")
            return DONE
        from thermal.simulation import simulate

        try:
            with progress(loaded.name, quiet) as report, placed(loaded):
                simulate(loaded, folder, report)
        except KeyboardInterrupt as error:
            error.add_note(f"go on with: thermal run {_again(case, folder_path, set, anatomy)} --resume")
            raise
    result = read_run(folder_path)
    if loaded.output.pictures:
        _draw(result)
    if not quiet:
        summarise(result)
    return DONE


def _again(case: Path, folder: Path, set: Sequence[str] | None, anatomy: str | None) -> str:
    import shlex

    words = [str(case), "--out", str(folder)]
    for text in set or ():
        words += ["--set", text]
    return shlex.join(words + (["--anatomy", anatomy] if anatomy is not None else []))


def _draw(result: Run) -> None:
    """Draw the pictures; a machine without graphics gets none, and is told so."""
    try:
        from thermal.view import draw
    except ImportError as error:  # a system library that VTK is linked to
        logging.getLogger("thermal").warning("no pictures: %s; thermal doctor says what to install", error)
        return
    draw(result)
