"""The table of a verification, for a terminal and for the documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from thermal.verification.checks import FAILED, MISSED, PASSED, SKIPPED, Check, Finding

KINDS = {
    "analytic": ("Against closed forms", "Solutions and quadratures that owe nothing to the program."),
    "order": ("Order of convergence", "The error must fall with the voxel as the scheme promises."),
    "conservation": ("Conservation", "What goes in is there or went out, to round-off."),
    "parity": ("Two ways to one answer", "Another grid, another engine, another description of the same."),
    "published": (
        "Against measurements",
        "Validation rather than verification. A number that is missed, and said to be missed, does not count as a "
        "failure; one that is said to be missed and is not, does.",
    ),
}
"""Kind of check -> its heading and what it is."""
Line = tuple[Check, Finding]


def shown(value: float) -> str:
    """A number of the table: seven digits show what the tolerance is about."""
    return "" if math.isnan(value) else f"{value:.7g}"


def tally(lines: Sequence[Line]) -> str:
    """How many lines have which verdict."""
    verdicts = [finding.verdict for _, finding in lines]
    counted = [f"{verdicts.count(word)} {word}" for word in (PASSED, MISSED, SKIPPED, FAILED) if word in verdicts]
    return f"{len(lines)} numbers of {len({check.name for check, _ in lines})} checks: {', '.join(counted)}"


def text(lines: Sequence[Line]) -> str:
    """The table in columns, and the sources below it."""
    numbers: dict[str, int] = {}
    heads = ("check", "number", "expected", "obtained", "tolerance", "unit", "verdict", "source")
    rows = [heads]
    for _, finding in lines:
        note = numbers.setdefault(finding.source, len(numbers) + 1)
        rows.append(
            (finding.check, finding.read, shown(finding.expected), shown(finding.obtained),
             "" if math.isnan(finding.tolerance) else f"{finding.tolerance:.2g}", finding.unit, finding.verdict,
             f"[{note}]")
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    sources = [f"[{number}] {source}" for source, number in numbers.items()]
    return "\n".join([*table, "", *sources, "", tally(lines)])


def row(check: str, name: str, expected: float, tolerance: float, unit: str) -> str:
    """A line of the page up to what was obtained: what the catalogue alone says."""
    allowed = "" if math.isnan(tolerance) else f"{tolerance:.2g}"
    return f"| {check} | {name} | {f'{shown(expected)} {unit}'.strip()} | {allowed} |"


def page(lines: Sequence[Line]) -> str:
    """The page of the documentation: a table a kind, with sources and reasons below each."""
    parts = [
        "# What `thermal verify --all` obtained",
        "",
        "Written by `thermal verify --all --page docs/verification-results.md`; the checks are those of",
        "`thermal/data/verification.toml`, their cases those of `tests/catalogue` and `cases/published`.",
        "[Verification](verification.md) lists the tests besides. Tolerances are in the unit of the number.",
        "",
        f"{tally(lines)}.",
        "",
    ]
    for kind, group in groupby(sorted(lines, key=lambda line: list(KINDS).index(line[0].kind)), lambda x: x[0].kind):
        title, about = KINDS[kind]
        found = list(group)
        parts += [f"## {title}", "", about, ""]
        parts += ["| check | number | expected | tolerance | obtained | verdict |", f"| {' | '.join(6 * ['---'])} |"]
        parts += [
            f"{row(f.check, f.read, f.expected, f.tolerance, f.unit)} {shown(f.obtained)} | {f.verdict} |"
            for _, f in found
        ]
        parts += [""]
        for check in dict.fromkeys(check for check, _ in found):
            parts += [f"- **{check.name}**: {check.problem}. {check.source}. Tolerance: {check.reason}."]
        parts += [""]
    return "\n".join(parts)
