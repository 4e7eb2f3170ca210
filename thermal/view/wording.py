"""How entries of a summary and columns of a history are read out: words, number and unit."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from thermal.view import style

UNITS: Mapping[str, tuple[tuple[float, str, float], ...]] = {
    "m": ((1e3, "mm", 0.1), (1e6, "µm", 1.0), (1e9, "nm", 0.0)),
    "m^3": ((1e6, "ml", 0.1), (1e9, "µl", 0.0)),
    "m^2": ((1e4, "cm²", 0.0),),
    "m^3/s": ((6e7, "ml/min", 0.1), (6e10, "µl/min", 0.0)),
    "m^3/m^3/s": ((60.0, "ml/min/ml", 0.0),),
    "kg": ((1e6, "mg", 0.1), (1e9, "µg", 0.0)),
    "kg/m^3": ((1.0, "kg/m³", 500.0), (1.0, "mg/ml", 0.1), (1e3, "µg/ml", 0.0)),
    "kg*s/m^3": ((1e3 / 60.0, "µg/ml·min", 0.0),),
    "1/kg": ((0.1, "%/g", 0.0),),
    "s": ((1.0 / 3600.0, "h", 6.0), (1.0 / 60.0, "min", 1.0), (1.0, "s", 0.1), (1e3, "ms", 0.0)),
    "degC": ((1.0, "°C", 0.0),),
    "Pa": ((1e-3, "kPa", 0.1), (1.0, "Pa", 0.0)),
    "B": ((1e-6, "MB", 0.0),),
    "J": ((1e-3, "kJ", 1.0), (1.0, "J", 0.0)),
    "W": ((1.0, "W", 0.1), (1e3, "mW", 0.0)),
    "W/m^2": ((1e-4, "W/cm²", 0.0),),
    "W/m^3": ((1e-6, "W/cm³", 0.1), (1.0, "W/m³", 0.0)),
    "A/m": ((1e-3, "kA/m", 0.1), (1.0, "A/m", 0.0)),
    "A/m/s": ((1e-9, "GA/(m s)", 0.0),),
    "Hz": ((1e-6, "MHz", 1.0), (1e-3, "kHz", 1.0), (1.0, "Hz", 0.0)),
    "N": ((1e12, "pN", 0.0),),
    "N*m": ((1e18, "pN·µm", 0.0),),
    "1": ((1.0, "", 0.0),),
}
"""Unit of a summary or a case -> factor, unit for people, and the least that is shown in it."""
_ZERO = 0.1
"""Zero is shown in the largest unit in which this would be."""
_NEARLY = 1.0 - 1e-9
"""A hair's breadth below the least counts as it."""
_WHOLE = 1e12
"""Whole numbers below this are written with all their digits."""
_SMALL_SHARE = 0.01
"""Shares from here on are rounded down to a tenth of a per cent."""
_PART = re.compile(r"part(\d+)\.(.+)")
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
"""A kind, as files spell it."""


@cache
def _words() -> tuple[dict[str, str], frozenset[str], list[tuple[re.Pattern[str], str, bool]]]:
    """Words by key, the keys that are shares, and patterns with words, those with the fewest gaps first."""
    text = (resources.files("thermal.view") / "wording.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    shares, entries = tables["shares"], tables["entries"]
    gaps = sorted((key for key in {**shares, **entries} if "*" in key), key=lambda key: key.count("*"))
    patterns = [
        (re.compile(re.escape(key).replace(r"\*", r"(.+?)")), {**shares, **entries}[key], key in shares) for key in gaps
    ]
    return {**shares, **entries}, frozenset(shares), patterns


def known(key: str) -> tuple[str, bool] | None:
    """Words for a key and whether it is a share; None where there are none."""
    words, shares, patterns = _words()
    if (part := _PART.fullmatch(key)) is not None:
        found = known(part[2])
        return None if found is None else (f"Part {part[1]}: {lower(found[0])}", found[1])
    if key in words:
        return words[key], key in shares
    if key.startswith("error.") and (found := known(key.removeprefix("error."))) is not None:
        return f"{found[0]}, ±", found[1]
    for pattern, phrase, share in patterns:
        if (match := pattern.fullmatch(key)) is not None:
            names = match.groups()
            return phrase.format(*(style.words(name) for name in names), law=style.law_words(names[0])), share
    return None


def said(key: str) -> str:
    """A key of a summary or a history as one would say it."""
    found = known(key)
    return found[0] if found is not None else spoken(key)


def spoken(key: str) -> str:
    """A key of a case: ``heating.fibre[0].tip`` is heating, fibre 1, tip."""
    counted = re.sub(r"\[(\d+)\]", lambda match: f" {int(match[1]) + 1}", key)
    parts = re.split(r"\.(?![^\[]*\])", counted)  # not at the dots of [0.5 um]
    return ", ".join(re.sub(r"\[(.*)\]", r" at \1", style.words(part)) for part in parts)


def entry(key: str, value: Any, unit: str) -> tuple[str, str, str]:
    """Words, number and unit of an entry of a summary."""
    found = known(key)
    if found is not None and found[1] and isinstance(value, (int, float)):
        return found[0], style.percent(value) if value >= _SMALL_SHARE else plain(100.0 * value), "%"
    return said(key), *readable(value, unit)


def scaled(key: str, largest: float, unit: str) -> tuple[float, str]:
    """Factor and unit in which numbers of an entry of a summary are shown, of which ``largest`` is the largest."""
    found = known(key)
    return (100.0, "%") if found is not None and found[1] else _for(largest, unit)


def readable(value: Any, unit: str) -> tuple[str, str]:
    """A value and its unit as a clinician reads them."""
    if value is None:
        return "-", ""
    if isinstance(value, bool):
        return "yes" if value else "no", ""
    if not isinstance(value, (int, float)):
        return text(value), ""
    factor, shown = _for(value, unit)
    return plain(value * factor), shown


def _for(value: float, unit: str) -> tuple[float, str]:
    """Factor and unit for people of a value."""
    units = UNITS.get(unit, ((1.0, style.unit_words(unit), 0.0),))
    if value == 0.0:
        return next(((factor, shown) for factor, shown, least in units if least <= _ZERO), units[-1][:2])
    return next(
        ((factor, shown) for factor, shown, least in units if abs(value) * factor >= _NEARLY * least), units[-1][:2]
    )


def text(value: Any) -> str:
    """A text of a summary or a case; kinds are words."""
    if isinstance(value, (list, tuple)):
        return ", ".join(text(item) for item in value)
    return style.law_words(value) if isinstance(value, str) and _is_kind(value) else str(value)


def _is_kind(value: str) -> bool:
    return _NAME.fullmatch(value) is not None or style.law_words(value) != value.replace("_", " ")


def plain(value: float) -> str:
    """A number with as many digits as matter."""
    if not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < _WHOLE:
        return str(int(value))
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"


def lower(words: str) -> str:
    """Words in the middle of a line; what is all capitals stays."""
    return words if words[:2].isupper() else words[:1].lower() + words[1:]
