"""What the runs of a sweep say together: quantiles, what matters most, and where tissue is probably ablated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from thermal.batch.fidelity import correct, paired
from thermal.batch.folder import Outcome
from thermal.batch.members import Named, design, unit_problem
from thermal.batch.probability import write_probability
from thermal.batch.sweep import Sample, Sweep
from thermal.store.files import write_json, write_text
from thermal.units import Array
from thermal.view import style, wording
from thermal.view.tornado import Bar, draw_tornado

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CONSTANT = 1e-6
"""Relative spread of an outcome below which it does not vary."""
FEWEST = 8
"""Runs below which nothing is said about what matters."""
MEASURES = {
    "latin_hypercube": "rank correlation",
    "sobol": "share of the variance",
    "morris": "mean absolute effect",
}
"""Method of sampling -> what its sensitivity means."""
LARGEST = {"latin_hypercube": 1.0}
"""Method of sampling -> the largest that its sensitivity can be."""


@dataclass(frozen=True)
class Table:
    """Finished runs of one case on one anatomy: what was drawn (r, d) and what came out of it (r,)."""

    title: str
    members: Sequence[Named]
    inputs: Array
    names: Sequence[str]
    outcomes: Mapping[str, Array]
    units: Mapping[str, str]
    complete: bool
    """whether all runs of the design are there, as Sobol's and Morris's measures need"""
    errors: Mapping[str, float] = field(default_factory=dict)
    """of an estimate from runs on two grids: by how much one value of an outcome is probably off"""


def write_statistics(
    sweep: Sweep, members: Sequence[Named], outcomes: Mapping[str, Outcome], folder: Path
) -> list[Path]:
    """Write ``statistics.json``, ``report.md`` and a picture a group of runs; the files that were written.

    Runs are grouped by case, anatomy and chosen values: within a group only what was drawn from priors differs.
    """
    tables = list(_tables(sweep, members, outcomes))
    entries: list[dict[str, Any]] = []
    files: list[Path] = []
    lines = [f"# {sweep.title or sweep.name}", ""]
    failed = sorted(name for name, outcome in outcomes.items() if outcome.status == "failed")
    lines += [f"{len(outcomes)} of {len({m.name for m in members})} runs, {len(failed)} of them failed.", ""]
    lines += [f"- failed: `{name}`: {outcomes[name].message}" for name in failed[:20]] + [""] * bool(failed)
    unsourced = [name for name, prior in sweep.priors.items() if not prior.source]
    if unsourced:
        lines += [f"Distributions without a source, unverified: {', '.join(unsourced)}.", ""]
    for number, table in enumerate(tables):
        count = len(table.inputs)
        entry: dict[str, Any] = {"group": table.title, "runs": count, "quantiles": _quantiles(table)}
        lines += [f"## {table.title}", "", f"{count} {'estimates' if table.errors else 'runs'}.", ""]
        lines += _quantile_lines(table, entry["quantiles"])
        if table.errors:
            entry["errors"] = dict(table.errors)
            lines += [_error_line(table), ""]
        if sweep.sample is not None and count >= FEWEST:
            found = sensitivity(sweep.sample, table)
            entry |= {"sensitivity": found, "measure": MEASURES[sweep.sample.method]}
            for outcome, bars in found.items():
                picture = folder / f"sensitivity_{number}_{outcome.replace('.', '_')}.png"
                words = f"{entry['measure']} of {wording.lower(wording.said(outcome))}"
                factor = 1.0
                if sweep.sample.method == "morris":  # in the unit of the outcome
                    factor, unit = wording.scaled(
                        outcome, max(abs(weight) for weight, _ in bars.values()), table.units[outcome]
                    )
                    words += f" ({unit})"
                drawn = [Bar(style.words(name), *(factor * number for number in bars[name])) for name in table.names]
                draw_tornado(drawn, words, picture, LARGEST.get(sweep.sample.method, math.inf))
                files.append(picture)
                lines += [f"![{words}]({picture.name})", ""]
        if sweep.keep != "summary" and len(table.members) > 1 and sweep.sample is not None:
            target = write_probability(folder, f"probability_{number}", table.members, table.title)
            if target is not None:
                files.append(target)
                entry["probability"] = target.name
                lines += [f"Probability of ablation: `thermal view {target}`", ""]
        entries.append(entry)
    lines += ["For research, not for clinical decisions."]
    write_json(folder / "statistics.json", {"title": sweep.title, "groups": entries})
    write_text(folder / "report.md", "\n".join(lines) + "\n")
    return [folder / "statistics.json", folder / "report.md", *files]


def _tables(sweep: Sweep, members: Sequence[Named], outcomes: Mapping[str, Outcome]) -> Sequence[Table]:
    """Groups of finished runs."""
    drawn = [f"{name} ({prior.unit})" if prior.unit else name for name, prior in sweep.priors.items()]
    besides = set() if sweep.coarse is None else set(sweep.coarse.set)
    groups: dict[tuple[tuple[object, ...], bool], list[Named]] = {}
    for named in members:
        member = named.member
        chosen = tuple((key, value) for key, value in member.varied.items() if key not in drawn and key not in besides)
        coarse = bool(besides) and besides <= set(member.varied)
        groups.setdefault(((member.case, member.anatomy, chosen if drawn else ()), coarse), []).append(named)
    tables: list[Table] = []
    coarser: dict[tuple[object, ...], Table] = {}
    for (case, coarse), group in groups.items():
        done = [named for named in group if named.name in outcomes and outcomes[named.name].status == "done"]
        if not done:
            continue
        first = done[0].member
        words = [f"{key} = {value}" for key, value in first.varied.items() if drawn and key not in drawn]
        title = ", ".join([first.case.stem, *([first.anatomy] if first.anatomy else []), *words])
        found: dict[str, Array] = {}
        units: dict[str, str] = {}
        for outcome in sweep.outcomes:
            values = [outcomes[named.name].summary.get(outcome, {}).get("value") for named in done]
            if all(isinstance(value, (int, float)) for value in values):
                found[outcome] = np.array(values, dtype=float)
                units[outcome] = outcomes[done[0].name].summary[outcome]["unit"]
        inputs = np.array([[float(named.member.varied[key]) for key in drawn] for named in done]).reshape(len(done), -1)
        whole = len(done) == len(group) and (coarse or not besides)
        tables.append(Table(title, done, inputs, list(sweep.priors), found, units, whole))
        if coarse:
            coarser[case] = tables[-1]
        elif case in coarser and (estimate := _estimated(coarser[case], tables[-1])) is not None:
            tables.append(estimate)
    return tables


def _estimated(coarse: Table, fine: Table) -> Table | None:
    """What the fine grid would give for all samples; None where too few were run on both."""
    beside = paired(coarse.inputs, fine.inputs, fine.outcomes)
    found = {name: values for name, values in beside.items() if name in coarse.outcomes}
    if not found or any(np.isfinite(values).sum() < FEWEST for values in found.values()):
        return None
    made = {name: correct(coarse.outcomes[name], values) for name, values in found.items()}
    return replace(
        coarse,
        title=f"{fine.title}: all samples, estimated",
        members=(),
        outcomes={name: one.values for name, one in made.items()},
        errors={name: one.error for name, one in made.items()},
    )


def _error_line(table: Table) -> str:
    """By how much single estimates are off."""
    parts = []
    for outcome, error in table.errors.items():
        largest = float(np.abs(table.outcomes[outcome]).max())
        factor, unit = wording.scaled(outcome, largest, table.units[outcome])
        parts.append(f"{wording.lower(wording.said(outcome))} {factor * error:.2g} {unit}".rstrip())
    return f"A single estimate is off by (root mean square, each pair left out in turn): {'; '.join(parts)}."


def _quantiles(table: Table) -> dict[str, dict[str, Any]]:
    return {
        outcome: {
            "unit": table.units[outcome],
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            **{f"{share:.0%}": float(np.quantile(values, share)) for share in QUANTILES},
        }
        for outcome, values in table.outcomes.items()
    }


def _quantile_lines(table: Table, quantiles: Mapping[str, Mapping[str, Any]]) -> list[str]:
    heads = [f"{share:.0%}" for share in QUANTILES]
    lines = [f"| outcome | mean | sd | {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) + 2)}"]
    for outcome, row in quantiles.items():
        columns = ("mean", "sd", *heads)
        factor, unit = wording.scaled(outcome, max(abs(row[key]) for key in columns), table.units[outcome])
        cells = [f"{factor * row[key]:.4g}" for key in columns]
        lines.append(f"| {wording.said(outcome)}{f' ({unit})' if unit else ''} | {' | '.join(cells)} |")
    return [*lines, ""]


def sensitivity(sample: Sample, table: Table) -> dict[str, dict[str, tuple[float, float]]]:
    """Outcome -> prior -> its weight and the half width of a 95 % interval; outcomes that do not vary are left out.

    Latin hypercube: Spearman's rank correlation, with Fisher's interval. Sobol: the total index (A. Saltelli et al.,
    Comput. Phys. Commun. 181 (2010) 259-270). Morris: mu* (F. Campolongo et al., Environ. Model. Softw. 22 (2007)
    1509-1518), in the unit of the outcome.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for outcome, values in table.outcomes.items():
        if np.ptp(values) <= CONSTANT * abs(values).max():
            continue
        if sample.method == "latin_hypercube":
            weights = [_rank_correlation(column, values) for column in table.inputs.T]
        elif table.complete:
            weights = _salib(sample, table, values)
        else:
            continue  # runs are missing, and these designs need all
        found[outcome] = dict(zip(table.names, weights, strict=True))
    return found


def _rank_correlation(drawn: Array, values: Array) -> tuple[float, float]:
    r = float(stats.spearmanr(drawn, values).statistic)
    half = 1.96 / np.sqrt(max(len(values) - 3, 1))
    z = np.arctanh(np.clip(r, -0.999999, 0.999999))
    return r, float(0.5 * (np.tanh(z + half) - np.tanh(z - half)))


def _salib(sample: Sample, table: Table, values: Array) -> list[tuple[float, float]]:
    problem = unit_problem(len(table.names))
    if sample.method == "sobol":
        from SALib.analyze import sobol

        result = sobol.analyze(problem, values, calc_second_order=False, seed=1)
        return [(float(a), float(b)) for a, b in zip(result["ST"], result["ST_conf"], strict=True)]
    from SALib.analyze import morris

    result = morris.analyze(problem, design(sample, len(table.names)), values, seed=1)
    return [(float(a), float(b)) for a, b in zip(result["mu_star"], result["mu_star_conf"], strict=True)]
