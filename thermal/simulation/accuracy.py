"""The discretisation error of a run, from the same case on another grid: Richardson's extrapolation.

Space and time are second order, so a quantity f of a run and f' of a companion whose spacings and time steps are r
times larger differ by ``(r^2 - 1)`` times the error of f, for any r: voxels are made larger, the cells of a mesh, which
nobody can make larger, are divided (r = 1/2). The band is the grid convergence index for two grids, three times that
error: P. J. Roache, Perspective: A method for uniform reporting of grid refinement studies, J. Fluids Eng.
116 (1994) 405-413, doi:10.1115/1.2910291, whose factor of safety of 3 is for studies that cannot check the order; at
least it is a band for first order with his factor of 1.25, as beside probes and points the order is less. It is taken
of the quantity, and of the fields that the quantity is read from (:mod:`thermal.simulation.envelope`), the wider of
both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from thermal.case import Case
from thermal.case.parts import Vaporisation
from thermal.domain import Domain
from thermal.physics.heating import Photothermal
from thermal.physics.scene import Source

ORDER = 2
"""Of the scheme, in space and in time."""
SAFETY = 3.0
"""Factor of safety for two grids (Roache 1994)."""
LEAST_SAFETY = 1.25
"""Factor of safety where the order is known (Roache 1994): here for the least that it may be, one."""
LONGER = 2.0
"""How many times longer the companion's time steps are where there is no other grid."""
LEAST_RATIO = 1.1
"""Ratio of time steps, or of its inverse, below which a difference says nothing (Roache's lower limit for grids)."""

QUANTITIES: Mapping[str, str] = {
    "zone.volume": "m^3",
    "peak_temperature": "K",
    "zone.tumour_coverage": "",
    "zone.minimum_margin": "m",
}
"""Entries of the summary whose error is stated, and its unit."""

Entries = Mapping[str, Any]
"""Key -> (value, unit), as in a summary."""
Extremes = Callable[[float], tuple[Mapping[str, float], ...]]
"""What entries come to when the fields of a run lie so many times their difference from its companion's off."""


@dataclass(frozen=True)
class Companion:
    """The same case on another grid; ``ratio``: its spacings over those of the case, None where only the time steps are
    longer."""

    case: Case
    ratio: float | None
    what: str


def companion(case: Case, domain: Domain, source: Source) -> Companion:
    """The case to compare with ``case``, which is discretised as ``domain`` and has its ``source`` prepared.

    Steps are proportional to the cube root of the tolerance. The grid of the light changes like that of heat.
    """
    grid = case.anatomy.other_grid(domain)
    longer = LONGER if grid is None else grid.ratio
    numerics = case.numerics
    first = numerics.first_step
    changed: dict[str, Any] = {
        "numerics": numerics.model_copy(
            update={
                "error_estimate": False,
                "temperature_tolerance": numerics.temperature_tolerance * longer**3,
                "max_step": numerics.max_step * longer,
                "first_step": None if first is None else first * longer,
            }
        ),
        "output": case.output.model_copy(update={"series": False, "pictures": False}),
    }
    what = f"time steps {longer:.3g} times longer" if longer > 1.0 else f"time steps {1.0 / longer:.3g} times shorter"
    if grid is None:
        what += " on the same mesh"
    else:
        changed["anatomy"] = case.anatomy.model_copy(update=dict(grid.changes))
        if isinstance(case.heating, Photothermal):
            spacing = grid.ratio * source.summary["light.spacing"].value
            changed["heating"] = case.heating.model_copy(update={"light_spacing": spacing})
        what = f"{grid.words} and {what}"
    other = case.model_copy(update=changed)
    if (origin := case.origin) is not None:
        other = other.with_origin(replace(origin, overrides=(*origin.overrides, f"for an error estimate: {what}")))
    return Companion(other, None if grid is None else grid.ratio, what)


@dataclass(frozen=True)
class ErrorEstimate:
    """Half-widths of the bands for the summary, and what is to be said about them."""

    entries: Entries
    warnings: tuple[str, ...] = ()


def estimate(
    own: Entries, made: Companion, other: Mapping[str, Mapping[str, Any]], extremes: Extremes
) -> ErrorEstimate:
    """Compare the summary of a run, and by ``extremes`` its fields, with those of its companion."""
    warnings = []
    ratio = made.ratio
    if ratio is None:
        ratio = min(LONGER, own["steps"][0] / other["steps"]["value"])
        warnings.append(
            "numerics.error_estimate: the mesh is too large to divide its cells, so the bands hold the error of the "
            "time steps alone; run the case on a coarser mesh too to see that of the mesh"
        )
    entries: dict[str, Any] = {"error.ratio": (ratio, ""), "error.companion": (made.what, "")}
    if max(ratio, 1.0 / ratio) < LEAST_RATIO:
        warnings.append(
            f"numerics.error_estimate: the time steps of the other run are only {ratio:.3g} times longer, less than "
            f"{LEAST_RATIO:g} (Roache 1994), so no error can be stated; give fewer switches"
        )
        return ErrorEstimate(entries, tuple(warnings))
    silent = _silent(own, made.case, other)
    warnings += dict.fromkeys(silent.values())
    ends = extremes(times(ratio))
    for key, unit in QUANTITIES.items():
        value, compared = own.get(key), other.get(key)
        if key in silent:
            continue
        if value is not None and compared is not None and compared["value"] is not None:
            moved = [abs(end[key] - value[0]) for end in ends if key in end]
            entries[f"error.{key}"] = (max([band(value[0], compared["value"], ratio), *moved]), unit)
        elif value is not None or compared is not None:
            warnings.append(
                f"numerics.error_estimate: only one of both runs has {key}, so its error cannot be stated; use a "
                "finer grid"
            )
    return ErrorEstimate(entries, tuple(warnings))


def _silent(own: Entries, case: Case, other: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Quantities whose difference says nothing of their error, and what is to be said about that, once each."""
    found: dict[str, str] = {}

    def both(key: str) -> tuple[float, float] | None:
        value, compared = own.get(key), other.get(key)
        return None if value is None or compared is None or compared["value"] is None else (value[0], compared["value"])

    boiling, peaks = case.bioheat.vaporisation, both("peak_temperature")
    if isinstance(boiling, Vaporisation) and peaks and all(boiling.start <= peak <= boiling.end for peak in peaks):
        found["peak_temperature"] = (
            f"numerics.error_estimate: tissue boils in both runs ({boiling.start:g} to {boiling.end:g} degC), where "
            "the temperature stays whatever the heat: the error of peak_temperature cannot be stated; use a finer grid"
        )
    if both("zone.volume") == (0.0, 0.0):
        warning = (
            "numerics.error_estimate: the zone is empty in both runs, so its error cannot be stated; use a finer grid, "
            "or treat longer"
        )
        found |= {key: warning for key in QUANTITIES if key.startswith("zone.") and key in own}
    return found


def times(ratio: float) -> float:
    """Half-width of a band over the difference from a run with ``ratio`` times the spacings and steps."""
    return max(SAFETY / abs(ratio**ORDER - 1.0), LEAST_SAFETY / abs(ratio - 1.0))


def band(own: float, other: float, ratio: float) -> float:
    """Half-width of the band around ``own``: the grid convergence index for two grids, in the unit of the value."""
    return times(ratio) * abs(other - own)
