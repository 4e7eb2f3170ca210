"""The numbers of a run that its command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thermal.commands.options import PURPOSE

if TYPE_CHECKING:
    from thermal.store import Run

_SHOWN = (
    "peak_temperature", "lowest_temperature", "zone.law", "zone.volume", "zone.tumour_coverage", "zone.minimum_margin",
    "zone.healthy_volume", "dose.given", "dose.tumour_fraction", "dose.tumour_coverage", "dose.healthy",
    "delivery.port_pressure", "drug.tumour_", "mechanical.killed.tumour", "light.emitted", "probe.", "ledger.",
    "wall_time", "peak_memory", "library.",
)  # fmt: skip
"""Entries of the summary that are printed, by how they begin."""


def summarise(result: Run) -> None:
    """The numbers that matter, and where the rest is."""
    print(f"{result.title}: {result.folder}")
    for key, entry in result.summary.items():
        if key.startswith(_SHOWN):
            text = _readable(entry["value"], entry["unit"])
            if (error := result.summary.get(f"error.{key}")) is not None:
                text += f" +/- {_readable(error['value'], entry['unit'], digits=2)}"
            print(f"  {key:<28} {text}")
    if "error.companion" in result.summary:
        print(f"bands: from a run with {result.value('error.companion')}")
    pictures = [path.name for path in sorted(result.folder.glob("*.png"))]
    print(f"pictures: {', '.join(pictures) or 'none'}; next: thermal view {result.folder}")
    print(PURPOSE)


_SCALES = {
    "m": (1e3, "mm"), "m^3": (1e6, "ml"), "m3": (1e6, "ml"), "B": (1e-6, "MB"), "kg": (1e6, "mg"), "1/kg": (0.1, "%/g"),
    "Pa": (1e-3, "kPa"),
}  # fmt: skip


def _readable(value: Any, unit: str, digits: int = 4) -> str:
    """A number of the summary in the unit that people use for it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "none" if value is None else str(value)
    factor, shown = _SCALES.get(unit, (1.0, unit))
    return f"{value * factor:.{digits}g} {shown}".strip()
