"""The command line. Commands import what they need when they run, so that ``--help`` and ``validate`` are quick."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import App, CycloptsError

from thermal.commands import cases, facts, many, runs
from thermal.commands.options import DONE, FAILED, INTERRUPTED, NOT_CONVERGED, PURPOSE, REFUSED, complain
from thermal.engines import ranks

# Threads that wait must not spin: several runs may share the cores, and small vector products gain nothing from them.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _version() -> str:
    import thermal

    return str(thermal.__version__)


app = App(
    name="thermal",
    help=f"Simulate nanoparticle-mediated tumour ablation: one case file from anatomy to ablation zone.\n\n{PURPOSE}",
    version=_version,
)

<<<<<<< HEAD
for _command in (
    cases.init, cases.validate, cases.run, many.compare, many.batch, cases.view, runs.export, runs.report, runs.cite,
    facts.materials, facts.particle, facts.schema, facts.doctor,
):  # fmt: skip
    app.command(_command)
=======
Set = Annotated[
    list[str] | None, Parameter(name="--set", negative=(), help="Change a value: table.key=value. May be repeated.")
]
Out = Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder for the results.")]
AnatomyName = Annotated[
    str | None, Parameter(name="--anatomy", help="Use NAME.toml beside the extended anatomy file, or a path.")
]
ErrorEstimate = Annotated[
    bool,
    Parameter(
        name="--error-estimate",
        negative=(),
        help="Also run the case more coarsely and state the error of zone and peak temperature; the same as "
        "--set numerics.error_estimate=true.",
    ),
]
EngineName = Annotated[
    str | None,
    Parameter(name="--engine", help='"dolfinx": on all ranks of mpirun; the same as --set numerics.engine=...'),
]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), help="No progress, no summary.")]
Resume = Annotated[bool, Parameter(name="--resume", negative=(), help="Go on with an unfinished run.")]
Force = Annotated[bool, Parameter(name="--force", negative=(), help="Replace the run that the folder holds.")]


@app.command
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


@app.command
def validate(*cases: Path, set: Set = None, anatomy: AnatomyName = None) -> int:
    """Check case files and everything that can be checked without solving; every problem at once."""
    from thermal.case import load_case
    from thermal.errors import CaseError

    if not cases:
        raise CaseError("validate: no case given; write: thermal validate CASE.toml ...")
    bad = 0
    for path in cases:
        try:
            case = load_case(path, set or (), anatomy)
            from thermal import simulation  # imported only once the file itself is right: it takes seconds

            with _placed(case):
                notes = simulation.check(case)
        except CaseError as error:
            bad += 1
            _complain(error)
        else:
            print(f"{path}: valid")
            for note in [*case.notes(), *notes]:
                print(f"  note: {note}")
    if bad and len(cases) > 1:
        print(f"{bad} of {len(cases)} cases have problems", file=sys.stderr)
    return REFUSED if bad else DONE


@app.command
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

    for note in loaded.notes():
        print(f"note: {note}", file=sys.stderr)
    with RunFolder.open(folder_path, loaded, resume=resume, force=force) as folder:
        if folder.finished:
            print(f"{folder_path}: this case is already done; to run it again use --force")
            return DONE
        from thermal.simulation import simulate

        try:
            with progress(loaded.name, quiet) as report, _placed(loaded):
                simulate(loaded, folder, report)
        except KeyboardInterrupt as error:
            error.add_note(f"go on with: thermal run {_again(case, folder_path, set, anatomy)} --resume")
            raise
    result = read_run(folder_path)
    if loaded.output.pictures:
        _draw(result)
    if not quiet:
        _summarise(result)
    return DONE


def _again(case: Path, folder: Path, set: Sequence[str] | None, anatomy: str | None) -> str:
    import shlex

    words = [str(case), "--out", str(folder)]
    for text in set or ():
        words += ["--set", text]
    return shlex.join(words + (["--anatomy", anatomy] if anatomy is not None else []))


@app.command
def compare(
    *cases_or_runs: Path,
    out: Out = None,
    anatomy: AnatomyName = None,
    time: Annotated[str | None, Parameter(help='Equal protocol time: "12 min" of heating or freezing for all.')] = None,
    margin: Annotated[
        str | None,
        Parameter(help='The same goal: treat until the tumour and, e.g., "5 mm" around it are covered.'),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Compare cases or finished runs: one table, one figure, one picture; cases that are not done are run first."""
    from thermal.errors import CaseError

    if not cases_or_runs:
        raise CaseError("compare: nothing given; write: thermal compare CASE_OR_RUN ... --out DIR")
    from thermal.comparison import compare as compare_runs
    from thermal.progress import progress
    from thermal.protocol import Protocol

    target = out if out is not None else Path("results") / "compare"
    protocol = Protocol(_given(time, "s", "--time"), _given(margin, "m", "--margin"))
    try:
        with progress("compare", quiet) as report:
            result = compare_runs(
                cases_or_runs, target, anatomy=anatomy, protocol=protocol, force=force, progress=report
            )
    except KeyboardInterrupt as error:
        error.add_note("the same command goes on with what is not done yet")
        raise
    print(result)
    print(PURPOSE)
    return DONE


def _given(text: str | None, unit: str, option: str) -> float | None:
    """The quantity that an option gives, in ``unit``. Raises ``CaseError``."""
    from thermal.errors import CaseError
    from thermal.units import parse

    try:
        return None if text is None else parse(text, unit)
    except ValueError as error:
        raise CaseError(f"{option}: {error}") from None


@app.command
def batch(
    sweep: Path,
    /,
    *,
    out: Out = None,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], help="Runs at once on this machine.")] = 1,
    scheduler: Annotated[
        str | None, Parameter(help="Address of a Dask scheduler, e.g. tcp://host:8786, to run on its workers.")
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Run all cases of a sweep file (default: into results/NAME); what is finished is not done again."""
    from thermal.batch import run_batch
    from thermal.progress import progress

    try:
        with progress("batch", quiet) as report:
            done = run_batch(sweep, out, jobs=jobs, scheduler=scheduler, progress=report)
    except KeyboardInterrupt as error:
        error.add_note("the same command goes on with what is not done yet")
        raise
    if not quiet:
        print(
            f"{len(done.outcomes)} runs in {done.folder}, {done.reused} of them done before, {len(done.failed)} failed"
        )
        for path in done.files:
            print(f"wrote {path}")
        print(PURPOSE)
    for name, why in list(done.failed.items())[:10]:
        print(f"failed: {name}: {why}", file=sys.stderr)
    return FAILED if done.failed else DONE


@app.command
def view(
    case_or_run: Path,
    /,
    *,
    screenshot: Annotated[Path | None, Parameter(help="Write a picture instead of opening a window.")] = None,
    set: Set = None,
    anatomy: AnatomyName = None,
) -> int:
    """Show a case before it is solved (anatomy, needles, fibres), or the results of a run."""
    from thermal.case import load_case
    from thermal.store import read_run

    case = None if case_or_run.is_dir() else load_case(case_or_run, set or (), anatomy)
    shown = read_run(case_or_run) if case is None else case
    from thermal.view import RenderingError, show

    try:
        with _placed(case):
            show(shown, screenshot)
    except RenderingError as error:
        print(f"failed: {error}", file=sys.stderr)
        return FAILED
    if screenshot is not None:
        print(f"wrote {screenshot}")
    return DONE


@app.command
def export(
    run: Path,
    /,
    *,
    format: Annotated[
        str,
        Parameter(help="pvd: VTU over time, for ParaView; nifti: volumes; stl: surfaces; csv: a table of the nodes."),
    ] = "pvd",
) -> int:
    """Write the fields of a run for other programs."""
    from thermal.export import export_run

    print(f"wrote {export_run(run, format)}")
    return DONE


@app.command
def report(
    *runs: Path,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The file: .html, .md or .json.")] = Path("report.html"),
    title: Annotated[str, Parameter(help="Its title; default: that of the run.")] = "",
) -> int:
    """Write one file about finished runs: results, pictures, doses, parameters with their sources, provenance."""
    from thermal.report import write_report

    print(f"wrote {write_report(runs, out, title=title)}")
    print(PURPOSE)
    return DONE


@app.command
def cite(run: Path, /) -> int:
    """Say whom to cite for a run: the methods it used, and the sources of its numbers."""
    from thermal.cite import citations
    from thermal.store import read_run

    methods, sources = citations(read_run(run))
    print("methods:")
    for method in methods:
        print(f"  {', '.join(method.what)}: {method.text}")
    print("sources of numbers:")
    for source in sources:
        doubt = f", {source.unverified} of them unverified" if source.unverified else ""
        print(f"  {source.numbers} numbers{doubt}: {source.text}")
    return DONE


@app.command
def materials(name: str | None = None, /) -> int:
    """List the library, or one entry with the source of every number."""
    from thermal import library
    from thermal.case.report import suggest
    from thermal.errors import CaseError

    if name is None:
        for kind in library.KINDS:
            print(f"{kind}:")
            for entry in library.names(kind):
                print(f"  {entry:<28} {library.about(kind, entry)}")
        return DONE
    homes = [kind for kind in library.KINDS if name in library.names(kind)]
    if not homes:
        everything = [entry for kind in library.KINDS for entry in library.names(kind)]
        raise CaseError(f'materials: "{name}" is not in the library; {suggest(name, everything)}')
    for kind in homes:
        print(f"{name} ({kind}): {library.about(kind, name)}")
        for number in library.sources(kind, name):
            doubt = " [unverified]" if number["unverified"] else ""
            note = f" ({number['note']})" if number["note"] else ""
            print(f"  {number['key']} = {number['value']:g} {number['unit']}{doubt}")
            print(f"      {number['source']}{note}")
        for key, fact in library.facts(kind, name).items():
            known = isinstance(fact, dict)
            doubt = " [unverified]" if known and fact.get("unverified") else ""
            print(f"  {key}: {fact['value'] if known else fact}{doubt}")
            if known:
                print(f"      {library.source_of(kind, fact)}")
    return DONE


@app.command
def particle(
    name: str,
    /,
    *,
    spectrum: Annotated[bool, Parameter(negative=(), help="Over wavelengths, as a table and a plot.")] = False,
    wavelength: Annotated[str, Parameter(help="Vacuum wavelength, or from:to:step.")] = "",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="File of the plot (.png, .svg, .pdf).")] = None,
) -> int:
    """What a particle of the library does to light: absorption per mass, cross-sections, albedo, g."""
    from thermal.physics import particles
    from thermal.physics.particles.spectrum import spectrum as computed

    carrier = particles.carrier(name)
    wavelengths = _wavelengths(wavelength or ("500 nm:1100 nm:10 nm" if spectrum else "808 nm"))
    found = computed(carrier, wavelengths)
    columns = found.table()
    print(f"{name}: strongest absorption at {found.peak * 1e9:.0f} nm of those listed")
    print("  ".join(f"{heading:>14}" for heading, _ in columns))
    for row in zip(*(values for _, values in columns), strict=True):
        print(
            "  ".join(f"{value:>{max(14, len(heading))}.5g}" for (heading, _), value in zip(columns, row, strict=True))
        )
    for number in particles.Particle(carrier).sources():
        print(f"# {number['key']} = {number['value']:g} {number['unit']}: {number['source']}")
    if spectrum:
        from thermal.view.spectrum import draw_spectrum

        print(f"wrote {draw_spectrum(found, name, out or Path(f'{name}_spectrum.png'))}")
    return DONE


def _wavelengths(text: str) -> list[float]:
    """One vacuum wavelength, or a range ``from:to:step`` whose unit may stand at its end alone, in m."""
    from thermal.errors import CaseError
    from thermal.units import parse

    parts = [part.strip() for part in text.split(":")]
    unit = parts[-1].lstrip("0123456789.+-eE ")
    try:
        values = [parse(part if part[-1:].isalpha() else f"{part} {unit}", "m") for part in parts]
    except ValueError as error:
        raise CaseError(f"--wavelength: {error}") from None
    if len(values) == 1:
        return values
    if len(values) != 3 or not (0.0 < values[0] <= values[1] and values[2] > 0.0):
        raise CaseError(f'--wavelength: found "{text}"; write "808 nm", or "500:1100:10 nm" as from:to:step')
    start, end, step = values
    count = int((end - start) / step + 1e-6)
    if count > 10_000:
        raise CaseError(f"--wavelength: {count} wavelengths are too many; take a larger step")
    return [start + i * step for i in range(count + 1)]


@app.command
def schema() -> int:
    """Print the JSON schema of case files, for editors."""
    import json

    from thermal.case import case_json_schema

    print(json.dumps(case_json_schema(), indent=2))
    return DONE


@app.command
def doctor() -> int:
    """Check this installation."""
    from thermal.doctor import examine

    broken = False
    for finding in examine():
        word = "ok" if finding.good else "FAILED" if finding.needed else "warning"
        broken |= finding.needed and not finding.good
        print(f"{word:<8}{finding.name}: {finding.text}", flush=True)
    return FAILED if broken else DONE


# ------------------------------------------------------------------------------------------------ plumbing


_SHOWN = (
    "peak_temperature", "lowest_temperature", "zone.law", "zone.volume", "zone.tumour_coverage", "zone.minimum_margin",
    "zone.healthy_volume", "probe.", "ledger.", "wall_time", "peak_memory", "library.",
)  # fmt: skip
"""Entries of the summary that are printed, by how they begin."""


def _draw(result: Run) -> None:
    """Draw the pictures; a machine without graphics gets none, and is told so."""
    try:
        from thermal.view import draw
    except ImportError as error:  # a system library that VTK is linked to
        logging.getLogger("thermal").warning("no pictures: %s; thermal doctor says what to install", error)
        return
    draw(result)


def _summarise(result: Run) -> None:
    """The numbers that matter, and where the rest is."""
    print(f"{result.title}: {result.folder}")
    for key, entry in result.summary.items():
        if key.startswith(_SHOWN):
            text = _readable(entry["value"], entry["unit"])
            if (error := result.summary.get(f"error.{key}")) is not None:
                text += f" +/- {_readable(error['value'], entry['unit'], digits=2)}"
            print(f"  {key:<28} {text}")
    if "error.companion" in result.summary:
        print(f"bands: from a run with {result.value('error.companion')}")
    pictures = [path.name for path in sorted(result.folder.glob("*.png"))]
    print(f"pictures: {', '.join(pictures) or 'none'}; next: thermal view {result.folder}")
    print(PURPOSE)


_SCALES = {"m": (1e3, "mm"), "m^3": (1e6, "ml"), "m3": (1e6, "ml"), "B": (1e-6, "MB")}


def _readable(value: Any, unit: str, digits: int = 4) -> str:
    """A number of the summary in the unit that people use for it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "none" if value is None else str(value)
    factor, shown = _SCALES.get(unit, (1.0, unit))
    return f"{value * factor:.{digits}g} {shown}".strip()


@contextmanager
def _placed(case: Case | None) -> Iterator[None]:
    """Give problems that physics finds their line in the case file."""
    from thermal.errors import CaseError

    try:
        yield
    except CaseError as error:
        raise (error if case is None else case.placed(error)) from error.__cause__


def _complain(error: Exception) -> None:
    for line in getattr(error, "problems", None) or [str(error)]:
        print(f"error: {line}", file=sys.stderr)
>>>>>>> baselines


def _explain(error: BaseException) -> int:
    """Say in a line or two what went wrong; the exit code."""
    from thermal.errors import CaseError

    notes = list(getattr(error, "__notes__", ()))
    if isinstance(error, CaseError):
        complain(error)
        return REFUSED
    if isinstance(error, KeyboardInterrupt):
        print("\ninterrupted; " + ("; ".join(notes) or "nothing was left half written"), file=sys.stderr)
        return INTERRUPTED
    from thermal.engine import NotConvergedError  # not sooner: an interrupted import of NumPy cannot be repeated

    if not any(note.startswith("log: ") for note in notes):
        with tempfile.NamedTemporaryFile("w", prefix="thermal-", suffix=".log", delete=False, encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
        notes.append(f"log: {log.name}")
    words = str(error).splitlines() or [type(error).__name__]
    if isinstance(error, NotConvergedError):
        print(f"not converged: {words[0]} ({'; '.join(notes)})", file=sys.stderr)
        return NOT_CONVERGED
    name = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    print(f"failed: {name}{words[0]} ({'; '.join(notes)})", file=sys.stderr)
    return FAILED


ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run from outside."""


def _terminate(number: int, frame: Any) -> None:
    raise KeyboardInterrupt("terminated")


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP unless it is ignored (``nohup``), end a run as Ctrl-C does: resumable."""
    heeded = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        before = {number: signal.signal(number, _terminate) for number in heeded}
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 bad input, 3 not converged, 130 interrupted.

    Under ``mpirun`` the first rank does so; the others help its engine.
    """
    if ranks.place()[0] > 0:
        return ranks.help_the_first()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: record.exc_info is None)  # tracebacks belong in the log file
    logging.getLogger("thermal").addHandler(handler)
    try:
        with _signals():
            command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=True)
            return int(command(*bound.args, **bound.kwargs) or DONE)
    except CycloptsError:
        return REFUSED
    except BrokenPipeError:  # the reader of our output has gone, as in: thermal materials | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("THERMAL_DEBUG"):
            raise
        return _explain(error)
    finally:
        ranks.dismiss_the_others()
        logging.getLogger("thermal").removeHandler(handler)
