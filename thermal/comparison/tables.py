"""A comparison as tables: for the terminal, as CSV, JSON and Markdown."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thermal.comparison.limits import what_limited
from thermal.comparison.measures import MEASURES, Measure
from thermal.view import style
from thermal.view.treatment import Treatment

if TYPE_CHECKING:
    from rich.table import Table


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
