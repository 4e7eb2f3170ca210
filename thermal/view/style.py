"""Colours, scales and words that all pictures share."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

RESEARCH_NOTE = "For research use only - not for clinical decisions"

TUMOUR = "#b5179e"
UNCOVERED = "#ff7f0e"
ARTERY = "#c9302c"
VEIN = "#3a66b0"
VESSEL = "#b0446a"
ZONE = "#1fa35c"
PARTICLES = "#e0b000"
DEVICES = {
    "needle": "#4d4d4d",
    "fibre": "#00a3cc",
    "electrode": "#2b2b2b",
    "cryoprobe": "#1f4e79",
    "antenna": "#6a3d9a",
    "coil": "#b87333",
    "beam": "#00a3cc",
}
DEVICE = "#4d4d4d"
ORGANS = ("#7fa3a0", "#b3a26d", "#a78bb0", "#96a5bd", "#8fae6b", "#bd9a9a")
"""Muted colours for organs without one of their own."""
_OWN_COLOURS = {
    "liver": "#b5785a",
    "gallbladder": "#7f9f3f",
    "kidney": "#c46a55",
    "adrenal": "#d9a441",
    "spleen": "#9a6a8a",
    "pancreas": "#d8b365",
    "stomach": "#d7a0a0",
    "duodenum": "#d9a58c",
    "bowel": "#d9a58c",
    "colon": "#c9a07a",
    "lung": "#9fb8cc",
    "heart": "#b85a5a",
    "rib": "#ded3b4",
    "vertebra": "#ded3b4",
    "costal": "#ded3b4",
    "bone": "#ded3b4",
    "muscle": "#c58f86",
    "iliopsoas": "#c58f86",
    "fat": "#eedfa0",
    "skin": "#e6c2a8",
}
FILLERS = frozenset({"fat", "muscle", "gas", "air", "skin", "soft_tissue", "connective_tissue", "bone", "water"})
"""Tissues between the organs; they would only veil a 3-D picture."""

CASES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#5c5c5c")
"""One colour a treatment in comparisons: the palette of Okabe and Ito (2008), safe for colour-blind readers."""

_VEIN_WORDS = ("vein", "vena", "venous", "cava", "portal")
_ARTERY_WORDS = ("artery", "arteries", "aorta", "arterial", "trunk")
_VESSEL_WORDS = ("vessel", "vasculature")


def vessel_colour(region: str) -> str | None:
    """Blue for veins, red for arteries, between them for other vessels; ``None`` when the name is not a vessel's."""
    name = region.lower()
    for words, colour in ((_VEIN_WORDS, VEIN), (_ARTERY_WORDS, ARTERY), (_VESSEL_WORDS, VESSEL)):
        if any(word in name for word in words):
            return colour
    return None


def organ_colours(regions: Iterable[str]) -> dict[str, str]:
    """A colour for each region: near the look of the organ where it has one, else one of :data:`ORGANS` in turn."""
    found: dict[str, str] = {}
    others = cycle(ORGANS)
    for region in regions:
        own = (colour for word, colour in _OWN_COLOURS.items() if word in region.lower())
        found[region] = next(own, None) or next(others)
    return found


def region_colours(names: Sequence[str], tumour: str, held: Container[str]) -> list[str]:
    """One pale colour a region: tumour and vessels as in the 3-D picture, organs muted."""
    colours = []
    organs = organ_colours(names)
    for name in names:
        colour = TUMOUR if name == tumour else vessel_colour(name)
        colour = colour or (VESSEL if name in held else organs[name])
        shades = (int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5))
        colours.append("#" + "".join(f"{round(255 * (0.45 + 0.55 * c)):02x}" for c in shades))
    return colours


def words(name: str) -> str:
    """A region or field name as one would say it: ``portal_vein`` -> ``portal vein``."""
    return name.replace("_", " ").strip()


_LAWS = {
    "arrhenius": "Arrhenius damage",
    "cem43": "thermal dose CEM43",
    "cell_death": "three-state cell death",
    "isotherm": "lethal temperature",
    "chemical": "lethal concentration",
    "cryo": "lethal freezing",
    "cold": "lethal freezing",
    "temperature": "temperature reached",
}


def law_words(law: str) -> str:
    """The criterion of death as one would say it, with what stands behind its name."""
    name, space, more = law.partition(" ")
    return _LAWS.get(name, words(name)) + space + more


def unit_words(unit: str) -> str:
    """A unit as a reader expects it: 1 kg/m3 is 1 mg/ml."""
    plain = unit.replace("^", "").replace("**", "").replace("³", "3")
    return {"kg/m3": "mg/ml"}.get(plain, raised(unit))


def raised(unit: str) -> str:
    """A unit as it is printed, without another one in its place."""
    printed = unit.replace("^2", "²").replace("^3", "³").replace("*", "·")
    return {"degC": "°C", "1": ""}.get(printed, printed)


def percent(share: float) -> str:
    """A share in per cent with one digit, rounded down: "100.0" only for the whole."""
    return f"{math.floor(1000.0 * share + 1e-6) / 10.0:.1f}"


@dataclass(frozen=True)
class Scale:
    """A fixed colour scale of temperature, degC.

    ``colours`` names a colour map of even lightness in which body temperature is dark.
    """

    low: float
    high: float
    colours: str


_HOT_ENDS = (45.0, 60.0, 80.0, 100.0, 150.0, 300.0, 1000.0, 2000.0)
_COLD_ENDS = (-300.0, -200.0, -150.0, -100.0, -60.0, -40.0)


def temperature_scale(lowest: float, highest: float) -> Scale:
    """The scale for temperatures from ``lowest`` to ``highest`` degC.

    Its ends come from a short list, so pictures of similar treatments share a scale and can be laid side by side:
    37 degC to 45, 60, 80, 100 ... for heat, and -40, -60 ... to 37 degC for cold. Values beyond take the end's colour.
    """
    if lowest < 0.0:
        low = max((end for end in _COLD_ENDS if end <= lowest), default=_COLD_ENDS[0])
        return Scale(low, 37.0, "bone_r")
    low = 37.0 if highest > 37.5 else 0.0
    high = min((end for end in _HOT_ENDS if end >= highest), default=_HOT_ENDS[-1])
    return Scale(low, high, "inferno")
