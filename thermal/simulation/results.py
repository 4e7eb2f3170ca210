"""What a run says in numbers: probe readings and the flat summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from thermal.case import Case
from thermal.case.parts import Freezing, Vaporisation
from thermal.engine import Engine
from thermal.enthalpy import BODY_TEMPERATURE, BOILING, LEAST, Nodes
from thermal.heat import BUDGET
from thermal.march import Progress
from thermal.nodes import node_widths
from thermal.physics.damage import Arrhenius
from thermal.physics.delivery import Delivered
from thermal.physics.scene import Finer, Reading, Source
from thermal.physics.tissue import Tissues
from thermal.store import History
from thermal.store.provenance import peak_memory
from thermal.units import ZERO_CELSIUS, Array
from thermal.zone import Zone


@dataclass(frozen=True)
class Spot:
    """A probe point (3,) m, located once: the nodes around it (t,) and their shares (t,), which sum to one."""

    engine: Engine
    nodes: Nodes
    shares: Array
    fields: tuple[str, ...]
    position: Array

    def read(self, values: Array) -> float:
        """A nodal field (n,) there."""
        return self.engine.total(self.shares * values[self.nodes])


def locate_probes(case: Case, engine: Engine) -> dict[str, Spot]:
    """The probes of a case, which lie in the body: sampling is the adjoint of depositing."""
    found = {}
    for name, probe in case.probes.items():
        shares = engine.deposit(np.ones(1), np.array([probe.position]))
        nodes = np.flatnonzero(shares)
        found[name] = Spot(engine, nodes, shares[nodes], probe.fields, np.array(probe.position))
    return found


def probe_readings(
    probes: Mapping[str, Spot], fields: Mapping[str, tuple[Array, str]], source: Source
) -> dict[str, Reading]:
    """Values of the fields that each probe of the case asks for, under ``probe.NAME.FIELD``.

    ``fields``: name -> ((n,) values, unit); those of the source are asked for only when a probe wants one, and read on
    its own grid where that is finer.
    """
    readings: dict[str, Reading] = {}
    for name, spot in probes.items():
        for wanted in spot.fields:
            values, unit = fields[wanted] if wanted in fields else source.fields[wanted]
            finer = source.finer(wanted, spot.position) if isinstance(source, Finer) else None
            readings[f"probe.{name}.{wanted}"] = Reading(spot.read(values) if finer is None else finer, unit)
    return readings


CHARRED = 300.0
"""degC, above which tissue has charred and none of its properties hold (order of magnitude, unverified)."""


LARGEST_CELL = 0.55
"""Cell over perfusion length that is accepted: half, and what fitting the cells to the window may add to it."""
WIDE_SHARE = 0.1
"""Share of the heat carried by blood that may be in cells wider than that."""


def doubts(case: Case, tissues: Tissues, last: Progress) -> tuple[str, ...]:
    """What the temperatures reached say against the model: phases that it leaves out, tissue that is none any more."""
    solid = tissues.engine.volume > 0
    coldest, hottest = float(last.coldest[solid].min()), float(last.hottest[solid].max())
    found = []
    freezing, boiling = case.bioheat.freezing, case.bioheat.vaporisation
    if isinstance(freezing, Freezing) and coldest < freezing.liquidus:
        needed = ("frozen_conductivity", "frozen_heat_capacity", "latent_heat")
        found += _left_out(tissues, needed, f"{coldest:.3g} degC", "freezing", "too cold")
    if isinstance(boiling, Vaporisation) and hottest > boiling.start:
        found += _left_out(tissues, ("water_fraction",), f"{hottest:.4g} degC", "vaporisation", "too hot")
    if hottest > CHARRED:
        found.append(
            f"bioheat: tissue reached {hottest:.4g} degC; above some {CHARRED:g} degC it chars and none of its "
            "properties hold: lower the power, or look for a source that is narrower than its grid"
        )
    if coldest < -ZERO_CELSIUS:
        found.append(
            f"bioheat: a heat sink drew tissue to {coldest:.4g} degC, below absolute zero; temperatures near it "
            'mean nothing: lower its power, or use heating.kind = "cryo", whose probes hold a temperature'
        )
    found += _used_up(tissues, last, freezing.liquidus if isinstance(freezing, Freezing) else -np.inf)
    return (*found, *_border_by_onset(case, tissues.engine, last), *_unresolved_perfusion(case, tissues, last))


def _used_up(tissues: Tissues, last: Progress, liquidus: float) -> list[str]:
    """What to say of slopes that leave less conductivity than is kept, at temperatures that unfrozen tissue reached."""
    found = []
    for region, tissue in tissues.by_region.items():
        slope, there = tissue.conductivity_slope, tissues.engine.volumes[region] > 0.0
        if slope == 0.0 or not there.any():
            continue
        hottest, coldest = float(last.hottest[there].max()), float(last.coldest[there].min())
        worst = min(hottest, BOILING) if slope < 0.0 else max(coldest, liquidus)
        limit = BODY_TEMPERATURE - (1.0 - LEAST) / slope
        if 1.0 + slope * (worst - BODY_TEMPERATURE) < LEAST:
            found.append(
                f"tissues.{region}.conductivity_slope: {slope:g} 1/K leaves less than {100 * LEAST:g} % of the "
                f"conductivity {'above' if slope < 0.0 else 'below'} {limit:.3g} degC, and {worst:.4g} degC were "
                f"reached; {100 * LEAST:g} % of it were kept there: give a slope that holds over all temperatures"
            )
    return found


BARELY = 1.0
"""K above the onset, within which tissue counts as dead by the onset."""
BORDERLINE = 0.1
"""Share of the zone that may be such tissue."""


def _border_by_onset(case: Case, engine: Engine, last: Progress) -> tuple[str, ...]:
    """What to say of a zone by Arrhenius kinetics whose border is the isotherm of the default onset."""
    law = case.zone_law
    if not isinstance(law, Arrhenius) or "onset" in law.model_fields_set:
        return ()
    measure = law.measure(last.state.damage[law.kind], last.hottest, last.state.time)
    volume = float(engine.inside(measure, law.level) @ engine.cell_volume)
    deeper = float(engine.inside(last.hottest, law.onset + BARELY) @ engine.cell_volume)
    if volume - deeper <= BORDERLINE * volume:
        return ()
    return (
        f"damage.arrhenius: {100.0 * (1.0 - deeper / volume):.0f} % of the zone never passed {law.onset + BARELY:g} "
        f"degC: its border is the isotherm of the onset of {law.onset:g} degC, a choice of this program; give "
        'break_temperature = "43 degC", below which the rate falls as that of CEM43 does, or judge by another law',
    )


def _unresolved_perfusion(case: Case, tissues: Tissues, last: Progress) -> tuple[str, ...]:
    """What to say of tissues whose blood carries much heat in cells too wide for it."""
    engine, blood = tissues.engine, case.bioheat
    arterial = blood.arterial_temperature
    change = np.maximum(last.hottest - arterial, arterial - last.coldest)
    width = node_widths(engine)
    flows = {
        region: tissue.perfusion * blood.blood_density * blood.blood_heat_capacity
        for region, tissue in tissues.by_region.items()
    }
    carried = {region: flow * engine.volumes[region] * change for region, flow in flows.items() if flow > 0.0}
    total = sum(float(heat.sum()) for heat in carried.values())
    found = []
    for region, heat in carried.items():
        length = float(np.sqrt(tissues.by_region[region].conductivity / flows[region]))
        wide = width > LARGEST_CELL * length
        if (part := float(heat[wide].sum())) > WIDE_SHARE * total:
            found.append(
                f"tissues.{region}.perfusion: {100 * part / total:.0f} % of the heat that blood carries is in cells of "
                f"{1e3 * width[wide & (heat > 0)].min():.2g} mm and more, wider than half the length sqrt(k / (w rho_b "
                f"c_b)) = {1e3 * length:.2g} mm over which a temperature decays in this tissue (H. H. Pennes, J. Appl. "
                "Physiol. 1 (1948) 93-122, at rest); use smaller cells there"
            )
    return tuple(found)


def _left_out(tissues: Tissues, needed: tuple[str, ...], reached: str, change: str, error: str) -> list[str]:
    lacking = sorted(
        f"tissues.{region}.{name}"
        for region, tissue in tissues.by_region.items()
        for name in needed
        if getattr(tissue, name) is None
    )
    if not lacking:
        return []
    return [
        f"bioheat.{change}: tissue reached {reached}, but its {change} is left out everywhere because the case and the "
        f'library lack {", ".join(lacking)}; temperatures are {error}: give these, or write {change} = "off"'
    ]


def summarise(
    case: Case,
    engine: Engine,
    delivered: Delivered,
    source: Source,
    last: Progress,
    zone: Zone,
    probes: Mapping[str, Reading],
    history: History,
    wall: float,
) -> dict[str, Any]:
    """The flat summary: dotted keys to values with units, SI (temperatures in degC)."""
    solid = engine.volume > 0
    summary: dict[str, Any] = {
        "title": (case.title or case.name, ""),
        "heating.kind": (case.heating.kind, ""),
        "delivery.kind": (case.delivery.kind, ""),
        "duration": (case.bioheat.duration, "s"),
        "treatment_time": (case.delivery.time + last.state.time, "s"),
        "peak_temperature": (float(last.hottest[solid].max()), "degC"),
        "lowest_temperature": (float(last.coldest[solid].min()), "degC"),
        "zone.law": (case.zone_law.kind, ""),
        **zone.as_readings(),
        "ledger.mass_error": (0.0, ""),
        **delivered.readings,
        **source.summary,
        **_energy(history),
        **{f"energy.{line}": (float(value), "J") for line, value in zip(BUDGET, last.energy, strict=True)},
        "energy.stored": (last.stored, "J"),
        "ledger.energy_error": (last.energy_error, ""),
        **probes,
        "wall_time": (wall, "s"),
        "peak_memory": (peak_memory(), "B"),
        "nodes": (int(solid.sum()), ""),
        "steps": (last.steps, ""),
        "stages": (last.stages, ""),
    }
    return summary


def _energy(history: History) -> dict[str, tuple[float, str]]:
    """Energy that the generator or laser gave, where the history has its power (constant over each step)."""
    if "power" not in history.columns:
        return {}
    time, power = history.time, np.nan_to_num(history["power"])
    return {"energy.delivered": (float(np.sum(power[1:] * np.diff(time))), "J")}
