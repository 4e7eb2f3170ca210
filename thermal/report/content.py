"""What a report says, in words and numbers; how it looks is the business of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thermal.comparison import describe
from thermal.comparison.differences import anatomy_differences
from thermal.comparison.limits import what_limited
from thermal.comparison.measures import MEASURES
from thermal.library import OWN
from thermal.report.parameters import Parameters, parameters
from thermal.store import Run
from thermal.view import style, wording
from thermal.view.sheet import number
from thermal.view.treatment import Treatment
from thermal.view.wording import plain, readable, spoken

PROTOCOL = ("particles", "delivery", "heating", "bioheat", "boundaries", "zone", "numerics")
"""Tables of the case that say what was done."""

DOSE = ("dose.", "delivery.", "earlier.", "heating.", "light.", "drug.", "mechanical.", "part")
"""Beginnings of the entries of a summary that say what was given."""
ZONE = (
    "zone.", "margin.", "residual.", "heat_sink.", "peak_temperature", "lowest_temperature", "isotherm.", "law",
    "reference.", "energy.delivered", "treatment_time",
)  # fmt: skip
"""Beginnings of the entries of a summary that say what the zone is like."""
HURT = (43.0, 5.0)
"""degC above and below which an organ is listed, though nothing of it was lost."""

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Chapter:
    """One run: its name, and the tables that the page sets."""

    name: str
    title: str
    modality: str
    asked: str
    """the case as it was given"""
    anatomy: Sequence[str]
    protocol: Rows
    dose: Rows
    zone: Rows
    organs: Rows
    """what else was hurt: organ, share lost, highest and lowest temperature"""
    probes: Rows
    ledgers: Rows
    errors: Rows
    warnings: Sequence[str]
    parameters: Rows
    """key, value, unit, source, "unverified" or empty, note"""
    provenance: Rows


@dataclass(frozen=True)
class Content:
    """The whole report."""

    title: str
    heads: Sequence[str]
    """one a run"""
    brief: Sequence[str]
    """what each run came to, in words, one a run"""
    table: Rows
    """what is compared: its name, one value a run, what it means"""
    notes: Sequence[str]
    chapters: Sequence[Chapter]
    numbers: Parameters
    """what the runs used, with sources"""


def content(runs: Sequence[Run], title: str = "") -> Content:
    """The content of a report on runs."""
    treatments = describe(runs)
    table = [
        (measure.heading, *(measure.text(run.summary) for run in runs), measure.meaning)
        for measure in MEASURES
        if any(measure.value(run.summary) is not None for run in runs)
    ]
    heads = [treatment.title for treatment in treatments]
    name = title or (heads[0] if len(heads) == 1 else "Comparison of treatments")
    notes = anatomy_differences(treatments) if len(treatments) > 1 else []
    brief = [in_short(treatment) for treatment in treatments]
    chapters = [_chapter(treatment) for treatment in treatments]
    return Content(name, heads, brief, table, notes, chapters, parameters(runs, heads))


def in_short(treatment: Treatment) -> str:
    """What a treatment came to, as one would say it: tumour, margin, zone, time, and what limited it."""
    summary = treatment.run.summary
    cover, margin, zone, healthy, time = (
        number(summary, key)
        for key in (
            "zone.tumour_coverage",
            "zone.minimum_margin",
            "zone.volume",
            "zone.healthy_volume",
            "treatment_time",
        )
    )
    parts = []
    if zone is not None and zone <= 0.0:
        parts.append("destroyed no tissue")
    elif cover is not None and cover >= 1.0 - 1e-9:
        parts.append("destroyed the whole tumour")
    elif cover is not None:
        parts.append(f"left {100.0 - float(style.percent(cover)):.1f} % of the tumour alive")
    if margin is not None and zone:
        thin = f"the destroyed layer around it is {margin * 1e3:.1f} mm at its thinnest"
        parts.append(thin if margin >= 0.0 else f"the tumour sticks out of the zone by {-margin * 1e3:.1f} mm")
    if zone:
        cost = "" if healthy is None else f", {healthy * 1e6:.1f} ml of it healthy tissue"
        parts.append(f"the zone has {zone * 1e6:.1f} ml{cost}")
    if time is not None:
        parts.append(f"the treatment took {time / 60.0:.0f} min")
    limit = what_limited(treatment.run)
    said = [f"{'; '.join(parts)}."] if parts else []
    return " ".join([*said, f"What limited it - {limit[:1].lower()}{limit[1:]}"])


def _chapter(treatment: Treatment) -> Chapter:
    run, summary = treatment.run, treatment.run.summary
    library = run.resolved.get("library", {})
    case = run.folder / "case.toml"
    return Chapter(
        name=run.name,
        title=treatment.title,
        modality=treatment.modality,
        asked=case.read_text(encoding="utf-8", errors="replace") if case.exists() else "",
        anatomy=list(library.get("anatomy", {}).get("notes", [])),
        protocol=[row for table in PROTOCOL for row in _flat(run.resolved.get(table), table)],
        dose=_entries(summary, DOSE),
        zone=_entries(summary, ZONE),
        organs=_organs(summary),
        probes=_entries(summary, ("probe.",)),
        ledgers=_entries(summary, ("ledger.", "energy.", "nodes", "steps", "stages", "wall_time", "peak_memory")),
        errors=_entries(summary, ("error.",)),
        warnings=[str(text) for text in summary.get("warnings", {}).get("value") or []],
        parameters=[_parameter(given) for given in library.get("numbers", [])],
        provenance=_provenance(run.provenance),
    )


def _parameter(entry: Mapping[str, Any]) -> tuple[str, ...]:
    source = "given by the case" if entry["source"] == OWN else str(entry["source"])
    doubt = "unverified" if entry["unverified"] else ""
    return (
        str(entry["key"]),
        plain(float(entry["value"])),
        str(entry["unit"]),
        source,
        doubt,
        str(entry["note"]),
    )


def _entries(summary: Mapping[str, Any], beginnings: tuple[str, ...]) -> Rows:
    """Words, value and unit of the entries of a summary that begin so, but organs that lost nothing."""
    return [
        wording.entry(key, found["value"], str(found["unit"]))
        for key, found in summary.items()
        if key.startswith(beginnings) and not (key.startswith("zone.lost.") and not found["value"])
    ]


def _organs(summary: Mapping[str, Any]) -> Rows:
    """Organs that lost something, or were as hot or cold as may hurt, the most hurt first."""
    names = dict.fromkeys(key.split(".")[1] for key in summary if key.startswith("collateral."))
    found: list[tuple[float, tuple[str, ...]]] = []
    for name in names:
        lost, high, low = (
            number(summary, f"collateral.{name}.{what}")
            for what in ("lost_share", "highest_temperature", "lowest_temperature")
        )
        if lost or (high is not None and high > HURT[0]) or (low is not None and low < HURT[1]):
            cells = ("-" if value is None else f"{value:.1f}" for value in (100.0 * (lost or 0.0), high, low))
            found.append((-(lost or 0.0), (style.words(name), *cells)))
    return [row for _, row in sorted(found, key=lambda entry: entry[0])]


def _flat(value: Any, key: str) -> Rows:
    """A resolved table as rows of key and value; what is not set is left out."""
    if value is None or value == [] or value == {}:
        return []
    if isinstance(value, Mapping) and set(value) == {"value", "unit"}:
        return [(spoken(key), " ".join(readable(value["value"], str(value["unit"]))).strip())]
    if isinstance(value, Mapping):
        return [row for name, item in value.items() for row in _flat(item, f"{key}.{name}")]
    if isinstance(value, list) and all(isinstance(item, Mapping) and set(item) == {"value", "unit"} for item in value):
        return [(spoken(key), ", ".join(" ".join(readable(i["value"], str(i["unit"]))).strip() for i in value))]
    if isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        return [row for index, item in enumerate(value) for row in _flat(item, f"{key}[{index}]")]
    return [(spoken(key), readable(value, "")[0])]


def _provenance(given: Mapping[str, Any]) -> Rows:
    rows: Rows = [
        (style.words(key), str(given[key]))
        for key in ("started", "ended", "python", "platform", "case_hash")
        if key in given
    ]
    rows += [("case files", ", ".join(map(str, given.get("case_files", []))))]
    rows += [("overrides", ", ".join(map(str, given.get("overrides", []))) or "none")]
    rows += [(f"input {name}", str(digest)) for name, digest in given.get("input_files", {}).items()]
    rows += [("seeds", ", ".join(f"{k} = {v}" for k, v in given.get("seeds", {}).items()) or "none drawn")]
    rows += [("versions", ", ".join(f"{name} {version}" for name, version in given.get("versions", {}).items()))]
    return rows
