"""The border where a field is held when the case does not say where: the rest of the body is far away."""

from __future__ import annotations

import numpy as np

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine
from thermal.physics.scene import Held
from thermal.units import Mask


def far_nodes(engine: Engine) -> Mask:
    """(n,) nodes on the faces of the window; on the whole outer border where there is no such face (meshes)."""
    on_faces = np.zeros(engine.volume.shape, dtype=bool)
    for name in FACES:
        if name in engine.areas:
            on_faces |= engine.areas[name] > 0
    if on_faces.any() or SURFACE not in engine.areas:
        return on_faces
    return np.asarray(engine.areas[SURFACE] > 0)


def held_or_far(engine: Engine, held: Held) -> Held:
    """``held``, or zero on :func:`far_nodes` where it holds no node."""
    if held.mask.any():
        return held
    return Held(far_nodes(engine), np.zeros(engine.volume.shape))
