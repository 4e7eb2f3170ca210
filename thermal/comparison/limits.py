"""One sentence a treatment on what limited it, from the numbers of its run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from thermal.store import Run
from thermal.view import style

BOILS = 99.0
"""degC from which tissue is said to boil."""
MUCH = 0.2
"""Share of the heat from which what blood carries off is worth a word."""
WORTH = 1e-3
"""Share of the tumour from which what is left of it is worth a word."""
NEARLY_NONE = 0.05
"""Share of it up to which a vessel has nothing to do with it."""

Number = Callable[[str], float]
"""A number of the summary by its key, zero where the run has none."""


def what_limited(run: Run) -> str:
    """What limited the treatment: drying, boiling, the setting, the heat that blood brings or takes, the agent."""

    def number(key: str) -> float:
        entry = run.summary.get(key)
        value = entry.get("value") if isinstance(entry, Mapping) else None
        return float(value) if isinstance(value, (int, float)) else 0.0

    heating: Any = run.resolved.get("heating")
    kind = str(heating.get("kind", "none")) if isinstance(heating, Mapping) else "none"
    sentence = _BY_KIND.get(kind, _heat)(number)
    covered = run.summary.get("treatment.covered_at")
    if isinstance(covered, Mapping):
        sentence = (
            f"Stopped when the tumour was covered, after {number('treatment.covered_at') / 60:.1f} min. {sentence}"
        )
    return sentence + _left(run, number)


def _left(run: Run, number: Number) -> str:
    """How much tumour is left, where, and whether a vessel that keeps its temperature is near; nothing if none is."""
    left = number("zone.residual_volume")
    if "residual.offset" not in run.summary or left < WORTH * number("zone.tumour_volume"):
        return ""
    place = ", ".join(f"{1e3 * number(f'residual.{axis}'):.0f}" for axis in "xyz")
    text = f" {1e6 * left:.2g} ml of the tumour is left, around ({place}) mm"
    for key in run.summary:
        if key.endswith(".tumour_left_near") and (near := number(key)) > NEARLY_NONE * left:
            text += f", {1e6 * near:.2g} ml of it within 5 mm of the {style.words(key.split('.')[1])}"
    return f"{text}."


def _blood(number: Number) -> str:
    """What blood carried off, if that is much of the heat put in."""
    put_in = number("energy.source") + number("energy.held") + max(number("energy.probes"), 0.0)
    share = -number("energy.perfusion") / put_in if put_in > 0.0 else 0.0
    return f"; blood carried off {100.0 * share:.0f} % of the heat" if share > MUCH else ""


def _electrode(number: Number) -> str:
    blood = _blood(number)
    if pauses := number("heating.rolloffs"):
        first = number("heating.first_rolloff") / 60.0
        times = f"{pauses:.0f} times, first" if pauses > 1 else "once,"
        return f"Tissue dried at the electrode: the generator paused {times} after {first:.1f} min{blood}."
    return _heat(number)


def _heat(number: Number) -> str:
    peak, blood = number("peak_temperature"), _blood(number)
    if peak >= BOILS:
        return f"Tissue boiled ({peak:.0f} °C): more power would dry it, not reach further{blood}."
    return f"The power: the hottest tissue reached {peak:.0f} °C and could have taken more{blood}."


def _particles(number: Number) -> str:
    share = number("dose.tumour_fraction")
    return f"{_heat(number)} {100.0 * share:.0f} % of the particles lay in the tumour." if share else _heat(number)


def _field(number: Number) -> str:
    """Of particles in an alternating field, which heats or turns them."""
    if not (time := number("mechanical.exposure_time")):
        return _particles(number)
    force, share = 1e12 * number("mechanical.maximum_force"), 100.0 * number("dose.tumour_fraction")
    return (
        f"The reach of the discs: {share:.0f} % of them lay in the tumour, where they pulled at cells with {force:.0f} "
        f"pN for {time / 60:.1f} min; they do not heat."
    )


def _ice(number: Number) -> str:
    ice, dead = (1e3 * number(f"isotherm.{level}.equivalent_diameter") for level in (0, -40))
    return (
        f"The heat that tissue and blood bring to the ice: it grew to {ice:.0f} mm, of which the -40 °C isotherm "
        f"encloses {dead:.0f} mm."
    )


def _agent(number: Number) -> str:
    if not number("dose.given"):
        return "Nothing was given."
    return f"The spread of the agent: {100.0 * number('dose.tumour_fraction'):.0f} % of it stayed in the tumour."


_BY_KIND: Mapping[str, Callable[[Number], str]] = {
    "rfa": _electrode,
    "cryo": _ice,
    "photothermal": _particles,
    "magnetic": _field,
    "none": _agent,
}
