"""``thermal plan``: where the needles go, and how strong the treatment is, by simulated treatments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from thermal.case import Case, case_hash, load_case
from thermal.case.guided import Plan
from thermal.errors import CaseError
from thermal.guidance.placement import Placement, own_direction, place, table
from thermal.guidance.trajectories import Ground, Way, ground_of, sphere
from thermal.progress import Report
from thermal.simulation import simulate
from thermal.simulation.workshop import Workshop
from thermal.store import Run, RunFolder, input_hashes
from thermal.store.files import json_safe, write_text
from thermal.units import Array
from thermal.zone import share_of

HEALTHY = 0.05
"""Weight of a volume of healthy tissue lost, against the same volume of the target left (chosen)."""
FIRST = (0.5, 0.5, 0.5, 0.25)
"""First steps of the search over the range of the aim along each axis, and of the power."""
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

    case: Case
    plan: Plan
    ground: Ground
    middle: Array
    folder: Path
    report: Report
    workshop: Workshop = field(default_factory=lambda: Workshop(2))
    trials: list[Trial] = field(default_factory=list)

    def way_to(self, aim: Array) -> Way | None:
        """The case's own way where it is clear, else the shortest, though a longer one may be clearer; None: no way."""
        plan = self.plan
        if own := self.ground.ways(aim, own_direction(self.case)[None], plan.depth, plan.clearance):
            return own[0]
        if plan.given:
            units = np.array(plan.given) / np.linalg.norm(plan.given, axis=1)[:, None]
        else:
            units = sphere(plan.directions)
        found = self.ground.ways(aim, units, plan.depth, plan.clearance)
        return min(found, key=lambda way: way.length - min(way.clear, 0.02), default=None)

    def at(self, offset: Array, power: float) -> Trial | None:
        """Simulate with the needle aimed at an offset (3,) m from the middle of the tumour; None where no way leads."""
        aim = self.middle + offset
        way = self.way_to(aim)
        if way is None:
            return None
        return self.simulate(Placement(aim, way.direction, power, way.length))

    def simulate(self, where: Placement) -> Trial:
        """Simulate one placement, or read what it came to before."""
        case = place(self.case, self.middle, where)
        key = case_hash(case, input_hashes(case))[:16]
        run = simulate(case, RunFolder.open(self.folder / "runs" / key, case, resume=True), workshop=self.workshop)
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
    from scipy.optimize import minimize

    report: Report = progress or (lambda stage, share: None)
    case = load_case(path, set or (), anatomy)
    plan = case.plan
    if plan is None:
        raise CaseError(f'{path}: has no [plan]; add one, e.g. [plan] with margin = "5 mm"')
    case = _quick(case, plan)
    workshop = Workshop(2)
    built, engine = workshop.ground(case)
    if built.tumour is None:
        raise CaseError(f"{path}: its anatomy names no tumour to aim at; give anatomy.tumour")
    weight = engine.volume * share_of(engine, built.tumour)
    middle = weight @ engine.points / weight.sum()
    folder = out if out is not None else Path("results") / f"{case.name}_plan"
    folder.mkdir(parents=True, exist_ok=True)
    search = Search(case, plan, ground_of(case, built, engine, plan.avoid), middle, folder, report, workshop)
    report("the placement of the case", 0.0)
    own = own_direction(case)
    default = search.simulate(_as_given(case, middle, own))
    units = sphere(plan.directions)
    ways = len(search.ground.ways(middle, units, plan.depth, plan.clearance))
    blocked: list[Array] = []

    def cost(x: Array) -> float:
        done = len(search.trials) + len(blocked)
        report("placements", min(done / plan.budget, 1.0))
        offset, power = plan.targets * x[:3], float(np.interp(x[3], (-1.0, 1.0), plan.power))
        trial = search.at(offset, power)
        if trial is None:
            blocked.append(offset)
            return 10.0 + float(np.abs(x[:3]).sum())
        return trial.cost

    start = np.append(np.zeros(3), np.interp(1.0, plan.power, (-1.0, 1.0)))
    simplex = np.vstack([start, *(start + step for step in np.diag(FIRST))])
    minimize(cost, start, method="Nelder-Mead", bounds=[(-1.0, 1.0)] * 4, options={
        "maxfev": plan.budget, "initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-4,
    })  # fmt: skip
    if len(search.trials) < 2:
        raise CaseError(
            f"plan: no straight way of at most {plan.depth * 1e3:g} mm leads to the tumour {plan.clearance * 1e3:g} mm "
            "clear of bone, vessels, lung and bowel; lessen plan.clearance, or give directions in plan.given"
        )
    best = min(search.trials, key=lambda trial: trial.cost)
    trials = list(search.trials)
    misplaced = _misplace(search, best, report)
    found = Planned(place(case, middle, best.where), default, best, trials, misplaced, ways)
    write_text(folder / "plan.json", json.dumps(json_safe(_table(found)), indent=2) + "\n")
    return found


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


def _misplace(search: Search, best: Trial, report: Report) -> list[Trial]:
    """The best placement as hands place it: the tip normal around where it should be, along the same direction."""
    chance = np.random.default_rng(search.plan.seed)
    found = []
    for index in range(search.plan.trials):
        report("misplacements", index / search.plan.trials)
        offset = search.plan.placement * chance.standard_normal(3)
        found.append(search.simulate(replace(best.where, aim=best.where.aim + offset)))
    return found


def _table(found: Planned) -> dict[str, Any]:
    def one(trial: Trial) -> dict[str, Any]:
        where = trial.where
        return {"aim": where.aim, "direction": where.direction, "power": where.power, "to_skin": where.skin,
                "cost": trial.cost, **trial.readings}  # fmt: skip

    return {
        "default": one(found.default), "best": one(found.best), "set": table(found.case),
        "misplacement": {**found.robust, "trials": [one(trial) for trial in found.misplaced]},
        "trials": [one(trial) for trial in found.trials],
        "clear_ways_to_the_middle": found.ways,
        "units": "SI, patient RAS; power over that of the case; temperatures in degC",
        "note": "For research, not for clinical decisions.",
    }  # fmt: skip
