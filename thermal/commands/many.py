"""Commands that run several cases: compare them, sweep over them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thermal.commands.options import DONE, FAILED, PURPOSE, AnatomyName, Force, Out, Quiet


def compare(
    *cases_or_runs: Path,
    out: Out = None,
    anatomy: AnatomyName = None,
    time: Annotated[str | None, Parameter(help='Equal protocol time: "12 min" of heating or freezing for all.')] = None,
    margin: Annotated[
        str | None,
        Parameter(help='The same goal: treat until the tumour and, e.g., "5 mm" around it are covered.'),
    ] = None,
    jobs: Annotated[
        int | None,
        Parameter(name=["--jobs", "-j"], help="Cases run at once; default: as many as cores and memory allow."),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Compare cases or finished runs: one table, one figure, one picture; cases that are not done are run first."""
    from thermal.errors import CaseError

    if not cases_or_runs:
        raise CaseError("compare: nothing given; write: thermal compare CASE_OR_RUN ... --out DIR")
    if jobs is not None and jobs < 1:
        raise CaseError(f"--jobs: found {jobs}; expected at least 1")
    from thermal.comparison import compare as compare_runs
    from thermal.comparison import jobs_that_fit
    from thermal.comparison.protocol import Protocol
    from thermal.progress import progress

    protocol = Protocol(_given(time, "s", "--time"), _given(margin, "m", "--margin"))
    at_once = jobs_that_fit(len(cases_or_runs)) if jobs is None else jobs
    target = out if out is not None else Path("results") / "compare"
    try:
        with progress("compare", quiet) as report:
            result = compare_runs(
                cases_or_runs,
                target,
                anatomy=anatomy,
                protocol=protocol,
                force=force,
                jobs=at_once,
                progress=report,
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


def batch(
    sweep: Path,
    /,
    *,
    out: Out = None,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], help="Runs at once on this machine.")] = 1,
    scheduler: Annotated[
        str | None, Parameter(help="Address of a Dask scheduler, e.g. tcp://host:8786, to run on its workers.")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help="Run as --jobs Slurm jobs: KEY=VALUE of dask_jobqueue.SLURMCluster; may be repeated."
        ),
    ] = None,
    script: Annotated[bool, Parameter(negative=(), help="Print the Slurm job script and stop.")] = False,
    quiet: Quiet = False,
) -> int:
    """Run all cases of a sweep file (default: into results/NAME); what is finished is not done again."""
    from thermal.batch import run_batch
    from thermal.progress import progress

    options = _pairs(slurm)
    if script:
        from thermal.batch.pools import job_script

        print(job_script(options or {}))
        return DONE
    try:
        with progress("batch", quiet) as report:
            done = run_batch(sweep, out, jobs=jobs, scheduler=scheduler, slurm=options, progress=report)
    except KeyboardInterrupt as error:
        error.add_note("the same command goes on with what is not done yet")
        raise
    if not quiet:
        print(
            f"{len(done.outcomes)} runs in {done.folder}, {done.reused} of them done before, {len(done.failed)} failed"
        )
        if done.tried:
            best = done.tried[0]
            values = ", ".join(f"{key} = {value}" for key, value in best.named.member.varied.items())
            print(f"best: {best.named.name}: {values} (cost {best.cost:.4g})")
        for path in done.files:
            print(f"wrote {path}")
        print(PURPOSE)
    for name, why in list(done.failed.items())[:10]:
        print(f"failed: {name}: {why}", file=sys.stderr)
    return FAILED if done.failed else DONE


def _pairs(texts: Sequence[str] | None) -> dict[str, str] | None:
    """The KEY=VALUE texts of ``--slurm``."""
    from thermal.errors import CaseError

    for text in texts or ():
        if "=" not in text or not text.partition("=")[0].isidentifier():
            raise CaseError(f'--slurm: found "{text}"; expected KEY=VALUE, e.g. memory=4GB')
    return None if texts is None else {text.partition("=")[0]: text.partition("=")[2] for text in texts}
