"""``thermal verify``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thermal.commands.options import DONE, FAILED, Out, Quiet


def verify(
    *names: Annotated[str, Parameter(help="Names, kinds or cases of checks; default: the quick ones.")],
    all: Annotated[bool, Parameter(name="--all", negative=(), help="Also what takes minutes.")] = False,
    list: Annotated[bool, Parameter(name="--list", negative=(), help="Name the checks and run none.")] = False,
    page: Annotated[Path | None, Parameter(help="Also write the table as a Markdown page.")] = None,
    out: Out = None,
    quiet: Quiet = False,
) -> int:
    """Run problems with a known answer: expected, obtained, tolerance, verdict and source of each number.

    Exit code 1 where a number is not what it must be.
    """
    from thermal.verification import load_catalogue

    checks = load_catalogue().choose(names, all)
    if list:
        for check in checks:
            print(f"{check.name:<28} {check.kind:<13} {'' if check.quick else 'slow':<5} {check.problem}")
        return DONE
    from thermal.errors import CaseError
    from thermal.progress import progress
    from thermal.verification import page as written
    from thermal.verification import text
    from thermal.verification import verify as run

    if out is not None and out.exists() and any(out.iterdir()):
        raise CaseError(f"--out {out}: holds other files; choose an empty or a new folder")
    with tempfile.TemporaryDirectory() as scratch, progress("verify", quiet) as report:
        lines = [*run(checks, out if out is not None else Path(scratch), report)]
    print(text(lines))
    if page is not None:
        page.write_text(written(lines), encoding="utf-8")
        print(f"wrote {page}")
    failed = [finding for _, finding in lines if finding.failed]
    for finding in failed:
        print(f"failed: {finding.check}: {finding.read}", file=sys.stderr)
    return FAILED if failed else DONE
