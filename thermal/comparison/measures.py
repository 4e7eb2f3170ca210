"""The lines of a comparison: which numbers of a summary, in which unit, and what they mean to a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thermal.view import style


@dataclass(frozen=True)
class Measure:
    """One line of the table; a run that states the error of a number (``error.KEY``) has it with its band.

    ``keys``: keys of the summary; the first that the run has is taken, or their sum when ``summed``. ``factor``: from
    the SI unit of the summary to ``unit``.
    """

    name: str
    unit: str
    keys: tuple[str, ...]
    meaning: str
    factor: float = 1.0
    form: str = "{:.2f}"
    summed: bool = False

    @property
    def heading(self) -> str:
        """Name with unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def value(self, summary: Mapping[str, Any]) -> float | str | None:
        """The number in ``unit``, a text, or ``None`` when the run has none."""
        found = [plain(summary[key]) for key in self.keys if key in summary]
        numbers = [value for value in found if isinstance(value, float)]
        if self.summed:
            return sum(numbers) * self.factor if numbers else None
        if not found or found[0] is None:
            return None
        return found[0] * self.factor if isinstance(found[0], float) else found[0]

    def text(self, summary: Mapping[str, Any]) -> str:
        """The value as a reader wants it; a dash where there is none."""
        value = self.value(summary)
        if value is None:
            return "-"
        if isinstance(value, str):
            return style.law_words(value)
        if value == 0.0 and self.form.endswith("e}"):
            return "0"
        text = style.percent(value / 100.0) if self.unit == "%" else self.form.format(value)
        error = None if self.summed else plain(summary.get(f"error.{self.keys[0]}"))
        return f"{text} ± {error * self.factor:.2g}" if isinstance(error, float) else text


def plain(entry: Any) -> float | str | None:
    """Value of a summary entry: a finite number, a text, or the length of a list; else ``None``."""
    value = entry.get("value") if isinstance(entry, Mapping) else entry
    if isinstance(value, (list, tuple)):
        return float(len(value))
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value) if np.isfinite(value) else None
    return str(value)


MEASURES = (
    Measure("Criterion of death", "", ("zone.law",), "the rule by which tissue counts as destroyed"),
    Measure("Zone volume", "ml", ("zone.volume",), "volume of all tissue destroyed, tumour and healthy", 1e6),
    Measure(
        "Tumour covered",
        "%",
        ("zone.tumour_coverage",),
        "share of the tumour's volume inside the zone; 100 % exactly when the smallest margin is not negative",
        100.0,
        "{:.1f}",
    ),
    Measure(
        "Smallest margin",
        "mm",
        ("zone.minimum_margin",),
        "the thinnest layer destroyed around the tumour; negative: how far living tumour sticks out of the zone",
        1e3,
        "{:+.1f}",
    ),
    Measure(
        "Tumour with 5 mm margin covered",
        "%",
        ("margin.target_5mm.coverage",),
        "share, inside the zone, of the tumour and of the 5 mm of its organ around it",
        100.0,
        "{:.1f}",
    ),
    Measure("Tumour left", "ml", ("zone.residual_volume",), "volume of the tumour outside the zone", 1e6),
    Measure(
        "Disagreement of the criteria",
        "ml",
        ("laws.volume_spread",),
        "largest less smallest volume of the zone by the criteria of death of the same kind that the run looked at",
        1e6,
    ),
    Measure(
        "Healthy tissue lost",
        "ml",
        ("zone.healthy_volume",),
        "volume of the zone outside the tumour, the margin included",
        1e6,
    ),
    Measure(
        "Longest diameter of zone",
        "mm",
        ("zone.longest_diameter",),
        "of the ellipsoid with the same second moments as the zone",
        1e3,
        "{:.1f}",
    ),
    Measure(
        "Shortest diameter of zone",
        "mm",
        ("zone.shortest_diameter",),
        "of the same ellipsoid; equal to the longest for a ball",
        1e3,
        "{:.1f}",
    ),
    Measure("Highest temperature", "°C", ("peak_temperature",), "anywhere in the tissue, at any time", 1.0, "{:.1f}"),
    Measure("Lowest temperature", "°C", ("lowest_temperature",), "anywhere in the tissue, at any time", 1.0, "{:.1f}"),
    Measure(
        "Treatment time",
        "min",
        ("treatment_time", "duration"),
        "infusion and wait, then all of the simulated heating or freezing with its pauses and the time after it",
        1 / 60,
        "{:.1f}",
    ),
    Measure(
        "Goal reached after",
        "min",
        ("treatment.covered_at",),
        "heating or freezing until the tumour and the wanted margin were covered; a dash where they never were",
        1 / 60,
        "{:.1f}",
    ),
    Measure(
        "Energy from the source",
        "kJ",
        ("energy.delivered",),
        "what the laser, coil or generator put into the tissue, by its own meter",
        1e-3,
    ),
    Measure(
        "Heat into the tissue",
        "kJ",
        ("energy.source", "energy.probes", "energy.held"),
        "heat put into the tissue by the treatment, metabolism included; negative: heat drawn out by freezing",
        1e-3,
        summed=True,
    ),
    Measure("Particles given", "mg", ("dose.given",), "mass of particles infused or injected", 1e6, "{:.3g}"),
    Measure("Particles in the tumour", "mg", ("dose.tumour",), "mass of particles inside the tumour", 1e6, "{:.3g}"),
    Measure(
        "Dose in the tumour",
        "%ID",
        ("dose.tumour_fraction",),
        "share of the injected dose that is inside the tumour",
        100.0,
        "{:.2f}",
    ),
    Measure(
        "Dose per gram of tumour",
        "%ID/g",
        ("dose.tumour_fraction_per_mass",),
        "the same over the tumour's mass",
        0.1,
        "{:.3g}",
    ),
    Measure(
        "Mean concentration in the tumour", "mg/ml", ("dose.tumour_mean_concentration",), "by volume", 1.0, "{:.3g}"
    ),
    Measure(
        "Unevenness in the tumour",
        "CV",
        ("dose.tumour_variation",),
        "coefficient of variation: standard deviation of the concentration over the tumour's volume by its mean",
    ),
    Measure(
        "Tumour above threshold",
        "%",
        ("dose.tumour_coverage",),
        "share of the tumour's volume at or above the concentration that the case calls enough",
        100.0,
        "{:.1f}",
    ),
    Measure(
        "Particles in healthy tissue in view",
        "mg",
        ("dose.healthy",),
        "mass of particles in the window outside the tumour",
        1e6,
        "{:.3g}",
    ),
    Measure(
        "Particles in the liver",
        "mg",
        ("dose.organ.liver", "dose.region.liver"),
        "mass of particles in the whole organ where the delivery knows it, else in its part in the window",
        1e6,
        "{:.3g}",
    ),
    Measure("Particles in the spleen", "mg", ("dose.organ.spleen", "dose.region.spleen"), "the same", 1e6, "{:.3g}"),
    Measure("Particles in the blood", "mg", ("dose.blood",), "still there when the heating begins", 1e6, "{:.3g}"),
    Measure(
        "Particles that got away",
        "mg",
        (
            "dose.leaked_back",
            "dose.refluxed",
            "dose.systemic_spill",
            "dose.elsewhere_in_body",
            "dose.cleared",
            "dose.escaped",
        ),
        "mass that ran back along the needle or past the catheter, was cleared, or is elsewhere in the body",
        1e6,
        "{:.3g}",
        summed=True,
    ),
    Measure(
        "Drug released in the tumour",
        "%",
        ("drug.tumour_released_fraction",),
        "share of the drug on the tumour's particles that has left them",
        100.0,
        "{:.1f}",
    ),
    Measure(
        "Drug exposure of the tumour",
        "ug/ml*min",
        ("drug.tumour_exposure",),
        "time integral of the free drug's concentration, mean over the tumour",
        1e3 / 60.0,
        "{:.3g}",
    ),
    Measure("Drug taken up in the tumour", "ug", ("drug.tumour_taken_up",), "by cells of the tumour", 1e9, "{:.3g}"),
    Measure(
        "Tumour cells killed by force",
        "%",
        ("mechanical.killed.tumour",),
        "share of the tumour's cells that particles turned by a field have killed",
        100.0,
        "{:.1f}",
    ),
    Measure(
        "Energy ledger error",
        "",
        ("ledger.energy_error",),
        "energy unaccounted for, over the total put in",
        1.0,
        "{:.0e}",
    ),
    Measure(
        "Mass ledger error",
        "",
        ("ledger.mass_error",),
        "particles unaccounted for, over the total put in",
        1.0,
        "{:.0e}",
    ),
    Measure("Computing time", "s", ("wall_time",), "wall-clock time of the simulation", 1.0, "{:.0f}"),
    Measure(
        "Unverified numbers",
        "",
        ("library.unverified",),
        "numbers that the run took from the library and nobody has compared with their source; its resolved.json lists "
        "them",
        1.0,
        "{:.0f}",
    ),
    Measure("Warnings", "", ("warnings",), "statements of doubtful validity in the run's summary.json", 1.0, "{:.0f}"),
)
"""The table, from what matters to the patient down to what matters to the numerics."""
