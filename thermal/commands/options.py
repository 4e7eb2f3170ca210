"""What several commands share: exit codes, options, and the place of a problem in its case file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from thermal.case import Case

DONE, FAILED, REFUSED, NOT_CONVERGED, INTERRUPTED = 0, 1, 2, 3, 130
PURPOSE = "For research, not for clinical decisions."


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
        help="Also run the case on another grid (larger voxels, divided cells of a mesh) and state the error of zone "
        "and peak temperature; the same as --set numerics.error_estimate=true.",
    ),
]
EngineName = Annotated[
    str | None,
    Parameter(name="--engine", help='"dolfinx": on all ranks of mpirun; the same as --set numerics.engine=...'),
]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), help="No progress, no summary.")]
Resume = Annotated[bool, Parameter(name="--resume", negative=(), help="Go on with an unfinished run.")]
Force = Annotated[bool, Parameter(name="--force", negative=(), help="Replace the run that the folder holds.")]


@contextmanager
def placed(case: Case | None) -> Iterator[None]:
    """Give problems that physics finds their line in the case file."""
    from thermal.errors import CaseError

    try:
        yield
    except CaseError as error:
        raise (error if case is None else case.placed(error)) from error.__cause__


def complain(error: Exception) -> None:
    """Print every problem that an error holds, a line each."""
    for line in getattr(error, "problems", None) or [str(error)]:
        print(f"error: {line}", file=sys.stderr)
