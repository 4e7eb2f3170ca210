"""A treatment that goes before: what it destroyed, and the particles that it left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from thermal.anatomy.data import resolve
from thermal.case import Case
from thermal.domain import Domain, VoxelDomain
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.imaging.grid import engine_of
from thermal.march import Progress
from thermal.physics.damage import Law
from thermal.physics.delivery import Delivered
from thermal.physics.scene import Reading
from thermal.store import Run, read_run
from thermal.units import Array, Real
from thermal.zone import measure_zone


@dataclass(frozen=True)
class Earlier:
    """What an earlier run left at the nodes of this one; ``there`` (n,) tells the nodes that it held."""

    run: Run
    nearest: npt.NDArray[np.intp]
    there: npt.NDArray[np.bool_]
    kept: float

    @staticmethod
    def of(case: Case, engine: Engine, domain: Domain) -> Earlier | None:
        """None for a first treatment. Raises ``CaseError`` for a run that is none, is not done or lies elsewhere."""
        if case.earlier is None:
            return None
        run = read_run(resolve(case.earlier.run, case.folder, "earlier.run"))
        if _same(run.domain, domain):
            every = np.arange(len(engine.points))
            return Earlier(run, every, engine.volume > 0.0, case.earlier.kept)
        from scipy.spatial import cKDTree

        other = engine_of(run.domain, run.tumour)
        solid = np.flatnonzero(other.volume > 0.0)
        near = solid[cKDTree(other.points[solid]).query(engine.points)[1]]
        there = np.zeros(len(engine.points), dtype=bool)
        held = np.flatnonzero(np.all((engine.points >= other.bounds[0]) & (engine.points <= other.bounds[1]), axis=1))
        there[held] = other.holds(engine.points[held])
        there &= engine.volume > 0.0
        if not there.any():
            raise CaseError(
                f'earlier.run = "{case.earlier.run}": lies outside this anatomy; give a run of this patient'
            )
        return Earlier(run, near, there, case.earlier.kept)

    def field(self, name: str, elsewhere: Real) -> Array:
        """A kept field of the earlier run (n,): that of the nearest of its nodes, ``elsewhere`` where it held none."""
        found = np.asarray(elsewhere, dtype=float).copy()
        found[self.there] = np.asarray(self.run.static[name].values)[self.nearest[self.there]]
        return found

    def particles(self, case: Case, delivered: Delivered, engine: Engine) -> Delivered:
        """What is delivered now, and what is left of before. Raises ``CaseError`` for particles of another kind."""
        residue = self.kept * self.field("concentration", np.zeros_like(delivered.bulk))
        if not residue.any():
            return delivered
        then, now = ((table or {}).get("particles") for table in (self.run.resolved, case.resolved()))
        if then != now:
            raise CaseError(
                f'earlier.kept: particles of "{self.run.name}" are left, and those of this case are others, so that '
                "they cannot be added up; give the same [particles], or earlier.kept = 0"
            )
        left = Reading(float(residue @ engine.volume), "kg")
        return replace(
            delivered, bulk=delivered.bulk + residue, readings={**delivered.readings, "earlier.particles": left}
        )

    def begin(self, progress: Progress, laws: Mapping[str, Law]) -> Progress:
        """The state at time zero, with the damage and the extreme temperatures of before."""
        damage = dict(progress.state.damage)
        for name, law in laws.items():
            if name in self.run.static:
                before = law.carried(self.field(name, law.shown(law.initial(len(progress.hottest)))))
                damage[name] = np.where(self._rows(before), before, damage[name])
        return replace(
            progress,
            state=replace(progress.state, damage=damage),
            highest=self._extreme(np.maximum, "highest_temperature", progress.highest),
            lowest=self._extreme(np.minimum, "lowest_temperature", progress.lowest),
        )

    def _extreme(self, of: np.ufunc, name: str, now: Real) -> Real:
        """(n,) degC, the larger or smaller ``of`` a kept field and what is ``now``, in the precision of the latter."""
        return np.asarray(of(now, self.field(name, now)), dtype=now.dtype)

    def _rows(self, values: Array) -> npt.NDArray[np.bool_]:
        return self.there if values.ndim == 1 else self.there[:, None]

    def zone(self, law: Law, measure: Array) -> Array:
        """The measure (n,) of a law with what was destroyed before, by whatever law that was judged."""
        outside = np.full_like(measure, -np.inf)
        before = self.field(self.run.zone_field, outside)
        if self.run.zone_law != law.kind:
            dead = before >= self.run.zone_level
            before = np.where(dead, np.maximum(measure.max(), law.level), outside)
        return np.maximum(measure, before)

    def readings(self, engine: Engine, law: Law, measure: Array, tumour: str | None) -> dict[str, Reading]:
        """What was destroyed before, on the nodes of this run; ``measure`` (n,) is that of all treatments."""
        before = self.zone(law, np.full_like(measure, measure.min()))
        found = measure_zone(engine, before, law.level, tumour).as_readings()
        keys = {"zone.volume": "earlier.zone_volume", "zone.tumour_coverage": "earlier.tumour_coverage"}
        return {new: Reading(*found[old]) for old, new in keys.items() if old in found}


def _same(one: Domain, other: Domain) -> bool:
    """Whether two domains have the same voxels."""
    if not (isinstance(one, VoxelDomain) and isinstance(other, VoxelDomain)) or one.shape != other.shape:
        return False
    return all(np.allclose(a, b, rtol=0.0, atol=1e-9) for a, b in zip(one.axes, other.axes, strict=True))
