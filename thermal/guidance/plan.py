"""``thermal plan``: where the needles go, and how strong the treatment is, by simulated treatments."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from thermal.batch.members import base_value
from thermal.batch.priors import as_toml
from thermal.batch.priors import written as text_of
from thermal.case import Case, case_hash, load_case
from thermal.case.guided import Plan
from thermal.case.schema import LONGEST_TITLE
from thermal.errors import CaseError
from thermal.guidance.case_file import case_text
from thermal.guidance.choices import Box, Choice
from thermal.guidance.placement import Placement, Site, own_direction, place, tips_from
from thermal.guidance.reach import Reach
from thermal.guidance.surrogate import search
from thermal.guidance.trajectories import ground_of, sphere
from thermal.progress import Report
from thermal.simulation import simulate
from thermal.simulation.workshop import Workshop
from thermal.store import Run, RunFolder, input_hashes
from thermal.store.files import json_safe, write_text
from thermal.units import Array
from thermal.zone import share_of

BEST = "best.toml"
"""File of a plan's folder with the case of the best placement."""
HEALTHY = 0.05
"""Weight of a volume of healthy tissue lost, against the same volume of the target left (chosen)."""
STEEP = 0.1
"""What a limit passed by a whole scale of its own costs, for each tenth (chosen)."""


@dataclass(frozen=True)
class Trial:
    """One simulated placement, with what it comes to: ``cost`` is what the search makes small."""

    where: Placement
    cost: float
    readings: Mapping[str, float]


@dataclass
class Planned:
    """What was found: the case's own placement, the best, and how misplaced ones of the best do."""

    case: Case
    default: Trial
    best: Trial
    trials: list[Trial]
    misplaced: list[Trial]
    ways: int
    """straight ways to the middle of the tumour that are clear"""
    file: Path
    """the case of the best placement"""

    @property
    def robust(self) -> dict[str, float]:
        """Statistics of the coverage of the target over misplacements."""
        shares = np.array([trial.readings["target_coverage"] for trial in self.misplaced])
        tumour = np.array([trial.readings["tumour_coverage"] for trial in self.misplaced])
        if not len(shares):
            return {}
        return {
            "target_coverage_mean": float(shares.mean()),
            "target_coverage_p10": float(np.percentile(shares, 10)),
            "tumour_coverage_mean": float(tumour.mean()),
            "tumour_coverage_p10": float(np.percentile(tumour, 10)),
            "complete": float(np.mean(tumour >= 0.999)),
        }


@dataclass
class Search:
    """Simulates placements in folders of their own: what was simulated before is not simulated again."""

    load: Callable[[Mapping[str, float]], Case]
    """the case with numbers (by key) times factors"""
    plan: Plan
    reach: Reach
    middle: Array
    folder: Path
    workshop: Workshop
    trials: list[Trial] = field(default_factory=list)

    def place(self, choice: Choice) -> Placement | None:
        """Where a choice puts the devices; None where a way is blocked."""
        aim = self.middle + choice.offset
        way = self.reach.way_to(aim, choice.tilt)
        if way is None:
            return None
        sites = []
        for offset in choice.sites:
            found = self.reach.ground.ways(aim + offset, way.direction[None], self.plan.depth, self.plan.clearance)
            if not found:
                return None
            sites.append(Site(offset, found[0].length))
        return Placement(aim, way.direction, choice.power, way.length, choice.time, choice.factors, tuple(sites))

    def case_of(self, where: Placement) -> Case:
        """The case of a placement."""
        return place(self.load(where.factors), self.middle, where)

    def simulate(self, where: Placement) -> Trial:
        """Simulate one placement, or read what it came to before."""
        case = self.case_of(where)
        key = case_hash(case, input_hashes(case))[:16]
        level = logging.INFO if self.trials else logging.WARNING  # what is doubtful in one is so in all
        folder = RunFolder.open(self.folder / "runs" / key, case, resume=True)
        run = simulate(case, folder, workshop=self.workshop, level=level)
        readings = self.judge(run)
        trial = Trial(where, self.cost(readings), readings)
        self.trials.append(trial)
        return trial

    def judge(self, run: Run) -> dict[str, float]:
        """What counts, from the summary of a run."""
        name = "margin.target_10mm" if self.plan.margin > 5e-3 else "margin.target_5mm"
        tumour = float(run.value("zone.tumour_coverage"))
        aimed = self.plan.margin > 0.0 and f"{name}.coverage" in run.summary
        found = {
            "target_coverage": float(run.value(f"{name}.coverage")) if aimed else tumour,
            "target_volume": float(run.value(f"{name}.volume" if aimed else "zone.tumour_volume")),
            "tumour_coverage": tumour,
            "minimum_margin": float(run.value("zone.minimum_margin")),
            "zone_volume": float(run.value("zone.volume")),
            "peak_temperature": float(run.value("peak_temperature")),
        }
        for region in self.plan.spare:
            key = f"collateral.{region}.lost_share"
            found[f"lost.{region}"] = float(run.value(key)) if key in run.summary else 0.0
        pressures = [e["value"] for key, e in run.summary.items() if "pressure" in key and e["unit"] == "Pa"]
        found["pressure"] = float(max(pressures, default=0.0))
        return found

    def cost(self, found: Mapping[str, float]) -> float:
        """Share of the target that is left, and what healthy tissue and limits cost."""
        plan = self.plan
        aim = found["target_volume"]
        beyond = max(found["zone_volume"] - found["target_coverage"] * aim, 0.0)
        cost = (1.0 - found["target_coverage"]) + HEALTHY * beyond / aim
        cost += STEEP * max(found["peak_temperature"] - plan.highest, 0.0)
        for region, share in plan.spare.items():
            cost += 10.0 * STEEP * max(found[f"lost.{region}"] - share, 0.0) * 10.0
        if plan.pressure is not None:
            cost += 10.0 * STEEP * max(found["pressure"] / plan.pressure - 1.0, 0.0)
        return float(cost)


def plan_case(
    path: Path,
    out: Path | None = None,
    *,
    set: list[str] | None = None,
    anatomy: str | None = None,
    progress: Report | None = None,
) -> Planned:
    """Search for the best placement of a case with [plan]; the same command goes on where it stopped.

    Raises ``CaseError`` for a case without [plan] or tumour, and where no straight way leads to the tumour.
    """
    report: Report = progress or (lambda stage, share: None)
    overrides = list(set or ())
    written_case = load_case(path, overrides, anatomy)
    plan = written_case.plan
    if plan is None:
        raise CaseError(f'{path}: has no [plan]; add one, e.g. [plan] with margin = "5 mm"')
    case = _quick(written_case, plan)

    def load(factors: Mapping[str, float]) -> Case:
        if not factors:
            return case
        numbers = {key: base_value(written_case, key) for key in factors}
        changed = [f"{key}={as_toml(_times(*numbers[key], factor))}" for key, factor in factors.items()]
        return _quick(load_case(path, [*overrides, *changed], anatomy), plan)

    load(dict.fromkeys(plan.choose, 1.0))  # an unknown key is told of before anything is simulated
    if plan.sites and not hasattr(case.delivery, "sites"):
        raise CaseError(f'plan.sites: delivery.kind = "{case.delivery.kind}" has no sites; only an infusion has')
    workshop = Workshop(2)
    built, engine = workshop.ground(case)
    if built.tumour is None:
        raise CaseError(f"{path}: its anatomy names no tumour to aim at; give anatomy.tumour")
    weight = engine.volume * share_of(engine, built.tumour)
    middle = weight @ engine.points / weight.sum()
    folder = out if out is not None else Path("results") / f"{case.name}_plan"
    folder.mkdir(parents=True, exist_ok=True)
    ground, own = ground_of(case, built, engine, plan.avoid), own_direction(case)
    reach = Reach(plan, ground, own, tips_from(case, middle), own)
    wanted = Search(load, plan, reach, middle, folder, workshop)
    report("the placement of the case", 0.0)
    default = wanted.simulate(_as_given(case, middle, own))
    way = reach.way_to(middle, np.zeros(2))
    reach.base = None if way is None else way.direction
    ways = len(reach.ways(middle, sphere(plan.directions)))
    box = Box(plan, _strongest(case, plan))

    def cost(point: Array) -> float:
        report("placements", min(len(wanted.trials) / plan.budget, 1.0))
        where = wanted.place(box.choice(point))
        assert where is not None  # by the search, which asks before
        return wanted.simulate(where).cost

    search(cost, box.start, box.steps, lambda point: wanted.place(box.choice(point)) is not None,
           plan.budget, plan.seed)  # fmt: skip
    if len(wanted.trials) < 2:
        raise CaseError(
            f"plan: no straight way of at most {plan.depth * 1e3:g} mm leads to the tumour {plan.clearance * 1e3:g} mm "
            "clear of bone, vessels, lung and bowel, as far as the tips of all devices; lessen plan.clearance, shorten "
            "what goes beyond the tumour, or give directions in plan.given"
        )
    best = min(wanted.trials, key=lambda trial: trial.cost)
    trials = list(wanted.trials)
    misplaced = _misplace(wanted, best, report)
    found = Planned(wanted.case_of(best.where), default, best, trials, misplaced, ways, folder / BEST)
    write_text(folder / "plan.json", json.dumps(json_safe(_table(found)), indent=2) + "\n")
    title = f"{found.case.title or found.case.name}, planned"[:LONGEST_TITLE]
    remark = f"The best placement that thermal plan found for {path.name}."
    write_text(folder / BEST, case_text(found.case.resolved(), written_case.folder, remark, title))
    return found


def _times(value: float, unit: str, factor: float) -> str | float:
    return text_of(value * factor, unit) if unit else value * factor


def _strongest(case: Case, plan: Plan) -> float:
    """The largest factor of the power that the limit of a magnetic field allows."""
    amplitude, frequency = (getattr(case.heating, name, None) for name in ("amplitude", "frequency"))
    if plan.field_limit is None or amplitude is None or frequency is None:
        return np.inf
    strongest = float((plan.field_limit / (amplitude * frequency)) ** 2)
    if strongest < plan.power[0]:
        raise CaseError(f"plan.field_limit: allows {strongest:.3g} of the power of the case, and plan.power begins at "
                        f"{plan.power[0]:g}; lessen the amplitude of the case or plan.power")  # fmt: skip
    return strongest


def _as_given(case: Case, middle: Array, own: Array) -> Placement:
    """The placement of the case itself, as one that moves nothing."""
    from thermal.guidance.placement import devices

    first = [*devices(case.heating), *devices(case.delivery)][0]
    return Placement(middle, own, 1.0, float((np.asarray(first.entry) - middle) @ own))  # type: ignore[attr-defined]


def _quick(case: Case, plan: Plan) -> Case:
    """The case as it is tried: without pictures and series, and in coarser voxels where the plan says so."""
    output = case.output.model_copy(update={"pictures": False, "series": False})
    changes: dict[str, Any] = {"output": output, "control": None, "plan": None}
    if plan.coarse is not None and hasattr(case.anatomy, "voxel_size"):
        changes["anatomy"] = case.anatomy.model_copy(update={"voxel_size": (plan.coarse,) * 3})
    made = case.model_copy(update=changes)
    return made.with_origin(case.origin) if case.origin is not None else made


def _misplace(wanted: Search, best: Trial, report: Report) -> list[Trial]:
    """The best placement as hands place it: the tip normal around where it should be, along the same direction."""
    chance = np.random.default_rng(wanted.plan.seed)
    found = []
    for index in range(wanted.plan.trials):
        report("misplacements", index / wanted.plan.trials)
        offset = wanted.plan.placement * chance.standard_normal(3)
        found.append(wanted.simulate(replace(best.where, aim=best.where.aim + offset)))
    return found


def _table(found: Planned) -> dict[str, Any]:
    def one(trial: Trial) -> dict[str, Any]:
        where = trial.where
        return {"aim": where.aim, "direction": where.direction, "power": where.power, "to_skin": where.skin,
                "time": where.time, "factors": dict(where.factors), "cost": trial.cost,
                "sites": [where.aim + site.offset for site in where.sites], **trial.readings}  # fmt: skip

    return {
        "default": one(found.default), "best": one(found.best), "case": BEST,
        "misplacement": {**found.robust, "trials": [one(trial) for trial in found.misplaced]},
        "trials": [one(trial) for trial in found.trials],
        "clear_ways_to_the_middle": found.ways,
        "units": "SI, patient RAS; power, time and factors over those of the case; temperatures in degC",
        "note": "For research, not for clinical decisions.",
    }  # fmt: skip
