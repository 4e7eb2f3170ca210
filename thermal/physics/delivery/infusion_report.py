"""What an infusion says of itself: its reach, and what is doubtful about it."""

from __future__ import annotations

import numpy as np

from thermal.engine import Engine
from thermal.nodes import node_widths
from thermal.physics.delivery.cargo import Journey
from thermal.physics.delivery.kinetics import Kinetics
from thermal.physics.delivery.needle import AtNeedle
from thermal.units import Array

OPENING_PRESSURE = 1e5
"""Pa, above which tissue opens or tears rather than lets fluid seep; order of magnitude only, unverified."""
MMHG = 133.322
"""Pa"""
MOST_SMEAR = 0.25
"""Cell over the radius of the infusate from which its front is worth a warning: fewer than four cells to the radius."""


def reach(engine: Engine, concentration: Array, full: float) -> float:
    """Volume of tissue whose pore fluid is at least half infusate, m3."""
    if full <= 0.0:
        return 0.0
    return float(engine.inside(concentration, 0.5 * full) @ engine.cell_volume)


def needle_warnings(highest: AtNeedle, tight: bool) -> tuple[str, ...]:
    """What is doubtful about the pressure; ``tight``: neither a cavity nor backflow may give way to it."""
    pressure = highest.pressure
    found = []
    if pressure > OPENING_PRESSURE:
        remedy = (
            "lower the flow, check hydraulic_conductivity, or let it: opening_pressure, [delivery.backflow]"
            if tight
            else "lower the flow or check hydraulic_conductivity"
        )
        found.append(
            f"the port pressure of {1e-3 * pressure:,.0f} kPa ({pressure / MMHG:,.0f} mmHg) exceeds about "
            f"{1e-3 * OPENING_PRESSURE:.0f} kPa: real tissue "
            "opens or tears instead, and fluid runs back along the needle (P. J. Basser, Microvasc. "
            f"Res. 44 (1992) 143-165, doi:10.1016/0026-2862(92)90014-P, on tissue that dilates); {remedy}"
        )
    if highest.out > 0.0:
        total = highest.out + highest.injected
        found.append(
            f"delivery.backflow: infusate runs back along all of the needle's {1e3 * highest.backflow:.3g} mm, and "
            f"{100 * highest.out / total:.1f} % of it is lost at the skin; lower the flow or use a thinner needle"
        )
    return tuple(found)


def supply_warnings(journey: Journey) -> tuple[str, ...]:
    """What is doubtful about where the particles went."""
    put_in = journey.infused + max(journey.cargo.held, 0.0)
    if journey.escaped <= 0.01 * put_in:
        return ()
    what = "infused mass" if journey.cargo.held <= 0.0 else "mass that was put in"
    share = 100.0 * journey.escaped / put_in
    return (f"{share:.1f} % of the {what} left through the boundary; enlarge the window",)


def smeared(
    engine: Engine, reached: float, pores: Array, concentration: Array, full: float, flow: float, kinetics: Kinetics
) -> tuple[str, ...]:
    """What to say when the grid is too coarse for the front of the infusate, whose pores hold ``full`` kg/m3 of the
    (n,) ``concentration``."""
    fullest = engine.maximum(np.where(engine.volume > 0, concentration, 0.0))
    if min(full, fullest) <= 0.0:
        return ()
    near = (concentration >= 0.5 * min(full, fullest)) & (engine.volume > 0)
    cell = float(node_widths(engine)[near].mean())
    porosity = float(np.sum(pores[near]) / np.sum(engine.volume[near]))
    if reached == 0.0:  # what lies within a cell fills no node by half
        reached = float(np.sum(concentration * pores)) / (full * porosity)
    radius = float(np.cbrt(0.75 * reached / np.pi))
    speed = kinetics.hindrance * flow / (4.0 * np.pi * radius**2 * porosity)
    spread = kinetics.diffusivity + kinetics.dispersivity * speed
    if cell <= MOST_SMEAR * radius or speed * cell <= 2.0 * spread:
        return ()
    return (
        f"delivery: the front of the infusate has come {1e3 * radius:.2g} mm, {radius / cell:.2g} cells of "
        f"{1e3 * cell:.2g} mm, of which transport needs one or two to show a front (second order with a limiter: "
        "P. K. Sweby, SIAM Journal on Numerical Analysis 21 (1984) 995, doi:10.1137/0721062); use smaller "
        "cells around the tip",
    )
