"""What follows from the volumes of an engine: nodes that stand for a region, widths of the cells around nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from thermal.domain import FACES
from thermal.engine import Engine
from thermal.units import Array, Mask

QUARTER = 0.25 * (1.0 - 1e-9)
"""Share of a node's volume from which a node on a voxel grid belongs to a region that is held as a whole."""


class Lumped(Protocol):
    """What an engine knows of volumes and areas."""

    @property
    def volume(self) -> Array:
        """(n,) m3."""
        ...

    @property
    def volumes(self) -> Mapping[str, Array]:
        """Region -> (n,) m3."""
        ...

    @property
    def areas(self) -> Mapping[str, Array]:
        """Boundary -> (n,) m2."""
        ...


def region_nodes(engine: Lumped, region: str) -> Mask:
    """(n,) nodes to hold when ``region`` is held at a value.

    On a mesh, whose cells follow the region's border, every node of its cells. On voxels, a quarter of a node's volume:
    the border then moves to the nearest layer of nodes (a plane across an axis half a cell beyond a node gives it just
    that share), so that a ball or a vessel keeps its size on average and one that is a voxel thin is not lost. With
    half of the volume it would lose a third of a cell all around. Where the border itself is known,
    :meth:`~thermal.engine.Engine.held_edges` says what it makes of the edges around.
    """
    least = QUARTER if FACES[0] in engine.areas else 0.0
    return np.asarray((engine.volumes[region] > least * engine.volume) & (engine.volume > 0))


def node_widths(engine: Engine) -> Array:
    """(n,) m, edge of the cells around each node: the cube root of its volume; in a half-plane that is swept around the
    z axis, the square root of the area that swept it (the cube root on the axis). Zero outside the body."""
    if len(engine.orbit(np.zeros((1, 3)))) == 1:  # nothing is swept
        return np.cbrt(engine.volume)
    radius = engine.points[:, 0]
    around = 2.0 * np.pi * radius
    swept = np.divide(engine.volume, around, out=np.zeros_like(around), where=around > 0.0)
    return np.where(around > 0.0, np.sqrt(swept), np.cbrt(engine.volume))
