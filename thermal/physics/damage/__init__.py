"""Damage laws: what a temperature history does to tissue, one file a law.

Every law integrates its own value node by node, exactly (or nearly) for a temperature that is linear in time within a
step, and only from an onset temperature on: taken literally, published Arrhenius sets kill tissue at 37 degC within an
hour. Temperatures are degC.
"""

from __future__ import annotations

from thermal.physics.damage.arrhenius import Arrhenius, arrhenius_ramp, arrhenius_rate, fraction_killed
from thermal.physics.damage.cell_death import CellDeath
from thermal.physics.damage.chemical import Chemical
from thermal.physics.damage.cold import Cryo, Repeated
from thermal.physics.damage.dose import Cem43, cem43_minutes, cem43_ramp
from thermal.physics.damage.isotherm import Isotherm
from thermal.physics.damage.law import Law

__all__ = [
    "Arrhenius",
    "CellDeath",
    "Cem43",
    "Chemical",
    "Cryo",
    "Isotherm",
    "Law",
    "Repeated",
    "arrhenius_ramp",
    "arrhenius_rate",
    "cem43_minutes",
    "cem43_ramp",
    "fraction_killed",
]
