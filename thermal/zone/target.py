"""What a treatment is to cover: a tumour with a margin of its organ, at the nodes and up to its border between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thermal.engine import Engine
from thermal.units import Array, Mask
from thermal.zone.margins import target_nodes, target_surface


@dataclass(frozen=True)
class Target:
    """The nodes that are to be covered, and points of the surface around them.

    Without the surface a zone would do that leaves what lies between the outermost nodes and the border, up to a voxel
    thick.
    """

    inside: Mask
    """(n,) nodes of the target"""
    surface: Array
    """(k, 3) m"""

    @staticmethod
    def of(engine: Engine, tumour: str, margin: float, vessels: Sequence[str]) -> Target:
        """A tumour and ``margin`` (m) of the organ around it; nothing can be destroyed in ``vessels``, regions held at
        a temperature."""
        present = [name for name in vessels if name in engine.volumes]
        inside = np.zeros(len(engine.volume), dtype=bool)
        inside[target_nodes(engine, tumour, margin, present)] = True
        return Target(inside, target_surface(engine, tumour, margin, present))

    def covered(self, engine: Engine, measure: Array, level: float) -> bool:
        """Whether the zone where ``measure`` (n,) reaches ``level`` holds all of it; looks between nodes only where
        no node is left."""
        if engine.maximum(np.where(self.inside, level - measure, -np.inf)) > 0.0:
            return False
        return bool((engine.sample(measure, self.surface) >= level).all())
