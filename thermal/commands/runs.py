"""Commands about finished runs: for other programs, for readers, for authors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thermal.commands.options import DONE, PURPOSE


def export(
    run: Path,
    /,
    *,
    format: Annotated[
        str,
        Parameter(
            help="pvd: VTU over time, for ParaView; vtkhdf: the same in one file; nifti: volumes; stl: surfaces; "
            "csv: a table of the nodes."
        ),
    ] = "pvd",
) -> int:
    """Write the fields of a run for other programs."""
    from thermal.export import export_run

    print(f"wrote {export_run(run, format)}")
    return DONE


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
        print(f"  {source.numbers} number{'s' if source.numbers > 1 else ''}{doubt}: {source.text}")
    return DONE
