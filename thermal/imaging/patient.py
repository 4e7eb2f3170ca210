"""A finished run as a scanner would meet it: what is where, on the voxels of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from thermal import library
from thermal.anatomy.labels import TABLES, label_table
from thermal.anatomy.volume import Volume, sample_at
from thermal.case.describe import as_written
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.imaging.grid import Grid, Onto, engine_of, grid_over, mean_of, onto
from thermal.physics.imaging.ct import AIR
from thermal.physics.imaging.thermometry import Scenery
from thermal.physics.particles import AnyParticle
from thermal.store import Run
from thermal.units import Array, parse
from thermal.zone import share_of

DRY = -1000.0
"""HU of air."""


@dataclass(frozen=True)
class Patient:
    """A run on the voxels of ``grid``."""

    run: Run
    engine: Engine
    grid: Grid
    way: Onto

    @staticmethod
    def of(run: Run, spacing: float | None = None) -> Patient:
        """``spacing`` of the voxels, m; that of the cells by default."""
        engine = engine_of(run.domain, run.tumour)
        grid = grid_over(engine, spacing)
        return Patient(run, engine, grid, onto(engine, run.domain, grid))

    @cached_property
    def element(self) -> str:
        """What the concentration is a mass of; empty where the case has no particles."""
        entry = self.run.resolved.get("particles")
        if not isinstance(entry, Mapping):
            return ""
        particle: Any = TypeAdapter(AnyParticle).validate_python(as_written(entry))
        return str(particle.mass_of)

    @cached_property
    def body(self) -> Array:
        """Share of each voxel that is tissue."""
        return np.minimum(self.way.density(np.where(self.engine.volume > 0.0, 1.0, 0.0)), 1.0)

    @cached_property
    def concentration(self) -> Array:
        """kg per m3 of voxel; zero without particles."""
        return self.density("concentration")

    def density(self, name: str) -> Array:
        """A kept field per volume of voxel (a, b, c); zero where the run has none of that name."""
        field = self.run.static.get(name)
        return np.zeros(self.grid.shape) if field is None else self.way.density(np.asarray(field.values))

    def mean(self, values: Array) -> Array:
        """Mean of a nodal field over the tissue in each voxel; NaN without any."""
        return mean_of(self.way, values, self.body)

    def share(self, region: str) -> Array:
        """Share of a region in each voxel."""
        return self.way.density(share_of(self.engine, region))

    @cached_property
    def materials(self) -> Mapping[str, str]:
        """Region -> tissue of the library that it is named after, or that the case gives it."""
        tissues = self.run.resolved.get("tissues") or {}
        labels = (self.run.resolved.get("anatomy") or {}).get("labels")
        table = label_table(labels).tissues if isinstance(labels, str) and labels in TABLES else {}
        return {
            region: (tissues.get(region) or {}).get("material") or table.get(region, region)
            for region in self.run.domain.shares
        }

    def of_tissues(self, table: str, unit: str, other: float) -> Array:
        """Mean over each voxel of what the library's ``table`` of the kind imaging says of its tissues, per voxel."""
        known = library.values("imaging", table)
        found = np.zeros(self.grid.shape)
        for region, material in self.materials.items():
            value = parse(known[material], unit) if material in known else other
            found += value * self.share(region)
        return found

    @property
    def hounsfield(self) -> Array:
        """CT numbers without particles: those of the CT that the anatomy came with, or of its tissues."""
        made = self.of_tissues("hounsfield", "", 40.0) + DRY * (1.0 - self.body)
        if self.run.background is None:
            return made
        values, affine = self.run.background
        seen = sample_at(Volume(values, affine, Path()), self.grid.centres).astype(float)
        return np.asarray(np.clip(np.where(np.isfinite(seen), seen, made), AIR, None))

    @property
    def relaxation(self) -> Array:
        """R2* without particles, 1/s; infinite where there is no tissue."""
        other = parse(library.values("imaging", "transverse_relaxation")["other"], "1/s")
        inside = self.body > 0.5
        total = self.of_tissues("transverse_relaxation", "1/s", other)
        return np.asarray(np.divide(total, self.body, out=np.full(total.shape, np.inf), where=inside))

    def scenery(self, iron: Array) -> Scenery:
        """For thermometry; ``iron``: R2* by particles times the echo time."""
        return scenery_of(self.engine, self.way, self.materials, self.body, iron)

    def needs_particles(self, modality: str) -> None:
        """Raises ``CaseError`` where the run has none."""
        if not self.element or "concentration" not in self.run.static:
            raise CaseError(
                f"{self.run.folder}: --modality {modality} shows particles, and this run has none; image a run with "
                "[particles] and [delivery], or take --modality thermometry"
            )


def scenery_of(engine: Engine, way: Onto, materials: Mapping[str, str], body: Array, iron: Array) -> Scenery:
    """What a scanner sees of tissues: lung gives no signal, fat one that does not turn; ``body``: share of tissue."""

    def of(tissue: str) -> Array:
        parts = (way.density(share_of(engine, r)) for r, m in materials.items() if m == tissue and r in engine.volumes)
        return sum(parts, np.zeros(body.shape))

    return Scenery(np.clip(body - of("lung"), 0.0, 1.0), np.exp(-iron), np.minimum(of("fat"), body))
